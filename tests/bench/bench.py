"""Speed and memory as ratios measured in one run: `make bench`.

`ARGS=--quick` takes seconds on small fleets: it shows that everything runs, not how fast.
`ARGS='--part accounts --part dask'` measures these parts alone.

Every figure is of whole processes, timed in turn with what it is compared with, so that a machine
that slows down slows both; the ratio is the median of the pairs. The yardstick for whole fleets is
ruamel.yaml's own C-backed safe loader, parsing the same files and doing nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import fleet
from runner import (
    LOGIN,
    TOOL,
    Run,
    RunError,
    cluster,
    leave_blocks_on_signals,
    peaks,
    run,
    run_read,
    sandbox,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OUTPUT = Path(".reconciler/bench.json")
DELAY = 0.05
YARDSTICK = """
import os, sys
from ruamel.yaml.cyaml import CSafeLoader
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            CSafeLoader(file.read())._constructor.get_single_data()
"""
PYTHON = [sys.executable, "-c", "pass"]


class Scale(NamedTuple):
    """How much is measured.

    Attributes:
        runs: counted runs of each command.
        small: monitors of the fleet whose plan is compared with Python's start.
        large: monitors of the fleet that is compared with the yardstick.
        patches: monitors that apply changes.
        growth: monitors of the fleets whose plans are compared with each other: none, or a small
            one, by whose figures the start of the process is taken off, and at least two more.
        accounts: how many, of how many monitors each, are planned in one process.
    """

    runs: int
    small: int
    large: int
    patches: int
    growth: tuple[int, ...]
    accounts: tuple[int, int]


FULL = Scale(5, 100, 10_000, 1_000, (100, 1_000, 10_000, 50_000), (100, 1_000))
QUICK = Scale(1, 100, 500, 50, (), (3, 20))
AT_ONCE = 8
"""Accounts that are planned at once."""
WORKERS = 2
FIRST = 0.5
"""The share of a run after which its first result is there; nearly 1 if all are kept to the end."""


class Figure(NamedTuple):
    """One line of the report; `limit` is the target that the project has set itself."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    def line(self) -> str:
        limit = "" if self.limit is None else f"   (target: at most {self.limit:g})"
        return f"{self.name:<64} {self.value:8.2f} {self.unit}{limit}"


def in_turn(
    runs: int, commands: dict[str, tuple[list[str], Path, str | None]]
) -> dict[str, list[Run]]:
    """Runs the commands one after the other, `runs` times; the first round only warms up."""
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, (command, folder, url) in commands.items():
            finished = run(command, folder, url)
            if number:
                found[name].append(finished)
    return found


def ratio(runs: dict[str, list[Run]], name: str, other: str) -> float:
    """The median of the ratios of the pairs."""
    pairs = zip(runs[name], runs[other], strict=True)
    return statistics.median(one.seconds / two.seconds for one, two in pairs)


def start_up(root: Path, scale: Scale) -> Iterator[Figure]:
    folder = _fleet(root, scale.small)
    with sandbox(folder) as url:
        found = in_turn(
            3 * scale.runs,
            {
                "python": (PYTHON, folder, None),
                "version": ([*TOOL, "--version"], folder, None),
                "plan": ([*TOOL, "plan"], folder, url),
            },
        )
    yield Figure("reconciler --version / python -c pass", ratio(found, "version", "python"), "x", 5)
    name = f"plan of {scale.small} files / python -c pass"
    yield Figure(name, ratio(found, "plan", "python"), "x", 15)


