"""What a probe saw, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.printable import Lines, joined, printable
from reconciler.render.text import aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.core.probe import ProbeTable

_HEAD = ("field", "seen", "expected", "mark")


def probe_text(tables: Iterable[ProbeTable]) -> Lines:
    """A table for each kind."""
    lines = [line for table in tables for line in (*_lines(table), "")]
    return joined(lines[:-1])


def _lines(table: ProbeTable) -> Iterator[str]:
    if not table.monitors:
        yield f"{table.kind}: AlertSite returned no such monitor"
        return
    noun = "monitor" if table.monitors == 1 else "monitors"
    yield f"{table.kind or 'without a type'}: {table.monitors} {noun}"
    rows = [
        (printable(row.field), ", ".join(row.seen) or "-", row.expected or "-", row.mark.value)
        for row in table.rows
    ]
    yield from (f"  {line}" for line in aligned([_HEAD, *rows]))
