"""Faults of an object store, and servers that are not all they should be.

The rest is shown with a real server in test_contract.py.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from obstore.store import S3Store

from reconciler.errors import ConflictError, StateError
from reconciler.store import Cell, Store, open_store
from reconciler.store.objects import ObjectStore

S3 = Callable[[str], str]


def write(store: Store, data: bytes, expected: str | None = None, cell: Cell = Cell.STATE) -> str:
    return store.write(cell, data, expected, "run 1")


def content(store: Store, cell: Cell = Cell.STATE) -> bytes | None:
    held = store.read(cell)
    return held and held.data


def failure(act: Callable[[], object]) -> str:
    with pytest.raises(StateError) as error:
        act()
    assert not isinstance(error.value, ConflictError)
    assert error.value.hint
    return str(error.value)


class TestRealServer:
    def test_the_state_before_the_run_is_kept(self, s3: S3, tmp_path: Any) -> None:
        location = s3(f"{tmp_path.name}/state.json")
        first = open_store(location)
        version = write(first, b"2", write(first, b"1"))
        assert open_store(f"{location}.backup").read(Cell.STATE) is None
        second = open_store(location)
        for data in (b"3", b"4"):
            version = write(second, data, version)
        assert content(open_store(f"{location}.backup")) == b"2"
        assert f"{tmp_path.name}/state.json.backup of the bucket states" in second.backup()

    def test_a_conflict_leaves_the_kept_one_alone(self, s3: S3, tmp_path: Any) -> None:
        location = s3(f"{tmp_path.name}/state.json")
        version = write(open_store(location), b"1")
        write(open_store(location), b"2", version)
        with pytest.raises(ConflictError):
            write(open_store(location), b"3", version)
        assert content(open_store(f"{location}.backup")) == b"1"

    def test_a_released_lock_is_an_empty_object(self, s3: S3, tmp_path: Any) -> None:
        store = open_store(s3(f"{tmp_path.name}/state.json"))
        write(store, b"", write(store, b"lock", cell=Cell.LOCK), Cell.LOCK)
        lock = open_store(s3(f"{tmp_path.name}/state.json.lock"))
        assert content(lock) == b""

    def test_a_bucket_that_does_not_exist_is_no_empty_state(self, s3: S3) -> None:
        assert s3
        store = open_store("s3://nowhere/state.json")
        said = failure(lambda: store.read(Cell.STATE))
        assert said == (
            "cannot read s3://nowhere/state.json: NoSuchBucket: The specified bucket does not exist"
        )
        assert "NoSuchBucket" in failure(lambda: write(store, b"1"))

    def test_a_wrong_secret(self, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        said = failure(lambda: open_store(s3("state.json")).read(Cell.STATE))
        assert "SignatureDoesNotMatch" in said
        assert "another" not in said

    def test_a_missing_permission(
        self, s3: S3, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        location = s3(f"{tmp_path.name}/state.json")
        version = write(open_store(location), b"1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "readersecret")
        store = open_store(location)
        assert store.read(Cell.STATE) == (b"1", version)
        said = failure(lambda: write(store, b"2", version))
        assert said.startswith(
            f"cannot keep {tmp_path.name}/state.json.backup, a copy of {location}"
        )
        assert "AccessDenied" in said
        assert "AccessDenied" in failure(lambda: write(store, b"lock", cell=Cell.LOCK))

    def test_a_server_that_is_not_there(self, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
        location = s3("state.json")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert "error sending request" in failure(lambda: open_store(location).read(Cell.STATE))


@dataclass
class Server:
    """A small S3 server with faults that a test switches on."""

    objects: dict[str, tuple[bytes, str | None]] = field(default_factory=dict)
    honours_conditions: bool = True
    gives_etags: bool = True
    keeps_metadata: bool = True
    faults: dict[str, list[str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str) -> str:
        waiting = self.faults.get(method)
        return waiting.pop(0) if waiting else ""


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def respond(self, status: int, body: bytes = b"", mark: str | None = None) -> None:
            self.send_response(status)
            if status == 200 and server.gives_etags:
                self.send_header("ETag", etag(self.stored[0]))
            if mark is not None and server.keeps_metadata:
                self.send_header("x-amz-meta-save", mark)
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @property
        def stored(self) -> tuple[bytes, str | None]:
            return server.objects[self.path]

        def do_GET(self) -> None:
            with server.lock:
                if server.fault("GET"):
                    self.respond(400)
                elif self.path in server.objects:
                    self.respond(200, *self.stored)
                else:
                    self.respond(404)

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with server.lock:
                fault = server.fault("PUT")
                if fault == "fail":
                    self.respond(400)
                elif fault == "refuse" or not self.may_put():
                    self.respond(412)
                else:
                    self.store(body)
                    if fault == "store, then fail":
                        self.respond(500)
                    elif fault == "store, then hang up":
                        self.close_connection = True
                    else:
                        self.respond(200)

        def store(self, body: bytes) -> None:
            server.objects[self.path] = (body, self.headers["x-amz-meta-save"])

        def may_put(self) -> bool:
            if not server.honours_conditions:
                return True
            if self.headers["If-None-Match"] == "*":
                return self.path not in server.objects
            if self.headers["If-Match"]:
                return (
                    self.path in server.objects and etag(self.stored[0]) == self.headers["If-Match"]
                )
            return True

    return Handler


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'  # noqa: S324 - what S3 does


@contextmanager
def serving(server: Server) -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(server))
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class TestFaults:
    @pytest.fixture
    def server(self) -> Server:
        return Server()

    @pytest.fixture
    def connect(self, server: Server, tmp_path: Any) -> Iterator[Callable[[], Store]]:
        with serving(server) as url:
            client = S3Store(
                "states",
                endpoint=url,
                skip_signature=True,
                client_options={"allow_http": True},
                retry_config={
                    "max_retries": 1,
                    "retry_timeout": timedelta(seconds=20),
                    "backoff": {"init_backoff": timedelta(milliseconds=10)},
                },
            )
            yield lambda: ObjectStore("s3://states/state.json", client, "state.json", tmp_path)

    @pytest.fixture
    def store(self, connect: Callable[[], Store]) -> Store:
        """One that has seen already that the server honours conditions."""
        store = connect()
        write(store, b"", write(store, b"first", cell=Cell.LOCK), Cell.LOCK)
        return store

    @pytest.mark.parametrize("fault", ["store, then fail", "store, then hang up"])
    @pytest.mark.parametrize("keeps_metadata", [True, False])
    def test_an_answer_that_was_lost_is_looked_up(
        self, fault: str, keeps_metadata: bool, store: Store, server: Server
    ) -> None:
        server.keeps_metadata = keeps_metadata
        server.faults = {"PUT": [fault]}
        version = write(store, b"1")
        assert store.read(Cell.STATE) == (b"1", version)
        write(store, b"2", version)

    def test_the_same_bytes_of_somebody_else_are_not_ours(
        self, store: Store, server: Server
    ) -> None:
        version = write(store, b"1")
        server.objects["/states/state.json"] = (b"2", "theirs")
        with pytest.raises(ConflictError):
            write(store, b"2", version)

    def test_a_put_that_did_not_arrive_is_a_failure(self, store: Store, server: Server) -> None:
        version = write(store, b"1")
        server.faults = {"PUT": ["fail"]}
        said = failure(lambda: write(store, b"2", version))
        assert said.startswith("cannot write s3://states/state.json: ")
        assert store.read(Cell.STATE) == (b"1", version)

    def test_a_put_that_nobody_can_look_up_is_unknown(self, store: Store, server: Server) -> None:
        server.faults = {"PUT": ["store, then hang up", "fail"], "GET": ["fail"] * 3}
        said = failure(lambda: write(store, b"1"))
        assert said.startswith("it is not known whether s3://states/state.json was written: ")

    def test_a_refusal_without_a_reason_is_met_by_asking_again(
        self, store: Store, server: Server
    ) -> None:
        server.faults = {"PUT": ["refuse", "refuse"]}
        write(store, b"1")
        assert content(store) == b"1"

    def test_but_not_for_ever(self, store: Store, server: Server) -> None:
        server.faults = {"PUT": ["refuse"] * 3}
        assert "refuses the write although nothing changed" in failure(lambda: write(store, b"1"))

    def test_a_lock_that_vanished_is_released(self, store: Store, server: Server) -> None:
        version = write(store, b"lock", cell=Cell.LOCK)
        del server.objects["/states/state.json.lock"]
        write(store, b"", version, Cell.LOCK)
        assert store.read(Cell.LOCK) is None

    def test_a_server_that_ignores_conditions_is_refused(
        self, server: Server, connect: Callable[[], Store]
    ) -> None:
        server.honours_conditions = False
        store = connect()
        assert "ignores conditions on writes" in failure(lambda: write(store, b"1"))

    def test_whether_it_honours_them_is_asked_until_there_is_an_answer(
        self, server: Server, connect: Callable[[], Store]
    ) -> None:
        store = connect()
        server.faults = {"PUT": ["", "fail"]}
        version = write(store, b"1")
        server.honours_conditions = False
        assert "ignores conditions on writes" in failure(lambda: write(store, b"2", version))

    def test_a_server_that_gives_no_etags_is_refused(self, server: Server, store: Store) -> None:
        write(store, b"1")
        server.gives_etags = False
        assert "gives no ETags" in failure(lambda: store.read(Cell.STATE))

    def test_a_long_answer_is_cut(self, store: Store, server: Server) -> None:
        server.objects["/states/state.json"] = (b"1", None)
        server.faults = {"GET": ["fail"]}
        began = time.monotonic()
        said = failure(lambda: store.read(Cell.STATE))
        assert len(said) < 400
        assert "\n" not in said
        assert time.monotonic() - began < 30
