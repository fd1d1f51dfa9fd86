"""What is to change in a file, as lines with `+` and `-`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.printable import Lines, joined
from reconciler.render.text import paint

if TYPE_CHECKING:
    from collections.abc import Iterator


def edits_text(path: str, before: bytes, after: bytes, *, colour: bool = False) -> Lines:
    """A unified diff of a file, which is UTF-8."""
    return joined(_lines(path, before, after, colour=colour), colour=colour)


def _lines(path: str, before: bytes, after: bytes, *, colour: bool) -> Iterator[str]:
    from difflib import unified_diff  # only for a diff

    old, new = before.decode().splitlines(), after.decode().splitlines()
    for line in unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""):
        style = line[0] if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"} else "bold"
        yield paint(line, style, colour=colour and line[:1] in {"+", "-", "@"})
