"""What a run is given: the time, a way to be stopped, whom to tell, and what an answer may take.

Rule: nothing else in the package asks the system for the time of a run, so that a test can give
two runs two clocks, and can let an hour pass in no time.
"""

from __future__ import annotations

import threading
import time
from _thread import start_new_thread  # `threading.Thread` takes locks of its own
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from reconciler.core.events import Tell
    from reconciler.core.result import Outcome


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux has it; `time.monotonic` stands still there while the machine is suspended (time(7))."""


class Clock(NamedTuple):
    """What time it is, and how to wait.

    Attributes:
        now: the time of day, aware, UTC; it may jump, and differs from that of other machines.
        monotonic: seconds that only ever grow, also while the machine is suspended where the system
            tells: a run on a laptop that slept must know that its lock may be another's.
        sleep: waits for so many seconds, or until the event is set if there is one.
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float, threading.Event | None], None]


def _now() -> datetime:
    from datetime import UTC, datetime  # 2 ms that `--version` saves

    return datetime.now(UTC)


def _monotonic() -> float:
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def _sleep(seconds: float, stop: threading.Event | None) -> None:
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)


def written(moment: datetime) -> str:
    """A time of day in UTC as RFC 3339 writes it, in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(moment: str, now: datetime) -> int | None:
    """How long ago a time of day was that RFC 3339 writes; None if it is none."""
    from datetime import datetime  # 2 ms that `--version` saves

    try:
        return int((now - datetime.fromisoformat(moment)).total_seconds())
    except (TypeError, ValueError):  # a text without a time, or without an offset
        return None


SYSTEM = Clock(_now, _monotonic, _sleep)
"""This machine's clock."""


_COMPUTING = threading.Lock()


class _Thread(threading.local):
    computes = False


_HERE = _Thread()


@contextmanager
def computing() -> Iterator[None]:
    """One thread at a time is in such a body, except for what it does in `waiting`.

    Python runs one thread at a time anyway. But threads that all have something to compute take it
    from each other at every system call, which costs a tenth of the time of many accounts. A body
    within a body of the same thread is part of it.
    """
    if _HERE.computes:
        yield
        return
    _COMPUTING.acquire()
    _HERE.computes = True
    try:
        yield
    finally:
        if _HERE.computes:  # or a wait was interrupted before it was this thread's turn again
            _HERE.computes = False
            _COMPUTING.release()


@contextmanager
def waiting() -> Iterator[None]:
    """Lets others compute while this thread waits for something outside of it.

    Rule: whoever waits here has no lock that another account may want in `computing`.
    """
    if not _HERE.computes:
        yield
        return
    _HERE.computes = False
    _COMPUTING.release()
    try:
        yield
    finally:
        _COMPUTING.acquire()
        _HERE.computes = True


class RejectedLogins:
    """Logins that a server has rejected. It counts them, whichever account asks, and whenever.

    One that is rejected is for ever: other words are another login.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[int, threading.Lock] = {}
        self._errors: dict[int, CredentialsError] = {}

    @contextmanager
    def turn(self, *login: str) -> Iterator[None]:
        """Lets one thread at a time try a login: where, who and with what.

        Raises:
            CredentialsError: what it was rejected with before.
        """
        key = hash(login)  # which keeps no password
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with waiting():
            turn.acquire()
        try:
            if error := self._errors.get(key):
                raise type(error)(str(error), error.hint)
            yield
        except CredentialsError as error:
            self._errors[key] = error
            raise
        finally:
            turn.release()


class Cancellation:
    """Why a run, or a part of it, starts nothing new.

    Whoever learns of a reason cancels, from whichever thread; the first reason stays. All waits end
    then, those between repetitions too. What is in flight finishes.

    A right that lapses is a reason as well, whether somebody has noticed or not: after a process
    was stopped for a while, any of its threads may go on first. So it is looked up each time.

    Args:
        clock: how to wait.
        whole: what this is a part of. The whole cancels its parts; a part leaves the whole alone.

    Attributes:
        is_interrupted: a person or the system wanted it, whatever other reason came first.
    """

    def __init__(self, clock: Clock, whole: Cancellation | None = None) -> None:
        self.is_interrupted = False
        self._clock = clock
        self._whole = whole
        self._reason = ""
        self._ends, self._lapsed = inf, ""
        self._event = threading.Event()

    @property
    def reason(self) -> str:
        """Why nothing new may start; empty while it may."""
        if self._clock.monotonic() >= self._ends:
            self.cancel(self._lapsed)
        return self._reason or (self._whole.reason if self._whole else "")

    def cancel(self, reason: str) -> None:
        """Says that nothing new may start from now on, and why."""
        self._reason = self._reason or reason
        self._event.set()

    def interrupt(self) -> None:
        """Cancels for a person or the system; may be called by a signal handler.

        A handler runs in the midst of whatever the main thread does. If that is beginning or
        ending a wait, it holds the lock of the event, so another thread has to set it.
        """
        self.is_interrupted = True
        self._reason = self._reason or "the run was interrupted"
        start_new_thread(self._event.set, ())

    def lapse_at(self, moment: float, reason: str) -> None:
        """Lets it be cancelled from a moment on, by the monotonic clock; a later call moves it."""
        self._lapsed = reason
        self._ends = moment

    def wait(self, seconds: float) -> bool:
        """Waits, at most until it is cancelled; whether it is. A part waits as the whole does."""
        if self._whole is not None:
            self._whole.wait(seconds)
        elif not self.reason:
            with waiting():
                self._clock.sleep(seconds, self._event)
        return bool(self.reason)

    def part(self) -> Cancellation:
        """That of a part, which may have reasons of its own to start nothing new."""
        return Cancellation(self._clock, self)


class Reporter(NamedTuple):
    """Whom a run tells how it gets on.

    Attributes:
        say: is told, in a sentence, what a person should know; from any thread.
        progress: is told each outcome as it is known, for people.
        tell: is told what happens, for machines; from any thread.
    """

    say: Callable[[str], None]
    progress: Callable[[Outcome], None] = lambda _: None
    tell: Tell = lambda _: None


MIB = 2**20


class Limits(NamedTuple):
    """What an answer may take.

    Attributes:
        timeout: seconds without a single byte; and seconds for the whole answer to a create, since
            the grace of a create counts on it.
        deadline: seconds for the whole of any other request, however steadily its answer comes.
        size: bytes of a list of monitors, unpacked, with all its pages. Any other answer is short.
    """

    timeout: float = 30.0
    deadline: float = 120.0
    size: int = 128 * MIB


USUAL = Limits()
