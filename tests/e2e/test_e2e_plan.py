"""What a plan shows: causes, targets, detail and requests; online, offline, and edits only."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Account, Relays, Run, Sandbox, Workspace, files, manifest, monitor

from documents import check

_APPLY = ("apply", "--auto-approve")
_LONG = ("--detail", "full")
APPLY = ("apply", "--auto-approve", "--edits-only")
_SAMPLE = Path(__file__).parents[2] / "monitors"
_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"


@pytest.fixture
def sample(workspace: Workspace) -> Workspace:
    """A copy of the repository's own manifests."""
    shutil.copytree(_SAMPLE, workspace.root / "monitors", dirs_exist_ok=True)
    return workspace


@pytest.mark.usefixtures("sample")
def test_diff_is_an_alias_of_plan_and_gives_the_same_bytes(run: Run) -> None:
    diff = run("diff", "--json", "--detailed-exitcode")
    assert diff == run("plan", "--json", "--detailed-exitcode")
    assert diff.code == 2


def test_manifests_option_names_another_folder(sample: Workspace, run: Run) -> None:
    (sample.root / "monitors").rename(sample.root / "elsewhere")
    run("plan", "--manifests", "elsewhere").expect(0, out="elsewhere/mail-core/imap.yaml:2")


@pytest.mark.parametrize(
    "flags", [["--json"], ["--show-requests", "--detailed-exitcode"]], ids=" ".join
)
def test_plan_logs_in_reads_and_never_writes(flags: list[str], relays: Relays) -> None:
    account = relays(3)
    assert account.run("plan", *flags).code in {0, 2}
    assert account.calls() == [_LOGIN, _READ]


@pytest.fixture
def mixed(workspace: Workspace) -> list[dict[str, Any]]:
    """Four manifests, three of which differ from live; and two monitors without a manifest."""
    mail, web = {"team": "mail"}, {"team": "web"}
    workspace.write("a.yaml", manifest("email-smtp", "relay", 1, labels=mail, port=587))
    workspace.write("b.yaml", manifest("email-smtp", "backup", 2, labels=web, port=587))
    workspace.write("c.yaml", manifest("email-imap", "relay", 3, labels=mail, note="new"))
    workspace.write("d.yaml", manifest("email-pop", "same", 4))
    return [
        monitor("email-smtp", 1, port=25),
        monitor("email-smtp", 2, port=25),
        monitor("email-imap", 3, note="old"),
        monitor("email-pop", 4),
        monitor("email-pop", 5),
        monitor("email-round-trip", 6),
    ]


def test_plan_as_json(mixed: list[Any], sandbox: Sandbox) -> None:
    account = sandbox(*mixed)
    done = account.run("plan", "--json", "--detailed-exitcode").expect(2)
    plan = done.json
    assert plan["summary"] == {
        "create": 0,
        "update": 3,
        "delete": 0,
        "unchanged": 1,
        "unmanaged": 2,
        "excluded": 0,
        "refused": 0,
        "untracked": 0,
    }
    addresses = [change["address"] for change in plan["changes"]]
    assert addresses == ["email-imap/relay", "email-smtp/backup", "email-smtp/relay"]
    assert plan["changes"][2]["request"] == {
        "method": "PATCH",
        "path": "/monitors/email-smtp/1",
        "body": {"port": 587},
    }
    assert plan["changes"][2]["origin"] == {"path": "monitors/a.yaml", "document": 0, "line": 1}


def test_plan_as_json_with_a_refusal_is_still_one_document(
    workspace: Workspace, mixed: list[Any], sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "odd", 99)
    done = sandbox(*mixed).run("plan", "--json").expect(5)
    (refusal,) = done.json["refusals"]
    assert refusal["address"] == "email-smtp/odd"
    assert refusal["origin"]["path"] == "monitors/odd.yaml"


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_show_requests_prints_them_exactly(
    command: list[str], mixed: list[Any], sandbox: Sandbox
) -> None:
    done = sandbox(*mixed).run(*command, "--show-requests")
    assert done.code == 0
    assert (
        "  ~ email-imap/relay (id 3, monitors/c.yaml:1)\n"
        '      note: "old" → "new"\n'
        "      PATCH /monitors/email-imap/3\n"
        '      {"note": "new"}\n'
    ) in done.out


def test_requests_are_not_shown_unasked(mixed: list[Any], sandbox: Sandbox) -> None:
    assert "PATCH" not in sandbox(*mixed).run("plan").out


