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
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from reconciler.core.diff import Cause
from reconciler.core.model import canonical, elements_by_key
from reconciler.core.plan import Action, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.core.diff import FieldChange
    from reconciler.core.drift import Drifted
    from reconciler.core.model import JSON
    from reconciler.core.plan import Change, Loss, Plan, Reason


_Item = TypeVar("_Item")
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
    unusual: dict[tuple[bool, bool, bool], list[Change]] = {}
    for change in plan.changes:
        # whether anybody but Git is the cause of it
        is_moved = any(item.cause not in {Cause.EDIT, Cause.RESTORE} for item in change.fields)
        is_lost = change.address in lost
        if is_moved or is_lost or change.reason is not None or change.action is Action.DELETE:
            # Sorted, what matters most comes first: what goes, then what loses, then what moved.
            sort = (not change.is_retirement, not is_lost, not is_moved)
            unusual.setdefault(sort, []).append(change)
        else:
            usual.append(change)
    found: list[Group] = []
    for _, changes in sorted(unusual.items()):
        if len(changes) <= FOLDED_ABOVE:
            found += [_group([change]) for change in changes]
        else:
            found += sorted(alike(changes, lost), key=lambda group: len(group.changes))
    first = [group._replace(is_unusual=True) for group in found]
    folded = sorted(alike(usual), key=lambda group: -len(group.changes))
    return (*first, *folded)


def alike(changes: Iterable[Change], lost: Mapping[str, Loss] = {}) -> list[Group]:
    """The changes, those that are alike together, in the order of their first ones.

    `lost` has the losses by address that tell changes apart, too.
    """

    def likeness(change: Change) -> JSON:
        loss = lost.get(change.address)
        head = [change.action, change.reason, (loss.causes, dict(loss.fields)) if loss else None]
        if change.action is Action.UPDATE:
            return [*head, *map(_said, change.fields)]
        kind = change.kind if change.action is Action.CREATE else ""
        return [*head, kind, *(field.field for field in change.fields)]

    return [_group(items) for items in _together(changes, likeness)]


def loss_groups(losses: Iterable[Loss]) -> tuple[LossGroup, ...]:
    """The losses, those that lose the same together; the smallest group first."""
    found = sorted(_together(losses, lambda loss: [loss.causes, dict(loss.fields)]), key=len)
    return tuple(LossGroup(items[0].causes, items[0].fields, tuple(items)) for items in found)


def drift_groups(monitors: Sequence[Drifted]) -> tuple[DriftGroup, ...]:
    """Monitors that drifted: one by one, or equal ones together if they are many.

    Of many, those that lost monitoring come first, and the smallest group of both.
    """
    if len(monitors) <= FOLDED_ABOVE:
        return tuple(DriftGroup((item,)) for item in monitors)
    found = _together(monitors, lambda item: [item.causes, *map(_said, item.fields)])
    found.sort(key=lambda items: (not items[0].causes, len(items)))
    return tuple(DriftGroup(tuple(items)) for items in found)


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


def _together(items: Iterable[_Item], likeness: Callable[[_Item], JSON]) -> list[list[_Item]]:
    """The items, those of the same likeness together, in the order of their first ones."""
    found: dict[str, list[_Item]] = {}
    for item in items:
        found.setdefault(canonical(likeness(item)), []).append(item)
    return list(found.values())


def _said(field: FieldChange) -> JSON:
    if field.sent_with is not None:
        return [field.field, field.sent_with]
    found = set_change(field)
    return [field.field, *_why(field), *(found or (field.before, field.after))]


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
        others = {canonical([item.before, item.after, *_why(item)]) for item in here}
        if len(others) == 1:
            fields.append(field)
        else:
            varying.append(field.field)
    return Group(first.action, first.reason, tuple(fields), tuple(changes), tuple(varying))


def _sorted(keys: Iterable[int | str]) -> list[int | str]:
    """Keys in order: numbers by their value, then texts."""
    return sorted(keys, key=lambda key: (isinstance(key, str), key))
