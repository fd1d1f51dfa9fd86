"""Drift as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.grouping import DriftGroup, drift_groups
from reconciler.core.plan import counted
from reconciler.core.printable import Lines, joined, printable
from reconciler.render.plans import GOING, counts_text
from reconciler.render.text import marked, paint, quantity, some
from reconciler.render.values import shown_change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.core.drift import Drift, Drifted
    from reconciler.core.model import Unmanaged

NEXT = (
    "reconciler apply restores what Git says; reconciler pull copies what AlertSite has into the "
    "manifests."
)


def drift_text(drift: Drift, *, colour: bool = False) -> Lines:
    """What AlertSite changed, equal drift of many as one, and `drift_summary` as last lines."""
    lines: list[str] = []
    folded = 0
    for group in drift_groups(drift.monitors):
        lines += _drifted(group, colour=colour)
        folded += len(group.monitors) if len(group.monitors) > 1 else 0
    if folded:
        lines += [f"  {folded:,} monitors are folded: --json lists each.", ""]
    for stranger in drift.unmanaged or ():
        head = marked("+", printable(stranger.name or "(no name)"), colour=colour)
        lines.append(f"  {head} (id {stranger.id}, {printable(unmanaged_text(stranger))})")
    if drift.unmanaged:
        lines.append("")
    first, *rest = drift_summary(drift)
    return joined([*lines, paint(first, "bold", colour=colour), *rest], colour=colour)


def drift_summary(drift: Drift) -> list[str]:
    """How much drift there is, what monitoring was lost by it, and what to do next: a line each."""
    total = len(drift.monitors) + drift.kept
    known = quantity(total, "monitor")
    line = f"No drift. {known} as last applied."
    if drift.monitors:
        line = f"Drift: {len(drift.monitors):,} of {known} not as last applied."
    if drift.unmanaged is not None:
        count = len(drift.unmanaged)
        line += (
            f" {count or 'No'} new {'monitor' if count == 1 else 'monitors'} without a manifest."
        )
    lines = [line]
    if lost := lost_text(drift.monitors):
        lines.append(f"Coverage: {lost}.")
    if drift.monitors:
        lines.append(NEXT)
    if drift.not_kept:
        have = quantity(drift.not_kept, "monitor has", "monitors have")
        lines.append(
            f"{have} values that AlertSite did not keep, which is not drift: reconciler plan shows "
            "them."
        )
    return lines


def lost_text(monitors: Iterable[Drifted]) -> str:
    """How many of them lost monitoring, and how, as a plan says it; empty if none did."""
    lost = [item for item in monitors if item.causes]
    have = quantity(len(lost), "monitor has", "monitors have")
    return f"{have} lost monitoring in AlertSite ({lost_how(lost)})" if lost else ""


def lost_how(monitors: Iterable[Drifted]) -> str:
    """How many lost monitoring in which way."""
    causes = counted(cause for item in monitors for cause in item.causes)
    return ", ".join(f"{count:,} {cause}" for cause, count in causes.items())


def drifted_text(monitor: Drifted) -> Lines:
    """What AlertSite changed of one monitor."""
    return Lines("\n".join(_drifted(DriftGroup((monitor,)), colour=False)).rstrip())


def unmanaged_text(item: Unmanaged) -> str:
    """What is said of such a monitor."""
    return f"{item.type or 'type unknown'}: made by hand since the last apply"


def stranger_text(item: Unmanaged) -> str:
    """Such a monitor in one line."""
    return f"{item.name or '(no name)'} (id {item.id}, {unmanaged_text(item)})"


def changed_text(monitor: Drifted) -> str:
    """The names of the fields that AlertSite changed."""
    return ", ".join(field.field for field in monitor.fields) or "deleted in AlertSite"


def names_text(group: DriftGroup) -> str:
    """Who is in a group: the first few, or many if all that can be said of them is who they are."""
    names = [item.address for item in group.monitors]
    return some(names) if group.monitors[0].fields else some(names, GOING)


def _drifted(group: DriftGroup, *, colour: bool) -> Iterator[str]:
    """What AlertSite changed of one monitor, or of several alike."""
    first, count = group.monitors[0], len(group.monitors)
    who, what = f"{count:,} monitors", f": {counts_text(group.by_kind())}"
    if count == 1:
        applied = printable(f"applied {first.applied_at} by run {first.run}")
        who, what = printable(first.address), f" (id {first.id}, {applied})"
    head = marked("~" if first.fields else "-", who, colour=colour)
    yield f"  {head}{what}{'' if first.fields else ': deleted in AlertSite'}"
    for field in first.fields:
        yield f"      {printable(field.field)}: {shown_change(field, {}, colour=colour)}"
    if count > 1:
        yield f"      {names_text(group)}"
    yield ""
