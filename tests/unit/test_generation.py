import os
from collections.abc import Callable
from pathlib import Path

import pytest
from store.conftest import git  # noqa: F401 - a fixture

from reconciler.context import Reporter
from reconciler.core.generation import Generation, Relation, check
from reconciler.errors import RefusedError
from reconciler.usecases.checkout import (
    Changed,
    Commit,
    changed_between,
    find_relation,
    read_generation,
)

OLD, NEW = "a" * 40, "b" * 40
Git = Callable[..., str]


@pytest.mark.parametrize(
    ("now", "last", "relation", "said"),
    [
        (Generation(), Generation(), Relation.SAME, ""),
        (Generation(NEW), Generation(), Relation.UNKNOWN, ""),
        (Generation(NEW), Generation(NEW), Relation.SAME, ""),
        (Generation(NEW), Generation(OLD), Relation.NEWER, ""),
        (Generation(NEW, dirty=True), Generation(OLD), Relation.NEWER, "uncommitted"),
        (
            Generation(NEW),
            Generation(OLD),
            Relation.PARTED,
            "bbbbbbbbbbbb does not descend from aa",
        ),
        (Generation(NEW), Generation(OLD), Relation.UNKNOWN, "this clone does not have both"),
        (Generation(), Generation(OLD), Relation.UNKNOWN, "The manifests are in no commit"),
    ],
)
def test_what_is_said(now: Generation, last: Generation, relation: Relation, said: str) -> None:
    found = check(now, last, relation, allow_older=False)
    assert said in found
    assert bool(said) is bool(found)


def test_what_is_older_is_refused_unless_it_is_allowed() -> None:
    now, last = Generation(OLD, dirty=True), Generation(NEW)
    with pytest.raises(RefusedError) as caught:
        check(now, last, Relation.OLDER, allow_older=False)
    assert "aaaaaaaaaaaa is older than bbbbbbbbbbbb" in str(caught.value)
    assert "--allow-older" in caught.value.hint
    assert "allowed in this run" in check(now, last, Relation.OLDER, allow_older=True)


@pytest.fixture
def repository(tmp_path: Path, git: Git) -> Path:
    root = tmp_path / "repository"
    (root / "monitors").mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    return root


def commit(root: Path, git: Git) -> Generation:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "x")
    return Generation(git(root, "rev-parse", "HEAD").strip())


def read(path: Path) -> Generation:
    said: list[str] = []
    found = read_generation(str(path), Reporter(said.append))
    assert said == []
    return found


def test_a_folder_is_of_a_commit_if_git_has_it(repository: Path, git: Git) -> None:
    folder = repository / "monitors"
    assert read(folder) == Generation()  # no commit yet
    (repository / "other").touch()
    commit(repository, git)
    assert read(folder) == Generation()  # not in it
    (folder / "a.yaml").touch()
    made = commit(repository, git)
    assert read(folder) == read(folder / "a.yaml") == read(repository) == made
    (repository / "other").write_text("1")
    assert read(folder) == made
    (folder / "b.yaml").touch()
    assert read(folder) == made._replace(dirty=True)
    link = repository.parent / "link"
    link.symlink_to(folder)
    assert read(link) == made._replace(dirty=True)


def test_no_other_repository_is_meant(
    repository: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of git runs with variables that name its own repository."""
    generation = commit(repository, git)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    git(other, "commit", "--quiet", "--allow-empty", "--message", "x")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert read(repository) == generation


def test_a_folder_outside_of_git_starts_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # so that there is no git
    assert read(tmp_path) == Generation()
    assert find_relation(str(tmp_path), Generation(NEW), Generation(OLD)) is Relation.UNKNOWN


def test_without_git_nothing_is_known(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    said: list[str] = []
    assert read_generation(str(repository), Reporter(said.append)) == Generation()
    assert "git is not on the PATH" in said[0]


def test_a_repository_of_another_user_is_told_with_the_command_that_helps(
    repository: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository, git)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # Git's own tests know it
    said: list[str] = []
    assert read_generation(str(repository), Reporter(said.append)) == Generation()
    (line,) = said
    assert line == (
        "The commit of the manifests is not known: the repository belongs to another user; if you "
        f"trust it, run: git config --global --add safe.directory {repository}"
    )


def test_relations(repository: Path, git: Git) -> None:
    first, second = commit(repository, git), commit(repository, git)
    git(repository, "checkout", "--quiet", "-b", "branch", first.commit)
    (repository / "x").touch()
    third = commit(repository, git)
    expected = {
        (second, second): Relation.SAME,
        (second, first): Relation.NEWER,
        (first, second): Relation.OLDER,
        (third, second): Relation.PARTED,
        (second, Generation(NEW)): Relation.UNKNOWN,
        (Generation(), second): Relation.UNKNOWN,
        (second, Generation("--help")): Relation.UNKNOWN,
    }
    for (now, last), relation in expected.items():
        assert find_relation(str(repository), now, last) is relation


def test_what_was_changed_between_two_commits(repository: Path, git: Git) -> None:
    """Files whatever their names, and as they were; of a merge what it brought."""
    folder = repository / "monitors"
    (folder / "a b.yaml").write_text("1")
    (folder / "ö\n.yaml").write_text("1")
    (folder / "gone.yaml").write_text("1\n2")
    first = commit(repository, git)
    (folder / "a b.yaml").write_text("2")
    (folder / "gone.yaml").unlink()
    second = commit(repository, git)
    git(repository, "checkout", "--quiet", "-b", "branch", first.commit)
    (folder / "new.yml").write_text("")
    parted = commit(repository, git)
    git(repository, "checkout", "--quiet", "main")
    git(repository, "merge", "--quiet", "--no-ff", "--no-edit", "branch")
    (folder / "README.md").touch()
    (repository / "c.yaml").touch()
    last = commit(repository, git)
    merge = git(repository, "rev-parse", "HEAD^").strip()

    def changed(since: Generation, until: Generation, *files: str) -> Changed:
        paths = [str(folder / name) for name in files]
        return changed_between(str(folder), since.commit, until.commit, paths)

    own = Commit(second.commit, is_merge=False)
    assert changed(first, last) == Changed(
        (Commit(merge, is_merge=True), own),
        {
            str(folder / "a b.yaml"): b"1",
            str(folder / "gone.yaml"): b"1\n2",
            str(folder / "new.yml"): None,
        },
    )
    assert changed(first, last, "a b.yaml") == Changed((own,), {str(folder / "a b.yaml"): b"1"})
    for since, until in ((first, first), (last, first), (parted, last), (Generation(NEW), last)):
        assert changed(since, until) == Changed()
    assert changed(Generation("--help"), last) == Changed()
    many = changed(first, last, "a b.yaml", *map(str, range(100)))
    assert many == changed(first, last)
