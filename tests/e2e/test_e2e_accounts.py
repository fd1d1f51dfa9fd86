"""Several accounts in one repository: plan, apply and the others, from the command line."""

import json
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from select import select
from typing import Any

import pytest
from e2e.conftest import (
    Account,
    Done,
    Git,
    Run,
    Sandbox,
    Start,
    Terminals,
    Workspace,
    manifest,
    monitor,
)

from reconciler.context import Clock
from reconciler.sandbox import PASSWORD, USERNAME

import platforms
from documents import check
from listening import QuietHandler, listening
from platforms import GitHub

SETTINGS = """
state = "file:.reconciler/{{account}}/state.json"

[defaults]
manifests = ["monitors/_shared", "monitors/{{account}}"]
username = {{env = "LOGIN_NAME"}}
password = {{env = "LOGIN_PASSWORD"}}
budget = {{monitors = 1000, percent = 100}}

[accounts.good]
url = "{good}"
labels = {{tier = "prod"}}

[accounts.other]
url = "{other}"
labels = {{tier = "test"}}

[accounts.down]
url = "http://127.0.0.1:9/api/v3"
labels = {{tier = "prod"}}

[accounts.locked]
url = "{good}"
password = {{env = "WRONG_PASSWORD"}}
username = {{env = "OTHER_NAME"}}
"""
BOTH = ("-a", "good", "-a", "other")
ENV = {
    "LOGIN_NAME": USERNAME,
    "LOGIN_PASSWORD": PASSWORD,
    "OTHER_NAME": "other@example.com",
    "WRONG_PASSWORD": "not the password",
}
_BOSTON = {"locations": [{"id": 72, "name": "Boston (MA)", "region": 1}]}


class Fleet:
    """Two accounts that work, one that is down and one that refuses the login."""

    def __init__(self, run: Run, workspace: Workspace, good: Account, other: Account) -> None:
        self._run = run
        self.workspace = workspace
        self.good = good
        self.other = other

    def __call__(self, *arguments: str, **given: Any) -> Done:
        return self._run(*arguments, env=ENV | given.pop("env", {}), **given)

    def relay(self, account: Account) -> int:
        """The id of what the shared manifest describes."""
        (number,) = (item["id"] for item in account.monitors() if item["name"] == "Relay")
        return int(number)


@pytest.fixture
def accounts(run: Run, hurried: Clock, workspace: Workspace, sandbox: Sandbox) -> Fleet:
    found = Fleet(partial(run, clock=hurried), workspace, sandbox(), sandbox())
    workspace.write("_shared/relay.yaml", manifest("email-smtp", "relay", name="Relay", port=587))
    for name in ("good", "other", "down", "locked"):
        text = manifest("email-smtp", f"{name}-own", name=f"Own of {name}")
        workspace.write(f"{name}/own.yaml", text)
    workspace.settings(SETTINGS.format(good=found.good.url, other=found.other.url))
    return found


class _Meeting(QuietHandler):
    """A server on which two accounts log in at the same time, or not at all."""

    both: threading.Barrier

    def do_POST(self) -> None:  # noqa: N802 - the name of http.server
        self.rfile.read(int(self.headers["Content-Length"]))
        self.both.wait(30)
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()


_MEETING = """
[defaults]
manifests = ["monitors"]

[accounts.a]
url = "http://{where}"
username = {{cmd = ["sh", "meet.sh", "a", "b"]}}
password = {{env = "LOGIN_PASSWORD"}}
[accounts.b]
url = "http://{where}"
username = {{cmd = ["sh", "meet.sh", "b", "a"]}}
password = {{env = "LOGIN_PASSWORD"}}
"""
_MEET = """\
touch "$1"
for _ in $(seq 500); do
  [ -e "$2" ] && echo "$1@example.com" && exit
  sleep 0.02
done
exit 1
"""


def test_what_an_id_means_is_asked_of_one_account(accounts: Fleet) -> None:
    accounts.good.create("email-smtp", name="By hand", hostname="mx.example.com", **_BOSTON)
    assert accounts("explain", "location").code == 64
    assert accounts("explain", "location", "-a", "good").out == "72  Boston (MA)  1 monitor\n"
    assert accounts("explain", "email-smtp.port").code == 0


