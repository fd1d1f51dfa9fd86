"""`--format NAME[=FILE]`: which formats a command has, and where they go."""

import pytest
from e2e.conftest import Account, Relays, Run, Workspace

from reconciler.cli.formats import Subject, formats, renderer

_APPLY = ("apply", "--auto-approve")


@pytest.fixture
def account(relays: Relays) -> Account:
    """Two monitors that have another port than their manifests."""
    account: Account = relays(2)
    return account


def test_a_file_beside_the_text(account: Account, workspace: Workspace) -> None:
    said = "Plan: 0 to add, 2 to change, 0 to destroy."
    account.run("plan", "--format", "json=plan.json").expect(0, out=said)
    plan = workspace.json("plan.json")
    assert plan == account.run("plan", "--format", "json").json
    assert plan == account.run("plan", "--json").json


def test_text_in_a_file_beside_json(account: Account, workspace: Workspace) -> None:
    done = account.run("plan", "--json", "--format", "text=plan.txt")
    assert done.json["summary"]["update"] == 2
    assert "Plan: 0 to add, 2 to change" in (workspace.root / "plan.txt").read_text()


def test_a_file_is_written_though_the_run_fails(relays: Relays, workspace: Workspace) -> None:
    account = relays(2, faults=["PATCH */1 status=400"])
    done = account.apply("--format", "json=result.json").expect(7)
    assert workspace.json("result.json")["exit_code"] == 7
    assert "Apply incomplete!" in done.out


def test_a_plan_with_a_refusal_is_written_too(account: Account, workspace: Workspace) -> None:
    workspace.describe("email-smtp", "odd", 99)
    account.run("plan", "--format", "json=plan.json").expect(5)
    assert workspace.json("plan.json")["summary"]["refused"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "--format", "yaml"], "--format yaml: there is no format yaml"),
        (["plan", "--format", "sarif"], "this command does not support the format sarif"),
        (["plan", "--format", ""], "there is no format (empty)"),
        (["apply", "--format", "json", "--json=x"], "--json"),
        (["plan", "--format", "json", "--format", "text"], "two formats write to stdout"),
        (["plan", "--json", "--format", "text"], "two formats write to stdout"),
        (["plan", "--format", "json=a", "--format", "text=./a"], "two formats write to a"),
        (["comment"], "Choose from:\n  github,\n  gitlab\n"),
        (["plan", "--format", "json="], "it names no file"),
        (["plan", "--format", "json=nowhere/a"], "there is no folder nowhere"),
        (["plan", "--format", "json=monitors"], "monitors is a folder"),
        (["plan", "--format", "json=-"], "- is not the name of a file"),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], words: str, account: Account) -> None:
    account.run(*arguments).expect(64, err=words)
    assert account.calls() == []


def test_a_wrong_format_names_those_of_the_command(account: Account) -> None:
    done = account.run("plan", "--format", "yaml")
    assert f"Formats of this command: {', '.join(formats(Subject.PLAN))}." in done.err


def test_json_has_one_spelling_everywhere(account: Account) -> None:
    assert account.run("plan", "-o", "json").json["changes"]
    for line in (("list",), ("render", "email-smtp/relay-01")):
        long, short = (account.run(*line, *flags) for flags in (["--json"], ["-o", "json"]))
        assert long.json == short.json
        both = account.run(*line, "--json", "-o", "json")
        assert both.json == short.json
    done = account.run("list", "--json", "-o", "csv")
    assert (done.code, "--json and -o csv cannot be used together" in done.err) == (64, True)


def test_json_twice_is_json(account: Account) -> None:
    assert account.run("plan", "--json", "--format", "json").json["changes"]


def test_a_file_that_cannot_be_written_hides_nothing(
    account: Account, workspace: Workspace
) -> None:
    (workspace.root / "result").symlink_to("nowhere/result")
    account.apply("--format", "json=result").expect(
        3, out="Apply complete!", err="result cannot be written"
    )
    assert account.ports() == {1: 587, 2: 587}


@pytest.mark.parametrize("subject", Subject)
def test_every_format_has_its_renderers(subject: Subject) -> None:
    for name in set(formats(subject)) - {"text", "json"}:
        assert callable(renderer(name, subject))


class TestUnderGitHubActions:
    @pytest.fixture
    def env(self, account: Account, workspace: Workspace) -> dict[str, str]:
        return account.env | {
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(workspace.root / "output"),
            "GITHUB_STEP_SUMMARY": str(workspace.root / "summary"),
            "GITHUB_WORKSPACE": str(workspace.root.parent),
        }

    def test_outputs_and_summary_are_written(
        self, env: dict[str, str], workspace: Workspace, run: Run
    ) -> None:
        (workspace.root / "output").write_text("before=1\n")
        done = run("plan", "--format", "github", "--format", "markdown=plan.md", env=env)
        assert done.code == 0
        assert f"::warning file={workspace.root.name}/monitors/fleet.yaml,line=1," in done.out
        assert "Plan: 0 to add, 2 to change, 0 to destroy." in done.out
        assert (workspace.root / "output").read_text() == (
            "before=1\nchanges=true\ncreate=0\nupdate=2\ndelete=0\nunchanged=0\nrefused=0\n"
            "lost=2\nreport=plan.md\n"
        )
        summary = (workspace.root / "summary").read_text()
        assert summary == (workspace.root / "plan.md").read_text()

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            (["validate"], "errors=0"),
            ([*_APPLY], "done=2"),
            (["drift", "--state", "file:state.json"], "drifted=0"),
        ],
    )
    def test_every_command_has_outputs(
        self, arguments: list[str], line: str, env: dict[str, str], workspace: Workspace, run: Run
    ) -> None:
        run(*_APPLY, "--state", "file:state.json", env=env) if "drift" in arguments else None
        assert run(*arguments, "--format", "github", env=env).code == 0
        assert line in (workspace.root / "output").read_text().split("\n")

    def test_without_the_format_nothing_is_written(
        self, env: dict[str, str], workspace: Workspace, run: Run
    ) -> None:
        assert run("plan", env=env).code == 0
        assert not (workspace.root / "output").exists()

    def test_a_full_summary_is_left_as_it_is(
        self, env: dict[str, str], workspace: Workspace, run: Run
    ) -> None:
        (workspace.root / "summary").write_text("x" * 1024 * 1024)
        run("plan", "--format", "github", env=env).expect(0, err="The summary of this step is full")
        assert (workspace.root / "summary").stat().st_size == 1024 * 1024

    def test_a_file_of_the_runner_that_cannot_be_written(
        self, env: dict[str, str], run: Run
    ) -> None:
        run("plan", "--format", "github", env=env | {"GITHUB_OUTPUT": "nowhere/output"}).expect(
            3, err=("GITHUB_OUTPUT names, cannot be written", "Correct these variables")
        )
