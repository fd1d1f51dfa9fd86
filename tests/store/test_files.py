import errno
import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.state_store import Key, RunFile, Store, open_store
from reconciler.state_store.file import FileStore

NOBODY = 65534

_LIMITED = """
import resource, sys
from pathlib import Path
from reconciler.errors import StateError
from reconciler.state_store import Key, open_store

store = open_store(sys.argv[1])
held = store.read(Key.STATE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    store.write(Key.STATE, sys.argv[2].encode() * 2000, held.version, "too much")
except StateError as error:
    print(error, "|", error.hint)
else:
    print("saved")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


def write(store: Store, data: bytes, expected: str | None = None, key: Key = Key.STATE) -> str:
    return store.write(key, data, expected, "run 1")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "state.json"


@pytest.fixture
def store(path: Path) -> Store:
    return open_store(f"file:{path}")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@contextmanager
def unprivileged() -> Iterator[None]:
    """As somebody to whom permissions apply."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


class TestWriting:
    def test_new_files_are_private(self, store: Store, path: Path) -> None:
        version = write(store, b"1")
        write(store, b"2", version)
        write(store, b"lock", key=Key.LOCK)
        assert names(path.parent) == {
            *(path.name, f"{path.name}.backup", f"{path.name}.guard", f"{path.name}.lock")
        }
        assert {mode(each) for each in path.parent.iterdir()} == {0o600}

    def test_permissions_that_were_given_stay(self, store: Store, path: Path) -> None:
        version = write(store, b"1")
        path.chmod(0o640)
        write(store, b"2", version)
        assert mode(path) == 0o640

    def test_the_state_before_is_kept(self, store: Store, path: Path) -> None:
        version = None
        for data in (b"1", b"2", b"3"):
            version = write(store, data, version)
        backup = path.with_name("state.json.backup")
        assert backup.read_bytes() == b"2"
        assert str(backup) in store.backup()

    def test_reading_makes_nothing(self, store: Store, path: Path) -> None:
        assert store.read(Key.STATE) is None
        assert not path.parent.exists()

    def test_the_own_folder_is_kept_out_of_git(self, tmp_path: Path) -> None:
        write(open_store(".reconciler/state.json", folder=tmp_path), b"1")
        assert (tmp_path / ".reconciler" / ".gitignore").read_text() == "*\n"

    def test_a_folder_of_the_user_is_not(self, store: Store, path: Path) -> None:
        write(store, b"1")
        assert not (path.parent / ".gitignore").exists()

    def test_through_a_link_it_meets_those_who_use_the_file(self, tmp_path: Path) -> None:
        real, linked = tmp_path / "real", tmp_path / "linked"
        real.mkdir()
        linked.mkdir()
        (linked / "s.json").symlink_to("../real/state.json")
        store = open_store(f"file:{linked}/s.json")
        version = write(store, b"1")
        write(store, b"lock", key=Key.LOCK)
        assert (linked / "s.json").is_symlink()
        assert names(linked) == {"s.json"}
        other = open_store(f"file:{real}/state.json")
        assert other.read(Key.STATE) == (b"1", version)
        assert other.read(Key.LOCK) == store.read(Key.LOCK)
        assert other.journals == store.journals

    def test_an_empty_lock_is_none(self, store: Store, path: Path) -> None:
        write(store, b"1")
        path.with_name("state.json.lock").touch()
        assert store.read(Key.LOCK) is None
        write(store, b"lock", key=Key.LOCK)

    def test_what_a_killed_run_left_aside_does_no_harm(self, store: Store, path: Path) -> None:
        version = write(store, b"1")
        for name in (".reconciler-0.tmp", "state.json.backup.new"):
            path.with_name(name).write_bytes(b"half")
        write(store, b"2", version)
        assert path.read_bytes() == b"2"
        assert names(path.parent) == {"state.json", "state.json.backup", "state.json.guard"}

    def test_where_links_are_not_allowed_the_state_before_is_copied(
        self, open_folder: Path
    ) -> None:
        # Linux refuses links to what belongs to others and cannot be written (fs.protected_…).
        (open_folder / "state.json").write_bytes(b"1")
        (open_folder / "state.json").chmod(0o644)
        store = open_store(f"file:{open_folder}/state.json")
        with unprivileged():
            held = store.read(Key.STATE)
            assert held is not None
            write(store, b"2", held.version)
        assert (open_folder / "state.json.backup").read_bytes() == b"1"


