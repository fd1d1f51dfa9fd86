"""The part of a plan that Git asks for: what AlertSite has moved by itself stays as it is.

A machine that applies by itself may carry out what somebody has written and others have reviewed.
It must not decide whose hand in AlertSite was wrong: that is drift, and a person's. So a field goes
out if its cause is an edit, or the end of one (`restore`), and if nothing that must accompany it
has moved. A monitor that was deleted in AlertSite is not created again.

Rule: values and a pure function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import Cause
from reconciler.core.plan import Action, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model import Kind
    from reconciler.core.plan import Change, Plan


_GIT = (Cause.EDIT, Cause.RESTORE)


class Edits(NamedTuple):
    """A plan in two parts.

    Attributes:
        plan: the part that Git asks for.
        held: the addresses of which something stays as AlertSite has it, sorted.
    """

    plan: Plan
    held: tuple[str, ...]


def edits_of(plan: Plan, kinds: Mapping[str, Kind]) -> Edits:
    """The part of a plan that Git asks for, and which monitors keep something else."""
    changes: list[Change] = []
    held: list[str] = []
    for change in plan.changes:
        edit = _edit(change, kinds[change.kind]) if change.kind in kinds else None
        if edit is not None:
            changes.append(edit)
        if edit != change:
            held.append(change.address)
    left_out = {item.address for item in plan.changes} - {item.address for item in changes}
    coverage = plan.coverage.without(left_out)
    return Edits(plan._replace(changes=tuple(changes), coverage=coverage), tuple(held))


def _edit(change: Change, kind: Kind) -> Change | None:
    """The part of a change that Git asks for; None if there is none."""
    if change.action is not Action.UPDATE or change.is_retirement:
        return None if change.reason is Reason.DELETED_OUTSIDE else change
    own = [item for item in change.fields if item.sent_with is None]
    edited = {item.field for item in own if item.cause in _GIT}
    stays = {item.field for item in own} - edited
    if not stays:
        return change
    companions = {
        name
        for name, field in kind.fields.items()
        if name not in edited and not edited.isdisjoint(field.send_with)
    }
    if not edited or not companions.isdisjoint(stays):
        return None
    sent = edited | companions
    fields = tuple(
        item._replace(
            sent_with=next(name for name in kind.field(item.field).send_with if name in edited)
        )
        if item.sent_with is not None
        else item
        for item in change.fields
        if item.field in sent
    )
    body = {name: value for name, value in change.body.items() if name in sent}
    return change._replace(body=body, fields=fields)
