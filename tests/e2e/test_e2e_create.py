"""New monitors: created once, bound, adopted or refused, whatever becomes of the answer.

Some tests play a way in which an AlertSite that fits the documentation could behave; none is known
to be AlertSite's.
"""

import json
import re
import threading
import time
from datetime import UTC, datetime

import pytest
from e2e.conftest import Account, Done, Relays, Run, Sandbox, Start, Workspace, manifest, monitor

from reconciler.context import SYSTEM, written
from reconciler.core import model
from reconciler.core.state import PendingCreate, Record, State, to_text
from reconciler.sandbox import monitors, parse_world
from reconciler.sandbox.worlds import World

_SMTP = "email-smtp"
_APPLY = ("apply", "--auto-approve")
_KINDS = ("email-imap", "email-pop", "email-round-trip", "email-smtp")
pytestmark = pytest.mark.usefixtures("hurried")


def _ids(workspace: Workspace) -> dict[str, int]:
    """The id in each record."""
    records = workspace.state()["records"]
    return {address: record["id"] for address, record in records.items()}


@pytest.fixture
def four(workspace: Workspace) -> None:
    """One manifest without an id of each kind, named as the kind is."""
    for kind in _KINDS:
        workspace.write(f"{kind}.yaml", manifest(kind, "new", name=f"New {kind}"))


