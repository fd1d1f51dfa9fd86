"""The lease on the state: what it says and what may become of it.

Rule: no store and no clock in here; what time it is, is passed in. A lease is kept as one JSON
object with the names of its attributes; members that are not known are left out of account.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_TICK = timedelta(milliseconds=1)


class Lease(NamedTuple):
    """Who holds the lock, and until when.

    Attributes:
        id: of the run that holds it.
        holder: the person or account that started the run.
        host: where it runs.
        operation: what it does, such as `apply`.
        acquired_at: RFC 3339 UTC, whole seconds.
        expires_at: RFC 3339 UTC, milliseconds; it only ever grows, and with each renewal.
        process: see `process.identity`; empty if unknown.
        length: seconds that it lives without being renewed.
    """

    id: str
    holder: str
    host: str
    operation: str
    acquired_at: str
    expires_at: str
    process: str
    length: float

    def __str__(self) -> str:
        return f"run {self.id} ({self.holder} on {self.host}, since {self.acquired_at})"

    def encoded(self) -> bytes:
        """What is kept in the store."""
        return json.dumps(self._asdict(), indent=2).encode() + b"\n"

    def renewed(self, now: datetime) -> Lease:
        """The lease as it is to be kept from now on.

        It never ends earlier than before, whatever the clock says, and is never the same: whoever
        waits for it takes one that does not change as abandoned.
        """
        end = max(now + timedelta(seconds=self.length), _time(self.expires_at) + _TICK)
        return self._replace(expires_at=_written(end, "milliseconds"))

    def has_expired(self, now: datetime) -> bool:
        """Whether its time is over by that clock."""
        return _time(self.expires_at) < now

    def left(self, now: datetime) -> float:
        """Seconds until it expires by that clock."""
        return (_time(self.expires_at) - now).total_seconds()


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
        acquired_at=_written(now, "seconds"),
        expires_at=_written(now + timedelta(seconds=length), "milliseconds"),
        process=claim.process,
        length=length,
    )


def decoded(data: bytes) -> Lease | None:
    """The lease that is kept as these bytes; None if they are none."""
    try:
        found = json.loads(data)
        lease = Lease(**{name: found[name] for name in Lease._fields})
        texts = (found[name] for name in Lease._fields[:-1])
        is_sound = (
            all(isinstance(text, str) and text.isprintable() for text in texts)
            and 0 < lease.length < math.inf
            and None not in {_time(lease.acquired_at).tzinfo, _time(lease.expires_at).tzinfo}
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return lease if is_sound and lease.id else None


def _plain(text: str) -> str:
    """Text that is safe to print; what is not would make the lease unreadable to others."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _written(moment: datetime, precision: str) -> str:
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
