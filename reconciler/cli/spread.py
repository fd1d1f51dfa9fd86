"""How the work on several accounts is spread over machines, and the command line of each part."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from reconciler.cli import config, runtime
from reconciler.core.accounts import Shard

if TYPE_CHECKING:
    from collections.abc import Collection

ACCOUNT_OPTIONS = (
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


class Spread(NamedTuple):
    """Where the work on several accounts is done, and where results are kept.

    Attributes:
        results: the folder for result files; empty for none.
        shard: which part of the accounts this run is about; None if it is all of them.
        executor: the address of the scheduler whose workers do it; empty for threads here.
    """

    results: str = ""
    shard: Shard | None = None
    executor: str = ""


def _shard(text: str) -> Shard:
    """The shard of `I/N`, or of `/N` in a Kubernetes job.

    Raises:
        BadParameter: it is of another form, or there is no such shard.
    """
    found = re.fullmatch(r"([0-9]{1,6})?/([0-9]{1,6})", text)
    if found is None:
        raise click.BadParameter("write it as I/N, such as 2/8, or /N")
    number, count = int(found[1] or 0), int(found[2])
    if found[1] is None:
        index = os.environ.get("JOB_COMPLETION_INDEX", "")
        if not re.fullmatch("[0-9]{1,6}", index):
            raise click.BadParameter(
                "/N needs the number of the shard in JOB_COMPLETION_INDEX, from 0"
            )
        number = int(index) + 1
    if not 1 <= number <= count:
        raise click.BadParameter(f"{number} is not between 1 and {count}")
    return Shard(number, count)


shard = click.option(
    "--shard",
    type=_shard,
    metavar="I/N",
    help="Only the I-th of N parts of the accounts, from 1. With /N, the number comes from "
    "JOB_COMPLETION_INDEX of Kubernetes, which starts at 0.",
)
executor = click.option(
    "--executor",
    default="",
    metavar="dask:ADDRESS",
    help="Run on the workers of a Dask scheduler: dask:tls://HOST:8786. Without TLS only on "
    "this machine: dask:tcp://127.0.0.1:8786.",
)


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
    known = {item.name for item in (command or given.command).params} - {*ACCOUNT_OPTIONS, *without}
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
            for text in map(str, each):
                options += [item.opts[-1], _from_root(text) if name == "formats" else text]
    return (*options, *(("--", *values) if values else ()))


def _from_root(output: str) -> str:
    """A format with its file, which is named where the command line was given."""
    name, equals, file = output.partition("=")
    return f"{name}{equals}{config.from_root(file, runtime.here())}"
