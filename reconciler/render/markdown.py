"""Plans, drift, results and findings as Markdown, for a review comment or the summary of a job.

Rule: what comes from manifests, file names and AlertSite stands in fenced blocks only, each line of
it printable, and the fence longer than any run of backticks in it. So it can be neither Markdown
nor HTML, no mention, no reference. All else is words and numbers of ours.

Size: a comment takes so many characters. Whole changes are left out, never a part of one, and the
text says how many and where they are. Bytes are counted: there are no fewer of them.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import Cause
from reconciler.core.grouping import Detail, Group, detail_of, drift_groups, groups, set_change
from reconciler.core.plan import Action
from reconciler.core.printable import Lines, printable
from reconciler.core.result import Status
from reconciler.core.review import room_for_known
from reconciler.errors import Severity
from reconciler.render.drifts import drift_summary, names_text, stranger_text
from reconciler.render.findings import finding_line
from reconciler.render.plans import (
    alone,
    cause_text,
    counts_text,
    in_order,
    losses_text,
    members_text,
    over_budget_text,
    place,
    reason_text,
    remarks_text,
    summary_text,
    where_text,
)
from reconciler.render.results import outcomes_text, result_text
from reconciler.render.text import quantity, value_text
from reconciler.render.values import names_of, shown_element, shown_inside, shown_value
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.diff import FieldChange
    from reconciler.core.drift import Drift
    from reconciler.core.grouping import DriftGroup
    from reconciler.core.plan import Change, Plan, Refusal
    from reconciler.core.result import Outcome, Result
    from reconciler.errors import Diagnostic
    from reconciler.render.values import Names
    from reconciler.render.view import View

_TICKS = re.compile("`{3,}")
_FEW = 10
"""So many blocks are shown at once; where there are more, one has to click."""
_RESERVE = 300
"""Bytes for the line that says what is left out, without the name of a file."""


class Block(NamedTuple):
    """What is shown whole or not at all.

    Attributes:
        lines: as they stand in the fence.
        size: how many changes or the like it is about.
    """

    lines: Sequence[str]
    size: int = 1


class MarkdownSection(NamedTuple):
    """What stands under one heading.

    Attributes:
        title: in our words.
        is_open: it is shown at once, however long it is.
        total: how many of them it is about, if its blocks do not tell.
        noun: what one of them is; with an `s` it is several.
    """

    title: str
    blocks: Sequence[Block]
    is_open: bool = False
    total: int = 0
    noun: str = "change"


def plan_markdown(plan: Plan, view: View) -> Lines:
    """The plan: verdict and numbers, what is refused and destroyed, then all the rest."""
    verdict, *more = summary_text(plan).split("\n")
    numbers = [line for line in more if not line.startswith(" ")]
    losses = [Block([f"- {line.strip()}"]) for line in losses_text(plan).split("\n") if line]
    if labels := plan.coverage.by_label():
        losses.append(Block([f"# labels: {counts_text(labels)}"]))
    remarks = [Block([line.strip()]) for line in remarks_text(plan).split("\n") if line]
    refusals = [Block(_refusal(item)) for item in plan.refusals]
    groups_of: dict[Action, list[Block]] = {action: [] for action in Action}
    names = names_of(plan.names)
    for group in _groups(plan, view):
        groups_of[group.action].append(Block([*_group(group, names, view)], len(group.changes)))
    destroyed, changed, added = (
        MarkdownSection(VERBS[action].word.capitalize(), groups_of[action])
        for action in (Action.DELETE, Action.UPDATE, Action.CREATE)
    )
    coverage = plan.coverage
    count = len(coverage.losses)
    lost = MarkdownSection("Lost monitoring", losses, coverage.is_over, count, "coverage line")
    sections = (
        MarkdownSection("Refused", refusals, is_open=True, noun="refusal"),
        destroyed._replace(is_open=True),
        lost,
        changed,
        added,
        MarkdownSection("Notes", remarks, noun="note"),
    )
    account = f"account: {plan.account.name} ({plan.account.url})"
    facts = (account, f"digest: {plan.digest}")
    return _document(verdict, numbers, sections, facts, view, warning=over_budget_text(coverage))


def drift_markdown(drift: Drift, view: View) -> Lines:
    """The drift: how much there is, and of each monitor what was applied and what is live.

    It leaves room for what `issue` adds.
    """
    verdict, *numbers = drift_summary(drift)
    strangers = [Block([f"+ {stranger_text(item)}"]) for item in drift.unmanaged or ()]
    drifted = [
        Block([*_drifted(group)], len(group.monitors)) for group in drift_groups(drift.monitors)
    ]
    sections = (
        MarkdownSection("Drift", drifted, noun="monitor"),
        MarkdownSection("New, without a manifest", strangers, noun="monitor"),
    )
    account = f"account: {drift.account.name} ({drift.account.url})"
    left = view.limit - room_for_known(len(drift.monitors))
    return _document(verdict, numbers, sections, (account,), view._replace(limit=left))


def result_markdown(result: Result, view: View) -> Lines:
    """The result: counts, what is not done in full, and what is done by name."""
    verdict = result_text(result).rpartition("\n")[2]
    left = (item for item in result.outcomes if item.status is not Status.DONE)
    done = [
        Block(_outcome(item) if item.message else [f"+ {_head(item.change)}"])
        for item in result.having(Status.DONE)
    ]
    sections = (
        MarkdownSection("Not done", [Block(_outcome(item)) for item in left], is_open=True),
        MarkdownSection("Done", done),
    )
    account = f"account: {result.account.name} ({result.account.url})"
    return _document(verdict, (), sections, (account, f"run: {result.run}"), view)


def findings_markdown(findings: Sequence[Diagnostic], view: View) -> Lines:
    """The findings by severity."""
    verdict = f"{quantity(len(findings), 'finding')}." if findings else "No findings."
    sections = []
    for title, severity, mark in (
        ("Errors", Severity.ERROR, "-"),
        ("Warnings", Severity.WARNING, "!"),
        ("Infos", Severity.INFO, "#"),
    ):
        lines = [f"{mark} {finding_line(it)}" for it in findings if it.severity is severity]
        blocks = [Block([line]) for line in lines]
        sections.append(MarkdownSection(title, blocks, noun="finding"))
    return _document(verdict, (), sections, (), view)


def _groups(plan: Plan, view: View) -> Iterable[Group]:
    """The changes: those that are alike together, unless all are to be shown."""
    found = groups(plan)
    if detail_of(plan, view.detail) is not Detail.FULL:
        return found
    each = ((not group.is_unusual, item.address, item) for group in found for item in group.changes)
    return [alone(change) for _, _, change in sorted(each)]


def _refusal(refusal: Refusal) -> list[str]:
    where = f" ({place(refusal)})" if refusal.origin else ""
    lines = [f"! {refusal.address} refused: {refusal.message}{where}"]
    return [*lines, f"!     {refusal.hint}"] if refusal.hint else lines


def _group(group: Group, names: Names, view: View) -> Iterator[str]:
    first, is_one = group.changes[0], len(group.changes) == 1
    head = f"{len(group.changes):,} monitors: {counts_text(group.by_kind())}{reason_text(first)}"
    if is_one:
        head = _head(first)
    yield f"- {head}" if group.action is Action.DELETE else f"@@ {head} @@"
    if not is_one:
        *more, who = members_text(group)
        yield from (f"# {line}" for line in (who, *more))
    for field in in_order(group.fields):
        yield from _field(field, group.action, names)
    if group.varying:
        yield f"  {', '.join(group.varying)}: different for each"
    if view.show_requests and is_one:
        yield f"# {first.method} {first.path}"
        if first.body:
            yield f"# {value_text(dict(first.body))}"


def _head(change: Change) -> str:
    return f"{change.address} ({where_text(change)}){reason_text(change)}"


def _field(field: FieldChange, action: Action, names: Names) -> Iterator[str]:
    name, after = field.field, shown_value(field, field.after, names)
    if field.sent_with is not None:
        yield f"  {name}: {after} (unchanged, sent with {field.sent_with})"
        return
    if field.source is not None:
        word = "secret" if action is Action.CREATE else "changed"
        yield f"+ {name}: {word} (source {field.source})"
        return
    if action is Action.CREATE or field.cause is Cause.UNSETTLED:
        yield f"+ {name}: {after}"
    else:
        yield from _both(field, names)
    if cause := cause_text(field, names).strip():
        is_git = field.cause in {Cause.EDIT, Cause.RESTORE}
        yield f"{'#' if is_git else '!'} {name}: {cause}"


def _both(field: FieldChange, names: Names) -> Iterator[str]:
    """What was, and what will be or is: of a structured value only what differs."""
    name = field.field
    if found := set_change(field):
        for sign, elements in (("-", found.removed), ("+", found.added)):
            for element in elements:
                yield f"{sign} {name}: {shown_element(name, found.key, element, names)}"
        for item in found.changed:
            yield f"! {name}: {shown_inside(name, found.key, item, names)}"
    elif field.leaves:
        for leaf in field.leaves:
            if leaf.before is not None:
                yield f"- {leaf.path}: {value_text(leaf.before)}"
            if leaf.after is not None:
                yield f"+ {leaf.path}: {value_text(leaf.after)}"
    else:
        yield f"- {name}: {shown_value(field, field.before, names)}"
        yield f"+ {name}: {shown_value(field, field.after, names)}"


def _drifted(group: DriftGroup) -> Iterator[str]:
    monitor, count = group.monitors[0], len(group.monitors)
    head = f"{monitor.address} (id {monitor.id}, applied {monitor.applied_at} by run {monitor.run})"
    if count > 1:
        head = f"{count:,} monitors: {counts_text(group.by_kind())}"
    yield f"@@ {head} @@" if monitor.fields else f"- {head}: deleted in AlertSite"
    if count > 1:
        yield f"# {names_text(group)}"
    for field in monitor.fields:
        yield from _both(field, {})


def _outcome(outcome: Outcome) -> list[str]:
    return [f"! {line.strip().removeprefix('! ')}" for line in outcomes_text([outcome]).split("\n")]


def _document(
    verdict: str,
    numbers: Sequence[str],
    sections: Iterable[MarkdownSection],
    facts: Sequence[str],
    view: View,
    *,
    warning: str = "",
) -> Lines:
    """The whole text; of the blocks as many as fit, in their order."""
    parts = [f"### {printable(verdict)}"]
    if warning:
        parts.append(f"**{printable(warning)}.**")
    if numbers:
        parts.append(_fenced(numbers, "text"))
    last = _fenced(facts, "text") if facts else ""
    whole = _fenced([view.whole], "text") if view.whole else ""
    left = view.limit - _RESERVE - _size([*parts, last, whole])
    missing: Counter[str] = Counter()
    for section in sections:
        shown, size = _fitting(section, left)
        if shown:
            parts.append(_section(section, shown))
            left -= size
        missing[section.noun] += _count(section.blocks) - _count(shown)
    if what := [quantity(count, noun) for noun, count in missing.items() if count]:
        where = "the output of the command has all of them" if not whole else "all of them:"
        text = " and ".join(filter(None, (", ".join(what[:-1]), what[-1])))
        parts += [f"**{text} not shown** because the comment would be too long; {where}", whole]
    return Lines("\n\n".join(filter(None, (*parts, last))))


def _count(blocks: Iterable[Block]) -> int:
    """How many changes or the like they are about."""
    return sum(block.size for block in blocks)


def _fitting(section: MarkdownSection, left: int) -> tuple[list[Block], int]:
    """The blocks of a section that are shown, and their size with all that is around them."""
    longest = max((_ticks(block.lines) for block in section.blocks), default=0)
    around = _size([_section(section, []), "`" * longest * 2])
    shown = []
    size = around
    for block in section.blocks:
        more = _size([_body(block.lines)])
        if size + more <= left:
            shown.append(block)
            size += more
    return shown, size


def _section(section: MarkdownSection, shown: Sequence[Block]) -> str:
    """The section with these of its blocks."""
    total = section.total or _count(section.blocks)
    title = f"{section.title} ({total:,})"
    body = _fenced([line for block in shown for line in block.lines], "diff")
    if section.is_open or len(section.blocks) <= _FEW:
        return f"#### {title}\n\n{body}"
    return f"<details><summary><b>{title}</b></summary>\n\n{body}\n\n</details>"


def _fenced(lines: Sequence[str], language: str) -> str:
    fence = "`" * max(3, _ticks(lines))
    return f"{fence}{language}\n{_body(lines)}\n{fence}"


def _body(lines: Iterable[str]) -> str:
    return "\n".join(map(printable, lines))


def _ticks(lines: Iterable[str]) -> int:
    """How long a fence around the lines must be, if it must be longer than usual."""
    return max((len(run) + 1 for line in lines for run in _TICKS.findall(line)), default=0)


def _size(parts: Iterable[str]) -> int:
    """The bytes of parts with the blank lines between them."""
    return sum(len(part.encode()) + 2 for part in parts)
