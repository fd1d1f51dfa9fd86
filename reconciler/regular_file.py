"""Reading a file that may be anything: a pipe, a device, a folder, gigabytes.

Rule: no read waits for somebody who writes, and none takes more memory than it was given.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1024 * 1024


def read(path: str | Path, most: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
        path: the file.
        most: how many bytes it may have; None for any number.

    Raises:
        OSError: it cannot be read, is something else than a regular file, or is too large.
    """
    # A pipe with no writer would otherwise block for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is not a regular file", os.fspath(path))
        chunks, size = [], 0
        while chunk := os.read(descriptor, _CHUNK):
            size += len(chunk)
            if most is not None and size > most:
                raise OSError(None, f"it has more than {most // 1024} KiB", os.fspath(path))
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)
