import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest

from reconciler.schema import Schemas, schema_folder

from build import SCHEMAS

KINDS = sorted(SCHEMAS.documents)
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
            assert names == sorted([*fields(kind), "<<"])

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
    "unknown key": (broken("lifecycle", {}), [("lifecycle", "unknown-key")]),
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
    "interval just longer": broken("spec/interval", 6, "email-round-trip"),
    "interval alone": broken("spec/timeout", ..., "email-round-trip"),
}


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED)
def test_what_alertsite_may_accept_is_accepted(manifest: Any) -> None:
    assert SCHEMAS.accept(manifest) is not None
    assert explained(manifest) == []


MESSAGES = {
    "misspelt field": (broken("spec/prot", 1), "unknown key spec.prot; did you mean port?"),
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
    "missing": (broken("spec/hostname", ...), "missing key spec.hostname"),
    "read-only": (broken("spec/id", 1), "spec.id is set by AlertSite; remove it"),
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
