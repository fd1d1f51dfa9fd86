"""How a value is to be shown."""

from __future__ import annotations

from typing import NamedTuple


class View(NamedTuple):
    """How a value is to be shown.

    Attributes:
        colour: whether text may be coloured.
        show_requests: whether a plan shows method, path and body of every request.
        folder: the working folder, which the paths of findings are relative to; empty if that does
            not matter.
        whole: where all of it is, for what is cut off.
    """

    colour: bool = False
    show_requests: bool = False
    folder: str = ""
    whole: str = ""
