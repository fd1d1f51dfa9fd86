"""From a workspace, the state and a fresh look at AlertSite to a plan."""

from __future__ import annotations

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from reconciler.context import written
from reconciler.core.events import ObservationBegan, ObservationEnded
from reconciler.core.inventory import Inventory, Uncertain, match_key_of
from reconciler.core.model import (
    SECRET_REF,
    Live,
    Observation,
    kind_of,
    match_key,
    secret_refs,
)
from reconciler.core.nearest import did_you_mean
from reconciler.core.options import PlanOptions
from reconciler.core.pending import (
    all_caught_up,
    is_foreign,
    made_by,
    reopened,
    resolve_pending_creates,
)
from reconciler.core.plan import Binding, BindingAction, Note, NoteCode, Plan
from reconciler.core.planner import decide
from reconciler.core.safety import Budgets, terms
from reconciler.core.state import Record, State, StateDelta, first_record, is_of_key
from reconciler.core.targets import GRAMMAR, bare, is_target, matches, with_addresses
from reconciler.errors import (
    ConfigurationError,
    Diagnostic,
    InvalidManifestsError,
    RefusedError,
    StateError,
    UsageError,
)
from reconciler.manifests import Locator

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from reconciler.alertsite import Reader
    from reconciler.context import Cancellation, Clock, Reporter
    from reconciler.core.model import JSON, Desired
    from reconciler.core.safety import Terms
    from reconciler.core.state import PendingCreate
    from reconciler.schema import Schemas
    from reconciler.secrets import Vault
    from reconciler.usecases.load import Fleet


_ENOUGH, _MANY = 3, 5
"""So many monitors are not all, or not most of them, deleted by hand between two runs."""
_MOST_EXCLUDED = 5
"""So many refused manifests are named in an advice, as they are all listed above it."""
_SAMPLE = 20
"""How many of those that are not listed are asked for before that is believed."""
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_UNTOLD = "(not told)"


class Workspace(NamedTuple):
    """What is to be planned, and how.

    Attributes:
        vault: what resolves secrets; they are tracked if it has a key.
        budgets: how many monitors may lose monitoring.
        undoes: the run that is taken back; then the fleet is what that run changed, and the targets
            are its addresses. Empty for a fleet of manifests.
    """

    fleet: Fleet
    schemas: Schemas
    vault: Vault
    rules: PlanOptions = PlanOptions()
    budgets: Budgets = Budgets()
    undoes: str = ""

    def first_record(self, address: str, number: int) -> Record:
        """The record of a monitor that had none."""
        desired = self.fleet.by_address.get(address)
        return first_record(number, desired.secrets if desired else (), tracks=self.vault.tracks)

    @property
    def targeted(self) -> Iterator[Desired]:
        """The manifests that are planned."""
        return (item for item in self.fleet.desired if is_target(item, self.rules.targets))


