"""What takes a run back: decided from its record, the records of the state and live."""

from typing import Any

import pytest

from reconciler.core.model import Account, Desired, Live
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Action, Plan, Reason
from reconciler.core.planner import decide
from reconciler.core.result import Status
from reconciler.core.run_record import About, Rebinding, RunChange, RunField, RunRecord
from reconciler.core.state import Record
from reconciler.core.undo import (
    Repeated,
    Undoing,
    is_undone,
    matches_nothing,
    repeated,
    reviewed,
    undoing,
)

from build import ORIGIN, SCHEMAS, desired

KINDS = SCHEMAS.kinds
ADDRESS = "email-smtp/relay"


def run(*changes: RunChange, bindings: tuple[Rebinding, ...] = ()) -> RunRecord:
    return RunRecord(About("run-1", "apply", "2026-01-02T03:04:05Z"), changes, bindings)


def update(*fields: RunField, status: Status = Status.DONE) -> RunChange:
    return RunChange(Action.UPDATE, ADDRESS, 1, status, fields=fields)


def record(number: int = 1, **fields: Any) -> Record:
    return Record(number, fields, {}, "", "run-1")


def planned(found: Undoing, records: dict[str, Record], *live: Live) -> Plan:
    rules = PlanOptions(found.targets, prune=True)
    plan = decide(Account("default", "x"), found.desired, records, live, KINDS, rules)
    return reviewed(plan, found, live, KINDS)


PORT = RunField("port", 25, 587, was_applied=True)


def test_a_field_gets_the_value_that_it_had() -> None:
    records = {ADDRESS: record(port=587, name="Relay")}
    found = undoing(run(update(PORT)), records, KINDS)
    plan = planned(found, records, Live(1, "email-smtp", {"port": 587, "name": "Other"}))
    (change,) = plan.changes
    assert (change.body, change.origin) == ({"port": 25}, None)
    assert not plan.notes
    assert not plan.refusals


@pytest.mark.parametrize(("port", "codes"), [(587, []), (25, []), (465, ["moved"])])
def test_only_a_third_value_has_moved(port: int, codes: list[str]) -> None:
    records = {ADDRESS: record(port=587)}
    found = undoing(run(update(PORT)), records, KINDS)
    plan = planned(found, records, Live(1, "email-smtp", {"port": port}))
    assert [item.code for item in plan.refusals] == codes
    assert len(plan.changes) == (port == 587)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (RunField("password", None, {"secretRef": {"env": "A"}}, "env:A"), "it is a secret"),
        (RunField("mailbox_folder", "(hidden)", "INBOX"), "may be a secret"),
        (RunField("timeout", None, 30), "only strings can be cleared"),
    ],
)
def test_what_is_not_known_is_left(field: RunField, words: str) -> None:
    records = {ADDRESS: record(port=587)}
    found = undoing(run(update(PORT, field)), records, KINDS)
    assert [dict(item.fields) for item in found.desired] == [{"port": 25}]
    (left,) = found.left
    assert f"{ADDRESS}.{field.field} stays as it is" in left
    assert words in left


def test_a_text_that_was_not_set_is_cleared() -> None:
    found = undoing(run(update(RunField("note", None, "new"))), {ADDRESS: record()}, KINDS)
    (desired,) = found.desired
    assert desired.fields == {"note": ""}
    assert desired.undo is not None
    assert desired.undo.forgets == {"note"}


@pytest.mark.parametrize("status", [Status.FAILED, Status.NOT_STARTED, Status.MOVED])
def test_what_had_no_effect_is_not_taken_back(status: Status) -> None:
    found = undoing(run(update(PORT, status=status)), {ADDRESS: record()}, KINDS)
    assert not found.targets


def test_a_monitor_that_is_not_ours_any_more_is_not_retired() -> None:
    made = RunChange(Action.CREATE, ADDRESS, 1, Status.DONE, fields=(RunField("port", None, 587),))
    (refusal,) = undoing(run(made), {}, KINDS).refusals
    assert refusal.code == "not-ours"
    records = {ADDRESS: record(port=587)}
    found = undoing(run(made), records, KINDS)
    gone = planned(found, records, Live(1, "email-smtp", {"port": 587}))
    assert [(it.action, it.reason) for it in gone.changes] == [(Action.DELETE, Reason.UNDONE)]
    moved = planned(found, records, Live(1, "email-smtp", {"port": 25}))
    assert (moved.changes, [item.code for item in moved.refusals]) == ((), ["moved"])


