"""From a workspace, the state and a fresh look at AlertSite to a plan."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from reconciler.decide import decide
from reconciler.errors import ConfigurationError, RefusedError, StateError, UsageError
from reconciler.manifest import Locator
from reconciler.model import Live
from reconciler.plan import Note, NoteCode, Plan
from reconciler.rules import Rules, is_target, matches
from reconciler.situation import View
from reconciler.state import Record, State, Transition, settle
from reconciler.workflow.loading import require_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reconciler.alertsite import Reader
    from reconciler.budget import Budget
    from reconciler.model import Desired
    from reconciler.schema import Schemas
    from reconciler.secrets import Vault
    from reconciler.workflow.loading import Fleet


_ENOUGH = 3
"""So many monitors are not all deleted by hand between two runs."""


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
        bound: records of monitors that a killed run created and this look found again, and of
            manifests that have another name now; None for the former name.
    """

    live: tuple[Live, ...]
    plan: Plan
    bound: Mapping[str, Record | None]


def look(workspace: Workspace, reader: Reader, state: State) -> Look:
    """Reads AlertSite once and plans; writes nothing.

    Raises:
        UsageError: a target matches no manifest and no record.
        ConfigurationError: there is neither a manifest nor a record.
        InvalidManifestsError: a secret that would be used is not to be had.
        AlertSiteError: AlertSite cannot be read.
        RefusedError: the state is that of another account.
    """
    _check_is_something(workspace, state)
    _check_targets(workspace, state)
    return _planned(workspace, reader, state, _refuse_other_account)


def look_again(workspace: Workspace, reader: Reader, state: State) -> Look:
    """As `look`, after changes; of the monitors that the state knows none may be left by now."""
    return _planned(workspace, reader, state, lambda _state, _live: None)


