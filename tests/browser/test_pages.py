"""Plans, results, drift and the fleet in a browser, with and without style and script."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.render.html import plan_html

from browser.conftest import AXE
from browser.pages import HOSTILE, VIEW, fleet, hostile, large, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

NAMES = ("plan", "refused", "empty", "result", "drift", "fleet", "watch", "waiting")
WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")
JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"
"""What Jenkins sends with reports, unless it is told otherwise."""


def look(scheme: str, width: int) -> dict[str, Any]:
    return {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}


def rows(page: Page) -> list[str]:
    """The ids of the rows that filters and search leave."""
    found: list[str] = page.eval_on_selector_all(
        ".row",
        "rows => rows.filter(row => getComputedStyle(row).display !== 'none'"
        " && (row.closest('.group') === null"
        " || getComputedStyle(row.closest('.group')).display !== 'none')).map(row => row.id)",
    )
    return found


def choose(page: Page, label: str) -> None:
    page.locator(".chips label", has_text=label).first.click()


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_a_desk_and_a_phone(
    show: Callable[..., Page], request: pytest.FixtureRequest, name: str
) -> None:
    page = show(name, **look(SCHEMES[0], WIDTHS[0]))
    grounds = set()
    for scheme, width in itertools.product(SCHEMES, WIDTHS):
        page.emulate_media(color_scheme=scheme)  # the pages follow without a script
        page.set_viewport_size({"width": width, "height": 900})
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.locator("h1").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := request.config.getoption("--screenshots"):
            page.screenshot(path=Path(folder) / f"{name}-{scheme}-{width}.png", full_page=True)
    assert len(grounds) == len(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious(show: Callable[..., Page], name: str, scheme: str) -> None:
    page = show(name, **look(scheme, WIDTHS[0]))
    page.evaluate(AXE.read_text(encoding="utf-8"))
    page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true })")
    found = page.evaluate("axe.run({resultTypes: ['violations']})")  # of others one node each
    serious = [
        (item["id"], item["impact"], [node["html"] for node in item["nodes"]][:3])
        for item in found["violations"]
        if item["impact"] in {"serious", "critical"}
    ]
    assert serious == []
    # What axe has looked at at all: only the pages of a watcher have nothing to expand.
    looked_at = {"color-contrast"} | (
        {"summary-name"} if page.locator("summary").count() else set()
    )
    assert looked_at <= {item["id"] for item in found["passes"]}
    assert ("summary-name" in looked_at) == (name not in {"watch", "waiting"})


@pytest.mark.parametrize("has_script", [True, False])
def test_filters_leave_what_fits(show: Callable[..., Page], *, has_script: bool) -> None:
    page = show("plan", java_script_enabled=has_script)
    assert page.locator(".row").count() == 45
    choose(page, "delete")
    assert page.locator("[id='email-smtp/relay-old']").is_visible()
    assert not page.locator("[id='email-smtp/relay-new']").is_visible()
    assert not page.locator(".group").first.is_visible()
    choose(page, "create")
    assert page.locator("[id='email-smtp/relay-new']").is_visible()
    if has_script:
        assert rows(page) == ["email-smtp/relay-new"]
        assert page.locator("output").inner_text() == "1 of 45 shown"
        choose(page, "All")
        choose(page, "team=emea")
        assert len(rows(page)) == 11
        assert page.locator("output").inner_text() == "11 of 45 shown"


def test_searching_leaves_what_has_all_words(show: Callable[..., Page]) -> None:
    page = show("plan")
    page.keyboard.press("/")
    page.keyboard.type("relay-0003 33")
    assert rows(page) == ["email-smtp/relay-0003"]
    assert page.locator("[id='email-smtp/relay-0003']").is_visible()  # its fold has opened
    assert page.locator("output").inner_text() == "1 of 45 shown"
    assert not page.get_by_text("Review these first").is_visible()
    page.locator("input[type=search]").fill("")
    assert page.locator("output").inner_text() == "45 shown"


def test_all_can_be_expanded_and_collapsed(show: Callable[..., Page]) -> None:
    page = show("plan")
    page.get_by_role("button", name="Expand all").click()
    assert page.locator("details.row:not([open]), .group:not([open])").count() == 0
    page.get_by_role("button", name="Collapse all").click()
    assert page.locator("details.row[open], .group[open]").count() == 0


@pytest.mark.parametrize("address", ["email-smtp/relay-0007", "email-smtp/relay-old"])
def test_a_link_leads_to_one_change_and_opens_it(show: Callable[..., Page], address: str) -> None:
    page = show("plan", fragment=f"#{address}")
    target = page.locator(f"[id='{address}']")
    target.wait_for(state="visible")
    assert page.evaluate(
        "id => { const box = document.getElementById(id).getBoundingClientRect();"
        " return box.top >= 0 && box.top < innerHeight }",
        address,
    )


def test_a_command_can_be_copied(show: Callable[..., Page]) -> None:
    page = show("plan", permissions=["clipboard-read", "clipboard-write"])
    row = page.locator("[id='email-smtp/relay-old']")
    row.get_by_role("button", name="Copy").click()
    row.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "reconciler apply --prune --target email-smtp/relay-old"


def test_print_has_all_changes_and_no_controls(show: Callable[..., Page]) -> None:
    page = show("plan")
    assert len(page.pdf()) > 20_000
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert page.locator(".group .fields").first.is_visible()
    assert page.locator("[id='email-smtp/relay-0007']").is_visible()


@pytest.mark.parametrize("name", NAMES)
def test_without_script_nothing_is_missing_that_needs_none(
    show: Callable[..., Page], name: str
) -> None:
    page = show(name, java_script_enabled=False)
    assert page.locator("h1").is_visible()
    assert page.locator(".tools:visible").count() == 0
    for row in page.locator("summary").all()[:3]:
        assert row.is_visible()


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_well_where_style_and_script_are_stripped(
    browser: Browser, files: Path, name: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    body = (files / f"{name}.html").read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": JENKINS, "Content-Type": "text/html"}
    page.route("**/*", lambda route: route.fulfill(body=body, headers=headers))
    page.goto("http://reports.example/page.html")
    assert page.locator("body").evaluate("body => getComputedStyle(body).marginTop") == "8px"
    assert page.locator("h1").is_visible()
    assert page.locator(".filters:visible").count() == 0
    assert page.locator("button:visible").count() == 0
    assert page.locator(".numbers dd").first.is_visible()
    if name == "plan":
        assert page.locator("[id='email-smtp/relay-0041'] del").first.is_visible()
        page.locator(".group summary").first.click()
        assert page.locator("[id='email-smtp/relay-0007']").is_visible()
    context.close()


def test_a_watched_account_leads_to_its_fleet(show: Callable[..., Page]) -> None:
    page = show("watch", java_script_enabled=False)
    links = page.locator("a[href^='accounts/']")
    assert links.all_inner_texts() == ["acme", "globex-prod", "umbrella"]
    assert page.get_by_text("initech").is_visible()
    assert page.get_by_text("AlertSite is not available").is_visible()


@pytest.mark.parametrize("make", [hostile, lambda: fleet(5, HOSTILE), lambda: watched(HOSTILE)])
def test_nothing_from_outside_is_markup(show: Callable[..., Page], make: Callable[[], str]) -> None:
    page = show(text=make())
    for tag, count in (("script", 1), ("style", 1), ("img", 0), ("b[onclick]", 0)):
        assert page.locator(tag).count() == count
    assert page.evaluate(
        "[...document.querySelectorAll('*')].every(element =>"
        " [...element.attributes].every(item => !item.name.startsWith('on')"
        " && !/^\\s*javascript:/i.test(item.value)))"
    )
    assert "<script>alert(1)</script>" in page.locator("body").inner_text()


def test_ten_thousand_changes_open_in_less_than_two_seconds(browser: Browser, files: Path) -> None:
    """By the processor's time, which other work on the machine does not change much."""
    path = files / "large.html"
    path.write_text(plan_html(large(10_000), VIEW), encoding="utf-8")
    seconds = []
    for _ in range(3):
        with closing(browser.new_context()) as context:
            page = context.new_page()
            session = context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(path.as_uri(), timeout=60_000)
            metrics = session.send("Performance.getMetrics")["metrics"]
            seconds.append(next(it["value"] for it in metrics if it["name"] == "TaskDuration"))
            painted = page.evaluate("performance.getEntriesByType('paint').at(-1).startTime")
            assert painted < 2000
            page.locator("input[type=search]").fill("relay-9999")
            assert rows(page) == ["email-smtp/relay-9999"]
    assert min(seconds) < 2
