"""What would lose monitoring is planned and shown, and apply refuses it unless a flag allows it."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from e2e.conftest import (
    Account,
    Fleet,
    Relays,
    Run,
    Sandbox,
    Terminals,
    Workspace,
    manifest,
    monitor,
)

from reconciler.context import SYSTEM
from reconciler.sandbox import parse_world


@pytest.fixture(autouse=True)
def _default_budget(workspace: Workspace) -> None:
    """These tests are about the budget: it is the default one until they set another."""
    (workspace.root / "reconciler.toml").unlink()


@pytest.fixture
def begin(workspace: Workspace, sandbox: Sandbox) -> Relays:
    """So many relays in a file each, applied once; every third is of team front."""

    def applied(count: int, *others: Mapping[str, Any], **options: Any) -> Account:
        seed = []
        for number in range(1, count + 1):
            name, fields = f"m{number}", {"name": f"M{number}", "enabled": True}
            labels = {"team": "mail" if number % 3 else "front"}
            workspace.describe("email-smtp", name, number, labels=labels, **fields)
            seed.append(monitor("email-smtp", number, **fields))
        account = sandbox(*seed, *others, **options)
        assert account.apply().code == 0
        return account

    return applied


def remove(workspace: Workspace, numbers: range) -> None:
    for number in numbers:
        workspace.remove(f"m{number}.yaml")


def test_a_commit_that_deletes_half_the_manifests(begin: Relays, workspace: Workspace) -> None:
    account = begin(24)
    remove(workspace, range(1, 13))
    harmless = account.apply().expect(0)
    assert harmless.out.count("orphan: no manifest") == 12
    plan = account.run("plan", "--prune")
    assert plan.code == 0
    assert "0 to add, 0 to change, 12 to destroy. 12 unchanged." in plan.out
    assert "Coverage: 12 monitors lose monitoring (12 deleted); over the budget of 7" in plan.out
    done = account.apply("--prune")
    assert done.code == 5
    assert "- email-smtp/m12 (id 12)" in done.out
    assert "12 of 24 monitors would lose monitoring (12 deleted), and the budget is 7" in done.err
    assert "allow it for this run with --allow-loss 12." in done.err
    assert account.apply("--prune", "--allow-loss", "11").code == 5
    assert account.writes() == []
    account.apply("--prune", "--allow-loss", "12").expect(0, out="12 destroyed")
    assert len(account.requests("DELETE")) == len(account.writes()) == 12


def test_a_commit_that_disables_500_monitors(
    fleet: Fleet, workspace: Workspace, sandbox: Sandbox
) -> None:
    seed = [item | {"port": 587, "enabled": True} for item in fleet(600)]
    account = sandbox(*seed)
    path = workspace.root / "monitors" / "fleet.yaml"
    documents = path.read_text(encoding="utf-8").split("---\n")
    off = [text + "  enabled: false\n" if number < 500 else text
           for number, text in enumerate(documents)]  # fmt: skip
    path.write_text("---\n".join(off), encoding="utf-8")
    plan = account.run("plan", "--json", "--detailed-exitcode").expect(2)
    coverage = plan.json["coverage"]
    assert (coverage["managed"], len(coverage["losses"])) == (600, 500)
    assert coverage["losses"][0] == {
        "address": "email-smtp/relay-01",
        "id": 1,
        "causes": ["disabled"],
        "fields": {"enabled": "disabled"},
        "labels": {},
    }
    assert coverage["budget"] == {
        "limit": 10,
        "configured": 10,
        "last_apply": None,
        "ceiling": None,
    }
    done = account.apply("--prune")
    assert done.code == 5
    assert "500 to change" in done.out
    assert "500 of 600 monitors would lose monitoring (500 disabled), and the budget is 10" in (
        done.err
    )
    assert "--allow-loss 500" in done.err
    assert account.writes() == []
    account.apply("--target", "email-smtp/relay-01").expect(0)
    assert account.patches() == [("/monitors/email-smtp/1", {"enabled": False})]


def test_a_commit_that_empties_the_folder(begin: Relays, workspace: Workspace) -> None:
    account = begin(12)
    remove(workspace, range(1, 13))
    account.run("plan", "--prune").expect(0, out="12 to destroy")
    for flags, named in {
        (): ["--allow-empty --allow-loss 12", "there are no manifests, but the state has 12"],
        ("--allow-empty",): ["--allow-loss 12", "and the budget is 3"],
        ("--allow-loss", "12"): ["with --allow-empty.", "there are no manifests"],
    }.items():
        done = account.apply("--prune", *flags).expect(5, out="- email-smtp/m12 (id 12)")
        assert all(text in done.err for text in named), done.err
    account.apply().expect(5, err="there are no manifests, but the state has 12 monitors: nothing")
    assert account.writes() == []
    account.apply("--prune", "--allow-empty", "--allow-loss", "12").expect(0)
    assert len(account.requests("DELETE")) == len(account.writes()) == 12


def test_the_project_sets_the_budget(begin: Relays, workspace: Workspace) -> None:
    account = begin(12)
    remove(workspace, range(1, 5))
    project = workspace.root / "reconciler.toml"
    project.write_text("[budget]\nmonitors = 20\npercent = 30\n")
    assert "and the budget is 3" in account.apply("--prune").err
    project.write_text("[budget]\npercent = 50\nmonitors = 4\n")
    said = "reconciler.toml now allows 4, but a raised limit takes effect only"
    account.apply("--prune").expect(5, err=said)
    assert account.apply().code == 0  # it loses nothing, so the limits are taken up
    assert "(4 deleted); budget 4" in account.run("plan", "--prune").out
    assert account.apply("--prune").code == 0
    assert len(account.requests("DELETE")) == len(account.writes()) == 4
    project.write_text("[budget]\nmonitor = 4\n")
    account.run("plan").expect(3, err="reconciler.toml:1: budget takes monitors and percent")


def test_the_commit_after_an_import_cannot_raise_the_limit_that_it_needs(
    relays: Relays, workspace: Workspace
) -> None:
    account = relays(12)
    workspace.remove("fleet.yaml")
    assert account.run("import").code == 0
    assert account.run("set", "*/*", "enabled=false", "--auto-approve").code == 0
    project = workspace.root / "reconciler.toml"
    project.write_text("[budget]\nmonitors = 50\npercent = 100\n")
    account.apply().expect(5, err="a raised limit takes effect only")
    assert account.writes() == []


def test_a_saved_plan_is_held_to_it_too(begin: Relays, workspace: Workspace, run: Run) -> None:
    account = begin(12)
    remove(workspace, range(1, 6))
    account.run("plan", "--prune", "--out", "plan.json").expect(0)
    assert "(5 deleted); over the budget of 3" in run("show", "plan.json").out
    account.run("apply", "plan.json").expect(
        5, err=("5 of 12 monitors would lose monitoring (5 deleted)", "--allow-loss 5")
    )
    assert account.writes() == []
    assert account.run("apply", "plan.json", "--allow-loss", "5").code == 0
    assert len(account.requests("DELETE")) == len(account.writes()) == 5


def test_a_plan_shows_causes_labels_and_cost(begin: Relays, workspace: Workspace) -> None:
    account = begin(10)
    places = [{"id": 10}, {"id": 20}]
    for number in (1, 2, 3):
        account.edit("email-smtp", number, interval=5, locations=places, notify_on_error=True)
    wanted = {
        1: "interval: 10\n  locations: [{id: 10}]",
        2: "notify_on_error: false",
        3: "locations: [{id: 10}, {id: 20}, {id: 30}]",
        4: "port: 2525",
    }
    for number, lines in wanted.items():
        workspace.replace(f"m{number}.yaml", "  enabled: true", f"  {lines}")
    done = account.run("plan").expect(0)
    *_, coverage, first, second, third, labels, cost = done.out.splitlines()
    assert coverage == (
        "Coverage: 3 monitors lose monitoring (1 dropped, 1 retargeted, 1 silenced, 1 stretched); "
        "budget 3"
    )
    assert [first, second, third] == [
        "  email-smtp/m1 (id 1): dropped (locations), stretched (interval)",
        "  email-smtp/m2 (id 2): silenced (notify_on_error)",
        "  email-smtp/m4 (id 4): retargeted (port)",
    ]
    assert labels == "  team=mail 3"
    assert cost.startswith("Cost: 1,728 → 1,584 measurements per day (-144), ")


def test_the_guards_come_before_the_question(
    begin: Relays, workspace: Workspace, terminal: Terminals
) -> None:
    account = begin(12)
    remove(workspace, range(1, 5))
    session = terminal("apply", "--prune", env=account.env)
    assert session.finish() == 5
    assert "--allow-loss 4" in session.screen
    assert "Only" not in session.screen
    assert account.writes() == []


HAS: dict[str, Any] = {
    "hostname": "mx.example.com",
    "ipv4": "192.0.2.1",
    "port": 25,
    "timeout": 30,
    "mode": "Global Verify",
    "interval": 5,
    "enabled": True,
    "notify_on_error": True,
    "resolve_dns": True,
    "retry_on_failure": True,
    "rotate_locations": False,
    "monitor_location_count": 1,
    "locations": [{"id": 10}, {"id": 20}, {"id": 30}],
}
# What a commit says of twelve monitors at once (spec, extra, lifecycle), and what that is.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "a wrong host": ({"hostname": "mx.example.net"}, {}, {}, "retargeted"),
    "a wrong address": ({"ipv4": "198.51.100.1"}, {}, {}, "retargeted"),
    "port 1": ({"port": 1}, {}, {}, "retargeted"),
    "timeout 1": ({"timeout": 1}, {}, {}, "retargeted"),
    "an endless timeout": ({"timeout": 2147483647, "interval": None}, {}, {}, "retargeted"),
    "mode off": ({"mode": "off"}, {}, {}, "retargeted"),
    "no second try": ({"retry_on_failure": False}, {}, {}, "retargeted"),
    "an address instead of the name": ({"resolve_dns": False}, {}, {}, "retargeted"),
    "a rotation": ({"rotate_locations": True}, {}, {}, "thinned"),
    "a longer interval": ({"interval": 60}, {}, {}, "stretched"),
    "fewer locations": ({"locations": [{"id": 10}]}, {}, {}, "dropped"),
    "no alerts": ({"notify_on_error": False}, {}, {}, "silenced"),
    "paused": ({}, {"paused": True}, {}, "switched-off"),
    "Enabled": ({}, {"Enabled": False}, {}, "switched-off"),
    "Hostname": ({}, {"Hostname": "mx.example.net"}, {}, "retargeted"),
    "an ignored switch": (
        {}, {}, {"ignore": [{"field": "enabled", "reason": "x", "until": "2999-01-01"}]}, "ignored",
    ),
}  # fmt: skip


@pytest.fixture
def wanted(workspace: Workspace) -> Callable[..., None]:
    """Writes twelve manifests of what AlertSite has, but for these fields."""

    def write(
        spec: Mapping[str, Any], extra: Mapping[str, Any], lifecycle: Mapping[str, Any]
    ) -> None:
        for number in range(1, 13):
            fields = {key: value for key, value in (HAS | spec).items() if value is not None}
            text = manifest(
                "email-smtp", f"m{number}", number, extra=extra, name=f"M{number}", **fields
            )
            if lifecycle:
                text += f"lifecycle: {json.dumps(lifecycle)}\n"
            workspace.write(f"m{number}.yaml", text)

    return write


@pytest.mark.parametrize(("spec", "extra", "lifecycle", "cause"), WAYS.values(), ids=WAYS)
def test_twelve_monitors_at_once(
    wanted: Callable[..., None],
    sandbox: Sandbox,
    spec: dict[str, Any],
    extra: dict[str, Any],
    lifecycle: dict[str, Any],
    cause: str,
) -> None:
    seed = [monitor("email-smtp", number, name=f"M{number}", **HAS) for number in range(1, 13)]
    account = sandbox(*seed)
    wanted({}, {}, {})
    assert account.apply().code == 0
    wanted(spec, extra, lifecycle)
    done = account.apply()
    assert done.code == 5
    assert f"12 of 12 monitors would lose monitoring (12 {cause}), and the budget is 3" in done.err
    assert f"email-smtp/m1 ({cause})" in done.err
    assert f"  email-smtp/m12 (id 12): {cause} (" in done.out
    assert account.writes() == []


def test_interval_and_locations_where_the_account_ruled(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(*(monitor("email-smtp", number, interval=None) for number in (1, 2, 3)))
    for number in (1, 2, 3):
        workspace.describe("email-smtp", f"m{number}", number, interval=60)
    account.apply().expect(5, err="(3 stretched), and the budget is 1")


def test_a_name_that_moves_to_another_host(begin: Relays, workspace: Workspace) -> None:
    account = begin(3)
    for number in (1, 2, 3):
        text = manifest("email-smtp", f"n{number}", number, name=f"N{number}", hostname="x.example")
        text = text.replace("metadata:", f"metadata:\n  previously: [m{number}]")
        workspace.write(f"m{number}.yaml", text)
    account.apply().expect(5, err="(3 retargeted), and the budget is 1")
    assert account.writes() == []


def test_eight_of_nine(begin: Relays, workspace: Workspace) -> None:
    account = begin(9)
    remove(workspace, range(1, 9))
    said = "8 of 9 monitors would lose monitoring (8 deleted), and the budget is 2"
    account.apply("--prune").expect(5, err=said)
    kept = [word for number in range(2, 9) for word in ("--keep", f"email-smtp/m{number}")]
    assert account.apply("--prune", *kept).code == 0  # one may always be lost
    assert len(account.requests("DELETE")) == len(account.writes()) == 1


def test_orphans_do_not_make_the_fleet_larger(begin: Relays, workspace: Workspace) -> None:
    account = begin(24)
    remove(workspace, range(5, 25))
    for number in range(1, 5):
        workspace.replace(f"m{number}.yaml", "enabled: true", "enabled: false")
    said = "4 of 4 monitors would lose monitoring (4 disabled), and the budget is 1"
    account.apply().expect(5, err=said)


def test_monitors_that_the_same_commit_binds_do_not_make_the_fleet_larger(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    seed = (monitor("email-smtp", n, name=f"M{n}", enabled=True) for n in range(1, 41))
    account = sandbox(*seed)

    def write(last: int, disabled: int) -> None:
        for n in range(1, last + 1):
            fields = {"name": f"M{n}", "enabled": n > disabled}
            workspace.describe("email-smtp", f"m{n}", n, **fields)

    write(10, 0)
    assert account.apply().code == 0
    write(40, 10)
    said = "10 of 10 monitors would lose monitoring (10 disabled), and the budget is 3"
    account.apply().expect(5, err=said)
    assert account.writes() == []


def test_many_small_runs_are_held_to_what_one_large_run_is(
    begin: Relays, workspace: Workspace
) -> None:
    account = begin(20)  # the budget is 6
    for number in range(1, 8):
        workspace.replace(f"m{number}.yaml", "enabled: true", "enabled: false")
        done = account.apply("--target", f"email-smtp/m{number}", "--json")
        assert done.code == (0 if number <= 6 else 5), done
        if number <= 6:
            assert [item["id"] for item in done.json["losses"]] == [number]
    assert (
        "1 disabled), 6 others have lost some in the last 24 hours, and the budget is 6" in done.err
    )
    # A monitor that has lost some already counts once.
    remove(workspace, range(1, 2))
    prune = ("--prune", "--target", "email-smtp/m1")
    assert len(account.run("plan", *prune, "--json").json["coverage"]["recent"]) == 6
    assert account.apply(*prune).code == 0
    almost = SYSTEM._replace(now=lambda: datetime.now(UTC) + timedelta(hours=23))
    assert account.apply("--target", "email-smtp/m7", clock=almost).code == 5
    later = SYSTEM._replace(now=lambda: datetime.now(UTC) + timedelta(hours=25))
    assert account.apply("--target", "email-smtp/m7", clock=later).code == 0
    assert [item["id"] for item in workspace.state()["losses"]] == [7]


def test_only_what_was_lost_counts_later(begin: Relays, workspace: Workspace) -> None:
    account = begin(10, faults=["PATCH /monitors/email-smtp/2 status=400"])
    for number in range(1, 4):
        workspace.replace(f"m{number}.yaml", "enabled: true", "enabled: false")
    done = account.apply("--json").expect(7)
    assert [item["id"] for item in done.json["losses"]] == [1, 3]
    assert [item["id"] for item in workspace.state()["losses"]] == [1, 3]


def test_what_a_killed_run_took_away_counts(begin: Relays, workspace: Workspace) -> None:
    """It is in the state before the request is: whoever is killed then cannot take it back."""
    seen: list[Any] = []

    def witness(moment: str, method: str, _path: str) -> None:
        if (moment, method) == ("before", "PATCH"):
            seen.append(workspace.state()["losses"])

    account = begin(10, witness=witness)
    workspace.replace("m1.yaml", "enabled: true", "enabled: false")
    assert account.apply().code == 0
    ((lost,),) = seen
    assert (lost["id"], lost["address"], lost["causes"]) == (1, "email-smtp/m1", ["disabled"])


def test_a_ceiling_that_the_repository_cannot_raise(begin: Relays, workspace: Workspace) -> None:
    account = begin(12)
    remove(workspace, range(1, 5))
    ceiling = {"RECONCILER_BUDGET": "2"}
    workspace.settings("[budget]\nmonitors = 12\npercent = 100\n")
    assert account.apply(env=ceiling).code == 0
    for flags in ((), ("--allow-loss", "12")):
        done = account.apply("--prune", *flags, env=ceiling)
        assert done.code == 5
        assert "(4 deleted), and the budget is 2" in done.err
        assert "RECONCILER_BUDGET is a hard limit that no flag overrides" in done.err
    two = ("--keep", "email-smtp/m1", "--keep", "email-smtp/m2")
    assert account.apply("--prune", *two, env=ceiling).code == 0
    assert (
        "(2 deleted), 2 others have lost some"
        in account.apply("--prune", "--allow-loss", "2", env=ceiling).err
    )
    assert account.apply("--prune").code == 0
    said = "RECONCILER_BUDGET is '', which is not a budget"
    account.run("plan", env={"RECONCILER_BUDGET": ""}).expect(3, err=said)


def test_what_was_deleted_outside_git_counts(workspace: Workspace, sandbox: Sandbox) -> None:
    account = sandbox()
    for number in range(1, 6):
        workspace.describe("email-smtp", f"m{number}", name=f"M{number}")
    assert account.apply().code == 0
    for item in account.monitors()[:2]:
        account.delete(item["id"])
    said = "2 of 5 monitors would lose monitoring (2 vanished), and the budget is 1"
    account.apply().expect(5, err=said)
    assert account.apply("--allow-loss", "2").code == 0


def test_a_field_that_leaves_git_while_it_is_off(begin: Relays, workspace: Workspace) -> None:
    account = begin(6)
    for number in range(1, 4):
        account.edit("email-smtp", number, enabled=False)
        workspace.replace(f"m{number}.yaml", "  enabled: true\n", "")
    said = "3 of 6 monitors would lose monitoring (3 released), and the budget is 1"
    account.apply().expect(5, err=said)


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_typing_error_in_what_is_to_be_kept(
    begin: Relays, workspace: Workspace, command: str
) -> None:
    account = begin(5)
    remove(workspace, range(1, 2))
    flags = ("--auto-approve",) if command == "apply" else ()
    for wrong in ("email-smtp/m11", "email-smtp/n*"):
        said = f"--keep {wrong} matches no record and no manifest"
        done = account.run(command, *flags, "--prune", "--keep", wrong).expect(64, err=said)
    assert (
        "did you mean email-smtp/m1?"
        in account.run(command, *flags, "--prune", "--keep", "email-smtp/m11").err
    )
    account.run("plan", "--offline", "--prune", "--keep", "email-smtp/x").expect(64)
    assert account.writes() == []
    done = account.run(command, *flags, "--prune", "--target", "email-smtp/m22")
    assert (done.code, "did you mean email-smtp/m2?" in done.err) == (64, True)


def test_a_state_that_lies_deletes_nothing_of_another_type(
    begin: Relays, workspace: Workspace
) -> None:
    """A record may name any id: what is deleted must at least be of the record's kind."""
    web = {"id": 70, "type": "web", "name": "The shop"}
    account = begin(4, web, world=parse_world("no-type"))
    state = workspace.state()
    for name, number in (("gone", 71), ("web", 70)):
        state["records"][f"email-smtp/{name}"] = state["records"]["email-smtp/m1"] | {"id": number}
    workspace.save(state)
    done = account.apply("--prune")
    assert done.code == 5, done
    assert "! email-smtp/web refused: AlertSite does not return the type of monitor 70" in done.out
    assert "email-smtp/gone (id 71) forgotten" in done.out
    assert account.writes() == []
    assert account.apply("--prune", "--keep", "email-smtp/web").code == 0
    assert account.writes() == []
