"""Nothing that leaves the process holds a secret, whatever is said of it and wherever it is kept.

One test puts secrets that stand nowhere else through every command, every store and every format,
past a server that repeats in every way what it was sent. Then it looks for each of them, in every
spelling, in every byte that was printed, in every file, in every object of the repositories, in the
bucket, and in the arguments of every process that git was or has started. The one place where they
have to be is what AlertSite was sent.

The runs are in this process, with a clock on which waiting takes no time.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import gzip
import html
import io
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from e2e.conftest import SEARCHED, Git, Places, Run, Sandbox, Workspace, monitor
from store.conftest import BUCKET, WRITER, serving_git

from reconciler import cli
from reconciler.cli.formats import Subject, formats
from reconciler.context import SYSTEM, Clock

_TOKEN = "t0k3n.of-the_run~Zq7+x/y="
_PASSWORD = 'pa55 "w0rd" <ü>&/\\+é%'
_KEY = "k3y-of-f1ngerprints:'&<9>"
_ENV = 'env-5ecret "1" & <é>/+\\%'
_FILE = "file-5ecret of line one\nand-of-line-tw0 ünd mehr"
_GIT = "g1t/cr3dential:ü+%"
_SECRETS = {
    "token": _TOKEN,
    "password": _PASSWORD,
    "secret key": _KEY,
    "secret by env": _ENV,
    "secret by file": _FILE,
    "second line of it": _FILE.splitlines()[1],
    "git credential": _GIT,
    "S3 secret": WRITER[1],
}


def _spellings(secret: str) -> dict[str, bytes]:
    data = secret.encode()
    inside = {}
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        inside[f"base64 at {before}"] = text[(0, 2, 3)[before] : -1]
    spelt = {
        "plain": secret,
        "json": json.dumps(secret)[1:-1],
        "json in UTF-8": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json in json": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        **inside,
        "base64 of URLs": base64.urlsafe_b64encode(data).decode().rstrip("=")[:-1],
        "hex": data.hex(),
        "HEX": data.hex().upper(),
        "url": quote(secret),
        "whole url": quote(secret, safe=""),
        "form": quote_plus(secret),
        "html": html.escape(secret),
        "repr": repr(secret)[1:-1],
        "bytes": repr(data)[2:-1],
        "bytes of json": repr(json.dumps(secret).encode())[3:-2],
    }
    return {name: text.encode() for name, text in spelt.items()}


_SPELLINGS = {
    (secret, name): spelt
    for secret, text in _SECRETS.items()
    for name, spelt in _spellings(text).items()
}


@dataclass
class Search:
    """Looks for secrets, and counts where it has looked."""

    runs: int = 0
    places: int = 0
    bytes: int = 0
    told: list[str] = field(default_factory=list)

    def look(self, where: str, data: bytes) -> None:
        self.places += 1
        self.bytes += len(data)
        self.told += [
            f"{where}: {secret} as {name}"
            for (secret, name), spelt in _SPELLINGS.items()
            if spelt in data
        ]


# a server that repeats what it is sent


def _answer(status: str, kind: str, body: str | bytes, *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else body.encode()
    head = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(data)}", *headers)
    return "\r\n".join((*head, "Connection: close", "", "")).encode() + data


def _json(value: Any, status: str = "200 OK") -> bytes:
    return _answer(status, "application/json", json.dumps(value))


_HTML = "text/html"
_FAULTS: dict[str, Callable[[str], bytes]] = {
    "rejection": lambda said: _json({"errors": [{"code": 1, "message": said}]}, "400 Bad"),
    "two hundred": lambda said: _json({"errors": [{"message": said, "fields": [said]}]}),
    "detail": lambda said: _json({"detail": said}, "422 No"),
    "page": lambda said: _answer("500 Oops", _HTML, f"<p>{html.escape(said)}</p>"),
    "url": lambda said: _answer("403 No", _HTML, f"?q={quote(said)}&r={quote_plus(said)}"),
    "base64": lambda said: _answer("400 No", _HTML, b"<" + base64.b64encode(said.encode()) + b">"),
    "hex": lambda said: _answer("502 No", "text/plain", said.encode().hex()),
    "repr": lambda said: _answer("418 Tea", "text/plain", repr(said)),
    "garbage": lambda said: _answer("200 OK", "application/json", f"<{said}"),
    "header line": lambda said: f"HTTP/1.1 200 OK\r\n{said}\r\n\r\n".encode(),
    "header name": lambda said: f"HTTP/1.1 200 OK\r\nX {said}: y\r\n\r\n".encode(),
    "header value": lambda said: f"HTTP/1.1 200 OK\r\nX: \0{said}\r\n\r\n".encode(),
    "status line": lambda said: f"{said}\r\n\r\n".encode(),
    "status code": lambda said: f"HTTP/1.1 2{said} OK\r\n\r\n".encode(),
    "version": lambda said: f"HTTP/{said} 200 OK\r\n\r\n".encode(),
    "chunk": lambda said: (
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{said}\r\n".encode()
    ),
    "transfer": lambda said: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {said}\r\n\r\n".encode(),
    "length": lambda said: f"HTTP/1.1 200 OK\r\nContent-Length: {said}\r\n\r\n".encode(),
    "encoding": lambda said: _answer("200 OK", _HTML, said, "Content-Encoding: gzip", f"X: {said}"),
    "redirect": lambda said: _answer("302 Go", _HTML, "", f"Location: https://h/{quote(said)}"),
    "odd redirect": lambda said: _answer("307 Go", _HTML, said, f"Location: //{said}@[/{said}"),
    "content type": lambda said: _answer("200 OK", said, "hi"),
    "charset": lambda said: _answer("500 No", f"text/plain; charset={said}", said),
    "retry": lambda said: _answer("503 No", _HTML, said, f"Retry-After: {said}"),
    "zipped": lambda said: _answer(
        "400 No", _HTML, gzip.compress(said.encode()), "Content-Encoding: gzip"
    ),
    "cut off": lambda said: _answer("200 OK", _HTML, said)[:-9],
}


class Parrot:
    """An AlertSite that keeps what it is sent, shows it, and repeats it in an answer if told so.

    Attributes:
        strikes: what the request line begins with that is answered so.
        fault: how.
    """

    def __init__(self, *live: dict[str, Any]) -> None:
        self.live = {monitor["id"]: dict(monitor) for monitor in live}
        self.strikes, self.fault = "-", _FAULTS["page"]
        self.sent: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=[connection]).start()

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            head = b""
            while (line := stream.readline()) not in {b"", b"\r\n"}:
                head += line
            lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            body = stream.read(int(headers.get("content-length", 0)))
            self.sent.append(head + body)
            connection.sendall(self._said(lines, body))

    def _said(self, lines: list[str], body: bytes) -> bytes:
        if lines[0].startswith(self.strikes):
            tokens = " ".join(line for line in lines[1:] if line.startswith("Authorization"))
            values = json.loads(body) if body else {}
            plain = " ".join(str(value).replace("\n", " ") for value in values.values())
            return self.fault(f"{body.decode()} {tokens} {plain}")
        method, path, _ = lines[0].split()
        number = int(path.rpartition("/")[2]) if path[-1].isdigit() else 0
        match method, path.partition("?")[0]:
            case "POST", "/access-tokens":
                return _json({"access_token": _TOKEN, "expires_in": 3600})
            case "GET", "/monitors":
                return _json({"results": list(self.live.values())})
            case "GET", _ if number in self.live:
                return _json(self.live[number])
            case "PATCH", _ if number in self.live:
                self.live[number] |= json.loads(body)
                return _json({"id": str(number)})
            case "POST", _:
                number = max(self.live) + 1
                kind = path.rpartition("/")[2]
                self.live[number] = json.loads(body) | {"id": number, "type": kind}
                return _json({"id": str(number)})
            case "DELETE", _ if self.live.pop(number, None):
                return _json({})
        return _json({"errors": [{"message": "Record not found"}]}, "404 Not Found")


# runs


class Runner:
    """Runs command lines in this process, and looks at what they print."""

    def __init__(self, search: Search, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self._search = search
        self._env = env
        self._skipped = 0.0

    def __call__(self, *arguments: str, **env: str) -> str:
        out, err = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before, folder = dict(os.environ), os.getcwd()  # noqa: PTH109
        os.environ.update({**self._env, **env})
        os.chdir(self.folder)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.run(arguments, self._clock())
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            gc.unfreeze()
        self._search.runs += 1
        told = f"{' '.join(arguments)} -> {code}"
        self._search.look(f"{told}: stdout", out.getvalue().encode())
        self._search.look(f"{told}: stderr", err.getvalue().encode())
        assert "unexpected error" not in err.getvalue(), (told, err.getvalue())
        return out.getvalue() + err.getvalue()

    def _clock(self) -> Clock:
        def sleep(seconds: float, stop: threading.Event | None) -> None:
            if threading.current_thread().name.startswith("lease"):
                (stop or threading.Event()).wait(30)
            self._skipped += seconds

        return SYSTEM._replace(monotonic=lambda: SYSTEM.monotonic() + self._skipped, sleep=sleep)


def _every_command(run: Runner, parrot: Parrot) -> None:
    """All commands once, on a fleet whose secrets AlertSite shows in other fields, too."""
    run("validate", "--format", "json")
    run("doctor", "--json")
    run("plan", "--show-requests", "--write-secrets", "--adopt")
    run("plan", "--json", "--out", "p.json", "--write-secrets")
    run("show", "p.json", "--show-requests")
    run("show", "p.json", "--json")
    run("apply", "p.json", "--json")
    run("apply", "--auto-approve", "--write-secrets", "--show-requests", "--write-ids")
    for live in parrot.live.values():  # somebody writes secrets where they do not belong
        live |= {
            "note": f"log in with {_PASSWORD}",
            "alert_note": f"{_KEY} {base64.b64encode(_TOKEN.encode()).decode()}",
            "dsn": f"smtp://u:{quote(_PASSWORD)}@h",
            "hints": {_TOKEN: [_TOKEN, json.dumps(_KEY)]},
        }
    run("drift")
    run("drift", "--json")
    run("drift", *_in_files(Subject.DRIFT))
    for live in parrot.live.values():
        live |= {"note": f"log in with {_ENV}", "mode": quote(_FILE), "pairs": {_ENV: [_FILE]}}
    for flags in ([], ["--json"], ["--show-requests", "--out", "q.json"], ["--offline"]):
        run("plan", *flags)
    run("plan", "--show-requests", *_in_files(Subject.PLAN))
    for name in formats(Subject.PLAN):
        run("plan", "--show-requests", "--format", name)
    for asked in ("email-smtp/old", "email-smtp/old.note", "email-smtp/old.dsn", "email-pop/new"):
        run("why", asked)
        run("why", asked, "--json")
    run("pull", "--all", "--auto-approve")
    run("pull", "--all", "--unknown", "write", "--auto-approve")
    run("import", "--into", "staged")
    run("import", "--into", "staged-2", "--unknown", "write", "--no-defaults")
    run("probe")
    run("probe", "--json")
    run("fmt", "--check")
    run("fmt", "--diff")
    run("state", "list")
    run("state", "pull")
    for address in ("email-smtp/old", "email-pop/new"):
        run("state", "show", address)
    run("apply", "--auto-approve", "--json", "--write-secrets", *_in_files(Subject.RESULT))
    run("validate", "--update-baseline", *_in_files(Subject.FINDINGS))
    run("state", "rm", "email-smtp/old")  # a lost record: nothing says that it held a secret
    run("plan", "--json")
    run("plan", "--no-such-flag", _NOT_A_SECRET)
    run("schema", "email-smtp")
    run("explain", "email-smtp.note")


def _in_files(subject: Subject) -> list[str]:
    """The flags that show the subject in every format."""
    return [f"--format={name}={subject.value}.{name}" for name in formats(subject)]


_NOT_A_SECRET = "and nothing else"


def _every_fault(run: Runner, parrot: Parrot) -> None:
    """Every fault at the login, at the list, at a change and at a create."""
    for name, fault in _FAULTS.items():
        parrot.fault = fault
        for strikes in ("POST /access", "GET /monitors", "PATCH ", "POST /monitors"):
            parrot.strikes = strikes
            parrot.live.pop(2, None)
            parrot.live[1]["port"] = 25
            text = run("apply", "--auto-approve", "--write-secrets")
            assert "Apply complete! Resources: 1 added" not in text, (name, strikes)
    parrot.strikes = "-"


def _manifests(workspace: Workspace) -> None:
    login = {"user": "probe", "password": {"secretRef": {"file": "password"}}}
    secret = {"secretRef": {"env": "MAILBOX"}}
    extra = {"login": login, "pop3_password": secret, "hook": secret}
    workspace.describe("email-smtp", "old", 1, port=587, extra=extra)
    workspace.describe("email-pop", "new", name="New", extra=extra)


def _objects(repository: Path) -> Iterator[tuple[str, bytes]]:
    """Every object of a repository, decompressed."""
    listed = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"],
        cwd=repository,
        capture_output=True,
        timeout=60,
        check=True,
    )
    yield f"objects of {repository.name}", listed.stdout


def _bucket() -> Iterator[tuple[str, bytes]]:
    import obstore
    from obstore.store import S3Store

    client = S3Store(BUCKET)
    for batch in obstore.list(client):
        for item in batch:
            yield f"s3 {item['path']}", bytes(obstore.get(client, item["path"]).bytes())


@pytest.fixture
def parrot() -> Iterator[Callable[[], Parrot]]:
    with contextlib.ExitStack() as stack:

        def start() -> Parrot:
            auth = {"user": "probe", "api_key": "of the account", "dsn": "x://y"}
            made = Parrot(monitor("email-smtp", 1, port=25, auth=auth, hook="before"))
            stack.callback(made.close)
            return made

        yield start


@pytest.mark.large
def test_no_secret_leaves_the_process(
    places: Places,
    parrot: Callable[[], Parrot],
    git: Git,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    search, served = Search(), tmp_path / "served"
    remote = served / "fleet.git"
    remote.mkdir(parents=True)
    git(remote, "init", "--quiet", "--bare")
    git(remote, "config", "http.receivepack", "true")
    sent: list[bytes] = []
    with serving_git(served, "ci-user", _GIT) as host:
        for kind in ("file", "git", "s3"):
            place, server = places(kind), parrot()
            workspace = place.machine()
            login = f"ci-user:{quote(_GIT, safe='')}"
            is_git = kind == "git"
            _manifests(workspace)
            (workspace.root / "password").write_text(_FILE + "\n", encoding="utf-8")
            env = {
                **place.env,
                "ALERTSITE_URL": server.url,
                "ALERTSITE_USERNAME": "me@example.com",
                "ALERTSITE_PASSWORD": _PASSWORD,
                "RECONCILER_SECRET_KEY": _KEY,
                "RECONCILER_STATE": f"git:http://{login}@{host}/fleet.git"
                if is_git
                else place.location,
                "RECONCILER_DEBUG": "1",
                "MAILBOX": _ENV,
                "GIT_TRACE2_EVENT": str(tmp_path / f"trace-{kind}"),
                "GIT_TRACE_REDACT": "0",
            }
            run = Runner(search, workspace.root, env)
            _every_command(run, server)
            _manifests(workspace)
            if kind == "file":
                _every_fault(run, server)
            if is_git:
                wrong = f"git:http://me:{quote(_GIT, safe='')}@{host}/none.git"
                run("plan", "--state", wrong)
                run("doctor", "--state", wrong, PATH="/nowhere")
                for name, data in (*_objects(workspace.root), *_objects(remote)):
                    search.look(name, data)
            sent += server.sent
        for name, data in _bucket():
            search.look(name, data)
    for path in sorted(tmp_path.rglob("*")):
        if path.is_file() and path.name != "password":
            search.look(str(path.relative_to(tmp_path)), path.read_bytes())
    assert "\n".join(search.told) == ""
    assert any("git-remote-http" in path.read_text() for path in tmp_path.glob("trace-git"))
    said = b"\n".join(sent)
    for secret in (_TOKEN, _PASSWORD, _ENV, _FILE):
        forms = (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        assert any(form.encode() in said for form in forms)
    spellings = len({name for _, name in _SPELLINGS})
    record_property(
        SEARCHED,
        f"{search.runs} runs, {search.places:,} places and {search.bytes:,} bytes searched for "
        f"{len(_SECRETS)} secrets in {spellings} spellings: none",
    )


_LOCATION = "https://ci:token-99@git.example.com/x.git"
_S3 = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "another-secret",
    "AWS_ALLOW_HTTP": "true",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.mark.parametrize(
    ("command", "settings", "variables"),
    [
        ("plan", "", {"RECONCILER_STATE": _LOCATION}),
        ("plan --json", "", {"RECONCILER_STATE": f"gti:{_LOCATION}"}),
        ("doctor", f"state = '{_LOCATION}'", {}),
        ("watch --once", f"state = '{_LOCATION}'", {}),
        ("plan", "", {"RECONCILER_STATE": f"git-{_LOCATION}"}),
        ("plan", "", {"RECONCILER_STATE": "https://ci:token/token-99@git.example.com/x.git"}),
        ("plan", "", {"ALERTSITE_URL": "https://127.0.0.1:1/api/v3?key=token-99"}),
        ("plan", "", {"ALERTSITE_URL": "http://example.com/api/v3?key=token-99"}),
        ("status", "", {"RECONCILER_STATE": "s3://key:token-99@bucket/key", **_S3}),
        ("doctor", "", {"RECONCILER_STATE": "s3://key:token/token-99@bucket/key", **_S3}),
        (
            "status",
            "",
            {
                "RECONCILER_STATE": "s3://bucket/key",
                "AWS_ENDPOINT_URL": "http://me:token-99@127.0.0.1:3",
                **_S3,
            },
        ),
        ("plan", "", {"RECONCILER_STATE": "git:http://127.0.0.1:3/x.git?private_token=token-99"}),
        ("doctor", "", {"RECONCILER_STATE": "git:http://127.0.0.1:3/x.git?private_token=token-99"}),
        ("plan", "", {"RECONCILER_STATE": "git:origin"}),
        ("doctor", "", {"RECONCILER_STATE": "git:origin"}),
        ("watch --once --ref main", "", {}),
    ],
    ids=str,
)
def test_no_error_shows_the_login_or_the_query_of_a_url(
    command: str,
    settings: str,
    variables: dict[str, str],
    workspace: Workspace,
    sandbox: Sandbox,
    git: Git,
    run: Run,
) -> None:
    workspace.describe("email-smtp", "relay")
    workspace.settings(settings)
    git(workspace.root, "init", "--quiet", "--initial-branch=main")
    origin = "http://127.0.0.1:3/x.git?private_token=token-99"
    git(workspace.root, "remote", "add", "origin", origin)
    debug = {"RECONCILER_DEBUG": "1", "CI": "true"}
    done = run(*command.split(), env={**sandbox().env, **debug, **variables})
    assert done.code in {3, 6, 7, 8}, done.text
    assert "token-99" not in done.text
