"""Signals, and terminals that go away: a run ends in good order, and frees its lock."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from e2e.conftest import Relays, Start, Terminals, Workspace

_SECONDS = 45
_APPLY = ("apply", "--auto-approve")


# 130


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda item: item.name
)
def test_interrupted_apply_finishes_what_is_in_flight_and_can_be_finished(
    number: signal.Signals, relays: Relays, start: Start
) -> None:
    account = relays(8, faults=["PATCH * delay=0.25"])
    process = start(*_APPLY, "--parallelism", "2", "--json", env=account.env)
    account.wait_for("PATCH")
    done = process.finish(number).expect(130, err="Stopping")

    sent = len(account.patches())
    assert 1 <= sent < 8
    assert done.json["interrupted"] is True
    assert done.json["exit_code"] == 130
    assert done.json["summary"]["done"] == sent
    assert done.json["summary"]["not-started"] == 8 - sent
    states = {item["id"]: item["status"] for item in done.json["outcomes"]}
    assert account.ports() == {key: 587 if state == "done" else 25 for key, state in states.items()}

    assert account.apply("--parallelism", "8").code == 0
    assert sorted(path for path, _ in account.patches()) == [
        f"/monitors/email-smtp/{number}" for number in range(1, 9)
    ]


def test_interrupted_apply_lists_what_was_not_started(relays: Relays, start: Start) -> None:
    account = relays(5, faults=["PATCH * delay=0.25"])
    process = start(*_APPLY, "--parallelism", "1", env=account.env)
    account.wait_for("PATCH")
    done = process.finish(signal.SIGINT)
    assert done.code == 130
    assert "relay-05 not started: the run was interrupted (monitors/fleet.yaml:" in done.out
    assert "Run the same command again to finish." in done.out


def test_signal_in_the_middle_of_printing_does_not_lose_the_result(
    relays: Relays, start: Start
) -> None:
    account = relays(200, faults=["PATCH * status=400"])  # each has a line of its own
    process = start(*_APPLY, "--parallelism", "8", "--json", env=account.env)
    process.read_until("): retargeted (port)")  # the last line of the plan
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # elsewhere the progress fits into the pipe
        fcntl.fcntl(process.popen.stderr, fcntl.F_SETPIPE_SZ, 4096)
    account.wait_for("PATCH", 90)  # now the progress waits for somebody to read it
    done = process.finish(signal.SIGTERM)
    assert "unexpected error" not in done.err
    assert len(done.json["outcomes"]) == 200
    assert done.code == done.json["exit_code"]
    assert done.json["summary"]["failed"] == len(account.patches())


def test_interruption_ends_the_waiting_for_a_retry(relays: Relays, start: Start) -> None:
    account = relays(3, faults=["PATCH * status=503 retry-after=100"])
    process = start(*_APPLY, "--parallelism", "1", env=account.env)
    process.read_until("trying again in 100.")
    process.finish(signal.SIGTERM).expect(130, out="3 changes: 0 done, 1 failed, 2 not started")
    assert len(account.patches()) == 1


def test_interrupted_before_the_first_write(relays: Relays, start: Start) -> None:
    account = relays(1, faults=["GET * delay=30"])
    process = start(*_APPLY, env=account.env)
    account.wait_for("POST")
    process.finish(signal.SIGINT).expect(130, err="AlertSite was not changed")
    assert account.patches() == []


_PATIENT = {"RECONCILER_TIMEOUT": "60s", "RECONCILER_DEADLINE": "60s"}
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
    lock: Path, relays: Relays, terminal: Terminals
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
