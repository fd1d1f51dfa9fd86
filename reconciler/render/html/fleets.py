"""The fleet as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.report import NO_KIND, NO_LABEL, NO_LOCATION
from reconciler.core.standing import Standing
from reconciler.render.html.page import Number, Tag, filters, page
from reconciler.render.reports import TALLIED
from reconciler.render.text import ago, quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.printable import Lines
    from reconciler.core.report import Monitor, Report, Tally
    from reconciler.render.view import View


class Bar(NamedTuple):
    """One bar of a chart; its width is in hundredths."""

    label: str
    size: int
    width: float


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
    cells: tuple[str, ...]


class Table(NamedTuple):
    """One table.

    Attributes:
        size: of what the table is about.
        left_out: how many lines are not shown.
    """

    title: str
    head: str
    columns: tuple[str, ...]
    lines: tuple[TableLine, ...]
    size: int
    text: str = ""
    foot: tuple[str, ...] = ()
    left_out: int = 0


class MonitorRow(NamedTuple):
    """One monitor; `tokens` are what filters find it by."""

    symbol: str
    tone: str
    address: str
    brief: str
    tags: tuple[Tag, ...]
    facts: tuple[tuple[str, str], ...]
    anchor: str
    tokens: str


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
_MOST_LINES, _MOST_RUNS = 100, 20
_AGES = ((1, "less than a day"), (7, "1 to 7 days"), (30, "7 to 30 days"), (90, "30 to 90 days"))
_OLDER, _UNKNOWN = "more than 90 days", "never, according to the state"
_STANDING, _STATE, _KIND, _LABEL, _LOCATION = "Standing", "State", "Kind", "Label", "Location"


def report_html(report: Report, view: View) -> Lines:
    """The fleet of an account as one page."""
    total = report.total
    facets = [_facets(monitor, report) for monitor in report.monitors]
    found = filters(facets, (_STANDING, _STATE, _KIND, _LABEL, _LOCATION))
    rows = [
        _row(monitor, report, found.of(facet))
        for monitor, facet in zip(report.monitors, facets, strict=True)
    ]
    return page(
        "fleet",
        found,
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
        applied=tuple(_applied(report)),
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
        verb = "is" if total.missing == 1 else "are"
        parts.append(f"{total.missing:,} in manifests {verb} missing from AlertSite")
    if total.orphaned:
        parts.append(f"{quantity(total.orphaned, 'is', 'are')} orphaned")
    if total.drifted:
        parts.append(f"{quantity(total.drifted, 'is', 'are')} not as last applied")
    if not parts:
        return "Nothing is missing, orphaned or drifted."
    text = "; ".join(parts)
    return f"{text}."


def _facts(report: Report, view: View) -> Iterator[tuple[str, str]]:
    yield "Account", str(report.account)
    yield "Read at", report.read_at
    if report.generation.commit:
        yield "Applied commit", str(report.generation)
    if view.made.run:
        yield "Run", view.made.run
    total = report.total
    yield (
        "Cost",
        (f"{total.measurements:,.0f} measurements and {total.credits:,.1f} credits per day"),
    )


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


def _applied(report: Report) -> Iterator[Bar]:
    """How many managed monitors were last applied how long ago."""
    counts = dict.fromkeys((*(words for _, words in _AGES), _OLDER, _UNKNOWN), 0)
    for monitor in report.monitors:
        if monitor.standing in {Standing.MANAGED, Standing.ORPHANED}:
            counts[_age_words(monitor.applied_age)] += 1
    most = max(counts.values())
    if most:
        for words, count in counts.items():
            yield Bar(words, count, _width(count, most))


def _age_words(seconds: int | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return next((words for days, words in _AGES if seconds < days * _DAY), _OLDER)


def _tables(report: Report, total: Tally) -> Iterator[Table]:
    yield _table("By kind", "kind", report.by_kind(), total)
    places = {_place_name(report, number): tally for number, tally in report.by_location().items()}
    yield _table(
        "Coverage by location",
        "location",
        places,
        None,
        "A monitor counts at each of its locations; measurements are those made there.",
    )
    yield _table(
        "Cost by region",
        "region",
        report.by_region(),
        None,
        "Per day. AlertSite counts 0.5 credits for a measurement from the US and Canada and 1.0 "
        "from elsewhere.",
        columns=("monitors", "measurements", "credits"),
    )
    labels = report.by_label()
    if set(labels) != {NO_LABEL}:
        text = "A monitor counts at each of its labels."
        yield _table("By label", "label", labels, None, text)
    if report.runs:
        most = max(run.monitors for run in report.runs)
        lines = tuple(
            TableLine(run.run, _width(run.monitors, most), (run.at, f"{run.monitors:,}"))
            for run in report.runs[:_MOST_RUNS]
        )
        yield Table(
            "Runs",
            "run",
            ("last applied", "monitors"),
            lines,
            len(report.runs),
            "Each with the monitors that no later run has applied.",
            left_out=max(0, len(report.runs) - _MOST_RUNS),
        )


def _table(
    title: str,
    head: str,
    tallies: Mapping[str, Tally],
    foot: Tally | None = None,
    text: str = "",
    columns: tuple[str, ...] = _COLUMNS,
) -> Table:
    most = max((tally.monitors for tally in tallies.values()), default=0)
    columns = tuple(
        name
        for name in columns
        if name not in _RARE or any(getattr(tally, name) for tally in tallies.values())
    )
    lines = [
        TableLine(name, _width(tally.monitors, most), _cells(tally, columns))
        for name, tally in tallies.items()
    ]
    left_out = max(0, len(lines) - _MOST_LINES)
    return Table(
        title,
        head,
        columns,
        tuple(lines[:_MOST_LINES]),
        len(lines),
        text,
        () if foot is None else _cells(foot, columns),
        left_out,
    )


def _cells(tally: Tally, columns: Iterable[str] = _COLUMNS) -> tuple[str, ...]:
    return tuple(
        f"{value:,.1f}" if name == "credits" else f"{value:,.0f}"
        for name in columns
        for value in (getattr(tally, name),)
    )


def _width(count: float, most: float) -> float:
    return round(100 * count / most, 2) if most else 0.0


def _place_name(report: Report, number: int | None) -> str:
    if number is None:
        return NO_LOCATION
    name = report.locations[number].name
    return f"{name} ({number})" if name else str(number)


def _facets(monitor: Monitor, report: Report) -> dict[str, list[str]]:
    states = {
        "drifted": monitor.is_drifted,
        "disabled": monitor.is_disabled,
        "protected": monitor.is_protected,
    }
    return {
        _STANDING: [monitor.standing.value],
        _STATE: [name for name, is_so in states.items() if is_so],
        _KIND: [monitor.kind or NO_KIND],
        _LABEL: [f"{name}={value}" for name, value in monitor.labels.items()],
        _LOCATION: [_place_name(report, number) for number in monitor.locations],
    }


def _row(monitor: Monitor, report: Report, tokens: str) -> MonitorRow:
    symbol, tone = _TONES[monitor.standing]
    address = monitor.address or f"{monitor.kind or NO_KIND}/{monitor.id}"
    return MonitorRow(
        symbol,
        tone,
        address,
        monitor.name,
        tuple(_tags(monitor)),
        tuple(_about(monitor, report)),
        f"{address}-{monitor.id}" if monitor.standing is Standing.ORPHANED else address,
        tokens,
    )


def _tags(monitor: Monitor) -> Iterator[Tag]:
    if monitor.standing is not Standing.MANAGED:
        yield Tag(monitor.standing.value, _TONES[monitor.standing][1])
    if monitor.is_drifted:
        yield Tag("drifted", "drift")
    if monitor.is_disabled:
        yield Tag("disabled", "change")
    if monitor.is_protected:
        yield Tag("protected")


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
