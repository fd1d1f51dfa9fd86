"""The unit of work over several accounts, and the seam behind which it may run anywhere.

A `Job` is a command for one account. It is picklable and holds no secret: whoever works on it reads
the settings and resolves the credentials itself, in a checkout of the same commit. `Work` is a
function that can be pickled, from a job to its result; it never raises for what goes wrong in an
account, since that is a result. Any `concurrent.futures.Executor` runs it: threads of this process,
processes, or workers on other machines.

With a folder for results each result is a file, too; that of a job that went well is never
replaced, where the file system has locks (flock(2)). So a job that is run again finds what the
first run left and does nothing twice; and whoever loses the returned value, as when a worker is
lost, reads the file. What went wrong is done again, and replaced by what comes of it. A file is of
one job: the same account and operation, the same options, manifests and approved plan. `merged`
reads the files of one command, wherever its parts ran.

What keeps two workers out of one account is the lock of its state, and nothing here.
"""

from __future__ import annotations

import json
import os
import shlex
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler import durable, manifests
from reconciler.core import json_text
from reconciler.core.model import canonical
from reconciler.core.plan import fingerprint
from reconciler.core.rollup import PartResult
from reconciler.errors import ConfigurationError, ExitCode, without_logins
from reconciler.usecases import defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from reconciler.core.model import JSON


_ONLY_RESULTS = (
    "Use a folder that has nothing but the results of one run, as --results writes them."
)
_UNFINISHED = (None, ExitCode.INTERRUPTED)
"""What leaves no file: it may be begun yet, or goes on when the same command is run again."""


class Job(NamedTuple):
    """A command for one account; picklable, and without a secret.

    Attributes:
        account: its name in the settings.
        operation: the name of the command.
        arguments: of the command, as a shell would give them in the root of the repository.
        commit: that the manifests are of; empty if Git does not say.
        manifests: what `digest_of` says of them; empty where they need not be compared.
        surroundings: what the environment says of where all accounts and their states are.
        rules: those of the arguments that decide what is done; the others say how, or who is told.
        approved: the digest of the plan that was approved: any other is refused, with 5.
        digests: those of the parts of that plan, where the work may have been begun before: what is
            left of it is done, too.
        planned: what that plan has for its result: the fields `changes`, `losses`, `lost` and
            `managed` of `PartResult`, by name.
    """

    account: str
    operation: str
    arguments: tuple[str, ...] = ()
    commit: str = ""
    manifests: str = ""
    surroundings: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    approved: str = ""
    digests: tuple[str, ...] = ()
    planned: Mapping[str, JSON] = {}

    @property
    def key(self) -> str:
        """What two jobs share exactly when they are the same work, whatever plan was approved."""
        about = [self.account, self.operation, self.arguments, self.commit, self.manifests]
        return fingerprint([*about, self.surroundings])

    def approving(self, plan: PartResult) -> Job:
        """The job with its approved plan."""
        told = {name: getattr(plan, name) for name in ("changes", "losses", "lost", "managed")}
        return self._replace(approved=plan.plan, planned=told)

    def completed(self, result: PartResult) -> PartResult:
        """The result with the plan that it is of; all of that is done if it ended well.

        A run that was lost may have done a part of it. Whatever is done, the budget counts all.
        """
        if not self.approved:
            return result
        completed = result._replace(plan=self.approved, **self.planned)
        return completed if result.is_good else completed._replace(changes=result.changes)

    def not_started(self, reason: str) -> PartResult:
        """The result of a job that nobody has begun."""
        return PartResult(self.account, self.operation, None, reason)


if TYPE_CHECKING:
    Work = Callable[[Job], PartResult]


def digest_of(
    folders: Sequence[str], settings: Sequence[str] = (), *, writes_ids: bool = False
) -> str:
    """What manifests and settings share exactly when their files have the same bytes.

    Where the job itself `writes_ids`, manifests share it when they say the same but for ids. A
    folder or a file that cannot be read counts as that: the run of its account says so.
    """
    found = sha256()
    files = manifests.find([*filter(os.path.lexists, folders)], may_be_empty=True).files
    for path in sorted(map(str, {*defaults.above(folders), *files, *settings})):
        read = manifests.read(path)
        data = read if isinstance(read, bytes) else str(read).encode()
        if writes_ids and path not in settings:
            data = _without_ids(path, data)
        found.update(f"{path}\0{len(data)}\0".encode())
        found.update(data)
    return f"sha256:{found.hexdigest()}"


def _without_ids(path: str, data: bytes) -> bytes:
    """What a file says but for the ids of monitors; if it has findings, its bytes."""
    documents, findings = manifests.Parser().parse(path, data)
    if findings:
        return data
    values = [document.value for document in documents]
    for value in values:
        match value:
            case {"metadata": dict() as metadata}:
                others = {key: item for key, item in metadata.items() if key not in {"id", "ids"}}
                value["metadata"] = others
    return canonical(values).encode("utf-8", "surrogatepass")


def perform(job: Job, work: Work, results: str = "") -> PartResult:
    """The result of a job: the good one that is there already, or else that of doing it now.

    Args:
        job: what is to be done.
        work: does it.
        results: the folder for result files; empty for none.

    Raises:
        ConfigurationError: the folder holds the result of another job of that account, or cannot be
            written to.
    """
    return kept(results, job) or keep(results, job, work(job))


