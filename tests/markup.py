"""Reads pages as a browser without style and script does."""

from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import NamedTuple

_VOID = {"meta", "link", "input", "rect"}


class Element(NamedTuple):
    tag: str
    attributes: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return dict(self.attributes).get(name, "")


class Page(HTMLParser):
    """Elements in their order, and what each kind of text says."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.open: list[str] = []
        self.shown: list[str] = []
        self.style = self.script = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, tuple((name, value or "") for name, value in attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, tuple((name, value or "") for name, value in attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data
        elif self.open[-1:] == ["script"]:
            self.script += data
        elif data.strip():
            self.shown.append(data.strip())

    def all(self, tag: str, of_class: str = "") -> list[Element]:
        return [
            element
            for element in self.elements
            if element.tag == tag and (not of_class or of_class in element.get("class").split())
        ]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.shown).split())


def hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
