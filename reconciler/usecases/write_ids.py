"""Writing the ids of monitors into the manifests that are bound to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import manifests
from reconciler.errors import ConfigurationError, Diagnostic
from reconciler.manifests.editor import insert_ids
from reconciler.manifests.edits import NotEditableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model import JSON, Desired
    from reconciler.usecases.plan import Workspace


def write_ids(workspace: Workspace, bound: Mapping[str, int]) -> Iterator[str]:
    """Adds `metadata.id` to every planned manifest that has none and is bound to a monitor.

    All else in the files stays as it is, to the byte. Yields a sentence for each file that was
    written, and for each manifest that could not be.
    """
    files: dict[str, list[tuple[Desired, int]]] = {}
    for desired in workspace.targeted:
        number = bound.get(desired.address)
        if desired.id is None and number is not None:
            files.setdefault(desired.origin.path, []).append((desired, number))
    for path, wanted in sorted(files.items()):
        yield from _write(path, wanted)


def _write(path: str, wanted: list[tuple[Desired, int]]) -> Iterator[str]:
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
            reason = "the file was changed meanwhile"
            yield f"{desired.origin}: id {number} is not written: {reason}; it is in the state."
    wanted = [(desired, number) for desired, number in wanted if desired.origin.document in ids]
    data = original
    try:
        data = insert_ids(original, ids)
    except NotEditableError:
        for desired, number in wanted:  # one that cannot be written shall not keep the others out
            try:
                data = insert_ids(data, {desired.origin.document: number})
            except NotEditableError as error:
                del ids[desired.origin.document]
                yield f"{desired.origin}: id {number} is not written: {error}; it is in the state."
    if not ids:
        return
    try:
        manifests.write(path, data, original)
    except ConfigurationError as error:
        yield f"{error}. The ids are in the state."
        return
    written = [f"{item.address} {id_}" for item, id_ in wanted if item.origin.document in ids]
    yield f"{path}: wrote metadata.id of {', '.join(written)}."


def _addresses(path: str, data: bytes) -> dict[int, tuple[JSON, JSON]]:
    """Kind and name in each manifest of a file, by the number of its document."""
    documents, _ = manifests.Parser().parse(path, data)
    values = {item.number: item.value for item in documents if isinstance(item.value, dict)}
    return {
        number: (value.get("kind"), value["metadata"].get("name"))
        for number, value in values.items()
        if isinstance(value.get("metadata"), dict)
    }
