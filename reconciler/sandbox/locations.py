"""The monitoring locations that the sandbox knows by name. Rule: data, no decisions but one.

The official list (alertsite.com/cgi-bin/helpme.cgi?page=monitoring_locations.html) was not
readable. Ids 10, 20, 26, 30, 52 and 5130 stand in vendor samples; the others are inferred (from a
public third-party list). Display names vary between the vendor's own pages.
"""

from typing import Any, Final

_PRIVATE_REGION: Final = 0  # inferred (from the legacy API's sample)
_NAMES_BY_REGION: Final = {
    1: {
        10: "Fort Lauderdale (FL)",
        15: "Montreal",
        20: "Atlanta (GA)",
        25: "Vancouver",
        30: "Fremont (CA)",
        31: "San Francisco (CA)",
        35: "Seattle (WA)",
        40: "Washington (DC)",
        42: "Los Angeles (CA)",
        45: "Denver (CO)",
        50: "Chicago (IL)",
        52: "Chicago (IL)",
        60: "Dallas (TX)",
        65: "Phoenix (AZ)",
        69: "New York (NY)",
        70: "New York (NY)",
        72: "Boston (MA)",
        80: "Toronto",
        90: "Philadelphia (PA)",
        95: "Houston (TX)",
    },
    2: {
        4010: "São Paulo",
        5010: "London",
        5020: "Frankfurt",
        5030: "Madrid",
        5040: "Dublin",
        5050: "Amsterdam",
        5080: "Paris",
        5110: "Stockholm",
        5120: "Munich",
        5130: "London",
        5150: "Milan",
        5170: "Zurich",
        6010: "Singapore",
        6020: "Hong Kong",
        6040: "Mumbai",
        6050: "Tokyo",
        7010: "Sydney",
        8010: "Cape Town",
    },
    3: {26: "Atlanta (AT&T Wireless)"},
}
_PUBLIC: Final = {
    number: {"id": number, "name": name, "region": region}
    for region, names in _NAMES_BY_REGION.items()
    for number, name in names.items()
}


def location(number: int) -> dict[str, Any]:
    """Return the location as AlertSite lists it in a monitor.

    Unknown: permissive. An id that is not in the table is taken for a private location.
    """
    private = {"id": number, "name": f"Private location {number}", "region": _PRIVATE_REGION}
    return dict(_PUBLIC.get(number, private))
