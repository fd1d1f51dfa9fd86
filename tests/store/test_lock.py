import fcntl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.context import SYSTEM, Cancellation, Reporter, written
from reconciler.errors import ConflictError, LockedError, StateError
from reconciler.state_store import (
    Key,
    Lease,
    LockOptions,
    Store,
    break_lock,
    current,
    hold,
    open_store,
)
from reconciler.state_store.file import FileStore
from reconciler.state_store.process import identity

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who is dead")
LONG = 60.0
LIVELY = 1.6
"""A length that is renewed in time even on a machine that is busy with other things."""
SHORT = 0.4
"""A length that is waited for."""
HOUR = timedelta(hours=1)
PATIENCE = 20.0

_HOLD = """
import sys, time
from datetime import UTC, datetime
from reconciler.context import SYSTEM, Cancellation, Reporter
from reconciler.state_store import LockOptions, hold, open_store

with hold(
    open_store(sys.argv[1]), run="run-1", holder="ann", host="there", operation="apply",
    clock=SYSTEM, options=LockOptions(0, float(sys.argv[2])),
    reporter=Reporter(print), cancellation=Cancellation(SYSTEM),
):
    print("held", flush=True)
    sys.stdin.readline()
"""


def now() -> datetime:
    return datetime.now(UTC)