def fleets(root: Path, scale: Scale) -> Iterator[Figure]:
    folder, size = _fleet(root, scale.large), f"{scale.large:,}"
    with sandbox(folder) as url:
        run([*TOOL, "apply", "--auto-approve", "--state", "known.json"], folder, url)
        found = in_turn(
            scale.runs,
            {
                "yardstick": ([sys.executable, "-c", YARDSTICK, "monitors"], folder, None),
                "validate": ([*TOOL, "validate"], folder, None),
                "plan": ([*TOOL, "plan"], folder, url),
                "known": ([*TOOL, "plan", "--state", "known.json"], folder, url),
                "offline": ([*TOOL, "plan", "--offline", "--state", "known.json"], folder, None),
            },
        )
    yield Figure(f"validate of {size} / yardstick", ratio(found, "validate", "yardstick"), "x", 0.4)
    name = f"plan of {size}, no change / yardstick"
    yield Figure(name, ratio(found, "plan", "yardstick"), "x", 0.5)
    name = f"plan of {size} with their state / without"
    yield Figure(name, ratio(found, "known", "plan"), "x", 1.15)
    name = f"plan of {size} offline / yardstick"
    yield Figure(name, ratio(found, "offline", "yardstick"), "x")
    memory = max(finished.mebibytes for finished in found["plan"])
    yield Figure(f"plan of {size}: peak memory", memory, "MiB", 130)


def requests(root: Path, scale: Scale) -> Iterator[Figure]:
    """What a plan without a change asks AlertSite for.

    A count is not noisy, so another one than expected fails the benchmark.

    Raises:
        RunError: the plan made other requests than a login and one list.
    """
    folder = _fleet(root, scale.large)
    with sandbox(folder, "--request-log", "requests.jsonl") as url:
        run([*TOOL, "plan"], folder, url)
    lines = (folder / "requests.jsonl").read_text().splitlines()
    made = Counter(f"{entry['method']} {entry['path']}" for entry in map(json.loads, lines))
    name = f"plan of {scale.large:,}, no change"
    yield Figure(f"{name}: lists", made["GET /monitors"], "", 1)
    by_id = sum(count for call, count in made.items() if call.startswith("GET /monitors/"))
    yield Figure(f"{name}: GETs by id", by_id, "", 0)
    if made != {"POST /access-tokens": 1, "GET /monitors": 1}:
        raise RunError(f"{name}: expected one login and one list, but it made {dict(made)}")


def apply(root: Path, scale: Scale) -> Iterator[Figure]:
    """What apply adds to a plan of the same fleet, against the time that the delays alone take.

    Journal and state are written as always; each run begins without them.
    """
    folder = root / "changed"
    fleet.write(folder, scale.patches, timeout=45)
    for parallelism in (8, 16):
        limit = math.ceil(scale.patches / parallelism) * DELAY
        ratios = []
        for _ in range(scale.runs):
            shutil.rmtree(folder / ".reconciler", ignore_errors=True)
            with sandbox(folder, "--fault", f"PATCH * delay={DELAY}") as url:
                planned = run([*TOOL, "plan"], folder, url)
                command = [*TOOL, "apply", "--auto-approve", "--parallelism", str(parallelism)]
                ratios.append((run(command, folder, url).seconds - planned.seconds) / limit)
        name = f"apply of {scale.patches:,}, {parallelism} in flight / {limit:.2f} s of delays"
        yield Figure(name, statistics.median(ratios), "x", 1.15)


def growth(root: Path, scale: Scale) -> Iterator[Figure]:
    found: dict[int, Run] = {}
    for size in scale.growth:
        folder = _fleet(root, size)
        with sandbox(folder) as url:
            found[size] = run([*TOOL, "plan"], folder, url)
        yield Figure(f"plan of {size:,}: wall", found[size].seconds, "s")
        yield Figure(f"plan of {size:,}: peak memory", found[size].mebibytes, "MiB")
    if not scale.growth:
        return
    small, *_, middle, large = scale.growth
    start, shorter, longer = found[small], found[middle], found[large]
    times = large / middle
    seconds = (longer.seconds - start.seconds) / (shorter.seconds - start.seconds) / times
    extra, base = longer.mebibytes - start.mebibytes, shorter.mebibytes - start.mebibytes
    span = f"growth from {middle:,} to {large:,}"
    yield Figure(f"{span}: wall / linear", seconds, "x")
    yield Figure(f"{span}: memory / linear", extra / base / times, "x")


