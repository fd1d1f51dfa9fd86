"""Speed and memory as ratios measured in one run: `make bench`; `ARGS='--runs 3'` is a quick look.

Every figure is of whole processes, timed in turn with what it is compared with, so that a machine
that slows down slows both; the ratio is the median of the pairs. The yardstick for whole fleets is
ruamel.yaml's own C-backed safe loader, parsing the same files and doing nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
import fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OUTPUT = Path(".reconciler/bench.json")
SIZES = (100, 1_000, 10_000, 50_000)
DELAY = 0.05
PATCHES = 1_000
YARDSTICK = """
import os, sys
from ruamel.yaml.cyaml import CSafeLoader
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            CSafeLoader(file.read())._constructor.get_single_data()
"""
PYTHON = [sys.executable, "-c", "pass"]
TOOL = [str(Path(sys.executable).with_name("reconciler"))]


class Run(NamedTuple):
    """One finished process: wall seconds and peak resident MiB."""

    seconds: float
    mebibytes: float


class Figure(NamedTuple):
    """One line of the report; `limit` is the target that the project has set itself."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    def line(self) -> str:
        limit = "" if self.limit is None else f"   (target: at most {self.limit:g})"
        return f"{self.name:<64} {self.value:8.2f} {self.unit}{limit}"


def run(command: Sequence[str], folder: Path, url: str | None = None) -> Run:
    """Runs a command to its end, which must be a good one."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "CI" and not name.startswith("ALERTSITE_")
    }
    if url is not None:
        environment |= {
            "ALERTSITE_URL": url,
            "ALERTSITE_USERNAME": "demo@example.com",
            "ALERTSITE_PASSWORD": "demo",
        }
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} in {folder} ended with {process.returncode}")
    return Run(seconds, usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024))


@contextmanager
def sandbox(folder: Path, *options: str) -> Iterator[str]:
    """A sandbox in a process of its own; yields its URL."""
    command = [*TOOL, "sandbox", "--seed-file", "account.json", *options]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip().partition("=")[2]
        process.terminate()


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


def start_up(root: Path, runs: int) -> Iterator[Figure]:
    folder = root / "100"
    with sandbox(folder) as url:
        found = in_turn(
            3 * runs,
            {
                "python": (PYTHON, folder, None),
                "version": ([*TOOL, "--version"], folder, None),
                "plan": ([*TOOL, "plan"], folder, url),
            },
        )
    yield Figure("reconciler --version / python -c pass", ratio(found, "version", "python"), "x", 5)
    yield Figure("plan of 100 files / python -c pass", ratio(found, "plan", "python"), "x", 15)


def fleets(root: Path, runs: int) -> Iterator[Figure]:
    folder = root / "10000"
    with sandbox(folder) as url:
        run([*TOOL, "apply", "--auto-approve", "--state", "known.json"], folder, url)
        found = in_turn(
            runs,
            {
                "yardstick": ([sys.executable, "-c", YARDSTICK, "monitors"], folder, None),
                "validate": ([*TOOL, "validate"], folder, None),
                "plan": ([*TOOL, "plan"], folder, url),
                "known": ([*TOOL, "plan", "--state", "known.json"], folder, url),
                "offline": ([*TOOL, "plan", "--offline", "--state", "known.json"], folder, None),
            },
        )
    yield Figure("validate of 10,000 / yardstick", ratio(found, "validate", "yardstick"), "x", 0.4)
    yield Figure(
        "plan of 10,000, no change / yardstick", ratio(found, "plan", "yardstick"), "x", 0.5
    )
    yield Figure(
        "plan of 10,000 with their state / without", ratio(found, "known", "plan"), "x", 1.15
    )
    yield Figure("plan of 10,000 offline / yardstick", ratio(found, "offline", "yardstick"), "x")
    memory = max(finished.mebibytes for finished in found["plan"])
    yield Figure("plan of 10,000: peak memory", memory, "MiB", 130)


def growth(root: Path) -> Iterator[Figure]:
    found: dict[int, Run] = {}
    for size in SIZES:
        with sandbox(root / str(size)) as url:
            found[size] = run([*TOOL, "plan"], root / str(size), url)
        yield Figure(f"plan of {size:,}: wall", found[size].seconds, "s")
        yield Figure(f"plan of {size:,}: peak memory", found[size].mebibytes, "MiB")
    small, middle, large = found[SIZES[0]], found[SIZES[-2]], found[SIZES[-1]]
    times = SIZES[-1] / SIZES[-2]
    seconds = (large.seconds - small.seconds) / (middle.seconds - small.seconds) / times
    memory = (large.mebibytes - small.mebibytes) / (middle.mebibytes - small.mebibytes) / times
    yield Figure("growth from 10,000 to 50,000: wall / linear", seconds, "x")
    yield Figure("growth from 10,000 to 50,000: memory / linear", memory, "x")


def apply(root: Path, runs: int) -> Iterator[Figure]:
    """What apply adds to a plan of the same fleet, against the time that the delays alone take.

    Journal and state are written as always; each run begins without them.
    """
    folder = root / "changed"
    for parallelism in (8, 16):
        limit = math.ceil(PATCHES / parallelism) * DELAY
        ratios = []
        for _ in range(runs):
            shutil.rmtree(folder / ".reconciler", ignore_errors=True)
            with sandbox(folder, "--fault", f"PATCH * delay={DELAY}") as url:
                planned = run([*TOOL, "plan"], folder, url)
                command = [*TOOL, "apply", "--auto-approve", "--parallelism", str(parallelism)]
                ratios.append((run(command, folder, url).seconds - planned.seconds) / limit)
        name = f"apply of {PATCHES:,}, {parallelism} in flight / {limit:.2f} s of delays"
        yield Figure(name, statistics.median(ratios), "x", 1.15)


def prepare(root: Path) -> None:
    for size in SIZES:
        fleet.write(root / str(size), size)
    fleet.write(root / "changed", PATCHES, interval=10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each command")
    runs = parser.parse_args().runs
    root = Path(tempfile.mkdtemp(prefix="reconciler-bench-"))
    figures: list[Figure] = []
    try:
        prepare(root)
        for part in (start_up(root, runs), fleets(root, runs), apply(root, runs), growth(root)):
            for figure in part:
                print(figure.line(), flush=True)
                figures.append(figure)
    finally:
        shutil.rmtree(root)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([figure._asdict() for figure in figures], indent=2) + "\n")
    print(f"Written to {OUTPUT}.")


if __name__ == "__main__":
    main()
