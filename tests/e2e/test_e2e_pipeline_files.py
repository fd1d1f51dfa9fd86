"""The pipeline files that are shipped: linted as their platforms would read them, or run."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest
from e2e.conftest import Account, Relays, Run, Workspace
from ruamel.yaml import YAML

from reconciler.errors import ExitCode

from programs import TOOLS, check

_ROOT = Path(__file__).parents[2]
_TEMPLATES = _ROOT / "reconciler" / "templates"
_FLEET = _ROOT / "docs" / "beyond"
_PINNED = re.compile(r"uses: (\S+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+")


def _read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


@pytest.fixture
def repository(run: Run, tmp_path: Path) -> Path:
    """What `init` writes, under Git."""
    root = tmp_path / "fleet"
    assert run("init", str(root)).code == 0
    subprocess.run(["git", "init", "--quiet", root], check=True)
    return root


def test_actionlint_finds_nothing(repository: Path) -> None:
    check(repository, TOOLS / "actionlint", "-shellcheck=", "-pyflakes=")


def test_zizmor_finds_nothing(repository: Path) -> None:
    check(repository, TOOLS / "zizmor", "--offline", "--no-progress", ".")


def test_actions_are_pinned_by_hash(repository: Path) -> None:
    texts = [path.read_text() for path in (repository / ".github").rglob("*.yml")]
    assert len(texts) == 4
    uses = [line for text in texts for line in text.splitlines() if "uses: " in line]
    others = [line for line in uses if "uses: ./" not in line]
    pins = {found.groups() for line in others if (found := _PINNED.search(line))}
    assert others
    assert all(map(_PINNED.search, others))
    assert len(pins) == len({name for name, _ in pins})  # one version of each


def test_only_the_merge_may_write_and_none_of_its_runs_is_cancelled(repository: Path) -> None:
    workflows = {
        path.stem: _read(path) for path in (repository / ".github" / "workflows").glob("*.yml")
    }
    jobs = {name: job for name, workflow in workflows.items() for job in workflow["jobs"].values()}
    writers = [name for name, job in jobs.items() if job["permissions"]["contents"] == "write"]
    assert writers == ["merge"]
    assert all(workflow["permissions"] == {} for workflow in workflows.values())
    assert all("concurrency" not in workflow for workflow in workflows.values())
    assert [name for name, job in jobs.items() if "concurrency" in job] == ["merge"]
    assert jobs["merge"]["concurrency"] == {"group": "alertsite", "queue": "max"}
    assert jobs["merge"]["environment"] == "alertsite"
    assert "pull_request_target" not in str(workflows)


def test_no_job_of_a_fork_is_given_the_login(repository: Path) -> None:
    workflow = _read(repository / ".github" / "workflows" / "review.yml")
    (job,) = workflow["jobs"].values()
    with_login = [step for step in job["steps"] if "ALERTSITE" in str(step)]
    assert [step["if"] for step in with_login] == ["env.HAS_LOGIN == 'true'"]
    assert "head.repo.full_name == github.repository" in job["env"]["HAS_LOGIN"]


def test_the_steps_of_the_workflows_are_commands_that_exist(repository: Path, run: Run) -> None:
    for path in (repository / ".github" / "workflows").glob("*.yml"):
        for command, options in re.findall(r"reconciler ([a-z]+) ([^\n|]*)", path.read_text()):
            shown = run(command, "--help")
            assert shown.code == 0, command
            for option in re.findall(r"--[a-z-]+", options):
                assert option in shown.out, (command, option)


class Shell(NamedTuple):
    """Runs scripts of jobs in the workspace, as a platform does, against an account."""

    root: Path
    env: dict[str, str]

    def __call__(self, script: str, **variables: str) -> str:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.root,
            env={**self.env, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


class Job(NamedTuple):
    account: Account
    shell: Shell


@pytest.fixture
def job(relays: Relays, workspace: Workspace, base_env: dict[str, str], tools: Path) -> Job:
    """Three changed monitors, and a shell that has the tool and the login."""
    account = relays(3)
    env = {**base_env, **account.env, "CI": "true", "GITHUB_REPOSITORY": "example/monitors"}
    env |= {"PATH": f"{tools}{os.pathsep}{env['PATH']}", "GITHUB_REF": "refs/pull/7/merge"}
    return Job(account, Shell(workspace.root, env))


def _github(name: str) -> dict[str, str]:
    """The scripts of a workflow by the names of their steps, in order."""
    (job,) = _read(_TEMPLATES / f"github-{name}.yml")["jobs"].values()
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


def _gitlab(name: str) -> str:
    """The script of a job of the component, with its defaults."""
    _, jobs = YAML(typ="safe", pure=True).load_all(_TEMPLATES / "gitlab-component.yml")
    return "\n".join(jobs[f"reconciler-{name}"]["script"]).replace(
        "$[[ inputs.manifests ]]", "monitors"
    )


def _any_server() -> str:
    """What `docs/how-to/jenkins.md` writes into `pipeline.sh`."""
    text = (_ROOT / "docs" / "how-to" / "jenkins.md").read_text(encoding="utf-8")
    return text.partition("cat > pipeline.sh <<'END'\n")[2].partition("END\n")[0]


def test_the_steps_of_a_review_and_a_merge(job: Job) -> None:
    """Those that are the tool's, as the shell of GitHub runs them."""
    review, merge, drift = map(_github, ("review", "merge", "drift"))
    for name in ("Check the manifests", "Plan"):
        job.shell(review[name])
    comment = job.shell(review["Comment"])
    assert "cannot write a comment here: GITHUB_TOKEN is not set" in comment
    assert "relay-01" in comment
    assert "3 changed" in job.shell(merge["Apply"])
    job.account.edit("email-smtp", 2, port=2525)
    assert "Drift: 1 of 3" in job.shell(drift["Check for drift"])
    assert "cannot write an issue here" in job.shell(drift["Update the issue"])


