"""What the environment and `reconciler.toml` say: AlertSite, its credentials, the state."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from reconciler import durable
from reconciler.context import MIB, USUAL, Limits
from reconciler.core.nearest import nearest
from reconciler.core.printable import is_unicode
from reconciler.core.safety import Budget, Budgets
from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


PROJECT = Path("reconciler.toml")
"""The project's file, in the root of a repository."""
DEFAULT_URL = "https://api.alertsite.com/api/v3"
NO = ("", "0", "false")
"""What a switch in the environment is set to when it is off."""
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
_VISIBLE = re.compile("[!-~]+")
_ESCAPE = re.compile("%([0-9a-f]{2})")
_UNRESERVED = re.compile("[a-z0-9._~-]")
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(s|m|h)?")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([0-9]{1,6}) ?(MiB|GiB)")
_HEADER = re.compile(r"\s*\[+\s*(?P<name>[^]]+?)\s*\]+\s*(#.*)?")
_ENTRY = re.compile(r"""\s*["']?(?P<key>[^"'=\s.]+)["']?\s*[=.]""")
_LEASE = 180.0
_KEYS = {
    "state": "file:state.json",
    "lock_lease": "3m",
    "timeout": "30s",
    "deadline": "2m",
    "largest_list": "128MiB",
}
"""Settings that are strings, with an example of each."""
PRUNE = "prune"
"""Whether orphans are retired without being asked for."""
OF_ACCOUNTS = ("accounts", "accounts_from", "defaults", "fleet")
"""Settings that `cli/accounts.py` reads and checks."""
_LISTS = ("env", "files", "plugins", "fields")
_SEVERITIES = ("error", "warning", "info", "off")
_MOST_BYTES = 64 * 1024
"""Of a file with settings or with one of them."""
_CEILING = "RECONCILER_BUDGET"
_WITHOUT_FILE = (_CEILING, "RECONCILER_DEBUG")
_WITH_FILE = (
    "RECONCILER_DEADLINE",
    "RECONCILER_LARGEST_LIST",
    "RECONCILER_LOCK_LEASE",
    "RECONCILER_NOTIFY",
    "RECONCILER_SECRET_KEY",
    "RECONCILER_STATE",
    "RECONCILER_TIMEOUT",
)
OWN_VARIABLES = (*_WITHOUT_FILE, *_WITH_FILE)
"""Variables with the name of the tool; some are read from a file too, see `_value`."""
_BUDGET = re.compile(
    "(?P<monitors>[0-9]{1,9})(,(?P<percent>[0-9]{1,3})%)?|(?P<share>[0-9]{1,3})%", re.ASCII
)
_ALL = 10**9
_TOKEN, _LONG_TOKEN = 8, 20
"""Characters that a part of a URL has at least that is taken for a token: with digits, or none."""
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PASSWORDS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_KEY",
)
"""Variables that hold what the libraries of a store log in with."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_CREDENTIALS = ("ALERTSITE_USERNAME", "ALERTSITE_PASSWORD", "ALERTSITE_TOKEN")


class StateSettings(NamedTuple):
    """Where the state is kept and how long a lock lives.

    Attributes:
        location: as `--state` takes it; empty if nothing is set.
        lease: seconds.
        limits: what an answer of AlertSite may take.
        secret_key: what fingerprints of secrets are keyed by; empty if they are not tracked.
        budgets: how many monitors may lose monitoring within 24 hours.
    """

    location: str
    lease: float
    limits: Limits
    secret_key: str
    budgets: Budgets

    def __repr__(self) -> str:
        return f"StateSettings(location={self.location!r}, lease={self.lease})"


class Settings(NamedTuple):
    """Where AlertSite is and who asks; only the URL shows in `repr`."""

    url: str
    username: str
    password: str
    token: str

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r})"


class Pipeline(NamedTuple):
    """Who has started the pipeline that runs this, and where it can be seen; texts may be empty."""

    actor: str
    url: str


_ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID")
_GITHUB = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
_JOBS = ("CI_JOB_URL", "CI_PIPELINE_URL", "BUILD_URL")  # GitLab, GitLab, Jenkins


def find_root(folder: Path) -> Path:
    """The root of the repository that a folder is in; what is relative starts there.

    That is the nearest folder upwards with `reconciler.toml`, or else the root of the Git clone if
    `monitors` is in it, or else the folder itself. Nothing above a clone counts: it is not ours.
    """
    for at in (folder, *folder.parents):
        if os.path.lexists(at / PROJECT):
            return at
        if (at / ".git").exists():
            return at if (at / "monitors").is_dir() else folder
    return folder


def from_root(given: str, here: str) -> str:
    """A path that was given in the folder `here`, as the root sees it; `-` stays what it is."""
    if not here or given in {"", "-"}:
        return given
    found = os.path.normpath(Path(here, given))
    return f"{found}/" if given.endswith("/") else found  # which says that it is a folder


def to_here(path: str, here: str) -> str:
    """A path that the root sees, as it is given in the folder `here`."""
    if not here or not path or Path(path).is_absolute():
        return path
    return os.path.relpath(path, here)


def location_from_root(
    given: str, here: str, translated: Callable[[str, str], str] = from_root
) -> str:
    """The place of a state that was given in the folder `here`, as the root sees it."""
    scheme, _, rest = given.partition(":")
    if scheme == "file" or (scheme == "git" and rest.startswith(".")):
        return f"{scheme}:{translated(rest, here)}"
    if here and not _SCHEME.match(given):
        from reconciler.state_store import looks_like  # few are in another folder

        return given if looks_like(given) else translated(given, here)
    return given


def location_to_here(location: str, here: str) -> str:
    """The place of a state that the root sees, as it is given in the folder `here`."""
    return location_from_root(location, here, to_here)


def read(environment: Mapping[str, str]) -> Settings | None:
    """The settings; None when nothing is set, so that only the sandbox can be meant.

    A variable that is set and empty counts as set: it is what a pipeline makes of a missing secret.
    So does any other ALERTSITE_ variable: it may be one of these, misspelt.

    Raises:
        ConfigurationError: a part is missing, doubled or malformed, or nothing is set under CI.
    """
    if is_silent(environment):
        return None
    if not any(name.startswith("ALERTSITE_") for name in environment):
        raise ConfigurationError(
            "CI is set, but AlertSite credentials are not: pipelines never use the sandbox",
            "Set ALERTSITE_USERNAME and ALERTSITE_PASSWORD, or ALERTSITE_TOKEN.",
        )
    username, password, token = (_value(environment, name) for name in _CREDENTIALS)
    if not token and not (username and password):
        login = {"ALERTSITE_USERNAME": username, "ALERTSITE_PASSWORD": password}
        missing = [name for name, value in login.items() if not value]
        raise ConfigurationError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty or not set",
            "Set ALERTSITE_USERNAME and ALERTSITE_PASSWORD, or ALERTSITE_TOKEN; or unset every "
            "ALERTSITE_ variable to use the sandbox.",
        )
    check_token(token, "ALERTSITE_TOKEN")
    return Settings(read_url(environment), username, password, token)


def check_token(token: str, what: str) -> None:
    """Stops at a token that could not be sent; an empty one is none.

    Raises:
        ConfigurationError: it is no token.
    """
    if token and not _VISIBLE.fullmatch(token):
        raise ConfigurationError(
            f"{what} contains a space, a line break or another character that is not valid in a "
            "token",
            "Set it to the access token only.",
        )


def is_silent(environment: Mapping[str, str]) -> bool:
    """Whether nothing speaks of AlertSite, so that the embedded sandbox is meant."""
    is_set = any(name.startswith("ALERTSITE_") for name in environment)
    return not is_set and environment.get("CI", "") in NO


def read_state(environment: Mapping[str, str], project: Path) -> StateSettings:
    """What is set about the state: in the environment, or else in the project's file.

    Raises:
        ConfigurationError: the file is not TOML, or a setting is unknown or malformed.
    """
    table = read_project(project)

    def text(key: str) -> str:
        return _value(environment, f"RECONCILER_{key.upper()}") or table.get(key, "")

    def seconds(key: str, default: float) -> float:
        found = text(key)
        return _seconds(key, found) if found else default

    size = text("largest_list")
    limits = Limits(
        seconds("timeout", USUAL.timeout),
        seconds("deadline", USUAL.deadline),
        _size("largest_list", size) if size else USUAL.size,
    )
    return StateSettings(
        state_in(environment) or table.get("state", ""),
        seconds("lock_lease", _LEASE),
        limits,
        _value(environment, "RECONCILER_SECRET_KEY"),
        Budgets(Budget(**table.get("budget", {})), _ceiling(environment)),
    )


def misspelt(environment: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names of variables that are most likely another one of this tool, and that one.

    Plug-ins may have variables with other names.
    """
    prefix, file = "RECONCILER_", "_FILE"
    with_file = {f"{name}{file}" for name in _WITH_FILE}
    words = [name.removeprefix(prefix) for name in OWN_VARIABLES]
    for name in sorted(environment):
        if not name.startswith(prefix) or name in OWN_VARIABLES or name in with_file:
            continue
        near = nearest(name.removeprefix(prefix).removesuffix(file), words)
        meant = f"{prefix}{near}{file if name.endswith(file) else ''}"
        if near:
            yield name, meant if meant in with_file else f"{prefix}{near}"


