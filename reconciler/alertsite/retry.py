"""When and how often a request is repeated: exponential waits with jitter, within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import tenacity

from reconciler.alertsite.responses import TransientError
from reconciler.core.events import Retried

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from reconciler.context import Clock


ATTEMPTS = 5
BUDGET = 120.0
"""Seconds that all repetitions of one request may take, with their waits."""
_BACKOFF = tenacity.wait_random_exponential(multiplier=0.5, max=10)
_PATIENT = tenacity.wait_exponential_jitter(initial=1, max=30)
_JITTER = tenacity.wait_random(0, 0.25)

_T = TypeVar("_T")


def repeat(
    once: Callable[[], _T],
    first: TransientError,
    clock: Clock,
    stop: threading.Event,
    notify: Callable[[Retried, str], None],
) -> _T:
    """What `once` returns at last, after a first attempt that failed.

    Args:
        once: one more attempt.
        first: how the first attempt failed.
        clock: how to wait.
        stop: once set, nothing is repeated and no wait goes on.
        notify: is told of every repetition, as a value and in a sentence.

    Raises:
        TransientError: of the last attempt.
    """
    last, is_first = first, True

    def attempt() -> _T:
        nonlocal last, is_first
        if is_first or stop.is_set():
            is_first = False
            raise last
        try:
            return once()
        except TransientError as error:
            last = error
            raise

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_any(
            _StopUnlessBusy(),
            tenacity.stop_before_delay(BUDGET),
            tenacity.stop_when_event_set(stop),
        ),
        wait=_wait,
        sleep=lambda seconds: clock.sleep(seconds, stop),
        before_sleep=lambda state: notify(_retried(state), _sentence(state)),
        reraise=True,
    )(attempt)


class _StopUnlessBusy(tenacity.stop.stop_base):
    """Ends after so many attempts; a server that is only busy is given the whole budget."""

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return retry_state.attempt_number >= ATTEMPTS and not _error(retry_state).is_busy


def _error(state: tenacity.RetryCallState) -> TransientError:
    """How the last attempt failed; nothing else is repeated."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TransientError)
    return error


def _wait(state: tenacity.RetryCallState) -> float:
    error = _error(state)
    if error.retry_after is not None:
        return error.retry_after + _JITTER(state)
    return _PATIENT(state) if error.is_busy else _BACKOFF(state)


def _retried(state: tenacity.RetryCallState) -> Retried:
    return Retried(state.attempt_number, _pause(state), str(_error(state)))


def _pause(state: tenacity.RetryCallState) -> float:
    return state.next_action.sleep if state.next_action else 0.0


def _sentence(state: tenacity.RetryCallState) -> str:
    error = _error(state)
    count = f"{state.attempt_number}{'' if error.is_busy else f' of {ATTEMPTS}'} failed"
    return f"{error}; trying again in {_pause(state):.1f} s ({count})"
