"""The command that serves the sandbox."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import output
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command(
    epilog="Example: reconciler sandbox --port 8080 --fault 'PATCH * status=503 times=2'"
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--db",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file that keeps the account; in memory by default.",
)
@click.option(
    "--seed-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON list of monitors, as GET returns them, for a new account; the sample fleet's by "
    "default.",
)
@click.option(
    "--seed-count",
    type=click.IntRange(0, 100_000),
    metavar="N",
    help="Give a new account N made-up monitors instead, always the same ones, and awkward: odd "
    "names and notes, numbers as text, unknown fields.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="RULE",
    help="Misbehave: METHOD PATH-GLOB KEY=VALUE…, with status=N, delay=SECONDS, "
    "drop=before|after, body=truncated|html, retry-after=VALUE, skip=N, times=N. May be repeated.",
)
@click.option(
    "--request-log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append one JSON object for each request to this file.",
)
@click.option(
    "--token-life", type=click.FloatRange(min=0), default=3600.0, help="Seconds a token lives."
)
@click.option(
    "--page-size", type=click.IntRange(min=1), help="Split lists into pages of this many monitors."
)
@click.option("--strict", is_flag=True, help="Refuse unknown and read-only fields with 400.")
@click.option(
    "--secret-fields",
    type=click.Choice(["echoed", "masked", "omitted"]),
    default="omitted",
    help="How GET shows fields whose names look like secrets; what AlertSite does is unknown. "
    "Omitted by default.",
)
def sandbox(
    port: int,
    database: Path | None,
    seed_file: Path | None,
    seed_count: int | None,
    faults: tuple[str, ...],
    request_log: Path | None,
    token_life: float,
    page_size: int | None,
    secret_fields: str,
    *,
    strict: bool,
) -> int:
    """Serve an AlertSite account on loopback until interrupted.

    Prints the variables that point other commands at it.
    """
    from reconciler.cli.connection import import_sandbox, starting_sandbox  # noqa: PLC0415
    from reconciler.schema import Schemas  # noqa: PLC0415

    gc.enable()  # it may serve for days
    package = import_sandbox("the sandbox needs the packages starlette and uvicorn")
    schemas = Schemas().documents
    options = package.Options(
        schemas=schemas,
        seed=_seed(package, schemas, seed_file, seed_count),
        database=database,
        port=port,
        faults=_rules(package, faults),
        request_log=request_log,
        token_life=token_life,
        page_size=page_size,
        strict=strict,
        secret_fields=secret_fields,
    )

    with starting_sandbox("Choose another --port, --db or --request-log."):
        package.serve(options, lambda url: _announce(url, package.USERNAME, package.PASSWORD))
    return ExitCode.OK


def _seed(
    package: Any,  # noqa: ANN401 - a module
    schemas: Mapping[str, Any],
    file: Path | None,
    count: int | None,
) -> list[dict[str, Any]]:
    """The monitors of a new account.

    Raises:
        UsageError: both a file and a number were given.
        ConfigurationError: the file holds something else.
    """
    from reconciler.cli.connection import read_seed, sample_seed  # noqa: PLC0415

    if file is not None and count is not None:
        raise UsageError("--seed-file and --seed-count exclude each other", "Give one of them.")
    if count is not None:
        monitors: list[dict[str, Any]] = package.seeded(count, schemas)
        return monitors
    return read_seed(file) if file is not None else sample_seed()


def _rules(package: Any, faults: tuple[str, ...]) -> tuple[Any, ...]:  # noqa: ANN401 - a module
    try:
        return tuple(package.parse_fault(fault) for fault in faults)
    except ValueError as error:
        raise UsageError(f"--fault: {error}") from error


def _announce(url: str, username: str, password: str) -> None:
    output.data(f"export ALERTSITE_URL={url}")
    output.data(f"export ALERTSITE_USERNAME={username}")
    output.data(f"export ALERTSITE_PASSWORD={password}")
    output.say("The sandbox serves until Ctrl-C; paste the lines above into another shell.")
