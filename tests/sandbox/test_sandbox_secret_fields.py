import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.sandbox.monitors import SecretFields

LOGIN = {
    "mailbox_user": "probe",
    "mailbox_password": "hunter2",
    "auth": [{"apiToken": "t0ken", "realm": "mail"}, {"credentials": {"a": ["b"]}}],
}
SHOWN = {
    "echoed": LOGIN,
    "masked": {
        "mailbox_user": "probe",
        "mailbox_password": "********",
        "auth": [{"apiToken": "********", "realm": "mail"}, {"credentials": "********"}],
    },
    "omitted": {"mailbox_user": "probe", "auth": [{"realm": "mail"}, {}]},
}


def fields_of(monitor: dict[str, Any]) -> dict[str, Any]:
    return {name: monitor[name] for name in LOGIN if name in monitor}


@pytest.mark.parametrize("way", SHOWN)
def test_get_shows_secrets_in_the_chosen_way(start: Any, smtp: Any, way: str) -> None:
    client = start(secret_fields=way)
    number = client.post("/monitors/email-smtp", json={**smtp, **LOGIN}).json()["id"]
    one = client.get(f"/monitors/{number}").json()
    assert fields_of(one) == SHOWN[way]
    assert client.get("/monitors").json()["results"] == [one]
    chosen = client.get(f"/monitors/{number}", params={"select": ",".join(LOGIN)})
    assert chosen.json() == SHOWN[way]


def test_secrets_are_omitted_unless_asked_for(start: Any, smtp: Any) -> None:
    client = start()
    client.post("/monitors/email-smtp", json={**smtp, **LOGIN})
    assert "hunter2" not in client.get("/monitors").text


def test_what_is_not_shown_is_kept(start: Any, smtp: Any, tmp_path: Path) -> None:
    database = tmp_path / "sandbox.db"
    client = start(database=database)
    number = client.post("/monitors/email-smtp", json={**smtp, **LOGIN}).json()["id"]
    path = f"/monitors/email-smtp/{number}"
    assert client.patch(path, json={"port": 25, "mailbox_user": "other"}).status_code == 200
    echoing = start(database=database, secret_fields="echoed")
    kept = echoing.get(f"/monitors/{number}").json()
    assert fields_of(kept) == {**LOGIN, "mailbox_user": "other"}
    assert client.patch(path, json=dict.fromkeys(LOGIN, "")).status_code == 200
    assert fields_of(echoing.get(f"/monitors/{number}").json()) == dict.fromkeys(LOGIN, "")


def test_an_unset_secret_needs_no_mask(start: Any, smtp: Any) -> None:
    client = start(secret_fields="masked")
    unset = {"mailbox_password": "", "api_key": None}
    number = client.post("/monitors/email-smtp", json={**smtp, **unset}).json()["id"]
    assert unset.items() <= client.get(f"/monitors/{number}").json().items()


def test_the_request_log_shows_what_arrived(start: Any, smtp: Any, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    client = start(request_log=log)
    client.post("/monitors/email-smtp", json={**smtp, **LOGIN})
    (line,) = (json.loads(line) for line in log.read_text().splitlines() if "Relay" in line)
    assert line["body"] == {**smtp, **LOGIN}


def test_a_database_of_the_first_version_hides_its_secrets_too(
    start: Any, smtp: Any, tmp_path: Path
) -> None:
    database = tmp_path / "sandbox.db"
    monitor = {"id": 100001, "type": "email-smtp", **smtp, **LOGIN}
    with closing(sqlite3.connect(database)) as old, old:
        old.execute(
            "CREATE TABLE monitor (id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT, json TEXT)"
        )
        old.execute(
            "INSERT INTO monitor VALUES (?, ?, ?)", (100001, "email-smtp", json.dumps(monitor))
        )
        old.execute("PRAGMA user_version = 1")
    for way in ("omitted", "echoed", "masked"):
        client = start(database=database, seed=[{"id": 1, "type": "x"}], secret_fields=way)
        (one,) = client.get("/monitors").json()["results"]
        assert one == {"id": 100001, "type": "email-smtp", **smtp, **SHOWN[way]}
    assert client.post("/monitors/email-smtp", json=smtp).json() == {"id": "100002"}


def test_a_server_without_kinds_has_no_secrets(secret_fields: SecretFields) -> None:
    assert secret_fields.are_in({"a": [{"b": 1, "clientSecret": 1}]})
    assert not secret_fields.are_in({"passed": 1, "bypass_proxy": [{}]})
    assert not SecretFields("omitted", {}).are_in(LOGIN)


@pytest.mark.parametrize(
    ("choice", "way"), [([], "omitted"), (["--secret-fields=masked"], "masked")]
)
def test_the_command_has_the_choice(
    token_of: Any, smtp: Any, tmp_path: Path, choice: list[str], way: str
) -> None:
    command = [sys.executable, "-m", "reconciler", "sandbox", *choice]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().partition("=")[2]
        with httpx.Client(base_url=url) as client:
            client.headers["Authorization"] = f"Bearer {token_of(client)}"
            number = client.post("/monitors/email-smtp", json={**smtp, **LOGIN}).json()["id"]
            assert fields_of(client.get(f"/monitors/{number}").json()) == SHOWN[way]
        process.terminate()
    assert process.returncode == 0


def test_the_command_knows_no_other_choice() -> None:
    command = [sys.executable, "-m", "reconciler", "sandbox", "--secret-fields", "shown"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "'echoed', 'masked', 'omitted'" in done.stderr
