"""What a manifest or a nearer defaults file says about a default, in place of a value.

Rule: pure. `{inherit: false}` in place of a field's value: no default counts for it, and the field
is left to AlertSite. `{append: [...]}`: the list of the default, and these elements behind it. An
element that the default has already is not added again, so that a default may come to name it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.model import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.core.model import JSON


INHERIT = "inherit"
APPEND = "append"


def marks_of(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    """The fields that say something about a default, well written or not."""
    if dict not in map(type, fields.values()):
        return {}
    return {
        name: value
        for name, value in fields.items()
        if isinstance(value, dict) and (INHERIT in value or APPEND in value)
    }


def is_not_inherited(mark: JSON) -> bool:
    """Whether it says that no default counts: `{inherit: false}`."""
    return isinstance(mark, dict) and len(mark) == 1 and mark.get(INHERIT) is False


def elements_of(mark: JSON) -> list[JSON] | None:
    """The elements that are added to a default's list; None if it says something else."""
    found = mark.get(APPEND) if isinstance(mark, dict) and len(mark) == 1 else None
    return found if isinstance(found, list) else None


def new_indices(default: Sequence[JSON], elements: Sequence[JSON]) -> tuple[int, ...]:
    """Which of the elements the default does not have yet."""
    known = set(map(canonical, default))
    return tuple(index for index, element in enumerate(elements) if canonical(element) not in known)


def combined(default: Sequence[JSON], elements: Sequence[JSON]) -> list[JSON]:
    """The list of a default with elements behind it."""
    return [*default, *(elements[index] for index in new_indices(default, elements))]


def appendix(default: Sequence[JSON], value: Sequence[JSON]) -> list[JSON]:
    """The elements that make the list out of the default's; none if nothing added to it does."""
    wanted = set(map(canonical, value))
    if not wanted.issuperset(map(canonical, default)):
        return []
    return [value[index] for index in new_indices(default, value)]
