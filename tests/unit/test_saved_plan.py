import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.model import Account, Desired, Ignored, Lifecycle, Live
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Plan
from reconciler.core.planner import decide
from reconciler.core.result import Status
from reconciler.core.saved_plan import (
    PlanInputs,
    SavedPlan,
    fleet_digest,
    from_json,
    refuse_foreign,
    to_json,
)
from reconciler.errors import RefusedError
from reconciler.schema import problem_of

from build import ACCOUNT, SCHEMAS, desired, live, record, reviewed

KINDS = SCHEMAS.kinds
BASIS = PlanInputs("1.0", "lineage", "sha256:" + "0" * 64, ("email-smtp/*",), adopt=True)
BASIS = BASIS._replace(settings="sha256:" + "1" * 64)
RELAY = desired({"port": 587, "note": "x"})
NEW = desired({"name": "New"}, name="new", id=None)
WAS = live({"port": 25, "note": "y"})


def plan(
    *monitors: Live, manifests: list[Desired] | None = None, known: dict[str, Any] | None = None
) -> Plan:
    fleet = [RELAY] if manifests is None else manifests
    return decide(ACCOUNT, fleet, known or {}, monitors, KINDS)


class TestAgainstTheManifests:
    """Whoever can change a plan file can make its digest fit again."""

    def test_a_body_that_the_manifests_do_not_ask_for_is_not_sent(self) -> None:
        made = plan(WAS)
        (change,) = made.changes
        forged = made._replace(changes=(change._replace(body={**change.body, "port": 1}),))
        found = reviewed(forged, plan(WAS))
        assert not found.plan.changes
        (outcome,) = found.moved
        assert (outcome.status, outcome.message) == (
            Status.MOVED,
            "port would not become what the manifests say",
        )

    def test_what_only_accompanies_another_field_is_as_it_is_now(self) -> None:
        manifest = desired({"home_location": 2, "note": "x"})
        at = {"locations": [{"id": 1}, {"id": 2}], "home_location": 1}
        made, now = (plan(live({**at, "note": note}), manifests=[manifest]) for note in ("y", "y"))
        assert reviewed(made, now).plan.changes == now.changes


class TestLossesWithoutRequest:
    def test_they_count_though_the_change_beside_them_is_left_out(self) -> None:
        ignore = (Ignored("enabled", "", "2030-01-01"),)
        manifest = desired({"port": 587, "enabled": True})._replace(
            lifecycle=Lifecycle(ignore=ignore)
        )
        known = {manifest.address: record({"port": 25, "enabled": True})}
        has = {"port": 25, "enabled": True}
        made = plan(live(has), manifests=[manifest], known=known)
        moved = plan(live({**has, "port": 26}), manifests=[manifest], known=known)
        assert made.coverage.losses[0].causes == ("ignored", "retargeted")
        found = reviewed(made, moved)
        assert not found.plan.changes
        (loss,) = found.plan.coverage.losses
        assert (loss.causes, loss.fields) == (("ignored",), {"enabled": "ignored"})


class TestJSON:
    SAVED = SavedPlan(plan(WAS, manifests=[RELAY, NEW]), BASIS)

    def test_round_trip_through_its_schema(self) -> None:
        data = json.loads(json.dumps(to_json(self.SAVED)))
        assert problem_of("plan", data) == ""
        assert from_json(data) == self.SAVED

    def test_each_touched_field_is_pinned(self) -> None:
        new, relay = to_json(self.SAVED)["changes"]
        assert set(relay["pins"]) == {"port", "note"}
        assert set(new["pins"]) == {"name"}

    @pytest.mark.parametrize(
        "change",
        [
            lambda data: data["changes"][1]["request"]["body"].update(port=1),
            lambda data: data["changes"][1]["pins"].update(port="sha256:" + "1" * 64),
            lambda data: data["changes"][1].update(id=9),
            lambda data: data["account"].update(name="other"),
            lambda data: data["changes"].pop(),
            lambda data: data.pop("secrets"),
            lambda data: data["changes"][1].update(id=7.0),
            lambda data: data["coverage"].update(managed=1.0),
        ],
    )
    def test_one_that_was_changed_by_hand_is_refused(self, change: Any) -> None:
        data = json.loads(json.dumps(to_json(self.SAVED)))
        change(data)
        with pytest.raises(RefusedError, match="changed after it was written"):
            from_json(data)

    def test_a_plan_that_is_none_says_where(self) -> None:
        data = to_json(self.SAVED)
        del data["changes"][0]["action"]
        assert problem_of("plan", data) == "changes/0/action is missing"
        assert problem_of("plan", []) == "the document must be of the type object"
        data = to_json(self.SAVED) | {"other": 1}
        assert problem_of("plan", data) == "other is not a key of this format"
        data = to_json(self.SAVED) | {"changes": {}}
        assert problem_of("plan", data) == "changes must be of the type array"


