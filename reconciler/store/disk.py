"""Files that outlive a kill and a power cut: written aside, synced, put in place, folder synced.

Rule: an `OSError` passes through here; who knows what the file is for says so, with `problem`.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler import file_content
from reconciler.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

_PRIVATE = 0o600  # the state names monitors and what watches them
_OWN_FOLDER = ".reconciler"


def problem(what: str, error: OSError, hint: str) -> StateError:
    """An error of the operating system as one of the state's."""
    reason = error.strerror or str(error)
    where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
    return StateError(f"{what}: {reason}{where}", hint)


def make_folder(folder: Path) -> None:
    """Makes the folder if it is missing; one that is this tool's own is kept out of Git."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # true, but no help
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    if folder.name == _OWN_FOLDER:
        with suppress(FileExistsError), (folder / ".gitignore").open("x") as file:
            file.write("*\n")


def read(path: Path) -> bytes | None:
    """The content of a regular file; None if it is missing."""
    try:
        return file_content.read_regular(path)
    except FileNotFoundError:
        return None


def replace(path: Path, data: bytes, backup: Path | None = None) -> None:
    """Puts a file in place whole: whoever reads it finds the old or the new content.

    Args:
        path: what to write; an existing file keeps its permissions.
        data: the new content.
        backup: where the file that is replaced is kept, if there is one.
    """
    aside = path.with_name(f"{path.name}.new")
    try:
        _write_aside(aside, data, like=path)
        if backup is not None and path.exists():
            _keep(path, backup)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes durable which names are in the folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_aside(aside: Path, data: bytes, like: Path) -> None:
    aside.unlink(missing_ok=True)  # of a run that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(aside, flags, _PRIVATE), "wb") as file:
        with suppress(FileNotFoundError):  # a new file stays private
            os.fchmod(file.fileno(), stat.S_IMODE(like.stat().st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _keep(path: Path, backup: Path) -> None:
    """Gives the content of a file that is about to be replaced a second name."""
    aside = backup.with_name(f"{backup.name}.new")
    aside.unlink(missing_ok=True)
    try:
        aside.hardlink_to(path)
    except OSError:  # a file system without hard links; what else is wrong fails here again
        _write_aside(aside, path.read_bytes(), like=path)
    try:
        aside.replace(backup)
    finally:
        aside.unlink(missing_ok=True)  # replacing one name of a file by another leaves both
