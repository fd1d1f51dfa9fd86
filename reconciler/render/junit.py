"""Plans, drift, results and findings as JUnit XML, which most CI servers show as tests.

Rule: `printable` leaves no character that XML 1.0 cannot hold, and ElementTree escapes the rest.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from reconciler.core.printable import Lines, joined, printable
from reconciler.core.result import Status
from reconciler.errors import Severity
from reconciler.render.drifts import changed_text, drifted_text, unmanaged_text
from reconciler.render.findings import finding_line
from reconciler.render.plans import place
from reconciler.render.results import outcomes_text
from reconciler.render.text import value_text
from reconciler.render.verbs import VERBS
from reconciler.render.view import in_repository

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.core.drift import Drift
    from reconciler.core.plan import Plan
    from reconciler.core.result import Result
    from reconciler.errors import Diagnostic
    from reconciler.render.view import View

_FAILURE, _ERROR, _SKIPPED, _PASSED = "failure", "error", "skipped", "system-out"
_ENDS = {Status.DONE: _PASSED, Status.UNCONFIRMED: _ERROR, Status.NOT_STARTED: _SKIPPED}
"""How a test ends of a change that ended so; of any other it failed."""


class Case(NamedTuple):
    """One test.

    Attributes:
        group: what CI servers call its class.
        end: the element that says how it ended.
        type: of what sort that is.
        text: all there is to say of it.
    """

    group: str
    name: str
    end: str = _PASSED
    type: str = ""
    message: str = ""
    text: str = ""


def plan_junit(plan: Plan, _view: View) -> Lines:
    """A test for each change, which passes, and for each refusal, which fails."""
    cases = []
    for refusal in plan.refusals:
        text = f"{refusal.message} {place(refusal)}\n{refusal.hint}"
        said = _FAILURE, refusal.code, refusal.message, text
        cases.append(Case(*_class(refusal.address), *said))
    for change in plan.changes:
        lines = [f"{VERBS[change.action].word} {place(change)}"]
        fields = (item for item in change.fields if item.source is None)
        lines += [f"{item.field}: {value_text(item.after)}" for item in fields]
        cases.append(Case(*_class(change.address), text="\n".join(lines)))
    return _suite("plan", cases or [Case("plan", "no changes")])


def drift_junit(drift: Drift, _view: View) -> Lines:
    """A failed test for each monitor that drifted, and one that passes for all others."""
    cases = [
        Case(*_class(it.address), _FAILURE, "drift", changed_text(it), drifted_text(it))
        for it in drift.monitors
    ]
    for item in drift.unmanaged or ():
        said = f"{item.name} (id {item.id})", _FAILURE, "unmanaged", unmanaged_text(item)
        cases.append(Case(item.type or "unknown", *said))
    return _suite("drift", [*cases, Case("drift", f"{drift.kept:,} as last applied")])


def result_junit(result: Result, _view: View) -> Lines:
    """A test for each change."""
    cases = [
        Case(
            *_class(item.change.address),
            _ENDS.get(item.status, _FAILURE),
            item.status.value,
            item.message or item.status.value,
            outcomes_text([item]),
        )
        for item in result.outcomes
    ]
    return _suite("apply", cases or [Case("apply", "no changes")])


def findings_junit(findings: Sequence[Diagnostic], view: View) -> Lines:
    """A test for each finding, of which those fail that are errors."""
    cases = []
    for finding in findings:
        path, line, column = finding.position
        end = _FAILURE if finding.severity is Severity.ERROR else _PASSED
        said = end, finding.code, finding.message, finding_line(finding)
        name = f"{line}:{column} {finding.code}"
        cases.append(Case(in_repository(path, view), name, *said))
    return _suite("validate", cases or [Case("validate", "no findings")])


def _class(address: str) -> tuple[str, str]:
    kind, _, name = address.partition("/")
    return kind, name


def _suite(name: str, cases: Sequence[Case]) -> Lines:
    ends = Counter(case.end for case in cases)
    numbers = {
        "tests": len(cases),
        "failures": ends[_FAILURE],
        "errors": ends[_ERROR],
        "skipped": ends[_SKIPPED],
        "time": 0,
    }
    texts = {key: str(number) for key, number in numbers.items()}
    root = ET.Element("testsuites", name="reconciler")
    suite = ET.SubElement(root, "testsuite", {"name": name, **texts})
    for case in cases:
        found = ET.SubElement(
            suite, "testcase", classname=printable(case.group), name=printable(case.name), time="0"
        )
        if case.end == _PASSED and not case.text:
            continue
        end = ET.SubElement(found, case.end)
        end.text = joined(case.text.split("\n"))
        if case.end != _PASSED:
            end.set("message", printable(case.message))
            end.set("type", case.type)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return joined(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.split("\n"))
