"""The pages say nothing that is not so: links, options, targets, manifests and the picture."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from reconciler.cli import reconciler
from reconciler.core.variables import fill
from reconciler.manifests import Parser

from build import SCHEMAS
from docs.pages import DOCS, ROOT, Page, page, pages
from docs.picture import picture

if TYPE_CHECKING:
    from pathlib import Path

PAGES = pages()
LONGEST_README = 120
PICTURED = ("--format", "markdown", "--target", "email-smtp/prod-relay")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)


@each_page
def test_links_lead_somewhere(page: Page) -> None:
    known = {other.path: other for other in PAGES}
    folder = (ROOT / page.path).parent
    for link in page.links:
        path, _, fragment = link.partition("#")
        if path.startswith("https://"):
            continue
        target = (folder / path).resolve() if path else ROOT / page.path
        assert target.is_file(), (page.path, link)
        assert page.path == "README.md" or target.is_relative_to(DOCS), (page.path, link)
        if fragment:
            found = known[target.relative_to(ROOT).as_posix()]
            assert fragment in found.anchors, (page.path, link, sorted(found.anchors))


def test_each_page_is_found_from_the_start() -> None:
    """Through the menu of the site and the first page; once each."""
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    listed = re.findall(r"'([^']+\.md)'", str(site["nav"]))
    assert sorted(listed) == sorted(
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")
    )
    start = {link.partition("#")[0] for link in page("docs/index.md").links}
    assert {path for path in listed if path != "index.md"} <= start


@each_page
def test_commands_and_options_exist(page: Page) -> None:
    known = {*reconciler.list_commands(click.Context(reconciler)), "diff", "get"}
    text = re.sub(r"```text\n.*?```", "", page.text, flags=re.DOTALL)
    for name, options in re.findall(r"\breconciler ([a-z]+)((?: [^\s`|]+)*)", text):
        if name not in known:  # the word in a sentence
            assert not options.startswith(" --"), (name, options)
            continue
        below = [word for word in options.split()[:1] if word.isalpha()]
        helped = CliRunner().invoke(reconciler, [name, *below, "--help"]).output
        for option in re.findall(r"(?<= )--[a-z-]+", options):
            assert option in helped, (name, option)


def test_each_command_helps_with_an_example() -> None:
    for name in reconciler.list_commands(click.Context(reconciler)):
        assert "Example: reconciler" in CliRunner().invoke(reconciler, [name, "--help"]).output


VARIABLES = {"site": "acme.example", "plan": "UBM - A/A", "port": 587, "pool": [{"id": 10}]}
"""What the page about shared manifests takes for granted."""


def test_yaml_is_yaml_and_manifests_are_valid() -> None:
    manifests = 0
    for block in (fence for shown in PAGES for fence in shown.fences if fence.language == "yaml"):
        documents, findings = Parser().parse("page.md", block.text.encode())
        if "apiVersion" in block.text:
            manifests += 1
            assert findings == []
            for document in documents:
                kind = document.value["kind"]
                if kind in SCHEMAS.others:
                    assert list(SCHEMAS.explain_other(kind, document.value)) == []
                else:
                    filled = fill(document.value, VARIABLES)
                    assert not filled.faults
                    assert SCHEMAS.accept(filled.value)
        else:
            assert isinstance(YAML(typ="safe", pure=True).load(block.text), dict | list)
    assert manifests == 6


def test_toml_is_toml() -> None:
    for shown in PAGES:
        for fence in shown.fences:
            if fence.language == "toml":
                assert tomllib.loads(fence.text), shown.path


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {
        name
        for shown in PAGES
        for code in re.findall(r"`([^`\n]+)`", shown.prose)
        for name in re.findall(r"^make ([a-z]+)", code)
    }
    assert named <= targets
    assert targets - named <= {"help"}


def test_the_readme_is_short() -> None:
    assert len(page("README.md").text.splitlines()) <= LONGEST_README


def test_the_picture_is_of_real_output(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """What a request shows that changes one monitor of the sample fleet."""
    for name in ("monitors", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "plan", *PICTURED],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    file = DOCS / "assets" / "review-comment.svg"
    if request.config.getoption("--update-golden"):
        file.write_text(picture(done.stdout), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == picture(done.stdout)
