"""What AlertSite changed since the last apply: live against the records, whatever Git says now.

Rule: values and a pure function; no I/O, clock or environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import drifted
from reconciler.core.inventory import strangers
from reconciler.core.json_text import encoded
from reconciler.core.model import kind_of
from reconciler.core.pending import caught_up
from reconciler.core.safety import causes
from reconciler.core.targets import is_target_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.diff import FieldChange
    from reconciler.core.model import JSON, Account, Kind, Live, Unmanaged
    from reconciler.core.state import Record


FORMAT_VERSION = "2.2"
"""Of the drift's JSON: the minor number grows with additions, the major with anything else."""


class Drifted(NamedTuple):
    """One monitor that is no longer as it was applied.

    Attributes:
        fields: from what was applied to what AlertSite has; empty if the monitor is gone.
        causes: how it lost monitoring by that, sorted, as in a `Loss`; none if it did not.
    """

    address: str
    id: int
    applied_at: str
    run: str
    fields: tuple[FieldChange, ...]
    causes: tuple[str, ...] = ()


class Drift(NamedTuple):
    """All that AlertSite changed, sorted by address.

    Attributes:
        kept: records that AlertSite still fits.
        not_kept: how many of these have a value that was sent and that AlertSite has not shown
            since: nobody has changed it, so it is no drift.
        unmanaged: monitors that nobody manages and that are new, by id; None if not asked for.
    """

    account: Account
    monitors: tuple[Drifted, ...]
    kept: int
    unmanaged: tuple[Unmanaged, ...] | None = None
    not_kept: int = 0

    @property
    def lost(self) -> tuple[Drifted, ...]:
        """The monitors that lost monitoring by it."""
        return tuple(item for item in self.monitors if item.causes)

    @property
    def is_something(self) -> bool:
        """Whether AlertSite is not as it was left."""
        return bool(self.monitors or self.unmanaged)

    def to_json(self) -> dict[str, JSON]:
        """The drift as `schemas/drift.schema.json` describes it."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account._asdict(),
            "summary": {
                "drifted": len(self.monitors),
                "lost": len(self.lost),
                "kept": self.kept,
            },
            "monitors": [
                encoded(item)
                | {
                    "is_deleted": not item.fields,
                    "fields": [
                        {"field": field.field, "applied": field.before, "live": field.after}
                        for field in item.fields
                    ],
                }
                for item in self.monitors
            ],
            "unmanaged": encoded(self.unmanaged),
        }


def find_drift(
    account: Account,
    records: Mapping[str, Record],
    live: Iterable[Live],
    kinds: Mapping[str, Kind],
    targets: Sequence[str] = (),
    today: str = "",
) -> Drift:
    """What of the records AlertSite does not fit any more, without what they ignore.

    Args:
        account: where `live` was read from.
        records: what was last applied, by address.
        live: every monitor that AlertSite returned.
        kinds: the kinds, by name.
        targets: addresses, or globs over them, also such as are left out; none means all.
        today: the day, as YYYY-MM-DD; what is ignored until an earlier one is compared.
    """
    by_id = {monitor.id: monitor for monitor in live}
    monitors: list[Drifted] = []
    kept = not_kept = 0
    for address, record in sorted(records.items()):
        if not is_target_address(address, targets):
            continue
        where = (address, record.id, record.applied_at, record.run)
        monitor = by_id.get(record.id)
        if monitor is None:
            if not record.deleting:  # else a run was about to delete it, and did
                monitors.append(Drifted(*where, (), ("vanished",)))
            continue
        kind = kind_of(address, kinds)
        seen = caught_up(record, kind, monitor)
        applied = {
            field: value
            for field, value in seen.fields.items()
            if field not in seen.ignore or seen.ignore[field] < today
        }
        if fields := drifted(kind, applied, monitor, seen.unseen):
            was = {**monitor.fields, **{field.field: field.before for field in fields}}
            lost = {*causes(kind, fields, was, monitor.fields).values()}
            monitors.append(Drifted(*where, fields, tuple(sorted(lost))))
            continue
        kept += 1
        not_kept += not all(
            kind.field(name).is_same(value, monitor.fields.get(name))
            for name, value in seen.unseen.items()
        )
    return Drift(account, tuple(monitors), kept, not_kept=not_kept)


def find_unmanaged(
    records: Mapping[str, Record],
    live: Iterable[Live],
    kinds: Mapping[str, Kind],
    before: Iterable[int],
) -> tuple[Unmanaged, ...]:
    """The email monitors that no record knows and that were not there before, by id.

    `before` are the ids of those that were not ours at the last apply.
    """
    return strangers(live, kinds, {*before, *(record.id for record in records.values())})
