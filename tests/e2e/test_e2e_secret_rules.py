"""Which secrets a manifest may name, and where they may go."""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from e2e.conftest import Done, Run, Sandbox, Workspace, manifest, monitor

_APPLY = ("apply", "--auto-approve", "--write-secrets")
_OWN = {"RECONCILER_SECRET_KEY": "own-key-4711", "GITHUB_TOKEN": "ghs-4711", "AWS_X": "aws-4711"}
_SEARCHED = ("own-key-4711", "ghs-4711", "aws-4711", "demo")


def _ref(scheme: str, name: str) -> dict[str, Any]:
    return {"secretRef": {scheme: name}}


@pytest.fixture
def naming(workspace: Workspace, sandbox: Sandbox, run: Run) -> Callable[..., tuple[Done, Any]]:
    """Validates and applies a manifest with this reference; returns what came of it."""
    account = sandbox(monitor("email-smtp", 1))

    def apply(ref: dict[str, Any], field: str = "", rules: str = "") -> tuple[Done, Any]:
        text = manifest("email-smtp", "relay", 1, extra={"a_password": ref})
        if field:
            text = manifest("email-smtp", "relay", 1, **{field: ref})
        workspace.write("relay.yaml", text)
        workspace.settings(rules)
        env = _OWN | {"POP3_PASSWORD": "hunter2", "OTHER": "hunter3"}
        validated = run("validate", env={"CI": "1"})
        began = time.monotonic()
        done = account.run(*_APPLY, env=env)
        assert time.monotonic() - began < 20
        assert account.run("state", "show", "email-smtp/relay", env=env).code in {0, 3, 8, 64}
        assert not list(workspace.root.glob(".reconciler/*.lock"))
        bodies = [body for _, body in account.patches()]
        for secret in _SEARCHED:
            assert secret not in str([*bodies, done.text])
        if "refused-secret" in done.err or "shown-secret" in done.err:
            assert done.code == 3
            if "leads to" not in done.err:  # what a file leads to, its machine knows
                assert validated.code == 3
            assert bodies == []
        return done, bodies

    return apply


@pytest.mark.parametrize(
    "name",
    [
        "ALERTSITE_PASSWORD",
        "ALERTSITE_USERNAME",
        "RECONCILER_SECRET_KEY",
        "GITHUB_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "CI_JOB_TOKEN",
        "AWS_X",
        "SSH_AUTH_SOCK",
    ],
)
def test_credentials_of_the_tool_and_of_the_pipeline_are_never_sent(
    name: str, naming: Callable[..., tuple[Done, Any]]
) -> None:
    done, _ = naming(_ref("env", name))
    assert f"monitors/relay.yaml:10:37: refused-secret: the environment variable {name}" in done.err
    done, _ = naming(_ref("env", name), rules='[secrets]\nenv = ["POP3_*"]\n')
    assert "refused-secret" in done.err


def test_what_is_listed_is_allowed_but_for_what_is_the_tools_own(
    naming: Callable[..., tuple[Done, Any]],
) -> None:
    rules = '[secrets]\nenv = ["POP3_*", "ALERTSITE_*", "RECONCILER_*"]\n'
    for name in ("ALERTSITE_PASSWORD", "RECONCILER_SECRET_KEY", "OTHER"):
        done, _ = naming(_ref("env", name), rules=rules)
        assert "refused-secret" in done.err
    done, sent = naming(_ref("env", "POP3_PASSWORD"), rules=rules)
    assert (done.code, sent) == (0, [{"a_password": "hunter2"}])


@pytest.mark.parametrize("field", ["note", "hostname", "alert_note", "mode"])
def test_what_alertsite_shows_holds_no_secret(
    field: str, naming: Callable[..., tuple[Done, Any]]
) -> None:
    done, _ = naming(_ref("env", "POP3_PASSWORD"), field)
    assert f"shown-secret: AlertSite shows spec.{field}" in done.err
    rules = f'[secrets]\nfields = ["{field}"]\n'
    done, sent = naming(_ref("env", "POP3_PASSWORD"), field, rules)
    assert sent == [{field: "hunter2"}], done.text


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/environ",
        "/dev/ptmx",
        "/dev/stdin",
        "/sys/kernel/uevent_seqnum",
        "link",
        "pipe",
        "own",
        ".git/config",
    ],
)
def test_files_that_are_none_of_secrets(
    path: str, workspace: Workspace, naming: Callable[..., tuple[Done, Any]]
) -> None:
    (workspace.root / "link").symlink_to("/proc/self/environ")
    (workspace.root / ".git").mkdir()
    (workspace.root / ".git" / "config").write_text("token ghs-4711")
    os.mkfifo(workspace.root / "pipe")
    (workspace.root / "own").symlink_to("pipe")
    done, sent = naming(_ref("file", path))
    assert (done.code, sent) == (3, [])
    assert "monitors/relay.yaml:10:" in done.err


def test_a_file_that_holds_a_credential_of_the_tool(
    workspace: Workspace, sandbox: Sandbox, run: Run
) -> None:
    account = sandbox(monitor("email-smtp", 1))
    (workspace.root / "password").write_text("demo\n")
    (workspace.root / "link").symlink_to("password")
    workspace.describe("email-smtp", "relay", 1, extra={"a_secret": _ref("file", "link")})
    env = {**account.env, "ALERTSITE_PASSWORD_FILE": "password"}
    del env["ALERTSITE_PASSWORD"]
    done = run(*_APPLY, env=env)
    assert (done.code, account.patches()) == (3, [])
    assert "refused-secret: link is a credential of this tool" in done.err


def test_only_the_files_that_are_listed(
    workspace: Workspace, naming: Callable[..., tuple[Done, Any]]
) -> None:
    folder = workspace.root / "secrets"
    (folder / "..data").mkdir(parents=True)
    (folder / "..data" / "mail").write_text("hunter2\n")
    (folder / "mail").symlink_to("..data/mail")  # as Kubernetes mounts them
    (workspace.root / "other").write_text("hunter3")
    (folder / "out").symlink_to("../other")
    rules = '[secrets]\nfiles = ["secrets/*"]\n'
    for path in ("other", "secrets/../other", "secrets/out", str(workspace.root / "other")):
        done, _ = naming(_ref("file", path), rules=rules)
        assert "refused-secret" in done.err
    done, _ = naming(_ref("env", "POP3_PASSWORD"), rules=rules)
    assert "refused-secret" in done.err
    done, sent = naming(_ref("file", "secrets/mail"), rules=rules)
    assert (done.code, sent) == (0, [{"a_password": "hunter2"}])


@pytest.mark.parametrize(
    "table", ['env = "POP3_*"', "file = ['x']", "env = [1]", "fields = 'note'"]
)
def test_a_table_that_says_something_else(
    table: str, naming: Callable[..., tuple[Done, Any]]
) -> None:
    done, _ = naming(_ref("env", "POP3_PASSWORD"), rules=f"[secrets]\n{table}\n")
    done.expect(3, err="[secrets]")
