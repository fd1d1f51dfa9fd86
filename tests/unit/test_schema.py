import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import SECRET_REF, secret_refs
from reconciler.schema import Schemas, schema_folder

from build import SCHEMAS

KINDS = sorted(SCHEMAS.documents)
REF = {"secretRef": {"env": "MAILBOX_PASSWORD"}}
FILES = sorted(schema_folder().glob("*.schema.json"))


def example(kind: str) -> dict[str, Any]:
    manifest: dict[str, Any] = deepcopy(SCHEMAS.documents[kind]["examples"][0])
    return manifest


def fields(kind: str) -> dict[str, Any]:
    properties: dict[str, Any] = SCHEMAS.documents[kind]["properties"]["spec"]["properties"]
    return properties


def explained(manifest: Any) -> list[tuple[str, str]]:
    problems = SCHEMAS.explain(manifest)
    return [(".".join(map(str, item.pointer)), item.code) for item in problems]


class TestFiles:
    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_they_are_valid_draft_2020_12(self, path: Path) -> None:
        schema = json.loads(path.read_text())
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema_rs.meta.validate(schema)

    @pytest.mark.parametrize("kind", KINDS)
    def test_examples_are_valid(self, kind: str) -> None:
        assert SCHEMAS.accept(example(kind)) is SCHEMAS.kinds[kind]
        assert explained(example(kind)) == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_field_is_described_with_its_source(self, kind: str) -> None:
        for name, field in fields(kind).items():
            assert "Source: " in field["description"], name
            nested = field.get("items", {}).get("properties", {})
            assert all("Source: " in item["description"] for item in nested.values()), name

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_object_is_closed(self, kind: str) -> None:
        document = SCHEMAS.documents[kind]
        open_objects = [
            name
            for name, schema in document["properties"].items()
            if schema.get("type") == "object" and schema.get("additionalProperties") is not False
        ]
        assert open_objects == ["extra"]
        assert document["additionalProperties"] is False

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_read_only_field_accepts_no_value(self, kind: str) -> None:
        read_only = {name for name, field in fields(kind).items() if field.get("readOnly")}
        assert {"id", "type", "blackout_ids"} <= read_only
        for name in read_only:
            manifest = example(kind)
            manifest["spec"][name] = None
            assert explained(manifest) == [(f"spec.{name}", "read-only")]

    def test_kinds_share_the_meaning_of_the_fields_they_share(self) -> None:
        shared = set.intersection(*(set(fields(kind)) for kind in KINDS))
        assert {"name", "interval", "locations", "note"} <= shared
        for name in shared:
            meanings = []
            for kind in KINDS:
                field = deepcopy(fields(kind)[name])
                field.pop("x-longer-than", None)
                meanings.append({key: field[key] for key in field if key != "description"})
            assert meanings.count(meanings[0]) == len(KINDS), name

    def test_the_extra_map_refuses_exactly_the_fields_of_the_schema(self) -> None:
        for kind in KINDS:
            names = SCHEMAS.documents[kind]["properties"]["extra"]["propertyNames"]["not"]["enum"]
            assert names == sorted([*fields(kind), "<<", SECRET_REF])

    def test_every_text_of_the_spec_but_the_name_may_be_a_secret_ref(self) -> None:
        for kind in KINDS:
            for name, field in fields(kind).items():
                is_text = "string" in field.get("type", ())
                assert ("$ref" in field) == (is_text and name != "name"), name
                if "$ref" in field:
                    assert field["type"] == ["string", "object"]
                    assert explained(broken(f"spec/{name}", REF, kind)) == []

    def test_kinds_share_what_a_secret_is(self) -> None:
        definitions = [SCHEMAS.documents[kind]["$defs"] for kind in KINDS]
        assert definitions.count(definitions[0]) == len(KINDS)
        for kind in KINDS:
            assert "mailbox" in SCHEMAS.documents[kind]["properties"]["extra"]["description"]

    def test_annotations_name_fields_that_exist(self) -> None:
        for kind in KINDS:
            for field in fields(kind).values():
                assert set(field.get("x-send-with", ())) <= set(fields(kind))
                assert {field.get("x-longer-than", "name")} <= set(fields(kind))


