"""Kinds, fields and codes, explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.cost import credits_of
from reconciler.core.fields import ELEMENT
from reconciler.core.lint.codes import CODES
from reconciler.core.printable import Lines, joined
from reconciler.core.report import REGIONS
from reconciler.render.text import aligned, quantity, some, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.core.fields import Described
    from reconciler.core.model import JSON
    from reconciler.core.names import Member

_DISABLING = """\
A comment after a value disables codes for that value; after kind: or metadata:, for the whole
manifest. Text after the codes is a comment:
  notify_on_error: false  # reconciler: disable=silenced,disabled the service desk watches it"""
_MOST = 10
"""So many monitors are named."""
_PAGES = "https://support.smartbear.com/alertsite/docs/"


def kind_text(schema: Mapping[str, JSON], fields: Sequence[Described]) -> Lines:
    """A kind with a line for each of its fields: `*` required, `-` set by AlertSite."""
    rows = []
    for field in fields:
        if ELEMENT not in field.path:
            mark = "-" if field.is_read_only else "*" if field.is_required else " "
            first = field.words.summary.partition(". ")[0].removesuffix(".")
            unit = f" ({field.words.unit})" if field.words.unit else ""
            rows.append((f"{mark} {field.name}", field.type, f"{first}{unit}"))
    legend = "* required    - set by AlertSite; not allowed in a manifest"
    return joined([schema["title"], "", schema["description"], "", *aligned(rows), "", legend])


def field_text(found: Mapping[str, Described]) -> Lines:
    """All that schemas say of one field, by kind; once of all kinds that say the same."""
    kinds: list[tuple[Described, list[str]]] = []
    for kind, field in found.items():
        same = next((names for other, names in kinds if other == field), None)
        if same is None:
            kinds.append((field, [kind]))
        else:
            same.append(kind)
    lines: list[str] = []
    for field, names in kinds:
        rows = [f"  {line}" for line in aligned([row for row in _rows(field) if row[1]])]
        title = f"{', '.join(names)}: {field.name}"
        lines += ["", title, "", f"  {field.words.summary}", "", *rows]
    return joined(lines[1:])


def subjects_text(documents: Mapping[str, Mapping[str, JSON]]) -> Lines:
    """What can be explained: every kind with its title, and the other subjects."""
    rows = [
        (kind, str(schema["title"]).removesuffix(f" ({kind})"))
        for kind, schema in documents.items()
    ]
    rows += [
        (
            "FIELD, KIND.FIELD",
            "a field of all kinds or of one, such as interval or email-smtp.port",
        ),
        ("lint", "every lint code; or name one, such as wrong-port"),
        ("location [ID]", "what the monitors of the account say about a location"),
        ("property [ID]", "what the monitors of the account say about a custom property"),
    ]
    return joined(aligned(rows))


def codes_text() -> Lines:
    """Every code of lint, with its severity and meaning."""
    lines = aligned([(name, code.severity, code.meaning) for name, code in CODES.items()])
    return joined([*lines, "", *_DISABLING.split("\n")])


def code_text(name: str) -> Lines:
    """One code of lint."""
    code = CODES[name]
    return joined([f"{name} ({code.severity})", "", f"  {code.meaning}"])


def members_text(members: Sequence[Member]) -> Lines:
    """A line for each location or property: its id, its name and how many monitors have it."""
    rows = [
        (str(item.id), _named(item), quantity(len(item.monitors), "monitor")) for item in members
    ]
    return joined(aligned(rows) if rows else ["No monitor has one."])


def member_text(noun: str, member: Member) -> Lines:
    """All that monitors tell of one location or property."""
    lines = [f"{noun} {member.id}: {_named(member)}", ""]
    for number in member.regions:
        price, name = credits_of(number), REGIONS.get(number, "not documented")
        cost = f"{price:g} {'credit' if price == 1 else 'credits'}"
        lines.append(f"  region    {number} ({name}): a measurement costs {cost}")
    lines += [f"  value     {number}: {text}" for number, text in sorted(member.values.items())]
    ids = some([*map(str, member.monitors)], _MOST)
    return joined([*lines, f"  {'monitors':10}{len(member.monitors):,} (id {ids})"])


def _named(member: Member) -> str:
    return " or ".join(member.names) or "(no name)"


def _rows(field: Described) -> Iterator[tuple[str, str]]:
    words = field.words
    reference = ", or a secretRef (if [secrets] in reconciler.toml allows it)"
    yield "type", f"{field.type or 'any'}{reference if field.takes_secret else ''}"
    is_required = "yes" if field.is_required else "no"
    yield "required", "set by AlertSite" if field.is_read_only else is_required
    yield "unit", words.unit
    yield "default", words.default
    yield "allowed", "; ".join(field.limits)
    yield "such as", ", ".join(map(value_text, field.examples))
    yield "each has", ", ".join(field.keys)
    if field.set_key:
        yield "order", f"none: a set, with elements identified by {field.set_key}"
    if field.longer_than:
        yield "longer than", field.longer_than
    yield "sent with", ", ".join(field.send_with)
    yield "certainty", words.certainty
    for page in words.source.split(", ") if words.source else ():
        yield "source", f"{_PAGES}{page}"
