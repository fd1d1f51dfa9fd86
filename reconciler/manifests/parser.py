"""From the bytes of a file to the values of its documents, by the YAML 1.2 core schema.

The core schema is that of yaml.org/spec/1.2.2, section 10.3.2.

Rule: values are built straight from the C parser's events. Its own node tree costs three times as
much, and composing it crashes the process on deep nesting; here, nesting and aliases are bounded.
ruamel.yaml's own loader of that parser follows YAML 1.1 in dates and octals, too.
"""

from __future__ import annotations

import math
import re
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

from reconciler.core.model import Origin
from reconciler.errors import Diagnostic, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.core.model import JSON


SUSPECTS = frozenset("+-.0123456789~nNtTfF")
"""First characters of plain scalars that may be more than a string."""
WORDS: dict[str, JSON] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_DIGITS = 100


def resolve(text: str) -> JSON:
    """The value of a plain scalar that is no word; infinite or NaN if it is not a usable number."""
    if len(text) > _MAX_DIGITS and _INT.fullmatch(text):
        return math.inf  # which is refused; Python itself reads no more than 4300 digits
    if _INT.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)  # noqa: PLR2004 - the decimal base
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


MAX_DEPTH = 64
MAX_ALIASED_NODES = 10_000
"""How many values the aliases of one file may stand for: the guard against an alias bomb."""

_SHORT = 20
BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What libyaml counts as the end of a line."""
_UNSEEN_BREAK = re.compile(b"\r(?!\n)|\xc2\x85|\xe2\x80[\xa8\xa9]")
"""Ends a line for libyaml, but not for YAML 1.2, an editor or a review, or not for all of them.