def _planned(
    workspace: Workspace,
    reader: Reader,
    state: State,
    check: Callable[[State, Sequence[Live]], None],
) -> Look:
    rules = _with_fingerprint(workspace)
    desired = workspace.fleet.desired
    live = tuple(reader.list_monitors(workspace.schemas.kinds))
    check(state, live)
    named = {item.address: item.id for item in desired if item.id is not None}
    # Of a manifest with an id, its monitor is known by that.
    unknown = {key: name for key, name in state.creating.items() if key not in named}
    found = settle(state._replace(creating=unknown), live, named.values())
    bound: dict[str, Record | None] = {
        address: Record(number, {}, {}, state.saved_at, state.run)
        for address, number in found.items()
    }
    notes = [Note(key, NoteCode.RECOVERED, item.id) for key, item in bound.items() if item]
    records = Transition(bound).of(state).records
    plan = decide(reader.account, desired, records, live, workspace.schemas.kinds, rules)
    for note in plan.noting(NoteCode.RENAMED):
        former = f"{note.address.partition('/')[0]}/{note.name}"
        bound |= {note.address: records[former], former: None}
    notes = sorted((*plan.notes, *notes), key=lambda note: note.address)
    plan = with_default_places(plan._replace(notes=tuple(notes)), desired)
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
        UsageError: a target matches no manifest and no record.
        ConfigurationError: there is neither a manifest nor a record.
        InvalidManifestsError: a secret that would be used is not to be had.
    """
    if not state.serial:
        raise StateError(
            f"{location}: there is no state yet to compare with offline",
            "Run apply once, name the state with --state, or plan without --offline.",
        )
    _check_is_something(workspace, state)
    _check_targets(workspace, state)
    rules = _with_fingerprint(workspace)
    desired = workspace.fleet.desired
    live = [
        Live(record.id, address.partition("/")[0], record.fields)
        for address, record in state.records.items()
    ]
    bound = View(desired, state.records, live).records
    known = [item for item in desired if item.id is None or item.address in bound]
    plan = decide(state.account, known, state.records, live, workspace.schemas.kinds, rules)
    require_secrets(_to_be_sent(known, plan), workspace.vault)
    told = {item.address for item in known}
    untold = [item for item in desired if item.address not in told]
    return with_default_places(_with_unknown(plan, untold, rules), desired)


def _with_unknown(plan: Plan, untold: Sequence[Desired], rules: Rules) -> Plan:
    """The plan, with a note for each manifest that could not be compared."""
    unknown = [item for item in untold if is_target(item, rules.targets)]
    notes = [*plan.notes, *(Note(item.address, NoteCode.UNKNOWN, item.id) for item in unknown)]
    return plan._replace(
        notes=tuple(sorted(notes, key=lambda note: note.address)),
        excluded=plan.excluded + len(untold) - len(unknown),
    )


def _refuse_other_account(state: State, live: Sequence[Live]) -> None:
    """Stops before anything else if the state cannot be that of this account.

    Raises:
        RefusedError: none of the monitors that the state knows is there.
    """
    known = {record.id for record in state.records.values()}
    if len(known) >= _ENOUGH and known.isdisjoint(monitor.id for monitor in live):
        raise RefusedError(
            f"none of the {len(known)} monitors that the state knows is in this account",
            "Check ALERTSITE_URL, the credentials and --state. If they were all deleted there, "
            "forget their records first: reconciler state rm ADDRESS...",
        )


def with_default_places(plan: Plan, desired: Iterable[Desired]) -> Plan:
    """The plan; of each value that is a default it says where that stands."""
    inheriting = {item.address: item for item in desired if item.inherited}
    locator = Locator()

    def place(manifest: Desired, field: str) -> str | None:
        if field not in manifest.inherited:
            return None
        path, document, _ = manifest.inherited[field]
        return str(locator.position(path, document, ("spec", field), of_key=True))

    changes = []
    for change in plan.changes:
        manifest = inheriting.get(change.address)
        if manifest is not None and not manifest.inherited.keys().isdisjoint(change.body):
            fields = [item._replace(default=place(manifest, item.field)) for item in change.fields]
            change = change._replace(fields=tuple(fields))  # noqa: PLW2901
        changes.append(change)
    return plan._replace(changes=tuple(changes))


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


def refuse_unsafe(
    plan: Plan, fleet: Fleet, budget: Budget, *, allow_loss: int | None, allow_empty: bool
) -> None:
    """Stops before anything is sent if the plan loses too much.

    Args:
        plan: the plan.
        fleet: the manifests that it was made from.
        budget: how much may be lost.
        allow_loss: how many monitors may lose monitoring in this run instead; None: as the budget.
        allow_empty: whether a fleet without manifests is meant.

    Raises:
        RefusedError: naming every guard, and the flag that lifts it for this run.
    """
    coverage = plan.coverage
    reasons, flags = [], []
    if not fleet.desired and coverage.managed and not allow_empty:
        reasons.append(f"there is no manifest, and the state knows {coverage.managed} monitors")
        flags.append("--allow-empty")
    limit = budget.limit(coverage.managed) if allow_loss is None else allow_loss
    if len(coverage.losses) > limit:
        counts = ", ".join(f"{count} {cause}" for cause, count in coverage.by_cause().items())
        reasons.append(
            f"{len(coverage.losses)} of {coverage.managed} monitors would lose monitoring "
            f"({counts}), and the budget is {limit}"
        )
        flags.append(f"--allow-loss {len(coverage.losses)}")
    if reasons:
        raise RefusedError(
            "; ".join(reasons) + ": nothing is applied",
            f"If that is meant, allow it for this run with {' '.join(flags)}.",
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


def _check_is_something(workspace: Workspace, state: State) -> None:
    if not workspace.fleet.desired and not state.records:
        raise ConfigurationError(
            f"{workspace.fleet.where}: there is no manifest (*.yaml, *.yml) here, and the state "
            "knows no monitor",
            "Name the folder with the manifests: --manifests DIR.",
        )


def _check_targets(workspace: Workspace, state: State) -> None:
    for target in workspace.rules.targets:
        is_described = any(matches(item, target) for item in workspace.fleet.desired)
        if not is_described and not any(fnmatchcase(address, target) for address in state.records):
            raise UsageError(
                f"--target {target} matches no manifest, and no record of a monitor without one",
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
