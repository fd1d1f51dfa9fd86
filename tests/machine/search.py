"""Runs so many histories; shared by the test and by `make soak`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from machine.rules import Histories
from machine.world import World

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

STEPS = 40


def search(folder: Path, histories: int, seed: int, **options: Any) -> Counter[str]:
    """What happened in so many histories; raises what the shortest that fails raises."""
    chosen = settings(
        max_examples=histories,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        **({"phases": [Phase.generate, Phase.shrink]} | options),
    )
    with World(folder) as world:

        class Seeded(Histories):
            pass

        Seeded.world = world
        run_state_machine_as_test(seeded(seed)(Seeded), settings=chosen)  # type: ignore[no-untyped-call]
        return world.counts
