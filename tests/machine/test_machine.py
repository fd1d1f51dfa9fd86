"""Hypothesis searches histories in which something is lost, doubled, touched or claimed wrongly.

What a history is, what the laws are and how the world works stands in `rules`, `model` and `world`.
The search has parts, so that all workers have one. A part that fails names the `MACHINE_SEED` and
`MACHINE_HISTORIES` with which `make soak` repeats it; here they say where the first part begins and
how many there are in all. `MACHINE_TRACE=1` tells each step on stderr (with `pytest -s`).
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

import pytest

from machine.search import search

if TYPE_CHECKING:
    from pathlib import Path

_HISTORIES = 300
_PARTS = 12
"""So many that no worker is left alone with one at the end."""
_ENOUGH = 50
"""Histories of which a fair share must hold each thing that can happen."""


@pytest.mark.parametrize("part", range(_PARTS))
def test_no_history_loses_doubles_or_touches_anything(part: int, tmp_path: Path) -> None:
    count = int(os.environ.get("MACHINE_HISTORIES", _HISTORIES)) // _PARTS
    seed = int(os.environ.get("MACHINE_SEED", secrets.randbelow(2**32))) + part
    sys.stdout.write(f"MACHINE_SEED={seed} MACHINE_HISTORIES={count}\n")  # shown if it fails
    counts = search(tmp_path, count, seed)
    # It has been a search: histories in which nothing happens prove nothing.
    assert counts["histories"] >= count
    happened = [counts[name] for name in ("revert", "undo", "kill", "nested", "full disk")]
    assert sum(happened) > count
    if count >= _ENOUGH:
        assert min(happened) > count // 20
