"""Monitors without a manifest, lifecycle and former names, down to the requests."""

import threading
from typing import Any

import pytest
from e2e.conftest import Account, Done, Fleet, Sandbox, Workspace, manifest, monitor

_APPLY = ("apply", "--auto-approve")
_PRUNE = (*_APPLY, "--prune")
_SMTP = "email-smtp"


class Fleet:
    """One sandbox, its manifests in a file each, and runs against it."""

    def __init__(self, workspace: Workspace, sandbox: Sandbox) -> None:
        self.workspace = workspace
        self._sandbox = sandbox
        self.account: Account
        self._seen = 0

    def write(
        self,
        name: str,
        number: int | None = None,
        /,
        *,
        kind: str = _SMTP,
        tail: str = "",
        **spec: Any,
    ) -> None:
        text = manifest(kind, name, number, **{"name": name.title(), **spec})
        self.workspace.write(f"{name}.yaml", text + tail)

    def remove(self, *names: str) -> None:
        for name in names:
            self.workspace.remove(f"{name}.yaml")

    def begin(self, *names: str, faults: tuple[str, ...] = (), **options: Any) -> None:
        """Manifests and monitors 1, 2, … of these names, applied once."""
        seed = []
        for number, name in enumerate(names, 1):
            if not (self.workspace.root / "monitors" / f"{name}.yaml").exists():
                self.write(name, number)
            seed.append(monitor(_SMTP, number, name=name.title(), enabled=True))
        self.account = self._sandbox(*seed, faults=faults, **options)
        assert self.run(*_APPLY).code == 0
        assert self.sent() == []

    def run(self, *arguments: str, **env: str) -> Done:
        return self.account.run(*arguments, env=env)

    def sent(self) -> list[str]:
        """Method and path of what was written since the last time."""
        entries = [
            f"{entry['method']} {entry['path']}"
            for entry in self.account.requests()
            if entry["method"] != "GET" and entry["path"] != "/access-tokens"
        ]
        new, self._seen = entries[self._seen :], len(entries)
        return new

    def records(self) -> dict[str, Any]:
        """The records of the state, by address."""
        found: dict[str, Any] = self.workspace.state()["records"]
        return found


@pytest.fixture
def fleet(workspace: Workspace, sandbox: Sandbox) -> Fleet:
    return Fleet(workspace, sandbox)


