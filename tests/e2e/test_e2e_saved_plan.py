"""A plan that was reviewed: written down, shown, and applied as far as nothing has moved since."""

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Fleet, Relays, Run, Sandbox, Workspace, manifest, monitor

from documents import check

_SMTP = "email-smtp"
_OUT = ("plan", "--out", "p.json")


def test_what_moved_is_refused_and_the_rest_is_applied_once(relays: Relays) -> None:
    account = relays(3)
    assert account.run(*_OUT).code == 0
    account.edit("email-smtp", 2, port=2525)
    reviewed = len(account.calls())

    first = account.run("apply", "p.json").expect(7)
    moved = (
        "  ! email-smtp/relay-02 moved: port changed in AlertSite since the plan was made "
        "(monitors/fleet.yaml:12)\n"
        "      port: planned 587, AlertSite now has 2525\n"
    )
    assert moved in first.out
    told = "Of 3 changes: 2 done, 1 moved. Make a new plan for what has changed meanwhile.\n"
    assert told in first.out
    written = [f"PATCH /monitors/email-smtp/{number}" for number in (1, 3)]
    assert sorted(account.writes(reviewed)) == written

    again = account.run("apply", "p.json", "--json")
    assert again.code == again.json["exit_code"] == 5
    check(again.json, "result")
    (outcome,) = again.json["outcomes"]
    assert (outcome["address"], outcome["status"]) == ("email-smtp/relay-02", "moved")
    assert outcome["moved"] == [{"field": "port", "planned": 587, "has": 2525}]
    assert "2 changes of the plan were already made.\n" in again.err
    assert sorted(account.writes(reviewed)) == written

    account.edit("email-smtp", 2, port=25)
    undone = len(account.calls())
    account.run("apply", "p.json").expect(0, out="0 added, 1 changed, 0 destroyed")
    assert account.writes(undone) == ["PATCH /monitors/email-smtp/2"]

    done = len(account.calls())
    account.run("apply", "p.json").expect(0, err="3 changes of the plan were already made.\n")
    assert account.writes(done) == []
    assert set(account.ports().values()) == {587}


def test_all_or_nothing(relays: Relays) -> None:
    account = relays(2)
    account.run(*_OUT)
    account.edit("email-smtp", 2, port=2525)
    reviewed = len(account.calls())
    done = account.run("apply", "p.json", "--all-or-nothing")
    assert done.code == 5
    assert "relay-02 moved: port changed in AlertSite" in done.err
    assert "planned 587, AlertSite now has 2525" in done.err
    assert "nothing is applied" in done.err
    assert account.writes(reviewed) == []
    account.edit("email-smtp", 2, port=25)
    assert account.run("apply", "p.json", "--all-or-nothing").code == 0
    assert set(account.ports().values()) == {587}


def test_value_that_is_sent_along_counts_too(workspace: Workspace, sandbox: Sandbox) -> None:
    wanted = {"locations": [{"id": 10}, {"id": 20}], "home_location": 10}
    workspace.describe("email-smtp", "one", 1, **wanted)
    account = sandbox(monitor("email-smtp", 1, locations=[{"id": 10}], home_location=10))
    assert "home_location: 10 (unchanged, sent with locations)" in account.run(*_OUT).out
    account.edit("email-smtp", 1, home_location=30)
    account.run("apply", "p.json").expect(5, out="home_location: planned 10, AlertSite now has 30")
    assert account.live(1)["home_location"] == 30


def test_only_what_was_reviewed_is_sent(workspace: Workspace, sandbox: Sandbox) -> None:
    texts = [manifest("email-smtp", name, id_, port=587, note="n") for name, id_ in _TWO.items()]
    workspace.write("two.yaml", "---\n".join(texts))
    account = sandbox(*(monitor("email-smtp", id_, port=25, note="n") for id_ in (1, 2)))
    assert account.run(*_OUT, "--target", "*/one").code == 0
    account.edit("email-smtp", 1, note="by hand")
    reviewed = len(account.requests("PATCH"))
    assert account.run("apply", "p.json").code == 0
    assert account.patches()[reviewed:] == [("/monitors/email-smtp/1", {"port": 587})]
    drifted = account.run("plan").out
    assert 'note: "by hand" → "n"\n' in drifted
    assert "port: 25 → 587" in drifted


