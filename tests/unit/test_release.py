"""What becomes of a field that leaves its manifest, and what is kept for that."""

from typing import Any

import pytest

from reconciler.core.diff import Cause, FieldChange
from reconciler.core.model import Desired, Lifecycle, Live
from reconciler.core.options import PlanOptions
from reconciler.core.pending import caught_up
from reconciler.core.plan import Action, Change, Plan
from reconciler.core.planner import decide
from reconciler.core.release import kept_priors, left_worse, names_all, released, with_intent
from reconciler.core.state import Prior, Record, Sending, without_secrets

from build import ACCOUNT, SCHEMAS, desired, live, record

KIND = SCHEMAS.kinds["email-smtp"]


def known(fields: dict[str, Any], prior: dict[str, Any], **parts: Any) -> Record:
    """A record with these priors; each was sent as the record has it."""
    priors = {name: Prior(was, "run-0", fields.get(name)) for name, was in prior.items()}
    return record(fields)._replace(prior=priors, **parts)


def found(
    record_: Record, has: dict[str, Any], fields: dict[str, Any] | None = None, release: str = ""
) -> tuple[dict[str, Any], dict[str | None, str | None]]:
    """What is restored, and the reason why each other field is left."""
    manifest = desired(fields)._replace(lifecycle=Lifecycle(release=release or "restore"))
    result = released(manifest, record_, live(has), ())
    return dict(result.restored), {note.field: note.name for note in result.notes}


class TestReleased:
    def test_it_goes_back_while_alertsite_has_what_we_wrote(self) -> None:
        its = known({"enabled": False}, {"enabled": True})
        assert found(its, {"enabled": False}) == ({"enabled": True}, {})

    def test_a_hand_is_not_undone(self) -> None:
        its = known({"port": 587}, {"port": 25})
        assert found(its, {"port": 465}) == ({}, {"port": "moved"})

    def test_what_is_back_already_is_not_spoken_of(self) -> None:
        its = known({"monitor_location_count": 5}, {"monitor_location_count": None})
        assert found(its, {"monitor_location_count": None}) == ({}, {})

    def test_without_a_prior_it_is_left(self) -> None:
        assert found(record({"port": 587}), {"port": 587}) == ({}, {"port": None})

    @pytest.mark.parametrize("part", [{"secrets": {"port": ""}}, {}])
    def test_what_held_a_secret_is_left(self, part: dict[str, Any]) -> None:
        its = known({"port": 587}, {"port": 25}, **part)
        held = () if part else ("port",)
        result = released(desired(), its, live({"port": 587}), held)
        assert (result.restored, [note.name for note in result.notes]) == ({}, [None])

    def test_lifecycle_keeps_it(self) -> None:
        its = known({"port": 587}, {"port": 25})
        assert found(its, {"port": 587}, release="keep") == ({}, {"port": "kept"})

    @pytest.mark.parametrize(
        ("name", "wrote", "unset"),
        [
            ("note", "x", ""),
            ("ipv4", "192.0.2.1", ""),
            ("custom_properties", [{"id": 1, "value": "x"}], []),
        ],
    )
    def test_what_was_unset_is_unset_where_the_schema_can(
        self, name: str, wrote: Any, unset: Any
    ) -> None:
        its = known({name: wrote}, {name: None})
        assert found(its, {name: wrote}) == ({name: unset}, {})

    @pytest.mark.parametrize(
        ("name", "wrote"), [("port", 587), ("mode", "Primary"), ("locations", [{"id": 1}])]
    )
    def test_what_cannot_be_unset_is_left(self, name: str, wrote: Any) -> None:
        its = known({name: wrote}, {name: None})
        assert found(its, {name: wrote}) == ({}, {name: "unset"})

    def test_home_and_locations_must_fit(self) -> None:
        wrote = {"locations": [{"id": 3}], "home_location": 3}
        its = known(wrote, {"locations": [{"id": 1}], "home_location": 1})
        assert found(its, wrote)[0] == {"locations": [{"id": 1}], "home_location": 1}
        assert found(its, wrote, {"home_location": 3}) == ({}, {"locations": "apart"})
        assert found(its, wrote, {"locations": [{"id": 3}]}) == ({}, {"home_location": "apart"})

    def test_what_a_killed_run_was_about_to_send_is_ours(self) -> None:
        its = record()._replace(prior={"port": Prior(25, "run-0", 587)})
        assert found(its, {"port": 587}) == ({"port": 25}, {})
        assert found(its, {"port": 25})[1] == {}
        assert found(its, {"port": 465}) == ({}, {"port": "moved"})

    def test_a_restore_that_was_not_seen_goes_on(self) -> None:
        its = known({"port": 587}, {"port": 25}, unseen={"port": 25})
        assert found(its, {"port": 7}) == ({"port": 25}, {})

    def test_what_was_left_is_named_while_it_is_worse(self) -> None:
        its = record()._replace(left={"enabled": True, "interval": 5})
        assert found(its, {"enabled": False, "interval": 5}) == ({}, {"enabled": "worse"})
        assert found(its, {"enabled": False}, {"enabled": False}) == ({}, {"interval": "worse"})

    def test_a_record_that_has_no_more_than_the_manifest(self) -> None:
        manifest = desired({"port": 587})
        assert names_all(manifest, known({"port": 587}, {"port": 25}))
        assert not names_all(manifest, record()._replace(left={"enabled": True}))
        assert not names_all(manifest, known({}, {"enabled": True}))


