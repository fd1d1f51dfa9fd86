"""Orphans, lifecycle, replaced kinds and former names: what is decided, without any I/O."""

from pathlib import Path
from typing import Any

import pytest

from reconciler.context import SYSTEM, Cancellation, Reporter
from reconciler.core.inventory import Inventory
from reconciler.core.model import Desired, Ignored, Lifecycle, Live, Origin
from reconciler.core.options import PlanOptions
from reconciler.core.plan import (
    Action,
    Binding,
    BindingAction,
    Measurements,
    NoteCode,
    Plan,
    Reason,
)
from reconciler.core.planner import decide
from reconciler.core.result import Outcome, Result, Status, confirm
from reconciler.core.saved_plan import PlanInputs, SavedPlan, fleet_digest, refuse_foreign
from reconciler.core.state import Record, StateDelta
from reconciler.errors import ExitCode, RefusedError
from reconciler.render import plan_text, result_text
from reconciler.state_session import Recorder, read_known
from reconciler.state_store import open_store

from build import ACCOUNT, SCHEMAS, desired, live, record, reviewed

KINDS = SCHEMAS.kinds
GONE = "email-smtp/gone"
PRUNE = PlanOptions(prune=True)


def planned(
    manifests: list[Desired],
    records: dict[str, Record],
    monitors: list[Live],
    rules: PlanOptions = PRUNE,
) -> Plan:
    return decide(ACCOUNT, manifests, records, monitors, KINDS, rules)


def said(plan: Plan) -> list[tuple[str, str]]:
    """Address and action or code of all that is decided."""
    acting = [*plan.changes, *plan.bindings]
    telling = [*plan.refusals, *plan.notes]
    return [
        *((item.address, item.action.value) for item in acting),
        *((item.address, str(item.code)) for item in telling),
    ]


def remembered(*, protect: bool = False, retire: str = "delete", id: int = 1) -> Record:
    return record(id=id)._replace(protect=protect, retire=retire)


class TestOrphans:
    @pytest.mark.parametrize(
        ("rules", "expected"),
        {
            "they are listed": (PlanOptions(), "orphan"),
            "pruning deletes them": (PRUNE, "delete"),
            "but not what is kept": (PlanOptions(prune=True, keep=[GONE]), "orphan"),
            "or kept by a glob": (PlanOptions(prune=True, keep=["x", "*/go?e"]), "orphan"),
            "another one may be kept": (PlanOptions(prune=True, keep=["email-smtp/gon"]), "delete"),
            "keeping alone prunes nothing": (PlanOptions(keep=["*"]), "orphan"),
            "a target may be an orphan": (PlanOptions(prune=True, targets=[GONE]), "delete"),
            "or a glob": (PlanOptions(prune=True, targets=["*/x", "email-smtp/*"]), "delete"),
            "others are left out": (PlanOptions(prune=True, targets=["email-imap/*"]), ""),
            "labels have gone with the manifest": (PlanOptions(prune=True, targets=["team=x"]), ""),
        }.values(),
    )
    def test_what_becomes_of_them(self, rules: PlanOptions, expected: str) -> None:
        plan = planned([], {GONE: record(id=1)}, [live()], rules)
        assert said(plan) == ([(GONE, expected)] if expected else [])

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("!team=mail", "orphan"),
            ("!monitors/emea/", "orphan"),
            ("!email-smtp/there", "delete"),
        ],
    )
    def test_what_may_have_been_left_out_is_not_retired(self, target: str, expected: str) -> None:
        there = desired(name="there", id=2, labels={"team": "mail"})
        there = there._replace(origin=Origin("monitors/emea/there.yaml", 0, 1))
        rules = PlanOptions(prune=True, targets=[target])
        plan = planned([there], {GONE: record(id=1)}, [live(), live(id=2)], rules)
        assert (GONE, expected) in said(plan)
        is_said = "a ! target may exclude it" in plan_text(plan, colour=False)
        assert is_said == (expected == "orphan")

    def test_a_delete_names_the_id_and_nothing_else(self) -> None:
        (change,) = planned([], {GONE: record({"port": 25}, id=7)}, [live(id=7)]).changes
        assert (change.method, change.path, change.body) == ("DELETE", "/monitors/7", {})
        assert (change.kind, change.fields, change.origin) == ("email-smtp", (), None)
        assert change.is_retirement

    @pytest.mark.parametrize(
        "monitors", [[], [live(type="email-imap")]], ids=["deleted", "of another kind"]
    )
    def test_what_is_not_there_is_forgotten(self, monitors: list[Live]) -> None:
        plan = planned([], {GONE: remembered(protect=True)}, monitors)
        assert said(plan) == [(GONE, "forget")]

    def test_a_monitor_that_a_manifest_names_is_not_retired(self) -> None:
        manifests = [desired({"name": "Relay"}, id=1)]
        plan = planned(manifests, {GONE: record(id=1)}, [live({"name": "Relay"})])
        assert said(plan) == [(GONE, "forget")]

    def test_a_monitor_with_two_records_is_left(self) -> None:
        records = {GONE: remembered(protect=True), "email-smtp/too": record(id=1)}
        plan = planned([], records, [live()])
        assert said(plan) == [(GONE, "orphan"), ("email-smtp/too", "orphan")]

    def test_what_is_not_ours_is_never_retired(self) -> None:
        plan = planned([], {GONE: record(id=1)}, [live(id=1), live(id=2)])
        assert [change.id for change in plan.changes] == [1]
        assert plan.unmanaged == 1


