"""Several accounts at one URL, as AlertSite has them: told apart by their logins alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.context import written
from reconciler.sandbox import PASSWORD, USERNAME, UserLogin
from reconciler.state_store import Lease, open_store
from reconciler.state_store.port import Key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.conftest import Account, Done, Manifest, Monitor, Run, Sandbox, Terminal, Workspace

    from reconciler.context import Clock

NORTH, SOUTH = (
    UserLogin("north@example.com", "n0rth-w0rd"),
    UserLogin("south@example.com", "s0uth-w0rd"),
)
SETTINGS = """
state = "file:.reconciler/{account}/state.json"

[defaults]
url = "URL"
manifests = ["monitors/_shared", "monitors/{account}"]
username = {env = "{ACCOUNT}_NAME"}
password = {env = "{ACCOUNT}_WORD"}
budget = {monitors = 1000, percent = 100}

[accounts.north]
labels = {tier = "prod"}

[accounts.south]
labels = {tier = "test", team = "mail"}
"""
ENV = {
    "NORTH_NAME": NORTH.username,
    "NORTH_WORD": NORTH.password,
    "SOUTH_NAME": SOUTH.username,
    "SOUTH_WORD": SOUTH.password,
}


class Pair:
    """Two accounts at one URL, with a shared manifest and one of their own each."""

    def __init__(self, run: Run, workspace: Workspace, host: Account) -> None:
        self._run = run
        self.workspace = workspace
        self.host = host
        self.north, self.south = (
            type(host)(
                host.url,
                host.log,
                {"ALERTSITE_USERNAME": login.username, "ALERTSITE_PASSWORD": login.password},
            )
            for login in (NORTH, SOUTH)
        )

    def __call__(self, *arguments: str, **given: Any) -> Done:
        return self._run(*arguments, env=ENV | given.pop("env", {}), **given)

    def settings(self, old: str, new: str) -> None:
        path = self.workspace.root / "reconciler.toml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def state(self, name: str) -> Path:
        return self.workspace.root / ".reconciler" / name / "state.json"


@pytest.fixture
def pair(
    run: Run, workspace: Workspace, sandbox: Sandbox, manifest: Manifest, monitor: Monitor
) -> Pair:
    host = sandbox(monitor("email-smtp", 7, name="Of nobody here"), logins=(NORTH, SOUTH))
    workspace.write("_shared/relay.yaml", manifest("email-smtp", "relay", name="Relay", port=587))
    for name in ("north", "south"):
        text = manifest("email-smtp", f"own-{name}", name=f"Own of {name}")
        workspace.write(f"{name}/own.yaml", text)
    text = SETTINGS.replace("URL", host.url)
    (workspace.root / "reconciler.toml").write_text(text, encoding="utf-8")
    return Pair(run, workspace, host)


def names(account: Account) -> list[str]:
    return sorted(item["name"] for item in account.monitors())


def test_nothing_of_two_logins_is_mixed(pair: Pair) -> None:
    planned = pair("plan", "--json")
    assert [item["changes"]["create"] for item in planned.json["accounts"]] == [2, 2]
    assert pair("apply", "--all-accounts", "--auto-approve").code == 0
    assert names(pair.north) == ["Own of north", "Relay"]
    assert names(pair.south) == ["Own of south", "Relay"]
    assert names(pair.host) == ["Of nobody here"]
    ids = {}
    for name in ("north", "south"):
        state = json.loads(pair.state(name).read_text())
        assert state["account"] == {"name": name, "url": pair.host.url}
        ids[name] = {item["id"] for item in state["records"].values()}
    assert ids["north"] == {item["id"] for item in pair.north.monitors()}
    assert ids["south"] == {item["id"] for item in pair.south.monitors()}
    assert not ids["north"] & ids["south"]
    logins = [
        it["body"]["username"] for it in pair.host.requests("POST") if "username" in it["body"]
    ]
    assert set(logins) >= {NORTH.username, SOUTH.username}
    secrets = {*ENV.values()} - {NORTH.username, SOUTH.username}
    for path in pair.workspace.root.rglob("*"):
        if path.is_file():
            assert not [word for word in secrets if word in path.read_text(encoding="utf-8")]


def test_drift_of_one_login_is_that_of_its_account(pair: Pair) -> None:
    assert pair("apply", "--all-accounts", "--auto-approve").code == 0
    (relay,) = (item for item in pair.north.monitors() if item["name"] == "Relay")
    pair.north.edit("email-smtp", relay["id"], port=2525)
    found = {item["account"]: item["status"] for item in pair("drift", "--json").json["accounts"]}
    assert found == {"north": "changes", "south": "done"}
    assert pair("apply", "--all-accounts", "--auto-approve").code == 0
    assert pair("plan", "--detailed-exitcode").code == 0
    assert {item["port"] for item in pair.north.monitors() if item["name"] == "Relay"} == {587}


def test_lists_and_imports_are_of_one_login_each(pair: Pair) -> None:
    pair.north.create(
        "email-pop", name="Found in north", billing_plancode="P", hostname="n.example"
    )
    pair.south.create(
        "email-pop", name="Found in south", billing_plancode="P", hostname="s.example"
    )
    for name in ("north", "south"):
        rows = pair("list", "-a", name, "-o", "json").text
        assert (f"Found in {name}" in rows, rows.count("Found in")) == (True, 1)
    done = pair("import", "--all-accounts", "--into", "monitors/{account}/imported")
    assert done.code == 0, done.text
    for name in ("north", "south"):
        folder = pair.workspace.root / "monitors" / name / "imported"
        texts = "".join(path.read_text() for path in folder.rglob("*.yaml"))
        assert re.findall("Found in [a-z]+", texts) == [f"Found in {name}"]


def test_the_state_of_another_login_at_the_same_url_is_refused(pair: Pair) -> None:
    assert pair("apply", "--all-accounts", "--auto-approve").code == 0
    pair.state("south").write_bytes(pair.state("north").read_bytes())
    done = pair("plan", "-a", "south")
    assert (done.code, "south/state.json is the state of north (" in done.err) == (8, True), (
        done.err
    )


def test_two_accounts_with_one_login_and_one_manifest_are_refused(pair: Pair) -> None:
    same = {"SOUTH_NAME": NORTH.username, "SOUTH_WORD": NORTH.password}
    for arguments in (
        ("plan",),
        ("apply", "--all-accounts"),
        ("plan", "-a", "south"),
        ("watch", "--once"),
    ):
        before = len(pair.host.requests())
        done = pair(*arguments, env=same)
        assert done.code == 3, done.text
        assert (
            "Error: the accounts north (reconciler.toml:11) and south (reconciler.toml:14) log in "
            "with the same user at the same URL, and both have manifests in monitors/_shared\n"
        ) in done.err
        assert len(pair.host.requests()) == before
    pair.settings('"monitors/_shared", ', "")
    assert pair("plan", env=same).code == 0  # they manage monitors of their own


@pytest.mark.parametrize(
    "spelling",
    ["a link", "a whole path", "a folder above", "a folder below", "the URL", "the user"],
)
def test_one_login_and_one_manifest_are_refused_however_they_are_written(
    pair: Pair, spelling: str
) -> None:
    same = {"SOUTH_NAME": NORTH.username, "SOUTH_WORD": NORTH.password}
    pair.settings('"monitors/_shared", ', "")
    monitors = pair.workspace.root / "monitors"
    folder = "monitors/north"
    if spelling == "a link":
        folder = "monitors/south/link"
        (monitors / "south" / "link").symlink_to(monitors / "north")
    elif spelling == "a whole path":
        folder = str(monitors / "north")
    elif spelling == "a folder above":
        folder = "monitors"
    elif spelling == "a folder below":
        folder = "monitors/north/below"
        (monitors / "north" / "below").mkdir()
    elif spelling == "the URL":
        url = pair.host.url.replace("http://", "HTTP://")
        pair.settings("[accounts.south]", f'[accounts.south]\nurl = "{url}"')
    else:
        same["SOUTH_NAME"] = NORTH.username.upper()
    pair.settings("[accounts.south]", f'[accounts.south]\nmanifests = ["{folder}"]')
    done = pair("plan", env=same)
    assert (done.code, "log in with the same user at the same URL" in done.err) == (3, True), (
        done.text
    )


def test_a_user_that_only_one_account_knows_is_no_one_else(pair: Pair) -> None:
    assert pair("plan", "-a", "south", env={"NORTH_NAME": ""}).code == 0


@pytest.mark.parametrize(
    ("settings", "env", "code", "hint"),
    [
        (
            ("", ""),
            {"NORTH_WORD": "wrong"},
            4,
            "Check env:NORTH_NAME and env:NORTH_WORD, the login of the account north. ",
        ),
        (
            ('username = {env = "{ACCOUNT}_NAME"}', 'token = {file = "token-{account}"}'),
            {},
            4,
            "Set a new one, or username and password of the account north to log in.",
        ),
        (
            ("[accounts.north]", '[accounts.north]\nurl = "http://127.0.0.1:9/api/v3"'),
            {},
            6,
            "Check url in [accounts.north] of reconciler.toml and the network",
        ),
        (
            ("/api/v3", "/api/v4"),
            {},
            6,
            "Check url in [defaults] of reconciler.toml, which is http",
        ),
    ],
)
def test_a_hint_names_what_the_account_really_uses(
    pair: Pair, hurried: Clock, settings: tuple[str, str], env: dict[str, str], code: int, hint: str
) -> None:
    pair.settings(*settings)
    for name in ("north", "south"):
        (pair.workspace.root / f"token-{name}").write_text(f"0123456789abcdef-{name}\n")
    if "token" in settings[1]:
        pair.settings('password = {env = "{ACCOUNT}_WORD"}\n', "")
    done = pair("plan", "-a", "north", env=env | {"RECONCILER_DEADLINE": "1s"}, clock=hurried)
    assert (done.code, hint in done.err) == (code, True), done.err
    assert "ALERTSITE" not in done.err


def test_what_is_not_in_this_account_is_looked_for_where_its_login_is_set(
    pair: Pair, manifest: Manifest
) -> None:
    pair.workspace.write("north/bound.yaml", manifest("email-smtp", "bound", 7))
    done = pair("plan", "-a", "north")
    assert "check that the URL and the login belong to the account that has it" in done.text
    assert "ALERTSITE" not in done.text


@pytest.mark.usefixtures("pair")
def test_the_progress_of_an_account_is_shown_before_its_end(
    terminal: Callable[..., Terminal],
) -> None:
    shown = terminal("apply", "--all-accounts", "--auto-approve", env=ENV)
    assert shown.finish() == 0
    for name in ("north", "south"):
        *_, part = shown.screen.split(f"Account {name}\r\n")
        assert 0 <= part.index("accepted") < part.index("Apply complete!"), part


def test_who_waits_for_a_lock_reads_whose_it_is(pair: Pair, hurried: Clock) -> None:
    location = f"file:{pair.state('south')}"
    lease = Lease(
        id="run-1",
        holder="ann",
        host="build-1",
        operation="apply",
        acquired_at=written(hurried.now()),
        process="another-boot/1/2/3",
        length=600,
        account="south",
    )
    pair.state("south").parent.mkdir(parents=True)
    open_store(location, folder=pair.workspace.root).write(Key.LOCK, lease.encoded(), None, "Lock")
    done = pair("apply", "--all-accounts", "--auto-approve")
    assert done.code == 7
    assert "(apply of the account south, run run-1)" in done.err
    assert (
        "If you are certain that it is dead, run: reconciler state unlock run-1 -a south"
        in done.err
    )
    done = pair("state", "unlock", "-a", "south")
    assert "held by ann on build-1 for apply of the account south since" in done.out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("reconciler plan -a ", ["north", "south"]),
        ("reconciler plan -a so", ["south"]),
        ("reconciler plan --not-account n", ["north"]),
        ("reconciler why -a s", ["south"]),
        ("reconciler plan -l ", ["team=mail", "tier=prod", "tier=test"]),
        ("reconciler plan --label tier=t", ["tier=test"]),
    ],
)
def test_accounts_and_their_labels_are_completed(
    pair: Pair, run_process: Run, words: str, offered: list[str]
) -> None:
    assert completed(run_process, words) == offered
    assert pair.host.calls() == []


@pytest.mark.parametrize("settings", ["[accounts", "[accounts.north]\nwaves = 1\n", "", None])
def test_nothing_is_completed_from_settings_with_a_fault(
    workspace: Workspace, run_process: Run, settings: str | None
) -> None:
    path = workspace.root / "reconciler.toml"
    path.unlink()
    if settings is not None:
        path.write_text(settings, encoding="utf-8")
    assert completed(run_process, "reconciler plan -a ") == []


def completed(run_process: Run, words: str) -> list[str]:
    count = len(words.split()) - (not words.endswith(" "))
    done = run_process(
        env={
            "_RECONCILER_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(count),
        }
    )
    assert (done.code, done.err) == (0, "")
    return [line.partition(",")[2] for line in done.out.splitlines() if line]


def test_one_account_is_asked_with_its_own_variables(pair: Pair) -> None:
    env = {"ALERTSITE_USERNAME": USERNAME, "ALERTSITE_PASSWORD": PASSWORD}
    assert pair("plan", "-a", "north", env=env).code == 0
    assert [it["body"]["username"] for it in pair.host.requests("POST")] == [NORTH.username]


@pytest.mark.parametrize(
    ("login", "why"),
    [
        ("north", "--login needs a name and a password"),
        (":word", "--login needs a name and a password"),
        (f"{USERNAME}:word", f"the user {USERNAME} already exists"),
    ],
)
def test_a_login_that_a_sandbox_cannot_serve(run: Run, login: str, why: str) -> None:
    done = run("sandbox", "--login", login)
    assert (done.code, why in done.err) == (64, True)
