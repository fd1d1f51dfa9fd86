import os
import pty
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ConflictError, StateError
from reconciler.state_store import Key, Store, open_store
from reconciler.state_store.git_process import Git

from stores import content

Clone = Callable[[], Path]
REF = "refs/reconciler/state"
PATIENCE = 60.0

_AT_A_TERMINAL = """
import fcntl, signal, sys, termios
from pathlib import Path
from reconciler.state_store import Key, open_store
from reconciler.state_store.git_process import Git

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
store = open_store("git:origin", folder=Path(sys.argv[1]))
print(store.write(Key.STATE, b"1", None, "run 1"), flush=True)
print(Git(Path(sys.argv[1]), timeout=0.2).run("-c", "alias.x=!sleep 60", "x").words, flush=True)
"""


def write(store: Store, data: bytes, expected: str | None = None, key: Key = Key.STATE) -> str:
    return store.write(key, data, expected, "apply run-1: 1 applied\n\nmore")


def hook(repository: Path, name: str, *lines: str) -> None:
    folder = repository if (repository / "HEAD").exists() else repository / ".git"
    path = folder / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_ended(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")  # one that nobody has buried yet has ended too
    return stat.exists() and ") Z " in stat.read_text()


@pytest.fixture
def here(clone: Clone) -> Path:
    return clone()


@pytest.fixture
def store(here: Path) -> Store:
    return open_store("git:origin", folder=here)


class TestHistory:
    def test_each_save_is_a_commit_on_the_one_before(
        self, store: Store, bare: Path, git: Any
    ) -> None:
        first = write(store, b"1")
        second = write(store, b"2", first)
        assert git(bare, "rev-list", REF).split() == [second, first]
        assert git(bare, "ls-tree", "--name-only", REF) == "state.json"
        assert git(bare, "show", f"{REF}~:state.json") == "1"
        assert git(bare, "log", "-1", "--format=%s", REF) == "apply run-1: 1 applied"
        assert REF in store.backup()
        assert "git log" in store.backup()

    def test_equal_saves_of_one_second_are_not_one(self, clone: Clone) -> None:
        # Otherwise the second push would find its commit there and succeed.
        barrier = threading.Barrier(4, timeout=20)

        def save(folder: Path) -> bool:
            store = open_store("git:origin", folder=folder)
            barrier.wait()
            try:
                write(store, b"1")
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(save, [clone() for _ in range(4)])).count(True) == 1

    def test_a_name_of_the_users_own_is_taken(self, here: Path, bare: Path, git: Any) -> None:
        write(open_store("git:origin#refs/fleet/prod", folder=here), b"1")
        assert git(bare, "for-each-ref", "--format=%(refname)") == "refs/fleet/prod"

    def test_without_an_identity_the_author_is_the_tool(
        self, store: Store, bare: Path, git: Any
    ) -> None:
        write(store, b"1")
        author = git(bare, "log", "-1", "--format=%an <%ae>, %cn <%ce>", REF)
        assert author == ", ".join(["reconciler <reconciler@reconciler.invalid>"] * 2)

    def test_with_one_it_is_the_user(self, here: Path, bare: Path, git: Any) -> None:
        git(here, "config", "user.name", "Bob")
        git(here, "config", "user.email", "bob@example.com")
        write(open_store("git:origin", folder=here), b"1")
        assert git(bare, "log", "-1", "--format=%an <%ce>", REF) == "Bob <bob@example.com>"

    def test_signing_does_not_matter(self, here: Path, store: Store, git: Any) -> None:
        git(here, "config", "commit.gpgsign", "true")
        git(here, "config", "gpg.program", "false")
        write(store, b"1")

    def test_the_lock_has_no_history(self, store: Store, bare: Path, git: Any) -> None:
        first = write(store, b"1", key=Key.LOCK)
        second = write(store, b"2", first, key=Key.LOCK)
        assert git(bare, "rev-list", f"{REF}-lock") == second
        write(store, b"", second, key=Key.LOCK)
        assert git(bare, "for-each-ref") == ""