class TestLifecycle:
    def test_protection_is_remembered_and_refuses(self) -> None:
        plan = planned([], {GONE: remembered(protect=True)}, [live()])
        (refusal,) = plan.refusals
        assert said(plan) == [(GONE, "protected")]
        assert refusal.origin is None
        assert f"--keep {GONE}" in refusal.hint
        assert f"reconciler state rm {GONE}" in refusal.hint
        assert "protect: false" in refusal.hint
        assert f"! {GONE} refused: the manifest of monitor 1 is gone" in plan_text(plan)

    @pytest.mark.parametrize("rules", [PlanOptions(), PlanOptions(prune=True, keep=[GONE])])
    def test_it_refuses_nothing_that_is_not_pruned(self, rules: PlanOptions) -> None:
        plan = planned([], {GONE: remembered(protect=True)}, [live()], rules)
        assert said(plan) == [(GONE, "orphan")]

    def test_what_may_be_of_another_type_is_refused(self) -> None:
        for retire in ("delete", "disable"):
            plan = planned([], {GONE: remembered(retire=retire)}, [live(type=None)])
            (refusal,) = plan.refusals
            assert said(plan) == [(GONE, "unknown-type")]
            assert refusal.message.startswith("AlertSite does not return the type of monitor 1,")
            assert f"--keep {GONE}" in refusal.hint
        assert said(planned([], {GONE: record()}, [live(type=None)], PlanOptions())) == [
            (GONE, "orphan")
        ]

    @pytest.mark.parametrize("has", [{"name": "Another"}, {"hostname": "other.example.com"}])
    def test_what_only_an_answer_says_is_ours_must_be_what_was_sent(
        self, has: dict[str, Any]
    ) -> None:
        sent = {"name": "Relay", "hostname": "mail.example.com"}
        claimed = remembered()._replace(unseen=sent)
        assert planned([], {GONE: claimed}, [live(sent)]).changes
        plan = planned([], {GONE: claimed}, [live({**sent, **has})])
        assert said(plan) == [(GONE, "not-as-created")]
        assert f"--keep {GONE}" in plan.refusals[0].hint
        lower = live({**sent, "hostname": "MAIL.example.com"})  # also if no manifest has the kind
        assert planned([], {GONE: claimed}, [lower]).changes
        seen = claimed._replace(fields=sent)
        assert planned([], {GONE: seen}, [live({**sent, **has})]).changes

    def test_it_covers_disabling_too(self) -> None:
        plan = planned([], {GONE: remembered(protect=True, retire="disable")}, [live()])
        assert said(plan) == [(GONE, "protected")]

    @pytest.mark.parametrize("was", [True, None, ""])
    def test_disabling_instead_of_deleting(self, was: Any) -> None:
        plan = planned([], {GONE: remembered(retire="disable")}, [live({"enabled": was})])
        (change,) = plan.changes
        assert (change.method, change.path) == ("PATCH", "/monitors/email-smtp/1")
        assert (change.body, change.reason) == ({"enabled": False}, Reason.RETIRED)
        assert change.is_retirement
        assert [field.before for field in change.fields] == [was or None]

    @pytest.mark.parametrize("was", [False, "n", "0", 0])
    def test_what_is_disabled_already_stays_an_orphan(self, was: Any) -> None:
        records = {GONE: remembered(retire="disable")}
        assert said(planned([], records, [live({"enabled": was})])) == [(GONE, "orphan")]


