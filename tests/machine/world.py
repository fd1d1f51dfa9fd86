"""The world of a history: an account, two machines that run the tool, one clock for all of them.

Everything is real but time and death. The account is the sandbox behind a socket; the tool is the
command line's own entry, in this process; manifests, state, lock and journals are files. What is
put in between stands where an operating system would:

- **Time** (`Time`) passes only when somebody waits. All share its seconds, as machines share the
  physics; each machine has its own time of day, hours apart from the other's.
- **The boundary** (`Boundary`) sees every effect of a run on what outlives it: each HTTP request,
  when it arrives and when it is done, as the sandbox's witness tells, and each call of the
  operating system that changes a file. A `Gate` counts the effects of one run. At the n-th it can
  kill the run: nothing that the run does from then on reaches anything, `finally` clauses included,
  as with `kill -9`. Or it can let something else happen at that very moment: the whole run of
  another machine, a hand in AlertSite, time, a full disk.
- **Machines** do not see each other's processes (no `/proc/self`), so that a lock whose holder was
  killed looks like the lock of a machine elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from unittest.mock import patch
from urllib.parse import urlsplit

from reconciler import cli
from reconciler.context import Clock
from reconciler.sandbox import (
    PASSWORD,
    USERNAME,
    Abandon,
    Controls,
    Options,
    parse_fault,
    parse_world,
    running,
)
from reconciler.schema import installed_schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
_FIRST_ID = 100_000
_TOKEN_LIFE = 6.0
_PAGE = 3
"""Monitors on a page: most lists have several, and few have many, each of which is a request."""
_DAY = 86400.0
_NOWHERE = "/"
"""Where a sandbox has nothing to show."""
_BUDGET = "[budget]\nmonitors = 1000\npercent = 100\n"
"""A fleet of five must be free to lose all of them: the laws are about what else may go wrong."""


class Killed(BaseException):
    """The process does not exist any more."""


class Time:
    """Seconds that pass only when somebody waits for them.

    They go on from one history to the next: the account's delays are over when they have passed,
    and ids are given again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = 1_000_000.0

    def monotonic(self) -> float:
        return self._seconds

    def go_on(self, seconds: float) -> None:
        with self._lock:
            self._seconds += seconds

    def clock(self, ahead: timedelta, gate: Gate) -> Clock:
        """The clock of one run on a machine whose time of day is ahead of the others'."""

        def now() -> datetime:
            gate.pause()
            return _EPOCH + timedelta(seconds=self._seconds) + ahead

        def monotonic() -> float:
            gate.pause()
            return self._seconds

        def sleep(seconds: float, stop: threading.Event | None) -> None:
            if threading.current_thread().name.startswith("lease"):
                (stop or threading.Event()).wait()  # a run is over before its first heartbeat
            elif gate.is_dead:
                gate.die()
            elif stop is None or not stop.is_set():
                self.go_on(seconds)

        return Clock(now, monotonic, sleep)


class Gate:
    """Counts the effects of one run, and does something at one of them.

    Args:
        number: at which effect, from 1; 0: never.
        act: what happens just before that effect; true if it cannot be yet, but at a later one.
        only: what the names of the effects that count begin with.
    """

    def __init__(
        self, number: int = 0, act: Callable[[Gate], bool | None] | None = None, only: str = ""
    ) -> None:
        self.is_dead = False
        self.count = 0
        self.at = ""
        self.failure: Exception | None = None
        self._number, self._act, self._only = number, act, only
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._actor = 0
        self._is_free = threading.Event()

    def effect(self, name: str) -> None:
        """Called before each effect; raises `Killed` if it does not happen any more."""
        with self._lock:
            self.count += name.startswith(self._only) and not self.is_dead
            is_it = 0 < self._number <= self.count and not self.at and not self.is_dead
            if is_it:
                self.at = name
        if is_it and self._act is not None:
            self._is_free.clear()
            self._actor = threading.get_ident()
            try:
                if self._act(self):
                    self.at = ""
            except Exception as error:  # noqa: BLE001 - to be raised where the tool cannot catch it
                self.failure, self.is_dead = error, True
            finally:
                self._actor = 0
                self._is_free.set()
        if self.is_dead:
            raise Killed

    def pause(self) -> None:
        """Holds the run while another one acts amid it: it may no longer wait for its answer.

        Time is false, and what is left of it for an answer can be less than the act really takes.
        """
        if self._actor not in {0, threading.get_ident()}:
            self._is_free.wait()

    def die(self) -> None:
        """Ends the run where it stands; its other threads end by themselves, without effect."""
        self.is_dead = True
        if threading.get_ident() == self._thread:
            raise Killed


