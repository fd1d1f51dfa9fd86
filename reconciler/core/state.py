"""What was last applied to each address, and how that moves on.

Rule: values and pure transitions; no I/O, no clock. The state holds only what live cannot tell:
which id is bound to which address, what we wrote last, and fingerprints of secrets. So it may be
lost: manifests with `metadata.id` plan as before, and `--adopt` finds the others again.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from reconciler.core import json_text
from reconciler.core.generation import Generation
from reconciler.core.json_text import ShapeError, corruption, decoded, encoded
from reconciler.core.model import DEFAULT_ACCOUNT, JSON, Account, canonical
from reconciler.errors import NewerFormatError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


_T = TypeVar("_T")
FORMAT_VERSION, JOURNAL_VERSION = "2.4", "2.3"
"""Of the state's JSON and of journals: additions raise the minor number, all else the major."""


_MOST_PLANS = 100
_VERSION = re.compile("[0-9]+[.][0-9]+")
_MOMENT = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")  # sorts as time does
UNTRACKED, RELEASED = "", "released"  # fingerprints of: sent without a key; no longer named


def is_same_secret(before: str, now: str) -> bool:
    """Whether two fingerprints are of the same secret, made with the same key."""
    return before.rpartition(":")[2] == now.rpartition(":")[2]


def is_of_key(before: str, mark: str) -> bool:
    """Whether a fingerprint may have been made with the key of that mark."""
    scheme, _, rest = before.partition(":")
    found, colon, _ = rest.partition(":")
    return not (scheme and colon) or found == mark


class Prior(NamedTuple):
    """What a field goes back to when it leaves its manifest.

    Attributes:
        value: what AlertSite had before Git first changed the field; None if it was unset.
        run: the id of the run that changed it first.
        sent: what a run was about to send last: all that is known of it if that run was killed.
    """

    value: JSON
    run: str
    sent: JSON


class Sending(NamedTuple):
    """What a run was about to send to a monitor, where it is not known whether it did.

    Attributes:
        run: the id of the run; empty if there is none.
        fields: what it was about to send, but for secrets.
    """

    run: str = ""
    fields: Mapping[str, JSON] = {}

    def without(self, names: Collection[str]) -> Sending:
        """The same but for some fields."""
        left = {name: value for name, value in self.fields.items() if name not in names}
        return Sending(self.run, left) if left else Sending()


class Record(NamedTuple):
    """What we last applied to one address, and what AlertSite was seen to have then.

    A field that AlertSite was not seen to have as it was sent is in both `fields`, with what was
    seen, and `unseen`: it was not kept, or shows later. It is no drift in either case.

    Attributes:
        fields: what AlertSite was seen to have after we wrote, as the manifest writes it.
        secrets: for each field with a secret the fingerprint of what was last sent; or `UNTRACKED`
            or `RELEASED`.
        applied_at: RFC 3339 UTC.
        run: the id of the run that applied it.
        protect: deleting the monitor is refused, even without a manifest.
        retire: what pruning does without a manifest: `delete` or `disable`.
        unseen: what was sent and has not been seen since.
        previously: the former names that the manifest listed then: they have led to this record, or
            to none.
        prior: of the fields that Git has changed, what AlertSite had before.
        made_with: the fields that Git made the monitor with: there is no value before.
        sending: what a run was about to send since: see `pending.caught_up`.
        left: the fields that left the manifest and stay worse for coverage than they were before:
            what they were.
        deleting: a run was about to delete the monitor: that it is gone surprises nobody.
        ignore: the fields that are not compared, and the last such day of each, as YYYY-MM-DD.
    """

    id: int
    fields: Mapping[str, JSON]
    secrets: Mapping[str, str]
    applied_at: str
    run: str
    protect: bool = False
    retire: str = "delete"
    unseen: Mapping[str, JSON] = {}
    previously: tuple[str, ...] = ()
    prior: Mapping[str, Prior] = {}
    deleting: bool = False
    ignore: Mapping[str, str] = {}
    made_with: tuple[str, ...] = ()
    left: Mapping[str, JSON] = {}
    sending: Sending = Sending()

    @property
    def is_new(self) -> bool:
        """Whether no look has shown its monitor yet: the id is what an answer claimed."""
        return bool(self.unseen) and not self.fields


