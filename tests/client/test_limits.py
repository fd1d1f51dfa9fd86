"""Answers that trickle, flood or do not end where they say: raw bytes from a real socket."""

import gzip
import json
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from reconciler.alertsite import Credentials, Reader, Session, Writer
from reconciler.alertsite.wire import Allowance, Wire
from reconciler.context import SYSTEM, Cancellation, Limits, Reporter
from reconciler.core.redactor import Redactor
from reconciler.errors import (
    AlertSiteError,
    ExitCode,
    IncompleteError,
    NonsenseError,
    UnavailableError,
)

from build import ACCOUNT
from listening import free_ports
from scripted import Answer, Script

MIB = 2**20
TOKEN = b'{"access_token": "token-1"}'
Connected = Callable[..., Session]
SHORT = Limits(timeout=5.0, deadline=0.5)
_SECONDS = 20.0
"""How long anything here may take at most."""


def whole(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def in_chunks(*parts: bytes) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


class Raw:
    """A server that answers with the bytes that a test gives for `METHOD path`."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, Callable[[socket.socket], object]] = {}
        self.seen: list[tuple[int, str]] = []
        self.connections = 0
        self.say("POST /access-tokens", whole(TOKEN))

    def say(self, request: str, *texts: bytes) -> None:
        """Answers with the first text, then with the next; the last one stays."""
        left = list(texts)
        self.on(request, lambda to: to.sendall(left.pop(0) if len(left) > 1 else left[0]))

    def on(self, request: str, answer: Callable[[socket.socket], object]) -> None:
        self.answers[request] = answer

    def requests(self) -> list[str]:
        return [request for _, request in self.seen]

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        number = self.connections
        with connection, connection.makefile("rb") as file, suppress(OSError):
            while line := file.readline():
                method, target, _ = line.decode().split()
                size = 0
                while (header := file.readline().lower()) not in {b"\r\n", b""}:
                    if header.startswith(b"content-length:"):
                        size = int(header.partition(b":")[2])
                file.read(size)
                request = f"{method} {target.partition('?')[0]}"
                self.seen.append((number, request))
                self.answers[request](connection)


@pytest.fixture
def raw() -> Iterator[Raw]:
    server, found = socket.create_server(("127.0.0.1", 0)), Raw()
    found.url = f"http://127.0.0.1:{server.getsockname()[1]}"
    accepted: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                accepted.append(connection)
                threading.Thread(target=found.serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield found
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for connection in accepted:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    thread.join(_SECONDS)


@pytest.fixture
def connected(raw: Raw) -> Iterator[Callable[..., Session]]:
    with ExitStack() as stack:

        def connect(
            limits: Limits = SHORT, cancellation: Cancellation | None = None, connections: int = 8
        ) -> Session:
            session = Session(
                raw.url,
                Credentials("me@example.com", "secret"),
                connections=connections,
                clock=SYSTEM,
                limits=limits,
                cancellation=cancellation or Cancellation(SYSTEM),
                reporter=Reporter(lambda _: None),
                redactor=Redactor(),
            )
            return stack.enter_context(session)

        yield connect


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@contextmanager
def too_large_for(memory: int) -> Iterator[pytest.ExceptionInfo[NonsenseError]]:
    """Expects that a response is refused as too large, before it takes so much memory."""
    tracemalloc.start()
    try:
        refused = pytest.raises(NonsenseError, match="returned a response with more than")
        with at_most(20), refused as caught:
            yield caught
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < memory


def trickle(text: bytes, pause: float = 0.05) -> Callable[[socket.socket], None]:
    def send(to: socket.socket) -> None:
        for number in range(len(text)):
            to.sendall(text[number : number + 1])
            time.sleep(pause)

    return send


def endless(beginning: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def send(to: socket.socket) -> None:
        to.sendall(beginning)
        while True:
            to.sendall(piece)

    return send


SMTP, PATCH, POST = (
    "/monitors/email-smtp/1",
    "PATCH /monitors/email-smtp/1",
    "POST /monitors/email-smtp",
)


def patch(session: Session) -> None:
    Writer(session, ACCOUNT).patch(SMTP, {"port": 587})


def create(session: Session) -> int:
    return Writer(session, ACCOUNT).create("/monitors/email-smtp", {"name": "x"})


def listed(session: Session) -> list[int]:
    return [item.id for item in Reader(session, ACCOUNT).list_monitors(["email-smtp"])]


TRICKLES = {
    "status line": whole(b'{"id": "1"}'),
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X-Padding: x\r\n" * 99,
    "interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 99,
    "body": whole(b" " * 999),
    "chunks": in_chunks(*[b" "] * 99),
}


class TestDeadline:
    @pytest.mark.parametrize("text", TRICKLES.values(), ids=TRICKLES)
    def test_a_trickle_ends_a_patch_once(self, raw: Raw, connected: Connected, text: bytes) -> None:
        raw.on(PATCH, trickle(text))
        session = connected()
        with at_most(5), pytest.raises(UnavailableError, match=r"within 0\.5 s") as caught:
            patch(session)
        assert str(caught.value).startswith(PATCH)
        assert caught.value.may_have_arrived
        assert caught.value.exit_code is ExitCode.UNAVAILABLE
        assert "RECONCILER_DEADLINE" in caught.value.hint
        assert raw.requests().count(PATCH) == 1

    @pytest.mark.parametrize("text", TRICKLES.values(), ids=TRICKLES)
    def test_a_create_has_no_more_time_than_its_grace_counts_on(
        self, raw: Raw, connected: Connected, text: bytes
    ) -> None:
        raw.on(POST, trickle(text))
        session = connected(Limits(timeout=0.5, deadline=60.0))
        with at_most(5), pytest.raises(UnavailableError, match=r"within 0\.5 s") as caught:
            create(session)
        assert caught.value.may_have_arrived
        assert "RECONCILER_TIMEOUT" in caught.value.hint
        assert raw.requests().count(POST) == 1

    def test_a_list_that_trickles(self, raw: Raw, connected: Connected) -> None:
        raw.on("GET /monitors", trickle(whole(b" " * 999)))
        session = connected()
        with (
            at_most(5),
            pytest.raises(UnavailableError, match="GET /monitors: no complete response"),
        ):
            listed(session)

    def test_a_login_that_trickles_sends_nothing_else(self, raw: Raw, connected: Connected) -> None:
        raw.on("POST /access-tokens", trickle(whole(b" " * 999)))
        session = connected()
        with at_most(5), pytest.raises(UnavailableError, match="POST /access-tokens") as caught:
            patch(session)
        assert not caught.value.may_have_arrived

    def test_silence_is_still_met_by_a_repetition(self, raw: Raw, connected: Connected) -> None:
        def answer(to: socket.socket) -> None:
            if raw.requests().count(PATCH) == 1:
                time.sleep(1.5)
            to.sendall(whole(b""))

        raw.on(PATCH, answer)
        patch(connected(Limits(timeout=0.5, deadline=60.0)))
        assert raw.requests().count(PATCH) == 2

    def test_a_steady_answer_may_take_longer_than_the_timeout(
        self, raw: Raw, connected: Connected
    ) -> None:
        raw.on("GET /monitors", trickle(whole(b'[{"id": 7, "type": "email-smtp"}]'), 0.02))
        assert listed(connected(Limits(timeout=0.6, deadline=60.0))) == [7]

    def test_a_server_that_does_not_read(self, raw: Raw, connected: Connected) -> None:
        is_over = threading.Event()

        def hold(to: socket.socket) -> None:
            to.sendall(whole(TOKEN))
            is_over.wait(_SECONDS)
            raise OSError

        raw.on("POST /access-tokens", hold)
        session = connected()
        with at_most(15), pytest.raises(UnavailableError, match=r"within 0\.5 s") as caught:
            Writer(session, ACCOUNT).patch(SMTP, {"note": "x" * 30 * MIB})
        is_over.set()
        assert caught.value.may_have_arrived

    def test_what_no_time_limit_reaches_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wire = Wire()
        with wire.exchange(10.0, Allowance(10.0, MIB)):
            now = time.monotonic()
            for later, is_overdue in ((0, False), (20, False), (30, True)):
                monkeypatch.setattr(time, "monotonic", lambda later=later: now + later)
                assert wire.is_overdue() is is_overdue
        assert not wire.is_overdue()


class TestFlood:
    FLOODS = (
        ("body", endless(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b" " * MIB)),
        ("until it closes", endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * MIB)),
        (
            "chunks",
            endless(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"10000\r\n" + b" " * 65536 + b"\r\n",
            ),
        ),
        ("interim answers", endless(b"", b"HTTP/1.1 102 x\r\nX: " + b"x" * 90_000 + b"\r\n\r\n")),
    )

    @pytest.mark.parametrize("flood", [flood for _, flood in FLOODS], ids=[n for n, _ in FLOODS])
    @pytest.mark.parametrize("call", [patch, create, listed])
    def test_an_answer_without_end(
        self,
        raw: Raw,
        connected: Connected,
        flood: Callable[[socket.socket], None],
        call: Callable[[Session], object],
    ) -> None:
        for request in (PATCH, POST, "GET /monitors"):
            raw.on(request, flood)
        session = connected(Limits(timeout=30.0, deadline=30.0, size=8 * MIB))
        with too_large_for(20 * MIB) as info:
            call(session)
        assert info.value.may_have_arrived
        assert info.value.exit_code is ExitCode.UNAVAILABLE

    def test_headers_without_end(self, raw: Raw, connected: Connected) -> None:
        raw.on(PATCH, endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 4096))
        session = connected()
        with at_most(20), pytest.raises(AlertSiteError) as caught:
            patch(session)
        assert caught.value.may_have_arrived

    @pytest.mark.parametrize("call", [patch, listed])
    def test_a_bomb(
        self, raw: Raw, connected: Connected, call: Callable[[Session], object]
    ) -> None:
        packer = zlib.compressobj(wbits=31)
        packed = b"".join(packer.compress(b" " * MIB) for _ in range(64)) + packer.flush()
        for request in (PATCH, "GET /monitors"):
            raw.say(request, whole(packed, b"Content-Encoding: gzip"))
        session = connected(Limits(timeout=30.0, deadline=30.0, size=8 * MIB))
        with too_large_for(24 * MIB):
            call(session)

    @pytest.mark.parametrize(
        "piece",
        [b"[],", b'{"":0},', b"0.5,", b'"ab",'],
        ids=["lists", "objects", "numbers", "texts"],
    )
    def test_a_bomb_of_values(self, raw: Raw, connected: Connected, piece: bytes) -> None:
        """What is small on the wire, and as text, is large in memory."""
        packer = zlib.compressobj(wbits=31)
        text = b'{"results":[' + piece * (6 * MIB // len(piece)) + b"0]}"
        raw.say(
            "GET /monitors",
            whole(packer.compress(text) + packer.flush(), b"Content-Encoding: gzip"),
        )
        session = connected(Limits(timeout=30.0, deadline=30.0, size=8 * MIB))
        with too_large_for(32 * MIB):
            listed(session)

    def test_a_list_of_usual_monitors_may_be_as_large_as_the_limit(
        self, raw: Raw, connected: Connected
    ) -> None:
        monitor = {"id": 0, "type": "email-smtp", "name": "n", "locations": [{"id": 10}] * 3}
        monitor |= {f"field_{number}": "a usual text" for number in range(20)}
        found = [monitor | {"id": number} for number in range(2 * MIB * 9 // 10 // 690)]
        text = json.dumps({"results": found}).encode()
        assert len(text) > 2 * MIB * 8 // 10
        raw.say("GET /monitors", whole(text))
        session = connected(Limits(timeout=30.0, deadline=30.0, size=2 * MIB))
        assert len(listed(session)) == len(found)

    def test_the_message_of_a_list_names_the_setting(self, raw: Raw, connected: Connected) -> None:
        raw.say("GET /monitors", whole(b" " * 2 * MIB))
        with pytest.raises(
            NonsenseError, match="returned a response with more than 1 MiB"
        ) as caught:
            listed(connected(Limits(size=MIB)))
        assert "RECONCILER_LARGEST_LIST" in caught.value.hint

    def test_pages_share_the_limit(self, raw: Raw, connected: Connected) -> None:
        def page(to: socket.socket) -> None:
            number = len(raw.seen)
            ids = range(number, number + 2)
            items = [{"id": n, "type": "email-smtp", "note": "x" * MIB} for n in ids]
            data = {"metadata": {"resultset": {"limit": 2}}, "results": items}
            to.sendall(whole(json.dumps(data).encode()))

        raw.on("GET /monitors", page)
        with pytest.raises(NonsenseError, match="returned a response with more than 8 MiB"):
            listed(connected(Limits(size=8 * MIB)))
        assert raw.requests().count("GET /monitors") <= 6

    def test_pages_without_end(self, raw: Raw, connected: Connected) -> None:
        def page(to: socket.socket) -> None:
            number = len(raw.seen)
            items = [{"id": n, "type": "email-smtp"} for n in (number, number + 1)]
            data = {"metadata": {"resultset": {"limit": 2}}, "results": items}
            to.sendall(whole(json.dumps(data).encode()))

        raw.on("GET /monitors", page)
        with pytest.raises(IncompleteError, match="more than 2,000 pages"):
            listed(connected(Limits()))
        assert raw.requests().count("GET /monitors") == 2_000

    def test_pages_share_their_time(self, raw: Raw, connected: Connected) -> None:
        def page(to: socket.socket) -> None:
            number = len(raw.seen)
            items = [{"id": n, "type": "email-smtp"} for n in (number, number + 1)]
            data = {"metadata": {"resultset": {"limit": 2}}, "results": items}
            time.sleep(0.02)
            to.sendall(whole(json.dumps(data).encode()))

        raw.on("GET /monitors", page)
        with (
            at_most(15),
            pytest.raises(UnavailableError, match="GET /monitors: no complete response"),
        ):
            listed(connected(Limits(timeout=2.0, deadline=0.4)))


class TestEncoding:
    def packed(self, text: bytes) -> bytes:
        return whole(gzip.compress(text), b"Content-Encoding: gzip")

    def test_gzip_is_read(self, raw: Raw, connected: Connected) -> None:
        raw.say("GET /monitors", self.packed(b'[{"id": 7, "type": "email-smtp"}]'))
        assert listed(connected()) == [7]

    @pytest.mark.parametrize("encoding", [b"deflate", b"br", b"gzip, gzip", b"zstd"])
    def test_no_other_was_asked_for(self, raw: Raw, connected: Connected, encoding: bytes) -> None:
        raw.say(PATCH, whole(b"xyz", b"Content-Encoding: " + encoding))
        with pytest.raises(NonsenseError, match="in an encoding that was not requested") as caught:
            patch(connected())
        assert caught.value.may_have_arrived

    @pytest.mark.parametrize("spoil", [lambda text: text[:-9], lambda text: text + b"more"])
    def test_gzip_that_is_not_whole(
        self, raw: Raw, connected: Connected, spoil: Callable[[bytes], bytes]
    ) -> None:
        cancellation = Cancellation(SYSTEM)
        cancellation.cancel("enough")
        body = spoil(gzip.compress(b'{"id": "1"}'))
        raw.say(PATCH, whole(body, b"Content-Encoding: gzip"))
        with pytest.raises(UnavailableError, match="no readable response") as caught:
            patch(connected(cancellation=cancellation))
        assert caught.value.may_have_arrived


OTHERS = whole(b'{"id": "666"}')
"""An answer to nothing, which a client must not take for the answer to its next request."""
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
BEHIND = {
    "behind a body": whole(b'{"id": "1"}') + OTHERS,
    "behind no body": b"HTTP/1.1 204 No Content\r\n\r\n" + OTHERS,
    "behind chunks": in_chunks(b'{"id": ', b'"1"}') + OTHERS,
    "half of one": whole(b'{"id": "1"}') + OTHERS[:20],
    "a body of a 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
    "line breaks": whole(b'{"id": "1"}') + b"\r\n",
    "behind chunks, with an early hint": HINT + in_chunks(b'{"id": "1"}') + OTHERS,
}
LENIENT = b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
"""Headers whose lines end with a line feed alone, which h11 reads."""
ODD = {
    "an early hint": HINT + in_chunks(b'{"id": "1"}'),
    "an early hint, with a length": HINT + whole(b'{"id": "1"}'),
    "line feeds": LENIENT + b"2\r\n{}\r\n0\r\n\r\n",
    "line feeds, and text in the body": LENIENT + b"8\r\n{\r\n\r\n\r\n}\r\n0\r\n\r\n",
    "line feeds, and a size below zero": LENIENT + b'e\r\n{"a":\r\n\r\n-6\r\n}\r\n0\r\n\r\n',
    "an extension of a chunk": LENIENT + b'2;x="y"\r\n{}\r\n0\r\n\r\n',
    "trailers": LENIENT + b"2\r\n{}\r\n0\r\nX: y\r\n\r\n",
}


class TestWhatIsLeft:
    @pytest.mark.parametrize("text", BEHIND.values(), ids=BEHIND)
    def test_it_is_no_answer_to_the_next_request(
        self, raw: Raw, connected: Connected, text: bytes
    ) -> None:
        raw.say(PATCH, text)
        raw.say(POST, whole(b'{"id": "7"}'))
        session = connected(connections=1)
        for _ in range(3):
            patch(session)
            assert create(session) == 7
        used = {request: number for number, request in raw.seen[:3]}
        assert used[PATCH] != used[POST]

    @pytest.mark.parametrize("text", ODD.values(), ids=ODD)
    def test_an_answer_that_is_odd_and_whole_is_read(
        self, raw: Raw, connected: Connected, text: bytes
    ) -> None:
        raw.say(PATCH, text)
        raw.say(POST, whole(b'{"id": "7"}'))
        session = connected(connections=1)
        with at_most(5):
            patch(session)
        assert create(session) == 7
        assert raw.requests().count(PATCH) == 1

    def test_nor_is_it_behind_the_login_or_a_list(self, raw: Raw, connected: Connected) -> None:
        raw.say("POST /access-tokens", whole(TOKEN) + whole(b"[]"))
        raw.say("GET /monitors", whole(b'[{"id": 7, "type": "email-smtp"}]') + OTHERS)
        raw.say(POST, whole(b'{"id": "8"}'))
        session = connected(connections=1)
        assert listed(session) == [7]
        assert create(session) == 8

    @pytest.mark.parametrize(
        "text",
        [
            whole(b'{"id": "1"}'),
            whole(b""),
            in_chunks(b'{"id": ', b'"1"}'),
            b"HTTP/1.1 204 No Content\r\n\r\n",
            whole(gzip.compress(b'{"id": "1"}'), b"Content-Encoding: gzip"),
        ],
        ids=["length", "empty", "chunks", "no content", "gzip"],
    )
    def test_a_connection_that_is_answered_as_it_should_be_stays(
        self, raw: Raw, connected: Connected, text: bytes
    ) -> None:
        raw.say(PATCH, text)
        session = connected(connections=1)
        for _ in range(5):
            patch(session)
        assert raw.connections == 1


class TestCut:
    def test_it_ends_what_is_in_flight_and_lets_nothing_new_begin(
        self, raw: Raw, connected: Connected
    ) -> None:
        cancellation, began = Cancellation(SYSTEM), threading.Event()

        def hang(_to: socket.socket) -> None:
            began.set()
            time.sleep(5)

        raw.on(PATCH, hang)
        session = connected(Limits(), cancellation)
        failures: list[AlertSiteError] = []

        def go() -> None:
            with pytest.raises(UnavailableError) as caught:
                patch(session)
            failures.append(caught.value)

        thread = threading.Thread(target=go)
        thread.start()
        assert began.wait(_SECONDS)
        cancellation.interrupt()
        with at_most(2):
            session.cut()
            thread.join(_SECONDS)
        (failure,) = failures
        assert failure.may_have_arrived
        assert "closed before a response" in str(failure)
        with pytest.raises(UnavailableError, match="connections were closed") as caught:
            patch(session)
        assert not caught.value.may_have_arrived
        assert raw.requests().count(PATCH) == 1


class TestLogin:
    LOGIN = "POST /access-tokens"

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 0])
    def test_it_is_not_sent_again_whatever_is_answered(
        self, script: Script, connect: Callable[..., Session], status: int
    ) -> None:
        script.on(self.LOGIN, Answer(status, headers=(("Retry-After", "0"),)), Answer(body=TOKEN))
        session = connect()
        for _ in range(3):
            with pytest.raises(UnavailableError) as caught:
                patch(session)
            assert not caught.value.may_have_arrived
        assert script.requests() == [self.LOGIN]
        assert "can lock users out" in caught.value.hint

    def test_a_connection_that_fails_is_tried_again(self, connect: Callable[..., Session]) -> None:
        (port,) = free_ports(1)
        cancellation = Cancellation(SYSTEM)
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            if len(said) == 2:
                cancellation.cancel("enough")

        session = connect(url=f"http://127.0.0.1:{port}", cancellation=cancellation, say=say)
        with pytest.raises(UnavailableError, match="cannot be reached"):
            patch(session)
        assert len(said) == 2
