"""What is to change in a file, as lines with `+` and `-`."""

from __future__ import annotations

from reconciler.core.printable import Lines, joined
from reconciler.render.text import paint


def edits_text(path: str, before: bytes, after: bytes, *, colour: bool = False) -> Lines:
    """A unified diff of a file, which is UTF-8."""
    from difflib import unified_diff  # only for a diff

    old, new = before.decode().splitlines(), after.decode().splitlines()
    lines = []
    for line in unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""):
        style = line[0] if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"} else "bold"
        lines.append(paint(line, style, colour=colour and line[:1] in {"+", "-", "@"}))
    return joined(lines, colour=colour)
