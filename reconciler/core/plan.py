"""A plan: which request goes out for which manifest, and why.

Rule: a plan is a value: frozen, sorted, serialisable, with a digest. It is made by `decide`.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from reconciler.core.diff import FieldChange, Leaf
from reconciler.core.json_text import decoded, encoded
from reconciler.core.model import JSON, Account, Origin, Unmanaged, canonical
from reconciler.core.names import Name
from reconciler.core.state import Lost

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


FORMAT_VERSION = "2.3"
"""Of the plan's JSON: the minor number grows with additions, the major with anything else."""


class Action(StrEnum):
    """What a change does to a monitor."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Reason(StrEnum):
    """Why a change is more than a difference between the manifest and AlertSite."""

    DELETED_OUTSIDE = "deleted-outside-git"
    REPLACEMENT = "replacement"
    REPLACED = "replaced"
    RETIRED = "retired"
    UNDONE = "undone"


class Change(NamedTuple):
    """One request, and the field changes that explain it.

    Attributes:
        id: the monitor; None for one that is to be created.
        origin: None if it has no manifest any more.
        labels: of its manifest; none if that is gone. Nothing is sent of them.
    """

    action: Action
    address: str
    kind: str
    id: int | None
    body: Mapping[str, JSON]
    fields: tuple[FieldChange, ...]
    origin: Origin | None = None
    reason: Reason | None = None
    labels: Mapping[str, str] = {}

    @property
    def is_retirement(self) -> bool:
        """Whether a monitor without manifest is deleted or disabled: last, and one by one."""
        return self.action is Action.DELETE or self.reason is Reason.RETIRED

    @property
    def method(self) -> str:
        """The HTTP method of the request."""
        return _METHODS[self.action]

    @property
    def path(self) -> str:
        """The path of the request, below the base URL."""
        match self.action:
            case Action.CREATE:
                return f"/monitors/{self.kind}"
            case Action.UPDATE:
                return f"/monitors/{self.kind}/{self.id}"
            case Action.DELETE:
                return f"/monitors/{self.id}"


class Refusal(NamedTuple):
    """What cannot be planned: which guard said no, and what would allow it.

    Attributes:
        origin: None if it has no manifest any more.
    """

    address: str
    code: str
    message: str
    hint: str
    origin: Origin | None = None


class BindingAction(StrEnum):
    """What a plan does to the state without a request."""

    ADOPT = "adopt"
    BIND = "bind"
    FORGET = "forget"
    MOVE = "move"
    UNBIND = "unbind"


class Binding(NamedTuple):
    """Which monitor an address has from now on; approved with the plan, like its changes.

    A manifest with `metadata.id` binds itself: that is said in Git and is no decision of a plan.

    Attributes:
        action: `adopt` a monitor that is there and has no owner; `bind` the one that a create of an
            earlier run is found to have made; `move` a record here from another address; `forget`
            the record of a monitor that is gone; `unbind` one that the run which is taken back has
            bound.
        id: the monitor.
        before: the address that the record, or the pending create, is moved from.
    """

    address: str
    action: BindingAction
    id: int
    before: str | None = None


class NoteCode(StrEnum):
    """What a plan says beside its changes and bindings."""

    RELEASED = "released"
    ORPHAN = "orphan"
    UNKNOWN = "unknown"
    STALE_NAME = "stale-name"
    IGNORED = "ignored"
    UNLISTED = "unlisted"
    DUPLICATE = "duplicate"
    PENDING = "pending"
    LEFTOVER = "leftover"


_REMARKS = frozenset({NoteCode.UNLISTED, NoteCode.DUPLICATE, NoteCode.PENDING, NoteCode.LEFTOVER})
"""What is said of AlertSite and makes no difference to what a plan does."""


class Note(NamedTuple):
    """One thing that a plan says beside its changes.

    Attributes:
        id: the monitor it is about; None if there is none.
        field: the field it is about; None if it is about the whole monitor.
        name: former names of the manifest, or the id of our monitor, if it is about them; why an
            orphan is not pruned (`empty`: there is no manifest at all, `kept`, `disabled`,
            `shared`, `untold`, `replaced`), if it could be; why a released field is left (`kept`,
            `moved`, `unset`, `apart`), or that it is `worse` than before and was left by an earlier
            apply.
    """

    address: str
    code: NoteCode
    id: int | None = None
    field: str | None = None
    name: str | None = None


Item: TypeAlias = "Change | Binding | Refusal | Note"
"""What can be decided of one address."""


class Loss(NamedTuple):
    """A monitor that loses monitoring by a plan.

    Attributes:
        id: the monitor.
        causes: how, sorted: `deleted`, `vanished`, `ignored`, `released`, `switched-off`, or what
            its schema says of the fields that change, such as `disabled`.
        fields: by field, the cause that it is; none if it is about the whole monitor.
        labels: of its manifest; none if that is gone.
    """

    address: str
    id: int
    causes: tuple[str, ...]
    fields: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}

    @property
    def without_request(self) -> Loss | None:
        """The part of it that comes about though nothing is sent, since the state says so."""
        fields = {name: cause for name, cause in self.fields.items() if cause in _NO_REQUEST}
        causes = tuple(sorted(set(fields.values())))
        return self._replace(causes=causes, fields=fields) if fields else None


_NO_REQUEST = ("ignored", "released")


class Measurements(NamedTuple):
    """Measurements per day, of the monitors that change, as far as they can be known.

    Attributes:
        credits_before: what they cost, by the regions of their locations; see `cost`.
        unknown: how many may cost more or less, and are not counted as nobody knows how much.
    """

    before: int = 0
    after: int = 0
    credits_before: float = 0.0
    credits_after: float = 0.0
    unknown: int = 0


class BudgetLimits(NamedTuple):
    """How many monitors of a fleet may lose monitoring within 24 hours, and who says so.

    Attributes:
        configured: by the budget of the project.
        last_apply: by the budget that the last apply was held to; None if the state has none.
        ceiling: by what no file of the project can raise; None if that is not set.
    """

    configured: int = 0
    last_apply: int | None = None
    ceiling: int | None = None

    @property
    def limit(self) -> int:
        """The smallest of them."""
        return min(number for number in self if number is not None)


class Coverage(NamedTuple):
    """What a plan does to monitoring, and how much of that is allowed.

    Attributes:
        managed: how many monitors the shares of a budget are of: those that have a manifest and are
            there, and those that are lost.
        losses: sorted by address.
        recent: what earlier runs have taken away within 24 hours, sorted by address.
    """

    managed: int = 0
    losses: tuple[Loss, ...] = ()
    measurements: Measurements = Measurements()
    recent: tuple[Lost, ...] = ()
    allowance: BudgetLimits = BudgetLimits()

    @property
    def total(self) -> int:
        """How many monitors lose monitoring by the plan, or have within 24 hours."""
        return len({item.id for item in self.losses} | {item.id for item in self.recent})

    @property
    def is_over(self) -> bool:
        """Whether apply refuses the plan for what it loses, unless an option allows that."""
        return bool(self.losses) and self.total > self.allowance.limit

    @property
    def is_above_ceiling(self) -> bool:
        """Whether apply refuses the plan for what it loses, and no option allows that."""
        ceiling = self.allowance.ceiling
        return bool(self.losses) and ceiling is not None and self.total > ceiling

    @property
    def others_have(self) -> str:
        """Who has lost some within 24 hours, but for those of the plan; empty if nobody has."""
        return others_have(self.total - len({item.id for item in self.losses}))

    def without(self, addresses: set[str]) -> Coverage:
        """The coverage of a plan that leaves the changes of these out.

        What needs no change costs all the same. What was measured cannot be taken out.
        """
        if not addresses:
            return self
        left = (loss.without_request if loss.address in addresses else loss for loss in self.losses)
        losses = tuple(loss for loss in left if loss is not None)
        return self._replace(losses=losses, measurements=Measurements())

    def by_cause(self) -> dict[str, int]:
        """How many monitors lose monitoring in which way, the most frequent first."""
        return counted(cause for loss in self.losses for cause in loss.causes)

    def by_label(self) -> dict[str, int]:
        """How many of those that lose monitoring have which label, the most frequent first."""
        return counted(
            f"{name}={value}" for loss in self.losses for name, value in loss.labels.items()
        )

    def to_json(self) -> dict[str, JSON]:
        """The part of the plan's JSON."""
        return {
            "managed": self.managed,
            "losses": encoded(self.losses),
            "recent": encoded(self.recent),
            "budget": {"limit": self.allowance.limit, **self.allowance._asdict()},
            "measurements": self.measurements._asdict(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Coverage:
        """What `to_json` gave."""
        parts = {name: data[name] for name in ("managed", "losses", "recent", "measurements")}
        budget = {name: data["budget"][name] for name in BudgetLimits._fields}
        return decoded(_COVERAGE, {**parts, "allowance": budget})


_COVERAGE = Coverage(losses=(Loss("", 0, ("",)),), recent=(Lost(0, "", ("",), ""),))


def others_have(count: int) -> str:
    """So many others, as the beginning of a sentence of what they have; empty if there are none."""
    if not count:
        return ""
    return "1 other has" if count == 1 else f"{count:,} others have"


def counted(words: Iterable[str]) -> dict[str, int]:
    """How often each word occurs, the most frequent first."""
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


class Plan(NamedTuple):
    """All that a run would do to one account; all tuples are sorted by address.

    Attributes:
        account: where live was read from.
        bindings: what becomes of the state beside what the changes do to it.
        unchanged: manifests that AlertSite already fits.
        unmanaged: email monitors of the account that no manifest names and no record knows.
        excluded: manifests that `--target` left out.
        untracked: fields with a secret that are not sent, though it may be another than was sent.
        names: what AlertSite calls the ids that the changes show; for people.
        unmanaged_monitors: those that are counted as unmanaged, sorted by id; for people.
        unchecked: the secrets that are not at hand, so that nobody can tell whether they changed;
            sorted, such as `env:NAME`.
        rekeyed: fields with a secret that are sent since their fingerprint is one of another key.
    """

    account: Account
    changes: tuple[Change, ...] = ()
    bindings: tuple[Binding, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()
    unchanged: int = 0
    unmanaged: int = 0
    excluded: int = 0
    untracked: int = 0
    coverage: Coverage = Coverage()
    names: tuple[Name, ...] = ()
    unmanaged_monitors: tuple[Unmanaged, ...] = ()
    unchecked: tuple[str, ...] = ()
    rekeyed: int = 0

    @property
    def digest(self) -> str:
        """What two plans share exactly when they would do the same: `sha256:` and 64 hex digits."""
        notes = encoded(tuple(note for note in self.notes if note.code not in _REMARKS))
        return fingerprint([self.account._asdict(), *self._decisions, notes])

    @property
    def digests(self) -> tuple[str, ...]:
        """What tells whether another plan is what is left of this one; see `is_rest_of`."""
        made = (change.address for change in self.having(Action.CREATE))
        return (*self._parts, *map(_bound, made))

    def is_rest_of(self, digests: Collection[str]) -> bool:
        """Whether it does nothing else than a plan with these digests, of which a part is done.

        A monitor that was created is bound where nobody has noted its id.
        """
        bound = {
            fingerprint(encoded(item))
            for item in self.binding(BindingAction.BIND)
            if item.before is None and _bound(item.address) in digests
        }
        return set(self._parts) - bound <= set(digests)

    @property
    def _decisions(self) -> tuple[list[JSON], ...]:
        changes = [_decision(change) for change in self.changes]
        return changes, encoded(self.bindings), encoded(self.refusals)

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(fingerprint(item) for items in self._decisions for item in items)

    @property
    def is_something(self) -> bool:
        """Whether there is anything to be approved: a request, or a monitor that becomes ours."""
        return bool(self.changes or self.binding(BindingAction.ADOPT))

    @property
    def counts(self) -> dict[str, int]:
        """How many changes there are of each action."""
        return {action.value: len(self.having(action)) for action in Action}

    @property
    def summary(self) -> dict[str, int]:
        """The numbers of the plan's JSON."""
        return self.counts | {
            "unchanged": self.unchanged,
            "unmanaged": self.unmanaged,
            "excluded": self.excluded,
            "refused": len(self.refusals),
            "untracked": self.untracked,
        }

    def having(self, action: Action) -> tuple[Change, ...]:
        """The changes of that action."""
        return tuple(change for change in self.changes if change.action is action)

    def binding(self, action: BindingAction) -> tuple[Binding, ...]:
        """The bindings of that action."""
        return tuple(binding for binding in self.bindings if binding.action is action)

    def noting(self, code: NoteCode) -> tuple[Note, ...]:
        """The notes of that code."""
        return tuple(note for note in self.notes if note.code is code)

    def to_json(self) -> dict[str, JSON]:
        """The plan as `schemas/plan.schema.json` describes it."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account._asdict(),
            "digest": self.digest,
            "summary": self.summary,
            "changes": [_change_to_json(change) for change in self.changes],
            "bindings": encoded(self.bindings),
            "refusals": encoded(self.refusals),
            "notes": encoded(self.notes),
            "coverage": self.coverage.to_json(),
            "names": encoded(self.names),
            "unmanaged": encoded(self.unmanaged_monitors),
            "secrets": {"unchecked": list(self.unchecked), "rekeyed": self.rekeyed},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Plan:
        """The plan that `to_json` wrote; `data` must fit `schemas/plan.schema.json`."""
        counts = ("unchanged", "unmanaged", "excluded", "untracked")
        parts = ("account", "bindings", "refusals", "notes", "names")
        return decoded(
            _PLAN,
            {name: data["summary"][name] for name in counts}
            | {name: data[name] for name in parts}
            | {"changes": [_change_from_json(item) for item in data["changes"]]}
            | {"unmanaged_monitors": data["unmanaged"], **data["secrets"]},
        )._replace(coverage=Coverage.from_json(data["coverage"]))


_ORIGIN = Origin("", 0, 0)
_PLAN = Plan(
    Account("", ""),
    (
        Change(
            Action.CREATE,
            "",
            "",
            None,
            {},
            (FieldChange("", None, None, (Leaf("", None, None),)),),
            _ORIGIN,
            Reason.RETIRED,
        ),
    ),
    (Binding("", BindingAction.BIND, 0, ""),),
    (Refusal("", "", "", "", _ORIGIN),),
    (Note("", NoteCode.ORPHAN),),
    names=(Name("", None, 0, ""),),
    unmanaged_monitors=(Unmanaged(0, None, ""),),
    unchecked=("",),
)
"""What all plans are like; see `decoded`."""


def fingerprint(value: JSON) -> str:
    """What two values share exactly when they are the same: `sha256:` and 64 hex digits."""
    from hashlib import sha256  # 4 ms that a plan in text saves

    return "sha256:" + sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def pins(change: Change) -> dict[str, str]:
    """For each field that a change touches, a fingerprint of what AlertSite had."""
    return {item.field: fingerprint(item.before) for item in change.fields if item.source is None}


_METHODS = {Action.CREATE: "POST", Action.UPDATE: "PATCH", Action.DELETE: "DELETE"}


def _change_to_json(change: Change) -> dict[str, JSON]:
    return {
        "action": change.action.value,
        "address": change.address,
        "kind": change.kind,
        "id": change.id,
        "origin": encoded(change.origin),
        "reason": change.reason,
        "request": {"method": change.method, "path": change.path, "body": change.body},
        "fields": encoded(change.fields),
        "labels": dict(change.labels),
    }


def _bound(address: str) -> str:
    return fingerprint(["bound", address])


def _decision(change: Change) -> dict[str, JSON]:
    """What of a change decides whether another one would do the same."""
    return {name: item for name, item in _change_to_json(change).items() if name != "labels"}


def _change_from_json(data: Mapping[str, JSON]) -> dict[str, JSON]:
    parts = {name: data[name] for name in Change._fields if name != "body"}
    return {**parts, "body": data["request"]["body"]}