class TestPruning:
    def test_an_orphan_is_listed_each_time_until_it_is_pruned(self, fleet: Fleet) -> None:
        fleet.begin("a", "b")
        fleet.remove("b")
        for command in (["plan"], list(_APPLY), ["plan", "--detailed-exitcode"]):
            fleet.run(*command).expect(0, out="email-smtp/b (id 2) orphan: no manifest")
        assert fleet.sent() == []
        plan = fleet.run("plan", "--prune", "--show-requests", "--detailed-exitcode")
        assert plan.code == 2
        assert (
            "- email-smtp/b (id 2): its manifest is gone\n      DELETE /monitors/2\n\n" in plan.out
        )
        assert "Coverage: 1 monitor loses monitoring (1 deleted); budget 2" in plan.out
        said = "Apply complete! Resources: 0 added, 0 changed, 1 destroyed."
        fleet.run(*_PRUNE).expect(0, out=said)
        assert fleet.sent() == ["DELETE /monitors/2"]
        assert fleet.records().keys() == {"email-smtp/a"}
        again = fleet.run(*_PRUNE)
        assert "No changes. 1 unchanged." in again.out
        assert fleet.sent() == []

    def test_an_orphan_is_listed_each_time_until_it_is_forgotten(self, fleet: Fleet) -> None:
        fleet.begin("one", "two", "three")
        fleet.remove("two", "three")
        fleet.account.delete(2)
        orphan = (
            "  . email-smtp/three (id 3) orphan: no manifest; left as it is. Retire it with "
            "--prune, or forget it with: reconciler state rm email-smtp/three\n"
        )
        gone = (
            "  . email-smtp/two (id 2) forgotten: its monitor is gone, has another type, or is "
            "bound to another address or account\n"
        )
        assert fleet.run("plan").out == f"{gone}{orphan}\nNo changes. 1 unchanged.\n"
        for _ in range(2):
            assert orphan in fleet.run(*_APPLY).out
        assert fleet.run("plan").out == f"{orphan}\nNo changes. 1 unchanged.\n"
        assert "orphan" not in fleet.run("plan", "--target", "*/one").out
        forgotten = fleet.run("state", "rm", "email-smtp/three")
        assert (forgotten.code, forgotten.err) == (0, "Forgot email-smtp/three.\n")
        assert fleet.run("plan").out == (
            "No changes. 1 unchanged.\n"
            "1 email monitor in AlertSite without a manifest: never touched.\n"
            "  Three (id 3)\n"
        )
        assert fleet.account.live(3)["name"] == "Three"

    def test_a_flag_keeps_addresses_and_globs(self, fleet: Fleet) -> None:
        fleet.begin("a", "b-1", "b-2", "c", "d")
        fleet.remove("b-1", "b-2", "c", "d")
        fleet.run(*_PRUNE, "--keep", "email-smtp/b-*", "--keep", "email-smtp/c").expect(0)
        assert fleet.sent() == ["DELETE /monitors/5"]
        assert fleet.records().keys() == {f"email-smtp/{name}" for name in ("a", "b-1", "b-2", "c")}

    def test_a_target_may_be_one_orphan(self, fleet: Fleet) -> None:
        fleet.begin("a", "b", "c")
        fleet.remove("b", "c")
        fleet.run(*_PRUNE, "--target", "email-smtp/c").expect(0, out="1 destroyed")
        assert fleet.sent() == ["DELETE /monitors/3"]
        said = "matches no manifest and no orphan"
        fleet.run(*_PRUNE, "--target", "email-smtp/c").expect(64, err=said)

    def test_deletes_come_last_and_one_by_one(self, fleet: Fleet) -> None:
        busy, most, lock = 0, 0, threading.Lock()

        def witness(moment: str, method: str, _path: str) -> None:
            nonlocal busy, most
            with lock:
                busy += {"before": 1, "after": -1}.get(moment, 0) * (method == "DELETE")
                most = max(most, busy)

        names = ["a", "b", "c", *(f"gone-{number}" for number in range(6))]
        fleet.begin(*names, faults=("DELETE * delay=0.05",), witness=witness)
        fleet.remove(*names[3:])
        for number, name in enumerate("abc", 1):
            fleet.write(name, number, port=587)
        fleet.write("new", kind="email-imap")
        done = fleet.run(*_PRUNE, "--parallelism", "8", "--allow-loss", "9", "--json").expect(0)
        sent = fleet.sent()
        assert sorted(sent[:4]) == [
            *(f"PATCH /monitors/email-smtp/{number}" for number in (1, 2, 3)),
            "POST /monitors/email-imap",
        ]
        assert sent[4:] == [f"DELETE /monitors/{number}" for number in range(4, 10)]
        assert most == 1
        assert done.json["summary"]["done"] == 10

    def test_a_failed_change_keeps_everything_from_being_retired(self, fleet: Fleet) -> None:
        fault = "PATCH /monitors/email-smtp/1 status=400 times=1"
        fleet.begin("a", "b", "c", faults=(fault,))
        fleet.remove("b", "c")
        fleet.write("a", 1, port=587)
        said = "email-smtp/b not started: monitors are only retired when all other"
        fleet.run(*_PRUNE).expect(7, out=said)
        assert fleet.sent() == ["PATCH /monitors/email-smtp/1"]
        assert fleet.records().keys() == {"email-smtp/a", "email-smtp/b", "email-smtp/c"}
        assert fleet.run(*_PRUNE).code == 0
        assert fleet.sent() == [
            "PATCH /monitors/email-smtp/1",
            "DELETE /monitors/2",
            "DELETE /monitors/3",
        ]

    @pytest.mark.parametrize(
        ("fault", "attempts"),
        [
            ("drop=before times=1", 2),
            ("drop=after times=1", 2),  # then it is gone: the second one hears 404
            ("status=503 retry-after=0 times=2", 3),
            ("status=429 retry-after=0 times=1", 2),
        ],
    )
    def test_a_delete_is_repeated(self, fault: str, attempts: int, fleet: Fleet) -> None:
        fleet.begin("a", "b", faults=(f"DELETE * {fault}",))
        fleet.remove("b")
        fleet.run(*_PRUNE).expect(0, out="1 destroyed")
        assert fleet.sent() == ["DELETE /monitors/2"] * attempts
        assert fleet.records().keys() == {"email-smtp/a"}

    def test_one_that_fails_is_said_and_finished_by_the_next_run(self, fleet: Fleet) -> None:
        fleet.begin("a", "b", "c", faults=("DELETE /monitors/2 status=503 retry-after=0 times=5",))
        fleet.remove("b", "c")
        done = fleet.run(*_PRUNE)
        assert done.code == 7
        assert "! email-smtp/b failed: " in done.out
        assert "1 destroyed. Of 2 changes: 1 done, 1 failed. Run the same command" in done.out
        assert fleet.records().keys() == {"email-smtp/a", "email-smtp/b"}
        assert fleet.run(*_PRUNE).code == 0
        assert fleet.sent() == ["DELETE /monitors/2"] * 5 + [
            "DELETE /monitors/3",
            "DELETE /monitors/2",
        ]

    def test_one_that_somebody_else_deleted_meanwhile_is_done(self, fleet: Fleet) -> None:
        def witness(moment: str, method: str, path: str) -> None:
            if (moment, method, path) == ("before", "PATCH", "/monitors/email-smtp/1"):
                fleet.account.delete(2)

        fleet.begin("a", "b", witness=witness)
        fleet.remove("b")
        fleet.write("a", 1, port=587)
        fleet.run(*_PRUNE).expect(0, out="1 changed, 1 destroyed")
        assert [entry["status"] for entry in fleet.account.requests("DELETE")] == [204, 404]

    def test_a_whole_fleet_can_be_retired_and_the_state_ends_empty(self, fleet: Fleet) -> None:
        fleet.begin("a", "b", "c", "d")
        fleet.remove("a", "b", "c", "d")
        fleet.run(*_PRUNE, "--allow-empty").expect(0, out="4 destroyed")
        assert fleet.records() == {}
        said = "monitors: there are no manifests (*.yaml, *.yml) here, and the state"
        fleet.run("plan").expect(3, err=said)

    def test_a_plan_without_manifests_says_what_apply_needs(self, fleet: Fleet) -> None:
        fleet.begin("a")
        fleet.remove("a")
        done = fleet.run("plan", "--prune").expect(0)
        warning = (
            "Warning: monitors: there are no manifests, but the state has 1 monitor. Check the "
            "folder; apply refuses this without --allow-empty.\n"
        )
        assert done.err.endswith(warning)
        done = fleet.run("plan")
        assert (done.code, done.err.endswith(warning)) == (0, True)
        assert "email-smtp/a (id 1) orphan: no manifest; left as it is\n" in done.out
        said = "there are no manifests, but the state has 1 monitor: nothing"
        fleet.run(*_PRUNE).expect(5, err=said)

    def test_offline_a_plan_shows_the_same(self, fleet: Fleet) -> None:
        fleet.begin("a", "b")
        fleet.remove("b")
        said = "- email-smtp/b (id 2): its manifest is gone"
        fleet.run("plan", "--offline", "--prune").expect(0, out=said)


