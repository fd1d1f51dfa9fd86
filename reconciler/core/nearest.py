"""Which known word somebody may have meant who wrote another one; rather none than a far one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model import JSON

_ALIKE = 0.75
"""What `difflib` gives four letters of which two are swapped."""
_BEGINNING = 3
"""So many letters say which word they begin."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like this one; empty if none is like it.

    Of addresses both parts are compared, as they all begin with one of a few kinds.
    """
    from difflib import get_close_matches  # only for a message

    known = list(known)
    kind, slash, name = word.rpartition("/")
    if slash:
        kind = nearest(kind, {item.rpartition("/")[0] for item in known})
        names = [item.removeprefix(f"{kind}/") for item in known if item.startswith(f"{kind}/")]
        name = nearest(name, names)
        return f"{kind}/{name}" if name else ""
    if close := get_close_matches(word, known, n=1, cutoff=_ALIKE):
        return close[0]
    begun = [item for item in known if item.startswith(word)] if len(word) >= _BEGINNING else []
    return begun[0] if len(begun) == 1 else ""


def did_you_mean(word: JSON, known: Iterable[str]) -> str:
    """The end of a message: the known word that is most like this one; empty if none is.

    Of addresses, that is the one whose kind was left out.
    """
    known = list(known)
    whole = [item for item in known if item.endswith(f"/{word}")]
    found = whole[0] if whole else nearest(str(word), known)
    return f"; did you mean {found}?" if found else ""
