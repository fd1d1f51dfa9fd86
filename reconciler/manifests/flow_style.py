"""Adding and removing what stands between brackets, with the commas, breaks and comments between.

Rule: a comment belongs to what stands before it on its line. What stays keeps its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.manifests.edits import TextChange
from reconciler.manifests.positions import BREAK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifests.positions import Node


class Kept(NamedTuple):
    """Something that will stand between the brackets.

    Attributes:
        old: which of those that stand there now it is; None for a new one.
        text: what it will say.
    """

    old: int | None
    text: str


class _Piece(NamedTuple):
    """Something between brackets, with what surrounds it.

    Attributes:
        lead: what stands between the end of the line before, or the comma, and itself.
        tail: what stands between itself and its comma, or the end of its line.
        post: what stands behind its comma up to the end of its line.
    """

    lead: str
    text: str
    tail: str = ""
    has_comma: bool = False
    post: str = ""


def rebuilt(
    text: str, node: Node, spans: Sequence[tuple[int, int]], wanted: Sequence[Kept], newline: str
) -> TextChange:
    """The change that leaves only what is wanted between the brackets of a node.

    Args:
        text: the file.
        node: a flow mapping or sequence.
        spans: where its entries or elements stand.
        wanted: what it will hold, in order.
        newline: how lines end.
    """
    first, last = node.begin + 1, node.end - 1
    if not wanted:
        return TextChange(first, last, "")
    if not spans:
        added = ", ".join(kept.text for kept in wanted)
        return TextChange(
            first, last, added + (text[first:last] if text[first:last].strip() else "")
        )
    head, pieces, close = _taken_apart(text, spans, first, last)
    return TextChange(first, last, _joined(head, pieces, wanted, close, newline))


def _joined(
    head: str, pieces: Sequence[_Piece], wanted: Sequence[Kept], close: str, newline: str
) -> str:
    separator = _separator(pieces, newline)
    result = head
    for number, kept in enumerate(wanted):
        piece = _Piece(separator, "") if kept.old is None else pieces[kept.old]
        lead = piece.lead
        if number == 0 and not BREAK.search(pieces[0].lead):
            lead = ""
        elif number and kept.old == 0:  # it was the first, and is not any more
            lead = separator
        if _ends_in_comment(result) and not BREAK.search(lead):
            lead = newline + lead
        comma = "," if number < len(wanted) - 1 or pieces[-1].has_comma else ""
        behind = piece.tail + comma if piece.has_comma else comma + piece.tail
        result += lead + kept.text + behind + piece.post
    if _ends_in_comment(result) and not BREAK.match(close):
        close = (separator if BREAK.search(separator) else newline) + close
    return result + close


def _taken_apart(
    text: str, spans: Sequence[tuple[int, int]], first: int, last: int
) -> tuple[str, list[_Piece], str]:
    """What stands behind the opening bracket, the pieces, and what precedes the closing one."""
    head, lead = _at_break(text[first : spans[0][0]])
    if not lead:  # all on one line
        head, lead = text[first : spans[0][0]], ""
    pieces = []
    for number, (start, end) in enumerate(spans):
        until = spans[number + 1][0] if number + 1 < len(spans) else last
        comma = _comma(text, end, until)
        if comma is None:
            tail, rest = _at_break(text[end:until])
            if not rest:
                tail, rest = "", tail
            pieces.append(_Piece(lead, text[start:end], tail))
        else:
            post, rest = _at_break(text[comma + 1 : until])
            if not rest:
                post, rest = "", post
            pieces.append(_Piece(lead, text[start:end], text[end:comma], has_comma=True, post=post))
        lead = rest
    return head, pieces, lead


def _separator(pieces: Sequence[_Piece], newline: str) -> str:
    """What separates a new piece from the one before it."""
    lead = pieces[-1].lead
    if not BREAK.search(lead):
        return lead if lead and not lead.strip() else " "
    return newline + BREAK.split(lead)[-1]


def _at_break(text: str) -> tuple[str, str]:
    """A text up to its first line break, and the rest."""
    found = BREAK.search(text)
    return (text[: found.start()], text[found.start() :]) if found else (text, "")


def _comma(text: str, start: int, end: int) -> int | None:
    """The comma in the space between two pieces, where all else is blank or a comment."""
    while start < end:
        if text[start] == ",":
            return start
        if text[start] == "#":
            found = BREAK.search(text, start, end)
            start = found.end() if found else end
        else:
            start += 1
    return None


def _ends_in_comment(text: str) -> bool:
    """Whether what follows on the same line would be part of a comment, or could be."""
    line = BREAK.split(text)[-1]
    return " #" in line or line.startswith("#")
