"""Plans as text, in Terraform's words."""

from __future__ import annotations

from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.accounts import with_account
from reconciler.core.diff import Cause
from reconciler.core.grouping import (
    FOLDED_ABOVE,
    Detail,
    Group,
    detail_of,
    groups,
    loss_groups,
    set_change,
)
from reconciler.core.plan import Action, BindingAction, NoteCode, Reason
from reconciler.core.printable import Lines, joined, printable
from reconciler.render.text import arrow, marked, paint, quantity, some, value_text
from reconciler.render.values import names_of, shown_change, shown_value
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.core.diff import FieldChange
    from reconciler.core.grouping import LossGroup
    from reconciler.core.plan import (
        Binding,
        Change,
        Coverage,
        Loss,
        Measurements,
        Note,
        Plan,
        Refusal,
    )
    from reconciler.render.values import Names

_REASONS = {
    Reason.DELETED_OUTSIDE: "deleted outside Git, created again",
    Reason.REPLACEMENT: "replacement, created first: the kind has changed",
    Reason.REPLACED: "replaced, deleted last: the kind has changed",
    Reason.RETIRED: "retired: its manifest is gone; disabled and kept",
    Reason.UNDONE: "created by the run being undone",
}
_GONE = ": its manifest is gone"


class _Words(NamedTuple):
    """What is said of one monitor, and of many at once; a warning is never folded."""

    one: str
    many: str = ""
    symbol: str = "."


_NOTES = {
    NoteCode.RELEASED: _Words("released: {fields} ", "released: {fields} "),
    NoteCode.ORPHAN: _Words(
        "orphan: no manifest; left as it is", "orphans: no manifest; left as they are"
    ),
    NoteCode.UNKNOWN: _Words(
        "not compared: the state has no record of it",
        "not compared: the state has no record of them",
    ),
    NoteCode.STALE_NAME: _Words(
        "hint: metadata.previously ({name}) can be removed",
        "hint: metadata.previously can be removed",
    ),
    NoteCode.UNLISTED: _Words(
        "not in AlertSite's list, read by id", "not in AlertSite's list, read by id"
    ),
    NoteCode.DUPLICATE: _Words(
        "has the same kind and name as managed monitor {name}: a run with another state may "
        "have created it, or an earlier one of this state, which reconciler history {address} "
        "shows; delete the one you do not want",
        symbol="!",
    ),
    NoteCode.PENDING: _Words(
        "pending: an earlier create is not confirmed and may still be in progress; apply waits "
        "for it before it creates another",
        "pending: earlier creates are not confirmed and may still be in progress; apply waits for "
        "them before it creates others",
    ),
    NoteCode.LEFTOVER: _Words(
        "left over: an earlier run may have created it, and its manifest is gone; restore "
        "the manifest, or delete the monitor in AlertSite",
        symbol="!",
    ),
    NoteCode.IGNORED: _Words(
        "ignored: {fields} not as in AlertSite, but lifecycle.ignore allows it",
        "ignored: {fields} not as in AlertSite, but lifecycle.ignore allows it",
    ),
}
_BINDINGS = {
    BindingAction.ADOPT: _Words(
        "bound to this monitor from now on", "bound to their manifests from now on"
    ),
    BindingAction.BIND: _Words(
        "created by an earlier run that did not record it",
        "created by an earlier run that did not record them",
    ),
    BindingAction.FORGET: _Words(
        "its monitor is gone, has another type, or is bound to another address or account",
        "their monitors are gone, have other types, or are bound to other addresses or accounts",
    ),
    BindingAction.UNBIND: _Words("bound by the run being undone", "bound by the run being undone"),
    BindingAction.MOVE: _Words(
        "it was {name}; only its record moves, nothing is sent",
        "only their records move, nothing is sent",
    ),
}
_LEFT = {
    None: _Words(
        ". Retire it with --prune, or forget it with: reconciler state rm {address}",
        ". Retire them with --prune, or forget one with: reconciler state rm ADDRESS",
    ),
    "empty": _Words(""),
    "kept": _Words(
        ", kept by --keep. Forget it with: reconciler state rm {address}",
        ", kept by --keep. Forget one with: reconciler state rm ADDRESS",
    ),
    "disabled": _Words(
        ", already disabled. Forget it with: reconciler state rm {address}",
        ", already disabled. Forget one with: reconciler state rm ADDRESS",
    ),
    "shared": _Words(
        ": another address has the same monitor. Forget one with: reconciler state rm {address}",
        ": other addresses have the same monitors. Forget one with: reconciler state rm ADDRESS",
    ),
    "untold": _Words(
        ": a ! target may exclude it. To retire it, name {address} as a target",
        ": a ! target may exclude them. To retire one, name its ADDRESS as a target",
    ),
    "replaced": _Words(
        ": what replaces it is not there yet, and is no target. Name both as targets",
        ": what replaces them is not there yet, and is no target. Name all as targets",
    ),
}
"""Of an orphan, why it is left, and what can be done about it."""
_RELEASED = {
    None: "no longer in the {where}, left as in AlertSite",
    "kept": "no longer in the {where}, left as in AlertSite because of lifecycle.release",
    "moved": "no longer in the {where}, left as in AlertSite: changed there since the last apply",
    "unset": (
        "no longer in the {where}, left as in AlertSite: it was unset before Git set it, and "
        "cannot be unset"
    ),
    "apart": (
        "no longer in the {where}, left as in AlertSite: home_location and locations would not "
        "match"
    ),
    "worse": (
        "left with less coverage than before the {where} set it; set it there again, or in "
        "AlertSite"
    ),
}
"""Of a field that is left, why."""
_UNKNOWN_COST = "no known interval or locations"
_MOST = 10
"""So many labels are named of those whose monitors lose monitoring."""
_FEW = 3
"""So many lines that are alike stay as they are."""
_LONGEST = 60
"""Characters of a display name that are shown beside others."""
GOING = 100
"""So many monitors are named of a group that is to go."""
_COUNTED = 5
"""So many kinds, folders or labels are counted of a group."""