class TestSavedPlans:
    def save(self, fleet: Fleet, *flags: str) -> None:
        assert fleet.run("plan", "--out", "plan.json", "--prune", *flags).code == 0

    def test_a_saved_plan_deletes_what_it_shows(self, fleet: Fleet) -> None:
        fleet.begin("a", "b", "c")
        fleet.remove("b", "c")
        self.save(fleet, "--keep", "email-smtp/c")
        assert "- email-smtp/b (id 2)" in fleet.run("show", "plan.json").out
        fleet.run("apply", "plan.json").expect(0)
        assert fleet.sent() == ["DELETE /monitors/2"]
        fleet.run("apply", "plan.json").expect(0, err="1 change of the plan was already made.")
        assert fleet.sent() == []

    def test_nothing_is_retired_when_something_has_moved(self, fleet: Fleet) -> None:
        fleet.begin("a", "b", "c")
        fleet.remove("c")
        fleet.write("a", 1, port=587)
        fleet.write("b", 2, port=587)
        self.save(fleet)
        fleet.account.edit(_SMTP, 1, port=465)
        done = fleet.run("apply", "plan.json")
        assert done.code == 7
        assert "email-smtp/a moved: port changed in AlertSite" in done.out
        assert "email-smtp/c not started: monitors are only retired when all" in done.out
        assert "Make a new plan for what has changed meanwhile." in done.out
        assert fleet.sent()[1:] == ["PATCH /monitors/email-smtp/2"]

    def test_its_flags_cannot_be_changed_later(self, fleet: Fleet) -> None:
        fleet.begin("a", "b")
        fleet.remove("b")
        self.save(fleet)
        for flag in (["--prune"], ["--keep", "*"]):
            fleet.run("apply", "plan.json", *flag).expect(64, err="have no effect on a saved plan")
        fleet.write("a", 1, tail="lifecycle: {protect: true}\n")
        assert "changed since the plan was made" in fleet.run("apply", "plan.json").err
        assert fleet.sent() == []


