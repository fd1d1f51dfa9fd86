"""Laws of pruning: what is retired is ours, alone, unprotected and unwanted; then it is over."""

import json
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Desired, Live
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Action, BindingAction, Plan
from reconciler.core.state import Record

from build import desired, live, planned, record
from documents import check

KINDS = ["email-imap", "email-smtp"]
NUMBERS = st.integers(1, 6)
NAMES = st.builds("m{}".format, NUMBERS)
FIELDS = st.fixed_dictionaries(
    {"name": st.sampled_from("abc")},
    optional={
        "enabled": st.booleans(),
        "interval": st.integers(1, 3),
        "locations": st.lists(st.fixed_dictionaries({"id": st.integers(1, 3)}), max_size=2),
    },
)
RECORDS = st.dictionaries(
    st.builds("{}/{}".format, st.sampled_from(KINDS), NAMES),
    st.builds(
        lambda number, fields, protect, retire: record(fields, id=number)._replace(
            protect=protect, retire=retire
        ),
        NUMBERS,
        FIELDS,
        st.booleans(),
        st.sampled_from(["delete", "delete", "disable"]),
    ),
    max_size=5,
)
ACCOUNTS = st.lists(
    st.builds(
        lambda fields, kind, number: live(fields, type=kind, id=number),
        FIELDS,
        st.sampled_from([*KINDS, "website", None]),
        NUMBERS,
    ),
    unique_by=lambda monitor: monitor.id,
)
RULES = st.builds(
    PlanOptions,
    prune=st.just(True),
    keep=st.lists(st.sampled_from(["email-smtp/*", "*/m1", "email-imap/m2"]), max_size=1),
    targets=st.lists(st.sampled_from(["email-smtp/*", "*/m[1-3]"]), max_size=1),
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Desired]:
    """Manifests with unique addresses and ids, some with former names."""
    found = {}
    for number in draw(st.lists(NUMBERS, unique=True, max_size=4)):
        item = desired(
            draw(FIELDS),
            kind=draw(st.sampled_from(KINDS)),
            name=draw(NAMES),
            id=draw(st.sampled_from([number, None])),
        )
        found[item.address] = item._replace(previously=tuple(draw(st.lists(NAMES, max_size=2))))
    return list(found.values())


def carried_out(plan: Plan, account: list[Live]) -> list[Live]:
    """The account after all changes of a plan."""
    gone = {change.id for change in plan.having(Action.DELETE)}
    bodies = {change.id: change.body for change in plan.having(Action.UPDATE)}
    after = [
        monitor._replace(fields={**monitor.fields, **bodies.get(monitor.id, {})})
        for monitor in account
        if monitor.id not in gone
    ]
    for number, change in enumerate(plan.having(Action.CREATE), start=100):
        after.append(live(dict(change.body), type=change.kind, id=number))
    return after


def remembered(plan: Plan, records: dict[str, Record], fleet: list[Desired]) -> dict[str, Record]:
    """The records after it."""
    after = dict(records)
    moved = {item.address: after.pop(str(item.before)) for item in plan.binding(BindingAction.MOVE)}
    after |= moved
    for binding in plan.binding(BindingAction.FORGET):
        del after[binding.address]
    for change in plan.having(Action.DELETE):
        del after[change.address]
    for number, change in enumerate(plan.having(Action.CREATE), start=100):
        after[change.address] = record(id=number)
    settled = {item.address: item.previously for item in fleet}
    return {
        address: item._replace(previously=settled.get(address, item.previously))
        for address, item in after.items()
    }


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_what_is_retired_is_ours_and_neither_wanted_nor_kept(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    plan = planned(fleet, account, records, rules)
    described = {item.address for item in fleet}
    wanted = {item.id for item in fleet}
    for change in plan.changes:
        if not change.is_retirement:
            assert change.origin is not None
            continue
        known = records[change.address]
        assert (change.id, known.protect) == (known.id, False)
        assert change.address not in described
        assert change.id not in wanted
        assert not any(fnmatchcase(change.address, kept) for kept in rules.keep)


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_nothing_is_created_beside_the_monitor_of_a_former_name(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    fleet = [item._replace(id=None) for item in fleet]
    plan = planned(fleet, account, records, rules._replace(targets=()))
    by_address = {item.address: item for item in fleet}
    moved = {str(item.before) for item in plan.binding(BindingAction.MOVE)}
    ids = {monitor.id for monitor in account}
    there = {address for address, item in records.items() if item.id in ids}
    for change in plan.having(Action.CREATE) if not plan.refusals else ():
        if change.address not in records:  # else its own monitor is gone
            former = {f"{change.kind}/{name}" for name in by_address[change.address].previously}
            if not former & moved:  # else the monitor of the record that moves is gone
                assert not former & there - by_address.keys()


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_no_two_changes_are_about_one_monitor(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    changes = planned(fleet, account, records, rules).changes
    ids = [change.id for change in changes if change.id is not None]
    assert len(ids) == len(set(ids))


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_without_pruning_nothing_is_retired_and_the_rest_is_the_same(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    pruned = planned(fleet, account, records, rules)
    plan = planned(fleet, account, records, rules._replace(prune=False))
    assert plan.changes == tuple(item for item in pruned.changes if not item.is_retirement)
    assert (plan.unchanged, plan.unmanaged) == (pruned.unchanged, pruned.unmanaged)


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_a_plan_after_its_changes_has_none(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    plan = planned(fleet, account, records, rules)
    again = planned(fleet, carried_out(plan, account), remembered(plan, records, fleet), rules)
    # What was refused may be free afterwards, such as one of two records of one monitor.
    refused = {item.address for item in plan.refusals}
    assert {change.address for change in again.changes} <= refused


@given(fleets(), ACCOUNTS, RECORDS, RULES, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(
    fleet: list[Desired],
    account: list[Live],
    records: dict[str, Record],
    rules: PlanOptions,
    random: Any,
) -> None:
    plan = planned(fleet, account, records, rules)
    pairs = list(records.items())
    for items in (fleet, account, pairs):
        random.shuffle(items)
    again = planned(fleet, account, dict(pairs), rules)
    assert json.dumps(again.to_json()) == json.dumps(plan.to_json())


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_json_fits_its_schema_and_gives_the_plan_again(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    plan = planned(fleet, account, records, rules)
    data = json.loads(json.dumps(plan.to_json()))
    check(data, "plan")
    assert Plan.from_json(data) == plan


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_whoever_is_retired_is_counted_as_a_loss(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    plan = planned(fleet, account, records, rules)
    lost = {loss.address: loss.causes for loss in plan.coverage.losses}
    for change in plan.changes:
        if change.is_retirement:
            word = "deleted" if change.action is Action.DELETE else "disabled"
            assert lost[change.address] == (word,)
    assert len(lost) <= plan.coverage.managed
