"""The sandbox as a running server. Rule: all sockets, threads and files are opened and closed here.

The server listens on loopback only.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.sandbox.account import AccountData
from reconciler.sandbox.app import PREFIX, application
from reconciler.sandbox.backend import Backend, SandboxClock
from reconciler.sandbox.front import Front
from reconciler.sandbox.monitors import SecretFields
from reconciler.sandbox.options import Options
from reconciler.sandbox.store import Database

if TYPE_CHECKING:
    from types import FrameType

_HOST: Final = "127.0.0.1"
_KEEP_ALIVE: Final = 75  # seconds; longer than clients keep an idle connection
_TICK: Final = 0.02  # seconds; how long an end may go unnoticed


@contextlib.contextmanager
def running(options: Options) -> Iterator[str]:
    """Serves in a thread while the block runs; the value is the base URL.

    Raises:
        OSError: the port is taken or the request log cannot be written.
        sqlite3.Error: the database cannot be opened.
    """
    started = threading.Event()
    with _prepared(options, lambda _url: started.set()) as server:
        thread = threading.Thread(
            target=server.run, args=([server.listener],), name="sandbox", daemon=True
        )
        thread.start()
        try:
            started.wait()
            yield server.base_url
        finally:
            server.should_exit = True
            thread.join()


def serve(options: Options, announce: Callable[[str], None]) -> None:
    """Serves until SIGINT, SIGTERM or SIGHUP; calls `announce` with the base URL once it listens.

    Raises:
        OSError: the port is taken or the request log cannot be written.
        sqlite3.Error: the database cannot be opened.
    """
    with _prepared(options, announce) as server:
        # Also before uvicorn takes the signals over, and after it has given them back: whoever asks
        # twice must not turn a good end into a bad one.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, server.handle_exit)
        server.run([server.listener])


@contextlib.contextmanager
def _prepared(options: Options, announce: Callable[[str], None]) -> Iterator["_Server"]:
    """The server, with everything that it needs opened."""
    with contextlib.ExitStack() as stack:
        secrets = SecretFields(options.secret_fields, options.schemas)
        store = Database(options.database, options.seed, secrets)
        stack.enter_context(contextlib.closing(store))
        write_log = None
        if options.request_log is not None:
            # Line by line, so that a reader never has to wait for the rest of a buffer.
            log = options.request_log.open("a", encoding="utf-8", buffering=1)
            write_log = stack.enter_context(log).write
        bound = socket.create_server((_HOST, options.port))
        # Once more, with the protocol named: asyncio turns Nagle's algorithm off only on sockets
        # that say they are TCP, and with it on the second half of each answer waits for 40 ms.
        listener = stack.enter_context(
            socket.socket(bound.family, bound.type, socket.IPPROTO_TCP, fileno=bound.detach())
        )
        stopping = asyncio.Event()
        clock = SandboxClock(options.clock, stopping)
        backend = Backend(clock)
        stack.callback(backend.settle)  # what was due before the end took place before it
        controls = options.controls
        accounts = {
            name: AccountData(store.of(name), controls)
            for name in ("", *(login.username for login in options.logins))
        }
        api = application(options, accounts, backend, clock)
        app = Front(api, controls, backend, clock, write_log, options.witness)
        yield _Server(app, listener, stopping, announce)


class _Server(uvicorn.Server):
    """Uvicorn, but it says when it listens, ends without ceremony and leaves signals alone."""

    def __init__(
        self,
        app: Front,
        listener: socket.socket,
        stopping: asyncio.Event,
        announce: Callable[[str], None],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Connection,
                loop="asyncio",
                ws="none",
                lifespan="off",
                access_log=False,
                date_header=False,
                log_config=None,
                log_level="warning",
                timeout_keep_alive=_KEEP_ALIVE,
            )
        )
        self.listener = listener
        self.base_url = f"http://{_HOST}:{listener.getsockname()[1]}{PREFIX}"
        self._stopping = stopping
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce(self.base_url)

    async def main_loop(self) -> None:
        # Uvicorn's own looks every 100 ms, which adds up over a test run.
        while not self.should_exit:  # noqa: ASYNC110 - signals and threads cannot set an event
            await asyncio.sleep(_TICK)

    def handle_exit(self, sig: int, frame: "FrameType | None") -> None:
        # Uvicorn's own would raise the signal once more after the end.
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Uvicorn's own waits in steps of 100 ms for clients to be done with their connections.
        for server in self.servers:
            server.close()
        self._stopping.set()
        # Both empty themselves within a few turns of the loop; there is no event for it. A
        # connection that was just accepted may turn up in the meantime.
        while self.server_state.connections or self.server_state.tasks:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)


class _Connection(H11Protocol):
    """A connection whose requests can get at its transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {"transport": transport}
