"""The command `reconciler` for a shell, with what it imports imported before.

The pages have hundreds of commands, and a start is most of what each takes. So one process imports
everything once and forks for each command; what a shell finds on its PATH is a script that hands
its arguments, folder, environment and files to that process and waits for the exit code.
"""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import socket
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING

import reconciler
from reconciler.cli import run

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("deepdiff", "httpx", "jinja2", "jsonschema", "jsonschema_rs", "starlette.applications")
HEAVY = (*HEAVY, "tenacity", "uvicorn", "uvicorn.protocols.http.h11_impl", "ruamel.yaml")
LARGEST = 1 << 20
CLIENT = """\
#!{python} -ISE
import json, os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect({path!r})
asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(client, [len(asked).to_bytes(4, "big")], [0, 1, 2])
client.sendall(asked)
sys.exit(int(client.recv(16) or b"1"))
"""


def write_command(folder: Path, path: Path) -> None:
    """Writes the script `reconciler`, which asks the process that listens at a path."""
    script = folder / "reconciler"
    script.write_text(CLIENT.format(python=sys.executable, path=str(path)), encoding="utf-8")
    script.chmod(0o755)


def serve(path: str) -> None:
    """Runs commands, each in a process of its own, until standard input ends."""
    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for name in HEAVY:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if os.fork() == 0:  # ends the server with the test that started it, however that ends
        sys.stdin.read()
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(0)
    while True:
        client, _ = server.accept()
        if os.fork() == 0:
            server.close()
            _answer(client)
        client.close()


def _answer(client: socket.socket) -> None:
    """Runs one command and leaves."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(client, 4, 3)
    asked = b""
    while len(asked) < int.from_bytes(size, "big"):
        asked += client.recv(LARGEST)
    arguments, folder, environment = json.loads(asked)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False)
        for number, mode in enumerate(("r", "w", "w"))
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    is_over = threading.Event()
    threading.Thread(target=_end_with, args=[client, is_over], daemon=True).start()
    code = run(arguments[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    is_over.set()
    client.sendall(str(int(code)).encode())
    os._exit(0)


def _end_with(client: socket.socket, is_over: threading.Event) -> None:
    """Ends this process when the command that a shell sees has been killed."""
    if not client.recv(1) and not is_over.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(sys.argv[1])
