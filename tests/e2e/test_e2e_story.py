"""What a person or a pipeline does every day, on the sample fleet and on one monitor."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import manifest, monitor

if TYPE_CHECKING:
    from conftest import Relays, Run, Sandbox, Start, Workspace

_SAMPLE = Path(__file__).parents[2] / "monitors"
_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_APPLY = ("apply", "--auto-approve")


@pytest.fixture
def sample(workspace: Workspace) -> Workspace:
    """A copy of the repository's own manifests."""
    shutil.copytree(_SAMPLE, workspace.root / "monitors", dirs_exist_ok=True)
    return workspace


def test_sample_fleet_from_first_plan_to_no_changes(sample: Workspace, run: Run) -> None:
    first = run("plan").expect(0)
    assert "sandbox" in first.err.splitlines()[0]
    assert "Plan: 0 to add, 9 to change, 0 to destroy." in first.out
    assert run("plan", "--detailed-exitcode").code == 2

    applied = run(*_APPLY).expect(0)
    assert "sandbox" in applied.err.splitlines()[0]
    assert "Apply complete! Resources: 0 added, 9 changed, 0 destroyed." in applied.out

    run("plan", "--detailed-exitcode").expect(0, out="No changes. 14 unchanged.")
    assert (sample.root / ".reconciler" / "sandbox.db").stat().st_size


@pytest.mark.usefixtures("sample")
def test_diff_is_an_alias_of_plan_and_gives_the_same_bytes(run: Run) -> None:
    diff = run("diff", "--json", "--detailed-exitcode")
    assert diff == run("plan", "--json", "--detailed-exitcode")
    assert diff.code == 2


def test_manifests_option_names_another_folder(sample: Workspace, run: Run) -> None:
    (sample.root / "monitors").rename(sample.root / "elsewhere")
    run("plan", "--manifests", "elsewhere").expect(0, out="elsewhere/mail-core/imap.yaml:2")


