"""The state on a ref of its own in a Git repository, `git:REMOTE#REF`.

Rule: only plumbing that leaves the work tree, the index, HEAD, the branches, the tags and the stash
alone. A version is a commit id, and what counts is what the remote says: comparing and replacing is
one push with `--force-with-lease`. Whether a push that failed took effect is looked up on the
remote, never read from git's words.

The state is a commit whose tree is `state.json`, the former one its parent. The commit that ends a
run also has `run.json`, what is kept of it, and names it in the trailer `Run`. The lock is
`lock.json` on `REF-lock`, each time a commit without a parent; released, the ref is gone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.errors import ConfigurationError, StateError, without_logins
from reconciler.state_store.git_process import Answer, Git, hidden, logins
from reconciler.state_store.port import Held, Key, RunFile, Store, conflict, unknown

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.core.redactor import Redactor


DEFAULT_REF = "refs/reconciler/state"
_FETCHED = "refs/reconciler/fetched"
_ATTEMPTS = 5
_SYNTAX = "Write git:REMOTE or git:REMOTE#refs/NAME; REMOTE is a remote's name, a URL or a path."
_NAME, _EMAIL = "reconciler", "reconciler@reconciler.invalid"  # RFC 6761: no such domain will exist
_AS_NOBODY = ("-c", f"user.name={_NAME}", "-c", f"user.email={_EMAIL}")
_FILES = {Key.STATE: "state.json", Key.LOCK: "lock.json"}
_RUN = "run.json"


class GitStore(Store):
    """Keeps the state in a Git repository.

    Args:
        location: as the user wrote it, without a login in it.
        remote: what git pushes to; a relative path starts, as git has it, from the top of the work
            tree.
        ref: where the state is.
        git: in the repository whose configuration counts.
        folder: in which `.reconciler` with the journals is.
        redactor: see `Store`.
    """

    def __init__(
        self, location: str, remote: str, ref: str, git: Git, folder: Path, redactor: Redactor
    ) -> None:
        # A token in the URL may be another one tomorrow, and the journals are to be found then.
        digest = hashlib.sha256(f"{without_logins(remote)}#{ref}".encode(errors="surrogateescape"))
        self._id = digest.hexdigest()[:12]
        super().__init__(location, folder / ".reconciler", f"git-{self._id}.", redactor)
        self._remote = remote
        self._git = git
        self._refs = {Key.STATE: ref, Key.LOCK: f"{ref}-lock"}
        self._listed: tuple[str, dict[str, str]] | None = None

    def read(self, key: Key) -> Held | None:
        """See `Store`."""
        last, words = "", "it keeps changing"
        for _ in range(_ATTEMPTS):  # it may move, or go, while it is fetched
            version = self._version(key)
            if version is None:
                return None
            data = self._content(key, version)
            if data is not None:
                return Held(data, version)
            if version == last:
                break
            last, words = version, self._fetch(key).words
        raise StateError(
            f"cannot read {self.location}: {self._refs[key]} cannot be fetched: {words}",
            self._hint(),
        )

    def _write(
        self, key: Key, data: bytes, expected: str | None, message: str, run: RunFile | None
    ) -> str:
        ref = self._refs[key]
        is_release = key is Key.LOCK and not data
        commit = "" if is_release else self._commit(key, data, expected, message, run)
        answer = self._git.run(
            "push",
            "--quiet",
            "--no-follow-tags",
            "--recurse-submodules=no",
            f"--force-with-lease={ref}:{expected or ''}",
            "--",
            self._remote,
            f"{commit}:{ref}",
        )
        if answer.is_ok:
            return commit
        return self._resolve(key, commit, expected, answer)

    def trim(self, most: int) -> None:
        """See `Store`; a history is never cut."""

    def backup(self) -> str:
        """See `Store`."""
        remote, ref = without_logins(self._remote), self._refs[Key.STATE]
        return (
            f"earlier saves are in its history: git fetch {remote} {ref} && git log -p FETCH_HEAD"
        )

    def _read_run(self, place: str) -> bytes | None:
        return self._made("cat-file", "blob", f"{place}:{_RUN}")

    def _places(self) -> dict[str, str]:
        """The commit that ends each run, the last one first."""
        held = self.read(Key.STATE)
        if held is None:
            return {}
        if self._listed is None or self._listed[0] != held.version:
            trailer = "%(trailers:key=Run,valueonly,separator=%x20)"
            found = self._made(
                *("-c", "log.showSignature=false", "log", "--first-parent", "--no-color"),
                *(f"--format=%H {trailer}", held.version, "--"),
            )
            rows = (line.split() for line in found.decode(errors="replace").splitlines())
            # A run is written once; were it there twice, the first one would count.
            self._listed = held.version, {row[1]: row[0] for row in rows if len(row) > 1}
        return self._listed[1]

    def _resolve(self, key: Key, commit: str, expected: str | None, answer: Answer) -> str:
        """What a push that failed has led to: the commit is there after all, or an error."""
        try:
            now = self._version(key)
        except StateError as error:
            raise unknown(self.location, f"{answer.words} / {error}") from error
        if (now or "") == commit:
            return commit
        if now != expected:
            raise conflict(self.location)
        raise StateError(
            f"cannot write {self.location}: {answer.words}",
            "Nothing was changed there. Check that you have permission to push and that no hook "
            "rejects the push.",
        )

    def _version(self, key: Key) -> str | None:
        """The commit that the remote has there now."""
        ref = self._refs[key]
        answer = self._git.run("ls-remote", "--refs", "--", self._remote, ref)
        if not answer.is_ok:
            raise StateError(f"cannot read {self.location}: {answer.words}", self._hint())
        for line in answer.out.decode(errors="replace").splitlines():
            commit, _, name = line.partition("\t")
            if name == ref:  # the pattern fits any ref that ends in it
                return commit
        return None

    def _fetch(self, key: Key) -> Answer:
        """Brings the objects here.

        A ref of our own makes the next fetch a small one. When another process moves it at the same
        time git reports a failure, but the objects are there all the same.
        """
        mine = f"{_FETCHED}/{self._id}/{key}"
        return self._git.run(
            *("-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", "--quiet"),
            *("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-prune"),
            "--no-filter",  # a clone without contents would ask for this one right after
            "--refmap=",  # what the user has configured to be fetched is theirs to fetch
            *("--", self._remote, f"+{self._refs[key]}:{mine}"),
        )

    def _content(self, key: Key, version: str) -> bytes | None:
        """What a commit holds; None if it is not here, or not whole: it may just be coming in."""
        name = _FILES[key]
        wanted = f"{version}\n{version}^{{tree}}\n{version}:{name}\n"
        found = self._made("cat-file", "--batch", given=wanted.encode())
        (kind, _), (_, tree), (_, data) = _objects(found, 3)
        if kind is None or (kind == b"commit" and tree is None):
            return None
        if not {name} <= _entries(tree or b"", len(version) // 2) <= {name, _RUN}:
            raise StateError(
                f"{self.location}: {self._refs[key]} is not a ref of reconciler: it must contain "
                f"only {name}",
                "Use a ref that nothing else uses, such as git:REMOTE#refs/reconciler/state.",
            )
        return data

    def _commit(
        self, key: Key, data: bytes, expected: str | None, message: str, run: RunFile | None
    ) -> str:
        parent = expected if key is Key.STATE else None
        if parent is not None and self._content(key, parent) is None:
            answer = self._fetch(key)
            if self._content(key, parent) is None:
                if self._version(key) != parent:
                    raise conflict(self.location)
                raise StateError(f"cannot read {self.location}: {answer.words}", self._hint())
        blob = self._id_of("hash-object", "-w", "--stdin", given=data)
        files = {_FILES[key]: blob}
        end = "\n"  # before the trailers; the message of a run ends in some of its own
        if run is not None:
            files[_RUN] = self._id_of("hash-object", "-w", "--stdin", given=run.data)
            end = f"Run: {run.id}\n"
        listed = "".join(f"100644 blob {id_}\t{name}\n" for name, id_ in sorted(files.items()))
        tree = self._id_of("mktree", given=listed.encode())
        # Equal commits of two runs within a second would be one, and both would believe it theirs.
        text = f"{message.rstrip()}\n{end}Save: {os.urandom(8).hex()}\n"
        return self._id_of(
            *self._identity,
            *_authored(run.author if run is not None else ""),
            *("-c", "i18n.commitEncoding=UTF-8", "commit-tree", "--no-gpg-sign"),
            *(("-p", parent) if parent else ()),
            tree,
            given=text.encode(errors="replace"),
        )

    @cached_property
    def _identity(self) -> tuple[str, ...]:
        """Options that name an author when the user has not said who they are.

        Without them git would make up an address from the host's name, or refuse.
        """
        idents = ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")
        known = [self._git.run("-c", "user.useConfigOnly=true", "var", name) for name in idents]
        return () if all(answer.is_ok for answer in known) else _AS_NOBODY

    def _id_of(self, *arguments: str, given: bytes = b"") -> str:
        return self._made(*arguments, given=given).decode().strip()

    def _made(self, *arguments: str, given: bytes = b"") -> bytes:
        answer = self._git.run(*arguments, given=given)
        if not answer.is_ok:
            raise StateError(
                f"{self.location}: the repository here cannot be used: {answer.words}",
                "Free some space or fix the permissions, then run the same command again.",
            )
        return answer.out

    def _hint(self) -> str:
        command = f"git ls-remote {without_logins(self._remote)} '{self._refs[Key.STATE]}*'"
        return f"Check the remote, the network and your permission with: {command}"


def open_git(location: str, text: str, folder: Path, redactor: Redactor) -> GitStore:
    """The store in a Git repository.

    Args:
        location: as the user wrote it.
        text: the part of it after `git:`.
        folder: the current folder, in the repository whose configuration counts.
        redactor: is told the logins of the remote.

    Raises:
        ConfigurationError: it is not `REMOTE` or `REMOTE#REF`, or there is no git or repository.
    """
    for login in logins(location):
        redactor.know(*login.secrets)
    location = without_logins(location)
    remote, mark, ref = text.rpartition("#")
    if not mark:
        remote, ref = text, DEFAULT_REF
    if not remote or remote.startswith("-"):
        raise ConfigurationError(f"{location!r} names no remote", _SYNTAX)
    if shutil.which("git") is None:
        raise ConfigurationError(
            f"{location} needs git, which is not on the PATH",
            "Install git, or store the state elsewhere: --state file:PATH.",
        )
    git = Git(folder)
    found = git.run("rev-parse", "--git-dir")
    if not found.is_ok:
        raise ConfigurationError(
            f"{location} needs a Git repository, and this folder is not in one: {found.words}",
            "Run it in the clone with the manifests, or store the state elsewhere: --state "
            "file:PATH.",
        )
    is_ref = ref == DEFAULT_REF or (
        ref.startswith("refs/") and git.run("check-ref-format", ref).is_ok
    )
    if not is_ref:
        raise ConfigurationError(f"{location!r}: {ref!r} is not a full ref name", _SYNTAX)
    remote, environment, configured = hidden(git, remote)
    for login in configured:
        redactor.know(*login.secrets)
    git = Git(folder, environment=environment)
    return GitStore(location, remote, ref, git, folder, redactor)


def _authored(author: str) -> tuple[str, ...]:
    """Options that name the author of a commit, if git can take the name."""
    if not any(character.isalnum() for character in author):
        return ()
    return ("-c", f"author.name={author}", "-c", f"author.email={_EMAIL}")


def _entries(tree: bytes, length: int) -> set[str]:
    """The names in a tree of plain files, whose ids have so many bytes; none for another tree."""
    names = set()
    while tree:
        entry, _, rest = tree.partition(b"\0")
        mode, _, name = entry.partition(b" ")
        if mode != b"100644" or len(rest) < length:
            return set()
        names.add(name.decode(errors="replace"))
        tree = rest[length:]
    return names


def _objects(found: bytes, count: int) -> list[tuple[bytes | None, bytes | None]]:
    """Kinds and contents in the output of `git cat-file --batch`; None for what is missing."""
    objects: list[tuple[bytes | None, bytes | None]] = []
    for _ in range(count):
        header, _, found = found.partition(b"\n")
        if header.endswith(b" missing"):
            objects.append((None, None))
            continue
        _, kind, size = header.split()
        end = int(size)
        objects.append((kind, found[:end]))
        found = found[end + 1 :]
    return objects
