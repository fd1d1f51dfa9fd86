"""Where a value is written, so that it counts for one account and for no other.

Rule: what other accounts use is never edited. A value that a shared manifest says, or defaults over
one, is written into an Override in the account's own folder. A variable is never replaced by a
value where it stands, since what else it is used for is not ours to tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.inheritance import INHERIT
from reconciler.manifests.editor import set_fields, without_documents
from reconciler.manifests.edits import ABSENT, FieldEdit, NotEditableError, parsed, said
from reconciler.manifests.formatter import still_tidy
from reconciler.manifests.writer import document
from reconciler.schema import API_VERSION, OVERRIDE
from reconciler.usecases.overrides import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.core.model import JSON, Desired, Origin
    from reconciler.manifests.formatter import Orders
    from reconciler.usecases.load import Sources


FILE = "overrides.yaml"
"""The file in the account's own folder that new Overrides are written into."""


class Spot(NamedTuple):
    """The document that a value is written into.

    Attributes:
        path: its file.
        document: its number there; None for a new Override, at the end of the file.
        address: of the manifest.
        is_override: whether it is an Override.
        is_said: whether the value that counts so far stands there too.
    """

    path: str
    document: int | None
    address: str
    is_override: bool
    is_said: bool


def spot_of(desired: Desired, field: str, sources: Sources) -> Spot:
    """Where another value of a field of `spec` or `extra` is written."""
    overridden = desired.overridden.get(field)
    origin: Origin | None = desired.origin
    is_override = bool(desired.layer or overridden)
    is_said = field in (*desired.fields, *desired.secrets) and field not in desired.inherited
    if is_override:
        is_said = overridden is not None and not sources.shared(overridden.path)
        origin = overridden if is_said else desired.override_at
    if origin is None:
        path = str(Path(sources.folders[-1], FILE))
        return Spot(path, None, desired.address, is_override, is_said)
    return Spot(origin.path, origin.document, desired.address, is_override, is_said)


def why_varies(desired: Desired, field: str, spot: Spot) -> str:
    """Why a value must not be written there: it comes from variables; empty if it does not."""
    names = desired.variables.get(field) if spot.is_said else None
    if not names:
        return ""
    said = ", ".join(f"${{{name}}}" for name in names)
    return f"its value comes from {said}; change the variable, or write the value by hand"


def edited(
    data: bytes | None,
    edits: Mapping[Spot, Mapping[tuple[str, str], FieldEdit]],
    orders: Callable[[JSON], Orders],
) -> bytes:
    """The bytes of a file with other values of some fields.

    Keys that were in order still are. An Override that would override nothing any more leaves with
    its last field.

    Args:
        data: the file; None if there is none yet.
        edits: what is wanted, by the document.
        orders: the order of the keys of a document.

    Raises:
        NotEditableError: it cannot be done; the text says why.
    """
    result = data or b""
    old = {spot.document: fields for spot, fields in edits.items() if spot.document is not None}
    if old:
        values = {item.number: item.value for item in parsed(result)}
        overrides = {spot.document for spot in edits if spot.is_override}
        over = {
            number
            for number, fields in old.items()
            if number in overrides and not _is_left(values[number], fields)
        }
        stay = {number: dict(fields) for number, fields in old.items() if number not in over}
        result = set_fields(result, stay) if stay else result
        result = without_documents(result, over) if over else result
    for spot, fields in edits.items():
        if spot.document is None:
            result = _with_override(result, spot.address, fields)
    return still_tidy(data or b"", result, orders)


def _is_left(value: JSON, fields: Mapping[tuple[str, str], FieldEdit]) -> bool:
    """Whether a document names a field after some edits."""
    named = {(section, name) for section in SECTIONS for name in value.get(section) or ()}
    gone = {pointer for pointer, edit in fields.items() if edit.value is ABSENT}
    return bool((named | fields.keys()) - gone)


def _with_override(data: bytes, address: str, fields: Mapping[tuple[str, str], FieldEdit]) -> bytes:
    """The file with a new Override at its end."""
    value: dict[str, JSON] = {"apiVersion": API_VERSION, "kind": OVERRIDE, "address": address}
    for (section, field), edit in fields.items():
        said_now = {INHERIT: False} if edit.value is ABSENT else edit.value
        value[section] = {**value.get(section, {}), field: said_now}
    try:
        text = document(value)
    except ValueError as error:  # NotWritableError, or JSON has no such number
        raise NotEditableError(str(error)) from error
    end = b"" if not data or data.endswith(b"\n") else b"\n"
    result = data + end + (b"---\n" if data else b"") + text.encode()
    before = [canonical for _, canonical in said(parsed(data))] if data else []
    if [canonical for _, canonical in said(parsed(result))][:-1] != before:
        raise NotEditableError("the edit would also change other values")
    return result
