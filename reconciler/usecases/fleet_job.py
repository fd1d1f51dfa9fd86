"""The unit of work over several accounts, and the seam behind which it may run anywhere.

A `Job` is a command for one account. It is picklable and holds no secret: whoever works on it reads
the settings and resolves the credentials itself, in a checkout of the same commit. `Work` is a
function that can be pickled, from a job to its result; it never raises for what goes wrong in an
account, since that is a result. Any `concurrent.futures.Executor` runs it: threads of this process,
processes, or workers on other machines.

With a folder for results each result is a file, too, created once and never replaced. So a job that
is run again finds what the first run left and does nothing twice; and whoever loses the returned
value, as when a worker is lost, reads the file. A file is of one job: the same account and
operation, the same options, manifests and approved plan. What is to be repeated, as after exit 6 or
8, is repeated within the work, before there is a file.

What keeps two workers out of one account is the lock of its state, and nothing here.
"""

from __future__ import annotations

import json
from concurrent.futures import BrokenExecutor, CancelledError
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler import durable, manifests
from reconciler.core import json_text
from reconciler.core.plan import fingerprint
from reconciler.core.rollup import PartResult
from reconciler.errors import ConfigurationError, ExitCode
from reconciler.usecases import defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor


class Job(NamedTuple):
    """A command for one account; picklable, and without a secret.

    Attributes:
        account: its name in the settings.
        operation: the name of the command.
        arguments: of the command, as a shell would give them in the root of the repository.
        commit: that the manifests are of; empty if Git does not say.
        manifests: what `digest_of` says of them; empty where they need not be compared.
        approved: the digest of the plan that was approved: any other is refused, with 5.
    """

    account: str
    operation: str
    arguments: tuple[str, ...] = ()
    commit: str = ""
    manifests: str = ""
    approved: str = ""

    @property
    def key(self) -> str:
        """What two jobs share exactly when they are the same work."""
        return fingerprint([*self])

    def not_started(self, reason: str) -> PartResult:
        """The result of a job that nobody has begun."""
        return PartResult(self.account, self.operation, None, reason)


if TYPE_CHECKING:
    Work = Callable[[Job], PartResult]


def digest_of(folders: Sequence[str]) -> str:
    """What the manifests in the folders share exactly when their files have the same bytes."""
    found = sha256()
    files = manifests.find(folders, may_be_empty=True)
    for path in sorted({*defaults.above(folders), *files}):
        data = Path(path).read_bytes()
        found.update(f"{path}\0{len(data)}\0".encode())
        found.update(data)
    return f"sha256:{found.hexdigest()}"


def perform(job: Job, work: Work, results: str = "") -> PartResult:
    """The result of a job: the one that is there already, or else that of doing it now.

    Args:
        job: what is to be done.
        work: does it.
        results: the folder for result files; empty for none.

    Raises:
        ConfigurationError: the folder holds the result of another job of that account, or cannot be
            written to.
    """
    if not results:
        return work(job)
    path = Path(results) / f"{job.account}.{job.operation}.json"
    try:
        if (found := _kept(path, job)) is not None:
            return found
        result = work(job)._replace(part=str(path))
        if result.exit_code is None:  # then there is nothing to keep, and it may be begun yet
            return result._replace(part="")
        text = json.dumps({**result.to_json(), "job": job.key}, ensure_ascii=False, indent=1)
        durable.make_folder(path.parent)
        try:
            durable.create(path, f"{text}\n".encode("utf-8", "surrogatepass"))
        except FileExistsError:  # another worker was faster
            return _kept(path, job) or result
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be used for a result: {error.strerror}", "Name another folder."
        ) from error
    return result


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
            try:
                yield future.result()
            except ConfigurationError as error:
                yield _failed(job, error.exit_code, str(error))
            except (BrokenExecutor, CancelledError) as error:
                reason = f"the worker was lost: {type(error).__name__}"
                yield _failed(job, ExitCode.UNAVAILABLE, reason)
    finally:
        for _, future in submitted:
            future.cancel()


def _failed(job: Job, code: ExitCode, reason: str) -> PartResult:
    return PartResult(job.account, job.operation, int(code), reason, talk=f"Error: {reason}\n")


def _kept(path: Path, job: Job) -> PartResult | None:
    """The result in a file; None if there is none.

    Raises:
        ConfigurationError: it is that of another job, or none.
    """
    data = durable.read(path)
    if data is None:
        return None
    try:
        found = json_text.read(data)
        if found["job"] == job.key:
            return PartResult.from_json(found)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is no result of an account", "Remove it.") from error
    raise ConfigurationError(
        f"{path} is the result of other work: other options, manifests or another plan",
        "Name an empty folder for the results of this run.",
    )
