"""Several machines, or several runs on one, that share the state of an account."""

import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from e2e.conftest import (
    Account,
    Done,
    Git,
    Place,
    Places,
    Process,
    Run,
    Sandbox,
    Start,
    Workspace,
    manifest,
    monitor,
)

from reconciler.core.state import State, from_text
from reconciler.state_store import Key

_STORES = ("file", "git", "s3")
_SECONDS = 45
_APPLY = ("apply", "--auto-approve")
_WAITING = (*_APPLY, "--lock-timeout", "60s")
_LEASE = "2s"
"""Long enough to be renewed on a busy machine, short enough to be waited for."""
_UPDATES, _CREATES = range(1, 4), range(4, 10)
_FLEET = {f"email-smtp/relay-{number}" for number in (*_UPDATES, *_CREATES)}


class Gate:
    """A witness that holds up requests until it is told to let them go.

    Args:
        moment: at which they are held up.
        method: of them.
        number: which of all is the first.
        count: how many they are.
    """

    def __init__(self, moment: str, method: str, number: int, count: int = 1) -> None:
        self._at = (moment, method)
        self._numbers = range(number, number + count)
        self._seen = 0
        self._lock = threading.Lock()
        self._reached, self._open = threading.Event(), threading.Event()

    def __call__(self, moment: str, method: str, path: str) -> None:
        if (moment, method) != self._at or path == "/access-tokens":
            return
        with self._lock:
            self._seen += 1
            number = self._seen
        if number == self._numbers[-1]:
            self._reached.set()
        if number in self._numbers:
            self._open.wait(_SECONDS)

    def wait(self) -> None:
        """Returns when they are held up."""
        assert self._reached.wait(_SECONDS)

    def open(self) -> None:
        """Lets them go."""
        self._open.set()


class Team(NamedTuple):
    """Two machines that share the state of an account; with a file they share the folder too.

    Attributes:
        env: of every run.
    """

    account: Account
    place: Place
    one: Workspace
    other: Workspace
    env: Mapping[str, str]
    run_in: Callable[..., Done]
    start_in: Callable[..., Process]

    def run(self, at: Workspace, *command: str) -> Done:
        return self.run_in(*command, env=self.env, cwd=at.root)

    def start(self, at: Workspace, *command: str) -> Process:
        return self.start_in(*command, env=self.env, cwd=at.root)

    def write(self, text: str) -> None:
        """Puts the same manifests on both machines."""
        for at in (self.one, self.other):
            at.write("fleet.yaml", text)

    def state(self) -> State:
        held = self.place.store(self.one).read(Key.STATE)
        assert held is not None
        return from_text(held.data)

    def sent(self) -> list[tuple[str, Any]]:
        """Path and body of all that was created and changed."""
        changing = (*self.account.requests("POST"), *self.account.requests("PATCH"))
        return [
            (entry["path"], entry["body"])
            for entry in changing
            if entry["path"].startswith("/monitors")
        ]

    def assert_sound(self, addresses: set[str]) -> None:
        """There is one monitor and one record for each address, and nothing is left to do."""
        monitors = {monitor["id"]: monitor for monitor in self.account.monitors()}
        names = Counter(monitor["name"] for monitor in monitors.values())
        assert set(names.values()) == {1}
        state = self.state()
        assert state.records.keys() == addresses
        assert state.pending_creates == {}
        for address, record in state.records.items():
            assert monitors[record.id]["name"] == address.partition("/")[2].upper()
        for at in (self.one, self.other):
            self.run(at, "plan", "--detailed-exitcode").expect(0)
            store = self.place.store(at)
            assert store.read(Key.LOCK) is None
            assert list(store.journals.glob("*.journal")) == []


def _stop(process: Process) -> None:
    process.popen.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.popen.pid, os.WSTOPPED | os.WNOWAIT)


@pytest.fixture
def team(places: Places, sandbox: Sandbox, run: Run, start: Start) -> Callable[..., Team]:
    """Two machines with a place of that kind and an account with this seed and these options."""

    def make(kind: str, *seed: Mapping[str, Any], lease: str = "3m", **options: Any) -> Team:
        account, place = sandbox(*seed, **options), places(kind)
        one = place.machine()
        other = one if kind == "file" else place.machine()
        settings = {
            "RECONCILER_STATE": place.location,
            "RECONCILER_LOCK_LEASE": lease,
            "USER": "ann",
        }
        return Team(
            account, place, one, other, {**place.env, **account.env, **settings}, run, start
        )

    return make


