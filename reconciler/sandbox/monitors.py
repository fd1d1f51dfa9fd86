"""What AlertSite does with the fields of a monitor. Rule: pure functions of JSON values, no I/O.

Documented: which fields a create needs (api/v3/monitors/create-pop-imap-smtp-monitor.html and
create-roundtrip-email-monitor.html), that the rest comes from AlertSite's and the account's
defaults, that PATCH changes only what is sent, and that `alert_note` is cut after 1000 characters
without a word (monitor-object.html).
Inferred (from create-dns-monitor.html): the fields of a whole monitor, `""` for an unset port, the
name and region that the server adds to locations. Inferred (from create-recipient-group.html): the
shape of a validation error. Inferred (from the round-trip settings page): `note` is cut after 255.
Unknown: permissive. `null` is stored, fields that the schema does not know are stored, fields that
only the server writes are ignored; strict mode refuses the last two. Numbers may be sent as text, a
habit of the legacy API. `locations` and `custom_properties` are replaced as a whole.

The official list of locations (alertsite.com/cgi-bin/helpme.cgi?page=monitoring_locations.html) was
not readable. Ids 10, 20, 26, 30, 52 and 5130 stand in vendor samples; the others are inferred (from
a public third-party list). Display names vary between the vendor's own pages.

Unknown: whether AlertSite returns, masks or omits the password of a mailbox, and what it is called.
Its older API returns another password encoded; the recipients of this one have a `password`. So all
three can be chosen. Which names look like secrets is for the schemas to say.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from reconciler.sandbox.options import Showing

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
    """The location as AlertSite lists it in a monitor.

    Unknown: permissive. An id that is not in the table is taken for a private location.
    """
    private = {"id": number, "name": f"Private location {number}", "region": _PRIVATE_REGION}
    return dict(_PUBLIC.get(number, private))


_MASK: Final = "********"
_MOST_KNOWN: Final = 1000
_MAX_LENGTH: Final = {"alert_note": 1000, "note": 255}
_NUMERIC: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_JSON_TYPES: Final = {"string": str, "boolean": bool}
_SAMPLE_PROPERTY_NAMES: Final = {228: "Environment"}  # create-dns-monitor.html
_SAMPLE_PROPERTY_VALUES: Final = {550: "development"}
_ACCOUNT_DEFAULTS: Final[Mapping[str, Any]] = {
    "access_type": "Edit",
    "alert_note": "",
    "allow_internal_testing": True,
    "blackout_ids": [],
    "custom_properties": [],
    "enabled": True,
    "has_active_performance_alerts": False,
    "has_performance_alerts": False,
    "has_sla": False,
    "home_location": 10,
    "interval": 5,
    "ipv4": "",
    "locations": [location(10), location(20)],
    "mode": "Global Verify",
    "monitor_location_count": 1,
    "note": "",
    "notify_on_error": True,
    "port": "",
    "resolve_dns": True,
    "retry_on_failure": True,
    "rotate_locations": True,
    "sla_id": None,
    "timeout": 30,
    "traceroute_on_error": True,
}


@dataclass(frozen=True, slots=True)
class MonitorKind:
    """What a schema says about the monitors of one kind.

    Attributes:
        name: AlertSite's name of the type.
        required: the fields without which a create is refused.
        writable: the schema of each field that may be sent.
        read_only: the fields that only the server writes.
    """

    name: str
    required: tuple[str, ...]
    writable: Mapping[str, Mapping[str, Any]]
    read_only: frozenset[str]

    @classmethod
    def from_schema(cls, name: str, schema: Mapping[str, Any]) -> "MonitorKind":
        """The kind that a manifest schema describes under `spec`."""
        spec = schema["properties"]["spec"]
        writable = _writable(spec)
        read_only = frozenset(spec["properties"]) - writable.keys()
        return cls(name, tuple(spec["required"]), writable, read_only)


@dataclass(frozen=True, slots=True)
class Reading:
    """A request's body as the server understood it: its values, or why it is refused."""

    values: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...]


def read_new(kind: MonitorKind, body: Mapping[str, Any], *, strict: bool) -> Reading:
    """The fields of a monitor to be created; required ones must be there and not empty.

    An empty SMTP server stands for AlertSite's own (inferred: the user interface calls it optional,
    and the API requires the field).
    """
    missing = [
        name
        for name in kind.required
        if body.get(name) is None or (body[name] == "" and name != "smtp_hostname")
    ]
    refused = {"required and is empty": missing} if missing else {}
    return _read(kind, body, refused, strict=strict)


def read_edit(kind: MonitorKind, body: Mapping[str, Any], *, strict: bool) -> Reading:
    """The fields of a monitor to be changed."""
    return _read(kind, body, {}, strict=strict)


def created(kind: MonitorKind, values: Mapping[str, Any]) -> dict[str, Any]:
    """A whole monitor but for its id: these values, account defaults for the rest."""
    fields = {*kind.writable, *kind.read_only}
    defaults = {name: value for name, value in _ACCOUNT_DEFAULTS.items() if name in fields}
    return edited({**defaults, "type": kind.name}, values)


