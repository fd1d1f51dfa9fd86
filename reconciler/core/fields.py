"""What the schema of a kind says of each field, as values.

Rule: pure; a schema comes in as the JSON that it is. Its descriptions are sentences for people, of
which those that begin with `Unit:`, `Default:` and `Source:` have a meaning of their own. How sure
a field is stands in the sentence before its source.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model import JSON


ELEMENT = "[]"
"""What stands in a path for each element of a list."""
_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z])")
_SECTIONS = ("metadata", "lifecycle", "spec")
_REFERENCE = "#/$defs/secretRef"


class Words(NamedTuple):
    """What a description says; a part that it does not have is empty.

    Attributes:
        summary: what the field is.
        certainty: how sure that is.
        source: pages of the vendor's documentation.
    """

    summary: str
    unit: str
    default: str
    certainty: str
    source: str


class Described(NamedTuple):
    """A field, as its schema describes it.

    Attributes:
        path: the keys that lead to it, and `ELEMENT`.
        type: JSON's name of its type, that of the elements included; empty if any value fits.
        limits: what is allowed beside the type, as phrases.
        examples: values that it may have; others are allowed too.
        is_read_only: AlertSite sets it, and it cannot stand in a manifest.
        takes_secret: a secretRef may stand in its place.
        keys: those of each element, if it is a list of mappings.
        send_with: fields that it is sent with, changed or not.
        longer_than: the field whose duration it must exceed.
    """

    path: tuple[str, ...]
    words: Words
    type: str
    limits: tuple[str, ...]
    examples: tuple[JSON, ...]
    is_required: bool
    is_read_only: bool
    takes_secret: bool
    keys: tuple[str, ...]
    set_key: str | None
    send_with: tuple[str, ...]
    longer_than: str | None

    @property
    def name(self) -> str:
        """`spec.locations[].id`, as it is written."""
        return ".".join(self.path).replace(f".{ELEMENT}", ELEMENT)


def described(schema: Mapping[str, JSON]) -> tuple[Described, ...]:
    """Every field of a manifest of that kind, in the schema's order, nested ones behind theirs."""
    required = schema.get("required", ())
    found: list[Described] = []
    for name, part in schema["properties"].items():
        if name in _SECTIONS:
            found += _fields(part, (name,))
        else:
            found.append(_field(part, (name,), is_required=name in required))
    return tuple(found)


def find(fields: tuple[Described, ...], name: str) -> Described | None:
    """The field of that name; `spec.` in front and `[]` behind may be left out."""
    wanted = name.replace(ELEMENT, "")
    for field in fields:
        full = field.name.replace(ELEMENT, "")
        if wanted in {full, full.removeprefix("spec.")}:
            return field
    return None


def words(description: str) -> Words:
    """The parts of a description."""
    summary: list[str] = []
    parts = {"Unit": "", "Default": "", "Source": ""}
    for sentence in _SENTENCE_END.split(description):
        name, colon, rest = sentence.partition(": ")
        if colon and name in parts:
            parts[name] = rest.removesuffix(".")
        else:
            summary.append(sentence)
    certainty = summary.pop() if parts["Source"] and len(summary) > 1 else ""
    return Words(
        " ".join(summary),
        parts["Unit"],
        parts["Default"],
        certainty.removesuffix("."),
        parts["Source"],
    )


def _fields(schema: Mapping[str, JSON], path: tuple[str, ...]) -> Iterator[Described]:
    required = schema.get("required", ())
    for name, part in schema["properties"].items():
        yield _field(part, (*path, name), is_required=name in required)
        if "properties" in part.get("items", {}):
            yield from _fields(part["items"], (*path, name, ELEMENT))


def _field(schema: Mapping[str, JSON], path: tuple[str, ...], *, is_required: bool) -> Described:
    return Described(
        path=path,
        words=words(schema.get("description", "")),
        type=_type(schema),
        limits=tuple(_limits(schema)),
        examples=tuple(schema.get("examples", ())),
        is_required=is_required,
        is_read_only=bool(schema.get("readOnly")),
        takes_secret=schema.get("$ref") == _REFERENCE,
        keys=tuple(schema.get("items", {}).get("properties", ())),
        set_key=schema.get("x-set-key"),
        send_with=tuple(schema.get("x-send-with", ())),
        longer_than=schema.get("x-longer-than"),
    )


def _type(schema: Mapping[str, JSON]) -> str:
    name = "string" if "const" in schema else schema.get("type", "")
    if isinstance(name, list):  # a text, or a mapping with a secretRef in its place
        name = name[0]
    if name == "array":
        return f"array of {_type(schema['items']) or 'any'}"
    return str(name)


def _limits(schema: Mapping[str, JSON]) -> Iterator[str]:
    if "const" in schema:
        yield f"always {schema['const']}"
    if "enum" in schema:
        yield " or ".join(map(str, schema["enum"]))
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        yield f"{least} to {most}"
    if schema.get("minLength") or schema.get("minItems"):
        yield "not empty"
    if "maxLength" in schema:
        yield f"at most {schema['maxLength']} characters"
    if schema.get("uniqueItems"):
        yield "no element twice"
    if "pattern" in schema:
        yield str(schema["patternErrorMessage"]).rstrip(".")
