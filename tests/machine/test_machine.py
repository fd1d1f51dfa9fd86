"""Hypothesis searches histories in which something is lost, doubled, touched or claimed wrongly.

What a history is, what the laws are and how the world works stands in `rules`, `model` and `world`.
`MACHINE_HISTORIES` (how many) and `MACHINE_SEED` repeat a search; `MACHINE_TRACE=1` tells each step.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory

from machine.search import search

_HISTORIES = 300


def test_no_history_loses_doubles_or_touches_anything(tmp_path: Path) -> None:
    count = int(os.environ.get("MACHINE_HISTORIES", _HISTORIES))
    seed = int(os.environ.get("MACHINE_SEED", secrets.randbelow(2**32)))
    print(f"MACHINE_SEED={seed} MACHINE_HISTORIES={count}")
    search(tmp_path, count, seed)
