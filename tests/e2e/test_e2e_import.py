"""Importing an account: one command, manifests that change nothing, and what is left to do."""

import re
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Account, Run, Sandbox, Start, Workspace, manifest, monitor

from reconciler.cli import import_
from reconciler.core.model import Origin
from reconciler.core.plan import Plan, Refusal
from reconciler.sandbox import seeded

from build import ACCOUNT

SECRETS = ("hunter2", "k-1")
"""What the made-up accounts have in fields that look like secrets."""


def files(workspace: Workspace, folder: str = "monitors") -> dict[str, bytes]:
    root = workspace.root / folder
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.mark.large
def test_a_thousand_monitors(workspace: Workspace, run: Run, start: Start) -> None:
    server = start("sandbox", "--seed-count", "1000", "--secret-fields", "echoed")
    exports = server.read_until("PASSWORD", stream="stdout")
    env = dict(re.findall(r"export (\w+)=(\S+)", exports))

    done = run("import", env=env).expect(0)
    names, _, report = done.out.partition("Imported 1,000 monitors into ")
    lines = report.splitlines()
    assert lines[0] == "1,000 files below monitors."
    assert lines[1].startswith("Shared values in monitors/_defaults.yaml: billing")
    assert "  - EMAIL_IMAP_MONITOR_8_POP3_PASSWORD: email-imap/monitor-8 pop3_password" in lines
    assert lines[-1] == "Plan after import: no changes. 1,000 unchanged."
    written = files(workspace)
    assert len(written) == 1001
    (line,) = names.splitlines()
    assert line.startswith("wrote  1,001 files: monitors/email-imap 250, monitors/email-pop 250, ")
    assert "Reading the account's monitors.\n" in done.err
    assert not [
        name for name, data in written.items() if any(map(data.count, map(str.encode, SECRETS)))
    ]
    assert not [secret for secret in SECRETS if secret in done.text]

    assert run("validate").err == "Valid: 1,000 manifests in 1,000 files.\n"
    assert run("fmt", "--check").code == 0
    plan = run("plan", "--detailed-exitcode", env=env).expect(0)
    assert plan.out.startswith("No changes. 1,000 unchanged.\nRECONCILER_SECRET_KEY is not set")

    again = run("import", "--merge", env=env)
    assert (again.code, again.out) == (
        0,
        "1,000 monitors already in manifests: not changed.\nNothing to import.\n",
    )
    assert files(workspace) == written


@pytest.fixture
def account(sandbox: Sandbox, schemas: dict[str, Any]) -> Account:
    return sandbox(*seeded(40, schemas))


def test_nothing_is_overwritten(workspace: Workspace, account: Account) -> None:
    workspace.write("email-smtp/buro-munchen-smtp.yaml", manifest("email-smtp", "mine", 7))
    before = files(workspace)
    said = "existing files: monitors/email-smtp/buro-munchen-smtp.yaml"
    account.run("import").expect(5, err=said)
    assert files(workspace) == before

    said = "Imported 40 monitors into 40 files below monitors.\nNo defaults were"
    account.run("import", "--merge").expect(0, out=said)
    after = files(workspace)
    assert "email-smtp/buro-munchen-smtp-2.yaml" in after
    assert {name: after[name] for name in before} == before
    assert account.run("import").code == 5


def test_a_note_about_many_monitors_is_one_line(sandbox: Sandbox) -> None:
    fields = {"home_location": "x"}
    seed = [monitor("email-smtp", id_, name=f"m{id_:02}", **fields) for id_ in range(1, 31)]
    done = sandbox(*seed).run("import")
    assert "wrote  31 files: monitors/email-smtp 30, monitors 1\n" in done.out
    assert (
        "  - email-smtp/m01, email-smtp/m02, email-smtp/m03 and 27 more home_location: "
        "spec.home_location must be an integer, not a string\n"
    ) in done.out


