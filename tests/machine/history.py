"""One history: two machines, one account, and the steps that change them.

Each step leaves the model and the world agreeing, or fails. A step that runs the tool is cut into
segments where somebody else acts in the middle; each segment is checked by itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from machine.model import Flags, Lost, Manifest, Model, Segment, fits, is_same, match_key_of
from machine.world import Gate, kill, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from machine.world import Done, Machine, World

SLOTS = ("email-smtp/a", "email-smtp/b", "email-smtp/c", "email-imap/a", "email-pop/d")
PLAIN = {"billing_plancode": "UBM - A/A", "hostname": "mail.example.com"}
_PLAIN_RUN = Flags()
_REFUSED = {3, 5, 8, 64}
"""Codes of runs that have sent nothing, unless a result says so."""
_DAY = 86400.0
_LEASE = 180.0
_BAD = {"failed", "not-kept", "unconfirmed"}
_AHEAD = 2
"""How many requests may go out before the outcome of the first is written down."""


class Outer(NamedTuple):
    """A run under way, as those see it who act in the middle of it."""

    machine: Machine
    flags: Flags


class History:
    """The steps of a history, and what is known after each."""

    def __init__(self, world: World, aheads: Sequence[float], *, is_shared: bool = True) -> None:
        self.world = world
        self.model = Model(is_shared)
        self.is_shared = is_shared
        self.machines = [
            world.machine(name, timedelta(hours=ahead), "store" if is_shared else f"store-{name}")
            for name, ahead in zip("AB", aheads, strict=True)
        ]
        self.git: list[dict[str, Manifest]] = [{}, {}]
        self._plans: dict[int, Flags] = {}
        self._under_way: list[Outer] = []
        self._before: dict[int, Any] = {}
        self._known: dict[str, Any] = {}
        self._begun: frozenset[str] = frozenset()
        self._acts: list[str] = []
        self._began = 0.0
        self._held: dict[int, Any] = {}
        self._bound_before: AbstractSet[str] = frozenset()
        self._may_forget: AbstractSet[str] = frozenset()
        self._ambiguous: set[tuple[int, str]] = set()
        self._folded: dict[tuple[bytes, tuple[tuple[str, bytes], ...]], bytes] = {}

    # Git

    def write(self, which: int, manifest: Manifest) -> None:
        self.git[which][manifest.address] = manifest
        metadata: dict[str, Any] = {"name": manifest.name}
        if manifest.previously:
            metadata["previously"] = list(manifest.previously)
        lines = ["apiVersion: reconciler/v1", f"kind: {manifest.kind}", "metadata:"]
        lines += [f"  {key}: {json.dumps(value)}" for key, value in metadata.items()]
        if manifest.id is not None:
            lines.append(f"  id: {manifest.id}")
        lines += ["spec:"]
        lines += [f"  {key}: {json.dumps(value)}" for key, value in manifest.spec.items()]
        self.machines[which].write(_file(manifest.address), "\n".join(lines) + "\n")
        trace(f"  {'AB'[which]} writes {manifest}")

    def remove(self, which: int, address: str) -> None:
        del self.git[which][address]
        self.machines[which].remove(_file(address))
        trace(f"  {'AB'[which]} removes {address}")

    def pull(self, which: int) -> None:
        """One machine gets the other's commit."""
        for address in set(self.git[which]) - set(self.git[1 - which]):
            self.remove(which, address)
        for manifest in self.git[1 - which].values():
            self.write(which, manifest)

    # hands

    def hand_creates(self, kind: str, fields: Mapping[str, Any]) -> int:
        number = self.world.account.create(kind, {**PLAIN, **fields})
        self.model.hand_made(number, self.world.monitors()[number])
        trace(f"  a hand creates {number} {kind} {fields}")
        return number

    def hand_edits(self, number: int, fields: Mapping[str, Any]) -> None:
        before = self.world.monitors()[number]
        self.world.account.edit(number, fields)
        self.model.hand_moved(number, fields, self.world.monitors()[number], before)
        trace(f"  a hand edits {number} {fields}")

    def hand_deletes(self, number: int) -> None:
        self.world.account.delete(number)
        trace(f"  a hand deletes {number}")

    # runs

    def plans(self, which: int, flags: Flags, *words: str) -> Done:
        """A plan; it changes nothing, and calls nothing drift that nobody moved."""
        account, kept = self.world.monitors(), self._kept()
        done = self.machines[which].run("plan", *flags.words(), *words)
        assert account == self.world.monitors(), "a plan changed the account"
        assert kept == self._kept(), "a plan changed the state"
        assert done.code in {0, 2, 4, 5, 6, 64}, done
        if "--json" in words and done.json is not None:
            self.model.check_causes(done.json)
        return done

    def saves_plan(self, which: int, flags: Flags) -> None:
        done = self.plans(which, flags, "--out", "plan.json")
        if (self.machines[which].root / "plan.json").exists() and done.code in {0, 2}:
            self._plans[which] = flags

    def applies_plan(self, which: int, gate: Gate | None = None) -> Done | None:
        if which not in self._plans:
            return None
        return self._applied(which, self._plans[which], ("plan.json",), gate)

    def applies(self, which: int, flags: Flags, *words: str, gate: Gate | None = None) -> Done:
        return self._applied(which, flags, ("--auto-approve", *flags.words(), *words), gate)

    def applies_beside(self, which: int, flags: Flags, *words: str) -> None:
        """An apply while another one is under way, which is not to be disturbed."""
        machine, now = self.machines[which], self.world.time.monotonic
        path = machine.state.with_name(f"{machine.state.name}.lock")
        lock, began = path.exists() and path.read_bytes(), now()
        before = self.world.monitors()
        done = self.applies(which, flags, *words)
        if lock and now() - began < _LEASE:
            is_kept = path.exists() and path.read_bytes() == lock
            assert is_kept, f"a living lock was taken: {done}"
            assert done.code in {4, 5, 6, 8, 64}, f"the lock was disregarded: {done}"
            after = self.world.monitors()
            if self.world.is_slow:  # what was under way may have arrived by itself
                after = {number: item for number, item in after.items() if number in before}
            assert after == before, f"something was done beside a run that holds the lock: {done}"

    def applies_on_full_disk(
        self, which: int, flags: Flags, number: int, fill: Callable[[Gate], None]
    ) -> None:
        """An apply whose disk is full from some moment on: hardly anything more goes out."""
        sent: list[str] = []

        def filled(gate: Gate) -> None:
            fill(gate)
            full, failures = gate.effect, [False]

            def effect(name: str) -> None:
                is_write = not name.startswith(("file", "GET", "POST /access"))
                if failures[0] and is_write and name.endswith("before"):
                    sent.append(name)
                try:
                    full(name)
                except OSError:
                    failures[0] = True
                    raise

            gate.effect = effect  # type: ignore[method-assign]

        gate = Gate(number, filled)
        done = self.applies(which, flags, "--parallelism", "1", gate=gate)
        if gate.at:
            self.world.counts["full disk"] += 1
        assert len({*sent}) <= _AHEAD, f"nothing can be recorded, and more was sent: {sent} {done}"

    def _applied(self, which: int, flags: Flags, words: Sequence[str], gate: Gate | None) -> Done:
        machine = self.machines[which]
        gate = gate or Gate()
        start, was_behind = self.world.monitors(), self.world.is_behind
        if was_behind:
            self._expect_old_values(machine)
        acts: list[str] = []
        raced = self.model.raced
        with self._segment(machine, which, flags, acts):
            done = machine.run("apply", *words, "--json", gate=gate)
        assert done.code in {-9, 0, 4, 5, 6, 7, 8, 64}, done
        if "--write-ids" in words:
            self._reread_ids(which)
        if self.model.raced > raced:
            self.world.counts["race"] += 1
            is_told = done.code != 0 or self._under_way or "hide" in self.world.way
            assert is_told, f"two runs have made the same, and nothing is said: {done}"
        fleet = self.git[which]
        if done.code == -9:
            self.world.counts["kill"] += 1
            self._doubt(which, flags, start, None)
            return done
        result = done.json
        # Of several requests at once, slow ones may use up a new token before it is used again.
        is_hasty = self.world.pace and "1" not in words  # four at once, if nothing is said
        if self.world.is_sane and not gate.at and not is_hasty:
            self._check_sanity(result)
        after = self.world.monitors()
        if not acts:
            self._check_claims(done, result, start, after)
        if result is None:
            assert done.code != 7 or acts, done
        elif done.code == 0:
            if not acts and "plan.json" not in words:  # a saved plan leaves what moved since
                self._check_all_done(which, flags, after, was_behind=was_behind)
            now = self.world.time.monotonic()
            self.model.ended_well(fleet, flags, now, now + machine.ahead.total_seconds())
        is_recorded = done.code != 8
        self._doubt(which, flags, start, result if is_recorded else None)
        return done

    def _expect_old_values(self, machine: Machine) -> None:
        """Takes note of values that were sent and have not shown yet.

        What shows in between may be older than the next one that is sent, and the same as it: if
        that is dropped, nobody can tell.
        """
        for record in self.records(machine).values():
            self._ambiguous.update((record["id"], name) for name in record.get("unseen", ()))
        self.model.moved |= self._ambiguous

    def _check_claims(
        self, done: Done, result: Any, start: Mapping[int, Any], after: Mapping[int, Any]
    ) -> None:
        """What the result says is what happened."""
        new = after.keys() - start.keys()
        gone = start.keys() - after.keys()
        if result is None:
            late = new if self.world.is_slow else set()  # what an earlier run had sent
            after = {number: item for number, item in after.items() if number not in late}
            assert after == start, f"code {done.code} and no result, but: {new} {gone}"
            return
        assert done.code == result["exit_code"] or done.code == 8, done
        said: dict[str, set[int]] = {"create": set(), "update": set(), "delete": set()}
        doubtful = False
        for outcome in result["outcomes"]:
            doubtful |= outcome["status"] not in {"done", "moved", "not-started"}
            if outcome["status"] != "done":
                continue
            said[outcome["action"]].add(outcome["id"])
            if outcome["action"] == "delete":
                assert outcome["id"] not in after, f"said to be deleted: {outcome['id']}"
                continue
            assert outcome["id"] in after, f"said to be there: {outcome}"
            live = after[outcome["id"]]
            sent = {
                name: value
                for name, value in outcome["request"]["body"].items()
                if (outcome["id"], name) not in self._ambiguous
            }
            assert fits(sent, live), f"said to be done: {outcome} {live}"
        # What was hidden when a create got lost, and shows now, looks as if it were new.
        may_be = new | (start.keys() if "hide" in self.world.way else set())
        assert said["create"] <= may_be, f"said to be made: {said['create']}, made: {new}"
        assert said["delete"] <= gone
        if not doubtful:
            is_hidden = self.world.is_slow or "hide" in self.world.way
            is_all = said["create"] == new or is_hidden
            assert is_all, f"said to be made: {said['create']}, made: {new}"
            assert said["delete"] == gone
        is_done = all(item["status"] == "done" for item in result["outcomes"])
        assert done.code != 0 or is_done
        assert is_done <= (done.code in {0, 8}), done

    def _check_sanity(self, result: Any) -> None:
        """Where nothing is wrong, what a monitor is to become it becomes."""
        for outcome in (result or {}).get("outcomes", ()):
            is_bad = outcome["action"] == "update" and outcome["status"] in _BAD
            assert not is_bad, f"nothing is wrong, and it fails: {outcome}"

    def _check_all_done(
        self, which: int, flags: Flags, after: Mapping[int, Any], *, was_behind: bool
    ) -> None:
        records = self.records(self.machines[which])
        for address, manifest in self.git[which].items():
            if flags.means(address):
                number = manifest.id or records.get(address, {}).get("id")
                assert number in after, f"code 0, and {address} has no monitor"
                spec = {
                    name: value
                    for name, value in manifest.spec.items()
                    if not (was_behind and self._is_unknown(number, name))
                }
                assert fits(spec, after[number]), f"code 0, and {address} is otherwise"

    def _is_unknown(self, number: int, name: str) -> bool:
        """Whether AlertSite may have had another value than it showed, and the run cannot know.

        While changes show late, only those who know what was sent last know what will show; a run
        that could not write that down, or wrote it into a state of its own, tells nobody.
        """
        return not self.is_shared or (number, name) in self.model.moved

    def _doubt(self, which: int, flags: Flags, start: Mapping[int, Any], result: Any) -> None:
        """Notes what the tool cannot know after a run."""
        is_whole = "hide" not in self.world.way and not self.world.has_lagged
        # What was not listed then is not known to have been there.
        known = {str(item.state): self.records(item) for item in self.machines}
        now, ahead = self.world.time.monotonic(), self.machines[which].ahead
        lost = Lost(
            now,
            start.keys() if is_whole else frozenset(),
            self._claimed(known),
            now + ahead.total_seconds(),
        )
        after = self.world.monitors()
        settled = set()
        for outcome in (result or {}).get("outcomes", ()):
            seen = {"done", "moved", "not-started"}
            if "late" not in self.world.way:  # else what was not kept may come yet
                seen.add("not-kept")
            if outcome["status"] in seen:
                settled.add(outcome["id"])
            elif outcome["action"] == "create" and outcome["address"] in self.git[which]:
                self.model.was_lost(self.git[which][outcome["address"]], lost)
        if result is None and after is not None:
            for address, manifest in self.git[which].items():
                if flags.means(address) and manifest.id is None:
                    self.model.was_lost(manifest, lost)
        for number in after.keys() & start.keys():
            is_known = number in settled and self.is_shared
            if not is_known and after[number] != start[number]:
                self.model.moved.update(
                    (number, name)
                    for name in after[number]
                    if after[number][name] != start[number].get(name)
                )

    @contextlib.contextmanager
    def _segment(
        self, machine: Machine, which: int, flags: Flags, acts: list[str]
    ) -> Iterator[None]:
        self._under_way.append(Outer(machine, flags))
        outer = self._before, self._known, self._began, self._begun
        self._begin_segment()
        self._begun = frozenset(self._known[str(machine.state)])
        self._cut = lambda: self._end_segment(which, flags)
        self._acts = acts
        try:
            yield
        finally:
            self._under_way.pop()
        self._end_segment(which, flags)
        self._before, self._known, self._began, self._begun = outer

    def _begin_segment(self) -> None:
        self.arrives()
        self._began = self.world.time.monotonic()
        self._before = self.world.monitors()
        self._known = {str(item.state): self.records(item) for item in self.machines}

    def _end_segment(self, which: int, flags: Flags) -> None:
        machine = self.machines[which]
        claimed = self._claimed(self._known)
        segment = Segment(
            self.git[which],
            flags,
            self._before,
            self.world.monitors(),
            self._known[str(machine.state)],
            claimed,
            "hide" in self.world.way or (self.world.has_lagged and not self.is_shared),
            bool(self._acts) and not self.is_shared,
            self._began,
            self.world.time.monotonic(),
            self.world.lag,
            self._beside(which),
            self._begun,
            tuple(self._acts),
        )
        self.model.check(segment)
        self.model.check_forgotten(segment, self.records(machine), self._may_forget)
        self.check_records()

    def _beside(self, which: int) -> tuple[Manifest, ...]:
        """The manifests of runs with states of their own, in whose middle a run acts."""
        if self.is_shared:
            return ()
        machines = [outer.machine for outer in self._under_way]
        others = [number for number in (0, 1) if self.machines[number] in machines]
        return tuple(
            item for number in others if number != which for item in self.git[number].values()
        )

    def _claimed(self, known: Mapping[str, Any]) -> dict[int, set[str]]:
        claimed: dict[int, set[str]] = {}
        for records in known.values():
            for address, record in records.items():
                claimed.setdefault(record["id"], set()).add(address)
        for git in self.git:
            for address, manifest in git.items():
                if manifest.id is not None:
                    claimed.setdefault(manifest.id, set()).add(address)
        return claimed

    def arrives(self) -> None:
        """Learns of what AlertSite did late, by itself."""
        if self.world.is_slow:
            known = {str(item.state): self.records(item) for item in self.machines}
            under_way = [outer.machine for outer in self._under_way]
            asked = {
                address: item
                for number, git in enumerate(self.git)
                if self.machines[number] in under_way
                for address, item in git.items()
            }
            self.model.arrives(self.world.monitors(), self._claimed(known), asked)

    def amid(self, act: Callable[[], None]) -> Callable[[Gate], bool]:
        """What a gate does when somebody else acts in the middle of a run."""

        def interrupt(gate: Gate) -> bool:
            if self.world.boundary.is_guarded:
                return True
            cut, acts = self._cut, self._acts
            cut()
            acts.append(gate.at)
            self.world.counts["nested"] += 1
            act()
            self._cut, self._acts = cut, acts
            self._begin_segment()
            return False

        return interrupt

    # states

    def records(self, machine: Machine) -> dict[str, Any]:
        """The records that the next run on the machine will find."""
        text = machine.state.read_bytes() if machine.state.exists() else b""
        journals = sorted(machine.state.parent.glob("*.journal"))
        if journals:
            found = text, tuple((path.name, path.read_bytes()) for path in journals)
            if found not in self._folded:  # the same files hold the same records
                done = machine.run("state", "pull")
                assert done.code == 0 or "no state yet" in done.err, done
                self._folded[found] = done.out.encode()
            text = self._folded[found]
        return dict(json.loads(text)["records"]) if text.strip() else {}

    def check_records(self) -> None:
        for machine in self.machines:
            self.model.check_records(self.records(machine), may_claim=self.world.has_lied)

    def _kept(self) -> list[tuple[str, bytes]]:
        return [
            (str(path), path.read_bytes())
            for machine in self.machines
            if machine.state.parent.exists()
            for path in sorted(machine.state.parent.rglob("*"))
            if path.is_file()
        ]

    def removes_record(self, which: int, address: str) -> None:
        record = self.records(self.machines[which]).get(address, {})
        done = self.machines[which].run("state", "rm", address)
        if done.code == 0:
            self.model.forgot(address, record.get("id"))
            self._forgets_unseen(record)

    def _forgets_unseen(self, record: Mapping[str, Any]) -> None:
        """What was sent and has not been seen, nobody expects any more."""
        self.model.moved.update((record["id"], name) for name in record.get("unseen", ()))

    def loses_state(self) -> None:
        for machine in self.machines:
            for record in self.records(machine).values():
                self._forgets_unseen(record)
            for name in ("state.json", "state.json.backup"):
                (machine.state.parent / name).unlink(missing_ok=True)
        self.model.forgot()
        trace("  the state is lost")

    def unlocks(self) -> None:
        """A person breaks the locks of runs that are certainly dead."""
        for machine in self.machines:
            path = machine.state.with_name(f"{machine.state.name}.lock")
            if path.exists() and not self._under_way:
                run = json.loads(path.read_bytes())["id"]
                done = machine.run("state", "unlock", run)
                assert done.code == 0, done

    def _reread_ids(self, which: int) -> None:
        """Takes note of the ids that --write-ids has written."""
        for address, manifest in self.git[which].items():
            lines = self.machines[which].read(_file(address)).splitlines()
            numbers = [int(line.partition(":")[2]) for line in lines if line.startswith("  id:")]
            self.git[which][address] = manifest._replace(id=numbers[0] if numbers else None)

    # reverts

    def reverts(
        self,
        which: int,
        edits: Sequence[tuple[str, Mapping[str, Any]]],
        hand: tuple[str, Any],
        number: int,
    ) -> None:
        """Commits are applied and reverted: what Git had changed is as it was, and nothing else.

        Args:
            which: the machine.
            edits: of each commit, the manifest and its fields beside those that it must have.
            hand: what a hand does to the manifest of the last one, just before the revert.
            number: the effect at which each of these runs is killed, before it is repeated.
        """
        git = dict(self.git[which])
        edits = [(address, spec) for address, spec in edits if address in git]
        if not edits or not self._is_calm(which):
            return
        records = self.records(self.machines[which])
        before = self.world.monitors()
        bound = {address: item.id or records[address]["id"] for address, item in git.items()}
        for address, spec in edits:
            self._edits(which, address, spec)
            assert self._settles(which, number), "a commit that changes fields is not applied"
        address, spec = edits[-1]
        (name, value), monitor = hand, bound[address]
        self.hand_edits(monitor, {name: value})
        self.write_all(which, git)
        assert self._settles(which, number), "a revert is not applied"
        after = self.world.monitors()
        assert after.keys() == before.keys()
        is_hands = name not in git[address].spec
        is_hands = is_hands and not (name in spec and is_same(spec, {name: value}, name))
        self.world.counts["revert"] += 1
        if is_hands:
            before[monitor] = {**before[monitor], name: value}
        for key, item in before.items():
            _check_as_it_was(key, item, after[key])

    def undoes(
        self,
        which: int,
        commit: Mapping[str, Mapping[str, Any] | None],
        hand: tuple[str, Any] | None,
        number: int,
    ) -> None:
        """A run is taken back: what it changed is as it was, but for what moved in between.

        Args:
            which: the machine.
            commit: by address, the fields of a manifest beside those that it must have; None
                removes it.
            hand: what a hand does to one of its monitors after the run.
            number: the effect at which the undo is killed, before it is repeated.
        """
        git = dict(self.git[which])
        if not git or not self._is_calm(which, Flags(prune=True)):
            return
        before = self.world.monitors()
        self._bound_before = self.records(self.machines[which]).keys()
        for address, spec in commit.items():
            if spec is not None:
                self._edits(which, address, spec)
            elif address in git and git[address].id is None and len(self.git[which]) > 1:
                self.remove(which, address)
        done = self.applies(which, Flags(prune=True), "--parallelism", "1")
        changes = {item["address"]: item for item in (done.json or {}).get("outcomes", ())}
        is_all_done = done.code == 0 and bool(changes)
        address = max((key for key in changes if changes[key]["action"] != "delete"), default="")
        moved: set[str] = set()
        if is_all_done and hand and address:
            is_moved = self._hand_moves(hand, changes[address], before)
            if is_moved and _can_go_back(changes[address], before):
                moved.add(address)
        is_drift = hand is not None and address in git and hand[0] in git[address].spec
        found = {  # that an earlier run had made, and this one bound and changed
            address: item._replace(spec={"name": before[changes[address]["id"]]["name"]})
            for address, item in self.git[which].items()
            if address not in git and changes.get(address, {}).get("action") == "update"
        }
        for address in self.git[which].keys() - git.keys():
            self.remove(which, address)
        self.write_all(which, git)
        if is_all_done:
            self.world.counts["undo"] += 1
            moved |= self._taken_by_name(which, git, changes)
            is_some = any(_can_go_back(item, before) for item in changes.values())
            # It reads no manifest: no record moves, and what it undoes of `found` none says.
            written, fleet = self.git[which], {**self.git[which], **found}
            self.git[which] = {key: item._replace(previously=()) for key, item in fleet.items()}
            self._takes_back(which, done.json["run"], moved, number, is_some=is_some)
            self.git[which] = written
            self._check_taken_back(changes, before, moved)
            if not (moved or is_drift):
                told = self.plans(which, Flags(), "--detailed-exitcode")
                assert told.code == 0, f"a run was taken back, and that is left: {told}"

    def _takes_back(
        self, which: int, run: str, moved: AbstractSet[str], number: int, *, is_some: bool
    ) -> None:
        words = ("undo", run, "--auto-approve", "--json", "--parallelism", "1")
        self._held = self.world.monitors()
        for gate in [killing(number)] * bool(number) + [Gate()]:
            self._may_forget = self.records(self.machines[which]).keys() - self._bound_before
            with self._segment(self.machines[which], which, Flags(prune=True), []):
                done = self.machines[which].run(*words, gate=gate)
            self._may_forget = frozenset()
            self.unlocks()
        # It may all be done by now, or be what cannot be sent.
        is_refused = {5, 7} if moved else {5} if number or not is_some else set()
        assert done.code in is_refused | (set() if moved else {0}), done
        for address in moved:
            assert address in f"{done.out}{done.err}", f"{address} has moved, and is not named"

    def _check_taken_back(
        self,
        changes: Mapping[str, Any],
        before: Mapping[int, Mapping[str, Any]],
        moved: AbstractSet[str],
    ) -> None:
        after = self.world.monitors()
        left = {changes[address]["id"] for address in moved}
        for number in before.keys() & after.keys():
            is_left = number in left
            _check_as_it_was(number, (self._held if is_left else before)[number], after[number])
        new = after.keys() - before.keys() - left
        deleted = {
            item["id"]
            for address, item in changes.items()
            if item["action"] == "delete" and address not in moved
        }
        assert len(new) == len(deleted), f"{deleted} were deleted, and {new} made"
        for number, item in ((number, before[number]) for number in deleted):
            (made,) = (key for key in new if match_key_of(after[key]) == match_key_of(item))
            _check_as_it_was(number, item, after[made])

    def _taken_by_name(
        self, which: int, git: Mapping[str, Manifest], changes: Mapping[str, Any]
    ) -> set[str]:
        """The addresses that cannot get their monitors back: another one has the name.

        One that is another manifest's was there before, and does not stand for what was deleted.
        Two that had the same name could not be told apart, should an answer be lost. With them,
        the addresses of what took their place as another kind: it stays.
        """
        bound = {record["id"] for record in self.records(self.machines[which]).values()}
        others = [item for number, item in self.world.monitors().items() if number not in bound]
        deleted = {
            address: git[address].match_key_of
            for address, item in changes.items()
            if item["action"] == "delete" and address in git
        }
        had = Counter(deleted.values())
        lost = {
            address
            for address, key in deleted.items()
            if had[key] > 1 or any(match_key_of(other) == key for other in others)
        }
        names = {address.partition("/")[2] for address in lost}
        return lost | {
            address
            for address, item in changes.items()
            if item["action"] == "create" and address.partition("/")[2] in names
        }

    def _hand_moves(
        self, hand: tuple[str, Any], outcome: Mapping[str, Any], before: dict[int, dict[str, Any]]
    ) -> bool:
        """Edits what a run has made or changed; whether an undo must not touch it then."""
        (name, value), number, sent = hand, outcome["id"], outcome["request"]["body"]
        self.hand_edits(number, {name: value})
        if number in before and name not in sent:
            before[number] = {**before[number], name: value}
        known = [item for item in (sent, before.get(number, {})) if name in item]
        return name in sent and not any(is_same({name: value}, item, name) for item in known)

    def write_all(self, which: int, git: Mapping[str, Manifest]) -> None:
        for manifest in git.values():
            self.write(which, manifest)

    def _edits(self, which: int, address: str, spec: Mapping[str, Any]) -> None:
        """Gives a manifest these fields, and no others but those that it must have."""
        known = self.git[which].get(address)
        if known is None:
            kind, _, name = address.partition("/")
            known = Manifest(kind, name, None, {**PLAIN, "name": address})
        kept = {name: known.spec[name] for name in (*PLAIN, "name")}
        self.write(which, known._replace(spec={**kept, **spec}))

    def _is_calm(self, which: int, flags: Flags = _PLAIN_RUN) -> bool:
        """Whether nothing is wrong any more, and all that a machine's manifests say is done."""
        self.world.strike(())
        self.world.becomes("")
        self.world.time.go_on(_DAY)
        self.unlocks()
        return self._settles(which, flags=flags)

    def _settles(self, which: int, number: int = 0, flags: Flags = _PLAIN_RUN) -> bool:
        """Whether all gets done by applying a few times, the first of which may be killed."""
        if number:
            self.applies(which, flags, "--parallelism", "1", gate=killing(number))
            self.unlocks()
        for _ in range(3):
            done = self.applies(which, flags, "--parallelism", "1")
            if done.code == 0 and not done.json["outcomes"]:
                return True
        return False

    # the end

    def ends(self) -> None:
        """Everybody agrees and goes home: all gets done, and what is refused has a reason."""
        trace("  the end")
        self.world.strike(())
        self.world.becomes("")
        self.world.pace = 0.0
        self.unlocks()
        self.world.time.go_on(_DAY)
        self.arrives()
        if not self.git[0]:
            return
        self.pull(1)
        self.machines[1].state = self.machines[0].state  # two would fight over what both have bound
        self._converge(0)
        for which in (0, 1):
            done = self.plans(which, Flags(), "--detailed-exitcode")
            assert done.code == 0, f"there is still something to do: {done}"
        live = self.world.monitors()
        records = self.records(self.machines[0])
        for address, manifest in self.git[0].items():
            number = manifest.id or records[address]["id"]
            assert fits(manifest.spec, live[number]), address

    def _converge(self, which: int) -> None:
        flags, settled, done = Flags(), 0, None
        for _ in range(40):
            done = self.applies(which, flags, "--parallelism", "1")
            if done.code == 0:
                settled += 1
                if settled == 2:
                    assert not done.json["outcomes"], f"it is done again: {done}"
                    return
                continue
            assert done.code == 5, f"at the end, with nothing in the way: {done}"
            plan = self.plans(which, flags, "--json")
            if plan.code == 5 and plan.json is None:
                self._explain_other_account(which, plan)
                continue
            # One by one: what is done about it may be the reason of the next one.
            flags = self._resolve(which, plan.json["refusals"][0], flags)
            self.pull(1 - which)
        raise AssertionError(f"it never ends: {done}")

    def _explain_other_account(self, which: int, plan: Done) -> None:
        records, live = self.records(self.machines[which]), self.world.monitors()
        assert "in the state" in plan.err, plan
        gone = [address for address, record in records.items() if record["id"] not in live]
        is_most = len(records) >= 5 and len(gone) * 2 > len(records)
        assert is_most or (len(records) >= 3 and len(gone) == len(records)), plan
        done = self.machines[which].run("state", "rm", *gone)
        assert done.code == 0, done
        self.model.forgot()

    def _resolve(self, which: int, refusal: Mapping[str, Any], flags: Flags) -> Flags:
        """Does what a person would after asking why; there must be a reason."""
        address, live = refusal["address"], self.world.monitors()
        manifest = self.git[which].get(address)
        records = self.records(self.machines[which])
        assert manifest is not None, refusal
        bound = {record["id"] for record in records.values()}
        bound |= {item.id for item in self.git[which].values() if item.id is not None}
        alike = [
            number for number, item in live.items() if manifest.means(item) and number not in bound
        ]
        trace(f"  {address} is refused as {refusal['code']}: {alike}")
        match refusal["code"]:
            case "ambiguous" | "uncertain":
                self._leave_one(which, refusal, alike)
                return flags
            case "not-ours":
                named = [item for item in alike if self._has_name(live[item], manifest)]
                assert len(named) == 1, refusal
                (number,) = named
                is_ours = number in self.model.made and self.model.made[number].is_known
                is_ours = is_ours and address in self.model.made[number].of and self.is_shared
                assert not is_ours, f"the tool has made {number} itself: {refusal}"
                return Flags(adopt=True)
            case "not-as-created":
                number = records[address]["id"]
                made = self.model.made.get(number)
                is_renamed = made is not None and address in made.of
                assert is_renamed or self.world.has_lied, refusal
                if is_renamed:
                    self.write(which, manifest._replace(id=number))
                else:
                    self.removes_record(which, address)
            case "incomplete-list":
                assert self.world.has_lagged or "hide" in self.world.way, refusal
                self.world.becomes("")
            case "perhaps-ours":
                self.applies(which, Flags(target=address), "--parallelism", "1")
                return flags
            case "deleted" | "no-such-id":
                assert manifest.id not in live, refusal
                self.write(which, manifest._replace(id=None))
            case "two-bindings" | "other-kind":
                others = [
                    key
                    for key, record in records.items()
                    if key == address or record["id"] == manifest.id or key in manifest.former
                ]
                assert others or refusal["code"] == "other-kind", refusal
                for other in others:
                    self.removes_record(which, other)
                if not others or manifest.id is not None:
                    self.write(which, manifest._replace(id=None, previously=()))
            case "same-name":
                others = [item for item in self.git[which].values() if item != manifest]
                if not any(item.match_key_of == manifest.match_key_of for item in others):
                    return flags  # the other one has got another name just now
                spec = {**manifest.spec, "name": f"{address} alone"}
                self.write(which, manifest._replace(spec=spec))
            case code:
                raise AssertionError(code)
        return flags

    def _has_name(self, live: Mapping[str, Any], manifest: Manifest) -> bool:
        """Whether it has the whole name: others may have one that AlertSite has cut."""
        return match_key_of(live) == manifest.match_key_of

    def _check_is_other(self, which: int, address: str, number: int) -> None:
        """What the tool has made is known again by its name and by what it watches."""
        live, manifest = self.world.monitors()[number], self.git[which][address]
        item = self.model.made.get(number)
        is_it = item is not None and item.is_known and address in item.of and self.is_shared
        is_it = is_it and manifest.means(live)
        assert not (is_it and is_same(manifest.spec, live, "hostname")), f"{number} is {address}"

    def _leave_one(self, which: int, refusal: Mapping[str, Any], alike: list[int]) -> None:
        """Deletes all but one of several that an address may mean; the tool has made but one."""
        if refusal["code"] == "uncertain":
            listed = refusal["message"].rpartition(": ")[2].split(", ")
            alike = [int(number) for number in listed]
            if len(alike) == 1:  # it only watches the same, or has only the name
                self._check_is_other(which, refusal["address"], *alike)
                self.removes_record(which, refusal["hint"].rpartition("state rm ")[2])
                return
        assert len(alike) > 1, refusal
        by_hand = [number for number in alike if number in self.model.hands]
        made = [number for number in alike if number not in by_hand]
        for number in by_hand if made else by_hand[1:]:
            self.hand_deletes(number)
        for number in made[1:]:
            item = self.model.made[number]
            is_its_own = item.is_known and refusal["address"] in item.of
            assert not (is_its_own and self.is_shared), f"{number} was doubled: {refusal}"
            self.hand_deletes(number)


