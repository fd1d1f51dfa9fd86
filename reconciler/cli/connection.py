"""Wires a run to AlertSite, or to the embedded sandbox when no credentials are set."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler import durable
from reconciler.cli import keeping, settings
from reconciler.errors import ConfigurationError
from reconciler.limits import USUAL, Limits
from reconciler.model import DEFAULT_ACCOUNT, Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.alertsite import Reader, Session, Writer
    from reconciler.schema import Schemas
    from reconciler.stop import Stop

EMBEDDED = Account(DEFAULT_ACCOUNT, "embedded sandbox")
_DATA = Path(".reconciler")
_MOST = 2**53
"""Above this, numbers in JSON are not the same everywhere."""


class Connection(NamedTuple):
    """A session, the name of the account it is with, and the event that ends its patience."""

    session: Session
    account: Account
    stop: Stop

    def reader(self) -> Reader:
        """What planning is given: it cannot write."""
        from reconciler.alertsite import Reader  # noqa: PLC0415 - 120 ms

        return Reader(self.session, self.account)

    def writer(self) -> Writer:
        """What applying is given."""
        from reconciler.alertsite import Writer  # noqa: PLC0415 - 120 ms

        return Writer(self.session, self.account)


@contextmanager
def connect(
    schemas: Schemas,
    say: Callable[[str], None],
    *,
    parallelism: int = 1,
    limits: Limits = USUAL,
) -> Iterator[Connection]:
    """A connection to AlertSite as the environment says.

    Raises:
        ConfigurationError: the environment is incomplete, or the sandbox is not installed.
    """
    found = settings.read(os.environ)
    if found is not None:
        keeping.redactor().know(found.password, found.token, *settings.passwords(os.environ))
        with _session(
            found, say, parallelism, limits, account=Account(DEFAULT_ACCOUNT, found.url)
        ) as connection:
            say(f"AlertSite: {found.url}")
            yield connection
        return
    sandbox = import_sandbox(
        "no AlertSite credentials are set, and the sandbox that would serve instead needs the "
        "packages starlette and uvicorn"
    )
    say(
        "Sandbox: no AlertSite credentials are set, so this run uses the embedded sandbox and "
        "nothing reaches AlertSite."
    )
    say("Set ALERTSITE_USERNAME and ALERTSITE_PASSWORD (or ALERTSITE_TOKEN) for the real account.")
    options = sandbox.Options(
        schemas=schemas.documents, seed=sample_seed(), database=_DATA / "sandbox.db"
    )
    with ExitStack() as stack:
        with starting_sandbox(f"Remove {_DATA} and what is in it: the sandbox makes it anew."):
            durable.make_folder(_DATA)
            url = stack.enter_context(sandbox.running(options))
        login = settings.Settings(url, sandbox.USERNAME, sandbox.PASSWORD, "")
        yield stack.enter_context(_session(login, say, parallelism, limits, account=EMBEDDED))


def import_sandbox(problem: str) -> Any:  # noqa: ANN401 - a module; it may not be installed
    """The sandbox package.

    Raises:
        ConfigurationError: the extra that it needs is not installed; the message is `problem`.
    """
    try:
        from reconciler import sandbox  # noqa: PLC0415 - an extra, and 150 ms
    except ImportError as error:
        raise ConfigurationError(
            f"{problem} ({error.name} is missing)",
            "Install both with: pip install starlette uvicorn",
        ) from error
    return sandbox


@contextmanager
def starting_sandbox(hint: str) -> Iterator[None]:
    """Translates what a sandbox that cannot start raises.

    Raises:
        ConfigurationError: its port, database or log cannot be used.
    """
    import sqlite3  # noqa: PLC0415 - only for the sandbox

    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"the sandbox cannot start: {error}", hint) from error


def sample_seed() -> list[dict[str, Any]]:
    """The monitors of the sample fleet, as a new sandbox account holds them."""
    seed = Path(__file__).parents[1] / "sandbox" / "seed.json"
    return read_seed(seed)


def read_seed(path: Path) -> list[dict[str, Any]]:
    """The monitors in a seed file: a JSON list of what GET returns for each.

    Raises:
        ConfigurationError: the file holds something else.
    """
    from reconciler import file_content, json_text  # noqa: PLC0415 - only for the sandbox

    try:
        monitors = json_text.read(file_content.read_any(path))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as JSON: {error}", "Name a file with a JSON list of monitors."
        ) from error
    if not isinstance(monitors, list) or not all(map(_is_monitor, monitors)):
        raise ConfigurationError(
            f"{path} is not a list of monitors, each with an integer id and a type",
            "A seed file holds what GET /monitors returns under results.",
        )
    return monitors


def _is_monitor(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        return False
    return type(item.get("id")) is int and 0 < item["id"] < _MOST


@contextmanager
def _session(
    found: settings.Settings,
    say: Callable[[str], None],
    parallelism: int,
    limits: Limits,
    *,
    account: Account,
) -> Iterator[Connection]:
    from reconciler.alertsite import Credentials, Session  # noqa: PLC0415 - 120 ms
    from reconciler.stop import Stop  # noqa: PLC0415 - with threading

    stop = Stop()
    with Session(
        found.url,
        Credentials(found.username, found.password, found.token),
        connections=parallelism,
        clock=keeping.clock(),
        limits=limits,
        stop=stop,
        notify=say,
        redactor=keeping.redactor(),
    ) as session:
        yield Connection(session, account, stop)
