"""`reconciler set`: fields of many manifests at once."""

import pytest
from e2e.conftest import Run, Sandbox, Workspace

from documents import check

DEFAULTS = """\
apiVersion: reconciler/v1
kind: Defaults
spec:
  locations: [{id: 10}, {id: 20}]
"""
INBOX = """\
apiVersion: reconciler/v1
kind: email-imap
metadata: {name: inbox, labels: {team: mail}}
spec:
  name: Inbox
  billing_plancode: UBM - A/A
  hostname: mx.example.com
  interval: 5 # minutes
---
apiVersion: reconciler/v1
kind: email-imap
metadata: {name: other, labels: {team: web}}
spec:
  name: Other
  billing_plancode: UBM - A/A
  hostname: mx.example.com
"""
RELAY = """\
apiVersion: reconciler/v1
kind: email-smtp
metadata: {name: relay, labels: {team: mail}}
spec:
  name: Relay
  billing_plancode: UBM - A/A
  hostname: mx.example.com
  locations:
    - id: 10 # near
    - id: 50
"""


@pytest.fixture(autouse=True)
def fleet(workspace: Workspace) -> None:
    workspace.write("mail/_defaults.yaml", DEFAULTS)
    workspace.write("mail/inbox.yaml", INBOX)
    workspace.write("relay.yaml", RELAY)


def test_fields_of_a_team(workspace: Workspace, run: Run) -> None:
    done = run("set", "team=mail", "interval=15", "note=on", "labels.tier=1", "--auto-approve")
    assert done.code == 0, done.err
    assert "-  interval: 5 # minutes\n+  interval: 15 # minutes" in done.out
    assert "2 of 2 manifests to change, in 2 files." in done.out
    text = workspace.read("mail/inbox.yaml")
    assert 'note: "on"' in text or "note: 'on'" in text
    assert 'labels: {team: mail, tier: "1"}' in text or "labels: {team: mail, tier: '1'}" in text
    assert text.endswith(INBOX.partition("---")[2])
    again = run("set", "team=mail", "interval=15", "note=on", "--auto-approve")
    assert (again.code, again.out) == (
        0,
        "Nothing to set in 2 manifests: they already have these values.\n",
    )


def test_the_same_edit_of_many_files_is_shown_once(workspace: Workspace, run: Run) -> None:
    for number in range(25):
        name = f"m{number:02}"
        text = RELAY.replace("name: relay,", f"name: {name},").replace("Relay", name)
        workspace.write(f"many/{name}.yaml", text)
    few = run("set", "email-smtp/m0*", "timeout=44", "--auto-approve")
    assert few.out.count("+  timeout: 44") == 10
    done = run("set", "email-smtp/m*", "timeout=45", "--auto-approve")
    assert done.out.count("+  timeout: 45") == 2  # one was 44 before, one was not set
    assert (
        "The same edit in 14 more files: monitors/many/m11.yaml, monitors/many/m12.yaml, "
        "monitors/many/m13.yaml and 11 more"
    ) in done.out
    assert "25 of 25 manifests to change, in 25 files." in done.out
    assert "timeout: 45" in workspace.read("many/m24.yaml")


def test_a_location_is_added_to_what_each_has(
    workspace: Workspace, run: Run, sandbox: Sandbox
) -> None:
    account = sandbox()
    assert account.apply().code == 0
    assert run("set", "*", "!email-imap/other", "locations+=30", "--auto-approve").code == 0
    assert "  locations: {append: [{id: 30}]}" in workspace.read("mail/inbox.yaml")
    assert "    - id: 50\n    - id: 30\n" in workspace.read("relay.yaml")
    assert "0 to add, 2 to change" in account.run("plan").out
    assert run("set", "monitors/mail/", "locations+=40", "--auto-approve").code == 0
    assert "{append: [{id: 30}, {id: 40}]}" in workspace.read("mail/inbox.yaml")
    assert run("set", "email-imap/*", "locations-=30,40", "--auto-approve").code == 0
    assert workspace.read("mail/inbox.yaml") == INBOX
    assert run("set", "email-imap/inbox", "locations-=20", "--auto-approve").code == 0
    assert "  locations: [{id: 10}]" in workspace.read("mail/inbox.yaml")
    assert run("set", "email-imap/inbox", "--unset", "locations", "--auto-approve").code == 0
    assert workspace.read("mail/inbox.yaml") == INBOX


def test_the_same_targets_everywhere(sandbox: Sandbox) -> None:
    account = sandbox()
    assert account.apply().code == 0
    for number in (int(item["id"]) for item in account.monitors()):
        account.edit(account.live(number)["type"], number, hostname="moved.example.com")
    for targets, addresses in {
        ("--target", "team=mail"): ["email-imap/inbox", "email-smtp/relay"],
        ("--exclude", "team=mail"): ["email-imap/other"],
        ("--target", "monitors/mail/", "--exclude", "*/inbox"): ["email-imap/other"],
        ("--exclude", "*/inbox", "--target", "monitors/mail"): ["email-imap/other"],
        ("--target", "!monitors/relay.yaml", "--target", "team=mail"): ["email-imap/inbox"],
        ("--target", "monitors/relay.yaml"): ["email-smtp/relay"],
    }.items():
        drift = account.run("drift", *targets, "--json").json
        assert [item["address"] for item in drift["monitors"]] == addresses
        plan = account.run("plan", *targets, "--json").json
        assert [item["address"] for item in plan["changes"]] == addresses
    listed = account.run("list", "monitors/mail/", "--exclude", "*/inbox", "-o", "name")
    assert listed.out.split() == ["email-imap/other"]
    pulled = account.run("pull", "team=mail", "!*/inbox", "--auto-approve")
    assert "Pull: 1 field in 1 file." in pulled.out


