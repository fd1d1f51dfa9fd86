"""The rules that Hypothesis makes histories of: every step that anybody may take at any time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from machine.history import PLAIN, SLOTS, History, fill_disk, killing
from machine.model import Flags, Manifest
from machine.world import Gate, kill, trace

if TYPE_CHECKING:
    from machine.world import World

FAULTS = (  # each strikes once
    "POST /monitors/* drop=after",
    "POST /monitors/* drop=before",
    "POST /monitors/* status=503 body=html",
    "POST /monitors/* status=504 body=html",
    "POST /monitors/* status=429 body=html",
    "POST /monitors/* status=401 body=html",
    "POST /monitors/* status=500 body=html",
    "POST /monitors/* body=truncated",
    "POST /monitors/* body=html",
    "POST /monitors/* status=503 retry-after=1",
    "POST /monitors/* status=400",
    "POST /monitors/* status=401",
    "PATCH * drop=after",
    "PATCH * drop=before",
    "PATCH * status=429 retry-after=3",
    "PATCH * status=401",
    "PATCH * status=400",
    "PATCH * status=504 body=html",
    "PATCH * body=truncated",
    "DELETE * drop=after",
    "DELETE * status=503",
    "GET /monitors drop=before",
    "GET /monitors body=truncated",
    "GET /monitors body=html",
    "GET /monitors status=503",
    "GET /monitors status=500",
    "GET /monitors status=401",
)
WAYS = (
    "lag=10",
    "lag=30",
    "late=2",
    "late=60",
    "backend=5",
    "backend=30",
    "short=1",
    "hide=1",
    "hide=2",
    "offset=ignored",
    "offset=page",
    "count=none",
    "count=page",
    "no-filter",
    "no-type",
    "extra-keys",
    "locations=merge",
    "bools=yn",
    "trim",
    "lower-host",
    "names=trim,names=blanks,names=nfc",
    "names=blanks,names=html",
    "names=cut:16",
    "drop=note",
    "drop=port",
    "drop=enabled",
    "drop=hostname",
    "lies=create-id",
    "lies=previous-id",
)
"""Ways of AlertSite for a while; a tool that refuses then is right."""
_DROPS = tuple(way for way in WAYS if way.startswith("drop="))
NATURES = ("", "", "", "expired=400", "extra-keys", "no-filter")
"""What an AlertSite may be like for good."""
_PLACES = [[{"id": 10}], [{"id": 20}, {"id": 10}], [{"id": 30}, {"id": 10}]]
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "port": st.sampled_from([25, 587, 2525]),
    "interval": st.sampled_from([5, 15]),
    "enabled": st.booleans(),
    "note": st.sampled_from(["one", "two", ""]),
    "locations": st.sampled_from(_PLACES),
    "hostname": st.sampled_from(["mail.example.com", "Relay.example.com"]),
}
_NAMES = ("{}", "{} renamed", "{} caf\u00e9 & co", " {}  e\u0301 ", "{} by hand")
_DISPLAYED = {
    "email-smtp/b": "email-smtp/b  re\u0301gion ",
    "email-smtp/c": "email-smtp/c  & co",
    "email-pop/d": " email-pop/d  caf\u00e9 & co",
    "email-smtp/n1": "email-smtp/n1  re\u0301gion ",
    "email-smtp/n2": "email-smtp/n2  & co",
    "email-imap/n": " email-imap/n  caf\u00e9 & co",
}
"""Names that servers like to spell otherwise."""
_FRESH = ("email-smtp/n1", "email-smtp/n2", "email-smtp/n3", "email-imap/n")
"""Addresses that few rules use: so there is something to make late in a history.

