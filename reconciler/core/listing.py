"""Every email monitor of an account, as a table: whose it is, and what it does.

Rule: values and pure functions; no I/O, clock or environment. What may be a secret is hidden before
it gets here, so that neither a cell nor a search tells it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.inventory import Inventory
from reconciler.core.json_text import encoded
from reconciler.core.mask import HIDDEN, shown
from reconciler.core.model import JSON, Kind, Live, elements_by_key, scalars_in
from reconciler.core.names import Name, find_names, uses_of
from reconciler.core.siblings import NOBODY
from reconciler.core.standing import Listed, Standing, standings
from reconciler.core.targets import is_id, is_in, is_selected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.model import Account, Desired
    from reconciler.core.siblings import Claims
    from reconciler.core.state import Record


FORMAT_VERSION = "1.0"
"""Of the JSON: the minor number grows with additions, the major with anything else."""
USUAL = (
    "monitor",
    "name",
    "kind",
    "enabled",
    "server",
    "interval",
    "locations",
    "labels",
    "applied",
)
WIDE = ("status", "address", "id", *USUAL[1:], "billing_plancode", "file")
COLUMNS = tuple(dict.fromkeys((*WIDE, *USUAL)))
"""What a table can show beside the fields of the monitors and `labels.NAME`."""
LABEL = "labels."
_UNSET = "(AlertSite)"
"""The server of a test mail that AlertSite sends itself; see `smtp_hostname` in the schema."""


class Where(NamedTuple):
    """A condition: one of the texts of a column matches a pattern, whatever their case."""

    column: str
    pattern: str


class Listing(NamedTuple):
    """Monitors, sorted by address; those without one come last, sorted by id.

    Attributes:
        names: what AlertSite calls the ids in their fields.
        is_offline: AlertSite was not asked.
    """

    account: Account
    monitors: tuple[Listed, ...]
    names: tuple[Name, ...] = ()
    is_offline: bool = False

    def counts(self) -> dict[str, int]:
        """How many there are of each status."""
        found = [item.standing for item in self.monitors]
        return {status.value: found.count(status) for status in Standing}

    def only(
        self, standings: Sequence[Standing], conditions: Sequence[Where], targets: Sequence[str]
    ) -> Listing:
        """Those of one of those standings that meet all conditions and that targets select."""
        names = {(item.field, item.key, item.id): item.name for item in self.names}
        return self._replace(
            monitors=tuple(
                item
                for item in self.monitors
                if (not standings or item.standing in standings)
                and all(_meets(item, condition, names) for condition in conditions)
                and is_selected(targets, partial(_is_meant, item))
            )
        )

    def columns(self) -> set[str]:
        """All columns that a table of these can have."""
        fields = (name for item in self.monitors for name in (*item.fields, *item.kind.fields))
        labels = (f"{LABEL}{name}" for item in self.monitors for name in item.labels)
        return {*COLUMNS, *fields, *labels}

    def to_json(self) -> dict[str, JSON]:
        """What `schemas/list.schema.json` describes."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account._asdict(),
            "offline": self.is_offline,
            "summary": self.counts(),
            "monitors": [
                {
                    "status": item.standing,
                    "address": item.address,
                    "id": item.id,
                    "kind": item.kind.name,
                    "is_live": item.is_live,
                    "labels": item.labels,
                    "origin": encoded(item.origin),
                    "applied_at": item.applied_at or None,
                    "run": item.run or None,
                    "fields": item.fields,
                }
                for item in self.monitors
            ],
            "names": encoded(self.names),
        }


def list_monitors(
    account: Account,
    desired: Iterable[Desired],
    records: Mapping[str, Record],
    live: Iterable[Live],
    kinds: Mapping[str, Kind],
    others: Claims = NOBODY,
    *,
    is_offline: bool = False,
) -> Listing:
    """Every monitor that a manifest describes, and every email monitor that the account has.

    Args:
        account: where `live` was read from.
        desired: every manifest, with unique addresses and ids.
        records: what was last applied, by address.
        live: every monitor that AlertSite returned, or what the records say in its place.
        kinds: the kinds, by name.
        others: what other accounts with the same login describe; their monitors are left out.
        is_offline: whether the records stand for AlertSite.
    """
    inventory = Inventory(desired, records, others.leave(live), others=others)
    found = []
    for item in standings(inventory, kinds):
        listed = item._replace(fields=_fields(item, inventory), is_offline=is_offline)
        if is_offline and item.standing is Standing.MISSING:
            listed = listed._replace(standing=Standing.MANAGED)
        found.append(listed)
    found.sort(key=lambda item: (item.address is None, item.address or ""))
    uses = (
        use
        for item in found
        for name, value in item.fields.items()
        for use in uses_of(item.kind, name, (value,))
    )
    names = find_names(uses, inventory.by_id.values())
    return Listing(account, tuple(found), names, is_offline)


