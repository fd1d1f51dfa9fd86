"""How an account is, in a few numbers.

Rule: values and a pure function; no I/O, clock or environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.cost import Cost, cost, regions_of
from reconciler.core.json_text import encoded
from reconciler.core.model import boolean
from reconciler.core.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.core.drift import Drift
    from reconciler.core.listing import Listing
    from reconciler.core.model import JSON, Kind, Live
    from reconciler.core.plan import Plan
    from reconciler.core.state import State


FORMAT_VERSION = "1.0"
"""Of the JSON: the minor number grows with additions, the major with anything else."""


class Holder(NamedTuple):
    """Who holds the lock of the state."""

    run: str
    holder: str
    host: str
    operation: str
    since: str


class Watching(NamedTuple):
    """How many of the managed monitors that are there watch, and tell somebody.

    Attributes:
        disabled: they do not run.
        silenced: they run, and nobody is told of a failure.
    """

    managed: int
    disabled: int
    silenced: int


class Overview(NamedTuple):
    """How an account is.

    Attributes:
        listing: its monitors.
        manifests: how many monitors the manifests describe.
        files: how many files they stand in.
        where: the folder with the manifests.
        cost: of all email monitors of the account, but for those that an account with the same
            login describes.
        location: where the state is kept.
        holder: None while nobody holds the lock.
    """

    listing: Listing
    plan: Plan
    drift: Drift
    manifests: int
    files: int
    where: str
    coverage: Watching
    cost: Cost
    state: State
    location: str
    holder: Holder | None

    @property
    def applied(self) -> int:
        """How many records AlertSite was compared with."""
        return len(self.drift.monitors) + self.drift.kept

    @property
    def tally(self) -> dict[str, int]:
        """The numbers of the account for a table of several, by what they count."""
        found = self.listing.counts()
        if self.applied:
            found["drifted"] = len(self.drift.monitors)
        return found | {"disabled": self.coverage.disabled, "silenced": self.coverage.silenced}

    @property
    def note(self) -> str:
        """What else a person must know of it there; empty if all is as usual."""
        refused = len(self.plan.refusals)
        found = [f"{refused:,} refused"] if refused else []
        if self.holder is not None:
            found.append(f"locked by {self.holder.holder} for {self.holder.operation}")
        return "; ".join(found)

    def to_json(self) -> dict[str, JSON]:
        """What `schemas/status.schema.json` describes."""
        plan, state = self.plan, self.state
        return {
            "format_version": FORMAT_VERSION,
            "account": plan.account._asdict(),
            "manifests": {"count": self.manifests, "files": self.files, "where": self.where},
            "monitors": self.listing.counts(),
            "plan": {**plan.counts, "refused": len(plan.refusals)},
            "drift": {"drifted": len(self.drift.monitors), "records": self.applied},
            "coverage": self.coverage._asdict(),
            "cost": self.cost._asdict(),
            "state": {
                "location": self.location,
                "serial": state.serial,
                "records": len(state.records),
            },
            "last_run": {
                "id": state.run,
                "at": state.saved_at,
                "commit": state.generation.commit or None,
                "dirty": state.generation.dirty,
            }
            if state.run
            else None,
            "lock": encoded(self.holder),
        }


def find_overview(
    listing: Listing,
    plan: Plan,
    drift: Drift,
    live: Sequence[Live],
    kinds: Mapping[str, Kind],
    *,
    files: int,
    where: str,
    state: State,
    location: str,
    holder: Holder | None,
) -> Overview:
    """How the account is that was listed, planned and compared with the state."""
    ours = [
        item for item in listing.monitors if item.standing in {Standing.MANAGED, Standing.MISSING}
    ]
    there = [item for item in ours if item.is_live]
    running = [item for item in there if boolean(item.fields.get("enabled")) is not False]
    silent = sum(boolean(item.fields.get("notify_on_error")) is False for item in running)
    email = [item for item in live if item.type in kinds or item.type is None]
    watching = Watching(len(there), len(there) - len(running), silent)
    worth = cost(email, regions_of(email))
    return Overview(
        listing, plan, drift, len(ours), files, where, watching, worth, state, location, holder
    )
