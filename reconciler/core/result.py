"""What became of a plan.

Rule: every change of the plan has exactly one outcome, and an outcome says "done" only when a fresh
read of AlertSite agreed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.generation import Generation
from reconciler.core.json_text import encoded
from reconciler.core.plan import Action, NoteCode
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from reconciler.core.diff import FieldChange
    from reconciler.core.model import JSON, Account, Desired, Live
    from reconciler.core.plan import Change, Loss, Plan


FORMAT_VERSION = "2.2"
"""Of the result's JSON: the minor number grows with additions, the major with anything else."""


class Status(StrEnum):
    """What became of one change; before `confirm`, DONE says only that AlertSite accepted it."""

    DONE = "done"
    FAILED = "failed"
    NOT_KEPT = "not-kept"
    UNCONFIRMED = "unconfirmed"
    NOT_STARTED = "not-started"
    MOVED = "moved"
    DOUBLED = "doubled"


class Outcome(NamedTuple):
    """What became of one change.

    Attributes:
        message: the reason when it is not done; AlertSite's own words where it gave any. Of a new
            monitor that is done, why it does not run.
        exit_code: the code that the reason would give if it were the whole run's.
        not_kept: the fields in which AlertSite differs from what was sent, and `enabled` if it
            differs from the manifest.
        moved: the fields that are no longer as the saved plan found them.
        created: the id that AlertSite gave to a new monitor.
        may_repeat: it is a create that could be sent again, were it known to have made nothing.
    """

    change: Change
    status: Status
    message: str = ""
    exit_code: ExitCode = ExitCode.PARTIAL
    not_kept: tuple[FieldChange, ...] = ()
    moved: tuple[FieldChange, ...] = ()
    created: int | None = None
    may_repeat: bool = False

    @property
    def id(self) -> int | None:
        """The monitor it is about; None if none came into being."""
        return self.change.id if self.created is None else self.created

    @property
    def unsent(self) -> tuple[FieldChange, ...]:
        """Those of `not_kept` that were as the manifest says, so that they were not sent."""
        return tuple(item for item in self.not_kept if item.field not in self.change.body)

    @property
    def is_invisible(self) -> bool:
        """Whether AlertSite shows nothing of what it accepted, so that it may come yet."""
        had = {
            item.field: item.before
            for item in self.change.fields
            if not item.sent_with and not item.source
        }
        has = {item.field: item.before for item in self.not_kept}
        return bool(has) and has == had

    def to_json(self) -> dict[str, JSON]:
        """The part of the result's JSON."""
        change = self.change
        return {
            "address": change.address,
            "action": change.action,
            "id": self.id,
            "status": self.status,
            "message": self.message,
            "origin": encoded(change.origin),
            "request": {"method": change.method, "path": change.path, "body": change.body},
            "not_kept": [
                {"field": item.field, "sent": item.after, "has": item.before}
                for item in self.not_kept
            ],
            "moved": [
                {"field": item.field, "planned": item.after, "has": item.before}
                for item in self.moved
            ],
        }


