"""What is read from the schemas for people: every field, every sentence."""

import pytest

from reconciler.core.fields import Described, Words, described, find, words

from build import SCHEMAS

ALL = [
    pytest.param(field, id=f"{kind}:{field.name}")
    for kind, schema in SCHEMAS.documents.items()
    for field in described(schema)
]


LONG = (
    "A thing. It is e.g. this: that. Unit: minutes. Default: presumably 25 (not stated). "
    "Documented by samples; the rest is unknown. Source: a/b.html, c.html."
)


def of(kind: str, name: str) -> Described:
    found = find(described(SCHEMAS.documents[kind]), name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A thing.", Words("A thing.", "", "", "", "")),
        (
            LONG,
            Words(
                "A thing. It is e.g. this: that.",
                "minutes",
                "presumably 25 (not stated)",
                "Documented by samples; the rest is unknown",
                "a/b.html, c.html",
            ),
        ),
        (
            "A thing. Required: documented; format: inferred. Source: a.html.",
            Words("A thing.", "", "", "Required: documented; format: inferred", "a.html"),
        ),
        ("Whether. Default: false.", Words("Whether.", "", "false", "", "")),
        ("A thing. Source: a.html.", Words("A thing.", "", "", "", "a.html")),
        ("", Words("", "", "", "", "")),
    ],
)
def test_sentences_are_told_apart(text: str, expected: Words) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("field", ALL)
def test_every_field_of_every_kind_is_understood(field: Described) -> None:
    assert field.words.summary
    assert not any(word in field.words.summary for word in ("Unit:", "Default:", "Source:"))
    if field.path[0] == "spec":
        assert field.words.source.endswith(".html")
        assert any(word in field.words.certainty.lower() for word in ("documented", "inferred"))
        assert field.type or field.is_read_only


def test_a_field_with_everything() -> None:
    interval = of("email-round-trip", "interval")
    assert interval.name == "spec.interval"
    assert interval.type == "integer"
    assert interval.words.unit == "minutes"
    assert interval.words.default == "chosen by AlertSite from the account's defaults"
    assert interval.limits == ("1 to 2147483647",)
    assert interval.longer_than == "timeout"
    assert not interval.is_required


def test_lists_and_what_is_in_them() -> None:
    locations = of("email-imap", "spec.locations")
    assert (locations.type, locations.set_key) == ("array of object", "id")
    assert locations.keys == ("id", "name", "region")
    assert "not empty" in locations.limits
    for name in ("locations.id", "locations[].id", "spec.locations[].id"):
        assert of("email-imap", name).is_required
    assert of("email-imap", "locations.region").is_read_only


def test_what_else_a_schema_says() -> None:
    assert of("email-imap", "name").is_required
    assert not of("email-imap", "name").takes_secret
    assert of("email-imap", "hostname").takes_secret
    assert of("email-imap", "home_location").send_with == ("locations",)
    assert "Primary" in of("email-imap", "mode").examples
    assert of("email-imap", "kind").limits == ("always email-imap",)
    assert of("email-imap", "metadata.id").type == "integer"
    assert of("email-imap", "extra").path == ("extra",)
    assert of("email-imap", "sla_id").is_read_only
    assert of("email-imap", "note").limits == ("at most 255 characters",)


def test_the_name_in_spec_comes_before_another() -> None:
    assert of("email-imap", "name").name == "spec.name"
    assert of("email-imap", "metadata.name").name == "metadata.name"
    assert find(described(SCHEMAS.documents["email-imap"]), "email") is None
