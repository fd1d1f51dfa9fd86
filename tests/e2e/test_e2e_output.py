"""What stands on stdout, stderr and a terminal: for people, for machines, and for no eyes."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from e2e.conftest import (
    Account,
    Fleet,
    Relays,
    Run,
    Sandbox,
    Start,
    Terminals,
    Workspace,
    manifest,
    monitor,
)

_QUESTION = 'Only "yes" is accepted'
_LONG = ("--detail", "full")
_FIRST = ("/monitors/email-smtp/1", {"port": 587})
_APPLY = ("apply", "--auto-approve")


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        pytest.param([], 0, id="all-done"),
        pytest.param(["PATCH */1 status=400"], 7, id="one-rejected"),
        pytest.param(["PATCH * status=400"], 7, id="all-rejected"),
        pytest.param(["PATCH * status=403"], 4, id="all-forbidden"),
        pytest.param(["PATCH * status=503 retry-after=0"], 6, id="all-unavailable"),
    ],
)
def test_apply_as_json_holds_the_exit_code_of_the_process(
    faults: list[str], code: int, relays: Relays
) -> None:
    done = relays(3, faults=faults).apply("--json").expect(code)
    assert done.json["exit_code"] == code
    assert sum(done.json["summary"].values()) == len(done.json["outcomes"]) == 3
    assert "Plan: 0 to add, 3 to change, 0 to destroy." in done.err


def test_apply_as_json_without_changes(relays: Relays) -> None:
    account = relays(1)
    assert account.apply().code == 0
    result = account.apply("--json").expect(0).json
    assert (result["outcomes"], result["exit_code"]) == ([], 0)


def test_progress_names_each_change_on_stderr(relays: Relays) -> None:
    done = relays(3, faults=["PATCH */1 status=400"]).apply()
    progress = [line for line in done.err.splitlines() if line.startswith("[")]
    assert sorted(line.partition("/3] ")[0] for line in progress) == ["[1", "[2", "[3"]
    assert any("email-smtp/relay-02: accepted" in line for line in progress)
    assert any("email-smtp/relay-01: failed" in line for line in progress)


@pytest.mark.parametrize("arguments", [["plan"], ["--help"], ["validate"]], ids=" ".join)
def test_closed_stdout_is_no_traceback(
    arguments: list[str], workspace: Workspace, relays: Relays, start: Start
) -> None:
    account = relays(3)
    if arguments == ["validate"]:
        workspace.write("bad.yaml", "a: 1\n")
    reader, writer = os.pipe()
    os.close(reader)  # as `| head -1` does, but surely before the first line
    try:
        done = start(*arguments, env=account.env, stdout=writer).finish()
    finally:
        os.close(writer)
    assert "unexpected error" not in done.err
    assert "Exception ignored" not in done.err
    assert account.patches() == []


@pytest.mark.parametrize(
    "encoding",
    [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}],
    ids=str,
)
def test_narrow_encodings_do_not_stop_a_run(
    encoding: dict[str, str], workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.write("zürich.yaml", manifest("email-imap", "one", 7, name="Zürich 📮"))
    account = sandbox(monitor("email-imap", 7, name="Genève"))
    account.apply(env=encoding).expect(0, out="1 changed")
    assert account.patches() == [("/monitors/email-imap/7", {"name": "Zürich 📮"})]


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_json_is_json_in_a_narrow_encoding(
    command: list[str], workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-imap", "one", 7, name="Zürich 📮")
    account = sandbox(monitor("email-imap", 7, name="Genève"))
    done = account.run(*command, "--json", env={"PYTHONIOENCODING": "ascii"}).expect(0)
    items = done.json["changes" if command == ["plan"] else "outcomes"]
    assert items[0]["request"]["body"] == {"name": "Zürich 📮"}


def test_values_cannot_steer_the_terminal(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-imap", "one", 7, note="a\x1b[2Jb\nc")
    account = sandbox(monitor("email-imap", 7, note="\x1b]0;x\x07"))
    done = account.run("plan", "--show-requests").expect(0)
    assert "\x1b" not in done.text
    assert "\x07" not in done.text


def test_file_names_cannot_steer_the_terminal(workspace: Workspace, sandbox: Sandbox) -> None:
    name = "x\x1b[2J\ny.yaml"
    workspace.write(name, manifest("email-imap", "one", 7, note="new"))
    account = sandbox(monitor("email-imap", 7), faults=["PATCH * status=400"])
    for arguments in (["plan"], _APPLY):
        assert "\x1b" not in account.run(*arguments).text
    planned = account.run("plan", "--json").json
    assert planned["changes"][0]["origin"]["path"] == f"monitors/{name}"


def test_colours_from_outside_are_not_kept_where_there_are_colours(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    folder = "\x1b[31mred"
    path = workspace.root / folder / "one.yaml"
    path.parent.mkdir()
    path.write_text(manifest("email-imap", "one", 7, note="new"), encoding="utf-8")
    account = sandbox(monitor("email-imap", 7))
    env = {"CLICOLOR_FORCE": "1"}
    given = ("--manifests", folder)
    assert account.apply(*given, env=env).code == 0
    account.edit("email-imap", 7, note="other")
    for arguments in (["why", "email-imap/one"], ["status"], ["pull", "--auto-approve"]):
        done = account.run(*arguments, *given, env=env).expect(0, out=("\x1b[", r"\x1b[31mred"))
        assert folder not in done.text


def test_json_stays_on_one_stream_when_everything_else_is_talkative(relays: Relays) -> None:
    account = relays(3, faults=["PATCH * status=503 retry-after=0 times=3"])
    done = account.apply("--json", "--show-requests").expect(0)
    assert done.err.count("trying again") == 3
    assert json.loads(done.out)["summary"]["done"] == 3


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
    assert all(map(re.fullmatch, expected, shown)), shown
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


@pytest.fixture
def pager(tmp_path: Path) -> dict[str, str]:
    """A pager that says that it is one, and shows all at once."""
    script = tmp_path / "pager"
    script.write_text("#!/bin/sh\necho BEGIN PAGER\ncat\necho END PAGER\n")
    script.chmod(0o755)
    return {"PAGER": str(script)}


@pytest.fixture
def many(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Thirty monitors that are to change in the same way, and lose nothing by it."""
    texts = [manifest("email-smtp", f"relay-{n:02}", n, timeout=33) for n in range(1, 31)]
    workspace.write("fleet.yaml", "---\n".join(texts))
    return sandbox(*(monitor("email-smtp", n, timeout=30) for n in range(1, 31)))


