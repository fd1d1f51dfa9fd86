"""Reading JSON that somebody else wrote: answers, states, journals, locks, plan files.

Rule: what comes out is a value that every part of the tool can work with, print and write again.
It is JSON by the standard (RFC 8259): UTF-8, no NaN, no infinity. Nesting is bounded, since
comparing and printing go down by recursion. Half of a character (a lone surrogate, as a service
leaves one when it cuts a text inside an emoji) becomes U+FFFD, since no file can hold it. Of two
members with one name the last counts, as for most parsers.
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

JSON: TypeAlias = Any

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
