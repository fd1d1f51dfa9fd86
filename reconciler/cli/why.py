"""The command that tells why a monitor, or one of its fields, is as it is."""

from __future__ import annotations

import click

from reconciler import render
from reconciler.cli import completions, console, options, runtime, selection
from reconciler.core.options import PlanOptions
from reconciler.errors import ExitCode
from reconciler.usecases.plan import Workspace
from reconciler.usecases.why import why as ask


@click.command(epilog="Example: reconciler why email-smtp/prod-relay.port")
@selection.one
@click.argument("asked", metavar="ADDRESS[.FIELD]", shell_complete=completions.fields)
@options.manifests
@options.state
@click.option(
    "--offline", is_flag=True, help="Compare with the state, without contacting AlertSite."
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON on stdout.")
def why(asked: str, manifests: str, location: str | None, *, offline: bool, as_json: bool) -> int:
    """Show where a value comes from, what was last applied, what is live and what comes next.

    Without FIELD, show the monitor and every field of its manifest. You can use the id of the
    monitor instead of ADDRESS. Never writes, and shows no secrets.
    """
    schemas, fleet = options.load(manifests, may_be_empty=True)
    run = runtime.begin(location)
    rules = PlanOptions(prune=runtime.prunes(asked=None))
    workspace = Workspace(fleet, schemas, run.vault(), rules)
    if offline:
        found = ask(workspace, asked, run.known(None).state, None, run.store.location)
    else:
        with run.reading(schemas) as (state, reader):
            found = ask(workspace, asked, state, reader, run.store.location)
    if as_json:
        console.document(found.to_json())
        return ExitCode.OK
    record = found.subject.record
    text = render.why_text(
        found,
        age=runtime.age(record.applied_at) if record else "",
        only="." in asked,
        colour=console.has_colour(),
    )
    console.data(text)
    return ExitCode.OK
