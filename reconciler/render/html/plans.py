"""A plan as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.diff import Cause
from reconciler.core.grouping import FOLDED_ABOVE, groups
from reconciler.core.plan import Action, BindingAction
from reconciler.render.html.page import Number, Tag
from reconciler.render.html.rows import (
    Alert,
    Line,
    Remark,
    Row,
    Section,
    brief,
    changes_page,
    command,
    line,
)
from reconciler.render.plans import (
    bindings_text,
    cost_text,
    how_text,
    in_order,
    loss_causes,
    notes_text,
    reason_text,
    refusal_text,
    secrets_lines,
)
from reconciler.render.text import quantity
from reconciler.render.values import names_of
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.grouping import Group
    from reconciler.core.plan import Change, Loss, Plan, Refusal
    from reconciler.core.printable import Lines
    from reconciler.render.values import Names
    from reconciler.render.view import View

_MOST = 20
"""So many monitors that lose monitoring are named at the top of those that are marked below."""


def plan_html(plan: Plan, view: View) -> Lines:
    """The plan as one page."""
    losses = {loss.address: loss for loss in plan.coverage.losses}
    names = names_of(plan.names)
    rows = {
        change.address: _row(change, plan, losses.get(change.address), names, view)
        for change in plan.changes
    }
    verbs = [(plan.counts[action], VERBS[action].word) for action in Action]
    return changes_page(
        [
            Section("Refused", [_refusal(refusal, plan) for refusal in plan.refusals]),
            *_sections(plan, rows, names),
        ],
        view.made,
        account=plan.account,
        kicker="Plan for",
        verdict=_verdict(plan),
        lead=_lead(plan),
        numbers=(
            *(Number(count, f"to {word}", word) for count, word in verbs),
            Number(plan.unchanged, "unchanged"),
        ),
        digest=plan.digest,
        alerts=_alerts(plan),
        command="" if plan.refusals or not plan.is_something else view.made.apply,
        notes={"State": bindings_text(plan), "Notes": notes_text(plan)},
    )


def _verdict(plan: Plan) -> str:
    if plan.refusals:
        return f"{quantity(len(plan.refusals), 'manifest is', 'manifests are')} refused"
    if plan.coverage.is_over:
        return "This plan loses more monitoring than the budget allows"
    if not plan.changes:
        adopted = len(plan.binding(BindingAction.ADOPT))
        return f"{quantity(adopted, 'monitor')} to adopt" if adopted else "No changes"
    return f"{quantity(len(plan.changes), 'change is', 'changes are')} ready to apply"


def _lead(plan: Plan) -> str:
    """What the numbers leave out, in one line."""
    parts = []
    if adopted := len(plan.binding(BindingAction.ADOPT)):
        parts.append(f"{adopted:,} to adopt.")
    if plan.excluded:
        parts.append(f"{plan.excluded:,} not targeted.")
    if plan.unmanaged:
        strangers = quantity(plan.unmanaged, "email monitor")
        parts.append(f"{strangers} without a manifest: never touched.")
    if cost := cost_text(plan.coverage.measurements):
        parts.append(f"{cost}.")
    if plan.untracked:
        parts.append(f"{quantity(plan.untracked, 'secret is', 'secrets are')} not tracked.")
    parts += secrets_lines(plan)
    return " ".join(parts)


def _alerts(plan: Plan) -> Iterator[Alert]:
    if plan.refusals:
        yield Alert(
            "bad",
            "Nothing can be applied",
            ("Fix the refused manifests, or leave them out with --exclude.",),
        )
    coverage = plan.coverage
    if not coverage.losses:
        return
    limit = coverage.allowance.limit
    who = quantity(len(coverage.losses), "monitor loses", "monitors lose")
    how = how_text(coverage)
    have = coverage.others_have
    recent = f" {have} lost some in the last 24 hours." if have else ""
    refused = f", so {refusal_text(coverage)}" if coverage.is_over else ""
    allowed = f"The budget allows {limit:,}{refused}."
    changed = {change.address for change in plan.changes}
    marked = [loss.address for loss in coverage.losses if loss.address in changed]
    left_out = {*marked[_MOST:]}
    items = tuple(
        Remark(loss.address, loss_causes(loss), loss.address if loss.address in changed else "")
        for loss in coverage.losses
        if loss.address not in left_out
    )
    text = f"{how[:1].upper()}{how[1:]}. {allowed}{recent}"
    yield Alert(
        "bad" if coverage.is_over else "", f"{who} monitoring", (text,), items, len(left_out)
    )


def _sections(plan: Plan, rows: Mapping[str, Row], names: Names) -> Iterator[Section]:
    """The changes: each alone or with those that are like it."""
    is_short = len(plan.changes) <= FOLDED_ABOVE
    unusual: list[Row] = []
    usual: list[Row] = []
    for group in groups(plan):
        members = tuple(rows[change.address] for change in group.changes)
        if is_short or len(members) == 1:
            is_open = is_short or (group.is_unusual and len(unusual) < FOLDED_ABOVE)
            shown = [row._replace(is_open=is_open) for row in members]
        else:
            shown = [_fold(group, members, names)]
        (unusual if group.is_unusual else usual).extend(shown)
    yield Section("Review these first", unusual)
    yield Section("The other changes" if unusual else "Changes", usual)


def _row(change: Change, plan: Plan, loss: Loss | None, names: Names, view: View) -> Row:
    verb = VERBS[change.action]
    lines = tuple(line(field, change.action, names) for field in in_order(change.fields))
    base = view.made.apply_part
    if base and change.is_retirement and "--prune" not in base:
        base = f"{base} --prune"
    words = reason_text(change).removeprefix(": ")
    meta = [f"id {change.id}" if change.id is not None else "", str(change.origin or "")]
    if view.show_requests:
        meta.append(f"{change.method} {change.path}")
    is_update = change.action is Action.UPDATE
    causes = dict.fromkeys(field.cause.value for field in change.fields if field.sent_with is None)
    return Row(
        verb.symbol,
        verb.word,
        change.address,
        brief(lines) if is_update else words,
        tuple(_tags(change, loss)),
        f"{words[:1].upper()}{words[1:]}." if words and is_update else "",
        lines=lines,
        meta=tuple(filter(None, meta)),
        command=command(base, change.address),
        anchor=change.address,
        facets={
            "Action": [change.action.value],
            "Cause": [*causes, *([change.reason.value] if change.reason else [])],
            "Coverage": loss.causes if loss else (),
            "Label": [f"{name}={value}" for name, value in change.labels.items()],
            "Account": [plan.account.name],
        },
    )


def _tags(change: Change, loss: Loss | None) -> Iterator[Tag]:
    for cause in loss.causes if loss else ():
        yield Tag(f"loses: {cause}", "destroy")
    for cause in dict.fromkeys(field.cause for field in change.fields if not field.sent_with):
        if cause is not Cause.EDIT:
            tone = "change" if cause is Cause.RESTORE else "drift"
            yield Tag(cause.value.replace("-", " "), tone)
    if change.action is not Action.UPDATE:
        word = VERBS[change.action].word
        yield Tag(word, word)


def _fold(group: Group, rows: tuple[Row, ...], names: Names) -> Row:
    verb = VERBS[group.action]
    lines = [line(field, group.action, names) for field in group.fields]
    lines += [Line(name, text="a different value in each") for name in group.varying]
    counts = [f"{number:,} {kind}" for kind, number in group.by_kind().items()]
    folders = list(group.by_folder())
    where = folders[0] if len(folders) == 1 else f"{len(folders):,} folders"
    words = reason_text(group.changes[0]).removeprefix(": ")
    unusual = rows[0].tags if group.is_unusual else ()
    return Row(
        verb.symbol,
        verb.word,
        f"{len(rows):,} monitors",
        brief(lines) or words or "the same fields",
        (*unusual, Tag(", ".join(counts)), *((Tag(where),) if folders else ())),
        f"{words[:1].upper()}{words[1:]}." if words else "",
        lines=tuple(lines),
        command=rows[0].command,
        rows=rows,
    )


def _refusal(refusal: Refusal, plan: Plan) -> Row:
    facets = {"Action": ["refused"], "Cause": [], "Coverage": [], "Label": []}
    return Row(
        "!",
        "destroy",
        refusal.address,
        tags=(Tag("refused", "destroy"),),
        message=refusal.message,
        hint=refusal.hint,
        meta=(str(refusal.origin),) if refusal.origin else (),
        anchor=f"refused-{refusal.address}",
        facets={**facets, "Account": [plan.account.name]},
        is_open=True,
    )
