import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.sandbox import (
    PASSWORD,
    USERNAME,
    Controls,
    Options,
    UserLogin,
    parse_fault,
    running,
)
from reconciler.sandbox.app import Tokens, User
from reconciler.sandbox.store import Database

from listening import free_ports

SERVE = """
import json, sys
from pathlib import Path
from reconciler.sandbox import Options, serve
schemas, database = json.loads(sys.argv[1]), Path(sys.argv[2])
serve(Options(schemas=schemas, database=database), lambda url: print(url, flush=True))
print("returned", flush=True)
"""


def test_a_database_outlives_the_server(start: Any, seed: Any, smtp: Any, tmp_path: Path) -> None:
    database = tmp_path / "sandbox.db"
    first = start(database=database, seed=seed)
    number = first.post("/monitors/email-smtp", json=smtp).json()["id"]
    first.delete("/monitors/505")
    second = start(database=database, seed=seed)  # beside the first: they share the file
    names = [monitor["id"] for monitor in second.get("/monitors").json()["results"]]
    assert names == [500, 501, 502, 503, 504, int(number)]
    assert second.patch(f"/monitors/email-smtp/{number}", json={"port": 25}).status_code == 200
    assert first.get(f"/monitors/{number}").json()["port"] == 25
    assert first.get("/monitors", headers=second.headers).status_code == 401


def test_a_seed_is_not_loaded_again_when_everything_was_deleted(
    seed: Any, secret_fields: Any, tmp_path: Path
) -> None:
    database = tmp_path / "sandbox.db"
    store = Database(database, seed[:1], secret_fields)
    assert store.remove(500)
    store.close()
    again = Database(database, seed[:1], secret_fields)
    assert again.page(None, None, 0).count == 0
    again.close()


def test_a_change_that_fails_leaves_the_monitor_as_it_was(seed: Any, secret_fields: Any) -> None:
    store = Database(None, seed[:1], secret_fields)
    before = store.find(500)
    with pytest.raises(KeyError):
        store.edit("email-smtp", 500, lambda _: {})
    assert store.find(500) == before
    assert store.edit("email-smtp", 500, lambda monitor: {**monitor, "port": 25})
    assert json.loads(store.find(500) or b"") == {**seed[0], "port": 25}
    store.close()


def test_what_cannot_be_opened_is_said_where_it_is_started(schemas: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_text("This is no database. " * 100)
    with (
        pytest.raises(sqlite3.DatabaseError, match="not a database"),
        running(Options(schemas=schemas, database=broken)),
    ):
        pass
    with (
        pytest.raises(FileNotFoundError),
        running(Options(schemas=schemas, request_log=tmp_path / "no" / "log")),
    ):
        pass
    with running(Options(schemas=schemas)) as url:
        port = httpx.URL(url).port or 0
        with pytest.raises(OSError, match="in use"), running(Options(schemas=schemas, port=port)):
            pass


def test_the_port_can_be_chosen(schemas: Any) -> None:
    (port,) = free_ports(1)
    with running(Options(schemas=schemas, port=port)) as url:
        assert url == f"http://127.0.0.1:{port}/api/v3"
        assert httpx.get(f"{url}/openapi.json").status_code == 200


def test_nothing_is_left_after_the_end(schemas: Any, capfd: Any) -> None:
    fault = parse_fault("* /slow delay=60")
    before = threading.active_count()
    with httpx.Client() as client:
        with running(Options(schemas=schemas, controls=Controls(faults=[fault]))) as url:
            address = ("127.0.0.1", httpx.URL(url).port or 0)
            assert client.get(f"{url}/openapi.json").status_code == 200  # stays connected
            half = socket.create_connection(address)
            half.sendall(
                b"POST /api/v3/access-tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
            )
            slow = socket.create_connection(address)
            slow.sendall(b"GET /api/v3/slow HTTP/1.1\r\nHost: x\r\n\r\n")
            client.get(f"{url}/openapi.json")  # the server has read all of the above
            began = time.monotonic()
        assert time.monotonic() - began < 20  # and not the 60 of the fault
        for open_socket in (half, slow):
            with open_socket, suppress(ConnectionResetError):  # with unread data
                assert open_socket.recv(1) == b""
        assert threading.active_count() == before
        with pytest.raises(httpx.ConnectError):
            client.get(f"{url}/openapi.json")
    assert capfd.readouterr() == ("", "")


def test_an_error_in_the_block_ends_the_server(schemas: Any) -> None:
    with pytest.raises(ZeroDivisionError), running(Options(schemas=schemas)) as url:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/openapi.json")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_serve_runs_until_it_is_told_to_stop(schemas: Any, tmp_path: Path, signum: int) -> None:
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        SERVE,
        json.dumps(schemas),
        str(tmp_path / "a.db"),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        login = {"username": USERNAME, "password": PASSWORD}
        assert httpx.post(f"{url}/access-tokens", json=login).status_code == 200
        os.kill(process.pid, signum)
        assert process.communicate(timeout=10) == ("returned\n", "")
        assert process.returncode == 0


def test_every_request_is_in_the_log_when_it_is_answered(
    start: Any, smtp: Any, tmp_path: Path
) -> None:
    log = tmp_path / "requests.jsonl"
    client = start(
        request_log=log,
        faults=tuple(map(parse_fault, ("GET /lost drop=after", "PUT * status=500"))),
    )
    number = client.post("/monitors/email-smtp", json=smtp).json()["id"]
    client.get("/monitors", params={"type": "email-smtp,email-pop", "select": ""})
    client.put("/monitors", content=b"no JSON")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.get("/lost")
    client.delete(f"/monitors/{number}")
    client.post("/access-tokens", json=[])
    login = {"username": USERNAME, "password": "***"}
    query = {"type": "email-smtp,email-pop", "select": ""}
    assert [tuple(json.loads(line).values()) for line in log.read_text().splitlines()] == [
        ("POST", "/access-tokens", {}, login, 200),
        ("POST", "/monitors/email-smtp", {}, smtp, 200),
        ("GET", "/monitors", query, None, 200),
        ("PUT", "/monitors", {}, None, 500),
        ("GET", "/lost", {}, None, None),
        ("DELETE", f"/monitors/{number}", {}, None, 204),
        ("POST", "/access-tokens", {}, [], 400),
    ]
    first = json.loads(log.read_text().splitlines()[0])
    assert list(first) == ["method", "path", "query", "body", "status"]
    start(request_log=log)
    assert len(log.read_text().splitlines()) == 8  # a second server adds to it


def test_a_token_is_valid_to_its_last_moment() -> None:
    now = [100.0]
    login = UserLogin(USERNAME, PASSWORD)
    tokens = Tokens(60.0, lambda: now[0], {login: User(may_write=True)})
    token = tokens.issue(USERNAME, PASSWORD)
    assert token is not None
    now[0] = 159.9
    assert tokens.holder(token) is not None
    now[0] = 160.0
    assert tokens.holder(token) is None
    now[0] = 100.0
    assert tokens.holder(token) is None  # it is gone for good