def test_each_kind_is_created_with_what_is_declared_and_nothing_else(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    wanted = {"interval": 15, "locations": [{"id": 20}, {"id": 10}], "note": "made by Git"}
    for kind in _KINDS:
        extra = {"colour": {"of": ["the", "badge"]}}
        text = manifest(kind, "new", name=f"New {kind}", extra=extra, **wanted)
        workspace.write(f"{kind}.yaml", text)
    others = monitor("email-smtp", 5), monitor("email-pop", 6), {"id": 7, "type": "website"}
    account = sandbox(*others)
    done = account.apply("--json")
    assert done.code == 0
    assert "Plan: 4 to add, 0 to change, 0 to destroy. 0 unchanged.\n" in done.err
    assert "2 email monitors in AlertSite without a manifest: never touched." in done.err

    ids = _ids(workspace)
    assert {item["address"]: item["id"] for item in done.json["outcomes"]} == ids
    posts = [entry for entry in account.requests("POST") if "monitors" in entry["path"]]
    assert sorted(entry["path"] for entry in posts) == sorted(
        f"/monitors/{kind}" for kind in _KINDS
    )
    for entry in posts:
        kind = entry["path"].rpartition("/")[2]
        required = {"name": f"New {kind}", "billing_plancode": "UBM - A/A"}
        declared = required | wanted | {"colour": {"of": ["the", "badge"]}}
        assert {name: entry["body"][name] for name in declared} == declared
        assert "timeout" not in entry["body"]
        assert account.live(ids[f"{kind}/new"])["timeout"] == 30
    assert [item for item in account.monitors() if item["id"] < 10] == list(others)

    again = account.run("plan", "--detailed-exitcode").expect(0)
    assert again.out.startswith("No changes. 4 unchanged.\n")


_BLOCK = """\
# yaml-language-server: $schema=../schemas/email-smtp.schema.json

apiVersion: reconciler/v1   # the only one
kind: email-smtp
metadata:
  name: block      # the identity
  labels: {a: b}
spec:
  name:   "Block"
  billing_plancode: 'UBM - A/A'
  hostname: >-
    h.example.com
"""
_HEAD = "apiVersion: reconciler/v1, kind: email-smtp"
_SPEC = "billing_plancode: UBM - A/A, hostname: h.example.com"
_CRLF = _BLOCK.replace("block  ", "crlf  ").replace("Block", "CRLF").replace("\n", "\r\n")
_JSON = {
    "apiVersion": "reconciler/v1",
    "kind": "email-smtp",
    "metadata": {"name": "json"},
    "spec": {"name": "JSON", "billing_plancode": "UBM - A/A", "hostname": "h.example.com"},
}
_LAST = f"{_HEAD.replace(', ', chr(10))}\nspec: {{name: Last, {_SPEC}}}\nmetadata:\n    name: last"
_LAYOUTS: dict[str, tuple[str, str, str]] = {
    # the text, what the id is written after, and how it is written
    "block": (_BLOCK, "name: block      # the identity\n", "  id: {}\n"),
    "crlf": (_CRLF, "name: crlf      # the identity\r\n", "  id: {}\r\n"),
    "flow": (
        f"{{{_HEAD}, metadata: {{ name: flow }}, spec: {{name: Flow, {_SPEC}}}}} # end\n",
        "{ name: flow",
        ", id: {}",
    ),
    "json": (json.dumps(_JSON), '{"name": "json"', ', "id": {}'),
    "last": (_LAST, "name: last", "\n    id: {}"),
}


def test_ids_are_written_and_every_other_byte_is_kept(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    for name, (text, _, _) in _LAYOUTS.items():
        workspace.write(f"{name}.yaml", text)
    several = [manifest(kind, "one-of-four", name="One of four") for kind in _KINDS]
    workspace.write("several.yaml", "# first\n" + "---\n# next\n".join(several))
    account = sandbox()
    assert account.apply().code == 0
    folder, ids = workspace.root / "monitors", _ids(workspace)
    assert (folder / "block.yaml").read_text() == _BLOCK

    done = account.apply("--write-ids")  # without a change to make, as well
    assert done.code == 0
    for name, (text, before, form) in _LAYOUTS.items():
        assert text.count(before) == 1
        number = ids[f"email-smtp/{name}"]
        expected = text.replace(before, before + form.replace("{}", str(number)))
        assert (folder / f"{name}.yaml").read_bytes().decode() == expected
        line = f"monitors/{name}.yaml: wrote metadata.id {number} of email-smtp/{name}.\n"
        assert line in done.err
    lines = (folder / "several.yaml").read_text().splitlines()
    added = [f"  id: {ids[f'{kind}/one-of-four']}" for kind in _KINDS]
    assert [line for line in lines if line.startswith("  id:")] == added
    assert len(lines) == len(("# first\n" + "---\n# next\n".join(several)).splitlines()) + 4

    workspace.kept.unlink()  # the ids are enough
    again = account.apply("--write-ids")
    assert again.out.startswith("No changes. 9 unchanged.\n")
    assert "wrote" not in again.err
    assert len(account.creates()) == 9


def test_id_is_not_written_into_what_was_edited_meanwhile(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    one, two = (manifest("email-smtp", name, name=name) for name in ("one", "two"))
    swapped, text = f"{two}---\n{one}", "not a manifest\n"

    workspace.write("a.yaml", f"{one}---\n{two}")
    workspace.write("b.yaml", manifest("email-smtp", "three", name="three"))

    def edit(_moment: str, _method: str, path: str) -> None:
        if path == "/monitors/email-smtp":
            workspace.write("a.yaml", swapped)
            workspace.write("b.yaml", text)

    account = sandbox(witness=edit)
    done = account.apply("--write-ids").expect(0)
    assert workspace.read("a.yaml") == swapped
    assert workspace.read("b.yaml") == text
    ids = _ids(workspace)
    for place, name in (("a.yaml:1", "one"), ("a.yaml:10", "two"), ("b.yaml:1", "three")):
        number = ids[f"email-smtp/{name}"]
        reason = "was not written: the file has changed meanwhile; it is in the state."
        assert f"monitors/{place}: id {number} {reason}\n" in done.err


def test_one_alike_is_refused_until_it_is_adopted(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-smtp", "one", port=587)
    account = sandbox(monitor("email-smtp", 5, port=25), monitor("email-imap", 6))
    for command in (("plan",), _APPLY):
        refused = account.run(*command)
        assert refused.code == 5
        assert (
            "  ! email-smtp/one refused: AlertSite already has a monitor of the kind email-smtp "
            "named 'Monitor', with the id 5, and nothing binds it to this manifest "
            "(monitors/one.yaml:1)\n"
            "      Bind it with --adopt or metadata.id, or give the manifest's monitor another "
            "name.\n"
        ) in refused.out
    assert [item["code"] for item in account.run("plan", "--json").json["refusals"]] == ["not-ours"]
    assert account.patches() == []

    said = "  = email-smtp/one (id 5) adopted: bound to this monitor from now on\n"
    account.apply("--adopt").expect(0, out=said)
    assert account.patches() == [("/monitors/email-smtp/5", {"port": 587})]
    assert account.creates() == []
    again = account.run("plan", "--detailed-exitcode").expect(0)
    assert again.out.startswith("No changes. 1 unchanged.\n1 email monitor in AlertSite without")


def test_adopted_without_a_difference_is_bound_without_a_request(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one")
    account = sandbox(monitor("email-smtp", 5))
    account.apply("--adopt", "--write-ids").expect(0, err="wrote metadata.id 5 of email-smtp/one.")
    assert "  id: 5\n" in workspace.read("one.yaml")
    assert account.patches() == account.creates() == []
    assert _ids(workspace) == {"email-smtp/one": 5}


def test_what_could_mean_several_monitors_is_refused(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    texts = [
        manifest("email-smtp", "one"),
        manifest("email-smtp", "twin", name="Twin"),
        manifest("email-smtp", "other-twin", name="Twin"),
        manifest("email-imap", "no-twin", name="Twin"),
        manifest("email-pop", "same-name-with-id", 8, name="Pop"),
        manifest("email-pop", "same-name", name="Pop"),
    ]
    workspace.write("all.yaml", "---\n".join(texts))
    alike = monitor("email-smtp", 7), monitor("email-smtp", 5)
    account = sandbox(*alike, monitor("email-pop", 8, name="Pop"))
    for flags in ([], ["--adopt"]):
        done = account.apply(*flags)
        assert done.code == 5
        assert "AlertSite has several monitors of the kind email-smtp named 'Monitor': 5, 7" in (
            done.out
        )
        assert "other-twin refused: email-smtp/twin also describes" in done.out
        assert "/twin refused: email-smtp/other-twin also describes" in done.out
        assert "Plan: 2 to add, 0 to change, 0 to destroy. 1 unchanged. 3 refused." in done.out
    assert account.creates() == account.patches() == []
    account.apply("--target", "*/no-twin", "--target", "email-pop/*").expect(0)
    assert sorted(account.creates()) == ["/monitors/email-imap", "/monitors/email-pop"]


def test_deleted_outside_git(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-smtp", "one", name="One")
    workspace.describe("email-smtp", "two", 2)
    account = sandbox(monitor("email-smtp", 2))
    assert account.apply().code == 0
    account.delete(100001)
    account.delete(2)

    both = account.run("plan")
    assert both.code == 5
    assert "+ email-smtp/one (monitors/one.yaml:1): deleted outside Git, created again" in both.out
    assert "! email-smtp/two refused: monitor 2 was deleted outside Git" in both.out
    assert "Remove metadata.id from the manifest to create it again" in both.out
    as_json = account.run("plan", "--json").json
    assert [change["reason"] for change in as_json["changes"]] == ["deleted-outside-git"]
    assert [refusal["code"] for refusal in as_json["refusals"]] == ["deleted"]

    assert account.apply("--target", "*/one").code == 0
    assert _ids(workspace) == {"email-smtp/one": 100002, "email-smtp/two": 2}
    workspace.replace("two.yaml", "  id: 2\n", "")
    said = "email-smtp/two (monitors/two.yaml:1): deleted outside Git, created again"
    account.apply().expect(0, out=said)
    assert _ids(workspace) == {"email-smtp/one": 100002, "email-smtp/two": 100003}
    assert "No changes. 2 unchanged." in account.run("plan").out


@pytest.mark.usefixtures("four")
def test_rejected_create_is_reported_and_not_recorded(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(faults=["POST /monitors/email-pop status=400 times=1"])
    done = account.apply()
    assert done.code == 7
    assert (
        "! email-pop/new failed: POST /monitors/email-pop: 400 Bad Request: The sandbox was told "
        "to answer this. (monitors/email-pop.yaml:1)\n"
    ) in done.out
    assert "Resources: 3 added, 0 changed, 0 destroyed. Of 4 changes: 3 done, 1 failed." in done.out
    state = workspace.state()
    assert "email-pop/new" not in {**state["records"], **state["pending_creates"]}
    assert account.apply().code == 0
    assert account.creates().count("/monitors/email-pop") == 2
    assert len(account.monitors()) == len(account.creates()) - 1 == 4


_ACTED = (  # the monitor is there, and no answer says so
    "POST /monitors/email-imap drop=after",
    "POST /monitors/email-pop body=truncated",
    "POST /monitors/email-round-trip body=html status=502",
    "POST /monitors/email-smtp body=html status=504 delay=0.2",
)


@pytest.mark.usefixtures("four")
def test_lost_answer_is_settled_by_looking(workspace: Workspace, sandbox: Sandbox) -> None:
    account = sandbox(faults=_ACTED)
    done = account.apply().expect(0)
    assert done.err.count(": unconfirmed\n") == 4
    assert "Apply complete! Resources: 4 added, 0 changed, 0 destroyed.\n" in done.out
    assert sorted(account.creates()) == [f"/monitors/{kind}" for kind in _KINDS]
    assert sorted(_ids(workspace).values()) == [item["id"] for item in account.monitors()]
    assert "No changes. 4 unchanged." in account.run("plan").out


_NOT_ACTED = (  # it may have arrived, as far as anybody can tell
    "POST /monitors/email-imap drop=before times=1",
    "POST /monitors/email-pop status=500 times=1",
    "POST /monitors/email-round-trip status=502 times=1",
    "POST /monitors/email-smtp status=200 times=1",
)


@pytest.mark.usefixtures("four")
def test_create_that_may_have_arrived_is_looked_for_before_it_is_sent_again(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(faults=_NOT_ACTED)
    done = account.apply()
    assert done.code == 0
    assert (
        "Waiting for 4 monitors, whose create is not confirmed and may still be in progress"
        in done.err
    )
    assert "AlertSite has not created 4 monitors: sending again.\n" in done.err
    assert "Resources: 4 added, 0 changed, 0 destroyed." in done.out
    assert len(account.creates()) == 8
    assert sorted(_ids(workspace).values()) == [item["id"] for item in account.monitors()]
    assert "being created" not in account.run("state", "list").out


_UNSEEN = ["POST /monitors/* drop=after times=1", "GET /monitors skip=1 times=1 status=500"]


def test_create_that_could_not_even_be_looked_for_is_found_by_the_next_run(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one", name="One")
    account = sandbox(faults=_UNSEEN)
    assert account.apply().code == 7
    plan = account.run("plan").expect(0)
    found = (
        "= email-smtp/one (id 100001) recovered: created by an earlier run that did not record it"
    )
    assert f"  {found}\n" in plan.out
    assert account.apply().code == 0
    assert _ids(workspace) == {"email-smtp/one": 100001}
    assert account.creates() == ["/monitors/email-smtp"]
    assert account.run("plan").out == "No changes. 1 unchanged.\n"


def test_lost_create_with_a_double_is_not_guessed(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-smtp", "one", name="One")
    account = sandbox(faults=_UNSEEN)
    assert account.apply().code == 7
    host = account.live(100001)["hostname"]
    account.create("email-smtp", name="One", hostname=host, note="by hand")
    said = "several monitors of the kind email-smtp named 'One': 100001, 100002"
    account.apply().expect(5, out=said)
    workspace.replace("one.yaml", "name: one\n", "name: one\n  id: 100001\n")
    assert account.apply().code == 0
    assert _ids(workspace) == {"email-smtp/one": 100001}
    assert account.live(100002)["note"] == "by hand"


@pytest.mark.usefixtures("four")
def test_create_that_did_not_arrive_is_sent_again(sandbox: Sandbox) -> None:
    account = sandbox(
        faults=[
            "POST /monitors/email-imap status=429 retry-after=1 times=1",
            "POST /monitors/email-pop status=503 retry-after=0 times=2",
            "POST /monitors/email-smtp status=401 times=1",
        ]
    )
    done = account.apply()
    assert done.code == 0
    assert "AlertSite has not created 3 monitors: sending again." in done.err
    assert "AlertSite has not created email-pop/new: sending again." in done.err
    posts = account.creates()
    assert [posts.count(f"/monitors/{kind}") for kind in _KINDS] == [2, 3, 1, 2]
    assert len(account.monitors()) == 4


@pytest.mark.parametrize(
    ("default", "why"),
    [(("enabled", False), "enabled is false"), (("locations", []), "it has no locations")],
)
def test_one_that_the_defaults_of_the_account_keep_from_running_is_named(
    workspace: Workspace,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    default: tuple[str, object],
    why: str,
) -> None:
    monkeypatch.setitem(monitors._ACCOUNT_DEFAULTS, *default)  # type: ignore[arg-type]
    workspace.describe("email-smtp", "new", name="New")
    account = sandbox()
    done = account.apply()
    line = f"! email-smtp/new done: it is there but does not run: {why}, and the manifest does not"
    done.expect(0, out=line)
    assert account.apply().code == 0


def test_history_keeps_the_id_of_one_that_is_not_seen_and_is_created_again(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    """So that the first one can be told, should AlertSite show it one day."""
    workspace.describe("email-smtp", "new", name="New")
    account = sandbox(world=World(lag=3600), faults=["GET /monitors/10000* status=404"])
    for _ in range(2):
        done = account.apply()
        assert done.code in {0, 7}, done.text
    assert len(account.creates()) == 2, done.text
    told = account.run("history", "email-smtp/new")
    assert all(f"new (id {number}) unconfirmed" in told.out for number in (100001, 100002))


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
        self, fault: str, creating: Sandbox
    ) -> None:
        account = creating(5, faults=[fault])
        done = account.apply()
        assert account.names() == [f"New {number}" for number in range(1, 6)]
        assert len(account.creates()) == 5
        if "status=400" in fault:  # a refusal is believed; what was made all the same is not ours
            assert done.code == 7
            return
        done.expect(0, out="Resources: 5 added, 0 changed, 0 destroyed.")
        assert account.run("plan").out == "No changes. 5 unchanged.\n"

    @pytest.mark.parametrize("status", [429, 401, 503])
    def test_one_that_had_none_is_sent_again_after_a_look(
        self, status: int, creating: Sandbox
    ) -> None:
        account = creating(2, faults=[f"POST /monitors/* status={status} retry-after=0 times=1"])
        account.apply().expect(0, err="AlertSite has not created ")
        assert account.names() == ["New 1", "New 2"]

    def test_one_under_way_is_waited_for(self, creating: Sandbox) -> None:
        """A gateway answers 504 at once, the backend needs longer; a user repeats as told."""
        account = creating(
            3, world=parse_world("backend=0.7"), faults=["POST /monitors/* act=late status=504"]
        )
        for _ in range(2):
            account.apply(env={"RECONCILER_TIMEOUT": "1s"}, clock=SYSTEM).expect(0)
        assert account.names() == ["New 1", "New 2", "New 3"]
        assert len(account.creates()) == 3

    def test_one_of_a_killed_run_is_waited_for(self, creating: Sandbox, start: Start) -> None:
        account = creating(1, world=parse_world("backend=1"))
        process = start(*_APPLY, env=account.env | {"RECONCILER_LOCK_LEASE": "1s"})
        process.read_until("AlertSite:")
        time.sleep(0.5)  # the POST is under way
        process.popen.kill()
        process.popen.wait()
        account.apply("--lock-timeout", "10s", clock=SYSTEM).expect(0)
        assert account.names() == ["New 1"]
        assert len(account.creates()) == 1

    def test_an_id_that_was_there_before_binds_nothing(
        self, creating: Sandbox, workspace: Workspace
    ) -> None:
        account = creating(
            1, monitor(_SMTP, 7, name="A stranger's", port=25), world=parse_world("lies=create-id")
        )
        before = account.live(7)
        for _ in range(2):
            account.apply()
            assert account.live(7) == before
        assert account.names() == ["A stranger's", "New 1"]
        assert [record["id"] for record in workspace.state()["records"].values()] != [7]

    def test_ids_that_were_crossed_on_the_way_bind_nothing_and_double_nothing(
        self, creating: Sandbox, workspace: Workspace
    ) -> None:
        account = creating(3, world=parse_world("lies=previous-id"))
        done = account.apply("--parallelism", "1")
        assert (done.code, len(account.creates())) == (0, 3)
        made = {f"{_SMTP}/new-{item['name'][-1]}": item["id"] for item in account.monitors()}
        records = workspace.state()["records"].items()
        assert {address: record["id"] for address, record in records} == made
        assert "No changes. 3 unchanged." in account.run("plan").out

    @pytest.mark.parametrize("is_gone", [False, True])
    def test_the_id_of_what_a_stranger_made_meanwhile_is_not_taken_for_ours(
        self, is_gone: bool, creating: Sandbox, workspace: Workspace
    ) -> None:
        """The answer names it, and the list does not show ours yet."""
        numbers: list[int] = []

        def witness(moment: str, method: str, path: str) -> None:
            if (
                (moment, method) == ("before", "POST")
                and path.startswith("/monitors")
                and not numbers
            ):
                numbers.append(0)
                numbers[0] = account.create(_SMTP, name="A stranger's", hostname="x.example.com")
                account.controls.world = parse_world("lies=create-id,lag=3600")

        account = creating(1, witness=witness)
        done = account.apply("--write-ids")
        (number,) = numbers
        before = account.live(number)
        assert done.code == 7
        assert f"monitor {number} has neither the name nor the target" in done.text
        assert "Waiting for email-smtp/new-1" in done.err  # its own may come yet
        if is_gone:
            workspace.remove("new.yaml")
        for command in (("plan",), _APPLY, (*_APPLY, "--prune", "--allow-empty")):
            done = account.run(*command)
            assert account.live(number) == before
            if not is_gone or "--prune" in command:
                done.expect(5, out="email-smtp/new-1")
        assert len(account.creates()) == 2

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
        self, world: str, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        name = "Cafe\u0301 & relay  of the house in Boston"
        workspace.describe(_SMTP, "new", name=name)
        account = sandbox(world=parse_world(world), faults=["POST /monitors/* drop=after times=1"])
        for _ in range(3):
            account.apply()
        assert len(account.monitors()) == 1
        assert len(account.creates()) == 1
        assert workspace.state()["records"]["email-smtp/new"]["id"] == 100001


def _sent(name: str) -> dict[str, str]:
    return {"name": f"Once {name}", "hostname": f"{name}.example.com"}


class Killed:
    """What a run made that was killed: a monitor for each of a and b."""

    def __init__(self, account: Account, workspace: Workspace) -> None:
        self.account = account
        self._workspace = workspace
        self.a, self.b = (account.create(_SMTP, **_sent(name)) for name in "ab")

    def answered(self, at: str = "2026-01-01T00:00:00Z", **ids: int | None) -> None:
        """Writes the state: by name, the ids that were answered; None for no answer."""
        records, creates = {}, {}
        for name, number in ids.items():
            if number is None:
                creates[f"{_SMTP}/{name}"] = PendingCreate("run-1", at, _sent(name))
            else:
                record = Record(number, {}, {}, at, "run-1", unseen=_sent(name))
                records[f"{_SMTP}/{name}"] = record
        place = model.Account("default", self.account.url)
        state = State("lineage", place, 1, at, "run-1", records, creates, {"run-1": ()})
        self._workspace.save(to_text(state))

    def rename(self, **names: str) -> None:
        """Writes manifests with other names than the run knew, by the new name."""
        for name, was in names.items():
            text = manifest(_SMTP, name, name=f"Now {name}", hostname=f"{was}.example.com")
            line = f"  name: {name}\n"
            text = text.replace(line, f"{line}  previously: [{was}]\n", 1)
            self._workspace.write(f"{name}.yaml", text)

    def keep(self, names: str) -> None:
        """Writes manifests as the run knew them, by their names."""
        for name in names:
            self._workspace.describe(_SMTP, name, **_sent(name))


class TestUnconfirmed:
    """Records that only an answer has confirmed, as a killed run leaves them."""

    @pytest.fixture
    def killed(self, sandbox: Sandbox, workspace: Workspace) -> Killed:
        return Killed(sandbox(), workspace)

    @pytest.mark.parametrize("is_there", [True, False], ids=["crossed", "missing"])
    def test_they_are_known_under_the_names_that_manifests_have_by_now(
        self, killed: Killed, workspace: Workspace, *, is_there: bool
    ) -> None:
        if is_there:
            killed.answered(a=killed.b, b=killed.a)
        else:
            killed.answered(a=killed.b + 1, b=killed.b)
        killed.rename(c="a", d="b")
        done = killed.account.apply().expect(0)
        assert ("Waiting for email-smtp/a" in done.err) is not is_there
        assert killed.account.names() == ["Now c", "Now d"]
        assert workspace.bound() == {"c": killed.a, "d": killed.b}

    def test_one_that_is_another_s_is_pending_again_whatever_the_run_is_about(
        self, killed: Killed, workspace: Workspace
    ) -> None:
        killed.answered(a=killed.b, b=None)
        killed.keep("ab")
        killed.account.delete(killed.a)
        killed.account.apply("--target", f"{_SMTP}/b")
        assert workspace.bound() == {"b": killed.b}
        assert list(workspace.state()["pending_creates"]) == [f"{_SMTP}/a"]
        assert killed.account.apply().code == 0
        assert killed.account.names() == ["Once a", "Once b"]

    def test_one_of_a_monitor_that_is_not_there_is_not_forgotten_without_its_manifest(
        self, killed: Killed, workspace: Workspace
    ) -> None:
        killed.answered(written(datetime.now(UTC)), a=killed.b + 1)
        done = killed.account.apply("--allow-empty")
        assert "forgotten" not in done.out
        assert f"email-smtp/a (id {killed.a}) left over" in done.out
        killed.keep("a")
        assert killed.account.apply().code == 0
        assert (workspace.bound(), len(killed.account.creates())) == ({"a": killed.a}, 2)

    def test_one_that_has_what_was_sent_to_it_since_is_not_waited_for(
        self, killed: Killed, workspace: Workspace
    ) -> None:
        killed.answered(a=killed.a)
        state = workspace.state()
        now = {"name": "Now a", "hostname": "now.example.com"}
        state["records"][f"{_SMTP}/a"]["sending"] = {"run": "run-2", "fields": now}
        workspace.save(state)
        killed.account.edit(_SMTP, killed.a, **now)
        killed.keep("a")
        assert "Waiting" not in killed.account.apply().expect(0).err
        assert killed.account.live(killed.a)["name"] == "Once a"


def _describe(workspace: Workspace, name: str) -> None:
    workspace.describe(_SMTP, name, name=f"Mon {name}", hostname=f"{name}.example.com")


class TestIdsGivenAgain:
    """Whether AlertSite gives the id of a deleted monitor to a new one is not known."""

    @pytest.fixture
    def without_a(self, sandbox: Sandbox, workspace: Workspace) -> Account:
        """An account in which the one monitor, that of a, was deleted by hand; b is new."""
        account = sandbox(world=parse_world("reuse-ids"))
        _describe(workspace, "a")
        assert account.apply().code == 0
        account.delete(workspace.bound()["a"])
        _describe(workspace, "b")
        return account

    @pytest.mark.parametrize(
        "fault", ["", "POST /monitors/* act=first status=503", "POST /monitors/* drop=after"]
    )
    def test_the_record_of_the_missing_one_goes(
        self, fault: str, without_a: Account, workspace: Workspace
    ) -> None:
        (missing,) = workspace.bound().values()
        if fault:
            without_a.fail(f"{fault} times=1")
        one = without_a.apply("--target", f"{_SMTP}/b")
        assert (one.code, workspace.bound()) == (0, {"b": missing})
        for _ in range(2):
            assert without_a.apply().code == 0
        assert without_a.names() == ["Mon a", "Mon b"]
        assert workspace.bound() == {"a": missing + 1, "b": missing}

    @pytest.mark.parametrize("parallelism", ["1", "4"])
    def test_so_it_does_if_it_could_not_be_created_again(
        self, parallelism: str, without_a: Account, workspace: Workspace
    ) -> None:
        without_a.fail("POST /monitors/* status=400 times=1")
        without_a.apply("--parallelism", parallelism).expect(7)
        assert len(workspace.bound()) == 1
        for _ in range(2):
            assert without_a.apply().code == 0
        assert without_a.names() == ["Mon a", "Mon b"]

    def test_an_undo_does_not_take_it_for_a_rename(
        self, without_a: Account, workspace: Workspace
    ) -> None:
        assert without_a.apply("--target", f"{_SMTP}/b").code == 0
        undo = ("undo", workspace.state()["run"], "--auto-approve")
        assert without_a.run(*undo).code == 0
        assert without_a.names() == []

    def test_what_a_manifest_names_is_given_to_nobody_else(
        self, without_a: Account, workspace: Workspace
    ) -> None:
        (missing,) = workspace.bound().values()
        workspace.replace("a.yaml", "  name: a\n", f"  name: a\n  id: {missing}\n")
        without_a.apply("--write-ids", "--target", f"{_SMTP}/b")
        for _ in range(2):
            assert without_a.apply("--write-ids").code == 0
        assert without_a.names() == ["Mon a", "Mon b"]
        assert workspace.bound() == {"a": missing, "b": missing + 1}

    def test_an_undo_that_creates_again_makes_one(
        self, sandbox: Sandbox, workspace: Workspace
    ) -> None:
        """The id is that of a record that no look has confirmed and whose monitor is gone."""
        is_away = threading.Event()

        def witness(moment: str, method: str, path: str) -> None:
            if is_away.is_set() and (moment, method) == ("after", "POST") and "-tokens" not in path:
                account.fail("GET /monitors* status=503")

        account = sandbox(world=parse_world("reuse-ids"), witness=witness)
        _describe(workspace, "b")
        assert account.apply().code == 0
        workspace.remove("b.yaml")
        assert account.apply("--prune", "--allow-empty").code == 0
        pruned = workspace.state()["run"]
        is_away.set()
        _describe(workspace, "a")
        assert account.apply().code == 7
        is_away.clear()
        account.fail()
        account.delete(workspace.bound()["a"])
        account.run("undo", pruned, "--auto-approve")
        assert account.names() == ["Mon b"]


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
        workspace.save(state)
        assert account.apply().code == 0
        assert [*workspace.state()["pending_creates"]] == kept

    def test_one_whose_manifest_is_gone_binds_and_prunes_nothing(
        self, workspace: Workspace, creating: Sandbox
    ) -> None:
        """A lost create, its manifest goes, weeks later somebody makes one of that name by hand."""
        workspace.describe(_SMTP, "kept", 5)
        account = creating(
            1,
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
        workspace.save(state)
        assert account.apply("--prune").code == 0
        assert workspace.state()["pending_creates"] == {}
        number = account.create(_SMTP, name="New 1")
        for _ in range(2):
            account.apply("--prune").expect(0)
        assert account.live(number)["name"] == "New 1"
        assert list(workspace.bound()) == ["kept"]

    def test_one_that_was_lost_is_not_taken_for_a_monitor_that_was_there_before(
        self, creating: Sandbox
    ) -> None:
        """A create gets lost, and somebody gives its name to another monitor."""
        account = creating(
            1,
            monitor(_SMTP, 7, name="Other"),
            faults=["POST /monitors/* drop=before", "GET /monitors skip=1 times=1 status=400"],
        )
        assert account.apply().code == 7
        account.edit(_SMTP, 7, name="New 1")
        before = account.live(7)
        account.apply().expect(5, out="nothing binds it to this manifest")
        assert account.live(7) == before

    def test_two_runs_with_states_of_their_own_are_named(
        self, creating: Sandbox, run_process: Run
    ) -> None:
        """When they begin to create, both have looked and found nothing."""
        others: list[Done] = []
        has_begun = threading.Event()

        def apply_meanwhile(moment: str, method: str, path: str) -> None:
            is_create = (moment, method) == ("before", "POST") and path.startswith("/monitors/")
            if is_create and not has_begun.is_set():
                has_begun.set()
                others.append(run_process(*_APPLY, "--state", "file:b.json", env=account.env))

        account = creating(4, witness=apply_meanwhile)
        words = (*_APPLY, "--parallelism", "1", "--state", "file:a.json")
        done = account.run(*words, env={"RECONCILER_TIMEOUT": "30s"})
        assert ([other.code for other in others], done.code) == ([0], 7)
        assert account.names() == sorted(2 * [f"New {number}" for number in range(1, 5)])
        doubled = r"doubled: AlertSite also has monitor \d+ of the same kind and name"
        assert len(re.findall(doubled, done.out)) == 4
        for state in ("a.json", "b.json"):
            plan = account.run("plan", "--state", f"file:{state}")
            assert plan.out.count("has the same kind and name as managed monitor") == 4

    def test_what_is_replaced_goes_only_after_its_replacement_was_seen(
        self, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        workspace.write("a.yaml", manifest("email-pop", "mail", 5, name="Mail"))
        account = sandbox(
            monitor("email-pop", 5, name="Mail"), faults=[f"POST /monitors/{_SMTP} status=200"]
        )
        assert account.apply().code == 0
        workspace.write("a.yaml", manifest(_SMTP, "mail", name="Mail"))
        said = "monitors are only retired when all other changes are done"
        account.apply("--prune").expect(6, out=said)
        assert account.requests("DELETE") == []
        calls = account.calls()
        post = max(index for index, call in enumerate(calls) if call.startswith("POST /monitors/"))
        assert "GET /monitors" in calls[post:]

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


def test_a_lost_state_and_another_display_name_double_nothing(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe(_SMTP, "new", name="Old name", port=587)
    account = sandbox()
    assert account.apply().code == 0
    workspace.kept.unlink()
    workspace.describe(_SMTP, "new", name="New name", port=587)
    account.apply("--adopt").expect(5, out="others that check the same server: 100001")
    assert len(account.monitors()) == 1
