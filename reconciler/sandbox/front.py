"""What stands between the network and the API: faults and the request log.

Rule: the API is asked at most once per request, and its whole answer is in hand before a byte is
sent, so that "before" and "after" a change are exact. A request is in the log before its answer is
on the wire: whoever has the answer finds the line.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.sandbox.app import PREFIX, errors_response
from reconciler.sandbox.backend import Backend, SandboxClock
from reconciler.sandbox.faults import Fault
from reconciler.sandbox.options import Controls, Witness

_FIRST_ERROR: Final = 300
_HTML: Final = "<html><head><title>Error</title></head><body><h1>Error</h1></body></html>\n"
_PACE: Final = 0.1  # seconds for each byte of an answer that trickles
_TICK: Final = 0.001  # seconds; how long an empty buffer may go unnoticed


class Abandon(Exception):  # noqa: N818 - no error, but what a witness asks for
    """Raised by a witness: the connection is to close without an answer."""


class Front:
    """An ASGI application that lets another one answer, except for faults.

    It needs the connection's `transport` in the scope's state, to close it without an answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        controls: Controls,
        backend: Backend,
        clock: SandboxClock,
        write_log: Callable[[str], object] | None,
        witness: Witness | None,
    ) -> None:
        self._app = app
        self._controls = controls
        self._backend = backend
        self._clock = clock
        self._write_log = write_log
        self._witness = witness
        self._under_way: set[asyncio.Task[Response]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        body = await _whole_body(receive)
        if body is None:
            return
        fault = answer = None
        try:
            await self._report("before", scope)
            fault = self._controls.take(scope["method"], _path(scope))
            answer = await self._answer(fault, scope, body)
            if self._write_log is not None:
                status = None if answer is None else answer.status_code
                self._write_log(_log_line(scope, body, status))
            if answer is not None:
                await self._report("during", scope)
        except Abandon:
            answer = None
        if answer is None:
            scope["state"]["transport"].abort()
            await _until_closed(receive)
            return
        spoiling = None if fault is None else fault.body
        start = {"status": answer.status_code, "headers": answer.raw_headers}
        await send({"type": "http.response.start", **start})
        if spoiling == "trickle":
            await _trickle(bytes(answer.body), receive, send)
            return
        is_cut = spoiling == "truncated"  # its Content-Length promises more than its body has
        await send({"type": "http.response.body", "body": answer.body, "more_body": is_cut})
        if is_cut:
            scope["state"]["transport"].close()
            await _until_closed(receive)
        await self._report("after", scope)

    async def _report(self, moment: str, scope: Scope) -> None:
        if self._witness is None:
            return
        if moment == "after":  # the system has all that was written; a lost one holds nothing
            while scope["state"]["transport"].get_write_buffer_size():  # noqa: ASYNC110 - no event
                await asyncio.sleep(_TICK)
        await asyncio.to_thread(self._witness, moment, scope["method"], _path(scope))

    async def _answer(self, fault: Fault | None, scope: Scope, body: bytes) -> Response | None:
        """The answer, or None for a connection that closes without one."""
        if fault is None:
            return await self._act(scope, body)
        if fault.delay and not await self._clock.reaches(self._clock.now() + fault.delay):
            return None
        if fault.drop == "before":
            return None
        if fault.status is not None and fault.body is None and fault.act is None:
            return _refusal(fault.status, fault.retry_after)
        answer = await (self._begun if fault.is_late else self._act)(scope, body)
        return None if fault.drop == "after" else _spoilt(answer, fault)

    async def _begun(self, scope: Scope, body: bytes) -> Response | None:
        """The answer, or None as soon as the API says that the request is under way."""
        is_under_way = asyncio.Event()
        state = {**scope["state"], "is_under_way": is_under_way}
        acting = asyncio.create_task(self._act({**scope, "state": state}, body))
        noticing = asyncio.create_task(is_under_way.wait())
        # Only a reference keeps a task alive.
        self._under_way.add(acting)
        acting.add_done_callback(self._under_way.discard)
        await asyncio.wait((acting, noticing), return_when=asyncio.FIRST_COMPLETED)
        noticing.cancel()
        return acting.result() if acting.done() else None

    async def _act(self, scope: Scope, body: bytes) -> Response:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        self._backend.settle()
        await self._app(scope, receive, send)
        start, *parts = messages
        content = b"".join(part.get("body", b"") for part in parts)
        response = Response(content, start["status"])
        response.raw_headers = start["headers"]
        return response


def _refusal(status: int, retry_after: str | None) -> Response:
    if status < _FIRST_ERROR:  # it claims to have acted
        return JSONResponse({}, status)
    response = errors_response(status, "The sandbox was told to answer this.")
    if retry_after is not None:
        response.headers["retry-after"] = retry_after
    return response


def _spoilt(answer: Response | None, fault: Fault) -> Response | None:
    if fault.body is None:
        return answer if fault.status is None else _refusal(fault.status, fault.retry_after)
    if fault.body == "trickle" and answer is not None:
        answer.status_code = fault.status or answer.status_code
        return answer
    status = fault.status or 200
    headers = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
    if fault.body == "html":
        return Response(_HTML, status, headers, media_type="text/html")
    if answer is None:
        return None
    half = answer.body[: len(answer.body) // 2]
    headers["content-length"] = str(max(len(answer.body), 1))
    return Response(half, status, headers, media_type="application/json")


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(PREFIX)


def _log_line(scope: Scope, body: bytes, status: int | None) -> str:
    path = _path(scope)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if path == "/access-tokens" and isinstance(content, dict) and "password" in content:
        content["password"] = "***"
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    entry = {"path": path, "query": query, "body": content, "status": status}
    return json.dumps({"method": scope["method"], **entry}) + "\n"


async def _whole_body(receive: Receive) -> bytes | None:
    """The body, or None if the client left before it was complete."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


async def _trickle(body: bytes, receive: Receive, send: Send) -> None:
    """Sends a body byte by byte, until the client has it or has gone."""
    leaving = asyncio.create_task(_until_closed(receive))
    try:
        for number in range(len(body)):
            part, is_last = body[number : number + 1], number + 1 == len(body)
            await send({"type": "http.response.body", "body": part, "more_body": not is_last})
            if (await asyncio.wait((leaving,), timeout=_PACE))[0]:
                return
    finally:
        leaving.cancel()


async def _until_closed(receive: Receive) -> None:
    """Waits until uvicorn knows that the connection is closed, so that it misses no answer."""
    while (await receive())["type"] != "http.disconnect":
        pass
