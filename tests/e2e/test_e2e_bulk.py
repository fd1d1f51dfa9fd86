"""A fleet that was imported flat, reorganised into folders of teams, and edited in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e.conftest import monitor

if TYPE_CHECKING:
    from conftest import Account, Run, Sandbox, Workspace

COUNT = 100
TEAMS = ("core", "edge", "web", "sales", "labs")
EACH = COUNT // len(TEAMS)
POOL = [{"id": 10}, {"id": 20}]


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    """One with monitors of several teams, of which most have the same interval."""
    return sandbox(
        *(
            monitor(
                "email-smtp",
                number,
                name=f"{TEAMS[number % len(TEAMS)]} relay {number:03}",
                hostname=f"mail-{number}.example.com",
                interval=5 if number % 10 else 15,
                locations=POOL,
            )
            for number in range(1, COUNT + 1)
        )
    )


@pytest.mark.large
def test_a_hundred_monitors_become_folders_of_teams(
    workspace: Workspace, run: Run, account: Account
) -> None:
    def plan() -> str:
        done = account.run("plan").expect(0)
        return done.out

    done = account.run("import", "--layout", "{kind}/{name}.yaml").expect(0)
    assert account.apply().code == 0
    assert "No changes." in plan()

    for team in TEAMS:
        files = sorted((workspace.root / "monitors/email-smtp").glob(f"{team}-*.yaml"))
        assert len(files) == EACH
        names = [str(path.relative_to(workspace.root)) for path in files]
        done = run("mv", *names, f"monitors/teams/{team}/").expect(0, out=f"Move: {EACH} files")
        assert "No changes." in plan()

    done = run("set", "monitors/teams/edge/", "locations+=30", "--auto-approve")
    assert (done.code, f"{EACH} of {EACH} manifests to change" in done.out) == (0, True), done.err
    assert f"0 to add, {EACH} to change, 0 to destroy." in plan()
    before = len(account.patches())
    assert account.apply().code == 0
    sent = account.patches()[before:]
    assert len(sent) == EACH
    assert all([item["id"] for item in body["locations"]] == [10, 20, 30] for _, body in sent)
    assert "No changes." in plan()

    done = account.run("list", "--where", "hostname=mail-4*", "-o", "name").expect(0)
    assert len(done.out.splitlines()) == len([n for n in range(1, COUNT + 1) if str(n)[0] == "4"])

    (last, *_) = account.run("history", "--json").json["runs"]
    assert account.run("undo", last["id"], "--auto-approve").code == 0
    undone = account.patches()[before + EACH :]
    assert len(undone) == EACH
    assert all([item["id"] for item in body["locations"]] == [10, 20] for _, body in undone)
    # The manifests still say so; taking the edit back as well leaves nothing to do.
    assert f"0 to add, {EACH} to change, 0 to destroy." in plan()
    assert run("set", "monitors/teams/edge/", "locations-=30", "--auto-approve").code == 0
    assert "No changes." in plan()
