"""Tests for what is written into the manifests of a fleet of layers: values and ids."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.core.assignments import assignment
from reconciler.core.model import Account, Live
from reconciler.core.naming import Draft, layout_of
from reconciler.core.options import PlanOptions
from reconciler.core.planner import decide
from reconciler.core.redactor import Redactor
from reconciler.core.state import Record, State
from reconciler.errors import InvalidManifestsError, UsageError
from reconciler.schema import installed_schemas
from reconciler.secrets import Vault
from reconciler.usecases.draft import compose
from reconciler.usecases.effective import find_effective
from reconciler.usecases.fmt import find_findings, format_files
from reconciler.usecases.import_ import ImportOptions, draft
from reconciler.usecases.load import Sources, load
from reconciler.usecases.move import find_move, move
from reconciler.usecases.plan import Planned, Workspace
from reconciler.usecases.pull import find_pull
from reconciler.usecases.pull import write as pull_files
from reconciler.usecases.set_ import Asked, find_setting
from reconciler.usecases.set_ import write as write_edited
from reconciler.usecases.write_ids import write_ids

if TYPE_CHECKING:
    from reconciler.core.model import JSON
    from reconciler.usecases.load import Fleet
    from reconciler.usecases.pull import Pull

SCHEMAS = installed_schemas()
ACCOUNT = Account("acme", "https://alertsite.example")
FIELDS = sorted({name for kind in SCHEMAS.kinds.values() for name in kind.fields})
SHARED, OWN = "monitors/_shared", "monitors/acme"
SOURCES = Sources((SHARED, OWN), {"site": "acme.example", "port": 2525}, "acme")
RELAY = """\
apiVersion: reconciler/v1
kind: email-smtp
metadata:
  name: relay
  labels: {site: "${site}"}
spec:
  name: Relay
  billing_plancode: UBM
  hostname: mx.${site}
  port: ${port} # everywhere
  timeout: 30
