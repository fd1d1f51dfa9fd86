"""Whether a plan is what is left of an approved one, by the digests of its parts."""

from __future__ import annotations

import pytest

from reconciler.core.plan import Action, Binding, BindingAction, Change, Plan
from reconciler.errors import RefusedError
from reconciler.usecases.plan import refuse_other

from build import ACCOUNT


def change(action: Action, name: str, id_: int | None, port: int = 587) -> Change:
    return Change(action, f"email-smtp/{name}", "email-smtp", id_, {"port": port}, (), None)


EDIT, NEW = change(Action.UPDATE, "edit", 1), change(Action.CREATE, "new", None)
FOUND = Binding("email-smtp/new", BindingAction.BIND, 7)
APPROVED = Plan(ACCOUNT, (EDIT, NEW))


@pytest.mark.parametrize(
    "rest",
    [
        APPROVED,
        Plan(ACCOUNT, (EDIT,)),
        Plan(ACCOUNT, (NEW,)),
        Plan(ACCOUNT, (EDIT,), (FOUND,)),
        Plan(ACCOUNT),
    ],
)
def test_what_is_left_may_be_done(rest: Plan) -> None:
    refuse_other(rest, APPROVED.digest, APPROVED.digests)


@pytest.mark.parametrize(
    "other",
    [
        Plan(ACCOUNT, (EDIT, NEW, change(Action.DELETE, "old", 3))),
        Plan(ACCOUNT, (change(Action.UPDATE, "edit", 1, port=25),)),
        Plan(ACCOUNT, (), (FOUND._replace(address="email-smtp/edit"),)),
        Plan(ACCOUNT, (), (FOUND._replace(before=6),)),
        Plan(ACCOUNT, (), (FOUND._replace(action=BindingAction.ADOPT),)),
    ],
)
def test_anything_else_is_refused(other: Plan) -> None:
    with pytest.raises(RefusedError, match="differs from the approved one"):
        refuse_other(other, APPROVED.digest, APPROVED.digests)


def test_where_nothing_was_begun_the_plan_is_the_approved_one_or_none() -> None:
    refuse_other(APPROVED, APPROVED.digest)
    with pytest.raises(RefusedError, match="differs from the approved one"):
        refuse_other(Plan(ACCOUNT, (EDIT,)), APPROVED.digest)