def plan_text(
    plan: Plan,
    *,
    colour: bool = False,
    show_requests: bool = False,
    detail: Detail | None = None,
) -> Lines:
    """The plan in Terraform's words: changes, refusals, notes, and the summary as last lines.

    By default as much is shown as can be read; but requests are shown one by one, each with its
    method, path and body.
    """
    if show_requests and detail is None:
        detail = Detail.FULL
    show = _Show(names_of(plan.names), colour, show_requests)
    shown = detail_of(plan, detail)
    refusals = [line for refusal in plan.refusals for line in _refusal(refusal, colour=colour)]
    if shown is Detail.FULL:
        lines = [line for change in plan.changes for line in _group(alone(change), show)]
        lines += refusals
    else:
        lines = [*refusals, *_groups(plan, show, is_short=shown is Detail.SUMMARY)]
    folds = {None: FOLDED_ABOVE, Detail.GROUPED: FOLDED_ABOVE, Detail.SUMMARY: 0}.get(detail, inf)
    lines += _remarks(plan, colour=colour, folds=folds)
    if plan.bindings or plan.notes:
        lines.append("")
    lines += _summary(plan, colour=colour)
    lines += _coverage(plan, colour=colour, folds=folds)
    return joined(lines, colour=colour)


def summary_text(plan: Plan, *, colour: bool = False) -> Lines:
    """The last lines of `plan_text`: how much changes, what it loses, what it costs."""
    lines = [*_summary(plan, colour=colour), *_coverage(plan, colour=colour, folds=0)]
    return joined(lines, colour=colour)


def remarks_text(plan: Plan) -> Lines:
    """What a plan says beside its changes: what becomes of the state, and its notes."""
    return joined(_remarks(plan, colour=False, folds=FOLDED_ABOVE))


def _remarks(plan: Plan, *, colour: bool, folds: float) -> Iterator[str]:
    yield from _bindings(plan.bindings, colour=colour, folds=folds)
    for line in _notes(plan.notes, colour=colour, folds=folds):
        yield with_account(line, plan.account.name)