class TestLifecycle:
    def test_protection_outlives_the_manifest(self, fleet: Fleet) -> None:
        fleet.write("a", 1, tail="lifecycle: {protect: true}\n")
        fleet.begin("a", "b", "c")
        assert fleet.records()["email-smtp/a"]["protect"] is True
        fleet.remove("a", "b")
        assert "email-smtp/a (id 1) orphan" in fleet.run("plan").out
        for command in (["plan", "--prune"], list(_PRUNE)):
            done = fleet.run(*command)
            assert done.code == 5
            assert "! email-smtp/a refused: the manifest of monitor 1 is gone" in done.out
            assert "--keep email-smtp/a" in done.out
            assert "reconciler state rm email-smtp/a" in done.out
        assert fleet.sent() == []
        assert fleet.run(*_PRUNE, "--keep", "email-smtp/a").code == 0
        assert fleet.sent() == ["DELETE /monitors/2"]
        assert fleet.run("state", "rm", "email-smtp/a").code == 0
        said = "1 email monitor in AlertSite without a manifest: never touched."
        fleet.run(*_PRUNE).expect(0, out=said)
        assert fleet.sent() == []

    def test_protection_is_lifted_by_applying_it_so(self, fleet: Fleet) -> None:
        fleet.write("a", 1, tail="lifecycle: {protect: true}\n")
        fleet.begin("a", "b")
        fleet.write("a", 1, tail="lifecycle: {protect: false}\n")
        done = fleet.run(*_APPLY)
        assert "No changes. 2 unchanged." in done.out
        assert "protect" not in fleet.records()["email-smtp/a"]
        fleet.remove("a")
        assert fleet.run(*_PRUNE).code == 0
        assert fleet.sent() == ["DELETE /monitors/1"]

    def test_retire_disable_disables_and_keeps_the_record(self, fleet: Fleet) -> None:
        fleet.write("a", 1, tail="lifecycle: {retire: disable}\n")
        fleet.begin("a", "b")
        fleet.remove("a")
        plan = fleet.run("plan", "--prune")
        assert "~ email-smtp/a (id 1): retired: its manifest is gone; disabled and kept" in plan.out
        fleet.run(*_PRUNE).expect(0)
        assert fleet.account.patches() == [("/monitors/email-smtp/1", {"enabled": False})]
        record = fleet.records()["email-smtp/a"]
        assert (record["retire"], record["fields"]["enabled"]) == ("disable", False)
        again = fleet.run(*_PRUNE)
        assert "No changes. 1 unchanged." in again.out
        assert "email-smtp/a (id 1) orphan" in again.out
        assert len(fleet.account.patches()) == 1
        assert fleet.run("drift").code == 0

    def test_an_ignored_field_is_left_until_its_day(self, fleet: Fleet) -> None:
        item = "{field: port, reason: a migration, until: 2999-12-31}"
        fleet.begin("a")
        fleet.write("a", 1, port=587, timeout=30, tail=f"lifecycle: {{ignore: [{item}]}}\n")
        fleet.account.edit(_SMTP, 1, port=2525)
        done = fleet.run(*_APPLY)
        assert "ignored: port is not as in AlertSite" in done.out
        assert fleet.account.patches()[1:] == [("/monitors/email-smtp/1", {"timeout": 30})]
        assert "port" not in fleet.records()["email-smtp/a"]["fields"]
        fleet.workspace.replace("a.yaml", "field: port", "field: note")
        said = "line=12,col=30,title=ignored-field::the manifest does not set note"
        fleet.run("validate", "--format", "github").expect(3, out=said)

    def test_after_its_day_it_is_compared_again_with_a_warning(self, fleet: Fleet) -> None:
        item = "{field: port, reason: a migration, until: 2026-01-01}"
        fleet.begin("a", "b")
        fleet.write("a", 1, port=587, tail=f"lifecycle: {{ignore: [{item}]}}\n")
        fleet.account.edit(_SMTP, 1, port=2525)
        warning = (
            "monitors/a.yaml:11:64: warning: expired-ignore: port is compared again, as it was "
            "ignored only until 2026-01-01 (a migration); remove this, or set a later day\n"
        )
        fleet.run("plan").expect(0, out="port: 2525 → 587", err=warning)
        checked = fleet.run("validate")
        assert (checked.code, checked.out) == (0, warning)
        assert fleet.run("validate", "--lint", "--strict").code == 3
        assert fleet.run("validate", "--format", "github").out.startswith("::warning file=")
        assert (
            fleet.run("validate", "--format", "json").json["findings"][0]["severity"] == "warning"
        )
        fleet.run(*_APPLY, "--target", f"{_SMTP}/b").expect(0, err=warning)
        assert fleet.run(*_APPLY).code == 0
        assert fleet.account.live(1)["port"] == 587

    def test_drift_leaves_out_what_the_last_apply_ignored(self, fleet: Fleet) -> None:
        fleet.begin("a")
        fleet.write("a", 1, port=587)
        assert fleet.run(*_APPLY).code == 0
        item = "{field: port, reason: a migration, until: 2999-12-31}"
        fleet.write("a", 1, port=587, tail=f"lifecycle: {{ignore: [{item}]}}\n")
        assert fleet.run(*_APPLY).code == 0
        assert fleet.records()["email-smtp/a"]["ignore"] == {"port": "2999-12-31"}
        fleet.account.edit(_SMTP, 1, port=2525)
        assert fleet.run("drift").code == 0
        fleet.account.edit(_SMTP, 1, name="Moved")
        found = fleet.run("drift", "--json").expect(2)
        fields = found.json["monitors"][0]["fields"]
        assert [field["field"] for field in fields] == ["name"]
        fleet.write("a", 1, port=587)
        assert fleet.run(*_APPLY).code == 0
        assert "ignore" not in fleet.records()["email-smtp/a"]