def kill(gate: Gate) -> None:
    """What a gate does to kill its run."""
    gate.is_dead = True


class Boundary:
    """The operating system and the network, as the runs of this process see them."""

    def __init__(self) -> None:
        self._runs: list[Gate] = []
        self._threads: dict[int, list[Gate]] = {}
        self._real: dict[str, Any] = {}
        self._guards: set[int] = set()
        self.counts: Counter[str] = Counter()

    @contextlib.contextmanager
    def crossed_by(self, gate: Gate) -> Iterator[None]:
        """While the block runs, effects of this thread and all requests are those of that run."""
        own = self._threads.setdefault(threading.get_ident(), [])
        self._runs.append(gate)
        own.append(gate)
        try:
            yield
        finally:
            own.pop()
            self._runs.pop()

    def witness(self, moment: str, method: str, path: str) -> None:
        """What the sandbox calls at each moment of a request."""
        if moment == "after" or not self._runs or path == _NOWHERE:
            return  # after an answer the run may be on its way already
        try:
            self._runs[-1].effect(f"{method} {path} {moment}")
        except Killed:
            raise Abandon from None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Puts the boundary in place."""
        wrapped = {
            "open": self._open,
            "close": self._close,
            "write": self._named("write"),
            "ftruncate": self._named("ftruncate"),
            "fsync": self._fsync,
            "replace": self._named("replace"),
            "rename": self._named("rename"),
            "unlink": self._named("unlink"),
            "remove": self._named("remove"),
            "link": self._named("link"),
            "mkdir": self._named("mkdir"),
            "readlink": self._readlink,
        }
        self._real = {name: getattr(os, name) for name in wrapped}
        with contextlib.ExitStack() as stack:
            for name, function in wrapped.items():
                stack.enter_context(patch.object(os, name, function))
            stack.enter_context(patch.object(signal, "signal", _in_main_thread(signal.signal)))
            yield

    def _effect(self, name: str) -> None:
        runs = self._threads.get(threading.get_ident())
        if runs:
            runs[-1].effect(f"file {name}")

    def _named(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def effect(*arguments: Any, **options: Any) -> Any:
            self._effect(f"{name} {Path(str(arguments[0])).name}")
            return real(*arguments, **options)

        return effect

    def _open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if (
            flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            and threading.get_ident() in self._threads
        ):
            name = Path(os.fsdecode(path)).name
            self._effect(f"{'guard' if name.endswith('.guard') else 'open'} {name}")
            found: int = self._real["open"](path, flags, *arguments, **options)
            if name.endswith(".guard"):
                self._guards.add(found)
            return found
        return self._real["open"](path, flags, *arguments, **options)  # type: ignore[no-any-return]

    def _close(self, descriptor: int) -> None:
        self._guards.discard(descriptor)
        self._real["close"](descriptor)

    def _fsync(self, descriptor: int) -> None:
        if self._threads.get(threading.get_ident()):
            self._effect("fsync")  # no power is cut here: the disk need not be asked
        else:
            self._real["fsync"](descriptor)

    def _readlink(self, path: Any, *arguments: Any, **options: Any) -> str:
        if os.fspath(path) == "/proc/self" and self._runs:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/proc/self")
        return self._real["readlink"](path, *arguments, **options)  # type: ignore[no-any-return]

    @property
    def is_guarded(self) -> bool:
        """Whether somebody is in the middle of writing the state: others would wait for it."""
        return bool(self._guards)


class Done(NamedTuple):
    """What one run left behind; the code of a run that was killed is -9."""

    code: int
    out: str
    err: str
    effects: int

    def __str__(self) -> str:
        return f"code {self.code}\n{self.out}{self.err}"

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; None if there is none."""
        return json.loads(self.out) if self.out.strip() else None


