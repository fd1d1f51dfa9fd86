"""How values are written in YAML, so that the parser reads back exactly them.

Rule: as few quotes as the YAML 1.2 core schema needs, and those that YAML 1.1 needs for a text that
it would take for a boolean; what is not obvious is parsed before it is
used. Some values cannot be written: half of a surrogate pair, or a number that is none.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.core.json_text import is_deeper
from reconciler.core.model import canonical
from reconciler.manifests.parser import MAX_DEPTH, SUSPECTS, Parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.model import JSON


WIDTH = 100
"""Lists and mappings that would make a longer line are written with a line for each element."""
INDENT = 2
_SINGLE, _DOUBLE = "'", '"'
_ORDER = {"": ("", _SINGLE, _DOUBLE), _SINGLE: (_SINGLE, _DOUBLE), _DOUBLE: (_DOUBLE,)}
_OBVIOUS = re.compile("[A-Za-z][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@()+-]+)*")
_SPECIAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
"""What would be a line break of its own in a block scalar, or cannot stand in one."""
_LONGEST_KEY = 500
_OLD_BOOLEANS = frozenset({"y", "yes", "n", "no", "on", "off"})
"""Texts that YAML 1.1 reads as true or false, as many parsers still do; they are quoted."""
DEEPEST = MAX_DEPTH - 4
"""How many levels a value may have, so that it can be read back from where it stands."""
_BEYOND_FIRST_PLANE = 0x10000


class NotWritableError(ValueError):
    """A value that YAML cannot hold, or not so that this parser reads it back."""


def scalar(value: JSON, style: str = "", *, in_flow: bool = False) -> str:
    """A value that is no list or mapping, on one line.

    Args:
        value: the value.
        style: what quotes a text has if it can: none, or one of `'` and `"`.
        in_flow: whether it stands between brackets.

    Raises:
        NotWritableError: it cannot be written.
    """
    if not isinstance(value, str):
        return _number(value)
    is_plain = not style and value.casefold() not in _OLD_BOOLEANS
    if is_plain and _OBVIOUS.fullmatch(value) and value[0] not in SUSPECTS:
        return value
    return _text(value, style, in_flow=in_flow)


def flow(value: JSON, quote: str = "") -> str:
    """Any value on one line, as `[{id: 10}, {id: 20}]`.

    Args:
        value: the value.
        quote: `"` for JSON; or else what quotes texts and keys have if they can.

    Raises:
        NotWritableError: it cannot be written.
    """
    if isinstance(value, list):
        return f"[{', '.join(flow(item, quote) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(pair(name, item, quote) for name, item in value.items())}}}"
    return scalar(value, quote, in_flow=True)


def pair(name: str, value: JSON, quote: str = "") -> str:
    """A key and its value as they stand between brackets; arguments and errors as of `flow`."""
    return f"{key(name, quote, in_flow=True)}: {flow(value, quote)}"


def document(value: Mapping[str, JSON], comments: Mapping[str, str] = {}) -> str:
    """A document whose mappings are written with a line for each key; `metadata` in one, if short.

    Args:
        value: the document.
        comments: by field of `spec`, what stands behind the line that it begins on.

    Raises:
        NotWritableError: it cannot be written.
    """
    lines: list[str] = []
    for name, item in value.items():
        if not isinstance(item, dict) or not item or name == "metadata":
            lines += entry(name, item)
            continue
        lines.append(f"{key(name)}:")
        for field, held in item.items():
            first, *others = entry(field, held, INDENT)
            comment = comments.get(field) if name == "spec" else None
            lines += [f"{first}  # {comment}" if comment else first, *others]
    return "".join(f"{line}\n" for line in lines)


def check(name: str, value: JSON) -> None:
    """Stops if a field with that value cannot be written.

    Raises:
        NotWritableError: saying why.
    """
    if is_deeper(value, DEEPEST):
        raise NotWritableError("it is nested too deeply")
    entry(name, value, INDENT)


def key(name: str, quote: str = "", *, in_flow: bool = False) -> str:
    """The key of a mapping.

    Raises:
        NotWritableError: it is too long for one.
    """
    text = scalar(name, quote, in_flow=in_flow)
    if len(text) > _LONGEST_KEY:
        raise NotWritableError("the key is too long")
    return text


def entry(name: str, value: JSON, indent: int = 0) -> list[str]:
    """The lines of a key and its value in a block mapping: what is short in one line.

    Raises:
        NotWritableError: it cannot be written.
    """
    head = f"{' ' * indent}{key(name)}:"
    if isinstance(value, str):
        lines = block_scalar(value, "|", indent, indent + INDENT) if "\n" in value else None
        first, *others = lines or [scalar(value)]
        return [f"{head} {first}", *others]
    if not isinstance(value, list | dict):
        return [f"{head} {scalar(value)}"]
    line = f"{head} {flow(value)}"
    if len(line) <= WIDTH or not value:
        return [line]
    if isinstance(value, dict):
        return [head, *block(value, indent + INDENT)]
    elements = (element(item, indent + INDENT) for item in value)
    return [head, *(line for lines in elements for line in lines)]


def block(value: Mapping[str, JSON], indent: int = 0) -> Iterator[str]:
    """The lines of a block mapping.

    Raises:
        NotWritableError: it cannot be written.
    """
    for name, item in value.items():
        yield from entry(name, item, indent)


def element(value: JSON, indent: int, offset: int = INDENT) -> list[str]:
    """The lines of one element of a block sequence; `offset` is from its dash to what it holds."""
    dash = f"{' ' * indent}-{' ' * (offset - 1)}"
    if not isinstance(value, dict) or not value:
        return [f"{dash}{flow(value)}"]
    first, *others = block(value, indent + offset)
    return [dash + first[len(dash) :], *others]


def block_scalar(value: str, style: str, parent: int, indent: int) -> list[str] | None:
    """A text as a block scalar; None if it cannot be one.

    Its first line is the header. A text that ends with several line breaks also has the blank lines
    that stand for them.

    Args:
        value: the text.
        style: `|` or `>`.
        parent: the indentation of the mapping that it stands in.
        indent: the indentation of its content.
    """
    content = value.rstrip("\n")
    if not content or _SPECIAL.search(content):
        return None
    ends = len(value) - len(content)
    header = style + (str(indent - parent) if content[0] in " \n" else "") + "-+"[ends > 1]
    header = header.removesuffix("-") if ends == 1 else header
    if style == ">":
        content = re.sub("\n+", lambda found: found.group() + "\n", content)
    lines = [" " * indent + line if line else "" for line in content.split("\n")]
    lines = [header, *lines, *[""] * (ends - 1)]
    written = "\n".join([" " * parent + f"k: {header}", *lines[1:], f"{' ' * parent}l: 0\n"])
    return lines if _reads(written, "k") == value else None


def _number(value: JSON) -> str:
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise NotWritableError("it is not a finite number") from error
    if canonical(_reads(f"k: {text}\n", "k")) != text:
        raise NotWritableError("it has too many digits")
    return text


@lru_cache(10_000)
def _text(value: str, style: str, *, in_flow: bool) -> str:
    """A text with the first of the quotes that keep it what it is."""
    style = style or (_SINGLE if value.casefold() in _OLD_BOOLEANS else "")
    for quote in _ORDER[style] if value.isprintable() else (_DOUBLE,):
        text = _quoted(value, quote)
        written = f"k: {{k: {text}, l: [{text}]}}\n" if in_flow else f"k:\n  k: {text} # c\n"
        found = _reads(written, "k")
        if not isinstance(found, dict) or found.get("k") != value:
            continue
        # It must be the same as a key, too; a long one cannot be one in any quotes.
        if len(text) > _LONGEST_KEY or _reads(f"{text}: 0\n", value) == 0:
            return text
    raise NotWritableError("it has characters that YAML does not allow")


def _quoted(value: str, quote: str) -> str:
    if quote == _SINGLE:
        return f"'{value.replace(quote, 2 * quote)}'"
    if quote == _DOUBLE:
        text = json.dumps(value, ensure_ascii=False)
        return "".join(char if char.isprintable() else _escaped(char) for char in text)
    return value


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < _BEYOND_FIRST_PLANE else f"\\U{code:08x}"


def _reads(written: str, name: str) -> JSON:
    """What the parser makes of the value under a key; None if it cannot read it."""
    try:
        data = written.encode()
    except UnicodeEncodeError:
        return None
    documents, findings = Parser().parse("", data)
    if findings or len(documents) != 1 or not isinstance(documents[0].value, dict):
        return None
    return documents[0].value.get(name)
