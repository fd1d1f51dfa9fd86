import copy
import hashlib
import hmac
import json
import os
import pickle
import pprint
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.model import SecretRef
from reconciler.core.planner import decide
from reconciler.core.redactor import Redactor
from reconciler.core.state import is_of_key, is_same_secret
from reconciler.errors import ConfigurationError
from reconciler.manifests import Locator
from reconciler.secrets import SecretRules, Vault
from reconciler.usecases.load import load_fleet
from reconciler.usecases.plan import without_secrets

from build import ACCOUNT, SCHEMAS, desired, live

SECRET = "hunter2"
ENVIRONMENT = {"PASSWORD": SECRET, "USER": "probe", "EMPTY": "", "LATIN": "caf\udce9"}


def ref(scheme: str, name: str) -> dict[str, Any]:
    return {"secretRef": {scheme: name}}


@pytest.fixture
def vault() -> Vault:
    return Vault(ENVIRONMENT, "key")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_references_are_replaced_at_any_depth(vault: Vault) -> None:
    value = {"login": [ref("env", "USER"), {"password": ref("env", "PASSWORD")}], "port": 995}
    before = copy.deepcopy(value)
    assert vault.reveal(value) == {"login": ["probe", {"password": SECRET}], "port": 995}
    assert vault.revealed(value) == ("probe", SECRET)
    assert value == before
    assert vault.reveal(ref("env", "PASSWORD")) == SECRET
    assert vault.failure(SecretRef("env", "PASSWORD")) == ""


@pytest.mark.parametrize("value", [None, True, 1.5, "text", [], {}, {"a": [{"b": None}]}])
def test_a_value_without_references_stays_as_it_is(vault: Vault, value: Any) -> None:
    assert vault.reveal(value) == value
    assert vault.revealed(value) == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MISSING", "the environment variable MISSING is empty or not set"),
        ("EMPTY", "the environment variable EMPTY is empty or not set"),
        ("LATIN", "the environment variable LATIN is not UTF-8"),
    ],
)
def test_a_variable_that_holds_no_text(vault: Vault, name: str, reason: str) -> None:
    assert vault.failure(SecretRef("env", name)) == reason
    for ask in (vault.reveal, vault.revealed):
        with pytest.raises(ConfigurationError) as caught:
            ask([ref("env", name)])
        assert str(caught.value) == f"the secret env:{name} is not available: {reason}"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"hunter2\n\n", "hunter2\n"),
        (b" two\r\nlines \n", " two\r\nlines "),
        (b"hunter2\r", "hunter2\r"),
        ("schlüssel\n".encode(), "schlüssel"),
        (b"x" * 64 * 1024, "x" * 64 * 1024),
    ],
)
def test_a_file_is_read_but_for_its_last_line_break(
    vault: Vault, folder: Path, content: bytes, secret: str
) -> None:
    (folder / "secret").write_bytes(content)
    assert vault.reveal(ref("file", "secret")) == secret
    assert Vault({}, "").reveal(ref("file", str(folder / "secret"))) == secret


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file secret is empty"),
        (b"\n", "the file secret is empty"),
        (b"\r\n", "the file secret is empty"),
        (b"caf\xe9", "cannot read secret: it is not UTF-8"),
        (b"x" * (64 * 1024 + 1), "cannot read secret: it has more than 64 KiB"),
    ],
)
def test_a_file_that_holds_no_secret(
    vault: Vault, folder: Path, content: bytes, reason: str
) -> None:
    (folder / "secret").write_bytes(content)
    assert vault.failure(SecretRef("file", "secret")) == reason


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "cannot read missing: No such file or directory"),
        (".", "cannot read .: it is not a regular file"),
        ("a\0b", "cannot read a\0b: embedded null byte"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_path_that_leads_to_no_file(vault: Vault, path: str, reason: str) -> None:
    assert vault.failure(SecretRef("file", path)) == reason


def test_each_secret_is_looked_up_once(folder: Path) -> None:
    file = folder / "secret"
    file.write_text("first")
    vault = Vault({}, "")
    assert vault.reveal(ref("file", "secret")) == "first"
    assert vault.failure(SecretRef("file", "later")).startswith("cannot read later")
    file.rename("later")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(vault.reveal, [ref("file", "secret")] * 32))
    assert found == ["first"] * 32
    assert vault.failure(SecretRef("file", "later")).startswith("cannot read later")


