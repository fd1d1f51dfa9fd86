"""Carrying out a plan: journal, requests, records, a second look, the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import AlertSiteError, ExitCode, StateError
from reconciler.model import Lifecycle
from reconciler.plan import Action, NoteCode
from reconciler.result import Outcome, Result, Status, confirm
from reconciler.state import RELEASED, UNTRACKED, Record, Transition
from reconciler.workflow.execution import Applied
from reconciler.workflow.planning import look_again

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.alertsite import Writer
    from reconciler.model import JSON, Desired
    from reconciler.plan import Change, Plan
    from reconciler.recorder import Recorder
    from reconciler.workflow.execution import Execution
    from reconciler.workflow.planning import Look, Workspace


def apply_plan(
    plan: Plan,
    first: Look,
    workspace: Workspace,
    writer: Writer,
    recorder: Recorder,
    execution: Execution,
) -> Applied:
    """Carries out the plan's changes, then reads AlertSite again to see what it kept.

    Args:
        plan: what to do, as it was approved.
        first: the look that it was made from or compared with.
        workspace: the manifests.
        writer: what sends the requests.
        recorder: what keeps the state.
        execution: how to proceed.

    Raises:
        StateError: what is to be done cannot be written down, so nothing was sent.
    """
    run = _Run(workspace, writer, recorder, execution)
    last: Look | None = first
    outcomes: tuple[Outcome, ...] = ()
    if plan.changes:
        recorder.begin(first.bound, {item.address: _creates(item) for item in plan.changes})
        last, outcomes = run.verified(run.executed(plan.changes))
    else:
        recorder.bind(first.bound)
    transition = run.last_transition(last) if last else Transition()
    try:
        recorder.finish(transition)
    except StateError as error:
        run.trouble = run.trouble or error
    result = run.result(plan.account, outcomes)
    bound = {address: record.id for address, record in recorder.state.records.items()}
    return Applied(result, run.trouble, bound)


def _creates(change: Change) -> str | None:
    """The display name of the monitor that the change creates."""
    return str(change.body["name"]) if change.action is Action.CREATE else None


class _Run:
    """One apply under way."""

    def __init__(
        self, workspace: Workspace, writer: Writer, recorder: Recorder, execution: Execution
    ) -> None:
        self.trouble: StateError | None = None
        # A second look asks what AlertSite has; a secret that was sent need not be sent again.
        self._workspace = workspace._replace(rules=workspace.rules._replace(write_secrets=False))
        self._desired = {item.address: item for item in workspace.fleet.desired}
        self._writer = writer
        self._recorder = recorder
        self._execution = execution

    def executed(self, changes: Sequence[Change]) -> tuple[Outcome, ...]:
        """One outcome for each change; monitors are retired last, if all else is done."""
        first = self._execute([change for change in changes if not change.is_retirement])
        retiring = [change for change in changes if change.is_retirement]
        if all(outcome.status is Status.DONE for outcome in first):
            last = self._execute(retiring, parallelism=1)
        else:
            reason = "monitors are only retired when all other changes are done"
            last = tuple(Outcome(change, Status.NOT_STARTED, reason) for change in retiring)
        return tuple(sorted((*first, *last), key=lambda outcome: outcome.change.address))

    def _execute(
        self, changes: Sequence[Change], *, parallelism: int | None = None
    ) -> tuple[Outcome, ...]:
        from reconciler.executor import execute  # noqa: PLC0415 - 5 ms that planning saves

        return execute(
            changes,
            self._send,
            parallelism=parallelism or self._execution.parallelism,
            fail_fast=self._execution.fail_fast,
            halted=self._halted,
            note=self._note,
        )

    def _halted(self) -> str:
        if self._execution.stop.by_signal:
            return "the run was interrupted"
        if self.trouble is not None:
            return f"the state cannot be kept: {self.trouble}"
        return self._execution.halted() or self._recorder.intruder

    def _send(self, change: Change) -> int | None:
        vault, body = self._workspace.vault, change.body
        secrets: tuple[str, ...] = ()
        if any(field.source for field in change.fields):
            secrets, body = vault.revealed(body), vault.reveal(body)
        if change.action is Action.CREATE:
            return self._writer.create(change.path, body, secrets)
        if change.action is Action.DELETE:
            self._writer.delete(change.path)
        else:
            self._writer.patch(change.path, body, secrets)
        return None

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        settled = [
            item
            for item in outcomes
            # That a monitor is gone, AlertSite tells.
            if item.status is not Status.UNCONFIRMED and item.change.action is not Action.DELETE
        ]
        self._record({item.change.address: self._record_of(item) for item in settled})
        for outcome in outcomes:
            self._execution.progress(outcome)

    def _record(self, records: dict[str, Record | None]) -> None:
        if self.trouble is not None:
            return
        try:
            self._recorder.record(records)
        except StateError as error:
            self.trouble = error

    def _record_of(self, outcome: Outcome) -> Record | None:
        """What was applied by a change that AlertSite accepted."""
        number, change = outcome.id, outcome.change
        if outcome.status is not Status.DONE or number is None:
            return None
        vault, known = self._workspace.vault, self._recorder.known(change.address)
        same = known is not None and known.id == number
        fields, secrets = (dict(known.fields), dict(known.secrets)) if known and same else ({}, {})
        for item in change.fields:
            value = change.body[item.field]
            if item.source is None:
                fields[item.field] = value
            else:
                fields.pop(item.field, None)
                secrets[item.field] = UNTRACKED
                if vault.tracks:
                    secrets[item.field] = vault.fingerprint(number, item.field, value)
        return self._made(number, fields, secrets, known, self._desired.get(change.address))

    def _made(
        self,
        number: int,
        fields: Mapping[str, JSON],
        secrets: Mapping[str, str],
        known: Record | None,
        desired: Desired | None,
    ) -> Record:
        """A record of now; the lifecycle is the manifest's, or else what is remembered of it."""
        treated = desired.lifecycle if desired else known or Lifecycle()
        now, run = self._recorder.now(), self._recorder.run
        return Record(number, fields, secrets, now, run, treated.protect, treated.retire)

    def verified(self, outcomes: tuple[Outcome, ...]) -> tuple[Look | None, tuple[Outcome, ...]]:
        """The outcomes as AlertSite shows them; a few more looks while it shows something else."""
        if not any(item.status in {Status.DONE, Status.UNCONFIRMED} for item in outcomes):
            return None, outcomes
        confirmed, last = outcomes, None
        for wait in (0.0, *self._execution.settle):
            self._execution.stop.wait(wait)
            try:
                last = look_again(self._workspace, self._writer, self._recorder.state)
            except Exception as error:  # noqa: BLE001 - a bug must not cost the report on what was done
                if last is not None:
                    return last, confirmed
                return None, tuple(_unverified(item, error) for item in outcomes)
            self._recorder.bind(last.bound)
            records = self._recorder.state.records
            ids = {address: record.id for address, record in records.items()}
            confirmed = confirm(outcomes, last.plan, ids)
            if not any(map(_is_doubtful, outcomes, confirmed)):
                break
        return last, confirmed

    def result(self, account: str, outcomes: tuple[Outcome, ...]) -> Result:
        """What became of the run as a whole."""
        interrupted = self._execution.stop.by_signal and any(
            outcome.status is not Status.DONE for outcome in outcomes
        )
        return Result(
            account,
            outcomes,
            interrupted=interrupted,
            run=self._recorder.run,
            is_recorded=self.trouble is None,
        )

    def last_transition(self, last: Look) -> Transition:
        """What the last look tells that no record says yet."""
        differing = {
            change.address: {item.field for item in change.fields if item.sent_with is None}
            for change in last.plan.changes
        }
        refused = {refusal.address for refusal in last.plan.refusals}
        adopted = {note.address: note.id for note in last.plan.noting(NoteCode.ADOPTED)}
        there = {monitor.id for monitor in last.live}
        records: dict[str, Record | None] = {
            note.address: None for note in last.plan.noting(NoteCode.FORGOTTEN)
        }
        for desired in self._workspace.targeted:
            address = desired.address
            old = self._recorder.known(address)
            number = desired.id or adopted.get(address) or (old.id if old else None)
            if number in there and address not in refused:
                new = self._fitting(desired, old, number, differing.get(address, set()))
                if old is None or new._replace(applied_at=old.applied_at, run=old.run) != old:
                    records[address] = new
        return Transition(records)

    def _fitting(
        self, desired: Desired, old: Record | None, number: int, misfit: set[str]
    ) -> Record:
        """A record of the fields that AlertSite fits; for the others what it was before."""
        before = old.fields if old else {}
        fields = desired.fields
        misfit |= {item.field for item in desired.lifecycle.ignore}
        if misfit:
            kept = {name: before[name] for name in misfit if name in before}
            fits = {name: value for name, value in fields.items() if name not in misfit}
            fields = {**fits, **kept}
        sent = old.secrets if old and old.id == number else {}
        # What AlertSite still has of a secret is never shown, so the field stays known as one until
        # another value is seen there; and for good if the manifest no longer names it.
        secrets = {
            name: sent[name] if name in desired.secrets else RELEASED
            for name in sent
            if name not in desired.fields or name in misfit
        }
        return self._made(number, fields, secrets, old, desired)


def _is_doubtful(before: Outcome, confirmed: Outcome) -> bool:
    """Whether AlertSite showed something else than what it accepted, or may have received."""
    if before.status is Status.UNCONFIRMED and before.change.action is Action.CREATE:
        return confirmed.status is Status.UNCONFIRMED
    return confirmed.status is not Status.DONE and confirmed.status is not before.status


def _unverified(outcome: Outcome, error: Exception) -> Outcome:
    if outcome.status is not Status.DONE:
        return outcome
    known = isinstance(error, AlertSiteError)
    reason = str(error) if known else f"unexpected failure: {type(error).__name__}: {error}"
    message = f"AlertSite accepted the request and could not be read again: {reason}"
    code = error.exit_code if isinstance(error, AlertSiteError) else ExitCode.BUG
    return outcome._replace(status=Status.UNCONFIRMED, message=message, exit_code=code)
