"""The words that messages about an unknown name share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model import JSON


def did_you_mean(word: JSON, known: Iterable[str]) -> str:
    """The end of a message: the known word that is most like this one; empty if none is.

    Of addresses, that is the one whose kind was left out.
    """
    from difflib import get_close_matches  # only for a message

    known = list(known)
    whole = [item for item in known if item.endswith(f"/{word}")]
    close = whole or get_close_matches(str(word), known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
