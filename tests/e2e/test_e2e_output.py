"""What stands on stdout and stderr: for people, for machines, and for no eyes at all."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import manifest, monitor

if TYPE_CHECKING:
    from conftest import Run, Sandbox, Workspace

_APPLY = ("apply", "--auto-approve")


@pytest.fixture
def mixed(workspace: Workspace) -> list[dict[str, Any]]:
    """Four manifests, three of which differ from live; and two monitors without a manifest."""
    mail, web = {"team": "mail"}, {"team": "web"}
    workspace.write("a.yaml", manifest("email-smtp", "relay", 1, labels=mail, port=587))
    workspace.write("b.yaml", manifest("email-smtp", "backup", 2, labels=web, port=587))
    workspace.write("c.yaml", manifest("email-imap", "relay", 3, labels=mail, note="new"))
    workspace.write("d.yaml", manifest("email-pop", "same", 4))
    return [
        monitor("email-smtp", 1, port=25),
        monitor("email-smtp", 2, port=25),
        monitor("email-imap", 3, note="old"),
        monitor("email-pop", 4),
        monitor("email-pop", 5),
        monitor("email-round-trip", 6),
    ]


def test_plan_as_json(mixed: list[Any], sandbox: Sandbox) -> None:
    account = sandbox(*mixed)
    done = account.run("plan", "--json", "--detailed-exitcode").expect(2)
    plan = done.json
    assert plan["summary"] == {
        "create": 0,
        "update": 3,
        "delete": 0,
        "unchanged": 1,
        "unmanaged": 2,
        "excluded": 0,
        "refused": 0,
        "untracked": 0,
    }
    addresses = [change["address"] for change in plan["changes"]]
    assert addresses == ["email-imap/relay", "email-smtp/backup", "email-smtp/relay"]
    assert plan["changes"][2]["request"] == {
        "method": "PATCH",
        "path": "/monitors/email-smtp/1",
        "body": {"port": 587},
    }
    assert plan["changes"][2]["origin"] == {"path": "monitors/a.yaml", "document": 0, "line": 1}


def test_plan_as_json_with_a_refusal_is_still_one_document(
    workspace: Workspace, mixed: list[Any], sandbox: Sandbox, run: Run
) -> None:
    workspace.describe("email-smtp", "odd", 99)
    done = run("plan", "--json", env=sandbox(*mixed).env).expect(5)
    (refusal,) = done.json["refusals"]
    assert refusal["address"] == "email-smtp/odd"
    assert refusal["origin"]["path"] == "monitors/odd.yaml"


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
    faults: list[str], code: int, mixed: list[Any], sandbox: Sandbox, run: Run
) -> None:
    done = run(*_APPLY, "--json", env=sandbox(*mixed, faults=faults).env).expect(code)
    result = done.json
    assert result["exit_code"] == code
    assert sum(result["summary"].values()) == len(result["outcomes"]) == 3
    assert "Plan: 0 to add, 3 to change, 0 to destroy." in done.err


def test_apply_as_json_without_changes(mixed: list[Any], sandbox: Sandbox) -> None:
    account = sandbox(*mixed)
    done = account.apply("--json", "--target", "email-pop/same").expect(0)
    assert done.json["outcomes"] == []
    assert done.json["exit_code"] == 0


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_show_requests_prints_them_exactly(
    command: list[str], mixed: list[Any], sandbox: Sandbox, run: Run
) -> None:
    done = run(*command, "--show-requests", env=sandbox(*mixed).env)
    assert done.code == 0
    assert (
        "  ~ email-imap/relay (id 3, monitors/c.yaml:1)\n"
        '      note: "old" → "new"\n'
        "      PATCH /monitors/email-imap/3\n"
        '      {"note": "new"}\n'
    ) in done.out


def test_requests_are_not_shown_unasked(mixed: list[Any], sandbox: Sandbox, run: Run) -> None:
    assert "PATCH" not in run("plan", env=sandbox(*mixed).env).out


@pytest.mark.parametrize(
    ("targets", "expected", "left_out"),
    [
        (["email-smtp/relay"], ["/monitors/email-smtp/1"], 3),
        (["email-smtp/*"], ["/monitors/email-smtp/1", "/monitors/email-smtp/2"], 2),
        (["*/relay"], ["/monitors/email-imap/3", "/monitors/email-smtp/1"], 2),
        (["team=web"], ["/monitors/email-smtp/2"], 3),
        (["team=web", "email-imap/*"], ["/monitors/email-imap/3", "/monitors/email-smtp/2"], 2),
        (["email-smtp/r?lay"], ["/monitors/email-smtp/1"], 3),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else None,
)
def test_targets_choose_what_is_sent_and_the_rest_is_counted(
    targets: list[str], expected: list[str], left_out: int, mixed: list[Any], sandbox: Sandbox
) -> None:
    account = sandbox(*mixed)
    flags = [word for target in targets for word in ("--target", target)]
    done = account.apply(*flags).expect(0)
    assert sorted(path for path, _ in account.patches()) == expected
    assert f"{left_out} not targeted." in done.out


def test_monitors_without_a_manifest_are_counted_and_never_touched(
    mixed: list[Any], sandbox: Sandbox
) -> None:
    account = sandbox(*mixed)
    done = account.run("plan")
    assert "2 email monitors in AlertSite without a manifest: never touched." in done.out
    assert "not targeted" not in done.out


def test_progress_names_each_change_on_stderr(mixed: list[Any], sandbox: Sandbox, run: Run) -> None:
    done = run(*_APPLY, env=sandbox(*mixed, faults=["PATCH */1 status=400"]).env)
    progress = [line for line in done.err.splitlines() if line.startswith("[")]
    assert sorted(line.partition("/3] ")[0] for line in progress) == ["[1", "[2", "[3"]
    assert any("email-smtp/backup: accepted" in line for line in progress)
    assert any("email-smtp/relay: failed" in line for line in progress)


@pytest.mark.parametrize("arguments", [["plan"], ["--help"], ["validate"]], ids=" ".join)
def test_closed_stdout_is_no_traceback(
    arguments: list[str],
    workspace: Workspace,
    mixed: list[Any],
    sandbox: Sandbox,
    executable: list[str],
    base_env: dict[str, str],
) -> None:
    account = sandbox(*mixed)
    if arguments == ["validate"]:
        workspace.write("bad.yaml", "a: 1\n")
    reader, writer = os.pipe()
    os.close(reader)  # as `| head -1` does, but surely before the first line
    try:
        done = subprocess.run(
            [*executable, *arguments],
            cwd=workspace.root,
            env=base_env | account.env,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=45,
            check=False,
        )
    finally:
        os.close(writer)
    assert "Traceback" not in done.stderr
    assert "unexpected error" not in done.stderr
    assert "Exception ignored" not in done.stderr
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
    workspace: Workspace, sandbox: Sandbox, run: Run
) -> None:
    folder = "\x1b[31mred"
    path = workspace.root / folder / "one.yaml"
    path.parent.mkdir()
    path.write_text(manifest("email-imap", "one", 7, note="new"), encoding="utf-8")
    account = sandbox(monitor("email-imap", 7))
    env = account.env | {"CLICOLOR_FORCE": "1"}
    given = ("--manifests", folder)
    assert run("apply", "--auto-approve", *given, env=env).code == 0
    account.edit("email-imap", 7, note="other")
    for arguments in (["why", "email-imap/one"], ["status"], ["pull", "--auto-approve"]):
        done = run(*arguments, *given, env=env).expect(0, out=("\x1b[", r"\x1b[31mred"))
        assert folder not in done.text


def test_json_stays_on_one_stream_when_everything_else_is_talkative(
    mixed: list[Any], sandbox: Sandbox
) -> None:
    account = sandbox(*mixed, faults=["PATCH * status=503 retry-after=0 times=3"])
    done = account.apply("--json", "--show-requests").expect(0)
    assert done.err.count("trying again") == 3
    assert json.loads(done.out)["summary"]["done"] == 3


@pytest.mark.parametrize("command", [("plan",), ("plan", "--json"), ("apply", "--json")])
def test_what_is_approved_is_shown_as_it_is(
    command: tuple[str, ...], workspace: Workspace, sandbox: Sandbox
) -> None:
    """An error hides what may be a login in a URL; a value is what it is."""
    old, new = (f"See http://x:y@w.example/x?page={number} (a)" for number in (1, 2))
    workspace.describe("email-smtp", "a", 1, note=new)
    account = sandbox(monitor("email-smtp", 1, note=old))
    flags = ("--auto-approve",) if command[0] == "apply" else ()
    done = account.run(*command, *flags).expect(0, text=new)
    if command != ("plan", "--json"):
        assert f'note: "{old}" → "{new}"' in done.text
