"""What apply compares and sends; also to an AlertSite that spells values in its own way."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e.conftest import Account, Fleet, Relays, Run, Sandbox, Workspace, manifest, monitor

from listening import QuietHandler, listening

_SAMPLE = Path(__file__).parents[2] / "monitors"
_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_APPLY = ("apply", "--auto-approve")


@pytest.fixture
def sample(workspace: Workspace) -> Workspace:
    """A copy of the repository's own manifests."""
    shutil.copytree(_SAMPLE, workspace.root / "monitors", dirs_exist_ok=True)
    return workspace


def test_sample_fleet_from_first_plan_to_no_changes(sample: Workspace, run: Run) -> None:
    first = run("plan").expect(0)
    assert "sandbox" in first.err.splitlines()[0]
    assert "Plan: 0 to add, 9 to change, 0 to destroy." in first.out
    assert run("plan", "--detailed-exitcode").code == 2

    applied = run(*_APPLY).expect(0)
    assert "sandbox" in applied.err.splitlines()[0]
    assert "Apply complete! Resources: 0 added, 9 changed, 0 destroyed." in applied.out

    run("plan", "--detailed-exitcode").expect(0, out="No changes. 14 unchanged.")
    assert (sample.root / ".reconciler" / "sandbox.db").stat().st_size


