"""Weeks of edits, drift, faults and kills, in any order: what must be true is true after each run.

Hypothesis finds the order. In a pipeline it is the same every time (see `tests/conftest.py`).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from reconciler.sandbox import Abandon, Options, parse_fault, running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conftest import Done, Workspace

_SECONDS = 45
_EXAMPLES, _STEPS = 8, 10
_SLOTS = ("email-smtp/a", "email-smtp/b", "email-imap/a", "email-smtp/bound", "email-pop/bound")
_BOUND = {"email-smtp/bound": 1, "email-pop/bound": 2}
"""Those of the slots that begin with an id."""
_PLAIN = {"billing_plancode": "UBM - A/A", "hostname": "mail.example.com"}
_FAULTS = (  # each strikes once
    "POST /monitors/* drop=after",
    "POST /monitors/* body=truncated",
    "POST /monitors/* body=html status=502",
    "PATCH * status=503 retry-after=0",
    "PATCH * status=429 retry-after=0",
    "PATCH * drop=before",
    "PATCH * drop=after",
    "PATCH * status=400",
    "POST /monitors/* status=503 retry-after=0",
    "POST /monitors/* status=400",
    "POST /monitors/* drop=before",
    "GET /monitors status=503 retry-after=0",
    "GET /monitors drop=before",
    "GET /monitors status=500",
)
_PLACES = [[{"id": 10}], [{"id": 20}, {"id": 10}], [{"id": 30}, {"id": 10}]]
"""Each with the sandbox's home location, without which a plan would be refused."""
_FIELDS = {
    "port": st.sampled_from([25, 587]),
    "note": st.sampled_from(["one", "two", ""]),
    "interval": st.sampled_from([5, 15]),
    "locations": st.sampled_from(_PLACES),
}
_faults = st.lists(st.tuples(st.sampled_from(_FAULTS), st.integers(0, 2)), min_size=1, max_size=3)
_slots = st.sampled_from(_SLOTS)
_specs = st.fixed_dictionaries({}, optional=_FIELDS)
_drifts = st.sampled_from(sorted(_FIELDS)).flatmap(
    lambda name: st.tuples(st.just(name), _FIELDS[name])
)
_picks = st.integers(0, 5)
"""Which one of those that there are by then, which Hypothesis must not depend on."""
_flags = st.lists(
    st.sampled_from([("--adopt",), ("--write-ids",), ("--parallelism", "1"), ("--fail-fast",)]),
    max_size=2,
    unique=True,
)


class Tools(NamedTuple):
    """What all examples share."""

    folder: Path
    workspace: type[Workspace]
    manifest: Callable[..., str]
    schemas: Mapping[str, Any]
    run: Callable[..., Done]
    command: list[str]
    env: dict[str, str]


class Manifest(NamedTuple):
    """What Git says of one slot."""

    id: int | None
    spec: dict[str, Any]

    def wants(self, live: Mapping[str, Any], names: set[str]) -> bool:
        """Whether it declares these fields as they are."""
        return all(name in self.spec and _same(self.spec, live, name) for name in names)


