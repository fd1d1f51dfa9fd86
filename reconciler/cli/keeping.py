"""Wires a run to its state: store, lock, journal, clock and run id."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from reconciler.cli import output, settings
from reconciler.clock import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.budget import Budgets
    from reconciler.cli.context import Context
    from reconciler.clock import Clock
    from reconciler.known import Known
    from reconciler.limits import Limits
    from reconciler.model import Account
    from reconciler.recorder import Recorder
    from reconciler.redactor import Redactor
    from reconciler.secrets import Vault
    from reconciler.store import Store

PROJECT = Path("reconciler.toml")
_DEFAULT = "file:.reconciler/state.json"
_SANDBOX = "file:.reconciler/sandbox-state.json"
_GRACE = 1.5
"""Times as long as a create may take: what works on it longer has given up on us too.

That is `timeout`, also for an answer that comes byte by byte: see `Limits`.
"""
_USERS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")


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
        from reconciler.known import read_known  # noqa: PLC0415

        known = read_known(self.store, account, lineage=os.urandom(16).hex())
        self._say_recovered(known)
        return known

    def _say_recovered(self, known: Known) -> None:
        """Says what the journals of runs that did not end add to the state."""
        if not known.recovery.runs:
            return
        from reconciler.store import current, is_dead  # noqa: PLC0415

        lease = current(self.store)
        for run in known.recovery.runs:
            if lease is not None and lease.id == run and not is_dead(lease):
                output.say(
                    f"Run {run} of {lease.holder} on {lease.host} has not ended and holds the lock."
                )
            else:
                output.say(f"Recovery: run {run} did not end; its journal is taken into account.")
        if outcomes := known.recovery.outcomes:
            noun = "outcome" if outcomes == 1 else "outcomes"
            output.say(f"Recovery: {outcomes} {noun} that the state did not have.")

    def vault(self) -> Vault:
        """What resolves secrets."""
        from reconciler.secrets import Vault  # noqa: PLC0415

        rules = settings.read_secret_rules(os.environ, PROJECT)
        return Vault(os.environ, self.key, rules, redactor())

    def recorder(self, known: Known, operation: str) -> Recorder:
        """What writes down what the run does."""
        from reconciler.recorder import Recorder  # noqa: PLC0415

        return Recorder(
            self.store,
            known,
            run=self.id,
            operation=operation,
            clock=clock(),
            say=output.say,
            redactor=redactor(),
        )


class Hold:
    """A held lock."""

    def __init__(self) -> None:
        self._reason = ""
        self._ends = inf
        self._clock = clock()

    @property
    def lost(self) -> str:
        """Why it was lost, once it is; also while nobody has noticed yet that its time is over."""
        if self._clock.monotonic() >= self._ends:
            self.lose("it was not renewed in time")
        return self._reason

    def keep(self, ends: float) -> None:
        """Called when the lease was renewed."""
        self._ends = ends

    def lose(self, reason: str) -> None:
        """Called when the lease is not ours any more."""
        self._reason = self._reason or f"the lock was lost: {reason}"


def begin(location: str | None, *, embedded: bool) -> Run:
    """A run with the store that the flag, the environment or the project's file names.

    The embedded sandbox has a state of its own, so that trying things out leaves no mark on the
    state of the account.
    """
    from reconciler.store import open_store  # noqa: PLC0415

    found = settings.read_state(os.environ, PROJECT)
    place = location or (_SANDBOX if embedded else found.location or _DEFAULT)
    redactor().know(found.secret_key, *settings.passwords(os.environ))
    store = open_store(place, redactor=redactor())
    return Run(_run_id(), store, found.lease, found.limits, found.secret_key)


def begin_without_account(location: str | None) -> Run:
    """A run that asks AlertSite nothing: with the store that is named, wherever that is done.

    Only where nothing at all is set, it is that of the embedded sandbox.
    """
    found = settings.read_state(os.environ, PROJECT)
    return begin(location or found.location, embedded=settings.is_silent(os.environ))


@contextmanager
def locked(
    run: Run,
    operation: str,
    timeout: float,
    is_stuck: Callable[[], bool] = lambda: False,
) -> Iterator[Hold]:
    """Holds the lock of the state, and renews it unless the run is stuck.

    Raises:
        LockedError: another run has it, and has it still after the timeout (seconds).
    """
    from socket import gethostname  # noqa: PLC0415 - 3 ms that planning saves

    from reconciler.store import Terms, hold  # noqa: PLC0415

    held = Hold()
    with hold(
        run.store,
        run=run.id,
        holder=_holder(),
        host=gethostname(),
        operation=operation,
        clock=clock(),
        terms=Terms(timeout, run.lease),
        say=output.say,
        lost=held.lose,
        kept=held.keep,
        is_stuck=is_stuck,
    ):
        yield held


def budgets() -> Budgets:
    """How many monitors may lose monitoring, as the project's file and the environment say."""
    return settings.read_state(os.environ, PROJECT).budgets


def clock() -> Clock:
    """The clock that this command line was given."""
    return _context().clock


def redactor() -> Redactor:
    """What takes the secrets that it is told out of all that this command line puts out."""
    return _context().redactor


def _context() -> Context:
    found: Context = click.get_current_context().find_root().obj
    return found


def now() -> str:
    """The time of day, RFC 3339 UTC, in whole seconds."""
    return written(clock().now())


def age(moment: str) -> str:
    """How long ago a time of day was, for people."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return "at an unknown time"
    seconds = int((clock().now() - then).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now" if seconds > -60 else "in the future: the clocks disagree"  # noqa: PLR2004


def _run_id() -> str:
    return f"{clock().now():%Y%m%dT%H%M%SZ}-{os.urandom(4).hex()}"


def _holder() -> str:
    from getpass import getuser  # noqa: PLC0415 - only for a lock

    try:
        return next(os.environ[name] for name in _USERS if os.environ.get(name))
    except StopIteration:
        pass
    try:
        return getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        return f"user {os.getuid()}"
