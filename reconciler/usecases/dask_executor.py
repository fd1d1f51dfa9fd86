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
from ssl import SSLCertVerificationError, SSLError
from typing import TYPE_CHECKING

from reconciler.core.rollup import PartResult
from reconciler.errors import ConfigurationError, ExecutorError, UsageError
from reconciler.usecases.fleet_job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from distributed import Client, Scheduler, Worker


_ADDRESS = re.compile(r"dask:(?P<address>(?P<protocol>tls|tcp)://(?P<host>\[[^]]+\]|[^:/]+):\d+)")
_FORM = "Write dask:tls://HOST:PORT, or dask:tcp://127.0.0.1:PORT on this machine."
_PATIENCE = 30.0
"""Seconds in which the scheduler must answer, and have a worker."""
_REPEATS = 2
_TLS = "DASK_DISTRIBUTED__COMM__TLS__"


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
            f"--executor {executor} has no TLS, but anyone who can reach it gets the credentials "
            "of its workers",
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
        ConfigurationError: Dask is not installed, or TLS is not set up as the scheduler has it.
        ExecutorError: the scheduler does not answer, or has no worker.
    """
    address = address_of(executor)
    try:
        from distributed import WorkerPlugin  # 2 s
    except ImportError as error:
        raise ConfigurationError(
            f"--executor needs the package distributed, and {error.name} is not installed",
            "Install it with: pip install 'alertsite-reconciler[dask]'",
        ) from error
    with _client(address) as client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise ExecutorError(
                f"the scheduler {address} has no worker",
                f"Start one in the root of the repository: dask worker {address}",
            ) from error
        _refuse_other_versions(client)
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


def _client(address: str) -> Client:
    """A connection to the scheduler.

    What ends a connection once it is there is a matter of TLS, which another attempt would meet
    too; Dask tries again only for what may pass.

    Raises:
        ConfigurationError, ExecutorError: as `connected`.
    """
    from distributed import Client, Security
    from distributed.comm.core import CommClosedError

    if address.startswith("tls:"):
        files = Security().get_tls_config_for_role("client")
        for key, name in (("ca_file", "CA_FILE"), ("cert", "CLIENT__CERT")):
            if not files[key]:
                raise _unusable(address, f"{_TLS}{name} is not set")
    try:
        return Client(address, timeout=_PATIENCE, set_as_default=False)
    except CommClosedError as error:
        raise _unusable(address, _refusal(address, error)) from error
    except (FileNotFoundError, PermissionError, SSLError) as error:
        raise _unusable(address, f"the files of TLS cannot be read: {error}") from error
    except (OSError, TimeoutError) as error:
        raise ExecutorError(
            f"the scheduler {address} does not answer", "Start it: dask scheduler"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise _unusable(address, str(error)) from error


def _unusable(address: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"the scheduler {address} cannot be used: {reason}",
        f"Set the TLS files as for Dask: {_TLS}CA_FILE, {_TLS}CLIENT__CERT and {_TLS}CLIENT__KEY.",
    )


def _refusal(address: str, error: OSError) -> str:
    """Why a connection ended; the scheduler does not always say, but closes it."""
    match error.__cause__:
        case SSLCertVerificationError():
            return f"its certificate is not signed by an authority in {_TLS}CA_FILE"
        case SSLError(reason=str(reason)) if "ALERT" not in reason:  # an alert is its own word
            return f"TLS failed: {reason}"
    wish = "not accept the certificate of this client" if address[:3] == "tls" else "expect TLS"
    return f"it closed the connection; it may {wish}"


def _refuse_other_versions(client: Client) -> None:
    """Raises if a worker has jobs or results of another shape: they would be waited for forever.

    Raises:
        ConfigurationError: that.
    """
    shapes = client.run(_shape, on_error="return")  # also where there is none
    if any(shape != _shape() for shape in shapes.values()):
        raise ConfigurationError(
            "a worker has another version of reconciler, or none",
            "Start all workers with the version that is installed here.",
        )


def _shape() -> tuple[object, ...]:
    """Runs in each worker: the fields of what is sent to it, and of what it returns."""
    return Job._fields, PartResult._fields


def _repeat_seldom(dask_scheduler: Scheduler) -> None:
    """Runs in the scheduler: a job is given to another worker twice at most."""
    dask_scheduler.allowed_failures = min(dask_scheduler.allowed_failures, _REPEATS)


def _stop_profile(worker: Worker) -> None:
    """Runs in a worker, in its event loop."""
    if sys.version_info < (3, 11, 9):
        profile = worker.periodic_callbacks.pop("profile", None)
        if profile is not None:
            profile.stop()
