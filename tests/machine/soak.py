"""`make soak`: thousands of histories and of odd inputs, and a table of what was in them.

`MACHINE_HISTORIES` says how many histories, `MACHINE_SEED` where to begin; `FUZZ_CASES`,
`FUZZ_SEED` and `FUZZ_FIRST` the same of odd inputs. Neither is searched if there are to be none.
It ends at the first that breaks a law, with the command that repeats it.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.search import Figures
from machine.crashes import Crashes
from machine.search import search
from machine.world import World

_HISTORIES = 3000
_AT_ONCE = 100
_CASES = 10_000
_CASES_AT_ONCE = 1_000
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
"""Where files cost nothing, if there is such a place."""


def main() -> int:
    if histories := int(os.environ.get("MACHINE_HISTORIES", _HISTORIES)):
        _search(histories)
    if cases := int(os.environ.get("FUZZ_CASES", _CASES)):
        _fuzz(cases)
    return 0


def _search(wanted: int) -> None:
    first = int(os.environ.get("MACHINE_SEED", secrets.randbelow(2**31)))
    total: Counter[str] = Counter()
    began = time.monotonic()
    processes = os.cpu_count() or 1
    # A search keeps all of its histories in memory, so each has a process of its own.
    with ProcessPoolExecutor(processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        seeds = range(first, first + max(1, wanted // _AT_ONCE))
        work = [pool.submit(_batch, min(wanted, _AT_ONCE), seed) for seed in seeds]
        work += [pool.submit(_crashed, wanted, part, processes) for part in range(processes)]
        try:
            for done in as_completed(work):
                total += done.result()
                print(f"{total['histories']} of {wanted} histories", file=sys.stderr)
        except BaseException:
            print(_table(total, time.monotonic() - began))
            pool.shutdown(cancel_futures=True)
            raise
    print(_table(total, time.monotonic() - began))
    print("lost 0, doubled 0, touched 0, claimed wrongly 0")


def _batch(count: int, seed: int) -> Counter[str]:
    place = TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
    with place as folder:
        try:
            return search(Path(folder), count, seed)
        except BaseException:
            print(f"A law is broken: MACHINE_SEED={seed} MACHINE_HISTORIES={count} make soak")
            raise


def _fuzz(wanted: int) -> None:
    seed = int(os.environ.get("FUZZ_SEED", secrets.randbelow(2**31)))
    first = int(os.environ.get("FUZZ_FIRST", "0"))
    figures = Figures()
    began = time.monotonic()
    for start in range(first, first + wanted, _CASES_AT_ONCE):
        numbers = range(start, min(start + _CASES_AT_ONCE, first + wanted))
        with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
            try:
                figures.search(Path(folder), seed, numbers)
            except BaseException:
                print(figures.table())
                raise
        print(f"{figures.kinds.total()} of {wanted} odd inputs", file=sys.stderr)
    print(figures.table())
    print(f"{time.monotonic() - began:>8.0f}  seconds")
    print("bugs 0, hostile output 0, beyond the deadline 0, beyond the memory 0")


def _crashed(wanted: int, part: int, parts: int) -> Counter[str]:
    """Kills one run, and then two in a row, at every effect; or at as many pairs as wanted.

    Args:
        wanted: about so many pairs, in all parts.
        part: which of them, from 0.
        parts: how many there are.
    """
    place = TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
    with place as folder, World(Path(folder)) as world:
        crashes = Crashes(world)
        found = Counter(
            {"kills at every effect": crashes.kill_at_every_effect() if not part else 0}
        )
        found["kills at every pair"] = crashes.kill(
            islice(crashes.pairs(wanted), part, None, parts)
        )
        return found


def _table(total: Counter[str], seconds: float) -> str:
    rows = sorted(total.items(), key=lambda row: (row[0] not in {"histories", "steps"}, row[0]))
    lines = [f"{count:>8}  {what}" for what, count in rows]
    return "\n".join([*lines, f"{seconds:>8.0f}  seconds"])


if __name__ == "__main__":
    sys.exit(main())
