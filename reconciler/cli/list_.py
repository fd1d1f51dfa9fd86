"""The command that lists the monitors of an account."""

from __future__ import annotations

import click

from reconciler.cli import completions, console, options, runtime, selection
from reconciler.core.listing import USUAL, WIDE, Where
from reconciler.core.standing import Standing
from reconciler.errors import ExitCode, UsageError
from reconciler.render.listings import counts_text, list_csv, list_names, list_text
from reconciler.usecases.listing import check_columns, check_targets, find_monitors
from reconciler.usecases.plan import Workspace

_TABLES = ("table", "wide", "csv")


@click.command("list", epilog="Example: reconciler list --where hostname='mail-4*' -o wide")
@selection.many
@options.targets
@options.manifests
@options.state
@click.option(
    "--managed",
    is_flag=True,
    help="Monitors that a manifest describes, whether AlertSite has them or not.",
)
@click.option("--unmanaged", is_flag=True, help="Monitors in neither a manifest nor the state.")
@click.option("--orphaned", is_flag=True, help="Monitors whose manifest is gone.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="COLUMN=GLOB",
    help="Only monitors with a matching value, ignoring case: hostname='mail-4*', "
    "locations=30, locations='Boston*', labels.team=mail. May be repeated; then all must hold.",
)
@click.option(
    "--columns",
    metavar="NAME,...",
    shell_complete=completions.columns,
    help="Columns of the table: those of -o wide, any field of the monitors, or labels.NAME.",
)
@options.output(
    *("table", "wide", "json", "csv", "name"),
    text="Output format: a table with short cells, one with cells of up to 200 characters, JSON, "
    "CSV, or addresses only (ids of monitors without one).",
)
@click.option(
    "--offline/--live",
    default=False,
    help="List what is in the state, without contacting AlertSite; or, by default, what is live.",
)
def list_(
    targets: tuple[str, ...],
    manifests: str,
    location: str | None,
    conditions: tuple[str, ...],
    columns: str | None,
    output: str,
    *,
    managed: bool,
    unmanaged: bool,
    orphaned: bool,
    offline: bool,
) -> int:
    """List the email monitors of the account, and whether Git manages them.

    A managed monitor has a manifest, an orphaned one had one, an unmanaged one never had one, and a
    missing one has a manifest but does not exist.
    Never writes, and shows no secrets. Every TARGET is an address, an id, a glob over addresses,
    label=value, or a file or folder; a leading ! excludes.
    """
    wanted = []
    for text in conditions:
        column, equals, pattern = text.partition("=")
        if not equals:
            raise UsageError(
                f"--where {text}: it has no =",
                "Write a column and a glob, such as hostname='mail-4*'.",
            )
        wanted.append(Where(column.removeprefix("spec.").removeprefix("extra."), pattern))
    if columns is not None and output not in _TABLES:
        raise UsageError(
            f"--columns cannot be used with --output {output}", f"Use {', '.join(_TABLES)}."
        )
    shown: tuple[str, ...] = USUAL if output == "table" else WIDE
    if columns is not None:
        shown = tuple(name.strip() for name in columns.split(","))
    if offline and unmanaged:
        raise UsageError(
            "--unmanaged needs AlertSite: the state has no unmanaged monitors",
            "Leave out --offline.",
        )
    asked = {
        Standing.MANAGED: managed,
        Standing.MISSING: managed,
        Standing.UNMANAGED: unmanaged,
        Standing.ORPHANED: orphaned,
    }
    standings = [standing for standing, is_wanted in asked.items() if is_wanted]
    schemas, fleet = options.load(manifests, may_be_empty=True)
    run = runtime.begin(location)
    workspace = Workspace(fleet, schemas, run.vault())
    if offline:
        listing = find_monitors(workspace, run.known(None).state, None)
    else:
        with run.reading(schemas) as (state, reader):
            listing = find_monitors(workspace, state, reader)
    check_columns(listing, (condition.column for condition in wanted), "--where")
    check_columns(listing, shown, "--columns")
    is_alone = runtime.part() is None  # of several accounts, others may have it
    if is_alone:
        check_targets(listing, targets)
    found = listing.only(standings, wanted, targets)
    match output:
        case "json":
            console.document(found.to_json())
        case "csv":
            console.data(list_csv(found, shown))
        case _:
            is_wide, colour = output == "wide", console.has_colour()
            if output == "name":
                text = list_names(found)
            else:
                text = list_text(found, shown, is_wide=is_wide, colour=colour)
            if text:
                console.data(text)
            if text or is_alone:
                console.note(counts_text(found))
    if is_alone and targets and not listing.only((), (), targets).monitors:
        console.note(f"No monitor matches {' '.join(targets)}.")
    return ExitCode.OK
