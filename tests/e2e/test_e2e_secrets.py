"""Passwords: sent to AlertSite when they change, and written nowhere else."""

import base64
import html
import json
import re
import signal
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import pytest
from e2e.conftest import Account, Done, Run, Sandbox, Start, Workspace, manifest, monitor

from reconciler.sandbox import parse_world

from scripted import Answer, serving

_APPLY = ("apply", "--auto-approve")
_SECRET = 'hun&er "2" <é>/+ü\'%'
_IN_FILE = "first line\nsecond ünd last"
_HOST = "secret-host.example.com"
_LIVE_HOST = "live-host.example.com"
_KEY_TEXT = "key of fingerprints"
_KEY = {"RECONCILER_SECRET_KEY": _KEY_TEXT}
_ENV = {"POP3_PASSWORD": _SECRET, "HOST": _HOST}


def _forms(text: str) -> set[bytes]:
    """The text as it could be written somewhere."""
    forms = {text, html.escape(text), html.escape(text, quote=False), quote(text), quote_plus(text)}
    forms |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    forms |= {quote(text, safe=""), base64.b64encode(text.encode()).decode(), text.splitlines()[-1]}
    return {form.encode() for form in forms}


class Witness:
    """Looks for secrets in everything that is written."""

    def __init__(self, workspace: Workspace, *secrets: str) -> None:
        self._workspace = workspace
        self._forms = {form for secret in secrets for form in _forms(secret)}

    def sees(self, done: Done) -> Done:
        """The run, after a look at what it printed and at all files."""
        texts = {"stdout": done.out.encode(), "stderr": done.err.encode()}
        for path in self._workspace.root.rglob("*"):
            if path.is_file() and path.name != "password":
                texts[str(path)] = path.read_bytes()
        for name, text in texts.items():
            assert [form for form in self._forms if form in text] == [], name
        return done


@pytest.fixture
def witness(workspace: Workspace) -> Witness:
    (workspace.root / "password").write_text(f"{_IN_FILE}\n", encoding="utf-8")
    return Witness(workspace, _SECRET, _IN_FILE, _HOST, _KEY_TEXT)


def _ref(scheme: str, name: str) -> dict[str, Any]:
    return {"secretRef": {scheme: name}}


_MAILBOX = {"pop3_password": _ref("env", "POP3_PASSWORD")}


@pytest.fixture
def guarded(workspace: Workspace) -> dict[str, Any]:
    """A new round trip with three secrets and a relay with one; returns the live relay (1)."""
    login = {"user": "probe", "password": _ref("file", "password"), "tries": [1, 2]}
    extra = {"pop3_password": _ref("env", "POP3_PASSWORD"), "login": login}
    shown = '[secrets]\nfields = ["note", "hostname"]\n'
    workspace.settings(shown)
    workspace.describe("email-round-trip", "trip", extra=extra, note=_ref("env", "POP3_PASSWORD"))
    workspace.describe("email-smtp", "relay", 1, hostname=_ref("env", "HOST"))
    relay: dict[str, Any] = monitor("email-smtp", 1, hostname=_LIVE_HOST)
    return relay


_SENT = {
    "login": {"user": "probe", "password": _IN_FILE, "tries": [1, 2]},
    "note": _SECRET,
    "pop3_password": _SECRET,
}


@pytest.mark.parametrize(
    ("showing", "key"),
    [("echoed", _KEY), ("masked", {}), ("omitted", _KEY)],
    ids=["echoed-tracked", "masked-untracked", "omitted-tracked"],
)
def test_no_secret_is_printed_or_kept(
    showing: str,
    key: dict[str, str],
    guarded: dict[str, Any],
    witness: Witness,
    sandbox: Sandbox,
    run: Run,
) -> None:
    account = sandbox(guarded, secret_fields=showing)
    env = account.env | _ENV | key | {"RECONCILER_DEBUG": "1"}

    def seen(*arguments: str, env: dict[str, str] = env) -> Done:
        done = witness.sees(run(*arguments, env=env)).expect(0)
        assert _LIVE_HOST not in done.text
        return done

    seen("plan", "--json")
    planned = seen("plan", "--show-requests", "--out", "p.json", "--write-secrets")
    assert "      pop3_password: secret (source env:POP3_PASSWORD)\n" in planned.out
    assert "      login: secret (source file:password)\n" in planned.out
    assert "      hostname: changed (source env:HOST)\n" in planned.out
    assert '{"hostname": {"secretRef": {"env": "HOST"}}}\n' in planned.out
    seen("show", "p.json", "--show-requests", env={})
    seen("show", "p.json", "--json", env={})
    seen("apply", "p.json", "--show-requests", "--json")
    (post,) = (entry for entry in account.requests("POST") if "monitors" in entry["path"])
    assert {name: post["body"][name] for name in _SENT} == _SENT
    assert account.patches() == [("/monitors/email-smtp/1", {"hostname": _HOST})]

    last = seen("plan", "--detailed-exitcode")
    assert last.out.startswith("No changes. 2 unchanged.\n")
    assert ("changes of 4 secrets cannot be detected" in last.out) is (not key)
    seen(*_APPLY, "--write-secrets")
    for command in (["drift"], ["drift", "--json"], ["state", "pull"], ["plan", "--offline"]):
        seen(*command)
    seen("state", "show", "email-round-trip/trip")


