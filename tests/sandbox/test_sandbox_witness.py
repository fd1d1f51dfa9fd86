import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.sandbox import Abandon, Options, parse_fault, running
from reconciler.sandbox.store import Database

LOST = (httpx.RemoteProtocolError, httpx.ReadError)
MOMENTS = ["before", "during", "after"]
EDIT = ("PATCH", "/monitors/email-smtp/500")
SEND = """
import sys, time, httpx
url, token = sys.argv[1:]
httpx.patch(url, json={"port": 25}, headers={"Authorization": token})
print("answered", flush=True)
time.sleep(60)
"""


class Witness:
    """Notes what it is told, and does what it was given for a moment of an edit."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.act: dict[str, Callable[[], object]] = {}
        self.is_done = threading.Event()

    def __call__(self, moment: str, method: str, path: str) -> None:
        self.told.append((moment, method, path))
        if method == "PATCH" and moment in self.act:
            self.act.pop(moment)()
        if (moment, method) == ("after", "PATCH"):
            self.is_done.set()

    def moments(self, method: str) -> list[str]:
        return [moment for moment, told, _ in self.told if told == method]


@pytest.fixture
def witness() -> Witness:
    return Witness()


def port(client: httpx.Client) -> Any:
    return client.get("/monitors/500").json()["port"]


def edit(client: httpx.Client) -> httpx.Response:
    return client.patch(EDIT[1], json={"port": 25})


def abandon() -> None:
    raise Abandon


def test_every_request_has_three_moments(
    schemas: Any, token_of: Any, seed: Any, witness: Witness
) -> None:
    options = Options(schemas=schemas, seed=seed, witness=witness)
    with running(options) as url, httpx.Client(base_url=url) as client:
        client.headers["Authorization"] = f"Bearer {token_of(client)}"
        assert edit(client).status_code == 200
        assert client.get("/nowhere").status_code == 404
    requests = [("POST", "/access-tokens"), EDIT, ("GET", "/nowhere")]
    for asked in requests:
        assert [moment for moment, *request in witness.told if tuple(request) == asked] == MOMENTS
    assert len(witness.told) == len(requests) * len(MOMENTS)


def test_a_moment_is_what_it_says(
    start: Any, seed: Any, secret_fields: Any, witness: Witness, tmp_path: Path
) -> None:
    database, log = tmp_path / "sandbox.db", tmp_path / "requests.jsonl"
    client = start(seed=seed[:1], database=database, request_log=log, witness=witness)
    found: list[Any] = []

    def look() -> None:
        store = Database(database, (), secret_fields)
        found.append((b'"port":25' in (store.find(500) or b""), "PATCH" in log.read_text()))
        store.close()

    witness.act = dict.fromkeys(MOMENTS, look)
    assert edit(client).status_code == 200
    assert witness.is_done.wait(5)
    assert found == [(False, False), (True, True), (True, True)]


def test_a_witness_may_block_while_others_are_served(
    start: Any, seed: Any, witness: Witness
) -> None:
    client = start(seed=seed, witness=witness)
    witness.act["during"] = lambda: found.append(port(client))
    found: list[Any] = []
    assert edit(client).status_code == 200
    assert found == [25]


@pytest.mark.parametrize(("moment", "kept", "lines"), [("before", "", 0), ("during", 25, 1)])
def test_an_abandoned_request_is_not_answered(
    start: Any, seed: Any, witness: Witness, tmp_path: Path, moment: str, kept: Any, lines: int
) -> None:
    log = tmp_path / "requests.jsonl"
    fault = parse_fault("PATCH * status=503 skip=1 times=1")
    client = start(seed=seed, request_log=log, faults=(fault,), witness=witness)
    witness.act[moment] = abandon
    with pytest.raises(LOST):
        edit(client)
    assert port(client) == kept
    assert log.read_text().count("PATCH") == lines
    assert witness.moments("PATCH") == MOMENTS[: MOMENTS.index(moment) + 1]
    # To the faults, a request that was abandoned before is one that never came.
    assert edit(client).status_code == (200 if moment == "before" else 503)


@pytest.mark.parametrize("effect", ["drop=before", "drop=after"])
def test_a_dropped_request_has_no_answer_to_witness(
    start: Any, seed: Any, witness: Witness, effect: str
) -> None:
    client = start(seed=seed, faults=(parse_fault(f"PATCH * {effect}"),), witness=witness)
    with pytest.raises(LOST):
        edit(client)
    assert port(client) == (25 if effect == "drop=after" else "")
    assert witness.moments("PATCH") == ["before"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_client_can_be_killed_at_each_moment(
    start: Any, seed: Any, witness: Witness, moment: str
) -> None:
    client = start(seed=seed[:1], witness=witness)
    url, token = f"{client.base_url}{EDIT[1][1:]}", client.headers["Authorization"]
    with subprocess.Popen(
        [sys.executable, "-c", SEND, url, token],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = process.stdout

        def kill() -> None:
            if moment == "after":
                assert output.readline() == "answered\n"
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

        witness.act[moment] = kill
        assert witness.is_done.wait(20)  # the request goes on without its client
        assert process.wait(5) == -signal.SIGKILL
        assert output.read() == ""
    assert witness.moments("PATCH") == MOMENTS
    assert port(client) == 25


def test_a_long_answer_is_handed_over_before_its_end_is_witnessed(
    start: Any, seed: Any, witness: Witness
) -> None:
    note = "n" * 8 * 1024 * 1024  # more than two sockets hold
    client = start(seed=[{**seed[0], "more": note}], witness=witness)
    address = (client.base_url.host, client.base_url.port)
    token = client.headers["Authorization"]
    with socket.create_connection(address) as reader:
        reader.sendall(
            f"GET /api/v3/monitors HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        assert reader.recv(1) == b"H"
        assert port(client) == ""  # time enough for a server that would not wait
        assert ("after", "GET", "/monitors") not in witness.told
        while reader.recv(1024 * 1024):
            pass
    edit(client)
    assert witness.is_done.wait(5)
    assert ("after", "GET", "/monitors") in witness.told


def test_a_reader_that_leaves_keeps_nobody_waiting(start: Any, seed: Any, witness: Witness) -> None:
    note = "n" * 8 * 1024 * 1024
    client = start(seed=[{**seed[0], "more": note}], witness=witness)
    with client.stream("GET", "/monitors") as answer:
        assert answer.status_code == 200
    edit(client)
    assert witness.is_done.wait(5)
    assert port(client) == 25


def test_no_thread_is_left(schemas: Any, witness: Witness) -> None:
    before = threading.active_count()
    with running(Options(schemas=schemas, witness=witness)) as url:
        assert httpx.get(f"{url}/openapi.json").status_code == 200
    assert threading.active_count() == before
    assert witness.moments("GET") == MOMENTS
