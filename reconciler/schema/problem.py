"""What is wrong with one value of a manifest, and the words that all such messages share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model import JSON


class Problem(NamedTuple):
    """One way in which a document does not fit its schema.

    Attributes:
        pointer: the keys and indices that lead to the value.
        of_key: the place to show is that of the key, not of the value.
        other: where the other value stands, if it is two that do not go together.
    """

    pointer: tuple[str | int, ...]
    code: str
    message: str
    of_key: bool = False
    other: tuple[str, ...] = ()


def did_you_mean(word: JSON, known: Iterable[str]) -> str:
    """The end of a message: the known word that is most like this one; empty if none is."""
    from difflib import get_close_matches  # only for a message

    close = get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
