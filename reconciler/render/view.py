"""How a value is to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reconciler.core.grouping import Detail


class View(NamedTuple):
    """How a value is to be shown.

    Attributes:
        colour: whether text may be coloured.
        show_requests: whether a plan shows method, path and body of every request.
        detail: how much of a plan is shown; None for what can be read.
        pages: whether a text that does not fit on the terminal goes to a pager.
        folder: the working folder, which the paths of findings are relative to; empty if that does
            not matter.
        whole: where all of it is, for what is cut off.
    """

    colour: bool = False
    show_requests: bool = False
    detail: Detail | None = None
    pages: bool = False
    folder: str = ""
    whole: str = ""
