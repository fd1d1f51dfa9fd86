"""The README cannot lie: its commands are run, its YAML is read, its tables are compared."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from reconciler.cli import reconciler
from reconciler.cli.formats import Subject, formats
from reconciler.errors import ExitCode
from reconciler.manifests import Parser
from reconciler.schema import DEFAULTS

from build import SCHEMAS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COPIED = ("Makefile", "pyproject.toml", "requirements", "reconciler", "schemas", "monitors")
ANYTHING = "…"
_SHOWN = "email-smtp/prod-relay"


class Command(NamedTuple):
    """A command of the README and what it prints.

    A line `…` stands for any lines, and `…` at the end of a line for the rest of it.
    """

    line: str
    output: list[str]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> Iterator[Command]:
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *output = part.splitlines()
            yield Command(line, output)


def as_pattern(output: list[str]) -> str:
    return "".join(map(line_pattern, output))


def line_pattern(line: str) -> str:
    if line == ANYTHING:
        return r"(?:.*\n)*?"
    if line.endswith(ANYTHING):
        return re.escape(line.removesuffix(ANYTHING)) + r".*\n"
    return re.escape(line) + r"\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout that uses the environment the tests run in."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return folder


def test_commands_print_what_the_readme_shows(checkout: Path) -> None:
    """All are pasted into one shell, as a reader does it who has set up nothing before."""
    (checkout / ".venv").symlink_to(sys.prefix)
    tools = Path(sys.executable).parent
    path = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != tools]
    environment = {
        "HOME": str(checkout),
        "PATH": os.pathsep.join(path),
        "PIP_NO_INDEX": "1",  # were the environment stale, this would fail and not fetch
        "VENV": sys.prefix,
        "MAKEFLAGS": "--no-print-directory -e",
        "LC_ALL": "C.UTF-8",
    }
    found = list(commands())
    assert len(found) > 5
    end = "--- end of a command ---\n"
    script = "".join(f"{{ {item.line}\n}} </dev/null\necho '{end.strip()}'\n" for item in found)
    run = subprocess.run(
        ["bash"],
        input=script,
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )
    *outputs, rest = run.stdout.split(end)
    assert rest == ""
    for command, output in zip(found, outputs, strict=True):
        assert "bash: line" not in output, (command, output)  # an error of the shell itself
        assert re.fullmatch(as_pattern(command.output), output), (command, output)


def test_the_comment_is_one(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """What stands quoted on the first screen is what a request would show of the sample fleet.

    With --update-golden it is written there.
    """
    for name in ("monitors", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "plan", "--format", "markdown", "--target", _SHOWN],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    quoted = "\n".join(f"> {line}".rstrip() for line in done.stdout.strip().splitlines())
    before, shown, after = re.split(r"\n\n((?:>.*\n)+)\n", README, maxsplit=1)
    if request.config.getoption("--update-golden"):
        (ROOT / "README.md").write_text(f"{before}\n\n{quoted}\n\n{after}", encoding="utf-8")
    else:
        assert shown == f"{quoted}\n"


def test_other_shell_blocks_are_known() -> None:
    """These are not run here: the tests themselves, a server, and what needs a network."""
    words = [block.split("\n")[0].split()[:2] for block in blocks("sh")]
    assert words == [
        ["make", "test"],
        ["reconciler", "sandbox"],
        ["reconciler", "sandbox"],
        ["lock()", "{"],
    ]


def test_yaml_is_yaml_and_manifests_are_valid() -> None:
    manifests = 0
    for block in blocks("yaml"):
        documents, findings = Parser().parse("README.md", block.encode())
        if "apiVersion" in block:
            manifests += 1
            assert findings == []
            for document in documents:
                if document.value["kind"] == DEFAULTS:
                    assert list(SCHEMAS.explain_defaults(document.value)) == []
                else:
                    assert SCHEMAS.accept(document.value)
        else:
            assert isinstance(YAML(typ="safe", pure=True).load(block), dict)
    assert manifests == 2


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?! it\b)", README)) - {"are"}
    assert named <= targets
    assert {"plan", "apply", "validate", "test", "check", "bench", "sandbox", "clean"} <= named


def test_exit_codes_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE)
    assert [int(code) for code, _ in rows] == [int(code) for code in ExitCode]
    helped = CliRunner().invoke(reconciler, ["--help"]).output
    for code, meaning in rows:
        pattern = rf"^ +{code} +{re.escape(meaning.replace('`', ''))}$"
        assert re.search(pattern, helped, re.MULTILINE)


def test_formats_are_those_of_the_commands() -> None:
    commands = {
        Subject.PLAN: ["plan", "show"],
        Subject.DRIFT: ["drift"],
        Subject.RESULT: ["apply"],
        Subject.FINDINGS: ["validate"],
        Subject.REPORT: ["report"],
    }
    rows = re.findall(r"^\| `([a-z-]+)` \| ((?:`[a-z]+` ?)+) \| .+ \|$", README, re.MULTILINE)
    told = {name: re.findall("[a-z]+", listed) for name, listed in rows}
    names = {name for subject in Subject for name in formats(subject)}
    assert told == {
        name: [
            command
            for subject in Subject
            for command in commands[subject]
            if name in formats(subject)
        ]
        for name in names
    }


def test_commands_of_the_table_exist_and_help_with_an_example() -> None:
    named = re.findall(r"^\| `reconciler ([a-z]+)", README, re.MULTILINE)
    assert set(named) == set(reconciler.list_commands(None))  # type: ignore[arg-type]
    for name in named:
        result = CliRunner().invoke(reconciler, [name, "--help"])
        assert "Example: reconciler" in result.output


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_commands_of_the_pages_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `reconciler ([a-z]+)", README, re.MULTILINE))
    for name, options in re.findall(r"\breconciler ([a-z]+)((?: [^\s`|]+)*)", text):
        if name not in known:  # the word in a sentence
            assert not options.startswith(" --"), (name, options)
            continue
        helped = CliRunner().invoke(reconciler, [name, "--help"]).output
        for option in re.findall(r"(?<= )--[a-z-]+", options):
            assert option in helped, (name, option)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_script_of_the_page_for_jenkins_runs(tmp_path: Path) -> None:
    """Against the embedded sandbox, so without CI."""
    text = (ROOT / "docs" / "jenkins.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```sh\n(#!/bin/sh.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for name in ("monitors", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "reconciler.toml").write_text("[budget]\nmonitors = 20\npercent = 100\n")
    (tmp_path / "pipeline.sh").write_text(script, encoding="utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "reconciler").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
    (tools / "reconciler").chmod(0o755)
    env = {"HOME": str(tmp_path), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    for step in ("review", "merge", "drift"):
        done = subprocess.run(
            ["sh", "pipeline.sh", step],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    for name in ("findings.xml", "plan.json", "plan.md", "plan.xml", "drift.md", "drift.xml"):
        assert (tmp_path / name).exists(), name
