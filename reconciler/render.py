"""Plans, results and findings as text and JSON.

Rule: values in, text out; no I/O. The same value gives the same bytes. Colour only repeats what the
words and symbols say.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.errors import ExitCode
from reconciler.plan import Action
from reconciler.result import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.diff import FieldChange, Leaf
    from reconciler.errors import Diagnostic, ReconcilerError
    from reconciler.model import JSON
    from reconciler.plan import Change, Plan, Refusal
    from reconciler.result import Outcome, Result

_SYMBOLS = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-"}
_ESCAPES = {"+": "32", "~": "33", "-": "31", "!": "31", "bold": "1"}
_WORDS = {
    Status.DONE: ("~", "accepted"),
    Status.FAILED: ("!", "failed"),
    Status.NOT_KEPT: ("!", "not kept"),
    Status.UNCONFIRMED: ("!", "unconfirmed"),
    Status.NOT_STARTED: ("!", "not started"),
}


def as_json(value: JSON) -> str:
    """The JSON document that a machine reads: indented, in the given order, UTF-8."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def plan_text(plan: Plan, *, colour: bool = False, show_requests: bool = False) -> str:
    """The plan in Terraform's words: changes, refusals, and the summary as last lines."""
    lines: list[str] = []
    for change in plan.changes:
        lines += _change(change, colour=colour, show_requests=show_requests)
    for refusal in plan.refusals:
        lines += _refusal(refusal, colour=colour)
    lines += _summary(plan, colour=colour)
    return "\n".join(lines)


def result_text(result: Result, *, colour: bool = False) -> str:
    """The result: unless all is done what became of each change, and the summary as last line."""
    done = result.having(Status.DONE)
    lines: list[str] = []
    if len(done) < len(result.outcomes):
        for outcome in result.outcomes:
            lines += _outcome(outcome, colour=colour)
    counts = [
        f"{sum(item.change.action is action for item in done)} {word}"
        for action, word in zip(Action, ("added", "changed", "destroyed"), strict=True)
    ]
    left = [
        f"{len(result.having(status))} {word}"
        for status, (_, word) in _WORDS.items()
        if status is not Status.DONE and result.having(status)
    ]
    head = "Apply incomplete!" if left else "Apply complete!"
    line = f"{head} Resources: {', '.join(counts)}."
    if left:
        line += f" Of {len(result.outcomes)} changes: {len(done)} done, {', '.join(left)}."
        again = any(map(_may_end_better, result.outcomes))
        line += (
            " Run the same command again to finish." if again else " Mend what stands above first."
        )
    return "\n".join([*lines, _paint(line, "bold", colour=colour)])


def outcome_line(outcome: Outcome, number: int, total: int) -> str:
    """One line of progress; the reason for a failure stands in the result."""
    word = _WORDS[outcome.status][1]
    return f"[{number}/{total}] {outcome.change.address}: {word}"


def findings_text(findings: Iterable[Diagnostic]) -> str:
    """One finding a line: `path:line:col: code: message`."""
    return "\n".join(printable(str(finding)) for finding in findings)


def findings_github(findings: Iterable[Diagnostic]) -> str:
    """One workflow command a line, which GitHub shows at the place in the pull request."""
    return "\n".join(
        f"::error file={_escape_property(finding.position.path)},line={finding.position.line},"
        f"col={finding.position.column},title={finding.code}::{_escape_data(finding.message)}"
        for finding in findings
    )


def findings_json(findings: Iterable[Diagnostic]) -> dict[str, JSON]:
    """The findings as `schemas/findings.schema.json` describes them."""
    return {
        "format_version": "1.0",
        "findings": [
            {
                "path": finding.position.path,
                "line": finding.position.line,
                "column": finding.position.column,
                "code": finding.code,
                "message": finding.message,
            }
            for finding in findings
        ],
    }


def error_text(error: ReconcilerError, *, colour: bool = False) -> str:
    """What went wrong and what to do next."""
    text = f"{_paint('Error:', '!', colour=colour)} {printable(str(error))}"
    return f"{text}\n{printable(error.hint)}" if error.hint else text


