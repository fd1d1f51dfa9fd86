"""The lock of the state: a lease that is taken, kept alive and given back.

**The lease.** It is one JSON object with the names of its attributes; members that are not known
are ignored. It says no moment at which it ends, since the clocks of two machines differ: it has a
length, and whoever wants it measures that by a clock of their own.

**Taking it over.** No run trusts another machine's clock, and no clock that can jump. A lease is
taken over when somebody who waits has seen it unchanged for its whole length, by their own
monotonic clock; or when its process is provably dead on this machine. That is safe because the
holder counts the same length from before each renewal was written, and the waiter from after it
was read: the holder's time is over first. It is enough because a renewal changes the lease, and a
dead holder renews nothing. Taking over is a compare-and-swap like every write, so only one can;
the state itself is guarded by its own. Who does not wait sees too little to take anything, but a
dead process.

**Keeping it alive.** A run only ever renews its own lease, and only while it gets on: one that is
stuck for ever must not keep the others out for ever. Two threads: one renews, the other watches
the time, so that a store which does not answer cannot keep a loss from being noticed.
"""

from __future__ import annotations

import json
import math
import random
import threading
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from reconciler.context import written
from reconciler.core import json_text
from reconciler.core.events import LockMoved, LockState
from reconciler.errors import ConflictError, LockedError, StateError
from reconciler.state_store import process
from reconciler.state_store.port import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.context import Cancellation, Clock, Reporter
    from reconciler.state_store.port import Held, Store


class Lease(NamedTuple):
    """Who holds the lock, and for how long without a renewal.

    Attributes:
        id: of the run that holds it.
        holder: the person or account that started the run.
        host: where it runs.
        operation: what it does, such as `apply`.
        acquired_at: RFC 3339 UTC, whole seconds, by the holder's clock; only to be shown.
        process: see `process.identity`; empty if unknown.
        length: seconds that it lives without being renewed.
        renewals: how often it was renewed.
        account: whose state it locks; empty if the settings name no accounts.
    """

    id: str
    holder: str
    host: str
    operation: str
    acquired_at: str
    process: str
    length: float
    renewals: int = 0
    account: str = ""

    def __str__(self) -> str:
        who = f"{self.holder} on {self.host}"
        return f"run {self.id}{self.whose} ({who}, since {self.acquired_at})"

    @property
    def whose(self) -> str:
        """The account, as it stands behind a noun; nothing if the settings name none."""
        return f" of the account {self.account}" if self.account else ""

    @property
    def unlock(self) -> str:
        """The command that breaks the lock."""
        option = f" -a {self.account}" if self.account else ""
        return f"reconciler state unlock {self.id}{option}"

    def encoded(self) -> bytes:
        """What is kept in the store."""
        return json.dumps(self._asdict(), indent=2).encode() + b"\n"

    def renewed(self) -> Lease:
        """The lease as it is to be kept from now on.

        It is never the same as before: whoever waits takes one that does not change as abandoned.
        """
        return self._replace(renewals=self.renewals + 1)


def lease_of(data: bytes) -> Lease | None:
    """The lease that is kept as these bytes; None if they are none."""
    try:
        found = json_text.read(data)
        known = {name: found[name] for name in Lease._fields if name in found}
        lease = json_text.decoded(Lease("", "", "", "", "", "", 0.0), known)
        moment = datetime.fromisoformat(lease.acquired_at)
    except (ValueError, KeyError, TypeError):
        return None
    is_printable = all(text.isprintable() for text in lease if isinstance(text, str))
    is_sound = is_printable and 0 < lease.length < math.inf and moment.tzinfo is not None
    return lease if is_sound and lease.id else None


def _plain(text: str) -> str:
    """Text that is safe to print; what is not would make the lease unreadable to others."""
    return "".join(char if char.isprintable() else "?" for char in text)


_BEATS = 4
"""How often a lease is renewed within its length."""
_PATIENCE = 15.0
LOST = "the lock was lost"
UNREADABLE = "unreadable"
"""What to call a lock that is no lease, to break it."""
_POLL = (0.5, 2.0)
_SHORTEST_POLL = 0.02
_SAY_EVERY = 10.0
_RACES = 20


class LockOptions(NamedTuple):
    """How the lock is wanted.

    Attributes:
        timeout: seconds to wait while another run holds it; 0: not at all.
        length: seconds that the lease lives without being renewed.
        is_stuck: whether the run does not get on any more; then the lease is not renewed.
        poll: seconds between two looks while it waits: at least, and at most.
    """

    timeout: float
    length: float
    is_stuck: Callable[[], bool] = lambda: False
    poll: tuple[float, float] = _POLL


