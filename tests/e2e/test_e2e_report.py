"""The fleet on one page, and plans as pages, from the command line."""

import json
from pathlib import Path

from e2e.conftest import Relays, Run, Sandbox, Workspace, monitor

from reconciler.schema import schema_folder

from documents import check
from markup import Page


def read(workspace: Workspace, name: str) -> Page:
    return Page((workspace.root / name).read_text(encoding="utf-8"))


def test_the_fleet_is_counted_with_one_list(relays: Relays) -> None:
    account = relays(2, monitor("email-pop", 9, enabled=False))
    done = account.run("report", env={"GITHUB_ACTIONS": "true"}).expect(0)
    assert [line.split() for line in done.out.splitlines()[1:4]] == [
        ["email-smtp", "2", "2", "0", "0", "0", "0", "0"],
        ["email-pop", "1", "0", "1", "0", "0", "0", "1"],
        ["all", "3", "2", "1", "0", "0", "0", "1"],
    ]
    assert account.calls() == ["POST /access-tokens", "GET /monitors"]


def test_its_json_fits_its_schema(run: Run, relays: Relays) -> None:
    account = relays(2)
    account.apply()
    account.edit("email-smtp", 1, port=26)
    done = account.run("report", "--json")
    check(done.json, "report")
    assert done.json["total"]["drifted"] == 1
    assert done.json["runs"][0]["monitors"] == 2
    schema = json.loads((schema_folder() / "report.schema.json").read_bytes())
    assert run("schema", "report").json == schema


def test_one_monitor_is_no_plural(sandbox: Sandbox, workspace: Workspace) -> None:
    workspace.describe("email-smtp", "a", 1)
    account = sandbox(monitor("email-smtp", 1, interval=5, locations=[{"id": 10}]))
    assert account.run("report").out.count(", from 1 location\n") == 1
    assert account.run("status").out.count(" per day, of 1 email monitor\n") == 1


def test_pages_say_where_they_come_from(run: Run, workspace: Workspace, relays: Relays) -> None:
    account = relays(2)
    done = account.run("plan", "--out", "plan.json", "--format", "html=plan.html")
    assert "Plan: 0 to add, 2 to change" in done.out
    found = read(workspace, "plan.html")
    digest = workspace.json("plan.json")["digest"]
    assert digest in found.text
    assert "Read at 20" in found.text
    assert "reconciler apply plan.json" in found.text
    assert "reconciler apply --target email-smtp/relay-01" in found.text
    assert run("show", "plan.json", "--format", "html=show.html").code == 0
    assert digest in read(workspace, "show.html").text
    account.run("apply", "plan.json", "--auto-approve", "--format", "html=apply.html")
    assert "All 2 changes are done" in read(workspace, "apply.html").text
    account.edit("email-smtp", 1, port=26)
    account.run("drift", "--format", "html=drift.html")
    assert "1 monitor is not as last applied" in read(workspace, "drift.html").text
    account.run("report", "--format", "html=fleet.html")
    assert "2 email monitors, 100 % managed by Git" in read(workspace, "fleet.html").text


def test_the_commands_of_a_page_do_what_it_shows(workspace: Workspace, relays: Relays) -> None:
    account = relays(2)
    Path(workspace.root / "monitors").rename(workspace.root / "mail monitors")
    flags = ("--manifests", "mail monitors", "--state", "file:other.json")
    account.run("plan", *flags, "--format", "html=plan.html")
    text = read(workspace, "plan.html").text
    command = "reconciler apply --manifests 'mail monitors' --state file:other.json"
    assert f"{command} --target email-smtp/relay-01" in text
    account.run("apply", *flags, "--target", "email-smtp/relay-01", "--auto-approve").expect(0)
    assert account.patches() == [("/monitors/email-smtp/1", {"port": 587})]


def test_a_page_can_go_to_stdout(relays: Relays) -> None:
    done = relays(1).run("plan", "--format", "html")
    assert "1 change is ready to apply" in Page(done.out).text
