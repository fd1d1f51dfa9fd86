"""What a careful person expects of a history, kept beside it in plain Python.

The tool cannot see what the model sees: who made each monitor and for which manifest, which answer
was lost, what a hand did. From that follow the laws of `Model`, checked after every segment of
every run (a segment ends where somebody else acts in the middle of it):

- **None doubled.** A monitor is made only for a manifest that asks for it, while no monitor of that
  kind and display name is there but those of other addresses; and never while the one that was made
  for the address before, whose answer was lost, is there untouched and not forgotten.
- **None lost.** A monitor goes only by `--prune`, without a manifest, and if it is ours; one that
  is replaced goes only when its replacement is there.
- **None touched that is not ours.** What a run changes is bound to a manifest, and becomes what
  that manifest says; or, if it does not name the field, what the field once was. *Ours* are for an
  address: what a run made for it, what its manifest named by id, what `--adopt` found alike, and
  what came from a former name. A monitor made by hand while a create of that name was lost may be
  mistaken for it, but only until a run could know better, and only while a manifest asks for it.
  A run knows better that has waited for the create, as its manifests ask for it; or, if they do
  not, by the time of day.
- **Nothing else undone.** When commits are reverted, what Git had changed is as it was, and what a
  hand has decided stays. When a run is taken back, everything is as it was before, and a plan with
  the manifests from before is empty; what moved in between stays, and is named.
- **Nothing claimed that is not so.** What a result says is done, the account has; the counts are
  those of what happened; code 0 means that everything is as the manifests say; and a run that
  refuses has touched nothing.
- **Known means seen.** Each record names a monitor that is ours, and stays while that is there; and
  a plan calls a field drift only if something other than an acknowledged request has moved it.
"""

from __future__ import annotations

import html
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

GRACE = 120.0
"""Seconds after which a lost create has arrived or never will; longer than any read timeout."""
_OLD = 3600.0 + GRACE
"""Seconds after which a run gives up a lost create that none of its manifests asks for."""
_SHORTEST_CUT = 13
"""What may be left of a name, blanks folded, that AlertSite has cut."""


class Manifest(NamedTuple):
    """What Git says of one address."""

    kind: str
    name: str
    id: int | None
    spec: Mapping[str, Any]
    previously: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def match_key_of(self) -> tuple[str, str]:
        return self.kind, folded(self.spec["name"])

    def means(self, live: Mapping[str, Any]) -> bool:
        """Whether it could mean the monitor, by its kind and name."""
        return is_alike(self.match_key_of, match_key_of(live))

    @property
    def former(self) -> list[str]:
        return [f"{self.kind}/{name}" for name in self.previously]


class Flags(NamedTuple):
    """How a run was asked to go about it."""

    adopt: bool = False
    prune: bool = False
    target: str = ""

    def words(self) -> list[str]:
        words = [f"--{name}" for name in ("adopt", "prune") if getattr(self, name)]
        return [*words, "--target", self.target] if self.target else words

    def means(self, address: str) -> bool:
        return self.target in {"", address}


@dataclass
class Made:
    """A monitor that a run made.

    Attributes:
        of: the addresses whose manifests asked for it at the time.
        is_known: whether the tool can still know that.
        listed_at: when AlertSite's list shows it.
    """

    of: set[str]
    is_known: bool = True
    listed_at: float = 0.0


class Lost(NamedTuple):
    """A create that got lost.

    Attributes:
        at: when.
        before: the monitors that were there before.
        bound: which were bound to what.
        time_of_day: that of the machine that has sent it, in seconds.
        is_over: whether it cannot arrive any more, though no run may know that.
    """

    at: float
    before: AbstractSet[int]
    bound: Mapping[int, AbstractSet[str]]
    time_of_day: float
    is_over: bool = False


