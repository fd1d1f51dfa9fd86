"""How many requests per second an account is asked.

A token bucket that holds a second's worth of requests: a short run is not slowed down, a long one
keeps to the rate. Each request takes its token at once, also one that is not there yet, and is told
how long to wait for it; so requests go out in the order in which they came, and nobody waits with
the lock held.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.context import Clock


class Bucket:
    """Tokens for requests; several threads may take them.

    Args:
        rate: tokens per second.
        clock: what time it is.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._size = self._tokens = max(1.0, rate)
        self._clock = clock
        self._at = clock.monotonic()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Takes one token; returns the seconds until it is there."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._size, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= 1
            return max(0.0, -self._tokens / self._rate)
