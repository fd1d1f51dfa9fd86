"""The benchmark: it runs to its end, and whatever goes wrong, it fails and leaves no process."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[str]]


_FOLDER = Path(__file__).parents[1] / "bench"
_SECONDS = 120
"""How long any of it may take: far more than it needs on a busy machine."""
_WITH_BROKEN_PYTHON = """
import sys
import bench

bench.PYTHON = [sys.executable, "-c", "import sys; sys.exit('no luck')"]
bench.main()
"""
_RUNNER = """
import subprocess, sys, tempfile, time
from pathlib import Path
from runner import TOOL, leave_blocks_on_signals, process, run, sandbox

leave_blocks_on_signals()
"""
_FAILS = """
with sandbox(Path()) as url:
    run([*TOOL, "plan"], Path(), url)
"""
_HANGS = """
with sandbox(Path()) as url:
    run([sys.executable, "-c", "import time; time.sleep(600)"], Path(), url, limit=0.5)
"""
_SANDBOX_FAILS = """
with sandbox(Path(), "--page-size", "0"):
    pass
"""
_IGNORES_SIGTERM = """
code = '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
'''
with tempfile.TemporaryFile() as stderr:
    command = [sys.executable, "-c", code]
    with process(command, Path(), stdout=subprocess.PIPE, stderr=stderr, grace=0.2) as running:
        running.stdout.readline()
    sys.exit(f"ended with {running.returncode}")
"""
_WAITS = """
with sandbox(Path()):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path, base_env: dict[str, str]) -> Iterator[Start]:
    """Starts Python with these arguments: beside an account, as the leader of a process group."""
    (tmp_path / "account.json").write_text("[]")
    leaders = []

    def python(*arguments: str) -> subprocess.Popen[str]:
        leader = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**base_env, "PYTHONPATH": str(_FOLDER)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        leaders.append(leader)
        return leader

    yield python
    for leader in leaders:
        if _is_alive(leader):
            os.killpg(leader.pid, signal.SIGKILL)
        leader.communicate()


def _is_alive(leader: subprocess.Popen[str]) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(leader.pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_runs_to_its_end(start: Start, tmp_path: Path) -> None:
    leader = start(str(_FOLDER / "bench.py"), "--quick")

    out, err = leader.communicate(timeout=_SECONDS)

    assert (leader.returncode, err) == (0, "")
    for figure in ("validate of 500", "apply of 50, 8 in flight", "apply of 50, 16 in flight"):
        assert figure in out
    assert (tmp_path / ".reconciler" / "bench.json").exists()
    assert not _is_alive(leader)


def test_says_which_run_failed_without_a_traceback(start: Start) -> None:
    leader = start("-c", _WITH_BROKEN_PYTHON, "--quick")

    _, err = leader.communicate(timeout=_SECONDS)

    assert leader.returncode == 1
    assert err.startswith("The benchmark failed: ")
    assert err.endswith("ended with 1. Its stderr:\nno luck\n")
    assert not _is_alive(leader)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        pytest.param(_FAILS, "Its stderr:\nError: monitors: there is no such", id="run fails"),
        pytest.param(_HANGS, "did not end within 0.5 seconds", id="run hangs"),
        pytest.param(_SANDBOX_FAILS, "'--page-size': 0 is not in the range", id="sandbox fails"),
        pytest.param(_IGNORES_SIGTERM, "ended with -9", id="process ignores SIGTERM"),
    ],
)
def test_failure_leaves_no_process(start: Start, script: str, told: str) -> None:
    leader = start("-c", _RUNNER + script)

    _, err = leader.communicate(timeout=_SECONDS)

    assert leader.returncode == 1
    assert told in err
    assert not _is_alive(leader)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_leaves_no_process(start: Start, number: signal.Signals) -> None:
    leader = start("-c", _RUNNER + _WAITS)
    assert leader.stdout is not None
    assert leader.stdout.readline() == "ready\n"

    leader.send_signal(number)
    leader.communicate(timeout=_SECONDS)

    assert leader.returncode != 0
    assert not _is_alive(leader)
