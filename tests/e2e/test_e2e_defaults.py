"""Defaults from the command line: what is planned, sent and said of them."""

import json
import re
from pathlib import Path

import pytest
from e2e.conftest import Account, Run, Sandbox, Workspace, monitor

_APPLY = ("apply", "--auto-approve")
_HEAD = "apiVersion: reconciler/v1\nkind: Defaults\n"
_PLAN = "billing_plancode: UBM - A/A"


def defaults(*lines: str, applies_to: str = "") -> str:
    kinds = f"appliesTo: [{applies_to}]\n" if applies_to else ""
    return f"{_HEAD}{kinds}spec:\n" + "".join(f"  {line}\n" for line in lines)


def relay(name: str, number: int | None, *lines: str) -> str:
    """A manifest that names its monitor and these lines, and nothing that is required."""
    id_ = "" if number is None else f"  id: {number}\n"
    head = f"apiVersion: reconciler/v1\nkind: email-smtp\nmetadata:\n  name: {name}\n{id_}spec:\n"
    return head + "".join(f"  {line}\n" for line in (f"name: {name.title()}", *lines))


@pytest.fixture
def account(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Relays a, b and c, which get host and port from above; c is in a folder with another port."""
    workspace.write("_defaults.yaml", defaults(_PLAN, "hostname: mail.example.com", "port: 587"))
    workspace.write("a.yaml", relay("a", 1))
    workspace.write("b.yaml", relay("b", 2, "port: 25"))
    workspace.write("deep/_defaults.yaml", defaults("port: 2525", applies_to="email-smtp"))
    workspace.write("deep/c.yaml", relay("c", 3))
    return sandbox(
        *(monitor("email-smtp", n, name=name, port=25) for n, name in enumerate("ABC", start=1))
    )


def test_a_plan_says_where_a_default_stands(account: Account) -> None:
    done = account.run("plan")
    assert done.code == 0
    assert "port: 25 → 587 (default, monitors/_defaults.yaml:6:3)" in done.out
    assert "port: 25 → 2525 (default, monitors/deep/_defaults.yaml:5:3)" in done.out
    assert "2 to change, 0 to destroy. 1 unchanged." in done.out
    changes = account.run("plan", "--json").json["changes"]
    assert [(item["address"], item["fields"][0]["default"]) for item in changes] == [
        ("email-smtp/a", "monitors/_defaults.yaml:6:3"),
        ("email-smtp/c", "monitors/deep/_defaults.yaml:5:3"),
    ]


def test_a_changed_default_changes_all_that_inherit_it(
    account: Account, workspace: Workspace
) -> None:
    assert account.apply().code == 0
    assert sorted(account.patches()) == [
        ("/monitors/email-smtp/1", {"port": 587}),
        ("/monitors/email-smtp/3", {"port": 2525}),
    ]
    workspace.replace("_defaults.yaml", "port: 587", "port: 465\n  interval: 5")
    for flags in ([], ["--offline"]):
        plan = account.run("plan", *flags)
        assert "3 to change" in plan.out
        assert "port: 587 → 465 (default, monitors/_defaults.yaml:6:3)" in plan.out
        assert plan.out.count(" → 5 (default, monitors/_defaults.yaml:7:3)") == 3
    assert account.apply().code == 0
    assert dict(account.patches()[2:]) == {
        "/monitors/email-smtp/1": {"interval": 5, "port": 465},
        "/monitors/email-smtp/2": {"interval": 5},
        "/monitors/email-smtp/3": {"interval": 5},
    }
    assert account.ports() == {1: 465, 2: 25, 3: 2525}


def test_a_new_monitor_gets_them_and_its_id_is_written_into_its_own_file(
    account: Account, workspace: Workspace
) -> None:
    workspace.write("deep/d.yaml", relay("d", None))
    before = workspace.read("_defaults.yaml")
    said = 'hostname: "mail.example.com" (default, monitors/_defaults.yaml:5:3)'
    account.apply("--write-ids", "--target", "email-smtp/d").expect(0, out=said)
    (created,) = [entry for entry in account.requests("POST") if entry["path"] != "/access-tokens"]
    assert created["body"] == {
        "billing_plancode": "UBM - A/A",
        "hostname": "mail.example.com",
        "name": "D",
        "port": 2525,
    }
    monitors = workspace.root / "monitors"
    assert (monitors / "_defaults.yaml").read_text(encoding="utf-8") == before
    text = (monitors / "deep" / "d.yaml").read_text(encoding="utf-8")
    assert re.sub("  id: [0-9]+\n", "", text) == relay("d", None)
    assert "No changes." in account.run("plan", "--target", "email-smtp/d").out


def test_one_file_is_valid_by_what_stands_above_it(
    account: Account, workspace: Workspace, run: Run
) -> None:
    assert account.calls() == []
    file = workspace.root / "monitors" / "deep" / "c.yaml"
    for path in ("monitors/deep/c.yaml", "./monitors/deep", str(file)):
        done = run("validate", path)
        assert (done.code, done.err) == (0, "Valid: 1 manifest in 1 file.\n")
    assert run("validate").err == "Valid: 3 manifests in 3 files.\n"
    workspace.remove("_defaults.yaml")
    run("validate", "monitors/deep/c.yaml").expect(3, out="missing key spec.hostname")


def test_manifests_may_be_anywhere(account: Account, workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "_defaults.yaml").write_text(defaults("port: 1", "note: not theirs"))
    flags = ["--json", "--state", f"file:{tmp_path / 'state.json'}"]
    here = account.run("plan", *flags).json
    for folder in (str(workspace.root / "monitors"), "../work/monitors"):
        there = account.run("plan", "--manifests", folder, *flags, cwd=elsewhere).json
        assert [item["request"] for item in there["changes"]] == [
            item["request"] for item in here["changes"]
        ]
        assert there["changes"][0]["fields"][0]["default"] == f"{folder}/_defaults.yaml:6:3"


def test_findings_name_the_defaults_file(account: Account, workspace: Workspace, run: Run) -> None:
    workspace.write("_defaults.yml", defaults("prot: 25"))
    workspace.write("deep/_defaults.yml", relay("z", 9) + "---\n" + defaults("port: 1"))
    workspace.write("deep/d.yaml", defaults("port: 1"))
    workspace.replace("_defaults.yaml", "port: 587", "port: high")
    done = account.run("plan").expect(3)
    found = [line.split(": ")[:2] for line in done.err.splitlines() if line.startswith("monitors")]
    assert found == [
        ["monitors/_defaults.yaml:6:9", "type"],
        ["monitors/_defaults.yml:4:3", "unknown-key"],
        ["monitors/deep/_defaults.yml:2:7", "not-defaults"],
        ["monitors/deep/_defaults.yml:12:3", "duplicate-default"],
        ["monitors/deep/d.yaml:2:7", "misplaced-defaults"],
    ]
    github = run("validate", "--format", "github")
    assert "::error file=monitors/_defaults.yaml,line=6,col=9,title=type::" in github.out
    places = run("validate", "--format", "json").json["findings"]
    assert [item["path"] for item in places][:1] == ["monitors/_defaults.yaml"]
    assert account.calls() == []


def test_a_secret_for_many_rotates_for_all_of_them(
    account: Account, workspace: Workspace, run: Run
) -> None:
    workspace.replace("_defaults.yaml", "port: 587", "alert_note: {secretRef: {env: NOTE}}")
    env = account.env | {"RECONCILER_SECRET_KEY": "key"}
    run("plan", env=env).expect(3, err="monitors/_defaults.yaml:6:27: shown-secret")
    workspace.settings('[secrets]\nfields = ["alert_note"]\n')
    missing = run(*_APPLY, env=env).expect(
        3, err=("monitors/_defaults.yaml:6:27: missing-secret", "NOTE is empty or not set")
    )
    env["NOTE"] = "first words"
    done = run(*_APPLY, "--show-requests", env=env).expect(0)
    where = "(source env:NOTE; default, monitors/_defaults.yaml:6:3)"
    assert done.out.count(f"alert_note: changed {where}") == 3
    assert ["alert_note" in body for _, body in account.patches()] == [True] * 3
    assert account.live(1)["alert_note"] == "first words"
    assert "No changes. 3 unchanged." in run("plan", env=env).out
    env["NOTE"] = "second words"
    rotated = run("plan", env=env)
    assert "3 to change" in rotated.out
    assert "words" not in done.text + rotated.text + missing.text


def test_a_saved_plan_is_for_these_defaults(
    account: Account, workspace: Workspace, run: Run
) -> None:
    assert account.run("plan", "--out", "plan.json").code == 0
    assert "(default, monitors/_defaults.yaml:6:3)" in run("show", "plan.json").out
    text = (workspace.root / "plan.json").read_text(encoding="utf-8")
    assert json.loads(text)["changes"][0]["fields"][0]["default"] == "monitors/_defaults.yaml:6:3"
    workspace.replace("_defaults.yaml", "port: 587", "port: 465")
    account.run("apply", "plan.json").expect(5, err="changed since the plan was made")
    workspace.replace("_defaults.yaml", "port: 465", "port: 587")
    assert account.run("apply", "plan.json").code == 0
    assert account.ports() == {1: 587, 2: 25, 3: 2525}


def test_a_default_can_cost_monitoring(account: Account, workspace: Workspace) -> None:
    """One line in one file that disables all: planned, and shown as what it is."""
    workspace.replace("_defaults.yaml", "port: 587", "enabled: false")
    done = account.apply("--allow-loss", "2")
    assert done.code == 5
    assert "Coverage: 3 monitors lose monitoring (3 disabled, 1 retargeted)" in done.out
    assert "3 of 3 monitors would lose monitoring (3 disabled, 1 retargeted)" in done.err
    assert "and --allow-loss allows 2, beside a budget of 3: nothing is applied" in done.err
    assert account.patches() == []
