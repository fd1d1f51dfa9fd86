"""What the command line does when it is used, or behaves, in an unforeseen way."""

import re
import signal
from collections.abc import Iterator
from typing import Any

import click
import pytest

from reconciler.cli import ELSEWHERE, reconciler, run


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


@pytest.mark.parametrize("word", sorted(ELSEWHERE))
def test_a_command_of_another_tool_is_named_as_it_is_called_here(
    capsys: pytest.CaptureFixture[str], word: str
) -> None:
    """Every command and option that the advice names is one."""
    assert run([word]) == 64
    (advice,) = re.findall(f"No such command '{word}'. Here: (.*)", capsys.readouterr().err)
    called = re.findall("reconciler ([a-z]+)((?: --[a-z]+)*)", advice)
    assert called
    for name, options in called:
        command = reconciler.get_command(click.Context(reconciler), name)
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        assert known.issuperset(options.split())


def test_a_command_like_no_other_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["terraform"]) == 64
    assert "No such command 'terraform'." in capsys.readouterr().err


def commands() -> Iterator[list[str]]:
    """The command line of every command, those of groups included."""
    context = click.Context(reconciler)
    yield []
    for name in reconciler.list_commands(context):
        yield [name]
        found = reconciler.get_command(context, name)
        if isinstance(found, click.Group):
            yield from ([name, below] for below in found.list_commands(context))


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
