"""`${name}` in the values of manifests, and what it stands for.

Rule: pure. There is no template language: a name stands for its value, and nothing is worked out.
A text that is one variable and nothing else gets the variable's value as it is, of whatever type;
in a longer text the value stands as text. `$${` is a `${` that is meant. What a variable holds is
not looked at again.

Only the values of a manifest are looked at, those of secretRefs too: a shared manifest names other
secrets for each account, and which may be resolved is decided for the name that results. Keys, and
what identifies a manifest (`kind`, `metadata.name`, `metadata.ids`), never are: an address means
the same in every account.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import scalars_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model import JSON


UNDEFINED = "undefined-variable"
_SECTIONS = ("spec", "extra", "lifecycle")
_LABELS = "labels"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^{}]*)\}|\$\{")
_ESCAPE = "$${"


class BadReference(NamedTuple):
    """A reference that stands for nothing.

    Attributes:
        pointer: the keys and indices that lead to the text that it is in.
        name: what is undefined; empty if it is another fault.
    """

    pointer: tuple[str | int, ...]
    code: str
    message: str
    name: str = ""


class Filled(NamedTuple):
    """A document with values in place of its variables.

    Attributes:
        uses: the variables in the value of a field, by section and field.
    """

    value: JSON
    uses: Mapping[tuple[str, str], tuple[str, ...]]
    faults: tuple[BadReference, ...]


def fill(document: JSON, variables: Mapping[str, JSON]) -> Filled:
    """The document with the values that its variables stand for."""
    if not isinstance(document, dict):
        return Filled(document, {}, ())
    filling = _Filling(variables)
    value = dict(document)
    for section in _SECTIONS:
        if isinstance(value.get(section), dict):
            value[section] = filling.section(section, (section,), value[section])
    metadata = value.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get(_LABELS), dict):
        labels = filling.section(_LABELS, ("metadata", _LABELS), metadata[_LABELS])
        value["metadata"] = {**metadata, _LABELS: labels}
    return Filled(value, filling.uses, tuple(filling.faults))


def names_in(value: JSON) -> Iterator[str]:
    """The variables that a value refers to, at any depth."""
    for text in scalars_in(value):
        if isinstance(text, str):
            yield from (found["name"] for found in _REFERENCE.finditer(text) if found["name"])


def escaped(value: JSON) -> JSON:
    """How a manifest says a value in which `${` is meant, at any depth."""
    if isinstance(value, str):
        return value.replace("${", _ESCAPE)
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    return value


class _Filling:
    """What has been found so far in one document."""

    def __init__(self, variables: Mapping[str, JSON]) -> None:
        self.uses: dict[tuple[str, str], tuple[str, ...]] = {}
        self.faults: list[BadReference] = []
        self._variables = variables
        self._names: dict[str, None] = {}

    def section(
        self, section: str, pointer: tuple[str, ...], fields: Mapping[str, JSON]
    ) -> dict[str, JSON]:
        """The fields of a section with their values."""
        found = {}
        for field, value in fields.items():
            self._names.clear()
            found[field] = self._value((*pointer, field), value)
            if self._names:
                self.uses[section, field] = tuple(self._names)
        return found

    def _value(self, pointer: tuple[str | int, ...], value: JSON) -> JSON:
        if isinstance(value, str):
            return self._text(pointer, value) if "${" in value else value
        if isinstance(value, dict):
            return {key: self._value((*pointer, key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value((*pointer, index), item) for index, item in enumerate(value)]
        return value

    def _text(self, pointer: tuple[str | int, ...], text: str) -> JSON:
        whole = _REFERENCE.fullmatch(text)
        if whole and whole["name"] in self._variables:
            self._names[whole["name"]] = None
            return self._variables[whole["name"]]
        return _REFERENCE.sub(lambda found: self._part(pointer, found), text)

    def _part(self, pointer: tuple[str | int, ...], found: re.Match[str]) -> str:
        name = found["name"]
        if found[0] == _ESCAPE:
            return "${"
        if name is None or not _NAME.fullmatch(name):
            message = (
                f"{found[0]} is not a variable; write ${{name}}, or {_ESCAPE} for a literal {'${'}"
            )
            self.faults.append(BadReference(pointer, "bad-variable", message))
            return found[0]
        if name not in self._variables:
            message = f"the variable {name} is not defined"
            self.faults.append(BadReference(pointer, UNDEFINED, message, name))
            return found[0]
        self._names[name] = None
        value = self._variables[name]
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str | int | float):
            return str(value)
        message = f"the variable {name} is not a string or a number, so it must be the whole value"
        self.faults.append(BadReference(pointer, "variable-type", message))
        return found[0]
