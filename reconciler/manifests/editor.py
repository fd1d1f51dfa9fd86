"""Setting fields of manifests in the text they stand in.

Rule: nothing but what says the old value is replaced; comments, order, quotes and line breaks
stay, and what is the same in the old and the new value is not touched, at any depth. What comes
out is parsed again, and must say exactly what was wanted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.core.model import canonical
from reconciler.manifests import block_style
from reconciler.manifests import writer as yaml
from reconciler.manifests.edits import (
    ABSENT,
    FieldEdit,
    Matched,
    TextChange,
    matched,
    settled,
    spliced,
)
from reconciler.manifests.flow_style import Kept, rebuilt
from reconciler.manifests.ids import NotEditableError, parsed, said
from reconciler.manifests.positions import BOM, Node, Shape, Source, nodes, roots
from reconciler.manifests.scalar_style import Place, replaced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.core.model import JSON
    from reconciler.manifests.positions import Entry


_COLON = re.compile(r"\s*:")


class Editing:
    """Finds the changes for one text; makes none."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def section(
        self, root: Node, name: str, old: Mapping[str, JSON], fields: Mapping[str, FieldEdit]
    ) -> list[TextChange]:
        """The changes that set fields of one section of a document.

        Raises:
            NotEditableError: it is not written out as a mapping.
        """
        entry = root.entry(name)
        if entry is None or entry.value.shape is not Shape.MAPPING:
            raise NotEditableError(f"{name} is not written out as a mapping")
        return self.mapping(entry.value, old, fields, self._place(root, entry))

    def mapping(
        self,
        node: Node,
        old: Mapping[str, JSON],
        wanted: Mapping[str, FieldEdit],
        place: Place | None = None,
    ) -> list[TextChange]:
        """The changes that set, add and remove keys of a mapping.

        Args:
            node: the mapping.
            old: what it says.
            wanted: what is wanted of some of its keys.
            place: where it stands; None for the root of a document.

        Raises:
            NotEditableError: one of them is there, but not written out.
            NotWritableError: a value cannot be written.
        """
        changes: dict[int, list[TextChange]] = {}
        removed: set[int] = set()
        added: dict[str, JSON] = {}
        for name, want in wanted.items():
            entry = node.entry(name)
            if entry is None and name in old:
                raise NotEditableError(f"the key {name} is not written out")
            if entry is None:
                added |= {} if want.value is ABSENT else {name: want.value}
            elif want.value is ABSENT:
                removed.add(node.entries.index(entry))
            else:
                index = node.entries.index(entry)
                changes[index] = self._value(entry.value, old[name], want, self._place(node, entry))
        if node.is_flow:
            return self._flow_mapping(node, changes, removed, added)
        if place is not None and not added and len(removed) == len(node.entries):
            return replaced(self._source, node, {}, place)
        lines = block_style.without_entries(self._source, node, removed)
        lines += block_style.with_entries(self._source, node, added)
        return [*lines, *(change for each in changes.values() for change in each)]

    def _place(self, node: Node, entry: Entry) -> Place:
        """Where the value of an entry stands."""
        found = _COLON.match(self._source.text, entry.key.end)
        if found is None:
            raise NotEditableError(f"the key {entry.key.text} has no colon that can be found")
        quote = entry.key.style if node.is_flow else ""
        return Place(found.end(), self._source.column(node.begin), node.is_flow, quote)

    def _value(self, node: Node, old: JSON, want: FieldEdit, place: Place) -> list[TextChange]:
        new = settled(old, want)
        if canonical(new) == canonical(old):
            return []
        if new and (node.is_flow or not place.in_flow):
            if node.shape is Shape.MAPPING and isinstance(new, dict):
                wanted = {name: FieldEdit(value) for name, value in new.items()}
                gone = {name: FieldEdit(ABSENT) for name in old if name not in new}
                return self.mapping(node, old, wanted | gone, place)
            if node.shape is Shape.SEQUENCE and isinstance(new, list):
                return self._sequence(node, old, want, place)
        return replaced(self._source, node, new, place)

    def _sequence(
        self, node: Node, old: Sequence[JSON], want: FieldEdit, place: Place
    ) -> list[TextChange]:
        dashes = [node.begin] * len(old) if node.is_flow else block_style.dashes(self._source, node)
        if dashes is None:
            return replaced(self._source, node, settled(old, want), place)
        items = matched(old, want)
        changes: dict[int, list[TextChange]] = {}
        for index, value in items:
            if index is not None:
                dash = dashes[index]
                within = Place(dash + 1, self._source.column(dash), node.is_flow, place.quote)
                changes[index] = self._value(
                    node.items[index], old[index], FieldEdit(value), within
                )
        if node.is_flow:
            return self._flow_sequence(node, items, changes, place.quote)
        return [
            *block_style.without_items(self._source, node, dashes, changes.keys()),
            *block_style.with_items(self._source, node, dashes, items),
            *(change for each in changes.values() for change in each),
        ]

    def _flow_mapping(
        self,
        node: Node,
        changes: Mapping[int, list[TextChange]],
        removed: set[int],
        added: Mapping[str, JSON],
    ) -> list[TextChange]:
        spans = [(entry.key.start, max(entry.key.end, entry.value.end)) for entry in node.entries]
        kept: list[tuple[int | None, str]] = [
            (index, "") for index in range(len(spans)) if index not in removed
        ]
        quote = node.entries[0].key.style if node.entries else ""
        new = [
            (None, f"{yaml.key(name, quote, in_flow=True)}: {yaml.flow(value, quote)}")
            for name, value in added.items()
        ]
        return self._flow(node, spans, [*kept, *new], changes)

    def _flow_sequence(
        self,
        node: Node,
        items: Sequence[Matched],
        changes: Mapping[int, list[TextChange]],
        quote: str,
    ) -> list[TextChange]:
        spans = [(item.start, item.end) for item in node.items]
        kept = [
            (item.old, "") if item.old is not None else (None, yaml.flow(item.value, quote))
            for item in items
        ]
        return self._flow(node, spans, kept, changes)

    def _flow(
        self,
        node: Node,
        spans: Sequence[tuple[int, int]],
        wanted: Sequence[tuple[int | None, str]],
        changes: Mapping[int, list[TextChange]],
    ) -> list[TextChange]:
        if [index for index, _ in wanted] == list(range(len(spans))):
            return [change for each in changes.values() for change in each]
        text = self._source.text
        kept = [
            Kept(None, new)
            if index is None
            else Kept(index, spliced(text, changes.get(index, ()), *spans[index]))
            for index, new in wanted
        ]
        return [rebuilt(text, node, spans, kept, self._source.newline)]


