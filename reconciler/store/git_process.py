"""Runs the user's own `git`, so that their credentials, configuration and hooks work.

Rule: every call ends in bounded time, and what git says is cleaned before anybody reads it. Output
goes through files rather than pipes: an ssh connection that is kept open for the next call, or a
hook's background process, inherits a pipe and would keep it open long after git has ended.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from reconciler.store.port import problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TIMEOUT = 120.0
_GRACE = 1.0
_LINES = 5
_LOGIN = re.compile(r"(?<!ssh:)//[^\s/]*@|//[^\s/]*:[^\s/]*@")
# At a terminal Ctrl-C, and the terminal's end, go to every process in the foreground, and would end
# a push half-way.
# Whether a run stops, and when, is decided here. Only what is ignored stays so in a hook's shell.
_DEAF = ("/bin/sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Answer(NamedTuple):
    """How one call of git ended.

    Attributes:
        is_ok: it ended by itself and reported success.
        out: its stdout.
        words: the last lines of its stderr, or what went wrong with the call itself.
    """

    is_ok: bool
    out: bytes
    words: str


class Git:
    """Git in one folder.

    Args:
        folder: in the repository whose configuration counts.
        timeout: seconds that one call may take.
        environment: variables that each call gets beside those of this process.
    """

    def __init__(
        self,
        folder: Path,
        timeout: float = _TIMEOUT,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self._timeout = timeout
        self._environment = environment

    def run(self, *arguments: str, given: bytes = b"") -> Answer:
        """Calls git and waits for its end.

        Args:
            arguments: of the call; the first is the command, or a `-c`.
            given: what it reads from stdin.

        Raises:
            StateError: git cannot be called at all.
        """
        try:
            return self._run(arguments, given)
        except OSError as error:  # no git, or no room in the folder for temporary files
            hint = "Install git, see that it is on the PATH, and that there is room in TMPDIR."
            raise problem("git cannot be called", error, hint) from error

    def _run(self, arguments: tuple[str, ...], given: bytes) -> Answer:
        with (
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
        ):
            stdin.write(given)
            stdin.seek(0)
            process = self._start(arguments, stdin.fileno(), stdout.fileno(), stderr.fileno())
            if not self._wait(process):
                words = f"git did not end within {self._timeout:g} s"
                return Answer(is_ok=False, out=b"", words=words)
            stdout.seek(0)
            stderr.seek(0)
            words = _words(stderr.read(), process.returncode)
            return Answer(process.returncode == 0, stdout.read(), words)

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the process ended by itself in time; it has ended in any case."""
        too_late = time.monotonic() + self._timeout
        # Waiting with a timeout would look every few milliseconds, for as long as most calls take.
        timer = threading.Timer(self._timeout, _end, [process])
        timer.daemon = True
        timer.start()
        try:
            process.wait()
        finally:
            timer.cancel()
            timer.join()
            _end(process)
        return time.monotonic() < too_late

    def _start(
        self, arguments: tuple[str, ...], stdin: int, stdout: int, stderr: int
    ) -> subprocess.Popen[bytes]:
        has_terminal = _has_terminal()
        environment = {**os.environ, "LC_ALL": "C", **self._environment}
        if not has_terminal:
            environment["GIT_TERMINAL_PROMPT"] = "0"
        return subprocess.Popen(  # noqa: S603 - the shell gets the arguments as they are
            [*(_DEAF if has_terminal else ()), "git", *arguments],
            cwd=self._folder,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            # Without a terminal nobody can be asked, so ssh shall not try to; with one, a session
            # of its own would take it away.
            start_new_session=not has_terminal,
        )


def without_login(text: str) -> str:
    """The text without user names, passwords and tokens in its URLs; a user of ssh is no secret."""
    return _LOGIN.sub("//", text)


def _has_terminal() -> bool:
    return os.isatty(0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that has not ended, and what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)  # git passes it on to its own
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _words(stderr: bytes, code: int) -> str:
    """The last lines of what git, the server and the hooks say, as one."""
    text = _ESCAPE.sub("", without_login(stderr.decode("utf-8", "replace")))
    lines = (
        "".join(char for char in line if char.isprintable()).strip() for line in text.splitlines()
    )
    said = [line for line in lines if line][-_LINES:]
    return " / ".join(said) or f"git ended with code {code} and said nothing"
