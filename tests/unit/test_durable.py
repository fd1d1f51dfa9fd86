import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from reconciler import durable

_KILLED = """
import os, signal, sys
from contextlib import nullcontext
from pathlib import Path
from reconciler import durable

folder = Path(sys.argv[1])

def hook(event, arguments):
    is_ours = event in {"os.rename", "os.link"} and str(arguments[1]).startswith(str(folder))
    if is_ours:
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))

sys.addaudithook(hook)
path, data = folder / "new", b"whole"
match sys.argv[3]:
    case "replace":
        durable.replace(path, data)
    case "create":
        durable.create(path, data)
    case "create_all":
        durable.create_all(folder, {"new": data, "b/c": data}, lambda _path: nullcontext())
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start(folder: Path, how: str, number: str) -> subprocess.Popen[bytes]:
    """A process that sends itself a signal when it is about to put a file in place."""
    return subprocess.Popen([sys.executable, "-c", _KILLED, str(folder), number, how])


def killed(folder: Path, how: str) -> None:
    with start(folder, how, "SIGKILL") as process:
        assert process.wait(60) == -signal.SIGKILL


class TestReplacing:
    def test_old_or_new(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        for data in (b"1", b"", b"23" * 100_000):
            durable.replace(path, data)
            assert path.read_bytes() == data
        assert names(tmp_path) == ["a"]

    def test_a_new_file_has_the_mode_that_the_umask_lets_it_have(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            durable.replace(tmp_path / "a", b"")
            durable.create(tmp_path / "b", b"")
            durable.create_all(tmp_path, {"c": b""}, lambda _path: nullcontext())
            durable.replace(tmp_path / "d", b"", mode=durable.PRIVATE)
        finally:
            os.umask(before)
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "abcd"]
        assert modes == [0o640, 0o640, 0o640, 0o600]

    def test_an_old_file_keeps_its_mode(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch(0o751)
        (tmp_path / "a").chmod(0o751)
        durable.replace(tmp_path / "a", b"1", mode=durable.PRIVATE)
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o751

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "a").symlink_to("folder/b")
        durable.replace(tmp_path / "a", b"1")
        durable.replace(tmp_path / "a", b"2")
        assert (tmp_path / "a").is_symlink()
        assert (tmp_path / "folder" / "b").read_bytes() == b"2"
        assert names(tmp_path) == ["a", "folder"]
        assert names(tmp_path / "folder") == ["b"]

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
    def test_what_is_no_file_is_left_alone(
        self, make: Callable[[Path], None], tmp_path: Path
    ) -> None:
        make(tmp_path / "a")
        with pytest.raises(OSError, match="not a regular file"):
            durable.replace(tmp_path / "a", b"1")
        assert names(tmp_path) == ["a"]

    def test_a_name_may_be_as_long_as_names_are(self, tmp_path: Path) -> None:
        durable.replace(tmp_path / ("a" * 255), b"1")
        durable.create(tmp_path / ("b" * 255), b"1")
        assert len(names(tmp_path)) == 2

    def test_many_at_once(self, tmp_path: Path) -> None:
        whole = [str(number).encode() * 10_000 for number in range(8)]

        def write(number: int) -> None:
            durable.replace(tmp_path / "same", whole[number % 8])
            durable.replace(tmp_path / str(number), whole[number % 8])
            assert (tmp_path / "same").read_bytes() in whole

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(100)))
        assert all((tmp_path / str(number)).read_bytes() in whole for number in range(100))
        assert len(names(tmp_path)) == 101


class TestLocking:
    def test_one_at_a_time_and_nothing_is_left(self, tmp_path: Path) -> None:
        path, inside, most = tmp_path / "a.lock", [0], [0]
        path.write_text("")  # a killed process left it

        def work(_: int) -> None:
            with durable.locked(path):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(100)))
        assert (most, names(tmp_path)) == ([1], [])

    def test_nobody_is_locked_out_where_there_are_no_locks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def flock(*_: object) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", flock)
        with durable.locked(tmp_path / "a.lock"), durable.locked(tmp_path / "a.lock"):
            pass
        assert names(tmp_path) == []


class TestCreating:
    def test_what_is_there_stays(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        (tmp_path / "link").symlink_to("nowhere")
        for name in ("a", "link"):
            with pytest.raises(FileExistsError):
                durable.create(tmp_path / name, b"new")
        assert (tmp_path / "a").read_bytes() == b"old"
        assert names(tmp_path) == ["a", "link"]

    def test_all_before_the_one_that_is_there_already(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "b").write_bytes(b"old")
        placed: list[Path] = []
        files = {"a": b"1", "x/b": b"2", "c": b"3"}
        with pytest.raises(FileExistsError) as caught:
            durable.create_all(tmp_path, files, lambda path: placed.append(path) or nullcontext())
        assert caught.value.filename == str(tmp_path / "x" / "b")
        assert placed == [tmp_path / "a", tmp_path / "x" / "b"]
        assert names(tmp_path) == ["a", "x"]
        assert (tmp_path / "x" / "b").read_bytes() == b"old"

    def test_without_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_paths: object, **_more: object) -> None:
            raise OSError(errno.EPERM, "as vfat says it")

        monkeypatch.setattr(os, "link", refuse)
        durable.create(tmp_path / "a", b"1")
        durable.create_all(tmp_path, {"b/c": b"2"}, lambda _path: nullcontext())
        with pytest.raises(FileExistsError):
            durable.create(tmp_path / "a", b"2")
        assert (tmp_path / "a").read_bytes() == b"1"
        assert (tmp_path / "b" / "c").read_bytes() == b"2"
        assert names(tmp_path) == ["a", "b"]

    def test_where_a_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError):
            durable.create_all(tmp_path, {"file/a": b""}, lambda _path: nullcontext())
        assert names(tmp_path) == ["file"]

    def test_a_full_disk_has_none_of_them(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        tiny = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
        if os.geteuid() or subprocess.run(tiny, check=False).returncode:
            pytest.skip("only root can mount a tiny disk")
        try:
            files = {f"a/{number}": b"x" * 10_000 for number in range(20)}
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                durable.create_all(disk, files, lambda _path: nullcontext())
            assert names(disk) == []
            durable.create_all(disk, {"a/1": b"1"}, lambda _path: nullcontext())
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                durable.replace(disk / "a" / "1", b"x" * 100_000)
            assert (disk / "a" / "1").read_bytes() == b"1"
            assert names(disk / "a") == ["1"]
        finally:
            subprocess.run(["umount", str(disk)], check=True)


class TestLeftovers:
    @pytest.mark.parametrize("how", ["replace", "create", "create_all"])
    def test_of_a_killed_run_are_removed_by_the_next(self, how: str, tmp_path: Path) -> None:
        killed(tmp_path, how)
        assert names(tmp_path) == [".reconciler-0.tmp"]
        durable.replace(tmp_path / "other", b"1")
        assert names(tmp_path) == ["other"]

    def test_of_several_runs_are_removed_together(self, tmp_path: Path) -> None:
        stopped = [start(tmp_path, how, "SIGSTOP") for how in ("replace", "create", "create_all")]
        for process in stopped:
            os.waitpid(process.pid, os.WUNTRACED)
        assert names(tmp_path) == [f".reconciler-{number}.tmp" for number in range(3)]
        for process in stopped:
            process.kill()
            process.wait(60)
        durable.create(tmp_path / "other", b"1")
        assert names(tmp_path) == ["other"]

    def test_of_a_run_that_is_alive_are_none(self, tmp_path: Path) -> None:
        with start(tmp_path, "replace", "SIGSTOP") as process:
            os.waitpid(process.pid, os.WUNTRACED)
            durable.replace(tmp_path / "other", b"1")
            assert names(tmp_path) == [".reconciler-0.tmp", "other"]
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 0
        assert names(tmp_path) == ["new", "other"]
        assert (tmp_path / "new").read_bytes() == b"whole"

    def test_what_is_not_ours_stays(self, tmp_path: Path) -> None:
        (tmp_path / ".reconciler-0.tmp").symlink_to("nowhere")
        (tmp_path / ".reconciler-1.tmp").mkdir()
        (tmp_path / ".reconciler-1.tmp" / "a file of somebody").touch()
        os.mkfifo(tmp_path / ".reconciler-2.tmp")
        (tmp_path / ".reconciler-x.tmp").touch()
        before = names(tmp_path)
        durable.replace(tmp_path / "a", b"1")
        durable.create_all(tmp_path, {"b": b"2"}, lambda _path: nullcontext())
        assert names(tmp_path) == [*before, "a", "b"]
        assert names(tmp_path / ".reconciler-1.tmp") == ["a file of somebody"]

    def test_of_somebody_else_stay(self, tmp_path: Path) -> None:
        if os.geteuid():
            pytest.skip("only root can give a file away")
        (tmp_path / ".reconciler-0.tmp").touch()
        os.chown(tmp_path / ".reconciler-0.tmp", 65534, 65534)
        durable.replace(tmp_path / "a", b"1")
        assert names(tmp_path) == [".reconciler-0.tmp", "a"]
