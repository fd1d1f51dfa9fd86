"""Asks Git which commit a folder is of, which of two is older, and what was changed between them.

Rule: nothing is fetched and nothing is written. Without a repository no process is started.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.generation import Generation, Relation
from reconciler.errors import ConfigurationError, StateError
from reconciler.state_store.git_process import TRUST, Git

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from reconciler.context import Reporter


_TIMEOUT = 20.0
_MOST_PATHS = 100
_LINK = "120000 "
"""How git ls-files lists a symbolic link."""
_HEXADECIMAL = frozenset("0123456789abcdef")


def read_generation(manifests: str, reporter: Reporter) -> Generation:
    """The commit that the manifests below a path are of; none if Git does not have that folder."""
    git = repository(manifests)
    if git is None:
        return Generation()
    try:
        # The second fails where Git lacks the folder.
        head = git.run("rev-parse", "HEAD", "HEAD:./")
        if not head.is_ok:
            if TRUST in head.words:
                reporter.say(f"The commit of the manifests is not known: {head.words}")
            return Generation()
        changes = git.run(
            "--no-optional-locks", "status", "--porcelain", "--untracked-files=all", "--", "."
        )
    except StateError as error:
        reporter.say(f"The commit of the manifests is not known: {error}")
        return Generation()
    commit = head.out.decode("ascii", "replace").split()[0]
    return Generation(commit, dirty=not changes.is_ok or bool(changes.out))


def find_relation(manifests: str, now: Generation, last: Generation) -> Relation:
    """How the commit `now` stands to `last`, as the repository around the manifests knows them."""
    if now.commit == last.commit:
        return Relation.SAME
    git = repository(manifests)
    if git is None or not (_is_name(now.commit) and _is_name(last.commit)):
        return Relation.UNKNOWN
    for commit in (now.commit, last.commit):
        if not git.run("cat-file", "-e", f"{commit}^{{commit}}").is_ok:
            return Relation.UNKNOWN
    if git.run("merge-base", "--is-ancestor", now.commit, last.commit).is_ok:
        return Relation.OLDER
    if git.run("merge-base", "--is-ancestor", last.commit, now.commit).is_ok:
        return Relation.NEWER
    # What a shallow clone has cut off may be what joins them.
    is_whole = git.run("rev-parse", "--is-shallow-repository").out.strip() == b"false"
    return Relation.PARTED if is_whole else Relation.UNKNOWN


class Commit(NamedTuple):
    """A commit that changed manifests.

    Attributes:
        is_merge: whether it has several parents.
    """

    name: str
    is_merge: bool


class Changed(NamedTuple):
    """What was changed in manifests between two commits.

    Attributes:
        commits: those that did it, the last one first.
        before: the files that they changed, as they were; None for one that was not there.
    """

    commits: tuple[Commit, ...] = ()
    before: Mapping[str, bytes | None] = MappingProxyType({})


def changed_between(manifests: str, since: str, until: str, files: Collection[str]) -> Changed:
    """What was changed from one commit to a later one; nothing where Git cannot tell.

    Only the first parents count, so that a merge stands for all that it brought. If `since` is none
    of them, the two have parted.

    Args:
        manifests: the folder of the manifests.
        since: the full name of the earlier commit.
        until: that of the later one.
        files: manifests, and only these count; none for all below the folder.

    Raises:
        StateError: cannot run git.
    """
    git = repository(manifests)
    if git is None or not (_is_name(since) and _is_name(until)):
        return Changed()
    between = f"{since}..{until}"
    line = git.run("rev-list", "--first-parent", "--format=%H %P", between)
    all_commits = [text.split() for text in _lines(line.out) if not text.startswith("commit ")]
    if not line.is_ok or not all_commits or since not in all_commits[-1][1:2]:
        return Changed()
    folder = manifests if Path(manifests).is_dir() else os.path.dirname(manifests)  # noqa: PTH120
    paths = [f":(literal){os.path.relpath(path, folder)}" for path in files]
    paths = paths if 0 < len(paths) <= _MOST_PATHS else ["*.yaml", "*.yml"]
    touching = git.run("rev-list", "--first-parent", between, "--", *paths)
    moved = git.run(
        *("diff", "--name-only", "--no-renames", "-z", "--relative", since, until, "--", *paths)
    )
    if not touching.is_ok or not moved.is_ok:
        return Changed()
    names = {*_lines(touching.out)}
    commits = tuple(
        Commit(name, is_merge=len(parents) > 1) for name, *parents in all_commits if name in names
    )
    return Changed(commits, _files_at(git, since, folder, _texts(moved.out)))


def _files_at(
    git: Git, commit: str, folder: str, names: Collection[str]
) -> dict[str, bytes | None]:
    """What files below a folder were at a commit, by their paths; None for one that was not there.

    Names are relative to the folder, which is that of `git`.
    """
    asked = "".join(f"{commit}:./{name}\n" for name in names if "\n" not in name)
    rest = git.run("cat-file", "--batch", given=asked.encode("utf-8", "surrogateescape")).out
    found: dict[str, bytes | None] = {}
    for name in names:
        path = os.path.normpath(Path(folder, name))
        found[path] = None
        if "\n" not in name:
            head, _, rest = rest.partition(b"\n")
            if not head.endswith(b" missing"):
                size = int(head.split()[-1])
                found[path], rest = rest[:size], rest[size + 1 :]
    return found


def _lines(out: bytes) -> list[str]:
    return out.decode("ascii", "replace").split("\n")[:-1]


def changed_files(since: str) -> frozenset[str]:
    """The files in and below the current folder that are not as they were, relative to it.

    So is a link to one of them, or to what is elsewhere, of which Git cannot tell.

    They are compared with the commit where `since` and HEAD parted: what others have changed there
    meanwhile is not ours. What is not committed yet counts.

    Raises:
        ConfigurationError: there is no repository, or no such commit.
    """
    git = repository(".")
    if git is None:
        raise ConfigurationError(
            "--changed-since needs a Git repository, and there is none here", "Remove the option."
        )
    try:
        base = git.run("merge-base", since, "HEAD") if not since.startswith("-") else None
    except StateError as error:
        raise ConfigurationError(f"--changed-since: {error}", error.hint) from error
    if base is None or not base.is_ok:
        raise ConfigurationError(
            f"{since} and HEAD have no merge base",
            "Check the name, or fetch the whole history: git fetch --unshallow",
        )
    commit = base.out.decode("ascii").strip()
    moved = git.run("diff", "--name-only", "--no-renames", "-z", "--relative", commit, "--", ".")
    new = git.run("ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    listed = git.run("ls-files", "--stage", "-z", "--", ".")
    for done in (moved, new, listed):
        if not done.is_ok:
            raise ConfigurationError(f"Git cannot tell which files have changed: {done.words}")
    names = set(_texts(moved.out + new.out))
    links = [text.partition("\t")[2] for text in _texts(listed.out) if text.startswith(_LINK)]
    return frozenset((*names, *(link for link in links if _leads_to(link, names))))


def _texts(out: bytes) -> list[str]:
    """What Git lists with null characters between."""
    return [text for text in out.decode("utf-8", "surrogateescape").split("\0") if text]


def _leads_to(link: str, names: Collection[str]) -> bool:
    """Whether a link leads to one of the files, to a folder around one, or out of this folder."""
    target = os.path.relpath(os.path.realpath(link), os.path.realpath("."))
    is_elsewhere = f"{target}/".startswith("../")
    return is_elsewhere or any(f"{name}/".startswith(f"{target}/") for name in names)


def repository(path: str) -> Git | None:
    """Git in the folder of the manifests; None if it is in no work tree."""
    folder = Path(os.path.realpath(path))
    folder = folder if folder.is_dir() else folder.parent
    if not any((each / ".git").exists() for each in (folder, *folder.parents)):
        return None

    return Git(folder, _TIMEOUT)


def _is_name(commit: str) -> bool:
    """Whether a text is the full name of a commit; a state could hold anything."""
    return len(commit) >= 40 and _HEXADECIMAL.issuperset(commit)  # noqa: PLR2004 - SHA-1
