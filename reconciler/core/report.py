"""The fleet as it is: what is managed, what is not, what it costs, and how old what we know is.

Rule: pure. It is made of one observation, the manifests and the state, and decides nothing. Every
email monitor of the account is in it at most once, and every manifest exactly once; all counts are
counts of these. Monitors that belong to another account with the same login are not in it.

**Measurements and credits.** One measurement is one run from one location. Where a monitor rotates,
a run takes a part of its locations, and each location has its share of them. AlertSite's page on
usage-based monitoring (read in November 2026) says that a simple check costs 0.5 credits from the
US and Canada and 1.0 from elsewhere; it names no price of its own for mail. A location whose region
AlertSite does not tell is counted as elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from reconciler.core.cost import credits_of, per_day
from reconciler.core.drift import find_drift
from reconciler.core.inventory import Inventory
from reconciler.core.json_text import encoded
from reconciler.core.model import boolean
from reconciler.core.names import find_members
from reconciler.core.pending import records_of
from reconciler.core.siblings import NOBODY
from reconciler.core.standing import Standing, standings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from reconciler.core.generation import Generation
    from reconciler.core.model import JSON, Account, Desired, Kind, Live
    from reconciler.core.siblings import Claims
    from reconciler.core.standing import Listed
    from reconciler.core.state import Record, State


_Key = TypeVar("_Key", str, "int | None")
FORMAT_VERSION = "1.0"
"""Of the report's JSON: the minor number grows with additions, the major with anything else."""

NO_LABEL = "(no label)"
NO_LOCATION = "(unknown)"
NO_KIND = "(unknown)"
_NORTH_AMERICA = 1
REGIONS = {
    _NORTH_AMERICA: "US and Canada",
    2: "Other countries",
    3: "Mobile carriers",
    0: "Private locations",
}
"""What AlertSite's numbers of regions mean."""
_OTHER_REGION = "Unknown region"


class Monitor(NamedTuple):
    """One monitor of the account, or one that a manifest asks for and that is not there.

    Attributes:
        address: empty of a monitor that nobody manages.
        id: None of one that was never there.
        name: the display name in AlertSite, or in the manifest if it is not there.
        is_protected: deleting it is refused.
        locations: the ids that it runs from, as AlertSite has them.
        measurements: per day; None if that cannot be known.
        applied_at: when it was last applied, RFC 3339 UTC; empty if never, as far as is known.
        applied_age: how many seconds ago that was; None if that is not known.
        run: by which run.
    """

    address: str
    kind: str
    id: int | None
    name: str
    standing: Standing
    is_drifted: bool = False
    is_disabled: bool = False
    is_protected: bool = False
    labels: Mapping[str, str] = {}
    locations: tuple[int, ...] = ()
    measurements: int | None = None
    applied_at: str = ""
    applied_age: int | None = None
    run: str = ""

    @property
    def share(self) -> float:
        """Measurements per day from each of its locations."""
        return (self.measurements or 0) / len(self.locations) if self.locations else 0.0


class Location(NamedTuple):
    """Where monitors run from.

    Attributes:
        region: AlertSite's number; None if it does not tell.
    """

    id: int
    name: str
    region: int | None

    @property
    def region_name(self) -> str:
        """The region in words."""
        return _OTHER_REGION if self.region is None else REGIONS.get(self.region, _OTHER_REGION)

    @property
    def credits(self) -> float:
        """What one measurement costs."""
        return credits_of(self.region)


class Tally(NamedTuple):
    """How many monitors there are of a kind, label, location or region.

    Attributes:
        monitors: those that are in AlertSite.
        missing: those that manifests ask for and that are not; they are not in `monitors`.
        measurements: per day.
        credits: per day.
    """

    monitors: int = 0
    managed: int = 0
    unmanaged: int = 0
    orphaned: int = 0
    missing: int = 0
    drifted: int = 0
    disabled: int = 0
    protected: int = 0
    measurements: float = 0.0
    credits: float = 0.0


class AppliedRun(NamedTuple):
    """What is left of a run: the monitors that it was the last to apply.

    Attributes:
        at: its last one, RFC 3339 UTC.
    """

    run: str
    at: str
    monitors: int