def planned(manifest: Desired, its: Record, has: dict[str, Any]) -> Plan:
    return decide(
        ACCOUNT, [manifest], {manifest.address: its}, [live(has)], SCHEMAS.kinds, PlanOptions()
    )


class TestPlan:
    def test_the_change_says_from_which_run_on_it_was_otherwise(self) -> None:
        its = known({"enabled": False}, {"enabled": True})
        (change,) = planned(desired(), its, {"enabled": False}).changes
        (field,) = change.fields
        assert (change.body, field.before) == ({"enabled": True}, False)
        assert (field.cause, field.before_run) == (Cause.RESTORE, "run-0")

    def test_it_is_part_of_the_digest_and_of_the_json(self) -> None:
        its = known({"port": 587}, {"port": 25})
        plan = planned(desired(), its, {"port": 587})
        edit = planned(desired({"port": 25}), its, {"port": 587})
        assert plan.digest != edit.digest
        assert Plan.from_json(plan.to_json()) == plan

    def test_what_accompanies_it_is_sent(self) -> None:
        wrote = {"locations": [{"id": 1}, {"id": 2}], "home_location": 1}
        its = known(wrote, {"locations": [{"id": 1}]})
        manifest = desired({"home_location": 1})
        (change,) = planned(manifest, its, wrote).changes
        assert change.body == {"locations": [{"id": 1}], "home_location": 1}
        assert [field.before_run for field in change.fields] == [None, "run-0"]


def sending(has: dict[str, Any], body: dict[str, Any], its: Record) -> Record:
    """The record before an update is sent."""
    fields = tuple(
        FieldChange(name, KIND.field(name).normalise(has.get(name)), value)
        for name, value in body.items()
    )
    change = Change(Action.UPDATE, "email-smtp/relay", "email-smtp", 1, body, fields, None)
    return with_intent(its, change, KIND, Live(1, "email-smtp", has), "run-2")


class TestPriors:
    def test_what_alertsite_has_when_git_names_a_field_first(self) -> None:
        made = sending({"port": "25"}, {"port": 587}, record())
        assert made.prior == {"port": Prior(25, "run-2", 587)}

    def test_a_text_as_it_is_spelt(self) -> None:
        made = sending({"billing_plancode": "UBM - A/A"}, {"billing_plancode": "X"}, record())
        assert made.prior["billing_plancode"].value == "UBM - A/A"

    def test_what_git_agreed_with_counts_more_than_a_hand(self) -> None:
        made = sending({"port": 465}, {"port": 587}, record({"port": 25}))
        assert made.prior["port"].value == 25

    def test_the_first_change_counts(self) -> None:
        first = sending({"port": 25}, {"port": 587}, record())
        second = sending({"port": 587}, {"port": 465}, first._replace(fields={"port": 587}))
        assert second.prior == {"port": Prior(25, "run-2", 465)}

    def test_what_git_made_or_holds_a_secret_has_none(self) -> None:
        its = record({"port": 25})
        for part in ({"made_with": ("port",)}, {"secrets": {"port": ""}}):
            assert sending({"port": 25}, {"port": 587}, its._replace(**part)).prior == {}

    def test_what_may_be_a_secret_is_not_kept(self) -> None:
        field = FieldChange("word", "(hidden)", "new")
        body = {"word": "new"}
        change = Change(Action.UPDATE, "email-smtp/relay", "email-smtp", 1, body, (field,), None)
        monitor = Live(1, "email-smtp", {"word": "old"})
        assert with_intent(record(), change, KIND, monitor, "run-2").prior == {}

    def test_what_came_to_nothing_is_forgotten_when_a_hand_moves_it(self) -> None:
        first = sending({"port": 25}, {"port": 587}, record())
        assert sending({"port": 25}, {"port": 587}, first).prior["port"].value == 25
        assert sending({"port": 465}, {"port": 587}, first).prior["port"].value == 465

    def test_only_those_of_managed_fields_are_kept(self) -> None:
        its = known({"port": 587, "enabled": False}, {"port": 25, "enabled": True})
        assert list(kept_priors(its, {"port"})) == ["port"]

    def test_a_known_secret_is_not_kept(self) -> None:
        its = known({"note": "x"}, {"note": "s3cret"}, left={"alert_note": "s3cret"})
        clean = without_secrets(its, lambda text: "s3cret" in text)
        assert (clean.prior, clean.left, clean.fields) == ({}, {}, {})
        assert clean.secrets == {"note": "", "alert_note": ""}


