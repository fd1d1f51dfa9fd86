"""An apply of an older commit than the last one: refused, unless it is meant."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from e2e.conftest import Account, Done, Git, Place, Places, Relays, Run, Sandbox, Workspace, monitor

_OUT = ("plan", "--out", "p.json")
_APPLY = ("apply", "--auto-approve")
_PRUNE = (*_APPLY, "--prune")


class Repository:
    """The workspace as a repository."""

    def __init__(self, workspace: Workspace, git: Git) -> None:
        self._root, self._git = workspace.root, git
        self.git("init", "--quiet", "--initial-branch=main")
        (self._root / ".gitignore").write_text(".reconciler/\n*.json\n")

    def git(self, *arguments: str) -> str:
        return self._git(self._root, *arguments)

    def checkout(self, commit: str) -> None:
        self.git("checkout", "--quiet", commit)

    def commit(self) -> str:
        """Commits all manifests; returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD").strip()


@pytest.fixture
def repository(workspace: Workspace, git: Git) -> Repository:
    return Repository(workspace, git)


Two = tuple[Account, str, str]


@pytest.fixture
def two(workspace: Workspace, repository: Repository, sandbox: Sandbox) -> Two:
    """An account to which two commits were applied, the second with six more monitors."""
    account = sandbox()
    commits = []
    for numbers in (range(1, 31), range(31, 37)):
        for number in numbers:
            name = f"relay-{number:02}"
            workspace.describe("email-smtp", name, port=number, name=name)
        commits.append(repository.commit())
        assert account.run(*_PRUNE).code == 0
    return account, *commits


def test_an_old_pipeline_that_runs_again_is_refused(
    workspace: Workspace, two: Two, repository: Repository
) -> None:
    account, first, second = two
    repository.checkout(first)
    for more in ((), ("--prune",), ("--target", "*/relay-01")):
        account.apply(*more).expect(
            5, err=(f"{first[:12]} is older than {second[:12]}", "--allow-older")
        )
    assert len(account.monitors()) == 36
    for more in ((), ("--offline",), ("--out", "p.json"), ("--json",)):
        planned = account.run("plan", *more).expect(0)
        assert (
            planned.err.count(
                f"Warning: the manifests are of an old commit: {first[:12]} is older than "
                f"{second[:12]}, the last one applied: apply refuses this without --allow-older.\n"
            )
            == 1
        )

    done = account.run(*_PRUNE, "--allow-older", "--json").expect(0)
    assert done.json["generation"] == {"commit": first, "dirty": False}
    assert len(account.monitors()) == 30
    assert workspace.state()["generation"] == {"commit": first, "dirty": False}
    repository.checkout(second)
    assert "old commit" not in account.run("plan").err
    assert account.run(*_PRUNE).code == 0


def test_a_revert_is_a_new_commit(two: Two, repository: Repository) -> None:
    account, _, second = two
    repository.git("revert", "--no-edit", second)
    assert account.run(*_PRUNE).code == 0
    assert len(account.monitors()) == 30


def test_an_apply_without_changes_counts_too(
    workspace: Workspace, two: Two, repository: Repository
) -> None:
    account, _, second = two
    third = repository.commit()
    assert account.run(*_PRUNE).code == 0
    state = workspace.state()
    assert state["generation"] == {"commit": third, "dirty": False}
    assert account.run(*_PRUNE).code == 0
    assert workspace.state() == state  # nothing is saved where nothing has moved
    repository.checkout(second)
    assert account.run(*_PRUNE).code == 5


def test_an_apply_of_a_part_does_not_stand_for_all(
    workspace: Workspace, two: Two, repository: Repository
) -> None:
    account, _, second = two
    workspace.replace("relay-01.yaml", "port: 1\n", "port: 101\n")
    repository.commit()
    assert account.apply("--target", "*/relay-01").code == 0
    assert workspace.state()["generation"]["commit"] == second
    repository.checkout(second)
    assert account.run(*_PRUNE).code == 0


