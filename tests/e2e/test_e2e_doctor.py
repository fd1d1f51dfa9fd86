"""doctor: everything that a run needs, checked once, with the next step."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from e2e.conftest import Account, Done, Fleet, Relays, Run, Workspace

from reconciler.core.model import Account as Named
from reconciler.core.state import State, head_line
from reconciler.sandbox import VIEWER
from reconciler.state_store import Journal, Key, Lease, open_store
from reconciler.state_store.process import identity

from documents import check
from listening import QuietHandler, listening

_ROOT = Path(__file__).parents[2]
_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_SECRET = "hunter2-c0rrect-h0rse"
_ANY = {"ALERTSITE_USERNAME": "a", "ALERTSITE_PASSWORD": "b"}


def _found(done: Done) -> dict[str, tuple[str, str]]:
    """Status and message of each check."""
    return {item["name"]: (item["status"], item["message"]) for item in done.json["checks"]}


@pytest.fixture
def doctor(run: Run) -> Callable[..., Done]:
    """Runs doctor --json, whose document must be what its schema says."""

    def examine(*arguments: str, env: dict[str, str] | None = None) -> Done:
        done = run("doctor", "--json", *arguments, env=env)
        check(done.json, "doctor")
        return done

    return examine


@pytest.fixture
def account(relays: Relays) -> Account:
    """An account with two monitors, and their manifests."""
    return relays(2)


def test_without_credentials_the_embedded_sandbox_is_checked(fleet: Fleet, run: Run) -> None:
    fleet(2)
    done = run("doctor").expect(0)
    lines = [line.split(maxsplit=2) for line in done.out.splitlines()]
    assert ["ok", "credentials", "none set; checking the embedded sandbox"] in lines
    assert ["ok", "manifests", "2 valid in 1 file"] in lines
    assert ["ok", "login", "accepted by embedded sandbox"] in lines
    assert {line[0] for line in lines} == {"ok", "-"}
    assert "-     write          not checked: write permission" in done.out
    assert "Sandbox: no AlertSite credentials are set" in done.err


def test_one_login_and_one_list(account: Account, doctor: Run) -> None:
    done = doctor(env=account.env).expect(0)
    found = _found(done)
    assert found["login"] == ("ok", f"accepted by {account.url}")
    assert found["read"] == ("ok", "2 email monitors")
    assert found["clock"][0] == "not checked"
    assert account.calls() == [_LOGIN, _READ]


def test_a_refused_login_is_not_repeated(account: Account, doctor: Run) -> None:
    done = doctor(env=account.env | {"ALERTSITE_PASSWORD": _SECRET}).expect(4)
    found = _found(done)
    assert found["login"][0] == "FAIL"
    assert found["read"] == ("not checked", "needs a login")
    assert account.calls() == [_LOGIN]
    assert _SECRET not in done.text


def test_a_refused_token(account: Account, doctor: Run) -> None:
    env = {"ALERTSITE_URL": account.url, "ALERTSITE_TOKEN": _SECRET}
    done = doctor(env=env).expect(4)
    assert _found(done)["login"][0] == "FAIL"
    assert account.calls() == [_READ]
    assert _SECRET not in done.text


def test_a_good_token(account: Account, doctor: Run) -> None:
    env = {"ALERTSITE_URL": account.url, "ALERTSITE_TOKEN": account.token()}
    assert _found(doctor(env=env))["login"][0] == "ok"


def test_a_reader_may_read(account: Account, doctor: Run) -> None:
    login = dict(zip(("ALERTSITE_USERNAME", "ALERTSITE_PASSWORD"), VIEWER, strict=True))
    done = doctor(env=account.env | login).expect(0)
    assert _found(done)["write"][0] == "not checked"


def test_without_a_response_there_is_no_clock_to_compare(fleet: Fleet, doctor: Run) -> None:
    fleet(1)
    done = doctor(env={"ALERTSITE_URL": "http://127.0.0.1:1", **_ANY}).expect(6)
    assert _found(done)["clock"] == ("not checked", "needs a response from AlertSite")


@pytest.mark.parametrize(
    ("fault", "failed", "code", "calls"),
    [
        ("GET /monitors status=503", "read", 6, [_LOGIN, _READ]),
        ("GET /monitors status=403", "read", 4, [_LOGIN, _READ]),
        ("GET /monitors drop=before", "read", 6, [_LOGIN, _READ]),
        ("POST /access-tokens status=503", "login", 6, [_LOGIN]),
        ("POST /access-tokens body=html", "login", 6, [_LOGIN]),
    ],
)
def test_nothing_is_tried_twice(
    fault: str, failed: str, code: int, calls: list[str], relays: Relays, doctor: Run
) -> None:
    account = relays(1, faults=[fault])
    done = doctor(env=account.env).expect(code)
    assert [name for name, (status, _) in _found(done).items() if status == "FAIL"] == [failed]
    assert account.calls() == calls


class TestConfiguration:
    def test_a_pipeline_without_credentials(self, fleet: Fleet, doctor: Run) -> None:
        fleet(1)
        done = doctor(env={"CI": "1"}).expect(3)
        found = _found(done)
        assert found["credentials"][0] == "FAIL"
        assert found["login"][0] == "not checked"
        assert found["manifests"][0] == "ok"

    def test_a_misspelt_variable(self, account: Account, doctor: Run) -> None:
        done = doctor(env=account.env | {"ALERTSITE_TOKN": _SECRET}).expect(0)
        assert _found(done)["credentials"] == ("warn", "unknown variable ALERTSITE_TOKN")
        assert _SECRET not in done.text

    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("RECONCILER_BUDGT", "RECONCILER_BUDGET"),
            ("RECONCILER_BUDGET_FILE", "RECONCILER_BUDGET"),
            ("RECONCILER_SECRETKEY", "RECONCILER_SECRET_KEY"),
            ("RECONCILER_SECRET_KEYS_FILE", "RECONCILER_SECRET_KEY_FILE"),
        ],
    )
    def test_a_misspelt_variable_of_the_tool(
        self, account: Account, doctor: Run, given: str, meant: str
    ) -> None:
        done = doctor(env=account.env | {given: _SECRET}).expect(0)
        words = f"unknown variable {given}; did you mean {meant}?"
        assert _found(done)["settings"] == ("warn", words)
        assert _SECRET not in done.text

    def test_variables_of_plug_ins_and_known_ones_are_no_mistakes(
        self, account: Account, doctor: Run, tmp_path: Path
    ) -> None:
        (tmp_path / "key").write_text("0123456789abcdef" * 4)
        own = {"RECONCILER_VAULT_ADDRESS": "x", "RECONCILER_BUDGET": "5"}
        own["RECONCILER_SECRET_KEY_FILE"] = str(tmp_path / "key")
        assert _found(doctor(env=account.env | own))["settings"][0] == "ok"

    def test_settings_that_are_not_known(
        self, account: Account, workspace: Workspace, doctor: Run
    ) -> None:
        workspace.settings('stat = "file:x"\n')
        done = doctor(env=account.env).expect(3)
        found = _found(done)
        assert found["settings"] == (
            "FAIL",
            "reconciler.toml:1: unknown setting stat; did you mean state?",
        )
        assert {found[name][0] for name in ("state", "lock", "git")} == {"not checked"}
        assert found["read"][0] == "ok"

    def test_invalid_manifests(self, account: Account, workspace: Workspace) -> None:
        workspace.write("bad.yaml", "kind: nonsense\n")
        done = account.run("doctor")
        assert done.code == 3
        assert "FAIL  manifests      " in done.out
        assert "reconciler validate monitors lists them." in done.out
        assert "-     secrets        not checked: needs valid manifests" in done.out

    def test_the_first_failure_gives_the_exit_code(
        self, account: Account, workspace: Workspace, doctor: Run
    ) -> None:
        workspace.write("bad.yaml", "kind: nonsense\n")
        assert doctor(env=account.env | {"ALERTSITE_PASSWORD": "wrong"}).code == 3

    def test_a_damaged_installation(self, tmp_path: Path, workspace: Workspace) -> None:
        """The package without its schemas; it is not measured, as it is a copy."""
        package = tmp_path / "damaged" / "reconciler"
        shutil.copytree(_ROOT / "reconciler", package, ignore=shutil.ignore_patterns("__pycache__"))
        commands = {("doctor", 1): "FAIL  schemas", ("schema", 3): "Install reconciler again."}
        for (command, code), words in commands.items():
            done = subprocess.run(
                [sys.executable, "-m", "reconciler", command],
                cwd=workspace.root,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(package.parent)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == code, done
            assert words in done.stdout + done.stderr
            assert "Traceback" not in done.stderr


class TestSecrets:
    @pytest.fixture(autouse=True)
    def manifests(self, workspace: Workspace) -> None:
        extra = {"pop3_password": {"secretRef": {"env": "MAILBOX"}}}
        workspace.describe("email-round-trip", "trip", extra=extra)

    def test_one_that_is_missing(self, doctor: Run) -> None:
        done = doctor().expect(3)
        status, message = _found(done)["secrets"]
        assert status == "FAIL"
        assert message == (
            "1 of 1 not available: the environment variable MAILBOX is empty or not set"
        )

    def test_one_that_nobody_tracks(self, doctor: Run) -> None:
        done = doctor(env={"MAILBOX": _SECRET}).expect(0)
        assert _found(done)["secrets"] == ("ok", "all 1 are available")
        assert _found(done)["secret key"][0] == "warn"
        assert _SECRET not in done.text

    def test_all_is_well(self, doctor: Run) -> None:
        done = doctor(env={"MAILBOX": _SECRET, "RECONCILER_SECRET_KEY": "key-" + _SECRET})
        assert _found(done)["secret key"] == ("ok", "RECONCILER_SECRET_KEY is set")
        assert _SECRET not in done.text


class TestState:
    def test_its_records_are_counted(self, account: Account, doctor: Run) -> None:
        before = _found(doctor(env=account.env))["state"]
        assert before == ("ok", "file:.reconciler/state.json: none yet; the first apply creates it")
        assert account.apply().code == 0
        status, message = _found(doctor(env=account.env))["state"]
        assert status == "ok"
        assert message.startswith("file:.reconciler/state.json: 2 records, serial ")

    def test_one_that_is_corrupt(self, account: Account, workspace: Workspace, doctor: Run) -> None:
        (workspace.root / "state.json").write_text("{")
        done = doctor("--state", "file:state.json", env=account.env).expect(8)
        assert _found(done)["state"][0] == "FAIL"
        assert _found(done)["lock"] == ("ok", "free")

    def test_one_that_binds_two_addresses_to_one_monitor(
        self, account: Account, workspace: Workspace, doctor: Run
    ) -> None:
        assert account.apply().code == 0
        state = workspace.state()
        first, second = sorted(state["records"])
        state["records"][second]["id"] = number = state["records"][first]["id"]
        workspace.save(state)
        status, message = _found(doctor(env=account.env))["state"]
        assert status == "warn"
        assert message.endswith(f" binds {first} and {second} to monitor {number}")

    def test_one_of_another_account(self, account: Account, doctor: Run) -> None:
        assert account.apply().code == 0
        status, message = _found(doctor(env=account.env | {"ALERTSITE_URL": account.url + "/x"}))[
            "state"
        ]
        assert status == "FAIL"
        assert "is the state of" in message

    def test_a_run_that_did_not_end(
        self, account: Account, workspace: Workspace, doctor: Run
    ) -> None:
        store = open_store("file:.reconciler/state.json", folder=workspace.root)
        journal = Journal.create(store, "run-9")
        journal.append([head_line(State("lineage-1", Named("default", account.url)), "run-9")])
        journal.close()
        done = doctor(env=account.env).expect(0)
        message = "file:.reconciler/state.json: run run-9 has not ended"
        assert _found(done)["state"] == ("warn", message)
        assert journal.path.exists()

    @pytest.mark.parametrize(("is_dead", "status"), [(False, "warn"), (True, "ok")])
    def test_who_holds_the_lock(
        self,
        is_dead: bool,
        status: str,
        account: Account,
        workspace: Workspace,
        run: Run,
        doctor: Run,
    ) -> None:
        store = open_store("file:state.json", folder=workspace.root)
        of = identity().rpartition("/")[0] + "/1" if is_dead else "another/1/2/3"
        lease = Lease("run-7", "ann", "build-1", "apply", "2001-01-01T00:00:00Z", of, 60.0)
        store.write(Key.LOCK, lease.encoded(), None, "")
        done = doctor("--state", "file:state.json", env=account.env).expect(0)
        found = _found(done)["lock"]
        assert found[0] == status
        assert "run-7 (ann on build-1" in found[1]
        if status == "warn":
            assert "reconciler state unlock run-7" in done.out
        assert store.read(Key.LOCK) is not None
        assert run("state", "unlock", "run-7", "--state", "file:state.json").code == 0

    def test_git_that_is_missing(self, account: Account, tmp_path: Path, doctor: Run) -> None:
        done = doctor("--state", "git:origin", env=account.env | {"PATH": str(tmp_path)}).expect(3)
        found = _found(done)
        assert found["git"] == ("FAIL", "git:origin needs git, which is not on the PATH")
        assert found["state"][0] == "not checked"

    def test_git_without_a_repository_and_with(
        self, account: Account, workspace: Workspace, doctor: Run
    ) -> None:
        done = doctor("--state", "git:origin", env=account.env).expect(3)
        assert _found(done)["git"][0] == "ok"
        assert _found(done)["state"][0] == "FAIL"
        subprocess.run(["git", "init", "-q"], cwd=workspace.root, check=True)
        subprocess.run(["git", "init", "-q", "--bare", "up.git"], cwd=workspace.root, check=True)
        done = doctor("--state", "git:up.git", env=account.env).expect(0)
        assert _found(done)["state"][1].startswith("git:up.git: none yet")


@contextmanager
def _serving(date: str) -> Iterator[str]:
    """A server that accepts every login, has no monitors and says that it is this late."""

    class Handler(QuietHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_login = self.path.endswith("/access-tokens")
            body = b'{"access_token": "token-1"}' if is_login else b'{"results": []}'
            self.send_response_only(200)
            if date:
                self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

    with listening(Handler) as place:
        yield f"http://{place}"


class TestClock:
    @pytest.mark.parametrize(
        ("ahead", "status", "words"),
        [(0, "ok", "within "), (600, "warn", " s ahead of"), (-600, "warn", " s behind")],
    )
    def test_it_is_compared(
        self, ahead: int, status: str, words: str, fleet: Fleet, doctor: Run
    ) -> None:
        fleet(1)
        there = datetime.now(UTC) - timedelta(seconds=ahead)
        with _serving(format_datetime(there, usegmt=True)) as url:
            done = doctor(env={"ALERTSITE_URL": url, **_ANY})
        assert done.code == 0
        found = _found(done)["clock"]
        assert found[0] == status
        assert words in found[1]

    @pytest.mark.parametrize(
        "date",
        [
            "",
            "yesterday",
            "Mon, 01 Jan 2024 00:00:00",
            "Mon, 01 Jan 99999999999 00:00:00 GMT",
            "Mon, 01 Jan 2024 00:00:00 +999999",
        ],
    )
    def test_a_server_that_does_not_say(self, date: str, fleet: Fleet, doctor: Run) -> None:
        fleet(1)
        with _serving(date) as url:
            done = doctor(env={"ALERTSITE_URL": url, **_ANY})
        assert done.code == 0
        assert _found(done)["clock"][0] == "not checked"


@pytest.mark.parametrize(
    ("told", "text", "module"),
    [
        ("top_level.txt", "reconciler\n", "reconciler/__init__.py"),
        ("RECORD", "reconciler/__init__.py,,\nLICENSE,,\n", "reconciler/__init__.py"),
        ("RECORD", "LICENSE,,\nreconciler.py,,\n", "reconciler.py"),
    ],
)
def test_another_package_of_the_same_name_is_named(
    account: Account,
    doctor: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: str,
    text: str,
    module: str,
) -> None:
    info = tmp_path / "elsewhere" / "reconciler-2.0.dist-info"
    info.mkdir(parents=True)
    owned = info.parent / module
    owned.parent.mkdir(exist_ok=True)
    owned.touch()  # newer versions of Python leave out of the list what is not there
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: reconciler\nVersion: 2.0\n")
    (info / told).write_text(text)
    assert _found(doctor(env=account.env))["installation"][0] == "ok"
    monkeypatch.syspath_prepend(str(info.parent))
    done = doctor(env=account.env).expect(3)
    assert _found(done)["installation"] == (
        "FAIL",
        "reconciler also installs a Python package named reconciler",
    )
