"""What FIELD=VALUE means, by the schema of the field."""

from typing import Any

import pytest

from reconciler.core.assignments import (
    Assignment,
    BadAssignmentError,
    assignment,
    changed_list,
    value_of,
)

from build import SCHEMAS

SPEC = SCHEMAS.documents["email-round-trip"]["properties"]["spec"]["properties"]
FIELDS = sorted(SPEC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("interval=5", Assignment("spec", "interval", "", "5")),
        ("spec.interval=5", Assignment("spec", "interval", "", "5")),
        ("locations+=30", Assignment("spec", "locations", "+", "30")),
        ("locations-=30,40", Assignment("spec", "locations", "-", "30,40")),
        ("note=a=b", Assignment("spec", "note", "", "a=b")),
        ("labels.my-team=mail", Assignment("labels", "my-team", "", "mail")),
        ("lifecycle.until=2026-12-24", Assignment("lifecycle", "until", "", "2026-12-24")),
        ("extra.folder=INBOX", Assignment("extra", "folder", "", "INBOX")),
        ("team=mail", None),
        ("email-smtp/*", None),
        ("!monitors/a.yaml", None),
    ],
)
def test_what_is_an_assignment(text: str, found: Assignment | None) -> None:
    assert assignment(text, FIELDS) == found
    if found and not text.startswith("spec."):
        assert str(found) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("interval=5", 5),
        ("enabled=false", False),
        ("note=on", "on"),
        ("note=5", "5"),
        ("note=", ""),
        ("locations=10, 20", [{"id": 10}, {"id": 20}]),
        ("custom_properties+={id: 1, value_id: 2}", [{"id": 1, "value_id": 2}]),
        ("custom_properties-=1", [{"id": 1}]),
        ("note={inherit: false}", {"inherit": False}),
    ],
)
def test_a_value_has_the_type_of_its_field(text: str, value: Any) -> None:
    asked = assignment(text, FIELDS)
    assert asked is not None
    assert value_of(asked, SPEC[asked.field], read) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("interval=soon", "interval=soon: soon is not an integer"),
        ("interval=", "interval=: (empty) is not an integer"),
        ("enabled=yes", "enabled=yes: enabled is true or false"),
        ("custom_properties=1", "write each element out, as in {id: 1, value_id: 1}"),
    ],
)
def test_a_value_of_another_type_is_refused(text: str, message: str) -> None:
    asked = assignment(text, FIELDS)
    assert asked is not None
    with pytest.raises(BadAssignmentError, match=message.replace("(", r"\(").replace(")", r"\)")):
        value_of(asked, SPEC[asked.field], read)


def test_a_set_is_changed_by_its_key() -> None:
    old = [{"id": 1, "value_id": 1}, {"id": 2, "value_id": 1}]
    new = [{"id": 2, "value_id": 5}, {"id": 3, "value_id": 1}]
    add, take = Assignment("spec", "x", "+", ""), Assignment("spec", "x", "-", "")
    assert changed_list(add, old, new, "id") == [old[0], *new]
    assert changed_list(take, old, new, "id") == [old[0]]


def read(text: str) -> Any:
    return {"inherit": False} if "inherit" in text else {"id": 1, "value_id": 2}
