"""Why a run starts nothing new: one value, cancelled by whoever knows."""

import threading
import time

from reconciler.context import SYSTEM, Cancellation

_LONG = 30.0


def test_the_first_reason_stays() -> None:
    cancellation = Cancellation(SYSTEM)
    assert cancellation.reason == ""
    cancellation.cancel("the lock was lost")
    cancellation.cancel("the state cannot be kept")
    assert cancellation.reason == "the lock was lost"
    assert not cancellation.is_interrupted


def test_an_interruption_is_remembered_behind_another_reason() -> None:
    cancellation = Cancellation(SYSTEM)
    cancellation.cancel("the lock was lost")
    cancellation.interrupt()
    assert cancellation.reason == "the lock was lost"
    assert cancellation.is_interrupted


def test_it_ends_a_wait_from_another_thread() -> None:
    cancellation = Cancellation(SYSTEM)
    timer = threading.Timer(0.05, cancellation.cancel, ["enough"])
    timer.start()
    began = time.monotonic()
    assert cancellation.wait(_LONG)
    assert time.monotonic() - began < _LONG / 2
    timer.join()


def test_a_signal_may_come_while_a_wait_begins() -> None:
    def interrupted(seconds: float, event: threading.Event | None) -> None:
        assert event is not None
        with event._cond:  # type: ignore[attr-defined]
            cancellation.interrupt()
        event.wait(seconds)

    cancellation = Cancellation(SYSTEM._replace(sleep=interrupted))
    began = time.monotonic()
    thread = threading.Thread(target=cancellation.wait, args=(_LONG,), daemon=True)
    thread.start()
    thread.join(_LONG / 2)
    assert not thread.is_alive()
    assert time.monotonic() - began < _LONG / 2


def test_a_wait_that_nobody_ends_takes_its_time() -> None:
    waited: list[float] = []
    clock = SYSTEM._replace(sleep=lambda seconds, _: waited.append(seconds))
    cancellation = Cancellation(clock)
    assert not cancellation.wait(5)
    cancellation.cancel("enough")
    assert cancellation.wait(6)
    assert waited == [5]


def test_what_lapses_is_a_reason_before_anybody_has_noticed() -> None:
    now = [10.0]
    cancellation = Cancellation(SYSTEM._replace(monotonic=lambda: now[0]))
    cancellation.lapse_at(20.0, "not renewed")
    cancellation.lapse_at(30.0, "not renewed in time")
    now[0] = 29.0
    assert cancellation.reason == ""
    now[0] = 30.0
    assert cancellation.reason == "not renewed in time"
    cancellation.lapse_at(99.0, "not renewed")
    assert cancellation.reason == "not renewed in time"


def test_a_part_has_reasons_of_its_own_and_those_of_the_whole() -> None:
    whole = Cancellation(SYSTEM)
    part, other = whole.part(), whole.part()
    part.cancel("email-smtp/relay failed")
    assert (part.reason, other.reason, whole.reason) == ("email-smtp/relay failed", "", "")
    whole.interrupt()
    assert (part.reason, other.reason) == ("email-smtp/relay failed", "the run was interrupted")
    assert other.wait(_LONG)
