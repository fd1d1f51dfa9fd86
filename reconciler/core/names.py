"""What AlertSite calls the ids of a plan: `30` is Boston.

Rule: pure functions; no I/O. Names are for people: nothing is decided by them, they are in no
request, no state and no digest. Which member names which id is in the schemas (`x-names`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import mappings_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.model import JSON, Kind, Live

_DIGITS = re.compile("[0-9]{1,18}")


class Name(NamedTuple):
    """The name of one id.

    Attributes:
        field: the field that holds the id.
        key: the member of the field's elements that holds it; None if it is the field's own value.
    """

    field: str
    key: str | None
    id: int
    name: str


class Use(NamedTuple):
    """An id that a plan shows, and where its name is to be found.

    Attributes:
        named_by: the member that names it.
        field: the field that holds the id.
        key: the member of the field's elements that holds it; None if it is the field's own value.
        members: the field whose elements name it; another one if the id is one of its elements.
        members_key: the member of those that holds the id.
    """

    field: str
    key: str | None
    id: int
    members: str
    members_key: str
    named_by: str


class Member(NamedTuple):
    """An element of a set of AlertSite's, such as a location: all that monitors tell of one id.

    Attributes:
        names: what AlertSite calls it; several where its answers differ.
        regions: its billing regions, likewise.
        values: of a property its values by id, with their names.
        monitors: the ids of the monitors that have it, sorted.
    """

    id: int
    names: tuple[str, ...]
    regions: tuple[int, ...]
    values: Mapping[int, str]
    monitors: tuple[int, ...]


def find_members(field: str, live: Iterable[Live]) -> tuple[Member, ...]:
    """All elements of that field which monitors have, sorted by id."""
    found: dict[int, list[tuple[int, Mapping[str, JSON]]]] = {}
    for monitor in live:
        for element in mappings_in(monitor.fields.get(field)):
            number = _number(element.get("id"))
            if number is not None:
                found.setdefault(number, []).append((monitor.id, element))
    return tuple(_member(number, told) for number, told in sorted(found.items()))


def _member(number: int, told: list[tuple[int, Mapping[str, JSON]]]) -> Member:
    names: set[str] = set()
    regions: set[int] = set()
    values: dict[int, str] = {}
    for _, element in told:
        name, region = element.get("name"), _number(element.get("region"))
        value, text = _number(element.get("value_id")), element.get("value")
        if isinstance(name, str) and name.strip():
            names.add(name.strip())
        if region is not None:
            regions.add(region)
        if value is not None:
            values[value] = text.strip() if isinstance(text, str) else ""
    monitors = tuple(sorted({identity for identity, _ in told}))
    return Member(number, tuple(sorted(names)), tuple(sorted(regions)), values, monitors)


def find_names(uses: Iterable[Use], live: Iterable[Live]) -> tuple[Name, ...]:
    """The names that live monitors show of those ids, sorted; of an id with two names none."""
    wanted = set(uses)
    if not wanted:
        return ()
    sources = {(use.members, use.members_key, use.named_by) for use in wanted}
    ids = {(use.members, use.members_key, use.id) for use in wanted}
    found: dict[tuple[str, str, int], set[str]] = {}
    for monitor in live:
        for members, key, named_by in sources:
            for element in mappings_in(monitor.fields.get(members)):
                number, name = _number(element.get(key)), element.get(named_by)
                if number is None or not isinstance(name, str) or not name.strip():
                    continue
                if (members, key, number) in ids:
                    found.setdefault((members, key, number), set()).add(name.strip())
    names = (
        Name(use.field, use.key, use.id, *called)
        for use in wanted
        if len(called := found.get((use.members, use.members_key, use.id), set())) == 1
    )
    return tuple(sorted(names, key=lambda item: (item.field, item.key or "", item.id)))


def uses_of(kind: Kind, field: str, values: Iterable[JSON]) -> Iterator[Use]:
    """The ids in values of a field that AlertSite has names for."""
    behaviour = kind.field(field)
    if behaviour.member_of is not None:
        members = kind.field(behaviour.member_of)
        for key, named_by in members.names.items():
            for value in values if key == members.set_key else ():
                if (number := _number(value)) is not None:
                    yield Use(field, None, number, members.name, key, named_by)
    for key, named_by in behaviour.names.items():
        for value in values:
            for element in mappings_in(value):
                if (number := _number(element.get(key))) is not None:
                    yield Use(field, key, number, field, key, named_by)


def _number(value: JSON) -> int | None:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return value if type(value) is int else None