class TestIgnored:
    FIELDS = {"name": "Relay", "port": 587, "locations": [{"id": 10}]}

    def manifest(self, *fields: str, secrets: dict[str, Any] | None = None) -> Desired:
        ignore = tuple(Ignored(field, "a test", "2026-12-31") for field in fields)
        manifest = desired(self.FIELDS, secrets=secrets)
        return manifest._replace(lifecycle=Lifecycle(ignore=ignore))

    def plan(self, manifest: Desired, has: dict[str, Any], known: Record | None = None) -> Plan:
        records = {manifest.address: known} if known else {}
        return planned([manifest], records, [live(self.FIELDS | has)])

    def test_the_field_is_not_compared_and_that_is_noted(self) -> None:
        plan = self.plan(self.manifest("port"), {"port": 25})
        assert (plan.changes, plan.unchanged) == ((), 1)
        assert [(note.code, note.field, note.id) for note in plan.notes] == [
            (NoteCode.IGNORED, "port", 1)
        ]
        text = plan_text(plan)
        assert "(id 1) ignored: port is not as in AlertSite, but lifecycle.ignore allows it" in text

    def test_several_stand_on_one_line(self) -> None:
        text = plan_text(self.plan(self.manifest("port", "name"), {"port": 25, "name": "x"}))
        assert "ignored: name, port are not as in AlertSite" in text

    @pytest.mark.parametrize("has", ["587", 587])
    def test_one_that_fits_needs_no_note(self, has: Any) -> None:
        assert self.plan(self.manifest("port"), {"port": has}).notes == ()

    def test_the_others_are_compared(self) -> None:
        plan = self.plan(self.manifest("port"), {"port": 25, "name": "x"})
        assert plan.changes[0].body == {"name": "Relay"}

    def test_it_is_not_released(self) -> None:
        known = record({"port": 25, "name": "Relay"})
        assert said(self.plan(self.manifest("port"), {}, known)) == []

    def test_a_secret_can_be_ignored(self) -> None:
        secrets = {"login": {"secretRef": {"env": "LOGIN"}}}
        rules = PlanOptions(write_secrets=True)
        manifest = self.manifest("login", secrets=secrets)
        plan = planned([manifest], {}, [live(self.FIELDS)], rules)
        assert plan.changes == ()
        assert planned([self.manifest(secrets=secrets)], {}, [live(self.FIELDS)], rules).changes

    def test_a_companion_is_sent_as_alertsite_has_it(self) -> None:
        manifest = self.manifest("home_location")
        manifest = manifest._replace(fields={**manifest.fields, "home_location": 30})
        (change,) = self.plan(manifest, {"locations": [], "home_location": 10}).changes
        assert change.body == {"home_location": 10, "locations": [{"id": 10}]}

    def test_a_companion_that_would_be_stranded_is_refused(self) -> None:
        manifest = self.manifest("home_location")
        manifest = manifest._replace(fields={**manifest.fields, "home_location": 10})
        (refusal,) = self.plan(manifest, {"locations": [], "home_location": 20}).refusals
        assert refusal.message.endswith("and that the manifest ignores")
        assert "remove it from lifecycle.ignore" in refusal.hint

    def test_a_new_monitor_gets_all_fields(self) -> None:
        manifest = self.manifest("port")._replace(id=None)
        (change,) = planned([manifest], {}, []).changes
        assert change.body["port"] == 587


