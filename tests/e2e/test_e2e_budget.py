"""What would lose monitoring is planned and shown, and apply refuses it unless a flag allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Account, Done, Workspace

_APPLY = ("apply", "--auto-approve")
_PRUNE = (*_APPLY, "--prune")


@pytest.fixture
def begin(
    workspace: Workspace,
    manifest: Callable[..., str],
    monitor: Callable[..., Any],
    sandbox: Callable[..., Account],
    run: Callable[..., Done],
) -> Callable[[int], Account]:
    """So many relays in a file each, applied once; every third is of team front."""

    def applied(count: int) -> Account:
        seed = []
        for number in range(1, count + 1):
            labels = {"team": "mail" if number % 3 else "front"}
            text = manifest(
                "email-smtp", f"m{number}", number, labels=labels, name=f"M{number}", enabled=True
            )
            workspace.write(f"m{number}.yaml", text)
            seed.append(monitor("email-smtp", number, name=f"M{number}", enabled=True))
        account = sandbox(*seed)
        assert run(*_APPLY, env=account.env).code == 0
        return account

    return applied


def remove(workspace: Workspace, numbers: range) -> None:
    for number in numbers:
        (workspace.root / "monitors" / f"m{number}.yaml").unlink()


def writes(account: Account) -> list[str]:
    calls = (entry["method"] for entry in account.requests() if entry["path"] != "/access-tokens")
    return [method for method in calls if method != "GET"]


def test_a_commit_that_deletes_half_the_manifests(
    begin: Callable[[int], Account], workspace: Workspace, run: Callable[..., Done]
) -> None:
    account = begin(24)
    remove(workspace, range(1, 13))
    harmless = run(*_APPLY, env=account.env)
    assert harmless.code == 0
    assert harmless.out.count("orphan: it has no manifest any more") == 12
    plan = run("plan", "--prune", env=account.env)
    assert plan.code == 0
    assert "0 to add, 0 to change, 12 to destroy. 12 unchanged." in plan.out
    assert "Coverage: 12 monitors lose monitoring (12 deleted); budget 7" in plan.out
    done = run(*_PRUNE, env=account.env)
    assert done.code == 5
    assert "- email-smtp/m12 (id 12)" in done.out
    assert "12 of 24 monitors would lose monitoring (12 deleted), and the budget is 7" in done.err
    assert "allow it for this run with --allow-loss 12." in done.err
    assert run(*_PRUNE, "--allow-loss", "11", env=account.env).code == 5
    assert writes(account) == []
    done = run(*_PRUNE, "--allow-loss", "12", env=account.env)
    assert done.code == 0
    assert "12 destroyed" in done.out
    assert writes(account) == ["DELETE"] * 12


def test_a_commit_that_disables_500_monitors(
    fleet: Callable[[int], Any],
    workspace: Workspace,
    sandbox: Callable[..., Account],
    run: Callable[..., Done],
) -> None:
    seed = [item | {"port": 587, "enabled": True} for item in fleet(600)]
    account = sandbox(*seed)
    path = workspace.root / "monitors" / "fleet.yaml"
    documents = path.read_text(encoding="utf-8").split("---\n")
    off = [text + "  enabled: false\n" if number < 500 else text
           for number, text in enumerate(documents)]  # fmt: skip
    path.write_text("---\n".join(off), encoding="utf-8")
    plan = run("plan", "--json", "--detailed-exitcode", env=account.env)
    assert plan.code == 2
    coverage = plan.json["coverage"]
    assert (coverage["managed"], len(coverage["losses"])) == (600, 500)
    assert coverage["losses"][0] == {
        "address": "email-smtp/relay-01",
        "causes": ["disabled"],
        "labels": {},
    }
    done = run(*_PRUNE, env=account.env)
    assert done.code == 5
    assert "500 to change" in done.out
    assert "500 of 600 monitors would lose monitoring (500 disabled), and the budget is 10" in (
        done.err
    )
    assert "--allow-loss 500" in done.err
    assert writes(account) == []
    few = run(*_APPLY, "--target", "email-smtp/relay-01", env=account.env)
    assert few.code == 0
    assert account.patches() == [("/monitors/email-smtp/1", {"enabled": False})]


def test_a_commit_that_empties_the_folder(
    begin: Callable[[int], Account], workspace: Workspace, run: Callable[..., Done]
) -> None:
    account = begin(12)
    remove(workspace, range(1, 13))
    plan = run("plan", "--prune", env=account.env)
    assert plan.code == 0
    assert "12 to destroy" in plan.out
    for flags, named in {
        (): ["--allow-empty --allow-loss 12", "there is no manifest, and the state knows 12"],
        ("--allow-empty",): ["--allow-loss 12", "and the budget is 3"],
        ("--allow-loss", "12"): ["with --allow-empty.", "there is no manifest"],
    }.items():
        done = run(*_PRUNE, *flags, env=account.env)
        assert done.code == 5
        assert "- email-smtp/m12 (id 12)" in done.out
        assert all(text in done.err for text in named), done.err
    alone = run(*_APPLY, env=account.env)
    assert alone.code == 5
    assert "there is no manifest, and the state knows 12 monitors: nothing" in alone.err
    assert writes(account) == []
    done = run(*_PRUNE, "--allow-empty", "--allow-loss", "12", env=account.env)
    assert done.code == 0
    assert writes(account) == ["DELETE"] * 12


def test_the_project_sets_the_budget(
    begin: Callable[[int], Account], workspace: Workspace, run: Callable[..., Done]
) -> None:
    account = begin(12)
    remove(workspace, range(1, 5))
    project = workspace.root / "reconciler.toml"
    project.write_text("[budget]\nmonitors = 20\npercent = 30\n")
    assert "and the budget is 3" in run(*_PRUNE, env=account.env).err
    project.write_text("[budget]\npercent = 50\nmonitors = 4\n")
    assert "(4 deleted); budget 4" in run("plan", "--prune", env=account.env).out
    assert run(*_PRUNE, env=account.env).code == 0
    assert writes(account) == ["DELETE"] * 4
    project.write_text("[budget]\nmonitor = 4\n")
    broken = run("plan", env=account.env)
    assert broken.code == 3
    assert "reconciler.toml: budget holds monitors and percent" in broken.err


def test_a_saved_plan_is_held_to_it_too(
    begin: Callable[[int], Account], workspace: Workspace, run: Callable[..., Done]
) -> None:
    account = begin(12)
    remove(workspace, range(1, 6))
    saved = run("plan", "--prune", "--out", "plan.json", env=account.env)
    assert saved.code == 0
    assert "(5 deleted); budget 3" in run("show", "plan.json").out
    refused = run("apply", "plan.json", env=account.env)
    assert refused.code == 5
    assert "5 of 12 monitors would lose monitoring (5 deleted)" in refused.err
    assert "--allow-loss 5" in refused.err
    assert writes(account) == []
    assert run("apply", "plan.json", "--allow-loss", "5", env=account.env).code == 0
    assert writes(account) == ["DELETE"] * 5


def test_a_plan_shows_causes_labels_and_cost(
    begin: Callable[[int], Account], workspace: Workspace, run: Callable[..., Done]
) -> None:
    account = begin(6)
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
        path = workspace.root / "monitors" / f"m{number}.yaml"
        path.write_text(path.read_text().replace("  enabled: true", f"  {lines}"))
    done = run("plan", env=account.env)
    assert done.code == 0
    *_, coverage, labels, cost = done.out.splitlines()
    assert coverage == (
        "Coverage: 2 monitors lose monitoring (1 dropped, 1 silenced, 1 stretched); budget 10"
    )
    assert labels == "  team=mail 2"
    assert cost == "Cost: 1,728 → 1,584 measurements per day (-144)"


def test_the_guards_come_before_the_question(
    begin: Callable[[int], Account], workspace: Workspace, terminal: Callable[..., Any]
) -> None:
    account = begin(12)
    remove(workspace, range(1, 5))
    session = terminal("apply", "--prune", env=account.env)
    assert session.finish() == 5
    assert "--allow-loss 4" in session.screen
    assert "Only" not in session.screen
    assert writes(account) == []
