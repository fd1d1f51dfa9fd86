"""Files are whole or not there, whatever a run meets: no room, no permission, its own end."""

import json
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import (
    Account,
    Done,
    Relays,
    Run,
    Sandbox,
    Start,
    Workspace,
    files,
    manifest,
    monitor,
)

from reconciler.sandbox import seeded

_APPLY = ("apply", "--auto-approve")
_ONE = ("--parallelism", "1")
_SECONDS = 45
_COUNT = 4
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
_BOUNDED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, "-m", "reconciler", *sys.argv[2:]])
"""
_AS_ANYBODY = """
import ctypes, os, sys
for capability in (1, 2):  # even root may then do only what the permissions of a file say
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "reconciler", *sys.argv[1:]])
"""
_UNCOMPILED = {"PYTHONDONTWRITEBYTECODE": "1"}
"""Python would cut off what it compiles, and keep that for the runs that come after."""
_DENIED = "Permission denied"
_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux for it")


@pytest.fixture
def account(sandbox: Sandbox, schemas: dict[str, Any]) -> Account:
    return sandbox(*seeded(_COUNT, schemas))


@pytest.fixture
def whole(workspace: Workspace, account: Account) -> dict[str, bytes]:
    """The files of an import that nothing disturbs."""
    assert account.run("import", "--into", "whole").code == 0
    return files(workspace.root / "whole")


@pytest.fixture
def wrapped(workspace: Workspace, base_env: dict[str, str]) -> Run:
    """Runs a script of Python, with its arguments, which runs the command line."""

    def run(script: str, *arguments: str, env: Mapping[str, str]) -> Done:
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=workspace.root,
            env=base_env | _UNCOMPILED | dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert "unexpected error" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def _assert_finished(workspace: Workspace, account: Account, whole: dict[str, bytes]) -> None:
    """What is there is whole, and a merge makes the rest of it, and nothing else."""
    folder = workspace.root / "monitors"
    left = {name: data for name, data in files(folder).items() if "/." not in f"/{name}"}
    assert left == {name: whole[name] for name in left}
    done = account.run("import", "--merge")
    assert (done.code, "Plan after import: changes" in done.out) == (0, False), done.text
    assert files(folder) == whole
    assert account.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("size", [0, 1, 200, 400])
def test_killed_while_it_writes_a_manifest(
    size: int, workspace: Workspace, account: Account, whole: dict[str, bytes], wrapped: Run
) -> None:
    assert wrapped(_TORN, str(size), "import", env=account.env).code == -signal.SIGXFSZ
    _assert_finished(workspace, account, whole)


def test_killed_between_any_two_steps(
    workspace: Workspace, account: Account, whole: dict[str, bytes], wrapped: Run
) -> None:
    codes = []
    for step in range(1000):
        codes.append(wrapped(_AT_STEP, str(step), "import", env=account.env).code)
        if codes[-1] != -signal.SIGKILL:
            break
        if step % 4 == 0:
            _assert_finished(workspace, account, whole)
        for name in files(workspace.root / "monitors"):
            workspace.remove(name)
    assert codes == [-signal.SIGKILL] * (len(codes) - 1) + [0]
    assert len(codes) > _COUNT
    assert files(workspace.root / "monitors") == whole


@_linux
def test_no_room_for_a_manifest(
    workspace: Workspace, account: Account, whole: dict[str, bytes], wrapped: Run
) -> None:
    """As on a full disk: the lock and most manifests fit, and the next does not."""
    limit = max(map(len, whole.values())) - 1
    done = wrapped(_BOUNDED, str(limit), "import", env=account.env)
    done.expect(3, err=("File too large", "then run the same command again.\n"))
    written = files(workspace.root / "monitors")
    (count,) = re.findall(r"([0-9]+) of [0-9]+ files were written", done.err)
    assert int(count) == len(written) == 0
    _assert_finished(workspace, account, whole)


@pytest.mark.parametrize("command", [["fmt"], ["pull", "--auto-approve"]])
def test_what_a_killed_run_leaves_is_removed_by_the_next(
    command: list[str], workspace: Workspace, sandbox: Sandbox, wrapped: Run
) -> None:
    workspace.describe("email-smtp", "relay", 1, port=25)
    account = sandbox(monitor("email-smtp", 1, port=25))
    assert account.apply().code == 0
    account.edit("email-smtp", 1, port=587)
    text = workspace.read("relay.yaml").replace("kind: email-smtp\n", "")
    text += "kind: email-smtp\n"  # not in order either
    workspace.write("relay.yaml", text)

    assert wrapped(_AT_STEP, "0", *command, env=account.env).code == -signal.SIGKILL
    assert workspace.read("relay.yaml") == text
    assert len(files(workspace.root / "monitors")) == 2
    assert account.run(*command).code == 0
    assert list(files(workspace.root / "monitors")) == ["relay.yaml"]


def test_a_plan_file_is_whole_or_the_one_before(
    workspace: Workspace, relays: Relays, wrapped: Run
) -> None:
    account = relays(3)
    (workspace.root / "monitors-plans").mkdir()
    command = ["plan", "--out", "monitors-plans/p.json"]
    assert account.run(*command).code == 0
    before = files(workspace.root / "monitors-plans")
    assert wrapped(_TORN, "100", *command, env=account.env).code == -signal.SIGXFSZ
    assert wrapped(_AT_STEP, "0", *command, env=account.env).code == -signal.SIGKILL
    after = files(workspace.root / "monitors-plans")
    assert after["p.json"] == before["p.json"]
    assert len(after) == 2
    assert account.run(*command).code == 0
    assert list(files(workspace.root / "monitors-plans")) == ["p.json"]


def test_a_merge_tells_of_manifests_that_differ(
    workspace: Workspace, sandbox: Sandbox, schemas: dict[str, Any]
) -> None:
    """Such as one that an editor, or another tool, has left cut off."""
    account = sandbox(*seeded(2 * _COUNT, schemas))
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


_MIXED = [f"/monitors/email-smtp/{number}" for number in (1, 2, 3)] + ["New 1", "New 2", "New 3"]


def _sent(account: Account) -> list[str]:
    """Each create, by display name, and each update, by path, that was sent; in order."""
    entries = (entry for entry in account.requests() if entry["path"].startswith("/monitors/"))
    return sorted(
        entry["body"]["name"] if entry["method"] == "POST" else entry["path"]
        for entry in entries
        if entry["method"] in {"POST", "PATCH"}
    )


def _assert_done(account: Account) -> None:
    """Nothing is left to do, and all was sent once."""
    assert account.run("plan").out == "No changes. 6 unchanged.\n"
    assert _sent(account) == _MIXED


@pytest.fixture
def mixed(workspace: Workspace, relays: Relays) -> Relays:
    """Starts a sandbox for three updates and three creates."""
    new = [manifest("email-smtp", f"new-{i}", name=f"New {i}") for i in (1, 2, 3)]
    workspace.write("new.yaml", "---\n".join(new))
    return partial(relays, 3)


class Meddler:
    """A witness that does something to a process during the first create or update that it sends.

    The next one has to wait for so many seconds, so that the process has time to notice.
    """

    def __init__(self, meddle: Callable[[int], object], pause: float) -> None:
        self.pid: Future[int] = Future()
        self._meddle = meddle
        self._pause = pause
        self._lock = threading.Lock()
        self._seen = 0

    def __call__(self, moment: str, method: str, path: str) -> None:
        if moment == "during" and method in {"POST", "PATCH"} and path.startswith("/monitors/"):
            with self._lock:
                self._seen += 1
                if self._seen == 1:
                    self._meddle(self.pid.result(_SECONDS))
                elif self._seen == 2:
                    time.sleep(self._pause)


Meddled = Callable[..., tuple[Account, Done]]


@pytest.fixture
def meddled(mixed: Relays, start: Start) -> Meddled:
    """Applies while somebody meddles; returns the account and what the run left behind."""

    def apply(
        meddle: Callable[[int], object],
        *,
        before: Callable[[Account], object] = lambda _account: None,
        pause: float = 1.0,
        **variables: str,
    ) -> tuple[Account, Done]:
        witnesses: list[Meddler] = []
        account = mixed(witness=lambda *seen: [each(*seen) for each in witnesses])
        before(account)
        meddler = Meddler(meddle, pause)
        witnesses.append(meddler)
        process = start(*_APPLY, *_ONE, env=account.env | variables | _UNCOMPILED)
        meddler.pid.set_result(process.popen.pid)
        done = process.finish()
        witnesses.clear()
        return account, done

    return apply


# no permission


@_linux
def test_folder_that_nothing_can_be_written_to(
    workspace: Workspace, kept: Path, mixed: Relays, wrapped: Run
) -> None:
    account = mixed()
    kept.parent.mkdir()
    for folder in (kept.parent, workspace.root):
        if folder == workspace.root:
            kept.parent.rmdir()
        folder.chmod(0o555)
        said = f"cannot write file:.reconciler/state.json: {_DENIED} ({kept.parent}"
        done = wrapped(_AS_ANYBODY, *_APPLY, env=account.env).expect(8, err=said)
        assert done.out == ""
        assert wrapped(_AS_ANYBODY, "plan", env=account.env).code == 0
        plan = wrapped(_AS_ANYBODY, "plan", "--out", "p.json", env=account.env)
        if folder == workspace.root:
            plan.expect(3, err=f"p.json cannot be written: {_DENIED}")
        else:
            plan.expect(0)
        folder.chmod(0o755)
    assert _sent(account) == []
    assert account.apply().code == 0
    _assert_done(account)


@_linux
def test_state_that_may_not_be_read(kept: Path, mixed: Relays, wrapped: Run) -> None:
    account = mixed()
    assert account.apply().code == 0
    kept.chmod(0)
    for command in (["plan"], _APPLY, ["state", "list"], ["plan", "--offline"]):
        said = f"cannot read file:.reconciler/state.json: {_DENIED}"
        wrapped(_AS_ANYBODY, *command, env=account.env).expect(8, err=said)
    kept.chmod(0o600)
    _assert_done(account)


@_linux
def test_manifest_that_no_id_can_be_written_to(
    workspace: Workspace, mixed: Relays, wrapped: Run
) -> None:
    account = mixed()
    path = workspace.root / "monitors" / "new.yaml"
    before = path.read_bytes()
    for place, mode in ((path, 0o444), (path.parent, 0o555)):
        old = place.stat().st_mode
        place.chmod(mode)
        done = wrapped(_AS_ANYBODY, *_APPLY, "--write-ids", env=account.env)
        place.chmod(old)
        said = f"cannot write monitors/new.yaml: {_DENIED}. The ids are in the state."
        done.expect(0, err=said)
        assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir() if item.name.startswith(".")] == []
    _assert_done(account)
    assert "wrote metadata.id" in account.apply("--write-ids").err


def test_something_else_where_the_folder_should_be(workspace: Workspace, mixed: Relays) -> None:
    (workspace.root / ".reconciler").write_text("a file")
    account = mixed()
    account.apply().expect(8, err="file:.reconciler/state.json: Not a directory")
    assert (workspace.root / ".reconciler").read_text() == "a file"
    assert account.calls() == []


# no room


@_linux
@pytest.mark.parametrize("size", [0, 100, 900], ids=["nothing", "no-lock", "no-journal"])
def test_no_room_to_write_down_what_is_to_be_done(
    size: int, workspace: Workspace, kept: Path, relays: Relays, wrapped: Run
) -> None:
    account = relays(30)
    done = wrapped(_BOUNDED, str(size), *_APPLY, env=account.env)
    done.expect(8, err="run the same command again")
    assert re.search(r"Error: cannot write .*: File too large\n", done.err)
    assert "Apply" not in done.out
    assert account.patches() == []
    plan = wrapped(_BOUNDED, "100", "plan", "--out", "p.json", env=account.env)
    plan.expect(3, err="p.json cannot be written: File too large")
    assert sorted(path.name for path in workspace.root.iterdir()) == [
        ".reconciler",
        "monitors",
        "reconciler.toml",
    ]

    done = account.apply().expect(0)
    assert "outcome" not in done.err
    assert len(account.patches()) == 30
    assert account.run("plan").out == "No changes. 30 unchanged.\n"
    names = {path.name for path in kept.parent.iterdir()}
    assert not [name for name in names if name.endswith((".journal", ".lock", ".new"))]


@_linux
def test_no_room_any_more_in_the_middle(kept: Path, meddled: Meddled) -> None:
    account, done = meddled(lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, 0)))
    assert done.code == 8
    assert "not started: the state cannot be saved: cannot write the journal" in done.out
    assert "Apply incomplete! Resources: " in done.out
    assert "Run the same command again to finish.\n" in done.out
    assert done.err.rstrip().splitlines()[-2].startswith("Error: cannot write the journal ")
    assert 1 <= len(_sent(account)) < 6
    records = json.loads(kept.read_bytes())["records"].values()
    assert {(record["applied_at"], len(record["fields"])) for record in records} == {("", 0)}

    account.apply().expect(0, err="Recovery: run ")
    _assert_done(account)
    assert len(json.loads(kept.read_bytes())["records"]) == 6


@pytest.fixture
def unsaved(kept: Path, workspace: Workspace, sandbox: Sandbox) -> Account:
    """Two updates, of which the first has just been sent when the state can be saved no more."""
    armed = threading.Event()

    def block(_moment: str, method: str, _path: str) -> None:
        if armed.is_set() and method == "PATCH":
            armed.clear()
            (kept.parent / "state.json.backup.new").mkdir()

    account = sandbox(witness=block)
    texts = [
        manifest("email-smtp", f"relay-0{number}", name=f"R{number}", port=587, note="old")
        for number in (1, 2, 3)
    ]
    workspace.write("fleet.yaml", "---\n".join(texts))
    assert account.apply().code == 0
    path = workspace.root / "monitors" / "fleet.yaml"
    path.write_text(path.read_text().replace('note: "old"', "note: new"))
    assert account.apply("--target", "*/relay-01").code == 0
    armed.set()
    return account


def test_state_that_cannot_be_saved_is_made_up_for_by_the_journal(
    kept: Path, unsaved: Account
) -> None:
    done = unsaved.apply()
    assert done.code == 8
    assert "Apply complete! Resources: 0 added, 2 changed, 0 destroyed.\n" in done.out
    assert "Error: cannot write file:.reconciler/state.json: Is a directory" in done.err
    records = json.loads(kept.read_bytes())["records"]
    going = {address for address, record in records.items() if "sending" in record}
    assert going == {"email-smtp/relay-02", "email-smtp/relay-03"}
    (kept.parent / "state.json.backup.new").rmdir()
    unsaved.edit("email-smtp", 100002, port=25)
    plan = unsaved.run("plan")
    assert "Recovery: 2 outcomes added that the state did not have.\n" in plan.err
    assert "port: 25 → 587 (drift: changed in AlertSite since the last apply)\n" in plan.out
    assert unsaved.apply().code == 0
    assert unsaved.run("drift").out == "No drift. 3 monitors as last applied.\n"
    assert list(kept.parent.glob("*.journal")) == []


def test_journal_of_an_earlier_run_that_cannot_be_removed(kept: Path, meddled: Meddled) -> None:
    journal = kept.with_name("state.json.20260101T000000Z-0a1b2c3d.journal")

    def leave(account: Account) -> None:
        assert account.apply("--target", "*/relay-01").code == 0
        state = json.loads(kept.read_bytes())
        head = {"journal": "2.0", "run": "20260101T000000Z-0a1b2c3d"}
        head |= {name: state[name] for name in ("lineage", "account")}
        journal.write_text(json.dumps(head) + "\n")

    def spoil(_pid: int) -> None:
        journal.unlink()
        journal.mkdir()

    account, done = meddled(spoil, before=leave)
    assert done.code == 8
    assert "Apply complete! Resources: 3 added, 2 changed, 0 destroyed.\n" in done.out
    assert f"Error: cannot remove the journal {journal}: " in done.err
    assert len(json.loads(kept.read_bytes())["records"]) == 6
    journal.rmdir()
    assert account.run("plan").out == "No changes. 6 unchanged.\n"


@pytest.mark.parametrize("also", ["port: 587", "port: 2525"])
def test_nothing_is_sent_unless_that_can_be_written_down(
    kept: Path, unsaved: Account, workspace: Workspace, also: str
) -> None:
    path = workspace.root / "monitors" / "fleet.yaml"
    path.write_text(path.read_text().replace("port: 587", also))
    (kept.parent / "state.json.backup.new").mkdir()
    sent = len(unsaved.patches())
    unsaved.apply().expect(8, err="Error: cannot write file:.reconciler/state.json: Is a directory")
    assert unsaved.patches()[sent:] == []


def test_result_of_a_run_whose_state_was_not_saved_holds_its_exit_code(unsaved: Account) -> None:
    done = unsaved.apply("--json")
    assert done.json["exit_code"] == done.code


def test_state_that_cannot_be_written_stops_the_sending(
    creating: Sandbox, start: Start, workspace: Workspace
) -> None:
    account = creating(50, faults=["POST /monitors/* delay=0.3"])
    process = start(*_APPLY, env=account.env)
    account.wait_for("POST", 2)
    journal: Path = next((workspace.root / ".reconciler").glob("*.journal"))
    folder = journal.parent
    folder.chmod(0o500)
    held = folder / "state.json"
    held.unlink()
    held.mkdir()  # the state cannot be replaced any more
    done = process.finish()
    held.rmdir()
    folder.chmod(0o700)
    assert done.code == 8
    assert len(account.creates()) < 50


# in mid-run


def test_state_that_is_deleted_in_mid_run_is_put_back(kept: Path, meddled: Meddled) -> None:
    account, done = meddled(lambda _pid: kept.unlink(), pause=0.0)
    assert done.code == 0
    assert len(json.loads(kept.read_bytes())["records"]) == 6
    _assert_done(account)


def test_state_that_is_spoilt_in_mid_run_is_not_overwritten(kept: Path, meddled: Meddled) -> None:
    account, done = meddled(
        lambda _pid: kept.write_text("{"),
        before=lambda account: account.apply("--target", "*/relay-01"),
    )
    done.expect(8, err="Error: file:.reconciler/state.json: the state is corrupt")
    assert kept.read_text() == "{"
    assert account.run("plan").code == 8
    kept.write_bytes(kept.with_name("state.json.backup").read_bytes())  # as the hint says
    assert account.apply().code == 0
    _assert_done(account)


def test_lock_that_is_broken_in_mid_run(kept: Path, meddled: Meddled, run_process: Run) -> None:
    def unlock(_pid: int) -> None:
        holder = json.loads(kept.with_name("state.json.lock").read_bytes())["id"]
        assert run_process("state", "unlock", holder, env={"CI": "1"}).code == 0

    account, done = meddled(unlock, RECONCILER_LOCK_LEASE="1s")
    done.expect(7, out="not started: the lock was lost: ")
    assert 1 <= len(_sent(account)) < 6
    assert not kept.with_name("state.json.lock").exists()
    assert account.apply().code == 0
    _assert_done(account)


@_linux
def test_a_manifest_that_fmt_cannot_write_is_not_called_changed(
    workspace: Workspace, wrapped: Run
) -> None:
    text = manifest("email-smtp", "relay", 1)
    path = workspace.root / "monitors" / "relay.yaml"
    path.write_text(
        "".join(sorted(text.splitlines(keepends=True), key=lambda line: line[:1] == "a"))
    )
    path.chmod(0o444)
    done = wrapped(_AS_ANYBODY, "fmt", env={})
    path.chmod(0o644)
    said = f"Error: cannot write monitors/relay.yaml: {_DENIED}\nNothing was written"
    assert done.expect(3, err=(said, "fix the permissions")).out == ""