def everything_in(value: object, depth: int = 4) -> Iterator[str]:
    """What a dump of a value's attributes, and of theirs, would show."""
    yield repr(value)
    for name in dir(value) if depth and not callable(value) else ():
        if name not in {"__class__", "__doc__"}:
            yield from everything_in(getattr(value, name), depth - 1)
    if isinstance(value, dict):
        for item in value.items():
            yield from everything_in(item, depth - 1)


def test_nothing_shows_a_secret(vault: Vault) -> None:
    assert vault.reveal(ref("env", "PASSWORD")) == SECRET
    hidden = vault._Vault__found[SecretRef("env", "PASSWORD")]  # type: ignore[attr-defined]
    for value in (vault, hidden):
        shown = [
            *everything_in(value),
            *(str(value), f"{value}", pprint.pformat(value), repr([value]), repr({"a": value})),
            json.dumps(value, default=repr),
        ]
        assert not [text for text in shown if SECRET in text or "'key'" in text]
        with pytest.raises(TypeError):
            vars(value)
    assert [repr(hidden), str(hidden), f"{hidden:>10}"] == ["(secret)", "(secret)", "  (secret)"]


def test_nothing_carries_a_secret_away(vault: Vault) -> None:
    vault.reveal(ref("env", "PASSWORD"))
    hidden = vault._Vault__found[SecretRef("env", "PASSWORD")]  # type: ignore[attr-defined]
    for value in (vault, hidden):
        for take in (json.dumps, pickle.dumps, copy.copy, copy.deepcopy, type(value).__getstate__):
            with pytest.raises(TypeError):
                take(value)


def test_a_fingerprint_is_made_with_the_key(vault: Vault) -> None:
    assert vault.tracks
    expected = hmac.new(b"key", b'[7,"password","hunter2"]', hashlib.sha256).hexdigest()
    mark = hmac.new(b"key", b"reconciler: which key", hashlib.sha256).hexdigest()[:4]
    found = vault.fingerprint(7, "password", ref("env", "PASSWORD"))
    assert found == f"hmac-sha256:{mark}:{expected}"
    assert is_same_secret(f"hmac-sha256:{expected}", found)  # as earlier versions wrote it
    assert [is_of_key(text, mark) for text in (found, "", "released")] == [True] * 3
    assert not is_of_key(found, "0000")


def test_a_fingerprint_tells_everything_apart() -> None:
    vault = Vault({"A": "x", "B": "y", "C": 'x","y', "BOTH": "xy"}, "key")
    one, two = ref("env", "A"), ref("env", "B")
    cases = [
        (1, "password", one),
        (1, "password", two),
        (2, "password", one),
        (1, "passphrase", one),
        (11, "password", one),
        (1, "password", [one]),
        (1, "password", [one, two]),
        (1, "password", [two, one]),
        (1, "password", [ref("env", "C")]),
        (1, "password", [ref("env", "BOTH")]),
        (1, "password", {"a": one, "b": two}),
        (1, "password", {"a": two, "b": one}),
    ]
    found = [vault.fingerprint(*case) for case in cases]
    assert len(set(found)) == len(cases)
    assert Vault({"A": "x"}, "other").fingerprint(1, "password", one) not in found


def test_equal_secrets_have_equal_fingerprints_wherever_they_come_from(folder: Path) -> None:
    (folder / "secret").write_text(f"{SECRET}\n")
    vault = Vault(ENVIRONMENT, "key")
    value = {"a": 1, "b": ref("env", "PASSWORD")}
    other = {"b": ref("file", "secret"), "a": 1}
    assert vault.fingerprint(1, "mailbox", value) == vault.fingerprint(1, "mailbox", other)


