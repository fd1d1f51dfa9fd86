"""What runs have done, as text: for people, and for a store that keeps a history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.diff import FieldChange
from reconciler.core.grouping import FOLDED_ABOVE, alike
from reconciler.core.plan import Action, BindingAction, Change
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.result import Status
from reconciler.render.plans import counts_text, group_names
from reconciler.render.text import aligned, labelled, marked, paint
from reconciler.render.values import shown_change, shown_value
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.run_record import RunChange, RunRecord

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
    if not runs:
        return joined(["There are no runs yet."])
    rows = [(run.id, run.about.began, run.about.actor, _counts(run)) for run in runs]
    lines = [f"  {line}" for line in aligned([tuple(map(printable, row)) for row in rows])]
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
        ("saved by", run.recovered_by if run.ended else ""),
        ("did", _counts(run)),
    ]
    lines += [f"  {line}" for line in labelled(row for row in rows if row[1])]
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
    if run.ended and run.recovered_by:
        parts.append(f"saved by {run.recovered_by}")
    return "  ".join(parts)


def _killed(run: RunRecord) -> str:
    return f"killed; recovered by {run.recovered_by}"


def _counts(run: RunRecord) -> str:
    counts = run.counts
    text = ", ".join(f"{counts[action.value]:,} {VERBS[action].done}" for action in Action)
    unconfirmed = sum(change.status is Status.UNCONFIRMED for change in run.changes)
    others = {"unconfirmed": unconfirmed, "not done": counts["not_done"] - unconfirmed}
    return ", ".join([text, *(f"{number:,} {word}" for word, number in others.items() if number)])


def _changes(run: RunRecord, *, most: int | None = None, colour: bool) -> Iterator[str]:
    for change in run.changes[:most]:
        yield from _change(change, colour=colour)
    if most is not None and len(run.changes) > most:
        yield f"… and {len(run.changes) - most:,} more"
    yield from _bindings(run, colour=colour)


def _bindings(run: RunRecord, *, colour: bool) -> Iterator[str]:
    changed = {item.address for item in run.changes}
    for address, before, after in run.bindings:
        if address not in changed:
            forgotten = VERBS[BindingAction.FORGET].done
            now = forgotten if after is None else f"bound to monitor {after}"
            was = "" if before is None else f", before to {before}"
            yield f"{marked('=', address, colour=colour)} {now}{was}"


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
            who = f"{len(group.changes):,} monitors"
            head = marked(VERBS[group.action].symbol, who, colour=colour)
            yield f"{head} ({counts_text(group.by_kind())}){end}"
            yield from _fields(group.action, group.fields, colour=colour)
            if group.varying:
                yield f"    {printable(', '.join(group.varying))}: different for each"
            yield f"    {group_names(group)}"
    if count:
        yield f"{count:,} changes are folded: --json lists each."
    yield from _bindings(run, colour=colour)


def _as_planned(change: RunChange) -> Change:
    fields = tuple(
        FieldChange(it.field, it.before, it.after, source=it.source, set_key=it.set_key)
        for it in change.fields
    )
    kind = change.address.partition("/")[0]
    return Change(change.action, change.address, kind, change.id, {}, fields, None)


def _change(change: RunChange, *, colour: bool) -> Iterator[str]:
    head = marked(VERBS[change.action].symbol, printable(change.address), colour=colour)
    number = f" (id {change.id})" if change.id is not None else ""
    yield f"{head}{number}{_end(change)}"
    yield from _fields(change.action, _as_planned(change).fields, colour=colour)


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
