"""From jsonschema's errors to problems, in the words of a manifest. Rule: one for each fault."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from reconciler.core.model import JSON, SECRET_REF
from reconciler.core.nearest import did_you_mean
from reconciler.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema.protocols import Validator

_MERGE_KEY = "merge keys are not part of YAML 1.2; write the values out"
_EXAMPLE = f"{{{SECRET_REF}: {{env: NAME}}}}"
_ELSEWHERE = "a secretRef can replace a string in spec (except name), or any value under extra"
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "object": "a mapping",
    "string": "a string",
}
_DURATION = re.compile(
    "(?P<number>[0-9]{1,6}) ?(?P<unit>s|secs?|seconds?|m|mins?|minutes?|h|hours?)", re.IGNORECASE
)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}
"""YAML 1.1 read these words so, and many people still write them."""
_TEXT_OR_REF = ["string", "object"]
"""The type of a text in whose place a secretRef may stand."""


def problems(schema: Mapping[str, JSON], value: JSON) -> Iterator[Problem]:
    """What does not fit the schema, in no particular order."""
    explainer: Validator = _Explainer(schema)
    for error in explainer.iter_errors(value):
        yield from _problems(error)


def _pattern(
    _validator: Validator, pattern: str, instance: JSON, _schema: JSON
) -> Iterator[ValidationError]:
    """`pattern` as ECMA-262 has it: Python's own `$` also matches before a last newline."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"must match {pattern}")


_Explainer = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]


def _problems(error: ValidationError) -> Iterator[Problem]:
    pointer = tuple(error.absolute_path)
    schema: JSON = error.schema
    expected: JSON = error.validator_value
    value: JSON = error.instance
    path = error.absolute_schema_path
    is_definition = SECRET_REF in schema.get("properties", ())
    if SECRET_REF in path or "patternProperties" in path or is_definition:
        # A secretRef is malformed, or missing where only one may stand.
        yield from _secret_ref_problems(error, pointer)
        return
    if "propertyNames" in path:
        yield _not_extra(pointer, value)
        return
    if schema.get("readOnly"):  # by a type and a pattern that nothing fits
        message = f"{_name(pointer)} is set by AlertSite; remove it"
        yield Problem(pointer, "read-only", message, of_key=True)
        return
    match error.validator:
        case "additionalProperties":
            for key in sorted(set(value) - set(schema["properties"])):
                yield _unknown_key(schema, pointer, key)
        case "required":
            if set(value) != {SECRET_REF}:  # which is an unknown key here: one fault is enough
                key = next(key for key in expected if f"'{key}'" in error.message)
                message = f"missing key {_name((*pointer, key))}"
                yield Problem(pointer, "missing-key", message, of_key=True)
        case _:
            code, message = _value_message(error)
            yield Problem(pointer, code, f"{_name(pointer)} {message}")


def _value_message(error: ValidationError) -> tuple[str, str]:
    limit: JSON = error.validator_value
    value: JSON = error.instance
    match error.validator:
        case "type":
            advice = _type_advice(error)
            wanted = "a string or a secretRef" if limit == _TEXT_OR_REF else _TYPES[limit]
            return "type", f"must be {wanted}, not {_type_name(value)}{advice}"
        case "enum":
            return "invalid", f"must be {' or '.join(map(str, limit))}{did_you_mean(value, limit)}"
        case "const":
            return "api-version", f"must be {limit}"
        case "minimum" | "maximum":
            bound = "at least" if error.validator == "minimum" else "at most"
            return "range", f"must be {bound} {limit}, not {value}"
        case "minLength" | "minItems":
            return "empty", "must not be empty"
        case "maxLength":
            is_sent = error.absolute_path[0] == "spec"
            most = f"AlertSite keeps at most {limit}" if is_sent else f"at most {limit} are allowed"
            return "too-long", f"has {len(value)} characters; {most}"
        case "uniqueItems":
            return "duplicate-item", "has the same element twice"
        case "pattern":
            schema: JSON = error.schema
            advice = str(schema["patternErrorMessage"]).rstrip(".")
            return "pattern", f"is not valid: {advice[:1].lower()}{advice[1:]}"
        case _:
            return "invalid", error.message


