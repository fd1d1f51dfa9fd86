"""How an account is, in a few numbers.

Rule: values and a pure function; no I/O, clock or environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.cost import Cost, cost, regions_of
from reconciler.core.model import boolean
from reconciler.core.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.core.drift import Drift
    from reconciler.core.generation import Generation
    from reconciler.core.listing import Listing
    from reconciler.core.model import JSON, Account, Kind, Live
    from reconciler.core.plan import Plan


FORMAT_VERSION = "1.0"
"""Of the JSON: the minor number grows with additions, the major with anything else."""


class Stored(NamedTuple):
    """What the state says of itself.

    Attributes:
        run: the last one that saved it; empty if none has.
        saved_at: RFC 3339 UTC.
        generation: of the manifests that were applied last.
    """

    location: str
    serial: int
    records: int
    run: str
    saved_at: str
    generation: Generation


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
        files: how many files the manifests stand in.
        where: the folder with the manifests.
        counts: how many monitors there are of each standing.
        changes: how many changes of each action a plan has.
        refused: how many manifests it refuses.
        cost: of all email monitors of the account, but for those that an account with the same
            login describes.
        holder: None while nobody holds the lock.
    """

    account: Account
    manifests: int
    files: int
    where: str
    counts: Mapping[str, int]
    changes: Mapping[str, int]
    refused: int
    drifted: int
    applied: int
    coverage: Watching
    cost: Cost
    stored: Stored
    holder: Holder | None

    def to_json(self) -> dict[str, JSON]:
        """What `schemas/status.schema.json` describes."""
        stored, generation = self.stored, self.stored.generation
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account._asdict(),
            "manifests": {"count": self.manifests, "files": self.files, "where": self.where},
            "monitors": dict(self.counts),
            "plan": {**self.changes, "refused": self.refused},
            "drift": {"drifted": self.drifted, "records": self.applied},
            "coverage": self.coverage._asdict(),
            "cost": self.cost._asdict(),
            "state": {
                "location": stored.location,
                "serial": stored.serial,
                "records": stored.records,
            },
            "last_run": {
                "id": stored.run,
                "at": stored.saved_at,
                "commit": generation.commit or None,
                "dirty": generation.dirty,
            }
            if stored.run
            else None,
            "lock": self.holder and self.holder._asdict(),
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
    stored: Stored,
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
    return Overview(
        account=plan.account,
        manifests=len(ours),
        files=files,
        where=where,
        counts=listing.counts(),
        changes=plan.counts,
        refused=len(plan.refusals),
        drifted=len(drift.monitors),
        applied=len(drift.monitors) + drift.kept,
        coverage=Watching(len(there), len(there) - len(running), silent),
        cost=cost(email, regions_of(email)),
        stored=stored,
        holder=holder,
    )
