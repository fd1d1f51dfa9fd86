"""What of a plan is folded, what is not, and in which order."""

from typing import Any

import pytest

from reconciler.core.diff import FieldChange
from reconciler.core.grouping import (
    FOLDED_ABOVE,
    Detail,
    ElementChange,
    Group,
    SetChange,
    detail_of,
    groups,
    loss_groups,
    set_change,
)
from reconciler.core.model import Origin
from reconciler.core.plan import Action, Change, Coverage, Loss, Plan, Reason
from reconciler.core.planner import decide
from reconciler.render.markdown import plan_markdown
from reconciler.render.plans import plan_text
from reconciler.render.view import View

from build import ACCOUNT, SCHEMAS, desired, live, record


def addresses(group: Group) -> list[str]:
    return [change.address for change in group.changes]


def planned(*pairs: tuple[dict[str, Any], dict[str, Any]], **more: Any) -> Plan:
    """A plan of monitors 1, 2, … from (desired, live) fields, with records where there are some."""
    manifests = [
        desired(wants, name=f"m{place}", id=place) for place, (wants, _) in enumerate(pairs, 1)
    ]
    monitors = [live(has, id=place) for place, (_, has) in enumerate(pairs, 1)]
    records = more.get("records", {})
    return decide(ACCOUNT, manifests, records, monitors, SCHEMAS.kinds)


def test_the_same_edit_of_many_monitors_is_one_group() -> None:
    plan = planned(*[({"timeout": 33}, {"timeout": 30})] * 3, ({"timeout": 33}, {"timeout": 31}))
    first, second = groups(plan)
    assert addresses(first) == ["email-smtp/m1", "email-smtp/m2", "email-smtp/m3"]
    assert addresses(second) == ["email-smtp/m4"]
    assert first.fields == (FieldChange("timeout", 30, 33),)


def test_true_is_not_one() -> None:
    plan = planned(({"x": True}, {"x": 0}), ({"x": 1}, {"x": 0}))
    assert len(groups(plan)) == 2


def test_other_kinds_and_what_was_applied_before_do_not_matter() -> None:
    manifests = [desired({"timeout": 33}), desired({"timeout": 33}, kind="email-pop", id=2)]
    monitors = [live({"timeout": 30}), live({"timeout": 30}, type="email-pop", id=2)]
    records = {"email-smtp/relay": record({"timeout": 30})}
    (group,) = groups(decide(ACCOUNT, manifests, records, monitors, SCHEMAS.kinds))
    assert group.by_kind() == {"email-pop": 1, "email-smtp": 1}


def test_of_a_set_only_what_comes_and_goes_counts() -> None:
    def ids(*numbers: int) -> list[dict[str, int]]:
        return [{"id": number} for number in numbers]

    plan = planned(
        ({"locations": ids(10, 20, 30)}, {"locations": ids(10, 20), "home_location": 10}),
        ({"locations": ids(30, 40)}, {"locations": ids(40), "home_location": 40}),
    )
    (group,) = groups(plan)
    assert [item.field for item in group.fields] == ["locations"]
    assert group.varying == ("home_location",)
    for change in group.changes:
        (field,) = (item for item in change.fields if item.field == "locations")
        assert set_change(field) == SetChange("id", ({"id": 30},))


@pytest.mark.parametrize("cause", ["drift", "both", "not-kept"])
def test_a_few_that_moved_in_alertsite_are_not_folded(cause: str) -> None:
    known = {
        "drift": record({"timeout": 33}),
        "both": record({"timeout": 31}),
        "not-kept": record({"timeout": 30})._replace(unseen={"timeout": 33}),
    }[cause]
    records = {f"email-smtp/m{place}": known._replace(id=place) for place in (3, 4)}
    plan = planned(*[({"timeout": 33}, {"timeout": 30})] * 4, records=records)
    found = groups(plan)
    assert list(map(addresses, found)) == [
        ["email-smtp/m3"],
        ["email-smtp/m4"],
        ["email-smtp/m1", "email-smtp/m2"],
    ]
    assert [group.is_unusual for group in found] == [True, True, False]


