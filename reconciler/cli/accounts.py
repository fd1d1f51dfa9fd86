"""What `reconciler.toml` and the files beside it say of accounts.

Each mistake is a finding with its line, which `config.line_of` looks up.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from math import isfinite
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.cli import config
from reconciler.core.accounts import (
    ALL,
    NAME,
    PLACEHOLDER,
    AccountLogin,
    Accounts,
    AccountSettings,
    Reference,
    placed,
)
from reconciler.core.model import DEFAULT_ACCOUNT
from reconciler.core.nearest import did_you_mean
from reconciler.core.safety import Budget
from reconciler.errors import ConfigurationError, Diagnostic, InvalidSettingsError, Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_LOGIN = ("username", "password", "token")
_ACCOUNT = (
    *_LOGIN,
    *("url", "manifests", "state", "labels", "vars", "wave", "rate", "budget"),
)
_FLEET = ("parallelism", "budget")
_MOST = 64
_NO_LOGIN = "set username and password, or token"
_MANIFESTS = (f"monitors/{PLACEHOLDER}",)
_STATE = f"file:.reconciler/{PLACEHOLDER}/state.json"
_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)/(s|m)")
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_SHAPES = {
    "username": '{env = "NAME"}, {file = "PATH"} or {cmd = ["PROGRAM", "ARGUMENT"]}',
    "url": 'a string, such as "https://api.alertsite.com/api/v3"',
    "manifests": 'a list of folders, such as ["monitors/_shared", "monitors/{account}"]',
    "state": 'a string, such as "git:origin#refs/reconciler/{account}"',
    "labels": 'a table of strings, such as {tier = "prod"}',
    "vars": 'a table of JSON values, such as {site = "acme.example"}',
    "wave": "an integer, 1 or more",
    "rate": 'a number of requests per second or minute, such as "5/s" or "120/m"',
    "budget": "a table with monitors and percent, integers from 0",
    "parallelism": f"an integer from 1 to {_MOST}",
}
_SHAPES |= dict.fromkeys(("password", "token"), _SHAPES["username"])


class _Table(NamedTuple):
    """One table of settings, and where it stands.

    Attributes:
        header: of the table in its file; empty if the file is that table.
    """

    path: str
    text: str
    header: str
    values: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"[{self.header}] of {self.path}" if self.header else self.path

    def finding(self, key: str, message: str) -> Diagnostic:
        """A finding at the line of a key, or at that of the table if the key is not found."""
        line = config.line_of(self.text, self.header, key)
        return Diagnostic(Position(self.path, line, 1), "setting", message)


def read_accounts(project: Path) -> Accounts:
    """The accounts that the settings name; without any there is one, `default`.

    Raises:
        ConfigurationError: a file cannot be read or is not TOML.
        InvalidSettingsError: with every finding.
    """
    values = config.read_project(project)
    text = project.read_text(encoding="utf-8-sig")
    findings: list[Diagnostic] = []
    top = _Table(str(project), text, "", values)
    tables = {}
    for name in ("accounts", "defaults", "fleet"):
        table = values.get(name, {})
        if not isinstance(table, dict):
            findings.append(top.finding(name, f"{name} must be a table: [{name}]"))
            table = {}
        tables[name] = _Table(str(project), text, name, table)
    findings += _checked(tables["defaults"], _ACCOUNT)
    findings += _checked(tables["fleet"], _FLEET)
    own = []
    for name, value in tables["accounts"].values.items():
        if isinstance(value, dict):
            own.append((name, _Table(top.path, text, f"accounts.{name}", value)))
        else:
            message = f"accounts.{name} must be a table: [accounts.{name}]"
            findings.append(tables["accounts"].finding(name, message))
    own += _files(top, findings)
    counts = Counter(name for name, _ in own)
    for name, table in own:
        findings += _findings(name, table, tables["defaults"])
        if counts[name] > 1 and not table.header:
            findings.append(table.finding("", f"two accounts have the name {name}"))
    if findings:
        raise InvalidSettingsError(tuple(sorted(set(findings))))
    defaults = tables["defaults"].values
    if not own:  # then the environment says who logs in, and where
        bare = _with_settings(AccountSettings(DEFAULT_ACCOUNT), defaults)
        state = placed(defaults.get("state", values.get("state", "")), DEFAULT_ACCOUNT)
        return Accounts((bare._replace(state=state),))
    place = defaults.get("state", values.get("state", _STATE))
    found = [_account(name, table, defaults, place, str(project)) for name, table in own]
    findings = [*_shared_states(found, dict(own), top), *_shared_folders(found, dict(own), top)]
    if findings:
        raise InvalidSettingsError(tuple(sorted(findings)))
    fleet = tables["fleet"].values
    return Accounts(
        tuple(sorted(found, key=lambda item: item.name)),
        are_named=True,
        parallelism=fleet.get("parallelism", 8),
        budget=Budget(**fleet["budget"]) if "budget" in fleet else None,
    )


def _files(top: _Table, findings: list[Diagnostic]) -> Iterator[tuple[str, _Table]]:
    """The accounts that have a file each."""
    pattern = top.values.get("accounts_from")
    if pattern is None:
        return
    try:
        is_pattern = isinstance(pattern, str) and not Path(pattern).is_absolute()
        paths = sorted(Path().glob(pattern)) if is_pattern else []
    except (ValueError, IndexError):  # so Path refuses `x**`, and `.`
        is_pattern, paths = False, []
    if not paths:
        message = (
            f"accounts_from matches no file: {pattern}"
            if is_pattern
            else 'accounts_from must be a glob of files in this folder, such as "accounts/*.toml"'
        )
        findings.append(top.finding("accounts_from", message))
    for path in paths:
        values = config.read_toml(path, must_exist=True)
        yield path.stem, _Table(str(path), path.read_text(encoding="utf-8-sig"), "", values)


def _findings(name: str, table: _Table, defaults: _Table) -> Iterator[Diagnostic]:
    """What is wrong with one account."""
    if not NAME.fullmatch(name):
        yield table.finding(
            "", f"{name!r} is not a valid account name: use lower-case letters, digits and hyphens"
        )
    elif name == ALL:
        yield table.finding(
            "", f"{ALL!r} is reserved for all accounts: give the account another name"
        )
    yield from _checked(table, _ACCOUNT)
    both = {**defaults.values, **table.values}
    if "token" not in both and not ("username" in both and "password" in both):
        missing = [key for key in _LOGIN[:2] if key not in both]
        what = _NO_LOGIN if len(missing) > 1 else f"it has no {missing[0]}"
        yield table.finding("", f"the account {name} cannot log in: {what}")


def _checked(table: _Table, known: tuple[str, ...]) -> Iterator[Diagnostic]:
    where = f"[{table.header}]" if table.header else "this file"
    for key, value in table.values.items():
        if key not in known:
            advice = did_you_mean(key, known) or f"; {where} may hold {', '.join(known)}"
            yield table.finding(key, f"unknown setting {key}{advice}")
        elif not _fits(key, value):
            yield table.finding(key, f"{key} must be {_SHAPES[key]}")
        elif refusal := _refusal(key, value):
            yield table.finding(key, refusal)


def _refusal(key: str, value: str) -> str:
    """Why a place of the right type is none; empty if it may be one."""
    try:
        if key == "state":
            config.check_location(value)
        elif key == "url":
            config.checked_url(value, key)
    except ConfigurationError as error:
        return f"{error}; {error.hint[:1].lower()}{error.hint[1:].rstrip('.')}"
    return ""


def _fits(key: str, value: object) -> bool:
    match key, value:
        case "username" | "password" | "token", {"env": str() as name, **rest}:
            return bool(name) and not rest
        case "username" | "password" | "token", {"file": str() as path, **rest}:
            return bool(path) and not rest
        case "username" | "password" | "token", {"cmd": [*words], **rest}:
            is_text = all(isinstance(word, str) and "\0" not in word for word in words)
            return is_text and bool(words and words[0]) and not rest
        case "url" | "state", str():
            return bool(value.strip())
        case "manifests", [_, *_]:
            return all(isinstance(item, str) and item for item in value)
        case "labels", dict():
            return all(isinstance(item, str) for item in value.values())
        case "vars", dict():
            return all(map(_VARIABLE.fullmatch, value)) and _is_json(value)
        case "wave", int():
            return type(value) is int and value > 0
        case "parallelism", int():
            return type(value) is int and 0 < value <= _MOST
        case "rate", str():
            found = _RATE.fullmatch(value)
            return found is not None and float(found[1]) > 0
        case "budget", _:
            return config.is_budget(value)
    return False


def _is_json(value: object) -> bool:
    """Whether a manifest could say it too: TOML has dates, and numbers that are none."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))


