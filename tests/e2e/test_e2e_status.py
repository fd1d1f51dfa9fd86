"""`reconciler status` and `reconciler render` from the command line."""

import json
import re

import pytest
from e2e.conftest import Account, Sandbox, Workspace, monitor

from reconciler.manifests import Parser
from reconciler.state_store import open_store
from reconciler.state_store.port import Key

from build import SCHEMAS
from documents import check

_REF = {"secretRef": {"env": "NOTE"}}
_PLACES = [{"id": 30, "name": "Boston (MA)", "region": 1}]


@pytest.fixture
def account(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Two relays, of which one is disabled, and a monitor that was made by hand."""
    text = "apiVersion: reconciler/v1\nkind: Defaults\nspec:\n  interval: 5\n"
    workspace.write("_defaults.yaml", text)
    workspace.describe("email-smtp", "a", 1, port=587, alert_note="x: #1\ny")
    workspace.describe("email-smtp", "b", 2, extra={"pop3_password": _REF})
    return sandbox(
        monitor("email-smtp", 1, port=25, interval=5, locations=_PLACES),
        monitor("email-smtp", 2, enabled=False, interval=5),
        monitor("email-imap", 3, interval=10, locations=[{"id": 5010, "region": 2}]),
    )


def test_before_and_after_an_apply(account: Account) -> None:
    before = len(account.calls())
    done = account.run("status").expect(0)
    assert account.calls()[before:] == ["POST /access-tokens", "GET /monitors"]
    assert done.out.splitlines() == [
        f"account    {account.url}",
        "manifests  2 in 2 files below monitors",
        "monitors   2 managed, 1 unmanaged",
        "plan       0 to add, 1 to change, 0 to destroy",
        "drift      unknown: nothing applied yet",
        "coverage   1 of 2 managed monitors run and send alerts, 1 disabled",
        "cost       432 measurements and 288 credits per day, of all 3 email monitors",
        "state      file:.reconciler/state.json, serial 0, 0 records",
        "last run   none, according to the state",
        "lock       free",
    ]
    env = {"NOTE": "s3cret"}
    assert account.apply(env=env).code == 0
    account.edit("email-smtp", 1, port=26)
    lines = account.run("status").out.splitlines()
    assert lines[4] == "drift      1 of 2 not as last applied"
    assert re.fullmatch(r"last run   20\w+-\w+, saved 20\S+Z \(.+\)", lines[8])
    check(account.run("status", "--json").json, "status")


def test_who_holds_the_lock(workspace: Workspace, account: Account) -> None:
    env = {"NOTE": "s3cret"}
    assert account.apply(env=env).code == 0
    lease = {
        "id": "run-1", "holder": "ann", "host": "here", "operation": "apply",
        "acquired_at": "2026-01-02T03:04:05Z", "process": "", "length": 60, "renewals": 0,
    }  # fmt: skip
    store = open_store(f"file:{workspace.root}/.reconciler/state.json")
    store.write(Key.LOCK, json.dumps(lease).encode(), None, "lock")
    done = account.run("status")
    assert done.out.endswith(
        "lock       held by ann on here for apply since 2026-01-02T03:04:05Z, run run-1\n"
    )
    found = account.run("status", "--json").json
    check(found, "status")
    assert found["lock"]["run"] == "run-1"


def test_a_rendered_manifest_is_one(account: Account) -> None:
    before = len(account.calls())
    done = account.run("render", "email-smtp/a").expect(0)
    assert done.out.startswith("# email-smtp/a: monitors/a.yaml:1\n")
    assert "\n  interval: 5  # default, monitors/_defaults.yaml:4:3\n" in done.out
    assert "\n  port: 587  # monitors/a.yaml:10:3\n" in done.out
    assert account.run("render", "1").out == done.out
    as_json = account.run("render", "email-smtp/a", "-o", "json").json
    check(as_json, "render")
    assert as_json["origins"]["interval"] == {
        "place": "monitors/_defaults.yaml:4:3",
        "is_default": True,
        "is_override": False,
        "variables": [],
    }
    (document,), findings = Parser().parse("x", done.out.encode())
    assert findings == []
    assert SCHEMAS.accept(document.value)
    assert document.value == as_json["manifest"]
    assert document.value["spec"]["alert_note"] == "x: #1\ny"
    assert account.calls()[before:] == []


def test_a_secret_stays_a_reference(account: Account) -> None:
    done = account.run("render", "email-smtp/b", env={"NOTE": "s3cret"})
    assert "pop3_password: {secretRef: {env: NOTE}}  # monitors/b.yaml:" in done.out
    assert "s3cret" not in done.text


def test_an_id_that_only_the_state_knows(workspace: Workspace, account: Account) -> None:
    workspace.describe("email-pop", "new")
    assert account.apply("--target", "email-pop/new").code == 0
    number = account.run("state", "show", "email-pop/new").json["id"]
    done = account.run("render", str(number))
    assert done.out.startswith("# email-pop/new:")


def test_no_such_manifest(account: Account) -> None:
    said = "no manifest describes email-smpt/a; did you mean email-smtp/a?"
    account.run("render", "email-smpt/a").expect(64, err=said)
    assert account.run("render", "99").code == 64


def test_ids_have_names_in_why(workspace: Workspace, account: Account) -> None:
    workspace.replace("a.yaml", "  port: 587", "  port: 587\n  locations: [{id: 30}, {id: 40}]")
    done = account.run("why", "email-smtp/a.locations")
    assert "  live       Boston (MA) (30)\n" in done.out
    assert "change Boston (MA) (30) → Boston (MA) (30), 40: edit" in done.out
    found = account.run("why", "1.locations", "--json").json
    check(found, "why")
    assert found["names"] == [{"field": "locations", "key": "id", "id": 30, "name": "Boston (MA)"}]


def test_a_round_trip_that_alertsite_sends_itself(workspace: Workspace, sandbox: Sandbox) -> None:
    account = sandbox()
    workspace.describe("email-round-trip", "trip", smtp_hostname="")
    assert account.apply().code == 0
    assert account.run("plan").out.startswith("No changes.")
    assert "(AlertSite) → pop3s" in account.run("list", "-o", "wide").out
    into = ("--into", "imported", "--state", "file:other.json")
    account.run("import", *into, "--manifests", "none").expect(0)
    texts = [path.read_text() for path in (workspace.root / "imported").rglob("*.yaml")]
    assert any("smtp_hostname: ''" in text or 'smtp_hostname: ""' in text for text in texts)
