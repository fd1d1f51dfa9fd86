"""Plans, merges, and pipelines that end in another order: only what was reviewed is applied."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from e2e.conftest import manifest, monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Account, Done, Place, Relays, Run, Sandbox, Workspace

_OUT = ("plan", "--out", "p.json")
_ALLOWED = ("apply", "p.json", "--allow-different-manifests")


class Pipelines:
    """One account, and a clone of the repository for each pipeline."""

    def __init__(self, place: Place, account: Account, git: Callable[..., str], run: Run) -> None:
        self.account = account
        self._place = place
        self._git = git
        self._run = run
        self.author = place.machine()

    def merge(self) -> str:
        """Commits what the author has written, and pushes it; returns the commit."""
        root = self.author.root
        self._git(root, "add", "monitors")
        self._git(root, "commit", "--quiet", "--allow-empty", "--message", "x")
        self._git(root, "push", "--quiet", "origin", "HEAD:main")
        return self._git(root, "rev-parse", "HEAD").strip()

    def checkout(self, commit: str) -> Workspace:
        """A new pipeline's clone."""
        made = self._place.machine()
        self._git(made.root, "checkout", "--quiet", commit)
        return made

    def run(self, at: Workspace, *arguments: str) -> Done:
        env: Mapping[str, str] = self.account.env | dict(self._place.env)
        return self._run(*arguments, "--state", "git:origin", env=env, cwd=at.root)


@pytest.fixture
def pipelines(
    places: Callable[[str], Place], sandbox: Sandbox, git: Callable[..., str], run: Run
) -> Pipelines:
    account = sandbox(*(monitor("email-smtp", number, port=25) for number in (1, 2)))
    return Pipelines(places("git"), account, git, run)


@pytest.fixture
def merged(pipelines: Pipelines) -> tuple[str, str]:
    """Two commits: the second changes one more monitor, and the first one further."""
    author = pipelines.author
    author.describe("email-smtp", "one", 1, port=587)
    author.describe("email-smtp", "two", 2, port=25)
    first = pipelines.merge()
    author.replace("one.yaml", "port: 587", "port: 465")
    author.replace("two.yaml", "port: 25", "port: 2525")
    return first, pipelines.merge()


def test_the_older_of_two_pipelines_that_finishes_last_does_nothing(
    pipelines: Pipelines, merged: tuple[str, str]
) -> None:
    first, second = merged
    old, new = map(pipelines.checkout, merged)
    for at in (old, new):
        assert pipelines.run(at, *_OUT).code == 0
    assert pipelines.run(new, "apply", "p.json").code == 0
    assert pipelines.account.ports() == {1: 465, 2: 2525}

    for late in (("p.json",), ("--auto-approve",), ("p.json", "--allow-different-manifests")):
        done = pipelines.run(old, "apply", *late)
        assert done.code == 5
        assert f"{first[:12]} is older than {second[:12]}" in done.err
    assert pipelines.account.ports() == {1: 465, 2: 2525}
    assert len(pipelines.account.requests("PATCH")) == 2
    assert pipelines.run(new, "plan", "--detailed-exitcode").code == 0


def test_the_newer_plan_of_two_is_applied_after_the_older(
    pipelines: Pipelines, merged: tuple[str, str]
) -> None:
    old, new = map(pipelines.checkout, merged)
    assert pipelines.run(old, *_OUT).code == 0
    assert pipelines.run(old, "apply", "p.json").code == 0
    assert pipelines.run(new, *_OUT).code == 0
    assert pipelines.run(new, "apply", "p.json").code == 0
    assert pipelines.account.ports() == {1: 465, 2: 2525}


def test_a_plan_of_other_manifests_is_refused_with_both_commits(
    pipelines: Pipelines, merged: tuple[str, str]
) -> None:
    first, second = merged
    at = pipelines.checkout(first)
    assert pipelines.run(at, *_OUT, "--json").json["changes"]
    saved = json.loads((at.root / "p.json").read_bytes())
    assert saved["basis"]["generation"] == {"commit": first, "dirty": False}
    other = pipelines.checkout(second)
    (other.root / "p.json").write_text(json.dumps(saved), encoding="utf-8")

    done = pipelines.run(other, "apply", "p.json")
    assert done.code == 5
    assert (
        "the manifests have changed since the plan was made: it was made from commit "
        f"{first[:12]}, but here is commit {second[:12]}"
    ) in done.err
    assert "--allow-different-manifests" in done.err
    assert pipelines.account.requests("PATCH") == []


