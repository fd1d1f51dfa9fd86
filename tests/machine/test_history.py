"""Rare ends of a history, which the search may not come to for a long time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from machine.history import PLAIN, History
from machine.model import Flags, Manifest
from machine.world import Gate, World, kill

if TYPE_CHECKING:
    from pathlib import Path


def test_a_history_may_end_when_a_hand_has_deleted_every_monitor(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.begin()
        history = History(world, (0, 0))
        for name in ("a", "b", "c"):
            history.write(0, Manifest("email-smtp", name, None, {**PLAIN, "name": name}))
        assert history.applies(0, Flags()).code == 0
        for number in world.monitors():
            history.hand_deletes(number)
        history.ends()
        assert len(world.monitors()) == 3


@pytest.mark.parametrize(("seconds", "code"), [(200, 0), (4000, 5)])
def test_a_create_that_no_manifest_asks_for_is_known_to_have_failed_when_it_is_old(
    seconds: int, code: int, tmp_path: Path
) -> None:
    with World(tmp_path) as world:
        world.begin()
        history = History(world, (0, 0))
        for name in ("a", "lost"):
            history.write(0, Manifest("email-smtp", name, None, {**PLAIN, "name": name}))
        history.applies(0, Flags(), "--parallelism", "1", gate=Gate(2, kill, "POST /m"))
        history.unlocks()
        lost = history.git[0]["email-smtp/lost"]
        history.remove(0, lost.address)
        world.time.go_on(seconds)
        assert history.applies(0, Flags()).code == 0
        history.hand_creates(lost.kind, lost.spec)
        history.write(0, lost)
        assert history.applies(0, Flags()).code == code


def test_a_delete_under_way_may_come_after_somebody_else_has_retired_the_replacement(
    tmp_path: Path,
) -> None:
    """Of two checkouts that both retire what they do not describe, no order keeps a monitor."""
    with World(tmp_path) as world:
        world.begin()
        history = History(world, (0, 0))
        spec = {**PLAIN, "name": "a"}
        old, new = (Manifest(kind, "a", None, spec) for kind in ("email-smtp", "email-imap"))
        for machine in (0, 1):
            history.write(machine, old)
        assert history.applies(0, Flags()).code == 0
        history.remove(0, old.address)
        history.write(0, new)

        def act() -> None:
            history.applies_beside(1, Flags(prune=True), "--lock-timeout", "10m")

        gate = Gate(1, history.amid(act), "DELETE")
        history.applies(0, Flags(prune=True), gate=gate)
        assert gate.at
        assert not world.monitors()
