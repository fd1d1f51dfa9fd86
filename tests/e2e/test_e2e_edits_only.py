"""--edits-only: what Git changed goes out, what AlertSite changed stays drift, however often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.conftest import manifest, monitor

if TYPE_CHECKING:
    from e2e.conftest import Relays, Run, Sandbox, Workspace

APPLY = ("apply", "--auto-approve", "--edits-only")


def test_edits_go_out_and_drift_stays_drift(workspace: Workspace, relays: Relays) -> None:
    account = relays(3)
    assert account.apply().code == 0
    account.edit("email-smtp", 1, port=2525)
    account.edit("email-smtp", 2, port=2526)
    text = workspace.read("fleet.yaml")
    first, second, third = text.split("---\n")
    edited = (first + "  timeout: 44\n", second, third.replace("port: 587", "port: 465"))
    workspace.write("fleet.yaml", "---\n".join(edited))
    seen = len(account.patches())

    planned = account.run("plan", "--edits-only", "--json").json
    account.run(*APPLY).expect(0, err="2 monitors keep changes made in AlertSite")
    sent = sorted(account.patches()[seen:])
    assert [body for _, body in sent] == [{"timeout": 44}, {"port": 465}]
    fields = [field["field"] for item in planned["changes"] for field in item["fields"]]
    assert fields == ["timeout", "port"]
    assert account.ports() == {1: 2525, 2: 2526, 3: 465}

    for _ in range(2):
        account.run(*APPLY).expect(0, out="No changes.")
        drift = account.run("drift", "--json").expect(2)
        assert [item["id"] for item in drift.json["monitors"]] == [1, 2]
    assert len(account.patches()) == seen + 2


def test_a_monitor_deleted_by_hand_stays_deleted_and_is_told(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox()
    workspace.describe("email-smtp", "relay", name="Relay")
    workspace.describe("email-smtp", "other", name="Other")
    assert account.apply().code == 0
    gone = next(item["id"] for item in account.monitors() if item["name"] == "Relay")
    account.delete(gone)
    account.run(*APPLY).expect(0, err="1 monitor keeps")
    assert [item["name"] for item in account.monitors()] == ["Other"]
    assert account.run("drift").code == 2


def test_it_belongs_to_the_plan_and_not_to_a_file(run: Run, sandbox: Sandbox) -> None:
    done = run("apply", "--edits-only", "plan.json", env=sandbox().env)
    assert done.code == 64
    assert "have no effect on a saved plan" in done.err


def test_several_accounts_approve_what_they_apply(
    run: Run, workspace: Workspace, sandbox: Sandbox
) -> None:
    found = [sandbox(*(monitor("email-smtp", it, port=25) for it in (1, 2))) for _ in range(2)]
    login = 'username = {env = "ALERTSITE_USERNAME"}\npassword = {env = "ALERTSITE_PASSWORD"}\n'
    texts = [
        f'[defaults]\nmanifests = ["monitors"]\nbudget = {{percent = 100}}\n{login}',
        *(f'[accounts.a{number}]\nurl = "{it.url}"\n' for number, it in enumerate(found)),
    ]
    workspace.settings("\n".join(texts))
    for number in (1, 2):
        workspace.write(f"{number}.yaml", manifest("email-smtp", f"r{number}", number, port=25))
    env = dict(found[0].login)
    assert run("apply", "--all-accounts", "--auto-approve", env=env).code == 0
    found[0].edit("email-smtp", 1, port=2525)
    workspace.replace("2.yaml", "port: 25", "port: 587")
    run(*APPLY, "--all-accounts", env=env).expect(0)
    assert [account.ports() for account in found] == [{1: 2525, 2: 587}, {1: 25, 2: 587}]
