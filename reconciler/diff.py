"""The smallest patch from live to desired, and its explanation for people.

Rule: equality is decided on canonical values; DeepDiff (imported only here, and only when a
structured value differs) names the leaves. Laws, for all inputs: applying the patch to live makes
it empty; it holds declared fields only; taking any field out leaves a difference, except for the
companions that `x-send-with` adds; the order of the input changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.model import JSON, Field, canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model import Desired, Live

_SCALARS = frozenset({str, int, bool})


class Leaf(NamedTuple):
    """One difference inside a structured value; None means "not there"."""

    path: str
    before: JSON
    after: JSON


class FieldChange(NamedTuple):
    """Why one field is in a patch.

    Attributes:
        before: the normalised live value; None if it is unset.
        after: the desired value as the manifest writes it.
        leaves: what differs inside a structured value, sorted by path; empty for a scalar.
        sent_with: the changed field that this unchanged one must accompany; None for a change.
    """

    field: str
    before: JSON
    after: JSON
    leaves: tuple[Leaf, ...] = ()
    sent_with: str | None = None


def patch(desired: Desired, live: Live) -> dict[str, JSON]:
    """The declared top-level fields that differ from live, whole, with their companions.

    Keys are in alphabetical order; values are as the manifest writes them.
    """
    kind, actual = desired.kind, live.fields
    changed = set()
    for name, value in desired.fields.items():
        other = actual.get(name)
        # Most fields of most monitors are equal as they stand; normalising them would cost time.
        if value.__class__ is other.__class__ and value.__class__ in _SCALARS and value == other:
            continue
        field = kind.field(name)
        if field.text(value) != field.text(other):
            changed.add(name)
    if not changed:
        return {}
    companions = {
        name for name in desired.fields if not changed.isdisjoint(kind.field(name).send_with)
    }
    return {name: desired.fields[name] for name in sorted(changed | companions)}


def explain(desired: Desired, live: Live, body: Mapping[str, JSON]) -> tuple[FieldChange, ...]:
    """What each field of a `patch` body changes, in the order of the body."""
    return tuple(_explain(desired.kind.field(name), body, live) for name in body)


def _explain(field: Field, body: Mapping[str, JSON], live: Live) -> FieldChange:
    after = body[field.name]
    before = field.normalise(live.fields.get(field.name))
    goal = field.normalise(after)
    if field.text(after) == field.text(live.fields.get(field.name)):
        sent_with = next(name for name in field.send_with if name in body)
        return FieldChange(field.name, before, after, sent_with=sent_with)
    if isinstance(goal, dict | list) and isinstance(before, dict | list):
        return FieldChange(field.name, before, after, _leaves(field, before, goal))
    return FieldChange(field.name, before, after)


def _leaves(field: Field, before: JSON, after: JSON) -> tuple[Leaf, ...]:
    # threshold_to_diff_deeper: 0, or DeepDiff reports very different values as one replacement.
    # ignore_private_variables: False, or keys that start with "__" are silently equal.
    from deepdiff import DeepDiff  # noqa: PLC0415 - 120 ms that a run without such a change saves

    if field.set_key is not None and isinstance(before, list) and isinstance(after, list):
        keyed = _by_key(before, field.set_key), _by_key(after, field.set_key)
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
            _leaf_path(field.name, item.path(output_format="list")),
            None if "added" in report else item.t1,
            None if "removed" in report else item.t2,
        )
        for report, items in difference.items()
        for item in items
    ]
    return tuple(sorted(leaves, key=lambda leaf: (leaf.path, canonical(leaf.after))))


def _by_key(value: list[JSON], set_key: str) -> dict[JSON, JSON] | None:
    """A set as a mapping from its key; None if an element has no key or shares it."""
    if not all(isinstance(item, dict) and set_key in item for item in value):
        return None
    items = {item[set_key]: item for item in value}
    return items if len(items) == len(value) else None


def _leaf_path(name: str, steps: list[str | int]) -> str:
    return name + "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in steps)
