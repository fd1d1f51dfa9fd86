import pytest

from reconciler.core.model import Kind

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
    "the legacy location record": (
        "locations",
        [{"id": 10}, {"id": 20}],
        [
            {"id": "20", "backbone": "x", "has_chrome": 1, "country": "US", "region": "1"},
            {"id": "10", "continent": "NA", "browser_type": None, "name": "Atlanta, GA"},
        ],
    ),
    "whatever AlertSite adds to a property": (
        "custom_properties",
        [{"id": 228, "value_id": 550}],
        [{"id": "228", "value_id": "550", "created_at": "2026-01-02", "values": [{"id": 1}]}],
    ),
    "a trimmed note": ("note", "Runbook\n\nsecond\n", "Runbook\n\nsecond"),
    "a note in a block scalar": ("alert_note", "a\nb\n", "  a\r\nb\r\n\r\n"),
    "a trimmed name": ("name", " Relay ", "Relay"),
    "line ends of old": ("note", "a\rb", "a\nb"),
    "a blank note": ("note", " \n", None),
    "case of a host": ("hostname", "MX1.Example.COM", "mx1.example.com"),
    "case of a scheme": (
        "hostname",
        "SMTPS://Host.example.com:465",
        "smtps://host.example.com:465",
    ),
    "a host with blanks": ("hostname", "mx.example.com", " mx.example.com\n"),
    "an address with blanks": ("ipv4", "192.0.2.1", "192.0.2.1 "),
    "y is true": ("enabled", True, "y"),
    "n is false": ("enabled", False, "N"),
    "one is true": ("enabled", True, 1),
    "zero is false": ("enabled", False, 0),
    "true as text": ("enabled", True, "true"),
    "false as text": ("enabled", False, " False "),
    "one as text is true": ("enabled", True, "1"),
    "zero as text is false": ("enabled", False, "0"),
    "a whole fraction is true": ("enabled", True, 1.0),
    "unset switch": ("enabled", "", None),
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
    "true is not the port one": ("port", True, 1),
    "two is not true": ("enabled", True, 2),
    "words are not true": ("enabled", True, "enabled"),
    "y is only true for a switch": ("mode", "y", True),
    "a port is not its beginning": ("port", 587, 5870),
    "case of a name": ("name", "relay", "Relay"),
    "blanks in a note": ("note", "a\n b", "a\nb"),
    "a blank line in a note": ("note", "a\n\nb", "a\nb"),
    "another host": ("hostname", "mx1.example.com", "mx2.example.com"),
    "another scheme": ("hostname", "smtp://mx", "smtps://mx"),
    "another port of a host": ("hostname", "mx:25", "mx:250"),
    "case of a login": ("hostname", "smtp://Me@mx", "smtp://me@mx"),
    "case of a path": ("hostname", "smtp://mx/A", "smtp://mx/a"),
    "a location whose key is written": (
        "custom_properties",
        [{"id": 228, "value_id": 1}],
        [{"id": 228, "value_id": 2}],
    ),
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
            "spec": {"properties": {"quota": {"type": "integer"}}},
        }
    }
    kind = Kind.from_schema(schema)
    assert kind.name == "email-jmap"
    assert kind.field("quota").normalise("5") == 5


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Probe@Example.COM", "Probe@example.com", True),
        ("probe@example.com\n", "probe@example.com", True),
        ("Probe@example.com", "probe@example.com", False),
        ("probe@example.com", "probe@example.org", False),
    ],
)
def test_only_the_domain_of_a_mailbox_has_no_case(one: str, other: str, *, is_same: bool) -> None:
    field = SCHEMAS.kinds["email-round-trip"].field("email")
    assert (field.text(one) == field.text(other)) is is_same


def test_the_keys_of_an_open_mapping_count() -> None:
    items = {"type": "object", "properties": {"id": {"type": "integer"}}}
    spec = {"properties": {"hosts": {"type": "array", "x-set-key": "id", "items": items}}}
    field = Kind.from_schema({"properties": {"kind": {"const": "x"}, "spec": spec}}).field("hosts")
    assert field.text([{"id": 1, "a": 1}]) != field.text([{"id": 1}])


def test_texts_are_right_however_many_values_there_are() -> None:
    text = SMTP.field("port").text
    assert [text(str(port)) for port in range(25_000)] == [str(port) for port in range(25_000)]
    assert text("0") == "0"
