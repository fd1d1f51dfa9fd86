"""What the rows of pages about changes are made of: their fields, before and after."""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import Cause
from reconciler.core.grouping import set_change
from reconciler.core.model import elements_by_key
from reconciler.core.plan import Action
from reconciler.render.html.page import page
from reconciler.render.text import value_text
from reconciler.render.values import named, shown_element, shown_member, shown_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.diff import FieldChange
    from reconciler.core.model import Account
    from reconciler.core.printable import Lines
    from reconciler.render.html.page import Number, Tag
    from reconciler.render.values import Names
    from reconciler.render.view import Made

_BRIEF = 60
"""Characters of a value that stand in the line of a change; its table has all of it."""


class Item(NamedTuple):
    """One part of a value that differs; None means "not there"."""

    symbol: str
    before: str | None
    after: str | None
    label: str = ""


class Line(NamedTuple):
    """One field of a change.

    Attributes:
        text: what stands there if it has no value to be shown.
        items: the parts that differ, in place of the whole.
        why: the cause, unless it was simply edited in its manifest.
    """

    field: str
    before: str | None = None
    after: str | None = None
    text: str = ""
    items: tuple[Item, ...] = ()
    why: str = ""


class Row(NamedTuple):
    """One monitor and what becomes or became of it, or changes that are alike.

    Attributes:
        address: of the monitor; of changes that are alike, how many there are.
        brief: the change in few words.
        meta: where it stands, and its id.
        command: what applies just this; empty if nothing does.
        anchor: what a link names it by; empty if it has none.
        facets: what filters find it by.
        rows: the changes that are alike; none of one monitor.
        facts: what is known of the monitor.
    """

    symbol: str
    tone: str
    address: str
    brief: str = ""
    tags: tuple[Tag, ...] = ()
    message: str = ""
    hint: str = ""
    lines: tuple[Line, ...] = ()
    meta: tuple[str, ...] = ()
    command: str = ""
    anchor: str = ""
    facets: Mapping[str, Iterable[str]] = {}
    is_open: bool = False
    rows: tuple[Row, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


class Section(NamedTuple):
    """Rows below a heading."""

    title: str
    items: Sequence[Row]

    @property
    def rows(self) -> list[Row]:
        """The row of each change, whether it is shown alone or with others."""
        return [row for item in self.items for row in item.rows or (item,)]


class Remark(NamedTuple):
    """A line about one monitor; `anchor` leads to its row, if it has one."""

    head: str
    text: str
    anchor: str = ""


class Alert(NamedTuple):
    """What is to be read before all else; so many `more` items are left out."""

    tone: str
    head: str
    texts: tuple[str, ...] = ()
    items: tuple[Remark, ...] = ()
    more: int = 0


def changes_page(
    sections: Iterable[Section],
    made: Made,
    *,
    account: Account,
    kicker: str,
    verdict: str,
    numbers: Iterable[Number],
    digest: str = "",
    title: str = "",
    lead: str = "",
    alerts: Iterable[Alert] = (),
    noun: str = "changes",
    command: str = "",
    notes: Mapping[str, Sequence[str]] = {},
) -> Lines:
    """A page about changes; sections without any are left out."""
    shown = [section for section in sections if section.items]
    facts = {
        "Account": str(account),
        "Commit": made.commit,
        "Run": made.run,
        "Read at": made.read_at,
        "Digest": digest,
    }
    return page(
        "changes",
        [row.facets for section in shown for row in section.rows if row.facets],
        title=title or verdict,
        kicker=f"{kicker} {account}",
        verdict=verdict,
        lead=lead,
        numbers=tuple(numbers),
        facts=[(name, text) for name, text in facts.items() if text],
        version=made.version,
        alerts=tuple(alerts),
        sections=shown,
        noun=noun,
        command=command,
        notes=notes,
    )


def line(field: FieldChange, action: Action, names: Names) -> Line:
    """A field that a change sends."""
    name = field.field
    after = shown_value(field, field.after, names)
    if field.sent_with is not None:
        return Line(name, text=f"{after} (unchanged, sent with {field.sent_with})")
    why = _why(field)
    if field.source is not None:
        word = "secret" if action is Action.CREATE else "changed"
        return Line(name, text=f"{word} (source {field.source})", why=why)
    if items := _items(field, names):
        return Line(name, items=items, why=why)
    if action is Action.CREATE or field.cause is Cause.UNSETTLED:
        return Line(name, after=after, why=why)
    return Line(name, shown_value(field, field.before, names), after, why=why)


def _items(field: FieldChange, names: Names) -> tuple[Item, ...]:
    """The parts of a set or a structured value that differ; none if it is shown as a whole."""
    name = field.field
    if found := set_change(field):
        gone = [shown_element(name, found.key, element, names) for element in found.removed]
        come = [shown_element(name, found.key, element, names) for element in found.added]
        changed = []
        for change in found.changed:
            before, after = (
                None if value is None else shown_member(name, change.member, value, names)
                for value in (change.before, change.after)
            )
            label = named(name, found.key, change.element[found.key], names)
            changed.append(Item("~", before, after, label))
        return (*(Item("-", text, None) for text in gone), *map(_added, come), *changed)
    if field.set_key is not None and isinstance(field.after, list) and field.before is None:
        elements = elements_by_key(field.after, field.set_key) or {}
        come = [shown_element(name, field.set_key, it, names) for it in elements.values()]
        return tuple(map(_added, come))
    if not field.leaves or field.cause is Cause.UNSETTLED:
        return ()
    return tuple(
        Item(
            "+" if leaf.before is None else "-" if leaf.after is None else "~",
            None if leaf.before is None else value_text(leaf.before),
            None if leaf.after is None else value_text(leaf.after),
            leaf.path.removeprefix(name),
        )
        for leaf in field.leaves
    )


def _added(text: str) -> Item:
    return Item("+", None, text)


def brief(lines: Iterable[Line]) -> str:
    """The fields of a change in one line."""
    found = []
    for line in lines:
        if line.text:
            found += [] if "unchanged" in line.text else [f"{line.field} {line.text}"]
            continue
        parts = (f"{it.label} {_arrow(it.before, it.after, it.symbol)}" for it in line.items)
        text = " ".join(map(str.strip, parts)) or _arrow(line.before, line.after)
        found.append(f"{line.field} {text}" if len(text) <= _BRIEF else line.field)
    return ", ".join(found)


def command(base: str, address: str) -> str:
    """What applies just one address: quoted for a shell, and no glob."""
    if not base:
        return ""
    pattern = re.sub(r"([*?[])", r"[\1]", address)
    return f"{base} --target {quote(pattern)}"


def _arrow(before: str | None, after: str | None, symbol: str = "") -> str:
    if before is not None and after is not None:
        return f"{before} → {after}"
    return f"{symbol} {after if before is None else before}".strip()


def _why(field: FieldChange) -> str:
    words = ""
    match field.cause:
        case Cause.DRIFT:
            words = "drift: changed in AlertSite"
        case Cause.NOT_KEPT:
            words = "not kept: AlertSite has not shown it since"
        case Cause.RESTORE:
            words = f"restore: its value before run {field.before_run}"
        case Cause.BOTH:
            words = f"both: changed here and in AlertSite, last applied {value_text(field.applied)}"
        case Cause.UNSETTLED:
            words = f"sent again: {value_text(field.applied)} was sent last and may not show yet"
    return "; ".join(filter(None, (f"default, {field.default}" if field.default else "", words)))
