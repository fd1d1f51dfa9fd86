"""Events as lines of JSON, in a file or a pipe, each there as soon as it has happened.

A file is begun anew, and one that cannot be written to its end ends with a whole line. What reads a
pipe may be slow, but not for ever: the run is worth more than its log. So after `_PATIENCE` the
pipe gets no more events, as after any failure, and that is said once.

Rule: beside `durable` and the journals this is the one place that writes a file: it only grows.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress
from select import select
from typing import TYPE_CHECKING

from reconciler.context import waiting
from reconciler.core.events import to_json
from reconciler.durable import USUAL
from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.context import Clock
    from reconciler.core.events import Event
    from reconciler.core.redactor import Redactor


_PATIENCE = 5.0
"""Seconds that a pipe may have no reader, or no room."""
_PAUSE = 0.1
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class EventFile:
    """The file or pipe that `--events` names.

    Args:
        path: its name.
        redactor: what takes secrets out of what others say.
        say: is told once if it gets no more events.
        clock: how to wait for who reads a pipe.

    Raises:
        ConfigurationError: it cannot be written.
    """

    def __init__(
        self, path: str, redactor: Redactor, say: Callable[[str], None], clock: Clock
    ) -> None:
        self._path = path
        self._redactor = redactor
        self._say = say
        try:
            self._descriptor: int | None = _opened(path, clock)
        except OSError as error:
            why = "it has no reader" if error.errno == errno.ENXIO else error.strerror
            raise ConfigurationError(
                f"{path} cannot be written: {why}", "Name another file with --events."
            ) from error
        self._is_regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._size = 0

    def take(self, event: Event, at: datetime) -> None:
        """Writes one line."""
        if self._descriptor is None:
            return
        moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = self._redactor.document(json.dumps(to_json(event, moment)), is_shown=True) + "\n"
        data = line.encode()
        try:
            _write(self._descriptor, data)
            self._size += len(data)
        except OSError as error:
            if self._is_regular:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
            self.close()
            why = error.strerror or error
            self._say(f"{self._path} gets no more events: {why}. The run continues.")

    def close(self) -> None:
        """Ends the file."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):  # what is not on the disk by now is no reason to fail
                os.close(descriptor)


def _opened(path: str, clock: Clock) -> int:
    """The file; a pipe may have to wait for its reader."""
    waited = 0.0
    while True:
        try:
            return os.open(path, _FLAGS, USUAL)
        except OSError as error:
            if error.errno != errno.ENXIO or waited >= _PATIENCE:
                raise
        with waiting():
            clock.sleep(_PAUSE, None)
        waited += _PAUSE


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError as error:
            with waiting():
                is_read = select([], [descriptor], [], _PATIENCE)[1]
            if not is_read:
                raise OSError(
                    errno.EAGAIN, f"its reader has read nothing for {_PATIENCE:g} s"
                ) from error
