"""Faults of an object store, and the three ways in which such stores speak.

Here the server is a small one that does what a test tells it to. What it knows of headers is what
the vendors document: conditional requests of Amazon S3, `x-goog-if-generation-match` of Google
Cloud Storage's XML API, conditional headers of Azure's Blob service.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from reconciler.errors import ConflictError
from reconciler.state_store import Key, Store, open_store

from listening import QuietHandler
from stores import content, failure, write

STATE = "/states/state.json"


class Stored(NamedTuple):
    data: bytes
    generation: int
    metadata: tuple[str, str]

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'  # noqa: S324 - what S3 does


class Server(ThreadingHTTPServer):
    """A small object store with faults that a test switches on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, Stored] = {}
        self.generation = 0
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
        wanted = headers.get("x-goog-if-generation-match")
        if not self.honours_conditions:
            return True
        if "If-None-Match" in headers or wanted == "0":
            return stored is None
        if wanted is not None:
            return stored is not None and str(stored.generation) == wanted
        if "If-Match" in headers:
            return stored is not None and stored.etag == headers["If-Match"]
        return path.endswith("backup")

    def put(self, path: str, data: bytes, metadata: tuple[str, str]) -> None:
        self.generation += 1
        self.objects[path] = Stored(data, self.generation, metadata)


