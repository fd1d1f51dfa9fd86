"""What every command is given by `run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.siblings import Siblings
    from reconciler.cli.stopping import Stopping
    from reconciler.context import Clock, RejectedLogins
    from reconciler.core.accounts import Accounts, AccountSettings
    from reconciler.core.redactor import Redactor
    from reconciler.secrets import SecretRules


class Share(NamedTuple):
    """What the part of one account is given of a command that is about several.

    What it shows is kept only if somebody wants it.

    Attributes:
        stopping: what stops all parts.
        keep: is given what the part shows, as the value that it is.
        put: is given the name of a format and what the part shows in it, for one file of all.
        approved: the digest of the plan that was approved; empty if none was.
        digests: those of the parts of that plan, if what is left of it may be done.
        tells_failures: whether the part notifies people also if it failed and changed nothing;
            else whoever runs it does.
        notifies: whether the part notifies people at all; else whoever runs it does.
        rejected: the logins that other parts have tried in vain.
    """

    stopping: Stopping
    keep: Callable[[object], None] = lambda _: None
    put: Callable[[str, str], None] = lambda _name, _text: None
    approved: str = ""
    digests: tuple[str, ...] = ()
    tells_failures: bool = True
    notifies: bool = True
    rejected: RejectedLogins | None = None


class Context(NamedTuple):
    """The click object of a command line.

    Attributes:
        clock: what time it is.
        redactor: what takes known secrets out of all that leaves this process.
        here: the working folder as the root sees it; empty if it is the root.
        is_verbose: whether each request is shown.
        accounts: those that the settings name; None until somebody asks.
        rules: which secrets manifests may name; None until somebody asks.
        account: the one that the command is about; None until it is known.
        part: what a command is a part of that is about several accounts; None if it stands alone.
        siblings: what knows which accounts have the same login; None until somebody asks.
    """

    clock: Clock
    redactor: Redactor
    here: str = ""
    is_verbose: bool = False
    accounts: Accounts | None = None
    rules: SecretRules | None = None
    account: AccountSettings | None = None
    part: Share | None = None
    siblings: Siblings | None = None
