"""How the work on several accounts is spread over machines."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

import click

from reconciler.core.accounts import Shard

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., int]


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


class _ShardType(click.ParamType[Shard]):
    name = "shard"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        if isinstance(value, Shard):
            return value
        found = re.fullmatch(r"([0-9]{1,6})?/([0-9]{1,6})", str(value))
        if found is None:
            self.fail("it is written I/N, such as 2/8, or /N", param, ctx)
        number, count = int(found[1] or 0), int(found[2])
        if found[1] is None:
            index = os.environ.get("JOB_COMPLETION_INDEX", "")
            if not re.fullmatch("[0-9]{1,6}", index):
                message = "/N needs the number of the shard in JOB_COMPLETION_INDEX, from 0"
                self.fail(message, param, ctx)
            number = int(index) + 1
        if not 1 <= number <= count:
            self.fail(f"{number} is not between 1 and {count}", param, ctx)
        return Shard(number, count)


shard = click.option(
    "--shard",
    type=_ShardType(),
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
