"""The command that looks at accounts again and again.

A round is: go where the branch goes at the remote, look at every account, and with `--apply` carry
out what Git asks for. An account that fails fails alone. Of a round the result is kept until the
next one, and nothing else: so a year of rounds takes no more memory than two.

Of several watchers one leads. It holds a lease beside the state of the first account; the others
wait for that. The lease keeps two from doing the same work; what keeps two from changing an account
at once is the lock of its state, as for every apply.
"""

from __future__ import annotations

import gc
import gzip
import random
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import click

from reconciler import __version__, cli, render
from reconciler.cli import console, fleet, options, runtime, selection
from reconciler.cli.context import Context, Share
from reconciler.cli.signals import Signals, extra, services
from reconciler.cli.stopping import Stopping
from reconciler.context import Cancellation, RejectedLogins, Reporter, written
from reconciler.core.accounts import select
from reconciler.core.model import DEFAULT_ACCOUNT
from reconciler.core.options import PlanOptions
from reconciler.core.redactor import Redactor
from reconciler.core.rollup import PartResult, refuse_unsafe
from reconciler.core.watch import FLOOR, JITTER, Round, Seen, Shown
from reconciler.errors import ExitCode, LockedError, ReconcilerError, UsageError
from reconciler.render.html.fleets import report_html
from reconciler.render.rollups import part_text
from reconciler.render.view import Made, View
from reconciler.render.watches import round_text
from reconciler.state_store import LockOptions
from reconciler.usecases.fleet_job import Job
from reconciler.usecases.follow import follow, refuse_unusable, unfollowed
from reconciler.usecases.plan import Workspace
from reconciler.usecases.watch import watch as look_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.cli.signals.watch_metrics import WatchMetrics
    from reconciler.cli.signals.watch_news import WatchNews
    from reconciler.context import Clock
    from reconciler.core.accounts import Accounts, AccountSettings, Selection
    from reconciler.core.drift import Drift
    from reconciler.core.printable import Lines
    from reconciler.usecases.follow import Followed
    from reconciler.usecases.watch import Watched


_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]]+)):(?P<port>[0-9]{1,5})")
_PORTS = 65535
_POLL = (1.0, 4.0)
"""Seconds between two looks at the lease of the one that leads."""
_WAIT_FOR_LOCK = "1m"
"""How long an apply waits for another run of the same account; then it is for the next round."""
_NO_STATE = (
    "there is no state yet, so edits and drift cannot be distinguished; run reconciler apply once"
)
_CHANCE = random.SystemRandom()


