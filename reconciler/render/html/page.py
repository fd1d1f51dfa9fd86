"""A page as a file of its own, in three layers of which the upper two are optional.

- HTML that reads well bare: some servers of reports strip style and script.
- One style block. It filters by `:has()`, so that needs no script; and what only works with it, the
  filters, is `hidden` without.
- One script of at most 3 KB: search, permalinks, expanding, copying. What needs it is hidden
  without.

Rule: values in, one text out; a page asks nobody for anything. Its policy allows the style and the
script by their hashes, and nothing else. Every text is escaped by Jinja2, and made one printable
line before: `finalize` does that for whatever a template prints, so no template can forget it. The
exceptions are style and script, which no text from outside gets into.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections import Counter
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.printable import Lines, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jinja2 import Environment


class Number(NamedTuple):
    """One of the numbers below the verdict."""

    value: int
    name: str
    tone: str = ""


class Tag(NamedTuple):
    """A word that marks a row."""

    text: str
    tone: str = ""


class Option(NamedTuple):
    """One filter: a name for style and script, and how many rows it leaves."""

    token: str
    label: str
    size: int


class Filter(NamedTuple):
    """Filters of which one is chosen at a time."""

    name: str
    options: tuple[Option, ...]
    left_out: int = 0


class Filters(NamedTuple):
    """All filters of a page.

    Attributes:
        tokens: what a row has to bear, by the name of the filter and the label of its option.
        rows: how many there are to filter.
    """

    filters: tuple[Filter, ...]
    tokens: Mapping[tuple[str, str], str]
    rows: int = 0

    def of(self, facets: Mapping[str, Iterable[str]]) -> str:
        """The tokens of a row, for its `class`."""
        found = (
            self.tokens.get((name, label)) for name, labels in facets.items() for label in labels
        )
        return " ".join(filter(None, found))

    def of_all(self, rows: Iterable[Mapping[str, Iterable[str]]]) -> str:
        """The tokens of rows that are shown as one."""
        return " ".join(sorted({token for facets in rows for token in self.of(facets).split()}))


_MOST = 12
"""So many options a filter has: the most frequent ones. Searching finds the others too."""


_LONG = 500
"""Of so many rows a browser lays out only those that are seen."""


def filters(rows: Iterable[Mapping[str, Iterable[str]]]) -> Filters:
    """The filters that tell rows apart, with their counts; one with a single option tells nothing.

    Of each row it takes, by the name of the filter, the labels of the options that the row fits.
    All rows name the same filters, in the order in which they are shown.
    """
    counts: dict[str, Counter[str]] = {}
    total = 0
    for row in rows:
        total += 1
        for name, labels in row.items():
            counts.setdefault(name, Counter()).update(labels)
    found: list[Filter] = []
    tokens: dict[tuple[str, str], str] = {}
    for name, by_label in counts.items():
        if not by_label or (len(by_label) == 1 and total in by_label.values()):
            continue
        most = sorted(by_label.items(), key=lambda item: (-item[1], item[0]))
        options = []
        for label, count in most[:_MOST]:
            token = tokens[name, label] = f"f{len(tokens)}"
            options.append(Option(token, label, count))
        found.append(Filter(name, tuple(options), len(most) - len(options)))
    return Filters(tuple(found), tokens, total)


def page(template: str, rows: Iterable[Mapping[str, Iterable[str]]], **values: object) -> Lines:
    """The page that a template and its values make, with filters for its rows."""
    found = filters(rows)
    environment = _environment()
    style = _text(environment, "page.css") + _rules(found)
    script = _text(environment, "page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    made = environment.get_template(f"{template}.html").render(
        policy=policy,
        style=style,
        script=script,
        filters=found,
        is_long=found.rows > _LONG,
        **values,
    )
    return Lines(made)


def _rules(found: Filters) -> str:
    """What hides, for each option that is chosen, the rows that do not fit it.

    A browser must look at `:has()` again for whatever comes into its element. So that is the form,
    which has no rows in it: for 10,000 of them this saves half of the time.
    """
    return "\n".join(
        f".filters:has(#{option.token}:checked) ~ * .{kind}:not(.{option.token})"
        " { display: none }"
        for one in found.filters
        for option in one.options
        for kind in ("row", "group")
    )


def _hash(text: str) -> str:
    digest = sha256(text.encode()).digest()
    return f"sha256-{b2a_base64(digest, newline=False).decode()}"


def _text(environment: Environment, name: str) -> str:
    """The text of a part that is no template."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 60 ms, for pages alone

    return Environment(
        loader=PackageLoader("reconciler.render.html"),
        autoescape=True,
        finalize=_safe,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _safe(value: object) -> object:
    """A text as one printable line; what is markup already is of the templates alone."""
    return printable(value) if type(value) is str else value