def test_nothing_is_written_for_one_of_two_accounts_with_the_same_folders(accounts: Fleet) -> None:
    """But for ids, which say whose they are."""
    root = accounts.workspace.root
    accounts.workspace.change('"monitors/_shared", "monitors/{account}"', '"monitors/_shared"')
    for account in (accounts.good, accounts.other):
        account.create("email-smtp", name="By hand", hostname="mx.example.com", **_BOSTON)
    accounts("apply", *BOTH, "--auto-approve", "--write-ids").expect(0)
    relay = root / "monitors" / "_shared" / "relay.yaml"
    assert relay.read_text().count("  ids: {") == 1
    assert accounts("plan", *BOTH, "--detailed-exitcode").code == 0
    before = relay.read_text()
    accounts.good.edit("email-smtp", accounts.relay(accounts.good), port=2525)
    accounts("pull", "-a", "good", "--auto-approve").expect(
        7, out="port was not pulled: the account "
    )
    set_ = accounts("set", "-a", "good", "email-smtp/relay", "port=25", "--auto-approve")
    assert (set_.code, "has the same manifests; end the list of good" in set_.err) == (64, True)
    accounts("import", "-a", "good").expect(3, err="good has no folder of its own")
    assert accounts("import", "-a", "good", "--into", "staged").code in {0, 7}
    assert relay.read_text() == before
    assert [item.name for item in relay.parent.iterdir()] == ["relay.yaml"]


def test_accounts_wait_at_the_same_time(run: Run, workspace: Workspace) -> None:
    """For the command that tells a login, and for an answer; they compute one by one."""
    workspace.describe("email-smtp", "relay")
    (workspace.root / "meet.sh").write_text(_MEET, encoding="utf-8")
    _Meeting.both = threading.Barrier(2)
    with listening(_Meeting) as where:
        workspace.settings(_MEETING.format(where=where))
        done = run("plan", "--json", env=ENV)
    assert not _Meeting.both.broken
    assert [item["exit_code"] for item in done.json["accounts"]] == [4, 4], done.text


def test_an_account_that_waits_for_a_reader_of_its_events_keeps_no_other_waiting(
    run: Run, workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "relay")
    settings = '[defaults]\nmanifests = ["monitors"]\n'
    for name in ("a", "b"):
        os.mkfifo(workspace.root / f"{name}.events")
        settings += (
            f'[accounts.{name}]\nurl = "{sandbox().url}"\nusername = {{env = "LOGIN_NAME"}}\n'
        )
        settings += 'password = {env = "LOGIN_PASSWORD"}\n'
    workspace.settings(settings)

    def opened() -> list[int]:
        """The one that comes first has a reader only when the other one has written."""
        flags = os.O_RDONLY | os.O_NONBLOCK
        last = os.open(workspace.root / "b.events", flags)
        select([last], [], [], 30)
        return [last, os.open(workspace.root / "a.events", flags)]

    with ThreadPoolExecutor(1) as executor:
        found = executor.submit(opened)
        done = run("plan", "--events", "{account}.events", "--json", env=ENV)
    for descriptor in found.result():
        with os.fdopen(descriptor) as pipe:
            assert pipe.read().count("\n") > 2
    assert [item["exit_code"] for item in done.json["accounts"]] == [0, 0], done.text


class _Chat(QuietHandler):
    """A service that people are notified by."""

    told: list[dict[str, str]]

    def do_POST(self) -> None:  # noqa: N802 - the name of http.server
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_an_apply_of_several_accounts_is_one_message(accounts: Fleet) -> None:
    _Chat.told = []
    with listening(_Chat) as where:
        env = {"RECONCILER_NOTIFY": f"json://{where}/"}
        accounts("apply", "--all-accounts", "--auto-approve", env=env).expect(7)
        (told,) = _Chat.told
        assert told["title"] == (
            "AlertSite, 4 accounts: 4 changes applied, 2 accounts are not done (exit code 7)"
        )
        assert told["message"].splitlines() == [
            "down: AlertSite is unavailable, or its response is invalid (exit code 6)",
            "locked: Credentials or permission refused by AlertSite (exit code 4)",
            "good: 2 added",
            "other: 2 added",
        ]
        assert accounts("apply", *BOTH, "--auto-approve", env=env).code == 0
        assert len(_Chat.told) == 1
        accounts("apply", "--all-accounts", "--auto-approve", "--notify", "nowhere://x/").expect(64)


def statuses(done: Done) -> dict[str, str]:
    return {item["account"]: item["status"] for item in done.json["accounts"]}


def test_the_good_ones_are_done_and_the_others_are_told_first(accounts: Fleet) -> None:
    planned = accounts("plan", "--json").expect(7)
    assert statuses(planned) == {
        "down": "failed",
        "locked": "failed",
        "good": "done",
        "other": "done",
    }
    assert list(statuses(planned)) == ["down", "locked", "good", "other"]
    assert [item["exit_code"] for item in planned.json["accounts"]] == [6, 4, 0, 0]
    check(planned.json, "rollup")
    check(planned.json["accounts"][2]["value"], "plan")
    applied = accounts("apply", "--all-accounts", "--auto-approve", "--json").expect(7)
    assert statuses(applied) == statuses(planned)
    assert applied.json["accounts"][2]["changes"] == {"create": 2, "update": 0, "delete": 0}
    check(applied.json, "rollup")
    for account in (accounts.good, accounts.other):
        assert len([call for call in account.calls() if call.startswith("POST /monitors")]) == 2
    again = accounts("plan", "--label", "tier=test", "--detailed-exitcode")
    assert (again.code, "Account" in again.text) == (0, False)
    for arguments in ((), ("--json",)):
        nothing = accounts("apply", *BOTH, "--auto-approve", *arguments)
        assert (nothing.code, "Account" in nothing.text) == (0, False)
        assert "took" not in nothing.text


