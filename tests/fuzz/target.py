"""What is fuzzed: a small workspace, an account behind a real socket, and one command line.

Everything is real but time, which passes only when somebody waits. Each run is checked: its exit
code is one of the README's and not that of a bug, it prints nothing that steers a terminal or a
pipeline's runner, its JSON is JSON, it ends before its deadline and takes no more memory than it
may.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler import cli
from reconciler.context import Clock
from reconciler.errors import ExitCode

from listening import QuietHandler, listening

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

DEADLINE = 20.0
"""Seconds that one command line may take; nobody it talks to is slow."""
MOST_MEMORY = 300 * 1024
"""KiB that a run may add to what the process had."""
_MOST_STRIKES = 12
"""How often an account answers oddly; patience with one that is busy has a clock of its own."""
_OURS = re.compile("::(error|warning|notice) (file|title)=")
_JSON = {"--json", "json", "gitlab-codequality", "gitlab-terraform", "sarif"}
_EPOCH = datetime(2026, 3, 1, tzinfo=UTC)


class Answer(NamedTuple):
    """What the account answers to one request."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


class Ran(NamedTuple):
    """What one command line did."""

    code: int
    out: str
    err: str
    seconds: float
    memory: int


class TooLong(BaseException):
    """A command line has not ended before its deadline."""


class BrokenError(AssertionError):
    """A command line did what none may."""


class Account:
    """An account that answers what a case tells it to, and else like AlertSite."""

    def __init__(self) -> None:
        self.url = ""
        self.monitors: dict[int, dict[str, Any]] = {}
        self.odd: Mapping[str, Answer] = {}
        self.strikes = 0

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        path = path.partition("?")[0]
        request = f"{method} {path.removeprefix('/api/v3')}"
        odd = self.odd.get(request if method == "GET" else f"{method} /{request.split('/')[1]}")
        if odd is not None:
            self.strikes += 1
            if self.strikes <= _MOST_STRIKES:
                return odd
        if request == "POST /access-tokens":
            return _json({"access_token": "token"})
        if request == "GET /monitors":
            return _json({"results": list(self.monitors.values())})
        number = path.rpartition("/")[2]
        if method == "POST":
            kind = path.rpartition("/")[2]
            made = max(self.monitors, default=100) + 1
            self.monitors[made] = {**json.loads(body), "id": made, "type": kind}
            return _json({"id": str(made)})
        if not number.isdigit() or int(number) not in self.monitors:
            return _json({"errors": [{"code": "not_found", "message": "no such monitor"}]}, 404)
        if method == "PATCH":
            self.monitors[int(number)].update(json.loads(body))
        elif method == "DELETE":
            del self.monitors[int(number)]
            return _json({"id": number})
        return _json(self.monitors[int(number)])


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(value).encode(), status)


@contextlib.contextmanager
def serving() -> Iterator[Account]:
    """An account on loopback."""
    account = Account()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, or each answer waits 40 ms for the other's

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = account.answer(self.command, self.path, body)
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(answer.body)

        do_GET = do_POST = do_PATCH = do_DELETE = _respond

    with listening(Handler) as place:
        account.url = f"http://{place}/api/v3"
        yield account


def run(folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """One command line in a folder, with its own time."""
    out, err = io.StringIO(), io.StringIO()
    before, here = dict(os.environ), Path.cwd()
    os.environ.update(environment)
    os.chdir(folder)
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    signal.signal(signal.SIGALRM, _too_long)
    memory, began = _memory(), time.monotonic()
    _forget_peak()
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = int(cli.run(arguments, _clock()))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
        gc.unfreeze()
        gc.enable()
    seconds = time.monotonic() - began
    return Ran(code, out.getvalue(), err.getvalue(), seconds, max(0, _peak() - memory))


def check(ran: Ran, arguments: Sequence[str]) -> None:
    """Raises `BrokenError` if the run did what none may."""
    if ran.code == ExitCode.BUG or ran.code not in set(ExitCode):
        raise BrokenError(f"exit code {ran.code}")
    if ran.memory > MOST_MEMORY:
        raise BrokenError(f"{ran.memory // 1024} MiB")
    if "Traceback" in ran.err:
        raise BrokenError("a traceback")
    for text in (ran.out, ran.err):
        odd = {char for char in text if not char.isprintable() and char != "\n"}
        if odd and arguments[0] != "completion":
            raise BrokenError(f"it prints {sorted(map(ascii, odd))}")
        if "##[" in text or "##vso[" in text:
            raise BrokenError("it prints a command of a runner")
    is_github = "github" in arguments
    for line in (ran.err if is_github else ran.out + ran.err).splitlines():
        if line.lstrip().startswith("::"):
            raise BrokenError(f"a line is a command: {line}")
    for line in ran.out.splitlines() if is_github else ():
        if line.lstrip().startswith("::") and not _OURS.match(line):
            raise BrokenError(f"a line is a command of somebody else: {line}")
    if ran.out and _JSON & set(arguments):
        json.loads(ran.out)


def clear(folder: Path) -> None:
    """Removes everything in a folder, whatever it is."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            try:
                shutil.rmtree(path)
            except RecursionError:
                subprocess.run(["rm", "-rf", path], check=True)
        else:
            path.unlink()


def make_deep(folder: bytes, depth: int) -> None:
    """Makes so many folders inside one another, however long their path becomes."""
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        for _ in range(depth):
            os.mkdir(b"d")  # noqa: PTH102 - relative, as the path is too long
            os.chdir(b"d")
    finally:
        os.fchdir(here)
        os.close(here)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


def _too_long(_: int, __: FrameType | None) -> None:
    raise TooLong


def _clock() -> Clock:
    passed = 0.0

    def sleep(seconds: float, stop: threading.Event | None) -> None:
        nonlocal passed
        if threading.current_thread().name.startswith("lease"):
            (stop or threading.Event()).wait()  # a run is over before its first heartbeat
        elif stop is None or not stop.is_set():
            passed += seconds

    return Clock(
        lambda: _EPOCH + timedelta(seconds=passed), lambda: time.monotonic() + passed, sleep
    )


def _status(name: str) -> int | None:
    """KiB that the system says of this process; None where it says nothing."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return None


def _memory() -> int:
    return _status("VmRSS") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _peak() -> int:
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _forget_peak() -> None:
    with contextlib.suppress(OSError):  # elsewhere than on Linux the peak is that of all runs
        Path("/proc/self/clear_refs").write_text("5")
