"""What makes ordinary input odd: mutations of values and of bytes."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

TEXTS = (
    "",
    " ",
    "\x00",
    "\x1b[31mred\x1b[0m\x07",
    "\x9b2J",
    "\u202etxet\u2066",
    "a\nb\r\nc\u2028d\x85e",
    "::error::owned",
    "##[error]owned",
    "##vso[task.complete]",
    "\ufeffmark",
    "e\u0301\u00e9\ufb01",
    "😀\U000e0001",
    "x" * 5000,
    "../../etc/passwd",
    "{secretRef: {env: HOME}}",
    "{kind}/{name!r}/{0}",
    "%s%n%00",
    "true",
    "587",
    "NaN",
    "1e400",
    "2026-02-30",
    "[" * 900,
    "~",
    "=cmd()",
    "</script>`|<b>",
)
NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 7.0, 0.1, 1e308, -0.0, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, -(10**30)),
    *(10**100, 10**4000, 123456789012345678901234567890),
)
_DEEP: Any = []
for _ in range(60):
    _DEEP = [_DEEP]
HOLDERS: tuple[Any, ...] = (
    *([], {}, [[]], [{}], [None], [1], ["a", 1, None, {}], {"": ""}, {"id": [1]}, [{"id": [1]}]),
    *({"id": {}}, [{"id": {"a": 1}}, {"id": None}], {"secretRef": 1}, {"secretRef": {"env": []}}),
    *({"secretRef": {}}, [[{"id": 1}]], [1, "1", True, 1.0], _DEEP),
)
VALUES: tuple[Any, ...] = (None, True, False, *TEXTS, *NUMBERS, *HOLDERS)
PIECES = (
    *(b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\x1b[2J"),
    *(
        b"\x7f",
        b"\x85",
        b"\xc2\x9b",
        b"\xe2\x80\xae",
        b"\r",
        b"\n\n",
        b"\t",
        b"\r\n",
        b"\xe2\x80\xa8",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b'"',
        b"'",
        b"#",
        b"&a ",
        b"*a",
        b"<<: *a",
        b"!!int ",
        b"!x ",
    ),
    *(
        b"!!binary ",
        b"? ",
        b"- ",
        b"--- ",
        b"\n---\n",
        b"\n...\n",
        b"%YAML 1.3\n",
        b"%TAG ! !\n",
        b"|2-\n",
    ),
    *(
        b">\n",
        b"@",
        b"`",
        b"\\ud800",
        b'"\\ud800"',
        b"\\x00",
        b"\\u0000",
        b"NaN",
        b"-Infinity",
        b"1e400",
    ),
    *(b".inf", b"0x" + b"f" * 40, b"0o777", b"9" * 5000, b"[" * 900, b'{"a":' * 900, b"  " * 300),
    *(b"null", b"~", b"true", b"=", b"[[a]]", b"[budget]\n", b"''", b'"""', b"secretRef"),
)


def odd_value(random: Random, value: Any) -> Any:
    """The value with one to three of its parts made odd."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = _mutated(random, value)
    return value


def odd_bytes(random: Random, data: bytes) -> bytes:
    """The bytes, broken in one to three places."""
    for _ in range(random.choice((1, 1, 2, 3))):
        data = _broken(random, data)
    return data


def as_json(random: Random, value: Any) -> bytes:
    """The value as JSON, now and then as only Python writes it."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def _mutated(random: Random, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or random.random() < 0.05:
        return copy.deepcopy(random.choice(VALUES))
    places = list(_places(value))
    holder, key = random.choice(places)
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice((*TEXTS, *holder))] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case 3:
            other, name = random.choice(places)
            holder[key] = copy.deepcopy(other[name])
        case 4 if isinstance(holder[key], str):
            holder[key] += random.choice(TEXTS)
        case _:
            holder[key] = copy.deepcopy(random.choice(VALUES))
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    found, pending = [], [value]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                pending.append(holder[key])
    return found


def _broken(random: Random, data: bytes) -> bytes:
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice((1, 1, 2, 8, 40, 400)))
    match random.randrange(6):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:start] + random.choice(PIECES) + data[end:]
        case 2:
            return data[:end] + data[start:]
        case 3 if start < len(data):
            return (
                data[:start] + bytes([data[start] ^ (1 << random.randrange(8))]) + data[start + 1 :]
            )
        case 4:
            return data[:start]
        case _:
            return data[:start] + random.choice(PIECES) + data[start:]
