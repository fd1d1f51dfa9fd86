"""What a release is made of: linted as its platforms would read it, or built."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import _COMMANDS

from programs import TOOLS, check

_ROOT = Path(__file__).parents[2]
_WORKFLOW = ".github/workflows/release.yml"
_PINNED = re.compile(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
_MACROS = {".TH", ".SH", ".PP", ".TP", ".nf", ".fi"}


@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", "Dockerfile"),
        ("actionlint", "-shellcheck=", "-pyflakes=", _WORKFLOW),
        ("zizmor", "--offline", "--no-progress", _WORKFLOW),
    ],
    ids=lambda command: command[0],
)
def test_a_linter_finds_nothing(command: tuple[str, ...]) -> None:
    check(_ROOT, TOOLS / command[0], *command[1:])


def test_actions_are_pinned_by_hash() -> None:
    lines = (_ROOT / _WORKFLOW).read_text().splitlines()
    uses = [line for line in lines if "uses: " in line]
    assert uses
    assert all(map(_PINNED.search, uses))


def test_the_image_is_small_to_read_and_has_no_root() -> None:
    lines = (_ROOT / "Dockerfile").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) <= 10
    assert "USER 1000" in lines


def test_each_command_has_a_man_page(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "packaging/man.py", str(tmp_path)],
        cwd=_ROOT,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        timeout=60,
        check=True,
    )
    names = {path.name for path in tmp_path.iterdir()}
    other_words = {"diff", "get"}
    assert names >= {f"reconciler-{name}.1" for name in set(_COMMANDS) - other_words}
    assert {"reconciler.1", "reconciler-state-rm.1"} <= names
    for path in tmp_path.iterdir():
        lines = path.read_text().splitlines()
        macros = {line.split()[0] for line in lines if line.startswith((".", "'"))}
        assert macros <= _MACROS, path.name
        assert ".SH SYNOPSIS" in lines
        assert "" not in lines  # which roff warns of