def edited(monitor: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The monitor with these fields changed as the server stores them."""
    result = {**monitor, **values}
    for name, length in _MAX_LENGTH.items():
        if isinstance(values.get(name), str):
            result[name] = values[name][:length]
    if values.get("locations"):
        result["locations"] = [location(entry["id"]) for entry in values["locations"]]
    if values.get("custom_properties"):
        known = monitor.get("custom_properties") or ()
        result["custom_properties"] = _named_properties(values["custom_properties"], known)
    return result


def _named_properties(
    entries: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    names, values = {**_SAMPLE_PROPERTY_NAMES}, {**_SAMPLE_PROPERTY_VALUES}
    for entry in known:
        if {"id", "name"} <= entry.keys():
            names[entry["id"]] = entry["name"]
        if {"value_id", "value"} <= entry.keys():
            values[entry["value_id"]] = entry["value"]
    return [
        {
            "id": entry["id"],
            "name": names.get(entry["id"], f"Property {entry['id']}"),
            "value": values.get(entry["value_id"], f"Value {entry['value_id']}"),
            "value_id": entry["value_id"],
        }
        for entry in entries
    ]


class _MismatchError(ValueError):
    """A value that contradicts the schema; the text goes to the client."""


def _read(
    kind: MonitorKind, body: Mapping[str, Any], refused: dict[str, list[str]], *, strict: bool
) -> Reading:
    values: dict[str, Any] = {}
    for name, value in body.items():
        if name in kind.writable:
            try:
                values[name] = _converted(value, kind.writable[name])
            except _MismatchError as error:
                refused.setdefault(str(error), []).append(name)
        elif strict:
            reason = "read-only" if name in kind.read_only else "unknown field"
            refused.setdefault(reason, []).append(name)
        elif name not in kind.read_only:
            values[name] = value
    errors = ({"code": 400, "fields": names, "message": text} for text, names in refused.items())
    return Reading(values, tuple(errors))


def _converted(value: object, schema: Mapping[str, Any]) -> object:
    """The value as it is stored.

    Raises:
        _MismatchError: it is not of the schema's type.
    """
    if value is None:
        return None
    match schema.get("type"):
        case "integer":
            return _integer(value)
        case "array":
            if not isinstance(value, list):
                raise _MismatchError("must be an array")
            return [_entry(entry, schema["items"]) for entry in value]
        case "string" | "boolean" as name if not isinstance(value, _JSON_TYPES[name]):
            raise _MismatchError(f"must be a {name}")
        case _:
            return value


def _integer(value: object) -> object:
    if value == "" or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _NUMERIC.fullmatch(value):
        return int(value)
    raise _MismatchError("must be an integer")


def _entry(entry: object, schema: Mapping[str, Any]) -> dict[str, object]:
    fields = _writable(schema)
    if not isinstance(entry, dict):
        raise _MismatchError("must be an array of objects")
    if any(entry.get(name) in (None, "") for name in schema["required"]):
        raise _MismatchError(f"each entry needs {' and '.join(schema['required'])}")
    return {name: _converted(entry[name], rule) for name, rule in fields.items() if name in entry}


def _writable(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        name: _on_the_wire(rule)
        for name, rule in schema["properties"].items()
        if not rule.get("readOnly", False)
    }


def _on_the_wire(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule of a field without what only a manifest may hold: a secretRef for a text."""
    if not isinstance(rule.get("type"), list):
        return rule
    return {key: item for key, item in {**rule, "type": "string"}.items() if key != "$ref"}


class SecretFields:
    """The fields that look like secrets, and the way in which one sandbox shows them."""

    def __init__(self, showing: Showing, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._showing = showing
        patterns = {  # of the names below `extra` that need a secretRef in a manifest
            pattern
            for schema in schemas.values()
            for pattern in schema["$defs"]["extraFields"]["patternProperties"]
        }
        find = [re.compile(pattern).search for pattern in sorted(patterns)]
        self._is_secret = lru_cache(_MOST_KNOWN)(lambda name: any(seek(name) for seek in find))

    def are_in(self, value: object) -> bool:
        """Whether there is one at any depth."""
        if isinstance(value, dict):
            return any(self._is_secret(name) for name in value) or self.are_in([*value.values()])
        return isinstance(value, list) and any(map(self.are_in, value))

    def shown(self, text: bytes) -> bytes:
        """The JSON text of a monitor as GET answers it."""
        if self._showing == "echoed":
            return text
        return json.dumps(self._shown(json.loads(text)), separators=(",", ":")).encode()

    def _shown(self, value: object) -> object:
        if isinstance(value, list):
            return [self._shown(item) for item in value]
        if not isinstance(value, dict):
            return value
        shown = {name: self._shown(item) for name, item in value.items()}
        for name in filter(self._is_secret, value):
            if self._showing == "omitted":
                del shown[name]
            elif value[name] not in (None, ""):  # there is nothing to hide in an unset one
                shown[name] = _MASK
        return shown
