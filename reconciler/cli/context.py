"""What every command is given by `run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reconciler.context import Clock
    from reconciler.core.redactor import Redactor


class Context(NamedTuple):
    """The click object of a command line.

    Attributes:
        clock: what time it is.
        redactor: what takes known secrets out of all that leaves this process.
        here: the working folder as the root sees it; empty if it is the root.
        is_verbose: whether each request is shown.
    """

    clock: Clock
    redactor: Redactor
    here: str = ""
    is_verbose: bool = False