@pytest.fixture
def relays() -> Callable[..., str]:
    """Three manifests with ids, whose monitors are to be changed, and six without."""

    def text(**fields: Any) -> str:
        return "---\n".join(
            manifest(
                "email-smtp",
                f"relay-{number}",
                number if number in _UPDATES else None,
                labels={"team": "odd" if number % 2 else "even"},
                name=f"RELAY-{number}",
                **{"port": 587, **fields},
            )
            for number in (*_UPDATES, *_CREATES)
        )

    return text


@pytest.fixture
def live() -> list[dict[str, Any]]:
    """The monitors that `relays` wants changed."""
    return [monitor("email-smtp", number, name=f"RELAY-{number}", port=25) for number in _UPDATES]


@pytest.mark.parametrize("store", _STORES)
def test_one_fleet_applied_twice_at_once(
    store: str, team: Callable[..., Team], relays: Callable[..., str], live: list[dict[str, Any]]
) -> None:
    both = team(store, *live)
    both.write(relays())
    processes = [both.start(at, *_WAITING) for at in (both.one, both.other)]
    done = [process.finish() for process in processes]
    assert [each.code for each in done] == [0, 0]
    assert sorted("Apply complete!" in each.out for each in done) == [True, True]
    assert len(both.sent()) == len(_FLEET)
    both.assert_sound(_FLEET)


@pytest.mark.parametrize("store", _STORES)
def test_two_parts_of_a_fleet_applied_at_once(
    store: str, team: Callable[..., Team], relays: Callable[..., str], live: list[dict[str, Any]]
) -> None:
    both = team(store, *live)
    both.write(relays())
    targets = {"team=odd": both.one, "team=even": both.other}
    processes = [both.start(at, *_WAITING, "--target", target) for target, at in targets.items()]
    assert [process.finish().code for process in processes] == [0, 0]
    assert len(both.sent()) == len(_FLEET)
    both.assert_sound(_FLEET)


@pytest.mark.parametrize("store", _STORES)
def test_second_apply_says_who_holds_the_lock(
    store: str, team: Callable[..., Team], relays: Callable[..., str], live: list[dict[str, Any]]
) -> None:
    gate = Gate("before", "POST", 1)
    both = team(store, *live, witness=gate)
    both.write(relays())
    first = both.start(both.one, *_APPLY, "--json")
    gate.wait()
    second = both.run(both.other, *_APPLY)
    held = both.run(both.other, "state", "unlock")
    gate.open()
    result = first.finish()
    assert second.code == 8
    assert second.out == ""
    run = result.json["run"]
    (since,) = re.findall(r"since (\S+Z)", held.out)
    assert held.out.startswith(f"{run}  held by ann on {socket.gethostname()} for apply since")
    who = f"locked by ann on {socket.gethostname()} since {since} (apply, run {run})"
    assert who in second.err
    assert "--lock-timeout" in second.err
    assert f"reconciler state unlock {run}" in second.err
    assert result.code == 0
    both.assert_sound(_FLEET)


@pytest.mark.parametrize(
    ("store", "port"), [("file", 587), ("git", 587), ("s3", 587), ("git", 2525)]
)
def test_stopped_run_whose_lock_is_taken_over_starts_nothing_new(
    store: str,
    port: int,
    team: Callable[..., Team],
    relays: Callable[..., str],
    live: list[dict[str, Any]],
) -> None:
    gate = Gate("during", "POST", 3, count=2)
    both = team(store, *live, witness=gate, lease=_LEASE)
    both.write(relays())
    first = both.start(both.one, *_APPLY, "--json", "--parallelism", "2")
    gate.wait()
    _stop(first)
    gate.open()
    both.write(relays(port=port))
    both.run(both.other, *_WAITING).expect(0, err="taking it over")
    sent = both.sent()

    result = first.finish(signal.SIGCONT)
    assert both.sent() == sent
    assert result.code == 7
    summary = result.json["summary"]
    assert (summary["failed"], summary["not-started"]) == (0, 2)
    assert re.search("the lock was lost: |meanwhile, run \\S+ saved the state", result.out)
    both.assert_sound(_FLEET)
    assert set(both.account.ports().values()) == {port}
    assert {record.fields["port"] for record in both.state().records.values()} == {port}


