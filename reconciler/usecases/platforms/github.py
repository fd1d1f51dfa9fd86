"""GitHub's REST API, as docs.github.com describes version 2022-11-28."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

from reconciler.context import MIB
from reconciler.core.review import Comment
from reconciler.errors import NotAllowedError, PlatformError
from reconciler.usecases.platforms.rest import Rest, understanding

if TYPE_CHECKING:
    from reconciler.context import Clock
    from reconciler.usecases.platforms.rest import PlatformContext

_LARGEST_PLAN = 64 * MIB


_URLS = "GITHUB_API_URL and GITHUB_GRAPHQL_URL"


class GitHub(Rest):
    """One repository, and one pull request of it."""

    largest = 65536
    """Characters that a comment may have."""

    def __init__(self, place: PlatformContext, clock: Clock) -> None:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {place.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        super().__init__("GitHub", place, "GITHUB_TOKEN", _URLS, headers, clock)
        self._repository = f"/repos/{place.project}"
        self._request = f"{self._repository}/issues/{place.request}"
        self._place = place

    @understanding()
    def comments(self) -> tuple[Comment, ...]:
        """Our own comments on the request, the oldest first."""
        author = self._author()
        return tuple(
            Comment(item["id"], item["body"] or "")
            for page in self.pages(f"{self._request}/comments")
            for item in page
            if (item["user"] or {}).get("login") == author
        )

    def create(self, body: str) -> None:
        """Writes a comment."""
        self.write("POST", f"{self._request}/comments", {"body": body})

    def update(self, number: int, body: str) -> None:
        """Rewrites a comment."""
        path = f"{self._repository}/issues/comments/{number}"
        self.write("PATCH", path, {"body": body})

    def delete(self, number: int) -> None:
        """Deletes a comment."""
        self.write("DELETE", f"{self._repository}/issues/comments/{number}")

    @understanding()
    def labels(self) -> frozenset[str]:
        """The labels of the request."""
        pages = self.pages(f"{self._request}/labels")
        return frozenset(item["name"] for page in pages for item in page)

    def relabel(self, gained: tuple[str, ...], lost: tuple[str, ...]) -> None:
        """Adds labels, and takes others away."""
        if gained:
            self.write("POST", f"{self._request}/labels", {"labels": gained})
        for label in lost:
            self.write("DELETE", f"{self._request}/labels/{label}")

    @understanding()
    def issues(self, label: str) -> tuple[Comment, ...]:
        """Our own open issues with the label, the oldest first."""
        author = self._author()
        pages = self.pages(
            f"{self._repository}/issues", labels=label, state="open", direction="asc"
        )
        return tuple(
            Comment(item["number"], item["body"] or "")
            for page in pages
            for item in page
            if (item["user"] or {}).get("login") == author and "pull_request" not in item
        )

    def open_issue(self, title: str, body: str, label: str) -> None:
        """Opens an issue."""
        data = {"title": title, "body": body, "labels": [label]}
        self.write("POST", f"{self._repository}/issues", data)

    def update_issue(self, number: int, body: str) -> None:
        """Rewrites an issue, which notifies nobody."""
        self.write("PATCH", f"{self._repository}/issues/{number}", {"body": body})

    def notify(self, number: int, text: str) -> None:
        """Writes below an issue, which notifies whoever follows it."""
        self.write("POST", f"{self._repository}/issues/{number}/comments", {"body": text})

    def close_issue(self, number: int) -> None:
        """Closes an issue."""
        path = f"{self._repository}/issues/{number}"
        self.write("PATCH", path, {"state": "closed", "state_reason": "completed"})

    @understanding()
    def reviewed(self, commit: str, artifact: str) -> bytes | None:
        """The file of that name that the pipeline of the request kept which the commit merged.

        Of a fork nothing is taken: whoever wrote it may not write here.
        """
        for page in self.pages(f"{self._repository}/commits/{commit}/pulls"):
            for pull in page:
                if pull["merged_at"] and self._is_here(pull["head"]["repo"]):
                    return self._kept(pull["head"]["sha"], artifact)
        return None

    def _kept(self, head: str, artifact: str) -> bytes | None:
        path = f"{self._repository}/actions/runs"
        found = self.get(path, head_sha=head, event="pull_request")
        for run in found["workflow_runs"]:  # the newest first
            if not self._is_here(run["head_repository"]):
                continue
            path = f"{self._repository}/actions/runs/{run['id']}/artifacts"
            for item in self.get(path, name=artifact)["artifacts"]:
                if not item["expired"]:
                    path = f"{self._repository}/actions/artifacts/{item['id']}/zip"
                    return _unpacked(self.download(path), artifact)
        return None

    def _is_here(self, repository: dict[str, object] | None) -> bool:
        return repository is not None and repository["full_name"] == self._place.project

    def _author(self) -> str:
        """Who the token speaks for; REST does not tell that to the token of a workflow."""
        query = {"query": "query { viewer { login } }"}
        data = self.read_by_post(self._place.graphql, query)
        viewer = (data.get("data") or {}).get("viewer")
        if not viewer:
            raise NotAllowedError("GitHub does not return the user of GITHUB_TOKEN", "")
        login: str = viewer["login"]
        return login


def _unpacked(data: bytes, name: str) -> bytes:
    """The one file in an archive.

    Raises:
        PlatformError: it is no archive, holds something else, or is too large.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            (item,) = archive.infolist()
            if item.file_size > _LARGEST_PLAN:
                raise PlatformError(f"the artifact {name} is too large", "")
            return archive.read(item)
    except (BadZipFile, ValueError, RuntimeError, EOFError, zlib.error) as error:
        raise PlatformError(f"the artifact {name} is not an archive with one file", "") from error
