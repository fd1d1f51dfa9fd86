"""Every exit code of the README, but for 1 (a bug) and 8 (no state is kept yet)."""

from __future__ import annotations

import fcntl
import signal
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conftest import Fleet, Manifest, Monitor, Run, Sandbox, Start, Workspace

    from reconciler.context import Clock

_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_APPLY = ("apply", "--auto-approve")
_VIEWER = {"ALERTSITE_USERNAME": "viewer@example.com", "ALERTSITE_PASSWORD": "viewer"}


def _id(value: object) -> str | None:
    return " ".join(value) if isinstance(value, list) else None


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# 0 and 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan"], 0),
        (["plan", "--detailed-exitcode"], 2),
        (["diff", "--detailed-exitcode"], 2),
        (["plan", "--json", "--detailed-exitcode"], 2),
        (["plan", "--detailed-exitcode", "--target", "email-smtp/relay-02"], 0),
        (["apply", "--auto-approve"], 0),
        (["validate"], 0),
        (["--help"], 0),
        (["--version"], 0),
        (["apply", "--help"], 0),
    ],
    ids=_id,
)
def test_done_is_0_and_changes_are_2_when_asked_for(
    arguments: list[str], code: int, fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    one, two = fleet(2)
    account = sandbox(one, {**two, "port": 587})
    assert run(*arguments, env=account.env).code == code


# 4


@pytest.mark.parametrize("arguments", [["plan"], [*_APPLY, "--parallelism", "8"]], ids=" ".join)
def test_wrong_password_is_tried_once(
    arguments: list[str], fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(3))
    done = run(*arguments, env=account.env | {"ALERTSITE_PASSWORD": "wr0ng-passw0rd"})
    assert done.code == 4
    assert "User authentication failed" in done.err
    assert "ALERTSITE_PASSWORD" in done.err
    assert "wr0ng-passw0rd" not in done.text
    assert account.calls() == [_LOGIN]


def test_viewer_may_plan(fleet: Fleet, sandbox: Sandbox, run: Run) -> None:
    account = sandbox(*fleet(1))
    done = run("plan", env=account.env | _VIEWER)
    assert done.code == 0
    assert "1 to change" in done.out


def test_viewer_may_not_apply(fleet: Fleet, sandbox: Sandbox, run: Run) -> None:
    account = sandbox(*fleet(1))
    done = run(*_APPLY, env=account.env | _VIEWER)
    assert done.code == 4
    assert "403" in done.out
    assert "This user may not change monitors." in done.out
    assert "monitors/fleet.yaml:1" in done.out
    assert len(account.patches()) == 1
    assert account.live(1)["port"] == 25


def test_token_that_is_refused_for_ever_stops_the_run(
    fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(3), faults=["PATCH * status=401"])
    done = run(*_APPLY, "--parallelism", "1", env=account.env)
    assert done.code == 4
    assert "3 changes: 0 done, 1 failed, 2 not started" in done.out
    assert len(account.patches()) == 2
    assert len(account.requests("POST")) == 2


# 5


@pytest.mark.parametrize(
    ("kind", "number", "words", "command"),
    [
        pytest.param("email-smtp", 99, ["id 99"], _APPLY, id="not-in-this-account"),
        pytest.param("email-smtp", 99, ["id 99"], ["plan"], id="not-in-this-account-plan"),
        pytest.param("email-imap", 2, ["email-smtp", "email-imap"], _APPLY, id="another-kind"),
        pytest.param("email-smtp", 3, ["id 3"], _APPLY, id="not-an-email-monitor"),
        pytest.param("email-smtp", None, ["metadata.id"], _APPLY, id="no-id"),
    ],
)
def test_manifest_without_its_monitor_is_refused_with_all_others(
    kind: str,
    number: int | None,
    words: list[str],
    command: Sequence[str],
    workspace: Workspace,
    fleet: Fleet,
    manifest: Manifest,
    monitor: Monitor,
    sandbox: Sandbox,
    run: Run,
) -> None:
    (first,) = fleet(1)
    workspace.write("odd.yaml", manifest(kind, "odd", number))
    website = {"id": 3, "type": "website", "name": "Not ours"}
    account = sandbox(first, monitor("email-smtp", 2), website)
    done = run(*command, env=account.env)
    assert done.code == 5
    assert f"! {kind}/odd refused" in done.out
    assert "monitors/odd.yaml:1" in done.out
    assert all(word in done.out for word in words)
    assert "1 to change" in done.out
    unlisted = [f"GET /monitors/{number}"] if number in {3, 99} else []
    assert account.calls() == [_LOGIN, _READ, *unlisted]  # that it is not there is asked


def test_refused_manifest_can_be_left_out(
    workspace: Workspace, fleet: Fleet, manifest: Manifest, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(1))
    workspace.write("odd.yaml", manifest("email-smtp", "odd", 99))
    assert run(*_APPLY, "--target", "*/relay-*", env=account.env).code == 0
    assert len(account.patches()) == 1


def test_without_a_terminal_nothing_is_applied_unapproved(
    fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(1))
    done = run("apply", env=account.env)
    assert done.code == 5
    assert "port: 25 → 587" in done.out
    assert "--auto-approve" in done.err
    assert account.calls() == [_LOGIN, _READ]


# 6


def test_nobody_listens(closed_port: int, fleet: Fleet, run: Run, hurried: Clock) -> None:
    fleet(1)
    url = f"http://127.0.0.1:{closed_port}/api/v3"
    env = {"ALERTSITE_URL": url, "ALERTSITE_TOKEN": "0" * 32}
    done = run("plan", env=env, clock=hurried)
    assert done.code == 6
    assert f"\nError: {url} cannot be reached: Connection refused\n" in done.err
    assert done.err.count("trying again") == 4
    assert "(attempt 1 of 5 failed)" in done.err
    assert done.out == ""


@pytest.mark.parametrize("path", ["/access-tokens", "/monitors"])
@pytest.mark.parametrize("effect", ["body=html", "body=html status=400", "status=302"])
def test_what_alertsite_never_answers_names_the_url(
    path: str, effect: str, fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(1), faults=[f"* {path} {effect}"])
    done = run(*_APPLY, env=account.env)
    assert done.code == 6
    assert f"Check ALERTSITE_URL, which is {account.url}" in done.err
    assert account.patches() == []


@pytest.mark.parametrize(("path", "times"), [("/access-tokens", 1), ("/monitors", 5)])
def test_unavailable_for_ever(
    path: str, times: int, fleet: Fleet, sandbox: Sandbox, run: Run, hurried: Clock
) -> None:
    account = sandbox(*fleet(1), faults=[f"* {path} status=503 retry-after=0"])
    done = run(*_APPLY, env=account.env, clock=hurried)
    assert done.code == 6
    assert "503 Service Unavailable" in done.err
    assert "The sandbox was told to answer this." in done.err
    assert len([call for call in account.calls() if call.endswith(path)]) == times
    assert account.patches() == []


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_url_of_another_api_is_not_applied_in_part(
    command: list[str], fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(1))
    url = account.url.replace("/api/v3", "/api/v2")
    done = run(*command, env=account.env | {"ALERTSITE_URL": url})
    assert done.code == 6
    assert "ALERTSITE_URL" in done.err


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_list_that_is_refused_is_not_applied_in_part(
    command: list[str], fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(1), faults=["GET /monitors status=400"])
    done = run(*command, env=account.env)
    assert done.code == 6
    assert "The sandbox was told to answer this." in done.err


# 7


def test_one_rejected_change_does_not_stop_the_others(
    fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(5), faults=["PATCH /monitors/email-smtp/3 status=400"])
    done = run(*_APPLY, env=account.env)
    assert done.code == 7
    (line,) = [line for line in done.out.splitlines() if "relay-03 failed" in line]
    assert "400 Bad Request: The sandbox was told to answer this." in line
    assert line.endswith("(monitors/fleet.yaml:23)")
    assert "Apply incomplete! Resources: 0 added, 4 changed, 0 destroyed." in done.out
    assert "Of 5 changes: 4 done, 1 failed." in done.out
    assert sorted(path for path, _ in account.patches()) == [
        f"/monitors/email-smtp/{number}" for number in range(1, 6)
    ]
    assert account.ports() == {1: 587, 2: 587, 3: 25, 4: 587, 5: 587}


def test_running_again_after_a_partial_run_sends_only_the_rest(
    fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(*fleet(3), faults=["PATCH /monitors/email-smtp/2 status=400 times=1"])
    assert run(*_APPLY, env=account.env).code == 7
    assert run(*_APPLY, env=account.env).code == 0
    assert account.patches()[3:] == [("/monitors/email-smtp/2", {"port": 587})]


def test_strict_server_names_the_field_that_it_refuses(
    workspace: Workspace, manifest: Manifest, monitor: Monitor, sandbox: Sandbox, run: Run
) -> None:
    workspace.write("one.yaml", manifest("email-smtp", "one", 7, extra={"colour": "red"}))
    account = sandbox(monitor("email-smtp", 7), strict=True)
    done = run(*_APPLY, env=account.env)
    assert done.code == 7
    assert "unknown field (colour)" in done.out


# 64


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["plan", "--no-such-option"], "--no-such-option"),
        (["explode"], "explode"),
        (["plan", "unexpected"], "unexpected"),
        (["plan", "--target", "email-smtp/nobody"], "email-smtp/nobody"),
        (["plan", "--target", "team=nobody"], "team=nobody"),
        ([*_APPLY, "--target", "*/relay-*", "--target", "typo"], "typo"),
        (["apply", "--parallelism", "0"], "--parallelism"),
        (["apply", "--parallelism", "many"], "--parallelism"),
        (["plan", "--target"], "--target"),
        (["validate", "--format", "xml"], "--format"),
        (["sandbox", "--fault", "PATCH * status=9"], "status"),
        (["sandbox", "--port", "99999"], "--port"),
    ],
    ids=_id,
)
def test_usage(arguments: list[str], word: str, fleet: Fleet, sandbox: Sandbox, run: Run) -> None:
    account = sandbox(*fleet(1))
    done = run(*arguments, env=account.env)
    assert done.code == 64
    assert word in done.err
    assert done.out == ""
    assert account.calls() == []


