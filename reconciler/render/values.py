"""Values of a plan as text: names beside ids, sets as sets, what was and what will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from reconciler.core.grouping import set_change
from reconciler.core.model import elements_by_key
from reconciler.core.printable import printable
from reconciler.render.text import arrow, marked, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.diff import FieldChange
    from reconciler.core.grouping import ElementChange
    from reconciler.core.model import JSON
    from reconciler.core.names import Name

Names: TypeAlias = "Mapping[tuple[str, str | None, int], str]"
"""What AlertSite calls the ids of a plan: by field, by the member that holds the id, and by id."""


def names_of(names: Iterable[Name]) -> Names:
    """The names of a plan, to be looked up."""
    return {(item.field, item.key, item.id): item.name for item in names}


def shown_value(field: FieldChange, value: JSON, names: Names) -> str:
    """A value of a field: an id with its name, a set as its elements, anything else as JSON."""
    return named_value(field.field, field.set_key, value, names)


def named_value(field: str, key: str | None, value: JSON, names: Names) -> str:
    """As `shown_value`; `key` tells the elements of a set apart."""
    elements = elements_by_key(value, key) if isinstance(value, list) else None
    if elements and key is not None:
        return ", ".join(shown_element(field, key, item, names) for item in elements.values())
    return named(field, None, value, names)


def shown_change(field: FieldChange, names: Names, *, colour: bool) -> str:
    """What becomes of a field, in one line: what comes and goes of a set, or before → after."""
    found = set_change(field)
    if found is None:
        before, after = (shown_value(field, it, names) for it in (field.before, field.after))
        return arrow(before, after, colour=colour)
    parts = [
        marked(sign, shown_element(field.field, found.key, element, names), colour=colour)
        for sign, elements in (("+", found.added), ("-", found.removed))
        for element in elements
    ]
    parts += [
        shown_inside(field.field, found.key, item, names, colour=colour) for item in found.changed
    ]
    return ", ".join(parts)


def shown_inside(
    field: str, key: str, item: ElementChange, names: Names, *, colour: bool = False
) -> str:
    """What becomes of an element that stays in a set."""
    label = named(field, key, item.element.get(key), names)
    before = shown_member(field, item.member, item.before, names)
    after = named(field, item.member, item.after, names)
    return f"{marked('~', f'{label}:', colour=colour)} {arrow(before, after, colour=colour)}"


def shown_element(field: str, key: str, element: Mapping[str, JSON], names: Names) -> str:
    """An element of a set: its key, and what else it has."""
    label = named(field, key, element.get(key), names)
    rest = ", ".join(
        shown_member(field, member, value, names)
        for member, value in sorted(element.items())
        if member != key
    )
    return f"{label}: {rest}" if rest else label


def shown_member(field: str, member: str, value: JSON, names: Names) -> str:
    """A member of an element; the name of an id says what it is, a bare value does not."""
    text = named(field, member, value, names)
    is_named = type(value) is int and (field, member, value) in names
    return text if is_named else f"{printable(member)} {text}"


def named(field: str, key: str | None, value: JSON, names: Names) -> str:
    """A value, as an id beside its name if it has one."""
    name = names.get((field, key, value)) if type(value) is int else None
    return value_text(value) if name is None else f"{printable(name)} ({value})"
