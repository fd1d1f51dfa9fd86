"""What an answer of AlertSite means.

Documented: errors have a status that is not 200 and `{"errors": [{"code", "message"}]}`. Inferred
from sibling resources: `fields` names the invalid fields. Unknown: the bodies of 401 and 403, and
what stands between us and AlertSite; so nothing is taken for granted.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core import json_text
from reconciler.errors import (
    AlertSiteError,
    CredentialsError,
    NonsenseError,
    NotFoundError,
    PermissionRefusedError,
    ReconcilerError,
    RejectedError,
    UnavailableError,
)

if TYPE_CHECKING:
    import httpx

    from reconciler.core.accounts import Wording
    from reconciler.core.model import JSON
    from reconciler.core.redactor import Redactor


TRANSIENT = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed."""
THROTTLED = 429
UNAUTHORISED = 401
_BAD_REQUEST = 400
_BELIEVED = frozenset({400, 403, 404, 405, 409, 413, 415, 422})
"""Refusals that say that a create had no effect, in AlertSite's own words."""
_NOT_AUTHENTICATED = "user authentication failed"
_FORBIDDEN = 403
_NOT_FOUND, _GONE = 404, 410
LOGIN = "/access-tokens"
_USUAL_PATH = "/api/v3"
_SINGLE_SIGN_ON = (
    'A user with single sign-on needs "Allow login without Single Sign-On" in AlertSite.'
)
TOKEN_REFUSED = (
    f"AlertSite accepts the login, but not the token that it returned. {_SINGLE_SIGN_ON} Also "
    "check that the user is active and that its role may use the API."
)
"""What to do if a new token is refused as well."""
TO_CREATE = (
    "AlertSite rejected the token of this request, which it accepts for others. If this persists, "
    "check that the user may create monitors: AlertSite requires Admin, Co-Admin or Power User."
)
"""What to do if creates are refused as if the token were not valid."""
_TO_READ = (
    "This user has no permission to read monitors. AlertSite does not document which role that "
    "needs: check that the user can see the monitors in AlertSite, or use one with the role Admin, "
    "Co-Admin or Power User."
)
_TO_WRITE = (
    "This user has no permission to edit monitors: AlertSite requires Admin, Co-Admin or Power "
    "User."
)
REDACTOR, SECRETS = "redactor", "secrets"
"""The extensions of a request: what knows the secrets of the run, and those in its body."""
_TOKEN = re.compile("[!-~]+")
_LONGEST_QUOTE = 200
_SHORTEST_LIFE, _LONGEST_LIFE = 1.0, 1e9
"""Seconds; a token of another life would take a login for each request, or is none."""
_KINDS = frozenset(
    {
        "application/json",
        "application/problem+json",
        "application/xml",
        "application/octet-stream",
        "text/html",
        "text/plain",
        "text/xml",
    }
)


class Site(NamedTuple):
    """Whose answers these are.

    Attributes:
        url: the base URL.
        wording: what messages call the settings that it and the login are from.
    """

    url: str
    wording: Wording

    @property
    def setting(self) -> str:
        """The URL and where it is set."""
        usual = "" if self.url.endswith(_USUAL_PATH) else f" and does not end in {_USUAL_PATH}"
        return f"{self.wording.url}, which is {self.url}{usual}"