class Account:
    """What AlertSite holds, seen and touched by hand: past all faults, without a request."""

    def __init__(self, database: Path, schemas: Mapping[str, Any]) -> None:
        from reconciler.sandbox.monitors import MonitorKind, SecretFields
        from reconciler.sandbox.store import Database

        self._store = Database(database, (), SecretFields("echoed", schemas))
        self._kinds = {
            name: MonitorKind.from_schema(name, schema) for name, schema in schemas.items()
        }
        self._connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)

    def clear(self) -> None:
        self._connection.execute("DELETE FROM monitor")
        self._connection.execute(f"UPDATE sqlite_sequence SET seq = {_FIRST_ID}")  # noqa: S608

    def monitors(self) -> dict[int, dict[str, Any]]:
        """Every monitor as it is now, by its id."""
        rows = self._connection.execute("SELECT id, json FROM monitor ORDER BY id")
        return {number: json.loads(text) for number, text in rows}

    def create(self, kind: str, fields: Mapping[str, Any]) -> int:
        from reconciler.sandbox.monitors import created

        return self._store.add(created(self._kinds[kind], fields))

    def edit(self, number: int, fields: Mapping[str, Any]) -> None:
        from reconciler.sandbox.monitors import edited

        kind = self.monitors()[number]["type"]
        self._store.edit(kind, number, lambda monitor: edited(monitor, fields))

    def delete(self, number: int) -> None:
        self._store.remove(number)

    def close(self) -> None:
        self._connection.close()
        self._store.close()


@dataclass
class Machine:
    """One machine: a clone of the repository, a time of day of its own, a place for its state."""

    world: World
    root: Path
    ahead: timedelta
    state: Path
    files: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> None:
        path = self.root / "monitors" / name
        if self.files.get(name) != text:
            self.files[name] = text
            path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        self.files[name] = text = (self.root / "monitors" / name).read_text(encoding="utf-8")
        return text

    def remove(self, name: str) -> None:
        if self.files.pop(name, None) is not None:
            (self.root / "monitors" / name).unlink()

    def run(self, *arguments: str, gate: Gate | None = None) -> Done:
        """One command line, from its start to its end or its death."""
        return self.world.run(self, arguments, gate or Gate())


