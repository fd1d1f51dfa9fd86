"""`--format NAME[=FILE]`: which formats a command has, and where they go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli.formats import Subject, formats, renderer

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Account, Done, Workspace

_APPLY = ("apply", "--auto-approve")


@pytest.fixture
def account(fleet: Callable[..., Any], sandbox: Callable[..., Account]) -> Account:
    """Two monitors that have another port than their manifests."""
    account: Account = sandbox(*fleet(2))
    return account


def test_a_file_beside_the_text(
    account: Account, workspace: Workspace, run: Callable[..., Done]
) -> None:
    done = run("plan", "--format", "json=plan.json", env=account.env)
    assert done.code == 0
    assert "Plan: 0 to add, 2 to change, 0 to destroy." in done.out
    plan = json.loads((workspace.root / "plan.json").read_text())
    assert plan == run("plan", "--format", "json", env=account.env).json
    assert plan == run("plan", "--json", env=account.env).json


def test_text_in_a_file_beside_json(
    account: Account, workspace: Workspace, run: Callable[..., Done]
) -> None:
    done = run("plan", "--json", "--format", "text=plan.txt", env=account.env)
    assert done.json["summary"]["update"] == 2
    assert "Plan: 0 to add, 2 to change" in (workspace.root / "plan.txt").read_text()


def test_a_file_is_written_though_the_run_fails(
    fleet: Callable[..., Any],
    sandbox: Callable[..., Account],
    workspace: Workspace,
    run: Callable[..., Done],
) -> None:
    account = sandbox(*fleet(2), faults=["PATCH */1 status=400"])
    done = run(*_APPLY, "--format", "json=result.json", env=account.env)
    assert done.code == 7
    assert json.loads((workspace.root / "result.json").read_text())["exit_code"] == 7
    assert "Apply incomplete!" in done.out


def test_a_plan_with_a_refusal_is_written_too(
    account: Account,
    manifest: Callable[..., str],
    workspace: Workspace,
    run: Callable[..., Done],
) -> None:
    workspace.write("odd.yaml", manifest("email-smtp", "odd", 99))
    done = run("plan", "--format", "json=plan.json", env=account.env)
    assert done.code == 5
    assert json.loads((workspace.root / "plan.json").read_text())["summary"]["refused"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "--format", "yaml"], "--format yaml: yaml is no format"),
        (["plan", "--format", ""], "nothing is no format"),
        (["apply", "--format", "json", "--json=x"], "--json"),
        (["plan", "--format", "json", "--format", "text"], "two formats go to stdout"),
        (["plan", "--json", "--format", "text"], "two formats go to stdout"),
        (["plan", "--format", "json=a", "--format", "text=./a"], "two formats go to a"),
        (["plan", "--format", "json="], "no file is named"),
        (["plan", "--format", "json=nowhere/a"], "there is no folder nowhere"),
        (["plan", "--format", "json=monitors"], "monitors is a folder"),
    ],
)
def test_what_cannot_be_meant(
    arguments: list[str], words: str, account: Account, run: Callable[..., Done]
) -> None:
    done = run(*arguments, env=account.env)
    assert done.code == 64
    assert words in done.err
    assert account.calls() == []


def test_a_wrong_format_names_those_of_the_command(
    account: Account, run: Callable[..., Done]
) -> None:
    done = run("plan", "--format", "yaml", env=account.env)
    assert f"Its formats are {', '.join(formats(Subject.PLAN))}." in done.err


def test_json_twice_is_json(account: Account, run: Callable[..., Done]) -> None:
    assert run("plan", "--json", "--format", "json", env=account.env).json["changes"]


def test_a_file_that_cannot_be_written_hides_nothing(
    account: Account, workspace: Workspace, run: Callable[..., Done]
) -> None:
    (workspace.root / "result").symlink_to("nowhere/result")
    done = run(*_APPLY, "--format", "json=result", env=account.env)
    assert done.code == 3
    assert "Apply complete!" in done.out
    assert "result cannot be written" in done.err
    assert account.ports() == {1: 587, 2: 587}


@pytest.mark.parametrize("subject", Subject)
def test_every_format_has_its_renderers(subject: Subject) -> None:
    for name in set(formats(subject)) - {"text", "json"}:
        assert callable(renderer(name, subject))
