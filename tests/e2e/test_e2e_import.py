"""Importing an account: one command, manifests that change nothing, and what is left to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli import import_
from reconciler.core.model import Origin
from reconciler.core.plan import Plan, Refusal
from reconciler.sandbox import seeded

from build import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Account, Done, Workspace

SECRETS = ("hunter2", "k-1")
"""What the made-up accounts have in fields that look like secrets."""


def files(workspace: Workspace, folder: str = "monitors") -> dict[str, bytes]:
    root = workspace.root / folder
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_a_thousand_monitors(
    workspace: Workspace, run: Callable[..., Done], start: Callable[..., Any]
) -> None:
    server = start("sandbox", "--seed-count", "1000", "--secret-fields", "echoed")
    exports = server.read_until("PASSWORD", stream="stdout")
    env = dict(re.findall(r"export (\w+)=(\S+)", exports))

    done = run("import", env=env)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "Imported 1,000 monitors into 1,000 files below monitors."
    assert lines[1].startswith("What they share is in monitors/email-imap/_defaults.yaml: billing")
    assert "  - EMAIL_IMAP_MONITOR_8_POP3_PASSWORD: email-imap/monitor-8 pop3_password" in lines
    assert lines[-1] == "Plan after import: no changes. 1,000 unchanged."
    written = files(workspace)
    assert len(written) == 1004
    assert not [
        name for name, data in written.items() if any(map(data.count, map(str.encode, SECRETS)))
    ]
    assert not [secret for secret in SECRETS if secret in done.text]

    assert run("validate").err == "Valid: 1000 manifests in 1000 files.\n"
    assert run("fmt", "--check").code == 0
    plan = run("plan", "--detailed-exitcode", env=env)
    assert plan.code == 0
    assert plan.out.startswith("No changes. 1000 unchanged.\nRECONCILER_SECRET_KEY is not set")

    again = run("import", "--merge", env=env)
    assert (again.code, again.out) == (
        0,
        "1,000 monitors with a manifest already: left as they are.\nNothing to import.\n",
    )
    assert files(workspace) == written


@pytest.fixture
def account(sandbox: Callable[..., Account], schemas: dict[str, Any]) -> Account:
    return sandbox(*seeded(40, schemas))


def test_nothing_is_overwritten(
    workspace: Workspace, run: Callable[..., Done], account: Account, manifest: Callable[..., str]
) -> None:
    workspace.write("email-smtp/buro-munchen-smtp.yaml", manifest("email-smtp", "mine", 7))
    before = files(workspace)
    done = run("import", env=account.env)
    assert done.code == 5
    assert "already: monitors/email-smtp/buro-munchen-smtp.yaml" in done.err
    assert files(workspace) == before

    done = run("import", "--merge", env=account.env)
    assert (done.code, done.out.splitlines()[0]) == (
        0,
        "Imported 40 monitors into 40 files below monitors.",
    )
    after = files(workspace)
    assert "email-smtp/buro-munchen-smtp-2.yaml" in after
    assert {name: after[name] for name in before} == before
    assert run("import", env=account.env).code == 5


def test_staged_for_review(
    workspace: Workspace, run: Callable[..., Done], account: Account
) -> None:
    done = run("import", "--into", "staged", "--layout", "{kind}.yaml", env=account.env)
    assert done.code == 0
    assert "Plan after import: no changes. 40 unchanged." in done.out
    assert "None of it is managed until you move it" in done.err
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
    assert run("plan", "--detailed-exitcode", env=account.env).code == 0


def test_without_defaults(workspace: Workspace, run: Callable[..., Done], account: Account) -> None:
    assert run("import", "--no-defaults", env=account.env).code == 0
    written = files(workspace)
    assert len(written) == 40
    assert written["email-round-trip/relay-primary-it-s-one.yaml"].decode() == (
        """\
# yaml-language-server: $schema=../../schemas/email-round-trip.schema.json
apiVersion: reconciler/v1
kind: email-round-trip
metadata:
  name: relay-primary-it-s-one
  id: 200019
spec:
  name: 'Relay: "primary" # it''s one'
  billing_plancode: UBM - A/A
  smtp_hostname: smtps://smtp.example.com:465
  pop3_hostname: pop3s://pop.example.com:995
  email: probe@example.com
  enabled: false
  interval: 5
  timeout: 30
  locations: [{id: 10}, {id: 20}]
  home_location: 10
  mode: Global Verify
  rotate_locations: true
  monitor_location_count: 1
  retry_on_failure: true
  traceroute_on_error: true
"""
    )


def test_what_has_no_manifest_is_an_exit_code(
    workspace: Workspace, run: Callable[..., Done], sandbox: Callable[..., Account]
) -> None:
    account = sandbox(
        {"id": 1, "type": "email-smtp", "name": "\x1b[2J", "hostname": "x"},
        {"id": 2, "type": "website", "name": "not ours"},
    )
    done = run("import", env=account.env)
    assert done.code == 7
    assert done.out.splitlines() == [
        "Nothing to import.",
        "To do: no manifest was written for these",
        (
            '  - monitor 1 (email-smtp, "\\u001b[2J"): AlertSite lacks what a manifest needs: '
            "missing key spec.billing_plancode"
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
    arguments: list[str],
    code: int,
    reason: str,
    workspace: Workspace,
    run: Callable[..., Done],
    account: Account,
) -> None:
    (workspace.root / "file").write_text("")
    (workspace.root / "broken").mkdir()
    (workspace.root / "broken" / "a.yaml").write_text("kind: x\n")
    done = run("import", *arguments, env=account.env)
    assert (done.code, reason in done.err) == (code, True), done.err


def test_a_plan_that_is_not_empty_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = Refusal("email-smtp/a", "not-ours", "it is not", "Look.", Origin("a.yaml", 0, 1))
    plan = Plan(ACCOUNT, refusals=(refusal,), unchanged=3)
    assert import_._show_plan(plan, None) == 7
    assert capsys.readouterr().out.endswith(
        "Plan after import: not empty, as shown above. 3 unchanged.\n"
    )


def test_made_up_accounts_are_always_the_same(schemas: dict[str, Any]) -> None:
    assert seeded(60, schemas) == seeded(80, schemas)[:60]
    assert len({monitor["id"] for monitor in seeded(80, schemas)}) == 80


def test_one_seed_is_enough(run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text("[]")
    done = run("sandbox", "--seed-count", "1", "--seed-file", str(tmp_path / "seed.json"))
    assert done.code == 64
    assert "exclude each other" in done.err