def _account(
    name: str, table: _Table, defaults: Mapping[str, Any], place: str, project: str
) -> AccountSettings:
    """An account that is valid; what it says itself counts more than the defaults."""
    both = {**defaults, **table.values}
    for key in ("labels", "vars"):
        both[key] = {**defaults.get(key, {}), **table.values.get(key, {})}
    if any(key in table.values for key in _LOGIN):  # a token does not go with another's login
        both = {key: item for key, item in both.items() if key not in _LOGIN or key in table.values}
    if "token" not in both:
        both |= {key: defaults[key] for key in _LOGIN[:2] if key not in both and key in defaults}
    login = AccountLogin(*(_reference(both.get(key), name) for key in _LOGIN))
    bare = AccountSettings(name, login, manifests=tuple(placed(it, name) for it in _MANIFESTS))
    found = _with_settings(bare, both)
    state = placed(table.values.get("state", place), name)
    place = table.place if "url" in table.values else f"[defaults] of {project}"
    own = "" if table.path == project else table.path
    return found._replace(state=state, file=own, url_place=place)


def _with_settings(found: AccountSettings, values: Mapping[str, Any]) -> AccountSettings:
    """The account with what is set for it, but for its login and state."""
    name = found.name
    if "manifests" in values:
        folders = [os.path.normpath(placed(folder, name)) for folder in values["manifests"]]
        found = found._replace(manifests=tuple(folders))
    return found._replace(
        url=placed(values.get("url", ""), name),
        labels=values.get("labels", {}),
        variables=values.get("vars", {}),
        wave=values.get("wave", 1),
        rate=_rate(values["rate"]) if "rate" in values else None,
        budget=Budget(**values["budget"]) if "budget" in values else None,
    )


