"""Pages in a real Chromium: one that the system has, at CHROMIUM or on the PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from browser.pages import pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="DIR", help="keep pictures of all pages there")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert found, "there is no chromium on the PATH; install it, or set CHROMIUM"
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=flags)
        yield running
        running.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of page."""
    folder = tmp_path_factory.mktemp("pages")
    for name, text in pages().items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


class Seen:
    """What a page did beside being shown: no page may do anything."""

    def __init__(self, page: Page) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("dialog", lambda dialog: (self.messages.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture
def show(browser: Browser, tmp_path: Path, files: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page by its name or from its text; at the end it must have done nothing else."""
    contexts = []
    watched: list[tuple[str, Seen]] = []

    def opened(name: str = "", *, text: str = "", fragment: str = "", **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        path = files / f"{name}.html"
        if text:
            path = tmp_path / f"page-{len(contexts)}.html"
            path.write_text(text, encoding="utf-8")
        url = path.as_uri() + fragment
        watched.append((path.as_uri(), Seen(page)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    for url, seen in watched:
        assert seen.messages == []
        assert {request.partition("#")[0] for request in seen.requests} <= {url, "data:,"}
