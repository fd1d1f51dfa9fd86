"""What every store promises, shown with each place that a state can be kept in."""

import json
import re
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reconciler.errors import ConflictError, ExitCode, StateError
from reconciler.state_store import Held, Key, RunFile, Store

from stores import content

Python = Callable[..., subprocess.Popen[str]]
EVERYWHERE = pytest.mark.parametrize("place", ["file", "git", "git-daemon", "s3"], indirect=True)
CELLS = pytest.mark.parametrize("key", list(Key))

_COUNT = """
import sys
from pathlib import Path
from reconciler.errors import ConflictError
from reconciler.state_store import Key, open_store

store = open_store(sys.argv[1], folder=Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[3])):
    while True:
        held = store.read(Key.STATE)
        number = int(held.data) if held else 0
        try:
            store.write(Key.STATE, b"%d" % (number + 1), held and held.version, "count")
        except ConflictError:
            continue
        break
"""


def write(store: Store, data: bytes, expected: str | None, key: Key = Key.STATE) -> str:
    return store.write(key, data, expected, "run 1: 1 applied")


def test_at_first_there_is_nothing(place: Any) -> None:
    store = place.open()
    assert store.read(Key.STATE) is None
    assert store.read(Key.LOCK) is None


@CELLS
def test_what_is_written_is_read_with_its_version(place: Any, key: Key) -> None:
    store, other = place.open(), place.open()
    first = write(store, b"one", None, key)
    assert store.read(key) == other.read(key) == Held(b"one", first)
    second = write(store, b"two", first, key)
    assert store.read(key) == other.read(key) == Held(b"two", second)
    assert first != second


def test_any_bytes_are_kept(place: Any) -> None:
    store = place.open()
    data = bytes(range(256)) * 8192
    write(store, data, None)
    assert content(place.open()) == data


def test_the_cells_do_not_know_each_other(place: Any) -> None:
    store = place.open()
    write(store, b"state", None)
    lock = write(store, b"lock", None, Key.LOCK)
    write(store, b"", lock, Key.LOCK)
    assert content(store) == b"state"


@CELLS
def test_nothing_is_overwritten_by_a_first_write(place: Any, key: Key) -> None:
    write(place.open(), b"theirs", None, key)
    with pytest.raises(ConflictError, match="changed since it was read") as error:
        write(place.open(), b"ours", None, key)
    assert content(place.open(), key) == b"theirs"
    assert error.value.exit_code is ExitCode.LOCKED
    assert error.value.hint


@CELLS
def test_nothing_is_overwritten_that_came_after_the_read(place: Any, key: Key) -> None:
    store, other = place.open(), place.open()
    version = write(store, b"one", None, key)
    write(other, b"theirs", version, key)
    with pytest.raises(ConflictError):
        write(store, b"ours", version, key)
    assert content(store, key) == b"theirs"


def test_nothing_is_written_in_place_of_what_has_gone(place: Any) -> None:
    store = place.open()
    version = write(store, b"one", None, Key.LOCK)
    write(place.open(), b"", version, Key.LOCK)
    with pytest.raises(ConflictError):
        write(store, b"two", version, Key.LOCK)
    assert store.read(Key.LOCK) is None


@EVERYWHERE
def test_a_released_lock_is_nothing_and_can_be_taken_again(place: Any) -> None:
    store, other = place.open(), place.open()
    for data in (b"one", b"two"):
        version = write(store, data, None, Key.LOCK)
        write(store, b"", version, Key.LOCK)
        assert other.read(Key.LOCK) is None
    write(other, b"three", None, Key.LOCK)
    assert content(store, Key.LOCK) == b"three"


def test_releasing_what_is_released_is_no_conflict(place: Any) -> None:
    store = place.open()
    version = write(store, b"one", None, Key.LOCK)
    write(place.open(), b"", version, Key.LOCK)
    write(store, b"", version, Key.LOCK)
    assert store.read(Key.LOCK) is None


def test_the_lock_of_another_is_not_released(place: Any) -> None:
    store = place.open()
    version = write(store, b"one", None, Key.LOCK)
    write(place.open(), b"theirs", version, Key.LOCK)
    with pytest.raises(ConflictError):
        write(store, b"", version, Key.LOCK)
    assert content(store, Key.LOCK) == b"theirs"


def test_of_many_that_want_the_lock_one_gets_it(place: Any) -> None:
    stores = [place.open() for _ in range(4)]
    barrier = threading.Barrier(len(stores), timeout=20)

    def take(number: int) -> bool:
        barrier.wait()
        try:
            write(stores[number], b"lock of %d" % number, None, Key.LOCK)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(len(stores)) as pool:
        won = list(pool.map(take, range(len(stores))))
    assert won.count(True) == 1
    assert content(place.open(), Key.LOCK) == b"lock of %d" % won.index(True)


@EVERYWHERE
def test_no_count_of_several_processes_is_lost(place: Any, python: Python) -> None:
    counters = [python(_COUNT, place.location, place.folder(), 2) for _ in range(3)]
    for each in counters:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in counters:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    assert [each.wait(60) for each in counters] == [0, 0, 0]
    assert content(place.open()) == b"6"


def test_one_store_serves_a_save_and_a_renewal_at_once(place: Any) -> None:
    store = place.open()
    barrier = threading.Barrier(2, timeout=20)

    def keep_writing(key: Key) -> str | None:
        barrier.wait()
        version = None
        for number in range(3):
            data = json.dumps([key, number]).encode()
            version = write(store, data, version, key)
            assert store.read(key) == Held(data, version)
        return version

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(keep_writing, Key))


def test_it_says_where_an_earlier_state_is(place: Any) -> None:
    assert re.search("earlier|before", place.open().backup())


def test_journals_of_different_states_differ_in_name(place: Any) -> None:
    store = place.open()
    other = place._replace(location=f"{place.location}x").open()
    assert store.journals == place.open().journals or place.location.startswith("git")
    assert store.journal_prefix == place.open().journal_prefix
    assert store.journal_prefix != other.journal_prefix


def test_an_error_of_the_store_is_one_of_the_state() -> None:
    assert issubclass(ConflictError, StateError)


def test_what_is_kept_of_runs_is_there_once_and_the_last_first(place: Any) -> None:
    store = place.open()
    assert store.runs() == ()
    assert store.run("run-7") is None
    version = None
    for number in range(3):
        run = RunFile(f"run-{9 - number}", number, b'{"number": %d}' % number, "Ann <a@b>")
        data = b'{"serial": %d}' % number
        version = store.write(Key.STATE, data, version, "apply: 1 added\n\nActor: ann", run)
    again = RunFile("run-7", 4, b'{"number": 9}')
    version = store.write(Key.STATE, b'{"serial": 4}', version, "apply\n\nActor: ann", again)
    version = store.write(Key.STATE, b'{"serial": 5}', version, "saved on the way")
    other = place.open()
    assert other.runs() == ("run-7", "run-8", "run-9")
    assert other.run("run-8") == b'{"number": 1}'
    assert other.run("run-7") == b'{"number": 2}'
    assert other.run("../state") is None
    assert other.read(Key.STATE) == Held(b'{"serial": 5}', version)


@pytest.mark.parametrize("place", ["file", "s3"], indirect=True)
def test_only_the_last_runs_are_kept_where_each_is_a_file(place: Any) -> None:
    store, version = place.open(), None
    for number in range(4):
        run = RunFile(f"run-{number}", number, b"{}")
        version = store.write(Key.STATE, b"%d" % number, version, "apply", run)
    store.trim(2)
    assert place.open().runs() == ("run-3", "run-2")
