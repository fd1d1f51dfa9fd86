"""Hypothesis searches histories in which something is lost, doubled, touched or claimed wrongly.

What a history is, what the laws are and how the world works stands in `rules`, `model` and `world`.
`MACHINE_HISTORIES` (how many) and `MACHINE_SEED` repeat a search; `MACHINE_TRACE=1` tells each step
on stderr (with `pytest -s`). `make soak` searches longer.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

from machine.search import search

if TYPE_CHECKING:
    from pathlib import Path

_HISTORIES = 300


def test_no_history_loses_doubles_or_touches_anything(tmp_path: Path) -> None:
    count = int(os.environ.get("MACHINE_HISTORIES", _HISTORIES))
    seed = int(os.environ.get("MACHINE_SEED", secrets.randbelow(2**32)))
    sys.stdout.write(f"MACHINE_SEED={seed} MACHINE_HISTORIES={count}\n")  # shown if it fails
    counts = search(tmp_path, count, seed)
    # It has been a search: histories in which nothing happens prove nothing.
    assert counts["histories"] >= count
    assert min(counts["kill"], counts["nested"], counts["full disk"]) > count // 20
