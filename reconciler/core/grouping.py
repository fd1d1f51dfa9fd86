"""A plan as a person reads it: changes that are alike together, what is unusual first.

Rule: pure functions of a plan or a drift; no I/O. They decide nothing but the order and the folds
of what is shown: each change of the plan, and each monitor that drifted, is in exactly one group.

**What is alike.** Two updates are alike if they change the same fields in the same way: from the
same value, to the same value, by the same default. Of a set only what comes and goes counts, not
what else is in it; of a field that is sent along unchanged only its name. Two creates are alike if
they are of one kind and name the same fields: what differs between them is `varying`.

**What is unusual comes first:** what goes; then what loses monitoring; then what AlertSite has
moved or has not kept; then what replaces, or makes again. Of each of these sorts, up to
`FOLDED_ABOVE` changes are shown one by one. More than so many nobody reads one by one, and those
that are rare would be lost among them: so equal ones are together, the smallest group first. To be
equal they must also have the same reason and loss, and where it is shown the same value must have
been applied last.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import Cause
from reconciler.core.model import canonical, elements_by_key
from reconciler.core.plan import Action, counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.diff import FieldChange
    from reconciler.core.drift import Drifted
    from reconciler.core.model import JSON
    from reconciler.core.plan import Change, Loss, Plan, Reason


FOLDED_ABOVE = 20
"""So many changes, or lines of one sort, are read one by one; more are folded."""


class Detail(StrEnum):
    """How much of a plan is shown."""

    SUMMARY = "summary"
    GROUPED = "grouped"
    FULL = "full"


class Group(NamedTuple):
    """Changes that are alike.

    Attributes:
        fields: what all of them change; of a set that changes, `set_change` is the same in all, and
            what else is in it is that of the first. None of a delete.
        changes: at least one, sorted by address.
        varying: fields that all of them send, each with a value of its own.
        is_unusual: whether they come before all others.
    """

    action: Action
    reason: Reason | None
    fields: tuple[FieldChange, ...]
    changes: tuple[Change, ...]
    varying: tuple[str, ...] = ()
    is_unusual: bool = False

    def by_kind(self) -> dict[str, int]:
        """How many of the changes are of which kind, the most frequent first."""
        return counted(change.kind for change in self.changes)

    def by_folder(self) -> dict[str, int]:
        """How many of the manifests stand in which folder, the most frequent first."""
        return counted(
            change.origin.path.rpartition("/")[0] or "."
            for change in self.changes
            if change.origin is not None
        )

    def by_label(self) -> dict[str, int]:
        """How many of the manifests have which label (`name=value`), the most frequent first."""
        return counted(
            f"{name}={value}" for change in self.changes for name, value in change.labels.items()
        )


class SetChange(NamedTuple):
    """How a set changes; elements are in the order of their keys.

    Attributes:
        key: the member that tells the elements apart.
        added: elements that come.
        removed: elements that go.
        changed: what differs inside elements that stay, each with the element as it will be.
    """

    key: str
    added: tuple[Mapping[str, JSON], ...] = ()
    removed: tuple[Mapping[str, JSON], ...] = ()
    changed: tuple[ElementChange, ...] = ()


class ElementChange(NamedTuple):
    """One difference inside an element of a set; None means "not there"."""

    element: Mapping[str, JSON]
    member: str
    before: JSON
    after: JSON


class LossGroup(NamedTuple):
    """Monitors that lose the same.

    Attributes:
        losses: at least one, sorted by address.
    """

    causes: tuple[str, ...]
    fields: Mapping[str, str]
    losses: tuple[Loss, ...]


class DriftGroup(NamedTuple):
    """Monitors that drifted in the same way, and lost the same by it.

    Attributes:
        monitors: at least one, sorted by address.
    """

    monitors: tuple[Drifted, ...]

    def by_kind(self) -> dict[str, int]:
        """How many of the monitors are of which kind, the most frequent first."""
        return counted(item.address.partition("/")[0] for item in self.monitors)


def detail_of(plan: Plan, asked: Detail | None = None) -> Detail:
    """How much of a plan is shown: what is asked for, or what can be read."""
    if asked is not None:
        return asked
    return Detail.GROUPED if len(plan.changes) > FOLDED_ABOVE else Detail.FULL


def groups(plan: Plan) -> tuple[Group, ...]:
    """All changes of a plan: what is unusual first; then the largest group first."""
    lost = {loss.address: loss for loss in plan.coverage.losses}
    usual: list[Change] = []
    unusual: dict[_Sort, list[Change]] = {}
    for change in plan.changes:
        if _is_unusual(change, lost):
            unusual.setdefault(_sort(change, lost), []).append(change)
        else:
            usual.append(change)
    first = [group for sort in sorted(unusual) for group in _of_sort(unusual[sort], lost)]
    folded = sorted(alike(usual), key=lambda group: -len(group.changes))
    return (*first, *folded)


def alike(changes: Iterable[Change], lost: Mapping[str, Loss] = {}) -> list[Group]:
    """The changes, those that are alike together, in the order of their first ones.

    `lost` has the losses by address that tell changes apart, too.
    """
    found: dict[str, list[Change]] = {}
    for change in changes:
        loss = lost.get(change.address)
        costs = (loss.causes, dict(loss.fields)) if loss else None
        found.setdefault(_likeness(change, costs), []).append(change)
    return list(map(_group, found.values()))


def loss_groups(losses: Iterable[Loss]) -> tuple[LossGroup, ...]:
    """The losses, those that lose the same together; the smallest group first."""
    alike: dict[str, list[Loss]] = {}
    for loss in losses:
        alike.setdefault(canonical([loss.causes, dict(loss.fields)]), []).append(loss)
    found = (LossGroup(items[0].causes, items[0].fields, tuple(items)) for items in alike.values())
    return tuple(sorted(found, key=lambda group: len(group.losses)))


def drift_groups(monitors: Sequence[Drifted]) -> tuple[DriftGroup, ...]:
    """Monitors that drifted: one by one, or equal ones together if they are many.

    Of many, those that lost monitoring come first, and the smallest group of both.
    """
    if len(monitors) <= FOLDED_ABOVE:
        return tuple(DriftGroup((item,)) for item in monitors)
    alike: dict[str, list[Drifted]] = {}
    for item in monitors:
        said = [_said(field) for field in item.fields]
        alike.setdefault(canonical([item.causes, said]), []).append(item)
    found = (DriftGroup(tuple(items)) for items in alike.values())
    return tuple(
        sorted(found, key=lambda group: (not group.monitors[0].causes, len(group.monitors)))
    )


def set_change(field: FieldChange) -> SetChange | None:
    """How the set in a field changes; None if it is no set, or if there was none before."""
    before, after = field.before, field.after
    if field.set_key is None or not isinstance(before, list) or not isinstance(after, list):
        return None
    was, will = elements_by_key(before, field.set_key), elements_by_key(after, field.set_key)
    if was is None or will is None:
        return None
    changed = [
        ElementChange(will[key], member, was[key].get(member), will[key].get(member))
        for key in _sorted(was.keys() & will.keys())
        for member in sorted({*was[key], *will[key]})
        if canonical(was[key].get(member)) != canonical(will[key].get(member))
    ]
    return SetChange(
        field.set_key,
        tuple(will[key] for key in _sorted(will.keys() - was.keys())),
        tuple(was[key] for key in _sorted(was.keys() - will.keys())),
        tuple(changed),
    )


class _Sort(NamedTuple):
    """What is unusual about a change; sorted, what matters most comes first."""

    stays: bool
    keeps: bool
    is_still: bool


def _is_unusual(change: Change, lost: Mapping[str, Loss]) -> bool:
    return (
        change.action is Action.DELETE
        or change.reason is not None
        or change.address in lost
        or _is_moved(change)
    )


def _sort(change: Change, lost: Mapping[str, Loss]) -> _Sort:
    return _Sort(not change.is_retirement, change.address not in lost, not _is_moved(change))


def _of_sort(changes: list[Change], lost: Mapping[str, Loss]) -> list[Group]:
    """Changes that are unusual in one way: one by one, or equal ones together if they are many."""
    if len(changes) <= FOLDED_ABOVE:
        found = [_group([change]) for change in changes]
    else:
        found = sorted(alike(changes, lost), key=lambda group: len(group.changes))
    return [group._replace(is_unusual=True) for group in found]


def _is_moved(change: Change) -> bool:
    """Whether anybody but Git is the cause of it."""
    return any(field.cause not in {Cause.EDIT, Cause.RESTORE} for field in change.fields)


def _likeness(change: Change, costs: JSON) -> str:
    """The text that two changes share exactly when they are alike; `costs` is what they lose."""
    head = [change.action, change.reason, costs]
    if change.action is Action.UPDATE:
        return canonical([*head, [_said(field) for field in change.fields]])
    kind = change.kind if change.action is Action.CREATE else ""
    return canonical([*head, kind, [field.field for field in change.fields]])


def _said(field: FieldChange) -> JSON:
    if field.sent_with is not None:
        return [field.field, field.sent_with]
    found = set_change(field)
    return [field.field, *_why(field), *(_ends(field) if found is None else found)]


def _ends(field: FieldChange) -> tuple[JSON, JSON]:
    return field.before, field.after


def _why(field: FieldChange) -> tuple[JSON, ...]:
    applied = field.applied if field.cause in {Cause.BOTH, Cause.UNSETTLED} else None
    return field.cause, field.source, field.default, field.before_run, applied


def _group(changes: list[Change]) -> Group:
    """The group of changes that are alike."""
    first = changes[0]
    fields: list[FieldChange] = []
    varying: list[str] = []
    for place, field in enumerate(first.fields):
        if first.action is Action.UPDATE and field.sent_with is None:
            fields.append(field)
            continue
        here = [change.fields[place] for change in changes]
        others = {canonical([*_ends(item), *_why(item)]) for item in here}
        if len(others) == 1:
            fields.append(field)
        else:
            varying.append(field.field)
    return Group(first.action, first.reason, tuple(fields), tuple(changes), tuple(varying))


def _sorted(keys: Iterable[int | str]) -> list[int | str]:
    """Keys in order: numbers by their value, then texts."""
    found = list(keys)
    numbers = sorted(key for key in found if isinstance(key, int))
    return [*numbers, *sorted(key for key in found if isinstance(key, str))]
