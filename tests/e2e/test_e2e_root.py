"""The root of a repository: found upwards, so that the working folder changes nothing."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Account, Manifest, Monitor, Run, Sandbox, Workspace


@pytest.fixture
def account(
    workspace: Workspace, manifest: Manifest, monitor: Monitor, sandbox: Sandbox
) -> Account:
    """One relay, whose manifest two folders below the root wants another port."""
    workspace.write("team/deep/relay.yaml", manifest("email-smtp", "relay", 1, port=587))
    return sandbox(monitor("email-smtp", 1, port=25))


def test_the_working_folder_changes_nothing(
    account: Account, workspace: Workspace, run: Run
) -> None:
    below = workspace.root / "monitors" / "team"
    expected = run("plan", env=account.env)
    assert "monitors/team/deep/relay.yaml:1" in expected.out
    assert run("plan", env=account.env, cwd=below).out == expected.out
    inside = run("-C", "monitors/team", "plan", env=account.env)
    assert inside.out == expected.out
    assert run("apply", "--auto-approve", env=account.env, cwd=below).code == 0
    assert workspace.kept.exists()
    assert not (below / ".reconciler").exists()
    assert run("plan", "--offline", env=account.env, cwd=below / "deep").code == 0


def test_paths_that_are_given_stay_relative_to_the_working_folder(
    account: Account, workspace: Workspace, run: Run
) -> None:
    below = workspace.root / "monitors" / "team"
    asked = ["--manifests", "deep", "--out", "p.json", "--state", "file:s.json"]
    asked += ["--format", "markdown=p.md"]
    done = run("plan", *asked, env=account.env, cwd=below)
    assert done.code == 0
    assert "Plan written to p.json. To apply it: reconciler apply p.json\n" in done.err
    assert {path.name for path in below.iterdir()} == {"deep", "p.json", "p.md"}
    assert run("show", "p.json", cwd=below).code == 0
    applied = run("-C", str(below), "apply", "p.json", *asked[:2], *asked[4:6], env=account.env)
    assert applied.code == 0
    assert (below / "s.json").exists()
    assert run("validate", "deep", cwd=below).err == "Valid: 1 manifest in 1 file.\n"
    assert run("validate", cwd=below).err == "Valid: 1 manifest in 1 file.\n"
    assert run("validate", "../../monitors", cwd=below).code == 0
    for location, is_there in (("s.json", True), ("../s.json", False)):
        said = run("validate", "deep", "--lint", "--state", location, cwd=below).err
        assert ("there is no state yet" in said) == (not is_there)


@pytest.mark.parametrize("out", ["../p.json", "a plan.json"])
def test_commands_in_messages_name_paths_as_the_working_folder_does(
    account: Account, workspace: Workspace, run: Run, out: str
) -> None:
    below = workspace.root / "monitors" / "team"
    state = ("--state", "file:../../s.json")
    planned = run("plan", *state, "--out", out, env=account.env, cwd=below)
    (shown,) = re.findall("To apply it: reconciler apply (.*)", planned.err)
    applied = run("apply", *shlex.split(shown), *state, env=account.env, cwd=below)
    (undo,) = re.findall("To undo it: reconciler (.*)", applied.err)
    undone = run(*shlex.split(undo), "--out", "deep/u.json", env=account.env, cwd=below)
    assert "Plan written to deep/u.json. To apply it: reconciler apply deep/u.json" in undone.err
    workspace.write("team/deep/odd.yaml", "kind: x\n")
    checked = run("doctor", env=account.env, cwd=below)
    assert "reconciler validate .. lists them." in checked.out
    hidden = run("plan", "--out", "no/p.json", env=account.env, cwd=below)
    assert "Error: no/p.json cannot be written: No such file or directory" in hidden.err


def test_targets_and_moves_mean_paths_of_the_working_folder(
    account: Account, workspace: Workspace, run: Run
) -> None:
    below = workspace.root / "monitors" / "team"
    assert "email-smtp/relay" in run("plan", "--target", "deep", env=account.env, cwd=below).out
    assert "email-smtp/relay" in run("plan", "--target", ".", env=account.env, cwd=below).out
    left_out = run("plan", "--exclude", "deep/relay.yaml", env=account.env, cwd=below)
    assert "email-smtp/relay" not in left_out.out
    assert run("set", "deep/", "port=25", "--auto-approve", cwd=below).code == 0
    assert run("plan", "--detailed-exitcode", env=account.env, cwd=below).code == 0
    assert run("mv", "deep/relay.yaml", "../other/", cwd=below).code == 0
    assert (workspace.root / "monitors" / "other" / "relay.yaml").exists()


def test_a_clone_with_manifests_is_a_root_and_nothing_above_a_clone_counts(
    account: Account, workspace: Workspace, run: Run
) -> None:
    (workspace.root / "reconciler.toml").write_text("no = 1\n")
    clone = workspace.root / "clone"
    (clone / "sub").mkdir(parents=True)
    assert "unknown setting no" in run("plan", env=account.env, cwd=clone / "sub").err
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    alone = run("plan", env=account.env, cwd=clone / "sub")
    assert "monitors: there is no such file or folder" in alone.err
    (clone / "monitors").mkdir()
    rooted = run("plan", env=account.env, cwd=clone / "sub")
    assert "monitors: there are no manifests" in rooted.err


def test_init_lays_out_a_folder_of_a_repository_only_if_it_is_named(
    workspace: Workspace, run: Run
) -> None:
    below = workspace.root / "monitors" / "new"
    below.mkdir()
    done = run("init", cwd=below)
    assert (done.code, done.out, list(below.iterdir())) == (64, "", [])
    assert done.err == (
        "Error: monitors/new is a folder of a repository that exists already\n"
        "To make it a repository of its own, run: reconciler init .\n"
    )
    done = run("init", ".", cwd=below)
    assert done.code == 0
    assert "Next, in monitors/new:" in done.err
    assert (below / "reconciler.toml").exists()


def test_a_folder_that_is_not_there(run: Run) -> None:
    done = run("-C", "nowhere", "plan")
    assert (done.code, "cannot change to -C nowhere: No such file" in done.err) == (3, True)
