"""Takes a run back: a plan of what it changed, carried out as every other plan is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core import undo
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Action
from reconciler.errors import RefusedError, UsageError
from reconciler.usecases.load import Fleet
from reconciler.usecases.plan import Grace, Planned, Workspace, look, terms_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.alertsite import Reader
    from reconciler.core.plan import Plan
    from reconciler.core.run_record import RunRecord
    from reconciler.core.state import State


_NOTHING_LEFT = "none of its changes took effect, and none of its bindings is left"


class UndoWorkspace(NamedTuple):
    """What takes a run back, and the workspace that it makes."""

    workspace: Workspace
    undoing: undo.Undoing


def undo_workspace(
    workspace: Workspace, record: RunRecord, state: State, targets: Sequence[str]
) -> UndoWorkspace:
    """The workspace in which the plan is one that takes the run back.

    Args:
        workspace: what else is needed to plan; of its manifests only what their account must leave
            to others is looked at.
        record: of the run.
        state: what is known by now.
        targets: addresses, or globs over them, to which it is limited.

    Raises:
        RefusedError: there is nothing to take back.
        UsageError: a target means nothing that the run touched.
    """
    for target in targets:
        if undo.matches_nothing(record, target):
            raise UsageError(
                f"the target {target} matches nothing that run {record.id} changed",
                f"To list its changes, run: reconciler history show {record.id}",
            )
    found = undo.undoing(record, state.records, workspace.schemas.kinds, targets)
    if not found.targets:
        reasons = [*(f"{item.address}: {item.message}" for item in found.refusals), *found.left]
        why = "; ".join(reasons or [_NOTHING_LEFT]).rstrip(".")
        raise RefusedError(f"nothing in run {record.id} can be undone: {why}")
    retires = any(item.action is Action.CREATE for item in record.changes)
    by_address = {item.address: item for item in found.desired}
    sources = workspace.fleet.sources
    return UndoWorkspace(
        workspace._replace(
            fleet=Fleet(by_address, 0, f"run {record.id}", sources=sources),
            rules=PlanOptions(found.targets, prune=retires),
            undoes=record.id,
        ),
        found,
    )


def look_back(
    found: UndoWorkspace,
    reader: Reader,
    state: State,
    grace: Grace | None = None,
    now: datetime | None = None,
) -> Planned:
    """Observes AlertSite and plans what takes the run back; see `look`.

    What has moved since the run is a refusal of the plan. The budget is that of all monitors that
    the state knows, not of those that the run touched.
    """
    workspace = found.workspace
    first = look(workspace, reader, state, grace, now)
    plan = undo.reviewed(first.plan, found.undoing, first.live, workspace.schemas.kinds)
    there = {monitor.id for monitor in first.live}
    managed = {item.id for item in state.records.values()} & there
    managed |= {item.id for item in plan.coverage.losses}
    managed |= {item.id for item in plan.coverage.recent}
    allowance = terms_of(workspace, state, now).allowance(len(managed))
    coverage = plan.coverage._replace(managed=len(managed), allowance=allowance)
    return first._replace(plan=plan._replace(coverage=coverage))


def what_manifests_say(plan: Plan, record: RunRecord) -> str:
    """What is to be done in Git, so that the next apply does not make the run again."""
    commit = record.about.generation.commit
    if not plan.is_something and not plan.bindings:
        return ""
    if not commit:
        return "The manifests still have what the run applied: change them before the next apply."
    return (
        "The manifests still have what the run applied, so the next apply would repeat it. It was "
        f"made from commit {commit[:12]}. To revert it: git revert {commit[:12]}"
    )
