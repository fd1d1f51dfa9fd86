"""What a store promises, whichever place it keeps the state in.

Rule: a store moves bytes and compares versions; it does not know what they say, but for known
secrets, which it keeps out (`redacted`). Every write is a compare-and-swap, and a write that is
reported as failed has not happened as far as can be known.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import ConflictError, StateError
from reconciler.state_store.redacted import cleaned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from reconciler.core.redactor import Redactor


_RUN = re.compile(r"[A-Za-z0-9_-]+")


class Key(StrEnum):
    """One of the two things that a store keeps."""

    STATE = "state"
    LOCK = "lock"


class Held(NamedTuple):
    """What is kept under a key.

    Attributes:
        version: opaque; two of them are equal exactly when nothing was written in between, or the
            same bytes again.
    """

    data: bytes
    version: str


class RunFile(NamedTuple):
    """What is kept of one run, beside the state that it leaves.

    Attributes:
        id: of the run.
        serial: of the state that it leaves, by which runs are sorted.
        data: a JSON document.
        author: who started it, if a pipeline says so; empty if that is the user of this machine.
    """

    id: str
    serial: int
    data: bytes
    author: str = ""

    @property
    def name(self) -> str:
        """That of its file, where each is one."""
        return f"{self.serial:010}.{self.id}.json"


class Store(ABC):
    """Keeps the state and its lock. Every method may be called from several threads at once.

    Attributes:
        location: as the user wrote it, but for a password in it; for messages.
        journals: local folder in which the journals of this store are kept.
        journal_prefix: what the names of those journals begin with.
        redactor: what keeps known secrets out of the store and its journals.
    """

    def __init__(
        self, location: str, journals: Path, journal_prefix: str, redactor: Redactor
    ) -> None:
        self.location = location
        self.journals = journals
        self.journal_prefix = journal_prefix
        self.redactor = redactor

    @abstractmethod
    def read(self, key: Key) -> Held | None:
        """What is kept under the key; None if nothing is.

        Raises:
            StateError: it cannot be read, or is not of this tool.
        """

    def write(
        self, key: Key, data: bytes, expected: str | None, message: str, run: RunFile | None = None
    ) -> str:
        """Puts data under the key in place of what has the version `expected`.

        Args:
            key: which of the two.
            data: the new content. Empty for the lock: it is released, and then there is nothing;
                releasing what is released already is no conflict.
            expected: the version that is to be replaced; None if nothing may be there.
            message: names the run and what it did, where the store keeps a history. With `run` its
                last paragraph are trailers, as Git has them.
            run: is kept with the state, once and for all; one of that id that is kept stays as it
                is.

        Returns:
            The version of what is there now; without meaning after a release.

        Raises:
            ConflictError: something else is there; it was left as it is.
            StateError: it cannot be written, or it is not known whether it was.
        """
        if run is not None:
            author = self.redactor.text(run.author)
            run = run._replace(data=cleaned(run.data, self.redactor), author=author)
        data = cleaned(data, self.redactor)
        return self._write(key, data, expected, self.redactor.text(message), run)

    @abstractmethod
    def _write(
        self, key: Key, data: bytes, expected: str | None, message: str, run: RunFile | None
    ) -> str:
        """See `write`; there is no known secret in it any more."""

    def runs(self) -> tuple[str, ...]:
        """The ids of the runs that are kept, the last one first.

        Raises:
            StateError: they cannot be read.
        """
        return tuple(self._places())

    def run(self, run: str) -> bytes | None:
        """What is kept of a run; None if nothing is.

        Raises:
            StateError: it cannot be read.
        """
        place = self._places().get(run)
        return None if place is None else self._read_run(place)

    @abstractmethod
    def trim(self, most: int) -> None:
        """Removes what is kept of runs beyond the last so many, where each is a file of its own.

        Raises:
            StateError: one cannot be removed.
        """

    @abstractmethod
    def _places(self) -> Mapping[str, str]:
        """Where each run is, such as the name of its file; the last run first."""

    @abstractmethod
    def _read_run(self, place: str) -> bytes | None:
        """What is there of a run; None if it is gone."""

    @abstractmethod
    def backup(self) -> str:
        """A phrase for an error message: where an earlier state can be found."""


def files_of_runs(names: Iterable[str]) -> dict[str, str]:
    """The name of the file of each run, the last run first; other names do not count."""
    found: dict[str, str] = {}
    for name in sorted(names, reverse=True):
        serial, _, rest = name.partition(".")
        if serial.isdecimal() and rest.endswith(".json") and is_run(rest.removesuffix(".json")):
            found.setdefault(rest.removesuffix(".json"), name)
    return found


def is_run(text: str) -> bool:
    """Whether a text can be the id of a run, and so part of a name."""
    return _RUN.fullmatch(text) is not None


@contextmanager
def translated(what: str, hint: str) -> Iterator[None]:
    """Makes an error of the operating system one of the state's."""
    try:
        yield
    except OSError as error:
        reason, name = error.strerror or str(error), error.filename
        where = f" ({os.fsdecode(name)})" if isinstance(name, str | bytes) else ""
        raise StateError(f"{what}: {reason}{where}", hint) from error


def conflict(location: str) -> ConflictError:
    """What a write raises when something else is there than was expected."""
    return ConflictError(
        f"{location} has changed since it was read; it was not overwritten",
        "Run the same command again: it starts from the current state.",
    )


def unknown(location: str, why: str) -> StateError:
    """What a write raises when its answer was lost and cannot be looked up either."""
    return StateError(
        f"it is not known whether {location} was written: {why}",
        "Run the same command again when it can be reached: it starts from the state stored there.",
    )
