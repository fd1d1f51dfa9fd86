"""Carries out changes, several at a time, and says what became of each.

Rule: it decides nothing. One failed change does not stop the others; a stop signal, a refused
login, an AlertSite that stays away or `fail_fast` lets what is in flight finish and starts nothing
new.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from reconciler.errors import (
    AlertSiteError,
    CredentialsError,
    ExitCode,
    NonsenseError,
    UnavailableError,
)
from reconciler.result import Outcome, Status

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from reconciler.plan import Change

_AWAY = (UnavailableError, NonsenseError)
PATIENCE = 10
"""How many changes in a row may find AlertSite unavailable, each after all its repetitions."""


def execute(
    changes: Sequence[Change],
    send: Callable[[Change], None],
    *,
    parallelism: int,
    fail_fast: bool,
    stop: threading.Event,
    progress: Callable[[Outcome], None],
) -> tuple[Outcome, ...]:
    """One outcome for each change, in the order of the changes.

    Args:
        changes: what to carry out.
        send: carries out one change; called from `parallelism` threads.
        parallelism: how many changes may be in flight at once.
        fail_fast: start nothing new after the first failure.
        stop: once set, no further change is started.
        progress: is told each outcome as it is known, in the calling thread.
    """
    halted = _Halt(stop)
    with ThreadPoolExecutor(parallelism) as pool:
        futures = [
            pool.submit(_carry_out, change, send, halted, fail_fast=fail_fast) for change in changes
        ]
        for future in as_completed(futures):
            progress(future.result())
    return tuple(future.result() for future in futures)


class _Halt:
    """Whether nothing new may start, and why."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._reason = ""
        self._unavailable = 0

    @property
    def reason(self) -> str:
        return self._reason or ("the run was interrupted" if self._stop.is_set() else "")

    def because(self, reason: str) -> None:
        self._reason = self._reason or reason

    def count(self, error: AlertSiteError | None) -> None:
        """Notes how a change went; threads may lose a count to each other, which does no harm."""
        self._unavailable = self._unavailable + 1 if isinstance(error, _AWAY) else 0
        if self._unavailable >= PATIENCE:
            self.because(f"AlertSite was unavailable for {PATIENCE} changes in a row")


def _carry_out(
    change: Change, send: Callable[[Change], None], halt: _Halt, *, fail_fast: bool
) -> Outcome:
    if reason := halt.reason:
        return Outcome(change, Status.NOT_STARTED, reason)
    try:
        send(change)
    except AlertSiteError as error:
        halt.count(error)
        if isinstance(error, CredentialsError):
            halt.because("AlertSite refuses the credentials")
        elif fail_fast:
            halt.because(f"{change.address} failed")
        status = Status.UNCONFIRMED if error.may_have_arrived else Status.FAILED
        reason = f"{str(error).rstrip('.')}. {error.hint}" if error.hint else str(error)
        return Outcome(change, status, reason, error.exit_code)
    except Exception as error:  # noqa: BLE001 - a bug must not cost the report on all the others
        message = f"unexpected failure: {type(error).__name__}: {error}"
        return Outcome(change, Status.UNCONFIRMED, message, ExitCode.BUG)
    halt.count(None)
    return Outcome(change, Status.DONE)
