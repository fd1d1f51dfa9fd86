"""What all texts are made of: printable characters, values, colour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.core.mask import HIDDEN
from reconciler.core.printable import Lines, joined, json_lines, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.core.model import JSON
    from reconciler.errors import ReconcilerError

_ESCAPES = {
    "+": "32",
    "~": "33",
    "-": "31",
    "!": "31",
    "=": "36",
    ".": "36",
    "bold": "1",
    "drift": "35",
}

_NAMED = 3
"""So many monitors are named of those that are folded into one line."""
_CELL = 40
"""Characters of a cell of a table."""
_PRECISE = 10
"""Below so many seconds the tenths are told."""
_MINUTE = 60


def as_json(value: JSON) -> Lines:
    """The JSON document that a machine reads: indented, in the given order, UTF-8."""
    return json_lines(json.dumps(value, indent=2, ensure_ascii=False))


def error_text(error: ReconcilerError, *, colour: bool = False) -> Lines:
    """What went wrong, and what to do next: a line for each, or several if the hint is `Lines`."""
    text = f"{paint('Error:', '!', colour=colour)} {printable(str(error))}"
    hints = error.hint.split("\n") if isinstance(error.hint, Lines) else [error.hint]
    return joined([text, *hints] if error.hint else [text], colour=colour)


def value_text(value: JSON) -> str:
    """One line of JSON; what is not set says so."""
    if value is None:
        return "(unset)"
    if value == HIDDEN:
        return HIDDEN
    return printable(json.dumps(value, ensure_ascii=False))


def shortened(text: str, most: int = _CELL) -> str:
    """The text, or its beginning if it has more characters than a cell."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def labelled(rows: Iterable[tuple[str, ...]], *, colour: bool = False) -> list[str]:
    """A line for each row: its name, its text, and the style of that if it has one."""
    lines = []
    for name, text, *style in rows:
        shown = printable(text)
        if any(style):
            shown = paint(shown, style[0], colour=colour)
        lines.append(f"{name:<11}{shown}")
    return lines


def some(texts: Sequence[str], most: int = _NAMED, noun: str = "") -> str:
    """The first few of them, and how many more there are; `noun` says of what, or where."""
    rest = len(texts) - most
    more = f" and {rest:,} more{noun}" if rest > 0 else ""
    return printable(f"{', '.join(texts[:most])}{more}")


def quantity(number: int, one: str, many: str = "") -> str:
    """The number and what it counts: `1 monitor`, `1,200 monitors`.

    `many` is for what takes more than an `s` at its end, as in `monitor has`.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """A time in words: `40 ms`, `1.2 s`, `12 s`, `3 min 5 s`, `1 h 2 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _PRECISE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, more = divmod(minutes, 60)
    if hours:
        return f"{hours} h {more} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def paint(text: str, style: str, *, colour: bool) -> str:
    """The text in the colour of a symbol, if there is to be colour."""
    return f"\x1b[{_ESCAPES[style]}m{printable(text)}\x1b[0m" if colour else text


def marked(symbol: str, text: str, *, colour: bool) -> str:
    """The text behind its symbol, in the colour of that."""
    return paint(f"{symbol} {text}", symbol, colour=colour)


def arrow(before: str, after: str, *, colour: bool) -> str:
    """What was and what will be."""
    return f"{paint(before, '-', colour=colour)} → {paint(after, '+', colour=colour)}"


def ago(seconds: int | None) -> str:
    """How long ago something was, for people; None if that is not known."""
    if seconds is None:
        return "at an unknown time"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now" if seconds > -_MINUTE else "in the future: the clocks differ"
