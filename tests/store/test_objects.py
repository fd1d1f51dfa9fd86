"""Faults of an object store, and servers that are not all they should be.

The rest is shown with a real server in test_contract.py.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
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


class Server(ThreadingHTTPServer):
    """A small S3 server with faults that a test switches on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, tuple[bytes, str | None]] = {}
        self.honours_conditions = True
        self.gives_etags = True
        self.keeps_metadata = True
        self.faults: dict[str, list[str]] = {}
        self.lock = threading.Lock()

    def fault(self, method: str) -> str:
        waiting = self.faults.get(method)
        return waiting.pop(0) if waiting else ""

    def accepts(self, path: str, headers: Mapping[str, str]) -> bool:
        stored = self.objects.get(path)
        if not self.honours_conditions:
            return True
        if "If-None-Match" in headers:
            return stored is None
        if "If-Match" in headers:
            return stored is not None and etag(stored[0]) == headers["If-Match"]
        return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def respond(self, status: int, body: bytes = b"", mark: str | None = None) -> None:
        self.send_response(status)
        if status == 200 and self.server.gives_etags:
            self.send_header("ETag", etag(self.server.objects[self.path][0]))
        if mark is not None and self.server.keeps_metadata:
            self.send_header("x-amz-meta-save", mark)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        with self.server.lock:
            if self.server.fault("GET"):
                self.respond(400, b"no\n" * 1000)
            elif self.path in self.server.objects:
                self.respond(200, *self.server.objects[self.path])
            else:
                self.respond(404)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            fault = self.server.fault("PUT")
            if fault == "fail":
                self.respond(400)
            elif fault == "refuse" or not self.server.accepts(self.path, self.headers):
                self.respond(412)
            else:
                self.server.objects[self.path] = (body, self.headers["x-amz-meta-save"])
                if fault == "store, then hang up":
                    self.close_connection = True
                else:
                    self.respond(500 if fault else 200)


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'  # noqa: S324 - what S3 does


class TestFaults:
    @pytest.fixture
    def server(self) -> Iterator[Server]:
        with Server() as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    @pytest.fixture
    def connect(self, server: Server, tmp_path: Any) -> Callable[[], Store]:
        client = S3Store(
            "states",
            endpoint=f"http://127.0.0.1:{server.server_port}",
            skip_signature=True,
            client_options={"allow_http": True},
            retry_config={
                "max_retries": 1,
                "retry_timeout": timedelta(seconds=20),
                "backoff": {"init_backoff": timedelta(milliseconds=10)},
            },
        )
        return lambda: ObjectStore("s3://states/state.json", client, "state.json", tmp_path)

    @pytest.fixture
    def store(self, connect: Callable[[], Store]) -> Store:
        """One that has seen already that the server honours conditions."""
        store = connect()
        write(store, b"", write(store, b"first", cell=Cell.LOCK), Cell.LOCK)
        return store

    @pytest.mark.parametrize("fault", ["store, then fail", "store, then hang up"])
    @pytest.mark.parametrize("keeps_metadata", [True, False])
    def test_an_answer_that_was_lost_is_looked_up(
        self, *, fault: str, keeps_metadata: bool, store: Store, server: Server
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
        said = failure(lambda: store.read(Cell.STATE))
        assert len(said) < 400
        assert "\n" not in said
