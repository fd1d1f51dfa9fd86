"""Plans as text, in Terraform's words."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from reconciler.core.diff import Cause
from reconciler.core.plan import Action, BindingAction, NoteCode, Reason
from reconciler.core.printable import Lines, joined, printable
from reconciler.render.text import paint, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.core.diff import FieldChange, Leaf
    from reconciler.core.plan import Binding, Change, Coverage, Loss, Note, Plan, Refusal

_SYMBOLS = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-"}
_REASONS = {
    Reason.DELETED_OUTSIDE: "deleted outside Git, created again",
    Reason.REPLACEMENT: "replacement, created first: the kind has changed",
    Reason.REPLACED: "replaced, deleted last: the kind has changed",
    Reason.RETIRED: "retired: no manifest any more, disabled and kept",
}
_GONE = ": no manifest any more"
_NOTES = {
    NoteCode.RELEASED: (".", "released: {fields} no longer in the manifest, left as in AlertSite"),
    NoteCode.ORPHAN: (".", "orphan: it has no manifest any more and is left as it is"),
    NoteCode.UNKNOWN: (".", "not compared: the state has no record of it"),
    NoteCode.STALE_NAME: (".", "hint: metadata.previously ({name}) can be removed"),
    NoteCode.UNLISTED: (".", "not in AlertSite's list, read by id"),
    NoteCode.DUPLICATE: (
        "!",
        (
            "has the kind and name of our monitor {name}: another run with a state of its own may "
            "have made it; delete the one that is not wanted"
        ),
    ),
    NoteCode.PENDING: (
        ".",
        (
            "pending: an earlier create is not confirmed and may still be under way; apply waits "
            "for it before it creates another"
        ),
    ),
    NoteCode.LEFTOVER: (
        "!",
        (
            "left over: an earlier run may have created it, and its manifest is gone; bring that "
            "back, or delete the monitor in AlertSite"
        ),
    ),
    NoteCode.IGNORED: (".", "ignored: {fields} not as in AlertSite, and lifecycle.ignore says so"),
}

_BINDINGS = {
    BindingAction.ADOPT: ("=", "adopted: bound to this monitor from now on"),
    BindingAction.BIND: ("=", "recovered: an earlier run created it and could not say so"),
    BindingAction.FORGET: (".", "forgotten: its monitor is gone, or bound to another address"),
    BindingAction.MOVE: ("=", "renamed: it was {name}; its record moves, and that sends nothing"),
}
_MOST = 10
"""So many labels are named of those whose monitors lose monitoring."""


def plan_text(
    plan: Plan,
    *,
    colour: bool = False,
    show_requests: bool = False,
) -> Lines:
    """The plan in Terraform's words: changes, refusals, notes, and the summary as last lines."""
    lines: list[str] = []
    for change in plan.changes:
        lines += _change(change, colour=colour, show_requests=show_requests)
    for refusal in plan.refusals:
        lines += _refusal(refusal, colour=colour)
    lines += _bindings(plan.bindings, colour=colour)
    lines += _notes(plan.notes, colour=colour)
    if plan.bindings or plan.notes:
        lines.append("")
    lines += _summary(plan, colour=colour)
    lines += _coverage(plan.coverage, colour=colour)
    return joined(lines, colour=colour)


def _change(change: Change, *, colour: bool, show_requests: bool) -> Iterator[str]:
    symbol = _SYMBOLS[change.action]
    head = f"{symbol} {change.address}"
    where = ", ".join(
        filter(None, (f"id {change.id}" if change.id is not None else "", place(change)))
    )
    words = _GONE if change.action is Action.DELETE else ""
    reason = f": {_REASONS[change.reason]}" if change.reason else words
    yield f"  {paint(head, symbol, colour=colour)} ({where}){reason}"
    for field in sorted(change.fields, key=lambda field: field.sent_with is not None):
        yield from _field(field, change.action, colour=colour)
    if show_requests:
        yield f"      {change.method} {change.path}"
        if change.body:
            yield f"      {value_text(dict(change.body))}"
    yield ""


def _field(field: FieldChange, action: Action, *, colour: bool) -> Iterator[str]:
    name = f"      {printable(field.field)}:"
    if field.sent_with is not None:
        yield f"{name} {value_text(field.after)} (unchanged, sent with {field.sent_with})"
    elif field.source is not None:
        word = "secret" if action is Action.CREATE else "changed"
        default = f"; default, {printable(field.default)}" if field.default else ""
        yield f"{name} {word} (source {printable(field.source)}{default})"
    elif action is Action.CREATE or field.cause is Cause.UNSETTLED:
        yield f"{name} {value_text(field.after)}{_cause(field, colour=colour)}"
    elif not field.leaves:
        change = f"{value_text(field.before)} → {value_text(field.after)}"
        yield f"{name} {change}{_cause(field, colour=colour)}"
    else:
        yield f"{name}{_cause(field, colour=colour)}"
        for leaf in field.leaves:
            path = printable(leaf.path.removeprefix(field.field))
            yield f"        {_leaf(leaf, path, colour=colour)}"


