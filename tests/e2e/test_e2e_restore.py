"""A revert is an undo: a field that leaves its manifest goes back to what it was before Git."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from e2e.conftest import Account, Done, Sandbox, Workspace, manifest, monitor

from reconciler.context import Clock

from documents import check

_DEFAULTS = "apiVersion: reconciler/v1\nkind: Defaults\nspec: {{{}}}\n"
_NO_CHANGES = "No changes. 3 unchanged.\n"


def _last_run(team: Account, address: str = "email-smtp/m1") -> str:
    state = team.run("state", "pull").json
    check(state, "state")
    return str(state["records"][address]["run"])


@pytest.fixture
def team(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Three monitors that were there before Git, and one that `apply` made (100001)."""
    monitors = [monitor("email-smtp", number, enabled=True, port=25) for number in (1, 2)]
    for number in (1, 2):
        workspace.write(f"team/m{number}.yaml", manifest("email-smtp", f"m{number}", number))
    workspace.write("team/m3.yaml", manifest("email-smtp", "m3", name="Third", timeout=20))
    account = sandbox(*monitors)
    assert account.apply().code == 0
    return account


def test_maintenance_ends_with_every_monitor_on(workspace: Workspace, team: Account) -> None:
    """A pull request switches a team off by its defaults; it is applied, reverted, applied."""
    path = workspace.root / "monitors" / "team" / "_defaults.yaml"
    path.write_text(_DEFAULTS.format("enabled: false, note: Maintenance"), encoding="utf-8")
    assert team.apply().code == 0
    assert [item["enabled"] for item in team.monitors()] == [False] * 3
    first = _last_run(team)

    path.unlink()
    done = team.run("plan")
    one = (
        f"      enabled: false → true (restore: its value before run {first})\n"
        f'      note: "Maintenance" → "" (restore: its value before run {first})\n'
    )
    assert done.out.count(one) == 3
    assert "Plan: 0 to add, 3 to change, 0 to destroy. 0 unchanged.\n" in done.out
    assert "released" not in done.out
    assert one in team.run("plan", "--offline").out
    plan = team.run("plan", "--json").json
    check(plan, "plan")
    enabled = plan["changes"][0]["fields"][0]
    assert (enabled["cause"], enabled["before_run"]) == ("restore", first)
    assert "No drift." in team.run("drift").out

    assert team.apply().code == 0
    assert [item["enabled"] for item in team.monitors()] == [True] * 3
    assert {item["note"] or "" for item in team.monitors()} == {""}
    again = team.run("plan", "--detailed-exitcode")
    assert (again.code, again.out) == (0, _NO_CHANGES)
    assert "prior" not in team.run("state", "pull").out


def test_it_goes_back_to_what_was_before_the_first_change(
    workspace: Workspace, team: Account
) -> None:
    for port in (587, 2525, 465):
        text = _DEFAULTS.format(f"port: {port}")
        workspace.write("team/_defaults.yaml", text)
        assert team.apply("--target", "*/m1").code == 0
    workspace.remove("team/_defaults.yaml")
    assert "port: 465 → 25 (restore: " in team.run("plan").out
    assert team.apply().code == 0
    assert team.live(1)["port"] == 25


def test_a_hand_is_not_undone_and_a_restore_can_be_refused(
    workspace: Workspace, team: Account
) -> None:
    workspace.write("team/_defaults.yaml", _DEFAULTS.format("enabled: false, port: 587"))
    assert team.apply().code == 0
    team.edit("email-smtp", 1, port=2525)
    text = manifest("email-smtp", "m2", 2) + "lifecycle: {release: keep}\n"
    workspace.write("team/m2.yaml", text)
    workspace.remove("team/_defaults.yaml")
    left = "no longer in the manifest, left as in AlertSite"
    done = team.apply()
    assert done.code == 0
    assert f"m1 (id 1) released: port is {left}: changed there since the last apply\n" in done.out
    assert (
        f"m2 (id 2) released: enabled, port are {left} because of lifecycle.release\n" in done.out
    )
    assert "Coverage: 2 monitors lose monitoring (2 released)" in done.out
    assert (team.live(1)["enabled"], team.live(1)["port"]) == (True, 2525)
    assert (team.live(2)["enabled"], team.live(2)["port"]) == (False, 587)

    worse = "left with less coverage than before the manifest set"
    for _ in range(2):  # it counts once, and is named each time
        done = team.apply().expect(0, out=f"m2 (id 2) released: enabled, port are {worse}")
        assert "Coverage" not in done.out
    team.edit("email-smtp", 2, enabled=True, port=25)
    team.edit("email-smtp", 1, port=25)
    assert team.run("plan").out == _NO_CHANGES
    assert team.apply().code == 0
    assert '"left"' not in team.run("state", "pull").out


