"""All accounts that are watched, as a page that leads to the fleet of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from reconciler.render.html.page import Number, page
from reconciler.render.text import quantity
from reconciler.render.watches import seen_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.printable import Lines
    from reconciler.core.watch import Shown


_UNKNOWN = "\u2013"
"""What stands for a number that is not known; the style makes it pale."""


class AccountLine(NamedTuple):
    """One account; `link` is empty if nothing was seen of it yet."""

    name: str
    link: str
    text: str
    cells: tuple[str, ...]


def watch_html(shown: Shown, version: str) -> Lines:
    """The page that a watcher shows first."""
    seen = shown.last.seen if shown.last else ()
    failed = sum(not item.is_good for item in seen)
    drifted, edits = sum(item.drifted for item in seen), sum(item.edits for item in seen)
    verdict = f"{quantity(len(seen), 'account')} watched"
    if not shown.is_leading:
        verdict = "Standing by: another watcher checks the accounts"
    elif shown.last is None:
        verdict = "The first round is in progress"
    return page(
        "watch",
        (),
        title="AlertSite accounts",
        kicker="AlertSite accounts",
        verdict=verdict,
        lead=shown.last.problem if shown.last else "",
        numbers=(
            Number(failed, "failed", "destroy"),
            Number(drifted, "drifted", "drift"),
            Number(edits, "to apply", "change"),
            Number(sum(item.unchanged for item in seen), "unchanged", "add"),
        ),
        facts=tuple(_facts(shown)),
        version=version,
        accounts=tuple(_lines(shown)),
    )


def _facts(shown: Shown) -> Iterator[tuple[str, str]]:
    if shown.last is not None:
        yield "Last check", shown.last.at
        if shown.last.commit:
            yield "Commit", shown.last.commit


def _lines(shown: Shown) -> Iterator[AccountLine]:
    for item in shown.last.seen if shown.last else ():
        to_do = (item.drifted, item.edits, item.losses, item.held, item.refused)
        numbers = (*to_do, item.unchanged)
        cells = tuple(f"{number:,}" if item.is_seen else _UNKNOWN for number in numbers)
        link = f"accounts/{quote(item.account, safe='')}" if item.account in shown.pages else ""
        text = "" if item.is_good and not item.is_over else seen_text(item)
        yield AccountLine(item.account, link, text, (*cells, item.at))
