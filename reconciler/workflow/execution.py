"""How an apply proceeds, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.clock import Clock
    from reconciler.errors import StateError
    from reconciler.result import Outcome, Result
    from reconciler.stop import Stop


class Execution(NamedTuple):
    """How an apply proceeds.

    Attributes:
        stop: once set, nothing new is started and nothing is repeated.
        halted: why nothing new may start, for any other reason; empty while it may.
        progress: is told each outcome as it is known.
        clock: what time it is, and how to wait.
        grace: seconds after which a create without an answer that nothing is seen of made nothing.
        say: is told, in a sentence, what a person should know.
    """

    parallelism: int
    fail_fast: bool
    stop: Stop
    halted: Callable[[], str]
    progress: Callable[[Outcome], None]
    clock: Clock
    grace: float
    say: Callable[[str], None]


class Applied(NamedTuple):
    """What became of a plan, and of the state.

    Attributes:
        trouble: why the state could not be kept; None if it was.
        bound: the id of the monitor that each address is bound to by now.
    """

    result: Result
    trouble: StateError | None
    bound: dict[str, int]
