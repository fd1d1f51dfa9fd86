"""Runs the user's own `git`, so that their credentials, configuration and hooks work.

Rule: every call ends in bounded time, and what git says is cleaned before anybody reads it. Output
goes through files rather than pipes: an ssh connection that is kept open for the next call, or a
hook's background process, inherits a pipe and would keep it open long after git has ended.

**Logins.** A URL with a login is an argument of `git` and of the programs that git starts
(`git-remote-https`), and all users of a machine can read the arguments of all processes. So git is
told in its environment, which only its owner can read, to

- use the URL without the login in place of the one with it (`url.URL.insteadOf`, where the longest
  match counts; the whole URL is the longest there can be);
- get the login from a credential helper that reads two variables. They are expanded inside of a
  shell that prints them itself, and so are in no arguments either.

What is configured for a remote counts as well as a URL in the location: pipelines write tokens
there, and into `url.….insteadOf`. Only http and https take a password from a URL.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from reconciler.context import waiting
from reconciler.errors import ConfigurationError, StateError, without_logins
from reconciler.state_store.port import translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<login>[^\s/]*)@(?P<rest>\S*)", re.IGNORECASE
)
_REMOTE = re.compile(r"remote\.(?P<name>.*)\.(?P<key>url|pushurl)", re.DOTALL)
_RULE = re.compile(r"url\.(?P<base>.*)\.(?P<key>insteadof|pushinsteadof)", re.DOTALL)
_USER, _PASSWORD = "RECONCILER_GIT_USERNAME_", "RECONCILER_GIT_PASSWORD_"
_HELPER = (
    '!f() {{ if test "$1" = get; then printf "username=%s\\npassword=%s\\n" '
    '"${user}" "${password}"; fi; }}; f'
)
_OAUTH = "x-oauth-basic"
"""What stands for a password where the user name is the token."""
_TOKEN = 20
"""Characters that a token has at least."""


class Login(NamedTuple):
    """A URL that holds a login."""

    scheme: str
    user: str
    password: str
    rest: str

    @property
    def url(self) -> str:
        """The URL without it."""
        return f"{self.scheme}://{self.rest}"

    @property
    def host(self) -> str:
        """The part of the URL that says whose login it is."""
        return f"{self.scheme}://{self.rest.partition('/')[0]}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of it must not be shown, as it is and as the URL spells it.

        Without a password the user may be a token, or the name of an organisation.
        """
        is_token = self.password == _OAUTH or (not self.password and len(self.user) >= _TOKEN)
        secret = self.user if is_token else self.password
        return unquote(secret), secret


def logins(text: str) -> list[Login]:
    """The logins in a text; a user of ssh without a password is none."""
    found = []
    for match in _URL.finditer(text):
        user, _, password = match["login"].partition(":")
        if password or match["scheme"].lower() in {"http", "https"}:
            found.append(Login(match["scheme"], user, password, match["rest"]))
    return found


def hidden(git: Git, remote: str) -> tuple[str, Mapping[str, str], tuple[Login, ...]]:
    """What to call git with in place of a remote: an argument, more environment; and its logins.

    Raises:
        ConfigurationError: a login that git cannot be given in this way.
    """
    entries: list[tuple[str, str]] = []
    given = logins(remote)
    remote = given[0].url if given else remote
    configured = git.run(
        "config", "-z", "--get-regexp", r"^(remote\..*\.(push)?url|url\..*\.(push)?insteadof)$"
    ).out.decode("utf-8", "surrogateescape")
    if logins(configured):
        found = [*_used(remote, configured)]
        entries += [(f"url.{login.url}.{key}", raw) for key, raw, login in found]
        given += [login for _, _, login in found]
    if not given:
        return remote, {}, ()
    environment: dict[str, str] = {}
    for number, login in enumerate(dict.fromkeys(given)):
        entries += _credentials(login, number, environment)
    first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    for number, (key, value) in enumerate(entries, first):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    environment["GIT_CONFIG_COUNT"] = str(first + len(entries))
    return remote, environment, tuple(given)


def _used(remote: str, configured: str) -> Iterator[tuple[str, str, Login]]:
    """For each URL of a remote that leads to one with a login: which key, from what, to which."""
    urls: dict[str, list[str]] = {"url": [], "pushurl": []}
    rules: dict[str, list[tuple[str, str]]] = {"insteadof": [], "pushinsteadof": []}
    for entry in configured.split("\0"):
        key, _, value = entry.partition("\n")
        if (found := _REMOTE.fullmatch(key)) and found["name"] == remote:
            urls[found["key"]].append(value)
        elif found := _RULE.fullmatch(key):
            rules[found["key"]].append((value, found["base"]))
    fetched = urls["url"] or [remote]
    ways = [("insteadof", raw) for raw in (*fetched, *urls["pushurl"])]
    ways += [] if urls["pushurl"] else [("pushinsteadof", raw) for raw in fetched]
    for key, raw in ways:
        fitting = [rule for rule in rules[key] if raw.startswith(rule[0])]
        url = raw if key == "insteadof" else ""  # without a rule a URL is used as it is
        if fitting:
            prefix, base = max(fitting, key=lambda rule: len(rule[0]))
            url = base + raw.removeprefix(prefix)
        for login in logins(url):
            yield key, raw, login


