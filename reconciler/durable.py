"""Files: the one way to write one, and reading one that may be anything.

**Writing.** Aside, synced, put in place, folder synced. Whoever reads a file that is written here
finds all of the old content or all of the new one, and after a kill, a full disk or a power cut
finds the same. New files that belong together are all written aside before the first of them is
put in place, so that a disk that is full leaves none.

What is aside is `.reconciler-NUMBER.tmp` in the same folder: hidden, so that it is no manifest,
and of a fixed length, since the name of what is written may have as many bytes as a name can have.
Its writer holds a lock of the operating system on it (flock(2)), which ends with the process. So
three things hold:

- Two writers never share one: its number is the first that is free.
- A file of that name whose lock is free was left by a run that was killed. The next run that writes
  in the folder removes it. What is locked, is not ours to remove or is something else stays.
- Nobody removes what somebody else has just made. Between looking and removing, whoever removes has
  the lock of the very file that bears the name, and only who has that lock takes the name away.

Where the file system has no such locks, leftovers stay, and files are whole all the same.

**Reading.** A path may lead to a pipe, a device, a folder or gigabytes. No read waits for ever,
and what has no end of its own is given one.

Rule: an `OSError` passes through here; who knows what the file is for says so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager


_CHUNK = 1024 * 1024
_MOST_OF_STREAM = 64 * _CHUNK
_PATIENCE = 30.0
"""Seconds that a pipe may take."""


def read_regular(path: str | Path, most: int | None = None) -> bytes:
    """The content of a regular file, such as one that is found where the tool looks by itself.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than `most` bytes.
    """
    return _read(path, most, only_regular=True)


def read_any(path: str | Path, most: int | None = None) -> bytes:
    """The content of what a person has named: a file, or a pipe such as /dev/stdin.

    Raises:
        OSError: it cannot be read, has more than `most` bytes, or nothing comes through for long.
    """
    return _read(path, most, only_regular=False)


def _read(path: str | Path, most: int | None, *, only_regular: bool) -> bytes:
    # A pipe with no writer would otherwise block for ever, and a terminal could become ours.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            if only_regular:
                raise OSError(None, "it is not a regular file", os.fspath(path))
            most = _MOST_OF_STREAM if most is None else most
        chunks: list[bytes] = []
        size, deadline = 0, time.monotonic() + _PATIENCE
        while True:
            try:
                chunk = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                wait = deadline - time.monotonic()
                if wait <= 0 or not select([descriptor], [], [], wait)[0]:
                    raise OSError(None, f"no data arrived for {_PATIENCE:g} s") from None
                continue
            if not chunk:
                return b"".join(chunks)
            size += len(chunk)
            if most is not None and size > most:
                raise OSError(None, f"it has more than {most // 1024:,} KiB", os.fspath(path))
            chunks.append(chunk)
    finally:
        os.close(descriptor)


PRIVATE = 0o600
"""For its user alone."""
USUAL = 0o666
"""For whoever the user's umask lets read it."""
_OWN_FOLDER = ".reconciler"
_MOST = 1000
"""Files aside in one folder: far more than writers that could be at work there."""
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What some network file systems answer when a folder is synced: they do that by themselves."""
_NO_LINKS = (errno.EPERM, errno.ENOTSUP)
"""What file systems without hard links answer."""


def make_folder(folder: Path) -> None:
    """Makes the folder if it is missing; one that is this tool's own is kept out of Git."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # true, but no help
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    if folder.name == _OWN_FOLDER:
        with suppress(FileExistsError):
            create(folder / ".gitignore", b"*\n")


def read(path: Path) -> bytes | None:
    """The content of a regular file; None if it is missing."""
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None


def replace(path: Path, data: bytes, *, mode: int = USUAL, backup: Path | None = None) -> None:
    """Puts a file in place whole, whether there is one already or not.

    Args:
        path: what to write. An existing file keeps its permissions; of a link, the file that it
            leads to is written.
        data: the new content.
        mode: the permissions of a new file, before the umask.
        backup: where the file that is replaced is kept, if there is one. No two writers may have
            the same backup at once.
    """
    path = Path(os.path.realpath(path))
    try:
        found = path.stat()
    except FileNotFoundError:
        found = None
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise OSError(None, "it is not a regular file", str(path))
    with _file_aside(path.parent, mode if found is None else PRIVATE) as (aside, descriptor):
        if found is not None:
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
        fill(descriptor, data)
        if found is not None and backup is not None:
            _keep(path, backup)
        aside.replace(path)
    sync_folder(path.parent)


def create(path: Path, data: bytes, *, mode: int = USUAL) -> None:
    """Puts a new file in place whole.

    Raises:
        FileExistsError: there is something at its path; it stays as it is.
    """
    with _file_aside(path.parent, mode) as (aside, descriptor):
        fill(descriptor, data)
        _place(aside, path)
    sync_folder(path.parent)


def create_all(
    folder: Path,
    files: Mapping[str, bytes],
    placing: Callable[[Path], AbstractContextManager[None]],
) -> None:
    """Puts new files in place, each of them whole and in the given order.

    All of them are on the disk before the first is put in place: what fails for want of room leaves
    none. Putting them in place can fail half-way, or be killed: then those at the beginning are
    there.

    Args:
        folder: where they all are; it is made if it is missing, as the folders below it are.
        files: by path below the folder.
        placing: gives for the whole path of a file what it is put in place within.

    Raises:
        FileExistsError: there is something at one of the paths; it stays as it is.
    """
    make_folder(folder)
    with _aside(folder, _made_folder) as (aside, _):
        written = [(aside / str(number), folder / name) for number, name in enumerate(files)]
        for (path, _), data in zip(written, files.values(), strict=True):
            path.write_bytes(data)
        for path, _ in written:  # only now, so that one sync writes what many others wait for
            _sync(path)
        for path, target in written:
            with placing(target):
                make_folder(target.parent)
                _place(path, target)
    below = {parent for name in files for parent in Path(name).parents}
    for parent in below:  # with "." for the folder itself
        sync_folder(folder / parent)