"""
HEAD = "apiVersion: reconciler/v1\nkind: Override\naddress: email-smtp/relay\nspec:\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (SHARED, OWN):
        Path(folder).mkdir(parents=True)
    Path(SHARED, "relay.yaml").write_text(RELAY)
    Path(OWN, "own.yaml").write_text(RELAY.replace("name: relay", "name: own"))


def fleet() -> Fleet:
    return load(SOURCES, SCHEMAS)


def set_(*arguments: str, unset: tuple[str, ...] = ()) -> dict[str, str | None]:
    """Sets fields; the text of each file that was written, and None for one that was removed."""
    target, *asked = arguments
    read = [assignment(text, FIELDS) for text in asked]
    wanted = Asked([target], [item for item in read if item is not None], unset)
    found = find_setting(SOURCES, SCHEMAS, wanted)
    for file in found.files:
        write_edited(file)
    paths = [Path(file.path) for file in found.files]
    return {str(path): path.read_text() if path.exists() else None for path in paths}


class TestSetting:
    def test_a_shared_value_is_overridden(self) -> None:
        assert set_("email-smtp/relay", "timeout=60", "port=26") == {
            f"{OWN}/overrides.yaml": f"{HEAD}  port: 26\n  timeout: 60\n"
        }
        assert fleet().by_address["email-smtp/relay"].fields["timeout"] == 60

    def test_the_override_that_there_is_is_edited(self) -> None:
        Path(OWN, "a.yaml").write_text(f"{HEAD}  timeout: 40 # slow\n")
        assert set_("email-smtp/relay", "timeout=60", "mode=Primary") == {
            f"{OWN}/a.yaml": f"{HEAD}  timeout: 60 # slow\n  mode: Primary\n"
        }

    def test_one_of_a_shared_folder_is_left_to_the_others(self) -> None:
        Path(SHARED, "a.yaml").write_text(f"{HEAD}  timeout: 40\n")
        assert list(set_("email-smtp/relay", "timeout=60")) == [f"{OWN}/overrides.yaml"]

    def test_another_override_goes_behind_those_of_the_file(self) -> None:
        other = RELAY.replace("name: relay", "name: other")
        Path(SHARED, "other.yaml").write_text(other)
        Path(OWN, "overrides.yaml").write_text(f"# ours\n{HEAD}  timeout: 40")
        written = set_("email-smtp/other", "timeout=60")[f"{OWN}/overrides.yaml"]
        added = HEAD.replace("relay", "other") + "  timeout: 60\n"
        assert written == f"# ours\n{HEAD}  timeout: 40\n---\n{added}"

    def test_a_field_is_left_out_for_one_account(self) -> None:
        assert set_("email-smtp/relay", unset=("timeout",)) == {
            f"{OWN}/overrides.yaml": f"{HEAD}  timeout: {{inherit: false}}\n"
        }
        assert "timeout" not in fleet().by_address["email-smtp/relay"].fields
        assert set_("email-smtp/relay", unset=("timeout",)) == {}  # nothing is left to leave out

    @pytest.mark.parametrize("head", ["", "---\n", "# Ours.\n", "# Ours.\n\n---\n# Slow.\n"])
    def test_the_last_field_of_an_override_takes_it_along(self, head: str) -> None:
        path = Path(OWN, "overrides.yaml")
        path.write_text(f"{head}{HEAD}  timeout: 60 # slow\n")
        assert set_("email-smtp/relay", unset=("timeout",)) == {str(path): None}
        assert fleet().by_address["email-smtp/relay"].fields["timeout"] == 30
        assert not path.exists()

    @pytest.mark.parametrize("number", range(3))
    @pytest.mark.parametrize("head", ["", "# Ours.\n\n", "---\n", "# Ours.\n---\n"])
    def test_other_documents_stay(self, head: str, number: int) -> None:
        Path(SHARED, "other.yaml").write_text(RELAY.replace("name: relay", "name: other"))
        own = RELAY.replace("name: relay", "name: mine")
        other = f"{HEAD.replace('relay', 'other')}  timeout: 40 # here\n"
        texts = [own, other]
        texts.insert(number, f"# Of the relay.\n{HEAD}  timeout: 60\nextra: {{}}\n")
        Path(OWN, "a.yaml").write_text(head + "---\n".join(texts))
        (written,) = set_("email-smtp/relay", unset=("timeout",)).values()
        assert written is not None
        assert written.endswith(f"{own}---\n{other}")
        assert written.startswith(head)
        assert "Of the relay" not in written or (number == 0 and "---" not in head)
        assert fleet().by_address["email-smtp/relay"].fields["timeout"] == 30

    def test_an_override_with_another_field_stays(self) -> None:
        Path(OWN, "a.yaml").write_text(f"{HEAD}  timeout: 60\nextra: {{x: 1}}\n")
        assert set_("email-smtp/relay", "extra.x=2", unset=("timeout",)) == {
            f"{OWN}/a.yaml": f"{HEAD[:-1]} {{}}\nextra: {{x: 2}}\n"
        }
        assert list(set_("email-smtp/relay", "port=26", unset=("extra.x",))) == [f"{OWN}/a.yaml"]
        assert fleet().by_address["email-smtp/relay"].fields["port"] == 26

    def test_a_variable_is_not_overwritten(self) -> None:
        with pytest.raises(UsageError) as caught:
            set_("email-smtp/own", "port=26")
        assert str(caught.value) == (
            "email-smtp/own: port is not set: its value comes from ${port}; change the variable, "
            "or write the value by hand"
        )

    def test_nor_one_in_a_label(self) -> None:
        with pytest.raises(UsageError, match=r"labels\.site is not set: .* from \$\{site\}"):
            set_("email-smtp/own", "labels.team=a")

    def test_a_variable_can_be_set(self) -> None:
        written = set_("email-smtp/own", "timeout=${port}")
        assert "\n  timeout: ${port}\n" in written[f"{OWN}/own.yaml"]

    def test_one_that_is_not_defined_cannot(self) -> None:
        with pytest.raises(InvalidManifestsError) as caught:
            set_("email-smtp/own", "timeout=${prot}")
        assert [finding.code for finding in caught.value.findings] == ["undefined-variable"]

    def test_labels_are_those_of_all_accounts(self) -> None:
        with pytest.raises(UsageError, match=f"relay is shared in {SHARED}, and an account cannot"):
            set_("email-smtp/relay", "labels.team=a")


class TestIds:
    def said(self, bound: dict[str, int], account: str = "acme", twin: str = "") -> list[str]:
        found = load(SOURCES._replace(account=account, twin=twin), SCHEMAS)
        workspace = Workspace(found, SCHEMAS, Vault({}, ""), PlanOptions())
        return list(write_ids(workspace, bound))

    def test_a_shared_manifest_gets_one_for_each_account(self) -> None:
        bound = {"email-smtp/relay": 7, "email-smtp/own": 8}
        assert self.said(bound) == [
            f"{SHARED}/relay.yaml: wrote metadata.ids 7 of email-smtp/relay.",
            f"{OWN}/own.yaml: wrote metadata.id 8 of email-smtp/own.",
        ]
        self.said({"email-smtp/relay": 9}, "beta")
        assert Path(SHARED, "relay.yaml").read_text() == RELAY.replace(
            "name: relay\n", "name: relay\n  ids: {acme: 7, beta: 9}\n"
        )
        assert fleet().by_address["email-smtp/relay"].id == 7

    def test_a_manifest_of_a_folder_that_two_accounts_end_with_gets_one_for_each(self) -> None:
        assert self.said({"email-smtp/own": 8}, twin="beta") == [
            f"{OWN}/own.yaml: wrote metadata.ids 8 of email-smtp/own."
        ]
        assert "\n  ids: {acme: 8}\n" in Path(OWN, "own.yaml").read_text()

    def test_the_one_account_that_there_is_needs_no_name(self) -> None:
        assert self.said({"email-smtp/relay": 7}, "default") == [
            f"{SHARED}/relay.yaml: wrote metadata.id 7 of email-smtp/relay."
        ]


def test_a_manifest_is_shown_with_what_gave_each_value() -> None:
    Path(OWN, "_defaults.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Defaults\nspec: {mode: Primary}\n"
    )
    Path(OWN, "a.yaml").write_text(f"{HEAD}  timeout: ${{port}}\nextra: {{x: 1}}\n")
    text = "\n".join(
        str(find_effective(fleet(), SCHEMAS, "email-smtp/relay").to_yaml()).split("\n")
    )
    assert (
        text
        == f"""\
