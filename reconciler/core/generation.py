"""Which commit the manifests are of, and whether an apply would go back behind the last one.

An old pipeline that runs again has manifests that are valid and old: to it, what was added since is
an orphan, and what was changed is drift. So the state remembers the commit of the last apply of all
manifests, from the moment at which that apply begins to send. What is older, that is, an ancestor
of it in Git, is refused. What cannot be told is permitted and said: nobody's clone must know every
commit. A revert is a new commit and passes.

Rule: values and decisions; no I/O.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from reconciler.errors import RefusedError

ALLOW_OLDER = "--allow-older"
_SHOWN = 12


class Generation(NamedTuple):
    """The commit that manifests are of.

    Attributes:
        commit: its name in Git; empty if they are in none.
        dirty: whether the manifests have changes that are not committed.
    """

    commit: str = ""
    dirty: bool = False

    def __str__(self) -> str:
        changes = " with uncommitted changes" if self.dirty else ""
        return f"{self.commit[:_SHOWN]}{changes}"


class Relation(Enum):
    """How the commit of an apply stands to that of the last one."""

    SAME = "same"
    NEWER = "newer"
    OLDER = "older"
    PARTED = "parted"
    UNKNOWN = "unknown"


def age(now: Generation, last: Generation, relation: Relation) -> str:
    """That manifests of `now` are older than what was applied last; empty if they are not."""
    if relation is not Relation.OLDER:
        return ""
    new, old = now.commit[:_SHOWN], last.commit[:_SHOWN]
    return f"the manifests are of an old commit: {new} is older than {old}, the last one applied"


def check(now: Generation, last: Generation, relation: Relation, *, allow_older: bool) -> str:
    """What is to be said before manifests of `now` are applied; empty if nothing is.

    Raises:
        RefusedError: they are older than what was applied last, and that is not allowed.
    """
    dirty = f"The manifests are of commit {now}." if now.dirty else ""
    if not last.commit or relation in {Relation.SAME, Relation.NEWER}:
        return dirty
    new, old = now.commit[:_SHOWN], last.commit[:_SHOWN]
    if not now.commit:
        return (
            f"The manifests are in no commit, and the last applied ones are of commit {old}: "
            "cannot tell whether these are older."
        )
    if (old_commit := age(now, last, relation)) and not allow_older:
        raise RefusedError(
            f"{old_commit}; nothing is applied",
            "Apply the newest commit; to go back, revert in Git, which creates a new commit. If "
            f"the old one is intended, allow it for this run with {ALLOW_OLDER}.",
        )
    match relation:
        case Relation.OLDER:
            said = f"Commit {new} is older than {old}, the last one applied: allowed in this run."
        case Relation.PARTED:
            said = (
                f"Commit {new} does not descend from {old}, the last one applied: it is on another "
                "branch, or the history was rewritten."
            )
        case _:
            said = (
                f"Cannot tell whether commit {new} is older than {old}, the last one applied: this "
                "clone does not have both. If it is shallow, fetch the whole history with "
                "fetch-depth: 0 (GitHub) or GIT_DEPTH: 0 (GitLab)."
            )
    return f"{dirty} {said}".strip()
