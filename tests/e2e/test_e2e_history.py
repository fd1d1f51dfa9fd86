"""What runs have done, and how one is taken back, over every kind of store."""

import os
import shlex
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import (
    Account,
    Done,
    Fleet,
    Git,
    Place,
    Places,
    Run,
    Sandbox,
    Start,
    Workspace,
    manifest,
    monitor,
)

from reconciler.state_store import Key, Lease

from documents import check

_SMTP = "email-smtp"
EVERYWHERE = pytest.mark.parametrize("kind", ["file", "git", "s3"])


class Fleet:
    """One machine with manifests, an account and a place for the state."""

    def __init__(self, place: Place, at: Workspace, account: Account, run: Run) -> None:
        self.place, self.at, self.account = place, at, account
        self._run = run

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        settings = {**self.account.env, **self.place.env, "RECONCILER_STATE": self.place.location}
        return self._run(*arguments, env=settings | dict(env or {}), cwd=self.at.root)

    def apply(self, *arguments: str, **env: str) -> str:
        """Applies the manifests; the id of the run."""
        done = self.run("apply", "--auto-approve", "--prune", "--json", *arguments, env=env)
        assert done.code == 0, done.text
        run: str = done.json["run"]
        is_offered = f"To undo it: reconciler undo {run}" in done.err
        assert is_offered or "No changes." in done.err
        return run

    def undo(self, run: str, *arguments: str) -> Done:
        return self.run("undo", run, "--auto-approve", "--allow-loss", "9", *arguments)

    def history(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.run("history", *arguments, "--json").expect(0)
        check(done.json, "history")
        runs: list[dict[str, Any]] = done.json["runs"]
        return runs

    def is_as_described(self) -> bool:
        """Whether a plan of the manifests, with every orphan retired, is empty."""
        done = self.run("plan", "--prune", "--json").expect(0)
        return not done.json["changes"] and not done.json["bindings"]


@pytest.fixture
def fleet(request: pytest.FixtureRequest, places: Places, sandbox: Sandbox, run: Run) -> Fleet:
    """A fleet on the store that the parameter `kind` names; a file if it has none."""
    params = getattr(request.node, "callspec", None)
    place = places(params.params.get("kind", "file") if params else "file")
    account = sandbox(monitor("email-smtp", 1, port=25, timeout=30, name="Relay", note="old"))
    return Fleet(place, place.machine(), account, run)


@EVERYWHERE
def test_a_run_is_told_and_taken_back(kind: str, fleet: Fleet, git: Git) -> None:
    """It updates one monitor, creates one and deletes one; taking it back is taken back too."""
    relay = manifest("email-smtp", "relay", 1, port=25, name="Relay")
    old = manifest("email-imap", "old", name="Old", timeout=20)
    fleet.at.write("relay.yaml", relay)
    fleet.at.write("old.yaml", old)
    fleet.apply()
    before = {item["name"]: item for item in fleet.account.monitors()}

    fleet.at.describe("email-smtp", "relay", 1, port=587, timeout=60, name="Relay")
    fleet.at.remove("old.yaml")
    fleet.at.describe("email-pop", "new", name="New")
    run = fleet.apply(
        GITHUB_ACTOR="ann",
        GITHUB_SERVER_URL="https://github.example",
        GITHUB_REPOSITORY="a/b",
        GITHUB_RUN_ID="7",
    )
    last, first = fleet.history()
    assert (last["id"], last["actor"]) == (run, "ann")
    assert last["pipeline"] == "https://github.example/a/b/actions/runs/7"
    assert last["summary"] == {"create": 1, "update": 1, "delete": 1, "not_done": 0}
    assert first["summary"] == {"create": 1, "update": 0, "delete": 0, "not_done": 0}
    (touched,) = fleet.history("email-smtp/relay.port")
    (change,) = touched["changes"]
    assert [(item["before"], item["after"]) for item in change["fields"]] == [(25, 587)]
    assert fleet.run("history", "show", run).out.startswith(f"apply {run}\n")
    if kind == "git":
        log = git(fleet.at.root, "ls-remote", "origin", "refs/reconciler/state").split()[0]
        git(fleet.at.root, "fetch", "--quiet", "origin", "refs/reconciler/state")
        shown = git(fleet.at.root, "log", "-1", "--format=%an%n%B", log)
        assert shown.startswith("ann\napply: 1 added, 1 changed, 1 destroyed\n\n- email-imap/old (")
        assert "\nActor: ann\n" in shown
        assert f"\nRun: {run}\n" in shown

    fleet.undo(run).expect(
        0, err=("email-imap/old gets a new id", "The manifests still have what the run applied")
    )
    after = {item["name"]: item for item in fleet.account.monitors()}
    assert after.keys() == {"Relay", "Old"}
    assert after["Relay"] == before["Relay"]
    assert after["Old"] | {"id": 0} == before["Old"] | {"id": 0}

    undone, *_ = fleet.history()
    assert (undone["operation"], undone["undoes"]) == ("undo", run)
    described = {path: path.read_text() for path in (fleet.at.root / "monitors").iterdir()}
    fleet.at.write("relay.yaml", relay)
    fleet.at.write("old.yaml", old)
    fleet.at.remove("new.yaml")
    assert fleet.is_as_described()

    fleet.undo(undone["id"]).expect(0)
    fleet.at.remove("old.yaml")
    for path, text in described.items():
        path.write_text(text)
    assert fleet.is_as_described()


@pytest.fixture
def changed(fleet: Fleet) -> tuple[Fleet, str]:
    """A fleet, and the run that set port and timeout of its one monitor."""
    fleet.at.describe("email-smtp", "relay", 1, port=25, name="Relay")
    fleet.apply()
    fleet.at.describe("email-smtp", "relay", 1, port=587, timeout=60, name="Relay")
    return fleet, fleet.apply()


def test_what_moved_since_is_refused_by_name_and_the_rest_is_done(fleet: Fleet) -> None:
    other = fleet.account.create("email-smtp", port=25, name="Other")

    def write(port: int) -> None:
        fleet.at.write("all.yaml", manifest("email-smtp", "relay", 1, port=port, name="Relay"))
        fleet.at.write("o.yaml", manifest("email-smtp", "other", other, port=port, name="Other"))

    write(25)
    fleet.apply()
    write(587)
    run = fleet.apply()
    fleet.account.edit("email-smtp", 1, port=2525)
    done = fleet.undo(run, "--json").expect(7)
    assert fleet.account.ports() == {1: 2525, other: 25}
    assert "email-smtp/relay" in done.err
    assert "port has changed since the run" in done.err
    moved = [item for item in done.json["outcomes"] if item["status"] == "moved"]
    assert [(item["address"], item["id"]) for item in moved] == [("email-smtp/relay", 1)]
    again = fleet.undo(run)
    assert (again.code, fleet.account.ports()) == (5, {1: 2525, other: 25}), again.text
    left = fleet.undo(run, "--target", "email-smtp/other")
    assert (left.code, left.err.count("No changes")) == (0, 0), left.text


def test_a_plan_of_an_undo_is_saved_and_applied_once(changed: tuple[Fleet, str]) -> None:
    fleet, run = changed
    done = fleet.run("undo", run[:-2], "--out", "back.json").expect(0)
    assert fleet.account.ports() == {1: 587}
    assert "  ~ email-smtp/relay (id 1)\n      port: 587 → 25\n" in done.out
    assert "email-smtp/relay" in fleet.run("show", "back.json").out
    fleet.run("apply", "back.json", "--allow-loss", "1").expect(0)
    assert fleet.account.live(1)["timeout"] == 30
    assert fleet.history()[0]["undoes"] == run
    fleet.apply("--allow-loss", "1")
    said = "this plan was already applied completely"
    fleet.run("apply", "back.json", "--allow-loss", "1").expect(5, err=said)


def test_what_moves_between_the_plan_and_its_application_is_refused(
    changed: tuple[Fleet, str],
) -> None:
    fleet, run = changed
    fleet.run("undo", run, "--out", "back.json")
    fleet.account.edit("email-smtp", 1, port=465)
    said = "port has changed since the run"
    fleet.run("apply", "back.json", "--allow-loss", "1").expect(5, text=said)
    assert fleet.account.ports() == {1: 465}


def test_without_approval_nothing_is_taken_back(changed: tuple[Fleet, str]) -> None:
    fleet, run = changed
    said = "nothing was applied: approval is required"
    fleet.run("undo", run, "--allow-loss", "1").expect(5, err=said)
    assert fleet.account.ports() == {1: 587}


def test_the_budget_holds_and_is_of_the_whole_fleet(changed: tuple[Fleet, str]) -> None:
    fleet, run = changed
    said = "RECONCILER_BUDGET"
    fleet.run("undo", run, "--auto-approve", env={"RECONCILER_BUDGET": "0"}).expect(5, err=said)
    assert fleet.account.ports() == {1: 587}


def test_a_protected_monitor_that_a_run_created_stays(fleet: Fleet) -> None:
    text = manifest("email-pop", "kept", name="Kept") + "lifecycle: {protect: true}\n"
    fleet.at.write("kept.yaml", text)
    run = fleet.apply()
    fleet.undo(run).expect(5, out="its lifecycle protects it")
    assert "Kept" in {item["name"] for item in fleet.account.monitors()}


def test_a_secret_is_neither_kept_nor_taken_back(fleet: Fleet, tmp_path: Any) -> None:
    def write(variable: str, port: int) -> None:
        secret = {"pop3_password": {"secretRef": {"env": variable}}}
        fleet.at.describe("email-pop", "box", name="Box", port=port, extra=secret)

    env = {"ONE": "sesame-one-1", "TWO": "sesame-two-2", "RECONCILER_SECRET_KEY": "k" * 40}
    write("ONE", 110)
    fleet.apply(**env)
    write("TWO", 995)
    run = fleet.apply(**env)
    done = fleet.run("undo", run, "--auto-approve", "--allow-loss", "1", env=env)
    assert done.code == 0, done.text
    assert "pop3_password stays as it is: it is a secret" in done.err
    assert [item["port"] for item in fleet.account.monitors() if item["name"] == "Box"] == [110]
    kept = "".join(path.read_text() for path in tmp_path.glob("*/state.json.runs/*.json"))
    assert "env:TWO" in kept
    assert "sesame" not in kept + done.text


def test_what_a_run_bound_or_renamed_is_bound_as_before(fleet: Fleet) -> None:
    """An adopted monitor must not be left to be retired as an orphan."""
    old = manifest("email-smtp", "old", name="Relay", port=25)
    fleet.at.write("relay.yaml", old)
    adopted = fleet.apply("--adopt")
    renamed = manifest("email-smtp", "new", name="Relay", port=587)
    fleet.at.write("relay.yaml", renamed.replace("  name: new", "  name: new\n  previously: [old]"))
    moved = fleet.apply()
    fleet.undo(moved).expect(0)
    fleet.at.write("relay.yaml", old)
    assert fleet.is_as_described()
    assert fleet.account.ports() == {1: 25}
    fleet.undo(adopted).expect(0, out="unbound")
    fleet.at.remove("relay.yaml")
    fleet.at.write("other.yaml", manifest("email-pop", "x", name="X"))
    fleet.apply()
    assert 1 in fleet.account.ports()
    fleet.undo(adopted).expect(5, err="nothing in run")


@pytest.mark.parametrize("names", ["ba", "bca", "bcd"], ids=["swap", "ring", "chain"])
def test_names_that_a_run_has_passed_on_are_passed_back(fleet: Fleet, names: str) -> None:
    """As a whole: a part of them alone has no place to go to."""

    def write(was: str, name: str, *previously: str) -> None:
        text = manifest("email-smtp", name, name=f"Relay {was}", port=587)
        former = f"  previously: [{', '.join(previously)}]\n" if previously else ""
        fleet.at.write(
            f"{was}.yaml", text.replace(f"  name: {name}\n", f"  name: {name}\n{former}")
        )

    def bound() -> dict[str, int]:
        lines = fleet.run("state", "list").expect(0).out.splitlines()
        return {line.split()[0]: int(line.split()[2]) for line in lines}

    start = "abc"[: len(names)]
    for name in start:
        write(name, name)
    fleet.apply()
    before = bound()
    for _ in range(2):
        for was, name in zip(start, names, strict=True):
            write(was, name, was)
        moved = fleet.apply()
        number = {
            f"email-smtp/{name}": before[f"email-smtp/{was}"]
            for was, name in zip(start, names, strict=True)
        }
        assert bound() == number
        fleet.undo(moved, "--target", f"email-smtp/{names[-1]}").expect(5, err="nothing in run")
        fleet.undo("last").expect(0, out="renamed")
        assert bound() == before
        for name in start:
            write(name, name)
        assert fleet.is_as_described()


def test_what_is_asked_for_and_is_not_there(fleet: Fleet, tmp_path: Path) -> None:
    assert fleet.run("history").err.endswith(": no runs yet.\n")
    assert fleet.run("undo", "nothing").code == 64
    assert fleet.run("history", "show", "nothing").code == 64
    assert fleet.run("history", "relay").code == 64
    fleet.at.describe("email-smtp", "relay", 1, port=587, name="Relay")
    run = fleet.apply()
    fleet.undo(run, "--target", "email-pop/*").expect(64, err="matches nothing that run")
    assert fleet.history("--limit", "1")[0]["id"] == run
    before = fleet.run("apply", "--auto-approve")
    assert "To undo it" not in before.err
    assert len(fleet.history()) == 1
    (older,) = (path for path in tmp_path.rglob("*.runs/*") if run in path.name)
    fleet.at.describe("email-smtp", "relay", 1, port=25, name="Relay")
    newer = fleet.apply()
    older.write_text("{")
    assert [one["id"] for one in fleet.history("--limit", "1")] == [newer]
    done = fleet.run("history")
    assert (done.code, newer in done.out, run in done.out) == (8, True, False)
    assert f"run {run}: the run record is corrupt" in done.err
    assert fleet.run("history", "show", run).code == 8


class TestTheLastRun:
    """What `undo last` takes back."""

    @pytest.fixture
    def ports(self, fleet: Fleet) -> Callable[[int], str]:
        """Applies a port of the one monitor; the id of the run."""

        def apply(port: int) -> str:
            fleet.at.describe("email-smtp", "relay", 1, port=port, name="Relay")
            return fleet.apply()

        return apply

    def undone(self, fleet: Fleet, *arguments: str) -> tuple[str | None, int]:
        """The run that is taken back, and the port of the monitor since."""
        fleet.undo("last", *arguments).expect(0)
        return fleet.history()[0]["undoes"], fleet.account.ports()[1]

    def test_it_is_the_last_one_that_is_not_undone(
        self, fleet: Fleet, ports: Callable[[int], str]
    ) -> None:
        first, second = ports(26), ports(27)
        assert self.undone(fleet) == (second, 26)
        assert self.undone(fleet) == (first, 25)
        fleet.undo("last").expect(64, err="has no run to undo")

    def test_an_undo_that_is_undone_has_not_undone(
        self, fleet: Fleet, ports: Callable[[int], str]
    ) -> None:
        ports(26)
        second = ports(27)
        assert self.undone(fleet) == (second, 26)
        assert fleet.undo(fleet.history()[0]["id"]).code == 0
        assert self.undone(fleet) == (second, 26)

    def test_an_undo_that_was_not_completed_is_repeated(self, fleet: Fleet) -> None:
        other = fleet.account.create("email-smtp", port=25, name="Other")
        for name, number in (("relay", 1), ("other", other)):
            fleet.at.describe("email-smtp", name, number, port=587, name=name.title())
        run = fleet.apply()
        fleet.account.edit("email-smtp", 1, port=465)
        assert fleet.undo("last").code == 7
        fleet.account.edit("email-smtp", 1, port=587)
        assert self.undone(fleet) == (run, 25)

    def test_a_run_that_changed_nothing_is_none(
        self, sandbox: Sandbox, workspace: Workspace
    ) -> None:
        account = sandbox(faults=["POST /monitors/email-smtp status=400 times=1"])
        workspace.describe("email-smtp", "relay")
        assert account.apply().code != 0
        assert len(account.run("history", "--json").json["runs"]) == 1
        account.run("undo", "last").expect(64, err="has no run to undo")

    def test_a_record_that_cannot_be_read_may_be_it(
        self, fleet: Fleet, ports: Callable[[int], str], tmp_path: Path
    ) -> None:
        ports(26)
        run = ports(27)
        (path,) = (path for path in tmp_path.rglob("*.runs/*") if run in path.name)
        path.write_text("{")
        done = fleet.undo("last")
        assert (done.code, fleet.account.ports()) == (8, {1: 27}), done.text

    def test_a_run_that_has_not_ended_may_be_it(
        self, fleet: Fleet, ports: Callable[[int], str]
    ) -> None:
        ports(26)
        lease = Lease("run-7", "ann", "ci", "apply", "2026-01-02T03:04:05Z", "", 600)
        fleet.place.store(fleet.at).write(Key.LOCK, lease.encoded(), None, "")
        done = fleet.undo("last")
        assert (
            done.code,
            "run run-7 (ann on ci, since 2026-01-02T03:04:05Z) has not ended" in done.err,
        ) == (5, True), done.text
        assert "reconciler state unlock run-7" in done.err

    @pytest.mark.parametrize("asked", [(), ("nothing",)])
    def test_without_a_run_the_last_ones_are_named(
        self, fleet: Fleet, ports: Callable[[int], str], asked: tuple[str, ...]
    ) -> None:
        fleet.run("undo", *asked).expect(64, err="There are no runs yet.")
        runs = [ports(port) for port in (26, 27, 28, 29)]
        done = fleet.run("undo", *asked, env={"GITHUB_ACTOR": "ann"}).expect(64)
        _, head, *lines, last = done.err.splitlines()
        assert (head, last) == ("The last runs:", "To list all, run: reconciler history")
        assert [line.split()[0] for line in lines] == runs[:0:-1]
        began = fleet.history()[0]["began"]
        assert began in lines[0]
        assert lines[0].endswith("0 added, 1 changed, 0 destroyed")


class TestWhatHistoryIsAskedFor:
    """An address and a field are known from a run, the state or a manifest, or are refused."""

    @pytest.fixture
    def asked(self, changed: tuple[Fleet, str]) -> Fleet:
        """Has monitors that are managed, described only, and deleted."""
        fleet, _ = changed
        fleet.at.describe("email-pop", "gone", name="Gone", extra={"newest": 1})
        fleet.apply()
        fleet.at.remove("gone.yaml")
        fleet.apply("--allow-loss", "1")
        text = manifest("email-pop", "next", name="Next", extra={"brand_new": 1})
        fleet.at.write(
            "next.yaml", text.replace("  name: next", "  name: next\n  previously: [was]")
        )
        return fleet

    @pytest.mark.parametrize(
        ("address", "message"),
        [
            (
                "email-smtp/nosuch",
                "neither a run nor the state nor a manifest has email-smtp/nosuch",
            ),
            ("email-smtp/realy", "has email-smtp/realy; did you mean email-smtp/relay?"),
            ("email-pop/gnoe", "has email-pop/gnoe; did you mean email-pop/gone?"),
            (
                "email-smtp/relay.tiemout",
                "email-smtp/relay has no field tiemout; did you mean timeout?",
            ),
            ("email-pop/next.brand_nwe", "did you mean brand_new?"),
            ("email-pop/gone.newset", "did you mean newest?"),
        ],
    )
    def test_typos_are_refused(self, asked: Fleet, address: str, message: str) -> None:
        asked.run("history", address).expect(64, err=message)
        assert asked.run("history", address, "--json").code == 64

    @pytest.mark.parametrize(
        ("address", "runs"),
        [
            ("email-smtp/relay.timeout", 1),
            ("email-smtp/relay.spec.timeout", 1),
            ("email-smtp/relay.note", 0),
            ("email-pop/gone", 2),
            ("email-pop/gone.newest", 1),
            ("email-pop/gone.timeout", 0),
            ("email-pop/next", 0),
            ("email-pop/was", 0),
            ("email-pop/next.brand_new", 0),
        ],
    )
    def test_what_is_known_has_a_history(self, asked: Fleet, address: str, runs: int) -> None:
        assert len(asked.history(address)) == runs
        assert ("no runs of" in asked.run("history", address).err) is (runs == 0)

    def test_without_manifests_the_rest_is_still_known(self, asked: Fleet) -> None:
        asked.at.write("next.yaml", "{")
        assert asked.run("history", "email-pop/new-one").code == 0  # it may be in that file
        for path in (asked.at.root / "monitors").iterdir():
            path.unlink()
        (asked.at.root / "monitors").rmdir()
        assert asked.run("history", "email-pop/next").code == 64
        assert len(asked.history("email-smtp/relay.timeout")) == 1


def test_a_killed_run_is_told_by_the_one_that_finishes_it(
    sandbox: Sandbox, workspace: Workspace, start: Start
) -> None:
    """Its record is as its journal has it, and can be taken back."""
    account = sandbox(
        *(monitor("email-smtp", number, port=25) for number in (1, 2)),
        faults=["PATCH /monitors/email-smtp/2 delay=1.5 times=1"],
    )
    texts = [manifest("email-smtp", f"relay-{number}", number, port=587) for number in (1, 2)]
    texts.append(manifest("email-pop", "new", name="New"))
    workspace.write("all.yaml", "---\n".join(texts))
    going = start("apply", "--auto-approve", "--parallelism", "1", env=account.env)
    going.read_until("email-smtp/relay-1: accepted")
    assert going.finish(signal.SIGKILL).code == -signal.SIGKILL

    account.run("undo", "last", "--auto-approve").expect(5, err="has not ended")

    account.apply("--lock-timeout", "30s").expect(0)
    runs = account.run("history", "--json").json["runs"]
    (killed,) = (item for item in runs if item["exit_code"] is None)
    assert killed["recovered_by"]
    told = account.run("history").out
    assert f"recovered by {killed['recovered_by']}" in told
    assert "0 destroyed, 3 unconfirmed  " in told
    assert {item["address"]: item["status"] for item in killed["changes"]} == {
        "email-pop/new": "unconfirmed",
        "email-smtp/relay-1": "unconfirmed",
        "email-smtp/relay-2": "unconfirmed",
    }
    assert all(item["id"] for item in killed["changes"])
    account.run("undo", killed["id"], "--auto-approve").expect(0)
    assert account.ports() == {1: 25, 2: 25}


def test_a_killed_undo_is_completed_by_the_same_undo(
    sandbox: Sandbox, workspace: Workspace, start: Start
) -> None:
    account = sandbox(
        *(monitor("email-smtp", number, port=25) for number in (1, 2)),
        faults=["PATCH /monitors/email-smtp/2 skip=1 delay=1.5 times=1"],
    )
    texts = [manifest("email-smtp", f"relay-{number}", number, port=587) for number in (1, 2)]
    workspace.write("all.yaml", "---\n".join(texts))
    account.apply().expect(0)
    (run,) = (item["id"] for item in account.run("history", "--json").json["runs"])
    going = start("undo", run, "--auto-approve", "--parallelism", "1", env=account.env)
    going.read_until("email-smtp/relay-1: accepted")
    assert going.finish(signal.SIGKILL).code == -signal.SIGKILL
    account.run("undo", "last", "--auto-approve").expect(
        5, err=f"run reconciler undo {run} to complete it"
    )
    account.run("undo", run, "--auto-approve").expect(0)
    assert account.ports() == {1: 25, 2: 25}


def test_an_undo_says_and_notes_nothing_of_monitors_without_a_manifest(
    changed: tuple[Fleet, str],
) -> None:
    """It reads no manifests, so it cannot tell whose they are."""
    fleet, run = changed
    fleet.account.create("email-pop", name="By hand")
    assert fleet.run("drift", "--unmanaged").code == 2
    done = fleet.undo(run).expect(0)
    assert "without a manifest" not in done.text
    assert fleet.run("drift", "--unmanaged").code == 2


def test_an_undo_and_a_revert_agree(fleet: Fleet) -> None:
    """A field that leaves its manifest goes back, and an undo of either is one."""
    plain = manifest("email-smtp", "relay", 1, name="Relay")
    off = manifest("email-smtp", "relay", 1, name="Relay", timeout=60)
    fleet.at.write("relay.yaml", plain)
    fleet.apply()
    fleet.at.write("relay.yaml", off)
    fleet.apply()
    fleet.at.write("relay.yaml", plain)
    reverted = fleet.apply()
    assert fleet.account.live(1)["timeout"] == 30
    assert fleet.undo(reverted).code == 0
    assert fleet.account.live(1)["timeout"] == 60
    assert not fleet.is_as_described()
    fleet.apply()
    assert fleet.account.live(1)["timeout"] == 30

    fleet.at.write("relay.yaml", off)
    edited = fleet.apply()
    assert fleet.undo(edited).code == 0
    assert fleet.account.live(1)["timeout"] == 30
    fleet.at.write("relay.yaml", plain)
    assert fleet.is_as_described()


def test_what_a_run_created_goes_beside_a_disabled_monitor_of_its_name(fleet: Fleet) -> None:
    """That one is no replacement which would have to be enabled: it is as it was before."""
    fleet.at.describe("email-smtp", "relay", 1, name="Relay", enabled=False)
    fleet.apply("--allow-loss", "1")
    fleet.at.describe("email-smtp", "relay", 1, name="Relay", enabled=False, timeout=60)
    fleet.at.write("inbox.yaml", manifest("email-imap", "relay", name="Inbox"))
    run = fleet.apply()
    fleet.undo(run).expect(0)
    assert [item["id"] for item in fleet.account.monitors()] == [1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "the run record is corrupt: it is incomplete"),
        ('{"format_version": "1.1"}', "the run record is corrupt: id is missing"),
        ('{"format_version": "2.0"}', "the run record has the format 2.0"),
    ],
    ids=["cut", "part", "newer"],
)
def test_one_record_that_cannot_be_used_leaves_the_others(
    text: str, why: str, workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox()
    for name in ("a", "b"):
        workspace.describe("email-smtp", name, name=name)
        assert account.apply().code == 0
    first, last = sorted((workspace.root / ".reconciler/state.json.runs").iterdir())
    last.write_text(text, encoding="utf-8")
    done = account.run("history").expect(8)
    assert [line.split()[0] for line in done.out.splitlines()] == [first.name.split(".")[1]]
    assert why in done.err
    account.run("history", "show", last.name.split(".")[1]).expect(8, err=why)


@pytest.mark.parametrize("kind", ["git"])
def test_a_run_whose_end_cannot_be_saved_is_told_by_the_next_as_it_ended(
    kind: str, fleet: Fleet, git: Git
) -> None:
    """It was not killed: its journal has what became of each change."""
    assert kind == "git"
    fleet.at.describe("email-smtp", "relay", 1, name="Relay", port=25)
    fleet.apply()
    bare = Path(git(fleet.at.root, "remote", "get-url", "origin").strip().removeprefix("file://"))
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\nwhile read old new ref; do git log -1 --format=%s $new | grep -q '^apply: ' && "
        "exit 1; done; exit 0\n",
        encoding="utf-8",
    )
    hook.chmod(0o755)
    fleet.at.describe("email-smtp", "relay", 1, name="Relay", port=587)
    fleet.at.write("new.yaml", manifest("email-pop", "new", name="New"))
    done = fleet.run("apply", "--auto-approve")
    done.expect(8, out="1 added, 1 changed")
    fleet.run("undo", "last").expect(5, err=("has ended, but it is not saved", "reconciler apply"))
    fleet.run("apply", "--auto-approve").expect(8)  # nothing of the first is lost by a second
    hook.unlink()
    fleet.run("apply", "--auto-approve").expect(0)
    (run,) = (item for item in fleet.history() if len(item["changes"]) == 2)
    assert run["summary"] == {"create": 1, "update": 1, "delete": 0, "not_done": 0}
    assert {item["status"] for item in run["changes"]} == {"done"}
    assert (run["exit_code"], bool(run["ended"])) == (8, True)
    (line,) = (it for it in fleet.run("history").out.splitlines() if it.startswith(run["id"]))
    assert "killed" not in line
    assert line.endswith(f"exit code 8  saved by {run['recovered_by']}")
    shown = fleet.run("history", "show", run["id"]).out
    assert f"saved by {run['recovered_by']}" in " ".join(shown.split())
    fleet.undo(run["id"]).expect(0)
    assert fleet.account.ports() == {1: 25}


