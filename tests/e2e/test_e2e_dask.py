"""Accounts on the workers of a Dask scheduler, some of which are killed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Done
from e2e.test_e2e_shards import ALL, COUNT, ENV, fleets, report

import reconciler
from reconciler.state_store import current, open_store

from certificates import Authorities

__all__ = ["fleets"]  # a fixture
_SECONDS = 150.0
"""For all accounts: far more than they need on a busy machine."""


class Cluster:
    """A scheduler and its workers, as their own command lines start them."""

    def __init__(
        self, root: Path, env: dict[str, str], stack: contextlib.ExitStack, protocol: str = "tcp"
    ) -> None:
        # The workers ask very often what their threads do: what that can hinder is met.
        self._env = env | ENV | {"DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL": "1ms"}
        self._root = root
        self._stack = stack
        file = root.parent / "scheduler.json"
        where = ("--protocol", protocol, "--host", "127.0.0.1", "--port", "0")
        self._start("scheduler", *where, "--scheduler-file", file)
        deadline = time.monotonic() + _SECONDS
        while not (file.exists() and file.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]

    def worker(self, threads: int, **env: str) -> None:
        self._start("worker", self.address, "--no-nanny", "--nthreads", str(threads), **env)

    def coordinate(self, *arguments: str, **env: str) -> Done:
        """Runs the command line, which gives the work to the workers, to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self._root,
            env=self._env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def kill(self, process: int) -> None:
        """Kills a worker, and lets another one take its place."""
        os.kill(process, signal.SIGKILL)
        self.worker(1)

    def _start(self, what: str, *arguments: str | Path, **env: str) -> None:
        log = self._stack.enter_context((self._root.parent / "cluster.log").open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *arguments, "--no-dashboard"],
            cwd=self._root,
            env=self._env | env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self._stack.enter_context(process)
        self._stack.callback(process.kill)


class Killer:
    """Kills the worker of some accounts, each at a moment of one of its requests."""

    _STAGES = {
        ("customer-03", "before", "GET"),  # while it plans again, with the lock
        ("customer-06", "before", "PATCH"),
        ("customer-09", "during", "PATCH"),
        ("customer-14", "after", "PATCH"),
        ("customer-19", "before", "POST"),
        ("customer-24", "during", "POST"),
    }

    def __init__(self) -> None:
        self.cluster: Cluster | None = None
        self.root = Path()
        self.killed: set[str] = set()

    def __call__(self, name: str, moment: str, method: str, path: str) -> None:
        is_meant = path.startswith("/monitors") and (name, moment, method) in self._STAGES
        if not is_meant or name in self.killed:
            return
        lease = current(open_store(f"file:.reconciler/{name}/state.json", folder=self.root))
        if lease is not None:
            assert self.cluster is not None
            self.killed.add(name)
            self.cluster.kill(int(lease.process.split("/")[2]))


@pytest.mark.large
def test_workers_that_are_killed_report_what_threads_do(
    fleets: Callable[..., Any], base_env: dict[str, str]
) -> None:
    with fleets("threads") as threads:
        wanted = report(threads("apply", *ALL))
        made = threads.made()
    killer = Killer()
    with fleets("dask", killer) as fleet, contextlib.ExitStack() as stack:
        cluster = killer.cluster = Cluster(fleet.root, base_env, stack)
        killer.root = fleet.root
        cluster.worker(2)
        cluster.worker(1)
        done = cluster.coordinate("apply", *ALL, "--executor", f"dask:{cluster.address}")
        found = report(done)
        assert fleet.made() == made
    lost = [name for name, part in _values(found).items() if not _is_whole(part)]
    # Two accounts can be on a worker that is killed. All others say the same, byte for byte.
    assert len(lost) <= 2 * len(killer.killed)
    for name, part in _values(wanted).items():
        if name in lost:  # what their last run did: the rest was done before
            assert {*_said(_values(found)[name])} < {*_said(part)}
            _values(found)[name].update(part)
    assert found == wanted
    assert len(killer.killed) == 6
    assert wanted["summary"] == {"done": COUNT}


