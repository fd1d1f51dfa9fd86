"""A history must be the same when it is repeated, whatever was before it or runs beside it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from machine.history import PLAIN, History
from machine.model import Flags, Manifest
from machine.world import Gate, Time, World

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


def test_a_run_that_waits_no_longer_goes_on_when_who_acts_amid_it_is_done() -> None:
    said: list[str] = []
    acts, waits = threading.Event(), threading.Event()

    def act(_: Gate) -> None:
        acts.set()
        waits.wait()
        time.sleep(0.05)  # as long as a run that is not held needs to go on
        said.append("acted")

    gate = Gate(1, act)
    clock = Time().clock(timedelta(), gate)

    def go_on() -> None:
        waits.set()
        clock.monotonic()
        said.append("went on")

    with ThreadPoolExecutor(2) as threads:
        acting = threads.submit(gate.effect, "POST")
        acts.wait()
        threads.submit(go_on).result()
        acting.result()
    assert said == ["acted", "went on"]