class TransientError(ReconcilerError):
    """A failure that another attempt may cure.

    It never leaves this package: it becomes an `UnavailableError`. It is no `AlertSiteError`, so
    that one that escaped would count as a bug, and not as a failure of AlertSite.

    Attributes:
        may_have_arrived: as that of `AlertSiteError`.
        is_busy: the server is there, and wants fewer requests or another token.
        retry_after: seconds that the server asked to wait; None if it did not.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        may_have_arrived: bool,
        is_busy: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.may_have_arrived = may_have_arrived
        self.is_busy = is_busy
        self.retry_after = retry_after


def content(response: httpx.Response, request: str, site: Site) -> JSON:
    """The JSON of a successful answer; None if it has no body.

    Raises:
        AlertSiteError: one of its subclasses, for any other answer.
    """
    if not response.is_success:
        raise _failure(response, request, site)
    if not response.content:
        return None
    try:
        data = json_text.read(response.content)
    except ValueError as error:
        raise _nonsense(response, request, site, why=str(error)) from error
    if _errors_in(data):
        was_done = request.startswith("POST")  # by its status
        raise RejectedError(f"{request}: {words(response)}", may_have_arrived=was_done)
    return data


def token(response: httpx.Response, site: Site) -> tuple[str, float | None]:
    """The access token, and its life in seconds if the answer says so.

    Raises:
        CredentialsError: AlertSite refused username or password.
        AlertSiteError: anything else that is not a token.
    """
    if response.status_code in {400, UNAUTHORISED, _FORBIDDEN} and _errors(response):
        raise CredentialsError(
            f"AlertSite rejects the login: {words(response)}",
            f"Check {site.wording.login}. {_SINGLE_SIGN_ON} reconciler tried the login only once, "
            "because AlertSite can lock users out.",
        )
    data = content(response, f"POST {LOGIN}", site)
    value = data.get("access_token") if isinstance(data, dict) else None
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise _nonsense(response, f"POST {LOGIN}", site)
    life = data.get("expires_in")
    is_life = type(life) in {int, float} and _SHORTEST_LIFE <= life <= _LONGEST_LIFE
    return value, float(life) if is_life else None


def refuses_token(response: httpx.Response) -> bool:
    """Whether it says that the token is not valid (any more).

    Documented: 401 (api/v3/get-access-token.html). Documented as the only error sample of calls
    that carry a token: 400 with `invalid_request - User authentication failed.`
    (api/v3/monitors/edit-pop-imap-smtp-monitor.html, read in November 2026).
    """
    if response.status_code == _BAD_REQUEST:
        texts = (_error_text(error).lower() for error in _errors(response))
        return any(_NOT_AUTHENTICATED in text for text in texts)
    return response.status_code == UNAUTHORISED


def words(response: httpx.Response) -> str:
    """The status and everything the server says about it, on one line.

    Of an answer to a request that holds secrets only what cannot repeat them: codes, and names of
    fields that were sent. Of a success that is no answer of AlertSite's only a page, as of a proxy:
    the rest may be a token, or monitors with passwords, in another form than ours.
    """
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if not response.content:
        return status
    if response.request.extensions.get(SECRETS):
        return f"{status}: {_harmless(response)}"
    whole = _text(response.content)
    said = "; ".join(_error_text(error) for error in _errors(response))
    may_show = _is_page(response) and not response.request.url.path.endswith(LOGIN)
    if response.is_success and not said and not may_show:
        return f"{status}: (not shown, since it may hold a secret)"
    text = said or whole
    redactor: Redactor = response.request.extensions[REDACTOR]
    if redactor.holds(text) or redactor.holds(whole):  # perhaps in other spellings, too
        return f"{status}: (not shown, since it repeats a secret)"
    line = " ".join(text.split())
    return f"{status}: {line if len(line) <= _LONGEST_QUOTE else line[:_LONGEST_QUOTE] + '…'}"


def _is_page(response: httpx.Response) -> bool:
    """Whether it is markup: of a proxy, or what else is in between, and never of AlertSite."""
    return _text(response.content).lstrip().startswith("<")


def _text(body: bytes) -> str:
    """The body as text, whatever charset its headers name.

    Python knows charsets that are none, such as `hex` and `zlib`, and fails on them. A secret must
    be found in any that a server may use. In UTF-16 each ASCII character has a null beside it.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    return text.replace("\0", "")


def _harmless(response: httpx.Response) -> str:
    """What an answer says in words that are ours: names of fields that were sent."""
    sent = json.loads(response.request.content)
    named = [
        field
        for error in _errors(response)
        if isinstance(error, dict) and isinstance(error.get("fields"), list)
        for field in error["fields"]
        if isinstance(field, str) and field in sent
    ]
    about = f"about {', '.join(dict.fromkeys(named))}; " if named else ""
    return f"({about}the rest is not shown, since the request holds a secret)"


def retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait by `Retry-After` (RFC 9110, 10.2.3); None if there is no usable one."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    from email.utils import mktime_tz, parsedate_tz  # 5 ms, for a rare header

    moment, now = parsedate_tz(value), parsedate_tz(response.headers.get("Date", ""))
    if moment is None or now is None:
        return None
    try:
        return max(0.0, float(mktime_tz(moment) - mktime_tz(now)))
    except (OverflowError, ValueError):
        return None  # a date, but not one of this world


def _failure(response: httpx.Response, request: str, site: Site) -> AlertSiteError:
    status = response.status_code
    message = f"{request}: {words(response)}"
    if response.is_redirect:
        return _nonsense(response, request, site, f"a redirect {_direction(response)}")
    doubt = "" if _errors(response) else f" Or {site.url} is not AlertSite."
    if refuses_token(response):
        return CredentialsError(message, TOKEN_REFUSED + doubt)
    if status == _FORBIDDEN:
        hint = _TO_READ if request.startswith("GET") else _TO_WRITE
        return PermissionRefusedError(message, hint + doubt)
    if response.is_server_error:
        return UnavailableError(
            message, "This is a problem in AlertSite: try again later.", may_have_arrived=True
        )
    if response.is_client_error and request.startswith(("PATCH", "DELETE", "POST /monitors")):
        if _errors(response) and (status in _BELIEVED or not request.startswith("POST")):
            return NotFoundError(message) if status == _NOT_FOUND else RejectedError(message)
        if request.startswith("POST"):  # somebody in between, who may have passed it on
            return _nonsense(response, request, site)
        return RejectedError(message)
    is_gone = status in {_NOT_FOUND, _GONE} and not _is_page(response)
    if request.startswith("GET /monitors/") and is_gone:
        return NotFoundError(message)  # whatever its words: the list came from the same API
    if response.is_client_error and request.startswith("GET") and _errors(response):
        return AlertSiteError(message, f"Check {site.setting}, and the account.")
    return _nonsense(response, request, site)


def _nonsense(
    response: httpx.Response, request: str, site: Site, what: str | None = None, *, why: str = ""
) -> NonsenseError:
    if what is None:
        what = f"{words(response)} ({_kind(response)}), which is not a response of AlertSite's API"
        what += f": {why}" if why else ""
    return NonsenseError(
        f"{request} returned {what}",
        f"Check {site.setting}; the response may come from a proxy or a login page.",
        may_have_arrived=True,
    )


def _direction(response: httpx.Response) -> str:
    """Where a redirect leads, in our words: a server can put anything into an address."""
    from urllib.parse import urlsplit  # only for an error

    try:
        target = urlsplit(response.headers.get("Location", ""))
        host = target.hostname
    except ValueError:
        return f"({response.status_code}) to no address, which is not followed"
    here = response.request.url
    if host not in {None, here.host}:
        where = "to another host"
    elif target.scheme not in {"", here.scheme}:
        where = f"from {here.scheme} to another scheme of the same host"
    else:
        where = "to another path of the same host"
    return f"({response.status_code}) {where}, which is not followed"


def _kind(response: httpx.Response) -> str:
    """The content type, if it is a usual one: a server can put anything into a header."""
    if "Content-Type" not in response.headers:
        return "no content type"
    kind = response.headers["Content-Type"].partition(";")[0].strip().lower()
    return kind if kind in _KINDS else "an unusual content type"


def _errors(response: httpx.Response) -> list[JSON]:
    try:
        data = json_text.read(response.content)
    except ValueError:
        return []  # not AlertSite's envelope; `words` quotes the text instead
    return _errors_in(data)


def _errors_in(data: JSON) -> list[JSON]:
    errors = data.get("errors") if isinstance(data, dict) else None
    if isinstance(errors, list):
        return errors
    return [errors] if errors else []


def _error_text(error: JSON) -> str:
    if not isinstance(error, dict):
        return str(error)
    message = str(error.get("message", error))
    fields = error.get("fields")
    if isinstance(fields, list) and fields:
        return f"{message} ({', '.join(map(str, fields))})"
    return message
