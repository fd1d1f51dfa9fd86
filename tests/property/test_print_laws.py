"""The laws of printing, for all texts: nothing from outside steers what reads the output.

Each output has a grammar: a finding, a change or an answer to a question is so many lines; a JSON
document is one; a line of GitHub's is one command of ours.
"""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hypothesis import assume, example, given
from hypothesis import strategies as st

from reconciler import render
from reconciler.core.drift import Drift, Drifted
from reconciler.core.grouping import Detail
from reconciler.core.listing import WIDE, list_monitors
from reconciler.core.model import Desired, Live, Origin
from reconciler.core.options import PlanOptions
from reconciler.core.planner import decide
from reconciler.core.printable import joined, printable
from reconciler.core.redactor import PLACEHOLDER, Redactor
from reconciler.core.result import Outcome, Result, Status
from reconciler.core.state import Record
from reconciler.errors import ConfigurationError, Diagnostic, Position
from reconciler.render.doctor import Check, CheckStatus, check_text
from reconciler.render.github import findings_github
from reconciler.render.html import plan_html
from reconciler.render.listings import list_csv, list_text
from reconciler.render.view import Made, View

from build import ACCOUNT, SCHEMAS
from markup import Page

if TYPE_CHECKING:
    from reconciler.core.plan import Plan

TEXTS = st.lists(
    st.sampled_from(
        [
            "::",
            "##[",
            "##vso[",
            "###[",
            "##VSO[",
            "#",
            "[",
            "%0A",
            "\n",
            "\r",
            "\x1b[31m",
            "\x9b",
            "\u202e",
            "\u2028",
            "\ud800",
        ]
    )
    | st.text(max_size=8)
    | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]),
    max_size=6,
).map("".join)
_COMMAND = re.compile(r"::error file=([^:,]*),line=1,col=2,title=code::(.*)")


def assert_safe(text: str, lines: int, *, is_github: bool = False) -> None:
    found = text.split("\n")
    assert len(found) == lines
    for line in found:
        assert line.isprintable()
        assert not re.search(r"##\w*\[", line)
        assert is_github or not line.lstrip().startswith("::")


def hostile(name: str, text: str) -> tuple[Desired, Live]:
    """A manifest and its monitor, full of that text."""
    kind = SCHEMAS.kinds["email-smtp"]
    switch = f"mute{text}"  # whatever the text is, a loss is told
    fields = {"note": text, switch: {f"y{text}": [text]}}
    manifest = Desired(kind, "relay", 1, {text: text}, fields, Origin(name, 0, 1))
    return manifest, Live(1, "email-smtp", {"note": f"{text}!", switch: {text: text}})


@given(TEXTS)
def test_one_text_is_one_line_and_stays_so(text: str) -> None:
    once = printable(text)
    assert_safe(once, 1)
    assert printable(once) == once
    assert_safe(joined([text, text]), 2)


@given(TEXTS, TEXTS)
def test_a_finding_is_one_line(path: str, message: str) -> None:
    finding = Diagnostic(Position(path, 1, 2), "code", message)
    assert_safe(render.findings_text([finding, finding]), 2)


@given(TEXTS, TEXTS)
def test_a_finding_is_one_command_of_github_and_no_other(path: str, message: str) -> None:
    finding = Diagnostic(Position(path, 1, 2), "code", message)
    text = findings_github([finding, finding], View())
    assert_safe(text, 2, is_github=True)
    for line in text.split("\n"):
        found = _COMMAND.fullmatch(line)
        assert found
        assert unquote(found[1]).isprintable()  # what GitHub makes of %0A
        assert unquote(found[2]).isprintable()


@given(st.recursive(TEXTS, lambda inner: st.dictionaries(TEXTS, inner, max_size=3)))
def test_json_says_the_same(value: Any) -> None:
    text = render.as_json(value)
    assert json.loads(text) == json.loads(json.dumps(value))  # two halves may become one
    assert_safe(text, len(json.dumps(value, indent=2).split("\n")))


@given(TEXTS, TEXTS)
def test_an_error_is_a_line_and_its_next_step_another(message: str, hint: str) -> None:
    text = render.error_text(ConfigurationError(message, hint))
    assert_safe(text, 2 if hint else 1)


@given(TEXTS, TEXTS)
def test_a_check_is_a_line_and_its_next_step_another(message: str, hint: str) -> None:
    text = check_text(Check("settings", CheckStatus.FAIL, message, hint))
    assert_safe(text, 2 if hint else 1)


@given(TEXTS, TEXTS)
def test_a_plan_has_the_lines_of_a_plain_one(name: str, text: str) -> None:
    def planned(name: str, text: str) -> str:
        manifest, live = hostile(name, text)
        plan = decide(ACCOUNT, [manifest], {}, [live], SCHEMAS.kinds, PlanOptions())
        json.loads(render.as_json(plan.to_json()))
        return render.plan_text(plan, show_requests=True)

    assume(not SCHEMAS.kinds["email-smtp"].hides(f"mutea{text}"))  # a hidden value has one line
    assert_safe(planned(name, f"a{text}"), len(planned("monitors/a.yaml", "abc").split("\n")))


