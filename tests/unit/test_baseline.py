"""What a project makes of lint: severities, and a baseline of what is known."""

import pytest

from reconciler.core.lint.baseline import (
    Judged,
    KnownFinding,
    Linted,
    from_json,
    judge,
    to_json,
    updated,
)
from reconciler.core.lint.codes import Policy
from reconciler.errors import Diagnostic, Position, Severity

A, B, C = (KnownFinding(f"email-smtp/{name}", "wrong-port", "spec.port") for name in "abc")


def linted(*entries: KnownFinding, line: int = 1) -> Linted:
    finding = Diagnostic(Position("monitors/a.yaml", line, 1), "wrong-port", "no")
    return Linted(finding, frozenset(entries))


class TestPolicy:
    @pytest.mark.parametrize(
        ("severities", "expected"),
        [
            ((), Severity.ERROR),
            ((("wrong-port", "info"),), Severity.INFO),
            ((("*", "off"),), None),
            ((("*", "off"), ("wrong-*", "warning")), Severity.WARNING),
            ((("wrong-*", "warning"), ("*", "off")), None),
            ((("other-*", "off"),), Severity.ERROR),
        ],
    )
    def test_the_last_pattern_that_matches_counts(
        self, severities: tuple[tuple[str, str], ...], expected: Severity | None
    ) -> None:
        assert Policy(severities).severity("wrong-port") is expected

    def test_patterns_that_match_no_code(self) -> None:
        policy = Policy((("wrong-*", "off"), ("wrong", "off"), ("missing-key", "off")))
        assert policy.meaningless() == ("wrong", "missing-key")


class TestJudge:
    def test_what_the_baseline_knows_is_not_new(self) -> None:
        new = linted(B, line=2)
        assert judge([linted(A), new], {A}) == Judged((new.finding,), 1, ())

    def test_a_default_is_new_if_it_is_for_one_manifest(self) -> None:
        assert judge([linted(A, B)], {A, B}) == Judged((), 1, ())
        assert judge([linted(A, B)], {A}).new

    def test_what_can_never_be_known_is_new(self) -> None:
        assert judge([linted()], {A}).new

    def test_what_is_not_found_any_more_is_gone(self) -> None:
        assert judge([linted(B)], {C, B, A}).gone == (A, C)

    def test_of_manifests_not_looked_at_nothing_is_gone(self) -> None:
        assert judge([], {A, B}, only={B.address}).gone == (B,)


class TestUpdated:
    def test_it_knows_what_was_found_and_no_more(self) -> None:
        assert updated([linted(A), linted(B, C)], {C, A}) == {A, B, C}
        assert updated([linted(B)], {A}) == {B}

    def test_it_keeps_what_was_not_looked_at(self) -> None:
        assert updated([linted(B)], {A, C}, only={B.address, C.address}) == {A, B}

    def test_then_nothing_is_new_and_nothing_gone(self) -> None:
        found = [linted(A), linted(B, C)]
        assert judge(found, updated(found, {KnownFinding("x/y", "z", "")})) == Judged((), 2, ())


def test_it_is_written_and_read() -> None:
    assert from_json(to_json({B, A})) == {A, B}
    assert [item["address"] for item in to_json({B, A})["findings"]] == [A.address, B.address]
