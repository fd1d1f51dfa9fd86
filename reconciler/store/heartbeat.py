"""Keeps a lease alive while a run goes on, and notices when it is lost.

Rule: it only ever renews its own lease, and only while the run gets on: one that is stuck for ever
must not keep the others out for ever. Two threads: one renews, the other watches the time, so that
a store which does not answer cannot keep a loss from being noticed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from reconciler.errors import ConflictError, StateError
from reconciler.store.lease import Lease, decoded
from reconciler.store.port import Cell, Held

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.clock import Clock
    from reconciler.store.port import Store

_BEATS = 4
"""How often a lease is renewed within its length."""
_PATIENCE = 15.0


class Heartbeat:
    """Renews a lease until it is stopped or the lease is lost.

    Args:
        store: where the lease is.
        lease: as it was acquired.
        version: of the lock with that lease.
        since: when that was, by the monotonic clock; a moment before it was written.
        clock: what time it is.
        kept: is told until when the lease is ours, by the monotonic clock, as often as that moves.
        lost: is told once, from another thread, why the lease is lost.
        is_stuck: whether the run does not get on any more; asked before each renewal.
    """

    def __init__(
        self,
        store: Store,
        lease: Lease,
        version: str,
        since: float,
        clock: Clock,
        kept: Callable[[float], None],
        lost: Callable[[str], None],
        is_stuck: Callable[[], bool],
    ) -> None:
        self._store = store
        self._lease = lease
        self._version = version
        self._ends = since + lease.length
        self._clock = clock
        self._kept = kept
        self._lost = lost
        self._is_stuck = is_stuck
        self._failure = ""
        self._told = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"lease-{target.__name__}", daemon=True)
            for target in (self._beat, self._watch)
        ]

    def start(self) -> None:
        """Begins to renew."""
        self._kept(self._ends)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends renewing; waits for a renewal that is under way, but not for ever."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_PATIENCE)

    def release(self) -> str:
        """Gives the lock back if it is still ours; after `stop`.

        Returns:
            What went wrong, as a sentence; empty if nothing did, or if the loss was told before.
        """
        was_lost = not self._told.acquire(blocking=False)
        message = f"Release the lock of run {self._lease.id}"
        try:
            try:
                self._store.write(Cell.LOCK, b"", self._version, message)
            except ConflictError:
                held, reason = self._ours()
                if held is None:
                    return "" if was_lost else f"The lock was no longer this run's: {reason}."
                self._store.write(Cell.LOCK, b"", held.version, message)
        except StateError as error:
            return (
                f"The lock of {self._store.location} could not be released: {error}. A run that "
                f"waits for it takes it over after {self._lease.length:g} s; or: reconciler state "
                f"unlock {self._lease.id}"
            )
        return ""

    def _beat(self) -> None:
        while not self._stop.wait(self._lease.length / _BEATS):
            if self._is_stuck():
                self._lose("a request has not ended long after its deadline, so it is not renewed")
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
            version = self._store.write(Cell.LOCK, lease.encoded(), self._version, message)
        except ConflictError:
            self._look()
        except StateError as error:  # told if the time is over before a later one succeeds
            self._failure = str(error)
        else:
            self._lease, self._version, self._failure = lease, version, ""
            self._ends = started + lease.length
            self._kept(self._ends)

    def _look(self) -> None:
        """Finds out whose the lock is after a renewal that was refused."""
        try:
            held, reason = self._ours()
        except StateError as error:
            self._failure = str(error)
            return
        if held is None:
            self._lose(reason)
            return
        # A renewal that had been given up has arrived late.
        self._version = held.version
        self._lease = decoded(held.data) or self._lease

    def _ours(self) -> tuple[Held | None, str]:
        """The lock if it is ours, and if not, what it is."""
        held = self._store.read(Cell.LOCK)
        if held is None:
            return None, "somebody has released it"
        lease = decoded(held.data)
        if lease is None:
            return None, "somebody has overwritten it"
        if (lease.id, lease.process) != (self._lease.id, self._lease.process):
            return None, f"{lease} has taken it over"
        return held, ""

    def _lose(self, reason: str) -> None:
        self._stop.set()
        if self._told.acquire(blocking=False):
            self._lost(reason)
