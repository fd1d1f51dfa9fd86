"""Faults that the sandbox can be told to have. Rule: values only.

None of them is a documented behaviour of AlertSite; each is what networks and proxies do.
"""

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

_METHODS: Final = ("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "*")
_WORDS: Final = {
    "drop": ("before", "after"),
    "body": ("truncated", "html", "trickle"),
    "act": ("first", "late"),
}
_STATUSES: Final = frozenset(range(200, 600)) - {204, 304}
_FORM: Final = "METHOD PATH KEY=VALUE..., as in 'PATCH /monitors/email-smtp/* status=503 times=2'"


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule: which requests it is for, and what happens to them.

    Attributes:
        method: an HTTP method, or `*` for any.
        path: a glob on the path below /api/v3; `*` matches slashes too.
        status: answer this with the error envelope and do not act; with `body` or `act`, act and
            answer this status.
        delay: seconds to wait before anything else. Alone, the request is then served normally.
        drop: close the connection without one byte of answer: `before` or `after` the change is
            committed.
        body: act, then answer less than Content-Length promised and close (`truncated`), a page as
            proxies send it (`html`), or the right answer, ten bytes in a second (`trickle`).
        act: act although the answer is `status` or `body`: `first`, so that the answer waits for
            the effect, or `late`: the answer does not wait for the effect of a create that is under
            way in a world with a `backend`; any other effect comes first all the same. `html` is
            `late` unless it is told to be `first`.
        retry_after: value of the Retry-After header that goes with `status`.
        skip: how many matching requests pass before the rule begins.
        times: how many requests it then applies to; None: all.

    Raises:
        ValueError: a value is out of range or two effects contradict each other.
    """

    method: str
    path: str
    status: int | None = None
    delay: float = 0.0
    drop: str | None = None
    body: str | None = None
    act: str | None = None
    retry_after: str | None = None
    skip: int = 0
    times: int | None = None

    def __post_init__(self) -> None:
        """Refuses a rule that could not do what it says."""
        for is_wrong, message in self._checks():
            if is_wrong:
                raise ValueError(message)

    @property
    def is_late(self) -> bool:
        """Whether the answer does not wait for a create that is under way."""
        return self.act == "late" or (self.act is None and self.body == "html")

    def fits(self, method: str, path: str) -> bool:
        """Whether it is for such a request."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)

    def _checks(self) -> Iterator[tuple[bool, str]]:
        """Whether a value is out of range or two contradict each other, and what is said of it."""
        status = 200 if self.status is None else self.status
        times = 1 if self.times is None else self.times
        retry_after = self.retry_after or ""
        has_answer = self.status is not None or self.body is not None
        yield self.method not in _METHODS, f"method must be one of {', '.join(_METHODS)}"
        yield not self.path.startswith(("/", "*")), "path must start with / or *"
        message = "status must be from 200 to 599, but not 204 or 304, which have no body"
        yield status not in _STATUSES, message
        yield not 0 <= self.delay < math.inf, "delay must be a number of seconds, 0 or more"
        for name, words in _WORDS.items():
            value = getattr(self, name)
            yield value not in (None, *words), f"{name} must be one of {', '.join(words)}"
        is_printable = retry_after.isascii() and retry_after.isprintable()
        yield not is_printable, "retry-after must be printable ASCII"
        yield self.skip < 0, "skip must be 0 or more"
        yield times < 1, "times must be 1 or more"
        is_both = self.drop is not None and has_answer
        yield is_both, "drop sends no answer, so it cannot have status or body"
        yield self.act is not None and not has_answer, "act needs status or body"
        is_early = self.act == "late" and self.body in ("truncated", "trickle")
        yield is_early, f"a {self.body} answer waits for the whole one, so act cannot be late"
        yield self.retry_after is not None and self.status is None, "retry-after needs status"
        is_something = has_answer or self.drop or self.delay
        yield not is_something, "a fault needs at least one of status, delay, drop, body"


_KEYS: Final[dict[str, Callable[[str], str | float]]] = {
    "status": int,
    "delay": float,
    "drop": str,
    "body": str,
    "act": str,
    "retry-after": str,
    "skip": int,
    "times": int,
}


def parse_fault(text: str) -> Fault:
    """The rule that a text such as `GET /monitors* delay=2 times=1` describes.

    A value with spaces is quoted as in a shell.

    Raises:
        ValueError: says what is wrong and what is allowed.
    """
    try:
        method, path, *settings = shlex.split(text)
    except ValueError:
        raise ValueError(f"fault {text!r}: expected {_FORM}") from None
    try:
        return Fault(method.upper(), path, **_settings(settings))
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {error}") from None


def _settings(settings: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if key not in _KEYS or not separator:
            raise ValueError(f"{setting!r} is not KEY=VALUE with a key of {', '.join(_KEYS)}")
        name = key.replace("-", "_")
        if name in values:
            raise ValueError(f"{key} is given twice")
        try:
            values[name] = _KEYS[key](text)
        except ValueError:
            kind = "a whole number" if _KEYS[key] is int else "a number"
            raise ValueError(f"{key} must be {kind}, not {text!r}") from None
    return values
