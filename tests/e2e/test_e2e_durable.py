"""Files are whole or not there, whatever ends the run that writes them, and it says which."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import manifest, monitor

from reconciler.sandbox import seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Account, Relays, Sandbox, Workspace

_SECONDS = 45
_COUNT = 8

_TORN = """
import os, resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the kernel kills whoever writes beyond the limit
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.argv[:2] = ["reconciler"]
runpy.run_module("reconciler", run_name="__main__")
"""
_AT_STEP = """
import os, runpy, signal, sys
steps, left = {"os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}, int(sys.argv[1])

def hook(event, arguments):
    global left
    if event in steps and any("monitors" in str(item) for item in arguments):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
sys.argv[:2] = ["reconciler"]
runpy.run_module("reconciler", run_name="__main__")
"""
_UNCOMPILED = {"PYTHONDONTWRITEBYTECODE": "1"}
"""Python would cut off what it compiles, and keep that for the runs that come after."""


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def account(sandbox: Sandbox, schemas: dict[str, Any]) -> Account:
    return sandbox(*seeded(_COUNT, schemas))


@pytest.fixture
def whole(workspace: Workspace, account: Account) -> dict[str, bytes]:
    """The files of an import that nothing disturbs."""
    assert account.run("import", "--into", "whole").code == 0
    return _files(workspace.root / "whole")


@pytest.fixture
def ended(workspace: Workspace, base_env: dict[str, str]) -> Callable[..., int]:
    """Runs a command, `import` by default, as a program that ends itself; returns how it ended."""

    def run(program: str, number: int, env: Mapping[str, str], *command: str) -> int:
        return subprocess.run(
            [sys.executable, "-c", program, str(number), *(command or ("import",))],
            cwd=workspace.root,
            env=base_env | _UNCOMPILED | dict(env),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        ).returncode

    return run


def _assert_finished(workspace: Workspace, account: Account, whole: dict[str, bytes]) -> None:
    """What is there is whole, and a merge makes the rest of it, and nothing else."""
    folder = workspace.root / "monitors"
    left = {name: data for name, data in _files(folder).items() if "/." not in f"/{name}"}
    assert left == {name: whole[name] for name in left}
    done = account.run("import", "--merge")
    assert (done.code, "Plan after import: changes" in done.out) == (0, False), done.text
    assert _files(folder) == whole
    assert account.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("size", [0, 1, 200, 400])
def test_killed_while_it_writes_a_manifest(
    size: int,
    workspace: Workspace,
    account: Account,
    whole: dict[str, bytes],
    ended: Callable[..., int],
) -> None:
    assert ended(_TORN, size, account.env) == -signal.SIGXFSZ
    _assert_finished(workspace, account, whole)


def test_killed_between_any_two_steps(
    workspace: Workspace, account: Account, whole: dict[str, bytes], ended: Callable[..., int]
) -> None:
    codes = []
    for step in range(1000):
        codes.append(ended(_AT_STEP, step, account.env))
        if codes[-1] != -signal.SIGKILL:
            break
        if step % 4 == 0:
            _assert_finished(workspace, account, whole)
        for name in _files(workspace.root / "monitors"):
            workspace.remove(name)
    assert codes == [-signal.SIGKILL] * (len(codes) - 1) + [0]
    assert len(codes) > _COUNT
    assert _files(workspace.root / "monitors") == whole


def test_no_room_for_a_manifest(
    workspace: Workspace, account: Account, base_env: dict[str, str], whole: dict[str, bytes]
) -> None:
    """As on a full disk: the lock and most manifests fit, and the next does not."""
    limit = max(map(len, whole.values())) - 1
    program = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n"
        "os.execv(sys.argv[2], sys.argv[2:])\n"
    )
    limited = [sys.executable, "-c", program, str(limit)]
    done = subprocess.run(
        [*limited, sys.executable, "-m", "reconciler", "import"],
        cwd=workspace.root,
        env=base_env | _UNCOMPILED | account.env,
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 3
    assert "File too large" in done.stderr
    written = _files(workspace.root / "monitors")
    (count,) = re.findall(r"([0-9]+) of [0-9]+ files were written", done.stderr)
    assert int(count) == len(written) == 0
    assert "then run the same command again.\n" in done.stderr
    _assert_finished(workspace, account, whole)


@pytest.mark.parametrize("command", [["fmt"], ["pull", "--auto-approve"]])
def test_what_a_killed_run_leaves_is_removed_by_the_next(
    command: list[str], workspace: Workspace, sandbox: Sandbox, ended: Callable[..., int]
) -> None:
    text = manifest("email-smtp", "relay", 1, port=25)
    workspace.write("relay.yaml", text)
    account = sandbox(monitor("email-smtp", 1, port=25))
    assert account.apply().code == 0
    account.edit("email-smtp", 1, port=587)
    text = text.replace("kind: email-smtp\n", "") + "kind: email-smtp\n"  # not in order either
    workspace.write("relay.yaml", text)

    assert ended(_AT_STEP, 0, account.env, *command) == -signal.SIGKILL
    assert workspace.read("relay.yaml") == text
    assert len(_files(workspace.root / "monitors")) == 2
    assert account.run(*command).code == 0
    assert list(_files(workspace.root / "monitors")) == ["relay.yaml"]


def test_a_plan_file_is_whole_or_the_one_before(
    workspace: Workspace, relays: Relays, ended: Callable[..., int]
) -> None:
    account = relays(3)
    (workspace.root / "monitors-plans").mkdir()
    command = ["plan", "--out", "monitors-plans/p.json"]
    assert account.run(*command).code == 0
    before = _files(workspace.root / "monitors-plans")
    assert ended(_TORN, 100, account.env, *command) == -signal.SIGXFSZ
    assert ended(_AT_STEP, 0, account.env, *command) == -signal.SIGKILL
    after = _files(workspace.root / "monitors-plans")
    assert after["p.json"] == before["p.json"]
    assert len(after) == 2
    assert account.run(*command).code == 0
    assert list(_files(workspace.root / "monitors-plans")) == ["p.json"]


def test_a_merge_tells_of_manifests_that_differ(workspace: Workspace, account: Account) -> None:
    """Such as one that an editor, or another tool, has left cut off."""
    assert account.run("import").code == 0
    cut, gone = sorted((workspace.root / "monitors" / "email-smtp").glob("[!_]*.yaml"))[:2]
    text = cut.read_text()
    cut.write_text(re.sub(r"(hostname: .{5}).*", r"\1", text))
    gone.unlink()
    done = account.run("import", "--merge")
    assert "Plan after import: no changes. 1 unchanged.\n" in done.out
    said = "1 existing manifest differs from AlertSite. To see how, run: reconciler plan\n"
    assert done.out.endswith(said)
    done = account.run("import", "--merge")
    assert done.out.endswith(f"Nothing to import.\n{said}")
