"""What helps to write manifests: schemas, explanations, a probe, a new repository, completion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from e2e.conftest import monitor
from ruamel.yaml import YAML

from reconciler.core.lint.codes import CODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done, Run, Sandbox, Workspace

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
        done = run("schema", "email-smpt")
        assert done.code == 64
        assert "there is no schema email-smpt; did you mean email-smtp?" in done.err


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


def _init(run: Run, folder: Path, *arguments: str) -> Done:
    return run("init", *arguments, cwd=folder)


class TestInit:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An empty folder."""
        path = tmp_path / "new"
        path.mkdir()
        return path

    def test_what_it_lays_out_works_at_once(self, folder: Path, run: Run) -> None:
        _init(run, folder).expect(0, out="wrote  monitors/example-smtp.yaml", err="reconciler plan")
        assert run("validate", "--lint", cwd=folder).code == 0
        run("plan", cwd=folder).expect(0, out="Plan: 1 to add, 0 to change, 0 to destroy.")
        assert run("doctor", cwd=folder).code == 0

    def test_its_files_are_what_they_should_be(self, folder: Path, run: Run) -> None:
        _init(run, folder)
        found = [path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml"}]
        names = {str(path.relative_to(folder)) for path in found}
        assert names == {
            "monitors/example-smtp.yaml",
            ".gitlab-ci.yml",
            ".gitlab/reconciler.yml",
            ".github/actions/reconciler/action.yml",
            ".github/workflows/drift.yml",
            ".github/workflows/merge.yml",
            ".github/workflows/review.yml",
            ".pre-commit-config.yaml",
        }
        for path in found:
            documents = YAML(typ="safe", pure=True).load_all(path.read_text())
            assert all(isinstance(document, dict) for document in documents), path
        for path in [*folder.rglob("*.json")]:
            json.loads(path.read_bytes())
        copied = {path.name: path.read_bytes() for path in (folder / "schemas").iterdir()}
        edited = (
            "defaults",
            "override",
            "email-imap",
            "email-pop",
            "email-round-trip",
            "email-smtp",
        )
        names = {f"{name}.schema.json" for name in (*edited, "manifest")}  # which leads to them
        assert copied == {name: (_SCHEMAS / name).read_bytes() for name in names}
        example = (folder / "monitors" / "example-smtp.yaml").read_text()
        schema = example.partition("$schema=")[2].splitlines()[0]
        assert (folder / "monitors" / schema).is_file()

    def test_its_makefile_calls_this_installation(self, folder: Path, run: Run) -> None:
        _init(run, folder)
        for target in ("validate", "plan"):
            done = subprocess.run(
                ["make", target],
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr

    def test_its_settings_are_read(self, folder: Path, run: Run) -> None:
        _init(run, folder)
        path = folder / "reconciler.toml"
        shown = "\n".join(
            line.removeprefix("# ")
            for line in path.read_text().splitlines()
            if " = " in line or line.startswith("# [")
        )
        assert 'state = "git:origin#refs/reconciler/state"' in shown
        path.write_text(shown.replace("git:origin#refs/reconciler/state", "file:x.json"))
        done = run("doctor", "--json", cwd=folder)
        checks = {item["name"]: item["status"] for item in done.json["checks"]}
        assert checks["settings"] == "ok"

    def test_a_second_time_nothing_is_written(self, folder: Path, run: Run) -> None:
        _init(run, folder)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        done = _init(run, folder).expect(0)
        assert "wrote" not in done.out
        assert "nothing was written" in done.err
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    def test_what_is_there_is_kept(self, folder: Path, run: Run) -> None:
        (folder / "Makefile").write_text("mine:\n")
        (folder / "monitors").mkdir()
        (folder / ".gitlab-ci.yml").symlink_to("nowhere")
        done = _init(run, folder).expect(0, out=("kept   Makefile", "kept   monitors\n"))
        assert "example" not in done.err  # there is none to look at
        assert "kept   .gitlab-ci.yml" in done.out
        assert (folder / "Makefile").read_text() == "mine:\n"
        assert list((folder / "monitors").iterdir()) == []
        assert not (folder / "nowhere").exists()
        assert (folder / "reconciler.toml").is_file()

    def test_in_a_folder_that_is_not_there_yet(self, folder: Path, run: Run) -> None:
        done = _init(run, folder, "a/b").expect(0)
        assert (folder / "a" / "b" / "monitors" / "example-smtp.yaml").is_file()
        assert "in a/b" in done.err

    def test_where_it_cannot_be_written(self, folder: Path, run: Run) -> None:
        (folder / "file").write_text("")
        (folder / "odd").mkdir()
        (folder / "odd" / "schemas").write_text("")
        for name in ("file", "file/below", "odd"):
            _init(run, folder, name).expect(3, err="cannot be written")


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_there_is_a_script(self, shell: str, run: Run) -> None:
        run("completion", shell).expect(0, out=f"_RECONCILER_COMPLETE={shell}_complete")

    def test_bash_reads_it(self, run: Run) -> None:
        script = run("completion", "bash").out
        done = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
        assert done.returncode == 0

    @pytest.mark.parametrize(
        ("words", "offered"),
        [
            ("reconciler pl", ["plain,plan"]),
            ("reconciler plan --offl", ["plain,--offline"]),
            ("reconciler explain email-s", ["plain,email-smtp"]),
            ("reconciler explain email-smtp.home", ["plain,email-smtp.home_location"]),
            ("reconciler schema pl", ["plain,plan"]),
            ("reconciler completion f", ["plain,fish"]),
            ("reconciler nonsense x", []),
            ("reconciler plan --target email-smtp/r", ["plain,email-smtp/relay"]),
            ("reconciler apply --target te", ["plain,team=mail"]),
            ("reconciler apply --keep email-s", ["plain,email-smtp/relay"]),
            ("reconciler list --columns name,hostn", ["plain,name,hostname"]),
            ("reconciler why email-smtp/r", ["plain,email-smtp/relay"]),
            ("reconciler why email-smtp/relay.hostn", ["plain,email-smtp/relay.hostname"]),
            ("reconciler why email-smtp/relay.typ", []),
            ("reconciler state rm email", ["plain,email-smtp/relay"]),
            ("reconciler plan --manifests nowhere --target e", []),
        ],
    )
    def test_words_are_completed(
        self, words: str, offered: list[str], run_process: Run, workspace: Workspace
    ) -> None:
        workspace.describe("email-smtp", "relay", labels={"team": "mail"})
        count = str(len(words.split()) - 1)
        done = run_process(
            env={"_RECONCILER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": count}
        )
        assert (done.code, done.err) == (0, "")
        assert done.out.split() == offered

    @pytest.mark.parametrize("place", ["file:here.json", "git:here.git"])
    def test_runs_are_completed(
        self,
        place: str,
        run_process: Run,
        run: Run,
        workspace: Workspace,
        sandbox: Sandbox,
        git: Callable[..., str],
    ) -> None:
        git(workspace.root, "init", "--quiet")
        git(workspace.root, "init", "--quiet", "--bare", "here.git")
        env = {**sandbox().env, "RECONCILER_STATE": place}
        workspace.describe("email-smtp", "relay")
        done = run("apply", "--auto-approve", "--json", env=env).expect(0)
        made = done.json["run"]
        offered = {
            "reconciler undo 2": [made],
            "reconciler undo l": ["last"],
            "reconciler undo x": [],
            "reconciler history sh": ["show"],
            "reconciler history email-smtp/r": ["email-smtp/relay"],
            "reconciler history show 2": [made],
            "reconciler history email-smtp/relay 2": [],
        }
        for words, expected in offered.items():
            settings = {
                "RECONCILER_STATE": place,
                "_RECONCILER_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            }
            done = run_process(env=settings)
            assert (done.code, done.err) == (0, "")
            assert done.out.split() == [f"plain,{item}" for item in expected]

    def test_no_runs_are_completed_where_the_state_cannot_be_read(self, run_process: Run) -> None:
        settings = {
            "RECONCILER_STATE": "git:nowhere.git",
            "_RECONCILER_COMPLETE": "bash_complete",
            "COMP_WORDS": "reconciler undo 2",
            "COMP_CWORD": "2",
        }
        done = run_process(env=settings)
        assert (done.code, done.err, done.out.strip()) == (0, "", "")

    def test_the_script_completes_in_bash(self, run: Run, tmp_path: Path) -> None:
        """As bash does it: the function is called, and puts what it offers into COMPREPLY."""
        command = tmp_path / "reconciler"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
        command.chmod(0o755)
        script = run("completion", "bash").out + (
            "COMP_WORDS=(reconciler val); COMP_CWORD=1\n_reconciler_completion reconciler\n"
            'echo "${COMPREPLY[@]}"\n'
        )
        done = subprocess.run(
            ["bash"],
            input=script,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "validate\n"

    def test_another_shell_is_not_known(self, run: Run) -> None:
        assert run("completion", "tcsh").code == 64


@pytest.mark.parametrize(
    "name", ["schema", "explain", "doctor", "probe", "init", "completion", "validate"]
)
def test_each_command_helps_with_an_example(name: str, run: Run) -> None:
    run(name, "--help").expect(0, out=f"Example: reconciler {name}")
