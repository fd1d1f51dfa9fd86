"""What all texts are made of: printable characters, values, colour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.errors import ReconcilerError
    from reconciler.model import JSON

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


def as_json(value: JSON) -> str:
    """The JSON document that a machine reads: indented, in the given order, UTF-8."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def error_text(error: ReconcilerError, *, colour: bool = False) -> str:
    """What went wrong and what to do next."""
    text = f"{paint('Error:', '!', colour=colour)} {_lines(str(error))}"
    return f"{text}\n{_lines(error.hint)}" if error.hint else text


def _lines(text: str) -> str:
    """The text without what could steer a terminal; its further lines are set in."""
    return "\n  ".join(map(printable, text.splitlines()))


def value_text(value: JSON) -> str:
    """One line of JSON; what is not set says so."""
    if value is None:
        return "(unset)"
    return printable(json.dumps(value, ensure_ascii=False))


def printable(text: str) -> str:
    """The text without the characters that could steer a terminal or break a line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def paint(text: str, style: str, *, colour: bool) -> str:
    """The text in the colour of a symbol, if there is to be colour."""
    return f"\x1b[{_ESCAPES[style]}m{text}\x1b[0m" if colour else text
