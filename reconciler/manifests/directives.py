"""Comments in manifests that are meant for this tool: `# reconciler: …`.

Rule: what stands inside a value is no comment, whatever it looks like.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from _ruamel_yaml import CParser
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import ScalarEvent, StreamEndEvent

from reconciler.errors import Diagnostic
from reconciler.manifests.files import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model import JSON


_MARK = b"reconciler:"
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#[ \t]*reconciler:[ \t]*(.*?)[ \t]*$")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What libyaml counts as the end of a line."""


class Comment(NamedTuple):
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


def comments(path: str) -> list[Comment]:
    """The comments for this tool in a file that has been read as manifests."""
    data = read(path)
    if isinstance(data, Diagnostic) or _MARK not in data:
        return []
    lines = _LINE_BREAK.split(data.decode("utf-8-sig"))
    found = [
        Comment(number, match.start() + 1, match[1], not line[: match.start()].strip())
        for number, line in enumerate(lines, 1)
        if (match := _COMMENT.search(line))
    ]
    if not found:
        return []
    values = list(_values(data))
    return [
        comment for comment in found if not any(start <= comment[:2] < end for start, end in values)
    ]


def _values(data: bytes) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where each scalar with a number sign begins and ends: line and column, from 1."""
    following = CParser(data).get_event
    try:
        while (event := following()).__class__ is not StreamEndEvent:
            if event.__class__ is ScalarEvent and "#" in event.value:
                end = event.end_mark
                yield _begin(event), (end.line + 1, end.column + 1)
    except YAMLError:
        return  # the file is not what it was when it was read as manifests


def _begin(event: JSON) -> tuple[int, int]:
    line: int = event.start_mark.line + 1
    if event.style in {"|", ">"}:  # a comment may stand behind the mark that opens it
        return line + 1, 1
    return line, event.start_mark.column + 1