def losses_text(plan: Plan) -> Lines:
    """Who loses what, one by one or those that lose the same together."""
    return joined(_losses(plan, folds=FOLDED_ABOVE))


class _Show(NamedTuple):
    """How changes are shown."""

    names: Names
    colour: bool
    requests: bool


def _groups(plan: Plan, show: _Show, *, is_short: bool) -> Iterator[str]:
    lost = {loss.address: loss for loss in plan.coverage.losses}
    folded = 0
    for group in groups(plan):
        if is_short:
            yield _short(group, lost.get(group.changes[0].address), show)
            continue
        folded += len(group.changes) if len(group.changes) > 1 else 0
        yield from _group(group, show)
    if folded:
        yield f"  {folded:,} changes are folded: --detail full shows each."
    if folded or (is_short and plan.changes):
        yield ""


def alone(change: Change) -> Group:
    """A change that is shown by itself."""
    return Group(change.action, change.reason, change.fields, (change,))


def _group(group: Group, show: _Show) -> Iterator[str]:
    """A change, or changes that are alike as one."""
    first, others = group.changes[0], len(group.changes) - 1
    who, what = first.address, f" ({where})" if (where := where_text(first)) else ""
    if others:
        who, what = f"{others + 1:,} monitors", f": {counts_text(group.by_kind())}"
    head = marked(VERBS[group.action].symbol, who, colour=show.colour)
    yield f"  {head}{what}{reason_text(first)}"
    for field in in_order(group.fields):
        yield from _field(field, group.action, show)
    if group.varying:
        yield f"      {printable(', '.join(group.varying))}: different for each"
    if others:
        yield from (f"      {line}" for line in members_text(group))
    if show.requests:
        yield f"      {first.method} {first.path}"
        if first.body:
            yield f"      {value_text(dict(first.body))}"
        if others:
            yield f"      and {quantity(others, 'more request')} like this"
    yield ""


def members_text(group: Group) -> Iterator[str]:
    """Where the manifests of a group stand, which labels they have, and who they are."""
    if folders := group.by_folder():
        yield f"folders: {counts_text(folders)}"
    if labels := group.by_label():
        yield f"labels: {counts_text(labels)}"
    yield group_names(group)


def _short(group: Group, loss: Loss | None, show: _Show) -> str:
    """A group in one line: who, and which fields."""
    first, symbol = group.changes[0], VERBS[group.action].symbol
    names = [field.field for field in group.fields if field.sent_with is None]
    what = [", ".join([*names, *group.varying])] if names else []
    if len(group.changes) > 1:
        who, where = f"{len(group.changes):,} monitors", counts_text(group.by_kind())
    else:
        who, where = first.address, where_text(first)
    if group.is_unusual:
        causes = dict.fromkeys(field.cause.value for field in group.fields)
        what += [cause for cause in causes if cause != Cause.EDIT.value]
        what += [_REASONS[group.reason]] if group.reason else []
        what += [f"loses monitoring: {', '.join(loss.causes)}"] if loss else []
    text = f": {'; '.join(what)}" if what else ""
    return f"  {marked(symbol, who, colour=show.colour)} ({where}){printable(text)}"


def group_names(group: Group) -> str:
    """Who is in a group: the first few, or many if all that can be said of them is who they are."""
    names = [change.address for change in group.changes]
    return some(names, GOING) if group.changes[0].is_retirement else some(names)


def counts_text(counts: Mapping[str, int]) -> str:
    """How many there are of each: `a 3, b 2 and 4 more`."""
    return some([f"{word} {count:,}" for word, count in counts.items()], _COUNTED)


def reason_text(change: Change) -> str:
    """Why it is more than a difference, behind a colon; empty if it is not."""
    words = _GONE if change.action is Action.DELETE else ""
    return f": {_REASONS[change.reason]}" if change.reason else words


def where_text(change: Change) -> str:
    """The id of a change's monitor and the place of its manifest, as far as there are any."""
    number = f"id {change.id}" if change.id is not None else ""
    return ", ".join(filter(None, (number, place(change))))


