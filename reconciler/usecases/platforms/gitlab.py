"""GitLab's REST API, version 4, as docs.gitlab.com describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.review import Comment
from reconciler.usecases.platforms.rest import Rest, understanding

if TYPE_CHECKING:
    from reconciler.context import Clock
    from reconciler.usecases.platforms.rest import PlatformContext

_PLAN = "reconciler-plan"
"""The job of the component that keeps the plan."""


class GitLab(Rest):
    """One project, and one merge request of it.

    The token of a job (CI_JOB_TOKEN) cannot write comments, so it is not asked for.
    """

    largest = 1_000_000
    """Characters that a comment may have."""

    def __init__(self, place: PlatformContext, clock: Clock) -> None:
        # Not PRIVATE-TOKEN: an artifact may lie on another host, and httpx takes only this away.
        headers = {"Authorization": f"Bearer {place.token}"}
        super().__init__("GitLab", place, "GITLAB_TOKEN", "CI_API_V4_URL", headers, clock)
        self._project = f"/projects/{place.project}"
        self._request = f"{self._project}/merge_requests/{place.request}"

    @understanding()
    def comments(self) -> tuple[Comment, ...]:
        """Our own comments on the request, the oldest first."""
        author = self._author()
        pages = self.pages(f"{self._request}/notes", sort="asc", order_by="created_at")
        return tuple(
            Comment(item["id"], item["body"])
            for page in pages
            for item in page
            if item["author"]["id"] == author and not item["system"]
        )

    def create(self, body: str) -> None:
        """Writes a comment."""
        self.write("POST", f"{self._request}/notes", {"body": body})

    def update(self, number: int, body: str) -> None:
        """Rewrites a comment."""
        self.write("PUT", f"{self._request}/notes/{number}", {"body": body})

    def delete(self, number: int) -> None:
        """Deletes a comment."""
        self.write("DELETE", f"{self._request}/notes/{number}")

    @understanding()
    def labels(self) -> frozenset[str]:
        """The labels of the request."""
        return frozenset(self.get(self._request)["labels"])

    def relabel(self, gained: tuple[str, ...], lost: tuple[str, ...]) -> None:
        """Adds labels, and takes others away."""
        data = {"add_labels": ",".join(gained), "remove_labels": ",".join(lost)}
        self.write("PUT", self._request, {key: text for key, text in data.items() if text})

    @understanding()
    def issues(self, label: str) -> tuple[Comment, ...]:
        """Our own open issues with the label, the oldest first."""
        pages = self.pages(
            f"{self._project}/issues",
            labels=label,
            state="opened",
            author_id=self._author(),
            sort="asc",
        )
        return tuple(
            Comment(item["iid"], item["description"] or "") for page in pages for item in page
        )

    def open_issue(self, title: str, body: str, label: str) -> None:
        """Opens an issue."""
        data = {"title": title, "description": body, "labels": label}
        self.write("POST", f"{self._project}/issues", data)

    def update_issue(self, number: int, body: str) -> None:
        """Rewrites an issue, which notifies nobody."""
        self.write("PUT", f"{self._project}/issues/{number}", {"description": body})

    def notify(self, number: int, text: str) -> None:
        """Writes below an issue, which notifies whoever follows it."""
        self.write("POST", f"{self._project}/issues/{number}/notes", {"body": text})

    def close_issue(self, number: int) -> None:
        """Closes an issue."""
        self.write("PUT", f"{self._project}/issues/{number}", {"state_event": "close"})

    @understanding()
    def reviewed(self, commit: str, artifact: str) -> bytes | None:
        """The file of that name that the pipeline of the request kept which the commit merged.

        Of a fork nothing is taken: whoever wrote it may not write here.
        """
        path = f"{self._project}/repository/commits/{commit}/merge_requests"
        for page in self.pages(path):
            for request in page:
                is_here = request["source_project_id"] == request["target_project_id"]
                if request["state"] == "merged" and is_here:
                    return self._kept(request["iid"], request["sha"], artifact)
        return None

    def _kept(self, request: int, head: str, artifact: str) -> bytes | None:
        """From the newest pipeline of the request's last commit whose job kept it."""
        path = f"{self._project}/merge_requests/{request}/pipelines"
        for pipeline in self.get(path):  # the newest first
            if pipeline["sha"] != head:
                continue
            for job in self.get(f"{self._project}/pipelines/{pipeline['id']}/jobs"):
                kept = any(item["file_type"] == "archive" for item in job["artifacts"])
                if job["name"] == _PLAN and job["status"] == "success" and kept:
                    where = f"{self._project}/jobs/{job['id']}/artifacts/{artifact}"
                    return self.download(where)
        return None

    def _author(self) -> int:
        """Whose token it is."""
        number: int = self.get("/user")["id"]
        return number