class TestReplacing:
    def change(self, fleet: Fleet) -> None:
        fleet.begin("a", "b")
        fleet.write("a", kind="email-imap")

    def test_the_new_one_is_created_before_the_old_one_is_deleted(self, fleet: Fleet) -> None:
        self.change(fleet)
        done = fleet.run(*_PRUNE)
        assert done.code == 0
        assert "+ email-imap/a (monitors/a.yaml:1): replacement, created first" in done.out
        assert "- email-smtp/a (id 1): replaced, deleted last" in done.out
        assert fleet.sent() == ["POST /monitors/email-imap", "DELETE /monitors/1"]
        assert fleet.records().keys() == {"email-imap/a", "email-smtp/b"}
        calls = fleet.account.calls()
        post = calls.index("POST /monitors/email-imap")
        assert "GET /monitors" in calls[post : calls.index("DELETE /monitors/1")]
        assert "No changes. 2 unchanged." in fleet.run("plan").out

    def test_without_pruning_the_old_one_is_left(self, fleet: Fleet) -> None:
        self.change(fleet)
        done = fleet.run(*_APPLY)
        assert "+ email-imap/a (monitors/a.yaml:1): replacement, created first" in done.out
        assert "email-smtp/a (id 1) orphan" in done.out
        assert fleet.sent() == ["POST /monitors/email-imap"]
        assert fleet.run(*_PRUNE).code == 0
        assert fleet.sent() == ["DELETE /monitors/1"]

    def test_while_the_new_one_is_not_there_the_old_one_stays(self, fleet: Fleet) -> None:
        fleet.begin("a", "b", faults=("POST /monitors/* status=400 times=1",))
        fleet.write("a", kind="email-imap")
        assert fleet.run(*_PRUNE).code == 7
        assert fleet.sent() == ["POST /monitors/email-imap"]
        assert fleet.account.live(1)["enabled"] is True
        assert fleet.run(*_PRUNE).code == 0
        assert fleet.sent() == ["POST /monitors/email-imap", "DELETE /monitors/1"]


