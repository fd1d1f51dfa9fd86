"""Drift as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.printable import Lines, joined, printable
from reconciler.render.text import paint, quantity
from reconciler.render.values import shown_change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.drift import Drift, Drifted
    from reconciler.core.model import Unmanaged


def drift_text(drift: Drift, *, colour: bool = False) -> Lines:
    """What AlertSite changed, and the count as last line."""
    lines: list[str] = []
    for monitor in drift.monitors:
        lines += _monitor(monitor, colour=colour)
    for stranger in drift.unmanaged or ():
        head = paint(f"+ {printable(stranger.name or '(no name)')}", "+", colour=colour)
        lines.append(f"  {head} (id {stranger.id}, {printable(unmanaged_text(stranger))})")
    if drift.unmanaged:
        lines.append("")
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
    lines.append(paint(line, "bold", colour=colour))
    if drift.not_kept:
        have = quantity(drift.not_kept, "monitor has", "monitors have")
        lines.append(
            f"{have} values that AlertSite did not keep, which is not drift: reconciler plan shows "
            "them."
        )
    return joined(lines, colour=colour)


def unmanaged_text(item: Unmanaged) -> str:
    """What is said of such a monitor."""
    return f"{item.type or 'type unknown'}: made by hand since the last apply"


def _monitor(monitor: Drifted, *, colour: bool) -> Iterator[str]:
    symbol = "~" if monitor.fields else "-"
    head = paint(f"{symbol} {printable(monitor.address)}", symbol, colour=colour)
    what = "" if monitor.fields else ": deleted in AlertSite"
    applied = f"applied {monitor.applied_at} by run {monitor.run}"
    yield f"  {head} (id {monitor.id}, {printable(applied)}){what}"
    for field in monitor.fields:
        yield f"      {printable(field.field)}: {shown_change(field, {}, colour=colour)}"
    yield ""
