"""Made-up accounts with monitors as awkward as real ones. Rule: the same count, the same account.

Every oddity is one that AlertSite's documentation shows or does not rule out: numbers as text and
`""` or null for what is unset are printed in its samples; names may be anything, and unique or not.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.sandbox.monitors import MonitorKind, created, location

_FIRST_ID: Final = 200_001
_NAMES: Final = (
    "Relay",
    "Büro München (SMTP)",
    "東京メール",
    "!!! *** ???",
    "Почта",
    "  padded  ",
    'Relay: "primary" # it\'s one',
    "yes",
    "587",
    "- dash",
    "Łódź / Straße",
    "\U0001f4e7 inbound",
    "tab\there",
    "{flow}, [or] not",
    "Relay 2",
    "back\\slash",
    "ZERO\u200bWIDTH",
    "x" * 300,
)
_NOTES: Final = (
    "",
    None,
    "one line",
    "Runbook: https://wiki.example.com/mail\n\n  - call: the 'owner'\n  - then wait # 5 min\n",
    "trailing spaces  \nand a tab\t\n",
    "   leads with blanks\nand goes on",
    "ends with breaks\n\n\n",
    "carriage\r\nreturn",
    "null",
    "y" * 300,  # more than a manifest may say
)
_PORTS: Final = (25, "587", "", None, 465, "0993")
_ODDITIES: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"interval": "15", "timeout": "45"},
    {"ipv4": "203.0.113.7", "resolve_dns": False},
    {"custom_properties": [{"id": 228, "name": "Environment", "value": "x", "value_id": 550}]},
    {"locations": [location(30), location(4010), location(10455)], "home_location": "30"},
    {"enabled": False, "notify_on_error": None},
    {"mailbox_folder": "INBOX", "retries": 3, "empty": "", "nothing": None},
    {"tls": {"mode": "start", "ciphers": ["a: b", "#c"], "depth": {"of": [1, 2.5, None, {}]}}},
    {"pop3_password": "hunter2", "auth": {"user": "probe", "api_key": "k-1"}},
    {"has_token": True, "yes": "no", "a key: with # all": [True, "true"]},
    {"allow_internal_testing": False, "monitor_location_count": "2"},
    {"mode": "", "billing_plancode": "UBM-A/A"},
    {"sla_id": 7, "has_sla": True, "blackout_ids": ["12", "13"]},
)
_SERVERS: Final[Mapping[str, Mapping[str, str]]] = {
    "email-round-trip": {
        "smtp_hostname": "smtps://smtp.example.com:465",
        "pop3_hostname": "pop3s://pop.example.com:995",
        "email": "probe@example.com",
    }
}


def seeded(count: int, schemas: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """So many monitors as GET returns them."""
    kinds = [MonitorKind.from_schema(name, schema) for name, schema in sorted(schemas.items())]
    monitors = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        server = _SERVERS.get(kind.name, {"hostname": f"mail-{number}.example.com"})
        values = {"name": f"Monitor {number}", "billing_plancode": "UBM - A/A", **server}
        monitor = created(kind, values)
        for name, value in _odd(number):
            if name in kind.writable or name in kind.read_only or name not in _KNOWN:
                monitor[name] = value
        monitors.append({**monitor, "id": _FIRST_ID + number})
    return monitors


def _odd(number: int) -> Iterator[tuple[str, Any]]:
    """What is odd about a monitor; the cycles are of lengths that combine in all ways."""
    if number % 3 == 0:
        yield "name", _NAMES[number // 3 % len(_NAMES)]
    if number % 5 == 0:
        yield "alert_note", _NOTES[number // 5 % len(_NOTES)]
    if number % 7 == 0:
        yield "note", _NOTES[number // 7 % len(_NOTES)]
    yield "port", _PORTS[number % len(_PORTS)]
    yield from _ODDITIES[number % len(_ODDITIES)].items()


_KNOWN: Final = frozenset(("port", "ipv4", "resolve_dns"))
"""Fields that some kinds have; on the others they would be unknown to their schemas."""