def test_one_account_is_told_as_if_there_were_only_one(accounts: Fleet) -> None:
    done = accounts("plan", "-a", "good").expect(0)
    assert done.err.startswith(f"AlertSite: good ({accounts.good.url})\n")
    assert "Plan: 2 to add" in done.out
    assert "account" not in done.out.lower()
    state = accounts.workspace.root / ".reconciler" / "good" / "state.json"
    accounts("apply", "-a", "good", "--auto-approve")
    assert json.loads(state.read_text())["account"] == {"name": "good", "url": accounts.good.url}


def test_an_apply_to_several_must_be_meant(accounts: Fleet) -> None:
    accounts("apply", "--auto-approve").expect(64, err="there are 4 accounts, and none is selected")
    accounts("apply", *BOTH).expect(5, err="there is no terminal to ask")
    assert not accounts.good.requests("PATCH")
    assert accounts("undo", "latest").code == 64


def test_the_selection_is_the_same_for_all_that_read(accounts: Fleet) -> None:
    accounts("apply", "-l", "tier=test", "-a", "*", "--auto-approve")
    accounts("apply", "-a", "good", "--auto-approve")
    accounts.other.edit("email-smtp", accounts.relay(accounts.other), port=26)
    only = ("--not-account", "down", "--not-account", "locked")
    drift = accounts("drift", *only, "--json")
    assert (drift.code, statuses(drift)) == (2, {"other": "changes", "good": "done"})
    for command in (
        ("list", "-o", "json"),
        ("list", "--json"),
        ("status", "--json"),
        ("history", "--json"),
        ("report", "--json"),
        ("validate", "--json"),
    ):
        done = accounts(*command, *only)
        assert (done.code, statuses(done)) == (0, {"good": "done", "other": "done"}), done
        check(done.json, "rollup")
        assert all("value" in item for item in done.json["accounts"])
    report = accounts("report", "--json", *only).json
    totals = [item["value"]["total"] for item in report["accounts"]]
    assert report["tally"]["monitors"] == sum(it["monitors"] for it in totals) > 0
    text = accounts("list", *only)
    assert "Account good" in text.out
    assert text.out.count("email-smtp/relay") == 2
    text = accounts("list", "--where", "port=26", *only)
    assert ("Account other" in text.text, "Account good" in text.text) == (True, False)
    assert "matches" not in text.err
    accounts("list", "email-smtp/typo", *only).expect(
        0, err="No account has a monitor that matches"
    )
    text = accounts("drift", *only)
    assert ("Account other" in text.out, "Account good" in text.out) == (True, False)


def test_the_status_of_several_is_a_table(accounts: Fleet) -> None:
    accounts("apply", "-a", "good", "--auto-approve")
    done = accounts("status", "-a", "good", "-a", "other")
    assert (done.code, "Account" in done.text) == (0, False)
    head, *rows = [line.split() for line in done.out.splitlines() if line and ":" not in line]
    cells = {row[0]: dict(zip(head, row, strict=False)) for row in rows}
    assert head[:2] == ["account", "status"]
    wanted = {"good": ("0", "2", "0", "0"), "other": ("2", "0", "2", "-")}
    names = ("add", "managed", "missing", "drifted")
    assert {it: tuple(cells[it][name] for name in names) for it in wanted} == wanted
    together = dict(zip([head[0], *head[2:]], rows[-1], strict=False))
    assert (together["account"], together["managed"], together["missing"]) == ("all", "2", "2")
    alone = accounts("status", "-a", "other")
    assert "plan       2 to add" in alone.out


@pytest.mark.parametrize("command", ["plan", "apply", "drift", "list", "report"])
def test_several_accounts_are_not_given_the_manifests_of_one(accounts: Fleet, command: str) -> None:
    chosen = (command, *BOTH, "--manifests")
    accounts(*chosen, "monitors/good").expect(64, err="several accounts cannot share monitors/good")
    assert not accounts.other.calls()
    assert accounts("plan", *chosen[1:], "monitors/{account}").code == 0


def test_a_wave_that_fails_is_the_last(accounts: Fleet) -> None:
    accounts.workspace.change("[accounts.other]", "[accounts.other]\nwave = 2")
    done = accounts("apply", "-a", "down", "-a", "other", "--auto-approve", "--json")
    assert (done.code, statuses(done)) == (7, {"down": "failed", "other": "not-started"})
    assert not accounts.other.requests("PATCH")
    assert done.json["accounts"][1]["message"] == "an account of wave 1 is not done"
    done = accounts("apply", *BOTH, "--auto-approve", "--json")
    assert (done.code, statuses(done)) == (0, {"good": "done", "other": "done"})


