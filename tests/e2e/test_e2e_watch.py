"""`reconciler watch`: hours of it by a false clock, and as a process that is stopped and killed."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import (
    Account,
    Done,
    Git,
    Process,
    Run,
    Sandbox,
    Start,
    Workspace,
    allow_all_losses,
    files,
    manifest,
    monitor,
)

from reconciler.context import SYSTEM, Clock

import scripted
from scripted import Answer, Script

FAULTS = (
    (),
    ("GET /monitors* status=503 times=2",),
    ("PATCH * drop=after times=1",),
    ("GET * drop=before",),
    ("PATCH * status=500 times=1",),
    ("POST /access-tokens status=503",),
    ("GET /monitors* body=truncated times=1",),
)
MONITORS = 6
HURRIED = """
import sys
from reconciler.cli import run
from reconciler.context import SYSTEM
clock = SYSTEM._replace(sleep=lambda seconds, stop: SYSTEM.sleep(seconds / 60, stop))
sys.exit(run(sys.argv[1:], clock))
"""
"""The command line as a process in which a minute's pause is a second."""
WATCH = ("watch", "--interval", "60s", "--listen", "127.0.0.1:0")
QUIET = 64 * 1024
"""Bytes by which what is held may differ between two rounds: caches, and what a round leaves."""


class Hours:
    """A clock on which a pause takes no time, and the world that moves on in each pause.

    In pauses of a minute and more, which are those between rounds, somebody pushes an edit,
    somebody changes a monitor by hand, and AlertSite becomes better or worse.
    """

    def __init__(self, hours: float, author: Author, account: Account) -> None:
        self.rounds = self.hands = 0
        self.held: list[int] = []
        self.edits: dict[int, int] = {}
        self.by_hand: dict[int, int] = {}
        self._seconds = hours * 3600
        self._passed = 0.0
        self._author = author
        self._account = account
        self._lock = threading.Lock()

    @property
    def clock(self) -> Clock:
        return Clock(
            lambda: SYSTEM.now() + timedelta(seconds=self._passed),
            lambda: SYSTEM.monotonic() + self._passed,
            self._sleep,
        )

    def _sleep(self, seconds: float, stop: threading.Event | None) -> None:
        with self._lock:
            self._passed += max(0.0, seconds)
        if threading.current_thread() is not threading.main_thread() or seconds < 60:
            return
        self.rounds += 1
        gc.collect()
        self.held.append(tracemalloc.get_traced_memory()[0])
        if self._passed >= self._seconds:
            signal.raise_signal(signal.SIGTERM)
            assert stop is not None
            assert stop.wait(5)
            return
        # Two quiet rounds end the day, so that nothing has to be done that AlertSite refuses.
        is_quiet = self._passed + 2 * seconds * 1.3 >= self._seconds
        self._account.fail(*(() if is_quiet else FAULTS[self.rounds % 7]))
        number = self.rounds % MONITORS + 1
        if is_quiet:
            return
        if self.rounds % 2 == 0:
            self.edits[number] = 30 + self.rounds
            self._author.set(number, self.edits[number])
        if self.rounds % 3 == 1:
            self.hands += 1
            self.by_hand[number] = 1000 + self.rounds
            # The world is no client of the sandbox's faults.
            self._account.fail()
            self._account.edit("email-smtp", number, port=self.by_hand[number])
            self._account.fail(*FAULTS[self.rounds % 7])


