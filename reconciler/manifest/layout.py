"""Where every value of a file stands, to the character, so that text can be edited in place.

Rule: only for files that have no findings, so that nesting is bounded. Places count characters of
the text behind its byte order mark.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from _ruamel_yaml import CParser
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from reconciler.manifest.source import BREAK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.model import JSON

BLOCK_STYLES = frozenset("|>")
HEADER = re.compile("[|>][0-9+-]*")
"""How a block scalar begins."""
_PROPERTY = re.compile(r"(?:&[\w-]+|!<[^>]*>|![^\s,\[\]{}]*)")
_GAP = re.compile(r"(?:\s|\ufeff)*(?:(?<=\s)#[^\r\n\x85\u2028\u2029]*\s*)*")


class Shape(Enum):
    """What a node is."""

    SCALAR = auto()
    ALIAS = auto()
    MAPPING = auto()
    SEQUENCE = auto()


class Node(NamedTuple):
    """A value and its place.

    Attributes:
        start: where it begins, with its anchor and tag.
        begin: where it begins after those.
        end: where it ends; for a block scalar before the last line break that belongs to it.
        style: of a scalar, one of `|`, `>`, `'`, `"` or empty for a plain one.
        text: what a scalar says, or the name of what an alias repeats.
        is_flow: for a mapping or sequence whether it is written in brackets, which a single pair in
            a flow sequence is not.
        entries: of a mapping.
        items: of a sequence.
    """

    shape: Shape
    start: int
    begin: int
    end: int
    style: str = ""
    text: str = ""
    anchor: str | None = None
    has_tag: bool = False
    is_flow: bool = False
    entries: tuple[Entry, ...] = ()
    items: tuple[Node, ...] = ()

    @property
    def children(self) -> Iterator[Node]:
        """Keys and values, or elements."""
        for entry in self.entries:
            yield from (entry.key, entry.value)
        yield from self.items

    def entry(self, name: str) -> Entry | None:
        """The entry of a mapping whose key is written out as that name."""
        for entry in self.entries:
            if entry.key.shape is Shape.SCALAR and entry.key.text == name:
                return entry
        return None


class Entry(NamedTuple):
    """One key of a mapping and its value."""

    key: Node
    value: Node


def roots(text: str) -> list[Node]:
    """The root of each document, empty ones included."""
    following = CParser(text.encode()).get_event
    found = []
    while (event := following()).__class__ is not StreamEndEvent:
        if event.__class__ is DocumentStartEvent:
            found.append(_node(text, following, following()))
    return found


def nodes(root: Node) -> Iterator[Node]:
    """A node and all below it, in the order of the text."""
    yield root
    for child in root.children:
        yield from nodes(child)


def last_leaf(node: Node) -> Node:
    """The last thing in a value that has nothing in it."""
    while children := tuple(node.children):
        node = children[-1]
    return node


def keeps_blank_lines(text: str, node: Node) -> bool:
    """Whether blank lines behind a value belong to it, as its last header says."""
    leaf = last_leaf(node)
    header = HEADER.match(text, leaf.begin) if leaf.style in BLOCK_STYLES else None
    return header is not None and "+" in header.group()


def _node(text: str, following: Callable[[], JSON], event: JSON) -> Node:
    cls = event.__class__
    start, end = event.start_mark.index, event.end_mark.index
    if cls is AliasEvent:
        return Node(Shape.ALIAS, start, start, end, text=event.anchor)
    has_tag = event.ctag is not None
    begin = _after_properties(text, start) if has_tag or event.anchor is not None else start
    node = Node(Shape.SCALAR, start, begin, end, anchor=event.anchor, has_tag=has_tag)
    if cls is ScalarEvent:
        style = event.style or ""
        if style in BLOCK_STYLES:
            end = _block_end(text, begin, end)
        return node._replace(style=style, text=event.value, end=end, begin=min(begin, end))
    entries, items = [], []
    if cls is MappingStartEvent:
        while (key := following()).__class__ is not MappingEndEvent:
            named = _node(text, following, key)
            entries.append(Entry(named, _node(text, following, following())))
        last = entries[-1].value if entries else None
    else:
        while (key := following()).__class__ is not SequenceEndEvent:
            items.append(_node(text, following, key))
        last = items[-1] if items else None
    is_flow = bool(event.flow_style) and text[begin : begin + 1] in {"{", "["}
    return node._replace(
        shape=Shape.MAPPING if cls is MappingStartEvent else Shape.SEQUENCE,
        end=key.end_mark.index if is_flow or last is None else last.end,
        is_flow=is_flow,
        entries=tuple(entries),
        items=tuple(items),
    )


def _after_properties(text: str, start: int) -> int:
    """Where a value's own text begins, behind its anchor and its tag."""
    place = start
    while match := _PROPERTY.match(text, place):
        place = match.end()
        gap = _GAP.match(text, place)
        following = gap.end() if gap else place
        if not _PROPERTY.match(text, following):
            return following
        place = following
    return place


def _block_end(text: str, begin: int, end: int) -> int:
    """Where the content of a block scalar ends, before the break of its last line.

    Blank lines behind it belong to it only if its header says that they are kept.
    """
    header = HEADER.match(text, begin)
    keeps = header is not None and "+" in header.group()
    found = BREAK.search(text, begin, end)
    last = found.start() if found else end  # the line of the header
    indent = 0
    place = found.end() if found else end
    while place < end:
        found = BREAK.search(text, place, end)
        stop = found.start() if found else end
        line = text[place:stop]
        if line.strip(" "):
            indent = indent or len(line) - len(line.lstrip(" "))
        if keeps or line.strip(" ") or len(line) > indent > 0:
            last = stop
        place = found.end() if found else end
    return last
