"""Laws of writing an id: it is there, and not another byte or value of the file is different."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from reconciler.manifests import Parser
from reconciler.manifests.editor import insert_ids
from reconciler.manifests.edits import NotEditableError

COMMENTS = st.sampled_from(["", "", " # a comment", "   # id: 5, é", " #"])
FILLERS = st.sampled_from(
    ["", "", "\n", "# id: 1\n", "    # deep\n\n", "\n# metadata:\n#   name: x\n"]
)
KEYS = st.sampled_from(["name", "name", "name", "'name'", '"name"', "&key name", "!!str name"])
NAMES = st.sampled_from(
    [
        "prod-relay",
        "two words",
        "'it''s'",
        '"a \\" b"',
        "id",
        "x#y",
        "&anchor x",
        "!!str 1",
        "*shared",
        "42",
        "é\U0001f600",
    ]
)
LONG_NAMES = st.sampled_from(
    ["|-\n{0}one\n\n{0}two", ">\n{0}folded\n{0}more", '"one\n{0}two"', "one\n{0}two", "\n{0}below"]
)
ENTRIES = {
    "labels: {team: mail, name: inner, id: 9}",
    "labels:\n{0}team: mail\n{0}name: inner",
    "about: [name, {{name: x}}]",
    "'quoted key': 'quoted # value'",
    "note: |\n{0}name: not this one",
}
ADDED = re.compile(
    r" *id: [0-9]+\r?\n"  # a line
    r"|\r?\n *id: [0-9]+"  # the last line, without an end as the one before
    r"""|, (["']?)id\1: [0-9]+"""
)
SPEC = "spec: {name: other, list: [1, 2.50, yes], id: 3}\n"


@st.composite
def block_metadata(draw: Any) -> str:
    """A block mapping under `metadata`, of any indentation, order and dress."""
    indent = " " * draw(st.integers(1, 5))
    deeper = indent + " " * draw(st.integers(1, 3))
    value, comment = draw(NAMES), draw(COMMENTS)
    if draw(st.integers(0, 4)) == 0:
        value, comment = draw(LONG_NAMES).format(deeper), ""
    key = draw(KEYS)
    if draw(st.integers(0, 7)) == 0:
        entry = f"{indent}? {key}\n{indent}: {value}"
    else:
        entry = f"{indent}{key}: {value}" if value[:1] != "\n" else f"{indent}{key}:{value}"
    entries = draw(st.lists(st.sampled_from(sorted(ENTRIES)), unique_by=lambda text: text[:5]))
    lines = [indent + each.replace("{0}", deeper).replace("{{", "{") for each in entries]
    lines = [line.replace("}}", "}") for line in lines]
    lines.insert(draw(st.integers(0, len(lines))), entry + comment)
    anchor = draw(st.sampled_from(["", " &metadata", " !!map", " # of the monitor"]))
    text = "".join(f"{draw(FILLERS)}{line}\n" for line in lines)
    return f"metadata:{anchor}\n{text}"


@st.composite
def flow_metadata(draw: Any) -> str:
    """A flow mapping under `metadata`, on one line or several."""
    separator = draw(st.sampled_from([", ", ",", " , ", ",\n  ", " # a comment\n  ,"]))
    begin, end = draw(st.sampled_from([("{", "}"), ("{ ", " }"), ("{\n  ", "\n  }")]))
    key, value = draw(KEYS), draw(NAMES.filter(lambda name: name != "id"))
    entries = draw(st.lists(st.sampled_from(["labels: {name: a}", "about: [b, name]", '"c": "d"'])))
    entries = sorted(set(entries))
    entries.insert(draw(st.integers(0, len(entries))), f"{key} : {value}")
    return f"metadata: {begin}{separator.join(entries)}{end}\n"


@st.composite
def documents(draw: Any) -> str:
    """One document with metadata among its other fields."""
    parts = [
        "apiVersion: reconciler/v1\n",
        "shared: &shared relay\n",
        draw(block_metadata() | flow_metadata()),
        draw(st.sampled_from(["", SPEC, "spec:\n  name: x\n  text: |\n    name: y\n"])),
    ]
    order = draw(st.sampled_from([(0, 1, 2, 3), (1, 2, 0, 3), (1, 3, 0, 2), (3, 0, 1, 2)]))
    return "".join(draw(FILLERS) + parts[index] for index in order)


@st.composite
def files(draw: Any) -> tuple[bytes, int]:
    """A file, and the number of a document in it that has metadata."""
    parts = draw(st.lists(documents() | st.sampled_from(["", "# nothing\n"]), max_size=2))
    number = draw(st.integers(0, len(parts)))
    parts.insert(number, draw(documents()))
    start = draw(st.sampled_from(["---\n", "--- # first\n", "# only\n---\n", "%YAML 1.2\n---\n"]))
    text = start + draw(st.sampled_from(["---\n", "...\n---\n", "--- # next\n"])).join(parts)
    # A folded name without its line break is another one than with it: no line can follow it.
    if not text.endswith("more\n") and draw(st.booleans()):
        text = text.removesuffix("\n")
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return (draw(st.sampled_from(["", "\ufeff"])) + text).encode(), number


def values(data: bytes) -> dict[int, Any]:
    found, findings = Parser().parse("", data)
    assert findings == []
    return {document.number: document.value for document in found}


def insertions(before: str, after: str) -> Iterator[str]:
    """Every text whose insertion makes the one of the other: more than one if it repeats itself."""
    size = len(after) - len(before)
    for place in range(len(before) + 1):
        if after[place + size :] == before[place:] and after[:place] == before[:place]:
            yield after[place : place + size]


@given(files(), st.integers(1, 2**53))
def test_only_the_id_is_added(file: tuple[bytes, int], number: int) -> None:
    data, document = file
    edited = insert_ids(data, {document: number})

    expected = deepcopy(values(data))
    expected[document]["metadata"]["id"] = number
    assert values(edited) == expected

    matching = [
        text for text in insertions(data.decode(), edited.decode()) if ADDED.fullmatch(text)
    ]
    assert matching
    event("flow" if matching[0].startswith(",") else "block")


@given(files(), st.integers(1, 2**53))
def test_an_id_is_never_written_twice(file: tuple[bytes, int], number: int) -> None:
    data, document = file
    edited = insert_ids(data, {document: number})
    with pytest.raises(NotEditableError, match="already has the key id"):
        insert_ids(edited, {document: number})
