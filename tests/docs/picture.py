"""The picture of a review comment: what `plan --format markdown` writes, drawn as SVG.

It is a comment as a platform shows it: headings, folded parts open, and code with the lines of a
diff in color. A viewer that prefers dark gets it dark.
"""

from __future__ import annotations

import re
from html import escape
from typing import NamedTuple

WIDTH = 820
_LINE = 20
_CHARACTERS = 92
_MARGIN = 20
_STYLE = """\
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px;fill:#1f2328}
.head{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-weight:600}
.big{font-size:17px}.small{font-size:14px}.who{font-weight:400;font-size:14px;fill:#59636e}
.card{fill:#fff;stroke:#d1d9e0}.bar{fill:#f6f8fa;stroke:#d1d9e0}.code{fill:#f6f8fa}
.minus{fill:#ffebe9}.plus{fill:#dafbe1}.hunk{fill:#ddf4ff}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.who{fill:#9198a1}
.card{fill:#0d1117;stroke:#3d444d}.bar{fill:#151b23;stroke:#3d444d}.code{fill:#151b23}
.minus{fill:#542426}.plus{fill:#1c4428}.hunk{fill:#1a3a5c}}"""
_KINDS = {"-": "minus", "+": "plus", "@": "hunk"}


class _Canvas(NamedTuple):
    """What is drawn, and how far down it goes."""

    parts: list[str]
    height: list[int]

    def down(self, pixels: int) -> int:
        """Makes room; the vertical place where it begins."""
        self.height[0] += pixels
        return self.height[0] - pixels

    def text(self, line: str, top: int, style: str = "", left: int = _MARGIN) -> None:
        kind = f' class="{style}"' if style else ""
        place = f'x="{left}" y="{top + 15}"{kind} xml:space="preserve"'
        self.parts.append(f"<text {place}>{escape(line, quote=False)}</text>")

    def box(self, style: str, top: int, height: int, left: int = _MARGIN) -> None:
        size = f'width="{WIDTH - 2 * left}" height="{height}"'
        self.parts.append(f'<rect class="{style}" x="{left}" y="{top}" {size}/>')


def picture(markdown: str) -> str:
    """The comment as SVG."""
    canvas = _Canvas([], [0])
    canvas.box("bar", 1, 38, 1)
    canvas.text("reconciler", 10, "head small")
    canvas.text("commented on this pull request", 10, "who head", _MARGIN + 84)
    canvas.down(52)
    for heading, code in re.findall(
        r"^#+ ([^\n]+)$|^```(?:text|diff)\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE
    ):
        if heading:
            is_first = not canvas.parts[3:]
            canvas.text(heading, canvas.down(30), "head big" if is_first else "head small")
        else:
            _code(canvas, code.splitlines())
    height = canvas.down(6) + 6
    inside = "\n".join(canvas.parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">\n'
        f"<title>A review comment of reconciler</title>\n<style>{_STYLE}</style>\n"
        f'<rect class="card" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="6"/>\n'
        f"{inside}\n</svg>\n"
    )


def _code(canvas: _Canvas, lines: list[str]) -> None:
    """A block of code."""
    shown = [part for line in lines for part in _wrapped(line)]
    height = _LINE * len(shown) + 16
    top = canvas.down(height + 14)
    canvas.box("code", top, height)
    for number, (kind, line) in enumerate(shown):
        place = top + 8 + _LINE * number
        if kind in _KINDS:
            canvas.box(_KINDS[kind], place, _LINE)
        canvas.text(line, place, left=_MARGIN + 12)


def _wrapped(line: str) -> list[tuple[str, str]]:
    """The parts of a line that fit, each with the mark of the whole."""
    mark, parts = line[:1], []
    while len(line) > _CHARACTERS:
        end = line.rfind(" ", 0, _CHARACTERS) + 1 or _CHARACTERS
        parts.append((mark, line[:end].rstrip()))
        line = f"    {line[end:]}"
    return [*parts, (mark, line)]
