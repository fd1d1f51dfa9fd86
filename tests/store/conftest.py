"""Real places to keep a state in: files, Git repositories and a Git daemon, an S3 server."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reconciler.state_store import Store, open_store

from listening import QuietHandler, free_ports, listening
from programs import beside_us

Git = Callable[..., str]
PATIENCE = 60.0
BUCKET = "states"
WRITER = ("writer", "writersecret")
READER = ("reader", "readersecret")
_IDENTITIES = [
    {"name": "writer", "actions": ["Admin", "Read", "Write", "List"], "credentials": [WRITER]},
    {"name": "reader", "actions": ["Read", "List"], "credentials": [READER]},
]


class Place(NamedTuple):
    """Somewhere that a state can be kept; every `open` is another user's, in another folder."""

    location: str
    folder: Callable[[], Path]

    def open(self) -> Store:
        return open_store(self.location, folder=self.folder())


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"{process.args!r} does not answer on port {port}")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the user's: no Git configuration, no identity, no cloud account."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "AWS_", "GOOGLE_", "AZURE_")) or name == "EMAIL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def git() -> Git:
    """Calls git in a folder, as a user named Ann, and returns what it prints."""

    def git(folder: Path, *arguments: str) -> str:
        ann = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        command = ["git", *ann, *arguments]
        return subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=PATIENCE
        ).stdout.strip()

    return git


@pytest.fixture
def bare(tmp_path: Path, git: Git) -> Path:
    path = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--template=", "--bare", "--initial-branch=main", str(path))
    return path


@pytest.fixture
def clone(tmp_path: Path, git: Git, bare: Path) -> Callable[[], Path]:
    """Makes one more clone; its `origin` is the bare repository."""

    def clone() -> Path:
        path = Path(tempfile.mkdtemp(prefix="clone-", dir=tmp_path))
        git(path, "init", "--quiet", "--template=", "--initial-branch=main")
        with (path / ".git" / "config").open("a") as config:
            config.write(f'[remote "origin"]\nurl = {bare.as_uri()}\n')
            config.write("fetch = +refs/heads/*:refs/remotes/origin/*\n")
        return path

    return clone


@pytest.fixture(scope="session")
def git_daemon() -> Iterator[tuple[str, Path]]:
    """The URL of a Git daemon that takes pushes, and the folder that it serves."""
    executable = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip())
    with tempfile.TemporaryDirectory(prefix="daemon-") as folder:
        (port,) = free_ports(1)
        command = [
            *(executable / "git-daemon", "--listen=127.0.0.1", f"--port={port}"),
            *("--reuseaddr", "--export-all", "--enable=receive-pack"),
            f"--base-path={folder}",
        ]
        with beside_us(command, stderr=subprocess.DEVNULL) as process:
            wait_for(port, process)
            yield f"git://127.0.0.1:{port}", Path(folder)


@contextmanager
def serving_git(root: Path, user: str, password: str) -> Iterator[str]:
    """Serves the repositories below a folder by HTTP to who knows user and password."""
    backend = Path(
        subprocess.run(
            ["git", "--exec-path"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_USER": user,
            }
            done = subprocess.run(
                [backend / "git-http-backend"],
                env=environment,
                input=body,
                capture_output=True,
                timeout=30,
                check=True,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _respond

    with listening(Handler) as place:
        yield place


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 server with one bucket."""
    # Not pytest's own folder: the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="s3-", dir="/tmp"))
    try:
        with _serving_s3(folder) as (process, port):
            wait_for(port, process)
            _wait_for_bucket(f"http://127.0.0.1:{port}", folder / "log")
            yield f"http://127.0.0.1:{port}"
    finally:
        shutil.rmtree(folder)


@contextmanager
def _serving_s3(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    for identity in _IDENTITIES:
        identity["credentials"] = [
            {"accessKey": key, "secretKey": secret} for key, secret in identity["credentials"]
        ]
    (folder / "identities.json").write_text(json.dumps({"identities": _IDENTITIES}))
    names = ("master", "volume", "filer", "s3")
    ports = free_ports(2 * len(names))
    options = [
        option
        for name, http, grpc in zip(names, ports[::2], ports[1::2], strict=True)
        for option in (f"-{name}.port={http}", f"-{name}.port.grpc={grpc}")
    ]
    command = [
        *(Path(sysconfig.get_path("scripts")) / "weed", "mini", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", *options, f"-bucket={BUCKET}"),
        *(f"-filer.localSocket={folder}/filer", f"-s3.localSocket={folder}/s3"),
        *(f"-s3.config={folder}/identities.json", "-s3.autoCreateBucket=false"),
        *("-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
        *("-master.volumeSizeLimitMB=16", "-volume.max=8"),
    ]
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "TMPDIR": str(folder)}
    try:
        with (
            (folder / "log").open("wb") as log,
            beside_us(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
        ):
            yield process, ports[-2]
    finally:
        for port in ports[1::2]:  # the server puts these there whatever it is told
            for socket in folder.parent.glob(f"seaweedfs-*-grpc-{port}.sock"):
                socket.unlink()


def _wait_for_bucket(endpoint: str, log: Path) -> None:
    import obstore
    from obstore.store import S3Store

    client = S3Store(
        BUCKET,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=WRITER[0],
        secret_access_key=WRITER[1],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            obstore.put(client, "ready", b"")
        except (OSError, obstore.exceptions.BaseError):
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Sets the environment for the S3 server; gives the location of a key in its bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", WRITER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRITER[1])
    return lambda key: f"s3://{BUCKET}/{key}"


@pytest.fixture(params=["file", "git", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of place in turn, empty; the slow Git daemon only where a test asks for it."""
    match request.param:
        case "file":
            return Place(f"file:{tmp_path}/folder/state.json", lambda: tmp_path)
        case "git":
            return Place("git:origin", request.getfixturevalue("clone"))
        case "git-daemon":
            url, folder = request.getfixturevalue("git_daemon")
            name = f"{tmp_path.name}.git"
            request.getfixturevalue("git")(folder, "init", "--quiet", "--template=", "--bare", name)
            return Place(f"git:{url}/{name}", request.getfixturevalue("clone"))
        case _:
            s3 = request.getfixturevalue("s3")
            return Place(s3(f"{tmp_path.name}/state.json"), lambda: tmp_path)


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python programs, given as text, that are ended with the test."""
    with ExitStack() as stack:

        def start(program: str, *arguments: object, **how: Any) -> subprocess.Popen[str]:
            how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, **how}
            command = [sys.executable, "-c", program, *map(str, arguments)]
            process: subprocess.Popen[str] = stack.enter_context(subprocess.Popen(command, **how))
            stack.callback(process.kill)
            # So that a test which waits for one more line fails, and does not hang.
            timer = threading.Timer(PATIENCE, process.kill)
            timer.start()
            stack.callback(timer.cancel)
            return process

        yield start
