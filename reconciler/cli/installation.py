"""How this copy of the tool is installed, and by which words a person runs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NAME = "alertsite-reconciler"
"""The distribution; the import package and the command have the shorter name."""
ON_PATH = ("reconciler",)
"""The command of an installation that the PATH finds."""


def command() -> tuple[str, ...]:
    """The words that run this copy from any folder: `reconciler` if that is what the PATH finds."""
    from shutil import which
    from zipfile import is_zipfile  # only for `init`

    started = Path(sys.argv[0])
    if started.is_file():
        found = which(*ON_PATH)
        if found and Path(found).samefile(started):
            return ON_PATH
        if is_zipfile(started):
            return (sys.executable, str(started.resolve()))
        if started.name in {*ON_PATH, NAME}:
            return (str(started.absolute()),)
    return (sys.executable, "-m", "reconciler")


def other_owners() -> tuple[str, ...]:
    """Other distributions that bring a package of the same name, so that one hides the other."""
    from importlib.metadata import distributions  # only for `doctor`

    # `packages_distributions` parses all files of all of them, which takes a second.
    found = {item.name for item in distributions() if item.name and _has_package(item)}
    return tuple(sorted(found - {NAME}))


def _has_package(distribution: Distribution) -> bool:
    """Whether a distribution brings a package or module named as ours."""
    if "reconciler" in (distribution.read_text("top_level.txt") or "").split():
        return True
    lists = map(distribution.read_text, ("RECORD", "SOURCES.txt"))
    if not any(text and "reconciler" in text for text in lists):
        return False
    tops = {file.parts[0] for file in distribution.files or () if file.suffix == ".py"}
    return not tops.isdisjoint({"reconciler", "reconciler.py"})