@pytest.mark.parametrize(
    ("kind", "field", "before", "after"),
    [
        ("email-imap", "enabled", False, True),
        ("email-pop", "hostname", "pop.old.example.com", "pop.example.com"),
        ("email-smtp", "port", 25, 587),
        ("email-round-trip", "email", "old@example.com", "new@example.com"),
    ],
)
def test_one_edited_field_is_one_patch_of_that_field(
    kind: str, field: str, before: Any, after: Any, workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe(kind, "one", 77, interval=15, **{field: after})
    account = sandbox(
        monitor(kind, 77, interval=15, note="left alone", **{field: before}),
        monitor(kind, 78, **{field: before}),
    )
    account.apply().expect(0, out="0 added, 1 changed, 0 destroyed")
    assert account.patches() == [(f"/monitors/{kind}/77", {field: after})]
    assert account.calls() == [_LOGIN, _READ, f"PATCH /monitors/{kind}/77", _READ]
    assert account.live(77)[field] == after
    assert account.live(77)["note"] == "left alone"
    assert account.live(78)[field] == before


def test_two_edited_fields_of_a_relay_are_one_patch_of_both(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    fields = {"resolve_dns": False, "timeout": 30}
    workspace.write(
        "relay.yaml",
        manifest("email-smtp", "prod-relay", 123456, ipv4="74.125.28.108", port=587, **fields),
    )
    account = sandbox(monitor("email-smtp", 123456, ipv4="203.0.113.24", port=25, **fields))
    account.apply().expect(0, out=('ipv4: "203.0.113.24" → "74.125.28.108"', "port: 25 → 587"))
    body = {"ipv4": "74.125.28.108", "port": 587}
    assert account.patches() == [("/monitors/email-smtp/123456", body)]
    assert list(account.patches()[0][1]) == ["ipv4", "port"]


def test_extra_fields_are_compared_and_sent_as_written(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    extra = {"mailbox_folder": "INBOX", "shape": {"a": [1, 2]}, "same": "same"}
    workspace.describe("email-pop", "one", 7, extra=extra)
    account = sandbox(monitor("email-pop", 7, mailbox_folder="Probe", same="same"))
    assert account.apply().code == 0
    sent = {"mailbox_folder": "INBOX", "shape": {"a": [1, 2]}}
    assert account.patches() == [("/monitors/email-pop/7", sent)]


def test_home_location_goes_out_with_its_locations(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-pop", "one", 7, locations=[{"id": 10}, {"id": 20}], home_location=10)
    account = sandbox(monitor("email-pop", 7, locations=[{"id": 10}], home_location=10))
    account.apply().expect(0, out="home_location: 10 (unchanged, sent with locations)")
    sent = {"home_location": 10, "locations": [{"id": 10}, {"id": 20}]}
    assert account.patches() == [("/monitors/email-pop/7", sent)]


def test_apply_without_changes_sends_no_write_and_does_not_ask(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one", 7, port=587)
    account = sandbox(monitor("email-smtp", 7, port=587))
    for command in (["plan"], ["apply"]):
        account.run(*command).expect(0, out="No changes. 1 unchanged.")
    assert account.calls() == [_LOGIN, _READ] * 2


def test_applying_again_sends_nothing_more(relays: Relays) -> None:
    account = relays(3)
    assert account.apply().code == 0
    assert account.apply().code == 0
    assert sorted(account.patches()) == [
        (f"/monitors/email-smtp/{number}", {"port": 587}) for number in (1, 2, 3)
    ]


_SPELLINGS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "number-as-text": ("email-smtp", {"port": 587}, {"port": "587"}),
    "whole-fraction": ("email-smtp", {"interval": 5}, {"interval": 5.0}),
    "empty-and-absent": ("email-smtp", {"note": ""}, {}),
    "empty-and-null": ("email-imap", {"note": ""}, {"note": None}),
    "empty-and-empty": ("email-imap", {"alert_note": ""}, {"alert_note": ""}),
    "locations-in-another-order-with-more-members": (
        "email-imap",
        {"locations": [{"id": 10}, {"id": 20}]},
        {
            "locations": [
                {"id": "20", "name": "Atlanta (GA)", "region": 1},
                {"id": 10, "name": "Fort Lauderdale (FL)", "region": 1},
            ]
        },
    ),
    "properties-in-another-order-with-more-members": (
        "email-pop",
        {"custom_properties": [{"id": 1, "value_id": 2}, {"id": 3, "value_id": 4}]},
        {
            "custom_properties": [
                {"id": 3, "value_id": 4, "name": "Environment", "value": "development"},
                {"id": 1, "value_id": "2", "name": "Team", "value": "mail"},
            ]
        },
    ),
    "spaces-in-the-plan-code": (
        "email-round-trip",
        {"billing_plancode": "UBM-A/A"},
        {"billing_plancode": "UBM - A/A"},
    ),
}


def test_another_spelling_is_no_change(workspace: Workspace, sandbox: Sandbox) -> None:
    seed = []
    for number, (name, (kind, wanted, live)) in enumerate(_SPELLINGS.items(), 1):
        workspace.describe(kind, name, number, **wanted)
        seed.append(monitor(kind, number, **live))
    account = sandbox(*seed)
    done = account.apply().expect(0)
    assert done.out.startswith(f"No changes. {len(_SPELLINGS)} unchanged.")
    assert account.calls() == [_LOGIN, _READ]


_VALUES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "case": ({"note": "x"}, {"note": "X"}),
    "spaces-in-a-note": ({"note": "a b"}, {"note": "ab"}),
    "true-is-not-0": ({"enabled": True}, {"enabled": 0}),
    "cleared": ({"note": ""}, {"note": "to be cleared"}),
    "one-and-none": ({"locations": [{"id": 10}]}, {"locations": []}),
    "one-and-absent": ({"port": 993}, {}),
}


def test_another_value_is_a_change(workspace: Workspace, sandbox: Sandbox) -> None:
    seed, expected = [], {}
    for number, (name, (wanted, live)) in enumerate(_VALUES.items(), 1):
        workspace.describe("email-imap", name, number, **wanted)
        seed.append(monitor("email-imap", number, **live))
        expected[f"/monitors/email-imap/{number}"] = wanted
    account = sandbox(*seed)
    assert account.apply().code == 0
    assert len(account.patches()) == len(_VALUES)
    assert dict(account.patches()) == expected


@pytest.mark.parametrize("parallelism", [1, 3])
def test_fail_fast_starts_nothing_new(parallelism: int, relays: Relays) -> None:
    # The others are slower than the failure: only what is in flight with it may be sent.
    rules = ["PATCH */1 status=400", "PATCH * delay=0.2"]
    account = relays(9, faults=rules)
    limit = ("--parallelism", str(parallelism))
    done = account.apply("--fail-fast", *limit, "--json").expect(7)
    sent = len(account.patches())
    assert 1 <= sent <= parallelism
    summary = done.json["summary"]
    assert (summary["failed"], summary["done"]) == (1, sent - 1)
    assert summary["not-started"] == 9 - sent
    assert "email-smtp/relay-01 failed" in done.json["outcomes"][8]["message"]


def test_parallelism_changes_nothing_but_the_speed(fleet: Fleet, sandbox: Sandbox) -> None:
    seed = fleet(20)
    results, sent = [], []
    for parallelism in ("1", "8"):
        account = sandbox(*seed, faults=["PATCH */7 status=400"])
        state = f"--state={parallelism}.json"
        done = account.apply("--json", "--parallelism", parallelism, state).expect(7)
        results.append(done.json | {"account": "", "run": ""})
        sent.append(account.patches())
        assert account.ports() == {number: 25 if number == 7 else 587 for number in range(1, 21)}
    assert results[0] == results[1]
    assert sent[0] == sorted(sent[0], key=lambda item: int(item[0].rpartition("/")[2]))
    assert sorted(sent[0], key=str) == sorted(sent[1], key=str)


_FIELDS: Mapping[str, Any] = {
    "name": "Relay, main",
    "hostname": "MX1.Example.com",
    "note": "Runbook:\n  - wait\n",
    "alert_note": "\nCall the owner\n",
    "port": 587,
    "interval": 5,
    "enabled": True,
    "notify_on_error": False,
    "locations": [{"id": 20}, {"id": 10}],
    "custom_properties": [{"id": 228, "value_id": 550}],
    "home_location": 10,
}


def _added(monitor: dict[str, Any]) -> dict[str, Any]:
    """The legacy location record has 13 keys."""
    for name in ("locations", "custom_properties"):
        monitor[name] = [
            {**item, "id": str(item["id"]), "country": "US", "has_chrome": 1, "backbone": None}
            for item in monitor.get(name) or ()
        ]
    return monitor


def _trimmed(monitor: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.strip().replace("\n", "\r\n") if isinstance(value, str) else value
        for name, value in monitor.items()
    }


def _folded(monitor: dict[str, Any]) -> dict[str, Any]:
    hosts = ("hostname", "smtp_hostname", "pop3_hostname")
    return {key: value.lower() if key in hosts else value for key, value in monitor.items()}


def _letters(monitor: dict[str, Any]) -> dict[str, Any]:
    return {
        key: ("n", "y")[value] if isinstance(value, bool) else value
        for key, value in monitor.items()
    }


def _numbers(value: Any) -> Any:
    """All numbers as text, at any depth, and truth as a number."""
    match value:
        case bool():
            return int(value)
        case int():
            return str(value)
        case list():
            return [_numbers(item) for item in value]
        case dict():
            return {key: _numbers(item) for key, item in value.items()}
        case _:
            return value


_FORMS = {
    "keys of its own": _added,
    "texts trimmed": _trimmed,
    "hosts in lower case": _folded,
    "truth in letters": _letters,
    "numbers as text": _numbers,
}


@pytest.fixture(params=_FORMS.values(), ids=_FORMS)
def spelling(request: pytest.FixtureRequest) -> Callable[[dict[str, Any]], dict[str, Any]]:
    found: Callable[[dict[str, Any]], dict[str, Any]] = request.param
    return found


@contextlib.contextmanager
def _spelt(url: str, spell: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[str]:
    """The base URL of a server that passes everything on and shows monitors in that spelling."""
    parts = urlsplit(url)

    def shown(data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("results"), list):
            return {**data, "results": [spell(item) for item in data["results"]]}
        return spell(data) if isinstance(data, dict) and "type" in data else data

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {
                name: value
                for name in ("Authorization", "Content-Type")
                if (value := self.headers.get(name))
            }
            connection = HTTPConnection(parts.netloc, timeout=10)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body, kept)
                answer = connection.getresponse()
                data = answer.read()
            if self.command == "GET" and answer.status == 200:
                data = json.dumps(shown(json.loads(data))).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = _pass_on

    with listening(Handler) as place:
        yield f"http://{place}{parts.path}"


def test_what_was_applied_fits_in_any_spelling(
    workspace: Workspace,
    run: Run,
    sandbox: Sandbox,
    spelling: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    workspace.describe("email-smtp", "one", 7, **_FIELDS)
    account = sandbox(monitor("email-smtp", 7, port=25))
    with _spelt(account.url, spelling) as url:
        env = account.env | {"ALERTSITE_URL": url}
        run(*_APPLY, env=env).expect(0)
        run("plan", "--detailed-exitcode", env=env).expect(0, out="No changes. 1 unchanged.")
        assert run("drift", env=env).code == 0
    assert len(account.patches()) == 1


def test_an_import_takes_any_spelling(
    workspace: Workspace,
    run: Run,
    sandbox: Sandbox,
    spelling: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    account = sandbox(monitor("email-smtp", 7, **_FIELDS))
    with _spelt(account.url, spelling) as url:
        env = account.env | {"ALERTSITE_URL": url}
        run("import", env=env).expect(0)
        (path,) = (workspace.root / "monitors").rglob("*.yaml")
        text = path.read_text(encoding="utf-8")
        assert all(f"  {name}:" in text for name in _FIELDS)
        assert "country" not in text
        run("plan", "--detailed-exitcode", env=env).expect(0, out="No changes. 1 unchanged.")


class TestHomeLocation:
    POOL: Mapping[str, Any] = {"locations": [{"id": 10}, {"id": 20}], "home_location": 10}

    @pytest.fixture
    def account(self, sandbox: Sandbox) -> Account:
        return sandbox(monitor("email-pop", 7, **self.POOL))

    def test_it_goes_out_with_new_locations_as_alertsite_has_it(
        self, account: Account, workspace: Workspace
    ) -> None:
        locations = [{"id": 10}, {"id": 30}]
        workspace.describe("email-pop", "one", 7, locations=locations)
        plan = account.run("plan")
        assert "home_location: 10 (unchanged, sent with locations)" in plan.out
        why = account.run("why", "email-pop/one.home_location")
        assert "unchanged, sent with locations" in why.out
        assert account.apply().code == 0
        sent = {"home_location": 10, "locations": locations}
        assert account.patches() == [("/monitors/email-pop/7", sent)]
        again = account.run("plan", "--detailed-exitcode")
        assert (again.code, "released" in again.out) == (0, False)

    def test_it_is_not_recorded_even_if_the_second_look_fails(
        self, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        locations = [{"id": 10}, {"id": 30}]
        workspace.describe("email-pop", "one", 7, locations=locations)
        faults = ["GET /monitors status=403 skip=1 times=1"]
        account = sandbox(monitor("email-pop", 7, **self.POOL), faults=faults)
        assert account.apply().code == 7
        shown = account.run("state", "show", "email-pop/one")
        assert ("locations" in shown.out, "home_location" in shown.out) == (True, False)
        again = account.run("plan", "--detailed-exitcode")
        assert (again.code, "released" in again.out) == (0, False)

    def test_it_is_not_left_out_of_new_locations(
        self, account: Account, workspace: Workspace
    ) -> None:
        locations = [{"id": 20}, {"id": 30}]
        workspace.describe("email-pop", "one", 7, locations=locations)
        refused = account.apply()
        assert refused.code == 5
        assert "locations would become 20, 30, without the home_location 10" in refused.text
        assert "Write home_location in the manifest" in refused.text
        assert account.patches() == []
        fields = {"locations": locations, "home_location": 30}
        workspace.describe("email-pop", "one", 7, **fields)
        assert account.apply().code == 0
        assert account.live(7)["home_location"] == 30

    def test_what_cannot_be_sent_can_be_pulled(
        self, account: Account, workspace: Workspace
    ) -> None:
        workspace.describe("email-pop", "one", 7, locations=[{"id": 30}])
        account.run("pull", "--all", "--auto-approve").expect(0)
        assert account.run("plan", "--detailed-exitcode").code == 0
