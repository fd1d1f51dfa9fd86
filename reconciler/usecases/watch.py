"""One look at an account: what Git asks for, what AlertSite has changed, and how the fleet is.

All three are of the same observation, so that a round in which nothing has happened is one list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.context import seconds_since, written
from reconciler.core.drift import find_drift
from reconciler.core.edits import edits_of
from reconciler.core.pending import records_of
from reconciler.core.report import fleet_report
from reconciler.usecases.plan import look

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.alertsite import Reader
    from reconciler.core.drift import Drift
    from reconciler.core.edits import Edits
    from reconciler.core.model import Live
    from reconciler.core.plan import Plan
    from reconciler.core.report import Report
    from reconciler.core.state import State
    from reconciler.usecases.plan import Workspace


class Watched(NamedTuple):
    """What one look has found.

    Attributes:
        plan: all that would bring AlertSite to the manifests.
        live: what AlertSite has.
        edits: the part of the plan that Git asks for.
    """

    plan: Plan
    live: tuple[Live, ...]
    edits: Edits
    drift: Drift
    report: Report


def watch(workspace: Workspace, reader: Reader, state: State, now: datetime) -> Watched:
    """Observes AlertSite once; writes nothing.

    Raises:
        RefusedError: the state is that of another account.
        AlertSiteError: AlertSite cannot be read.
        ConfigurationError: there is neither a manifest nor a record.
    """
    workspace.vault.learn(workspace.fleet.desired)
    found = look(workspace, reader, state, now=now)
    kinds, today = workspace.schemas.kinds, written(now)[:10]
    records = records_of(state, found.live, kinds)
    return Watched(
        found.plan,
        found.live,
        edits_of(found.plan, kinds),
        find_drift(reader.account, records, found.live, kinds, (), today),
        fleet_report(
            reader.account,
            workspace.fleet.desired,
            state,
            found.live,
            kinds,
            written(now),
            lambda moment: seconds_since(moment, now),
            workspace.fleet.sources.others,
        ),
    )
