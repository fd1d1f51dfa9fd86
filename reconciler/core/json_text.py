"""Reading JSON that somebody else wrote: answers, states, journals, locks, plan files.

`encoded` and `decoded` turn our own values into such JSON and back.

Rule: what comes out is a value that every part of the tool can work with, print and write again.
It is JSON by the standard (RFC 8259): UTF-8, no NaN, no infinity. Nesting is bounded, since
comparing and printing go down by recursion. Half of a character (a lone surrogate, as a service
leaves one when it cuts a text inside an emoji) becomes U+FFFD, since no file can hold it. Of two
members with one name the last counts, as for most parsers.
"""

from __future__ import annotations

import json
import math
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

JSON: TypeAlias = Any
_T = TypeVar("_T")

MAX_DEPTH = 64
"""As deep as a manifest may be."""
_SHORT = 20
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class _NumberError(ValueError):
    """A number that Python has and JSON has not."""


def read(data: bytes) -> JSON:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or nested too deep; says why, in words for people.
    """
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ValueError(_problem(error)) from error
    except _NumberError:
        raise
    except ValueError as error:  # Python reads no more than 4300 digits
        raise ValueError("a number has too many digits") from error
    if not _is_surely_flat(data) and is_deeper(value, MAX_DEPTH):
        raise ValueError("it is nested too deep")
    if "\\" in text and ("\\ud" in text or "\\uD" in text):
        value = _without_halves(value)
    return value


def _problem(error: json.JSONDecodeError) -> str:
    """What is wrong with a text that is not JSON, and where."""
    text = error.doc.rstrip()
    if not text:
        return "it is empty"
    place = f"line {error.lineno}, column {error.colno}"
    if error.msg.startswith("Invalid control character"):
        return f"it has a control character in {place}"
    if "\0" in text:
        return "it is a binary file, not JSON"
    if text.lstrip().startswith("<"):
        return "it is a web page or XML, not JSON"
    if error.pos >= len(text) or error.msg.startswith("Unterminated"):
        end = json.JSONDecodeError("", text, len(text))  # which counts its line and column
        return f"it is incomplete: it ends in line {end.lineno}, column {end.colno}"
    return f"it is not valid JSON: {place}"


def reason_of(error: Exception) -> str:
    """Why a file with JSON cannot be read, written or used, in words for whoever has it."""
    match error:
        case OSError():
            return error.strerror or str(error)
        case ValueError():
            return str(error)
        case _:  # what `read` has given is used as what it is not
            return "it does not have the expected content"


def _is_surely_flat(data: bytes) -> bool:
    """Whether its brackets alone show that it is not too deep; quick, as most texts have few."""
    brackets = data.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH // 2):  # each round may take two levels away
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return not brackets


def is_deeper(value: JSON, levels: int) -> bool:
    """Whether a value has more than so many levels of lists and mappings."""
    level = [value]
    for _ in range(levels):
        holders = [item for item in level if isinstance(item, dict | list)]
        level = [
            item
            for holder in holders
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
    return any(isinstance(item, dict | list) for item in level)


def _without_halves(value: JSON) -> JSON:
    text = json.dumps(value, ensure_ascii=False)
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return json.loads(whole)


def _finite(text: str) -> float:
    """A number that is one everywhere; `1e400` is infinite in Python."""
    number = float(text)
    if not math.isfinite(number):
        shown = text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
        raise _NumberError(f"{shown} is too large a number")
    return number


def _refuse_constant(name: str) -> JSON:
    """Python's JSON has NaN and infinities; no other has."""
    raise _NumberError(f"{name} is not JSON")


class ShapeError(TypeError):
    """A part of kept JSON is not what it should be; the message says which, for people."""


_WORDS = {
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
}


def encoded(value: object) -> JSON:
    """A value as JSON: a NamedTuple as the mapping of its members, any other tuple as a list."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names is None:
            return [encoded(item) for item in value]
        return {name: encoded(item) for name, item in zip(names, value, strict=True)}
    if isinstance(value, dict):
        return {key: encoded(item) for key, item in value.items()}
    return value


def decoded(example: _T, data: JSON) -> _T:
    """The value that `encoded` gave, of which all that is known is another one like it.

    The elements of a tuple, and the values of a mapping, are like the only one in the example; if
    it has none there, or None, they may be anything. What has a default may be missing, and null
    if that is None.

    Raises:
        KeyError: a member is missing; its name.
        TypeError: a part is not like its example.
    """
    found: _T = _decoded(example, data, "it")
    return found


def _decoded(example: JSON, data: JSON, name: str) -> JSON:
    kind: Any = type(example)
    if example is None:
        return data
    # What has the type of its example is whole, unless that is a mapping that shows its values.
    if type(data) is kind and not (kind is dict and example):
        return data
    if issubclass(kind, StrEnum):
        if data not in [*kind]:
            raise ShapeError(f"{name} must be {' or '.join(kind)}")
        return kind(data)
    if kind is float and type(data) is int:
        return data
    is_members = hasattr(kind, "_fields")
    wanted: Any = dict if is_members else list if kind is tuple else kind
    if type(data) is not wanted:
        raise ShapeError(f"{name} must be {_WORDS[wanted]}")
    if is_members:
        usual, members = kind._field_defaults, {}
        for key in kind._fields:
            if key not in data and key not in usual:
                raise KeyError(key)
        for key, item in data.items():
            is_unset = item is None and usual.get(key, ...) is None
            members[key] = item if is_unset else _decoded(getattr(example, key, None), item, key)
        return kind(**members)
    if kind is tuple:
        return tuple(_decoded(example[0], item, name) for item in data) if example else tuple(data)
    (like,) = example.values()
    return {key: _decoded(like, item, key) for key, item in data.items()}


def corruption(error: Exception) -> str:
    """What is wrong with kept JSON, by what using it has raised."""
    match error:
        case ShapeError():
            return str(error)
        case KeyError(args=(str() as name,)):
            return f"{name} is missing"
    return "a value has the wrong type"
