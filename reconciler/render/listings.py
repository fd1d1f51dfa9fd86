"""Lists of monitors: as a table, as CSV, or as names alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.listing import cell
from reconciler.core.printable import Lines, joined, printable
from reconciler.render.text import aligned, paint, quantity, shortened
from reconciler.render.values import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.core.listing import Listing

_WIDE = 200
"""Characters of a wide cell: every row is as long as the longest cells."""
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a text begins that a spreadsheet would calculate; also in full width."""


def list_text(
    listing: Listing, columns: Sequence[str], *, is_wide: bool = False, colour: bool = False
) -> Lines:
    """A line for each monitor below the names of the columns; nothing if there is none."""
    rows = [
        [shortened(text, _WIDE) if is_wide else shortened(text) for text in map(printable, row)]
        for row in _rows(listing, columns)
    ]
    if not rows:
        return joined([])
    head, *lines = aligned([[column.upper() for column in columns], *rows])
    return joined([paint(head, "bold", colour=colour), *lines], colour=colour)


def list_csv(listing: Listing, columns: Sequence[str]) -> Lines:
    """The table as RFC 4180 says, with a head; no cell is a formula for a spreadsheet."""
    rows = [columns]
    for row in _rows(listing, columns):
        texts = map(printable, row)
        rows.append([f"'{text}" if text.lstrip().startswith(_FORMULA) else text for text in texts])
    return joined(",".join(map(_quoted, row)) for row in rows)


def list_names(listing: Listing) -> Lines:
    """The address of each monitor, or else its id: what other commands take as a target."""
    return joined(item.address or str(item.id) for item in listing.monitors)


def counts_text(listing: Listing) -> str:
    """How many there are, in one line."""
    monitors = quantity(len(listing.monitors), "monitor")
    counts = standings_text(listing.counts())
    return f"{monitors}{f': {counts}' if counts else ''}."


def standings_text(counts: Mapping[str, int]) -> str:
    """How many there are of each standing that there is."""
    return ", ".join(f"{number:,} {standing}" for standing, number in counts.items() if number)


def _quoted(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(char in text for char in ',"') else text


def _rows(listing: Listing, columns: Sequence[str]) -> list[list[str]]:
    names = names_of(listing.names)
    return [
        [", ".join(cell(item, column, names)) for column in columns] for item in listing.monitors
    ]