def test_a_merge_that_says_the_same_may_be_another_commit(
    pipelines: Pipelines, merged: tuple[str, str]
) -> None:
    _, second = merged
    reviewed = pipelines.checkout(second)
    assert pipelines.run(reviewed, *_OUT).code == 0
    (pipelines.author.root / "monitors" / "README.md").write_text("Hello", encoding="utf-8")
    pipelines.author.replace("one.yaml", "kind:", "# No difference.\nkind:")
    third = pipelines.checkout(pipelines.merge())
    (third.root / "p.json").write_bytes((reviewed.root / "p.json").read_bytes())
    assert pipelines.run(third, "apply", "p.json").code == 0
    assert pipelines.account.ports() == {1: 465, 2: 2525}


def test_what_both_ask_for_is_applied_if_that_is_allowed(
    workspace: Workspace, relays: Relays
) -> None:
    account = relays(4)
    assert account.run(*_OUT).code == 0
    workspace.write(
        "fleet.yaml",
        "---\n".join(
            (
                manifest("email-smtp", "relay-01", 1, port=587),
                manifest("email-smtp", "relay-02", 2, port=25),  # as AlertSite has it
                manifest("email-smtp", "relay-03", 3),  # the field is not named any more
            )
        ),
    )
    assert account.run("apply", "p.json").code == 5
    assert account.patches() == []

    done = account.run(*_ALLOWED, "--json")
    assert "Allowed in this run" in done.err
    assert account.patches() == [("/monitors/email-smtp/1", {"port": 587})], done.text
    assert done.code == 7
    outcomes = {item["address"]: item for item in done.json["outcomes"]}
    assert {key: item["status"] for key, item in outcomes.items()} == {
        "email-smtp/relay-01": "done",
        "email-smtp/relay-02": "moved",
        "email-smtp/relay-03": "moved",
        "email-smtp/relay-04": "moved",
    }
    assert outcomes["email-smtp/relay-02"]["message"].startswith("port: the manifest here says")
    assert outcomes["email-smtp/relay-04"]["message"] == "it has no manifest here"


def test_a_deletion_that_the_manifests_no_longer_ask_for_is_not_made(
    workspace: Workspace, relays: Relays
) -> None:
    account = relays(2)
    assert account.apply().code == 0
    workspace.write("fleet.yaml", manifest("email-smtp", "relay-01", 1, port=587))
    assert account.run(*_OUT, "--prune").code == 0
    workspace.write("more.yaml", manifest("email-smtp", "relay-02", 2, port=587))
    account.run(*_ALLOWED).expect(5, out="it has a manifest here")
    assert len(account.monitors()) == 2


def test_a_plan_that_was_made_under_another_budget_is_refused(
    workspace: Workspace, relays: Relays
) -> None:
    account = relays(2)
    settings = workspace.root / "reconciler.toml"
    assert account.run(*_OUT).code == 0
    text = 'timeout = "5s"\n' + settings.read_text()  # says nothing of what is to be done
    settings.write_text(text.replace("percent = 100", "percent = 90"), encoding="utf-8")
    done = account.run("apply", "p.json")
    assert done.code == 5
    assert "reconciler.toml has changed since the plan was made" in done.err
    assert "folder without a commit" not in done.err  # neither is of one
    assert "check out the commit" not in done.err
    settings.write_text(text, encoding="utf-8")
    assert account.run("apply", "p.json").code == 0


def test_the_flag_is_for_a_saved_plan(run: Run, tmp_path: Path) -> None:
    done = run("apply", "--allow-different-manifests", cwd=tmp_path)
    assert done.code == 64
    assert "--allow-different-manifests needs FILE" in done.err