def test_killed_run_leaves_no_secret_behind(
    guarded: dict[str, Any],
    workspace: Workspace,
    witness: Witness,
    sandbox: Sandbox,
    start: Start,
    run: Run,
) -> None:
    account = sandbox(guarded, faults=["PATCH * delay=20"])
    env = account.env | _ENV | _KEY
    process = start(*_APPLY, env=env)
    process.read_until("[1/2] email-round-trip/trip: accepted")
    witness.sees(process.finish(signal.SIGKILL))
    assert len(list(workspace.root.glob(".reconciler/*.journal"))) == 1
    done = witness.sees(run("plan", env=env))
    assert "Recovery: 1 outcome added that the state did not have.\n" in done.err
    assert "1 to change, 0 to destroy. 1 unchanged." in done.out


# what AlertSite says


class Echo(NamedTuple):
    """How a server spells a secret in what it says of a request."""

    name: str
    spelt: str


def _hex(match: re.Match[str]) -> str:
    return match[0].lower()


_JSON = json.dumps(_SECRET)[1:-1]
_HIDDEN = (
    Echo("raw", _SECRET),
    Echo("json", _JSON),
    Echo("json-utf-8", json.dumps(_SECRET, ensure_ascii=False)[1:-1]),
    Echo("html", html.escape(_SECRET)),
    Echo("url", quote(_SECRET)),
    Echo("url-all", quote(_SECRET, safe="")),
    Echo("repr", repr(_SECRET)),
    Echo("no-spaces", "".join(_SECRET.split())),
)
_NOT_HIDDEN = (
    Echo("json-upper", re.sub(r"\\u....", lambda found: rf"\u{found[0][2:].upper()}", _JSON)),
    Echo("json-slashes", _JSON.replace("/", r"\/")),
    Echo("json-tags", _JSON.replace("<", r"\u003c").replace(">", r"\u003e")),
    Echo("json-twice", json.dumps(json.dumps(_SECRET))),
    Echo("html-text", html.escape(_SECRET, quote=False)),
    Echo("html-decimal", html.escape(_SECRET).replace("&#x27;", "&#39;")),
    Echo("html-named", html.escape(_SECRET).replace("&#x27;", "&apos;")),
    Echo("url-form", quote_plus(_SECRET)),
    Echo("url-lower", re.sub("%..", _hex, quote(_SECRET, safe=""))),
    Echo("wrapped", _SECRET.replace(" ", "\r\n    ")),
)


def _envelope(status: int, text: str) -> Answer:
    body = {"errors": [{"code": status, "message": text, "fields": ["pop3_password"]}]}
    return Answer(status, json.dumps(body).encode())


def _page(status: int, text: str) -> Answer:
    return Answer(status, f"<html><body>{text}</body></html>".encode(), ((_TYPE, "text/html"),))


_TYPE = "Content-Type"
_SAYING: dict[str, Callable[[str], Answer]] = {
    "rejected": lambda text: _envelope(400, text),
    "rejected-by-a-page": lambda text: _page(422, text),
    "failed": lambda text: _envelope(500, text),
    "forbidden": lambda text: _envelope(403, text),
    "accepted-with-errors": lambda text: _envelope(200, text),
    "other-json": lambda text: Answer(400, json.dumps({"detail": text}).encode()),
}