class TestLeft:
    def test_what_stays_worse_is_kept_with_what_it_was(self) -> None:
        its = known({"enabled": False, "interval": 60, "port": 25}, {"enabled": True})
        has = live({"enabled": False, "interval": 60, "port": 25})
        assert left_worse(desired(), its, has, ()) == {"enabled": True}

    def test_what_is_as_it_was_is_not(self) -> None:
        its = known({"enabled": True}, {"enabled": False})
        assert left_worse(desired(), its, live({"enabled": False}), ()) == {}

    def test_what_was_named_again_and_never_settled_stays_as_it_was_at_first(self) -> None:
        """Its prior is noted before the request, and a run may end between the two."""
        at_first, then = [{"id": 30}, {"id": 10}], [{"id": 20}, {"id": 10}]
        its = known({"locations": then}, {"locations": then}, left={"locations": at_first})
        assert left_worse(desired(), its, live({"locations": [{"id": 10}]}), ()) == {
            "locations": at_first
        }

    def test_what_is_managed_again_is_not(self) -> None:
        its = record()._replace(left={"enabled": True})
        assert left_worse(desired(), its, live({"enabled": False}), ()) == {"enabled": True}
        assert left_worse(desired(), its, live({"enabled": False}), {"enabled"}) == {}


class TestWhatWasBeingSent:
    """A run that was killed, or had no answer, has told nobody what it did."""

    def test_all_but_secrets_is_taken_down(self) -> None:
        its = record({"port": 25})._replace(made_with=("port",), secrets={"note": ""})
        made = sending({"port": 25}, {"port": 587, "note": "x"}, its)
        assert made.sending == Sending("run-2", {"port": 587})

    def test_what_came_is_an_edit_and_what_did_not_is_as_before(self) -> None:
        its = record({"port": 25, "timeout": 30})._replace(
            sending=Sending("run-0", {"port": 587, "timeout": 20})
        )
        seen = caught_up(its, KIND, live({"port": "587", "timeout": 30}))
        assert seen.fields == {"port": 587, "timeout": 30}
        assert seen.sending == Sending("run-0", {"timeout": 20})
        manifest = desired({"port": 465, "timeout": 20})
        (change,) = planned(manifest, its, {"port": 587, "timeout": 30}).changes
        assert [(item.applied, item.cause) for item in change.fields] == [
            (587, Cause.EDIT),
            (30, Cause.EDIT),
        ]

    def test_what_a_hand_has_done_since_is_drift(self) -> None:
        its = record({"port": 25})._replace(sending=Sending("run-0", {"port": 587}))
        (change,) = planned(desired({"port": 587}), its, {"port": 1}).changes
        assert [item.cause for item in change.fields] == [Cause.BOTH]

    def test_what_came_of_an_earlier_run_is_not_forgotten_by_the_next(self) -> None:
        first = sending({"port": 25}, {"port": 587}, record({"port": 25}))
        second = sending({"port": 587}, {"port": 465}, first)
        assert second.fields == {"port": 587}
        assert second.sending == Sending("run-2", {"port": 465})
        assert second.prior == {"port": Prior(25, "run-2", 465)}

    def test_what_was_sent_before_is_not_waited_for_once_something_later_is_seen(self) -> None:
        its = record({"port": 25})._replace(
            unseen={"port": 465}, sending=Sending("", {"port": 587})
        )
        assert caught_up(its, KIND, live({"port": 587})).unseen == {}

    def test_what_a_killed_run_has_taken_away_is_no_loss_of_the_next(self) -> None:
        its = record({"interval": 5})._replace(made_with=("interval",))
        killed = its._replace(sending=Sending("run-0", {"interval": 60}))
        known_ = its._replace(fields={"interval": 60})
        losses = [
            planned(desired({}), it, {"interval": 60}).coverage.losses for it in (killed, known_)
        ]
        assert losses == [(), ()]
        assert planned(desired({}), its, {"interval": 60}).coverage.losses
