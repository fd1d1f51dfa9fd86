"""What the rows of pages about changes are made of: their fields, before and after."""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.diff import Cause
from reconciler.core.grouping import set_change
from reconciler.core.plan import Action
from reconciler.render.text import value_text
from reconciler.render.values import named, shown_element, shown_member
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.core.diff import FieldChange
    from reconciler.core.grouping import SetChange
    from reconciler.render.html.page import Tag
    from reconciler.render.values import Names

SYMBOLS = {action: (VERBS[action].symbol, VERBS[action].word) for action in Action}
CAUSES = {
    Cause.EDIT: "",
    Cause.DRIFT: "drift: changed in AlertSite",
    Cause.NOT_KEPT: "not kept: AlertSite has not shown it since",
}
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
        tokens: what filters find it by.
        rows: the changes that are alike; none of one monitor.
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
    tokens: str = ""
    is_open: bool = False
    rows: tuple[Row, ...] = ()


class Section(NamedTuple):
    """Rows below a heading; `size` is of changes, not of rows."""

    title: str
    size: int
    items: tuple[Row, ...]


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


def line(field: FieldChange, action: Action, names: Names) -> Line:
    """A field that a change sends."""
    name, why = field.field, _why(field)
    if field.sent_with is not None:
        text = f"{named(name, None, field.after, names)} (unchanged, sent with {field.sent_with})"
        return Line(name, text=text)
    if field.source is not None:
        word = "secret" if action is Action.CREATE else "changed"
        return Line(name, text=f"{word} (source {field.source})", why=why)
    before = None if action is Action.CREATE else named(name, None, field.before, names)
    if found := set_change(field):
        return Line(name, items=tuple(_set_items(name, found, names)), why=why)
    if field.set_key is not None and isinstance(field.after, list) and field.before is None:
        items = tuple(
            Item("+", None, shown_element(name, field.set_key, element, names))
            if isinstance(element, dict) and field.set_key in element
            else Item("+", None, value_text(element))
            for element in field.after
        )
        return Line(name, items=items, why=why)
    if field.cause is Cause.UNSETTLED:
        return Line(name, after=named(name, None, field.after, names), why=why)
    if field.leaves:
        items = tuple(
            Item(
                "+" if leaf.before is None else "-" if leaf.after is None else "~",
                None if leaf.before is None else value_text(leaf.before),
                None if leaf.after is None else value_text(leaf.after),
                leaf.path.removeprefix(name),
            )
            for leaf in field.leaves
        )
        return Line(name, items=items, why=why)
    return Line(name, before, named(name, None, field.after, names), why=why)


def brief(lines: Iterable[Line]) -> str:
    """The fields of a change in one line."""
    return ", ".join(filter(None, map(_brief, lines)))


def command(base: str, address: str) -> str:
    """What applies just one address: quoted for a shell, and no glob."""
    if not base:
        return ""
    pattern = re.sub(r"([*?[])", r"[\1]", address)
    return f"{base} --target {quote(pattern)}"


def _brief(found: Line) -> str:
    if found.text:
        return f"{found.field} {found.text}" if "unchanged" not in found.text else ""
    parts = [
        " ".join(filter(None, (item.label, _arrow(item.before, item.after, item.symbol))))
        for item in found.items
    ]
    text = " ".join(parts) or _arrow(found.before, found.after)
    return f"{found.field} {text}" if len(text) <= _BRIEF else found.field


def _arrow(before: str | None, after: str | None, symbol: str = "") -> str:
    if before is not None and after is not None:
        return f"{before} → {after}"
    return f"{symbol} {after if before is None else before}".strip()


def _set_items(name: str, found: SetChange, names: Names) -> Iterator[Item]:
    for element in found.removed:
        yield Item("-", shown_element(name, found.key, element, names), None)
    for element in found.added:
        yield Item("+", None, shown_element(name, found.key, element, names))
    for change in found.changed:
        before, after = (
            None if value is None else shown_member(name, change.member, value, names)
            for value in (change.before, change.after)
        )
        label = named(name, found.key, change.element[found.key], names)
        yield Item("~", before, after, label)


def _why(field: FieldChange) -> str:
    words = CAUSES.get(field.cause)
    if field.cause is Cause.RESTORE:
        words = f"restore: its value before run {field.before_run}"
    elif words is None and field.cause is Cause.BOTH:
        words = f"both: changed here and in AlertSite, last applied {value_text(field.applied)}"
    elif words is None:
        words = f"sent again: {value_text(field.applied)} was sent last and may not show yet"
    return "; ".join(filter(None, (f"default, {field.default}" if field.default else "", words)))