def state_in(environment: Mapping[str, str]) -> str:
    """Where the environment says that the state is kept; empty if it does not."""
    return _value(environment, "RECONCILER_STATE")


def surroundings(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What the environment says of where all accounts and their states are."""
    return tuple(_value(environment, name) for name in ("ALERTSITE_URL", "RECONCILER_STATE"))


def read_deciding(project: Path) -> dict[str, Any]:
    """What of the project's file decides what a plan is and whether it may be applied.

    The rest says where things are and how long they may take; what stands for a flag is in the plan
    as that.

    Raises:
        ConfigurationError: the file is not TOML, or a setting is unknown or malformed.
    """
    table = read_project(project)
    budget = Budget(**table.get("budget", {}))._asdict()
    return {"budget": budget, "secrets": table.get("secrets", {})}


def _seconds(key: str, text: str) -> float:
    """The duration that a setting is.

    Raises:
        ConfigurationError: it is none.
    """
    if found := duration(text):
        return found
    raise ConfigurationError(
        f"{key} is {text!r}, which is not a duration",
        f"Write it as 90s or 3m, in {key} of {PROJECT} or in RECONCILER_{key.upper()}.",
    )


def _size(key: str, text: str) -> int:
    """The bytes that a setting is.

    Raises:
        ConfigurationError: it is none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found and (number := int(found[1])):
        return number * (MIB if found[2] == "MiB" else 1024 * MIB)
    raise ConfigurationError(
        f"{key} is {text!r}, which is not a size",
        f"Write it as 128MiB or 1GiB, in {key} of {PROJECT} or in RECONCILER_{key.upper()}.",
    )


def check_location(text: str) -> None:
    """Stops at a location of a state that is of no known form; an empty one is none.

    Raises:
        ConfigurationError: it is of none.
    """
    from reconciler.state_store import scheme_of  # only those who keep a state elsewhere

    if text:
        scheme_of(text)


def _ceiling(environment: Mapping[str, str]) -> Budget | None:
    """What the environment lets be lost at most, whatever the repository says; None if unset.

    Set and empty is what a pipeline makes of a missing variable: then there is no telling.

    Raises:
        ConfigurationError: it is no budget.
    """
    text = environment.get(_CEILING)
    if text is None:
        return None
    found = _BUDGET.fullmatch(text.replace(" ", ""))
    if not found:
        raise ConfigurationError(
            f"{_CEILING} is {text!r}, which is not a budget",
            f"Set it to a number of monitors, a percentage, or both: {_CEILING}=10,30%",
        )
    monitors, percent = found["monitors"], found["percent"] or found["share"]
    return Budget(int(monitors) if monitors else _ALL, int(percent) if percent else 100)


def passwords(environment: Mapping[str, str]) -> Iterator[str]:
    """What libraries read from the environment themselves, and must not come out either."""
    for name in _PASSWORDS:
        yield environment.get(name, "")
    for name in _PROXIES:
        for value in (environment.get(name, ""), environment.get(name.lower(), "")):
            login = value.rpartition("@")[0].rpartition("//")[2]
            password = login.partition(":")[2]
            yield from (password, unquote(password))


def read_notify(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The URLs in RECONCILER_NOTIFY, between which there are blanks or line ends."""
    return tuple(_value(environment, "RECONCILER_NOTIFY").split())


def secrets_of(url: str) -> Iterator[str]:
    """What of a URL for notifications must not come out: itself, its login, what may be a token.

    Which part is a token, only the service knows: a part of any place that is long and has digits
    among letters, or is very long and has letters of both cases, counts as one. A host with a dot
    is none. A user beside a password is a name.
    """
    yield url
    rest = url.partition("://")[2]
    login, _, _ = re.split("[/?#]", rest)[0].rpartition("@")
    password = login.partition(":")[2]
    yield from (password, unquote(password))
    for part in re.split(r"[/?&=,:#@]+", rest.removeprefix(login) if password else rest):
        for text in {part, unquote(part)}:
            if len(text) >= _TOKEN and "." not in text and _looks_random(text):
                yield text


def _looks_random(text: str) -> bool:
    has_letters = any(map(str.isalpha, text))
    is_mixed = text not in {text.lower(), text.upper(), text.capitalize()}
    has_digits = any(map(str.isdigit, text))
    return has_letters and (has_digits or (is_mixed and len(text) >= _LONG_TOKEN))


def read_pipeline(environment: Mapping[str, str]) -> Pipeline:
    """The pipeline that runs this, as GitHub, GitLab or Jenkins says; empty if none does."""
    actor = next((environment[name] for name in _ACTORS if environment.get(name)), "")
    url = next((environment[name] for name in _JOBS if environment.get(name)), "")
    if all(environment.get(name) for name in _GITHUB):
        server, repository, run = (environment[name] for name in _GITHUB)
        url = f"{server}/{repository}/actions/runs/{run}"
    return Pipeline(actor, url)


def wants_traces(environment: Mapping[str, str]) -> bool:
    """Whether the environment, by OpenTelemetry's own variables, says where traces are to go."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return False
    return any(environment.get(name) for name in ENDPOINTS)


def duration(text: str) -> float | None:
    """Seconds in a text such as `90s`, `10m`, `1h` or `90`; None if it is no duration."""
    found = _DURATION.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2] or "s"] if found else None


