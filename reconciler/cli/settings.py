"""What the environment says about AlertSite: `ALERTSITE_URL` and the credentials."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL = "https://api.alertsite.com/api/v3"
_NO = ("", "0", "false")
_VISIBLE = re.compile("[!-~]+")
_CREDENTIALS = ("ALERTSITE_USERNAME", "ALERTSITE_PASSWORD", "ALERTSITE_TOKEN")


class Settings(NamedTuple):
    """Where AlertSite is and who asks; only the URL shows in `repr`."""

    url: str
    username: str
    password: str
    token: str

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r})"


def read(environment: Mapping[str, str]) -> Settings | None:
    """The settings; None when nothing is set, so that only the sandbox can be meant.

    A variable that is set and empty counts as set: it is what a pipeline makes of a missing secret.
    So does any other ALERTSITE_ variable: it may be one of these, misspelt.

    Raises:
        ConfigurationError: a part is missing, doubled or malformed, or nothing is set under CI.
    """
    if not any(name.startswith("ALERTSITE_") for name in environment):
        if environment.get("CI", "") not in _NO:
            raise ConfigurationError(
                "no AlertSite credentials are set, and CI is: a pipeline never uses the sandbox",
                "Set ALERTSITE_USERNAME and ALERTSITE_PASSWORD, or ALERTSITE_TOKEN.",
            )
        return None
    username, password, token = (_value(environment, name) for name in _CREDENTIALS)
    if not token and not (username and password):
        login = {"ALERTSITE_USERNAME": username, "ALERTSITE_PASSWORD": password}
        missing = [name for name, value in login.items() if not value]
        raise ConfigurationError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set or empty",
            "Set ALERTSITE_USERNAME and ALERTSITE_PASSWORD, or ALERTSITE_TOKEN; or unset every "
            "ALERTSITE_ variable to use the sandbox.",
        )
    if token and not _VISIBLE.fullmatch(token):
        raise ConfigurationError(
            "ALERTSITE_TOKEN holds a space, a line break or a character that no token has",
            "Set it to the access token alone.",
        )
    return Settings(_url(environment), username, password, token)


def _value(environment: Mapping[str, str], name: str) -> str:
    """The variable, or the text of the file that `NAME_FILE` names; empty if unset."""
    path = environment.get(f"{name}_FILE")
    if path is None:
        value = environment.get(name, "")
        if any("\ud800" <= char <= "\udfff" for char in value):  # how Python shows other bytes
            raise ConfigurationError(f"{name} is not UTF-8", "Set it as UTF-8 text.")
        return value
    if environment.get(name):
        raise ConfigurationError(f"{name} and {name}_FILE are both set", "Unset one of them.")
    try:
        return Path(path).read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{name}_FILE: cannot read {path}: {reason}", "Name a readable file."
        ) from error


def _url(environment: Mapping[str, str]) -> str:
    url = (_value(environment, "ALERTSITE_URL") or DEFAULT_URL).rstrip("/")
    if "@" in url or not _VISIBLE.fullmatch(url):
        raise ConfigurationError(
            "ALERTSITE_URL holds a space, a control character or a login",
            f"Give it as https://HOST/PATH, and the login by itself. The default is {DEFAULT_URL}.",
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"ALERTSITE_URL is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not host or parts.query:
        raise ConfigurationError(
            f"ALERTSITE_URL must be https://HOST/PATH, not {url!r}",
            f"The default is {DEFAULT_URL}.",
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            f"ALERTSITE_URL {url} would send the password unencrypted", "Use https."
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