class Planned(NamedTuple):
    """One observation of AlertSite, and the plan that follows.

    Attributes:
        by_id: the live monitors.
        bound: the records that the plan's bindings lead to, by address; None for an address that
            has none any more.
        dropped: pending creates that made nothing: they are over.
        reopened: creates that are pending again: see `pending.reopened`.
    """

    by_id: Mapping[int, Live]
    plan: Plan
    bound: Mapping[str, Record | None]
    dropped: tuple[str, ...] = ()
    reopened: Mapping[str, PendingCreate] = {}

    @property
    def live(self) -> tuple[Live, ...]:
        """What AlertSite has."""
        return tuple(self.by_id.values())

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids that AlertSite has, sorted."""
        return tuple(sorted(self.by_id))


class Grace:
    """The time during which the absence of a monitor whose create had no answer proves nothing.

    It runs from the moment at which this object is made: whoever sent the create is over by then,
    be it this run or another one whose lock this one holds.

    Args:
        clock: this machine's.
        seconds: longer than an answer may keep us waiting.
        cancellation: ends a wait.
        reporter: is told what is waited for.
    """

    def __init__(
        self, clock: Clock, seconds: float, cancellation: Cancellation, reporter: Reporter
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._cancellation = cancellation
        self._reporter = reporter
        self._began = clock.monotonic()
        self._pause = 0.5

    @property
    def is_over(self) -> bool:
        """Whether absence proves something by now."""
        return self._clock.monotonic() - self._began >= self._seconds

    def wait(self, missing: Sequence[str]) -> bool:
        """Waits for a while, at most until the grace is over; False if the run is to stop."""
        if self._cancellation.reason:
            return False
        waited = min(self._seconds, self._clock.monotonic() - self._began)
        names = missing[0] if len(missing) == 1 else f"{len(missing):,} monitors"
        self._reporter.say(
            f"Waiting for {names}, whose create is not confirmed and may still be in progress: "
            f"{waited:.0f} of {self._seconds:.0f} s"
        )
        self._pause = min(2 * self._pause, 10.0)
        return not self._cancellation.wait(min(self._pause, self._seconds - waited))


def look(
    workspace: Workspace,
    reader: Reader,
    state: State,
    grace: Grace | None = None,
    now: datetime | None = None,
) -> Planned:
    """Observes AlertSite and plans; writes nothing.

    Args:
        workspace: the manifests.
        reader: what reads AlertSite.
        state: what is known.
        grace: waits for monitors whose create had no answer, before they are created again; None
            only notes them.
        now: the time of day, by which old pending creates without a manifest end, and losses of
            monitoring that are a day old do not count any more; None if neither matters.

    Raises:
        UsageError: a target matches no manifest and no record.
        ConfigurationError: there is neither a manifest nor a record.
        InvalidManifestsError: a manifest has a known secret in the clear.
        AlertSiteError: AlertSite cannot be read.
        RefusedError: the state is that of another account.
    """
    workspace = _checked(workspace, state)
    return _planned(workspace, reader, state, grace, now, refuses=True)


def verify(workspace: Workspace, reader: Reader, state: State, grace: Grace) -> Planned:
    """As `look`, after changes: all monitors that the state knows may be gone by now."""
    workspace = _by_address(workspace, state)
    return _planned(workspace, reader, state, grace, None, refuses=False)


def observe(
    reader: Reader,
    kinds: Iterable[str],
    state: State,
    named: Collection[int] = (),
    *,
    refuses: bool = True,
) -> Observation:
    """One complete reading: the list, and each monitor that it lacks and that should be there.

    That a monitor is not listed lets others be created, forgotten or refused; so absence is proved:
    `GET /monitors/{id}` must say 404 as well. An account with nothing out of place is one request.

    Args:
        reader: what reads AlertSite.
        kinds: the kinds that manifests can have.
        state: whose monitors should be there.
        named: ids that manifests name.
        refuses: whether it matters that most of what the state knows is gone.

    Raises:
        RefusedError: the state cannot be that of this account: of three or more monitors that it
            knows none is there, or of five or more not half.
        AlertSiteError: AlertSite cannot be read.
    """
    reader.tell(ObservationBegan())
    count = None
    try:
        listed = reader.list_monitors(kinds)
        ids = {monitor.id for monitor in listed}
        records = state.records.values()
        ours = {record.id for record in records}
        known = {record.id for record in records if not record.deleting}
        lost = sorted(known - ids)
        found: dict[int, Live | None] = {}
        is_doubted = refuses and _is_too_much(len(lost), len(known))
        if is_doubted:
            found = reader.read_monitors(lost[:_SAMPLE])
        if not is_doubted or any(found.values()):
            found |= reader.read_monitors(sorted(ours.union(named) - ids - found.keys()))
        gone = sum(found.get(number) is None for number in lost)
        if refuses and _is_too_much(gone, len(known)):
            left = len(known) - gone
            which = f"only {left:,} of the {len(known):,}" if left else f"none of the {gone:,}"
            raise RefusedError(
                f"{which} monitors in the state {'is' if left <= 1 else 'are'} in this account",
                f"Check {reader.account.settings} and --state. If they were deleted there, forget "
                "their records first: reconciler state rm ADDRESS",
            )
        # A monitor without a type that is in no list of email monitors, and in no record, is not
        # taken for one of them.
        unlisted = [
            monitor if monitor.type or monitor.id in ours else monitor._replace(type=_UNTOLD)
            for monitor in found.values()
            if monitor is not None
        ]
        seen = Observation((*listed, *unlisted), frozenset(monitor.id for monitor in unlisted))
        count = len(seen.live)
        return seen
    finally:
        reader.tell(ObservationEnded(count))


def _is_too_much(gone: int, known: int) -> bool:
    return (known >= _ENOUGH and gone == known) or (known >= _MANY and gone * 2 > known)


def _planned(
    workspace: Workspace,
    reader: Reader,
    state: State,
    grace: Grace | None,
    now: datetime | None,
    *,
    refuses: bool,
) -> Planned:
    """What `look` returns for these arguments; `refuses` is that of `observe`.

    It observes AlertSite until the monitors of pending creates are known, or their grace is over;
    plans with these monitors bound; then adds to the plan what it has bound, dropped and noticed.
    """
    rules = _with_fingerprint(workspace)
    by_address, kinds = workspace.fleet.by_address, workspace.schemas.kinds
    desired = workspace.fleet.desired
    named = {item.id for item in desired if item.id is not None}
    asked = {item.address for item in desired if item.id is None}
    described = by_address.keys() | {address for item in desired for address in item.former}
    while True:
        was_over = grace is not None and grace.is_over  # before: what is seen is older than its end
        seen = observe(reader, kinds, state, named, refuses=refuses)
        there = {monitor.id: monitor for monitor in seen.live}
        state = state._replace(records=all_caught_up(state.records, there, kinds))
        wrong = {}
        if not workspace.undoes:  # what that is not about is left as it is
            wrong = reopened(state, there, kinds, named, described, is_over=was_over)
        known = StateDelta(dict.fromkeys(wrong), wrong).of(state)
        held = known.pending_creates
        if workspace.undoes:  # of others it does not know the manifests
            held = {name: item for name, item in held.items() if name in rules.targets}
        pending, moved = renamed_creates(held, known, workspace)
        known = known._replace(pending_creates=pending)
        found = resolve_pending_creates(known, seen.live, kinds, named, asked)
        new = {address: item for address, item in known.records.items() if item.is_new}
        unseen = [address for address, item in new.items() if item.id not in there]
        foreign = [
            address
            for address, item in new.items()
            if item.id in there and is_foreign(item, there[item.id], kind_of(address, kinds))
        ]
        waited_for = _waited_for(workspace, known)
        missing = [key for key in (*found.missing, *unseen) if key in waited_for]
        waiting = [*missing, *waited_for.intersection(foreign)]
        if not waiting or grace is None or was_over or not grace.wait(waiting):
            break

    def renamed(address: str, record: Record) -> Record:
        # After an undo the same rename is a new one, if it comes again.
        previously = () if workspace.undoes else by_address[address].previously
        return record._replace(previously=previously)

    bound: dict[str, Record | None] = {
        address: renamed(address, made_by(pending[address], number))
        for address, number in found.found.items()
    }
    # One that is created again stays missing as long as nothing is seen of it.
    again = {
        moved.get(address, address): create.replaces
        for address in found.missing
        if (create := pending[address]).replaces is not None and create.replaces.id not in there
        # Without a manifest it would be forgotten, and the create with it, which may come yet.
        if address in asked or was_over or _is_old(create, now)
    }
    bound |= {moved[address]: None for address in found.found if address in moved}
    records = StateDelta({**again, **bound}).of(known).records
    held_to = terms_of(workspace, state, now)
    uncertain = {
        address: Uncertain(ids, moved.get(address, address))
        for address, ids in found.ambiguous.items()
    }
    ours = {item.id for item in known.records.values() if not (item.is_new or item.deleting)}
    omitted = {number for number in seen.unlisted & ours if there[number].type in {*kinds, None}}
    plan = decide(
        reader.account,
        desired,
        records,
        seen.live,
        kinds,
        rules,
        uncertain,
        held_to,
        workspace.fleet.sources.others,
        omitted,
    )
    moves = plan.binding(BindingAction.MOVE)
    bound |= {item.before: None for item in moves if item.before is not None}
    bound |= {
        item.address: renamed(item.address, records[item.before])
        for item in moves
        if item.before is not None
    }
    bound |= {item.address: None for item in plan.binding(BindingAction.FORGET)}
    for item in plan.binding(BindingAction.ADOPT):
        bound[item.address] = renamed(item.address, workspace.first_record(item.address, item.id))
    bindings = [
        *plan.bindings,
        *(
            Binding(key, BindingAction.BIND, number, moved.get(key))
            for key, number in found.found.items()
        ),
    ]
    bindings.sort(key=lambda binding: binding.address)
    dropped = [
        address
        for address in (() if omitted else found.missing)
        if (was_over and address in waited_for)
        or (address not in asked and (was_over or _is_old(pending[address], now)))
    ]
    dropped += [before for address, before in moved.items() if address in {*dropped}]
    dropped += held.keys() - pending.keys() - set(moved.values())
    addresses = {record.id: address for address, record in records.items()}
    addresses |= {item.id: item.address for item in desired if item.id is not None}
    notes = [
        *plan.notes,
        *(Note(key, NoteCode.LEFTOVER, number) for key, number in found.leftover.items()),
        *(Note(key, NoteCode.PENDING) for key in missing if key not in dropped),
        *(Note(addresses[number], NoteCode.UNLISTED, number) for number in seen.unlisted),
    ]
    notes.sort(key=lambda note: note.address)
    plan = plan._replace(bindings=tuple(bindings), notes=tuple(notes))
    plan = with_default_places(plan, desired)
    plan = _with_untold_secrets(plan, workspace, records)
    plan = without_secrets(plan, desired, workspace.vault)
    return Planned(there, plan, bound, tuple(sorted(dropped)), wrong)


def _waited_for(workspace: Workspace, known: State) -> set[str]:
    """The addresses of creates that this plan is about: a manifest asks for them, or for the like.

    A record has a former address until its rename is saved.
    """
    loose = [item for item in workspace.targeted if item.id is None]
    found = {address for item in loose for address in (item.address, *item.former)}
    wanted = {match_key_of(item) for item in loose if item.address not in known.records}
    return found | {
        address
        for address, item in known.pending_creates.items()
        if match_key(address.partition("/")[0], item.body.get("name")) in wanted
    }


def renamed_creates(
    held: Mapping[str, PendingCreate], state: State, workspace: Workspace
) -> tuple[dict[str, PendingCreate], dict[str, str]]:
    """Those of addresses that are not bound yet, and the former address of each renamed one."""
    pending = {address: item for address, item in held.items() if address not in state.records}
    moved: dict[str, str] = {}
    for item in workspace.fleet.desired if pending else ():
        for before in item.former if item.id is None else ():
            is_free = item.address not in state.records and item.address not in pending
            if before in pending and before not in workspace.fleet.by_address and is_free:
                pending[item.address] = pending.pop(before)
                moved[item.address] = before
    return pending, moved


def terms_of(workspace: Workspace, state: State, now: datetime | None) -> Terms:
    """What losses of monitoring are held against: those of the last 24 hours count too."""
    return terms(workspace.budgets, state, "" if now is None else written(now - _DAY))


def _is_old(pending: PendingCreate, now: datetime | None) -> bool:
    """Whether nothing can come of it any more; nothing is made when a clock errs about that."""
    try:
        return now is not None and now - datetime.fromisoformat(pending.at) > _HOUR
    except (TypeError, ValueError):  # no time, or one without an offset
        return True


def plan_offline(
    workspace: Workspace, state: State, location: str, now: datetime | None = None
) -> Plan:
    """What would bring the state to the fleet: the state stands for AlertSite.

    A manifest with an id and no record cannot be compared, which the plan notes.

    Args:
        workspace: the manifests.
        state: what is known.
        location: where that is kept, for messages.
        now: the time of day; see `look`.

    Raises:
        StateError: there is no state.
        UsageError: a target matches no manifest and no record.
        ConfigurationError: there is neither a manifest nor a record.
        InvalidManifestsError: a manifest has a known secret in the clear.
    """
    if not state.serial:
        raise StateError(
            f"{location}: there is no state yet, so --offline has nothing to compare with",
            "Run apply once, name the state with --state, or leave out --offline.",
        )
    workspace = _checked(workspace, state)
    rules = _with_fingerprint(workspace)
    desired = workspace.fleet.desired
    live = [
        Live(record.id, address.partition("/")[0], record.fields)
        for address, record in state.records.items()
    ]
    pending, moved = renamed_creates(state.pending_creates, state, workspace)
    loose = {item.address for item in desired if item.id is None}
    # One that was to be created again was missing then, and is not known to be there.
    again = {
        moved.get(address, address): create.replaces
        for address, create in pending.items()
        if create.replaces is not None and address in loose
    }
    records = {**again, **state.records}
    bound = Inventory(desired, records, live).records
    known = [item for item in desired if item.id is None or item.address in bound]
    kinds, held_to = workspace.schemas.kinds, terms_of(workspace, state, now)
    others = workspace.fleet.sources.others
    plan = decide(state.account, known, records, live, kinds, rules, terms=held_to, others=others)
    waited_for = _waited_for(workspace, state._replace(pending_creates=pending))
    told = {item.address for item in known}
    untold = [item for item in desired if item.address not in told]
    unknown = [item for item in untold if is_target(item, rules.targets)]
    notes = [
        *plan.notes,
        *(Note(address, NoteCode.PENDING) for address in pending if address in waited_for),
        *(Note(item.address, NoteCode.UNKNOWN, item.id) for item in unknown),
    ]
    plan = plan._replace(
        notes=tuple(sorted(notes, key=lambda note: note.address)),
        excluded=plan.excluded + len(untold) - len(unknown),
    )
    plan = with_default_places(plan, desired)
    plan = _with_untold_secrets(plan, workspace, bound)
    return without_secrets(plan, known, workspace.vault)


def with_default_places(plan: Plan, desired: Iterable[Desired]) -> Plan:
    """The plan; of each value that is a default it says where that stands."""
    inheriting = {item.address: item.inherited for item in desired if item.inherited}
    locator = Locator()
    changes = []
    for change in plan.changes:
        fields = []
        for item in change.fields:
            origin = inheriting.get(change.address, {}).get(item.field)
            if origin is not None:
                place = locator.position(origin, ("spec", item.field), of_key=True)
                item = item._replace(default=str(place))  # noqa: PLW2901
            fields.append(item)
        changes.append(change._replace(fields=tuple(fields)))
    return plan._replace(changes=tuple(changes))


def without_secrets(plan: Plan, fleet: Iterable[Desired], vault: Vault) -> Plan:
    """The plan without known secrets that AlertSite shows in other fields.

    So nothing that is made of a plan holds one: its JSON, a saved plan, what is pending in a state.

    Raises:
        InvalidManifestsError: a manifest has one in the clear; with a finding for each.
    """
    if not plan.changes and not plan.unmanaged_monitors:
        return plan
    fleet = tuple(fleet)
    vault.learn(fleet)
    redactor = vault.redactor
    strangers = plan.unmanaged_monitors
    if redactor.holds("\n".join(item.name for item in strangers)):
        cleaned = (item._replace(name=redactor.value(item.name)) for item in strangers)
        plan = plan._replace(unmanaged_monitors=tuple(cleaned))
    texts = (
        repr((item.body, [(it.before, it.applied) for it in item.fields])) for item in plan.changes
    )
    if not redactor.holds("\n".join(texts)):
        return plan
    desired = {item.address: item for item in fleet}
    locator = Locator()
    findings = [
        Diagnostic(
            locator.of_field(desired[change.address], field),
            "plain-secret",
            "the value contains a known secret in plain text; write a secretRef",
        )
        for change in plan.changes
        if change.address in desired
        for field, value in change.body.items()
        if field in desired[change.address].fields and redactor.holds(repr(value))
    ]
    if findings:
        raise InvalidManifestsError(tuple(sorted(set(findings))))
    changes = []
    for change in plan.changes:
        fields = []
        for field in change.fields:
            leaves = (
                leaf._replace(path=redactor.value(leaf.path), before=redactor.value(leaf.before))
                for leaf in field.leaves
            )
            before, applied = redactor.value(field.before), redactor.value(field.applied)
            fields.append(field._replace(before=before, applied=applied, leaves=tuple(leaves)))
        changes.append(change._replace(fields=tuple(fields)))
    return plan._replace(changes=tuple(changes))


def refuse_refusals(plan: Plan) -> None:
    """Stops before anything is sent if the plan holds a refusal.

    Raises:
        RefusedError: naming how many there are.
    """
    if count := len(plan.refusals):
        what = "1 manifest is" if count == 1 else f"{count:,} manifests are"
        addresses = dict.fromkeys(refusal.address for refusal in plan.refusals)
        options = " ".join(f"--exclude {address}" for address in addresses)
        if len(addresses) > _MOST_EXCLUDED:
            options = "--exclude"
        it = "it" if count == 1 else "them"
        raise RefusedError(
            f"{what} refused, so nothing can be applied",
            f"Fix what the plan shows above, or leave {it} out with {options}",
        )


def refuse_stale(approved: Plan, current: Plan) -> None:
    """Stops if AlertSite has moved while a person was reading the plan.

    Raises:
        RefusedError: the two plans would not do the same.
    """
    if approved.digest != current.digest:
        raise RefusedError(
            "AlertSite changed while you were reviewing the plan; nothing is applied",
            "Run the same command again and read the new plan.",
        )


def refuse_other(plan: Plan, approved: str, digests: Collection[str] = ()) -> None:
    """Stops if a plan is not the one that was approved elsewhere, or what is left of that.

    A run that was killed has made some of the changes; who does its work again finds the others.

    Args:
        plan: what would be done.
        approved: the digest of the plan that was approved.
        digests: those of its parts; empty if all of it has to be done.

    Raises:
        RefusedError: it would do something else.
    """
    if plan.digest != approved and not (digests and plan.is_rest_of(digests)):
        raise RefusedError(
            "the plan differs from the approved one: AlertSite or the manifests have changed "
            "since; nothing is applied",
            "Run the same command again and read the new plan.",
        )


def _by_address(workspace: Workspace, state: State) -> Workspace:
    """The workspace, whose targets name no ids any more."""
    rules, desired, records = workspace.rules, workspace.fleet.desired, state.all_records
    targets = with_addresses(rules.targets, desired, records)
    keep = with_addresses(rules.keep, desired, records)
    return workspace._replace(rules=rules._replace(targets=targets, keep=keep))


def _checked(workspace: Workspace, state: State) -> Workspace:
    """The workspace with addresses as targets; stops at one that matches nothing: a typing error?

    Raises:
        UsageError: naming the first one, and what may be meant.
        ConfigurationError: there is neither a manifest nor a record.
    """
    desired = workspace.fleet.desired
    if not desired and not state.records:
        raise ConfigurationError(
            f"{workspace.fleet.where}: there are no manifests (*.yaml, *.yml) here, and the state "
            "has no records",
            "Write one, or run reconciler import; use --manifests DIR for another folder.",
        )
    workspace = _by_address(workspace, state)
    rules = workspace.rules
    if not rules.targets and not rules.keep:
        return workspace
    recorded = {*state.records, *state.pending_creates}
    addresses = {*recorded, *(item.address for item in desired)}
    known = {*addresses, *(f"{address.partition('/')[0]}/*" for address in addresses)}
    for target in rules.targets:
        is_described = any(matches(item, target) for item in desired)
        name = bare(target)
        if not is_described and not any(fnmatchcase(address, name) for address in recorded):
            what = f"the target {name or '(empty)'} matches no manifest and no orphan"
            raise UsageError(f"{what}{did_you_mean(name, known)}", f"A target is {GRAMMAR}.")
    for pattern in rules.keep:
        if not any(fnmatchcase(address, pattern) for address in addresses):
            raise UsageError(
                f"--keep {pattern} matches no record and no manifest{did_you_mean(pattern, known)}",
                "Use an address such as email-smtp/prod-relay, or a glob; or leave out --keep.",
            )
    return workspace


def _with_fingerprint(workspace: Workspace) -> PlanOptions:
    """The rules, with what tells whether a secret changed, if they are tracked."""
    rules, vault = workspace.rules, workspace.vault
    if not vault.tracks:
        return rules

    def fingerprint(number: int, field: str, value: JSON) -> str | None:
        if any(vault.failure(found.ref) for found in secret_refs(value)):
            return None
        return vault.fingerprint(number, field, value)

    return rules._replace(fingerprint=fingerprint)


def require_secrets(plan: Plan, workspace: Workspace) -> None:
    """Stops before anything is sent if a secret that the plan sends is not at hand.

    Raises:
        InvalidManifestsError: with a finding for each of them, at its place in the manifest.
    """
    locator = Locator()
    findings = [
        Diagnostic(locator.of_field(desired, field, *path, SECRET_REF), "missing-secret", failure)
        for desired, field in _to_be_sent(workspace.fleet.desired, plan)
        for path, ref in secret_refs(desired.secrets[field])
        if (failure := workspace.vault.failure(ref))
    ]
    if findings:
        raise InvalidManifestsError(tuple(sorted(set(findings))))


def _with_untold_secrets(plan: Plan, workspace: Workspace, records: Mapping[str, Record]) -> Plan:
    """The plan, with what nobody can tell of the secrets that it sends or would compare."""
    vault = workspace.vault
    sent = list(_to_be_sent(workspace.fleet.desired, plan))
    wanted = sent
    if vault.tracks:
        wanted = [(item, field) for item in workspace.targeted for field in item.secrets]
    refs = {found.ref for item, field in wanted for found in secret_refs(item.secrets[field])}
    mark = vault.key_mark
    ours = ((records[item.address], field) for item, field in sent if item.address in records)
    before = (record.secrets.get(field, "") for record, field in ours)
    return plan._replace(
        unchecked=tuple(sorted(str(ref) for ref in refs if vault.failure(ref))),
        rekeyed=sum(not is_of_key(text, mark) for text in before) if vault.tracks else 0,
    )


def _to_be_sent(desired: Iterable[Desired], plan: Plan) -> Iterator[tuple[Desired, str]]:
    """The fields with a secret that the plan sends."""
    bodies = {change.address: change.body for change in plan.changes}
    for manifest in desired:
        for field in manifest.secrets:
            if field in bodies.get(manifest.address, ()):
                yield manifest, field
