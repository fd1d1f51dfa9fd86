"""The smallest patch from live to desired, and its explanation for people: what, and who moved.

Rule: equality is decided on canonical values; DeepDiff (imported only here, and only when a
structured value differs) names the leaves. Laws, for all inputs: applying the patch to live makes
it empty; it holds declared fields, and of others only the companions that `x-send-with` asks for,
with the value that live has; taking any field out leaves a difference, except for companions; the
order of the input changes nothing.

Companions. AlertSite's samples never send `locations` without `home_location`, and what becomes of
a home that is not among new locations is not documented. So live's home goes along with them where
the manifest names none. Where it would be left out of the set (`stranded`) nobody but the author
can say what it is to be, and `decide` refuses.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.mask import shown
from reconciler.core.model import JSON, Field, canonical, elements_by_key, secret_refs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.model import Desired, Kind, Live


_SCALARS = frozenset({str, int, bool})


class Cause(StrEnum):
    """Who moved since a field was last applied.

    A field that was never applied has the cause `edit`: Git names it for the first time. One that
    was sent and that AlertSite shows as it was before has not been kept, or not yet. If it was sent
    otherwise than the manifest wants it by now, that may show later: it is not settled. One that
    has left the manifest is restored to what it was before Git first changed it.
    """

    EDIT = "edit"
    DRIFT = "drift"
    BOTH = "both"
    NOT_KEPT = "not-kept"
    UNSETTLED = "unsettled"
    RESTORE = "restore"


class Leaf(NamedTuple):
    """One difference inside a structured value; None means "not there"."""

    path: str
    before: JSON
    after: JSON


class Stranded(NamedTuple):
    """A field that the manifest does not name, and that a patch would leave naming nothing.

    Attributes:
        value: the normalised live value.
        members: the field with the set that it is to be in.
        keys: those of the set's elements, as the patch has them.
    """

    field: str
    value: JSON
    members: str
    keys: tuple[JSON, ...]


class FieldChange(NamedTuple):
    """Why one field is in a patch.

    Attributes:
        before: the normalised live value, without what may be a secret; None if it is unset.
        after: the desired value as the manifest writes it.
        leaves: what differs inside a structured value, sorted by path; empty for a scalar.
        sent_with: the changed field that this unchanged one must accompany; None for a change. The
            manifest need not name it: then `after` is what AlertSite has.
        cause: who moved.
        applied: the normalised value that was last applied, without what may be a secret; None if
            it was unset or never applied. Of a field that is not settled: what was sent last.
        default: where the value stands if it is a default, as `path:line:column`; None if the
            manifest names it.
        source: where the secret in it comes from, such as `env:NAME`; None if it holds none. Then
            `before` and `applied` are None and `after` holds references only.
        set_key: the member that tells the elements apart, if the value is a list that is a set.
        before_run: of a field that is restored, the run that changed it first.
    """

    field: str
    before: JSON
    after: JSON
    leaves: tuple[Leaf, ...] = ()
    sent_with: str | None = None
    cause: Cause = Cause.EDIT
    applied: JSON = None
    source: str | None = None
    default: str | None = None
    set_key: str | None = None
    before_run: str | None = None


def patch(
    desired: Desired,
    live: Live,
    secrets: Iterable[str] = (),
    unseen: Mapping[str, JSON] = {},
) -> dict[str, JSON]:
    """The declared top-level fields that differ from live, whole, with their companions.

    Keys are in alphabetical order; values are as the manifest writes them, or as live has them
    where it does not name a companion. `secrets` names the fields with a secretRef that are to be
    sent too: live does not tell whether they differ. Nor does it of fields that were sent otherwise
    and not seen since (`unseen`).
    """
    kind, actual = desired.kind, live.fields
    changed = set()
    for name, value in desired.fields.items():
        other = actual.get(name)
        # Most fields of most monitors are equal as they stand; normalising them would cost time.
        if value.__class__ is other.__class__ and value.__class__ in _SCALARS and value == other:
            continue
        field = kind.field(name)
        if not field.is_same(value, other):
            changed.add(name)
    changed.update(secrets)
    if unseen:
        changed.update(name for name in desired.fields if _is_unsettled(desired, name, unseen))
    if not changed:
        return {}
    values = {**desired.fields, **desired.secrets}
    companions = set()
    for name, field in kind.fields.items():
        if changed.isdisjoint(field.send_with):
            continue
        if name not in values:
            has = field.normalise(actual.get(name))
            if has is None or missing_member(desired, field, has):
                continue
            values[name] = has
        companions.add(name)
    return {name: values[name] for name in sorted(changed | companions)}


def stranded(desired: Desired, live: Live, body: Mapping[str, JSON]) -> Stranded | None:
    """The field that a `patch` body would leave naming no element of a set it changes."""
    for name, field in desired.kind.fields.items():
        if field.member_of in body and name not in desired.fields:
            found = missing_member(desired, field, field.normalise(live.fields.get(name)))
            if found:
                return found
    return None


def missing_member(desired: Desired, field: Field, has: JSON) -> Stranded | None:
    """What a normalised value names that is not in its set; None if it names nothing, or is."""
    if field.member_of is None or has is None:
        return None
    members = desired.kind.field(field.member_of)
    elements = members.normalise(desired.fields.get(field.member_of))
    if members.set_key is None or not isinstance(elements, list):
        return None
    keys = tuple(item.get(members.set_key) for item in elements if isinstance(item, dict))
    if canonical(has) in map(canonical, keys):
        return None
    return Stranded(field.name, has, members.name, keys)


def explain(
    desired: Desired,
    live: Live,
    body: Mapping[str, JSON],
    applied: Mapping[str, JSON] | None = None,
    unseen: Mapping[str, JSON] = {},
) -> tuple[FieldChange, ...]:
    """What each field of a `patch` body changes, in the order of the body.

    `applied` are the fields that were last applied to the address; None if none ever were.
    `unseen` is what was sent and has not been seen since.
    """
    kind, applied = desired.kind, applied or {}
    found = []
    for name, after in body.items():
        if name in desired.secrets:
            found.append(_secret(name, after))
            continue
        field, has = kind.field(name), live.fields.get(name)
        was, _ = _shown_both(kind, field, applied.get(name), None)
        before = shown(kind, name, field.normalise(has), was, after)
        change = FieldChange(name, before, after, applied=was)
        if not field.is_same(after, has):
            change = change._replace(
                leaves=_leaves(field, before, field.normalise(after)),
                cause=_cause(kind, field, after, has, applied, unseen),
                set_key=field.set_key,
            )
        elif _is_unsettled(desired, name, unseen):
            sent = field.normalise(unseen[name])
            change = change._replace(cause=Cause.UNSETTLED, applied=sent)
        else:
            change = change._replace(sent_with=next(it for it in field.send_with if it in body))
        found.append(change)
    return tuple(found)


def explain_create(desired: Desired, body: Mapping[str, JSON]) -> tuple[FieldChange, ...]:
    """The fields of a monitor that is to be created, in the order of the body."""
    return tuple(
        _secret(name, value)
        if name in desired.secrets
        else FieldChange(name, None, value, set_key=desired.kind.field(name).set_key)
        for name, value in body.items()
    )


def drifted(
    kind: Kind, applied: Mapping[str, JSON], live: Live, unseen: Mapping[str, JSON] = {}
) -> tuple[FieldChange, ...]:
    """What AlertSite changed since those fields were applied: from the applied value to live's.

    A field that shows by now what was sent is none of them.
    """
    changes = []
    for name in sorted(applied):
        field = kind.field(name)
        was, has = applied[name], live.fields.get(name)
        if field.is_same(was, has) or (name in unseen and field.is_same(unseen[name], has)):
            continue
        before, after = _shown_both(kind, field, was, has)
        if not field.is_same(before, after):
            change = FieldChange(name, before, after, cause=Cause.DRIFT, applied=before)
            leaves = _leaves(field, before, after)
            changes.append(change._replace(leaves=leaves, set_key=field.set_key))
    return tuple(changes)


def _is_unsettled(desired: Desired, name: str, unseen: Mapping[str, JSON]) -> bool:
    """Whether what was sent last, and not seen since, is something else than the manifest wants."""
    if name not in unseen or name not in desired.fields:
        return False
    return not desired.kind.field(name).is_same(unseen[name], desired.fields[name])


def _secret(name: str, value: JSON) -> FieldChange:
    sources = dict.fromkeys(str(found.ref) for found in secret_refs(value))
    return FieldChange(name, None, value, source=", ".join(sources))


def _shown_both(kind: Kind, field: Field, was: JSON, has: JSON) -> tuple[JSON, JSON]:
    """What was applied and what live has, normalised, as they may be shown and compared."""
    before = field.normalise(was)
    before = shown(kind, field.name, before, before)
    return before, shown(kind, field.name, field.normalise(has), before)


def _cause(
    kind: Kind,
    field: Field,
    desired: JSON,
    live: JSON,
    applied: Mapping[str, JSON],
    unseen: Mapping[str, JSON],
) -> Cause:
    """Who moved since `applied` was seen, or since what is `unseen` was sent."""
    is_unseen = field.name in unseen
    if field.name not in applied and not is_unseen:
        return Cause.EDIT
    has, wanted = field.text(live), field.text(desired)
    was = has
    if field.name in applied:
        before, after = _shown_both(kind, field, applied[field.name], live)
        # What of live may not be shown is not in a record either, so it cannot have moved.
        was = has if field.is_same(before, after) else field.text(applied[field.name])
    sent = field.text(unseen[field.name]) if is_unseen else was
    is_git_still = wanted == sent
    if has == was:
        return Cause.NOT_KEPT if is_unseen and is_git_still else Cause.EDIT
    if has == sent:  # it shows now what was sent before
        return Cause.EDIT
    return Cause.DRIFT if is_git_still else Cause.BOTH


def _leaves(field: Field, before: JSON, after: JSON) -> tuple[Leaf, ...]:
    """What differs inside a structured value; nothing for any other."""
    if not (isinstance(before, dict | list) and isinstance(after, dict | list)):
        return ()
    return _differences(field.name, field.set_key, canonical(before), canonical(after))


@lru_cache(maxsize=1024)  # a default changes many monitors alike, and each takes a millisecond
def _differences(name: str, set_key: str | None, was: str, has: str) -> tuple[Leaf, ...]:
    """What differs between two structured values, of which these are the canonical texts."""
    before, after = json.loads(was), json.loads(has)
    # threshold_to_diff_deeper: 0, or DeepDiff reports very different values as one replacement.
    # ignore_private_variables: False, or keys that start with "__" are silently equal.
    from deepdiff import DeepDiff  # 120 ms that a run without such a change saves

    if set_key is not None and isinstance(before, list) and isinstance(after, list):
        keyed = elements_by_key(before, set_key), elements_by_key(after, set_key)
        if None not in keyed:  # then a leaf is named by identity, not by place
            before, after = keyed
    difference = DeepDiff(
        before,
        after,
        view="tree",
        threshold_to_diff_deeper=0,
        ignore_private_variables=False,
    )
    leaves = [
        Leaf(
            name
            + "".join(
                f".{step}" if isinstance(step, str) else f"[{step}]"
                for step in item.path(output_format="list")
            ),
            None if "added" in report else item.t1,
            None if "removed" in report else item.t2,
        )
        for report, items in difference.items()
        for item in items
    ]
    return tuple(sorted(leaves, key=lambda leaf: (leaf.path, canonical(leaf.after))))