def read_project(path: Path) -> dict[str, Any]:
    """All that the project's file says; nothing if there is none.

    Raises:
        ConfigurationError: the file is not TOML, or a setting is unknown or malformed.
    """
    table = read_toml(path)
    for key, value in table.items():
        try:
            _check(key, value)
        except ConfigurationError as error:
            line = line_of(path.read_text(encoding="utf-8-sig"), "", key)
            raise ConfigurationError(f"{path}:{line}: {error}", error.hint) from error
    return table


def line_of(text: str, header: str, key: str) -> int:
    """The line of a setting, or that of its table if it is not found.

    TOML's reader tells no places, so the text is searched by table and name.

    Args:
        text: of the file.
        header: of the table in it; empty for what is above all tables.
        key: the name of the setting.
    """
    here, at = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEADER.fullmatch(line):
            here = re.sub(r"[\"'\s]", "", found["name"])
            if here == f"{header}.{key}".lstrip("."):
                return number
            at = number if here == header else at
        elif here == header and (entry := _ENTRY.match(line)) and entry["key"] == key:
            return number
    return at


def read_toml(path: Path, *, must_exist: bool = False) -> dict[str, Any]:
    """What a file with settings says; nothing if there is none, which may be a fault.

    Raises:
        ConfigurationError: it cannot be read or is not TOML.
    """
    try:
        text = durable.read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        is_link = path.is_symlink()  # one that leads nowhere would hide the budget and more
        if isinstance(error, FileNotFoundError) and not must_exist and not is_link:
            return {}
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        hint = "Replace it with a TOML file, or remove it."
        if isinstance(error, PermissionError):
            hint = "Check the permission to read it."
        raise ConfigurationError(f"{path} cannot be read: {reason}", hint) from error
    try:
        return _tables(text)
    except (RecursionError, ValueError) as error:
        reason = str(error)
        if isinstance(error, RecursionError):
            reason = "it is nested too deep"
        elif type(error) is ValueError:  # not one of TOML: Python reads no more than 4300 digits
            reason = "a number has too many digits"
        raise ConfigurationError(
            f"{path} is not TOML: {reason}", "Fix it, then run the same command again."
        ) from error