class Handler(QuietHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def respond(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status == 200:
            stored = self.server.objects[self.path]
            if self.server.gives_etags:
                self.send_header("ETag", stored.etag)
                self.send_header("x-goog-generation", str(stored.generation))
            if self.command == "GET":
                self.send_header("x-amz-version-id", f"v{stored.generation}")
                if self.server.keeps_metadata:
                    self.send_header(*stored.metadata)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _get(self) -> None:
        with self.server.lock:
            if self.server.fault("GET"):
                self.respond(400, b"no\n" * 1000)
            elif self.path in self.server.objects:
                self.respond(200, self.server.objects[self.path].data)
            else:
                self.respond(404)

    def _put(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            fault = self.server.fault("PUT")
            if fault == "fail":
                self.respond(400)
            elif fault == "refuse" or not self.server.accepts(self.path, self.headers):
                self.respond(412)
            else:
                marks = (each for each in self.headers.items() if each[0].endswith("-meta-save"))
                self.server.put(self.path, data, next(marks, ("x-none", "")))
                if fault == "store, then hang up":
                    self.close_connection = True
                else:
                    self.respond(500 if fault else 200)

    do_GET, do_PUT = _get, _put


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as server:
        url = f"http://127.0.0.1:{server.server_port}"
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_SKIP_SIGNATURE": "true",
            "GOOGLE_BASE_URL": url,
            "GOOGLE_BEARER_TOKEN": "token",
            "AZURE_STORAGE_ENDPOINT": url,
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_SKIP_SIGNATURE": "true",
            "AZURE_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def connect(server: Server, tmp_path: Any) -> Callable[[], Store]:
    assert server
    return lambda: open_store("s3://states/state.json", folder=tmp_path)


@pytest.fixture
def store(connect: Callable[[], Store]) -> Store:
    """One that has seen already that the server honours conditions."""
    store = connect()
    write(store, b"", write(store, b"first", key=Key.LOCK), Key.LOCK)
    return store


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_each_kind_of_object_store_compares_and_swaps(scheme: str, server: Server) -> None:
    store, other = (open_store(f"{scheme}://states/state.json") for _ in range(2))
    assert store.read(Key.STATE) is None
    version = write(store, b"1")
    for stale in (None, version):
        assert content(other) == b"1" if stale is None else write(other, b"2", version)
        with pytest.raises(ConflictError):
            write(store, b"3", stale)
    held = store.read(Key.STATE)
    assert held is not None
    assert held.data == b"2"
    write(store, b"3", write(store, b"4", held.version))
    assert content(other) == b"3"
    assert len([path for path in server.objects if path.endswith("backup")]) == 1


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_each_kind_of_object_store_can_be_locked(scheme: str, server: Server) -> None:
    assert server
    store, other = (open_store(f"{scheme}://states/state.json") for _ in range(2))
    for _ in range(2):
        version = write(store, b"1", key=Key.LOCK)
        with pytest.raises(ConflictError):
            write(other, b"2", key=Key.LOCK)
        version = write(store, b"3", version, Key.LOCK)
        write(store, b"", version, Key.LOCK)
        assert other.read(Key.LOCK) is None
    with pytest.raises(ConflictError):
        write(store, b"4", version, Key.LOCK)


@pytest.mark.parametrize("fault", ["store, then fail", "store, then hang up"])
@pytest.mark.parametrize("keeps_metadata", [True, False])
def test_an_answer_that_was_lost_is_looked_up(
    *, fault: str, keeps_metadata: bool, store: Store, server: Server
) -> None:
    server.keeps_metadata = keeps_metadata
    server.faults = {"PUT": [fault]}
    version = write(store, b"1")
    assert store.read(Key.STATE) == (b"1", version)
    write(store, b"2", version)


def test_the_same_bytes_of_somebody_else_are_not_ours(store: Store, server: Server) -> None:
    version = write(store, b"1")
    server.put(STATE, b"2", ("x-amz-meta-save", "theirs"))
    with pytest.raises(ConflictError):
        write(store, b"2", version)


def test_a_put_that_did_not_arrive_is_a_failure(store: Store, server: Server) -> None:
    version = write(store, b"1")
    server.faults = {"PUT": ["fail"]}
    said = failure(lambda: write(store, b"2", version))
    assert said.startswith("cannot write s3://states/state.json: ")
    assert store.read(Key.STATE) == (b"1", version)


def test_a_put_that_nobody_can_look_up_is_unknown(store: Store, server: Server) -> None:
    server.faults = {"PUT": ["store, then hang up", "fail"], "GET": ["fail"] * 3}
    said = failure(lambda: write(store, b"1"))
    assert said.startswith("it is not known whether s3://states/state.json was written: ")


def test_a_refusal_without_a_reason_is_met_by_asking_again(store: Store, server: Server) -> None:
    server.faults = {"PUT": ["refuse", "refuse"]}
    write(store, b"1")
    assert content(store) == b"1"


def test_but_not_for_ever(store: Store, server: Server) -> None:
    server.faults = {"PUT": ["refuse"] * 3}
    assert "rejects the write although nothing changed" in failure(lambda: write(store, b"1"))


def test_a_lock_that_vanished_is_released(store: Store, server: Server) -> None:
    version = write(store, b"lock", key=Key.LOCK)
    del server.objects[f"{STATE}.lock"]
    write(store, b"", version, Key.LOCK)
    assert store.read(Key.LOCK) is None


def test_a_server_that_ignores_conditions_is_refused(
    server: Server, connect: Callable[[], Store]
) -> None:
    server.honours_conditions = False
    store = connect()
    assert "ignores conditions on writes" in failure(lambda: write(store, b"1"))


def test_whether_it_honours_them_is_asked_until_there_is_an_answer(
    server: Server, connect: Callable[[], Store]
) -> None:
    store = connect()
    server.faults = {"PUT": ["", "fail"]}
    version = write(store, b"1")
    server.honours_conditions = False
    assert "ignores conditions on writes" in failure(lambda: write(store, b"2", version))


def test_a_server_that_gives_no_etags_is_refused(server: Server, store: Store) -> None:
    write(store, b"1")
    server.gives_etags = False
    assert "sends no ETags" in failure(lambda: store.read(Key.STATE))


def test_a_long_answer_is_cut(store: Store, server: Server) -> None:
    server.put(STATE, b"1", ("x-none", ""))
    server.faults = {"GET": ["fail"]}
    said = failure(lambda: store.read(Key.STATE))
    assert len(said) < 400
    assert "\n" not in said
