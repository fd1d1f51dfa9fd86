"""Tests for fleets of several layers: variables, defaults over shared manifests, overrides, ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.core.model import DEFAULT_ACCOUNT
from reconciler.core.variables import escaped, fill, names_in
from reconciler.errors import InvalidManifestsError
from reconciler.schema import installed_schemas
from reconciler.usecases.load import Sources, load

if TYPE_CHECKING:
    from reconciler.core.model import JSON, Desired
    from reconciler.usecases.load import Fleet

SCHEMAS = installed_schemas()
SHARED, OWN = "monitors/_shared", "monitors/acme"
VARIABLES = {"site": "acme.example", "port": 2525, "on": False, "pool": [{"id": 10}, {"id": 20}]}
RELAY = """\
apiVersion: reconciler/v1
kind: email-smtp
metadata:
  name: relay
spec:
  name: Relay of ${site}
  billing_plancode: UBM
  hostname: mx.${site}
  port: ${port}
  timeout: 30
"""
OVERRIDE = "apiVersion: reconciler/v1\nkind: Override\naddress: email-smtp/relay\n"
DEFAULTS = "apiVersion: reconciler/v1\nkind: Defaults\nspec:\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (SHARED, OWN):
        Path(folder).mkdir(parents=True)
    write(f"{SHARED}/relay.yaml", RELAY)


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def fleet(*folders: str, account: str = "acme", **variables: JSON) -> Fleet:
    values = {**VARIABLES, **variables}
    return load(Sources(folders or (SHARED, OWN), values, account), SCHEMAS)


def relay(*folders: str, account: str = "acme", **variables: JSON) -> Desired:
    return fleet(*folders, account=account, **variables).by_address["email-smtp/relay"]


def findings(*folders: str, account: str = "acme") -> list[str]:
    with pytest.raises(InvalidManifestsError) as caught:
        fleet(*folders, account=account)
    return [str(finding) for finding in caught.value.findings]


class TestVariables:
    def test_without_accounts_they_are_those_of_defaults(self) -> None:
        write(f"{SHARED}/relay.yaml", RELAY.replace("${port}", "${x}"))
        (finding,) = findings(account=DEFAULT_ACCOUNT)
        assert finding.endswith("; define it under vars of [defaults] in reconciler.toml")

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("${port}", 2525),
            ("${on}", False),
            ("${pool}", [{"id": 10}, {"id": 20}]),
            ("mx.${site}:${port}", "mx.acme.example:2525"),
            ("${on} or off", "false or off"),
            ("$${site}", "${site}"),
            ("$$${site}", "$${site}"),
            ("cost $5 {x}", "cost $5 {x}"),
            (["${port}", {"a": "${site}"}], [2525, {"a": "acme.example"}]),
            ({"${port}": 1}, {"${port}": 1}),
            ({"secretRef": {"env": "${site}"}}, {"secretRef": {"env": "acme.example"}}),
        ],
    )
    def test_it_stands_for_its_value(self, text: JSON, value: JSON) -> None:
        filled = fill({"spec": {"field": text}}, VARIABLES)
        assert (filled.value, filled.faults) == ({"spec": {"field": value}}, ())

    def test_what_a_variable_holds_is_not_looked_at_again(self) -> None:
        filled = fill({"extra": {"a": "${x}", "b": "<${x}>"}}, {"x": "${x}"})
        assert filled.value == {"extra": {"a": "${x}", "b": "<${x}>"}}

    def test_an_identity_never_varies(self) -> None:
        document = {"kind": "${site}", "metadata": {"name": "${site}", "labels": {"a": "${site}"}}}
        assert fill(document, VARIABLES).value == {
            "kind": "${site}",
            "metadata": {"name": "${site}", "labels": {"a": "acme.example"}},
        }

    @pytest.mark.parametrize("text", ["${x}", "$${", "a $${x} ${", "$", "$$", "{}", "$${$${"])
    def test_any_text_can_be_said(self, text: str) -> None:
        said = escaped({"spec": {"a": [text]}})
        assert fill(said, {}) == ({"spec": {"a": [text]}}, {}, ())

    def test_the_names_in_a_value(self) -> None:
        assert list(names_in(["${a} $${b}", {"c": "${d}"}, 1])) == ["a", "d"]

    def test_they_are_values_of_the_manifest(self) -> None:
        found = relay()
        assert (found.fields["hostname"], found.fields["port"]) == ("mx.acme.example", 2525)
        assert found.variables == {"name": ("site",), "hostname": ("site",), "port": ("port",)}

    @pytest.mark.parametrize(
        ("text", "finding"),
        [
            (
                "${prot}",
                "undefined-variable: the variable prot is not defined; did you mean port?",
            ),
            (
                "${x}",
                (
                    "undefined-variable: the variable x is not defined; define it under vars of "
                    "the account acme, or of [defaults] in reconciler.toml"
                ),
            ),
            (
                '"${a b}"',
                "bad-variable: ${a b} is not a variable; write ${name}, or $${ for a literal ${",
            ),
            ('"${"', "bad-variable: ${ is not a variable; write ${name}, or $${ for a literal ${"),
            (
                '"a ${pool}"',
                (
                    "variable-type: the variable pool is not a string or a number, so it must be "
                    "the whole value"
                ),
            ),
        ],
    )
    def test_a_fault_is_one_finding_with_its_place(self, text: str, finding: str) -> None:
        write(f"{SHARED}/relay.yaml", RELAY.replace("${port}", text))
        assert findings() == [f"{SHARED}/relay.yaml:9:9: {finding}"]

    def test_a_bad_value_names_its_variable(self) -> None:
        write(f"{SHARED}/relay.yaml", RELAY.replace("${port}", "${site}"))
        assert findings() == [
            (
                f"{SHARED}/relay.yaml:9:9: type: spec.port must be an integer, not a string "
                "(from ${site})"
            )
        ]

    def test_a_defaults_file_has_them_too(self) -> None:
        write(f"{OWN}/_defaults.yaml", DEFAULTS + "  mode: ${site}\n")
        assert relay().fields["mode"] == "acme.example"
        assert relay().variables["mode"] == ("site",)

    @pytest.mark.parametrize("spelling", [r"\x24{", r"\u0024{", r"$\x7b", "$\\\n  {"])
    def test_any_spelling_is_one(self, spelling: str) -> None:
        text = RELAY.replace("${site}", "x").replace("${port}", f'"{spelling}port}}"')
        write(f"{SHARED}/relay.yaml", text)
        assert relay().fields["port"] == 2525


class TestDefaults:
    def test_those_of_the_account_count_more_than_a_shared_manifest(self) -> None:
        write(f"{OWN}/_defaults.yaml", DEFAULTS + "  timeout: 60\n")
        found = relay()
        assert found.fields["timeout"] == 60
        assert str(found.place("timeout")) == f"{OWN}/_defaults.yaml:1"
        assert found.layer == SHARED

    def test_they_count_less_than_a_manifest_of_the_account(self) -> None:
        Path(SHARED, "relay.yaml").rename(f"{OWN}/relay.yaml")
        write(f"{OWN}/_defaults.yaml", DEFAULTS + "  timeout: 60\n")
        assert (relay(OWN).fields["timeout"], relay(OWN).layer) == (30, "")

    def test_those_above_both_folders_count_once_and_least(self) -> None:
        write("monitors/_defaults.yaml", DEFAULTS + "  timeout: 60\n  interval: 7\n")
        write(f"{SHARED}/_defaults.yaml", DEFAULTS + "  interval: 8\n")
        found = relay()
        assert (found.fields["timeout"], found.fields["interval"]) == (30, 8)

    def test_they_refuse_and_add_to_shared_defaults(self) -> None:
        pool = "  locations: [{id: 10}]\n"
        write(f"{SHARED}/_defaults.yaml", DEFAULTS + pool + "  mode: Primary\n")
        own = "  locations: {append: [{id: 30}]}\n  mode: {inherit: false}\n"
        write(f"{OWN}/_defaults.yaml", DEFAULTS + own + "  timeout: {inherit: false}\n")
        found = relay()
        assert found.fields["locations"] == [{"id": 10}, {"id": 30}]
        assert ("mode" in found.fields, found.fields["timeout"]) == (False, 30)

    def test_a_fault_in_them_is_shown_there(self) -> None:
        write(f"{OWN}/_defaults.yaml", DEFAULTS + "  timeout: x\n")
        assert findings() == [
            f"{OWN}/_defaults.yaml:4:12: type: spec.timeout must be an integer, not a string"
        ]


class TestOverrides:
    def test_one_counts_most(self) -> None:
        write(f"{OWN}/_defaults.yaml", DEFAULTS + "  timeout: 60\n")
        write(f"{OWN}/relay.yaml", OVERRIDE + "spec:\n  timeout: ${port}\nextra:\n  x: 1\n")
        found = relay()
        assert (found.fields["timeout"], found.fields["x"]) == (2525, 1)
        assert {field: str(place) for field, place in found.overridden.items()} == {
            "timeout": f"{OWN}/relay.yaml:1",
            "x": f"{OWN}/relay.yaml:1",
        }
        assert found.variables["timeout"] == ("port",)
        assert "timeout" not in found.inherited

    def test_a_later_layer_counts_more(self) -> None:
        write("monitors/gold/a.yaml", OVERRIDE + "spec: {timeout: 40, interval: 9}\n")
        write(f"{OWN}/a.yaml", OVERRIDE + "spec: {timeout: 50}\n")
        found = relay(SHARED, "monitors/gold", OWN)
        assert (found.fields["timeout"], found.fields["interval"]) == (50, 9)

    def test_it_can_leave_a_field_out_and_add_to_a_list(self) -> None:
        write(f"{SHARED}/relay.yaml", f"{RELAY}  locations: [{{id: 10}}]\n")
        said = "spec: {timeout: {inherit: false}, locations: {append: [{id: 30}]}}\n"
        write(f"{OWN}/a.yaml", OVERRIDE + said)
        found = relay()
        assert "timeout" not in found.fields
        assert found.fields["locations"] == [{"id": 10}, {"id": 30}]

    def test_there_must_be_a_list_to_add_to(self) -> None:
        write(f"{OWN}/a.yaml", f"{OVERRIDE}spec: {{locations: {{append: [{{id: 30}}]}}}}\n")
        assert findings() == [
            (
                f"{OWN}/a.yaml:4:20: nothing-to-append-to: spec.locations has no list here; write "
                "it without append"
            )
        ]

    @pytest.mark.parametrize(
        ("text", "finding"),
        [
            (
                OVERRIDE.replace("relay", "rely") + "spec: {port: 1}\n",
                (
                    "3:10: overrides-nothing: this overrides nothing: no manifest describes "
                    "email-smtp/rely; did you mean email-smtp/relay?"
                ),
            ),
            (
                OVERRIDE.replace("relay", "${who}") + "spec: {port: 1}\n",
                (
                    "3:10: pattern: address is not valid: write the kind and the name of a "
                    "manifest, such as email-smtp/relay"
                ),
            ),
            (
                OVERRIDE,
                (
                    "3:10: overrides-nothing: this overrides nothing; write the fields that differ "
                    "under spec"
                ),
            ),
            (
                OVERRIDE + "spec: {port: 1}\nextra: {}\nname: x\n",
                (
                    "6:1: unknown-key: unknown key name; the keys here are apiVersion, kind, "
                    "address, lifecycle, spec, extra"
                ),
            ),
            (
                OVERRIDE + "spec: {port: x}\n",
                "4:14: type: spec.port must be an integer, not a string",
            ),
            (
                OVERRIDE + "spec: {prot: 1}\n",
                "4:8: unknown-key: unknown key spec.prot; did you mean port?",
            ),
            (
                OVERRIDE + "extra: {port: 1}\n",
                (
                    "4:9: not-extra: port does not belong under extra; if a manifest can set it, "
                    "put it under spec"
                ),
            ),
            (
                OVERRIDE + f"spec: {{port: 1}}\n---\n{OVERRIDE}spec: {{port: 2}}\n",
                (
                    "9:8: duplicate-override: spec.port of email-smtp/relay is already overridden "
                    f"in this layer, at {OWN}/a.yaml:1; remove one"
                ),
            ),
        ],
    )
    def test_a_fault_is_shown_where_it_stands(self, text: str, finding: str) -> None:
        write(f"{OWN}/a.yaml", text)
        assert findings() == [f"{OWN}/a.yaml:{finding}"]

    def test_an_earlier_layer_cannot_override_a_later_one(self) -> None:
        Path(SHARED, "relay.yaml").rename(f"{OWN}/relay.yaml")
        write(f"{SHARED}/a.yaml", OVERRIDE + "spec: {port: 1}\n")
        assert findings() == [
            (
                f"{SHARED}/a.yaml:3:10: overrides-nothing: email-smtp/relay is described in a "
                "later layer; write the fields there"
            )
        ]

    def test_one_of_a_manifest_that_cannot_be_read_is_no_fault(self) -> None:
        write(f"{SHARED}/relay.yaml", RELAY + "  [\n")
        write(f"{OWN}/a.yaml", OVERRIDE + "spec: {port: 1}\n")
        assert [finding.split(": ")[1] for finding in findings()] == ["syntax"]

    def test_it_can_say_until_when_it_is_meant(self) -> None:
        said = "lifecycle: {until: 2026-01-01}\nspec: {enabled: false}\n"
        write(f"{OWN}/a.yaml", OVERRIDE + said)
        found = load(Sources((SHARED, OWN), VARIABLES, "acme"), SCHEMAS, "2026-02-01")
        assert [item.code for item in found.warnings] == ["expired-maintenance"]


class TestIds:
    def test_each_account_has_its_own(self) -> None:
        ids = "ids: {acme: 7, beta: 8}"
        write(f"{SHARED}/relay.yaml", RELAY.replace("name: relay", f"name: relay\n  {ids}"))
        assert (relay().id, relay(account="beta").id, relay(account="new").id) == (7, 8, None)

    def test_one_id_for_several_accounts_is_a_fault(self) -> None:
        write(f"{SHARED}/relay.yaml", RELAY.replace("name: relay", "name: relay\n  id: 7"))
        assert findings() == [
            (
                f"{SHARED}/relay.yaml:5:7: shared-id: an id belongs to one account, but several "
                "use this manifest; write ids: {acme: 7}"
            )
        ]

    def test_not_of_the_one_account_that_there_is(self) -> None:
        write(f"{SHARED}/relay.yaml", RELAY.replace("name: relay", "name: relay\n  id: 7"))
        assert relay(account="default").id == 7

    def test_one_of_an_account_that_there_is_not_is_a_fault(self) -> None:
        """Else a slip of the pen would make a second monitor."""
        ids = "ids: {acmee: 7, beta: 8}"
        write(f"{SHARED}/relay.yaml", RELAY.replace("name: relay", f"name: relay\n  {ids}"))
        assert relay().id is None
        with pytest.raises(InvalidManifestsError) as caught:
            load(Sources((SHARED, OWN), VARIABLES, "acme", ("acme",)), SCHEMAS)
        assert [str(finding) for finding in caught.value.findings] == [
            (
                f"{SHARED}/relay.yaml:5:9: unknown-account: metadata.ids names acmee, but the "
                "settings have no such account; did you mean acme?"
            ),
            (
                f"{SHARED}/relay.yaml:5:19: unknown-account: metadata.ids names beta, but the "
                "settings have no such account; remove its id"
            ),
        ]

    def test_id_and_ids_do_not_go_together(self) -> None:
        both = "name: relay\n  id: 7\n  ids: {acme: 7}"
        write(f"{SHARED}/relay.yaml", RELAY.replace("name: relay", both))
        assert findings() == [
            (
                f"{SHARED}/relay.yaml:5:7: two-ids: metadata.ids has the id of each account; "
                "remove metadata.id"
            )
        ]

    def test_a_monitor_has_one_manifest(self) -> None:
        ids = "name: relay\n  ids: {acme: 7}"
        write(f"{SHARED}/relay.yaml", RELAY.replace("name: relay", ids))
        write(f"{OWN}/b.yaml", RELAY.replace("name: relay", "name: other\n  id: 7"))
        assert findings() == [
            (
                f"{OWN}/b.yaml:5:7: duplicate-id: monitor 7 is already bound by email-smtp/relay "
                f"at {SHARED}/relay.yaml:5:15"
            )
        ]


def test_an_address_in_two_layers_is_a_fault() -> None:
    write(f"{OWN}/relay.yaml", RELAY)
    assert [finding.split(": ")[1] for finding in findings()] == ["duplicate-address"]