def test_staged_for_review(workspace: Workspace, account: Account) -> None:
    done = account.run("import", "--into", "staged", "--layout", "{kind}.yaml")
    assert done.code == 0
    assert "Plan after import: no changes. 40 unchanged." in done.out
    assert "Nothing is managed yet: move the new files" in done.err
    assert sorted(files(workspace, "staged")) == [
        "_defaults.yaml",
        "email-imap.yaml",
        "email-pop.yaml",
        "email-round-trip.yaml",
        "email-smtp.yaml",
    ]
    assert files(workspace) == {}
    (workspace.root / "monitors").rmdir()
    (workspace.root / "staged").rename(workspace.root / "monitors")
    assert account.run("plan", "--detailed-exitcode").code == 0


def test_without_defaults(workspace: Workspace, account: Account) -> None:
    assert account.run("import", "--no-defaults").code == 0
    written = files(workspace)
    assert len(written) == 40
    assert written["email-round-trip/relay-primary-it-s-one.yaml"].decode() == (
        """\
apiVersion: reconciler/v1
kind: email-round-trip
metadata: {name: relay-primary-it-s-one, id: 200019}
spec:
  name: 'Relay: "primary" # it''s one'
  billing_plancode: UBM - A/A
  smtp_hostname: smtps://smtp.example.com:465
  pop3_hostname: pop3s://pop.example.com:995
  email: probe@example.com
  enabled: false
  interval: 5
  timeout: 30
  locations: [{id: 10}, {id: 20}]  # Fort Lauderdale (FL), Atlanta (GA)
  home_location: 10  # Fort Lauderdale (FL)
  mode: Global Verify
  rotate_locations: true
  monitor_location_count: 1
  retry_on_failure: true
  traceroute_on_error: true
"""
    )


def test_what_has_no_manifest_is_an_exit_code(workspace: Workspace, sandbox: Sandbox) -> None:
    account = sandbox(
        {"id": 1, "type": "email-smtp", "name": "\x1b[2J", "hostname": "x"},
        {"id": 2, "type": "website", "name": "not ours"},
    )
    done = account.run("import").expect(7)
    assert done.out.splitlines() == [
        "Nothing to import.",
        "To do: no manifest was written for these",
        (
            '  - monitor 1 (email-smtp, "\\u001b[2J"): AlertSite does not have what a manifest '
            "needs: missing key spec.billing_plancode"
        ),
    ]
    assert files(workspace) == {}


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--layout", "{team}.yaml"], 64, "the placeholders are {kind}, {name}, {id}"),
        (["--into", "file"], 3, "cannot write manifests below file: Not a directory (file); 0 of"),
        (["--manifests", "broken"], 3, "unknown-kind"),
    ],
)
def test_bad_input(
    arguments: list[str], code: int, reason: str, workspace: Workspace, account: Account
) -> None:
    (workspace.root / "file").write_text(manifest("email-smtp", "mine", 7))
    (workspace.root / "broken").mkdir()
    (workspace.root / "broken" / "a.yaml").write_text("kind: x\n")
    account.run("import", *arguments).expect(code, err=reason)


def test_a_plan_that_is_not_empty_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = Refusal("email-smtp/a", "not-ours", "it is not", "Look.", Origin("a.yaml", 0, 1))
    plan = Plan(ACCOUNT, refusals=(refusal,), unchanged=3)
    assert import_._show_plan(plan, None) == 7
    assert capsys.readouterr().out.endswith(
        "Plan after import: changes, as shown above. 3 unchanged.\n"
    )


def test_made_up_accounts_are_always_the_same(schemas: dict[str, Any]) -> None:
    assert seeded(60, schemas) == seeded(80, schemas)[:60]
    assert len({monitor["id"] for monitor in seeded(80, schemas)}) == 80


