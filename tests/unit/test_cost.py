"""What monitors cost: credits by the region of their locations."""

from typing import Any

import pytest

from reconciler.core.cost import Cost, cost, credits_per_day, regions_of

from build import live

REGIONS = {10: 1, 20: 1, 5010: 2, 26: 3}
NEAR, FAR = {"id": 10}, {"id": 5010}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"interval": 5, "locations": [NEAR]}, 144.0),
        ({"interval": 5, "locations": [FAR]}, 288.0),
        ({"interval": 5, "locations": [NEAR, FAR]}, 432.0),
        ({"interval": 5, "locations": [{"id": "10"}]}, 144.0),
        ({"interval": 5, "locations": [{"id": 26}]}, 288.0),
        ({"interval": 5, "locations": [{"id": 77}]}, 288.0),
        ({"interval": 5, "locations": [{}]}, 288.0),
        ({"interval": 5, "locations": [NEAR], "enabled": False}, 0),
        ({"interval": 5}, None),
        ({"locations": [NEAR]}, None),
        (
            {
                "interval": 10,
                "locations": [NEAR, FAR],
                "rotate_locations": True,
                "monitor_location_count": 1,
            },
            108.0,
        ),
    ],
)
def test_credits(fields: dict[str, Any], expected: float | None) -> None:
    assert credits_per_day(fields, REGIONS) == expected


def test_regions_are_what_live_tells_and_of_two_none() -> None:
    told = [
        live({"locations": [{"id": 10, "region": 1}, {"id": 20, "region": "2"}, {"id": 30}]}, id=1),
        live({"locations": [{"id": 10, "region": 2}, "odd", {"region": 1}]}, id=2),
        live({"locations": None}, id=3),
    ]
    assert regions_of(told) == {20: 2}


def test_of_all_monitors_and_of_how_many_nothing_is_known() -> None:
    monitors = [
        live({"interval": 5, "locations": [NEAR]}, id=1),
        live({"interval": 10, "locations": [FAR]}, id=2),
        live({"locations": [FAR]}, id=3),
    ]
    assert cost(monitors, REGIONS) == Cost(432, 288.0, 2, 1)
