"""A short search for input that breaks a command line; `make soak` searches longer.

`FUZZ_CASES` (how many), `FUZZ_FIRST` and `FUZZ_SEED` repeat a case.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

from fuzz.cases import KINDS
from fuzz.search import Figures

if TYPE_CHECKING:
    from pathlib import Path

_CASES = 108


def test_no_input_breaks_a_command_line(tmp_path: Path) -> None:
    count = int(os.environ.get("FUZZ_CASES", _CASES))
    first = int(os.environ.get("FUZZ_FIRST", "0"))
    seed = int(os.environ.get("FUZZ_SEED", secrets.randbelow(2**31)))
    sys.stdout.write(f"FUZZ_SEED={seed} FUZZ_CASES={count}\n")  # shown if it fails
    figures = Figures()
    figures.search(tmp_path, seed, range(first, first + count))
    # It has been a search: not all was refused at once, and not all was taken.
    assert figures.kinds.total() == count
    if count >= len(KINDS):
        assert {*figures.kinds} == {*KINDS}
        assert figures.codes[0] > count // 20
        assert figures.codes[3] > count // 20
