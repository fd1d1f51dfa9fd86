"""The command that moves manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import console, options, selection
from reconciler.core.assignments import SPEC
from reconciler.core.edit_report import EditedField, EditReport
from reconciler.core.printable import joined
from reconciler.errors import ExitCode
from reconciler.render.text import quantity, value_text
from reconciler.schema import installed_schemas
from reconciler.usecases.move import find_move, move

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.usecases.move import Kept, Move


@click.command(
    epilog="Example: reconciler mv monitors/mail-4.yaml monitors/mail-5.yaml monitors/mail/"
)
@selection.one
@click.argument(
    "paths", nargs=-1, required=True, metavar="SOURCE... TARGET", type=options.FromHere()
)
@options.manifests
@click.option("--dry-run", is_flag=True, help="Show what would be moved; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON on stdout.")
def mv(paths: tuple[str, ...], manifests: str, *, dry_run: bool, as_json: bool) -> int:
    """Move manifests, files or whole folders without changing what they mean.

    A manifest gets defaults from its folder. Values that it would lose are written into it, and
    {inherit: false} overrides defaults that it would gain, so the plan does not change. TARGET is
    an existing folder, a new folder that ends with /, or the new name. Nothing is overwritten. Git
    detects the renames.
    """
    *sources, target = paths
    if not sources:
        raise click.UsageError("Missing argument 'TARGET'.", click.get_current_context())
    found = find_move(sources, target, options.sources(manifests), installed_schemas())
    for source, there in found.skipped:
        console.say(f"Skipped {source}: it does not exist, and {there} does.")
    if not as_json:
        console.data(joined(_lines(found)))
    if not dry_run:
        with console.writing() as writes:
            move(found, writes.one)
    if as_json:
        fields = tuple(
            EditedField(
                it.desired.address, it.desired.origin.path, f"{it.section}.{it.field}", it.value
            )
            for it in found.kept
        )
        console.document(EditReport(found.files, fields, not dry_run).to_json())
    elif dry_run:
        console.say("Nothing was moved. Run the same command without --dry-run.")
    else:
        console.say("Moved. The plan is the same as before. Review the edits, then commit them.")
    return ExitCode.OK


def _lines(found: Move) -> Iterator[str]:
    kept: dict[str, list[Kept]] = {}
    for item in found.kept:
        kept.setdefault(item.desired.origin.path, []).append(item)
    for path in dict.fromkeys((*found.files, *kept)):
        yield f"{path} → {found.files[path]}" if path in found.files else path
        for item in kept.get(path, ()):
            field = item.field if item.section == SPEC else f"{item.section}.{item.field}"
            was = f"the default at {item.before}" if item.before else "without a default"
            yield f"  {item.desired.address}: {field}: {value_text(item.value)} (so far {was})"
    yield ""
    files, fields = quantity(len(found.files), "file"), quantity(len(found.kept), "field")
    yield f"Move: {files}, {fields} written that a default would change."