_WRITTEN = ("plan.json", "plan.md", "plan.html")
"""What a review writes, and the jobs after it read."""


def _commit(shell: Shell) -> None:
    """Somebody has such files in the repository."""
    for name in _WRITTEN:
        (shell.root / name).write_text("committed", encoding="utf-8")


def test_a_merge_that_plans_again_does_not_apply_a_committed_plan(job: Job) -> None:
    steps = _github("merge")
    del steps["Get the reviewed plan"]  # as with the input `replan`
    *_, install, get, apply = _read(_TEMPLATES / "github-merge.yml")["jobs"]["apply"]["steps"]
    assert (get["if"], apply.get("if")) == ("${{ !inputs.replan }}", None)
    assert "if" not in install
    scripts = {
        "github": "\n".join(steps.values()),
        "gitlab": _gitlab("apply"),
        "any": f"set -- merge\n{_any_server()}",
    }
    for changed, script in zip((3, 0, 0), scripts.values(), strict=True):
        _commit(job.shell)
        assert f"{changed} changed" in job.shell(script, REPLAN="yes")


_LOST = "3 of 3 monitors would lose monitoring"


@pytest.mark.parametrize("platform", ["github", "gitlab", "any"])
def test_a_person_can_allow_a_merge_to_lose_monitoring(job: Job, platform: str) -> None:
    scripts = {
        "github": "\n".join(
            _github("merge")[name] for name in ("Remove a committed plan", "Apply")
        ),
        "gitlab": _gitlab("apply").replace("reconciler reviewed", "true"),
        "any": f"set -- merge\n{_any_server()}",
    }
    (job.shell.root / "reconciler.toml").write_text("[budget]\nmonitors = 1\n", encoding="utf-8")

    def merge(**variables: str) -> str:
        script = f"(\n{scripts[platform]}\n) || echo exit $?"
        return job.shell(script, CI_PIPELINE_SOURCE="web", **variables)

    for variables in ({}, {"ALLOW_LOSS": ""}, {"ALLOW_LOSS": "2"}):
        shown = merge(**variables)
        assert _LOST in shown
        assert "exit 5" in shown
    for text in ("3 --prune", "-3", "3;touch x", "$(touch x)", "`touch x`", "3\ntouch x", "*"):
        assert "exit 64" in merge(ALLOW_LOSS=text)
    assert not (job.shell.root / "x").exists()
    assert "3 changed" in merge(ALLOW_LOSS="3")


def test_only_a_run_that_a_person_starts_may_lose_more(job: Job) -> None:
    merge = _read(_TEMPLATES / "github-merge.yml")
    (apply,) = (it for it in merge["jobs"]["apply"]["steps"] if it.get("name") == "Apply")
    assert apply["env"]["ALLOW_LOSS"] == "${{ inputs.allow-loss }}"
    assert "allow-loss" in merge["on"]["workflow_dispatch"]["inputs"]
    (job.shell.root / "reconciler.toml").write_text("[budget]\nmonitors = 1\n", encoding="utf-8")
    script = f"(\n{_gitlab('apply')}\n) || echo exit $?"
    shown = job.shell(script, CI_PIPELINE_SOURCE="push", ALLOW_LOSS="3", REPLAN="yes")
    assert _LOST in shown


def test_a_review_that_writes_no_plan_leaves_no_committed_one(job: Job) -> None:
    """As after a finding, with refusals, or in the pipeline of a fork."""
    first, *_ = _github("review").values()
    fork = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1", "CI_MERGE_REQUEST_PROJECT_ID": "2"}
    invalid = "reconciler() { return 3; }\nset +e"
    for script, variables in (
        (first, {}),
        (f"(\n{invalid}\n{_gitlab('plan')}\n) || [ $? -eq 3 ]", fork),
        (f"(\n{invalid}\nset -- review\n{_any_server()}\n) || [ $? -eq 3 ]", {}),
    ):
        _commit(job.shell)
        job.shell(script, **variables)
        assert [name for name in _WRITTEN if (job.shell.root / name).exists()] == []


