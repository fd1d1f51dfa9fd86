"""What becomes of a field that leaves its manifest: it goes back, or it is left and said.

Rule: pure functions of a manifest, its record and live; no I/O, clock or environment.

**So that a revert is an undo,** a record keeps what each field was before Git first changed it: its
`Prior`. It is written down before the change is sent, since a run that is killed tells nothing
afterwards. A later change of the field leaves it as it is. The value is

- that of the record, if the field was named already: then Git agreed with AlertSite until now, and
  what a hand has done since is not to come back;
- else what AlertSite has;
- none if Git made the monitor with the field: there is nothing before. Nor has a field that holds,
  or held, a secret one, or a value of which something may be a secret.

**A field goes back only from what we wrote.** If AlertSite has anything else, somebody decided that
since, and it is not ours to undo. A restore that was sent and not seen goes on until it is.

**What is left** is said once, and in every later plan while it is worse for coverage than before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import Cause, missing_member
from reconciler.core.model import canonical
from reconciler.core.pending import caught_up
from reconciler.core.plan import Note, NoteCode
from reconciler.core.safety import is_left_worse
from reconciler.core.state import RELEASED, Prior, Sending

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from reconciler.core.diff import FieldChange
    from reconciler.core.model import JSON, Desired, Field, Kind, Live
    from reconciler.core.plan import Change
    from reconciler.core.state import Record


class Released(NamedTuple):
    """What becomes of the fields that a manifest no longer names.

    Attributes:
        restored: by field, the value that it goes back to.
        notes: of those that are left.
    """

    restored: Mapping[str, JSON]
    notes: tuple[Note, ...]


def names_all(manifest: Desired, record: Record) -> bool:
    """Whether the manifest still names every field that the record has."""
    names = manifest.fields.keys()
    is_all = record.fields.keys() <= names and record.prior.keys() <= names
    return is_all and not record.secrets and not record.left


def released(manifest: Desired, record: Record, live: Live, held: Collection[str]) -> Released:
    """What becomes of the fields that the manifest of a monitor no longer names.

    `held` are its fields that hold or held a secret, whichever address says so.
    """
    kind = manifest.kind
    sent = {name for name, value in record.secrets.items() if value != RELEASED}
    named = {*manifest.fields, *manifest.secrets}
    named |= {item.field for item in manifest.lifecycle.ignore}
    restored: dict[str, JSON] = {}
    reasons: dict[str, str | None] = {}
    for name in sorted({*record.fields, *record.prior, *sent} - named):
        field, prior = kind.field(name), record.prior.get(name)
        has = field.text(live.fields.get(name))
        if prior is None or name in record.secrets or name in held:
            reasons[name] = None
        elif manifest.lifecycle.release == "keep":
            reasons[name] = "kept"
        elif not _is_as_written(field, record, prior, has):
            reasons[name] = "moved"
        elif field.normalise(prior.value) is not None:
            restored[name] = prior.value
        elif field.unset:
            restored[name] = field.unset[0]
        elif has != field.text(None):
            reasons[name] = "unset"
    for name in _apart(manifest, restored, live):
        del restored[name]
        reasons[name] = "apart"
    worse = sorted(
        name
        for name, was in record.left.items()
        if name not in named | restored.keys() | reasons.keys()
        and is_left_worse(kind, name, was, live.fields.get(name))
    )
    notes = [(name, reasons[name]) for name in sorted(reasons)]
    notes += [(name, "worse") for name in worse]
    return Released(
        restored,
        tuple(
            Note(manifest.address, NoteCode.RELEASED, live.id, name, reason)
            for name, reason in notes
        ),
    )


def _is_as_written(field: Field, record: Record, prior: Prior, has: str) -> bool:
    """Whether AlertSite has what we wrote, or what was before; or has not shown a restore yet."""
    known = [prior.value, prior.sent]
    known += [part[field.name] for part in (record.fields, record.unseen) if field.name in part]
    is_restoring = field.name in record.unseen and field.is_same(
        record.unseen[field.name], prior.value
    )
    return is_restoring or has in map(field.text, known)


def _apart(manifest: Desired, restored: Mapping[str, JSON], live: Live) -> set[str]:
    """The fields that cannot go back, since one would name an element that is not in its set."""
    found: set[str] = set()
    whole = manifest._replace(fields={**live.fields, **manifest.fields, **restored})
    for field in manifest.kind.fields.values():
        both = restored.keys() & {field.name, field.member_of}
        if both and missing_member(whole, field, field.normalise(whole.fields.get(field.name))):
            found |= both
    return found


def with_cause(field: FieldChange, record: Record, restored: Collection[str]) -> FieldChange:
    """The change of a field; one that goes back says so, and from which run on it was otherwise."""
    if field.field not in restored or field.sent_with is not None:
        return field
    cause = Cause.RESTORE if field.cause is Cause.EDIT else field.cause
    return field._replace(cause=cause, before_run=record.prior[field.field].run)


def with_intent(record: Record, change: Change, kind: Kind, live: Live, run: str) -> Record:
    """The record as it is to be kept before an update is sent: what was, and what is to be.

    `live` is the monitor as the change was made from it, `run` the run that sends it.
    """
    record = caught_up(record, kind, live)
    prior, sending = dict(record.prior), dict(record.sending.fields)
    for item in change.fields:
        name, sent = item.field, change.body[item.field]
        if item.sent_with is not None or item.source is not None or name in record.secrets:
            continue
        sending[name] = sent
        if item.before_run is not None or name in record.made_with:
            continue
        field, old = kind.field(name), prior.get(name)
        if old is not None and not _is_void(field, old, record, live):
            prior[name] = old._replace(sent=sent)
        elif name in record.fields:
            prior[name] = Prior(record.fields[name], run, sent)
        elif (has := _open_value(field, item, live)) is not None:
            prior[name] = Prior(has[0], run, sent)
        elif old is not None:
            del prior[name]
    return record._replace(prior=prior, sending=Sending(run, sending) if sending else Sending())


def _is_void(field: Field, prior: Prior, record: Record, live: Live) -> bool:
    """Whether nothing came of the change that a prior was kept for, and a hand moved the field."""
    if field.name in record.fields or field.name in record.unseen:
        return False
    has = field.text(live.fields.get(field.name))
    return has not in {field.text(prior.value), field.text(prior.sent)}


def _open_value(field: Field, item: FieldChange, live: Live) -> tuple[JSON] | None:
    """What AlertSite has, as it can be sent again; None if some of it may be a secret."""
    has = live.fields.get(field.name)
    normal = field.normalise(has)
    if canonical(normal) != canonical(item.before):
        return None
    return (has if isinstance(has, str) and isinstance(normal, str) else normal,)


def kept_priors(record: Record, names: Collection[str]) -> dict[str, Prior]:
    """The priors of the fields that are still managed, or not back yet, and hold no secret."""
    return {
        name: prior
        for name, prior in record.prior.items()
        if name in names and name not in record.secrets
    }


def left_worse(
    manifest: Desired, record: Record, live: Live, managed: Collection[str]
) -> dict[str, JSON]:
    """The fields that are left worse than they were, and what they were.

    The record is as it was before they were left; `managed` are the fields that are named, or not
    back yet.
    """
    named = {*managed, *manifest.fields, *manifest.secrets, *record.secrets}
    return {
        name: was
        for name, was in sorted(_once_managed(manifest, record, live).items())
        if name not in named and is_left_worse(manifest.kind, name, was, live.fields.get(name))
    }


def _once_managed(manifest: Desired, record: Record, live: Live) -> dict[str, JSON]:
    """What was there before; what an earlier manifest left worse stays so until it is named."""
    found: dict[str, JSON] = {}
    for name in {*record.fields, *record.prior}:
        prior = record.prior.get(name)
        if prior is None:
            found[name] = record.fields[name]
            continue
        field = manifest.kind.field(name)
        if not field.is_same(prior.value, live.fields.get(name)):  # else it is as it was
            found[name] = prior.value
    return {**found, **record.left}
