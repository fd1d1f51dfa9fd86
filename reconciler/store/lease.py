"""The lease on the state: what it says and what may become of it.

Rule: no store and no clock in here, and no moment at which a lease ends: the clocks of two machines
differ, so a lease has a length, and whoever wants it measures that by a clock of their own. It is
kept as one JSON object with the names of its attributes; members that are not known are ignored.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import NamedTuple

from reconciler import json_text
from reconciler.clock import written


class Lease(NamedTuple):
    """Who holds the lock, and for how long without a renewal.

    Attributes:
        id: of the run that holds it.
        holder: the person or account that started the run.
        host: where it runs.
        operation: what it does, such as `apply`.
        acquired_at: RFC 3339 UTC, whole seconds, by the holder's clock; only to be shown.
        process: see `process.identity`; empty if unknown.
        length: seconds that it lives without being renewed.
        renewals: how often it was renewed.
    """

    id: str
    holder: str
    host: str
    operation: str
    acquired_at: str
    process: str
    length: float
    renewals: int = 0

    def __str__(self) -> str:
        return f"run {self.id} ({self.holder} on {self.host}, since {self.acquired_at})"

    def encoded(self) -> bytes:
        """What is kept in the store."""
        return json.dumps(self._asdict(), indent=2).encode() + b"\n"

    def renewed(self) -> Lease:
        """The lease as it is to be kept from now on.

        It is never the same as before: whoever waits takes one that does not change as abandoned.
        """
        return self._replace(renewals=self.renewals + 1)


class Claim(NamedTuple):
    """Who wants the lock; as in `Lease`, whose id is the run."""

    run: str
    holder: str
    host: str
    operation: str
    process: str


def new(claim: Claim, *, now: datetime, length: float) -> Lease:
    """A lease from now on."""
    return Lease(
        id=_plain(claim.run),
        holder=_plain(claim.holder),
        host=_plain(claim.host),
        operation=_plain(claim.operation),
        acquired_at=written(now.astimezone(UTC)),
        process=claim.process,
        length=length,
    )


def decoded(data: bytes) -> Lease | None:
    """The lease that is kept as these bytes; None if they are none."""
    try:
        found = json_text.read(data)
        known = found.keys() & set(Lease._fields)
        lease = Lease(**{name: found[name] for name in known})
        texts: tuple[object, ...] = (
            *(lease.id, lease.holder, lease.host),
            *(lease.operation, lease.acquired_at, lease.process),
        )
        is_sound = (
            all(isinstance(text, str) and text.isprintable() for text in texts)
            and 0 < lease.length < math.inf
            and type(lease.renewals) is int
            and datetime.fromisoformat(lease.acquired_at).tzinfo is not None
        )
    except (ValueError, TypeError, AttributeError):
        return None
    return lease if is_sound and lease.id else None


def _plain(text: str) -> str:
    """Text that is safe to print; what is not would make the lease unreadable to others."""
    return "".join(char if char.isprintable() else "?" for char in text)
