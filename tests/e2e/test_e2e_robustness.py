"""What networks, proxies and a busy AlertSite do: the run ends right, or says what is not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from e2e.conftest import monitor

if TYPE_CHECKING:
    from conftest import Fleet, Relays, Sandbox, Start, Workspace

    from reconciler.context import Clock

_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_APPLY = ("apply", "--auto-approve")
_FIRST = ("/monitors/email-smtp/1", {"port": 587})


def test_refused_token_in_mid_run_is_renewed_once_for_all_threads(relays: Relays) -> None:
    # The delay lets all eight be under way with the first token before one hears of its end.
    account = relays(10, faults=["PATCH * status=401 delay=0.4 times=8"])
    account.apply("--parallelism", "8").expect(0, out="10 changed")
    assert account.calls().count(_LOGIN) == 2
    assert len(account.patches()) == 18
    assert set(account.ports().values()) == {587}


def test_one_refused_token_is_renewed_and_the_request_sent_again(relays: Relays) -> None:
    account = relays(1, faults=["PATCH * status=401 times=1"])
    assert account.apply().code == 0
    patch = f"PATCH {_FIRST[0]}"
    assert account.calls() == [_LOGIN, _READ, patch, _LOGIN, patch, _READ]


def test_token_that_expires_in_mid_run(relays: Relays) -> None:
    rule = "PATCH * delay=1.2 times=1"
    account = relays(2, faults=[rule], token_life=1.0)
    account.apply("--parallelism", "1").expect(0)
    assert [entry["status"] for entry in account.requests("PATCH")] == [401, 200, 200]
    assert account.calls().count(_LOGIN) == 2


def test_429_is_waited_for_as_long_as_asked(relays: Relays, hurried: Clock) -> None:
    account = relays(1, faults=["PATCH * status=429 retry-after=1 times=1"])
    started = hurried.monotonic()
    done = account.apply(clock=hurried)
    assert hurried.monotonic() - started >= 1
    done.expect(0, err=("429 Too Many Requests", "trying again in 1."))
    assert account.patches() == [_FIRST, _FIRST]


def test_wait_beyond_the_budget_is_not_begun(relays: Relays, hurried: Clock) -> None:
    account = relays(2, faults=["PATCH */1 status=429 retry-after=86400"])
    account.apply(clock=hurried).expect(
        7, out="relay-01 failed: not changed: PATCH /monitors/email-smtp/1: 429 Too Many Requests"
    )
    assert len(account.patches()) == 2


@pytest.mark.parametrize(
    ("what", "status"), [("GET /monitors", 502), ("PATCH *", 503), ("PATCH *", 504)]
)
def test_two_failures_and_then_success(
    what: str, status: int, relays: Relays, hurried: Clock
) -> None:
    account = relays(1, faults=[f"{what} status={status} retry-after=0 times=2"])
    done = account.apply(clock=hurried).expect(0)
    assert done.err.count("trying again") == 2
    method = what.partition(" ")[0]
    answers = [entry["status"] for entry in account.requests(method)]
    assert answers[:3] == [status, status, 200]
    assert account.live(1)["port"] == 587


@pytest.mark.parametrize(
    "effect", ["drop=before", "drop=after", "body=truncated", "delay=0.2 status=504 retry-after=0"]
)
def test_patch_without_a_usable_answer_is_sent_again(
    effect: str, relays: Relays, hurried: Clock
) -> None:
    account = relays(3, faults=[f"PATCH */1 {effect} times=1"])
    account.apply(clock=hurried).expect(0, out="3 changed")
    assert sorted(path for path, _ in account.patches()) == [
        f"/monitors/email-smtp/{number}" for number in (1, 1, 2, 3)
    ]
    assert set(account.ports().values()) == {587}


@pytest.mark.parametrize("effect", ["drop=before", "body=truncated"])
def test_read_without_a_usable_answer_is_sent_again(
    effect: str, relays: Relays, hurried: Clock
) -> None:
    account = relays(1, faults=[f"GET /monitors {effect} times=1"])
    account.run("plan", clock=hurried).expect(0)
    assert account.calls() == [_LOGIN, _READ, _READ]


@pytest.mark.parametrize("effect", ["body=html", "body=html status=500", "body=html status=201"])
def test_answer_that_makes_no_sense_is_settled_by_reading(
    effect: str, relays: Relays, hurried: Clock
) -> None:
    account = relays(1, faults=[f"PATCH * {effect}"])
    done = account.apply("--json", clock=hurried).expect(0)
    assert done.json["summary"]["done"] == 1
    assert account.calls() == [_LOGIN, _READ, f"PATCH {_FIRST[0]}", _READ]


def test_only_what_alertsite_has_afterwards_is_done(relays: Relays, hurried: Clock) -> None:
    rules = ["PATCH */1 status=200", "PATCH */2 status=500"]
    account = relays(3, faults=rules)
    done = account.apply(clock=hurried)
    assert done.code == 7
    assert "! email-smtp/relay-01 not kept" in done.out
    assert "(monitors/fleet.yaml:1)" in done.out
    assert "port: sent 587, AlertSite has 25" in done.out
    assert "relay-02 failed: not changed: PATCH /monitors/email-smtp/2: 500" in done.out
    assert "Of 3 changes: 1 done, 1 failed, 1 not kept." in done.out
    assert len(account.patches()) == 3


def test_result_that_cannot_be_read_again_is_unconfirmed(relays: Relays) -> None:
    account = relays(2, faults=["GET /monitors skip=1 times=1 status=500"])
    account.apply().expect(
        7, out=("Of 2 changes: 0 done, 2 unconfirmed.", "could not be read again")
    )
    assert set(account.ports().values()) == {587}


def test_monitor_that_vanishes_meanwhile_is_not_kept(relays: Relays) -> None:
    account = relays(2, faults=["PATCH */1 status=404"])
    account.apply().expect(7, out="relay-01 failed: PATCH /monitors/email-smtp/1: 404 Not Found")


@pytest.mark.parametrize("parallelism", [1, 3])
def test_fail_fast_starts_nothing_new(parallelism: int, relays: Relays) -> None:
    # The others are slower than the failure: only what is in flight with it may be sent.
    rules = ["PATCH */1 status=400", "PATCH * delay=0.2"]
    account = relays(9, faults=rules)
    limit = ("--parallelism", str(parallelism))
    done = account.apply("--fail-fast", *limit, "--json").expect(7)
    sent = len(account.patches())
    assert 1 <= sent <= parallelism
    summary = done.json["summary"]
    assert (summary["failed"], summary["done"]) == (1, sent - 1)
    assert summary["not-started"] == 9 - sent
    assert "email-smtp/relay-01 failed" in done.json["outcomes"][8]["message"]


def test_parallelism_changes_nothing_but_the_speed(fleet: Fleet, sandbox: Sandbox) -> None:
    seed = fleet(20)
    results, sent = [], []
    for parallelism in ("1", "8"):
        account = sandbox(*seed, faults=["PATCH */7 status=400"])
        state = f"--state={parallelism}.json"
        done = account.apply("--json", "--parallelism", parallelism, state).expect(7)
        results.append(done.json | {"account": "", "run": ""})
        sent.append(account.patches())
        assert account.ports() == {number: 25 if number == 7 else 587 for number in range(1, 21)}
    assert results[0] == results[1]
    assert sent[0] == sorted(sent[0], key=lambda item: int(item[0].rpartition("/")[2]))
    assert sorted(sent[0], key=str) == sorted(sent[1], key=str)


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_all_pages_are_read(command: list[str], relays: Relays) -> None:
    account = relays(8, page_size=3)
    account.run(*command).expect(0, out="Plan: 0 to add, 8 to change, 0 to destroy. 0 unchanged.")
    offsets = [entry["query"].get("offset") for entry in account.requests("GET")]
    assert offsets[:4] == [None, "2", "4", "6"]  # each page begins with the last of the one before


def test_pages_that_end_with_a_full_one(relays: Relays) -> None:
    account = relays(6, page_size=3)
    assert "6 to change" in account.run("plan").out
    assert len(account.requests("GET")) <= 3


def test_only_email_monitors_are_asked_for(relays: Relays) -> None:
    website = {"id": 900, "type": "website", "name": "Not ours"}
    account = relays(1, website)
    done = account.run("plan")
    assert "without a manifest" not in done.out
    (read,) = account.requests("GET")
    kinds = "email-imap,email-pop,email-round-trip,email-smtp"
    assert read["query"] == {"type": kinds}


def test_live_number_with_too_many_digits_is_no_bug(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-smtp", "one", 1, port=587)
    account = sandbox(monitor("email-smtp", 1, port="9" * 5000))
    account.apply().expect(0)
    assert account.patches() == [_FIRST]


def test_lost_stderr_does_not_lose_the_result(relays: Relays, start: Start) -> None:
    account = relays(4, faults=["PATCH * delay=0.2"])
    process = start(*_APPLY, "--parallelism", "1", "--json", env=account.env)
    process.read_until("[1/4]")
    process.popen.stderr.close()
    out, _ = process.popen.communicate()
    assert '"done": 4' in out
    assert process.popen.returncode == 0
    assert set(account.ports().values()) == {587}


@pytest.mark.parametrize("closed", ["1>&-", "2>&-"])
def test_closed_stream_does_not_stop_an_apply(
    closed: str,
    workspace: Workspace,
    base_env: dict[str, str],
    executable: list[str],
    relays: Relays,
) -> None:
    account = relays(1)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *executable, *_APPLY],
        cwd=workspace.root,
        env=base_env | account.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=45,
        check=False,
    )
    assert "unexpected error" not in done.stderr
    assert done.returncode == 0
    assert account.patches() == [_FIRST]