def _cause(field: FieldChange, *, colour: bool) -> str:
    """Why the field differs, unless it was simply edited in its manifest."""
    default = f" (default, {printable(field.default)})" if field.default else ""
    if field.cause is Cause.EDIT:
        return default
    words = "drift: changed in AlertSite since the last apply"
    if field.cause is Cause.NOT_KEPT:
        words = "not kept: sent before, and AlertSite has not shown it since"
    if field.cause is Cause.UNSETTLED:
        words = f"sent again: {value_text(field.applied)} was sent last and may show yet"
    if field.cause is Cause.BOTH:
        words = f"both: changed here and in AlertSite, last applied {value_text(field.applied)}"
    return default + " " + paint(f"({words})", "drift", colour=colour)


def _leaf(leaf: Leaf, path: str, *, colour: bool) -> str:
    if leaf.before is None:
        return paint(f"+ {path}: {value_text(leaf.after)}", "+", colour=colour)
    if leaf.after is None:
        return paint(f"- {path}: {value_text(leaf.before)}", "-", colour=colour)
    line = f"~ {path}: {value_text(leaf.before)} → {value_text(leaf.after)}"
    return paint(line, "~", colour=colour)


def _refusal(refusal: Refusal, *, colour: bool) -> Iterator[str]:
    head = paint(f"! {refusal.address}", "!", colour=colour)
    where = f" ({place(refusal)})" if refusal.origin else ""
    yield f"  {head} refused: {printable(refusal.message)}{where}"
    yield f"      {printable(refusal.hint)}"
    yield ""


def _bindings(bindings: Sequence[Binding], *, colour: bool) -> Iterator[str]:
    for address, action, number, before in bindings:
        symbol, words = _BINDINGS[action]
        head = paint(f"{symbol} {printable(address)}", symbol, colour=colour)
        former = printable((before or "").rpartition("/")[2])
        yield f"  {head} (id {number}) {words.format(name=former)}"


def _notes(notes: Sequence[Note], *, colour: bool) -> Iterator[str]:
    for (address, code, number), group in groupby(notes, key=lambda note: note[:3]):
        symbol, words = _NOTES[code]
        grouped = list(group)
        fields = [note.field for note in grouped if note.field is not None]
        verb = "is" if len(fields) == 1 else "are"
        named = printable(f"{', '.join(fields)} {verb}")
        text = words.format(fields=named, name=grouped[0].name)
        head = paint(f"{symbol} {printable(address)}", symbol, colour=colour)
        yield f"  {head} (id {number}) {text}" if number is not None else f"  {head} {text}"


def _summary(plan: Plan, *, colour: bool) -> Iterator[str]:
    if plan.changes or plan.refusals:
        numbers = [len(plan.having(action)) for action in Action]
        head = "Plan: {} to add, {} to change, {} to destroy.".format(*numbers)
    else:
        head = "No changes."
    line = f"{head} {plan.unchanged} unchanged."
    if adopted := len(plan.binding(BindingAction.ADOPT)):
        line += f" {adopted} to adopt."
    if plan.refusals:
        line += f" {len(plan.refusals)} refused."
    if plan.excluded:
        line += f" {plan.excluded} not targeted."
    yield paint(line, "bold", colour=colour)
    if plan.unmanaged:
        noun = "monitor" if plan.unmanaged == 1 else "monitors"
        yield f"{plan.unmanaged} email {noun} in AlertSite without a manifest: never touched."
    if plan.untracked:
        what = "1 secret is" if plan.untracked == 1 else f"{plan.untracked} secrets are"
        yield (
            f"{what} not tracked: RECONCILER_SECRET_KEY shows when they change, --write-secrets "
            "sends them."
        )


def _coverage(coverage: Coverage, *, colour: bool) -> Iterator[str]:
    if coverage.losses:
        count = len(coverage.losses)
        who = "1 monitor loses" if count == 1 else f"{count} monitors lose"
        how = ", ".join(f"{number} {cause}" for cause, number in coverage.by_cause().items())
        recent = ""
        if others := coverage.others:
            have = "1 other has" if others == 1 else f"{others} others have"
            recent = f", {have} in the last 24 hours"
        limit = coverage.allowance.limit
        line = f"Coverage: {who} monitoring ({how}){recent}; budget {limit}"
        yield paint(line, "!" if coverage.total > limit else "bold", colour=colour)
        yield from map(_loss, coverage.losses)
        labels = coverage.by_label()
        if count > 1 and labels:
            most = [f"{name} {lost}" for name, lost in labels.items()][:_MOST]
            more = f" and {len(labels) - _MOST} more labels" if len(labels) > _MOST else ""
            yield f"  {printable(', '.join(most))}{more}"
    before, after = coverage.measurements
    if before != after:
        yield f"Cost: {before:,} → {after:,} measurements per day ({after - before:+,})"


def _loss(loss: Loss) -> str:
    """Who loses what: each cause, with the fields that it is about."""
    causes = []
    for cause in loss.causes:
        fields = [name for name, found in loss.fields.items() if found == cause]
        causes.append(f"{cause} ({', '.join(fields)})" if fields else cause)
    return printable(f"  {loss.address} (id {loss.id}): {', '.join(causes)}")


def place(item: Change | Refusal) -> str:
    """Where the manifest of a change or refusal stands; empty if it is gone."""
    return printable(str(item.origin)) if item.origin else ""
