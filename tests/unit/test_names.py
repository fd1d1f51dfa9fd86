"""What AlertSite calls the ids of a plan."""

from typing import Any

from reconciler.core.names import Name, find_members
from reconciler.core.plan import Plan
from reconciler.core.planner import decide
from reconciler.render.fields import member_text

from build import ACCOUNT, SCHEMAS, desired, live

ATLANTA, BOSTON = {"id": 20, "name": "Atlanta (GA)"}, {"id": "30", "name": "Boston"}
MIAMI = {"id": 10, "name": "Miami", "region": 1}


def names(wants: dict[str, Any], has: dict[str, Any], *others: dict[str, Any]) -> tuple[Name, ...]:
    monitors = [live(has), *(live(fields, id=number) for number, fields in enumerate(others, 2))]
    plan = decide(ACCOUNT, [desired(wants)], {}, monitors, SCHEMAS.kinds)
    assert Plan.from_json(plan.to_json()) == plan
    return plan.names


def test_any_monitor_tells_the_name_of_a_location() -> None:
    assert names(
        {"locations": [{"id": 10}, {"id": 30}, {"id": 99}], "home_location": 30},
        {"locations": [MIAMI], "home_location": 10},
        {"locations": [ATLANTA, BOSTON]},
    ) == (
        Name("home_location", None, 10, "Miami"),
        Name("home_location", None, 30, "Boston"),
        Name("locations", "id", 10, "Miami"),
        Name("locations", "id", 30, "Boston"),
    )


def test_properties_and_their_values_have_names() -> None:
    def value(number: int, text: str) -> dict[str, Any]:
        return {"id": 228, "name": "Environment", "value_id": number, "value": text}

    assert names(
        {"custom_properties": [{"id": 228, "value_id": 550}]},
        {"custom_properties": [value(549, "staging")]},
        {"custom_properties": [value(550, "production")]},
    ) == (
        Name("custom_properties", "id", 228, "Environment"),
        Name("custom_properties", "value_id", 549, "staging"),
        Name("custom_properties", "value_id", 550, "production"),
    )


def test_an_id_with_two_names_has_none() -> None:
    other = {"id": 10, "name": "Tampa"}
    found = names({"locations": [{"id": 20}]}, {"locations": [MIAMI]}, {"locations": [other]})
    assert found == ()


def test_nonsense_is_no_name() -> None:
    odd: list[Any] = [{"id": 20, "name": 7}, {"id": [20], "name": "x"}, {"id": 20, "name": " "}, 5]
    assert names({"locations": [{"id": 20}]}, {"locations": [MIAMI]}, {"locations": odd}) == (
        Name("locations", "id", 10, "Miami"),
    )


def test_a_plan_without_changes_has_no_names() -> None:
    assert names({"locations": [{"id": 10}]}, {"locations": [MIAMI]}) == ()


def test_what_monitors_tell_of_an_id() -> None:
    entry = {"id": "120", "value_id": 58, "name": "Environment", "value": "Production"}
    odd = {"id": 120, "value_id": 59, "name": " ", "region": 2}
    told = [
        live({"custom_properties": [entry, odd, {"name": "no id"}, "odd"]}, id=2),
        live({"custom_properties": [odd]}, id=1),
        live({"custom_properties": None}, id=3),
    ]
    (member,) = find_members("custom_properties", told)
    assert member == (120, ("Environment",), (2,), {58: "Production", 59: ""}, (1, 2))
    assert member_text("property", member).split("\n")[2:] == [
        "  region    2 (Other countries): a measurement costs 1 credit",
        "  value     58: Production",
        "  value     59: ",
        "  monitors  2 (id 1, 2)",
    ]