@contextmanager
def hold(
    store: Store,
    *,
    run: str,
    holder: str,
    host: str,
    operation: str,
    clock: Clock,
    options: LockOptions,
    reporter: Reporter,
    cancellation: Cancellation,
    account: str = "",
) -> Iterator[Lease]:
    """Holds the lock while the body runs; the lease says the run, its holder, host and operation.

    With several accounts it says the one whose state is locked, too.

    Once the lock is not ours any more, the run is cancelled.

    Raises:
        LockedError: another run has it, and has it still when the timeout is over.
        StateError: the store cannot be reached.
    """
    wanted = Lease(
        id=_plain(run),
        holder=_plain(holder),
        host=_plain(host),
        operation=_plain(operation),
        acquired_at="",  # not yet
        process=process.identity(),
        length=options.length,
        account=_plain(account),
    )
    held = _Hold(store, wanted, clock, options, reporter, cancellation)
    lease = held.acquire()
    try:
        held.start()
        reporter.tell(LockMoved(LockState.TAKEN))
        yield lease
    finally:
        held.release()
        reporter.tell(LockMoved(LockState.RELEASED))


def current(store: Store) -> Lease | None:
    """The lease on the state, whether its run is alive or not; None if there is none.

    Raises:
        LockedError: there is something that is no lease.
        StateError: the store cannot be reached.
    """
    held = store.read(Key.LOCK)
    return None if held is None else _lease(store, held)


def is_dead(lease: Lease) -> bool:
    """Whether the run that holds it is provably dead, on this machine; no proof is no life."""
    return process.is_dead(lease.process)


def break_lock(store: Store, run: str) -> bool:
    """Takes the lock from a run, whether it is alive or not.

    Args:
        store: whose lock.
        run: the id of the run that holds it, or `UNREADABLE` for what is no lease.

    Returns:
        Whether anybody held it.

    Raises:
        LockedError: another run holds it.
        ConflictError: it was renewed or taken at the same time.
        StateError: the store cannot be reached.
    """
    held = store.read(Key.LOCK)
    if held is None:
        return False
    if run != UNREADABLE or lease_of(held.data) is not None:
        lease = _lease(store, held)
        if lease.id != run:
            raise LockedError(
                f"{store.location} is locked by {lease}, not by {run}",
                f"If you are certain that it is dead, run: {lease.unlock}",
            )
    store.write(Key.LOCK, b"", held.version, f"Break the lock of run {run}")
    return True


