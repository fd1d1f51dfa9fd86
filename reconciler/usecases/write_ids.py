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
    documents, _ = manifests.Parser().parse(path, original)
    values = {item.number: item.value for item in documents}
    there: list[tuple[Desired, int]] = []
    for desired, number in wanted:
        match values.get(desired.origin.document):
            case {"kind": desired.kind.name, "metadata": {"name": desired.name}}:
                there.append((desired, number))
            case _:
                reason = "the file has changed meanwhile"
                yield (
                    f"{desired.origin}: id {number} was not written: {reason}; it is in the state."
                )
    try:
        data, written = _inserted(original, there, values, sources), there
    except NotEditableError:
        data, written = original, []
        for desired, number in there:  # one that cannot be written shall not keep the others out
            try:
                data = _inserted(data, [(desired, number)], values, sources)
            except NotEditableError as error:
                yield f"{desired.origin}: id {number} was not written: {error}; it is in the state."
            else:
                written.append((desired, number))
    if not written:
        return
    try:
        manifests.write(path, data, original)
    except ConfigurationError as error:
        yield f"{error}. The ids are in the state."
        return
    for key in ("id", "ids"):
        named = [f"{id_} of {it.address}" for it, id_ in written if _key(it, sources) == key]
        if named:
            yield f"{path}: wrote metadata.{key} {', '.join(named)}."


def _key(desired: Desired, sources: Sources) -> str:
    """Where an id is written."""
    is_shared = bool(desired.layer or sources.twin) and sources.account != DEFAULT_ACCOUNT
    return "ids" if is_shared or "ids" in desired.id_at else "id"


def _inserted(
    data: bytes,
    wanted: list[tuple[Desired, int]],
    values: Mapping[int, JSON],
    sources: Sources,
) -> bytes:
    """The bytes of a file with the ids; `values` are those of its documents, by their numbers.

    Raises:
        NotEditableError: one cannot be written.
    """
    ids: dict[int, dict[tuple[str, str], FieldEdit]] = {}
    alone: dict[int, int] = {}
    for desired, number in wanted:
        document = desired.origin.document
        if _key(desired, sources) == "ids":
            known = values[document]["metadata"].get("ids") or {}
            edit = FieldEdit({**known, sources.account: number}, after="name")
            ids[document] = {("metadata", "ids"): edit}
        else:
            alone[document] = number
    data = set_fields(data, ids) if ids else data
    return insert_ids(data, alone) if alone else data