@dataclass
class Segment:
    """What a run did until its end, or until somebody else acted.

    Attributes:
        fleet: the manifests of its machine.
        claimed: what the records of each store and the manifests of each machine bind, before.
        is_blind: whether AlertSite hid monitors without a trace, so that nobody can know them.
        began, ended: when.
        lag: seconds until the list shows what is made.
        begun: the addresses that had a record when the run began: one that is created again has
            none in its middle, and takes over no other.
        beside: the manifests of another run, with a state of its own, in whose middle it acts.
        is_racing: whether another run, with a state of its own, has acted in the middle of this
            one, so that nobody can keep them from making the same; then it must be told.
        amid: the effects of this run just before which somebody else has acted.
    """

    fleet: Mapping[str, Manifest]
    flags: Flags
    before: Mapping[int, Mapping[str, Any]]
    after: Mapping[int, Mapping[str, Any]]
    records: Mapping[str, Mapping[str, Any]]
    claimed: Mapping[int, AbstractSet[str]]
    is_blind: bool = False
    is_racing: bool = False
    began: float = 0.0
    ended: float = 0.0
    lag: float = 0.0
    beside: tuple[Manifest, ...] = ()
    begun: AbstractSet[str] = frozenset()
    amid: tuple[str, ...] = ()

    @property
    def new(self) -> list[int]:
        return sorted(self.after.keys() - self.before.keys())

    @property
    def gone(self) -> list[int]:
        return sorted(self.before.keys() - self.after.keys())

    @property
    def changed(self) -> dict[int, set[str]]:
        found = {}
        for number in self.before.keys() & self.after.keys():
            was, has = self.before[number], self.after[number]
            if was != has:
                found[number] = {name for name in {*was, *has} if was.get(name) != has.get(name)}
        return found

    def own(self, address: str) -> int | None:
        """The living monitor that the address is bound to, by its record or a former one's."""
        manifest = self.fleet.get(address)
        former = manifest.former if manifest else []
        is_new = address not in self.records and address not in self.begun
        # Whose record goes to another one, which has none, takes that of a former name for it.
        is_left = any(
            address in item.former and item.address not in self.records
            for item in self.fleet.values()
        )
        names = [item for item in former if item not in self.fleet] if is_new else []
        moved = [item for item in former if item in self.records] if is_left else []
        for name in moved or (address, *names):
            if name in self.records:
                number = self.records[name]["id"]
                return number if number in self.before else None
        return None