def in_order(fields: Iterable[FieldChange]) -> list[FieldChange]:
    """The fields that change, then those that are only sent along."""
    return sorted(fields, key=lambda field: field.sent_with is not None)


def _field(field: FieldChange, action: Action, show: _Show) -> Iterator[str]:
    name, colour = f"      {printable(field.field)}:", show.colour
    if field.sent_with is not None:
        value = shown_value(field, field.after, show.names)
        yield f"{name} {value} (unchanged, sent with {field.sent_with})"
    elif field.source is not None:
        word = "secret" if action is Action.CREATE else "changed"
        default = f"; default, {printable(field.default)}" if field.default else ""
        yield f"{name} {word} (source {printable(field.source)}{default})"
    elif action is Action.CREATE or field.cause is Cause.UNSETTLED:
        value = shown_value(field, field.after, show.names)
        yield f"{name} {value}{cause_text(field, show.names, colour=colour)}"
    elif not field.leaves or set_change(field) is not None:
        change = shown_change(field, show.names, colour=colour)
        yield f"{name} {change}{cause_text(field, show.names, colour=colour)}"
    else:
        yield f"{name}{cause_text(field, show.names, colour=colour)}"
        for leaf in field.leaves:
            path = printable(leaf.path.removeprefix(field.field))
            before, after = value_text(leaf.before), value_text(leaf.after)
            if leaf.before is None:
                yield f"        {marked('+', f'{path}: {after}', colour=colour)}"
            elif leaf.after is None:
                yield f"        {marked('-', f'{path}: {before}', colour=colour)}"
            else:
                head = marked("~", f"{path}:", colour=colour)
                yield f"        {head} {arrow(before, after, colour=colour)}"


def cause_text(field: FieldChange, names: Names, *, colour: bool = False) -> str:
    """Why the field differs, unless it was simply edited in its manifest."""
    default = f" (default, {printable(field.default)})" if field.default else ""
    was = shown_value(field, field.applied, names)
    words = "drift: changed in AlertSite since the last apply"
    match field.cause:
        case Cause.EDIT:
            return default
        case Cause.RESTORE:
            words = f"restore: its value before run {printable(field.before_run or '')}"
        case Cause.NOT_KEPT:
            words = "not kept: sent before, but AlertSite has not shown it since"
        case Cause.UNSETTLED:
            words = f"sent again: {was} was sent last and may not show yet"
        case Cause.BOTH:
            words = f"both: changed here and in AlertSite, last applied {was}"
    return default + " " + paint(f"({words})", "drift", colour=colour)


def _refusal(refusal: Refusal, *, colour: bool) -> Iterator[str]:
    head = marked("!", refusal.address, colour=colour)
    where = f" ({place(refusal)})" if refusal.origin else ""
    yield f"  {head} refused: {printable(refusal.message)}{where}"
    yield f"      {printable(refusal.hint)}"
    yield ""


class _Line(NamedTuple):
    """One address, and what is said of it.

    Attributes:
        together: what is said of several such; empty if they are never folded.
    """

    symbol: str
    address: str
    id: int | None
    text: str
    together: str


def _bindings(bindings: Sequence[Binding], *, colour: bool, folds: float) -> Iterator[str]:
    lines = []
    for binding in bindings:
        verb, words = VERBS[binding.action], _BINDINGS[binding.action]
        former = printable((binding.before or "").rpartition("/")[2])
        text = f"{verb.done}: {words.one.format(name=former)}"
        together = f"{verb.done}: {words.many}"
        lines.append(_Line(verb.symbol, binding.address, binding.id, text, together))
    return _folded(lines, colour=colour, folds=folds)


def _notes(notes: Sequence[Note], *, colour: bool, folds: float) -> Iterator[str]:
    lines = []
    for (address, code, number, _), group in groupby(  # a line for each reason of released fields
        notes,
        key=lambda it: (it.address, it.code, it.id, it.code is NoteCode.RELEASED and it.name),
    ):
        one, many, symbol = _NOTES[code]
        grouped = list(group)
        name = grouped[0].name
        fields = [note.field for note in grouped if note.field is not None]
        named = printable(f"{', '.join(fields)} {'is' if len(fields) == 1 else 'are'}")
        if code is NoteCode.ORPHAN:
            one, many = one + _LEFT[name].one, many + _LEFT[name].many
        if code is NoteCode.RELEASED:
            one += _RELEASED[name].format(where="manifest")
            many += _RELEASED[name].format(where="manifests")
        text = one.format(fields=named, name=name, address=printable(address))
        lines.append(_Line(symbol, address, number, text, many.format(fields=named)))
    return _folded(lines, colour=colour, folds=folds)