def _values(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["account"]: item["value"] for item in report["accounts"]}


def _is_whole(value: dict[str, Any]) -> bool:
    return len(value["outcomes"]) == 2  # as many as each account has


def _said(value: dict[str, Any]) -> list[str]:
    return [json.dumps(outcome) for outcome in value["outcomes"]]


TLS = "DASK_DISTRIBUTED__COMM__TLS__"


def trust(made: Authorities, name: str) -> dict[str, str]:
    """What makes Dask believe the certificates of an authority."""
    return {f"{TLS}CA_FILE": made.file(name)}


def show(made: Authorities, whose: str, name: str) -> dict[str, str]:
    """What makes Dask show the certificate of an authority, by who shows it."""
    files = {"CERT": made.file(f"{name}-node"), "KEY": made.file(f"{name}-node", "key")}
    return {f"{TLS}{whose}__{key}": file for key, file in files.items()}


def test_tls_lets_in_who_has_a_certificate_of_the_authority_and_nobody_else(
    fleets: Callable[..., Any], base_env: dict[str, str], tmp_path: Path
) -> None:
    made = Authorities(tmp_path)
    env = base_env | trust(made, "ours") | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}
    shown = show(made, "SCHEDULER", "ours") | show(made, "WORKER", "ours")
    ours, other = (show(made, "CLIENT", name) for name in ("ours", "other"))
    with fleets("tls", count=3) as fleet, contextlib.ExitStack() as stack:
        cluster = Cluster(fleet.root, env | shown, stack, "tls")
        assert cluster.address.startswith("tls://127.0.0.1:")
        cluster.worker(1)
        where = ("plan", "--all-accounts", "--json", "--executor")

        def plan(env: dict[str, str]) -> Done:
            return cluster.coordinate(*where, f"dask:{cluster.address}", **env)

        def without_tls() -> Done:
            address = cluster.address.replace("tls://", "tcp://")
            return cluster.coordinate(
                *where, f"dask:{address}", DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION="false"
            )

        missing = {f"{TLS}CLIENT__CERT": str(tmp_path / "nowhere.pem")}
        with ThreadPoolExecutor() as executor:
            done = executor.submit(plan, ours)
            began = time.monotonic()
            refused = {
                "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT is not set": executor.submit(plan, {}),
                "it may not accept the certificate of this client": executor.submit(plan, other),
                "its certificate is not signed by an authority in": executor.submit(
                    plan, ours | trust(made, "other")
                ),
                "the files of TLS cannot be read": executor.submit(plan, ours | missing),
                "it may expect TLS": executor.submit(without_tls),
            }
            for words, future in refused.items():
                found = future.result()
                assert (found.code, words in found.err, found.out) == (3, True, ""), found.err
            assert time.monotonic() - began < 40
        accounts = done.result().json["accounts"]
        assert [item["changes"]["update"] for item in accounts] == [1, 1, 1], accounts
        assert [len(account.requests("PATCH")) for account in fleet.accounts] == [0, 0, 0]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_worker_of_another_version_is_refused_at_once(
    fleets: Callable[..., Any], base_env: dict[str, str], tmp_path: Path, *, is_there: bool
) -> None:
    """A result that cannot be read here would be waited for without end."""
    package = tmp_path / "later" / "reconciler"
    shutil.copytree(Path(reconciler.__file__).parent, package)
    module = package / "core" / "rollup.py"
    code = module.read_text()
    changed = code.replace('    part: str = ""\n', '    part: str = ""\n    later: str = ""\n', 1)
    assert changed != code
    module.write_text(changed)
    if not is_there:
        (package / "__init__.py").write_text("raise ModuleNotFoundError(__name__)\n")
    with fleets("other", count=1) as fleet, contextlib.ExitStack() as stack:
        cluster = Cluster(fleet.root, base_env, stack)
        cluster.worker(1, PYTHONPATH=str(package.parent))
        done = cluster.coordinate("plan", "--all-accounts", "--executor", f"dask:{cluster.address}")
    assert (done.code, "has another version of reconciler" in done.err) == (3, True), done