class TestReplacement:
    """A kind that changes is another address: the new monitor first, then the old one."""

    OLD = "email-pop/front"
    NEW = "email-imap/front"
    MANIFEST = desired({"name": "Front"}, kind="email-imap", name="front", id=None)
    LIVE = live({"name": "Front", "enabled": True}, type="email-pop")

    def plan(self, rules: PlanOptions = PRUNE, **lifecycle: Any) -> Plan:
        return planned([self.MANIFEST], {self.OLD: remembered(**lifecycle)}, [self.LIVE], rules)

    def test_both_sides_are_said(self) -> None:
        plan = self.plan()
        assert [(change.address, change.action, change.reason) for change in plan.changes] == [
            (self.NEW, Action.CREATE, Reason.REPLACEMENT),
            (self.OLD, Action.DELETE, Reason.REPLACED),
        ]
        text = plan_text(plan)
        assert f"+ {self.NEW} (monitors/a.yaml:1): replacement, created first" in text
        assert f"- {self.OLD} (id 1): replaced, deleted last" in text

    def test_so_it_is_without_pruning(self) -> None:
        plan = self.plan(PlanOptions())
        assert said(plan) == [(self.NEW, "create"), (self.OLD, "orphan")]
        assert plan.changes[0].reason is Reason.REPLACEMENT

    def test_so_it_is_when_the_old_one_is_disabled(self) -> None:
        assert [change.reason for change in self.plan(retire="disable").changes] == [
            Reason.REPLACEMENT,
            Reason.RETIRED,
        ]

    def test_so_it_is_when_the_old_one_is_protected(self) -> None:
        plan = self.plan(protect=True)
        assert said(plan) == [(self.NEW, "create"), (self.OLD, "protected")]
        assert plan.changes[0].reason is Reason.REPLACEMENT

    @pytest.mark.parametrize("targets", [[OLD], ["email-pop/*"], [f"!{NEW}"]])
    @pytest.mark.parametrize("retire", ["delete", "disable"])
    def test_the_old_one_alone_is_never_retired(self, targets: list[str], retire: str) -> None:
        plan = self.plan(PlanOptions(prune=True, targets=targets), retire=retire)
        assert said(plan) == [(self.OLD, "orphan")]
        assert "what replaces it is not there yet, and is no target" in plan_text(plan)

    def test_it_is_when_what_replaces_it_is_there(self) -> None:
        rules = PlanOptions(prune=True, targets=[self.OLD])
        there = live({"name": "Front"}, id=2, type="email-imap")
        records = {self.OLD: remembered(), self.NEW: record(id=2)}
        plan = planned([self.MANIFEST], records, [self.LIVE, there], rules)
        assert said(plan) == [(self.OLD, "delete")]

    def test_another_name_replaces_nothing(self) -> None:
        manifest = self.MANIFEST._replace(name="back")
        plan = planned([manifest], {self.OLD: record(id=1)}, [self.LIVE])
        assert [change.reason for change in plan.changes] == [None, None]

    def test_an_update_of_the_same_name_replaces_nothing(self) -> None:
        manifest = self.MANIFEST._replace(id=2)
        monitors = [self.LIVE, live({"name": "x"}, id=2, type="email-imap")]
        plan = planned([manifest], {self.OLD: record(id=1)}, monitors)
        assert [(change.action, change.reason) for change in plan.changes] == [
            (Action.UPDATE, None),
            (Action.DELETE, None),
        ]

    def test_what_was_deleted_outside_says_so_first(self) -> None:
        records = {self.OLD: record(id=1), self.NEW: record(id=2)}
        plan = planned([self.MANIFEST], records, [self.LIVE])
        assert plan.changes[0].reason is Reason.DELETED_OUTSIDE

    def test_a_kind_that_changes_under_a_bound_id_is_refused(self) -> None:
        plan = planned([self.MANIFEST._replace(id=1)], {self.OLD: record(id=1)}, [self.LIVE])
        assert said(plan) == [(self.OLD, "forget"), (self.NEW, "other-kind")]


