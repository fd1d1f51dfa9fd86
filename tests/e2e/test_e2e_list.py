"""`reconciler list`, and ids in place of addresses, from the command line."""

import csv
import io

import pytest
from e2e.conftest import Account, Sandbox, Workspace, monitor

from documents import check

_BOSTON = [{"id": 72, "name": "Boston (MA)", "region": 1}]


@pytest.fixture
def account(workspace: Workspace, sandbox: Sandbox) -> Account:
    """A managed, an orphaned and a hand-made monitor."""
    labels = {"team": "core"}
    workspace.describe("email-smtp", "relay", 1, port=587, labels=labels)
    workspace.describe("email-pop", "left", 2)
    found = sandbox(
        monitor("email-smtp", 1, port=25, interval=5, locations=_BOSTON),
        monitor("email-pop", 2),
        monitor("email-imap", 3, name="=cmd()", hostname="mail-41.example.com"),
    )
    assert found.apply().code == 0
    workspace.remove("left.yaml")
    return found


def test_a_target_that_matches_none(account: Account) -> None:
    for target, name in {
        "email-smtp/rely": "email-smtp/rely",
        "!email-smtp/rely": "email-smtp/rely",
        "nosuch": "nosuch",
        "email-imap/*": "email-imap/*",
        "team=none": "team=none",
        "77": "77",
        "": "(empty)",
    }.items():
        done = account.run("list", "email-smtp/relay", "--json", "--", target)
        assert (done.code, done.out) == (64, "")
        assert f"the target {name} matches no monitor" in done.err
    done = account.run("list", "email-smtp/rely")
    assert "email-smtp/rely matches no monitor; did you mean email-smtp/relay?\n" in done.err
    assert "matches" not in account.run("list", "email-smtp/relay", "--unmanaged").err
    account.run("list", "2", "!2").expect(0, err="No monitor matches 2 !2.\n")


def test_one_that_is_missing_and_being_created_again(
    half_made: Account, workspace: Workspace
) -> None:
    was = workspace.state()["pending_creates"]["email-smtp/a"]["replaces"]
    number = str(was["id"])
    for flags, standing in (([], "missing"), (["--offline"], "managed")):
        done = half_made.run("list", number, "-o", "json", *flags)
        (found,) = done.json["monitors"]
        assert (found["address"], found["id"]) == ("email-smtp/a", was["id"])
        assert (found["status"], found["applied_at"]) == (standing, was["applied_at"])
    drift = half_made.run("drift", "--target", number)
    assert (drift.code, drift.out.count("deleted in AlertSite")) == (2, 1)
    plan = half_made.run("plan", "--target", number)
    offline = half_made.run("plan", "--target", number, "--offline")
    for planned in (plan, offline):
        assert "+ email-smtp/a (monitors/a.yaml:1): deleted outside Git" in planned.out
        assert ". email-smtp/a pending: an earlier create is not confirmed" in planned.out
        assert f"email-smtp/a (id {number}): vanished" in planned.out


def test_one_that_a_create_without_an_outcome_has_made(half_made: Account) -> None:
    number = half_made.create("email-smtp", name="a")
    listed = half_made.run("list", "-o", "json").json["monitors"]
    assert [(it["address"], it["id"], it["status"]) for it in listed][:1] == [
        ("email-smtp/a", number, "managed")
    ]
    assert len(listed) == 2
    by_hand = half_made.create("email-smtp", name="c", hostname="c.example.com")
    drift = half_made.run("drift", "--unmanaged", "--json")
    assert [item["id"] for item in drift.json["unmanaged"]] == [by_hand]
    status = half_made.run("status").out
    assert "monitors   2 managed, 1 unmanaged\n" in status
    assert "drift      none: 2 as last applied\n" in status


def test_all_of_an_account(account: Account) -> None:
    before = len(account.calls())
    done = account.run("list").expect(0)
    head, *rows = done.out.splitlines()
    columns = "MONITOR NAME KIND ENABLED SERVER INTERVAL LOCATIONS LABELS APPLIED"
    assert head.split() == columns.split()
    assert [row.split()[0] for row in rows] == ["email-pop/left", "email-smtp/relay", "3"]
    assert "Boston (MA)" in rows[1]
    assert "mail.example.com:587" in rows[1]
    assert "team=core" in rows[1]
    assert done.err.endswith("3 monitors: 1 managed, 1 unmanaged, 1 orphaned.\n")
    assert account.calls()[before:] == ["POST /access-tokens", "GET /monitors"]
    assert account.run("get").out == done.out


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--unmanaged"], ["3"]),
        (["--orphaned"], ["email-pop/left"]),
        (["--managed", "--orphaned"], ["email-pop/left", "email-smtp/relay"]),
        (["--where", "hostname=mail-4*"], ["3"]),
        (["--where", "spec.port=587"], ["email-smtp/relay"]),
        (["--where", "locations=boston*", "--where", "kind=email-smtp"], ["email-smtp/relay"]),
        (["--offline"], ["email-pop/left", "email-smtp/relay"]),
        (["2", "team=core"], ["email-pop/left", "email-smtp/relay"]),
        (["team=core", "--where", "port=1"], []),
    ],
)
def test_some_of_an_account(arguments: list[str], names: list[str], account: Account) -> None:
    done = account.run("list", "-o", "name", *arguments).expect(0)
    assert done.out.split() == names