class Result(NamedTuple):
    """What became of all changes of a plan, in the plan's order.

    Attributes:
        run: the id of the run, as records and locks name it.
        is_recorded: whether the state could be kept.
        generation: of the manifests.
        losses: the monitors that lost monitoring, or may have.
    """

    account: Account
    outcomes: tuple[Outcome, ...]
    interrupted: bool = False
    run: str = ""
    is_recorded: bool = True
    generation: Generation = Generation()
    losses: tuple[Loss, ...] = ()

    def having(self, status: Status) -> tuple[Outcome, ...]:
        """The outcomes of that status."""
        return tuple(outcome for outcome in self.outcomes if outcome.status is status)

    @property
    def counts(self) -> dict[str, int]:
        """How many changes of each action are done."""
        done = [item.change.action for item in self.having(Status.DONE)]
        return {action.value: done.count(action) for action in Action}

    @property
    def exit_code(self) -> ExitCode:
        """130 if interrupted, 8 if it is not recorded, 0 if all is done, 7 if a part is.

        Else what stopped everything.
        """
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if not self.is_recorded:
            return ExitCode.LOCKED
        codes = {item.exit_code for item in self.outcomes if item.status in _REASONED}
        match len(self.having(Status.DONE)):
            case done if done == len(self.outcomes):
                return ExitCode.OK
            case 0 if len(codes) == 1 and not any(map(self.having, _TOUCHED)):
                return codes.pop()
        return ExitCode.PARTIAL

    def with_moved(self, moved: tuple[Outcome, ...]) -> Result:
        """The result with outcomes of changes that were not made since something had moved."""
        outcomes = sorted((*self.outcomes, *moved), key=lambda outcome: outcome.change.address)
        return self._replace(outcomes=tuple(outcomes)) if moved else self

    def to_json(self) -> dict[str, JSON]:
        """The result as `schemas/result.schema.json` describes it."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account._asdict(),
            "run": self.run,
            "generation": self.generation._asdict(),
            "interrupted": self.interrupted,
            "exit_code": int(self.exit_code),
            "summary": {status.value: len(self.having(status)) for status in Status},
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
            "losses": encoded(self.losses),
        }


_MOVED, _SWITCH, _PLACES = object(), "enabled", "locations"
_REASONED = (Status.FAILED, Status.MOVED)
_TOUCHED = (Status.NOT_KEPT, Status.UNCONFIRMED, Status.DOUBLED)


def confirm(
    outcomes: Iterable[Outcome], after: Plan, ids: Mapping[str, int], absent: Collection[str] = ()
) -> tuple[Outcome, ...]:
    """The outcomes in the light of a plan made after the run: only what AlertSite has counts.

    Args:
        outcomes: what is known of each change.
        after: a plan of the same manifests, made from a fresh read.
        ids: the monitor that each address is bound to by now.
        absent: addresses of creates without an answer that are known to have made nothing.
    """
    doubles = {note.address: note for note in after.noting(NoteCode.DUPLICATE)}
    changes = {change.address: change for change in after.changes}
    refusals = {refusal.address: refusal.message for refusal in after.refusals}
    confirmed = []
    for outcome in outcomes:
        address, found = outcome.change.address, outcome
        if outcome.status in {Status.DONE, Status.UNCONFIRMED}:
            found = _confirm(outcome, changes.get(address), refusals.get(address), ids.get(address))
            if found.status is Status.UNCONFIRMED and address in absent:
                found = _denied(found)
            is_new = outcome.change.action is Action.CREATE and found.created is not None
            if is_new and address in doubles:
                message = (
                    f"AlertSite also has monitor {doubles[address].id} of the same kind and name, "
                    "which did not exist when the plan was made; the manifest is bound to "
                    f"{found.created}. A run with another state may have created it, or an earlier "
                    f"one of this state, which reconciler history {address} shows: delete the one "
                    "you do not want"
                )
                found = found._replace(status=Status.DOUBLED, message=message)
        confirmed.append(found)
    return tuple(confirmed)


def with_idle(
    outcomes: Iterable[Outcome], live: Mapping[int, Live], manifests: Mapping[str, Desired]
) -> tuple[Outcome, ...]:
    """The outcomes; of a new monitor that does not run though no manifest asks for that, why.

    What a create leaves out, AlertSite fills with the defaults of the account.
    """
    found = []
    for item in outcomes:
        monitor = None if item.created is None else live.get(item.created)
        manifest = manifests.get(item.change.address)
        if item.status is Status.DONE and monitor is not None and manifest is not None:
            enabled = manifest.kind.field(_SWITCH).normalise(monitor.fields.get(_SWITCH))
            why = ""
            if enabled is False and _SWITCH not in manifest.fields:
                why = "enabled is false"
            elif monitor.fields.get(_PLACES) == [] and _PLACES not in manifest.fields:
                why = "it has no locations"
            said = f"it is there but does not run: {why}, and the manifest does not set that"
            found.append(item._replace(message=said if why else ""))
        else:
            found.append(item)
    return tuple(found)


def losses_of(losses: Iterable[Loss], outcomes: Iterable[Outcome]) -> tuple[Loss, ...]:
    """Those of a plan's losses that came about, or may have: not where all is as it was."""
    by_address = {outcome.change.address: outcome for outcome in outcomes}
    return tuple(loss for loss in losses if _is_lost(loss, by_address.get(loss.address)))


