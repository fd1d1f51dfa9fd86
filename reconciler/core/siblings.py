"""What the accounts that log in with the same user describe: their monitors are not ours.

AlertSite has one account per login, but the settings may name several for it, so that teams keep
their manifests apart. Nothing in AlertSite tells which of them a monitor belongs to.

Rule: no I/O. What the manifests and states of the others say is read in `usecases/siblings.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.model import Live, Origin


class Claim(NamedTuple):
    """A manifest of another account with the same login.

    Attributes:
        is_unbound: whether it is known to be bound to no monitor: it names none, and the state of
            its account could be read.
    """

    account: str
    address: str
    origin: Origin
    is_unbound: bool = False

    def __str__(self) -> str:
        return f"{self.address} of the account {self.account} ({self.origin})"


class Claims(NamedTuple):
    """The manifests of the other accounts with the same login.

    Attributes:
        ids: by the monitor that a manifest, or the record of one, names.
        names: by kind and display name, those that are not known to be bound to a monitor.
        addresses: the same by address, their own and former ones.
        files: by the file that they stand in, without links in its path.
        unread: an account of which not all could be read, and why; empty if all was.
    """

    ids: Mapping[int, Claim] = {}
    names: Mapping[tuple[str, str], Claim] = {}
    addresses: Mapping[str, Claim] = {}
    files: Mapping[str, Claim] = {}
    unread: tuple[str, str] | tuple[()] = ()

    def leave(self, live: Iterable[Live]) -> tuple[Live, ...]:
        """Those of the monitors that none of them names."""
        return tuple(monitor for monitor in live if monitor.id not in self.ids)


NOBODY = Claims()
"""Where no other account has the same login."""
