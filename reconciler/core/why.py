"""Why a monitor and its fields are as they are: who says so, what was applied, what is live.

Rule: values and pure functions; no I/O, clock or environment. What would happen next is read from a
plan, never decided here. No value made here holds a secret: of one there is the source.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.json_text import encoded
from reconciler.core.mask import HIDDEN, shown
from reconciler.core.model import JSON, Lifecycle, secret_refs
from reconciler.core.names import Name, find_names, uses_of
from reconciler.core.plan import BindingAction, Note, NoteCode
from reconciler.core.state import RELEASED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.diff import Cause, FieldChange
    from reconciler.core.model import Account, Desired, Ignored, Kind, Live
    from reconciler.core.plan import Change, Plan, Refusal
    from reconciler.core.state import PendingCreate, Record


FORMAT_VERSION = "2.4"
"""Of the JSON: the minor number grows with additions, the major with anything else."""
ID = "metadata.id"


class Next(StrEnum):
    """What would happen to a monitor or a field, were the plan applied."""

    UNCHANGED = "unchanged"
    UPDATE = "update"
    SENT_WITH = "sent-with"
    CREATE = "create"
    DELETE = "delete"
    REFUSED = "refused"
    IGNORED = "ignored"
    RELEASED = "released"
    RESTORE = "restore"
    NOT_MANAGED = "not-managed"
    ORPHAN = "orphan"
    FORGOTTEN = "forgotten"
    PENDING = "pending"
    LEFTOVER = "leftover"
    UNKNOWN = "unknown"


class Tracking(StrEnum):
    """What is known of the secret in a field."""

    SENT = "sent"
    CHANGED = "changed"
    UNSENT = "unsent"
    UNTRACKED = "untracked"
    UNCHECKED = "unchecked"


class AddressFacts(NamedTuple):
    """All that is known of one address.

    Attributes:
        live: None if AlertSite was not asked, or has no such monitor.
        plan: that of this address alone.
        places: where the fields of the manifest stand, as path:line:column, and its `ID`.
        former: the address that the record was kept under, if it is another one.
        tracks: whether secrets are tracked.
        is_offline: the plan compares with the state.
        held: the fields of the monitor that hold or held a secret, whichever address says so.
        pending: the create whose outcome is not known; None if there is none.
    """

    address: str
    kind: Kind
    desired: Desired | None
    record: Record | None
    live: Live | None
    plan: Plan
    places: Mapping[str, str]
    former: str | None
    tracks: bool
    is_offline: bool
    held: frozenset[str] = frozenset()
    pending: PendingCreate | None = None

    @property
    def number(self) -> int | None:
        """The monitor that the address is bound to."""
        named = self.desired.id if self.desired else None
        return named or (self.record.id if self.record else None)

    @property
    def is_made(self) -> bool:
        """Whether the pending create is seen to have made the monitor of the record."""
        if self.pending is None or self.record is None:
            return False
        return self.pending.replaces is None or self.pending.replaces.id != self.record.id

    @property
    def change(self) -> Change | None:
        """The change that is planned."""
        return next((item for item in self.plan.changes if item.address == self.address), None)

    @property
    def refusal(self) -> Refusal | None:
        """Why it cannot be planned."""
        return next((item for item in self.plan.refusals if item.address == self.address), None)

    def notes(self, code: NoteCode) -> tuple[Note, ...]:
        """What the plan notes of it."""
        return tuple(item for item in self.plan.noting(code) if item.address == self.address)


class FieldWhy(NamedTuple):
    """One field.

    Attributes:
        value: what the manifest wants; None if it does not name the field. Secrets are references.
        place: where that stands, as path:line:column.
        is_default: it stands in a defaults file.
        is_override: an Override says it.
        variables: the variables in it.
        source: where the secret in it comes from; None if it holds none.
        tracking: what is known of that secret.
        applied: what was last applied; None if nothing was, or it is a secret.
        live: what AlertSite has; `HIDDEN` where it may be a secret.
        cause: who moved, if it would be changed.
        sent_with: the changed field that it would accompany.
        ignored: why it is not compared.
        prior: what AlertSite had before Git first changed it; None if that is unset or unknown.
        prior_run: the run that changed it first; None if what was before is not known.
        default: where the default stands that the manifest adds to or refuses.
    """

    field: str
    next: Next
    value: JSON = None
    place: str | None = None
    is_default: bool = False
    is_override: bool = False
    variables: tuple[str, ...] = ()
    source: str | None = None
    tracking: Tracking | None = None
    applied: JSON = None
    was_applied: bool = False
    live: JSON = None
    cause: Cause | None = None
    sent_with: str | None = None
    ignored: Ignored | None = None
    prior: JSON = None
    prior_run: str | None = None
    default: str | None = None


class Why(NamedTuple):
    """One monitor and some of its fields.

    Attributes:
        next: what would happen to the monitor.
        message: of what is refused; empty otherwise.
        hint: the next step, where there is one.
        fields: sorted by name.
        names: what AlertSite calls the ids in their values.
    """

    account: Account
    subject: AddressFacts
    next: Next
    message: str
    hint: str
    fields: tuple[FieldWhy, ...]
    names: tuple[Name, ...] = ()

    @property
    def lifecycle(self) -> Lifecycle:
        """That of the manifest, or else what is remembered of it."""
        desired, record = self.subject.desired, self.subject.record
        if desired is not None:
            return desired.lifecycle
        return Lifecycle(record.protect, record.retire) if record else Lifecycle()

    def to_json(self) -> dict[str, JSON]:
        """What `schemas/why.schema.json` describes."""
        subject, record, pending = self.subject, self.subject.record, self.subject.pending
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account._asdict(),
            "offline": subject.is_offline,
            "address": subject.address,
            "former_address": subject.former,
            "origin": encoded(subject.desired and subject.desired.origin),
            "layer": subject.desired.layer if subject.desired else "",
            "id": subject.number,
            "id_place": subject.places.get(ID),
            "record": record and {"applied_at": record.applied_at, "run": record.run},
            "pending_create": pending
            and {
                "run": pending.run,
                "at": pending.at,
                "replaces": pending.replaces and pending.replaces.id,
            },
            "is_live": None if subject.is_offline else subject.live is not None,
            "lifecycle": {"protect": self.lifecycle.protect, "retire": self.lifecycle.retire},
            "next": self.next.value,
            "message": self.message,
            "hint": self.hint,
            "fields": encoded(self.fields),
            "names": encoded(self.names),
        }


def fields_of(subject: AddressFacts) -> tuple[set[str], set[str]]:
    """The fields that manifest or record name, and all others that can be asked for."""
    named: set[str] = set()
    for names in (subject.desired, subject.record):
        if names is not None:
            named |= {*names.fields, *names.secrets}
    known = {*subject.kind.fields, *(subject.live.fields if subject.live else ())}
    return named, known - named


def explain_why(subject: AddressFacts, names: Iterable[str], live: Iterable[Live] = ()) -> Why:
    """Why the monitor and the fields of these names are as they are.

    `live` are monitors that may tell the names of ids.
    """
    refusal = subject.refusal
    message, hint = (refusal.message, refusal.hint) if refusal else ("", "")
    fields = tuple(_field(subject, name) for name in sorted(names))
    uses = (
        use
        for field in fields
        if field.source is None
        for use in uses_of(subject.kind, field.field, (field.value, field.applied, field.live))
    )
    called = find_names(uses, live)
    return Why(subject.plan.account, subject, _next(subject), message, hint, fields, called)


def _next(subject: AddressFacts) -> Next:
    """What would happen to the monitor."""
    if subject.refusal:
        return Next.REFUSED
    if change := subject.change:
        return Next(change.action.value)
    forgotten = subject.plan.binding(BindingAction.FORGET)
    if any(item.address == subject.address for item in forgotten):
        return Next.FORGOTTEN
    for code in (NoteCode.ORPHAN, NoteCode.UNKNOWN, NoteCode.LEFTOVER):
        if subject.notes(code):
            return Next(code.value)
    if subject.pending is not None and subject.desired is None:
        return Next.PENDING
    return Next.UNCHANGED


def _field(subject: AddressFacts, name: str) -> FieldWhy:
    desired, record, kind = subject.desired, subject.record, subject.kind
    secret = desired.secrets.get(name) if desired else None
    was_secret = record is not None and name in record.secrets
    is_secret = secret is not None or name in subject.held or was_secret
    wanted = desired.fields.get(name) if desired else None
    applied = record.fields.get(name) if record and not is_secret else None
    prior = record.prior.get(name) if record and not is_secret else None
    fields = subject.change.fields if subject.change else ()
    change = next((item for item in fields if item.field == name), None)
    follows = _next_of(subject, name, change)
    has = kind.field(name).normalise(subject.live.fields.get(name) if subject.live else None)
    live = shown(kind, name, has, applied, wanted)
    found = FieldWhy(
        name,
        follows,
        applied=shown(kind, name, applied, applied, wanted),
        was_applied=was_secret or (record is not None and name in record.fields),
        live=HIDDEN if is_secret and live is not None else live,
        cause=change.cause if change and follows is Next.RESTORE else None,
        sent_with=change.sent_with if change else None,
        prior=prior.value if prior else None,
        prior_run=prior.run if prior else None,
    )
    if desired is None:
        return found
    appended = desired.appended.get(name)
    origin = appended.origin if appended else desired.refused.get(name)
    found = found._replace(default=str(origin) if origin else None)
    if secret is None and name not in desired.fields:
        return found
    found = found._replace(
        value=wanted if secret is None else secret,
        place=subject.places.get(name),
        is_default=name in desired.inherited,
        is_override=name in desired.overridden,
        variables=desired.variables.get(name, ()),
        ignored=next((item for item in desired.lifecycle.ignore if item.field == name), None),
    )
    if secret is None:
        return found._replace(cause=change.cause if change and follows is Next.UPDATE else None)
    sources = dict.fromkeys(str(item.ref) for item in secret_refs(secret))
    known = record.secrets.get(name, RELEASED) if record else None
    if known == RELEASED or (subject.tracks and known is None):
        tracking = Tracking.UNSENT
    elif not subject.tracks:
        tracking = Tracking.UNTRACKED
    elif change is not None:
        tracking = Tracking.CHANGED
    else:
        is_checked = sources.keys().isdisjoint(subject.plan.unchecked)
        tracking = Tracking.SENT if is_checked else Tracking.UNCHECKED
    return found._replace(source=", ".join(sources), tracking=tracking)


def _next_of(subject: AddressFacts, name: str, change: FieldChange | None) -> Next:
    """What would happen to a field."""
    desired, whole = subject.desired, _next(subject)
    if desired is None:
        return Next.UNCHANGED if whole is Next.UPDATE and change is None else whole
    if name not in desired.fields and name not in desired.secrets:
        record = subject.record
        is_known = record is not None and (name in record.fields or name in record.secrets)
        if change is not None:
            return Next.SENT_WITH if change.sent_with else Next.RESTORE
        return Next.RELEASED if is_known else Next.NOT_MANAGED
    if whole in {Next.REFUSED, Next.CREATE, Next.UNKNOWN}:
        return whole
    if any(item.field == name for item in desired.lifecycle.ignore):
        return Next.IGNORED
    if change is None:
        return Next.UNCHANGED
    return Next.UPDATE if change.sent_with is None else Next.SENT_WITH
