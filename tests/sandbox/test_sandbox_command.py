"""The command as a process: its worlds, and that it always stops."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.sandbox import PASSWORD, USERNAME
from reconciler.sandbox.worlds import KEYS

from listening import free_ports

SIGNALS = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
SECONDS = 20
"""How long any end may take on a busy machine; a hang is longer."""

Starting = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Starting]:
    """Start the command with these arguments."""
    processes = []

    def start(*arguments: str, **streams: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "sandbox", *arguments],
            cwd=tmp_path,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with process:
            process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip().removeprefix("export ALERTSITE_URL=")


@contextlib.contextmanager
def logged_in(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=SECONDS) as client:
        login = {"username": USERNAME, "password": PASSWORD}
        token = client.post("/access-tokens", json=login).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def let_it_read(url: str) -> None:
    """By the time of the answer it has read what was sent before."""
    httpx.get(f"{url}/openapi.json", timeout=SECONDS)


def connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0))


def stops(process: subprocess.Popen[str], signum: int = signal.SIGTERM) -> None:
    process.send_signal(signum)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def test_worlds_are_repeated_and_joined_by_commas(command: Starting) -> None:
    process = command("--seed-count", "9", "--world", "short=1,count=page", "--world", "hide=2")
    with logged_in(url_of(process)) as client:
        answer = client.get("/monitors").json()
    assert len(answer["results"]) == 6
    assert answer["metadata"]["resultset"]["count"] == 6
    stops(process, signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--world", "lagg=1"], "--world: world 'lagg=1': 'lagg' is not a key of a world; did you"),
        (["--world", "lag"], "expected lag=SECONDS"),
        (["--world", "trim", "--world", "trim"], "trim is given twice"),
        (["--fault", "POST * act=late"], "act needs status or body"),
    ],
)
def test_what_is_no_world_is_a_usage_error(
    command: Starting, arguments: list[str], words: str
) -> None:
    process = command(*arguments)
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (64, "")
    assert words in err


def test_the_help_explains_every_key(command: Starting) -> None:
    out, _ = command("--help").communicate(timeout=SECONDS)
    explained = set(re.findall(r"^ {4}([a-z-]+)(?:=\S*)?  ", out, re.MULTILINE))
    assert set(KEYS) <= explained
    assert out.count("None is known to be AlertSite's") == 2


@SIGNALS
def test_it_stops_while_a_request_is_delayed(command: Starting, signum: int) -> None:
    process = command("--fault", "GET /monitors delay=600")
    with connected(url := url_of(process)) as slow:
        slow.sendall(b"GET /api/v3/monitors HTTP/1.1\r\nHost: x\r\n\r\n")
        let_it_read(url)
        stops(process, signum)


def test_it_stops_while_a_create_is_under_way(command: Starting, smtp: Any) -> None:
    process = command("--world", "backend=600", "--fault", "POST /monitors/* status=504 act=late")
    with logged_in(url_of(process)) as client:
        assert client.post("/monitors/email-smtp", json=smtp).status_code == 504
        stops(process)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /api/v3/mon",
        b"POST /api/v3/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
        b"POST /api/v3/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    ],
)
def test_it_stops_while_a_client_holds_its_connection(command: Starting, sent: bytes) -> None:
    process = command()
    with connected(url := url_of(process)) as held:
        held.sendall(sent)
        let_it_read(url)
        stops(process)


def test_it_stops_while_a_client_reads_slowly(command: Starting) -> None:
    process = command("--seed-count", "20000")
    with logged_in(url := url_of(process)) as client, connected(url) as slow:
        token = client.headers["Authorization"]
        request = f"GET /api/v3/monitors HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n"
        slow.sendall(request.encode())
        assert slow.recv(10) == b"HTTP/1.1 2"  # megabytes follow
        stops(process)


def test_it_stops_while_clients_keep_coming(command: Starting) -> None:
    process = command()
    address = ("127.0.0.1", httpx.URL(url_of(process)).port or 0)
    with contextlib.ExitStack() as held:
        for _ in range(50):
            held.enter_context(socket.create_connection(address))
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + SECONDS
        while process.poll() is None:
            assert time.monotonic() < deadline
            try:
                held.enter_context(socket.create_connection(address))
            except ConnectionError:
                break
        stops(process)


def test_it_stops_when_nobody_reads_what_it_says(command: Starting) -> None:
    reading, writing = os.pipe()
    (port,) = free_ports(1)
    process = command("--port", str(port), stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    wait_for_server(port, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0


def test_it_stops_when_its_streams_are_closed(command: Starting) -> None:
    (port,) = free_ports(1)

    def close() -> None:
        os.close(1)
        os.close(2)

    process = command("--port", str(port), stdout=None, stderr=None, preexec_fn=close)
    wait_for_server(port, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0


def wait_for_server(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/v3/openapi.json")
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return


LOSE = """
import signal, sys

class Lost:
    def __del__(self):
        signal.raise_signal({signum})
        for _ in range(1000):  # where Python looks for signals
            pass

class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            Lost()

sys.meta_path.insert(0, Finder())
"""


@SIGNALS
@pytest.mark.parametrize("module", ["reconciler.cli.sandbox", "uvicorn", "uvicorn.lifespan.off"])
def test_it_stops_when_python_loses_the_signal_while_it_starts(
    command: Starting, tmp_path: Path, signum: int, module: str
) -> None:
    # As it does when a signal comes in the callback of a weak reference: each import has one.
    (tmp_path / "sitecustomize.py").write_text(LOSE.format(signum=int(signum), module=module))
    process = command(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode in {0, 130}, (out, err)
    assert "Traceback" not in err


PAUSE = """
import time

at_once = signal.setitimer

def setitimer(*arguments):
    signal.setitimer = at_once
    at_once(*arguments)
    time.sleep(0.2)  # as if the system let others compute just then

signal.setitimer = setitimer
"""


def test_it_stops_when_the_lost_signal_comes_again_too_soon(
    command: Starting, tmp_path: Path
) -> None:
    lose = LOSE.format(signum=int(signal.SIGTERM), module="uvicorn")
    (tmp_path / "sitecustomize.py").write_text(lose + PAUSE)
    process = command(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode in {0, 130}, (out, err)
    assert "Traceback" not in err


@SIGNALS
def test_it_is_ended_by_a_signal_before_it_can_say_so(
    command: Starting, tmp_path: Path, signum: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOSE.format(signum=int(signum), module="click"))
    process = command(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, err) == (-signum, "", "")
