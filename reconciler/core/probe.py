"""What AlertSite's answers look like beside the schemas: names of fields and JSON types.

Rule: pure; no value of an answer leaves this module. So what comes out can be shown to anybody, and
tells what the vendor's documentation does not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.fields import ELEMENT, described
from reconciler.core.json_text import encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.model import JSON, Live


FORMAT_VERSION = "1.0"
_ANY = "any"


class Mark(StrEnum):
    """How what was seen compares with the schema."""

    EXPECTED = "as expected"
    OTHER = "other type"
    UNKNOWN = "unknown to the schema"
    NOT_SEEN = "not seen"


class ProbeRow(NamedTuple):
    """One field.

    Attributes:
        seen: the JSON types of its values, sorted.
        expected: the type in the schema; empty for a field that it does not know.
    """

    field: str
    seen: tuple[str, ...]
    expected: str
    mark: Mark


class ProbeTable(NamedTuple):
    """The fields of one kind, and how many monitors they were seen in.

    Attributes:
        kind: None for monitors that do not say of which type they are.
    """

    kind: str | None
    monitors: int
    rows: tuple[ProbeRow, ...]


def probe(
    schemas: Mapping[str, Mapping[str, JSON]], live: Sequence[Live]
) -> tuple[ProbeTable, ...]:
    """A table for each kind; all monitors of a kind are looked at, as one shows one type only."""
    expected = {
        kind: {
            field.name.removeprefix("spec."): field.type or _ANY
            for field in described(schema)
            if field.path[0] == "spec"
        }
        for kind, schema in schemas.items()
    }
    tables = [_table(kind, fields, live) for kind, fields in expected.items()]
    untyped = _table(None, {name: _ANY for all_ in expected.values() for name in all_}, live)
    return (*tables, untyped) if untyped.monitors else tuple(tables)


def _table(kind: str | None, expected: Mapping[str, str], live: Sequence[Live]) -> ProbeTable:
    monitors = [item.fields for item in live if item.type == kind]
    seen: dict[str, set[str]] = {}
    for monitor in monitors:
        for name, value in monitor.items():
            _see(seen, name, value, expected)
    rows = []
    for name in sorted({*expected, *seen}) if monitors else ():  # without any nothing can be said
        types = tuple(sorted(seen.get(name, ())))
        rows.append(ProbeRow(name, types, expected.get(name, ""), _mark(types, expected.get(name))))
    return ProbeTable(kind, len(monitors), tuple(rows))


def to_json(tables: Iterable[ProbeTable]) -> dict[str, JSON]:
    """The tables as `schemas/probe.schema.json` describes them."""
    return {
        "format_version": FORMAT_VERSION,
        "kinds": [
            {
                "kind": table.kind,
                "monitors": table.monitors,
                "fields": encoded(table.rows),
            }
            for table in tables
        ],
    }


def _see(seen: dict[str, set[str]], name: str, value: JSON, expected: Mapping[str, str]) -> None:
    seen.setdefault(name, set()).add(_type(value))
    # The keys of a mapping that the schema does not know may be values themselves.
    if isinstance(value, list) and any(known.startswith(f"{name}{ELEMENT}.") for known in expected):
        for element in value:
            for key, item in element.items() if isinstance(element, dict) else ():
                _see(seen, f"{name}{ELEMENT}.{key}", item, expected)


def _mark(seen: tuple[str, ...], expected: str | None) -> Mark:
    """Null fits every type, as it means "unset"; so does a list without elements any list."""
    if expected is None:
        return Mark.UNKNOWN
    if not seen:
        return Mark.NOT_SEEN
    fitting = {expected, "null"} | ({"array"} if expected.startswith("array") else set())
    return Mark.EXPECTED if expected == _ANY or fitting.issuperset(seen) else Mark.OTHER


def _type(value: JSON) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            elements = sorted({_type(element) for element in value})
            return f"array of {' or '.join(elements)}" if elements else "array"
        case _:
            return "object"
