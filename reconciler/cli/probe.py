"""The command that shows what AlertSite's answers look like."""

from __future__ import annotations

import click

from reconciler.cli import console, selection
from reconciler.cli.runtime import connect
from reconciler.core import probe as probes
from reconciler.errors import ExitCode
from reconciler.render.probes import probe_text
from reconciler.schema import installed_schemas

_SHOWN = (
    "This lists names of fields and types, never values. Please report unexpected entries to the "
    "maintainers of reconciler."
)


@click.command(epilog="Example: reconciler probe --json > probe.json")
@selection.one
@click.option("--json", "as_json", is_flag=True, help="Print the tables as JSON on stdout.")
def probe(*, as_json: bool) -> int:
    """Show which fields and types AlertSite returns; never a value, never writes.

    It makes one list request, and compares each field with the schema of its kind: as expected, of
    another type, unknown to the schema, or not returned.
    """
    schemas = installed_schemas()
    with connect(schemas) as connection:
        live = connection.reader().list_monitors(schemas.kinds)
    tables = probes.probe(schemas.documents, live)
    if as_json:
        console.document(probes.to_json(tables))
    else:
        console.data(probe_text(tables))
    console.note(_SHOWN)
    return ExitCode.OK
