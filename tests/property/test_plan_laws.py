"""Laws of plans: their order, their JSON and the schema of it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Desired, Live, Origin
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Action, BindingAction, Plan
from reconciler.core.state import Record

from build import SCHEMAS, desired, live, planned, record
from documents import check

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=5),
        "port": st.integers(1, 3),
        "enabled": st.booleans(),
        "locations": st.lists(st.fixed_dictionaries({"id": st.integers(1, 4)}), max_size=3),
        "home_location": st.integers(1, 4),
        "unknown": st.dictionaries(st.text(max_size=3), st.integers(0, 2), max_size=2),
    },
)
ORIGINS = st.builds(
    Origin, st.sampled_from(["a.yaml", "b/ü.yaml"]), st.integers(0, 3), st.integers(1, 99)
)
NUMBERS = st.integers(1, 6)


@st.composite
def fleets(draw: st.DrawFn) -> list[Desired]:
    """Manifests with unique addresses and ids."""
    numbers = draw(st.lists(NUMBERS, unique=True))
    return [
        desired(
            draw(FIELDS),
            kind=draw(st.sampled_from(sorted(SCHEMAS.kinds))),
            name=f"m{number}",
            id=draw(st.sampled_from([number, number, None])),
        )._replace(origin=draw(ORIGINS))
        for number in numbers
    ]


ACCOUNTS = st.lists(
    st.builds(
        lambda fields, kind, number: live(fields, type=kind, id=number),
        FIELDS,
        st.sampled_from([*SCHEMAS.kinds, "website", None]),
        NUMBERS,
    ),
    unique_by=lambda monitor: monitor.id,
)


RECORDS = st.dictionaries(
    st.builds("{}/m{}".format, st.sampled_from(sorted(SCHEMAS.kinds)), NUMBERS),
    st.builds(lambda number, fields: record(fields, id=number), NUMBERS, FIELDS),
    max_size=4,
)
"""Records may contradict the manifests, each other and AlertSite."""
RULES = st.sampled_from([PlanOptions(), PlanOptions(adopt=True)])


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_json_fits_its_schema_and_gives_the_plan_again(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    one = planned(fleet, account, records, rules)
    data = json.loads(json.dumps(one.to_json()))
    check(data, "plan")
    again = Plan.from_json(data)
    assert again == one
    assert again.digest == one.digest


@given(fleets(), ACCOUNTS, RECORDS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], random: Any
) -> None:
    one = planned(fleet, account, records)
    random.shuffle(fleet)
    random.shuffle(account)
    pairs = list(records.items())
    random.shuffle(pairs)
    again = planned(fleet, account, dict(pairs))
    assert json.dumps(again.to_json()) == json.dumps(one.to_json())


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_every_manifest_is_decided_once(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    one = planned(fleet, account, records, rules)
    decided = [item.address for item in (*one.changes, *one.refusals)]
    assert len(decided) == len(set(decided))
    assert len(decided) + one.unchanged == len(fleet)
    assert decided == sorted(decided[: len(one.changes)]) + sorted(decided[len(one.changes) :])


@given(fleets(), ACCOUNTS, RECORDS)
def test_no_two_changes_are_about_one_monitor(
    fleet: list[Desired], account: list[Live], records: dict[str, Record]
) -> None:
    changes = planned(fleet, account, records).changes
    ids = [change.id for change in changes if change.id is not None]
    assert len(ids) == len(set(ids))


@given(fleets(), ACCOUNTS, RECORDS, RULES)
def test_a_plan_after_its_changes_has_none(
    fleet: list[Desired], account: list[Live], records: dict[str, Record], rules: PlanOptions
) -> None:
    one = planned(fleet, account, records, rules)
    bodies = {change.id: change.body for change in one.changes}
    after = [
        monitor._replace(fields={**monitor.fields, **bodies.get(monitor.id, {})})
        for monitor in account
    ]
    bound = dict(records)
    for binding in one.binding(BindingAction.ADOPT):
        bound[binding.address] = record(id=binding.id)
    for number, change in enumerate(one.having(Action.CREATE), start=100):
        after.append(live(dict(change.body), type=change.kind, id=number))
        bound[change.address] = record(id=number)
    assert planned(fleet, after, bound, rules).changes == ()
