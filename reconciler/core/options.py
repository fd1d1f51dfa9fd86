"""How a plan is to be made, and which manifests it is about."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.core.model import JSON, Desired
    from reconciler.core.state import Record


class PlanOptions(NamedTuple):
    """How a plan is to be made.

    Attributes:
        targets: plan only the manifests that one of these matches; see `matches`.
        adopt: bind a manifest to the one free monitor of its kind and name.
        write_secrets: send every secret, changed or not.
        prune: retire orphans: delete them, or disable them if their lifecycle says so.
        keep: addresses or globs of orphans that are not retired.
        may_strand: plan a change that leaves a field naming what is not there any more; for a plan
            that is only read.
        fingerprint: of the secret in a field, from the monitor's id, the field's name and its
            value; None if secrets are not tracked.
    """

    targets: Sequence[str] = ()
    adopt: bool = False
    write_secrets: bool = False
    prune: bool = False
    keep: Sequence[str] = ()
    may_strand: bool = False
    fingerprint: Callable[[int, str, JSON], str] | None = None


def is_target(desired: Desired, targets: Sequence[str]) -> bool:
    """Whether the manifest is to be planned; without targets all are."""
    return not targets or any(matches(desired, target) for target in targets)


def matches(desired: Desired, target: str) -> bool:
    """Whether a `--target` means that manifest: an address, a glob over them, or label=value."""
    label, equals, value = target.partition("=")
    if equals:
        return desired.labels.get(label) == value
    return fnmatchcase(desired.address, target)


def with_addresses(
    targets: Sequence[str], desired: Iterable[Desired], records: Mapping[str, Record]
) -> tuple[str, ...]:
    """The targets; in place of an id, the address that is bound to that monitor.

    A manifest's word counts more than a record. An id that nothing is bound to stays what it is,
    and so matches nothing.
    """
    if not any(map(is_id, targets)):
        return tuple(targets)
    bound = {str(record.id): address for address, record in records.items()}
    bound |= {str(item.id): item.address for item in desired if item.id is not None}
    return tuple(bound.get(target, target) for target in targets)


def is_id(target: str) -> bool:
    """Whether a target is the id of a monitor; no address is."""
    return target.isascii() and target.isdigit()