# email-smtp/relay: {SHARED}/relay.yaml:1, shared in {SHARED}
apiVersion: reconciler/v1
kind: email-smtp
metadata: {{name: relay, labels: {{site: acme.example}}}}
spec:
  name: Relay  # {SHARED}/relay.yaml:7:3
  billing_plancode: UBM  # {SHARED}/relay.yaml:8:3
  hostname: mx.acme.example  # {SHARED}/relay.yaml:9:3, from ${{site}}
  port: 2525  # {SHARED}/relay.yaml:10:3, from ${{port}}
  timeout: 2525  # override, {OWN}/a.yaml:5:3, from ${{port}}
  mode: Primary  # default, {OWN}/_defaults.yaml:3:8
extra:
  x: 1  # override, {OWN}/a.yaml:6:9"""
    )


class TestMoving:
    def test_what_variables_and_overrides_say_stays_as_it_is(self) -> None:
        Path(OWN, "_defaults.yaml").write_text(
            "apiVersion: reconciler/v1\nkind: Defaults\nspec: {mode: '${site}'}\n"
        )
        Path(OWN, "a.yaml").write_text(f"{HEAD}  timeout: 60\n")
        before = Path(OWN, "own.yaml").read_bytes()
        found = find_move([f"{OWN}/own.yaml", f"{OWN}/a.yaml"], f"{OWN}/eu/", SOURCES, SCHEMAS)
        move(found, lambda _: nullcontext())
        assert Path(OWN, "eu", "own.yaml").read_bytes() == before
        assert fleet().by_address["email-smtp/relay"].fields["timeout"] == 60

    def test_a_shared_manifest_stays_where_others_look_for_it(self) -> None:
        with pytest.raises(UsageError):
            find_move([f"{SHARED}/relay.yaml"], f"{OWN}/", SOURCES, SCHEMAS)


def test_nothing_is_edited_where_ids_are_of_an_account_that_there_is_not() -> None:
    """As `validate` says it of the same folders."""
    own = Path(OWN, "own.yaml")
    own.write_text(own.read_text().replace("name: own", "name: own\n  ids: {acmee: 7}"))
    sources = SOURCES._replace(accounts=("acme",))
    wanted = Asked(["email-smtp/relay"], [], ("timeout",))
    edits = (
        lambda: find_setting(sources, SCHEMAS, wanted),
        lambda: find_move([str(own)], f"{OWN}/eu/", sources, SCHEMAS),
    )
    for edit in edits:
        with pytest.raises(InvalidManifestsError) as caught:
            edit()
        assert [item.code for item in caught.value.findings] == ["unknown-account"]