def broken(change: str, value: Any = None, kind: str = "email-smtp") -> dict[str, Any]:
    """An example manifest with one value replaced, or removed if the value is `...`."""
    manifest = example(kind)
    *path, last = change.split("/")
    target = manifest
    for step in path:
        target = target.setdefault(step, {})
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return manifest


PROBLEMS = {
    "not a mapping": ("text", [("", "type")]),
    "no kind": (broken("kind", ...), [("", "missing-key")]),
    "unknown kind": (broken("kind", "email-smpt"), [("kind", "unknown-kind")]),
    "kind that is a list": (broken("kind", ["email-smtp"]), [("kind", "unknown-kind")]),
    "nothing": ({}, [("", "missing-key"), ("", "missing-key")]),
    "unknown kind and version": (
        {"apiVersion": 1, "kind": "x"},
        [("kind", "unknown-kind"), ("apiVersion", "api-version")],
    ),
    "no apiVersion": (broken("apiVersion", ...), [("", "missing-key")]),
    "wrong apiVersion": (broken("apiVersion", "v2"), [("apiVersion", "api-version")]),
    "no name": (broken("metadata/name", ...), [("metadata", "missing-key")]),
    "bad name": (broken("metadata/name", "Prod_Relay"), [("metadata.name", "pattern")]),
    "name with a newline": (broken("metadata/name", "prod\n"), [("metadata.name", "pattern")]),
    "id as text": (broken("metadata/id", "1"), [("metadata.id", "type")]),
    "id zero": (broken("metadata/id", 0), [("metadata.id", "range")]),
    "label that is no text": (broken("metadata/labels", {"a": 1}), [("metadata.labels.a", "type")]),
    "no hostname": (broken("spec/hostname", ...), [("spec", "missing-key")]),
    "empty name": (broken("spec/name", ""), [("spec.name", "empty")]),
    "port as text": (broken("spec/port", "587"), [("spec.port", "type")]),
    "port true": (broken("spec/port", True), [("spec.port", "type")]),
    "port null": (broken("spec/port", None), [("spec.port", "type")]),
    "port with a fraction": (broken("spec/port", 1.5), [("spec.port", "type")]),
    "port too large": (broken("spec/port", 65536), [("spec.port", "range")]),
    "enabled as text": (broken("spec/enabled", "yes"), [("spec.enabled", "type")]),
    "address out of range": (broken("spec/ipv4", "1.2.3.256"), [("spec.ipv4", "pattern")]),
    "host with a space": (broken("spec/hostname", "a b"), [("spec.hostname", "pattern")]),
    "long alert note": (broken("spec/alert_note", "x" * 1001), [("spec.alert_note", "too-long")]),
    "long note": (broken("spec/note", "x" * 256), [("spec.note", "too-long")]),
    "no locations": (broken("spec/locations", []), [("spec.locations", "empty")]),
    "location twice": (
        broken("spec/locations", [{"id": 1}, {"id": 1}]),
        [("spec.locations", "duplicate-item")],
    ),
    "location as number": (broken("spec/locations", [1]), [("spec.locations.0", "type")]),
    "location with a name": (
        broken("spec/locations", [{"id": 1, "name": "x"}]),
        [("spec.locations.0.name", "read-only")],
    ),
    "misspelt field": (broken("spec/prot", 1), [("spec.prot", "unknown-key")]),
    "unknown field": (broken("spec/zzz", 1), [("spec.zzz", "unknown-key")]),
    "unknown key": (broken("lifecicle", {}), [("lifecicle", "unknown-key")]),
    "extra that is a list": (broken("extra", []), [("extra", "type")]),
    "field of the schema in extra": (broken("extra/port", 1), [("extra.port", "not-extra")]),
    "password in extra": (
        broken("extra/pop3_password", "x"),
        [("extra.pop3_password", "plain-secret")],
    ),
    "merge key in extra": (broken("extra/<<", {}), [("extra.<<", "not-extra")]),
    "AlertSite's own field in extra": (broken("extra/sla_id", 1), [("extra.sla_id", "not-extra")]),
    "beyond all numbers": (broken("spec/interval", 10**30), [("spec.interval", "range")]),
    "id beyond all numbers": (
        broken("spec/locations", [{"id": 1e30}]),
        [("spec.locations.0.id", "range")],
    ),
    "interval not longer, as a fraction": (
        broken("spec/interval", 5.0, "email-round-trip"),
        [("spec.interval", "too-short")],
    ),
    "token deep in extra": (
        broken("extra/auth", [{"apiToken": "x"}]),
        [("extra.auth.0.apiToken", "plain-secret")],
    ),
    "interval not longer than timeout": (
        broken("spec/interval", 5, "email-round-trip"),
        [("spec.interval", "too-short")],
    ),
    "mapping for a text": (broken("spec/note", {"env": "X"}), [("spec.note", "type")]),
    "empty mapping for a text": (broken("spec/note", {}), [("spec.note", "type")]),
    "number for a text": (broken("spec/note", 1), [("spec.note", "type")]),
    "secretRef that is a text": (
        broken("spec/note", {"secretRef": "env"}),
        [("spec.note.secretRef", "secret-ref")],
    ),
    "secretRef without a scheme": (
        broken("spec/note", {"secretRef": {}}),
        [("spec.note.secretRef", "secret-ref")],
    ),
    "secretRef with two schemes": (
        broken("extra/a", {"secretRef": {"env": "X", "file": "x"}}),
        [("extra.a.secretRef", "secret-ref")],
    ),
    "secretRef with an odd scheme": (
        broken("extra/a", {"secretRef": {"env\n": "X"}}),
        [("extra.a.secretRef.env\n", "secret-ref")],
    ),
    "secretRef with a number": (
        broken("extra/a", [{"secretRef": {"env": 1}}]),
        [("extra.a.0.secretRef.env", "secret-ref")],
    ),
    "secretRef with an empty name": (
        broken("extra/password", {"secretRef": {"env": ""}}),
        [("extra.password.secretRef.env", "secret-ref")],
    ),
    "secretRef that is not alone": (
        broken("extra/password", {**REF, "b": 1, "a": 1}),
        [("extra.password.a", "secret-ref"), ("extra.password.b", "secret-ref")],
    ),
    "secretRef in place of the display name": (broken("spec/name", REF), [("spec.name", "type")]),
    "secretRef in place of a number": (broken("spec/port", REF), [("spec.port", "type")]),
    "secretRef in place of a list": (broken("spec/locations", REF), [("spec.locations", "type")]),
    "secretRef in place of a location": (
        broken("spec/locations", [REF]),
        [("spec.locations.0.secretRef", "secret-ref")],
    ),
    "secretRef in a location": (
        broken("spec/locations", [{"id": REF}]),
        [("spec.locations.0.id", "type")],
    ),
    "secretRef in place of the identity": (
        broken("metadata/name", REF),
        [("metadata.name", "type")],
    ),
    "secretRef in place of the metadata": (
        broken("metadata", REF),
        [("metadata.secretRef", "secret-ref")],
    ),
    "secretRef in place of the spec": (broken("spec", REF), [("spec.secretRef", "secret-ref")]),
    "secretRef in place of extra": (broken("extra", REF), [("extra.secretRef", "secret-ref")]),
    "secretRef as the name of a field": (
        broken("extra/secretRef", REF),
        [("extra.secretRef", "secret-ref")],
    ),
    "secretRef beside the keys of a manifest": (
        broken("secretRef", REF),
        [("secretRef", "secret-ref")],
    ),
    "secretRef in place of a label": (
        broken("metadata/labels", {"a": REF}),
        [("metadata.labels.a", "type")],
    ),
    "mapping for a secret": (
        broken("extra/credentials", {"password": "x"}),
        [("extra.credentials", "plain-secret")],
    ),
    "secretRef below the name of a secret": (
        broken("extra/credentials", {"password": REF}),
        [("extra.credentials", "plain-secret")],
    ),
    "nothing for a secret": (broken("extra/token", None), [("extra.token", "plain-secret")]),
    "secret at the end": (broken("extra", {"a": {"pass": 1}}), [("extra.a.pass", "plain-secret")]),
    "several": (
        {"apiVersion": "v2", "kind": "email-smtp", "spec": {"port": "x"}},
        [
            ("", "missing-key"),
            ("apiVersion", "api-version"),
            ("spec", "missing-key"),
            ("spec", "missing-key"),
            ("spec", "missing-key"),
            ("spec.port", "type"),
        ],
    ),
}