def test_whoever_cannot_be_planned_is_told_of_in_every_wave(accounts: Fleet) -> None:
    for name in ("other", "locked"):
        accounts.workspace.change(f"[accounts.{name}]", f"[accounts.{name}]\nwave = 2")
    done = accounts("apply", "--all-accounts", "--auto-approve", "--json")
    found = {"down": "failed", "locked": "failed", "other": "not-started", "good": "done"}
    assert (done.code, statuses(done)) == (7, found)


def test_the_budget_of_the_fleet_counts_over_all(accounts: Fleet) -> None:
    accounts.workspace.change(
        "[accounts.good]", "[fleet]\nbudget = {monitors = 1}\n[accounts.good]"
    )
    chosen = (*BOTH, "--auto-approve")
    assert accounts("apply", *chosen).code == 0
    accounts.workspace.replace("_shared/relay.yaml", "spec:\n", "spec:\n  enabled: false\n")
    said = "2 of 4 monitors in all accounts would lose monitoring (good 1, other 1)"
    accounts("apply", *chosen).expect(5, err=said)
    assert not accounts.good.requests("PATCH")
    assert accounts("apply", *chosen, "--allow-loss", "2").code == 0


def test_without_a_budget_of_the_fleet_that_of_one_account_counts_over_all(accounts: Fleet) -> None:
    accounts.workspace.change("budget = {monitors = 1000, percent = 100}\n", "")
    chosen = (*BOTH, "--auto-approve")
    assert accounts("apply", *chosen).code == 0
    accounts.workspace.replace("_shared/relay.yaml", "spec:\n", "spec:\n  enabled: false\n")
    plan = accounts("plan", *BOTH).expect(0)
    assert plan.out.splitlines()[-3:] == [
        "2 accounts: 2 planned.",
        "Plan: 0 to add, 2 to change, 0 to destroy.",
        (
            "Coverage: 2 monitors lose monitoring; over the budget of 1 for all accounts: apply "
            "refuses all of them without --allow-loss 2"
        ),
    ]
    as_json = accounts("plan", *BOTH, "--json").json
    assert (as_json["losses"], as_json["budget"], as_json["over_budget"]) == (2, 1, True)
    refused = accounts("apply", *chosen)
    assert refused.code == 5
    assert "2 of 4 monitors in all accounts would lose monitoring (good 1, other 1)" in refused.err
    assert "the budget under [fleet] is 1: nothing is applied" in refused.err
    part = accounts("apply", *chosen, "--shard", "1/1")
    assert (part.code, "shard 1/1's part of the budget under [fleet]" in part.err) == (5, True)
    assert not accounts.good.requests("PATCH")
    accounts.workspace.change("[accounts.good]", "[budget]\npercent = 50\n[accounts.good]")
    assert accounts("apply", *chosen).code == 0  # each may lose half of it, so all may
    assert len(accounts.good.requests("PATCH")) == 1


def test_a_ceiling_that_the_repository_cannot_raise_counts_over_all(accounts: Fleet) -> None:
    """Each account stays below it; both together do not, whatever options and settings allow."""
    chosen = (*BOTH, "--auto-approve")
    assert accounts("apply", *chosen).code == 0
    accounts.workspace.replace("_shared/relay.yaml", "spec:\n", "spec:\n  enabled: false\n")
    accounts.workspace.change(
        "[accounts.good]", "[fleet]\nbudget = {monitors = 99, percent = 100}\n[accounts.good]"
    )
    ceiling = {"RECONCILER_BUDGET": "1"}
    plan = accounts("plan", *BOTH, env=ceiling).expect(0)
    assert plan.out.splitlines()[-1] == (
        "Coverage: 2 monitors lose monitoring; over the hard limit of 1 (RECONCILER_BUDGET) for all"
        " accounts: apply refuses all of them, and no option allows it"
    )
    as_json = accounts("plan", *BOTH, "--json", env=ceiling).json
    assert (as_json["budget"], as_json["over_budget"]) == (1, True)
    said = "(good 1, other 1), and RECONCILER_BUDGET is 1: nothing is applied"
    for flags in ((), ("--allow-loss", "2")):
        accounts("apply", *chosen, *flags, env=ceiling).expect(5, err=said)
    assert not accounts.good.requests("PATCH")
    assert accounts("apply", *chosen, env={"RECONCILER_BUDGET": "2"}).code == 0


