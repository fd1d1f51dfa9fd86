"""Adding and removing lines of block mappings and block sequences.

Rule: whole lines, with the comment behind a value; a comment on a line of its own stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifests import writer as yaml
from reconciler.manifests.edits import TextChange
from reconciler.manifests.positions import Node, Shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from reconciler.core.model import JSON
    from reconciler.manifests.edits import Matched
    from reconciler.manifests.positions import Entry, Source


def without_entries(source: Source, node: Node, removed: Collection[int]) -> list[TextChange]:
    """The changes that remove some entries of a block mapping, but not all."""
    changes = []
    entries = list(enumerate(node.entries))
    first = node.entries[0].key.start
    if 0 in removed and source.text[source.start(first) : first].strip() not in {"", "?"}:
        # It stands behind the dash of a list: what comes first then moves there.
        kept = next(index for index, _ in entries if index not in removed)
        changes.append(TextChange(first, node.entries[kept].key.start, ""))
        entries = entries[kept:]
    return changes + [
        TextChange(source.start(key.start), source.following(value.end), "")
        for index, (key, value) in entries
        if index in removed
    ]


def with_entries(
    source: Source, node: Node, added: Mapping[str, JSON], before: Entry
) -> list[TextChange]:
    """The changes that add entries to a block mapping, behind one of its own.

    Raises:
        NotWritableError: a value cannot be written.
    """
    indent = source.column(node.begin)
    lines = [line for name, value in added.items() for line in yaml.entry(name, value, indent)]
    return _inserted(source, before.value.end, lines)


def dashes(source: Source, node: Node) -> list[int] | None:
    """Where the dash of each element of a block sequence is.

    None if they cannot be told, as where the first one does not begin its line.
    """
    column = source.column(node.begin)
    found = [node.begin]
    if not source.is_blank(source.start(node.begin), node.begin):
        return None
    for before, item in zip(node.items, node.items[1:], strict=False):
        place = source.start(item.start)
        dash = " " * column + "-"
        while place > before.end and not source.text.startswith(dash, place):
            place = source.start(place - 1)
        if place <= before.end:
            return None
        found.append(place + column)
    return found


def without_items(
    source: Source, node: Node, dashes: Sequence[int], kept: Collection[int | None]
) -> list[TextChange]:
    """The changes that remove all but some elements of a block sequence."""
    return [
        TextChange(source.start(dash), source.following(item.end), "")
        for index, (dash, item) in enumerate(zip(dashes, node.items, strict=True))
        if index not in kept
    ]


def with_items(
    source: Source, node: Node, dashes: Sequence[int], items: Iterable[Matched]
) -> list[TextChange]:
    """The changes that add elements to a block sequence, written like its last one.

    Raises:
        NotWritableError: a value cannot be written.
    """
    last, dash = node.items[-1], dashes[-1]
    column = source.column(dash)
    is_near = source.number(last.begin) == source.number(dash)
    offset = last.begin - dash if is_near and last.start == last.begin else yaml.INDENT
    is_block = last.shape is Shape.MAPPING and not last.is_flow
    added: dict[int | None, list[str]] = {}
    before: int | None = None
    for index, value in items:
        if index is not None:
            before = index
        elif is_block:
            added.setdefault(before, []).extend(yaml.element(value, column, offset))
        else:
            line = f"{' ' * column}-{' ' * (offset - 1)}{yaml.flow(value)}"
            added.setdefault(before, []).append(line)
    changes: list[TextChange] = []
    for before, lines in added.items():
        if before is None:
            start = source.start(dashes[0])
            text = "".join(line + source.newline for line in lines)
            changes.append(TextChange(start, start, text))
        else:
            changes += _inserted(source, node.items[before].end, lines)
    return changes


def _inserted(source: Source, place: int, lines: Sequence[str]) -> list[TextChange]:
    """The change that adds lines, one at least, behind the line of a character."""
    end, following = source.end(place), source.following(place)
    if end == following:  # the last line, which has no break
        return [TextChange(end, end, "".join(source.newline + line for line in lines))]
    line_break = source.text[end:following]
    return [TextChange(following, following, "".join(line + line_break for line in lines))]
