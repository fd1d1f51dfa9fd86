"""Setting fields of manifests in the text they stand in.

Rule: nothing but what says the old value is replaced; comments, order, quotes and line breaks stay.
What comes out is parsed again, and must say exactly what was wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.changes import Change, spliced
from reconciler.manifest.edit import NotEditableError, parsed, said
from reconciler.manifest.editing import Editing
from reconciler.manifest.layout import Node, Shape, nodes, roots
from reconciler.manifest.source import BOM, Source
from reconciler.manifest.wanted import ABSENT, Wanted, settled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.model import JSON

Pointer = tuple[str, str]
"""A section of a document, `spec` or `extra`, and a field of it."""


def set_fields(data: bytes, edits: Mapping[int, Mapping[Pointer, Wanted]]) -> bytes:
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
    changes: list[Change] = []
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


def _by_section(wanted: Mapping[Pointer, Wanted]) -> dict[str, dict[str, Wanted]]:
    sections: dict[str, dict[str, Wanted]] = {}
    for (section, field), want in wanted.items():
        sections.setdefault(section, {})[field] = want
    return sections


def _with(value: Mapping[str, JSON], wanted: Mapping[Pointer, Wanted]) -> dict[str, JSON]:
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
    sections: Mapping[str, Mapping[str, Wanted]],
) -> list[Change]:
    changes: list[Change] = []
    missing: dict[str, Wanted] = {}
    for section, fields in sections.items():
        old = value.get(section)
        if isinstance(old, dict):
            changes += editing.section(root, section, old, fields)
        else:
            new = {name: want.value for name, want in fields.items() if want.value is not ABSENT}
            missing[section] = Wanted(new)
    return changes + (editing.mapping(root, value, missing) if missing else [])


def _check_anchors(source: Source, root: Node, changes: Sequence[Change]) -> None:
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


def _is_within(node: Node, changes: Sequence[Change]) -> bool:
    return any(change.start <= node.start and node.end <= change.end for change in changes)


def _touches(change: Change, node: Node) -> bool:
    return change.start < node.end and (change.end > node.start or change.start > node.start)
