"""Where values stand in a file, for findings and results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _ruamel_yaml import CParser
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from reconciler.errors import Diagnostic, Position
from reconciler.manifest.files import read
from reconciler.manifest.parser import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.model import JSON


class Locator:
    """Finds the places of values by parsing their file again, once for each file."""

    def __init__(self) -> None:
        self._files: dict[str, list[_Place]] = {}

    def position(
        self, path: str, document: int, pointer: Sequence[str | int], *, of_key: bool = False
    ) -> Position:
        """Where the value (or its key) that the pointer names stands, as near as there is one.

        Args:
            path: the file.
            document: the number of the document in the file, as `Document.number`.
            pointer: the keys and indices that lead to the value.
            of_key: where its key stands instead.
        """
        if path not in self._files:
            data = read(path)
            self._files[path] = [] if isinstance(data, Diagnostic) else _places(data)
        places = self._files[path]
        if document >= len(places):
            return Position(path, 1, 1)  # the file is not what it was when it was loaded
        place = places[document]
        for step in pointer:
            if step not in place.items:
                break
            place = place.items[step]
        else:
            place = place.key if of_key else place
        return Position(path, place.line, place.column)


class _Place:
    """The place of a value in a file, of its key, and of the values inside it."""

    __slots__ = ("column", "items", "key", "line")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.key = self
        self.items: dict[str | int, _Place] = {}


def _places(data: bytes) -> list[_Place]:
    """The places of a file's documents, empty ones included, up to the first syntax error.

    An alias is the place where it stands; nothing is known below it.
    """
    following = CParser(data).get_event
    places: list[_Place] = []
    try:
        while (event := following()).__class__ is not StreamEndEvent:
            if event.__class__ is DocumentStartEvent:
                places.append(_place(following, following(), MAX_DEPTH))
    except YAMLError:
        return places  # `parse` has reported it; the documents before it are what was asked for
    return places


def _place(following: Callable[[], JSON], event: JSON, depth: int) -> _Place:
    mark = event.start_mark
    place = _Place(mark.line + 1, mark.column + 1)
    if depth < 0:
        raise MarkedYAMLError(problem_mark=mark)
    if event.__class__ is MappingStartEvent:
        while (key := following()).__class__ is not MappingEndEvent:
            key_place = _place(following, key, depth - 1)
            child = _place(following, following(), depth - 1)
            child.key = key_place
            place.items.setdefault(getattr(key, "value", ""), child)
    elif event.__class__ is SequenceStartEvent:
        while (item := following()).__class__ is not SequenceEndEvent:
            place.items[len(place.items)] = _place(following, item, depth - 1)
    return place