def test_a_monitor_that_is_not_ours_any_more_gets_no_value_back() -> None:
    """To send it anything would bind it again, and a prune would then delete it."""
    others = {"email-smtp/other": record(2)}
    found = undoing(run(update(PORT)), others, KINDS)
    assert [item.code for item in found.refusals] == ["not-ours"]
    assert (found.desired, found.targets) == ((), ())


def test_one_that_the_run_bound_and_nothing_binds_any_more_is_left() -> None:
    """As an undo leaves it that was killed at its end."""
    adopted = run(update(PORT), bindings=(Rebinding(ADDRESS, None, 1),))
    found = undoing(adopted, {}, KINDS)
    assert found.left == (f"{ADDRESS} stays as it is: it is no longer bound.",)
    assert (found.desired, found.refusals) == ((), ())


def test_only_the_addresses_of_the_run_are_retired() -> None:
    made = RunChange(Action.CREATE, ADDRESS, 1, Status.DONE)
    records = {ADDRESS: record(), "email-smtp/other": record(2)}
    found = undoing(run(made), records, KINDS)
    live = [Live(number, "email-smtp", {}) for number in (1, 2)]
    assert [item.id for item in planned(found, records, *live).changes] == [1]


def test_a_monitor_that_moved_on_is_found_at_its_address_of_now() -> None:
    records = {"email-smtp/new": record(port=587)}
    found = undoing(run(update(PORT)), records, KINDS)
    assert found.targets == ("email-smtp/new",)


def test_what_a_run_bound_is_looked_up_at_once() -> None:
    """And not by comparing each change with everything that the run bound."""
    compared = 0

    class Counted(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    count = 200
    records = {Counted(f"email-smtp/m{number}"): record(number) for number in range(1, count)}
    changes = [
        update(RunField("port", 1, 2))._replace(address=Counted(address), id=item.id)
        for address, item in records.items()
    ]
    bound = [Rebinding(Counted(address), None, item.id) for address, item in records.items()]
    undoing(run(*changes, bindings=tuple(bound)), records, KINDS)
    assert compared < 20 * count


def test_targets_limit_it() -> None:
    told = run(update(PORT))
    assert not undoing(told, {ADDRESS: record()}, KINDS, ["email-pop/*"]).targets
    assert undoing(told, {ADDRESS: record()}, KINDS, ["email-smtp/*"]).targets == (ADDRESS,)
    assert matches_nothing(told, "email-pop/*")
    assert not matches_nothing(told, ADDRESS)


def test_what_an_undo_that_did_not_end_has_retired_is_done() -> None:
    made = RunChange(Action.CREATE, "email-smtp/new", 2, Status.DONE)
    records = {ADDRESS: record(port=587)}
    found = undoing(run(update(PORT), made), records, KINDS)
    live = Live(1, "email-smtp", {"port": 587})
    assert not planned(found, records, live).refusals
    is_there = planned(found, records, live, Live(2, "email-smtp", {}))
    assert [item.code for item in is_there.refusals] == ["not-ours"]


@pytest.mark.parametrize(("port", "codes"), [(25, []), (465, ["bound"])])
def test_what_was_created_again_is_done_if_it_is_as_it_was(port: int, codes: list[str]) -> None:
    body = {"name": "Relay", "port": 25}
    gone = RunChange(Action.DELETE, ADDRESS, 1, Status.DONE, body=body)
    records = {ADDRESS: record(2, **body)}
    found = undoing(run(gone), records, KINDS)
    plan = planned(found, records, Live(2, "email-smtp", {**body, "port": port}))
    assert not plan.changes
    assert [item.code for item in plan.refusals] == codes


SAID = Repeated(frozenset({ORIGIN.path}), is_released=False, is_retired=False, is_bound=False)
RETIRED = Repeated(frozenset(), is_released=False, is_retired=True, is_bound=False)
LACKED = Repeated(frozenset(), is_released=True, is_retired=False, is_bound=False)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (desired({"port": 587}), SAID),
        (desired({"port": 587}, name="renamed"), SAID),
        (desired({"port": 25}), None),
        (desired({"port": 465}), None),
        (desired({"timeout": 60}), None),
        (None, None),
    ],
    ids=["it", "renamed", "reverted", "edited since", "field removed", "manifest removed"],
)
def test_manifests_repeat_a_change_that_they_still_have(
    manifest: Desired | None, expected: Repeated | None
) -> None:
    assert still(run(update(PORT)), manifest, port=587) == expected


