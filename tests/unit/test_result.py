import json

import jsonschema
import pytest

from reconciler.errors import ExitCode
from reconciler.plan import Change, Plan, decide
from reconciler.result import Outcome, Result, Status, confirm
from reconciler.schema import schema_folder

from build import desired, live

KINDS = ("email-smtp",)
VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((schema_folder() / "result.schema.json").read_text())
)


def change(name: str = "relay", id: int = 1) -> Change:  # noqa: A002 - the field's name
    plan = decide("account", [desired({"port": 587}, name=name, id=id)], [live(id=id)], KINDS)
    return plan.changes[0]


def outcome(status: Status, code: ExitCode = ExitCode.PARTIAL) -> Outcome:
    return Outcome(change(), status, "reason", code)


DONE = outcome(Status.DONE)
REJECTED = outcome(Status.FAILED)
FORBIDDEN = outcome(Status.FAILED, ExitCode.CREDENTIALS)
DOWN = outcome(Status.FAILED, ExitCode.UNAVAILABLE)
UNCONFIRMED = outcome(Status.UNCONFIRMED, ExitCode.UNAVAILABLE)
NOT_KEPT = outcome(Status.NOT_KEPT)
NOT_STARTED = outcome(Status.NOT_STARTED)

CODES = {
    "all ended by a bug": ([outcome(Status.FAILED, ExitCode.BUG)], ExitCode.BUG),
    "nothing to do": ([], ExitCode.OK),
    "all done": ([DONE, DONE], ExitCode.OK),
    "a part done": ([DONE, FORBIDDEN], ExitCode.PARTIAL),
    "all rejected": ([REJECTED], ExitCode.PARTIAL),
    "all forbidden": ([FORBIDDEN, FORBIDDEN], ExitCode.CREDENTIALS),
    "login refused, the rest not started": ([FORBIDDEN, NOT_STARTED], ExitCode.CREDENTIALS),
    "all unavailable": ([DOWN, DOWN], ExitCode.UNAVAILABLE),
    "failed for different reasons": ([DOWN, FORBIDDEN], ExitCode.PARTIAL),
    "one may have happened": ([DOWN, UNCONFIRMED], ExitCode.PARTIAL),
    "not kept": ([NOT_KEPT], ExitCode.PARTIAL),
    "not started": ([NOT_STARTED], ExitCode.PARTIAL),
}


@pytest.mark.parametrize(("outcomes", "code"), CODES.values(), ids=CODES)
def test_the_exit_code_of_a_result(outcomes: list[Outcome], code: ExitCode) -> None:
    result = Result("account", tuple(outcomes))
    assert result.exit_code is code
    VALIDATOR.validate(result.to_json())


def test_an_interrupted_run_says_so_first() -> None:
    assert Result("account", (DONE,), interrupted=True).exit_code is ExitCode.INTERRUPTED


def after(port: object, *, gone: bool = False) -> Plan:
    monitors = [] if gone else [live({"port": port})]
    return decide("account", [desired({"port": 587})], monitors, KINDS)


CONFIRMED = {
    "done and shown": (DONE, after("587"), Status.DONE),
    "done and not shown": (DONE, after(25), Status.NOT_KEPT),
    "done and gone": (DONE, after(25, gone=True), Status.NOT_KEPT),
    "may have happened and did": (UNCONFIRMED, after(587), Status.DONE),
    "may have happened and did not": (UNCONFIRMED, after(25), Status.FAILED),
    "failed": (REJECTED, after(25), Status.FAILED),
    "not started": (NOT_STARTED, after(25), Status.NOT_STARTED),
}


@pytest.mark.parametrize(("before", "plan", "status"), CONFIRMED.values(), ids=CONFIRMED)
def test_only_what_alertsite_shows_counts(before: Outcome, plan: Plan, status: Status) -> None:
    (confirmed,) = confirm([before], plan)
    assert confirmed.status is status


def test_a_value_that_was_not_kept_names_both_sides() -> None:
    (confirmed,) = confirm([DONE], after(25))
    assert [(item.field, item.after, item.before) for item in confirmed.not_kept] == [
        ("port", 587, 25)
    ]


def test_a_field_that_drifts_meanwhile_does_not_take_back_what_was_done() -> None:
    manifest = desired({"port": 587, "note": "x"})
    plan = decide("account", [manifest], [live({"port": 587, "note": "drift"})], KINDS)
    (confirmed,) = confirm([DONE], plan)
    assert confirmed.status is Status.DONE
