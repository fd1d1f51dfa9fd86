"""Pulling drift into the manifests, as a person does it in a git repository."""

import subprocess

import pytest
from e2e.conftest import Account, Run, Sandbox, Terminals, Workspace, monitor

SMTP = """\
# yaml-language-server: $schema=../schemas/email-smtp.schema.json

# ---- outgoing -------------------------------------------------
apiVersion: reconciler/v1
kind:       email-smtp
metadata: {name: relay, id: 1}   # bound by hand
spec:
    name:             "Relay"    # as on the dashboard
    billing_plancode: UBM - A/A

    # where it is
    hostname: 'mail.example.com'
    port:     25                 # submission
    interval: &often 5

    locations:
      - id: 10   # Fort Lauderdale
      - id: 20   # Atlanta
    mode: Global Verify
    alert_note: |
      Runbook: wiki/relay
      Call the owner.

    note: >-
      Kept for
      the printers.

    # monitor_location_count: 1
...
"""
IMAP = """\
apiVersion: reconciler/v1
kind: email-imap
metadata:
  name: inbox
  id: 2
spec: {name: Inbox, billing_plancode: UBM - A/A, hostname: mail.example.com}
extra:
  folder: INBOX # the only one
---
{"apiVersion": "reconciler/v1", "kind": "email-pop", "metadata": {"name": "pop", "id": 3},
 "spec": {"name": "Pop", "billing_plancode": "UBM - A/A",
          "hostname": "mail.example.com",
          "locations": [
            {"id": 10},
            {"id": 20}
          ]}}
"""


def git(workspace: Workspace, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=workspace.root, capture_output=True, check=True, text=True)
    return done.stdout


def added(workspace: Workspace) -> list[str]:
    """The lines that git shows as new or different."""
    lines = git(workspace, "diff", "--unified=0").splitlines()
    return [line.rstrip("\r") for line in lines if line[:1] == "+" and line[:3] != "+++"]


@pytest.fixture
def applied(workspace: Workspace, sandbox: Sandbox) -> Account:
    """An account that the manifests were applied to, which are in git."""
    workspace.write("relay.yaml", SMTP)
    workspace.write("others.yaml", IMAP.replace("\n", "\r\n"))
    common = {"billing_plancode": "UBM - A/A", "hostname": "x"}
    account = sandbox(
        {"id": 1, "type": "email-smtp", "name": "Relay", **common},
        {"id": 2, "type": "email-imap", "name": "Inbox", **common},
        {"id": 3, "type": "email-pop", "name": "Pop", **common},
    )
    assert account.apply().code == 0
    git(workspace, "init", "--quiet")
    git(workspace, "add", "monitors")
    git(workspace, "commit", "--quiet", "--message", "as applied")
    return account


