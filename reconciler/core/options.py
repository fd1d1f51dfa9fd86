"""How a plan is to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.core.model import JSON


class PlanOptions(NamedTuple):
    """How a plan is to be made.

    Attributes:
        targets: plan only the manifests that these select; see `core/targets.py`.
        adopt: bind a manifest to the one free monitor of its kind and name.
        write_secrets: send every secret, changed or not.
        prune: retire orphans: delete them, or disable them if their lifecycle says so.
        keep: addresses or globs of orphans that are not retired.
        may_strand: plan a change that leaves a field naming what is not there any more; for a plan
            that is only read.
        fingerprint: of the secret in a field, from the monitor's id, the field's name and its
            value, or None if that is not at hand; None if secrets are not tracked.
    """

    targets: Sequence[str] = ()
    adopt: bool = False
    write_secrets: bool = False
    prune: bool = False
    keep: Sequence[str] = ()
    may_strand: bool = False
    fingerprint: Callable[[int, str, JSON], str | None] | None = None