def _fields(item: Listed, inventory: Inventory) -> dict[str, JSON]:
    """The fields in AlertSite, or else in the manifest, without what may be a secret."""
    kind, live = item.kind, item.live
    manifest, record = item.manifest, item.record
    applied = record.fields if record else {}
    wanted = manifest.fields if manifest else {}
    held = {*(record.secrets if record else ()), *(manifest.secrets if manifest else ())}
    if live is not None:
        held |= inventory.secrets.get(live.id, frozenset())
    found = {}
    for name, value in (live.fields if live else wanted).items():
        normal = kind.field(name).normalise(value)
        if normal is not None and name not in {"id", "type"}:
            known = shown(kind, name, normal, applied.get(name), wanted.get(name))
            found[name] = HIDDEN if name in held else known
    return found


def cell(item: Listed, column: str, names: Mapping[tuple[str, str | None, int], str]) -> list[str]:
    """What a monitor has in a column: the texts of its elements; none if it has nothing there."""
    match column:
        case "monitor":
            return [item.address or f"{item.id}"]
        case "address":
            return [item.address] if item.address else []
        case "id":
            return [] if item.id is None else [str(item.id)]
        case "status":
            return [item.standing.value]
        case "kind":
            return [item.kind.name]
        case "applied":
            return [item.applied_at] if item.applied_at else []
        case "file":
            return [str(item.origin)] if item.origin else []
        case "labels":
            return [f"{name}={value}" for name, value in item.labels.items()]
        case "server":
            return _server(item)
        case _ if column.startswith(LABEL):
            value = item.labels.get(column.removeprefix(LABEL))
            return [] if value is None else [value]
        case _:
            return _texts(item, column, names)


def _server(item: Listed) -> list[str]:
    """What the monitor talks to, as `host:port`; of a round trip the way of its mail."""
    own = [name for name in item.kind.fields if name.endswith("hostname")]
    texts = [_text(item.fields.get(name, _UNSET)) for name in own]
    if len(own) > 1:
        return [" → ".join(texts)]
    host = item.fields.get("hostname", item.fields.get("ipv4"))
    if host is None:
        return []
    port = item.fields.get("port")
    return [_text(host) if port is None else f"{_text(host)}:{_text(port)}"]


def _texts(
    item: Listed, column: str, names: Mapping[tuple[str, str | None, int], str]
) -> list[str]:
    value = item.fields.get(column)
    if value is None:
        return []
    key = item.kind.field(column).set_key
    elements = elements_by_key(value, key) if isinstance(value, list) else None
    if elements is None or key is None:
        name = names.get((column, None, value)) if type(value) is int else None
        return [name or _text(value)]
    return [
        ": ".join(
            names.get((column, member, part), _text(part)) if type(part) is int else _text(part)
            for member, part in sorted(element.items(), key=lambda pair: pair[0] != key)
        )
        for element in elements.values()
    ]


def _meets(
    item: Listed, condition: Where, names: Mapping[tuple[str, str | None, int], str]
) -> bool:
    normal = item.kind.field(condition.column).normalise(condition.pattern)
    asked = [condition.pattern, *([normal] if isinstance(normal, str) else [])]
    patterns = {pattern.casefold() for pattern in asked}
    texts = cell(item, condition.column, names) or [""]
    # An id is found by its number, too; and a list by all of its text.
    scalars = scalars_in(item.fields.get(condition.column))
    texts = [*texts, ", ".join(texts), *(_text(it) for it in scalars if it is not None)]
    return any(fnmatchcase(text.casefold(), pattern) for text in texts for pattern in patterns)


def _is_meant(item: Listed, target: str) -> bool:
    """Whether a target means the monitor, whatever is before it."""
    if is_id(target):
        return str(item.id) == target
    label, equals, value = target.partition("=")
    if equals:
        return item.labels.get(label) == value
    if item.origin is not None and is_in(item.origin.path, target):
        return True
    return item.address is not None and fnmatchcase(item.address, target)


def _text(value: JSON) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