@lru_cache(maxsize=1)  # each of many accounts asks the same file several times
def _tables(text: str) -> dict[str, Any]:
    import tomllib  # 8 ms that most runs save

    return tomllib.loads(text)


def _check(key: str, value: object) -> None:
    """Stops at a setting that is unknown, or of another type."""
    match key:
        case "budget":
            is_valid = is_budget(value)
            message = f"budget takes {' and '.join(Budget._fields)}, as integers from 0"
            hint = "Write it as [budget] with monitors = 10 and percent = 30."
        case "secrets":
            is_valid = isinstance(value, dict) and all(
                name in _LISTS
                and isinstance(items, list)
                and all(isinstance(item, str) for item in items)
                for name, items in value.items()
            )
            lists = f"{', '.join(_LISTS[:-1])} and {_LISTS[-1]}"
            message = f"[secrets] takes {lists}, each a list of patterns"
            hint = 'Write it as [secrets] with env = ["POP3_*"] and files = ["/run/secrets/*"].'
        case "lint":
            is_valid = isinstance(value, dict) and all(map(_is_lint, value.items()))
            levels = f"{', '.join(_SEVERITIES[:-1])} or {_SEVERITIES[-1]}"
            message = (
                f"[lint] takes baseline, a file, and severity, a table with {levels} for each code"
            )
            hint = 'Write it as [lint] with severity = {"smtp-only" = "off", "*-port" = "warning"}.'
        case _ if key == PRUNE:
            is_valid = type(value) is bool
            message, hint = f"{key} must be true or false", f"Write it as {key} = true."
        case _ if key in OF_ACCOUNTS:
            return
        case _ if key not in _KEYS:
            from reconciler.core.nearest import did_you_mean  # only for this

            is_valid = False
            message = f"unknown setting {key}{did_you_mean(key, (*_KEYS, PRUNE, *OF_ACCOUNTS))}"
            hint = (
                f"Valid settings: {', '.join((*_KEYS, PRUNE, 'accounts_from'))}, [budget], "
                "[secrets], [lint], [defaults], [accounts.NAME] and [fleet]."
            )
        case _:
            is_valid = isinstance(value, str)
            message = f"{key} must be a string"
            hint = f'Write it in quotes, such as {key} = "{_KEYS[key]}".'
    if not is_valid:
        raise ConfigurationError(message, hint)
    match key, value:
        case "lint", {"severity": dict() as severities}:
            _check_codes(severities)
        case "state", str() as location:
            check_location(location)
        case "largest_list", str() as size if size:
            _size(key, size)
        case "lock_lease" | "timeout" | "deadline", str() as text:
            _seconds(key, text)


