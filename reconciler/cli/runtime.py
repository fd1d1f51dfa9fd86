"""The composition root: wires a command to its state and to AlertSite.

Without credentials that is the embedded sandbox. A command gets from here its store, lock,
journal, clock, redactor and run id, and gives them to the use case that it calls.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from reconciler import __version__, durable
from reconciler.cli import config, console
from reconciler.context import USUAL, Cancellation, Limits, seconds_since, written
from reconciler.core import json_text
from reconciler.core.model import DEFAULT_ACCOUNT, Account
from reconciler.errors import ConfigurationError
from reconciler.secrets import Vault
from reconciler.state_session import Recorder, read_known
from reconciler.state_store import LockOptions, current, hold, is_dead, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.alertsite import Reader, Session, Writer
    from reconciler.cli.context import Context
    from reconciler.context import Clock, Reporter
    from reconciler.core.events import Event
    from reconciler.core.generation import Generation
    from reconciler.core.plan import Plan
    from reconciler.core.redactor import Redactor
    from reconciler.core.run_record import About
    from reconciler.core.safety import Budgets
    from reconciler.schema import Schemas
    from reconciler.state_session import Known
    from reconciler.state_store import Store


_DEFAULT = "file:.reconciler/state.json"
_SANDBOX_STATE = ".reconciler/sandbox-state.json"
_SANDBOX = f"file:{_SANDBOX_STATE}"
_GRACE = 1.5
"""Times as long as a create may take: what works on it longer has given up on us too.

That is `timeout`, also for an answer that comes byte by byte: see `Limits`.
"""


class Run(NamedTuple):
    """One run, and the state it works with.

    Attributes:
        id: what records, journals and locks name it by.
        lease: seconds that its lock lives without being renewed.
        limits: what an answer of AlertSite may take.
        key: what fingerprints of secrets are keyed by; empty if they are not tracked.
    """

    id: str
    store: Store
    lease: float
    limits: Limits
    key: str

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, store={self.store.location!r})"

    @property
    def grace(self) -> float:
        """Seconds after which a create without an answer made nothing, if nothing is seen of it."""
        return self.limits.timeout * _GRACE

    def known(self, account: Account | None) -> Known:
        """What the store knows, with what the journals of killed runs add; writes nothing."""
        known = read_known(self.store, account, lineage=os.urandom(16).hex())
        self._say_recovered(known)
        return known

    def _say_recovered(self, known: Known) -> None:
        """Says what the journals of runs that did not end add to the state."""
        if not known.recovery.runs:
            return

        lease = current(self.store)
        for run in known.recovery.runs:
            if lease is not None and lease.id == run and not is_dead(lease):
                console.say(
                    f"Run {run} of {lease.holder} on {lease.host} has not ended and holds the lock."
                )
            else:
                console.say(f"Recovery: run {run} did not end; its journal is taken into account.")
        if outcomes := known.recovery.outcomes:
            noun = "outcome" if outcomes == 1 else "outcomes"
            console.say(f"Recovery: {outcomes:,} {noun} that the state did not have.")

    def vault(self) -> Vault:
        """What resolves secrets."""
        rules = config.read_secret_rules(os.environ, config.PROJECT)
        vault = Vault(os.environ, self.key, rules, redactor())
        if vault.key_weakness:
            console.say(f"Warning: {vault.key_weakness}. reconciler doctor says how to make one.")
        return vault

    def about(self, operation: str, generation: Generation, plan: Plan, undoes: str = "") -> About:
        """Who runs what, and from where."""
        from reconciler.core.run_record import About  # 4 ms that planning saves

        pipeline = config.read_pipeline(os.environ)
        return About(
            self.id,
            operation,
            now(),
            _holder(),
            pipeline.url,
            generation,
            plan.digest,
            __version__,
            undoes,
            is_author=bool(pipeline.actor),
        )

    def recorder(
        self, known: Known, operation: str, cancellation: Cancellation, reporter: Reporter
    ) -> Recorder:
        """What writes down what the run does."""
        return Recorder(
            self.store,
            known,
            run=self.id,
            operation=operation,
            clock=clock(),
            cancellation=cancellation,
            reporter=reporter,
            redactor=redactor(),
        )


def begin(location: str | None, *, embedded: bool, run: str = "") -> Run:
    """A run with the store that the flag, the environment or the project's file names.

    The embedded sandbox has a state of its own, so that trying things out leaves no mark on the
    state of the account.

    Args:
        location: what the flag names.
        embedded: whether it is that of the embedded sandbox.
        run: its id, if it has one already.
    """
    found = config.read_state(os.environ, config.PROJECT)
    place = location or (_SANDBOX if embedded else found.location or _DEFAULT)
    redactor().know(found.secret_key, *config.passwords(os.environ))
    store = open_store(place, redactor=redactor())
    return Run(run or run_id(), store, found.lease, found.limits, found.secret_key)


def begin_without_account(location: str | None, *, run: str = "") -> Run:
    """A run that asks AlertSite nothing: with the store that is named, wherever that is done.

    Only where nothing at all is set, it is that of the embedded sandbox.
    """
    found = config.read_state(os.environ, config.PROJECT)
    return begin(location or found.location, embedded=config.is_silent(os.environ), run=run)


@contextmanager
def locked(
    run: Run,
    operation: str,
    timeout: float,
    connection: Connection | None = None,
    reporter: Reporter = console.REPORTER,
) -> Iterator[Cancellation]:
    """Holds the lock of the state; what is given is cancelled when the lock is lost.

    With a connection that is its own cancellation, and the lock is not renewed while it is stuck.

    Raises:
        LockedError: another run has it, and has it still after the timeout (seconds).
    """
    from socket import gethostname  # 3 ms that planning saves

    cancellation, wanted = Cancellation(clock()), LockOptions(timeout, run.lease)
    if connection is not None:
        cancellation = connection.cancellation
        wanted = wanted._replace(is_stuck=connection.session.is_overdue)
    with hold(
        run.store,
        run=run.id,
        holder=_holder(),
        host=gethostname(),
        operation=operation,
        clock=clock(),
        options=wanted,
        reporter=reporter,
        cancellation=cancellation,
    ):
        yield cancellation


def budgets() -> Budgets:
    """How many monitors may lose monitoring, as the project's file and the environment say."""
    return config.read_state(os.environ, config.PROJECT).budgets