class TestFormerNames:
    OLD, NEW = "email-smtp/old", "email-smtp/new"
    LIVE = live({"name": "Relay", "port": 25})

    def manifest(self, *former: str, id: int | None = None) -> Desired:
        fields = {"name": "Relay", "port": 25}
        return desired(fields, name="new", id=id)._replace(previously=former or ("old",))

    def test_the_record_is_taken_over_and_nothing_is_sent(self) -> None:
        plan = planned([self.manifest()], {self.OLD: record({"port": 25})}, [self.LIVE])
        assert (plan.changes, plan.unchanged, plan.unmanaged) == ((), 1, 0)
        assert plan.bindings == (Binding(self.NEW, BindingAction.MOVE, 1, self.OLD),)
        assert plan.notes == ()
        assert "(id 1) renamed: it was old; only its record moves" in plan_text(plan)

    def test_with_an_id_too(self) -> None:
        plan = planned([self.manifest(id=1)], {self.OLD: record()}, [self.LIVE])
        assert said(plan) == [(self.NEW, "move")]

    def test_fingerprints_of_secrets_go_with_it(self) -> None:
        manifest = self.manifest()._replace(secrets={"login": {"secretRef": {"env": "X"}}})
        records = {self.OLD: record({"port": 25}, secrets={"login": "as sent"})}
        rules = PlanOptions(fingerprint=lambda _number, _field, _value: "as sent")
        assert planned([manifest], records, [self.LIVE], rules).changes == ()

    def test_causes_are_those_of_the_record(self) -> None:
        manifest = self.manifest()._replace(fields={"name": "Relay", "port": 587})
        records = {self.OLD: record({"port": 587})}
        (change,) = planned([manifest], records, [self.LIVE]).changes
        assert (change.address, change.fields[0].cause) == (self.NEW, "drift")

    def test_the_first_name_that_has_a_record_counts(self) -> None:
        records = {f"email-smtp/{name}": record(id=n) for n, name in enumerate("bac", start=1)}
        monitors = [live({"name": "Relay", "port": 25}, id=n) for n in (1, 2, 3)]
        plan = planned([self.manifest("x", "c", "a")], records, monitors, PlanOptions())
        moved = Binding(self.NEW, BindingAction.MOVE, 3, "email-smtp/c")
        assert plan.binding(BindingAction.MOVE) == (moved,)
        assert [note.id for note in plan.noting(NoteCode.ORPHAN)] == [2, 1]

    def test_a_former_name_that_a_new_monitor_has_by_now_is_passed_over(self) -> None:
        # It was c, then b, then a; and there is a new b, which was applied first, by itself.
        records = {"email-smtp/c": record({"port": 25}), "email-smtp/b": record(id=2)}
        new_b = desired({"name": "New"}, name="b", id=None)
        monitors = [self.LIVE, live({"name": "New"}, id=2)]
        plan = planned([self.manifest("b", "c"), new_b], records, monitors)
        assert plan.bindings == (Binding(self.NEW, BindingAction.MOVE, 1, "email-smtp/c"),)
        assert (plan.changes, plan.notes) == ((), ())

    def test_who_comes_too_late_for_one_record_takes_the_next(self) -> None:
        records = {f"email-smtp/{name}": record(id=n) for n, name in enumerate("bc", start=1)}
        second = self.manifest("b", "c")._replace(name="second", fields={"name": "Second"})
        monitors = [live({"name": "Relay", "port": 25}, id=1), live({"name": "Second"}, id=2)]
        plan = planned([second, self.manifest("b")], records, monitors)
        assert [(item.address, item.before) for item in plan.bindings] == [
            (self.NEW, "email-smtp/b"),
            ("email-smtp/second", "email-smtp/c"),
        ]

    @pytest.mark.parametrize(
        ("former", "records", "moves"),
        {
            "a copied file does not break a chain": (
                {"a": "c", "c": "d", "b": "cd"},
                "cd",
                {"a": "c", "c": "d"},
            ),
            "nor a swap": ({"b": "d", "c": "db", "d": "b"}, "bd", {"b": "d", "d": "b"}),
            "who has one choice goes before who has two": (
                {"b": "ac", "d": "a", "a": "c"},
                "ac",
                {"d": "a", "a": "c"},
            ),
            "nobody stays before all claims are known": (
                {"l": "q", "m": "q", "p": "mz", "z": "y"},
                "mzyq",
                {"l": "q", "p": "z", "z": "y"},
            ),
            "three in a ring": (
                {"a": "b", "b": "c", "c": "a"},
                "abc",
                {"a": "b", "b": "c", "c": "a"},
            ),
        }.values(),
    )
    def test_renames_are_one_permutation(
        self, former: dict[str, str], records: str, moves: dict[str, str]
    ) -> None:
        fleet = [
            desired({"name": name}, name=name, id=None)._replace(previously=tuple(names))
            for name, names in former.items()
        ]
        known = {f"email-smtp/{name}": record(id=n) for n, name in enumerate(records)}
        for order in (fleet, fleet[::-1]):
            found = Inventory(order, known, []).renamed
            assert found == {f"email-smtp/{a}": f"email-smtp/{b}" for a, b in moves.items()}

    def test_one_that_names_its_monitor_takes_no_other_in_passing(self) -> None:
        records = {"email-smtp/b": record(id=2), "email-smtp/c": record(id=3)}
        fleet = [
            desired(name="a", id=1)._replace(previously=("b", "c")),
            desired(name="b", id=None),
            desired(name="e", id=None)._replace(previously=("c",)),
        ]
        assert Inventory(fleet, records, []).renamed == {"email-smtp/e": "email-smtp/c"}

    def test_a_name_of_another_kind_does_not_count(self) -> None:
        plan = planned([self.manifest()], {"email-imap/old": record(id=9)}, [], PlanOptions())
        assert said(plan) == [
            (self.NEW, "create"),
            ("email-imap/old", "forget"),
            (self.NEW, "stale-name"),
        ]

    def test_one_that_has_a_record_of_its_own_needs_no_former_one(self) -> None:
        records = {self.NEW: record(id=1), self.OLD: record(id=2)}
        plan = planned([self.manifest()], records, [self.LIVE, live(id=2)], PlanOptions())
        assert said(plan) == [(self.NEW, "stale-name"), (self.OLD, "orphan")]
        assert "hint: metadata.previously (old) can be removed" in plan_text(plan)

    def test_a_name_that_a_manifest_has_is_not_taken_from_it(self) -> None:
        old = desired({"name": "Old"}, name="old", id=None)
        monitors = [live({"name": "Old"})]
        plan = planned([self.manifest(), old], {self.OLD: record()}, monitors)
        assert said(plan) == [(self.NEW, "create"), (self.NEW, "stale-name")]

    def test_two_that_want_one_record_do_not_both_get_it(self) -> None:
        second = self.manifest()._replace(name="newer", fields={"name": "Newer"})
        plan = planned([second, self.manifest()], {self.OLD: record()}, [self.LIVE])
        newer = "email-smtp/newer"
        assert said(plan) == [(newer, "create"), (self.NEW, "move"), (newer, "stale-name")]

    def test_what_is_not_targeted_keeps_its_record(self) -> None:
        other = desired(name="other", id=2)
        rules = PlanOptions(prune=True, targets=["email-smtp/o*"])
        plan = planned([self.manifest(), other], {self.OLD: record()}, [self.LIVE, live(id=2)],
                       rules)  # fmt: skip
        assert (plan.changes, plan.notes) == ((), ())

    def test_another_id_is_refused_with_the_name_that_the_state_knows(self) -> None:
        plan = planned([self.manifest(id=2)], {self.OLD: record()}, [self.LIVE, live(id=2)])
        (refusal,) = plan.refusals
        assert refusal.code == "two-bindings"
        assert refusal.message.startswith(f"the state binds {self.OLD} to monitor 1")
        assert refusal.hint.endswith(f"reconciler state rm {self.OLD}")

    def test_another_kind_is_refused_with_the_name_that_the_state_knows(self) -> None:
        plan = planned([self.manifest()], {self.OLD: record()}, [live(type="email-imap")])
        (refusal,) = plan.refusals
        assert refusal.hint.endswith(f"or forget the record: reconciler state rm {self.OLD}.")

    def test_a_view_without_former_names_leaves_the_records_as_they_are(self) -> None:
        records = {self.OLD: record()}
        assert Inventory([desired()], records, []).records == records