def test_git_ignores_what_a_review_writes(repository: Path) -> None:
    done = subprocess.run(
        ["git", "check-ignore", *_WRITTEN],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [*_WRITTEN]


def test_a_fleet_begins_with_no_committed_results() -> None:
    apply = _read(_FLEET / "github-fleet.yml")["jobs"]["apply"]["steps"]
    (script,) = (step["run"] for step in apply if step.get("name") == "Apply")
    for text in (script, _read(_FLEET / "gitlab-fleet.yml")["fleet-apply"]["script"][0]):
        assert text.startswith("rm -rf results")


def test_the_workflow_of_a_fleet_is_as_good_as_the_others(repository: Path) -> None:
    text = (_FLEET / "github-fleet.yml").read_text(encoding="utf-8")
    (repository / ".github" / "workflows" / "fleet.yml").write_text(text, encoding="utf-8")
    check(repository, TOOLS / "actionlint", "-shellcheck=", "-pyflakes=")
    check(repository, TOOLS / "zizmor", "--offline", "--no-progress", ".")
    uses = [line for line in text.splitlines() if "uses: " in line and "uses: ./" not in line]
    assert uses
    assert all(map(_PINNED.search, uses))
    apply = _read(_FLEET / "github-fleet.yml")["jobs"]["apply"]
    assert apply["strategy"]["matrix"]["shard"] == list(range(1, apply["env"]["SHARDS"] + 1))


def test_the_pipeline_of_a_fleet_is_one_of_gitlab(repository: Path) -> None:
    schema = ("--builtin-schema", "vendor.gitlab-ci")
    check(repository, TOOLS / "check-jsonschema", *schema, str(_FLEET / "gitlab-fleet.yml"))
    (matrix,) = _read(_FLEET / "gitlab-fleet.yml")["fleet-apply"]["parallel"]["matrix"]
    assert matrix["SHARD"] == [f"{number}/4" for number in range(1, 5)]


def test_the_job_of_a_fleet_is_one_of_kubernetes() -> None:
    job = _read(_FLEET / "kubernetes-fleet.yaml")
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert f"--shard=/{spec['completions']}" in container["args"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # or no policy counts
    *_, ended = spec["podFailurePolicy"]["rules"]
    again = {ExitCode.OK, ExitCode.BUG, ExitCode.CHANGES, ExitCode.INTERRUPTED}
    assert ended["action"] == "FailIndex"
    assert ended["onExitCodes"]["containerName"] == container["name"]
    assert ended["onExitCodes"]["values"] == [code.value for code in ExitCode if code not in again]


@pytest.mark.parametrize("name", ["github-fleet.yml", "gitlab-fleet.yml", "kubernetes-fleet.yaml"])
def test_the_steps_of_a_fleet_are_commands_that_exist(run: Run, name: str) -> None:
    text = (_FLEET / name).read_text(encoding="utf-8")
    options = set(re.findall(r"(?<=\s)--[a-z-]+|(?<=- )--[a-z-]+", text))
    known = run("apply", "--help").out + run("merge", "--help").out
    assert options >= {"--all-accounts", "--shard", "--results"}
    assert all(option in known for option in options)


def test_a_new_repository_has_the_hooks() -> None:
    shipped = _read(_ROOT / ".pre-commit-hooks.yaml")
    (template,) = _read(_TEMPLATES / "pre-commit-config.yaml")["repos"]
    keys = ("id", "name", "entry", "files", "pass_filenames")
    found, wanted = (
        [[it.get(key) for key in keys] for it in hooks] for hooks in (template["hooks"], shipped)
    )
    assert found == wanted


def test_the_hooks_run_in_a_repository(
    tmp_path: Path, base_env: dict[str, str], workspace: Workspace, tools: Path
) -> None:
    """With `language: system`, so that pre-commit makes no environment; all else is as shipped."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / ".pre-commit-hooks.yaml").write_bytes((_ROOT / ".pre-commit-hooks.yaml").read_bytes())
    env = {**base_env, "PATH": f"{tools}{os.pathsep}{base_env['PATH']}"}
    env |= {
        f"GIT_{role}_{key}": "example@example.com"
        for role in ("AUTHOR", "COMMITTER")
        for key in ("NAME", "EMAIL")
    }

    def call(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    for folder in (hooks, workspace.root):
        assert call(folder, "git", "init", "--quiet").returncode == 0
    call(hooks, "git", "add", ".")
    assert call(hooks, "git", "commit", "--quiet", "-m", "Add hooks").returncode == 0
    head = call(hooks, "git", "rev-parse", "HEAD").stdout.strip()
    text = (
        f"repos:\n- repo: {hooks}\n  rev: {head}\n  hooks:\n"
        "  - {id: reconciler-validate, language: system}\n"
        "  - {id: reconciler-fmt, language: system}\n"
    )
    (workspace.root / ".pre-commit-config.yaml").write_text(text, encoding="utf-8")
    workspace.describe("email-smtp", "relay", port=587)
    call(workspace.root, "git", "add", ".")
    run_hooks = (TOOLS / "pre-commit", "run", "--all-files")
    done = call(workspace.root, *run_hooks)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 2

    workspace.replace("relay.yaml", "port: 587", "prot: 587")
    done = call(workspace.root, *run_hooks)
    assert done.returncode == 1
    assert "did you mean port?" in done.stdout
