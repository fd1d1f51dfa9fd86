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
    BOM,
    Node,
    Shape,
    Source,
    keeps_blank_lines,
    last_leaf,
    nodes,
    roots,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reconciler.core.model import JSON
    from reconciler.manifests.parser import Document


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
    text = data.decode()
    head = BOM if text.startswith(BOM) else ""
    body = text.removeprefix(BOM)
    left: set[int] = set()
    for arranged in (_Ordering.sections, _Ordering.document):
        ordering = _Ordering(Source(body), left)
        changes: list[TextChange] = []
        for number, root in enumerate(roots(body)):
            if wanted.get(number) and root.shape is Shape.MAPPING:
                changes += arranged(ordering, root, wanted[number])
        body = spliced(body, changes)
    tidied = (head + body).encode()
    if not _says(tidied, documents):
        return Tidied(data, (1,))
    return Tidied(tidied, tuple(sorted(left)))


def _says(data: bytes, documents: list[Document]) -> bool:
    """Whether a file says the same as those documents."""
    try:
        return said(parsed(data)) == said(documents)
    except NotEditableError:
        return False


class _Part(NamedTuple):
    """The lines of one entry, from `start` to `end`; the comments above it are before `key`."""

    start: int
    key: int
    end: int


class _Ordering:
    """Finds the changes that put mappings in order."""

    def __init__(self, source: Source, left: set[int]) -> None:
        self._source = source
        self._left = left

    def sections(self, root: Node, orders: Orders) -> Iterator[TextChange]:
        """The changes that put the sections of a document in order."""
        for name, order in orders.items():
            entry = root.entry(name) if name else None
            if entry is not None and entry.value.shape is Shape.MAPPING:
                floor = self._source.following(entry.key.end)
                yield from self._ordered(root, entry.value, order, floor)

    def document(self, root: Node, orders: Orders) -> Iterator[TextChange]:
        """The changes that put a document in order; what stands above it is about all of it."""
        yield from self._ordered(root, root, orders[""], None)

    def _ordered(
        self, root: Node, node: Node, order: Order, floor: int | None
    ) -> Sequence[TextChange]:
        places = {name: place for place, name in enumerate(order)}
        names = [entry.key.text for entry in node.entries]
        sequence = sorted(range(len(names)), key=lambda each: places.get(names[each], len(order)))
        if sequence == sorted(sequence):
            return []
        changes = None
        if _keeps_anchors(root, node, sequence):
            if node.is_flow:
                changes = self._in_brackets(node, sequence)
            else:
                changes = self._in_lines(node, sequence, floor)
        if changes is None:
            self._left.add(self._source.number(node.begin) + 1)
        return changes or []

    def _in_brackets(self, node: Node, sequence: Sequence[int]) -> list[TextChange] | None:
        """Exchanges the entries between brackets; None if there are comments to be lost."""
        text = self._source.text
        spans = [(entry.key.start, max(entry.key.end, entry.value.end)) for entry in node.entries]
        for (_, end), (start, _) in pairwise(spans):
            if text[end:start].strip() != ",":
                return None
        return [
            TextChange(*spans[place], text[slice(*spans[each])])
            for place, each in enumerate(sequence)
            if place != each
        ]

    def _in_lines(
        self, node: Node, sequence: Sequence[int], floor: int | None
    ) -> list[TextChange] | None:
        """Moves the lines of the entries; None if they cannot be moved."""
        parts = self._parts(node, floor)
        if parts is None:
            return None
        pieces = []
        is_tight = True  # where a blank line has no place, or would belong to the text before it
        for each in sequence:
            start, key, end = parts[each]
            above = self._source.text[start:key]
            while (
                is_tight and (found := BREAK.search(above)) and not above[: found.start()].strip()
            ):
                above = above[found.end() :]
            piece = above + self._source.text[key:end]
            if not BREAK.search(piece[-1:]) and each != sequence[-1]:  # it ends the file so far
                if last_leaf(node.entries[each].value).style in BLOCK_STYLES:
                    return None  # whose text would end with a line break then
                piece += self._source.newline
            pieces.append(piece)
            is_tight = keeps_blank_lines(self._source.text, node.entries[each].value)
        end = parts[-1].end
        while is_tight and end < len(self._source.text):
            following = self._source.following(end)
            if not self._source.is_blank(end, following):
                break
            end = following
        return [TextChange(parts[0].start, end, "".join(pieces))]

    def _parts(self, node: Node, floor: int | None) -> list[_Part] | None:
        source, column = self._source, self._source.column(node.begin)
        keys = [source.start(entry.key.start) for entry in node.entries]
        starts = [self._above(keys[0], floor)]
        ends = []
        for place, (key, value) in enumerate(node.entries):
            if source.text[keys[place] : key.start].strip() not in {"", "?"}:
                return None
            limit = keys[place + 1] if place + 1 < len(keys) else None
            own, reached = self._below(source.following(value.end), limit, column)
            if limit is not None and reached != limit:
                return None
            ends.append(own)
            starts.append(own)
        return [_Part(start, key, end) for start, key, end in zip(starts, keys, ends, strict=False)]

    def _above(self, key: int, floor: int | None) -> int:
        """Where the comments right above the first key begin."""
        start = key
        while floor is not None and start > floor:
            line = self._source.start(start - 1)
            if not self._source.text[line:start].lstrip().startswith("#"):
                break
            start = line
        return start

    def _below(self, start: int, limit: int | None, column: int) -> tuple[int, int]:
        """Up to where comments and blank lines belong to the entry above, and where they end.

        Args:
            start: the line behind the entry.
            limit: the line of the next one; None behind the last one.
            column: that of the keys.
        """
        own = place = start
        is_run = limit is not None  # of comments right below the entry
        for line, following in self._comments(start, limit):
            text = self._source.text[line:following]
            if not text.strip():
                if is_run and own < line:
                    own = line
                is_run = False
            elif len(text) - len(text.lstrip()) > column:
                own = following
            place = following
        return own, place

    def _comments(self, start: int, limit: int | None) -> Iterator[tuple[int, int]]:
        """The lines from there on that are blank or comments."""
        size = len(self._source.text)
        while start < (size if limit is None else limit):
            following = self._source.following(start)
            line = self._source.text[start:following].strip()
            if line and not line.startswith("#"):
                return
            yield start, following
            start = following


def _keeps_anchors(root: Node, node: Node, sequence: Sequence[int]) -> bool:
    """Whether every alias still comes behind the one value that is marked with its anchor."""
    marks = [each.anchor for each in nodes(root) if each.anchor is not None]
    if not marks:
        return True
    if len(marks) != len(set(marks)):
        return False
    seen: set[str] = set()
    inside = {each.anchor for entry in node.entries for child in entry for each in nodes(child)}
    for place in sequence:
        for child in node.entries[place]:
            for each in nodes(child):
                if each.anchor is not None:
                    seen.add(each.anchor)
                elif each.shape is Shape.ALIAS and each.text in inside - seen:
                    return False
    return True
