"""The command that shows the whole fleet on one page."""

from __future__ import annotations

import click

from reconciler.cli import formats, options, provenance, runtime, selection
from reconciler.cli.formats import Subject
from reconciler.errors import ExitCode
from reconciler.render.view import View
from reconciler.usecases.report import report as fleet_report


@click.command(epilog="Example: reconciler report --format html=fleet.html")
@selection.many
@options.manifests
@options.state
@formats.option(Subject.REPORT)
def report(manifests: str, location: str | None, outputs: formats.Outputs) -> int:
    """Show the fleet: what is managed, drifted, disabled, what it covers and costs; never writes.

    It compares AlertSite with the manifests and the state. --format html=FILE writes a page.
    """
    schemas, fleet = options.load(manifests, may_be_empty=True)
    run = runtime.begin(location)
    run.vault().learn(fleet.desired)
    with run.reading(schemas) as (state, reader):
        found = fleet_report(fleet, schemas, reader, state, runtime.clock().now())
    made = provenance.of_run(run.id, found.read_at)
    outputs.put(found, found.to_json, View(made=made))
    return ExitCode.OK
