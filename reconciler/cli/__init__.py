"""The command line: arguments, wiring, printing and the exit code.

Rule: this package is the only importer of click and the only place that catches `ReconcilerError`.
Data goes to stdout, everything else to stderr. What a command does not need is not imported.
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import chdir, contextmanager
from copy import copy
from importlib import import_module
from io import StringIO
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, NamedTuple

import click

from reconciler import __version__
from reconciler.cli import console
from reconciler.cli.context import Context
from reconciler.context import SYSTEM, Clock
from reconciler.core.printable import is_unicode, joined
from reconciler.core.redactor import Redactor
from reconciler.errors import (
    ConfigurationError,
    ExitCode,
    InterruptedRunError,
    ReconcilerError,
    UsageError,
    is_interrupt,
    unexpected,
    without_logins,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ISSUES = "This is a bug in reconciler. Please report it with the lines above."
_SECTIONS = {
    "Change AlertSite": {
        "plan": ("plan", "Show what apply would change."),
        "apply": ("apply", "Change AlertSite to match the manifests, after asking."),
        "show": ("show", "Show a plan that plan --out has saved."),
        "undo": ("undo", "Undo a run."),
    },
    "Inspect": {
        "status": ("status", "Summarize the account in ten lines."),
        "list": ("list_", "List the monitors, and whether Git manages them."),
        "why": ("why", "Show where a value comes from, and what apply would do."),
        "drift": ("drift", "Show what changed in AlertSite since the last apply."),
        "history": ("history", "Show what earlier runs have changed."),
        "report": ("report", "Report coverage and cost of the fleet."),
    },
    "Author manifests": {
        "import": ("import_", "Write manifests for monitors that AlertSite already has."),
        "pull": ("pull", "Copy changes made in AlertSite into the manifests."),
        "validate": ("validate", "Check manifests against their schemas."),
        "set": ("set_", "Set fields of many manifests."),
        "mv": ("mv", "Move or rename manifests, and keep their monitors."),
        "fmt": ("fmt", "Order the keys of manifests as their schemas do."),
        "render": ("render", "Show a manifest with its defaults, and where each value is set."),
        "explain": ("explain", "Explain a kind, a field or a lint code."),
        "schema": ("schema", "Print the JSON Schema of a kind or an output format."),
    },
    "Set up and automate": {
        "init": ("init", "Create a repository for manifests."),
        "doctor": ("doctor", "Check everything that a run needs."),
        "watch": ("watch", "Check all accounts at intervals, and serve a status page."),
        "state": ("state", "Inspect and repair the state."),
        "sandbox": ("sandbox", "Run a local AlertSite server to try things out."),
        "probe": ("probe", "Compare the fields AlertSite returns with the schemas."),
        "comment": ("comment", "Post a plan as a comment on a pull or merge request."),
        "merge": ("merge", "Merge the results of shards into one report."),
        "issue": ("issue", "Keep an issue open while there is drift."),
        "reviewed": ("reviewed", "Fetch the plan that was reviewed before a merge."),
        "completion": ("completion", "Print a script that completes commands in a shell."),
    },
}
"""Of each command the module and function, and what it does: so that --help imports none."""
_COMMANDS = {name: found for section in _SECTIONS.values() for name, found in section.items()}
_ALIASES = {"diff": "plan", "get": "list"}
"""What users of other tools type; help shows one name for each command."""


def _verbose(context: click.Context) -> None:
    _exclude(context, "-v", "-q", is_other=console.is_quiet())
    root = context.find_root()
    root.obj = root.obj._replace(is_verbose=True)


def _quiet(context: click.Context) -> None:
    _exclude(context, "-q", "-v", is_other=context.find_root().obj.is_verbose)
    console.quieten()


def _exclude(context: click.Context, one: str, other: str, *, is_other: bool) -> None:
    if is_other:
        raise click.UsageError(f"{one} and {other} cannot be used together.", context)


def _option(*names: str, do: Callable[[click.Context], None], text: str) -> click.Option:
    def callback(context: click.Context, _parameter: click.Parameter, value: object) -> None:
        if value:
            do(context)

    return click.Option(names, is_flag=True, expose_value=False, callback=callback, help=text)


_OPTIONS = (
    _option(
        "-v",
        "--verbose",
        do=_verbose,
        text="Show each request to AlertSite, with its status and time.",
    ),
    _option("-q", "--quiet", do=_quiet, text="Print only results, warnings and errors."),
    _option(
        "--no-color",
        do=lambda _: console.forbid_colour(),
        text="Print without color, as NO_COLOR=1 does.",
    ),
)
"""Options before every command and behind it, since people type them in both places."""


def _with_options(command: click.Command) -> click.Command:
    """The command, and those below it, with `_OPTIONS` behind its own."""
    found = copy(command)
    found.params = [*command.params, *_OPTIONS]
    if isinstance(found, click.Group):
        below = found.commands.items()
        found.commands = {name: _with_options(item) for name, item in below}
    return found


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = _COMMANDS.get(_ALIASES.get(cmd_name, cmd_name))
        if found is None:
            return None
        name, _ = found
        command: click.Command = getattr(import_module(f"reconciler.cli.{name}"), name)
        return _with_options(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        while args[0] == "help":
            args = [*args[1:], "--help"]
        name = args[0]
        if name == "version":
            return super().resolve_command(ctx, ["--version"])
        is_known = name in _COMMANDS or name in _ALIASES
        if not is_known and not name.startswith("-") and not ctx.resilient_parsing:
            from reconciler.cli import elsewhere  # only for a message

            advice = elsewhere.of_command(name, _COMMANDS)
            raise click.UsageError(f"No such command {name!r}{advice}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SystemExit as leaving:  # of a library; click leaves only before and after
            raise RuntimeError("the command was left") from leaving

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _COMMANDS))  # so that the summaries of all sections are aligned
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                rows = [(name.ljust(width), summary) for name, (_, summary) in commands.items()]
                formatter.write_dl(rows)


@click.group(
    cls=_LazyGroup,
    params=[*_OPTIONS],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("-C", "folder", metavar="DIR", help="Run as if started in DIR.")
@click.pass_context
def reconciler(context: click.Context, folder: str | None) -> None:
    """Keeps SmartBear AlertSite's email monitors as the manifests describe them.

    Commands work in the root of a repository: the nearest folder upwards with
    reconciler.toml, otherwise the root of the Git clone if it contains
    monitors. Paths on the command line are relative to the working folder, or
    to DIR. All other paths are relative to the root.

    Run "reconciler COMMAND --help" for the options of a command.

    \b
    Exit codes:
      0    done, or nothing to do
      1    unexpected error (a bug)
      2    plan --detailed-exitcode, drift: changes present
      3    invalid manifests or configuration
      4    credentials or permission refused by AlertSite
      5    refused by a guard: ambiguous, stale, not ours, no approval
      6    AlertSite, GitHub or GitLab unavailable, or an invalid response
      7    partly done: the output lists what was done and what was not
      8    the state is locked, unreadable or cannot be saved
      64   usage
      130  interrupted: requests in flight were finished
    """  # noqa: D301 - \b is click's mark for text that is not to be rewrapped
    _enter_root(context, folder)


def _enter_root(context: click.Context, folder: str | None) -> None:
    """Goes to the root of the repository until the command has ended.

    Raises:
        ConfigurationError: there is no folder to go from.
    """
    from pathlib import Path

    from reconciler.cli import config  # --version and --help need nothing of it

    try:
        if folder is not None:
            context.with_resource(chdir(folder))
        here = Path.cwd()
        root = config.find_root(here)
        if root != here:
            context.with_resource(chdir(root))
            context.obj = context.obj._replace(here=os.path.relpath(here, root))
    except OSError as error:
        where = f"-C {folder}" if folder else "the working folder"
        raise ConfigurationError(
            f"cannot change to {where}: {error.strerror}", "Use a folder that exists."
        ) from error


def run(arguments: Sequence[str], clock: Clock = SYSTEM) -> int:
    """Runs one command line and returns its exit code; prints every failure, with its next step."""
    context = Context(clock, Redactor())

    def begin() -> object:
        for argument in arguments:
            if not is_unicode(argument):  # so it could be neither printed nor written down
                raise UsageError(
                    f"the argument {argument} has bytes that are not valid in the encoding of this "
                    "locale",
                    "Rename the file, or set LANG to the encoding of the argument.",
                )
        try:
            return reconciler.main(
                list(arguments), prog_name="reconciler", standalone_mode=False, obj=context
            )
        except SystemExit as leaving:  # of click: it has completed words, or nobody reads its help
            return leaving.code

    with console.redacted(context.redactor):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # all mean: stop in good order
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` ignores it
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # it may be ignored, as after `nohup`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return ended(begin, arguments).code


def invoke(name: str, arguments: Sequence[str], context: Context) -> object:
    """Runs one command as the part of another, in the folder where that runs; raises as it does."""
    with click.Context(reconciler) as whole:
        command = reconciler.get_command(whole, name)
    assert command is not None
    return command.main(
        list(arguments), prog_name=f"reconciler {name}", standalone_mode=False, obj=context
    )


class Ending(NamedTuple):
    """How a command ended.

    Attributes:
        error: why it is not done; empty if it is.
    """

    code: int
    error: str = ""


def ended(begin: Callable[[], object], arguments: Sequence[str]) -> Ending:
    """Runs a command; prints every failure, with its next step."""
    try:
        found = begin()
    except InterruptedRunError as error:
        with _uninterrupted():
            console.say(f"Interrupted. {error}")
        return Ending(error.exit_code, str(error))
    except ReconcilerError as error:
        code = console.fail(error)
        if code is ExitCode.USAGE:
            _say_dashes(arguments)
        return Ending(code, str(error))
    except click.UsageError as error:
        from reconciler.cli import elsewhere  # only for a message

        shown, advised = StringIO(), elsewhere.advised(error)
        advised.show(shown)
        console.say(joined(shown.getvalue().expandtabs(2).splitlines()))
        _say_dashes(arguments)
        return Ending(ExitCode.USAGE, advised.format_message())
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    # The last line of defence: no user sees a traceback, and no library ends the part of a command.
    except (Exception, SystemExit) as error:  # noqa: BLE001 - see above
        if is_interrupt(error):
            return _interrupted()
        if os.environ.get("RECONCILER_DEBUG"):
            import traceback  # 4 ms

            console.say(joined(without_logins(traceback.format_exc()).splitlines()))
        reason = unexpected(error)
        console.say(f"Error: {reason}")
        console.say(f"{_ISSUES} Set RECONCILER_DEBUG=1 to add the traceback.")
        return Ending(ExitCode.BUG, reason)
    return Ending(found if isinstance(found, int) else ExitCode.OK)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Lets the last words be said to their end, though somebody presses Ctrl-C again."""
    if current_thread() is not main_thread():  # which never gets one
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted() -> Ending:
    # An apply that may have sent something turns signals into a good end, with its result.
    with _uninterrupted():
        console.say("Interrupted: AlertSite was not changed.")
    return Ending(ExitCode.INTERRUPTED, "interrupted")


def _say_dashes(arguments: Sequence[str]) -> None:
    """Says what may be wrong with an option: Terraform's have one dash."""
    for argument in arguments:
        if re.fullmatch("-[a-z][a-z-]+(=.*)?", argument):
            console.say(f"Long options start with two dashes: -{argument}")
