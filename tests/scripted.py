"""A real HTTP server that answers what a test tells it to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import NamedTuple

from listening import QuietHandler, listening


class Answer(NamedTuple):
    """One answer; `status` 0 closes the connection without one."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


class Seen(NamedTuple):
    """One request."""

    method: str
    path: str
    authorization: str | None
    body: bytes
    headers: dict[str, str]


class Script:
    """Answers for `METHOD path`; the last one of each stays."""

    def __init__(self) -> None:
        self.url = ""
        self.refused: set[str | None] = set()
        self.seen: list[Seen] = []
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        self.on("POST /access-tokens", Answer(body=b'{"access_token": "token-1"}'))

    def on(self, request: str, *answers: Answer) -> None:
        self._answers[request] = list(answers)

    def take(self, seen: Seen) -> Answer:
        with self._lock:
            self.seen.append(seen)
            if seen.authorization in self.refused:
                return Answer(401)
            answers = self._answers[f"{seen.method} {seen.path.partition('?')[0]}"]
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def requests(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]


@contextmanager
def serving(tls: SSLContext | None = None) -> Iterator[Script]:
    script = Script()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            authorization = self.headers.get("Authorization")
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = script.take(Seen(self.command, self.path, authorization, body, headers))
            if answer.status == 0:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PATCH = _respond

    with listening(Handler, tls) as place:
        script.url = f"{'http' if tls is None else 'https'}://{place}"
        yield script
