"""From desired and live to a plan: which request goes out for which manifest, and why.

Rule: a plan is a value. It is decided here, without I/O, clock or environment, from the table:

| desired   | live                         | decision                                      |
|-----------|------------------------------|-----------------------------------------------|
| no id     | -                            | refuse: nothing says which monitor is meant   |
| id        | no such monitor              | refuse: the id is not in this account         |
| id        | monitor of another kind      | refuse: a kind cannot be changed              |
| id        | same kind, patch empty       | unchanged                                     |
| id        | same kind, patch not empty   | update with that patch                        |
| -         | email monitor                | unmanaged: counted, never touched             |
"""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from reconciler.diff import FieldChange, Leaf, explain, patch
from reconciler.model import JSON, Live, Origin, canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.model import Desired

FORMAT_VERSION = "1.0"
"""Of the plan's JSON: the minor number grows with additions, the major with anything else."""


class Action(StrEnum):
    """What a change does to a monitor."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Change(NamedTuple):
    """One request, and the field changes that explain it."""

    action: Action
    address: str
    kind: str
    id: int
    body: Mapping[str, JSON]
    fields: tuple[FieldChange, ...]
    origin: Origin

    @property
    def method(self) -> str:
        """The HTTP method of the request."""
        return "PATCH"

    @property
    def path(self) -> str:
        """The path of the request, below the base URL."""
        return f"/monitors/{self.kind}/{self.id}"


class Refusal(NamedTuple):
    """A manifest that cannot be planned: which guard said no, and what would allow it."""

    address: str
    code: str
    message: str
    hint: str
    origin: Origin


class Plan(NamedTuple):
    """All that a run would do to one account; changes and refusals are sorted by address.

    Attributes:
        account: the base URL that live was read from.
        unchanged: manifests that AlertSite already fits.
        unmanaged: email monitors of the account that no manifest names.
        excluded: manifests that `--target` left out.
    """

    account: str
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    unchanged: int = 0
    unmanaged: int = 0
    excluded: int = 0

    @property
    def digest(self) -> str:
        """What two plans share exactly when they would do the same: `sha256:` and 64 hex digits."""
        from hashlib import sha256  # noqa: PLC0415 - 4 ms that a plan in text saves

        decisions = [
            self.account,
            [_change_to_json(change) for change in self.changes],
            [_refusal_to_json(refusal) for refusal in self.refusals],
        ]
        return "sha256:" + sha256(canonical(decisions).encode("utf-8", "surrogatepass")).hexdigest()

    def having(self, action: Action) -> tuple[Change, ...]:
        """The changes of that action."""
        return tuple(change for change in self.changes if change.action is action)

    def to_json(self) -> dict[str, JSON]:
        """The plan as `schemas/plan.schema.json` describes it."""
        return {
            "format_version": FORMAT_VERSION,
            "account": self.account,
            "digest": self.digest,
            "summary": {action.value: len(self.having(action)) for action in Action}
            | {
                "unchanged": self.unchanged,
                "unmanaged": self.unmanaged,
                "excluded": self.excluded,
                "refused": len(self.refusals),
            },
            "changes": [_change_to_json(change) for change in self.changes],
            "refusals": [_refusal_to_json(refusal) for refusal in self.refusals],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Plan:
        """The plan that `to_json` wrote; `data` must fit `schemas/plan.schema.json`."""
        summary = data["summary"]
        return cls(
            account=data["account"],
            changes=tuple(_change_from_json(item) for item in data["changes"]),
            refusals=tuple(
                Refusal(**(item | {"origin": Origin(**item["origin"])}))
                for item in data["refusals"]
            ),
            unchanged=summary["unchanged"],
            unmanaged=summary["unmanaged"],
            excluded=summary["excluded"],
        )


def decide(
    account: str,
    desired: Iterable[Desired],
    live: Iterable[Live],
    kinds: Iterable[str],
    targets: Sequence[str] = (),
) -> Plan:
    """The plan that brings live to desired; the order of the inputs changes nothing.

    Args:
        account: the base URL that `live` was read from.
        desired: every manifest, with unique addresses and ids.
        live: every monitor that AlertSite returned; those of other types are not counted.
        kinds: the names of the kinds that manifests can have.
        targets: plan only the manifests that one of these matches; see `matches`.
    """
    by_id = {monitor.id: monitor for monitor in live}
    managed: set[int | None] = set()
    decisions: list[Change | Refusal] = []
    unchanged = excluded = 0
    for manifest in desired:
        managed.add(manifest.id)
        if targets and not any(matches(manifest, target) for target in targets):
            excluded += 1
            continue
        decision = _decide(manifest, by_id.get(manifest.id) if manifest.id else None)
        if decision is None:
            unchanged += 1
        else:
            decisions.append(decision)
    decisions.sort(key=lambda decision: decision.address)
    ours = {*kinds, None}
    return Plan(
        account=account,
        changes=tuple(item for item in decisions if isinstance(item, Change)),
        refusals=tuple(item for item in decisions if isinstance(item, Refusal)),
        unchanged=unchanged,
        unmanaged=sum(item.type in ours for item in by_id.values() if item.id not in managed),
        excluded=excluded,
    )


def matches(desired: Desired, target: str) -> bool:
    """Whether a `--target` means that manifest: an address, a glob over them, or label=value."""
    label, equals, value = target.partition("=")
    if equals:
        return desired.labels.get(label) == value
    return fnmatchcase(desired.address, target)


def _decide(desired: Desired, live: Live | None) -> Change | Refusal | None:
    """One row of the table in the module's docstring; None means unchanged."""
    match desired.id, live:
        case None, _:
            return _refusal(
                desired,
                "not-bound",
                "the manifest names no AlertSite monitor",
                "Add metadata.id with the id of the monitor it describes; creating monitors is "
                "not supported yet.",
            )
        case _, None:
            return _refusal(
                desired,
                "no-such-id",
                f"AlertSite lists no email monitor with the id {desired.id} in this account",
                "Correct metadata.id, or check that ALERTSITE_URL and the credentials are those "
                "of the account that has it.",
            )
        case _, Live(type=str(other)) if other != desired.kind.name:
            return _refusal(
                desired,
                "other-kind",
                f"monitor {desired.id} is of the kind {other}, not {desired.kind.name}",
                "AlertSite cannot change the kind of a monitor: correct kind or metadata.id.",
            )
        case id_, Live():
            body = patch(desired, live)
            if not body:
                return None
            return Change(
                action=Action.UPDATE,
                address=desired.address,
                kind=desired.kind.name,
                id=id_,
                body=body,
                fields=explain(desired, live, body),
                origin=desired.origin,
            )


def _refusal(desired: Desired, code: str, message: str, hint: str) -> Refusal:
    return Refusal(desired.address, code, message, hint, desired.origin)


def _refusal_to_json(refusal: Refusal) -> dict[str, JSON]:
    return refusal._asdict() | {"origin": refusal.origin._asdict()}


def _field_to_json(field: FieldChange) -> dict[str, JSON]:
    return field._asdict() | {"leaves": [leaf._asdict() for leaf in field.leaves]}


def _change_to_json(change: Change) -> dict[str, JSON]:
    return {
        "action": change.action.value,
        "address": change.address,
        "kind": change.kind,
        "id": change.id,
        "origin": change.origin._asdict(),
        "request": {"method": change.method, "path": change.path, "body": change.body},
        "fields": [_field_to_json(field) for field in change.fields],
    }


def _change_from_json(data: Mapping[str, JSON]) -> Change:
    return Change(
        action=Action(data["action"]),
        address=data["address"],
        kind=data["kind"],
        id=data["id"],
        body=data["request"]["body"],
        fields=tuple(
            FieldChange(**(field | {"leaves": tuple(Leaf(**leaf) for leaf in field["leaves"])}))
            for field in data["fields"]
        ),
        origin=Origin(**data["origin"]),
    )
