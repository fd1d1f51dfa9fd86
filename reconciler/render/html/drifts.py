"""Drift as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.grouping import FOLDED_ABOVE, drift_groups
from reconciler.render.drifts import NEXT, lost_text, unmanaged_text
from reconciler.render.html.page import Number, Tag, filters, page
from reconciler.render.html.plans import facts
from reconciler.render.html.rows import Alert, Line, Row, Section, brief
from reconciler.render.text import quantity, value_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.drift import Drift, Drifted
    from reconciler.core.grouping import DriftGroup
    from reconciler.core.printable import Lines
    from reconciler.render.view import View

_WHAT, _KIND, _LOST, _FIELD = "What", "Kind", "Coverage", "Field"
_CHANGED, _DELETED = "changed", "deleted"


def drift_html(drift: Drift, view: View) -> Lines:
    """The drift as one page."""
    facets = [_facets(monitor) for monitor in drift.monitors]
    found = filters(facets, (_WHAT, _KIND, _LOST, _FIELD))
    is_short = len(drift.monitors) <= FOLDED_ABOVE
    by_address = {
        monitor.address: _row(monitor, found.of(facet))._replace(is_open=is_short)
        for monitor, facet in zip(drift.monitors, facets, strict=True)
    }
    rows = tuple(_fold(group, by_address) for group in drift_groups(drift.monitors))
    sizes = {"Drift": len(drift.monitors)}
    strangers = tuple(
        Row(
            "+",
            "drift",
            item.name or "(no name)",
            unmanaged_text(item),
            meta=(f"id {item.id}",),
            anchor=f"monitor-{item.id}",
        )
        for item in drift.unmanaged or ()
    )
    deleted = sum(not monitor.fields for monitor in drift.monitors)
    count = len(drift.monitors)
    verdict = "No drift"
    if count:
        verdict = f"{quantity(count, 'monitor is', 'monitors are')} not as last applied"
    return page(
        "changes",
        found,
        title="Drift" if count else "No drift",
        kicker=f"Drift of {drift.account}",
        verdict=verdict,
        lead=f"Changes made in AlertSite since the last apply. {NEXT}" if count else "",
        numbers=(
            Number(count - deleted, _CHANGED, "drift"),
            Number(deleted, _DELETED, "destroy"),
            Number(drift.kept, "as last applied"),
            Number(count + drift.kept, "monitors known"),
        ),
        facts=tuple(facts(view.made, str(drift.account))),
        version=view.made.version,
        alerts=(Alert("bad", lost),) if (lost := lost_text(drift.monitors)) else (),
        sections=tuple(
            Section(name, sizes.get(name, len(found_rows)), found_rows)
            for name, found_rows in (("Drift", rows), ("New, without a manifest", strangers))
            if found_rows
        ),
        noun="monitors",
        command="",
        notes={},
    )


def _facets(monitor: Drifted) -> dict[str, list[str]]:
    return {
        _WHAT: [_CHANGED if monitor.fields else _DELETED],
        _KIND: [monitor.address.partition("/")[0]],
        _LOST: list(monitor.causes),
        _FIELD: [field.field for field in monitor.fields],
    }


def _row(monitor: Drifted, tokens: str) -> Row:
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
        tokens=tokens,
    )


def _fold(group: DriftGroup, rows: Mapping[str, Row]) -> Row:
    """The row of one monitor, or those of many that drifted alike as one."""
    members = tuple(rows[item.address] for item in group.monitors)
    first = members[0]
    if len(members) == 1:
        return first
    counts = [f"{number:,} {kind}" for kind, number in group.by_kind().items()]
    return first._replace(
        address=f"{len(members):,} monitors",
        tags=(*first.tags, Tag(", ".join(counts))),
        meta=(),
        anchor="",
        tokens=" ".join(sorted({token for row in members for token in row.tokens.split()})),
        rows=members,
    )