@pytest.fixture
def answered(workspace: Workspace, run: Run) -> Callable[..., Done]:
    """Applies a password to so many monitors, each of which gives one of these answers."""

    def apply(*answers: Answer) -> Done:
        numbers = range(1, len(answers) + 1)
        texts = [manifest("email-smtp", f"m-{id_}", id_, extra=_MAILBOX) for id_ in numbers]
        workspace.write("all.yaml", "---\n".join(texts))
        live = [monitor("email-smtp", id_) for id_ in numbers]
        with serving() as script:
            script.on("GET /monitors", Answer(body=json.dumps({"results": live}).encode()))
            for number, answer in zip(numbers, answers, strict=True):
                script.on(f"PATCH /monitors/email-smtp/{number}", answer)
            login = {"ALERTSITE_URL": script.url, "ALERTSITE_TOKEN": "token-1"}
            debug = {"RECONCILER_DEBUG": "1"}
            return run(*_APPLY, "--write-secrets", env=login | debug | _ENV)

    return apply


@pytest.mark.parametrize("saying", _SAYING)
def test_answer_that_repeats_a_secret_is_not_shown(
    saying: str, witness: Witness, answered: Run
) -> None:
    words = [_SAYING[saying](f"no good: {echo.spelt} is too short") for echo in _HIDDEN]
    if saying == "other-json":  # its text is JSON in any case, and so escaped once more
        words = words[:1]
    done = witness.sees(answered(*words))
    assert done.code in {4, 7}
    assert "is too short" not in done.text
    assert done.out.count("the rest is not shown, since the request holds a secret)") == len(words)


def test_repeated_request_does_not_show_a_secret_either(witness: Witness, answered: Run) -> None:
    busy = _envelope(503, f"no good: {_SECRET} is too short")
    done = witness.sees(answered(busy._replace(headers=(*busy.headers, ("Retry-After", "0")))))
    assert done.err.count("trying again") == 4
    assert "is too short" not in done.text


def test_answer_that_repeats_a_secret_in_another_spelling_is_not_shown(answered: Run) -> None:
    words = [f"no good: {echo.name}: {echo.spelt} is too short" for echo in _NOT_HIDDEN]
    done = answered(*(_page(400, text) for text in words))
    assert [echo.name for echo in _NOT_HIDDEN if f"no good: {echo.name}" in done.text] == []


def test_the_fields_that_alertsite_names_are_shown(answered: Run) -> None:
    done = answered(_envelope(400, "the password is too short"))
    assert "400 Bad Request: (about pop3_password; the rest is not shown" in done.out


# rotation


@pytest.fixture
def trip(workspace: Workspace, sandbox: Sandbox) -> Account:
    """An account with the round trip 1, whose manifest has two secrets."""
    extra = _MAILBOX | {"smtp_password": _ref("file", "password")}
    workspace.describe("email-round-trip", "trip", 1, extra=extra, interval=15)
    return sandbox(monitor("email-round-trip", 1, interval=15))


_TRIP = "/monitors/email-round-trip/1"


