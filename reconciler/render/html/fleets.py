"""The fleet as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.report import NO_KIND, NO_LABEL, NO_LOCATION
from reconciler.core.standing import Standing
from reconciler.render.html.page import Number, Tag, page
from reconciler.render.html.rows import Row
from reconciler.render.reports import TALLIED
from reconciler.render.text import ago, quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.core.printable import Lines
    from reconciler.core.report import Monitor, Report, Tally
    from reconciler.render.view import View


class Part(NamedTuple):
    """One part of a bar, which is 1,000 wide."""

    label: str
    size: int
    x: float
    width: float
    tone: str


class TableLine(NamedTuple):
    """One line of a table; its bar is so many hundredths wide."""

    head: str
    width: float
    cells: Sequence[str]


class Table(NamedTuple):
    """One table; of its lines at most `most` are shown."""

    title: str
    head: str
    columns: Sequence[str]
    lines: Sequence[TableLine]
    text: str = ""
    foot: Sequence[str] = ()
    most: int = 100


_TONES = {
    Standing.MANAGED: ("●", "add"),
    Standing.UNMANAGED: ("○", "soft"),
    Standing.ORPHANED: ("◌", "change"),
    Standing.MISSING: ("✕", "destroy"),
}
_COLUMNS = (*TALLIED, "protected", "measurements", "credits")
_DAY = 24 * 60 * 60
_RARE = ("unmanaged", "orphaned", "missing", "drifted", "disabled", "protected")
"""Columns that a table shows only if they say anything."""
_STATES = {"drifted": "drift", "disabled": "change", "protected": ""}
"""What a monitor may be besides its standing, and how that is coloured."""
_AGES = ((1, "less than a day"), (7, "1 to 7 days"), (30, "7 to 30 days"), (90, "30 to 90 days"))
_OLDER, _UNKNOWN = "more than 90 days", "never, according to the state"


def report_html(report: Report, view: View) -> Lines:
    """The fleet of an account as one page."""
    total = report.total
    rows = [_row(monitor, report) for monitor in report.monitors]
    return page(
        "fleet",
        [row.facets for row in rows],
        title=f"AlertSite fleet: {total.monitors:,} monitors",
        kicker="AlertSite fleet",
        verdict=_verdict(total),
        lead=_lead(total),
        numbers=(
            Number(total.managed, "managed", "add"),
            Number(total.drifted, "drifted", "drift"),
            Number(total.unmanaged, "unmanaged"),
            Number(total.disabled, "disabled", "change"),
        ),
        facts=tuple(_facts(report, view)),
        version=view.made.version,
        standing=tuple(_standing(total)),
        standing_text=", ".join(f"{getattr(total, name):,} {name}" for name in Standing),
        ages=tuple(_ages(report)),
        applied=_applied(report),
        tables=tuple(_tables(report, total)),
        monitors=rows,
    )


def _verdict(total: Tally) -> str:
    if not total.monitors:
        return "There are no email monitors in this account"
    share = total.managed * 100 // total.monitors
    return f"{quantity(total.monitors, 'email monitor')}, {share} % managed by Git"


def _lead(total: Tally) -> str:
    """What needs somebody: the sentence below the verdict."""
    parts = []
    if total.missing:
        are = quantity(total.missing, "in manifests is", "in manifests are")
        parts.append(f"{are} missing from AlertSite")
    if total.orphaned:
        parts.append(f"{quantity(total.orphaned, 'is', 'are')} orphaned")
    if total.drifted:
        parts.append(f"{quantity(total.drifted, 'is', 'are')} not as last applied")
    text = "; ".join(parts) or "Nothing is missing, orphaned or drifted"
    return f"{text}."


def _facts(report: Report, view: View) -> Iterator[tuple[str, str]]:
    yield "Account", str(report.account)
    yield "Read at", report.read_at
    if report.generation.commit:
        yield "Applied commit", str(report.generation)
    if view.made.run:
        yield "Run", view.made.run
    total = report.total
    cost = f"{total.measurements:,.0f} measurements and {total.credits:,.1f} credits per day"
    yield "Cost", cost


def _standing(total: Tally) -> Iterator[Part]:
    """One bar for all monitors; a part that is there is never too narrow to be seen."""
    counts = {standing: getattr(total, standing.value) for standing in Standing}
    widths = {
        standing: max(number * 1000 / sum(counts.values()), 4.0)
        for standing, number in counts.items()
        if number
    }
    scale, x = 1000 / (sum(widths.values()) or 1), 0.0
    for standing, number in counts.items():
        width = widths.get(standing, 0.0) * scale
        yield Part(standing.value, number, round(x, 2), round(width, 2), _TONES[standing][1])
        x += width


def _ages(report: Report) -> Iterator[tuple[str, str]]:
    yield "Last check", f"{report.read_at}: this page"
    if report.saved_at:
        yield "Last apply", f"{report.saved_at}, {ago(report.saved_age)}"
    else:
        yield "Last apply", "none: there is no state"
    if report.runs:
        yield "Last run that changed a monitor", report.runs[0].run
    if report.pending:
        yield "Creates not confirmed", f"{report.pending:,}"
    ages = [monitor.applied_age for monitor in report.monitors if monitor.applied_age is not None]
    if ages:
        yield "Longest without a change", ago(max(ages))


def _applied(report: Report) -> list[TableLine]:
    """How many managed monitors were last applied how long ago."""
    counts = dict.fromkeys((*(words for _, words in _AGES), _OLDER, _UNKNOWN), 0)
    for monitor in report.monitors:
        if monitor.standing not in {Standing.MANAGED, Standing.ORPHANED}:
            continue
        age, words = monitor.applied_age, _UNKNOWN
        if age is not None:
            words = next((words for days, words in _AGES if age < days * _DAY), _OLDER)
        counts[words] += 1
    if not any(counts.values()):
        return []
    return _lines((words, count, (f"{count:,}",)) for words, count in counts.items())


def _tables(report: Report, total: Tally) -> Iterator[Table]:
    yield _table("By kind", "kind", report.by_kind(), "", foot=total)
    places = {_place_name(report, number): tally for number, tally in report.by_location().items()}
    text = "A monitor counts at each of its locations; measurements are those made there."
    yield _table("Coverage by location", "location", places, text)
    text = (
        "Per day. AlertSite counts 0.5 credits for a measurement from the US and Canada and 1.0 "
        "from elsewhere."
    )
    columns = ("monitors", "measurements", "credits")
    yield _table("Cost by region", "region", report.by_region(), text, columns)
    labels = report.by_label()
    if set(labels) != {NO_LABEL}:
        yield _table("By label", "label", labels, "A monitor counts at each of its labels.")
    if report.runs:
        yield Table(
            "Runs",
            "run",
            ("last applied", "monitors"),
            _lines((it.run, it.monitors, (it.at, f"{it.monitors:,}")) for it in report.runs),
            "Each with the monitors that no later run has applied.",
            most=20,
        )


def _table(
    title: str,
    head: str,
    tallies: Mapping[str, Tally],
    text: str,
    columns: Sequence[str] = _COLUMNS,
    foot: Tally | None = None,
) -> Table:
    shown = [
        name
        for name in columns
        if name not in _RARE or any(getattr(tally, name) for tally in tallies.values())
    ]
    lines = ((name, it.monitors, _cells(it, shown)) for name, it in tallies.items())
    return Table(title, head, shown, _lines(lines), text, _cells(foot, shown) if foot else ())


def _cells(tally: Tally, columns: Iterable[str]) -> list[str]:
    return [f"{getattr(tally, name):,.{1 if name == 'credits' else 0}f}" for name in columns]


def _lines(rows: Iterable[tuple[str, int, Sequence[str]]]) -> list[TableLine]:
    """Lines of a table, each with a bar for its number."""
    found = list(rows)
    most = max((number for _, number, _ in found), default=0)
    return [
        TableLine(head, round(100 * number / most, 2) if most else 0.0, cells)
        for head, number, cells in found
    ]


def _place_name(report: Report, number: int | None) -> str:
    if number is None:
        return NO_LOCATION
    name = report.locations[number].name
    return f"{name} ({number})" if name else str(number)


def _row(monitor: Monitor, report: Report) -> Row:
    symbol, tone = _TONES[monitor.standing]
    address = monitor.address or f"{monitor.kind or NO_KIND}/{monitor.id}"
    states = [Tag(name, tone) for name, tone in _STATES.items() if getattr(monitor, f"is_{name}")]
    is_managed = monitor.standing is Standing.MANAGED
    return Row(
        symbol,
        tone,
        address,
        monitor.name,
        (*(() if is_managed else (Tag(monitor.standing.value, tone),)), *states),
        anchor=f"{address}-{monitor.id}" if monitor.standing is Standing.ORPHANED else address,
        facets={
            "Standing": [monitor.standing.value],
            "State": [tag.text for tag in states],
            "Kind": [monitor.kind or NO_KIND],
            "Label": [f"{name}={value}" for name, value in monitor.labels.items()],
            "Location": [_place_name(report, number) for number in monitor.locations],
        },
        facts=tuple(_about(monitor, report)),
    )


def _about(monitor: Monitor, report: Report) -> Iterator[tuple[str, str]]:
    if monitor.id is not None:
        yield "Id", str(monitor.id)
    if monitor.locations:
        yield "Locations", ", ".join(_place_name(report, number) for number in monitor.locations)
    if monitor.labels:
        yield "Labels", ", ".join(f"{name}={value}" for name, value in monitor.labels.items())
    if monitor.measurements is not None:
        yield "Measurements", f"{monitor.measurements:,} per day"
    if monitor.run:
        age = "" if monitor.applied_age is None else f", {ago(monitor.applied_age)}"
        yield "Applied", f"{monitor.applied_at}{age}, by run {monitor.run}"
