"""What GitHub Actions shows: annotations, and the outputs of a step.

The log of a job has all in text. Annotations are commands in that log, one a line, which GitHub
shows at the place in the pull request. It shows ten of each severity and drops the rest, so the
tenth says how many more there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import Cause
from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.result import Status
from reconciler.errors import Severity
from reconciler.render.drifts import changed_text, drift_text, stranger_text
from reconciler.render.findings import finding_line
from reconciler.render.plans import over_budget_text, plan_text
from reconciler.render.results import result_text
from reconciler.render.verbs import VERBS
from reconciler.render.view import in_repository

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.core.drift import Drift
    from reconciler.core.model import Origin
    from reconciler.core.plan import Plan
    from reconciler.core.result import Result
    from reconciler.errors import Diagnostic
    from reconciler.render.view import View

_MOST = 10
"""So many annotations of one severity does GitHub show of a step."""
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
"""What GitHub calls each severity."""


class Annotation(NamedTuple):
    """One annotation.

    Attributes:
        place: of the properties of the command; empty if it has none.
        line: what the log says if there are too many; empty if it says so anyway.
    """

    severity: Severity
    place: Mapping[str, str]
    title: str
    message: str
    line: str = ""


def plan_github(plan: Plan, view: View) -> Lines:
    """The plan as text, and annotations: an error for what is refused, a warning for a risk.

    A plan over its budget is one error, before all others.
    """
    found = []
    if over := over_budget_text(plan.coverage):
        found.append(Annotation(Severity.ERROR, {}, "over the budget", over))
    for refusal in plan.refusals:
        place = _place(refusal.origin, view)
        message = f"{refusal.address}: {refusal.message}. {refusal.hint}"
        found.append(Annotation(Severity.ERROR, place, f"refused: {refusal.code}", message))
    losses = {loss.address: loss for loss in plan.coverage.losses}
    for change in plan.changes:
        loss = losses.pop(change.address, None)
        fields = [item for item in change.fields if item.sent_with is None]
        risks = {item.cause.value for item in fields} - {Cause.EDIT.value, Cause.RESTORE.value}
        risks |= {*(loss.causes if loss else ())}
        risks |= {"deleted"} if change.action is Action.DELETE else set()
        names = ", ".join(item.field for item in fields)
        what = ": ".join(filter(None, (change.address, names)))
        if risks:
            what = f"{what} ({', '.join(sorted(risks))})"
        severity, verb = Severity.WARNING if risks else Severity.INFO, VERBS[change.action]
        found.append(Annotation(severity, _place(change.origin, view), verb.word, what))
    for loss in losses.values():
        message = f"{loss.address} (id {loss.id}): {', '.join(loss.causes)}"
        found.append(Annotation(Severity.WARNING, {}, "loses monitoring", message))
    text = plan_text(plan, show_requests=view.show_requests, detail=view.detail)
    return _log(text, found)


def drift_github(drift: Drift, _view: View) -> Lines:
    """The drift as text, and a warning for each monitor."""
    found = [("drift", f"{it.address} (id {it.id}): {changed_text(it)}") for it in drift.monitors]
    found += [("unmanaged", stranger_text(item)) for item in drift.unmanaged or ()]
    warnings = [Annotation(Severity.WARNING, {}, title, text) for title, text in found]
    return _log(drift_text(drift), warnings)


def result_github(result: Result, view: View) -> Lines:
    """The result as text, and an error for each change that is not done."""
    errors = [
        Annotation(
            Severity.ERROR,
            _place(item.change.origin, view),
            item.status.value,
            f"{item.change.address}: {item.message or item.status.value}",
        )
        for item in result.outcomes
        if item.status is not Status.DONE
    ]
    return _log(result_text(result), errors)


def findings_github(findings: Sequence[Diagnostic], view: View) -> Lines:
    """Annotations; what is too much for them is text."""
    annotations = []
    for finding in findings:
        path, line, column = finding.position
        place = {"file": in_repository(path, view), "line": str(line), "col": str(column)}
        said = finding.code, finding.message, finding_line(finding)
        annotations.append(Annotation(finding.severity, place, *said))
    return _log(Lines(), annotations)


def plan_outputs(plan: Plan) -> dict[str, str | int]:
    """What later steps may ask of a plan."""
    return {
        "changes": "true" if plan.is_something else "false",
        **plan.counts,
        "unchanged": plan.unchanged,
        "refused": len(plan.refusals),
        "lost": len(plan.coverage.losses),
    }


def drift_outputs(drift: Drift) -> dict[str, str | int]:
    """What later steps may ask of a drift."""
    changes = "true" if drift.is_something else "false"
    counts = {"drifted": len(drift.monitors), "kept": drift.kept}
    return {"changes": changes, **counts, "unmanaged": len(drift.unmanaged or ())}


def result_outputs(result: Result) -> dict[str, str | int]:
    """What later steps may ask of a result."""
    counts: dict[str, str | int] = {status.value: len(result.having(status)) for status in Status}
    return {"changes": "true" if result.outcomes else "false", **counts}


def findings_outputs(findings: Sequence[Diagnostic]) -> dict[str, str | int]:
    """What later steps may ask of findings."""
    return {
        f"{severity.value}s": sum(item.severity is severity for item in findings)
        for severity in Severity
    }


def outputs_text(outputs: Mapping[str, str | int]) -> Lines:
    """What `$GITHUB_OUTPUT` takes: `name=value`, one a line."""
    return Lines("\n".join(f"{name}={printable(str(value))}" for name, value in outputs.items()))


def _place(origin: Origin | None, view: View) -> dict[str, str]:
    if origin is None:
        return {}
    return {"file": in_repository(origin.path, view), "line": str(origin.line)}


def _log(text: Lines, annotations: Sequence[Annotation]) -> Lines:
    """The text with as many annotations as GitHub shows."""
    lines: list[str] = [text] if text else []
    rest: list[str] = []
    for severity in Severity:
        some = [item for item in annotations if item.severity is severity]
        shown = some if len(some) <= _MOST else some[: _MOST - 1]
        name = _COMMANDS[severity]
        for item in shown:
            properties = {**item.place, "title": item.title}
            listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
            lines.append(f"::{name} {listed}::{_data(item.message)}")
        if more := len(some) - len(shown):
            rest += (item.line for item in some[len(shown) :] if item.line)
            lines.append(f"::{name} title={more:,} more::and {more:,} more {name}s: see the log")
    # The only lines of all texts that are meant to be commands; `joined` is for the others.
    return Lines("\n".join([*lines, *([joined(rest)] if rest else [])]))


def _data(text: str) -> str:
    """The text as the data of a command.

    GitHub would turn `%0A` and the like back into controls, so there are none left to escape.
    """
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
