"""The use cases, each readable as its steps."""

from reconciler.workflow.loading import Fleet, load_fleet
from reconciler.workflow.planning import (
    Look,
    Workspace,
    look,
    plan_offline,
    refuse_refusals,
    refuse_stale,
    refuse_unsafe,
)

__all__ = [
    "Fleet",
    "Look",
    "Workspace",
    "load_fleet",
    "look",
    "plan_offline",
    "refuse_refusals",
    "refuse_stale",
    "refuse_unsafe",
]
