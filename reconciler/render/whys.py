"""Why a monitor is as it is, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.diff import Cause
from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.state import UNTRACKED
from reconciler.core.why import ID, Next, Tracking
from reconciler.render.text import aligned, paint, shortened, value_text
from reconciler.render.values import named_value, names_of
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model import JSON
    from reconciler.core.plan import Change
    from reconciler.core.state import PendingCreate
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
    if only:
        return joined(_one(why, why.fields[0], age, colour=colour), colour=colour)
    lines = [*_head(why, age, colour=colour)]
    if why.fields:
        lines += ["", *_all(why)]
    return joined(lines, colour=colour)


def _line(name: str, text: str) -> str:
    return f"  {name:<11}{text}"


def _head(why: Why, age: str, *, colour: bool) -> Iterator[str]:
    subject = why.subject
    yield paint(subject.address, "bold", colour=colour)
    yield _line("manifest", printable(str(subject.desired.origin)) if subject.desired else "none")
    yield _line("monitor", _binding(why))
    if subject.former:
        former = printable(subject.former)
        yield _line("renamed", f"it was {former}; the next apply moves the record")
    yield _line("applied", _applied(why, age))
    if subject.pending is not None:
        yield _line("pending", _pending(subject, subject.pending))
    yield _line("lifecycle", _lifecycle(why))
    symbol = _SYMBOLS.get(why.next, "bold")
    yield _line("next", paint(_next(why), symbol, colour=colour))
    yield from _refusal(why)


def _binding(why: Why) -> str:
    subject = why.subject
    if subject.number is None:
        return "none yet: neither the manifest nor the state binds one"
    names = []
    if ID in subject.places:
        names.append(f"metadata.id ({printable(subject.places[ID])})")
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
    return printable(f"{when} by run {record.run}")


def _pending(subject: AddressFacts, pending: PendingCreate) -> str:
    was = pending.replaces
    instead = "" if was is None else f", in place of missing monitor {was.id}"
    known = "not in the state yet" if subject.is_made else "its outcome is unknown"
    return printable(f"a create of run {pending.run} at {pending.at}{instead}; {known}")


def _lifecycle(why: Why) -> str:
    verb = "disables" if why.lifecycle.retire == "disable" else "deletes"
    gone = "refuses to retire" if why.lifecycle.protect else verb
    ignored = "".join(
        f"; {printable(item.field)} ignored until {item.until}" for item in why.lifecycle.ignore
    )
    return f"without its manifest, --prune {gone} it{ignored}"


def _next(why: Why) -> str:
    change = why.subject.change
    match why.next:
        case Next.REFUSED:
            return f"refused: {printable(why.message)}"
        case Next.ORPHAN:
            return "nothing: an orphan is left as it is; apply --prune retires it"
        case Next.UPDATE if change is not None:
            names = ", ".join(item.field for item in change.fields if item.sent_with is None)
            return f"{VERBS[Action.UPDATE].word} {printable(names)}{_reason(change)}"
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


def _refusal(why: Why) -> Iterator[str]:
    if why.hint:
        yield _line("", printable(why.hint))


def _all(why: Why) -> Iterator[str]:
    """A line for each field: its name, its value, what follows, where it stands."""
    rows = [
        (
            printable(field.field),
            shortened(_known(why, field)),
            _brief(why, field),
            _near(why, field),
        )
        for field in why.fields
    ]
    yield from (f"  {line}" for line in aligned(rows))


def _one(why: Why, field: FieldWhy, age: str, *, colour: bool) -> Iterator[str]:
    head = printable(f"{why.subject.address}.{field.field}")
    yield paint(head, "bold", colour=colour)
    yield _line("value", _value(why, field))
    if field.place:
        yield _line("from", _place(field))
    if field.default is not None:
        what = "refused" if field.place is None else "added to"
        yield _line("default", f"{printable(field.default)}, which is {what} here")
    yield _line("applied", _applied_value(why, field, age))
    if field.prior_run is not None:
        yield _line(
            "before Git", f"{value_text(field.prior)}, until run {printable(field.prior_run)}"
        )
    yield _line("live", _live(why, field))
    if field.tracking:
        yield _line("secret", _TRACKING[field.tracking])
    symbol = _SYMBOLS.get(field.next, "bold")
    yield _line("next", paint(_next_of(why, field), symbol, colour=colour))
    yield from _refusal(why)


def _value(why: Why, field: FieldWhy) -> str:
    if field.source is not None:
        return f"a secret from {printable(field.source)}"
    return "none" if field.place is None else _named(why, field, field.value)


def _known(why: Why, field: FieldWhy) -> str:
    """The value; of a field that no manifest names, the one that was applied."""
    if field.place is None and field.applied is not None:
        return f"was {_named(why, field, field.applied)}"
    return _value(why, field)


def _place(field: FieldWhy) -> str:
    if field.place is None:
        return ""
    source = " (default)" if field.is_default else " (override)" if field.is_override else ""
    return printable(field.place) + source + _variables(field)


def _variables(field: FieldWhy) -> str:
    """The variables that its value comes from."""
    return (
        f", from {', '.join(f'${{{name}}}' for name in field.variables)}" if field.variables else ""
    )


def _near(why: Why, field: FieldWhy) -> str:
    """The place, as short as can be: what the manifest says itself stands in its own file."""
    origin = why.subject.desired.origin if why.subject.desired else None
    if origin is None or field.place is None or field.is_default or field.is_override:
        return _place(field)
    return f"line {field.place.removeprefix(origin.path).split(':')[1]}{_variables(field)}"


def _applied_value(why: Why, field: FieldWhy, age: str) -> str:
    if not field.was_applied:
        return "never, according to the state"
    record = why.subject.record
    is_secret = field.field in why.subject.held or (
        record is not None and field.field in record.secrets
    )
    if record is not None and record.secrets.get(field.field) == UNTRACKED:
        return "not known: without RECONCILER_SECRET_KEY, it is not tracked"
    what = "a secret" if is_secret else _named(why, field, field.applied)
    return f"{what}, {_applied(why, age)}"


def _live(why: Why, field: FieldWhy) -> str:
    if why.subject.is_offline:
        return "not read (--offline)"
    if why.subject.live is None:
        return "none: AlertSite has no such monitor"
    if field.source is not None:
        return "never compared: AlertSite may not return secrets"
    return _named(why, field, field.live)


def _next_of(why: Why, field: FieldWhy) -> str:
    if field.next is Next.IGNORED and field.ignored is not None:
        return printable(f"not compared until {field.ignored.until}: {field.ignored.reason}")
    if field.next is Next.SENT_WITH:
        return f"unchanged, sent with {field.sent_with}"
    if field.next is Next.RESTORE:
        before, after = value_text(_before(why, field)), value_text(field.prior)
        return (
            f"restore {before} → {after}: its value before run {printable(field.prior_run or '')}"
        )
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
