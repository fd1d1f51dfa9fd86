"""What became of what a run was about to send, where nobody has seen its end.

**Creates.** A create has no key of its own: if its answer is lost, nobody knows whether the monitor
was made, or will be. So before the first request of a run, the state takes down what each create
would send, and which ids AlertSite had. Afterwards a monitor is taken for what a pending create
made only if

- its id was not there before, and nothing is bound to it;
- it is of the kind and watches what was sent (`TARGETS`), as far as AlertSite shows that;
- its name is the one that was sent, in any spelling (`model.folded`); or, where no other monitor
  has it, the name's beginning, since servers may cut long names;
- it is the only such monitor, and no other pending create could have made it.

A new monitor that has only the name, or only watches the same, may be it all the same: then nothing
is concluded and nothing created, and a person is asked.

An answer is no proof either: what is on the way may cross the answers of two creates. A record that
no look has confirmed yet is a pending create again if its monitor is not surely what was sent but
surely what another create of ours has sent, and was not there before that; or if it is not there,
or has nothing of what was sent, and another new one surely has. One that has nothing of what was
sent, for no reason that shows, may be a stranger's: it is neither changed nor deleted
(`is_foreign`, `is_surely_made`), and a person is asked.

What is found is bound only while a manifest asks for it. That nothing is found proves nothing until
the grace is over, which is longer than an answer may keep us waiting; only then is the create as
good as never sent. Whoever waits measures the grace by his own clock, from when the other run was
certainly over: nobody else's clock is trusted.

**Updates.** The record of a monitor takes down what is about to be sent to it. If AlertSite has
that later, it is what we wrote and no drift, whoever was there to see it.

Rule: values and pure functions; no I/O, clock or environment.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import folded, kind_of
from reconciler.core.state import PendingCreate, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from reconciler.core.model import JSON, Kind, Live
    from reconciler.core.state import State


TARGETS = ("hostname", "smtp_hostname", "pop3_hostname", "email")
"""The fields that say what a monitor watches."""
_SHORTEST_CUT = 16
"""Of a name, as AlertSite shows it; what is shorter may begin alike by chance."""
_DOUBTFUL = 2


def caught_up(record: Record, kind: Kind, live: Live) -> Record:
    """The record of a monitor with what a run was about to send and AlertSite has by now."""
    if not record.sending.fields:
        return record
    came = {
        name: value
        for name, value in record.sending.fields.items()
        if kind.field(name).is_same(value, live.fields.get(name))
    }
    unseen = {name: value for name, value in record.unseen.items() if name not in came}
    fields, left = {**record.fields, **came}, record.sending.without(came)
    return record._replace(fields=fields, unseen=unseen, sending=left)


def all_caught_up(
    records: Mapping[str, Record], live: Mapping[int, Live], kinds: Mapping[str, Kind]
) -> Mapping[str, Record]:
    """All records, each as `caught_up` gives it."""
    found = {
        address: caught_up(record, kind_of(address, kinds), monitor)
        for address, record in records.items()
        if record.sending.fields and (monitor := live.get(record.id)) is not None
    }
    return {**records, **found}


def reopened(
    state: State,
    live: Mapping[int, Live],
    kinds: Mapping[str, Kind],
    named: Collection[int],
    described: Collection[str],
    *,
    is_over: bool,
) -> dict[str, PendingCreate]:
    """By address, the creates that are pending again, as their answers prove nothing.

    They were answered with the id of another monitor than their own. Or with that of one that is
    not there, and no manifest asks for it: nobody waits for it then, nor is it forgotten.

    Args:
        state: with its pending creates, and records that no look has confirmed yet.
        live: every monitor that AlertSite was seen to have.
        kinds: the kinds, by name.
        named: ids that manifests name.
        described: the addresses of manifests, former ones too.
        is_over: whether the grace is, so that the absence of a monitor proves something.
    """
    new = {address: create_of(item) for address, item in state.records.items() if item.is_new}
    creates = {**new, **state.pending_creates}
    before = {run: frozenset(ids) for run, ids in state.ids_before.items()}

    def tier(address: str, monitor: Live) -> int | None:
        return _tier(monitor, creates[address], kind_of(address, kinds))

    def has_made(address: str, monitor: Live) -> bool:
        found = tier(address, monitor)
        return found is not None and found < _DOUBTFUL

    wrong: set[str] = set()
    doubtful: dict[str, Live | None] = {}
    for address in new:
        monitor = live.get(state.records[address].id)
        if monitor is None and not is_over:
            if address not in described:
                wrong.add(address)
        elif monitor is None or not has_made(address, monitor):
            doubtful[address] = monitor
    if not doubtful:
        return {address: new[address] for address in new if address in wrong}
    by_name: dict[str, list[Live]] = {}
    for item in live.values():
        by_name.setdefault(_spelt(item.fields.get("name")), []).append(item)

    def alike(create: PendingCreate) -> Iterator[Live]:
        """The monitors with the name that was sent, or its beginning: it may have been cut."""
        name = _spelt(create.body.get("name"))
        return (item for end in range(len(name) + 1) for item in by_name.get(name[:end], ()))

    def is_elsewhere(address: str, bound: Collection[int]) -> bool:
        there = before.get(new[address].run)
        if there is None:  # it may be a stranger's that was always there
            return False
        return any(
            item.id not in bound and item.id not in there and has_made(address, item)
            for item in alike(new[address])
        )

    unsure = {monitor.id for monitor in doubtful.values() if monitor is not None}
    anothers = {
        item.id
        for other, create in creates.items()
        for item in alike(create)
        if item.id in unsure and item.id not in before.get(create.run, ()) and has_made(other, item)
    }
    wrong |= {
        address
        for address, monitor in doubtful.items()
        if monitor is not None and monitor.id in anothers
    }
    absent = {
        address
        for address, monitor in doubtful.items()
        if monitor is None or tier(address, monitor) is None
    }
    while True:  # what was wrong of one may be another one's
        bound = {item.id for key, item in state.records.items() if key not in wrong}.union(named)
        more = {address for address in absent - wrong if is_elsewhere(address, bound)}
        if not more:
            return {address: new[address] for address in new if address in wrong}
        wrong |= more


def is_foreign(record: Record, live: Live, kind: Kind) -> bool:
    """Whether only an answer says that a monitor is ours, which is seen to be another one.

    A server that rewrites names and does not show what a monitor watches is believed.
    """
    create = create_of(record)
    is_another = _tier(live, create, kind) is None and bool(_targets(live, create, kind))
    return record.is_new and is_another


def is_surely_made(record: Record, live: Live, kind: Kind) -> bool:
    """Whether a look has confirmed a monitor, or would: it is what was sent."""
    if not record.is_new:
        return True
    tier = _tier(live, create_of(record), kind)
    return tier is not None and tier < _DOUBTFUL


def create_of(record: Record) -> PendingCreate:
    """The create of a record that no look has confirmed yet."""
    return PendingCreate(record.run, record.applied_at, record.unseen)


class Resolution(NamedTuple):
    """What became of pending creates, as far as one observation tells.

    Attributes:
        found: by address, the monitor that the create made; a manifest asks for it.
        leftover: the same where no manifest asks for it any more.
        ambiguous: by address, the monitors any of which it may have made.
        missing: those of which nothing is seen.
    """

    found: Mapping[str, int]
    leftover: Mapping[str, int]
    ambiguous: Mapping[str, tuple[int, ...]]
    missing: tuple[str, ...]


def resolve_pending_creates(
    state: State,
    live: Iterable[Live],
    kinds: Mapping[str, Kind],
    named: Collection[int],
    asked: Collection[str],
) -> Resolution:
    """What became of the pending creates of a state.

    `named` are the ids that manifests name, `asked` the addresses of those that are bound to
    nothing.
    """
    if not state.pending_creates:
        return Resolution({}, {}, {}, ())
    bound = {record.id for record in state.records.values()}.union(named)
    free = [monitor for monitor in live if monitor.id not in bound]
    tiers: dict[str, tuple[set[int], set[int], set[int]]] = {}
    for address, pending in state.pending_creates.items():
        kind = kind_of(address, kinds)
        before = set(state.ids_before.get(pending.run, ()))
        tiers[address] = (set(), set(), set())
        for item in free:
            tier = None if item.id in before else _tier(item, pending, kind)
            if tier is not None:
                tiers[address][tier].add(item.id)
    candidates: dict[str, set[int]] = {address: set() for address in tiers}
    certain: set[str] = set()
    claims = Counter[int]()
    for tier in range(_DOUBTFUL + 1):
        found = {
            address: ids
            for address in tiers
            if not candidates[address] and (ids := tiers[address][tier] - claims.keys())
        }
        candidates |= found
        certain |= found.keys() if tier < _DOUBTFUL else set()
        claims.update(number for ids in found.values() for number in ids)
    made = {
        address: number
        for address, ids in candidates.items()
        for number in ids
        if address in certain and len(ids) == 1 and claims[number] == 1
    }
    return Resolution(
        found={address: number for address, number in made.items() if address in asked},
        leftover={address: number for address, number in made.items() if address not in asked},
        ambiguous={
            address: tuple(sorted(ids))
            for address, ids in candidates.items()
            if ids and address not in made
        },
        missing=tuple(sorted(address for address, ids in candidates.items() if not ids)),
    )


def records_of(
    state: State, live: Iterable[Live], kinds: Mapping[str, Kind]
) -> Mapping[str, Record]:
    """The records of a state, with what pending creates have made or have not.

    A missing monitor that nothing was created for yet keeps its record. What a create has surely
    made has a record as an apply would bind it.

    Args:
        state: with its pending creates.
        live: every monitor that AlertSite was seen to have.
        kinds: the kinds, by name.
    """
    if not state.pending_creates:
        return state.records
    live = tuple(live)
    resolved = resolve_pending_creates(state, live, kinds, (), state.pending_creates)
    there = {monitor.id for monitor in live}
    again = {
        address: was
        for address in resolved.missing
        if (was := state.pending_creates[address].replaces) is not None and was.id not in there
    }
    made = {
        address: made_by(state.pending_creates[address], number)
        for address, number in resolved.found.items()
    }
    return {**again, **made, **state.records}


def made_by(pending: PendingCreate, number: int) -> Record:
    """The record of a monitor that a pending create has made."""
    return Record(
        number,
        {},
        {},
        pending.at,
        pending.run,
        unseen=pending.body,
        made_with=tuple(sorted(pending.body)),
    )


def _spelt(name: JSON) -> str:
    """A name as `_is_cut` compares it."""
    from unicodedata import normalize  # rare

    return normalize("NFD", folded(name))


def _tier(monitor: Live, pending: PendingCreate, kind: Kind) -> int | None:
    """How surely the create made the monitor: 0 and 1 surely, 2 perhaps; None if it cannot have."""
    if monitor.type not in {kind.name, None}:
        return None
    shown, sent = monitor.fields.get("name"), pending.body.get("name")
    has, wanted = folded(shown), folded(sent)
    is_cut = _is_cut(shown, sent)
    targets = _targets(monitor, pending, kind)
    watches_the_same = all(
        kind.field(name).is_same(monitor.fields.get(name), pending.body[name]) for name in targets
    )
    if watches_the_same and has == wanted:
        return 0
    if watches_the_same and is_cut:
        return 1
    return _DOUBTFUL if has == wanted or is_cut or (targets and watches_the_same) else None


def _targets(monitor: Live, pending: PendingCreate, kind: Kind) -> list[str]:
    """What was sent of the fields that say what a monitor watches, and is shown."""
    return [
        name
        for name in TARGETS
        if name in pending.body and kind.field(name).normalise(monitor.fields.get(name)) is not None
    ]


def _is_cut(shown: JSON, sent: JSON) -> bool:
    """Whether a server may have cut a name so.

    It cuts what it stores: there the blanks count that `folded` leaves out, and an accent may be
    cut from its letter.
    """
    if not isinstance(shown, str) or len(shown) < _SHORTEST_CUT:
        return False
    return _spelt(sent).startswith(_spelt(shown))
