"""Requests to the REST API of a platform, and what its answers mean.

What only reads is repeated after a failed connection or a fault of the server. What writes is not:
nobody can tell whether it had an effect, and the next run looks first anyway. A refusal for too
many requests had none, so anything is repeated after it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import httpx

from reconciler.context import MIB
from reconciler.errors import ConfigurationError, NotAllowedError, PlatformError, without_errno

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.context import Clock
    from reconciler.core.model import JSON

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_DEADLINE = 120.0
"""Seconds that one answer may take, however steadily it comes."""
_SIZE = 64 * MIB
_TRIES = 4
_PATIENCE = 120.0
"""Seconds that a platform may ask us to wait before the next request."""
_PAGES = 100
_LATER = frozenset({502, 503, 504})


@contextmanager
def understanding() -> Iterator[None]:
    """Lets what reads answers stumble over one that is not what the API gives.

    Raises:
        PlatformError: it did.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise PlatformError(
            f"unexpected response from the platform's API: {error!r}",
            "Check the URL of the API.",
        ) from error


class PlatformContext(NamedTuple):
    """What a platform tells its pipelines about themselves, and the token that was given.

    Attributes:
        api: base URL of its REST API.
        graphql: URL of its GraphQL API; empty where there is no need of it.
        project: `owner/name` on GitHub, a number on GitLab.
        request: number of the review request; 0 if there is none.
        token: empty if none was given.
    """

    api: str
    graphql: str
    project: str
    request: int
    token: str

    def __repr__(self) -> str:
        return (
            f"PlatformContext(api={self.api!r}, project={self.project!r}, request={self.request})"
        )


class PlatformAnswer(NamedTuple):
    """One answer, read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> JSON:
        """The value of a JSON answer.

        Raises:
            PlatformError: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise PlatformError("the response is not JSON", "Check the URL of the API.") from error


class Rest:
    """The REST API of one platform.

    Args:
        name: of the platform.
        token: name of the variable that holds the token, for messages.
        settings: names of the variables that hold the URLs of the API.
    """

    def __init__(
        self,
        name: str,
        place: PlatformContext,
        token: str,
        settings: str,
        headers: Mapping[str, str],
        clock: Clock,
    ) -> None:
        if not place.token:
            raise NotAllowedError(f"{token} is not set", "")
        self._name = name
        self._token = token
        self._settings = settings
        self._clock = clock
        self._client = httpx.Client(base_url=place.api, headers=dict(headers), timeout=_TIMEOUT)

    def close(self) -> None:
        """Closes all connections."""
        self._client.close()

    def get(self, path: str, **params: str | int) -> JSON:
        """Reads."""
        return self._send("GET", path, params=params or None).json()

    def download(self, path: str) -> bytes:
        """Reads a file, from wherever the platform keeps it."""
        return self._send("GET", path, follow_redirects=True).body

    def pages(self, path: str, **params: str | int) -> Iterator[JSON]:
        """Every page of a list, as JSON.

        Raises:
            PlatformError: it never ends, or a page is no list.
        """
        answer = self._send("GET", path, params={"per_page": 100, **params})
        for _ in range(_PAGES):
            yield answer.json()
            following = httpx.Response(200, headers=answer.headers).links.get("next")
            if following is None:
                return
            answer = self._send("GET", following["url"])
        raise PlatformError(f"{self._name}: a list has more than {_PAGES} pages", "")

    def write(self, method: str, path: str, body: object = None) -> None:
        """Writes, once."""
        self._send(method, path, json=body)

    def read_by_post(self, url: str, body: object) -> JSON:
        """Reads by POST, as GraphQL does."""
        return self._send("POST", url, json=body, only_reads=True).json()

    def _send(
        self, method: str, path: str, *, only_reads: bool = False, **request: JSON
    ) -> PlatformAnswer:
        """Sends a request, for which httpx takes what is given."""
        only_reads = only_reads or method == "GET"
        what = f"{self._name}: {method} {path.partition('?')[0]}"
        for attempt in range(1, _TRIES + 1):
            try:
                answer = self._once(method, path, request)
            except httpx.HTTPError as error:
                may_repeat = only_reads or isinstance(error, httpx.ConnectError)
                if may_repeat and attempt < _TRIES:
                    self._clock.sleep(float(attempt), None)
                    continue
                reason = without_errno(error) or type(error).__name__
                if not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                    message = f"{what}: no response: {reason}"
                    raise PlatformError(message, "Run it again.") from error
                place = str(error.request.url.copy_with(raw_path=b"/")).rstrip("/")
                raise PlatformError(
                    f"{self._name} cannot be reached at {place}: {reason}",
                    f"Check {self._settings}, and the network, then run it again.",
                ) from error
            pause = self._pause(answer)
            if pause is None and only_reads and answer.status in _LATER:
                pause = float(attempt)
            if pause is not None and pause <= _PATIENCE and attempt < _TRIES:
                self._clock.sleep(pause, None)
                continue
            if pause is not None:
                raise PlatformError(
                    f"{what}: {answer.status}: too busy, or too many requests",
                    f"Run it again in {max(1, round(pause))} s.",
                )
            return self._checked(answer, what)
        raise AssertionError(what)

    def _once(self, method: str, path: str, request: Mapping[str, JSON]) -> PlatformAnswer:
        ends = self._clock.monotonic() + _DEADLINE
        found = bytearray()
        with self._client.stream(method, path, **request) as response:
            for piece in response.iter_bytes():
                found += piece
                if len(found) > _SIZE or self._clock.monotonic() > ends:
                    raise httpx.ReadTimeout("the response is too long or too slow")
            return PlatformAnswer(response.status_code, response.headers, bytes(found))

    def _pause(self, answer: PlatformAnswer) -> float | None:
        """Seconds to wait if the answer is a refusal for too many requests; else None."""
        if answer.status not in {403, 429}:
            return None
        headers = answer.headers
        after = headers.get("Retry-After", "")
        if after.isdecimal():
            return float(after)
        reset = headers.get("X-RateLimit-Reset", "")
        if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
            return max(1.0, float(reset) - self._clock.now().timestamp())
        return 60.0 if answer.status == httpx.codes.TOO_MANY_REQUESTS else None

    def _checked(self, answer: PlatformAnswer, what: str) -> PlatformAnswer:
        if httpx.codes.is_success(answer.status):
            return answer
        said = _said(answer)
        message = f"{what}: {answer.status}{': ' if said else ''}{said}"
        match answer.status:
            case 401:
                raise ConfigurationError(message, f"{self._token} is not valid; renew it.")
            case 403 | 404:
                raise NotAllowedError(message, "")
            case _:
                raise PlatformError(message, "")


def _said(answer: PlatformAnswer) -> str:
    """What the platform says about a refusal, in its own words; empty if it says nothing."""
    try:
        data = json.loads(answer.body)
    except ValueError:
        return ""
    if not isinstance(data, dict):
        return ""
    parts = [data.get("message") or data.get("error") or ""]
    errors = data.get("errors", [])
    if isinstance(errors, list):
        parts += [item.get("message", "") for item in errors if isinstance(item, dict)]
    texts = (part if isinstance(part, str) else json.dumps(part) for part in parts)
    return "; ".join(text for text in texts if text)
