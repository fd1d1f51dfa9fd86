"""Runs so many cases, and tells what came of them; shared by the test and by `make soak`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fuzz import target
from fuzz.cases import Case, Corpus, make

if TYPE_CHECKING:
    from pathlib import Path

_MOST_SHOWN = 3000


@dataclass
class Figures:
    """What a search has done."""

    kinds: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    memory: tuple[int, str] = (0, "")

    def search(self, folder: Path, seed: int, numbers: range) -> None:
        """Adds what became of the cases with these numbers.

        Raises:
            BrokenError: a command line did what none may; says how to repeat it.
        """
        with target.serving() as account:
            corpus = Corpus(folder, account)
            try:
                for number in numbers:
                    self._add(*_one(corpus, seed, number))
            finally:
                target.clear(folder)

    def _add(self, case: Case, ran: target.Ran) -> None:
        label = f"{case.kind}: {' '.join(case.arguments)[:80]}"
        self.kinds[case.kind] += 1
        self.codes[ran.code] += 1
        self.slowest = max(self.slowest, (ran.seconds, label))
        self.memory = max(self.memory, (ran.memory, label))

    def table(self) -> str:
        rows = [(str(count), f"fuzzed: {kind}") for kind, count in sorted(self.kinds.items())]
        rows += [(str(count), f"exit code {code}") for code, count in sorted(self.codes.items())]
        rows.append((f"{self.slowest[0]:.2f}", f"seconds, the slowest ({self.slowest[1]})"))
        rows.append((f"{self.memory[0] / 1024:.0f}", f"MiB, the largest ({self.memory[1]})"))
        return "\n".join(f"{figure:>8}  {what}" for figure, what in rows)


def _one(corpus: Corpus, seed: int, number: int) -> tuple[Case, target.Ran]:
    case = make(corpus, seed, number)
    ran: target.Ran | None = None
    try:
        ran = target.run(corpus.folder, case.arguments, corpus.environment)
        target.check(ran, case.arguments)
    except (target.BrokenError, target.TooLong, ValueError) as error:
        raise target.BrokenError(_told(seed, case, ran, error)) from None
    return case, ran


def _told(seed: int, case: Case, ran: target.Ran | None, error: BaseException) -> str:
    payload = repr(case.payload)
    said = "" if ran is None else f"{ran.out[-_MOST_SHOWN:]}{ran.err[-_MOST_SHOWN:]}"
    return (
        f"{type(error).__name__} {error}: FUZZ_SEED={seed} FUZZ_FIRST={case.number} FUZZ_CASES=1\n"
        f"{case.kind}: reconciler {' '.join(map(repr, case.arguments))}\n"
        f"{payload[:_MOST_SHOWN]}{'…' if len(payload) > _MOST_SHOWN else ''}\n{said}"
    )
