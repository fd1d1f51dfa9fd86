"""The decision table, row by row, and what the decisions look like."""

from typing import Any

import pytest

from reconciler.core.decisions import TABLE, situation, without_manifest
from reconciler.core.diff import Cause
from reconciler.core.inventory import Inventory, Uncertain
from reconciler.core.model import Account, Desired, Live, Origin
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Action, BindingAction, NoteCode, Plan, Reason
from reconciler.core.planner import decide
from reconciler.core.siblings import NOBODY, Claim, Claims
from reconciler.core.state import Record
from reconciler.core.targets import matches

from build import ACCOUNT, SCHEMAS, desired, live, record

KINDS = SCHEMAS.kinds
ADDRESS = "email-smtp/relay"
NAMED = desired({"name": "Relay"}, id=None)
BOUND = desired({"name": "Relay"}, id=1)
RULES = PlanOptions()
CANDIDATES = [live({"name": "Relay"}, id=8), live({"name": "Relay"}, id=9)]
OTHER = desired({"name": "Other"}, name="other", id=1)
IMAP = live({"name": "Relay"}, type="email-imap")

# manifests (the first one is meant), the id in its record, live, then what is decided: the action
# or "unchanged", or the code of a refusal or note.
ROWS: dict[str, tuple[list[Desired], int | None, list[Live], str]] = {
    "no id, record, its monitor fits": ([NAMED], 1, [live({"name": "Relay"})], "unchanged"),
    "no id, record, its monitor differs": ([NAMED], 1, [live({"name": "x"})], "update"),
    "no id, record, gone": ([NAMED], 1, [], "create"),
    "no id, record, gone, one candidate": ([NAMED], 1, CANDIDATES[:1], "not-ours"),
    "no id, record, gone, several candidates": ([NAMED], 1, CANDIDATES, "ambiguous"),
    "no id, record, another kind": ([NAMED], 1, [IMAP], "other-kind"),
    "no id, no record, no candidate": ([NAMED], None, [live({"name": "x"})], "create"),
    "no id, no record, one candidate": ([NAMED], None, CANDIDATES[:1], "not-ours"),
    "no id, no record, one candidate of another kind": ([NAMED], None, [IMAP], "create"),
    "no id, no record, one candidate of unknown kind": (
        [NAMED], None, [live({"name": "Relay"}, type=None)], "not-ours",
    ),
    "no id, no record, the one candidate bound by a manifest": (
        [NAMED, OTHER], None, [live({"name": "Relay"})], "create",
    ),
    "no id, no record, several candidates": ([NAMED], None, CANDIDATES, "ambiguous"),
    "no id, record that a manifest contradicts": ([NAMED, OTHER], 1, [live()], "two-bindings"),
    "the same, and gone": ([NAMED, OTHER], 1, [], "two-bindings"),
    "the same, and another kind": ([NAMED, OTHER], 1, [IMAP], "two-bindings"),
    "id, no record, there": ([BOUND], None, [live({"name": "x"})], "update"),
    "id, no record, there without its type": ([BOUND], None, [live(type=None)], "update"),
    "id, no record, nothing": ([BOUND], None, CANDIDATES, "no-such-id"),
    "id, no record, another kind": ([BOUND], None, [IMAP], "other-kind"),
    "id, no record, another type": ([BOUND], None, [live(type="website")], "other-kind"),
    "id, record, there": ([BOUND], 1, [live({"name": "Relay"})], "unchanged"),
    "id, record, gone": ([BOUND], 1, [], "deleted"),
    "id, record, another kind": ([BOUND], 1, [IMAP], "other-kind"),
    "id, record of another id": ([BOUND], 2, [live({"name": "Relay"})], "two-bindings"),
    "id, record of another id, gone": ([BOUND], 2, [], "two-bindings"),
    "id, record of another id, another kind": ([BOUND], 2, [IMAP], "two-bindings"),
    "no manifest, record, there": ([], 1, [live()], "orphan"),
    "no manifest, record, gone": ([], 1, [], "forget"),
    "no manifest, record, another kind": ([], 1, [IMAP], "forget"),
    "no manifest, record of a monitor that a manifest names": ([OTHER], 1, [live()], "forget"),
    "the same, gone": ([OTHER], 1, [], "forget"),
    "the same, another kind": ([OTHER], 1, [IMAP], "forget"),
}  # fmt: skip


