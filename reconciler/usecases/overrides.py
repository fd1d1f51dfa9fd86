"""Overrides: what one account says of a manifest that it does not write itself.

Rule: an Override names an address and the fields that differ. It counts for a manifest of its own
layer or an earlier one, and more than any default; of two, that of the later layer counts. One
that overrides nothing is a fault, and so are two that say the same field in one layer, since
nothing would tell which of them counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.nearest import did_you_mean
from reconciler.errors import Diagnostic, Problem
from reconciler.schema import OVERRIDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model import JSON, Origin
    from reconciler.manifests import Document, Locator
    from reconciler.schema import Schemas


SECTIONS = ("spec", "extra")


class Given(NamedTuple):
    """A field as another document than the manifest gives it.

    Attributes:
        value: the value, or what is said of the one so far (see `core/inheritance.py`).
        origin: the Override, or the Defaults document.
    """

    section: str
    field: str
    value: JSON
    origin: Origin
    is_override: bool


class Overrides:
    """All Overrides of a workspace."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._given: dict[str, dict[int, dict[tuple[str, str], Given]]] = {}
        self._places: dict[tuple[str, int], list[Document]] = {}

    def __bool__(self) -> bool:
        return bool(self._given)

    def add(self, document: Document, layer: int) -> Iterator[Problem]:
        """Takes in an Override of a layer; yields what is wrong with it."""
        value: Mapping[str, JSON] = document.value
        problems = tuple(self._schemas.explain_other(OVERRIDE, value))
        yield from problems
        if problems:
            return
        if not any(value.get(section) for section in SECTIONS):
            message = "this overrides nothing; write the fields that differ under spec"
            yield Problem(("address",), "overrides-nothing", message)
            return
        address = value["address"]
        fields = self._given.setdefault(address, {}).setdefault(layer, {})
        self._places.setdefault((address, layer), []).append(document)
        for section in SECTIONS:
            for field, said in value.get(section, {}).items():
                given = Given(section, field, said, document.origin, is_override=True)
                first = fields.setdefault((section, field), given)
                if first is not given:
                    message = (
                        f"{section}.{field} of {address} is already overridden in this layer, at "
                        f"{first.origin}; remove one"
                    )
                    yield Problem((section, field), "duplicate-override", message, of_key=True)

    def of(self, address: str, layer: int) -> Iterator[Given]:
        """What counts for a manifest of that layer, what counts more last."""
        layers = self._given.get(address, {})
        for number in sorted(layers):
            if number >= layer:
                yield from layers[number].values()

    def last(self, address: str, layer: int) -> Origin | None:
        """The last Override of an address in a layer."""
        documents = self._places.get((address, layer))
        return documents[-1].origin if documents else None

    def unused(self, described: Mapping[str, int], locator: Locator) -> Iterator[Diagnostic]:
        """A finding for each Override of nothing.

        Args:
            described: the addresses that there are, and the first layer that describes each.
            locator: finds the places.
        """
        for (address, layer), documents in self._places.items():
            if described.get(address, layer + 1) <= layer:
                continue
            if address in described:
                message = f"{address} is described in a later layer; write the fields there"
            else:
                known = did_you_mean(address, sorted(described))
                message = f"this overrides nothing: no manifest describes {address}{known}"
            for document in documents:
                place = locator.position(document.origin, ("address",))
                yield Diagnostic(place, "overrides-nothing", message)
