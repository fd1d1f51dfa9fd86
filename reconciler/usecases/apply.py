"""Apply: journal, requests, records, a second observation, the state.

The executor decides nothing and records nothing: outcomes are handed over in batches, in the
calling thread, which so is the only writer of journal and state. A change starts only while at
most `_AHEAD` times the parallelism of others have an outcome that was not handed over yet: so a
journal that cannot be written any more stops the sending, however fast the answers come. One
failed change does not stop the others; a reason to halt, a refused login, an AlertSite that stays
away or `fail_fast` lets what is in flight finish and starts nothing new.

What is approved is a plan with its bindings. The observation after the requests confirms or denies
what they did, and decides nothing new.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Semaphore
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import Cause
from reconciler.core.inventory import number_of
from reconciler.core.mask import shown
from reconciler.core.pending import all_caught_up, caught_up, is_foreign
from reconciler.core.plan import Action, BindingAction, Reason
from reconciler.core.release import kept_priors, left_worse, with_intent
from reconciler.core.result import Outcome, Result, Status, confirm, losses_of, with_idle
from reconciler.core.run_record import run_record
from reconciler.core.safety import next_budget
from reconciler.core.state import RELEASED, UNTRACKED, Lost, Record, Sending, StateDelta
from reconciler.core.undo import can_take_back
from reconciler.errors import (
    AlertSiteError,
    CredentialsError,
    ExitCode,
    NonsenseError,
    StateError,
    UnavailableError,
    unexpected,
)
from reconciler.usecases.plan import Grace, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from reconciler.alertsite import Writer
    from reconciler.context import Cancellation, Clock, Reporter
    from reconciler.core.model import JSON, Account, Desired, Live
    from reconciler.core.plan import Change, Loss, Plan
    from reconciler.core.run_record import About
    from reconciler.state_session import Recorder
    from reconciler.usecases.plan import Planned, Workspace


class Execution(NamedTuple):
    """How an apply proceeds.

    Attributes:
        cancellation: why nothing new is started and nothing is repeated, once there is a reason.
        reporter: is told each outcome as it is known.
        clock: what time it is.
        grace: seconds after which a create without an answer that nothing is seen of made nothing.
    """

    parallelism: int
    fail_fast: bool
    cancellation: Cancellation
    reporter: Reporter
    clock: Clock
    grace: float


class Applied(NamedTuple):
    """What became of a plan, and of the state.

    Attributes:
        state_error: why the state could not be kept; None if it was.
        bound: the id of the monitor that each address is bound to by now, and was seen to be.
        is_kept: whether the store has a record of the run, since there is something to tell.
        can_undo: whether an undo of it would do something that lasts.
    """

    result: Result
    state_error: StateError | None
    bound: dict[str, int]
    is_kept: bool
    can_undo: bool


_AHEAD = 2
PATIENCE = 10
"""How many changes in a row may find AlertSite away."""


def execute(
    changes: Sequence[Change],
    send: Callable[[Change], int | None],
    execution: Execution,
    note: Callable[[Sequence[Outcome]], None],
) -> tuple[Outcome, ...]:
    """One outcome for each change, in the order of the changes.

    A change that fails stops no other one, unless AlertSite is unavailable for several in a row or
    rejects the credentials, or `fail_fast` is set: then those that have not begun are not started.

    Args:
        changes: what to carry out.
        send: carries out one change and returns the id of a new monitor; called from
            `parallelism` threads.
        execution: how to proceed.
        note: is told the outcomes as they are known, all that there are at the time.
    """
    part = execution.cancellation.part()
    known: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
    outcomes: dict[int, Outcome] = {}
    ahead = Semaphore(_AHEAD * execution.parallelism)
    times_away = 0  # in a row; threads may lose a count to each other, which does no harm

    def carry_out(change: Change) -> Outcome:
        nonlocal times_away
        if reason := part.reason:
            return Outcome(change, Status.NOT_STARTED, reason)
        try:
            created = send(change)
        except AlertSiteError as error:
            is_away = isinstance(error, NonsenseError)
            if isinstance(error, UnavailableError):
                is_away = error.is_away
            times_away = times_away + 1 if is_away else 0
            if times_away >= PATIENCE:
                part.cancel(f"AlertSite was unavailable for {PATIENCE} changes in a row")
            if isinstance(error, CredentialsError):
                part.cancel("AlertSite rejects the credentials")
            elif execution.fail_fast:
                part.cancel(f"{change.address} failed")
            status = Status.UNCONFIRMED if error.may_have_arrived else Status.FAILED
            reason = f"{str(error).rstrip('.')}. {error.hint}" if error.hint else str(error)
            is_create = change.action is Action.CREATE
            may_repeat = is_create and isinstance(error, UnavailableError | NonsenseError)
            return Outcome(change, status, reason, error.exit_code, may_repeat=may_repeat)
        # A bug must not cost the report on all the others, and its outcome is waited for.
        except BaseException as error:  # noqa: BLE001 - see above
            return Outcome(change, Status.UNCONFIRMED, unexpected(error), ExitCode.BUG)
        times_away = 0
        return Outcome(change, Status.DONE, created=created)

    def work(index: int, change: Change) -> None:
        ahead.acquire()
        known.put((index, carry_out(change)))

    with ThreadPoolExecutor(execution.parallelism) as pool:
        for index, change in enumerate(changes):
            pool.submit(work, index, change)
        while len(outcomes) < len(changes):
            batch = [known.get()]
            with suppress(Empty):
                while True:
                    batch.append(known.get_nowait())
            outcomes.update(batch)
            try:
                note([outcome for _, outcome in batch])
            except BaseException:
                part.cancel("the result could not be written to the journal")
                ahead.release(len(changes))
                raise
            ahead.release(len(batch))
    return tuple(outcomes[index] for index in range(len(changes)))


def apply_plan(
    plan: Plan,
    first: Planned,
    workspace: Workspace,
    writer: Writer,
    recorder: Recorder,
    execution: Execution,
    about: About,
    used: str | None = None,
) -> Applied:
    """Carries out the plan's changes, then reads AlertSite again to see what it kept.

    Args:
        plan: what to do, as it was approved.
        first: the look that it was made from or compared with.
        workspace: the manifests.
        writer: what sends the requests.
        recorder: what keeps the state.
        execution: how to proceed.
        about: who runs what; of a part of the manifests the generation does not stand for all.
        used: the id of the saved plan that this is; it is not applied again once all is done.

    Raises:
        StateError: what is to be done cannot be written down, so nothing was sent.
    """
    run = _Run(workspace, writer, recorder, execution, first)
    generation = about.generation
    if generation.commit and not workspace.rules.targets:
        recorder.claim(generation)
    recorder.reopen(first.reopened, first.ids)
    # Nothing is bound or forgotten but by the plan's own bindings.
    named = {address for item in plan.bindings for address in (item.address, item.before)}
    recorder.bind({address: item for address, item in first.bound.items() if address in named})
    recorder.drop(first.dropped, first.by_id)
    recorder.bind(run.came(recorder.state.records))
    live = {monitor.id: monitor for monitor in first.live}
    told = run_record(about, plan.changes, live, workspace.schemas.kinds, recorder.known)
    last: Planned | None = first
    outcomes: tuple[Outcome, ...] = ()
    losses = plan.coverage.losses
    began, earlier = _lost(losses, recorder.now()), recorder.state.losses
    if plan.changes:
        recorder.begin(
            [change.address for change in plan.changes],
            {
                change.address: {  # what it sends, but for secrets
                    item.field: change.body[item.field]
                    for item in change.fields
                    if item.source is None
                }
                for change in plan.having(Action.CREATE)
            },
            [change.address for change in plan.having(Action.DELETE)],
            first.ids,
            began,
            told,
            run.about_to_change(plan.having(Action.UPDATE)),
        )
        last, outcomes = run.carried_out(plan.changes)
    delta = run.last_delta(last, outcomes) if last else StateDelta()
    is_done = all(outcome.status is Status.DONE for outcome in outcomes)
    if used is not None and last is not None and is_done:
        delta = delta._replace(applied_plan=used)
    losses = losses_of(losses, outcomes)
    before, configured = recorder.state.budget, workspace.budgets.configured
    strangers = tuple(item.id for item in first.plan.unmanaged_monitors)
    delta = delta._replace(
        losses={number: earlier.get(number) for number in began} | _lost(losses, recorder.now()),
        budget=next_budget(plan.coverage, configured, before)._asdict(),
        unmanaged=None if workspace.undoes else strangers,
    )
    code = run.result(plan.account, outcomes).exit_code
    try:
        recorder.finish(delta, told.ending(outcomes, code, recorder.now()))
    except StateError as error:
        run.state_error = run.state_error or error
    if last is not None:
        outcomes = with_idle(outcomes, last.by_id, workspace.fleet.by_address)
    result = run.result(plan.account, outcomes)._replace(generation=generation, losses=losses)
    records = recorder.state.records
    bound = {address: record.id for address, record in records.items() if not record.is_new}
    kept = recorder.kept
    can_undo = (
        kept is not None
        # What binds itself by `metadata.id` would be bound again by the next apply.
        and bool(plan.changes or plan.bindings)
        and can_take_back(kept, records, workspace.schemas.kinds)
    )
    return Applied(result, run.state_error, bound, kept is not None, can_undo)


def _lost(losses: Sequence[Loss], at: str) -> dict[int, Lost]:
    """What the state keeps of losses, by monitor."""
    return {loss.id: Lost(loss.id, loss.address, loss.causes, at) for loss in losses}


_REPETITIONS = 2
_SETTLE = (0.02, 0.07)
_LATE = (0.18, 0.44)
"""Shares of the grace before each further look, when AlertSite does not show what it accepted."""


class _Run:
    """One apply under way."""

    def __init__(
        self,
        workspace: Workspace,
        writer: Writer,
        recorder: Recorder,
        execution: Execution,
        first: Planned,
    ) -> None:
        self.state_error: StateError | None = None
        # A look after the requests confirms or denies: it adopts nothing, and a secret that was
        # sent need not be sent again.
        rules = workspace.rules._replace(write_secrets=False, adopt=False)
        self._workspace = workspace._replace(rules=rules)
        self._desired = workspace.fleet.by_address
        self._writer = writer
        self._recorder = recorder
        self._execution = execution
        self._first = first
        # Those that no create may be answered with.
        self._ids = {item.id for item in workspace.fleet.desired if item.id is not None}
        self._ids.update(first.ids)

    def came(self, records: Mapping[str, Record]) -> dict[str, Record | None]:
        """The records with what earlier runs have sent by now, or have not deleted.

        No manifest asks for what an orphan was to be, so that is over, seen or not. A record under
        a former name is none, also where that manifest is not what this run is about.
        """
        there, kinds = self._first.by_id, self._workspace.schemas.kinds
        found = dict(all_caught_up(records, there, kinds))
        for address, record in records.items():
            if record.deleting and record.id in there:
                found[address] = found[address]._replace(deleting=False)
        claimed = {former for item in self._desired.values() for former in item.former}
        orphans = records.keys() - self._desired.keys() - claimed
        for address in () if self._workspace.undoes else orphans:
            if found[address].sending.fields:
                found[address] = found[address]._replace(sending=Sending())
        return {address: item for address, item in found.items() if item is not records[address]}

    def about_to_change(self, changes: Iterable[Change]) -> dict[str, Record]:
        """The records of monitors before they change, with what their fields were."""
        there = self._first.by_id
        kinds, found = self._workspace.schemas.kinds, {}
        for change in changes:
            assert change.id is not None
            known = self._known(change.address, change.id)
            live, kind = there[change.id], kinds[change.kind]
            noted = with_intent(known, change, kind, live, self._recorder.run)
            if noted != known:
                found[change.address] = noted
        return found

    def carried_out(self, changes: Sequence[Change]) -> tuple[Planned | None, tuple[Outcome, ...]]:
        """One outcome for each change, as AlertSite was seen to have it, and the last look.

        Monitors are retired last and one by one, and only when a look has shown that all else is
        settled: what is replaced stays until its replacement is there, whole and enabled.
        """
        retiring = [change for change in changes if change.is_retirement]
        others = [change for change in changes if not change.is_retirement]
        execution = self._execution
        last, first = self._sent_and_seen(others, execution) if others else (self._first, ())
        if not retiring:
            return last, first
        # A value that AlertSite never keeps must not keep the fleet from being pruned for ever.
        if all(item.status in {Status.DONE, Status.NOT_KEPT} for item in first):
            ready = [change for change in retiring if last and self._is_replaced(change, last)]
            alone = execution._replace(parallelism=1)
            seen, done = self._sent_and_seen(ready, alone) if ready else (last, ())
            last = seen or last
            reason = "its replacement is missing, disabled, or not as it was sent"
            waiting = [change for change in retiring if change not in ready]
        else:
            reason = "monitors are only retired when all other changes are done"
            done, waiting = (), retiring
        self._record({change.address: None for change in waiting})
        kept = tuple(Outcome(change, Status.NOT_STARTED, reason) for change in waiting)
        outcomes = (*first, *done, *kept)
        return last, tuple(sorted(outcomes, key=lambda outcome: outcome.change.address))

    def _is_replaced(self, change: Change, last: Planned) -> bool:
        """Whether what takes the monitor's place was seen: a manifest of its name and another kind.

        It counts in whichever run it was made, and whether it is targeted or not: the last look
        must show its monitor, enabled unless the manifest wants that otherwise, and all it wants.
        """
        kind, _, name = change.address.partition("/")
        unsettled = {item.address for item in last.plan.changes}
        unsettled |= {item.address for item in last.plan.refusals}
        for manifest in self._workspace.fleet.desired:
            if manifest.name != name or manifest.kind.name == kind:
                continue
            number = number_of(manifest, self._recorder.known(manifest.address))
            monitor = last.by_id.get(number) if number is not None else None
            if monitor is None or manifest.address in unsettled:
                return False
            if manifest.undo is not None:
                continue  # it is as it was, with what is retired or without
            enabled = manifest.kind.field("enabled").normalise(monitor.fields.get("enabled"))
            if enabled is False and manifest.fields.get("enabled") is not False:
                return False
        return True

    def _sent_and_seen(
        self, changes: Sequence[Change], execution: Execution
    ) -> tuple[Planned | None, tuple[Outcome, ...]]:
        """The outcomes of changes that are sent together, as AlertSite was seen to have them.

        A create without an answer that is known to have made nothing is sent again.
        """
        outcomes = execute(changes, self._send, execution, self._note_progress)
        last, seen, absent = self._verified(outcomes)
        for _ in range(_REPETITIONS):
            again = [
                item.change for item in seen if item.may_repeat and item.change.address in absent
            ]
            if not again or execution.fail_fast or execution.cancellation.reason:
                break
            what = again[0].address if len(again) == 1 else f"{len(again):,} monitors"
            execution.reporter.say(f"AlertSite has not created {what}: sending again.")
            outcomes = execute(again, self._send, execution, self._note)
            by_address = {item.change.address: item for item in (*seen, *outcomes)}
            last, seen, absent = self._verified(
                tuple(by_address[change.address] for change in changes)
            )
        self._recorder.drop(absent, last.by_id if last else ())
        return last, seen

    def _send(self, change: Change) -> int | None:
        vault, body = self._workspace.vault, change.body
        secrets: tuple[str, ...] = ()
        if any(field.source for field in change.fields):
            secrets, body = vault.revealed(body), vault.reveal(body)
        if change.action is Action.CREATE:
            number = self._writer.create(change.path, body, secrets)
            if number in self._ids:  # nobody else's monitor is ever taken for ours
                error = NonsenseError(
                    f"POST {change.path} returned the id {number} of a monitor that already existed"
                )
                error.may_have_arrived = True
                raise error
            self._ids.add(number)
            return number
        if change.action is Action.DELETE:
            self._writer.delete(change.path)
        else:
            self._writer.patch(change.path, body, secrets)
        return None

    def _note_progress(self, outcomes: Sequence[Outcome]) -> None:
        self._note(outcomes)
        for outcome in outcomes:
            self._execution.reporter.progress(outcome)

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        settled = [
            item
            for item in outcomes
            if item.status is not Status.UNCONFIRMED
            # That a monitor is gone, AlertSite tells.
            and not (item.status is Status.DONE and item.change.action is Action.DELETE)
        ]
        self._record({item.change.address: self._record_of(item) for item in settled})

    def _record(self, records: dict[str, Record | None]) -> None:
        try:
            self._recorder.record(records)  # also after an error: the journal may still take it
        except StateError as error:
            self.state_error = self.state_error or error
            self._execution.cancellation.cancel(f"the state cannot be saved: {error}")

    def _record_of(self, outcome: Outcome) -> Record | None:
        """A record of what AlertSite accepted, which is not seen yet."""
        number, change = outcome.id, outcome.change
        if outcome.status is not Status.DONE or number is None:
            return None
        vault, known = self._workspace.vault, self._known(change.address, number)
        desired = self._desired.get(change.address)
        fields, secrets = dict(known.fields), dict(known.secrets)
        unseen = dict(known.unseen)
        for item in change.fields:
            value = change.body[item.field]
            if item.source is not None:
                fields.pop(item.field, None)
                secrets[item.field] = UNTRACKED
                if vault.tracks:
                    secrets[item.field] = vault.fingerprint(number, item.field, value)
            elif item.sent_with is None:
                unseen[item.field] = value
                if change.action is not Action.CREATE and item.field not in secrets:
                    fields[item.field] = item.before
            elif desired is not None and item.field in desired.fields:
                fields[item.field] = value  # else a companion that no manifest names
        made = self._made(known, desired)
        if change.action is Action.CREATE:
            made = made._replace(made_with=tuple(sorted(unseen)))
        prior = {name: item for name, item in known.prior.items() if name not in secrets}
        sending = known.sending.without(change.body)
        made = made._replace(fields=fields, secrets=secrets, unseen=unseen)
        return made._replace(prior=prior, sending=sending)

    def _known(self, address: str, number: int) -> Record:
        """The record of a monitor under that address, or else a first one."""
        known = self._recorder.known(address)
        if known is not None and known.id == number:
            return known
        return self._workspace.first_record(address, number)

    def _made(self, known: Record, desired: Desired | None) -> Record:
        """A record of now; the lifecycle is the manifest's, or else what is remembered of it."""
        treated = desired.lifecycle if desired else known
        is_manifest = desired is not None and desired.undo is None
        ignore = None
        if desired is not None and is_manifest:
            ignore = {item.field: item.until for item in desired.lifecycle.ignore}
        return known._replace(
            applied_at=self._recorder.now(),
            run=self._recorder.run,
            protect=treated.protect,
            retire=treated.retire,
            previously=desired.previously if desired and is_manifest else known.previously,
            deleting=False,
            ignore=known.ignore if ignore is None else ignore,
        )

    def _verified(
        self, outcomes: tuple[Outcome, ...]
    ) -> tuple[Planned | None, tuple[Outcome, ...], tuple[str, ...]]:
        """The last look, the outcomes as it shows them, and creates that made nothing.

        A monitor whose create had no answer is waited for until its grace is over; a value that was
        accepted and is not shown, for some more looks (how soon AlertSite shows a change is not
        documented): longer if nothing of the change shows, unless that was so before.
        """
        if not any(item.status in {Status.DONE, Status.UNCONFIRMED} for item in outcomes):
            return None, outcomes, ()
        execution = self._execution
        cancellation = execution.cancellation
        grace = Grace(execution.clock, execution.grace, cancellation, execution.reporter)
        confirmed, last = outcomes, None
        absent: tuple[str, ...] = ()
        for wait in (0.0, *_SETTLE, *_LATE):
            cancellation.wait(wait * execution.grace)
            try:
                state = self._recorder.state
                run = self._recorder.run
                before = {run: self._first.ids, **state.ids_before}
                there = {
                    address: item
                    for address, item in state.records.items()
                    if item.is_new or item.id in self._first.by_id or item.run == run
                }
                # What was missing before has no id any more: it may be that of one made since.
                state = state._replace(ids_before=before, records=there)
                last = verify(self._workspace, self._writer, state, grace)
            except Exception as error:  # noqa: BLE001 - a bug must not cost the report on what was done
                if last is not None:
                    return last, confirmed, absent
                return None, tuple(_unverified(item, error) for item in outcomes), ()
            self._ids.update(last.by_id)
            self._recorder.reopen(last.reopened, self._first.ids)
            # The answer of a create may have been that of another one: then it had none.
            outcomes = tuple(
                item._replace(
                    status=Status.UNCONFIRMED,
                    message=f"AlertSite returned the id {item.created}, which belongs to another "
                    "create",
                    created=None,
                    may_repeat=True,
                )
                if item.change.address in last.reopened and item.status is Status.DONE
                else item
                for item in outcomes
            )
            made = {item.change.address for item in outcomes}
            made &= {item.address for item in last.plan.binding(BindingAction.BIND)}
            self._recorder.bind({address: last.bound[address] for address in made})
            refused = {refusal.address for refusal in last.plan.refusals}
            absent = tuple(address for address in last.dropped if address not in refused)
            records = self._recorder.state.records
            ids = {address: record.id for address, record in records.items()}
            confirmed = confirm(outcomes, last.plan, ids, absent)
            doubtful = [
                now for was, now in zip(outcomes, confirmed, strict=True) if _is_doubtful(was, now)
            ]
            if wait >= _SETTLE[-1]:
                doubtful = [
                    item for item in doubtful if item.is_invisible and not _was_unseen(item)
                ]
            if not doubtful or cancellation.reason:
                break
        return last, confirmed, absent

    def result(self, account: Account, outcomes: tuple[Outcome, ...]) -> Result:
        """What became of the run as a whole."""
        is_done = all(outcome.status is Status.DONE for outcome in outcomes)
        interrupted = self._execution.cancellation.is_interrupted and not is_done
        run, is_recorded = self._recorder.run, self.state_error is None
        return Result(account, outcomes, interrupted=interrupted, run=run, is_recorded=is_recorded)

    def last_delta(self, last: Planned, outcomes: Sequence[Outcome]) -> StateDelta:
        """What the last look tells that no record says yet."""
        differing = {
            change.address: {item.field for item in change.fields if item.sent_with is None}
            for change in last.plan.changes
        }
        refused = {refusal.address for refusal in last.plan.refusals}
        accepted = {
            item.change.address
            for item in outcomes
            if item.status in {Status.DONE, Status.NOT_KEPT, Status.DOUBLED}
        }
        # Of a request of which AlertSite has not kept all, it may not have kept the secrets.
        not_kept = {
            item.change.address: [field.field for field in item.change.fields if field.source]
            for item in outcomes
            if item.status is Status.NOT_KEPT
        }
        records: dict[str, Record | None] = {}
        for item in outcomes:
            known = self._recorder.known(item.change.address)
            is_retired = item.change.reason is Reason.RETIRED and item.status is Status.DONE
            if is_retired and known is not None:
                seen = {**known.fields, **item.change.body}
                records[item.change.address] = known._replace(fields=seen, unseen={})
            if item.change.action is Action.DELETE and known is not None:
                if item.change.id in last.by_id and item.status is not Status.UNCONFIRMED:
                    records[item.change.address] = known._replace(deleting=False)
                elif item.status is Status.DONE:
                    records[item.change.address] = None
        for desired in self._workspace.targeted:
            address = desired.address
            old = self._recorder.known(address)
            number = number_of(desired, old)
            if number is not None and number in last.by_id and address not in refused:
                was = self._known(address, number)
                if is_foreign(was, last.by_id[number], desired.kind):
                    continue  # only an answer says that it is ours; so it is asked about again
                if desired.undo is not None and desired.undo.is_unbound:
                    if address not in differing:
                        records[address] = None
                    continue
                new = self._fitting(
                    desired,
                    was,
                    differing.get(address, set()),
                    last.by_id[number],
                    is_changed=address in accepted,
                )
                if lost := not_kept.get(address):
                    kept = {name: new.secrets[name] for name in new.secrets if name not in lost}
                    new = new._replace(secrets={**kept, **dict.fromkeys(lost, RELEASED)})
                if old is None or new._replace(applied_at=old.applied_at, run=old.run) != old:
                    records[address] = new
        return StateDelta(records)

    def _fitting(
        self,
        desired: Desired,
        known: Record,
        diverging: set[str],
        seen: Live,
        *,
        is_changed: bool,
    ) -> Record:
        """A record of what AlertSite was seen to have of a manifest.

        Args:
            desired: the manifest.
            known: the record so far, of the same monitor.
            diverging: the fields in which AlertSite differs.
            seen: the monitor.
            is_changed: whether this run has changed it: then what it has of the fields that differ
                is what came of that.
        """
        known = caught_up(known, desired.kind, seen)
        diverging = diverging | {item.field for item in desired.lifecycle.ignore}
        fields = {name: value for name, value in desired.fields.items() if name not in diverging}
        unseen: dict[str, JSON] = {}
        for name in diverging:
            if name in known.fields:
                fields[name] = known.fields[name]
            if name in known.unseen:
                unseen[name] = known.unseen[name]
                if is_changed and name not in known.secrets:
                    has = desired.kind.field(name).normalise(seen.fields.get(name))
                    fields[name] = shown(desired.kind, name, has, known.unseen[name])
        # What AlertSite still has of a secret is never shown, so the field stays known as one until
        # another value is seen there; and for good if the manifest no longer names it.
        secrets = {
            name: known.secrets[name] if name in desired.secrets else RELEASED
            for name in known.secrets
            if name not in desired.fields or name in diverging
        }
        managed = {*fields, *unseen, *diverging}
        sending = known.sending.without(known.sending.fields.keys() - diverging)
        made = self._made(known, desired)._replace(sending=sending)
        if desired.undo is not None:
            return _taken_back(made, desired, fields, unseen, desired.undo.forgets - diverging)
        return made._replace(
            fields=fields,
            secrets=secrets,
            unseen=unseen,
            prior=kept_priors(known, managed | desired.fields.keys()),
            made_with=tuple(name for name in known.made_with if name in managed),
            left=left_worse(desired, known, seen, managed),
        )


