"""What is valid and still looks wrong to somebody who runs mail servers.

Rule: pure; a rule knows manifests and their fields, not files. What cannot be meant is an error;
where the vendor's pages only suggest a rule, it is no more than a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.lint.alone import of_one
from reconciler.core.lint.applied import unnamed_fields
from reconciler.core.lint.codes import (
    BAD_COMMENT,
    CODES,
    EXPIRED_IGNORE,
    EXPIRED_MAINTENANCE,
    UNASKED,
    UNUSED_UNTIL,
)
from reconciler.core.lint.together import of_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.core.model import Desired
    from reconciler.errors import Problem


__all__ = [
    "BAD_COMMENT",
    "CODES",
    "EXPIRED_IGNORE",
    "EXPIRED_MAINTENANCE",
    "UNASKED",
    "UNUSED_UNTIL",
    "lint",
    "unnamed_fields",
]


def lint(fleet: Sequence[Desired]) -> Iterator[Problem]:
    """What looks wrong in valid manifests, in no particular order."""
    for item in fleet:
        yield from of_one(item)
    yield from of_all(fleet)
