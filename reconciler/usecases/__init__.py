"""The use cases, each readable as its steps."""

from reconciler.usecases.load import Fleet, Sources, load, load_fleet
from reconciler.usecases.plan import (
    Grace,
    Planned,
    Workspace,
    look,
    observe,
    plan_offline,
    refuse_other,
    refuse_refusals,
    refuse_stale,
    require_secrets_of,
)

__all__ = [
    "Fleet",
    "Grace",
    "Planned",
    "Sources",
    "Workspace",
    "load",
    "load_fleet",
    "look",
    "observe",
    "plan_offline",
    "refuse_other",
    "refuse_refusals",
    "refuse_stale",
    "require_secrets_of",
]