def test_the_budget_of_the_fleet_counts_over_attempts(accounts: Fleet) -> None:
    accounts.workspace.change(
        "[accounts.good]", "[fleet]\nbudget = {monitors = 1}\n[accounts.good]"
    )
    chosen = (*BOTH, "--auto-approve")
    assert accounts("apply", *chosen).code == 0
    number = accounts.relay(accounts.other)
    accounts.other.edit("email-smtp", number, enabled=False)
    accounts.workspace.replace("_shared/relay.yaml", "spec:\n", "spec:\n  enabled: false\n")
    assert accounts("apply", *chosen, "--results", "out").code == 0
    (accounts.workspace.root / "out" / "other.apply.json").unlink()  # as if its machine was lost
    accounts.other.edit("email-smtp", number, enabled=True)
    refused = accounts("apply", *chosen, "--results", "out")
    assert (refused.code, accounts.other.requests("PATCH")[2:]) == (5, [])


@pytest.mark.parametrize("option", ["--changed-since", "--results"])
def test_an_option_that_a_pipeline_leaves_empty_is_not_taken_for_all(
    accounts: Fleet, option: str
) -> None:
    said = f"{option} is empty"
    accounts("apply", "--all-accounts", option, "", "--auto-approve").expect(64, err=said)
    assert accounts.good.requests() == []


def test_what_has_changed_says_who_is_meant(accounts: Fleet, git: Git) -> None:
    root = accounts.workspace.root
    (root / ".gitignore").write_text(".reconciler/\n", encoding="utf-8")
    accounts.workspace.write("_linked/relay.yaml", manifest("email-smtp", "linked"))
    (root / "monitors" / "down" / "linked.yaml").symlink_to("../_linked/relay.yaml")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "first")):
        git(root, *words)
    env = {"GIT_CONFIG_NOSYSTEM": "1"}

    def changed() -> list[str]:
        done = accounts("validate", "--changed-since", "HEAD", "--json", env=env).expect(0)
        return sorted(statuses(done)) if done.out and "accounts" in done.json else []

    assert changed() == []
    accounts.workspace.replace("good/own.yaml", "Own of good", "Mine")
    assert "Valid: 2 manifests" in accounts("validate", "--changed-since", "HEAD", env=env).err
    accounts.workspace.write("other/more.yaml", manifest("email-smtp", "more", name="More"))
    assert changed() == ["good", "other"]
    accounts.workspace.replace("_linked/relay.yaml", "Monitor", "Another")
    assert changed() == ["down", "good", "other"]
    accounts.workspace.replace("_shared/relay.yaml", "587", "25")
    assert changed() == ["down", "good", "locked", "other"]


def test_a_path_to_be_checked_means_its_accounts(accounts: Fleet) -> None:
    accounts.workspace.write("nobody/relay.yaml", "name: [\n")
    root = accounts.workspace.root
    four = ["down", "good", "locked", "other"]
    for path in ("monitors", ".", str(root / "monitors"), "monitors/_shared"):
        assert sorted(statuses(accounts("validate", path, "--json"))) == four
    accounts("validate", "monitors/nobody", "monitors/good/own.yaml").expect(
        64, err="monitors/nobody is not in the folder of any account"
    )
    for chosen in ((), ("-a", "good")):
        done = accounts("validate", "monitors/good/missing.yaml", *chosen)
        assert (done.code, "there is no such file or folder" in done.err) == (3, True)


def test_a_file_for_each_account(accounts: Fleet) -> None:
    refused = accounts("plan", *BOTH, "--out", "plan.json")
    assert (refused.code, "several accounts cannot share plan.json" in refused.err) == (64, True)
    accounts("report", *BOTH, "-o", "html").expect(64, err="NAME=FILE with {account} in the name")
    accounts("list", *BOTH, "-o", "csv").expect(64, err="\nUse json, or select one account with")
    accounts(
        *("plan", *BOTH, "--out", "{account}.json", "--format", "html={account}.html"),
        *("--format", "markdown=plan.md", "--results", "results"),
    ).expect(0)
    root = accounts.workspace.root
    assert {path.name for path in root.iterdir()} >= {"good.json", "other.html", "plan.md"}
    shown = (root / "plan.md").read_text(encoding="utf-8")
    assert shown.startswith("**2 accounts: 2 planned.**\n")
    assert shown.count("<details>") == 2
    kept = json.loads((root / "results" / "good.plan.json").read_text())
    assert kept["account"] == "good"
    logins = len(accounts.good.requests())
    again = accounts("plan", *BOTH, "--out", "{account}.json", "--results", "results")
    assert "is the result of a different run" in again.err
    assert len(accounts.good.requests()) == logins
    assert accounts("apply", "good.json").code == 0
    assert accounts("apply", "other.json", "-a", "good").code == 5


