"""Which situation a manifest or a record is in, and the decision that follows: one table.

Rule: no I/O, clock or environment; what the table says is carried out by `planner`.

**Three sources speak of one monitor.** The manifest says what is wanted, and may name an id. The
record says which id this address was bound to when it was last applied. AlertSite says what there
is. Each source has a few states, and each combination that can be is one row of `TABLE`.

**Which monitor is meant.** An id binds: that of the manifest, or else that of the record. A display
name never binds, since AlertSite lets anybody give it to any monitor. It only finds *candidates*:
free monitors of the same kind and name. A candidate is a reason to refuse, since creating beside it
would double a monitor and taking it would seize one that is not ours; `--adopt` is the permission.

**What the rows must keep true.**

- Two sources that name two ids are refused: neither the state nor a manifest is obeyed against the
  other. A monitor that two addresses claim belongs to the manifest's, whose word counts more.
- Absence is a fact here, not a guess: the observation has proved it before the table is asked (see
  `usecases.plan.observe`). Only so may a row create again or forget.
- A manifest with an id is never created: AlertSite gives out ids, so such a monitor was there.
- A monitor of another kind is neither changed nor deleted, by whatever word of a manifest or a
  record.
- A monitor that another account with the same login describes belongs to that: it is neither bound
  nor made again here, and what a record knows of it is forgotten. One that it may describe is not
  retired either. See `core/siblings.py`.
- Without a manifest nothing is deleted by the table. It only says `ORPHAN`; whether that one is
  retired is for `planner.orphans`, which knows the flags and the protection.

A combination without a row cannot be. A manifest without an id whose record is contradicted by
another claim has no candidates, for example: the contradiction is settled first. A row that is
missing by mistake is a `KeyError`, not a decision.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.core.inventory import match_key_of, number_of
from reconciler.core.model import match_key

if TYPE_CHECKING:
    from reconciler.core.inventory import Inventory
    from reconciler.core.model import Desired
    from reconciler.core.siblings import Claim
    from reconciler.core.state import Record


class ManifestState(StrEnum):
    """What a manifest says about the monitor it means."""

    NO_MANIFEST = "no manifest"
    NO_ID = "manifest without id"
    ID = "manifest with id"


class RecordState(StrEnum):
    """What the state says about it."""

    NOTHING = "no record"
    RECORD = "record"
    OTHERWISE = "record that contradicts"


class LiveState(StrEnum):
    """What AlertSite has: the bound monitor, or else free ones of the same kind and name."""

    NOTHING = "nothing"
    MONITOR = "the monitor"
    OTHER_KIND = "a monitor of another kind"
    ONE_CANDIDATE = "one candidate"
    SEVERAL_CANDIDATES = "several candidates"
    OTHER_ACCOUNT = "a monitor of another account, or one that it would have"


class Decision(StrEnum):
    """What follows; what begins with `refuse` is a refusal."""

    COMPARE = "unchanged, or update"
    CREATE = "create"
    CREATE_AGAIN = "create again"
    ORPHAN = "orphan"
    FORGET = "forget the record"
    NOT_OURS = "refuse not-ours"
    AMBIGUOUS = "refuse ambiguous"
    NO_SUCH_ID = "refuse no-such-id"
    DELETED = "refuse deleted"
    OTHER_KIND = "refuse other-kind"
    OTHER_ACCOUNT = "refuse other-account"
    TWO_BINDINGS = "refuse two-bindings"
    SAME_NAME = "refuse same-name"
    UNCERTAIN = "refuse uncertain"
    PERHAPS_OURS = "refuse perhaps-ours"
    NOT_AS_CREATED = "refuse not-as-created"
    INCOMPLETE_LIST = "refuse incomplete-list"

    @property
    def code(self) -> str:
        """That of the refusal, if it is one."""
        return self.value.removeprefix("refuse ")


TABLE: dict[tuple[ManifestState, RecordState, LiveState], Decision] = {
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.MONITOR): Decision.COMPARE,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.NOTHING): Decision.CREATE_AGAIN,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.ONE_CANDIDATE): Decision.NOT_OURS,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.SEVERAL_CANDIDATES): Decision.AMBIGUOUS,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.OTHER_KIND): Decision.OTHER_KIND,
    (ManifestState.NO_ID, RecordState.NOTHING, LiveState.NOTHING): Decision.CREATE,
    (ManifestState.NO_ID, RecordState.NOTHING, LiveState.ONE_CANDIDATE): Decision.NOT_OURS,
    (ManifestState.NO_ID, RecordState.NOTHING, LiveState.SEVERAL_CANDIDATES): Decision.AMBIGUOUS,
    (ManifestState.NO_ID, RecordState.OTHERWISE, LiveState.MONITOR): Decision.TWO_BINDINGS,
    (ManifestState.NO_ID, RecordState.OTHERWISE, LiveState.NOTHING): Decision.TWO_BINDINGS,
    (ManifestState.NO_ID, RecordState.OTHERWISE, LiveState.OTHER_KIND): Decision.TWO_BINDINGS,
    (ManifestState.ID, RecordState.NOTHING, LiveState.MONITOR): Decision.COMPARE,
    (ManifestState.ID, RecordState.NOTHING, LiveState.NOTHING): Decision.NO_SUCH_ID,
    (ManifestState.ID, RecordState.NOTHING, LiveState.OTHER_KIND): Decision.OTHER_KIND,
    (ManifestState.ID, RecordState.RECORD, LiveState.MONITOR): Decision.COMPARE,
    (ManifestState.ID, RecordState.RECORD, LiveState.NOTHING): Decision.DELETED,
    (ManifestState.ID, RecordState.RECORD, LiveState.OTHER_KIND): Decision.OTHER_KIND,
    (ManifestState.ID, RecordState.OTHERWISE, LiveState.MONITOR): Decision.TWO_BINDINGS,
    (ManifestState.ID, RecordState.OTHERWISE, LiveState.NOTHING): Decision.TWO_BINDINGS,
    (ManifestState.ID, RecordState.OTHERWISE, LiveState.OTHER_KIND): Decision.TWO_BINDINGS,
    (ManifestState.NO_ID, RecordState.RECORD, LiveState.OTHER_ACCOUNT): Decision.OTHER_ACCOUNT,
    (ManifestState.NO_ID, RecordState.NOTHING, LiveState.OTHER_ACCOUNT): Decision.OTHER_ACCOUNT,
    (ManifestState.NO_ID, RecordState.OTHERWISE, LiveState.OTHER_ACCOUNT): Decision.TWO_BINDINGS,
    (ManifestState.ID, RecordState.NOTHING, LiveState.OTHER_ACCOUNT): Decision.OTHER_ACCOUNT,
    (ManifestState.ID, RecordState.RECORD, LiveState.OTHER_ACCOUNT): Decision.OTHER_ACCOUNT,
    (ManifestState.ID, RecordState.OTHERWISE, LiveState.OTHER_ACCOUNT): Decision.TWO_BINDINGS,
    (ManifestState.NO_MANIFEST, RecordState.RECORD, LiveState.MONITOR): Decision.ORPHAN,
    (ManifestState.NO_MANIFEST, RecordState.RECORD, LiveState.OTHER_KIND): Decision.FORGET,
    (ManifestState.NO_MANIFEST, RecordState.RECORD, LiveState.NOTHING): Decision.FORGET,
    (ManifestState.NO_MANIFEST, RecordState.OTHERWISE, LiveState.MONITOR): Decision.FORGET,
    (ManifestState.NO_MANIFEST, RecordState.OTHERWISE, LiveState.OTHER_KIND): Decision.FORGET,
    (ManifestState.NO_MANIFEST, RecordState.OTHERWISE, LiveState.NOTHING): Decision.FORGET,
}
"""Every situation that can be; a live monitor without manifest and record is not ours: counted."""


def without_manifest(
    address: str, record: Record, inventory: Inventory
) -> tuple[ManifestState, RecordState, LiveState]:
    """The row of `TABLE` that a record stands in whose address no manifest has."""
    live = inventory.by_id.get(record.id)
    kind, others = address.partition("/")[0], inventory.others
    # An address that moved to another account, where it is bound to nothing yet, means the same.
    moved = others.addresses.get(address)
    is_theirs = record.id in others.ids or (moved is not None and moved.is_unbound)
    is_claimed = is_theirs or record.id in inventory.claimed
    knows = RecordState.OTHERWISE if is_claimed else RecordState.RECORD
    if live is None:
        return ManifestState.NO_MANIFEST, knows, LiveState.NOTHING
    same = live.type in {kind, None}
    return ManifestState.NO_MANIFEST, knows, LiveState.MONITOR if same else LiveState.OTHER_KIND


def orphaned(inventory: Inventory) -> dict[str, Record]:
    """By address, the records of monitors that are there and ours, and that have no manifest."""
    return {
        address: record
        for address, record in inventory.records.items()
        if address not in inventory.by_address
        and TABLE[without_manifest(address, record, inventory)] is Decision.ORPHAN
    }


def situation(
    manifest: Desired, inventory: Inventory
) -> tuple[ManifestState, RecordState, LiveState]:
    """The row of `TABLE` that a manifest stands in."""
    record = inventory.records.get(manifest.address)
    names = ManifestState.NO_ID if manifest.id is None else ManifestState.ID
    if record is None:
        knows = RecordState.NOTHING
    elif manifest.id is None:
        is_ours = inventory.claimed[record.id] == manifest.address
        knows = RecordState.RECORD if is_ours else RecordState.OTHERWISE
    else:
        knows = RecordState.RECORD if record.id == manifest.id else RecordState.OTHERWISE
    number = number_of(manifest, record)
    if claim_on(manifest, inventory) is not None:
        return names, knows, LiveState.OTHER_ACCOUNT
    live = None if number is None else inventory.by_id.get(number)
    if live is not None:
        same = live.type in {manifest.kind.name, None}
        return names, knows, LiveState.MONITOR if same else LiveState.OTHER_KIND
    if names is ManifestState.ID or knows is RecordState.OTHERWISE:
        return names, knows, LiveState.NOTHING
    sees = (LiveState.NOTHING, LiveState.ONE_CANDIDATE, LiveState.SEVERAL_CANDIDATES)
    return names, knows, sees[min(2, len(inventory.candidates.get(match_key_of(manifest), ())))]


def claim_on_orphan(address: str, record: Record, inventory: Inventory) -> Claim | None:
    """The manifest of another account that may describe the monitor of an orphan by now."""
    kind, live = address.partition("/")[0], inventory.by_id[record.id]
    names = (live.fields.get("name"), record.fields.get("name"))
    found = (inventory.others.names.get(match_key(kind, name)) for name in names)
    return inventory.others.addresses.get(address) or next(filter(None, found), None)


def claim_on(manifest: Desired, inventory: Inventory) -> Claim | None:
    """The manifest of another account that describes the same monitor, or would make the like.

    Of a manifest that is bound, it is that of the same monitor. One that is not bound is to be told
    apart by its name: from the monitors of other accounts, and from those that they would make.
    """
    others = inventory.others
    number = number_of(manifest, inventory.records.get(manifest.address))
    if number is not None and (number in others.ids or number in inventory.by_id):
        return others.ids.get(number)
    if manifest.id is not None:
        return None
    key = match_key_of(manifest)
    is_free = key in inventory.candidates
    return others.names.get(key) or (None if is_free else inventory.taken.get(key))
