"""Setting fields in the text of a manifest: what stands before, and what stands after."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.manifests.editor import set_fields
from reconciler.manifests.edits import ABSENT, FieldEdit, NotEditableError

SPEC = "kind: email-smtp\nspec:\n  name: Relay # shown\n{}  port: 25\nextra: {{}}\n"
BLOCK_LIST = """\
spec:
  # where it runs from
  locations: # a set
    - id: 10 # Fort Lauderdale
    # the second one
    - id: 20 # Atlanta
    - {id: 30} # Fremont
  name: x
"""
FLOW_LIST = """\
spec:
  locations: [
    {id: 10},
    {id: 20},
    {id: 30}
  ] # a set
"""
NOTE = "spec:\n  note: | # {}\n    one\n    two\n\n  # about the port\n  port: 25\n"


def ids(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


# The field of spec, its new value, the text before and the text after.
EDITS: dict[str, tuple[str, Any, str, str]] = {
    "plain": ("port", 587, "spec:\n  port: 25  # x\n", "spec:\n  port: 587  # x\n"),
    "of no change": ("port", 25, "spec:\n  port: 0x19\n", "spec:\n  port: 0x19\n"),
    "plain text": ("name", "B b", "spec:\n  name: A a # x\n", "spec:\n  name: B b # x\n"),
    "plain text that needs quotes": (
        "name",
        "B: b",
        "spec:\n  name: A\n",
        "spec:\n  name: 'B: b'\n",
    ),
    "plain text that needs escapes": (
        "name",
        "B\u200b",
        "spec:\n  name: A\n",
        'spec:\n  name: "B\\u200b"\n',
    ),
    "single quotes": ("name", "it's", "spec:\n  name: 'A'\n", "spec:\n  name: 'it''s'\n"),
    "single quotes and a break": (
        "name",
        "a\nb",
        "spec:\n  name: 'A'\n",
        'spec:\n  name: "a\\nb"\n',
    ),
    "double quotes": ("name", "B", 'spec:\n  name: "A" # x\n', 'spec:\n  name: "B" # x\n'),
    "quotes to none": ("enabled", False, 'spec: {enabled: "true"}', "spec: {enabled: false}"),
    "cleared": ("note", "", "spec:\n  note: A\n", "spec:\n  note: ''\n"),
    "an unset one": ("note", "A", "spec:\n  note:\n  a: 1\n", "spec:\n  note: A\n  a: 1\n"),
    "two lines": ("name", "B", "spec:\n  name: A\n    a # x\n", "spec:\n  name: B # x\n"),
    "on the next line": ("name", "B", "spec:\n  name:\n    A\n", "spec:\n  name:\n    B\n"),
    "a number as text": ("name", "25", "spec:\n  name: A\n", "spec:\n  name: '25'\n"),
    "explicit key": ("port", 587, "spec:\n  ? port\n  : 25\n", "spec:\n  ? port\n  : 587\n"),
    "tag": ("port", 587, "spec:\n  port: !!int 25\n", "spec:\n  port: 587\n"),
    "tag and anchor": ("port", 587, "spec:\n  port: &p !!int 25\n", "spec:\n  port: &p 587\n"),
    "anchor": ("port", 587, "spec:\n  port: &p 25\n", "spec:\n  port: &p 587\n"),
    "alias": ("port", 587, "x: &p 25\nspec:\n  port: *p\n", "x: &p 25\nspec:\n  port: 587\n"),
    "CRLF": ("port", 587, "spec:\r\n  port: 25\r\n", "spec:\r\n  port: 587\r\n"),
    "byte order mark": ("port", 587, "\ufeffspec: {port: 25}\n", "\ufeffspec: {port: 587}\n"),
    "beyond the first plane": (
        "port",
        587,
        "spec: {name: \U0001f600, port: 25}",
        "spec: {name: \U0001f600, port: 587}",
    ),
    "JSON": ("port", 587, '{"spec":{"port":25}}', '{"spec":{"port":587}}'),
    "text in JSON": ("a", "b", '{"spec": {"a": null}}', '{"spec": {"a": "b"}}'),
    "list in JSON": (
        "locations",
        ids(10),
        '{"spec": {"locations": []}}',
        '{"spec": {"locations": [{"id": 10}]}}',
    ),
    "plain text beside a quoted key": ("a", "c", 'spec: {"a": b}', 'spec: {"a": c}'),
    "flow text": ("name", "a, b", "spec: {name: x}", "spec: {name: 'a, b'}"),
    # texts of several lines
    "block": (
        "note",
        "one\n3\n",
        NOTE.format("x"),
        NOTE.format("x").replace("two", "3"),
    ),
    "block that is stripped": (
        "note",
        "one\ntwo",
        NOTE.format("x"),
        NOTE.format("x").replace("|", "|-"),
    ),
    "block that is kept": (
        "note",
        "one\n\n",
        NOTE.format("x"),
        NOTE.format("x").replace("|", "|+").replace("    two\n", ""),
    ),
    "block that begins with a blank": (
        "note",
        " one\ntwo\n",
        NOTE.format("x"),
        NOTE.format("x").replace("|", "|2").replace("    one", "     one"),
    ),
    "block to one line": (
        "note",
        "one",
        NOTE.format("x"),
        NOTE.format("x").replace("|", "|-").replace("    two\n", ""),
    ),
    "block to nothing": (
        "note",
        "",
        NOTE.format("x"),
        NOTE.format("x").replace("|", '""').replace("    one\n    two\n", ""),
    ),
    "block with what it cannot hold": (
        "note",
        "one\r\ntwo\n",
        NOTE.format("x"),
        NOTE.format("x").replace("|", '"one\\r\\ntwo\\n"').replace("    one\n    two\n", ""),
    ),
    "folded": (
        "note",
        "one two\nthree\n",
        "spec:\n  note: >\n    one\n    two\n  a: 1\n",
        "spec:\n  note: >\n    one two\n\n    three\n  a: 1\n",
    ),
    "folded with what it cannot hold": (
        "note",
        "one\n  two\n",
        "spec:\n  note: >\n    one\n  a: 1\n",
        "spec:\n  note: |\n    one\n      two\n  a: 1\n",
    ),
    "block at the end": ("note", "2", "spec:\n note: |-\n   1", "spec:\n note: |-\n   2"),
    "block without content": (
        "note",
        "a",
        "spec:\n  note: |-\n\n  b: 1\n",
        "spec:\n  note: |-\n    a\n\n  b: 1\n",
    ),
    "plain to block": (
        "note",
        "a\nb",
        "spec:\n  note: a # x\n  b: 1\n",
        "spec:\n  note: |- # x\n    a\n    b\n  b: 1\n",
    ),
    "flow to several lines": ("note", "a\nb", "spec: {note: a}", 'spec: {note: "a\\nb"}'),
    "CRLF in a block": (
        "note",
        "a\nb\n",
        "spec:\r\n  note: |\r\n    a\r\n  b: 1\r\n",
        "spec:\r\n  note: |\r\n    a\r\n    b\r\n  b: 1\r\n",
    ),
    # fields that are not there
    "added": ("port", 25, "spec:\n  a: 1 # x\n\nb: 1\n", "spec:\n  a: 1 # x\n  port: 25\n\nb: 1\n"),
    "added at the end": ("port", 25, "spec:\n    a: 1", "spec:\n    a: 1\n    port: 25"),
    "added behind a list": (
        "port",
        25,
        "spec:\n  a:\n    - 1\n    # - 2\nb: 1\n",
        "spec:\n  a:\n    - 1\n  port: 25\n    # - 2\nb: 1\n",
    ),
    "added behind a block": (
        "port",
        25,
        "spec:\n  a: |\n    x\n\nb: 1\n",
        "spec:\n  a: |\n    x\n  port: 25\n\nb: 1\n",
    ),
    "added behind a block that keeps": (
        "port",
        25,
        "spec:\n  a: |+\n    x\n\nb: 1\n",
        "spec:\n  a: |+\n    x\n\n  port: 25\nb: 1\n",
    ),
    "added in flow": ("port", 25, "spec: {a: 1, }", "spec: {a: 1, port: 25, }"),
    "added in JSON": ("port", 25, '{"spec":{"a":1}}', '{"spec":{"a":1, "port": 25}}'),
    "added in flow on lines": (
        "port",
        25,
        "spec: {\n  a: 1,\n  b: 2\n} # x\n",
        "spec: {\n  a: 1,\n  b: 2,\n  port: 25\n} # x\n",
    ),
    "added to nothing": ("port", 25, "spec: {}", "spec: {port: 25}"),
    "a list added": (
        "locations",
        ids(10, 20),
        "spec:\n  a: 1\n",
        "spec:\n  a: 1\n  locations: [{id: 10}, {id: 20}]\n",
    ),
    "a long text added": (
        "note",
        "a\nb\n",
        "spec:\n  a: 1\n",
        "spec:\n  a: 1\n  note: |\n    a\n    b\n",
    ),
    "added with CRLF": ("port", 25, "spec:\r\n a: 1\r\n", "spec:\r\n a: 1\r\n port: 25\r\n"),
    # fields that are removed
    "removed": ("a", ABSENT, "spec:\n  # x\n  a: 1 # y\n  b: 1\n", "spec:\n  # x\n  b: 1\n"),
    "removed with its list": (
        "a",
        ABSENT,
        "spec:\n  a:\n    - 1\n    - 2\n  b: 1\n",
        "spec:\n  b: 1\n",
    ),
    "removed, the last": ("b", ABSENT, "spec:\n  a: 1\n  b: 1", "spec:\n  a: 1\n"),
    "removed, the only one": ("a", ABSENT, "spec:\n  a: 1\nb: 1\n", "spec: {}\nb: 1\n"),
    "removed in flow": ("a", ABSENT, "spec: {a: 1, b: 2}", "spec: {b: 2}"),
    "removed in flow, the last": ("b", ABSENT, "spec: { a: 1, b: 2 }", "spec: { a: 1 }"),
    "removed in flow, the only one": ("a", ABSENT, "spec: { a: 1 }", "spec: {}"),
    "removed though not there": ("b", ABSENT, "spec: {a: 1}", "spec: {a: 1}"),
    # lists
    "element removed": (
        "locations",
        ids(30, 10),
        BLOCK_LIST,
        BLOCK_LIST.replace("    - id: 20 # Atlanta\n", ""),
    ),
    "first element removed": (
        "locations",
        ids(20, 30),
        BLOCK_LIST,
        BLOCK_LIST.replace("    - id: 10 # Fort Lauderdale\n", ""),
    ),
    "element added": (
        "locations",
        ids(40, 10, 20, 30),
        BLOCK_LIST,
        BLOCK_LIST.replace("# Fremont\n", "# Fremont\n    - {id: 40}\n"),
    ),
    "element exchanged": (
        "locations",
        ids(10, 20, 40),
        BLOCK_LIST.replace("{id: 30}", "id: 30"),
        BLOCK_LIST.replace("{id: 30} # Fremont", "id: 40"),
    ),
    "all elements exchanged": (
        "locations",
        ids(40),
        "spec:\n  locations:\n  - id: 10\n  - id: 20\n  a: 1\n",
        "spec:\n  locations:\n  - id: 40\n  a: 1\n",
    ),
    "wide dashes": (
        "locations",
        ids(10, 20),
        "spec:\n  locations:\n    -   id: 10\n",
        "spec:\n  locations:\n    -   id: 10\n    -   id: 20\n",
    ),
    "dash on its own line": (
        "locations",
        ids(10, 20),
        "spec:\n  locations:\n    -\n      id: 10\n    - # x\n      id: 30\n",
        "spec:\n  locations:\n    -\n      id: 10\n    - id: 20\n",
    ),
    "element in place": (
        "custom_properties",
        [{"id": 228, "value_id": 551}],
        "spec:\n  custom_properties:\n    - id: 228 # x\n      value_id: 550 # y\n",
        "spec:\n  custom_properties:\n    - id: 228 # x\n      value_id: 551 # y\n",
    ),
    "element without its first keys": (
        "custom_properties",
        [{"id": 228}],
        "spec:\n  custom_properties:\n    - a: 1\n      b: 2\n      id: 228\n      c: 3 # x\n",
        "spec:\n  custom_properties:\n    - id: 228\n",
    ),
    "element with two keys": (
        "custom_properties",
        [{"id": 1, "value_id": 2}, {"id": 3, "value_id": 4}],
        "spec:\n  custom_properties:\n    - id: 1\n      value_id: 2\n",
        (
            "spec:\n  custom_properties:\n    - id: 1\n      value_id: 2\n"
            "    - id: 3\n      value_id: 4\n"
        ),
    ),
    "list to nothing": (
        "custom_properties",
        [],
        "spec:\n  custom_properties: # x\n    - {id: 1}\n    - {id: 2}\n  a: 1\n",
        "spec:\n  custom_properties: [] # x\n  a: 1\n",
    ),
    "flow list to nothing": (
        "custom_properties",
        [],
        "spec: {custom_properties: [1]}",
        "spec: {custom_properties: []}",
    ),
    "nothing to a list": (
        "custom_properties",
        [{"id": 1}],
        "spec:\n  custom_properties: [ ] # x\n",
        "spec:\n  custom_properties: [{id: 1}] # x\n",
    ),
    "flow element removed": (
        "locations",
        ids(10, 30),
        "spec: {locations: [{id: 10}, {id: 20}, {id: 30}]}",
        "spec: {locations: [{id: 10}, {id: 30}]}",
    ),
    "first flow element removed": (
        "locations",
        ids(20),
        "spec:\n  locations: [ {id: 10}, {id: 20} ]\n",
        "spec:\n  locations: [ {id: 20} ]\n",
    ),
    "last flow element removed": (
        "locations",
        ids(10),
        "spec:\n  locations: [{id: 10}, {id: 20}, ]\n",
        "spec:\n  locations: [{id: 10}, ]\n",
    ),
    "flow element added": (
        "locations",
        ids(30, 20, 10),
        "spec:\n  locations: [{id: 20},{id: 10}] # x\n",
        "spec:\n  locations: [{id: 20},{id: 10}, {id: 30}] # x\n",
    ),
    "flow element exchanged": (
        "locations",
        ids(10, 30),
        "spec:\n  locations: [{id: 10}, {id: 20}]\n",
        "spec:\n  locations: [{id: 10}, {id: 30}]\n",
    ),
    "flow lines, the middle removed": (
        "locations",
        ids(10, 30),
        FLOW_LIST,
        FLOW_LIST.replace("    {id: 20},\n", ""),
    ),
    "flow lines, the first removed": (
        "locations",
        ids(20, 30),
        FLOW_LIST,
        FLOW_LIST.replace("    {id: 10},\n", ""),
    ),
    "flow lines, the last removed": (
        "locations",
        ids(10, 20),
        FLOW_LIST,
        FLOW_LIST.replace("{id: 20},\n    {id: 30}", "{id: 20}"),
    ),
    "flow lines, one added": (
        "locations",
        ids(10, 20, 30, 40),
        FLOW_LIST,
        FLOW_LIST.replace("{id: 30}", "{id: 30},\n    {id: 40}"),
    ),
    "flow lines, all exchanged": (
        "locations",
        ids(40, 50),
        FLOW_LIST,
        "spec:\n  locations: [\n    {id: 40},\n    {id: 50}\n  ] # a set\n",
    ),
    "flow line, one added": (
        "locations",
        ids(10, 20),
        "spec:\n  locations: [\n    {id: 10},\n  ]\n",
        "spec:\n  locations: [\n    {id: 10},\n    {id: 20},\n  ]\n",
    ),
    "flow lines with comments, nothing added or removed": (
        "custom_properties",
        [{"id": 1, "value_id": 3}],
        "spec:\n  custom_properties: [ # x\n    {id: 1, value_id: 2} # y\n  ]\n",
        "spec:\n  custom_properties: [ # x\n    {id: 1, value_id: 3} # y\n  ]\n",
    ),
    "flow list with something new in front": ("x", [1, 2], "spec: {x: [2]}", "spec: {x: [1, 2]}"),
    "list with something new in front": (
        "x",
        [1, 2, 3],
        "spec:\n  x:\n    - 3 # c\n",
        "spec:\n  x:\n    - 1\n    - 2\n    - 3 # c\n",
    ),
    "list of lists": (
        "x",
        [[1, 3]],
        "spec:\n  x:\n  - - 1\n    - 2\n",
        "spec:\n  x:\n  - [1, 3]\n",
    ),
    "block in a list": (
        "x",
        [{"id": 1, "text": "a\nc"}],
        "spec:\n  x:\n    - text: |-\n        a\n        b\n      id: 1\n",
        "spec:\n  x:\n    - id: 1\n      text: |-\n        a\n        c\n",
    ),
    "pairs without braces": (
        "locations",
        ids(10, 30),
        "spec: {locations: [id: 10, id: 20]}",
        "spec: {locations: [id: 10, {id: 30}]}",
    ),
    "aliased list": (
        "locations",
        ids(10),
        "x: &l [{id: 10}, {id: 20}]\nspec:\n  locations: *l\n",
        "x: &l [{id: 10}, {id: 20}]\nspec:\n  locations: [{id: 10}]\n",
    ),
    "aliased element": (
        "locations",
        ids(10, 30),
        "x: &l {id: 10}\nspec:\n  locations: [*l, {id: 20}]\n",
        "x: &l {id: 10}\nspec:\n  locations: [*l, {id: 30}]\n",
    ),
}


@pytest.mark.parametrize(("field", "value", "before", "after"), EDITS.values(), ids=EDITS)
def test_nothing_else_changes(field: str, value: Any, before: str, after: str) -> None:
    is_set = field in {"locations", "custom_properties"}
    wanted = FieldEdit(value, "id" if is_set else None)
    edited = set_fields(before.encode(), {0: {("spec", field): wanted}})
    assert edited.decode() == after


def test_several_fields_of_several_documents_at_once() -> None:
    text = (
        "# first\nspec: {port: 25}\n---\n---\nspec:\n  name: a # x\n  note: b\n"
        "extra: {x: {y: [1, 2]}}\n"
    )
    edits = {
        0: {("spec", "port"): FieldEdit(587)},
        2: {
            ("spec", "note"): FieldEdit(ABSENT),
            ("spec", "name"): FieldEdit("c"),
            ("spec", "port"): FieldEdit(993),
            ("extra", "x"): FieldEdit({"y": [1, 3], "z": None}),
        },
    }
    assert set_fields(text.encode(), edits).decode() == (
        "# first\nspec: {port: 587}\n---\n---\nspec:\n  name: c # x\n  port: 993\n"
        "extra: {x: {y: [1, 3], z: null}}\n"
    )


def test_a_section_that_is_not_there_is_added() -> None:
    text = "kind: x # y\nspec:\n  a: 1\n"
    edits = {0: {("extra", "b"): FieldEdit([1]), ("extra", "c"): FieldEdit(ABSENT)}}
    assert set_fields(text.encode(), edits).decode() == f"{text}extra: {{b: [1]}}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("spec:\n  a: 1\nextra:\n  b: 1 # x\n  c: 2\n# y\n", "spec:\n  a: 1\n# y\n"),
        ("extra: {b: 1, c: 2} # x\nspec:\n  a: 1\n", "spec:\n  a: 1\n"),
        ("{extra: {b: 1, c: 2}, spec: {a: 1}}", "{spec: {a: 1}}"),
        ("extra:\n  # x\n  b: 1\nspec: {}\n", "extra: {}\n  # x\nspec: {}\n"),
    ],
)
def test_a_section_that_says_nothing_leaves(before: str, after: str) -> None:
    """But for one that has a comment on a line of its own, which stays."""
    edits = {0: {("extra", "b"): FieldEdit(ABSENT), ("extra", "c"): FieldEdit(ABSENT)}}
    assert set_fields(before.encode(), edits).decode() == after


def test_one_section_leaves_and_another_comes() -> None:
    text = "spec:\n  a: 1\nlifecycle: {until: x}\n"
    edits = {0: {("lifecycle", "until"): FieldEdit(ABSENT), ("extra", "b"): FieldEdit(1)}}
    assert set_fields(text.encode(), edits).decode() == "spec:\n  a: 1\nextra: {b: 1}\n"


def test_a_section_without_fields_is_filled() -> None:
    edits = {0: {("spec", "a"): FieldEdit(1)}}
    assert set_fields(b"spec:\nkind: x\n", edits).decode() == "spec: {a: 1}\nkind: x\n"


def test_an_anchor_that_is_repeated_nowhere_else_stays() -> None:
    text = "spec:\n  a: &x 25\n  b: *x\n"
    edits = {0: {("spec", "a"): FieldEdit(1), ("spec", "b"): FieldEdit(2)}}
    assert set_fields(text.encode(), edits).decode() == "spec:\n  a: &x 1\n  b: 2\n"


# The field of spec, its new value, the text, and what is said.
REFUSALS: dict[str, tuple[str, Any, str, str]] = {
    "repeated": ("a", 1, "spec:\n  a: &x 25\n  b: *x\n", "marked &x, and line 3 repeats it"),
    "repeated element": (
        "locations",
        ids(10),
        "spec:\n  locations:\n    - id: 10\n    - &x\n      id: 20\nb: *x\n",
        "marked &x, and line 6 repeats it",
    ),
    "repeated section": ("a", 1, "spec: &x\n  b: 1\nextra: *x\n", "would also change other values"),
    "alias": ("a", 1, "extra: &x {b: 1}\nspec: *x\n", "spec is not a plain mapping"),
    "a document that is a list": ("a", 1, "- a\n", "not a plain mapping"),
    "a surrogate": ("a", "\ud800", "spec: {a: 1}", "characters that YAML does not allow"),
    "no number": ("a", float("inf"), "spec: {a: 1}", "not JSON compliant"),
    "too large": ("a", 10**100, "spec: {a: 1}", "too many digits"),
    "findings": ("a", 1, "spec: {a: 1, a: 2}", "the file has findings"),
    "key without colon": ("a", 1, "spec: {a, b: 1}", "the key a has no colon"),
    "key by alias": ("a", 1, "x: &k a\nspec: {*k : 1}\n", "the key a is not a plain key"),
    "comments in brackets, one added": (
        "locations",
        ids(10, 20),
        "spec:\n  locations: [\n    {id: 10} # Fort Lauderdale\n  ]\n",
        "line 2 has brackets with comments inside; edit it by hand",
    ),
    "comments in brackets, one removed": (
        "locations",
        ids(20),
        "spec:\n  locations: [ # a set\n    {id: 10}, {id: 20}]\n",
        "line 2 has brackets with comments inside",
    ),
    "comments in brackets, a key added": (
        "port",
        25,
        "spec: {\n  a: 1, # x\n  b: 2\n}\n",
        "line 1 has brackets with comments inside",
    ),
    "no room": (
        "locations",
        "x",
        "spec:\n  locations: &x\n    - id: 10\n",
        "with an anchor or a tag",
    ),
}


@pytest.mark.parametrize(("field", "value", "text", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_edited_is_refused(field: str, value: Any, text: str, reason: str) -> None:
    edits = {0: {("spec", field): FieldEdit(value, "id" if field == "locations" else None)}}
    with pytest.raises(NotEditableError, match=reason):
        set_fields(text.encode(), edits)
