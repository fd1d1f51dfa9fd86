"""Where every value of a file stands: for findings, and to the character for the editor.

Rule: lines are counted as libyaml counts them; places count characters of the text behind its byte
order mark.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from contextlib import suppress
from enum import Enum, auto
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from _ruamel_yaml import CParser
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from reconciler.errors import Diagnostic, Position
from reconciler.manifests.files import read
from reconciler.manifests.parser import BREAK, MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reconciler.core.model import JSON, Desired, Origin


BOM = "\ufeff"


class Source:
    """A text without its byte order mark, which the parser does not count.

    Attributes:
        newline: how its lines end.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        found = BREAK.search(text)
        self.newline = found.group() if found else "\n"

    def number(self, place: int) -> int:
        """Which line a character is on, from 0."""
        return bisect_right(self._starts, place) - 1

    def start(self, place: int) -> int:
        """Where the line of a character begins."""
        return self._starts[self.number(place)]

    def column(self, place: int) -> int:
        """How many characters stand before a character on its line."""
        return place - self.start(place)

    def end(self, place: int) -> int:
        """Where the line of a character ends, before its line break."""
        number = self.number(place)
        return self._breaks[number][0] if number < len(self._breaks) else len(self.text)

    def following(self, place: int) -> int:
        """Where the line after that of a character begins; the end of the text if there is none."""
        number = self.number(place)
        return self._breaks[number][1] if number < len(self._breaks) else len(self.text)

    def is_blank(self, start: int, end: int) -> bool:
        """Whether nothing but white space stands there."""
        return not self.text[start:end].strip()

    @cached_property
    def _breaks(self) -> list[tuple[int, int]]:
        return [match.span() for match in BREAK.finditer(self.text)]

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(end for _, end in self._breaks)]


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

    @property
    def span(self) -> tuple[int, int]:
        """Where it begins and ends; between brackets, the value may be left out."""
        return self.key.start, max(self.key.end, self.value.end)


def roots(text: str) -> Iterator[Node]:
    """The root of each document, empty ones included.

    Raises:
        YAMLError: at the first syntax error, or where values are nested too deeply.
    """
    following = CParser(text.encode()).get_event
    while (event := following()).__class__ is not StreamEndEvent:
        if event.__class__ is DocumentStartEvent:
            yield _node(text, following, following(), MAX_DEPTH)


def without_mark(data: bytes) -> tuple[str, str]:
    """The byte order mark of a file, which the parser does not count, or nothing; and its text."""
    text = data.decode()
    body = text.removeprefix(BOM)
    return text.removesuffix(body), body


def parsed_text(data: bytes) -> tuple[Source, list[Node]]:
    """The text of a file, and the roots of its documents up to the first syntax error."""
    text = data.decode().removeprefix(BOM)
    found: list[Node] = []
    with suppress(YAMLError):  # `parse` has reported it; what is before it is what was asked for
        found.extend(roots(text))
    return Source(text), found


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


def _node(text: str, following: Callable[[], JSON], event: JSON, depth: int) -> Node:
    cls = event.__class__
    start, end = event.start_mark.index, event.end_mark.index
    if depth < 0:
        raise MarkedYAMLError(problem_mark=event.start_mark)
    if cls is AliasEvent:
        return Node(Shape.ALIAS, start, start, end, text=event.anchor)
    anchor, has_tag = event.anchor, event.ctag is not None
    begin = start
    for _ in range(has_tag + (anchor is not None)):
        for pattern in (_PROPERTY, _GAP):
            match = pattern.match(text, begin)
            begin = match.end() if match else begin
    if cls is ScalarEvent:
        style = event.style or ""
        if style in BLOCK_STYLES:
            end = _block_end(text, begin, end)
        begin = min(begin, end)
        return Node(Shape.SCALAR, start, begin, end, style, event.value, anchor, has_tag)
    entries, items = [], []
    shape = Shape.MAPPING if cls is MappingStartEvent else Shape.SEQUENCE
    if shape is Shape.MAPPING:
        while (after := following()).__class__ is not MappingEndEvent:
            key = _node(text, following, after, depth - 1)
            entries.append(Entry(key, _node(text, following, following(), depth - 1)))
    else:
        while (after := following()).__class__ is not SequenceEndEvent:
            items.append(_node(text, following, after, depth - 1))
    last = entries[-1].value if entries else items[-1] if items else None
    is_flow = bool(event.flow_style) and text[begin : begin + 1] in {"{", "["}
    end = after.end_mark.index if is_flow or last is None else last.end
    return Node(
        shape,
        start,
        begin,
        end,
        anchor=anchor,
        has_tag=has_tag,
        is_flow=is_flow,
        entries=tuple(entries),
        items=tuple(items),
    )


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


class Locator:
    """Finds the places of values by parsing their file again, once for each file."""

    def __init__(self, edited: Mapping[str, bytes | None] = MappingProxyType({})) -> None:
        """Takes the files that are not on the disk as they are to be looked at."""
        self._files = {path: parsed_text(data) for path, data in edited.items() if data is not None}

    def of_field(self, desired: Desired, field: str, *below: str | int) -> Position:
        """Where a field of a manifest stands, or what is below it; where its value comes from."""
        pointer = (*desired.pointer(field), *below)
        return self.position(desired.place(field), pointer, of_key=not below)

    def position(
        self, document: Origin, pointer: Sequence[str | int], *, of_key: bool = False
    ) -> Position:
        """Where the value (or its key) that the pointer names stands, as near as there is one.

        An alias is the place where it stands; nothing is known below it.

        Args:
            document: where the document stands; its line does not matter.
            pointer: the keys and indices that lead to the value.
            of_key: where its key stands instead.
        """
        path = document.path
        if path not in self._files:
            data = read(path)
            self._files[path] = parsed_text(b"" if isinstance(data, Diagnostic) else data)
        source, documents = self._files[path]
        if document.document >= len(documents):
            return Position(path, 1, 1)  # the file is not what it was when it was loaded
        node = key = documents[document.document]
        for step in pointer:
            if isinstance(step, str):
                entry = node.entry(step)
                if entry is None:
                    break
                key, node = entry
            elif step < len(node.items):
                key = node = node.items[step]
            else:
                break
        else:
            node = key if of_key else node
        return Position(path, source.number(node.start) + 1, source.column(node.start) + 1)
