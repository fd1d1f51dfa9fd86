"""The time of a sandbox, and the creates that are under way in it: arrived, but not yet done.

Rule: no effect depends on a timer, and whoever waits stops waiting when the sandbox stops.
An effect has its moment. All effects whose moment has come take place, in their order, before the
API is asked again, so that no client can tell when exactly they were carried out, and a test
may set the clock. The task that waits for an effect carries it out when there is no next request.
"""

import asyncio
import time
from bisect import insort
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

_TICK: Final = 0.005  # seconds; how long a step of a clock that is not the real one goes unnoticed


class SandboxClock:
    """A clock, real or set by a test, that can be waited for."""

    def __init__(self, read: Callable[[], float], stopping: asyncio.Event) -> None:
        self.now = read
        self._is_real = read is time.monotonic
        self._stopping = stopping

    async def reaches(self, moment: float) -> bool:
        """Waits for the moment; False if the sandbox stops before it."""
        while (left := moment - self.now()) > 0:
            try:
                async with asyncio.timeout(left if self._is_real else _TICK):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            return False
        return True


@dataclass(frozen=True, slots=True, order=True)
class _Effect:
    moment: float
    act: Callable[[float], int] = field(compare=False)
    outcome: Future[int] = field(compare=False, default_factory=Future)


class Backend:
    """The effects that are still to take place."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._waiting: list[_Effect] = []

    def settle(self) -> None:
        """Carries out every effect whose moment has come."""
        while self._waiting and self._waiting[0].moment <= self._clock.now():
            effect = self._waiting.pop(0)
            try:
                effect.outcome.set_result(effect.act(effect.moment))
            except Exception as error:  # noqa: BLE001 - for the task that waits for it
                effect.outcome.set_exception(error)

    async def done(self, moment: float, act: Callable[[float], int]) -> int | None:
        """What `act` returns, called with its moment when that has come; None if the sandbox stops.

        Then it will not take place.
        """
        effect = _Effect(moment, act)
        insort(self._waiting, effect)
        if not await self._clock.reaches(moment):
            return None
        self.settle()
        return effect.outcome.result()