def test_a_folder_that_cannot_be_read_stays_within_its_account(accounts: Fleet) -> None:
    root = accounts.workspace.root
    shutil.rmtree(root / "monitors" / "other")
    (root / "monitors" / "good" / "gone.yaml").symlink_to("nowhere.yaml")
    chosen = (*BOTH, "--results", "results")
    done = accounts("plan", *chosen).expect(3)
    assert "Put the manifests of the account other there" in done.out + done.err
    assert "monitors/good/gone.yaml:1:1: unreadable: cannot read the file" in done.out + done.err


def test_a_result_that_is_there_is_not_made_again(accounts: Fleet) -> None:
    chosen = (*BOTH, "--results", "results")
    assert accounts("plan", *chosen).code == 0
    logins = len(accounts.good.requests())
    again = accounts("plan", *chosen, "--json")
    assert "results/good.plan.json" in accounts("plan", *chosen).out
    assert len(accounts.good.requests()) == logins
    assert again.code == 3


@pytest.mark.parametrize("command", [("plan",), ("apply", "--auto-approve")])
def test_what_went_wrong_is_done_again(accounts: Fleet, command: tuple[str, ...]) -> None:
    own = '[accounts.other]\npassword = {env = "WRONG_PASSWORD"}'
    accounts.workspace.change("[accounts.other]", own)
    asked = (*command, *BOTH, "--results", "results")
    assert accounts(*asked).code == 7
    logins = len(accounts.good.requests())
    right = {"WRONG_PASSWORD": PASSWORD}
    assert accounts(*asked, env=right).code == 0
    assert accounts(*asked).code == 0  # by now it is there, whatever the password is
    assert accounts("merge", "results", *BOTH).code == 0
    assert len(accounts.good.requests()) == logins


@pytest.mark.parametrize("command", [("history",), ("state", "list"), ("status",), ("plan",)])
def test_nothing_is_told_from_the_state_of_another_account(
    accounts: Fleet, command: tuple[str, ...]
) -> None:
    assert accounts("apply", "-a", "good", "--auto-approve").code == 0
    folder = accounts.workspace.root / ".reconciler"
    (folder / "good").rename(folder / "other")
    refused = accounts(*command, "-a", "other")
    assert (refused.code, refused.out) == (8, "")
    assert "state.json is the state of" in refused.err


def test_a_single_state_is_taken_over_by_one_command(accounts: Fleet, run: Run) -> None:
    root = accounts.workspace.root
    settings = (root / "reconciler.toml").read_text(encoding="utf-8")
    (root / "reconciler.toml").unlink()
    for name in ("good", "other", "down", "locked"):
        if name != "good":
            (root / "monitors" / name / "own.yaml").unlink()
    assert run("apply", "--auto-approve", env=accounts.good.env).code == 0
    (root / "reconciler.toml").write_text(settings, encoding="utf-8")
    refused = accounts("plan", "-a", "good", "--state", "file:.reconciler/state.json")
    assert refused.code == 8
    assert (
        f"but this run uses good ({accounts.good.url})\nEach account has its own state. To "
        "transfer one, run: reconciler state migrate\n"
    ) in refused.err
    accounts("state", "migrate", "good").expect(0, err="is the state of good")
    assert "No changes" in accounts("plan", "-a", "good").out
    assert "apply" in accounts("history", "-a", "good").out
    assert accounts("state", "migrate", "other").code == 8
    assert accounts("state", "migrate", "good").code == 0


def test_reports_and_comments_of_accounts_that_are_not_all_there(accounts: Fleet) -> None:
    assert accounts("apply", "--all-accounts", "--auto-approve").code == 7
    drift = accounts("drift", "--json")
    assert (drift.code, statuses(drift)["good"], statuses(drift)["down"]) == (7, "done", "failed")
    report = accounts("report", "--format", "html={account}.html", "--json")
    assert (report.code, statuses(report)["other"]) == (7, "done")
    root = accounts.workspace.root
    assert (root / "good.html").exists()
    assert not (root / "down.html").exists()
    accounts.workspace.replace("_shared/relay.yaml", "587", "25")
    accounts("plan", "--out", "plan-{account}.json", "--format", "markdown=plan.md")
    plans = ("plan-good.json", "plan-other.json")
    with platforms.serving(GitHub()) as platform:
        for arguments in (plans, (*plans, "--file", "plan.md")):
            accounts("comment", "--platform", "github", *arguments, env=platform.env).expect(0)
        (only,) = platform.comments
        assert "account=all" in only["body"]
        assert "**4 accounts: 2 failed, 2 planned.**" in only["body"]
        assert "| down | failed |" in only["body"]
        assert set(platform.labels) == {"monitoring:changes", "monitoring:loss"}


