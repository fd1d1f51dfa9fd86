"""Setting fields of manifests in the text they stand in.

Rule: nothing but what says the old value is replaced; comments, order, quotes and line breaks
stay, and what is the same in the old and the new value is not touched, at any depth. What comes
out is parsed again, and must say exactly what was wanted. ruamel.yaml's own round trip rewraps and
requotes lines that nobody touched.

An edit goes down two trees at once: what the document says, and the nodes that say where. As long
as both have the same shape it goes on inside; the smallest part that differs is replaced
(`scalar_style`), added or removed (`block_style`, `flow_style`). All changes are of the text as it
was, and none overlaps another, so that their order does not matter and all are made at the end.
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
    NotEditableError,
    TextChange,
    matched,
    parsed,
    said,
    settled,
    spliced,
)
from reconciler.manifests.flow_style import rearranged
from reconciler.manifests.positions import BOM, Node, Shape, Source, nodes, roots, without_mark
from reconciler.manifests.scalar_style import Place, replaced

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from reconciler.core.model import JSON
    from reconciler.manifests.positions import Entry


_COLON = re.compile(r"\s*:")
_HEAD = re.compile(rf"{BOM}?(?:[ \t]*(?:#[^\n]*)?\r?\n)*")
"""Lines without a value before the first document of a file."""
_MARKER = re.compile(r"^(?=---(?:\s|\Z))", re.MULTILINE)
"""Where a document begins: nothing else may stand so in YAML, not even in a text."""
_OPTIONAL = frozenset({"extra", "lifecycle"})
"""Sections that say nothing without a field, and so leave with their last one."""
Pointer = tuple[str, str]
"""A section of a document, such as `spec`, and a field of it."""


def set_fields(data: bytes, edits: Mapping[int, Mapping[Pointer, FieldEdit]]) -> bytes:
    """The bytes of a file with other values of some fields.

    Args:
        data: the file.
        edits: what is wanted, by the number of the document in the file, as `Document.number`.

    Raises:
        NotEditableError: it cannot be done without changing something else; the text says why.
    """
    documents = parsed(data)
    values = {document.number: document.value for document in documents}
    head, body = without_mark(data)
    trees = list(roots(body))
    source = Source(body)
    changes: list[TextChange] = []
    for number, wanted in edits.items():
        value = values.get(number)
        if not isinstance(value, dict) or trees[number].shape is not Shape.MAPPING:
            raise NotEditableError("the document is not a plain mapping")
        try:
            made, values[number] = _Editing(source).document(trees[number], value, wanted)
        except NotEditableError:
            raise
        except ValueError as error:  # NotWritableError, or JSON has no such number
            raise NotEditableError(str(error)) from error
        _check_anchors(source, trees[number], made)
        changes += made
    edited = (head + spliced(body, changes)).encode()
    expected = [document._replace(value=values[document.number]) for document in documents]
    if said(parsed(edited)) != said(expected):
        raise NotEditableError("the edit would also change other values")
    return edited


def insert_ids(data: bytes, ids: Mapping[int, int]) -> bytes:
    """The bytes of a file with `id: NUMBER` behind the name in the metadata of some documents.

    Args:
        data: the file.
        ids: by the number of the document in the file, as `Document.number`.

    Raises:
        NotEditableError: the metadata of one of them is not written out, or holds an id already.
    """
    values = {document.number: document.value for document in parsed(data)}
    for number in ids:
        value = values.get(number)
        metadata = value.get("metadata") if isinstance(value, dict) else None
        if not isinstance(metadata, dict):
            raise NotEditableError("there is no metadata in the document")
        for key in ("id", "<<"):  # what a merge key brings is not ours to tell
            if key in metadata:
                raise NotEditableError(f"metadata already has the key {key}")
    edits = {
        number: {("metadata", "id"): FieldEdit(id_, after="name")} for number, id_ in ids.items()
    }
    return set_fields(data, edits)


def without_documents(data: bytes, numbers: Collection[int]) -> bytes:
    """The bytes of a file without some documents and their comments; those at its head stay.

    Nothing is left of a file that would have no document.

    Raises:
        NotEditableError: where they begin and end cannot be told.
    """
    text = data.decode()
    head = _HEAD.match(text)
    start = head.end() if head else 0
    parts = [part for part in _MARKER.split(text[start:]) if part]
    kept = [part for number, part in enumerate(parts) if number not in numbers]
    result = (text[:start] + "".join(kept)).encode()
    stay = [document.value for document in parsed(data) if document.number not in numbers]
    if canonical([document.value for document in parsed(result)]) != canonical(stay):
        raise NotEditableError("the documents of the file cannot be told apart")
    return result if stay else b""


class _Editing:
    """Finds the changes for one text; makes none."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def document(
        self, root: Node, value: Mapping[str, JSON], wanted: Mapping[Pointer, FieldEdit]
    ) -> tuple[list[TextChange], dict[str, JSON]]:
        """The changes that set fields of a document, and what it says then.

        Raises:
            NotEditableError: a section or key is there, but not written out.
            NotWritableError: a value cannot be written.
        """
        sections: dict[str, dict[str, FieldEdit]] = {}
        for (section, field), want in wanted.items():
            sections.setdefault(section, {})[field] = want
        changes: list[TextChange] = []
        result, whole = dict(value), dict[str, FieldEdit]()
        for section, fields in sections.items():
            is_there = isinstance(value.get(section), dict)
            old = value[section] if is_there else {}
            new = old | {name: settled(old.get(name), want) for name, want in fields.items()}
            result[section] = {name: item for name, item in new.items() if item is not ABSENT}
            if not is_there:
                whole[section] = FieldEdit(result[section])
                continue
            entry = root.entry(section)
            if entry is None or entry.value.shape is not Shape.MAPPING:
                raise NotEditableError(f"{section} is not a plain mapping")
            inside = self._source.text[entry.key.end : entry.value.end].splitlines()[1:]
            has_comment = any(line.lstrip().startswith("#") for line in inside)
            if old and not result[section] and section in _OPTIONAL and not has_comment:
                del result[section]
                whole[section] = FieldEdit(ABSENT)
                continue
            changes += self._mapping(entry.value, old, fields, self._place(root, entry))
        return changes + (self._mapping(root, value, whole) if whole else []), result

    def _mapping(
        self,
        node: Node,
        old: Mapping[str, JSON],
        wanted: Mapping[str, FieldEdit],
        place: Place | None = None,
    ) -> list[TextChange]:
        """The changes that set, add and remove keys of a mapping."""
        removed: set[int] = set()
        added: dict[str, JSON] = {}
        within: list[TextChange] = []
        for name, want in wanted.items():
            entry = node.entry(name)
            if entry is not None and want.value is ABSENT:
                removed.add(node.entries.index(entry))
            elif entry is not None:
                within += self._value(entry.value, old[name], want, self._place(node, entry))
            elif name in old:
                raise NotEditableError(f"the key {name} is not a plain key")
            elif want.after is not None:
                within += self._beside(node, want.after, name, want.value)
            elif want.value is not ABSENT:
                added[name] = want.value
        if node.is_flow:
            spans = [entry.span for entry in node.entries]
            quote = node.entries[0].key.style if node.entries else ""
            kept = [(index, "") for index in range(len(spans)) if index not in removed]
            new = [(None, yaml.pair(name, value, quote)) for name, value in added.items()]
            return rearranged(self._source, node, spans, [*kept, *new]) + within
        if place is not None and not added and len(removed) == len(node.entries):
            return replaced(self._source, node, {}, place)
        lines = block_style.without_entries(self._source, node, removed)
        if added:
            lines += block_style.with_entries(self._source, node, added, node.entries[-1])
        return lines + within

    def _beside(self, node: Node, after: str, name: str, value: JSON) -> list[TextChange]:
        """The change that adds a key right behind another, whatever comments are around it."""
        entry = node.entry(after)
        if entry is None:
            raise NotEditableError(f"the key {after} is not a plain key")
        if node.is_flow:
            end = entry.value.end
            return [TextChange(end, end, f", {yaml.pair(name, value, entry.key.style)}")]
        return block_style.with_entries(self._source, node, {name: value}, entry)

    def _place(self, node: Node, entry: Entry) -> Place:
        """Where the value of an entry stands."""
        found = _COLON.match(self._source.text, entry.key.end)
        if found is None:
            raise NotEditableError(f"the key {entry.key.text} has no colon")
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
                return self._mapping(node, old, wanted | gone, place)
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
        within: list[TextChange] = []
        for index, value in items:
            if index is not None:
                dash = dashes[index]
                inside = Place(dash + 1, self._source.column(dash), node.is_flow, place.quote)
                within += self._value(node.items[index], old[index], FieldEdit(value), inside)
        if node.is_flow:
            spans = [(item.start, item.end) for item in node.items]
            wanted = [
                (index, yaml.flow(value, place.quote) if index is None else "")
                for index, value in items
            ]
            return rearranged(self._source, node, spans, wanted) + within
        return [
            *block_style.without_items(self._source, node, dashes, {item.old for item in items}),
            *block_style.with_items(self._source, node, dashes, items),
            *within,
        ]


def _check_anchors(source: Source, root: Node, changes: Sequence[TextChange]) -> None:
    """Stops if a value would be changed that is repeated where it shall stay.

    Raises:
        NotEditableError: naming the anchor and a line that repeats it.
    """
    marked: dict[str, Node] = {}
    for node in nodes(root):
        if node.anchor is not None:
            marked[node.anchor] = node
        if node.shape is not Shape.ALIAS or any(
            change.start <= node.start and node.end <= change.end for change in changes
        ):
            continue  # an alias that is replaced repeats nothing any more
        begin, end = marked[node.text].start, marked[node.text].end
        if any(
            change.start < end and (change.end > begin or change.start > begin)
            for change in changes
        ):
            line = source.number(node.start) + 1
            raise NotEditableError(f"the value is marked &{node.text}, and line {line} repeats it")