class Author:
    """Somebody who pushes edits to the repository whose clone, `checkout`, is watched."""

    def __init__(self, tmp_path: Path, git: Git) -> None:
        self.remote, self._folder = tmp_path / "remote.git", tmp_path / "author"
        self.checkout = tmp_path / "watched"
        self._git = git
        git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        git(tmp_path, "clone", "--quiet", self.remote.as_uri(), str(self._folder))
        self.git("symbolic-ref", "HEAD", "refs/heads/main")
        for number in range(1, MONITORS + 1):
            self._write(number, 30)
        (self._folder / ".gitignore").write_text(".reconciler/\n")
        allow_all_losses(self._folder)
        self._commit()
        self.git("push", "--quiet", "--set-upstream", "origin", "main")
        git(tmp_path, "clone", "--quiet", self.remote.as_uri(), str(self.checkout))

    def git(self, *arguments: str) -> str:
        return self._git(self._folder, *arguments)

    def here(self, *arguments: str) -> str:
        """Calls git in the checkout."""
        return self._git(self.checkout, *arguments)

    def is_followed(self) -> bool:
        """Whether the checkout is where the author is."""
        return self.here("rev-parse", "HEAD") == self.git("rev-parse", "HEAD")

    def set(self, number: int, timeout: int, ref: str = "main") -> None:
        """Pushes an edit."""
        self._write(number, timeout)
        self._commit()
        self.git("push", "--quiet", "origin", ref)

    def rewrite(self, ref: str = "main") -> None:
        """Puts history in place of what was pushed before."""
        self.git("commit", "--quiet", "--amend", "--message", "y")
        self.git("push", "--quiet", "--force", "origin", ref)

    def edit_here(self) -> Path:
        """Edits a manifest in the checkout."""
        path = self.checkout / "monitors" / "relay-1.yaml"
        path.write_text(path.read_text().replace("timeout: 30", "timeout: 99"))
        return path

    def once(self, account: Account, *more: str) -> Done:
        """Watches for one round."""
        return account.run("watch", "--once", *more, cwd=self.checkout)

    def _commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def _write(self, number: int, timeout: int) -> None:
        name = f"relay-{number}"
        text = manifest("email-smtp", name, number, name=name, port=587, timeout=timeout)
        (self._folder / "monitors").mkdir(exist_ok=True)
        (self._folder / "monitors" / f"{name}.yaml").write_text(text)


@pytest.fixture
def author(tmp_path: Path, git: Git) -> Author:
    return Author(tmp_path, git)


@pytest.fixture
def checkout(author: Author) -> Path:
    """What is watched."""
    return author.checkout


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def as_committed() -> list[dict[str, Any]]:
    """The monitors that the author's first commit describes."""
    numbers = range(1, MONITORS + 1)
    return [monitor("email-smtp", it, name=f"relay-{it}", port=587, timeout=30) for it in numbers]


