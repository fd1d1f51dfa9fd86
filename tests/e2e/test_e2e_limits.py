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

    from conftest import Fleet, Relays, Run, Sandbox, Start, Workspace

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


def test_list_that_trickles_ends_the_run_and_frees_the_lock(lock: Path, relays: Relays) -> None:
    account = relays(3, faults=["GET /monitors body=trickle times=1"])
    done = account.apply(env=_SHORT)
    assert done.code == 6
    assert "Error: GET /monitors: no complete response within 0.6 s\n" in done.err
    assert "allow more time with deadline in reconciler.toml (RECONCILER_DEADLINE)." in done.err
    assert not lock.exists()
    assert account.apply().code == 0


def test_patch_that_trickles_is_sent_once_and_settled_by_reading(relays: Relays) -> None:
    account = relays(3, faults=["PATCH */2 body=trickle"])
    account.apply(env=_SHORT).expect(0)
    assert len(account.patches()) == 3


def test_create_that_trickles_is_sent_once_and_found_by_looking(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "a", name="A")
    account = sandbox(faults=["POST /monitors/* body=trickle"])
    account.apply(env={"RECONCILER_TIMEOUT": "0.6s"}).expect(0)
    assert account.calls().count("POST /monitors/email-smtp") == 1
    assert account.run("plan").out == "No changes. 1 unchanged.\n"


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
    workspace.settings(setting)
    run("plan", "--offline", env={"CI": "1"}).expect(3, err=_WRONG[setting])


def test_largest_list(fleet: Fleet, sandbox: Sandbox) -> None:
    first, *others = fleet(3)
    account = sandbox(first | {"note": "x" * 2**20}, *others)
    done = account.run("plan", env={"RECONCILER_LARGEST_LIST": "1MiB"})
    assert done.code == 6
    assert "GET /monitors returned a response with more than 1 MiB" in done.err
    assert "(RECONCILER_LARGEST_LIST)" in done.err
    assert account.run("plan", env={"RECONCILER_LARGEST_LIST": "2MiB"}).code == 0


# login


@pytest.mark.parametrize("status", [429, 503])
def test_login_is_sent_once_whatever_is_answered(status: int, relays: Relays) -> None:
    account = relays(1, faults=[f"{_LOGIN} status={status} retry-after=0"])
    done = account.apply()
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
    first: signal.Signals, second: signal.Signals, lock: Path, relays: Relays, start: Start
) -> None:
    sending = threading.Semaphore(0)

    def witness(_moment: str, method: str, _path: str) -> None:
        if method == "PATCH":
            sending.release()

    account = relays(4, faults=["PATCH * delay=40"], witness=witness)
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
def test_plan_that_is_signalled(number: signal.Signals, relays: Relays, start: Start) -> None:
    account = relays(1, faults=["GET * delay=30"])
    process = start("plan", env=account.env)
    account.wait_for("POST")
    process.finish(number).expect(130, err="AlertSite was not changed")


def test_terminal_that_goes_away_ends_an_apply_in_good_order(
    lock: Path, relays: Relays, terminal: Callable[..., Any]
) -> None:
    account = relays(6, faults=["PATCH * delay=0.3"])
    shown = terminal(*_APPLY, "--parallelism", "1", env=account.env)
    account.wait_for("PATCH")
    assert lock.exists()
    shown.hang_up()
    shown.popen.wait(_SECONDS)
    assert not lock.exists()
    sent = len(account.patches())
    assert 1 <= sent < 6
    plan = account.run("plan")
    assert f"Plan: 0 to add, {6 - sent} to change, 0 to destroy. {sent} unchanged." in plan.out
    assert "Recovery" not in plan.err
    assert account.run("drift").out.startswith("No drift. ")


def test_run_that_ignores_the_end_of_its_terminal_goes_on(
    workspace: Workspace, base_env: Mapping[str, str], executable: list[str], relays: Relays
) -> None:
    account = relays(4, faults=["PATCH * delay=0.2"])
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
