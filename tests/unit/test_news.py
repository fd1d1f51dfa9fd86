"""What a watcher tells people: what begins, what is over, and nothing twice."""

import json

import pytest

from reconciler.core.drift import Drift, find_drift
from reconciler.core.news import AccountNews, News, Notified, news_of
from reconciler.core.watch import Round, Seen
from reconciler.render.notifications import news_message

from build import ACCOUNT, SCHEMAS, live, record

AT = "2026-11-28T12:00:00Z"
RECORDS = {f"email-smtp/{name}": record({"port": 587}, id=id_) for id_, name in enumerate("ab", 1)}


def drift(**ports: int) -> Drift:
    """That of monitors `a` and `b`, whose port was applied as 587."""
    monitors = [live({"port": ports.get(name, 587)}, id=id_) for id_, name in enumerate("ab", 1)]
    return find_drift(ACCOUNT, RECORDS, monitors, SCHEMAS.kinds)


def seen(name: str = "x", code: int = 0, *, is_seen: bool = True) -> Seen:
    return Seen(name, AT, code, "why" if code > 2 else "", is_seen=is_seen)


class Watcher:
    """The rounds of one watcher."""

    def __init__(self) -> None:
        self.notified = Notified()

    def round(self, *accounts: tuple[Seen, Drift], problem: str = "") -> News:
        found = Round(AT, problem=problem, seen=tuple(item for item, _ in accounts))
        drifts = {item.account: drifted for item, drifted in accounts}
        news, self.notified = news_of(found, drifts, self.notified)
        return news


def lines(news: News) -> tuple[str, list[str]]:
    message = news_message(news)
    *body, last = message.body.split("\n")
    assert last == f"Round {AT}"
    return message.title, body


def test_drift_is_told_when_it_begins_changes_and_ends() -> None:
    watcher = Watcher()
    assert not watcher.round((seen(), drift())).is_something
    begun = watcher.round((seen(code=2), drift(a=25)))
    assert lines(begun) == (
        "AlertSite, x: 1 monitor has drifted, 1 has lost monitoring (1 retargeted)",
        ["email-smtp/a: port (retargeted)"],
    )
    assert not watcher.round((seen(code=2), drift(a=25))).is_something
    more = watcher.round((seen(code=2), drift(a=26, b=25)))
    assert [it.address for it in more.accounts[0].drifted] == ["email-smtp/a", "email-smtp/b"]
    over = watcher.round((seen(code=2), drift(b=25)))
    assert lines(over) == (
        "AlertSite, x: 1 monitor is as last applied again",
        ["email-smtp/a: as last applied again"],
    )


def test_an_account_that_cannot_be_looked_at_has_the_drift_it_had() -> None:
    watcher = Watcher()
    watcher.round((seen(code=2), drift(a=25)))
    failed = watcher.round((seen(code=6, is_seen=False), drift(a=25)))
    assert failed.accounts == (AccountNews("x", failed=6),)
    assert not watcher.round((seen(code=6, is_seen=False), drift(a=25))).is_something
    again = watcher.round((seen(), drift()))
    assert again.accounts == (AccountNews("x", settled=("email-smtp/a",), is_recovered=True),)


def test_another_failure_is_news() -> None:
    watcher = Watcher()
    codes = (6, 6, 5, 0, 0)
    told = [watcher.round((seen(code=code), drift())).accounts for code in codes]
    assert told == [
        (AccountNews("x", failed=6),),
        (),
        (AccountNews("x", failed=5),),
        (AccountNews("x", is_recovered=True),),
        (),
    ]


def test_a_commit_that_cannot_be_used_is_told_once() -> None:
    watcher = Watcher()
    told = [watcher.round(problem=text).has_problem for text in ("", "a", "b", "", "")]
    assert told == [None, True, None, False, None]


def test_several_accounts_are_one_message_with_the_failed_ones_first() -> None:
    found = Watcher().round(
        (seen("down", 6, is_seen=False), drift()),
        (seen("a-moved", 2), drift(a=25)),
        (seen("fine"), drift()),
        problem="origin cannot be fetched",
    )
    message = news_message(found)
    assert lines(found) == (
        (
            "AlertSite: the latest commit cannot be used, 1 account has failed, 1 monitor has "
            "drifted, 1 has lost monitoring (1 retargeted)"
        ),
        [
            "See the log of the watcher for the reason.",
            "down: failed (exit code 6)",
            "a-moved: email-smtp/a: port (retargeted)",
        ],
    )
    assert (message.is_failure, message.is_warning) == (True, False)


@pytest.mark.parametrize(("code", "is_warning"), [(2, True), (0, False)])
def test_drift_is_a_warning_and_its_end_is_good_news(code: int, *, is_warning: bool) -> None:
    watcher = Watcher()
    watcher.round((seen(), drift(b=1)))
    message = news_message(watcher.round((seen(code=code), drift(a=25 if is_warning else 587))))
    assert (message.is_failure, message.is_warning) == (False, is_warning)


def test_a_long_night_is_a_short_message() -> None:
    accounts = [(seen(f"x{number:03}", 6, is_seen=False), drift()) for number in range(300)]
    title, body = lines(Watcher().round(*accounts))
    assert title == "AlertSite: 300 accounts have failed"
    assert (len(body), body[-1]) == (21, "… and 281 more")


def test_what_stands_is_kept_as_json() -> None:
    watcher = Watcher()
    watcher.round((seen(code=2), drift(a=25)), (seen("y", 6, is_seen=False), drift()), problem="x")
    data = json.loads(json.dumps(watcher.notified.to_json()))
    assert Notified.from_json(data) == watcher.notified
