"""What became of a plan.

Rule: every change of the plan has exactly one outcome, and an outcome says "done" only when a fresh
read of AlertSite agreed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.diff import FieldChange
    from reconciler.model import JSON
    from reconciler.plan import Change, Plan

FORMAT_VERSION = "1.0"
"""Of the result's JSON: the minor number grows with additions, the major with anything else."""


class Status(StrEnum):
    """What became of one change; before `confirm`, DONE says only that AlertSite accepted it."""

    DONE = "done"
    FAILED = "failed"
    NOT_KEPT = "not-kept"
    UNCONFIRMED = "unconfirmed"
    NOT_STARTED = "not-started"


class Outcome(NamedTuple):
    """What became of one change.

    Attributes:
        message: the reason when it is not done; AlertSite's own words where it gave any.
        exit_code: the code that the reason would give if it were the whole run's.
        not_kept: the fields in which AlertSite differs from what was sent.
    """

    change: Change
    status: Status
    message: str = ""
    exit_code: ExitCode = ExitCode.PARTIAL
    not_kept: tuple[FieldChange, ...] = ()


class Result(NamedTuple):
    """What became of all changes of a plan, in the plan's order."""

    account: str
    outcomes: tuple[Outcome, ...]
    interrupted: bool = False

    def having(self, status: Status) -> tuple[Outcome, ...]:
        """The outcomes of that status."""
        return tuple(outcome for outcome in self.outcomes if outcome.status is status)

    @property
    def exit_code(self) -> ExitCode:
        """130 if interrupted, 0 if all is done, 7 if a part is; else what stopped everything."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        codes = {item.exit_code for item in self.outcomes if item.status is Status.FAILED}
        match len(self.having(Status.DONE)):
            case done if done == len(self.outcomes):
                return ExitCode.OK
            case 0 if len(codes) == 1 and not self._touched():
                return codes.pop()
        return ExitCode.PARTIAL

    def to_json(self) -> dict[str, JSON]:
        """The result as `schemas/result.schema.json` describes it."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account,
            "interrupted": self.interrupted,
            "exit_code": int(self.exit_code),
            "summary": {status.value: len(self.having(status)) for status in Status},
            "outcomes": [_outcome_to_json(outcome) for outcome in self.outcomes],
        }

    def _touched(self) -> bool:
        return bool(self.having(Status.NOT_KEPT) or self.having(Status.UNCONFIRMED))


def confirm(outcomes: Iterable[Outcome], after: Plan) -> tuple[Outcome, ...]:
    """The outcomes in the light of a plan made after the run: only what AlertSite has counts."""
    changes = {change.address: change.fields for change in after.changes}
    refusals = {refusal.address: refusal.message for refusal in after.refusals}
    return tuple(
        _confirm(
            outcome,
            changes.get(outcome.change.address, ()),
            refusals.get(outcome.change.address),
        )
        for outcome in outcomes
    )


def _confirm(outcome: Outcome, differing: tuple[FieldChange, ...], refused: str | None) -> Outcome:
    if outcome.status not in {Status.DONE, Status.UNCONFIRMED}:
        return outcome
    if refused is not None:
        return outcome._replace(status=Status.NOT_KEPT, message=refused)
    sent = outcome.change.body
    not_kept = tuple(item for item in differing if item.field in sent and item.sent_with is None)
    if not not_kept:
        return outcome._replace(status=Status.DONE, message="")
    if outcome.status is Status.UNCONFIRMED:
        return outcome._replace(status=Status.FAILED)
    return outcome._replace(
        status=Status.NOT_KEPT,
        message="AlertSite accepted the request and has another value",
        not_kept=not_kept,
    )


def _outcome_to_json(outcome: Outcome) -> dict[str, JSON]:
    change = outcome.change
    return {
        "address": change.address,
        "id": change.id,
        "status": outcome.status.value,
        "message": outcome.message,
        "origin": change.origin._asdict(),
        "request": {"method": change.method, "path": change.path, "body": change.body},
        "not_kept": [
            {"field": item.field, "sent": item.after, "has": item.before}
            for item in outcome.not_kept
        ],
    }
