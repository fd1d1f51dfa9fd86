"""schema, explain and probe: what a manifest may say, and what AlertSite says."""

import json
from pathlib import Path

import jsonschema
import pytest
from e2e.conftest import Run, Sandbox, monitor

from reconciler.core.lint.codes import CODES

_ROOT = Path(__file__).parents[2]
_SCHEMAS = _ROOT / "schemas"
_KINDS = ("email-imap", "email-pop", "email-round-trip", "email-smtp")


class TestSchema:
    def test_all_are_listed(self, run: Run) -> None:
        done = run("schema")
        names = {path.name.removesuffix(".schema.json") for path in _SCHEMAS.iterdir()}
        assert set(done.out.split()) == names
        assert set(_KINDS) < names

    @pytest.mark.parametrize("name", [*_KINDS, "plan"])
    def test_one_is_printed_as_it_is(self, name: str, run: Run) -> None:
        done = run("schema", name).expect(0)
        assert done.out == (_SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")

    def test_another_is_not_known(self, run: Run) -> None:
        said = "there is no schema email-smpt; did you mean email-smtp?"
        run("schema", "email-smpt").expect(64, err=said)


class TestExplain:
    @pytest.mark.parametrize("kind", _KINDS)
    def test_a_kind_lists_its_fields(self, kind: str, run: Run) -> None:
        done = run("explain", kind).expect(0)
        lines = done.out.splitlines()
        schema = json.loads((_SCHEMAS / f"{kind}.schema.json").read_bytes())
        spec = schema["properties"]["spec"]
        required = [*spec["required"], *spec["x-required"]]
        for name, field in spec["properties"].items():
            mark = "-" if field.get("readOnly") else "*" if name in required else " "
            assert sum(line.startswith(f"{mark} spec.{name} ") for line in lines) == 1, name
        assert any(line.startswith("* metadata.name ") for line in lines)

    def test_a_field(self, run: Run) -> None:
        done = run("explain", "email-round-trip.interval").expect(0)
        rows = dict(line.strip().split("  ", 1) for line in done.out.splitlines()[4:])
        found = {name: text.strip() for name, text in rows.items()}
        assert found["type"] == "integer"
        assert found["unit"] == "minutes"
        assert found["longer than"] == "timeout"
        assert found["default"] == "chosen by AlertSite from the account's defaults"
        assert found["certainty"].startswith("Documented by sample captions")
        assert found["source"].startswith("https://support.smartbear.com/alertsite/docs/")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("email-smtp.hostname", "string, or a secretRef"),
            ("email-smtp.spec.locations", "a set, with elements identified by id"),
            ("email-smtp.locations.id", "email-smtp: spec.locations[].id"),
            ("email-smtp.home_location", "sent with  locations"),
            ("email-smtp.metadata.labels", "Labels for selecting"),
            ("email-smtp.port", "1 to 65535"),
            ("email-smtp.mode", '"Global Verify", "Primary"'),
            ("email-smtp.sla_id", "set by AlertSite"),
            ("lint", "wrong-port      error    "),
            ("lint.silenced", "silenced (info)"),
            ("wrong-port", "wrong-port (error)"),
            ("port", "\n\nemail-smtp: spec.port"),
            ("interval", "\n\nemail-round-trip: spec.interval"),
            ("locations.id", "email-imap, email-pop, email-round-trip, email-smtp: spec.loc"),
            ("metadata.name", "Identity in Git"),
        ],
    )
    def test_what_is_said(self, name: str, words: str, run: Run) -> None:
        run("explain", name).expect(0, out=words)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("email-smpt", "no kind, field or lint code email-smpt; did you mean email-smtp?"),
            ("smtp", "no kind, field or lint code smtp; did you mean email-smtp?"),
            ("intervall", "no kind, field or lint code intervall; did you mean interval?"),
            ("wrong-prot", "no kind, field or lint code wrong-prot; did you mean wrong-port?"),
            ("smtp.port", "there is no kind smtp; did you mean email-smtp?"),
            ("website", "The kinds are email-imap, email-pop, email-round-trip, email-smtp."),
            ("", "there is no kind, field or lint code (empty)"),
            (".port", "there is no kind (empty)"),
            ("lint.", "lint has no code (empty)"),
            ("email-smtp.prot", "email-smtp has no field prot; did you mean port?"),
            ("email-smtp.capture_level", "not in the schema go under extra"),
            ("lint.silence", "lint has no code silence; did you mean silenced?"),
        ],
    )
    def test_what_is_not_known(self, name: str, words: str, run: Run) -> None:
        done = run("explain", name)
        assert (done.code, done.out) == (64, "")
        assert words in done.err

    def test_every_code_of_lint_is_explained_alone(self, run: Run) -> None:
        for code in CODES:
            assert run("explain", code).out.startswith(f"{code} (")

    def test_what_there_is(self, run: Run) -> None:
        done = run("explain").expect(0)
        names = [line.split("  ")[0] for line in done.out.splitlines()]
        others = ["FIELD, KIND.FIELD", "lint", "location [ID]", "property [ID]"]
        assert names == [*_KINDS, *others]

    @pytest.mark.parametrize("number", ["foo", "-1", "3.5", "9" * 5000])
    def test_what_is_not_an_id(self, number: str, run: Run) -> None:
        done = run("explain", "--", "location", number)
        assert (done.code, done.out) == (64, "")
        assert "is not an id; write a number, such as 20" in done.err


class TestProbe:
    def test_the_embedded_sandbox_is_as_expected(self, run: Run) -> None:
        done = run("probe", "--json").expect(0)
        schema = json.loads((_SCHEMAS / "probe.schema.json").read_bytes())
        jsonschema.Draft202012Validator(schema).validate(done.json)
        assert [table["kind"] for table in done.json["kinds"]] == list(_KINDS)

    def test_one_request_and_no_value(self, sandbox: Sandbox) -> None:
        values = ["Zanzibar relay", "zanzibar@example.com", "s3cr3t-folder"]
        odd = {"port": "587", "capture_level": values[2], "note": values[1]}
        account = sandbox(
            monitor("email-smtp", 4711, **odd | {"name": values[0]}), monitor("email-pop", 4712)
        )
        done = account.run("probe").expect(0)
        assert account.calls() == ["POST /access-tokens", "GET /monitors"]
        rows = [line.split() for line in done.out.splitlines()]
        assert ["port", "string", "integer", "other", "type"] in rows
        assert ["capture_level", "string", "-", "unknown", "to", "the", "schema"] in rows
        assert "email-imap: AlertSite returned no such monitor" in done.out
        as_json = account.run("probe", "--json")
        for value in [*values, "4711", "4712", "smtp.example.com", "UBM"]:
            assert value not in done.text + as_json.text


@pytest.mark.parametrize(
    "name", ["schema", "explain", "doctor", "probe", "init", "completion", "validate"]
)
def test_each_command_helps_with_an_example(name: str, run: Run) -> None:
    run(name, "--help").expect(0, out=f"Example: reconciler {name}")
