"""What becomes of records without a manifest.

Rule: no I/O, clock or environment. A monitor is only ever retired here.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconciler.diff import FieldChange
from reconciler.model import boolean
from reconciler.plan import (
    Action,
    Binding,
    BindingAction,
    Change,
    Item,
    Note,
    NoteCode,
    Reason,
    Refusal,
)
from reconciler.situation import TABLE, Decision, without_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model import Live
    from reconciler.rules import Rules
    from reconciler.situation import View
    from reconciler.state import Record


def orphans(view: View, rules: Rules) -> Iterator[Item]:
    """What becomes of the records that no manifest names."""
    if not view.records:
        return
    described = {manifest.address for manifest in view.desired}
    alone = {key: item for key, item in view.records.items() if key not in described}
    is_orphan = {
        address: TABLE[without_manifest(address, record, view)] is Decision.ORPHAN
        for address, record in alone.items()
    }
    counts = Counter(record.id for address, record in alone.items() if is_orphan[address])
    for address, record in alone.items():
        if not _is_meant(address, rules):
            continue
        if not is_orphan[address]:
            yield Binding(address, BindingAction.FORGET, record.id)
        elif _is_left(address, rules) or counts[record.id] > 1:  # whose lifecycle would count?
            yield Note(address, NoteCode.ORPHAN, record.id)
        elif record.protect:
            yield _protected(address, record)
        elif view.by_id[record.id].type is None:
            yield _untyped(address, record)
        else:
            yield _retired(address, record, view.by_id[record.id])


def replacements(
    items: Iterable[Item],
) -> Iterator[Item]:
    """The items; of a monitor whose kind changes it is said that it is replaced."""
    items = tuple(items)
    made = {_name(item) for item in items if _is(item, Action.CREATE)}
    left = {_name(item) for item in items if _is_orphan(item)}
    for item in items:
        if not isinstance(item, Change) or item.reason or _name(item) not in made & left:
            yield item
        elif item.action is Action.CREATE:
            yield item._replace(reason=Reason.REPLACEMENT)
        elif item.action is Action.DELETE:
            yield item._replace(reason=Reason.REPLACED)
        else:
            yield item


def _is_meant(address: str, rules: Rules) -> bool:
    return not rules.targets or any(fnmatchcase(address, target) for target in rules.targets)


def _is_left(address: str, rules: Rules) -> bool:
    return not rules.prune or any(fnmatchcase(address, kept) for kept in rules.keep)


def _is(item: Item, action: Action) -> bool:
    return isinstance(item, Change) and item.action is action


def _is_orphan(item: Item) -> bool:
    """Whether it is about a monitor that has no manifest any more."""
    if isinstance(item, Note):
        return item.code is NoteCode.ORPHAN
    return not isinstance(item, Binding) and item.origin is None


def _name(item: Item) -> str:
    return item.address.partition("/")[2]


def _protected(address: str, record: Record) -> Refusal:
    return Refusal(
        address,
        "protected",
        f"monitor {record.id} has no manifest any more, and its lifecycle protects it",
        f"Leave it with --keep {address}, forget it with: reconciler state rm {address}; or bring "
        "its manifest back, apply it with protect: false, and remove it again.",
        None,
    )


def _untyped(address: str, record: Record) -> Refusal:
    """A record may be wrong; what is retired by its word must at least be of its kind."""
    kind = address.partition("/")[0]
    return Refusal(
        address,
        "unknown-type",
        f"AlertSite does not say of which type monitor {record.id} is, so nothing shows that it is "
        f"the {kind} monitor of this record",
        f"Leave it with --keep {address}, or forget it with: reconciler state rm {address}; if it "
        "is to go, delete it in AlertSite.",
        None,
    )


def _retired(address: str, record: Record, live: Live) -> Change | Note:
    kind = address.partition("/")[0]
    if record.retire != "disable":
        return Change(Action.DELETE, address, kind, record.id, {}, (), None)
    was = boolean(live.fields.get("enabled"))
    if was is False:
        return Note(address, NoteCode.ORPHAN, record.id)
    fields = (FieldChange("enabled", was, after=False),)
    return Change(
        Action.UPDATE, address, kind, record.id, {"enabled": False}, fields, None, Reason.RETIRED
    )
