"""The command line against a real sandbox on loopback: in process, or as one if that is tested."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from store.conftest import git, s3, s3_endpoint  # noqa: F401 - fixtures

import reconciler.cli
from reconciler.context import SYSTEM, Clock
from reconciler.sandbox import PASSWORD, USERNAME, Controls, Options, World, parse_fault, running
from reconciler.sandbox.worlds import PLAIN
from reconciler.schema import installed_schemas
from reconciler.state_store import Store, open_store

from measuring import unmeasured_threads

# What the fixtures are that nearly every test takes; each says below what it does.
Run = Callable[..., "Done"]
Start = Callable[..., "Process"]
Sandbox = Callable[..., "Account"]
Fleet = Callable[[int], list[dict[str, Any]]]
Relays = Callable[..., "Account"]
Terminals = Callable[..., "Terminal"]
Places = Callable[[str], "Place"]
Git = Callable[..., str]


KILLS = "kill points"
SEARCHED = "secrets"
_ROOT = Path(__file__).parents[2]
_SECONDS = 45
"""How long any process may take: far more than it needs on a busy machine."""
_COMMON = {"name": "Monitor", "billing_plancode": "UBM - A/A"}
_ROUND_TRIP = {
    "smtp_hostname": "smtps://smtp.example.com:465",
    "pop3_hostname": "pop3s://pop.example.com:995",
    "email": "probe@example.com",
}


def _required(kind: str) -> dict[str, Any]:
    own = _ROUND_TRIP if kind == "email-round-trip" else {"hostname": "mail.example.com"}
    return {**_COMMON, **own}


def manifest(
    kind: str,
    name: str,
    number: int | None = None,
    /,
    *,
    labels: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
    **spec: Any,
) -> str:
    """One manifest as text: with what its kind requires, and these fields."""
    lines = ["apiVersion: reconciler/v1", f"kind: {kind}", "metadata:", f"  name: {name}"]
    if number is not None:
        lines.append(f"  id: {number}")
    if labels is not None:
        lines.append(f"  labels: {json.dumps(labels)}")
    lines.append("spec:")
    fields = _required(kind) | spec
    lines += [f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    if extra is not None:
        lines.append(f"extra: {json.dumps(extra)}")
    return "\n".join(lines) + "\n"


def monitor(kind: str, number: int, /, **fields: Any) -> dict[str, Any]:
    """One monitor as GET returns it; without other fields, the one that `manifest` describes."""
    return {"id": number, "type": kind, **_required(kind), **fields}


def _signalled(process: subprocess.Popen[str], number: signal.Signals | None) -> None:
    if number is not None:
        process.send_signal(number)


@dataclass(frozen=True)
class Done:
    """What one run of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def expect(self, code: int, **words: str | Sequence[str]) -> Done:
        """The run; fails, with all it printed, unless it ended so and said these words.

        Args:
            code: the exit code.
            words: what is in a stream, by its name: `out`, `err`, or `text` for both.
        """
        __tracebackhide__ = True
        assert self.code == code, self
        for stream, wanted in words.items():
            for word in (wanted,) if isinstance(wanted, str) else wanted:
                assert word, f"every {stream} has no words"
                assert word in getattr(self, stream), self
        return self

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Workspace:
    """A folder with manifests below `monitors/`; the current folder of every run."""

    root: Path

    def write(self, name: str, text: str | bytes) -> None:
        path = self.root / "monitors" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def describe(self, kind: str, name: str, /, *arguments: Any, **fields: Any) -> None:
        """Writes a manifest, as `manifest` makes it, into a file of its name."""
        self.write(f"{name}.yaml", manifest(kind, name, *arguments, **fields))

    def remove(self, name: str) -> None:
        (self.root / "monitors" / name).unlink()

    def settings(self, text: str) -> None:
        """Writes the settings of the project."""
        (self.root / "reconciler.toml").write_text(text, encoding="utf-8")

    def change(self, old: str, new: str) -> None:
        """Changes the settings of the project."""
        path = self.root / "reconciler.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text, (old, text)
        self.settings(text.replace(old, new))

    def read(self, name: str) -> str:
        return (self.root / "monitors" / name).read_text(encoding="utf-8")

    def json(self, name: str) -> Any:
        """What a file of JSON in the folder holds."""
        return json.loads((self.root / name).read_bytes())

    def replace(self, name: str, old: str, new: str) -> None:
        path = self.root / "monitors" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (old, text)
        path.write_text(text.replace(old, new), encoding="utf-8")

    @property
    def kept(self) -> Path:
        """The file that the state is in where no other place is named."""
        return self.root / ".reconciler" / "state.json"

    def state(self) -> Any:
        """What is in it."""
        return json.loads(self.kept.read_bytes())

    def save(self, state: Any) -> None:
        """Puts that in it."""
        self.kept.parent.mkdir(exist_ok=True)
        self.kept.write_text(state if isinstance(state, str) else json.dumps(state))

    def bound(self) -> dict[str, int]:
        """The id in each record, by the name in its address."""
        records = self.state()["records"].items()
        return {address.rpartition("/")[2]: record["id"] for address, record in records}


