"""How the work on several accounts is spread over machines."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import click

from reconciler.core.accounts import Shard


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
