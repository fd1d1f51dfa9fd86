"""The command that makes one report of what shards have done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options, selection
from reconciler.cli.fleet import outputs_for, put, told
from reconciler.core.rollup import RollUp
from reconciler.usecases.fleet_job import merged

if TYPE_CHECKING:
    from reconciler.core.accounts import AccountSettings


@click.command(epilog="Example: reconciler merge results --format markdown=report.md")
@selection.selecting
@click.argument("folder", metavar="DIR", type=options.FromHere())
@click.option(
    "-o",
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT[=FILE]",
    help="Output format: text, json or markdown. With FILE, write it there. May be repeated. The "
    "shards must have used the same format.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def merge(
    folder: str,
    formats: tuple[str, ...],
    chosen: tuple[AccountSettings, ...],
    *,
    as_json: bool,
) -> int:
    """Combine the results that shards have written below DIR into one report.

    The report and the exit code are those of a single run. Select the same accounts as for the
    shards. If an account has no result, it was not started, and the exit code is 7.
    """
    outputs = outputs_for((*formats, *(["json"] if as_json else [])))
    parts = merged(folder, [item.name for item in chosen])
    found = RollUp(parts[0].operation, parts)
    first = found.in_format(outputs.stdout)
    for item in first.parts:
        told(item, outputs)
    return put(found, outputs, first)
