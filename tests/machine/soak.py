"""`make soak`: thousands of histories, and a table of what was in them.

`MACHINE_HISTORIES` says how many, `MACHINE_SEED` where to begin. It ends at the first history that
breaks a law, with the shortest one that does and the command that repeats it.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine.crashes import Crashes
from machine.search import search
from machine.world import World

_HISTORIES = 3000
_AT_ONCE = 100
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
"""Where files cost nothing, if there is such a place."""


def main() -> int:
    wanted = int(os.environ.get("MACHINE_HISTORIES", _HISTORIES))
    first = int(os.environ.get("MACHINE_SEED", secrets.randbelow(2**31)))
    total: Counter[str] = Counter()
    began = time.monotonic()
    for seed in range(first, first + max(1, wanted // _AT_ONCE)):
        count = min(wanted, _AT_ONCE)
        with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
            try:
                total += search(Path(folder), count, seed)
            except BaseException:
                print(_table(total, time.monotonic() - began))
                print(f"A law is broken: MACHINE_SEED={seed} MACHINE_HISTORIES={count} make soak")
                raise
        print(f"{total['histories']} of {wanted} histories", file=sys.stderr)
    total["kills at every effect"], total["kills at every pair"] = _crashed(wanted)
    print(_table(total, time.monotonic() - began))
    print("lost 0, doubled 0, touched 0, claimed wrongly 0")
    return 0


def _crashed(wanted: int) -> tuple[int, int]:
    """Kills one run, and then two in a row, at every effect; or at as many pairs as wanted."""
    place = TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
    with place as folder, World(Path(folder)) as world:
        crashes = Crashes(world)
        once = crashes.kill(crashes.points())
        return once, crashes.kill(crashes.pairs(max(1, crashes.effects**2 // wanted)))


def _table(total: Counter[str], seconds: float) -> str:
    rows = sorted(total.items(), key=lambda row: (row[0] not in {"histories", "steps"}, row[0]))
    lines = [f"{count:>8}  {what}" for what, count in rows]
    return "\n".join([*lines, f"{seconds:>8.0f}  seconds"])


if __name__ == "__main__":
    sys.exit(main())