def paged(screen: str) -> str:
    """What the pager has shown."""
    return screen.partition("BEGIN PAGER")[2].partition("END PAGER")[0]


def test_what_does_not_fit_on_the_terminal_goes_to_the_pager(
    many: Account, terminal: Terminals, pager: dict[str, str]
) -> None:
    session = terminal("plan", *_LONG, env=many.env | pager)
    assert session.finish() == 0
    shown = paged(session.screen)
    assert shown.count("timeout:") == 30
    assert "Plan: 0 to add, 30 to change" in shown


_NO_PAGER: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "it fits": ((), {}),
    "the flag": ((*_LONG, "--no-pager"), {}),
    "a pipeline": (_LONG, {"CI": "true"}),
    "none": (_LONG, {"PAGER": ""}),
    "a simple terminal": (_LONG, {"TERM": "dumb"}),
}


@pytest.mark.parametrize(("flags", "env"), _NO_PAGER.values(), ids=_NO_PAGER)
def test_where_there_is_no_pager(
    flags: tuple[str, ...],
    env: dict[str, str],
    many: Account,
    terminal: Terminals,
    pager: dict[str, str],
) -> None:
    session = terminal("plan", *flags, env=many.env | pager | env)
    assert session.finish() == 0
    assert "PAGER" not in session.screen
    assert "Plan: 0 to add, 30 to change" in session.screen


def test_less_is_the_pager_if_none_is_set(many: Account, terminal: Terminals) -> None:
    session = terminal("plan", *_LONG, env=many.env)
    session.wait_for("\n:")
    session.type("q")
    assert session.finish() == 0
    assert "\x1b[32m33" in session.screen


