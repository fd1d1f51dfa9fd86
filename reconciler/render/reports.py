"""The fleet as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.printable import Lines, joined, printable
from reconciler.render.text import ago, paint, quantity

if TYPE_CHECKING:
    from reconciler.core.report import Report, Tally

TALLIED = ("monitors", "managed", "unmanaged", "orphaned", "missing", "drifted", "disabled")
"""What is shown of what is counted."""


def report_text(report: Report, *, colour: bool = False) -> Lines:
    """The fleet by kind, what it costs, and how old what is known of it is."""
    total = report.total
    kinds = report.by_kind()
    width = max(map(len, (*map(printable, kinds), "all")))
    last = "none, there is no state"
    if report.saved_at:
        commit = f" of commit {report.generation}" if report.generation.commit else ""
        last = f"{ago(report.saved_age)} ({report.saved_at}){commit}"
    lines = [
        f"{'':{width}}  {'  '.join(TALLIED)}",
        *(f"{printable(kind):{width}}  {_cells(tally)}" for kind, tally in kinds.items()),
        paint(f"{'all':{width}}  {_cells(total)}", "bold", colour=colour),
        "",
        *(
            f"{name}: {tally.measurements:,.0f} measurements, {tally.credits:,.1f} credits per day"
            for name, tally in report.by_region().items()
        ),
        (
            f"Cost: {total.measurements:,.0f} measurements and {total.credits:,.1f} credits per "
            f"day, from {quantity(len(report.locations), 'location')}"
        ),
        f"Last apply: {last}",
    ]
    return joined(lines, colour=colour)


def _cells(tally: Tally) -> str:
    return "  ".join(f"{getattr(tally, name):>{len(name)},}" for name in TALLIED)
