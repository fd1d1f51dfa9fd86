"""What a plan tells in numbers, and what people are told of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli.config import secrets_of
from reconciler.core.drift import Drifted
from reconciler.core.events import causes, drifted, orphans
from reconciler.core.options import PlanOptions
from reconciler.core.plan import BudgetLimits, Coverage, Loss, Plan, Refusal
from reconciler.core.planner import decide
from reconciler.core.result import Outcome, Status
from reconciler.core.rollup import PartResult
from reconciler.errors import ExitCode
from reconciler.render.notifications import (
    MessageOrigin,
    accounts_message,
    apply_message,
    drift_message,
    refused_message,
)

from build import ACCOUNT, SCHEMAS, desired, live, record

if TYPE_CHECKING:
    from reconciler.core.model import Live

KINDS = SCHEMAS.kinds
RELAY = desired({"port": 587, "note": "x"})


def plan(*monitors: Live, known: dict[str, Any] | None = None, prune: bool = False) -> Plan:
    return decide(ACCOUNT, [RELAY], known or {}, monitors, KINDS, PlanOptions(prune=prune))


class TestPlan:
    def test_a_change_counts_for_each_cause_of_its_fields(self) -> None:
        known = {RELAY.address: record({"port": 587, "note": "y"})}
        found = plan(live({"port": 25, "note": "y"}), known=known)
        assert causes(found) == {("update", "drift"): 1, ("update", "edit"): 1}
        assert drifted(found) == 1

    def test_what_was_never_applied_has_not_drifted(self) -> None:
        found = plan(live({"port": 25, "note": "x"}))
        assert causes(found) == {("update", "edit"): 1}
        assert drifted(found) == 0

    @pytest.mark.parametrize("prune", [False, True])
    def test_an_orphan_is_one_whether_it_is_retired_or_not(self, *, prune: bool) -> None:
        known = {"email-smtp/old": record({}, id=2)}
        fits = live({"port": 587, "note": "x"})
        found = plan(fits, live({}, id=2), known=known, prune=prune)
        assert orphans(found) == 1
        assert causes(found) == ({("delete", "retired"): 1} if prune else {})


class TestMessages:
    OUTCOMES = tuple(
        Outcome(change, Status.DONE) for change in plan(live({"port": 25, "note": "x"})).changes
    )

    def test_nothing_done_is_nothing_to_tell(self) -> None:
        for code in (0, 64, 130):
            assert apply_message("default", MessageOrigin("r"), (), code) is None
        assert drift_message("default", MessageOrigin("r"), (), 2) is None

    def test_what_others_said_is_left_out(self) -> None:
        (outcome,) = self.OUTCOMES
        failed = outcome._replace(status=Status.FAILED, message="<!channel> @everyone")
        found = apply_message("default", MessageOrigin("r1"), (failed,), 7)
        assert found is not None
        assert found.is_failure
        assert found.body == "email-smtp/relay: change failed\nRun r1"

    def test_a_refused_apply_says_why_and_where_in_our_own_words(self) -> None:
        losses = tuple(Loss(f"email-smtp/m{n}", n, ("disabled",)) for n in range(172))
        refusals = (Refusal("email-smtp/x", "unmanaged", "@everyone", "<!channel>", None),)
        over = Plan(
            ACCOUNT,
            (),
            refusals=refusals,
            coverage=Coverage(200, losses, allowance=BudgetLimits(10)),
        )
        found = apply_message(
            "default", MessageOrigin("r1", "https://ci.example.com/7"), (), 5, over
        )
        assert found is not None
        assert found.is_failure
        assert found.body.splitlines() == [
            "Refused by a guard.",
            "1 manifest is refused: email-smtp/x",
            "172 monitors would lose monitoring (172 disabled); budget 10",
            "See the log of the run for the reason.",
            "Run r1",
            "https://ci.example.com/7",
        ]

    @pytest.mark.parametrize("code", sorted({*ExitCode} - {0, 2, 64, 130}))
    def test_every_failure_has_words(self, code: int) -> None:
        found = apply_message("default", MessageOrigin("r1"), (), code)
        assert found is not None
        first, *_ = found.body.splitlines()
        assert first != "See the log of the run for the reason."

    def test_several_accounts_are_one_message(self) -> None:
        parts = (
            PartResult("a", "apply", 0, changes={"create": 1, "update": 2}),
            PartResult("b", "apply", 5, "@everyone"),
            PartResult("c", "apply", 0),
            PartResult("d", "apply", 7, "@everyone", changes={"update": 1}),
            PartResult("e", "apply", None, "an account of wave 1 is not done"),
        )
        found = accounts_message(parts, MessageOrigin(pipeline="https://ci.example.com/7"), 7)
        assert found is not None
        assert found.title == (
            "AlertSite, 5 accounts: 4 changes applied, 3 accounts are not done (exit code 7)"
        )
        assert found.body.splitlines() == [
            "b: Refused by a guard (exit code 5)",
            "d: Partly done (exit code 7), 1 changed",
            "e: not started",
            "a: 1 added, 2 changed",
            "https://ci.example.com/7",
        ]
        assert accounts_message(parts[2:3], MessageOrigin(), 0) is None
        assert accounts_message(parts[4:], MessageOrigin(), 130) is None
        refused = refused_message(60, MessageOrigin(), 5)
        assert refused is not None
        assert refused.title == "AlertSite, 60 accounts: apply failed (exit code 5)"

    def test_a_long_message_is_cut_and_says_so(self) -> None:
        found = apply_message("default", MessageOrigin("r1"), self.OUTCOMES * 30, 0)
        assert found is not None
        assert found.title == "AlertSite, default: 30 changes applied"
        assert found.body.splitlines()[-2:] == ["… and 10 more", "Run r1"]

    def test_lost_monitoring_is_told_before_what_was_changed(self) -> None:
        (outcome,) = self.OUTCOMES
        losses = (Loss("email-smtp/relay", 1, ("disabled",)), Loss("email-smtp/b", 2, ("ignored",)))
        losing = plan()._replace(coverage=Coverage(9, losses, allowance=BudgetLimits(9)))
        found = apply_message("default", MessageOrigin("r1"), (outcome,), 0, losing)
        assert found is not None
        assert found.title == "AlertSite, default: 1 change applied"
        lines = [
            "2 monitors have lost monitoring, or may have",
            "email-smtp/relay: changed",
            "Run r1",
        ]
        assert found.body.splitlines() == lines
        failed = outcome._replace(status=Status.FAILED)
        losing = plan()._replace(coverage=Coverage(9, losses[:1]))
        found = apply_message("default", MessageOrigin("r1"), (failed,), 7, losing)
        assert found is not None
        assert "lost monitoring" not in found.body

    def test_drift_names_fields(self) -> None:
        gone = Drifted("email-smtp/gone", 2, "", "", ())
        found = drift_message("default", MessageOrigin("r1"), (gone,), 2)
        assert found is not None
        assert found.title == "AlertSite, default: 1 monitor has drifted"
        assert found.body.splitlines() == ["email-smtp/gone: deleted in AlertSite", "Run r1"]


class TestSecretsOfUrls:
    @pytest.mark.parametrize(
        ("url", "secret"),
        [
            ("json://user:hunter22@example.com/x", "hunter22"),
            ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts", "A1BRTD4JD"),
            (
                "tgram://123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/1",
                "AAHdqTcvCH1vGWJxfSeofSAs0K5",
            ),
            ("mailto://me:p%40ss-word@example.com?to=you@example.com", "p@ss-word"),
        ],
    )
    def test_tokens_and_passwords_are(self, url: str, secret: str) -> None:
        found = set(secrets_of(url))
        assert any(secret in text for text in found if text != url)

    def test_a_user_is_one_only_without_a_password(self) -> None:
        """As a name it may stand in every address."""
        assert "contoso-24" not in set(secrets_of("json://contoso-24:hunter22@example.com/x"))
        assert "contoso-24" in set(secrets_of("ntfy://contoso-24@example.com/x"))

    def test_hosts_and_words_are_none(self) -> None:
        found = set(secrets_of("slack://Ab3dEfGh1/hooks.example.com/alerts?footer=yes"))
        assert found - {""} == {
            "slack://Ab3dEfGh1/hooks.example.com/alerts?footer=yes",
            "Ab3dEfGh1",
        }
