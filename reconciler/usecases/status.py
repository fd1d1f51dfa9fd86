"""How an account is: one look at AlertSite, compared with the manifests and with the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.drift import find_drift
from reconciler.core.listing import list_monitors
from reconciler.core.overview import find_overview
from reconciler.core.pending import records_of
from reconciler.usecases.pull import look_without_secrets

if TYPE_CHECKING:
    from reconciler.alertsite import Reader
    from reconciler.core.overview import Holder, Overview
    from reconciler.core.state import State
    from reconciler.usecases.plan import Workspace


def find_status(
    workspace: Workspace,
    state: State,
    reader: Reader,
    today: str,
    location: str,
    holder: Holder | None,
) -> Overview:
    """How the account is; no secret need be at hand, so changed ones are not counted.

    Args:
        workspace: the manifests.
        state: what is known.
        reader: what AlertSite is asked with.
        today: the day, as YYYY-MM-DD.
        location: where that is kept.
        holder: who holds its lock.

    Raises:
        ConfigurationError: there is neither a manifest nor a record.
        AlertSiteError: AlertSite cannot be read.
        RefusedError: the state is that of another account.
    """
    fleet, kinds = workspace.fleet, workspace.schemas.kinds
    found = look_without_secrets(workspace, reader, state)
    others = fleet.sources.others
    live = others.leave(found.live)
    records = records_of(state, live, kinds)
    return find_overview(
        list_monitors(reader.account, fleet.desired, records, live, kinds, others),
        found.plan,
        find_drift(reader.account, records, live, kinds, today=today),
        live,
        kinds,
        files=fleet.files,
        where=fleet.where,
        state=state,
        location=location,
        holder=holder,
    )
