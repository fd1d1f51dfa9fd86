"""Several accounts at one URL, as AlertSite has them: told apart by their logins alone."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from e2e.conftest import Account, Done, Run, Sandbox, Terminals, Workspace, manifest, monitor

from reconciler import manifests
from reconciler.context import Clock, written
from reconciler.sandbox import PASSWORD, USERNAME, UserLogin
from reconciler.state_store import Lease, open_store
from reconciler.state_store.port import Key

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
BOTH = ("north", "south")
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

    def state(self, name: str) -> Path:
        return self.workspace.root / ".reconciler" / name / "state.json"


@pytest.fixture
def pair(run: Run, workspace: Workspace, sandbox: Sandbox) -> Pair:
    host = sandbox(monitor("email-smtp", 7, name="Of nobody here"), logins=(NORTH, SOUTH))
    workspace.write("_shared/relay.yaml", manifest("email-smtp", "relay", name="Relay", port=587))
    for name in BOTH:
        text = manifest("email-smtp", f"own-{name}", name=f"Own of {name}")
        workspace.write(f"{name}/own.yaml", text)
    text = SETTINGS.replace("URL", host.url)
    workspace.settings(text)
    return Pair(run, workspace, host)


def test_nothing_of_two_logins_is_mixed(pair: Pair) -> None:
    planned = pair("plan", "--json")
    assert [item["changes"]["create"] for item in planned.json["accounts"]] == [2, 2]
    assert pair("apply", "--all-accounts", "--auto-approve").code == 0
    assert pair.north.names() == ["Own of north", "Relay"]
    assert pair.south.names() == ["Own of south", "Relay"]
    assert pair.host.names() == ["Of nobody here"]
    ids = {}
    for name in BOTH:
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
    pair.north.create("email-pop", name="Found in north", hostname="n.example")
    pair.south.create("email-pop", name="Found in south", hostname="s.example")
    for name in BOTH:
        rows = pair("list", "-a", name, "-o", "json").text
        assert (f"Found in {name}" in rows, rows.count("Found in")) == (True, 1)
    pair("import", "--all-accounts", "--into", "monitors/{account}/imported").expect(0)
    for name in BOTH:
        folder = pair.workspace.root / "monitors" / name / "imported"
        texts = "".join(path.read_text() for path in folder.rglob("*.yaml"))
        assert re.findall("Found in [a-z]+", texts) == [f"Found in {name}"]


def test_the_state_of_another_login_at_the_same_url_is_refused(pair: Pair) -> None:
    assert pair("apply", "--all-accounts", "--auto-approve").code == 0
    pair.state("south").write_bytes(pair.state("north").read_bytes())
    pair("plan", "-a", "south").expect(8, err="south/state.json is the state of north (")


def test_two_accounts_with_one_login_and_one_manifest_are_refused(pair: Pair) -> None:
    same = {"SOUTH_NAME": NORTH.username, "SOUTH_WORD": NORTH.password}
    for arguments in (
        ("plan",),
        ("apply", "--all-accounts"),
        ("plan", "-a", "south"),
        ("plan", "-a", "south", "--offline"),
        ("validate", "-a", "south"),
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
    pair.workspace.change('"monitors/_shared", ', "")
    assert pair("plan", env=same).code == 0  # they manage monitors of their own


@pytest.mark.parametrize(
    "spelling",
    ["a link", "a whole path", "a folder above", "a folder below", "the URL", "the user"],
)
def test_one_login_and_one_manifest_are_refused_however_they_are_written(
    pair: Pair, spelling: str
) -> None:
    same = {"SOUTH_NAME": NORTH.username, "SOUTH_WORD": NORTH.password}
    pair.workspace.change('"monitors/_shared", ', "")
    monitors = pair.workspace.root / "monitors"
    folder = "monitors/north"
    if spelling == "a link":
        folder = "monitors/south/link"
        (monitors / "south" / "link").symlink_to(monitors / "north")
    elif spelling == "a whole path":
        folder = str(monitors / "north")
    elif spelling == "a folder above":
        folder = str(monitors)
    elif spelling == "a folder below":
        folder = str(monitors / "north" / "below")
        (monitors / "north" / "below").mkdir()
    elif spelling == "the URL":
        url = pair.host.url.replace("http://", "HTTP://")
        pair.workspace.change("[accounts.south]", f'[accounts.south]\nurl = "{url}"')
    else:
        same["SOUTH_NAME"] = NORTH.username.upper()
    pair.workspace.change("[accounts.south]", f'[accounts.south]\nmanifests = ["{folder}"]')
    pair("plan", env=same).expect(3, err="log in with the same user at the same URL")


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
    pair.workspace.change(*settings)
    for name in BOTH:
        (pair.workspace.root / f"token-{name}").write_text(f"0123456789abcdef-{name}\n")
    if "token" in settings[1]:
        pair.workspace.change('password = {env = "{ACCOUNT}_WORD"}\n', "")
    done = pair("plan", "-a", "north", env=env | {"RECONCILER_DEADLINE": "1s"}, clock=hurried)
    assert (done.code, hint in done.err) == (code, True), done.err
    assert "ALERTSITE" not in done.err


def test_what_is_not_in_this_account_is_looked_for_where_its_login_is_set(pair: Pair) -> None:
    pair.workspace.write("north/bound.yaml", manifest("email-smtp", "bound", 7))
    done = pair("plan", "-a", "north")
    assert "check that the URL and the login belong to the account that has it" in done.text
    assert "ALERTSITE" not in done.text


@pytest.mark.usefixtures("pair")
def test_the_progress_of_an_account_is_shown_before_its_end(terminal: Terminals) -> None:
    shown = terminal("apply", "--all-accounts", "--auto-approve", env=ENV)
    assert shown.finish() == 0
    for name in BOTH:
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
    told = pair("doctor", "-a", "south").out
    assert "run: reconciler state unlock -a south run-1" in " ".join(told.split())
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
    pair: Pair, complete: Callable[..., list[str]], words: str, offered: list[str]
) -> None:
    assert complete(words) == offered
    assert pair.host.calls() == []


@pytest.mark.parametrize("settings", ["[accounts", "[accounts.north]\nwaves = 1\n", "", None])
def test_nothing_is_completed_from_settings_with_a_fault(
    workspace: Workspace, complete: Callable[..., list[str]], settings: str | None
) -> None:
    path = workspace.root / "reconciler.toml"
    path.unlink()
    if settings is not None:
        path.write_text(settings, encoding="utf-8")
    assert complete("reconciler plan -a ") == []


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
    run("sandbox", "--login", login).expect(64, err=why)


@pytest.mark.parametrize("command", ["plan", "status", "apply"])
def test_a_rejected_login_of_several_accounts_is_tried_once(pair: Pair, command: str) -> None:
    """AlertSite counts them, and locks the user out."""
    pair.workspace.change('"monitors/_shared", ', "")
    wrong = dict.fromkeys(("NORTH_NAME", "SOUTH_NAME"), NORTH.username)
    wrong |= dict.fromkeys(("NORTH_WORD", "SOUTH_WORD"), "wr0ng-w0rd")
    flags = ("--auto-approve", "--all-accounts") if command == "apply" else ()
    done = pair(command, *flags, env=wrong).expect(4)
    assert done.text.count("AlertSite rejects the login") >= 2
    assert len(pair.host.requests("POST")) == 1


class TestSharedLogin:
    """Two accounts of the settings that are one login, each with a folder of its own."""

    SAME: ClassVar = {"SOUTH_NAME": NORTH.username, "SOUTH_WORD": NORTH.password}

    @pytest.fixture
    def shared(self, pair: Pair) -> Pair:
        pair.workspace.change('"monitors/_shared", ', "")
        for name in BOTH:
            (pair.workspace.root / "monitors" / name / "own.yaml").unlink()
        return pair

    @staticmethod
    def relay(shared: Pair, name: str, number: int | None, port: int) -> None:
        head = ("email-smtp", "relay", number) if number else ("email-smtp", "relay")
        shared.workspace.write(f"{name}/relay.yaml", manifest(*head, name="Relay", port=port))

    @staticmethod
    def made(shared: Pair, name: str = "Relay", port: int = 25) -> int:
        return shared.north.create("email-smtp", name=name, hostname="h.example", port=port)

    def test_one_id_in_both_is_refused_wherever_manifests_are_read(self, shared: Pair) -> None:
        number = self.made(shared)
        self.relay(shared, "north", number, 26)
        self.relay(shared, "south", number, 27)
        for arguments in (
            ("validate",),
            ("validate", "-a", "south"),
            ("plan",),
            ("plan", "-a", "north"),
            ("plan", "-a", "north", "--offline"),
            ("apply", "--all-accounts", "--auto-approve"),
            ("apply", "-a", "south", "--auto-approve"),
            ("list", "-a", "south"),
            ("pull", "-a", "south"),
            ("set", "-a", "south", "email-smtp/relay", "port=28", "--auto-approve"),
            ("watch", "--once", "--apply"),
        ):
            done = shared(*arguments, env=self.SAME).expect(3)
            assert f"duplicate-id: monitor {number} is also bound by" in done.text, arguments
        assert shared.north.patches() == []
        assert shared("plan", "-a", "north").code == 0, "another login has monitors of its own"

    def test_a_mistake_of_two_accounts_does_not_stop_the_others(self, shared: Pair) -> None:
        shared.workspace.change(
            "[accounts.south]", '[accounts.other]\nmanifests = ["o"]\n[accounts.south]'
        )
        (shared.workspace.root / "o").mkdir()
        text = manifest("email-smtp", "alone", name="Alone")
        (shared.workspace.root / "o" / "alone.yaml").write_text(text)
        number = self.made(shared)
        for name in BOTH:
            self.relay(shared, name, number, 26)
        env = self.SAME | {"OTHER_NAME": SOUTH.username, "OTHER_WORD": SOUTH.password}
        shared("apply", "--all-accounts", "--auto-approve", env=env).expect(7)
        assert shared.south.names() == ["Alone"]

    @pytest.mark.parametrize("ids", [True, False])
    def test_import_leaves_what_the_other_has(self, shared: Pair, *, ids: bool) -> None:
        for count in range(3):
            self.made(shared, f"Relay {count}")
        without = () if ids else ("--no-ids",)
        done = shared("import", "--all-accounts", *without, env=self.SAME).expect(0)
        words = "3 monitors already in manifests of the account north, which has the same login: "
        assert words in done.text
        assert list((shared.workspace.root / "monitors" / "south").rglob("*.yaml")) == []
        new = self.made(shared, "New")
        assert shared("import", "-a", "south", env=self.SAME).code == 0
        (file,) = (shared.workspace.root / "monitors" / "south").rglob("*.yaml")
        assert f"id: {new}" in file.read_text()
        assert shared("apply", "--all-accounts", "--auto-approve", env=self.SAME).code == 0
        assert "0 unchanged" not in shared("plan", env=self.SAME).text

    def test_monitors_of_the_other_are_not_counted(self, shared: Pair) -> None:
        for name, port in zip(BOTH, (25, 26), strict=True):
            number = self.made(shared, name, port)
            text = manifest("email-smtp", name, number, name=name, port=port)
            shared.workspace.write(f"{name}/own.yaml", text)
        assert shared("apply", "--all-accounts", "--auto-approve", env=self.SAME).code == 0
        own = ("-a", "north", "--json")
        told = {
            "plan": shared("plan", *own, env=self.SAME).json["summary"]["unmanaged"],
            "list": shared("list", *own, env=self.SAME).json["summary"]["unmanaged"],
            "status": shared("status", *own, env=self.SAME).json["monitors"]["unmanaged"],
            "report": shared("report", *own, env=self.SAME).json["total"]["unmanaged"],
        }
        assert told == dict.fromkeys(told, 0)
        cost = shared("status", *own, env=self.SAME).json["cost"]
        assert cost["monitors"] + cost["unknown"] == 1

    @pytest.mark.parametrize("has_id", [True, False])
    def test_what_moves_to_the_other_is_forgotten_here_and_not_destroyed(
        self, shared: Pair, *, has_id: bool
    ) -> None:
        number = self.made(shared)
        self.relay(shared, "north", number if has_id else None, 26)
        shared.workspace.write("north/other.yaml", manifest("email-smtp", "other", name="Other"))
        shared("apply", "-a", "north", "--adopt", "--auto-approve", env=self.SAME).expect(0)
        root = shared.workspace.root / "monitors"
        (root / "south").mkdir(exist_ok=True)
        (root / "north" / "relay.yaml").rename(root / "south" / "relay.yaml")
        arguments = ("apply", "--all-accounts", "--prune", "--adopt", "--auto-approve")
        assert shared(*arguments, env=self.SAME).code == 0
        assert shared.north.live(number)["port"] == 26
        assert shared.north.names() == ["Other", "Relay"]
        records = [json.loads(shared.state(name).read_text())["records"] for name in BOTH]
        assert [list(it) for it in records] == [["email-smtp/other"], ["email-smtp/relay"]]
        shared("plan", "--detailed-exitcode", env=self.SAME).expect(0)

    @pytest.mark.parametrize("wrong", ["manifests", "folder"])
    def test_nothing_is_destroyed_while_the_other_cannot_be_read(
        self, shared: Pair, wrong: str
    ) -> None:
        self.relay(shared, "north", self.made(shared), 26)
        shared.workspace.write("north/other.yaml", manifest("email-smtp", "other", name="Other"))
        shared.workspace.write("south/mine.yaml", manifest("email-smtp", "mine", name="Mine"))
        assert shared("apply", "-a", "north", "--auto-approve", env=self.SAME).code == 0
        (run,) = shared("history", "-a", "north", "--json", env=self.SAME).json["runs"]
        root = shared.workspace.root / "monitors"
        (root / "north" / "relay.yaml").rename(root / "south" / "relay.yaml")
        if wrong == "folder":
            (root / "south").rename(root / "elsewhere")
        else:
            (root / "south" / "relay.yaml").write_text("spec: [")
        (root / "north" / "other.yaml").unlink()
        for command in (
            ("apply", "-a", "north", "--prune", "--allow-empty"),
            ("apply", "--all-accounts", "--prune", "--allow-empty"),
            ("undo", run["id"], "-a", "north"),
        ):
            done = shared(*command, "--auto-approve", "--allow-loss", "5", env=self.SAME)
            assert done.code not in {0, 2}, done.text
            assert shared.north.names() == ["Other", "Relay"], done.text
        assert "the account south has the same login and may describe monitor" in done.text
        assert "reconciler validate -a south" in done.text

    def test_one_that_moves_while_its_name_is_another_in_alertsite_is_not_destroyed(
        self, shared: Pair
    ) -> None:
        self.relay(shared, "north", None, 26)
        shared.workspace.write("north/other.yaml", manifest("email-smtp", "other", name="Other"))
        assert shared("apply", "-a", "north", "--auto-approve", env=self.SAME).code == 0
        (relay,) = (item["id"] for item in shared.north.monitors() if item["name"] == "Relay")
        shared.north.edit("email-smtp", relay, name="Renamed by hand")
        root = shared.workspace.root / "monitors"
        (root / "south").mkdir(exist_ok=True)
        (root / "north" / "relay.yaml").rename(root / "south" / "relay.yaml")
        arguments = ("apply", "--all-accounts", "--prune", "--adopt", "--auto-approve")
        shared(*arguments, env=self.SAME)
        assert relay in {item["id"] for item in shared.north.monitors()}

    def test_a_name_that_the_other_has_too_lifts_no_protection(self, shared: Pair) -> None:
        text = manifest("email-smtp", "relay", name="Relay")
        shared.workspace.write("north/relay.yaml", f"{text}lifecycle: {{protect: true}}\n")
        shared.workspace.write("north/other.yaml", manifest("email-smtp", "other", name="Other"))
        assert shared("apply", "-a", "north", "--auto-approve", env=self.SAME).code == 0
        shared.workspace.remove("north/relay.yaml")
        shared.workspace.write("south/new.yaml", manifest("email-smtp", "new", name="Relay"))
        done = shared("apply", "-a", "north", "--prune", "--auto-approve", env=self.SAME)
        assert (done.code, "its lifecycle protects it" in done.text) == (5, True), done.text
        assert "email-smtp/relay" in shared.state("north").read_text()

    def test_what_the_other_describes_is_no_monitor_without_a_manifest(self, shared: Pair) -> None:
        shared.workspace.write("north/own.yaml", manifest("email-smtp", "own", name="Own"))
        assert shared("apply", "-a", "north", "--auto-approve", env=self.SAME).code == 0
        self.relay(shared, "south", self.made(shared), 25)
        for command, words in (
            (("plan",), "without a manifest"),
            (("drift", "--unmanaged"), "Relay"),
            (("list", "--unmanaged"), "Relay"),
            (("status",), "unmanaged"),
        ):
            done = shared(*command, "-a", "north", env=self.SAME)
            assert (done.code, words in done.text) == (0, False), done.text

    def test_what_only_a_record_binds_is_not_taken(self, shared: Pair) -> None:
        self.relay(shared, "north", None, 26)
        assert shared("apply", "-a", "north", "--auto-approve", env=self.SAME).code == 0
        (made,) = shared.north.monitors()
        for number in (None, made["id"]):
            self.relay(shared, "south", number, 27)
            done = shared("plan", "-a", "south", "--adopt", env=self.SAME)
            assert done.code == (5 if number is None else 3), done.text
            assert "email-smtp/relay of the account north (monitors/north/relay.yaml:1)" in (
                done.text
            )

    def test_what_both_would_create_is_created_by_none(self, shared: Pair) -> None:
        for name in BOTH:
            self.relay(shared, name, None, 26)
        said = "both accounts have the same login"
        shared("apply", "--all-accounts", "--auto-approve", env=self.SAME).expect(5, text=said)
        assert shared.north.names() == []

    def test_one_file_behind_two_links_is_refused(self, shared: Pair) -> None:
        root = shared.workspace.root
        (root / "relay.yaml").write_text(manifest("email-smtp", "relay", name="Relay"))
        for name in BOTH:
            (root / "monitors" / name).mkdir(exist_ok=True)
            (root / "monitors" / name / "relay.yaml").symlink_to("../../relay.yaml")
        said = "shared-file: this file is also a manifest of the account"
        shared("apply", "--all-accounts", "--auto-approve", env=self.SAME).expect(3, text=said)
        assert shared.north.names() == []
        assert shared("apply", "--all-accounts", "--auto-approve").code == 0

    def test_a_state_of_the_other_that_cannot_be_read_is_said(self, shared: Pair) -> None:
        self.relay(shared, "north", None, 26)
        self.relay(shared, "south", self.made(shared, "Mine"), 27)
        shared.state("north").parent.mkdir(parents=True)
        shared.state("north").write_text("{")
        shared("plan", "-a", "south", env=self.SAME).expect(
            0, text="Warning: the state of the account north, which has the same login, cannot"
        )

    @pytest.mark.parametrize("same", [True, False])
    def test_no_file_of_an_account_with_another_login_is_read(
        self, shared: Pair, monkeypatch: pytest.MonkeyPatch, *, same: bool
    ) -> None:
        for name in BOTH:
            self.relay(shared, name, None, 26)
        read = manifests.read
        paths: list[str] = []
        monkeypatch.setattr(manifests, "read", lambda path: paths.append(path) or read(path))
        shared("plan", "-a", "south", env=self.SAME if same else {})
        assert ("monitors/north/relay.yaml" in paths) == same
        paths.clear()
        shared("plan", env=self.SAME if same else {})
        assert sorted(paths) == sorted(
            f"monitors/{name}/relay.yaml" for name in BOTH for _ in range(1 + same)
        )

    def test_undo_leaves_what_the_other_has_by_now(self, shared: Pair) -> None:
        self.relay(shared, "north", None, 26)
        assert shared("apply", "-a", "north", "--auto-approve", env=self.SAME).code == 0
        (made,) = shared.north.monitors()
        shared.workspace.remove("north/relay.yaml")
        self.relay(shared, "south", made["id"], 26)
        (run,) = shared("history", "-a", "north", "--json", env=self.SAME).json["runs"]
        done = shared("undo", run["id"], "-a", "north", "--auto-approve", env=self.SAME)
        assert shared.north.names() == ["Relay"], done.text
        assert done.code == 0
        assert "email-smtp/relay" not in shared.state("north").read_text().partition('"runs"')[0]


class TestImportBesideSharedManifests:
    """What shared manifests describe is skipped, and gets nothing from what is imported."""

    def test_what_is_shared_is_skipped(self, pair: Pair) -> None:
        assert pair("apply", "--all-accounts", "--auto-approve").code == 0
        pair.workspace.remove("north/own.yaml")
        assert pair("state", "rm", "-a", "north", "email-smtp/own-north").code == 0
        for number in range(6):
            pair.north.create("email-smtp", name=f"M{number}", hostname="h.x")
        pair("import", "-a", "north").expect(
            0, out="1 monitor already in manifests: not changed.\nImported 7 monitors into 7 files"
        )
        assert not list((pair.workspace.root / "monitors" / "north").rglob("_defaults.yaml"))
        assert pair("plan", "-a", "north", "--detailed-exitcode").code == 0
        assert pair("import", "-a", "south").code == 5, "its own manifest is there"

    def test_staging_imports_again_what_the_own_folder_has(self, pair: Pair) -> None:
        assert pair("apply", "-a", "north", "--auto-approve").code == 0
        done = pair("import", "-a", "north", "--into", "staged")
        assert (done.code, "Imported 1 monitor into 1 file" in done.out) == (0, True), done.text


def test_commands_in_hints_work_as_they_stand_where_there_are_several_accounts(pair: Pair) -> None:
    for name in BOTH:
        pair("apply", "-a", name, "--auto-approve").expect(0)
    pair.workspace.remove("north/own.yaml")
    forget = "reconciler state rm -a north email-smtp/own-north"
    assert forget in pair("plan", "-a", "north").expect(0).out
    unknown = pair("state", "show", "-a", "north", "email-smtp/gone")
    unknown.expect(64, err="To list all, run: reconciler state list -a north\n")
    pair(*forget.split()[1:]).expect(0)
    hint = "To list its changes, run: reconciler history -a north show "
    pair("undo", "last", "-a", "north", "--target", "email-smtp/x").expect(64, err=hint)