@dataclass(frozen=True)
class Account:
    """One sandbox: how to reach it, what it was asked and what it holds."""

    url: str
    log: Path
    login: Mapping[str, str] = field(
        default_factory=lambda: {"ALERTSITE_USERNAME": USERNAME, "ALERTSITE_PASSWORD": PASSWORD}
    )
    runner: Run | None = None
    """What runs a command line; see the fixture `run`."""
    controls: Controls = field(default_factory=Controls)

    @property
    def env(self) -> dict[str, str]:
        return {"ALERTSITE_URL": self.url, **self.login}

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, **how: Any) -> Done:
        """Runs the command line with the login of the account."""
        assert self.runner is not None
        return self.runner(*arguments, env=self.env | dict(env or {}), **how)

    def apply(self, *arguments: str, **how: Any) -> Done:
        """Runs `apply` without asking."""
        return self.run("apply", "--auto-approve", *arguments, **how)

    def fail(self, *faults: str) -> None:
        """Sets the faults of the sandbox from now on."""
        self.controls.faults = tuple(map(parse_fault, faults))

    def requests(self, method: str = "") -> list[dict[str, Any]]:
        """Every request so far, or those of one method."""
        lines = self.log.read_text(encoding="utf-8").split("\n")[:-1]
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if method in {"", entry["method"]}]

    def patches(self) -> list[tuple[str, Any]]:
        """Path and body of every PATCH so far."""
        return [(entry["path"], entry["body"]) for entry in self.requests("PATCH")]

    def creates(self) -> list[str]:
        """The path of every create that was sent."""
        return [it["path"] for it in self.requests("POST") if it["path"] != "/access-tokens"]

    def writes(self, since: int = 0) -> list[str]:
        """Those of `calls`, after so many, that were to change something."""
        reads = ("GET ", "POST /access-tokens")
        return [call for call in self.calls()[since:] if not call.startswith(reads)]

    def calls(self) -> list[str]:
        """Method and path of every request so far."""
        return [f"{entry['method']} {entry['path']}" for entry in self.requests()]

    def wait_for(self, method: str, count: int = 1) -> None:
        """Returns as soon as so many requests of the method have been answered."""
        deadline = time.monotonic() + _SECONDS
        while len(self.requests(method)) < count:
            assert time.monotonic() < deadline, self.calls()
            time.sleep(0.01)

    def token(self) -> str:
        """A new token for the login; it shows in the requests."""
        username, password = self.login.values()
        answer = self._ask("POST", "/access-tokens", {"username": username, "password": password})
        token: str = answer["access_token"]
        return token

    def live(self, number: int) -> dict[str, Any]:
        """One monitor as it is now."""
        monitor: dict[str, Any] = self._ask("GET", f"/monitors/{number}", token=self.token())
        return monitor

    def monitors(self) -> list[dict[str, Any]]:
        """Every monitor as it is now."""
        found: list[dict[str, Any]] = self._ask("GET", "/monitors", token=self.token())["results"]
        return found

    def names(self) -> list[str]:
        """The names of all monitors, in order."""
        return sorted(monitor["name"] for monitor in self.monitors())

    def ports(self) -> dict[int, Any]:
        """The port of every monitor, by its id."""
        return {monitor["id"]: monitor["port"] for monitor in self.monitors()}

    def edit(self, kind: str, number: int, **fields: Any) -> None:
        """Changes a monitor as somebody else would."""
        self._ask("PATCH", f"/monitors/{kind}/{number}", fields, token=self.token())

    def create(self, kind: str, **fields: Any) -> int:
        """Makes a monitor, with what its kind requires, as somebody else would; its id."""
        body = _required(kind) | fields
        return int(self._ask("POST", f"/monitors/{kind}", body, token=self.token())["id"])

    def delete(self, number: int) -> None:
        """Deletes a monitor as somebody else would."""
        self._ask("DELETE", f"/monitors/{number}", token=self.token())

    def _ask(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.netloc, timeout=10)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {token}"}
            connection.request(method, parts.path + path, json.dumps(body), headers)
            answer = connection.getresponse()
            assert answer.status in {200, 204}, (method, path, answer.status)
            return json.loads(answer.read() or "null")


