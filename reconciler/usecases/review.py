"""Telling a review platform about plans and drift, and asking it for the plan that was reviewed."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core import review
from reconciler.errors import NotAllowedError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.core.model import JSON
    from reconciler.core.plan import Plan
    from reconciler.core.review import Behavior
    from reconciler.usecases.platforms import GitHub, GitLab

_ROOM = 200
"""Characters that the marker takes, or less."""
_MOST = 20
"""So many addresses are named in a note below an issue."""


class Done(Enum):
    """What became of a comment or an issue."""

    CREATED = "written"
    UPDATED = "updated"
    CURRENT = "as it was"
    CLOSED = "closed"
    NOTHING = "not needed"


class Commented(NamedTuple):
    """What became of a comment.

    Attributes:
        labels: what became of the labels.
        not_allowed: why the labels could not be set; empty if they could.
    """

    done: Done
    labels: review.Labels = review.Labels((), ())
    not_allowed: str = ""


def comment(
    platform: GitHub | GitLab, text: str, account: str, behavior: Behavior, plans: Sequence[Plan]
) -> Commented:
    """Sees to it that the request has one comment with this text, and labels that fit the plans.

    Raises:
        RefusedError: the text is longer than a comment may be.
        PlatformError: something could not be read or written.
    """
    _check_length(platform, text)
    own = review.ours(platform.comments(), account)
    steps = review.steps(own, text, behavior)
    body = review.marked(text, account)
    done = Done.CURRENT
    if steps.update is not None:
        platform.update(steps.update, body)
        done = Done.UPDATED
    if steps.create:
        platform.create(body)
        done = Done.CREATED
    for number in steps.delete:
        platform.delete(number)
    if not plans:
        return Commented(done)
    labels = review.labels(plans, platform.labels())
    if not any(labels):
        return Commented(done)
    try:
        platform.relabel(*labels)
    except NotAllowedError as error:  # the comment is there, and says more than labels do
        return Commented(done, not_allowed=str(error))
    return Commented(done, labels)


def issue(platform: GitHub | GitLab, text: str, drift: Mapping[str, JSON], title: str) -> Done:
    """Sees to it that there is one open issue while there is drift, and none when there is not.

    An edit of an issue notifies nobody; so what has drifted since the last look is named in a note
    below it, and nothing else is.

    Args:
        platform: where the issue is kept.
        text: what the issue says.
        drift: as `schemas/drift.schema.json` describes it.
        title: of the issue.

    Raises:
        RefusedError: the text is longer than an issue may be.
        PlatformError: something could not be read or written.
    """
    account = drift["account"]["name"]
    own = review.ours(platform.issues(review.DRIFT), account)
    if not drift["monitors"] and not drift.get("unmanaged"):
        for item in own:
            platform.close_issue(item.id)
        return Done.CLOSED if own else Done.NOTHING
    _check_length(platform, text)
    found = _marks(drift)
    whole = review.with_known(text, found)
    _check_length(platform, whole)
    body = review.marked(whole, account)
    if not own:
        platform.open_issue(title, body, review.DRIFT)
        return Done.CREATED
    last = own[-1]
    if review.is_current(last, whole):
        return Done.CURRENT
    if new := sorted(found[mark] for mark in review.unknown(found, last.body)):
        more = f"\n- and {len(new) - _MOST:,} more" if len(new) > _MOST else ""
        lines = "\n".join(f"- {name}" for name in new[:_MOST])
        platform.notify(last.id, f"Newly drifted:\n\n{lines}{more}")
    platform.update_issue(last.id, body)  # last: what it lists is told already
    return Done.UPDATED


def _marks(drift: Mapping[str, JSON]) -> dict[str, str]:
    """By its mark, which monitor each drift is of, and how that lost monitoring."""
    found: dict[str, str] = {}
    for item in drift["monitors"]:
        causes = item.get("causes")  # nothing if an older version wrote the file
        lost = f" has lost monitoring ({', '.join(causes)})" if causes else ""
        mark = review.drift_mark([item["address"], item["fields"]])
        found[mark] = f"`{item['address']}`{lost}"
    for item in drift.get("unmanaged") or ():
        mark = review.drift_mark(["unmanaged", item["id"]])
        found[mark] = f"`monitor {item['id']}, without a manifest`"
    return found


def _check_length(platform: GitHub | GitLab, text: str) -> None:
    """Stops before a platform does, with the next step.

    Raises:
        RefusedError: the text does not fit.
    """
    most = platform.largest - _ROOM
    if len(text) > most:
        raise RefusedError(
            f"the text has {len(text):,} characters, but a comment there can have {most:,}",
            "Use --format markdown=FILE, which shortens the text and marks where.",
        )
