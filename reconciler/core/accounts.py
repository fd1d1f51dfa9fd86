"""The accounts of a repository, and which of them a command is about.

Rule: values and pure functions. What the files say is read in `cli/accounts.py`, what credentials
hold in `secrets.py`, which files have moved in `usecases/checkout.py`.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import DEFAULT_ACCOUNT
from reconciler.core.nearest import nearest
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from reconciler.core.model import JSON
    from reconciler.core.safety import Budget


PLACEHOLDER = "{account}"
"""Stands for the name of the account in settings and in the names of files."""
NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")
ALL = "all"
"""Stands for all accounts, in tables and in what marks a comment; no account has this name."""
_UPPER = "{ACCOUNT}"
_MOST_LISTED = 20
"""Names in one message."""
_DEFAULTS = ("_defaults.yaml", "_defaults.yml")


_STATE = ("list", "pull", "push", "rm", "show", "unlock")
OF_ACCOUNT = frozenset(
    {"apply", "doctor", "drift", "explain", "history", "import", "list", "merge", "mv", "plan"}
    | {"probe", "pull", "render", "report", "reviewed", "set", "status", "undo", "validate"}
    | {"watch", "why"}
    | {f"state {name}" for name in _STATE}
)
"""The commands that take `-a`."""
_COMMAND = re.compile(
    rf"\breconciler (?:{'|'.join(sorted(OF_ACCOUNT))})(?![\w-])(?!(?: [^\s.,;]+)? -a )"
)
"""One of them in a text, unless it names its account: at once, or behind an argument."""


def with_account(text: str, name: str) -> str:
    """A text whose commands are about that account, so that they work as they stand.

    Where the settings name no accounts, they do without.
    """
    if name == DEFAULT_ACCOUNT:
        return text
    return _COMMAND.sub(lambda found: f"{found[0]} -a {name}", text)


class Reference(NamedTuple):
    """Where a part of a login is stored.

    Attributes:
        scheme: `env`, `file` or `cmd`.
        words: the name of the variable, the path, or the command and its arguments.
    """

    scheme: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.scheme}:{' '.join(self.words)}"

    def of(self, account: str) -> Reference:
        """The reference with the name of an account in it."""
        return self._replace(words=tuple(placed(word, account) for word in self.words))


class AccountLogin(NamedTuple):
    """What an account logs in with; None for what is not set."""

    username: Reference | None = None
    password: Reference | None = None
    token: Reference | None = None

    @property
    def references(self) -> tuple[Reference, ...]:
        """Those that are set."""
        return tuple(item for item in self if item is not None)


class Wording(NamedTuple):
    """What a message calls the settings by which AlertSite is reached, for whoever checks them.

    Attributes:
        login: the username and the password.
        token: the token.
        url: the base URL.
    """

    login: str = "ALERTSITE_USERNAME and ALERTSITE_PASSWORD"
    token: str = "ALERTSITE_TOKEN"
    url: str = "ALERTSITE_URL"


UNNAMED = Wording()
"""Of the account that the settings do not name."""


class AccountSettings(NamedTuple):
    """What is set for one account.

    Attributes:
        login: None where the environment says who logs in.
        url: empty where the environment says it, or the vendor's counts.
        url_place: where that is set, in words.
        manifests: the folders of its manifests, shared ones first; normalised paths.
        state: where its state is kept; empty if that is not set.
        labels: for selecting accounts.
        variables: what `${name}` stands for in its manifests.
        wave: an apply goes to the accounts of a wave when all earlier waves are done.
        rate: requests per second at most; None for no limit.
        budget: how many of its monitors may lose monitoring; None for the project's budget.
        file: of its own settings; empty if they are in the project's file.
    """

    name: str
    login: AccountLogin | None = None
    url: str = ""
    url_place: str = ""
    manifests: tuple[str, ...] = ("monitors",)
    state: str = ""
    labels: Mapping[str, str] = {}
    variables: Mapping[str, JSON] = {}
    wave: int = 1
    rate: float | None = None
    budget: Budget | None = None
    file: str = ""

    @property
    def wording(self) -> Wording:
        """What messages call its login and URL."""
        if self.login is None:
            return UNNAMED
        username, password, token = self.login
        whole = f"the account {self.name}"
        return Wording(
            f"{username} and {password}, the login of {whole}"
            if username and password
            else f"username and password of {whole}",
            "" if token is None else str(token),
            f"url in {self.url_place}" if self.url else UNNAMED.url,
        )


class Accounts(NamedTuple):
    """All accounts of a repository, sorted by name.

    Attributes:
        are_named: whether the settings name them; else there is one, `default`.
        parallelism: how many are worked on at once.
        budget: how many monitors of all of them may lose monitoring in one run; None for no limit.
    """

    all: tuple[AccountSettings, ...] = (AccountSettings(DEFAULT_ACCOUNT),)
    are_named: bool = False
    parallelism: int = 8
    budget: Budget | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(item.name for item in self.all)


class Selection(NamedTuple):
    """Which accounts a command line asks for.

    Attributes:
        names: globs over names.
        excluded: globs over names of those that are left out.
        labels: `name=value` each, all of which an account must have; values may be globs.
        changed_since: a commit: only accounts whose files have changed since.
        is_all: all of them are meant.
    """

    names: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    changed_since: str = ""
    is_all: bool = False

    @property
    def is_something(self) -> bool:
        """Whether it asks for anything."""
        return self != Selection()


class Shard(NamedTuple):
    """One of several runs that do the work of one, each for a part of the accounts.

    Attributes:
        number: which of them it is, from 1.
        total: how many there are.
    """

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def of(self, accounts: Sequence[AccountSettings]) -> tuple[AccountSettings, ...]:
        """Its accounts: by their place in the list, so that no shard has two more than another."""
        return tuple(accounts[self.number - 1 :: self.total])

    def limit(self, budget: Budget, managed: int) -> int:
        """How many of its monitors it may lose, so that all shards lose no more than one run.

        One of a fleet however small would be one in each shard, so that does not count here.
        """
        return min(budget.monitors // self.total, managed * budget.percent // 100)


def placed(text: str, account: str) -> str:
    """The text with the name of the account in place of `{account}`.

    In place of `{ACCOUNT}` it is as names of variables are: `ACME_PROD`.
    """
    upper = account.upper().replace("-", "_")
    return text.replace(PLACEHOLDER, account).replace(_UPPER, upper)


def select(
    accounts: Accounts, selection: Selection, changed: Collection[str] | None = None
) -> tuple[AccountSettings, ...]:
    """The accounts that are meant, sorted by name.

    Args:
        accounts: all of them.
        selection: what is asked for.
        changed: the files that have changed, relative to the root; None if that was not asked for.

    Raises:
        UsageError: a part of the selection means no account.
    """
    for flag, patterns in (("--account", selection.names), ("--not-account", selection.excluded)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in accounts.names):
                close = nearest(pattern, accounts.names)
                advice = f"Did you mean {close}? " if close else ""
                raise UsageError(
                    f"{flag} {pattern} matches no account",
                    f"{advice}reconciler.toml has these: {listed(accounts.names)}."
                    if accounts.are_named
                    else "reconciler.toml has no accounts.",
                )
    labels = []
    for text in selection.labels:
        label, equals, value = text.partition("=")
        if not equals or not label or not value:
            raise UsageError(
                f"--label {text} is not a label", "Write a name and a value, such as tier=prod"
            )
        labels.append((label, value))
    found = [
        item
        for item in accounts.all
        if (not selection.names or _matches(item.name, selection.names))
        and not _matches(item.name, selection.excluded)
        # A label that an account does not have fits no glob, not even `*`.
        and all(it in item.labels and fnmatchcase(item.labels[it], value) for it, value in labels)
    ]
    if not found:
        known = sorted({f"{it}={item.labels[it]}" for item in accounts.all for it in item.labels})
        raise UsageError(
            "no account matches all the labels",
            f"Accounts have these labels: {listed(known)}."
            if known
            else "No account has labels in reconciler.toml.",
        )
    if changed is not None:
        touched = set(_touched(accounts, changed))
        found = [item for item in found if item.name in touched]
    return tuple(found)


def having(accounts: Accounts, paths: Collection[str]) -> tuple[AccountSettings, ...]:
    """The accounts whose files these are, or are in these folders, sorted by name.

    Raises:
        UsageError: a path is of no account, so that nobody would look at it.
    """
    for path in paths:
        if not any(_touched(accounts, {path})):
            raise UsageError(
                f"{path} is not in the folder of any account",
                "Use a file or folder that exists, or add its folder to manifests of an account in "
                "reconciler.toml.",
            )
    return select(accounts, Selection(), paths)


def listed(names: Sequence[str]) -> str:
    """The names, or the first of them where there are too many to read."""
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"{', '.join(names[:_MOST_LISTED])}{more}"


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _touched(accounts: Accounts, changed: Collection[str]) -> Iterator[str]:
    """The names of the accounts that a change of these files may change.

    The project's file is everybody's. A defaults file counts for all folders below it. Of a folder
    that is not below the root nobody knows whether its files have changed, so it may.
    """
    is_all = "reconciler.toml" in changed
    for item in accounts.all:
        is_elsewhere = any(f"{it}/".startswith(("/", "../")) for it in item.manifests)
        is_its = is_all or is_elsewhere or item.file in changed
        if is_its or any(_is_of(item, path) for path in changed):
            yield item.name


def _is_of(account: AccountSettings, path: str) -> bool:
    """Whether a file or folder is one of the account's manifests, has some, or their defaults."""
    parent, slash, name = path.rpartition("/")
    for folder in account.manifests:
        if folder == "." or path == "." or f"{path}/".startswith(f"{folder}/"):
            return True
        if f"{folder}/".startswith(f"{path}/"):  # a folder around it, or a link in its place
            return True
        if name in _DEFAULTS and f"{folder}/".startswith(f"{parent}{slash}"):
            return True
    return False
