"""What there is: manifests, the state and AlertSite, as one list of monitors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.listing import LABEL, Listing, list_monitors
from reconciler.core.model import Live
from reconciler.core.nearest import did_you_mean
from reconciler.core.pending import records_of
from reconciler.core.targets import GRAMMAR, bare
from reconciler.errors import UsageError
from reconciler.usecases.plan import observe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.alertsite import Reader
    from reconciler.core.state import State
    from reconciler.usecases.plan import Workspace


def find_monitors(workspace: Workspace, state: State, reader: Reader | None) -> Listing:
    """Every monitor that a manifest describes, that a record knows or that AlertSite has.

    Args:
        workspace: the manifests.
        state: what is known.
        reader: what AlertSite is asked with; None if the state is to stand for it.

    Raises:
        AlertSiteError: AlertSite cannot be read.
        RefusedError: the state is that of another account.
    """
    fleet, kinds = workspace.fleet, workspace.schemas.kinds
    others = fleet.sources.others
    workspace.vault.learn(fleet.desired)
    if reader is None:
        live = tuple(
            Live(record.id, address.partition("/")[0], record.fields)
            for address, record in state.records.items()
        )
        return list_monitors(
            state.account, fleet.desired, state.all_records, live, kinds, others, is_offline=True
        )
    named = {item.id for item in fleet.desired if item.id is not None}
    live = observe(reader, kinds, state, named).live
    records = records_of(state, live, kinds)
    return list_monitors(reader.account, fleet.desired, records, live, kinds, others)


def check_columns(listing: Listing, columns: Iterable[str], flag: str) -> None:
    """Stops at a column that no monitor of the list can have.

    Raises:
        UsageError: naming one that is like it.
    """
    known = listing.columns()
    for column in columns:
        if column not in known:
            is_label = column.startswith(LABEL)
            what = "no monitor has this label" if is_label else "there is no such column"
            raise UsageError(
                f"{flag} {column or '(empty)'}: {what}{did_you_mean(column, sorted(known))}",
                "Use a column of -o wide, a field of the monitors, or labels.NAME.",
            )


def check_targets(listing: Listing, targets: Iterable[str]) -> None:
    """Stops at a target that means no monitor of the list.

    Raises:
        UsageError: naming an address that is like it.
    """
    known = [item.address for item in listing.monitors if item.address]
    for target in targets:
        name = bare(target)
        if not listing.only((), (), (name,)).monitors:
            raise UsageError(
                f"the target {name or '(empty)'} matches no monitor{did_you_mean(name, known)}",
                f"A target is {GRAMMAR}.",
            )