def test_what_goes_comes_first_then_what_loses_monitoring() -> None:
    plan = planned(
        ({"timeout": 33}, {"timeout": 30}),
        ({"timeout": 33}, {"timeout": 30}),
        ({"enabled": False}, {"enabled": True}),
        ({"enabled": False}, {"enabled": True}),
    )
    delete = Change(Action.DELETE, "email-smtp/old", "email-smtp", 9, {}, (), None)
    plan = plan._replace(changes=(*plan.changes, delete))
    assert list(map(addresses, groups(plan))) == [
        ["email-smtp/old"],
        ["email-smtp/m3"],
        ["email-smtp/m4"],
        ["email-smtp/m1", "email-smtp/m2"],
    ]


MANY = FOLDED_ABOVE + 1


def test_many_that_lose_the_same_are_one_group_and_the_rare_come_first() -> None:
    slower = ({"interval": 10}, {"interval": 5})
    plan = planned(
        *[slower] * MANY,
        ({"enabled": False}, {"enabled": True}),
        ({"timeout": 33}, {"timeout": 30}),
    )
    rare, many, usual = groups(plan)
    assert addresses(rare) == [f"email-smtp/m{MANY + 1}"]
    assert len(many.changes) == MANY
    assert many.fields == (FieldChange("interval", 5, 10),)
    assert [group.is_unusual for group in (rare, many, usual)] == [True, True, False]


def test_many_of_one_sort_leave_those_of_another_unfolded() -> None:
    moved = {"email-smtp/m1": record({"timeout": 33}), "email-smtp/m2": record({"timeout": 33})}
    moved = {name: item._replace(id=place) for place, (name, item) in enumerate(moved.items(), 1)}
    plan = planned(
        *[({"timeout": 33}, {"timeout": 30})] * 2,
        *[({"interval": 10}, {"interval": 5})] * MANY,
        records=moved,
    )
    assert [len(group.changes) for group in groups(plan)] == [MANY, 1, 1]


def test_many_deletes_are_one_group_that_names_them() -> None:
    deletes = tuple(
        Change(Action.DELETE, f"email-smtp/m{place:03}", "email-smtp", place, {}, (), None)
        for place in range(1, 131)
    )
    plan = Plan(ACCOUNT, deletes)
    (group,) = groups(plan)
    assert len(group.changes) == len(deletes)
    for text in (plan_text(plan), plan_markdown(plan, View())):
        assert "130 monitors" in text
        assert "email-smtp/m100 and 30 more" in text
        assert "its manifest is gone" in text
        assert len(text.split("\n")) < len(deletes)
    assert all(change.address in plan_text(plan, detail=Detail.FULL) for change in deletes)


def test_many_with_both_causes_are_alike_only_if_the_same_was_applied() -> None:
    records = {
        f"email-smtp/m{place}": record({"timeout": 31 + (place > MANY)})._replace(id=place)
        for place in range(1, MANY + 3)
    }
    plan = planned(*[({"timeout": 33}, {"timeout": 30})] * (MANY + 2), records=records)
    assert [len(group.changes) for group in groups(plan)] == [2, MANY]


def test_many_creates_for_different_reasons_are_different_groups() -> None:
    names = [f"m{place}" for place in range(MANY)]
    manifests = [desired({"name": name}, name=name, id=None) for name in names]
    records = {f"email-smtp/{name}": record(id=place) for place, name in enumerate(names, 1)}
    plan = decide(ACCOUNT, manifests, records, [], SCHEMAS.kinds)
    first, *rest = plan.changes
    plan = plan._replace(changes=(first._replace(reason=Reason.REPLACEMENT), *rest))
    assert [(group.reason, len(group.changes)) for group in groups(plan)] == [
        (Reason.REPLACEMENT, 1),
        (Reason.DELETED_OUTSIDE, MANY - 1),
    ]


def test_creates_of_a_kind_are_alike_but_for_what_varies() -> None:
    manifests = [
        desired({"name": f"m{place}", "interval": 5}, name=f"m{place}", id=None) for place in (1, 2)
    ]
    (group,) = groups(decide(ACCOUNT, manifests, {}, [], SCHEMAS.kinds))
    assert group.action is Action.CREATE
    assert group.fields == (FieldChange("interval", None, 5),)
    assert group.varying == ("name",)


