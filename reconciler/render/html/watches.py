"""All accounts that are watched, as a page that leads to the fleet of each."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler.render.html.page import Number, page
from reconciler.render.text import quantity
from reconciler.render.watches import seen_text

if TYPE_CHECKING:
    from reconciler.core.printable import Lines
    from reconciler.core.watch import Shown


_UNKNOWN = "\u2013"
"""What stands for a number that is not known; the style makes it pale."""


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
    accounts = []
    for item in seen:
        to_do = (item.drifted, item.edits, item.losses, item.held, item.refused)
        cells = [f"{it:,}" if item.is_seen else _UNKNOWN for it in (*to_do, item.unchanged)]
        # There is no link to an account of which nothing was seen yet.
        link = f"accounts/{quote(item.account, safe='')}" if item.account in shown.pages else ""
        text = "" if item.is_good and not item.is_over else seen_text(item)
        line = {"name": item.account, "link": link, "text": text, "cells": [*cells, item.at]}
        accounts.append(line)
    facts = [("Last check", shown.last.at), ("Commit", shown.last.commit)] if shown.last else []
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
        facts=[(name, text) for name, text in facts if text],
        version=version,
        accounts=accounts,
    )
