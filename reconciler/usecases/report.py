"""From the manifests, the state and a fresh look at AlertSite to a report of the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.context import seconds_since, written
from reconciler.core.report import fleet_report
from reconciler.usecases.plan import observe

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.alertsite import Reader
    from reconciler.core.report import Report
    from reconciler.core.state import State
    from reconciler.schema import Schemas
    from reconciler.usecases.load import Fleet


def report(fleet: Fleet, schemas: Schemas, reader: Reader, state: State, now: datetime) -> Report:
    """Observes AlertSite and counts; writes nothing.

    Raises:
        RefusedError: the state is that of another account.
        AlertSiteError: AlertSite cannot be read.
    """
    named = {item.id for item in fleet.desired if item.id is not None}
    seen = observe(reader, schemas.kinds, state, named)
    return fleet_report(
        reader.account,
        fleet.desired,
        state,
        seen.live,
        schemas.kinds,
        written(now),
        lambda moment: seconds_since(moment, now),
        fleet.sources.others,
    )
