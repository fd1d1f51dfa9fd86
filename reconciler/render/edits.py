"""What is to change in a file, as lines with `+` and `-`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.grouping import FOLDED_ABOVE
from reconciler.core.printable import Lines, joined
from reconciler.render.text import paint, quantity, some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def edits_text(path: str, before: bytes, after: bytes, *, colour: bool = False) -> Lines:
    """A unified diff of a file, which is UTF-8."""
    return joined(_painted(_diff(path, before, after), colour=colour), colour=colour)


def folded_edits_text(files: Sequence[tuple[str, bytes, bytes]], *, colour: bool = False) -> Lines:
    """Unified diffs of files, each as its path and what it holds before and after.

    Of many files, those whose lines come and go alike are shown by the first one.
    """
    same: dict[tuple[str, ...] | int, list[tuple[str, list[str]]]] = {}
    for place, (path, before, after) in enumerate(files):
        diff = _diff(path, before, after)
        edit = tuple(line for line in diff[_HEAD:] if line[:1] in {"+", "-"})
        key = edit if len(files) > FOLDED_ABOVE else place
        same.setdefault(key, []).append((path, diff))
    lines: list[str] = []
    for (_, first), *others in same.values():
        lines += _painted(first, colour=colour)
        if others:
            names = some([path for path, _ in others])
            lines += [f"The same edit in {quantity(len(others), 'more file')}: {names}", ""]
    return joined(lines, colour=colour)


_HEAD = 2
"""Lines of a diff that name its files."""


def _diff(path: str, before: bytes, after: bytes) -> list[str]:
    from difflib import unified_diff  # only for a diff

    old, new = before.decode().splitlines(), after.decode().splitlines()
    return list(unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""))


def _painted(diff: Iterable[str], *, colour: bool) -> Iterator[str]:
    for line in diff:
        style = line[0] if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"} else "bold"
        yield paint(line, style, colour=colour and line[:1] in {"+", "-", "@"})
