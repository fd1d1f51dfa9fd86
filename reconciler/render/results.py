"""Results as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.result import Status
from reconciler.errors import ExitCode
from reconciler.render.plans import place
from reconciler.render.text import paint, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.core.result import Outcome, Result

_WORDS = {
    Status.DONE: ("~", "accepted"),
    Status.FAILED: ("!", "failed"),
    Status.NOT_KEPT: ("!", "not kept"),
    Status.UNCONFIRMED: ("!", "unconfirmed"),
    Status.NOT_STARTED: ("!", "not started"),
    Status.MOVED: ("!", "moved"),
    Status.DOUBLED: ("!", "doubled"),
}


def result_text(result: Result, *, colour: bool = False) -> Lines:
    """The result: unless all is done what became of each change, and the summary as last line."""
    done = result.having(Status.DONE)
    lines: list[str] = []
    if len(done) < len(result.outcomes):
        lines += _outcomes(result.outcomes, colour=colour)
    counts = [
        f"{sum(item.change.action is action for item in done)} {word}"
        for action, word in zip(Action, ("added", "changed", "destroyed"), strict=True)
    ]
    left = [
        f"{len(result.having(status))} {word}"
        for status, (_, word) in _WORDS.items()
        if status is not Status.DONE and result.having(status)
    ]
    head = "Apply incomplete!" if left else "Apply complete!"
    line = f"{head} Resources: {', '.join(counts)}."
    if left:
        total = len(result.outcomes)
        changes = "change" if total == 1 else "changes"
        line += f" Of {total} {changes}: {len(done)} done, {', '.join(left)}. {_next_step(result)}"
    return joined([*lines, paint(line, "bold", colour=colour)], colour=colour)


def outcomes_text(outcomes: Iterable[Outcome], *, colour: bool = False) -> Lines:
    """What became of each change, with its reason and fields."""
    return joined(_outcomes(outcomes, colour=colour), colour=colour)


def outcome_line(outcome: Outcome, number: int, total: int) -> str:
    """One line of progress; the reason for a failure stands in the result."""
    word = _WORDS[outcome.status][1]
    return f"[{number}/{total}] {outcome.change.address}: {word}"


def _outcomes(outcomes: Iterable[Outcome], *, colour: bool) -> Iterator[str]:
    for outcome in outcomes:
        yield from _outcome(outcome, colour=colour)


def _outcome(outcome: Outcome, *, colour: bool) -> Iterator[str]:
    symbol, word = _WORDS[outcome.status]
    word = "done" if outcome.status is Status.DONE else word  # "accepted" until it is read again
    change = outcome.change
    head = paint(f"{symbol} {change.address}", symbol, colour=colour)
    reason = f": {printable(outcome.message)}" if outcome.message else ""
    where = f" ({place(change)})" if change.origin else ""
    yield f"  {head} {word}{reason}{where}"
    for field in outcome.not_kept:
        sent, has = value_text(field.after), value_text(field.before)
        yield f"      {printable(field.field)}: sent {sent}, AlertSite has {has}"
    for field in outcome.moved:
        planned, has = value_text(field.after), value_text(field.before)
        yield f"      {printable(field.field)}: planned {planned}, AlertSite has {has} by now"


def _next_step(result: Result) -> str:
    """What to do about the changes that are not done."""
    left = [item for item in result.outcomes if item.status not in {Status.DONE, Status.MOVED}]
    if result.having(Status.MOVED) and all(item.change.is_retirement for item in left):
        return "What has moved needs a new plan."
    if any(map(_may_end_better, left)):
        return "Run the same command again to finish."
    return "Fix the errors above, then run the same command again."


def _may_end_better(outcome: Outcome) -> bool:
    """Whether the same request may have another outcome next time."""
    if outcome.status in {Status.NOT_STARTED, Status.UNCONFIRMED}:
        return True
    return outcome.status is Status.FAILED and outcome.exit_code is ExitCode.UNAVAILABLE