@dataclass
class Model:
    """What is true, whatever the tool thinks.

    Attributes:
        is_shared: whether all machines share one state; otherwise none knows what others lost.
        ours: by address, the monitors that it may be bound to.
        made: what runs have made.
        hands: the monitors that were made by hand.
        moved: monitors and fields that something else than an acknowledged request may have moved.
        lost: by address, creates without an answer, by their name.
        mistakable: by address, monitors that look like a lost create, made by hand or by a run with
            a state of its own.
        raced: how many monitors were doubled by runs that could not know of each other.
        had: by monitor and field, what it was before somebody changed it.
    """

    is_shared: bool = True
    ours: dict[str, set[int]] = field(default_factory=dict)
    made: dict[int, Made] = field(default_factory=dict)
    hands: set[int] = field(default_factory=set)
    moved: set[tuple[int, str]] = field(default_factory=set)
    lost: dict[str, dict[str, Lost]] = field(default_factory=dict)

    mistakable: dict[str, set[int]] = field(default_factory=dict)
    raced: int = 0
    had: dict[tuple[int, str], list[Any]] = field(default_factory=dict)

    # what happens

    def arrives(
        self,
        live: Mapping[int, Mapping[str, Any]],
        claimed: Mapping[int, Any],
        asked: Mapping[str, Manifest],
    ) -> None:
        """Learns of what was under way when nobody looked; it must not double anything.

        Args:
            live: what is there now.
            claimed: see `Segment`.
            asked: the manifests of runs that are in their middle: what they have sent may come too.
        """
        new = live.keys() - self.made.keys() - self.hands
        # What a hand has made since it was sent, nobody could know of.
        since = {number for address in self.lost for number in self.mistakable.get(address, ())}
        live = {number: item for number, item in live.items() if number not in since & self.hands}
        before = {number: item for number, item in live.items() if number not in new}
        if new:
            self.check(Segment(asked, Flags(), before, live, {}, claimed))

    def hand_made(self, number: int, live: Mapping[str, Any]) -> None:
        self.hands.add(number)
        for address, names in self.lost.items():
            if _is_named(live, address, names):
                self.mistakable.setdefault(address, set()).add(number)

    def hand_moved(
        self,
        number: int,
        names: Iterable[str],
        live: Mapping[str, Any],
        before: Mapping[str, Any],
    ) -> None:
        self.moved.update((number, name) for name in names)
        self._changes(number, names, before)
        if "name" not in names:
            return
        if number in self.made:
            self.made[number].is_known = False
        for address, lost in self.lost.items():  # one that was there before is mistaken for nothing
            newer = [name for name, item in lost.items() if number not in item.before]
            if _is_named(live, address, newer):
                self.mistakable.setdefault(address, set()).add(number)

    def _changes(self, number: int, names: Iterable[str], before: Mapping[str, Any]) -> None:
        for name in names:
            self.had.setdefault((number, name), []).append(before.get(name))

    def forgot(self, address: str = "", number: int | None = None) -> None:
        """Somebody took the record of an address, which named a monitor, or all out of a state."""
        for key, item in self.made.items():
            if not address or address in item.of or key == number:
                item.is_known = False

    def was_lost(self, manifest: Manifest, lost: Lost) -> None:
        """A create may have been sent, and nobody knows what came of it."""
        names = self.lost.setdefault(manifest.address, {})
        name = folded(manifest.spec["name"])
        if (known := names.get(name)) is not None:
            lost = lost._replace(
                before=lost.before & known.before,
                bound=lost.bound if known.is_over else {**known.bound, **lost.bound},
                time_of_day=max(lost.time_of_day, known.time_of_day),
            )
        names[name] = lost

    def ended_well(
        self, fleet: Mapping[str, Manifest], flags: Flags, now: float, time_of_day: float
    ) -> None:
        """A run has looked at everything and done all that it was asked for."""
        asked = {
            address: flags.means(item.address)
            for item in fleet.values()
            if item.id is None
            for address in (*item.former, item.address)
        }
        for address, names in self.lost.items() if self.is_shared else ():
            for name, item in list(names.items()) if flags.means(address) else ():
                is_old = address not in asked and time_of_day - item.time_of_day > _OLD
                names[name] = item._replace(is_over=item.is_over or now - item.at >= GRACE)
                if names[name].is_over and (asked.get(address) or is_old):
                    del names[name]
        for item in self.made.values():
            item.is_known = item.is_known and bool(item.of & fleet.keys())

    # what must be true

    def check(self, segment: Segment) -> None:
        """The laws of what a run may do to the account."""
        self._learn(segment)
        for number in segment.new:
            self._check_new(number, segment)
        for number in segment.gone:
            self._check_gone(number, segment)
        for number, names in segment.changed.items():
            self._check_changed(number, names, segment)

    def check_records(
        self, records: Mapping[str, Mapping[str, Any]], *, may_claim: bool = False
    ) -> None:
        """If an answer has lied, the record of what no look has confirmed may say what it did."""
        for address, record in records.items():
            if may_claim and self._is_lie(address, record):
                continue
            assert record["id"] in self.ours.get(address, ()), (
                f"{address} was bound to monitor {record['id']}, which is not its own"
            )

    def _is_lie(self, address: str, record: Mapping[str, Any]) -> bool:
        """Whether the record says what an answer has claimed, and that is not so."""
        is_claim = bool(record.get("unseen")) and not record["fields"]
        return is_claim and record["id"] not in self.ours.get(address, ())

    def check_forgotten(
        self,
        segment: Segment,
        records: Mapping[str, Mapping[str, Any]],
        may_be: AbstractSet[str] = frozenset(),
    ) -> None:
        """A record goes only when its monitor has gone, or has come to another address.

        Or when it `may_be` forgotten: an undo forgets what the run had bound.
        """
        bound = {record["id"] for record in records.values()}
        bound |= {manifest.id for manifest in segment.fleet.values() if manifest.id is not None}
        for address in segment.records.keys() - records.keys() - may_be:
            number = segment.records[address]["id"]
            if self._is_lie(address, segment.records[address]):
                continue
            assert number in bound or number not in segment.after, (
                f"{address} was forgotten, and its monitor {number} is there"
            )

    def check_causes(self, plan: Mapping[str, Any]) -> None:
        for change in plan["changes"]:
            for item in change["fields"] if change["action"] == "update" else ():
                is_told = item["cause"] in {"drift", "both"}
                assert not is_told or (change["id"], item["field"]) in self.moved, (
                    f"{change['address']}: {item['field']} is called {item['cause']}, and nobody "
                    f"moved it"
                )

    def _learn(self, segment: Segment) -> None:
        """What becomes ours by what the manifests and the person who runs the tool say."""
        living = segment.before
        bound: dict[int, set[str]] = {}  # as the run's own state and manifests have it
        for address, record in segment.records.items():
            bound.setdefault(record["id"], set()).add(address)
        for address, manifest in segment.fleet.items():
            if manifest.id is not None:
                bound.setdefault(manifest.id, set()).add(address)
        for address, manifest in segment.fleet.items():
            own = self.ours.setdefault(address, set())
            if manifest.id is not None:
                own.add(manifest.id)
            for former in manifest.former:
                own |= self.ours.get(former, set()) | self.mistakable.get(former, set())
            own |= self.mistakable.get(address, set())  # what is found again needs no target
            if segment.is_blind:  # what was hidden when a create went out looks as if it were new
                own |= {number for number, item in segment.after.items() if manifest.means(item)}
            if segment.flags.adopt and segment.flags.means(address):
                own |= {
                    number
                    for number, item in living.items()
                    if manifest.means(item) and not bound.get(number, set()) - {address}
                }

    def _check_new(self, number: int, segment: Segment) -> None:
        new = segment.after[number]
        askers = {
            address
            for address, item in segment.fleet.items()
            if item.id is None and item.means(new) and segment.flags.means(address)
        }
        # What an earlier run had sent may arrive while this one is at work.
        lost = {
            address
            for address, names in self.lost.items()
            if _is_named(new, address, (name for name, item in names.items() if not item.is_over))
        }
        askers |= lost
        if not self.is_shared:  # whoever lost a create of that name takes it for what that made
            lost |= {item.address for item in segment.beside if item.id is None and item.means(new)}
            for address in lost:
                self.mistakable.setdefault(address, set()).add(number)
        self.made[number] = Made(askers, listed_at=segment.ended + segment.lag)
        assert askers, f"monitor {number} was made, and no manifest asks for it: {new['name']!r}"
        wanted = {segment.fleet[address].match_key_of for address in askers & segment.fleet.keys()}
        others = [
            other
            for other, item in {**segment.before, **segment.after}.items()
            if is_alike(match_key_of(item), match_key_of(new))
            and (other in segment.before or other < number)
            # A name that was cut is only known by those who know what was sent.
            and (not wanted or match_key_of(item) in wanted or self._is_known(other))
            and (self._is_known(other) or not self._is_out_of_sight(other, segment))
        ]
        free = {
            address
            for address in askers
            if segment.own(address) is None
            and all(
                segment.claimed.get(other, set()) - {address} or other in self._bound_then(address)
                for other in others
            )
        }
        if segment.is_blind or segment.is_racing:
            if not free:
                self.raced += segment.is_racing
                self.forgot()
            free |= {address for address in askers if segment.own(address) is None}
        assert free, f"monitor {number} doubles {others}: {new['name']!r}"
        for address in free:
            before = [
                other
                for other, item in self.made.items()
                if other < number
                and other in segment.before
                and address in item.of
                and item.is_known
                and not segment.claimed.get(other)
                and not self._is_another_s(address, other, segment)
            ]
            can_know = self.is_shared and not segment.is_blind and len(free) == 1
            assert not (before and can_know), f"{number} is made for {address} after {before}"
            self.ours.setdefault(address, set()).add(number)

    def _is_another_s(self, address: str, number: int, segment: Segment) -> bool:
        """Whether a monitor is what another manifest asks for, and this one has another name."""
        key = match_key_of(segment.before[number])
        asking = {
            other
            for other in self.made[number].of & segment.fleet.keys()
            if segment.fleet[other].match_key_of == key
        }
        return bool(asking) and address not in asking

    def _bound_then(self, address: str) -> set[int]:
        """What others had when creates of the address were sent, and may have lost since."""
        return {
            number
            for item in self.lost.get(address, {}).values()
            if not item.is_over
            for number, addresses in item.bound.items()
            if addresses - {address}
        }

    def _is_known(self, number: int) -> bool:
        return self.is_shared and number in self.made and self.made[number].is_known

    def _is_out_of_sight(self, number: int, segment: Segment) -> bool:
        return number in self.made and segment.began < self.made[number].listed_at

    def _check_gone(self, number: int, segment: Segment) -> None:
        addresses = {key for key, item in segment.records.items() if item["id"] == number}
        addresses |= {key for key, numbers in self.ours.items() if number in numbers}
        left = {
            address
            for address in addresses - segment.fleet.keys()
            if number in self.ours.get(address, ())
        }
        assert segment.flags.prune, f"monitor {number} was deleted without --prune"
        assert left, f"monitor {number} was deleted, and it is not ours or has a manifest"
        assert number not in {item.id for item in segment.fleet.values()}
        if any(it.startswith("DELETE") and f"/{number} " in it for it in segment.amid):
            return  # that request was under way when somebody else retired the replacement
        # It was the monitor of the address that had its record, and not of those that it might have
        # come to: a rename to an address that has a monitor moves none.
        bound = left & {key for key, item in segment.records.items() if item["id"] == number}
        names = {address.partition("/")[2] for address in bound or left}
        for manifest in segment.fleet.values():
            if manifest.name in names and manifest.address in self.ours:
                there = self.ours[manifest.address] & segment.after.keys()
                assert any(self._is_whole(other, manifest, segment) for other in there), (
                    f"monitor {number} was deleted before its replacement was there"
                )

    def _is_whole(self, number: int, manifest: Manifest, segment: Segment) -> bool:
        """Whether a monitor is as its manifest says, but for what nobody has told the run."""
        told = {
            name: value for name, value in manifest.spec.items() if (number, name) not in self.moved
        }
        return fits(told, segment.after[number])

    def _check_changed(self, number: int, names: set[str], segment: Segment) -> None:
        has = segment.after[number]
        fitting = [
            address
            for address, item in segment.fleet.items()
            if item.kind == has["type"]
            and number in self.ours.get(address, ())
            and segment.flags.means(address)
            and all(
                is_kept(item.spec, has, name)
                if name in item.spec
                else self._is_as_once(number, name, has)
                for name in names
            )
        ]
        self._changes(number, names, segment.before[number])
        assert fitting, f"monitor {number} was changed, and no manifest says so: {sorted(names)}"

    def _is_as_once(self, number: int, name: str, live: Mapping[str, Any]) -> bool:
        """Whether a field that no manifest names is what it was before somebody changed it."""
        return any(is_kept({name: was}, live, name) for was in self.had.get((number, name), ()))


