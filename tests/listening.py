"""Ports on loopback, and a server of the standard library for as long as a test needs it."""

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext

_WORKERS = 16
_LISTENED = range(10_000, 32_000)[
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS :: _WORKERS
]
"""Of these no system takes one for a connection unless it is told to, as it does above them.

Each worker has its own: none takes a port between the look of another one and its server.
"""


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, and that no connection gets before a server does."""
    found: list[int] = []
    for number in random.SystemRandom().sample(_LISTENED, len(_LISTENED)):
        if len(found) == count:
            break
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
            found.append(number)
    return found


class QuietHandler(BaseHTTPRequestHandler):
    """Answers what its subclass says, and prints nothing of it."""

    disable_nagle_algorithm = True  # which keeps each second part of an answer for 40 ms

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(
    handler: Callable[..., BaseHTTPRequestHandler], tls: SSLContext | None = None
) -> Iterator[str]:
    """Where the server is: HOST:PORT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
