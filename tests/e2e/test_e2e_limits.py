"""Answers that trickle, and signals: a run ends, says what it knows, and frees its lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Fleet, Manifest, Run, Sandbox, Start, Workspace

_APPLY = ("apply", "--auto-approve")
_LOGIN = "POST /access-tokens"
_SHORT = {"RECONCILER_DEADLINE": "0.6s"}
_PATIENT = {"RECONCILER_TIMEOUT": "60s", "RECONCILER_DEADLINE": "60s"}
_SECONDS = 45
_HURRIED = """
import sys
from reconciler.cli import run
from reconciler.context import SYSTEM
sys.exit(run(sys.argv[1:], SYSTEM._replace(monotonic=lambda: 5 * SYSTEM.monotonic())))
"""
"""The command line as a process for which 2 s are 10."""


@pytest.fixture
def lock(workspace: Workspace) -> Path:
    return workspace.root / ".reconciler" / "state.json.lock"


# deadline


def test_list_that_trickles_ends_the_run_and_frees_the_lock(
    lock: Path, fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(3), faults=["GET /monitors body=trickle times=1"])
    done = run(*_APPLY, env=account.env | _SHORT)
    assert done.code == 6
    assert "Error: GET /monitors: no complete response within 0.6 s\n" in done.err
    assert "allow more time with deadline in reconciler.toml (RECONCILER_DEADLINE)." in done.err
    assert not lock.exists()
    assert run(*_APPLY, env=account.env).code == 0


def test_patch_that_trickles_is_sent_once_and_settled_by_reading(
    fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(3), faults=["PATCH */2 body=trickle"])
    done = run(*_APPLY, env=account.env | _SHORT)
    assert done.code == 0
    assert len(account.patches()) == 3


def test_create_that_trickles_is_sent_once_and_found_by_looking(
    workspace: Workspace, manifest: Manifest, sandbox: Sandbox, run: Run
) -> None:
    workspace.write("a.yaml", manifest("email-smtp", "a", name="A"))
    account = sandbox(faults=["POST /monitors/* body=trickle"])
    done = run(*_APPLY, env=account.env | {"RECONCILER_TIMEOUT": "0.6s"})
    assert done.code == 0
    assert account.calls().count("POST /monitors/email-smtp") == 1
    assert run("plan", env=account.env).out == "No changes. 1 unchanged.\n"


_WRONG = {
    'deadline = "soon"': "deadline is 'soon', which is not a duration\nWrite it as 90s or 3m",
    'largest_list = "9"': "largest_list is '9', which is not a size\nWrite it as 128MiB or 1GiB",
    'largest_list = "0MiB"': "largest_list is '0MiB', which is not a size",
}


@pytest.mark.parametrize("setting", _WRONG)
def test_what_is_no_limit_is_refused(
    setting: str, workspace: Workspace, fleet: Fleet, run: Run
) -> None:
    fleet(1)
    (workspace.root / "reconciler.toml").write_text(setting)
    done = run("plan", "--offline", env={"CI": "1"})
    assert done.code == 3
    assert _WRONG[setting] in done.err


def test_largest_list(fleet: Fleet, sandbox: Sandbox, run: Run) -> None:
    first, *others = fleet(3)
    account = sandbox(first | {"note": "x" * 2**20}, *others)
    done = run("plan", env=account.env | {"RECONCILER_LARGEST_LIST": "1MiB"})
    assert done.code == 6
    assert "GET /monitors returned a response with more than 1 MiB" in done.err
    assert "(RECONCILER_LARGEST_LIST)" in done.err
    assert run("plan", env=account.env | {"RECONCILER_LARGEST_LIST": "2MiB"}).code == 0


# login


@pytest.mark.parametrize("status", [429, 503])
def test_login_is_sent_once_whatever_is_answered(
    status: int, fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(1), faults=[f"{_LOGIN} status={status} retry-after=0"])
    done = run(*_APPLY, env=account.env)
    assert done.code == 6
    assert "reconciler tried the login only once, because AlertSite can lock users out." in done.err
    assert account.calls() == [_LOGIN]


# signals


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, signal.SIGTERM), (signal.SIGHUP, signal.SIGHUP)],
    ids=["int-term", "hup-hup"],
)
@pytest.mark.parametrize("executable", [[sys.executable, "-c", _HURRIED]], ids=["hurried"])
def test_second_signal_after_a_while_closes_the_connections(
    first: signal.Signals,
    second: signal.Signals,
    lock: Path,
    fleet: Fleet,
    sandbox: Sandbox,
    start: Start,
) -> None:
    sending = threading.Semaphore(0)

    def witness(_moment: str, method: str, _path: str) -> None:
        if method == "PATCH":
            sending.release()

    account = sandbox(*fleet(4), faults=["PATCH * delay=40"], witness=witness)
    process = start(*_APPLY, "--parallelism", "2", "--json", env=account.env | _PATIENT)
    for _ in range(2):
        assert sending.acquire(timeout=_SECONDS)
    process.popen.send_signal(first)
    assert "in 10 s or later" in process.read_until("Stopping")
    process.popen.send_signal(second)  # too soon: a pipeline sends two as well
    time.sleep(2.1)
    assert process.popen.poll() is None
    assert lock.exists()
    started = time.monotonic()
    done = process.finish(second)
    assert time.monotonic() - started < 5
    assert "Closing all connections" in done.err
    assert done.code == 130
    assert done.json["summary"]["unconfirmed"] == 2
    assert done.json["summary"]["not-started"] == 2
    assert not lock.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_plan_that_is_signalled(
    number: signal.Signals, fleet: Fleet, sandbox: Sandbox, start: Start
) -> None:
    account = sandbox(*fleet(1), faults=["GET * delay=30"])
    process = start("plan", env=account.env)
    account.wait_for("POST")
    done = process.finish(number)
    assert done.code == 130
    assert "AlertSite was not changed" in done.err


def test_terminal_that_goes_away_ends_an_apply_in_good_order(
    lock: Path, fleet: Fleet, sandbox: Sandbox, terminal: Callable[..., Any], run: Run
) -> None:
    account = sandbox(*fleet(6), faults=["PATCH * delay=0.3"])
    shown = terminal(*_APPLY, "--parallelism", "1", env=account.env)
    account.wait_for("PATCH")
    assert lock.exists()
    shown.hang_up()
    shown.popen.wait(_SECONDS)
    assert not lock.exists()
    sent = len(account.patches())
    assert 1 <= sent < 6
    plan = run("plan", env=account.env)
    assert f"Plan: 0 to add, {6 - sent} to change, 0 to destroy. {sent} unchanged." in plan.out
    assert "Recovery" not in plan.err
    assert run("drift", env=account.env).out.startswith("No drift. ")


def test_run_that_ignores_the_end_of_its_terminal_goes_on(
    workspace: Workspace,
    base_env: Mapping[str, str],
    executable: list[str],
    fleet: Fleet,
    sandbox: Sandbox,
) -> None:
    account = sandbox(*fleet(4), faults=["PATCH * delay=0.2"])
    process = subprocess.Popen(
        ["nohup", *executable, *_APPLY, "--parallelism", "1"],
        cwd=workspace.root,
        env={**base_env, **account.env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    account.wait_for("PATCH")
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait(_SECONDS) == 0
    assert len(account.patches()) == 4
