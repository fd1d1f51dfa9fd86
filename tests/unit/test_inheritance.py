"""Fields that do not inherit their default, and lists that add to it."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.core.inheritance import appendix, combined
from reconciler.core.lint.together import unnamed_fields
from reconciler.core.model import Desired
from reconciler.errors import InvalidManifestsError
from reconciler.schema import schema_folder
from reconciler.usecases.load import load_fleet

from build import SCHEMAS, record

HEAD = "apiVersion: reconciler/v1\nkind: {kind}\n"
REQUIRED = ("name: A", "hostname: mx.example.com", "billing_plancode: UBM - A/A")
POOL = "locations: [{id: 10}, {id: 20}]"


pytestmark = pytest.mark.usefixtures("here")


def defaults(path: str, *lines: str) -> None:
    _write(path, HEAD.format(kind="Defaults"), lines)


def manifest(*lines: str, path: str = "monitors/team/a.yaml") -> None:
    _write(path, HEAD.format(kind="email-smtp") + "metadata: {name: a}\n", (*REQUIRED, *lines))


def _write(path: str, head: str, lines: tuple[str, ...]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(head + "spec:\n" + "".join(f"  {line}\n" for line in lines))


def one() -> Desired:
    (found,) = load_fleet(["monitors"], SCHEMAS).desired
    return found


def findings() -> list[str]:
    with pytest.raises(InvalidManifestsError) as caught:
        load_fleet(["monitors"], SCHEMAS)
    return [str(finding) for finding in caught.value.findings]


class TestNotInherited:
    def test_a_field_is_left_to_alertsite(self) -> None:
        defaults("monitors/_defaults.yaml", "mode: Primary", "port: 587")
        manifest("mode: {inherit: false}")
        found = one()
        assert "mode" not in found.fields
        assert found.fields["port"] == 587
        assert {name: str(origin) for name, origin in found.refused.items()} == {
            "mode": "monitors/_defaults.yaml:1"
        }

    def test_without_a_default_it_says_nothing(self) -> None:
        manifest("mode: {inherit: false}")
        assert ("mode" in one().fields, one().refused) == (False, {})

    def test_a_nearer_defaults_file_can_say_it_for_its_folder(self) -> None:
        defaults("monitors/_defaults.yaml", "mode: Primary", "port: 587")
        defaults("monitors/team/_defaults.yaml", "mode: {inherit: false}")
        manifest()
        assert "mode" not in one().fields

    def test_a_defaults_file_that_says_nothing_else_is_checked_all_the_same(self) -> None:
        defaults("monitors/_defaults.yaml", "mode: {inherit: false}")
        for line in ("lifecycle: 5", "appliesTo: 7", "bogus: 1"):
            text = HEAD.format(kind="Defaults") + "spec:\n  mode: {inherit: false}\n" + line
            Path("monitors/team/_defaults.yaml").parent.mkdir(parents=True, exist_ok=True)
            Path("monitors/team/_defaults.yaml").write_text(text)
            (finding,) = findings()
            assert finding.startswith("monitors/team/_defaults.yaml:5:"), finding
        Path("monitors/team/_defaults.yaml").unlink()
        manifest("mode: Primary")
        assert one().fields["mode"] == "Primary"

    def test_a_required_field_is_missing_then(self) -> None:
        defaults("monitors/_defaults.yaml", "hostname: mx.example.com")
        manifest()
        text = Path("monitors/team/a.yaml").read_text()
        Path("monitors/team/a.yaml").write_text(
            text.replace("hostname: mx.example.com", "hostname: {inherit: false}")
        )
        assert findings() == ["monitors/team/a.yaml:4:1: missing-key: missing key spec.hostname"]

    @pytest.mark.parametrize("mark", ["{inherit: true}", "{inherit: false, x: 1}", "{inherit: 0}"])
    def test_it_can_only_be_false(self, mark: str) -> None:
        manifest(f"mode: {mark}")
        assert findings() == [
            (
                "monitors/team/a.yaml:8:9: inherit: spec.mode can only be {inherit: false}: no "
                "default applies"
            )
        ]

    def test_an_unknown_field_stays_one(self) -> None:
        manifest("prot: {inherit: false}")
        assert len(findings()) == 1
        assert "unknown key spec.prot; did you mean port?" in findings()[0]


class TestAppended:
    def test_elements_stand_behind_those_of_the_default(self) -> None:
        defaults("monitors/_defaults.yaml", POOL)
        manifest("locations: {append: [{id: 30}, {id: 20}]}")
        found = one()
        assert found.fields["locations"] == [{"id": 10}, {"id": 20}, {"id": 30}]
        assert "locations" not in found.inherited
        assert str(found.appended["locations"].origin) == "monitors/_defaults.yaml:1"

    def test_a_nearer_defaults_file_adds_for_its_folder(self) -> None:
        defaults("monitors/_defaults.yaml", POOL)
        defaults("monitors/team/_defaults.yaml", "locations: {append: [{id: 30}]}")
        manifest("locations: {append: [{id: 40}]}")
        assert [item["id"] for item in one().fields["locations"]] == [10, 20, 30, 40]

    def test_without_a_default_it_is_a_finding(self) -> None:
        manifest("locations: {append: [{id: 30}]}")
        assert findings() == [
            (
                "monitors/team/a.yaml:8:15: nothing-to-append-to: no default sets spec.locations "
                "here; write the whole list, without append"
            )
        ]

    def test_a_fault_is_shown_where_it_stands(self) -> None:
        defaults("monitors/_defaults.yaml", POOL)
        manifest("locations: {append: [{id: 10}, {id: x}]}")
        assert findings() == [
            "monitors/team/a.yaml:8:39: type: spec.locations[2].id must be an integer, not a string"
        ]

    def test_a_fault_in_a_defaults_file_is_shown_there(self) -> None:
        defaults("monitors/team/_defaults.yaml", "locations: {append: [{id: x}]}")
        manifest()
        assert findings() == [
            (
                "monitors/team/_defaults.yaml:4:29: type: spec.locations[0].id must be an integer, "
                "not a string"
            )
        ]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("port: {append: [1]}", "spec.port is not a list; append works only with lists"),
            (
                "locations: {append: 1}",
                "spec.locations can only append a list: {append: [...]}, and no more",
            ),
        ],
    )
    def test_only_to_lists_and_only_lists(self, line: str, message: str) -> None:
        defaults("monitors/_defaults.yaml", POOL)
        manifest(line)
        assert [finding.partition(": inherit: ")[2] for finding in findings()] == [message]


@pytest.mark.parametrize("name", [*SCHEMAS.kinds, "defaults"])
def test_the_schema_for_editors_takes_both(name: str) -> None:
    schema = json.loads((schema_folder() / f"{name}.schema.json").read_text())
    document: dict[str, Any] = schema["examples"][0]
    spec = document["spec"]
    is_valid = Draft202012Validator(schema).is_valid
    given = {"interval": {"inherit": False}, "locations": {"append": [{"id": 30}]}}
    assert is_valid({**document, "spec": {**spec, **given}})
    for wrong in ({"interval": {"inherit": True}}, {"locations": {"append": [{"id": "x"}]}}):
        assert not is_valid({**document, "spec": {**spec, **wrong}})


@pytest.mark.parametrize(
    ("default", "value", "added"),
    [
        ([1, 2], [1, 2, 3], [3]),
        ([1, 2], [3, 2, 1], [3]),
        ([1, 2], [1, 3], []),
        ([1, 2], [1, 2], []),
    ],
)
def test_what_makes_one_list_out_of_another(
    default: list[int], value: list[int], added: list[int]
) -> None:
    assert appendix(default, value) == added
    if added:
        assert sorted(combined(default, added)) == sorted(value)


class TestMaintenance:
    def test_until_and_on_that_day_it_says_nothing(self) -> None:
        manifest("enabled: false")
        self.until("2026-01-31")
        for today in ("2026-01-30", "2026-01-31"):
            assert load_fleet(["monitors"], SCHEMAS, today).warnings == ()

    def test_after_it_every_plan_warns(self) -> None:
        manifest("enabled: false")
        self.until("2026-01-31")
        (warning,) = load_fleet(["monitors"], SCHEMAS, "2026-02-01").warnings
        assert str(warning) == (
            "monitors/team/a.yaml:9:20: expired-maintenance: maintenance until 2026-01-31 is over, "
            "but the monitor is still disabled; remove enabled: false, or set a later day"
        )

    def test_a_folder_can_be_off(self) -> None:
        defaults("monitors/team/_defaults.yaml", "enabled: false")
        with Path("monitors/team/_defaults.yaml").open("a") as file:
            file.write("lifecycle: {until: 2026-01-31}\n")
        manifest()
        (warning,) = load_fleet(["monitors"], SCHEMAS, "2026-02-01").warnings
        assert str(warning).startswith("monitors/team/_defaults.yaml:5:20: expired-maintenance")

    def test_it_belongs_beside_what_is_off(self) -> None:
        manifest()
        self.until("2026-01-31")
        (warning,) = load_fleet(["monitors"], SCHEMAS, "2026-01-01").warnings
        assert ": unused-until: until has no effect without enabled: false" in str(warning)

    @staticmethod
    def until(day: str) -> None:
        with Path("monitors/team/a.yaml").open("a") as file:
            file.write(f"lifecycle: {{until: {day}}}\n")


def test_a_key_that_a_default_gives_elsewhere() -> None:
    defaults("monitors/other/_defaults.yaml", "billing_plancode: UBM - A/A")
    manifest()
    path = Path("monitors/team/a.yaml")
    path.write_text(path.read_text().replace("  billing_plancode: UBM - A/A\n", ""))
    assert findings() == [
        (
            "monitors/team/a.yaml:4:1: missing-key: missing key spec.billing_plancode; the default "
            "at monitors/other/_defaults.yaml:1 does not apply here. To move a manifest and keep "
            "its values, use reconciler mv"
        )
    ]


def test_a_field_that_nothing_names_any_more() -> None:
    manifest("port: 587", "mode: {inherit: false}")
    defaults("monitors/_defaults.yaml", "mode: Primary")
    applied = record(id=1, fields={"port": 587, "timeout": 30, "mode": "Primary"})
    (finding,) = unnamed_fields([one()], {"email-smtp/a": applied})
    assert (finding.code, finding.pointer) == ("unnamed-field", ("spec", "timeout"))
    assert not list(unnamed_fields([one()], {}))