class Killer:
    """A witness that can be told to kill a process at one of its requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = 0

    def arm(self, moment: str, number: int, *, arrives: bool) -> None:
        self._moment, self._left, self._arrives = moment, number, arrives
        self._process: subprocess.Popen[bytes] | None = None
        self._known = threading.Event()

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._known.set()

    def disarm(self) -> None:
        self._left = 0

    def __call__(self, moment: str, _method: str, _path: str) -> None:
        with self._lock:
            if self._left == 0 or moment != self._moment:
                return
            self._left -= 1
            if self._left:
                return
            self._known.wait(_SECONDS)
            assert self._process is not None
            self._process.kill()
            self._process.wait(_SECONDS)
        if moment != "after" and not self._arrives:
            raise Abandon


class Machine(RuleBasedStateMachine):
    """One account, one repository, and everybody who has a hand in them."""

    def __init__(self, tools: Tools) -> None:
        super().__init__()
        self._tools = tools
        number = len(list(tools.folder.iterdir()))
        self._work = tools.workspace(tools.folder / f"{number}")
        (self._work.root / "monitors").mkdir(parents=True)
        self._git: dict[str, Manifest] = {}
        self._made: set[int] = set()
        self._has_lost_state = False
        self._killer = Killer()
        self._stack = contextlib.ExitStack()

    # beginning and end

    @initialize(faults=_faults)
    def begin(self, faults: list[tuple[str, int]]) -> None:
        seed = [self._seed(slot, number) for slot, number in _BOUND.items()]
        strangers = [
            {"id": 8, "type": "email-smtp", "name": "Not ours", "port": 25},
            {"id": 9, "type": "website", "name": "Not ours either"},
        ]
        common: dict[str, Any] = {
            "schemas": self._tools.schemas,
            "seed": [*seed, *strangers],
            "database": self._work.root.with_suffix(".db"),
        }
        rules = tuple(parse_fault(f"{text} skip={skip} times=1") for text, skip in faults)
        url = self._serve(Options(**common, faults=rules, witness=self._killer))
        self._by_hand = self._serve(Options(**common))  # without faults, on the same monitors
        login = {"ALERTSITE_USERNAME": "demo@example.com", "ALERTSITE_PASSWORD": "demo"}
        self._env = {"ALERTSITE_URL": url, **login}
        token = self._ask(
            "POST", "/access-tokens", {"username": login["ALERTSITE_USERNAME"], "password": "demo"}
        )
        self._token = token["access_token"]
        for slot in (*_BOUND, _SLOTS[0]):
            self.write_manifest(slot, {"port": 587}, renamed=False)

    def teardown(self) -> None:
        with self._stack:
            if hasattr(self, "_token"):
                self._finish()

    def _finish(self) -> None:
        """Everybody goes home: what is left to do gets done, or is refused for a reason."""
        done = None
        for _ in range(5):  # as many as there are faults, and more
            done = self._applied("--adopt")
            if done.code in {0, 5}:
                break
        assert done is not None
        assert done.code in {0, 5}, done

    def _explain_all(self, plan: Done) -> None:
        """Why nothing is applied."""
        if plan.out:
            for refusal in plan.json["refusals"]:
                self._explain(refusal)
            return
        assert "none of the " in plan.err  # as if it were another account
        ids = {record["id"] for record in self._records().values()}
        assert ids
        assert ids.isdisjoint(self._live())

    def _explain(self, refusal: Mapping[str, Any]) -> None:
        """Why nothing but a person can decide that."""
        slot, live = refusal["address"], self._live()
        manifest, record = self._git[slot], self._records().get(slot, {})
        alike = [item for item in live.values() if self._is_alike(slot, item)]
        match refusal["code"]:
            case "ambiguous":
                assert len(alike) > 1
            case "not-ours":  # what the tool made is its own, as long as it can know
                (found,) = alike
                assert found["id"] not in self._made or self._has_lost_state
            case "deleted" | "no-such-id":
                assert manifest.id not in live
            case "two-bindings":
                assert manifest.id != record["id"]
            case code:
                raise AssertionError(code)

    # Git

    @rule(slot=_slots, spec=_specs, renamed=st.booleans())
    def write_manifest(self, slot: str, spec: dict[str, Any], *, renamed: bool) -> None:
        known = self._git.get(slot)
        number = known.id if known else _BOUND.get(slot)
        name = f"{slot} renamed" if renamed else slot
        self._write(slot, Manifest(number, {**_PLAIN, **spec, "name": name}))

    @rule(pick=_picks)
    def remove_manifest(self, pick: int) -> None:
        slots = sorted(self._git)
        if len(slots) > 1:  # a folder without any is refused
            slot = slots[pick % len(slots)]
            del self._git[slot]
            self._path(slot).unlink()

    @rule(slot=_slots)
    def take_id_out(self, slot: str) -> None:
        if slot in self._git:
            self._write(slot, self._git[slot]._replace(id=None))

    # AlertSite

    @rule(pick=_picks, change=_drifts)
    def drift(self, pick: int, change: tuple[str, Any]) -> None:
        live = self._live()
        numbers = sorted(number for number in live if live[number]["type"] != "website")
        number = numbers[pick % len(numbers)]
        self._ask("PATCH", f"/monitors/{live[number]['type']}/{number}", dict([change]))

    @rule(pick=_picks)
    def delete_by_hand(self, pick: int) -> None:
        numbers = sorted(number for number in self._live() if number not in {8, 9})
        if numbers:
            self._ask("DELETE", f"/monitors/{numbers[pick % len(numbers)]}")

    @rule(slot=_slots)
    def create_by_hand(self, slot: str) -> None:
        kind = slot.partition("/")[0]
        self._ask("POST", f"/monitors/{kind}", {**_PLAIN, "name": slot, "note": "by hand"})

    # runs

    @rule()
    def plan(self) -> None:
        before, kept = self._live(), self._kept()
        done = self._run("plan", "--detailed-exitcode")
        assert done.code in {0, 2, 5, 6}
        assert (self._live(), self._kept()) == (before, kept)

    @rule(flags=_flags)
    def apply(self, flags: list[tuple[str, ...]]) -> None:
        self._applied(*(word for flag in flags for word in flag))

    @rule(pick=_picks)
    def apply_one(self, pick: int) -> None:
        slots = sorted(self._git)
        self._applied("--target", slots[pick % len(slots)])

    @rule(
        flags=_flags,
        moment=st.sampled_from(["before", "during", "after"]),
        number=st.integers(2, 7),
        arrives=st.booleans(),
    )
    def apply_and_die(
        self, flags: list[tuple[str, ...]], moment: str, number: int, *, arrives: bool
    ) -> None:
        before = self._live()
        self._killer.arm(moment, number, arrives=arrives)
        words = [word for flag in flags for word in flag]
        process = subprocess.Popen(
            [*self._tools.command, "apply", "--auto-approve", *words],
            cwd=self._work.root,
            env=self._tools.env | self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._killer.watch(process)
        try:
            _, err = process.communicate(timeout=_SECONDS)
        finally:
            self._killer.disarm()
            process.kill()
        assert b"Traceback" not in err
        assert process.returncode in {-9, 0, 5, 6, 7}, err
        self._reread_ids()
        self._check_effects(before)

    @rule(flags=st.sampled_from([[], ["--adopt"]]))
    def save_plan(self, flags: list[str]) -> None:
        before, kept = self._live(), self._kept()
        assert self._run("plan", "--out", "plan.json", *flags).code in {0, 5, 6}
        assert (self._live(), self._kept()) == (before, kept)

    @rule()
    def apply_saved_plan(self) -> None:
        if not (self._work.root / "plan.json").exists():
            return
        before = self._live()
        done = self._run("apply", "plan.json")
        assert done.code in {0, 5, 6, 7}, done
        self._check_effects(before)

    @rule()
    def lose_state(self) -> None:
        for name in ("state.json", "state.json.backup"):
            (self._work.root / ".reconciler" / name).unlink(missing_ok=True)
        self._has_lost_state = True

    # what must be true

    def _applied(self, *flags: str) -> Done:
        before = self._live()
        done = self._run("apply", "--auto-approve", *flags)
        assert done.code in {0, 5, 6, 7}, done
        self._reread_ids()
        self._check_effects(before)
        if done.code == 0:
            self._check_done(flags)
        if done.code == 5:
            plan = self._run("plan", "--json", *({"--adopt"} & {*flags}))
            if plan.code == 5:
                self._explain_all(plan)
        return done

    def _check_effects(self, before: Mapping[int, Any]) -> None:
        """A run deletes nothing, makes nothing twice, and changes what is declared and bound."""
        after, records = self._live(), self._records()
        assert before.keys() <= after.keys()
        likenesses = [(item["type"], item["name"]) for item in before.values()]
        for number in sorted(after.keys() - before.keys()):
            new = after[number]
            self._made.add(number)
            likeness = (new["type"], new["name"])
            assert likeness not in likenesses
            likenesses.append(likeness)
            assert any(
                slot.startswith(f"{new['type']}/") and item.wants(new, set(item.spec))
                for slot, item in self._git.items()
            )
        for number, was in before.items():
            changed = {name for name in after[number] if after[number][name] != was.get(name)}
            assert not changed or any(
                item.wants(after[number], changed)
                and slot.startswith(f"{was['type']}/")
                and (
                    number in {item.id, records.get(slot, {}).get("id")}
                    or self._is_alike(slot, was)
                )
                for slot, item in self._git.items()
            ), (number, changed)

    def _check_done(self, flags: tuple[str, ...]) -> None:
        """After a run that ended well AlertSite is as Git says, and the next plan says so."""
        live, records = self._live(), self._records()
        target = flags[flags.index("--target") + 1] if "--target" in flags else None
        for slot, manifest in self._git.items():
            if target in {None, slot}:
                number = records[slot]["id"]
                assert manifest.id in {None, number}
                assert manifest.wants(live[number], set(manifest.spec)), slot
        if target is None:
            assert {record["id"] for record in records.values()} <= live.keys()
        wanted = () if target is None else ("--target", target)
        plan = self._run("plan", "--detailed-exitcode", *wanted)
        if plan.code != 6:  # a fault may strike here, too
            assert (plan.code, "No changes. " in plan.out) == (0, True), plan

    def _is_alike(self, slot: str, live: Mapping[str, Any]) -> bool:
        kind = slot.partition("/")[0]
        return (live["type"], live["name"]) == (kind, self._git[slot].spec["name"])

    # hands and eyes

    def _seed(self, slot: str, number: int) -> dict[str, Any]:
        kind = slot.partition("/")[0]
        return {"id": number, "type": kind, **_PLAIN, "name": slot, "port": 25}

    def _serve(self, options: Options) -> str:
        return self._stack.enter_context(running(options))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - on loopback
            self._by_hand + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {getattr(self, '_token', '')}"},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def _live(self) -> dict[int, Any]:
        return {item["id"]: item for item in self._ask("GET", "/monitors")["results"]}

    def _kept(self) -> bytes | None:
        path = self._work.root / ".reconciler" / "state.json"
        return path.read_bytes() if path.exists() else None

    def _records(self) -> dict[str, Any]:
        """What the tool knows, with what journals of killed runs add."""
        text = self._kept()
        if list(self._work.root.glob(".reconciler/*.journal")):
            text = self._run("state", "pull").out.encode()
        return dict(json.loads(text)["records"]) if text else {}

    def _run(self, *arguments: str) -> Done:
        return self._tools.run(*arguments, env=self._env, cwd=self._work.root)

    def _path(self, slot: str) -> Path:
        return self._work.root / "monitors" / f"{slot.replace('/', '-')}.yaml"

    def _write(self, slot: str, manifest: Manifest) -> None:
        self._git[slot] = manifest
        kind, _, name = slot.partition("/")
        text = self._tools.manifest(kind, name, manifest.id, **manifest.spec)
        self._work.write(self._path(slot).name, text)

    def _reread_ids(self) -> None:
        """Takes note of the ids that --write-ids has written."""
        for slot, manifest in self._git.items():
            lines = self._path(slot).read_text(encoding="utf-8").splitlines()
            numbers = [int(line.partition(":")[2]) for line in lines if line.startswith("  id:")]
            self._git[slot] = manifest._replace(id=numbers[0] if numbers else None)


def _same(wanted: Mapping[str, Any], live: Mapping[str, Any], name: str) -> bool:
    if name == "locations":
        return {item["id"] for item in wanted[name]} == {item["id"] for item in live.get(name, ())}
    return bool((wanted[name] or None) == (live.get(name) or None))


def test_whatever_happens(
    tmp_path: Path,
    workspace: Workspace,
    manifest: Callable[..., str],
    schemas: dict[str, Any],
    run: Callable[..., Done],
    executable: list[str],
    base_env: dict[str, str],
) -> None:
    folder = tmp_path / "machines"
    folder.mkdir()
    tools = Tools(folder, type(workspace), manifest, schemas, run, executable, base_env)
    run_state_machine_as_test(
        lambda: Machine(tools),
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=_STEPS,
            deadline=None,
            phases=[Phase.reuse, Phase.generate],  # shrinking would take minutes
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
