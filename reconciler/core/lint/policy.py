"""What a project makes of lint: how severe each code is to it.

Rule: pure.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from reconciler.core.lint.codes import CODES
from reconciler.errors import Severity

OFF = "off"


class Policy(NamedTuple):
    """How severe the codes are in one project.

    Attributes:
        severities: patterns of codes, each with a severity or `off`; the last that matches counts.
    """

    severities: tuple[tuple[str, str], ...] = ()

    def severity(self, code: str) -> Severity | None:
        """How severe that code is; None if nothing is said of it."""
        found = CODES[code].severity.value
        for pattern, wanted in self.severities:
            if fnmatchcase(code, pattern):
                found = wanted
        return None if found == OFF else Severity(found)

    def meaningless(self) -> tuple[str, ...]:
        """The patterns that match no code."""
        return tuple(
            pattern
            for pattern, _ in self.severities
            if not any(fnmatchcase(code, pattern) for code in CODES)
        )
