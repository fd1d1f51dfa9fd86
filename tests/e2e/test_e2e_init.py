"""`reconciler init`: a new repository."""

import json
import subprocess
from pathlib import Path

import pytest
from e2e.conftest import Done, Run
from ruamel.yaml import YAML

_ROOT = Path(__file__).parents[2]
_SCHEMAS = _ROOT / "schemas"


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
