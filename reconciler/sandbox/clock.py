"""The time of a sandbox. Rule: whoever waits here stops waiting when the sandbox stops."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

_TICK: Final = 0.005  # seconds; how long a step of a clock that is not the real one goes unnoticed


class SandboxClock:
    """A clock, real or set by a test, that can be waited for."""

    def __init__(self, read: Callable[[], float], stopping: asyncio.Event) -> None:
        self.now = read
        self._is_real = read is time.monotonic
        self._stopping = stopping

    async def reaches(self, moment: float) -> bool:
        """Wait for the moment; False if the sandbox stops before it."""
        while (left := moment - self.now()) > 0:
            try:
                async with asyncio.timeout(left if self._is_real else _TICK):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            return False
        return True