# 130


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda item: item.name
)
def test_interrupted_apply_finishes_what_is_in_flight_and_can_be_finished(
    number: signal.Signals, fleet: Fleet, sandbox: Sandbox, start: Start, run: Run
) -> None:
    account = sandbox(*fleet(8), faults=["PATCH * delay=0.25"])
    process = start(*_APPLY, "--parallelism", "2", "--json", env=account.env)
    account.wait_for("PATCH")
    done = process.finish(number)
    assert done.code == 130
    assert "Stopping" in done.err

    sent = len(account.patches())
    assert 1 <= sent < 8
    assert done.json["interrupted"] is True
    assert done.json["exit_code"] == 130
    assert done.json["summary"]["done"] == sent
    assert done.json["summary"]["not-started"] == 8 - sent
    states = {item["id"]: item["status"] for item in done.json["outcomes"]}
    assert account.ports() == {key: 587 if state == "done" else 25 for key, state in states.items()}

    assert run(*_APPLY, "--parallelism", "8", env=account.env).code == 0
    assert sorted(path for path, _ in account.patches()) == [
        f"/monitors/email-smtp/{number}" for number in range(1, 9)
    ]


def test_interrupted_apply_lists_what_was_not_started(
    fleet: Fleet, sandbox: Sandbox, start: Start
) -> None:
    account = sandbox(*fleet(5), faults=["PATCH * delay=0.25"])
    process = start(*_APPLY, "--parallelism", "1", env=account.env)
    account.wait_for("PATCH")
    done = process.finish(signal.SIGINT)
    assert done.code == 130
    assert "relay-05 not started: the run was interrupted (monitors/fleet.yaml:" in done.out
    assert "Run the same command again to finish." in done.out


def test_signal_in_the_middle_of_printing_does_not_lose_the_result(
    fleet: Fleet, sandbox: Sandbox, start: Start
) -> None:
    account = sandbox(*fleet(200), faults=["PATCH * status=400"])  # each has a line of its own
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


def test_interruption_ends_the_waiting_for_a_retry(
    fleet: Fleet, sandbox: Sandbox, start: Start
) -> None:
    account = sandbox(*fleet(3), faults=["PATCH * status=503 retry-after=100"])
    process = start(*_APPLY, "--parallelism", "1", env=account.env)
    process.read_until("trying again in 100.")
    done = process.finish(signal.SIGTERM)
    assert done.code == 130
    assert "3 changes: 0 done, 1 failed, 2 not started" in done.out
    assert len(account.patches()) == 1


def test_interrupted_before_the_first_write(fleet: Fleet, sandbox: Sandbox, start: Start) -> None:
    account = sandbox(*fleet(1), faults=["GET * delay=30"])
    process = start(*_APPLY, env=account.env)
    account.wait_for("POST")
    done = process.finish(signal.SIGINT)
    assert done.code == 130
    assert "AlertSite was not changed" in done.err
    assert account.patches() == []
