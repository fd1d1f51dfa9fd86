"""The run that an undo takes back: found, planned, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.cli import console
from reconciler.errors import RefusedError
from reconciler.render.text import quantity
from reconciler.usecases.history import read_run
from reconciler.usecases.undo import undo_workspace, what_manifests_say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.cli import runtime
    from reconciler.core.plan import Plan
    from reconciler.core.result import Outcome
    from reconciler.core.state import State
    from reconciler.usecases.plan import Workspace
    from reconciler.usecases.undo import UndoWorkspace


class TakingBack(NamedTuple):
    """Which run is taken back.

    Attributes:
        run: its id.
        targets: to which of its addresses that is limited; none for all.
    """

    run: str
    targets: Sequence[str] = ()


def take_back(
    workspace: Workspace, run: runtime.Run, state: State, asked: TakingBack
) -> UndoWorkspace:
    """The workspace that takes the run back; says which run that is, and what stays."""
    record = read_run(run.store, asked.run)
    found = undo_workspace(workspace, record, state, asked.targets)
    who = f" of {record.about.actor}" if record.about.actor else ""
    console.say(f"Undo of {record.about.operation} {record.id}{who}, {record.about.began}.")
    return found


def refuse_nothing_left(plan: Plan, moved: Sequence[Outcome]) -> None:
    """Stops if all that could be taken back is refused.

    Raises:
        RefusedError: naming how much that is.
    """
    if moved and not plan.changes and not plan.bindings:
        what = quantity(len(moved), "monitor is", "monitors are")
        raise RefusedError(f"{what} refused; there is nothing else to undo")


def say_what_is_left(
    plan: Plan, found: UndoWorkspace, state: State, run: runtime.Run, manifests: str
) -> None:
    """Says what an undo does not do; the state is that before it."""
    for line in found.undoing.left:
        console.say(line)
    if said := what_manifests_say(plan, found, state.records, run.store, manifests):
        console.say(said)