def test_any_bytes_are_a_key() -> None:
    key = os.fsdecode(b"\xff\x00")
    assert Vault(ENVIRONMENT, key).fingerprint(1, "a", ref("env", "USER"))


def test_without_a_key_nothing_is_tracked() -> None:
    vault = Vault(ENVIRONMENT, "")
    assert not vault.tracks
    assert vault.reveal(ref("env", "PASSWORD")) == SECRET
    with pytest.raises(ValueError, match="without a key"):
        vault.fingerprint(1, "password", ref("env", "PASSWORD"))


PLUG_IN = """
FAILURES = {
    "key": KeyError("hvs.token"),
    "away": ConnectionRefusedError("https://hvs.token@vault.example.com"),
    "broken": ZeroDivisionError("hvs.token"),
    "good exit": SystemExit(0),
    "exit": SystemExit("hvs.token"),
    "cancelled": __import__("asyncio").CancelledError("hvs.token"),
    "group": BaseExceptionGroup("hvs.token", [SystemExit(0)]),
}
def resolve(name):
    if name == "missing":
        raise LookupError("there is no such path")
    if name == "silent":
        raise LookupError
    if name in FAILURES:
        raise FAILURES[name]
    return {"none": None, "empty": "", "half": "\\ud800"}.get(name, f"secret of {name}")
"""
ENTRY_POINTS = """
[reconciler.secrets]
vault = vault_plug_in:resolve
env = vault_plug_in:resolve
absent = no_such_module:resolve
leaving = leaving_plug_in:resolve
twice = vault_plug_in:resolve
"""
ASK = """
import json, sys
from reconciler.core.model import SecretRef
from reconciler.manifests import Locator
from reconciler.secrets import SecretRules, Vault
from reconciler.usecases.load import load_fleet
vault = Vault({"name": "from the environment"}, "")
answers = []
for scheme, name in json.loads(sys.argv[1]):
    reason = vault.failure(SecretRef(scheme, name))
    answers.append(reason or [vault.reveal({"secretRef": {scheme: name}})])
print(json.dumps(answers))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of packages that bring resolvers, as an installer leaves them."""
    (tmp_path / "vault_plug_in.py").write_text(PLUG_IN)
    (tmp_path / "leaving_plug_in.py").write_text("raise SystemExit(0)\n")
    for name, entry_points in (
        ("vault_plug_in", ENTRY_POINTS),
        ("other", "[reconciler.secrets]\ntwice = vault_plug_in:other\n"),
    ):
        metadata = tmp_path / f"{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(entry_points)
    return tmp_path


def ask(questions: list[tuple[str, str]], folder: Path | None) -> list[Any]:
    environment = {**os.environ, "PYTHONPATH": str(folder or "")}
    command = [sys.executable, "-W", "error", "-c", ASK, json.dumps(questions)]
    run = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, check=True
    )
    assert run.stderr == b""
    answers: list[Any] = json.loads(run.stdout)
    return answers


def test_other_schemes_are_plug_ins(installed: Path) -> None:
    expected = {
        ("vault", "kv/mail#password"): ["secret of kv/mail#password"],
        ("env", "name"): ["from the environment"],  # what is built in cannot be replaced
        ("vault", "missing"): "vault:missing: there is no such path",
        ("vault", "silent"): "vault:silent: LookupError",
        **{
            ("vault", name): f"the resolver of the scheme vault failed: {error} in "
            "vault_plug_in.py, line 17"
            for name, error in {
                "key": "KeyError",
                "away": "ConnectionRefusedError",
                "broken": "ZeroDivisionError",
                "good exit": "SystemExit",
                "exit": "SystemExit",
                "cancelled": "CancelledError",
                "group": "BaseExceptionGroup",
            }.items()
        },
        ("vault", "none"): "vault:none: the resolver of the scheme vault did not return a string",
        ("vault", "empty"): "vault:empty: the resolver of the scheme vault did not return a string",
        ("vault", "half"): "vault:half: the resolver of the scheme vault did not return a string",
        ("absent", "x"): (
            "cannot load no_such_module:resolve, the resolver of the scheme absent: "
            "ModuleNotFoundError of no_such_module"
        ),
        ("leaving", "x"): (
            "cannot load leaving_plug_in:resolve, the resolver of the scheme leaving: SystemExit"
        ),
        ("twice", "x"): (
            "several resolvers for the scheme twice are installed: "
            "vault_plug_in:other and vault_plug_in:resolve; keep one"
        ),
        ("valut", "x"): (
            "no resolver for the scheme valut is installed; available: absent, env, file, "
            "leaving, twice and vault"
        ),
    }
    assert ask(list(expected), installed) == list(expected.values())