def accounts(root: Path, scale: Scale) -> Iterator[Figure]:
    """Many accounts in one process, against one account with as many monitors in all.

    One sandbox serves all of them: a plan without changes only reads.
    """
    count, size = scale.accounts
    folder, whole, largest = _accounts(root, scale), root / "whole", root / "largest"
    fleet.write(whole, count * size)
    fleet.write(largest, AT_ONCE * size)
    many, one, first = [], [], 0.0
    with sandbox(folder) as of_many, sandbox(whole) as of_one:
        fleet.write_tokens(folder, of_many, *LOGIN.values())
        for _ in range(scale.runs):  # in turn, as a machine that slows down slows both
            finished, first = run_read([*TOOL, "plan"], folder, of_many)
            many.append(finished)
            one.append(run([*TOOL, "plan"], whole, of_one))
    with sandbox(largest) as url:
        some = run([*TOOL, "plan"], largest, url)
    name = f"plan of {count:,} accounts of {size:,}"
    yield Figure(f"plan of {count * size:,}: wall", min(item.seconds for item in one), "s")
    found = ratio({"many": many, "one": one}, "many", "one")
    yield Figure(f"{name} / of one with {count * size:,}", found, "x", 1.15)
    memory = max(item.mebibytes for item in many) / some.mebibytes
    yield Figure(f"{name}: memory / of one with {AT_ONCE * size:,}", memory, "x", 1.3)
    yield Figure(f"{name}: first result / wall", first, "x", FIRST)


def over_dask(root: Path, scale: Scale) -> Iterator[Figure]:
    """The same accounts on two workers of a Dask scheduler, against threads of one process.

    As many accounts are planned at once; the memory is that of the larger worker. The command
    itself starts anew, the workers do not: they have imported what they need in a run before.
    """
    count, size = scale.accounts
    folder = _accounts(root, scale)
    with sandbox(folder) as url:
        fleet.write_tokens(folder, url, *LOGIN.values())
        threads = run([*TOOL, "plan"], folder, url)
        with cluster(folder, url, WORKERS, AT_ONCE // WORKERS) as address:
            command = [*TOOL, "plan", "--executor", f"dask:{address}"]
            run([*command, "--account", "account-00?"], folder, url)
            workers, first = run_read(command, folder, url)
            memory = max(peaks(address))
    name = f"plan of {count:,} accounts of {size:,}, {WORKERS} workers"
    yield Figure(f"{name} / threads", workers.seconds / threads.seconds, "x")
    yield Figure(f"{name}: memory / threads", memory / threads.mebibytes, "x")
    yield Figure(f"{name}: first result / wall", first, "x", FIRST)


PARTS = {
    "start": start_up,
    "fleets": fleets,
    "requests": requests,
    "apply": apply,
    "growth": growth,
    "accounts": accounts,
    "dask": over_dask,
}


def _fleet(root: Path, size: int) -> Path:
    """The folder of a fleet of that size, which parts share."""
    folder = root / str(size)
    if not folder.exists():
        fleet.write(folder, size)
    return folder


def _accounts(root: Path, scale: Scale) -> Path:
    """The folder with many accounts, which parts share."""
    folder = root / "accounts"
    if not folder.exists():
        fleet.write(folder, scale.accounts[1])
        fleet.write_accounts(folder, scale.accounts[0], AT_ONCE)
    return folder


def measure(parts: Iterable[str], scale: Scale) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        for part in parts:
            yield from PARTS[part](Path(name), scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, help=f"counted runs of each command ({FULL.runs})")
    parser.add_argument("--quick", action="store_true", help="small fleets, one run, no targets")
    parser.add_argument(
        "--part",
        action="append",
        choices=PARTS,
        help="measure this part alone; may be repeated. accounts: 100 accounts of 1,000 monitors "
        "in one process; dask: the same on two workers of a Dask scheduler on this machine",
    )
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    if options.runs is not None:
        scale = scale._replace(runs=options.runs)

    leave_blocks_on_signals()
    figures = []
    try:
        for measured in measure(options.part or PARTS, scale):
            figure = measured._replace(limit=None) if options.quick else measured
            print(figure.line(), flush=True)
            figures.append(figure)
    except RunError as error:
        sys.exit(f"The benchmark failed: {error}")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([figure._asdict() for figure in figures], indent=2) + "\n")
    print(f"Written to {OUTPUT}.")


if __name__ == "__main__":
    main()