def _check_codes(severities: Mapping[str, str]) -> None:
    """Stops at a pattern that matches no code of lint."""
    from reconciler.core.lint.codes import CODES, Policy  # few projects set any
    from reconciler.core.nearest import did_you_mean

    for pattern in Policy(tuple(severities.items())).meaningless():
        advice = did_you_mean(pattern, CODES) or "; reconciler explain lint lists the codes"
        raise ConfigurationError(
            f"[lint] severity: no code matches {pattern}{advice}", "Correct or remove it."
        )


def _is_lint(item: tuple[str, object]) -> bool:
    match item:
        case "baseline", str() as file:
            return bool(file)
        case "severity", dict() as levels:
            return all(level in _SEVERITIES for level in levels.values())
    return False


def is_budget(value: object) -> bool:
    """Whether a setting is a table of how much may be lost."""
    return isinstance(value, dict) and all(
        name in Budget._fields and type(limit) is int and limit >= 0
        for name, limit in value.items()
    )


def _value(environment: Mapping[str, str], name: str) -> str:
    """The variable, or the text of the file that `NAME_FILE` names; empty if unset."""
    path = environment.get(f"{name}_FILE")
    if path is None:
        value = environment.get(name, "")
        if not is_unicode(value):
            raise ConfigurationError(f"{name} is not UTF-8", "Set it as UTF-8 text.")
        return value
    if environment.get(name):
        raise ConfigurationError(f"{name} and {name}_FILE are both set", "Unset one of them.")
    try:
        return durable.read_any(path, _MOST_BYTES).decode("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{name}_FILE: cannot read {path}: {reason}", "Name a readable file."
        ) from error


