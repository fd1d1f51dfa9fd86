"""Logins in the URLs of remotes: git gets them, and no argument of any process holds them.

The remote is git's own server program behind HTTP basic authentication; git itself writes down
every program that it starts, with its arguments.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store.conftest import serving_git

from reconciler.core.redactor import Redactor
from reconciler.errors import ConfigurationError, StateError
from reconciler.state_store import Key, Store, open_store
from reconciler.state_store.git_process import logins

_USER, _PASSWORD = "ci-user", "p%w:rd/ü-tok3n"
_IN_URL = "ci-user:p%25w%3Ard%2F%C3%BC-tok3n"
_SPELLINGS = (_PASSWORD, _IN_URL.partition(":")[2])


@pytest.fixture
def host(tmp_path: Path, git: Callable[..., str]) -> Iterator[str]:
    remote = tmp_path / "served" / "fleet.git"
    remote.mkdir(parents=True)
    git(remote, "init", "--quiet", "--bare", "--initial-branch=main")
    git(remote, "config", "http.receivepack", "true")
    with serving_git(remote.parent, _USER, _PASSWORD) as found:
        yield found


@pytest.fixture
def clone(tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository; what git starts from now on is in `arguments`."""
    made = tmp_path / "clone"
    made.mkdir()
    git(made, "init", "--quiet")
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_TRACE_REDACT", "0")
    return made


def _arguments(folder: Path) -> list[list[str]]:
    """The arguments of every process that git was, or has started."""
    events = map(json.loads, (folder / "trace").read_text().splitlines())
    return [event["argv"] for event in events if "argv" in event]


def _use(store: Store) -> None:
    version = store.write(Key.STATE, b'{"serial": 1}', None, "first")
    second = store.write(Key.STATE, b'{"serial": 2}', version, "second")
    found = store.read(Key.STATE)
    assert found is not None
    assert (found.data, found.version) == (b'{"serial": 2}', second)
    store.write(Key.LOCK, b"", store.write(Key.LOCK, b'{"run": "r"}', None, "lock"), "unlock")


@pytest.mark.parametrize("way", ["location", "remote", "push-url", "instead-of", "push-instead-of"])
def test_login_of_a_remote_is_in_no_argument(
    way: str, host: str, clone: Path, tmp_path: Path, git: Callable[..., str]
) -> None:
    bare, full = f"http://{host}/fleet.git", f"http://{_IN_URL}@{host}/fleet.git"
    location = "git:origin"
    if way == "location":
        location = f"git:{full}"
    elif way == "remote":
        git(clone, "remote", "add", "origin", full)
    elif way == "push-url":
        git(clone, "remote", "add", "origin", full)
        git(clone, "config", "remote.origin.pushurl", full)
    else:
        git(clone, "remote", "add", "origin", bare)
        key = "pushInsteadOf" if way == "push-instead-of" else "insteadOf"
        git(clone, "config", f"url.http://{_IN_URL}@{host}/.{key}", f"http://{host}/")
        if key == "pushInsteadOf":  # reading needs a login too
            git(clone, "config", f"url.http://{_IN_URL}@{host}/.insteadOf", f"http://{host}/")
    (tmp_path / "trace").unlink(missing_ok=True)
    redactor = Redactor()
    store = open_store(location, folder=clone, redactor=redactor)
    _use(store)
    shown = f"{store.location} {store.backup()}"
    arguments = _arguments(tmp_path)
    assert any(
        "remote-http" in argument[0] or "remote-http" in argument[1] for argument in arguments
    )
    for text in _SPELLINGS:
        assert [item for item in arguments if text in " ".join(item)] == []
        assert text not in shown
        assert redactor.holds(f"<{text}>")


def test_refused_login_is_not_shown(host: str, clone: Path) -> None:
    store = open_store(f"git:http://me:wr0ng-passw0rd@{host}/fleet.git", folder=clone)
    with pytest.raises(StateError) as caught:
        store.read(Key.STATE)
    assert "Authentication failed" in str(caught.value)
    assert "wr0ng-passw0rd" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("login", "word"),
    [("ssh://me:passw0rd@host/x", "http and https"), ("http://me:a%0Ab@h/x", "control")],
)
def test_login_that_git_cannot_be_given_is_refused(login: str, word: str, clone: Path) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        open_store(f"git:{login}", folder=clone)
    assert "passw0rd" not in str(caught.value)


def test_user_name_alone_is_given_as_configuration(host: str, clone: Path, tmp_path: Path) -> None:
    store = open_store(f"git:http://t0ken-as-user@{host}/fleet.git", folder=clone)
    with pytest.raises(StateError):
        store.read(Key.STATE)
    assert "t0ken-as-user" not in str(_arguments(tmp_path))


def test_logins_of_texts() -> None:
    assert logins("git:ssh://git@host/x git@host:x /a/b@c") == []
    (login,) = logins("HTTPS://u:p%40@host:8443/x.git")
    assert (login.url, login.host) == ("HTTPS://host:8443/x.git", "HTTPS://host:8443")
    assert login.secrets == ("p@", "p%40")
    assert logins("https://tok3n:x-oauth-basic@h/x")[0].secrets == ("tok3n", "tok3n")
