import pytest

from reconciler.model import Kind

from build import SCHEMAS

SMTP = SCHEMAS.kinds["email-smtp"]

SAME = {
    "number as text": ("port", 587, "587"),
    "signed number as text": ("port", 587, " +587 "),
    "whole fraction": ("timeout", 30, 30.0),
    "unset as text": ("port", "", None),
    "an empty set": ("custom_properties", [], None),
    "empty values of an unknown field": ("new_field", {"a": [], "b": {}}, {}),
    "unset note": ("note", "", None),
    "plan code spaces": ("billing_plancode", "UBM - A/A", "UBM-A/A"),
    "blank plan code": ("billing_plancode", " ", None),
    "set order": ("locations", [{"id": 20}, {"id": 10}], [{"id": 10}, {"id": 20}]),
    "server's location names": (
        "locations",
        [{"id": 10}],
        [{"id": 10, "name": "Fort Lauderdale (FL)", "region": 1}],
    ),
    "location id as text": ("locations", [{"id": 10}], [{"id": "10"}]),
    "server's property names": (
        "custom_properties",
        [{"id": 228, "value_id": 550}],
        [{"id": 228, "value_id": 550, "name": "Environment", "value": "production"}],
    ),
    "unknown field's order of members": ("new_field", {"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "unknown field's unset members": ("new_field", {"a": 1, "b": ""}, {"a": 1, "c": None}),
}

DIFFERENT = {
    "true is not one": ("new_field", True, 1),
    "false is not zero": ("new_field", False, 0),
    "nested true is not one": ("new_field", [{"a": True}], [{"a": 1}]),
    "text is not a number": ("name", "587", 587),
    "zero is not unset": ("monitor_location_count", 0, None),
    "false is not unset": ("enabled", False, None),
    "words are not a number": ("port", "smtp", 25),
    "superscripts are not digits": ("port", "²", 2),
    "inner spaces count": ("name", "a b", "ab"),
    "case counts": ("mode", "primary", "Primary"),
    "one location more": ("locations", [{"id": 10}], [{"id": 10}, {"id": 20}]),
    "a location twice": ("locations", [{"id": 10}], [{"id": 10}, {"id": 10}]),
    "list order counts outside sets": ("new_field", [1, 2], [2, 1]),
    "a set that is no list": ("locations", [{"id": 10}], "10"),
    "an element that is no mapping": ("locations", [{"id": 10}, {"id": 20}], [10, 20]),
}


@pytest.mark.parametrize(("name", "one", "other"), SAME.values(), ids=SAME)
def test_spellings_of_one_value_are_the_same(name: str, one: object, other: object) -> None:
    field = SMTP.field(name)
    assert field.text(one) == field.text(other)
    assert field.normalise(one) == field.normalise(other)


@pytest.mark.parametrize(("name", "one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_different_values_are_not_the_same(name: str, one: object, other: object) -> None:
    field = SMTP.field(name)
    assert field.text(one) != field.text(other)


def test_a_new_kind_needs_a_schema_and_no_code() -> None:
    schema = {
        "properties": {
            "kind": {"const": "email-jmap"},
            "spec": {"properties": {"quota": {"type": "integer", "x-coerce": "integer"}}},
        }
    }
    kind = Kind.from_schema(schema)
    assert kind.name == "email-jmap"
    assert kind.field("quota").normalise("5") == 5


def test_texts_are_right_however_many_values_there_are() -> None:
    text = SMTP.field("port").text
    assert [text(str(port)) for port in range(25_000)] == [str(port) for port in range(25_000)]
    assert text("0") == "0"
