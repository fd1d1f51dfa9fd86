"""One login and one list of monitors, and what their answers tell beside it."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from reconciler.cli import keeping, output
from reconciler.cli.connection import connect
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.schema import Schemas

_LOGIN = "/access-tokens"
_UNAUTHORISED = 401
_FORBIDDEN = 403


class Talk(NamedTuple):
    """What came of it.

    Attributes:
        is_logged_in: AlertSite has accepted the login or the token.
        monitors: how many email monitors the account has.
        ahead: seconds by which the clock here is ahead of AlertSite's; None if no answer said.
        error: why there is no list; None if there is.
    """

    is_logged_in: bool
    monitors: int
    ahead: float | None
    error: ReconcilerError | None


class _Seen(NamedTuple):
    """A request, or its answer: then it has a status."""

    path: str
    status: int | None
    date: str
    at: datetime


def talk(schemas: Schemas) -> Talk:
    """Logs in and reads the list; neither is tried twice."""
    seen: list[_Seen] = []

    def note(path: str, status: int | None, date: str) -> None:
        seen.append(_Seen(path, status, date, keeping.clock().now()))

    live, failure = [], None
    try:
        with connect(schemas, output.say) as connection:
            connection.stop.set()
            connection.session.watch(note)
            live = connection.reader().list_monitors(schemas.kinds)
    except ReconcilerError as error:
        failure = error
    monitors = [item for item in live if item.type in schemas.kinds or item.type is None]
    is_logged_in = failure is None or _has_logged_in(seen)
    return Talk(is_logged_in, len(monitors), _ahead(seen), failure)


def _has_logged_in(seen: list[_Seen]) -> bool:
    """Whether what failed came after the login: nothing else is asked before it is accepted.

    A token that is given needs no login; only an answer tells what it is worth.
    """
    is_new = any(one.path.endswith(_LOGIN) for one in seen)
    others = {one.status for one in seen if not one.path.endswith(_LOGIN)}
    return _FORBIDDEN in others or (is_new and bool(others) and _UNAUTHORISED not in others)


def _ahead(seen: list[_Seen]) -> float | None:
    for one in seen:
        try:
            there = parsedate_to_datetime(one.date)
        except ValueError:  # none, or not one that HTTP knows
            continue
        if there.tzinfo is not None:
            return (one.at - there).total_seconds()
    return None
