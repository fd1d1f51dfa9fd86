"""The options of every command: how much it says, and whether in colour.

People type them before the command or behind it, so both places take them.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import click

from reconciler.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.context import Context


def _verbose(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value:
        _exclude(context, "-v", "-q", is_other=console.is_quiet())
        root = context.find_root()
        known: Context = root.obj
        root.obj = known._replace(is_verbose=True)


def _quiet(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value:
        known: Context = context.find_root().obj
        _exclude(context, "-q", "-v", is_other=known.is_verbose)
        console.quieten()


def _exclude(context: click.Context, one: str, other: str, *, is_other: bool) -> None:
    if is_other:
        raise click.UsageError(f"{one} and {other} cannot be used together.", context)


def _plain(_context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value:
        console.forbid_colour()


def _option(
    *names: str, callback: Callable[[click.Context, click.Parameter, object], None], text: str
) -> click.Option:
    return click.Option(names, is_flag=True, expose_value=False, callback=callback, help=text)


OPTIONS = (
    _option(
        "-v",
        "--verbose",
        callback=_verbose,
        text="Show each request to AlertSite, with its status and time.",
    ),
    _option("-q", "--quiet", callback=_quiet, text="Print only results, warnings and errors."),
    _option("--no-color", callback=_plain, text="Print without color, as NO_COLOR=1 does."),
)


def with_output_options(command: click.Command) -> click.Command:
    """The command, and those below it, with these options behind its own."""
    found = copy(command)
    found.params = [*command.params, *OPTIONS]
    if isinstance(found, click.Group):
        below = found.commands.items()
        found.commands = {name: with_output_options(item) for name, item in below}
    return found