def test_an_import_means_what_looks_like_a_variable() -> None:
    draft = Draft("email-smtp", "new", 7, "new.yaml", {"name": "a ${x}"}, {"y": ["$${z}"]})
    (text,) = compose([draft], [], OWN, SCHEMAS).values()
    assert "name: a $${x}" in text
    assert "$$${z}" in text


def test_an_import_knows_what_is_shared() -> None:
    ids = RELAY.replace("name: relay\n", "name: relay\n  ids: {acme: 7}\n")
    Path(SHARED, "relay.yaml").write_text(ids)
    layout, state = layout_of("{kind}/{name}.yaml"), State("lineage", ACCOUNT)
    asked = ImportOptions(OWN, SOURCES, layout, merge=False, lift=False)
    found = draft([Live(7, "email-smtp", {"name": "Other"})], SCHEMAS, state, asked, Redactor())
    assert (found.known, found.drafts) == (1, ())


class TestPulling:
    def pulled(self, address: str, **live: JSON) -> tuple[Pull, Fleet]:
        """What is pulled when AlertSite has other values of some fields, and the fleet then."""
        found = fleet()
        desired = found.by_address[address]
        records = {address: Record(7, desired.fields, {}, "", "")}
        has = [Live(7, "email-smtp", {**desired.fields, **live})]
        plan = decide(ACCOUNT, [desired], records, has, SCHEMAS.kinds)
        state = State("lineage", ACCOUNT, records=records)
        workspace = Workspace(found, SCHEMAS, Vault({}, ""))
        pull = find_pull(workspace, Planned({7: has[0]}, plan, {}), state, take_all=False)
        assert [error for _, error in pull_files(pull, nullcontext) if error] == []
        return pull, fleet()

    def test_drift_of_a_shared_manifest_becomes_an_override(self) -> None:
        pull, after = self.pulled("email-smtp/relay", timeout=60, port=26, mode="Primary")
        assert pull.skipped == ()
        assert Path(OWN, "overrides.yaml").read_text() == f"{HEAD}  port: 26\n  timeout: 60\n"
        assert Path(SHARED, "relay.yaml").read_text() == RELAY
        assert after.by_address["email-smtp/relay"].fields["port"] == 26

    def test_into_the_override_that_there_is(self) -> None:
        Path(OWN, "a.yaml").write_text(f"{HEAD}  timeout: 40 # slow\n")
        self.pulled("email-smtp/relay", timeout=60)
        assert Path(OWN, "a.yaml").read_text() == f"{HEAD}  timeout: 60 # slow\n"

    def test_no_variable_is_overwritten(self) -> None:
        pull, _ = self.pulled("email-smtp/own", timeout=60, port=26)
        assert [(item.field, item.reason) for item in pull.skipped] == [
            (
                "port",
                "its value comes from ${port}; change the variable, or write the value by hand",
            )
        ]
        assert fleet().by_address["email-smtp/own"].fields["timeout"] == 60

    def test_what_is_not_pulled_is_named_where_it_stands(self) -> None:
        Path(OWN, "a.yaml").write_text(f"{HEAD}  interval: 10\n  note: to ${{port}}\n")
        pull, _ = self.pulled("email-smtp/relay", note="x", port=26, hostname="no host")
        assert [(item.field, item.place.path, item.place.line) for item in pull.skipped] == [
            ("note", f"{OWN}/a.yaml", 6),
            ("hostname", f"{SHARED}/relay.yaml", 9),
        ]

    def test_what_looks_like_a_variable_is_escaped(self) -> None:
        _, after = self.pulled("email-smtp/own", name="a ${port}")
        assert "name: a $${port}\n" in Path(OWN, "own.yaml").read_text()
        assert after.by_address["email-smtp/own"].fields["name"] == "a ${port}"


def test_shared_manifests_are_formatted_without_an_account() -> None:
    Path(OWN, "a.yaml").write_text(
        "address: email-smtp/relay\napiVersion: reconciler/v1\nkind: Override\n"
        "spec: {timeout: '${x}'}\n"
    )
    for folder in (SHARED, OWN):
        findings = find_findings([folder], SCHEMAS)
        assert findings == ()
        files = {file.path: file for file in format_files([folder], SCHEMAS, findings)}
    assert files[f"{OWN}/a.yaml"].data.startswith(b"apiVersion: reconciler/v1\nkind: Override\n")
