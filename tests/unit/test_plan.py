import pytest

from reconciler.model import Desired, Live
from reconciler.plan import Action, Plan, decide, matches

from build import desired, live

KINDS = ("email-imap", "email-pop", "email-round-trip", "email-smtp")

# desired, live, then what is decided: "unchanged", "update" or the code of a refusal.
TABLE = {
    "no id, no such monitor": (desired(id=None), [], "not-bound"),
    "no id, such a monitor": (desired({"name": "a"}, id=None), [live({"name": "a"})], "not-bound"),
    "id, no monitor": (desired(id=1), [], "no-such-id"),
    "id, another monitor": (desired(id=1), [live(id=2)], "no-such-id"),
    "id, another email kind": (desired(id=1), [live(type="email-imap")], "other-kind"),
    "id, another type": (desired(id=1), [live(type="website")], "other-kind"),
    "id, patch empty": (desired({"port": 25}), [live({"port": "25"})], "unchanged"),
    "id, no field declared": (desired(), [live({"port": 25})], "unchanged"),
    "id, patch not empty": (desired({"port": 25}), [live({"port": 587})], "update"),
    "id, live does not name its type": (desired({"port": 25}), [live(type=None)], "update"),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "monitors", "decision"), TABLE.values(), ids=TABLE)
def test_the_decision_table(manifest: Desired, monitors: list[Live], decision: str) -> None:
    plan = decide("account", [manifest], monitors, KINDS)
    decided = [
        *[change.action.value for change in plan.changes],
        *[refusal.code for refusal in plan.refusals],
        *["unchanged"] * plan.unchanged,
    ]
    assert decided == [decision]


def test_email_monitors_without_a_manifest_are_counted_and_others_are_not() -> None:
    monitors = [live(id=1), live(id=2), live(id=3, type="website"), live(id=4, type=None)]
    plan = decide("account", [desired(id=1)], monitors, KINDS)
    assert plan.unmanaged == 2
    assert plan.changes == ()


def test_a_monitor_bound_by_a_refused_manifest_is_not_unmanaged() -> None:
    plan = decide("account", [desired(id=1)], [live(type="email-imap")], KINDS)
    assert plan.unmanaged == 0


def test_targets_leave_the_others_out() -> None:
    manifests = [desired({"port": 1}, name="a", id=1), desired({"port": 1}, name="b", id=2)]
    plan = decide("account", manifests, [live(id=1), live(id=2)], KINDS, ["email-smtp/b"])
    assert [change.address for change in plan.changes] == ["email-smtp/b"]
    assert (plan.excluded, plan.unmanaged) == (1, 0)


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


def test_a_change_is_the_request_that_goes_out() -> None:
    plan = decide("account", [desired({"port": 587}, id=123456)], [live(id=123456)], KINDS)
    (change,) = plan.changes
    assert (change.action, change.method, change.path, change.body) == (
        Action.UPDATE,
        "PATCH",
        "/monitors/email-smtp/123456",
        {"port": 587},
    )


class TestDigest:
    def plan(self, port: int = 587, account: str = "account", unmanaged: int = 1) -> Plan:
        monitors = [live(), *(live(id=2 + number) for number in range(unmanaged))]
        return decide(account, [desired({"port": port})], monitors, KINDS)

    def test_equal_decisions_share_it(self) -> None:
        assert self.plan().digest == self.plan(unmanaged=5).digest

    def test_other_decisions_and_accounts_do_not(self) -> None:
        digests = {self.plan().digest, self.plan(25).digest, self.plan(account="x").digest}
        assert len(digests) == 3