class TestForeign:
    SAVED = SavedPlan(plan(WAS), BASIS)

    def test_the_same_basis_is_fine(self) -> None:
        refuse_foreign(self.SAVED, BASIS, ACCOUNT)

    @pytest.mark.parametrize(
        ("basis", "account", "words"),
        [
            (BASIS, Account("x", "y"), r"the account https://.*, but this is x \(y\)"),
            (BASIS._replace(tool_version="2"), ACCOUNT, "reconciler 1.0, but this is 2"),
            (BASIS._replace(lineage="x"), ACCOUNT, "lineage lineage, but this is x"),
            (
                BASIS._replace(manifests="x"),
                ACCOUNT,
                "the manifests have changed since the plan was made",
            ),
            (
                BASIS._replace(settings="x"),
                ACCOUNT,
                "reconciler.toml has changed since the plan was made",
            ),
        ],
    )
    def test_another_is_refused_by_name(
        self, basis: PlanInputs, account: Account, words: str
    ) -> None:
        with pytest.raises(RefusedError, match=words):
            refuse_foreign(self.SAVED, basis, account)


def test_the_digest_of_a_fleet_is_of_what_it_says() -> None:
    assert fleet_digest([RELAY, NEW]) == fleet_digest([NEW, RELAY])
    assert fleet_digest([RELAY]) != fleet_digest([RELAY._replace(id=2)])
    assert fleet_digest([RELAY]) != fleet_digest([RELAY._replace(fields={"port": 588})])
    secret = RELAY._replace(secrets={"w": {"secretRef": {"env": "X"}}})
    assert fleet_digest([RELAY]) != fleet_digest([secret])


