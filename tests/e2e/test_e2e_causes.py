"""Who moved: Git, AlertSite or both; what was released, orphaned or lost; and all that offline."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import manifest, monitor

from documents import check

if TYPE_CHECKING:
    from conftest import Account, Run, Sandbox, Workspace

_APPLY = ("apply", "--auto-approve")
_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_CLOSED = {"ALERTSITE_URL": "http://127.0.0.1:1/api/v3", "CI": "true"}
"""Nobody listens there, and without credentials nobody could ask."""


def _files(workspace: Workspace) -> dict[str, bytes]:
    """All that is in the workspace."""
    paths = sorted(path for path in workspace.root.rglob("*") if path.is_file())
    return {str(path.relative_to(workspace.root)): path.read_bytes() for path in paths}


_WANTED: dict[str, Any] = {
    "port": 587,
    "note": "n",
    "locations": [{"id": 20}, {"id": 10}],
    "home_location": 10,
}


@pytest.fixture
def applied(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Three monitors as last applied: `one` and `two` with ids, `three` (100001) without."""
    for name, number in (("one", 1), ("two", 2)):
        workspace.describe("email-smtp", name, number, **_WANTED)
    text = manifest(
        "email-smtp", "three", name="Three", extra={"x": {"a": 1, "b": [1, 2]}}, **_WANTED
    )
    workspace.write("three.yaml", text)
    account = sandbox(*(monitor("email-smtp", number, port=25) for number in (1, 2)))
    assert account.apply().code == 0
    return account


def test_every_difference_has_its_cause(workspace: Workspace, applied: Account) -> None:
    workspace.replace("one.yaml", "port: 587", "port: 2525")
    workspace.replace("two.yaml", "port: 587", "port: 25")
    workspace.replace("two.yaml", 'note: "n"', 'note: "edited"')
    workspace.replace("three.yaml", '"a": 1', '"a": 2')
    applied.edit("email-smtp", 1, note="drifted", locations=[{"id": 30}, {"id": 10}])
    applied.edit("email-smtp", 2, port=465, note="edited")
    applied.edit("email-smtp", 100001, x={"a": 5, "b": [1, 3]}, home_location=20)

    done = applied.run("plan").expect(0)
    drift = "(drift: changed in AlertSite since the last apply)"
    both = "(both: changed here and in AlertSite, last applied"
    assert done.out == (
        "  ~ email-smtp/one (id 1, monitors/one.yaml:1)\n"
        f"      locations: + Atlanta (GA) (20), - Fremont (CA) (30) {drift}\n"
        f'      note: "drifted" → "n" {drift}\n'
        "      port: 587 → 2525\n"
        "      home_location: Fort Lauderdale (FL) (10) (unchanged, sent with locations)\n"
        "\n"
        "  ~ email-smtp/three (id 100001, monitors/three.yaml:1)\n"
        f"      home_location: Atlanta (GA) (20) → Fort Lauderdale (FL) (10) {drift}\n"
        f'      x: {both} {{"a": 1, "b": [1, 2]}})\n'
        "        ~ .a: 5 → 2\n"
        "        ~ .b[1]: 3 → 2\n"
        "\n"
        "  ~ email-smtp/two (id 2, monitors/two.yaml:1)\n"
        f"      port: 465 → 25 {both} 587)\n"
        "\n"
        "Plan: 0 to add, 3 to change, 0 to destroy. 0 unchanged.\n"
        "Coverage: 2 monitors lose monitoring (2 retargeted, 1 dropped); budget 3\n"
        "  email-smtp/one (id 1): dropped (locations), retargeted (port)\n"
        "  email-smtp/two (id 2): retargeted (port)\n"
        "Cost: unknown for 1 monitor that changes: no known interval or locations\n"
    )

    plan = applied.run("plan", "--json").json
    check(plan, "plan")
    fields = {
        (change["address"].partition("/")[2], field["field"]): field
        for change in plan["changes"]
        for field in change["fields"]
    }
    expected = {
        ("one", "home_location"): ("edit", 10, 10, 10),
        ("one", "locations"): ("drift", _places(10, 20), _places(10, 30), _places(20, 10)),
        ("one", "note"): ("drift", "n", "drifted", "n"),
        ("one", "port"): ("edit", 587, 587, 2525),
        ("three", "home_location"): ("drift", 10, 20, 10),
        ("three", "x"): (
            "both",
            {"a": 1, "b": [1, 2]},
            {"a": 5, "b": [1, 3]},
            {"a": 2, "b": [1, 2]},
        ),
        ("two", "port"): ("both", 587, 465, 25),
    }
    keys = ("cause", "applied", "before", "after")
    assert {name: tuple(field[key] for key in keys) for name, field in fields.items()} == expected

    assert applied.apply().code == 0
    applied.edit("email-smtp", 1, port=25)
    last = applied.run("plan").out
    assert f"      port: 25 → 2525 {drift}\n" in last
    assert "Plan: 0 to add, 1 to change, 0 to destroy. 2 unchanged.\n" in last


