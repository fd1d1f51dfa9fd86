"""The fleet as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.printable import Lines, joined, printable
from reconciler.render.text import ago, paint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.report import Report, Tally

_COLUMNS = ("monitors", "managed", "unmanaged", "orphaned", "missing", "drifted", "disabled")


def report_text(report: Report, *, colour: bool = False) -> Lines:
    """The fleet by kind, what it costs, and how old what is known of it is."""
    return joined(_lines(report, colour=colour), colour=colour)


def _lines(report: Report, *, colour: bool) -> Iterator[str]:
    total = report.total
    kinds = report.by_kind()
    width = max(map(len, (*map(printable, kinds), "all")))
    yield f"{'':{width}}  {'  '.join(_COLUMNS)}"
    for kind, tally in kinds.items():
        yield f"{printable(kind):{width}}  {_cells(tally)}"
    yield paint(f"{'all':{width}}  {_cells(total)}", "bold", colour=colour)
    yield ""
    for name, tally in report.by_region().items():
        yield (
            f"{name}: {tally.measurements:,.0f} measurements, {tally.credits:,.1f} credits per day"
        )
    yield (
        f"Cost: {total.measurements:,.0f} measurements and {total.credits:,.1f} credits per day, "
        f"from {len(report.locations):,} locations"
    )
    if report.saved_at:
        commit = f" of commit {report.generation}" if report.generation.commit else ""
        yield f"Last apply: {ago(report.saved_age)} ({report.saved_at}){commit}"
    else:
        yield "Last apply: none, there is no state"


def _cells(tally: Tally) -> str:
    return "  ".join(f"{getattr(tally, name):>{len(name)},}" for name in _COLUMNS)