class Listener:
    """What a run is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.cancellation = Cancellation(SYSTEM)

    @property
    def loss(self) -> str:
        """Why the lock was lost; empty while it is held."""
        return self.cancellation.reason.removeprefix("the lock was lost: ")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path}/folder/state.json")


@pytest.fixture
def listener() -> Listener:
    return Listener()


def holding(
    store: Store,
    listener: Listener | None = None,
    *,
    run: str = "run-2",
    timeout: float = 0,
    length: float = LONG,
    clock: Callable[[], datetime] = now,
    say: Callable[[str], None] = lambda _: None,
    is_stuck: Callable[[], bool] = lambda: False,
) -> AbstractContextManager[Lease]:
    listener = listener or Listener()

    def both(text: str) -> None:
        listener.said.append(text)
        say(text)

    return hold(
        store,
        run=run,
        holder="bob",
        host="here",
        operation="state rm",
        clock=SYSTEM._replace(now=clock),
        options=LockOptions(timeout, length, is_stuck),
        reporter=Reporter(both),
        cancellation=listener.cancellation,
    )


def put(store: Store, data: bytes) -> None:
    """Puts something in place of whatever the lock is, between two renewals if there are any."""
    while True:
        held = store.read(Key.LOCK)
        with suppress(ConflictError):
            store.write(Key.LOCK, data, held and held.version, "test")
            return


def lease(run: str = "run-1") -> Lease:
    return Lease(run, "ann", "there", "apply", written(now()), "", LONG)


@contextmanager
def writing_on_and_on(folder: Path) -> Iterator[None]:
    """Keeps every other writer out of the store in that folder."""
    with (folder / "state.json.guard").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestHolding:
    def test_it_is_there_while_the_body_runs(self, store: Store, listener: Listener) -> None:
        with holding(store, listener) as mine:
            assert current(store) == mine
            assert mine.id == "run-2"
            assert (mine.holder, mine.host, mine.operation) == ("bob", "here", "state rm")
            assert mine.process == identity()
            assert mine.length == LONG
        assert current(store) is None
        assert listener.loss == ""
        assert listener.said == []

    def test_what_is_not_fit_to_be_shown_is_replaced(self, store: Store) -> None:
        with holding(store, run="a\x1b[31mb\n") as mine:
            assert mine.id == "a?[31mb?"
            assert current(store) == mine

    def test_it_works_in_every_place(self, place: Any, listener: Listener) -> None:
        store, other = place.open(), place.open()
        with holding(store, listener, length=LIVELY) as mine:
            with pytest.raises(LockedError, match="run run-2"), holding(other):
                pass
            wait_until(lambda: current(other).renewals > mine.renewals)  # type: ignore[union-attr]
        with holding(other, listener):
            assert current(store) is not None
        assert current(store) is None
        assert listener.loss == ""
        assert listener.said == []

    def test_no_thread_stays_behind(self, store: Store) -> None:
        before = threading.active_count()
        with holding(store):
            assert threading.active_count() == before + 2
        assert threading.active_count() == before

    def test_an_error_of_the_body_gives_it_back(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), holding(store):
            raise ZeroDivisionError
        assert current(store) is None

    def test_a_release_that_fails_is_said_and_hides_no_error(
        self, store: Store, listener: Listener
    ) -> None:
        def fail() -> None:
            folder = store.journals
            folder.rename(folder.with_name("moved"))
            folder.touch()
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), holding(store, listener):
            fail()
        (said,) = listener.said
        assert f"The lock of {store.location} could not be released: cannot " in said
        assert "Not a directory" in said
        assert said.endswith(
            "A waiting run takes it over after 60 s; to release it now, run: reconciler state "
            "unlock run-2"
        )

    def test_a_loss_just_before_the_end_is_said(self, store: Store, listener: Listener) -> None:
        with holding(store, listener):
            put(store, lease("run-3").encoded())
        assert listener.loss == ""
        (said,) = listener.said
        assert said.startswith("The lock was no longer this run's: run run-3 (ann on there, since ")
        held = current(store)
        assert held is not None
        assert held.id == "run-3"


class TestBlocking:
    def test_a_live_run_blocks(self, store: Store, python: Any) -> None:
        process = python(_HOLD, store.location, LONG)
        assert process.stdout.readline() == "held\n"
        held = current(store)
        assert held is not None
        with pytest.raises(LockedError) as error, holding(store):
            pass
        assert str(error.value) == (
            f"the state {store.location} is locked by ann on there since {held.acquired_at} "
            "(apply, run run-1)"
        )
        assert "--lock-timeout" in error.value.hint
        assert "reconciler state unlock run-1" in error.value.hint
        process.communicate("\n")
        with holding(store):
            pass

    def test_waiting_is_said_and_ends_with_the_release(
        self, store: Store, listener: Listener
    ) -> None:
        first = holding(store, run="run-1")
        first.__enter__()

        def release(_: str) -> None:
            first.__exit__(None, None, None)

        with holding(store, listener, timeout=PATIENCE, say=release):
            pass
        (said,) = listener.said
        assert said.startswith("Waiting for the lock of run run-1 (bob on here, since ")
        assert said.endswith("), which is running state rm: 0 of 20 s")

    def test_waiting_ends_with_the_timeout(self, store: Store, listener: Listener) -> None:
        with (
            holding(store, run="run-1"),
            pytest.raises(LockedError, match=r"run run-1\), even after \d+ s$"),
            holding(store, listener, timeout=0.1),
        ):
            pass
        assert len(listener.said) == 1

    def test_a_run_that_renews_is_waited_for_beyond_its_length(self, tmp_path: Path) -> None:
        def wait(name: str, ahead: timedelta) -> None:
            store = open_store(f"file:{tmp_path}/{name}")
            with (
                holding(store, run="run-1", length=LIVELY, clock=lambda: now() + ahead),
                pytest.raises(LockedError),
                holding(store, timeout=1.2 * LIVELY),
            ):
                pass

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(wait, ("right", "ahead", "behind"), (timedelta(0), HOUR, -HOUR)))

    def test_of_several_at_once_one_gets_it(self, store: Store) -> None:
        barrier = threading.Barrier(4, timeout=20)
        inside = threading.Lock()

        def run(number: int) -> bool:
            barrier.wait()
            with suppress(LockedError), holding(open_store(store.location), run=f"run-{number}"):
                assert inside.acquire(blocking=False)
                barrier.wait()
                return True
            barrier.wait()
            return False

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(run, range(4))).count(True) == 1

    def test_several_that_wait_all_get_it_in_turn(self, store: Store) -> None:
        inside = threading.Lock()

        def run(number: int) -> None:
            with holding(open_store(store.location), run=f"run-{number}", timeout=PATIENCE):
                assert inside.acquire(blocking=False)
                inside.release()

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(run, range(3)))
        assert current(store) is None

    def test_one_that_always_comes_too_late_gives_up(self, tmp_path: Path) -> None:
        path = tmp_path / "state.json"

        class Busy(FileStore):
            """One whose lock somebody else takes just before each write, and gives back after."""

            def write(self, key: Key, data: bytes, expected: str | None, message: str) -> str:
                lock = path.with_name("state.json.lock")
                lock.write_bytes(lease().encoded())
                try:
                    return super().write(key, data, expected, message)
                finally:
                    lock.unlink()

        with (
            pytest.raises(LockedError, match="keeps changing its holder"),
            holding(Busy("file:x", path)),
        ):
            pass


class TestTakingOver:
    def said(self, store: Store, **how: Any) -> str:
        listener = Listener()
        with holding(store, listener, **how) as mine:
            assert current(store) == mine
        assert current(store) is None
        *waiting, taken = listener.said
        assert all(text.startswith("Waiting for ") for text in waiting)
        return taken

    @ON_LINUX
    def test_a_dead_process(self, store: Store, python: Any) -> None:
        process = python(_HOLD, store.location, LONG)
        process.stdout.readline()
        process.kill()
        process.wait()
        said = self.said(store)
        assert said.startswith("The lock of run run-1 (ann on there, since ")
        assert said.endswith(") belongs to a dead process on this machine; taking it over.")

    def test_a_killed_run_elsewhere_blocks_for_its_length(self, store: Store, python: Any) -> None:
        process = python(_HOLD, store.location, SHORT)
        process.stdout.readline()
        process.kill()
        process.wait()
        held = current(store)
        assert held is not None
        put(store, held._replace(process="another/1/2/3").encoded())
        with pytest.raises(LockedError), holding(store):
            pass
        said = self.said(store, timeout=PATIENCE)
        assert said.endswith("has not been renewed in 0.4 s of waiting; taking it over.")


class TestKeeping:
    def test_each_renewal_changes_it(self, store: Store, listener: Listener) -> None:
        with holding(store, listener, length=LIVELY) as mine:
            for number in (1, 2):
                wait_until(lambda least=number: current(store).renewals >= least)  # type: ignore[misc,union-attr]
            held = current(store)
            assert held is not None
            assert held == mine._replace(renewals=held.renewals)
        assert listener.loss == ""

    @pytest.mark.parametrize(
        ("act", "reason"),
        [
            (lambda store: break_lock(store, "run-2"), "someone released it"),
            (lambda store: put(store, b"{}"), "someone overwrote it"),
            (lambda store: put(store, lease("run-3").encoded()), "run run-3 (ann on there, since "),
        ],
    )
    def test_a_loss_is_told_once(
        self, act: Callable[[Store], None], reason: str, store: Store, listener: Listener
    ) -> None:
        def lose() -> None:
            while True:  # a renewal may come between its look and its write
                with suppress(ConflictError):
                    return act(open_store(store.location))

        with holding(store, listener, length=LIVELY):
            lose()
            assert listener.cancellation.wait(PATIENCE)
            left = store.read(Key.LOCK)
        assert listener.loss.startswith(reason)
        assert store.read(Key.LOCK) == left
        assert listener.said == []

    def test_a_run_that_is_stuck_does_not_renew_it(self, store: Store, listener: Listener) -> None:
        with holding(store, listener, length=LIVELY, is_stuck=lambda: True) as mine:
            assert listener.cancellation.wait(PATIENCE)
            left = current(store)
        assert listener.loss == (
            "a request is still open long after its deadline, so the lock is not renewed"
        )
        assert left is not None
        assert left.renewals == mine.renewals
        assert current(store) is None

    def test_a_store_that_stays_away_for_the_length_is_a_loss(
        self, tmp_path: Path, listener: Listener
    ) -> None:
        store = FileStore("file:x", tmp_path / "state.json", patience=0.01)
        with holding(store, listener, length=1.0), writing_on_and_on(tmp_path):
            assert listener.cancellation.wait(PATIENCE)
        assert listener.loss == (
            "it could not be renewed for 1 s: cannot write file:x: another process has been "
            f"writing for 0.01 s ({tmp_path}/state.json.guard)"
        )

    def test_a_store_that_comes_back_in_time_is_none(
        self, tmp_path: Path, listener: Listener
    ) -> None:
        failed = threading.Event()

        class Noting(FileStore):
            """One that notes a failure."""

            def write(self, key: Key, data: bytes, expected: str | None, message: str) -> str:
                try:
                    return super().write(key, data, expected, message)
                except StateError:
                    failed.set()
                    raise

        store = Noting("file:x", tmp_path / "state.json", patience=0.01)
        with holding(store, listener, length=LIVELY) as mine:
            with writing_on_and_on(tmp_path):
                assert failed.wait(PATIENCE)
            wait_until(lambda: current(store).renewals > mine.renewals)  # type: ignore[union-attr]
        assert listener.loss == ""
        assert listener.said == []

    def test_a_store_that_does_not_answer_for_the_length_is_a_loss(
        self, tmp_path: Path, listener: Listener
    ) -> None:
        may_go_on = threading.Event()

        class Slow(FileStore):
            """One that takes as long as the test wants for each renewal."""

            def write(self, key: Key, data: bytes, expected: str | None, message: str) -> str:
                if message.startswith("Renew"):
                    may_go_on.wait(PATIENCE)
                return super().write(key, data, expected, message)

        with holding(Slow("file:x", tmp_path / "state.json"), listener, length=SHORT):
            assert listener.cancellation.wait(PATIENCE)
            may_go_on.set()
        assert listener.loss == "it could not be renewed for 0.4 s"

    def test_a_renewal_that_arrives_late_is_no_loss(self, store: Store, listener: Listener) -> None:
        with holding(store, listener, length=LIVELY) as mine:
            late = mine.renewed()
            put(store, late.encoded())
            wait_until(lambda: current(store).renewals > late.renewals)  # type: ignore[union-attr]
        assert listener.loss == ""
        assert listener.said == []
        assert current(store) is None

    def test_nor_is_one_that_arrives_at_the_end(self, store: Store, listener: Listener) -> None:
        with holding(store, listener) as mine:
            put(store, mine.renewed().encoded())
        assert listener.loss == ""
        assert listener.said == []
        assert current(store) is None


class TestBreaking:
    @contextmanager
    def refused(self, kind: type[StateError], message: str) -> Iterator[None]:
        with pytest.raises(kind, match=message) as error:
            yield
        assert error.value.hint

    def test_it_takes_the_lock_from_the_run_that_is_named(self, store: Store) -> None:
        put(store, lease().encoded())
        with self.refused(LockedError, r"is locked by run run-1 \(ann on there, .*not by run-2"):
            break_lock(store, "run-2")
        assert current(store) is not None
        break_lock(store, "run-1")
        assert current(store) is None

    def test_where_nobody_has_it_there_is_nothing_to_break(self, store: Store) -> None:
        assert not break_lock(store, "run-1")

    def test_what_is_no_lease_blocks_until_it_is_broken_by_that_name(self, store: Store) -> None:
        put(store, b"{}")
        for act in (lambda: current(store), lambda: holding(store).__enter__()):
            with self.refused(LockedError, "the lock of file:.* cannot be read") as _:
                act()
        with self.refused(LockedError, "cannot be read"):
            break_lock(store, "run-1")
        break_lock(store, "unreadable")
        with holding(store):
            pass

    def test_a_run_may_have_that_name(self, store: Store) -> None:
        put(store, lease("unreadable").encoded())
        break_lock(store, "unreadable")
        put(store, lease().encoded())
        with self.refused(LockedError, "not by unreadable"):
            break_lock(store, "unreadable")
