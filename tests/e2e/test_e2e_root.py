"""The root of a repository: found upwards, so that the working folder changes nothing."""

import re
import shlex
import subprocess

import pytest
from e2e.conftest import Account, Run, Sandbox, Workspace, manifest, monitor


@pytest.fixture
def account(workspace: Workspace, sandbox: Sandbox) -> Account:
    """One relay, whose manifest two folders below the root wants another port."""
    workspace.write("team/deep/relay.yaml", manifest("email-smtp", "relay", 1, port=587))
    return sandbox(monitor("email-smtp", 1, port=25))


def test_the_working_folder_changes_nothing(account: Account, workspace: Workspace) -> None:
    below = workspace.root / "monitors" / "team"
    expected = account.run("plan")
    assert "monitors/team/deep/relay.yaml:1" in expected.out
    assert account.run("plan", cwd=below).out == expected.out
    inside = account.run("-C", "monitors/team", "plan")
    assert inside.out == expected.out
    assert account.apply(cwd=below).code == 0
    assert workspace.kept.exists()
    assert not (below / ".reconciler").exists()
    assert account.run("plan", "--offline", cwd=below / "deep").code == 0


def test_paths_that_are_given_stay_relative_to_the_working_folder(
    account: Account, workspace: Workspace, run: Run
) -> None:
    below = workspace.root / "monitors" / "team"
    asked = ["--manifests", "deep", "--out", "p.json", "--state", "file:s.json"]
    asked += ["--format", "markdown=p.md"]
    done = account.run("plan", *asked, cwd=below)
    assert done.code == 0
    assert "Plan written to p.json. To apply it: reconciler apply p.json\n" in done.err
    assert {path.name for path in below.iterdir()} == {"deep", "p.json", "p.md"}
    assert run("show", "p.json", cwd=below).code == 0
    account.run("-C", str(below), "apply", "p.json", *asked[:2], *asked[4:6]).expect(0)
    assert (below / "s.json").exists()
    assert run("validate", "deep", cwd=below).err == "Valid: 1 manifest in 1 file.\n"
    assert run("validate", cwd=below).err == "Valid: 1 manifest in 1 file.\n"
    assert run("validate", "../../monitors", cwd=below).code == 0
    for location, is_there in (("s.json", True), ("../s.json", False)):
        said = run("validate", "deep", "--lint", "--state", location, cwd=below).err
        assert ("there is no state yet" in said) == (not is_there)


@pytest.mark.parametrize("out", ["../p.json", "a plan.json"])
def test_commands_in_messages_name_paths_as_the_working_folder_does(
    account: Account, workspace: Workspace, out: str
) -> None:
    below = workspace.root / "monitors" / "team"
    state = ("--state", "file:../../s.json")
    planned = account.run("plan", *state, "--out", out, cwd=below)
    (shown,) = re.findall("To apply it: reconciler apply (.*)", planned.err)
    applied = account.run("apply", *shlex.split(shown), *state, cwd=below)
    (undo,) = re.findall("To undo it: reconciler (.*)", applied.err)
    undone = account.run(*shlex.split(undo), "--out", "deep/u.json", cwd=below)
    assert "Plan written to deep/u.json. To apply it: reconciler apply deep/u.json" in undone.err
    workspace.write("team/deep/odd.yaml", "kind: x\n")
    checked = account.run("doctor", cwd=below)
    assert "reconciler validate .. lists them." in checked.out
    hidden = account.run("plan", "--out", "no/p.json", cwd=below)
    assert "Error: no/p.json cannot be written: No such file or directory" in hidden.err


def test_targets_and_moves_mean_paths_of_the_working_folder(
    account: Account, workspace: Workspace, run: Run
) -> None:
    below = workspace.root / "monitors" / "team"
    assert "email-smtp/relay" in account.run("plan", "--target", "deep", cwd=below).out
    assert "email-smtp/relay" in account.run("plan", "--target", ".", cwd=below).out
    left_out = account.run("plan", "--exclude", "deep/relay.yaml", cwd=below)
    assert "email-smtp/relay" not in left_out.out
    assert run("set", "deep/", "port=25", "--auto-approve", cwd=below).code == 0
    assert account.run("plan", "--detailed-exitcode", cwd=below).code == 0
    assert run("mv", "deep/relay.yaml", "../other/", cwd=below).code == 0
    assert (workspace.root / "monitors" / "other" / "relay.yaml").exists()


def test_a_clone_with_manifests_is_a_root_and_nothing_above_a_clone_counts(
    account: Account, workspace: Workspace
) -> None:
    workspace.settings("no = 1\n")
    clone = workspace.root / "clone"
    (clone / "sub").mkdir(parents=True)
    assert "unknown setting no" in account.run("plan", cwd=clone / "sub").err
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    alone = account.run("plan", cwd=clone / "sub")
    assert "monitors: there is no such file or folder" in alone.err
    (clone / "monitors").mkdir()
    rooted = account.run("plan", cwd=clone / "sub")
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
    run("init", ".", cwd=below).expect(0, err="Next, in monitors/new:")
    assert (below / "reconciler.toml").exists()


def test_a_folder_that_is_not_there(run: Run) -> None:
    run("-C", "nowhere", "plan").expect(3, err="cannot change to -C nowhere: No such file")


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", ".."),
        ("validate", "monitors", "/"),
        ("fmt", ".."),
        ("plan", "--manifests", ".."),
        ("import", "--into", ".."),
        ("import", "--into", "/"),
        ("import", "--manifests", "/"),
    ],
)
def test_a_folder_that_has_the_repository_in_it_is_not_read(
    account: Account, workspace: Workspace, arguments: tuple[str, ...]
) -> None:
    """It has whatever else there is on the disk, and nobody's manifests are meant."""
    (workspace.root / "reconciler.toml").write_text("", encoding="utf-8")
    folder = arguments[-1]
    said = f"Error: {folder}: this folder contains the repository"
    done = account.run(*arguments).expect(3, err=said)
    assert ("Name a folder of the repository" in done.err, done.out) == (True, "")
    assert not list(workspace.root.parent.glob("*.yaml"))


def test_where_there_is_no_repository_only_the_root_of_the_disk_is_not_read(
    account: Account, workspace: Workspace
) -> None:
    """The root is the working folder then, which may be one of manifests."""
    (workspace.root / "monitors").rename(workspace.root / "m")
    below = workspace.root / "m" / "team"
    account.run("validate", "..", cwd=below).expect(0, err="Valid: 1 manifest in 1 file.")
    account.run("validate", "/", cwd=below).expect(3, err="/: this folder contains the repository")