class Repository:
    """A fleet with one monitor, whose manifests are in Git; the first apply is made."""

    def __init__(self, fleet: Fleet, git: Git, port: int = 25) -> None:
        self.fleet, self._git = fleet, git
        self.git("init", "--quiet", "--initial-branch=main")
        self.relay(port=port)
        self.commit()
        fleet.apply()

    def git(self, *arguments: str) -> str:
        return self._git(self.fleet.at.root, *arguments)

    def relay(self, **fields: object) -> None:
        self.fleet.at.describe("email-smtp", "relay", 1, name="Relay", **fields)

    def other(self, **fields: object) -> None:
        self.fleet.at.write("other.yaml", manifest("email-pop", "other", **fields))

    def remove(self, name: str) -> None:
        self.fleet.at.remove(name)

    def commit(self) -> str:
        """Commits all there is; the short name of the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")[:12]

    def undo(self, run: str, *arguments: str) -> str:
        """Takes a run back; what is said of the manifests."""
        done = self.fleet.undo(run, *arguments)
        assert done.code in {0, 7}, done.text
        (said,) = (line for line in done.err.splitlines() if "he manifests" in line)
        return said

    def is_reverted_by(self, said: str) -> bool:
        """Whether what is said to be run makes the manifests agree with what the undo left."""
        for command in said.partition("To revert it: ")[2].split(" && "):
            _, revert, *rest = command.split()
            self.git(revert, "--no-edit", *rest)
        return self.fleet.is_as_described()


@pytest.fixture
def repository(fleet: Fleet, git: Git) -> Repository:
    return Repository(fleet, git)


STILL = "The manifests still have what the run applied, so the next apply would repeat it."
BY_HAND = f"{STILL} Set the old values in the manifests, then commit."
LACK = "The manifests still lack what the run retired, so an apply with --prune would repeat it."


class TestWhatToRevert:
    """What an undo says of the manifests."""

    def test_the_commits_since_the_apply_before(self, repository: Repository) -> None:
        repository.relay(port=587)
        one = repository.commit()
        repository.relay(port=587, timeout=60)
        two = repository.commit()
        repository.fleet.at.write("README.md", "x")
        (repository.fleet.at.root / "README.md").write_text("x")
        repository.commit()
        said = repository.undo(repository.fleet.apply())
        assert said == f"{STILL} To revert it: git revert {two} {one}"
        assert repository.is_reverted_by(said)

    def test_a_merge(self, repository: Repository) -> None:
        repository.git("checkout", "--quiet", "-b", "branch")
        repository.relay(port=587)
        repository.commit()
        repository.git("checkout", "--quiet", "main")
        repository.other(name="Other")
        other = repository.commit()
        repository.git("merge", "--quiet", "--no-ff", "--no-edit", "branch")
        merge = repository.git("rev-parse", "HEAD")[:12]
        said = repository.undo(repository.fleet.apply())
        assert said == f"{STILL} To revert it: git revert -m 1 {merge} && git revert {other}"
        assert repository.is_reverted_by(said)

    @pytest.mark.parametrize("is_committed", [False, True])
    def test_uncommitted_changes(self, repository: Repository, *, is_committed: bool) -> None:
        repository.relay(port=587)
        run = repository.fleet.apply()
        if is_committed:
            repository.commit()
        assert repository.undo(run) == BY_HAND

    def test_manifests_with_the_ids_of_what_was_created(self, repository: Repository) -> None:
        repository.other(name="Other")
        repository.commit()
        run = repository.fleet.apply("--write-ids")
        repository.commit()
        said = repository.undo(run)
        assert said == (
            "The manifests have the metadata.id of what the run created, so the next apply would "
            "be refused. Remove these manifests, or the ids in them, then commit."
        )
        refused = repository.fleet.run("plan")
        assert "AlertSite has no monitor with the id" in refused.text

    def test_manifests_that_are_reverted_already(self, repository: Repository) -> None:
        repository.relay(port=587)
        repository.commit()
        run = repository.fleet.apply()
        repository.git("revert", "--no-edit", "HEAD")
        said = repository.undo(run)
        assert said == (
            "The manifests do not have what the run applied: there is nothing to revert in Git."
        )

    def test_what_was_created_deleted_and_renamed(self, repository: Repository) -> None:
        repository.other(name="Other")
        repository.commit()
        repository.fleet.apply()
        repository.remove("other.yaml")
        text = repository.fleet.at.read("relay.yaml").replace(
            "  name: relay\n", "  name: renamed\n  previously: [relay]\n"
        )
        repository.fleet.at.write("relay.yaml", text)
        one = repository.commit()
        said = repository.undo(repository.fleet.apply())
        assert said == f"{STILL} To revert it: git revert {one}"
        assert repository.is_reverted_by(said)

    @pytest.mark.parametrize("is_edited", [False, True])
    def test_manifests_that_are_deleted(self, repository: Repository, *, is_edited: bool) -> None:
        """Only an apply that prunes would retire their monitors again."""
        repository.other(name="Other")
        repository.commit()
        repository.fleet.apply()
        if is_edited:
            repository.relay(port=587)
        repository.remove("other.yaml")
        restore = "restore the deleted manifests"
        by_hand = f"{STILL} Set the old values in the manifests and {restore}, then commit."
        if not is_edited:
            by_hand = f"{LACK} R{restore[1:]}, then commit."
        assert repository.undo(repository.fleet.apply()) == by_hand

    def test_only_deleted_manifests_that_a_commit_has_deleted(self, repository: Repository) -> None:
        repository.other(name="Other")
        repository.commit()
        repository.fleet.apply()
        repository.remove("other.yaml")
        one = repository.commit()
        said = repository.undo(repository.fleet.apply())
        assert said == f"{LACK} To revert it: git revert {one}"
        assert repository.is_reverted_by(said)

    def test_only_what_the_targets_mean(self, repository: Repository) -> None:
        repository.relay(port=587)
        repository.commit()
        repository.other(name="Other")
        two = repository.commit()
        said = repository.undo(repository.fleet.apply(), "--target", "email-pop/other")
        assert said == f"{STILL} To revert it: git revert {two}"

    def test_a_change_that_an_apply_before_left_out(self, repository: Repository) -> None:
        """The commits since do not hold it, so their revert would not be one of the run."""
        repository.relay(port=587)
        repository.other(name="Other")
        repository.commit()
        repository.fleet.apply("--target", "email-pop/other")
        repository.relay(port=587, note="x")
        repository.commit()
        assert repository.undo(repository.fleet.apply()) == BY_HAND

    def test_drift_that_the_run_reverted(self, repository: Repository) -> None:
        repository.fleet.account.edit("email-smtp", 1, port=465)
        assert repository.undo(repository.fleet.apply()) == BY_HAND

    def test_without_git(self, repository: Repository) -> None:
        repository.relay(port=587)
        repository.commit()
        run = repository.fleet.apply()
        done = repository.fleet.run("undo", run, "--auto-approve", env={"PATH": os.devnull})
        assert (done.code, BY_HAND in done.err) == (0, True), done.text

    def test_the_first_run(self, fleet: Fleet, git: Git) -> None:
        repository = Repository(fleet, git, port=587)
        (first,) = fleet.history()
        assert repository.undo(first["id"]) == BY_HAND

    def test_manifests_that_cannot_be_loaded(self, repository: Repository) -> None:
        repository.relay(port=587)
        repository.commit()
        run = repository.fleet.apply()
        assert repository.fleet.run("undo", run, "--out", "back.json").code == 0
        repository.fleet.at.write("relay.yaml", "{")
        done = repository.fleet.run("apply", "back.json")
        assert done.code == 0, done.text
        assert (
            "Cannot tell whether the manifests still have what the run applied, so check them "
            "before the next apply: monitors/relay.yaml:1:2: syntax: "
        ) in done.err
        assert repository.fleet.account.ports() == {1: 25}


def test_the_hint_to_undo_a_run_works_as_it_stands(sandbox: Sandbox, workspace: Workspace) -> None:
    account = sandbox(monitor(_SMTP, 1, port=25))
    workspace.describe(_SMTP, "relay", 1, port=587)
    state = ("--state", "file:a place/state.json")
    assert account.apply(*state).code == 0
    workspace.replace("relay.yaml", "port: 587", "port: 25")
    account.fail("PATCH * status=400")
    refused = account.apply(*state)
    assert (refused.code, "To undo it" in refused.err) == (7, False)
    account.fail()
    done = account.apply(*state)
    _, found, command = done.err.partition("To undo it: reconciler ")
    assert found
    undone = account.run(*shlex.split(command), "--auto-approve")
    assert (undone.code, account.ports()) == (0, {1: 587})


def test_a_run_that_only_bound_is_offered_an_undo_only_if_that_does_something(
    sandbox: Sandbox, workspace: Workspace
) -> None:
    account = sandbox(monitor(_SMTP, 1, port=587), monitor(_SMTP, 2, name="Two", port=587))
    workspace.describe(_SMTP, "one", 1, port=587)
    bound = account.apply()  # by Git: the next apply would bind it again
    assert (bound.code, "To undo it" in bound.err) == (0, False)
    workspace.describe(_SMTP, "two", name="Two", port=587)
    adopted = account.apply("--adopt")
    _, found, command = adopted.err.partition("To undo it: reconciler ")
    assert found
    undone = account.run(*shlex.split(command), "--auto-approve")
    assert (undone.code, "To undo it" in undone.err) == (0, False)
    (last, *_) = account.run("history", "--json").json["runs"]
    account.run("undo", last["id"], "--auto-approve").expect(5, err="none of its bindings is left")
