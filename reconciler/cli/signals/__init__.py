"""What a run tells machines: events, metrics, traces and notifications, as they are asked for.

A `Signals` hands every event to its listeners, in one order for all. A listener never ends a run:
what it needs is checked when it is made, before anything is sent; what goes wrong later is said
once, and the run goes on. Without listeners nothing is imported and nothing is done.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

from reconciler import __version__
from reconciler.cli import config, console, runtime
from reconciler.context import waiting
from reconciler.core.events import Ended, PlanMade, Started, measurements
from reconciler.errors import ExitCode, ReconcilerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from datetime import datetime
    from typing import Self

    from reconciler.cli.signals.notification import Services
    from reconciler.context import Clock, Reporter
    from reconciler.core.events import Event
    from reconciler.core.model import Live
    from reconciler.core.plan import Plan


class Listener(Protocol):
    """Something that follows the events of a run."""

    def take(self, event: Event, at: datetime) -> None:
        """Takes one event; no two at once."""

    def close(self) -> None:
        """Called once, after the last event."""


class Signals:
    """The listeners of one run.

    Attributes:
        run: its id.
    """

    def __init__(
        self, run: str, operation: str, clock: Clock, listeners: Sequence[Listener]
    ) -> None:
        self.run = run
        self._clock = clock
        self._listeners = listeners
        self._lock = threading.RLock()
        self._exit_code = ExitCode.BUG  # unless somebody says how it ended
        self._error = "unexpected error"
        self._began = clock.monotonic()
        self.tell(Started(run, operation, __version__))

    @property
    def reporter(self) -> Reporter:
        """Tells people, and the listeners."""
        return console.reporter()._replace(tell=self.tell)

    def tell(self, event: Event) -> None:
        """Hands an event on; any thread may call it."""
        if not self._listeners:
            return
        with self._lock:
            at = self._clock.now()
            for listener in self._listeners:
                listener.take(event, at)

    def planned(
        self, plan: Plan, kinds: Container[str] = (), live: Sequence[Live] | None = None
    ) -> None:
        """Tells of a plan, and of what AlertSite has unless it was not asked."""
        if self._listeners:
            found = None if live is None else measurements(live, kinds)
            self.tell(PlanMade(plan, found))

    def end(self, exit_code: int, error: str = "") -> int:
        """Notes how the run ended, and returns its exit code."""
        self._exit_code, self._error = ExitCode(exit_code), error
        return exit_code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Tells that the run is over; the body has called `end`, unless it has raised."""
        if isinstance(error, ReconcilerError):
            self.end(error.exit_code, str(error))
        elif isinstance(error, KeyboardInterrupt | click.Abort):
            self.end(ExitCode.INTERRUPTED, "interrupted")
        with waiting():  # what is sent to others
            seconds = self._clock.monotonic() - self._began
            self.tell(Ended(self._exit_code, seconds, self._error))
            for listener in self._listeners:
                listener.close()


def emitting(
    operation: str,
    events: str | None = None,
    metrics: str | None = None,
    notify: Sequence[str] | None = None,
) -> Signals:
    """The signals of a run, which is the body of a `with`.

    Args:
        operation: the name of the command.
        events: the file for them; None for none.
        metrics: the file for them; None for none.
        notify: URLs, which hold secrets; None for a command that tells nobody, whatever is set.

    Raises:
        UsageError: an extra is not installed, or a URL is none that can be notified.
        ConfigurationError: a file cannot be written.
    """
    listeners = (*_listeners(events, metrics, notify),)
    return Signals(runtime.run_id(), operation, runtime.clock(), listeners)


def _listeners(
    events: str | None, metrics: str | None, notify: Sequence[str] | None
) -> Iterator[Listener]:
    part = runtime.part()
    if part is not None and not part.notifies:
        notify = None
    if notify is not None and (people := services(notify)) is not None:
        from reconciler.cli.signals.notification import Notification  # 200 ms

        pipeline = config.read_pipeline(os.environ).url
        tells_failures = part is None or part.tells_failures
        yield Notification(people, console.say, pipeline, tells_failures=tells_failures)
    if metrics is not None:
        with extra("--metrics", "prometheus-client"):
            from reconciler.cli.signals.metrics import Metrics  # 40 ms
        yield Metrics(metrics, console.say)
    if config.wants_traces(os.environ):  # for all programs of a machine, so it is no demand
        try:
            from reconciler.cli.signals import traces  # 150 ms
        except ImportError as error:
            console.say(
                f"No traces are sent: {error.name} is missing. Install it with: "
                "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
            )
        else:
            if (spans := traces.begin(os.environ, console.say)) is not None:
                yield spans
    if events is not None:
        from reconciler.cli.signals.event_file import EventFile  # only if it is asked for

        yield EventFile(events, runtime.redactor(), console.say, runtime.clock())


def services(notify: Sequence[str]) -> Services | None:
    """What a command line and the environment want to be notified; None if that is nothing.

    Raises:
        UsageError: the extra is not installed, or a URL is none that can be notified.
    """
    urls = (*notify, *config.read_notify(os.environ))
    runtime.redactor().know(*(part for url in urls for part in config.secrets_of(url)))
    if not urls:
        return None
    with extra("--notify", "apprise"):
        from reconciler.cli.signals.notification import Services as Found  # 200 ms
    return Found(urls, console.say)


@contextmanager
def extra(flag: str, package: str) -> Iterator[None]:
    """Translates what is raised where an extra is not installed.

    Raises:
        UsageError: the package that the flag needs is missing.
    """
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"{flag} needs the package {package}, and {error.name} is not installed",
            f"Install it with: pip install {package}",
        ) from error
