import pytest

from reconciler.core.model import Live
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Change, Loss, Plan
from reconciler.core.planner import decide
from reconciler.core.result import Outcome, Result, Status, confirm, losses_of, with_idle
from reconciler.errors import ExitCode
from reconciler.render.markdown import result_markdown
from reconciler.render.results import result_text
from reconciler.render.view import View

from build import ACCOUNT, SCHEMAS, desired, live, record
from documents import check

KINDS = SCHEMAS.kinds


def change(name: str = "relay", id: int = 1) -> Change:
    plan = decide(ACCOUNT, [desired({"port": 587}, name=name, id=id)], {}, [live(id=id)], KINDS)
    return plan.changes[0]


def create() -> Change:
    manifest = desired({"name": "Relay", "port": 587}, id=None)
    return decide(ACCOUNT, [manifest], {}, [], KINDS).changes[0]


def outcome(status: Status, code: ExitCode = ExitCode.PARTIAL) -> Outcome:
    return Outcome(change(), status, "reason", code)


DONE = outcome(Status.DONE)
REJECTED = outcome(Status.FAILED)
FORBIDDEN = outcome(Status.FAILED, ExitCode.CREDENTIALS)
DOWN = outcome(Status.FAILED, ExitCode.UNAVAILABLE)
UNCONFIRMED = outcome(Status.UNCONFIRMED, ExitCode.UNAVAILABLE)
NOT_KEPT = outcome(Status.NOT_KEPT)
NOT_STARTED = outcome(Status.NOT_STARTED)
MOVED = outcome(Status.MOVED, ExitCode.REFUSED)

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
    "all moved": ([MOVED, MOVED], ExitCode.REFUSED),
    "a part moved": ([DONE, MOVED], ExitCode.PARTIAL),
}


@pytest.mark.parametrize(("outcomes", "code"), CODES.values(), ids=CODES)
def test_the_exit_code_of_a_result(outcomes: list[Outcome], code: ExitCode) -> None:
    result = Result(ACCOUNT, tuple(outcomes))
    assert result.exit_code is code
    check(result.to_json(), "result")


def test_an_interrupted_run_says_so_first() -> None:
    assert Result(ACCOUNT, (DONE,), interrupted=True).exit_code is ExitCode.INTERRUPTED


def test_a_run_that_could_not_keep_the_state_says_so() -> None:
    result = Result(ACCOUNT, (DONE,), is_recorded=False)
    assert result.exit_code is ExitCode.LOCKED
    check(result.to_json(), "result")


def after(port: object, *, gone: bool = False) -> Plan:
    monitors = [] if gone else [live({"port": port})]
    return decide(ACCOUNT, [desired({"port": 587})], {}, monitors, KINDS)


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
    (confirmed,) = confirm([before], plan, {})
    assert confirmed.status is status


def test_what_may_have_happened_and_did_not_says_so() -> None:
    """The progress called it unconfirmed; what is said in the end must fit that."""
    (confirmed,) = confirm([UNCONFIRMED], after(25), {})
    assert confirmed.message == f"not changed: {UNCONFIRMED.message}"
    rules = PlanOptions(prune=True)
    plan = decide(ACCOUNT, [], {"email-smtp/relay": record()}, [live()], KINDS, rules)
    retired = Outcome(plan.changes[0], Status.UNCONFIRMED, "no response in time")
    (confirmed,) = confirm([retired], plan, {})
    assert confirmed.status is Status.FAILED
    assert confirmed.message == "not deleted: no response in time"


def test_a_value_that_was_not_kept_names_both_sides() -> None:
    (confirmed,) = confirm([DONE], after(25), {})
    assert [(item.field, item.after, item.before) for item in confirmed.not_kept] == [
        ("port", 587, 25)
    ]


