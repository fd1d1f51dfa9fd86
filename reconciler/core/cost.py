"""What monitors cost: measurements per day, and the credits that AlertSite counts for them.

Rule: pure functions of fields; no I/O, clock or environment.

One run from one location is one measurement. On a usage-based plan it costs half a credit in the
United States and Canada, and one elsewhere ("simple checks", account/usage-based-monitoring.html;
the page has no column for email monitors, so this is inferred). Which of both a location is, is
said by its `region` in AlertSite's answers: 1 is the United States and Canada. A location whose
region nobody has told counts as elsewhere, so that the sum is rather too large.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import boolean, mappings_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.model import JSON, Live


COST_FIELDS = frozenset(
    {"enabled", "interval", "locations", "rotate_locations", "monitor_location_count"}
)
"""What a monitor costs depends on these."""
_MINUTES_A_DAY = 1440
_DIGITS = re.compile("[0-9]{1,18}")
_NEAR = 1
"""The region of the United States and Canada."""
_NEAR_CREDITS, _FAR_CREDITS = 0.5, 1.0


class Cost(NamedTuple):
    """What some monitors cost per day.

    Attributes:
        monitors: how many of them it is known of.
        unknown: how many have no interval or no locations that are known.
    """

    measurements: int = 0
    credits: float = 0.0
    monitors: int = 0
    unknown: int = 0


def cost(live: Iterable[Live], regions: Mapping[int, int]) -> Cost:
    """What all those monitors cost, as far as that can be known."""
    counts, worths, unknown = [], [], 0
    for monitor in live:
        count, worth = per_day(monitor.fields), credits_per_day(monitor.fields, regions)
        if count is None or worth is None:
            unknown += 1
        else:
            counts.append(count)
            worths.append(worth)
    return Cost(sum(counts), sum(worths, 0.0), len(counts), unknown)


def per_day(fields: Mapping[str, JSON]) -> int | None:
    """Measurements per day of a monitor with these fields; None if that cannot be known."""
    if boolean(fields.get("enabled")) is False:
        return 0
    interval, locations = number(fields.get("interval")), fields.get("locations")
    if not interval or not isinstance(locations, list) or not locations:
        return None
    count = len(locations)
    if boolean(fields.get("rotate_locations")) is True:  # then a run is made from a part of them
        count = min(count, number(fields.get("monitor_location_count")) or count)
    return round(_MINUTES_A_DAY / interval * count)


def credits_per_day(fields: Mapping[str, JSON], regions: Mapping[int, int]) -> float | None:
    """Credits per day of a monitor with these fields; None if that cannot be known.

    Runs that rotate use each location as often as the others.
    """
    count, locations = per_day(fields), fields.get("locations")
    if not count or not isinstance(locations, list):
        return count
    ids = (number(item.get("id")) if isinstance(item, dict) else None for item in locations)
    worth = [credits_of(regions.get(identity or 0)) for identity in ids]
    return round(count * sum(worth) / len(worth), 1)


def credits_of(region: int | None) -> float:
    """What one measurement costs from a location in that region; None if nobody has told it."""
    return _NEAR_CREDITS if region == _NEAR else _FAR_CREDITS


def regions_of(live: Iterable[Live]) -> dict[int, int]:
    """The region of each location, as live monitors tell it; of one with two regions none."""
    found: dict[int, set[int]] = {}
    for monitor in live:
        for item in mappings_in(monitor.fields.get("locations")):
            identity, region = number(item.get("id")), number(item.get("region"))
            if identity is not None and region is not None:
                found.setdefault(identity, set()).add(region)
    return {identity: min(told) for identity, told in found.items() if len(told) == 1}


def number(value: JSON) -> int | None:
    """A number in any spelling that a manifest or AlertSite may have: 5, 5.0, "5"."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None
