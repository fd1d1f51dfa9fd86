"""Writing the ids of monitors into the manifests that are bound to them."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from reconciler import manifests
from reconciler.core.model import DEFAULT_ACCOUNT
from reconciler.errors import ConfigurationError, Diagnostic
from reconciler.manifests.editor import insert_ids, set_fields
from reconciler.manifests.edits import FieldEdit, NotEditableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model import JSON, Desired
    from reconciler.usecases.load import Sources
    from reconciler.usecases.plan import Workspace


def write_ids(workspace: Workspace, bound: Mapping[str, int]) -> Iterator[str]:
    """Adds `metadata.id` to every planned manifest that has none and is bound to a monitor.

    A manifest that other accounts use, or whose ids are by account, gets one in `metadata.ids`.
    All else in the files stays as it is, to the byte. Yields a sentence for each file that was
    written, and for each manifest that could not be.
    """
    files: dict[str, list[tuple[Desired, int]]] = {}
    for desired in workspace.targeted:
        number = bound.get(desired.address)
        if desired.id is None and number is not None:
            files.setdefault(desired.origin.path, []).append((desired, number))
    for path, wanted in sorted(files.items()):
        with _WRITING:
            said = tuple(_write(path, wanted, workspace.fleet.sources))
        yield from said


_WRITING = Lock()
"""Accounts that are applied at once write into the same shared files."""


def _write(path: str, wanted: list[tuple[Desired, int]], sources: Sources) -> Iterator[str]:
    original = manifests.read(path)
    if isinstance(original, Diagnostic):
        yield f"{original}; the ids are in the state."
        return
    ids: dict[int, int] = {}
    addresses = _addresses(path, original)
    for desired, number in wanted:
        if addresses.get(desired.origin.document) == (desired.kind.name, desired.name):
            ids[desired.origin.document] = number
        else:
            reason = "the file has changed meanwhile"
            yield f"{desired.origin}: id {number} was not written: {reason}; it is in the state."
    wanted = [(desired, number) for desired, number in wanted if desired.origin.document in ids]
    data = original
    try:
        data = _inserted(original, wanted, sources)
    except NotEditableError:
        for desired, number in wanted:  # one that cannot be written shall not keep the others out
            try:
                data = _inserted(data, [(desired, number)], sources)
            except NotEditableError as error:
                del ids[desired.origin.document]
                yield f"{desired.origin}: id {number} was not written: {error}; it is in the state."
    if not ids:
        return
    try:
        manifests.write(path, data, original)
    except ConfigurationError as error:
        yield f"{error}. The ids are in the state."
        return
    for key in ("id", "ids"):
        written = [
            f"{id_} of {item.address}"
            for item, id_ in wanted
            if item.origin.document in ids and _key(item, sources) == key
        ]
        if written:
            yield f"{path}: wrote metadata.{key} {', '.join(written)}."


def _key(desired: Desired, sources: Sources) -> str:
    """Where an id is written."""
    is_shared = bool(desired.layer or sources.twin)
    is_shared = is_shared and sources.account != DEFAULT_ACCOUNT
    return "ids" if is_shared or "ids" in desired.id_at else "id"


def _inserted(data: bytes, wanted: list[tuple[Desired, int]], sources: Sources) -> bytes:
    """The bytes of a file with the ids.

    Raises:
        NotEditableError: one cannot be written.
    """
    ids: dict[int, dict[tuple[str, str], FieldEdit]] = {}
    documents = {item.number: item.value for item in manifests.Parser().parse("", data)[0]}
    for desired, number in wanted:
        document = desired.origin.document
        if _key(desired, sources) == "ids":
            known = documents[document]["metadata"].get("ids") or {}
            edit = FieldEdit({**known, sources.account: number}, after="name")
            ids[document] = {("metadata", "ids"): edit}
    data = set_fields(data, ids) if ids else data
    alone = {
        desired.origin.document: number
        for desired, number in wanted
        if desired.origin.document not in ids
    }
    return insert_ids(data, alone) if alone else data


def _addresses(path: str, data: bytes) -> dict[int, tuple[JSON, JSON]]:
    """Kind and name in each manifest of a file, by the number of its document."""
    documents, _ = manifests.Parser().parse(path, data)
    values = {item.number: item.value for item in documents if isinstance(item.value, dict)}
    return {
        number: (value.get("kind"), value["metadata"].get("name"))
        for number, value in values.items()
        if isinstance(value.get("metadata"), dict)
    }
