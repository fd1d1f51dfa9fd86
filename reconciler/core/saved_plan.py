"""A plan that was written down to be reviewed, and what is left of it when it is applied.

Rule: a saved plan is executed as it was reviewed or refused, change by change; nothing is added. It
pins the fields that it touches, not the state's serial: what somebody else applied to other
monitors meanwhile is no reason to review again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.generation import Generation
from reconciler.core.json_text import decoded, encoded
from reconciler.core.model import canonical
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Action, Binding, BindingAction, Plan, Reason, fingerprint, pins
from reconciler.core.result import Outcome, Status
from reconciler.errors import ExitCode, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.diff import FieldChange
    from reconciler.core.model import JSON, Account, Desired, Kind, Live
    from reconciler.core.plan import Change


_AGAIN = "Make a new plan here: reconciler plan --out FILE"
_ALLOW = "To apply only what both ask for, allow it for this run with --allow-different-manifests."


class PlanInputs(NamedTuple):
    """What a saved plan was made from, and how.

    Attributes:
        tool_version: of the reconciler that made it.
        lineage: of the state; empty if there was none, and then it binds to none.
        manifests: the digest of all manifests; see `fleet_digest`.
        id: of the run that made it, which no other plan shares: two plans may do the same.
        generation: of the manifests.
        settings: the digest of what the project's file decides.
        undoes: the run that it takes back; empty for a plan of manifests.
    """

    tool_version: str
    lineage: str
    manifests: str
    targets: tuple[str, ...] = ()
    adopt: bool = False
    write_secrets: bool = False
    prune: bool = False
    keep: tuple[str, ...] = ()
    id: str = ""
    generation: Generation = Generation()
    settings: str = ""
    undoes: str = ""

    def is_of_the_same(self, other: PlanInputs) -> bool:
        """Whether both are made from manifests and settings that say the same, of any commit."""
        return (self.manifests, self.settings) == (other.manifests, other.settings)

    @property
    def options(self) -> PlanOptions:
        """How it was made, so that it can be made again."""
        return PlanOptions(self.targets, self.adopt, self.write_secrets, self.prune, self.keep)


_BASIS = PlanInputs("", "", "", targets=("",), keep=("",))


class SavedPlan(NamedTuple):
    """A plan and its basis."""

    plan: Plan
    basis: PlanInputs


class Review(NamedTuple):
    """What is left of a saved plan.

    Attributes:
        plan: the changes that can be made as they were reviewed.
        moved: an outcome for each change that cannot, since it moved; or since another did, and it
            comes after all others.
        done: how many changes AlertSite already has.
    """

    plan: Plan
    moved: tuple[Outcome, ...]
    done: int


def fleet_digest(desired: Iterable[Desired]) -> str:
    """What two fleets share exactly when their manifests say the same."""
    said: list[list[JSON]] = [
        [
            item.address,
            item.id,
            dict(item.fields),
            dict(item.secrets),
            dict(item.labels),
            item.lifecycle,
            item.previously,
        ]
        for item in desired
    ]
    return fingerprint(sorted(said, key=lambda item: str(item[0])))


def to_json(saved: SavedPlan) -> dict[str, JSON]:
    """The saved plan as `schemas/plan.schema.json` describes it; it holds no secret."""
    data = saved.plan.to_json()
    for change, item in zip(saved.plan.changes, data["changes"], strict=True):
        item["pins"] = pins(change)
    return data | {"basis": encoded(saved.basis)}


def from_json(data: Mapping[str, JSON]) -> SavedPlan:
    """The saved plan that `to_json` gave; `data` must fit `schemas/plan.schema.json`.

    Raises:
        RefusedError: it was changed by hand.
    """
    try:
        saved = SavedPlan(Plan.from_json(data), decoded(_BASIS, data["basis"]))
        if to_json(saved) == data:  # the digest is of what the changes say
            return saved
    except (KeyError, TypeError):
        pass  # it fits the schema, but is nothing that we would write
    raise RefusedError(
        "the plan was changed after it was written: its digest does not match",
        "Make a new plan: reconciler plan --out FILE",
    )


def refuse_foreign(
    saved: SavedPlan, current: PlanInputs, account: Account, *, allow_different: bool = False
) -> str:
    """What is to be said of a plan that was made from other manifests; empty if it was not.

    Args:
        saved: the plan.
        current: what a plan would be made from here and now.
        account: that of this run.
        allow_different: whether it may have been made from other manifests or settings.

    Raises:
        RefusedError: it was made from something else than what is here; the first thing is named.
    """
    made = saved.basis
    differences = (
        ("the account", str(saved.plan.account), str(account)),
        ("reconciler", made.tool_version, current.tool_version),
        ("the state of the lineage", made.lineage, current.lineage or "without any state"),
    )
    is_same = made.is_of_the_same(current)
    what = "the manifests have" if made.manifests != current.manifests else "reconciler.toml has"
    changed, hint = f"{what} changed since the plan was made", f"{_AGAIN}. {_ALLOW}"
    then, here = _from(made), _from(current)
    if then != here:
        changed += f": it was made from {then}, but here is {here}"
        if made.generation.commit:
            hint = f"{_AGAIN}. Or check out the commit that it was made from. {_ALLOW}"
    if not is_same and not allow_different:
        raise RefusedError(changed, hint)
    for name, then, now in differences:
        if then not in {now, ""}:
            raise RefusedError(
                f"the plan was made for {name} {then}, but this is {now}",
                _AGAIN,
            )
    if is_same:
        return ""
    return (
        f"{changed[0].upper()}{changed[1:]}. "
        "Allowed in this run: only what both ask for is applied."
    )


def _from(basis: PlanInputs) -> str:
    """Where manifests come from, in words."""
    generation = basis.generation
    if generation.commit:
        return f"commit {generation}"
    return "a folder without a commit"


def review(
    saved: Plan,
    current: Plan,
    live: Mapping[int, Live],
    kinds: Mapping[str, Kind],
    *,
    tracks: bool,
    others: Iterable[Desired] | None = None,
) -> Review:
    """What is left of a saved plan in the light of a current one.

    Args:
        saved: as it was reviewed.
        current: as it would be now.
        live: what AlertSite has, by id.
        kinds: all kinds, by name.
        tracks: whether it can be told which secrets AlertSite has already.
        others: the manifests that are here, if the plan was made from others: then what they do not
            ask for as well is not applied. None if they are the same.

    Raises:
        RefusedError: another monitor would be adopted, or another record moved.
    """
    bindings = _bindings(saved, current)
    now = {change.address: change for change in current.changes}
    refusals = {refusal.address: refusal.message for refusal in current.refusals}
    changes: list[Change] = []
    moved: list[Outcome] = []
    done = 0
    here = None if others is None else {item.address: item for item in others}
    for planned in saved.changes:
        change = now.get(planned.address)
        reason = refusals.get(planned.address, "")
        fields: tuple[FieldChange, ...] = ()
        if here is not None:
            reason = _unasked(planned, here.get(planned.address)) or reason
        if not reason and not tracks and _has_secret(planned) and not _has_secret(change):
            reason = _UNTOLD
        reason = reason or _undone(planned, change, live, kinds)
        if not reason and change is not None:
            reason, fields = _what_moved(planned, change)
        if reason:
            outcome = Outcome(planned, Status.MOVED, reason, ExitCode.REFUSED, moved=fields)
            moved.append(outcome)
        elif change is not None and (left := _left(planned, change)):
            changes.append(left)
        else:
            done += 1
    if moved:  # a monitor that is replaced stays until its replacement is there
        waits = "monitors are only retired when all other changes are done"
        retired = [change for change in changes if change.is_retirement]
        moved += [Outcome(change, Status.NOT_STARTED, waits) for change in retired]
        changes = [change for change in changes if not change.is_retirement]
    moved.sort(key=lambda outcome: outcome.change.address)
    left_out = now.keys() | {outcome.change.address for outcome in moved}
    left_out -= {change.address for change in changes}
    coverage = current.coverage.without(left_out)
    plan = current._replace(
        changes=tuple(changes), bindings=bindings, refusals=(), coverage=coverage
    )
    return Review(plan, tuple(moved), done)


def _unasked(planned: Change, desired: Desired | None) -> str:
    """Why a manifest, or that there is none, does not ask for a planned change; empty if it does.

    Without this a change that nobody asks for any more would look like one that was made already.
    """
    if planned.is_retirement:
        return "" if desired is None else "it has a manifest here"
    if desired is None:
        return "it has no manifest here"
    asked: dict[str, JSON] = {**desired.fields, **desired.secrets}
    fields = [
        item.field
        for item in planned.fields
        if item.sent_with is None
        and (
            item.field in asked  # it is to go back since no manifest names it
            if item.before_run is not None
            else canonical(asked.get(item.field)) != canonical(planned.body[item.field])
        )
    ]
    return f"{', '.join(fields)}: the manifest here says something else" if fields else ""


def _undone(
    planned: Change, change: Change | None, live: Mapping[int, Live], kinds: Mapping[str, Kind]
) -> str:
    """What nothing asks for any more, though AlertSite does not have it; empty if it has all.

    A manifest asks until AlertSite has its values. What goes back to before the tool, or away, is
    asked for by a record, and that can change or be gone.
    """
    monitor = live.get(planned.id) if planned.id is not None else None
    if monitor is None:
        return ""
    if planned.action is Action.DELETE:
        return "" if change else "the state no longer has a record of it"
    kind = kinds.get(planned.kind)
    if kind is None:
        return "its kind is not known here"
    asked = change.body if change else {}
    fields = [
        item.field
        for item in planned.fields
        if item.sent_with is None and item.source is None and item.field not in asked
        if not kind.field(item.field).is_same(
            monitor.fields.get(item.field), planned.body[item.field]
        )
    ]
    return f"{', '.join(fields)}: no manifest sets this any more" if fields else ""


def _what_moved(planned: Change, change: Change) -> tuple[str, tuple[FieldChange, ...]]:
    """Why a planned change cannot be made as it was reviewed; empty if it can.

    With it come the fields that AlertSite has with another value than when the plan was made.
    """
    is_gone = Reason.DELETED_OUTSIDE in {change.reason} - {planned.reason}
    if (change.action, change.id) != (planned.action, planned.id) or is_gone:
        if change.action is Action.CREATE:
            return "the monitor was deleted since the plan was made", ()
        if planned.action is Action.CREATE:
            return f"monitor {change.id} was created since the plan was made", ()
        return f"monitor {change.id} took the place of {planned.id} since the plan was made", ()
    pinned, has = pins(planned), pins(change)
    fields = tuple(
        item
        for item in change.fields
        if item.field in pinned and item.source is None and has[item.field] != pinned[item.field]
    )
    if fields:
        names = ", ".join(item.field for item in fields)
        return f"{names} changed in AlertSite since the plan was made", fields
    # The manifests are the same, so these are too, unless somebody has written another plan.
    others = [
        item.field
        for item in change.fields
        if item.sent_with is None
        and item.field in planned.body
        and planned.body[item.field] != change.body[item.field]
    ]
    return f"{', '.join(others)} would not become what the manifests say" if others else "", ()


_UNTOLD = "cannot tell without RECONCILER_SECRET_KEY whether its secret was already sent"


def _has_secret(change: Change | None) -> bool:
    return change is not None and any(item.source is not None for item in change.fields)


_OTHERWISE = {
    BindingAction.ADOPT: "{address} would adopt monitor {id}, which was not reviewed",
    BindingAction.MOVE: "the record of {before} would move to {address}, which was not reviewed",
}


def _bindings(saved: Plan, current: Plan) -> tuple[Binding, ...]:
    """The bindings that are left: those that were reviewed, and what the plan's own creates made.

    Raises:
        RefusedError: without one that was not reviewed, or with one that is not possible any more,
            the plan would do something else.
    """
    reviewed = set(saved.bindings)
    refused = {refusal.address for refusal in current.refusals}
    for binding in saved.binding(BindingAction.ADOPT):
        if binding.address in refused:
            raise RefusedError(f"{binding.address} can no longer be adopted as reviewed", _AGAIN)
    for binding in current.bindings:
        if binding not in reviewed and (words := _OTHERWISE.get(binding.action)):
            raise RefusedError(words.format(**binding._asdict()), _AGAIN)
    made = {change.address for change in saved.having(Action.CREATE)}
    return tuple(
        binding
        for binding in current.bindings
        if binding in reviewed or (binding.action is BindingAction.BIND and binding.address in made)
    )


def _left(planned: Change, change: Change) -> Change | None:
    """The part of a planned change that AlertSite does not have yet."""
    if change.action is Action.DELETE:
        return change
    body = {name: value for name, value in change.body.items() if name in planned.body}
    fields = tuple(item for item in change.fields if item.field in body)
    if all(item.sent_with is not None for item in fields):
        return None
    return change._replace(body=body, fields=fields)
