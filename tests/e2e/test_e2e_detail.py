"""A plan and a result that a person can read: detail, pager, progress, and what is left over."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import manifest, monitor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Account, Fleet, Relays, Run, Sandbox, Workspace

_APPLY = ("apply", "--auto-approve")
_QUESTION = 'Only "yes" is accepted'
_LONG = ("--detail", "full")


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


def test_equal_changes_are_one_unless_every_one_is_asked_for(many: Account) -> None:
    plan = many.run("plan")
    assert "  ~ 30 monitors: email-smtp 30\n      timeout: 30 → 33\n" in plan.out
    assert "Plan: 0 to add, 30 to change, 0 to destroy." in plan.out
    full = many.run("plan", *_LONG)
    assert full.out.count("      timeout: 30 → 33\n") == 30
    summary = many.run("plan", "--detail", "summary")
    assert "  ~ 30 monitors (email-smtp 30): timeout\n" in summary.out
    requests = many.run("plan", "--show-requests")
    assert requests.out.count("PATCH ") == 30
    assert len(many.run("plan", "--json").json["changes"]) == 30


@pytest.mark.parametrize("command", ["plan", "apply", "show"])
def test_detail_is_one_of_three(command: str, run: Run) -> None:
    run(command, "--detail", "all").expect(64, err="'summary', 'grouped', 'full'")


def test_show_and_apply_take_detail_too(many: Account, run: Run) -> None:
    assert many.run("plan", "--out", "p.json").code == 0
    shown = run("show", "p.json", "--detail", "summary")
    assert "  ~ 30 monitors (email-smtp 30): timeout\n" in shown.out
    applied = many.run("apply", "p.json", *_LONG)
    assert applied.out.count("      timeout: 30 → 33\n") == 30


def test_what_does_not_fit_on_the_terminal_goes_to_the_pager(
    many: Account, terminal: Callable[..., Any], pager: dict[str, str]
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
    terminal: Callable[..., Any],
    pager: dict[str, str],
) -> None:
    session = terminal("plan", *flags, env=many.env | pager | env)
    assert session.finish() == 0
    assert "PAGER" not in session.screen
    assert "Plan: 0 to add, 30 to change" in session.screen


def test_less_is_the_pager_if_none_is_set(many: Account, terminal: Callable[..., Any]) -> None:
    session = terminal("plan", *_LONG, env=many.env)
    session.wait_for("\n:")
    session.type("q")
    assert session.finish() == 0
    assert "\x1b[32m33" in session.screen


def test_apply_pages_and_then_asks_with_the_summary_again(
    many: Account, terminal: Callable[..., Any], pager: dict[str, str]
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
    many: Account, terminal: Callable[..., Any], pager: dict[str, str]
) -> None:
    session = terminal(*_APPLY, *_LONG, env=many.env | pager)
    assert session.finish() == 0
    assert "PAGER" not in session.screen


def test_no_secret_reaches_the_pager(
    fleet: Fleet, sandbox: Sandbox, terminal: Callable[..., Any], pager: dict[str, str]
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
    relays: Relays, terminal: Callable[..., Any]
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


def test_a_run_ends_with_its_id_and_how_long_it_took(relays: Relays, run: Run) -> None:
    done = run(*_APPLY, "--json", env=relays(1).env)
    last = done.err.splitlines()[-1]
    name = done.json["run"]
    assert re.fullmatch(rf"Run {name} took [0-9.]+ m?s\. To undo it: reconciler undo {name}", last)


def test_failures_stand_last_and_what_is_done_is_counted(relays: Relays) -> None:
    account = relays(30, faults=["PATCH */3 status=400"])
    done = account.apply("--allow-loss", "30").expect(7)
    result = done.out[done.out.index("  ! email-smtp/relay-03 failed") :]
    assert "relay-04" not in result
    assert "Of 30 changes: 29 done, 1 failed." in result


@pytest.fixture
def orphaned(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Two monitors that were applied; one has no manifest any more."""
    workspace.write("a.yaml", manifest("email-smtp", "stays", 1))
    workspace.write("b.yaml", manifest("email-smtp", "gone", 2))
    account = sandbox(monitor("email-smtp", 1), monitor("email-smtp", 2))
    assert account.apply().code == 0
    workspace.remove("b.yaml")
    return account


