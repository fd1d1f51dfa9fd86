"""The life of a repository that `init` made, in the jobs of the shipped GitLab component.

gitlab-ci-local runs them on this machine, against a sandbox of AlertSite and a server that answers
as GitLab does. `make pipelines` installs what that takes; so it is no part of `make test`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox import PASSWORD, USERNAME, Options, running
from reconciler.schema import installed_schemas

import platforms
from platforms import GitLab

_ROOT = Path(__file__).parents[2]
_LOCAL = Path(__file__).parent / "node_modules" / ".bin" / "gitlab-ci-local"
_SECONDS = 120
_SEED = [
    {
        "id": 101 + number,
        "type": "email-smtp",
        "name": f"Relay {number}",
        "billing_plancode": "UBM - A/A",
        "hostname": f"relay-{number}.example.com",
        "port": 25,
        "enabled": True,
    }
    for number in range(3)
]


class Repository:
    """A clone of the repository, and the pipelines that GitLab would run for it."""

    def __init__(self, root: Path, env: Mapping[str, str], gitlab: GitLab) -> None:
        self.root = root
        self.env = dict(env)
        self.gitlab = gitlab

    def run(self, *command: str | Path, code: int = 0) -> str:
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def git(self, *arguments: str | Path) -> str:
        return self.run("git", *arguments).strip()

    def reconciler(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "reconciler", *arguments)

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, old: str, new: str) -> None:
        (path,) = [
            path
            for path in (self.root / "monitors").rglob("*.yaml")
            if old in path.read_text(encoding="utf-8")
        ]
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    def pipeline(self, source: str, *, code: int = 0, **variables: str) -> str:
        """Runs the jobs of one pipeline, stage by stage, as its rules choose them."""
        given = {"CI_PIPELINE_SOURCE": source, **self.gitlab.env, **variables}
        flags = [flag for item in given.items() for flag in ("--variable", "=".join(item))]
        return self.run(
            _LOCAL,
            "--force-shell-executor",
            "--shell-isolation",
            "--ignore-predefined-vars",
            ",".join(given),
            *flags,
            code=code,
        )

    def request(self) -> str:
        return self.pipeline(
            "merge_request_event",
            CI_MERGE_REQUEST_SOURCE_PROJECT_ID=platforms.PROJECT,
            CI_MERGE_REQUEST_PROJECT_ID=platforms.PROJECT,
        )

    def artifact(self, job: str, name: str) -> bytes:
        return (self.root / ".gitlab-ci-local" / "artifacts" / job / name).read_bytes()


@pytest.fixture
def alertsite(tmp_path: Path) -> Iterator[str]:
    schemas = installed_schemas().documents
    with running(Options(schemas=schemas, seed=_SEED, database=tmp_path / "alertsite.db")) as url:
        yield url


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    with platforms.serving(GitLab()) as found:
        yield found


@pytest.fixture
def repository(tmp_path: Path, alertsite: str, gitlab: GitLab) -> Repository:
    """What `init` writes, with the monitors of the account, pushed to a remote."""
    assert _LOCAL.exists(), "make pipelines installs gitlab-ci-local"
    tools = tmp_path / "tools"
    tools.mkdir()
    command = f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n'
    (tools / "reconciler").write_text(command, encoding="utf-8")
    (tools / "reconciler").chmod(0o755)
    env = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "CI": "true",
        "ALERTSITE_URL": alertsite,
        "ALERTSITE_USERNAME": USERNAME,
        "ALERTSITE_PASSWORD": PASSWORD,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Example",
        "GIT_AUTHOR_EMAIL": "example@example.com",
        "GIT_COMMITTER_NAME": "Example",
        "GIT_COMMITTER_EMAIL": "example@example.com",
    }
    root = tmp_path / "fleet"
    root.mkdir()
    made = Repository(root, env, gitlab)
    made.reconciler("init", ".")
    (root / "monitors" / "example-smtp.yaml").unlink()
    settings = (root / "reconciler.toml").read_text(encoding="utf-8")
    budget = "[budget]\nmonitors = 3\npercent = 100\n"
    (root / "reconciler.toml").write_text(f"{settings}\n{budget}", encoding="utf-8")
    made.reconciler("import")
    remote = tmp_path / "remote.git"
    made.git("init", "--quiet", "--bare", "--initial-branch=main", remote)
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("remote", "add", "origin", remote)
    (root / ".git" / "info" / "exclude").write_text(".gitlab-ci-local/\n", encoding="utf-8")
    made.commit("Bring the monitors under Git")
    made.git("push", "--quiet", "--set-upstream", "origin", "main")
    return made


def test_the_life_of_a_repository(repository: Repository, gitlab: GitLab) -> None:
    live = Live(repository)

    # The first pipeline of the default branch has nothing that was reviewed.
    shown = repository.pipeline("push")
    assert "There is no reviewed plan: no request merged by this commit has one." in shown
    assert "Apply complete! Resources: 0 added, 0 changed, 0 destroyed." in shown
    assert "refs/reconciler/state" in repository.git("ls-remote", "origin")

    # A branch is edited: its pipeline keeps the plan and shows it in the request.
    repository.git("checkout", "--quiet", "-b", "other-port")
    repository.edit("relay-0.example.com", "relay-9.example.com")
    repository.commit("Move the first relay")
    shown = repository.request()
    assert "The comment on request 7 is written." in shown
    assert "Label added: monitoring:changes" in shown
    (comment,) = gitlab.comments
    assert "relay-9.example.com" in comment["body"]
    assert sorted(gitlab.labels) == ["monitoring:changes", "monitoring:loss"]
    plan = repository.artifact("reconciler-plan", "plan.json")
    assert json.loads(plan)["summary"]["update"] == 1
    assert json.loads(repository.artifact("reconciler-plan", "gl-terraform.json"))["update"] == 1
    report = repository.artifact("reconciler-validate", "gl-code-quality-report.json")
    assert isinstance(json.loads(report), list)
    assert live.hosts()[101] == "relay-0.example.com"

    # A second look at the same plan leaves the comment alone; another plan updates it.
    assert "The comment on request 7 is as it was." in repository.request()
    assert len(gitlab.comments) == 1

    # The merge applies what was reviewed.
    merge = merged(repository, "other-port")
    gitlab.keep(merge, "plan.json", repository.artifact("reconciler-plan", "plan.json"))
    shown = repository.pipeline("push")
    assert "Reviewed plan written to plan.json." in shown
    assert live.hosts()[101] == "relay-9.example.com"

    # Somebody changes AlertSite by hand: the scheduled pipeline opens an issue, and names it once.
    live.patch(102, port=2525)
    shown = repository.pipeline("schedule")
    assert "The drift issue is written." in shown
    (issue,) = gitlab.issues
    assert "2525" in issue["description"]
    assert "The drift issue is as it was." in repository.pipeline("schedule")

    # It should stay: pull writes it into the manifests, and the next merge has nothing to do.
    repository.git("fetch", "--quiet", "origin", "+refs/reconciler/state:refs/reconciler/state")
    repository.reconciler("pull", "--state", "git:origin", "--auto-approve")
    assert "2525" in repository.git("diff")
    repository.commit("Keep the port that the second relay has")
    repository.git("push", "--quiet")
    shown = repository.pipeline("push")
    assert "0 added, 0 changed, 0 destroyed" in shown
    assert live.ports()[102] == 2525
    assert "The drift issue is closed." in repository.pipeline("schedule")

    merge_out_of_order(repository, live)


def merge_out_of_order(repository: Repository, live: Live) -> None:
    """Two merges whose pipelines end in the wrong order: the older one changes nothing."""
    repository.edit("relay-2.example.com", "relay-7.example.com")
    older = repository.commit("Move the third relay")
    repository.edit("relay-7.example.com", "relay-8.example.com")
    repository.commit("Move it again")
    repository.git("push", "--quiet")
    assert "1 changed" in repository.pipeline("push")
    repository.git("checkout", "--quiet", "-B", "main", older)
    shown = repository.pipeline("push", code=1)
    assert "older" in shown
    assert live.hosts()[103] == "relay-8.example.com"


def test_the_pipeline_of_a_fork_needs_no_login(repository: Repository, gitlab: GitLab) -> None:
    repository.pipeline("push")
    for name in ("ALERTSITE_USERNAME", "ALERTSITE_PASSWORD", "ALERTSITE_URL"):
        del repository.env[name]
    repository.git("checkout", "--quiet", "-b", "from-outside")
    repository.edit("relay-0.example.com", "relay-9.example.com")
    repository.commit("Move the first relay")
    shown = repository.pipeline(
        "merge_request_event",
        CI_MERGE_REQUEST_SOURCE_PROJECT_ID="666",
        CI_MERGE_REQUEST_PROJECT_ID=platforms.PROJECT,
        GITLAB_TOKEN="",
    )
    assert "Warning: cannot write a comment here: GITLAB_TOKEN is not set." in shown
    assert "relay-9.example.com" in shown
    assert gitlab.comments == []


def merged(repository: Repository, branch: str) -> str:
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--message", f"Merge {branch}", branch)
    repository.git("push", "--quiet")
    return repository.git("rev-parse", "HEAD")


class Live:
    """The account, as somebody with a login changes it."""

    def __init__(self, repository: Repository) -> None:
        self._env = repository.env

    def monitors(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "/monitors")["results"]
        return found

    def hosts(self) -> dict[int, str]:
        return {item["id"]: item["hostname"] for item in self.monitors()}

    def ports(self) -> dict[int, int]:
        return {item["id"]: int(item["port"]) for item in self.monitors()}

    def patch(self, number: int, **fields: Any) -> None:
        self._ask("PATCH", f"/monitors/email-smtp/{number}", fields)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        import httpx

        url = self._env["ALERTSITE_URL"]
        login = {"username": USERNAME, "password": PASSWORD}
        token = httpx.post(f"{url}/access-tokens", json=login).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.request(method, f"{url}{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


def test_all_that_the_component_needs_is_said() -> None:
    """Every variable that only people can set is in the page that they follow."""
    component = (_ROOT / "reconciler" / "templates" / "gitlab-component.yml").read_text()
    page = (_ROOT / "docs" / "how-to" / "gitlab.md").read_text()
    for name in ("RECONCILER_PACKAGE", "REPLAN", "ALLOW_LOSS"):
        assert name in component
        assert name in page