def test_one_approval_is_for_all(accounts: Fleet, terminal: Terminals) -> None:
    shown = terminal("apply", *BOTH, env=ENV)
    shown.wait_for('Apply these changes to 2 accounts? Only "yes" is accepted')
    assert not [call for call in accounts.good.calls() if call.startswith("POST /monitors")]
    shown.type("yes\n")
    assert shown.finish() == 0
    assert shown.screen.count("Account good") == 2
    planned, applied = shown.screen.split("Apply these changes", 1)
    assert "2 accounts: 2 planned." in planned
    assert "2 accounts: 2 done." in applied


def test_a_plan_that_is_another_one_by_then_is_refused(
    accounts: Fleet, terminal: Terminals
) -> None:
    accounts("apply", *BOTH, "--auto-approve")
    accounts.workspace.replace("_shared/relay.yaml", "587", "25")
    shown = terminal("apply", *BOTH, env=ENV)
    shown.wait_for("Only")
    accounts.other.edit("email-smtp", accounts.relay(accounts.other), port=26)
    shown.type("yes\n")
    assert shown.finish() == 7
    assert "the plan differs from the approved one" in shown.screen
    assert len(accounts.good.patches()) == 1
    assert len(accounts.other.patches()) == 1  # by hand


def _settle(workspace: Workspace, **accounts: Account) -> None:
    """Manifests and settings of accounts, which may have one login."""
    settings = SETTINGS.partition("[accounts.good]")[0].format().replace('"monitors/_shared", ', "")
    for name, account in accounts.items():
        workspace.write(f"{name}/own.yaml", manifest("email-smtp", name, name=name))
        settings += f'[accounts.{name}]\nurl = "{account.url}"\n'
    workspace.settings(settings)


def test_an_interrupted_apply_starts_no_account_more(
    start: Start, workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(faults=["POST /monitors/* delay=1"])
    _settle(workspace, a=account, b=account)
    workspace.change("[accounts.a]", "[fleet]\nparallelism = 1\n[accounts.a]")
    process = start("apply", "--all-accounts", "--auto-approve", "--json", env=ENV)
    journals = workspace.root / ".reconciler" / "a"
    while not list(journals.glob("*journal*")):  # from now on something may have been sent
        assert process.popen.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)  # an answer takes a second
    done = process.finish(signal.SIGINT)
    assert (done.code, done.json["interrupted"]) == (130, True)
    assert statuses(done)["b"] == "not-started"
    assert len([call for call in account.calls() if call.startswith("POST /monitors")]) <= 1


def test_an_account_that_was_interrupted_before_its_requests_has_not_failed(
    start: Start, workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(faults=["GET /monitors delay=1"])
    _settle(workspace, a=account, b=account)
    words = ("apply", "--all-accounts", "--auto-approve", "--json", "--results", "results")
    process = start(*words, env=ENV)
    state = workspace.root / ".reconciler"
    while not list(state.rglob("*.guard")):  # both are planned, and one is looked at again
        assert process.popen.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)  # an answer takes a second
    done = process.finish(signal.SIGINT)
    assert (done.code, done.json["interrupted"]) == (130, True)
    assert set(statuses(done).values()) <= {"interrupted", "not-started"}
    assert not (workspace.root / "results").exists()


def test_an_account_is_asked_at_its_rate(accounts: Fleet, hurried: Clock) -> None:
    accounts.workspace.change("[accounts.good]", '[accounts.good]\nrate = "1/m"')
    began = hurried.monotonic()
    assert accounts("plan", "-a", "good", clock=hurried).code == 0
    assert 59 < hurried.monotonic() - began < 90  # a login, and a minute later the list


def test_an_import_goes_to_the_folder_of_each_account(accounts: Fleet, sandbox: Sandbox) -> None:
    root = accounts.workspace.root
    one, two = (
        sandbox(monitor("email-pop", number, name=name))
        for number, name in ((8, "one"), (9, "two"))
    )
    settings = SETTINGS.format(good=one.url, other=two.url)
    (root / "reconciler.toml").write_text(settings, encoding="utf-8")
    (root / "monitors" / "good" / "own.yaml").unlink()
    (root / "monitors" / "other" / "own.yaml").unlink()
    accounts("import", *BOTH).expect(0)
    assert (root / "monitors" / "good" / "email-pop" / "one.yaml").exists()
    assert (root / "monitors" / "other" / "email-pop" / "two.yaml").exists()


def test_what_is_staged_is_planned_for_the_account_that_it_is_of(
    accounts: Fleet, sandbox: Sandbox
) -> None:
    one = sandbox(monitor("email-pop", 8, name="one"), monitor("email-pop", 9, name="two"))
    settings = SETTINGS.format(good=one.url, other=accounts.other.url)
    accounts.workspace.settings(settings)
    for path in (accounts.workspace.root / "monitors").rglob("*.yaml"):
        path.unlink()
    said = "Plan after import: no changes. 2 unchanged."
    staged = accounts("import", "-a", "good", "--into", "staging/{account}").expect(0, out=said)
    assert "move the new files into the manifest folder first" in staged.err + staged.out
    said = "several accounts cannot share staging"
    accounts("import", *BOTH, "--into", "staging").expect(64, err=said)


