"""An AlertSite that spells what it was sent in its own way, and one whose home location moves.

The sandbox stands behind a server that turns every monitor it shows into what the legacy API, a
database that trims texts, or a form would make of it.
"""

from __future__ import annotations

import contextlib
import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from e2e.conftest import monitor

from listening import QuietHandler, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conftest import Account, Run, Sandbox, Workspace

_APPLY = ("apply", "--auto-approve")
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


_SPELLINGS = {
    "keys of its own": _added,
    "texts trimmed": _trimmed,
    "hosts in lower case": _folded,
    "truth in letters": _letters,
    "numbers as text": _numbers,
}


@pytest.fixture(params=_SPELLINGS.values(), ids=_SPELLINGS)
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
