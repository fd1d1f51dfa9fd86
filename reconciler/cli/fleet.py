"""A command about several accounts: done for each of them, and shown as one.

Each part is the same command about one account, with all that it prints kept: so what a person
reads of an account, and which exit code it has, is what it would be alone. Parts run where the
executor lets them, in threads of this process by default; see `usecases/fleet_job.py`.

An apply is two passes. All accounts are planned; one approval is for all plans; then each account
is applied by its wave, with the digest of its plan: an account that would do anything else by then
is refused, and the others go on. A wave with an account that is not done is the last one.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from reconciler import cli, durable
from reconciler.cli import config, console, runtime
from reconciler.cli.accounts import read_accounts
from reconciler.cli.arguments import arguments_of
from reconciler.cli.context import Context, Share
from reconciler.cli.stopping import Stopping
from reconciler.context import SYSTEM
from reconciler.core.accounts import PLACEHOLDER
from reconciler.core.redactor import Redactor
from reconciler.core.rollup import PartResult, RollUp, refuse_unsafe
from reconciler.errors import ConfigurationError, RefusedError, UsageError
from reconciler.render.rollups import (
    heading,
    part_text,
    rollup_markdown,
    rollup_sections,
    rollup_text,
)
from reconciler.render.text import as_json
from reconciler.usecases.checkout import read_generation
from reconciler.usecases.fleet_job import Job, digest_of, run_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from reconciler.context import Clock
    from reconciler.core.accounts import Accounts, AccountSettings
    from reconciler.core.printable import Lines
    from reconciler.usecases.fleet_job import Work


_TOGETHER = ("text", "json", "markdown")
"""Formats in which several accounts are one."""
_OWN_FILES = ("out", "events", "metrics", "file")
"""Parameters with a file that each account needs for itself."""
_NOT_PLANNED = ("events", "metrics", "notify", "formats", "as_json", "no_pager")
"""Parameters of an apply that its plan does without."""


_IN_TURN = ("import", "validate")
"""Commands that may write a file of all accounts: the baseline of lint."""


class Worker(NamedTuple):
    """What a part finds here; in another process each part makes its own.

    Attributes:
        stopping: what stops all parts; None for a part that nobody stops.
        accounts: all of them; None to read them.
        is_verbose: whether each request is shown.
    """

    clock: Clock = SYSTEM
    stopping: Stopping | None = None
    accounts: Accounts | None = None
    is_verbose: bool = False


_ALONE = Worker()


def work(job: Job, setting: Worker = _ALONE) -> PartResult:
    """Does a job in the repository that this process works in; see `usecases/fleet_job.py`."""
    clock = setting.clock
    stopping = setting.stopping or Stopping(clock)
    if stopping.is_asked:
        return job.not_started("the run was interrupted")
    redactor = Redactor()
    captured = console.Captured(redactor)
    shown: list[object] = []
    formats: dict[str, str] = {}

    def begin() -> object:
        accounts = setting.accounts or read_accounts(config.PROJECT)
        found = [item for item in accounts.all if item.name == job.account]
        if not found:
            raise ConfigurationError(
                f"the settings here do not name the account {job.account}",
                "Use a checkout of the same commit everywhere.",
            )
        (account,) = found
        if job.manifests and digest_of(account.manifests) != job.manifests:
            raise RefusedError(
                "the manifests here are not those that the work is about",
                "Use a checkout of the same commit everywhere.",
            )
        part = Share(stopping, shown.append, formats.__setitem__, job.approved)
        context = Context(clock, redactor, accounts=accounts, account=account, part=part)
        context = context._replace(is_verbose=setting.is_verbose)
        return cli.invoke(job.operation, job.arguments, context)

    began = clock.monotonic()
    with console.printing(redactor), console.capturing(captured):
        ended = cli.ended(begin, job.arguments)
    result = PartResult(
        job.account,
        job.operation,
        int(ended.code),
        redactor.text(ended.error),
        clock.monotonic() - began,
        text=captured.text("stdout"),
        is_json=captured.is_json,
        talk=captured.text("stderr"),
        formats={name: redactor.text(text) for name, text in formats.items()},
    )
    for value in shown:
        result = result.showing(value)
    return result


def run(given: click.Context, chosen: Sequence[AccountSettings], results: str) -> int:
    """Does a command for each account; returns the exit code of all."""
    outputs = _outputs(given)
    whole = _Whole(given, chosen, results)
    if whole.operation == "apply":
        return whole.apply(outputs)
    jobs = whole.jobs(whole.operation, arguments_of(given, without=("paths",)))
    with whole.working() as (do, executor):
        parts = [_told(it, outputs) for it in run_jobs(jobs, do, executor, results)]
    return _put(RollUp(whole.operation, tuple(parts)), outputs)


class _Outputs(NamedTuple):
    """How several accounts are shown: in one format on stdout, in others in files."""

    stdout: str
    files: tuple[tuple[str, str], ...]


class _Whole:
    """One command line about several accounts."""

    def __init__(
        self, given: click.Context, chosen: Sequence[AccountSettings], results: str
    ) -> None:
        self._given = given
        self._chosen = chosen
        self._results = results
        self.operation = given.command.name or ""
        self._stopping = Stopping(runtime.clock())
        # Only who may be somewhere else, or later, has to compare what it finds.
        self._is_compared = bool(results)
        self._commit = read_generation(".", console.reporter()).commit if results else ""

    def jobs(
        self, operation: str, arguments: tuple[str, ...], approved: Mapping[str, str] | None = None
    ) -> list[Job]:
        """A job for each account, or for each of which a plan is approved."""
        return [
            Job(
                item.name,
                operation,
                arguments,
                self._commit,
                digest_of(item.manifests) if self._is_compared else "",
                approved[item.name] if approved else "",
            )
            for item in self._chosen
            if approved is None or item.name in approved
        ]

    @contextmanager
    def working(self) -> Iterator[tuple[Work, Executor]]:
        """What does a job, and where, while the body runs."""
        accounts = runtime.accounts()
        setting = Worker(runtime.clock(), self._stopping, accounts, is_verbose=runtime.is_verbose())
        at_once = 1 if self.operation in _IN_TURN else accounts.parallelism
        executor = ThreadPoolExecutor(at_once, "account")
        try:
            yield partial(work, setting=setting), executor
        except BaseException:
            self._stopping.cut()
            executor.shutdown(cancel_futures=True)
            raise
        executor.shutdown()

    def apply(self, outputs: _Outputs) -> int:
        """Plans all accounts, asks once, and applies them wave by wave."""
        allow_loss: int | None = self._given.params["allow_loss"]
        is_approved: bool = self._given.params["auto_approve"]
        if self._given.params.get("file"):
            raise UsageError("FILE is the plan of one account", "Choose that account, or none.")
        to_stderr = outputs._replace(stdout="talk") if outputs.stdout != "text" else outputs
        with self.working() as (do, executor):
            plans = self._planned(do, executor, to_stderr)
            good = [item for item in plans if item.is_good]
            if not good:
                return _put(RollUp("apply", tuple(map(_as_apply, plans))), outputs)
            refuse_unsafe(good, runtime.accounts().budget, allow_loss)
            if any(item.asks for item in good):
                (console.say if to_stderr.stdout == "talk" else console.data)(
                    rollup_text(RollUp("plan", tuple(plans)))
                )
                if not is_approved:
                    count = sum(item.asks for item in good)
                    noun = "account" if count == 1 else "accounts"
                    console.approve(f"Apply these changes to {count} {noun}?")
            self._stopping.listen()
            parts = list(self._applied(plans, do, executor, outputs))
        whole = RollUp("apply", tuple(parts), interrupted=self._stopping.is_asked)
        return _put(whole, outputs)

    def _planned(self, do: Work, executor: Executor, outputs: _Outputs) -> list[PartResult]:
        with click.Context(self._given.command) as whole:
            command = cli.reconciler.get_command(whole, "plan")
        arguments = arguments_of(self._given, command, _NOT_PLANNED)
        jobs = self.jobs("plan", arguments)
        return [_told(item, outputs) for item in run_jobs(jobs, do, executor)]

    def _applied(
        self, plans: Sequence[PartResult], do: Work, executor: Executor, outputs: _Outputs
    ) -> Iterator[PartResult]:
        """What becomes of each account, in the order of their waves and names."""
        by_name = {item.account: item for item in plans}
        failed = 0
        for wave in sorted({item.wave for item in self._chosen}):
            here = [by_name[item.name] for item in self._chosen if item.wave == wave]
            approved = {item.account: item.plan for item in here if item.is_good}
            jobs = self.jobs("apply", arguments_of(self._given), approved)
            if failed:
                reason = f"an account of wave {failed} is not done"
                yield from (_told(job.not_started(reason), outputs) for job in jobs)
            else:
                done = list(self._done(jobs, do, executor, by_name, outputs))
                yield from done
                if len(done) < len(here) or not all(item.is_good for item in done):
                    failed = wave
            yield from (_as_apply(item) for item in here if not item.is_good)

    def _done(
        self,
        jobs: Iterable[Job],
        do: Work,
        executor: Executor,
        plans: Mapping[str, PartResult],
        outputs: _Outputs,
    ) -> Iterator[PartResult]:
        for item in run_jobs(jobs, do, executor, self._results):
            before = plans[item.account]
            yield _told(
                item._replace(plan=before.plan, seconds=before.seconds + item.seconds), outputs
            )


def _as_apply(plan: PartResult) -> PartResult:
    """What an apply is whose plan could not be made."""
    return plan._replace(operation="apply", changes={}, text="", is_json=False)


def _outputs(given: click.Context) -> _Outputs:
    """How several accounts are to be shown.

    Raises:
        UsageError: the command line asks for what they cannot be shown in together.
    """
    for name in _OWN_FILES:
        value = given.params.get(name)
        if value and PLACEHOLDER not in value:
            raise UsageError(
                f"several accounts cannot share {value}",
                f"Write {PLACEHOLDER} into its name, in place of the account's.",
            )
    asked = [*given.params.get("formats", ()), *(["json"] if given.params.get("as_json") else [])]
    if "output" in given.params:  # of list
        asked = [
            {"table": "text", "wide": "text"}.get(given.params["output"], given.params["output"])
        ]
    stdout, files = "text", []
    for text in asked:
        name, equals, file = text.partition("=")
        if PLACEHOLDER in file:
            continue
        if name not in _TOGETHER:
            raise UsageError(
                f"several accounts cannot be shown together as {name}",
                f"Use {', '.join(_TOGETHER)}; or a file for each: {name}=FILE with {PLACEHOLDER} "
                "in its name.",
            )
        if equals:
            files.append((name, config.from_root(file, runtime.here())))
        else:
            stdout = name
    return _Outputs(stdout, tuple(files))


def _told(part: PartResult, outputs: _Outputs) -> PartResult:
    """Tells of a part as soon as it is known; returns it."""
    changes = part.asks or any(part.changes.values())
    is_nothing = part.is_good and part.operation in {"plan", "apply"} and not changes
    shows_text = outputs.stdout in {"text", "talk"} and part.text and not is_nothing
    show = console.data if outputs.stdout == "text" else console.say
    if shows_text or part.talk:
        (show if shows_text else console.say)(heading(part))
    if shows_text:
        show(part_text(part.text))
    if part.talk:
        console.say(part_text(part.talk))
    return part


def _put(rollup: RollUp, outputs: _Outputs) -> int:
    """Shows what became of all accounts; returns the exit code."""
    text = _rendered(rollup, outputs.stdout)
    console.data(text, is_json=outputs.stdout == "json")
    with console.writing() as writes:
        for name, file in outputs.files:
            shown = rollup if outputs.stdout == name else rollup.in_format(name)
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
