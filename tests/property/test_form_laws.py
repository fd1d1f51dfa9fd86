"""Laws of normal forms: for every field of every kind, one value has one form however it is spelt.

The spellings come from the schema of a field and not from its normaliser, so that the two check
each other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.diff import patch
from reconciler.usecases.draft import written

from build import SCHEMAS, desired, live

BLANKS = st.text(" \t\r\n", max_size=3)
WORD = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], max_codepoint=0x24F), min_size=1, max_size=5
)
LABEL = st.text("abcxyz019-", min_size=1, max_size=5)
BOOLEANS = {
    True: [True, 1, 1.0, "1", "y", "Y", "yes", "true", "True", " true\n"],
    False: [False, 0, 0.0, "0", "n", "N", "no", "false", "FALSE", " false\n"],
}
ADDED = st.dictionaries(
    st.sampled_from(["name", "region", "backbone", "has_chrome", "country", "value", "__x"]),
    st.none() | st.integers(0, 3) | st.text(max_size=3),
    max_size=4,
)


class Case(NamedTuple):
    """A field of a kind."""

    kind: str
    name: str
    schema: dict[str, Any]

    def form(self, value: Any) -> str:
        return SCHEMAS.kinds[self.kind].field(self.name).text(value)


CASES = [
    Case(kind, name, schema)
    for kind, document in sorted(SCHEMAS.documents.items())
    for name, schema in document["properties"]["spec"]["properties"].items()
    if not schema.get("readOnly")
]
FEW = settings(max_examples=10)
"""Kinds share their fields, so that each is tried several times."""
EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}:{case.name}")


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values as a manifest writes them, no two of which mean the same, but for sets."""
    lines = st.lists(WORD, min_size=1, max_size=3)
    host = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
    match schema.get("x-text"), schema.get("type"):
        case "trimmed", _:
            return lines.map("\n".join)
        case "host", _:
            url = st.tuples(
                st.sampled_from(["", "smtps://", "pop3://"]), host, st.integers(1, 9999)
            )
            return host | url.map(lambda part: f"{part[0]}{part[1]}:{part[2]}")
        case "mailbox", _:
            return st.tuples(st.text("aAbB", min_size=1), host).map("@".join)
        case _, "boolean":
            return st.booleans()
        case _, "integer":
            return st.integers(0, 70_000)
        case _, "array":
            keys = schema["items"]["properties"]
            element = {key: values(each) for key, each in keys.items() if not each.get("readOnly")}
            return st.lists(
                st.fixed_dictionaries(element), max_size=4, unique_by=lambda item: item["id"]
            )
        case _:
            assert schema["x-whitespace"] == "ignore"
            return lines.map("".join)


def spelling(draw: Any, schema: dict[str, Any], value: Any) -> Any:
    """Another way in which AlertSite may say the value."""
    match schema.get("x-text"), schema.get("type"):
        case "trimmed", _:
            text = value.replace("\n", draw(st.sampled_from(["\n", "\r\n", "\r"])))
        case "host", _:
            text = draw(st.sampled_from([str.upper, str.title, str]))(value)
        case "mailbox", _:
            local, _, domain = value.rpartition("@")
            text = f"{local}@{draw(st.sampled_from([str.upper, str]))(domain)}"
        case _, "boolean":
            return draw(st.sampled_from(BOOLEANS[value]))
        case _, "integer":
            return draw(st.sampled_from([value, float(value), str(value), f" +0{value}\n"]))
        case _, "array":
            keys = schema["items"]["properties"]
            return [
                draw(ADDED) | {key: spelling(draw, keys[key], item[key]) for key in item}
                for item in draw(st.permutations(value))
            ]
        case _:
            text = " ".join(value)
    return draw(BLANKS) + text + draw(BLANKS)


@EACH
@FEW
@given(data=st.data())
def test_every_spelling_of_a_value_has_its_form(case: Case, data: st.DataObject) -> None:
    value = data.draw(values(case.schema))
    other = spelling(data.draw, case.schema, value)
    assert case.form(other) == case.form(value)
    manifest = desired({case.name: value}, kind=case.kind)
    assert patch(manifest, live({case.name: other})) == {}


@EACH
@FEW
@given(data=st.data())
def test_different_values_have_different_forms(case: Case, data: st.DataObject) -> None:
    one, other = data.draw(values(case.schema)), data.draw(values(case.schema))
    if case.schema.get("type") == "array":
        same = sorted(one, key=str) == sorted(other, key=str)
    else:
        same = one == other
    assert (case.form(one) == case.form(other)) is same
    assert (case.form(spelling(data.draw, case.schema, other)) == case.form(one)) is same


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["y", "0", " 10 ", "SMTP://A@B:1/C", "A@B@C", "://", "a\r\n"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "value_id", "name", "x", "__x"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@EACH
@FEW
@given(data=st.data())
def test_a_form_is_its_own_form(case: Case, data: st.DataObject) -> None:
    value = data.draw(ANYTHING)
    normalise = SCHEMAS.kinds[case.kind].field(case.name).normalise
    once = normalise(value)
    assert case.form(once) == case.form(value)
    assert repr(normalise(once)) == repr(once)


@EACH
@FEW
@given(data=st.data())
def test_what_a_manifest_would_say_has_the_same_form(case: Case, data: st.DataObject) -> None:
    value = data.draw(ANYTHING)
    field = SCHEMAS.kinds[case.kind].field(case.name)
    assert {case.form(item) for item in written(field, value)} <= {case.form(value)}


@EACH
def test_true_is_not_one_but_for_a_switch(case: Case) -> None:
    is_switch = case.schema.get("type") == "boolean"
    for truth, number in ((True, 1), (False, 0)):
        assert (case.form(truth) == case.form(number)) is is_switch
        for key in ("id", "value_id"):
            nested = case.form([{key: truth}]), case.form([{key: number}])
            counts = case.schema.get("type") != "array" or (
                key in case.schema["items"]["properties"]
            )
            assert (nested[0] != nested[1]) is counts