@pytest.mark.parametrize(
    "failure",
    [
        "raise KeyboardInterrupt",
        "raise BaseExceptionGroup('all', [ValueError('x'), KeyboardInterrupt()])",
        "raise RuntimeError('a class was being made') from KeyboardInterrupt()",
    ],
)
def test_a_plug_in_can_be_interrupted(
    installed: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """Whatever it makes of the interrupt, which the caller has to see."""
    (installed / "interrupted.py").write_text(f"def resolve(name):\n    {failure}\n")
    entry = EntryPoint("vault", "interrupted:resolve", "reconciler.secrets")
    monkeypatch.syspath_prepend(installed)
    monkeypatch.setattr("reconciler.secrets._plug_in", lambda _: entry)
    with pytest.raises(KeyboardInterrupt):
        Vault({}, "").failure(SecretRef("vault", "x"))
    sys.modules.pop("interrupted")


def test_without_plug_ins_there_are_two_schemes() -> None:
    (reason,) = ask([("vault", "x")], None)
    assert reason == "no resolver for the scheme vault is installed; available: env and file"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", ""),
        ("secret", "only 6 characters"),
        ("0" * 64, "only few different characters"),
        ("key of fingerprints", ""),
    ],
)
def test_a_key_that_can_be_guessed(key: str, reason: str) -> None:
    weakness = Vault({}, key).key_weakness
    assert (reason in weakness, bool(weakness)) == (True, bool(reason))


def test_a_plan_depends_on_no_secret_of_another_account() -> None:
    """Or it would be another plan than the one that was approved, by who has read what by then."""
    whole = Redactor()
    ours, other = Redactor(whole), Redactor(whole)
    ours.know("our-s3cret")
    other.know("their-s3cret")
    names = ("our-s3cret", "their-s3cret", "their-s3…")
    has = live({"name": "Relay", "x": dict.fromkeys(names, 1)})
    strangers = [live({"name": name}, id=number) for number, name in enumerate(names, 7)]
    manifest = desired({"name": "Relay", "x": {"n": 1}})
    plan = decide(ACCOUNT, [manifest], {}, [has, *strangers], SCHEMAS.kinds)

    clean = without_secrets(plan, [manifest], Vault({}, "", redactor=ours))
    paths = {leaf.path for leaf in clean.changes[0].fields[0].leaves}
    assert {"x.(secret)", "x.their-s3cret", "x.their-s3…"} <= paths
    assert [item.name for item in clean.unmanaged_monitors] == ["(secret)", *names[1:]]
    assert ours.text("their-s3cret") == "(secret)"  # where it is shown


def test_nothing_is_looked_up_in_files_for_secrets_that_are_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would read and parse each of them once more."""
    (tmp_path / "a.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: email-smtp\nmetadata: {name: a}\n"
        "spec: {name: A, hostname: mx.example.com, billing_plancode: UBM}\n"
        "extra: {smtp_password: {secretRef: {env: SMTP_PASSWORD}}}\n"
    )
    monkeypatch.setattr(Locator, "position", None)
    (found,) = load_fleet([str(tmp_path)], SCHEMAS, rules=SecretRules()).desired
    assert set(found.secrets) == {"smtp_password"}