def test_equal_edits_of_many_manifests_are_shown_once(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    numbers = range(1, 26)
    for number in numbers:
        name = f"m{number:02}"
        workspace.describe("email-smtp", name, number, name=name, enabled=True, port=25)
    account = sandbox(*(monitor("email-smtp", id_, name=f"m{id_:02}", port=25) for id_ in numbers))
    assert account.apply().code == 0
    for number in numbers:
        account.edit("email-smtp", number, enabled=False)
    account.edit("email-smtp", 7, port=26)
    done = account.run("pull", "--auto-approve")
    assert "  ~ 24 monitors\n      enabled: true → false (monitors/m01.yaml:" in done.out
    assert "      email-smtp/m01, email-smtp/m02, email-smtp/m03 and 21 more\n" in done.out
    assert "  ~ email-smtp/m07\n      enabled: true → false" in done.out
    assert done.out.count("enabled: ") == 2
    assert "Wrote 25 files.\n" in done.err
    assert "enabled: false" in workspace.read("m25.yaml")


def test_ten_fields_are_ten_lines(workspace: Workspace, applied: Account) -> None:
    applied.edit("email-smtp", 1, name="Relay 1", port="587", interval=15, mode="Primary: 1")
    applied.edit("email-smtp", 1, locations=[{"id": 10}, {"id": 30}])
    applied.edit("email-smtp", 1, alert_note="Runbook: wiki/relay\nCall nobody.\n")
    applied.edit("email-imap", 2, billing_plancode="UBM - B/B", folder="yes")
    applied.edit("email-pop", 3, hostname='"pop".example.com', locations=[{"id": 10}, {"id": 40}])
    before = len(applied.requests())
    done = applied.run("pull", "--auto-approve")
    assert (done.code, done.err.splitlines()[1:]) == (
        0,
        [
            "monitors/others.yaml: wrote 4 fields.",
            "monitors/relay.yaml: wrote 6 fields.",
            (
                "AlertSite was not changed. Review the edits, then commit them. drift reports them "
                "until the next apply."
            ),
        ],
    )
    assert {entry["method"] for entry in applied.requests()[before + 1 :]} == {"GET"}

    assert "Pull: 10 fields in 2 files." in done.out
    assert "      port: 25 → 587 (monitors/relay.yaml:13)\n" in done.out
    assert git(workspace, "diff", "--numstat").splitlines() == [
        "4\t4\tmonitors/others.yaml",
        "6\t6\tmonitors/relay.yaml",
    ]
    assert added(workspace) == [
        "+spec: {name: Inbox, billing_plancode: UBM - B/B, hostname: mail.example.com}",
        "+  folder: 'yes' # the only one",
        '+          "hostname": "\\"pop\\".example.com",',
        '+            {"id": 40}',
        '+    name:             "Relay 1"    # as on the dashboard',
        "+    port:     587                 # submission",
        "+    interval: &often 15",
        "+      - id: 30",
        "+    mode: 'Primary: 1'",
        "+      Call nobody.",
    ]

    assert applied.run("plan", "--detailed-exitcode").code == 0
    assert applied.run("drift").code == 2
    patches = len(applied.patches())
    assert applied.apply().code == 0
    assert (applied.run("drift").code, len(applied.patches())) == (0, patches)
    again = applied.run("pull", "--auto-approve")
    assert (again.code, again.out) == (0, "Nothing to pull.\n")


def test_nothing_is_written_without_approval(
    workspace: Workspace, applied: Account, terminal: Terminals
) -> None:
    applied.edit("email-smtp", 1, port=587)
    applied.run("pull").expect(5, err="nothing was written: approval is required")
    shown = terminal("pull", env=applied.env)
    shown.wait_for("Only")
    shown.type("no\n")
    assert shown.finish() == 5
    assert "not approved; nothing was written" in shown.screen
    assert git(workspace, "diff") == ""

    shown = terminal("pull", env=applied.env)
    shown.wait_for("Only")
    shown.type("yes\n")
    assert shown.finish() == 0
    assert git(workspace, "diff", "--numstat") == "1\t1\tmonitors/relay.yaml\n"


def test_a_file_that_somebody_edits_meanwhile_is_not_overwritten(
    workspace: Workspace, applied: Account, terminal: Terminals
) -> None:
    applied.edit("email-smtp", 1, port=587)
    applied.edit("email-imap", 2, folder="Sent")
    shown = terminal("pull", env=applied.env)
    shown.wait_for("Only")
    workspace.replace("relay.yaml", "port:     25", "port:     26")
    shown.type("yes\n")
    assert shown.finish() == 7
    assert "relay.yaml has changed since it was read" in shown.screen
    diff = git(workspace, "diff", "-U0")
    assert "port:     26" in diff
    assert "Sent" in diff


def test_only_drift_is_pulled_unless_all_is_asked_for(
    workspace: Workspace, applied: Account
) -> None:
    workspace.replace("relay.yaml", "port:     25", "port:     26")
    workspace.replace("relay.yaml", "mode: Global Verify", "mode: Global Notify")
    applied.edit("email-smtp", 1, mode="Primary")
    done = applied.run("pull", "--auto-approve")
    assert done.code == 0
    assert (
        '"Global Notify" → "Primary" (monitors/relay.yaml:19, both: your edit is lost)' in done.out
    )
    assert "1 field was changed in the manifests only" in done.err
    assert "apply sends it; pull --all replaces it with the value of AlertSite." in done.err
    assert "port" not in done.out

    done = applied.run("pull", "--all", "--auto-approve")
    assert "port: 26 → 25 (monitors/relay.yaml:13, your edit is lost)" in done.out
    assert applied.run("plan", "--detailed-exitcode").code == 0


def test_what_the_plan_refuses_is_not_pulled(workspace: Workspace, applied: Account) -> None:
    applied.edit("email-smtp", 1, port=587)
    workspace.replace("others.yaml", "  id: 2\n", "")
    done = applied.run("pull", "--state", "file:none.json", "--auto-approve")
    assert done.code == 0
    assert (
        "1 manifest is refused by the plan and not pulled. To see why, run: reconciler plan"
        in done.err
    )
    assert "1 field was changed in the manifests only" in done.err


def test_targets(workspace: Workspace, applied: Account) -> None:
    applied.edit("email-smtp", 1, port=587)
    applied.edit("email-imap", 2, folder="Sent")
    assert applied.run("pull", "email-imap/*", "--auto-approve").code == 0
    assert git(workspace, "diff", "--numstat") == "1\t1\tmonitors/others.yaml\n"
    applied.run("pull", "email-imap/none").expect(64, err="email-imap/none matches no manifest")
    kind_alone = applied.run("pull", "email-smtp")
    assert "did you mean email-smtp/*?" in kind_alone.err


def test_unset_fields(workspace: Workspace, applied: Account) -> None:
    applied.edit("email-smtp", 1, note="", alert_note=None, interval=None, mode="")
    applied.edit("email-imap", 2, folder=None)
    said = "interval: 5 → (removed: AlertSite has none) (monitors/relay.yaml:14)"
    applied.run("pull", "--auto-approve").expect(0, out=said)
    assert [line.strip("+ ") for line in added(workspace)] == [
        "folder: '' # the only one",
        'alert_note: ""',
        'note: ""',
    ]
    assert "No changes." in applied.run("plan").out


def test_a_default_is_overruled_in_the_manifest(workspace: Workspace, applied: Account) -> None:
    workspace.write(
        "_defaults.yaml",
        "apiVersion: reconciler/v1\nkind: Defaults\nspec: {timeout: 30, retry_on_failure: true}\n",
    )
    assert applied.apply().code == 0
    applied.edit("email-smtp", 1, timeout=45)
    applied.edit("email-imap", 2, retry_on_failure=False)
    applied.edit("email-pop", 3, timeout="")
    done = applied.run("pull", "--auto-approve").expect(0)
    place = "monitors/relay.yaml:8, added, over the default at monitors/_defaults.yaml:1"
    assert f"timeout: 30 → 45 ({place})" in done.out
    refused = "(the default at monitors/_defaults.yaml:1 is refused: AlertSite has none)"
    assert f"timeout: 30 → {refused}" in done.out
    assert added(workspace) == [
        (
            "+spec: {name: Inbox, billing_plancode: UBM - A/A, hostname: mail.example.com, "
            "retry_on_failure: false}"
        ),
        '+          "timeout": {"inherit": false},',
        "+    timeout: 45",
    ]
    assert "No changes." in applied.run("plan").out


def test_what_is_added_to_a_default_stays_so(
    workspace: Workspace, run: Run, applied: Account
) -> None:
    defaults = (
        "apiVersion: reconciler/v1\nkind: Defaults\nspec:\n  locations: [{id: 10}, {id: 20}]\n"
    )
    workspace.write("_defaults.yaml", defaults)
    old = "UBM - A/A, hostname: mail.example.com"
    workspace.replace("others.yaml", old, f"{old}, locations: {{append: [{{id: 30}}]}}")
    assert applied.apply().code == 0
    applied.edit("email-imap", 2, locations=[{"id": number} for number in (10, 20, 30, 40)])
    assert applied.run("pull", "--auto-approve").code == 0
    assert "locations: {append: [{id: 30}, {id: 40}]}" in workspace.read("others.yaml")
    assert "No changes." in applied.run("plan").out
    shown = run("render", "email-imap/inbox").out
    assert "# monitors/others.yaml:6:78, added to the default at monitors/_defaults.yaml:1" in shown
    applied.edit("email-imap", 2, locations=[{"id": 10}])
    assert applied.run("pull", "--auto-approve").code == 0
    assert "locations: [{id: 10}]" in workspace.read("others.yaml")
    assert "No changes." in applied.run("plan").out


def test_what_is_unset_does_not_fall_back_to_a_default(
    workspace: Workspace, applied: Account
) -> None:
    spec = "{interval: 30, locations: [{id: 10}]}"
    workspace.write("_defaults.yaml", f"apiVersion: reconciler/v1\nkind: Defaults\nspec: {spec}\n")
    old = "UBM - A/A, hostname: mail.example.com"
    added_to = "locations: {append: [{id: 30}]}"
    workspace.replace("others.yaml", old, f"{old}, interval: 15, {added_to}")
    assert applied.apply().code == 0
    applied.edit("email-imap", 2, interval=None, locations=[])
    said = "interval: 15 → (the default at monitors/_defaults.yaml:1 is refused"
    applied.run("pull", "email-imap/inbox", "--auto-approve").expect(0, out=said)
    text = workspace.read("others.yaml")
    assert "interval: {inherit: false}, locations: {inherit: false}" in text
    assert "No changes." in applied.run("plan").out


def test_what_cannot_be_written_is_listed(workspace: Workspace, applied: Account) -> None:
    workspace.replace("relay.yaml", "# monitor_location_count: 1", "timeout: *often")
    workspace.replace("relay.yaml", "mode: Global Verify", "mode: Global Verify\n    enabled: true")
    assert applied.apply().code == 0
    applied.edit("email-smtp", 1, hostname="two words", interval=15, enabled=False)
    done = applied.run("pull", "--auto-approve")
    assert done.code == 7
    assert (
        "hostname was not pulled: AlertSite's value: spec.hostname is not valid: write a host name"
        in done.out
    )
    assert "interval was not pulled: the value is marked &often, and line 29 repeats it" in done.out
    assert "enabled: true → false" in done.out


def test_brackets_with_comments_are_left_to_the_user(
    workspace: Workspace, applied: Account
) -> None:
    path = workspace.root / "monitors/others.yaml"
    path.write_bytes(path.read_bytes().replace(b'{"id": 10},', b'{"id": 10}, # Fort Lauderdale'))
    applied.edit("email-pop", 3, name="Pop 3", locations=[{"id": 10}, {"id": 40}])
    done = applied.run("pull", "--auto-approve")
    assert done.code == 7
    assert (
        "! email-pop/pop locations was not pulled: line 13 has brackets with comments inside; "
        "edit it by hand (monitors/others.yaml:13)\n"
    ) in done.out
    assert b'"name": "Pop 3"' in path.read_bytes()
    assert b'{"id": 10}, # Fort Lauderdale' in path.read_bytes()


def test_secrets_are_never_pulled(workspace: Workspace, sandbox: Sandbox) -> None:
    reference = {"secretRef": {"env": "LOGIN"}}
    workspace.describe("email-smtp", "a", 1, port=25, extra={"login": reference})
    account = sandbox(
        {"id": 1, "type": "email-smtp", "name": "Monitor", "hostname": "mail.example.com"},
        secret_fields="echoed",
    )
    env = {"LOGIN": "S3CRET", "RECONCILER_SECRET_KEY": "key"}
    assert account.apply(env=env).code == 0
    account.edit("email-smtp", 1, login="0THER", port=587)
    done = account.run("pull", "--all", "--auto-approve")  # and none need be at hand
    assert done.code == 0
    assert "Pull: 1 field in 1 file." in done.out

    workspace.describe("email-smtp", "a", 1, port=587, extra={"login": "plain"})
    said = "login was not pulled: it was a secret when it was last applied"
    done = account.run("pull", "--all", "--auto-approve").expect(7, out=said)
    assert "0THER" not in done.text
    assert "0THER" not in workspace.read("a.yaml")