def test_apply_pages_and_then_asks_with_the_summary_again(
    many: Account, terminal: Terminals, pager: dict[str, str]
) -> None:
    session = terminal("apply", *_LONG, env=many.env | pager)
    session.wait_for(_QUESTION)
    assert paged(session.screen).count("timeout:") == 30
    after = session.screen.partition("END PAGER")[2]
    assert "Plan: 0 to add, 30 to change, 0 to destroy." in after
    assert "timeout: " not in after
    session.type("yes\n")
    assert session.finish() == 0
    assert len(many.patches()) == 30


def test_without_a_question_there_is_no_pager(
    many: Account, terminal: Terminals, pager: dict[str, str]
) -> None:
    session = terminal(*_APPLY, *_LONG, env=many.env | pager)
    assert session.finish() == 0
    assert "PAGER" not in session.screen


def test_no_secret_reaches_the_pager(
    fleet: Fleet, sandbox: Sandbox, terminal: Terminals, pager: dict[str, str]
) -> None:
    secret = "correct-horse-battery-staple"
    monitors = fleet(30)
    monitors[7]["hostname"] = f"{secret}.example.com"
    account = sandbox(*monitors)
    session = terminal("plan", *_LONG, env=account.env | pager | {"RECONCILER_SECRET_KEY": secret})
    assert session.finish() == 0
    assert "hostname:" in paged(session.screen)
    assert secret not in session.screen


def test_progress_is_one_line_that_changes_on_a_terminal(
    relays: Relays, terminal: Terminals
) -> None:
    account = relays(3, faults=["PATCH */2 status=400"])
    session = terminal(*_APPLY, env=account.env)
    assert session.finish() == 7
    assert "\r\x1b[K[1/3] " in session.screen
    assert "\r\x1b[K[3/3] 1 failed, " in session.screen
    assert "[3/3] 1 failed" in session.screen
    assert "\r\x1b[K" in session.screen.partition("[3/3] 1 failed")[2]
    assert "email-smtp/relay-02: failed\r\n" in session.screen


def test_progress_of_many_is_a_line_now_and_then_elsewhere(relays: Relays) -> None:
    account = relays(120, faults=["PATCH */33 status=400"])
    done = account.apply("--allow-loss", "120").expect(7)
    lines = [line for line in done.err.splitlines() if line.startswith("[")]
    assert len(lines) == 2
    assert any(line.endswith("email-smtp/relay-33: failed") for line in lines)
    assert any(line.startswith("[100/120] ") for line in lines)


def test_a_run_ends_with_its_id_and_how_long_it_took(relays: Relays) -> None:
    done = relays(1).apply("--json")
    last = done.err.splitlines()[-1]
    name = done.json["run"]
    assert re.fullmatch(rf"Run {name} took [0-9.]+ m?s\. To undo it: reconciler undo {name}", last)


def test_failures_stand_last_and_what_is_done_is_counted(relays: Relays) -> None:
    account = relays(30, faults=["PATCH */3 status=400"])
    done = account.apply("--allow-loss", "30").expect(7)
    result = done.out[done.out.index("  ! email-smtp/relay-03 failed") :]
    assert "relay-04" not in result
    assert "Of 30 changes: 29 done, 1 failed." in result


def test_lost_stderr_does_not_lose_the_result(relays: Relays, start: Start) -> None:
    account = relays(4, faults=["PATCH * delay=0.2"])
    process = start(*_APPLY, "--parallelism", "1", "--json", env=account.env)
    process.read_until("[1/4]")
    process.popen.stderr.close()
    out, _ = process.popen.communicate()
    assert '"done": 4' in out
    assert process.popen.returncode == 0
    assert set(account.ports().values()) == {587}


@pytest.mark.parametrize("closed", ["1>&-", "2>&-"])
def test_closed_stream_does_not_stop_an_apply(
    closed: str,
    workspace: Workspace,
    base_env: dict[str, str],
    executable: list[str],
    relays: Relays,
) -> None:
    account = relays(1)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *executable, *_APPLY],
        cwd=workspace.root,
        env=base_env | account.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=45,
        check=False,
    )
    assert "unexpected error" not in done.stderr
    assert done.returncode == 0
    assert account.patches() == [_FIRST]
