"""How each monitor of an account stands to Git.

Rule: pure; one walk for all that lists or counts monitors. Every email monitor is in it at most
once, and every manifest exactly once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.decisions import orphaned
from reconciler.core.inventory import number_of
from reconciler.core.model import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.inventory import Inventory
    from reconciler.core.model import JSON, Desired, Live, Origin
    from reconciler.core.state import Record


class Standing(StrEnum):
    """How a monitor stands to Git."""

    MANAGED = "managed"
    UNMANAGED = "unmanaged"
    ORPHANED = "orphaned"
    MISSING = "missing"


class Listed(NamedTuple):
    """One monitor, and all that is known of it.

    Attributes:
        address: None if it is not managed and has no record.
        id: None if it is still to be created.
        live: None if AlertSite does not have it.
        fields: in a list, what AlertSite has, or else the state, or else the manifest; without
            secrets.
        is_offline: AlertSite was not asked; the state stands for it.
    """

    standing: Standing
    address: str | None
    id: int | None
    kind: Kind
    live: Live | None
    manifest: Desired | None = None
    record: Record | None = None
    fields: Mapping[str, JSON] = {}
    is_offline: bool = False

    @property
    def is_live(self) -> bool | None:
        """Whether AlertSite has it; None if AlertSite was not asked."""
        return None if self.is_offline else self.live is not None

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of its manifest."""
        return self.manifest.labels if self.manifest else {}

    @property
    def origin(self) -> Origin | None:
        """Where its manifest stands."""
        return self.manifest.origin if self.manifest else None

    @property
    def applied_at(self) -> str:
        """When it was last applied; empty if that is not known."""
        return self.record.applied_at if self.record else ""

    @property
    def run(self) -> str:
        """The run that has last applied it; empty if that is not known."""
        return self.record.run if self.record else ""


def standings(inventory: Inventory, kinds: Mapping[str, Kind]) -> Iterator[Listed]:
    """The manifests with their monitors, then the orphans, then what nobody manages, by id."""
    for manifest in inventory.desired:
        address = manifest.address
        record = inventory.records.get(address)
        number = number_of(manifest, record)
        is_its = number is not None and inventory.claimed.get(number) == address
        live = inventory.by_id.get(number) if number is not None and is_its else None
        standing = Standing.MISSING if live is None else Standing.MANAGED
        yield Listed(standing, address, number, manifest.kind, live, manifest, record)
    orphans = {record.id: address for address, record in orphaned(inventory).items()}
    for number, address in orphans.items():
        kind, live, record = (
            kind_of(address, kinds),
            inventory.by_id[number],
            inventory.records[address],
        )
        yield Listed(Standing.ORPHANED, address, number, kind, live, record=record)
    for live in inventory.by_id.values():
        if live.id not in inventory.bound and live.type in {*kinds, None}:
            kind = kind_of(live.type or "", kinds)
            yield Listed(Standing.UNMANAGED, None, live.id, kind, live)
