"""From desired, records and live to a plan: what becomes of every manifest and every orphan.

Rule: no I/O, clock or environment. What is decided in which situation stands in `decisions.TABLE`;
here it is carried out. A monitor is only ever retired here.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.accounts import with_account
from reconciler.core.decisions import (
    TABLE,
    Decision,
    claim_on,
    claim_on_orphan,
    orphaned,
    situation,
)
from reconciler.core.diff import FieldChange, explain, explain_create, patch, stranded
from reconciler.core.inventory import Inventory, Uncertain, match_key_of, number_of, strangers
from reconciler.core.model import boolean, kind_of
from reconciler.core.names import find_names, uses_of
from reconciler.core.options import PlanOptions
from reconciler.core.pending import TARGETS, is_foreign, is_surely_made
from reconciler.core.plan import (
    Action,
    Binding,
    BindingAction,
    Change,
    Item,
    Note,
    NoteCode,
    Plan,
    Reason,
    Refusal,
)
from reconciler.core.release import names_all, released, with_cause
from reconciler.core.safety import Terms, coverage
from reconciler.core.siblings import NOBODY
from reconciler.core.state import RELEASED, is_same_secret
from reconciler.core.targets import is_target, is_target_address, means_more

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from reconciler.core.diff import Stranded
    from reconciler.core.model import JSON, Account, Desired, Kind, Live
    from reconciler.core.names import Use
    from reconciler.core.siblings import Claims
    from reconciler.core.state import Record


def orphans(inventory: Inventory, rules: PlanOptions) -> Iterator[Item]:
    """What becomes of the records that no manifest names."""
    if not inventory.records:
        return
    left = orphaned(inventory)
    # Without its manifest an orphan has neither a label nor a file, by which it may be left out.
    is_vague = any(
        means_more(item, target) for target in rules.targets for item in inventory.desired
    )
    counts = Counter(record.id for record in left.values())
    # What has the name in another kind replaces it, and is to be there first.
    awaited = {
        _name(address)
        for addresses in inventory.unbound.values()
        for address in addresses
        if not is_target(inventory.by_address[address], rules.targets)
    }
    for address, record in inventory.records.items():
        if address in inventory.by_address or not is_target_address(address, rules.targets):
            continue
        if address not in left:
            yield Binding(address, BindingAction.FORGET, record.id)
        elif not rules.prune:  # without any manifest, the folder may be the wrong one
            name = None if inventory.desired else "empty"
            yield Note(address, NoteCode.ORPHAN, record.id, name=name)
        elif any(fnmatchcase(address, kept) for kept in rules.keep):
            yield Note(address, NoteCode.ORPHAN, record.id, name="kept")
        elif is_vague:
            yield Note(address, NoteCode.ORPHAN, record.id, name="untold")
        elif counts[record.id] > 1:  # whose lifecycle would count?
            yield Note(address, NoteCode.ORPHAN, record.id, name="shared")
        elif _name(address) in awaited:
            yield Note(address, NoteCode.ORPHAN, record.id, name="replaced")
        elif record.protect:
            yield _left("protected", address, record)
        elif (live := inventory.by_id[record.id]).type is None:
            yield _left("unknown-type", address, record)
        elif not is_surely_made(record, live, kind_of(address, inventory.kinds)):
            yield _left(Decision.NOT_AS_CREATED.code, address, record)
        elif claim := claim_on_orphan(address, record, inventory):
            yield _left(Decision.OTHER_ACCOUNT.code, address, record, claim=claim)
        elif inventory.others.unread:
            account, reason = inventory.others.unread
            yield _left("unread", address, record, account=account, reason=reason)
        else:
            yield _retired(address, record, live)


def replacements(items: Iterable[Item]) -> Iterator[Item]:
    """The items; of a monitor whose kind changes it is said that it is replaced."""
    items = tuple(items)
    changes = (item for item in items if isinstance(item, Change))
    made = {_name(change.address) for change in changes if change.action is Action.CREATE}
    left = {_name(item.address) for item in items if _is_orphan(item)}
    reasons = {Action.CREATE: Reason.REPLACEMENT, Action.DELETE: Reason.REPLACED}
    for item in items:
        if isinstance(item, Change) and not item.reason and _name(item.address) in made & left:
            yield item._replace(reason=reasons.get(item.action))
        else:
            yield item


def _is_orphan(item: Item) -> bool:
    """Whether it is about a monitor that has no manifest any more."""
    if isinstance(item, Note):
        return item.code is NoteCode.ORPHAN
    return not isinstance(item, Binding) and item.origin is None


def _name(address: str) -> str:
    return address.partition("/")[2]


class _Text(NamedTuple):
    """What a refusal says; names in braces are filled in."""

    message: str
    hint: str


_KEEP = "Leave it with --keep {address}, or forget it with: reconciler state rm {address}"
_LEFT = {
    "protected": _Text(
        message="the manifest of monitor {id} is gone, but its lifecycle protects it",
        hint="Leave it with --keep {address}, forget it with: reconciler state rm {address}; or "
        "restore its manifest, apply it with protect: false, and remove it again.",
    ),
    # A record may be wrong; what is retired by its word must at least be of its kind.
    "unknown-type": _Text(
        message="AlertSite does not return the type of monitor {id}, so it may not be the {kind} "
        "monitor of this record",
        hint=f"{_KEEP}; to remove it, delete it in AlertSite.",
    ),
    # An answer alone says that the monitor is ours; it may have been that of another request.
    Decision.NOT_AS_CREATED.code: _Text(
        message="the record names monitor {id} because a create returned this id, but the monitor "
        "is not what was sent",
        hint=f"{_KEEP}; to remove it, delete it in AlertSite.",
    ),
    # What another account with the same login may describe is not retired here.
    Decision.OTHER_ACCOUNT.code: _Text(
        message="{claim} may describe monitor {id} now, and both accounts have the same login",
        hint="If it does, set metadata.id there and forget the record here: reconciler state rm "
        "{address}. Leave it as it is with --keep {address}; to remove it, delete it in AlertSite.",
    ),
    # As long as not all of the other account can be read, that may describe any monitor.
    "unread": _Text(
        message="the account {account} has the same login and may describe monitor {id}: {reason}",
        hint="To see what to fix, run: reconciler validate -a {account}. Or leave the monitor "
        "with --keep {address}.",
    ),
}
"""Why an orphan is not retired, and what can be done about it."""


def _left(why: str, address: str, record: Record, **words: object) -> Refusal:
    message, hint = _LEFT[why]
    words |= {"address": address, "id": record.id, "kind": address.partition("/")[0]}
    code = Decision.OTHER_ACCOUNT.code if why == "unread" else why
    return Refusal(address, code, message.format(**words), hint.format(**words), None)


def _retired(address: str, record: Record, live: Live) -> Change | Note:
    kind = address.partition("/")[0]
    if record.retire != "disable":
        return Change(Action.DELETE, address, kind, record.id, {}, (), None)
    was = boolean(live.fields.get("enabled"))
    if was is False:
        return Note(address, NoteCode.ORPHAN, record.id, name="disabled")
    fields = (FieldChange("enabled", was, after=False),)
    return Change(
        Action.UPDATE, address, kind, record.id, {"enabled": False}, fields, None, Reason.RETIRED
    )


_REFUSALS = {
    Decision.NOT_OURS: _Text(
        message="AlertSite already has a monitor of the kind {kind} named {display!r}, with the "
        "id {ids}, and nothing binds it to this manifest",
        hint="Bind it with --adopt or metadata.id, or give the manifest's monitor another name.",
    ),
    Decision.AMBIGUOUS: _Text(
        message="AlertSite has several monitors of the kind {kind} named {display!r}: {ids}",
        hint="Set metadata.id to the right one, or give the manifest's monitor another name.",
    ),
    Decision.UNCERTAIN: _Text(
        message="an earlier create is not confirmed, and AlertSite has new monitors that it may "
        "have created: {ids}",
        hint="Set metadata.id to the right one, or delete unwanted ones in AlertSite; if it is "
        "none of them: reconciler state rm {other}",
    ),
    Decision.PERHAPS_OURS: _Text(
        message="AlertSite has no monitor of the kind {kind} named {display!r} to adopt, but "
        "others that check the same server: {ids}",
        hint="If it is one of them under another name, bind it with metadata.id; if not, create "
        "it with a run without --adopt.",
    ),
    Decision.NO_SUCH_ID: _Text(
        message="AlertSite has no monitor with the id {id} in this account",
        hint="Correct metadata.id, or check that the URL and the login belong to the account that "
        "has it.",
    ),
    Decision.DELETED: _Text(
        message="monitor {id} was deleted outside Git",
        hint="Remove metadata.id from the manifest to create it again, or remove the manifest.",
    ),
    Decision.OTHER_KIND: _Text(
        message="monitor {id} is of the kind {type}, not {kind}",
        hint="AlertSite cannot change the kind of a monitor: correct kind or metadata.id{forget}.",
    ),
    Decision.OTHER_ACCOUNT: _Text(
        message="{claim} also describes {described}, and both accounts have the same login",
        hint="Remove one of the two manifests, or correct its id or display name{forget}.",
    ),
    Decision.TWO_BINDINGS: _Text(
        message="the state binds {other} to monitor {record}, but {namer} names {named}",
        hint="Correct metadata.id, or forget the record with: reconciler state rm {other}",
    ),
    Decision.NOT_AS_CREATED: _Text(
        message="the create returned the id {id}, but monitor {id} has neither the name nor the "
        "target that was sent",
        hint="If monitor {id} is it, set metadata.id to {id}. If not, look for {display!r} in "
        "AlertSite, set metadata.id to its id if it is there, and forget the record: reconciler "
        "state rm {other}",
    ),
    Decision.INCOMPLETE_LIST: _Text(
        message="AlertSite's list omits monitor {omitted}, which exists, so it may omit one named "
        "{display!r} too",
        hint="Run the same command again later. If it stays so, look for {display!r} in "
        "AlertSite, and set metadata.id to its id if it is there.",
    ),
    Decision.SAME_NAME: _Text(
        message="{other} also describes a monitor of the kind {kind} named {display!r}, and "
        "neither has an id",
        hint="Give one of them another name: if the response to a create is lost, they cannot be "
        "told apart.",
    ),
}


_SHARED_RECORD = _Text(
    message="the state binds both {namer} and {other} to monitor {record}",
    hint="{seen} Forget the record of the address that it does not belong to with reconciler "
    "state rm {other} or reconciler state rm {namer}, then run plan again.",
)
"""Of `TWO_BINDINGS`, if no manifest names the monitor: older versions could write such a state."""


def decide(
    account: Account,
    desired: Iterable[Desired],
    records: Mapping[str, Record],
    live: Iterable[Live],
    kinds: Mapping[str, Kind],
    rules: PlanOptions = PlanOptions(),  # noqa: B008 - an immutable value
    uncertain: Mapping[str, Uncertain] = {},
    terms: Terms = Terms(),  # noqa: B008 - an immutable value
    others: Claims = NOBODY,
    omitted: Collection[int] = (),
) -> Plan:
    """The plan that brings live to desired; the order of the inputs changes nothing.

    Args:
        account: where `live` was read from.
        desired: every manifest, with unique addresses and ids.
        records: what was last applied, by address.
        live: every monitor that AlertSite returned; those of other types are not counted.
        kinds: those that manifests can have, by name.
        rules: how the plan is to be made.
        uncertain: by address, a pending create that is not known to have made a monitor.
        terms: what losses of monitoring are held against.
        others: what other accounts with the same login describe.
        omitted: monitors in `live` that the list should have had.
    """
    inventory = Inventory(desired, records, live, uncertain, kinds, others, omitted)
    targeted = [item for item in inventory.desired if is_target(item, rules.targets)]
    found = [_manifest(manifest, inventory, rules) for manifest in targeted]
    items = [item for decided in found for item in decided]
    items += _beside(inventory, {item.address for item in targeted})
    items += orphans(inventory, rules)
    items = sorted(replacements(items), key=lambda item: item.address)
    bound = inventory.bound.union(others.ids).union(
        item.id
        for item in items
        if isinstance(item, Binding)
        or (isinstance(item, Note) and item.code is not NoteCode.DUPLICATE)
        if item.id is not None
    )
    unmanaged = strangers(inventory.by_id.values(), kinds, bound)
    is_tracked = rules.fingerprint is not None or rules.write_secrets
    changes = tuple(item for item in items if isinstance(item, Change))
    refusals = tuple(
        item._replace(hint=with_account(item.hint, account.name))
        for item in items
        if isinstance(item, Refusal)
    )
    notes = tuple(item for item in items if isinstance(item, Note))
    bindings = tuple(item for item in items if isinstance(item, Binding))
    refused = {item.address for item in refusals}
    planned = (item for item in targeted if item.address not in refused)
    return Plan(
        account=account,
        changes=changes,
        bindings=bindings,
        refusals=refusals,
        notes=notes,
        unchanged=sum(
            not any(isinstance(item, Change | Refusal) for item in decided) for decided in found
        ),
        unmanaged=len(unmanaged),
        excluded=len(inventory.desired) - len(targeted),
        untracked=0 if is_tracked else _untracked(targeted, changes),
        coverage=coverage(changes, notes, planned, inventory, terms),
        names=find_names(_ids(changes, inventory), inventory.by_id.values()),
        unmanaged_monitors=unmanaged,
    )


def _ids(changes: Iterable[Change], inventory: Inventory) -> Iterator[Use]:
    """The ids in the changes that AlertSite has names for."""
    for change in changes:
        manifest = inventory.by_address.get(change.address)
        if manifest is None:
            continue
        for field in change.fields:
            if field.source is None:
                values = (field.before, field.after, field.applied)
                yield from uses_of(manifest.kind, field.field, values)


def _beside(inventory: Inventory, targeted: set[str]) -> Iterator[Binding | Note]:
    """What is said whether it is targeted or not: of renames and of monitors that are there twice.

    A rename that hangs together with a targeted one is made too: left out, it would lose its record
    to the other.
    """
    moved = inventory.renamed.keys() & targeted
    while True:
        left = {inventory.renamed[address] for address in moved}
        more = {
            address
            for address, former in inventory.renamed.items()
            if address not in moved and (former in moved or address in left)
        }
        if not more:
            break
        moved |= more
    for address in moved - targeted:
        yield _renamed(address, inventory.renamed[address], inventory)
    for address, ours, other in sorted(inventory.duplicates()):
        yield Note(address, NoteCode.DUPLICATE, other, name=str(ours))


def _renamed(address: str, former: str, inventory: Inventory) -> Binding:
    return Binding(address, BindingAction.MOVE, inventory.records[address].id, former)


def _manifest(manifest: Desired, inventory: Inventory, rules: PlanOptions) -> list[Item]:
    found = _decided(manifest, inventory, rules)
    if manifest.previously and not any(isinstance(item, Refusal) for item in found):
        former = inventory.renamed.get(manifest.address)
        if former is not None:
            found.append(_renamed(manifest.address, former, inventory))
        else:
            number = number_of(manifest, inventory.records.get(manifest.address))
            names = ", ".join(manifest.previously)
            found.append(Note(manifest.address, NoteCode.STALE_NAME, number, name=names))
    return found


def _decided(manifest: Desired, inventory: Inventory, rules: PlanOptions) -> list[Item]:
    decision = TABLE[situation(manifest, inventory)]
    record = inventory.records.get(manifest.address)
    match decision:
        case Decision.COMPARE:
            number = number_of(manifest, record)
            assert number is not None
            live = inventory.by_id[number]
            if manifest.id is None and record and is_foreign(record, live, manifest.kind):
                return [_refuse(Decision.NOT_AS_CREATED, manifest, inventory)]
            return _compare(manifest, record, live, inventory, rules)
        case Decision.CREATE | Decision.CREATE_AGAIN if manifest.address in inventory.uncertain:
            return [_refuse(Decision.UNCERTAIN, manifest, inventory)]
        case Decision.CREATE | Decision.CREATE_AGAIN | Decision.NOT_OURS if (
            len(inventory.unbound[match_key_of(manifest)]) > 1
        ):
            return [_refuse(Decision.SAME_NAME, manifest, inventory)]
        case Decision.CREATE | Decision.CREATE_AGAIN if inventory.omitted:
            return [_refuse(Decision.INCOMPLETE_LIST, manifest, inventory)]
        case Decision.CREATE if rules.adopt and (others := _watching_the_same(manifest, inventory)):
            return [_refuse(Decision.PERHAPS_OURS, manifest, inventory, others)]
        case Decision.CREATE | Decision.CREATE_AGAIN:
            body = dict(sorted({**manifest.fields, **manifest.secrets}.items()))
            create = _change(Action.CREATE, manifest, None, body, explain_create(manifest, body))
            again = Reason.DELETED_OUTSIDE if decision is Decision.CREATE_AGAIN else None
            return [create._replace(reason=again)]
        case Decision.NOT_OURS if rules.adopt:
            (number,) = inventory.candidates[match_key_of(manifest)]
            live = inventory.by_id[number]
            if live.type is None:  # it could be meant by manifests of several kinds
                return [_refuse(decision, manifest, inventory)]
            compared = _compare(manifest, None, live, inventory, rules)
            if any(isinstance(item, Refusal) for item in compared):
                return compared
            return [Binding(manifest.address, BindingAction.ADOPT, number), *compared]
        case _:
            return [_refuse(decision, manifest, inventory)]


def _watching_the_same(manifest: Desired, inventory: Inventory) -> tuple[int, ...]:
    """Free monitors of that kind which watch the same: one of them may be it, renamed.

    Whoever asks to adopt what is there, after a state was lost, wants nothing made beside it. What
    has the name of another manifest is not free.
    """
    kind, others = manifest.kind, inventory.others.ids
    taken = inventory.bound.union(others, *inventory.candidates.values())
    wanted = [name for name in (*TARGETS, "port") if name in manifest.fields]
    return tuple(
        sorted(
            monitor.id
            for monitor in inventory.by_id.values()
            if monitor.id not in taken
            and monitor.type == kind.name
            and all(
                kind.field(name).is_same(monitor.fields.get(name), manifest.fields[name])
                for name in wanted
            )
        )
    )


def _compare(
    manifest: Desired, record: Record | None, live: Live, inventory: Inventory, rules: PlanOptions
) -> list[Item]:
    found: list[Item] = []
    if manifest.lifecycle.ignore:
        manifest, ignored = _without_ignored(manifest, live)
        found += ignored
    hidden = inventory.secrets.get(live.id, ())
    restored: Mapping[str, JSON] = {}
    if record is not None and manifest.undo is None and not names_all(manifest, record):
        restored, notes = released(manifest, record, live, hidden)
        manifest = manifest._replace(fields={**manifest.fields, **restored})
        found += notes
    secrets = _secrets(manifest, record, live.id, rules) if manifest.secrets else ()
    unseen = record.unseen if record is not None else {}
    body = patch(manifest, live, secrets, unseen)
    lost = stranded(manifest, live, body) if body and not rules.may_strand else None
    if lost is not None:
        return [_refuse_stranding(manifest, lost)]
    if body:
        fields = explain(manifest, live, body, record.fields if record else None, unseen)
        fields = tuple(  # without what AlertSite has, if that is or was a secret
            field._replace(before=None, applied=None, leaves=()) if field.field in hidden else field
            for field in fields
        )
        if record is not None and restored:
            fields = tuple(with_cause(field, record, restored) for field in fields)
        found.append(_change(Action.UPDATE, manifest, live.id, body, fields))
    return found


def _refuse_stranding(manifest: Desired, lost: Stranded) -> Refusal:
    keys = ", ".join(map(str, lost.keys)) or "none"
    is_ignored = any(item.field == lost.field for item in manifest.lifecycle.ignore)
    named = "ignores" if is_ignored else "does not name"
    ignored = ", and remove it from lifecycle.ignore" if is_ignored else ""
    return Refusal(
        manifest.address,
        lost.field.replace("_", "-"),
        f"{lost.members} would become {keys}, without the {lost.field} {lost.value} that AlertSite "
        f"has and that the manifest {named}",
        f"Write {lost.field} in the manifest, as one of its {lost.members}{ignored}; or add "
        f"{lost.value} to {lost.members}.",
        manifest.origin,
    )


def _without_ignored(manifest: Desired, live: Live) -> tuple[Desired, list[Note]]:
    """The manifest without the fields that are not to be compared; a note for each that differs."""
    ignored = {item.field for item in manifest.lifecycle.ignore}
    notes = [
        Note(manifest.address, NoteCode.IGNORED, live.id, field)
        for field in sorted(ignored & manifest.fields.keys())
        if not manifest.kind.field(field).is_same(manifest.fields[field], live.fields.get(field))
    ]
    fields = {name: value for name, value in manifest.fields.items() if name not in ignored}
    secrets = {name: value for name, value in manifest.secrets.items() if name not in ignored}
    return manifest._replace(fields=fields, secrets=secrets), notes


def _secrets(
    manifest: Desired, record: Record | None, number: int, rules: PlanOptions
) -> tuple[str, ...]:
    """The fields with a secret that are to be sent: one that is not at hand if it never was.

    Without a key and a record nobody knows whether it was; without a key it is known of no other.
    """
    if rules.write_secrets:
        return tuple(manifest.secrets)
    if rules.fingerprint is None and record is None:
        return ()
    sent = record.secrets if record else {}
    due = []
    for name, value in manifest.secrets.items():
        before = sent.get(name, RELEASED)
        now = rules.fingerprint(number, name, value) if rules.fingerprint else None
        if before == RELEASED or (now is not None and not is_same_secret(before, now)):
            due.append(name)
    return tuple(due)


def _untracked(targeted: Iterable[Desired], changes: Iterable[Change]) -> int:
    """How many fields with a secret are neither compared nor sent."""
    sent = {change.address: change.body for change in changes}
    fields = ((item, name) for item in targeted for name in item.secrets)
    return sum(name not in sent.get(item.address, ()) for item, name in fields)


def _change(
    action: Action,
    manifest: Desired,
    number: int | None,
    body: Mapping[str, JSON],
    fields: tuple[FieldChange, ...],
) -> Change:
    kind = manifest.kind.name
    origin, labels = manifest.origin, manifest.labels
    return Change(action, manifest.address, kind, number, body, fields, origin, labels=labels)


def _refuse(
    decision: Decision, manifest: Desired, inventory: Inventory, others: tuple[int, ...] = ()
) -> Refusal:
    message, hint = _REFUSALS[decision]
    record = inventory.records.get(manifest.address)
    owner = inventory.claimed.get(record.id) if record is not None and manifest.id is None else None
    if decision is Decision.TWO_BINDINGS and owner and inventory.by_address[owner].id is None:
        message, hint = _SHARED_RECORD
        owner = inventory.renamed.get(owner, owner)
    recorded = inventory.renamed.get(manifest.address, manifest.address)  # as the state has it
    number = number_of(manifest, record)
    live = None if number is None else inventory.by_id.get(number)
    key, display = match_key_of(manifest), manifest.fields.get("name")
    other = recorded
    if decision is Decision.UNCERTAIN:
        others, other = inventory.uncertain[manifest.address]
    elif decision is Decision.SAME_NAME:
        other = next(item for item in inventory.unbound[key] if item != manifest.address)
    words = {
        "address": manifest.address,
        "claim": claim_on(manifest, inventory),
        "described": f"monitor {number}"
        if number in inventory.others.ids
        else f"a monitor of the kind {manifest.kind.name} named {display!r}",
        "kind": manifest.kind.name,
        "display": display,
        "id": number,
        "ids": ", ".join(map(str, inventory.candidates.get(key, ()) or others)),
        "forget": f", or forget the record: reconciler state rm {recorded}" if record else "",
        "type": live.type if live else None,
        "record": record.id if record else None,
        "named": "it" if manifest.id is None else manifest.id,
        "namer": owner or "its manifest",
        "seen": f"AlertSite calls it {live.fields.get('name')!r}."
        if live
        else "AlertSite does not have it.",
        "other": other,
        "omitted": next(iter(inventory.omitted), None),
    }
    said, advice = message.format(**words), hint.format(**words)
    return Refusal(manifest.address, decision.code, said, advice, manifest.origin)
