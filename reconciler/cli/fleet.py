"""A command about several accounts: done for each of them, and shown as one.

Each part is the same command about one account, with all that it prints kept: so what a person
reads of an account, and which exit code it has, is what it would be alone. Parts run where the
executor lets them, in threads of this process by default; see `usecases/fleet_job.py`.

An apply is two passes. All accounts are planned; one approval is for all plans; then each account
is applied by its wave, with the digest of its plan: an account that would do anything else by then
is refused, and the others go on. A wave with an account that is not done is the last one.

Beyond one machine, in a shard or on a worker, an apply of an account may end before its time, with
its machine. So it may be begun anew: it waits until the lease of whoever was lost is over, does
what is left of the approved plan, and is repeated when it did not get through. In a folder for
results it finds which accounts are done, before any of them is planned.
"""

from __future__ import annotations

import gc
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from reconciler import cli, durable
from reconciler.cli import config, console, runtime, signals
from reconciler.cli.accounts import read_accounts
from reconciler.cli.context import Context, Share
from reconciler.cli.spread import Spread, arguments_of
from reconciler.cli.stopping import Stopping
from reconciler.context import SYSTEM, RejectedLogins, computing
from reconciler.core.accounts import PLACEHOLDER
from reconciler.core.redactor import Redactor
from reconciler.core.rollup import PartResult, RollUp, limit_together, refuse_unsafe
from reconciler.errors import (
    ConfigurationError,
    ExitCode,
    ReconcilerError,
    RefusedError,
    UsageError,
)
from reconciler.render.rollups import (
    heading,
    part_text,
    rollup_markdown,
    rollup_sections,
    rollup_text,
)
from reconciler.render.text import as_json
from reconciler.usecases.checkout import read_generation
from reconciler.usecases.fleet_job import Job, digest_of, keep, kept, run_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from reconciler.core.accounts import AccountSettings
    from reconciler.core.printable import Lines
    from reconciler.core.safety import Budget
    from reconciler.usecases.fleet_job import Work


_TOGETHER = ("text", "json", "markdown")
"""Formats in which several accounts are one."""
_EACH = f"Write one file for each: --format NAME=FILE with {PLACEHOLDER} in the name of the file."
"""What to do where a format cannot show several accounts as one."""
_GARBAGE = 50_000
"""New objects after which garbage is looked for: a fleet of 1,000 monitors has about as many."""
_OWN_FILES = ("out", "events", "metrics", "file", "manifests", "into")
"""Parameters with a file or folder that each account needs for itself."""
_NOT_PLANNED = ("events", "metrics", "notify", "formats", "as_json", "no_pager")
"""Parameters of an apply that its plan does without."""


_RULES = (
    *("manifests", "targets", "keep", "adopt", "write_secrets", "prune", "edits_only"),
    *("offline", "unmanaged"),
)
"""Parameters that decide what is done or looked at: they are alike in all shards of a run."""
_IN_TURN = ("import", "validate")
"""Commands that may write a file of all accounts: the baseline of lint."""


_REPEATS, _LONGER = 2, 1.1
_PASSING = (ExitCode.UNAVAILABLE, ExitCode.LOCKED)
"""Ends that another attempt may not meet."""


def work(job: Job, whole: Context) -> PartResult:
    """Does a job in the repository that this process works in; see `usecases/fleet_job.py`.

    Args:
        job: what is to be done.
        whole: what all parts are given; what it does not have is read here.
    """
    clock, part = whole.clock, whole.part
    assert part is not None
    if part.stopping.is_asked:
        return job.not_started("the run was interrupted")
    redactor = Redactor(whole.redactor)
    captured = console.Captured(redactor)
    shown: list[object] = []
    formats: dict[str, str] = {}

    def begin() -> object:
        accounts = whole.accounts or read_accounts(config.PROJECT)
        account = next((item for item in accounts.all if item.name == job.account), None)
        if account is None:
            raise ConfigurationError(
                f"the settings here do not have the account {job.account}",
                "Use a checkout of the same commit everywhere.",
            )
        if job.manifests and _digest(account, job.arguments) != job.manifests:
            raise RefusedError(
                "the manifests or settings here differ from those of the run",
                "Use a checkout of the same commit everywhere.",
            )
        share = part._replace(
            keep=shown.append,
            put=formats.__setitem__,
            approved=job.approved,
            digests=job.digests,
        )
        context = whole._replace(redactor=redactor, accounts=accounts, account=account, part=share)
        return cli.invoke(job.operation, job.arguments, context)

    console.prepare(redactor)
    # An apply mostly waits for the answers to what its own threads send.
    alone = nullcontext() if job.operation == "apply" else computing()
    with console.capturing(captured), alone:
        began = clock.monotonic()
        ended = cli.ended(begin, job.arguments)
        seconds = clock.monotonic() - began
    code, stopping = ended.code, part.stopping
    if code in _PASSING and stopping.is_asked:  # what waited has given up
        code = ExitCode.INTERRUPTED
    result = PartResult(
        job.account,
        job.operation,
        int(code),
        redactor.text(ended.error),
        seconds,
        progress=captured.text("progress"),
        text=captured.text("stdout"),
        is_json=captured.is_json,
        talk=captured.text("stderr"),
        formats={name: redactor.text(text) for name, text in formats.items()},
    )
    for value in shown:
        result = result.showing(value)
    return job.completed(result)