@pytest.mark.parametrize(
    ("targets", "expected", "left_out"),
    [
        (["email-smtp/relay"], ["/monitors/email-smtp/1"], 3),
        (["email-smtp/*"], ["/monitors/email-smtp/1", "/monitors/email-smtp/2"], 2),
        (["*/relay"], ["/monitors/email-imap/3", "/monitors/email-smtp/1"], 2),
        (["team=web"], ["/monitors/email-smtp/2"], 3),
        (["team=web", "email-imap/*"], ["/monitors/email-imap/3", "/monitors/email-smtp/2"], 2),
        (["email-smtp/r?lay"], ["/monitors/email-smtp/1"], 3),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else None,
)
def test_targets_choose_what_is_sent_and_the_rest_is_counted(
    targets: list[str], expected: list[str], left_out: int, mixed: list[Any], sandbox: Sandbox
) -> None:
    account = sandbox(*mixed)
    flags = [word for target in targets for word in ("--target", target)]
    done = account.apply(*flags).expect(0)
    assert sorted(path for path, _ in account.patches()) == expected
    assert f"{left_out} not targeted." in done.out


def test_monitors_without_a_manifest_are_counted_and_never_touched(
    mixed: list[Any], sandbox: Sandbox
) -> None:
    account = sandbox(*mixed)
    done = account.run("plan")
    assert "2 email monitors in AlertSite without a manifest: never touched." in done.out
    assert "not targeted" not in done.out


@pytest.mark.parametrize("command", [("plan",), ("plan", "--json"), ("apply", "--json")])
def test_what_is_approved_is_shown_as_it_is(
    command: tuple[str, ...], workspace: Workspace, sandbox: Sandbox
) -> None:
    """An error hides what may be a login in a URL; a value is what it is."""
    old, new = (f"See http://x@w.example/x?page={number} (a)" for number in (1, 2))
    workspace.describe("email-smtp", "a", 1, note=new)
    account = sandbox(monitor("email-smtp", 1, note=old))
    flags = ("--auto-approve",) if command[0] == "apply" else ()
    done = account.run(*command, *flags).expect(0, text=new)
    if command != ("plan", "--json"):
        assert f'note: "{old}" → "{new}"' in done.text


_CLOSED = {"ALERTSITE_URL": "http://127.0.0.1:1/api/v3", "CI": "true"}
"""Nobody listens there, and without credentials nobody could ask."""


def test_every_difference_has_its_cause(workspace: Workspace, three: Account) -> None:
    workspace.replace("one.yaml", "port: 587", "port: 2525")
    workspace.replace("two.yaml", "port: 587", "port: 25")
    workspace.replace("two.yaml", 'note: "n"', 'note: "edited"')
    workspace.replace("three.yaml", '"a": 1', '"a": 2')
    three.edit("email-smtp", 1, note="drifted", locations=[{"id": 30}, {"id": 10}])
    three.edit("email-smtp", 2, port=465, note="edited")
    three.edit("email-smtp", 100001, x={"a": 5, "b": [1, 3]}, home_location=20)

    done = three.run("plan").expect(0)
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

    plan = three.run("plan", "--json").json
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

    assert three.apply().code == 0
    three.edit("email-smtp", 1, port=25)
    last = three.run("plan").out
    assert f"      port: 25 → 2525 {drift}\n" in last
    assert "Plan: 0 to add, 1 to change, 0 to destroy. 2 unchanged.\n" in last


def _places(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


def test_field_that_was_never_applied_is_an_edit(workspace: Workspace, three: Account) -> None:
    three.edit("email-smtp", 1, interval=60)  # nobody's business so far
    assert "No changes. 3 unchanged." in three.run("plan").out
    workspace.replace("one.yaml", "port: 587", "port: 587\n  interval: 5")
    assert "      interval: 60 → 5\n" in three.run("plan").out


def test_released_field_is_left_and_reported_once(workspace: Workspace, three: Account) -> None:
    """What Git made the monitor with has nothing to go back to."""
    workspace.replace("three.yaml", '  note: "n"\n', "")
    workspace.replace("three.yaml", "  port: 587\n", "")
    notes = (
        "  . email-smtp/three (id 100001) released: note, port are no longer in the manifest, left "
        "as in AlertSite\n\n"
    )
    done = three.run("plan", "--detailed-exitcode")
    assert (done.code, done.out) == (0, f"{notes}No changes. 3 unchanged.\n")
    listed = three.run("plan", "--json").json["notes"]
    assert [(note["code"], note["field"]) for note in listed] == [
        ("released", "note"),
        ("released", "port"),
    ]
    asked = len(three.patches())
    assert notes in three.apply().out
    assert three.patches()[asked:] == []
    assert three.run("plan").out == "No changes. 3 unchanged.\n"
    assert three.live(100001)["port"] == 587
    three.edit("email-smtp", 100001, port=25)
    assert three.run("plan").out == "No changes. 3 unchanged.\n"


def test_released_in_a_run_of_another_target_is_still_reported(
    workspace: Workspace, three: Account
) -> None:
    workspace.replace("three.yaml", "  port: 587\n", "")
    assert "released" not in three.apply("--target", "*/two").out
    assert "released: port is" in three.run("plan").out


# offline


def test_offline_plan_says_how_old_its_knowledge_is(
    workspace: Workspace, three: Account, run: Run
) -> None:
    workspace.replace("one.yaml", "port: 587", "port: 2525")
    workspace.describe("email-smtp", "four", 4)
    workspace.describe("email-smtp", "five", name="Five")
    three.edit("email-smtp", 2, port=465)  # as nobody can know
    before, calls = files(workspace.root), len(three.calls())

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
    assert three.calls()[calls:] == []
    assert files(workspace.root) == before


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
    saved: timedelta, words: str, workspace: Workspace, three: Account, run: Run
) -> None:
    path = workspace.kept
    moment = (datetime.now(UTC) + saved).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = re.sub(r'"saved_at": "[^"]*"', f'"saved_at": "{moment}"', path.read_text())
    path.write_text(text)
    run("plan", "--offline", env=_CLOSED).expect(0, out=f"state saved {words} ({moment}, serial ")
    assert three.run("drift").code == 0


def test_offline_without_a_state_or_with_refusals(
    workspace: Workspace, three: Account, run: Run
) -> None:
    none = run("plan", "--offline", "--state", "file:none.json", env=_CLOSED).expect(8)
    told = "file:none.json: there is no state yet, so --offline has nothing to compare with"
    assert told in none.err
    workspace.describe("email-smtp", "three", 1, name="Three")
    workspace.describe("email-smtp", "one", 100001)
    run("plan", "--offline", env=_CLOSED).expect(
        5, out="the state binds email-smtp/one to monitor 1, but its manifest names 100001"
    )
    assert three.calls()[-1] == _READ


def test_lost_state_loses_causes_only(workspace: Workspace, three: Account) -> None:
    three.edit("email-smtp", 1, port=25)
    shutil.rmtree(workspace.root / ".reconciler")
    done = three.run("plan")
    assert done.code == 5
    assert "      port: 25 → 587\n" in done.out  # it cannot tell who moved any more
    assert "named 'Three', with the id 100001" in done.out
    assert "1 unchanged. 1 refused." in done.out
    calls = len(three.calls())
    three.apply("--adopt").expect(0)
    assert three.calls()[calls:] == [_LOGIN, _READ, "PATCH /monitors/email-smtp/1", _READ]
    last = three.run("plan", "--detailed-exitcode")
    assert (last.code, last.out) == (0, "No changes. 3 unchanged.\n")
    assert three.run("drift").out == "No drift. 3 monitors as last applied.\n"


@pytest.fixture
def many(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Thirty monitors that are to change in the same way, and lose nothing by it."""
    texts = [manifest("email-smtp", f"relay-{n:02}", n, timeout=33) for n in range(1, 31)]
    workspace.write("fleet.yaml", "---\n".join(texts))
    return sandbox(*(monitor("email-smtp", n, timeout=30) for n in range(1, 31)))


def test_equal_changes_are_one_unless_every_one_is_asked_for(many: Account) -> None:
    plan = many.run("plan")
    assert "  ~ 30 monitors: email-smtp 30\n      timeout: 30 → 33\n" in plan.out
    assert "Plan: 0 to add, 30 to change, 0 to destroy." in plan.out
    full = many.run("plan", *_LONG)
    assert full.out.count("      timeout: 30 → 33\n") == 30
    summary = many.run("plan", "--detail", "summary")
    assert "  ~ 30 monitors (email-smtp 30): timeout\n" in summary.out
    requests = many.run("plan", "--show-requests")
    assert requests.out.count("PATCH ") == 30
    assert len(many.run("plan", "--json").json["changes"]) == 30


@pytest.mark.parametrize("command", ["plan", "apply", "show"])
def test_detail_is_one_of_three(command: str, run: Run) -> None:
    run(command, "--detail", "all").expect(64, err="'summary', 'grouped', 'full'")


def test_show_and_apply_take_detail_too(many: Account, run: Run) -> None:
    assert many.run("plan", "--out", "p.json").code == 0
    shown = run("show", "p.json", "--detail", "summary")
    assert "  ~ 30 monitors (email-smtp 30): timeout\n" in shown.out
    applied = many.run("apply", "p.json", *_LONG)
    assert applied.out.count("      timeout: 30 → 33\n") == 30


def test_names_stand_beside_ids(workspace: Workspace, sandbox: Sandbox, run: Run) -> None:
    names = {10: "Fort Lauderdale (FL)", 20: "Atlanta (GA)", 72: "Boston (MA)"}

    def ids(*numbers: int) -> list[dict[str, int]]:
        return [{"id": number} for number in numbers]

    def seen(*numbers: int) -> list[dict[str, Any]]:
        return [{"id": number, "name": names[number], "region": 1} for number in numbers]

    workspace.write(
        "a.yaml", manifest("email-smtp", "one", 1, locations=ids(10, 72), home_location=72)
    )
    workspace.write("b.yaml", manifest("email-smtp", "two", 2))
    account = sandbox(
        monitor("email-smtp", 1, locations=seen(10, 20), home_location=20),
        monitor("email-smtp", 2, locations=seen(72), home_location=72),
    )
    done = account.run("plan", "--out", "p.json")
    home = "      home_location: Atlanta (GA) (20) → Boston (MA) (72)\n"
    places = "      locations: + Boston (MA) (72), - Atlanta (GA) (20)\n"
    for shown in (done, run("show", "p.json")):
        assert home in shown.out
        assert places in shown.out


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


def test_it_belongs_to_the_plan_and_not_to_a_file(sandbox: Sandbox) -> None:
    said = "have no effect on a saved plan"
    sandbox().run("apply", "--edits-only", "plan.json").expect(64, err=said)


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
