"""The numbers of a run as OpenMetrics text, for the textfile collector of the node exporter.

All are gauges, of the last run: a file that is written once a run has no counter that grows. So the
text is valid in the older format too, which is the one that the collector reads. Every number has
the labels `account` and `operation`, so that the files of several jobs may lie in one folder.

Only what a run knows is written: an offline plan tells nothing of unmanaged monitors. The moment of
the last success is the one number that a failed run takes over from the file before it.
"""

from __future__ import annotations

from collections import Counter
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.exposition import generate_latest

from reconciler import durable
from reconciler.cli.signals.run_facts import RunFacts
from reconciler.core.events import RequestEnded, Retried, causes, drifted, orphans
from reconciler.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from reconciler.core.events import Event


class Metric(NamedTuple):
    """One metric: its name, what it counts, and its labels beside `account` and `operation`."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


LAST_RUN = Metric("reconciler_last_run_timestamp_seconds", "When the last run ended.")
LAST_SUCCESS = Metric(
    "reconciler_last_success_timestamp_seconds",
    "When the last run with exit code 0 or 2 ended.",
)
EXIT_CODE = Metric("reconciler_exit_code", "Exit code of the last run.")
DURATION = Metric("reconciler_duration_seconds", "How long the last run took.")
MANAGED = Metric(
    "reconciler_managed_monitors",
    "Monitors that have a manifest and exist; for drift, that have a record.",
)
UNMANAGED = Metric(
    "reconciler_unmanaged_monitors", "Email monitors of the account without a manifest or a record."
)
ORPHANS = Metric("reconciler_orphaned_monitors", "Monitors with a record and without a manifest.")
DRIFTED = Metric(
    "reconciler_drifted_monitors", "Monitors that were changed in AlertSite since the last apply."
)
CHANGES = Metric(
    "reconciler_planned_changes",
    "Changes of the plan; a change with several causes counts once for each.",
    ("action", "cause"),
)
REFUSALS = Metric("reconciler_refusals", "Manifests that a guard refused to plan.")
OUTCOMES = Metric("reconciler_outcomes", "Changes of an apply by outcome.", ("action", "status"))
LOST = Metric(
    "reconciler_lost_monitors", "Monitors that lose monitoring by the plan, for any cause."
)
LOSSES = Metric(
    "reconciler_losses", "Monitors that lose monitoring by the plan, by cause.", ("cause",)
)
REQUESTS = Metric(
    "reconciler_requests",
    "Requests to AlertSite by status code; none if there was no response.",
    ("method", "code"),
)
RETRIES = Metric("reconciler_retries", "Retried requests.")
MEASUREMENTS = Metric(
    "reconciler_measurements_per_day",
    "Measurements of all email monitors of the account, as the plan found them.",
)
PLANNED_MEASUREMENTS = Metric(
    "reconciler_planned_measurements_per_day", "The same, after the plan is applied."
)
METRICS = (
    *(LAST_RUN, LAST_SUCCESS, EXIT_CODE, DURATION, MANAGED, UNMANAGED, ORPHANS, DRIFTED, CHANGES),
    *(REFUSALS, OUTCOMES, LOST, LOSSES, REQUESTS, RETRIES, MEASUREMENTS, PLANNED_MEASUREMENTS),
)
"""All that may be in a file, in its order."""
_NO_ANSWER = "none"
Counts: TypeAlias = "Mapping[tuple[str, ...], float]"
Found: TypeAlias = "dict[Metric, Counts]"


class Numbers(RunFacts):
    """What the events of one run tell, as numbers; a listener with what its `close` does."""

    def __init__(self) -> None:
        super().__init__()
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._retries = 0
        self._at = 0.0

    def take(self, event: Event, at: datetime) -> None:
        """Counts one event."""
        super().take(event, at)
        self._at = at.timestamp()
        if isinstance(event, RequestEnded):
            code = _NO_ANSWER if event.status is None else str(event.status)
            self._requests[event.method, code] += 1
        self._retries += isinstance(event, Retried)

    def found(self, last_success: Callable[[], float | None]) -> Found:
        """By metric and labels what the run knows.

        Args:
            last_success: tells when an earlier run ended well; asked if this one did not.
        """
        assert self.ended is not None
        code = self.ended.exit_code
        single: dict[Metric, float | None] = {
            LAST_RUN: self._at,
            LAST_SUCCESS: self._at if code in {ExitCode.OK, ExitCode.CHANGES} else last_success(),
            EXIT_CODE: code,
            DURATION: self.ended.seconds,
            RETRIES: self._retries,
        }
        found: Found = {REQUESTS: self._requests}
        if self.plan is not None:
            plan, measured = self.plan.plan, self.plan.measurements
            coverage = plan.coverage
            single |= {
                MANAGED: coverage.managed,
                ORPHANS: orphans(plan),
                DRIFTED: drifted(plan),
                REFUSALS: len(plan.refusals),
                LOST: len(coverage.losses),
            }
            found[CHANGES] = causes(plan)
            found[LOSSES] = {(cause,): count for cause, count in coverage.by_cause().items()}
            if measured is not None:
                moved = coverage.measurements
                single |= {
                    UNMANAGED: plan.unmanaged,
                    MEASUREMENTS: measured,
                    PLANNED_MEASUREMENTS: measured + moved.after - moved.before,
                }
        if self.drift is not None:
            count = len(self.drift.drift.monitors)
            single |= {MANAGED: count + self.drift.drift.kept, DRIFTED: count}
        if self.outcomes:
            found[OUTCOMES] = Counter(
                (item.change.action.value, item.status.value) for item in self.outcomes.values()
            )
        for metric, number in single.items():
            if number is not None:
                found[metric] = {(): number}
        return found


def exposition(
    runs: Mapping[tuple[str, str], Found],
    metrics: Iterable[Metric],
    alone: Mapping[Metric, float] = {},
) -> bytes:
    """The numbers of runs as OpenMetrics text.

    Args:
        runs: what each knows, by account and operation.
        metrics: what may be in it, in this order.
        alone: numbers that are of no account.
    """
    registry = CollectorRegistry()
    for metric, number in alone.items():
        Gauge(metric.name, metric.help, registry=registry).set(number)
    for metric in metrics:
        if not any(metric in found for found in runs.values()):
            continue
        labels = ("account", "operation", *metric.labels)
        gauge = Gauge(metric.name, metric.help, labels, registry=registry)
        for common, found in runs.items():
            for values, number in sorted(found.get(metric, {}).items()):
                gauge.labels(*common, *values).set(number)
    text: bytes = generate_latest(registry)
    return text


class Metrics(Numbers):
    """The file that `--metrics` names, written at the end, whole or not at all.

    Args:
        path: its name.
        say: is told if it cannot be written.

    Raises:
        ConfigurationError: there is no folder for it, or it is one.
    """

    def __init__(self, path: str, say: Callable[[str], None]) -> None:
        super().__init__()
        self._path = Path(path)
        self._say = say
        if not self._path.parent.is_dir():
            raise ConfigurationError(
                f"{path} cannot be written: there is no folder {self._path.parent}",
                "Create the folder, or name another file with --metrics.",
            )
        if self._path.is_dir():
            raise ConfigurationError(
                f"{path} cannot be written: it is a folder", "Name another file with --metrics."
            )

    def close(self) -> None:
        """Writes the file."""
        found = self.found(self._last_success)
        try:
            text = exposition({(self.account, self.operation): found}, METRICS)
            durable.replace(self._path, text)
        except OSError as error:
            self._say(f"{self._path} cannot be written: {error.strerror}; the run is not affected.")

    def _last_success(self) -> float | None:
        """When the last run ended well, as the file before this one says; None if it does not."""
        labels = f'account="{self.account}",operation="{self.operation}"'
        try:
            text = (durable.read(self._path) or b"").decode()
            line = f"{LAST_SUCCESS.name}{{{labels}}} "
            found = [float(each.removeprefix(line)) for each in text.splitlines() if line in each]
        except (OSError, ValueError) as error:
            written = "it is not what a run has written"
            reason = error.strerror if isinstance(error, OSError) else written
            self._say(f"{self._path} does not have the time of the last successful run: {reason}")
            return None
        return found[0] if found and isfinite(found[0]) else None