def read_url(environment: Mapping[str, str]) -> str:
    """Where AlertSite is, as the environment says, or else the vendor.

    Raises:
        ConfigurationError: it is no URL, or one to which a password must not be sent.
    """
    return checked_url(_value(environment, "ALERTSITE_URL") or DEFAULT_URL, "ALERTSITE_URL")


def checked_url(text: str, name: str) -> str:
    """The URL, without a slash at its end; `name` is what messages call it.

    Raises:
        ConfigurationError: it is no URL, or one to which a password must not be sent.
    """
    url = text.rstrip("/")
    if "@" in url or not _VISIBLE.fullmatch(url):
        raise ConfigurationError(
            f"{name} contains a space, a control character or a login",
            "Write it as https://HOST/PATH, and set the login separately. The default is "
            f"{DEFAULT_URL}.",
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(
            f"{name} is not a valid URL: check its host and port",
            f"Write it as https://HOST/PATH. The default is {DEFAULT_URL}.",
        ) from error
    if parts.scheme not in {"http", "https"} or not host or parts.query:
        raise ConfigurationError(
            f"{name} must be https://HOST/PATH, not {url!r}",
            f"The default is {DEFAULT_URL}.",
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(f"{name} {url} would send the password unencrypted", "Use https.")
    return url


def server_of(url: str) -> str:
    """What a URL is compared by: alike for all spellings of one server and path.

    By RFC 3986, section 6.2, so the port of the scheme, dots and escapes change nothing; and as
    servers usually take them, neither do repeated slashes, a dot after the host and letters in
    another case. All names of this machine's loopback are one. What is no URL is taken as it is.
    """
    try:
        parts = urlsplit(url.lower())
        host, port = (parts.hostname or "").rstrip("."), parts.port
        host = ip_address(host).compressed if ":" in host else host
    except ValueError:  # told by whoever uses it
        return url
    host = _LOOPBACK[0] if host in _LOOPBACK else host
    path = os.path.normpath(f"/{_ESCAPE.sub(_unescaped, parts.path).lstrip('/')}")
    return f"{parts.scheme}://[{host}]:{port or _PORTS.get(parts.scheme)}{path}"


def _unescaped(found: re.Match[str]) -> str:
    """The character that is escaped, unless it would mean something else without its escape."""
    character = chr(int(found[1], 16)).lower()
    return character if _UNRESERVED.fullmatch(character) else found[0]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