CLAIM = Claim("south", "email-smtp/theirs", Origin("monitors/south/theirs.yaml", 0, 3))
BY_ID = Claims(ids={1: CLAIM})
BY_NAME = Claims(names={("email-smtp", "relay"): CLAIM})
RELAYS = [live({"name": "Relay"}), live({"name": "Relay"}, id=8)]

# The same, where another account with the same login describes this.
ROWS_OF_OTHERS: dict[str, tuple[list[Desired], int | None, list[Live], str, Claims]] = {
    "no id, record of theirs": ([NAMED], 1, [live()], "other-account", BY_ID),
    "no id, record of theirs, gone": ([NAMED], 1, [], "other-account", BY_ID),
    "no id, no record, theirs has its name": (
        [NAMED], None, RELAYS[:1], "other-account", BY_ID,
    ),
    "no id, no record, theirs and a free one have its name": (
        [NAMED], None, RELAYS, "not-ours", BY_ID,
    ),
    "no id, no record, theirs will have its name": ([NAMED], None, [], "other-account", BY_NAME),
    "no id, no record, theirs may be the free one": (
        [NAMED], None, RELAYS[:1], "other-account", BY_NAME,
    ),
    "no id, record, gone, theirs will have its name": ([NAMED], 1, [], "other-account", BY_NAME),
    "no id, record, there, theirs will have its name": (
        [NAMED], 1, RELAYS[:1], "unchanged", BY_NAME,
    ),
    "no id, record that a manifest contradicts": (
        [NAMED, OTHER], 1, [live()], "two-bindings", BY_ID,
    ),
    "id of theirs": ([BOUND], None, [live()], "other-account", BY_ID),
    "id and record of theirs": ([BOUND], 1, [live()], "other-account", BY_ID),
    "id of theirs, record of another id": ([BOUND], 2, [live()], "two-bindings", BY_ID),
    "id, theirs has its name": ([BOUND], 1, RELAYS[:1], "unchanged", BY_NAME),
    "no manifest, record of theirs": ([], 1, [live()], "forget", BY_ID),
    "no manifest, theirs has its name": ([], 1, RELAYS[:1], "other-account", BY_NAME),
    "no manifest, theirs has its address and is free": (
        [], 1, [live({"name": "x"})], "forget",
        Claims(addresses={ADDRESS: CLAIM._replace(is_unbound=True)}),
    ),
    "no manifest, theirs has its address": (
        [], 1, [live({"name": "x"})], "other-account", Claims(addresses={ADDRESS: CLAIM}),
    ),
    "no manifest, theirs cannot be read": (
        [], 1, RELAYS[:1], "other-account", Claims(unread=("south", "a.yaml cannot be read")),
    ),
}  # fmt: skip


def planned(
    manifests: list[Desired],
    number: int | None,
    monitors: list[Live],
    rules: PlanOptions = RULES,
    others: Claims = NOBODY,
) -> Plan:
    records = {} if number is None else {ADDRESS: record(id=number)}
    return decide(ACCOUNT, manifests, records, monitors, KINDS, rules, others=others)


@pytest.mark.parametrize(("manifests", "number", "monitors", "decision"), ROWS.values(), ids=ROWS)
def test_the_decision_table(
    manifests: list[Desired], number: int | None, monitors: list[Live], decision: str
) -> None:
    assert decided(planned(manifests, number, monitors)) == decision


