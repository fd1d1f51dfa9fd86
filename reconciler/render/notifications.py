"""What a chat or a mailbox is told of a run, if there is anything to tell.

What AlertSite or a server says is left out: every service reads marks of its own in a text, such
as `<!channel>`, `@everyone` and links. Addresses, names of fields and our own words have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.plan import Action
from reconciler.core.printable import printable
from reconciler.core.result import Status, losses_of
from reconciler.errors import ExitCode, without_logins
from reconciler.render.drifts import changed_text, lost_how, stranger_text
from reconciler.render.plans import how_text, recent_text
from reconciler.render.results import status_word
from reconciler.render.text import quantity, some
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.drift import Drifted
    from reconciler.core.model import Unmanaged
    from reconciler.core.news import AccountNews, News
    from reconciler.core.plan import Plan
    from reconciler.core.result import Outcome
    from reconciler.core.rollup import PartResult


_MOST = 20
"""Lines of a message; a chat is no log."""


_WHY = {
    ExitCode.OK: "Done",
    ExitCode.BUG: "Unexpected error",
    ExitCode.CHANGES: "Changes are present",
    ExitCode.INVALID: "Invalid manifests or configuration",
    ExitCode.CREDENTIALS: "Credentials or permission refused by AlertSite",
    ExitCode.REFUSED: "Refused by a guard",
    ExitCode.UNAVAILABLE: "AlertSite is unavailable, or its response is invalid",
    ExitCode.PARTIAL: "Partly done",
    ExitCode.LOCKED: "The state is locked, unreadable or cannot be saved",
    ExitCode.USAGE: "The command line is wrong",
    ExitCode.INTERRUPTED: "Interrupted",
}
"""Why a run ended so, in words that hold nothing from elsewhere."""


class MessageOrigin(NamedTuple):
    """Which run a message is about.

    Attributes:
        run: its id; empty if it is the runs of several accounts.
        pipeline: where a pipeline shows it; empty if none does.
    """

    run: str = ""
    pipeline: str = ""

    def __str__(self) -> str:
        return "\n".join(
            filter(None, (self.run and f"Run {self.run}", printable(without_logins(self.pipeline))))
        )


class Message(NamedTuple):
    """What is told.

    Attributes:
        is_failure: whether somebody has to do something about the run itself.
        is_warning: whether somebody should look.
    """

    title: str
    body: str
    is_failure: bool = False
    is_warning: bool = False


def apply_message(
    account: str,
    origin: MessageOrigin,
    outcomes: Sequence[Outcome],
    exit_code: int,
    plan: Plan | None = None,
) -> Message | None:
    """What an apply did and did not; None if there was nothing to do.

    `plan` is what it was to do, if that is known.
    """
    if not outcomes:
        return _failure(account, "apply", origin, exit_code, plan)
    lines = []
    if lost := len(losses_of(plan.coverage.losses, outcomes)) if plan else 0:
        have = quantity(lost, "monitor has", "monitors have")
        lines.append(f"{have} lost monitoring, or may have")
    done = [item for item in outcomes if item.status is Status.DONE]
    for item in outcomes:
        if item.status is not Status.DONE:
            what = f"{VERBS[item.change.action].word} {status_word(item.status)}"
            lines.append(f"{printable(item.change.address)}: {what}")
    lines += [f"{printable(it.change.address)}: {VERBS[it.change.action].done}" for it in done]
    is_failure = exit_code != ExitCode.OK
    count = f"{len(done):,} of {len(outcomes):,}" if is_failure else f"{len(done):,}"
    ended = f" (exit code {int(exit_code)})" if is_failure else ""
    noun = "change" if len(outcomes) == 1 else "changes"
    title = f"AlertSite, {account}: {count} {noun} applied{ended}"
    return Message(title, _body(lines, str(origin)), is_failure=is_failure)


def accounts_message(
    parts: Sequence[PartResult], origin: MessageOrigin, exit_code: int
) -> Message | None:
    """What one apply did in several accounts, those that failed first; None if that is nothing."""
    failed = [item for item in parts if not item.is_good]
    changed = [item for item in parts if item.is_good and any(item.changes.values())]
    count = sum(sum(item.changes.values()) for item in parts)
    if not count and (not failed or exit_code == ExitCode.INTERRUPTED):
        return None
    title = f"AlertSite, {quantity(len(parts), 'account')}: {quantity(count, 'change')} applied"
    if failed:
        who = quantity(len(failed), "account is", "accounts are")
        title += f", {who} not done (exit code {int(exit_code)})"
    lines = [f"{item.account}: {_part(item)}" for item in (*failed, *changed)]
    return Message(title, _body(map(printable, lines), str(origin)), is_failure=bool(failed))


def refused_message(accounts: int, origin: MessageOrigin, exit_code: int) -> Message | None:
    """That an apply of several accounts failed before any of them was applied."""
    return _failure(quantity(accounts, "account"), "apply", origin, exit_code)


def drift_message(
    account: str,
    origin: MessageOrigin,
    fresh: Sequence[Drifted],
    exit_code: int,
    strangers: Sequence[Unmanaged] = (),
) -> Message | None:
    """What AlertSite has changed that was not told before; None if that is nothing.

    `fresh` are monitors that are not as they were applied, `strangers` new ones that no manifest
    describes.
    """
    if exit_code not in {ExitCode.OK, ExitCode.CHANGES}:
        return _failure(account, "drift", origin, exit_code)
    if not fresh and not strangers:
        return None
    parts = [*_drift(fresh)]
    if strangers:
        parts.append(f"{quantity(len(strangers), 'new monitor')} without a manifest")
    lines = [*_drifted(fresh), *(printable(stranger_text(item)) for item in strangers)]
    title = f"AlertSite, {account}: {', '.join(parts)}"
    return Message(title, _body(lines, str(origin)), is_warning=True)


def news_message(news: News) -> Message:
    """What has begun and what is over, as a watcher of accounts has seen it."""
    failed = [item for item in news.accounts if item.failed]
    recovered = [item for item in news.accounts if item.is_recovered]
    drifted = [monitor for item in news.accounts for monitor in item.drifted]
    settled = sum(len(item.settled) for item in news.accounts)
    parts = []
    if news.has_problem is not None:
        can = "cannot be used" if news.has_problem else "can be used again"
        parts.append(f"the latest commit {can}")
    if failed:
        parts.append(f"{quantity(len(failed), 'account has', 'accounts have')} failed")
    if recovered:
        parts.append(f"{quantity(len(recovered), 'account works', 'accounts work')} again")
    parts += _drift(drifted)
    if settled:
        parts.append(f"{quantity(settled, 'monitor is', 'monitors are')} as last applied again")
    of_one = news.accounts[0].account if len(news.accounts) == 1 else ""
    lines = ["See the log of the watcher for the reason."] if news.has_problem or failed else []
    for of_account in (*failed, *(item for item in news.accounts if not item.failed)):
        where = "" if of_one else f"{of_account.account}: "
        lines += [f"{where}{line}" for line in _news(of_account)]
    return Message(
        f"AlertSite{f', {of_one}' if of_one else ''}: {', '.join(parts)}",
        _body(lines, f"Round {news.at}"),
        is_failure=bool(news.has_problem or failed),
        is_warning=bool(drifted) and not (news.has_problem or failed),
    )


def _news(item: AccountNews) -> Iterator[str]:
    """The lines about one account."""
    if item.failed:
        yield f"failed (exit code {item.failed})"
    if item.is_recovered:
        yield "works again"
    yield from _drifted(item.drifted)
    for address in item.settled:
        yield f"{printable(address)}: as last applied again"


def _drift(monitors: Sequence[Drifted]) -> Iterator[str]:
    """How many have drifted, and what monitoring was lost by it, for a title."""
    if monitors:
        yield f"{quantity(len(monitors), 'monitor has', 'monitors have')} drifted"
    if lost := [item for item in monitors if item.causes]:
        yield f"{quantity(len(lost), 'has', 'have')} lost monitoring ({lost_how(lost)})"


def _part(item: PartResult) -> str:
    """What became of one account."""
    counts = [
        f"{item.changes[action.value]:,} {VERBS[action].done}"
        for action in Action
        if item.changes.get(action.value)
    ]
    if item.exit_code is None:
        return "not started"
    if not item.is_good:
        counts.insert(0, f"{_WHY[ExitCode(item.exit_code)]} (exit code {item.exit_code})")
    return ", ".join(counts)


def _failure(
    account: str, operation: str, origin: MessageOrigin, exit_code: int, plan: Plan | None = None
) -> Message | None:
    """That a run failed, and as far as our own words go why.

    None if it did not, or if whoever started it sees that anyway.
    """
    if exit_code in {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERRUPTED}:
        return None
    title = f"AlertSite, {account}: {operation} failed (exit code {int(exit_code)})"
    lines = [f"{_WHY[ExitCode(exit_code)]}."]
    if plan is not None and exit_code == ExitCode.REFUSED:
        if plan.refusals:
            who = quantity(len(plan.refusals), "manifest is", "manifests are")
            lines.append(f"{who} refused: {some([item.address for item in plan.refusals])}")
        coverage = plan.coverage
        if coverage.losses:
            who = quantity(len(coverage.losses), "monitor")
            lose = f"{who} would lose monitoring ({how_text(coverage)}){recent_text(coverage)}"
            lines.append(f"{lose}; budget {coverage.allowance.limit:,}")
    lines.append("See the log of the run for the reason.")
    return Message(title, _body(lines, str(origin)), is_failure=True)


def _body(lines: Iterable[str], origin: str) -> str:
    every = list(lines)
    rest = len(every) - _MOST
    more = [f"… and {rest:,} more"] if rest > 0 else []
    return "\n".join(filter(None, (*every[:_MOST], *more, origin)))


def _drifted(monitors: Iterable[Drifted]) -> Iterator[str]:
    """A line for each; those that lost monitoring come first."""
    for item in sorted(monitors, key=lambda item: not item.causes):
        lost = f" ({', '.join(item.causes)})" if item.causes else ""
        yield printable(f"{item.address}: {changed_text(item)}{lost}")
