"""What of a plan Git asks for: edits go out, what AlertSite has moved stays."""

from typing import Any

import pytest

from reconciler.core.edits import Edits, edits_of
from reconciler.core.plan import Action
from reconciler.core.planner import decide
from reconciler.schema import installed_schemas

from build import ACCOUNT, desired, live, record

KINDS = installed_schemas().kinds
NAME = "email-smtp/relay"
APPLIED = {"port": 25, "note": "x"}
AT = {"locations": [{"id": 10}, {"id": 20}], "home_location": 10}


def parted(
    wanted: dict[str, Any], applied: dict[str, Any], has: dict[str, Any], **more: Any
) -> Edits:
    """The two parts of a plan for one monitor."""
    manifest = desired(wanted, **more)
    known = {manifest.address: record(applied)}
    plan = decide(ACCOUNT, [manifest], known, [live(has)], KINDS)
    return edits_of(plan, KINDS)


def body(found: Edits) -> dict[str, Any]:
    return {name: value for change in found.plan.changes for name, value in change.body.items()}


@pytest.mark.parametrize(
    ("wanted", "has", "sent", "is_held"),
    [
        ({"port": 587, "note": "x"}, APPLIED, {"port": 587}, False),
        (APPLIED, {"port": 26, "note": "x"}, {}, True),
        ({"port": 587, "note": "x"}, {"port": 26, "note": "x"}, {}, True),
        ({"port": 587, "note": "x"}, {"port": 25, "note": "by hand"}, {"port": 587}, True),
        (APPLIED, APPLIED, {}, False),
    ],
    ids=["edit", "drift", "both", "an edit beside drift", "nothing"],
)
def test_only_what_git_moved_is_sent(
    wanted: dict[str, Any], has: dict[str, Any], sent: dict[str, Any], *, is_held: bool
) -> None:
    found = parted(wanted, APPLIED, has)
    assert body(found) == sent
    assert bool(found.held) == is_held


def test_what_must_accompany_an_edit_goes_along() -> None:
    has = {**AT, "note": "by hand"}
    wanted = {**AT, "locations": [{"id": 10}, {"id": 30}], "note": "x"}
    found = parted(wanted, {**AT, "note": "x"}, has)
    assert body(found) == {"locations": [{"id": 10}, {"id": 30}], "home_location": 10}
    assert len(found.held) == 1


def test_an_edit_stays_whose_companion_has_moved() -> None:
    wanted = {**AT, "locations": [{"id": 10}, {"id": 20}, {"id": 30}]}
    found = parted(wanted, AT, {**AT, "home_location": 20})
    assert not found.plan.changes
    assert len(found.held) == 1


def test_a_monitor_that_was_deleted_in_alertsite_is_not_created_again() -> None:
    manifest = desired({"port": 25}, id=None)
    new = desired({"name": "New"}, name="new", id=None)
    known = {manifest.address: record({"port": 25})}
    plan = decide(ACCOUNT, [manifest, new], known, [], KINDS)
    assert [item.action for item in plan.changes] == [Action.CREATE, Action.CREATE]
    found = edits_of(plan, KINDS)
    assert [item.address for item in found.plan.changes] == [new.address]
    assert found.held == (manifest.address,)


def test_what_is_held_costs_no_monitoring() -> None:
    manifest = desired({"enabled": False})
    plan = decide(
        ACCOUNT,
        [manifest],
        {manifest.address: record({"enabled": False})},
        [live({"enabled": True})],
        KINDS,
    )
    assert plan.coverage.losses
    assert not edits_of(plan, KINDS).plan.coverage.losses
