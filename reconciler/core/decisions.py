"""Which situation a manifest is in, and the decision that follows: one table.

Rule: no I/O, clock or environment; what the table says is carried out by `decide`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.core.model import folded, match_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import Desired, Live
    from reconciler.core.state import Record


class ManifestState(StrEnum):
    """What a manifest says about the monitor it means."""

    NO_MANIFEST = "no manifest"
    NO_ID = "manifest without id"
    ID = "manifest with id"


class RecordState(StrEnum):
    """What the state says about it."""

    NOTHING = "no record"
    RECORD = "record"
    OTHERWISE = "record that contradicts"


class LiveState(StrEnum):
    """What AlertSite has: the bound monitor, or else free ones of the same kind and name."""

    NOTHING = "nothing"
    MONITOR = "the monitor"
    OTHER_KIND = "a monitor of another kind"
    ONE_ALIKE = "one alike"
    SEVERAL_ALIKE = "several alike"


class Decision(StrEnum):
    """What follows; what begins with `refuse` is a refusal."""

    COMPARE = "unchanged, or update"
    CREATE = "create"
    CREATE_AGAIN = "create again"
    ORPHAN = "orphan"
    FORGET = "forget the record"
    NOT_OURS = "refuse not-ours"
    AMBIGUOUS = "refuse ambiguous"
    NO_SUCH_ID = "refuse no-such-id"
    DELETED = "refuse deleted"
    OTHER_KIND = "refuse other-kind"
    TWO_BINDINGS = "refuse two-bindings"
    SAME_NAME = "refuse same-name"
    UNCERTAIN = "refuse uncertain"
    PERHAPS_OURS = "refuse perhaps-ours"


TABLE: dict[tuple[ManifestState, RecordState, LiveState], Decision] = {
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.MONITOR): Decision.COMPARE,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.NOTHING): Decision.CREATE_AGAIN,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.ONE_ALIKE): Decision.NOT_OURS,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.SEVERAL_ALIKE): Decision.AMBIGUOUS,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.OTHER_KIND): Decision.OTHER_KIND,
    (ManifestState.NO_ID, RecordState.NOTHING, LiveState.NOTHING): Decision.CREATE,
    (ManifestState.NO_ID, RecordState.NOTHING, LiveState.ONE_ALIKE): Decision.NOT_OURS,
    (ManifestState.NO_ID, RecordState.NOTHING, LiveState.SEVERAL_ALIKE): Decision.AMBIGUOUS,
    (ManifestState.NO_ID, RecordState.OTHERWISE, LiveState.MONITOR): Decision.TWO_BINDINGS,
    (ManifestState.NO_ID, RecordState.OTHERWISE, LiveState.NOTHING): Decision.TWO_BINDINGS,
    (ManifestState.NO_ID, RecordState.OTHERWISE, LiveState.OTHER_KIND): Decision.TWO_BINDINGS,
    (ManifestState.ID, RecordState.NOTHING, LiveState.MONITOR): Decision.COMPARE,
    (ManifestState.ID, RecordState.NOTHING, LiveState.NOTHING): Decision.NO_SUCH_ID,
    (ManifestState.ID, RecordState.NOTHING, LiveState.OTHER_KIND): Decision.OTHER_KIND,
    (ManifestState.ID, RecordState.RECORD, LiveState.MONITOR): Decision.COMPARE,
    (ManifestState.ID, RecordState.RECORD, LiveState.NOTHING): Decision.DELETED,
    (ManifestState.ID, RecordState.RECORD, LiveState.OTHER_KIND): Decision.OTHER_KIND,
    (ManifestState.ID, RecordState.OTHERWISE, LiveState.MONITOR): Decision.TWO_BINDINGS,
    (ManifestState.ID, RecordState.OTHERWISE, LiveState.NOTHING): Decision.TWO_BINDINGS,
    (ManifestState.ID, RecordState.OTHERWISE, LiveState.OTHER_KIND): Decision.TWO_BINDINGS,
    (ManifestState.NO_MANIFEST, RecordState.RECORD, LiveState.MONITOR): Decision.ORPHAN,
    (ManifestState.NO_MANIFEST, RecordState.RECORD, LiveState.OTHER_KIND): Decision.FORGET,
    (ManifestState.NO_MANIFEST, RecordState.RECORD, LiveState.NOTHING): Decision.FORGET,
    (ManifestState.NO_MANIFEST, RecordState.OTHERWISE, LiveState.MONITOR): Decision.FORGET,
    (ManifestState.NO_MANIFEST, RecordState.OTHERWISE, LiveState.OTHER_KIND): Decision.FORGET,
    (ManifestState.NO_MANIFEST, RecordState.OTHERWISE, LiveState.NOTHING): Decision.FORGET,
}
"""Every situation that can be; a live monitor without manifest and record is not ours: counted."""


class Inventory:
    """Manifests, records and live monitors, as each situation needs to look them up.

    Attributes:
        secrets: by monitor, the fields that hold or held a secret, whichever address says so.
        claimed: which address each id is bound to; a manifest's word counts more than a record.
        alike: the ids of free live monitors, by kind and name; only those that a manifest wants.
        twins: the addresses of the manifests that are bound to nothing, by kind and name.
        renamed: the former address of each manifest that takes over its record.
        uncertain: by address, monitors any of which a pending create may have made.
    """

    def __init__(
        self,
        desired: Iterable[Desired],
        records: Mapping[str, Record],
        live: Iterable[Live],
        uncertain: Mapping[str, tuple[int, ...]] = {},
    ) -> None:
        self.uncertain = uncertain
        self.desired = tuple(desired)
        self.renamed = _renamed(self.desired, records)
        self.records = _moved(records, self.renamed)
        self.by_id = {monitor.id: monitor for monitor in live}
        self.secrets = _secrets(self.records.values())
        self.claimed = {item.id: item.address for item in self.desired if item.id is not None}
        loose = sorted(
            (item for item in self.desired if item.id is None), key=lambda item: item.address
        )
        self.twins: dict[tuple[str, str], list[str]] = {}
        for manifest in loose:
            record = self.records.get(manifest.address)
            if record is not None:
                self.claimed.setdefault(record.id, manifest.address)
            if record is None or record.id not in self.by_id:
                self.twins.setdefault(match_key_of(manifest), []).append(manifest.address)
        self.alike = self._alike() if self.twins else {}

    @property
    def bound(self) -> set[int]:
        """The ids of all monitors that a manifest or a record is bound to."""
        return {*self.claimed, *(record.id for record in self.records.values())}

    def _alike(self) -> dict[tuple[str, str], list[int]]:
        taken = self.bound
        alike: dict[tuple[str, str], list[int]] = {}
        wanted: dict[str, list[tuple[str, str]]] = {}
        for key in self.twins:
            wanted.setdefault(key[1], []).append(key)
        for monitor in self.by_id.values():
            if monitor.id not in taken:
                for key in wanted.get(folded(monitor.fields.get("name")), ()):
                    if monitor.type in {key[0], None}:
                        alike.setdefault(key, []).append(monitor.id)
        return {key: sorted(ids) for key, ids in alike.items()}

    def duplicates(self) -> Iterator[tuple[str, int, int]]:
        """Address and id of a monitor of ours, and the id of a free one of its kind and name.

        Somebody else may have made them by hand, or with a state of their own.
        """
        taken = self.bound
        free: dict[str, list[Live]] = {}
        for monitor in self.by_id.values():
            if monitor.id not in taken:
                free.setdefault(folded(monitor.fields.get("name")), []).append(monitor)
        for number, address in self.claimed.items() if free else ():
            kind, ours = address.partition("/")[0], self.by_id.get(number)
            if ours is not None and ours.type in {kind, None}:
                same = free.get(folded(ours.fields.get("name")), ())
                yield from (
                    (address, number, other.id) for other in same if other.type in {kind, None}
                )


def _secrets(records: Iterable[Record]) -> dict[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}
    for record in records:
        if record.secrets:
            found[record.id] = found.get(record.id, frozenset()).union(record.secrets)
    return found


def _renamed(desired: Sequence[Desired], records: Mapping[str, Record]) -> dict[str, str]:
    """By address, the former address whose record a manifest takes over.

    All renames are one permutation of the records. A manifest claims the first of its former names
    that has a record. Its claim holds if nobody stays at that name, and if its own record, should
    it have one, goes to another claim that holds: so chains and swaps move as a whole, and a
    `previously` that was left behind moves nothing. What a claim has moved once, the record
    remembers (`Record.previously`), as it does of names that led nowhere: so the next run does not
    undo a swap, and two new manifests that list each other's names exchange nothing.
    """
    claims: dict[str, str] = {}
    wanted: set[str] = set()
    for manifest in sorted((item for item in desired if item.previously), key=lambda i: i.address):
        own = records.get(manifest.address)
        settled = own.previously if own is not None else ()
        former = [
            f"{manifest.kind.name}/{name}" for name in manifest.previously if name not in settled
        ]
        address = next((item for item in former if item in records), None)
        if address is not None and address not in wanted:
            claims[manifest.address] = address
            wanted.add(address)
    described = {item.address for item in desired}
    while True:
        taken = set(claims.values())
        broken = [
            address
            for address, former in claims.items()
            if (former in described and former not in claims)
            or (address in records and address not in taken)
        ]
        if not broken:
            return claims
        for address in broken:
            del claims[address]


def _moved(records: Mapping[str, Record], renamed: Mapping[str, str]) -> Mapping[str, Record]:
    if not renamed:
        return records
    former = set(renamed.values())
    kept = {address: record for address, record in records.items() if address not in former}
    return kept | {address: records[old] for address, old in renamed.items()}


def number_of(manifest: Desired, record: Record | None) -> int | None:
    """The monitor that a manifest is bound to, by itself or else by its record."""
    if manifest.id is not None:
        return manifest.id
    return None if record is None else record.id


def match_key_of(desired: Desired) -> tuple[str, str]:
    """What a monitor that is not bound yet is recognised by: its kind and display name."""
    return match_key(desired.kind.name, desired.fields.get("name"))


def without_manifest(
    address: str, record: Record, view: Inventory
) -> tuple[ManifestState, RecordState, LiveState]:
    """The row of `TABLE` that a record stands in whose address no manifest has."""
    live = view.by_id.get(record.id)
    knows = RecordState.OTHERWISE if record.id in view.claimed else RecordState.RECORD
    if live is None:
        return ManifestState.NO_MANIFEST, knows, LiveState.NOTHING
    same = live.type in {address.partition("/")[0], None}
    return ManifestState.NO_MANIFEST, knows, LiveState.MONITOR if same else LiveState.OTHER_KIND


def situation(manifest: Desired, view: Inventory) -> tuple[ManifestState, RecordState, LiveState]:
    """The row of `TABLE` that a manifest stands in."""
    record = view.records.get(manifest.address)
    names = ManifestState.NO_ID if manifest.id is None else ManifestState.ID
    if record is None:
        knows = RecordState.NOTHING
    elif manifest.id is None:
        is_ours = view.claimed[record.id] == manifest.address
        knows = RecordState.RECORD if is_ours else RecordState.OTHERWISE
    else:
        knows = RecordState.RECORD if record.id == manifest.id else RecordState.OTHERWISE
    number = number_of(manifest, record)
    live = None if number is None else view.by_id.get(number)
    if live is not None:
        same = live.type in {manifest.kind.name, None}
        return names, knows, LiveState.MONITOR if same else LiveState.OTHER_KIND
    if names is ManifestState.ID or knows is RecordState.OTHERWISE:
        return names, knows, LiveState.NOTHING
    sees = (LiveState.NOTHING, LiveState.ONE_ALIKE, LiveState.SEVERAL_ALIKE)
    return names, knows, sees[min(2, len(view.alike.get(match_key_of(manifest), ())))]