def work_on(job: Job, whole: Context) -> PartResult:
    """Does a job that may have been begun before; and again while it does not get through.

    An apply waits for the lock longer than the lease of whoever was lost may last. After exit 6 and
    8 it is repeated, twice at most.
    """
    if job.operation != "apply":
        return work(job, whole)
    assert whole.part is not None
    wait = _LONGER * config.read_state(os.environ, config.PROJECT).lease
    if "--lock-timeout" not in job.arguments:
        job = job._replace(arguments=(*job.arguments, "--lock-timeout", f"{math.ceil(wait)}s"))
    for _ in range(_REPEATS):
        result = work(job, whole)
        if result.exit_code not in _PASSING:
            return result
        if whole.part.stopping.wait(wait):
            return result
    return work(job, whole)


def work_elsewhere(job: Job, *, is_verbose: bool) -> PartResult:
    """As `work_on`, in a process that shares nothing with the others and is never asked to stop."""
    part = Share(Stopping(SYSTEM))
    return work_on(job, Context(SYSTEM, Redactor(), is_verbose=is_verbose, part=part))


def run(given: click.Context, chosen: Sequence[AccountSettings], spread: Spread) -> int:
    """Does a command for each account; returns the exit code of all.

    Of an apply people are told in one message about all accounts. Workers tell of their accounts
    themselves, since only they know whom.
    """
    outputs = _outputs_of(given)
    runtime.siblings().check()
    whole = _Whole(given, chosen, spread)
    if whole.operation != "apply":
        jobs = whole.jobs(whole.operation, arguments_of(given, without=("paths",)))
        with whole.working() as (do, executor):
            parts = [told(it, outputs) for it in run_jobs(jobs, do, executor, spread.results)]
        # An account without such a monitor lists nothing. If all do, it may be a typing error.
        if whole.operation == "list" and all(it.is_good and not it.text for it in parts):
            console.note("No account has a monitor that matches.")
        good = [item for item in parts if item.is_good]
        limit, ceiling = (
            limit_together(good, it, spread.shard)
            for it in (whole.budget(good), whole.ceiling(good))
        )
        found = RollUp(whole.operation, tuple(parts), limit=limit, ceiling=ceiling)
        return put(found, outputs)
    people = None
    if not spread.executor:
        people = signals.services(given.params["notify"])
    if people is None:
        return put(whole.apply(outputs), outputs)
    from reconciler.render.notifications import MessageOrigin, accounts_message, refused_message

    origin = MessageOrigin(pipeline=config.read_pipeline(os.environ).url)
    try:
        done = whole.apply(outputs)
    except ReconcilerError as error:
        people.send_all(refused_message(len(chosen), origin, error.exit_code))
        raise
    try:
        return put(done, outputs)
    finally:
        people.send_all(accounts_message(done.parts, origin, done.exit_code))


def _digest(account: AccountSettings, arguments: Sequence[str]) -> str:
    """What all who work on an account must share: its manifests and settings."""
    settings = (config.PROJECT, *((account.file,) if account.file else ()))
    return digest_of(account.manifests, settings, writes_ids="--write-ids" in arguments)


class RollUpOutputs(NamedTuple):
    """How several accounts are shown: in one format on stdout, in others in files."""

    stdout: str
    files: tuple[tuple[str, str], ...]


