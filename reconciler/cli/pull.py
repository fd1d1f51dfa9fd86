"""The command that writes into the manifests what AlertSite has."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from reconciler.cli import console, options, runtime, selection
from reconciler.core.diff import Cause
from reconciler.core.grouping import FOLDED_ABOVE
from reconciler.core.options import PlanOptions
from reconciler.core.printable import joined, printable
from reconciler.errors import ExitCode, Position
from reconciler.manifests.edits import ABSENT
from reconciler.render.text import paint, quantity, some, value_text
from reconciler.secrets import Vault
from reconciler.usecases.plan import Workspace
from reconciler.usecases.pull import find_pull, look_without_secrets, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.usecases.pull import Edit, Pull

_NOWHERE = Position("", 0, 0)


@click.command(
    epilog="Example: reconciler pull email-smtp/prod-relay; or: reconciler pull team=mail-core"
)
@selection.one
@options.targets
@options.manifests
@options.state
@click.option(
    "--all",
    "take_all",
    is_flag=True,
    help="Also pull fields that changed only in the manifests since the last apply, or that were "
    "never applied.",
)
@options.unknown
@click.option("--auto-approve", is_flag=True, help="Write without asking.")
def pull(
    targets: tuple[str, ...],
    manifests: str,
    location: str | None,
    unknown: str,
    *,
    take_all: bool,
    auto_approve: bool,
) -> int:
    """Write what AlertSite changed into the manifests, after showing the edits and asking.

    Comments, order and quotes do not change. Never writes to AlertSite, and never pulls secrets.
    Every TARGET is an address, an id, a glob over addresses, label=value, or a file or folder; a
    leading ! excludes. Exits with 7 if a value could not be written, and lists it.
    """
    schemas, fleet = options.load(manifests)
    run = runtime.begin(location)
    run.vault().learn(fleet.desired)
    vault = Vault({}, "", redactor=runtime.redactor())
    workspace = Workspace(fleet, schemas, vault, PlanOptions(targets))
    with run.reading(schemas) as (state, reader):
        look = look_without_secrets(workspace, reader, state)
    found = find_pull(workspace, look, state, take_all=take_all, write_unknown=unknown == "write")
    console.data(joined(_lines(found), colour=console.has_colour()))
    if found.edited:
        edited = quantity(found.edited, "field was changed", "fields were changed")
        it, value = ("it", "value") if found.edited == 1 else ("them", "values")
        console.say(
            f"{edited} in the manifests only. apply sends {it}; pull --all replaces {it} with the "
            f"{value} of AlertSite."
        )
    if found.refused:
        refused = quantity(found.refused, "manifest is", "manifests are")
        console.say(
            f"{refused} refused by the plan and not pulled. To see why, run: reconciler plan"
        )
    failed, written = len(found.skipped), 0
    if found.edits:
        if not auto_approve:
            console.ask_to_write()
        is_short = len(found.files) <= FOLDED_ABOVE
        with console.writing() as writes:
            for file, error in write(found, writes.one):
                failed += bool(error)
                written += not error
                if error or is_short:
                    console.say(
                        error or f"{file.path}: wrote {quantity(len(file.edits), 'field')}."
                    )
            if written and not is_short:
                console.say(f"Wrote {quantity(written, 'file')}.")
            if not failed:
                console.note(
                    "AlertSite was not changed. Review the edits, then commit them. drift reports "
                    "them until the next apply."
                )
    return ExitCode.PARTIAL if failed else ExitCode.OK


def _lines(found: Pull) -> Iterator[str]:
    """The edits, equal ones of many manifests as one, those that cannot be made, their count."""
    colour = console.has_colour()
    for group in _alike(found.edits):
        first, names = group[0], [edits[0].desired.address for edits in group]
        who = names[0] if len(names) == 1 else f"{len(names):,} monitors"
        yield f"  {paint(f'~ {who}', '~', colour=colour)}"
        for edit in first:
            yield f"      {printable(f'{edit.pointer[1]}: {_change(edit)}')}"
        if len(names) > 1:
            yield f"      {some(names)}"
    for skipped in found.skipped:
        head = paint(f"! {skipped.desired.address}", "!", colour=colour)
        place = f"{skipped.place.path}:{skipped.place.line}"
        why = f"{skipped.field} was not pulled: {skipped.reason} ({place})"
        yield f"  {head} {printable(why)}"
    if found.edits or found.skipped:
        yield ""
    if not found.edits:
        yield paint("Nothing to pull.", "bold", colour=colour)
        return
    text = f"Pull: {quantity(len(found.edits), 'field')} in {quantity(len(found.files), 'file')}."
    yield paint(text, "bold", colour=colour)


def _alike(edits: Iterable[Edit]) -> Iterable[list[list[Edit]]]:
    """The edits of each manifest, of many those that only stand in other places together."""
    each = [list(group) for _, group in groupby(edits, key=lambda edit: edit.desired.address)]
    if len(each) <= FOLDED_ABOVE:
        return [[one] for one in each]
    found: dict[tuple[str, ...], list[list[Edit]]] = {}
    for one in each:
        said = (f"{edit.pointer[1]} {_change(edit._replace(place=_NOWHERE))}" for edit in one)
        found.setdefault(tuple(said), []).append(one)
    return found.values()


def _change(edit: Edit) -> str:
    place = f"{edit.place.path}:{edit.place.line}"
    if edit.after is ABSENT:
        what = f"the default at {edit.default} is refused" if edit.default else "removed"
        return f"{value_text(edit.before)} → ({what}: AlertSite has none) ({place})"
    notes = [place]
    if edit.spot.is_override and not edit.spot.is_said:
        notes.append(f"overrides {edit.desired.place(edit.pointer[1])}")
    else:
        if edit.default:
            notes.append(f"added, over the default at {edit.default}")
        if edit.cause in {Cause.BOTH, Cause.EDIT}:
            both = "both: " if edit.cause is Cause.BOTH else ""
            notes.append(f"{both}your edit is lost")
    return f"{value_text(edit.before)} → {value_text(edit.after)} ({', '.join(notes)})"
