"""What the command line does when it is used, or behaves, in an unforeseen way."""

import re
import signal
from collections.abc import Iterator
from typing import Any

import click
import pytest

from reconciler.cli import reconciler, run
from reconciler.cli.elsewhere import COMMANDS, OPTIONS, of_option


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Puts back the handlers that a run leaves behind."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, found in before.items():
        signal.signal(number, found)


# Nothing but a test can put a number on a command line.
UNFORESEEN: list[Any] = ["validate", 3]


def test_an_unforeseen_failure_is_reported_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILER_DEBUG", raising=False)
    assert run(UNFORESEEN) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: unexpected error: AttributeError: ")
    assert "Traceback" not in err


def test_its_traceback_is_shown_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_DEBUG", "1")
    assert run(UNFORESEEN) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 3, None])
def test_foreign_code_cannot_end_the_process_as_if_all_were_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    def leave(*_: object) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("reconciler.cli._enter_root", leave)
    assert run(["validate"]) == 1
    assert "Error: unexpected error: RuntimeError: the command was left" in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["-auto-approve", "-target=email-smtp/*"])
def test_long_options_with_one_dash_are_explained(
    capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    assert run(["apply", argument]) == 64
    assert f"two dashes: -{argument}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "meant"), [("pln", "plan"), ("aply", "apply"), ("vlaidate", "validate")]
)
def test_a_mistyped_command_is_recognised(
    capsys: pytest.CaptureFixture[str], word: str, meant: str
) -> None:
    assert run([word]) == 64
    assert f"No such command '{word}'; did you mean {meant}?" in capsys.readouterr().err


def check_advice(advice: str, own: set[str] | None = None) -> None:
    """Every command that it names is one, and every option one of that command, or of its own."""
    called = re.compile("reconciler ([a-z]+)((?: --[a-z-]+)*)")
    for name, options in called.findall(advice):
        command = reconciler.get_command(click.Context(reconciler), name)
        assert command is not None
        assert options_of(command).issuperset(options.split())
    left = re.findall("--[a-z-]+", called.sub("", advice).replace("reconciler --version", ""))
    assert (own or set()).issuperset(left), advice


def options_of(command: click.Command) -> set[str]:
    return {name for item in command.params for name in (*item.opts, *item.secondary_opts)}


@pytest.mark.parametrize("word", sorted(COMMANDS))
def test_a_command_of_another_tool_is_named_as_it_is_called_here(
    capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert run([word]) == 64
    (advice,) = re.findall(f"No such command '{word}'. Here: (.*)", capsys.readouterr().err)
    assert "reconciler " in advice
    check_advice(advice)


@pytest.mark.parametrize("word", sorted(OPTIONS))
def test_an_option_of_another_tool_is_named_as_it_is_called_here(word: str) -> None:
    for line in commands():
        command = command_of(line)
        check_advice(of_option(word, command), options_of(command))


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("plan --dry-run", ". Here: reconciler plan; set, pull and undo show what they would do"),
        ("fmt --dry-run", ". Here: --check"),
        ("plan --refresh-only", ". Here: reconciler drift"),
        ("apply --yes", ". Here: --auto-approve"),
        ("plan -y", ". Here: reconciler apply --auto-approve; this command does not ask"),
        ("apply --force", ". Here: an option names the guard that it lifts: --allow-loss N, "),
        ("plan --var x=1", ". Here: set vars of an account in reconciler.toml"),
        ("plan --output json", ". Here: --format NAME"),
        ("apply -f p.json", ". Here: --manifests DIR; reconciler apply FILE applies a saved plan"),
        ("plan --parallelism 8", ". Here: reconciler apply --parallelism N"),
        ("list --target x", ". Here: name targets as arguments: reconciler list TARGET"),
        ("status -o json", ". Here: --json"),
        ("plan -C x", ". Here: reconciler -C DIR COMMAND"),
        ("plan --accont x", "; did you mean --account?"),
        ("plan --far-away", ".\n"),
        ("plan email-smtp/a", "(email-smtp/a). Here: --target email-smtp/a"),
        ("drift a b", "(a b). Here: --target a"),
        ("show a b", "(b)\n"),
        ("history --limit x", "'x' is not a whole number.\n"),
        ("sandbox --token-life x", "'x' is not a number.\n"),
    ],
)
def test_a_guess_at_the_command_line_is_answered(
    capsys: pytest.CaptureFixture[str], line: str, advice: str
) -> None:
    assert run(line.split()) == 64
    shown = capsys.readouterr().err
    assert advice in shown
    assert "Did you mean" not in shown


