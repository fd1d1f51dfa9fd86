"""Why a monitor is as it is, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.diff import Cause
from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.state import UNTRACKED
from reconciler.core.why import ID, Next, Tracking
from reconciler.render.text import aligned, labelled, paint, shortened, value_text
from reconciler.render.values import named_value, names_of
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model import JSON, Origin
    from reconciler.core.plan import Change
    from reconciler.core.why import AddressFacts, FieldWhy, Why

_NEXT = {
    Next.UNCHANGED: "unchanged: AlertSite already matches",
    Next.CREATE: "sent when the monitor is created",
    Next.RELEASED: "released: no longer in the manifest, left as in AlertSite",
    Next.NOT_MANAGED: "not managed: the manifest does not set it",
    Next.FORGOTTEN: "forget the record: it has no manifest and no monitor of its own",
    Next.PENDING: "nothing yet: no manifest, and the create may still be in progress",
    Next.LEFTOVER: "nothing: left over, its manifest is gone; restore it, or delete the monitor",
    Next.UNKNOWN: "not compared: the state has no record of it",
}
_TRACKING = {
    Tracking.SENT: "tracked: as it was last sent",
    Tracking.CHANGED: "changed since it was last sent",
    Tracking.UNSENT: "never sent, according to the state",
    Tracking.UNTRACKED: "not tracked: without RECONCILER_SECRET_KEY, changes cannot be detected",
    Tracking.UNCHECKED: "not checked: not available here",
}
_SYMBOLS = {
    Next.UPDATE: "~",
    Next.RESTORE: "~",
    Next.CREATE: "+",
    Next.DELETE: "-",
    Next.REFUSED: "!",
    Next.ORPHAN: ".",
    Next.PENDING: ".",
    Next.LEFTOVER: "!",
}


def why_text(why: Why, *, age: str = "", only: bool = False, colour: bool = False) -> Lines:
    """The monitor with a line for each field, or (`only`) one field with one for each question."""
    subject = why.subject
    if only:
        field = why.fields[0]
        title, rows = printable(f"{subject.address}.{field.field}"), _one(why, field, age)
    else:
        title, rows = subject.address, _head(why, age)
    lines = [paint(title, "bold", colour=colour)]
    lines += [f"  {line}" for line in labelled(rows, colour=colour)]
    if why.hint:
        lines += [f"  {line}" for line in labelled([("", why.hint)])]
    if why.fields and not only:
        cells = [
            (
                printable(field.field),
                shortened(_known(why, field)),
                _brief(why, field),
                _place(field, subject.desired.origin if subject.desired else None),
            )
            for field in why.fields
        ]
        lines += ["", *(f"  {line}" for line in aligned(cells))]
    return joined(lines, colour=colour)


def _head(why: Why, age: str) -> Iterator[tuple[str, ...]]:
    """What can be asked of the monitor, and the answers."""
    subject = why.subject
    yield "manifest", str(subject.desired.origin) if subject.desired else "none"
    yield "monitor", _binding(subject)
    if subject.former:
        yield "renamed", f"it was {subject.former}; the next apply moves the record"
    yield "applied", _applied(why, age)
    if subject.pending is not None:
        run, at, was = subject.pending.run, subject.pending.at, subject.pending.replaces
        instead = "" if was is None else f", in place of missing monitor {was.id}"
        known = "not in the state yet" if subject.is_made else "its outcome is unknown"
        yield "pending", f"a create of run {run} at {at}{instead}; {known}"
    gone = "disables" if why.lifecycle.retire == "disable" else "deletes"
    if why.lifecycle.protect:
        gone = "refuses to retire"
    ignored = "".join(f"; {it.field} ignored until {it.until}" for it in why.lifecycle.ignore)
    yield "lifecycle", f"without its manifest, --prune {gone} it{ignored}"
    yield "next", _next(why), _SYMBOLS.get(why.next, "bold")


def _binding(subject: AddressFacts) -> str:
    """Which monitor the address has, and what binds it."""
    if subject.number is None:
        return "none yet: neither the manifest nor the state binds one"
    names = []
    if ID in subject.places:
        names.append(f"metadata.id ({subject.places[ID]})")
    if subject.is_made and not names:
        binds = "; the next apply binds it" if subject.desired else ""
        return f"id {subject.number}, made by the pending create{binds}"
    if subject.record is not None and subject.record.id == subject.number:
        names.append("the state")
    there = "" if subject.live or subject.is_offline else "; AlertSite does not list it"
    return f"id {subject.number}, bound by {' and '.join(names)}{there}"


def _applied(why: Why, age: str) -> str:
    record = why.subject.record
    if record is None:
        return "never, according to the state"
    ago = f" ({age})" if age else ""
    when = f"{record.applied_at}{ago}" if record.applied_at else "at an unknown time"
    return f"{when} by run {record.run}"


def _next(why: Why) -> str:
    change = why.subject.change
    match why.next:
        case Next.REFUSED:
            return f"refused: {why.message}"
        case Next.ORPHAN:
            return "nothing: an orphan is left as it is; apply --prune retires it"
        case Next.UPDATE if change is not None:
            names = ", ".join(item.field for item in change.fields if item.sent_with is None)
            return f"{VERBS[Action.UPDATE].word} {names}{_reason(change)}"
        case Next.CREATE if change is not None:
            return f"{VERBS[Action.CREATE].word}{_reason(change)}"
        case Next.DELETE if change is not None:
            return f"{VERBS[Action.DELETE].word}{_reason(change) or ': its manifest is gone'}"
        case _:
            return _word(why, why.next)


def _reason(change: Change) -> str:
    return "" if change.reason is None else f" ({change.reason.value})"


def _word(why: Why, what: Next) -> str:
    if what is Next.UNCHANGED and why.subject.is_offline:
        return "unchanged: as last applied"
    return _NEXT[what]


def _one(why: Why, field: FieldWhy, age: str) -> Iterator[tuple[str, ...]]:
    """What can be asked of one field, and the answers."""
    subject, record = why.subject, why.subject.record
    yield "value", _value(why, field)
    if field.place:
        yield "from", _place(field)
    if field.default is not None:
        what = "refused" if field.place is None else "added to"
        yield "default", f"{field.default}, which is {what} here"
    if not field.was_applied:
        applied = "never, according to the state"
    elif record is not None and record.secrets.get(field.field) == UNTRACKED:
        applied = "not known: without RECONCILER_SECRET_KEY, it is not tracked"
    else:
        is_secret = field.field in subject.held or (record and field.field in record.secrets)
        what = "a secret" if is_secret else _named(why, field, field.applied)
        applied = f"{what}, {_applied(why, age)}"
    yield "applied", applied
    if field.prior_run is not None:
        yield "before Git", f"{value_text(field.prior)}, until run {field.prior_run}"
    if subject.is_offline:
        yield "live", "not read (--offline)"
    elif subject.live is None:
        yield "live", "none: AlertSite has no such monitor"
    elif field.source is not None:
        yield "live", "never compared: AlertSite may not return secrets"
    else:
        yield "live", _named(why, field, field.live)
    if field.tracking:
        yield "secret", _TRACKING[field.tracking]
    yield "next", _next_of(why, field), _SYMBOLS.get(field.next, "bold")


def _value(why: Why, field: FieldWhy) -> str:
    if field.source is not None:
        return f"a secret from {printable(field.source)}"
    return "none" if field.place is None else _named(why, field, field.value)


def _known(why: Why, field: FieldWhy) -> str:
    """The value; of a field that no manifest names, the one that was applied."""
    if field.place is None and field.applied is not None:
        return f"was {_named(why, field, field.applied)}"
    return _value(why, field)


def _place(field: FieldWhy, manifest: Origin | None = None) -> str:
    """Where the value stands; only the line of what the manifest that is shown says itself."""
    if field.place is None:
        return ""
    place = field.place
    if field.is_default:
        place += " (default)"
    elif field.is_override:
        place += " (override)"
    elif manifest is not None:
        place = f"line {place.removeprefix(manifest.path).split(':')[1]}"
    variables = ", ".join(f"${{{name}}}" for name in field.variables)
    return printable(place) + (f", from {variables}" if variables else "")


def _next_of(why: Why, field: FieldWhy) -> str:
    if field.next is Next.IGNORED and field.ignored is not None:
        return f"not compared until {field.ignored.until}: {field.ignored.reason}"
    if field.next is Next.SENT_WITH:
        return f"unchanged, sent with {field.sent_with}"
    if field.next is Next.RESTORE:
        before, after = value_text(_before(why, field)), value_text(field.prior)
        return f"restore {before} → {after}: its value before run {field.prior_run}"
    if field.next is Next.UNCHANGED and field.source is not None:
        return "not sent"
    if field.next is not Next.UPDATE:
        whole = field.next in {Next.REFUSED, Next.ORPHAN, Next.DELETE}
        return _next(why) if whole else _word(why, field.next)
    if field.source is not None:
        return "sent again" if field.tracking is Tracking.CHANGED else "sent"
    change = why.subject.change
    if why.subject.desired is None and change is not None:
        found = next(item for item in change.fields if item.field == field.field)
        before, after = value_text(found.before), value_text(found.after)
        return f"{VERBS[Action.UPDATE].word} {before} → {after}{_reason(change)}"
    before = _named(why, field, _before(why, field))
    after = _named(why, field, field.value)
    return f"{VERBS[Action.UPDATE].word} {before} → {after}: {_cause(why, field)}"


def _named(why: Why, field: FieldWhy, value: JSON) -> str:
    """The value; where AlertSite has told names of its ids, with them."""
    if not any(item.field == field.field for item in why.names):
        return value_text(value)
    key = why.subject.kind.field(field.field).set_key
    return named_value(field.field, key, value, names_of(why.names))


def _before(why: Why, field: FieldWhy) -> JSON:
    """What the manifest is compared with."""
    return field.applied if why.subject.is_offline else field.live


def _cause(why: Why, field: FieldWhy) -> str:
    match field.cause:
        case Cause.DRIFT:
            return "drift, changed in AlertSite since the last apply"
        case Cause.BOTH:
            return "both, changed here and in AlertSite since the last apply"
        case Cause.NOT_KEPT:
            return "not kept, sent before but AlertSite has not shown it since"
        case Cause.UNSETTLED:
            return "unsettled, a different value was sent before and AlertSite has not shown it yet"
        case _ if field.was_applied:
            return "edit, changed in the manifest since the last apply"
        case _ if why.subject.record:
            return "edit, new in the manifest"
        case _:
            return "edit, no earlier apply on record"


def _brief(why: Why, field: FieldWhy) -> str:
    """What follows, in a few words."""
    match field.next:
        case Next.UPDATE if field.source is None and field.cause is not None:
            before = shortened(_named(why, field, _before(why, field)))
            return f"{VERBS[Action.UPDATE].word} from {before} ({field.cause.value})"
        case Next.RESTORE:
            return f"restore to {shortened(_named(why, field, field.prior))}"
        case Next.UPDATE:
            return f"sent ({field.tracking.value})" if field.tracking else VERBS[Action.UPDATE].word
        case Next.IGNORED if field.ignored is not None:
            return f"ignored until {field.ignored.until}"
        case Next.SENT_WITH:
            return f"sent with {field.sent_with}"
        case _ if field.tracking is Tracking.UNTRACKED:
            return "not tracked"
        case _ if field.tracking is Tracking.UNCHECKED:
            return "not checked"
        case _:
            return field.next.value
