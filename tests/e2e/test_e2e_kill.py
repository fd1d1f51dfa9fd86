"""A process that is killed is finished by running the same command again, over each store.

Every moment of a run and every pair of moments is tried in process (`tests/machine/crashes`). Here
are some of each kind, with a real `kill -9`, real locks and real stores. The sandbox kills the
command line at a moment of a request and waits until it is dead, so that the moments are exact.
Only what is killed is a process; the runs that finish are in this one, and wait for no time.
"""

import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from functools import partial
from itertools import product
from signal import SIGKILL
from typing import Any, NamedTuple

import pytest
from e2e.conftest import KILLS, Account, Place, Places, Run, Workspace, manifest, monitor

from reconciler.context import Clock
from reconciler.core.model import Account as Named
from reconciler.core.state import State, from_text, to_text
from reconciler.errors import ConflictError
from reconciler.sandbox import Abandon, Controls, Fault
from reconciler.state_store import Key, Store
from reconciler.state_store.lock import lease_of

pytestmark = pytest.mark.large
_STORES = ("file", "git", "s3")
_SECONDS = 45
_APPLY = ("apply", "--auto-approve")
_REQUESTS = range(1, 12)
"""Of a run on `past`: login, list, five creates and three updates, list."""
_MANY = 120
_SECRETS = {"SMTP_PASSWORD": "not-so-secret", "RECONCILER_SECRET_KEY": "key"}


class Point(NamedTuple):
    """A moment at which a run is killed.

    Attributes:
        moment: of a request: `before`, `during` or `after`.
        number: which of the requests that come to this moment.
        arrives: whether a request that is killed `before` is carried out all the same.
        pause: seconds after the moment.
    """

    moment: str
    number: int
    arrives: bool = True
    pause: float = 0.0


def _around(numbers: Iterable[int]) -> list[Point]:
    """All points of those requests."""
    kinds = (("before", False), ("before", True), ("during", True), ("after", True))
    return [Point(moment, number, arrives) for number, (moment, arrives) in product(numbers, kinds)]


