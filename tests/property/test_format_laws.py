"""The laws of formats, for all texts: what comes from outside is text, and nothing else.

Each format is read by a real parser of its grammar. Whatever stands in a value, the parser finds
the same structure as for a value that holds harmless words, and the text where text belongs.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

from hypothesis import assume, example, given
from hypothesis import strategies as st
from junitparser import JUnitXml
from markdown_it import MarkdownIt

from reconciler.cli.formats import Subject, formats, renderer
from reconciler.core.diff import Cause, FieldChange, Leaf
from reconciler.core.drift import Drift, Drifted
from reconciler.core.model import Account, Origin
from reconciler.core.plan import (
    Action,
    Binding,
    BindingAction,
    Change,
    Coverage,
    Loss,
    Measurements,
    Note,
    NoteCode,
    Plan,
    Reason,
    Refusal,
)
from reconciler.core.printable import printable
from reconciler.core.redactor import PLACEHOLDER, Redactor
from reconciler.core.result import Outcome, Result, Status
from reconciler.errors import Diagnostic, Position, Severity
from reconciler.render.github import outputs_text
from reconciler.render.view import View, in_repository

_PIECES = [
    "::",
    "::error::",
    "##[group]",
    "##vso[task]",
    "%0A",
    "\n",
    "\r\n",
    "\x1b[31m",
    "\x9b",
    "\u202e",
    "\u2028",
    "\ud800",
    "\ufffe",
    "\x00",
    "```",
    "````",
    "~~~",
    "`",
    "|",
    "# ",
    "- ",
    "> ",
    "    ",
    "<script>",
    "</details>",
    "<!--",
    "-->",
    "]]>",
    "&amp;",
    "&#0;",
    '"',
    "'",
    "[x](https://a.example)",
    "![x](y)",
    "@somebody",
    "#1",
    "https://a.example",
    "$x$",
    "{0}",
    "=1+1",
    "@@",
    "\\",
    "<![CDATA[",
]
TEXTS = st.lists(st.sampled_from(_PIECES) | st.text(max_size=6), max_size=5).map("".join)
_VIEW = View(show_requests=True, folder="/repo/fleet", root="/repo")
_RUNNER = re.compile(r"##\w*\[")
_COMMAND = re.compile(r"::(error|warning|notice) ((?:\w+=[^,:]*,)*\w+=[^,:]*)::(.*)")


class Case(NamedTuple):
    subject: Subject
    value: Any


def cases(text: str, count: int = 1) -> list[Case]:
    """A value of each sort, with that text wherever one comes from outside."""
    origin = Origin(f"monitors/{text}", 0, 3)
    fields = (
        FieldChange(text, text, text + "!", default=text),
        FieldChange(
            f"a{text}", [text], [text, 1], (Leaf(f"a{text}[0]", text, None),), cause=Cause.BOTH
        ),
        FieldChange("c", None, [{"id": text}], cause=Cause.DRIFT, applied=text),
        FieldChange("s", None, None, source=f"env:{text}"),
        FieldChange("w", None, text, sent_with=text),
        FieldChange("r", text, 1, cause=Cause.RESTORE, before_run=text),
    )
    changes = tuple(
        Change(
            action,
            f"email-smtp/{number}{text}",
            "email-smtp",
            1,
            {text: text},
            some,
            origin,
            reason,
        )
        for number in range(count)
        for action, some, reason in (
            (Action.CREATE, fields, None),
            (Action.UPDATE, fields, None),
            (Action.UPDATE, fields[:1], Reason.RETIRED),
            (Action.DELETE, (), None),
        )
    )
    plan = Plan(
        Account(text, text),
        changes,
        (Binding(f"email-smtp/m{text}", BindingAction.MOVE, 4, f"email-smtp/{text}"),),
        (Refusal(f"email-smtp/r{text}", "code", text, text, origin),),
        (
            Note(f"email-smtp/n{text}", NoteCode.RELEASED, 5, text, "kept"),
            Note(f"email-smtp/o{text}", NoteCode.STALE_NAME, 6, None, text),
        ),
        coverage=Coverage(
            9,
            (Loss(f"email-smtp/0{text}", 1, ("disabled",), {text: "disabled"}, {"l": text}),),
            Measurements(1, 2),
        ),
    )
    drift = Drift(
        Account(text, text),
        (
            Drifted(f"email-smtp/{text}", 1, text, text, fields[:2]),
            Drifted(text, 2, text, text, ()),
        ),
        1,
    )
    outcomes = tuple(
        Outcome(change, status, text, not_kept=fields[:1])
        for change, status in zip(changes * 2, Status, strict=False)
    )
    findings = [
        Diagnostic(Position(text or "a", 1, 2), code, text, severity)
        for code in ("type", "silenced")
        for severity in Severity
    ]
    return [
        Case(Subject.PLAN, plan),
        Case(Subject.DRIFT, drift),
        Case(Subject.RESULT, Result(Account(text, text), outcomes, run=text)),
        Case(Subject.FINDINGS, findings),
    ]


def rendered(name: str, text: str, count: int = 1) -> tuple[str, ...]:
    return tuple(
        renderer(name, case.subject)(case.value, _VIEW)
        for case in cases(text, count)
        if name in formats(case.subject)
    )


@lru_cache
def harmless_ones(name: str, count: int = 1) -> tuple[str, ...]:
    """What a value with harmless words gives."""
    return rendered(name, "word", count)


def assert_lines_are_safe(text: str, *, may_command: bool = False) -> None:
    assert text.replace("\n", "").isprintable()
    assert not _RUNNER.search(text)
    if not may_command:
        assert not any(line.lstrip().startswith("::") for line in text.split("\n"))


def markdown_shape(text: str) -> list[Any]:
    """The structure of a document, and all of its text that is not in a fence."""

    def shape(tokens: list[Any]) -> list[Any]:
        return [
            [token.type, token.tag, token.info, None if token.type == "fence" else token.content]
            + ([shape(token.children)] if token.children else [])
            for token in tokens
        ]

    return shape(
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    )


@given(TEXTS)
def test_markdown_holds_it_in_fences_only(text: str) -> None:
    for count in (1, 6):  # one by one, and folded
        for hostile, harmless in zip(
            rendered("markdown", text, count), harmless_ones("markdown", count), strict=True
        ):
            assert_lines_are_safe(hostile)
            found, expected = markdown_shape(hostile), markdown_shape(harmless)
            assert [item for item in found if item[0] != "fence"] == [
                item for item in expected if item[0] != "fence"
            ]
            assert len(found) == len(expected)


@given(TEXTS)
def test_where_all_of_it_is_stands_in_a_fence(text: str) -> None:
    def shape(whole: str) -> list[Any]:
        view = _VIEW._replace(whole=whole or "-", limit=1)
        return markdown_shape(renderer("markdown", Subject.PLAN)(cases("word")[0].value, view))

    for whole in (text, f"```\n{text}", "```", f"~~~{text}"):
        assert shape(whole) == shape("word")


@given(TEXTS)
def test_junit_holds_it_as_text_and_attributes(text: str) -> None:
    for hostile, harmless in zip(rendered("junit", text), harmless_ones("junit"), strict=True):
        assert_lines_are_safe(hostile)
        assert xml_shape(hostile) == xml_shape(harmless)
        (suite,) = JUnitXml.fromstring(hostile.encode())
        assert suite.tests == len(list(suite)) > 0
        ends = [end.__class__.__name__ for case in suite for end in case.result]
        assert (suite.failures, suite.errors, suite.skipped) == tuple(
            map(ends.count, ("Failure", "Error", "Skipped"))
        )


def xml_shape(text: str) -> list[Any]:
    return [
        (item.tag, sorted(item.attrib)) for item in JUnitXml.fromstring(text.encode())._elem.iter()
    ]


@given(TEXTS)
def test_json_formats_hold_it_as_strings(text: str) -> None:
    for name in ("gitlab-codequality", "gitlab-terraform", "sarif"):
        for hostile, harmless in zip(rendered(name, text), harmless_ones(name), strict=True):
            assert_lines_are_safe(hostile)
            assert json_shape(json.loads(hostile)) == json_shape(json.loads(harmless))


def json_shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: json_shape(item) for key, item in value.items()} if "uri" not in value else {}
    return [json_shape(item) for item in value] if isinstance(value, list) else type(value)


@given(TEXTS)
def test_a_message_of_sarif_has_no_link_and_no_placeholder(text: str) -> None:
    (log,) = rendered("sarif", text)
    for result in json.loads(log)["runs"][0]["results"]:
        message = result["message"]["text"]
        bare = re.sub(r"\\[\\\[\]]|\{\{|\}\}", "", message)
        assert not set("[]{}") & set(bare)
        (place,) = result["locations"]
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"(?:[\w./~-]|%[0-9A-F]{2}|^file:)*", uri, re.ASCII), uri


@given(TEXTS.filter(bool))
@example("\\")
def test_github_finds_our_commands_and_no_others(text: str) -> None:
    """Of a text, since one that is empty is not said."""
    for hostile, harmless in zip(rendered("github", text), harmless_ones("github"), strict=True):
        assert_lines_are_safe(hostile, may_command=True)
        ours, others = parted(hostile)
        assert len(ours) == len(parted(harmless)[0]) > 0
        assert not any(line.lstrip().startswith("::") for line in others)
        assert len(others) == len(parted(harmless)[1])


def parted(text: str) -> tuple[list[Any], list[str]]:
    """The commands in a log, and its other lines."""
    lines = text.split("\n")
    found = [_COMMAND.fullmatch(line) for line in lines]
    return [item for item in found if item], [
        line for line, item in zip(lines, found, strict=True) if not item
    ]


@given(TEXTS)
def test_an_output_of_a_step_is_one_line(text: str) -> None:
    lines = outputs_text({"changes": "true", "report": text}).split("\n")
    assert lines == ["changes=true", f"report={printable(text)}"]


@given(TEXTS)
def test_a_finding_in_code_quality_is_valid(text: str) -> None:
    (report,) = rendered("gitlab-codequality", text)
    entries = json.loads(report)
    assert len({entry["fingerprint"] for entry in entries}) == len(entries) == 6
    for entry in entries:
        assert entry["description"]
        assert entry["check_name"]
        assert entry["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert entry["location"]["lines"]["begin"] >= 1
        assert not entry["location"]["path"].startswith("./")


@given(st.lists(st.sampled_from(["a", "b", ".", "..", ""])), st.booleans())
def test_a_path_in_the_repository_has_no_dots(steps: list[str], from_root: bool) -> None:
    path = ("/repo/" if from_root else "") + "/".join(["x", *steps, "y"])
    found = in_repository(path, _VIEW)
    assert found.endswith("y")
    assert not {"", ".", ".."} & set(found.removeprefix("/").split("/"))


_BRIEF = re.compile('<span class="brief">.*?</span>')
"""Has as much of a row as there is space."""
_ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="/")
"""Without what divides addresses and paths."""


def taken_out(secret: str, name: str) -> list[int]:
    """How often a secret is taken out of each value in a format, when it stands everywhere."""
    redactor = Redactor()
    redactor.know(secret)
    found = []
    for shown in rendered(name, secret):
        text = _BRIEF.sub("", shown)
        clean = redactor.document(text, is_shown=True) if is_json(text) else redactor.text(text)
        found.append(clean.count(PLACEHOLDER))
    return found


def is_json(text: str) -> bool:
    return text.startswith(("{", "["))


@given(st.text(_ASCII, min_size=20, max_size=20))
@example("::a##vso[b]##x%,\"'&<")
@example("##a&'\"<>{}[]\\:,%=+`##")
def test_a_secret_is_found_as_each_format_spells_it(secret: str) -> None:
    assume(secret == secret.strip())
    for name in ("markdown", "html", "github", "junit", "sarif"):
        assume(not any(secret in text for text in harmless_ones(name)))  # our own words
        assert taken_out(secret, name) == taken_out("abcdefghij0123456789", name), name
