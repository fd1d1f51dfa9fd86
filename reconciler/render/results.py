"""Results as text."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from reconciler.core.grouping import FOLDED_ABOVE
from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.result import Status
from reconciler.errors import ExitCode
from reconciler.render.plans import place
from reconciler.render.text import duration, marked, paint, quantity, some
from reconciler.render.values import shown_value
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.core.diff import FieldChange
    from reconciler.core.events import RequestEnded
    from reconciler.core.result import Outcome, Result

_LAST = (Status.MOVED, Status.DOUBLED, Status.NOT_KEPT, Status.UNCONFIRMED, Status.FAILED)
"""What is not done, in the order in which it is shown: what is worst stands last."""


def result_text(result: Result, *, colour: bool = False) -> Lines:
    """The result: what is not done, failures last and in full, and the summary as last line.

    What is done is counted, and named only if there is something to say about it.
    """
    lines = list(_left(result.outcomes, colour=colour))
    counts = [f"{result.counts[action]:,} {VERBS[action].done}" for action in Action]
    left = [
        f"{count:,} {status_word(status)}"
        for status in Status
        if status is not Status.DONE and (count := len(result.having(status)))
    ]
    head = "Apply incomplete!" if left else "Apply complete!"
    line = f"{head} Resources: {', '.join(counts)}."
    if left:
        changes = quantity(len(result.outcomes), "change")
        done = f"{len(result.having(Status.DONE)):,} done"
        line += f" Of {changes}: {done}, {', '.join(left)}. {_next_step(result)}"
    return joined([*lines, paint(line, "bold", colour=colour)], colour=colour)


def outcomes_text(outcomes: Iterable[Outcome], *, colour: bool = False) -> Lines:
    """What became of each change, with its reason and fields."""
    lines = (line for outcome in outcomes for line in _outcome(outcome, colour=colour))
    return joined(lines, colour=colour)


def outcome_line(outcome: Outcome, number: int, total: int) -> str:
    """One line of progress; the reason for a failure stands in the result."""
    word = "accepted" if outcome.status is Status.DONE else status_word(outcome.status)
    return f"[{number}/{total}] {outcome.change.address}: {word}"


def progress_line(outcome: Outcome, number: int, total: int, failed: int, seconds: float) -> str:
    """One line that says how far a run is."""
    return f"[{number}/{total}] {failed} failed, {duration(seconds)}: {outcome.change.address}"


def status_word(status: Status) -> str:
    """What people read of a status."""
    return status.value.replace("-", " ")


def request_line(request: RequestEnded) -> str:
    """One line about a request: its path, how it was answered, and how long that took."""
    status = "no answer" if request.status is None else f"{request.status}"
    return f"{request.method} {request.path}: {status}, {duration(request.seconds)}"


def run_line(run: str, seconds: float, undo: tuple[str, str] | None = None) -> str:
    """The last words of a run: by which name history has it, and how long it took.

    `undo` is what to say for an undo, if there is one: the name of its account if there may be
    several, and the state if it was named.
    """
    hint = ""
    if undo is not None:
        given = zip(("-a", "--state"), undo, strict=True)
        options = "".join(f" {name} {quote(value)}" for name, value in given if value)
        hint = f" To undo it: reconciler undo {run}{options}"
    return f"Run {run} took {duration(seconds)}.{hint}"


def _left(outcomes: Iterable[Outcome], *, colour: bool) -> Iterator[str]:
    """What is not done: what was not started, then what failed, each in the order of the plan.

    Before that stands what is done and has a message.
    """
    alike: dict[tuple[Status, str], list[Outcome]] = {}
    others: list[Outcome] = []
    for outcome in sorted(outcomes, key=lambda item: item.status is not Status.DONE):
        if outcome.status not in {Status.NOT_STARTED, Status.DONE}:
            others.append(outcome)
        elif outcome.status is Status.NOT_STARTED or outcome.message:
            alike.setdefault((outcome.status, outcome.message), []).append(outcome)
    for (status, reason), group in alike.items():
        if len(group) > FOLDED_ABOVE:
            head = marked("!", f"{len(group):,} changes", colour=colour)
            names = some([item.change.address for item in group])
            why = f": {reason}" if reason else ""
            yield f"  {head} ({names}) {status_word(status)}{printable(why)}"
        else:
            for outcome in group:
                yield from _outcome(outcome, colour=colour)
    for outcome in sorted(others, key=lambda item: _LAST.index(item.status)):
        yield from _outcome(outcome, colour=colour)


def _outcome(outcome: Outcome, *, colour: bool) -> Iterator[str]:
    change = outcome.change
    is_good = outcome.status is Status.DONE and not outcome.message
    head = marked("~" if is_good else "!", change.address, colour=colour)
    reason = f": {printable(outcome.message)}" if outcome.message else ""
    where = f" ({place(change)})" if change.origin else ""
    yield f"  {head} {status_word(outcome.status)}{reason}{where}"
    for field in outcome.not_kept:
        word = "not sent; the manifest has" if field in outcome.unsent else "sent"
        yield f"      {_both(field, word, 'AlertSite has')}"
    for field in outcome.moved:
        yield f"      {_both(field, 'planned', 'AlertSite now has')}"


def _both(field: FieldChange, wanted: str, had: str) -> str:
    after, before = shown_value(field, field.after, {}), shown_value(field, field.before, {})
    return f"{printable(field.field)}: {wanted} {after}, {had} {before}"


def _next_step(result: Result) -> str:
    """What to do about the changes that are not done."""
    left = [item for item in result.outcomes if item.status not in {Status.DONE, Status.MOVED}]
    if result.having(Status.MOVED) and all(item.change.is_retirement for item in left):
        return "Make a new plan for what has changed meanwhile."
    if any(item.unsent for item in left):
        return (
            "Run the same command again. If AlertSite again changes a field that was not sent, "
            "look for the reason in AlertSite."
        )
    if all(item.status is Status.NOT_KEPT and item.not_kept for item in left):
        return (
            "Run reconciler plan in some minutes: a value that AlertSite still does not show then "
            "is one that it ignores, so remove it from the manifest."
        )
    # The same request may have another outcome next time.
    if any(
        item.status in {Status.NOT_STARTED, Status.UNCONFIRMED}
        or (item.status is Status.FAILED and item.exit_code is ExitCode.UNAVAILABLE)
        for item in left
    ):
        return "Run the same command again to finish."
    return "Fix the errors above, then run the same command again."