@pytest.mark.parametrize(
    ("store", "is_first"), [("file", False), ("git", False), ("s3", False), ("git", True)]
)
def test_stopped_run_that_has_sent_nothing_sends_nothing(
    store: str,
    is_first: bool,
    team: Callable[..., Team],
    relays: Callable[..., str],
    live: list[dict[str, Any]],
) -> None:
    gate = Gate("during", "GET", 1 if is_first else 3)
    both = team(store, *live, witness=gate, lease=_LEASE)
    both.write(relays())
    if not is_first:
        assert both.run(both.one, *_APPLY, "--target", "email-smtp/relay-1").code == 0
    first = both.start(both.one, *_APPLY)
    gate.wait()
    _stop(first)
    gate.open()
    assert both.run(both.other, *_WAITING).code == 0
    sent = both.sent()
    assert len(sent) == len(_FLEET)

    result = first.finish(signal.SIGCONT)
    assert both.sent() == sent
    assert result.code in {7, 8}  # by when it notices: before it begins, or after
    why = "the lock was lost: |meanwhile, run .* saved the state|was replaced by a state of the"
    assert re.search(why, result.out + result.err)
    both.assert_sound(_FLEET)


def test_lock_broken_in_mid_run_loses_nobodys_records(
    team: Callable[..., Team], relays: Callable[..., str], live: list[dict[str, Any]]
) -> None:
    gate = Gate("during", "POST", 1, count=2)
    both = team("git", *live, witness=gate, lease=_LEASE)
    both.write(relays())
    first = both.start(both.one, *_APPLY, "--target", "team=odd", "--parallelism", "2")
    gate.wait()
    refused = both.run(both.other, *_APPLY, "--target", "team=even").expect(8)
    (run,) = re.findall(r"state unlock (\S+)", refused.err)
    unlocked = (both.run(both.other, "state", "unlock", run).code == 0 for _ in range(9))
    assert any(unlocked)  # a renewal may come between
    assert both.run(both.other, *_APPLY, "--target", "team=even").code == 0
    gate.open()
    assert first.finish().code in {0, 7}  # it may end before it would have renewed its lock
    assert both.run(both.one, *_APPLY).code == 0
    assert len(both.sent()) == len(_FLEET)
    both.assert_sound(_FLEET)


def test_machines_in_turn_agree_on_who_moved_what(team: Callable[..., Team], git: Git) -> None:
    both = team("git", monitor("email-smtp", 1, name="RELAY", port=25, timeout=30, interval=5))
    one, other = both.one, both.other

    def hand_over(source: Workspace, target: Workspace, **fields: Any) -> None:
        source.describe("email-smtp", "relay", 1, name="RELAY", **fields)
        git(source.root, "add", "--all")
        git(source.root, "commit", "--quiet", "--message", "Edit")
        git(source.root, "push", "--quiet", "origin", "HEAD:main")
        git(target.root, "pull", "--quiet", "origin", "main")

    def causes(at: Workspace) -> dict[str, tuple[Any, ...]]:
        plan = both.run(at, "plan", "--json").expect(0)
        return {
            field["field"]: (field["cause"], field["applied"], field["before"], field["after"])
            for change in plan.json["changes"]
            for field in change["fields"]
        }

    hand_over(one, other, port=25, timeout=30, interval=5)
    assert both.run(one, *_APPLY).code == 0
    assert causes(other) == {}
    assert both.run(other, "drift").code == 0

    hand_over(one, other, port=587, timeout=30, interval=5)
    assert causes(one) == causes(other) == {"port": ("edit", 25, 25, 587)}
    assert both.run(one, *_APPLY).code == 0
    assert causes(other) == {}

    both.account.edit("email-smtp", 1, port=2525, interval=15)
    drift = {"port": ("drift", 587, 2525, 587), "interval": ("drift", 5, 15, 5)}
    assert causes(one) == causes(other) == drift
    assert both.run(other, "drift").code == 2

    hand_over(other, one, port=465, timeout=20, interval=5)
    moved = {**drift, "port": ("both", 587, 2525, 465), "timeout": ("edit", 30, 30, 20)}
    assert causes(one) == causes(other) == moved
    assert both.run(other, *_APPLY).code == 0
    assert causes(one) == causes(other) == {}
    assert both.run(one, "drift").code == 0
    record = both.state().records["email-smtp/relay"]
    assert {"port": 465, "timeout": 20, "interval": 5}.items() <= record.fields.items()
    history = git(one.root, "ls-remote", "origin").splitlines()
    assert [line.partition("\t")[2] for line in history] == [
        "HEAD",
        "refs/heads/main",
        "refs/reconciler/state",
    ]
    assert git(one.root, "status", "--porcelain") == ""
