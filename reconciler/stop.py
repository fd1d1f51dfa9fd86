"""Why a run sends nothing more."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Stop(threading.Event):
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