def test_manifests_repeat_what_they_lack_on_purpose() -> None:
    restored = run(update(RunField("timeout", 60, 30, was_applied=True)))
    assert still(restored, desired({"port": 587}), port=587) == LACKED
    assert still(restored, desired({"timeout": 60}), port=587) is None
    disabled = run(update(RunField("enabled", True, False)))
    assert still(disabled, None, enabled=False) == RETIRED
    assert still(disabled, desired({"enabled": True}), enabled=False) is None


def test_manifests_repeat_a_create_and_a_rename() -> None:
    made = run(RunChange(Action.CREATE, ADDRESS, 1, Status.DONE))
    assert still(made, desired({"port": 587}, id=None), port=587) == SAID
    assert still(made, desired({"port": 587}), port=587) == SAID._replace(is_bound=True)
    assert still(made, None, port=587) is None
    renamed = run(bindings=(Rebinding("email-smtp/old", 1, None), Rebinding(ADDRESS, None, 1)))
    assert still(renamed, desired({"port": 587}, id=None)) == SAID
    assert still(renamed, desired({"port": 587}, id=None, name="old")) is None


def test_a_manifest_that_was_bound_by_the_run_repeats_only_values() -> None:
    told = run(update(PORT), bindings=(Rebinding(ADDRESS, None, 1),))
    assert still(told, desired({"port": 587}), port=587) == SAID
    assert still(told, desired({"port": 25}), port=587) is None


def still(told: RunRecord, manifest: Desired | None, **fields: Any) -> Repeated | None:
    """What of the run the only manifest repeats, if all of it is undone."""
    records = {ADDRESS: record(**fields)}
    found = undoing(told, records, KINDS)
    plan = planned(
        found, records, Live(1, "email-smtp", {"enabled": False, "timeout": 30, **fields})
    )
    assert plan.changes or plan.bindings
    fleet = {} if manifest is None else {manifest.address: manifest}
    return repeated(plan, found, fleet, records)


SECRET = RunField("password", None, {"secretRef": {"env": "A"}}, "env:A")
BACK = RunField("port", 587, 25, was_applied=True)


@pytest.mark.parametrize(
    ("told", "undos", "expected"),
    [
        (run(update(PORT)), [], False),
        (run(update(PORT)), [run(update(BACK))], True),
        (run(update(PORT)), [run(update(BACK, status=Status.UNCONFIRMED))], False),
        (run(update(PORT, status=Status.FAILED)), [], True),
        (run(update(SECRET)), [], True),
        (
            run(update(PORT), RunChange(Action.DELETE, "email-pop/a", 2, Status.DONE)),
            [run(update(BACK)), run(RunChange(Action.CREATE, "email-pop/a", 3, Status.DONE))],
            True,
        ),
        (
            run(update(PORT), RunChange(Action.DELETE, "email-pop/a", 2, Status.DONE)),
            [run(update(BACK))],
            False,
        ),
        (run(bindings=(Rebinding(ADDRESS, None, 1),)), [], False),
        (
            run(bindings=(Rebinding(ADDRESS, None, 1),)),
            [run(bindings=(Rebinding(ADDRESS, 1, None),))],
            True,
        ),
        (run(bindings=(Rebinding(ADDRESS, 1, None),)), [], True),
    ],
)
def test_a_run_is_undone_when_all_that_can_be_is(
    told: RunRecord, undos: list[RunRecord], *, expected: bool
) -> None:
    assert is_undone(told, undos) is expected