class Process:
    """A run that is still going on."""

    def __init__(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], stdout: int
    ) -> None:
        self.popen = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._watchdog = threading.Timer(_SECONDS, self.popen.kill)
        self._watchdog.start()

    def read_until(self, word: str, *, stream: str = "stderr") -> str:
        """What the stream says up to and including the line with that word."""
        seen = ""
        for line in getattr(self.popen, stream):
            seen += line
            if word in line:
                return seen
        raise AssertionError(f"{word!r} is not in {seen!r}")

    def finish(self, number: signal.Signals | None = None) -> Done:
        """Sends the signal and waits for the end."""
        _signalled(self.popen, number)
        out, err = self.popen.communicate()
        done = Done(self.popen.returncode, out or "", err)
        assert "Traceback" not in done.text
        return done

    def end(self) -> None:
        self._watchdog.cancel()
        self._watchdog.join()
        with self.popen:
            self.popen.kill()


class Terminal:
    """A run whose three streams are one terminal, or only some of them."""

    def __init__(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], *, stdout: int | None
    ) -> None:
        self._master, slave = pty.openpty()
        try:
            self.popen = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=slave,
                stdout=slave if stdout is None else stdout,
                stderr=slave,
                start_new_session=True,
            )
        finally:
            os.close(slave)
        self._deadline = time.monotonic() + _SECONDS
        self.screen = ""

    def wait_for(self, word: str) -> None:
        while word not in self.screen:
            assert self._read(), f"{word!r} is not in {self.screen!r}"

    def interrupt(self) -> None:
        """Sends SIGINT; again where Python, just before it blocks, has not noticed."""
        while "Interrupted" not in self.screen:
            self.popen.send_signal(signal.SIGINT)
            self._read(within=1.0)

    def hang_up(self) -> None:
        """Takes the terminal away, and says so as the system does."""
        os.close(self._master)
        self._master = -1
        self.popen.send_signal(signal.SIGHUP)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def finish(self) -> int:
        """The exit code; all that was shown is then in `screen`."""
        while self._read():
            pass
        assert "Traceback" not in self.screen
        return self.popen.wait(timeout=_SECONDS)

    def end(self) -> None:
        if self._master >= 0:
            os.close(self._master)
        with self.popen:
            self.popen.kill()

    def _read(self, within: float | None = None) -> bool:
        left = self._deadline - time.monotonic()
        assert left > 0, f"nothing more than {self.screen!r}"
        ready, _, _ = select.select([self._master], [], [], left if within is None else within)
        if not ready:
            return True
        try:
            data = os.read(self._master, 4096)
        except OSError:  # how Linux says that the other side has closed
            return False
        self.screen += data.decode()
        return bool(data)