class TestRenaming:
    def rename(self, fleet: Fleet, number: int | None = None, **spec: Any) -> None:
        fleet.remove("old")
        fleet.write("new", number, **{"name": "Old", **spec})
        fleet.workspace.replace("new.yaml", "metadata:\n", "metadata:\n  previously: [old]\n")

    @pytest.mark.parametrize("number", [None, 1])
    def test_the_record_moves_and_nothing_is_sent(self, number: int | None, fleet: Fleet) -> None:
        fleet.begin("old", "other")
        before = fleet.records()["email-smtp/old"]
        self.rename(fleet, number)
        for command in (["plan"], ["plan", "--offline"], [*_PRUNE]):
            fleet.run(*command).expect(
                0, out=("= email-smtp/new (id 1) renamed: it was old", "No changes. 2 unchanged.")
            )
        assert fleet.sent() == []
        records = fleet.records()
        assert records.keys() == {"email-smtp/new", "email-smtp/other"}
        assert records["email-smtp/new"] == {**before, "previously": ["old"]}
        later = fleet.run("plan")
        assert ". email-smtp/new (id 1) hint: metadata.previously (old) can be removed" in later.out

    def test_a_secret_is_not_sent_again(self, fleet: Fleet) -> None:
        key = {"RECONCILER_SECRET_KEY": "key", "NOTE": "hidden words"}
        secret = {"alert_note": {"secretRef": {"env": "NOTE"}}}
        fleet.begin("old")
        shown = '[secrets]\nfields = ["alert_note"]\n'
        fleet.workspace.settings(shown)
        fleet.write("old", 1, **secret)
        assert fleet.run(*_APPLY, **key).code == 0
        assert fleet.sent() == ["PATCH /monitors/email-smtp/1"]
        self.rename(fleet, **secret)
        assert "No changes. 1 unchanged." in fleet.run(*_APPLY, **key).out
        assert fleet.sent() == []
        assert "alert_note" in fleet.records()["email-smtp/new"]["secrets"]
        key["NOTE"] = "rotated"
        done = fleet.run("plan", **key)
        assert "alert_note: changed (source env:NOTE)" in done.out

    def test_a_change_at_the_same_time_is_one_patch(self, fleet: Fleet) -> None:
        fleet.begin("old", "other")
        self.rename(fleet, port=587)
        fleet.run(*_APPLY).expect(0)
        assert fleet.sent() == ["PATCH /monitors/email-smtp/1"]
        assert fleet.records()["email-smtp/new"]["fields"]["port"] == 587

    def test_what_is_not_targeted_keeps_its_record(self, fleet: Fleet) -> None:
        fleet.begin("old", "other")
        self.rename(fleet)
        fleet.run(*_PRUNE, "--target", "email-smtp/other").expect(0, out="1 not targeted")
        assert fleet.records().keys() == {"email-smtp/old", "email-smtp/other"}
        assert fleet.run(*_PRUNE, "--target", "email-smtp/new").code == 0
        assert fleet.records().keys() == {"email-smtp/new", "email-smtp/other"}
        assert fleet.sent() == []

    def test_with_both_names_there_the_new_one_is_a_new_monitor(self, fleet: Fleet) -> None:
        fleet.begin("old")
        fleet.write("new", tail="")
        fleet.workspace.replace("new.yaml", "metadata:\n", "metadata:\n  previously: [old]\n")
        said = ("+ email-smtp/new", "email-smtp/new hint: metadata.previously (old) can be removed")
        fleet.run(*_APPLY).expect(0, out=said)
        assert fleet.sent() == ["POST /monitors/email-smtp"]


def test_a_state_none_of_whose_monitors_is_there_is_of_another_account(fleet: Fleet) -> None:
    fleet.begin("a", "b", "c")
    for number in (1, 2, 3):
        fleet.account.delete(number)
    fleet.sent()
    for command in (["plan"], ["plan", "--prune"], [*_PRUNE]):
        done = fleet.run(*command)
        assert done.code == 5
        assert "none of the 3 monitors in the state is in this account" in done.err
        assert "reconciler state rm ADDRESS" in done.err
    assert fleet.sent() == []
    assert fleet.run("plan", "--offline").code == 0
    assert fleet.run("state", "rm", "email-smtp/a").code == 0
    fleet.write("a")
    done = fleet.run("plan", "--target", "email-smtp/a")
    assert "+ email-smtp/a" in done.out


@pytest.fixture
def orphaned(workspace: Workspace, sandbox: Sandbox) -> Account:
    """Two monitors that were applied; one has no manifest any more."""
    workspace.write("a.yaml", manifest("email-smtp", "stays", 1))
    workspace.write("b.yaml", manifest("email-smtp", "gone", 2))
    account = sandbox(monitor("email-smtp", 1), monitor("email-smtp", 2))
    assert account.apply().code == 0
    workspace.remove("b.yaml")
    return account


