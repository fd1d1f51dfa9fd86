"""What a probe says of AlertSite's answers: names and types, never a value."""

import json
from typing import Any

import pytest

from reconciler.core.probe import Mark, ProbeRow, probe, to_json
from reconciler.render.probes import probe_text

from build import SCHEMAS, live

SMTP = {"email-smtp": SCHEMAS.documents["email-smtp"]}


def rows(*monitors: dict[str, Any]) -> dict[str, ProbeRow]:
    (table,) = probe(SMTP, [live(item) for item in monitors])
    assert table.monitors == len(monitors)
    return {row.field: row for row in table.rows}


@pytest.mark.parametrize(
    ("value", "seen", "mark"),
    [
        (587, ("integer",), Mark.EXPECTED),
        ("587", ("string",), Mark.OTHER),
        (None, ("null",), Mark.EXPECTED),
        (True, ("boolean",), Mark.OTHER),
        (5.5, ("number",), Mark.OTHER),
        ({"a": 1}, ("object",), Mark.OTHER),
        ([], ("array",), Mark.OTHER),
        ([1, "2"], ("array of integer or string",), Mark.OTHER),
    ],
)
def test_types_are_compared(value: Any, seen: tuple[str, ...], mark: Mark) -> None:
    assert rows({"port": value})["port"] == ProbeRow("port", seen, "integer", mark)


def test_all_monitors_of_a_kind_are_looked_at() -> None:
    assert rows({"port": 25}, {"port": ""}, {})["port"].seen == ("integer", "string")


def test_what_the_schema_does_not_know_or_nobody_saw() -> None:
    found = rows({"capture_level": 3})
    assert found["capture_level"] == ProbeRow("capture_level", ("integer",), "", Mark.UNKNOWN)
    assert found["hostname"] == ProbeRow("hostname", (), "string", Mark.NOT_SEEN)
    assert found["sla_id"].expected == "any"


def test_the_elements_of_known_lists_are_looked_into() -> None:
    found = rows({"locations": [{"id": 10, "name": "X"}, {"id": "20", "code": 1}, 3]})
    assert found["locations"].seen == ("array of integer or object",)
    assert found["locations[].id"].mark is Mark.OTHER
    assert found["locations[].name"].mark is Mark.EXPECTED
    assert found["locations[].region"].mark is Mark.NOT_SEEN
    assert found["locations[].code"].mark is Mark.UNKNOWN
    assert rows({"locations": []})["locations"].mark is Mark.EXPECTED


def test_the_keys_of_what_is_not_known_may_be_values() -> None:
    text = str(rows({"owners": {"boss@example.com": 1}, "people": [{"boss@example.com": 1}]}))
    assert "boss" not in text


def test_other_kinds_are_left_out_and_missing_ones_said() -> None:
    tables = probe(SCHEMAS.documents, [live({"url": "x"}, type="website")])
    assert [table.monitors for table in tables] == [0] * len(SCHEMAS.documents)
    assert all(not table.rows for table in tables)
    assert "email-smtp: AlertSite returned no such monitor" in probe_text(tables)


def test_monitors_without_a_type_have_a_table_of_their_own() -> None:
    *_, table = probe(SCHEMAS.documents, [live({"email": "a@b", "new": 1}, type=None)])
    marks = {row.field: row.mark for row in table.rows}
    assert (table.kind, table.monitors) == (None, 1)
    assert (marks["email"], marks["new"]) == (Mark.EXPECTED, Mark.UNKNOWN)
    assert "without a type: 1 monitor\n" in probe_text([table])


def test_no_value_is_in_what_is_shown() -> None:
    values = ["Zanzibar", 987654321, 12345.678, "mailbox-secret"]
    monitor = {"name": values[0], "id": values[1], "timeout": values[2], "password": values[3]}
    nested = {"locations": [{"id": values[1], "name": values[0]}], "custom": {"a": values[3]}}
    tables = probe(SMTP, [live(monitor | nested)])
    shown = probe_text(tables) + json.dumps(to_json(tables))
    assert not [value for value in values if str(value) in shown]


def test_a_hostile_name_steers_no_terminal() -> None:
    assert "\x1b" not in probe_text(probe(SMTP, [live({"a\x1b[31m": 1})]))