class TestTheUsersOwn:
    def dirty(self, folder: Path, git: Any) -> None:
        """A repository in the middle of everything."""
        for name in ("committed", "staged", "changed", "stashed"):
            (folder / name).write_text(name)
        git(folder, "add", "committed", "changed")
        git(folder, "commit", "--quiet", "--message=one")
        git(folder, "push", "--quiet", "origin", "main")
        git(folder, "fetch", "--quiet", "origin")
        git(folder, "add", "stashed")
        git(folder, "stash", "--quiet")
        git(folder, "tag", "--annotate", "--message=one", "v1")
        git(folder, "branch", "other")
        git(folder, "add", "staged")
        (folder / "changed").write_text("again")
        (folder / "untracked").write_text("untracked")

    def everything(self, folder: Path, git: Any) -> dict[str, object]:
        refs = git(folder, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        internal = (folder / ".git" / "objects", folder / ".git" / "refs" / "reconciler")
        return {
            "files": {
                str(path.relative_to(folder)): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file() and not any(path.is_relative_to(each) for each in internal)
            },
            "refs": [ref for ref in refs if not ref.startswith("refs/reconciler/fetched/")],
        }

    def test_nothing_of_it_is_touched(self, here: Path, clone: Clone, bare: Path, git: Any) -> None:
        self.dirty(here, git)
        for key, value in (
            ("push.followTags", "true"),
            ("fetch.prune", "true"),
            ("fetch.writeCommitGraph", "true"),
            ("remote.origin.tagOpt", "--tags"),
        ):
            git(here, "config", key, value)
        there = clone()
        git(there, "fetch", "--quiet", "origin")
        git(there, "tag", "theirs", "FETCH_HEAD")
        git(there, "push", "--quiet", "origin", "theirs")
        store, other = (open_store("git:origin", folder=folder) for folder in (here, there))
        before, refs = self.everything(here, git), git(bare, "for-each-ref", "refs/heads/")

        version = write(other, b"1")
        held = store.read(Key.STATE)
        assert held == (b"1", version)
        version = write(store, b"2", version)
        write(other, b"3", version)
        with pytest.raises(ConflictError):
            write(store, b"4", version)
        lock = write(store, b"lock", key=Key.LOCK)
        write(store, b"", lock, key=Key.LOCK)

        assert self.everything(here, git) == before
        assert git(bare, "for-each-ref", "refs/heads/") == refs
        assert git(bare, "tag") == "theirs"

    def test_a_shallow_clone_stays_one(
        self, here: Path, bare: Path, tmp_path: Path, git: Any, clone: Clone
    ) -> None:
        for number in range(3):
            git(here, "commit", "--quiet", "--allow-empty", f"--message={number}")
        git(here, "push", "--quiet", "origin", "main")
        shallow = tmp_path / "shallow"
        git(tmp_path, "clone", "--quiet", "--depth=1", bare.as_uri(), str(shallow))
        boundary = (shallow / ".git" / "shallow").read_bytes()
        store, other = (open_store("git:origin", folder=each) for each in (shallow, clone()))
        version = write(other, b"2", write(store, b"1"))
        assert content(store) == b"2"
        write(store, b"3", version)
        assert content(other) == b"3"
        assert (shallow / ".git" / "shallow").read_bytes() == boundary
        assert git(shallow, "rev-list", "--count", "HEAD") == "1"

    def test_below_the_top_of_a_bare_repository_or_a_work_tree_it_works(
        self, here: Path, bare: Path
    ) -> None:
        (here / "below").mkdir()
        (here / "below" / "state.json").write_text("not this one")
        version = write(open_store("git:origin", folder=here / "below"), b"1")
        store = open_store(f"git:{bare.as_uri()}", folder=bare)
        assert store.read(Key.STATE) == (b"1", version)

    def test_a_second_fetch_brings_what_is_new(
        self, store: Store, here: Path, clone: Clone, git: Any
    ) -> None:
        other = open_store("git:origin", folder=clone())
        version = write(other, b"1")
        assert content(store) == b"1"
        version = write(other, b"2", version)
        assert content(store) == b"2"
        kept = git(here, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        assert [line.split()[1] for line in kept] == [version]

    def test_two_that_fetch_in_one_clone_at_once_both_get_it(
        self, here: Path, clone: Clone
    ) -> None:
        writer = open_store("git:origin", folder=clone())
        version = None
        with ThreadPoolExecutor(4) as pool:
            for data in (b"1", b"2", b"3"):
                version = write(writer, data, version)
                stores = [open_store("git:origin", folder=here) for _ in range(4)]
                assert list(pool.map(content, stores)) == [data] * 4

    def test_a_version_from_another_clone_can_be_built_on(self, store: Store, clone: Clone) -> None:
        other = open_store("git:origin", folder=clone())
        version = write(other, b"1")
        write(store, b"2", version)
        assert content(other) == b"2"


class TestForeignRefs:
    @pytest.mark.parametrize("name", ["README", "state.json"])
    def test_a_branch_is_refused_and_left_alone(
        self, name: str, here: Path, bare: Path, git: Any
    ) -> None:
        for each in (name, "other"):
            (here / each).write_text("{}")
        git(here, "add", ".")
        git(here, "commit", "--quiet", "--message=one")
        git(here, "push", "--quiet", "origin", "main")
        store = open_store("git:origin#refs/heads/main", folder=here)
        with pytest.raises(StateError, match="refs/heads/main is not a ref of reconciler") as error:
            store.read(Key.STATE)
        assert "Use a ref that nothing else uses" in error.value.hint
        with pytest.raises(ConflictError):
            write(store, b"1")
        assert git(bare, "rev-parse", "main") == git(here, "rev-parse", "HEAD")

    def test_what_is_no_commit_is_refused(self, here: Path, git: Any) -> None:
        (here / "state.json").write_text("{}")
        blob = git(here, "hash-object", "-w", "state.json")
        git(here, "push", "--quiet", "origin", f"{blob}:{REF}")
        with pytest.raises(StateError, match="is not a ref of reconciler"):
            open_store("git:origin", folder=here).read(Key.STATE)

    def test_a_folder_of_that_name_is_refused(self, here: Path, git: Any) -> None:
        (here / "state.json").mkdir()
        (here / "state.json" / "file").touch()
        git(here, "add", ".")
        git(here, "commit", "--quiet", "--message=one")
        git(here, "push", "--quiet", "origin", f"HEAD:{REF}")
        with pytest.raises(StateError, match="is not a ref of reconciler"):
            open_store("git:origin", folder=here).read(Key.STATE)


class TestFailure:
    def refused(self, store: Store, expected: str | None = None, key: Key = Key.STATE) -> str:
        data = b"2" if key is Key.STATE else b""
        with pytest.raises(StateError) as error:
            write(store, data, expected, key)
        assert not isinstance(error.value, ConflictError)
        assert store.location in str(error.value)
        assert error.value.hint
        return str(error.value)

    def test_the_users_hook_is_asked_and_its_words_are_passed_on(
        self, store: Store, here: Path
    ) -> None:
        version = write(store, b"1")
        hook(here, "pre-push", "printf '\\033[31mNot on\\033[0m Fridays\\a.\\n' >&2", "exit 1")
        said = self.refused(store, version)
        assert "cannot write git:origin: Not on Fridays. / error: " in said
        assert store.read(Key.STATE) == (b"1", version)

    def test_the_servers_hook_is_passed_on_too(self, store: Store, bare: Path) -> None:
        hook(bare, "pre-receive", "echo Ask ops first. >&2", "exit 1")
        assert "Ask ops first." in self.refused(store)
        assert store.read(Key.STATE) is None

    def test_a_lock_that_may_not_be_deleted_stays(self, store: Store, bare: Path) -> None:
        version = write(store, b"lock", key=Key.LOCK)
        hook(bare, "pre-receive", "echo Nothing is deleted here. >&2", "exit 1")
        assert "Nothing is deleted here." in self.refused(store, version, Key.LOCK)
        assert content(store, Key.LOCK) == b"lock"

    def test_what_git_says_can_stand_in_a_sentence(self, store: Store, bare: Path) -> None:
        bare.rename(bare.with_name("gone"))
        with pytest.raises(StateError) as error:
            store.read(Key.STATE)
        assert str(error.value).endswith("and the repository exists")

    def test_an_answer_that_was_lost_is_looked_up(self, store: Store, bare: Path) -> None:
        # The ref has moved by then; the client only sees the connection end.
        hook(bare, "post-receive", "kill -9 $PPID")
        version = write(store, b"1")
        assert store.read(Key.STATE) == (b"1", version)
        lock = write(store, b"lock", key=Key.LOCK)
        write(store, b"", lock, key=Key.LOCK)
        assert store.read(Key.LOCK) is None

    def test_an_answer_that_cannot_be_looked_up_is_unknown(
        self, store: Store, here: Path, bare: Path
    ) -> None:
        hook(here, "pre-push", f"mv {bare} {bare}.gone", "echo no >&2", "exit 1")
        said = self.refused(store)
        assert "it is not known whether git:origin was written: no" in said
        assert "does not appear to be a git repository" in said

    def test_a_remote_that_does_not_exist(self, here: Path) -> None:
        store = open_store("git:nowhere", folder=here)
        with pytest.raises(StateError, match="does not appear to be a git repository") as error:
            store.read(Key.STATE)
        assert "git ls-remote nowhere 'refs/reconciler/state*'" in error.value.hint

    def test_a_password_is_not_repeated(self, here: Path) -> None:
        store = open_store("git:http://bobby:secret@127.0.0.1:9/x.git", folder=here)
        with pytest.raises(StateError, match=r"127\.0\.0\.1") as error:
            store.read(Key.STATE)
        assert "secret" not in str(error.value) + error.value.hint
        assert "bobby" not in str(error.value)

    def test_a_repository_here_that_cannot_be_written(self, store: Store, here: Path) -> None:
        (here / ".git" / "objects").rename(here / ".git" / "gone")
        assert "the repository here cannot be used" in self.refused(store)

    def test_a_fetch_that_fails(self, store: Store, clone: Clone, bare: Path) -> None:
        version = write(open_store("git:origin", folder=clone()), b"1")
        for damaged in (bare / "objects").glob("??/*"):
            if damaged.parent.name + damaged.name != version:
                damaged.unlink()
        with pytest.raises(StateError, match=f"{REF} cannot be fetched: ") as error:
            store.read(Key.STATE)
        assert "git ls-remote" in error.value.hint
        assert f"cannot read {store.location}" in self.refused(store, version)

    def test_what_the_remote_never_had_is_a_conflict(self, store: Store) -> None:
        with pytest.raises(ConflictError):
            write(store, b"1", "1234567890" * 4)

    def test_git_that_goes_away(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(StateError, match="git is not on the PATH"):
            store.read(Key.STATE)


class TestProcess:
    def test_it_ends_in_bounded_time_with_what_it_has_started(self, here: Path) -> None:
        pid = here / "pid"
        program = f"alias.x=!sh -c 'echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 60'"
        answer = Git(here, timeout=0.5).run("-c", program, "x")
        assert not answer.is_ok
        assert answer.words == "git did not end within 0.5 s"
        if pid.exists():  # on a very busy machine it had not come so far
            wait_until(lambda: has_ended(pid.read_text().strip()))

    def test_one_that_does_not_listen_is_killed(self, here: Path) -> None:
        # Without the shell of an alias, which would be asked in vain to end in place of git.
        deaf = ("-c", "core.fsmonitor=false", "-c", "alias.x=!trap '' TERM; sleep 60 & wait; wait")
        assert not Git(here, timeout=0.2).run(*deaf, "x").is_ok

    def test_what_it_leaves_running_is_not_waited_for(self, here: Path) -> None:
        answer = Git(here).run("-c", "alias.x=!sleep 60 & echo $!", "x")
        assert not has_ended(answer.out.decode().strip())
        os.kill(int(answer.out), signal.SIGKILL)

    def test_silence_is_told_with_the_code(self, here: Path) -> None:
        assert Git(here).run("-c", "alias.x=!exit 3", "x").words.startswith("git exited with code")

    def test_nobody_is_asked_where_there_is_no_terminal(self, here: Path) -> None:
        answer = Git(here).run("-c", "alias.x=!echo $GIT_TERMINAL_PROMPT $LC_ALL", "x")
        assert answer.out == b"0 C\n"

    def test_at_a_terminal_an_interrupt_does_not_cut_a_save(
        self, here: Path, tmp_path: Path, bare: Path, git: Any, python: Any
    ) -> None:
        hook(
            here,
            "pre-push",
            f"touch {tmp_path}/began",
            f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done",
        )
        ours, theirs = pty.openpty()
        process = python(_AT_A_TERMINAL, here, stdin=theirs, start_new_session=True)
        wait_until((tmp_path / "began").exists)
        os.write(ours, b"\x03")
        assert process.stdout.readline() == "interrupted\n"
        (tmp_path / "go").touch()
        assert process.stdout.readline().strip() == git(bare, "rev-parse", REF)
        assert process.stdout.readline() == "git did not end within 0.2 s\n"
        assert process.wait(PATIENCE) == 0
        os.close(ours)
        os.close(theirs)
