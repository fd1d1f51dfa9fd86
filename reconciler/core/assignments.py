"""What `FIELD=VALUE`, `FIELD+=VALUE` and `FIELD-=VALUE` ask of a manifest.

Rule: pure. The schema of a kind says of which type a value is, so that nobody has to quote
anything: `note=on` is a text, and `port=587` a number. A text that begins with a bracket is YAML,
for lists of mappings and secretRefs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import canonical
from reconciler.core.variables import names_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.core.model import JSON


SPEC, EXTRA, LIFECYCLE, LABELS = "spec", "extra", "lifecycle", "labels"
_FORM = re.compile(r"(?:(spec|extra|lifecycle|labels)\.)?([^=.+-][^=.]*?)([+-]?)=(.*)", re.DOTALL)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_TOO_LONG = re.compile(r"[-+]?[0-9]{19,}")
_SWITCHES = {"true": True, "false": False}


class BadAssignmentError(ValueError):
    """An assignment that a manifest cannot take; the text says why."""


class Assignment(NamedTuple):
    """One of them.

    Attributes:
        section: one of `spec`, `extra`, `lifecycle` and `labels`.
        sign: `+`, `-` or empty.
        text: the value, as it was written.
    """

    section: str
    field: str
    sign: str
    text: str

    @property
    def name(self) -> str:
        """The field, with its section if that is not `spec`."""
        return self.field if self.section == SPEC else f"{self.section}.{self.field}"

    def __str__(self) -> str:
        return f"{self.name}{self.sign}={self.text}"


def assignment(text: str, fields: Sequence[str]) -> Assignment | None:
    """What a text assigns; None for a target, such as a label of the monitors that are meant.

    Args:
        text: an argument.
        fields: the names that stand for fields of `spec` without saying so.
    """
    found = _FORM.fullmatch(text)
    if found is None or (found[1] is None and found[2] not in fields):
        return None
    return Assignment(found[1] or SPEC, found[2], found[3], found[4])


def value_of(asked: Assignment, schema: Mapping[str, JSON], read: Callable[[str], JSON]) -> JSON:
    """The value that is assigned.

    Args:
        asked: the assignment.
        schema: that of its field; empty if there is none.
        read: gives the value of a text in YAML.

    Raises:
        BadAssignmentError: it is none of the field's type.
    """
    text, kinds = asked.text, schema.get("type", ())
    if next(names_in(text), None) is not None and not text.startswith(("{", "[")):
        return text  # what it stands for is checked in the manifest
    if text.startswith(("{", "[")):
        value = read(text)
        is_element = isinstance(value, dict) and schema.get("x-set-key") in value
        return [value] if is_element else value
    if "array" in kinds and "x-set-key" not in schema:
        raise BadAssignmentError(f"{asked}: write the list in brackets, as YAML")
    if "array" in kinds:
        return [_element(asked, item.strip(), schema) for item in text.split(",")]
    if "integer" in kinds:
        return _integer(asked, text)
    if "boolean" in kinds:
        if text not in _SWITCHES:
            raise BadAssignmentError(f"{asked}: {asked.field} is true or false")
        return _SWITCHES[text]
    return read(text) if text and asked.section == EXTRA else text


def changed_list(
    asked: Assignment, old: Sequence[JSON], value: Sequence[JSON], key: str
) -> list[JSON]:
    """A set with elements added or taken away; one that has the same key is replaced."""
    keys = {canonical(item.get(key)) for item in value}
    kept = [item for item in old if canonical(item.get(key)) not in keys]
    if asked.sign == "-":
        return kept
    new = {canonical(item.get(key)): item for item in value}
    replaced = [new.pop(canonical(item.get(key)), item) for item in old]
    return [*replaced, *new.values()]


def _element(asked: Assignment, text: str, schema: Mapping[str, JSON]) -> JSON:
    """An element of a set, of which one key says all."""
    required = schema["items"]["required"]
    if len(required) > 1 and asked.sign != "-":
        example = ", ".join(f"{name}: 1" for name in required)
        raise BadAssignmentError(f"{asked}: write each element out, as in {{{example}}}")
    return {schema["x-set-key"]: _integer(asked, text)}


def _integer(asked: Assignment, text: str) -> int:
    if _TOO_LONG.fullmatch(text):
        raise BadAssignmentError(f"{asked}: the number has too many digits")
    if not _INTEGER.fullmatch(text):
        raise BadAssignmentError(f"{asked}: {text or '(empty)'} is not an integer")
    return int(text)
