"""What becomes of the comment on a review request, and of its labels: decided without a platform.

Rule: only comments that we wrote are looked at, and of these only the ones that begin with our
marker. What a manifest puts further down in a comment is never one.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from reconciler.core.plan import Action, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model import JSON
    from reconciler.core.plan import Plan

_MARKER = re.compile(
    r"<!-- reconciler account=(?P<account>[^\s>]+) digest=(?P<digest>sha256:[0-9a-f]{64}) -->"
)

CHANGES, DESTROY, LOSS = "monitoring:changes", "monitoring:destroy", "monitoring:loss"
"""Labels of a request."""
DRIFT = "monitoring:drift"
"""The label of the issue for drift."""
_KNOWN = re.compile("<!-- drifted=([0-9a-f,]*) -->")
_DIGITS = 12
_MOST_KNOWN = 1000
"""So many drifts does an issue know again: with all of them, a large fleet's would not fit."""


class Behavior(StrEnum):
    """What becomes of the comments of earlier runs."""

    UPDATE = "update"
    NEW = "new"
    DELETE_AND_NEW = "delete-and-new"


class Comment(NamedTuple):
    """One text that we wrote: a comment, or an issue with its number as its id."""

    id: int
    body: str


class Steps(NamedTuple):
    """What to do, in this order, so that there is a comment at any moment.

    Attributes:
        update: the comment to be rewritten.
        create: whether a new one is written.
        delete: the comments to be deleted.
    """

    update: int | None = None
    create: bool = False
    delete: tuple[int, ...] = ()


class Labels(NamedTuple):
    """Which labels a request gains and loses; others are nobody's business here."""

    gained: tuple[str, ...]
    lost: tuple[str, ...]


def marked(text: str, account: str) -> str:
    """The text as it is posted: below a marker that is not shown, with account and digest."""
    return f"<!-- reconciler account={quote(account)} digest={fingerprint(text)} -->\n{text}"


def ours(comments: Iterable[Comment], account: str) -> tuple[Comment, ...]:
    """Those of the comments that have the marker of this account, in their order."""
    return tuple(
        comment
        for comment in comments
        if (found := _MARKER.match(comment.body)) and found["account"] == quote(account)
    )


def is_current(comment: Comment, text: str) -> bool:
    """Whether a marked comment says this text already.

    Its digest tells, not its body: platforms are free to change line ends and blanks.
    """
    found = _MARKER.match(comment.body)
    return found is not None and found["digest"] == fingerprint(text)


def steps(own: tuple[Comment, ...], text: str, behavior: Behavior) -> Steps:
    """What to do so that the text, which has no marker yet, is shown.

    `own` are the marked comments of the account, the oldest first.
    """
    if not own:
        return Steps(create=True)
    *earlier, last = own
    current = is_current(last, text)
    if behavior is Behavior.UPDATE:
        return Steps() if current else Steps(update=last.id)
    delete = tuple(item.id for item in own) if behavior is Behavior.DELETE_AND_NEW else ()
    if current:
        return Steps(delete=delete[: len(earlier)])
    return Steps(create=True, delete=delete)


def drift_mark(drift: JSON) -> str:
    """What two drifts of a monitor share if it has drifted in the same way; shows no value."""
    return fingerprint(drift).partition(":")[2][:_DIGITS]


def with_known(text: str, marks: Iterable[str]) -> str:
    """The text of an issue below a line, not shown, that tells which drifts it has told of."""
    return f"<!-- drifted={','.join(sorted(marks)[:_MOST_KNOWN])} -->\n{text}"


def room_for_known(count: int) -> int:
    """Characters that the marks of so many drifts take in an issue."""
    return min(count, _MOST_KNOWN) * (_DIGITS + 1)


def unknown(marks: Iterable[str], body: str) -> frozenset[str]:
    """Which of the drifts an issue with this body has not told of.

    Of those that it had no room for, which are the last in order, nothing is known: they are no
    news, or each run would tell of them again.
    """
    found = _KNOWN.search(body)
    known = frozenset(found[1].split(",")) if found else frozenset()
    fresh = frozenset(marks) - known
    if len(known) < _MOST_KNOWN:
        return fresh
    last = max(known)
    return frozenset(mark for mark in fresh if mark < last)


def labels(plans: Iterable[Plan], present: frozenset[str]) -> Labels:
    """What to do so that the labels of a request tell what its plans do."""
    plans = tuple(plans)
    wanted = {CHANGES} if any(plan.is_something for plan in plans) else set()
    if any(plan.having(Action.DELETE) for plan in plans):
        wanted.add(DESTROY)
    if any(plan.coverage.losses for plan in plans):
        wanted.add(LOSS)
    lost = ({CHANGES, DESTROY, LOSS} - wanted) & present
    return Labels(tuple(sorted(wanted - present)), tuple(sorted(lost)))
