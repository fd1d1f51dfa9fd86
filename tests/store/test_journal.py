import errno
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import StateError
from reconciler.state_store import Journal, Key, Store, found_journals, open_store, read_journal

_LIMITED = """
import resource, sys
from reconciler.errors import StateError
from reconciler.state_store import Journal, open_store

journal = Journal.create(open_store(sys.argv[1]), "run-1")
journal.append([{"number": 1}])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    journal.append([{"text": "x" * 2000}])
except StateError as error:
    print(error, "|", error.hint)
journal.append([{"number": 2}])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
_KILLED = """
import sys
from reconciler.state_store import Journal, open_store

journal = Journal.create(open_store(sys.argv[1]), "run-1")
journal.append([{"number": 1}, {"number": 2}])
print(flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path}/folder/state.json")


def written(store: Store, data: bytes) -> Path:
    path = store.journals / f"{store.journal_prefix}run-1.journal"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


class TestWriting:
    def test_what_is_appended_is_read(self, store: Store) -> None:
        journal = Journal.create(store, "run-1")
        entries = [{"a": 1, "b": [None, "é\u2028\n"]}, {"c": {"d": "\U0001f600"}}]
        journal.append(entries[:1])
        journal.append(entries[1:])
        journal.append([])
        assert read_journal(journal.path) == entries
        assert journal.path.read_bytes().startswith(b'{"a":1,"b":[null,')
        journal.close()

    def test_it_is_private_and_beside_the_state(self, store: Store, tmp_path: Path) -> None:
        journal = Journal.create(store, "run-1")
        journal.close()
        assert journal.path == tmp_path / "folder" / "state.json.run-1.journal"
        assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600

    def test_for_a_state_elsewhere_it_is_in_the_own_folder(self, clone: Any) -> None:
        here = clone()
        Journal.create(open_store("git:origin", folder=here), "run-1").close()
        assert (here / ".reconciler" / ".gitignore").read_text() == "*\n"
        assert found_journals(open_store("git:origin", folder=here))
        assert not found_journals(open_store("git:origin#refs/other", folder=here))

    def test_a_run_has_one(self, store: Store) -> None:
        Journal.create(store, "run-1").close()
        with pytest.raises(StateError, match=f"cannot make the journal .*{os.strerror(17)}"):
            Journal.create(store, "run-1")

    @pytest.mark.parametrize("run", ["", "a.b", "a/b", "../x"])
    def test_a_run_is_no_path(self, run: str, store: Store) -> None:
        with pytest.raises(ValueError, match="no id of a run"):
            Journal.create(store, run)

    def test_removed_it_is_gone(self, store: Store) -> None:
        journal = Journal.create(store, "run-1")
        journal.remove()
        journal.remove()
        assert found_journals(store) == []

    def test_closed_it_takes_no_more(self, store: Store) -> None:
        journal = Journal.create(store, "run-1")
        journal.close()
        journal.close()
        with pytest.raises(StateError, match="is closed"):
            journal.append([{}])

    def test_threads_do_not_mix_their_lines(self, store: Store) -> None:
        journal = Journal.create(store, "run-1")
        barrier = threading.Barrier(4, timeout=20)

        def append(thread: int) -> None:
            barrier.wait()
            for number in range(10):
                journal.append([{"thread": thread, "number": number}] * 3)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(append, range(4)))
        journal.close()
        entries = read_journal(journal.path)
        assert len(entries) == 120
        assert all(entries[at] == entries[at + 1] == entries[at + 2] for at in range(0, 120, 3))

    def test_what_does_not_fit_is_not_there_and_spoils_nothing(self, store: Store) -> None:
        said = subprocess.check_output(
            [sys.executable, "-c", _LIMITED, store.location], text=True, timeout=60
        )
        assert "cannot write the journal" in said
        assert os.strerror(errno.EFBIG) in said
        (path,) = found_journals(store)
        assert read_journal(path) == [{"number": 1}, {"number": 2}]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has such a device")
    def test_a_device_that_takes_nothing_ends_it(self) -> None:
        path = Path("/dev/full")  # cannot be cut back either
        journal = Journal(path, os.open(path, os.O_WRONLY | os.O_APPEND))
        with pytest.raises(StateError, match=os.strerror(errno.ENOSPC)):
            journal.append([{"number": 1}])
        with pytest.raises(StateError, match="is closed"):
            journal.append([{"number": 2}])

    def test_one_that_cannot_even_be_closed_writes_to_no_other_file(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal, close = Journal.create(store, "run-1"), os.close

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def fail_to_close(descriptor: int) -> None:  # as a network drive does: it is closed then
            close(descriptor)
            fail()

        with monkeypatch.context() as broken:
            for name, function in (("write", fail), ("ftruncate", fail), ("close", fail_to_close)):
                broken.setattr(os, name, function)
            with pytest.raises(StateError):
                journal.append([{"number": 1}])
        with (tmp_path / "other").open("xb") as other:  # which gets the number of the journal's
            with pytest.raises(StateError, match="is closed"):
                journal.append([{"number": 2}])
            journal.close()
            other.flush()
        assert not (tmp_path / "other").read_bytes()

    def test_a_killed_run_leaves_what_it_was_told_is_written(
        self, store: Store, python: Any
    ) -> None:
        process = python(_KILLED, store.location)
        process.stdout.readline()
        process.kill()
        process.wait()
        (path,) = found_journals(store)
        assert read_journal(path) == [{"number": 1}, {"number": 2}]

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        store = open_store(f"file:{tmp_path}/file/state.json")
        with pytest.raises(StateError, match="Not a directory"):
            Journal.create(store, "run-1")
        with pytest.raises(StateError, match="Not a directory"):
            found_journals(store)

    def test_one_that_cannot_be_removed(self, store: Store) -> None:
        journal = Journal.create(store, "run-1")
        journal.path.unlink()
        journal.path.mkdir()
        with pytest.raises(StateError, match="cannot remove the journal"):
            journal.remove()

    def test_one_that_somebody_has_removed(self, store: Store) -> None:
        journal = Journal.create(store, "run-1")
        journal.path.unlink()
        store.journals.rmdir()
        journal.remove()


class TestFinding:
    def test_they_are_sorted_and_of_this_state_alone(self, store: Store) -> None:
        assert found_journals(store) == []
        for run in ("2-b", "1-a"):
            Journal.create(store, run).close()
        other = open_store(f"{store.location}.old")
        Journal.create(other, "3-c").close()
        store.write(Key.STATE, b"{}", None, "run")
        assert [path.name for path in found_journals(store)] == [
            "state.json.1-a.journal",
            "state.json.2-b.journal",
        ]
        assert [path.name for path in found_journals(other)] == ["state.json.old.3-c.journal"]


class TestReading:
    @pytest.mark.parametrize(
        "torn", [b"", b"{", b'{"number":3}', b'{"num\n', b"\0\0\0\0", b"\xff\n", b"\n"]
    )
    def test_a_torn_end_is_left_out(self, torn: bytes, store: Store) -> None:
        path = written(store, b'{"number":1}\n{"number":2}\n' + torn)
        assert read_journal(path) == [{"number": 1}, {"number": 2}]

    @pytest.mark.parametrize("data", [b"", b"{", b"{\n"])
    def test_a_journal_may_be_nothing_but_torn(self, data: bytes, store: Store) -> None:
        assert read_journal(written(store, data)) == []

    @pytest.mark.parametrize("end", [b'{"number":3}\n', b'{"number":3}', b"{"])
    @pytest.mark.parametrize("bad", [b"{", b"", b"\xff", b"[" * 100_000])
    def test_any_other_damage_is_told_with_its_place(
        self, bad: bytes, end: bytes, store: Store
    ) -> None:
        path = written(store, b'{"number":1}\n' + bad + b"\n" + end)
        with pytest.raises(StateError, match=f"{path}:2: this line of the journal") as error:
            read_journal(path)
        assert "remove the file" in error.value.hint

    def test_one_that_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(StateError, match="it is not a regular file"):
            read_journal(tmp_path)
        assert read_journal(tmp_path / "missing.journal") == []