@pytest.mark.parametrize(("manifest", "problems"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_not_accepted_is_explained(manifest: Any, problems: list[tuple[str, str]]) -> None:
    assert SCHEMAS.accept(manifest) is None
    assert sorted(explained(manifest)) == sorted(problems)


ACCEPTED = {
    "whole fraction": broken("spec/port", 25.0),
    "empty address": broken("spec/ipv4", ""),
    "host with a scheme": broken("spec/hostname", "smtps://smtp.example.com:465"),
    "longest note": broken("spec/note", "é" * 255),
    "free mode": broken("spec/mode", "Any2"),
    "no id": broken("metadata/id", ...),
    "no secret in extra": broken("extra", {"passive_mode": True, "bypass_proxy": 1}),
    "free extra": broken("extra", {"pop3_user": "x", "nested": [{"a": None}]}),
    "secret in extra": broken("extra/pop3_password", REF),
    "secrets deep in extra": broken("extra/a", [{"b": {"apiToken": REF, "user": REF}}, REF]),
    "secret of a plug-in": broken("spec/note", {"secretRef": {"vault-2": "kv/mail#password"}}),
    "name that only begins like a secret's": broken("extra", {"passed": 1, "pass\n": 1}),
    "interval just longer": broken("spec/interval", 6, "email-round-trip"),
    "interval alone": broken("spec/timeout", ..., "email-round-trip"),
}


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED)
def test_what_alertsite_may_accept_is_accepted(manifest: Any) -> None:
    assert SCHEMAS.accept(manifest) is not None
    assert explained(manifest) == []


MESSAGES = {
    "misspelt field": (broken("spec/prot", 1), "unknown key spec.prot; did you mean port?"),
    "field of another kind": (
        broken("spec/pop3_hostname", "x"),
        "unknown key spec.pop3_hostname: it is a field of email-round-trip, not of email-smtp",
    ),
    "misspelt kind": (
        broken("kind", "email-smpt"),
        "unknown kind email-smpt; did you mean email-smtp?",
    ),
    "type": (
        broken("spec/port", "1"),
        "spec.port must be an integer, not a string; remove the quotes",
    ),
    "range": (broken("spec/port", 0), "spec.port must be at least 1, not 0"),
    "upper range": (broken("spec/port", 70000), "spec.port must be at most 65535, not 70000"),
    "one of": (
        broken("lifecycle", {"retire": "delte"}),
        "lifecycle.retire must be delete or disable; did you mean delete?",
    ),
    "missing": (broken("spec/hostname", ...), "missing key spec.hostname"),
    "read-only": (broken("spec/id", 1), "spec.id is set by AlertSite; remove it"),
    "text": (
        broken("spec/note", 1),
        "spec.note must be a string or a secretRef, not an integer",
    ),
    "mapping": (
        broken("spec/note", {"env": "X"}),
        "spec.note must be a string or a secretRef, not another mapping",
    ),
    "secretRef for a number": (
        broken("spec/port", REF),
        "spec.port must be an integer, not a secretRef",
    ),
    "secretRef for the name": (
        broken("spec/name", REF),
        "spec.name must be a string, not a secretRef",
    ),
    "secretRef for a mapping": (
        broken("metadata", REF),
        (
            "metadata cannot be a secretRef; a secretRef can replace a string in spec (except "
            "name), or any value under extra"
        ),
    ),
    "plain secret": (
        broken("extra/pop3_password", "x"),
        (
            "pop3_password looks like a secret, which must not be in a manifest; write a secretRef "
            "instead, such as {secretRef: {env: NAME}}"
        ),
    ),
    "not alone": (
        broken("spec/note", {**REF, "default": "x"}),
        "spec.note.default cannot be combined with secretRef; remove one",
    ),
    "no scheme": (
        broken("spec/note", {"secretRef": "MAILBOX_PASSWORD"}),
        "spec.note.secretRef must be one scheme with a name, as in {secretRef: {env: NAME}}",
    ),
    "misspelt scheme": (
        broken("spec/note", {"secretRef": {"ENV": "X"}}),
        "ENV is not a scheme of secretRef; did you mean env?",
    ),
    "odd scheme": (
        broken("spec/note", {"secretRef": {"7": "X"}}),
        "7 is not a scheme of secretRef: env, file or a plug-in's name",
    ),
    "no reference": (
        broken("spec/note", {"secretRef": {"value": "hunter2"}}),
        "value is not a scheme of secretRef: env, file or a plug-in's name",
    ),
    "no name": (
        broken("spec/note", {"secretRef": {"env": ""}}),
        "spec.note.secretRef.env must not be empty",
    ),
    "odd name": (
        broken("spec/note", {"secretRef": {"env": ["X"]}}),
        "spec.note.secretRef.env must be a string, not a list",
    ),
    "order": (
        broken("spec/interval", 5, "email-round-trip"),
        "interval (5 minutes) must be longer than timeout (300 seconds)",
    ),
}


@pytest.mark.parametrize(("manifest", "message"), MESSAGES.values(), ids=MESSAGES)
def test_messages_say_what_to_do(manifest: Any, message: str) -> None:
    assert [problem.message for problem in SCHEMAS.explain(manifest)] == [message]


def test_a_kind_is_a_file_in_the_folder(tmp_path: Path) -> None:
    schema = deepcopy(SCHEMAS.documents["email-smtp"])
    schema["properties"]["kind"]["const"] = "email-jmap"
    (tmp_path / "email-jmap.schema.json").write_text(json.dumps(schema))
    (tmp_path / "plan.schema.json").write_text('{"properties": {}}')
    schemas = Schemas(tmp_path)
    assert list(schemas.kinds) == ["email-jmap"]
    assert schemas.accept(broken("kind", "email-jmap")) is schemas.kinds["email-jmap"]


# Values that are secretRefs, nearly are, or hold some.
NAMES = st.sampled_from(["env", "file", "vault", "ENV", "a\n", "", "secretRef"])
KEYS = st.sampled_from(["secretRef", "password", "pass", "pass\n", "passed", "a", "env", "<<"])
LEAVES = st.none() | st.integers(0, 1) | st.sampled_from(["", "X", "a\n"])
NEARLY = st.recursive(
    LEAVES | st.fixed_dictionaries({"secretRef": st.dictionaries(NAMES, LEAVES, max_size=2)}),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=6,
)
PLACES = st.sampled_from(
    [
        ("extra",),
        ("metadata",),
        ("metadata", "labels"),
        ("metadata", "name"),
        ("spec",),
        ("spec", "alert_note"),
        ("spec", "billing_plancode"),
        ("spec", "locations"),
        ("spec", "mode"),
        ("spec", "name"),
        ("extra", "a"),
        ("extra", "password"),
        ("extra", "secretRef"),
    ]
)


@given(st.sampled_from(KINDS), st.lists(st.tuples(PLACES, NEARLY), min_size=1, max_size=3))
def test_both_validators_agree_on_what_a_secret_ref_is(kind: str, edits: Any) -> None:
    manifest = example(kind)
    for (first, *rest), value in edits:
        if not rest:
            manifest[first] = value
        elif isinstance(target := manifest.setdefault(first, {}), dict):
            target[rest[0]] = value
    problems = list(SCHEMAS.explain(manifest))
    assert (SCHEMAS.accept(manifest) is None) == bool(problems)
    assert "invalid" not in {item.code for item in problems}
    places = [(item.pointer, item.of_key) for item in problems if item.code != "missing-key"]
    assert len(places) == len(set(places))  # one for each fault
    if not problems:  # what was accepted can be read
        for found in secret_refs([manifest["spec"], *manifest.get("extra", {}).values()]):
            assert found.ref.name


EDITED = [path for path in FILES if path.name.startswith(("email-", "defaults", "override"))]
VENDORS = {"doNotSuggest", "errorMessage", "patternErrorMessage"}
"""Keywords of yaml-language-server."""


def keys_of(schema: Any) -> set[str]:
    """The keywords that are not of JSON Schema; below `properties` keys are names of fields."""
    found: set[str] = set()
    if isinstance(schema, dict):
        for key, value in schema.items():
            found |= {key} if key.startswith("x-") or key in VENDORS else set()
            found |= keys_of(value)
    elif isinstance(schema, list):
        found = set().union(*map(keys_of, schema))
    return found


class TestEditors:
    """What an editor makes of the schemas, which sees no defaults."""

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_each_says_which_annotations_it_has(self, path: Path) -> None:
        schema = json.loads(path.read_text())
        assert keys_of(schema) == set(schema.get("x-annotations", ()))

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_a_default_may_give_is_required_by_the_tool_alone(self, kind: str) -> None:
        read = json.loads((schema_folder() / f"{kind}.schema.json").read_text())
        spec = read["properties"]["spec"]
        assert spec["required"] == ["name"]
        given = json.loads((schema_folder() / "defaults.schema.json").read_text())
        assert set(spec["x-required"]) <= set(given["properties"]["spec"]["properties"])
        for field in spec["x-required"]:
            manifest = broken(f"spec/{field}", ..., kind)
            assert jsonschema_rs.Draft202012Validator(read).is_valid(manifest)
            assert explained(manifest) == [("spec", "missing-key")]

    @pytest.mark.parametrize("path", EDITED, ids=lambda path: path.name)
    def test_read_only_fields_are_not_offered(self, path: Path) -> None:
        spec = json.loads(path.read_text())["properties"]["spec"]["properties"]
        items = [
            field["items"].get("properties", {}) for field in spec.values() if "items" in field
        ]
        for name, field in [pair for part in (spec, *items) for pair in part.items()]:
            assert bool(field.get("readOnly")) == bool(field.get("doNotSuggest")), name
            refused = field.get("allOf", [{}])[0]
            assert ("errorMessage" in refused) == bool(field.get("readOnly")), name

    @pytest.mark.parametrize("path", EDITED, ids=lambda path: path.name)
    def test_a_number_completes_to_one_that_is_valid(self, path: Path) -> None:
        """Without an example an editor writes 0."""
        for name, field in json.loads(path.read_text())["properties"]["spec"]["properties"].items():
            if field.get("type") == "integer":
                validator = jsonschema_rs.Draft202012Validator(field)
                assert all(map(validator.is_valid, field["examples"])), name

    def test_a_document_is_judged_by_its_kind(self) -> None:
        schema = json.loads((schema_folder() / "manifest.schema.json").read_text())
        kinds = [part["if"]["properties"]["kind"]["const"] for part in schema["allOf"]]
        assert kinds == schema["properties"]["kind"]["enum"] == [*KINDS, "Defaults", "Override"]
        names = [part["then"]["$ref"] for part in schema["allOf"]]
        assert names == [f"{kind.lower()}.schema.json" for kind in kinds]
