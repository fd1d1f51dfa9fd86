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
from reconciler.cli import config, console, json_file
from reconciler.context import USUAL, Cancellation, Limits, seconds_since, written
from reconciler.core import safety
from reconciler.core.accounts import PLACEHOLDER, Accounts, listed, placed
from reconciler.core.model import DEFAULT_ACCOUNT, Account
from reconciler.core.siblings import NOBODY
from reconciler.errors import ConfigurationError, StateError, UsageError
from reconciler.secrets import SecretRules, Vault, own_files
from reconciler.state_session import Recorder, read_known
from reconciler.state_store import LockOptions, beside, current, hold, is_dead, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reconciler.alertsite import Reader, Session, Writer
    from reconciler.cli.context import Context, Share
    from reconciler.cli.siblings import Siblings
    from reconciler.context import Clock, Reporter
    from reconciler.core.accounts import AccountSettings, Shard
    from reconciler.core.events import Event
    from reconciler.core.generation import Generation
    from reconciler.core.plan import Plan
    from reconciler.core.redactor import Redactor
    from reconciler.core.run_record import About
    from reconciler.core.safety import Budget, Budgets
    from reconciler.core.siblings import Claims
    from reconciler.core.state import State
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
        account: the name of the account; empty if the settings name none.
    """

    id: str
    store: Store
    lease: float
    limits: Limits
    key: str
    account: str = ""

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, store={self.store.location!r})"

    @property
    def grace(self) -> float:
        """Seconds after which a create without an answer made nothing, if nothing is seen of it."""
        return self.limits.timeout * _GRACE

    def known(self, account: Account | None) -> Known:
        """What the store knows, with what the journals of killed runs add; says what that is.

        It writes nothing.
        """
        known = read_known(self.store, account, lineage=os.urandom(16).hex())
        ours = self.account
        if account is None and ours and known.saved.serial and known.saved.account.name != ours:
            raise StateError(
                f"{self.store.location} is the state of the account {known.saved.account.name}, "
                f"but this run uses {ours}",
                "Each account has its own state. To transfer one, run: reconciler state migrate",
            )
        lease = current(self.store) if known.recovery.runs else None
        for run in known.recovery.runs:
            if lease is not None and lease.id == run and not is_dead(lease):
                console.say(
                    f"Run {run} of {lease.holder} on {lease.host} has not ended and holds the lock."
                )
            else:
                console.say(f"Recovery: run {run} did not end; using its journal.")
        if outcomes := known.recovery.outcomes:
            from reconciler.render.text import quantity  # see `age`

            console.say(
                f"Recovery: {quantity(outcomes, 'outcome')} added that the state did not have."
            )
        return known

    @contextmanager
    def reading(
        self, schemas: Schemas, reporter: Reporter | None = None
    ) -> Iterator[tuple[State, Reader]]:
        """The state as it is known, and what reads AlertSite; raises as `connect`."""
        with connect(schemas, limits=self.limits, reporter=reporter) as connection:
            yield self.known(connection.account).state, connection.reader()

    def vault(self) -> Vault:
        """What resolves secrets."""
        vault = Vault(os.environ, self.key, secret_rules(), redactor())
        if vault.key_weakness:
            console.say(
                f"Warning: {vault.key_weakness}. To see how to make one, run: reconciler doctor"
            )
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
            account=account().name,
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
        )


def begin(location: str | None, *, run: str = "", embedded: bool | None = None) -> Run:
    """A run with the store that the flag, the environment or the project's file names.

    The embedded sandbox has a state of its own, so that trying things out leaves no mark on the
    state of the account.

    Args:
        location: what the flag names.
        run: its id, if it has one already.
        embedded: whether it is that of the embedded sandbox; None if the environment is to say.
    """
    found = config.read_state(os.environ, config.PROJECT)
    name = account().name if accounts().are_named else ""
    if embedded is None:
        embedded = config.is_silent(os.environ)
    place = _place(location, embedded=embedded)
    redactor().know(found.secret_key, *config.passwords(os.environ))
    store = open_store(place, redactor=redactor())
    return Run(run or run_id(), store, found.lease, found.limits, found.secret_key, name)


def begin_watch(location: str | None) -> Run:
    """A run whose lock lets one of those who watch lead; beside the state of the account."""
    place = _place(location, embedded=config.is_silent(os.environ))
    return begin(location)._replace(store=open_store(beside(place), redactor=redactor()))


def _place(location: str | None, *, embedded: bool) -> str:
    """Where the state of the account is; see `begin`."""
    settings = account()
    given = location or config.state_in(os.environ)
    place = given or settings.state or _DEFAULT
    if embedded and not location and not accounts().are_named:
        place = _SANDBOX
    elif given and part() is not None and accounts().are_named and PLACEHOLDER not in given:
        raise ConfigurationError(
            f"{place} would be the state of several accounts",
            f"Use {PLACEHOLDER} in --state or RECONCILER_STATE, in place of the account name.",
        )
    return placed(place, settings.name)


def begin_at(place: str, run: Run) -> Run:
    """Another run of the same settings, with the store at another place and of any account."""
    store = open_store(place, redactor=redactor())
    return run._replace(id=run_id(), store=store, account="")


def begin_without_account(location: str | None, *, run: str = "") -> Run:
    """A run that asks AlertSite nothing: with the store that is named, wherever that is done.

    Only where nothing at all is set, it is that of the embedded sandbox.
    """
    is_set = location or config.state_in(os.environ) or account().state
    return begin(location, embedded=config.is_silent(os.environ) and not is_set, run=run)


def accounts() -> Accounts:
    """The accounts of the repository.

    Raises:
        ConfigurationError: a file with settings cannot be read.
        InvalidSettingsError: there are findings in one.
    """
    context = _context()
    if context.accounts is None:
        found = Accounts()
        table = config.read_project(config.PROJECT)
        if any(name in table for name in config.OF_ACCOUNTS):
            from reconciler.cli.accounts import read_accounts  # few have several accounts

            found = read_accounts(config.PROJECT)
        elif "state" in table:
            found = Accounts((found.all[0]._replace(state=table["state"]),))
        suppose(found)
        return found
    return context.accounts


def read_accounts_again() -> Accounts:
    """As `accounts`, from files that may have changed since."""
    _know(accounts=None, rules=None, siblings=None)
    return accounts()


def suppose(found: Accounts) -> None:
    """From now on these are the accounts of the repository."""
    _know(accounts=found, rules=None, siblings=None)


def account() -> AccountSettings:
    """The account that this command is about.

    Raises:
        UsageError: there are several, and none is chosen.
    """
    if (chosen := _context().account) is not None:
        return chosen
    found = accounts()
    if len(found.all) == 1:
        return found.all[0]
    raise UsageError(
        f"there are {len(found.all)} accounts, but this command uses only one",
        f"Select it with --account: {listed(found.names)}",
    )


def choose(chosen: AccountSettings) -> None:
    """From now on the command is about that account."""
    _know(account=chosen)


def chosen() -> AccountSettings | None:
    """The account that was chosen; None if that was left open."""
    return _context().account


def part() -> Share | None:
    """What this command is a part of, if it is about one of several accounts."""
    return _context().part


def others() -> Claims:
    """What the other accounts describe that have the login of this one.

    Raises:
        ConfigurationError: two accounts with the same login have manifests of the same folder.
    """
    found = accounts()
    if not found.are_named or len(found.all) == 1:
        return NOBODY
    return siblings().claims(account())


def siblings() -> Siblings:
    """What knows which accounts have the same login; the same for all of one command line."""
    if (found := _context().siblings) is None:
        from reconciler.cli.siblings import Siblings  # few have several accounts

        given = click.get_current_context().params.get("location")
        found = Siblings(accounts(), os.environ, given or config.state_in(os.environ))
        _know(siblings=found)
    return found


def secret_rules() -> SecretRules:
    """Which secrets manifests may name: not those that an account logs in with.

    Raises:
        ConfigurationError: a file with settings cannot be read.
    """
    context = _context()
    if context.rules is not None:
        return context.rules
    lists = config.read_project(config.PROJECT).get("secrets", {})
    own = [ref for item in accounts().all if item.login for ref in item.login.references]
    files = (ref.words[0] for ref in own if ref.scheme == "file")
    rules = SecretRules(
        **{name: tuple(patterns) for name, patterns in lists.items()},
        own_files=(*own_files(os.environ), *files),
        own_variables=tuple(ref.words[0] for ref in own if ref.scheme == "env"),
    )
    _know(rules=rules)
    return rules


@contextmanager
def locked(
    run: Run,
    operation: str,
    timeout: float,
    connection: Connection | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Cancellation]:
    """Holds the lock of the state; what is given is cancelled when the lock is lost.

    With a connection that is its own cancellation, and the lock is not renewed while it is stuck.

    Raises:
        LockedError: another run has it, and has it still after the timeout (seconds).
    """
    cancellation, wanted = Cancellation(clock()), LockOptions(timeout, run.lease)
    if connection is not None:
        cancellation = connection.cancellation
        wanted = wanted._replace(is_stuck=connection.session.is_overdue)
    with held(run, operation, wanted, cancellation, reporter or console.reporter()):
        yield cancellation


@contextmanager
def held(
    run: Run,
    operation: str,
    wanted: LockOptions,
    cancellation: Cancellation,
    reporter: Reporter,
) -> Iterator[None]:
    """Holds the lock of a run, as it is wanted; cancelling ends the waiting for it, too.

    Raises:
        LockedError: another run has it, and has it still after the timeout (seconds).
    """
    from socket import gethostname  # 3 ms that planning saves

    with hold(
        run.store,
        run=run.id,
        holder=_holder(),
        host=gethostname(),
        operation=operation,
        account=run.account,
        clock=clock(),
        options=wanted,
        reporter=reporter,
        cancellation=cancellation,
    ):
        yield


def budgets() -> Budgets:
    """How many monitors may lose monitoring, as the settings and the environment say."""
    found = config.read_state(os.environ, config.PROJECT).budgets
    own = account().budget
    return found if own is None else found._replace(configured=own)


def budget_together(
    whole: Accounts, chosen: Sequence[AccountSettings], shard: Shard | None = None
) -> Budget | None:
    """How many monitors these accounts may lose together; None for no limit beside their own.

    Args:
        whole: all accounts, as the settings name them.
        chosen: those of this run.
        shard: which part of the accounts of a command these are; None if they are all.
    """
    if whole.budget is not None or (len(chosen) == 1 and shard is None):
        return whole.budget
    usual = config.read_state(os.environ, config.PROJECT).budgets.configured
    return safety.budget_together(usual if item.budget is None else item.budget for item in chosen)


def ceiling_together() -> Budget | None:
    """How many monitors all accounts may lose together, whatever settings and options say."""
    return config.read_state(os.environ, config.PROJECT).budgets.ceiling


def prunes(*, asked: bool | None) -> bool:
    """Whether orphans are retired: as the flag says, or else the project's file."""
    if asked is None:
        return bool(config.read_project(config.PROJECT).get(config.PRUNE, False))
    return asked


