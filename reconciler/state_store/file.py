"""The state in a file, `file:PATH`, with its lock in `PATH.lock` and its runs in `PATH.runs/`.

Rule: a version is the hash of the content, and comparing and replacing happen under an OS lock on
`PATH.guard`. That lock ends with its process and guards one write; the lease in `PATH.lock` guards
a run. Readers need no lock, since a file is always replaced whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import durable
from reconciler.core.redactor import Redactor
from reconciler.errors import ConfigurationError, StateError
from reconciler.state_store.port import (
    Held,
    Key,
    RunFile,
    Store,
    conflict,
    files_of_runs,
    translated,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


_PATIENCE = 10.0
_PAUSE = 0.01
_READ_HINT = "Check the path and your permission to read it, or use another location with --state."
_WRITE_HINT = (
    "The existing file is unchanged. Free some space or fix the permissions, then run the same "
    "command again."
)


class FileStore(Store):
    """Keeps the state in a file.

    Args:
        location: as the user wrote it.
        path: the file. When it is a link, all that is beside it is beside the file that is meant,
            so that everybody meets at the same lock.
        redactor: see `Store`.
        patience: seconds to wait for another process that is writing.
    """

    def __init__(
        self,
        location: str,
        path: Path,
        redactor: Redactor | None = None,
        *,
        patience: float = _PATIENCE,
    ) -> None:
        path = Path(os.path.realpath(path))
        super().__init__(location, path.parent, f"{path.name}.", redactor or Redactor())
        self._paths = {Key.STATE: path, Key.LOCK: path.with_name(f"{path.name}.lock")}
        self._backup = path.with_name(f"{path.name}.backup")
        self._guard = path.with_name(f"{path.name}.guard")
        self._runs = path.with_name(f"{path.name}.runs")
        self._patience = patience

    def read(self, key: Key) -> Held | None:
        """See `Store`."""
        with translated(f"cannot read {self.location}", _READ_HINT):
            data = durable.read(self._paths[key])
        if data is None or (key is Key.LOCK and not data):
            return None
        return Held(data, _version(data))

    def _write(
        self, key: Key, data: bytes, expected: str | None, message: str, run: RunFile | None
    ) -> str:
        path, is_release = self._paths[key], key is Key.LOCK and not data
        with translated(f"cannot write {self.location}", _WRITE_HINT):
            durable.make_folder(self.journals)
            with self._guarded():
                now = self.read(key)
                if now is None and is_release:
                    return ""
                if (now and now.version) != expected:
                    raise conflict(self.location)
                if is_release:
                    path.unlink(missing_ok=True)
                    durable.sync_folder(self.journals)
                    return ""
                if run is not None:  # first: without it the state stays as it is
                    durable.make_folder(self._runs)
                    if run.id not in self._places():  # a killed run may have come so far
                        durable.create(self._runs / run.name, run.data, mode=durable.PRIVATE)
                backup = self._backup if key is Key.STATE else None
                try:  # private: the state names monitors and what watches them
                    durable.replace(path, data, mode=durable.PRIVATE, backup=backup)
                except OSError:
                    # Syncing the folder may have failed after the file was put in place.
                    if durable.read(path) != data:
                        raise
        return _version(data)

    def trim(self, most: int) -> None:
        """See `Store`."""
        hint = "Remove old runs by hand; the state does not need them."
        with translated(f"cannot remove old runs from {self._runs}", hint):
            for name in [*self._places().values()][most:]:
                (self._runs / name).unlink(missing_ok=True)

    def backup(self) -> str:
        """See `Store`."""
        if not self._backup.exists():
            return f"there is no earlier save in {self._backup}"
        return f"the save before it is in {self._backup}: to use that, copy it over the state"

    def _places(self) -> dict[str, str]:
        with (
            translated(f"cannot read {self._runs}", _READ_HINT),
            suppress(FileNotFoundError),
        ):
            return files_of_runs(path.name for path in self._runs.iterdir())
        return {}

    def _read_run(self, place: str) -> bytes | None:
        with translated(f"cannot read {self._runs / place}", _READ_HINT):
            return durable.read(self._runs / place)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keeps every other writer out, in this process or another."""
        # Writable, as an exclusive lock on NFS asks for that.
        descriptor = os.open(self._guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + self._patience
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise StateError(
                            f"cannot write {self.location}: another process has been writing for "
                            f"{self._patience:g} s ({self._guard})",
                            "Run the same command again. If no other run is active, another "
                            "program has locked that file.",
                        ) from None
                    time.sleep(_PAUSE)
            yield
        finally:
            os.close(descriptor)


def open_file(location: str, path: str, folder: Path, redactor: Redactor) -> FileStore:
    """The store in a file.

    Args:
        location: as the user wrote it.
        path: the part of it that is a path; `///ABSOLUTE` is what is left of a `file:` URL.
        folder: what a relative path starts from.
        redactor: see `Store`.

    Raises:
        ConfigurationError: it names no file.
    """
    if not path or path.endswith("/"):
        raise ConfigurationError(f"{location!r} names no file", "Write file:PATH.")
    if path.startswith("//") and not path.startswith("///"):
        raise ConfigurationError(
            f"{location!r} is on another machine", "Write file:PATH or file:///ABSOLUTE/PATH."
        )
    path = os.path.expanduser(path)  # noqa: PTH111 - never raises
    return FileStore(location, folder / path, redactor)


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
