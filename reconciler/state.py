"""What was last applied to each address, and how that moves on.

Rule: values and pure transitions; no I/O, no clock. The state holds only what live cannot tell:
which id is bound to which address, what we wrote last, and fingerprints of secrets. So it may be
lost: manifests with `metadata.id` plan as before, and `--adopt` finds the others again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import StateError
from reconciler.model import JSON, canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.model import Live

FORMAT_VERSION = JOURNAL_VERSION = "1.0"
"""Of the state's JSON and of journals: additions raise the minor number, all else the major."""


UNTRACKED, RELEASED = "", "released"  # fingerprints of: sent without a key; no longer named


class Record(NamedTuple):
    """What we last applied to one address.

    Attributes:
        fields: the fields as the manifest wrote them when AlertSite was last known to fit them.
        secrets: for each field with a secret the fingerprint of what was last sent; or `UNTRACKED`
            or `RELEASED`.
        applied_at: RFC 3339 UTC.
        run: the id of the run that applied it.
        protect: deleting the monitor is refused, even without a manifest.
        retire: what pruning does without a manifest: `delete` or `disable`.
        ignore: the fields that are not compared, and the last such day of each, as YYYY-MM-DD.
    """

    id: int
    fields: Mapping[str, JSON]
    secrets: Mapping[str, str]
    applied_at: str
    run: str
    protect: bool = False
    retire: str = "delete"
    ignore: Mapping[str, str] = {}


class State(NamedTuple):
    """All records of one account.

    Attributes:
        lineage: what all states that came from one another share.
        serial: grows by one with every save.
        saved_at: RFC 3339 UTC; empty if it was never saved.
        creating: by address, the display name of each monitor whose create may have been sent
            without its outcome being known.
    """

    lineage: str
    account: str
    serial: int = 0
    saved_at: str = ""
    run: str = ""
    records: Mapping[str, Record] = {}
    creating: Mapping[str, str] = {}


class Transition(NamedTuple):
    """What a run has to change in a state; None takes an address out."""

    records: Mapping[str, Record | None] = {}
    creating: Mapping[str, str | None] = {}

    def of(self, state: State) -> State:
        """That state with this transition made, whoever saved it; not counted as saved yet."""
        return state._replace(
            records=_merged(state.records, self.records),
            creating=_merged(state.creating, self.creating),
        )


class Recovery(NamedTuple):
    """What the journals of runs that did not end tell.

    Attributes:
        runs: the ids of those runs.
        outcomes: how many outcomes the state did not have yet.
        transition: what they change in the state.
    """

    runs: tuple[str, ...]
    outcomes: int
    transition: Transition


def to_text(state: State) -> str:
    """The state as `schemas/state.schema.json` describes it, with one line for each record."""
    head = {
        "format_version": FORMAT_VERSION,
        "lineage": state.lineage,
        "serial": state.serial,
        "account": state.account,
        "saved_at": state.saved_at,
        "run": state.run,
        "creating": dict(sorted(state.creating.items())),
    }
    lines = [f"{json.dumps(key)}: {canonical(value)}," for key, value in head.items()]
    records = ",\n".join(
        f"{json.dumps(address)}: {canonical(record_to_json(record))}"
        for address, record in sorted(state.records.items())
    )
    return (
        "\n".join(["{", *lines, '"records": {', f"{records}}}", "}"]).replace(
            '"records": {\n}}', '"records": {}'
        )
        + "\n"
    )


def from_text(text: bytes) -> State:
    """The state that `to_text` wrote.

    Raises:
        StateError: it is corrupt or of a newer format; the message does not say where it is kept.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"the state is corrupt: {error}") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if not isinstance(version, str):
        raise StateError("the state is corrupt: it has no format_version")
    if not _is_known(version, FORMAT_VERSION):
        raise StateError(
            f"the state has format {version}, and this reconciler knows {FORMAT_VERSION}",
            "Use the version of reconciler that wrote it, or a newer one.",
        )
    try:
        return _state(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(f"the state is corrupt: {type(error).__name__}: {error}") from error


def record_to_json(record: Record) -> dict[str, JSON]:
    """One record of the state's JSON; what is as usual is left out."""
    data = record._asdict()
    for name, usual in Record._field_defaults.items():
        if data[name] == usual:
            del data[name]
    return data


def record_from_json(data: JSON) -> Record:
    """The record that `record_to_json` gave.

    Raises:
        KeyError: a part is missing.
        TypeError: it is something else.
    """
    record: JSON = Record(**data)
    is_one = (
        type(record.id) is int
        and type(record.fields) is dict
        and type(record.secrets) is dict
        and type(record.applied_at) is str
        and type(record.run) is str
        and type(record.protect) is bool
        and record.retire in {"delete", "disable"}
        and type(record.ignore) is dict
        and all(type(until) is str for until in record.ignore.values())
    )
    if not is_one:
        raise TypeError(f"{canonical(data)} is not a record")
    return Record(*record)


