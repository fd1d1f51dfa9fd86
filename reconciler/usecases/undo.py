"""Takes a run back: a plan of what it changed, carried out as every other plan is."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core import undo
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Action
from reconciler.errors import InvalidManifestsError, ReconcilerError, RefusedError, UsageError
from reconciler.usecases.checkout import changed_between
from reconciler.usecases.history import run_before
from reconciler.usecases.load import Fleet, load
from reconciler.usecases.plan import Grace, Planned, Workspace, look, terms_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from reconciler.alertsite import Reader
    from reconciler.core.plan import Plan
    from reconciler.core.run_record import RunRecord
    from reconciler.core.state import Record, State
    from reconciler.state_store import Store
    from reconciler.usecases.checkout import Commit


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


_STILL = "The manifests still have what the run applied, so the next apply would repeat it."
_LACK = "The manifests still lack what the run retired, so an apply with --prune would repeat it."
_MOST_COMMITS = 10


def what_manifests_say(
    plan: Plan,
    found: UndoWorkspace,
    records: Mapping[str, Record],
    store: Store,
    manifests: str,
) -> str:
    """What is to be done in Git, so that the next apply does not make the run again.

    Args:
        plan: what is undone, without what is refused.
        found: the run, and where the manifests are loaded from.
        records: those of the state before the undo.
        store: where the runs before it are kept.
        manifests: the folder of the manifests.
    """
    if not plan.changes and all(item.before is None for item in plan.bindings):
        return ""  # at most, it binds less than before
    try:
        what = _repeated(plan, found, records)
    except ReconcilerError as error:
        why = error.findings[0] if isinstance(error, InvalidManifestsError) else error
        return (
            "Cannot tell whether the manifests still have what the run applied, so check them "
            f"before the next apply: {why}"
        )
    if what is None:
        return "The manifests do not have what the run applied: there is nothing to revert in Git."
    if what.is_bound:  # a revert of what the run applied would conflict with the id
        return (
            "The manifests have the metadata.id of what the run created, so the next apply would "
            "be refused. Remove these manifests, or the ids in them, then commit."
        )
    commits = _commits(plan, found, records, what, store, manifests)
    still = _LACK if what.is_prune else _STILL
    if not commits:
        steps = [] if what.is_prune else ["set the old values in the manifests"]
        steps += ["restore the deleted manifests"] if what.is_retired else []
        return f"{still} {' and '.join(steps).capitalize()}, then commit."
    commands = []
    for is_merge, group in groupby(commits, key=lambda item: item.is_merge):
        names = " ".join(item.name[:12] for item in group)
        # Only a merge takes `-m`, and needs it.
        commands.append(f"git revert {'-m 1 ' if is_merge else ''}{names}")
    return f"{still} To revert it: {' && '.join(commands)}"


def _repeated(
    plan: Plan,
    found: UndoWorkspace,
    records: Mapping[str, Record],
    edited: Mapping[str, bytes | None] = MappingProxyType({}),
) -> undo.Repeated | None:
    """What of the run the manifests still have, or would have if files were as `edited` says."""
    sources, schemas = found.workspace.fleet.sources, found.workspace.schemas
    fleet = load(sources, schemas, may_be_empty=True, edited=edited)
    return undo.repeated(plan, found.undoing, fleet.by_address, records)


def _commits(
    plan: Plan,
    found: UndoWorkspace,
    records: Mapping[str, Record],
    what: undo.Repeated,
    store: Store,
    manifests: str,
) -> tuple[Commit, ...]:
    """The commits whose revert is what the manifests need, the last one first; none if unknown.

    They are those since the apply before the run, if the manifests did not have it there.
    """
    record = found.undoing.record
    now = record.about.generation
    with suppress(ReconcilerError):  # whatever it is, the advice that names no commit is right
        before = run_before(store, record.id) if now.commit and not now.dirty else None
        if before is not None:
            files, since = () if what.is_absence else what.files, before.about.generation.commit
            changed = changed_between(manifests, since, now.commit, files)
            is_known = 0 < len(changed.commits) <= _MOST_COMMITS
            if is_known and _repeated(plan, found, records, changed.before) is None:
                return changed.commits
    return ()
