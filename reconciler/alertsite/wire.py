"""The bytes between us and AlertSite: how many, for how long, and where one answer ends.

httpx bounds each read from a socket, and nothing bounds their number: a server that sends one byte
a second, or never stops sending, would keep a request, and the lock of the run, for ever. So every
read and write passes through here, whatever it is for (a proxy's greeting, headers, chunks), and
counts against what its exchange may take. An exchange belongs to one thread, which does all its
reading and writing; that is how a stream knows for which exchange it reads.

Rule: only what was read tells where an answer ends. `Exchange.is_whole` says yes only if the bytes
are one final answer and nothing else; of what is odd in any way, it says no, which costs a new
connection.
"""

from __future__ import annotations

import re
import socket
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import httpcore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

    import httpx

_PIECE = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_HEADERS_END = re.compile(rb"\n\r?\n")
"""As h11 finds it (`_receivebuffer.blank_line_regex`), which takes line feeds alone too."""
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,20})[ \t]*(;.*)?", re.DOTALL)
"""The line before a chunk (RFC 9112, 7.1)."""
_VALUE = 24
"""Bytes that a value in JSON counts for at least, since it takes more than that in memory."""
_MARGIN = 15.0
"""Seconds that an exchange may be late before it must be stuck where no time limit reaches."""


class OverdueError(Exception):
    """The time of an exchange is over.

    Attributes:
        seconds: how long it may take.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class FloodError(Exception):
    """An answer is larger than it may be.

    Attributes:
        size: how large it may be.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class CutError(Exception):
    """All connections were cut off on purpose."""


class Allowance:
    """What one answer, or several together, may take; what has been taken is gone.

    The system's own clock tells the time, as it does for the time limits of sockets.

    Args:
        seconds: from now.
        size: in bytes; what is unpacked counts as well, and so do many small values.
    """

    def __init__(self, seconds: float, size: int) -> None:
        self.seconds = seconds
        self.ends = time.monotonic() + seconds
        self.size = self.left = size

    def take(self, count: int) -> None:
        """Counts so many bytes.

        Raises:
            FloodError: there were not as many left.
        """
        self.left -= count
        if self.left < 0:
            raise FloodError(self.size)

    def take_values(self, text: bytes) -> None:
        """Counts what the values of a JSON text take beside its bytes, which are counted.

        Three bytes, as in `[],`, become an object with its place in a list. A usual monitor, with
        long names and few brackets, takes nothing more.

        Raises:
            FloodError: there was not as much left.
        """
        if len(text) * _VALUE > self.left:  # else it cannot be too much, and is not looked at
            count = sum(text.count(mark) for mark in b",[{")
            self.take(max(0, count * _VALUE - len(text)))