class _Whole:
    """One command line about several accounts."""

    def __init__(
        self, given: click.Context, chosen: Sequence[AccountSettings], spread: Spread
    ) -> None:
        self._given = given
        self._chosen = chosen
        self._spread = spread
        self.operation = given.command.name or ""
        self._stopping = Stopping(runtime.clock())
        # Only who may be somewhere else, or later, has to compare what it finds.
        self._is_compared = spread != Spread()
        reader = console.reporter()
        self._commit = read_generation(".", reader).commit if self._is_compared else ""

    def jobs(self, operation: str, arguments: tuple[str, ...]) -> list[Job]:
        """A job for each account."""
        everywhere = Job(
            "",
            operation,
            arguments,
            self._commit,
            surroundings=config.surroundings(os.environ),
            rules=arguments_of(self._given, only=_RULES),
        )
        return [
            everywhere._replace(
                account=item.name,
                manifests=_digest(item, arguments) if self._is_compared else "",
            )
            for item in self._chosen
        ]

    @contextmanager
    def working(self) -> Iterator[tuple[Work, Executor]]:
        """What does a job, and where, while the body runs."""
        if self._spread.executor:
            from reconciler.usecases.dask_executor import connected  # 2 s

            with connected(self._spread.executor) as executor:
                yield partial(work_elsewhere, is_verbose=runtime.is_verbose()), executor
            return
        accounts = runtime.accounts()
        part = Share(
            self._stopping,
            notifies=self.operation != "apply",  # of which all together are told
            rejected=RejectedLogins(),
        )
        whole = Context(
            runtime.clock(),
            runtime.redactor(),
            is_verbose=runtime.is_verbose(),
            accounts=accounts,
            rules=runtime.secret_rules(),
            part=part,
            # What one account has imported, the next one must not import again.
            siblings=None if self.operation == "import" else runtime.siblings(),
        )
        do = work_on if self._spread.shard else work
        at_once = 1 if self.operation in _IN_TURN else accounts.parallelism
        gc.enable()  # what an account was made of is garbage when it is done
        usual = gc.get_threshold()
        gc.set_threshold(_GARBAGE)
        executor = ThreadPoolExecutor(at_once, "account")
        try:
            yield partial(do, whole=whole), executor
        except BaseException:
            self._stopping.cut()
            executor.shutdown(cancel_futures=True)
            raise
        finally:
            gc.set_threshold(*usual)
        executor.shutdown()

    def apply(self, outputs: RollUpOutputs) -> RollUp:
        """Plans all accounts, asks once, and applies them wave by wave.

        Not applied are accounts that an earlier run has done, and those that cannot be planned.
        """
        allow_loss: int | None = self._given.params["allow_loss"]
        is_approved: bool = self._given.params["auto_approve"]
        if self._given.params.get("file"):
            raise UsageError("FILE is the plan of one account", "Select that account, or none.")
        to_stderr = outputs._replace(stdout="talk") if outputs.stdout != "text" else outputs
        jobs = {job.account: job for job in self.jobs("apply", arguments_of(self._given))}
        with click.Context(self._given.command) as context:
            command = cli.reconciler.get_command(context, "plan")
        planning = self.jobs("plan", arguments_of(self._given, command, _NOT_PLANNED))
        results = self._spread.results
        done = {name: found for name, job in jobs.items() if (found := kept(results, job))}
        with self.working() as (do, executor):
            undone = [job for job in planning if job.account not in done]
            plans = [told(item, to_stderr) for item in run_jobs(undone, do, executor)]
            good = [item for item in plans if item.is_good]
            before = tuple(done.values())
            budget, ceiling = self.budget(good), self.ceiling(good)
            refuse_unsafe(good, budget, allow_loss, self._spread.shard, before, ceiling)
            if any(item.asks for item in good):
                (console.say if to_stderr.stdout == "talk" else console.data)(
                    rollup_text(RollUp("plan", tuple(plans)))
                )
                if not is_approved:
                    count = sum(item.asks for item in good)
                    noun = "account" if count == 1 else "accounts"
                    console.approve(f"Apply these changes to {count} {noun}?")
            if good:
                self._stopping.listen()
            # Where an apply may be begun anew, a part of its plan may be done.
            is_beyond = self._spread.shard is not None or bool(self._spread.executor)
            waiting = {}
            for item in plans:
                job = jobs[item.account]
                if item.is_good:
                    digests = item.digests if is_beyond else ()
                    waiting[item.account] = job.approving(item)._replace(digests=digests)
                else:
                    unplanned = item._replace(operation="apply", changes={}, text="", is_json=False)
                    done[item.account] = keep(results, job, unplanned)
            seconds = {item.account: item.seconds for item in plans}
            parts: list[PartResult] = []
            failed = 0
            for wave in sorted({item.wave for item in self._chosen}):
                names = [item.name for item in self._chosen if item.wave == wave]
                now = [waiting[name] for name in names if name in waiting]
                known = [done[name] for name in names if name in done]
                ran = []
                if failed:
                    reason = f"an account of wave {failed} is not done"
                    ran = [told(job.not_started(reason), outputs) for job in now]
                else:
                    for item in run_jobs(now, do, executor, results):
                        took = seconds[item.account] + item.seconds
                        ran.append(told(item._replace(seconds=took), outputs))
                    failed = 0 if all(item.is_good for item in (*known, *ran)) else wave
                parts += [*ran, *known]
        return RollUp("apply", tuple(parts), interrupted=self._stopping.is_asked)

    def budget(self, plans: Iterable[PartResult]) -> Budget | None:
        """How much all may lose together by the settings; None without a loss."""
        if not any(item.losses for item in plans):
            return None
        return runtime.budget_together(runtime.accounts(), self._chosen, self._spread.shard)

    def ceiling(self, plans: Iterable[PartResult]) -> Budget | None:
        """How much all may lose together, whatever options allow; None without a loss."""
        return runtime.ceiling_together() if any(item.losses for item in plans) else None