def crowd(name: str, text: str) -> Plan:
    """Three monitors that change alike, full of that text."""
    kind = SCHEMAS.kinds["email-smtp"]
    home = {"id": 10, "name": f"at {text}"}
    wants = {"note": f"a{text}", "locations": [{"id": 10}, {"id": 72}], "home_location": 10}
    has = {"note": f"{text}!", "locations": [home], "home_location": 10}
    manifests = [
        Desired(kind, f"m{n}", n, {f"l{text}": text}, wants, Origin(name, 0, 1)) for n in (1, 2, 3)
    ]
    monitors = [Live(n, "email-smtp", {"name": f"{n}{text}", **has}) for n in (1, 2, 3)]
    monitors.append(Live(4, None, {"name": text, "locations": [{"id": 72, "name": text}]}))
    monitors.append(Live(5, "email-imap", {}))
    gone = {"email-imap/gone": Record(5, {}, {}, text, text)}
    return decide(ACCOUNT, manifests, gone, monitors, SCHEMAS.kinds, PlanOptions())


@given(TEXTS, TEXTS, st.sampled_from(Detail), st.booleans())
def test_groups_have_the_lines_of_plain_ones(
    name: str, text: str, detail: Detail, show_requests: bool
) -> None:
    def shown(name: str, text: str, *, colour: bool = False) -> str:
        plan = crowd(name, text)
        return render.plan_text(plan, detail=detail, show_requests=show_requests, colour=colour)

    lines = len(shown("monitors/a.yaml", "abc").split("\n"))
    assert_safe(shown(name, text), lines)
    coloured = shown(name, text, colour=True)
    assert_safe(re.sub("\x1b\\[[0-9]+m", "", coloured), lines)
    assert_safe(render.summary_text(crowd(name, text)), 4)


@given(TEXTS, TEXTS)
def test_a_result_has_the_lines_of_a_plain_one(name: str, text: str) -> None:
    def shown(name: str, text: str) -> str:
        failed, late, moved = crowd(name, f"b{text}").changes
        outcomes = (
            Outcome(failed, Status.FAILED, text),
            Outcome(late, Status.NOT_KEPT, text, not_kept=late.fields),
            Outcome(moved, Status.MOVED, text, moved=moved.fields),
        )
        return render.result_text(Result(ACCOUNT, outcomes))

    assert_safe(shown(name, text), len(shown("monitors/a.yaml", "abc").split("\n")))


@given(TEXTS)
def test_drift_has_the_lines_of_a_plain_one(text: str) -> None:
    drift = Drift(ACCOUNT, (Drifted(text, 1, text, text, ()),), 1)
    assert_safe(render.drift_text(drift), 4)


@given(TEXTS, TEXTS)
def test_a_page_has_the_elements_of_a_plain_one(name: str, text: str) -> None:
    kind = SCHEMAS.kinds["email-smtp"]
    assume(not any(map(kind.hides, (f"muteya{text}", f"a{text}<b>"))))  # such as TOKEN

    def elements(name: str, text: str) -> list[tuple[str, list[str]]]:
        manifest, live = hostile(name, text)
        plan = decide(ACCOUNT, [manifest], {}, [live], SCHEMAS.kinds, PlanOptions())
        page = plan_html(plan, View(made=Made(*[text] * len(Made._fields))))
        assert all(char.isprintable() or char == "\n" for char in page)
        return [(item.tag, [name for name, _ in item.attributes]) for item in Page(page).elements]

    assert elements(name or "x", f"a{text}<b>\"'") == elements("monitors/a.yaml", "abc")


@given(TEXTS, st.sampled_from(["", "=", "+", "-", "@", " ="]))
def test_a_monitor_is_one_row_and_no_formula(text: str, start: str) -> None:
    fields = {"name": f"{start}{text}", "hostname": text, "locations": [{"id": 10, "name": text}]}
    manifest = Desired(SCHEMAS.kinds["email-smtp"], "relay", 1, {"x": text}, {}, Origin(text, 0, 1))
    live = [Live(1, "email-smtp", fields), Live(2, "email-smtp", fields)]
    listing = list_monitors(ACCOUNT, [manifest], {}, live, SCHEMAS.kinds)
    assert_safe(list_text(listing, WIDE), 3)
    table = list_csv(listing, WIDE)
    assert_safe(table, 3)
    for row in csv.reader(table.split("\n")):
        assert len(row) == len(WIDE)
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in row)
    json.loads(render.as_json(listing.to_json()))


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=20, max_size=20))
@example('::a##b[c]"",==  d"e\\')
def test_a_secret_is_found_in_each_row_of_a_list(secret: str) -> None:
    redactor = Redactor()
    redactor.know(secret)
    live = [Live(1, "email-smtp", {"name": f"a {secret}"}), Live(2, "email-smtp", {"name": secret})]
    listing = list_monitors(ACCOUNT, [], {}, live, SCHEMAS.kinds)
    for text in (list_csv(listing, WIDE), list_text(listing, WIDE)):
        assert redactor.text(text).count(PLACEHOLDER) == 2