def _type_advice(error: ValidationError) -> str:
    """What to write in place of a value of another type, if that can be told."""
    schema: JSON = error.schema
    value: JSON = error.instance
    text = str(value)
    is_number = text.isdecimal() and text.isascii()
    match error.validator_value:
        case "integer" | "number" if is_number:
            return "; remove the quotes"
        case "integer" if "x-unit" in schema and (match := _DURATION.fullmatch(text)):
            # A duration such as `5m`, which people know from other tools.
            seconds = int(match["number"]) * _SECONDS[match["unit"][0].lower()]
            number, rest = divmod(seconds, _SECONDS[schema["x-unit"][0]])
            return "" if rest else f"; write {number} ({schema['x-unit']})"
        case "boolean" if text.lower() in _SWITCHES:
            return f"; write {_SWITCHES[text.lower()]}"
        case "object" if is_number:
            return _element_advice(schema, "; write {{{}: {}}}", value)
        case "array" if is_number:
            return _element_advice(schema["items"], "; write [{{{}: {}}}]", value)
    return ""


def _element_advice(schema: Mapping[str, JSON], text: str, value: str | int) -> str:
    """How to write an id as the mapping that AlertSite wants."""
    match schema.get("required"):
        case [str(key)]:
            return text.format(key, value)
    return ""


def _secret_ref_problems(
    error: ValidationError, pointer: tuple[str | int, ...]
) -> Iterator[Problem]:
    value: JSON = error.instance
    path = list(error.absolute_schema_path)
    if SECRET_REF in path:
        yield _bad_secret_ref(error, pointer, path[path.index(SECRET_REF) + 1 :])
    elif error.validator == "additionalProperties":
        # Without the key itself, `required` says all there is to say.
        for key in sorted(set(value) - {SECRET_REF}) if SECRET_REF in value else ():
            message = f"{_name((*pointer, key))} cannot be combined with {SECRET_REF}; remove one"
            yield Problem((*pointer, key), "secret-ref", message, of_key=True)
    elif "patternProperties" in path:
        message = (
            f"{pointer[-1]} looks like a secret, which must not be in a manifest; write a "
            f"secretRef instead, such as {_EXAMPLE}"
        )
        yield Problem(pointer, "plain-secret", message, of_key=True)
    else:
        message = f"{_name(pointer)} must be a string or a secretRef, not another mapping"
        yield Problem(pointer, "type", message)


def _bad_secret_ref(
    error: ValidationError, pointer: tuple[str | int, ...], place: list[str | int]
) -> Problem:
    """The problem at a place inside the definition, which begins below `secretRef`."""
    match place:
        case ["propertyNames", *_]:
            key: JSON = error.instance
            advice = did_you_mean(key.lower(), ("env", "file")) or ": env, file or a plug-in's name"
            message = f"{key} is not a scheme of secretRef{advice}"
            return Problem((*pointer, key), "secret-ref", message, of_key=True)
        case ["additionalProperties", *_]:
            _, message = _value_message(error)
        case _:
            message = f"must be one scheme with a name, as in {_EXAMPLE}"
    return Problem(pointer, "secret-ref", f"{_name(pointer)} {message}")


def _unknown_key(schema: JSON, pointer: tuple[str | int, ...], key: str) -> Problem:
    if key == "<<":
        return Problem((*pointer, key), "unknown-key", _MERGE_KEY, of_key=True)
    if key == SECRET_REF:
        return _misplaced_secret_ref(pointer)
    known = [name for name, item in schema["properties"].items() if not item.get("readOnly")]
    advice = did_you_mean(key, known)
    if not advice and pointer == ("spec",) and "required" in schema:  # Defaults have no extra
        advice = "; put a field that AlertSite accepts but the schema does not have under extra"
    elif not advice:
        advice = f"; the keys here are {', '.join(known)}"
    message = f"unknown key {_name((*pointer, key))}{advice}"
    return Problem((*pointer, key), "unknown-key", message, of_key=True)


def _misplaced_secret_ref(pointer: tuple[str | int, ...]) -> Problem:
    message = f"{_name(pointer)} cannot be a secretRef; {_ELSEWHERE}"
    return Problem((*pointer, SECRET_REF), "secret-ref", message, of_key=True)


def _not_extra(pointer: tuple[str | int, ...], key: str) -> Problem:
    if key == SECRET_REF:
        return _misplaced_secret_ref(pointer)
    message = f"{key} does not belong under extra; if a manifest can set it, put it under spec"
    message = _MERGE_KEY if key == "<<" else message
    return Problem((*pointer, key), "not-extra", message, of_key=True)


def _name(pointer: tuple[str | int, ...]) -> str:
    """`spec.locations[0].id`, as a person would say it."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in pointer)
    return text.removeprefix(".") or "the manifest"


def _type_name(value: JSON) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict) and SECRET_REF in value:
        return "a secretRef"
    return {str: "a string", int: "an integer", float: "a fraction", list: "a list"}.get(
        type(value), "a mapping"
    )