@pytest.mark.parametrize(
    ("kind", "field", "before", "after"),
    [
        ("email-imap", "enabled", False, True),
        ("email-pop", "hostname", "pop.old.example.com", "pop.example.com"),
        ("email-smtp", "port", 25, 587),
        ("email-round-trip", "email", "old@example.com", "new@example.com"),
    ],
)
def test_one_edited_field_is_one_patch_of_that_field(
    kind: str, field: str, before: Any, after: Any, workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe(kind, "one", 77, interval=15, **{field: after})
    account = sandbox(
        monitor(kind, 77, interval=15, note="left alone", **{field: before}),
        monitor(kind, 78, **{field: before}),
    )
    account.apply().expect(0, out="0 added, 1 changed, 0 destroyed")
    assert account.patches() == [(f"/monitors/{kind}/77", {field: after})]
    assert account.calls() == [_LOGIN, _READ, f"PATCH /monitors/{kind}/77", _READ]
    assert account.live(77)[field] == after
    assert account.live(77)["note"] == "left alone"
    assert account.live(78)[field] == before


def test_two_edited_fields_of_a_relay_are_one_patch_of_both(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    fields = {"resolve_dns": False, "timeout": 30}
    workspace.write(
        "relay.yaml",
        manifest("email-smtp", "prod-relay", 123456, ipv4="74.125.28.108", port=587, **fields),
    )
    account = sandbox(monitor("email-smtp", 123456, ipv4="203.0.113.24", port=25, **fields))
    account.apply().expect(0, out=('ipv4: "203.0.113.24" → "74.125.28.108"', "port: 25 → 587"))
    body = {"ipv4": "74.125.28.108", "port": 587}
    assert account.patches() == [("/monitors/email-smtp/123456", body)]
    assert list(account.patches()[0][1]) == ["ipv4", "port"]


def test_extra_fields_are_compared_and_sent_as_written(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    extra = {"mailbox_folder": "INBOX", "shape": {"a": [1, 2]}, "same": "same"}
    workspace.describe("email-pop", "one", 7, extra=extra)
    account = sandbox(monitor("email-pop", 7, mailbox_folder="Probe", same="same"))
    assert account.apply().code == 0
    sent = {"mailbox_folder": "INBOX", "shape": {"a": [1, 2]}}
    assert account.patches() == [("/monitors/email-pop/7", sent)]


def test_home_location_goes_out_with_its_locations(workspace: Workspace, sandbox: Sandbox) -> None:
    text = manifest("email-pop", "one", 7, locations=[{"id": 10}, {"id": 20}], home_location=10)
    workspace.write("one.yaml", text)
    account = sandbox(monitor("email-pop", 7, locations=[{"id": 10}], home_location=10))
    account.apply().expect(0, out="home_location: 10 (unchanged, sent with locations)")
    sent = {"home_location": 10, "locations": [{"id": 10}, {"id": 20}]}
    assert account.patches() == [("/monitors/email-pop/7", sent)]


def test_apply_without_changes_sends_no_write_and_does_not_ask(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one", 7, port=587)
    account = sandbox(monitor("email-smtp", 7, port=587))
    for command in (["plan"], ["apply"]):
        account.run(*command).expect(0, out="No changes. 1 unchanged.")
    assert account.calls() == [_LOGIN, _READ] * 2


@pytest.mark.parametrize(
    "flags", [["--json"], ["--show-requests", "--detailed-exitcode"]], ids=" ".join
)
def test_plan_logs_in_reads_and_never_writes(flags: list[str], relays: Relays) -> None:
    account = relays(3)
    assert account.run("plan", *flags).code in {0, 2}
    assert account.calls() == [_LOGIN, _READ]


def test_applying_again_sends_nothing_more(relays: Relays) -> None:
    account = relays(3)
    assert account.apply().code == 0
    assert account.apply().code == 0
    assert sorted(account.patches()) == [
        (f"/monitors/email-smtp/{number}", {"port": 587}) for number in (1, 2, 3)
    ]


_SPELLINGS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "number-as-text": ("email-smtp", {"port": 587}, {"port": "587"}),
    "whole-fraction": ("email-smtp", {"interval": 5}, {"interval": 5.0}),
    "empty-and-absent": ("email-smtp", {"note": ""}, {}),
    "empty-and-null": ("email-imap", {"note": ""}, {"note": None}),
    "empty-and-empty": ("email-imap", {"alert_note": ""}, {"alert_note": ""}),
    "locations-in-another-order-with-more-members": (
        "email-imap",
        {"locations": [{"id": 10}, {"id": 20}]},
        {
            "locations": [
                {"id": "20", "name": "Atlanta (GA)", "region": 1},
                {"id": 10, "name": "Fort Lauderdale (FL)", "region": 1},
            ]
        },
    ),
    "properties-in-another-order-with-more-members": (
        "email-pop",
        {"custom_properties": [{"id": 1, "value_id": 2}, {"id": 3, "value_id": 4}]},
        {
            "custom_properties": [
                {"id": 3, "value_id": 4, "name": "Environment", "value": "development"},
                {"id": 1, "value_id": "2", "name": "Team", "value": "mail"},
            ]
        },
    ),
    "spaces-in-the-plan-code": (
        "email-round-trip",
        {"billing_plancode": "UBM-A/A"},
        {"billing_plancode": "UBM - A/A"},
    ),
}


def test_another_spelling_is_no_change(workspace: Workspace, sandbox: Sandbox) -> None:
    seed = []
    for number, (name, (kind, wanted, live)) in enumerate(_SPELLINGS.items(), 1):
        workspace.describe(kind, name, number, **wanted)
        seed.append(monitor(kind, number, **live))
    account = sandbox(*seed)
    done = account.apply().expect(0)
    assert done.out.startswith(f"No changes. {len(_SPELLINGS)} unchanged.")
    assert account.calls() == [_LOGIN, _READ]


_VALUES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "case": ({"note": "x"}, {"note": "X"}),
    "spaces-in-a-note": ({"note": "a b"}, {"note": "ab"}),
    "true-is-not-0": ({"enabled": True}, {"enabled": 0}),
    "cleared": ({"note": ""}, {"note": "to be cleared"}),
    "one-and-none": ({"locations": [{"id": 10}]}, {"locations": []}),
    "one-and-absent": ({"port": 993}, {}),
}


def test_another_value_is_a_change(workspace: Workspace, sandbox: Sandbox) -> None:
    seed, expected = [], {}
    for number, (name, (wanted, live)) in enumerate(_VALUES.items(), 1):
        workspace.describe("email-imap", name, number, **wanted)
        seed.append(monitor("email-imap", number, **live))
        expected[f"/monitors/email-imap/{number}"] = wanted
    account = sandbox(*seed)
    assert account.apply().code == 0
    assert len(account.patches()) == len(_VALUES)
    assert dict(account.patches()) == expected


def test_sandbox_command_serves_seed_faults_and_log(
    workspace: Workspace, start: Start, run: Run
) -> None:
    workspace.describe("email-smtp", "one", 7, port=587)
    seed = '[{"id": 7, "type": "email-smtp", "name": "Monitor", "port": 25}]'
    (workspace.root / "seed.json").write_text(seed, encoding="utf-8")
    rule = "PATCH * status=503 retry-after=0 times=1"
    files = ("--seed-file", "seed.json", "--request-log", "requests.jsonl")
    server = start("sandbox", "--port", "0", *files, "--fault", rule)
    exports = server.read_until("PASSWORD", stream="stdout").splitlines()
    env = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    assert run(*_APPLY, env=env).code == 0
    log = (workspace.root / "requests.jsonl").read_text(encoding="utf-8")
    assert log.count('"PATCH"') == 2
    assert '"password": "***"' in log
    assert server.finish(signal.SIGTERM).code == 0