@pytest.mark.parametrize("status", [Status.DONE, Status.UNCONFIRMED])
def test_a_monitor_that_is_switched_off_by_another_change_is_not_said_to_be_sent_so(
    status: Status,
) -> None:
    manifest = desired({"port": 587, "enabled": True})
    plan = decide(ACCOUNT, [manifest], {}, [live({"port": 587, "enabled": False})], KINDS)
    (confirmed,) = confirm([Outcome(change(), status)], plan, {})
    assert confirmed.status is Status.NOT_KEPT
    assert [item.field for item in confirmed.unsent] == ["enabled"]
    text = str(result_text(Result(ACCOUNT, (confirmed,))))
    assert "has what was sent, but a field that was not sent has changed" in text
    assert "enabled: not sent; the manifest has true, AlertSite has false" in text
    assert "Run the same command again. If AlertSite again changes" in text
    check(Result(ACCOUNT, (confirmed,)).to_json(), "result")


def test_a_field_that_drifts_meanwhile_does_not_take_back_what_was_done() -> None:
    manifest = desired({"port": 587, "note": "x"})
    plan = decide(ACCOUNT, [manifest], {}, [live({"port": 587, "note": "drift"})], KINDS)
    (confirmed,) = confirm([DONE], plan, {})
    assert confirmed.status is Status.DONE


class TestCreates:
    MANIFEST = desired({"name": "Relay", "port": 587}, id=None)
    LOST = Outcome(create(), Status.UNCONFIRMED, "no response in time")
    MADE = Outcome(create(), Status.DONE, created=7)

    def after(self, monitors: list[Live]) -> Plan:
        records = {"email-smtp/relay": record(id=7)}
        return decide(ACCOUNT, [self.MANIFEST], records, monitors, KINDS)

    def test_one_that_is_found_is_done_and_has_its_id(self) -> None:
        plan = self.after([live(dict(self.MANIFEST.fields), id=7)])
        (confirmed,) = confirm([self.LOST], plan, {"email-smtp/relay": 7})
        assert (confirmed.status, confirmed.id, confirmed.message) == (Status.DONE, 7, "")

    def test_one_that_is_not_found_stays_unconfirmed(self) -> None:
        (confirmed,) = confirm([self.LOST], self.after([]), {})
        assert (confirmed.status, confirmed.id) == (Status.UNCONFIRMED, None)

    def test_one_that_has_made_nothing_says_so(self) -> None:
        (confirmed,) = confirm([self.LOST], self.after([]), {}, ["email-smtp/relay"])
        assert confirmed.status is Status.FAILED
        assert confirmed.message == "not created: no response in time"

    def test_one_that_was_accepted_and_is_not_listed_is_unconfirmed(self) -> None:
        (confirmed,) = confirm([self.MADE], self.after([]), {"email-smtp/relay": 7})
        assert (confirmed.status, confirmed.id) == (Status.UNCONFIRMED, 7)
        assert confirmed.message.endswith("does not have monitor 7")

    def test_one_beside_another_says_where_an_earlier_one_is_named(self) -> None:
        fields = dict(self.MANIFEST.fields)
        plan = self.after([live(fields, id=7), live(fields, id=8)])
        (confirmed,) = confirm([self.MADE], plan, {"email-smtp/relay": 7})
        assert (confirmed.status, confirmed.id) == (Status.DOUBLED, 7)
        assert "monitor 8 of the same kind and name" in confirmed.message
        assert "this state, which reconciler history email-smtp/relay shows" in confirmed.message

    def test_one_with_another_value_is_not_kept(self) -> None:
        plan = self.after([live({"name": "Relay", "port": 25}, id=7)])
        (confirmed,) = confirm([self.MADE], plan, {"email-smtp/relay": 7})
        assert confirmed.status is Status.NOT_KEPT
        assert [item.field for item in confirmed.not_kept] == ["port"]


IDLE = "it is there but does not run: "