@pytest.mark.parametrize(
    ("manifests", "number", "monitors", "decision", "others"),
    ROWS_OF_OTHERS.values(),
    ids=ROWS_OF_OTHERS,
)
@pytest.mark.parametrize("adopt", [False, True])
def test_what_another_account_with_the_same_login_has(
    manifests: list[Desired],
    number: int | None,
    monitors: list[Live],
    decision: str,
    others: Claims,
    *,
    adopt: bool,
) -> None:
    rules = PlanOptions(adopt=adopt, prune=True)
    plan = planned(manifests, number, monitors, rules, others)
    if adopt and decision == "not-ours":
        assert [(item.action, item.id) for item in plan.bindings] == [(BindingAction.ADOPT, 8)]
        return
    assert decided(plan) == decision
    for refusal in plan.refusals:
        if refusal.code == "other-account":
            words = f"{CLAIM} also describes " if manifests else "may describe monitor 1"
            assert words in refusal.message


def test_what_another_account_has_is_no_double() -> None:
    plan = planned([BOUND], 1, RELAYS, others=Claims(ids={8: CLAIM}))
    assert (plan.notes, plan.unmanaged) == ((), 0)
    assert [note.id for note in planned([BOUND], 1, RELAYS).noting(NoteCode.DUPLICATE)] == [8]


def decided(plan: Plan) -> str:
    found = [
        *[item.action.value for item in plan.changes if item.address == ADDRESS],
        *[item.action.value for item in plan.bindings if item.address == ADDRESS],
        *[item.code for item in plan.refusals if item.address == ADDRESS],
        *[item.code.value for item in plan.notes if item.address == ADDRESS],
    ]
    return " ".join(found) or "unchanged"


def test_every_row_of_the_table_has_a_case_and_every_case_a_row() -> None:
    found = set()
    rows = [(*row, NOBODY) for row in ROWS.values()]
    for manifests, number, monitors, _, others in (*rows, *ROWS_OF_OTHERS.values()):
        records = {} if number is None else {ADDRESS: record(id=number)}
        view = Inventory(manifests, records, monitors, others=others)
        if not manifests or manifests[0] is OTHER:
            found.add(without_manifest(ADDRESS, records[ADDRESS], view))
        else:
            found.add(situation(manifests[0], view))
    assert found == TABLE.keys()


@pytest.mark.parametrize("number", [None, 1])
def test_what_only_an_answer_says_is_ours_is_not_changed_if_it_is_nothing_of_that(
    number: int | None,
) -> None:
    sent = {"name": "Relay", "hostname": "mail.example.com"}
    manifest = desired({**sent, "port": 25}, id=number)
    claimed = record(id=1)._replace(unseen=sent)

    def plan(has: dict[str, Any], known: Record) -> Plan:
        return decide(ACCOUNT, [manifest], {ADDRESS: known}, [live(has)], KINDS, RULES)

    theirs = {"name": "Theirs", "hostname": "other.example.com"}
    found = plan(theirs, claimed)
    if number is not None:  # the manifest says so
        assert found.changes
        return
    (refusal,) = found.refusals
    assert (found.changes, refusal.code) == ((), "not-as-created")
    assert "'Relay'" in refusal.hint
    assert ADDRESS in refusal.hint
    for part in ({**theirs, "name": "Relay"}, {**sent, "name": "Theirs"}):
        assert plan(part, claimed).changes
    assert plan(theirs, claimed._replace(fields=theirs)).changes
    assert plan({"name": "Theirs"}, claimed).changes  # a server may rewrite names


def test_every_refusal_says_what_and_what_next_without_a_gap() -> None:
    rows = [(*row, NOBODY) for row in ROWS.values()]
    for manifests, number, monitors, _, others in (*rows, *ROWS_OF_OTHERS.values()):
        for refusal in planned(manifests, number, monitors, others=others).refusals:
            assert "None" not in refusal.message + refusal.hint
            assert "{" not in refusal.message + refusal.hint
            assert refusal.hint.endswith((".", ADDRESS))


def test_what_is_to_be_forgotten_is_named_with_its_account() -> None:
    records = {ADDRESS: record(id=1)}
    for account, words in (
        (ACCOUNT, f"reconciler state rm {ADDRESS}"),
        (Account("north", "x"), f"reconciler state rm -a north {ADDRESS}"),
    ):
        (refusal,) = decide(account, [NAMED], records, [IMAP], KINDS).refusals
        assert words in refusal.hint


