"""How much a command line says, in which colours, and in words that people understand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.conftest import Account, Relays, Run


@pytest.fixture
def account(relays: Relays) -> Account:
    """An account with one monitor, which one manifest wants to change."""
    return relays(1)


@pytest.mark.parametrize("arguments", [["-v", "plan"], ["plan", "-v"], ["plan", "--verbose"]])
def test_verbose_shows_each_request_before_and_behind_the_command(
    arguments: list[str], account: Account
) -> None:
    done = account.run(*arguments)
    shown = [line for line in done.err.splitlines() if "/access-tokens" in line or "GET" in line]
    expected = [r"POST /access-tokens: 200, \d.* m?s", r"GET /monitors: 200, \d.* m?s"]
    assert len(shown) == len(account.calls()) == 2
    assert [line for line, form in zip(shown, expected, strict=True) if re.fullmatch(form, line)]
    assert "GET /monitors" not in done.out


def test_verbose_shows_no_secret(account: Account) -> None:
    name = account.env["ALERTSITE_PASSWORD"]
    done = account.run("plan", "-v")
    assert (done.code, name in done.text) == (0, False)


@pytest.mark.parametrize("arguments", [["-q", "plan"], ["plan", "-q"], ["plan", "--quiet"]])
def test_quiet_leaves_the_result_and_nothing_else(arguments: list[str], account: Account) -> None:
    done = account.run(*arguments)
    assert done.err == ""
    assert "Plan: 0 to add, 1 to change" in done.out


def test_quiet_keeps_errors(account: Account) -> None:
    done = account.run("plan", "-q", "--target", "nothing")
    assert (done.code, done.err.startswith("Error: the target nothing matches")) == (64, True)


def test_quiet_apply_is_quiet(account: Account) -> None:
    done = account.run("apply", "-q", "--auto-approve")
    assert (done.code, done.err) == (0, "")
    assert "Apply complete!" in done.out


def test_verbose_and_quiet_exclude_each_other(run: Run) -> None:
    run("-q", "plan", "-v").expect(64, err="-v and -q cannot be used together.")


@pytest.mark.parametrize(
    ("arguments", "env", "is_coloured"),
    [
        (["plan"], {}, False),
        (["plan"], {"CLICOLOR_FORCE": "1"}, True),
        (["plan"], {"CLICOLOR_FORCE": "0"}, False),
        (["plan"], {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
        (["plan", "--no-color"], {"CLICOLOR_FORCE": "1"}, False),
        (["--no-color", "plan"], {"CLICOLOR_FORCE": "1"}, False),
    ],
)
def test_colour_outside_of_a_terminal(
    arguments: list[str], env: dict[str, str], account: Account, *, is_coloured: bool
) -> None:
    assert ("\x1b[" in account.run(*arguments, env=env).out) is is_coloured