def clock() -> Clock:
    """The clock that this command line was given."""
    return _context().clock


def redactor() -> Redactor:
    """What takes the secrets that it is told out of all that this command line puts out."""
    return _context().redactor


def is_verbose() -> bool:
    """Whether each request is shown."""
    return _context().is_verbose


def here() -> str:
    """The working folder of whoever runs this, as the root sees it; empty if it is the root."""
    return _context().here


def _context() -> Context:
    found: Context = click.get_current_context().find_root().obj
    return found


def _know(**found: Any) -> None:  # noqa: ANN401 - the fields of `Context`
    """From now on the context of the command line has these values."""
    click.get_current_context().find_root().obj = _context()._replace(**found)


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


def settings() -> config.Settings | None:
    """Where AlertSite is and who asks; None when nothing is set, so that the sandbox is meant.

    Raises:
        ConfigurationError: what is set is incomplete or malformed, or a login is not available.
    """
    if not accounts().are_named:
        return config.read(os.environ)
    from reconciler.cli.accounts import login_of  # few have several accounts

    if part() is None:  # else whoever made the parts has looked
        siblings().check()
    return login_of(account(), os.environ)


def url() -> str:
    """Where the AlertSite of this account is; needs no login."""
    return account().url or config.read_url(os.environ)


@contextmanager
def connect(
    schemas: Schemas,
    *,
    parallelism: int = 1,
    limits: Limits = USUAL,
    reporter: Reporter | None = None,
) -> Iterator[Connection]:
    """A connection to AlertSite as the environment says.

    Raises:
        ConfigurationError: the environment is incomplete, or the sandbox is not installed.
    """
    from reconciler.alertsite import Credentials, Session  # 120 ms

    found, who, rate = settings(), EMBEDDED, None
    with ExitStack() as stack:
        if found is None:
            found = stack.enter_context(_embedded(schemas))
        else:
            redactor().know(found.password, found.token, *config.passwords(os.environ))
            who, rate = Account(account().name, found.url), account().rate
        reporter = reporter or console.reporter()
        if is_verbose():
            reporter = _showing_requests(reporter)
        cancellation, whole = Cancellation(clock()), part()
        session = stack.enter_context(
            Session(
                found.url,
                Credentials(found.username, found.password, found.token),
                connections=parallelism,
                clock=clock(),
                limits=limits,
                cancellation=cancellation,
                reporter=reporter,
                redactor=redactor(),
                rate=rate,
                wording=account().wording,
                rejected=whole.rejected if whole else None,
            )
        )
        if whole is not None:
            stack.enter_context(whole.stopping.during(cancellation, session.cut))
        elif who != EMBEDDED:  # which has said so; of a part the heading says it
            console.note(f"AlertSite: {who}")
        yield Connection(session, who, cancellation, console.reading(clock().monotonic))


