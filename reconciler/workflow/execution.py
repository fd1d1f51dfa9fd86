"""How an apply proceeds, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.errors import StateError
    from reconciler.result import Outcome, Result


class Stop(Protocol):
    """An event that is set when nothing more may be sent."""

    def wait(self, timeout: float) -> bool:
        """Waits until it is set, or for so many seconds."""

    @property
    def by_signal(self) -> bool:
        """Whether a signal has set it."""


class Execution(NamedTuple):
    """How an apply proceeds.

    Attributes:
        stop: once set, nothing new is started and nothing is repeated.
        halted: why nothing new may start, for any other reason; empty while it may.
        progress: is told each outcome as it is known.
        settle: seconds to wait before each further look, when AlertSite does not show what it
            accepted; whether it shows it at once is not documented.
    """

    parallelism: int
    fail_fast: bool
    stop: Stop
    halted: Callable[[], str]
    progress: Callable[[Outcome], None]
    settle: tuple[float, ...]


class Applied(NamedTuple):
    """What became of a plan, and of the state.

    Attributes:
        trouble: why the state could not be kept; None if it was.
        bound: the id of the monitor that each address is bound to by now.
    """

    result: Result
    trouble: StateError | None
    bound: dict[str, int]
