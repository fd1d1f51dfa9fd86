from enum import StrEnum
from typing import Any, NamedTuple

import pytest

from reconciler.core import json_text
from reconciler.core.json_text import corruption, decoded, encoded


class Colour(StrEnum):
    RED = "red"


class Inner(NamedTuple):
    number: int
    share: float = 0.0


class Outer(NamedTuple):
    name: str
    value: Any
    colour: Colour = Colour.RED
    inner: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = {}
    one: Inner | None = None
    free: dict[str, Any] = {}


EXAMPLE = Outer("", None, Colour.RED, (Inner(0),), {"": Inner(0)}, Inner(0))
FULL = Outer("a", [1], Colour.RED, (Inner(1, 0.5),), {"b": Inner(2, 1)}, Inner(3), {"c": None})


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"[" * 100_000,
        b'{"a": [' * 40 + b"1" + b"]}" * 40,
    ],
    ids=["lists", "objects", "open", "both"],
)
def test_deep_nesting_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"nested too deep|incomplete"):
        json_text.read(data)


def test_nesting_as_deep_as_a_manifest_is_read() -> None:
    value = json_text.read(b"[" * 64 + b"]" * 64)
    assert isinstance(value, list)


def test_brackets_in_texts_are_no_nesting() -> None:
    text = "[{" * 500
    assert json_text.read(f'["{text}"]'.encode()) == [text]


@pytest.mark.parametrize("data", [b"NaN", b"-Infinity", b"1e400", b"\xff", b"9" * 5000, b""])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.read(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"<!DOCTYPE html>", "it is a web page or XML, not JSON"),
        (b"\xff\xfe{", "it is not UTF-8 text"),
        (b"\0\1\2", "it is a binary file, not JSON"),
        (b'{\n "a": [1', "it is incomplete: it ends in line 2, column 9"),
        (b'{\n "a": "x', "it is incomplete: it ends in line 2, column 9"),
        (b'{"a"', "it is incomplete: it ends in line 1, column 5"),
        (b'{"a": 1,}', "it is not valid JSON: line 1, column 9"),
        (b"{'a': 1}", "it is not valid JSON: line 1, column 2"),
        (b'["a\tb"]', "it has a control character in line 1, column 4"),
        (b"[1]\n[2]", "it is not valid JSON: line 2, column 1"),
        (b"metadata:\n  name: a\n", "it is not valid JSON: line 1, column 1"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_ours(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        json_text.read(data)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (rb'["\ud83d\ude00", "\ud83d", "\ude00x", "\\ud800"]', ["😀", "�", "�x", "\\ud800"]),
        (rb'{"\uD800": 1}', {"�": 1}),
    ],
    ids=["byte-order-mark", "twice", "half-characters", "half-character-as-key"],
)
def test_what_is_odd_is_made_usual(data: bytes, value: object) -> None:
    assert json_text.read(data) == value


def test_a_value_is_the_same_after_it_was_json() -> None:
    data = encoded(FULL)
    assert data == {
        "name": "a",
        "value": [1],
        "colour": "red",
        "inner": [{"number": 1, "share": 0.5}],
        "by_name": {"b": {"number": 2, "share": 1}},
        "one": {"number": 3, "share": 0.0},
        "free": {"c": None},
    }
    found = decoded(EXAMPLE, data)
    assert found == FULL
    assert type(found.colour) is Colour
    assert decoded(EXAMPLE, {"name": "a", "value": None, "one": None}) == Outer("a", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": 5}, "name must be a string"),
        ({"name": None}, "name must be a string"),
        ({"colour": "blue"}, "colour must be red"),
        ({"colour": []}, "colour must be red"),
        ({"inner": {}}, "inner must be a list"),
        ({"inner": [5]}, "inner must be a mapping"),
        ({"inner": [{"share": 1.5}]}, "number is missing"),
        ({"inner": [{"number": True}]}, "number must be a number"),
        ({"inner": [{"number": 1, "share": "x"}]}, "share must be a number"),
        ({"by_name": {"b": []}}, "b must be a mapping"),
        ({"free": []}, "free must be a mapping"),
        ({"other": 1}, "a value has the wrong type"),
    ],
)
def test_what_is_not_like_the_example_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises((KeyError, TypeError)) as caught:
        decoded(EXAMPLE, encoded(FULL) | change)
    assert corruption(caught.value) == reason
