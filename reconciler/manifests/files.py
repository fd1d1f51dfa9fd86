"""Finding, reading and replacing manifest files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler import durable
from reconciler.core.printable import is_unicode
from reconciler.errors import ConfigurationError, Diagnostic, Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


MAX_BYTES = 16 * 1024 * 1024
"""Size of the largest manifest file: room for tens of thousands of monitors."""
_CHUNK = 64 * 1024
_READ = (".yaml", ".yml")
_MARKS = ("reconciler.toml", ".git")
"""What only the root of a repository has."""
_NO_FILE = "it is not a regular file"
_LINK = "links to folders are not followed; put the folder in its place, or remove the link"
_UNCHANGED = "Nothing was written to it."
_MISSING = (
    "Check the path, and that the command runs in your repository: change to it, or pass -C DIR. "
    "To create one, run: reconciler init"
)
_EMPTY = (
    "Write a manifest there, or run reconciler import. If your manifests are in another folder, "
    "name that."
)


class FoundFiles(NamedTuple):
    """What is at and below some paths.

    Attributes:
        files: the manifest files, sorted.
        overlooked: the files that do not count only for capitals in `.yaml` or `.yml`.
    """

    files: list[str]
    overlooked: list[str]


def find(paths: Sequence[str], *, may_be_empty: bool = False, hint: str = "") -> FoundFiles:
    """The manifest files at and below the paths.

    A path that is a file is taken whatever its name; below a folder, `*.yaml` and `*.yml`
    count, and hidden files and folders do not. Links to folders are not followed, but counted:
    `read` says so, or all that is behind one would be taken for deleted.

    Args:
        paths: files and folders.
        may_be_empty: whether there may be no manifest.
        hint: what to do if a path, or every manifest, is missing; empty for the usual.

    Raises:
        ConfigurationError: a path does not exist, or has the repository in it; or there is no
            manifest file at all, unless there may be none.
    """
    files, overlooked = list[str](), list[str]()
    for given in paths:
        path = os.path.normpath(given) if given else given
        if path and os.path.isdir(path):  # noqa: PTH112 - Path raises where a name is too long
            _check_not_above(path)
            for entry in _walk(path):
                if entry.name.endswith(_READ) or _leads_to_folder(entry):
                    files.append(entry.path)
                elif entry.name.lower().endswith(_READ):
                    overlooked.append(entry.path)
        elif os.path.lexists(path):
            files.append(path)
        else:
            raise ConfigurationError(
                f"{path or '(an empty name)'}: there is no such file or folder", hint or _MISSING
            )
    if not files and not may_be_empty:
        where = ", ".join(paths)
        raise ConfigurationError(
            f"{where}: there are no manifests (*.yaml, *.yml) here", hint or _EMPTY
        )
    return FoundFiles(sorted(dict.fromkeys(files)), overlooked)


def read(path: str) -> bytes | Diagnostic:
    """The bytes of a manifest file, or why it cannot be read."""
    if not is_unicode(path):
        return Diagnostic(Position(path, 1, 1), "file-name", "its name is not UTF-8; rename it")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # or a pipe would block for ever
        try:
            data = _content(descriptor)
            if not data and not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return _unreadable(path, _NO_FILE)
        finally:
            os.close(descriptor)
        data.decode("utf-8")
    except BlockingIOError:  # a pipe that more may come through
        return _unreadable(path, _NO_FILE)
    except IsADirectoryError:
        return _unreadable(path, _LINK)
    except OSError as error:
        return _unreadable(path, error.strerror or str(error))
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        return Diagnostic(Position(path, line, column), "not-utf-8", message)
    if len(data) > MAX_BYTES:
        message = f"a manifest file can have at most {MAX_BYTES // 1024 // 1024} MiB; split it"
        return Diagnostic(Position(path, 1, 1), "too-large", message)
    return data


class Resolving:
    """Finds the file that a path leads to; of many files in one folder, by the way to that."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        """The path without links in it."""
        if os.path.islink(path):  # noqa: PTH114 - as below, text for thousands of files
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)  # noqa: PTH118


def write(path: str, data: bytes, original: bytes | None) -> None:
    """Replaces a file at once: nobody ever sees half of it. A link is followed, the mode is kept.

    Args:
        path: the file.
        data: what it is to hold.
        original: what it holds; None if there is none yet.

    Raises:
        ConfigurationError: the file cannot be written, or no longer holds `original`.
    """
    try:
        if original is None:
            durable.create(Path(path), data)
        else:
            _check_same(path, original)
            durable.replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror or error}",
            f"{_UNCHANGED} Free some space or fix the permissions, then run the same command "
            "again.",
        ) from error


def remove(path: str, original: bytes) -> None:
    """Removes a file; of a link, the link.

    Raises:
        ConfigurationError: the file cannot be removed, or no longer holds `original`.
    """
    try:
        _check_same(path, original)
        durable.remove(Path(path))
    except OSError as error:
        raise ConfigurationError(
            f"cannot remove {path}: {error.strerror or error}",
            f"{_UNCHANGED} Fix the permissions, then run the same command again.",
        ) from error


def _check_same(path: str, original: bytes) -> None:
    with Path(path).open("r+b") as file:  # for writing: a read-only file stays as it is
        found = file.read()
    if found != original:
        raise ConfigurationError(
            f"{path} has changed since it was read",
            f"{_UNCHANGED} Run the same command again.",
        )


def _unreadable(path: str, reason: str) -> Diagnostic:
    return Diagnostic(Position(path, 1, 1), "unreadable", f"cannot read the file: {reason}")


def _content(descriptor: int) -> bytes:
    """What stands in the file, to its end or to where it is too large."""
    chunks, size = [], 0
    while size <= MAX_BYTES and (chunk := os.read(descriptor, _CHUNK)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _check_not_above(folder: str) -> None:
    """Stops at a folder that has the repository in it, with whatever else is on the disk.

    Where the working folder is no repository, it may be one of the manifests that are meant.
    """
    is_repository = any(map(os.path.lexists, _MARKS))
    above, here = os.path.realpath(folder), Path.cwd()
    if Path(above) in here.parents and (is_repository or above == here.anchor):
        raise ConfigurationError(
            f"{folder}: this folder contains the repository and files outside of it",
            "Name a folder of the repository, or change to another repository with -C DIR.",
        )


def _walk(top: str) -> Iterator[os.DirEntry[str]]:
    """What is in a folder and below it, except folders and what is hidden."""
    folders = [top]  # no recursion: a tree may be deeper than Python's stack
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            raise ConfigurationError(
                f"{folder}: cannot read the folder: {error.strerror}",
                "Check the permission to read it.",
            ) from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                yield entry


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link to a folder, which counts as a manifest so that `read` says so."""
    return entry.is_symlink() and os.path.isdir(entry.path)  # noqa: PTH112 - Path raises on loops
