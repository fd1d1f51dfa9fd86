"""The words that messages about an unknown name share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model import JSON


def did_you_mean(word: JSON, known: Iterable[str]) -> str:
    """The end of a message: the known word that is most like this one; empty if none is.

    Of addresses, that is the one whose kind was left out.
    """
    known = list(known)
    whole = [item for item in known if item.endswith(f"/{word}")]
    found = whole[0] if whole else nearest(str(word), known)
    return f"; did you mean {found}?" if found else ""
