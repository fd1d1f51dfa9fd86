"""The lock of the state: a lease that is taken, kept alive and given back.

Rule: no run trusts another machine's clock, and no clock that can jump. A lease is taken over when
somebody who waits has seen it unchanged for its whole length, by their own monotonic clock; or when
its process is provably dead on this machine. That is safe because the holder counts the same length
from before each renewal was written, and the waiter from after it was read: the holder's time is
over first. It is enough because a renewal changes the lease, and a dead holder renews nothing.
Taking over is a compare-and-swap like every write, so only one can; the state itself is guarded by
its own. Who does not wait sees too little to take anything, but a dead process.
"""

from __future__ import annotations

import math
import random
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import ConflictError, LockedError, StateError
from reconciler.store import lease as leases
from reconciler.store import process
from reconciler.store.heartbeat import Heartbeat
from reconciler.store.port import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.clock import Clock
    from reconciler.store.lease import Lease
    from reconciler.store.port import Held, Store

UNREADABLE = "unreadable"
"""What to call a lock that is no lease, to break it."""
_POLL = (0.5, 2.0)
_SHORTEST_POLL = 0.02
_SAY_EVERY = 10.0
_RACES = 20


class Terms(NamedTuple):
    """How the lock is wanted.

    Attributes:
        timeout: seconds to wait while another run holds it; 0: not at all.
        length: seconds that the lease lives without being renewed.
    """

    timeout: float
    length: float


class _Taken(NamedTuple):
    lease: Lease
    version: str
    since: float


@contextmanager
def hold(
    store: Store,
    *,
    run: str,
    holder: str,
    host: str,
    operation: str,
    clock: Clock,
    terms: Terms,
    say: Callable[[str], None],
    lost: Callable[[str], None],
    kept: Callable[[float], None] = lambda _: None,
    is_stuck: Callable[[], bool] = lambda: False,
) -> Iterator[Lease]:
    """Holds the lock while the body runs; the lease says the run, its holder, host and operation.

    `say` is told, from the calling thread, what a person should know; `lost` once, from another
    thread, why the lock is not ours any more. Both get a sentence. `kept` is told until when it is
    ours, by the monotonic clock, as often as that moves: after a process was stopped for a while,
    any of its threads may go on before `lost` is called. While `is_stuck`, it is not renewed.

    Raises:
        LockedError: another run has it, and has it still when the timeout is over.
        StateError: the store cannot be reached.
    """
    who = leases.Claim(run, holder, host, operation, process.identity())
    wanted = partial(leases.new, who, length=terms.length)
    taken = _Acquisition(store, wanted, clock, terms.timeout, say).acquire()
    heartbeat = Heartbeat(
        store, taken.lease, taken.version, taken.since, clock, kept, lost, is_stuck
    )
    try:
        heartbeat.start()
        yield taken.lease
    finally:
        heartbeat.stop()
        if trouble := heartbeat.release():
            say(trouble)


def current(store: Store) -> Lease | None:
    """The lease on the state, whether its run is alive or not; None if there is none.

    Raises:
        LockedError: there is something that is no lease.
        StateError: the store cannot be reached.
    """
    held = store.read(Cell.LOCK)
    return None if held is None else _lease(store, held)


def is_dead(lease: Lease) -> bool:
    """Whether the run that holds it is provably dead, on this machine; no proof is no life."""
    return process.is_dead(lease.process)


def break_lock(store: Store, run: str) -> None:
    """Takes the lock from a run, whether it is alive or not.

    Args:
        store: whose lock.
        run: the id of the run that holds it, or `UNREADABLE` for what is no lease.

    Raises:
        LockedError: another run holds it.
        ConflictError: it was renewed or taken at the same time.
        StateError: nobody holds it, or the store cannot be reached.
    """
    held = store.read(Cell.LOCK)
    if held is None:
        raise StateError(f"{store.location} is not locked", "There is nothing to unlock.")
    if run != UNREADABLE or leases.decoded(held.data) is not None:
        lease = _lease(store, held)
        if lease.id != run:
            raise LockedError(
                f"{store.location} is locked by {lease}, not by {run}",
                f"If that run is certainly dead: reconciler state unlock {lease.id}",
            )
    store.write(Cell.LOCK, b"", held.version, f"Break the lock of run {run}")


