"""The routes of the API. Rule: a request comes in, an answer goes out; faults are not known here.

Documented: the paths and methods, that read and delete are not specific to a type while create and
edit are, ids as text in the answers of create and edit, 204 for a delete, 400 for a bad login,
401 for a token that is not valid (any more), 403 for a role that may not write, 404 with `Record
not found`. Inferred (from the pages of the other lists): the list's envelope, with `offset` as
text, and `limit` and `offset`. Inferred (from the pages of other single records): GET of one
monitor is bare. Inferred: the errors' envelope for 401, 403, 404 of an unknown path and 405, the
404 of an edit below the wrong type. Unknown: whether `count` is the total, as it is here, or the
length of the page; `worlds.py` has this and more of what is unknown. Tokens live in the process
only, never in the database; documented (api/v3/get-access-token.html) are their 32 hexadecimal
digits and their life of one hour.
"""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.sandbox.account import AccountData
from reconciler.sandbox.backend import Backend, SandboxClock
from reconciler.sandbox.monitors import MonitorKind, Reading, read_edit, read_new
from reconciler.sandbox.openapi import document
from reconciler.sandbox.options import Options, UserLogin

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ExceptionHandler

PREFIX: Final = "/api/v3"
USERNAME: Final = "demo@example.com"
PASSWORD: Final = "demo"
VIEWER: Final = UserLogin("viewer@example.com", "viewer")
_BAD_LOGIN: Final = "invalid_request - User authentication failed."
_NOT_LOGGED_IN: Final = "invalid_token - The access token is invalid or has expired."
_NOT_FOUND: Final = "Record not found"
_MOST: Final = 2**62  # more monitors than there are


