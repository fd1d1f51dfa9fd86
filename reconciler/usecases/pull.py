"""Taking drift the other way: from AlertSite into the manifests.

Rule: AlertSite is only read. What a file would say is worked out before anybody is asked, and no
secret is ever written into one.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from reconciler import manifests
from reconciler.core.diff import Cause
from reconciler.core.inheritance import APPEND, INHERIT, appendix
from reconciler.core.inventory import Inventory
from reconciler.core.mask import passwords_in, shown
from reconciler.core.model import Origin
from reconciler.core.plan import Action
from reconciler.core.state import StateDelta
from reconciler.core.variables import escaped
from reconciler.errors import ConfigurationError, Diagnostic, Position
from reconciler.manifests.edits import ABSENT, FieldEdit, NotEditableError
from reconciler.manifests.writer import NotWritableError
from reconciler.manifests.writer import check as check_value
from reconciler.usecases.draft import fit, head, written
from reconciler.usecases.fmt import Ordering
from reconciler.usecases.layers import Spot, edited, spot_of, why_varies
from reconciler.usecases.plan import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from reconciler.alertsite import Reader
    from reconciler.core.model import JSON, Desired, Live
    from reconciler.core.plan import Change
    from reconciler.core.state import Record, State
    from reconciler.schema import Schemas
    from reconciler.usecases.draft import Pointer
    from reconciler.usecases.plan import Planned, Workspace


class Edit(NamedTuple):
    """A field of a manifest that is to say what AlertSite has.

    Attributes:
        after: JSON, or `ABSENT` where it cannot say that the field is unset.
        place: where it stands, or the section that it is added to.
        default: where its value came from so far, if that was a default.
        spot: the document that it is written into.
    """

    desired: Desired
    pointer: Pointer
    before: JSON
    after: JSON
    cause: Cause
    place: Position
    spot: Spot
    default: str = ""


class Skipped(NamedTuple):
    """A field that differs and cannot be written, why, and where its value stands."""

    desired: Desired
    field: str
    reason: str
    place: Position


class File(NamedTuple):
    """A file, and what it is to hold."""

    path: str
    original: bytes | None
    data: bytes
    edits: tuple[Edit, ...]


class Pull(NamedTuple):
    """What is to be written.

    Attributes:
        edited: fields that differ only because their manifests were edited.
        refused: manifests of which the plan cannot say what differs.
    """

    files: tuple[File, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    edited: int = 0
    refused: int = 0

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All of them."""
        return tuple(edit for file in self.files for edit in file.edits)


def look_without_secrets(workspace: Workspace, reader: Reader, state: State) -> Planned:
    """One look at AlertSite for which no secret need be at hand, since none is pulled.

    Raises:
        UsageError: a target matches no manifest.
        AlertSiteError: AlertSite cannot be read.
    """
    bare = {item.address: item._replace(secrets={}) for item in workspace.fleet.desired}
    fleet = workspace.fleet._replace(by_address=bare)
    # What it would do to AlertSite does not matter: nothing is sent.
    rules = workspace.rules._replace(may_strand=True)
    return look(workspace._replace(fleet=fleet, rules=rules), reader, state)


def find_pull(
    workspace: Workspace,
    found: Planned,
    state: State,
    *,
    take_all: bool,
    write_unknown: bool = False,
) -> Pull:
    """The edits that make the targeted manifests say what AlertSite has; writes nothing.

    Args:
        workspace: the manifests.
        found: the look at AlertSite.
        state: what was last applied, which tells drift from edits.
        take_all: also the fields that only Git moved.
        write_unknown: also texts that the schemas do not know and that nobody vouches for.
    """
    records = StateDelta(found.bound).of(state).records
    finding = _Finding(
        workspace, found.by_id, records, take_all=take_all, write_unknown=write_unknown
    )
    for change in found.plan.changes:
        finding.take(change)
    files = tuple(finding.files())
    return Pull(files, tuple(finding.skipped), finding.edited, len(found.plan.refusals))


def write(
    pull: Pull, noting: Callable[[str], AbstractContextManager[None]]
) -> Iterator[tuple[File, str]]:
    """Writes the files one by one; yields each with why it could not be written, or nothing.

    Each is written within what `noting` gives for its path.
    """
    for file in pull.files:
        try:
            with noting(file.path):
                manifests.write(file.path, file.data, file.original)
        except ConfigurationError as error:
            yield file, str(error)
        else:
            yield file, ""