@pytest.mark.large  # what is kept for coverage grows
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("hours", "interval"), [(1, "150s"), (24, "100m")])
def test_hours_of_it_miss_no_edit_revert_no_drift_and_hold_nothing(
    hours: int, interval: str, sandbox: Sandbox, author: Author, checkout: Path
) -> None:
    account = sandbox(*as_committed())
    env = {"RECONCILER_LOCK_LEASE": "48h"}
    assert account.apply(env=env, cwd=checkout).code == 0
    day = Hours(hours, author, account)
    watching = ("watch", "--apply", "--interval", interval, "--listen", "127.0.0.1:0")
    account.run(*watching, env=env, cwd=checkout, clock=day.clock).expect(0)
    assert day.rounds >= 10
    account.fail()
    live = {item["id"]: item for item in account.monitors()}
    assert {number: live[number]["timeout"] for number in day.edits} == day.edits
    assert {number: live[number]["port"] for number in day.by_hand} == day.by_hand
    sent = [it["body"] for it in account.requests("PATCH") if set(it["body"]) == {"timeout"}]
    assert len(sent) >= len(day.edits)
    ours = [it["body"] for it in account.requests("PATCH") if "port" in it["body"]]
    assert len(ours) == day.hands
    assert day.hands >= 3
    middle, end = day.held[len(day.held) // 2], day.held[-1]
    assert end - middle < QUIET, day.held


class Pages:
    """What a process serves."""

    def __init__(self, process: Process) -> None:
        line = process.read_until("Serving http://").strip().splitlines()[-1]
        self._host = line.removeprefix("Serving http://").rstrip("/")

    def get(self, path: str) -> tuple[int, str]:
        with closing(HTTPConnection(self._host, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def wait_for(self, path: str, word: str) -> str:
        """The page, as soon as it holds that word."""
        for _ in range(300):
            _, text = self.get(path)
            if word in text:
                return text
            time.sleep(0.1)
        raise AssertionError(f"{word!r} is not in {text!r}")


@pytest.fixture
def executable() -> list[str]:
    return [sys.executable, "-c", HURRIED]


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    """What is as the first commit says."""
    return sandbox(*as_committed())


def test_a_process_serves_picks_up_a_commit_and_stops(
    start: Start, account: Account, author: Author, checkout: Path
) -> None:
    process = start(*WATCH, env=account.env, cwd=checkout)
    pages = Pages(process)
    pages.wait_for("/readyz", "leading")
    assert pages.get("/healthz") == (200, "alive\n")
    assert "6 email monitors" in pages.get("/accounts/default")[1]
    assert pages.get("/accounts/other")[0] == 404
    assert pages.get("/nothing")[0] == 404
    author.set(2, 44)
    text = pages.wait_for("/metrics", 'watch_edits{account="default",operation="watch"} 1.0')
    assert "reconciler_watch_leads 1.0" in text
    assert "reconciler_watch_fetched 1.0" in text
    assert 'reconciler_exit_code{account="default",operation="watch"} 0.0' in text
    assert "1 account watched" in pages.get("/")[1]
    began = time.monotonic()
    done = process.finish(signal.SIGTERM)
    assert time.monotonic() - began < 5
    done.expect(0, out="1 to apply", err="Stopped.")
    assert account.patches() == []


def test_a_signal_does_not_wait_for_alertsite(
    start: Start, sandbox: Sandbox, checkout: Path
) -> None:
    account = sandbox(faults=["GET /monitors* delay=30"])
    env = account.env | {"RECONCILER_TIMEOUT": "40s"}
    process = start(*WATCH, env=env, cwd=checkout)
    account.wait_for("POST")
    assert Pages(process).get("/readyz")[0] == 503
    began = time.monotonic()
    assert process.finish(signal.SIGTERM).code == 0
    assert time.monotonic() - began < 5


def test_a_second_one_stands_by_and_takes_over(
    start: Start, account: Account, author: Author, checkout: Path, run: Run
) -> None:
    env = account.env | {"RECONCILER_STATE": "git:origin"}
    assert run("apply", "--auto-approve", env=env, cwd=checkout).code == 0
    first = start(*WATCH, "--apply", env=env, cwd=checkout)
    Pages(first).wait_for("/readyz", "leading")
    second = start(*WATCH, "--apply", env=env, cwd=checkout)
    pages = Pages(second)
    second.read_until("Waiting for the lock of run")
    assert pages.get("/readyz") == (200, "standing by\n")
    assert pages.get("/healthz")[0] == 200
    assert "Standing by" in pages.get("/")[1]
    assert "reconciler_watch_leads 0.0" in pages.get("/metrics")[1]
    first.finish(signal.SIGKILL)
    author.set(3, 45)
    pages.wait_for("/readyz", "leading")
    account.wait_for("PATCH")
    assert account.patches() == [("/monitors/email-smtp/3", {"timeout": 45})]
    assert second.finish(signal.SIGTERM).code == 0


def test_one_that_stands_by_stops_as_well(start: Start, account: Account, checkout: Path) -> None:
    first = start(*WATCH, env=account.env, cwd=checkout)
    Pages(first).wait_for("/readyz", "leading")
    second = start(*WATCH, env=account.env, cwd=checkout)
    second.read_until("Waiting for the lock of run")
    began = time.monotonic()
    assert second.finish(signal.SIGTERM).code == 0
    assert time.monotonic() - began < 5
    assert first.finish(signal.SIGTERM).code == 0


def test_one_round_exits_as_a_plan_does(account: Account, author: Author) -> None:
    assert account.apply(cwd=author.checkout).code == 0
    clean = author.once(account)
    assert (clean.code, clean.out.split(" ", 1)[1]) == (0, "default: 6 unchanged\n")
    author.set(1, 31)
    account.edit("email-smtp", 2, port=2525)
    found = author.once(account)
    assert found.code == 2
    assert "Drift: 1 of 6 monitors not as last applied." in found.out
    assert "default: 1 drifted, 1 to apply, 1 held, 4 unchanged" in found.out
    said = "default: 1 applied, 1 drifted, 1 held, 5 unchanged"
    author.once(account, "--apply").expect(2, out=said)
    assert account.patches()[1:] == [("/monitors/email-smtp/1", {"timeout": 31})]


def test_a_round_in_which_nothing_happened_is_one_list(account: Account, author: Author) -> None:
    before = len(account.calls())
    author.once(account, "--apply")
    calls = account.calls()[before:]
    assert [call.partition("?")[0] for call in calls] == ["POST /access-tokens", "GET /monitors"]


def test_history_that_was_rewritten_is_followed(account: Account, author: Author) -> None:
    author.set(1, 31)
    author.once(account)
    assert author.is_followed()
    author.rewrite()
    assert not author.is_followed()
    author.once(account)
    assert author.is_followed()


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("changed", "the checkout has uncommitted changes"),
        ("ahead", "the branch main has a local commit that origin does not have"),
        ("no remote", "cannot fetch origin"),
    ],
)
def test_nothing_is_applied_while_the_checkout_cannot_follow(
    why: str, words: str, account: Account, author: Author
) -> None:
    if why == "no remote":
        author.remote.rename(author.remote.with_name("gone.git"))
    else:
        author.edit_here()
    if why == "ahead":
        author.here("commit", "--quiet", "--all", "--message", "mine")
    author.once(account, "--apply").expect(7, out=(words, "nothing is applied"))
    assert account.patches() == []


class TestRef:
    """`--ref`: a branch or tag of the remote, whatever is checked out."""

    def test_a_branch_is_followed_and_those_here_stay(
        self, account: Account, author: Author
    ) -> None:
        assert account.apply(cwd=author.checkout).code == 0
        main = author.here("rev-parse", "main")
        author.git("checkout", "--quiet", "-b", "production")
        author.set(1, 31, "production")
        done = author.once(account, "--ref", "production", "--apply")
        assert ("1 applied" in done.out, author.is_followed()) == (True, True)
        assert account.patches() == [("/monitors/email-smtp/1", {"timeout": 31})]
        author.set(2, 32, "production")
        assert author.once(account, "--ref", "production").code == 2
        assert author.is_followed()
        author.rewrite("production")
        assert author.once(account, "--ref", "production").code == 2
        assert author.is_followed()
        assert author.here("rev-parse", "main") == main
        author.git("checkout", "--quiet", "main")
        assert author.once(account, "--ref", "main").code == 2
        assert author.is_followed()

    def test_a_checkout_that_could_not_go_there_goes_later(
        self, account: Account, author: Author
    ) -> None:
        author.git("checkout", "--quiet", "-b", "production")
        author.set(1, 31, "production")
        assert author.once(account, "--ref", "production").code == 2
        author.rewrite("production")
        lock = author.checkout / ".git" / "index.lock"
        lock.touch()
        said = "cannot move the checkout to production"
        author.once(account, "--ref", "production").expect(7, out=said)
        lock.unlink()
        assert author.once(account, "--ref", "production").code == 2
        assert author.is_followed()

    def test_a_tag_is_followed_where_it_goes(self, account: Account, author: Author) -> None:
        for timeout in (31, 32):
            author.set(1, timeout)
            author.git("tag", "--force", "--annotate", "live", "--message", "x")
            author.git("push", "--quiet", "--force", "origin", "live")
            assert author.once(account, "--ref", "live").code == 2
            assert author.is_followed()
        author.set(1, 33)
        assert author.once(account, "--ref", "live").code == 2
        assert not author.is_followed()

    @pytest.mark.parametrize(
        ("why", "words"),
        [
            ("changed", "the checkout has uncommitted changes"),
            ("own commit", "the checkout has a commit that is on no branch"),
            ("no such ref", "cannot fetch main from origin"),
        ],
    )
    def test_what_is_only_here_is_not_touched(
        self, why: str, words: str, account: Account, author: Author, git: Git
    ) -> None:
        assert author.once(account, "--ref", "main").code == 0
        if why != "no such ref":
            author.edit_here()
        if why == "own commit":
            author.here("commit", "--quiet", "--all", "--message", "mine")
        author.set(2, 32)
        if why == "no such ref":
            git(author.remote, "branch", "--move", "main", "other")
        before = author.here("rev-parse", "HEAD"), files(author.checkout / "monitors")
        done = author.once(account, "--ref", "main", "--apply")
        done.expect(7, out=(words, "nothing is applied"))
        assert (author.here("rev-parse", "HEAD"), files(author.checkout / "monitors")) == before
        assert account.patches() == []

    @pytest.mark.parametrize("ref", ["-x", "--upload-pack=touch x", "a:b", "^main", "a b", ""])
    def test_what_is_no_name_is_refused(self, ref: str, run: Run, checkout: Path) -> None:
        done = run("watch", "--once", f"--ref={ref}", cwd=checkout)
        done.expect(64, err="is not a valid name of a branch or tag")

    def test_a_remote_is_needed(self, run: Run, author: Author, tmp_path: Path) -> None:
        def said(where: Path) -> str:
            return run("watch", "--once", "--ref", "main", cwd=where).expect(3).err

        author.here("remote", "rename", "origin", "one")
        author.here("remote", "add", "two", "nowhere")
        assert "the remotes are one, two" in said(author.checkout)
        author.here("remote", "remove", "one")
        author.here("remote", "remove", "two")
        assert "there is no remote" in said(author.checkout)
        (tmp_path / "bare").mkdir()
        assert "there is none here" in said(tmp_path / "bare")


class Service:
    """A web hook that keeps what it is told."""

    TOKEN = "Xy7Tz9kLm2QpRs4v"

    def __init__(self, server: Script) -> None:
        self._server = server
        self._read = 0
        self.url = f"{server.url.replace('http', 'json')}/{self.TOKEN}"
        self.answer(200)

    def answer(self, status: int) -> None:
        self._server.on(f"POST /{self.TOKEN}", Answer(status))

    def titles(self) -> list[str]:
        """Those of the messages since the last call."""
        fresh, self._read = self._server.seen[self._read :], len(self._server.seen)
        return [json.loads(item.body)["title"] for item in fresh]


class TestNotify:
    """`--notify`: what begins and what ends is told once."""

    @pytest.fixture
    def service(self) -> Iterator[Service]:
        with scripted.serving() as server:
            yield Service(server)

    def test_drift_and_failure_are_told_when_they_begin_and_when_they_end(
        self, service: Service, sandbox: Sandbox, author: Author, checkout: Path
    ) -> None:
        account = sandbox(*as_committed())
        env = {"RECONCILER_LOCK_LEASE": "48h", "RECONCILER_TIMEOUT": "1s"}
        assert account.apply(env=env, cwd=checkout).code == 0
        told: list[list[str]] = []

        def world(pause: int) -> None:
            if pause == 2:
                account.edit("email-smtp", 2, port=2525)
            elif pause == 4:
                account.edit("email-smtp", 2, port=2526)
                account.edit("email-smtp", 3, port=2525)
            elif pause == 6:
                account.edit("email-smtp", 2, port=587)
                account.fail("GET /monitors status=400")
            elif pause == 8:
                account.fail()
            elif pause == 10:
                (checkout / "new.txt").write_text("x")
            elif pause == 12:
                (checkout / "new.txt").unlink()

        def sleep(seconds: float, stop: threading.Event | None) -> None:
            if threading.current_thread() is not threading.main_thread() or seconds < 50:
                return
            told.append(service.titles())
            world(len(told))
            if len(told) == 14:
                assert stop is not None
                signal.raise_signal(signal.SIGTERM)
                assert stop.wait(5)

        clock = SYSTEM._replace(sleep=sleep)
        done = account.run(
            *WATCH, "--notify", service.url, env=env, cwd=checkout, clock=clock
        ).expect(0)
        nothing: list[str] = []
        lost = "1 has lost monitoring (1 retargeted)"
        assert told == [
            nothing,
            nothing,
            [f"AlertSite, default: 1 monitor has drifted, {lost}"],
            nothing,
            ["AlertSite, default: 2 monitors have drifted, 2 have lost monitoring (2 retargeted)"],
            nothing,
            ["AlertSite, default: 1 account has failed"],
            nothing,
            ["AlertSite, default: 1 account works again, 1 monitor is as last applied again"],
            nothing,
            ["AlertSite: the latest commit cannot be used"],
            nothing,
            ["AlertSite: the latest commit can be used again"],
            nothing,
        ]
        assert service.TOKEN not in done.text
        # What stands outlives the watcher: it is told when it ends, and not again before that.
        notify = ("--notify", service.url)
        assert (author.once(account, *notify).code, service.titles()) == (2, [])
        account.edit("email-smtp", 3, port=587)
        assert author.once(account, *notify).code == 0
        assert service.titles() == ["AlertSite, default: 1 monitor is as last applied again"]

    def test_what_is_applied_is_told_and_a_refusal_only_once(
        self, service: Service, sandbox: Sandbox, author: Author, checkout: Path
    ) -> None:
        account = sandbox(*as_committed())
        env = {"RECONCILER_NOTIFY": service.url}
        assert account.apply(cwd=checkout).code == 0

        def told() -> list[str]:
            account.run("watch", "--once", "--apply", env=env, cwd=checkout)
            return service.titles()

        author.set(1, 31)
        assert told() == ["AlertSite, default: 1 change applied"]
        assert told() == []
        author.set(1, 32)
        account.fail("PATCH * status=400")
        assert told() == ["AlertSite, default: 1 account has failed"]
        assert told() == []
        account.fail()
        assert told() == [
            "AlertSite, default: 1 change applied",
            "AlertSite, default: 1 account works again",
        ]

    def test_what_a_service_did_not_take_is_told_in_the_next_round(
        self, service: Service, account: Account, author: Author, checkout: Path
    ) -> None:
        assert account.apply(cwd=checkout).code == 0
        account.edit("email-smtp", 2, port=2525)
        lost = "1 has lost monitoring (1 retargeted)"
        news = [f"AlertSite, default: 1 monitor has drifted, {lost}"]
        for answer, title in ((500, news), (200, news), (200, [])):
            service.answer(answer)
            done = author.once(account, "--notify", service.url)
            assert (done.code, service.titles()) == (2, title)
            assert ("Cannot send the notification" in done.err) == (answer == 500)
        (checkout / ".reconciler" / "watch-notified.json").write_text("[")
        done = author.once(account, "--notify", service.url)
        assert ("cannot be read" in done.err, service.titles()) == (True, news)

    @pytest.mark.parametrize(
        ("command", "kept"),
        [(("watch", "--once"), "watch-notified.json"), (("drift",), "notified.json")],
    )
    @pytest.mark.parametrize(
        ("there", "reason"),
        [
            (None, "it is not a regular file"),
            (b"[", "it is incomplete: it ends in line 1, column 2"),
            (b"\xff", "it is not UTF-8 text"),
            (b"[1]", "it does not have the expected content"),
            (b'{"services": 1, "default": 1}', "it does not have the expected content"),
        ],
    )
    def test_why_what_was_told_is_not_known(
        self,
        command: tuple[str, ...],
        kept: str,
        there: bytes | None,
        reason: str,
        service: Service,
        account: Account,
        checkout: Path,
    ) -> None:
        assert account.apply(cwd=checkout).code == 0
        account.edit("email-smtp", 2, port=2525)
        path = checkout / ".reconciler" / kept
        if there is None:
            os.mkfifo(path)
        else:
            path.write_bytes(there)
        counts = []
        for _ in range(2):
            done = account.run(*command, "--notify", service.url, cwd=checkout)
            found = [line for line in done.err.splitlines() if f"{kept} cannot be " in line]
            assert all(line.endswith(f": {reason}") for line in found), found
            counts.append(len(found))
        # A pipe is neither read nor written; any other file is as it should be in the next run.
        assert counts == ([2, 2] if there is None else [1, 0])

    @pytest.mark.parametrize("command", [("watch", "--once"), ("drift",)])
    def test_a_service_that_takes_nothing_is_no_reason_to_tell_another_one_again(
        self, command: tuple[str, ...], service: Service, account: Account, checkout: Path
    ) -> None:
        assert account.apply(cwd=checkout).code == 0
        account.edit("email-smtp", 2, port=2525)
        with scripted.serving() as server:
            dead = Service(server)
            dead.answer(500)
            told = []
            for _ in range(3):
                urls = ("--notify", dead.url, "--notify", service.url)
                account.run(*command, *urls, cwd=checkout)
                told.append((len(dead.titles()), len(service.titles())))
            dead.answer(200)
            account.run(*command, *urls, cwd=checkout)
            told.append((len(dead.titles()), len(service.titles())))
        assert told == [(1, 1), (1, 0), (1, 0), (1, 0)]

    @pytest.mark.parametrize(
        ("command", "kept"),
        [(("watch", "--once"), "watch-notified.json"), (("drift",), "notified.json")],
    )
    def test_what_a_service_was_told_is_known_by_its_url_and_not_by_its_place(
        self,
        command: tuple[str, ...],
        kept: str,
        service: Service,
        account: Account,
        checkout: Path,
    ) -> None:
        assert account.apply(cwd=checkout).code == 0
        account.edit("email-smtp", 2, port=2525)
        path = checkout / ".reconciler" / kept
        with scripted.serving() as server:
            other = Service(server)
            other.answer(200)

            def told(*services: Service) -> tuple[int, int]:
                urls = [text for item in services for text in ("--notify", item.url)]
                account.run(*command, *urls, cwd=checkout)
                return len(service.titles()), len(other.titles())

            assert told(service) == (1, 0)
            assert told(other, service) == (0, 1)
            assert told(service, other) == told(other) == (0, 0)
            assert told(other, other) == (0, 1)
            assert told(service) == (1, 0)  # it was left out meanwhile
            text = path.read_text()
            assert Service.TOKEN not in text
            # What an earlier version wrote says nothing about who was told.
            if command == ("drift",):
                old: Any = {"default": [{"email-smtp/relay-2": "0"}]}
            else:
                old = {"services": [{"accounts": {}, "has_problem": False}]}
            path.write_text(json.dumps(old))
            assert told(service) == (1, 0)
            assert path.read_text() == text

    def test_a_url_that_nobody_knows_is_refused_at_once(
        self, account: Account, author: Author
    ) -> None:
        done = author.once(account, "--notify", f"nowhere://{Service.TOKEN}/")
        assert (done.code, "Apprise does not support" in done.err) == (64, True)
        assert Service.TOKEN not in done.text


def stopping_after(*acts: Callable[[], object]) -> Clock:
    """A clock that waits for no round: it does one of these after each, and then stops all."""
    left = list(acts)

    def sleep(seconds: float, stop: threading.Event | None) -> None:
        if seconds < 50 or stop is None:
            return
        if left:
            left.pop(0)()
            return
        signal.raise_signal(signal.SIGTERM)
        assert stop.wait(5)

    return SYSTEM._replace(sleep=sleep)


def test_a_mistake_in_the_settings_does_not_end_it(account: Account, checkout: Path) -> None:
    manifest, settings = checkout / "monitors" / "relay-1.yaml", checkout / "reconciler.toml"

    def spoil_settings() -> None:
        manifest.unlink()
        settings.write_text("[accounts]\nx = 1\n")

    clock = stopping_after(
        lambda: manifest.write_text("no: manifest\n"),
        spoil_settings,
        lambda: settings.write_text(""),
    )
    done = account.run(*WATCH, cwd=checkout, clock=clock).expect(0)
    lines = [line for line in done.out.splitlines() if line.startswith("20")]
    assert "6 unchanged" in lines[0]
    assert any("default: failed with 3" in line for line in lines)
    assert any("the settings cannot be used" in line for line in lines)
    assert "reconciler.toml:2:" in done.err
    assert "5 unchanged" in lines[-1]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("checkout --quiet --detach", "Not fetching: HEAD is detached. To follow a"),
        ("branch --quiet --unset-upstream", ": the branch main tracks no remote branch. To follow"),
        ("remote remove origin", ""),
        ("status", ""),
    ],
)
def test_a_checkout_that_follows_nothing_is_said_once(
    command: str, words: str, git: Git, account: Account, checkout: Path
) -> None:
    git(checkout, *command.split())
    clock = stopping_after(lambda: None, lambda: None)
    done = account.run(*WATCH, cwd=checkout, clock=clock)
    assert (done.code, done.out.count("6 unchanged")) == (0, 3)
    assert done.err.count("Not fetching") == bool(words)
    assert words in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--interval", "59s"), "the minimum is 60 s"),
        (("--listen", "8080"), "not HOST:PORT"),
        (("--listen", "127.0.0.1:70000"), "not HOST:PORT"),
        (("--account", "nobody"), "matches no account"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], words: str, run: Run) -> None:
    run("watch", *arguments).expect(64, err=words)


