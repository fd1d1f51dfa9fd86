"""drift: what AlertSite changed; and what was never seen there, which is no drift."""

import errno
import os
import re
import shutil
import threading
import time
from pathlib import Path

import pytest
from e2e.conftest import Account, Relays, Sandbox, Workspace, files, manifest, monitor

from reconciler.context import SYSTEM
from reconciler.core import model
from reconciler.core.state import PendingCreate, State, record_from_json, to_text
from reconciler.sandbox import parse_world

from documents import check

_SMTP = "email-smtp"
_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
pytestmark = pytest.mark.usefixtures("hurried")


def _places(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


# drift


def test_drift_shows_what_alertsite_did_and_never_writes(
    workspace: Workspace, three: Account
) -> None:
    none = three.run("drift")
    assert (none.code, none.out) == (0, "No drift. 3 monitors as last applied.\n")
    workspace.replace("one.yaml", "port: 587", "port: 2525")  # Git is not asked
    three.edit("email-smtp", 2, port=465, locations=_places(20, 30))
    three.edit("email-smtp", 100001, x={"a": 1, "b": [2, 1]}, interval=60)
    three.delete(1)
    shutil.move(workspace.root / "monitors", workspace.root / "elsewhere")
    before, calls = files(workspace.root), len(three.calls())

    done = three.run("drift").expect(2)
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
    as_json = three.run("drift", "--json").expect(2)
    check(as_json.json, "drift")
    assert as_json.json["summary"] == {"drifted": 3, "lost": 2, "kept": 0}
    one, third, two = as_json.json["monitors"]
    assert (one["is_deleted"], one["fields"]) == (True, [])
    assert [field["field"] for field in third["fields"]] == ["x"]
    assert two["fields"][1] == {"field": "port", "applied": 587, "live": 465}

    said = "\nDrift: 2 of 2 monitors not as last applied.\n"
    three.run("drift", "--target", "email-smtp/t*").expect(2, out=said)
    gone = "GET /monitors/1"  # that it is gone is asked of AlertSite, not concluded from a list
    assert three.calls()[calls:] == [_LOGIN, _READ, gone] * 3
    assert files(workspace.root) == before


@pytest.mark.parametrize("target", ["email-smtp/nobody", "team=mail", "one"])
def test_drift_of_nothing_is_no_good_news(target: str, three: Account) -> None:
    said = f"--target {target} matches no record"
    done = three.run("drift", "--target", "*/one", "--target", target).expect(64, err=said)
    assert done.out == ""


def test_drift_before_anything_was_applied(workspace: Workspace, sandbox: Sandbox) -> None:
    done = sandbox().run("drift")
    assert (done.code, done.out) == (8, "")
    assert "file:.reconciler/state.json: there is no state to compare with" in done.err
    assert files(workspace.root).keys() == {"reconciler.toml"}


class TestSeen:
    @pytest.mark.parametrize("hurry", [(), ("--fail-fast", "--parallelism", "1")])
    def test_what_was_never_sent_hides_no_drift_and_undoes_no_hand(
        self, relays: Relays, workspace: Workspace, hurry: tuple[str, ...]
    ) -> None:
        account = relays(2)
        text = workspace.read("fleet.yaml")
        workspace.write("fleet.yaml", text.replace("port: 587", "port: 25"))
        account.apply()
        account.fail("PATCH * status=400")
        workspace.write("fleet.yaml", text.replace("port: 587", "port: 2587"))
        assert account.apply(*hurry).code == 7
        account.fail()
        workspace.write("fleet.yaml", text.replace("port: 587", "port: 25"))
        for number in (1, 2):
            account.edit("email-smtp", number, port=2587)
        assert account.run("drift").code == 2
        account.apply("--edits-only")
        assert account.ports() == {1: 2587, 2: 2587}

    def test_what_had_no_answer_and_comes_after_the_run_is_no_drift(
        self, relays: Relays, workspace: Workspace
    ) -> None:
        account = relays(2)
        assert account.apply().code == 0
        workspace.write("fleet.yaml", workspace.read("fleet.yaml").replace("587", "2587"))
        account.fail("PATCH * status=504")
        assert account.apply().code == 6
        account.fail()
        for number in (1, 2):  # what was on its way arrives
            account.edit("email-smtp", number, port=2587)
        assert account.run("drift").code == 0

    @pytest.mark.parametrize("status", [400, 504])
    def test_one_that_could_not_be_created_again_is_still_missing(
        self, status: int, sandbox: Sandbox, workspace: Workspace
    ) -> None:
        account = sandbox()
        for name in ("a", "b"):
            workspace.describe("email-smtp", name, name=name)
        assert account.apply().code == 0
        number = next(item["id"] for item in account.monitors() if item["name"] == "a")
        account.delete(number)
        before = account.run("drift")
        account.fail(f"POST /monitors/* status={status}")
        assert account.apply().code in {6, 7}
        account.fail()
        after = account.run("drift")
        assert (before.code, after.code) == (2, 2)
        assert after.out == before.out
        assert "1 monitor loses monitoring (1 vanished)" in account.run("plan").out

    @pytest.mark.parametrize("name", ["a", "renamed"])
    def test_one_that_a_run_without_an_end_was_to_create_again_is_still_missing(
        self, name: str, half_made: Account, workspace: Workspace
    ) -> None:
        account = half_made
        if name != "a":
            text = workspace.read("a.yaml").replace("name: a\n", f"name: {name}\n", 1)
            workspace.write("a.yaml", text.replace("metadata:", "metadata:\n  previously: [a]"))
        assert account.run("drift").code == 2
        assert "1 monitor loses monitoring (1 vanished)" in account.run("plan").out
        assert account.apply().code == 0
        assert set(workspace.state()["records"]) == {f"email-smtp/{name}", "email-smtp/b"}
        assert "No changes" in account.run("plan").out
        assert account.names() == ["a", "b"]

    def test_one_that_nobody_asks_for_meanwhile_may_come_yet(
        self, half_made: Account, workspace: Workspace
    ) -> None:
        """A create that stands for a missing monitor is not forgotten with its manifest."""
        account = half_made
        text = workspace.read("a.yaml")
        workspace.remove("a.yaml")
        assert account.apply().code == 0
        account.create("email-smtp", name="a")  # what was on its way arrives
        workspace.write("a.yaml", text)
        assert account.apply().code == 0
        assert account.names() == ["a", "b"]

    @pytest.mark.parametrize("is_asked", [True, False])
    def test_an_id_that_somebody_else_has_by_now_is_not_bound_again(
        self, is_asked: bool, sandbox: Sandbox, workspace: Workspace
    ) -> None:
        """A create that stood for monitor 7, which was missing then, has made nothing."""
        theirs = monitor("email-smtp", 7, name="A stranger's", hostname="other.example.com")
        account = sandbox(theirs, faults=["POST /monitors/* status=400"])
        at, body = "2026-01-01T00:00:00Z", {"name": "Alpha", "hostname": "mail.example.com"}
        was = {"id": 7, "fields": body, "secrets": {}, "applied_at": at, "run": "run-0"}
        place = model.Account("default", account.url)
        state = State("lineage", place, serial=3, saved_at=at, run="run-1")
        create = PendingCreate("run-1", at, body, record_from_json(was))
        state = state._replace(pending_creates={"email-smtp/a": create})
        workspace.save(to_text(state))
        name = "a" if is_asked else "b"
        workspace.write("a.yaml", manifest("email-smtp", name, **body))
        before = account.live(7)
        for _ in range(2):
            account.apply("--prune", "--allow-loss", "5")
        assert [item["id"] for item in account.monitors()] == [7]
        assert account.live(7) == before

    def test_what_was_done_is_in_the_state_if_the_journal_is_full(
        self, relays: Relays, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where they are on two disks, or the state is not on a disk at all."""
        is_full = threading.Event()

        def witness(_moment: str, method: str, _path: str) -> None:
            if method == "PATCH":
                is_full.set()

        real = os.write

        def write(descriptor: int, data: bytes) -> int:
            path = Path(f"/proc/self/fd/{descriptor}")
            if is_full.is_set() and path.readlink().name.endswith(".journal"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(descriptor, data)

        monkeypatch.setattr(os, "write", write)
        account = relays(3, witness=witness)
        account.apply("--parallelism", "1").expect(8, err="cannot write the journal")
        records = account.run("state", "pull").json["records"]
        ports = {record["id"]: record["fields"].get("port") for record in records.values()}
        sent = {number: port for number, port in account.ports().items() if port == 587}
        assert sent
        assert sent.items() <= ports.items()
        assert "not done" in account.run("history").out

    def test_what_was_deleted_and_could_not_be_looked_at_is_finished_by_the_next_run(
        self, relays: Relays, workspace: Workspace
    ) -> None:
        def witness(moment: str, method: str, _path: str) -> None:
            if (moment, method) == ("after", "DELETE"):
                account.fail("GET /monitors* status=503")

        account = relays(4, witness=witness)
        assert account.apply().code == 0
        workspace.remove("fleet.yaml")
        prune = ("--prune", "--allow-empty", "--allow-loss", "4")
        assert "unconfirmed" in account.apply(*prune).text
        account.fail()
        assert account.apply(*prune).code == 0
        assert account.run("drift").code == 0

    def test_what_comes_late_under_a_former_name_is_no_drift(
        self, sandbox: Sandbox, workspace: Workspace
    ) -> None:
        """Also if in between something else was applied alone, which does not save the rename."""
        account = sandbox()
        workspace.describe("email-smtp", "other", name="Other", port=25)
        workspace.describe("email-smtp", "relay", name="Relay", port=587)
        assert account.apply().code == 0
        (number,) = (item["id"] for item in account.monitors() if item["name"] == "Relay")
        workspace.replace("relay.yaml", "587", "2587")
        account.fail("PATCH * status=504")
        assert account.apply().code == 6
        account.fail()
        workspace.replace("relay.yaml", "name: relay\n", "name: relay2\n  previously: [relay]\n")
        workspace.replace("other.yaml", "25", "26")
        assert account.apply("--target", "email-smtp/other").code == 0
        account.edit("email-smtp", number, port=2587)  # what was on its way arrives
        workspace.replace("relay.yaml", "2587", "3587")
        assert account.apply("--edits-only").code == 0
        assert account.ports()[number] == 3587

    def test_an_orphan_that_was_not_disabled_after_all_is_watched(
        self, relays: Relays, workspace: Workspace
    ) -> None:
        account = relays(2)
        assert account.apply().code == 0
        other = manifest("email-smtp", "relay-01", 1, port=587)
        orphan = manifest("email-smtp", "relay-02", 2, port=587, enabled=True)
        workspace.write("fleet.yaml", f"{other}---\n{orphan}lifecycle: {{retire: disable}}\n")
        assert account.apply().code == 0
        account.fail("PATCH * status=400")
        workspace.write("fleet.yaml", manifest("email-smtp", "relay-01", 1, port=25))
        assert account.apply("--prune", "--allow-loss", "2").code == 7
        account.fail()
        account.edit("email-smtp", 2, enabled=False)
        drift = account.run("drift", "--json").json
        assert [item["address"] for item in drift["monitors"]] == ["email-smtp/relay-02"]

    def test_what_was_not_kept_is_never_drift(self, relays: Relays) -> None:
        account = relays(2, world=parse_world("drop=port"))
        done = account.apply()
        assert done.code == 7
        assert "it was not kept, or is not visible yet" in done.out
        assert "Run reconciler plan in some minutes: a value that" in done.out
        assert "Fix the errors above" not in done.out
        for _ in range(2):
            plan = account.run("plan")
            assert plan.out.count("(not kept: sent before, but AlertSite has not shown it") == 2
            drift = account.run("drift").expect(0)
            said = "2 monitors have values that AlertSite did not keep, which is not drift: "
            assert said + "reconciler plan shows them.\n" in drift.out
            pull = account.run("pull", "--auto-approve")
            assert "port" not in pull.out
        started = time.monotonic()
        assert account.apply().code == 7
        assert time.monotonic() - started < 15  # it is known by then, and not waited for long

    def test_what_shows_late_is_waited_for_and_never_drift(self, relays: Relays) -> None:
        account = relays(1, world=parse_world("late=1"))
        account.apply(clock=SYSTEM).expect(0, out="1 changed")
        assert account.run("drift").code == 0

    def test_what_is_taken_back_before_it_shows_is_sent_again(
        self, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        """AlertSite shows what was there before a change for as long as a user has patience."""
        account = sandbox(monitor(_SMTP, 5, port=25), world=parse_world("late=600"))
        workspace.describe(_SMTP, "one", 5, port=587)
        assert account.apply().code == 7
        workspace.describe(_SMTP, "one", 5, port=25)
        said = "port: 25 (sent again: 587 was sent last and may not show yet)\n"
        account.apply().expect(0, out=said)
        assert [body for _, body in account.patches()] == [{"port": 587}, {"port": 25}]
        assert account.run("plan").out == "No changes. 1 unchanged.\n"

    def test_what_shows_after_the_run_is_no_drift_either(
        self, relays: Relays, workspace: Workspace
    ) -> None:
        account = relays(1, world=parse_world("drop=port"))
        assert account.apply().code == 7
        state = workspace.state()["records"]["email-smtp/relay-01"]
        assert (state["fields"]["port"], state["unseen"]) == (25, {"port": 587})