class Report(NamedTuple):
    """The fleet of one account at one moment.

    Attributes:
        read_at: when AlertSite was read, RFC 3339 UTC.
        monitors: sorted by kind, then address, then id.
        locations: by id, all that monitors run from.
        saved_at: when the state was saved last, RFC 3339 UTC; empty if there is none.
        saved_age: how many seconds ago that was; None if that is not known.
        generation: the commit that was applied last.
        pending: creates whose outcome is not known.
        runs: of all that the state knows, the latest first.
    """

    account: Account
    read_at: str
    monitors: tuple[Monitor, ...]
    locations: Mapping[int, Location]
    saved_at: str
    saved_age: int | None
    generation: Generation
    pending: int
    runs: tuple[AppliedRun, ...]

    @property
    def total(self) -> Tally:
        """All of it."""
        return self._tallies(lambda monitor: [("", monitor.locations)]).get("", Tally())

    def by_kind(self) -> dict[str, Tally]:
        """By kind."""
        return self._tallies(lambda monitor: [(monitor.kind or NO_KIND, monitor.locations)])

    def by_label(self) -> dict[str, Tally]:
        """By label, as `name=value`; a monitor is in as many as it has."""
        return self._tallies(
            lambda monitor: [
                (label, monitor.locations)
                for label in [f"{name}={value}" for name, value in monitor.labels.items()]
                or [NO_LABEL]
            ]
        )

    def by_location(self) -> dict[int | None, Tally]:
        """By location; of measurements and credits only the share that is made from there.

        None stands for no location that AlertSite tells.
        """
        return self._tallies(
            lambda monitor: [(place, (place,)) for place in monitor.locations] or [(None, ())]
        )

    def by_region(self) -> dict[str, Tally]:
        """By region, in words; of measurements and credits only what is made from there."""

        def regions(monitor: Monitor) -> Iterable[tuple[str, Sequence[int]]]:
            found: dict[str, list[int]] = {}
            for place in monitor.locations:
                found.setdefault(self.locations[place].region_name, []).append(place)
            return found.items()

        found = self._tallies(regions)
        return dict(sorted(found.items(), key=lambda item: (-item[1].measurements, item[0])))

    def to_json(self) -> dict[str, JSON]:
        """The report as `schemas/report.schema.json` describes it."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account._asdict(),
            "read_at": self.read_at,
            "state": {
                "saved_at": self.saved_at,
                "saved_age": self.saved_age,
                "generation": self.generation._asdict(),
                "pending_creates": self.pending,
            },
            "total": encoded(self.total),
            "kinds": encoded(self.by_kind()),
            "labels": encoded(self.by_label()),
            "locations": [
                {"id": number, "name": None, "region": None}
                | (encoded(self.locations[number]) if number is not None else {})
                | encoded(tally)
                for number, tally in self.by_location().items()
            ],
            "regions": encoded(self.by_region()),
            "runs": encoded(self.runs),
            "monitors": encoded(self.monitors),
        }

    def _tallies(
        self, parts: Callable[[Monitor], Iterable[tuple[_Key, Sequence[int]]]]
    ) -> dict[_Key, Tally]:
        """The tallies, the largest first.

        Of each monitor `parts` gives what it counts for, each with the locations of which the
        measurements count.
        """
        found: dict[_Key, Tally] = {}
        for monitor in self.monitors:
            for key, places in parts(monitor):
                worth = sum(self.locations[place].credits for place in places)
                found[key] = _more(
                    found.get(key, Tally()),
                    monitor,
                    monitor.share * len(places),
                    monitor.share * worth,
                )
        return dict(sorted(found.items(), key=lambda item: (-item[1].monitors, item[0] or 0)))


def fleet_report(
    account: Account,
    desired: Iterable[Desired],
    state: State,
    live: Iterable[Live],
    kinds: Mapping[str, Kind],
    read_at: str,
    age: Callable[[str], int | None],
    others: Claims = NOBODY,
) -> Report:
    """The fleet as an observation shows it.

    `read_at` is when `live` was read, RFC 3339 UTC; `age` gives how many seconds before that a
    time was, or None if it is none. What `others` with the same login describe is left out.
    """
    live = others.leave(live)
    view = Inventory(desired, records_of(state, live, kinds), live, others=others)
    drift = find_drift(account, view.records, view.by_id.values(), kinds, today=read_at[:10])
    drifted = {monitor.address for monitor in drift.monitors}
    members = find_members("locations", view.by_id.values())
    places: dict[int, list[int]] = {}
    for member in members:
        for number in member.monitors:
            places.setdefault(number, []).append(member.id)
    monitors = [_monitor(item, drifted, age, places) for item in standings(view, kinds)]
    monitors.sort(key=lambda item: (item.kind, item.address or "~", item.id or 0))
    return Report(
        account,
        read_at,
        tuple(monitors),
        {
            item.id: Location(
                item.id,
                item.names[0] if item.names else "",
                item.regions[0] if len(item.regions) == 1 else None,
            )
            for item in members
        },
        state.saved_at,
        age(state.saved_at),
        state.generation,
        len(state.pending_creates),
        _runs(state.records.values()),
    )


def _monitor(
    item: Listed,
    drifted: Collection[str | None],
    age: Callable[[str], int | None],
    places: Mapping[int, Sequence[int]],
) -> Monitor:
    """A monitor of the report; `places` has the locations of those in AlertSite, by their ids."""
    live, manifest, record = item.live, item.manifest, item.record
    fields = live.fields if live else manifest.fields if manifest else {}
    is_protected = record is not None and record.protect
    return Monitor(
        item.address or "",
        item.kind.name,
        item.id,
        str(fields.get("name") or ""),
        item.standing,
        is_drifted=live is not None and item.address in drifted,
        is_disabled=live is not None and boolean(fields.get("enabled")) is False,
        is_protected=manifest.lifecycle.protect if manifest else is_protected,
        labels=item.labels,
        locations=tuple(places.get(live.id, ())) if live else (),
        measurements=per_day(live.fields) if live else None,
        applied_at=item.applied_at,
        applied_age=age(item.applied_at) if item.applied_at else None,
        run=item.run,
    )


def _runs(records: Iterable[Record]) -> tuple[AppliedRun, ...]:
    found: dict[str, AppliedRun] = {}
    for record in records:
        if record.run:
            known = found.get(record.run, AppliedRun(record.run, "", 0))
            at = max(known.at, record.applied_at)
            found[record.run] = AppliedRun(record.run, at, known.monitors + 1)
    return tuple(sorted(found.values(), key=lambda run: (run.at, run.run), reverse=True))


def _more(tally: Tally, monitor: Monitor, measurements: float, credits_: float) -> Tally:
    """The tally with one more monitor in it."""
    standing = monitor.standing
    is_there = standing is not Standing.MISSING
    return Tally(
        tally.monitors + is_there,
        tally.managed + (standing is Standing.MANAGED),
        tally.unmanaged + (standing is Standing.UNMANAGED),
        tally.orphaned + (standing is Standing.ORPHANED),
        tally.missing + (not is_there),
        tally.drifted + monitor.is_drifted,
        tally.disabled + monitor.is_disabled,
        tally.protected + monitor.is_protected,
        round(tally.measurements + measurements, 6),
        round(tally.credits + credits_, 6),
    )