def _reference(value: Mapping[str, Any] | None, name: str) -> Reference | None:
    if value is None:
        return None
    ((scheme, words),) = value.items()
    return Reference(scheme, tuple(words) if isinstance(words, list) else (words,)).of(name)


def _rate(text: str) -> float:
    """Requests per second."""
    found = _RATE.fullmatch(text)
    assert found is not None
    return float(found[1]) / (60 if found[2] == "m" else 1)


def _shared_states(
    found: list[AccountSettings], tables: Mapping[str, _Table], top: _Table
) -> Iterator[Diagnostic]:
    """A finding for each account whose state is where that of another one is, or its lock."""
    counts = Counter(item.state for item in found)
    owners = {item.state: item.name for item in found}
    for item in found:
        locked = owners.get(f"{item.state}-lock") if item.state.startswith("git:") else None
        if locked is not None:
            yield top.finding(
                "state",
                f"the lock of the account {item.name} would be stored where the account {locked} "
                f"stores its state, in {item.state}-lock: change one of the locations, or a name",
            )
        if counts[item.state] > 1:
            table = tables[item.name] if "state" in tables[item.name].values else top
            message = (
                f"several accounts would store their state in {item.state}: use {PLACEHOLDER} in "
                "state, or give each account its own"
            )
            yield table.finding("state", message)
            return


def _shared_folders(
    found: list[AccountSettings], tables: Mapping[str, _Table], top: _Table
) -> Iterator[Diagnostic]:
    """A finding for each account whose own folder has manifests of another one.

    What is written for the one, by `set` or `pull`, would count for the other, which has it from
    somebody else. Accounts with the same list of folders have none of their own, so nothing is
    written for one of them there: `Sources.twin`.
    """
    readers: dict[str, dict[tuple[str, ...], str]] = {}  # by their lists
    below: dict[str, dict[tuple[str, ...], str]] = {}
    told: set[str] = set()
    for item in found:
        for folder in item.manifests:
            readers.setdefault(folder, {}).setdefault(item.manifests, item.name)
            for above in PurePath(folder).parents:
                below.setdefault(str(above), {}).setdefault(item.manifests, item.name)
    for item in found:
        own = PurePath(item.manifests[-1])
        known = dict(below.get(str(own), {}))
        for path in (own, *own.parents):
            known |= readers.get(str(path), {})
        known.pop(item.manifests, None)
        if others := sorted({*known.values()} - told):
            told.add(item.name)
            table = tables[item.name] if "manifests" in tables[item.name].values else top
            yield table.finding(
                "manifests",
                f"{own} is the account {item.name}'s own folder, but the account {others[0]} also "
                "has manifests there: end the list of each with a folder of its own",
            )


def login_of(account: AccountSettings, environment: Mapping[str, str]) -> config.Settings:
    """Where a named account is and what it logs in with.

    Raises:
        ConfigurationError: a part of its login is not available, or its URL is none.
    """
    from reconciler.secrets import look_up

    assert account.login is not None
    found = []
    for name, reference in zip(AccountLogin._fields, account.login, strict=True):
        try:
            found.append("" if reference is None else look_up(reference, environment))
        except LookupError as error:
            raise ConfigurationError(
                f"the {name} of the account {account.name} is not available: {error}",
                f"It comes from {reference}: set that, or change the reference in the settings of "
                "the account.",
            ) from error
    login = config.Settings("", *found)
    config.check_token(login.token, f"the token of the account {account.name}")
    if account.url:
        url = config.checked_url(account.url, f"the url of the account {account.name}")
    else:
        url = config.read_url(environment)
    return login._replace(url=url)
