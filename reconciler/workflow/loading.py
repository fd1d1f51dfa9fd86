"""Reading the manifests of a workspace, with every finding at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler import manifest
from reconciler.errors import Diagnostic, InvalidManifestsError, Position
from reconciler.model import SECRET_REF, Desired, Origin, secret_refs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.model import JSON, Kind
    from reconciler.schema import Schemas
    from reconciler.secrets import Vault


class Fleet(NamedTuple):
    """Every manifest of a workspace, valid, with unique addresses and ids."""

    desired: tuple[Desired, ...]
    files: int


def load_fleet(paths: Sequence[str], schemas: Schemas) -> Fleet:
    """Finds, reads and checks the manifests.

    Raises:
        ConfigurationError: there are no manifests to read.
        InvalidManifestsError: with every finding of all files.
    """
    parser, locator = manifest.Parser(), manifest.Locator()
    desired: list[Desired] = []
    findings: list[Diagnostic] = []
    files = manifest.find(paths)
    for path in files:
        data = manifest.read(path)
        if isinstance(data, Diagnostic):
            findings.append(data)
            continue
        documents, faults = parser.parse(path, data)
        findings += faults
        for document in documents:
            if kind := schemas.accept(document.value):
                desired.append(_desired(kind, document))
            else:
                known = {fault.position for fault in faults}
                explained = _explain(document, locator, schemas)
                findings += [item for item in explained if item.position not in known]
    findings += _duplicates(desired, locator)
    if findings:
        raise InvalidManifestsError(tuple(sorted(set(findings))))
    return Fleet(tuple(desired), len(files))


def require_secrets(wanted: Iterable[tuple[Desired, str]], vault: Vault) -> None:
    """Stops if a secret that would be used is not to be had.

    Args:
        wanted: manifests, and the names of their fields with a secret.
        vault: what resolves them.

    Raises:
        InvalidManifestsError: with a finding for each of them, at its place in the manifest.
    """
    locator = manifest.Locator()
    findings = []
    for desired, field in wanted:
        for path, ref in secret_refs(desired.secrets[field]):
            if failure := vault.failure(ref):
                place = _secret_place(locator, desired, field, path)
                findings.append(Diagnostic(place, "missing-secret", failure))
    if findings:
        raise InvalidManifestsError(tuple(sorted(set(findings))))


def _secret_place(
    locator: manifest.Locator, desired: Desired, field: str, path: tuple[str | int, ...]
) -> Position:
    """Where a secretRef stands: its field is under `spec`, or else under `extra`."""
    section = "spec" if field in desired.kind.fields else "extra"
    return locator.position(
        desired.origin.path, desired.origin.document, (section, field, *path, SECRET_REF)
    )


def _desired(kind: Kind, document: manifest.Document) -> Desired:
    value = document.value
    metadata = value["metadata"]
    fields = value["spec"] | value["extra"] if "extra" in value else value["spec"]
    secrets = _secrets(fields) if "extra" in value or dict in map(type, fields.values()) else {}
    return Desired(
        kind=kind,
        name=metadata["name"],
        id=int(metadata["id"]) if "id" in metadata else None,  # JSON Schema takes 7.0 for one
        labels=metadata.get("labels", {}),
        fields=_without(fields, secrets) if secrets else fields,
        origin=Origin(document.path, document.number, document.line),
        secrets=secrets,
    )


def _secrets(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    """The fields that hold a secretRef."""
    return {name: value for name, value in fields.items() if next(secret_refs(value), None)}


def _without(fields: Mapping[str, JSON], secrets: Mapping[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in fields.items() if name not in secrets}


def _explain(
    document: manifest.Document, locator: manifest.Locator, schemas: Schemas
) -> Iterator[Diagnostic]:
    for problem in schemas.explain(document.value):
        position = locator.position(
            document.path, document.number, problem.pointer, of_key=problem.of_key
        )
        yield Diagnostic(position, problem.code, problem.message)


def _duplicates(desired: Sequence[Desired], locator: manifest.Locator) -> Iterator[Diagnostic]:
    def position(item: Desired, key: str) -> Position:
        return locator.position(item.origin.path, item.origin.document, ("metadata", key))

    addresses: dict[str, Desired] = {}
    ids: dict[int, Desired] = {}
    for item in desired:
        first = addresses.setdefault(item.address, item)
        if first is not item:
            other = position(first, "name")
            message = f"{item.address} is already described at {other}; give one another name"
            yield Diagnostic(position(item, "name"), "duplicate-address", message)
        if item.id is None:
            continue
        first = ids.setdefault(item.id, item)
        if first is not item:
            other = position(first, "id")
            message = f"monitor {item.id} is already bound by {first.address} at {other}"
            yield Diagnostic(position(item, "id"), "duplicate-id", message)
