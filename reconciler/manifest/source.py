"""The text of a file by its lines, as libyaml counts them."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

BOM = "\ufeff"
BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What libyaml counts as the end of a line."""


class Source:
    """A text without its byte order mark, which the parser does not count.

    Attributes:
        newline: how its lines end.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        found = BREAK.search(text)
        self.newline = found.group() if found else "\n"

    def number(self, place: int) -> int:
        """Which line a character is on, from 0."""
        return bisect_right(self._starts, place) - 1

    def start(self, place: int) -> int:
        """Where the line of a character begins."""
        return self._starts[self.number(place)]

    def column(self, place: int) -> int:
        """How many characters stand before a character on its line."""
        return place - self.start(place)

    def end(self, place: int) -> int:
        """Where the line of a character ends, before its line break."""
        number = self.number(place)
        return self._breaks[number][0] if number < len(self._breaks) else len(self.text)

    def following(self, place: int) -> int:
        """Where the line after that of a character begins; the end of the text if there is none."""
        number = self.number(place)
        return self._breaks[number][1] if number < len(self._breaks) else len(self.text)

    def is_blank(self, start: int, end: int) -> bool:
        """Whether nothing but white space stands there."""
        return not self.text[start:end].strip()

    @cached_property
    def _breaks(self) -> list[tuple[int, int]]:
        return [match.span() for match in BREAK.finditer(self.text)]

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(end for _, end in self._breaks)]
