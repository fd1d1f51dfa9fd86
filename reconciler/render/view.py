"""How a value is to be shown, and how paths are."""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reconciler.core.grouping import Detail


class Made(NamedTuple):
    """Where what is shown comes from; what is not known is empty.

    Attributes:
        commit: of the manifests.
        run: the id of the run that made it.
        read_at: when AlertSite was read, RFC 3339 UTC.
        version: of the tool.
        apply: the command that applies all that is shown.
        apply_part: the one that applies a part, when `--target ADDRESS` is added.
    """

    commit: str = ""
    run: str = ""
    read_at: str = ""
    version: str = ""
    apply: str = ""
    apply_part: str = ""


class View(NamedTuple):
    """How a value is to be shown.

    Attributes:
        colour: whether text may be coloured.
        show_requests: whether a plan shows method, path and body of every request.
        detail: how much of a plan is shown; None for what can be read.
        pages: whether a text that does not fit on the terminal goes to a pager.
        folder: the working folder, in full; empty if that does not matter.
        root: the folder of the whole repository, in full.
        whole: where all of it is, for what is cut.
        limit: how many bytes a format may have that is cut.
        made: where it comes from.
    """

    colour: bool = False
    show_requests: bool = False
    detail: Detail | None = None
    pages: bool = False
    folder: str = ""
    root: str = ""
    whole: str = ""
    limit: int = 65_000
    made: Made = Made()


def in_repository(path: str, view: View) -> str:
    """The path as platforms name files: from the root of the repository, without dots."""
    full = normpath(join(view.folder, path))
    if not full.startswith("/"):  # where it is is not known
        return "" if full == "." else full
    root = f"{view.root.rstrip('/')}/" if view.root else ""
    return f"/{full.lstrip('/')}".removeprefix(root)