def _places(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


def test_field_that_was_never_applied_is_an_edit(workspace: Workspace, applied: Account) -> None:
    applied.edit("email-smtp", 1, interval=60)  # nobody's business so far
    assert "No changes. 3 unchanged." in applied.run("plan").out
    workspace.replace("one.yaml", "port: 587", "port: 587\n  interval: 5")
    assert "      interval: 60 → 5\n" in applied.run("plan").out


def test_released_field_is_left_and_reported_once(workspace: Workspace, applied: Account) -> None:
    """What Git made the monitor with has nothing to go back to."""
    workspace.replace("three.yaml", '  note: "n"\n', "")
    workspace.replace("three.yaml", "  port: 587\n", "")
    notes = (
        "  . email-smtp/three (id 100001) released: note, port are no longer in the manifest, left "
        "as in AlertSite\n\n"
    )
    done = applied.run("plan", "--detailed-exitcode")
    assert (done.code, done.out) == (0, f"{notes}No changes. 3 unchanged.\n")
    listed = applied.run("plan", "--json").json["notes"]
    assert [(note["code"], note["field"]) for note in listed] == [
        ("released", "note"),
        ("released", "port"),
    ]
    asked = len(applied.patches())
    assert notes in applied.apply().out
    assert applied.patches()[asked:] == []
    assert applied.run("plan").out == "No changes. 3 unchanged.\n"
    assert applied.live(100001)["port"] == 587
    applied.edit("email-smtp", 100001, port=25)
    assert applied.run("plan").out == "No changes. 3 unchanged.\n"


def test_released_in_a_run_of_another_target_is_still_reported(
    workspace: Workspace, applied: Account
) -> None:
    workspace.replace("three.yaml", "  port: 587\n", "")
    assert "released" not in applied.apply("--target", "*/two").out
    assert "released: port is" in applied.run("plan").out


def test_orphan_is_listed_each_time_until_it_is_forgotten(
    workspace: Workspace, applied: Account
) -> None:
    for name in ("two", "three"):
        workspace.remove(f"{name}.yaml")
    applied.delete(2)
    orphan = (
        "  . email-smtp/three (id 100001) orphan: no manifest; left as it is. Retire it with "
        "--prune, or forget it with: reconciler state rm email-smtp/three\n"
    )
    gone = (
        "  . email-smtp/two (id 2) forgotten: its monitor is gone, has another type, or is bound "
        "to another address or account\n"
    )
    first = applied.run("plan")
    assert first.out == f"{gone}{orphan}\nNo changes. 1 unchanged.\n"
    for _ in range(2):
        assert orphan in applied.apply().out
    done = applied.run("plan")
    assert done.out == f"{orphan}\nNo changes. 1 unchanged.\n"
    assert "orphan" not in applied.run("plan", "--target", "*/one").out

    forgotten = applied.run("state", "rm", "email-smtp/three")
    assert (forgotten.code, forgotten.err) == (0, "Forgot email-smtp/three.\n")
    last = applied.run("plan")
    assert last.out == (
        "No changes. 1 unchanged.\n"
        "1 email monitor in AlertSite without a manifest: never touched.\n"
        "  Three (id 100001)\n"
    )
    assert applied.live(100001)["name"] == "Three"


# drift


def test_drift_shows_what_alertsite_did_and_never_writes(
    workspace: Workspace, applied: Account
) -> None:
    none = applied.run("drift")
    assert (none.code, none.out) == (0, "No drift. 3 monitors as last applied.\n")
    workspace.replace("one.yaml", "port: 587", "port: 2525")  # Git is not asked
    applied.edit("email-smtp", 2, port=465, locations=_places(20, 30))
    applied.edit("email-smtp", 100001, x={"a": 1, "b": [2, 1]}, interval=60)
    applied.delete(1)
    shutil.move(workspace.root / "monitors", workspace.root / "elsewhere")
    before, calls = _files(workspace), len(applied.calls())

    done = applied.run("drift").expect(2)
    text = re.sub(r"applied \S+Z by run \S+\)", "…)", done.out)
    assert text == (
        "  - email-smtp/one (id 1, …): deleted in AlertSite\n"
        "\n"
        "  ~ email-smtp/three (id 100001, …)\n"
        '      x: {"a": 1, "b": [1, 2]} → {"a": 1, "b": [2, 1]}\n'
        "\n"
        "  ~ email-smtp/two (id 2, …)\n"
        "      locations: + 30, - 10\n"
        "      port: 587 → 465\n"
        "\n"
        "Drift: 3 of 3 monitors not as last applied.\n"
        "Coverage: 2 monitors have lost monitoring in AlertSite (1 dropped, 1 retargeted, 1 "
        "vanished).\n"
        "reconciler apply restores what Git says; reconciler pull copies what AlertSite has into "
        "the manifests.\n"
    )
    as_json = applied.run("drift", "--json").expect(2)
    check(as_json.json, "drift")
    assert as_json.json["summary"] == {"drifted": 3, "lost": 2, "kept": 0}
    one, three, two = as_json.json["monitors"]
    assert (one["is_deleted"], one["fields"]) == (True, [])
    assert [field["field"] for field in three["fields"]] == ["x"]
    assert two["fields"][1] == {"field": "port", "applied": 587, "live": 465}

    chosen = applied.run("drift", "--target", "email-smtp/t*")
    assert chosen.code == 2
    assert "\nDrift: 2 of 2 monitors not as last applied.\n" in chosen.out
    gone = "GET /monitors/1"  # that it is gone is asked of AlertSite, not concluded from a list
    assert applied.calls()[calls:] == [_LOGIN, _READ, gone] * 3
    assert _files(workspace) == before


@pytest.mark.parametrize("target", ["email-smtp/nobody", "team=mail", "one"])
def test_drift_of_nothing_is_no_good_news(target: str, applied: Account) -> None:
    done = applied.run("drift", "--target", "*/one", "--target", target)
    assert done.code == 64
    assert f"--target {target} matches no record" in done.err
    assert done.out == ""


def test_drift_before_anything_was_applied(
    workspace: Workspace, sandbox: Sandbox, run: Run
) -> None:
    done = run("drift", env=sandbox().env)
    assert (done.code, done.out) == (8, "")
    assert "file:.reconciler/state.json: there is no state to compare with" in done.err
    assert _files(workspace).keys() == {"reconciler.toml"}


# offline


def test_offline_plan_says_how_old_its_knowledge_is(
    workspace: Workspace, applied: Account, run: Run
) -> None:
    workspace.replace("one.yaml", "port: 587", "port: 2525")
    workspace.describe("email-smtp", "four", 4)
    workspace.describe("email-smtp", "five", name="Five")
    applied.edit("email-smtp", 2, port=465)  # as nobody can know
    before, calls = _files(workspace), len(applied.calls())

    done = run("plan", "--offline", env=_CLOSED)
    assert (done.code, done.err) == (0, "")
    first, *rest = done.out.splitlines(keepends=True)
    assert re.fullmatch(
        r"Offline: compared with the state saved (just now|\d+ (s|min) ago) "
        r"\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, serial \d+\); AlertSite was not read\.\n",
        first,
    )
    assert "".join(rest) == (
        "  + email-smtp/five (monitors/five.yaml:1)\n"
        '      billing_plancode: "UBM - A/A"\n'
        '      hostname: "mail.example.com"\n'
        '      name: "Five"\n'
        "\n"
        "  ~ email-smtp/one (id 1, monitors/one.yaml:1)\n"
        "      port: 587 → 2525\n"
        "\n"
        "  . email-smtp/four (id 4) not compared: the state has no record of it\n"
        "\n"
        "Plan: 1 to add, 1 to change, 0 to destroy. 2 unchanged.\n"
        "Coverage: 1 monitor loses monitoring (1 retargeted), 1 other has in the last 24 hours; "
        "budget 3\n"
        "  email-smtp/one (id 1): retargeted (port)\n"
        "Cost: unknown for 1 monitor that changes: no known interval or locations\n"
    )
    as_json = run("plan", "--offline", "--json", "--detailed-exitcode", env=_CLOSED).expect(2)
    assert as_json.err.startswith("Offline: compared with the state")
    check(as_json.json, "plan")
    assert [note["code"] for note in as_json.json["notes"]] == ["unknown"]
    limited = run("plan", "--offline", "--detailed-exitcode", "--target", "*/two", env=_CLOSED)
    assert limited.code == 0
    assert limited.out.endswith("No changes. 1 unchanged. 4 not targeted.\n")
    assert applied.calls()[calls:] == []
    assert _files(workspace) == before


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (timedelta(seconds=-90), "1 min ago"),
        (timedelta(hours=-5, minutes=-59), "5 h ago"),
        (timedelta(days=-400), "400 d ago"),
        (timedelta(days=400), "in the future: the clocks differ"),
    ],
    ids=str,
)
def test_age_of_the_state(
    saved: timedelta, words: str, workspace: Workspace, applied: Account, run: Run
) -> None:
    path = workspace.kept
    moment = (datetime.now(UTC) + saved).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = re.sub(r'"saved_at": "[^"]*"', f'"saved_at": "{moment}"', path.read_text())
    path.write_text(text)
    run("plan", "--offline", env=_CLOSED).expect(0, out=f"state saved {words} ({moment}, serial ")
    assert applied.run("drift").code == 0


