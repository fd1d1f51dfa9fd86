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
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.sandbox.locations import location

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
        required: The fields without which a create is refused.
        writable: The schema of each field that may be sent.
        read_only: The fields that only the server writes.
    """

    name: str
    required: tuple[str, ...]
    writable: Mapping[str, Mapping[str, Any]]
    read_only: frozenset[str]

    @classmethod
    def from_schema(cls, name: str, schema: Mapping[str, Any]) -> "MonitorKind":
        """Return the kind that a manifest schema describes under `spec`."""
        spec = schema["properties"]["spec"]
        return cls(
            name=name,
            required=tuple(spec["required"]),
            writable=_writable(spec),
            read_only=frozenset(spec["properties"]) - set(_writable(spec)),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """A request's body as the server understood it: its values, or why it is refused."""

    values: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...]


def read_new(kind: MonitorKind, body: Mapping[str, Any], *, strict: bool) -> Reading:
    """Return the fields of a monitor to be created; required ones must be there and not empty."""
    missing = [name for name in kind.required if body.get(name) in (None, "")]
    refused = {"required and is empty": missing} if missing else {}
    return _read(kind, body, refused, strict=strict)


def read_edit(kind: MonitorKind, body: Mapping[str, Any], *, strict: bool) -> Reading:
    """Return the fields of a monitor to be changed."""
    return _read(kind, body, {}, strict=strict)


def created(kind: MonitorKind, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole monitor but for its id: these values, account defaults for the rest."""
    fields = {*kind.writable, *kind.read_only}
    defaults = {name: value for name, value in _ACCOUNT_DEFAULTS.items() if name in fields}
    return edited({**defaults, "type": kind.name}, values)


def edited(monitor: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the monitor with these fields changed as the server stores them."""
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
    names = _SAMPLE_PROPERTY_NAMES | {
        entry["id"]: entry["name"] for entry in known if {"id", "name"} <= entry.keys()
    }
    values = _SAMPLE_PROPERTY_VALUES | {
        entry["value_id"]: entry["value"]
        for entry in known
        if {"value_id", "value"} <= entry.keys()
    }
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
    """Return the value as it is stored.

    Raises:
        _MismatchError: It is not of the schema's type.
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
    """Return the rule of a field without what only a manifest may hold: a secretRef for a text."""
    if not isinstance(rule.get("type"), list):
        return rule
    return {key: item for key, item in {**rule, "type": "string"}.items() if key != "$ref"}