class TestFailure:
    def failure(self, store: Store, *hints: str) -> str:
        with pytest.raises(StateError) as error:
            write(store, b"2" * 2000)
        assert store.location in str(error.value)
        for hint in hints or ("The existing file is unchanged",):
            assert hint in error.value.hint
        return str(error.value)

    def test_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        store = open_store(f"file:{tmp_path}/file/folder/state.json")
        assert "Not a directory" in self.failure(store)
        with pytest.raises(StateError, match=r"cannot read .*: Not a directory"):
            store.read(Key.STATE)

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
    def test_in_place_of_something_else(self, make: Callable[[Path], None], tmp_path: Path) -> None:
        make(tmp_path / "state.json")
        store = open_store(f"file:{tmp_path}/state.json")
        assert "it is not a regular file" in self.failure(store, "Check the path")
        with pytest.raises(StateError, match="it is not a regular file"):
            store.read(Key.STATE)

    def test_without_permission(self, open_folder: Path) -> None:
        store = open_store(f"file:{open_folder}/state.json")
        version = write(store, b"1")
        (open_folder / "state.json").chmod(0o644)
        (open_folder / "state.json.guard").chmod(0o666)
        open_folder.chmod(0o555)
        with unprivileged():
            assert store.read(Key.STATE) == (b"1", version)
            with pytest.raises(StateError, match=r"cannot write .*: Permission denied"):
                write(store, b"2", version)
            assert store.read(Key.STATE) == (b"1", version)
        open_folder.chmod(0o777)
        assert names(open_folder) == {"state.json", "state.json.guard"}

    def limited(self, store: Store, letter: str) -> str:
        """What is said when the file may not grow to its size."""
        return subprocess.check_output(
            [sys.executable, "-c", _LIMITED, store.location, letter], text=True, timeout=60
        )

    def test_with_a_file_that_may_not_grow(self, store: Store, path: Path) -> None:
        version = write(store, b"1")
        said = self.limited(store, "2")
        assert f"cannot write {store.location}: File too large" in said
        assert "The existing file is unchanged" in said
        assert store.read(Key.STATE) == (b"1", version)
        assert names(path.parent) == {"state.json", "state.json.guard"}

    def test_it_does_not_matter_when_what_is_there_is_what_was_to_be_written(
        self, store: Store
    ) -> None:
        write(store, b"2" * 2000)
        assert self.limited(store, "2") == "saved\n"

    def test_with_a_full_disk(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        tiny = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
        if os.geteuid() or subprocess.run(tiny, check=False).returncode:
            pytest.skip("only root can mount a tiny disk")
        try:
            store = open_store(f"file:{disk}/state.json")
            version = write(store, b"1")
            with pytest.raises(StateError, match=os.strerror(errno.ENOSPC)):
                write(store, b"2" * 20_000, version)
            assert store.read(Key.STATE) == (b"1", version)
            assert names(disk) == {"state.json", "state.json.guard"}
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_while_another_process_writes_on_and_on(self, path: Path) -> None:
        store = FileStore("file:here", path, patience=0.1)
        version = write(store, b"1")
        with path.with_name("state.json.guard").open() as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            with pytest.raises(StateError, match=r"another process has been writing for 0.1 s"):
                write(store, b"2", version)
            assert store.read(Key.STATE) == (b"1", version)
        write(store, b"2", version)


def test_a_run_that_cannot_be_kept_leaves_the_state_as_it_is(tmp_path: Path) -> None:
    store = open_store(f"file:{tmp_path}/state.json")
    version = write(store, b"before")
    (tmp_path / "state.json.runs").write_text("no folder")
    with pytest.raises(StateError):
        store.write(Key.STATE, b"after", version, "run 2", RunFile("run-2", 2, b"{}"))
    held = store.read(Key.STATE)
    assert held is not None
    assert (held.data, held.version) == (b"before", version)
