"""Faults that the sandbox can be told to have. Rule: values only.

None of them is a documented behaviour of AlertSite; each is what networks and proxies do.
"""

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

_METHODS: Final = ("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "*")
_DROPS: Final = ("before", "after")
_BODIES: Final = ("truncated", "html", "trickle")
_ACTS: Final = ("first", "late")
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
        for is_wrong, message in (*self._out_of_range(), *self._contradictions()):
            if is_wrong:
                raise ValueError(message)

    def _out_of_range(self) -> Iterator[tuple[bool, str]]:
        status = 200 if self.status is None else self.status
        times = 1 if self.times is None else self.times
        retry_after = self.retry_after or ""
        yield self.method not in _METHODS, f"method must be one of {', '.join(_METHODS)}"
        yield not self.path.startswith(("/", "*")), "path must start with / or *"
        yield (
            status not in _STATUSES,
            "status must be from 200 to 599, but not 204 or 304, which have no body",
        )
        yield not 0 <= self.delay < math.inf, "delay must be a number of seconds, 0 or more"
        yield self.drop not in (None, *_DROPS), f"drop must be one of {', '.join(_DROPS)}"
        yield self.body not in (None, *_BODIES), f"body must be one of {', '.join(_BODIES)}"
        yield self.act not in (None, *_ACTS), f"act must be one of {', '.join(_ACTS)}"
        yield (
            not (retry_after.isascii() and retry_after.isprintable()),
            ("retry-after must be printable ASCII"),
        )
        yield self.skip < 0, "skip must be 0 or more"
        yield times < 1, "times must be 1 or more"

    @property
    def is_late(self) -> bool:
        """Whether the answer does not wait for a create that is under way."""
        return self.act == "late" or (self.act is None and self.body == "html")

    def fits(self, method: str, path: str) -> bool:
        """Whether it is for such a request."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)

    def _contradictions(self) -> Iterator[tuple[bool, str]]:
        answers = self.status is not None or self.body is not None
        yield (
            self.drop is not None and answers,
            "drop sends no answer, so it cannot have status or body",
        )
        yield self.act is not None and not answers, "act needs status or body"
        yield (
            self.act == "late" and self.body in ("truncated", "trickle"),
            f"a {self.body} answer waits for the whole one, so act cannot be late",
        )
        yield self.retry_after is not None and self.status is None, "retry-after needs status"
        yield (
            not (answers or self.drop or self.delay),
            ("a fault needs at least one of status, delay, drop, body"),
        )


_Value = str | int | float
_KEYS: Final[dict[str, Callable[[str], _Value]]] = {
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
        values = _settings(settings)
        return Fault(method.upper(), path, **values)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {error}") from None


def _settings(settings: Sequence[str]) -> dict[str, _Value]:
    values: dict[str, _Value] = {}
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
