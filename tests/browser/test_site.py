"""Every page of the documentation in a browser, as `make docs` builds it, and its search."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from browser.conftest import AXE, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

SITE = Path(__file__).parents[2] / "build" / "site"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
WIDTHS = (1440, 390)
SCHEMES = {"light": "default", "dark": "slate"}
"""What a reader switches between, and what the site calls it."""
VIOLATIONS = {"resultTypes": ["violations"]}
"""Telling of all that is well takes as long as looking."""
RULES = {
    "light": {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], **VIOLATIONS},
    "dark": {"runOnly": ["color-contrast", "link-in-text-block"], **VIOLATIONS},
}
"""Only colours can be otherwise in the dark: a page has the same words and places in both."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def reader(browser: Browser) -> Iterator[tuple[Page, Seen]]:
    """Somebody who reads page after page as people do: with a warm cache."""
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.set_default_timeout(15_000)
    yield page, Seen(page)
    page.context.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page as somebody new does; at the end it must have been quiet."""
    contexts = []
    watched: list[Seen] = []

    def opened(path: str, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        watched.append(Seen(page))
        page.goto(f"{address}/{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    for seen in watched:
        was_quiet(seen, address)


def was_quiet(seen: Seen, address: str) -> None:
    """A page has asked nobody else, and complained of nothing."""
    assert seen.messages == []
    assert all(url.startswith((address, "data:", "blob:")) for url in seen.requests)


def test_the_site_is_whole() -> None:
    pages = {f"{path.stem}.html" for path in (SITE.parents[1] / "docs").rglob("*.md")}
    assert pages <= {path.rpartition("/")[2] for path in PAGES}
    assert (SITE / "llms.txt").is_file()


@pytest.mark.parametrize("path", PAGES)
def test_it_reads_well(
    reader: tuple[Page, Seen], address: str, request: pytest.FixtureRequest, path: str
) -> None:
    """At a desk and on a phone, in light and dark, without a serious finding of axe."""
    folder = request.config.getoption("--screenshots")
    page, seen = reader
    seen.messages.clear()
    seen.requests.clear()
    page.goto(f"{address}/{path}")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme, rules in RULES.items():
        page.locator(f"body[data-md-color-scheme={SCHEMES[scheme]}]").wait_for()
        for width in WIDTHS if scheme == "light" or folder else ():
            page.set_viewport_size({"width": width, "height": 900})
            assert page.locator("h1").first.is_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if folder:
                name = path.replace("/", "-").removesuffix(".html")
                page.screenshot(path=Path(folder) / f"site-{name}-{scheme}-{width}.png")
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        found = page.evaluate("rules => axe.run(document, rules)", rules)
        serious = [
            (item["id"], item["impact"], [node["html"] for node in item["nodes"]][:3])
            for item in found["violations"]
            if item["impact"] in {"serious", "critical"}
        ]
        assert serious == [], (path, scheme)
        page.locator("label[title^='Switch to']:visible").click()
    was_quiet(seen, address)


def test_search_finds_a_page(visit: Callable[..., Page]) -> None:
    page = visit("index.html", viewport={"width": WIDTHS[0], "height": 900})
    page.keyboard.press("/")
    page.keyboard.type("rotate secrets")
    page.locator("a[href*='rotate-secrets']", has_text="Rotate").last.wait_for()
