"""The command line of a part: what was given for several accounts, as it is given for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from reconciler.cli import config, runtime

if TYPE_CHECKING:
    from collections.abc import Collection

OPTIONS = (
    "accounts",
    "not_accounts",
    "account_labels",
    "changed_since",
    "all_accounts",
    "results",
    "shard",
    "executor",
)
"""The parameters that are about accounts, and that no part of a command is given."""


def arguments_of(
    given: click.Context,
    command: click.Command | None = None,
    without: tuple[str, ...] = (),
    only: Collection[str] | None = None,
) -> tuple[str, ...]:
    """The arguments of a command line as they would be given in the root, without a selection.

    Args:
        given: the command line.
        command: takes its place; only what it takes too is kept.
        without: parameters that are left out.
        only: parameters that are not; None for all others.
    """
    known = {item.name for item in (command or given.command).params} - {*OPTIONS, *without}
    known = known if only is None else known & {*only}
    options: list[str] = []
    values: list[str] = []
    for item in given.command.params:
        name = item.name or ""
        is_given = given.get_parameter_source(name) is ParameterSource.COMMANDLINE
        is_given = is_given or bool(name == "targets" and given.params.get(name))  # by --exclude
        if not is_given or name not in known or name not in given.params:
            continue
        value = given.params[name]
        each = value if isinstance(value, tuple) else (value,)
        if isinstance(item, click.Argument):
            values += [str(one) for one in each]
        elif isinstance(item, click.Option) and item.is_flag:
            options.append(item.opts[-1] if value else item.secondary_opts[-1])
        else:
            for text in each:
                options += [
                    item.opts[-1],
                    _from_root(str(text)) if name == "formats" else str(text),
                ]
    return (*options, *(("--", *values) if values else ()))


def _from_root(output: str) -> str:
    """A format with its file, which is named where the command line was given."""
    name, equals, file = output.partition("=")
    return f"{name}{equals}{config.from_root(file, runtime.here())}"
