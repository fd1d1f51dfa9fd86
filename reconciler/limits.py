"""What an answer of AlertSite may take, in seconds and in bytes."""

from __future__ import annotations

from typing import NamedTuple

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
