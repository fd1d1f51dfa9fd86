"""The sandbox command, and the embedded sandbox, when they cannot start."""

import json
import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest
from e2e.conftest import Fleet, Run, Start, Workspace

_APPLY = ("apply", "--auto-approve")


def test_it_prints_what_points_other_commands_at_it(start: Start, run: Run, fleet: Fleet) -> None:
    fleet(1)
    process = start("sandbox")
    lines = process.read_until("PASSWORD", stream="stdout").splitlines()
    variables = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    assert variables["ALERTSITE_USERNAME"] == "demo@example.com"
    assert variables["ALERTSITE_PASSWORD"] == "demo"
    with urllib.request.urlopen(variables["ALERTSITE_URL"] + "/openapi.json") as answer:
        assert json.load(answer)["openapi"].startswith("3.1")
    assert run("plan", env=variables).code == 5  # the sample account has no monitor with the id 1
    assert process.finish(signal.SIGINT).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--db", "nowhere/sandbox.db"], 3, "unable to open database file"),
        (["--request-log", "nowhere/log"], 3, "No such file or directory"),
        (["--seed-file", "text.json"], 3, "cannot be read: it is not valid JSON"),
        (["--seed-file", "object.json"], 3, "is not a list of monitors"),
        (["--seed-file", "text-id.json"], 3, "is not a list of monitors"),
        (["--seed-file", "huge-id.json"], 3, "is not a list of monitors"),
        (["--seed-file", "no-type.json"], 3, "is not a list of monitors"),
        (["--seed-file", "missing.json"], 64, "does not exist"),
        (["--fault", "PATCH"], 64, "METHOD PATH KEY=VALUE"),
        (["--port", "70000"], 64, "--port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_keeps_it_from_starting_is_named(
    workspace: Workspace, run: Run, arguments: list[str], code: int, words: str
) -> None:
    for name, value in {
        "text": "not JSON",
        "object": {},
        "text-id": [{"id": "1", "type": "ping"}],
        "huge-id": [{"id": 10**20, "type": "ping"}],
        "no-type": [{"id": 1}],
    }.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (workspace.root / f"{name}.json").write_text(text)
    done = run("sandbox", *arguments).expect(code, err=words)
    assert "unexpected error" not in done.err


def test_a_port_that_is_taken_is_named(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = run("sandbox", "--port", str(server.getsockname()[1]))
    done.expect(3, err=("in use", "--port"))


def test_damaged_data_of_the_embedded_sandbox(workspace: Workspace, fleet: Fleet, run: Run) -> None:
    """What it says to remove is only the sandbox's: the folder has the state of an account too."""
    fleet(1)
    folder = workspace.root / ".reconciler"
    folder.mkdir()
    for name in ("sandbox.db", "sandbox-state.json", "state.json"):
        (folder / name).write_text("damaged")
    done = run("plan").expect(3, err="file is not a database")
    hint = done.err.splitlines()[-1]
    assert "remove .reconciler/sandbox.db and .reconciler/sandbox-state.json." in hint
    for name in re.findall(r"[.]reconciler/[a-z.-]+(?<![.])", hint):
        (workspace.root / name).unlink()
    assert "cannot start" not in run("plan").err
    assert (folder / "state.json").read_text() == "damaged"


def test_a_folder_in_which_the_embedded_sandbox_cannot_keep_its_data(
    workspace: Workspace, fleet: Fleet, run: Run
) -> None:
    fleet(1)
    (workspace.root / ".reconciler").write_text("a file")
    done = run("plan")
    assert done.code == 3
    assert "Error: the sandbox cannot start: .reconciler: Not a directory\n" in done.err
    assert "The sandbox must be able to write to .reconciler." in done.err


def test_without_the_packages_of_the_sandbox(
    tmp_path: Path, fleet: Fleet, run_process: Run
) -> None:
    fleet(1)
    (tmp_path / "starlette.py").write_text("raise ImportError('not here', name='starlette')")
    for command in ("plan", "sandbox"):
        said = "Install reconciler again, with all its dependencies."
        run_process(command, env={"PYTHONPATH": str(tmp_path)}).expect(3, err=said)


def test_sandbox_command_serves_seed_faults_and_log(
    workspace: Workspace, start: Start, run: Run
) -> None:
    workspace.describe("email-smtp", "one", 7, port=587)
    seed = '[{"id": 7, "type": "email-smtp", "name": "Monitor", "port": 25}]'
    (workspace.root / "seed.json").write_text(seed, encoding="utf-8")
    rule = "PATCH * status=503 retry-after=0 times=1"
    files = ("--seed-file", "seed.json", "--request-log", "requests.jsonl")
    server = start("sandbox", "--port", "0", *files, "--fault", rule)
    exports = server.read_until("PASSWORD", stream="stdout").splitlines()
    env = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    assert run(*_APPLY, env=env).code == 0
    log = (workspace.root / "requests.jsonl").read_text(encoding="utf-8")
    assert log.count('"PATCH"') == 2
    assert '"password": "***"' in log
    assert server.finish(signal.SIGTERM).code == 0
