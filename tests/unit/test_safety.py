"""Who loses monitoring by a change, how much of that is allowed, and what a plan costs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import config
from reconciler.core.cost import per_day
from reconciler.core.model import Desired, Field, Ignored, Lifecycle
from reconciler.core.options import PlanOptions
from reconciler.core.plan import BudgetLimits, Coverage, Loss, Measurements, Plan
from reconciler.core.safety import (
    NONE,
    Budget,
    Budgets,
    Terms,
    next_budget,
    refuse_unsafe,
    terms,
)
from reconciler.core.saved_plan import PlanInputs, SavedPlan, from_json, to_json
from reconciler.core.state import Lost, Prior, Record, State, from_text, not_older, to_text
from reconciler.errors import ConfigurationError, RefusedError, StateError
from reconciler.render import plan_text
from reconciler.schema import schema_folder

from build import ACCOUNT, SCHEMAS, desired, live, planned, record

TWO = [{"id": 10}, {"id": 20}]


def loss(address: str, number: int, *causes: str, **labels: str) -> Loss:
    return Loss(f"email-imap/{address}", number, causes, {}, labels)


# What AlertSite has, what the manifest wants, and how monitoring is lost by that.
LOSSES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "disabled": ({"enabled": True}, {"enabled": False}, {"enabled": "disabled"}),
    "disabled, from nobody knows what": ({}, {"enabled": False}, {"enabled": "disabled"}),
    "disabled, from y": ({"enabled": "y"}, {"enabled": False}, {"enabled": "disabled"}),
    "disabled already, as n": ({"enabled": "n", "note": "1"}, {"enabled": False, "note": "2"}, {}),
    "disabled, from empty": ({"enabled": ""}, {"enabled": False}, {"enabled": "disabled"}),
    "disabled, from another spelling of true": (
        {"enabled": 1}, {"enabled": False}, {"enabled": "disabled"},
    ),
    "enabled": ({"enabled": False}, {"enabled": True}, {}),
    "silenced": (
        {"notify_on_error": True}, {"notify_on_error": False}, {"notify_on_error": "silenced"},
    ),
    "silenced, from null": (
        {"notify_on_error": None}, {"notify_on_error": False}, {"notify_on_error": "silenced"},
    ),
    "no longer silenced": ({"notify_on_error": False}, {"notify_on_error": True}, {}),
    "stretched": ({"interval": 5}, {"interval": 15}, {"interval": "stretched"}),
    "stretched, from text": ({"interval": "5"}, {"interval": 15}, {"interval": "stretched"}),
    "stretched, to a whole fraction": (
        {"interval": 5}, {"interval": 15.0}, {"interval": "stretched"},
    ),
    "the same in another spelling": (
        {"interval": "15", "note": "1"}, {"interval": 15, "note": "2"}, {},
    ),
    "text is not compared as text": (
        {"interval": "9"}, {"interval": 10}, {"interval": "stretched"},
    ),
    "shortened": ({"interval": 15}, {"interval": 5}, {}),
    "shortened, from text": ({"interval": "15"}, {"interval": 5}, {}),
    "an interval where the account's was": (
        {"interval": ""}, {"interval": 60}, {"interval": "stretched"},
    ),
    "dropped": ({"locations": TWO}, {"locations": TWO[:1]}, {"locations": "dropped"}),
    "dropped, from texts": (
        {"locations": [{"id": "10", "name": "x"}, {"id": "20"}]}, {"locations": TWO[:1]},
        {"locations": "dropped"},
    ),
    "exchanged": ({"locations": TWO[:1]}, {"locations": TWO[1:]}, {"locations": "dropped"}),
    "added": ({"locations": TWO[:1]}, {"locations": TWO}, {}),
    "added, to a whole fraction": (
        {"locations": TWO[:1]}, {"locations": [{"id": 10.0}, *TWO[1:]]}, {},
    ),
    "locations where the account's were": (
        {"locations": []}, {"locations": TWO}, {"locations": "dropped"},
    ),
    "rotating": (
        {"interval": 5, "locations": TWO, "monitor_location_count": 1}, {"rotate_locations": True},
        {"rotate_locations": "thinned"},
    ),
    "rotating through all of them": (
        {"interval": 5, "locations": TWO, "monitor_location_count": 2}, {"rotate_locations": True},
        {},
    ),
    "rotating through nobody knows how many": (
        {"locations": TWO}, {"rotate_locations": True}, {"rotate_locations": "thinned"},
    ),
    "rotating through fewer": (
        {"interval": 5, "locations": TWO, "rotate_locations": True, "monitor_location_count": 2},
        {"monitor_location_count": 1}, {"monitor_location_count": "thinned"},
    ),
    "a count that nothing rotates by": (
        {"interval": 5, "locations": TWO, "rotate_locations": False, "monitor_location_count": 2},
        {"monitor_location_count": 1}, {},
    ),
    "no longer rotating": ({"rotate_locations": True}, {"rotate_locations": False}, {}),
    "another host": ({"hostname": "a"}, {"hostname": "b"}, {"hostname": "retargeted"}),
    "the same host in another case": (
        {"hostname": "A.example", "note": "1"}, {"hostname": "a.example", "note": "2"}, {},
    ),
    "another port": ({"port": 25}, {"port": 1}, {"port": "retargeted"}),
    "a timeout as others": ({"timeout": 30}, {"timeout": 45}, {}),
    "a timeout that nothing meets": ({"timeout": 30}, {"timeout": 1}, {"timeout": "retargeted"}),
    "a timeout that nothing exceeds": (
        {"timeout": 30}, {"timeout": 2147483647}, {"timeout": "retargeted"},
    ),
    "a timeout that small steps make longer": (
        {"timeout": 299}, {"timeout": 301}, {"timeout": "retargeted"},
    ),
    "a timeout that small steps make shorter": (
        {"timeout": 5}, {"timeout": 4}, {"timeout": "retargeted"},
    ),
    "a long timeout on its way back": ({"timeout": 1200}, {"timeout": 600}, {}),
    "a short timeout on its way back": ({"timeout": 1}, {"timeout": 3}, {}),
    "a timeout where the account's was": ({}, {"timeout": 1}, {"timeout": "retargeted"}),
    "no second try": (
        {"retry_on_failure": True}, {"retry_on_failure": False}, {"retry_on_failure": "retargeted"},
    ),
    "a field that costs nothing": ({"note": "one"}, {"note": "two"}, {}),
    "several": (
        {"enabled": True, "notify_on_error": True, "interval": 1, "locations": TWO},
        {"enabled": False, "notify_on_error": False, "interval": 9, "locations": TWO[:1]},
        {
            "enabled": "disabled", "notify_on_error": "silenced", "interval": "stretched",
            "locations": "dropped",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("has", "wants", "lost"), LOSSES.values(), ids=LOSSES)
def test_how_monitoring_is_lost(
    has: dict[str, Any], wants: dict[str, Any], lost: dict[str, str]
) -> None:
    manifest = desired(wants, labels={"team": "mail"})
    plan = planned([manifest], [live(has)])
    assert plan.changes
    causes = tuple(sorted(set(lost.values())))
    expected = (Loss("email-smtp/relay", 1, causes, lost, {"team": "mail"}),) if lost else ()
    assert plan.coverage.losses == expected


# What AlertSite has and the manifest wants of a field in extra, and whether that is lost.
SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "paused": ({}, {"paused": True}, True),
    "paused, in another spelling": ({"isPaused": "n"}, {"isPaused": "y"}, True),
    "paused until a day": ({}, {"paused_until": "2031-01-01"}, True),
    "no longer paused": ({"paused": True}, {"paused": False}, False),
    "Enabled: false": ({}, {"Enabled": False}, True),
    "Enabled: 0": ({"Enabled": 1}, {"Enabled": 0}, True),
    "Enabled: true": ({"Enabled": False}, {"Enabled": True}, False),
    "disabled": ({}, {"disabled": True}, True),
    "disabled: no": ({}, {"disabled": "no"}, False),
    "active: false": ({"active": True}, {"active": False}, True),
    "inactive": ({}, {"is_inactive": 1}, True),
    "interactive": ({"interactive": True}, {"interactive": False}, False),
    "maintenance": ({}, {"maintenance": {"from": "2026-01-01"}}, True),
    "maintenance: off": ({"maintenance": "on"}, {"maintenance": "off"}, False),
    "a status": ({"status": "running"}, {"status": "Paused"}, True),
    "nobody to alert": ({"alert_contacts": [1, 2]}, {"alert_contacts": []}, True),
    "somebody to alert": ({"alert_contacts": [1]}, {"alert_contacts": [1, 2]}, False),
    "deep inside": (
        {"schedule": {"web": {"active": True}}}, {"schedule": {"web": {"active": False}}}, True,
    ),
    "in a list": ({"windows": [{"muted": False}]}, {"windows": [{"muted": True}]}, True),
    "the rest of a mapping": (
        {"schedule": {"active": False, "day": 1}}, {"schedule": {"active": False, "day": 2}}, False,
    ),
    "nothing left of a mapping": ({"alerting": {"mail": True}}, {"alerting": {}}, True),
    "a switch that is left out": (
        {"options": {"active": True, "day": 1}}, {"options": {"day": 1}}, True,
    ),
    "a stop that is left out": ({"x": {"paused": True, "day": 1}}, {"x": {"day": 1}}, False),
    "fewer to alert": ({"alert_contacts": [1, 2, 3]}, {"alert_contacts": [3]}, True),
    "others in another order": ({"alert_contacts": [1, 2]}, {"alert_contacts": [2, 1]}, False),
    "a mapping in place of a switch": ({"Enabled": True}, {"Enabled": {}}, True),
    "offline": ({}, {"offline": True}, True),
    "a status in one letter": ({"status": "Y"}, {"status": "N"}, True),
    "no longer monitored": ({}, {"monitored": "n"}, True),
    "on standby": ({"state": "running"}, {"state": "standby"}, True),
    "a switch of something else": ({"x": True}, {"x": False}, False),
    "a threshold": ({"threshold": 5}, {"threshold": 9}, False),
}  # fmt: skip


@pytest.mark.parametrize(("has", "wants", "is_lost"), SWITCHES.values(), ids=SWITCHES)
def test_an_unknown_field_that_looks_like_a_switch(
    has: dict[str, Any],
    wants: dict[str, Any],
    is_lost: bool,
) -> None:
    plan = planned([desired(wants)], [live(has)])
    assert plan.changes
    (name,) = wants
    assert [item.fields for item in plan.coverage.losses] == [{name: "switched-off"}] * is_lost


RESPELT = {
    "another case": ({}, {"Hostname": "other.example"}, "retargeted"),
    "another style": ({}, {"host-name": "other.example"}, "retargeted"),
    "wide letters": ({}, {"\uff48ostname": "other.example"}, "retargeted"),
    "longer": ({"Interval": 5}, {"Interval": 1440}, "stretched"),
    "shorter": ({"Interval": 1440}, {"Interval": 5}, None),
    "one location": ({}, {"Locations": [{"id": 10}]}, "dropped"),
    "a timeout": ({}, {"time_out": 1}, "retargeted"),
    "what costs nothing": ({}, {"Note": "x"}, None),
}


@pytest.mark.parametrize(("has", "wants", "cause"), RESPELT.values(), ids=RESPELT)
def test_an_unknown_field_that_is_a_known_one_in_another_spelling(
    has: dict[str, Any], wants: dict[str, Any], cause: str | None
) -> None:
    plan = planned([desired(wants)], [live(has)])
    assert plan.changes
    (name,) = wants
    expected = [] if cause is None else [{name: cause}]
    assert [item.fields for item in plan.coverage.losses] == expected


def test_a_spelling_that_is_released_counts_as_the_field_does() -> None:
    manifest = desired({"name": "x"})
    known = {manifest.address: record({"name": "x", "Hostname": "a"})}
    plan = planned([manifest], [live({"name": "x", "Hostname": "b"})], known)
    assert [item.fields for item in plan.coverage.losses] == [{"Hostname": "released"}]


def test_what_a_secret_switches_nobody_can_see() -> None:
    secret = {"secretRef": {"env": "X"}}
    manifest = desired({}, secrets={"paused": secret, "login": secret, "options": {"mute": secret}})
    plan = planned([manifest], [live()], rules=PlanOptions(write_secrets=True))
    (found,) = plan.coverage.losses
    assert found.fields == {"options": "switched-off", "paused": "switched-off"}


def written_fields() -> list[tuple[str, str, dict[str, Any]]]:
    """Every field that a manifest can name: its kind, its name and what its schema says."""
    found = []
    for kind in sorted(SCHEMAS.kinds):
        spec = SCHEMAS.documents[kind]["properties"]["spec"]["properties"]
        found += [(kind, name, item) for name, item in spec.items() if not item.get("readOnly")]
    return found


# For each way in which `x-coverage` can say that a field costs: what AlertSite may have, and what a
# manifest may want in its place.
WORSE: dict[str, list[tuple[Any, Any]]] = {
    "false": [(True, False), (None, False), ("y", False), (1, False)],
    "true": [(False, True), (None, True), ("n", True)],
    "more": [(5, 6), ("5", 60), (None, 5), ("", 5), (1, 2147483647)],
    "less": [(3, 2), ("3", 1), (None, 1)],
    "fewer": [(TWO, TWO[:1]), (TWO[:1], TWO[1:]), (None, TWO)],
    "other": [("smtp://a.example", "b.example"), (None, "c"), (25, 1), (True, False), ("", "off")],
    "scaled": [(30, 1), (30, 2147483647), ("30", 7), (None, 30)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "schema"), written_fields(), ids=lambda item: item if item is str else None
)
def test_every_way_to_lose_monitoring_that_the_schemas_allow(
    kind: str, name: str, schema: dict[str, Any]
) -> None:
    rule = schema.get("x-coverage")
    assert rule, f"{kind}: {name} does not say in x-coverage what losing it costs"
    if rule == NONE:
        return
    cause, _, when = rule.partition(" when ")
    for before, after in WORSE[when]:
        manifest = desired({name: after}, kind=kind)
        plan = planned([manifest], [live({name: before}, type=kind)])
        (found,) = plan.coverage.losses
        assert (found.address, found.id, found.fields) == (manifest.address, 1, {name: cause})


def test_what_a_folder_gives_costs_what_it_costs_in_a_manifest() -> None:
    text = (schema_folder() / "defaults.schema.json").read_text()
    defaults = json.loads(text)["properties"]["spec"]["properties"]
    for kind, name, schema in written_fields():
        if name in defaults:
            assert defaults[name]["x-coverage"] == schema["x-coverage"], (kind, name)


def test_the_table_has_every_cause() -> None:
    said = {schema["x-coverage"].partition(" when ")[0] for _, _, schema in written_fields()}
    assert said == {
        NONE,
        "disabled",
        "dropped",
        "retargeted",
        "silenced",
        "stretched",
        "thinned",
    }
    allowed = json.loads((schema_folder() / "plan.schema.json").read_text())
    losses = allowed["properties"]["coverage"]["properties"]["losses"]["items"]["properties"]
    causes = set(losses["causes"]["items"]["enum"])
    whole = {"deleted", "vanished", "ignored", "released", "switched-off"}
    assert causes == said - {NONE} | whole


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


def test_a_field_of_a_new_schema_that_does_not_say_what_it_costs_is_judged_by_its_name() -> None:
    kind = SCHEMAS.kinds["email-smtp"]
    plain = kind.field("x")
    fields = {"paused": Field("paused", plain.normalise, plain.text, None, ())}
    manifest = desired({"paused": True})._replace(kind=kind._replace(fields=fields))
    (found,) = planned([manifest], [live({"paused": False})]).coverage.losses
    assert found.fields == {"paused": "switched-off"}


class TestVanished:
    def test_what_was_deleted_outside_git_and_is_made_again_counts(self) -> None:
        manifest = desired({"name": "x"}, id=None, labels={"team": "mail"})
        plan = planned([manifest], [], {manifest.address: record(id=7)})
        assert plan.coverage.losses == (
            Loss("email-smtp/relay", 7, ("vanished",), {}, {"team": "mail"}),
        )


class TestIgnoring:
    def lost(self, *ignored: Ignored, known: Record | None, **has: Any) -> list[Loss]:
        fields = {"name": "x", "enabled": True, "port": 25, "note": "n", "paused": False}
        manifest = desired(fields)._replace(lifecycle=Lifecycle(ignore=ignored))
        records = {} if known is None else {manifest.address: known}
        return list(planned([manifest], [live(fields | has)], records).coverage.losses)

    def test_a_field_that_costs_and_is_ignored_from_now_on_counts(self) -> None:
        (found,) = self.lost(Ignored("enabled", "", "2030-01-01"), known=record())
        assert (found.id, found.causes, found.fields) == (1, ("ignored",), {"enabled": "ignored"})

    def test_so_it_does_for_longer(self) -> None:
        known = record()._replace(ignore={"enabled": "2029-12-31"})
        assert self.lost(Ignored("enabled", "", "2030-01-01"), known=known)
        assert not self.lost(Ignored("enabled", "", "2029-12-31"), known=known)

    def test_an_unknown_switch_counts_and_what_costs_nothing_does_not(self) -> None:
        assert self.lost(Ignored("paused", "", "2030-01-01"), known=record())
        assert self.lost(Ignored("Hostname", "", "2030-01-01"), known=record())
        assert not self.lost(Ignored("note", "", "2030-01-01"), known=record())

    def test_a_monitor_that_is_new_to_git_loses_nothing(self) -> None:
        assert not self.lost(Ignored("enabled", "", "2030-01-01"), known=None)

    def test_with_what_else_changes_it_is_one_loss(self) -> None:
        (found,) = self.lost(Ignored("enabled", "", "2030-01-01"), known=record(), port=587)
        assert found.causes == ("ignored", "retargeted")
        assert found.fields == {"enabled": "ignored", "port": "retargeted"}

    def test_what_is_refused_counts_as_nothing(self) -> None:
        ignored = Lifecycle(ignore=(Ignored("enabled", "", "2030-01-01"),))
        manifest = desired({"enabled": True})._replace(lifecycle=ignored)
        records = {manifest.address: record(id=2)}
        plan = planned([manifest], [live({"enabled": True}), live(id=2)], records)
        assert (len(plan.refusals), plan.coverage.losses) == (1, ())


class TestReleasing:
    @pytest.mark.parametrize(
        ("was", "has", "is_lost"),
        {
            "left off": ({"enabled": False}, {"enabled": False}, True),
            "turned off by hand": ({"enabled": True}, {"enabled": False}, True),
            "left on": ({"enabled": True}, {"enabled": True}, False),
            "left unset": ({"enabled": False}, {"enabled": None}, False),
            "stretched by hand": ({"interval": 5}, {"interval": 60}, True),
            "shortened by hand": ({"interval": 60}, {"interval": 5}, False),
            "as it was": ({"interval": 60}, {"interval": "60"}, False),
            "moved elsewhere by hand": ({"hostname": "a"}, {"hostname": "b"}, True),
            "an unknown switch": ({"paused": True}, {"paused": True}, True),
            "what costs nothing": ({"note": "a"}, {"note": "b"}, False),
        }.values(),
    )
    def test_what_stays_worse_counts(
        self,
        was: dict[str, Any],
        has: dict[str, Any],
        is_lost: bool,
    ) -> None:
        manifest = desired({"name": "x"})
        known = {manifest.address: record({"name": "x"} | was)}
        plan = planned([manifest], [live({"name": "x"} | has)], known)
        (name,) = was
        assert [item.fields for item in plan.coverage.losses] == [{name: "released"}] * is_lost

    def test_it_is_measured_by_what_was_there_before_git(self) -> None:
        manifest = desired({"name": "x"})
        known = record({"name": "x", "interval": 60})._replace(
            prior={"interval": Prior(5, "run-1", 60)}
        )
        plan = planned([manifest], [live({"name": "x", "interval": 30})], {manifest.address: known})
        assert [item.fields for item in plan.coverage.losses] == [{"interval": "released"}]


class TestRetiring:
    RECORDS = {"email-smtp/gone": record(id=1)}

    def test_a_delete_is_a_loss_without_labels(self) -> None:
        plan = planned([], [live()], self.RECORDS, PlanOptions(prune=True))
        assert plan.coverage.losses == (Loss("email-smtp/gone", 1, ("deleted",)),)

    def test_so_is_disabling_instead(self) -> None:
        records = {"email-smtp/gone": record(id=1)._replace(retire="disable")}
        plan = planned([], [live({"enabled": True})], records, PlanOptions(prune=True))
        fields = {"enabled": "disabled"}
        assert plan.coverage.losses == (Loss("email-smtp/gone", 1, ("disabled",), fields),)

    def test_an_orphan_that_is_left_is_none(self) -> None:
        assert planned([], [live()], self.RECORDS).coverage.losses == ()


class TestFleet:
    """What the share is of: neither orphans nor what is new to Git can make it larger."""

    MANIFESTS = [desired(name=f"m{n}", id=n) for n in range(1, 4)]
    MONITORS = [live(id=n) for n in range(1, 10)]
    KNOWN = {f"email-smtp/m{n}": record(id=n) for n in range(1, 4)}

    def managed(self, records: Mapping[str, Record] = {}, *more: Desired, **rules: Any) -> int:
        manifests = [*self.MANIFESTS, *more]
        return planned(manifests, self.MONITORS, records, PlanOptions(**rules)).coverage.managed

    def test_it_is_what_has_a_manifest_and_is_there(self) -> None:
        assert self.managed() == 3
        assert self.managed(self.KNOWN) == 3

    def test_what_this_plan_binds_does_not_count(self) -> None:
        assert self.managed({"email-smtp/m1": record(id=1)}) == 1
        assert self.managed(self.KNOWN, desired(name="m4", id=4)) == 3

    def test_orphans_count_only_when_they_are_lost(self) -> None:
        orphans = {f"email-smtp/o{n}": record(id=n) for n in (4, 5, 6)} | self.KNOWN
        assert self.managed(orphans) == 3
        assert self.managed(orphans, prune=True) == 6

    def test_what_is_to_be_made_does_not_count(self) -> None:
        assert self.managed({}, desired({"name": "new"}, name="new", id=None)) == 3

    def test_a_kind_that_changes_counts_once(self) -> None:
        new = desired({"name": "x"}, kind="email-imap", name="o4", id=None)
        known = {"email-smtp/o4": record(id=4)} | self.KNOWN
        assert self.managed(known, new) == 3
        assert self.managed(known, new, prune=True) == 4

    def test_what_was_lost_within_a_day_still_counts(self) -> None:
        recent = (Lost(1, "email-smtp/m1", ("disabled",), "t"), Lost(77, "x", ("deleted",), "t"))
        plan = planned(self.MANIFESTS, self.MONITORS, terms=Terms(recent=recent))
        assert (plan.coverage.managed, plan.coverage.recent) == (4, recent)


LIMITS: dict[str, tuple[Budget, int, int]] = {
    "one may always be lost": (Budget(), 1, 1),
    "even where none is managed": (Budget(), 0, 1),
    "one of three": (Budget(), 3, 1),
    "two of nine": (Budget(), 9, 2),
    "three of ten": (Budget(), 10, 3),
    "the share is rounded down": (Budget(), 19, 5),
    "the share": (Budget(), 33, 9),
    "both are the same": (Budget(), 34, 10),
    "the number": (Budget(), 10_000, 10),
    "none at all": (Budget(monitors=0), 5, 0),
    "no share at all": (Budget(percent=0), 50, 0),
    "no share at all, of a small fleet": (Budget(percent=0), 5, 0),
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
    HAS = {"interval": "10", "locations": TWO, "enabled": True}

    def cost(self, plan: Plan) -> Measurements:
        return plan.coverage.measurements

    def test_of_an_update(self) -> None:
        plan = planned([desired({"interval": 5})], [live(self.HAS)])
        assert self.cost(plan) == Measurements(288, 576, 288, 576)

    def test_of_disabling(self) -> None:
        plan = planned([desired({"enabled": False})], [live(self.HAS)])
        assert self.cost(plan) == Measurements(288, 0, 288, 0)

    def test_of_a_create_and_a_delete(self) -> None:
        manifest = desired({"name": "x", "interval": 1, "locations": TWO[:1]}, id=None)
        records = {"email-smtp/gone": record(id=1)}
        plan = planned([manifest], [live(self.HAS)], records, PlanOptions(prune=True))
        assert self.cost(plan) == Measurements(288, 1440, 288, 1440)

    def test_what_cannot_be_known_is_left_out_on_both_sides(self) -> None:
        manifests = [
            desired({"interval": 5}, name="a", id=1),
            desired({"interval": 5}, name="b", id=2),
            desired({"name": "new"}, name="c", id=None),
        ]
        plan = planned(manifests, [live(self.HAS, id=1), live({"interval": 1}, id=2)])
        assert len(plan.changes) == 3
        assert self.cost(plan) == Measurements(288, 576, 288, 576, unknown=2)

    def test_what_does_not_change_a_cost_is_not_unknown(self) -> None:
        plan = planned([desired({"port": 26})], [live({"port": 25})])
        assert len(plan.changes) == 1
        assert self.cost(plan) == Measurements()


RECENT = (Lost(9, "email-imap/z", ("deleted",), "2026-01-02T03:04:05Z"),)
SOME = Coverage(
    40,
    (
        Loss("email-imap/a", 1, ("disabled",), {"enabled": "disabled"},
             {"team": "mail", "stage": "live"}),
        Loss("email-imap/b", 2, ("disabled", "stretched"),
             {"enabled": "disabled", "interval": "stretched"}, {"team": "mail"}),
        loss("c", 3, "deleted"),
    ),
    Measurements(12_000, 900, 6_000, 450.5),
    (),
    BudgetLimits(10, None, 12),
)  # fmt: skip


def test_losses_are_counted_by_cause_and_label_the_most_frequent_first() -> None:
    assert list(SOME.by_cause().items()) == [("disabled", 2), ("deleted", 1), ("stretched", 1)]
    assert list(SOME.by_label().items()) == [("team=mail", 2), ("stage=live", 1)]


def test_json_round_trip() -> None:
    coverage = SOME._replace(recent=RECENT)
    assert Coverage.from_json(json.loads(json.dumps(coverage.to_json()))) == coverage
    assert coverage.to_json()["budget"]["limit"] == 10


def test_a_saved_plan_keeps_its_coverage() -> None:
    saved = SavedPlan(Plan(ACCOUNT, coverage=SOME), PlanInputs("1", "", ""))
    assert from_json(json.loads(json.dumps(to_json(saved)))).plan.coverage == SOME


class TestText:
    def text(self, coverage: Coverage) -> list[str]:
        return plan_text(Plan(ACCOUNT, coverage=coverage)).split("\n")[1:]

    def test_who_and_how_and_the_budget_and_the_cost(self) -> None:
        assert self.text(SOME) == [
            "Coverage: 3 monitors lose monitoring (2 disabled, 1 deleted, 1 stretched); budget 10",
            "  email-imap/a (id 1): disabled (enabled)",
            "  email-imap/b (id 2): disabled (enabled), stretched (interval)",
            "  email-imap/c (id 3): deleted",
            "  team=mail 2, stage=live 1",
            (
                "Cost: 12,000 → 900 measurements per day (-11,100), 6,000 → 450.5 credits, of the "
                "monitors that change"
            ),
        ]

    def test_what_was_lost_before(self) -> None:
        (line, *_) = self.text(SOME._replace(recent=RECENT))
        assert line.endswith("1 stretched), 1 other has in the last 24 hours; budget 10")

    def test_one_monitor_needs_no_labels(self) -> None:
        one = Coverage(5, SOME.losses[:1], Measurements(0, 288, 0, 144))
        assert self.text(one) == [
            (
                "Coverage: 1 monitor loses monitoring (1 disabled); over the budget of 0: apply "
                "refuses it without --allow-loss 1"
            ),
            "  email-imap/a (id 1): disabled (enabled)",
            (
                "Cost: 0 → 288 measurements per day (+288), 0 → 144 credits, of the monitors that "
                "change"
            ),
        ]

    @pytest.mark.parametrize(
        ("measured", "text"),
        [
            (Measurements(), []),
            (
                Measurements(0, 288, 0, 144, 2),
                [
                    (
                        "Cost: 0 → 288 measurements per day (+288), 0 → 144 credits, of the "
                        "monitors that change; 2 more are not counted: no known interval or "
                        "locations"
                    )
                ],
            ),
            (
                Measurements(unknown=1),
                ["Cost: unknown for 1 monitor that changes: no known interval or locations"],
            ),
        ],
    )
    def test_it_says_how_many_costs_are_unknown(
        self, measured: Measurements, text: list[str]
    ) -> None:
        assert self.text(Coverage(5, (), measured)) == text

    def test_no_option_is_named_where_none_allows_it(self) -> None:
        above = SOME._replace(allowance=BudgetLimits(10, None, 2))
        (line, *_) = self.text(above)
        assert line.endswith(
            "; over the hard limit of 2 (RECONCILER_BUDGET): apply refuses it, and no option "
            "allows it"
        )

    def test_nothing_lost_and_nothing_spent_is_not_said(self) -> None:
        assert self.text(Coverage(5, (), Measurements(288, 288), RECENT)) == []

    def test_only_the_most_frequent_labels_are_named(self) -> None:
        losses = [loss(f"m{n}", n, "deleted", **{f"l{n:02}": "\x1b"}) for n in range(12)]
        (_, *monitors, labels) = self.text(Coverage(40, tuple(losses)))
        assert len(monitors) == 12
        assert labels.startswith("  l00=\\x1b 1, l01=\\x1b 1, ")
        assert labels.endswith(", l09=\\x1b 1 and 2 more labels")


class TestRefusing:
    def refuse(self, coverage: Coverage, *, described: int = 1, **flags: Any) -> None:
        refuse_unsafe(coverage, described=described, recorded=40, **flags)

    def lost(
        self,
        count: int,
        managed: int = 40,
        *,
        budgets: Budgets = Budgets(),  # noqa: B008
        last: Budget | None = None,
        recent: int = 0,
    ) -> Coverage:
        losses = [loss(f"m{number}", number, "deleted") for number in range(count)]
        before = [Lost(1000 + n, f"r{n}", ("disabled",), "t") for n in range(recent)]
        held_to = Terms(budgets, last, tuple(before))
        allowance = held_to.allowance(managed)
        return Coverage(managed, tuple(losses), recent=held_to.recent, allowance=allowance)

    def refused(self, coverage: Coverage, **flags: Any) -> RefusedError:
        with pytest.raises(RefusedError) as caught:
            self.refuse(coverage, **flags)
        return caught.value

    def test_up_to_the_budget_nothing_is_refused(self) -> None:
        self.refuse(self.lost(10))
        self.refuse(self.lost(0))
        self.refuse(self.lost(2, managed=9))
        self.refuse(self.lost(1, managed=1))

    def test_above_it_the_guard_its_flag_and_every_monitor_are_named(self) -> None:
        error = self.refused(self.lost(3, managed=9))
        assert str(error) == (
            "3 of 9 monitors would lose monitoring (3 deleted), and the budget is 2: nothing is "
            "applied. Affected: email-imap/m0 (deleted), email-imap/m1 (deleted), "
            "email-imap/m2 (deleted)"
        )
        assert error.hint == "If this is intended, allow it for this run with --allow-loss 3."

    def test_of_many_the_first_are_named_and_the_plan_names_all(self) -> None:
        error = self.refused(self.lost(12))
        assert str(error).endswith("email-imap/m9 (deleted), and 2 more (--detail full lists them)")

    def test_the_flag_says_how_many_whatever_the_budget(self) -> None:
        self.refuse(self.lost(11), allow_loss=11)
        self.refuse(self.lost(11, recent=20), allow_loss=11)
        error = self.refused(self.lost(11), allow_loss=10)
        assert "and --allow-loss allows 10, beside a budget of 10: nothing" in str(error)
        assert "1 of 40" in str(self.refused(self.lost(1), allow_loss=0))

    def test_the_share_counts_from_one_monitor_up(self) -> None:
        assert "4 of 12" in str(self.refused(self.lost(4, managed=12)))
        assert "the budget is 2:" in str(self.refused(self.lost(8, managed=9)))

    def test_what_was_lost_before_counts(self) -> None:
        self.refuse(self.lost(3, recent=7))
        self.refuse(self.lost(0, recent=70))
        assert str(self.refused(self.lost(3, recent=8))).startswith(
            "3 of 40 monitors would lose monitoring (3 deleted), 8 others have lost some in the "
            "last 24 hours, and the budget is 10: nothing is applied"
        )

    def test_a_monitor_that_loses_again_counts_once(self) -> None:
        coverage = self.lost(10)
        again = tuple(Lost(item.id, "x", ("disabled",), "t") for item in coverage.losses)
        self.refuse(coverage._replace(recent=again))

    def test_a_limit_that_was_raised_does_not_count_yet(self) -> None:
        raised = Budgets(Budget(50, 100))
        self.refuse(self.lost(10, budgets=raised, last=Budget()))
        error = self.refused(self.lost(11, budgets=raised, last=Budget()))
        assert (
            "and the budget is 10; reconciler.toml now allows 40, but a raised limit takes effect "
            "only after an apply that does not need it: nothing is applied"
        ) in str(error)
        self.refuse(self.lost(11, budgets=raised, last=Budget()), allow_loss=11)
        self.refuse(self.lost(11, budgets=raised))

    def test_a_limit_that_was_lowered_counts_at_once(self) -> None:
        lowered = Budgets(Budget(2))
        assert "the budget is 2:" in str(self.refused(self.lost(3, budgets=lowered, last=Budget())))

    def test_nothing_lifts_the_ceiling(self) -> None:
        budgets = Budgets(Budget(50, 100), Budget(5, 100))
        self.refuse(self.lost(5, budgets=budgets), allow_loss=40)
        error = self.refused(self.lost(6, budgets=budgets), allow_loss=40)
        assert "and the budget is 5: nothing is applied. Affected: " in str(error)
        assert "RECONCILER_BUDGET is a hard limit" in str(error.hint)
        assert "--allow-loss" not in str(error.hint)
        assert "5" in str(self.refused(self.lost(1, budgets=budgets, recent=5), allow_loss=40))

    def test_no_manifest_at_all_is_refused_by_name(self) -> None:
        error = self.refused(self.lost(0), described=0)
        assert str(error) == (
            "there are no manifests, but the state has 40 monitors: nothing is applied"
        )
        assert str(error.hint).endswith("with --allow-empty.")
        self.refuse(self.lost(0), described=0, allow_empty=True)
        refuse_unsafe(self.lost(0), described=0, recorded=0)

    def test_every_guard_is_named_at_once(self) -> None:
        error = self.refused(self.lost(40), described=0)
        assert "there are no manifests" in str(error)
        assert "the budget is 10" in str(error)
        assert str(error.hint).endswith("with --allow-empty --allow-loss 40.")


class TestMemory:
    """What the state keeps of losses and budgets."""

    LOSSES = {
        7: Lost(7, "email-imap/a", ("deleted",), "2026-01-02T03:04:05Z"),
        8: Lost(8, "email-imap/b", ("disabled", "dropped"), "2026-01-03T03:04:05Z"),
    }
    STATE = State("l", ACCOUNT, 1, losses=LOSSES, budget={"monitors": 10, "percent": 30})

    def test_it_is_written_and_read(self) -> None:
        assert from_text(to_text(self.STATE).encode()) == self.STATE

    def test_a_state_without_it_is_read(self) -> None:
        data = json.loads(to_text(self.STATE))
        del data["losses"], data["budget"]
        data["format_version"] = "2.0"
        found = from_text(json.dumps(data).encode())
        assert (found.losses, found.budget) == ({}, {})

    @pytest.mark.parametrize(
        "wrong",
        [
            {"losses": 1},
            {"losses": [1]},
            {"losses": [{"id": 1}]},
            {"losses": [{"id": "1", "address": "a", "causes": [], "at": "2026-01-02T03:04:05Z"}]},
            {"losses": [{"id": 1, "address": "a", "causes": "x", "at": "2026-01-02T03:04:05Z"}]},
            {"losses": [{"id": 1, "address": "a", "causes": [], "at": "soon"}]},
            {"budget": 3},
            {"budget": {"monitors": 3}},
            {"budget": {"monitors": -3, "percent": 1}},
            {"budget": {"monitors": 1, "percent": True}},
        ],
    )
    def test_nonsense_is_a_corrupt_state(self, wrong: dict[str, Any]) -> None:
        data = json.loads(to_text(self.STATE)) | wrong
        with pytest.raises(StateError, match="the state is corrupt"):
            from_text(json.dumps(data).encode())

    def test_only_the_last_day_counts(self) -> None:
        held_to = terms(Budgets(), self.STATE, "2026-01-02T04:00:00Z")
        assert held_to == Terms(Budgets(), Budget(10, 30), (self.LOSSES[8],))
        assert terms(Budgets(), State("l", ACCOUNT), "") == Terms()

    def test_what_a_clock_that_was_ahead_has_written_counts_from_now(self) -> None:
        kept = not_older(self.LOSSES, "2026-01-02T03:04:05Z", "2026-01-02T12:00:00Z")
        assert kept == {8: self.LOSSES[8]._replace(at="2026-01-02T12:00:00Z")}

    @pytest.mark.parametrize(
        ("lost", "before", "expected"),
        {
            "the first apply": (40, None, Budget(50, 100)),
            "nothing is lost": (0, 10, Budget(50, 100)),
            "the raise is not needed": (10, 10, Budget(50, 100)),
            "the raise is needed": (11, 10, Budget(10, 30)),
        }.values(),
    )
    def test_a_raise_is_taken_up_by_an_apply_that_does_not_need_it(
        self, lost: int, before: int | None, expected: Budget
    ) -> None:
        losses = tuple(loss(f"m{number}", number, "deleted") for number in range(lost))
        coverage = Coverage(40, losses, allowance=BudgetLimits(40, before))
        last = {} if before is None else {"monitors": 10, "percent": 30}
        assert next_budget(coverage, Budget(50, 100), last) == expected


class TestSettings:
    def read(self, tmp_path: Path, text: str) -> Budget:
        path = tmp_path / "reconciler.toml"
        path.write_text(text)
        return config.read_state({}, path).budgets.configured

    def test_without_any_it_is_ten_monitors_and_30_percent(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "") == Budget(monitors=10, percent=30)
        assert config.read_state({}, tmp_path / "none.toml").budgets == Budgets()

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
        with pytest.raises(ConfigurationError, match="budget takes monitors and percent"):
            self.read(tmp_path, text)

    @pytest.mark.parametrize(
        ("text", "ceiling"),
        {
            "10": Budget(10, 100),
            "10,30%": Budget(10, 30),
            " 10 , 30 % ": Budget(10, 30),
            "0": Budget(0, 100),
            "25%": Budget(10**9, 25),
        }.items(),
    )
    def test_the_environment_sets_the_ceiling(
        self, tmp_path: Path, text: str, ceiling: Budget
    ) -> None:
        environment = {"RECONCILER_BUDGET": text}
        found = config.read_state(environment, tmp_path / "none.toml").budgets
        assert found == Budgets(Budget(), ceiling)

    @pytest.mark.parametrize("text", ["", "ten", "-1", "10%,5", "10,30", "1e3", "%", "10;30%"])
    def test_a_ceiling_that_is_none_is_refused(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigurationError, match="RECONCILER_BUDGET is "):
            config.read_state({"RECONCILER_BUDGET": text}, tmp_path / "none.toml")
