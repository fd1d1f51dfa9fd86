"""Nothing doubled, nothing lost, nothing claimed that was not seen: servers that lie, through the
command line.

Each test plays one way in which an AlertSite that fits the documentation could behave; none is
known to be AlertSite's.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import manifest, monitor

from reconciler.context import written
from reconciler.core import model
from reconciler.core.state import PendingCreate, Record, State, record_from_json, to_text
from reconciler.sandbox import parse_fault, parse_world
from reconciler.sandbox.options import Controls

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Account, Done, Fleet, Relays, Run, Sandbox, Start, Workspace

    from reconciler.context import Clock

_APPLY = ("apply", "--auto-approve")
_SMTP = "email-smtp"
_PLAN = {"billing_plancode": "UBM - A/A"}


@pytest.fixture
def new(workspace: Workspace) -> Callable[..., None]:
    """Writes manifests of so many new monitors, new-1, new-2, …"""

    def write(count: int, **fields: Any) -> None:
        numbers = range(1, count + 1)
        texts = [
            manifest(_SMTP, f"new-{number}", name=f"New {number}", **fields) for number in numbers
        ]
        workspace.write("new.yaml", "---\n".join(texts))

    return write


def _posts(account: Account) -> int:
    return sum(entry["path"] != "/access-tokens" for entry in account.requests("POST"))


def _names(account: Account) -> list[str]:
    return sorted(monitor["name"] for monitor in account.monitors())


def _ids(workspace: Workspace) -> dict[str, int]:
    records = workspace.state()["records"]
    return {address.rpartition("/")[2]: record["id"] for address, record in records.items()}


def _five() -> list[str]:
    return [f"New {number}" for number in range(1, 6)]


class TestPost:
    @pytest.mark.parametrize(
        "fault",
        [
            "POST /monitors/* act=first status=503 times=5",
            "POST /monitors/* act=first status=503 retry-after=0 times=5",
            "POST /monitors/* act=first status=429 times=2",
            "POST /monitors/* act=first status=401 times=1",
            "POST /monitors/* act=first status=400 times=1",
            "POST /monitors/* body=html status=503 times=5",
            "POST /monitors/* body=html status=200 times=5",
            "POST /monitors/* body=truncated times=5",
            "POST /monitors/* drop=after times=5",
        ],
    )
    def test_one_that_took_effect_is_not_sent_again_whatever_was_answered(
        self, fault: str, new: Callable[..., None], sandbox: Sandbox, hurried: Clock
    ) -> None:
        new(5)
        account = sandbox(faults=[fault])
        done = account.apply(clock=hurried)
        assert _names(account) == _five()
        assert _posts(account) == 5
        if "status=400" in fault:  # a refusal is believed; what was made all the same is not ours
            assert done.code == 7
            return
        done.expect(0, out="Resources: 5 added, 0 changed, 0 destroyed.")
        assert account.run("plan").out == "No changes. 5 unchanged.\n"

    @pytest.mark.parametrize("status", [429, 401, 503])
    def test_one_that_had_none_is_sent_again_after_a_look(
        self, status: int, new: Callable[..., None], sandbox: Sandbox, hurried: Clock
    ) -> None:
        new(2)
        account = sandbox(faults=[f"POST /monitors/* status={status} retry-after=0 times=1"])
        account.apply(clock=hurried).expect(0, err="AlertSite has not created ")
        assert _names(account) == ["New 1", "New 2"]

    def test_one_under_way_is_waited_for(self, new: Callable[..., None], sandbox: Sandbox) -> None:
        """A gateway answers 504 at once, the backend needs longer; a user repeats as told."""
        new(3)
        account = sandbox(
            world=parse_world("backend=0.7"), faults=["POST /monitors/* act=late status=504"]
        )
        for _ in range(2):
            account.apply(env={"RECONCILER_TIMEOUT": "1s"}).expect(0)
        assert _names(account) == ["New 1", "New 2", "New 3"]
        assert _posts(account) == 3

    def test_one_of_a_killed_run_is_waited_for(
        self, new: Callable[..., None], sandbox: Sandbox, start: Start
    ) -> None:
        new(1)
        account = sandbox(world=parse_world("backend=1"))
        process = start(*_APPLY, env=account.env | {"RECONCILER_LOCK_LEASE": "1s"})
        process.read_until("AlertSite:")
        time.sleep(0.5)  # the POST is under way
        process.popen.kill()
        process.popen.wait()
        account.apply("--lock-timeout", "10s").expect(0)
        assert _names(account) == ["New 1"]
        assert _posts(account) == 1

    def test_an_id_that_was_there_before_binds_nothing(
        self, new: Callable[..., None], sandbox: Sandbox, hurried: Clock, workspace: Workspace
    ) -> None:
        new(1)
        account = sandbox(
            monitor(_SMTP, 7, name="A stranger's", port=25), world=parse_world("lies=create-id")
        )
        before = account.live(7)
        for _ in range(2):
            account.apply(clock=hurried)
            assert account.live(7) == before
        assert _names(account) == ["A stranger's", "New 1"]
        assert [record["id"] for record in workspace.state()["records"].values()] != [7]

    def test_ids_that_were_crossed_on_the_way_bind_nothing_and_double_nothing(
        self, new: Callable[..., None], sandbox: Sandbox, hurried: Clock, workspace: Workspace
    ) -> None:
        new(3)
        account = sandbox(world=parse_world("lies=previous-id"))
        done = account.apply("--parallelism", "1", clock=hurried)
        assert (done.code, _posts(account)) == (0, 3)
        made = {f"{_SMTP}/new-{item['name'][-1]}": item["id"] for item in account.monitors()}
        records = workspace.state()["records"].items()
        assert {address: record["id"] for address, record in records} == made
        assert "No changes. 3 unchanged." in account.run("plan").out

    @pytest.mark.parametrize("is_gone", [False, True])
    def test_the_id_of_what_a_stranger_made_meanwhile_is_not_taken_for_ours(
        self,
        is_gone: bool,
        new: Callable[..., None],
        sandbox: Sandbox,
        hurried: Clock,
        workspace: Workspace,
    ) -> None:
        """The answer names it, and the list does not show ours yet."""
        new(1, port=2525)
        controls, numbers = Controls(), []

        def witness(moment: str, method: str, path: str) -> None:
            if (
                (moment, method) == ("before", "POST")
                and path.startswith("/monitors")
                and not numbers
            ):
                numbers.append(0)
                numbers[0] = account.create(
                    _SMTP, name="A stranger's", hostname="x.example.com", **_PLAN
                )
                controls.world = parse_world("lies=create-id,lag=3600")

        account = sandbox(controls=controls, witness=witness)
        done = account.apply("--write-ids", clock=hurried)
        (number,) = numbers
        before = account.live(number)
        assert done.code == 7
        assert f"monitor {number} has neither the name nor the target" in done.text
        assert "Waiting for email-smtp/new-1" in done.err  # its own may come yet
        if is_gone:
            workspace.remove("new.yaml")
        for command in (("plan",), _APPLY, (*_APPLY, "--prune", "--allow-empty")):
            done = account.run(*command, clock=hurried)
            assert account.live(number) == before
            if not is_gone or "--prune" in command:
                done.expect(5, out="email-smtp/new-1")
        assert _posts(account) == 2

    @pytest.mark.parametrize(
        "world",
        [
            "names=trim",
            "names=cut:20",
            "names=blanks",
            "names=nfc",
            "names=html",
            "names=cut:20,names=html",
        ],
    )
    def test_a_lost_one_is_recognised_by_whatever_name_the_server_keeps(
        self, world: str, workspace: Workspace, sandbox: Sandbox, hurried: Clock
    ) -> None:
        name = "Cafe\u0301 & relay  of the house in Boston"
        workspace.describe(_SMTP, "new", name=name)
        account = sandbox(world=parse_world(world), faults=["POST /monitors/* drop=after times=1"])
        for _ in range(3):
            account.apply(clock=hurried)
        assert len(account.monitors()) == 1
        assert _posts(account) == 1
        assert workspace.state()["records"]["email-smtp/new"]["id"] == 100001


def _sent(name: str) -> dict[str, str]:
    return {"name": f"Once {name}", "hostname": f"{name}.example.com"}


class TestUnconfirmed:
    """Records that only an answer has confirmed, as a killed run leaves them."""

    @pytest.fixture
    def made(self, sandbox: Sandbox) -> tuple[Account, dict[str, int]]:
        """What the run has made: one monitor for each of a and b."""
        account = sandbox()
        return account, {name: account.create(_SMTP, **_sent(name), **_PLAN) for name in "ab"}

    @pytest.fixture
    def answered(self, workspace: Workspace) -> Callable[..., None]:
        """Writes the state: by name, the ids that were answered; None for no answer."""

        def write(account: Account, at: str = "2026-01-01T00:00:00Z", **ids: int | None) -> None:
            found = {f"{_SMTP}/{name}": number for name, number in ids.items()}
            sent = {address: _sent(address.rpartition("/")[2]) for address in found}
            state = State(
                "lineage",
                model.Account("default", account.url),
                1,
                at,
                "run-1",
                {
                    address: Record(number, {}, {}, at, "run-1", unseen=sent[address])
                    for address, number in found.items()
                    if number is not None
                },
                {
                    address: PendingCreate("run-1", at, sent[address])
                    for address, number in found.items()
                    if number is None
                },
                {"run-1": ()},
            )
            workspace.kept.parent.mkdir(exist_ok=True)
            workspace.kept.write_text(to_text(state), encoding="utf-8")

        return write

    @pytest.fixture
    def rename(self, workspace: Workspace) -> Callable[..., None]:
        """Writes manifests with other names than the run knew, by the new name."""

        def write(**names: str) -> None:
            for name, was in names.items():
                text = manifest(_SMTP, name, name=f"Now {name}", hostname=f"{was}.example.com")
                line = f"  name: {name}\n"
                text = text.replace(line, f"{line}  previously: [{was}]\n", 1)
                workspace.write(f"{name}.yaml", text)

        return write

    @pytest.fixture
    def keep(self, workspace: Workspace) -> Callable[[str], None]:
        """Writes manifests as the run knew them, by their names."""

        def write(names: str) -> None:
            for name in names:
                workspace.describe(_SMTP, name, **_sent(name))

        return write

    def test_crossed_ones_are_known_under_the_names_that_manifests_have_by_now(
        self,
        made: tuple[Account, dict[str, int]],
        answered: Callable[..., None],
        rename: Callable[..., None],
        hurried: Clock,
        workspace: Workspace,
    ) -> None:
        account, ids = made
        answered(account, a=ids["b"], b=ids["a"])
        rename(c="a", d="b")
        account.apply(clock=hurried).expect(0)
        assert _names(account) == ["Now c", "Now d"]
        assert _ids(workspace) == {"c": ids["a"], "d": ids["b"]}

    def test_one_of_a_monitor_that_is_not_there_is_waited_for_under_its_former_name(
        self,
        made: tuple[Account, dict[str, int]],
        answered: Callable[..., None],
        rename: Callable[..., None],
        hurried: Clock,
        workspace: Workspace,
    ) -> None:
        account, ids = made
        answered(account, a=ids["b"] + 1, b=ids["b"])
        rename(c="a", d="b")
        account.apply(clock=hurried).expect(0, err="Waiting for email-smtp/a")
        assert _names(account) == ["Now c", "Now d"]
        assert _ids(workspace) == {"c": ids["a"], "d": ids["b"]}

    def test_one_that_is_another_s_is_pending_again_whatever_the_run_is_about(
        self,
        made: tuple[Account, dict[str, int]],
        answered: Callable[..., None],
        keep: Callable[[str], None],
        hurried: Clock,
        workspace: Workspace,
    ) -> None:
        account, ids = made
        answered(account, a=ids["b"], b=None)
        keep("ab")
        account.delete(ids["a"])
        account.apply("--target", f"{_SMTP}/b", clock=hurried)
        assert _ids(workspace) == {"b": ids["b"]}
        assert list(workspace.state()["pending_creates"]) == [f"{_SMTP}/a"]
        assert account.apply(clock=hurried).code == 0
        assert _names(account) == ["Once a", "Once b"]

    def test_one_of_a_monitor_that_is_not_there_is_not_forgotten_without_its_manifest(
        self,
        made: tuple[Account, dict[str, int]],
        answered: Callable[..., None],
        keep: Callable[[str], None],
        hurried: Clock,
        workspace: Workspace,
    ) -> None:
        account, ids = made
        answered(account, written(datetime.now(UTC)), a=ids["b"] + 1)
        done = account.apply("--allow-empty")
        assert "forgotten" not in done.out
        assert f"email-smtp/a (id {ids['a']}) left over" in done.out
        keep("a")
        assert account.apply(clock=hurried).code == 0
        assert (_ids(workspace), _posts(account)) == ({"a": ids["a"]}, 2)

    def test_one_that_has_what_was_sent_to_it_since_is_not_waited_for(
        self,
        made: tuple[Account, dict[str, int]],
        answered: Callable[..., None],
        keep: Callable[[str], None],
        hurried: Clock,
        workspace: Workspace,
    ) -> None:
        account, ids = made
        answered(account, a=ids["a"])
        state = workspace.state()
        now = {"name": "Now a", "hostname": "now.example.com"}
        state["records"][f"{_SMTP}/a"]["sending"] = {"run": "run-2", "fields": now}
        workspace.kept.write_text(json.dumps(state), encoding="utf-8")
        account.edit(_SMTP, ids["a"], **now)
        keep("a")
        done = account.apply(clock=hurried)
        assert (done.code, "Waiting" in done.err) == (0, False), done
        assert account.live(ids["a"])["name"] == "Once a"


class TestIdsGivenAgain:
    """Whether AlertSite gives the id of a deleted monitor to a new one is not known."""

    @pytest.fixture
    def controls(self) -> Controls:
        return Controls(parse_world("reuse-ids"))

    @pytest.fixture
    def write(self, workspace: Workspace) -> Callable[[str], None]:
        def write(name: str) -> None:
            text = manifest(_SMTP, name, name=f"Mon {name}", hostname=f"{name}.example.com")
            workspace.write(f"{name}.yaml", text)

        return write

    @pytest.fixture
    def without_a(
        self,
        controls: Controls,
        sandbox: Sandbox,
        workspace: Workspace,
        write: Callable[[str], None],
    ) -> Account:
        """An account in which the one monitor, that of a, was deleted by hand; b is new."""
        account = sandbox(controls=controls)
        write("a")
        assert account.apply().code == 0
        account.delete(_ids(workspace)["a"])
        write("b")
        return account

    @pytest.mark.parametrize(
        "fault", ["", "POST /monitors/* act=first status=503", "POST /monitors/* drop=after"]
    )
    def test_the_record_of_the_missing_one_goes(
        self,
        fault: str,
        without_a: Account,
        controls: Controls,
        hurried: Clock,
        workspace: Workspace,
    ) -> None:
        (missing,) = _ids(workspace).values()
        controls.faults = (parse_fault(f"{fault} times=1"),) if fault else ()
        one = without_a.apply("--target", f"{_SMTP}/b", clock=hurried)
        assert (one.code, _ids(workspace)) == (0, {"b": missing})
        for _ in range(2):
            assert without_a.apply(clock=hurried).code == 0
        assert _names(without_a) == ["Mon a", "Mon b"]
        assert _ids(workspace) == {"a": missing + 1, "b": missing}

    @pytest.mark.parametrize("parallelism", ["1", "4"])
    def test_so_it_does_if_it_could_not_be_created_again(
        self,
        parallelism: str,
        without_a: Account,
        controls: Controls,
        hurried: Clock,
        workspace: Workspace,
    ) -> None:
        controls.faults = (parse_fault("POST /monitors/* status=400 times=1"),)
        without_a.apply("--parallelism", parallelism, clock=hurried).expect(7)
        assert len(_ids(workspace)) == 1
        for _ in range(2):
            assert without_a.apply(clock=hurried).code == 0
        assert _names(without_a) == ["Mon a", "Mon b"]

    def test_an_undo_does_not_take_it_for_a_rename(
        self, without_a: Account, workspace: Workspace
    ) -> None:
        assert without_a.apply("--target", f"{_SMTP}/b").code == 0
        undo = ("undo", workspace.state()["run"], "--auto-approve")
        assert without_a.run(*undo).code == 0
        assert _names(without_a) == []

    def test_what_a_manifest_names_is_given_to_nobody_else(
        self, without_a: Account, hurried: Clock, workspace: Workspace
    ) -> None:
        (missing,) = _ids(workspace).values()
        workspace.replace("a.yaml", "  name: a\n", f"  name: a\n  id: {missing}\n")
        writes = (*_APPLY, "--write-ids")
        without_a.run(*writes, "--target", f"{_SMTP}/b", clock=hurried)
        for _ in range(2):
            assert without_a.run(*writes, clock=hurried).code == 0
        assert _names(without_a) == ["Mon a", "Mon b"]
        assert _ids(workspace) == {"a": missing, "b": missing + 1}

    def test_an_undo_that_creates_again_makes_one(
        self,
        controls: Controls,
        sandbox: Sandbox,
        hurried: Clock,
        workspace: Workspace,
        write: Callable[[str], None],
    ) -> None:
        """The id is that of a record that no look has confirmed and whose monitor is gone."""
        is_away = threading.Event()

        def witness(moment: str, method: str, path: str) -> None:
            if is_away.is_set() and (moment, method) == ("after", "POST") and "-tokens" not in path:
                controls.faults = (parse_fault("GET /monitors* status=503"),)

        account = sandbox(controls=controls, witness=witness)
        write("b")
        assert account.apply().code == 0
        workspace.remove("b.yaml")
        assert account.apply("--prune", "--allow-empty").code == 0
        pruned = workspace.state()["run"]
        is_away.set()
        write("a")
        assert account.apply(clock=hurried).code == 7
        is_away.clear()
        controls.faults = ()
        account.delete(_ids(workspace)["a"])
        account.run("undo", pruned, "--auto-approve", clock=hurried)
        assert _names(account) == ["Mon b"]


class TestLists:
    WORLDS = (
        "offset=ignored",
        "offset=page",
        "offset=ignored,count=page",
        "short=20",
        "offset=page,count=page",
    )

    @pytest.mark.parametrize("world", WORLDS)
    def test_one_that_is_not_whole_lets_nothing_be_made_or_forgotten(
        self, world: str, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        seed = [monitor(_SMTP, number, name=f"M {number}") for number in range(1, 121)]
        texts = [manifest(_SMTP, f"m-{number}", name=f"M {number}") for number in range(1, 121)]
        workspace.write("all.yaml", "---\n".join(texts))
        account = sandbox(*seed, world=parse_world(world), page_size=50)
        for command in (["plan"], [*_APPLY], ["import", "--merge"], ["plan", "--json"]):
            account.run(*command).expect(6, err="What a list leaves out may still be there")
        assert _posts(account) == 0

    def test_needs_limit_is_served(self, relays: Relays) -> None:
        account = relays(12, world=parse_world("offset=needs-limit"), page_size=5)
        assert "12 to change" in account.run("plan").out

    def test_one_that_silently_leaves_out_what_is_ours(
        self, workspace: Workspace, relays: Relays
    ) -> None:
        account = relays(8, world=parse_world("hide=3"))
        account.apply().expect(0, out="8 changed")
        workspace.write("fleet.yaml", workspace.read("fleet.yaml"))
        plan = account.run("plan")
        assert "email-smtp/relay-08 (id 8) not in AlertSite's list, read by id\n" in plan.out
        assert "No changes. 8 unchanged.\n" in plan.out
        workspace.remove("fleet.yaml")
        done = account.apply("--allow-empty")
        assert "forgotten" not in done.out
        assert len(workspace.state()["records"]) == 8

    def test_a_list_without_one_of_ours_does_not_prove_that_another_is_missing(
        self, workspace: Workspace, fleet: Fleet, sandbox: Sandbox
    ) -> None:
        seed = [*fleet(8), monitor(_SMTP, 9, name="New")]
        account = sandbox(*seed, world=parse_world("hide=3"))
        assert account.apply().code == 0
        workspace.describe(_SMTP, "new", name="New")
        for _ in range(2):
            done = account.apply()
            assert done.code == 5
            assert "list omits monitor 7, which exists, so it may omit one named 'New'" in done.out
        assert _posts(account) == 0

    @pytest.mark.parametrize("world", ["vanish=2", "vanish=2,count=none"])
    def test_a_monitor_that_goes_between_two_pages_makes_no_double(
        self, world: str, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        seed = [monitor(_SMTP, number, name=f"M {number}") for number in range(1, 13)]
        workspace.describe(_SMTP, "six", name="M 6")
        account = sandbox(*seed, world=parse_world(world), page_size=5)
        account.apply().expect(5, out="named 'M 6', with the id 6")
        assert _posts(account) == 0

    @pytest.mark.parametrize("count", [3, 10])
    def test_one_that_lags_doubles_nothing_however_often_it_is_asked(
        self, count: int, new: Callable[..., None], sandbox: Sandbox
    ) -> None:
        new(count)
        account = sandbox(world=parse_world("lag=60"))
        for _ in range(3):
            done = account.apply().expect(0)
        assert "read by id" in done.out
        assert _posts(account) == count

    def test_one_without_types(self, relays: Relays) -> None:
        account = relays(3, world=parse_world("no-type"))
        assert account.apply().code == 0
        assert account.run("plan").out == "No changes. 3 unchanged.\n"

    def test_most_that_is_gone_is_another_account(self, relays: Relays) -> None:
        account = relays(6)
        assert account.apply().code == 0
        for number in range(1, 5):
            account.delete(number)
        for command in (["plan"], [*_APPLY], ["drift"]):
            done = account.run(*command)
            assert done.code == 5
            assert "only 2 of the 6 monitors in the state are in this account" in done.err
        addresses = [f"email-smtp/relay-0{number}" for number in range(1, 5)]
        assert account.run("state", "rm", *addresses).code == 0
        assert "not in this account" not in account.run("plan").err


class TestLock:
    def test_one_of_another_machine_is_kept_whatever_its_clock_says(
        self, new: Callable[..., None], sandbox: Sandbox, workspace: Workspace, hurried: Clock
    ) -> None:
        """It was taken just now; the clock over there is hours behind ours."""
        new(1)
        account = sandbox()
        lock = workspace.root / ".reconciler/state.json.lock"
        lock.parent.mkdir()
        lease = {
            "id": "run-1",
            "holder": "ann",
            "host": "elsewhere",
            "operation": "apply",
            "acquired_at": "2026-01-01T00:00:00Z",
            "process": "",
            "length": 180.0,
        }
        lock.write_text(json.dumps(lease))
        for timeout in ("0s", "1s"):
            done = account.apply("--lock-timeout", timeout, clock=hurried)
            assert done.code == 8
            assert "is locked by ann on elsewhere since 2026-01-01" in done.err
        assert json.loads(lock.read_text()) == lease
        assert _posts(account) == 0


class TestSeen:
    @pytest.mark.parametrize("hurry", [(), ("--fail-fast", "--parallelism", "1")])
    def test_what_was_never_sent_hides_no_drift_and_undoes_no_hand(
        self, relays: Relays, workspace: Workspace, hurry: tuple[str, ...]
    ) -> None:
        controls = Controls()
        account = relays(2, controls=controls)
        text = workspace.read("fleet.yaml")
        workspace.write("fleet.yaml", text.replace("port: 587", "port: 25"))
        account.apply()
        controls.faults = (parse_fault("PATCH * status=400"),)
        workspace.write("fleet.yaml", text.replace("port: 587", "port: 2587"))
        assert account.apply(*hurry).code == 7
        controls.faults = ()
        workspace.write("fleet.yaml", text.replace("port: 587", "port: 25"))
        for number in (1, 2):
            account.edit("email-smtp", number, port=2587)
        assert account.run("drift").code == 2
        account.apply("--edits-only")
        assert account.ports() == {1: 2587, 2: 2587}

    def test_what_had_no_answer_and_comes_after_the_run_is_no_drift(
        self, relays: Relays, workspace: Workspace, hurried: Clock
    ) -> None:
        controls = Controls()
        account = relays(2, controls=controls)
        assert account.apply().code == 0
        workspace.write("fleet.yaml", workspace.read("fleet.yaml").replace("587", "2587"))
        controls.faults = (parse_fault("PATCH * status=504"),)
        assert account.apply(clock=hurried).code == 6
        controls.faults = ()
        for number in (1, 2):  # what was on its way arrives
            account.edit("email-smtp", number, port=2587)
        assert account.run("drift").code == 0

    @pytest.mark.parametrize("status", [400, 504])
    def test_one_that_could_not_be_created_again_is_still_missing(
        self, status: int, sandbox: Sandbox, workspace: Workspace, hurried: Clock
    ) -> None:
        controls = Controls()
        account = sandbox(controls=controls)
        for name in ("a", "b"):
            workspace.describe("email-smtp", name, name=name)
        assert account.apply().code == 0
        number = next(item["id"] for item in account.monitors() if item["name"] == "a")
        account.delete(number)
        before = account.run("drift")
        controls.faults = (parse_fault(f"POST /monitors/* status={status}"),)
        assert account.apply(clock=hurried).code in {6, 7}
        controls.faults = ()
        after = account.run("drift")
        assert (before.code, after.code) == (2, 2)
        assert after.out == before.out
        assert "1 monitor loses monitoring (1 vanished)" in account.run("plan").out

    @pytest.mark.parametrize("name", ["a", "renamed"])
    def test_one_that_a_run_without_an_end_was_to_create_again_is_still_missing(
        self, name: str, half_made: Account, workspace: Workspace, hurried: Clock
    ) -> None:
        account = half_made
        if name != "a":
            text = workspace.read("a.yaml").replace("name: a\n", f"name: {name}\n", 1)
            workspace.write("a.yaml", text.replace("metadata:", "metadata:\n  previously: [a]"))
        assert account.run("drift").code == 2
        assert "1 monitor loses monitoring (1 vanished)" in account.run("plan").out
        assert account.apply(clock=hurried).code == 0
        assert set(workspace.state()["records"]) == {f"email-smtp/{name}", "email-smtp/b"}
        assert "No changes" in account.run("plan").out
        assert _names(account) == ["a", "b"]

    def test_one_that_nobody_asks_for_meanwhile_may_come_yet(
        self, half_made: Account, workspace: Workspace, hurried: Clock
    ) -> None:
        """A create that stands for a missing monitor is not forgotten with its manifest."""
        account = half_made
        text = workspace.read("a.yaml")
        workspace.remove("a.yaml")
        assert account.apply().code == 0
        fields = {"billing_plancode": "UBM - A/A", "hostname": "mail.example.com"}
        account.create("email-smtp", name="a", **fields)  # what was on its way arrives
        workspace.write("a.yaml", text)
        assert account.apply(clock=hurried).code == 0
        assert _names(account) == ["a", "b"]

    @pytest.mark.parametrize("is_asked", [True, False])
    def test_an_id_that_somebody_else_has_by_now_is_not_bound_again(
        self, is_asked: bool, sandbox: Sandbox, workspace: Workspace, hurried: Clock
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
        workspace.kept.parent.mkdir(exist_ok=True)
        workspace.kept.write_text(to_text(state), encoding="utf-8")
        name = "a" if is_asked else "b"
        workspace.write("a.yaml", manifest("email-smtp", name, **body))
        before = account.live(7)
        for _ in range(2):
            account.apply("--prune", "--allow-loss", "5", clock=hurried)
        assert [item["id"] for item in account.monitors()] == [7]
        assert account.live(7) == before

    def test_what_was_done_is_in_the_state_if_the_journal_is_full(
        self, relays: Relays, hurried: Clock, monkeypatch: pytest.MonkeyPatch
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
        account.apply("--parallelism", "1", clock=hurried).expect(8, err="cannot write the journal")
        records = account.run("state", "pull").json["records"]
        ports = {record["id"]: record["fields"].get("port") for record in records.values()}
        sent = {number: port for number, port in account.ports().items() if port == 587}
        assert sent
        assert sent.items() <= ports.items()
        assert "not done" in account.run("history").out

    def test_what_was_deleted_and_could_not_be_looked_at_is_finished_by_the_next_run(
        self, relays: Relays, workspace: Workspace, hurried: Clock
    ) -> None:
        controls = Controls()

        def witness(moment: str, method: str, _path: str) -> None:
            if (moment, method) == ("after", "DELETE"):
                controls.faults = (parse_fault("GET /monitors* status=503"),)

        account = relays(4, controls=controls, witness=witness)
        assert account.apply().code == 0
        workspace.remove("fleet.yaml")
        prune = (*_APPLY, "--prune", "--allow-empty", "--allow-loss", "4")
        assert "unconfirmed" in account.run(*prune, clock=hurried).text
        controls.faults = ()
        assert account.run(*prune).code == 0
        assert account.run("drift").code == 0

    def test_what_comes_late_under_a_former_name_is_no_drift(
        self, sandbox: Sandbox, workspace: Workspace, hurried: Clock
    ) -> None:
        """Also if in between something else was applied alone, which does not save the rename."""
        controls = Controls()
        account = sandbox(controls=controls)
        workspace.describe("email-smtp", "other", name="Other", port=25)
        workspace.describe("email-smtp", "relay", name="Relay", port=587)
        assert account.apply().code == 0
        (number,) = (item["id"] for item in account.monitors() if item["name"] == "Relay")
        workspace.replace("relay.yaml", "587", "2587")
        controls.faults = (parse_fault("PATCH * status=504"),)
        assert account.apply(clock=hurried).code == 6
        controls.faults = ()
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
        controls = Controls()
        account = relays(2, controls=controls)
        assert account.apply().code == 0
        other = manifest("email-smtp", "relay-01", 1, port=587)
        orphan = manifest("email-smtp", "relay-02", 2, port=587, enabled=True)
        workspace.write("fleet.yaml", f"{other}---\n{orphan}lifecycle: {{retire: disable}}\n")
        assert account.apply().code == 0
        controls.faults = (parse_fault("PATCH * status=400"),)
        workspace.write("fleet.yaml", manifest("email-smtp", "relay-01", 1, port=25))
        assert account.apply("--prune", "--allow-loss", "2").code == 7
        controls.faults = ()
        account.edit("email-smtp", 2, enabled=False)
        drift = account.run("drift", "--json").json
        assert [item["address"] for item in drift["monitors"]] == ["email-smtp/relay-02"]

    def test_what_was_not_kept_is_never_drift(self, relays: Relays, hurried: Clock) -> None:
        account = relays(2, world=parse_world("drop=port"))
        done = account.apply(clock=hurried)
        assert done.code == 7
        assert "it was not kept, or is not visible yet" in done.out
        assert "Run reconciler plan in some minutes: a value that" in done.out
        assert "Fix the errors above" not in done.out
        for _ in range(2):
            plan = account.run("plan", clock=hurried)
            assert plan.out.count("(not kept: sent before, but AlertSite has not shown it") == 2
            drift = account.run("drift", clock=hurried).expect(0)
            said = "2 monitors have values that AlertSite did not keep, which is not drift: "
            assert said + "reconciler plan shows them.\n" in drift.out
            pull = account.run("pull", "--auto-approve", clock=hurried)
            assert "port" not in pull.out
        started = time.monotonic()
        assert account.apply(clock=hurried).code == 7
        assert time.monotonic() - started < 15  # it is known by then, and not waited for long

    def test_what_shows_late_is_waited_for_and_never_drift(self, relays: Relays) -> None:
        account = relays(1, world=parse_world("late=1"))
        account.apply().expect(0, out="1 changed")
        assert account.run("drift").code == 0

    def test_what_is_taken_back_before_it_shows_is_sent_again(
        self, workspace: Workspace, sandbox: Sandbox, hurried: Clock
    ) -> None:
        """AlertSite shows what was there before a change for as long as a user has patience."""
        account = sandbox(monitor(_SMTP, 5, port=25), world=parse_world("late=600"))
        workspace.describe(_SMTP, "one", 5, port=587)
        assert account.apply(clock=hurried).code == 7
        workspace.describe(_SMTP, "one", 5, port=25)
        done = account.apply()
        assert done.code == 0
        assert "port: 25 (sent again: 587 was sent last and may not show yet)\n" in done.out
        assert [body for _, body in account.patches()] == [{"port": 587}, {"port": 25}]
        assert account.run("plan").out == "No changes. 1 unchanged.\n"

    def test_what_shows_after_the_run_is_no_drift_either(
        self, relays: Relays, workspace: Workspace, hurried: Clock
    ) -> None:
        account = relays(1, world=parse_world("drop=port"))
        assert account.apply(clock=hurried).code == 7
        state = workspace.state()["records"]["email-smtp/relay-01"]
        assert (state["fields"]["port"], state["unseen"]) == (25, {"port": 587})


class TestCreates:
    @pytest.mark.parametrize(("world", "kept"), [("", []), ("hide=1", ["email-smtp/new-1"])])
    def test_a_list_that_omits_one_of_ours_ends_no_pending_create(
        self, world: str, kept: list[str], workspace: Workspace, relays: Relays
    ) -> None:
        account = relays(2, world=parse_world(world))
        assert account.apply().code == 0
        state = workspace.state()
        create = {"run": state["run"], "at": "2026-01-01T00:00:00Z", "body": {"name": "New 1"}}
        state["pending_creates"] = {"email-smtp/new-1": create}
        workspace.kept.write_text(json.dumps(state))
        assert account.apply().code == 0
        assert [*workspace.state()["pending_creates"]] == kept

    def test_one_whose_manifest_is_gone_binds_and_prunes_nothing(
        self, workspace: Workspace, new: Callable[..., None], sandbox: Sandbox
    ) -> None:
        """A lost create, its manifest goes, weeks later somebody makes one of that name by hand."""
        workspace.describe(_SMTP, "kept", 5)
        new(1)
        account = sandbox(
            monitor(_SMTP, 5),
            faults=[
                "POST /monitors/* drop=before times=1",
                "GET /monitors skip=1 times=1 status=400",
            ],
        )
        assert account.apply().code == 7
        assert list(workspace.state()["pending_creates"]) == ["email-smtp/new-1"]
        workspace.remove("new.yaml")
        state = workspace.state()
        state["pending_creates"]["email-smtp/new-1"]["at"] = "2026-01-01T00:00:00Z"
        workspace.kept.write_text(json.dumps(state))
        assert account.apply("--prune").code == 0
        assert workspace.state()["pending_creates"] == {}
        fields = {**monitor(_SMTP, 5), "name": "New 1"}
        number = account.create(_SMTP, **{name: fields[name] for name in fields.keys() - {"id"}})
        for _ in range(2):
            account.apply("--prune").expect(0)
        assert account.live(number)["name"] == "New 1"
        assert list(_ids(workspace)) == ["kept"]

    def test_one_that_was_lost_is_not_taken_for_a_monitor_that_was_there_before(
        self, new: Callable[..., None], sandbox: Sandbox, hurried: Clock
    ) -> None:
        """A create gets lost, and somebody gives its name to another monitor."""
        new(1)
        account = sandbox(
            monitor(_SMTP, 7, name="Other"),
            faults=["POST /monitors/* drop=before", "GET /monitors skip=1 times=1 status=400"],
        )
        assert account.apply(clock=hurried).code == 7
        account.edit(_SMTP, 7, name="New 1")
        before = account.live(7)
        account.apply(clock=hurried).expect(5, out="nothing binds it to this manifest")
        assert account.live(7) == before

    def test_two_runs_with_states_of_their_own_are_named(
        self, new: Callable[..., None], sandbox: Sandbox, run: Run, run_process: Run, hurried: Clock
    ) -> None:
        """When they begin to create, both have looked and found nothing."""
        new(4)
        others: list[Done] = []
        has_begun = threading.Event()

        def apply_meanwhile(moment: str, method: str, path: str) -> None:
            is_create = (moment, method) == ("before", "POST") and path.startswith("/monitors/")
            if is_create and not has_begun.is_set():
                has_begun.set()
                others.append(run_process(*_APPLY, "--state", "file:b.json", env=account.env))

        account = sandbox(witness=apply_meanwhile)
        patient = {**account.env, "RECONCILER_TIMEOUT": "30s"}
        words = (*_APPLY, "--parallelism", "1", "--state", "file:a.json")
        done = run(*words, env=patient, clock=hurried)
        assert ([other.code for other in others], done.code) == ([0], 7)
        assert _names(account) == sorted(2 * [f"New {number}" for number in range(1, 5)])
        doubled = r"doubled: AlertSite also has monitor \d+ of the same kind and name"
        assert len(re.findall(doubled, done.out)) == 4
        for state in ("a.json", "b.json"):
            plan = account.run("plan", "--state", f"file:{state}")
            assert plan.out.count("has the same kind and name as managed monitor") == 4

    def test_what_is_replaced_goes_only_after_its_replacement_was_seen(
        self, workspace: Workspace, sandbox: Sandbox, hurried: Clock
    ) -> None:
        workspace.write("a.yaml", manifest("email-pop", "mail", 5, name="Mail"))
        account = sandbox(
            monitor("email-pop", 5, name="Mail"), faults=[f"POST /monitors/{_SMTP} status=200"]
        )
        assert account.apply(clock=hurried).code == 0
        workspace.write("a.yaml", manifest(_SMTP, "mail", name="Mail"))
        done = account.apply("--prune", clock=hurried)
        assert done.code == 6
        assert "monitors are only retired when all other changes are done" in done.out
        assert account.requests("DELETE") == []
        calls = account.calls()
        post = max(index for index, call in enumerate(calls) if call.startswith("POST /monitors/"))
        assert "GET /monitors" in calls[post:]

    def test_one_that_is_replaced_is_deleted_once_that_is_seen(
        self, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        workspace.write("a.yaml", manifest("email-pop", "mail", 5, name="Mail"))
        account = sandbox(monitor("email-pop", 5, name="Mail"))
        assert account.apply().code == 0
        workspace.write("a.yaml", manifest(_SMTP, "mail", name="Mail"))
        assert account.apply("--prune").code == 0
        calls = [call for call in account.calls() if "tokens" not in call]
        post = calls.index(f"POST /monitors/{_SMTP}")
        delete = calls.index("DELETE /monitors/5")
        assert "GET /monitors" in calls[post:delete]

    def test_a_monitor_that_was_not_deleted_counts_again(
        self, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        """A delete that was refused must not excuse a monitor that is missing later."""
        workspace.describe(_SMTP, "kept", 5)
        workspace.describe(_SMTP, "gone", 6, name="Gone")
        account = sandbox(
            monitor(_SMTP, 5), monitor(_SMTP, 6, name="Gone"), faults=["DELETE * status=400"]
        )
        assert account.apply().code == 0
        workspace.remove("gone.yaml")
        assert account.apply("--prune").code == 7
        assert "deleting" not in workspace.state()["records"]["email-smtp/gone"]

    def test_state_that_cannot_be_written_stops_the_sending(
        self, new: Callable[..., None], sandbox: Sandbox, start: Start, workspace: Workspace
    ) -> None:
        new(50)
        account = sandbox(faults=["POST /monitors/* delay=0.3"])
        process = start(*_APPLY, env=account.env)
        account.wait_for("POST", 2)
        journal: Path = next((workspace.root / ".reconciler").glob("*.journal"))
        folder = journal.parent
        folder.chmod(0o500)
        held = folder / "state.json"
        held.unlink()
        held.mkdir()  # the state cannot be replaced any more
        done = process.finish()
        held.rmdir()
        folder.chmod(0o700)
        assert done.code == 8
        assert _posts(account) < 50

    def test_a_refused_token_is_renewed_once_for_all(self, relays: Relays, hurried: Clock) -> None:
        account = relays(
            24, world=parse_world("expired=400"), token_life=1.5, faults=["PATCH * delay=0.5"]
        )
        account.apply("--parallelism", "8", clock=hurried).expect(0, out="24 changed")
        assert sum(call == "POST /access-tokens" for call in account.calls()) in {2, 3}


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
        ids = _ids(workspace)
        calls = len(account.requests("POST"))
        self.rename(workspace, **names)
        for _ in range(2):
            account.apply("--prune").expect(0, out="Resources: 0 added, 0 changed, 0 destroyed.")
            now = _ids(workspace)
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
            assert {name: names[number] for name, number in _ids(workspace).items()} == {
                "b": "Monitor b",
                "c": "Monitor c",
            }

    def test_a_plan_is_used_once(self, workspace: Workspace, sandbox: Sandbox) -> None:
        workspace.describe(_SMTP, "new", name="New")
        account = sandbox()
        assert account.run("plan", "--out", "p.json").code == 0
        assert account.run("apply", "p.json").code == 0
        account.delete(100001)
        account.run("apply", "p.json").expect(5, out="deleted since the plan was made")
        assert account.monitors() == []

    def test_a_lost_state_and_another_display_name_double_nothing(
        self, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        workspace.describe(_SMTP, "new", name="Old name", port=587)
        account = sandbox()
        assert account.apply().code == 0
        workspace.kept.unlink()
        workspace.describe(_SMTP, "new", name="New name", port=587)
        account.apply("--adopt").expect(5, out="others that check the same server: 100001")
        assert len(account.monitors()) == 1


def test_the_hint_to_undo_a_run_works_as_it_stands(relays: Relays, workspace: Workspace) -> None:
    controls = Controls()
    account = relays(1, controls=controls)
    state = ("--state", "file:a place/state.json")
    assert account.apply(*state).code == 0
    workspace.replace("fleet.yaml", "port: 587", "port: 25")
    controls.faults = (parse_fault("PATCH * status=400"),)
    refused = account.apply(*state)
    assert (refused.code, "To undo it" in refused.err) == (7, False)
    controls.faults = ()
    done = account.apply(*state)
    _, found, command = done.err.partition("To undo it: reconciler ")
    assert found
    undone = account.run(*shlex.split(command), "--auto-approve")
    assert (undone.code, account.ports()) == (0, {1: 587})


def test_a_run_that_only_bound_is_offered_an_undo_only_if_that_does_something(
    sandbox: Sandbox, workspace: Workspace
) -> None:
    account = sandbox(monitor(_SMTP, 1, port=587), monitor(_SMTP, 2, name="Two", port=587))
    workspace.describe(_SMTP, "one", 1, port=587)
    bound = account.apply()  # by Git: the next apply would bind it again
    assert (bound.code, "To undo it" in bound.err) == (0, False)
    workspace.describe(_SMTP, "two", name="Two", port=587)
    adopted = account.apply("--adopt")
    _, found, command = adopted.err.partition("To undo it: reconciler ")
    assert found
    undone = account.run(*shlex.split(command), "--auto-approve")
    assert (undone.code, "To undo it" in undone.err) == (0, False)
    (last, *_) = account.run("history", "--json").json["runs"]
    account.run("undo", last["id"], "--auto-approve").expect(5, err="none of its bindings is left")
