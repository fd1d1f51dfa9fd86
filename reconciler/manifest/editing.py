"""The changes of a text that give one of its values another one.

Rule: what is the same in both is not touched, at any depth.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.manifest import blocks
from reconciler.manifest import text as yaml
from reconciler.manifest.brackets import Kept, rebuilt
from reconciler.manifest.changes import Change, spliced
from reconciler.manifest.edit import NotEditableError
from reconciler.manifest.layout import Node, Shape
from reconciler.manifest.replacing import Place, replaced
from reconciler.manifest.wanted import ABSENT, Matched, Wanted, matched, settled
from reconciler.model import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.manifest.layout import Entry
    from reconciler.manifest.source import Source
    from reconciler.model import JSON

_COLON = re.compile(r"\s*:")


class Editing:
    """Finds the changes for one text; makes none."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def section(
        self, root: Node, name: str, old: Mapping[str, JSON], fields: Mapping[str, Wanted]
    ) -> list[Change]:
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
        wanted: Mapping[str, Wanted],
        place: Place | None = None,
    ) -> list[Change]:
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
        changes: dict[int, list[Change]] = {}
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
        lines = blocks.without_entries(self._source, node, removed)
        lines += blocks.with_entries(self._source, node, added)
        return [*lines, *(change for each in changes.values() for change in each)]

    def _place(self, node: Node, entry: Entry) -> Place:
        """Where the value of an entry stands."""
        found = _COLON.match(self._source.text, entry.key.end)
        if found is None:
            raise NotEditableError(f"the key {entry.key.text} has no colon that can be found")
        quote = entry.key.style if node.is_flow else ""
        return Place(found.end(), self._source.column(node.begin), node.is_flow, quote)

    def _value(self, node: Node, old: JSON, want: Wanted, place: Place) -> list[Change]:
        new = settled(old, want)
        if canonical(new) == canonical(old):
            return []
        if new and (node.is_flow or not place.in_flow):
            if node.shape is Shape.MAPPING and isinstance(new, dict):
                wanted = {name: Wanted(value) for name, value in new.items()}
                gone = {name: Wanted(ABSENT) for name in old if name not in new}
                return self.mapping(node, old, wanted | gone, place)
            if node.shape is Shape.SEQUENCE and isinstance(new, list):
                return self._sequence(node, old, want, place)
        return replaced(self._source, node, new, place)

    def _sequence(
        self, node: Node, old: Sequence[JSON], want: Wanted, place: Place
    ) -> list[Change]:
        dashes = [node.begin] * len(old) if node.is_flow else blocks.dashes(self._source, node)
        if dashes is None:
            return replaced(self._source, node, settled(old, want), place)
        items = matched(old, want)
        changes: dict[int, list[Change]] = {}
        for index, value in items:
            if index is not None:
                dash = dashes[index]
                within = Place(dash + 1, self._source.column(dash), node.is_flow, place.quote)
                changes[index] = self._value(node.items[index], old[index], Wanted(value), within)
        if node.is_flow:
            return self._flow_sequence(node, items, changes, place.quote)
        return [
            *blocks.without_items(self._source, node, dashes, changes.keys()),
            *blocks.with_items(self._source, node, dashes, items),
            *(change for each in changes.values() for change in each),
        ]

    def _flow_mapping(
        self,
        node: Node,
        changes: Mapping[int, list[Change]],
        removed: set[int],
        added: Mapping[str, JSON],
    ) -> list[Change]:
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
        changes: Mapping[int, list[Change]],
        quote: str,
    ) -> list[Change]:
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
        changes: Mapping[int, list[Change]],
    ) -> list[Change]:
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