class InvalidFieldsError(Exception):
    """A request with fields that are not accepted, each as the errors' envelope has it."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(errors)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class User:
    """Who a token speaks for.

    Attributes:
        account: whose monitors the user sees; the username of a further login, else empty.
    """

    may_write: bool
    account: str = ""


_USERS: Final = {
    UserLogin(USERNAME, PASSWORD): User(may_write=True),
    VIEWER: User(may_write=False),
}


class Tokens:
    """The tokens handed out so far, until they expire."""

    def __init__(
        self, life: float, now: Callable[[], float], users: Mapping[UserLogin, User]
    ) -> None:
        self._users = users
        self._life = life
        self._now = now
        self._holders: dict[str, tuple[User, float]] = {}

    def issue(self, username: object, password: object) -> str | None:
        """A new token for this login, or None if there is no such login."""
        if not isinstance(username, str) or not isinstance(password, str):
            return None
        if (user := self._users.get(UserLogin(username, password))) is None:
            return None
        token = secrets.token_hex(16)
        self._holders[token] = (user, self._now() + self._life)
        return token

    def holder(self, token: str) -> User | None:
        """The user of a token that is valid now, or None."""
        user, expiry = self._holders.get(token, (None, 0.0))
        if user is not None and self._now() >= expiry:
            del self._holders[token]
            return None
        return user


def application(
    options: Options, accounts: Mapping[str, AccountData], backend: Backend, clock: SandboxClock
) -> Starlette:
    """The API over the monitors of accounts, as `User.account` names them."""
    api = _Api(options, accounts, backend, clock)

    def route(method: str, path: str, endpoint: Callable[..., Any]) -> Route:
        return Route(PREFIX + path, endpoint, methods=[method])

    routes = [
        route("GET", "/openapi.json", api.describe),
        route("POST", "/access-tokens", api.log_in),
        route("GET", "/monitors", api.list_monitors),
        route("GET", "/monitors/{id:int}", api.read_monitor),
        route("DELETE", "/monitors/{id:int}", api.delete_monitor),
    ]
    for name, schema in options.schemas.items():
        kind = MonitorKind.from_schema(name, schema)
        routes += [
            route("POST", f"/monitors/{name}", partial(api.create_monitor, kind)),
            route("PATCH", f"/monitors/{name}/{{id:int}}", partial(api.edit_monitor, kind)),
        ]
    handlers: Mapping[Any, ExceptionHandler] = {
        InvalidFieldsError: _invalid,
        HTTPException: _refused,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


def errors_response(status: int, message: str) -> Response:
    """The answer that says why a request was refused."""
    return _json({"errors": [{"code": status, "message": message}]}, status)


class _Api:
    """The endpoints, with what they share."""

    def __init__(
        self,
        options: Options,
        accounts: Mapping[str, AccountData],
        backend: Backend,
        clock: SandboxClock,
    ) -> None:
        self._options = options
        self._accounts = accounts
        self._backend = backend
        self._clock = clock
        users = _USERS | {
            login: User(may_write=True, account=login.username) for login in options.logins
        }
        self._tokens = Tokens(options.token_life, clock.now, users)

    async def describe(self, _request: Request) -> Response:
        return _json(document(self._options.schemas, PREFIX, strict=self._options.strict))

    async def log_in(self, request: Request) -> Response:
        body = await _object(request)
        token = self._tokens.issue(body.get("username"), body.get("password"))
        if token is None:
            raise HTTPException(400, _BAD_LOGIN)
        return _json({"access_token": token})

    async def list_monitors(self, request: Request) -> Response:
        account = self._authorised(request)
        query, world = request.query_params, account.world
        asked, offset = _whole_number(query, "limit"), _whole_number(query, "offset")
        limits = [size for size in (asked, self._options.page_size) if size is not None]
        limit = min(limits) if limits else None
        start = offset or 0
        match world.offset:
            case "ignored":
                start = 0
            case "needs-limit" if asked is None:
                start = 0
            case "page":
                start = min(start * (_MOST if limit is None else limit), _MOST)
        types = query["type"].split(",") if query.get("type") else None
        page = account.page(types, limit, start, self._clock.now())
        shown_offset = offset if limit is None else offset or 0
        counts = {"total": page.count, "page": len(page.texts), "none": None}
        resultset = {
            "count": counts[world.count],
            "limit": limit,
            "offset": None if shown_offset is None else str(shown_offset),
        }
        metadata = {"__permissions": {"acl": 7}, "resultset": resultset}
        results = b",".join(_selected(text, query.get("select")) for text in page.texts)
        head = b'{"metadata":' + json.dumps(metadata).encode() + b',"results":['
        return _text(b"".join((head, results, b"]}")))

    async def read_monitor(self, request: Request) -> Response:
        account = self._authorised(request)
        text = account.find(request.path_params["id"], self._clock.now())
        if text is None:
            raise HTTPException(404, _NOT_FOUND)
        return _text(_selected(text, request.query_params.get("select")))

    async def delete_monitor(self, request: Request) -> Response:
        account = self._authorised(request, to_write=True)
        if not account.remove(request.path_params["id"]):
            raise HTTPException(404, _NOT_FOUND)
        return Response(status_code=204)

    async def create_monitor(self, kind: MonitorKind, request: Request) -> Response:
        account = self._authorised(request, to_write=True)
        reading = read_new(kind, await _object(request), strict=self._options.strict)
        values = _accepted(reading)
        now, delay = self._clock.now(), account.world.backend
        if not delay:
            return _json({"id": str(account.create(kind, values, now))})
        is_under_way: asyncio.Event | None = request.scope["state"].get("is_under_way")
        if is_under_way is not None:
            is_under_way.set()
        create = partial(account.create, kind, values)
        number = await self._backend.done(now + delay, create)
        if number is None:
            raise HTTPException(503, "The sandbox stops; this monitor is not created.")
        return _json({"id": str(number)})

    async def edit_monitor(self, kind: MonitorKind, request: Request) -> Response:
        account = self._authorised(request, to_write=True)
        number = request.path_params["id"]
        reading = read_edit(kind, await _object(request), strict=self._options.strict)
        values = _accepted(reading)
        if not account.edit(kind, number, values, self._clock.now()):
            raise HTTPException(404, _NOT_FOUND)
        return _json({"id": str(number)})

    def _authorised(self, request: Request, *, to_write: bool = False) -> AccountData:
        """The account of whoever asks."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user = self._tokens.holder(token) if scheme.lower() == "bearer" else None
        if user is None:
            expired = self._accounts[""].world.expired if token else 401
            raise HTTPException(expired, _BAD_LOGIN if expired == 400 else _NOT_LOGGED_IN)  # noqa: PLR2004 - a status
        if to_write and not user.may_write:
            raise HTTPException(403, "This user may not change monitors.")
        return self._accounts[user.account]


def _whole_number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(2**31))):
        message = "must be a whole number, 0 or more"
        raise InvalidFieldsError([{"code": 400, "fields": [name], "message": message}])
    return int(text)


def _selected(text: bytes, select: str | None) -> bytes:
    """The monitor with only the fields of `select`; documented for one monitor.

    Unknown names are ignored, and an empty `select` selects nothing.
    """
    if select is None:
        return text
    names = set(select.split(","))
    return _dumped({name: value for name, value in json.loads(text).items() if name in names})


async def _object(request: Request) -> dict[str, Any]:
    try:
        # Python reads NaN and Infinity, which JSON does not have; int refuses them.
        body = json.loads(await request.body(), parse_constant=int)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise HTTPException(400, "invalid_request - The body must be a JSON object.")
    return body


def _accepted(reading: Reading) -> Mapping[str, Any]:
    if reading.errors:
        raise InvalidFieldsError(reading.errors)
    return reading.values


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidFieldsError)
    return _json({"errors": error.errors}, 400)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = errors_response(error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


def _dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _json(value: object, status: int = 200) -> Response:
    return _text(_dumped(value), status)


def _text(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")
