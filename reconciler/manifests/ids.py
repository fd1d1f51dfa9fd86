"""Writing an AlertSite id into a manifest, and nothing else.

Rule: text is only ever inserted, at a place that the parser's events name; what comes out is parsed
again, and must say what the file said before plus the id. A file is replaced as a whole, and only
while it still holds what was edited.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from _ruamel_yaml import CParser
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from reconciler import durable
from reconciler.core.model import canonical
from reconciler.errors import ConfigurationError
from reconciler.manifests.parser import Document, Parser

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

    from reconciler.core.model import JSON


_BOM = "\ufeff"
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_STARTS = (MappingStartEvent, SequenceStartEvent)
_ENDS = (MappingEndEvent, SequenceEndEvent)
_UNCHANGED = "Nothing was written to it."


class NotEditableError(ValueError):
    """A document in which no id can be written; the text says why."""


class _Name(NamedTuple):
    """Where `metadata.name` stands, as the events of its key and its value say."""

    is_in_flow: bool
    key: JSON
    value: JSON


class _Insertion(NamedTuple):
    """A text and the character that it goes before."""

    place: int
    text: str


def insert_ids(data: bytes, ids: Mapping[int, int]) -> bytes:
    """The bytes of a file with `id: NUMBER` in the metadata of some of its documents.

    In a block mapping it stands on a line after that of `name`, in a flow mapping after its value.

    Args:
        data: the file; every byte of it is kept.
        ids: by the number of the document in the file, as `Document.number`.

    Raises:
        NotEditableError: the metadata of one of them is not written out, or holds an id already.
    """
    documents = parsed(data)
    found = {document.number: document for document in documents}
    for number in ids:
        _check(found.get(number))
    documents = [
        _with_id(each, ids[each.number]) if each.number in ids else each for each in documents
    ]
    text = data.decode()
    start = len(_BOM) if text.startswith(_BOM) else 0  # the parser does not count it
    body, pieces, end = text[start:], [text[:start]], 0
    for document, name in _names(data, ids):
        place, inserted = _insertion(body, name, ids[document])
        pieces += [body[end:place], inserted]
        end = place
    edited = "".join([*pieces, body[end:]]).encode()
    if said(parsed(edited)) != said(documents):
        raise NotEditableError("with an id it would not say the same")
    return edited


def write(path: str, data: bytes, original: bytes) -> None:
    """Replaces a file at once: nobody ever sees half of it. A link is followed, the mode is kept.

    Raises:
        ConfigurationError: the file cannot be written, or no longer holds `original`.
    """
    target = Path(os.path.realpath(path))
    try:
        with target.open("r+b") as file:  # for writing: a read-only file stays as it is
            found = file.read()
        if found != original:
            raise ConfigurationError(
                f"{path} was changed by somebody else just now",
                f"{_UNCHANGED} Run the same command again.",
            )
        durable.replace(target, data)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror or error}",
            f"{_UNCHANGED} Make room, or give yourself the permission, and run the command again.",
        ) from error


def parsed(data: bytes) -> list[Document]:
    """The documents of a file that can be edited.

    Raises:
        NotEditableError: it has findings.
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        raise NotEditableError("the file is not UTF-8") from None
    documents, findings = Parser().parse("", data)
    if findings:
        raise NotEditableError("the file has findings")
    return documents


def _check(document: Document | None) -> None:
    value: JSON = document and document.value
    metadata: JSON = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        raise NotEditableError("there is no metadata in the document")
    for key in ("id", "<<"):  # what a merge key brings is not ours to tell
        if key in metadata:
            raise NotEditableError(f"metadata holds the key {key} already")


def _with_id(document: Document, number: int) -> Document:
    metadata = {**document.value["metadata"], "id": number}
    return document._replace(value={**document.value, "metadata": metadata})


def said(documents: list[Document]) -> list[tuple[int, str]]:
    """What two files share exactly when their documents say the same."""
    return [(document.number, canonical(document.value)) for document in documents]


def _names(data: bytes, wanted: Container[int]) -> Iterator[tuple[int, _Name]]:
    """Where `metadata.name` stands in each wanted document, in the order of the file."""
    following = CParser(data).get_event
    number = -1
    while (event := following()).__class__ is not StreamEndEvent:
        if event.__class__ is DocumentStartEvent:
            number += 1
            if number in wanted:
                yield number, _name(following)


def _name(following: Callable[[], JSON]) -> _Name:
    """Where `metadata.name` stands in the document that has just begun."""
    following()  # the start of the document's mapping
    metadata = _entry(following, "metadata")[1]
    if metadata.__class__ is not MappingStartEvent:
        raise NotEditableError("metadata is an alias")
    key, value = _entry(following, "name")
    if value.__class__ not in {ScalarEvent, AliasEvent}:
        raise NotEditableError("metadata.name is no text")
    return _Name(metadata.flow_style, key, value)


def _entry(following: Callable[[], JSON], name: str) -> tuple[JSON, JSON]:
    """The first events of a key and its value in the mapping that has just begun."""
    for key, value in _entries(following):
        if key.__class__ is ScalarEvent and key.value == name:
            return key, value
    raise NotEditableError(f"the key {name} is not written out")


def _entries(following: Callable[[], JSON]) -> Iterator[tuple[JSON, JSON]]:
    """The keys and values of the mapping that has just begun, by their first events.

    What is below a value is passed over when the next entry is taken.
    """
    while (key := following()).__class__ is not MappingEndEvent:
        _skip(following, key)
        value = following()
        yield key, value
        _skip(following, value)


def _skip(following: Callable[[], JSON], event: JSON) -> None:
    """Reads to the end of the value that an event begins."""
    depth = int(isinstance(event, _STARTS))
    while depth:
        event = following()
        depth += isinstance(event, _STARTS) - isinstance(event, _ENDS)


def _insertion(text: str, name: _Name, number: int) -> _Insertion:
    key, value = name.key, name.value
    if name.is_in_flow:
        quote = '"' if key.style == '"' else ""  # so that JSON stays JSON
        return _Insertion(value.end_mark.index, f", {quote}id{quote}: {number}")
    start = key.start_mark.index - key.start_mark.column
    head = text[start : key.start_mark.index]
    is_explicit = head.strip() == "?"
    indent = head[: head.index("?")] if is_explicit else " " * len(head)
    line = f"{indent}id: {number}"
    is_first = is_explicit or not head.strip()
    if is_first and value.start_mark.line != value.end_mark.line:  # as a block scalar has it
        following = _BREAK.search(text, start)
        return _Insertion(start, f"{line}{following.group() if following else ''}")
    line_end = _BREAK.search(text, value.end_mark.index)
    if line_end is None:
        return _Insertion(len(text), f"{_BREAK.findall(text)[-1]}{line}")
    return _Insertion(line_end.end(), f"{line}{line_end.group()}")
