"""What `mv --json` and `set --json` print: how manifests are edited, and where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model import JSON

FORMAT_VERSION = "1.0"


class EditedField(NamedTuple):
    """What one field of one manifest is to say.

    Attributes:
        path: the file that the manifest stands in, before it is moved.
        field: with its section, as in `spec.port`.
        is_removed: whether the manifest is to name it no more; then there is no value.
    """

    address: str
    path: str
    field: str
    value: JSON = None
    is_removed: bool = False

    def to_json(self) -> JSON:
        """One of `fields`."""
        found = {"address": self.address, "path": self.path, "field": self.field}
        return found | ({"removed": True} if self.is_removed else {"value": self.value})


class EditReport(NamedTuple):
    """What is to be written.

    Attributes:
        moves: by the path of each file that is moved, where it goes.
        is_written: whether it was.
    """

    moves: Mapping[str, str]
    fields: tuple[EditedField, ...]
    is_written: bool

    def to_json(self) -> JSON:
        """What `schemas/edits.schema.json` describes."""
        return {
            "format_version": FORMAT_VERSION,
            "written": self.is_written,
            "moves": [{"from": source, "to": target} for source, target in self.moves.items()],
            "fields": [item.to_json() for item in self.fields],
        }
