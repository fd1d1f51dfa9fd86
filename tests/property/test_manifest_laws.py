"""Laws of reading: places lie inside the file, JSON is YAML, and both validators agree."""

import json
import re
from copy import deepcopy
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Diagnostic
from reconciler.manifests import Parser
from reconciler.usecases.load import load_fleet

from build import SCHEMAS

EXAMPLES = [SCHEMAS.documents[kind]["examples"][0] for kind in sorted(SCHEMAS.documents)]
TEXT = json.dumps(EXAMPLES[0], indent=1) + "\n---\nkind: email-smtp\nspec: {port: '1', prot: 1}\n"

# libyaml reads \u escapes up to U+FFFF; above, JSON writes pairs of them, which YAML lacks.
STRINGS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)


def inside(finding: Diagnostic, text: str) -> bool:
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text)  # as libyaml counts them
    position = finding.position
    return (
        1 <= position.line <= len(lines)
        and 1 <= position.column <= len(lines[position.line - 1]) + 1
    )


@given(st.dictionaries(STRINGS, JSON_VALUES, min_size=1, max_size=4))
def test_json_is_yaml(value: dict[str, Any]) -> None:
    documents, findings = Parser().parse("a.yaml", json.dumps(value).encode())
    assert findings == []
    assert [document.value for document in documents] == [value]
    assert json.dumps(documents[0].value) == json.dumps(value)


SNIPPETS = st.sampled_from(
    ["\t", "*x", "&x ", "!t ", "{", "}", "[", "]", ": ", "- ", "'", '"', "\n", "\r\n", "é", "---\n"]
)


@given(st.lists(st.tuples(st.integers(0, len(TEXT)), SNIPPETS), min_size=1, max_size=3))
def test_findings_of_a_broken_file_lie_inside_it(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, str]]
) -> None:
    text = TEXT
    for place, snippet in damage:
        text = text[:place] + snippet + text[place:]
    file = tmp_path_factory.getbasetemp() / "broken.yaml"
    file.write_bytes(text.encode())
    with pytest.raises(Exception, match="in the manifests") as caught:
        load_fleet([str(file)], SCHEMAS)
    findings = caught.value.findings  # type: ignore[attr-defined]
    assert findings == tuple(sorted(set(findings)))
    assert [finding for finding in findings if not inside(finding, text)] == []


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_anything_can_be_parsed(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return  # `read` refuses it before it is parsed
    _, findings = Parser().parse("a.yaml", data)
    assert [finding for finding in findings if not inside(finding, text)] == []


POINTERS = st.sampled_from(
    [
        ("apiVersion",),
        ("metadata", "name"),
        ("metadata", "id"),
        ("metadata", "labels"),
        ("spec", "name"),
        ("spec", "port"),
        ("spec", "ipv4"),
        ("spec", "interval"),
        ("spec", "timeout"),
        ("spec", "locations"),
        ("spec", "email"),
        ("spec", "note"),
        ("spec", "id"),
        ("spec", "unknown"),
        ("extra", "port"),
        ("extra", "password"),
        ("extra", "anything"),
        ("other",),
    ]
)
PLAIN = st.sampled_from(
    ["reconciler/v1", "", "a", "a-b", "a--b", "a\n", "1.2.3.4", "1.2.3.4\n", "x@y", "é", "x" * 300]
)
NUMBERS = (
    st.integers(-1, 3)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**31, 2**53, 2**63, 2**64, 10**30, 1e30, 5.0])
)
LOCATIONS = st.lists(st.dictionaries(st.sampled_from(["id", "name", "password"]), NUMBERS | PLAIN))


@given(
    st.sampled_from(EXAMPLES),
    st.lists(st.tuples(POINTERS, PLAIN | NUMBERS | LOCATIONS | JSON_VALUES), max_size=3),
    st.lists(POINTERS, max_size=1),
)
def test_both_validators_agree(
    example: dict[str, Any], edits: list[tuple[tuple[str, ...], Any]], removals: list[Any]
) -> None:
    manifest: dict[str, Any] = deepcopy(example)
    for (first, *rest), value in edits:
        if rest:
            target = manifest.setdefault(first, {})
            if isinstance(target, dict):
                target[rest[0]] = value
        else:
            manifest[first] = value
    for first, *rest in removals:
        (manifest.get(first, {}) if rest else manifest).pop(rest[0] if rest else first, None)
    assert (SCHEMAS.accept(manifest) is None) == bool(list(SCHEMAS.explain(manifest)))


@given(JSON_VALUES)
def test_both_validators_agree_on_anything(value: Any) -> None:
    assert SCHEMAS.accept(value) is None
    assert list(SCHEMAS.explain(value)) != []
    for schema in SCHEMAS.documents.values():
        assert not jsonschema_rs.Draft202012Validator(schema).is_valid(value)