def _is_lost(loss: Loss, outcome: Outcome | None) -> bool:
    if outcome is None or loss.without_request is not None:
        return True
    match outcome.status:
        case Status.DONE | Status.UNCONFIRMED | Status.DOUBLED:
            return True
        case Status.NOT_KEPT if outcome.change.action is Action.CREATE:
            return True  # the one that it stands for has vanished, whatever the new one is like
        case Status.NOT_KEPT if outcome.change.action is Action.UPDATE:
            # A value that is neither the old nor the new one may cost as much.
            had = {item.field: item.before for item in outcome.change.fields}
            as_it_was = {
                item.field
                for item in outcome.not_kept
                if item.before == had.get(item.field, _MOVED)
            }
            return bool(loss.fields.keys() - as_it_was)
        case _:
            return False


def _confirm(
    outcome: Outcome, after: Change | None, refused: str | None, number: int | None
) -> Outcome:
    if refused is not None:
        is_done = outcome.status is Status.DONE
        return outcome._replace(
            status=Status.NOT_KEPT if is_done else Status.UNCONFIRMED, message=refused
        )
    if outcome.change.action is Action.DELETE:
        if after is None:
            return outcome._replace(status=Status.DONE, message="")
        if outcome.status is Status.UNCONFIRMED:
            return _denied(outcome)
        message = "AlertSite accepted the request but still lists the monitor"
        return outcome._replace(status=Status.NOT_KEPT, message=message)
    if after is not None and after.action is Action.CREATE:  # AlertSite does not list the monitor
        if outcome.status is Status.UNCONFIRMED:
            return outcome
        if outcome.change.action is Action.CREATE:
            message = f"AlertSite accepted the request but does not have monitor {outcome.id}"
            return outcome._replace(status=Status.UNCONFIRMED, message=message)
        message = "AlertSite accepted the request, but the monitor was deleted meanwhile"
        return outcome._replace(status=Status.NOT_KEPT, message=message)
    if outcome.change.action is Action.CREATE:
        if outcome.created is not None and number not in {None, outcome.created}:
            message = f"meanwhile, another run has bound the address to monitor {number}"
            return outcome._replace(status=Status.NOT_KEPT, message=message)
        outcome = outcome._replace(created=number or outcome.created)
    sent = {*outcome.change.body, _SWITCH}  # a monitor that is off now is never said to be done
    not_kept = tuple(
        item
        for item in (after.fields if after else ())
        if item.field in sent and item.sent_with is None and item.source is None
    )
    is_update = outcome.change.action is Action.UPDATE
    has_differing = any(item.field in outcome.change.body for item in not_kept)
    if has_differing and outcome.status is Status.UNCONFIRMED and is_update:
        return _denied(outcome)
    if not_kept and not has_differing and is_update:
        message = "AlertSite has what was sent, but a field that was not sent has changed meanwhile"
        return outcome._replace(status=Status.NOT_KEPT, message=message, not_kept=not_kept)
    if not_kept:
        had = {item.field: item.before for item in outcome.change.fields}
        message = "AlertSite accepted the request but has another value"
        if is_update and all(item.before == had.get(item.field, _MOVED) for item in not_kept):
            message = (
                "AlertSite accepted the request but still shows the old value: it was not kept, or "
                "is not visible yet"
            )
        return outcome._replace(status=Status.NOT_KEPT, message=message, not_kept=not_kept)
    if outcome.status is Status.UNCONFIRMED and any(item.source for item in outcome.change.fields):
        return outcome  # whether the secret arrived cannot be read
    return outcome._replace(status=Status.DONE, message="")


_NOT_DONE = {
    Action.CREATE: "not created",
    Action.UPDATE: "not changed",
    Action.DELETE: "not deleted",
}


def _denied(outcome: Outcome) -> Outcome:
    """The outcome of a change that may have happened, once AlertSite shows that it did not.

    The progress has called it unconfirmed, so the message says in words that it is known by now.
    """
    message = f"{_NOT_DONE[outcome.change.action]}: {outcome.message}"
    return outcome._replace(status=Status.FAILED, message=message)
