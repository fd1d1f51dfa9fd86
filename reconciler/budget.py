"""What a plan does to monitoring: who loses some, and what it costs.

Rule: pure functions of changes and live values; no I/O, clock or environment. What counts as a loss
is said by `x-coverage` in the schemas.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model import boolean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.diff import FieldChange
    from reconciler.model import JSON

_MINUTES_A_DAY = 1440
_DIGITS = re.compile("[0-9]{1,18}")
SMALL = 10
"""A fleet with fewer monitors has no share that could be limited."""


class Loss(NamedTuple):
    """A monitor that loses monitoring.

    Attributes:
        causes: `deleted`, or what the schema says of its fields: `disabled`, `dropped`,
            `stretched`, `silenced`; sorted.
        labels: of its manifest; none if that is gone.
    """

    address: str
    causes: tuple[str, ...]
    labels: Mapping[str, str]


class Measurements(NamedTuple):
    """Measurements per day, of the monitors that change, as far as they can be known."""

    before: int = 0
    after: int = 0


class Coverage(NamedTuple):
    """What a plan does to monitoring.

    Attributes:
        managed: monitors that have a manifest or a record.
        losses: sorted by address.
    """

    managed: int = 0
    losses: tuple[Loss, ...] = ()
    measurements: Measurements = Measurements()

    def to_json(self) -> dict[str, JSON]:
        """The part of the plan's JSON."""
        return {
            "managed": self.managed,
            "losses": [
                loss._asdict() | {"causes": list(loss.causes), "labels": dict(loss.labels)}
                for loss in self.losses
            ],
            "measurements": self.measurements._asdict(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Coverage:
        """What `to_json` gave."""
        return cls(
            data["managed"],
            tuple(
                Loss(item["address"], tuple(item["causes"]), item["labels"])
                for item in data["losses"]
            ),
            Measurements(**data["measurements"]),
        )

    def by_cause(self) -> dict[str, int]:
        """How many monitors lose monitoring in which way, the most frequent first."""
        return _counted(cause for loss in self.losses for cause in loss.causes)

    def by_label(self) -> dict[str, int]:
        """How many of those that lose monitoring have which label, the most frequent first."""
        return _counted(
            f"{name}={value}" for loss in self.losses for name, value in loss.labels.items()
        )


class Budget(NamedTuple):
    """How many monitors may lose monitoring in one run.

    Attributes:
        monitors: at most so many.
        percent: and at most this share of the managed fleet, if that is not small.
    """

    monitors: int = 10
    percent: int = 30

    def limit(self, managed: int) -> int:
        """How many that is for a fleet of that size."""
        if managed < SMALL:
            return self.monitors
        return min(self.monitors, managed * self.percent // 100)


def causes(fields: Iterable[FieldChange], coverage: Mapping[str, str]) -> tuple[str, ...]:
    """How monitoring is lost by these field changes.

    Args:
        fields: what changes.
        coverage: what the schema says each field costs when it moves the wrong way.
    """
    return tuple(
        sorted(
            {
                cause
                for field in fields
                if (cause := coverage.get(field.field)) and _loses(cause, field.before, field.after)
            }
        )
    )


def per_day(fields: Mapping[str, JSON]) -> int | None:
    """Measurements per day of a monitor with these fields; None if that cannot be known."""
    if boolean(fields.get("enabled")) is False:
        return 0
    interval, locations = _number(fields.get("interval")), fields.get("locations")
    if not interval or not isinstance(locations, list) or not locations:
        return None
    count = len(locations)
    if boolean(fields.get("rotate_locations")) is True:  # then a run is made from a part of them
        count = min(count, _number(fields.get("monitor_location_count")) or count)
    return round(_MINUTES_A_DAY / interval * count)


def _loses(cause: str, before: JSON, after: JSON) -> bool:
    match cause:
        case "disabled" | "silenced":
            return after is False and before is not False
        case "stretched":
            was, will = _number(before), _number(after)
            return was is not None and will is not None and will > was
        case _:
            return bool(_ids(before) - _ids(after))


def _number(value: JSON) -> int | None:
    """A number in any spelling that a manifest or AlertSite may have: 5, 5.0, "5"."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _ids(value: JSON) -> set[int | None]:
    items = value if isinstance(value, list) else ()
    return {_number(item.get("id")) for item in items if isinstance(item, dict)}


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))
