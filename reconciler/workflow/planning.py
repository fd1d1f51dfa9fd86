"""From a workspace, the state and a fresh look at AlertSite to a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.decide import Rules, decide, is_target, matches
from reconciler.errors import RefusedError, StateError, UsageError
from reconciler.model import Live
from reconciler.plan import Note, NoteCode, Plan
from reconciler.state import Record, State, Transition, settle
from reconciler.workflow.loading import require_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.alertsite import Reader
    from reconciler.model import Desired
    from reconciler.schema import Schemas
    from reconciler.secrets import Vault
    from reconciler.workflow.loading import Fleet


class Workspace(NamedTuple):
    """What is to be planned, and how.

    Attributes:
        vault: what resolves secrets; they are tracked if it has a key.
    """

    fleet: Fleet
    schemas: Schemas
    vault: Vault
    rules: Rules = Rules()

    @property
    def targeted(self) -> Iterator[Desired]:
        """The manifests that are planned."""
        return (item for item in self.fleet.desired if is_target(item, self.rules.targets))


class Look(NamedTuple):
    """One look at AlertSite, and the plan that follows.

    Attributes:
        bound: records of monitors that a killed run created and this look found again.
    """

    live: tuple[Live, ...]
    plan: Plan
    bound: Mapping[str, Record]


def look(workspace: Workspace, reader: Reader, state: State) -> Look:
    """Reads AlertSite once and plans; writes nothing.

    Raises:
        UsageError: a target matches no manifest.
        InvalidManifestsError: a secret that would be used is not to be had.
        AlertSiteError: AlertSite cannot be read.
    """
    _check_targets(workspace)
    rules = _with_fingerprint(workspace)
    desired = workspace.fleet.desired
    live = tuple(reader.list_monitors(workspace.schemas.kinds))
    named = {item.address: item.id for item in desired if item.id is not None}
    # Of a manifest with an id, its monitor is known by that.
    unknown = {key: name for key, name in state.creating.items() if key not in named}
    found = settle(state._replace(creating=unknown), live, named.values())
    bound = {
        address: Record(number, {}, {}, state.saved_at, state.run)
        for address, number in found.items()
    }
    records = Transition(bound).of(state).records
    plan = decide(reader.account, desired, records, live, workspace.schemas.kinds, rules)
    notes = [Note(address, NoteCode.RECOVERED, record.id) for address, record in bound.items()]
    plan = plan._replace(notes=tuple(sorted((*plan.notes, *notes), key=lambda note: note.address)))
    require_secrets(_to_be_sent(desired, plan), workspace.vault)
    return Look(live, plan, bound)


def plan_offline(workspace: Workspace, state: State, location: str) -> Plan:
    """What would bring the state to the fleet: the state stands for AlertSite.

    A manifest with an id and no record cannot be compared, which the plan notes.

    Args:
        workspace: the manifests.
        state: what is known.
        location: where that is kept, for messages.

    Raises:
        StateError: there is no state.
        UsageError: a target matches no manifest.
        InvalidManifestsError: a secret that would be used is not to be had.
    """
    if not state.serial:
        raise StateError(
            f"{location}: there is no state yet to compare with offline",
            "Run apply once, name the state with --state, or plan without --offline.",
        )
    _check_targets(workspace)
    rules = _with_fingerprint(workspace)
    records = state.records
    known = [item for item in workspace.fleet.desired if item.id is None or item.address in records]
    live = [
        Live(record.id, address.partition("/")[0], record.fields)
        for address, record in records.items()
    ]
    plan = decide(state.account, known, records, live, workspace.schemas.kinds, rules)
    told = {item.address for item in known}
    untold = [item for item in workspace.fleet.desired if item.address not in told]
    unknown = [item for item in untold if is_target(item, rules.targets)]
    notes = [*plan.notes, *(Note(item.address, NoteCode.UNKNOWN, item.id) for item in unknown)]
    require_secrets(_to_be_sent(known, plan), workspace.vault)
    return plan._replace(
        notes=tuple(sorted(notes, key=lambda note: note.address)),
        excluded=plan.excluded + len(untold) - len(unknown),
    )


def refuse_refusals(plan: Plan) -> None:
    """Stops before anything is sent if the plan holds a refusal.

    Raises:
        RefusedError: naming how many there are.
    """
    if count := len(plan.refusals):
        what = "1 manifest is" if count == 1 else f"{count} manifests are"
        raise RefusedError(
            f"{what} refused, so nothing can be applied",
            "Mend what the plan says above, or leave it out with --target.",
        )


def refuse_stale(approved: Plan, current: Plan) -> None:
    """Stops if AlertSite has moved while a person was reading the plan.

    Raises:
        RefusedError: the two plans would not do the same.
    """
    if approved.digest != current.digest:
        raise RefusedError(
            "AlertSite changed while the plan was being approved, so nothing is applied",
            "Run the same command again and read the new plan.",
        )


def _check_targets(workspace: Workspace) -> None:
    for target in workspace.rules.targets:
        if not any(matches(item, target) for item in workspace.fleet.desired):
            raise UsageError(
                f"--target {target} matches no manifest",
                "A target is an address such as email-smtp/prod-relay, a glob or label=value.",
            )


def _with_fingerprint(workspace: Workspace) -> Rules:
    """The rules, with all secrets at hand if they are tracked."""
    rules, vault = workspace.rules, workspace.vault
    if not vault.tracks:
        return rules
    wanted = ((item, field) for item in workspace.targeted for field in item.secrets)
    require_secrets(wanted, vault)
    return rules._replace(fingerprint=vault.fingerprint)


def _to_be_sent(desired: Iterable[Desired], plan: Plan) -> Iterator[tuple[Desired, str]]:
    """The fields with a secret that the plan sends."""
    bodies = {change.address: change.body for change in plan.changes}
    for manifest in desired:
        for field in manifest.secrets:
            if field in bodies.get(manifest.address, ()):
                yield manifest, field