class Peer(NamedTuple):
    """Whom a connection is made to: AlertSite, or the proxy in between."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Exchange:
    """One request and its answer, as bytes.

    Attributes:
        peer: whom a connection was made to for it; None if one was at hand.
    """

    def __init__(self, seconds: float, allowance: Allowance) -> None:
        self.ends = time.monotonic() + seconds
        self._seconds = seconds
        if allowance.ends < self.ends:
            self.ends, self._seconds = allowance.ends, allowance.seconds
        self._allowance = allowance
        self._count = 0
        self._beginning = bytearray()
        self.peer: Peer | None = None

    def within(self, timeout: float | None) -> float:
        """The seconds that one step may take: the timeout, or less if less is left.

        Raises:
            OverdueError: nothing is left.
        """
        left = self.ends - time.monotonic()
        if left <= 0:
            raise OverdueError(self._seconds)
        return left if timeout is None else min(timeout, left)

    def read(self, data: bytes) -> None:
        """Counts what was read.

        Raises:
            FloodError: it is too much.
        """
        self._allowance.take(len(data))
        self._count += len(data)
        if len(self._beginning) < _PIECE:
            self._beginning += data

    def begin_anew(self) -> None:
        """Forgets what was read: what a proxy said before TLS is no part of the answer."""
        self._count = 0
        self._beginning.clear()

    def is_whole(self, response: httpx.Response) -> bool:
        """Whether all that was read is this answer, and all of this answer was read.

        httpcore keeps what it has read beyond the end of an answer and takes it for the beginning
        of the next one (h11, `Connection.start_next_cycle`). So nothing may be left when a
        connection is used again. An answer in chunks is only followed while it is short.
        """
        headers = _HEADERS_END.search(self._beginning)
        if headers is None:
            return False
        body = headers.end()
        if "Transfer-Encoding" in response.headers:
            return self._count == len(self._beginning) and self._ends_with_last_chunk(body)
        length = "0" if response.status_code == 204 else response.headers.get("Content-Length", "")  # noqa: PLR2004
        return length.isdecimal() and self._count == body + int(length)

    def _ends_with_last_chunk(self, start: int) -> bool:
        """Whether what was read ends with the chunks that begin there (RFC 9112, 7.1).

        No chunk may begin there: an interim answer (1xx) has headers of its own, and the answer
        itself comes behind them.
        """
        while (end := self._beginning.find(b"\r\n", start)) > start:
            chunk = _CHUNK.fullmatch(self._beginning, start, end)
            if chunk is None:
                return False
            size = int(chunk[1], 16)
            start = end + 2 + size + 2
            if not size:
                return start == self._count
        return False


def unpacked(body: bytes, allowance: Allowance) -> bytes:
    """What was packed with gzip (RFC 1952); no more of it is unpacked than is allowed.

    Raises:
        FloodError: it is too much.
        ValueError: it is not one whole packet and nothing else.
    """
    packet = zlib.decompressobj(wbits=_GZIP)
    try:
        data = packet.decompress(body, allowance.left + 1)  # 0 would mean: without a limit
    except zlib.error as error:
        raise ValueError(str(error)) from error
    allowance.take(len(data))
    if not packet.eof or packet.unused_data:
        raise ValueError("not one whole packet of gzip")
    return data


class Wire(httpcore.NetworkBackend):
    """Makes connections whose exchanges are bounded, and which can all be cut off at once."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()
        self._streams: set[_Stream] = set()
        self._own = threading.local()
        self._under_way: set[Exchange] = set()
        self.is_cut = False

    @contextmanager
    def exchange(self, seconds: float, allowance: Allowance) -> Iterator[Exchange]:
        """The body is one exchange, which may take so many seconds."""
        exchange = Exchange(seconds, allowance)
        self._own.exchange = exchange
        self._under_way.add(exchange)
        try:
            yield exchange
        finally:
            self._under_way.discard(exchange)
            del self._own.exchange

    @property
    def current(self) -> Exchange:
        """The exchange of this thread."""
        found: Exchange = self._own.exchange
        return found

    def is_overdue(self) -> bool:
        """Whether an exchange is stuck where no time limit reaches, as in the look-up of a name."""
        now = time.monotonic()
        return any(now > item.ends + _MARGIN for item in self._under_way.copy())

    def cut(self) -> None:
        """Ends everything that is under way. May be called by a signal handler: it takes no lock.

        A socket that is shut down wakes who waits for it, which one that is closed does not.
        """
        self.is_cut = True
        for stream in self._streams.copy():
            stream.shut_down()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection, made within the timeout."""
        self.current.peer = Peer(host, port)
        within = self.current.within(timeout)
        try:
            stream = self._backend.connect_tcp(host, port, within, local_address, socket_options)
        except UnicodeError as error:  # Python spells it for DNS, before it asks
            raise httpcore.ConnectError("the name of the host is not valid") from error
        return self.bounded(stream)

    def bounded(self, stream: httpcore.NetworkStream) -> _Stream:
        """The stream, with its reads and writes bounded."""
        made = _Stream(self, stream)
        self._streams.add(made)
        if self.is_cut:  # asked after that, or a cut at this moment would miss it
            made.close()
            raise CutError
        return made

    def forget(self, stream: _Stream) -> None:
        """Called when a stream is closed."""
        self._streams.discard(stream)

    def check(self) -> None:
        """Raises `CutError` once all was cut off."""
        if self.is_cut:
            raise CutError


class _Stream(httpcore.NetworkStream):
    """One connection."""

    def __init__(self, wire: Wire, stream: httpcore.NetworkStream) -> None:
        self._wire = wire
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = self._wire.current
        try:
            data = self._stream.read(max_bytes, exchange.within(timeout))
        except (httpcore.ReadTimeout, httpcore.ReadError):
            self._wire.check()
            exchange.within(timeout)
            raise
        if not data:
            self._wire.check()
        exchange.read(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        exchange = self._wire.current
        for start in range(0, len(buffer), _PIECE):
            piece = buffer[start : start + _PIECE]
            try:
                self._stream.write(piece, exchange.within(timeout))
            except httpcore.WriteTimeout:
                exchange.within(timeout)
                raise

    def close(self) -> None:
        self._wire.forget(self)
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        exchange = self._wire.current
        stream = self._stream.start_tls(ssl_context, server_hostname, exchange.within(timeout))
        self._wire.forget(self)
        exchange.begin_anew()
        return self._wire.bounded(stream)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)

    def shut_down(self) -> None:
        """Ends the connection under whoever uses it."""
        found = self.get_extra_info("socket")
        if isinstance(found, socket.socket):
            with suppress(OSError):  # it is closed already
                # Not the method of an `SSLSocket`, which would take TLS away from under a reader.
                socket.socket.shutdown(found, socket.SHUT_RDWR)