_TWO = {"one": 1, "two": 2}


def test_monitor_that_is_gone_or_replaced_moved(workspace: Workspace, relays: Relays) -> None:
    account = relays(1)
    workspace.describe("email-smtp", "new", name="New")
    assert account.apply("--target", "*/new").code == 0
    workspace.describe("email-smtp", "new", name="New", port=587)
    assert account.run(*_OUT).code == 0
    for number in (1, 100001):
        account.delete(number)
    done = account.run("apply", "p.json")
    assert done.code == 5
    assert "relay-01 moved: AlertSite has no monitor with the id 1" in done.out
    assert "new moved: the monitor was deleted since the plan was made" in done.out


def test_created_once_however_often_it_is_applied(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-smtp", "one", name="One", port=587)
    account = sandbox()
    assert account.run(*_OUT).code == 0
    assert account.run("apply", "p.json").code == 0
    account.run("apply", "p.json").expect(0, err="1 change of the plan was already made.")
    account.edit("email-smtp", 100001, port=25)
    said = "one moved: monitor 100001 was created since the plan was made"
    account.run("apply", "p.json").expect(5, out=said)
    assert [monitor["id"] for monitor in account.monitors()] == [100001]


def test_create_whose_monitor_somebody_else_made_is_refused(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one", name="One")
    account = sandbox()
    account.run(*_OUT)
    assert account.apply("--state", "file:theirs.json").code == 0
    done = account.run("apply", "p.json")
    assert done.code == 5
    assert "one moved: AlertSite already has a monitor of the kind email-smtp" in done.out
    assert "with the id 100001" in done.out
    assert len(account.monitors()) == 1


def test_ids_that_were_written_make_it_a_plan_for_other_manifests(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one", name="One")
    account = sandbox()
    account.run(*_OUT)
    assert account.run("apply", "p.json", "--write-ids").code == 0
    assert "  id: 100001\n" in workspace.read("one.yaml")
    account.run("apply", "p.json").expect(5, err="changed since the plan was made")
    assert len(account.monitors()) == 1


def test_adoption_is_part_of_the_plan(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-smtp", "one", port=587)
    account = sandbox(monitor("email-smtp", 5, port=25))
    planned = account.run(*_OUT, "--adopt")
    assert "= email-smtp/one (id 5) adopted: bound to this monitor from now on" in planned.out
    assert account.run("apply", "p.json").code == 0
    again = account.run("plan", "--detailed-exitcode")
    assert (again.code, again.out) == (0, "No changes. 1 unchanged.\n")


@pytest.mark.parametrize("is_saved", [True, False])
def test_what_was_not_approved_is_not_adopted(
    workspace: Workspace, sandbox: Sandbox, *, is_saved: bool
) -> None:
    """A stranger makes a monitor of that name just after our create has failed."""
    workspace.describe("email-smtp", "one", name="One")
    workspace.describe("email-smtp", "two", name="Two")
    made: list[str] = []

    def make(moment: str, method: str, path: str) -> None:
        if (moment, method, path, made) == ("after", "POST", "/monitors/email-smtp", []):
            made.append("theirs")
            account.create("email-smtp", name="One", hostname="theirs.example.com")

    account = sandbox(faults=["POST /monitors/* status=422 times=1"], witness=make)
    if is_saved:
        assert account.run(*_OUT, "--adopt").code == 0
        done = account.run("apply", "p.json", "--parallelism", "1")
    else:
        done = account.apply("--adopt", "--parallelism", "1")
    done.expect(7, out="email-smtp/one failed")
    (theirs,) = [item for item in account.monitors() if item["name"] == "One"]
    assert theirs["hostname"] == "theirs.example.com"
    assert "email-smtp/one" not in account.run("state", "list").out
    assert "AlertSite already has a monitor" in account.run("plan").out


def test_made_from_something_else_is_refused_by_name(
    workspace: Workspace, fleet: Fleet, sandbox: Sandbox, run: Run
) -> None:
    seed = fleet(2)
    account, other = sandbox(*seed), sandbox(*seed)
    assert account.apply("--target", "*/relay-01").code == 0
    assert account.run(*_OUT).code == 0
    path, state = workspace.root / "p.json", workspace.kept
    (workspace.root / "theirs.json").write_text(
        state.read_text().replace('"lineage": "', '"lineage": "x')
    )
    calls = len(account.calls())

    def refused(*flags: str, env: dict[str, str] | None = None) -> str:
        said = "Make a new plan here: reconciler plan --out FILE"
        done = run("apply", "p.json", *flags, env=env or account.env).expect(5, err=said)
        return done.err

    elsewhere = refused("--state", "file:none.json", env=other.env)
    assert f"for the account {account.url}, but this is {other.url}" in elsewhere
    assert "for the state of the lineage" in refused("--state", "file:theirs.json")
    assert "but this is without any state" in refused("--state", "file:none.json")

    saved = json.loads(path.read_text())
    older = saved | {"basis": saved["basis"] | {"tool_version": "0.0.1"}}
    path.write_text(json.dumps(older))
    assert "for reconciler 0.0.1, but this is" in refused()
    path.write_text(json.dumps(saved))

    workspace.replace("fleet.yaml", "name: relay-01", "name: relay-01\n  labels: {a: b}")
    assert "changed since the plan was made" in refused()
    workspace.replace("fleet.yaml", "name: relay-01\n  labels: {a: b}", "name: relay-01 # same")

    assert account.writes(calls) == other.writes() == []
    assert account.run("apply", "p.json").code == 0


_Change = Callable[[dict[str, Any]], object]
_CHANGED: dict[str, _Change] = {
    "body": lambda plan: plan["changes"][0]["request"].update(body={"port": 1}),
    "path": lambda plan: plan["changes"][0]["request"].update(path="/monitors/email-smtp/9"),
    "id": lambda plan: plan["changes"][0].update(id=9),
    "value": lambda plan: plan["changes"][0]["fields"][0].update(after=1),
    "pin": lambda plan: plan["changes"][0]["pins"].update(port=f"sha256:{'0' * 64}"),
    "one-change-less": lambda plan: plan["changes"].pop(),
    "counts": lambda plan: plan["summary"].update(update=0),
    "account": lambda plan: plan["account"].update(name="x"),
}
_NO_PLANS: dict[str, tuple[_Change, int, str]] = {
    "newer": (lambda plan: plan.update(format_version="1.1"), 5, "has format 1.1, but this"),
    "much-newer": (lambda plan: plan.update(format_version="3.0"), 5, "has format 3.0"),
    "no-version": (lambda plan: plan.pop("format_version"), 3, "is not a plan"),
    "odd-version": (lambda plan: plan.update(format_version=[1]), 3, "is not a plan"),
    "no-digest": (lambda plan: plan.pop("digest"), 3, "is not a plan"),
    "no-basis": (lambda plan: plan.pop("basis"), 3, "is output of plan --json"),
    **{name: (change, 5, "changed after it was written") for name, change in _CHANGED.items()},
}


def test_changed_by_hand_is_nothing_to_apply(workspace: Workspace, relays: Relays) -> None:
    account = relays(1)
    account.run(*_OUT)
    path = workspace.root / "p.json"
    text, calls = path.read_text(encoding="utf-8"), len(account.calls())
    for name, (change, code, words) in _NO_PLANS.items():
        plan = json.loads(text)
        change(plan)
        path.write_text(json.dumps(plan), encoding="utf-8")
        done = account.run("apply", "p.json")
        assert (name, done.code) == (name, code), done
        assert words in done.err, done
        assert "reconciler plan --out FILE" in done.err or "written by plan --out" in done.err
        assert done.out == ""
    assert account.calls()[calls:] == []


@pytest.mark.parametrize("command", [["apply"], ["show"]], ids=" ".join)
def test_what_is_no_plan_at_all(
    command: list[str], workspace: Workspace, fleet: Fleet, run: Run
) -> None:
    fleet(1)
    contents = {
        "empty": b"",
        "truncated": b'{"format_version": "1.0", "acc',
        "list": b"[]",
        "null": b"null",
        "binary": b"\xff\xfe\x00",
        "deep": b"[" * 100_000,
    }
    for name, content in contents.items():
        (workspace.root / name).write_bytes(content)
    words = "Name a file written by plan --out.\n"
    for name in (*contents, "nowhere.json", "monitors"):
        done = run(*command, name, env={"CI": "1"})
        assert (name, done.code) == (name, 3)
        assert done.err.startswith(f"Error: {name} ")
        assert words in done.err
        assert done.out == ""


def test_plan_json_is_not_for_applying(workspace: Workspace, relays: Relays) -> None:
    account = relays(1)
    printed = account.run("plan", "--json")
    (workspace.root / "p.json").write_text(printed.out, encoding="utf-8")
    done = account.run("apply", "p.json")
    assert done.code == 3
    assert "is output of plan --json, which cannot be applied" in done.err
    assert "Make a plan to apply with: reconciler plan --out FILE" in done.err
    assert account.writes() == []


def test_plan_that_holds_a_refusal_is_not_written(workspace: Workspace, relays: Relays) -> None:
    account = relays(1)
    workspace.describe("email-smtp", "odd", 99)
    done = account.run(*_OUT).expect(5, err="p.json is not written")
    assert not (workspace.root / "p.json").exists()
    (advice,) = re.findall("or leave it out with (.*)", done.err)
    assert advice == "--exclude email-smtp/odd"
    assert account.run(*_OUT, *advice.split()).code == 0
    texts = [manifest("email-smtp", f"odd-{number}", 90 + number) for number in range(6)]
    workspace.write("more.yaml", "---\n".join(texts))
    assert "or leave them out with --exclude\n" in account.run(*_OUT).err
    workspace.write("more.yaml", texts[0])
    two = "--exclude email-smtp/odd --exclude email-smtp/odd-0\n"
    assert f"or leave them out with {two}" in account.run(*_OUT).err
    workspace.remove("more.yaml")
    assert account.run("apply", "p.json").code == 0


def test_an_address_in_place_of_a_file(run: Run) -> None:
    said = "plan --out. To choose manifests, use --target.\n"
    run("apply", "email-smtp/relay-01").expect(3, err=said)


def test_where_it_cannot_be_written(workspace: Workspace, relays: Relays) -> None:
    account = relays(1)
    os.mkfifo(workspace.root / "pipe")
    places = {
        "nowhere/p.json": "No such file or directory",
        "monitors": "it is not a regular file",
        "pipe": "it is not a regular file",
        "monitors/fleet.yaml/p.json": "Not a directory",
    }
    for place, reason in places.items():
        account.run("plan", "--out", place).expect(3, err=f"{place} cannot be written: {reason}")
        undone = account.run("undo", "2026", "--out", place)
        assert f"{place} cannot be written: {reason}" in undone.err
    account.run("plan", "--out", "").expect(64, err="Invalid value for '--out': it is empty")
    assert account.calls() == []
    assert stat.S_ISFIFO((workspace.root / "pipe").stat().st_mode)
    assert sorted(path.name for path in workspace.root.iterdir()) == [
        "monitors",
        "pipe",
        "reconciler.toml",
    ]


def test_a_manifest_is_not_replaced_and_an_empty_file_is(
    workspace: Workspace, relays: Relays
) -> None:
    account = relays(1)
    manifests = workspace.root / "monitors" / "fleet.yaml"
    before = manifests.read_text()
    said = "monitors/fleet.yaml is not replaced: it holds something else than a plan"
    account.run("plan", "--out", "monitors/fleet.yaml").expect(3, err=said)
    assert manifests.read_text() == before
    (workspace.root / "made-by-mktemp").touch()
    assert account.run("plan", "--out", "made-by-mktemp").code == 0
    assert account.run("apply", "made-by-mktemp", "--auto-approve").code == 0


def test_link_is_followed_and_an_older_plan_replaced(workspace: Workspace, relays: Relays) -> None:
    account = relays(1)
    (workspace.root / "real.json").write_text('{"format_version": "1.0"}')
    (workspace.root / "p.json").symlink_to("real.json")
    assert account.run(*_OUT).code == 0
    assert (workspace.root / "p.json").is_symlink()
    check(workspace.json("real.json"), "plan")
    assert account.run("apply", "p.json").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["apply", "p.json", "--target", "*/relay-01"], "Use them with plan --out."),
        (["apply", "p.json", "--adopt"], "Use them with plan --out."),
        (["apply", "p.json", "--write-secrets"], "Use them with plan --out."),
        (["apply", "--auto-approve", "--all-or-nothing"], "--all-or-nothing needs FILE"),
        (["plan", "--offline", "--out", "q.json"], "cannot be used together"),
        (["show"], "Missing argument 'FILE'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_flags_that_belong_to_the_plan(
    arguments: list[str], words: str, fleet: Fleet, run: Run
) -> None:
    fleet(1)
    done = run(*arguments, env={"CI": "1"}).expect(64, err=words)
    assert done.out == ""


def test_shown_without_network_credentials_or_manifests(
    workspace: Workspace, relays: Relays, run: Run
) -> None:
    account = relays(2)
    planned = account.run(*_OUT)
    path = workspace.root / "p.json"
    assert "Plan written to p.json. To apply it: reconciler apply p.json\n" in planned.err
    (workspace.root / "monitors").rename(workspace.root / "elsewhere")
    closed = {"ALERTSITE_URL": "http://127.0.0.1:1/api/v3", "CI": "1"}
    calls = len(account.calls())

    shown = run("show", "p.json", env=closed)
    assert (shown.code, shown.out) == (0, planned.out)
    assert shown.err == f"Account: {account.url}\n"
    requests = run("show", "p.json", "--show-requests", env=closed)
    assert '      PATCH /monitors/email-smtp/1\n      {"port": 587}\n' in requests.out
    as_json = run("show", "p.json", "--json", env=closed)
    assert as_json.json == json.loads(path.read_text(encoding="utf-8"))
    check(as_json.json, "plan")
    assert account.calls()[calls:] == []


def test_plan_without_changes_can_be_saved_and_applied(fleet: Fleet, sandbox: Sandbox) -> None:
    (seed,) = fleet(1)
    account = sandbox({**seed, "port": 587})
    assert account.run(*_OUT, "--json", "--detailed-exitcode").json["changes"] == []
    account.run("apply", "p.json").expect(0, out="0 added, 0 changed, 0 destroyed")
    assert account.writes() == []


@pytest.mark.parametrize("undone", ["a hand moves it", "its record is gone"])
def test_a_restore_that_was_not_made_is_not_called_made(
    undone: str, workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(monitor("email-smtp", 1, enabled=True, port=25))
    workspace.describe("email-smtp", "relay", 1, enabled=False, port=26)
    assert account.apply().code == 0
    workspace.describe("email-smtp", "relay", 1)
    assert account.run("plan", "--out", "plan.json").code == 0
    if undone == "a hand moves it":
        account.edit("email-smtp", 1, port=27)
    else:
        assert account.run("state", "rm", "email-smtp/relay").code == 0

    stopped = account.run("apply", "plan.json", "--all-or-nothing")
    done = account.run("apply", "plan.json")

    assert (stopped.code, done.code) == (5, 5)
    assert "already made" not in stopped.text + done.text
    fields = "port" if undone == "a hand moves it" else "enabled, port"
    assert f"{fields}: no manifest sets this any more" in done.text
    assert "loses monitoring" not in done.text


def test_a_monitor_that_was_not_switched_off_is_not_called_switched_off(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(*[monitor("email-smtp", number, enabled=True) for number in (1, 2)])
    retired = manifest("email-smtp", "old", 1) + "lifecycle: {retire: disable}\n"
    workspace.write("old.yaml", retired)
    workspace.describe("email-smtp", "relay", 2)
    assert account.apply().code == 0
    workspace.remove("old.yaml")
    assert account.run("plan", "--prune", "--out", "plan.json").code == 0
    assert account.run("state", "rm", "email-smtp/old").code == 0
    account.run("apply", "plan.json").expect(5, text="enabled: no manifest sets this any more")
    assert account.live(1)["enabled"] is True


_ALLOWED = ("apply", "p.json", "--allow-different-manifests")


def test_what_both_ask_for_is_applied_if_that_is_allowed(
    workspace: Workspace, relays: Relays
) -> None:
    account = relays(4)
    assert account.run(*_OUT).code == 0
    workspace.write(
        "fleet.yaml",
        "---\n".join(
            (
                manifest("email-smtp", "relay-01", 1, port=587),
                manifest("email-smtp", "relay-02", 2, port=25),  # as AlertSite has it
                manifest("email-smtp", "relay-03", 3),  # the field is not named any more
            )
        ),
    )
    assert account.run("apply", "p.json").code == 5
    assert account.patches() == []

    done = account.run(*_ALLOWED, "--json")
    assert "Allowed in this run" in done.err
    assert account.patches() == [("/monitors/email-smtp/1", {"port": 587})], done.text
    assert done.code == 7
    outcomes = {item["address"]: item for item in done.json["outcomes"]}
    assert {key: item["status"] for key, item in outcomes.items()} == {
        "email-smtp/relay-01": "done",
        "email-smtp/relay-02": "moved",
        "email-smtp/relay-03": "moved",
        "email-smtp/relay-04": "moved",
    }
    assert outcomes["email-smtp/relay-02"]["message"].startswith("port: the manifest here says")
    assert outcomes["email-smtp/relay-04"]["message"] == "it has no manifest here"


def test_a_deletion_that_the_manifests_no_longer_ask_for_is_not_made(
    workspace: Workspace, relays: Relays
) -> None:
    account = relays(2)
    assert account.apply().code == 0
    workspace.write("fleet.yaml", manifest("email-smtp", "relay-01", 1, port=587))
    assert account.run(*_OUT, "--prune").code == 0
    workspace.write("more.yaml", manifest("email-smtp", "relay-02", 2, port=587))
    account.run(*_ALLOWED).expect(5, out="it has a manifest here")
    assert len(account.monitors()) == 2


def test_a_plan_that_was_made_under_another_budget_is_refused(
    workspace: Workspace, relays: Relays
) -> None:
    account = relays(2)
    settings = workspace.root / "reconciler.toml"
    assert account.run(*_OUT).code == 0
    text = 'timeout = "5s"\n' + settings.read_text()  # says nothing of what is to be done
    settings.write_text(text.replace("percent = 100", "percent = 90"), encoding="utf-8")
    said = "reconciler.toml has changed since the plan was made"
    done = account.run("apply", "p.json").expect(5, err=said)
    assert "folder without a commit" not in done.err  # neither is of one
    assert "check out the commit" not in done.err
    settings.write_text(text, encoding="utf-8")
    assert account.run("apply", "p.json").code == 0


def test_the_flag_is_for_a_saved_plan(run: Run, tmp_path: Path) -> None:
    said = "--allow-different-manifests needs FILE"
    run("apply", "--allow-different-manifests", cwd=tmp_path).expect(64, err=said)


def test_a_plan_is_used_once(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe(_SMTP, "new", name="New")
    account = sandbox()
    assert account.run("plan", "--out", "p.json").code == 0
    assert account.run("apply", "p.json").code == 0
    account.delete(100001)
    account.run("apply", "p.json").expect(5, out="deleted since the plan was made")
    assert account.monitors() == []
