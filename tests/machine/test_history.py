"""Rare ends of a history, which the search may not come to for a long time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machine.history import PLAIN, History
from machine.model import Flags, Manifest
from machine.world import World

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
