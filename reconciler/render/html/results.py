"""The result of an apply as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.plan import Action
from reconciler.core.result import Status
from reconciler.render.html.page import Number, Tag
from reconciler.render.html.rows import (
    Alert,
    Line,
    Remark,
    Row,
    Section,
    brief,
    changes_page,
    line,
)
from reconciler.render.results import status_word
from reconciler.render.text import quantity, value_text
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.printable import Lines
    from reconciler.core.result import Outcome, Result
    from reconciler.render.view import View


def result_html(result: Result, view: View) -> Lines:
    """The result as one page: what is not done first, and open."""
    left = [_row(item) for item in result.outcomes if item.status is not Status.DONE]
    done = [_row(item) for item in result.having(Status.DONE)]
    verbs = [(result.counts[action], VERBS[action]) for action in Action]
    return changes_page(
        [Section("Not done", left), Section("Done", done)],
        view.made._replace(
            run=result.run or view.made.run,
            commit=str(result.generation) if result.generation.commit else view.made.commit,
        ),
        account=result.account,
        kicker="Apply to",
        verdict=_verdict(result, len(left)),
        numbers=(
            *(Number(count, verb.done, verb.word) for count, verb in verbs),
            Number(len(left), "not done", "destroy"),
        ),
        alerts=_alerts(result),
    )


def _verdict(result: Result, left: int) -> str:
    total = len(result.outcomes)
    if result.interrupted:
        return f"Interrupted: {total - left:,} of {total:,} changes are done"
    if left:
        return f"{left:,} of {total:,} changes {'is' if left == 1 else 'are'} not done"
    if not total:
        return "No changes were needed"
    return "The change is done" if total == 1 else f"All {total:,} changes are done"


def _alerts(result: Result) -> Iterator[Alert]:
    if not result.is_recorded:
        text = "The next apply determines from AlertSite and the journal what was done."
        yield Alert("bad", "The state could not be saved", (text,))
    if result.losses:
        who = quantity(len(result.losses), "monitor has", "monitors have")
        anchors = {outcome.change.address for outcome in result.outcomes}
        items = tuple(
            Remark(it.address, ", ".join(it.causes), it.address if it.address in anchors else "")
            for it in result.losses
        )
        yield Alert("", f"{who} lost monitoring, or may have", (), items)


def _row(outcome: Outcome) -> Row:
    change, verb = outcome.change, VERBS[outcome.change.action]
    is_done = outcome.status is Status.DONE
    status = status_word(outcome.status)
    lines = tuple(line(field, change.action, {}) for field in change.fields)
    causes = dict.fromkeys(field.cause.value for field in change.fields if field.sent_with is None)
    where = (f"id {outcome.id}" if outcome.id is not None else "", str(change.origin or ""))
    return Row(
        verb.symbol if is_done else "!",
        verb.word if is_done else "destroy",
        change.address,
        brief(lines) if is_done else "",
        () if is_done else (Tag(status, "destroy"),),
        outcome.message,
        lines=tuple(_differing(outcome)) or lines,
        meta=tuple(filter(None, where)),
        anchor=change.address,
        facets={
            "Outcome": [status],
            "Action": [change.action.value],
            "Cause": list(causes),
            "Label": [f"{name}={value}" for name, value in change.labels.items()],
        },
        is_open=not is_done,
    )


def _differing(outcome: Outcome) -> Iterator[Line]:
    """The fields that are not as they were to be."""
    for word, fields in (("sent", outcome.not_kept), ("planned", outcome.moved)):
        for field in fields:
            said = "not sent; the manifest has" if field in outcome.unsent else word
            text = f"{said} {value_text(field.after)}, AlertSite has {value_text(field.before)}"
            yield Line(field.field, text=text)
