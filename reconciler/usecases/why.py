"""Why one monitor is as it is: the manifests, the state and AlertSite, asked about one address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.inventory import Inventory
from reconciler.core.model import kind_of
from reconciler.core.nearest import did_you_mean
from reconciler.core.pending import records_of
from reconciler.core.targets import with_addresses
from reconciler.core.why import ID, AddressFacts, explain_why, fields_of
from reconciler.errors import UsageError
from reconciler.manifests import Locator
from reconciler.usecases.plan import look, plan_offline, renamed_creates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.alertsite import Reader
    from reconciler.core.model import Desired, Live
    from reconciler.core.state import State
    from reconciler.core.why import Why
    from reconciler.usecases.plan import Workspace


def why(
    workspace: Workspace, asked: str, state: State, reader: Reader | None, location: str
) -> Why:
    """Why a monitor, or one field of it, is as it is; writes nothing.

    Args:
        workspace: the manifests.
        asked: `kind/name` for all fields that are managed, or `kind/name.field`; or an id in place
            of `kind/name`.
        state: what was last applied.
        reader: what AlertSite is asked with; None to compare with the state alone.
        location: where the state is kept, for messages.

    Raises:
        UsageError: there is no such address or field.
        StateError: nobody is to be asked, and there is no state.
        InvalidManifestsError: a manifest has a known secret in the clear.
        AlertSiteError: AlertSite cannot be read.
    """
    workspace.vault.learn(workspace.fleet.desired)
    address, dot, field = asked.partition(".")
    (address,) = with_addresses((address,), workspace.fleet.desired, state.all_records)
    pending, moved = renamed_creates(state.pending_creates, state, workspace)
    _check_address(workspace, state, address, moved)
    same_name = f"*/{address.partition('/')[2]}"  # one of another kind may replace it
    workspace = workspace._replace(rules=workspace.rules._replace(targets=(same_name,)))
    live: tuple[Live, ...] = ()
    records = state.all_records
    if reader is None:
        plan = plan_offline(workspace, state, location)
    else:
        seen = look(workspace, reader, state)
        live, plan = seen.live, seen.plan
        records = records_of(state, live, workspace.schemas.kinds)
    desired = workspace.fleet.by_address.get(address)
    view = Inventory(workspace.fleet.desired, records, live)
    record = view.records.get(address)
    number = (desired and desired.id) or (record.id if record else 0)
    subject = AddressFacts(
        address=address,
        kind=kind_of(address, workspace.schemas.kinds),
        desired=desired,
        record=record,
        live=view.by_id.get(number),
        plan=plan,
        places=places_of(desired) if desired else {},
        former=view.renamed.get(address),
        tracks=workspace.vault.tracks,
        is_offline=reader is None,
        held=view.secrets.get(number, frozenset()),
        pending=pending.get(address),
    )
    named, others = fields_of(subject)
    if not dot:
        return explain_why(subject, named, live)
    field = field if field in named | others else field.removeprefix("spec.").removeprefix("extra.")
    if field not in named | others:
        raise UsageError(
            f"{address} has no field {field}{did_you_mean(field, sorted(named | others))}",
            f"To list the managed fields, run: reconciler why {address}. To list all fields, run: "
            f"reconciler explain {address.split('/')[0]}",
        )
    return explain_why(subject, [field], live)


def _check_address(
    workspace: Workspace, state: State, address: str, moved: Mapping[str, str]
) -> None:
    """Stops if neither a manifest nor the state has the address.

    `moved` has the former address of each renamed pending create.

    Raises:
        UsageError: naming one that is like it.
    """
    desired = workspace.fleet.desired
    taken_over = {**Inventory(desired, state.all_records, ()).renamed, **moved}
    renamed = {old: new for new, old in taken_over.items()}
    if new := renamed.get(address):
        raise UsageError(f"{address} is a former name of {new}", f"Run: reconciler why {new}")
    known = {item.address for item in desired} | state.records.keys() | state.pending_creates.keys()
    if address not in known:
        raise UsageError(
            f"neither a manifest nor the state has {address or '(empty)'}"
            f"{did_you_mean(address, sorted(known))}",
            "Use kind/name, as shown by reconciler plan, or use an id.",
        )


def places_of(desired: Desired) -> Mapping[str, str]:
    """Where the fields of a manifest stand, as path:line:column, and its id."""
    locator = Locator()
    fields = (*desired.fields, *desired.secrets)
    places = {field: str(locator.of_field(desired, field)) for field in fields}
    if desired.id is not None:
        places[ID] = str(locator.position(desired.origin, desired.id_at, of_key=True))
    return places
