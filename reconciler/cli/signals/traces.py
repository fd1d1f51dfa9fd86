"""A run as OpenTelemetry spans: the run, each observation, each request.

The variables are OpenTelemetry's own (opentelemetry.io/docs/specs/otel/configuration/sdk-
environment-variables, read 2026-11): nothing is sent unless an endpoint is set. TRACEPARENT and
TRACESTATE (W3C Trace Context, as pipelines set them) make the run part of a larger trace. AlertSite
is not told of any trace: it is somebody else's.

Spans are made when they are over, with the times that the events tell; so no context has to be
carried through threads.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import INVALID_SPAN, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reconciler import __version__
from reconciler.cli.config import ENDPOINTS
from reconciler.cli.signals.reasons import behind_colon, reason_in
from reconciler.core.events import (
    DriftFound,
    Ended,
    ObservationBegan,
    ObservationEnded,
    OutcomeKnown,
    PlanMade,
    RequestEnded,
    Retried,
    Started,
)
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from reconciler.core.events import Event

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LOG = logging.getLogger("opentelemetry")
_LOG.addHandler(logging.NullHandler())
_NANOSECONDS = 10**9
_IDS = re.compile(r"/[0-9]+(?=/|$)")
_ERROR = 400
"""From here on a status is a failure of the request."""


def begin(environment: Mapping[str, str], say: Callable[[str], None]) -> Traces | None:
    """Spans that go where the environment says; None if that is not possible, which is said.

    The variables may be meant for other programs, so they never end a run.
    """
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "")
    if protocol not in {"", "http/protobuf"}:
        say(f"No traces are sent: {protocol} is not supported, only http/protobuf is.")
        return None
    _LOG.propagate = False  # that it fails is said once, in our words
    _LOG.addHandler(why := _Reasons(logging.WARNING))
    try:
        return Traces(environment, say, why)
    except ValueError as error:  # of a variable
        _LOG.removeHandler(why)
        say(f"No traces are sent: {error}")
        return None


class _Reasons(logging.Handler):
    """Keeps the first reason that is logged."""

    reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.reason = self.reason or reason_in(record.getMessage())


class _Exporter(OTLPSpanExporter):
    """Notes a failure, and then sends nothing more: a receiver that is away would hold the run."""

    has_failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not self.has_failed:
            self.has_failed = super().export(spans) is not SpanExportResult.SUCCESS
        return SpanExportResult.FAILURE if self.has_failed else SpanExportResult.SUCCESS


def _server(url: str) -> str:
    """The server of a URL, without what may be secret in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the receiver"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}" if parts.scheme and host else "the receiver"


class Traces:
    """The spans of one run.

    Args:
        environment: may name the trace that the run is a part of.
        say: is told once if they cannot be sent.
        why: knows the reason then.
    """

    def __init__(
        self, environment: Mapping[str, str], say: Callable[[str], None], why: _Reasons
    ) -> None:
        self._say = say
        self._why = why
        self._endpoint = next(name for name in ENDPOINTS if environment.get(name))
        self._server = _server(environment[self._endpoint])
        self._exporter = _Exporter()
        named = Resource.create({"service.version": __version__})  # also reads OTEL_SERVICE_NAME
        if str(named.attributes["service.name"]).startswith("unknown_service"):
            named = named.merge(Resource({"service.name": "reconciler"}))
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("reconciler", __version__)
        carrier = {
            name.lower(): environment[name]
            for name in ("TRACEPARENT", "TRACESTATE")
            if environment.get(name)
        }
        self._parent = TraceContextTextMapPropagator().extract(carrier)
        self._run: Span = INVALID_SPAN  # until it has begun
        self._observation: Span | None = None

    def take(self, event: Event, at: datetime) -> None:
        """Begins or ends spans; what takes no time of its own is a note on the run's."""
        now = int(at.timestamp() * _NANOSECONDS)
        match event:
            case Started():
                about = {"reconciler.run": event.run, "reconciler.operation": event.operation}
                name = f"reconciler {event.operation}"
                self._run = self._tracer.start_span(
                    name, self._parent, attributes=about, start_time=now
                )
            case ObservationBegan():
                self._observation = self._begun("observe", now, {})
            case ObservationEnded():
                if self._observation is not None:
                    if event.monitors is not None:
                        self._observation.set_attribute("reconciler.monitors", event.monitors)
                    self._observation.end(now)
                self._observation = None
            case RequestEnded():
                self._request(event)
            case Retried():
                self._note("retry", now, {"attempt": event.attempt, "wait": event.wait})
            case PlanMade():
                plan = event.plan
                self._run.set_attribute("reconciler.account", plan.account.name)
                self._note("plan", now, {"digest": plan.digest, "changes": len(plan.changes)})
            case DriftFound():
                self._run.set_attribute("reconciler.account", event.drift.account.name)
                self._note("drift", now, {"drifted": len(event.drift.monitors)})
            case OutcomeKnown() if event.is_confirmed:
                outcome = event.outcome
                what = {"address": outcome.change.address, "status": outcome.status.value}
                self._note("outcome", now, what)
            case Ended():
                code = int(event.exit_code)
                self._run.set_attribute("reconciler.exit_code", code)
                if code not in {ExitCode.OK, ExitCode.CHANGES}:
                    self._run.set_status(StatusCode.ERROR, f"exit code {code}")
                self._run.end(now)
            case _:
                pass

    def close(self) -> None:
        """Sends what was not sent yet; says so if that failed."""
        self._provider.shutdown()
        _LOG.removeHandler(self._why)
        if self._exporter.has_failed:
            self._say(
                f"Not all traces could be sent to {self._server}{behind_colon(self._why.reason)}. "
                f"Check {self._endpoint}; the run is not affected."
            )

    def _begun(self, name: str, at: int, attributes: Mapping[str, AttributeValue]) -> Span:
        """A span below the observation, or else below the run."""
        context = set_span_in_context(self._observation or self._run)
        kind = SpanKind.CLIENT if "http.request.method" in attributes else SpanKind.INTERNAL
        return self._tracer.start_span(name, context, kind, attributes=attributes, start_time=at)

    def _request(self, event: RequestEnded) -> None:
        began = int(event.began * _NANOSECONDS)
        name = f"{event.method} {_IDS.sub('/{id}', event.path)}"
        span = self._begun(
            name, began, {"http.request.method": event.method, "url.path": event.path}
        )
        if event.status is not None:
            span.set_attribute("http.response.status_code", event.status)
        if event.status is None or event.status >= _ERROR:
            span.set_attribute("error.type", str(event.status or "no answer"))
            span.set_status(StatusCode.ERROR)
        span.end(began + int(event.seconds * _NANOSECONDS))

    def _note(self, name: str, at: int, attributes: Mapping[str, AttributeValue]) -> None:
        prefixed = {f"reconciler.{key}": value for key, value in attributes.items()}
        self._run.add_event(f"reconciler.{name}", prefixed, at)
