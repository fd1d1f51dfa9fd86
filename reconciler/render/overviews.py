"""How an account is, in ten lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined
from reconciler.render.listings import standings_text
from reconciler.render.text import labelled, quantity
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.overview import Overview


def overview_text(overview: Overview, *, age: str = "", colour: bool = False) -> Lines:
    """A line for each question; `age` says how long ago the last run was."""
    return joined(labelled(_rows(overview, age), colour=colour), colour=colour)


def _rows(overview: Overview, age: str) -> Iterator[tuple[str, ...]]:
    """The name of each line, its text and how that is coloured."""
    state, holder, cost = overview.state, overview.holder, overview.cost
    yield "account", str(overview.plan.account)
    files = quantity(overview.files, "file")
    yield "manifests", f"{overview.manifests:,} in {files} below {overview.where}"
    yield "monitors", standings_text(overview.listing.counts()) or "none"
    yield "plan", *_plan(overview)
    yield "drift", *_drift(overview)
    yield "coverage", *_coverage(overview)
    everyone = cost.monitors + cost.unknown
    emails = quantity(everyone, "email monitor")
    scope = f"{cost.monitors:,} of " if cost.unknown else "" if everyone == 1 else "all "
    unknown = "; the others have no known interval or locations" if cost.unknown else ""
    spent = f"{cost.measurements:,} measurements and {cost.credits:,.10g} credits per day"
    yield "cost", f"{spent}, of {scope}{emails}{unknown}"
    records = quantity(len(state.records), "record")
    yield "state", f"{overview.location}, serial {state.serial}, {records}"
    commit = f", commit {state.generation}" if state.generation.commit else ""
    saved = f"{state.run}, saved {state.saved_at} ({age}){commit}"
    yield "last run", saved if state.run else "none, according to the state"
    if holder is None:
        yield "lock", "free"
    else:
        where = f"{holder.holder} on {holder.host} for {holder.operation}"
        yield "lock", f"held by {where} since {holder.since}, run {holder.run}", "!"


def _plan(overview: Overview) -> tuple[str, str]:
    changes, refused = overview.plan.counts, len(overview.plan.refusals)
    if not any(changes.values()) and not refused:
        return "no changes", ""
    parts = [f"{changes[action.value]:,} to {VERBS[action].word}" for action in Action]
    if refused:
        parts.append(f"{refused:,} refused")
    return ", ".join(parts), "!" if refused else "~"


def _drift(overview: Overview) -> tuple[str, str]:
    if not overview.applied:
        return "unknown: nothing applied yet", ""
    if not (drifted := len(overview.drift.monitors)):
        return f"none: {overview.applied:,} as last applied", ""
    return f"{drifted:,} of {overview.applied:,} not as last applied", "drift"


def _coverage(overview: Overview) -> tuple[str, str]:
    managed, disabled, silenced = overview.coverage
    watching = managed - disabled - silenced
    text = f"{watching:,} of {managed:,} managed monitors run and send alerts"
    if disabled:
        text += f", {disabled:,} disabled"
    if silenced:
        text += f", {silenced:,} silenced"
    return text, "" if watching == managed else "~"
