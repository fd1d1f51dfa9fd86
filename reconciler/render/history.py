"""What runs have done, as text: for people, and for a store that keeps a history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.diff import FieldChange
from reconciler.core.grouping import FOLDED_ABOVE, alike
from reconciler.core.plan import Action, BindingAction, Change
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.result import Status
from reconciler.render.plans import counts_text, group_names
from reconciler.render.text import aligned, paint
from reconciler.render.values import shown_change, shown_value
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.run_record import Rebinding, RunChange, RunField, RunRecord

_COMMIT = 12
_MOST = 200
"""So many changes are named in the message of a commit; all of them are in its file."""


def history_text(runs: Sequence[RunRecord], *, whole: bool, colour: bool = False) -> Lines:
    """A line for each run, the last one first; with `whole`, what it changed below."""
    lines: list[str] = []
    for run in runs:
        lines.append(_line(run, colour=colour))
        if whole:
            lines += (f"  {line}" for line in _changes(run, colour=colour))
    return joined(lines, colour=colour)


def last_runs_text(runs: Sequence[RunRecord]) -> Lines:
    """What to choose from where a run has to be named, the last one first."""
    rows = [
        (printable(run.id), run.about.began, printable(run.about.actor), _counts(run))
        for run in runs
    ]
    if not rows:
        return joined(["There are no runs yet."])
    lines = (f"  {line}" for line in aligned(rows))
    return joined(["The last runs:", *lines, "To list all, run: reconciler history"])


def run_text(run: RunRecord, *, colour: bool = False) -> Lines:
    """All of one run; of many changes, those that are alike are one."""
    about = run.about
    lines = [paint(f"{about.operation} {printable(run.id)}", "bold", colour=colour)]
    rows = [
        ("undoes", about.undoes),
        ("actor", about.actor),
        ("pipeline", about.pipeline),
        ("manifests", f"commit {about.generation}" if about.generation.commit else "in no commit"),
        ("plan", about.plan),
        ("version", about.tool_version),
        ("began", about.began),
        ("ended", run.ended or _killed(run)),
        ("exit code", "" if run.exit_code is None else str(run.exit_code)),
        ("did", _counts(run)),
    ]
    lines += [f"  {name:<11}{printable(value)}" for name, value in rows if value]
    found = _changes if len(run.changes) <= FOLDED_ABOVE else _folded
    changes = [f"  {line}" for line in found(run, colour=colour)]
    return joined([*lines, *([""] if changes else []), *changes], colour=colour)


def save_message(run: RunRecord) -> str:
    """The message of the commit that ends a run: what it did, with trailers that say who did it."""
    about = run.about
    subject = f"{about.operation}: {_counts(run)}"
    trailers = {
        "Actor": about.actor,
        "Pipeline": about.pipeline,
        "Manifests": about.generation.commit,
        "Plan": about.plan,
        "Undoes": about.undoes,
        "Exit-Code": "" if run.exit_code is None else str(run.exit_code),
        "Recovered-By": run.recovered_by,
        "Tool-Version": about.tool_version,
    }
    body = list(_changes(run, most=_MOST, colour=False))
    last = [f"{name}: {printable(value)}" for name, value in trailers.items() if value]
    parts = [subject, "\n".join(body), "\n".join(last)]
    return "\n\n".join(part for part in parts if part)


def _line(run: RunRecord, *, colour: bool) -> str:
    about = run.about
    parts = [paint(printable(run.id), "bold", colour=colour), about.operation]
    parts += [printable(about.actor)] if about.actor else []
    parts.append(_counts(run))
    if about.undoes:
        parts.append(f"undoes {printable(about.undoes)}")
    if about.generation.commit:
        parts.append(f"commit {printable(about.generation.commit[:_COMMIT])}")
    if run.exit_code is None:
        parts.append(_killed(run))
    elif run.exit_code:
        parts.append(f"exit code {run.exit_code}")
    return "  ".join(parts)


def _killed(run: RunRecord) -> str:
    return f"killed; recovered by {run.recovered_by}"


def _counts(run: RunRecord) -> str:
    counts = run.counts
    text = ", ".join(f"{counts[action.value]:,} {VERBS[action].done}" for action in Action)
    return f"{text}, {counts['not_done']:,} not done" if counts["not_done"] else text


def _changes(run: RunRecord, *, most: int | None = None, colour: bool) -> Iterator[str]:
    for change in run.changes[:most]:
        yield from _change(change, colour=colour)
    if most is not None and len(run.changes) > most:
        yield f"… and {len(run.changes) - most:,} more"
    yield from _bindings(run, colour=colour)


def _bindings(run: RunRecord, *, colour: bool) -> Iterator[str]:
    changed = {item.address for item in run.changes}
    for binding in run.bindings:
        if binding.address not in changed:
            yield _binding(binding, colour=colour)


def _folded(run: RunRecord, *, colour: bool) -> Iterator[str]:
    """Many changes, those that are alike and ended alike together; what is not done comes last."""
    ended: dict[str, list[RunChange]] = {}
    for change in sorted(run.changes, key=lambda item: item.status is not Status.DONE):
        ended.setdefault(_end(change), []).append(change)
    count = 0
    for end, changes in ended.items():
        by_address = {change.address: change for change in changes}
        for group in alike(map(_as_planned, changes)):
            if len(group.changes) == 1:
                yield from _change(by_address[group.changes[0].address], colour=colour)
                continue
            count += len(group.changes)
            symbol = VERBS[group.action].symbol
            head = paint(f"{symbol} {len(group.changes):,} monitors", symbol, colour=colour)
            yield f"{head} ({counts_text(group.by_kind())}){end}"
            yield from _fields(group.action, group.fields, colour=colour)
            if group.varying:
                yield f"    {printable(', '.join(group.varying))}: different for each"
            yield f"    {group_names(group)}"
    if count:
        yield f"{count:,} changes are folded: --json lists each."
    yield from _bindings(run, colour=colour)


def _as_planned(change: RunChange) -> Change:
    fields = tuple(map(_as_planned_field, change.fields))
    kind = change.address.partition("/")[0]
    return Change(change.action, change.address, kind, change.id, {}, fields, None)


def _as_planned_field(field: RunField) -> FieldChange:
    return FieldChange(
        field.field, field.before, field.after, source=field.source, set_key=field.set_key
    )


def _change(change: RunChange, *, colour: bool) -> Iterator[str]:
    symbol = VERBS[change.action].symbol
    head = paint(f"{symbol} {printable(change.address)}", symbol, colour=colour)
    number = f" (id {change.id})" if change.id is not None else ""
    yield f"{head}{number}{_end(change)}"
    fields = map(_as_planned_field, change.fields)
    yield from _fields(change.action, fields, colour=colour)


def _end(change: RunChange) -> str:
    """How a change ended, and why so; empty if it was done."""
    word = "" if change.status is Status.DONE else f" {change.status.value}"
    return f"{word}: {printable(change.message)}" if change.message else word


def _fields(action: Action, fields: Iterable[FieldChange], *, colour: bool) -> Iterator[str]:
    for field in fields:
        if field.source is not None:
            text = f"a secret from {printable(field.source)}"
        elif action is Action.CREATE:
            text = shown_value(field, field.after, {})
        else:
            text = shown_change(field, {}, colour=colour)
        yield f"    {printable(field.field)}: {text}"


def _binding(binding: Rebinding, *, colour: bool) -> str:
    now = (
        f"bound to monitor {binding.after}"
        if binding.after is not None
        else VERBS[BindingAction.FORGET].done
    )
    was = f", before to {binding.before}" if binding.before is not None else ""
    return f"{paint(f'= {printable(binding.address)}', '=', colour=colour)} {now}{was}"
