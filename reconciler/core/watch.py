"""What somebody who watches accounts has seen last, and nothing of what was before.

Rule: values and pure functions; no I/O, clock or environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.rollup import exit_code_of_all
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

FLOOR = 60.0
"""Seconds between two rounds at least: AlertSite is asked for whole lists."""
JITTER = 0.1
"""Share of the interval by which a pause differs, so that many watchers do not ask in step."""
_LATE = 3
_SLACK = 15 * 60.0


class Seen(NamedTuple):
    """One account, as the last look found it.

    Attributes:
        at: when it was looked at, RFC 3339 UTC.
        exit_code: 0 if nothing is to be said, 2 if there are edits or drift, else as of a command.
        message: why it could not be looked at, or not be applied; empty if it could.
        drifted: monitors that AlertSite has changed since they were applied.
        edits: changes that Git asks for.
        held: monitors with a difference that is not an edit, and so is never applied here.
        refused: manifests that a guard does not let be planned.
        unchanged: manifests that AlertSite fits.
        losses: monitors that lose monitoring by the edits.
        is_over: whether these are more than apply allows without an option.
        applied: changes that were made in this round.
        is_seen: whether there are numbers; else the account could not be looked at.
    """

    account: str
    at: str
    exit_code: int = 0
    message: str = ""
    drifted: int = 0
    edits: int = 0
    held: int = 0
    refused: int = 0
    unchanged: int = 0
    losses: int = 0
    is_over: bool = False
    applied: int = 0
    is_seen: bool = True

    @property
    def is_good(self) -> bool:
        """Whether all went as it was asked for."""
        return self.exit_code in {ExitCode.OK, ExitCode.CHANGES}


class Round(NamedTuple):
    """What the last round found.

    Attributes:
        at: when it ended, RFC 3339 UTC.
        commit: of the manifests; empty if Git does not say.
        problem: why the manifests may not be those of the remote, or the settings cannot be read;
            then nothing is applied. Empty if there is no reason.
        seen: every account, sorted by name.
    """

    at: str
    commit: str = ""
    problem: str = ""
    seen: tuple[Seen, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """That of one round alone: as a roll-up has it, and 7 if the manifests are in doubt."""
        if not self.seen:
            return ExitCode.INVALID
        return (
            ExitCode.PARTIAL if self.problem else exit_code_of_all(it.exit_code for it in self.seen)
        )


class Shown(NamedTuple):
    """All that a watcher shows to those who ask.

    Attributes:
        is_leading: whether it looks at the accounts; else it stands by for one that does.
        last: the last round; None before the first has ended.
        pages: of each account, its last report as HTML, compressed by gzip.
        beat: when something was done last, by the monotonic clock.
    """

    is_leading: bool = False
    last: Round | None = None
    pages: Mapping[str, bytes] = {}
    beat: float = 0.0


def is_alive(shown: Shown, now: float, interval: float) -> bool:
    """Whether a watcher gets on: one that leads has done something within three intervals."""
    return not shown.is_leading or now - shown.beat < _LATE * interval + _SLACK


def is_ready(shown: Shown) -> bool:
    """Whether a watcher does its part: it stands by, or has seen every account once."""
    return not shown.is_leading or shown.last is not None
