"""What a run tells machines: events, metrics, traces, notifications; none of them stops it."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Fleet, Relays, Run, Sandbox, Start, Workspace, monitor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from reconciler.context import Clock

import scripted
from documents import check
from scripted import Answer, Script

_APPLY = ("apply", "--auto-approve")


def _events(path: Path) -> list[dict[str, Any]]:
    """The events in a file; each fits the schema."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        check(event, "events")
    return events


def _types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def _numbers(path: Path) -> dict[tuple[str, ...], float]:
    """Every number of a file, by metric and labels but those that all have."""
    text = path.read_text(encoding="utf-8")
    common = {"account", "operation"}
    return {
        (
            sample.name,
            *(value for key, value in sorted(sample.labels.items()) if key not in common),
        ): (sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def server() -> Iterator[Script]:
    with scripted.serving() as found:
        yield found


class TestEvents:
    def test_of_an_apply(self, workspace: Workspace, relays: Relays) -> None:
        faults = ["PATCH */1 status=503 times=1", "PATCH */2 status=400"]
        account = relays(3, faults=faults)
        account.apply("--parallelism", "1", "--events", "e.ndjson").expect(7)
        events = _events(workspace.root / "e.ndjson")
        types = _types(events)
        assert (types[0], types[-1]) == ("start", "end")
        assert events[0]["operation"] == "apply"
        assert {event["state"] for event in events if event["type"] == "lock"} == {
            "taken",
            "released",
        }
        (plan,) = (event for event in events if event["type"] == "plan")
        assert plan["summary"]["update"] == 3
        requests = [event for event in events if event["type"] == "request"]
        assert [(item["method"], item["path"].partition("/monitors")[2]) for item in requests] == [
            (call["method"], call["path"].partition("/monitors")[2]) for call in account.requests()
        ]
        assert {item["status"] for item in requests} == {200, 400, 503}
        (retry,) = (event for event in events if event["type"] == "retry")
        assert (retry["attempt"], "503" in retry["message"]) == (1, True)
        outcomes = [event for event in events if event["type"] == "outcome"]
        assert [(item["status"], item["is_confirmed"]) for item in outcomes] == [
            ("done", False),
            ("failed", False),
            ("done", False),
            ("done", True),
            ("failed", True),
            ("done", True),
        ]
        assert events[-1]["exit_code"] == 7
        assert events[0]["run"] in workspace.kept.read_text()

    def test_of_a_plan_and_of_drift(self, workspace: Workspace, relays: Relays) -> None:
        account = relays(2)
        assert account.apply().code == 0
        account.edit("email-smtp", 1, port=2525)
        path = workspace.root / "e.ndjson"
        assert account.run("plan", "--events", "e.ndjson").code == 0
        events = _events(path)
        assert _types(events) == [
            *("start", "observation", "request", "request", "observation", "plan", "end")
        ]
        assert events[-2]["drifted"] == 1
        assert account.run("plan", "--offline", "--events", "e.ndjson").code == 0
        assert _types(_events(path)) == ["start", "plan", "end"]  # it is begun anew
        assert account.run("drift", "--events", "e.ndjson").code == 2
        drift, end = _events(path)[-2:]
        assert (drift["drifted"], drift["kept"]) == (["email-smtp/relay-01"], 1)
        assert end["exit_code"] == 2

    def test_a_failure_is_the_end(self, workspace: Workspace, fleet: Fleet, run: Run) -> None:
        fleet(1)
        workspace.write("broken.yaml", "kind: x\n")
        assert run("plan", "--events", "e.ndjson").code == 3
        start, end = _events(workspace.root / "e.ndjson")
        assert (start["type"], end["exit_code"]) == ("start", 3)
        assert "finding" in end["error"]

    def test_each_is_there_as_soon_as_it_happened(
        self, workspace: Workspace, relays: Relays, start: Start
    ) -> None:
        account = relays(2, faults=["PATCH */2 delay=1.5"])
        process = start(*_APPLY, "--parallelism", "1", "--events", "e.ndjson", env=account.env)
        process.read_until("[1/2]")
        events = _events(workspace.root / "e.ndjson")
        assert process.popen.poll() is None
        assert "email-smtp/relay-01" in {event.get("address") for event in events}
        assert process.finish().code == 0

    def test_waiting_for_the_lock_is_told(
        self, workspace: Workspace, relays: Relays, start: Start
    ) -> None:
        account = relays(1, faults=["PATCH */1 delay=1.5"])
        first = start(*_APPLY, env=account.env)
        account.wait_for("GET")
        waiting = (*_APPLY, "--lock-timeout", "30s", "--events", "e.ndjson")
        account.run(*waiting).expect(0)
        states = [
            event["state"]
            for event in _events(workspace.root / "e.ndjson")
            if event["type"] == "lock"
        ]
        assert states == ["waiting", "taken", "released"]
        assert first.finish().code == 0

    def test_a_full_disk_does_not_stop_an_apply(self, relays: Relays) -> None:
        account = relays(2)
        done = account.apply("--events", "/dev/full").expect(0)
        assert done.err.count("/dev/full gets no more events: No space left on device") == 1
        assert account.ports() == {1: 587, 2: 587}

    def test_a_reader_that_goes_does_not_stop_an_apply(
        self, workspace: Workspace, relays: Relays
    ) -> None:
        account = relays(2)
        pipe = workspace.root / "pipe"
        os.mkfifo(pipe)
        lines: list[str] = []

        def read() -> None:
            with pipe.open(encoding="utf-8") as stream:
                lines.append(stream.readline())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        done = account.apply("--events", "pipe")
        reader.join(timeout=10)
        assert json.loads(lines[0])["type"] == "start"
        assert done.code == 0
        assert done.err.count("pipe gets no more events: Broken pipe") == 1
        assert account.ports() == {1: 587, 2: 587}

    def test_what_cannot_be_written_at_all_is_said_first(
        self, workspace: Workspace, relays: Relays, hurried: Clock
    ) -> None:
        account = relays(1)
        os.mkfifo(workspace.root / "pipe")
        for path, why in (("no/e", "No such file"), ("pipe", "it has no reader")):
            said = f"{path} cannot be written: {why}"
            account.apply("--events", path, clock=hurried).expect(3, err=said)
        assert account.requests() == []

    def test_no_secret_is_in_them(self, workspace: Workspace, sandbox: Sandbox) -> None:
        secret = "correct horse"
        extra = {"password": {"secretRef": {"env": "PASSWORD"}}}
        workspace.describe("email-pop", "one", 1, extra=extra)
        account = sandbox(monitor("email-pop", 1))
        env = {"PASSWORD": secret}
        account.apply("--write-secrets", "--events", "e.ndjson", env=env).expect(0)
        text = (workspace.root / "e.ndjson").read_text(encoding="utf-8")
        assert '"PATCH"' in text
        assert secret not in text
        assert account.login["ALERTSITE_PASSWORD"] not in text.replace("demo@", "")


class TestMetrics:
    def test_of_an_apply(self, workspace: Workspace, fleet: Fleet, sandbox: Sandbox) -> None:
        more = {"interval": 5, "locations": [{"id": 10}, {"id": 20}]}
        live = [item | more for item in fleet(3)]
        account = sandbox(*live, monitor("email-pop", 9), faults=["PATCH */2 status=400"])
        assert account.apply("--metrics", "m.prom").code == 7
        found = _numbers(workspace.root / "m.prom")
        assert found["reconciler_exit_code",] == 7
        assert found["reconciler_managed_monitors",] == 3
        assert found["reconciler_unmanaged_monitors",] == 1
        assert found["reconciler_orphaned_monitors",] == 0
        assert found["reconciler_planned_changes", "update", "edit"] == 3
        assert found["reconciler_outcomes", "update", "done"] == 2
        assert found["reconciler_outcomes", "update", "failed"] == 1
        assert found["reconciler_lost_monitors",] == 3
        assert found["reconciler_losses", "retargeted"] == 3
        assert found["reconciler_measurements_per_day",] == 3 * 2 * 288
        assert found["reconciler_requests", "200", "GET"] == len(account.requests("GET"))
        assert found["reconciler_requests", "400", "PATCH"] == 1
        assert found["reconciler_retries",] == 0
        assert ("reconciler_last_success_timestamp_seconds",) not in found

    def test_the_last_success_outlives_a_failure(
        self, workspace: Workspace, relays: Relays
    ) -> None:
        account = relays(1)
        path = workspace.root / "m.prom"
        assert account.run("plan", "--metrics", "m.prom").code == 0
        first = _numbers(path)
        success = first["reconciler_last_success_timestamp_seconds",]
        assert success == first["reconciler_last_run_timestamp_seconds",]
        for _ in range(2):
            workspace.write("broken.yaml", "kind: x\n")
            assert account.run("plan", "--metrics", "m.prom").code == 3
            found = _numbers(path)
            assert found["reconciler_last_success_timestamp_seconds",] == success
            assert found["reconciler_last_run_timestamp_seconds",] > success
            assert ("reconciler_managed_monitors",) not in found
        for odd in (
            b"\xff",
            b'reconciler_last_success_timestamp_seconds{account="default",operation="plan"} soon\n',
        ):
            path.write_bytes(odd)
            said = "m.prom does not have the time of the last successful run"
            account.run("plan", "--metrics", "m.prom").expect(3, err=said)
        assert ("reconciler_last_success_timestamp_seconds",) not in _numbers(path)

    def test_of_drift_and_of_an_offline_plan(self, workspace: Workspace, relays: Relays) -> None:
        account = relays(3)
        assert account.apply().code == 0
        account.edit("email-smtp", 1, port=2525)
        account.delete(2)
        assert account.run("drift", "--metrics", "m.prom").code == 2
        found = _numbers(workspace.root / "m.prom")
        assert found["reconciler_drifted_monitors",] == 2
        assert found["reconciler_managed_monitors",] == 3
        assert found["reconciler_last_success_timestamp_seconds",] > 0
        assert account.run("plan", "--offline", "--metrics", "m.prom").code == 0
        found = _numbers(workspace.root / "m.prom")
        assert found["reconciler_drifted_monitors",] == 0
        assert ("reconciler_unmanaged_monitors",) not in found
        assert ("reconciler_measurements_per_day",) not in found

    def test_a_file_that_cannot_be_written_is_no_failure_of_the_apply(
        self, workspace: Workspace, relays: Relays
    ) -> None:
        account = relays(1)
        account.apply("--metrics", "/dev/full").expect(0, err="/dev/full cannot be written")
        (workspace.root / "folder").mkdir()
        said = "folder cannot be written: it is a folder"
        account.apply("--metrics", "folder").expect(3, err=said)
        account.apply("--metrics", "no/m.prom").expect(3, err="there is no folder no")


class TestMissing:
    @pytest.mark.parametrize(
        ("package", "module", "flags"),
        [
            ("prometheus_client", "metrics", ("--metrics", "m.prom")),
            ("apprise", "notification", ("--notify", "json://127.0.0.1/")),
        ],
    )
    def test_an_extra_is_named_before_anything_is_sent(
        self,
        relays: Relays,
        monkeypatch: pytest.MonkeyPatch,
        package: str,
        module: str,
        flags: tuple[str, ...],
    ) -> None:
        account = relays(1)
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"reconciler.cli.signals.{module}", raising=False)
        done = account.apply(*flags)
        assert done.code == 64
        assert f"{flags[0]} needs the package {package.replace('_', '-')}" in done.err
        assert f"pip install {package.replace('_', '-')}" in done.err
        assert account.requests() == []

    def test_of_traces_is_said_and_no_failure(
        self, relays: Relays, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account = relays(1)
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
        monkeypatch.delitem(sys.modules, "reconciler.cli.signals.traces", raising=False)
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
        done = account.run("plan", env=env)
        assert done.code == 0
        assert "No traces are sent: opentelemetry.sdk.trace is missing" in done.err
        assert "pip install opentelemetry-sdk" in done.err

    def test_nothing_is_imported_that_is_not_asked_for(
        self, workspace: Workspace, base_env: dict[str, str], relays: Relays
    ) -> None:
        account = relays(1)
        script = """
import sys
from reconciler.cli import run
assert run(["plan"]) == 0
words = ("prometheus", "opentelemetry", "apprise", "requests", "reconciler.cli.signals")
print("names:", sorted(name for name in sys.modules if name.startswith(words)))
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=workspace.root,
            env=base_env | account.env,
            capture_output=True,
            encoding="utf-8",
            timeout=45,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "names: ['reconciler.cli.signals']"


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def _spans(server: Script) -> list[Any]:
    """All spans that a receiver was sent."""
    found = []
    for seen in server.seen:
        body = gzip.decompress(seen.body) if seen.body[:2] == b"\x1f\x8b" else seen.body
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            attributes = {item.key: _value(item.value) for item in resource.resource.attributes}
            assert attributes["service.name"] == "reconciler"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


class TestTraces:
    def test_a_run_an_observation_and_each_request_are_spans(
        self, relays: Relays, server: Script
    ) -> None:
        account = relays(2, faults=["PATCH */2 status=400"])
        server.on("POST /v1/traces", Answer())
        trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "TRACEPARENT": f"00-{trace}-{parent}-01"}
        assert account.apply(env=env).code == 7
        spans = _spans(server)
        by_id = {span.span_id: span for span in spans}
        (top,) = (span for span in spans if span.name == "reconciler apply")
        assert {span.trace_id.hex() for span in spans} == {trace}
        assert top.parent_span_id.hex() == parent
        attributes = {item.key: _value(item.value) for item in top.attributes}
        assert attributes["reconciler.exit_code"] == 7
        assert attributes["reconciler.account"] == "default"
        assert {event.name for event in top.events} == {"reconciler.plan", "reconciler.outcome"}
        above = {
            (span.name, by_id[span.parent_span_id].name)
            for span in spans
            if span.span_id != top.span_id
        }
        assert above == {
            ("observe", "reconciler apply"),
            ("POST /access-tokens", "observe"),
            ("GET /monitors", "observe"),
            ("PATCH /monitors/email-smtp/{id}", "reconciler apply"),
        }
        sent = [span for span in spans if span.name.startswith(("GET", "POST", "PATCH"))]
        assert len(sent) == len(account.requests())
        assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
        codes = {
            _value(item.value)
            for span in sent
            for item in span.attributes
            if item.key == "http.response.status_code"
        }
        assert codes == {200, 400}
        assert all("traceparent" not in str(item).lower() for item in account.requests())

    @pytest.mark.parametrize(
        ("status", "reason"),
        [(0, ""), (503, ""), (500, ": HTTP status 500"), (404, ": HTTP status 404")],
    )
    def test_a_receiver_that_does_not_take_them_is_said_once(
        self, relays: Relays, server: Script, status: int, reason: str
    ) -> None:
        account = relays(1)
        server.on("POST /v1/traces", Answer(status))
        env = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{server.url}/v1/traces",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        }
        done = account.apply(env=env).expect(0)
        assert done.err.count("traces") == 1
        assert f"Not all traces could be sent to {server.url}{reason}" in done.err
        said = "Check OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; the run is not affected."
        assert said in done.err

    def test_a_receiver_that_is_not_there_is_named_without_its_login(self, relays: Relays) -> None:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://ann:pass@127.0.0.1:9/key"}
        done = (
            relays(1)
            .apply(env=env)
            .expect(
                0,
                err="Not all traces could be sent to http://127.0.0.1:9: Connection refused. "
                "Check OTEL_EXPORTER_OTLP_ENDPOINT; the run is not affected.",
            )
        )
        assert ("pass" in done.err, "key" in done.err) == (False, False)

    @pytest.mark.parametrize(
        ("env", "words"),
        [
            ({"OTEL_SDK_DISABLED": "true"}, ""),
            ({"OTEL_TRACES_EXPORTER": "none"}, ""),
            ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc is not supported"),
            ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "No traces are sent: max_queue_size must be"),
            ({"OTEL_SPAN_EVENT_COUNT_LIMIT": "many"}, "No traces are sent: OTEL_SPAN_EVENT"),
        ],
    )
    def test_none_are_sent_where_they_are_not_wanted(
        self, relays: Relays, server: Script, env: dict[str, str], words: str
    ) -> None:
        account = relays(1)
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}
        assert words in account.run("plan", env=endpoint | env).expect(0).err
        assert server.seen == []


class TestNotification:
    TOKEN = "Xy7Tz9kLm2QpRs4v"

    @contextmanager
    def _service(self) -> Iterator[tuple[Script, str]]:
        with scripted.serving() as server:
            server.on(f"POST /{self.TOKEN}", Answer())
            yield server, f"{server.url.replace('http', 'json')}/{self.TOKEN}"

    def test_an_apply_tells_what_it_did_and_nothing_if_it_did_nothing(
        self, relays: Relays, run: Run
    ) -> None:
        account = relays(3, faults=["PATCH */2 status=400 times=1"])
        with self._service() as (server, url):
            account.apply("--notify", url).expect(7)
            (seen,) = server.seen
            told = json.loads(seen.body)
            assert told["title"] == "AlertSite, default: 2 of 3 changes applied (exit code 7)"
            assert told["message"].splitlines()[:4] == [
                "2 monitors have lost monitoring, or may have",
                "email-smtp/relay-02: change failed",
                "email-smtp/relay-01: changed",
                "email-smtp/relay-03: changed",
            ]
            assert told["type"] == "failure"
            assert account.apply(env={"RECONCILER_NOTIFY": f" {url}\n"}).code == 0
            assert json.loads(server.seen[1].body)["type"] == "success"
            assert account.apply("--notify", url).code == 0
            # A plan tells nobody, not even that it failed.
            env = account.env | {"RECONCILER_NOTIFY": url}
            assert run("plan", "--manifests", "nowhere", env=env).code == 3
            assert len(server.seen) == 2

    def test_a_failure_is_told_without_what_others_said(self, relays: Relays) -> None:
        account = relays(1, faults=["GET /monitors status=400"])
        with self._service() as (server, url):
            done = account.apply("--notify", url)
            told = json.loads(server.seen[0].body)
        assert told["title"] == f"AlertSite, default: apply failed (exit code {done.code})"

    def test_a_refused_apply_tells_what_it_would_have_cost_and_where_its_log_is(
        self, relays: Relays
    ) -> None:
        account = relays(4)
        job = {"CI_JOB_URL": "https://gitlab.example.com/jobs/7", "RECONCILER_BUDGET": "2,100%"}
        with self._service() as (server, url):
            assert account.apply("--notify", url, env=job).code == 5
            told = json.loads(server.seen[0].body)
        assert told["title"] == "AlertSite, default: apply failed (exit code 5)"
        assert told["message"].splitlines()[:2] == [
            "Refused by a guard.",
            "4 monitors would lose monitoring (4 retargeted); budget 2",
        ]
        assert told["message"].endswith("\nhttps://gitlab.example.com/jobs/7")

    def test_drift_is_told_once(self, workspace: Workspace, relays: Relays) -> None:
        account = relays(3)
        assert account.apply().code == 0
        drift = ("drift", "--notify")
        with self._service() as (server, url):

            def told(*more: str) -> list[str]:
                before = len(server.seen)
                account.run(*drift, url, *more)
                bodies = [json.loads(seen.body) for seen in server.seen[before:]]
                return [line for body in bodies for line in body["message"].splitlines()[:-1]]

            assert told() == []
            account.edit("email-smtp", 1, port=2525)
            assert told() == ["email-smtp/relay-01: port (retargeted)"]
            assert told() == []
            account.delete(2)
            gone = "email-smtp/relay-02: deleted in AlertSite (vanished)"
            assert told("--target", "*/relay-02") == [gone]
            assert told() == []
            account.edit("email-smtp", 1, port=2526)
            assert told() == ["email-smtp/relay-01: port (retargeted)"]
            account.edit("email-smtp", 1, port=587)
            assert told() == []
            account.edit("email-smtp", 1, port=2526)
            server.on(f"POST /{self.TOKEN}", Answer(500))
            assert told() == ["email-smtp/relay-01: port (retargeted)"]
            server.on(f"POST /{self.TOKEN}", Answer())
            assert told() == [
                "email-smtp/relay-01: port (retargeted)"
            ]  # what was not taken is told again
            account.edit("email-smtp", 1, port=2526)
            new = account.create("email-smtp", name="By hand", hostname="mx.example.com")
            assert told() == []
            what = f"By hand (id {new}, email-smtp: made by hand since the last apply)"
            assert told("--unmanaged") == [what]
            assert told("--unmanaged") == told() == told("--unmanaged") == []
            path = workspace.root / ".reconciler" / "notified.json"
            assert json.loads(path.read_bytes())["default"].popitem()[1].keys() == {
                "email-smtp/relay-01",
                "email-smtp/relay-02",
                f"id {new}",
            }
            path.write_text("[", encoding="utf-8")
            assert len(told()) == 2

    def test_what_fails_is_said_without_the_url(self, relays: Relays) -> None:
        account = relays(1)
        with self._service() as (server, url):
            server.on(f"POST /{self.TOKEN}", Answer(500))
            done = account.apply("--notify", url, "--notify", url)
        done.expect(
            0,
            err="Cannot send the notification (URL 2 of 2): HTTP status 500. Check the URL in "
            "--notify or RECONCILER_NOTIFY; the run is not affected.",
        )
        gone = f"json://127.0.0.1:9/{self.TOKEN}"
        account.edit("email-smtp", 1, port=2526)
        done = account.apply(env={"RECONCILER_NOTIFY": gone})
        done.expect(0, err="(URL 1 of 1): it cannot be reached. Check the URL")
        assert self.TOKEN not in done.text
        assert self.TOKEN not in done.text
        said = "Apprise does not support notification URL 1 of 1 (nowhere)"
        done = account.apply("--notify", f"nowhere://{self.TOKEN}/").expect(64, err=said)
        assert self.TOKEN not in done.text