def test_one_seed_is_enough(run: Run, tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text("[]")
    done = run("sandbox", "--seed-count", "1", "--seed-file", str(tmp_path / "seed.json"))
    assert done.code == 64
    assert "cannot be used together" in done.err


# like a person


@pytest.mark.large
def test_a_third_fewer_lines_than_a_file_of_defaults_for_each_kind_took(
    workspace: Workspace, sandbox: Sandbox, schemas: Any
) -> None:
    account = sandbox(*seeded(500, schemas))
    assert account.run("import").code == 0
    written = files(workspace)
    assert sum(data.count(b"\n") for data in written.values()) <= 7047 * 2 // 3
    assert [name for name in written if "_defaults" in name] == ["_defaults.yaml"]
    assert account.run("plan", "--detailed-exitcode").code == 0


def test_some_by_id_and_by_name(workspace: Workspace, account: Account) -> None:
    said = "Imported 2 monitors into 2 files below monitors."
    account.run("import", "200005", "buro*").expect(0, out=said)
    assert len(files(workspace)) == 2
    assert account.run("plan", "--detailed-exitcode").code == 0
    again = account.run("import", "200005", "200006")
    assert "1 monitor already in manifests: not changed.\nImported 1 monitor" in again.out
    assert account.run("import", "7", "nobody*").err.endswith(
        "7, nobody*: no email monitor has this id or name\nA target is an id, or a glob over "
        "names. To see all, run: reconciler list --live\n"
    )


def test_the_state_is_written_at_once(workspace: Workspace, account: Account) -> None:
    assert account.run("import", "2000*", "--no-ids").code == 64  # it is a glob over names
    ids = [str(number) for number in range(200_001, 200_040)]
    account.run("import", *ids, "--no-ids").expect(0)
    assert not [data for data in files(workspace).values() if b"id: 2000" in data]
    state = account.run("state", "pull").json
    assert sorted(record["id"] for record in state["records"].values()) == [*map(int, ids)]
    assert state["unmanaged"] == [200_040]
    # Nobody has to apply to make a state: drift and new monitors are told from now on.
    assert account.run("drift", "--unmanaged").code == 0
    account.edit("email-pop", 200_002, interval=60)
    assert account.run("drift").code == 2
    assert "interval: 15 → 60" in account.run("drift").out
    plan = account.run("plan")
    assert "drift" in plan.out
    assert "1 email monitor in AlertSite without a manifest" in plan.out


def test_drift_refuses_a_foreign_account_as_a_plan_does(account: Account) -> None:
    assert account.run("import", "monitor ?").code == 0
    for record in account.run("state", "pull").json["records"].values():
        account.delete(record["id"])
    for command in ("plan", "drift"):
        account.run(command).expect(5, err="monitors in the state is in this account")


def test_what_would_be_described_twice_is_refused(workspace: Workspace, account: Account) -> None:
    assert account.run("import", "--no-defaults").code == 0
    before = files(workspace)
    for into in (["--into", "monitors/staged"], ["--manifests", "monitors/a/b"]):
        said = "40 of the monitors already have manifests, such as"
        account.run("import", *into).expect(5, err=said)
    assert files(workspace) == before


def test_layouts_by_what_a_monitor_is(workspace: Workspace, account: Account) -> None:
    layout = "{domain}/{property:Environment}/{name_prefix}-{id}.yaml"
    assert account.run("import", "--into", "one", "--layout", layout).code == 0
    written = files(workspace, "one")
    assert "example.com/other/monitor-200006.yaml" in written
    assert "example.com/x/monitor-200030.yaml" in written
    (workspace.root / "teams.yaml").write_text(
        "'200001': first.yaml\n'*monitor*': 'plain/{kind}.yaml'\n'*': 'rest/{name}.yaml'\n"
    )
    assert account.run("import", "--into", "two", "--layout", "@teams.yaml").code == 0
    folders = {name.partition("/")[0] for name in files(workspace, "two")}
    assert folders == {"_defaults.yaml", "first.yaml", "plain", "rest"}
    (workspace.root / "teams.yaml").write_text("[a]")
    account.run("import", "--layout", "@teams.yaml").expect(64, err="it is not a mapping")


def test_defaults_that_exist_are_used(workspace: Workspace, account: Account) -> None:
    head = "apiVersion: reconciler/v1\nkind: Defaults\n"
    workspace.write("_defaults.yaml", head + "spec: {timeout: 30, interval: 1, note: ours}\n")
    account.run("import", "200014").expect(0)
    (name,) = files(workspace).keys() - {"_defaults.yaml"}
    text = files(workspace)[name].decode()
    assert "timeout" not in text
    assert "  interval: 5\n" in text
    assert "  note: {inherit: false}\n" in text
    assert account.run("plan", "--detailed-exitcode").code == 0


def test_what_is_staged_is_whole_here_and_there(workspace: Workspace, account: Account) -> None:
    values = "{billing_plancode: UBM - A/A, timeout: 30, interval: 1, note: ours}"
    workspace.write(
        "_defaults.yaml", f"apiVersion: reconciler/v1\nkind: Defaults\nspec: {values}\n"
    )
    done = account.run("import", "--into", "staged", "200014")
    assert (done.code, "Plan after import: no changes." in done.out) == (0, True), done.err
    ((name, data),) = files(workspace, "staged").items()
    assert b"  billing_plancode: UBM - A/A\n" in data
    assert b"  note: {inherit: false}\n" in data
    workspace.write(name, data)
    assert account.run("plan", "--detailed-exitcode").code == 0


def test_text_that_older_parsers_take_for_a_boolean_is_quoted(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    fields = {"billing_plancode": "UBM - A/A", "hostname": "mx.example.com"}
    account = sandbox(
        *(
            {"id": number, "type": "email-smtp", "name": name, **fields}
            for number, name in enumerate(("yes", "N", "On", "yesterday"), 1)
        )
    )
    assert account.run("import", "--layout", "{id}.yaml").code == 0
    texts = [data.decode() for name, data in sorted(files(workspace).items()) if name[0] != "_"]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("  name:")]
    assert lines == ["  name: 'yes'", "  name: 'N'", "  name: 'On'", "  name: yesterday"]


@pytest.mark.parametrize("shared", [False, True])
def test_the_folder_of_an_account_need_not_exist(
    shared: bool, workspace: Workspace, run: Run, account: Account
) -> None:
    first, *others = account.monitors()
    folders = '"monitors/_shared", "monitors/apac"' if shared else '"monitors/apac"'
    if shared:
        number = first["id"]
        text = manifest(first["type"], "one", number)
        text = text.replace(f"id: {number}", f"ids: {{apac: {number}}}")
        workspace.write("_shared/one.yaml", text)
    workspace.settings(
        f'[accounts.apac]\nmanifests = [{folders}]\nurl = "{account.url}"\n'
        'username = {env = "NAME"}\npassword = {env = "PASS"}\n'
    )
    env = {"NAME": account.env["ALERTSITE_USERNAME"], "PASS": account.env["ALERTSITE_PASSWORD"]}
    for command in ("plan", "validate"):
        said = ("no such file or folder", "reconciler import -a apac\n")
        done = run(command, "-a", "apac", env=env).expect(3, err=said)
    done = run("import", "-a", "apac", env=env)
    assert f"Imported {len(others) + (not shared)} monitors into" in done.out, done.text
    assert "below monitors/apac.\n" in done.out
    assert run("validate", "-a", "apac", env=env).code == 0


def test_an_account_that_is_all_shared_needs_no_folder(
    workspace: Workspace, run: Run, sandbox: Sandbox
) -> None:
    account = sandbox(monitor("email-smtp", 7))
    text = manifest("email-smtp", "one", 7).replace("id: 7", "ids: {apac: 7}")
    workspace.write("_shared/one.yaml", text)
    workspace.settings(
        f'[accounts.apac]\nmanifests = ["monitors/_shared", "monitors/apac"]\n'
        f'url = "{account.url}"\nusername = {{env = "NAME"}}\npassword = {{env = "PASS"}}\n'
    )
    env = {"NAME": account.env["ALERTSITE_USERNAME"], "PASS": account.env["ALERTSITE_PASSWORD"]}
    done = run("import", "-a", "apac", env=env)
    assert (done.code, done.out) == (
        0,
        "1 monitor already in manifests: not changed.\nNothing to import.\n",
    )


def test_what_is_not_in_alertsite_does_not_differ_from_it(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "example", name="Example")
    done = sandbox(monitor("email-smtp", 7)).run("import").expect(0)
    assert done.out.endswith(
        "Plan after import: no changes. 1 unchanged.\n"
        "1 existing manifest has no monitor in AlertSite: monitors/example.yaml\n"
    )


def test_a_field_to_look_at_names_manifests(sandbox: Sandbox) -> None:
    live = [monitor("email-smtp", 1, dsn="x", folder={"a": 1})]
    live += [monitor("email-imap", number, name=f"M{number}", dsn="x") for number in range(2, 9)]
    done = sandbox(*live).run("import")
    assert "  - folder: email-smtp/monitor\n" in done.out
    assert ("  - dsn: email-smtp/monitor, email-imap/m2, email-imap/m3 and 5 more\n") in done.out


def test_the_folder_of_a_repository_is_no_place_to_import(
    tmp_path: Path, run: Run, account: Account
) -> None:
    assert run("init", "fleet", cwd=tmp_path).code == 0
    before = set(tmp_path.rglob("*"))
    done = account.run("import", cwd=tmp_path).expect(3)
    assert done.err.endswith(
        "Error: this folder is not a repository of manifests, but fleet is\n"
        "Change to fleet, or pass -C fleet. To make this folder a repository too, run: reconciler "
        "init .\n"
    )
    assert set(tmp_path.rglob("*")) == before
    assert account.run("-C", "fleet", "import", cwd=tmp_path).code == 0


COUNT = 100
TEAMS = ("core", "edge", "web", "sales", "labs")
EACH = COUNT // len(TEAMS)
POOL = [{"id": 10}, {"id": 20}]


@pytest.fixture
def flat(sandbox: Sandbox) -> Account:
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
    workspace: Workspace, run: Run, flat: Account
) -> None:
    def plan() -> str:
        done = flat.run("plan").expect(0)
        return done.out

    flat.run("import", "--layout", "{kind}/{name}.yaml").expect(0)
    assert flat.apply().code == 0
    assert "No changes." in plan()

    for team in TEAMS:
        files = sorted((workspace.root / "monitors/email-smtp").glob(f"{team}-*.yaml"))
        assert len(files) == EACH
        names = [str(path.relative_to(workspace.root)) for path in files]
        run("mv", *names, f"monitors/teams/{team}/").expect(0, out=f"Move: {EACH} files")
        assert "No changes." in plan()

    done = run("set", "monitors/teams/edge/", "locations+=30", "--auto-approve")
    assert (done.code, f"{EACH} of {EACH} manifests to change" in done.out) == (0, True), done.err
    assert f"0 to add, {EACH} to change, 0 to destroy." in plan()
    before = len(flat.patches())
    assert flat.apply().code == 0
    sent = flat.patches()[before:]
    assert len(sent) == EACH
    assert all([item["id"] for item in body["locations"]] == [10, 20, 30] for _, body in sent)
    assert "No changes." in plan()

    done = flat.run("list", "--where", "hostname=mail-4*", "-o", "name").expect(0)
    assert len(done.out.splitlines()) == len([n for n in range(1, COUNT + 1) if str(n)[0] == "4"])

    (last, *_) = flat.run("history", "--json").json["runs"]
    assert flat.run("undo", last["id"], "--auto-approve").code == 0
    undone = flat.patches()[before + EACH :]
    assert len(undone) == EACH
    assert all([item["id"] for item in body["locations"]] == [10, 20] for _, body in undone)
    # The manifests still say so; taking the edit back as well leaves nothing to do.
    assert f"0 to add, {EACH} to change, 0 to destroy." in plan()
    assert run("set", "monitors/teams/edge/", "locations-=30", "--auto-approve").code == 0
    assert "No changes." in plan()
