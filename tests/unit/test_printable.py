import json

import pytest

from reconciler.core.printable import Lines, joined, json_lines, printable

_HOSTILE = ("\x1b[31m", "\x9b31m", "\u202e", "\u2066", "a\nb", "a\rb", "\u2028", "\x7f", "\udcff")


@pytest.mark.parametrize("text", _HOSTILE, ids=ascii)
def test_what_steers_a_terminal_is_shown_by_its_code(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert "\\" in shown


@pytest.mark.parametrize("text", ["plain", "größe 日本 😀", "a: b::c", "#1 ## heading"])
def test_usual_text_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", r"\x3a:error::x"),
        ("  ::set-output name=x::y", r"  \x3a:set-output name=x::y"),
        ("file ##[command]rm", r"file \x23#[command]rm"),
        ("##vso[task.setvariable]", r"\x23#vso[task.setvariable]"),
        ("##teamcity[x]", r"\x23#teamcity[x]"),
    ],
)
def test_no_text_is_a_command_of_a_runner(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_each_text_stays_one_line() -> None:
    assert joined(["a\nb", "c"]) == "a\\nb\nc"


def test_colours_are_kept_where_they_may_be() -> None:
    painted = "\x1b[31mred\x1b[0m\x1b[2J"
    assert joined([painted], colour=True) == "\x1b[31mred\x1b[0m\\x1b[2J"
    assert "\x1b" not in joined([painted])


@pytest.mark.parametrize("text", [*_HOSTILE, "##[x]", "😀\U000e0001"], ids=ascii)
def test_json_says_the_same_and_is_safe(text: str) -> None:
    shown = json_lines(json.dumps({text: [text]}, indent=2, ensure_ascii=False))
    assert isinstance(shown, Lines)
    assert json.loads(shown) == {text: [text]}
    assert shown.replace("\n", "").isprintable()
    assert "##[" not in shown