@contextmanager
def _embedded(schemas: Schemas) -> Iterator[config.Settings]:
    """The embedded sandbox, as what a session is made with."""
    sandbox = import_sandbox(
        "no AlertSite credentials are set, and the embedded sandbox needs the packages starlette "
        "and uvicorn"
    )
    console.say(
        "Sandbox: no AlertSite credentials are set, so this run uses the embedded sandbox; nothing "
        "is sent to AlertSite."
    )
    console.say(
        "Set ALERTSITE_USERNAME and ALERTSITE_PASSWORD (or ALERTSITE_TOKEN) for the real account."
    )
    options = sandbox.Options(
        schemas=schemas.documents, seed=read_seed(), database=_DATA / "sandbox.db"
    )
    with ExitStack() as stack:
        # What is damaged is named by file: the folder has the state of an account too.
        with starting_sandbox(
            f"The sandbox must be able to write to {_DATA}. If its data is damaged, remove "
            f"{options.database} and {_SANDBOX_STATE}."
        ):
            durable.make_folder(_DATA)
            url = stack.enter_context(sandbox.running(options))
        yield config.Settings(url, sandbox.USERNAME, sandbox.PASSWORD, "")


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
            "Install reconciler again, with all its dependencies.",
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


def read_seed(path: Path | None = None) -> list[dict[str, Any]]:
    """The monitors in a seed file: a JSON list of what GET returns for each.

    By default those of the sample fleet, as a new sandbox account holds them.

    Raises:
        ConfigurationError: the file holds something else.
    """
    path = path or Path(__file__).parents[1] / "sandbox" / "seed.json"
    monitors = json_file.read(str(path), "Use a file with a JSON list of monitors.")
    if not isinstance(monitors, list) or not all(map(_is_monitor, monitors)):
        raise ConfigurationError(
            f"{path} is not a list of monitors, each with an integer id and a type",
            "A seed file has what GET /monitors returns under results.",
        )
    return monitors


def _is_monitor(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        return False
    return type(item.get("id")) is int and 0 < item["id"] < _MOST


def _showing_requests(reporter: Reporter) -> Reporter:
    """The reporter, which also tells people of every request."""
    from reconciler.core.events import RequestEnded
    from reconciler.render.results import request_line

    def tell(event: Event) -> None:
        if isinstance(event, RequestEnded):
            reporter.say(request_line(event))
        reporter.tell(event)

    return reporter._replace(tell=tell)
