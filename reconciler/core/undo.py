"""How a run is taken back: what is to be as it was, and what of it has moved since.

Rule: pure. An undo is planned as everything else is. What the run changed becomes a fleet of its
own, in which each monitor names the fields that the run changed, with the values from before; a
monitor that the run created has no manifest in it, so it is retired as any orphan; one that it
deleted is created from its record. What must stay true:

- Only what the run changed is in that fleet, and only its addresses are targets. An undo with
  nothing to take back is never planned, since a plan without targets is about everything.
- The pins are what AlertSite was seen to have after the run. A monitor of which a field has another
  value by now, that is neither of the two, was changed by somebody else, and is refused whole.
- What cannot be known is not made up: a secret, a value that was hidden, and a field that was unset
  and is no text, which alone can be cleared.
- The state goes back too. A field that the run named first is not known any more, and an address
  that the run bound first is bound to nothing: else it would pass for an orphan, and be retired.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.mask import HIDDEN
from reconciler.core.model import Desired, Lifecycle, Origin, Undo, canonical
from reconciler.core.plan import Action, Binding, BindingAction, Change, NoteCode, Reason, Refusal
from reconciler.core.redactor import PLACEHOLDER
from reconciler.core.result import Outcome, Status
from reconciler.core.state import Record, record_from_json
from reconciler.core.targets import bare, is_target_address
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.model import JSON, Kind, Live
    from reconciler.core.plan import Plan
    from reconciler.core.run_record import RunChange, RunField, RunRecord


class Undoing(NamedTuple):
    """What is to be done to take a run back.

    Attributes:
        record: of the run.
        desired: the monitors as they were, of what the run changed.
        targets: the addresses that it is about; what has no manifest among them is retired.
        refusals: what cannot even be planned.
        left: what stays as it is, in sentences.
    """

    record: RunRecord
    desired: tuple[Desired, ...]
    targets: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    left: tuple[str, ...]


def undoing(
    record: RunRecord,
    records: Mapping[str, Record],
    kinds: Mapping[str, Kind],
    targets: Iterable[str] = (),
) -> Undoing:
    """What takes a run back, of all that it touched or of what targets mean.

    The records are those of the state by now; targets are addresses, or globs over them.
    """
    wanted = tuple(targets)
    found = _Undoing(record, records, kinds, wanted)
    for change in record.changes:
        if change.took_effect and is_target_address(change.address, wanted):
            found.take_back(change)
    found.rebind()
    return Undoing(
        record,
        tuple(found.desired[address] for address in sorted(found.desired)),
        tuple(sorted({*found.desired, *found.targets})),
        tuple(found.refusals),
        tuple(found.left),
    )


def can_take_back(
    record: RunRecord, records: Mapping[str, Record], kinds: Mapping[str, Kind]
) -> bool:
    """Whether there is anything of the run that an undo would take back."""
    return bool(undoing(record, records, kinds).targets)


def is_undone(record: RunRecord, undos: Iterable[RunRecord]) -> bool:
    """Whether undos of a run have taken back all of it that can be."""
    taken: set[str | int] = set()
    for undo in undos:
        taken |= {item.address for item in undo.bindings}
        for change in undo.changes:
            if change.status is Status.DONE:
                taken |= {change.address} if change.id is None else {change.address, change.id}
    for change in record.changes:
        is_left = change.action is Action.UPDATE and all(map(_unknown, change.fields))
        if change.took_effect and not is_left and not taken & {change.address, change.id or 0}:
            return False
    former = _former(record)
    bound = {it.address for it in record.bindings if it.before is None or it.after in former}
    return bound <= taken | {item.address for item in record.changes if item.took_effect}


def _former(record: RunRecord) -> dict[int, str]:
    """By id, the address that a monitor had before the run."""
    return {item.before: item.address for item in record.bindings if item.before is not None}


def matches_nothing(record: RunRecord, target: str) -> bool:
    """Whether a target means nothing of what the run touched."""
    addresses = {item.address for part in (record.changes, record.bindings) for item in part}
    return not any(fnmatchcase(address, bare(target)) for address in addresses)


class Repeated(NamedTuple):
    """That the manifests still have what the run applied.

    Attributes:
        files: in which they say it.
        is_released: whether they lack a field that the run restored.
        is_retired: whether they lack a monitor that the run retired.
        is_bound: whether they have the id of a monitor that the run created.
    """

    files: frozenset[str]
    is_released: bool
    is_retired: bool
    is_bound: bool

    @property
    def is_absence(self) -> bool:
        """Whether manifests still have it, or some of it, by a field or monitor that they lack."""
        return self.is_released or self.is_retired

    @property
    def is_prune(self) -> bool:
        """Whether only an apply that prunes makes it again."""
        return self.is_retired and not self.files and not self.is_released


def repeated(
    plan: Plan, undo: Undoing, fleet: Mapping[str, Desired], records: Mapping[str, Record]
) -> Repeated | None:
    """What of that which a plan takes back the manifests still have; None if it is nothing.

    The plan is one of an undo, the fleet has the manifests by address, and the records are those of
    the state before the undo.
    """
    numbers = {item.id for item in plan.changes if item.id is not None}
    addresses = {item.address for item in plan.changes}
    by_id = {item.id: item for item in fleet.values() if item.id is not None}
    current = {item.id: address for address, item in records.items()}
    files: set[str] = set()
    is_released = is_retired = is_bound = False
    for change in undo.record.changes:
        if not change.took_effect or not (change.id in numbers or change.address in addresses):
            continue
        address = current.get(change.id or 0, change.address)
        wanted = fleet.get(address) or by_id.get(change.id or 0) or fleet.get(change.address)
        if wanted is None:
            is_retired |= change.action is Action.DELETE or any(
                item.field == "enabled" and item.after is False for item in change.fields
            )
        elif change.action is Action.CREATE:
            files.add(wanted.origin.path)
            is_bound |= wanted.id is not None
        elif change.action is Action.UPDATE:
            known = records[address].fields if address in records else {}
            for item in change.fields:
                if item.field in wanted.fields:
                    if _is_still(wanted, item):
                        files.add(wanted.place(item.field).path)
                elif item.was_applied and item.field not in {*wanted.secrets, *known}:
                    is_released = True  # the run restored a field that had left its manifest
    for binding in plan.bindings:
        if binding.before is not None and binding.before in fleet:  # which the run has renamed
            files.add(fleet[binding.before].origin.path)
    found = Repeated(frozenset(files), is_released, is_retired, is_bound)
    return found if files or found.is_absence else None


def _is_still(wanted: Desired, item: RunField) -> bool:
    """Whether a manifest has the value of a field that the run applied, and not the one before."""
    if _unknown(item):
        return False  # the undo leaves it
    field, value = wanted.kind.field(item.field), wanted.fields[item.field]
    return field.is_same(value, item.after) and not field.is_same(value, item.before)


def reviewed(plan: Plan, undo: Undoing, live: Iterable[Live], kinds: Mapping[str, Kind]) -> Plan:
    """The plan without what has moved since the run, each of which is a refusal of it."""
    monitors = {monitor.id: monitor for monitor in live}
    done = {item.id: item for item in undo.record.changes if item.id is not None}
    gone = {item.address for item in undo.record.changes if item.id not in monitors}
    made_again = {item.address for item in undo.record.changes if item.action is Action.DELETE}
    # What is neither known nor there was retired already, by an undo that did not end.
    refusals = [
        item for item in undo.refusals if item.code != _NOT_OURS or item.address not in gone
    ]
    refusals += (item._replace(origin=None) for item in plan.refusals)
    refused = {item.address for item in refusals}
    changes = []
    for change in plan.changes:
        was, monitor = done.get(change.id or 0), monitors.get(change.id or 0)
        moved: list[str] = []
        if was is not None and monitor is not None:
            moved = _moved(was, monitor, kinds[change.kind], is_gone=change.is_retirement)
        if moved:
            refusals.append(_refusal(change.address, "moved", "; ".join(moved)))
        elif change.action is Action.UPDATE and change.address in made_again:
            what = f"the address now has monitor {change.id}, not the one that was deleted"
            refusals.append(_refusal(change.address, "bound", what))
        elif change.address not in refused:
            reason = Reason.UNDONE if change.action is Action.DELETE else change.reason
            changes.append(change._replace(origin=None, reason=reason))
    refused = {item.address for item in refusals}
    bindings = [item for item in plan.bindings if item.address not in refused]
    bindings += [
        Binding(item.address, BindingAction.UNBIND, item.id)
        for item in undo.desired
        if item.undo is not None and item.undo.is_unbound and item.id is not None
        if item.address not in refused
    ]
    about = {*undo.targets}
    return plan._replace(
        changes=tuple(changes),
        refusals=tuple(sorted(refusals, key=lambda item: (item.address, item.code))),
        bindings=tuple(sorted(bindings, key=lambda item: item.address)),
        notes=tuple(
            item
            for item in plan.notes
            if item.address in about and item.code is not NoteCode.STALE_NAME
        ),
        coverage=plan.coverage.without(refused),
        # No manifest was read, so nobody can tell which monitors have none.
        unmanaged=0,
        unmanaged_monitors=(),
    )


def parted(plan: Plan, record: RunRecord) -> tuple[Plan, tuple[Outcome, ...]]:
    """What can be done of a plan, and an outcome for each of its refusals."""
    done = {item.address: item for item in record.changes}
    outcomes = []
    for item in plan.refusals:
        was, kind = done.get(item.address), item.address.partition("/")[0]
        action = Action.UPDATE if was is None else _OPPOSITE.get(was.action, was.action)
        number = None if was is None or action is Action.CREATE else was.id
        back = Change(action, item.address, kind, number, {}, (), None)
        outcomes.append(Outcome(back, Status.MOVED, item.message, ExitCode.REFUSED))
    return plan._replace(refusals=()), tuple(outcomes)


_LOOK = "Check its current value, and change it in the manifest if needed."
_NOT_OURS = "not-ours"
_OPPOSITE = {Action.CREATE: Action.DELETE, Action.DELETE: Action.CREATE}


def _moved(was: RunChange, live: Live, kind: Kind, *, is_gone: bool) -> list[str]:
    """Which fields have moved since the run, in words."""
    return [
        f"{item.field} has changed since the run"
        for item in was.fields
        if item.source is None
        if not any(
            kind.field(item.field).is_same(live.fields.get(item.field), value)
            for value in ((item.after,) if is_gone else (item.after, item.before))
        )
    ]


def _refusal(address: str, code: str, message: str) -> Refusal:
    return Refusal(address, code, message, _LOOK, None)


class _Undoing:
    """What takes a run back, as it is found."""

    def __init__(
        self,
        record: RunRecord,
        records: Mapping[str, Record],
        kinds: Mapping[str, Kind],
        targets: Sequence[str],
    ) -> None:
        self._record = record
        self._records = records
        self._kinds = kinds
        self._now = {item.id: address for address, item in records.items()}
        made = {item.id for item in record.changes if item.action is Action.CREATE}
        former = _former(record)
        # Bound by the run: a monitor that is not bound now may be so by an undo that was killed.
        self._given = {item.after for item in record.bindings if item.before is None} - made
        self._moves: dict[str, str] = {}
        self._bound: set[str] = set()
        for item in record.bindings:
            if item.after is None or not is_target_address(item.address, targets):
                continue
            if self._now.get(item.after) != item.address or item.after in made:
                continue  # forgotten or moved since; or another one's, whose id was given again
            if item.after in former:
                self._moves[item.address] = former[item.after]
            elif item.before is None:
                self._bound.add(item.address)
        # Chains and swaps move as a whole, but nothing moves to where something stays.
        while stuck := [
            address
            for address, goal in self._moves.items()
            if goal in records and goal not in self._moves
        ]:
            for address in stuck:
                del self._moves[address]
        self.desired: dict[str, Desired] = {}
        self.targets: set[str] = set()
        self.refusals: list[Refusal] = []
        self.left: list[str] = []

    def take_back(self, change: RunChange) -> None:
        kind = self._kinds.get(change.address.partition("/")[0])
        if kind is None:
            self._refuse(change, "no-kind", "its kind is no longer known")
        elif change.action is Action.DELETE:
            self._create_again(change, kind)
        elif change.id is None:
            self._refuse(change, "no-id", "it is not known whether the run created a monitor")
        elif (address := self._now.get(change.id)) is None and change.id in self._given:
            self.left.append(f"{change.address} stays as it is: it is no longer bound.")
        elif address is None:
            what = f"the state no longer has a record of monitor {change.id}"
            self._refuse(change, _NOT_OURS, what)
        elif change.action is Action.UPDATE:
            self._restore(change, kind, change.id, address)
        else:
            self.targets.add(address)

    def rebind(self) -> None:
        """Takes in what the run bound, and changed nothing of."""
        for address in (*self._moves, *sorted(self._bound)):
            former = self._moves.get(address, address)
            kind = self._kinds.get(address.partition("/")[0])
            if kind is None or former in self.desired:
                continue
            self._want(kind, address, self._records[address].id, {}, frozenset())

    def _refuse(self, change: RunChange, code: str, message: str) -> None:
        self.refusals.append(_refusal(change.address, code, message))

    def _restore(self, change: RunChange, kind: Kind, number: int, address: str) -> None:
        fields: dict[str, JSON] = {}
        forgets: set[str] = set()
        for item in change.fields:
            if reason := _unknown(item):
                self.left.append(f"{change.address}.{item.field} stays as it is: {reason}.")
                continue
            fields[item.field] = "" if item.before is None else item.before
            if not item.was_applied:
                forgets.add(item.field)
        if fields or address in self._moves or address in self._bound:
            self._want(kind, address, number, fields, frozenset(forgets))

    def _want(
        self,
        kind: Kind,
        address: str,
        number: int,
        fields: Mapping[str, JSON],
        forgets: frozenset[str],
    ) -> None:
        previously: tuple[str, ...] = ()
        former = self._moves.get(address)
        is_unbound = address in self._bound
        if former is not None:
            previously, address = (address.partition("/")[2],), former
        record = self._records.get(self._now.get(number, ""))
        undo = Undo(forgets, is_unbound=is_unbound)
        wanted = self._described(kind, address, record, fields, undo)
        self.desired[address] = wanted._replace(id=number, previously=previously)

    def _create_again(self, change: RunChange, kind: Kind) -> None:
        if not change.body:
            self._refuse(change, "no-body", "the run did not store the previous value")
            return
        body = {name: value for name, value in change.body.items() if not _is_hidden(value)}
        if change.address in self._records:  # perhaps by an undo that did not end
            number = self._records[change.address].id
            self._want(kind, change.address, number, body, frozenset())
            return
        was = record_from_json(dict(change.record)) if change.record else None
        managed = was.fields.keys() if was else set()
        secrets = sorted({*(was.secrets if was else ()), *(change.body.keys() - body.keys())})
        if secrets:
            self.left.append(
                f"{change.address} is created without {', '.join(secrets)}: secrets are not "
                "stored. Restore its manifest and run apply with --write-secrets."
            )
        self.left.append(f"{change.address} gets a new id: monitor {change.id} is gone.")
        undo = Undo(frozenset(body.keys() - managed), is_unbound=False)
        self.desired[change.address] = self._described(kind, change.address, was, body, undo)

    def _described(
        self,
        kind: Kind,
        address: str,
        record: Record | None,
        fields: Mapping[str, JSON],
        undo: Undo,
    ) -> Desired:
        lifecycle = Lifecycle(record.protect, record.retire) if record else Lifecycle()
        origin, name = Origin(f"run {self._record.id}", 0, 1), address.partition("/")[2]
        return Desired(kind, name, None, {}, fields, origin, lifecycle=lifecycle, undo=undo)


def _unknown(field: RunField) -> str:
    """Why what a field was before cannot be restored; empty if it can."""
    if field.source is not None:
        return "it is a secret, and the previous one is not stored"
    if _is_hidden(field.before):
        return "the previous value may be a secret, and is not stored"
    if field.before is None and not isinstance(field.after, str):
        return "it was not set before, and only strings can be cleared"
    return ""


def _is_hidden(value: JSON) -> bool:
    text = canonical(value)
    return HIDDEN in text or PLACEHOLDER in text
