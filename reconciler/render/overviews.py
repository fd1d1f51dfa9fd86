"""How an account is, in ten lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined, printable
from reconciler.render.listings import standings_text
from reconciler.render.text import paint, quantity
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.overview import Overview


def overview_text(overview: Overview, *, age: str = "", colour: bool = False) -> Lines:
    """A line for each question; `age` says how long ago the last run was."""
    lines = []
    for name, text, symbol in _rows(overview, age):
        shown = printable(text)
        if symbol:
            shown = paint(shown, symbol, colour=colour)
        lines.append(f"{name:<11}{shown}")
    return joined(lines, colour=colour)


def _rows(overview: Overview, age: str) -> Iterator[tuple[str, str, str]]:
    """The name of each line, its text and the symbol that it is coloured as."""
    state, holder = overview.state, overview.holder
    yield "account", str(overview.plan.account), ""
    files = quantity(overview.files, "file")
    yield "manifests", f"{overview.manifests:,} in {files} below {overview.where}", ""
    yield "monitors", standings_text(overview.listing.counts()) or "none", ""
    yield "plan", *_plan(overview)
    yield "drift", *_drift(overview)
    yield "coverage", *_coverage(overview)
    yield "cost", _cost(overview), ""
    records = quantity(len(state.records), "record")
    yield "state", f"{overview.location}, serial {state.serial}, {records}", ""
    yield "last run", _last_run(overview, age), ""
    if holder is None:
        yield "lock", "free", ""
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


def _cost(overview: Overview) -> str:
    found = overview.cost
    all_ = found.monitors + found.unknown
    scope = f"all {all_:,}" if not found.unknown else f"{found.monitors:,} of {all_:,}"
    unknown = "" if not found.unknown else "; the others have no known interval or locations"
    return (
        f"{found.measurements:,} measurements and {found.credits:,.10g} credits per day, of "
        f"{scope} email monitors{unknown}"
    )


def _last_run(overview: Overview, age: str) -> str:
    state = overview.state
    if not state.run:
        return "none, according to the state"
    commit = f", commit {state.generation}" if state.generation.commit else ""
    return f"{state.run}, saved {state.saved_at} ({age}){commit}"