def _address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, with brackets around an address of IPv6.

    Raises:
        BadParameter: it is of another form.
    """
    found = _LISTEN.fullmatch(text)
    if found is None or int(found["port"]) > _PORTS:
        raise click.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8080")
    return found["six"] or found["host"], int(found["port"])


@click.command(epilog="Example: reconciler watch --interval 15m --listen 127.0.0.1:8080")
@selection.some
@options.state
@click.option(
    "--interval",
    type=options.duration,
    default="10m",
    show_default=True,
    help="Pause between two rounds, at least 60s; varies by up to 10 %.",
)
@click.option("--once", is_flag=True, help="Run one round, serve nothing, and exit as plan does.")
@click.option(
    "--apply",
    "applies",
    is_flag=True,
    help="Apply changes made in Git, within the budget; only report drift.",
)
@click.option(
    "--ref",
    metavar="REF",
    help="The branch or tag of the remote to follow; by default the upstream of the checked-out "
    "branch.",
)
@options.notify
@click.option(
    "--listen",
    type=_address,
    metavar="HOST:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    help="Where to serve the pages, /healthz, /readyz and /metrics.",
)
def watch(
    location: str | None,
    interval: float,
    ref: str | None,
    notify: tuple[str, ...],
    listen: tuple[str, int],
    wanted: Selection,
    *,
    once: bool,
    applies: bool,
) -> int:
    """Check all accounts at intervals: fetch the branch, plan, report drift, serve the result.

    It changes nothing unless --apply is given; then it applies what Git has changed, never drift.
    With --notify it tells people when drift or a failure begins, and when it ends. If several
    watchers run, one leads and the others stand by.
    """
    if interval < FLOOR:
        raise UsageError(f"--interval is {interval:g} s, but the minimum is {FLOOR:g} s")
    if ref is not None:
        refuse_unusable(ref)
    gc.enable()  # it runs for days
    clock = runtime.clock()
    stopping = Stopping(clock)
    watcher = _Watcher(stopping, wanted, location, ref, notify, applies=applies)
    stopping.listen()
    if once:
        code = watcher.round().exit_code
        return ExitCode.INTERRUPTED if stopping.is_asked else code
    if ref is None and (reason := unfollowed()):
        console.say(f"Not fetching: {reason}. To follow a branch, use --ref.")
    with extra("watch", "prometheus-client"):
        from reconciler.cli.signals.watch_metrics import WatchMetrics  # 40 ms
    from reconciler.cli.watch_server import application, serving  # 150 ms

    watcher.metrics = WatchMetrics()
    app = application(lambda: watcher.shown, watcher.metrics.text, clock.monotonic, interval)
    with serving(app, *listen) as url:
        console.say(f"Serving {url}")
        said = ""
        while not stopping.is_asked:
            try:
                with watcher.leading() as lead:
                    said = ""
                    while not lead.reason:
                        watcher.round()
                        lead.wait(interval * _CHANCE.uniform(1 - JITTER, 1 + JITTER))
            except ReconcilerError as error:
                if not watcher.has_begun:  # whoever starts it is there, and can mend it
                    raise
                watcher.stand_by()
                if str(error) != said:
                    console.fail(error)
                    console.say("This watcher stands by until that is fixed; it tries again.")
                said = str(error)
                stopping.wait(_POLL[1])
    console.say("Stopped.")
    return ExitCode.OK


class _Reading(Stopping):
    """What is stopped of accounts that are only looked at: the first signal closes connections."""

    def interrupt(self) -> None:
        """Stops at once."""
        self.cut()


class _Look(NamedTuple):
    """What a look at an account gave.

    Attributes:
        plan: the edits, as a roll-up counts them.
        page: the fleet, compressed; empty if the account could not be looked at.
    """

    account: AccountSettings
    seen: Seen
    plan: PartResult
    page: bytes = b""


class _Watcher:
    """What is looked at, and what was found last.

    Args:
        stopping: what signals stop.
        wanted: the accounts.
        location: where the state is kept.
        ref: the branch or tag to follow; None for that which the branch here tracks.
        notify: URLs, which hold secrets.
        applies: whether edits are applied.

    Attributes:
        shown: what there is to show; one value, which is replaced as a whole.
        metrics: keeps numbers for machines; None if nobody asks for them.
        has_begun: whether it has led, or waited for the one that leads.
    """

    def __init__(
        self,
        stopping: Stopping,
        wanted: Selection,
        location: str | None,
        ref: str | None,
        notify: tuple[str, ...],
        *,
        applies: bool,
    ) -> None:
        self.shown = Shown()
        self.metrics: WatchMetrics | None = None
        self.has_begun = False
        self._stopping = stopping
        self._wanted = wanted
        self._location = location
        self._ref = ref
        self._notify = notify
        self._applies = applies
        self._clock: Clock = runtime.clock()
        self._drifts: dict[str, Drift] = {}
        self._rejected = RejectedLogins()
        runtime.siblings().check()  # a mistake is told at once
        select(runtime.accounts(), wanted)
        self._news: WatchNews | None = None
        if (people := services(notify)) is not None:
            from reconciler.cli.signals.watch_news import WatchNews as News

            self._news = News(people, console.say)

    @contextmanager
    def leading(self) -> Iterator[Cancellation]:
        """Waits until this watcher leads; what it yields is cancelled when it no longer does.

        The lease is the lock of a run beside the state of the first account.
        """
        lead = Cancellation(self._clock)
        said = ""

        def say(text: str) -> None:
            nonlocal said
            self.has_begun = True
            if text != said:
                console.say(text)
            said = text

        with ExitStack() as stack:
            stack.enter_context(self._stopping.during(lead))
            first, *_ = select(runtime.read_accounts_again(), self._wanted)
            accounts = runtime.accounts()
            context = Context(self._clock, runtime.redactor(), accounts=accounts, account=first)
            with click.Context(watch, obj=context):
                run = runtime.begin_watch(self._location)
            options_ = LockOptions(inf, run.lease, poll=_POLL)
            try:
                stack.enter_context(runtime.held(run, "watch", options_, lead, Reporter(say)))
            except LockedError:
                if not lead.reason:
                    raise
                yield lead
                return
            self.has_begun = True
            self._show(Shown(is_leading=True))
            yield lead
        if not self._stopping.is_asked:
            console.say(f"Standing by: {lead.reason}.")
        self.stand_by()

    def stand_by(self) -> None:
        """From now on another one may look."""
        self.shown = Shown()
        self._drifts.clear()
        if self._news is not None:
            self._news.forget()

    def round(self) -> Round:
        """Does one round, and says what it has found."""
        followed = follow(self._ref)
        try:
            accounts = runtime.read_accounts_again()
            runtime.siblings().check()
            chosen = select(accounts, self._wanted)
        except ReconcilerError as error:  # of a commit with a mistake; the next one may be right
            console.fail(error)
            problem = f"the settings cannot be used: {error}"
            last = self.shown.last or Round("")
            return self._end(last._replace(problem=problem, commit=followed.commit))
        looks = self._round(followed, accounts, chosen)
        pages = {name: page for name, page in self.shown.pages.items() if name in looks}
        pages |= {name: it.page for name, it in looks.items() if it.page}
        self._show(self.shown._replace(pages=pages))
        self._drifts = {name: it for name, it in self._drifts.items() if name in looks}
        seen = tuple(it.seen for it in looks.values())
        return self._end(Round("", followed.commit, followed.problem, seen))

    def _end(self, found: Round) -> Round:
        found = found._replace(at=runtime.now())
        self._show(self.shown._replace(last=found))
        if not self._stopping.is_asked:
            console.data(round_text(found))
            if self._news is not None:
                self._news.take(found, self._drifts)
        return found

    def _round(
        self, followed: Followed, accounts: Accounts, chosen: Sequence[AccountSettings]
    ) -> dict[str, _Look]:
        """A look at every account, after what is to be applied was applied; sorted by name."""
        part = Share(self._stopping, tells_failures=False, rejected=self._rejected)
        redactor = Redactor()  # of a round: there is a new token in each
        siblings = runtime.siblings()
        whole = Context(self._clock, redactor, accounts=accounts, part=part, siblings=siblings)
        with ThreadPoolExecutor(accounts.parallelism, "account") as executor:
            look = partial(self._look, whole=whole, commit=followed.commit)
            looks = self._known(executor.map(look, chosen))
            if not self._applies or followed.problem or self._stopping.is_asked:
                return looks
            try:
                budget = runtime.budget_together(accounts, chosen)
                ceiling = runtime.ceiling_together()
                plans = [it.plan for it in looks.values()]
                refuse_unsafe(plans, budget, None, ceiling=ceiling)
            except ReconcilerError as error:
                code, reason = int(error.exit_code), str(error)
                for name, it in looks.items():
                    if it.plan.asks:
                        seen = it.seen._replace(exit_code=code, message=reason)
                        looks[name] = it._replace(seen=seen)
                return looks
            apply = partial(self._apply, whole=whole, commit=followed.commit)
            for wave in sorted({account.wave for account in chosen}):
                names = [account.name for account in chosen if account.wave == wave]
                here = [looks[name] for name in names if looks[name].plan.asks]
                looks |= self._known(executor.map(apply, here))
                if not all(looks[name].seen.is_good for name in names):
                    break
        return looks

    def _known(self, looks: Iterable[_Look]) -> dict[str, _Look]:
        """The looks by the names of their accounts, once all are done."""
        known = {}
        for found in looks:
            known[found.account.name] = found
            self._show(self.shown)
        return known

    def _show(self, shown: Shown) -> None:
        self.shown = shown._replace(beat=self._clock.monotonic())

    def _look(self, account: AccountSettings, whole: Context, commit: str) -> _Look:
        """Looks at an account; what goes wrong there is a part of what is found."""
        redactor = Redactor(whole.redactor)
        captured = console.Captured(redactor)
        reading = _Reading(self._clock)
        part = Share(reading, rejected=self._rejected)
        context = whole._replace(redactor=redactor, account=account, part=part)
        listeners = () if self.metrics is None else (self.metrics.listener(account.name),)
        found: list[tuple[Watched, bytes, bool]] = []

        def begin() -> object:
            with (
                click.Context(watch, obj=context),
                Signals(runtime.run_id(), "watch", self._clock, listeners) as signals,
            ):
                schemas, manifests = options.load(*account.manifests, may_be_empty=True)
                run = runtime.begin(self._location, run=signals.run)
                rules = PlanOptions(prune=runtime.prunes(asked=None))
                workspace = Workspace(manifests, schemas, run.vault(), rules, runtime.budgets())
                now, reporter = self._clock.now(), signals.reporter
                with runtime.connect(schemas, limits=run.limits, reporter=reporter) as connection:
                    known = run.known(connection.account)
                    watched = look_at(workspace, connection.reader(), known.state, now)
                signals.planned(watched.plan, schemas.kinds, watched.live)
                made = Made(commit, signals.run, watched.report.read_at, __version__)
                html = redactor.text(report_html(watched.report, View(made=made)))
                has_state = bool(known.saved.serial or known.state.records)
                found.append((watched, gzip.compress(html.encode()), has_state))
                return signals.end(ExitCode.OK)

        at = written(self._clock.now())
        with self._stopping.during(reading, reading.cut), console.capturing(captured):
            ended = cli.ended(begin, ())
        message = redactor.text(ended.error)
        if message and not self._stopping.is_asked:
            console.say(self._part(account.name, captured.text("progress", "stderr")))
        plan = PartResult(account.name, "plan", int(ended.code), message)
        if not found:
            seen = Seen(account.name, at, int(ended.code), message, is_seen=False)
            return _Look(account, seen, plan)
        ((watched, page, has_state),) = found
        before = self._drifts.get(account.name)
        drift = self._drifts[account.name] = watched.drift
        if drift.monitors and (before is None or before.monitors != drift.monitors):
            console.data(self._part(account.name, redactor.text(render.drift_text(drift))))
        seen, edits = _seen(account.name, at, watched), watched.edits.plan
        is_something = bool(edits.changes or edits.bindings)
        if is_something and self._applies and not has_state:
            seen = seen._replace(exit_code=int(ExitCode.REFUSED), message=_NO_STATE)
        plan = plan.showing(edits)._replace(asks=is_something and has_state)
        return _Look(account, seen, plan, page)

    @staticmethod
    def _part(account: str, text: str) -> Lines:
        """A text about one account, below its name."""
        title = [] if account == DEFAULT_ACCOUNT else ["", f"Account {account}"]
        return render.joined([*title, *part_text(text).split("\n")])

    def _apply(self, look: _Look, whole: Context, commit: str) -> _Look:
        """Applies the edits of an account, and looks at it again."""
        account = look.account
        where = ("--state", self._location) if self._location else ()
        notify = [word for url in self._notify for word in ("--notify", url)]
        how = ("--edits-only", "--auto-approve", "--lock-timeout", _WAIT_FOR_LOCK)
        job = Job(account.name, "apply", (*how, *where, *notify), commit).approving(look.plan)
        done = fleet.work(job, whole)
        if done.text:
            console.data(self._part(account.name, done.text))
        if done.talk:
            console.say(self._part(account.name, done.talk))
        again = self._look(account, whole, commit)
        seen = again.seen._replace(applied=sum(done.changes.values()))
        if not done.is_good:
            code = ExitCode.INTERRUPTED if done.exit_code is None else done.exit_code
            seen = seen._replace(exit_code=int(code), message=done.message or done.status.value)
        return again._replace(seen=seen)


def _seen(account: str, at: str, found: Watched) -> Seen:
    plan, edits = found.plan, found.edits.plan
    seen = Seen(
        account,
        at,
        drifted=len(found.drift.monitors),
        edits=len(edits.changes),
        held=len(found.edits.held),
        refused=len(plan.refusals),
        unchanged=plan.unchanged,
        losses=len(edits.coverage.losses),
        is_over=edits.coverage.is_over,
    )
    is_something = seen.drifted or seen.edits or seen.held or seen.refused
    return seen._replace(exit_code=int(ExitCode.CHANGES if is_something else ExitCode.OK))
