"""`reconciler completion`, and the words that a shell completes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.conftest import Git, Run, Sandbox, Workspace


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script(shell: str, run: Run) -> None:
    run("completion", shell).expect(0, out=f"_RECONCILER_COMPLETE={shell}_complete")


def test_another_shell_is_not_known(run: Run) -> None:
    assert run("completion", "tcsh").code == 64


def test_the_script_completes_in_bash(run: Run, tools: Path) -> None:
    """As bash does it: the function is called, and puts what it offers into COMPREPLY."""
    script = run("completion", "bash").out + (
        "COMP_WORDS=(reconciler val); COMP_CWORD=1\n_reconciler_completion reconciler\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    path = {"PATH": f"{tools}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash"], input=script, env=path, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("validate\n", "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pl", ["plan"]),
        ("plan --offl", ["--offline"]),
        ("explain email-s", ["email-smtp"]),
        ("explain email-smtp.home", ["email-smtp.home_location"]),
        ("schema pl", ["plan"]),
        ("completion f", ["fish"]),
        ("nonsense x", []),
        ("plan --target email-smtp/r", ["email-smtp/relay"]),
        ("apply --target te", ["team=mail"]),
        ("apply --keep email-s", ["email-smtp/relay"]),
        ("list --columns name,hostn", ["name,hostname"]),
        ("why email-smtp/r", ["email-smtp/relay"]),
        ("why email-smtp/relay.hostn", ["email-smtp/relay.hostname"]),
        ("why email-smtp/relay.typ", []),
        ("state rm email", ["email-smtp/relay"]),
        ("plan --manifests nowhere --target e", []),
    ],
)
def test_words_are_completed(
    words: str, offered: list[str], complete: Callable[..., list[str]], workspace: Workspace
) -> None:
    workspace.describe("email-smtp", "relay", labels={"team": "mail"})
    assert complete(f"reconciler {words}") == offered


@pytest.mark.parametrize("place", ["file:here.json", "git:here.git"])
def test_runs_are_completed(
    place: str, complete: Callable[..., list[str]], workspace: Workspace, sandbox: Sandbox, git: Git
) -> None:
    git(workspace.root, "init", "--quiet")
    git(workspace.root, "init", "--quiet", "--bare", "here.git")
    workspace.describe("email-smtp", "relay")
    made = sandbox().apply("--json", env={"RECONCILER_STATE": place}).expect(0).json["run"]
    for words, expected in {
        "undo 2": [made],
        "undo l": ["last"],
        "undo x": [],
        "history sh": ["show"],
        "history email-smtp/r": ["email-smtp/relay"],
        "history show 2": [made],
        "history email-smtp/relay 2": [],
    }.items():
        assert complete(f"reconciler {words}", RECONCILER_STATE=place) == expected


def test_no_runs_are_completed_where_the_state_cannot_be_read(
    complete: Callable[..., list[str]],
) -> None:
    assert complete("reconciler undo 2", RECONCILER_STATE="git:nowhere.git") == []