def test_what_was_begun_counts_although_it_failed(
    workspace: Workspace, relays: Relays, repository: Repository
) -> None:
    account = relays(3, faults=["PATCH */2 status=400"])
    first = repository.commit()
    second = repository.commit()
    assert account.run(*_PRUNE).code == 7
    assert workspace.state()["generation"] == {"commit": second, "dirty": False}
    repository.checkout(first)
    assert account.run(*_PRUNE).code == 5


def test_what_was_refused_does_not_count(
    workspace: Workspace, two: Two, repository: Repository
) -> None:
    account, _, second = two
    for number in range(1, 31):
        workspace.remove(f"relay-{number:02}.yaml")
    repository.commit()
    (workspace.root / "reconciler.toml").unlink()  # with which nothing exceeds the budget
    assert account.run(*_PRUNE).code == 5
    assert workspace.state()["generation"]["commit"] == second


def test_changes_that_are_not_committed_are_said(workspace: Workspace, two: Two) -> None:
    account, _, second = two
    workspace.replace("relay-01.yaml", "port: 1\n", "port: 101\n")
    done = account.apply()
    assert f"commit {second[:12]} with uncommitted changes" in done.err
    assert workspace.state()["generation"] == {"commit": second, "dirty": True}
    workspace.replace("relay-01.yaml", "port: 101\n", "port: 1\n")
    assert account.apply().code == 0
    assert workspace.state()["generation"] == {"commit": second, "dirty": False}


def test_what_cannot_be_told_is_permitted_and_said(
    workspace: Workspace, two: Two, repository: Repository, tmp_path: Path, git: Git
) -> None:
    account, first, second = two
    state = f"file:{workspace.root}/.reconciler/state.json"
    repository.git("branch", "old", first)
    shallow = tmp_path / "shallow"
    git(
        tmp_path,
        *("clone", "--quiet", "--depth=1", "--branch=old", workspace.root.as_uri(), str(shallow)),
    )
    account.apply("--state", state, cwd=shallow).expect(
        0, err=(f"whether commit {first[:12]} is older than {second[:12]}", "fetch-depth: 0")
    )

    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.git("commit", "--quiet", "--message", "rewritten")
    account.apply().expect(0, err="does not descend from")

    plain = tmp_path / "plain"
    (workspace.root / "monitors").rename(plain)
    said = "The manifests are in no commit"
    account.apply("--state", state, "--manifests", str(plain)).expect(0, err=said)


def test_a_saved_plan_knows_its_commit(
    workspace: Workspace, two: Two, repository: Repository, tmp_path: Path
) -> None:
    account, first, second = two
    repository.checkout(first)
    assert account.run("plan", "--prune", "--out", "p.json").code == 0
    assert workspace.json("p.json")["basis"]["generation"] == {"commit": first, "dirty": False}
    assert account.run("apply", "p.json").code == 5
    # Elsewhere, without Git, the plan is all that tells.
    bare = tmp_path / "bare"
    (bare / "monitors").mkdir(parents=True)
    for path in (workspace.root / "monitors").iterdir():
        (bare / "monitors" / path.name).write_bytes(path.read_bytes())
    (bare / "reconciler.toml").write_bytes((workspace.root / "reconciler.toml").read_bytes())
    state = f"file:{workspace.root}/.reconciler/state.json"
    done = account.run("apply", str(workspace.root / "p.json"), "--state", state, cwd=bare)
    assert (done.code, second[:12] in done.err) == (0, True), done.err
    assert f"whether commit {first[:12]} is older than" in done.err


class Pipelines:
    """One account, and a clone of the repository for each pipeline."""

    def __init__(self, place: Place, account: Account, git: Git, run: Run) -> None:
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
def pipelines(places: Places, sandbox: Sandbox, git: Git, run: Run) -> Pipelines:
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
        said = f"{first[:12]} is older than {second[:12]}"
        pipelines.run(old, "apply", *late).expect(5, err=said)
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