class TestSavedPlans:
    """What is left of a saved plan that retires something."""

    CREATE = desired({"name": "Front"}, kind="email-imap", name="front", id=None)
    UPDATE = desired({"port": 587}, name="relay", id=5)
    RECORDS = {
        "email-pop/front": record(id=1),
        GONE: remembered(retire="disable", id=2),
        "email-smtp/relay": record(id=5),
    }
    MONITORS = (
        live({"name": "Front"}, id=1, type="email-pop"),
        live({"enabled": True}, id=2),
        live({"port": 25}, id=5),
    )

    def plan(self, *monitors: Live) -> Plan:
        manifests = [self.CREATE, self.UPDATE]
        return planned(manifests, self.RECORDS, list(monitors or self.MONITORS))

    def test_all_of_it_while_nothing_has_moved(self) -> None:
        plan = self.plan()
        found = reviewed(plan, self.plan())
        assert len(plan.changes) == 4
        assert (found.plan.changes, found.moved, found.done) == (plan.changes, (), 0)
        assert found.plan.coverage == plan.coverage

    def test_what_is_gone_already_is_done(self) -> None:
        found = reviewed(self.plan(), self.plan(*self.MONITORS[1:]))
        assert found.done == 1
        assert all(change.action is not Action.DELETE for change in found.plan.changes)

    def test_nothing_is_retired_while_something_else_has_moved(self) -> None:
        candidate = live({"name": "Front"}, id=9, type="email-imap")
        found = reviewed(self.plan(), self.plan(*self.MONITORS, candidate))
        assert [change.address for change in found.plan.changes] == ["email-smtp/relay"]
        assert [(item.change.address, item.status) for item in found.moved] == [
            ("email-imap/front", Status.MOVED),
            ("email-pop/front", Status.NOT_STARTED),
            (GONE, Status.NOT_STARTED),
        ]
        assert [loss.address for loss in found.plan.coverage.losses] == ["email-smtp/relay"]
        assert found.plan.coverage.measurements == Measurements()
        result = Result(ACCOUNT, found.moved)
        assert result.exit_code is ExitCode.REFUSED
        text = result_text(result)
        assert "monitors are only retired when all other changes are done" in text
        assert text.endswith("Make a new plan for what has changed meanwhile.")

    @pytest.mark.parametrize(
        "moved",
        [
            UPDATE._replace(lifecycle=Lifecycle(protect=True)),
            UPDATE._replace(lifecycle=Lifecycle(retire="disable")),
            UPDATE._replace(lifecycle=Lifecycle(ignore=(Ignored("port", "x", "2026-01-01"),))),
            UPDATE._replace(previously=("old",)),
            UPDATE._replace(fields={"port": 25}),
        ],
    )
    def test_it_is_for_these_manifests_only(self, moved: Desired) -> None:
        made, now = (
            PlanInputs("1", "", fleet_digest([self.CREATE, item])) for item in (self.UPDATE, moved)
        )
        saved = SavedPlan(self.plan(), made)
        refuse_foreign(saved, made, ACCOUNT)
        with pytest.raises(RefusedError, match="have changed since the plan was made"):
            refuse_foreign(saved, now, ACCOUNT)


