"""What a history leaves behind must not change the next one, or a failure could not be repeated."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from machine.history import PLAIN, History
from machine.model import Flags, Manifest
from machine.world import World

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_of_a_history_is_left_for_the_next(tmp_path: Path) -> None:
    manifest = Manifest("email-smtp", "a", None, {**PLAIN, "name": "a"})
    with World(tmp_path) as world:
        world.begin()
        world.time.go_on(200_000)  # histories are not equally long
        history = History(world, (0, 0))
        world.becomes("lag=30,late=60")
        history.write(0, manifest)
        assert history.applies(0, Flags()).code == 0
        history.hand_edits(100_001, {"port": 25})
        history.applies(0, Flags())

        world.begin()
        number = world.account.create("email-smtp", {**PLAIN, "name": "b", "port": 2525})
        assert number == 100_001
        machine = world.machine("A", timedelta(), "store")
        (live,) = machine.run("list", "--unmanaged", "-o", "json").json["monitors"]
        assert (live["id"], live["fields"]["name"]) == (number, "b")
