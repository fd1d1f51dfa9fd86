"""What happened in a run since the state was last saved, one JSON value on each line of a file.

Rule: a line that `append` has returned for outlives a kill and a power cut. Only the end of a
journal can be torn, by a run that was killed while it wrote; anything else that is not JSON is
damage.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler import durable
from reconciler.core import json_text
from reconciler.core.redactor import Redactor
from reconciler.errors import StateError
from reconciler.state_store.port import is_run, translated
from reconciler.state_store.redacted import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reconciler.core.model import JSON
    from reconciler.state_store.port import Store


_SUFFIX = ".journal"
_READ_HINT = "Check your permission to read it; it has the results of a run that did not end."
_WRITE_HINT = "Free some space or fix the permissions, then run the same command again."


class Journal:
    """The journal of one run; it may be written to from several threads.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, descriptor: int, redactor: Redactor | None = None) -> None:
        self.path = path
        self._redactor = redactor or Redactor()
        self._descriptor: int | None = descriptor
        self._lock = threading.Lock()

    @classmethod
    def create(cls, store: Store, run: str) -> Journal:
        """A new journal beside the others of the store, which no known secret gets into either.

        Args:
            store: whose journal.
            run: the id of the run: letters, digits, `-` and `_`.

        Raises:
            StateError: the file cannot be made, or is there already.
        """
        if not is_run(run):
            raise ValueError(f"no id of a run: {run!r}")
        path = store.journals / f"{store.journal_prefix}{run}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with translated(f"cannot make the journal {path}", _WRITE_HINT):
            durable.make_folder(path.parent)
            descriptor = os.open(path, flags, 0o600)
            try:
                durable.sync_folder(path.parent)
            except OSError:
                os.close(descriptor)
                raise
        return cls(path, descriptor, store.redactor)

    def append(self, entries: Sequence[Mapping[str, JSON]]) -> None:
        """Writes the entries, all of them durable when it returns.

        Raises:
            StateError: they cannot be written; none of them is there then.
        """
        lines = []
        for entry in entries:  # in ASCII, which can spell every text, even what is no valid Unicode
            line = json.dumps(entry, separators=(",", ":"))
            if self._redactor.holds(line):
                line = json.dumps(without_secrets(entry, self._redactor), separators=(",", ":"))
            lines.append(f"{line}\n")
        data = "".join(lines).encode("ascii")
        with self._lock, translated(f"cannot write the journal {self.path}", _WRITE_HINT):
            if self._descriptor is None:
                raise StateError(
                    f"the journal {self.path} is closed", "Run the same command again."
                )
            size = os.fstat(self._descriptor).st_size
            try:
                durable.fill(self._descriptor, data)
            except OSError:
                # What is half written would spoil the line that comes after it.
                try:
                    os.ftruncate(self._descriptor, size)
                except OSError:
                    descriptor, self._descriptor = self._descriptor, None
                    os.close(descriptor)
                raise

    def close(self) -> None:
        """Ends writing and keeps the file, for the next run to find."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def remove(self) -> None:
        """Ends writing and removes the file: the state has all of it.

        Raises:
            StateError: it cannot be removed.
        """
        self.close()
        remove_journal(self.path)


def found_journals(store: Store) -> list[Path]:
    """The journals of runs that did not end, sorted.

    Raises:
        StateError: their folder cannot be read.
    """
    prefix = store.journal_prefix
    with translated(f"cannot read {store.journals}", _READ_HINT), suppress(FileNotFoundError):
        return sorted(
            path
            for path in store.journals.iterdir()
            if path.name.startswith(prefix)
            and path.name.endswith(_SUFFIX)
            and is_run(path.name[len(prefix) : -len(_SUFFIX)])
        )
    return []


def remove_journal(path: Path) -> None:
    """Removes a journal that the state has all of, if it is still there.

    Raises:
        StateError: it cannot be removed.
    """
    hint = "The state already has its contents: remove it by hand."
    with translated(f"cannot remove the journal {path}", hint), suppress(FileNotFoundError):
        path.unlink()
        durable.sync_folder(path.parent)


def read_journal(path: Path) -> list[JSON]:
    """What a journal says, without a last line that is torn.

    Raises:
        StateError: it cannot be read, or a line before the last is not JSON.
    """
    with translated(f"cannot read the journal {path}", _READ_HINT):
        data = durable.read(path)
    *lines, torn = (data or b"").split(b"\n")
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(json_text.read(line))
        except ValueError as error:
            if number == len(lines) and not torn:
                break
            raise StateError(
                f"{path}:{number}: this line of the journal is damaged",
                "Fix or remove the line, or remove the file if you know that the state has the "
                "results of that run.",
            ) from error
    return entries