class TestStranding:
    POOL = live({"name": "Relay", "locations": [{"id": 10}, {"id": 20}], "home_location": 10})
    MOVED = desired({"name": "Relay", "locations": [{"id": 20}, {"id": 30}]})

    def test_a_home_is_not_left_out_of_its_locations(self) -> None:
        plan = planned([self.MOVED], 1, [self.POOL])
        (refusal,) = plan.refusals
        assert (plan.changes, refusal.code) == ((), "home-location")
        assert refusal.message == (
            "locations would become 20, 30, without the home_location 10 that AlertSite has and "
            "that the manifest does not name"
        )
        assert refusal.hint == (
            "Write home_location in the manifest, as one of its locations; or add 10 to locations."
        )

    def test_with_a_home_of_its_own_it_is_a_change(self) -> None:
        manifest = self.MOVED._replace(fields={**self.MOVED.fields, "home_location": 30})
        (change,) = planned([manifest], 1, [self.POOL]).changes
        assert change.body == {"home_location": 30, "locations": [{"id": 20}, {"id": 30}]}

    def test_a_plan_that_is_only_read_may_do_it(self) -> None:
        plan = planned([self.MOVED], 1, [self.POOL], PlanOptions(may_strand=True))
        assert [change.body for change in plan.changes] == [{"locations": [{"id": 20}, {"id": 30}]}]

    def test_what_is_refused_is_not_adopted(self) -> None:
        manifest = self.MOVED._replace(id=None)
        plan = planned([manifest], None, [self.POOL], PlanOptions(adopt=True))
        assert ([item.code for item in plan.refusals], plan.notes) == (["home-location"], ())


def test_two_bindings_are_named() -> None:
    (refusal,) = planned([BOUND], 2, []).refusals
    assert refusal.message == (
        "the state binds email-smtp/relay to monitor 2, but its manifest names 1"
    )
    (refusal,) = (
        item for item in planned([NAMED, OTHER], 1, []).refusals if item.address == ADDRESS
    )
    assert refusal.message == (
        "the state binds email-smtp/relay to monitor 1, but email-smtp/other names it"
    )


def test_two_records_of_one_monitor_are_both_named() -> None:
    """As an older version could write them: no manifest is to blame."""
    other = NAMED._replace(name="other")
    records = {ADDRESS: record(id=1), "email-smtp/other": record(id=1)}
    plan = decide(ACCOUNT, [NAMED, other], records, [live({"name": "Relay"}, id=1)], KINDS)
    (refusal,) = plan.refusals
    assert refusal.message == (
        "the state binds both email-smtp/other and email-smtp/relay to monitor 1"
    )
    assert refusal.hint == (
        "AlertSite calls it 'Relay'. Forget the record of the address that it does not belong to "
        "with reconciler state rm email-smtp/relay or reconciler state rm email-smtp/other, then "
        "run plan again."
    )
    refusals = decide(ACCOUNT, [NAMED, other], records, [], KINDS).refusals
    hints = [item.hint for item in refusals if item.code == "two-bindings"]
    assert [hint.partition(". ")[0] for hint in hints] == ["AlertSite does not have it"]


