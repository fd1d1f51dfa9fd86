"""The numbers of all accounts that are watched, as OpenMetrics text.

Rule: of each account the last look is kept, and nothing before it but when one ended well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.signals.metrics import (
    LAST_SUCCESS,
    METRICS,
    Metric,
    Numbers,
    exposition,
)

if TYPE_CHECKING:
    from reconciler.cli.signals.metrics import Found
    from reconciler.core.watch import Shown

LEADS = Metric("reconciler_watch_leads", "1 for the watcher that checks the accounts, else 0.")
IS_FETCHED = Metric(
    "reconciler_watch_fetched",
    "1 if the manifests are up to date with the remote, or there is no remote.",
)
EDITS = Metric("reconciler_watch_edits", "Edits in Git that are not applied yet.")
HELD = Metric(
    "reconciler_watch_held",
    "Monitors with a difference that is not an edit, which watch does not apply.",
)
WATCH_METRICS = (LEADS, IS_FETCHED, EDITS, HELD)
"""What is added to the metrics of a run."""
_OPERATION = "watch"


class WatchMetrics:
    """What was last known of each account."""

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}

    def listener(self, account: str) -> _LastLook:
        """Takes the numbers of a look, and keeps them in place of those before."""
        return _LastLook(account, self._found)

    def text(self, shown: Shown) -> bytes:
        """All of it, and how the watcher is."""
        runs: dict[tuple[str, str], Found] = {}
        alone: dict[Metric, float] = {LEADS: int(shown.is_leading)}
        if shown.last is not None:
            alone[IS_FETCHED] = int(not shown.last.problem)
            for seen in shown.last.seen:
                found = self._found.get(seen.account)
                if found is not None and seen.is_seen:
                    found = {**found, EDITS: {(): seen.edits}, HELD: {(): seen.held}}
                if found is not None:
                    runs[seen.account, _OPERATION] = found
        return exposition(runs, (*METRICS, EDITS, HELD), alone)


class _LastLook(Numbers):
    def __init__(self, watched: str, kept: dict[str, Found]) -> None:
        super().__init__()
        self._watched = watched
        self._kept = kept

    def close(self) -> None:
        before = self._kept.get(self._watched, {}).get(LAST_SUCCESS, {})
        self._kept[self._watched] = self.found(lambda: before.get(()))