def test_what_git_made_or_cannot_unset_is_left(workspace: Workspace, team: Account) -> None:
    workspace.replace("team/m3.yaml", "timeout: 20", "timeout: 30")
    workspace.replace("team/m1.yaml", "spec:", "spec:\n  monitor_location_count: 2")
    assert team.apply().code == 0
    workspace.replace("team/m3.yaml", "  timeout: 30\n", "")
    workspace.replace("team/m1.yaml", "  monitor_location_count: 2\n", "")
    done = team.apply()
    left = "no longer in the manifest, left as in AlertSite"
    assert f"m3 (id 100001) released: timeout is {left}\n" in done.out
    assert f"m1 (id 1) released: monitor_location_count is {left}: it was unset before" in done.out
    assert team.live(100001)["timeout"] == 30
    assert team.run("plan").out == _NO_CHANGES


def test_a_rename_keeps_what_was_before(workspace: Workspace, team: Account) -> None:
    workspace.replace("team/m1.yaml", "spec:", "spec:\n  enabled: false")
    assert team.apply().code == 0
    workspace.replace("team/m1.yaml", "  name: m1\n", "  name: front\n  previously: [m1]\n")
    workspace.replace("team/m1.yaml", "  enabled: false\n", "")
    assert "enabled: false → true (restore" in team.run("plan").out
    assert team.apply().code == 0
    assert team.live(1)["enabled"] is True


def test_a_manifest_that_leaves_the_folder_of_its_defaults(
    workspace: Workspace, team: Account
) -> None:
    """What AlertSite had when Git agreed with it counts, not what a hand did before a change."""
    for port in (25, 587):
        workspace.write("team/_defaults.yaml", _DEFAULTS.format(f"port: {port}"))
        assert team.apply("--target", "*/m1").code == 0
        team.edit("email-smtp", 1, port=2525 if port == 25 else 587)
    text = workspace.read("team/m1.yaml")
    workspace.remove("team/m1.yaml")
    workspace.write("other/m1.yaml", text)
    assert team.apply("--target", "*/m1").code == 0
    assert team.live(1)["port"] == 25


def test_without_a_state_it_is_left_and_said_while_it_is_worse(
    workspace: Workspace, team: Account
) -> None:
    workspace.replace("team/m1.yaml", "spec:", "spec:\n  enabled: false")
    assert team.apply().code == 0
    shutil.rmtree(workspace.root / ".reconciler")
    assert team.apply("--adopt").code == 0
    workspace.replace("team/m1.yaml", "  enabled: false\n", "")
    done = team.apply()
    assert "m1 (id 1) released: enabled is no longer in the manifest, left as in" in done.out
    for _ in range(2):
        assert "enabled is left with less coverage than before" in team.apply().out


@pytest.fixture
def lost(workspace: Workspace, sandbox: Sandbox, hurried: Clock) -> Callable[..., Account]:
    """Changes a monitor; the answer is lost, and AlertSite cannot be read after it."""

    def change(has: dict[str, Any], wanted: dict[str, Any]) -> Account:
        faults = ["PATCH * drop=after times=9", "GET /monitors status=503 skip=1 times=9"]
        account = sandbox(monitor("email-smtp", 1, **has), faults=faults)
        workspace.describe("email-smtp", "m1", 1, **wanted)
        assert account.apply(clock=hurried).code == 7
        return account

    return change


def test_what_was_before_is_written_down_before_it_is_changed(
    lost: Sandbox, workspace: Workspace, hurried: Clock
) -> None:
    account = lost({"enabled": True}, {"enabled": False})
    workspace.replace("m1.yaml", "  enabled: false\n", "")
    for _ in range(3):
        done = account.apply(clock=hurried)
    assert done.code == 0, done
    assert account.live(1)["enabled"] is True