So what stands behind it would look like a part of a comment.
"""
_CORE = "tag:yaml.org,2002:"
# What is like a tag or an alias may be a password without quotes, so no message repeats it.
_UNKNOWN_TAG = "this is not a standard YAML tag; remove it, or quote a text that starts with !"
_UNKNOWN_ALIAS = "nothing before this is marked by its name; quote a text that starts with *"


class Document(NamedTuple):
    """One YAML document: its value in JSON's types, and where it stands.

    Attributes:
        path: the file.
        number: which one of the file it is, from 0, empty documents included.
        line: the line of its first value, from 1.
        value: what it says; never None.
    """

    path: str
    number: int
    line: int
    value: JSON

    @property
    def origin(self) -> Origin:
        """Where it stands, as what is made of it says."""
        return Origin(self.path, self.number, self.line)


class Parser:
    """Parses manifest files; one object serves a run, since it remembers scalars between files."""

    def __init__(self) -> None:
        self._scalars: dict[str, JSON] = dict(WORDS)
        self._keys: dict[str, str] = {}

    def parse(self, path: str, data: bytes) -> tuple[list[Document], list[Diagnostic]]:
        """The documents of a file that hold something, and the findings on the way."""
        if (b"\r" in data or not data.isascii()) and (odd := _UNSEEN_BREAK.search(data)):
            *before, last = data[: odd.start()].decode("utf-8-sig").split("\n")
            code = ord(odd[0].decode("utf-8"))
            message = (
                f"the character U+{code:04X} ends a line in YAML, but not in every editor; remove "
                f'it, or write it in double quotes: "\\u{code:04x}"'
            )
            place = Position(path, len(before) + 1, len(last) + 1)
            return [], [Diagnostic(place, "syntax", message)]
        construction = _Construction(path, data, self._scalars, self._keys)
        documents: list[Document] = []
        try:
            documents.extend(construction.documents())
        except YAMLError as error:
            construction.findings.append(_syntax_finding(path, data, error))
        return documents, construction.findings


class _Construction:
    """Builds the values of one file from its events, and notes what cannot be built."""

    def __init__(
        self, path: str, data: bytes, scalars: dict[str, JSON], keys: dict[str, str]
    ) -> None:
        self.findings: list[Diagnostic] = []
        self._path = path
        self._next: Callable[[], JSON] = CParser(data).get_event
        self._scalars = scalars
        self._keys = keys
        self._anchors: dict[str, JSON] = {}
        self._open_anchors: set[str] = set()
        self._aliased = 0

    def documents(self) -> Iterator[Document]:
        """Yields the documents in order; an error in a later one does not take back the earlier."""
        event = self._next()  # the start of the stream
        number = 0
        while (event := self._next()).__class__ is not StreamEndEvent:
            if event.__class__ is DocumentStartEvent:
                self._anchors.clear()
                first = self._next()
                value = self._value(first, MAX_DEPTH)
                if value is not None:
                    yield Document(self._path, number, first.start_mark.line + 1, value)
                number += 1

    def _value(self, event: JSON, depth: int) -> JSON:
        cls = event.__class__
        if cls is ScalarEvent:
            if event.ctag is None and event.anchor is None:
                return self._plain(event) if event.implicit[0] else event.value
            return self._anchored(event, self._tagged(event))
        if cls is AliasEvent:
            return self._alias(event)
        if depth == 0:
            raise MarkedYAMLError(
                problem=f"more than {MAX_DEPTH} levels of nesting", problem_mark=event.start_mark
            )
        if event.anchor is not None:
            self._open_anchors.add(event.anchor)
        value: JSON
        is_mapping = cls is MappingStartEvent
        if event.ctag is not None and str(event.ctag) != f"{_CORE}{'map' if is_mapping else 'seq'}":
            self._find(event, "unknown-tag", _UNKNOWN_TAG)
        value = self._mapping(depth - 1) if is_mapping else self._sequence(depth - 1)
        return value if event.anchor is None else self._anchored(event, value)

    def _mapping(self, depth: int) -> dict[str, JSON]:
        # Almost every key and value is a plain scalar (`implicit[0]`: unquoted and without a tag).
        # Deciding those here, and not in a call for each, is a tenth of a run's time.
        result: dict[str, JSON] = {}
        following, known_keys, known, suspects = self._next, self._keys, self._scalars, SUSPECTS
        while (event := following()).__class__ is not MappingEndEvent:
            if event.__class__ is ScalarEvent and event.implicit[0] and event.anchor is None:
                key = known_keys.get(event.value) or self._new_key(event)
            else:
                key = self._odd_key(event, depth)
            held = following()
            if held.__class__ is ScalarEvent and held.implicit[0] and held.anchor is None:
                text = held.value
                if text and text[0] not in suspects:
                    value = text
                elif text in known:
                    value = known[text]
                else:
                    value = self._plain(held)
            else:
                value = self._value(held, depth)
            if key in result:
                message = f"the key {key} is already in this mapping; remove one"
                self._find(event, "duplicate-key", message)
            elif key is not None:
                result[key] = value
        return result

    def _sequence(self, depth: int) -> list[JSON]:
        result = []
        while (event := self._next()).__class__ is not SequenceEndEvent:
            result.append(self._value(event, depth))
        return result

    def _plain(self, event: JSON) -> JSON:
        """A plain scalar by the YAML 1.2 core schema."""
        text: str = event.value
        if text and text[0] not in SUSPECTS:
            return text
        if text in self._scalars:
            return self._scalars[text]
        value = resolve(text)
        if isinstance(value, float) and not math.isfinite(value):
            short = text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
            self._find(event, "not-finite", f"{short} is not a number that AlertSite accepts")
            return text
        self._scalars[text] = value
        return value

    def _new_key(self, event: JSON) -> str | None:
        """A plain key that was not met before; the texts of good ones are remembered."""
        text: str = event.value
        if isinstance(self._plain(event), str):
            self._keys[text] = text
            return text
        message = f"the key {text or '(empty)'} is not a string; quote it"
        self._find(event, "key-not-string", message)
        return None

    def _odd_key(self, event: JSON, depth: int) -> str | None:
        """A key with quotes, a tag, an anchor or an alias, or one that is no scalar."""
        key = self._value(event, depth)
        if isinstance(key, str):
            return key
        self._find(event, "key-not-string", "a key must be a string")
        return None

    def _tagged(self, event: JSON) -> JSON:
        """A scalar with an anchor, an explicit tag, or both."""
        text: str = event.value
        if event.ctag is None:
            return self._plain(event) if event.implicit[0] else text
        tag = str(event.ctag)
        if tag == f"{_CORE}str":
            return text
        value = self._plain(event)
        expected = {"null": type(None), "bool": bool, "int": int, "float": float}.get(
            tag.removeprefix(_CORE)
        )
        if expected is None:
            self._find(event, "unknown-tag", _UNKNOWN_TAG)
        elif expected is float and type(value) is int:
            return float(value)
        elif type(value) is not expected:
            self._find(event, "bad-tag", "the value does not match its tag")
        return value

    def _anchored(self, event: JSON, value: JSON) -> JSON:
        if event.anchor is not None:
            self._open_anchors.discard(event.anchor)
            self._anchors[event.anchor] = value
        return value

    def _alias(self, event: JSON) -> JSON:
        if event.anchor in self._open_anchors:
            self._find(event, "recursive-alias", f"*{event.anchor} is inside what it repeats")
            return None
        if event.anchor not in self._anchors:
            self._find(event, "unknown-alias", _UNKNOWN_ALIAS)
            return None
        value = self._anchors[event.anchor]
        self._aliased += _count_nodes(value, MAX_ALIASED_NODES - self._aliased)
        if self._aliased >= MAX_ALIASED_NODES:
            raise MarkedYAMLError(
                problem=f"aliases that repeat {MAX_ALIASED_NODES} values or more",
                problem_mark=event.start_mark,
            )
        return value

    def _find(self, event: JSON, code: str, message: str) -> None:
        mark = event.start_mark
        position = Position(self._path, mark.line + 1, mark.column + 1)
        self.findings.append(Diagnostic(position, code, message))


def _count_nodes(value: JSON, limit: int) -> int:
    """How many values the value consists of; stops counting at the limit."""
    count, pending = 0, [value]
    while pending and count < limit:
        item = pending.pop()
        count += 1
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return count


def _is_blank(lines: list[str], line: int) -> bool:
    return line >= len(lines) or not lines[line].strip()


_SCHEME = re.compile("[a-z][a-z0-9]{1,9}$")


def _syntax_finding(path: str, data: bytes, error: YAMLError) -> Diagnostic:
    lines = BREAK.split(data.decode("utf-8"))
    for number, text in enumerate(lines, 1):
        if text.startswith(_CONFLICT):
            message = "not YAML: a merge conflict that is not resolved"
            return Diagnostic(Position(path, number, 1), "syntax", message)
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a forbidden character, for which ruamel.yaml gives an offset only
        before = BREAK.split(data.decode("utf-8")[: getattr(error, "position", 0)])
        line, column = len(before) - 1, len(before[-1])
    else:
        if _is_blank(lines, mark.line):  # it is at the end: show where what is not ended begins
            mark = getattr(error, "context_mark", None) or mark
        line, column = mark.line, mark.column
        while line and _is_blank(lines, line):
            line -= 1
            column = len(lines[line]) if line < len(lines) else 0
    place = Position(path, line + 1, column + 1)
    if "\t" in lines[line][: column + 1]:
        return Diagnostic(place, "tab", "a tab cannot indent or start a value; use spaces")
    problem = str(getattr(error, "problem", None) or error).partition("\n")[0].strip()
    return Diagnostic(place, "syntax", f"not YAML: {_in_words(problem, lines[line], column)}")


_CONFLICT = "<<<<<<< "
_WORDS = {
    "did not find expected ',' or ']'": "a [ that is not closed, or a missing comma",
    "did not find expected ',' or '}'": "a { that is not closed, or a missing comma",
    "found unexpected end of stream": "a quote that is not closed",
    "did not find expected key": "a key is expected here; check the indentation and the quotes",
    "could not find expected ':'": "a key here, or in the line before, has no colon after it",
    "did not find expected alphabetic or numeric character": (
        "a value that starts with * or &; quote it"
    ),
    "did not find expected node content": "a value is missing here",
    "found unknown escape character": (
        "a backslash in double quotes; use single quotes, or write it twice"
    ),
    "did not find expected comment or line break": (
        "text after | or >; write it in the lines below, indented"
    ),
    "block sequence entries are not allowed in this context": (
        "a list in the line of its key; write it in the lines below"
    ),
}
"""What libyaml says, and what a person has to look for."""


def _in_words(problem: str, text: str, column: int) -> str:
    """What the parser says of a place in a line, in words for people."""
    before = text[:column]
    if problem == "found unexpected ':'":
        scheme = _SCHEME.search(before)
        example = f"{scheme[0]}://…" if scheme else "a:b"
        return f'a value that holds a colon inside {{}} or []; quote it: "{example}"'
    if problem == "mapping values are not allowed in this context":
        if ":" not in before:
            return "a key that is indented further than the one before it"
        return 'a value that holds a colon and a space; quote it: "a: b"'
    if problem == "found character that cannot start any token" and column < len(text):
        return f"a value that starts with {text[column]}; quote it"
    return _WORDS.get(problem, problem)
