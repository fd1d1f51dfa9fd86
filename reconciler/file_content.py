"""Reading a file that may be anything: a pipe, a device, a folder, gigabytes.

Rule: no read waits for ever, and what has no end of its own is given one.
"""

from __future__ import annotations

import os
import stat
import time
from select import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1024 * 1024
_MOST_OF_STREAM = 64 * _CHUNK
_PATIENCE = 30.0
"""Seconds that a pipe may take."""


def read_regular(path: str | Path, most: int | None = None) -> bytes:
    """The content of a regular file, such as one that is found where the tool looks by itself.

    Args:
        path: the file.
        most: how many bytes it may have; None for any number.

    Raises:
        OSError: it cannot be read, is something else than a regular file, or is too large.
    """
    return _read(path, most, only_regular=True)


def read_any(path: str | Path, most: int | None = None) -> bytes:
    """The content of what a person has named: a file, or a pipe such as /dev/stdin.

    Args:
        path: the file.
        most: how many bytes it may have; None for any number of a regular file.

    Raises:
        OSError: it cannot be read, is too large, or nothing comes through for too long.
    """
    return _read(path, most, only_regular=False)


def _read(path: str | Path, most: int | None, *, only_regular: bool) -> bytes:
    # A pipe with no writer would otherwise block for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            if only_regular:
                raise OSError(None, "it is not a regular file", os.fspath(path))
            most = _MOST_OF_STREAM if most is None else most
        chunks, size, deadline = [], 0, time.monotonic() + _PATIENCE
        while chunk := _chunk(descriptor, deadline):
            size += len(chunk)
            if most is not None and size > most:
                raise OSError(None, f"it has more than {most // 1024:,} KiB", os.fspath(path))
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def _chunk(descriptor: int, deadline: float) -> bytes:
    """What comes next; nothing at the end."""
    while True:
        try:
            return os.read(descriptor, _CHUNK)
        except BlockingIOError:
            wait = deadline - time.monotonic()
            if wait <= 0 or not select([descriptor], [], [], wait)[0]:
                raise OSError(None, f"nothing came through for {_PATIENCE:g} s") from None
