"""The processes that the benchmark starts: each has a time limit, and none outlives it.

Rule: every process is started by `process`, which ends it however its block ends: with SIGTERM, and
with SIGKILL if that is not enough. So a run that fails, a run that hangs and an interrupted
benchmark leave nothing behind.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

TOOL = [str(Path(sys.executable).with_name("reconciler"))]
LOGIN = {"ALERTSITE_USERNAME": "demo@example.com", "ALERTSITE_PASSWORD": "demo"}
SECONDS = 120.0
"""How long one run may take: about ten times what the longest takes on a slow machine."""
GRACE = 10.0
"""How long a process has to end after SIGTERM."""
_MEBIBYTE = 1024 * 1024 if sys.platform == "darwin" else 1024
"""In the unit of the system's `ru_maxrss`."""


class Run(NamedTuple):
    """One finished process: wall seconds and peak resident MiB."""

    seconds: float
    mebibytes: float


class RunError(Exception):
    """A process failed; the message tells which, how, and what it wrote to stderr."""


def leave_blocks_on_signals() -> None:
    """Lets SIGTERM and SIGHUP end this program as an exception does, as SIGINT does already."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def run(
    command: Sequence[str],
    folder: Path,
    url: str | None = None,
    *,
    limit: float = SECONDS,
    stdout: int = subprocess.DEVNULL,
) -> Run:
    """Runs a command to its end.

    Raises:
        RunError: it ended with another code than 0, or not within so many seconds.
    """
    with tempfile.TemporaryFile() as stderr:
        started = time.perf_counter()
        with process(command, folder, url, stdout=stdout, stderr=stderr) as running:
            try:
                with _time_limit(limit):
                    _, status, usage = os.wait4(running.pid, 0)
            except TimeoutError:
                problem = f"did not end within {limit:g} seconds"
                raise RunError(_failure(command, folder, problem, stderr)) from None
            seconds = time.perf_counter() - started
            running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode:
            problem = f"ended with {running.returncode}"
            raise RunError(_failure(command, folder, problem, stderr))
    return Run(seconds, usage.ru_maxrss / _MEBIBYTE)


class Reader:
    """Reads what a process writes, and keeps nothing but when that began.

    Attributes:
        began: when the first byte was there; infinite if none came.
    """

    def __init__(self) -> None:
        self.began = math.inf

    def read(self, descriptor: int) -> None:
        """Reads until nobody has the other end any more."""
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            while pipe.read(65536):
                self.began = min(self.began, time.perf_counter())


def run_read(command: Sequence[str], folder: Path, url: str | None = None) -> tuple[Run, float]:
    """As `run`, and the share of its time after which its first output was there."""
    there, here = os.pipe()
    reader = Reader()
    thread = threading.Thread(target=reader.read, args=[there], daemon=True)
    thread.start()
    try:
        started = time.perf_counter()
        finished = run(command, folder, url, stdout=here)
    finally:
        os.close(here)
        thread.join(GRACE)
    return finished, (reader.began - started) / finished.seconds


@contextmanager
def cluster(folder: Path, url: str, workers: int, threads: int) -> Iterator[str]:
    """A Dask scheduler on this machine, with its workers; yields its address.

    Raises:
        RunError: the scheduler did not say its address in time; or, beside the failure of what is
            run on it, one of them had ended.
    """
    dask = str(Path(sys.executable).with_name("dask"))
    with tempfile.TemporaryDirectory(prefix="reconciler-dask-") as name, ExitStack() as stack:
        file = Path(name) / "scheduler.json"
        started: list[tuple[list[str], subprocess.Popen[bytes], IO[bytes]]] = []

        def start(*arguments: str) -> None:
            command = [dask, *arguments, "--no-dashboard"]
            log = stack.enter_context(tempfile.TemporaryFile())
            begun = process(command, folder, url, stdout=subprocess.DEVNULL, stderr=log)
            started.append((command, stack.enter_context(begun), log))

        def ended() -> str:
            return "\n".join(
                _failure(command, folder, f"had ended with {running.returncode}", log)
                for command, running, log in started
                if running.poll() is not None
            )

        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        too_late = time.monotonic() + SECONDS
        while not (file.exists() and file.read_bytes()):
            if started[0][1].poll() is not None or time.monotonic() > too_late:
                raise RunError(ended() or f"{dask} scheduler did not say its address in time")
            time.sleep(0.05)
        address: str = json.loads(file.read_bytes())["address"]
        for _ in range(workers):
            start("worker", address, "--no-nanny", "--nthreads", str(threads))
        try:
            yield address
        except RunError as error:
            raise RunError(f"{error}\n{ended()}".strip()) from None


PEAKS = """
import resource, sys
from distributed import Client
with Client(sys.argv[1], timeout=30) as client:
    of = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(*of.values())
