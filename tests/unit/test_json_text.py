import pytest

from reconciler.core import json_text


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