def prunes(*, asked: bool | None) -> bool:
    """Whether orphans are retired: as the flag says, or else the project's file."""
    return config.read_prune(config.PROJECT) if asked is None else asked


def clock() -> Clock:
    """The clock that this command line was given."""
    return _context().clock


def redactor() -> Redactor:
    """What takes the secrets that it is told out of all that this command line puts out."""
    return _context().redactor


def here() -> str:
    """The working folder of whoever runs this, as the root sees it; empty if it is the root."""
    return _context().here


def _context() -> Context:
    found: Context = click.get_current_context().find_root().obj
    return found


def now() -> str:
    """The time of day, RFC 3339 UTC, in whole seconds."""
    return written(clock().now())


def age(moment: str) -> str:
    """How long ago a time of day was, for people."""
    from reconciler.render.text import ago  # the less a command needs, the sooner it starts

    return ago(seconds_since(moment, clock().now()))


def run_id() -> str:
    """A new id for a run, which no other has."""
    return f"{clock().now():%Y%m%dT%H%M%SZ}-{os.urandom(4).hex()}"


def _holder() -> str:
    from getpass import getuser  # only for a lock

    if actor := config.read_pipeline(os.environ).actor:
        return actor
    try:
        return getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        return f"user {os.getuid()}"


EMBEDDED = Account(DEFAULT_ACCOUNT, "embedded sandbox")
_DATA = Path(".reconciler")
_MOST = 2**53
"""Above this, numbers in JSON are not the same everywhere."""


class Connection(NamedTuple):
    """A session, the account it is with, and what ends its patience.

    Attributes:
        reading: is told how many monitors are read by now.
    """

    session: Session
    account: Account
    cancellation: Cancellation
    reading: Callable[[int], None]

    def reader(self) -> Reader:
        """What planning is given: it cannot write."""
        from reconciler.alertsite import Reader  # 120 ms

        return Reader(self.session, self.account, self.reading)

    def writer(self) -> Writer:
        """What applying is given."""
        from reconciler.alertsite import Writer  # 120 ms

        return Writer(self.session, self.account, self.reading)


