"""Changes of a text, and a text with changes made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Change(NamedTuple):
    """The characters from `start` up to `end` are to be replaced by a text."""

    start: int
    end: int
    text: str


def spliced(text: str, changes: Iterable[Change], start: int = 0, end: int | None = None) -> str:
    """A part of a text with changes made, which do not overlap; by default the whole text."""
    pieces, place = [], start
    for change in sorted(changes):
        pieces += [text[place : change.start], change.text]
        place = change.end
    return "".join([*pieces, text[place:end]])
