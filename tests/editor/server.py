"""A real yaml-language-server over stdio, asked as an editor asks it."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVER = Path(__file__).parent / "node_modules" / ".bin" / "yaml-language-server"
_SECONDS = 60
"""How long any answer may take: far more than it needs on a busy machine."""


class Server:
    """A language server with one folder, and the settings that an editor has there."""

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self._root = root
        self._settings = settings
        self._messages: Queue[Any] = Queue()
        self._number = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [_SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        folders = [{"uri": self._root.as_uri(), "name": "fleet"}]
        can = {"workspace": {"configuration": True, "workspaceFolders": True}}
        self._ask(
            "initialize",
            {"processId": None, "rootUri": self._root.as_uri(), "capabilities": can}
            | {"workspaceFolders": folders},
        )
        self._send(method="initialized", params={})
        self._send(
            method="workspace/didChangeConfiguration", params={"settings": self._configuration()}
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait(_SECONDS)
        self._listener.join(_SECONDS)

    def problems(self, path: Path, text: str) -> list[str]:
        """What the editor underlines in a file with that text."""
        uri = self._open(path, text)
        while True:
            message = self._next()
            if message.get("method") == "textDocument/publishDiagnostics":
                params = message["params"]
                if params["uri"] == uri:
                    return [
                        f"{item['range']['start']['line'] + 1}: {item['message']}"
                        for item in params["diagnostics"]
                    ]

    def completions(self, path: Path, text: str) -> dict[str, str]:
        """What the editor offers at the end of the text: each label with what it inserts."""
        uri = self._open(path, text)
        lines = text.split("\n")
        place = {"line": len(lines) - 1, "character": len(lines[-1])}
        found = self._ask(
            "textDocument/completion", {"textDocument": {"uri": uri}, "position": place}
        )
        return {item["label"]: item.get("insertText", "") for item in found["items"]}

    def _open(self, path: Path, text: str) -> str:
        """Opens a text under a name of its own: what is known of one file is kept by its name."""
        self._number += 1
        uri = path.with_stem(f"{path.stem}-{self._number}").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send(method="textDocument/didOpen", params={"textDocument": document})
        return uri

    def _configuration(self) -> dict[str, Any]:
        """The settings as sections; VS Code writes each with a dotted key."""
        yaml = {
            key.removeprefix("yaml."): value
            for key, value in self._settings.items()
            if key.startswith("yaml.")
        }
        return {"yaml": {"completion": True, "schemaStore": {"enable": False}} | yaml}

    def _ask(self, method: str, params: Mapping[str, Any]) -> Any:
        self._number += 1
        number = self._number
        self._send(id=number, method=method, params=params)
        while True:
            message = self._next()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def _next(self) -> Any:
        """The next message, once the questions of the server itself are answered."""
        while True:
            message = self._messages.get(timeout=_SECONDS)
            if "id" not in message or "method" not in message:
                return message
            result: Any = None
            if message["method"] == "workspace/configuration":
                sections = self._configuration()
                result = [sections.get(item.get("section")) for item in message["params"]["items"]]
            elif message["method"] == "workspace/workspaceFolders":
                result = [{"uri": self._root.as_uri(), "name": "fleet"}]
            self._send(id=message["id"], result=result)

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _listen(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while header := stdout.readline():
            size = int(header.partition(b":")[2])
            while stdout.readline().strip():
                pass
            self._messages.put(json.loads(stdout.read(size)))
        stdout.close()