@pytest.fixture
def base_env(tmp_path: Path) -> dict[str, str]:
    """The environment that every run starts from: nothing of the caller's."""
    # Servers in tests answer within 2 s: a create without an answer need not be waited for longer.
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RECONCILER_TIMEOUT": "2s"}


@pytest.fixture(scope="session")
def executable() -> list[str]:
    """The command line up to its own arguments."""
    return [sys.executable, "-m", "reconciler"]


@pytest.fixture(scope="session")
def schemas() -> dict[str, Any]:
    return installed_schemas().documents


def files(folder: Path) -> dict[str, bytes]:
    """What is in each file below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def allow_all_losses(folder: Path) -> None:
    """Sets a budget that nothing exceeds: a test of something else may change a whole fleet."""
    path = folder / "reconciler.toml"
    path.write_text("[budget]\nmonitors = 1000000\npercent = 100\n", encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A folder without manifests yet."""
    root = tmp_path / "work"
    (root / "monitors").mkdir(parents=True)
    allow_all_losses(root)
    return Workspace(root)


@pytest.fixture
def kept(workspace: Workspace) -> Path:
    """The file that the state is in."""
    return workspace.kept


@pytest.fixture
def sandbox(tmp_path: Path, schemas: dict[str, Any], run: Run) -> Iterator[Sandbox]:
    """Starts a sandbox with a request log, this seed and these faults."""
    with contextlib.ExitStack() as stack:
        count = 0

        def start(
            *seed: Mapping[str, Any],
            world: World = PLAIN,
            faults: Sequence[str] = (),
            **options: Any,
        ) -> Account:
            nonlocal count
            count += 1
            log = tmp_path / f"requests-{count}.jsonl"
            controls = Controls(world, map(parse_fault, faults))
            prepared = Options(
                schemas=schemas, seed=seed, request_log=log, controls=controls, **options
            )
            with unmeasured_threads():  # `tests/sandbox` measures it
                url = stack.enter_context(running(prepared))
            return Account(url, log, runner=run, controls=controls)

        yield start


@pytest.fixture
def fleet(workspace: Workspace) -> Fleet:
    """Writes so many SMTP manifests that want port 587; returns live monitors with port 25.

    Their ids are 1, 2, …; their names, in the same order, are relay-01, relay-02, …
    """

    def write(count: int) -> list[dict[str, Any]]:
        numbers = range(1, count + 1)
        texts = [manifest("email-smtp", f"relay-{id_:02}", id_, port=587) for id_ in numbers]
        workspace.write("fleet.yaml", "---\n".join(texts))
        return [monitor("email-smtp", id_, port=25) for id_ in numbers]

    return write


@pytest.fixture
def relays(fleet: Fleet, sandbox: Sandbox) -> Relays:
    """Starts a sandbox with so many monitors that `fleet` wants changed, and these others."""

    def start(count: int, *others: Mapping[str, Any], **options: Any) -> Account:
        return sandbox(*fleet(count), *others, **options)

    return start


@pytest.fixture
def creating(workspace: Workspace, sandbox: Sandbox) -> Sandbox:
    """Starts a sandbox, and writes manifests of so many new monitors, new-1, new-2, …"""

    def start(count: int, *seed: Mapping[str, Any], **options: Any) -> Account:
        numbers = range(1, count + 1)
        texts = [
            manifest("email-smtp", f"new-{number}", name=f"New {number}") for number in numbers
        ]
        workspace.write("new.yaml", "---\n".join(texts))
        return sandbox(*seed, **options)

    return start