They are shorter than what may be left of a name that was cut, or one could stand for another.
"""
_which = st.integers(0, 1)
_slots = st.sampled_from(SLOTS)
_picks = st.integers(0, 7)
_specs = st.fixed_dictionaries({}, optional=_FIELDS)
_names = st.sampled_from(_NAMES)
_drifts = st.sampled_from(sorted(_FIELDS)).flatmap(
    lambda name: st.tuples(st.just(name), _FIELDS[name])
)
_faults = st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(0, 2)), max_size=3)
_losses = st.lists(
    st.tuples(st.sampled_from([text for text in FAULTS if text.startswith("POST")]), st.just(0)),
    max_size=2,
)
_asked = st.tuples(st.booleans(), st.booleans(), st.one_of(st.none(), st.none(), _slots))
_alone = ("--parallelism", "1")
"""So that a history is the same each time; where several requests are in flight it may not be."""
_manners = st.sampled_from(
    [_alone, _alone, ("--parallelism", "4"), (*_alone, "--write-ids"), (*_alone, "--fail-fast")]
)


class Histories(RuleBasedStateMachine):
    """The steps of a history, in whatever order Hypothesis finds."""

    world: World

    # the beginning and the end

    @initialize(
        aheads=st.tuples(st.sampled_from([0, 0.05, 3]), st.sampled_from([0, -2, 0.1])),
        slots=st.lists(_slots, min_size=1, max_size=3, unique=True),
        spec=_specs,
        faults=_faults,
        is_applied=st.booleans(),
        nature=st.sampled_from(NATURES),
        is_paged=st.booleans(),
        pace=st.sampled_from([0, 0, 2]),
        is_shared=st.sampled_from([True, True, True, False]),
    )
    def begin(
        self,
        aheads: tuple[float, float],
        slots: list[str],
        spec: dict[str, Any],
        faults: list[tuple[str, int]],
        nature: str,
        pace: float,
        *,
        is_applied: bool,
        is_paged: bool,
        is_shared: bool,
    ) -> None:
        trace("--- a history")
        self.world.counts["histories"] += 1
        self.world.begin(nature, is_paged=is_paged)
        self.world.pace = pace  # seconds that a request takes: a token may expire in a run
        self.history = History(self.world, aheads, is_shared=is_shared)
        self.history.hand_creates("email-smtp", {"name": "Not ours"})
        for slot in slots:
            self.history.write(0, _manifest(slot, spec))
        self.history.pull(1)
        if is_applied:
            self.history.applies(0, Flags(), *_alone)
        self.strike(faults)

    def teardown(self) -> None:
        if hasattr(self, "history") and sys.exc_info()[0] is None:  # nothing has failed yet
            self.history.ends()

    def check_invariants(self, *arguments: Any, **options: Any) -> None:
        self.world.counts["steps"] += 1
        super().check_invariants(*arguments, **options)

    # Git

    @rule(which=_which, slot=_slots, spec=_specs)
    def write(self, which: int, slot: str, spec: dict[str, Any]) -> None:
        known = self.history.git[which].get(slot)
        if known is None:
            self.history.write(which, _manifest(slot, spec))
        else:
            kept = {name: known.spec[name] for name in (*PLAIN, "name")}
            self.history.write(which, known._replace(spec={**kept, **spec}))

    @rule(which=_which, pick=_picks, name=_names)
    def rename(self, which: int, pick: int, name: str) -> None:
        if manifest := self._picked(which, pick):
            spec = {**manifest.spec, "name": name.format(manifest.address)}
            self.history.write(which, manifest._replace(spec=spec))

    @rule(which=_which, pick=_picks, other=_picks)
    def swap_names(self, which: int, pick: int, other: int) -> None:
        one, two = self._picked(which, pick), self._picked(which, other)
        if one and two and one.kind == two.kind:
            names = one.spec["name"], two.spec["name"]
            for manifest, name in ((one, names[1]), (two, names[0])):
                self.history.write(which, manifest._replace(spec={**manifest.spec, "name": name}))

    @rule(which=_which, pick=_picks, slot=_slots)
    def move(self, which: int, pick: int, slot: str) -> None:
        manifest = self._picked(which, pick)
        kind, _, name = slot.partition("/")
        if manifest and manifest.kind == kind and slot not in self.history.git[which]:
            former = tuple(dict.fromkeys((manifest.name, *manifest.previously)))
            former = tuple(item for item in former if item != name)
            self.history.remove(which, manifest.address)
            self.history.write(which, manifest._replace(name=name, previously=former))

    @rule(which=_which, pick=_picks)
    def change_kind(self, which: int, pick: int) -> None:
        manifest = self._picked(which, pick)
        if manifest and manifest.name == "a":
            kind = "email-imap" if manifest.kind == "email-smtp" else "email-smtp"
            if f"{kind}/a" not in self.history.git[which]:
                self.history.remove(which, manifest.address)
                self.history.write(which, manifest._replace(kind=kind, id=None, previously=()))

    @rule(which=_which, pick=_picks)
    def remove(self, which: int, pick: int) -> None:
        manifest = self._picked(which, pick)
        if manifest and len(self.history.git[which]) > 1:
            self.history.remove(which, manifest.address)

    @rule(which=_which, pick=_picks, is_in=st.booleans())
    def pin(self, which: int, pick: int, *, is_in: bool) -> None:
        if manifest := self._picked(which, pick):
            records = self.history.records(self.history.machines[which])
            record = records.get(manifest.address, {})
            number = record.get("id") if is_in else None
            self.history.write(which, manifest._replace(id=number))

    @rule(which=_which)
    def pull(self, which: int) -> None:
        self.history.pull(which)

    # hands in AlertSite

    @rule(which=_which, slot=_slots, spec=_specs)
    def hand_creates(self, which: int, slot: str, spec: dict[str, Any]) -> None:
        """Somebody makes what a manifest describes, or did before it was removed."""
        manifest = self.history.git[which].get(slot, _manifest(slot, spec))
        fields = {**spec, "name": manifest.spec["name"], "note": "by hand"}
        self.history.hand_creates(manifest.kind, fields)

    @rule(pick=_picks, change=_drifts)
    def hand_edits(self, pick: int, change: tuple[str, Any]) -> None:
        if number := self._living(pick):
            self.history.hand_edits(number, dict([change]))

    @rule(which=_which, pick=_picks, other=_picks, is_to_ours=st.booleans())
    def hand_renames(self, which: int, pick: int, other: int, *, is_to_ours: bool) -> None:
        if number := self._living(pick):
            manifest = self._picked(which, other) if is_to_ours else None
            name = manifest.spec["name"] if manifest else f"renamed by hand {number}"
            self.history.hand_edits(number, {"name": name})

    @rule(pick=_picks)
    def hand_deletes(self, pick: int) -> None:
        if number := self._living(pick):
            self.history.hand_deletes(number)

    # runs

    @rule(which=_which, asked=_asked, words=st.sampled_from([("--json",), ()]))
    def plan(self, which: int, asked: tuple[bool, bool, str | None], words: tuple[str]) -> None:
        self.history.plans(which, self._flags(which, asked), *words)

    @rule(which=_which, asked=_asked, manner=_manners)
    def apply(
        self, which: int, asked: tuple[bool, bool, str | None], manner: tuple[str, ...]
    ) -> None:
        self.history.applies(which, self._flags(which, asked), *manner)

    @rule(
        which=_which,
        asked=_asked,
        number=st.integers(4, 60),
        is_unlocked=st.booleans(),
        minutes=st.sampled_from([0, 0, 1, 600]),
    )
    def apply_and_die(
        self,
        which: int,
        asked: tuple[bool, bool, str | None],
        number: int,
        minutes: int,
        *,
        is_unlocked: bool,
    ) -> None:
        self.history.applies(which, self._flags(which, asked), *_alone, gate=killing(number))
        if is_unlocked:
            self.history.unlocks()
        self.world.time.go_on(60 * minutes)

    @rule(
        which=_which,
        asked=_asked,
        number=st.integers(1, 8),
        only=st.sampled_from(["POST /m", "PATCH", "GET", "file", "DELETE"]),
        theirs=_asked,
        wait=st.sampled_from(["0s", "0s", "10m"]),
    )
    def apply_amid_apply(
        self,
        which: int,
        asked: tuple[bool, bool, str | None],
        number: int,
        only: str,
        theirs: tuple[bool, bool, str | None],
        wait: str,
    ) -> None:
        other = 1 - which

        def act() -> None:
            flags = self._flags(other, theirs)
            self.history.applies_beside(other, flags, *_alone, "--lock-timeout", wait)

        gate = Gate(number, self.history.amid(act), only)
        self.history.applies(which, self._flags(which, asked), *_alone, gate=gate)

    @rule(
        which=_which,
        slot=st.sampled_from((*SLOTS, *_FRESH)),
        spec=_specs,
        number=st.integers(1, 2),
    )
    def race(self, which: int, slot: str, spec: dict[str, Any], number: int) -> None:
        """A commit comes to both machines, and both apply it at once."""
        self.write(which, slot, spec)
        self.history.pull(1 - which)
        asked = (False, False, slot)  # what else is refused does not keep them from it
        self.apply_amid_apply(which, asked, number, "POST /m", asked, "0s")

    @rule(
        which=_which,
        slot=st.sampled_from(_FRESH),
        spec=_specs,
        way=st.sampled_from(WAYS),
        faults=_losses,
    )
    def make(
        self,
        which: int,
        slot: str,
        spec: dict[str, Any],
        way: str,
        faults: list[tuple[str, int]],
    ) -> None:
        """AlertSite becomes odd, a new monitor is asked for, and somebody repeats the apply."""
        self.become(way)
        self.strike(faults)
        self.write(which, slot, spec)
        for _ in range(2):
            self.history.applies(which, Flags(), *_alone)

    @rule(which=_which, spec=_specs, way=st.sampled_from(_DROPS))
    def replace(self, which: int, spec: dict[str, Any], way: str) -> None:
        """A monitor becomes one of another kind, of which AlertSite does not keep all."""
        git = self.history.git[which]
        kinds = [kind for kind in ("email-smtp", "email-imap") if f"{kind}/a" in git]
        slot = f"{kinds[0] if kinds else 'email-smtp'}/a"
        self.become_sane()
        self.write(which, slot, spec)
        self.history.applies(which, Flags(), *_alone)
        self.become(way)
        self.change_kind(which, sorted(git).index(slot))
        self.history.applies(which, Flags(prune=True), *_alone)

    @rule(
        which=_which,
        slot=st.sampled_from((*SLOTS, *_FRESH)),
        spec=_specs,
        seconds=st.sampled_from([0, 200]),
        is_renamed=st.booleans(),
    )
    def give_up(
        self, which: int, slot: str, spec: dict[str, Any], seconds: int, *, is_renamed: bool
    ) -> None:
        """A create gets lost, and somebody has what it asked for by hand.

        A new monitor, and the manifest is taken back; or one that was there gets that name.
        """
        self.write(which, slot, spec)
        flags = self._flags(which, (False, False, slot))
        gate = Gate(1, kill, "POST /m")
        self.history.applies(which, flags, *_alone, gate=gate)
        self.history.unlocks()
        self.world.time.go_on(seconds)
        manifest = self.history.git[which][slot]
        if is_renamed and (oldest := self._living(0)):
            self.history.hand_edits(oldest, {"name": manifest.spec["name"]})
            return
        for machine in (0, 1):
            if slot in self.history.git[machine] and len(self.history.git[machine]) > 1:
                self.history.remove(machine, slot)
        self.history.hand_creates(manifest.kind, manifest.spec)

    @rule(which=_which, number=st.integers(1, 4), pick=_picks, change=_drifts)
    def hand_amid_apply(self, which: int, number: int, pick: int, change: tuple[str, Any]) -> None:
        gate = Gate(number, self.history.amid(lambda: self.hand_edits(pick, change)), "PATCH")
        self.history.applies(which, Flags(), *_alone, gate=gate)

    @rule(which=_which, asked=_asked, number=st.integers(6, 60), port=st.integers(1, 9))
    def apply_on_full_disk(
        self, which: int, asked: tuple[bool, bool, str | None], number: int, port: int
    ) -> None:
        for slot in SLOTS:
            self.write(which, slot, {"port": port})
        self.history.applies_on_full_disk(which, self._flags(which, asked), number, fill_disk)

    @rule(
        which=_which,
        edits=st.lists(st.tuples(_slots, _specs), min_size=1, max_size=3),
        hand=_drifts,
        number=st.one_of(st.just(0), st.integers(4, 40)),
    )
    def revert(
        self,
        which: int,
        edits: list[tuple[str, dict[str, Any]]],
        hand: tuple[str, Any],
        number: int,
    ) -> None:
        self.history.reverts(which, edits, hand, number)

    @rule(
        which=_which,
        commit=st.dictionaries(
            st.sampled_from((*SLOTS, *_FRESH)), st.one_of(_specs, _specs, st.none()), min_size=1
        ),
        hand=st.one_of(st.none(), _drifts),
        number=st.one_of(st.just(0), st.integers(4, 40)),
    )
    def undo(
        self,
        which: int,
        commit: dict[str, dict[str, Any] | None],
        hand: tuple[str, Any] | None,
        number: int,
    ) -> None:
        # Requests that go out together take their time one after the other, and use up a token.
        pace, self.world.pace = self.world.pace, 0.0
        self.history.undoes(which, commit, hand, number)
        self.world.pace = pace

    @rule(which=_which, asked=_asked)
    def save_plan(self, which: int, asked: tuple[bool, bool, str | None]) -> None:
        self.history.saves_plan(which, self._flags(which, asked))

    @rule(which=_which, number=st.sampled_from([0, 0, 0, 20, 30, 40]))
    def apply_saved_plan(self, which: int, number: int) -> None:
        self.history.applies_plan(which, killing(number) if number else None)

    @rule(which=_which, pick=_picks)
    def remove_record(self, which: int, pick: int) -> None:
        records = sorted(self.history.records(self.history.machines[which]))
        if records:
            self.history.removes_record(which, records[pick % len(records)])

    @rule(pick=_picks)
    def lose_state(self, pick: int) -> None:
        if pick == 0:
            self.history.loses_state()

    @rule()
    def unlock(self) -> None:
        self.history.unlocks()

    # the world

    @rule(faults=_faults)
    def strike(self, faults: list[tuple[str, int]]) -> None:
        self.world.strike([f"{text} skip={skip} times=1" for text, skip in faults])

    @rule(way=st.sampled_from(WAYS))
    def become(self, way: str) -> None:
        self.world.becomes(way)

    @rule()
    def become_sane(self) -> None:
        self.world.becomes("")

    @rule(seconds=st.sampled_from([1, 30, 200, 4000, 200_000]))
    def wait(self, seconds: int) -> None:
        self.world.time.go_on(seconds)

    # picking

    def _picked(self, which: int, pick: int) -> Manifest | None:
        git = self.history.git[which]
        return git[sorted(git)[pick % len(git)]] if git else None

    def _living(self, pick: int) -> int | None:
        numbers = sorted(self.world.monitors())
        return numbers[pick % len(numbers)] if numbers else None

    def _flags(self, which: int, asked: tuple[bool, bool, str | None]) -> Flags:
        adopt, prune, target = asked
        git = self.history.git[which]
        return Flags(adopt, prune, target if target in git else "")


def _manifest(slot: str, spec: dict[str, Any]) -> Manifest:
    kind, _, name = slot.partition("/")
    return Manifest(kind, name, None, {**PLAIN, "name": _DISPLAYED.get(slot, slot), **spec})
