"""Putting the keys of manifest files in the order of their schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler import manifests
from reconciler.core.variables import UNDEFINED
from reconciler.errors import Diagnostic, InvalidManifestsError
from reconciler.manifests.formatter import tidy
from reconciler.usecases.load import load_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.core.model import JSON
    from reconciler.manifests.formatter import Orders
    from reconciler.schema import Schemas


class Formatted(NamedTuple):
    """A file, and what it is to hold.

    Attributes:
        left: lines of mappings that are not in order and could not be put in order.
    """

    path: str
    original: bytes
    data: bytes
    left: tuple[int, ...]

    @property
    def is_changed(self) -> bool:
        """Whether it is to hold something else."""
        return self.data != self.original


class Ordering:
    """The order of keys, as the schemas list them."""

    def __init__(self, schemas: Schemas) -> None:
        documents = {**schemas.documents, **schemas.others}
        self._orders = {name: _orders(schema) for name, schema in documents.items()}

    def of(self, value: JSON) -> Orders:
        """The order of a document's keys and of those of its sections; nothing if not known."""
        return self._orders.get(value.get("kind"), {}) if isinstance(value, dict) else {}

    def sorted(self, kind: str, fields: Mapping[str, JSON]) -> dict[str, JSON]:
        """Fields of `spec` in order."""
        return {name: fields[name] for name in self._orders[kind]["spec"] if name in fields}


def find_findings(paths: Sequence[str], schemas: Schemas) -> tuple[Diagnostic, ...]:
    """The findings of all manifests, none of which is to be changed.

    Raises:
        ConfigurationError: there are no manifests to read.
    """
    try:
        load_fleet(paths, schemas)
    except InvalidManifestsError as error:
        return tuple(item for item in error.findings if item.code not in _OF_AN_ACCOUNT)
    return ()


_OF_AN_ACCOUNT = frozenset(
    {
        UNDEFINED,
        "missing-key",
        "nothing-to-append-to",
        "overrides-nothing",
        "duplicate-override",
        "duplicate-address",
        "duplicate-id",
    }
)
"""Findings that depend on which folders an account has; all folders are read here, as if they were
those of one. The order of keys is known all the same."""


def format_files(
    paths: Sequence[str], schemas: Schemas, findings: Sequence[Diagnostic]
) -> Iterator[Formatted]:
    """The files without findings, with their keys in order; writes nothing."""
    ordering = Ordering(schemas)
    faulty = {finding.position.path for finding in findings}
    for path in manifests.find(paths).files:
        data = manifests.read(path)
        if path not in faulty and not isinstance(data, Diagnostic):
            tidied = tidy(data, ordering.of)
            yield Formatted(path, data, tidied.data, tidied.left)


def _orders(schema: Mapping[str, JSON]) -> Orders:
    properties = schema["properties"]
    sections = {
        name: tuple(section["properties"])
        for name, section in properties.items()
        if "properties" in section
    }
    return {"": tuple(properties), **sections}