def test_a_port_that_is_taken_is_named(account: Account, checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        done = account.run("watch", "--listen", where, cwd=checkout)
    done.expect(3, err=f"cannot listen on {where}")


FLEET = """
[defaults]
username = {{env = "ALERTSITE_USERNAME"}}
password = {{env = "ALERTSITE_PASSWORD"}}
manifests = ["monitors"]

[accounts.one]
url = "{one}"

[accounts.two]
url = "{two}"
wave = 2

[accounts.down]
url = "http://127.0.0.1:9/api/v3"
wave = 2

[fleet]
budget = {{monitors = {most}, percent = 100}}
"""


@pytest.fixture
def two(workspace: Workspace, sandbox: Sandbox) -> tuple[Account, Account]:
    """Two accounts with a monitor each, and settings that name a third one, which is down."""
    found = tuple(sandbox(monitor("email-smtp", 1, port=25)) for _ in range(2))
    _write_fleet(workspace, found, 10)
    return found[0], found[1]


def _write_fleet(workspace: Workspace, accounts: tuple[Account, ...], most: int) -> None:
    one, two = (item.url for item in accounts)
    text = FLEET.format(one=one, two=two, most=most)
    workspace.settings(text)


def _settle(run: Run, workspace: Workspace, env: dict[str, str], text: str) -> None:
    """Applies a manifest that AlertSite fits already, so that every account has a state."""
    workspace.write("relay.yaml", text)
    assert (
        run("apply", "--all-accounts", "--not-account", "down", "--auto-approve", env=env).code == 0
    )


def test_an_account_that_fails_fails_alone(
    run: Run, workspace: Workspace, two: tuple[Account, Account], hurried: Clock
) -> None:
    env = dict(two[0].login)
    _settle(run, workspace, env, manifest("email-smtp", "relay", 1, port=25))
    workspace.describe("email-smtp", "relay", 1, port=587)
    done = run("watch", "--once", "--apply", env=env, clock=hurried).expect(7)
    assert [line.split(" ", 1)[1][:20] for line in done.out.splitlines()[-3:]] == [
        "down: failed with 6:",
        "one: 1 applied, 1 un",
        "two: 1 applied, 1 un",
    ]
    assert [account.ports() for account in two] == [{1: 587}, {1: 587}]
    only = run("watch", "--once", "--account", "one", env=env)
    assert (only.code, only.out.count("\n")) == (0, 1)


def test_a_wave_that_fails_is_the_last_one(
    run: Run, workspace: Workspace, sandbox: Sandbox
) -> None:
    broken = sandbox(monitor("email-smtp", 1, port=25), faults=["PATCH * status=422"])
    whole = sandbox(monitor("email-smtp", 1, port=25))
    _write_fleet(workspace, (broken, whole), 10)
    env = dict(whole.login)
    _settle(run, workspace, env, manifest("email-smtp", "relay", 1, port=25))
    workspace.describe("email-smtp", "relay", 1, port=587)
    run("watch", "--once", "--apply", "--not-account", "down", env=env).expect(
        7, out=("one: failed with", "two: 1 to apply")
    )
    assert whole.patches() == []


def test_a_wave_with_an_account_that_cannot_be_looked_at_is_the_last_one(
    run: Run, workspace: Workspace, two: tuple[Account, Account], hurried: Clock
) -> None:
    env = dict(two[0].login)
    _settle(run, workspace, env, manifest("email-smtp", "relay", 1, port=25))
    settings = workspace.root / "reconciler.toml"
    text = settings.read_text(encoding="utf-8").replace("wave = 2", "")
    for name in ("one", "two"):
        text = text.replace(f"[accounts.{name}]", f"[accounts.{name}]\nwave = 2")
    settings.write_text(text, encoding="utf-8")
    workspace.describe("email-smtp", "relay", 1, port=587)
    done = run("watch", "--once", "--apply", env=env, clock=hurried).expect(7)
    assert [account.patches() for account in two] == [[], []]
    assert "one: 1 to apply" in done.out


def test_the_budget_of_all_accounts_counts(
    run: Run, workspace: Workspace, two: tuple[Account, Account]
) -> None:
    for account in two:
        account.edit("email-smtp", 1, enabled=True)
    env = dict(two[0].login)
    _settle(run, workspace, env, manifest("email-smtp", "relay", 1, port=25, enabled=True))
    workspace.describe("email-smtp", "relay", 1, port=25, enabled=False)
    _write_fleet(workspace, two, 1)
    done = run("watch", "--once", "--apply", "--not-account", "down", env=env).expect(5)
    assert done.out.count("the budget under [fleet] is 1") == 2
    assert [len(account.patches()) for account in two] == [1, 1]


def test_why_an_apply_was_refused_is_said(account: Account, author: Author) -> None:
    author.set(1, 31)
    assert account.apply(cwd=author.checkout).code == 0
    author.set(1, 32)
    author.once(account, "--apply")
    author.git("reset", "--quiet", "--hard", "HEAD^")
    author.git("push", "--quiet", "--force", "origin", "main")
    author.once(account, "--apply").expect(5, err="--allow-older")


def test_without_a_state_nothing_is_applied(account: Account, author: Author) -> None:
    account.edit("email-smtp", 2, port=2525)
    author.set(1, 31)
    said = "there is no state yet, so edits and drift cannot be distinguished"
    author.once(account, "--apply").expect(5, out=said)
    assert len(account.patches()) == 1


def test_it_leads_again_when_its_store_is_back(
    start: Start, account: Account, checkout: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    state = {"RECONCILER_STATE": f"file:{place}/state.json", "RECONCILER_LOCK_LEASE": "2s"}
    process = start(*WATCH, env=account.env | state, cwd=checkout)
    pages = Pages(process)
    pages.wait_for("/readyz", "leading")
    away = place.rename(tmp_path / "away")
    place.write_text("no folder")
    process.read_until("This watcher stands by until that is fixed")
    place.unlink()
    away.rename(place)
    pages.wait_for("/readyz", "leading")
    assert process.finish(signal.SIGTERM).code == 0


def test_one_that_stands_by_outlives_its_store_too(
    start: Start, account: Account, checkout: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    state = {"RECONCILER_STATE": f"file:{place}/state.json", "RECONCILER_LOCK_LEASE": "2s"}
    first = start(*WATCH, env=account.env | state, cwd=checkout)
    Pages(first).wait_for("/readyz", "leading")
    second = start(*WATCH, env=account.env | state, cwd=checkout)
    pages = Pages(second)
    second.read_until("Waiting for the lock of run")
    away = place.rename(tmp_path / "away")
    place.write_text("no folder")
    second.read_until("This watcher stands by until that is fixed")
    assert pages.get("/healthz")[0] == 200
    first.finish(signal.SIGKILL)
    place.unlink()
    away.rename(place)
    pages.wait_for("/readyz", "leading")
    assert second.finish(signal.SIGTERM).code == 0