@contextmanager
def connect(
    schemas: Schemas,
    *,
    parallelism: int = 1,
    limits: Limits = USUAL,
    reporter: Reporter = console.REPORTER,
) -> Iterator[Connection]:
    """A connection to AlertSite as the environment says.

    Raises:
        ConfigurationError: the environment is incomplete, or the sandbox is not installed.
    """
    found = config.read(os.environ)
    if found is not None:
        redactor().know(found.password, found.token, *config.passwords(os.environ))
        with _session(
            found, parallelism, limits, reporter, account=Account(DEFAULT_ACCOUNT, found.url)
        ) as connection:
            console.note(f"AlertSite: {found.url}")
            yield connection
        return
    sandbox = import_sandbox(
        "no AlertSite credentials are set, and the sandbox that would serve instead needs the "
        "packages starlette and uvicorn"
    )
    console.say(
        "Sandbox: no AlertSite credentials are set, so this run uses the embedded sandbox and "
        "nothing reaches AlertSite."
    )
    console.say(
        "Set ALERTSITE_USERNAME and ALERTSITE_PASSWORD (or ALERTSITE_TOKEN) for the real account."
    )
    options = sandbox.Options(
        schemas=schemas.documents, seed=sample_seed(), database=_DATA / "sandbox.db"
    )
    with ExitStack() as stack:
        # What is damaged is named by file: the folder has the state of an account too.
        with starting_sandbox(
            f"It must be able to write to {_DATA}. If its data is damaged, remove "
            f"{options.database} and {_SANDBOX_STATE}."
        ):
            durable.make_folder(_DATA)
            url = stack.enter_context(sandbox.running(options))
        login = config.Settings(url, sandbox.USERNAME, sandbox.PASSWORD, "")
        yield stack.enter_context(_session(login, parallelism, limits, reporter, account=EMBEDDED))


def import_sandbox(problem: str) -> Any:  # noqa: ANN401 - a module; it may not be installed
    """The sandbox package.

    Raises:
        ConfigurationError: a package that it needs is missing; the message is `problem`.
    """
    try:
        from reconciler import sandbox  # 150 ms
    except ImportError as error:
        raise ConfigurationError(
            f"{problem} ({error.name} is missing)",
            "Install reconciler again, with all that it depends on.",
        ) from error
    return sandbox


@contextmanager
def starting_sandbox(hint: str) -> Iterator[None]:
    """Translates what a sandbox that cannot start raises.

    Raises:
        ConfigurationError: its port, database or log cannot be used.
    """
    import sqlite3  # only for the sandbox

    try:
        yield
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        reason = f"{where}{error.strerror or error}"
        raise ConfigurationError(f"the sandbox cannot start: {reason}", hint) from error
    except sqlite3.Error as error:
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
    try:
        monitors = json_text.read(durable.read_any(path))
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
    found: config.Settings,
    parallelism: int,
    limits: Limits,
    reporter: Reporter,
    *,
    account: Account,
) -> Iterator[Connection]:
    from reconciler.alertsite import Credentials, Session  # 120 ms

    if _context().is_verbose:
        reporter = _showing_requests(reporter)
    cancellation = Cancellation(clock())
    with Session(
        found.url,
        Credentials(found.username, found.password, found.token),
        connections=parallelism,
        clock=clock(),
        limits=limits,
        cancellation=cancellation,
        reporter=reporter,
        redactor=redactor(),
    ) as session:
        yield Connection(session, account, cancellation, console.reading(clock().monotonic))


def _showing_requests(reporter: Reporter) -> Reporter:
    """The reporter, which also tells people of every request."""
    from reconciler.core.events import RequestEnded
    from reconciler.render.results import request_line

    def tell(event: Event) -> None:
        if isinstance(event, RequestEnded):
            console.say(request_line(event))
        reporter.tell(event)

    return reporter._replace(tell=tell)
