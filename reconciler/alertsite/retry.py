"""When and how often a request is repeated: exponential waits with jitter, within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import tenacity

from reconciler.alertsite.responses import TransientError
from reconciler.core.events import Retried

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.context import Cancellation, Reporter


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
    cancellation: Cancellation,
    reporter: Reporter,
) -> _T:
    """What `once` returns at last, after a first attempt that failed.

    Args:
        once: one more attempt.
        first: how the first attempt failed.
        cancellation: what ends repetitions, and the waits before them.
        reporter: is told of every repetition.

    Raises:
        TransientError: of the last attempt.
    """
    last, is_first = first, True

    def attempt() -> _T:
        nonlocal last, is_first
        if is_first or cancellation.reason:
            is_first = False
            raise last
        try:
            return once()
        except TransientError as error:
            last = error
            raise

    def sleep(seconds: float) -> None:
        cancellation.wait(seconds)

    def before(state: tenacity.RetryCallState) -> None:
        reporter.say(_sentence(state))
        reporter.tell(_retried(state))

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_any(
            _Stop(cancellation),
            tenacity.stop_before_delay(BUDGET),
        ),
        wait=_wait,
        sleep=sleep,
        before_sleep=before,
        reraise=True,
    )(attempt)


class _Stop(tenacity.stop.stop_base):
    """Ends after so many attempts; a server that is only busy is given the whole budget."""

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        is_last = retry_state.attempt_number >= ATTEMPTS and not _error(retry_state).is_busy
        return is_last or bool(self._cancellation.reason)


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
    count = f"attempt {state.attempt_number}{'' if error.is_busy else f' of {ATTEMPTS}'} failed"
    return f"{error}; trying again in {_pause(state):.1f} s ({count})"
