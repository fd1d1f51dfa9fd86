"""What AlertSite calls the ids of a plan: `30` is Boston.

Rule: pure functions; no I/O. Names are for people: nothing is decided by them, they are in no
request, no state and no digest. Which member names which id is in the schemas (`x-names`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.cost import number
from reconciler.core.model import mappings_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.model import JSON, Kind, Live


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
            identity = number(element.get("id"))
            if identity is not None:
                found.setdefault(identity, []).append((monitor.id, element))
    members = []
    for identity, told in sorted(found.items()):
        names: set[str] = set()
        regions: set[int] = set()
        values: dict[int, str] = {}
        for _, element in told:
            names.add(_text(element.get("name")))
            if (region := number(element.get("region"))) is not None:
                regions.add(region)
            if (value := number(element.get("value_id"))) is not None:
                values[value] = _text(element.get("value"))
        names.discard("")
        monitors = tuple(sorted({monitor for monitor, _ in told}))
        members.append(
            Member(identity, tuple(sorted(names)), tuple(sorted(regions)), values, monitors)
        )
    return tuple(members)


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
                identity, name = number(element.get(key)), _text(element.get(named_by))
                if identity is not None and name and (members, key, identity) in ids:
                    found.setdefault((members, key, identity), set()).add(name)
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
                if (identity := number(value)) is not None:
                    yield Use(field, None, identity, members.name, key, named_by)
    for key, named_by in behaviour.names.items():
        for value in values:
            for element in mappings_in(value):
                if (identity := number(element.get(key))) is not None:
                    yield Use(field, key, identity, field, key, named_by)


def _text(value: JSON) -> str:
    return value.strip() if isinstance(value, str) else ""
