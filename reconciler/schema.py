"""Manifests against the JSON Schemas: accepted quickly, explained slowly.

Rule: this is the only importer of jsonschema and jsonschema-rs. The Rust validator accepts, 60
times as fast; the Python one is loaded only to explain what was not accepted. What JSON Schema
cannot say is an `x-` annotation that is checked here.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.model import JSON, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

API_VERSION = "reconciler/v1"
_MERGE_KEY = "merge keys are not part of YAML 1.2; write the values out"
_SECONDS = {"minutes": 60, "seconds": 1}
_NUMBERS = (int, float)  # JSON Schema takes 5.0 for an integer; true is none
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "object": "a mapping",
    "string": "a string",
}


class Problem(NamedTuple):
    """One way in which a document does not fit its schema.

    Attributes:
        pointer: the keys and indices that lead to the value.
        of_key: the place to show is that of the key, not of the value.
    """

    pointer: tuple[str | int, ...]
    code: str
    message: str
    of_key: bool = False


class Schemas:
    """The manifest schemas, by kind; a kind is a schema file whose `kind` is a constant."""

    def __init__(self, folder: Path | None = None) -> None:
        self.documents = {
            schema["properties"]["kind"]["const"]: schema
            for schema in _load(folder or schema_folder())
            if "const" in schema["properties"].get("kind", {})
        }
        self.kinds = {name: Kind.from_schema(schema) for name, schema in self.documents.items()}
        self._orders = {name: _orders(schema) for name, schema in self.documents.items()}

    def accept(self, value: JSON) -> Kind | None:
        """The kind of a valid manifest; None for anything else, which `explain` explains."""
        try:
            name = value["kind"]
            accepts = self._accepts[name]
        except (KeyError, TypeError):
            return None
        if not accepts(value):
            return None
        for order in self._orders[name]:
            if order.broken(value):
                return None
        return self.kinds[name]

    def explain(self, value: JSON) -> Iterator[Problem]:
        """Why `accept` does not accept the value: at least one problem."""
        if not isinstance(value, dict):
            yield Problem((), "type", "a manifest is a mapping that begins with apiVersion")
            return
        name = value.get("kind")
        if not isinstance(name, str) or name not in self.documents:
            yield self._unknown_kind(value)
            if value.get("apiVersion") != API_VERSION:
                yield _wrong_version(value)
            return
        is_explained = False
        for problem in self._explain_fields(name, value):
            is_explained = True
            yield problem
        if not is_explained and self.accept(value) is None:
            # The two validators disagree. That is a bug, but nothing may be dropped without a word.
            yield Problem((), "invalid", f"this does not fit the schema of {name}")

    def _explain_fields(self, name: str, value: JSON) -> Iterator[Problem]:
        for error in _explainer(self.documents[name]).iter_errors(value):
            yield from _problems(error)
        for order in self._orders[name]:
            if order.broken(value):
                yield Problem(("spec", order.longer), "too-short", order.message(value))

    @cached_property
    def _accepts(self) -> Mapping[str, Callable[[JSON], bool]]:
        from jsonschema_rs import Draft202012Validator  # noqa: PLC0415 - 25 ms

        return {
            name: Draft202012Validator(schema).is_valid for name, schema in self.documents.items()
        }

    def _unknown_kind(self, value: Mapping[str, JSON]) -> Problem:
        kinds = ", ".join(sorted(self.documents))
        if "kind" not in value:
            return Problem((), "missing-key", f"missing key kind: one of {kinds}")
        hint = _did_you_mean(value["kind"], self.documents) or f"; the kinds are {kinds}"
        return Problem(("kind",), "unknown-kind", f"unknown kind {value['kind']}{hint}")


class _Order(NamedTuple):
    """One duration that must be longer than another (`x-longer-than`, in `x-unit`s)."""

    longer: str
    shorter: str
    longer_unit: str
    shorter_unit: str

    def broken(self, value: Mapping[str, JSON]) -> bool:
        spec = value.get("spec")
        if not isinstance(spec, dict):
            return False
        longer: JSON = spec.get(self.longer)
        shorter: JSON = spec.get(self.shorter)
        if type(longer) not in _NUMBERS or type(shorter) not in _NUMBERS:
            return False
        return bool(longer * _SECONDS[self.longer_unit] <= shorter * _SECONDS[self.shorter_unit])

    def message(self, value: Mapping[str, JSON]) -> str:
        longer, shorter = value["spec"][self.longer], value["spec"][self.shorter]
        return (
            f"{self.longer} ({longer} {self.longer_unit}) must be longer than "
            f"{self.shorter} ({shorter} {self.shorter_unit})"
        )


def schema_folder() -> Path:
    """Where the schemas are: in the wheel inside the package, in a checkout beside it."""
    packaged = Path(__file__).with_name("schemas")
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "schemas"


def _load(folder: Path) -> Iterator[dict[str, JSON]]:
    for path in sorted(folder.glob("*.schema.json")):
        yield json.loads(path.read_bytes())


def _orders(schema: Mapping[str, JSON]) -> tuple[_Order, ...]:
    fields = schema["properties"]["spec"]["properties"]
    return tuple(
        _Order(name, other, field["x-unit"], fields[other]["x-unit"])
        for name, field in fields.items()
        if (other := field.get("x-longer-than"))
    )


def _explainer(schema: Mapping[str, JSON]) -> Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 130 ms, for an invalid manifest
    from jsonschema.validators import extend  # noqa: PLC0415

    validator: Validator = extend(Draft202012Validator, {"pattern": _pattern})(schema)  # type: ignore[no-untyped-call]
    return validator


def _pattern(
    _validator: Validator, pattern: str, instance: JSON, _schema: JSON
) -> Iterator[ValidationError]:
    """`pattern` as ECMA-262 has it: Python's own `$` also matches before a last newline."""
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"must match {pattern}")