class PendingCreate(NamedTuple):
    """A create that was sent, or may have been, and whose outcome is not known.

    Attributes:
        run: the id of the run that sent it.
        at: when it was about to, RFC 3339 UTC.
        body: what was sent, but for secrets.
        replaces: the record of the monitor that is missing and is created again; the address has it
            again if the create made nothing. None for a new one.
    """

    run: str
    at: str
    body: Mapping[str, JSON]
    replaces: Record | None = None


class Lost(NamedTuple):
    """A monitor that a run took monitoring from, or may have.

    Attributes:
        address: what it was bound to.
        causes: how; see `plan.Loss`.
        at: when, RFC 3339 UTC.
    """

    id: int
    address: str
    causes: tuple[str, ...]
    at: str


class State(NamedTuple):
    """All records of one account.

    Attributes:
        lineage: what all states that came from one another share.
        serial: grows by one with every save.
        saved_at: RFC 3339 UTC; empty if it was never saved.
        pending_creates: by address.
        ids_before: for each run with pending creates or new records, the ids that AlertSite had.
        applied_plans: the ids of saved plans that were applied to their end, the last ones.
        generation: of the manifests that were applied last, all of them together.
        losses: by its id, each monitor that lost monitoring within a day of the last save.
        budget: the limits of the safety budget that the last apply was held to; none if unknown.
        unmanaged: ids of the monitors that were not ours at the last apply; None if unknown.
    """

    lineage: str
    account: Account
    serial: int = 0
    saved_at: str = ""
    run: str = ""
    records: Mapping[str, Record] = {}
    pending_creates: Mapping[str, PendingCreate] = {}
    ids_before: Mapping[str, tuple[int, ...]] = {}
    applied_plans: tuple[str, ...] = ()
    generation: Generation = Generation()
    losses: Mapping[int, Lost] = {}
    budget: Mapping[str, int] = {}
    unmanaged: tuple[int, ...] | None = None

    @property
    def all_records(self) -> Mapping[str, Record]:
        """The records, and those of missing monitors that were to be created again."""
        missing = {
            address: item.replaces
            for address, item in self.pending_creates.items()
            if item.replaces is not None
        }
        return {**missing, **self.records} if missing else self.records


class StateDelta(NamedTuple):
    """What a run has to change in a state; None takes an address, or a lost monitor, out."""

    records: Mapping[str, Record | None] = {}
    pending: Mapping[str, PendingCreate | None] = {}
    ids_before: Mapping[str, tuple[int, ...]] = {}
    applied_plan: str = ""
    generation: Generation | None = None
    losses: Mapping[int, Lost | None] = {}
    budget: Mapping[str, int] = {}
    unmanaged: tuple[int, ...] | None = None

    def of(self, state: State) -> State:
        """That state with this delta in it, whoever saved it; not counted as saved yet."""
        pending = _merged(state.pending_creates, self.pending)
        records = _merged(state.records, self.records)
        runs = {item.run for item in pending.values()}
        runs |= {item.run for item in records.values() if item.is_new}
        before = {**state.ids_before, **self.ids_before}
        plans = [*(item for item in state.applied_plans if item != self.applied_plan)]
        if self.applied_plan:
            plans.append(self.applied_plan)
        return state._replace(
            records=records,
            pending_creates=pending,
            ids_before={run: ids for run, ids in before.items() if run in runs},
            applied_plans=tuple(plans[-_MOST_PLANS:]),
            generation=self.generation or state.generation,
            losses=_merged(state.losses, self.losses),
            budget=self.budget or state.budget,
            unmanaged=state.unmanaged if self.unmanaged is None else self.unmanaged,
        )

    def then(self, later: StateDelta) -> StateDelta:
        """Both, one after the other."""
        return StateDelta(
            {**self.records, **later.records},
            {**self.pending, **later.pending},
            {**self.ids_before, **later.ids_before},
            later.applied_plan or self.applied_plan,
            later.generation or self.generation,
            {**self.losses, **later.losses},
            later.budget or self.budget,
            self.unmanaged if later.unmanaged is None else later.unmanaged,
        )


