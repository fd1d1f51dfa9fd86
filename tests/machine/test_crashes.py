"""A run that is killed at any moment is finished by running the same command again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from machine.crashes import Crashes
from machine.world import World

if TYPE_CHECKING:
    from pathlib import Path

_PAIRS = 60
"""So many of the moments at which two runs can be killed, one after the other; soak takes all."""


def test_killed_before_any_effect_of_a_run(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        assert Crashes(world).kill_at_every_effect() > 40


def test_killed_twice(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        crashes = Crashes(world)
        wanted = int(os.environ.get("MACHINE_PAIRS", _PAIRS))
        assert crashes.kill(crashes.pairs(wanted)) > wanted