class World:
    """All that histories happen in; one for many histories, cleared in between."""

    def __init__(self, folder: Path) -> None:
        self.time = Time()
        self.boundary = Boundary()
        self.counts: Counter[str] = Counter()
        self._folder = folder
        self._controls = Controls()
        self._struck: tuple[str, ...] = ()
        self.nature = self.way = ""
        self.pace = 0.0
        self.is_slow = self.has_lagged = False
        self.has_lied = False
        self._behind_until = 0.0
        self._schemas = installed_schemas().documents
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        database = self._folder / "account.db"
        options = Options(
            schemas=self._schemas,
            database=database,
            controls=self._controls,
            clock=self.time.monotonic,
            token_life=_TOKEN_LIFE,
            witness=self._witness,
        )
        self._stack.enter_context(self.boundary.installed())
        self._urls = [
            self._stack.enter_context(running(replace(options, page_size=size)))
            for size in (None, _PAGE)
        ]
        self._url = self._urls[0]
        self.account = Account(database, self._schemas)
        self._stack.callback(self.account.close)
        return self

    def _witness(self, moment: str, method: str, path: str) -> None:
        if moment == "before":
            self.time.go_on(self.pace)
        self.boundary.witness(moment, method, path)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(
        self,
        nature: str = "",
        *,
        is_paged: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Clears everything for a new history.

        Args:
            nature: what this AlertSite is like for good, as `parse_world` reads it.
            is_paged: whether its list comes in pages.
            environment: of every run, beside what it takes to log in.
        """
        self.nature, self.pace, self._struck = nature, 0.0, ()
        self.becomes("")
        self.time.go_on(_DAY)
        self.settle()  # what was under way in the history before
        self._url = self._urls[is_paged]
        self.is_slow = self.has_lagged = False
        self.has_lied = False
        self.account.clear()
        self._environment = {
            "ALERTSITE_URL": self._url,
            "ALERTSITE_USERNAME": USERNAME,
            "ALERTSITE_PASSWORD": PASSWORD,
            **(environment or {}),
        }
        self.counts[f"nature {nature}{' paged' if is_paged else ''}"] += 1
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)

    def machine(self, name: str, ahead: timedelta, state: str) -> Machine:
        root = self._folder / name
        (root / "monitors").mkdir(parents=True)
        (root / "reconciler.toml").write_text(_BUDGET, encoding="utf-8")
        return Machine(self, root, ahead, self._folder / state / "state.json")

    def strike(self, faults: Sequence[str]) -> None:
        """From now on AlertSite and the way to it have these faults."""
        self._struck = tuple(faults)
        for text in faults:
            self.counts[f"fault {text.partition(' skip')[0]}"] += 1
        self._set()

    @property
    def is_sane(self) -> bool:
        """Whether nothing is wrong but what AlertSite is like for good."""
        return not (self._struck or self.way or self.is_behind)

    @property
    def lag(self) -> float:
        """Seconds until the list shows what is made now."""
        return self._controls.world.lag

    @property
    def is_behind(self) -> bool:
        """Whether AlertSite may show what a monitor was before it was changed."""
        now = self.time.monotonic()
        return self._controls.world.late > 0 or now < self._behind_until

    def becomes(self, way: str) -> None:
        """From now on AlertSite behaves so, as far as the documentation leaves it open."""
        if late := self._controls.world.late:
            self._behind_until = max(self._behind_until, self.time.monotonic() + late)
        self.way = way
        if way:
            self.counts[f"way {way}"] += 1
        self._set()

    def _set(self) -> None:
        ways = [part for part in (self.nature, self.way) if part]
        text = ",".join(dict.fromkeys(",".join(ways).split(","))) if ways else ""
        self._controls.world = parse_world(text)
        # No answer waits for a backend, as nobody lets time pass meanwhile: a proxy gives up.
        slow = ("POST /monitors/* status=504 body=html",) if "backend" in self.way else ()
        self._controls.faults = [parse_fault(text) for text in (*self._struck, *slow)]
        self.is_slow = self.is_slow or bool(slow)
        self.has_lagged = self.has_lagged or bool(slow) or "lag" in self.way
        self.has_lied = self.has_lied or "lies=previous-id" in self.way
        trace(f"  the world: {text} {self._struck}")

    def settle(self) -> None:
        """Lets AlertSite do what it had not done yet and is due, as it does before any answer."""
        if self.is_slow:
            with contextlib.closing(HTTPConnection(urlsplit(self._url).netloc)) as connection:
                connection.request("HEAD", _NOWHERE)
                connection.getresponse().read()

    def monitors(self) -> dict[int, dict[str, Any]]:
        """What AlertSite holds now."""
        self.settle()
        return self.account.monitors()

    def run(self, machine: Machine, arguments: Sequence[str], gate: Gate) -> Done:
        out, err = io.StringIO(), io.StringIO()
        clock = self.time.clock(machine.ahead, gate)
        folder = Path.cwd()
        os.chdir(machine.root)
        handlers = _handlers()
        variables = {**self._environment, "RECONCILER_STATE": f"file:{machine.state}"}
        try:
            with (
                _environment(variables),
                self.boundary.crossed_by(gate),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                code = int(cli.run(arguments, clock))
        except Killed:
            code = -9
        finally:
            _restore(handlers)
            os.chdir(folder)
            gc.unfreeze()
        if gate.failure is not None:
            raise gate.failure
        if gate.is_dead:  # whatever it may have said after its death
            code, out = -9, io.StringIO()
        self.counts[f"run {arguments[0]}"] += 1
        if os.environ.get("MACHINE_TRACE"):
            trace(f"  {machine.root.name}$ {' '.join(arguments)} -> {code} {gate.at}")
            for line in (out.getvalue() + err.getvalue()).splitlines():
                if arguments[0] != "state":
                    trace(f"      {line}")
            for path in sorted(machine.state.parent.glob("*")) if code == -9 else ():
                if path.is_file():
                    trace(f"    {path.name}: {path.read_text(encoding='utf-8')}")
        return Done(code, out.getvalue(), err.getvalue(), gate.count)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables, and all others as they are but for RECONCILER_DEBUG.

    Only what changes is touched: a copy of all for each run takes longer than some runs.
    """
    names = {*variables, "RECONCILER_DEBUG"}
    before = {name: os.environ.pop(name) for name in names & os.environ.keys()}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


def _in_main_thread(real: Callable[..., Any]) -> Callable[..., Any]:
    """Signals are the main thread's; in another one, where a run is nested, nothing happens."""

    def handle(number: int, handler: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return real(number, handler)
        return signal.getsignal(number)

    return handle


def trace(text: str) -> None:
    if os.environ.get("MACHINE_TRACE"):
        sys.__stderr__.write(f"{text}\n")  # type: ignore[union-attr]


def _handlers() -> dict[int, Any]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return {number: signal.getsignal(number) for number in numbers}


def _restore(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