def test_offline_without_a_state_or_with_refusals(
    workspace: Workspace, applied: Account, run: Run
) -> None:
    none = run("plan", "--offline", "--state", "file:none.json", env=_CLOSED).expect(8)
    told = "file:none.json: there is no state yet, so --offline has nothing to compare with"
    assert told in none.err
    workspace.describe("email-smtp", "three", 1, name="Three")
    workspace.describe("email-smtp", "one", 100001)
    run("plan", "--offline", env=_CLOSED).expect(
        5, out="the state binds email-smtp/one to monitor 1, but its manifest names 100001"
    )
    assert applied.calls()[-1] == _READ


def test_lost_state_loses_causes_only(workspace: Workspace, applied: Account) -> None:
    applied.edit("email-smtp", 1, port=25)
    shutil.rmtree(workspace.root / ".reconciler")
    done = applied.run("plan")
    assert done.code == 5
    assert "      port: 25 → 587\n" in done.out  # it cannot tell who moved any more
    assert "named 'Three', with the id 100001" in done.out
    assert "1 unchanged. 1 refused." in done.out
    calls = len(applied.calls())
    applied.apply("--adopt").expect(0)
    assert applied.calls()[calls:] == [_LOGIN, _READ, "PATCH /monitors/email-smtp/1", _READ]
    last = applied.run("plan", "--detailed-exitcode")
    assert (last.code, last.out) == (0, "No changes. 3 unchanged.\n")
    assert applied.run("drift").out == "No drift. 3 monitors as last applied.\n"
