"""Who gets a lock whose holder is on another machine, whatever the clocks of both say.

The time is simulated: a waiter's `sleep` moves it on, and the holder renews while the waiter
sleeps. The state is kept in a real folder.
"""

import json
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.context import SYSTEM, Cancellation, Clock, Reporter, written
from reconciler.errors import LockedError
from reconciler.state_store import Key, Lease, LockOptions, Store, current, hold, open_store
from reconciler.state_store.lock import lease_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LENGTH = 180.0
SKEWS = st.integers(-400_000_000, 400_000_000)
"""Seconds by which a clock is wrong: up to twelve years."""


class World:
    """A store, the true time, and what the holder of the lock does as it passes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.time = 1000.0
        self.renew_every = float("inf")
        self._renewed_at = self.time

    def hold(self, *, skew: float, renew_every: float, length: float = LENGTH) -> Lease:
        """Lets a run on another machine, whose clock is wrong, take the lock."""
        since = written(NOW + timedelta(seconds=skew))
        lease = Lease("run-1", "ann", "elsewhere", "apply", since, "another-boot/1/2/3", length)
        self.store.write(Key.LOCK, lease.encoded(), None, "")
        self.renew_every, self._renewed_at = renew_every, self.time
        return lease

    def clock(self, skew: float) -> Clock:
        """That of a waiter; what it says of the time of day is wrong by so much."""
        return Clock(
            lambda: NOW + timedelta(seconds=self.time - 1000 + skew),
            lambda: self.time,
            lambda seconds, _stop: self._pass(seconds),
        )

    def wait(self, clock: Clock, timeout: float) -> tuple[Lease, list[str]]:
        """What a waiter gets, and what it is told meanwhile."""
        said: list[str] = []
        with hold(
            self.store,
            run="run-2",
            holder="bob",
            host="here",
            operation="apply",
            clock=clock,
            options=LockOptions(timeout, LENGTH),
            reporter=Reporter(said.append),
            cancellation=Cancellation(clock),
        ) as lease:
            return lease, said

    def _pass(self, seconds: float) -> None:
        end = self.time + seconds
        while self._renewed_at + self.renew_every <= end:
            self._renewed_at += self.renew_every
            held = self.store.read(Key.LOCK)
            assert held is not None, "somebody took the lock of a live run"
            lease = lease_of(held.data)
            assert lease is not None
            assert lease.id == "run-1", "somebody took the lock of a live run"
            self.store.write(Key.LOCK, lease.renewed().encoded(), held.version, "")
        self.time = end


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        yield World(open_store(f"file:{folder}/state.json"))


@pytest.mark.large
@given(skews=st.tuples(SKEWS, SKEWS), share=st.floats(0.05, 0.9), timeout=st.floats(0, 5 * LENGTH))
def test_no_waiter_ever_takes_a_lease_that_is_renewed(
    skews: tuple[int, int], share: float, timeout: float
) -> None:
    with world() as at:
        at.hold(skew=skews[0], renew_every=share * LENGTH)
        with pytest.raises(LockedError):
            at.wait(at.clock(skews[1]), timeout)
        held = current(at.store)
        assert held is not None
        assert held.id == "run-1"
        assert timeout <= at.time - 1000 <= timeout + 1


@pytest.mark.large
@given(skews=st.tuples(SKEWS, SKEWS), length=st.floats(1, 600))
def test_a_lease_that_is_abandoned_is_taken_after_its_length_of_watching(
    skews: tuple[int, int], length: float
) -> None:
    with world() as at:
        at.hold(skew=skews[0], renew_every=float("inf"), length=length)
        lease, said = at.wait(at.clock(skews[1]), timeout=length + 1)
        assert lease.id == "run-2"
        assert length <= at.time - 1000 <= length + 0.1
        assert said[-1].endswith(
            f"has not been renewed in {length:g} s of waiting; taking it over."
        )


@given(renewals=st.integers(1, 5))
def test_each_renewal_that_is_seen_begins_the_watching_anew(renewals: int) -> None:
    with world() as at:
        at.hold(skew=0, renew_every=100)
        clock = at.clock(0)

        def sleep(seconds: float, stop: threading.Event | None) -> None:
            clock.sleep(seconds, stop)
            if at.time >= 1000 + 100 * renewals:
                at.renew_every = float("inf")  # the holder dies

        lease, _ = at.wait(clock._replace(sleep=sleep), timeout=10_000)
        assert lease.id == "run-2"
        assert at.time >= 1000 + 100 * renewals + LENGTH


@pytest.mark.parametrize("timeout", [0, 100, LENGTH - 1])
def test_without_time_to_watch_the_error_says_what_to_do(timeout: float) -> None:
    with world() as at:
        at.hold(skew=-1e6, renew_every=float("inf"))
        with pytest.raises(LockedError) as error:
            at.wait(at.clock(0), timeout)
        after = f", even after {timeout:.0f} s" if timeout else ""
        assert str(error.value) == (
            f"the state {at.store.location} is locked by ann on elsewhere since "
            f"2025-12-21T13:17:25Z (apply, run run-1){after}"
        )
        assert error.value.hint == (
            "If the run is still active, wait for it. If the run may be dead, --lock-timeout 4m "
            "takes the lock over once it was not renewed for 180 s. If you are certain that it is "
            "dead, run: reconciler state unlock run-1"
        )


def test_the_wait_that_the_error_names_is_long_enough() -> None:
    for length in (0.5, 1, 59, 60, 61, LENGTH, 3600):
        with world() as at:
            at.hold(skew=0, renew_every=float("inf"), length=length)
            with pytest.raises(LockedError) as error:
                at.wait(at.clock(0), 0)
            minutes = int(error.value.hint.partition("--lock-timeout ")[2].partition("m ")[0])
            assert at.wait(at.clock(0), minutes * 60.0)[0].id == "run-2"


def test_of_two_that_watch_exactly_one_takes_an_abandoned_lease() -> None:
    with world() as at:
        at.hold(skew=0, renew_every=float("inf"), length=0.4)
        ends = threading.Barrier(2, timeout=20)

        def wait(run: str) -> bool:
            store = open_store(at.store.location)
            with (
                suppress(LockedError),
                hold(
                    store,
                    run=run,
                    holder="bob",
                    host="here",
                    operation="apply",
                    clock=SYSTEM,
                    options=LockOptions(1.5, LENGTH),
                    reporter=Reporter(lambda _: None),
                    cancellation=Cancellation(SYSTEM),
                ),
            ):
                ends.wait()
                return True
            ends.wait()
            return False

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(wait, ("run-2", "run-3"))) == [False, True]


def test_a_lease_of_an_older_version_blocks_and_is_watched_like_any_other() -> None:
    with world() as at:
        lease = at.hold(skew=0, renew_every=float("inf"))
        old = {**lease._asdict(), "expires_at": "2020-01-01T00:00:00.000Z"}
        old.pop("renewals", None)
        held = at.store.read(Key.LOCK)
        assert held is not None
        at.store.write(Key.LOCK, json.dumps(old).encode(), held.version, "")
        with pytest.raises(LockedError):
            at.wait(at.clock(0), LENGTH - 1)
        assert at.wait(at.clock(0), LENGTH + 1)[0].id == "run-2"