class TestCreate:
    def test_it_is_a_post_of_all_that_the_manifest_declares(self) -> None:
        manifest = desired({"port": 587, "name": "Relay"}, id=None)
        (change,) = planned([manifest], None, []).changes
        assert (change.action, change.method, change.path, change.id) == (
            Action.CREATE,
            "POST",
            "/monitors/email-smtp",
            None,
        )
        assert list(change.body.items()) == [("name", "Relay"), ("port", 587)]
        assert [(item.field, item.before, item.cause) for item in change.fields] == [
            ("name", None, Cause.EDIT),
            ("port", None, Cause.EDIT),
        ]
        assert change.reason is None

    def test_deleted_outside_git_is_said(self) -> None:
        (change,) = planned([NAMED], 1, []).changes
        assert (change.action, change.reason) == (Action.CREATE, Reason.DELETED_OUTSIDE)

    @pytest.mark.parametrize("monitors", [[], CANDIDATES[:1]])
    @pytest.mark.parametrize("number", [None, 1])
    @pytest.mark.parametrize("adopt", [False, True])
    def test_two_that_could_not_be_told_apart_are_refused(
        self, monitors: list[Live], number: int | None, *, adopt: bool
    ) -> None:
        twin = desired({"name": "Relay"}, name="twin", id=None)
        plan = planned([NAMED, twin], number, monitors, PlanOptions(adopt=adopt))
        assert [(item.address, item.code) for item in plan.refusals] == [
            (ADDRESS, "same-name"),
            ("email-smtp/twin", "same-name"),
        ]
        assert plan.changes == ()

    def test_the_same_name_in_another_kind_is_no_twin(self) -> None:
        other = desired({"name": "Relay"}, kind="email-imap", id=None)
        assert len(planned([NAMED, other], None, []).changes) == 2


class TestAdopt:
    RULES = PlanOptions(adopt=True)

    def test_the_one_candidate_is_bound_and_updated(self) -> None:
        manifest = desired({"name": "Relay", "port": 587}, id=None)
        plan = planned([manifest], None, CANDIDATES[:1], self.RULES)
        (binding,), (change,) = plan.bindings, plan.changes
        assert (binding.action, binding.id) == (BindingAction.ADOPT, 8)
        assert (change.action, change.id, change.body) == (Action.UPDATE, 8, {"port": 587})
        assert plan.unmanaged == 0

    def test_one_that_fits_is_only_bound(self) -> None:
        plan = planned([NAMED], None, CANDIDATES[:1], self.RULES)
        assert (plan.changes, plan.unchanged, len(plan.bindings)) == ((), 1, 1)

    def test_several_stay_ambiguous_and_are_listed(self) -> None:
        (refusal,) = planned([NAMED], None, CANDIDATES, self.RULES).refusals
        assert refusal.code == "ambiguous"
        assert "8, 9" in refusal.message

    def test_what_another_manifest_adopts_is_not_taken_for_one_that_watches_the_same(self) -> None:
        one, new = ({"name": name, "hostname": "mail.example.com"} for name in ("Relay", "New"))
        manifests = [desired(one, id=None), desired(new, name="new", id=None)]
        plan = planned(manifests, None, [live(one, id=8)], self.RULES)
        assert [(item.address, item.action) for item in plan.changes] == [
            ("email-smtp/new", Action.CREATE)
        ]
        assert [item.id for item in plan.bindings] == [8]
        (refusal,) = planned(manifests[1:], None, [live(one, id=8)], self.RULES).refusals
        assert refusal.code == "perhaps-ours"

    def test_what_an_orphan_is_bound_to_is_not_adopted(self) -> None:
        records = {"email-smtp/old": record(id=8)}
        plan = decide(ACCOUNT, [NAMED], records, CANDIDATES[:1], KINDS, self.RULES)
        assert [change.action for change in plan.changes] == [Action.CREATE]


def test_an_uncertain_create_is_forgotten_under_the_address_that_the_state_has() -> None:
    uncertain = {ADDRESS: Uncertain((8, 9), "email-smtp/former")}
    plan = decide(ACCOUNT, [NAMED], {}, [live({"name": "x"})], KINDS, uncertain=uncertain)
    (refusal,) = plan.refusals
    assert (refusal.code, "8, 9" in refusal.message) == ("uncertain", True)
    assert refusal.hint.endswith("reconciler state rm email-smtp/former")


