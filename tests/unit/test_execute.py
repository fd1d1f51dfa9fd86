import threading
from collections.abc import Callable

import pytest

from reconciler.context import SYSTEM, Cancellation, Reporter
from reconciler.core.plan import Change
from reconciler.core.planner import decide
from reconciler.core.result import Outcome, Status
from reconciler.errors import (
    AlertSiteError,
    CredentialsError,
    NonsenseError,
    RejectedError,
    UnavailableError,
)
from reconciler.usecases.apply import PATIENCE, Execution, execute

from build import ACCOUNT, SCHEMAS, desired, live

NUMBERS = range(1, 21)
CHANGES = decide(
    ACCOUNT,
    [desired({"port": 587}, name=f"relay-{number:02}", id=number) for number in NUMBERS],
    {},
    [live(id=number) for number in NUMBERS],
    SCHEMAS.kinds,
).changes


def run(
    send: Callable[[Change], int | None],
    *,
    parallelism: int = 4,
    fail_fast: bool = False,
    cancellation: Cancellation | None = None,
) -> tuple[list[Status], list[Outcome]]:
    shown: list[Outcome] = []
    cancellation = cancellation or Cancellation(SYSTEM)
    execution = Execution(parallelism, fail_fast, cancellation, Reporter(print), SYSTEM, 0.0)
    outcomes = execute(CHANGES, send, execution, shown.extend)
    assert [outcome.change for outcome in outcomes] == list(CHANGES)
    assert sorted(shown, key=lambda outcome: outcome.change.address) == list(outcomes)
    return [outcome.status for outcome in outcomes], shown


def test_every_change_is_sent_once_and_all_are_done() -> None:
    sent: list[Change] = []
    statuses, _ = run(lambda change: (sent.append(change), None)[1])
    assert set(statuses) == {Status.DONE}
    assert sorted(sent, key=lambda change: change.address) == list(CHANGES)


def test_no_more_are_in_flight_than_asked_for() -> None:
    lock, both = threading.Lock(), threading.Barrier(2)
    flying, most = 0, 0

    def send(_: Change) -> None:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        both.wait(10)
        with lock:
            flying -= 1

    run(send, parallelism=2)
    assert most == 2


def test_one_failure_does_not_stop_the_others() -> None:
    def send(change: Change) -> None:
        if change.id == 3:
            raise RejectedError("400 Bad Request: no")

    statuses, _ = run(send)
    assert statuses.count(Status.DONE) == len(CHANGES) - 1
    assert statuses[2] is Status.FAILED


def test_fail_fast_starts_nothing_new() -> None:
    def send(change: Change) -> None:
        if change.id == 3:
            raise RejectedError("400 Bad Request: no")

    statuses, shown = run(send, parallelism=1, fail_fast=True)
    assert statuses[:3] == [Status.DONE, Status.DONE, Status.FAILED]
    assert set(statuses[3:]) == {Status.NOT_STARTED}
    assert shown[-1].message == "email-smtp/relay-03 failed"


def test_refused_credentials_start_nothing_new() -> None:
    def send(_: Change) -> None:
        raise CredentialsError("no")

    statuses, _ = run(send, parallelism=1)
    assert statuses == [Status.FAILED, *[Status.NOT_STARTED] * (len(CHANGES) - 1)]


def test_a_stop_lets_what_is_in_flight_finish() -> None:
    cancellation = Cancellation(SYSTEM)

    def send(change: Change) -> None:
        if change.id == 2:
            cancellation.interrupt()

    statuses, shown = run(send, parallelism=1, cancellation=cancellation)
    assert statuses[:2] == [Status.DONE, Status.DONE]
    assert set(statuses[2:]) == {Status.NOT_STARTED}
    assert shown[-1].message == "the run was interrupted"


def test_what_may_have_arrived_is_unconfirmed() -> None:
    def send(_: Change) -> None:
        error = RejectedError("400 Bad Request: no")
        error.may_have_arrived = True
        raise error

    statuses, _ = run(send)
    assert set(statuses) == {Status.UNCONFIRMED}


@pytest.mark.parametrize("kind", [UnavailableError, NonsenseError])
def test_an_alertsite_that_stays_away_is_not_asked_for_ever(kind: type[AlertSiteError]) -> None:
    def send(_: Change) -> None:
        error = kind("down")
        error.may_have_arrived = False
        raise error

    statuses, shown = run(send, parallelism=1)
    assert statuses.count(Status.FAILED) == PATIENCE
    assert statuses.count(Status.NOT_STARTED) == len(CHANGES) - PATIENCE
    assert "unavailable" in shown[-1].message


def test_an_alertsite_that_comes_back_is_asked_on() -> None:
    def send(change: Change) -> None:
        if change.id and change.id % PATIENCE:
            raise UnavailableError("down")

    statuses, _ = run(send, parallelism=1)
    assert Status.NOT_STARTED not in statuses


@pytest.mark.parametrize("failure", [KeyError("x"), SystemExit("https://u:pw@host")])
def test_a_bug_in_one_change_does_not_cost_the_report_on_the_others(
    failure: BaseException,
) -> None:
    def send(change: Change) -> None:
        if change.id == 3:
            raise failure

    statuses, shown = run(send)
    assert statuses.count(Status.DONE) == len(CHANGES) - 1
    assert [item.message for item in shown if item.message] == [
        f"unexpected error: {type(failure).__name__}: {failure}".replace("u:pw@", "")
    ]


def test_the_id_of_a_new_monitor_is_in_its_outcome() -> None:
    _, shown = run(lambda change: 1000 + (change.id or 0))
    assert all(item.id == 1000 + (item.change.id or 0) for item in shown)


def test_outcomes_come_in_the_calling_thread() -> None:
    threads = set()
    execution = Execution(
        parallelism=4,
        fail_fast=False,
        cancellation=Cancellation(SYSTEM),
        reporter=Reporter(print),
        clock=SYSTEM,
        grace=0.0,
    )
    execute(CHANGES, lambda _: None, execution, lambda _: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}