def test_a_few_creates_for_a_reason_are_not_folded() -> None:
    manifests = [desired({"name": name}, name=name, id=None) for name in ("a", "b")]
    records = {f"email-smtp/{name}": record(id=number) for name, number in (("a", 1), ("b", 2))}
    found = groups(decide(ACCOUNT, manifests, records, [], SCHEMAS.kinds))
    assert [(group.reason, len(group.changes)) for group in found] == [
        (Reason.DELETED_OUTSIDE, 1),
        (Reason.DELETED_OUTSIDE, 1),
    ]


def test_counts_by_kind_folder_and_label() -> None:
    def change(path: str, labels: dict[str, str]) -> Change:
        origin = Origin(path, 0, 1)
        return Change(
            Action.UPDATE, f"email-smtp/{len(path)}", "email-smtp", 1, {}, (), origin, labels=labels
        )

    group = Group(
        Action.UPDATE,
        None,
        (),
        (
            change("monitors/a/x.yaml", {"team": "mail"}),
            change("monitors/b/x.yaml", {"team": "web", "tier": "1"}),
            change("monitors/b/yy.yaml", {"team": "web"}),
            change("x.yaml", {}),
        ),
    )
    assert group.by_kind() == {"email-smtp": 4}
    assert list(group.by_folder().items()) == [("monitors/b", 2), (".", 1), ("monitors/a", 1)]
    assert list(group.by_label().items()) == [("team=web", 2), ("team=mail", 1), ("tier=1", 1)]


def test_how_a_set_changes() -> None:
    before = [{"id": 2, "value_id": 20}, {"id": 10, "value_id": 1}, {"id": 9, "value_id": 9}]
    after = [{"id": 10, "value_id": 2}, {"id": 9, "value_id": 9}, {"id": 3, "value_id": 30}]
    assert set_change(FieldChange("p", before, after, set_key="id")) == SetChange(
        "id",
        ({"id": 3, "value_id": 30},),
        ({"id": 2, "value_id": 20},),
        (ElementChange({"id": 10, "value_id": 2}, "value_id", 1, 2),),
    )


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        (None, [{"id": 1}], "id"),
        ([{"id": 1}], None, "id"),
        ([{"id": 1}], [{"id": 2}], None),
        ([{"id": 1}, {"id": 1}], [{"id": 2}], "id"),
        ([1], [{"id": 2}], "id"),
    ],
)
def test_what_is_no_set(before: Any, after: Any, key: str | None) -> None:
    assert set_change(FieldChange("p", before, after, set_key=key)) is None


def test_how_much_is_shown() -> None:
    few = planned(*[({"timeout": 33}, {"timeout": 30})] * FOLDED_ABOVE)
    many = planned(*[({"timeout": 33}, {"timeout": 30})] * (FOLDED_ABOVE + 1))
    assert detail_of(few) is Detail.FULL
    assert detail_of(many) is Detail.GROUPED
    assert detail_of(many, Detail.FULL) is Detail.FULL


def test_those_who_lose_the_same_are_one_group() -> None:
    losses = (
        Loss("a/1", 1, ("stretched",), {"interval": "stretched"}),
        Loss("a/2", 2, ("deleted",)),
        Loss("a/3", 3, ("stretched",), {"interval": "stretched"}),
    )
    one, two = loss_groups(losses)
    assert [loss.address for loss in one.losses] == ["a/2"]
    assert [loss.address for loss in two.losses] == ["a/1", "a/3"]
    assert two.causes == ("stretched",)


def test_a_loss_without_a_change_is_named_unless_all_is_to_be_short() -> None:
    fields = {"port": "released"}
    losses = tuple(
        Loss(f"email-smtp/m{number:02}", number, ("released",), fields) for number in range(30)
    )
    plan = Plan(ACCOUNT, (), coverage=Coverage(60, losses))
    for text in (plan_text(plan), plan_markdown(plan, View())):
        assert all(loss.address in text for loss in losses)
    assert "m29" not in plan_text(plan, detail=Detail.SUMMARY)


def test_labels_and_names_are_no_decision() -> None:
    manifest = desired({"timeout": 33}, labels={"team": "mail"})
    one = decide(ACCOUNT, [manifest], {}, [live({"timeout": 30})], SCHEMAS.kinds)
    two = decide(
        ACCOUNT, [manifest._replace(labels={})], {}, [live({"timeout": 30})], SCHEMAS.kinds
    )
    assert one.changes[0].labels == {"team": "mail"}
    assert one.digest == two.digest
    assert Plan.from_json(one.to_json()) == one