class _Hold:
    """One run's hold on the lock: takes a lease, renews it until it is lost, and gives it back.

    Args:
        store: whose lock.
        wanted: the lease that is to be there, but for the time at which it is acquired.
        clock: what time it is.
        options: how long to wait, how often to look, and whether the run is stuck.
        reporter: is told what is waited for, and of a loss.
        cancellation: ends the waiting; is cancelled when the lease is lost, and lapses with it.
    """

    def __init__(
        self,
        store: Store,
        wanted: Lease,
        clock: Clock,
        options: LockOptions,
        reporter: Reporter,
        cancellation: Cancellation,
    ) -> None:
        self._store = store
        self._lease = wanted
        self._version = ""
        self._ends = 0.0
        self._clock = clock
        self._options = options
        self._reporter = reporter
        self._cancellation = cancellation
        self._failure = ""
        self._told = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"lease-{target.__name__}", daemon=True)
            for target in (self._beat, self._watch)
        ]

    def acquire(self) -> Lease:
        """Takes the lock once it is free; returns the lease that is there then."""
        store, clock, options = self._store, self._clock, self._options
        began = seen_at = clock.monotonic()
        seen, said_at, races = "", -math.inf, 0
        while races < _RACES:
            held, why = store.read(Key.LOCK), ""
            if held is not None:
                now, lease = clock.monotonic(), _lease(store, held)
                if held.version != seen:
                    seen, seen_at = held.version, now
                if is_dead(lease):
                    why = "belongs to a dead process on this machine"
                elif now - seen_at >= lease.length:
                    why = f"has not been renewed in {lease.length:g} s of waiting"
                else:
                    waited = now - began
                    if waited >= options.timeout:
                        raise _locked(store, lease, waited if options.timeout else 0.0)
                    if now - said_at >= _SAY_EVERY:
                        said_at = now
                        is_endless = math.isinf(options.timeout)
                        far = "." if is_endless else f": {waited:.0f} of {options.timeout:.0f} s"
                        self._say(
                            f"Waiting for the lock of {lease}, which is running "
                            f"{lease.operation}{far}"
                        )
                    # Varied, so that those who wait do not ask in step.
                    pause = random.uniform(*options.poll)  # noqa: S311
                    pause = min(pause, options.timeout - waited, seen_at + lease.length - now)
                    if self._cancellation.wait(max(_SHORTEST_POLL, pause)):
                        raise LockedError(self._cancellation.reason, "Run the same command again.")
                    continue
                why = f"The lock of {lease} {why}; taking it over."
            since = clock.monotonic()  # a moment before it is written
            taken = self._lease._replace(acquired_at=written(clock.now()))
            message = f"Lock for {taken.operation} by run {taken.id}"
            try:
                version = store.write(Key.LOCK, taken.encoded(), held and held.version, message)
            except ConflictError:  # somebody else was faster
                races += 1
                continue
            if why:
                self._say(why)
            self._keep(taken, version, since)
            return taken
        raise LockedError(
            f"the lock of {store.location} keeps changing its holder",
            "Run the same command again later.",
        )

    def start(self) -> None:
        """Begins to renew."""
        for thread in self._threads:
            thread.start()

    def release(self) -> None:
        """Ends renewing and gives the lock back if it is still ours; says what went wrong.

        It waits for a renewal that is under way, but not for ever. A loss is told only once.
        """
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_PATIENCE)
        was_lost = not self._told.acquire(blocking=False)
        message = f"Release the lock of run {self._lease.id}"
        try:
            try:
                self._store.write(Key.LOCK, b"", self._version, message)
            except ConflictError:
                held, reason = self._ours()
                if held is not None:
                    self._store.write(Key.LOCK, b"", held.version, message)
                elif not was_lost:
                    self._reporter.say(f"The lock was no longer this run's: {reason}.")
        except StateError as error:
            self._reporter.say(
                f"The lock of {self._store.location} could not be released: {error}. A waiting "
                f"run takes it over after {self._lease.length:g} s; to release it now, run: "
                f"{self._lease.unlock}"
            )

    def _beat(self) -> None:
        while not self._stop.wait(self._lease.length / _BEATS):
            if self._options.is_stuck():
                self._lose(
                    "a request is still open long after its deadline, so the lock is not renewed"
                )
                return
            self._renew()

    def _watch(self) -> None:
        while not self._stop.wait(max(0.0, self._ends - self._clock.monotonic())):
            if self._clock.monotonic() >= self._ends:
                why = f": {self._failure}" if self._failure else ""
                self._lose(f"it could not be renewed for {self._lease.length:g} s{why}")

    def _renew(self) -> None:
        started = self._clock.monotonic()
        lease = self._lease.renewed()
        message = f"Renew the lock of run {lease.id}"
        try:
            try:
                version = self._store.write(Key.LOCK, lease.encoded(), self._version, message)
            except ConflictError:
                held, reason = self._ours()
                if held is None:
                    self._lose(reason)
                else:  # a renewal that had been given up has arrived late
                    self._version = held.version
                    self._lease = lease_of(held.data) or self._lease
                return
        except StateError as error:  # told if the time is over before a later one succeeds
            self._failure = str(error)
            return
        self._failure = ""
        self._keep(lease, version, started)

    def _ours(self) -> tuple[Held | None, str]:
        """The lock if it is ours, and if not, what it is."""
        held = self._store.read(Key.LOCK)
        if held is None:
            return None, "someone released it"
        lease = lease_of(held.data)
        if lease is None:
            return None, "someone overwrote it"
        if (lease.id, lease.process) != (self._lease.id, self._lease.process):
            return None, f"{lease} took it over"
        return held, ""

    def _keep(self, lease: Lease, version: str, since: float) -> None:
        """Holds the lease that was written under this version, from a moment before that."""
        self._lease, self._version = lease, version
        self._ends = since + lease.length
        self._cancellation.lapse_at(self._ends, f"{LOST}: it was not renewed in time")

    def _lose(self, reason: str) -> None:
        self._stop.set()
        if self._told.acquire(blocking=False):
            self._cancellation.cancel(f"{LOST}: {reason}")
            self._reporter.tell(LockMoved(LockState.LOST, reason))

    def _say(self, text: str) -> None:
        self._reporter.tell(LockMoved(LockState.WAITING, text))
        self._reporter.say(text)


def _lease(store: Store, held: Held) -> Lease:
    lease = lease_of(held.data)
    if lease is None:
        raise LockedError(
            f"the lock of {store.location} cannot be read",
            f"If no other run is active, run: reconciler state unlock {UNREADABLE}",
        )
    return lease


def _locked(store: Store, lease: Lease, waited: float) -> LockedError:
    after = f", even after {waited:.0f} s" if waited else ""
    minutes = math.ceil(lease.length / 60) + 1
    return LockedError(
        f"the state {store.location} is locked by {lease.holder} on {lease.host} since "
        f"{lease.acquired_at} ({lease.operation}{lease.whose}, run {lease.id}){after}",
        f"If the run is still active, wait for it. If the run may be dead, --lock-timeout "
        f"{minutes}m takes the lock over once it was not renewed for {lease.length:g} s. If you "
        f"are certain that it is dead, run: {lease.unlock}",
    )
