"""Every command of every page is run, in the order of the page, pasted as it stands.

Each page has a folder of its own and one shell, as a reader has who has set up nothing before: no
login, so that everything happens in the embedded sandbox.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from docs.pages import Fence, Page, pages
from docs.quick import write_command

if TYPE_CHECKING:
    from collections.abc import Iterator

ANYTHING = "…"
WITH_COMMANDS = [page for page in pages() if page.commands]
NOT_RUN = {
    "README.md": 2,
    "docs/how-to/beyond-one-machine.md": 2,
    "docs/how-to/develop.md": 1,
    "docs/how-to/gitlab.md": 1,
    "docs/how-to/install.md": 6,
    "docs/how-to/sandbox.md": 3,
    "docs/how-to/undo.md": 2,
    "docs/how-to/watch.md": 3,
}
"""How many blocks of a page no test can run."""
SCRIPT = """\
{{
{text}}} </dev/null
echo "--- end of a block ---"
echo "--- end of a block ---" >&3
"""


def as_pattern(output: str) -> str:
    return "".join(map(line_pattern, output.splitlines()))


def line_pattern(line: str) -> str:
    if line == ANYTHING:
        return r"(?:.*\n)*?"
    return ".*".join(map(re.escape, line.split(ANYTHING))) + r"\n"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the PATH that has the command."""
    folder = tmp_path_factory.mktemp("tools")
    place = folder / "quick.socket"
    write_command(folder, place)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    command = [sys.executable, Path(__file__).with_name("quick.py"), place]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as server:
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        yield folder
        server.terminate()


def shell(page: Page, folder: Path, tools: Path) -> Iterator[tuple[Fence, str, list[str]]]:
    """Each block with what it printed, and the exit codes of the commands that failed."""
    failures = folder.with_name("failures")
    script = f"exec 3>{failures}\ntrap 'echo $? >&3' ERR\n"
    script += "".join(SCRIPT.format(text=fence.text) for fence in page.commands)
    git = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Reader"), ("EMAIL", "reader@example.com"))
    }
    own = Path(sys.executable).parent
    path = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != own]
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=folder,
        env={
            "HOME": str(folder),
            "PATH": os.pathsep.join([str(tools), *path]),
            "LC_ALL": "C.UTF-8",
            "MAKEFLAGS": "--no-print-directory",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **git,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    end = "--- end of a block ---\n"
    *outputs, rest = done.stdout.split(end)
    assert rest == ""
    *codes, _ = failures.read_text().split(end)
    for fence, output, failed in zip(page.commands, outputs, codes, strict=True):
        yield fence, output, failed.split()


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.path)
def test_commands_work_as_they_stand(page: Page, tmp_path: Path, tools: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    for fence, output, failed in shell(page, folder, tools):
        assert "bash: line" not in output, (fence, output)  # an error of the shell itself
        assert failed == ([str(fence.code)] if fence.code else []), (fence, output)
        if fence.output is not None:
            assert re.fullmatch(as_pattern(fence.output), output), (fence, output)


def test_what_is_not_run_is_known() -> None:
    """With a reason each."""
    found = Counter(page.path for page in pages() for fence in page.fences if fence.reason)
    assert found == NOT_RUN
