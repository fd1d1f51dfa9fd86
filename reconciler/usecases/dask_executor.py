"""Accounts on the workers of a Dask scheduler; the only importer of Dask.

A worker is a plain `dask worker`, started in the root of a checkout of the same commit, with the
credentials of the accounts in its environment. Who reaches the scheduler runs code on the workers,
and so has those credentials: without TLS it is reached from this machine only.

Dask gives the job of a worker that was lost to another one. How often is a setting of the
scheduler, which is lowered here: a job that ends three workers would end the others too.

A worker asks `sys._current_frames` a hundred times a second what its threads do. Python before
3.11.9 holds a lock in that call which the collector of garbage may want too, and then the worker
stands still for ever (https://github.com/python/cpython/issues/106883). There it asks no more.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

from reconciler.errors import ConfigurationError, ExecutorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from distributed import Scheduler, Worker


_ADDRESS = re.compile(r"dask:(?P<address>(?P<protocol>tls|tcp)://(?P<host>\[[^]]+\]|[^:/]+):\d+)")
_FORM = "Write dask:tls://HOST:PORT, or dask:tcp://127.0.0.1:PORT on this machine."
_PATIENCE = 30.0
"""Seconds in which the scheduler must answer, and have a worker."""
_REPEATS = 2


def address_of(executor: str) -> str:
    """The address of the scheduler that `--executor` names.

    Raises:
        UsageError: it is none, or would be reached over a network without TLS.
    """
    found = _ADDRESS.fullmatch(executor)
    if found is None:
        raise UsageError(f"--executor {executor} is not the address of a scheduler", _FORM)
    if found["protocol"] == "tcp" and not _is_loopback(found["host"].strip("[]")):
        raise UsageError(
            f"--executor {executor} would be reached without TLS, and who reaches it has the "
            "credentials of its workers",
            _FORM,
        )
    return found["address"]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


@contextmanager
def connected(executor: str) -> Iterator[Executor]:
    """What gives jobs to the workers, while the body runs.

    Raises:
        UsageError: as `address_of`.
        ConfigurationError: Dask is not installed, or TLS is not set up.
        ExecutorError: the scheduler does not answer, or has no worker.
    """
    address = address_of(executor)
    try:
        from distributed import Client, WorkerPlugin  # 2 s
    except ImportError as error:
        raise ConfigurationError(
            f"--executor needs the package distributed, and {error.name} is not installed",
            "Install it with: pip install 'alertsite-reconciler[dask]'",
        ) from error
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ExecutorError(
            f"the scheduler {address} does not answer", "Start it: dask scheduler"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"the scheduler {address} cannot be used: {error}",
            "Name the files of TLS as Dask does: DASK_DISTRIBUTED__COMM__TLS__CA_FILE and others.",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise ExecutorError(
                f"the scheduler {address} has no worker",
                f"Start one in the root of the repository: dask worker {address}",
            ) from error
        client.run_on_scheduler(_repeat_seldom)

        class Unprofiled(WorkerPlugin):
            """For workers that come later, too; the class goes to them as a value."""

            name = "reconciler-unprofiled"

            def setup(self, worker: Worker) -> None:
                _stop_profile(worker)

        client.register_plugin(Unprofiled())
        executor_ = client.get_executor(pure=False)
        try:
            yield executor_
        finally:
            executor_.shutdown(wait=False)


def _repeat_seldom(dask_scheduler: Scheduler) -> None:
    """Runs in the scheduler: a job is given to another worker twice at most."""
    dask_scheduler.allowed_failures = min(dask_scheduler.allowed_failures, _REPEATS)


def _stop_profile(worker: Worker) -> None:
    """Runs in a worker, in its event loop."""
    if sys.version_info < (3, 11, 9):
        profile = worker.periodic_callbacks.pop("profile", None)
        if profile is not None:
            profile.stop()
