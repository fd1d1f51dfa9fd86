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
from typing import TYPE_CHECKING, TypeVar

from reconciler.cli import console
from reconciler.cli.accounts import by_login, refuse_shared_folders
from reconciler.context import computing
from reconciler.core.accounts import PLACEHOLDER, placed
from reconciler.core.siblings import NOBODY, Claims
from reconciler.errors import ConfigurationError, StateError
from reconciler.state_session import read_known
from reconciler.state_store import is_file, open_store
from reconciler.usecases.load import Sources
from reconciler.usecases.siblings import read_claims

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        self._alike: dict[str, tuple[AccountSettings, ...]] = {}
        self._read: dict[str, Claims] = {}

    def check(self) -> None:
        """Stops where two accounts with the same login have manifests of the same folder.

        Raises:
            ConfigurationError: naming both, and where they are set.
        """
        if self._alike:
            return
        groups = by_login(self._accounts, self._environment)
        for alike in groups:
            refuse_shared_folders(alike)
        self._alike = {item.name: alike for alike in groups for item in alike}

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
