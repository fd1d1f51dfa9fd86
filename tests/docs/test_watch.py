"""The page on watching, its unit and its Deployment: their commands exist, their names fit."""

import configparser
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from reconciler.cli import reconciler
from reconciler.cli.signals.watch_metrics import WATCH_METRICS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "watch.md").read_text()
UNIT = DOCS / "deploy" / "reconciler-watch.service"
DEPLOYMENT = DOCS / "deploy" / "kubernetes.yaml"


def watch() -> click.Command:
    with click.Context(reconciler) as whole:
        found = reconciler.get_command(whole, "watch")
    assert found is not None
    return found


def understood(arguments: list[str]) -> dict[str, Any]:
    """The parameters of a command line, which must be one of `reconciler watch`."""
    command = watch()
    with click.Context(command, obj=None) as context:
        command.parse_args(context, arguments)
        return context.params


def section(name: str) -> str:
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_each_metric_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(reconciler_watch_\w+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(metric.name, metric.help) for metric in WATCH_METRICS]


def test_each_option_is_in_the_table() -> None:
    shown = set(re.findall(r"`(--[a-z-]+)`", section("Try it")))
    has = {name for item in watch().params for name in item.opts if name.startswith("--")}
    assert shown <= has
    assert has - shown <= {"--quiet", "--verbose", "--no-color"}


@pytest.mark.parametrize("line", re.findall(r"^\$? ?reconciler watch(.*)$", PAGE, re.MULTILINE))
def test_its_commands_are_understood(line: str) -> None:
    assert understood(shlex.split(line))


def test_the_unit_starts_it_in_a_clone_and_gives_it_time_to_end() -> None:
    unit = configparser.RawConfigParser(strict=True)
    unit.read(UNIT)
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    program, name, *arguments = shlex.split(service["ExecStart"])
    assert (program, name) == ("/usr/local/bin/reconciler", "watch")
    assert understood(arguments)["listen"] == ("127.0.0.1", 8080)
    assert not understood(arguments)["applies"]
    assert service["Restart"] == "always"
    assert service["WorkingDirectory"].startswith(f"/var/lib/{service['StateDirectory']}/")
    assert service["NoNewPrivileges"] == "true"
    for path in (service["WorkingDirectory"], service["EnvironmentFile"]):
        assert path in section("systemd")


def test_the_deployment_has_probes_that_are_served_and_a_service_that_finds_it() -> None:
    deployment, service = YAML(typ="safe").load_all(DEPLOYMENT)
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert deployment["spec"]["replicas"] == 2
    (container,) = pod["spec"]["containers"]
    name, *arguments = container["args"]
    assert name == "watch"
    host, port = understood(arguments)["listen"]
    assert not host.startswith("127.")
    assert port == container["ports"][0]["containerPort"]
    assert not understood(arguments)["applies"]
    paths = [container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]
    assert paths == ["/healthz", "/readyz"]
    assert all(f"| `{path}` |" in section("What it serves") for path in paths)
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["spec"]["volumes"]}
    secret = container["envFrom"][0]["secretRef"]["name"]
    assert f"kubectl create secret generic {secret} " in PAGE
    for variable in ("GIT_URL", "ALERTSITE_USERNAME", "ALERTSITE_PASSWORD"):
        assert f"--from-literal={variable}=" in PAGE


def test_the_deployment_clones_once_however_often_its_pod_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes runs init containers again in a pod whose volumes it keeps."""
    deployment, _ = YAML(typ="safe").load_all(DEPLOYMENT)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (clone,) = deployment["spec"]["template"]["spec"]["initContainers"]
    for name in (
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
    ):
        monkeypatch.setenv(name, "example@example.com")
    for name in ("one", "other"):
        remote = tmp_path / name
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", remote], check=True)
        (remote / "file").write_text(name)
        for command in (("add", "."), ("commit", "--quiet", "--message", name)):
            subprocess.run(["git", "-C", remote, *command], check=True)
    work = tmp_path / "work"
    work.mkdir()
    fleet = work / Path(container["workingDir"]).relative_to(clone["workingDir"])

    def start(name: str) -> None:
        monkeypatch.setenv("GIT_URL", str(tmp_path / name))
        subprocess.run(clone["command"], cwd=work, check=True)

    (work / f"{fleet.name}.new").mkdir()  # of a clone that was killed
    (work / f"{fleet.name}.new" / "file").touch()
    start("one")
    (fleet / "untracked").touch()
    start("other")  # the address, with its token, may be another one
    assert (fleet / "file").read_text() == "one"  # the watcher fetches, and holds local changes
    assert (fleet / "untracked").exists()
    url = subprocess.run(
        ["git", "-C", fleet, "remote", "get-url", "origin"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert url.stdout.strip() == str(tmp_path / "other")