def _taken_back(
    known: Record,
    desired: Desired,
    fields: Mapping[str, JSON],
    unseen: Mapping[str, JSON],
    forgets: Collection[str],
) -> Record:
    """The record as it was of what a run changed, and as it is of all else."""

    def kept(values: Mapping[str, JSON], new: Mapping[str, JSON]) -> dict[str, JSON]:
        others = {name: value for name, value in values.items() if name not in desired.fields}
        return {name: value for name, value in {**others, **new}.items() if name not in forgets}

    prior = {name: value for name, value in known.prior.items() if name not in forgets}
    return known._replace(
        fields=kept(known.fields, fields), unseen=kept(known.unseen, unseen), prior=prior
    )


def _was_unseen(outcome: Outcome) -> bool:
    """Whether AlertSite did not keep the same before."""
    sent = (item for item in outcome.change.fields if not item.sent_with)
    return all(item.cause is Cause.NOT_KEPT for item in sent)


def _is_doubtful(before: Outcome, confirmed: Outcome) -> bool:
    """Whether AlertSite showed something else than what it accepted, or may have received."""
    if before.status is Status.UNCONFIRMED and before.change.action is Action.CREATE:
        return confirmed.status is Status.UNCONFIRMED
    return confirmed.status is not Status.DONE and confirmed.status is not before.status


def _unverified(outcome: Outcome, error: Exception) -> Outcome:
    if outcome.status is not Status.DONE:
        return outcome
    reason, code = unexpected(error), ExitCode.BUG
    if isinstance(error, AlertSiteError):
        reason, code = str(error), error.exit_code
    message = f"AlertSite accepted the request, but could not be read again: {reason}"
    return outcome._replace(status=Status.UNCONFIRMED, message=message, exit_code=code)
