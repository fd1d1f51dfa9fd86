"""What a run tells machines while it goes on: one value for each thing that happens.

An event says that something happened and to what, never which value a field has: plans, results and
drift hold those. So what follows the events of a run needs no more care than its log.

Rule: values; who makes one knows what time it is, who writes it down adds when it was told.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from reconciler.core.cost import per_day
from reconciler.core.diff import Cause
from reconciler.core.plan import NoteCode, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from reconciler.core.drift import Drift
    from reconciler.core.model import JSON, Live
    from reconciler.core.plan import Plan
    from reconciler.core.result import Outcome


FORMAT_VERSION = "1.0"
"""Of the events' JSON: the minor number grows with additions, the major with anything else."""


class Started(NamedTuple):
    """The run began; always the first event."""

    run: str
    operation: str
    tool_version: str


class LockState(StrEnum):
    """What became of the lock."""

    WAITING = "waiting"
    TAKEN = "taken"
    LOST = "lost"
    RELEASED = "released"


class LockMoved(NamedTuple):
    """The lock of the state was wanted, taken, lost or given back."""

    state: LockState
    message: str = ""


class ObservationBegan(NamedTuple):
    """AlertSite is being read."""


class ObservationEnded(NamedTuple):
    """AlertSite was read.

    Attributes:
        monitors: how many there are; None if the reading failed.
    """

    monitors: int | None


class RequestEnded(NamedTuple):
    """One request went out, and was answered or not.

    Attributes:
        status: of the answer; None if there was none.
        began: seconds since 1970.
        seconds: how long it took.
    """

    method: str
    path: str
    status: int | None
    began: float
    seconds: float


class Retried(NamedTuple):
    """A request failed and is retried.

    Attributes:
        attempt: which one failed; the first is 1.
        wait: seconds until the next one.
        message: how it failed.
    """

    attempt: int
    wait: float
    message: str


class PlanMade(NamedTuple):
    """A plan was made and shown.

    Attributes:
        measurements: per day, of all email monitors of the account, as far as they can be known;
            None if AlertSite was not asked.
    """

    plan: Plan
    measurements: int | None


class OutcomeKnown(NamedTuple):
    """It is known what became of a change.

    Attributes:
        is_confirmed: whether AlertSite was read again since; before that, `done` says only that it
            accepted the request.
    """

    outcome: Outcome
    is_confirmed: bool


class DriftFound(NamedTuple):
    """The drift since the last apply was determined.

    Attributes:
        is_whole: whether it was looked for in all monitors.
    """

    drift: Drift
    is_whole: bool


class Ended(NamedTuple):
    """The run is over; always the last event.

    Attributes:
        error: why it failed; empty if it did not.
    """

    exit_code: int
    seconds: float
    error: str


Event: TypeAlias = (
    Started
    | LockMoved
    | ObservationBegan
    | ObservationEnded
    | RequestEnded
    | Retried
    | PlanMade
    | OutcomeKnown
    | DriftFound
    | Ended
)
Tell: TypeAlias = "Callable[[Event], None]"
"""Is told what happens as it happens, from any thread."""


def drifted(plan: Plan) -> int:
    """How many monitors AlertSite has changed since they were applied, as far as a plan tells."""
    moved = {Cause.DRIFT, Cause.BOTH}
    return sum(
        change.reason is Reason.DELETED_OUTSIDE
        or any(item.cause in moved for item in change.fields)
        for change in plan.changes
    )


def orphans(plan: Plan) -> int:
    """How many monitors have a record and no manifest, whether they are to be retired or stay."""
    retiring = sum(change.is_retirement for change in plan.changes)
    return len(plan.noting(NoteCode.ORPHAN)) + retiring


def causes(plan: Plan) -> dict[tuple[str, ...], int]:
    """How many changes have which action and cause; one with several causes counts for each.

    No manifest explains why a monitor is retired: its cause is `retired`, `replaced` or `undone`.
    """
    found: Counter[tuple[str, ...]] = Counter()
    for change in plan.changes:
        whys = {item.cause.value for item in change.fields if item.sent_with is None}
        if change.is_retirement:
            whys = {(change.reason or Reason.RETIRED).value}
        found.update((change.action.value, why) for why in whys or {Cause.EDIT.value})
    return dict(sorted(found.items()))


def to_json(event: Event, at: str) -> dict[str, JSON]:
    """An event as `schemas/events.schema.json` describes it; `at` is when it was told."""
    name, members = _members(event)
    return {"at": at, "type": name, **members}


def _members(event: Event) -> tuple[str, dict[str, JSON]]:
    match event:
        case Started():
            return "start", {"format_version": FORMAT_VERSION, **event._asdict()}
        case LockMoved():
            return "lock", event._asdict()
        case ObservationBegan():
            return "observation", {"state": "began"}
        case ObservationEnded():
            return "observation", {"state": "ended", "monitors": event.monitors}
        case RequestEnded():
            members = event._asdict()
            del members["began"]
            return "request", members | {"seconds": round(event.seconds, 3)}
        case Retried():
            return "retry", event._asdict() | {"wait": round(event.wait, 3)}
        case PlanMade():
            plan = event.plan
            return "plan", {
                "account": plan.account._asdict(),
                "digest": plan.digest,
                "summary": plan.summary,
                "drifted": drifted(plan),
                "orphans": orphans(plan),
                "losses": plan.coverage.by_cause(),
                "measurements": event.measurements,
            }
        case OutcomeKnown():
            outcome, change = event.outcome, event.outcome.change
            return "outcome", {
                "address": change.address,
                "action": change.action,
                "id": outcome.id,
                "status": outcome.status,
                "is_confirmed": event.is_confirmed,
                "message": outcome.message,
            }
        case DriftFound():
            return "drift", {
                "account": event.drift.account._asdict(),
                "kept": event.drift.kept,
                "drifted": [item.address for item in event.drift.monitors],
            }
        case Ended():
            return "end", event._asdict() | {"seconds": round(event.seconds, 3)}


def measurements(live: Iterable[Live], kinds: Container[str]) -> int:
    """Per day, of all email monitors, as far as they can be known."""
    return sum(per_day(item.fields) or 0 for item in live if item.type in kinds)