Pointer = tuple[str, str]
"""A section of a document, `spec` or `extra`, and a field of it."""


def set_fields(data: bytes, edits: Mapping[int, Mapping[Pointer, FieldEdit]]) -> bytes:
    """The bytes of a file with other values of some fields.

    A field that is not there is added behind the last one of its section.

    Args:
        data: the file.
        edits: what is wanted, by the number of the document in the file, as `Document.number`.

    Raises:
        NotEditableError: it cannot be done without changing something else; the text says why.
    """
    documents = parsed(data)
    values = {document.number: document.value for document in documents}
    text = data.decode()
    head = BOM if text.startswith(BOM) else ""  # the parser does not count it
    body = text.removeprefix(BOM)
    trees = roots(body)
    source = Source(body)
    editing = Editing(source)
    changes: list[TextChange] = []
    for number, wanted in edits.items():
        value = values.get(number)
        if not isinstance(value, dict) or trees[number].shape is not Shape.MAPPING:
            raise NotEditableError("the document is not written out as a mapping")
        try:
            made = _changes(editing, trees[number], value, _by_section(wanted))
        except ValueError as error:  # NotWritableError, or JSON has no such number
            raise NotEditableError(str(error)) from error
        _check_anchors(source, trees[number], made)
        values[number] = _with(value, wanted)
        changes += made
    edited = (head + spliced(body, changes)).encode()
    expected = [document._replace(value=values[document.number]) for document in documents]
    if said(parsed(edited)) != said(expected):
        raise NotEditableError("with the change, the file would not say the same")
    return edited


def _by_section(wanted: Mapping[Pointer, FieldEdit]) -> dict[str, dict[str, FieldEdit]]:
    sections: dict[str, dict[str, FieldEdit]] = {}
    for (section, field), want in wanted.items():
        sections.setdefault(section, {})[field] = want
    return sections


def _with(value: Mapping[str, JSON], wanted: Mapping[Pointer, FieldEdit]) -> dict[str, JSON]:
    """What a document says once the fields are set."""
    result = dict(value)
    for (section, field), want in wanted.items():
        fields = dict(result.get(section) or {})
        if want.value is ABSENT:
            fields.pop(field, None)
        else:
            fields[field] = settled(fields.get(field), want)
        result[section] = fields
    return result


def _changes(
    editing: Editing,
    root: Node,
    value: Mapping[str, JSON],
    sections: Mapping[str, Mapping[str, FieldEdit]],
) -> list[TextChange]:
    changes: list[TextChange] = []
    missing: dict[str, FieldEdit] = {}
    for section, fields in sections.items():
        old = value.get(section)
        if isinstance(old, dict):
            changes += editing.section(root, section, old, fields)
        else:
            new = {name: want.value for name, want in fields.items() if want.value is not ABSENT}
            missing[section] = FieldEdit(new)
    return changes + (editing.mapping(root, value, missing) if missing else [])


def _check_anchors(source: Source, root: Node, changes: Sequence[TextChange]) -> None:
    """Stops if a value would be changed that is repeated where it shall stay.

    Raises:
        NotEditableError: naming the anchor and a line that repeats it.
    """
    marked: dict[str, Node] = {}
    for node in nodes(root):
        if node.anchor is not None:
            marked[node.anchor] = node
        elif node.shape is Shape.ALIAS and not _is_within(node, changes):
            original = marked[node.text]
            if any(_touches(change, original) for change in changes):
                line = source.number(node.start) + 1
                raise NotEditableError(
                    f"the value is marked &{node.text}, and line {line} repeats it"
                )


def _is_within(node: Node, changes: Sequence[TextChange]) -> bool:
    return any(change.start <= node.start and node.end <= change.end for change in changes)


def _touches(change: TextChange, node: Node) -> bool:
    return change.start < node.end and (change.end > node.start or change.start > node.start)
