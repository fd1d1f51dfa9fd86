"""One run that is killed before its n-th effect, for every n, and the runs that finish it.

An effect is a request that reaches AlertSite, is done there or not, or a call that changes a file
(`world.Boundary`). The fleet has all that can come up in one run: new monitors, one of them with a
secret and one that was deleted outside Git, edits, drift, and a monitor without a manifest. However
often a run is killed, the same command, repeated, ends where a run at peace ends.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.core.state import from_text

from machine.world import Gate, World, kill

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from machine.world import Machine

_APPLY = ("apply", "--auto-approve", "--prune", "--parallelism", "1", "--lock-timeout", "4m")
_SECRETS = {"SMTP_PASSWORD": "not-so-secret", "RECONCILER_SECRET_KEY": "key"}
_BEFORE = {
    "drifted": ("email-pop", "Drifted", {"port": 110}),
    "edited": ("email-imap", "Edited", {"interval": 5, "timeout": 20}),
    "gone": ("email-smtp", "Gone", {"port": 465}),
    "orphan": ("email-smtp", "Orphan", {}),
    "steady": ("email-imap", "Steady", {}),
}
_AFTER = {name: item for name, item in _BEFORE.items() if name != "orphan"} | {
    "edited": ("email-imap", "Edited", {"interval": 10, "timeout": 30}),
    "new": ("email-pop", "New", {"locations": [{"id": 10}]}),
    "secret": ("email-smtp", "Secret", {}),
}
_EXTRA = '  smtp_password: {secretRef: {env: "SMTP_PASSWORD"}}\n'


class End(NamedTuple):
    """What a run ends with, as far as it must be the same for every run.

    Attributes:
        monitors: all of them; new ones without their id.
        records: by address, the fields and the names of the secrets.
    """

    monitors: Sequence[Any]
    records: dict[str, Any]


class Crashes:
    """Kills runs and finishes them, in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: set[int] = set()
        machine = self._begun()
        self._effects = machine.run(*_APPLY).effects
        self._peace = self._end(machine)

    def kill_at_every_effect(self) -> int:
        """Kills a run at its first effect, one at its second, … until one comes to its end.

        How many that are is not the same each time: outcomes of requests that come at once are
        written down at once. Returns the kills.
        """
        number = 1
        while self.kill([(number,)]):
            number += 1
        return number - 1

    def pairs(self, wanted: int) -> Iterator[tuple[int, int]]:
        """Every moment, and every one of the run that then finishes; or about so many of them."""
        both = range(1, self._effects + 1)
        stride = max(1, self._effects**2 // wanted)
        if stride % self._effects == 0:  # or it would be the same second moment each time
            stride += 1
        pairs = ((first, second) for first in both for second in both)
        return (pair for number, pair in enumerate(pairs) if number % stride == 0)

    def kill(self, attempts: Iterable[Sequence[int]]) -> int:
        """Kills one run after the other at these effects, then finishes; returns the kills.

        Raises:
            AssertionError: the end is not that of a run at peace.
        """
        kills = 0
        for numbers in attempts:
            machine = self._begun()
            places = []
            for number in numbers:
                gate = Gate(number, kill)
                machine.run(*_APPLY, gate=gate)
                places.append(gate.at)
                kills += bool(gate.at)
            try:
                self._check_drift(machine)
                self._check_end(machine)
            except AssertionError as error:
                error.add_note(f"killed before {', then '.join(places)}; effects {numbers}")
                raise
        return kills

    def _check_drift(self, machine: Machine) -> None:
        """Only what a hand has done is drift, wherever a run was killed that did something too."""
        drift = machine.run("drift", "--json")
        found = {item["address"] for item in json.loads(drift.out)["monitors"]}
        assert found <= {"email-pop/drifted", "email-smtp/gone"}, drift

    def _check_end(self, machine: Machine) -> None:
        done = machine.run(*_APPLY)
        assert done.code == 0, done
        assert self._end(machine) == self._peace
        plan = machine.run("plan", "--detailed-exitcode")
        assert plan.code == 0, plan

    def _begun(self) -> Machine:
        """A machine and an account as they are before the run that is killed."""
        world = self._world
        world.begin(environment=_SECRETS)
        machine = world.machine("a", timedelta(), "state")
        world.account.create("email-smtp", _body("Nobody's", {"port": 25}))
        _write(machine, _BEFORE)
        assert machine.run(*_APPLY).code == 0
        for number, monitor in world.monitors().items():
            if monitor["name"] == "Gone":
                world.account.delete(number)
            if monitor["name"] == "Drifted":
                world.account.edit(number, {"port": 995, "note": "by hand"})
        self._known = set(world.monitors())
        _write(machine, _AFTER)
        return machine

    def _end(self, machine: Machine) -> End:
        state = from_text(machine.state.read_bytes())
        beside = {path.name for path in machine.state.parent.iterdir()}
        kept = {"state.json", "state.json.backup", "state.json.guard", "state.json.runs"}
        # A second name of the state, which the next save takes away: a run without one may follow.
        assert beside <= {*kept, "state.json.backup.new"}, beside
        assert state.pending_creates == {}
        monitors = self._world.monitors()
        for address, record in state.records.items():
            assert address.startswith(f"{monitors[record.id]['type']}/")
            assert monitors[record.id]["name"] == record.fields["name"]
        shown = [
            {**monitor, "id": number in self._known and number}
            for number, monitor in monitors.items()
        ]
        return End(
            sorted(shown, key=lambda item: (item["type"], item["name"])),
            {
                address: (record.fields, sorted(record.secrets))
                for address, record in state.records.items()
            },
        )


def _body(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    usual = {"billing_plancode": "UBM - A/A", "hostname": "mail.example.com"}
    return {"name": name, **usual, **fields}


def _write(machine: Machine, manifests: dict[str, tuple[str, str, dict[str, Any]]]) -> None:
    for name in {*machine.files} - {f"{name}.yaml" for name in manifests}:
        machine.remove(name)
    for name, (kind, display, fields) in manifests.items():
        lines = ["apiVersion: reconciler/v1", f"kind: {kind}", f"metadata: {{name: {name}}}"]
        lines += ["spec:", *(f"  {key}: {value}" for key, value in _body(display, fields).items())]
        extra = f"extra:\n{_EXTRA}" if name == "secret" else ""
        machine.write(f"{name}.yaml", "\n".join(lines) + "\n" + extra)
