"""Logins in the URLs of remotes, given to git where nobody else reads them.

A URL with a login is an argument of `git` and of the programs that git starts (`git-remote-https`),
and all users of a machine can read the arguments of all processes. So git is told in its
environment, which only its owner can read, to

- use the URL without the login in place of the one with it (`url.URL.insteadOf`, where the longest
  match counts; the whole URL is the longest there can be);
- get the login from a credential helper that reads two variables. They are expanded inside of a
  shell that prints them itself, and so are in no arguments either.

What is configured for a remote counts as well as a URL in the location: pipelines write tokens
there, and into `url.….insteadOf`. Only http and https take a password from a URL.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.store.git_process import Git

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<login>[^\s/]*)@(?P<rest>\S*)", re.IGNORECASE
)
_REMOTE = re.compile(r"remote\.(?P<name>.*)\.(?P<key>url|pushurl)", re.DOTALL)
_RULE = re.compile(r"url\.(?P<base>.*)\.(?P<key>insteadof|pushinsteadof)", re.DOTALL)
_USER, _PASSWORD = "RECONCILER_GIT_USERNAME", "RECONCILER_GIT_PASSWORD"
_HELPER = (
    '!f() {{ if test "$1" = get; then printf "username=%s\\npassword=%s\\n" '
    '"${user}" "${password}"; fi; }}; f'
)
_NOT_SECRET = frozenset({"", "x-oauth-basic"})
"""What stands for a password where the user name is the token."""


class Login(NamedTuple):
    """A URL that holds a login."""

    scheme: str
    user: str
    password: str
    rest: str

    @property
    def url(self) -> str:
        """The URL without it."""
        return f"{self.scheme}://{self.rest}"

    @property
    def host(self) -> str:
        """The part of the URL that says whose login it is."""
        return f"{self.scheme}://{self.rest.partition('/')[0]}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of it must not be shown, as it is and as the URL spells it."""
        secret = self.user if self.password in _NOT_SECRET else self.password
        return unquote(secret), secret


def logins(text: str) -> list[Login]:
    """The logins in a text; a user of ssh without a password is none."""
    found = []
    for match in _URL.finditer(text):
        user, _, password = match["login"].partition(":")
        if password or match["scheme"].lower() in {"http", "https"}:
            found.append(Login(match["scheme"], user, password, match["rest"]))
    return found


def hidden(git: Git, remote: str) -> tuple[str, Mapping[str, str], tuple[Login, ...]]:
    """What to call git with in place of a remote: an argument, more environment; and its logins.

    Raises:
        ConfigurationError: a login that git cannot be given in this way.
    """
    entries: list[tuple[str, str]] = []
    given = logins(remote)
    remote = given[0].url if given else remote
    configured = git.run(
        "config", "-z", "--get-regexp", r"^(remote\..*\.(push)?url|url\..*\.(push)?insteadof)$"
    ).out.decode("utf-8", "surrogateescape")
    if logins(configured):
        found = [*_used(remote, configured)]
        entries += [(f"url.{login.url}.{key}", raw) for key, raw, login in found]
        given += [login for _, _, login in found]
    if not given:
        return remote, {}, ()
    environment: dict[str, str] = {}
    for number, login in enumerate(dict.fromkeys(given)):
        entries += _credentials(login, number, environment)
    first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    for number, (key, value) in enumerate(entries, first):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    environment["GIT_CONFIG_COUNT"] = str(first + len(entries))
    return remote, environment, tuple(given)


def _used(remote: str, configured: str) -> Iterator[tuple[str, str, Login]]:
    """For each URL of a remote that leads to one with a login: which key, from what, to which."""
    urls: dict[str, list[str]] = {"url": [], "pushurl": []}
    rules: dict[str, list[tuple[str, str]]] = {"insteadof": [], "pushinsteadof": []}
    for entry in configured.split("\0"):
        key, _, value = entry.partition("\n")
        if (found := _REMOTE.fullmatch(key)) and found["name"] == remote:
            urls[found["key"]].append(value)
        elif found := _RULE.fullmatch(key):
            rules[found["key"]].append((value, found["base"]))
    for raw in urls["url"] or [remote]:
        for key in ("insteadof",) if urls["pushurl"] else ("insteadof", "pushinsteadof"):
            yield from _leading(key, raw, rules[key], is_plain=key == "insteadof")
    for raw in urls["pushurl"]:
        yield from _leading("insteadof", raw, rules["insteadof"], is_plain=True)


def _leading(
    key: str, raw: str, rules: Iterable[tuple[str, str]], *, is_plain: bool
) -> Iterator[tuple[str, str, Login]]:
    fitting = [rule for rule in rules if raw.startswith(rule[0])]
    if fitting:
        prefix, base = max(fitting, key=lambda rule: len(rule[0]))
        url = base + raw.removeprefix(prefix)
    elif is_plain:
        url = raw
    else:
        return
    for login in logins(url):
        yield key, raw, login


def _credentials(
    login: Login, number: int, environment: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """The configuration that gives git a login, whose values go into the environment."""
    user, password = unquote(login.user), unquote(login.password)
    if login.scheme.lower() not in {"http", "https"}:
        raise ConfigurationError(
            f"{login.url}: a password in the URL of a remote works for http and https only",
            "Take it out, and let ssh use a key.",
        )
    if any(not char.isprintable() for char in user + password):
        raise ConfigurationError(
            f"{login.url}: the login in the URL holds a control character", "Check the URL."
        )
    if not login.password:
        yield f"credential.{login.host}.username", user
        return
    environment |= {f"{_USER}_{number}": user, f"{_PASSWORD}_{number}": password}
    yield f"credential.{login.host}.helper", ""  # those that are configured are not asked
    yield (
        f"credential.{login.host}.helper",
        _HELPER.format(user=f"{_USER}_{number}", password=f"{_PASSWORD}_{number}"),
    )