@pytest.mark.usefixtures("trip")
def test_rotated_secret_is_shown_by_its_source_and_sent_alone(
    workspace: Workspace, witness: Witness, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(monitor("email-round-trip", 1, interval=15), secret_fields="masked")
    env = account.env | _ENV | _KEY
    assert run(*_APPLY, env=env).code == 0
    both = {"pop3_password": _SECRET, "smtp_password": _IN_FILE}
    assert account.patches() == [(_TRIP, both)]
    assert run("plan", env=env).out == "No changes. 1 unchanged.\n"

    rotated = env | {"POP3_PASSWORD": "rotated and unheard of"}
    plan = run("plan", "--show-requests", env=rotated)
    assert plan.out == (
        "  ~ email-round-trip/trip (id 1, monitors/trip.yaml:1)\n"
        "      pop3_password: changed (source env:POP3_PASSWORD)\n"
        "      PATCH /monitors/email-round-trip/1\n"
        '      {"pop3_password": {"secretRef": {"env": "POP3_PASSWORD"}}}\n'
        "\n"
        "Plan: 0 to add, 1 to change, 0 to destroy. 0 unchanged.\n"
    )
    (field,) = run("plan", "--json", env=rotated).json["changes"][0]["fields"]
    values = (field["before"], field["applied"], field["source"])
    assert values == (None, None, "env:POP3_PASSWORD")
    Witness(workspace, "rotated and unheard of").sees(run(*_APPLY, env=rotated))
    assert account.patches()[1:] == [(_TRIP, {"pop3_password": "rotated and unheard of"})]
    assert run("plan", env=rotated).out == "No changes. 1 unchanged.\n"

    (workspace.root / "password").write_text("another one", encoding="utf-8")
    in_file = run(*_APPLY, env=rotated)
    assert "      smtp_password: changed (source file:password)\n" in in_file.out
    assert account.patches()[2:] == [(_TRIP, {"smtp_password": "another one"})]
    account.edit("email-round-trip", 1, pop3_password="by hand")  # which nobody can see
    assert witness.sees(run("plan", env=rotated)).out == "No changes. 1 unchanged.\n"


@pytest.mark.usefixtures("trip", "witness")
def test_without_a_key_only_being_told_sends_a_secret(sandbox: Sandbox) -> None:
    account = sandbox(monitor("email-round-trip", 1))
    done = account.apply()  # not even looked up
    assert done.code == 0
    assert account.patches() == [(_TRIP, {"interval": 15})]
    untracked = (
        "RECONCILER_SECRET_KEY is not set, so changes of 2 secrets cannot be detected: "
        "--write-secrets sends them.\n"
    )
    assert done.out.count(untracked) == 1
    assert account.run("plan", env=_ENV).out == f"No changes. 1 unchanged.\n{untracked}"
    for _ in range(2):
        told = account.apply("--write-secrets", env=_ENV).expect(0)
        assert "ever sent" not in told.out
    sent = {"pop3_password": _SECRET, "smtp_password": _IN_FILE}
    assert account.patches()[1:] == [(_TRIP, sent)] * 2


def test_a_secret_that_is_new_in_the_manifest_is_sent_without_a_key(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(monitor("email-round-trip", 1, interval=15))
    workspace.describe("email-round-trip", "trip", 1, interval=15)
    assert account.apply(env=_ENV).code == 0
    workspace.describe("email-round-trip", "trip", 1, extra=_MAILBOX, interval=15)

    assert "pop3_password: changed (source env:POP3_PASSWORD)" in account.run("plan", env=_ENV).out
    why = account.run("why", "email-round-trip/trip.pop3_password", env=_ENV).out
    assert "never sent, according to the state" in why
    missing = account.apply()
    assert (missing.code, account.patches()) == (3, [])
    assert "POP3_PASSWORD" in missing.err
    assert account.apply(env=_ENV).code == 0
    assert account.patches() == [(_TRIP, {"pop3_password": _SECRET})]
    after = account.run("plan", env=_ENV)
    assert after.out.startswith("No changes. 1 unchanged.\nRECONCILER_SECRET_KEY is not set")
    why = account.run("why", "email-round-trip/trip.pop3_password", env=_ENV).out
    assert "not sent" in why
    assert "already matches" not in why


def test_secrets_of_a_monitor_that_is_adopted_are_not_sent_without_a_key(
    workspace: Workspace, trip: Account
) -> None:
    workspace.describe("email-round-trip", "trip", None, extra=_MAILBOX, interval=15)
    for command in ((*_APPLY, "--adopt"), _APPLY):
        assert trip.run(*command).code == 0
    assert trip.patches() == []


def test_a_secret_of_a_request_that_was_not_kept_is_sent_again(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(monitor("email-round-trip", 1), world=parse_world("drop=timeout"))
    workspace.describe("email-round-trip", "trip", 1, extra=_MAILBOX, timeout=40)
    env = _ENV | _KEY
    account.apply(env=env).expect(7, out="not kept")
    assert "pop3_password: changed" in account.run("plan", env=env).out
    workspace.describe("email-round-trip", "trip", 1, extra=_MAILBOX)
    assert account.apply(env=env).code == 0
    assert account.run("plan", env=env).out.startswith("No changes.")


@pytest.mark.usefixtures("witness")
def test_another_key_sends_them_once_more(workspace: Workspace, trip: Account, run: Run) -> None:
    env = trip.env | _ENV
    (workspace.root / "key").write_text(f"{_KEY_TEXT}\n")
    assert run(*_APPLY, env=env | {"RECONCILER_SECRET_KEY_FILE": "key"}).code == 0
    assert run("plan", env=env | _KEY).out == "No changes. 1 unchanged.\n"
    other = env | {"RECONCILER_SECRET_KEY": "another key"}
    assert run("plan", env=other).out.count("changed (source") == 2
    assert run(*_APPLY, env=other).code == 0
    assert len(trip.patches()) == 2
    assert run("plan", env=other).out == "No changes. 1 unchanged.\n"
    both = run("plan", env=other | {"RECONCILER_SECRET_KEY_FILE": "key"}).expect(3)
    assert "another key" not in both.text


@pytest.mark.usefixtures("witness")
def test_what_was_sent_without_a_key_is_not_taken_for_what_was_sent_with_one(
    trip: Account, run: Run
) -> None:
    env = trip.env | _ENV
    assert run(*_APPLY, env=env | _KEY).code == 0
    other = env | {"POP3_PASSWORD": "rotated without a key"}
    assert run(*_APPLY, "--write-secrets", env=other).code == 0
    assert "pop3_password: changed" in run("plan", env=env | _KEY).out


@pytest.mark.parametrize("secret", ["helpdesk", "records", "update", "default", "127.0.0.1"])
def test_an_address_or_a_word_of_the_state_that_is_a_password_stays(
    secret: str, workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox()
    extra = {"imap_password": _ref("env", "POP3_PASSWORD")}
    workspace.write("a.yaml", manifest("email-imap", "helpdesk", extra=extra))
    env = _KEY | {"POP3_PASSWORD": secret}
    assert account.apply(env=env).code == 0
    assert workspace.state()["records"].keys() == {"email-imap/helpdesk"}
    workspace.replace("a.yaml", "spec:", "spec:\n  timeout: 40")
    for done in (
        account.apply(env=env),
        account.run("plan", env=env),
        account.run("history", env=env),
    ):
        assert done.code == 0
    assert len(account.monitors()) == 1
    assert len(account.patches()) == 1


def test_undo_does_not_write_a_placeholder(workspace: Workspace, sandbox: Sandbox) -> None:
    account = sandbox(monitor("email-round-trip", 1, note="call helpdesk, 7"))
    workspace.describe("email-round-trip", "trip", 1, extra=_MAILBOX, note="new")
    env = _KEY | {"POP3_PASSWORD": "helpdesk"}
    assert account.apply(env=env).code == 0
    made = account.run("history", "--json", env=env).json["runs"][0]["id"]
    undone = account.run("undo", made, "--auto-approve", env=env)
    assert "the previous value may be a secret" in undone.text
    assert [body["note"] for _, body in account.patches() if "note" in body] == ["new"]


# from secret to plain, and back


def test_field_that_was_a_secret_stays_masked(
    guarded: dict[str, Any], workspace: Workspace, witness: Witness, sandbox: Sandbox
) -> None:
    account = sandbox(guarded)
    env = _ENV | _KEY
    assert account.apply(env=env).code == 0
    ref = '{"secretRef": {"env": "HOST"}}'
    workspace.replace("relay.yaml", ref, "plain.example.com")
    for flags in ([], ["--json"], ["--out", "p.json"]):
        assert "plain.example.com" in witness.sees(account.run("plan", *flags, env=env)).out
    assert witness.sees(account.apply(env=env)).code == 0
    assert account.live(1)["hostname"] == "plain.example.com"
    workspace.replace("relay.yaml", "plain.example.com", ref)
    done = witness.sees(account.run("plan", env=env))
    assert "      hostname: changed (source env:HOST)\n" in done.out
    assert account.apply(env=env).code == 0
    assert account.live(1)["hostname"] == _HOST
    workspace.replace("relay.yaml", f"  hostname: {ref}\n", "  hostname: plain.example.com\n")
    workspace.replace("trip.yaml", '"pop3_password": {"secretRef": {"env": "POP3_PASSWORD"}}, ', "")
    released = witness.sees(account.run("plan", env=env))
    assert "released: pop3_password is no longer in the manifest" in released.out


def test_field_that_was_an_untracked_secret_stays_masked(
    guarded: dict[str, Any], workspace: Workspace, witness: Witness, sandbox: Sandbox
) -> None:
    account = sandbox(guarded)
    assert account.apply("--write-secrets", env=_ENV).code == 0
    workspace.replace("relay.yaml", '{"secretRef": {"env": "HOST"}}', "plain.example.com")
    witness.sees(account.run("plan", env=_ENV))


# what is not available


def test_missing_secret_is_a_finding_before_anything_is_sent(
    guarded: dict[str, Any], sandbox: Sandbox
) -> None:
    account = sandbox(guarded)
    env = {"HOST": _HOST}
    unset = "missing-secret: the environment variable POP3_PASSWORD is empty or not set"
    findings = (
        f"monitors/trip.yaml:11:23: {unset}\n"
        f"monitors/trip.yaml:12:40: {unset}\n"
        "monitors/trip.yaml:12:120: missing-secret: cannot read password: No such file or "
        "directory\n"
        "Error: 3 findings in the manifests\n"
    )
    for command, more in (
        ([*_APPLY], _KEY),
        ([*_APPLY], {"POP3_PASSWORD": ""}),
        ([*_APPLY, "--write-secrets"], {}),
    ):
        account.run(*command, env=env | more).expect(3, err=findings)
    assert [call for call in account.calls() if call.startswith(("PATCH", "POST /mon"))] == []
    # A plan needs none of them.
    plan = account.run("plan", env=env | _KEY).expect(0)
    told = "2 secrets are not checked: not available here: env:POP3_PASSWORD, file:password."
    assert plan.out.count(told) == 1
    assert account.run("plan", "--json", env=env).json["secrets"] == {
        "unchecked": ["env:POP3_PASSWORD", "file:password"],
        "rekeyed": 0,
    }
    # Where it is neither sent nor fingerprinted, nothing is missing.
    assert account.run("plan", "--target", "*/relay").code == 0


@pytest.mark.usefixtures("witness")
def test_a_secret_that_was_sent_and_is_not_at_hand_is_not_checked(trip: Account) -> None:
    assert trip.apply(env=_ENV | _KEY).code == 0
    sent = trip.patches()
    for command in (["plan", "--detailed-exitcode"], ["plan", "--offline"], [*_APPLY]):
        said = "1 secret is not checked: not available here: env:POP3_PASSWORD."
        trip.run(*command, env=_KEY).expect(0, out=said)
    assert trip.patches() == sent
    why = trip.run("why", "email-round-trip/trip", env=_KEY)
    assert "not checked" in why.out
    planned = trip.run("plan", "--out", "p.json", env=_ENV | _KEY | {"POP3_PASSWORD": "x"})
    assert "pop3_password: changed" in planned.out
    trip.run("apply", "p.json", env=_KEY).expect(3, err="missing-secret")


@pytest.mark.usefixtures("witness")
def test_another_key_is_said_once_as_what_it_is(trip: Account, run: Run) -> None:
    env = trip.env | _ENV
    assert run(*_APPLY, env=env | _KEY).code == 0
    other = env | {"RECONCILER_SECRET_KEY": "another long enough key"}
    told = "RECONCILER_SECRET_KEY has changed since 2 secrets were sent"
    assert run("plan", env=other).out.count(told) == 1
    assert told in run("doctor", env=other).out
    assert run(*_APPLY, env=other).code == 0
    assert run("plan", env=other).out == "No changes. 1 unchanged.\n"
    weak = run("plan", env=env | {"RECONCILER_SECRET_KEY": "k"})
    assert weak.err.count("RECONCILER_SECRET_KEY has only 1 character,") == 1
    assert "has only 1 character," in run("doctor", env=env | {"RECONCILER_SECRET_KEY": "k"}).out


_REFS = (
    ({"env": "NOT SET"}, "missing-secret: the environment variable NOT SET is empty or not set"),
    ({"file": "."}, "missing-secret: cannot read .: it is not a regular file"),
    ({"file": "binary"}, "missing-secret: cannot read binary: it is not UTF-8"),
    ({"file": "empty"}, "missing-secret: the file empty is empty"),
    ({"unknown": "x"}, "no resolver for the scheme unknown is installed; available:"),
    ({"broken": "x"}, "missing-secret: cannot load not_there:secret, the resolver of the scheme"),
    ({"vault": "boom"}, "missing-secret: the resolver of the scheme vault failed: RuntimeError in"),
    ({"vault": "exit"}, "missing-secret: the resolver of the scheme vault failed: SystemExit in"),
    ({"vault": "none"}, "missing-secret: vault:none: no secret of that name"),
    ({"vault": "empty"}, "vault:empty: the resolver of the scheme vault did not return a string"),
    ({"ENV": "x"}, "secret-ref: ENV is not a scheme of secretRef; did you mean env?"),
    ({"env": "A", "file": "b"}, "must be one scheme with a name"),
    ({}, "must be one scheme with a name"),
    ({"env": 1}, "must be a string, not an integer"),
    ("env:A", "must be one scheme with a name"),
)


@pytest.fixture
def plug_ins(workspace: Workspace) -> dict[str, str]:
    """An installed distribution with resolvers; the environment in which it is found."""
    site = workspace.root.parent / "site"
    info = site / "vault_for_tests-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vault-for-tests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[reconciler.secrets]\nvault = vault_for_tests:secret\nbroken = not_there:secret\n"
    )
    (site / "vault_for_tests.py").write_text(
        "def secret(name):\n"
        "    if name == 'boom':\n"
        "        raise RuntimeError('it broke')\n"
        "    if name == 'exit':\n"
        "        raise SystemExit(0)\n"
        "    if name == 'none':\n"
        "        raise LookupError('no secret of that name')\n"
        "    return '' if name == 'empty' else f'{name} from the vault'\n"
    )
    return {"PYTHONPATH": str(site)}


def test_what_is_wrong_with_a_reference_is_said_at_its_place(
    plug_ins: dict[str, str], workspace: Workspace, sandbox: Sandbox, run_process: Run
) -> None:
    (workspace.root / "binary").write_bytes(b"\xff")
    (workspace.root / "empty").write_bytes(b"\n")
    texts = [
        manifest("email-smtp", f"m-{number}", number, extra={"a_password": {"secretRef": ref}})
        for number, (ref, _) in enumerate(_REFS, 1)
    ]
    live = [monitor("email-smtp", number) for number in range(1, len(_REFS) + 1)]
    account = sandbox(*live)
    kinds = {"missing": [], "malformed": []}  # type: dict[str, list[int]]
    for number, (_, words) in enumerate(_REFS):
        kinds["malformed" if "secret-ref" in words or "must be" in words else "missing"] += [number]
    for name, numbers in kinds.items():
        workspace.write("all.yaml", "---\n".join(texts[number] for number in numbers))
        done = run_process(*_APPLY, "--write-secrets", env=account.env | plug_ins)
        assert (name, done.code) == (name, 3)
        findings = [line for line in done.err.splitlines() if ": warning: " not in line]
        for place, number in enumerate(numbers):
            (line,) = (line for line in findings if f"all.yaml:{10 + 11 * place}:" in line)
            assert _REFS[number][1] in line
    assert account.patches() == []


def test_a_scheme_that_nothing_here_resolves_is_a_warning_before_anything_is_sent(
    plug_ins: dict[str, str], workspace: Workspace, sandbox: Sandbox, run_process: Run
) -> None:
    for name, number, scheme in (("one", 1, "evn"), ("two", 2, "vault")):
        extra = {"a_password": _ref(scheme, "X")}
        workspace.describe("email-smtp", name, number, extra=extra)
    account = sandbox(monitor("email-smtp", 1), monitor("email-smtp", 2))
    warning = (
        "monitors/one.yaml:10:37: warning: unknown-scheme: no resolver for the scheme evn is "
        "installed; available: broken, env, file and vault"
    )
    for command in (("validate",), ("plan",)):
        done = run_process(*command, env=account.env | plug_ins)
        assert (done.code, done.text.count("unknown-scheme")) == (0, 1)
        assert warning in done.text


def test_installed_plug_in_gives_secrets(
    plug_ins: dict[str, str], workspace: Workspace, sandbox: Sandbox, run_process: Run
) -> None:
    extra = {"a_password": _ref("vault", "mail/probe")}
    workspace.describe("email-smtp", "one", 1, extra=extra)
    account = sandbox(monitor("email-smtp", 1))
    env = account.env | plug_ins | _KEY
    done = Witness(workspace, "mail/probe from the vault").sees(run_process(*_APPLY, env=env))
    assert "      a_password: changed (source vault:mail/probe)\n" in done.out
    sent = {"a_password": "mail/probe from the vault"}
    assert account.patches() == [("/monitors/email-smtp/1", sent)]
    assert run_process("plan", env=env).out == "No changes. 1 unchanged.\n"


def test_plain_secret_in_a_manifest_is_refused_and_not_repeated(
    workspace: Workspace, run: Run
) -> None:
    extra = {"login": {"password": "plain-hunter2"}, "api_key": ["plain-hunter2"]}
    workspace.describe("email-smtp", "one", 1, extra=extra)
    for command in (["validate"], ["validate", "--format", "json"], ["plan"]):
        done = run(*command, env={"CI": "1"}).expect(3)
        assert done.text.count("plain-secret") == 2
        assert "hunter2" not in done.text


def test_password_in_a_url_of_a_manifest_is_refused_and_not_repeated(
    workspace: Workspace, run: Run
) -> None:
    url = "https://user:hunter2@example.com/"
    workspace.describe(
        "email-smtp", "one", 1, hostname=url, note=f"see {url}", extra={"a": [{"proxy": url}]}
    )
    workspace.describe("email-smtp", "two", 2, hostname="user:hunter2@example.com")
    workspace.describe("email-smtp", "three", 3, hostname="${host}")
    workspace.write("_defaults.yaml", _PASSWORD_IN_DEFAULTS)
    workspace.settings(f'[defaults.vars]\nhost = "{url}"\n')
    said = "error: plain-secret: the URL contains a password, which must not be in a manifest; "
    for command in (["validate"], ["validate", "--format", "json"], ["plan"]):
        done = run(*command, env={"CI": "1"}).expect(3)
        assert done.text.count("the URL contains a password") == 6
        assert "hunter2" not in done.text
    lines = run("validate").out.splitlines()
    assert all(said.removeprefix("error: ") in line for line in lines)
    assert lines[0].startswith("monitors/_defaults.yaml:4:9: ")


_PASSWORD_IN_DEFAULTS = """\
apiVersion: reconciler/v1
kind: Defaults
spec:
  note: "//x:hunter2\\x40example.com"
"""


def test_variable_in_place_of_a_secret_leads_to_a_secret_ref(
    workspace: Workspace, run: Run
) -> None:
    texts = {"a_password": "${MAIL_PASS}", "api_key": ["${hunter2!}"], "size": "${x}"}
    workspace.describe("email-smtp", "one", 1, extra=texts)
    done = run("validate").expect(3)
    assert "hunter2" not in done.text
    assert [line.partition(": ")[2] for line in done.out.splitlines()] == [
        f"plain-secret: a_password {_WRITE_REF}",
        "undefined-variable: the variable MAIL_PASS is not defined",
        f"plain-secret: api_key {_WRITE_REF}",
        (
            "undefined-variable: the variable x is not defined; define it under vars of [defaults] "
            "in reconciler.toml"
        ),
    ]


_WRITE_REF = (
    "looks like a secret, which must not be in a manifest; write a secretRef instead, such as "
    "{secretRef: {env: NAME}}"
)


def test_password_in_a_url_of_alertsite_is_neither_shown_nor_written(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    url = "https://user:hunter2@example.com/"
    workspace.describe("email-smtp", "one", 1, note="plain")
    account = sandbox(
        monitor("email-smtp", 1, note=f"see {url}"), monitor("email-smtp", 2, name="B", note=url)
    )
    for command in (
        ["plan"],
        ["plan", "--json"],
        ["list", "--columns", "note"],
        ["pull"],
        ["import", "--unknown", "write"],
        ["validate"],
        [*_APPLY],
        ["history", "show", "last"],
        ["drift"],
    ):
        assert "hunter2" not in account.run(*command).text
    kept = [*workspace.root.rglob("*.yaml"), *workspace.root.rglob("*.json")]
    assert not [path for path in kept if "hunter2" in path.read_text()]


def test_known_secret_in_a_manifest_is_refused_where_it_stands(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one", 1, extra=_MAILBOX, note=f"log in with {_SECRET}")
    account = sandbox(monitor("email-smtp", 1))
    for command in (["plan", "--out", "p.json"], [*_APPLY]):
        said = "plain-secret: the value contains a known secret in plain text"
        done = Witness(workspace).sees(account.run(*command, env=_ENV)).expect(3, err=said)
        assert re.search(r"monitors/one.yaml:[0-9]+:3: plain-secret", done.err)
        assert "hun&er" not in done.text
    assert account.patches() == []


def test_secret_that_alertsite_shows_in_another_field_is_not_shown(
    workspace: Workspace, witness: Witness, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one", 1, extra=_MAILBOX, note="plain")
    account = sandbox(monitor("email-smtp", 1, note=f"log in with {_SECRET}"))
    env = _ENV | _KEY
    done = witness.sees(account.run("plan", "--out", "p.json", env=env))
    assert '      note: "log in with (secret)" → "plain"\n' in done.out
    before = witness.sees(account.run("plan", "--json", env=env)).json["changes"][0]["fields"][0][
        "before"
    ]
    assert before == "log in with (secret)"
    witness.sees(account.run("apply", "p.json", env=env)).expect(0)
    assert account.live(1)["note"] == "plain"


def test_json_stays_json_whatever_the_secrets_are(
    workspace: Workspace, sandbox: Sandbox, run: Run
) -> None:
    workspace.describe("email-smtp", "one", 123456, port=25)
    account = sandbox(monitor("email-smtp", 123456, port=587))
    env = account.env | {"RECONCILER_SECRET_KEY": "123456"}
    assert run("plan", "--json", env=env).json["changes"][0]["id"] == 123456
    env = account.env | {"RECONCILER_SECRET_KEY": '",\n      "address'}
    assert run("plan", "--json", env=env).json["changes"][0]["address"] == "email-smtp/one"
    numeric = {"RECONCILER_SECRET_KEY": "123456"}
    assert "(id (secret), " in account.run("plan", env=numeric).out
