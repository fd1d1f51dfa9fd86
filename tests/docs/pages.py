"""The pages of the documentation as values: their fences, links and headings.

A page is the README or a file below `docs/`. In its source

- a fence `sh` holds commands, which a reader pastes in the order of the page into one shell;
- a fence `text` directly below it is what they print, where a line `…` stands for any lines, and
  `…` in a line for any characters;
- `<!-- exits with N -->` in front of a fence says that a command in it ends with N;
- `<!-- not run: REASON -->` says that no test can run it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*?) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>[a-z]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


class Fence(NamedTuple):
    """A block of code of a page.

    Attributes:
        mark: the comment in front of it; empty if there is none.
        output: what its commands print; None if the page does not say.
    """

    language: str
    text: str
    mark: str
    output: str | None

    @property
    def reason(self) -> str:
        """Why no test can run it; empty if one can."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run: ") else ""

    @property
    def code(self) -> int:
        """The exit code that one of its commands ends with."""
        found = re.fullmatch(r"exits with (\d+)", self.mark)
        return int(found[1]) if found else 0


class Page(NamedTuple):
    """A page, by its path from the root."""

    path: str
    text: str

    @property
    def fences(self) -> tuple[Fence, ...]:
        """All blocks of code; one that is the output of another is not one of its own."""
        found: list[Fence] = []
        end = -1
        for match in _FENCE.finditer(self.text):
            indent = match["indent"]
            text = re.sub(rf"^{indent}", "", match["text"], flags=re.MULTILINE)
            is_below = not self.text[end : match.start()].strip() if end >= 0 else False
            if match["language"] == "text" and found and is_below and found[-1].language == "sh":
                found[-1] = found[-1]._replace(output=text)
            else:
                found.append(Fence(match["language"], text, match["mark"] or "", None))
            end = match.end()
        return tuple(found)

    @property
    def commands(self) -> tuple[Fence, ...]:
        """The blocks that are run, in their order."""
        return tuple(item for item in self.fences if item.language == "sh" and not item.reason)

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def links(self) -> tuple[str, ...]:
        """Where its links lead, images included."""
        prose = re.sub(r"`[^`\n]*`", "", self.prose)
        return tuple(one or other for one, other in _LINK.findall(prose))

    @property
    def anchors(self) -> frozenset[str]:
        """What a link can name in it."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return frozenset(map(anchor, headings))

    @property
    def title(self) -> str:
        """Its first heading."""
        found = re.search(r"^# (.+)$", self.text, re.MULTILINE)
        assert found, self.path
        return found[1]

    @property
    def summary(self) -> str:
        """The first sentence below the heading, without links."""
        after = self.text.partition(f"# {self.title}\n")[2].strip().partition("\n\n")[0]
        plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", " ".join(after.split()))
        return re.split(r"(?<=[.:]) (?=[A-Z])", plain)[0].rstrip(":.") + "."


def anchor(heading: str) -> str:
    """The name that a heading gets, as Python-Markdown and GitHub make it of plain words."""
    plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
    return re.sub(r"\s", "-", plain)


def pages() -> tuple[Page, ...]:
    """The README, and all pages of the site in the order of their paths."""
    paths = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    return tuple(
        Page(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths
    )


def page(path: str) -> Page:
    """One page by its path from the root."""
    return Page(path, (ROOT / path).read_text(encoding="utf-8"))
