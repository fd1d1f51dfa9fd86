"""One manifest as it counts: with the values that it gets from defaults, and where each stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler import manifests
from reconciler.core.nearest import did_you_mean
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.variables import fill
from reconciler.errors import Diagnostic, InvalidManifestsError, UsageError
from reconciler.manifests.writer import INDENT, entry
from reconciler.usecases.fmt import Ordering
from reconciler.usecases.why import places_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model import JSON, Desired
    from reconciler.schema import Schemas
    from reconciler.usecases.load import Fleet


FORMAT_VERSION = "1.1"
"""Of the JSON: the minor number grows with additions, the major with anything else."""
_SECTIONS = ("spec", "extra")


class Effective(NamedTuple):
    """A manifest with its defaults.

    Attributes:
        manifest: what it says, by section; secrets are references.
        places: where each field stands, as path:line:column.
    """

    desired: Desired
    manifest: Mapping[str, JSON]
    places: Mapping[str, str]

    def to_json(self) -> dict[str, JSON]:
        """What `schemas/render.schema.json` describes."""
        desired = self.desired
        return {
            "format_version": FORMAT_VERSION,
            "address": desired.address,
            "origin": desired.origin._asdict(),
            "layer": desired.layer,
            "manifest": dict(self.manifest),
            "origins": {
                field: {
                    "place": place,
                    "is_default": field in desired.inherited,
                    "is_override": field in desired.overridden,
                    "variables": list(desired.variables.get(field, ())),
                }
                for field, place in self.places.items()
                if field in desired.fields or field in desired.secrets
            },
        }

    def to_yaml(self) -> Lines:
        """The manifest as YAML; a comment behind each field says where that stands."""
        return joined(self._lines())

    def _lines(self) -> Iterator[str]:
        desired = self.desired
        shared = f", shared in {printable(desired.layer)}" if desired.layer else ""
        yield f"# {printable(desired.address)}: {printable(str(desired.origin))}{shared}"
        for section, value in self.manifest.items():
            if section not in _SECTIONS:
                yield from entry(section, value)
                continue
            yield f"{section}:" if value else f"{section}: {{}}"
            for field, item in value.items():
                first, *others = entry(field, item, INDENT)
                yield f"{first}  # {self._origin(field)}"
                yield from others

    def _origin(self, field: str) -> str:
        place = printable(self.places[field])
        if names := self.desired.variables.get(field):
            place += f", from {', '.join(f'${{{name}}}' for name in names)}"
        if field in self.desired.inherited:
            return f"default, {place}"
        if field in self.desired.overridden:
            return f"override, {place}"
        if appended := self.desired.appended.get(field):
            return f"{place}, added to the default at {printable(str(appended.origin))}"
        return place


def find_effective(fleet: Fleet, schemas: Schemas, address: str) -> Effective:
    """The manifest of that address, with its defaults.

    Raises:
        UsageError: no manifest has the address.
        InvalidManifestsError: the file cannot be read any more.
    """
    desired = fleet.by_address.get(address)
    if desired is None:
        raise UsageError(
            f"no manifest describes {address or '(empty)'}"
            f"{did_you_mean(address, sorted(fleet.by_address))}",
            "Use kind/name, as shown by reconciler list, or use an id.",
        )
    origin = desired.origin
    data = manifests.read(origin.path)
    if isinstance(data, Diagnostic):
        raise InvalidManifestsError((data,))
    documents, findings = manifests.Parser().parse(origin.path, data)
    said = {item.number: item.value for item in documents}
    if findings or origin.document not in said:
        place = manifests.Locator().position(origin, ())
        message = "the file changed while it was read; run the same command again"
        changed = Diagnostic(place, "changed-file", message)
        raise InvalidManifestsError(tuple(findings) or (changed,))
    value = fill(said[origin.document], fleet.sources.variables).value
    fields = {**desired.fields, **desired.secrets}
    spec = {name: item for name, item in fields.items() if name in desired.kind.fields}
    others = (*value.get("extra", ()), *fields.keys() - spec.keys())
    extra = {name: fields[name] for name in others}
    value = {**value, "spec": Ordering(schemas).sorted(desired.kind.name, spec)}
    return Effective(desired, {**value, "extra": extra} if extra else value, places_of(desired))
