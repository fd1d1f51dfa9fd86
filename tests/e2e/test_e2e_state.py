"""Where the state is kept, what looks at it and repairs it, and everything wrong with it."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Account, Fleet, Relays, Run, Workspace

from documents import check

_APPLY = ("apply", "--auto-approve")
_CI = {"CI": "1"}
"""So that the state is that of the account, and nobody could be asked."""


@pytest.fixture
def applied(relays: Relays) -> Account:
    """Two monitors, as applied in two runs."""
    account = relays(2)
    for name in ("relay-01", "relay-02"):
        assert account.apply("--target", f"*/{name}").code == 0
    return account


# list, show, rm


def test_records_are_listed_and_shown(kept: Path, applied: Account, run: Run) -> None:
    records = json.loads(kept.read_bytes())["records"]
    listed = run("state", "list", env=_CI)
    assert (listed.code, listed.err) == (0, "")
    assert listed.out == "".join(
        f"{address}  id {record['id']}  applied {record['applied_at']}  run {record['run']}\n"
        for address, record in records.items()
    )
    shown = run("state", "show", "email-smtp/relay-02", env=_CI)
    assert shown.json == records["email-smtp/relay-02"]
    assert shown.json["fields"]["port"] == 587
    pulled = run("state", "pull", env=_CI)
    assert pulled.out == kept.read_text()
    check(pulled.json, "state")
    assert pulled.json["account"] == {"name": "default", "url": applied.url}


def test_before_there_is_a_state(workspace: Workspace, run: Run) -> None:
    where = "file:.reconciler/state.json"
    listed = run("state", "list", env=_CI)
    assert (listed.code, listed.out) == (0, "")
    assert listed.err == f"{where}: there is no state yet.\n"
    for arguments, code, words in (
        (["pull"], 8, f"{where}: there is no state yet\nRun apply once.\n"),
        (["show", "email-smtp/one"], 64, f"{where} has no record of email-smtp/one\n"),
    ):
        done = run("state", *arguments, env=_CI)
        assert (done.code, done.out) == (code, "")
        assert words in done.err
    for lock in ([], ["20260101T000000Z-0a1b2c3d"]):
        done = run("state", "unlock", *lock, env=_CI)
        assert (done.code, done.err) == (0, f"{where} is not locked.\n")
    assert sorted(path.name for path in workspace.root.iterdir()) == ["monitors", "reconciler.toml"]


@pytest.mark.usefixtures("applied")
def test_forgetting_is_all_or_nothing(kept: Path, run: Run) -> None:
    before = kept.read_bytes()
    one, two, other = (f"email-smtp/{name}" for name in ("relay-01", "relay-02", "nobody"))
    for arguments in ([other], [one, other], [one, one, "relay-02"]):
        run("state", "rm", *arguments, env=_CI).expect(
            64, err=f"has no record of {arguments[-1]}\nTo list all, run: reconciler state list\n"
        )
    assert run("state", "rm", env=_CI).code == 64
    assert kept.read_bytes() == before

    done = run("state", "rm", one, two, env=_CI)
    assert (done.code, done.err) == (0, f"Forgot {one}, {two}.\n")
    after = json.loads(kept.read_bytes())
    assert after["records"] == {}
    assert after["serial"] == json.loads(before)["serial"] + 1
    assert kept.with_name("state.json.backup").read_bytes() == before


def test_a_create_that_has_no_outcome_yet_is_listed_shown_and_forgotten(
    half_made: Account, workspace: Workspace, run: Run
) -> None:
    create = workspace.state()["pending_creates"]["email-smtp/a"]
    number = create["replaces"]["id"]
    assert (
        f"email-smtp/a  being created as 'a' in place of missing monitor {number} since "
        f"{create['at']}, outcome unknown  run {create['run']}\n"
    ) in run("state", "list", env=_CI).out
    for asked in ("email-smtp/a", str(number)):
        assert run("state", "show", asked, env=_CI).json == create
    assert run("state", "rm", str(number), env=_CI).err == "Forgot email-smtp/a.\n"
    assert workspace.state()["pending_creates"] == {}
    assert half_made.run("drift").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Usage: reconciler state"),
        (["explode"], "No such command 'explode'"),
        (["list", "extra"], "unexpected extra argument"),
        (["show"], "Missing argument 'ADDRESS'"),
        (["push"], "Missing argument 'FILE'"),
        (["pull", "--lock-timeout", "1s"], "No such option"),
        (["rm", "a/b", "--lock-timeout", ""], "'' is not a duration"),
        (["rm", "a/b", "--lock-timeout", "soon"], "'soon' is not a duration; write it as 90s, 10m"),
        (["rm", "a/b", "--lock-timeout", "-1s"], "'-1s' is not a duration"),
        (["rm", "a/b", "--lock-timeout", "99999999h"], "is not a duration"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage(arguments: list[str], words: str, run: Run) -> None:
    done = run("state", *arguments, env=_CI).expect(64, err=words)
    assert done.out == ""


# push


def test_what_was_pulled_can_be_pushed_elsewhere(
    workspace: Workspace, kept: Path, applied: Account, run: Run
) -> None:
    (workspace.root / "pulled.json").write_text(run("state", "pull", env=_CI).out)
    pushed = run("state", "push", "pulled.json", "--state", "file:deep/er/new.json", env=_CI)
    serial = json.loads(kept.read_bytes())["serial"]
    assert pushed.code == 0
    assert pushed.err == f"file:deep/er/new.json has serial {serial} with 2 records.\n"
    again = applied.run("plan", "--state", "file:deep/er/new.json")
    assert again.out == "No changes. 2 unchanged.\n"
    assert applied.run("drift", "--state", "file:deep/er/new.json").code == 0


_FOREIGN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "lineage": (lambda state: state.update(lineage="x"), "has the lineage"),
    "account": (lambda state: state["account"].update(url="http://x"), "has the account"),
    "older": (lambda state: state.update(serial=1), "but the file has 1\nPull the state again"),
    "newer-format": (lambda state: state.update(format_version="3.0"), "has format 3.0, but this"),
    "later-format": (lambda state: state.update(format_version="1.1"), "has format 1.1, but this"),
    "no-serial": (lambda state: state.pop("serial"), "the state is corrupt"),
    "odd-serial": (lambda state: state.update(serial="4"), "the state is corrupt"),
    "no-records": (lambda state: state.pop("records"), "the state is corrupt"),
    "odd-record": (lambda state: state.update(records={"a/b": {"id": 1}}), "the state is corrupt"),
    "odd-id": (
        lambda state: state["records"]["email-smtp/relay-01"].update(id="1"),
        "the state is corrupt",
    ),
}


@pytest.mark.usefixtures("applied")
def test_what_may_not_be_pushed(workspace: Workspace, kept: Path, run: Run) -> None:
    before = kept.read_bytes()
    pushed = workspace.root / "pushed.json"
    for name, (change, words) in _FOREIGN.items():
        state = json.loads(before)
        change(state)
        pushed.write_text(json.dumps(state))
        done = run("state", "push", "pushed.json", env=_CI)
        assert (name, done.code) == (name, 8)
        assert words in done.err
    for content in (b"", b"{", b"[]", b"\xff\xfe\x00", b"[" * 100_000):
        pushed.write_bytes(content)
        done = run("state", "push", "pushed.json", env=_CI).expect(8)
        assert done.err.startswith("Error: pushed.json: the state is corrupt: ")
    said = "nowhere.json cannot be read: No such file or directory"
    run("state", "push", "nowhere.json", env=_CI).expect(3, err=said)
    assert kept.read_bytes() == before


@pytest.mark.usefixtures("applied")
def test_pushed_over_the_one_it_was_pulled_from(workspace: Workspace, kept: Path, run: Run) -> None:
    before = kept.read_bytes()
    serial = json.loads(before)["serial"]
    (workspace.root / "pulled.json").write_bytes(before)
    done = run("state", "push", "pulled.json", env=_CI).expect(0)
    assert done.err == f"file:.reconciler/state.json has serial {serial + 1} with 2 records.\n"
    assert kept.with_name("state.json.backup").read_bytes() == before
    again = run("state", "push", "pulled.json", env=_CI)
    assert again.code == 8
    assert f"has serial {serial + 1}, but the file has {serial}\nPull the state again" in again.err
    assert "use --allow-older" in again.err
    allowed = run("state", "push", "--allow-older", "pulled.json", env=_CI)
    assert allowed.err == f"file:.reconciler/state.json has serial {serial + 2} with 2 records.\n"


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize(
    "damaged",
    [
        lambda kept: kept[:100],
        lambda kept: kept.replace(b'"format_version": "', b'"format_version": "?'),
    ],
    ids=["cut", "of-no-format"],
)
def test_pushed_over_one_that_cannot_be_read(
    damaged: Callable[[bytes], bytes], workspace: Workspace, kept: Path, run: Run
) -> None:
    before = kept.read_bytes()
    (workspace.root / "pulled.json").write_bytes(before)
    kept.write_bytes(damaged(before))
    assert run("state", "push", "pulled.json", env=_CI).code == 8
    assert run("state", "push", "--allow-older", "pulled.json", env=_CI).code == 0
    assert run("state", "list", env=_CI).code == 0
    assert json.loads(kept.read_bytes())["records"] == json.loads(before)["records"]


@pytest.mark.usefixtures("applied")
def test_pushed_over_one_of_a_newer_format(workspace: Workspace, kept: Path, run: Run) -> None:
    before = kept.read_bytes()
    (workspace.root / "pulled.json").write_bytes(before)
    newer = json.dumps({**json.loads(before), "format_version": "9.0"}).encode()
    kept.write_bytes(newer)
    done = run("state", "push", "--allow-older", "pulled.json", env=_CI)
    assert done.code == 8
    assert "the state has format 9.0" in done.err
    assert kept.read_bytes() == newer


# a state that cannot be used


def _bad(good: bytes) -> dict[str, bytes]:
    state = json.loads(good)
    records = {address: {**item, "id": "1"} for address, item in state["records"].items()}
    return {
        "empty": b"",
        "truncated": good[: len(good) // 2],
        "list": b"[]",
        "null": b"null",
        "binary": b"\xff\xfe\x00",
        "deep": b"[" * 100_000,
        "no-version": json.dumps({**state, "format_version": None}).encode(),
        "no-lineage": json.dumps({**state, "lineage": None}).encode(),
        "odd-ids": json.dumps({**state, "records": records}).encode(),
        "listed-records": json.dumps({**state, "records": []}).encode(),
        "listed-creates": json.dumps({**state, "pending_creates": []}).encode(),
        "no-budget": json.dumps({**state, "budget": None}).encode(),
    }


def test_corrupt_state_is_named_and_left_as_it_is(kept: Path, applied: Account) -> None:
    good, calls = kept.read_bytes(), len(applied.calls())
    for name, content in _bad(good).items():
        kept.write_bytes(content)
        done = applied.apply()
        assert (name, done.code) == (name, 8)
        assert "Error: file:.reconciler/state.json: the state is corrupt: " in done.err
        assert f"the save before it is in {kept}.backup: to use that, copy it over the" in done.err
        assert done.out == ""
        assert kept.read_bytes() == content
    assert applied.calls()[calls:] == []
    backup = kept.with_name("state.json.backup")
    kept.write_bytes(backup.read_bytes())
    assert applied.run("plan").out == "No changes. 2 unchanged.\n"
    backup.unlink()
    kept.write_bytes(b"{")
    assert "Nothing was changed; there is no earlier save in " in applied.run("plan").err


def test_every_command_refuses_a_corrupt_state(
    workspace: Workspace, kept: Path, applied: Account
) -> None:
    (workspace.root / "good.json").write_bytes(kept.read_bytes())
    kept.write_bytes(b"{")
    calls = len(applied.calls())
    for command in (
        ["plan"],
        ["plan", "--offline"],
        ["plan", "--out", "p.json"],
        ["drift"],
        ["state", "list"],
        ["state", "show", "email-smtp/relay-01"],
        ["state", "rm", "email-smtp/relay-01"],
        ["state", "pull"],
        ["state", "push", "good.json"],
    ):
        done = applied.run(*command)
        assert (command, done.code) == (command, 8)
        assert "file:.reconciler/state.json: the state is corrupt" in done.err
        assert kept.read_bytes() == b"{"
    assert not (workspace.root / "p.json").exists()
    assert applied.calls()[calls:] == []


def test_newer_state_is_left_to_a_newer_version(kept: Path, applied: Account) -> None:
    text = kept.read_text()
    for version in ("2.5", "3.0"):
        newer = text.replace('"format_version": "2.4"', f'"format_version": "{version}"')
        kept.write_text(newer)
        for command in (["plan"], _APPLY):
            done = applied.run(*command)
            assert done.code == 8
            assert f"the state has format {version}, but this reconciler reads 2.4" in done.err
            assert "Use the version of reconciler that wrote it, or a newer one." in done.err
        assert kept.read_text() == newer


def test_state_of_another_account_is_refused(kept: Path, applied: Account, relays: Relays) -> None:
    other = relays(2)
    before = kept.read_bytes()
    for command in (["plan"], _APPLY, ["drift"]):
        done = other.run(*command)
        assert done.code == 8
        assert (
            f"file:.reconciler/state.json is the state of {applied.url}, but this run uses "
            f"{other.url}\nCorrect the URL in ALERTSITE_URL, or in the settings of the account. "
            "If it is correct, use another state with --state.\n"
        ) in done.err
    assert kept.read_bytes() == before
    assert other.patches() == []
    assert other.apply("--state", "file:other.json").code == 0


# where it is kept


def test_flag_before_variable_before_file_before_default(workspace: Workspace, run: Run) -> None:
    def place(*flags: str, **variables: str) -> str:
        done = run("state", "list", *flags, env=_CI | variables).expect(0)
        return done.err.removesuffix(": there is no state yet.\n")

    assert place() == "file:.reconciler/state.json"
    assert place("--state", "a.json") == "a.json"
    workspace.settings('state = "file:toml.json"\n')
    assert place() == "file:toml.json"
    assert place(RECONCILER_STATE="") == "file:toml.json"
    assert place(RECONCILER_STATE="file:variable.json") == "file:variable.json"
    (workspace.root / "where").write_text("file:from-a-file.json\n")
    assert place(RECONCILER_STATE_FILE="where") == "file:from-a-file.json"
    flag = ("--state", "file:flag.json")
    assert place(*flag, RECONCILER_STATE="file:variable.json") == "file:flag.json"


_PROJECTS = {
    b'stat = "file:x"': (
        "Valid settings: state, lock_lease, timeout, deadline, largest_list, prune, accounts_from, "
        "[budget], [secrets], [lint], [defaults], [accounts.NAME] and [fleet]."
    ),
    b"state = 5": 'state must be a string\nWrite it in quotes, such as state = "',
    b"[state]\nfile = 'x'": "state must be a string",
    b"lock_lease = 90": 'lock_lease must be a string\nWrite it in quotes, such as lock_lease = "',
    b"state: file:x": "is not TOML",
    b'state = "file:x"\nstate = "file:y"': "is not TOML",
    b"\xff": "cannot be read: it is not UTF-8",
    b'lock_lease = "soon"': "lock_lease is 'soon', which is not a duration\nWrite it as 90s or 3m",
    b'lock_lease = "0s"': "lock_lease is '0s', which is not a duration",
    b'state = "ftp://x"': "'ftp://x' is not a location for the state",
    b'deadline = "soon"': "deadline is 'soon', which is not a duration\nWrite it as 90s or 3m",
    b'largest_list = "9"': "largest_list is '9', which is not a size\nWrite it as 128MiB or 1GiB",
    b'largest_list = "0MiB"': "largest_list is '0MiB', which is not a size",
    b'state = "git//origin"': (
        "reconciler.toml:1: 'git//origin' is a path, but looks like git:origin\nWrite git:origin"
    ),
    b'[defaults]\nstate = "s3//bucket/x"': (
        "reconciler.toml:2:1: setting: 's3//bucket/x' is a path, but looks like s3://bucket/x; "
        "write s3://bucket/x, or ./s3//bucket/x for the file"
    ),
    b'[defaults]\nurl = "http://example.com"': (
        "reconciler.toml:2:1: setting: url http://example.com would send the password unencrypted"
    ),
    b"[defaults]\nlabel = {}": "unknown setting label; did you mean labels?",
}


def test_a_byte_order_mark_before_the_settings(
    workspace: Workspace, fleet: Fleet, run: Run
) -> None:
    fleet(1)
    path = workspace.root / "reconciler.toml"
    path.write_bytes(b'\xef\xbb\xbfstate = "file:x.json"\n')
    assert "file:x.json: there is no state yet" in run("state", "list", env=_CI).err
    path.write_bytes(b"\xef\xbb\xbf[budget]\nmonitor = 1\n")
    assert "reconciler.toml:1: " in run("validate", env=_CI).err
    path.write_bytes(b"\xef\xbb\xbf[accounts.a]\nwav = 1\n")
    assert "reconciler.toml:2:1: " in run("validate", env=_CI).err


def test_what_is_wrong_in_the_projects_file(workspace: Workspace, fleet: Fleet, run: Run) -> None:
    fleet(1)
    path = workspace.root / "reconciler.toml"
    for content, words in _PROJECTS.items():
        path.write_bytes(content)
        for command in (("plan", "--offline"), ("validate",)):
            done = run(*command, env=_CI)
            assert (content, done.code) == (content, 3)
            assert words in done.err
    path.unlink()
    path.mkdir()
    assert (
        "reconciler.toml cannot be read: it is not a regular file"
        in run("state", "list", env=_CI).err
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"RECONCILER_LOCK_LEASE": "x"},
        {"RECONCILER_LOCK_LEASE": "-3m"},
        {"RECONCILER_LOCK_LEASE": "0"},
        {"RECONCILER_STATE": "a.json", "RECONCILER_STATE_FILE": "b"},
        {"RECONCILER_STATE_FILE": "nowhere"},
    ],
    ids=str,
)
def test_what_is_wrong_in_the_environment(variables: Mapping[str, str], run: Run) -> None:
    said = next(iter(variables)).removesuffix("_FILE")
    run("state", "list", env=_CI | variables).expect(3, err=said)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("   ", "'   ' is not a location for the state"),
        ("file:", "'file:' names no file"),
        ("file:folder/", "names no file"),
        ("file://host/x.json", "is on another machine"),
        ("http://host/x.json", "is not a location for the state"),
        ("s3:bucket/key", "is not a location for the state"),
        ("git-origin", "looks like git:origin\nWrite git:origin, or ./git-origin for the file"),
        ("git//origin", "looks like git:origin\nWrite git:origin, or ./git//origin for the file"),
        ("s3//bucket/x", "'s3//bucket/x' is a path, but looks like s3://bucket/x\nWrite s3://"),
        ("GS;//bucket/x", "looks like gs://bucket/x\nWrite gs://bucket/x"),
        ("file//x.json", "looks like file:x.json\nWrite file:x.json"),
        ("git//user:pw@host/x", "looks like git:host/x\nWrite git:host/x"),
        ("s3://", "s3://"),
        (
            "s3://key:pw@bucket/x",
            "'s3://bucket/x' contains a login or a query\nWrite s3://BUCKET/KEY",
        ),
        ("az://bucket/x?sig=pw", "'az://bucket/x' contains a login or a query"),
        ("git:", "'git:' names no remote"),
        ("git:origin", "git:origin"),
        ("C:x.json", "for a file with a colon in its path, write file:PATH"),
        ("file:\x1b[2J", r"'file:\x1b[2J' is not a location for the state"),
    ],
)
def test_no_place_for_a_state(location: str, words: str, run: Run) -> None:
    done = run("state", "list", "--state", location, env=_CI).expect(3, err=words)
    assert "\x1b" not in done.text


@pytest.mark.parametrize("location", ["git//origin", "git-origin"])
def test_no_place_for_a_state_that_is_given_in_a_folder(
    location: str, workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.describe("email-smtp", "new", name="New")
    monkeypatch.chdir(workspace.root / "monitors")
    said = f"'{location}' is a path, but looks like git:origin"
    run("state", "list", "--state", location, env=_CI).expect(3, err=said)


@pytest.mark.parametrize("location", ["monitors", "file:.", "file:monitors/fleet.yaml/x.json"])
def test_place_that_cannot_be_read(location: str, fleet: Fleet, run: Run) -> None:
    fleet(1)
    run("plan", "--offline", "--state", location, env=_CI).expect(
        8, err=(f"cannot read {location}: ", "use another location with --state")
    )


_SANDBOX_STATE = "file:.reconciler/sandbox-state.json"


def test_the_embedded_sandbox_has_a_state_of_its_own(workspace: Workspace, run: Run) -> None:
    workspace.describe("email-smtp", "new", name="New")
    workspace.settings('state = "file:real.json"\n')
    done = run(*_APPLY, env={"RECONCILER_STATE": "file:real-too.json"}).expect(0)
    assert done.err.startswith("Sandbox: ")
    names = sorted(path.name for path in (workspace.root / ".reconciler").iterdir())
    assert "sandbox-state.json" in names
    assert "state.json" not in names
    assert not list(workspace.root.glob("real*"))
    assert run("state", "list").err == "file:real.json: there is no state yet.\n"
    assert "email-smtp/new  id " in run("state", "list", "--state", _SANDBOX_STATE).out
    assert "No changes. 1 unchanged." in run("plan").out
    elsewhere = run("plan", "--adopt", "--state", "file:tried.json")
    assert "email-smtp/new (id" in elsewhere.out
    assert run("state", "list", env=_CI).err == "file:real.json: there is no state yet.\n"


# the lock


def _lease(folder: Path, **changes: Any) -> str:
    """Puts a lock there that somebody else holds; returns its run."""
    lease = {
        "id": "20260101T000000Z-0a1b2c3d",
        "holder": "ann",
        "host": "elsewhere",
        "operation": "apply",
        "acquired_at": "2026-01-01T00:00:00Z",
        "process": "",
        "length": 180.0,
        **changes,
    }
    folder.mkdir(exist_ok=True)
    (folder / "state.json.lock").write_text(json.dumps(lease))
    return str(lease["id"])


def test_locked_by_somebody_else(kept: Path, applied: Account, run: Run) -> None:
    lock = kept.with_name("state.json.lock")
    before, holder = kept.read_bytes(), _lease(kept.parent)
    held, calls = lock.read_bytes(), len(applied.calls())
    for command in (_APPLY, ["import"], ["state", "rm", "email-smtp/relay-01"]):
        done = applied.run(*command)
        assert done.code == 8
        assert (
            "the state file:.reconciler/state.json is locked by ann on elsewhere since "
            f"2026-01-01T00:00:00Z (apply, run {holder})\n"
        ) in done.err
        assert "--lock-timeout 4m takes the lock over once it was not renewed" in done.err
        assert (
            f"If you are certain that it is dead, run: reconciler state unlock {holder}\n"
            in done.err
        )
    applied.apply("--lock-timeout", "1s").expect(
        8, err=("0 of 1 s\n", f"run {holder}), even after 1 s\n")
    )
    assert applied.calls()[calls:] == []

    for command in (["plan"], ["drift"], ["state", "list"], ["plan", "--offline"]):  # only look
        assert applied.run(*command).code == 0
    told = run("state", "unlock", env=_CI)
    assert told.out.startswith(f"{holder}  held by ann on elsewhere for apply since 2026-01-01T")
    said = f"is locked by run {holder} (ann on elsewhere, since 2026-01-01T"
    run("state", "unlock", "20260101T000000Z-ffffffff", env=_CI).expect(8, err=said)
    assert (lock.read_bytes(), kept.read_bytes()) == (held, before)

    broken = run("state", "unlock", holder, env=_CI)
    assert (broken.code, broken.err) == (0, f"Removed the lock of run {holder}.\n")
    assert not lock.exists()
    assert applied.apply().code == 0


@pytest.mark.parametrize("year", [2001, 2099])
def test_lock_that_nobody_renews_is_taken_over_by_who_waits_for_it(
    year: int, kept: Path, applied: Account
) -> None:
    began = f"{year}-01-01T00:00:00Z"
    holder = _lease(kept.parent, acquired_at=began, length=1.0)
    assert applied.apply().code == 8
    done = applied.apply("--lock-timeout", "40s")
    assert done.code == 0
    assert (
        f"The lock of run {holder} (ann on elsewhere, since {began}) has not been renewed in 1 s "
        "of waiting; taking it over.\n"
    ) in done.err
    assert not kept.with_name("state.json.lock").exists()


def test_lock_that_is_none(kept: Path, applied: Account) -> None:
    lock = kept.with_name("state.json.lock")
    for content in (b"garbage", b"{}", b"\xff"):
        lock.write_bytes(content)
        for command in (_APPLY, ["state", "unlock"], ["state", "unlock", "somebody"]):
            done = applied.run(*command)
            assert done.code == 8
            assert "the lock of file:.reconciler/state.json cannot be read" in done.err
            assert "reconciler state unlock unreadable\n" in done.err
        assert lock.read_bytes() == content
        assert applied.run("state", "unlock", "unreadable").code == 0
    assert applied.apply().code == 0


@pytest.mark.parametrize(
    "line",
    [
        {"about": {"format_version": "1.1"}},
        {"outcome": "email-smtp/new", "record": {"id": {}}, "replaces": None},
        {"outcome": "email-smtp/new", "record": {"id": 7}, "replaces": None},
        {"intent": 5, "creates": None, "replaces": None},
    ],
)
def test_a_damaged_journal_is_named(line: dict[str, Any], kept: Path, applied: Account) -> None:
    state = json.loads(kept.read_bytes())
    journal = kept.with_name("state.json.20260101T000000Z-0a1b2c3d.journal")
    head = {"journal": "2.3", "run": "20260101T000000Z-0a1b2c3d"}
    head |= {name: state[name] for name in ("lineage", "account")}
    journal.write_text("".join(json.dumps(item) + "\n" for item in (head, line)))
    for command in (("plan",), _APPLY):
        applied.run(*command).expect(8, err=f"the journal {journal} cannot be used: ")


@pytest.mark.parametrize("named", [{"name": "default"}, {"name": "a", "url": "", "more": 3}])
def test_a_damaged_journal_is_named_where_no_state_is(
    named: dict[str, Any], kept: Path, applied: Account
) -> None:
    journal = kept.with_name("state.json.20260101T000000Z-0a1b2c3d.journal")
    head = {"journal": "2.3", "run": "20260101T000000Z-0a1b2c3d", "lineage": "a", "account": named}
    journal.write_text(json.dumps(head) + "\n")
    kept.unlink()
    for command in (("plan",), ("state", "list"), _APPLY):
        applied.run(*command).expect(8, err=f"the journal {journal} cannot be used: ")


# clocks


def test_clock_that_was_ahead_in_an_earlier_run(kept: Path, applied: Account) -> None:
    ahead = re.sub(r"\d{4}(-\d\d-\d\dT\d\d:\d\d:\d\dZ)", r"2099\1", kept.read_text())
    ahead = re.sub(r"\d{4}(\d{4}T\d{6}Z-)", r"2099\1", ahead)
    kept.write_text(ahead)
    applied.edit("email-smtp", 1, port=25)
    with suppress(FileNotFoundError):
        kept.with_name("state.json.backup").unlink()
    assert "applied 2099-" in applied.run("drift").out
    plan = applied.run("plan").out
    assert "port: 25 → 587 (drift: changed in AlertSite since the last apply)" in plan
    assert applied.apply().code == 0
    state = json.loads(kept.read_bytes())
    assert state["serial"] > json.loads(ahead)["serial"]
    assert not state["saved_at"].startswith("2099")
    assert applied.run("drift").out == "No drift. 2 monitors as last applied.\n"