"""


def peaks(address: str) -> list[float]:
    """The peak resident MiB of each worker of a scheduler.

    Raises:
        RunError: they could not be asked.
    """
    command = [sys.executable, "-c", PEAKS, address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise RunError(f"the workers of {address} could not be asked: {done.stderr.strip()}")
    return [float(word) / _MEBIBYTE for word in done.stdout.split()]


@contextmanager
def sandbox(folder: Path, *options: str, limit: float = SECONDS) -> Iterator[str]:
    """A sandbox with the account of that folder; yields its URL.

    Raises:
        RunError: it did not announce itself within so many seconds.
    """
    command = [*TOOL, "sandbox", "--seed-file", "account.json", *options]
    with (
        tempfile.TemporaryFile() as stderr,
        process(command, folder, stdout=subprocess.PIPE, stderr=stderr) as running,
    ):
        assert running.stdout is not None
        try:
            with _time_limit(limit):
                announced = running.stdout.readline().decode().strip()
        except TimeoutError:
            problem = f"did not say its address within {limit:g} seconds"
            raise RunError(_failure(command, folder, problem, stderr)) from None
        if not announced:
            problem = f"ended with {running.wait(GRACE)}"
            raise RunError(_failure(command, folder, problem, stderr))
        try:
            yield announced.partition("=")[2]
        except RunError as error:
            if running.poll() is None:
                raise
            problem = f"had ended with {running.returncode}"
            raise RunError(f"{error}\n{_failure(command, folder, problem, stderr)}") from None


@contextmanager
def process(
    command: Sequence[str],
    folder: Path,
    url: str | None = None,
    *,
    stdout: int,
    stderr: IO[bytes],
    grace: float = GRACE,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block.

    Args:
        command: what to run.
        folder: its current folder.
        url: the sandbox that it is pointed at.
        stdout: as `Popen` takes it.
        stderr: a file; a pipe that nobody reads would stop the process.
        grace: seconds from SIGTERM to SIGKILL.
    """
    with subprocess.Popen(
        command, cwd=folder, env=_environment(url), stdout=stdout, stderr=stderr
    ) as started:
        try:
            yield started
        finally:
            started.terminate()
            try:
                with suppress(subprocess.TimeoutExpired):
                    started.wait(grace)
            finally:  # also when the wait is interrupted
                started.kill()


def _environment(url: str | None) -> dict[str, str]:
    """The caller's, without what would change how the tool behaves."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "CI" and not name.startswith(("ALERTSITE_", "RECONCILER_", "PYTHON"))
    }
    if url is None:
        return kept
    return {**kept, "ALERTSITE_URL": url, **LOGIN}


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raises `TimeoutError` in the block, whatever system call it waits in.

    An alarm rather than a thread or polling: the wait for a process stays one system call, so that
    what is measured is exact.
    """

    def expire(_: int, __: FrameType | None) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _failure(command: Sequence[str], folder: Path, problem: str, stderr: IO[bytes]) -> str:
    stderr.seek(0)
    said = stderr.read().decode(errors="replace").strip() or "(nothing)"
    return f"{' '.join(command)} in {folder} {problem}. Its stderr:\n{said}"
