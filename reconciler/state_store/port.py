"""What a store promises, whichever place it keeps the state in.

Rule: a store moves bytes and compares versions; it does not know what they say. Every write is a
compare-and-swap, and a write that is reported as failed has not happened as far as can be known.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from reconciler.errors import ConflictError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


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


class Store(Protocol):
    """Keeps the state and its lock. Every method may be called from several threads at once.

    Attributes:
        location: as the user wrote it, but for a password in it; for messages.
        journals: local folder in which the journals of this store are kept.
        journal_prefix: what the names of those journals begin with.
    """

    location: str
    journals: Path
    journal_prefix: str

    def read(self, key: Key) -> Held | None:
        """What is kept under the key; None if nothing is.

        Raises:
            StateError: it cannot be read, or is not of this tool.
        """
        ...

    def write(
        self,
        key: Key,
        data: bytes,
        expected: str | None,
        message: str,
        run: RunFile | None = None,
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
        ...

    def runs(self) -> tuple[str, ...]:
        """The ids of the runs that are kept, the last one first.

        Raises:
            StateError: they cannot be read.
        """
        ...

    def run(self, run: str) -> bytes | None:
        """What is kept of a run; None if nothing is.

        Raises:
            StateError: it cannot be read.
        """
        ...

    def trim(self, most: int) -> None:
        """Removes what is kept of runs beyond the last so many, where each is a file of its own.

        Raises:
            StateError: one cannot be removed.
        """
        ...

    def backup(self) -> str:
        """A phrase for an error message: where an earlier state can be found."""
        ...


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


def problem(what: str, error: OSError, hint: str) -> StateError:
    """An error of the operating system as one of the state's."""
    reason = error.strerror or str(error)
    where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
    return StateError(f"{what}: {reason}{where}", hint)


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
