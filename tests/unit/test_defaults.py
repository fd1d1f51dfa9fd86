"""Values from `_defaults.yaml` files: whose they are, which wins, where faults are shown."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.model import Desired
from reconciler.errors import InvalidManifestsError
from reconciler.usecases.defaults import above
from reconciler.usecases.load import Fleet, load_fleet

from build import SCHEMAS

HOST = "hostname: mx.example.com"
PLAN = "billing_plancode: UBM - A/A"


pytestmark = pytest.mark.usefixtures("here")


def write(path: str, text: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))


def defaults(path: str, *lines: str, applies_to: str = "") -> None:
    spec = "".join(f"  {line}\n" for line in lines)
    kinds = f"appliesTo: [{applies_to}]\n" if applies_to else ""
    write(path, f"apiVersion: reconciler/v1\nkind: Defaults\n{kinds}spec:\n{spec}")


def manifest(path: str, *lines: str, kind: str = "email-smtp", tail: str = "") -> None:
    """A manifest that names the name of its monitor, and these lines."""
    name = path.removesuffix(".yaml").replace("/", "-").replace(".", "")
    spec = "".join(f"  {line}\n" for line in (f"name: {name}", *lines))
    head = f"apiVersion: reconciler/v1\nkind: {kind}\nmetadata: {{name: {Path(path).stem}}}\n"
    write(path, f"{head}spec:\n{spec}{tail}")


def load(*paths: str, today: str = "") -> Fleet:
    return load_fleet(paths or ("monitors",), SCHEMAS, today)


def one(*paths: str) -> Desired:
    (found,) = load(*paths).desired
    return found


def findings(*paths: str, today: str = "") -> list[str]:
    with pytest.raises(InvalidManifestsError) as caught:
        load(*paths, today=today)
    return [str(finding) for finding in caught.value.findings]


class TestPrecedence:
    def test_a_manifest_gets_what_it_does_not_name(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 587", "interval: 5")
        manifest("monitors/a.yaml", HOST, PLAN, "interval: 15")
        found = one()
        assert (found.fields["port"], found.fields["interval"]) == (587, 15)
        assert {field: str(origin) for field, origin in found.inherited.items()} == {
            "port": "monitors/_defaults.yaml:1"
        }

    def test_the_nearest_folder_wins_for_each_field(self) -> None:
        defaults("_defaults.yaml", "port: 1", "interval: 1", "timeout: 1")
        defaults("monitors/_defaults.yaml", "port: 2", "interval: 2")
        defaults("monitors/x/_defaults.yaml", "port: 3")
        defaults("monitors/y/_defaults.yaml", "port: 4")
        manifest("monitors/x/deep/a.yaml", HOST, PLAN)
        fields = one().fields
        assert (fields["port"], fields["interval"], fields["timeout"]) == (3, 2, 1)

    def test_nothing_is_merged_deeper(self) -> None:
        defaults("monitors/_defaults.yaml", "locations: [{id: 10}, {id: 20}]")
        defaults("monitors/x/_defaults.yaml", "locations: [{id: 30}]")
        manifest("monitors/x/a.yaml", HOST, PLAN)
        assert one().fields["locations"] == [{"id": 30}]

    def test_a_value_that_is_false_or_empty_is_a_value(self) -> None:
        defaults("monitors/_defaults.yaml", "enabled: true", "note: x")
        manifest("monitors/a.yaml", HOST, PLAN, "enabled: false", 'note: ""')
        found = one()
        assert (found.fields["enabled"], found.fields["note"]) == (False, "")
        assert found.inherited == {}

    def test_several_documents_and_both_spellings_of_the_name(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 587", applies_to="email-smtp")
        text = Path("monitors/_defaults.yaml").read_text()
        Path("monitors/_defaults.yaml").write_text(
            f"{text}---\n{text.replace('email-smtp', 'email-imap').replace('587', '993')}"
        )
        defaults("monitors/_defaults.yml", "interval: 5")
        manifest("monitors/a.yaml", HOST, PLAN)
        manifest("monitors/b.yaml", HOST, PLAN, kind="email-imap")
        ports = {item.address: item.fields["port"] for item in load().desired}
        assert ports == {"email-smtp/a": 587, "email-imap/b": 993}
        assert [item.fields["interval"] for item in load().desired] == [5, 5]
        assert [str(item.inherited["port"]) for item in load().desired] == [
            "monitors/_defaults.yaml:1",
            "monitors/_defaults.yaml:7",
        ]

    def test_only_kinds_that_they_apply_to(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 993", applies_to="email-imap, email-pop")
        manifest("monitors/a.yaml", HOST, PLAN)
        assert "port" not in one().fields

    def test_a_kind_that_does_not_know_a_field_does_not_get_it(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 25", "email: probe@example.com", "timeout: 9")
        lines = ["smtp_hostname: a.example.com", "pop3_hostname: b.example.com", PLAN]
        manifest("monitors/a.yaml", *lines, kind="email-round-trip")
        manifest("monitors/b.yaml", HOST, PLAN)
        trip, relay = load().desired
        assert trip.inherited.keys() == {"email", "timeout"}
        assert relay.inherited.keys() == {"port", "timeout"}

    def test_what_extra_names_is_named(self) -> None:
        """`hostname` is no field of a round trip: it may stand in extra, and is no default."""
        defaults("monitors/_defaults.yaml", HOST, PLAN)
        lines = ["smtp_hostname: a.example.com", "pop3_hostname: b.example.com", "email: a@b.c"]
        tail = "extra: {hostname: own.example.com}\n"
        manifest("monitors/a.yaml", *lines, kind="email-round-trip", tail=tail)
        found = one()
        assert found.fields["hostname"] == "own.example.com"
        assert found.inherited.keys() == {"billing_plancode"}

    def test_required_fields_may_come_from_defaults(self) -> None:
        manifest("monitors/a.yaml")
        assert findings() == [
            "monitors/a.yaml:4:1: missing-key: missing key spec.billing_plancode",
            "monitors/a.yaml:4:1: missing-key: missing key spec.hostname",
        ]
        defaults("monitors/_defaults.yaml", HOST, PLAN)
        assert one().fields["hostname"] == "mx.example.com"

    def test_a_secret_may_be_a_default(self) -> None:
        defaults("monitors/_defaults.yaml", "alert_note: {secretRef: {env: NOTE}}")
        manifest("monitors/a.yaml", HOST, PLAN)
        manifest("monitors/b.yaml", HOST, PLAN, "alert_note: mine")
        first, second = load().desired
        assert first.secrets == {"alert_note": {"secretRef": {"env": "NOTE"}}}
        assert first.inherited.keys() == {"alert_note"}
        assert "alert_note" not in first.fields
        assert (second.secrets, second.fields["alert_note"]) == ({}, "mine")

    def test_an_inherited_field_can_be_ignored(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 25", HOST, PLAN)
        item = "{field: port, reason: a test, until: 2026-12-31}"
        manifest("monitors/a.yaml", tail=f"lifecycle: {{ignore: [{item}]}}\n")
        assert one().lifecycle.ignore[0].field == "port"


class TestWhere:
    """Which files count, however the manifests are named."""

    @pytest.fixture(autouse=True)
    def tree(self, here: Path) -> None:
        defaults("monitors/_defaults.yaml", "port: 587")
        defaults("monitors/x/_defaults.yaml", "timeout: 9")
        manifest("monitors/x/a.yaml", HOST, PLAN)
        assert here.is_dir()

    @pytest.mark.parametrize(
        "path", ["monitors/x/a.yaml", "./monitors/x/a.yaml", "monitors/../monitors/x", "monitors",
                 ".", "monitors/x/", "monitors//x//a.yaml"],
    )  # fmt: skip
    def test_those_above_a_path_count(self, path: str) -> None:
        fields = one(path).fields
        assert (fields["port"], fields["timeout"]) == (587, 9)

    def test_an_absolute_path_is_the_same(self, here: Path) -> None:
        found = one(str(here / "monitors" / "x" / "a.yaml"))
        assert (found.fields["port"], found.fields["timeout"]) == (587, 9)
        assert found.inherited["port"].path == str(here / "monitors" / "_defaults.yaml")

    def test_the_current_folder_counts_and_nothing_above_it(self, here: Path) -> None:
        defaults(str(here / "_defaults.yaml"), "interval: 5")
        defaults(str(here.parent / "_defaults.yaml"), "interval: 7", "note: too high")
        for path in ("monitors", str(here / "monitors")):
            fields = one(path).fields
            assert fields["interval"] == 5
            assert "note" not in fields

    def test_a_folder_elsewhere_does_not_get_those_of_the_current_one(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = here.parent / "other"
        other.mkdir()
        monkeypatch.chdir(other)
        defaults("_defaults.yaml", "note: of another folder")
        defaults("../_defaults.yaml", "interval: 7")
        fields = one("../work/monitors").fields
        assert (fields["port"], fields["timeout"], fields["interval"]) == (587, 9, 7)
        assert "note" not in fields
        manifest("own/b.yaml", HOST, PLAN)
        notes = {item.name: item.fields.get("note") for item in load("../work", "own").desired}
        assert notes == {"a": None, "b": "of another folder"}

    def test_the_folder_above_can_be_named(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(here / "monitors" / "x")
        defaults("../../../_defaults.yaml", "interval: 7")
        assert "interval" not in one("../..").fields
        assert one("..").fields["port"] == 587

    def test_a_clone_ends_it(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(here.parent)
        defaults("work/_defaults.yaml", "interval: 5")
        assert one("work/monitors").fields["interval"] == 5
        (here / "monitors" / ".git").mkdir()
        assert above(["work/monitors/x"]) == ["work/monitors/_defaults.yaml"]
        assert "interval" not in one("work/monitors").fields

    def test_the_order_of_the_paths_changes_nothing(self) -> None:
        manifest("monitors/y/b.yaml", HOST, PLAN)
        defaults("monitors/y/_defaults.yaml", "timeout: 7")
        for paths in (["monitors/x", "monitors/y"], ["monitors/y/b.yaml", "monitors/x/a.yaml"]):
            found = {item.name: item.fields["timeout"] for item in load(*paths).desired}
            assert found == {"a": 9, "b": 7}

    def test_they_are_no_manifests(self) -> None:
        assert load().files == 1
        assert load("monitors/_defaults.yaml") == Fleet({}, 0, "monitors/_defaults.yaml", ())

    def test_a_hidden_one_does_not_count(self) -> None:
        defaults("monitors/x/._defaults.yaml", "port: 1")
        defaults("monitors/x/.hidden/_defaults.yaml", "port: 1")
        assert one().fields["port"] == 587


class TestFindings:
    def test_a_fault_in_a_default_is_shown_there_once(self) -> None:
        defaults("monitors/_defaults.yaml", "port: high", "prot: 25", "id: 7", "name: same")
        for name in "abc":
            manifest(f"monitors/{name}.yaml", HOST, PLAN)
        found = findings()
        assert [line.partition(";")[0] for line in found] == [
            "monitors/_defaults.yaml:4:9: type: spec.port must be an integer, not a string",
            "monitors/_defaults.yaml:5:3: unknown-key: unknown key spec.prot",
            "monitors/_defaults.yaml:6:3: unknown-key: unknown key spec.id",
            "monitors/_defaults.yaml:7:3: unknown-key: unknown key spec.name",
        ]
        assert found[1].endswith("; did you mean port?")
        assert "extra" not in found[2]

    def test_a_document_is_checked_whole(self) -> None:
        write(
            "monitors/_defaults.yaml",
            """\
            apiVersion: reconciler/v2
            kind: Defaults
            appliesTo: [email-jmap]
            spec: {}
            extra: {a: 1}
            """,
        )
        manifest("monitors/a.yaml", HOST, PLAN)
        assert [line.split(": ")[0] for line in findings()] == [
            "monitors/_defaults.yaml:1:13",
            "monitors/_defaults.yaml:3:13",
            "monitors/_defaults.yaml:4:7",
            "monitors/_defaults.yaml:5:1",
        ]

    def test_other_documents_do_not_belong_there(self) -> None:
        manifest("monitors/_defaults.yaml", HOST, PLAN)
        manifest("monitors/a.yaml", HOST, PLAN)
        Path("monitors/_defaults.yml").write_text("- 1\n---\nkind: 7\n")
        fault = "not-defaults: only documents of the kind Defaults are allowed here"
        assert findings() == [
            f"monitors/_defaults.yaml:2:7: {fault}",
            f"monitors/_defaults.yml:1:1: {fault}",
            f"monitors/_defaults.yml:3:7: {fault}",
        ]

    def test_defaults_do_not_belong_elsewhere(self) -> None:
        defaults("monitors/a.yaml", "port: 587")
        assert findings() == [
            (
                "monitors/a.yaml:2:7: misplaced-defaults: Defaults belong in a file named "
                "_defaults.yaml"
            )
        ]

    def test_two_defaults_of_one_folder_are_one_too_many(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 587", "timeout: 9")
        defaults("monitors/_defaults.yml", "timeout: 8", applies_to="email-pop, email-imap")
        defaults("monitors/x/_defaults.yaml", "timeout: 7")
        manifest("monitors/a.yaml", HOST, PLAN)
        assert findings() == [
            (
                "monitors/_defaults.yml:5:3: duplicate-default: timeout of email-pop, email-imap "
                "already has a default in this folder, at monitors/_defaults.yaml:1"
            )
        ]

    def test_a_default_that_nobody_can_have_is_a_fault(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 995", applies_to="email-round-trip")
        manifest("monitors/a.yaml", HOST, PLAN)
        assert findings() == [
            (
                "monitors/_defaults.yaml:5:3: unknown-key: no kind that this applies to has the "
                "field port"
            )
        ]

    @pytest.mark.parametrize(
        "lines", [["port: high", HOST, PLAN], ["port: [", HOST, PLAN]], ids=["value", "syntax"]
    )
    def test_one_fault_does_not_make_every_manifest_below_look_wrong(
        self, lines: list[str]
    ) -> None:
        """What they lack might be there, were it not for the fault; what else is wrong is said."""
        defaults("monitors/x/_defaults.yaml", *lines)
        item = "{field: port, reason: a test, until: 2026-12-31}"
        manifest("monitors/x/y/a.yaml", tail=f"lifecycle: {{ignore: [{item}]}}\n")
        manifest("monitors/x/b.yaml", "timeout: long")
        manifest("monitors/c.yaml", HOST)
        found = findings()
        assert len(found) == 3
        assert found[0].endswith("missing key spec.billing_plancode")
        assert found[1].startswith("monitors/x/_defaults.yaml:")
        assert found[2].startswith("monitors/x/b.yaml:6:12: type:")

    def test_a_plain_secret_is_no_default_either(self) -> None:
        defaults("monitors/_defaults.yaml", "note: {secretRef: {}}")
        manifest("monitors/a.yaml", HOST, PLAN)
        (finding,) = findings()
        assert finding.startswith("monitors/_defaults.yaml:4:")
        assert "secret-ref" in finding

    def test_broken_yaml_and_doubled_keys_are_shown_once(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 587", "port: high")
        write("monitors/x/_defaults.yaml", "kind: [\n")
        manifest("monitors/x/a.yaml", HOST, PLAN)
        assert [line.split(": ")[:2] for line in findings()] == [
            ["monitors/_defaults.yaml:5:3", "duplicate-key"],
            ["monitors/x/_defaults.yaml:1:8", "syntax"],
        ]

    @pytest.mark.parametrize("kind", ["folder", "broken link"])
    def test_what_cannot_be_read_is_not_passed_over(self, kind: str) -> None:
        manifest("monitors/x/a.yaml", HOST, PLAN)
        path = Path("monitors/_defaults.yaml")
        path.symlink_to("nowhere") if kind == "broken link" else path.mkdir()
        (finding,) = findings("monitors/x/a.yaml")
        assert finding.startswith("monitors/_defaults.yaml:1:1: unreadable: cannot read the file: ")

    def test_a_manifest_is_explained_where_the_fault_is(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 587", HOST)
        manifest("monitors/a.yaml", "timeout: long")
        assert findings() == [
            "monitors/a.yaml:4:1: missing-key: missing key spec.billing_plancode",
            "monitors/a.yaml:6:12: type: spec.timeout must be an integer, not a string",
        ]

    def test_what_is_no_manifest_gets_nothing(self) -> None:
        defaults("monitors/_defaults.yaml", "port: 587")
        texts = ["- 1", "kind: 7", "kind: email-smtp", "kind: email-smtp\nspec: []"]
        for number, text in enumerate(texts):
            write(f"monitors/{number}.yaml", text)
        assert {line.split(":")[0] for line in findings()} == {
            f"monitors/{number}.yaml" for number in range(4)
        }


class TestTwoThatDoNotGoTogether:
    """The interval of a round trip must be longer than its timeout."""

    LINES = ("smtp_hostname: a.example.com", "pop3_hostname: b.example.com", "email: a@b.c", PLAN)
    MESSAGE = "too-short: interval (1 minutes) must be longer than timeout (90 seconds)"

    def trip(self, *lines: str) -> None:
        manifest("monitors/x/a.yaml", *self.LINES, *lines, kind="email-round-trip")

    @pytest.mark.parametrize(
        ("own", "default", "place"),
        [
            (["interval: 1", "timeout: 90"], "note: x", "monitors/x/a.yaml:10:13"),
            (["interval: 1"], "timeout: 90", "monitors/x/a.yaml:10:13"),
            (["timeout: 90"], "interval: 1", "monitors/x/a.yaml:10:12"),
        ],
    )
    def test_the_manifest_is_shown_that_names_one_itself(
        self, own: list[str], default: str, place: str
    ) -> None:
        defaults("monitors/_defaults.yaml", default)
        self.trip(*own)
        assert findings() == [f"{place}: {self.MESSAGE}"]

    def test_two_defaults_are_shown_once(self) -> None:
        defaults("monitors/_defaults.yaml", "timeout: 90")
        defaults("monitors/x/_defaults.yaml", "note: x", "interval: 1")
        self.trip()
        Path("monitors/x/b.yaml").write_text(
            Path("monitors/x/a.yaml").read_text().replace("{name: a}", "{name: b}")
        )
        assert findings() == [f"monitors/x/_defaults.yaml:5:13: {self.MESSAGE}"]


class TestIgnoring:
    def ignore(self, field: str, until: str) -> None:
        defaults("monitors/_defaults.yaml", PLAN)
        manifest(
            "monitors/a.yaml",
            HOST,
            tail=textwrap.dedent(f"""\
            lifecycle:
              ignore:
                - field: {field}
                  reason: the vendor moves it
                  until: {until}
            """),
        )

    @pytest.mark.parametrize("today", ["", "2026-01-30", "2026-01-31"])
    def test_until_and_on_that_day_it_stands(self, today: str) -> None:
        self.ignore("hostname", "2026-01-31")
        assert load(today=today).desired[0].lifecycle.ignore[0].until == "2026-01-31"

    def test_after_it_the_field_is_compared_again_and_that_is_a_warning(self) -> None:
        self.ignore("hostname", "2026-01-31")
        fleet = load(today="2026-02-01")
        assert fleet.desired[0].lifecycle.ignore == ()
        assert [str(warning) for warning in fleet.warnings] == [
            (
                "monitors/a.yaml:11:14: expired-ignore: hostname is compared again, as it was "
                "ignored only until 2026-01-31 (the vendor moves it); remove this, or set a later "
                "day"
            )
        ]

    def test_a_field_that_the_manifest_does_not_name_is_a_finding(self) -> None:
        self.ignore("port", "2026-01-31")
        assert findings(today="2026-02-01") == [
            "monitors/a.yaml:9:14: ignored-field: the manifest does not set port; remove it here"
        ]

    @pytest.mark.parametrize(
        "item",
        [
            "{field: port, until: 2026-01-31}",
            "{field: port, reason: '', until: 2026-01-31}",
            "{field: port, reason: x, until: 2026-13-01}",
            "{field: port, reason: x, until: soon}",
            "{field: port, reason: x, until: 2026-01-31, who: me}",
            "port",
        ],
    )
    def test_reason_and_day_are_required(self, item: str) -> None:
        manifest("monitors/a.yaml", HOST, PLAN, "port: 1", tail=f"lifecycle: {{ignore: [{item}]}}")
        assert findings()


@pytest.mark.parametrize(
    ("lifecycle", "is_valid"),
    {
        "nothing": ("{}", True),
        "protect": ("{protect: true}", True),
        "disable": ("{retire: disable, protect: false}", True),
        "no text": ('{protect: "true"}', False),
        "another way": ("{retire: archive}", False),
        "another key": ("{prevent: true}", False),
        "null": ("null", False),
    }.values(),
)
def test_lifecycle_is_checked(lifecycle: str, *, is_valid: bool) -> None:
    manifest("monitors/a.yaml", HOST, PLAN, tail=f"lifecycle: {lifecycle}\n")
    if is_valid:
        assert one()
    else:
        assert all(":8:" in line for line in findings())


@pytest.mark.parametrize("names", ["[old, Older]", "old", "[a, a]", "[1]"])
def test_former_names_are_names(names: str) -> None:
    write(
        "monitors/a.yaml",
        f"""\
        apiVersion: reconciler/v1
        kind: email-smtp
        metadata: {{name: a, previously: {names}}}
        spec: {{name: A, {HOST}, {PLAN}}}
        """,
    )
    assert findings()[0].startswith("monitors/a.yaml:3:")


def values(field: str, **paths: Any) -> dict[str, Any]:
    return {name: load(path).desired[0].fields.get(field) for name, path in paths.items()}


def test_one_set_of_files_means_one_thing() -> None:
    """A file alone, its folder and all of them agree on what it says."""
    defaults("_defaults.yaml", "port: 1")
    defaults("monitors/x/_defaults.yaml", "port: 2")
    manifest("monitors/x/a.yaml", HOST, PLAN)
    found = values("port", file="monitors/x/a.yaml", folder="monitors/x", all="monitors")
    assert set(found.values()) == {2}
