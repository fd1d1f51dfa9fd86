import os
import threading
from pathlib import Path

import pytest

from reconciler import durable


def test_regular_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    assert durable.read_regular(path) == durable.read_any(path) == b"x" * 3_000_000


@pytest.mark.parametrize("read", [durable.read_regular, durable.read_any])
def test_too_large(read: object, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 2049)
    with pytest.raises(OSError, match="it has more than 2 KiB"):
        read(path, 2048)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["pipe", "folder"])
def test_what_is_no_regular_file(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="it is not a regular file"):
        durable.read_regular(tmp_path / name)


def test_pipe_without_a_writer_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert durable.read_any(tmp_path / "pipe") == b""


def test_pipe_is_read_to_its_end() -> None:
    source, sink = os.pipe()
    writer = threading.Timer(0.05, lambda: (os.write(sink, b"late"), os.close(sink)))
    writer.start()
    try:
        assert durable.read_any(f"/dev/fd/{source}") == b"late"
    finally:
        writer.join()
        os.close(source)


def test_pipe_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_PATIENCE", 0.05)
    source, sink = os.pipe()
    try:
        with pytest.raises(OSError, match=r"no data arrived for 0.05 s"):
            durable.read_any(f"/dev/fd/{source}")
    finally:
        os.close(source)
        os.close(sink)


def test_device_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_MOST_OF_STREAM", 10_000_000)
    with pytest.raises(OSError, match="it has more than"):
        durable.read_any("/dev/zero")
