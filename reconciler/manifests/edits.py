"""What is to be changed: fields of manifests, and the text that says them."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import repeat
from typing import TYPE_CHECKING, Final, NamedTuple

from reconciler.core.model import canonical, elements_by_key
from reconciler.manifests.parser import Parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.core.model import JSON
    from reconciler.manifests.parser import Document


class NotEditableError(ValueError):
    """A change that cannot be made without changing something else; the text says why."""


def parsed(data: bytes) -> list[Document]:
    """The documents of a file that can be edited.

    Raises:
        NotEditableError: it has findings.
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        raise NotEditableError("the file is not UTF-8") from None
    documents, findings = Parser().parse("", data)
    if findings:
        raise NotEditableError("the file has findings")
    return documents


def said(documents: Iterable[Document]) -> list[tuple[int, str]]:
    """What two files share exactly when their documents say the same."""
    return [(document.number, canonical(document.value)) for document in documents]


class TextChange(NamedTuple):
    """The characters from `start` up to `end` are to be replaced by a text."""

    start: int
    end: int
    text: str


def spliced(text: str, changes: Iterable[TextChange]) -> str:
    """A text with changes made, which do not overlap."""
    pieces, place = [], 0
    for change in sorted(changes):
        pieces += [text[place : change.start], change.text]
        place = change.end
    return "".join([*pieces, text[place:]])


ABSENT: Final = object()
"""What is wanted of a field that is to be removed."""


class FieldEdit(NamedTuple):
    """What a field is to say.

    Attributes:
        value: JSON, or `ABSENT`.
        set_key: for a list that is a set, what tells its elements apart: then those that stay keep
            their order, and new ones come last.
        after: the key that it stands behind if it is new; the last one by default.
    """

    value: JSON
    set_key: str | None = None
    after: str | None = None


class Matched(NamedTuple):
    """An element that a list will hold.

    Attributes:
        old: which element it is now; None for a new one.
    """

    old: int | None
    value: JSON


def settled(old: JSON, want: FieldEdit) -> JSON:
    """The wanted value as it will stand: a set in the order of what was there."""
    if isinstance(old, list) and isinstance(want.value, list):
        return [item.value for item in matched(old, want)]
    return want.value


def matched(old: Sequence[JSON], want: FieldEdit) -> list[Matched]:
    """The elements that a list will hold, in order."""
    new = want.value
    before, after = elements_by_key(old, want.set_key), elements_by_key(new, want.set_key)
    if before is not None and after is not None:
        kept = [Matched(index, after[key]) for index, key in enumerate(before) if key in after]
        return [*kept, *(Matched(None, after[key]) for key in after if key not in before)]
    texts = [canonical(item) for item in old], [canonical(item) for item in new]
    found: list[Matched] = []
    for code, first, _, start, end in SequenceMatcher(None, *texts, autojunk=False).get_opcodes():
        was = range(first, first + end - start) if code == "equal" else repeat(None)
        found += map(Matched, was, new[start:end])
    return found
