"""What is new to those whom a watcher notifies: what begins, and what is over.

What stands is told once, and its end once: so a night of drift or of an outage is two messages, not
sixty. A `Notified` is what was told and is not over; from it and from a round come the news, and
the next `Notified`. An account that could not be looked at may have drifted or not: what was told
of its drift stands.

Rule: values and pure functions; no I/O, clock or environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.json_text import decoded, encoded
from reconciler.core.plan import fingerprint
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.drift import Drift, Drifted
    from reconciler.core.model import JSON
    from reconciler.core.watch import Round, Seen


class NotifiedAccount(NamedTuple):
    """What was told of one account and is not over.

    Attributes:
        drift: by address, the fingerprint of what AlertSite had.
        exit_code: of the failure; 0 if there is none.
    """

    drift: Mapping[str, str] = {}
    exit_code: int = 0


class Notified(NamedTuple):
    """What was told and is not over.

    Attributes:
        accounts: by name; one of which nothing stands may be missing.
        has_problem: whether the latest commit could not be used.
    """

    accounts: Mapping[str, NotifiedAccount] = {}
    has_problem: bool = False

    def to_json(self) -> JSON:
        """What a file keeps."""
        return encoded(self)

    @classmethod
    def from_json(cls, data: JSON) -> Notified:
        """What `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it gave something else.
        """
        found = decoded(cls({"": NotifiedAccount({"": ""})}), data)
        for item in found.accounts.values():
            ExitCode(item.exit_code)
        return found


class AccountNews(NamedTuple):
    """What is new of one account.

    Attributes:
        drifted: monitors whose drift has begun, or is another one.
        settled: addresses whose drift is over.
        failed: the exit code of a failure that has begun; 0 if none has.
        is_recovered: whether a failure is over.
    """

    account: str
    drifted: tuple[Drifted, ...] = ()
    settled: tuple[str, ...] = ()
    failed: int = 0
    is_recovered: bool = False


class News(NamedTuple):
    """What is new in a round.

    Attributes:
        at: when the round ended.
        accounts: those of which something is new, by name.
        has_problem: whether the latest commit could not be used, if that is new; else None.
    """

    at: str
    accounts: tuple[AccountNews, ...] = ()
    has_problem: bool | None = None

    @property
    def is_something(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.accounts) or self.has_problem is not None


def news_of(found: Round, drifts: Mapping[str, Drift], before: Notified) -> tuple[News, Notified]:
    """What a round has brought, and what stands after it.

    `drifts` has the drift of each account, as it was seen last.
    """
    news, notified = [], {}
    for seen in found.seen:
        was = before.accounts.get(seen.account, NotifiedAccount())
        now = _notified(seen, drifts.get(seen.account), was)
        last = drifts.get(seen.account)
        drift = last.monitors if seen.is_seen and last is not None else ()
        of_account = AccountNews(
            seen.account,
            tuple(it for it in drift if was.drift.get(it.address) != now.drift[it.address]),
            tuple(sorted(was.drift.keys() - now.drift.keys())),
            now.exit_code if now.exit_code != was.exit_code else 0,
            is_recovered=bool(was.exit_code) and not now.exit_code,
        )
        if of_account != AccountNews(seen.account):
            news.append(of_account)
        notified[seen.account] = now
    has_problem = bool(found.problem)
    is_news = has_problem != before.has_problem
    return (
        News(found.at, tuple(news), has_problem if is_news else None),
        Notified(notified, has_problem),
    )


def _notified(seen: Seen, drift: Drift | None, was: NotifiedAccount) -> NotifiedAccount:
    exit_code = 0 if seen.is_good else seen.exit_code
    if not seen.is_seen or drift is None:
        return was._replace(exit_code=exit_code)
    return NotifiedAccount({it.address: drift_print(it) for it in drift.monitors}, exit_code)


def drift_print(item: Drifted) -> str:
    """What two drifts of a monitor share exactly when AlertSite has the same."""
    return fingerprint([[field.field, field.after] for field in item.fields])
