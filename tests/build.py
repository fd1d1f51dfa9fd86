"""Builders of the values that tests are about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.core.model import Account, Desired, Live, Origin
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Plan
from reconciler.core.planner import decide
from reconciler.core.safety import Terms
from reconciler.core.saved_plan import Review, review
from reconciler.core.siblings import Claim, Claims
from reconciler.core.state import Record
from reconciler.schema import installed_schemas

SCHEMAS = installed_schemas()
ACCOUNT = Account("default", "https://example.com/api/v3")
ORIGIN = Origin("monitors/a.yaml", 0, 1)
_CLAIM = Claim("south", "email-smtp/moved", ORIGIN, is_unbound=True)
FORGOTTEN = {
    "its monitor is theirs": Claims(ids={2: _CLAIM}),
    "its address is theirs": Claims(addresses={"email-smtp/moved": _CLAIM}),
}
"""What makes a plan forget the record of email-smtp/moved, which has the id 2."""


def desired(
    fields: Mapping[str, Any] | None = None,
    *,
    kind: str = "email-smtp",
    name: str = "relay",
    id: int | None = 1,
    labels: Mapping[str, str] | None = None,
    secrets: Mapping[str, Any] | None = None,
) -> Desired:
    return Desired(SCHEMAS.kinds[kind], name, id, labels or {}, fields or {}, ORIGIN, secrets or {})


def record(
    fields: Mapping[str, Any] | None = None,
    *,
    id: int = 1,
    secrets: Mapping[str, str] | None = None,
    run: str = "run-1",
) -> Record:
    return Record(id, fields or {}, secrets or {}, "2026-01-02T03:04:05Z", run)


def live(
    fields: Mapping[str, Any] | None = None, *, type: str | None = "email-smtp", id: int = 1
) -> Live:
    return Live(id, type, fields or {})


def planned(
    manifests: Sequence[Desired],
    monitors: Iterable[Live],
    records: Mapping[str, Record] = {},
    rules: PlanOptions | None = None,
    terms: Terms | None = None,
) -> Plan:
    return decide(
        ACCOUNT,
        manifests,
        records,
        monitors,
        SCHEMAS.kinds,
        rules or PlanOptions(),
        terms=terms or Terms(),
    )


def reviewed(saved: Plan, current: Plan, *monitors: Live, tracks: bool = True) -> Review:
    """What is left of a saved plan; `monitors` are those of which it matters what they have."""
    by_id = {monitor.id: monitor for monitor in monitors}
    return review(saved, current, by_id, SCHEMAS.kinds, tracks=tracks)