@pytest.mark.parametrize(
    ("before", "is_there", "after"),
    [
        (Status.DONE, False, Status.DONE),
        (Status.UNCONFIRMED, False, Status.DONE),
        (Status.DONE, True, Status.NOT_KEPT),
        (Status.UNCONFIRMED, True, Status.FAILED),
        (Status.FAILED, True, Status.FAILED),
        (Status.NOT_STARTED, True, Status.NOT_STARTED),
    ],
)
def test_a_delete_is_done_when_the_monitor_is_gone(
    before: Status, after: Status, *, is_there: bool
) -> None:
    records = {GONE: record(id=1)}
    (change,) = planned([], records, [live()]).changes
    now = planned([], records, [live()] if is_there else [])
    (outcome,) = confirm([Outcome(change, before)], now, {})
    assert outcome.status is after
    assert ("still lists" in outcome.message) == (after is Status.NOT_KEPT)


def test_a_killed_run_does_not_lose_what_it_did_under_a_new_name(tmp_path: Path) -> None:
    """The record is under its new name before anything is sent, so its outcome is found again."""
    store = open_store(f"file:{tmp_path / 'state.json'}")

    def recorder(run: str) -> Recorder:
        return Recorder(
            store,
            read_known(store, ACCOUNT, "lineage"),
            run=f"20260102T030405Z-0000000{run}",
            operation="apply",
            clock=SYSTEM,
            cancellation=Cancellation(SYSTEM),
            reporter=Reporter(print),
        )

    old = record({"port": 25}, secrets={"login": "hmac-sha256:" + "0" * 64})
    recorder("1").finish(StateDelta({"email-smtp/old": old}))
    killed = recorder("2")
    killed.bind({"email-smtp/new": old, "email-smtp/old": None})
    killed.begin(["email-smtp/new"], {}, [], ())
    new = old._replace(fields={"port": 587}, run="run-2")
    killed.record({"email-smtp/new": new})
    assert read_known(store, ACCOUNT, "lineage").state.records == {"email-smtp/new": new}