def head_line(state: State, run: str) -> JSON:
    """The first line of a run's journal."""
    return {
        "journal": JOURNAL_VERSION,
        "run": run,
        "lineage": state.lineage,
        "account": state.account,
    }


def intent_line(address: str, creates: str | None, replaced: Record | None) -> JSON:
    """The line that says what may be sent from now on; `creates` is the name of a new monitor."""
    return {"intent": address, "creates": creates, "replaces": replaced and replaced.run}


def outcome_line(address: str, record: Record | None, replaced: Record | None) -> JSON:
    """The line that says how a change ended: with a new record, or (None) without an effect."""
    return {
        "outcome": address,
        "record": record and record_to_json(record),
        "replaces": replaced and replaced.run,
    }


def recover(state: State, journals: Iterable[Sequence[JSON]]) -> Recovery:
    """What the journals tell that the state does not have yet.

    An outcome counts only if the state still has the record that it replaced: then nobody has
    applied anything to that address since.

    Raises:
        StateError: a journal is of another lineage, account or format; or is no journal.
    """
    runs: list[str] = []
    records: dict[str, Record | None] = {}
    creating: dict[str, str | None] = {}
    outcomes = 0
    for lines in journals:
        if not lines:
            continue  # killed before its first line: nothing was sent
        runs.append(_run(state, lines[0]))
        for line in lines[1:]:
            address = line["intent"] if "intent" in line else line["outcome"]
            known = records[address] if address in records else state.records.get(address)
            is_current = (known and known.run) == line["replaces"]
            if "intent" in line:
                if line["creates"] is not None and is_current:
                    records[address], creating[address] = None, line["creates"]
                continue
            creating[address] = None
            if line["record"] is not None and is_current:
                outcomes += 1
                records[address] = record_from_json(line["record"])
    return Recovery(tuple(runs), outcomes, Transition(records, creating))


def settle(state: State, live: Iterable[Live], taken: Iterable[int]) -> dict[str, int]:
    """The ids of monitors that a create without a known outcome has made, by address.

    Such a monitor has the kind and the display name of the intent and is bound to nothing: before
    the create there was none, or it would have been refused. Where there are several, nothing is
    settled, and planning says so.

    Args:
        state: with what it is `creating`.
        live: every monitor that AlertSite returned.
        taken: ids that manifests name.
    """
    if not state.creating:
        return {}
    bound = {record.id for record in state.records.values()}.union(taken)
    free: dict[tuple[str | None, JSON], list[int]] = {}
    for monitor in live:
        if monitor.id not in bound:
            free.setdefault((monitor.type, monitor.fields.get("name")), []).append(monitor.id)
    found: dict[str, int] = {}
    for address, name in state.creating.items():
        kind = address.partition("/")[0]
        ids = free.get((kind, name), []) + free.get((None, name), [])
        if len(ids) == 1 and address not in state.records:
            found[address] = ids[0]
    ids = list(found.values())
    return {key: number for key, number in found.items() if ids.count(number) == 1}


def _merged(base: Mapping[str, JSON], changes: Mapping[str, JSON]) -> Mapping[str, JSON]:
    if not changes:
        return base
    merged = {**base, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def _is_known(version: str, known: str) -> bool:
    """Whether this code can read that format: the same major number, and no newer minor one."""
    parts, own = version.split("."), known.split(".")
    numbers = len(parts) == len(own) and all(part.isascii() and part.isdigit() for part in parts)
    return numbers and parts[0] == own[0] and int(parts[1]) <= int(own[1])


def _state(data: Mapping[str, JSON]) -> State:
    lineage, serial, account = data["lineage"], data["serial"], data["account"]
    if not (isinstance(lineage, str) and isinstance(account, str) and type(serial) is int):
        raise TypeError("lineage and account are texts, serial is a number")
    texts = (data["saved_at"], data["run"], *data["creating"].values())
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("saved_at, run and the names in creating are texts")
    return State(
        lineage=lineage,
        account=account,
        serial=serial,
        saved_at=data["saved_at"],
        run=data["run"],
        records={address: record_from_json(item) for address, item in data["records"].items()},
        creating=dict(data["creating"]),
    )


def _run(state: State, head: JSON) -> str:
    if not isinstance(head, dict) or not _is_known(str(head.get("journal")), JOURNAL_VERSION):
        raise StateError("it is no journal that this reconciler can read")
    for key, own in (("lineage", state.lineage), ("account", state.account)):
        if head[key] != own:
            raise StateError(f"it belongs to a state of the {key} {head[key]}, not {own}")
    return str(head["run"])