def move(source: Path, target: Path) -> None:
    """Gives a file or folder another name, and makes the folders above that.

    Raises:
        FileExistsError: there is something at the target; both stay as they are.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    source.rename(target)
    for folder in {source.parent, target.parent}:
        sync_folder(folder)


def copy(source: Path, target: Path) -> None:
    """Puts a second file with the same content in place, and makes the folders above it.

    Raises:
        FileExistsError: there is something at the target; it stays as it is.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    create(target, read_regular(source), mode=stat.S_IMODE(source.stat().st_mode))


def remove(path: Path) -> None:
    """Takes a file away."""
    path.unlink()
    sync_folder(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lets nobody else in who locks the same path, in this process or another.

    There is a file at the path meanwhile; that of a killed process locks nobody out. Where the file
    system has no locks, everybody is let in.
    """
    while True:
        # Writable, as an exclusive lock on NFS asks for that.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, USUAL)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            break  # there are no locks here
        if _is_at(path, descriptor):
            break
        os.close(descriptor)  # who had the lock before has taken the name away
    try:
        yield
    finally:
        try:
            if _is_at(path, descriptor):  # only who has its lock takes the name away
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Makes durable which names are in the folder."""
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fill(descriptor: int, data: bytes) -> None:
    """Writes all of it to an open file, and makes it durable."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _place(aside: Path, path: Path) -> None:
    """Gives a file that is written its name, unless that is taken."""
    try:
        path.hardlink_to(aside)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            error.filename, error.filename2 = str(path), None
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        aside.rename(path)


def _keep(path: Path, backup: Path) -> None:
    """Gives the content of a file that is about to be replaced a second name."""
    aside = backup.with_name(f"{backup.name}.new")
    aside.unlink(missing_ok=True)
    try:
        aside.hardlink_to(path)
    except OSError:  # a file system without hard links; what else is wrong fails here again
        replace(backup, path.read_bytes(), mode=PRIVATE)
        return
    try:
        aside.replace(backup)
    finally:
        aside.unlink(missing_ok=True)  # replacing one name of a file by another leaves both


def _file_aside(folder: Path, mode: int) -> AbstractContextManager[tuple[Path, int]]:
    """A new file beside those of the folder."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return _aside(folder, lambda path: os.open(path, flags, mode))


def _made_folder(path: Path) -> int:
    """A new folder, open."""
    path.mkdir(0o700)
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:  # another run took it for a leftover
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error


@contextmanager
def _aside(folder: Path, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """The path of what is made under a name of its own in the folder, and itself, open and locked.

    At the end it is gone, unless it has been put in place. What dead runs have left is removed.
    """
    number, descriptor = _made_first_free(folder, make)
    path = _name_aside(folder, number)
    try:
        _remove_leftovers_behind(folder, number)
        yield path, descriptor
    finally:
        try:
            if _is_at(path, descriptor):
                _remove(path)
        finally:
            os.close(descriptor)


def _name_aside(folder: Path, number: int) -> Path:
    return folder / f".reconciler-{number}.tmp"


def _made_first_free(folder: Path, make: Callable[[Path], int]) -> tuple[int, int]:
    """The number of the first name that is free, and what is made there, open and locked.

    Raises:
        OSError: it cannot be made; or no name is free.
    """
    for number in range(_MOST):
        path = _name_aside(folder, number)
        _remove_leftover(path)
        try:
            descriptor = make(path)
        except FileExistsError:  # of a run that is at work, or not ours to remove
            continue
        except OSError as error:
            error.filename = str(folder)  # a name that nobody has heard of would be no help
            raise
        if _lock_made(path, descriptor):
            return number, descriptor
        os.close(descriptor)
    raise OSError(errno.EEXIST, f"{_MOST} files .reconciler-*.tmp already exist", str(folder))


def _lock_made(path: Path, descriptor: int) -> bool:
    """Locks what has just been made; False if another run took it for a leftover before that."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # that run is about to remove it
        return False
    except OSError:
        pass  # where there are no locks, nobody removes it either
    return _is_at(path, descriptor)


def _remove_leftovers_behind(folder: Path, number: int) -> None:
    """Removes what several runs have left that were killed at once, up to the next free name."""
    for other in range(number + 1, _MOST):
        path = _name_aside(folder, other)
        if not os.path.lexists(path):
            break
        _remove_leftover(path)


def _remove_leftover(path: Path) -> None:
    """Removes what a run that is dead has left aside, if it is that."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # nothing is there, as nearly always; or it is a link or not ours, and stays
    try:
        found = os.fstat(descriptor)
        is_kind = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        if is_kind and found.st_uid == os.geteuid():
            with suppress(OSError):  # its writer is alive, or it cannot be removed: it stays
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(path, descriptor):
                    _remove(path)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Removes a file, or a folder with files of ours alone."""
    if not stat.S_ISDIR(path.lstat().st_mode):
        path.unlink()
        return
    for entry in path.iterdir():
        if entry.name.isdecimal():
            entry.unlink()
    path.rmdir()


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file that is open still bears that name."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