@pytest.mark.parametrize("word", ["terraform", "edits", "unlck", "initialise-all"])
def test_a_command_like_no_other_is_not_guessed(
    capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert run([word]) == 64
    assert f"No such command '{word}'.\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("version", "--version"),
        ("help", "--help"),
        ("help help", "--help"),
        ("help version", "--version"),
        ("help plan", "plan --help"),
        ("help state list", "state list --help"),
        ("-q help fmt", "fmt --help"),
    ],
)
def test_version_and_help_are_commands_too(
    capsys: pytest.CaptureFixture[str], line: str, same: str
) -> None:
    assert run(line.split()) == 0
    found = capsys.readouterr()
    assert run(same.split()) == 0
    assert found == capsys.readouterr()


def commands() -> Iterator[list[str]]:
    """The command line of every command, those of groups included."""
    context = click.Context(reconciler)
    yield []
    for name in reconciler.list_commands(context):
        yield [name]
        found = reconciler.get_command(context, name)
        if isinstance(found, click.Group):
            yield from ([name, below] for below in found.list_commands(context))


def command_of(line: list[str]) -> click.Command:
    command: click.Command | None = reconciler
    for name in line:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    return command


@pytest.mark.parametrize("line", [*commands()], ids=" ".join)
def test_json_and_formats_are_asked_for_alike_everywhere(line: list[str]) -> None:
    known = options_of(command_of(line))
    assert ("--format" in known or "--output" in known) is ("-o" in known)
    assert "--json" in known or "-o" not in known


def test_help_compares_exclude_with_what_the_command_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for line in commands():
        known = options_of(command_of(line))
        if "--exclude" in known:
            assert run([*line, "--help"]) == 0
            words = " ".join(capsys.readouterr().out.split())
            assert ("like --target with a leading !" in words) is ("--target" in known)


def test_help_names_each_command_once_in_a_section_with_its_whole_summary(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == 0
    _, *sections = capsys.readouterr().out.split("\n\n")
    listed = [block.splitlines() for block in sections if not block.startswith(("  ", "Options:"))]
    titles = [title for title, *_ in listed]
    assert titles == ["Change AlertSite:", "Inspect:", "Author manifests:", "Set up and automate:"]
    rows = [row.split(maxsplit=1) for _, *rows in listed for row in rows]
    assert sorted(name for name, _ in rows) == sorted(
        reconciler.list_commands(click.Context(reconciler))
    )
    assert [summary for _, summary in rows if not summary.endswith(".")] == []


@pytest.mark.parametrize(("alias", "command"), [("diff", "plan"), ("get", "list")])
def test_an_alias_works_and_is_not_listed(
    capsys: pytest.CaptureFixture[str], alias: str, command: str
) -> None:
    context = click.Context(reconciler)
    found, own = (reconciler.get_command(context, name) for name in (alias, command))
    assert found is not None
    assert own is not None
    assert found.callback is own.callback
    assert alias not in reconciler.list_commands(context)
    assert run([alias, "--help"]) == 0
    assert f"Usage: reconciler {alias} " in capsys.readouterr().out


@pytest.mark.parametrize("command", [*commands()], ids=" ".join)
def test_help_fits_a_terminal_and_is_not_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    _, *summaries = lines[lines.index("Commands:") :] if "Commands:" in lines else [""]
    assert [line for line in summaries if line.endswith("...")] == []
