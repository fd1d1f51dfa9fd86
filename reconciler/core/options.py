"""How a plan is to be made, and which manifests it is about."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.core.model import JSON, Desired


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
