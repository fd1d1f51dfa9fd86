"""Who loses monitoring by a change, how much of that is allowed, and what a plan costs."""

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.budget import Budget, Coverage, Loss, Measurements, causes, per_day
from reconciler.cli import settings
from reconciler.decide import decide
from reconciler.errors import ConfigurationError, RefusedError
from reconciler.model import Desired, Live
from reconciler.plan import Plan
from reconciler.render import plan_text
from reconciler.rules import Rules
from reconciler.saved_plan import Basis, SavedPlan, from_json, to_json
from reconciler.state import Record
from reconciler.workflow import Fleet, refuse_unsafe

from build import ACCOUNT, SCHEMAS, desired, live, record

KINDS = ("email-imap", "email-pop", "email-round-trip", "email-smtp")
TWO = [{"id": 10}, {"id": 20}]


def planned(
    manifests: list[Desired],
    monitors: list[Live],
    records: dict[str, Record] | None = None,
    rules: Rules | None = None,
) -> Plan:
    return decide(ACCOUNT, manifests, records or {}, monitors, KINDS, rules or Rules())


# What AlertSite has, what the manifest wants, and how monitoring is lost by that.
LOSSES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "disabled": ({"enabled": True}, {"enabled": False}, ("disabled",)),
    "disabled, from nobody knows what": ({}, {"enabled": False}, ("disabled",)),
    "disabled, from y": ({"enabled": "y"}, {"enabled": False}, ("disabled",)),
    "disabled already, as n": ({"enabled": "n", "port": 1}, {"enabled": False, "port": 2}, ()),
    "disabled, from empty": ({"enabled": ""}, {"enabled": False}, ("disabled",)),
    "disabled, from another spelling of true": ({"enabled": 1}, {"enabled": False}, ("disabled",)),
    "enabled": ({"enabled": False}, {"enabled": True}, ()),
    "disabled already": ({"enabled": False}, {"enabled": False, "port": 2}, ()),
    "silenced": ({"notify_on_error": True}, {"notify_on_error": False}, ("silenced",)),
    "silenced, from null": ({"notify_on_error": None}, {"notify_on_error": False}, ("silenced",)),
    "no longer silenced": ({"notify_on_error": False}, {"notify_on_error": True}, ()),
    "stretched": ({"interval": 5}, {"interval": 15}, ("stretched",)),
    "stretched, from text": ({"interval": "5"}, {"interval": 15}, ("stretched",)),
    "stretched, to a whole fraction": ({"interval": 5}, {"interval": 15.0}, ("stretched",)),
    "the same in another spelling": ({"interval": "15"}, {"interval": 15, "port": 2}, ()),
    "text is not compared as text": ({"interval": "9"}, {"interval": 10}, ("stretched",)),
    "shortened": ({"interval": 15}, {"interval": 5}, ()),
    "shortened, from text": ({"interval": "15"}, {"interval": 5}, ()),
    "an interval where none was known": ({"interval": ""}, {"interval": 60}, ()),
    "an interval where none was": ({"interval": None}, {"interval": 60}, ()),
    "dropped": ({"locations": TWO}, {"locations": TWO[:1]}, ("dropped",)),
    "dropped, from texts": (
        {"locations": [{"id": "10", "name": "x"}, {"id": "20"}]}, {"locations": TWO[:1]},
        ("dropped",),
    ),
    "exchanged": ({"locations": TWO[:1]}, {"locations": TWO[1:]}, ("dropped",)),
    "added": ({"locations": TWO[:1]}, {"locations": TWO}, ()),
    "added, to a whole fraction": ({"locations": TWO[:1]}, {"locations": [{"id": 10.0}, *TWO[1:]]},
        ()),
    "locations where none were": ({"locations": []}, {"locations": TWO}, ()),
    "locations where none were known": ({}, {"locations": TWO}, ()),
    "another field": ({"port": 25}, {"port": 587}, ()),
    "a field from extra": ({"x": True}, {"x": False}, ()),
    "several": (
        {"enabled": True, "notify_on_error": True, "interval": 1, "locations": TWO},
        {"enabled": False, "notify_on_error": False, "interval": 9, "locations": TWO[:1]},
        ("disabled", "dropped", "silenced", "stretched"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("has", "wants", "lost"), LOSSES.values(), ids=LOSSES)
def test_how_monitoring_is_lost(
    has: dict[str, Any], wants: dict[str, Any], lost: tuple[str, ...]
) -> None:
    manifest = desired(wants, labels={"team": "mail"})
    plan = planned([manifest], [live(has)])
    expected = (Loss("email-smtp/relay", lost, {"team": "mail"}),) if lost else ()
    assert plan.coverage.losses == expected


@pytest.mark.parametrize("kind", sorted(SCHEMAS.kinds))
def test_every_kind_says_what_its_fields_cost(kind: str) -> None:
    found = {
        name: field.coverage for name, field in SCHEMAS.kinds[kind].fields.items() if field.coverage
    }
    assert found == {
        "enabled": "disabled",
        "interval": "stretched",
        "locations": "dropped",
        "notify_on_error": "silenced",
    }


def test_a_field_that_only_accompanies_another_costs_nothing() -> None:
    manifest = desired({"locations": TWO, "home_location": 10})
    plan = planned([manifest], [live({"locations": TWO[:1], "home_location": 10})])
    assert [field.field for field in plan.changes[0].fields] == ["home_location", "locations"]
    assert plan.coverage.losses == ()


def test_what_is_created_loses_nothing() -> None:
    manifest = desired({"name": "x", "enabled": False, "interval": 60}, id=None)
    assert planned([manifest], []).coverage.losses == ()


def test_what_is_ignored_or_refused_loses_nothing() -> None:
    refused = desired({"enabled": False}, id=7)
    assert planned([refused], [live({"enabled": True})]).coverage.losses == ()


def test_without_a_cost_no_field_is_looked_at() -> None:
    plan = planned([desired({"enabled": False})], [live({"enabled": True})])
    assert causes(plan.changes[0].fields, {}) == ()


class TestRetiring:
    RECORDS = {"email-smtp/gone": record(id=1)}  # noqa: RUF012 - never changed

    def test_a_delete_is_a_loss_without_labels(self) -> None:
        plan = planned([], [live()], self.RECORDS, Rules(prune=True))
        assert plan.coverage.losses == (Loss("email-smtp/gone", ("deleted",), {}),)

    def test_so_is_disabling_instead(self) -> None:
        records = {"email-smtp/gone": record(id=1)._replace(retire="disable")}
        plan = planned([], [live({"enabled": True})], records, Rules(prune=True))
        assert plan.coverage.losses == (Loss("email-smtp/gone", ("disabled",), {}),)

    def test_an_orphan_that_is_left_is_none(self) -> None:
        assert planned([], [live()], self.RECORDS).coverage.losses == ()


def test_manifests_and_records_are_managed_once_each() -> None:
    manifests = [desired(name="a", id=1), desired(name="b", id=2)]
    records = {"email-smtp/a": record(id=1), "email-smtp/gone": record(id=3)}
    assert planned(manifests, [live(id=9)], records).coverage.managed == 3


LIMITS: dict[str, tuple[Budget, int, int]] = {
    "a small fleet has no share": (Budget(), 0, 10),
    "one less than a share needs": (Budget(), 9, 10),
    "three of ten": (Budget(), 10, 3),
    "the share is rounded down": (Budget(), 19, 5),
    "the share": (Budget(), 33, 9),
    "both are the same": (Budget(), 34, 10),
    "the number": (Budget(), 10_000, 10),
    "none at all": (Budget(monitors=0), 5, 0),
    "no share at all": (Budget(percent=0), 50, 0),
    "no share at all, of a small fleet": (Budget(percent=0), 5, 10),
    "all of them": (Budget(monitors=1000, percent=100), 500, 500),
}


@pytest.mark.parametrize(("budget", "managed", "limit"), LIMITS.values(), ids=LIMITS)
def test_the_limit(budget: Budget, managed: int, limit: int) -> None:
    assert budget.limit(managed) == limit


COSTS: dict[str, tuple[dict[str, Any], int | None]] = {
    "every five minutes from two places": ({"interval": 5, "locations": TWO}, 576),
    "spelled otherwise": ({"interval": "5", "locations": [{"id": "10"}]}, 288),
    "a whole fraction": ({"interval": 5.0, "locations": TWO}, 576),
    "not a divisor of a day": ({"interval": 7, "locations": TWO[:1]}, 206),
    "disabled": ({"enabled": False, "interval": 5, "locations": TWO}, 0),
    "disabled, and nothing else is known": ({"enabled": False}, 0),
    "no interval": ({"locations": TWO}, None),
    "an empty interval": ({"interval": "", "locations": TWO}, None),
    "an interval of zero": ({"interval": 0, "locations": TWO}, None),
    "a broken interval": ({"interval": 2.5, "locations": TWO}, None),
    "no number": ({"interval": True, "locations": TWO}, None),
    "an endless number": ({"interval": "9" * 5000, "locations": TWO}, None),
    "no locations": ({"interval": 5}, None),
    "empty locations": ({"interval": 5, "locations": []}, None),
    "locations of another shape": ({"interval": 5, "locations": "10,20"}, None),
    "rotating through one at a time": (
        {"interval": 5, "locations": TWO, "rotate_locations": True, "monitor_location_count": "1"},
        288,
    ),
    "rotating through more than there are": (
        {"interval": 5, "locations": TWO, "rotate_locations": True, "monitor_location_count": 9},
        576,
    ),
    "rotating through nobody knows how many": (
        {"interval": 5, "locations": TWO, "rotate_locations": True, "monitor_location_count": None},
        576,
    ),
    "not rotating": (
        {"interval": 5, "locations": TWO, "rotate_locations": False, "monitor_location_count": 1},
        576,
    ),
}


@pytest.mark.parametrize(("fields", "expected"), COSTS.values(), ids=COSTS)
def test_measurements_per_day(fields: dict[str, Any], expected: int | None) -> None:
    assert per_day(fields) == expected


class TestMeasurements:
    HAS = {"interval": "10", "locations": TWO, "enabled": True}  # noqa: RUF012 - never changed

    def cost(self, plan: Plan) -> Measurements:
        return plan.coverage.measurements

    def test_of_an_update(self) -> None:
        plan = planned([desired({"interval": 5})], [live(self.HAS)])
        assert self.cost(plan) == Measurements(288, 576)

    def test_of_disabling(self) -> None:
        plan = planned([desired({"enabled": False})], [live(self.HAS)])
        assert self.cost(plan) == Measurements(288, 0)

    def test_of_a_create_and_a_delete(self) -> None:
        manifest = desired({"name": "x", "interval": 1, "locations": TWO[:1]}, id=None)
        records = {"email-smtp/gone": record(id=1)}
        plan = planned([manifest], [live(self.HAS)], records, Rules(prune=True))
        assert self.cost(plan) == Measurements(288, 1440)

    def test_what_cannot_be_known_is_left_out_on_both_sides(self) -> None:
        manifests = [
            desired({"interval": 5}, name="a", id=1),
            desired({"interval": 5}, name="b", id=2),
            desired({"name": "new"}, name="c", id=None),
        ]
        plan = planned(manifests, [live(self.HAS, id=1), live({"interval": 1}, id=2)])
        assert len(plan.changes) == 3
        assert self.cost(plan) == Measurements(288, 576)


SOME = Coverage(
    40,
    (
        Loss("email-imap/a", ("disabled",), {"team": "mail", "stage": "live"}),
        Loss("email-imap/b", ("disabled", "stretched"), {"team": "mail"}),
        Loss("email-imap/c", ("deleted",), {}),
    ),
    Measurements(12_000, 900),
)


def test_losses_are_counted_by_cause_and_label_the_most_frequent_first() -> None:
    assert list(SOME.by_cause().items()) == [("disabled", 2), ("deleted", 1), ("stretched", 1)]
    assert list(SOME.by_label().items()) == [("team=mail", 2), ("stage=live", 1)]


def test_json_round_trip() -> None:
    assert Coverage.from_json(json.loads(json.dumps(SOME.to_json()))) == SOME


def test_a_saved_plan_keeps_its_coverage() -> None:
    saved = SavedPlan(Plan(ACCOUNT, coverage=SOME), Basis("1", "", ""))
    assert from_json(json.loads(json.dumps(to_json(saved)))).plan.coverage == SOME


class TestText:
    def text(self, coverage: Coverage, budget: Budget | None = None) -> list[str]:
        plan = Plan(ACCOUNT, coverage=coverage)
        return plan_text(plan, budget=budget or Budget()).split("\n")[1:]

    def test_who_and_how_and_the_budget_and_the_cost(self) -> None:
        assert self.text(SOME) == [
            "Coverage: 3 monitors lose monitoring (2 disabled, 1 deleted, 1 stretched); budget 10",
            "  team=mail 2, stage=live 1",
            "Cost: 12,000 → 900 measurements per day (-11,100)",
        ]

    def test_one_monitor_needs_no_labels(self) -> None:
        one = Coverage(5, SOME.losses[:1], Measurements(0, 288))
        assert self.text(one, Budget(monitors=0)) == [
            "Coverage: 1 monitor loses monitoring (1 disabled); budget 0",
            "Cost: 0 → 288 measurements per day (+288)",
        ]

    def test_nothing_lost_and_nothing_spent_is_not_said(self) -> None:
        assert self.text(Coverage(5, (), Measurements(288, 288))) == []

    def test_only_the_most_frequent_labels_are_named(self) -> None:
        losses = [Loss(f"email-imap/m{n}", ("deleted",), {f"l{n:02}": "\x1b"}) for n in range(12)]
        (_, labels) = self.text(Coverage(40, tuple(losses)))
        assert labels.startswith("  l00=\\x1b 1, l01=\\x1b 1, ")
        assert labels.endswith(", l09=\\x1b 1 and 2 more labels")


class TestRefusing:
    def refuse(
        self,
        coverage: Coverage,
        manifests: list[Desired] | None = None,
        *,
        budget: Budget | None = None,
        allow_loss: int | None = None,
        allow_empty: bool = False,
    ) -> None:
        fleet = Fleet(tuple([desired()] if manifests is None else manifests), 1, "monitors")
        plan = Plan(ACCOUNT, coverage=coverage)
        refuse_unsafe(
            plan, fleet, budget or Budget(), allow_loss=allow_loss, allow_empty=allow_empty
        )

    def lost(self, count: int, managed: int = 40) -> Coverage:
        losses = [Loss(f"email-imap/m{number}", ("deleted",), {}) for number in range(count)]
        return Coverage(managed, tuple(losses))

    def test_up_to_the_budget_nothing_is_refused(self) -> None:
        self.refuse(self.lost(10))
        self.refuse(self.lost(0))
        self.refuse(self.lost(9, managed=9))

    def test_above_it_the_guard_and_its_flag_are_named(self) -> None:
        with pytest.raises(RefusedError) as caught:
            self.refuse(self.lost(11))
        assert str(caught.value) == (
            "11 of 40 monitors would lose monitoring (11 deleted), and the budget is 10: nothing "
            "is applied"
        )
        assert caught.value.hint == (
            "If that is meant, allow it for this run with --allow-loss 11."
        )

    def test_the_flag_says_how_many_whatever_the_budget(self) -> None:
        self.refuse(self.lost(11), allow_loss=11)
        with pytest.raises(RefusedError, match="the budget is 10"):
            self.refuse(self.lost(11), allow_loss=10)
        with pytest.raises(RefusedError, match=r"1 of 40 .* the budget is 0"):
            self.refuse(self.lost(1), allow_loss=0)

    def test_the_share_counts_too(self) -> None:
        with pytest.raises(RefusedError, match=r"4 of 12 .* the budget is 3"):
            self.refuse(self.lost(4, managed=12))

    def test_the_project_can_set_another_budget(self) -> None:
        self.refuse(self.lost(20), budget=Budget(monitors=20, percent=50))
        with pytest.raises(RefusedError, match="the budget is 1:"):
            self.refuse(self.lost(2), budget=Budget(monitors=1))

    def test_no_manifest_at_all_is_refused_by_name(self) -> None:
        with pytest.raises(RefusedError) as caught:
            self.refuse(self.lost(0), [])
        assert str(caught.value) == (
            "there is no manifest, and the state knows 40 monitors: nothing is applied"
        )
        assert caught.value.hint.endswith("with --allow-empty.")
        self.refuse(self.lost(0), [], allow_empty=True)
        self.refuse(self.lost(0, managed=0), [])

    def test_every_guard_is_named_at_once(self) -> None:
        with pytest.raises(RefusedError) as caught:
            self.refuse(self.lost(40), [])
        assert "there is no manifest" in str(caught.value)
        assert "the budget is 10" in str(caught.value)
        assert caught.value.hint.endswith("with --allow-empty --allow-loss 40.")


class TestSettings:
    def read(self, tmp_path: Path, text: str) -> Budget:
        path = tmp_path / "reconciler.toml"
        path.write_text(text)
        return settings.read_state({}, path).budget

    def test_without_any_it_is_ten_monitors_and_30_percent(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "") == Budget(monitors=10, percent=30)
        assert settings.read_state({}, tmp_path / "none.toml").budget == Budget()

    def test_each_can_be_set(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "[budget]\nmonitors = 3") == Budget(3, 30)
        assert self.read(tmp_path, "[budget]\npercent = 0\nmonitors = 0") == Budget(0, 0)

    @pytest.mark.parametrize(
        "text",
        [
            "budget = 5",
            "[[budget]]",
            "[budget]\nmonitor = 1",
            "[budget]\nmonitors = -1",
            "[budget]\nmonitors = 1.5",
            "[budget]\nmonitors = true",
            '[budget]\npercent = "30"',
        ],
    )
    def test_anything_else_is_refused(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigurationError, match="budget holds monitors and percent"):
            self.read(tmp_path, text)
