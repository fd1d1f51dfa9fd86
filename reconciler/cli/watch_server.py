"""Serves what a watcher has seen: pages, health and numbers. Nothing can be changed here.

Rule: a request is answered from what is at hand; it starts no look, and waits for none.
"""

from __future__ import annotations

import gzip
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from reconciler import __version__
from reconciler.core.watch import is_alive, is_ready
from reconciler.errors import ConfigurationError
from reconciler.render.html.watches import watch_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from reconciler.core.watch import Shown


_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_FOUND, _MISSING, _AWAY = 200, 404, 503
_QUIET = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def application(
    shown: Callable[[], Shown],
    metrics: Callable[[Shown], bytes],
    monotonic: Callable[[], float],
    interval: float,
) -> Starlette:
    """What answers requests.

    Args:
        shown: what there is to show now.
        metrics: the numbers of that.
        monotonic: seconds that only ever grow.
        interval: between two rounds, in seconds.
    """

    async def index(_: Request) -> Response:
        return _page(watch_html(shown(), __version__))

    async def account(request: Request) -> Response:
        found = shown().pages.get(request.path_params["name"])
        if found is None:
            return _text("There is no account with this name, or it was not checked yet.", _MISSING)
        return _page(gzip.decompress(found).decode())

    async def health(_: Request) -> Response:
        if is_alive(shown(), monotonic(), interval):
            return _text("alive")
        return _text("nothing was checked for a long time", _AWAY)

    async def readiness(_: Request) -> Response:
        now = shown()
        if not is_ready(now):
            return _text("the first round is in progress", _AWAY)
        return _text("leading" if now.is_leading else "standing by")

    async def numbers(_: Request) -> Response:
        return Response(metrics(shown()), media_type=_OPENMETRICS, headers=_QUIET)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/accounts/{name}", account),
            Route("/healthz", health),
            Route("/readyz", readiness),
            Route("/metrics", numbers),
        ]
    )


@contextmanager
def serving(app: Starlette, host: str, port: int) -> Iterator[str]:
    """Serves in a thread while the body runs; the value is the URL.

    Raises:
        ConfigurationError: nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            "Use another address with --listen HOST:PORT.",
        ) from error
    with listener:
        settings = uvicorn.Config(
            app,
            loop="asyncio",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, args=([listener],), name="pages", daemon=True)
        thread.start()
        shown = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{shown}:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def _page(text: str) -> Response:
    return Response(text, media_type="text/html", headers=_QUIET)


def _text(text: str, status: int = _FOUND) -> Response:
    return Response(f"{text}\n", status, media_type="text/plain", headers=_QUIET)
