"""What a watcher says of itself and of what it has seen."""

import re

import pytest

from reconciler.core.watch import Round, Seen, Shown, is_alive, is_ready
from reconciler.errors import ExitCode
from reconciler.render.html.watches import watch_html
from reconciler.render.watches import round_text

AT = "2026-11-28T12:00:00Z"
CLEAN = Seen("clean", AT, unchanged=5)
MOVED = Seen("moved", AT, 2, drifted=1, edits=2, held=1, refused=3, unchanged=4)
DOWN = Seen("down", AT, 6, "AlertSite is not available\nat all", is_seen=False)
REFUSED = Seen("refused", AT, 5, "too much is lost", edits=20, unchanged=1)
HOSTILE = Seen("x", AT, 1, "<script>alert(1)</script>\x1b[31m", is_seen=False)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (Round(AT, seen=(CLEAN,)), ExitCode.OK),
        (Round(AT, seen=(CLEAN, MOVED)), ExitCode.CHANGES),
        (Round(AT, seen=(DOWN,)), ExitCode.UNAVAILABLE),
        (Round(AT, seen=(CLEAN, DOWN)), ExitCode.PARTIAL),
        (Round(AT, seen=(DOWN, REFUSED)), ExitCode.PARTIAL),
        (Round(AT, problem="origin cannot be fetched", seen=(CLEAN,)), ExitCode.PARTIAL),
        (Round(AT, problem="the settings cannot be used"), ExitCode.INVALID),
    ],
)
def test_the_exit_code_of_one_round(found: Round, code: ExitCode) -> None:
    assert found.exit_code is code


def test_each_account_is_a_line() -> None:
    found = Round(AT, problem="origin cannot be fetched", seen=(CLEAN, DOWN, MOVED, REFUSED))
    assert round_text(found).split("\n") == [
        f"{AT} origin cannot be fetched; nothing is applied",
        f"{AT} clean: 5 unchanged",
        f"{AT} down: failed with 6: AlertSite is not available",
        f"{AT} moved: 1 drifted, 2 to apply, 1 held, 3 refused, 4 unchanged",
        f"{AT} refused: failed with 5: too much is lost, 20 to apply, 1 unchanged",
    ]


def test_lost_monitoring_is_told_before_it_is_applied() -> None:
    losing = Seen("losing", AT, 2, edits=20, unchanged=1, losses=12)
    over = losing._replace(account="over", is_over=True)
    assert round_text(Round(AT, seen=(losing, over))).split("\n") == [
        f"{AT} losing: 20 to apply, 12 lose monitoring, 1 unchanged",
        f"{AT} over: 20 to apply, 12 lose monitoring (over the budget), 1 unchanged",
    ]
    text = page(Shown(is_leading=True, last=Round(AT, seen=(CLEAN, losing, over))))
    heads = re.findall('<th scope="col">(.*?)</th>', text)
    cells = [re.findall("<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", text)]
    assert [row[heads.index("lost monitoring") - 1] for row in cells[1:]] == ["0", "12", "12"]
    assert text.count("12 lose monitoring (over the budget)") == 1


def test_one_that_leads_is_alive_while_it_gets_on() -> None:
    leading = Shown(is_leading=True, beat=1000.0)
    assert is_alive(leading, 1000.0 + 1800.0, 600.0)
    assert not is_alive(leading, 1000.0 + 1800.0 + 900.0, 600.0)
    assert is_alive(Shown(), 1e9, 600.0)


def test_it_is_ready_when_it_stands_by_or_has_looked() -> None:
    assert is_ready(Shown())
    assert not is_ready(Shown(is_leading=True))
    assert is_ready(Shown(is_leading=True, last=Round(AT)))


def page(shown: Shown) -> str:
    text = watch_html(shown, "1.0")
    return re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)


def test_the_page_leads_to_the_accounts_that_were_seen() -> None:
    found = Round(AT, "c0ffee", seen=(CLEAN, DOWN, MOVED))
    text = page(Shown(is_leading=True, last=found, pages={"clean": b"", "moved": b""}))
    assert re.findall('href="(accounts/[^"]*)"', text) == ["accounts/clean", "accounts/moved"]
    assert "3 accounts watched" in text
    assert "c0ffee" in text
    assert "AlertSite is not available" in text


def test_the_page_says_what_it_waits_for() -> None:
    assert "Standing by" in page(Shown())
    assert "The first round is in progress" in page(Shown(is_leading=True))


def test_hostile_text_stays_text() -> None:
    text = page(Shown(is_leading=True, last=Round(AT, problem="<b>", seen=(HOSTILE,))))
    assert "<script" not in text
    assert "<b>" not in text
    assert "\x1b" not in text
    assert "\x1b" not in round_text(Round(AT, seen=(HOSTILE,)))