class Killer:
    """A witness that kills one process after the other, each at its point."""

    def __init__(self) -> None:
        self._under_way = 0
        self._changed = threading.Condition()

    def aim(self, point: Point) -> None:
        """Sets the point; from here on requests are counted anew, and `process` must be set."""
        with self._changed:
            self.process: Future[subprocess.Popen[bytes]] = Future()
            self._point = point
            self._seen: Counter[str] = Counter()

    def __call__(self, moment: str, _method: str, _path: str) -> None:
        with self._changed:
            self._seen[moment] += 1
            point, process = self._point, self.process
            is_it = (moment, self._seen[moment]) == point[:2]
        if moment == "before":
            self._count(1)
        if is_it:
            time.sleep(point.pause)
            victim = process.result(_SECONDS)
            victim.kill()
            victim.wait(_SECONDS)
        if moment == "after" or (is_it and not point.arrives):
            self._count(-1)
        if is_it and not point.arrives:
            raise Abandon

    def wait(self) -> None:
        """Returns when nothing that the dead process has sent is under way any more."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._under_way, _SECONDS)

    def _count(self, change: int) -> None:
        with self._changed:
            self._under_way += change
            self._changed.notify_all()


class Past(NamedTuple):
    """What a run begins with.

    Attributes:
        manifests: the text of each file.
        monitors: in AlertSite.
        state: of another account, whose place the one of the run takes.
    """

    manifests: Mapping[str, str]
    monitors: Sequence[Mapping[str, Any]] = ()
    state: State | None = None


class End(NamedTuple):
    """What a run ends with, as far as it must be the same for every run.

    Attributes:
        monitors: all of them; new ones without their id.
        records: the fields and the names of the secrets, by address.
    """

    monitors: Sequence[Mapping[str, Any]]
    records: Mapping[str, Any]


def _end(account: Account, store: Store, past: Past) -> End:
    held = store.read(Key.STATE)
    assert held is not None
    state = from_text(held.data)
    assert store.read(Key.LOCK) is None
    assert [path.name for path in store.journals.glob("*.journal")] == []
    assert [path.name for path in store.journals.glob("*.new")] == []
    assert state.pending_creates == {}
    monitors = {monitor["id"]: monitor for monitor in account.monitors()}
    for address, record in state.records.items():
        bound = monitors[record.id]
        assert address.startswith(f"{bound['type']}/")
        assert bound["name"] == record.fields["name"]
    known = {monitor["id"] for monitor in past.monitors}
    shown = [{**item, "id": item["id"] in known and item["id"]} for item in monitors.values()]
    return End(
        sorted(shown, key=lambda item: (item["type"], item["name"])),
        {
            address: (record.fields, sorted(record.secrets))
            for address, record in state.records.items()
        },
    )


class Lab(NamedTuple):
    """What killing runs takes.

    Attributes:
        env: of every run.
        record: says in the report of the test how many runs were killed.
    """

    serving: Callable[..., AbstractContextManager[Account]]
    places: Places
    record: Callable[[str, int], None]
    run: Run
    executable: Sequence[str]
    env: Mapping[str, str]

    def kill(
        self, store: str, attempts: Iterable[Sequence[Point]], past: Past, *options: str, **how: Any
    ) -> list[State | None]:
        """Kills runs, finishes them, and compares the end with that of a run at peace.

        Args:
            store: the kind of the place for each state.
            attempts: each is the point of a first run, and perhaps of the next ones.
            past: what each first run begins with.
            options: of `apply`.
            how: see `_attempt`.

        Returns:
            The state that was saved when a run was killed, for each kill; a run that had ended
            before it could be killed is left out.
        """
        command = (*_APPLY, *options)
        expected = self._at_peace(self.places(store), past, command)

        states = []
        for points in attempts:
            at = self.places(store)
            try:
                states += self._attempt(points, at, past, expected, command, **how)
            except BaseException as error:
                error.add_note(f"{points}, {at.location}")
                raise
        self.record(KILLS, len(states))
        return states

    def _at_peace(self, place: Place, past: Past, command: Sequence[str]) -> End:
        at = _furnished(place, past)
        with self.serving(*past.monitors, secret_fields="echoed") as account:
            env = {**self.env, **place.env, **account.env, "RECONCILER_STATE": place.location}
            _write_state(place.store(at), past, account)
            assert self.run(*command, env=env, cwd=at.root).code == 0
            return _end(account, place.store(at), past)

    def _attempt(
        self,
        points: Sequence[Point],
        place: Place,
        past: Past,
        expected: End,
        command: Sequence[str],
        *,
        is_moved: bool = False,
        faults: Sequence[Fault] = (),
    ) -> list[State | None]:
        """Makes one attempt; returns what was saved at each kill.

        Args:
            is_moved: whether another machine finishes, which has neither the journal of the killed
                run nor a proof of its death, before the first one goes on with its work.
            faults: of the sandbox.
        """
        at, killer = _furnished(place, past), Killer()
        options = {
            "secret_fields": "echoed",
            "witness": killer,
            "controls": Controls(faults=faults),
        }
        with self.serving(*past.monitors, **options) as account:
            env = {**self.env, **place.env, **account.env, "RECONCILER_STATE": place.location}
            store = place.store(at)
            _write_state(store, past, account)
            machines, states = [at], []
            for point in points:
                killer.aim(point)
                code = self._killed(killer, command, at, env)
                account.monitors()
                killer.wait()
                if code == -SIGKILL:
                    states.append(_state(store))
            if is_moved:
                _hide_process(store)
                machines.insert(0, _furnished(place, past))
            for each in machines:
                self.run(*command, env=env, cwd=each.root).expect(0)
                assert _end(account, place.store(each), past) == expected
            self.run("plan", "--detailed-exitcode", env=env, cwd=at.root).expect(0)
            return states

    def _killed(
        self, killer: Killer, command: Sequence[str], at: Workspace, env: Mapping[str, str]
    ) -> int:
        """The exit code of a run that the killer was aimed at."""
        with subprocess.Popen(
            [*self.executable, *command],
            cwd=at.root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            killer.process.set_result(process)
            try:
                return process.wait(_SECONDS)
            finally:
                process.kill()


def _furnished(place: Place, past: Past) -> Workspace:
    """One more machine with the manifests."""
    at = place.machine()
    for name, text in past.manifests.items():
        at.write(name, text)
    return at


def _state(store: Store) -> State | None:
    held = store.read(Key.STATE)
    return None if held is None else from_text(held.data)


def _write_state(store: Store, past: Past, account: Account) -> None:
    if past.state is not None:
        text = to_text(past.state._replace(account=Named("default", account.url)))
        store.write(Key.STATE, text.encode(), None, "what was there before")


def _hide_process(store: Store) -> None:
    """Makes the lock that of a machine whose processes cannot be seen from here, for a second."""
    while True:  # a renewal that the killed run had begun may still arrive
        held = store.read(Key.LOCK)
        assert held is not None
        lease = lease_of(held.data)
        assert lease is not None
        with suppress(ConflictError):
            hidden = lease._replace(process="", length=1.0).encoded()
            store.write(Key.LOCK, hidden, held.version, "hide")
            return


@pytest.fixture
def lab(
    serving: Callable[..., AbstractContextManager[Account]],
    places: Places,
    record_property: Callable[[str, int], None],
    run: Run,
    base_env: Mapping[str, str],
    executable: Sequence[str],
    hurried: Clock,
) -> Lab:
    env = {**base_env, **_SECRETS}
    return Lab(serving, places, record_property, partial(run, clock=hurried), executable, env)


@pytest.fixture
def past(lab: Lab) -> Past:
    """A fleet with all that can come up.

    Five creates, one of them of a monitor that was deleted outside Git and one with a secret; three
    updates, of monitors bound by their manifest or by a record and with fields that no manifest
    names; one manifest that has nothing to do; two monitors that are nobody's.
    """
    relay = manifest("email-smtp", "relay", 11, name="Relay", port=25)
    again = manifest("email-smtp", "again", name="Again", port=465)
    bound = manifest("email-imap", "bound", name="Bound", timeout=20, interval=5)
    drifted = manifest("email-pop", "drifted", name="Drifted", port=110)
    steady = manifest("email-round-trip", "steady", name="Steady")
    texts = [relay, again, bound, drifted, steady]
    first = Past(
        {"all.yaml": "---\n".join(texts)},
        [
            monitor("email-smtp", 11, name="Relay", port=25, note="by hand"),
            monitor("email-imap", 21, name="New relay", port=143),
            monitor("email-smtp", 999_999, name="Nobody's", port=25),
        ],
    )
    place = lab.places("file")
    at = _furnished(place, first)
    with lab.serving(*first.monitors) as account:
        env = {**lab.env, **account.env, "RECONCILER_STATE": place.location}
        assert lab.run(*_APPLY, env=env, cwd=at.root).code == 0
        state, live = _state(place.store(at)), account.monitors()
    assert state is not None
    live = [item for item in live if item["name"] != "Again"]
    for item in live:
        if item["name"] == "Drifted":
            item.update(port=995, note="by hand")
    files = {
        "edited.yaml": [
            manifest("email-smtp", "relay", 11, name="Relay", port=587),
            manifest("email-imap", "bound", name="Bound", timeout=30, interval=10),
            manifest("email-pop", "drifted", name="Drifted", port=1110),
        ],
        "again.yaml": [again],
        "steady.yaml": [steady],
        "new.yaml": [
            manifest("email-imap", "new-imap", name="New IMAP", locations=[{"id": 10}]),
            manifest("email-pop", "new-pop", name="New POP"),
        ],
        "others.yaml": [
            manifest("email-round-trip", "new-trip", name="New trip"),
            # The last one to be created, so that a run after it may have nothing else to create.
            manifest(
                "email-smtp",
                "new-relay",
                name="New relay",
                extra={"smtp_password": {"secretRef": {"env": "SMTP_PASSWORD"}}},
            ),
        ],
    }
    return Past({name: "---\n".join(parts) for name, parts in files.items()}, live, state)


@pytest.fixture
def past_of_many() -> Past:
    """So many creates that the state is saved while they go on."""
    names = [f"relay-{number:03}" for number in range(_MANY)]
    texts = [manifest("email-smtp", name, name=name.upper()) for name in names]
    return Past({"relays.yaml": "---\n".join(texts)})


@pytest.mark.parametrize("store", _STORES)
def test_killed_with_several_requests_in_flight(store: str, lab: Lab, past: Past) -> None:
    points = _around(_REQUESTS)[::9]  # all four kinds, as there are four of each request
    states = lab.kill(store, zip(points), past, "--parallelism", "4")
    assert len(states) == len(points)


@pytest.mark.parametrize(("store", "step"), [("file", 0.002), ("git", 0.015), ("s3", 0.004)])
def test_killed_between_requests(store: str, step: float, lab: Lab, past: Past) -> None:
    pauses = [step * number for number in (1, 3)]
    before_the_first = [Point("after", 2, pause=pause) for pause in pauses]
    after_the_last = [Point("after", _REQUESTS[-1], pause=pause) for pause in pauses]
    points = before_the_first + after_the_last
    states = lab.kill(store, zip(points), past)
    assert states  # a run may end before some of the pauses do


@pytest.mark.parametrize(("store", "delay"), [("file", 0.05), ("git", 0.15)])
def test_killed_while_the_state_is_saved_now_and_then(
    store: str, delay: float, lab: Lab, past_of_many: Past
) -> None:
    points = [Point("during", 2 + number) for number in (52, 102)]
    faults = [Fault("POST", "/monitors/*", delay=delay)]
    states = lab.kill(store, zip(points), past_of_many, faults=faults)
    assert len(states) == len(points)
    assert any(state and 0 < len(state.records) < _MANY for state in states)


@pytest.mark.parametrize("store", ["git", "s3"])
def test_finished_on_another_machine(store: str, lab: Lab, past: Past) -> None:
    changes = _REQUESTS[2:-1:3]
    lost = [Point("before", number, arrives=False) for number in (4, 7)]
    points = [*lost, *(Point("during", number) for number in changes)]
    texts = {name: re.sub("extra:.*\n", "", text) for name, text in past.manifests.items()}
    without_secret = past._replace(manifests=texts)
    options = ("--lock-timeout", "30s")
    states = lab.kill(store, zip(points), past, *options, is_moved=True)
    # With nothing but what had arrived, and no secret to be sent again, nothing is left to send.
    states += lab.kill(store, [points[-1:]], without_secret, *options, is_moved=True)
    assert len(states) == len(points) + 1