def test_json_and_csv(account: Account) -> None:
    for flags in ([], ["--offline"]):
        done = account.run("list", "-o", "json", *flags)
        check(done.json, "list")
        assert done.json["offline"] == bool(flags)
    done = account.run("list", "-o", "csv", "--columns", "id,name,labels.team")
    rows = list(csv.reader(io.StringIO(done.out)))
    assert rows == [
        ["id", "name", "labels.team"],
        ["2", "Monitor", ""],
        ["1", "Monitor", "core"],
        ["3", "'=cmd()", ""],
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--where", "hostnam=x"], "--where hostnam: there is no such column; did you mean"),
        (["--where", "hostname"], "--where hostname: it has no ="),
        (
            ["--where", "labels.tem=x"],
            "labels.tem: no monitor has this label; did you mean",
        ),
        (["--columns", "name,"], "--columns (empty): there is no such column"),
        (["--columns", "name", "-o", "json"], "--columns cannot be used with --output json"),
        (["--offline", "--unmanaged"], "--unmanaged needs AlertSite"),
    ],
)
def test_what_means_nothing(arguments: list[str], said: str, account: Account) -> None:
    account.run("list", *arguments).expect(64, err=said)


def test_an_account_without_manifests_is_listed(workspace: Workspace, account: Account) -> None:
    workspace.remove("relay.yaml")
    done = account.run("list", "--state", "file:other.json", "-o", "name")
    assert done.out.split() == ["1", "2", "3"]


def test_ids_stand_for_addresses(workspace: Workspace, account: Account) -> None:
    workspace.replace("relay.yaml", "587", "2525")
    done = account.run("plan", "--target", "1")
    assert "~ email-smtp/relay" in done.out
    assert "email-pop/left" not in done.out
    assert "email-pop/left" in account.run("plan", "--target", "2").out
    assert "kept by --keep" in account.run("plan", "--prune", "--keep", "2").out
    offline = account.run("plan", "--offline", "--target", "1")
    assert "587 → 2525" in offline.out
    assert account.run("plan", "--target", "3").code == 64
    assert account.run("why", "1.port").out.startswith("email-smtp/relay.port\n")
    assert account.run("state", "show", "2").json["id"] == 2
    account.edit("email-pop", 2, hostname="other.example.com")
    assert account.run("drift", "--target", "1").code == 0
    assert account.run("drift", "--target", "2").code == 2
    assert account.apply("--target", "1").code == 0
    assert account.live(1)["port"] == 2525
    account.apply("--prune", "--target", "2").expect(0)
    assert [item["id"] for item in account.monitors()] == [1, 3]
    assert account.run("state", "rm", "1").code == 0
    assert account.run("state", "list").out == ""


def test_drift_tells_of_monitors_that_were_made_by_hand(account: Account) -> None:
    drift = ("drift", "--unmanaged", "--target", "email-smtp/relay")
    done = account.run(*drift)
    assert (done.code, done.out) == (
        0,
        "No drift. 1 monitor as last applied. No new monitors without a manifest.\n",
    )
    number = account.create("email-smtp", name="By hand", billing_plancode="x", hostname="h")
    assert account.run("drift", "--target", "email-smtp/relay").code == 0
    done = account.run(*drift).expect(2)
    assert done.out == (
        f"  + By hand (id {number}, email-smtp: made by hand since the last apply)\n\n"
        "No drift. 1 monitor as last applied. 1 new monitor without a manifest.\n"
    )
    found = account.run(*drift, "--json").json
    check(found, "drift")
    assert [item["id"] for item in found["unmanaged"]] == [number]
    assert account.apply().code == 0
    assert account.run(*drift).code == 0


def test_a_state_that_does_not_know_what_was_there(workspace: Workspace, account: Account) -> None:
    state = workspace.state()
    check(state, "state")
    assert state.pop("unmanaged") == [3]
    workspace.save(state)
    said = "does not list the monitors that had no manifest"
    account.run("drift", "--unmanaged").expect(8, err=said)


def test_an_id_is_explained(account: Account) -> None:
    done = account.run("explain", "location", "72")
    assert (done.code, done.out) == (
        0,
        (
            "location 72: Boston (MA)\n\n"
            "  region    1 (US and Canada): a measurement costs 0.5 credits\n"
            "  monitors  1 (id 1)\n"
        ),
    )
    assert account.run("explain", "location").out == "72  Boston (MA)  1 monitor\n"
    assert account.run("explain", "property").out == "No monitor has one.\n"
    said = "no monitor of the account has the location 73"
    account.run("explain", "location", "73").expect(64, err=said)
    assert account.run("explain", "email-smtp", "73").code == 64