def match_key_of(live: Mapping[str, Any]) -> tuple[str, str]:
    return live["type"], folded(live.get("name") or "")


def is_alike(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether kind and name are the same, but for a name that AlertSite has cut."""
    (kind, name), (other_kind, other_name) = one, other
    short, long = sorted((name, other_name), key=len)
    is_cut = len(short) >= _SHORTEST_CUT and long.startswith(short)
    return kind == other_kind and (name == other_name or is_cut)


def _is_named(live: Mapping[str, Any], address: str, names: Iterable[str]) -> bool:
    kind = address.partition("/")[0]
    return any(is_alike((kind, name), match_key_of(live)) for name in names)


def folded(text: str) -> str:
    """A display name without what a server may do to one."""
    return " ".join(unicodedata.normalize("NFD", html.unescape(text)).split())


def fits(spec: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether a monitor is as a manifest says."""
    return all(is_same(spec, live, name) for name in spec)


def is_same(spec: Mapping[str, Any], live: Mapping[str, Any], name: str) -> bool:
    wanted, has = spec[name], live.get(name)
    if wanted in (None, "", []):
        return has in (None, "", [])
    if name == "locations":
        return {item["id"] for item in wanted} == {item["id"] for item in has or ()}
    if name == "name":
        return is_alike(("", folded(wanted)), ("", folded(has or "")))
    if isinstance(wanted, str):
        return " ".join(wanted.split()).casefold() == " ".join((has or "").split()).casefold()
    return bool(wanted == has)


def is_kept(spec: Mapping[str, Any], live: Mapping[str, Any], name: str) -> bool:
    """Whether the value is what was sent, or what AlertSite may have made of it."""
    if name == "locations" and spec[name]:
        return {item["id"] for item in spec[name]} <= {item["id"] for item in live[name] or ()}
    return is_same(spec, live, name)