def _change(change: Change, *, colour: bool, show_requests: bool) -> Iterator[str]:
    symbol = _SYMBOLS[change.action]
    head = f"{symbol} {change.address}"
    yield f"  {_paint(head, symbol, colour=colour)} (id {change.id}, {_place(change)})"
    for field in sorted(change.fields, key=lambda field: field.sent_with is not None):
        yield from _field(field, colour=colour)
    if show_requests:
        yield f"      {change.method} {change.path}"
        yield f"      {_value(change.body)}"
    yield ""


def _field(field: FieldChange, *, colour: bool) -> Iterator[str]:
    if field.sent_with is not None:
        yield f"      {field.field}: {_value(field.after)} (unchanged, sent with {field.sent_with})"
    elif not field.leaves:
        yield f"      {field.field}: {_value(field.before)} → {_value(field.after)}"
    else:
        yield f"      {field.field}:"
        for leaf in field.leaves:
            yield f"        {_leaf(leaf, leaf.path.removeprefix(field.field), colour=colour)}"


def _leaf(leaf: Leaf, path: str, *, colour: bool) -> str:
    if leaf.before is None:
        return _paint(f"+ {path}: {_value(leaf.after)}", "+", colour=colour)
    if leaf.after is None:
        return _paint(f"- {path}: {_value(leaf.before)}", "-", colour=colour)
    line = f"~ {path}: {_value(leaf.before)} → {_value(leaf.after)}"
    return _paint(line, "~", colour=colour)


def _refusal(refusal: Refusal, *, colour: bool) -> Iterator[str]:
    head = _paint(f"! {refusal.address}", "!", colour=colour)
    yield f"  {head} refused: {printable(refusal.message)} ({_place(refusal)})"
    yield f"      {printable(refusal.hint)}"
    yield ""


def _summary(plan: Plan, *, colour: bool) -> Iterator[str]:
    if plan.changes or plan.refusals:
        numbers = [len(plan.having(action)) for action in Action]
        head = "Plan: {} to add, {} to change, {} to destroy.".format(*numbers)
    else:
        head = "No changes."
    line = f"{head} {plan.unchanged} unchanged."
    if plan.refusals:
        line += f" {len(plan.refusals)} refused."
    if plan.excluded:
        line += f" {plan.excluded} not targeted."
    yield _paint(line, "bold", colour=colour)
    if plan.unmanaged:
        noun = "monitor" if plan.unmanaged == 1 else "monitors"
        yield f"{plan.unmanaged} email {noun} in AlertSite without a manifest: never touched."


def _outcome(outcome: Outcome, *, colour: bool) -> Iterator[str]:
    symbol, word = _WORDS[outcome.status]
    word = "done" if outcome.status is Status.DONE else word  # "accepted" until it is read again
    change = outcome.change
    head = _paint(f"{symbol} {change.address}", symbol, colour=colour)
    reason = f": {printable(outcome.message)}" if outcome.message else ""
    yield f"  {head} {word}{reason} ({_place(change)})"
    for field in outcome.not_kept:
        sent, has = _value(field.after), _value(field.before)
        yield f"      {field.field}: sent {sent}, AlertSite has {has}"


def _place(item: Change | Refusal) -> str:
    return printable(str(item.origin))


def _may_end_better(outcome: Outcome) -> bool:
    """Whether the same request may have another outcome next time."""
    if outcome.status in {Status.NOT_STARTED, Status.UNCONFIRMED}:
        return True
    return outcome.status is Status.FAILED and outcome.exit_code is ExitCode.UNAVAILABLE


def _value(value: JSON) -> str:
    """One line of JSON; what is not set says so."""
    if value is None:
        return "(unset)"
    return printable(json.dumps(value, ensure_ascii=False))


def printable(text: str) -> str:
    """The text without the characters that could steer a terminal or break a line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _paint(text: str, style: str, *, colour: bool) -> str:
    return f"\x1b[{_ESCAPES[style]}m{text}\x1b[0m" if colour else text


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