def test_accounts_share_manifests_with_variables_and_overrides(accounts: Fleet) -> None:
    accounts.workspace.change("[defaults]", '[defaults]\nvars = {port = 25, site = "x"}')
    own = '[accounts.good]\nvars = {site = "good.example"}'
    accounts.workspace.change("[accounts.good]", own)
    accounts.workspace.replace("_shared/relay.yaml", "port: 587", 'port: "${port}"')
    accounts.workspace.replace("_shared/relay.yaml", "mail.example.com", "mail.${site}")
    accounts.workspace.write(
        "other/override.yaml",
        "apiVersion: reconciler/v1\nkind: Override\naddress: email-smtp/relay\nspec: {port: 465}\n",
    )
    done = accounts("apply", "--all-accounts", "--auto-approve", "--json")
    assert (done.code, statuses(done)["good"], statuses(done)["other"]) == (7, "done", "done")
    fields = {}
    for name in ("good", "other"):
        account = accounts.good if name == "good" else accounts.other
        live = account.live(accounts.relay(account))
        fields[name] = (live["hostname"], live["port"])
    assert fields == {"good": ("mail.good.example", 25), "other": ("mail.x", 465)}
    assert accounts("validate", "-a", "other", "monitors/other/override.yaml").code == 0
    assert "465" in accounts("render", "email-smtp/relay", "-a", "other").out
    assert "No changes" in accounts("plan", "-a", "good").out


def test_the_first_is_told_before_the_last_is_planned(
    start: Start, workspace: Workspace, sandbox: Sandbox
) -> None:
    quick, slow = sandbox(), sandbox(faults=["GET /monitors delay=1"])
    _settle(workspace, a=quick, b=slow)
    process = start("plan", env=ENV)
    assert "email-smtp/a" in process.read_until("email-smtp/a", stream="stdout")
    assert not [call for call in slow.calls() if call.startswith("GET /monitors")]
    assert "email-smtp/b" in process.finish().out


def test_a_check_of_what_a_run_needs_is_about_one_account(accounts: Fleet) -> None:
    done = accounts("doctor")
    assert (done.code, done.out) == (64, "")
    assert "Select it with --account: down, good, locked, other" in done.err
    assert "FAIL" not in accounts("doctor", "-a", "good").out


def test_an_account_without_its_folder_is_told_where_its_manifests_belong(accounts: Fleet) -> None:
    root = accounts.workspace.root
    shutil.rmtree(root / "monitors" / "other")
    for command in ("validate", "plan"):
        said = "Put the manifests of the account other there"
        accounts(command, "-a", "other").expect(3, err=said)


def test_a_login_that_is_not_there_is_asked_for_by_its_source(accounts: Fleet) -> None:
    said = "It comes from env:LOGIN_NAME: set that"
    accounts("plan", "-a", "good", env={"LOGIN_NAME": ""}).expect(3, err=said)


def test_a_command_for_one_of_many_accounts_names_the_first(workspace: Workspace, run: Run) -> None:
    tables = [f'[accounts.a{number:02}]\ntoken = {{env = "TOKEN"}}\n' for number in range(60)]
    workspace.settings("".join(tables))
    said = "there are 60 accounts, but this command uses only one\n"
    done = run("why", "email-smtp/a").expect(64, err=said)
    assert done.err.endswith(", a18, a19 and 40 more\n")


@pytest.mark.parametrize(
    "command",
    [
        ("plan",),
        ("plan", "--json"),
        ("plan", "--results", "results"),
        ("list",),
        ("list", "--json"),
        ("report", "--json"),
    ],
    ids=" ".join,
)
def test_the_secret_of_one_account_is_not_shown_in_another_one(
    accounts: Fleet, command: tuple[str, ...]
) -> None:
    settings = accounts.workspace.root / "reconciler.toml"  # one after the other: `good` first
    settings.write_text(f"{settings.read_text()}\n[fleet]\nparallelism = 1\n")
    secret = "s3cret-of+good"
    extra = {"pop3_password": {"secretRef": {"env": "MAILBOX"}}}
    accounts.workspace.write("good/box.yaml", manifest("email-pop", "box", extra=extra))
    accounts.other.create("email-smtp", name=f"Box {secret}", locations=[{"id": 72}])
    done = accounts(
        *command, *BOTH, env={"MAILBOX": secret, "RECONCILER_SECRET_KEY": "k" * 32}
    ).expect(0)
    shown = done.out + done.err
    for file in accounts.workspace.root.glob("results/**/*"):
        shown += file.read_text(encoding="utf-8") if file.is_file() else ""
    assert "(secret)" in shown
    assert secret not in shown
