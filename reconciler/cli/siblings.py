"""Which accounts have the same login, and what they describe.

An account is one login of AlertSite. Where the settings name several for it, each of them must
leave the monitors of the others alone. So before an account is worked on, the manifests of the
others are read; and their states, for manifests that name no id, where that is a file. A state
elsewhere is not asked for, since each would be a request to somewhere that may be slow or not
answer: of such an account only the ids that its manifests name are known, and the names of the
rest.

Rule: an account that is alone with its login costs one look at each login, and no file of another.
"""

from __future__ import annotations

from collections import ChainMap
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reconciler.cli import config, console
from reconciler.context import computing
from reconciler.core.accounts import PLACEHOLDER, placed
from reconciler.core.siblings import NOBODY, Claims
from reconciler.errors import ConfigurationError, StateError
from reconciler.secrets import look_up
from reconciler.state_session import read_known
from reconciler.state_store import is_file, open_store
from reconciler.usecases.load import Sources
from reconciler.usecases.siblings import read_claims

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.accounts import Accounts, AccountSettings
    from reconciler.core.siblings import Claim
    from reconciler.core.state import Record

_Key = TypeVar("_Key")


class Siblings:
    """The accounts that have the same login, whose manifests are read at most once each.

    Args:
        accounts: all accounts.
        environment: what logins are looked up in.
        location: where the command line says that states are kept; empty if it does not.
    """

    def __init__(self, accounts: Accounts, environment: Mapping[str, str], location: str) -> None:
        self._accounts = accounts
        self._environment = environment
        self._location = location if PLACEHOLDER in location else ""
        self._alike: dict[str, Sequence[AccountSettings]] = {}
        self._read: dict[str, Claims] = {}

    def check(self) -> None:
        """Stops where two accounts with the same login have manifests of the same folder.

        Each would make, or change, the monitors of the other. With folders of their own they share
        a login in peace.

        Raises:
            ConfigurationError: naming both, and where they are set.
        """
        if self._alike:
            return
        groups: dict[tuple[str, str], list[AccountSettings]] = {}
        for item in self._accounts.all if self._accounts.are_named else ():
            groups.setdefault(_identity(item, self._environment), []).append(item)
        for alike in groups.values():
            _refuse_shared_folders(alike)
        self._alike = {item.name: alike for alike in groups.values() for item in alike}

    def claims(self, account: AccountSettings) -> Claims:
        """What the others with the login of an account describe.

        Raises:
            ConfigurationError: two accounts with the same login have manifests of the same folder.
        """
        with computing():  # so that no two threads read the same
            self.check()
            alike = self._alike[account.name]
            found = [self._of(item) for item in alike if item.name != account.name]
        if not found:
            return NOBODY
        return Claims(
            _chained(item.ids for item in found),
            _chained(item.names for item in found),
            _chained(item.addresses for item in found),
            _chained(item.files for item in found),
            next((item.unread for item in found if item.unread), ()),
        )

    def _of(self, account: AccountSettings) -> Claims:
        if account.name not in self._read:
            sources = Sources(account.manifests, account.variables, account.name)
            try:
                found = read_claims(sources, lambda: self._records(account))
            except ConfigurationError as error:
                self._say(account, "manifests", error)
                found = Claims(unread=(account.name, "its manifests cannot be read"))
            self._read[account.name] = found
        return self._read[account.name]

    def _records(self, account: AccountSettings) -> Mapping[str, Record] | None:
        place = placed(self._location or account.state, account.name)
        if not is_file(place):
            return None
        try:
            return read_known(open_store(place), None, lineage="").state.records
        except (ConfigurationError, StateError) as error:
            self._say(account, "state", error)
            return None

    @staticmethod
    def _say(account: AccountSettings, what: str, error: Exception) -> None:
        console.say(
            f"Warning: the {what} of the account {account.name}, which has the same login, cannot "
            f"be read, so monitors may be managed twice: {error}"
        )


def _chained(claims: Iterable[Mapping[_Key, Claim]]) -> Mapping[_Key, Claim]:
    """All of them, none of which is copied: there may be many, for each of many accounts."""
    return ChainMap(*claims)  # type: ignore[arg-type]  # nothing is written to them


def _identity(account: AccountSettings, environment: Mapping[str, str]) -> tuple[str, str]:
    """The login of an account, to compare it with others: the URL of AlertSite, and the user.

    Another spelling makes no other server, and letters in another case hardly another user. A
    username that is not available here, or comes from a command, is only compared by where it is
    stored.
    """
    assert account.login is not None
    url = config.server_of(account.url or config.read_url(environment))
    reference = account.login.username or account.login.token
    assert reference is not None
    if reference.scheme != "cmd":  # which may ask a person
        with suppress(LookupError):  # told by whoever needs it
            return url, look_up(reference, environment).lower()
    return url, str(reference)


def _refuse_shared_folders(alike: Sequence[AccountSettings]) -> None:
    """Stops where two accounts, which are one login, have manifests of the same folder."""
    if len(alike) == 1:
        return
    roots: dict[Path, AccountSettings] = {}
    inside: dict[Path, tuple[AccountSettings, str]] = {}  # of each folder above one, too
    for item in alike:
        # Links are followed, as they are for manifests.
        folders = {Path(folder).resolve(): folder for folder in item.manifests}
        for path, folder in folders.items():
            other, shared = inside.get(path, (None, folder))
            outer = (roots.get(above) for above in path.parents)
            if other := other or next(filter(None, outer), None):
                raise ConfigurationError(
                    f"the accounts {_placed_name(other)} and {_placed_name(item)} log in with the "
                    f"same user at the same URL, and both have manifests in {shared}",
                    "Both would manage the same monitors. Give each its own login or its own "
                    "folders.",
                )
        for path, folder in folders.items():
            roots[path] = item
            for above in (path, *path.parents):
                inside[above] = item, folder


def _placed_name(account: AccountSettings) -> str:
    """The name of an account, and the line of its login, or else of its table."""
    path = Path(account.file or config.PROJECT)
    header = "" if account.file else f"accounts.{account.name}"
    line = config.line_of(path.read_text(encoding="utf-8-sig"), header, "username")
    return f"{account.name} ({path}:{line})"
