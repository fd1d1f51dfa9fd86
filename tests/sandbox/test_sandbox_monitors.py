import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.sandbox.monitors import MonitorKind, created, edited, location, read_edit, read_new


@pytest.fixture(scope="module")
def kind(schemas: Any) -> MonitorKind:
    return MonitorKind.from_schema("email-smtp", schemas["email-smtp"])


def test_a_kind_is_what_its_schema_says(kind: MonitorKind) -> None:
    assert kind.required == ("name", "billing_plancode", "hostname")
    assert "port" in kind.writable
    assert kind.read_only == {
        "access_type",
        "blackout_ids",
        "has_active_performance_alerts",
        "has_performance_alerts",
        "has_sla",
        "id",
        "sla_id",
        "type",
    }


@pytest.mark.parametrize(
    ("sent", "stored"), [(587, 587), ("587", 587), ("-1", -1), ("", ""), (587.0, 587), (None, None)]
)
def test_an_integer_is_stored_as_one(kind: MonitorKind, sent: Any, stored: Any) -> None:
    values = read_edit(kind, {"port": sent}, strict=True).values
    assert values == {"port": stored}
    assert type(values["port"]) is type(stored)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("port", 5.5, "must be an integer"),
        ("port", " 5", "must be an integer"),
        ("port", "٣", "must be an integer"),
        ("port", False, "must be an integer"),
        ("port", [5], "must be an integer"),
        ("enabled", 1, "must be a boolean"),
        ("name", 5, "must be a string"),
        ("note", {"secretRef": {"env": "NOTE"}}, "must be a string"),
        ("billing_plancode", {"secretRef": {"env": "PLAN"}}, "must be a string"),
        ("locations", {"id": 10}, "must be an array"),
        ("locations", [10], "must be an array of objects"),
        ("locations", [{"id": 10}, {}], "each entry needs id"),
        ("locations", [{"id": ""}], "each entry needs id"),
        ("locations", [{"id": "ten"}], "must be an integer"),
        ("custom_properties", [{"id": 1}], "each entry needs id and value_id"),
    ],
)
def test_a_value_of_another_type_is_refused(
    kind: MonitorKind, name: str, value: Any, message: str
) -> None:
    for read in (read_edit, read_new):
        body = {"name": "Relay", "billing_plancode": "x", "hostname": "y", name: value}
        errors = read(kind, body, strict=False).errors
        assert errors == ({"code": 400, "fields": [name], "message": message},)


def test_locations_are_replaced_and_named_by_the_server() -> None:
    monitor = {"locations": [location(10)], "home_location": 10}
    values = {"locations": [{"id": 5130}, {"id": 10273}]}
    assert edited(monitor, values) == {
        "home_location": 10,
        "locations": [
            {"id": 5130, "name": "London", "region": 2},
            {"id": 10273, "name": "Private location 10273", "region": 0},
        ],
    }
    assert edited(monitor, {"locations": []})["locations"] == []
    assert edited(monitor, {"locations": None})["locations"] is None


def test_a_location_that_the_client_names_keeps_the_servers_name(kind: MonitorKind) -> None:
    body = {"locations": [{"id": "20", "name": "Mine", "region": 9, "colour": "red"}]}
    values = read_edit(kind, body, strict=True).values
    assert edited({}, values) == {"locations": [{"id": 20, "name": "Atlanta (GA)", "region": 1}]}


def test_custom_properties_are_replaced_and_named_where_known() -> None:
    known = {"id": 7, "name": "Team", "value": "Mail", "value_id": 70}
    monitor = {"custom_properties": [known]}
    values = {"custom_properties": [{"id": i, "value_id": v} for i, v in ((228, 550), (7, 71))]}
    assert edited(monitor, values)["custom_properties"] == [
        {"id": 228, "name": "Environment", "value": "development", "value_id": 550},
        {"id": 7, "name": "Team", "value": "Value 71", "value_id": 71},
    ]
    fresh = edited({"custom_properties": None}, {"custom_properties": [{"id": 7, "value_id": 70}]})
    assert fresh["custom_properties"] == [
        {"id": 7, "name": "Property 7", "value": "Value 70", "value_id": 70}
    ]


def test_notes_are_cut_without_a_word() -> None:
    long = {"alert_note": "a" * 1001, "note": "n" * 256, "name": "x" * 2000}
    stored = edited({}, long)
    assert (len(stored["alert_note"]), len(stored["note"]), len(stored["name"])) == (
        1000,
        255,
        2000,
    )
    exact = {"alert_note": "a" * 1000, "note": None}
    assert edited({}, exact) == exact


def test_neither_argument_is_changed(kind: MonitorKind) -> None:
    monitor = created(kind, {"name": "Relay"})
    values = {"locations": [{"id": 30}], "note": "n" * 300}
    before = copy.deepcopy((monitor, values))
    edited(monitor, values)["locations"].append("mine")
    assert (monitor, values) == before


def test_created_values_win_over_the_accounts_defaults(kind: MonitorKind) -> None:
    monitor = created(kind, {"interval": 1, "locations": [{"id": 30}], "extra": "kept"})
    assert (monitor["interval"], monitor["extra"], monitor["timeout"]) == (1, "kept", 30)
    assert monitor["locations"] == [{"id": 30, "name": "Fremont (CA)", "region": 1}]


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.text(min_size=1),
    "billing_plancode": st.sampled_from(["UBM - A/A", "UBM-A/A"]),
    "hostname": st.sampled_from(["smtp.example.com", "smtps://smtp.example.com:465"]),
    "ipv4": st.ip_addresses(v=4).map(str),
    "port": st.integers(1, 65535),
    "interval": st.sampled_from([1, 5, 15]),
    "enabled": st.booleans(),
    "notify_on_error": st.none() | st.booleans(),
    "note": st.text(max_size=255),
    "mailbox_of_tomorrow": st.none() | st.text() | st.lists(st.integers()),
    "locations": st.lists(st.integers(1, 9000), unique=True).map(
        lambda ids: [location(number) for number in ids]
    ),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.fixed_dictionaries({}, optional=_VALUES))
def test_an_edit_changes_the_fields_it_sends_and_nothing_else(
    api: Any, smtp: Any, body: dict[str, Any]
) -> None:
    number = api.post("/monitors/email-smtp", json=smtp).json()["id"]
    before = api.get(f"/monitors/{number}").json()
    assert api.patch(f"/monitors/email-smtp/{number}", json=body).json() == {"id": number}
    once = api.get(f"/monitors/{number}").json()
    assert once == {**before, **body}
    api.patch(f"/monitors/email-smtp/{number}", json=body)
    assert api.get(f"/monitors/{number}").json() == once


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(
    body=st.dictionaries(st.sampled_from([*_VALUES, "custom_properties", "id"]), _JSON, max_size=4),
    strict=st.booleans(),
)
def test_any_json_is_read_or_refused_by_name(
    kind: MonitorKind, body: dict[str, Any], strict: bool
) -> None:
    reading = read_edit(kind, body, strict=strict)
    refused = {name for error in reading.errors for name in error["fields"]}
    assert refused <= body.keys()
    assert not refused & reading.values.keys()
    assert reading.values.keys() | refused | ({"id"} & body.keys()) == body.keys()
    edited(created(kind, {}), reading.values)