class Recovery(NamedTuple):
    """What the journals of runs that did not end tell.

    Attributes:
        runs: the ids of those runs.
        outcomes: how many changes have an outcome that the state did not have yet.
        delta: what they change in the state.
    """

    runs: tuple[str, ...]
    outcomes: int
    delta: StateDelta


def not_older(losses: Mapping[int, Lost], since: str, now: str) -> Mapping[int, Lost]:
    """The losses after a moment; what a clock that was ahead has written counts from now."""
    return {
        number: item._replace(at=min(item.at, now))
        for number, item in losses.items()
        if item.at > since
    }


def to_text(state: State) -> str:
    """The state as `schemas/state.schema.json` describes it, with one line for each record."""
    creates = state.pending_creates.items()
    head: dict[str, JSON] = {
        "format_version": FORMAT_VERSION,
        "lineage": state.lineage,
        "serial": state.serial,
        "account": state.account._asdict(),
        "saved_at": state.saved_at,
        "run": state.run,
        "pending_creates": {address: pending_to_json(item) for address, item in creates},
        "ids_before": state.ids_before,
        "applied_plans": state.applied_plans,
        "generation": state.generation._asdict(),
        "losses": [item._asdict() for _, item in sorted(state.losses.items())],
        "budget": state.budget,
    }
    if state.unmanaged is not None:
        head["unmanaged"] = state.unmanaged
    lines = [f"{json.dumps(key)}: {canonical(value)}," for key, value in head.items()]
    records = ",\n".join(
        f"{json.dumps(address)}: {canonical(record_to_json(record))}"
        for address, record in sorted(state.records.items())
    )
    opened = '"records": {\n' if records else '"records": {'
    return "\n".join(["{", *lines, f"{opened}{records}}}", "}"]) + "\n"


