"""One authenticated conversation with AlertSite, shared by all threads of a run.

Documented (api/v3/get-access-token.html, api/v3/index.html): `POST /access-tokens` takes username
and password, a bad login answers 400, a token lives one hour, then requests answer 401. Inferred:
`expires_in` may stand in the answer. Unknown: rate limits; 429 and `Retry-After` are honoured.
"""

from __future__ import annotations

import os
import ssl
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar, cast
from urllib.request import getproxies

import httpcore
import httpx

from reconciler import __version__
from reconciler.alertsite import responses
from reconciler.alertsite.rate import Bucket
from reconciler.alertsite.responses import Site, TransientError
from reconciler.alertsite.wire import (
    Allowance,
    CutError,
    FloodError,
    OverdueError,
    Peer,
    Wire,
    unpacked,
)
from reconciler.context import MIB, RejectedLogins, waiting
from reconciler.core.accounts import UNNAMED, Wording
from reconciler.core.events import RequestEnded
from reconciler.errors import (
    AlertSiteError,
    ConfigurationError,
    CredentialsError,
    NonsenseError,
    UnavailableError,
    without_errno,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.context import Cancellation, Clock, Limits, Reporter
    from reconciler.core.events import Tell
    from reconciler.core.model import JSON
    from reconciler.core.redactor import Redactor

_T = TypeVar("_T")
_CONNECT, _WRITE = 5.0, 10.0
_LONGEST_PAUSE = 30.0
_TOKEN_LIFE = 3600.0
_RENEW_EARLY = 300.0
_ONCE = "reconciler tried the login only once, because AlertSite can lock users out."
_LARGER = (
    " If the list is right, allow more with largest_list in reconciler.toml "
    "(RECONCILER_LARGEST_LIST)."
)
_TLS_HINT = "for your own certificate authority, set SSL_CERT_FILE to its file."
_PROXY_HINT = "Check HTTPS_PROXY and ALL_PROXY; NO_PROXY lists hosts that need no proxy."
_HTTPS = 443
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BROKEN: Mapping[type[Exception], str] = {
    CutError: "closed before a response arrived",
    httpx.TimeoutException: "no response in time",
    httpx.RemoteProtocolError: "no readable response: the response is not HTTP, or is incomplete",
    httpx.LocalProtocolError: "no readable response: the request cannot be written as HTTP",
    httpx.DecodingError: "no readable response: the response cannot be decompressed",
    httpx.NetworkError: "no readable response: the connection broke",
}
"""What went wrong, in our words: those of a library may quote what either side has sent."""
_SHORT = MIB
"""Bytes of any answer that is not a list: hundreds of times what a monitor takes."""
_LISTING = 5
"""How many deadlines the pages of one list may take together."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login, or a ready token in its place; neither shows in `repr`."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


class _Call(NamedTuple):
    """One request, which may be sent several times.

    Attributes:
        secrets: texts in the body that no message may repeat.
        allowance: what the answer may take, if it is not a short one.
    """

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: JSON = None
    secrets: Sequence[str] = ()
    allowance: Allowance | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Session:
    """Sends requests with a valid token, and again when that can help.

    GET, PATCH and DELETE are repeated on connect errors, timeouts, 429 and 502 to 504, as
    `retry` says; all of them may be carried out twice without harm. A POST makes a monitor
    each time it arrives, and no answer but its own says that it did not: proxies answer 502 to 504
    for requests that went through, and 429 or 401 may come after the effect as well. So a POST goes
    out again only after a connection that could not be made; whoever asked for it has to look
    first. So does a login, since AlertSite can lock users out, and no answer but a token says that
    it did not count this one: how it ended is remembered, and it is never tried again. A token that
    a login has just given and that is refused ends the run for the same reason.

    An exchange ends in bounded time and space, as `wire` sees to. One that ran into its deadline is
    not repeated: another one would take as long.

    Args:
        url: the base URL, without a slash at its end.
        connections: how many requests may be in flight at once.
        clock: what time it is.
        limits: what an answer may take.
        cancellation: what ends repetitions and all waits.
        reporter: is told of every request and repetition.
        redactor: is told every token and password.
        rate: requests per second at most; None for as many as AlertSite takes.
        wording: what messages call the settings that URL and credentials are from.
        rejected: what other sessions of this process have tried in vain; None for nothing.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        connections: int,
        clock: Clock,
        limits: Limits,
        cancellation: Cancellation,
        reporter: Reporter,
        redactor: Redactor,
        rate: float | None = None,
        wording: Wording = UNNAMED,
        rejected: RejectedLogins | None = None,
    ) -> None:
        redactor.know(credentials.password, credentials.token)
        self._redactor = redactor
        self.site = Site(url, wording)
        self._credentials = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._pausing = threading.Lock()
        self._token = credentials.token
        self._renew_at = float("inf")
        self._is_proved = True  # whether the token was ever accepted, or may yet be renewed
        self._refused: AlertSiteError | None = None
        self._rejected = rejected or RejectedLogins()
        self._not_before = self._pause = 0.0
        self._cancellation = cancellation
        self._reporter = reporter
        self._limits = limits
        self._bucket = None if rate is None else Bucket(rate, clock)
        self._wire = Wire()
        self._client = _client(self.site, connections, limits, self._wire)
        self._headers = dict(self._client.headers)
        self._timeout = self._client.timeout.as_dict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def tell(self) -> Tell:
        """Whom to tell what happens."""
        return self._reporter.tell

    def listing(self) -> Allowance:
        """What all pages of a list may take together."""
        return Allowance(_LISTING * self._limits.deadline, self._limits.size)

    def cut(self) -> None:
        """Closes all connections under whoever uses them; safe in a signal handler."""
        self._wire.cut()

    def is_overdue(self) -> bool:
        """Whether a request takes longer than it may, so that the run is stuck."""
        return self._wire.is_overdue()

    def watch(self, see: Callable[[str, int | None, str], None]) -> None:
        """From now on tells the path of every request, and then status and `Date` of its answer."""

        def answered(response: httpx.Response) -> None:
            see(response.request.url.path, response.status_code, response.headers.get("Date", ""))

        self._client.event_hooks = {
            "request": [lambda request: see(request.url.path, None, "")],
            "response": [answered],
        }

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JSON = None,
        secrets: Sequence[str] = (),
        allowance: Allowance | None = None,
    ) -> JSON:
        """The JSON of a successful answer; None if it has no body.

        `secrets` are texts in the body that no message may repeat; `allowance` is what the answer
        may take, if it is not a short one.

        Raises:
            CredentialsError: the login, the token or the permission was refused.
            RejectedError: AlertSite refused this request; its words are the message.
            UnavailableError: no usable answer within the budget.
            NonsenseError: an answer that is not of AlertSite's API.
        """
        call = _Call(method, path, query, body, secrets, allowance)

        def once() -> JSON:
            return responses.content(self._authorised(call), str(call), self.site)

        return self._persist(once, is_post=method == "POST")

    def _persist(self, once: Callable[[], _T], *, is_post: bool) -> _T:
        """What `once` returns at last; a POST that may have arrived is not repeated.

        Raises:
            AlertSiteError: how the last attempt failed; any of them may have arrived, and the
                answer to a later one does not tell.
        """
        may_have_arrived = False

        def attempt() -> _T:
            nonlocal may_have_arrived
            try:
                return once()
            except (TransientError, AlertSiteError) as error:
                may_have_arrived = may_have_arrived or error.may_have_arrived
                error.may_have_arrived = may_have_arrived
                if isinstance(error, TransientError) and is_post and may_have_arrived:
                    raise self._unavailable(error) from error
                raise

        try:
            return self._repeated(attempt)
        except TransientError as error:
            raise self._unavailable(error) from error

    def _repeated(self, attempt: Callable[[], _T]) -> _T:
        """What the first attempt returns that can, within the budget.

        Raises:
            TransientError: of the last attempt.
        """
        try:
            return attempt()
        except TransientError as error:
            first = error
        from reconciler.alertsite.retry import repeat  # 5 ms, if all goes well

        return repeat(attempt, first, self._cancellation, self._reporter)

    def _unavailable(self, error: TransientError) -> UnavailableError:
        usual = (
            f"Check {self.site.wording.url} and the network, or run the same command again later; "
            "nothing is lost."
        )
        return UnavailableError(
            str(error),
            error.hint or usual,
            may_have_arrived=error.may_have_arrived,
            is_away=not error.is_busy,
        )

    def _authorised(self, call: _Call) -> httpx.Response:
        """One request with a valid token; once more with a new one if the token is refused."""
        is_post = call.method == "POST"
        try:
            with self._lock:
                if self._refused or not self._token or self._clock.monotonic() >= self._renew_at:
                    self._log_in()
                token = self._token
        except AlertSiteError as error:
            error.may_have_arrived = False  # the request itself was not sent
            raise
        response = self._exchange(call, token)
        if not responses.refuses_token(response):
            self._is_proved = True
            return response
        try:
            token = self._renewed_token(token)
        except AlertSiteError as error:
            error.may_have_arrived = is_post
            raise
        if is_post:
            raise TransientError(
                f"{call}: {responses.words(response)}",
                may_have_arrived=True,
                is_busy=True,
                hint=responses.TO_CREATE,
            )
        response = self._exchange(call, token)
        self._is_proved = self._is_proved or not responses.refuses_token(response)
        return response

    def _exchange(self, call: _Call, token: str) -> httpx.Response:
        """One request and its answer; failures that a repetition may cure are `TransientError`."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._wait_our_turn()
        if self._wire.is_cut:
            message = f"{call}: not sent, because all connections were closed"
            raise TransientError(message, may_have_arrived=False)
        request = httpx.Request(  # as `build_request` makes it, in half the time
            call.method,
            self.site.url + call.path,
            params=call.query,
            json=call.body,
            headers=self._headers | headers,
            cookies=self._client.cookies or None,
            extensions={
                "timeout": self._timeout,
                responses.REDACTOR: self._redactor,
                responses.SECRETS: call.secrets,
            },
        )
        try:
            with waiting():
                response = self._timed(call, request)
        except OverdueError as error:
            setting = "timeout" if call.method == "POST" else "deadline"
            raise UnavailableError(
                f"{call}: no complete response within {error.seconds:g} s",
                "AlertSite or a proxy responds too slowly. Run the same command again later, or "
                f"allow more time with {setting} in reconciler.toml "
                f"(RECONCILER_{setting.upper()}).",
                may_have_arrived=True,
            ) from error
        except FloodError as error:
            size = f"{error.size / MIB:g} MiB"
            more = "" if call.allowance is None else _LARGER
            raise _nonsense(call, f"with more than {size}", self.site, more) from error
        except (CutError, httpx.RequestError) as error:
            reasons = (reason for kind, reason in _BROKEN.items() if isinstance(error, kind))
            reason = next(reasons, f"no readable response: {type(error).__name__}")
            raise TransientError(f"{call}: {reason}", may_have_arrived=True) from error
        if response.status_code in responses.TRANSIENT:
            is_throttled = response.status_code == responses.THROTTLED
            retry_after = responses.retry_after(response)
            if is_throttled:
                self._slow_down(retry_after)
            raise TransientError(
                f"{call}: {responses.words(response)}",
                may_have_arrived=True,
                is_busy=is_throttled,
                retry_after=retry_after,
                hint=_throttled(retry_after) if is_throttled else "",
            )
        self._pause = 0.0
        return response

    def _timed(self, call: _Call, request: httpx.Request) -> httpx.Response:
        """The whole answer; however it ends, the request is told of."""
        began, started = self._clock.now().timestamp(), self._clock.monotonic()
        status = None
        try:
            response = self._answer(call, request)
            status = response.status_code
            return response
        finally:
            took = self._clock.monotonic() - started
            self.tell(RequestEnded(call.method, call.path, status, began, took))

    def _answer(self, call: _Call, request: httpx.Request) -> httpx.Response:
        """The whole answer, unpacked.

        Raises:
            OverdueError, FloodError, CutError: it does not come, or not in bounds.
            TransientError: there is no connection.
            NonsenseError: TLS failed, or it is packed in a way that nobody asked for.
            httpx.RequestError: it cannot be read.
        """
        limits = self._limits
        seconds = limits.deadline
        if call.method == "POST":  # what waits for a create counts on it, see `Limits`
            seconds = min(limits.timeout, limits.deadline)
        allowance = call.allowance or Allowance(seconds, _SHORT)
        with self._wire.exchange(seconds, allowance) as exchange:
            try:
                response = self._client.send(request, stream=True)
            except (*_NEVER_SENT, httpx.ProxyError) as error:
                raise _not_sent(self.site, exchange.peer, error) from error
            try:
                body = b"".join(cast("httpx.SyncByteStream", response.stream))
                if not exchange.is_whole(response):
                    # Before it is given back, or another thread would use it.
                    response.extensions["network_stream"].close()
            finally:
                response.close()
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if body and encoding == "gzip":
            try:
                body = unpacked(body, allowance)
            except ValueError as error:
                raise httpx.DecodingError(str(error), request=request) from error
        elif body and encoding != "identity":
            raise _nonsense(call, "in an encoding that was not requested", self.site)
        allowance.take_values(body)
        # `read` would unpack without bounds, and close before it is known whether the answer is
        # whole. And the answer of a stream is garbage that only the collector finds: with what it
        # says in it, a hundred accounts would fill the memory before that runs.
        response.headers.pop("Content-Encoding", None)
        return httpx.Response(
            response.status_code, headers=response.headers, content=body, request=request
        )

    def _wait_our_turn(self) -> None:
        """Waits while AlertSite wants fewer requests: one 429 slows all threads down.

        So does the rate of the account, if it has one.
        """
        if self._bucket is not None and (wait := self._bucket.take()) > 0:
            self._cancellation.wait(wait)
        while (wait := self._not_before - self._clock.monotonic()) > 0:
            if self._cancellation.wait(wait):
                return

    def _slow_down(self, asked: float | None) -> None:
        with self._pausing:
            now = self._clock.monotonic()
            if now >= self._not_before:  # once for all that were in flight together
                self._pause = min(_LONGEST_PAUSE, max(1.0, 2 * self._pause))
            wait = self._pause if asked is None else min(asked, _LONGEST_PAUSE)
            self._not_before = max(self._not_before, now + wait)

    def _renewed_token(self, refused: str) -> str:
        """A token other than the refused one; one thread fetches it for all that were refused."""
        with self._lock:
            if self._token == refused:
                if refused == self._credentials.token and self._credentials.username:
                    place = self.site.wording.token
                    self._reporter.say(
                        f"AlertSite rejects the token in {place}; logging in instead."
                    )
                if not self._is_proved:
                    self._refused = CredentialsError(
                        "AlertSite rejects a new token", responses.TOKEN_REFUSED
                    )
                self._log_in()
                self._is_proved = False
            return self._token

    def _log_in(self) -> None:
        if self._refused is not None:  # a new one: what an error says of its request is its own
            raise type(self._refused)(str(self._refused), self._refused.hint)
        if not self._credentials.username:
            wording = self.site.wording
            self._refused = CredentialsError(
                f"AlertSite rejects the token in {wording.token}: it is wrong or older than one "
                "hour",
                f"Set a new one, or {wording.login} to log in.",
            )
            raise self._refused
        login = {"username": self._credentials.username, "password": self._credentials.password}
        call = _Call("POST", responses.LOGIN, body=login)
        started = self._clock.monotonic()

        def once() -> tuple[str, float | None]:
            return responses.token(self._exchange(call, ""), self.site)

        try:
            with self._rejected.turn(self.site.url, *login.values()):
                self._token, life = self._persist(once, is_post=True)
            self._redactor.know(self._token)
        except AlertSiteError as error:
            if not isinstance(error, UnavailableError):
                self._refused = error
            elif error.may_have_arrived:
                error.hint = f"{error.hint} {_ONCE}"
                self._refused = error
            raise
        life = life or _TOKEN_LIFE
        self._renew_at = started + life - min(_RENEW_EARLY, life / 10)


def _not_sent(
    site: Site, peer: Peer | None, error: httpx.RequestError
) -> TransientError | NonsenseError:
    """Why there is no connection; a proxy that is in the way is named, without its login."""
    url, wanted = site.url, httpx.URL(site.url)
    own = Peer(wanted.raw_host.decode("ascii"), wanted.port or _HTTPS)
    reason = without_errno(error)
    if peer is None or peer == own or wanted.scheme == "http":
        message, hint = f"{url} cannot be reached: {reason}", ""
    elif isinstance(error, httpx.ProxyError):
        message, hint = f"the proxy {peer} refused to connect to {url}{_status(error)}", _PROXY_HINT
    elif _is_tls(error):
        message, hint = f"{url} cannot be reached through the proxy {peer}: {reason}", _PROXY_HINT
    else:
        message, hint = f"the proxy {peer} cannot be reached: {reason}", _PROXY_HINT
    if _is_tls(error):
        return NonsenseError(message, f"Check {site.wording.url}; {_TLS_HINT} {hint}".rstrip())
    return TransientError(message, may_have_arrived=False, hint=hint)


def _status(error: httpx.ProxyError) -> str:
    """The status that a proxy gave, in our words; empty if it gave none."""
    number = str(error).partition(" ")[0]
    try:
        return f": {number} {HTTPStatus(int(number)).phrase}"
    except ValueError:
        return ""


def _throttled(retry_after: float | None) -> str:
    """What to do about 429."""
    how_long = "some minutes" if not retry_after else f"{retry_after:,.0f} s"
    return (
        f"AlertSite accepts no more requests for now: wait {how_long}, then run the same command "
        "again; nothing is lost. Run one command at a time with the same login. To send fewer "
        'requests, set rate = "60/m" in [accounts.NAME] of reconciler.toml.'
    )


def _nonsense(call: _Call, what: str, site: Site, hint: str = "") -> NonsenseError:
    return NonsenseError(
        f"{call} returned a response {what}",
        f"Check {site.setting}; the response may come from a proxy.{hint}",
        may_have_arrived=True,
    )


def _is_tls(error: BaseException | None) -> bool:
    """Whether TLS itself failed, which no repetition cures."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _trusting() -> ssl.SSLContext:
    """What trusts the certificates that the environment names, or else those of httpx.

    They take 30 ms to load, which is most of what a small account takes: a fleet shares them. A
    file that has changed is loaded again, as `watch` runs for months.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    file, folder = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    try:
        return _loaded(file, folder, Path(file).stat().st_mtime_ns if file else 0)
    except OSError as error:
        reason = error.strerror
        if isinstance(error, ssl.SSLError):
            reason = "it has no PEM certificates"
        raise ConfigurationError(
            f"SSL_CERT_FILE cannot be used: {file}: {reason}",
            "Set SSL_CERT_FILE to a PEM file with the certificates of your authorities, or unset "
            "it.",
        ) from error


def _unusable_proxy() -> ConfigurationError:
    """Why httpx cannot use a proxy of the environment, in our words: its own may quote a login."""
    for use in ("http", "https", "all"):
        name, proxy = f"{use.upper()}_PROXY", getproxies().get(use, "")
        try:
            scheme = httpx.URL(proxy if "://" in proxy else f"http://{proxy}").scheme
        except httpx.InvalidURL:
            reason = "it is not a valid URL"
        else:
            if scheme in {"http", "https"}:
                continue
            reason = f"the scheme {scheme} is not supported"
        return ConfigurationError(
            f"{name} cannot be used: {reason}", f"Set {name} to http://HOST:PORT, or unset it."
        )
    return ConfigurationError(
        "NO_PROXY cannot be used: an entry is not a valid host",
        "Set NO_PROXY to hosts with commas between them, or unset it.",
    )


@lru_cache(maxsize=1)
def _loaded(_file: str, _folder: str, _changed: int) -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _client(site: Site, connections: int, limits: Limits, wire: Wire) -> httpx.Client:
    try:
        found = httpx.URL(site.url)
        found.raw_host.decode().encode("idna")  # as Python spells it for DNS
        _ = found.host  # as httpx reads it
    except (UnicodeError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"the host in {site.wording.url} is not valid", "Check each part between its dots."
        ) from error
    secure = site.url.startswith("https:")
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
    # Without TLS nothing is trusted, so nothing is loaded.
    verify = _trusting() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        client = httpx.Client(
            headers={"User-Agent": f"reconciler/{__version__}", **headers},
            timeout=httpx.Timeout(
                limits.timeout, connect=_CONNECT, write=_WRITE, pool=limits.deadline
            ),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            verify=verify,
            trust_env=secure,  # plain HTTP is loopback only, where no proxy belongs
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise _unusable_proxy() from error
    # httpcore takes a backend as a documented argument; httpx, which makes its pools, has none to
    # hand on. A release that names it otherwise fails here, before anything is sent.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool  # noqa: SLF001
            assert isinstance(pool._network_backend, httpcore.NetworkBackend)  # noqa: SLF001
            pool._network_backend = wire  # noqa: SLF001
    return client