def _folded(lines: Sequence[_Line], *, colour: bool, folds: float) -> Iterator[str]:
    """The lines; what is said of many is one, unless it is a warning."""
    alike: dict[str | int, list[_Line]] = {}
    for place, line in enumerate(lines):
        is_folded = len(lines) > folds and line.together
        alike.setdefault(line.together if is_folded else place, []).append(line)
    for group in alike.values():
        if len(group) > _FEW:
            first = group[0]
            head = marked(first.symbol, f"{len(group):,} monitors", colour=colour)
            yield f"  {head} ({some([line.address for line in group])}) {first.together}"
            continue
        for line in group:
            number = "" if line.id is None else f" (id {line.id})"
            yield f"  {marked(line.symbol, line.address, colour=colour)}{number} {line.text}"


def _summary(plan: Plan, *, colour: bool) -> Iterator[str]:
    if plan.changes or plan.refusals:
        numbers = (f"{plan.counts[action]:,} to {VERBS[action].word}" for action in Action)
        head = f"Plan: {', '.join(numbers)}."
    else:
        head = "No changes."
    line = f"{head} {plan.unchanged:,} unchanged."
    if adopted := len(plan.binding(BindingAction.ADOPT)):
        line += f" {adopted:,} to adopt."
    if plan.refusals:
        line += f" {len(plan.refusals):,} refused."
    if plan.excluded:
        line += f" {plan.excluded:,} not targeted."
    yield paint(line, "bold", colour=colour)
    if plan.unmanaged:
        strangers = quantity(plan.unmanaged, "email monitor")
        yield f"{strangers} in AlertSite without a manifest: never touched."
        if plan.unmanaged_monitors:
            names = [
                printable(f"{item.name[:_LONGEST] or '(no name)'} (id {item.id})")
                for item in plan.unmanaged_monitors
            ]
            yield f"  {some(names, _FEW, '; list all with: reconciler list --unmanaged')}"
    if plan.untracked:
        what = quantity(plan.untracked, "secret")
        yield (
            f"RECONCILER_SECRET_KEY is not set, so changes of {what} cannot be detected: "
            f"--write-secrets sends {'it' if plan.untracked == 1 else 'them'}."
        )
    yield from secrets_lines(plan)


def secrets_lines(plan: Plan) -> Iterator[str]:
    """What cannot be told of secrets."""
    if plan.rekeyed:
        what = quantity(plan.rekeyed, "secret was", "secrets were")
        it = "it" if plan.rekeyed == 1 else "them"
        yield (
            f"RECONCILER_SECRET_KEY has changed since {what} sent, so changes cannot be detected: "
            f"apply sends {it} once more."
        )
    if plan.unchecked:
        what = quantity(len(plan.unchecked), "secret is", "secrets are")
        yield (
            f"{what} not checked: not available here: {some(plan.unchecked, _FEW)}. apply needs "
            "those that it sends."
        )


def _coverage(plan: Plan, *, colour: bool, folds: float) -> Iterator[str]:
    coverage = plan.coverage
    if coverage.losses:
        budget = _over(coverage) or f"budget {coverage.allowance.limit:,}"
        line = f"Coverage: {_who(coverage)} ({how_text(coverage)}){recent_text(coverage)}; {budget}"
        yield paint(line, "!" if coverage.is_over else "bold", colour=colour)
        yield from _losses(plan, folds=folds)
        labels = coverage.by_label()
        if len(coverage.losses) > 1 and labels:
            counts = [f"{name} {lost:,}" for name, lost in labels.items()]
            yield f"  {some(counts, _MOST, ' labels')}"
    if cost := cost_text(coverage.measurements):
        yield cost


