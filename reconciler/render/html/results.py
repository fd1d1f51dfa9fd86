"""The result of an apply as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.plan import Action
from reconciler.core.result import Status
from reconciler.render.html.page import Number, Tag, filters, page
from reconciler.render.html.plans import facts
from reconciler.render.html.rows import (
    SYMBOLS,
    Alert,
    Line,
    Remark,
    Row,
    Section,
    brief,
    line,
)
from reconciler.render.text import quantity, value_text
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.printable import Lines
    from reconciler.core.result import Outcome, Result
    from reconciler.render.view import View

_OUTCOME, _ACTION, _CAUSE, _LABEL = "Outcome", "Action", "Cause", "Label"


def result_html(result: Result, view: View) -> Lines:
    """The result as one page: what is not done first, and open."""
    facets = [_facets(outcome) for outcome in result.outcomes]
    found = filters(facets, (_OUTCOME, _ACTION, _CAUSE, _LABEL))
    rows = [
        (outcome, _row(outcome, found.of(facet)))
        for outcome, facet in zip(result.outcomes, facets, strict=True)
    ]
    left = tuple(row for outcome, row in rows if outcome.status is not Status.DONE)
    done = tuple(row for outcome, row in rows if outcome.status is Status.DONE)
    made = view.made._replace(
        run=result.run or view.made.run,
        commit=str(result.generation) if result.generation.commit else view.made.commit,
    )
    verdict = _verdict(result, len(left))
    return page(
        "changes",
        found,
        title=verdict,
        kicker=f"Apply to {result.account}",
        verdict=verdict,
        lead="",
        numbers=(
            *(
                Number(result.counts[action], VERBS[action].done, VERBS[action].word)
                for action in Action
            ),
            Number(len(left), "not done", "destroy"),
        ),
        facts=tuple(facts(made, str(result.account))),
        version=view.made.version,
        alerts=tuple(_alerts(result)),
        sections=tuple(
            Section(title, len(items), items)
            for title, items in (("Not done", left), ("Done", done))
            if items
        ),
        noun="changes",
        command="",
        notes={},
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
        addresses = {outcome.change.address for outcome in result.outcomes}
        items = tuple(
            Remark(
                loss.address,
                ", ".join(loss.causes),
                loss.address if loss.address in addresses else "",
            )
            for loss in result.losses
        )
        yield Alert("", f"{who} lost monitoring, or may have", (), items)


def _facets(outcome: Outcome) -> dict[str, list[str]]:
    change = outcome.change
    causes = dict.fromkeys(field.cause.value for field in change.fields if field.sent_with is None)
    return {
        _OUTCOME: [outcome.status.value.replace("-", " ")],
        _ACTION: [change.action.value],
        _CAUSE: list(causes),
        _LABEL: [f"{name}={value}" for name, value in change.labels.items()],
    }


def _row(outcome: Outcome, tokens: str) -> Row:
    change = outcome.change
    symbol, tone = SYMBOLS[change.action]
    is_done = outcome.status is Status.DONE
    lines = tuple(line(field, change.action, {}) for field in change.fields)
    where = (f"id {outcome.id}" if outcome.id is not None else "", str(change.origin or ""))
    return Row(
        symbol if is_done else "!",
        tone if is_done else "destroy",
        change.address,
        brief(lines) if is_done else "",
        () if is_done else (Tag(outcome.status.value.replace("-", " "), "destroy"),),
        outcome.message,
        lines=tuple(_differing(outcome)) or lines,
        meta=tuple(filter(None, where)),
        anchor=change.address,
        tokens=tokens,
        is_open=not is_done,
    )


def _differing(outcome: Outcome) -> Iterator[Line]:
    """The fields that are not as they were to be."""
    for word, fields in (("sent", outcome.not_kept), ("planned", outcome.moved)):
        for field in fields:
            said = "not sent; the manifest has" if field in outcome.unsent else word
            text = f"{said} {value_text(field.after)}, AlertSite has {value_text(field.before)}"
            yield Line(field.field, text=text)
