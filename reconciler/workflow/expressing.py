"""What AlertSite has, as a manifest would say it.

Rule: what a manifest cannot say is left out with the reason, never bent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.manifest.wanted import ABSENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.model import JSON, Field
    from reconciler.schema import Problem, Schemas

Pointer = tuple[str, str]
"""A section of a manifest, `spec` or `extra`, and a field of it."""


class Fit(NamedTuple):
    """What of some fields fits into a manifest.

    Attributes:
        values: those that do; `ABSENT` for one that is to be left out.
        reasons: why the others do not.
        fault: why there is no valid manifest at all; empty if there is one.
    """

    values: Mapping[Pointer, JSON]
    reasons: Mapping[Pointer, str]
    fault: str = ""


def written(field: Field, value: JSON) -> list[JSON]:
    """The ways in which a manifest can write a value of AlertSite's; none if it is unset.

    The best first: a text as it is spelled, since what is ignored when it is compared is not for
    us to remove; then, should that not fit into a manifest, its normal form.
    """
    normalised = field.normalise(value)
    if normalised is None:
        return []
    if isinstance(normalised, str) and value != normalised:
        return [value, normalised]
    return [normalised]


def fit(
    schemas: Schemas, base: Mapping[str, JSON], wanted: Mapping[Pointer, Sequence[JSON]]
) -> Fit:
    """As many of the wanted fields as the schema accepts in a manifest.

    Args:
        schemas: what it must fit.
        base: the manifest without them.
        wanted: for each field the values that would do, the best first.
    """
    left = {pointer: list(values) for pointer, values in wanted.items()}
    reasons: dict[Pointer, str] = {}
    while True:
        value = _with(base, {pointer: values[0] for pointer, values in left.items()})
        if schemas.accept(value):
            return Fit({pointer: values[0] for pointer, values in left.items()}, reasons)
        problems = list(schemas.explain(value))
        refused = _refused(problems, left)
        if not refused:
            return Fit({}, reasons, problems[0].message)
        for pointer, message in refused.items():
            left[pointer].pop(0)
            if not left[pointer]:
                del left[pointer]
                reasons[pointer] = message


def _refused(problems: Sequence[Problem], left: Mapping[Pointer, JSON]) -> dict[Pointer, str]:
    """The fields that the problems are about, with the first message about each.

    A problem that is about none of them, but not for want of one, may come from the last.
    """
    found: dict[Pointer, str] = {}
    for problem in problems:
        section, field = (*problem.pointer[:2], "", "")[:2]
        if (str(section), str(field)) in left:
            found.setdefault((str(section), str(field)), problem.message)
    if not found and left and all(problem.code != "missing-key" for problem in problems):
        found[list(left)[-1]] = problems[0].message
    return found


def _with(base: Mapping[str, JSON], values: Mapping[Pointer, JSON]) -> dict[str, JSON]:
    result = {**base}
    for (section, field), value in values.items():
        fields = {**result.get(section, {}), field: value}
        result[section] = {name: item for name, item in fields.items() if item is not ABSENT}
    return result