def over_budget_text(coverage: Coverage) -> str:
    """Why apply refuses a plan for what it loses, and what allows it; empty if it does not."""
    if not coverage.is_over:
        return ""
    return f"{_who(coverage)}{recent_text(coverage)}, {_over(coverage)}"


def _who(coverage: Coverage) -> str:
    return f"{quantity(len(coverage.losses), 'monitor loses', 'monitors lose')} monitoring"


def how_text(coverage: Coverage) -> str:
    """How many monitors lose monitoring in which way."""
    return ", ".join(f"{number:,} {cause}" for cause, number in coverage.by_cause().items())


def recent_text(coverage: Coverage) -> str:
    """Who else has lost some, behind a comma; empty if nobody has."""
    have = coverage.others_have
    return f", {have} in the last 24 hours" if have else ""


def _over(coverage: Coverage) -> str:
    if not coverage.is_over:
        return ""
    if coverage.is_above_ceiling:
        limit = f"hard limit of {coverage.allowance.ceiling:,} (RECONCILER_BUDGET)"
    else:
        limit = f"budget of {coverage.allowance.limit:,}"
    return f"over the {limit}: {refusal_text(coverage)}"


def refusal_text(coverage: Coverage) -> str:
    """What apply does with a plan that is over its budget."""
    if coverage.is_above_ceiling:
        return "apply refuses it, and no option allows it"
    return f"apply refuses it without --allow-loss {len(coverage.losses)}"


def cost_text(measurements: Measurements) -> str:
    """What the monitors that change cost; empty if that is known to stay as it is."""
    before, after, was, will, unknown = measurements
    if before == after and was == will:
        if not unknown:
            return ""
        who = quantity(unknown, "monitor that changes", "monitors that change")
        return f"Cost: unknown for {who}: {_UNKNOWN_COST}"
    more = quantity(unknown, "more is", "more are")
    return (
        f"Cost: {before:,} → {after:,} measurements per day ({after - before:+,}), "
        f"{was:,.10g} → {will:,.10g} credits, of the monitors that change"
        + (f"; {more} not counted: {_UNKNOWN_COST}" if unknown else "")
    )


def _losses(plan: Plan, *, folds: float) -> Iterator[str]:
    """Who loses what: one by one, or those that lose the same together.

    Only those are put together whose change says so too, or a short text is asked for: of what a
    manifest releases or ignores nothing else names the monitor.
    """
    losses = plan.coverage.losses
    changed = {change.address for change in plan.changes}
    is_short = len(losses) <= folds
    together = []
    for loss in losses:
        if is_short or (folds and loss.address not in changed):
            yield f"  {_loss(loss)}: {loss_causes(loss)}"
        else:
            together.append(loss)
    for group in loss_groups(together):
        if len(group.losses) <= _FEW:
            yield f"  {', '.join(map(_loss, group.losses))}: {loss_causes(group)}"
        else:
            names = some([loss.address for loss in group.losses])
            yield f"  {len(group.losses):,} monitors ({names}): {loss_causes(group)}"


def _loss(loss: Loss) -> str:
    return printable(f"{loss.address} (id {loss.id})")


def loss_causes(loss: Loss | LossGroup) -> str:
    """Each cause, with the fields that it is about."""
    causes = []
    for cause in loss.causes:
        fields = [name for name, found in loss.fields.items() if found == cause]
        causes.append(f"{cause} ({', '.join(fields)})" if fields else cause)
    return printable(", ".join(causes))


def place(item: Change | Refusal) -> str:
    """Where the manifest of a change or refusal stands; empty if it is gone."""
    return printable(str(item.origin)) if item.origin else ""


def bindings_text(plan: Plan) -> list[str]:
    """What becomes of the state beside the requests: a line for each binding."""
    return [line.strip() for line in _bindings(plan.bindings, colour=False, folds=inf)]


def notes_text(plan: Plan) -> list[str]:
    """What a plan says beside its changes: a line for each monitor and note."""
    return [line.strip() for line in _notes(plan.notes, colour=False, folds=inf)]
