"""The one place where text from outside becomes text that is safe to print.

Names, values, paths and messages come from manifests, file names, AlertSite, the state and the
libraries between them. None of them may steer a terminal, hide or reorder what stands beside it,
begin a line of its own, or give a pipeline's runner a command.

Rule: the command line prints a `Lines` as it is, and takes any other text for one line. So what is
printed is safe however it was put together, and only a renderer, which knows where its lines end,
can print several.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_COLOUR = re.compile("(\x1b\\[(?:0|1|3[1-6])m)")
"""What `render.paint` writes."""
_RUNNER = re.compile(r"##(?=\w*\[)")
"""How a command of a runner begins, anywhere in a line: Azure, GitHub, TeamCity."""


class Lines(str):
    """Lines of text, each of which is safe to print."""

    __slots__ = ()


def is_unicode(text: str) -> bool:
    """Whether it is text; Python shows bytes that are none as halves of surrogate pairs."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def printable(text: str) -> str:
    """The text as one line, without what could steer a terminal or a pipeline's runner.

    That is whatever Unicode does not count as printable: controls, line ends, marks of direction,
    lone surrogates. It is shown by its code, as Python writes it.
    """
    if not text.isprintable():
        text = escaped(text)
    if "##" in text:
        text = _RUNNER.sub(r"\\x23#", text)
    if "::" in text and text.lstrip().startswith("::"):  # GitHub: only where a line begins
        text = text.replace("::", r"\x3a:", 1)
    return text


def escaped(text: str) -> str:
    """The text with the code of each character that Unicode does not count as printable."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def joined(texts: Iterable[str], *, colour: bool = False) -> Lines:
    """The texts as lines: each stays one, whatever it holds."""
    return Lines("\n".join(map(_painted if colour else printable, texts)))


def json_lines(text: str) -> Lines:
    """A JSON text that says the same and is safe to print, line by line."""
    if not text.replace("\n", "").isprintable():
        text = "".join(
            char if char.isprintable() or char == "\n" else _json_code(char) for char in text
        )
    if "##" in text:
        text = _RUNNER.sub(r"\\u0023#", text)
    return Lines(text)


def _painted(text: str) -> str:
    """One printable line that keeps its colours."""
    if "\x1b" not in text:
        return printable(text)
    parts = _COLOUR.split(text)  # every second one is a colour
    parts[::2] = map(printable, parts[::2])
    return "".join(parts)


def _json_code(char: str) -> str:
    """A character as JSON escapes it: by its code units in UTF-16."""
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
