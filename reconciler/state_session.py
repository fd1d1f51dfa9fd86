"""The state of an account during one run: opened with its journals, recorded, saved.

Opening reads the saved state and what the journals of killed runs add. It writes nothing; what
cannot be read is refused by name, and never begun anew.

Recording has one writer, the calling thread. What happened is in the journal before the state is
saved, and the state before the journal goes; so a killed run loses nothing that the next one
cannot find. Every save is a compare-and-swap: when somebody else has saved since, what this run
did is done on top of theirs, but for addresses that they have applied since.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from reconciler.context import written
from reconciler.core import json_text
from reconciler.core import state as records
from reconciler.core.model import DEFAULT_ACCOUNT, Account
from reconciler.core.state import PendingCreate, Recovery, Sending, State, StateDelta
from reconciler.errors import ConflictError, ExitCode, NewerFormatError, StateError
from reconciler.state_store import (
    Journal,
    Key,
    RunFile,
    found_journals,
    read_journal,
    remove_journal,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from reconciler.context import Cancellation, Clock, Reporter
    from reconciler.core.generation import Generation
    from reconciler.core.model import JSON
    from reconciler.core.run_record import RunRecord
    from reconciler.core.state import Lost, Record
    from reconciler.state_store import Store


class Killed(NamedTuple):
    """What the journal of a run that did not end tells of it.

    Attributes:
        record: as it was before anything was sent, or as it ended if that could not be saved.
        outcomes: see `state.outcomes_in`.
    """

    record: RunRecord
    outcomes: Mapping[str, Record | None]


class Known(NamedTuple):
    """What a store knows of an account.

    Attributes:
        state: the state with what journals add.
        saved: the state as it was saved; serial 0 if it never was.
        version: of the saved state in the store; None if there is none.
        recovery: what journals of runs that did not end add.
        journals: their files.
        killed: what those runs were about.
    """

    state: State
    saved: State
    version: str | None
    recovery: Recovery
    journals: tuple[Path, ...]
    killed: tuple[Killed, ...] = ()


def read_known(store: Store, account: Account | None, lineage: str) -> Known:
    """What the store knows; writes nothing.

    Args:
        store: where the state is kept.
        account: whose state it must be; None takes any.
        lineage: that of a new state, if there is none yet.

    Raises:
        StateError: the state is unreadable, corrupt, newer, or that of another account.
    """
    held = store.read(Key.STATE)
    paths = tuple(found_journals(store))
    journals = [(path, read_journal(path)) for path in paths]
    if held is None:
        head: JSON = next((lines[0] for _, lines in journals if lines), None)
        head = head if isinstance(head, dict) else {}
        try:
            of_journal = json_text.decoded(Account("", ""), head.get("account"))
        except (KeyError, TypeError):  # in none, or one that is refused anyway
            of_journal = Account(DEFAULT_ACCOUNT, "")
        saved, version = State(str(head.get("lineage", lineage)), account or of_journal), None
    else:
        saved, version = parsed(store, held.data), held.version
    if account is not None and saved.account != account:
        raise StateError(
            f"{store.location} is the state of {saved.account}, but this run uses {account}",
            "Each account has its own state. To transfer one, run: reconciler state migrate"
            if saved.account.url == account.url
            else "Correct the URL in ALERTSITE_URL, or in the settings of the account. If it is "
            "correct, use another state with --state.",
        )
    killed: list[Killed] = []
    for path, lines in journals:
        try:
            records.recover(saved, [lines])
            told = [run_record_of(line["about"]) for line in lines if "about" in line]
            killed += [Killed(item, records.outcomes_in(lines)) for item in told[-1:]]
        except (StateError, KeyError, TypeError, AttributeError) as error:
            what = str(error) if isinstance(error, StateError) else "it is corrupt"
            raise StateError(
                f"the journal {path} cannot be used: {what}",
                "If you do not need to finish the run that wrote it, remove the file.",
            ) from error
    recovery = records.recover(saved, [lines for _, lines in journals])
    return Known(recovery.delta.of(saved), saved, version, recovery, paths, tuple(killed))


def run_record_of(data: JSON) -> RunRecord:
    """The record of a run, as a store or a journal has it.

    Raises:
        StateError: it is none, or of a newer format.
    """
    from reconciler.core.run_record import ONLY_THIS, RunRecord  # 4 ms that planning saves
    from reconciler.schema import problem_of

    found = RunRecord.from_json(data)
    if problem := problem_of("history", {"runs": [{"account": None, **data}]}):
        reason = problem.removeprefix("runs/0/")
        raise StateError(f"the run record is corrupt: {reason}", ONLY_THIS)
    return found


def stored_run(data: bytes) -> RunRecord:
    """The record of a run that a store has kept.

    Raises:
        StateError: it is none, or of a newer format.
    """
    from reconciler.core.run_record import ONLY_THIS  # as above

    try:
        return run_record_of(json_text.read(data))
    except ValueError as error:
        raise StateError(f"the run record is corrupt: {error}", ONLY_THIS) from error


def parsed(store: Store, data: bytes) -> State:
    """The state in the bytes of a store.

    Raises:
        NewerFormatError: only another version of this tool can read it.
        StateError: it is corrupt; the message says where, and where a backup is.
    """
    try:
        return records.from_text(data)
    except StateError as error:
        raise type(error)(
            f"{store.location}: {error}", error.hint or f"Nothing was changed; {store.backup()}."
        ) from error


def replace(store: Store, new: State, message: str, *, allow_older: bool = False) -> int:
    """Puts a state in the place of the one that is kept; returns its serial.

    With `allow_older`, that one may also be newer, or corrupt. One of a newer format is neither.

    Raises:
        StateError: the one that is kept is of another lineage or account, or newer; or a run that
            did not end has left a journal.
    """
    if journals := found_journals(store):
        raise StateError(
            f"the journal {journals[0]} has outcomes that would be added again after the push",
            "Run apply first to add them to the state, or remove the file if you do not want them.",
        )
    held = store.read(Key.STATE)
    serial = new.serial
    if held is not None:
        kept = new
        try:
            kept = parsed(store, held.data)
        except StateError as error:
            if not allow_older or isinstance(error, NewerFormatError):
                raise
        for what in ("lineage", "account"):
            if getattr(kept, what) != getattr(new, what):
                raise StateError(
                    f"{store.location} has the {what} {getattr(kept, what)}, but the file has "
                    f"{getattr(new, what)}",
                    "Push it to another location, or first remove the existing state.",
                )
        if kept.serial > new.serial and not allow_older:
            raise StateError(
                f"{store.location} has serial {kept.serial}, but the file has {new.serial}",
                "Pull the state again and repeat the change. To go back to the state in the file, "
                "use --allow-older: what was applied since is forgotten.",
            )
        serial = max(kept.serial, new.serial) + 1
    data = records.to_text(new._replace(serial=max(1, serial))).encode("utf-8", "surrogatepass")
    store.write(Key.STATE, data, held and held.version, message)
    return max(1, serial)


def take_over(source: Store, target: Store, account: str, url: str, run: str) -> State:
    """Makes the state of the one account that of a named one; returns it as it is since.

    Both must be locked. The runs are copied first, each with the state as it was, so that the one
    under the new name is the last word; a copy that was broken off is finished by repeating it.

    Args:
        source: where it is kept.
        target: where that of the named account is kept, which may be the same place.
        account: the name.
        url: where the AlertSite of the account is.
        run: the id of the run that does it.

    Raises:
        StateError: there is no state, it is of another AlertSite or has a journal; or the place has
            another state.
    """
    held = source.read(Key.STATE)
    if held is None:
        raise StateError(
            f"{source.location}: there is no state", "Specify its location with --from LOCATION"
        )
    if journals := found_journals(source):
        raise StateError(
            f"the journal {journals[0]} has outcomes that the state does not have",
            "Run apply first, with the old settings, to add them to the state.",
        )
    before = parsed(source, held.data)
    if before.account.url != url:
        raise StateError(
            f"{source.location} is the state of {before.account}, but the account {account} is at "
            f"{url}",
            "Check --from, and url in the settings of the account.",
        )
    is_same = source.location == target.location
    kept = held if is_same else target.read(Key.STATE)
    there = parsed(target, kept.data) if kept is not None else before
    if there.account.name == account and kept is not None:
        return there  # it is done already, and may have moved on since
    if there.lineage != before.lineage:
        raise StateError(
            f"{target.location} already has a state of another lineage",
            "Check it with reconciler state list; remove it first if you do not want it.",
        )
    if before.account.name not in {DEFAULT_ACCOUNT, account}:
        raise StateError(
            f"{source.location} is the state of {before.account}",
            "Only the state of a single account can be transferred.",
        )
    version = kept.version if kept is not None else None
    message = f"state migrate {run}: the account is {account} from now on"
    if not is_same:
        have = set(target.runs())
        for serial, earlier in enumerate(reversed(source.runs()), 1):
            data = source.run(earlier)
            if data is not None and earlier not in have:
                said, file = _kept(stored_run(data), serial)
                version = target.write(Key.STATE, held.data, version, said, file)
    now = before._replace(account=Account(account, url), serial=before.serial + 1)
    data = records.to_text(now).encode("utf-8", "surrogatepass")
    target.write(Key.STATE, data, version, message)
    return now


SAVE_EVERY = 50
"""Outcomes after which the state is saved while a run goes on."""
SAVE_AFTER = 1.0
"""Seconds after which it is saved whatever their number, and before which it is not."""
_SHARE = 10
"""Saving may take one part in so many of a run."""
_ATTEMPTS = 20
_DAY = timedelta(days=1)


class Recorder:
    """Writes down what a run does.

    Attributes:
        kept: the record that the store has of this run; None if there was nothing to tell.

    Args:
        store: where the state is kept.
        known: what was read from it, under the lock.
        run: the id of the run.
        operation: what the run does, for the store's history.
        clock: what time it is.
        cancellation: is cancelled when somebody else saves the state whose lock this run holds.
        reporter: is told what a person should know.
    """

    def __init__(
        self,
        store: Store,
        known: Known,
        *,
        run: str,
        operation: str,
        clock: Clock,
        cancellation: Cancellation,
        reporter: Reporter,
    ) -> None:
        self.run = run
        self._store = store
        self._operation = operation
        self._clock = clock
        self._cancellation = cancellation
        self._reporter = reporter
        self._opened = known
        self._saved = known.saved
        self._version = known.version
        self._unsaved = known.recovery.delta
        self._journal: Journal | None = None
        self._foreign: set[str] = set()
        self._replaced: dict[str, Sending] = {}
        self._replacing: dict[str, Record | None] = {}
        self._owners: dict[int, str] | None = None
        self.kept: RunRecord | None = None
        self._outcomes = self._pending = 0
        self._saved_at = clock.monotonic()
        self._took = 0.0

    @property
    def state(self) -> State:
        """The state with everything that this run has recorded."""
        return self._unsaved.of(self._saved)

    def known(self, address: str) -> Record | None:
        """The record of one address as it is now."""
        if address in self._unsaved.records:
            return self._unsaved.records[address]
        return self._saved.records.get(address)

    def claim(self, generation: Generation) -> None:
        """Notes that the state is to be that of these manifests; saved with the rest."""
        self._note(StateDelta(generation=generation))

    def bind(self, bound: Mapping[str, Record | None]) -> None:
        """Notes records that were found again or moved to another address; saved with the rest."""
        self._note(StateDelta(self._clean(bound), dict.fromkeys(bound)))

    def drop(self, addresses: Iterable[str], there: Collection[int]) -> None:
        """Notes pending creates that made nothing; saved with the rest.

        Args:
            addresses: of the creates.
            there: the ids that AlertSite has; one that was missing is another monitor's now.
        """
        missing = {
            address: record
            for address, record in self._replaced_by(addresses).items()
            if record.id not in there
        }
        self._note(StateDelta(missing, dict.fromkeys(addresses)))

    def reopen(self, reopened: Mapping[str, PendingCreate], ids_before: tuple[int, ...]) -> None:
        """Notes that creates are pending again, whose answers prove nothing."""
        if reopened:
            again = {
                address: item._replace(replaces=self._replacing.get(address))
                for address, item in reopened.items()
            }
            before = {self.run: ids_before}
            self._note(StateDelta(dict.fromkeys(reopened), again, before))

    def _replaced_by(self, addresses: Iterable[str]) -> dict[str, Record]:
        """The records that pending creates of these addresses stand for.

        One whose id another record has is over: AlertSite may give an id again.
        """
        saved, unsaved = self._saved.pending_creates, self._unsaved.pending
        waiting = {address: unsaved.get(address, saved.get(address)) for address in addresses}
        found = {
            address: item.replaces
            for address, item in waiting.items()
            if item is not None and item.replaces is not None and self.known(address) is None
        }
        if not found:
            return found
        bound = {record.id for record in self.state.records.values()}
        return {address: record for address, record in found.items() if record.id not in bound}

    def begin(
        self,
        addresses: Iterable[str],
        creates: Mapping[str, Mapping[str, JSON]],
        deletes: Iterable[str],
        ids_before: tuple[int, ...],
        losses: Mapping[int, Lost] = {},
        about: RunRecord | None = None,
        updates: Mapping[str, Record] = {},
    ) -> None:
        """Writes down what may be sent from now on, before anything is.

        The state takes down the creates too, since a journal does not outlive the machine of a
        pipeline, and the next run must know what to look for.

        Args:
            addresses: of all changes.
            creates: by address, what is sent for a new monitor, but for secrets.
            deletes: the addresses whose monitors may be gone from now on.
            ids_before: the ids that AlertSite has.
            losses: the monitors that may lose monitoring from now on: what a killed run took away
                counts too.
            about: what the run is about, for whoever finds the journal.
            updates: the records of monitors that are about to change, with what their fields were
                before: a killed run cannot say it.

        Raises:
            StateError: it cannot be written; nothing may be sent.
        """
        self._journal = journal = Journal.create(self._store, self.run)
        try:
            now = self.now()
            # A monitor that is created again has a record; it must not hide the new one. If none is
            # made, it still tells that the monitor is missing.
            pending = {
                address: PendingCreate(self.run, now, body, self.known(address))
                for address, body in creates.items()
            }
            self._replacing = {address: item.replaces for address, item in pending.items()}
            lines = [records.ids_line(ids_before)] if creates else []
            lines += [
                records.intent_line(address, pending.get(address), self.known(address))
                for address in addresses
            ]
            told = [] if about is None else [records.about_line(about.to_json())]
            journal.append([records.head_line(self._saved, self.run), *told, *lines])
            going = {
                address: record._replace(deleting=True)
                for address in deletes
                if (record := self.known(address)) is not None
            }
            self._replaced = {address: Sending() for address in (*going, *updates)}
            self._replaced |= {
                address: known.sending
                for address in updates
                if (known := self.known(address)) is not None
            }
            before = {self.run: ids_before} if creates else {}
            moved = {**dict.fromkeys(creates), **going, **self._clean(updates)}
            self._note(StateDelta(moved, pending, before, losses=losses))
            # What was found again must be saved too, or an outcome that builds on it would count
            # for nothing in the next run.
            self._save()
        except StateError:
            journal.remove()  # nothing was sent
            raise

    def record(self, outcomes: Mapping[str, Record | None]) -> None:
        """Writes down how changes ended, durably; saves the state from time to time.

        One without an effect has None: then nothing that was about to be sent or deleted was.

        Raises:
            StateError: it cannot be written; nothing more may be sent.
        """
        outcomes = self._clean(outcomes)
        lines = self._outcome_lines(outcomes)
        changed = {address: record for address, record in outcomes.items() if record is not None}
        self._note(StateDelta(changed, dict.fromkeys(changed)))
        taken_back = {
            address: known._replace(sending=sending, deleting=False)
            for address, record in outcomes.items()
            if record is None and (known := self.known(address)) is not None
            if (sending := self._replaced.get(address)) is not None
        }
        taken_back |= self._replaced_by(outcomes.keys() - changed.keys())
        self._note(StateDelta(taken_back, dict.fromkeys(outcomes)))
        self._outcomes += len(changed)
        self._pending += len(outcomes)
        if self._journal is not None:
            self._journal.append(lines)
        waited = self._clock.monotonic() - self._saved_at
        is_due = self._pending >= SAVE_EVERY or waited >= SAVE_AFTER
        if is_due and waited >= self._took * _SHARE:
            self._save()

    def finish(self, last: StateDelta, run: RunRecord | None = None) -> bool:
        """Saves the state if it moved and ends the journals; says whether it had moved.

        Args:
            last: what is still to be noted.
            run: what the run has done; kept if that is anything. What was killed before is kept
                too, as far as it is known by now.

        Raises:
            StateError: it cannot be saved, or a journal not be removed; then the journals stay.
        """
        last = last._replace(records=self._clean(last.records))
        failed: StateError | None = None
        if self._journal is not None:
            seen = {address: record for address, record in last.records.items() if record}
            try:
                self._journal.append(self._outcome_lines(seen))
            except StateError as error:  # the state may have room where the journal has none
                failed = error
        self._note(last)
        try:
            for killed in self._opened.killed:
                if killed.record.id not in self._store.runs():
                    found = killed.record.recovered(killed.outcomes, self.state.records, self.run)
                    self._save(found)
            told = self._told(run)
            moved = self._save(told)
        except StateError as error:
            self._leave(self._told(run), error)
            raise
        self.kept = told
        if told is not None:
            from reconciler.core.run_record import KEPT  # 4 ms that planning saves

            try:
                self._store.trim(KEPT)
            except StateError as error:  # that old runs stay harms nothing
                self._reporter.say(f"{error}. {error.hint}")
        if failed is not None:
            raise failed
        if self._journal is not None:
            self._journal.remove()
        for path in self._opened.journals:
            remove_journal(path)
        return moved

    def _told(self, run: RunRecord | None) -> RunRecord | None:
        """What is kept of a run, with what it has bound; None if that is nothing."""
        if run is not None:
            run = run.binding(self._opened.state.records, self.state.records)
        return run if run is not None and run.is_something else None

    def _leave(self, told: RunRecord | None, error: StateError) -> None:
        """Leaves the end of the run, which cannot be saved, to the run that finds its journal."""
        if self._journal is not None and told is not None:
            if told.exit_code != ExitCode.INTERRUPTED:
                told = told._replace(exit_code=int(error.exit_code))
            with suppress(StateError):  # what is said is that it cannot be saved
                self._journal.append([records.about_line(told.to_json())])

    def now(self) -> str:
        """The time of day, RFC 3339 UTC."""
        return written(self._clock.now())

    def _clean(self, records_: Mapping[str, Record | None]) -> dict[str, Record | None]:
        """The records without known secrets that AlertSite was seen to have in other fields."""
        holds = self._store.redactor.holds
        return {
            address: record and records.without_secrets(record, holds)
            for address, record in records_.items()
        }

    def _note(self, delta: StateDelta) -> None:
        records, pending = dict(delta.records), dict(delta.pending)
        for address in self._foreign.intersection(records):
            self._yield(address, records.pop(address))
            pending[address] = None
        self._take_ids(records)
        delta = delta._replace(records=records, pending=pending)
        self._unsaved = self._unsaved.then(delta)

    def _take_ids(self, records: dict[str, Record | None]) -> None:
        """Takes the ids of new monitors from the records of others, which are missing.

        AlertSite may give the id of a monitor again, once that is gone.
        """
        given = {item.id: address for address, item in records.items() if item and item.is_new}
        if given and self._owners is None:
            self._owners = {item.id: address for address, item in self.state.records.items()}
        if self._owners is None:
            return
        for number, address in given.items():
            owner = self._owners.get(number, address)
            found = records[owner] if owner in records else self.known(owner)
            is_ended = found is not None and found.id == number and not found.is_new
            if owner != address and is_ended:
                records[owner] = None
        self._owners |= {item.id: address for address, item in records.items() if item}

    def _outcome_lines(self, outcomes: Mapping[str, Record | None]) -> list[JSON]:
        return [
            records.outcome_line(address, record, self.known(address))
            for address, record in outcomes.items()
        ]

    def _save(self, run: RunRecord | None = None) -> bool:
        """Saves what moved, and what is kept of a run; says whether there was anything."""
        started = self._clock.monotonic()
        for _ in range(_ATTEMPTS):
            moved = self._unsaved.of(self._saved)
            is_empty = not (moved.records or moved.pending_creates or moved.applied_plans)
            is_known = moved == self._saved and (self._version is not None or is_empty)
            if is_known and run is None:
                return False
            now = self._clock.now()
            new = moved._replace(
                serial=moved.serial + 1,
                saved_at=written(now),
                run=self.run,
                losses=records.not_older(moved.losses, written(now - _DAY), written(now)),
            )
            data = records.to_text(new).encode("utf-8", "surrogatepass")
            if run is not None:
                message, kept = _kept(run, new.serial)
            else:
                done = f"{self._outcomes:,} applied, {len(new.records):,} records"
                message = f"{self._operation} {self.run}: {done}, serial {new.serial}"
                kept = None
            try:
                self._version = self._store.write(Key.STATE, data, self._version, message, kept)
            except ConflictError:
                self._reread()
                continue
            self._saved, self._unsaved, self._pending = new, StateDelta(), 0
            self._saved_at = self._clock.monotonic()
            self._took = self._saved_at - started
            return True
        raise StateError(
            f"other runs changed {self._store.location} {_ATTEMPTS} times while this run was "
            "saving it",
            "Run the same command again when they have ended; the journal has the results of this "
            "run.",
        )

    def _reread(self) -> None:
        """Takes the state that somebody else has saved as the one to move on from."""
        held = self._store.read(Key.STATE)
        if held is None:
            theirs, version = self._saved, None  # somebody removed it: it is put back
        else:
            theirs, version = parsed(self._store, held.data), held.version
        if (theirs.lineage, theirs.account) != (self._saved.lineage, self._saved.account):
            raise StateError(
                f"{self._store.location} was replaced with a state of the lineage "
                f"{theirs.lineage}; this run started with {self._saved.lineage}",
                "Find out who replaced it; the journal has the results of this run.",
            )
        # What a killed run had begun to save may arrive after its end.
        if held is not None and theirs.run not in self._opened.recovery.runs:
            self._cancellation.cancel(f"meanwhile, run {theirs.run} saved the state")
        mine = self._unsaved
        self._foreign.update(
            address
            for address, other in theirs.records.items()
            if other.run != self.run
            and other not in (self._saved.records.get(address), mine.records.get(address))
        )
        # A create that somebody else has begun is theirs to finish.
        pending = {
            address: item
            for address, item in mine.pending.items()
            if (other := theirs.pending_creates.get(address)) is None
            or other.run == self.run
            or other == self._saved.pending_creates.get(address)
        }
        self._saved, self._version, self._unsaved = theirs, version, StateDelta()
        self._note(mine._replace(pending=pending))

    def _yield(self, address: str, record: Record | None) -> None:
        """Leaves the record of an address as somebody else has saved it."""
        other = self._saved.records.get(address)
        if record is not None and other is not None and other.id != record.id:
            self._reporter.say(
                f"meanwhile, run {other.run} bound {address} to monitor {other.id}, and this run "
                f"has created monitor {record.id}. Delete the one you do not want."
            )


def _kept(run: RunRecord, serial: int) -> tuple[str, RunFile]:
    """The message of the save that ends a run, and what a store keeps of the run."""
    from reconciler.core.run_record import to_text  # 4 ms that planning saves
    from reconciler.render.history import save_message

    text = to_text(run).encode("utf-8", "surrogatepass")
    author = run.about.actor if run.about.is_author else ""
    return save_message(run), RunFile(run.id, serial, text, author)
