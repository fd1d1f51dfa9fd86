"""New monitors: created once, bound, adopted or refused, whatever becomes of the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from e2e.conftest import manifest, monitor

from reconciler.sandbox import monitors
from reconciler.sandbox.worlds import World

if TYPE_CHECKING:
    from conftest import Account, Sandbox, Workspace

    from reconciler.context import Clock

_APPLY = ("apply", "--auto-approve")
_KINDS = ("email-imap", "email-pop", "email-round-trip", "email-smtp")


def _posts(account: Account) -> list[str]:
    """The path of every create that was sent."""
    return [entry["path"] for entry in account.requests("POST") if "monitors" in entry["path"]]


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
    for name, (text, before, written) in _LAYOUTS.items():
        assert text.count(before) == 1
        number = ids[f"email-smtp/{name}"]
        expected = text.replace(before, before + written.replace("{}", str(number)))
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
    assert len(_posts(account)) == 9


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

    adopted = account.apply("--adopt")
    assert adopted.code == 0
    assert "  = email-smtp/one (id 5) adopted: bound to this monitor from now on\n" in adopted.out
    assert account.patches() == [("/monitors/email-smtp/5", {"port": 587})]
    assert _posts(account) == []
    again = account.run("plan", "--detailed-exitcode").expect(0)
    assert again.out.startswith("No changes. 1 unchanged.\n1 email monitor in AlertSite without")


def test_adopted_without_a_difference_is_bound_without_a_request(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one")
    account = sandbox(monitor("email-smtp", 5))
    account.apply("--adopt", "--write-ids").expect(0, err="wrote metadata.id 5 of email-smtp/one.")
    assert "  id: 5\n" in workspace.read("one.yaml")
    assert account.patches() == _posts(account) == []
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
    assert _posts(account) == account.patches() == []
    account.apply("--target", "*/no-twin", "--target", "email-pop/*").expect(0)
    assert sorted(_posts(account)) == ["/monitors/email-imap", "/monitors/email-pop"]


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
    last = account.apply()
    assert last.code == 0
    assert "email-smtp/two (monitors/two.yaml:1): deleted outside Git, created again" in last.out
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
    assert _posts(account).count("/monitors/email-pop") == 2
    assert len(account.monitors()) == len(_posts(account)) - 1 == 4


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
    assert sorted(_posts(account)) == [f"/monitors/{kind}" for kind in _KINDS]
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
    workspace: Workspace, sandbox: Sandbox, hurried: Clock
) -> None:
    account = sandbox(faults=_NOT_ACTED)
    done = account.apply(clock=hurried)
    assert done.code == 0
    assert (
        "Waiting for 4 monitors, whose create is not confirmed and may still be in progress"
        in done.err
    )
    assert "AlertSite has not created 4 monitors: sending again.\n" in done.err
    assert "Resources: 4 added, 0 changed, 0 destroyed." in done.out
    assert len(_posts(account)) == 8
    assert sorted(_ids(workspace).values()) == [item["id"] for item in account.monitors()]
    assert "being created" not in account.run("state", "list", clock=hurried).out


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
    assert _posts(account) == ["/monitors/email-smtp"]
    assert account.run("plan").out == "No changes. 1 unchanged.\n"


def test_lost_create_with_a_double_is_not_guessed(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-smtp", "one", name="One")
    account = sandbox(faults=_UNSEEN)
    assert account.apply().code == 7
    host = account.live(100001)["hostname"]
    body = {"name": "One", "billing_plancode": "UBM - A/A", "hostname": host, "note": "by hand"}
    account.create("email-smtp", **body)
    done = account.apply()
    assert done.code == 5
    assert "several monitors of the kind email-smtp named 'One': 100001, 100002" in done.out
    workspace.replace("one.yaml", "name: one\n", "name: one\n  id: 100001\n")
    assert account.apply().code == 0
    assert _ids(workspace) == {"email-smtp/one": 100001}
    assert account.live(100002)["note"] == "by hand"


@pytest.mark.usefixtures("four")
def test_create_that_did_not_arrive_is_sent_again(sandbox: Sandbox, hurried: Clock) -> None:
    account = sandbox(
        faults=[
            "POST /monitors/email-imap status=429 retry-after=1 times=1",
            "POST /monitors/email-pop status=503 retry-after=0 times=2",
            "POST /monitors/email-smtp status=401 times=1",
        ]
    )
    done = account.apply(clock=hurried)
    assert done.code == 0
    assert "AlertSite has not created 3 monitors: sending again." in done.err
    assert "AlertSite has not created email-pop/new: sending again." in done.err
    posts = _posts(account)
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
    workspace: Workspace, sandbox: Sandbox, hurried: Clock
) -> None:
    """So that the first one can be told, should AlertSite show it one day."""
    workspace.describe("email-smtp", "new", name="New")
    account = sandbox(world=World(lag=3600), faults=["GET /monitors/10000* status=404"])
    for _ in range(2):
        done = account.apply(clock=hurried)
        assert done.code in {0, 7}, done.text
    assert len(_posts(account)) == 2, done.text
    told = account.run("history", "email-smtp/new")
    assert all(f"new (id {number}) unconfirmed" in told.out for number in (100001, 100002))