@pytest.fixture
def three(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Three monitors as last applied: `one` and `two` with ids, `three` (100001) without."""
    wanted = {"port": 587, "note": "n", "locations": [{"id": 20}, {"id": 10}], "home_location": 10}
    workspace.describe("email-smtp", "one", 1, **wanted)
    workspace.describe("email-smtp", "two", 2, **wanted)
    extra = {"x": {"a": 1, "b": [1, 2]}}
    workspace.describe("email-smtp", "three", name="Three", extra=extra, **wanted)
    account = sandbox(*(monitor("email-smtp", number, port=25) for number in (1, 2)))
    assert account.apply().code == 0
    return account


@pytest.fixture
def run(workspace: Workspace, base_env: dict[str, str], request: pytest.FixtureRequest) -> Run:
    """Runs the command line to its end in this process, with this environment only.

    Environment, folder and streams belong to the whole process, so only one runs at a time. Runs
    that are many at once, or whose end is that of a process, take `run_process` or `start`. The
    runs of a test that uses `hurried` are on that clock if they are given no other.
    """
    usual = request.getfixturevalue("hurried") if "hurried" in request.fixturenames else SYSTEM

    def to_its_end(
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        clock: Clock = usual,
    ) -> Done:
        out, err = _stream(), _stream()
        with (
            _as_if(base_env | dict(env or {}), cwd or workspace.root),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = reconciler.cli.run(arguments, clock)
        done = Done(int(code), _text(out), _text(err))
        assert "Traceback" not in done.text
        return done

    return to_its_end


@pytest.fixture
def hurried() -> Clock:
    """A clock on which waiting takes no time: where nothing changes while the tool waits."""
    passed = 0.0

    def sleep(seconds: float, _stop: threading.Event | None = None) -> None:
        nonlocal passed
        passed += max(0.0, seconds)

    return SYSTEM._replace(monotonic=lambda: time.monotonic() + passed, sleep=sleep)


@pytest.fixture
def half_made(sandbox: Sandbox, workspace: Workspace, hurried: Clock) -> Account:
    """Of two monitors, a was deleted by hand; the run that created it again has not seen how."""
    is_away = threading.Event()

    def witness(_moment: str, method: str, path: str) -> None:
        if is_away.is_set() and method == "POST" and path != "/access-tokens":
            account.fail("GET /monitors* status=503", "POST /monitors/* status=504")

    account = sandbox(witness=witness)
    for new in ("a", "b"):
        workspace.describe("email-smtp", new, name=new)
    assert account.apply().code == 0
    number = next(item["id"] for item in account.monitors() if item["name"] == "a")
    account.delete(number)
    is_away.set()
    assert "unconfirmed" in account.apply(clock=hurried).text
    is_away.clear()
    account.fail()
    return account


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode()


@contextlib.contextmanager
def _as_if(environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    """Lets a block find this environment and folder, no input, and a limit on its time."""
    assert threading.current_thread() is threading.main_thread()
    before, place, stdin = dict(os.environ), Path.cwd(), sys.stdin
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in numbers}
    alarm = signal.signal(signal.SIGALRM, _take_too_long)
    try:
        with Path(os.devnull).open(encoding="utf-8") as nothing:
            sys.stdin = nothing
            os.chdir(folder)
            _set_environment(environment)
            signal.alarm(_SECONDS)
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, alarm)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.stdin = stdin
        _set_environment(before)
        os.chdir(place)


def _set_environment(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _take_too_long(*_: object) -> None:
    raise TimeoutError(f"it takes longer than {_SECONDS} s")


@pytest.fixture
def complete(run: Run) -> Callable[..., list[str]]:
    """Completes the last word of a line, as the script for bash asks for it."""

    def offered(words: str, **env: str) -> list[str]:
        count = len(words.split()) - (not words.endswith(" "))
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(count)}
        done = run(env={"_RECONCILER_COMPLETE": "bash_complete", **asked, **env})
        assert (done.code, done.err) == (0, "")
        return [line.removeprefix("plain,") for line in done.out.splitlines() if line]

    return offered


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for the PATH, which has the tool."""
    folder = tmp_path / "tools"
    folder.mkdir()
    command = f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n'
    (folder / "reconciler").write_text(command, encoding="utf-8")
    (folder / "reconciler").chmod(0o755)
    return folder


@pytest.fixture
def start(workspace: Workspace, base_env: dict[str, str], executable: list[str]) -> Iterator[Start]:
    """Starts the command line and goes on."""
    with contextlib.ExitStack() as stack:

        def going_on(
            *arguments: str,
            env: Mapping[str, str] | None = None,
            cwd: Path | None = None,
            stdout: int = subprocess.PIPE,
        ) -> Process:
            environment = base_env | dict(env or {})
            command = [*executable, *arguments]
            process = Process(command, cwd or workspace.root, environment, stdout)
            stack.callback(process.end)
            return process

        yield going_on


@pytest.fixture
def run_process(start: Start) -> Run:
    """Runs the command line as a process to its end, with this environment only."""
    return lambda *arguments, **how: start(*arguments, **how).finish()


@pytest.fixture
def terminal(
    workspace: Workspace, base_env: dict[str, str], executable: list[str]
) -> Iterator[Callable[..., Terminal]]:
    """Starts the command line on a terminal; stdout may go elsewhere."""
    with contextlib.ExitStack() as stack:

        def on_terminal(
            *arguments: str, env: Mapping[str, str] | None = None, stdout: int | None = None
        ) -> Terminal:
            environment = base_env | {"TERM": "xterm"} | dict(env or {})
            shown = Terminal([*executable, *arguments], workspace.root, environment, stdout=stdout)
            stack.callback(shown.end)
            return shown

        yield on_terminal


@dataclass(frozen=True)
class Place:
    """Somewhere to keep a state.

    Attributes:
        location: as `--state` takes it.
        env: what reaching it takes.
        machine: makes the folder that one more machine works in; its manifests go to `monitors`.
    """

    location: str
    env: Mapping[str, str]
    machine: Callable[[], Workspace]

    def store(self, at: Workspace) -> Store:
        """The store, as that machine reaches it."""
        return open_store(self.location, folder=at.root)


@pytest.fixture
def places(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Place]:
    """Makes one more place of the kind `file`, `git` or `s3`, empty and used by nobody else."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    counts = itertools.count(1)

    def folder(name: str) -> Path:
        return tmp_path / f"{name}-{next(counts)}"

    def bare_folder() -> Workspace:
        made = Workspace(folder("machine"))
        (made.root / "monitors").mkdir(parents=True)
        allow_all_losses(made.root)
        return made

    def one_more(kind: str) -> Place:
        if kind == "file":
            return Place(f"file:{folder('shared')}/state.json", {}, bare_folder)
        if kind == "s3":
            location = request.getfixturevalue("s3")
            key = f"{folder(tmp_path.name).name}/state.json"
            env = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
            return Place(location(key), env, bare_folder)
        call = request.getfixturevalue("git")
        remote = folder("remote.git")
        call(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))

        def clone() -> Workspace:
            made = folder("clone")
            call(tmp_path, "clone", "--quiet", remote.as_uri(), str(made))
            (made / "monitors").mkdir(exist_ok=True)
            allow_all_losses(made)
            (made / ".git" / "info" / "exclude").write_text("reconciler.toml\n", encoding="utf-8")
            return Workspace(made)

        return Place("git:origin", {"GIT_CONFIG_NOSYSTEM": "1"}, clone)

    return one_more


@pytest.fixture
def serving(
    tmp_path: Path, schemas: dict[str, Any]
) -> Callable[..., contextlib.AbstractContextManager[Account]]:
    """Serves an account with this seed while a block runs; several threads may ask for one."""

    @contextlib.contextmanager
    def serve(*seed: Mapping[str, Any], **options: Any) -> Iterator[Account]:
        with running(Options(schemas=schemas, seed=seed, **options)) as url:
            yield Account(url, options.get("request_log", tmp_path / "no-log"))

    return serve


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at how many moments runs were killed, and where secrets were looked for."""
    properties = [
        it for report in terminalreporter.getreports("passed") for it in report.user_properties
    ]
    counts = [value for name, value in properties if name == KILLS]
    if counts:
        terminalreporter.write_line(f"{KILLS}: {sum(counts)}")
    for name, value in properties:
        if name == SEARCHED:
            terminalreporter.write_line(f"{SEARCHED}: {value}")
