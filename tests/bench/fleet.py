"""A fleet of any size: manifests, and the account that they fit."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("email-smtp", "email-imap", "email-pop")
FIRST_ID = 100_000

_MANIFEST = """\
# yaml-language-server: $schema=../../schemas/{kind}.schema.json
apiVersion: reconciler/v1
kind: {kind}
metadata:
  name: mail-{number:05}
  id: {id}
  labels: {{team: mail-core}}
spec:
  name: Production mail server {number:05}
  billing_plancode: UBM - A/A
  hostname: mx{number}.example.com
  ipv4: 192.0.2.{octet}
  port: {port}
  interval: 5
  timeout: {timeout}
  enabled: true
  notify_on_error: true
  locations: [{{id: 10}}, {{id: 20}}]
  note: Managed in Git; see the runbook.
"""


def write(folder: Path, size: int, *, timeout: int = 30) -> None:
    """Writes `size` manifests in folders of 500, and `account.json`, the seed of their account.

    With another timeout than 30, the manifests differ from the account in that field, by which no
    monitor loses monitoring: the safety budget has nothing against it. The account is written
    monitor by monitor: a child's peak memory counts from its parent's.
    """
    for number in range(size):
        file = folder / "monitors" / f"team-{number // 500:03}" / f"mail-{number:05}.yaml"
        if number % 500 == 0:
            file.parent.mkdir(parents=True)
        file.write_text(
            _MANIFEST.format(
                kind=KINDS[number % len(KINDS)],
                number=number,
                id=FIRST_ID + number,
                octet=number % 250 + 1,
                port=587 if number % 2 else 25,
                timeout=timeout,
            )
        )
    with (folder / "account.json").open("w") as file:
        for number in range(size):
            file.write(("," if number else "[") + json.dumps(_monitor(number)) + "\n")
        file.write("]\n")


_ACCOUNTS = """\
[defaults]
token = {{file = "tokens/{{account}}"}}

[fleet]
parallelism = {at_once}
"""


def write_accounts(folder: Path, count: int, at_once: int) -> None:
    """Makes the manifests of a folder those of so many accounts, each with links to all of them.

    One monitor of the first account differs in a field: of an account without changes nothing is
    shown before the end.
    """
    settings = _ACCOUNTS.format(at_once=at_once)
    shared = (folder / "monitors").rename(folder / "shared")
    for number in range(count):
        name = f"account-{number:03}"
        settings += f"\n[accounts.{name}]\n"
        shutil.copytree(shared, folder / "monitors" / name, copy_function=os.link)
    file = folder / "monitors" / "account-000" / "team-000" / "mail-00000.yaml"
    text = file.read_text()
    file.unlink()
    file.write_text(text.replace("timeout: 30", "timeout: 45"))
    (folder / "reconciler.toml").write_text(settings)
    (folder / "tokens").mkdir()


def write_tokens(folder: Path, url: str, username: str, password: str) -> None:
    """Gives each account of a folder a token of its own.

    By their tokens they are different logins, though one sandbox account stands for all of them.
    """
    body = json.dumps({"username": username, "password": password}).encode()
    asked = urllib.request.Request(f"{url}/access-tokens", body)
    for account in (folder / "monitors").iterdir():
        with urllib.request.urlopen(asked) as answer:
            (folder / "tokens" / account.name).write_text(json.load(answer)["access_token"])


def _monitor(number: int) -> dict[str, Any]:
    """A monitor with all fields that AlertSite's own samples show."""
    return {
        "access_type": "Edit",
        "alert_note": "",
        "allow_internal_testing": True,
        "billing_plancode": "UBM - A/A",
        "blackout_ids": [],
        "custom_properties": [
            {"id": 228, "name": "Environment", "value": "development", "value_id": 550}
        ],
        "enabled": True,
        "has_active_performance_alerts": False,
        "has_performance_alerts": True,
        "has_sla": False,
        "home_location": 10,
        "hostname": f"mx{number}.example.com",
        "id": FIRST_ID + number,
        "interval": 5,
        "ipv4": f"192.0.2.{number % 250 + 1}",
        "locations": [
            {"id": 20, "name": "Atlanta (GA)", "region": 1},
            {"id": 10, "name": "Fort Lauderdale (FL)", "region": 1},
        ],
        "mode": "Global Verify",
        "monitor_location_count": 1,
        "name": f"Production mail server {number:05}",
        "note": "Managed in Git; see the runbook.",
        "notify_on_error": True,
        "port": 587 if number % 2 else 25,
        "resolve_dns": True,
        "retry_on_failure": True,
        "rotate_locations": True,
        "sla_id": None,
        "timeout": 30,
        "traceroute_on_error": True,
        "type": KINDS[number % len(KINDS)],
    }
