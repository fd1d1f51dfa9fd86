"""What SIGINT, SIGTERM and SIGHUP do to runs that may have sent something: they end in good order.

The first signal lets what is in flight finish and starts nothing new. Another one changes nothing
for some seconds: a pipeline that cancels a job sends two, and the report on what was done must
survive them. After that it closes all connections, so that the report does not wait for answers
either.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from math import inf
from typing import TYPE_CHECKING, Protocol

from reconciler.context import Cancellation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from reconciler.context import Clock


_PATIENCE = 10.0
"""Seconds after which another signal means that requests in flight are not waited for any more."""
_STOPPING = (
    b"\nStopping: requests in flight are finished, nothing new is started. "
    b"Another signal, in 10 s or later, closes their connections.\n"
)
_CUTTING = b"\nClosing all connections: what had no answer by now is unconfirmed.\n"


class Interruptible(Protocol):
    """What a person or the system may stop, such as a `Cancellation`."""

    def interrupt(self) -> None:
        """Starts nothing new from now on; may be called by a signal handler."""


class Stopping:
    """The connections that a signal stops, of one account or of several.

    Attributes:
        is_asked: whether a person or the system wanted it.
    """

    def __init__(self, clock: Clock) -> None:
        self.is_asked = False
        self._clock = clock
        self._began = inf
        self._connections: list[tuple[Interruptible, Callable[[], None]]] = []

    def add(self, cancellation: Interruptible, cut: Callable[[], None]) -> None:
        """Lets signals stop a connection too, and cut it; from any thread."""
        self._connections.append((cancellation, cut))
        if self.is_asked:
            cancellation.interrupt()

    @contextmanager
    def during(
        self, cancellation: Interruptible, cut: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """As `add`, while the body runs; what has no connection needs no `cut`."""
        self.add(cancellation, cut)
        try:
            yield
        finally:
            self._connections.remove((cancellation, cut))

    def wait(self, seconds: float) -> bool:
        """Waits so long, or until the process is asked to stop; returns whether it is."""
        pause = Cancellation(self._clock)
        with self.during(pause):
            return pause.wait(seconds)

    def listen(self) -> None:
        """Turns the signals, from here to the end, into a request to stop in good order.

        What is ignored, as after `nohup`, stays so.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def cut(self) -> None:
        """Stops at once: closes all connections."""
        self.is_asked = True
        for cancellation, cut in tuple(self._connections):
            cancellation.interrupt()
            cut()

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.is_asked:
            self.is_asked = True
            self._began = self._clock.monotonic()
            for cancellation, _ in tuple(self._connections):
                cancellation.interrupt()
            _write(_STOPPING)
        elif self._clock.monotonic() - self._began >= _PATIENCE:
            self._began = inf
            self.cut()
            _write(_CUTTING)


def _write(text: bytes) -> None:
    """Writes to stderr; not by `console`, in whose printing the signal may have come."""
    with suppress(OSError):  # the terminal may have gone, which may be why the signal came
        os.write(sys.stderr.fileno(), text)