class _Acquisition:
    """One attempt to get the lock, with all its waiting.

    Args:
        store: whose lock.
        wanted: the lease that is to be there, when it is told what time it is `now`.
        clock: what time it is.
        timeout: seconds to wait.
        say: is told, in a sentence, what a person should know.
    """

    def __init__(
        self,
        store: Store,
        wanted: Callable[..., Lease],
        clock: Clock,
        timeout: float,
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._wanted = wanted
        self._clock = clock
        self._timeout = timeout
        self._say = say
        self._began = clock.monotonic()
        self._said_at = float("-inf")
        self._seen = ""
        self._seen_at = self._began

    def acquire(self) -> _Taken:
        """The lock, once it can be had."""
        for _ in range(_RACES):
            held, why = self._wait_until_free()
            taken = self._take(held)
            if taken is not None:
                if why:
                    self._say(why)
                return taken
        raise LockedError(
            f"the lock of {self._store.location} changes hands all the time",
            "Run the same command again later.",
        )

    def _wait_until_free(self) -> tuple[Held | None, str]:
        """What is to be replaced, and a sentence on why it may be if it is a lease."""
        while True:
            held = self._store.read(Cell.LOCK)
            if held is None:
                return None, ""
            lease = _lease(self._store, held)
            self._notice(held)
            reason = self._reason_to_take(lease)
            if reason:
                return held, f"The lock of {lease} {reason}; it is taken over."
            self._wait(lease)

    def _notice(self, held: Held) -> None:
        if held.version != self._seen:
            self._seen, self._seen_at = held.version, self._clock.monotonic()

    def _reason_to_take(self, lease: Lease) -> str:
        if is_dead(lease):
            return "is that of a process on this machine which is dead"
        if self._clock.monotonic() - self._seen_at >= lease.length:
            return f"has not been renewed in {lease.length:g} s of waiting"
        return ""

    def _wait(self, lease: Lease) -> None:
        now = self._clock.monotonic()
        waited = now - self._began
        if waited >= self._timeout:
            raise _locked(self._store, lease, waited if self._timeout else 0.0)
        if now - self._said_at >= _SAY_EVERY:
            self._said_at = now
            self._say(
                f"Waiting for the lock of {lease}, which is running {lease.operation}: "
                f"{waited:.0f} of {self._timeout:.0f} s"
            )
        pause = min(
            random.uniform(*_POLL),  # noqa: S311 - so that those who wait do not ask in step
            self._timeout - waited,
            self._seen_at + lease.length - now,
        )
        self._clock.sleep(max(_SHORTEST_POLL, pause), None)

    def _take(self, held: Held | None) -> _Taken | None:
        """The lock in place of what was seen; None if somebody else was faster."""
        since = self._clock.monotonic()
        lease = self._wanted(now=self._clock.now())
        try:
            version = self._store.write(
                Cell.LOCK,
                lease.encoded(),
                held and held.version,
                f"Lock for {lease.operation} by run {lease.id}",
            )
        except ConflictError:
            return None
        return _Taken(lease, version, since)


def _lease(store: Store, held: Held) -> Lease:
    lease = leases.decoded(held.data)
    if lease is None:
        raise LockedError(
            f"the lock of {store.location} is not readable as one",
            f"If no other run is at work: reconciler state unlock {UNREADABLE}",
        )
    return lease


def _locked(store: Store, lease: Lease, waited: float) -> LockedError:
    after = f", also after {waited:.0f} s" if waited else ""
    minutes = math.ceil(lease.length / 60) + 1
    return LockedError(
        f"the state {store.location} is locked by {lease.holder} on {lease.host} since "
        f"{lease.acquired_at} ({lease.operation}, run {lease.id}){after}",
        f"If that run is still at work, wait for it. If it may be dead, --lock-timeout {minutes}m "
        f"takes the lock over once it was not renewed for {lease.length:g} s. If it is certainly "
        f"dead: reconciler state unlock {lease.id}",
    )