class TestReview:
    SAVED = plan(WAS)

    def test_what_did_not_move_is_left_as_it_was(self) -> None:
        found = reviewed(self.SAVED, plan(WAS))
        assert found.plan.changes == self.SAVED.changes
        assert (found.moved, found.done) == ((), 0)

    def test_another_spelling_did_not_move(self) -> None:
        found = reviewed(self.SAVED, plan(live({"port": "25", "note": "y"})))
        assert [change.body for change in found.plan.changes] == [{"note": "x", "port": 587}]

    def test_what_moved_is_named_with_both_values(self) -> None:
        found = reviewed(self.SAVED, plan(live({"port": 465, "note": "y"})))
        (outcome,) = found.moved
        assert found.plan.changes == ()
        assert outcome.status is Status.MOVED
        assert outcome.message == "port changed in AlertSite since the plan was made"
        assert [(item.field, item.before, item.after) for item in outcome.moved] == [
            ("port", 465, 587)
        ]

    def test_what_alertsite_has_already_is_done(self) -> None:
        has = live({"port": 587, "note": "x"})
        found = reviewed(self.SAVED, plan(has), has)
        assert (found.plan.changes, found.moved, found.done) == ((), (), 1)

    def test_of_a_change_that_is_half_done_the_rest_is_left(self) -> None:
        has = live({"port": 587, "note": "y"})
        found = reviewed(self.SAVED, plan(has), has)
        assert [change.body for change in found.plan.changes] == [{"note": "x"}]

    @pytest.mark.parametrize("kind", ["email-smtp", "email-none"])
    def test_what_nothing_asks_for_any_more_and_alertsite_has_not_moved(self, kind: str) -> None:
        (change,) = self.SAVED.changes
        saved = self.SAVED._replace(changes=(change._replace(kind=kind),))
        found = reviewed(saved, plan(WAS, manifests=[]), live({"port": "587", "note": "y"}))
        (outcome,) = found.moved
        assert (found.done, outcome.message) == (
            0,
            "note: no manifest sets this any more"
            if kind == "email-smtp"
            else "its kind is not known here",
        )

    def test_a_field_that_the_plan_does_not_touch_is_not_added(self) -> None:
        saved = plan(live({"port": 25, "note": "x"}))
        found = reviewed(saved, plan(live({"port": 25, "note": "drift"})))
        assert [change.body for change in found.plan.changes] == [{"port": 587}]

    def test_a_monitor_that_is_gone_moved(self) -> None:
        unbound = RELAY._replace(id=None, fields={**RELAY.fields, "name": "Relay"})
        known = {"email-smtp/relay": record()}
        monitor = live({"port": 25, "note": "x", "name": "Relay"})
        saved = plan(monitor, manifests=[unbound], known=known)
        (outcome,) = reviewed(saved, plan(manifests=[unbound], known=known)).moved
        assert outcome.message == "the monitor was deleted since the plan was made"

    def test_a_monitor_that_is_there_by_now_moved(self) -> None:
        saved = plan(manifests=[NEW])
        monitor = live({"name": "Renamed"}, id=7)
        current = plan(monitor, manifests=[NEW], known={"email-smtp/new": record(id=7)})
        (outcome,) = reviewed(saved, current).moved
        assert outcome.message == "monitor 7 was created since the plan was made"

    def test_a_create_that_was_made_is_done(self) -> None:
        current = plan(
            live({"name": "New"}, id=7), manifests=[NEW], known={"email-smtp/new": record(id=7)}
        )
        assert reviewed(plan(manifests=[NEW]), current).done == 1

    def test_another_monitor_in_its_place_moved(self) -> None:
        unbound = RELAY._replace(id=None)
        known = [{"email-smtp/relay": record(id=number)} for number in (1, 2)]
        saved = plan(WAS, manifests=[unbound], known=known[0])
        current = plan(WAS._replace(id=2), manifests=[unbound], known=known[1])
        (outcome,) = reviewed(saved, current).moved
        assert "took the place of 1" in outcome.message

    def test_what_is_refused_by_now_moved(self) -> None:
        (outcome,) = reviewed(self.SAVED, plan()).moved
        assert "has no monitor" in outcome.message

    def test_a_secret_that_was_sent_meanwhile_is_done(self) -> None:
        secret = desired(secrets={"w": {"secretRef": {"env": "X"}}})
        rules = PlanOptions(fingerprint=lambda *_: "f")
        saved = decide(ACCOUNT, [secret], {}, [live()], KINDS, rules)
        known = {"email-smtp/relay": record(secrets={"w": "f"})}
        current = decide(ACCOUNT, [secret], known, [live()], KINDS, rules)
        assert reviewed(saved, current).done == 1
        assert len(reviewed(saved, saved).plan.changes) == 1

    def test_without_a_key_nobody_can_tell_whether_a_secret_was_sent(self) -> None:
        secret = desired(secrets={"w": {"secretRef": {"env": "X"}}})
        rules = PlanOptions(fingerprint=lambda *_: "f")
        saved = decide(ACCOUNT, [secret], {}, [live()], KINDS, rules)
        current = decide(ACCOUNT, [secret], {}, [live()], KINDS)
        (outcome,) = reviewed(saved, current, tracks=False).moved
        assert "cannot tell without RECONCILER_SECRET_KEY" in outcome.message

    def test_another_monitor_than_was_reviewed_is_not_adopted(self) -> None:
        rules = PlanOptions(adopt=True)
        manifest = desired({"name": "Relay"}, id=None)
        one, other = live({"name": "Relay"}, id=1), live({"name": "Relay"}, id=2)
        saved = decide(ACCOUNT, [manifest], {}, [one], KINDS, rules)
        assert reviewed(saved, saved).plan.notes == saved.notes
        with pytest.raises(RefusedError, match="would adopt monitor 2"):
            reviewed(saved, decide(ACCOUNT, [manifest], {}, [other], KINDS, rules))
        with pytest.raises(RefusedError, match="can no longer be adopted"):
            reviewed(
                saved,
                decide(ACCOUNT, [manifest], {}, [one, other], KINDS, rules),
            )


def test_a_saved_plan_is_json_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(to_json(SavedPlan(plan(WAS), BASIS))))
    assert from_json(json.loads(path.read_text())).plan == plan(WAS)
