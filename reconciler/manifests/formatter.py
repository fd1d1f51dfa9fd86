"""Putting the keys of manifests in order.

Rule: whole lines move, and with each key what belongs to it: the comments right above it, those
behind it, and those below it that are indented more or that a blank line separates from the next
key. What is in order already is not touched. What comes out is parsed again, and must say the same.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from reconciler.manifests.edits import NotEditableError, TextChange, parsed, said, spliced
from reconciler.manifests.parser import BREAK
from reconciler.manifests.positions import (
    BLOCK_STYLES,
    Node,
    Shape,
    Source,
    keeps_blank_lines,
    last_leaf,
    nodes,
    roots,
    without_mark,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.core.model import JSON


Order = tuple[str, ...]
"""The keys of a mapping as they should follow each other; others come last."""
Orders = dict[str, Order]
"""The order of a document's keys under the empty name, and of those of its sections."""


class Tidied(NamedTuple):
    """A file in order.

    Attributes:
        left: the lines of mappings that could not be put in order.
    """

    data: bytes
    left: tuple[int, ...]


def tidy(data: bytes, orders: Callable[[JSON], Orders]) -> Tidied:
    """The bytes of a file with the keys of its documents in order.

    Raises:
        NotEditableError: the file has findings.
    """
    documents = parsed(data)
    wanted = {document.number: orders(document.value) for document in documents}
    head, body = without_mark(data)
    left: set[int] = set()
    for is_whole in (False, True):  # first the sections, then the documents that they move with
        source = Source(body)
        changes: list[TextChange] = []
        for number, root in enumerate(roots(body)):
            for name, order in wanted.get(number, {}).items():
                entry = None if is_whole else root.entry(name)
                node = entry.value if entry else root
                if (
                    is_whole is bool(name)
                    or (name and not entry)
                    or node.shape is not Shape.MAPPING
                ):
                    continue
                # What stands above the first key of a document is about all of it.
                floor = source.following(entry.key.end) if entry else None
                made = _ordered(source, root, node, order, floor)
                if made is None:
                    left.add(source.number(node.begin) + 1)
                changes += made or []
        body = spliced(body, changes)
    tidied = (head + body).encode()
    try:
        if said(parsed(tidied)) == said(documents):
            return Tidied(tidied, tuple(sorted(left)))
    except NotEditableError:  # with the keys in order it would not even be valid
        pass
    return Tidied(data, (1,))


def still_tidy(original: bytes, edited: bytes, orders: Callable[[JSON], Orders]) -> bytes:
    """The edited bytes of a file, with the keys in order if they were before.

    Raises:
        NotEditableError: the file has findings.
    """
    tidied = tidy(edited, orders).data
    was_tidy = tidied == edited or tidy(original, orders).data == original
    return tidied if was_tidy else edited


def _ordered(
    source: Source, root: Node, node: Node, order: Order, floor: int | None
) -> list[TextChange] | None:
    """The changes that put a mapping in order; None if that cannot be done."""
    places = {name: place for place, name in enumerate(order)}
    names = [entry.key.text for entry in node.entries]
    sequence = sorted(range(len(names)), key=lambda each: places.get(names[each], len(order)))
    if sequence == sorted(sequence):
        return []
    if not _keeps_anchors(root, node, sequence):
        return None
    return (
        _in_brackets(source, node, sequence)
        if node.is_flow
        else _in_lines(source, node, sequence, floor)
    )


def _in_brackets(source: Source, node: Node, sequence: Sequence[int]) -> list[TextChange] | None:
    """Exchanges the entries between brackets; None if there are comments to be lost."""
    spans = [entry.span for entry in node.entries]
    for (_, end), (start, _) in pairwise(spans):
        if source.text[end:start].strip() != ",":
            return None
    return [
        TextChange(*spans[place], source.text[slice(*spans[each])])
        for place, each in enumerate(sequence)
        if place != each
    ]


class _Part(NamedTuple):
    """The lines of one entry, from `start` to `end`; the comments above it are before `key`."""

    start: int
    key: int
    end: int


def _in_lines(
    source: Source, node: Node, sequence: Sequence[int], floor: int | None
) -> list[TextChange] | None:
    """Moves the lines of the entries; None if they cannot be moved."""
    parts = _parts(source, node, floor)
    if parts is None:
        return None
    pieces = []
    is_tight = True  # where a blank line has no place, or would belong to the text before it
    for each in sequence:
        part = parts[each]
        above = source.text[part.start : part.key]
        while is_tight and (found := BREAK.search(above)) and not above[: found.start()].strip():
            above = above[found.end() :]
        piece = above + source.text[part.key : part.end]
        if not BREAK.search(piece[-1:]) and each != sequence[-1]:  # it ends the file so far
            if last_leaf(node.entries[each].value).style in BLOCK_STYLES:
                return None  # whose text would end with a line break then
            piece += source.newline
        pieces.append(piece)
        is_tight = keeps_blank_lines(source.text, node.entries[each].value)
    end = parts[-1].end
    while is_tight and end < len(source.text) and source.is_blank(end, source.following(end)):
        end = source.following(end)
    return [TextChange(parts[0].start, end, "".join(pieces))]


def _parts(source: Source, node: Node, floor: int | None) -> list[_Part] | None:
    """The entries with their comments; None if one shares a line with another, or with a dash."""
    column = source.column(node.begin)
    keys = [source.start(entry.key.start) for entry in node.entries]
    start = keys[0]
    while floor is not None and start > floor:  # the comments right above the first key
        line = source.start(start - 1)
        if not source.text[line:start].lstrip().startswith("#"):
            break
        start = line
    parts = []
    for place, (key, value) in enumerate(node.entries):
        if source.text[keys[place] : key.start].strip() not in {"", "?"}:
            return None
        limit = keys[place + 1] if place + 1 < len(keys) else None
        end, reached = _below(source, source.following(value.end), limit, column)
        if limit is not None and reached != limit:
            return None
        parts.append(_Part(start, keys[place], end))
        start = end
    return parts


def _below(source: Source, start: int, limit: int | None, column: int) -> tuple[int, int]:
    """Up to where comments and blank lines belong to the entry above, and where they end.

    Args:
        source: the text.
        start: the line behind the entry.
        limit: the line of the next one; None behind the last one.
        column: that of the keys.
    """
    own = place = start
    is_run = limit is not None  # of comments right below the entry
    while place < (len(source.text) if limit is None else limit):
        following = source.following(place)
        line = source.text[place:following]
        if not line.strip():
            if is_run and own < place:
                own = place
            is_run = False
        elif not line.lstrip().startswith("#"):
            break
        elif len(line) - len(line.lstrip()) > column:
            own = following
        place = following
    return own, place


def _keeps_anchors(root: Node, node: Node, sequence: Sequence[int]) -> bool:
    """Whether every alias still comes behind the one value that is marked with its anchor."""
    marks = [each.anchor for each in nodes(root) if each.anchor is not None]
    if not marks:
        return True
    if len(marks) != len(set(marks)):
        return False
    inside = [
        (place, each)
        for place, index in enumerate(sequence)
        for child in node.entries[index]
        for each in nodes(child)
    ]
    places = {each.anchor: place for place, each in inside}
    aliases = ((place, each.text) for place, each in inside if each.shape is Shape.ALIAS)
    return all(places.get(anchor, -1) <= place for place, anchor in aliases)
