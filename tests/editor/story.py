"""What an editor shows of manifests: by a real language server, and a strict validator."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.core.fields import described
from reconciler.schema import installed_schemas

from editor.server import Server
from programs import check

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_HERE = Path(__file__).parent
_MODELINE = re.compile("^# yaml-language-server: .*\n", re.MULTILINE)
_KINDS = sorted(installed_schemas().documents)


def _run(folder: Path, *arguments: str) -> None:
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `init` and `import` write, beside the sample fleet."""
    folder, other = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("other")
    for root in (folder, other):
        _run(root, "init")
    _run(folder, "import", "--manifests", "monitors/imported")
    # Nothing is imported twice into one repository.
    _run(other, "import", "--manifests", "monitors/mixed", "--layout", "all.yaml")
    shutil.copytree(other / "monitors" / "mixed", folder / "monitors" / "mixed")
    shutil.copytree(_ROOT / "monitors", folder / "monitors" / "sample")
    for path in (folder / "monitors" / "sample").rglob("*.yaml"):
        path.write_text(path.read_text().replace("../../schemas", "../../../schemas"))
    marks = "  port: {inherit: false}\n  locations: {append: [{id: 30}]}\n"
    marked = folder / "monitors" / "marked.yaml"
    marked.write_text(f"{_HEAD.format(kind='email-smtp')}{marks}")
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    settings = json.loads((repository / ".vscode" / "settings.json").read_text())
    with Server(repository, settings) as running:
        yield running


def test_no_manifest_shows_a_false_problem(repository: Path, server: Server) -> None:
    """With the line that names its schema, and by the settings alone."""
    manifests = sorted((repository / "monitors").rglob("*.yaml"))
    names = [str(path.relative_to(repository / "monitors")) for path in manifests]
    assert "example-smtp.yaml" in names
    assert {name.partition("/")[0] for name in names} >= {"imported", "mixed", "sample"}
    assert any(path.name == "_defaults.yaml" for path in manifests)
    for path in manifests:
        text = path.read_text()
        assert server.problems(path, text) == [], path
        assert server.problems(path, _MODELINE.sub("", text)) == [], path


_HEAD = "apiVersion: reconciler/v1\nkind: {kind}\nmetadata:\n  name: a\nspec:\n  name: A\n"


@pytest.mark.parametrize("kind", _KINDS)
def test_writable_fields_are_offered_and_no_others(
    kind: str, repository: Path, server: Server
) -> None:
    schema = installed_schemas().documents[kind]
    fields = [item for item in described(schema) if item.path[0] == "spec" and len(item.path) == 2]
    writable = {item.path[1] for item in fields if not item.is_read_only}
    offered = server.completions(
        repository / "monitors" / "new.yaml", _HEAD.format(kind=kind) + "  "
    )
    assert set(offered) == writable - {"name"}
    assert not [label for label, text in offered.items() if re.search(r"\b0\b", text)]


def test_an_interval_has_values_to_choose_from(repository: Path, server: Server) -> None:
    text = _HEAD.format(kind="email-smtp") + "  interval: "
    offered = server.completions(repository / "monitors" / "new.yaml", text)
    assert list(offered) == ["1", "2", "5", "15", "60"]


MESSAGES = {
    "a field that AlertSite sets": ("  type: x\n", "AlertSite sets this field: remove it."),
    "a host with blanks": ("  hostname: a b\n", "Write a host name or an address, without blanks."),
    "a text for a number": ("  port: '25'\n", 'Incorrect type. Expected "integer".'),
    "an unknown field": ("  hostnam: a\n", "Property hostnam is not allowed."),
}


@pytest.mark.parametrize(("line", "message"), MESSAGES.values(), ids=MESSAGES)
def test_each_document_of_a_file_is_judged_in_sentences(
    line: str, message: str, repository: Path, server: Server
) -> None:
    """The second document is of another kind than the first."""
    text = f"{_HEAD.format(kind='email-imap')}---\n{_HEAD.format(kind='email-smtp')}{line}"
    assert server.problems(repository / "monitors" / "new.yaml", text) == [f"14: {message}"]


def test_the_schemas_are_strict() -> None:
    check(_HERE, "node", "strict.mjs", str(_ROOT / "schemas"))