@pytest.mark.parametrize(
    ("manifest", "has", "why"),
    [
        ({}, {"enabled": False}, f"{IDLE}enabled is false, and the manifest does not set that"),
        ({}, {"enabled": "n", "locations": []}, f"{IDLE}enabled is false"),
        ({}, {"locations": []}, f"{IDLE}it has no locations"),
        ({"enabled": False, "locations": []}, {"enabled": False, "locations": []}, ""),
        ({}, {"enabled": True, "locations": [{"id": 10}]}, ""),
        ({}, {}, ""),
    ],
)
def test_a_new_monitor_that_does_not_run_is_done_and_says_so(
    manifest: dict[str, object], has: dict[str, object], why: str
) -> None:
    manifests = {"email-smtp/relay": desired({"name": "Relay"} | manifest, id=None)}
    done = Outcome(create(), Status.DONE, created=7)
    (found,) = with_idle([done], {7: live(has, id=7)}, manifests)
    assert found.status is Status.DONE
    assert found.message[: len(why) or None] == why
    result = Result(ACCOUNT, (found,))
    assert result.exit_code is ExitCode.OK
    assert (f"! email-smtp/relay done: {why}" in result_text(result)) == bool(why)
    assert (f"! email-smtp/relay done: {why}" in result_markdown(result, View())) == bool(why)
    assert "Apply complete! Resources: 1 added" in result_text(result)
    check(result.to_json(), "result")


def test_many_that_do_not_run_are_one_line() -> None:
    found = tuple(Outcome(create(), Status.DONE, "idle", created=number) for number in range(1, 40))
    assert "! 39 changes (email-smtp/relay, " in result_text(Result(ACCOUNT, found))


def test_an_update_whose_monitor_is_gone_is_not_kept() -> None:
    records = {"email-smtp/relay": record()}
    plan = decide(ACCOUNT, [desired({"name": "x"}, id=None)], records, [], KINDS)
    (confirmed,) = confirm([DONE], plan, {})
    assert (confirmed.status, "deleted" in confirmed.message) == (Status.NOT_KEPT, True)


def test_whether_a_secret_arrived_cannot_be_read() -> None:
    manifest = desired(secrets={"word": {"secretRef": {"env": "X"}}})
    rules = PlanOptions(write_secrets=True)
    (change,) = decide(ACCOUNT, [manifest], {}, [live()], KINDS, rules).changes
    plan = decide(ACCOUNT, [manifest], {}, [live()], KINDS)
    (confirmed,) = confirm([Outcome(change, Status.UNCONFIRMED)], plan, {})
    assert confirmed.status is Status.UNCONFIRMED


def test_what_moved_takes_its_place_among_the_outcomes() -> None:
    last, first = Outcome(change("b"), Status.DONE), Outcome(change("a"), Status.MOVED)
    result = Result(ACCOUNT, (last,)).with_moved((first,))
    assert [item.change.address for item in result.outcomes] == ["email-smtp/a", "email-smtp/b"]
    check(result.to_json(), "result")


class TestLosses:
    """What came about of a loss when AlertSite has something else than was sent."""

    def of_update(self, has: int) -> tuple[Loss, ...]:
        manifest = desired({"interval": 60})
        plan = decide(ACCOUNT, [manifest], {}, [live({"interval": 5})], KINDS)
        after = decide(ACCOUNT, [manifest], {}, [live({"interval": has})], KINDS)
        (found,) = confirm([Outcome(plan.changes[0], Status.DONE)], after, {})
        assert plan.coverage.losses
        return losses_of(plan.coverage.losses, [found])

    def test_a_value_that_stayed_costs_nothing(self) -> None:
        assert not self.of_update(5)

    def test_one_that_is_neither_the_old_nor_the_new_does(self) -> None:
        (loss,) = self.of_update(30)
        assert loss.fields == {"interval": "stretched"}

    def test_a_monitor_that_vanished_is_lost_whatever_was_kept_of_the_new_one(self) -> None:
        manifest = desired({"name": "Relay", "port": 587}, id=None)
        known = {manifest.address: record({"name": "Relay", "port": 587}, id=7)}
        plan = decide(ACCOUNT, [manifest], known, [], KINDS)
        bound = {manifest.address: record({"name": "Relay"}, id=8)}
        shown = live({"name": "Relay", "port": 25}, id=8)
        after = decide(ACCOUNT, [manifest], bound, [shown], KINDS)
        made = Outcome(plan.changes[0], Status.DONE, created=8)
        (found,) = confirm([made], after, {manifest.address: 8})
        assert found.status is Status.NOT_KEPT
        assert losses_of(plan.coverage.losses, [found]) == plan.coverage.losses
