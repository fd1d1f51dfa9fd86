"""Drift as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.grouping import FOLDED_ABOVE, drift_groups
from reconciler.render.drifts import NEXT, lost_text, unmanaged_text
from reconciler.render.html.page import Number, Tag
from reconciler.render.html.rows import Alert, Line, Row, Section, brief, changes_page
from reconciler.render.text import quantity, value_text

if TYPE_CHECKING:
    from reconciler.core.drift import Drift, Drifted
    from reconciler.core.grouping import DriftGroup
    from reconciler.core.printable import Lines
    from reconciler.render.view import View

_CHANGED, _DELETED = "changed", "deleted"


def drift_html(drift: Drift, view: View) -> Lines:
    """The drift as one page."""
    count = len(drift.monitors)
    is_short = count <= FOLDED_ABOVE
    rows = [_fold(group, is_open=is_short) for group in drift_groups(drift.monitors)]
    strangers = [
        Row(
            "+",
            "drift",
            item.name or "(no name)",
            unmanaged_text(item),
            meta=(f"id {item.id}",),
            anchor=f"monitor-{item.id}",
        )
        for item in drift.unmanaged or ()
    ]
    deleted = sum(not monitor.fields for monitor in drift.monitors)
    lost = lost_text(drift.monitors)
    are = quantity(count, "monitor is", "monitors are")
    return changes_page(
        [Section("Drift", rows), Section("New, without a manifest", strangers)],
        view.made,
        account=drift.account,
        kicker="Drift of",
        title="Drift" if count else "No drift",
        verdict=f"{are} not as last applied" if count else "No drift",
        lead=f"Changes made in AlertSite since the last apply. {NEXT}" if count else "",
        numbers=(
            Number(count - deleted, _CHANGED, "drift"),
            Number(deleted, _DELETED, "destroy"),
            Number(drift.kept, "as last applied"),
            Number(count + drift.kept, "monitors known"),
        ),
        alerts=[Alert("bad", lost)] if lost else (),
        noun="monitors",
    )


def _row(monitor: Drifted, *, is_open: bool) -> Row:
    lines = tuple(
        Line(field.field, value_text(field.before), value_text(field.after))
        for field in monitor.fields
    )
    return Row(
        "~" if lines else "-",
        "drift" if lines else "destroy",
        monitor.address,
        brief(lines) or "deleted in AlertSite",
        (
            *(Tag(f"lost: {cause}", "destroy") for cause in monitor.causes),
            *(() if lines else (Tag(_DELETED, "destroy"),)),
        ),
        "" if lines else "Deleted in AlertSite.",
        lines=lines,
        meta=(f"id {monitor.id}", f"applied {monitor.applied_at} by run {monitor.run}"),
        anchor=monitor.address,
        facets={
            "What": [_CHANGED if lines else _DELETED],
            "Kind": [monitor.address.partition("/")[0]],
            "Coverage": monitor.causes,
            "Field": [field.field for field in monitor.fields],
        },
        is_open=is_open,
    )


def _fold(group: DriftGroup, *, is_open: bool) -> Row:
    """The row of one monitor, or those of many that drifted alike as one."""
    members = tuple(_row(item, is_open=is_open) for item in group.monitors)
    first = members[0]
    if len(members) == 1:
        return first
    counts = [f"{number:,} {kind}" for kind, number in group.by_kind().items()]
    return first._replace(
        address=f"{len(members):,} monitors",
        tags=(*first.tags, Tag(", ".join(counts))),
        meta=(),
        anchor="",
        rows=members,
    )