def settings(workspace: Workspace, text: str) -> None:
    """Sets what stands at the top of the project's file; the rest of it stays."""
    path = workspace.root / "reconciler.toml"
    rest = path.read_text() if path.exists() else ""
    path.write_text(text + rest[rest.find("[") :] if "[" in rest else text)


def test_prune_can_be_set_once_for_all(orphaned: Account, workspace: Workspace) -> None:
    settings(workspace, "prune = true\n")
    assert "1 to destroy" in orphaned.run("plan").out
    assert "No changes." in orphaned.run("plan", "--no-prune").out
    why = orphaned.run("why", "email-smtp/gone")
    assert "unless apply --prune" not in why.out
    assert orphaned.run("plan", "--out", "p.json").code == 0
    saved = workspace.json("p.json")
    assert saved["basis"]["prune"] is True
    assert orphaned.run("apply", "p.json", "--no-prune").code == 64
    settings(workspace, "prune = false\n")
    assert orphaned.run("apply", "p.json").code == 0
    assert [item["id"] for item in orphaned.monitors()] == [1]


def test_a_saved_plan_that_prunes_nothing_stays_so(orphaned: Account, workspace: Workspace) -> None:
    assert orphaned.run("plan", "--out", "p.json").code == 0
    settings(workspace, "prune = true\n")
    assert orphaned.run("apply", "p.json").code == 0
    assert [item["id"] for item in orphaned.monitors()] == [1, 2]
    assert orphaned.apply("--no-prune").code == 0
    assert len(orphaned.monitors()) == 2
    assert orphaned.apply().code == 0
    assert len(orphaned.monitors()) == 1


@pytest.mark.parametrize("value", ['"yes"', "1", "[]"])
def test_prune_is_a_switch(value: str, orphaned: Account, workspace: Workspace) -> None:
    settings(workspace, f"prune = {value}\n")
    orphaned.run("plan").expect(3, err="prune must be true or false")


class TestRenames:
    def rename(self, workspace: Workspace, **names: str) -> None:
        """Writes manifests by name; `new=old` says that `new` was called `old`."""
        texts = []
        for name, old in names.items():
            text = manifest(_SMTP, name, name=f"Monitor {old}", port=587)
            texts.append(
                text.replace(f"  name: {name}\n", f"  name: {name}\n  previously: [{old}]\n", 1)
                if old != name
                else text
            )
        workspace.write("all.yaml", "---\n".join(texts))

    @pytest.mark.parametrize(
        "names",
        [{"b": "a", "c": "b"}, {"a": "b", "b": "a"}, {"b": "a", "c": "b", "a": "c"}],
        ids=["chain", "swap", "cycle"],
    )
    def test_chains_and_swaps_are_one_permutation(
        self, names: dict[str, str], workspace: Workspace, sandbox: Sandbox
    ) -> None:
        olds = sorted(names.values())
        self.rename(workspace, **{name: name for name in olds})
        account = sandbox()
        assert account.apply().code == 0
        ids = workspace.bound()
        calls = len(account.requests("POST"))
        self.rename(workspace, **names)
        for _ in range(2):
            account.apply("--prune").expect(0, out="Resources: 0 added, 0 changed, 0 destroyed.")
            now = workspace.bound()
            assert now == {name: ids[old] for name, old in names.items()}
        posts = account.requests("POST")[calls:]
        assert all(entry["path"] == "/access-tokens" for entry in posts)

    def test_names_that_cross_exchange_no_new_monitors(
        self, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        """Each of two new manifests lists the other's name among its former ones."""
        texts = []
        for name, former in (("b", "c, a"), ("c", "a, b")):
            text = manifest(_SMTP, name, name=f"Monitor {name}")
            line = f"  name: {name}\n"
            texts.append(text.replace(line, f"{line}  previously: [{former}]\n", 1))
        workspace.write("all.yaml", "---\n".join(texts))
        account = sandbox()
        for _ in range(2):
            assert account.apply().code == 0
            names = {item["id"]: item["name"] for item in account.monitors()}
            assert {name: names[number] for name, number in workspace.bound().items()} == {
                "b": "Monitor b",
                "c": "Monitor c",
            }
