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
_SPENT = tenacity.stop_before_delay(BUDGET)
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

    def is_over(state: tenacity.RetryCallState) -> bool:
        # A server that is only busy is given the whole budget.
        is_last = state.attempt_number >= ATTEMPTS and not last.is_busy
        return is_last or bool(cancellation.reason) or _SPENT(state)

    def pause(state: tenacity.RetryCallState) -> float:
        if last.retry_after is not None:
            return last.retry_after + _JITTER(state)
        return _PATIENT(state) if last.is_busy else _BACKOFF(state)

    def tell(state: tenacity.RetryCallState) -> None:
        number, seconds = state.attempt_number, state.upcoming_sleep
        count = f"attempt {number}{'' if last.is_busy else f' of {ATTEMPTS}'} failed"
        reporter.say(f"{last}; trying again in {seconds:.1f} s ({count})")
        reporter.tell(Retried(number, seconds, str(last)))

    def sleep(seconds: float) -> None:
        cancellation.wait(seconds)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=is_over,
        wait=pause,
        sleep=sleep,
        before_sleep=tell,
        reraise=True,
    )(attempt)