CAUSES: dict[str, tuple[dict[str, Any] | None, Any, Any, Cause]] = {
    "never applied": (None, 25, 587, Cause.EDIT),
    "named for the first time": ({"note": "x"}, 25, 587, Cause.EDIT),
    "Git moved": ({"port": 25}, 25, 587, Cause.EDIT),
    "Git moved, AlertSite spells it otherwise": ({"port": 25}, "25", 587, Cause.EDIT),
    "AlertSite moved": ({"port": 587}, 25, 587, Cause.DRIFT),
    "AlertSite moved, applied in another spelling": ({"port": "587"}, 25, 587, Cause.DRIFT),
    "both moved": ({"port": 465}, 25, 587, Cause.BOTH),
    "AlertSite unset it": ({"port": 587}, "", 587, Cause.DRIFT),
}


@pytest.mark.parametrize(("applied", "has", "wants", "cause"), CAUSES.values(), ids=CAUSES)
def test_the_cause_of_a_field_change(
    applied: dict[str, Any] | None, has: Any, wants: Any, cause: Cause
) -> None:
    records = {} if applied is None else {ADDRESS: record(applied)}
    plan = decide(ACCOUNT, [desired({"port": wants})], records, [live({"port": has})], KINDS)
    (change,) = plan.changes
    (field,) = change.fields
    assert field.cause is cause
    value = (applied or {}).get("port")
    assert field.applied == (int(value) if value else None)


def test_a_field_that_is_no_longer_named_is_released() -> None:
    manifest = desired({"port": 25})
    known = record({"port": 25, "note": "x", "alert_note": "y"})
    plan = decide(ACCOUNT, [manifest], {ADDRESS: known}, [live({"port": 25})], KINDS)
    assert [(note.code, note.field) for note in plan.notes] == [
        (NoteCode.RELEASED, "alert_note"),
        (NoteCode.RELEASED, "note"),
    ]
    assert (plan.changes, plan.unchanged) == ((), 1)


class TestSecrets:
    REF = {"secretRef": {"env": "PASSWORD"}}
    MANIFEST = desired({"name": "Relay"}, secrets={"pop3_password": REF})
    FITS = live({"name": "Relay", "pop3_password": "echoed"})

    def plan(self, known: Record | None, rules: PlanOptions) -> Plan:
        records = {ADDRESS: known} if known else {}
        return decide(ACCOUNT, [self.MANIFEST], records, [self.FITS], KINDS, rules)

    @staticmethod
    def fingerprint(number: int, field: str, value: Any) -> str:
        return f"{number} {field} {value}"

    @pytest.mark.parametrize("known", [None, record(secrets={"pop3_password": ""})])
    def test_without_a_key_nothing_is_sent_and_that_is_counted(self, known: Record | None) -> None:
        plan = self.plan(known, PlanOptions())
        assert (plan.changes, plan.untracked, plan.unchanged) == ((), 1, 1)

    @pytest.mark.parametrize("known", [record(), record(secrets={"pop3_password": "released"})])
    def test_one_that_no_run_has_sent_needs_no_key(self, known: Record) -> None:
        plan = self.plan(known, PlanOptions())
        assert (len(plan.changes), plan.untracked, plan.unchanged) == (1, 0, 0)

    def test_write_secrets_sends_them(self) -> None:
        plan = self.plan(record(), PlanOptions(write_secrets=True))
        (change,) = plan.changes
        (field,) = change.fields
        assert change.body == {"pop3_password": self.REF}
        assert (field.before, field.after, field.source) == (None, self.REF, "env:PASSWORD")
        assert plan.untracked == 0

    def test_one_that_was_sent_is_not_sent_again(self) -> None:
        sent = {"pop3_password": self.fingerprint(1, "pop3_password", self.REF)}
        rules = PlanOptions(fingerprint=self.fingerprint)
        assert self.plan(record(secrets=sent), rules).changes == ()
        rotated = {"pop3_password": "another"}
        assert len(self.plan(record(secrets=rotated), rules).changes) == 1
        assert len(self.plan(None, rules).changes) == 1

    def test_a_create_sends_them(self) -> None:
        manifest = self.MANIFEST._replace(id=None)
        (change,) = decide(ACCOUNT, [manifest], {}, [], KINDS).changes
        assert change.body == {"name": "Relay", "pop3_password": self.REF}

    def test_what_was_a_secret_is_not_shown(self) -> None:
        manifest = desired({"hostname": "mx.example.com"})
        known = record(secrets={"hostname": "hmac"})
        plan = decide(ACCOUNT, [manifest], {ADDRESS: known}, [live({"hostname": "s3cret"})], KINDS)
        (change,) = plan.changes
        assert "s3cret" not in repr(change)
        assert plan.notes == ()

    def test_a_secret_that_is_no_longer_named_is_released(self) -> None:
        known = record({"name": "Relay"}, secrets={"old": "hmac", "pop3_password": "x"})
        plan = self.plan(known, PlanOptions())
        assert [note.field for note in plan.notes] == ["old"]