def _credentials(
    login: Login, number: int, environment: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """The configuration that gives git a login, whose values go into the environment."""
    user, password = unquote(login.user), unquote(login.password)
    if login.scheme.lower() not in {"http", "https"}:
        raise ConfigurationError(
            f"{login.url}: a password in the URL of a remote works only with http and https",
            "Remove it, and use an ssh key.",
        )
    if any(not char.isprintable() for char in user + password):
        raise ConfigurationError(
            f"{login.url}: the login in the URL has a control character", "Check the URL."
        )
    if not login.password:
        yield f"credential.{login.host}.username", user
        return
    environment |= {f"{_USER}{number}": user, f"{_PASSWORD}{number}": password}
    yield f"credential.{login.host}.helper", ""  # those that are configured are not asked
    yield (
        f"credential.{login.host}.helper",
        _HELPER.format(user=f"{_USER}{number}", password=f"{_PASSWORD}{number}"),
    )


_TIMEOUT = 120.0
_GRACE = 1.0
_LINES = 5
# At a terminal Ctrl-C, and the terminal's end, go to every process in the foreground, and would end
# a push half-way.
# Whether a run stops, and when, is decided here. Only what is ignored stays so in a hook's shell.
_DEAF = ("/bin/sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh")
_ELSEWHERE = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
    }
)
"""Variables that name another repository than that of the folder, as a hook of git has them."""
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


TRUST = "git config --global --add safe.directory"
"""How git ends what it says of a repository with "dubious ownership" (safe.directory in
git-config(1)); the folder follows."""


class Answer(NamedTuple):
    """How one call of git ended.

    Attributes:
        is_ok: it ended by itself and reported success.
        out: its stdout.
        words: the last lines of its stderr, or what went wrong with the call itself.
    """

    is_ok: bool
    out: bytes
    words: str


class Git:
    """Git in one folder.

    Args:
        folder: in the repository whose configuration counts.
        timeout: seconds that one call may take.
        environment: variables that each call gets beside those of this process.
    """

    def __init__(
        self,
        folder: Path,
        timeout: float = _TIMEOUT,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self._timeout = timeout
        self._environment = environment

    def run(self, *arguments: str, given: bytes = b"") -> Answer:
        """Calls git and waits for its end.

        Args:
            arguments: of the call; the first is the command, or a `-c`.
            given: what it reads from stdin.

        Raises:
            StateError: cannot run git at all.
        """
        has_terminal = os.isatty(0)
        around = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        environment = {**around, "LC_ALL": "C", **self._environment}
        if not has_terminal:
            environment["GIT_TERMINAL_PROMPT"] = "0"
        hint = "Check the permission to run git, and that TMPDIR exists and has free space."
        with (
            translated("cannot run git", hint),
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
        ):
            stdin.write(given)
            stdin.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603 - the shell gets the arguments as they are
                    [*(_DEAF if has_terminal else ()), "git", *arguments],
                    cwd=self._folder,
                    env=environment,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    # Without a terminal nobody can be asked, so ssh shall not try to; with one, a
                    # session of its own would take it away.
                    start_new_session=not has_terminal,
                )
            except (FileNotFoundError, NotADirectoryError) as error:
                if error.filename != "git":
                    raise
                raise StateError("git is not on the PATH", "Install git.") from error
            if not self._wait(process):
                words = f"git did not end within {self._timeout:g} s"
                return Answer(is_ok=False, out=b"", words=words)
            stdout.seek(0)
            stderr.seek(0)
            words = _words(stderr.read(), process.returncode)
            return Answer(process.returncode == 0, stdout.read(), words)

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the process ended by itself in time; it has ended in any case."""
        too_late = time.monotonic() + self._timeout
        # Waiting with a timeout would look every few milliseconds, for as long as most calls take.
        timer = threading.Timer(self._timeout, _end, [process])
        timer.daemon = True
        timer.start()
        try:
            with waiting():
                process.wait()
        finally:
            timer.cancel()
            timer.join()
            _end(process)
        return time.monotonic() < too_late


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that has not ended, and what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)  # git passes it on to its own
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _words(stderr: bytes, code: int) -> str:
    """The last lines of what git, the server and the hooks say, as one."""
    text = _ESCAPE.sub("", without_logins(stderr.decode("utf-8", "replace")))
    lines = (
        "".join(char for char in line if char.isprintable()).strip() for line in text.splitlines()
    )
    said = [line for line in lines if line]
    if trust := next((line for line in said if line.startswith(TRUST)), ""):
        return f"the repository belongs to another user; if you trust it, run: {trust}"
    said = said[-_LINES:]
    return " / ".join(said).rstrip(".") or f"git exited with code {code} and no message"