def settings(workspace: Workspace, text: str) -> None:
    """Sets what stands at the top of the project's file; the rest of it stays."""
    path = workspace.root / "reconciler.toml"
    rest = path.read_text() if path.exists() else ""
    path.write_text(text + rest[rest.find("[") :] if "[" in rest else text)


def test_an_orphan_names_its_next_steps(orphaned: Account) -> None:
    done = orphaned.run("plan")
    assert (
        "  . email-smtp/gone (id 2) orphan: no manifest; left as it is. "
        "Retire it with --prune, or forget it with: reconciler state rm email-smtp/gone\n"
    ) in done.out


def test_prune_can_be_set_once_for_all(orphaned: Account, workspace: Workspace) -> None:
    settings(workspace, "prune = true\n")
    assert "1 to destroy" in orphaned.run("plan").out
    assert "No changes." in orphaned.run("plan", "--no-prune").out
    why = orphaned.run("why", "email-smtp/gone")
    assert "unless apply --prune" not in why.out
    assert orphaned.run("plan", "--out", "p.json").code == 0
    saved = json.loads((workspace.root / "p.json").read_text())
    assert saved["basis"]["prune"] is True
    assert orphaned.run("apply", "p.json", "--no-prune").code == 64
    settings(workspace, "prune = false\n")
    assert orphaned.run("apply", "p.json").code == 0
    assert [item["id"] for item in orphaned.monitors()] == [1]


def test_a_saved_plan_that_prunes_nothing_stays_so(orphaned: Account, workspace: Workspace) -> None:
    assert orphaned.run("plan", "--out", "p.json").code == 0
    settings(workspace, "prune = true\n")
    assert orphaned.run("apply", "p.json").code == 0
    assert [item["id"] for item in orphaned.monitors()] == [1, 2]
    assert orphaned.apply("--no-prune").code == 0
    assert len(orphaned.monitors()) == 2
    assert orphaned.apply().code == 0
    assert len(orphaned.monitors()) == 1


@pytest.mark.parametrize("value", ['"yes"', "1", "[]"])
def test_prune_is_a_switch(value: str, orphaned: Account, workspace: Workspace) -> None:
    settings(workspace, f"prune = {value}\n")
    orphaned.run("plan").expect(3, err="prune must be true or false")


def test_names_stand_beside_ids(workspace: Workspace, sandbox: Sandbox, run: Run) -> None:
    names = {10: "Fort Lauderdale (FL)", 20: "Atlanta (GA)", 72: "Boston (MA)"}

    def ids(*numbers: int) -> list[dict[str, int]]:
        return [{"id": number} for number in numbers]

    def seen(*numbers: int) -> list[dict[str, Any]]:
        return [{"id": number, "name": names[number], "region": 1} for number in numbers]

    workspace.write(
        "a.yaml", manifest("email-smtp", "one", 1, locations=ids(10, 72), home_location=72)
    )
    workspace.write("b.yaml", manifest("email-smtp", "two", 2))
    account = sandbox(
        monitor("email-smtp", 1, locations=seen(10, 20), home_location=20),
        monitor("email-smtp", 2, locations=seen(72), home_location=72),
    )
    done = account.run("plan", "--out", "p.json")
    home = "      home_location: Atlanta (GA) (20) → Boston (MA) (72)\n"
    places = "      locations: + Boston (MA) (72), - Atlanta (GA) (20)\n"
    for shown in (done, run("show", "p.json")):
        assert home in shown.out
        assert places in shown.out