def test_what_a_lost_run_has_changed_goes_back_to_what_was_before_that(
    lost: Sandbox, workspace: Workspace, hurried: Clock
) -> None:
    """Also after a later run has changed it again, and was undone."""
    account = lost({"timeout": 30}, {"timeout": 20})
    workspace.replace("m1.yaml", "timeout: 20", "timeout: 25")
    for _ in range(3):
        done = account.apply(clock=hurried)
    assert (done.code, account.live(1)["timeout"]) == (0, 25)
    (last, *_) = account.run("history", "--json").json["runs"]
    undone = account.run("undo", last["id"], "--auto-approve", clock=hurried)
    assert (undone.code, account.live(1)["timeout"]) == (0, 20), undone
    workspace.replace("m1.yaml", "  timeout: 25\n", "")
    assert account.apply(clock=hurried).code == 0
    assert account.live(1)["timeout"] == 30


def test_a_monitor_that_was_retired_comes_back(workspace: Workspace, team: Account) -> None:
    text = manifest("email-smtp", "m1", 1)
    workspace.write("team/m1.yaml", text + "lifecycle: {retire: disable}\n")
    assert team.apply().code == 0
    workspace.remove("team/m1.yaml")
    assert team.apply("--prune").code == 0
    assert team.live(1)["enabled"] is False
    workspace.write("team/m1.yaml", text)
    assert team.apply().code == 0
    assert team.live(1)["enabled"] is True


def test_a_saved_plan_restores(workspace: Workspace, team: Account) -> None:
    workspace.replace("team/m1.yaml", "spec:", "spec:\n  enabled: false")
    assert team.apply().code == 0
    workspace.replace("team/m1.yaml", "  enabled: false\n", "")
    assert team.run("plan", "--out", "saved.json").code == 0
    assert team.run("apply", "saved.json").code == 0
    assert team.live(1)["enabled"] is True


def test_a_field_that_becomes_a_secret_is_left(workspace: Workspace, team: Account) -> None:
    def apply(**extra: Any) -> Done:
        workspace.write("team/m1.yaml", manifest("email-smtp", "m1", 1, extra=extra or None))
        return team.apply(env=env).expect(0)

    env = {"WORD": "not-for-anybody", "RECONCILER_SECRET_KEY": "0123456789abcdef" * 2}
    apply(word="hello")
    apply(word={"secretRef": {"env": "WORD"}})
    records = team.run("state", "pull", env=env).json["records"]
    assert "prior" not in records["email-smtp/m1"]
    left = "released: word is no longer in the manifest, left as in AlertSite\n"
    assert left in apply().out
    assert team.live(1)["word"] == "not-for-anybody"


def test_why_knows_what_was_before_git(workspace: Workspace, team: Account) -> None:
    workspace.replace("team/m1.yaml", "spec:", "spec:\n  enabled: false")
    assert team.apply().code == 0
    first = _last_run(team)
    asked = ("why", "email-smtp/m1.enabled")
    assert f"  before Git true, until run {first}\n" in team.run(*asked).out
    workspace.replace("team/m1.yaml", "  enabled: false\n", "")
    done = team.run(*asked)
    assert f"restore false → true: its value before run {first}\n" in done.out
    assert "restore to true" in team.run("why", "email-smtp/m1").out
    as_json = team.run(*asked, "--json").json
    check(as_json, "why")
    (field,) = as_json["fields"]
    assert (field["next"], field["cause"], field["prior"]) == ("restore", "restore", True)


def test_pull_leaves_what_apply_restores(workspace: Workspace, team: Account) -> None:
    workspace.replace("team/m1.yaml", "spec:", "spec:\n  enabled: false")
    assert team.apply().code == 0
    workspace.replace("team/m1.yaml", "  enabled: false\n", "")
    text = workspace.read("team/m1.yaml")
    team.run("pull", "--all").expect(0)
    assert workspace.read("team/m1.yaml") == text


def test_restoring_what_was_off_counts(workspace: Workspace, team: Account) -> None:
    team.edit("email-smtp", 1, enabled=False)
    workspace.replace("team/m1.yaml", "spec:", "spec:\n  enabled: true")
    assert team.apply().code == 0
    workspace.replace("team/m1.yaml", "  enabled: true\n", "")
    done = team.apply()
    assert "Coverage: 1 monitor loses monitoring (1 disabled)" in done.out
    assert team.live(1)["enabled"] is False
    assert team.run("plan").out == _NO_CHANGES
