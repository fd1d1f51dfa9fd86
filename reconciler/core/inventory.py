"""Manifests, records and live monitors of one plan, joined by address and by id.

Rule: no I/O, clock or environment; every index is built here, once.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import folded, match_key
from reconciler.core.pending import all_caught_up

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import Desired, Live
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
        secrets: by monitor, the fields that hold or held a secret, whichever address says so.
        claimed: which address each id is bound to; a manifest's word counts more than a record.
        bound: the ids of all monitors that a manifest or a record is bound to.
        unbound: by match key, the addresses of the manifests that are bound to nothing; several
            are duplicates of each other.
        candidates: by match key, the ids of the free monitors that such a manifest may mean.
        renamed: the former address of each manifest that takes over its record.
        uncertain: by address, a pending create that is not known to have made a monitor.
    """

    def __init__(
        self,
        desired: Iterable[Desired],
        records: Mapping[str, Record],
        live: Iterable[Live],
        uncertain: Mapping[str, Uncertain] = {},
    ) -> None:
        self.uncertain = uncertain
        self.desired = tuple(desired)
        self.renamed = _renamed(self.desired, records)
        self.records = _moved(records, self.renamed)
        self.by_address = {item.address: item for item in self.desired}
        # Sorted, since a list of AlertSite may come in any order, and nothing is to depend on it.
        self.by_id = {monitor.id: monitor for monitor in sorted(live, key=attrgetter("id"))}
        self.records = all_caught_up(self.records, self.by_id, self.desired)
        self.secrets = _secrets(self.records.values())
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
        self.candidates = self._candidates() if self.unbound else {}

    def _candidates(self) -> dict[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = {}
        wanted: dict[str, list[tuple[str, str]]] = {}
        for key in self.unbound:
            wanted.setdefault(key[1], []).append(key)
        for monitor in self.by_id.values():
            if monitor.id not in self.bound:
                for key in wanted.get(folded(monitor.fields.get("name")), ()):
                    if monitor.type in {key[0], None}:
                        found.setdefault(key, []).append(monitor.id)
        return {key: sorted(ids) for key, ids in found.items()}

    def duplicates(self) -> Iterator[tuple[str, int, int]]:
        """Address and id of a monitor of ours, and the id of a free one of its kind and name.

        Somebody else may have made them by hand, or with a state of their own.
        """
        free: dict[str, list[Live]] = {}
        for monitor in self.by_id.values():
            if monitor.id not in self.bound:
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
    whose record it can have: nobody stays at that name, and nobody else claims it. Those who can
    have only one record choose before the others, then those who get an earlier one of their
    names. A claim holds if its own record, should it have one, goes to another claim that holds:
    so chains and swaps move as a whole, and a `previously` that was left behind moves nothing. What
    a claim has moved once, the record remembers (`Record.previously`), as it does of names that led
    nowhere: so the next run does not undo a swap, and two new manifests that list each other's
    names exchange nothing.
    """
    former = {item.address: names for item in desired if (names := _former(item, records))}
    without = {item.address for item in desired if item.address not in former}
    staying = set(without)
    while True:
        claims = _claims(former, staying)
        held = former.keys() & records.keys() - staying  # whose own record would have to go
        if left := held & claims.keys() - {*claims.values()}:
            staying |= left
        elif left := held - claims.keys():
            without |= left
            staying = set(without)
        else:
            return claims


def _former(manifest: Desired, records: Mapping[str, Record]) -> list[str]:
    """The former addresses that have a record and have not led to its own yet.

    One that names its monitor has no other than that but by the first.
    """
    own = records.get(manifest.address)
    settled = own.previously if own is not None else ()
    unsettled = (name for name in manifest.previously if name not in settled)
    addresses = (f"{manifest.kind.name}/{name}" for name in unsettled)
    first, *others = [address for address in addresses if address in records] or [""]
    others = [item for item in others if manifest.id in {None, records[item].id}]
    return [first, *others] if first else []


def _claims(former: Mapping[str, Sequence[str]], staying: Collection[str]) -> dict[str, str]:
    """Who claims which of its former addresses while these keep theirs."""
    claims: dict[str, str] = {}
    taken = set(staying)
    while True:
        free = {
            address: left
            for address, names in former.items()
            if address not in staying and address not in claims
            if (left := [name for name in names if name not in taken])
        }
        if not free:
            return claims
        # By the place of what is left among its names, so that a first choice comes first.
        order = sorted((former[item].index(left[0]), item) for item, left in free.items())
        wanted = Counter(name for left in free.values() for name in left)
        alone = [item for item in order if wanted[free[item[1]][0]] == 1]
        only = [item for item in order if len(free[item[1]]) == 1]
        for _, address in alone or only or order[:1]:
            if free[address][0] not in taken:
                claims[address] = free[address][0]
                taken.add(claims[address])


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
