"""A person at a terminal: the question, the answers, and what happens in between."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.conftest import Account, Fleet, Relays, Sandbox, Terminal, Terminals, Workspace

_QUESTION = 'Only "yes" is accepted'


Asked = Callable[[int], tuple[Account, Terminal]]


@pytest.fixture
def asked(relays: Relays, terminal: Terminals) -> Asked:
    """Applies a change of so many monitors, up to the question."""

    def start(count: int) -> tuple[Account, Terminal]:
        account = relays(count)
        session = terminal("apply", env=account.env)
        session.wait_for(_QUESTION)
        return account, session

    return start


def test_yes_applies(asked: Asked) -> None:
    account, session = asked(2)
    assert "2 to change" in session.screen
    assert account.patches() == []
    session.type("yes\n")
    assert session.finish() == 0
    assert "Apply complete! Resources: 0 added, 2 changed, 0 destroyed." in session.screen
    assert len(account.patches()) == 2


@pytest.mark.parametrize("answer", ["no", "y", "YES"])
def test_anything_else_does_not(answer: str, asked: Asked) -> None:
    account, session = asked(2)
    session.type(f"{answer}\n")
    assert session.finish() == 5
    assert "not approved; nothing was applied" in session.screen
    assert account.patches() == []


def test_end_of_input_does_not(asked: Asked) -> None:
    account, session = asked(1)
    session.type("\x04")
    assert session.finish() in {5, 130}
    assert account.patches() == []


def test_interrupt_at_the_question_does_not(asked: Asked) -> None:
    account, session = asked(1)
    session.interrupt()
    assert session.finish() == 130
    assert "AlertSite was not changed" in session.screen
    assert account.patches() == []


def test_interrupt_at_the_question_of_an_edit_says_that_no_file_is_written(
    fleet: Fleet, workspace: Workspace, terminal: Terminals
) -> None:
    fleet(1)
    before = workspace.read("fleet.yaml")
    session = terminal("set", "*", "port=465")
    session.wait_for("Write these edits?")
    session.interrupt()
    assert session.finish() == 130
    assert "Interrupted. Nothing was written." in session.screen
    assert workspace.read("fleet.yaml") == before


def test_live_that_moves_before_the_answer_makes_the_plan_stale(asked: Asked) -> None:
    account, session = asked(2)
    account.edit("email-smtp", 2, port=465)
    session.type("yes\n")
    assert session.finish() == 5
    assert "changed while you were reviewing the plan" in session.screen
    assert account.patches() == [("/monitors/email-smtp/2", {"port": 465})]


def test_live_that_moves_elsewhere_does_not(asked: Asked) -> None:
    account, session = asked(1)
    account.edit("email-smtp", 1, note="not a field of the manifest")
    session.type("yes\n")
    assert session.finish() == 0
    assert account.live(1)["port"] == 587
    assert account.live(1)["note"] == "not a field of the manifest"


def test_without_changes_nobody_is_asked(
    fleet: Fleet, sandbox: Sandbox, terminal: Terminals
) -> None:
    (relay,) = fleet(1)
    account = sandbox({**relay, "port": 587})
    session = terminal("apply", env=account.env)
    assert session.finish() == 0
    assert "No changes." in session.screen
    assert "yes" not in session.screen


def test_question_does_not_get_into_the_json(
    tmp_path: Path, relays: Relays, terminal: Terminals
) -> None:
    account = relays(1)
    with Path(tmp_path, "out").open("w+", encoding="utf-8") as out:
        session = terminal("apply", "--json", env=account.env, stdout=out.fileno())
        session.wait_for(_QUESTION)
        session.type("yes\n")
        assert session.finish() == 0
        out.seek(0)
        text = out.read()
    assert json.loads(text)["summary"]["done"] == 1
    assert text.startswith("{")
    assert "port: \x1b[31m25\x1b[0m → \x1b[32m587\x1b[0m" in session.screen


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)],
    ids=str,
)
def test_colour_is_for_terminals(
    environment: dict[str, str], coloured: bool, relays: Relays, terminal: Terminals
) -> None:
    account = relays(1)
    session = terminal("plan", env=account.env | environment)
    assert session.finish() == 0
    values = "\x1b[31m25\x1b[0m → \x1b[32m587\x1b[0m" if coloured else "25 → 587"
    assert f"port: {values}\r\n" in session.screen
    assert ("\x1b[33m~ email-smtp/relay-01\x1b[0m" in session.screen) is coloured
    assert ("\x1b" in session.screen) is coloured


def test_colour_is_not_for_a_redirected_stdout(relays: Relays, terminal: Terminals) -> None:
    account = relays(1)
    reader, writer = os.pipe()
    try:
        session = terminal("plan", env=account.env, stdout=writer)
        assert session.finish() == 0
    finally:
        os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as out:
        text = out.read()
    assert "1 to change" in text
    assert "\x1b" not in text


def test_a_lock_that_is_lost_at_the_question_leaves_the_state_to_who_has_it(
    relays: Relays, terminal: Terminals, tmp_path: Path
) -> None:
    account = relays(1)
    state = tmp_path / "state" / "state.json"
    env = {"RECONCILER_STATE": f"file:{state}", "RECONCILER_LOCK_LEASE": "2s"}
    session = terminal("apply", env=account.env | env)
    session.wait_for(_QUESTION)
    lock = state.with_name("state.json.lock")
    lock.write_bytes(lock.read_bytes().replace(b'"id": "', b'"id": "another-'))
    time.sleep(1.5)  # a lease is renewed each quarter of its length
    session.type("yes\n")
    assert session.finish() == 8
    assert "the lock was lost" in session.screen
    assert "Nothing was sent" in session.screen
    assert account.patches() == []
    assert not state.exists()
    assert b"another-" in lock.read_bytes()
