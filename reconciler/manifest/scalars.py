"""What a plain scalar means by the YAML 1.2 core schema (yaml.org/spec/1.2.2, section 10.3.2)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model import JSON

SUSPECTS = frozenset("+-.0123456789~nNtTfF")
"""First characters of plain scalars that may be more than a string."""
WORDS: dict[str, JSON] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_DIGITS = 100


def resolve(text: str) -> JSON:
    """The value of a plain scalar that is no word; infinite or NaN if it is not a usable number."""
    if len(text) > _MAX_DIGITS and _INT.fullmatch(text):
        return math.inf  # which is refused; Python itself reads no more than 4300 digits
    if _INT.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)  # noqa: PLR2004 - the decimal base
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
