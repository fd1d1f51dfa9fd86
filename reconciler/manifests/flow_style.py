"""Adding and removing what stands between brackets.

Rule: what stays keeps its text, and what separates it from what stays beside it. Something is
removed with the comma before it, or if it is the first with the one behind it; something new comes
right behind what precedes it, on a line of its own where the last one has such a line.
Which of its neighbours a comment belongs to cannot be told here: with one between the brackets,
nothing is added or removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifests.edits import NotEditableError, TextChange
from reconciler.manifests.parser import BREAK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifests.positions import Node, Source


def rearranged(
    source: Source,
    node: Node,
    spans: Sequence[tuple[int, int]],
    wanted: Sequence[tuple[int | None, str]],
) -> list[TextChange]:
    """The changes that leave only what is wanted between the brackets of a node.

    Args:
        source: the file.
        node: a flow mapping or sequence.
        spans: where its entries or elements stand.
        wanted: what it will hold: which of them, in their order, or None and the text of a new one.

    Raises:
        NotEditableError: there are comments between the brackets.
    """
    kept = [index for index, _ in wanted if index is not None]
    if len(kept) == len(wanted) == len(spans):
        return []
    first, last = node.begin + 1, node.end - 1
    ends = [first, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), last]
    gaps = [source.text[end:start] for end, start in zip(ends, starts, strict=True)]
    if any("#" in gap for gap in gaps):
        line = source.number(node.begin) + 1
        raise NotEditableError(f"line {line} has brackets with comments inside; edit it by hand")
    before_last = gaps[-2] if spans else ""
    separator = "," + (before_last.replace(",", "") if BREAK.search(before_last) else " ")
    if not kept:
        start, end = (starts[0], ends[-1]) if spans and wanted else (first, last)
        return [TextChange(start, end, separator.join(text for _, text in wanted))]
    added: dict[int, str] = {}  # by the place where it goes
    place = front = starts[kept[0]]
    for index, text in wanted:
        if index is not None:
            place = spans[index][1]
        else:
            new = text + separator if place == front else separator + text
            added[place] = added.get(place, "") + new
    return [
        TextChange(starts[0], front, ""),  # what stood before the first that stays
        *(
            TextChange(spans[index - 1][1], spans[index][1], "")
            for index in range(kept[0] + 1, len(spans))
            if index not in kept
        ),
        *(TextChange(place, place, text) for place, text in added.items()),
    ]
