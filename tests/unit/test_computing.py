"""Threads that compute take turns, and do not keep others waiting while they wait themselves."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler import context
from reconciler.context import computing, waiting

_LONG = 30.0


def test_one_at_a_time() -> None:
    inside: list[int] = []
    most: list[int] = []

    def compute(number: int) -> None:
        with computing():
            inside.append(number)
            most.append(len(inside))
            threading.Event().wait(0.001)  # what another thread could begin in
            inside.remove(number)

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(compute, range(20)))
    assert most == [1] * 20


def test_whoever_waits_lets_others_compute() -> None:
    waits = threading.Event()
    has_computed = threading.Event()

    def other() -> bool:
        assert waits.wait(_LONG)
        with computing():
            has_computed.set()
        return True

    with ThreadPoolExecutor(1) as executor:
        done = executor.submit(other)
        with computing(), computing():  # the inner one is a part of the outer one
            with waiting():
                waits.set()
                assert has_computed.wait(_LONG)
            with waiting():  # also after it has computed again
                assert done.result(_LONG)


def test_whatever_fails_takes_nothing_along() -> None:
    with pytest.raises(KeyError), computing(), waiting():
        raise KeyError
    with ThreadPoolExecutor(1) as executor:  # another thread can compute at once

        def other() -> bool:
            with computing():
                return True

        assert executor.submit(other).result(_LONG)


def test_whoever_does_not_compute_waits_without_ado() -> None:
    with waiting():
        assert not context._COMPUTING.locked()
        with computing():
            assert context._COMPUTING.locked()
            with waiting():
                assert not context._COMPUTING.locked()


class _Interrupted:
    """A lock that is not given back to whoever has waited."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._is_first = True

    def acquire(self) -> None:
        if not self._is_first:
            raise KeyboardInterrupt
        self._is_first = False
        self.lock.acquire()

    def release(self) -> None:
        self.lock.release()


def test_whoever_is_interrupted_before_its_turn_gives_nobody_elses_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = _Interrupted()
    monkeypatch.setattr(context, "_COMPUTING", lock)
    with pytest.raises(KeyboardInterrupt), computing(), waiting():
        assert lock.lock.acquire(blocking=False)  # somebody else computes by now
    assert lock.lock.locked()