class _Finding:
    """What has been found so far."""

    def __init__(
        self,
        workspace: Workspace,
        live: Mapping[int, Live],
        records: Mapping[str, Record],
        *,
        take_all: bool,
        write_unknown: bool,
    ) -> None:
        self.skipped: list[Skipped] = []
        self.edited = 0
        self._schemas = workspace.schemas
        self._ordering = Ordering(workspace.schemas)
        self._live = live
        self._desired = workspace.fleet.by_address
        self._sources = workspace.fleet.sources
        self._records = records
        self._held = Inventory((), records, ()).secrets
        self._redactor = workspace.vault.redactor
        self._take_all = take_all
        self._write_unknown = write_unknown
        self._locator = manifests.Locator()
        self._edits: dict[str, list[Edit]] = {}

    def take(self, change: Change) -> None:
        """Takes in the fields that one change is about."""
        desired = self._desired.get(change.address)
        if change.action is not Action.UPDATE or desired is None or change.id is None:
            return
        fields = [
            field
            for field in change.fields
            if field.sent_with is None and field.source is None and field.before_run is None
        ]
        self.edited += sum(field.before_run is not None for field in change.fields)
        drift = {Cause.DRIFT, Cause.BOTH}
        taken = [field for field in fields if self._take_all or field.cause in drift]
        self.edited += len(fields) - len(taken)
        if not taken:
            return
        live, causes = self._live[change.id], {field.field: field.cause for field in taken}
        wanted: dict[Pointer, list[JSON]] = {}  # the values that would do, the best first
        for name in causes:
            if reason := self._why_not(desired, name, live):
                self._skip(desired, name, reason)
                continue
            values = written(desired.kind.field(name), live.fields.get(name))
            try:
                for value in values:
                    check_value(name, value)
            except NotWritableError as error:
                self._skip(desired, name, f"AlertSite's value: {error}")
            else:
                wanted[desired.pointer(name)] = values or _unset(self._schemas, desired, name)
        document = head(desired.kind.name, desired.name, None)  # with its defaults
        for name, value in {**desired.fields, **desired.secrets}.items():
            document.setdefault(desired.pointer(name)[0], {})[name] = value
        found = fit(self._schemas, document, wanted)
        for section, name in wanted:
            pointer = (section, name)
            if pointer not in found.values:
                reason = found.reasons.get(pointer, found.fault)
                self._skip(desired, name, f"AlertSite's value: {reason}")
                continue
            value, spot = found.values[pointer], spot_of(desired, name, self._sources)
            place = Position(spot.path, 1, 1)
            if spot.document is not None:
                there = Origin(spot.path, spot.document, 1)
                place = self._locator.position(there, pointer, of_key=True)
            default = desired.inherited.get(name)
            if value is ABSENT:
                default = _default_of(desired, name)
            told = str(default) if default else ""
            before, cause = desired.fields[name], causes[name]
            edit = Edit(desired, pointer, before, value, cause, place, spot, told)
            self._edits.setdefault(spot.path, []).append(edit)

    def _skip(self, desired: Desired, name: str, reason: str) -> None:
        """Notes a field that cannot be written, with the document that its value comes from."""
        place = self._locator.of_field(desired, name)
        self.skipped.append(Skipped(desired, name, reason, place))

    def _why_not(self, desired: Desired, name: str, live: Live) -> str:
        """Why what AlertSite has may not stand in a file that is kept in Git; empty if it may."""
        if reason := self._sources.why_no_own:
            return reason
        if reason := why_varies(desired, name, spot_of(desired, name, self._sources)):
            return reason
        if name in self._held.get(live.id, ()):
            return "it was a secret when it was last applied"
        kind = desired.kind
        has = kind.field(name).normalise(live.fields.get(name))
        if self._redactor.holds(json.dumps(has)):
            return "AlertSite's value contains a secret of this run in plain text"
        if any(passwords_in(has, (name,))):
            return "AlertSite's value contains the password of a URL"
        record = self._records.get(desired.address)
        applied = record.fields.get(name) if record else None
        vouched = has if self._write_unknown else applied
        if shown(kind, name, has, vouched, desired.fields[name]) != has:
            return (
                "AlertSite's value may be a secret; write it or a secretRef by hand, or pull with "
                "--unknown write"
            )
        return ""

    def files(self) -> Iterator[File]:
        """The files with the edits that can be made in them."""
        for path, edits in sorted(self._edits.items()):
            original = manifests.read(path) if os.path.lexists(path) else None
            if isinstance(original, Diagnostic):
                self.skipped += [
                    Skipped(each.desired, each.pointer[1], original.message, original.position)
                    for each in edits
                ]
                continue
            try:
                data, made = self._set(original, edits), edits
            except NotEditableError:  # one that cannot be made must not keep the others out
                data, made = b"", []
                for edit in edits:
                    try:
                        data = self._set(original, [*made, edit])
                    except NotEditableError as error:
                        skipped = Skipped(edit.desired, edit.pointer[1], str(error), edit.place)
                        self.skipped.append(skipped)
                    else:
                        made.append(edit)
            if made:
                yield File(path, original, data, tuple(made))

    def _set(self, data: bytes | None, edits: Sequence[Edit]) -> bytes:
        wanted: dict[Spot, dict[Pointer, FieldEdit]] = {}
        for edit in edits:
            set_key = edit.desired.kind.field(edit.pointer[1]).set_key
            fields = wanted.setdefault(edit.spot._replace(is_said=False), {})
            if not edit.spot.is_override:
                value = _as_said(edit.desired, edit.pointer[1], edit.after)
            else:
                value = {INHERIT: False} if edit.after is ABSENT else edit.after
            fields[edit.pointer] = FieldEdit(escaped(value), set_key)
        return edited(data, wanted, self._ordering.of)


def _as_said(desired: Desired, field: str, value: JSON) -> JSON:
    """How a manifest says a value of a field, in view of the default that there is."""
    if value is ABSENT and _default_of(desired, field):
        return {INHERIT: False}
    appended = desired.appended.get(field)
    if appended is None or not isinstance(value, list):
        return value
    added = appendix(desired.fields[field][: appended.inherited], value)
    return {APPEND: added} if added else value


def _default_of(desired: Desired, field: str) -> Origin | None:
    """Where the default stands that would count if the manifest said nothing of the field."""
    if (appended := desired.appended.get(field)) and appended.inherited:
        return appended.origin
    return desired.inherited.get(field) or desired.overruled.get(field)


def _unset(schemas: Schemas, desired: Desired, name: str) -> list[JSON]:
    """What would say that a field is unset, as far as its schema lets it.

    Taking it out of the manifest is the last resort; a default is refused there then.
    """
    old = desired.fields[name]
    if name not in desired.kind.fields:
        return [type(old)() if isinstance(old, str | list | dict) else None]
    required = schemas.documents[desired.kind.name]["properties"]["spec"]["required"]
    values: list[JSON] = [[] if isinstance(old, list) else ""]
    return values if name in required else [*values, ABSENT]