def test_a_default_is_refused(workspace: Workspace, run: Run) -> None:
    run("set", "email-imap/inbox", "locations={inherit: false}", "--auto-approve").expect(0)
    assert "  locations: {inherit: false}" in workspace.read("mail/inbox.yaml")


def test_a_maintenance_and_its_end(workspace: Workspace, run: Run) -> None:
    asked = ("enabled=false", "lifecycle.until=2001-01-01", "extra.folder=INBOX")
    assert run("set", "email-imap/inbox", *asked, "--auto-approve").code == 0
    run("validate").expect(0, text=": warning: expired-maintenance: ")
    gone = ("enabled", "lifecycle.until", "extra.folder", "labels.team")
    unset = [part for name in gone for part in ("--unset", name)]
    assert run("set", "email-imap/inbox", *unset, "--auto-approve").code == 0
    text = workspace.read("mail/inbox.yaml")
    assert [word for word in ("enabled", "lifecycle", "extra") if word in text] == []
    assert "metadata: {name: inbox}" in text
    assert run("validate").text.count("warning") == 0
    again = run("set", "email-smtp/relay", "--unset", "lifecycle.until", "--auto-approve")
    assert (again.code, workspace.read("relay.yaml")) == (0, RELAY)


def test_nothing_is_written_without_approval(workspace: Workspace, run: Run) -> None:
    done = run("set", "*", "--exclude", "team=web", "interval=15")
    assert (done.code, "nothing was written: approval is required" in done.err) == (5, True)
    assert workspace.read("mail/inbox.yaml") == INBOX


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("*", "interval=0"), 3, "spec.interval must be at least 1, not 0"),
        (("*", "note=x", "locations-=10,20,50"), 3, "spec.locations must not be empty"),
        (("*", "interval=soon"), 64, "interval=soon: soon is not an integer"),
        (("*", "email=a@example.com"), 64, "email-imap has no field email"),
        (("team=none", "interval=5"), 64, "the target team=none matches no manifest"),
        (("*", "intervall=5"), 64, "is taken for a label; did you mean interval?"),
        (("*", f"port={'9' * 20}"), 64, f"port={'9' * 20}: the number has too many digits"),
        (("interval=5",), 64, "no target is given"),
        (("*", "interval=5", "--unset", "spec.interval"), 64, "interval is both set and unset"),
        (
            ("email-smtp/relay", "custom_properties+={id: 1, value_id: 1}"),
            64,
            "does not set custom",
        ),
        (("email-smtp/relay", "port+=1"), 64, "port is not a list"),
    ],
)
def test_what_is_refused(
    workspace: Workspace, run: Run, arguments: tuple[str, ...], code: int, message: str
) -> None:
    run("set", *arguments, "--auto-approve").expect(code, err=message)
    assert workspace.read("mail/inbox.yaml") == INBOX
    assert workspace.read("relay.yaml") == RELAY


def test_a_finding_that_an_edit_would_cause_is_not_blamed_on_the_manifests(run: Run) -> None:
    done = run("set", "email-smtp/relay", "interval=0", "--auto-approve")
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        "monitors/relay.yaml: range: spec.interval must be at least 1, not 0\n"
        "Error: the edits would cause 1 finding; nothing was written\n"
    )
    assert "in the manifests" not in run("set", "*", "interval=0", "--auto-approve").err


def test_a_secret_that_no_manifest_may_name_is_not_written(workspace: Workspace, run: Run) -> None:
    """Neither what is refused as a secret, nor where everybody could see it; what heals that is."""
    for field, name, said in (
        ("extra.smtp_password", "GITHUB_TOKEN", "refused-secret"),
        ("hostname", "HOST", "shown-secret"),
    ):
        edit = f"{field}={{secretRef: {{env: {name}}}}}"
        done = run("set", "email-smtp/relay", edit, "--auto-approve").expect(3)
        assert said in done.out + done.err
        assert workspace.read("relay.yaml") == RELAY
    allowed = "extra.smtp_password={secretRef: {env: SMTP_PASSWORD}}"
    run("set", "email-smtp/relay", allowed, "--auto-approve").expect(0)
    workspace.settings('[secrets]\nenv = ["MAIL_*"]\n')
    run("validate").expect(3, out="refused-secret")
    run("set", "email-smtp/relay", allowed.replace("SMTP", "MAIL"), "--auto-approve").expect(0)
    run("validate").expect(0)


def test_the_edits_as_text_and_json(workspace: Workspace, run: Run) -> None:
    asked = ("set", "email-smtp/relay", "interval=15", "--unset", "labels.team")
    shown = run(*asked, "--json")
    check(shown.json, "edits")
    assert shown.json == {
        "format_version": "1.0",
        "written": False,
        "moves": [],
        "fields": [
            {
                "address": "email-smtp/relay",
                "path": "monitors/relay.yaml",
                "field": "spec.interval",
                "value": 15,
            },
            {
                "address": "email-smtp/relay",
                "path": "monitors/relay.yaml",
                "field": "metadata.labels",
                "removed": True,
            },
        ],
    }
    assert workspace.read("relay.yaml") == RELAY
    done = run(*asked, "--json", "--auto-approve")
    assert (done.code, done.json["written"]) == (0, True)
    assert "interval: 15" in workspace.read("relay.yaml")
    again = run(*asked, "--auto-approve")
    assert (again.code, again.out) == (
        0,
        "Nothing to set in 1 manifest: they already have these values.\n",
    )