def _can_go_back(outcome: Mapping[str, Any], before: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether anything that became of a monitor can be undone: of its fields, texts can be unset.

    Args:
        outcome: of a run that is all done.
        before: what AlertSite had, by id.
    """
    if outcome["action"] != "update":
        return True
    sent, was = outcome["request"]["body"], before[outcome["id"]]
    return any(was.get(name) not in (None, "", []) or isinstance(sent[name], str) for name in sent)


def _check_as_it_was(number: int, was: Mapping[str, Any], has: Mapping[str, Any]) -> None:
    for field, value in was.items():
        if field in {"id", "date_created"} or (value in (None, "", []) and field != "note"):
            continue  # what cannot be sent
        is_as_it_was = is_same({field: value}, has, field)
        assert is_as_it_was, f"{number}: {field} was {value}, and is {has.get(field)}"


def fill_disk(gate: Gate) -> None:
    """What a gate does when the disk is full from now on."""
    was, wanted = gate.effect, ("open", "write", "link", "mkdir")

    def effect(name: str) -> None:
        was(name)
        if name.startswith("file ") and name.split()[1] in wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    gate.effect = effect  # type: ignore[method-assign]


def killing(number: int) -> Gate:
    """A gate that kills its run at its n-th effect."""
    return Gate(number, kill)


def _file(address: str) -> str:
    return f"{address.replace('/', '-')}.yaml"
