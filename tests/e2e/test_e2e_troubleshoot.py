"""The page on troubles: each one is provoked, and ends with the code and the words of the page."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from e2e.conftest import Account, Done, Workspace, manifest

from reconciler.context import Clock
from reconciler.sandbox import UserLogin, World

from certificates import Authorities
from docs.pages import page
from listening import QuietHandler, listening

PAGE = page("docs/how-to/troubleshoot.md")
_APPLY = ("apply", "--auto-approve")
_MINE = {"ALERTSITE_USERNAME": "ann@example.com", "ALERTSITE_PASSWORD": "not the password"}
_HTTPS = {**_MINE, "ALERTSITE_URL": "https://127.0.0.1:9/api/v3"}


class Entry(NamedTuple):
    """A trouble as the page describes it: its heading, its exit code and its message."""

    name: str
    code: int
    lines: tuple[str, ...]

    def is_in(self, text: str) -> bool:
        """Whether a text has all lines of the message, in that order."""
        found = iter(line.strip() for line in text.splitlines())
        return all(any(re.fullmatch(_pattern(line), it) for it in found) for line in self.lines)


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.strip().split("…")))


def entries() -> Iterator[Entry]:
    """All entries of the page, each with the text below its heading."""
    for section in re.split(r"^## ", PAGE.text, flags=re.MULTILINE)[1:]:
        code = re.match(r"Exit code (\d+): ", section)
        assert code, section
        for entry in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
            name, _, text = entry.partition("\n")
            message = re.match(r"\n```text\n(.*?)```\n", text, re.DOTALL)
            assert message, name
            yield Entry(name, int(code[1]), tuple(message[1].splitlines()))


class Trouble:
    """Where a trouble is made: a folder with manifests, and what a run needs.

    A method is the entry of the page with its name.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        get = request.getfixturevalue
        self._clock: Clock = get("hurried")
        self._run: Callable[..., Done] = get("run")
        self._git: Callable[..., str] = get("git")
        self._serve: Callable[..., Account] = get("sandbox")
        self._fleet: Callable[[int], list[dict[str, Any]]] = get("fleet")
        self._work: Workspace = get("workspace")
        self._folder: Path = get("tmp_path")

    def __call__(self, *arguments: str, env: dict[str, str], **given: Any) -> Done:
        return self._run(*arguments, env=env, **{"clock": self._clock} | given)

    def _account(self, count: int = 2, *faults: str, **options: Any) -> Account:
        """An account of monitors whose port is not that of their manifests."""
        return self._serve(*self._fleet(count), faults=faults, **options)

    def _applied(self, count: int = 2) -> Account:
        account = self._account(count)
        assert self(*_APPLY, env=account.env).code == 0
        return account

    def _settings(self, text: str) -> None:
        self._work.settings(text)

    def the_plan_shows_the_sandbox(self) -> Done:
        self._work.write("new.yaml", manifest("email-smtp", "new"))
        return self("plan", env={})

    def every_plan_shows_the_same_drift(self) -> Done:
        account = self._applied()
        account.edit("email-smtp", 1, port=25)
        return self("plan", env=account.env)

    def all_monitors_are_orphans(self) -> Done:
        account = self._applied()
        self._work.remove("fleet.yaml")
        self(*_APPLY, "--prune", env=account.env).expect(5, err="--allow-empty")
        return self("plan", env=account.env)

    def there_is_no_such_file_or_folder(self) -> Done:
        elsewhere = self._folder / "elsewhere"
        elsewhere.mkdir()
        return self("plan", env={}, cwd=elsewhere)

    def the_results_of_other_work(self) -> Done:
        account = self._serve()
        login = 'username = {env = "NAME"}\npassword = {env = "PASSWORD"}'
        self._settings(f'[accounts.acme]\nurl = "{account.url}"\n{login}\n')
        env = dict(zip(("NAME", "PASSWORD"), account.login.values(), strict=True))
        self._work.write("acme/new.yaml", manifest("email-smtp", "new", port=25))
        results = (*_APPLY, "-a", "acme", "--results", "out")
        assert self(*results, env=env).code == 0
        self._work.replace("acme/new.yaml", "25", "587")
        return self(*results, env=env)

    def alertsite_refuses_the_login(self) -> Done:
        account = self._account()
        token = self("plan", env={"ALERTSITE_URL": account.url, "ALERTSITE_TOKEN": "an-old-token"})
        assert (token.code, "rejects the token in ALERTSITE_TOKEN" in token.err) == (4, True)
        return self("plan", env=account.env | _MINE)

    def this_user_may_not_change_monitors(self) -> Done:
        viewer = "viewer@example.com"
        login = {"ALERTSITE_USERNAME": viewer, "ALERTSITE_PASSWORD": "viewer"}
        return self(*_APPLY, env=self._account(1).env | login)

    def over_the_safety_budget(self) -> Done:
        account = self._applied(12)
        self._settings("")
        text = self._work.read("fleet.yaml")
        self._work.write("fleet.yaml", text.replace("spec:\n", "spec:\n  enabled: false\n"))
        return self(*_APPLY, env=account.env)

    def the_monitor_already_exists(self) -> Done:
        self._work.write("relay.yaml", manifest("email-smtp", "relay", name="Relay"))
        account = self._account(6)
        self._work.remove("fleet.yaml")
        account.create("email-smtp", name="Relay")
        one = self("plan", env=account.env)
        account.create("email-smtp", name="Relay")
        several = self("plan", env=account.env)
        assert "AlertSite has several monitors of the kind" in several.out
        assert self(*_APPLY, "--adopt", env=account.env).code == 5
        return one

    def the_manifests_are_of_an_old_commit(self) -> Done:
        account = self._committed(25, 587)
        assert self(*_APPLY, env=account.env).code == 0
        self._git(self._work.root, "checkout", "--quiet", "HEAD~1")
        return self(*_APPLY, env=account.env)

    def a_saved_plan_does_not_fit_the_manifests(self) -> Done:
        account = self._committed(25)
        assert self("plan", "--out", "plan.json", env=account.env).code == 0
        self._work.replace("new.yaml", "port: 25", "port: 587")
        return self("apply", "plan.json", env=account.env)

    def _committed(self, *ports: int) -> Account:
        """A repository with a commit for each port of a monitor."""
        root = self._work.root
        self._git(root, "init", "--quiet")
        (root / ".gitignore").write_text(".reconciler/\n*.json\n", encoding="utf-8")
        for port in ports:
            self._work.write("new.yaml", manifest("email-smtp", "new", port=port))
            self._git(root, "add", "--all")
            self._git(root, "commit", "--quiet", "--message", "x")
        return self._serve()

    def a_monitor_has_changed_since_the_plan(self) -> Done:
        account = self._account(1)
        assert self("plan", "--out", "plan.json", env=account.env).code == 0
        account.edit("email-smtp", 1, port=50)
        return self("apply", "plan.json", env=account.env)

    def no_monitor_of_the_state_is_in_this_account(self) -> Done:
        account = self._serve(*self._fleet(3), logins=(UserLogin("other@example.com", "other"),))
        assert self(*_APPLY, env=account.env).code == 0
        other = {"ALERTSITE_USERNAME": "other@example.com", "ALERTSITE_PASSWORD": "other"}
        return self("plan", env=account.env | other)

    def alertsite_cannot_be_reached(self) -> Done:
        return self("plan", env=self._account(1, "GET /monitors status=503").env)

    def the_proxy_cannot_be_reached_or_refuses(self) -> Done:
        other = self("plan", env=self._account(1, "GET /monitors body=html").env)
        assert (other.code, "which is not a response of AlertSite's API" in other.err) == (6, True)
        with listening(_Refusing) as place:
            refused = self("plan", env=_HTTPS | {"HTTPS_PROXY": f"http://{place}"})
        assert ": 407 Proxy Authentication Required\n" in refused.err
        return self("plan", env=_HTTPS | {"HTTPS_PROXY": "http://127.0.0.1:10"})

    def the_certificate_cannot_be_verified(self) -> Done:
        self._fleet(1)
        ours = Authorities(self._folder).server("ours")
        with listening(QuietHandler, ours) as place:
            return self("plan", env=_MINE | {"ALERTSITE_URL": f"https://{place}/api/v3"})

    def some_changes_failed(self) -> Done:
        account = self._account(2, "PATCH /monitors/email-smtp/1 status=400")
        return self(*_APPLY, env=account.env)

    def a_create_is_unconfirmed(self) -> Done:
        self._work.write("new.yaml", manifest("email-smtp", "new"))
        account = self._account(1, "POST /monitors/* drop=before")
        return self(*_APPLY, env=account.env)

    def a_value_is_not_kept(self) -> Done:
        account = self._account(1, world=World(drop=frozenset({"port"})))
        done = self(*_APPLY, env=account.env)
        assert "(not kept: sent before, but " in self("plan", env=account.env).out
        return done

    def the_state_is_locked(self) -> Done:
        account = self._applied()
        lock = (
            '{"id": "20260101T000000Z-0a1b2c3d", "holder": "ann", "host": "build-1", "operation": '
            '"apply", "acquired_at": "2026-01-01T00:00:00Z", "process": "", "length": 180.0}'
        )
        (self._work.root / ".reconciler" / "state.json.lock").write_text(lock, encoding="utf-8")
        return self(*_APPLY, env=account.env)

    def the_state_of_another_account(self) -> Done:
        self._applied()
        return self("plan", env=self._serve().env)

    def the_state_is_corrupt(self) -> Done:
        account = self._applied()
        state = self._work.root / ".reconciler" / "state.json"
        state.write_bytes(state.read_bytes()[:-9])
        return self("plan", env=account.env)


class _Refusing(QuietHandler):
    """A proxy that asks for a login."""

    def do_CONNECT(self) -> None:  # noqa: N802 - the name of http.server
        self.send_error(407)


@pytest.mark.parametrize("entry", [*entries()], ids=lambda entry: entry.name)
def test_it_is_as_the_page_says(entry: Entry, request: pytest.FixtureRequest) -> None:
    method = re.sub(r"\W+", "_", entry.name.replace("'", "").replace(",", "")).lower()
    done = getattr(Trouble(request), method)()
    assert done.code == entry.code, done.text
    assert entry.is_in(done.text) or entry.is_in(done.err + done.out), done.text