def _outputs_of(given: click.Context) -> RollUpOutputs:
    """How several accounts are to be shown.

    Raises:
        UsageError: the command line asks for what they cannot be shown in together.
    """
    for name in _OWN_FILES:
        value = given.params.get(name)
        is_given = given.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if value and is_given and PLACEHOLDER not in value:
            raise UsageError(
                f"several accounts cannot share {value}",
                f"Use {PLACEHOLDER} in its name, in place of the account name.",
            )
    asked = [*given.params.get("formats", ()), *(["json"] if given.params.get("as_json") else [])]
    if "output" in given.params:  # of list
        output = given.params["output"]
        known = asked or ["text" if output in {"table", "wide"} else output]
        return outputs_for(known, "Use json, or select one account with --account.")
    return outputs_for((text for text in asked if PLACEHOLDER not in text.partition("=")[2]), _EACH)


def outputs_for(
    asked: Iterable[str], advice: str = f"The formats are {', '.join(_TOGETHER)}."
) -> RollUpOutputs:
    """How several accounts are shown in these formats.

    Raises:
        UsageError: they cannot be shown together in one of them.
    """
    stdout, files = "text", []
    for text in asked:
        name, equals, file = text.partition("=")
        if name not in _TOGETHER:
            raise UsageError(f"several accounts cannot be shown together as {name}", advice)
        if equals:
            files.append((name, config.from_root(file, runtime.here())))
        else:
            stdout = name
    return RollUpOutputs(stdout, tuple(files))


def told(part: PartResult, outputs: RollUpOutputs) -> PartResult:
    """Tells of a part as soon as it is known; returns it.

    On a terminal, where both streams are one, its progress stands above its end.
    """
    shows_text = outputs.stdout in {"text", "talk"} and part.text and not part.is_in_table
    show = console.data if outputs.stdout == "text" else console.say
    if shows_text or part.progress or part.talk:
        (show if shows_text else console.say)(heading(part))
    if part.progress:
        console.say(part_text(part.progress))
    if shows_text:
        show(part_text(part.text))
    if part.talk:
        console.say(part_text(part.talk))
    return part


def put(rollup: RollUp, outputs: RollUpOutputs, first: RollUp | None = None) -> int:
    """Shows what became of all accounts; returns the exit code.

    Args:
        rollup: that.
        outputs: how.
        first: what goes to stdout, if the parts have shown something else there.
    """
    first = first or rollup
    text = _rendered(first, outputs.stdout)
    console.data(text, is_json=outputs.stdout == "json")
    with console.writing() as writes:
        for name, file in outputs.files:
            shown = first if outputs.stdout == name else rollup.in_format(name)
            try:
                with writes.one(file):
                    durable.replace(
                        Path(file), f"{_rendered(shown, name, is_file=True)}\n".encode()
                    )
            except OSError as error:
                raise ConfigurationError(
                    f"{file} cannot be written: {error.strerror}", "Name another file."
                ) from error
    return rollup.exit_code


def _rendered(rollup: RollUp, name: str, *, is_file: bool = False) -> Lines:
    match name:
        case "json":
            return as_json(rollup.to_json())
        case "markdown":
            return rollup_markdown(rollup)
        case _ if is_file:
            return rollup_sections(rollup)
        case _:
            return rollup_text(rollup, colour=console.has_colour(sys.stdout))
