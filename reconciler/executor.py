"""Carries out changes, several at a time, and says what became of each.

Rule: it decides nothing and records nothing: outcomes are handed over in batches, in the calling
thread, which so is the only writer of journal and state. A change starts only while at most
`_AHEAD` times the parallelism of others have an outcome that was not handed over yet: so a journal
that cannot be written any more stops the sending, however fast the answers come. One failed change
does not stop the others; a reason to halt, a refused login, an AlertSite that stays away or
`fail_fast` lets what is in flight finish and starts nothing new.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Semaphore
from typing import TYPE_CHECKING

from reconciler.errors import (
    AlertSiteError,
    CredentialsError,
    ExitCode,
    NonsenseError,
    UnavailableError,
)
from reconciler.plan import Action
from reconciler.result import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.plan import Change

_AHEAD = 2
PATIENCE = 10
"""How many changes in a row may find AlertSite away."""


def execute(
    changes: Sequence[Change],
    send: Callable[[Change], int | None],
    *,
    parallelism: int,
    fail_fast: bool,
    halted: Callable[[], str],
    note: Callable[[Sequence[Outcome]], None],
) -> tuple[Outcome, ...]:
    """One outcome for each change, in the order of the changes.

    Args:
        changes: what to carry out.
        send: carries out one change and returns the id of a new monitor; called from
            `parallelism` threads.
        parallelism: how many changes may be in flight at once.
        fail_fast: start nothing new after the first failure.
        halted: why nothing new may start; empty while it may.
        note: is told the outcomes as they are known, all that there are at the time.
    """
    halt = _Halt(halted)
    known: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
    outcomes: dict[int, Outcome] = {}

    ahead = Semaphore(_AHEAD * parallelism)

    def carry_out(index: int, change: Change) -> None:
        ahead.acquire()
        known.put((index, _carry_out(change, send, halt, fail_fast=fail_fast)))

    with ThreadPoolExecutor(parallelism) as pool:
        for index, change in enumerate(changes):
            pool.submit(carry_out, index, change)
        while len(outcomes) < len(changes):
            batch = _batch(known)
            outcomes.update(batch)
            try:
                note([outcome for _, outcome in batch])
            except BaseException:
                halt.because("what was done could not be written down")
                ahead.release(len(changes))
                raise
            ahead.release(len(batch))
    return tuple(outcomes[index] for index in range(len(changes)))


def _batch(known: SimpleQueue[tuple[int, Outcome]]) -> list[tuple[int, Outcome]]:
    """At least one outcome, and all others that are there."""
    batch = [known.get()]
    while True:
        try:
            batch.append(known.get_nowait())
        except Empty:
            return batch


class _Halt:
    """Whether nothing new may start, and why."""

    def __init__(self, halted: Callable[[], str]) -> None:
        self._halted = halted
        self._reason = ""
        self._unavailable = 0

    @property
    def reason(self) -> str:
        return self._reason or self._halted()

    def because(self, reason: str) -> None:
        self._reason = self._reason or reason

    def count(self, error: AlertSiteError | None) -> None:
        """Notes how a change went; threads may lose a count to each other, which does no harm."""
        is_away = isinstance(error, NonsenseError)
        if isinstance(error, UnavailableError):
            is_away = error.is_away
        self._unavailable = self._unavailable + 1 if is_away else 0
        if self._unavailable >= PATIENCE:
            self.because(f"AlertSite was unavailable for {PATIENCE} changes in a row")


def _carry_out(
    change: Change, send: Callable[[Change], int | None], halt: _Halt, *, fail_fast: bool
) -> Outcome:
    if reason := halt.reason:
        return Outcome(change, Status.NOT_STARTED, reason)
    try:
        created = send(change)
    except AlertSiteError as error:
        halt.count(error)
        if isinstance(error, CredentialsError):
            halt.because("AlertSite refuses the credentials")
        elif fail_fast:
            halt.because(f"{change.address} failed")
        status = Status.UNCONFIRMED if error.may_have_arrived else Status.FAILED
        reason = f"{str(error).rstrip('.')}. {error.hint}" if error.hint else str(error)
        is_create = change.action is Action.CREATE
        may_repeat = is_create and isinstance(error, UnavailableError | NonsenseError)
        return Outcome(change, status, reason, error.exit_code, may_repeat=may_repeat)
    except Exception as error:  # noqa: BLE001 - a bug must not cost the report on all the others
        message = f"unexpected failure: {type(error).__name__}: {error}"
        return Outcome(change, Status.UNCONFIRMED, message, ExitCode.BUG)
    halt.count(None)
    return Outcome(change, Status.DONE, created=created)