def from_text(text: bytes) -> State:
    """The state that `to_text` wrote.

    Raises:
        NewerFormatError: only another version of this tool can read it.
        StateError: it is corrupt. No message says where it is kept.
    """
    try:
        data = json_text.read(text)
    except ValueError as error:
        raise StateError(f"the state is corrupt: {error}") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if not isinstance(version, str):
        raise StateError("the state is corrupt: it has no format_version")
    if version != "1.0" and not is_known(version, FORMAT_VERSION):
        kind = NewerFormatError if _VERSION.fullmatch(version) else StateError
        raise kind(
            f"the state has format {version}, but this reconciler reads {FORMAT_VERSION}",
            "Use the version of reconciler that wrote it, or a newer one.",
        )
    try:
        return _state(_upgraded(data) if version == "1.0" else data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(f"the state is corrupt: {corruption(error)}") from error


def record_to_json(record: Record) -> dict[str, JSON]:
    """One record of the state's JSON; what is as usual is left out."""
    usual = Record._field_defaults
    parts = record._asdict()
    return {name: encoded(parts[name]) for name in parts if parts[name] != usual.get(name, ...)}


class _Retire(StrEnum):
    DELETE = "delete"
    DISABLE = "disable"


_RECORD = Record(
    0,
    {},
    {"": ""},
    "",
    "",
    retire=_Retire.DELETE,
    previously=("",),
    prior={"": Prior(None, "", None)},
    ignore={"": ""},
    made_with=("",),
)
_PENDING = PendingCreate("", "", {}, _RECORD)
_LOST = Lost(0, "", ("",), "")
_HEAD = State(
    "",
    Account("", ""),
    ids_before={"": (0,)},
    applied_plans=("",),
    budget={"": 0},
    unmanaged=(0,),
)
"""What the parts of the state's JSON are like; see `decoded`."""


def record_from_json(data: JSON) -> Record:
    """The record that `record_to_json` gave.

    Raises:
        KeyError: a part is missing.
        TypeError: it is something else.
    """
    return decoded(_RECORD, data)


def first_record(number: int, secrets: Iterable[str], *, tracks: bool) -> Record:
    """The record of a monitor that had none.

    Args:
        number: the id of the monitor.
        secrets: the fields of its manifest with a secret.
        tracks: whether there are fingerprints; else nobody knows whether it has these secrets.
    """
    return Record(number, {}, {} if tracks else dict.fromkeys(secrets, UNTRACKED), "", "")


def without_secrets(record: Record, holds: Callable[[str], bool]) -> Record:
    """The record; a field in which a known secret stands is kept as one that held a secret.

    What such a field was applied with is never shown or compared, as with a secretRef.
    """
    parts = (record.fields, record.unseen, record.prior, record.left, record.sending.fields)
    if not holds(repr(parts)):
        return record
    found = {name for part in parts for name, value in part.items() if holds(repr(value))}
    fields, unseen, prior, left, _ = (
        {name: value for name, value in part.items() if name not in found} for part in parts
    )
    secrets = dict.fromkeys(sorted(found), UNTRACKED) | dict(record.secrets)
    record = record._replace(fields=fields, unseen=unseen, prior=prior, secrets=secrets)
    return record._replace(left=left, sending=record.sending.without(found))


def head_line(state: State, run: str) -> JSON:
    """The first line of a run's journal."""
    return {
        "journal": JOURNAL_VERSION,
        "run": run,
        "lineage": state.lineage,
        "account": state.account._asdict(),
    }


def ids_line(ids: Sequence[int]) -> JSON:
    """The line that says which ids AlertSite had before the creates of a run."""
    return {"ids_before": list(ids)}


def intent_line(address: str, creates: PendingCreate | None, replaced: Record | None) -> JSON:
    """The line that says what may be sent from now on."""
    return {
        "intent": address,
        "creates": creates and pending_to_json(creates),
        "replaces": replaced and replaced.run,
    }


def outcome_line(address: str, record: Record | None, replaced: Record | None) -> JSON:
    """The line that says how a change ended: with a new record, or (None) without an effect."""
    return {
        "outcome": address,
        "record": record and record_to_json(record),
        "replaces": replaced and replaced.run,
    }


def about_line(record: JSON) -> JSON:
    """The line that says what the run is about, as its run record; it changes nothing."""
    return {"about": record}


def recover(state: State, journals: Iterable[Sequence[JSON]]) -> Recovery:
    """What the journals tell that the state does not have yet.

    An outcome counts only if the state still has the record that it replaced: then nobody has
    applied anything to that address since.

    Raises:
        StateError: a journal is of another lineage, account or format; or is no journal.
    """
    runs: list[str] = []
    records: dict[str, Record | None] = {}
    pending: dict[str, PendingCreate | None] = {}
    before: dict[str, tuple[int, ...]] = {}
    again: dict[str, Record] = {}
    told: set[str] = set()
    for lines in journals:
        if not lines:
            continue  # killed before its first line: nothing was sent
        runs.append(_run(state, lines[0]))
        for line in (line for line in lines[1:] if "about" not in line):
            if "ids_before" in line:
                before[runs[-1]] = decoded((0,), line["ids_before"])
                continue
            address = line["intent"] if "intent" in line else line["outcome"]
            if not isinstance(address, str):
                raise TypeError("an address is a text")
            known = records[address] if address in records else state.records.get(address)
            is_current = (known and known.run) == line["replaces"]
            if known is not None and known.sending.run not in {"", runs[-1]}:
                is_current = False  # a later run has begun to change it
            waiting = pending.get(address, state.pending_creates.get(address))
            if waiting is not None and waiting.run != runs[-1]:
                continue  # a later run has begun to create it
            if "intent" in line:
                if line["creates"] is not None and is_current:
                    records[address] = None
                    pending[address] = _create(address, line["creates"])
                continue
            if line["record"] is None:
                pending[address] = None
                if known is not None and is_current:
                    records[address] = known._replace(sending=Sending(), deleting=False)
                elif waiting is not None and waiting.replaces is not None and is_current:
                    again[address] = waiting.replaces
            elif is_current:
                told.add(address)
                pending[address] = None
                records[address] = record_from_json(line["record"])
    # AlertSite may have given the id of a missing monitor again, to one that was made since.
    given = {item.id: address for address in told if (item := records[address]) is not None}
    for address, item in _merged(state.records, records).items() if given else ():
        if given.get(item.id, address) != address and address not in told:
            records[address] = None
    bound = {record.id for record in _merged(state.records, records).values()} if again else ()
    records |= {address: record for address, record in again.items() if record.id not in bound}
    return Recovery(tuple(runs), len(told), StateDelta(records, pending, before))


def outcomes_in(lines: Sequence[JSON]) -> dict[str, Record | None]:
    """What a journal says last of each change that has an outcome: see `outcome_line`."""
    return {
        line["outcome"]: line["record"] and record_from_json(line["record"])
        for line in lines
        if "outcome" in line
    }


def pending_to_json(pending: PendingCreate) -> dict[str, JSON]:
    """One pending create of the state's JSON."""
    data: dict[str, JSON] = {"run": pending.run, "at": pending.at, "body": pending.body}
    if pending.replaces is not None:
        data["replaces"] = record_to_json(pending.replaces)
    return data


def _part(example: _T, data: JSON, otherwise: str) -> _T:
    """A part of kept JSON; if it is not like the example, `otherwise` says so."""
    try:
        return decoded(example, data)
    except (KeyError, TypeError) as error:
        raise ShapeError(otherwise) from error


_DAMAGED = "is not complete, or a value has the wrong type"


def _create(address: str, data: JSON) -> PendingCreate:
    """The pending create that `pending_to_json` gave."""
    if isinstance(data, dict) and data.get("replaces") is not None:
        replaced = f"the record that the pending create of {address} replaces {_DAMAGED}"
        _part(_RECORD, data["replaces"], replaced)
    return _part(_PENDING, data, "a pending create must have a run, a time and a body")


def _merged(base: Mapping[Any, JSON], changes: Mapping[Any, JSON]) -> Mapping[Any, JSON]:
    if not changes:
        return base
    merged = {**base, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def is_known(version: str, known: str) -> bool:
    """Whether this code can read that format: the same major number, and no newer minor one."""
    parts, own = version.split("."), known.split(".")
    numbers = len(parts) == len(own) and all(part.isascii() and part.isdigit() for part in parts)
    return numbers and parts[0] == own[0] and int(parts[1]) <= int(own[1])


def _upgraded(data: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """A state of the format 1.0 as 2.0 writes it.

    What was pending then is known by its display name alone, and not what was there before.
    """
    creating = data.get("creating", {})
    head = {key: value for key, value in data.items() if key != "creating"}
    return head | {
        "account": {"name": DEFAULT_ACCOUNT, "url": data.get("account")},
        "pending_creates": {
            address: {"run": data.get("run"), "at": data.get("saved_at"), "body": {"name": name}}
            for address, name in creating.items()
        },
        "ids_before": {},
        "applied_plans": [],
    }


def _state(data: Mapping[str, JSON]) -> State:
    head = {name: data[name] for name in ("lineage", "serial", "account", "saved_at", "run")}
    head |= {name: data[name] for name in ("ids_before", "applied_plans")}
    head |= {name: data[name] for name in ("generation", "budget", "unmanaged") if name in data}
    state = decoded(_HEAD, head)
    limits = state.budget
    if limits and (limits.keys() != {"monitors", "percent"} or min(limits.values()) < 0):
        raise ShapeError("budget must hold monitors and percent, as numbers from 0")
    no_loss = f"an entry of losses {_DAMAGED}"
    losses = [_part(_LOST, item, no_loss) for item in data.get("losses", ())]
    if not all(_MOMENT.fullmatch(item.at) for item in losses):
        raise ShapeError(no_loss)
    return state._replace(
        records={
            address: _part(_RECORD, item, f"the record of {address} {_DAMAGED}")
            for address, item in data["records"].items()
        },
        pending_creates={
            address: _create(address, item) for address, item in data["pending_creates"].items()
        },
        losses={item.id: item for item in losses},
    )


def _run(state: State, head: JSON) -> str:
    version = head.get("journal") if isinstance(head, dict) else None
    if version == "1.0":
        raise StateError("it was written by an earlier version; finish that run with that version")
    if not isinstance(version, str):
        raise StateError("it is not a journal of reconciler")
    if not is_known(version, JOURNAL_VERSION):
        raise StateError(
            f"it has format {version}, but this reconciler reads {JOURNAL_VERSION}; finish that "
            "run with the version that wrote it"
        )
    account = Account(**head["account"])
    for key, made, own in (
        ("lineage", head["lineage"], state.lineage),
        ("account", account, state.account),
    ):
        if made != own:
            raise StateError(f"it belongs to a state of the {key} {made}, not {own}")
    return str(head["run"])
