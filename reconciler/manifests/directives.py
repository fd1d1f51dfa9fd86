"""Comments in manifests that are meant for this tool: `# reconciler: …`.

Rule: what stands inside a value is no comment, whatever it looks like.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from reconciler.errors import Diagnostic
from reconciler.manifests.files import read
from reconciler.manifests.positions import BLOCK_STYLES, Shape, nodes, parsed_text

_MARK = b"reconciler:"
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#[ \t]*reconciler:[ \t]*(.*?)[ \t]*$")


class Directive(NamedTuple):
    """A comment for this tool.

    Attributes:
        line: from 1.
        column: that of its `#`, from 1.
        text: what it says after `reconciler:`.
        is_alone: there is nothing else on its line.
    """

    line: int
    column: int
    text: str
    is_alone: bool


def comments(path: str) -> list[Directive]:
    """The comments for this tool in a file that has been read as manifests."""
    data = read(path)
    if isinstance(data, Diagnostic) or _MARK not in data:
        return []
    source, documents = parsed_text(data)
    values = []  # where each scalar with a number sign stands
    for root in documents:
        for node in nodes(root):
            if node.shape is Shape.SCALAR and "#" in node.text:
                is_block = node.style in BLOCK_STYLES  # behind whose header a comment may stand
                start = source.following(node.begin) if is_block else node.begin
                values.append(range(start, node.end))
    found: list[Directive] = []
    line = 0
    while line < len(source.text):
        match = _COMMENT.search(source.text[line : source.end(line)])
        if match and not any(line + match.start() in value for value in values):
            number, is_alone = source.number(line) + 1, source.is_blank(line, line + match.start())
            found.append(Directive(number, match.start() + 1, match[1], is_alone))
        line = source.following(line)
    return found