def _problems(error: ValidationError) -> Iterator[Problem]:
    """The problems in one error of jsonschema, in the words of a manifest."""
    pointer = tuple(error.absolute_path)
    schema: JSON = error.schema
    expected: JSON = error.validator_value
    value: JSON = error.instance
    if "propertyNames" in error.absolute_schema_path:
        yield _bad_name(error, pointer)
        return
    match error.validator:
        case "additionalProperties":
            for key in sorted(set(value) - set(schema["properties"])):
                yield _unknown_key(schema, pointer, key)
        case "required":
            key = next(key for key in expected if f"'{key}'" in error.message)
            yield Problem(
                pointer, "missing-key", f"missing key {_name((*pointer, key))}", of_key=True
            )
        case "not":
            message = f"{_name(pointer)} is set by AlertSite; remove it"
            yield Problem(pointer, "read-only", message, of_key=True)
        case _:
            code, message = _value_message(error)
            yield Problem(pointer, code, f"{_name(pointer)} {message}")


def _value_message(error: ValidationError) -> tuple[str, str]:
    limit: JSON = error.validator_value
    value: JSON = error.instance
    match error.validator:
        case "type":
            advice = "; remove the quotes" if isinstance(value, str) and value.isdigit() else ""
            return "type", f"must be {_TYPES[limit]}, not {_type_name(value)}{advice}"
        case "const":
            return "api-version", f"must be {limit}"
        case "minimum" | "maximum":
            bound = "at least" if error.validator == "minimum" else "at most"
            return "range", f"must be {bound} {limit}, not {value}"
        case "minLength" | "minItems":
            return "empty", "must not be empty"
        case "maxLength":
            return "too-long", f"has {len(value)} characters; at most {limit} are kept by AlertSite"
        case "uniqueItems":
            return "duplicate-item", "holds the same element twice"
        case "pattern":
            return "pattern", f"is not of the form {limit}"
        case _:
            return "invalid", error.message


def _unknown_key(schema: JSON, pointer: tuple[str | int, ...], key: str) -> Problem:
    if key == "<<":
        return Problem((*pointer, key), "unknown-key", _MERGE_KEY, of_key=True)
    known = [name for name, item in schema["properties"].items() if not item.get("readOnly")]
    advice = _did_you_mean(key, known)
    if not advice and pointer == ("spec",):
        advice = "; a field that AlertSite accepts and the schema does not know goes under extra"
    elif not advice:
        advice = f"; the keys here are {', '.join(known)}"
    message = f"unknown key {_name((*pointer, key))}{advice}"
    return Problem((*pointer, key), "unknown-key", message, of_key=True)


def _bad_name(error: ValidationError, pointer: tuple[str | int, ...]) -> Problem:
    key: JSON = error.instance
    if isinstance(error.validator_value, dict) and "enum" in error.validator_value:
        message = f"{key} does not belong under extra; if a manifest may set it, spec is its place"
        message = _MERGE_KEY if key == "<<" else message
        return Problem((*pointer, key), "not-extra", message, of_key=True)
    message = (
        f"{key} looks like a secret, which must not be written in a manifest; set it in AlertSite"
    )
    return Problem((*pointer, key), "plain-secret", message, of_key=True)


def _wrong_version(value: Mapping[str, JSON]) -> Problem:
    if "apiVersion" not in value:
        return Problem((), "missing-key", f"missing key apiVersion: {API_VERSION}")
    return Problem(("apiVersion",), "api-version", f"apiVersion must be {API_VERSION}")


def _did_you_mean(word: JSON, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a message

    close = get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _name(pointer: tuple[str | int, ...]) -> str:
    """`spec.locations[0].id`, as a person would say it."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in pointer)
    return text.removeprefix(".") or "the manifest"


def _type_name(value: JSON) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    return {str: "a string", int: "an integer", float: "a fraction", list: "a list"}.get(
        type(value), "a mapping"
    )
