"""The changes of a text that replace a value as a whole, in the style that it is written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.manifests import writer as yaml
from reconciler.manifests.edits import NotEditableError, TextChange
from reconciler.manifests.parser import BREAK, WORDS, resolve
from reconciler.manifests.positions import BLOCK_STYLES, HEADER, Node, Shape

if TYPE_CHECKING:
    from reconciler.core.model import JSON
    from reconciler.manifests.positions import Source


class Place(NamedTuple):
    """Where a value stands.

    Attributes:
        after: the character behind the colon or dash before it.
        parent: the column of the mapping or sequence that it belongs to.
        in_flow: whether it stands between brackets.
        quote: `"` where all is JSON, which is to stay so.
    """

    after: int
    parent: int
    in_flow: bool
    quote: str = ""


def replaced(source: Source, node: Node, new: JSON, place: Place) -> list[TextChange]:
    """The changes that put another value in place of one.

    Raises:
        NotEditableError: there is no room for it.
        NotWritableError: it cannot be written.
    """
    if node.shape is Shape.ALIAS:
        return [TextChange(node.start, node.end, _inline(new, "", place))]
    if node.style in BLOCK_STYLES:
        return _block_scalar(source, node, new, place)
    is_block = node.shape is not Shape.SCALAR and not node.is_flow and not place.in_flow
    if is_block and source.number(place.after) != source.number(node.begin):
        if node.start != node.begin:
            raise NotEditableError("a list or mapping with an anchor or a tag cannot be replaced")
        return [  # what is short moves up behind the colon
            TextChange(place.after, place.after, f" {yaml.flow(new)}"),
            TextChange(source.start(node.begin), source.following(node.end), ""),
        ]
    start, mark = node.begin, ""
    if node.has_tag:  # which need not fit the new value
        start, mark = node.start, f"&{node.anchor} " if node.anchor else ""
    if isinstance(new, str) and "\n" in new and not (node.style or place.in_flow or mark):
        lines = yaml.block_scalar(new, "|", place.parent, place.parent + yaml.INDENT)
        if lines is not None and node.shape is Shape.SCALAR:
            line_end = source.end(node.end)  # a comment stays on its line
            header = f" {lines[0]}" if node.begin == node.end else lines[0]
            content = "".join(source.newline + line for line in lines[1:])
            return [
                TextChange(node.begin, node.end, header),
                TextChange(line_end, line_end, content),
            ]
    is_plain_text = node.shape is Shape.SCALAR and node.text not in WORDS
    is_plain_text = is_plain_text and isinstance(resolve(node.text), str)
    style = node.style or ("" if is_plain_text else place.quote)
    text = mark + _inline(new, style, place)
    if source.text[start - 1 : start] == ":" and node.begin == node.end:
        text = f" {text}"  # nothing stood there, not even a blank
    return [TextChange(start, node.end, text)]


def _inline(new: JSON, style: str, place: Place) -> str:
    if isinstance(new, list | dict):
        return yaml.flow(new, place.quote)
    return yaml.scalar(new, style, in_flow=place.in_flow)


def _block_scalar(source: Source, node: Node, new: JSON, place: Place) -> list[TextChange]:
    header = HEADER.match(source.text, node.begin)
    if header is None:
        raise NotEditableError("the text has no header")
    lines = _lines(source, node, new, place)
    start = source.end(node.begin)
    # Blank lines behind it may belong to the new text: all that is longer than its indentation, and
    # all if it keeps them.
    longest = -1 if lines and lines[0].endswith("+") else place.parent
    end = line_end = max(start, node.end)
    while (line := source.following(line_end)) > source.end(line_end):
        line_end = source.end(line)
        if not source.is_blank(line, line_end):
            break
        if line_end - line > longest:
            end = line_end
    if lines is None:
        first, content = _inline(new, '"' if isinstance(new, str) else "", place), ""
    else:
        first, content = lines[0], "".join(source.newline + line for line in lines[1:])
    return [TextChange(*header.span(), first), TextChange(start, end, content)]


def _lines(source: Source, node: Node, new: JSON, place: Place) -> list[str] | None:
    """The new text as a block scalar, if it can be one, with the indentation of the old."""
    if not isinstance(new, str):
        return None
    old = source.text[source.following(node.begin) : node.end]
    first = next((line for line in BREAK.split(old) if line.strip(" ")), "")
    indent = len(first) - len(first.lstrip(" "))
    if indent <= place.parent:
        indent = place.parent + yaml.INDENT
    for style in dict.fromkeys((node.style, "|")):
        if lines := yaml.block_scalar(new, style, place.parent, indent):
            return lines
    return None
