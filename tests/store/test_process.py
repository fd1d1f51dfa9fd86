import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.state_store.process import identity, is_dead

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a /proc")
_WAIT = (
    "from reconciler.state_store.process import identity; print(identity(), flush=True); input()"
)


@pytest.fixture
def other(python: Any) -> Iterator[Any]:
    """Another process, and its name."""
    process = python(_WAIT)
    return process, process.stdout.readline().strip()


def changed(name: str, part: int, value: str) -> str:
    parts = name.split("/")
    parts[part] = value
    return "/".join(parts)


def proc(folder: Path, pid: int) -> Path:
    """What looks like a /proc in which only this process is to be seen."""
    (folder / "self").symlink_to(str(pid))
    (folder / str(pid) / "ns").mkdir(parents=True)
    (folder / str(pid) / "ns" / "pid").touch()
    stat = Path("/proc/self/stat").read_text()
    (folder / str(pid) / "stat").write_text(stat.replace(stat.split()[1], "(a) b) 1 2 (c)"))
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text("boot\n")
    return folder


def test_a_process_has_one_name() -> None:
    boot, namespace, pid, start = identity().split("/")
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert namespace.isdecimal()
    assert pid == str(os.getpid())
    assert start.isdecimal()
    assert identity() == identity()


def test_one_that_runs_is_not_dead(other: Any) -> None:
    assert not is_dead(identity())
    assert not is_dead(other[1])


def test_one_that_was_killed_is_dead_also_before_it_is_buried(other: Any) -> None:
    process, name = other
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(name)
    process.wait()
    assert is_dead(name)


def test_another_with_the_same_number_is_not_it(other: Any) -> None:
    assert is_dead(changed(other[1], 3, "1"))


@pytest.mark.parametrize("part", [0, 1])
def test_on_another_machine_or_in_another_namespace_nothing_is_known(part: int, other: Any) -> None:
    process, name = other
    process.kill()
    process.wait()
    assert not is_dead(changed(name, part, "1"))


@pytest.mark.parametrize("name", ["", "/", "a/b/c", "a/b/c/d", "a/b/c/d/e"])
def test_what_is_no_name_is_not_dead(name: str) -> None:
    assert not is_dead(name)


@pytest.mark.parametrize("pid", ["x", "0", "9" * 30])
def test_what_is_no_number_of_a_process_is_not_dead(pid: str) -> None:
    assert not is_dead(changed(identity(), 2, pid))


def test_without_proc_nothing_is_known(tmp_path: Path, other: Any) -> None:
    assert identity(tmp_path) == ""
    assert not is_dead(other[1], tmp_path)


def test_in_a_proc_of_another_namespace_nothing_is_known(tmp_path: Path) -> None:
    assert identity(proc(tmp_path, os.getpid() + 1)) == ""


def test_a_process_that_is_hidden_is_not_dead_and_one_that_is_gone_is(
    tmp_path: Path, other: Any
) -> None:
    shown = proc(tmp_path, os.getpid())
    process = other[0]
    name = changed(identity(shown), 2, str(process.pid))
    assert name.startswith("boot/")
    assert not is_dead(name, shown)
    process.kill()
    process.wait()
    assert is_dead(name, shown)
