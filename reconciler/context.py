"""What a run is given: the time, a way to be stopped, and what an answer may take.

Rule: nothing else in the package asks the system for the time of a run, so that a test can give
two runs two clocks, and can let an hour pass in no time.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


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


SYSTEM = Clock(_now, _monotonic, _sleep)
"""This machine's clock."""


class Cancellation(threading.Event):
    """Set by a signal; and as good as set once there is another reason to send nothing more.

    Attributes:
        reason: why nothing more may be sent; empty while it may.
    """

    reason: Callable[[], str] = staticmethod(str)

    def is_set(self) -> bool:
        """Whether nothing more may be sent."""
        return super().is_set() or bool(self.reason())

    @property
    def by_signal(self) -> bool:
        """Whether a signal is the reason."""
        return super().is_set()


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