def keep(results: str, job: Job, result: PartResult) -> PartResult:
    """The result, which has a file from now on; or the good one of a worker that was faster.

    Raises:
        ConfigurationError: as `perform`.
    """
    if not results or result.exit_code in _UNFINISHED:
        return result
    path = _file(results, job)
    result = result._replace(part=str(path))
    about = {
        "job": job.key,
        "commit": job.commit,
        "approved": job.approved,
        "rules": list(job.rules),
        "surroundings": fingerprint(list(job.surroundings)),  # a digest: the place may have a login
    }
    text = json.dumps({**result.to_json(), **about}, ensure_ascii=False, indent=1)
    data = f"{text}\n".encode("utf-8", "surrogatepass")
    with _using(path):
        durable.make_folder(path.parent)
        with durable.locked(path.with_suffix(".lock")):
            try:
                durable.create(path, data)
            except FileExistsError:
                if (found := kept(results, job)) is not None:
                    return found
                durable.replace(path, data)
    return result


def kept(results: str, job: Job) -> PartResult | None:
    """The good result that a file has; None if there is none.

    Raises:
        ConfigurationError: it is that of another job, or cannot be read.
    """
    path = _file(results, job)
    with _using(path):
        data = durable.read(path) if results else None
    if data is None:
        return None
    found = _read(path, data)
    is_good = found.result.is_good
    if found.job == job.key and (not is_good or job.approved in {"", found.approved}):
        return found.result if is_good else None
    raise ConfigurationError(
        f"{path} is the result of a different run: other options, manifests, environment or plan",
        "Use an empty folder for the results of this run.",
    )


def merged(folder: str, accounts: Iterable[str]) -> tuple[PartResult, ...]:
    """What became of a command in each of the accounts, as the files below a folder tell.

    An account without a file was not started. Files of other accounts, and hidden ones, do not
    count.

    Raises:
        ConfigurationError: there is no file; they are of several commands, rules or commits; or
            there are two of one account.
    """
    found: dict[str, _Kept] = {}
    paths = sorted(Path(folder).rglob("*.json"))
    for path in paths:
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            data = durable.read_regular(path)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror}", _ONLY_RESULTS
            ) from error
        one = _read(path, data)
        one = one._replace(result=one.result._replace(part=str(path)))
        before = found.setdefault(one.result.account, one)
        if before is not one:
            raise ConfigurationError(
                f"{before.result.part} and {path} are both results of {one.result.account}",
                "Use one folder per run, and merge the results of one run.",
            )
    if not found:
        raise ConfigurationError(
            f"there are no results in {folder}", "Use the folder of --results."
        )
    runs = {one.of: one for one in found.values()}
    if len(runs) > 1:
        said = "; ".join(sorted(f"{one.told} in {one.result.part}" for one in runs.values()))
        raise ConfigurationError(
            f"the results in {folder} are of several runs: {said}",
            "Use one folder per run, and the same commit, options, ALERTSITE_URL and "
            "RECONCILER_STATE in all its shards.",
        )
    operation = next(iter(found.values())).result.operation
    return tuple(
        found[name].result
        if name in found
        else Job(name, operation).not_started("it has no result")
        for name in accounts
    )


def run_jobs(
    jobs: Iterable[Job], work: Work, executor: Executor, results: str = ""
) -> Iterator[PartResult]:
    """The results in the order of the jobs, each as soon as all before it are known.

    Args:
        jobs: what is to be done.
        work: does one of them.
        executor: where; it is not shut down.
        results: the folder for result files; empty for none.
    """
    unit = partial(perform, work=work, results=results)
    submitted = [(job, executor.submit(unit, job)) for job in jobs]
    try:
        for job, future in submitted:
            yield _result(job, future, results)
    finally:
        for _, future in submitted:
            future.cancel()


def _result(job: Job, future: Future[PartResult], results: str) -> PartResult:
    """What became of a job; of one whose worker was lost there is no file, so it can be repeated.

    What an account does is a result; so any other failure is one of whoever works on it.
    """
    try:
        error = future.exception()
        if error is None:
            return keep(results, job, future.result())
    except (ConfigurationError, CancelledError) as failure:
        error = failure
    code = ExitCode.UNAVAILABLE
    match error:
        case ConfigurationError():
            code, reason = error.exit_code, str(error)
        case CancelledError():
            reason = (
                "the connection to the workers was lost, so it is not known what was done; run the "
                "same command again"
            )
        case _:
            reason = f"the worker was lost: {type(error).__name__}: {error}".partition("\n")[0]
            reason = without_logins(reason)
    return PartResult(job.account, job.operation, int(code), reason, talk=f"Error: {reason}\n")


class _Kept(NamedTuple):
    """What a file has: a result, and which work it is of."""

    result: PartResult
    job: str
    commit: str
    approved: str
    rules: tuple[str, ...]
    surroundings: str

    @property
    def of(self) -> tuple[str, str, tuple[str, ...], str]:
        """What all results of one run share."""
        return self.result.operation, self.commit, self.rules, self.surroundings

    @property
    def told(self) -> str:
        """The same for people."""
        command = shlex.join([self.result.operation, *self.rules])
        return f"{command} of {self.commit[:12]}" if self.commit else command


def _file(results: str, job: Job) -> Path:
    return Path(results) / f"{job.account}.{job.operation}.json"


@contextmanager
def _using(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot write results to {path}: {error.strerror}", "Use another folder."
        ) from error


def _read(path: Path, data: bytes) -> _Kept:
    try:
        found = json_text.read(data)
        result = PartResult.from_json(found)
        job, commit, approved = (str(found[name]) for name in ("job", "commit", "approved"))
        rules = tuple(map(str, found.get("rules", ())))  # files of 1.0 have none
        return _Kept(result, job, commit, approved, rules, str(found.get("surroundings", "")))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is not a result of an account", _ONLY_RESULTS) from error
