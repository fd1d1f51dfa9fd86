"""GitHub and GitLab on loopback, as far as their documentation describes what reviewing needs.

They keep what is written, give lists page by page with a `Link` to the next, and answer a token
that may not write as the platforms do. A test can put an answer before the usual ones.
"""

import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from listening import QuietHandler, listening

TOKEN = "token-of-the-pipeline"
REPOSITORY = "example/monitors"
PROJECT = "42"


class Reply(NamedTuple):
    status: int
    value: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class Asked(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    body: Any


Kind = TypeVar("Kind", bound="Platform")
Route = tuple[str, str, "Callable[..., Reply]"]


class Platform:
    """What both have in common."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.elsewhere: list[str] = []
        """The headers of what the host was asked that keeps the files, which is another."""
        self.files: dict[str, bytes] = {}
        self.before: list[Reply] = []
        """Given once each, before what would be answered."""
        self.read_only = False
        self.page = 100
        self.comments: list[dict[str, Any]] = []
        self.labels: list[str] = []
        self.issues: list[dict[str, Any]] = []
        self.notes: list[tuple[int, str]] = []
        self.next = 3_000_000_000  # above 2**31, as GitHub's are
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        raise NotImplementedError

    def is_known(self, headers: Any) -> bool:
        raise NotImplementedError

    def number(self) -> int:
        self.next += 1
        return self.next

    def kept_elsewhere(self, file: str) -> Reply:
        place = f"{self.url.replace('127.0.0.1', 'localhost')}/blob/{file}"
        return Reply(302, None, (("Location", place),))

    def writes(self) -> list[str]:
        return [
            f"{item.method} {item.path}"
            for item in self.asked
            if item.method != "GET" and item.path != "/graphql"
        ]

    def answer(self, asked: Asked, headers: Any) -> Reply:
        with self._lock:
            self.asked.append(asked)
            if asked.path.startswith("/blob/"):
                self.elsewhere.append(str(headers))
                return Reply(200, self.files[unquote(asked.path.removeprefix("/blob/"))])
            if self.before:
                return self.before.pop(0)
            if not self.is_known(headers):
                return Reply(401, {"message": "Bad credentials"})
            if self.read_only and asked.method != "GET" and asked.path != "/graphql":
                return Reply(403, {"message": "Resource not accessible by integration"})
            for method, pattern, act in self.routes():
                found = re.fullmatch(pattern, asked.path)
                if found and method == asked.method:
                    return self._paged(asked, act(asked, *map(unquote, found.groups())))
            return Reply(404, {"message": "Not Found"})

    def _paged(self, asked: Asked, reply: Reply) -> Reply:
        if not isinstance(reply.value, list) or asked.method != "GET":
            return reply
        size = min(int(asked.query.get("per_page", "20")), self.page)
        page = int(asked.query.get("page", "1"))
        part = reply.value[(page - 1) * size : page * size]
        if len(reply.value) <= page * size:
            return reply._replace(value=part)
        query = "&".join(
            f"{key}={value}" for key, value in {**asked.query, "page": str(page + 1)}.items()
        )
        link = f'<{self.url}{asked.path}?{query}>; rel="next", <{self.url}/last>; rel="last"'
        return Reply(reply.status, part, (("Link", link),))


class GitHub(Platform):
    viewer = "github-actions[bot]"

    def __init__(self) -> None:
        super().__init__()
        self.pulls: dict[str, list[dict[str, Any]]] = {}
        self.runs: list[dict[str, Any]] = []
        self.artifacts: dict[str, list[dict[str, Any]]] = {}

    @property
    def env(self) -> dict[str, str]:
        return {
            "GITHUB_API_URL": self.url,
            "GITHUB_GRAPHQL_URL": f"{self.url}/graphql",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_TOKEN": TOKEN,
        }

    def is_known(self, headers: Any) -> bool:
        return headers["Authorization"] == f"Bearer {TOKEN}"

    def say(self, body: str, author: str | None = None) -> dict[str, Any]:
        comment = {"id": self.number(), "body": body, "user": {"login": author or self.viewer}}
        self.comments.append(comment)
        return comment

    def keep(self, commit: str, name: str, data: bytes, repository: str = REPOSITORY) -> None:
        """A merged request, whose pipeline kept a file."""
        head = {"sha": f"head-of-{commit}", "repo": {"full_name": repository}}
        self.pulls[commit] = [{"merged_at": "2026-01-01T00:00:00Z", "head": head}]
        run = self.number()
        self.runs.insert(
            0, {"id": run, "head_sha": head["sha"], "head_repository": {"full_name": repository}}
        )
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(name, data)
        number = self.number()
        self.artifacts[str(run)] = [{"id": number, "name": name, "expired": False}]
        self.files[str(number)] = archive.getvalue()

    def routes(self) -> list[Route]:
        here = f"/repos/{REPOSITORY}"
        return [
            ("POST", "/graphql", self._viewer),
            ("GET", f"{here}/issues/7/comments", lambda _: Reply(200, self.comments)),
            ("POST", f"{here}/issues/(.+)/comments", self._comment),
            ("PATCH", f"{here}/issues/comments/(.+)", self._edit),
            ("DELETE", f"{here}/issues/comments/(.+)", self._delete),
            (
                "GET",
                f"{here}/issues/7/labels",
                lambda _: Reply(200, [{"name": name} for name in self.labels]),
            ),
            ("POST", f"{here}/issues/7/labels", self._label),
            ("DELETE", f"{here}/issues/7/labels/(.+)", self._unlabel),
            ("GET", f"{here}/issues", self._listed),
            ("POST", f"{here}/issues", self._open),
            ("PATCH", f"{here}/issues/(.+)", self._change),
            ("GET", f"{here}/commits/(.+)/pulls", self._pulls),
            ("GET", f"{here}/actions/runs", self._runs),
            (
                "GET",
                f"{here}/actions/runs/(.+)/artifacts",
                lambda _, run: Reply(200, {"artifacts": self.artifacts[run]}),
            ),
            (
                "GET",
                f"{here}/actions/artifacts/(.+)/zip",
                lambda _, item: self.kept_elsewhere(item),
            ),
        ]

    def _comment(self, asked: Asked, number: str) -> Reply:
        if len(asked.body["body"]) > 65536:
            return Reply(
                422, {"message": "Validation Failed", "errors": [{"message": "Body is too long"}]}
            )
        if number != "7":
            self.notes.append((int(number), asked.body["body"]))
            return Reply(201, {})
        return Reply(201, self.say(asked.body["body"]))

    def _viewer(self, _: Asked) -> Reply:
        return Reply(200, {"data": {"viewer": {"login": self.viewer}}})

    def _pulls(self, _: Asked, commit: str) -> Reply:
        return Reply(200, self.pulls.get(commit, []))

    def _edit(self, asked: Asked, number: str) -> Reply:
        (comment,) = [item for item in self.comments if str(item["id"]) == number]
        comment["body"] = asked.body["body"]
        return Reply(200, comment)

    def _delete(self, _: Asked, number: str) -> Reply:
        self.comments = [item for item in self.comments if str(item["id"]) != number]
        return Reply(204)

    def _label(self, asked: Asked) -> Reply:
        self.labels += asked.body["labels"]
        return Reply(200, [])

    def _unlabel(self, _: Asked, label: str) -> Reply:
        self.labels.remove(label)
        return Reply(200, [])

    def _listed(self, asked: Asked) -> Reply:
        assert asked.query["labels"] == "monitoring:drift"
        return Reply(200, [item for item in self.issues if item["state"] == "open"])

    def _open(self, asked: Asked) -> Reply:
        number = self.number()
        user = {"login": self.viewer}
        self.issues.append({**asked.body, "number": number, "state": "open", "user": user})
        return Reply(201, self.issues[-1])

    def _change(self, asked: Asked, number: str) -> Reply:
        (issue,) = [item for item in self.issues if str(item["number"]) == number]
        issue.update(asked.body)
        return Reply(200, issue)

    def _runs(self, asked: Asked) -> Reply:
        found = [run for run in self.runs if run["head_sha"] == asked.query["head_sha"]]
        return Reply(200, {"workflow_runs": found})


class GitLab(Platform):
    viewer = 99

    def __init__(self) -> None:
        super().__init__()
        self.merged: dict[str, list[dict[str, Any]]] = {}
        self.pipelines: list[dict[str, Any]] = []
        self.jobs: dict[str, list[dict[str, Any]]] = {}

    @property
    def env(self) -> dict[str, str]:
        return {
            "CI_API_V4_URL": self.url,
            "CI_PROJECT_ID": PROJECT,
            "CI_MERGE_REQUEST_IID": "7",
            "GITLAB_TOKEN": TOKEN,
        }

    def is_known(self, headers: Any) -> bool:
        return headers["Authorization"] == f"Bearer {TOKEN}"

    def say(self, body: str, author: int | None = None) -> dict[str, Any]:
        author = self.viewer if author is None else author
        note = {"id": self.number(), "body": body, "author": {"id": author}, "system": False}
        self.comments.append(note)
        return note

    def keep(self, commit: str, name: str, data: bytes, source: str = PROJECT) -> None:
        """A merged request, whose pipeline kept a file."""
        head = f"head-of-{commit}"
        self.merged[commit] = [
            {
                "iid": 7,
                "sha": head,
                "state": "merged",
                "source_project_id": int(source),
                "target_project_id": int(PROJECT),
            }
        ]
        pipeline, job = self.number(), self.number()
        self.pipelines.insert(0, {"id": pipeline, "sha": head})
        kept = [{"file_type": "archive"}]
        self.jobs[str(pipeline)] = [
            {"id": job, "name": "reconciler-plan", "status": "success", "artifacts": kept}
        ]
        self.files[f"{job}/{name}"] = data

    def routes(self) -> list[Route]:
        here = f"/projects/{PROJECT}"
        return [
            ("GET", "/user", lambda _: Reply(200, {"id": self.viewer})),
            ("GET", f"{here}/merge_requests/7/notes", lambda _: Reply(200, self.comments)),
            ("POST", f"{here}/merge_requests/7/notes", self._note),
            ("PUT", f"{here}/merge_requests/7/notes/(.+)", self._edit),
            ("DELETE", f"{here}/merge_requests/7/notes/(.+)", self._delete),
            ("GET", f"{here}/merge_requests/7", lambda _: Reply(200, {"labels": self.labels})),
            ("PUT", f"{here}/merge_requests/7", self._relabel),
            ("GET", f"{here}/issues", self._listed),
            ("POST", f"{here}/issues", self._open),
            ("PUT", f"{here}/issues/(.+)", self._change),
            ("POST", f"{here}/issues/(.+)/notes", self._below),
            (
                "GET",
                f"{here}/repository/commits/(.+)/merge_requests",
                lambda _, sha: Reply(200, self.merged.get(sha, [])),
            ),
            ("GET", f"{here}/merge_requests/7/pipelines", lambda _: Reply(200, self.pipelines)),
            ("GET", f"{here}/pipelines/(.+)/jobs", lambda _, item: Reply(200, self.jobs[item])),
            (
                "GET",
                f"{here}/jobs/(.+)/artifacts/(.+)",
                lambda _, job, name: self.kept_elsewhere(f"{job}/{name}"),
            ),
        ]

    def _note(self, asked: Asked) -> Reply:
        return Reply(201, self.say(asked.body["body"]))

    def _edit(self, asked: Asked, number: str) -> Reply:
        (note,) = [item for item in self.comments if str(item["id"]) == number]
        note["body"] = asked.body["body"]
        return Reply(200, note)

    def _delete(self, _: Asked, number: str) -> Reply:
        self.comments = [item for item in self.comments if str(item["id"]) != number]
        return Reply(204)

    def _relabel(self, asked: Asked) -> Reply:
        lost = asked.body.get("remove_labels", "").split(",")
        gained = filter(None, asked.body.get("add_labels", "").split(","))
        self.labels = [*(label for label in self.labels if label not in lost), *gained]
        return Reply(200, {"labels": self.labels})

    def _listed(self, asked: Asked) -> Reply:
        assert asked.query["labels"] == "monitoring:drift"
        assert asked.query["author_id"] == str(self.viewer)
        return Reply(200, [item for item in self.issues if item["state"] == "opened"])

    def _open(self, asked: Asked) -> Reply:
        self.issues.append({**asked.body, "iid": self.number(), "state": "opened"})
        return Reply(201, self.issues[-1])

    def _change(self, asked: Asked, number: str) -> Reply:
        (issue,) = [item for item in self.issues if str(item["iid"]) == number]
        issue.update(asked.body)
        if issue.pop("state_event", "") == "close":
            issue["state"] = "closed"
        return Reply(200, issue)

    def _below(self, asked: Asked, number: str) -> Reply:
        self.notes.append((int(number), asked.body["body"]))
        return Reply(201, {})


@contextmanager
def serving(platform: Kind) -> Iterator[Kind]:
    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            asked = Asked(self.command, parts.path, query, json.loads(data) if data else None)
            reply = platform.answer(asked, self.headers)
            value = reply.value
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            if value is None:
                body = b""
            self.send_response(reply.status)
            for name, text in reply.headers:
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _respond

    with listening(Handler) as place:
        platform.url = f"http://{place}"
        yield platform