def test_email_monitors_without_a_manifest_are_counted_and_others_are_not() -> None:
    monitors = [live(id=1), live(id=2), live(id=3, type="website"), live(id=4, type=None)]
    plan = decide(ACCOUNT, [desired(id=1)], {}, monitors, KINDS)
    assert plan.unmanaged == 2
    assert plan.changes == ()


def test_orphans_and_what_is_bound_by_a_refused_manifest_are_not_unmanaged() -> None:
    plan = decide(ACCOUNT, [desired(id=1)], {}, [live(type="email-imap")], KINDS)
    assert plan.unmanaged == 0
    assert planned([], 1, [live(id=1)]).unmanaged == 0


def test_targets_leave_the_others_out() -> None:
    manifests = [desired({"port": 1}, name="a", id=1), desired({"port": 1}, name="b", id=2)]
    records = {"email-smtp/gone": record(id=3)}
    rules = PlanOptions(targets=["email-smtp/b"])
    plan = decide(ACCOUNT, manifests, records, [live(id=1), live(id=2)], KINDS, rules)
    assert [change.address for change in plan.changes] == ["email-smtp/b"]
    assert (plan.excluded, plan.unmanaged, plan.notes) == (1, 0, ())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("email-smtp/relay", True),
        ("email-smtp/rel", False),
        ("relay", False),
        ("email-smtp/*", True),
        ("*/relay", True),
        ("EMAIL-SMTP/relay", False),
        ("team=mail", True),
        ("team=mai", False),
        ("tier=", False),
        ("owner=mail", False),
    ],
)
def test_targets_are_addresses_globs_or_labels(target: str, *, expected: bool) -> None:
    assert matches(desired(labels={"team": "mail"}), target) is expected


def test_an_update_is_the_request_that_goes_out() -> None:
    plan = decide(ACCOUNT, [desired({"port": 587}, id=123456)], {}, [live(id=123456)], KINDS)
    (change,) = plan.changes
    assert (change.action, change.method, change.path, change.body) == (
        Action.UPDATE,
        "PATCH",
        "/monitors/email-smtp/123456",
        {"port": 587},
    )


class TestDigest:
    def plan(self, port: int = 587, account: Account = ACCOUNT, unmanaged: int = 1) -> Plan:
        monitors = [live(), *(live(id=2 + number) for number in range(unmanaged))]
        return decide(account, [desired({"port": port})], {}, monitors, KINDS)

    def test_equal_decisions_share_it(self) -> None:
        assert self.plan().digest == self.plan(unmanaged=5).digest

    def test_other_decisions_and_accounts_do_not(self) -> None:
        digests = {
            self.plan().digest,
            self.plan(25).digest,
            self.plan(account=Account("x", "y")).digest,
        }
        assert len(digests) == 3


def test_monitors_that_are_there_twice_are_told_in_the_order_of_their_ids() -> None:
    """The list of AlertSite has no order that could be relied on."""
    for others in (CANDIDATES, CANDIDATES[::-1]):
        plan = decide(ACCOUNT, [BOUND], {}, [live({"name": "Relay"}), *others], KINDS, RULES)
        assert [note.id for note in plan.noting(NoteCode.DUPLICATE)] == [8, 9]
