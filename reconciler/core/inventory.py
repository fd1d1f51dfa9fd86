"""Manifests, records and live monitors of one plan, joined by address and by id.

Rule: no I/O, clock or environment; every index is built here, once.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import Unmanaged, folded, match_key
from reconciler.core.pending import all_caught_up
from reconciler.core.siblings import NOBODY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import Desired, Kind, Live
    from reconciler.core.siblings import Claim, Claims
    from reconciler.core.state import Record


class Uncertain(NamedTuple):
    """A pending create that may have made any of several monitors.

    Attributes:
        ids: of the monitors.
        recorded: the address under which the state has it: a former one, before a rename is saved.
    """

    ids: tuple[int, ...]
    recorded: str


class Inventory:
    """Manifests, records and live monitors, as each situation needs to look them up.

    Attributes:
        by_address: the manifests.
        by_id: the live monitors.
        kinds: by name, those that manifests can have.
        secrets: by monitor, the fields that hold or held a secret, whichever address says so.
        claimed: which address each id is bound to; a manifest's word counts more than a record.
        bound: the ids of all monitors that a manifest or a record is bound to.
        unbound: by match key, the addresses of the manifests that are bound to nothing; several
            are duplicates of each other.
        candidates: by match key, the ids of the free monitors that such a manifest may mean.
        taken: by match key, what describes such a monitor in another account with the same login.
        renamed: the former address of each manifest that takes over its record.
        uncertain: by address, a pending create that is not known to have made a monitor.
        others: what other accounts with the same login describe.
        omitted: monitors that a list of AlertSite should have and has not: others may be missing
            from it as well.
    """

    def __init__(
        self,
        desired: Iterable[Desired],
        records: Mapping[str, Record],
        live: Iterable[Live],
        uncertain: Mapping[str, Uncertain] = {},
        kinds: Mapping[str, Kind] = {},
        others: Claims = NOBODY,
        omitted: Collection[int] = (),
    ) -> None:
        self.uncertain = uncertain
        self.omitted = sorted(omitted)
        self.others = others
        self.desired = tuple(desired)
        self.renamed = _renamed(self.desired, records)
        left = {*self.renamed.values()}
        kept = {address: record for address, record in records.items() if address not in left}
        kept |= {address: records[former] for address, former in self.renamed.items()}
        self.by_address = {item.address: item for item in self.desired}
        # Sorted, since a list of AlertSite may come in any order, and nothing is to depend on it.
        self.by_id = {monitor.id: monitor for monitor in sorted(live, key=attrgetter("id"))}
        self.kinds = {**kinds, **{item.kind.name: item.kind for item in self.desired}}
        self.records = all_caught_up(kept, self.by_id, self.kinds)
        self.secrets: dict[int, frozenset[str]] = {}
        for item in self.records.values():
            if item.secrets:
                known = self.secrets.get(item.id, frozenset())
                self.secrets[item.id] = known.union(item.secrets)
        self.claimed = {item.id: item.address for item in self.desired if item.id is not None}
        loose = sorted(
            (item for item in self.desired if item.id is None), key=lambda item: item.address
        )
        self.unbound: dict[tuple[str, str], list[str]] = {}
        for manifest in loose:
            record = self.records.get(manifest.address)
            if record is not None:
                self.claimed.setdefault(record.id, manifest.address)
            if record is None or record.id not in self.by_id:
                self.unbound.setdefault(match_key_of(manifest), []).append(manifest.address)
        self.bound = {*self.claimed, *(record.id for record in self.records.values())}
        self._free: dict[str, list[Live]] = {}
        for monitor in self.by_id.values():
            if monitor.id not in self.bound:
                self._free.setdefault(folded(monitor.fields.get("name")), []).append(monitor)
        self.candidates: dict[tuple[str, str], list[int]] = {}
        self.taken: dict[tuple[str, str], Claim] = {}
        for key in self.unbound:
            for monitor in self._named(*key):
                if (claim := self.others.ids.get(monitor.id)) is not None:
                    self.taken.setdefault(key, claim)
                else:
                    self.candidates.setdefault(key, []).append(monitor.id)

    def _named(self, kind: str, name: str) -> Iterator[Live]:
        """The free monitors with this folded name, and of this kind or without a type."""
        return (item for item in self._free.get(name, ()) if item.type in {kind, None})

    def duplicates(self) -> Iterator[tuple[str, int, int]]:
        """Address and id of a monitor of ours, and the id of a free one of its kind and name.

        Somebody else may have made them by hand, or with a state of their own.
        """
        for number, address in self.claimed.items() if self._free else ():
            kind, ours = address.partition("/")[0], self.by_id.get(number)
            if ours is not None and ours.type in {kind, None}:
                for other in self._named(*match_key(kind, ours.fields.get("name"))):
                    if other.id not in self.others.ids:
                        yield address, number, other.id


def _renamed(desired: Sequence[Desired], records: Mapping[str, Record]) -> dict[str, str]:
    """By address, the former address whose record a manifest takes over.

    All renames are one permutation of the records. Who has a record leaves it only if somebody
    takes it: so chains and swaps move as a whole, and a `previously` that was left behind moves
    nothing. First rings move, in which each takes what its neighbour has. Then who has no record
    takes the first of its former names whose record it can have: nobody has that, or who has it can
    take another. Those with the fewest names come first, so that nobody is left out for another's
    whim. That is a maximum matching, by augmenting paths, of all that is in no ring: there no
    monitor is made again beside one that could be had.

    What was moved once, the record remembers (`Record.previously`), as it does of names that led
    nowhere: so the next run does not undo a swap, and two new manifests that list each other's
    names exchange nothing.
    """
    former = {item.address: names for item in desired if (names := _former(item, records))}
    holders = {item.address: item.address for item in desired if item.address in records}
    for ring in _rings(former, holders):
        holders |= {former[address][0]: address for address in ring}
    dead: set[str] = set()
    for address in sorted(former.keys() - records.keys(), key=lambda it: (len(former[it]), it)):
        _take(address, former, holders, dead)
    return {holder: record for record, holder in holders.items() if holder != record}


def _former(manifest: Desired, records: Mapping[str, Record]) -> list[str]:
    """The former addresses that have a record and have not led to its own yet.

    One that names its monitor has at most one: that of the monitor, or else the first. For an undo,
    what has led to a record is to lead back.
    """
    own = records.get(manifest.address)
    settled = own.previously if own is not None and manifest.undo is None else ()
    unsettled = (name for name in manifest.previously if name not in settled)
    addresses = (f"{manifest.kind.name}/{name}" for name in unsettled)
    known = [address for address in addresses if address in records]
    if manifest.id is None:
        return known
    return ([item for item in known if records[item].id == manifest.id] or known)[:1]


def _rings(
    former: Mapping[str, Sequence[str]], holders: Mapping[str, str]
) -> Iterator[Sequence[str]]:
    """Those who have a record and whose first former names lead from one to the other and back."""
    done: set[str] = set()
    for first in sorted(former.keys() & holders.keys()):
        path: list[str] = []
        address = first
        while address in former and address in holders and address not in done:
            done.add(address)
            path.append(address)
            address = former[address][0]
        if address in path:
            yield path[path.index(address) :]


def _take(
    address: str, former: Mapping[str, Sequence[str]], holders: dict[str, str], dead: set[str]
) -> None:
    """Gives a manifest a record, if one can be had; others may have to take another for it.

    Args:
        address: of the manifest, which has none.
        former: by address, whose records it may take, the first choice first.
        holders: who has each record; changed.
        dead: records that nobody can make free; more are added.
    """
    path = [(address, iter(former[address]))]
    taken: list[str] = []
    seen: set[str] = set()
    while path:
        record = next((it for it in path[-1][1] if it not in seen and it not in dead), None)
        if record is None:
            path.pop()
            del taken[-1:]
            continue
        seen.add(record)
        taken.append(record)
        if record not in holders:
            holders |= dict(zip(taken, (who for who, _ in path), strict=True))
            return
        path.append((holders[record], iter(former.get(holders[record], ()))))
    dead |= seen


def number_of(manifest: Desired, record: Record | None) -> int | None:
    """The monitor that a manifest is bound to, by itself or else by its record."""
    if manifest.id is not None:
        return manifest.id
    return None if record is None else record.id


def match_key_of(desired: Desired) -> tuple[str, str]:
    """What a monitor that is not bound yet is recognised by: its kind and display name."""
    return match_key(desired.kind.name, desired.fields.get("name"))


def strangers(
    live: Iterable[Live], kinds: Iterable[str], known: Collection[int]
) -> tuple[Unmanaged, ...]:
    """The email monitors whose ids are not `known`, sorted by id."""
    ours = {*kinds, None}
    found = (item for item in live if item.type in ours and item.id not in known)
    return tuple(sorted(map(Unmanaged.of, found), key=attrgetter("id")))
