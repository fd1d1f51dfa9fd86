"""The command that serves the sandbox."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import console, options
from reconciler.cli.runtime import import_sandbox, read_seed, starting_sandbox
from reconciler.errors import ExitCode, UsageError
from reconciler.schema import installed_schemas

if TYPE_CHECKING:
    import os


_EXAMPLES = """\b
Example: reconciler sandbox --world lag=10 --fault 'PATCH * status=503'
A create under way:
  --world backend=5 --fault 'POST /monitors/* status=504 act=late'"""


class _FilePath(click.Path):
    """A file that is named in the working folder: as the root sees it."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - as click says it
        """The path below the root, or beside it."""
        return super().convert(options.FromHere().convert(str(value), param, ctx), param, ctx)


@click.command(epilog=_EXAMPLES)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--db",
    "database",
    type=_FilePath(dir_okay=False, path_type=Path),
    help="SQLite file for the account; in memory by default.",
)
@click.option(
    "--seed-file",
    type=_FilePath(exists=True, dir_okay=False, path_type=Path),
    help="JSON list of monitors, as GET returns them, for a new account. Default: the sample "
    "fleet.",
)
@click.option(
    "--seed-count",
    type=click.IntRange(0, 100_000),
    metavar="N",
    help="Give a new account N generated monitors instead: always the same ones, with odd names "
    "and notes, numbers as strings, and unknown fields.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="RULE",
    help="Misbehave: METHOD PATH-GLOB KEY=VALUE…, see above. May be repeated.",
)
@click.option(
    "--world",
    "worlds",
    multiple=True,
    metavar="KEY[=VALUE],…",
    help="Behave as AlertSite might where it is not documented, see above. May be repeated.",
)
@click.option(
    "--request-log",
    type=_FilePath(dir_okay=False, path_type=Path),
    help="Append one JSON object for each request to this file.",
)
@click.option(
    "--token-life",
    type=click.FloatRange(min=0),
    default=3600.0,
    help="Lifetime of a token, in seconds.",
)
@click.option(
    "--page-size", type=click.IntRange(min=1), help="Split lists into pages of this many monitors."
)
@click.option(
    "--login",
    "logins",
    multiple=True,
    metavar="NAME:PASSWORD",
    help="Serve one more account at the same URL, for this login; empty at first. May be repeated.",
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
    worlds: tuple[str, ...],
    request_log: Path | None,
    token_life: float,
    page_size: int | None,
    secret_fields: str,
    logins: tuple[str, ...],
    *,
    strict: bool,
) -> int:
    """Serve an AlertSite account on loopback until interrupted.

    Prints the variables that point other commands at it.

    \b
    --fault, keys of a rule. None is known to be AlertSite's behaviour:
      status=N             answer N with an error; without act or body, only that
      body=html|truncated  act, then answer a proxy's page, or half of the answer
      body=trickle         act, then answer ten bytes a second
      act=first            act, then answer the status: status=503 act=first
      act=late             the same, not waiting for a create that is under way
                           (world backend); body=html does not wait either
      drop=before|after    close the connection before or after acting, no answer
      delay=SECONDS        wait before anything else
      retry-after=VALUE    send this header with the status
      skip=N, times=N      let N requests pass first; apply to N requests only

    \b
    --world, off by default, may be combined. None is known to be AlertSite's:
      lag=SECONDS          a created monitor is in the list only after that long
      late=SECONDS         GET shows what a PATCH changed only after that long
      backend=SECONDS      a create takes effect that long after it arrived,
                           whatever becomes of its client and its answer
      offset=ignored       the list ignores offset
      offset=page          offset counts pages, not monitors
      offset=needs-limit   offset has no effect unless limit is sent too
      count=page           count is the length of the page (total: of all pages)
      count=none           count is null
      short=N              lists leave out the last N monitors, but count them
      hide=N               lists leave out the last N monitors, uncounted
      locations=merge      PATCH adds to locations and custom_properties
                           (replace: it replaces them)
      extra-keys           locations and custom_properties have more keys
      no-type              GET shows no type
      no-filter            the list ignores type=
      trim                 texts are stored without white space around them
      crlf                 line breaks are stored as CRLF
      lower-host           hostnames are stored in lower case
      names=trim           names are stored without white space around them
      names=blanks         … with one blank for each run of white space inside
      names=nfc            … in Unicode's composed form
      names=html           … escaped, as in &amp;
      names=cut:N          … cut after N characters; names= may be repeated
      drop=FIELD           POST and PATCH accept FIELD and forget it; repeatable
      bools=yn|01|text     GET shows "y" and "n", 1 and 0, or "true" and "false"
      expired=400          an expired token is refused with 400 (401: with 401)
      lies=create-id       hostile: a create is answered with another monitor's id
      lies=previous-id     hostile: … with the id of the create before it
      reuse-ids            a new monitor may get the id of a deleted one
      vanish=first|ID      a monitor is deleted once the first page is served
    """  # noqa: D301 - \b is click's mark for text that is not to be rewrapped
    gc.enable()  # it may serve for days
    package = import_sandbox("the sandbox needs the packages starlette and uvicorn")
    schemas = installed_schemas().documents
    if seed_file is not None and seed_count is not None:
        raise UsageError("--seed-file and --seed-count cannot be used together", "Use one of them.")
    seed = package.seeded(seed_count, schemas) if seed_count is not None else read_seed(seed_file)
    taken, further = {package.USERNAME, package.VIEWER.username}, []
    for text in logins:
        username, _, password = text.partition(":")
        if not username or not password:
            raise UsageError("--login needs a name and a password", "Write it as NAME:PASSWORD.")
        if username in taken:
            raise UsageError(f"--login: the user {username} already exists", "Use another name.")
        taken.add(username)
        further.append(package.UserLogin(username, password))
    try:
        rules = [package.parse_fault(fault) for fault in faults]
    except ValueError as error:
        raise UsageError(f"--fault: {error}") from error
    try:
        world = package.parse_world(",".join(worlds))
    except ValueError as error:
        raise UsageError(
            f"--world: {error}", "For the values, run: reconciler sandbox --help"
        ) from error
    options = package.Options(
        schemas=schemas,
        seed=seed,
        logins=further,
        database=database,
        port=port,
        request_log=request_log,
        token_life=token_life,
        page_size=page_size,
        strict=strict,
        secret_fields=secret_fields,
        controls=package.Controls(world, rules),
    )

    def announce(url: str) -> None:
        console.data(f"export ALERTSITE_URL={url}")
        console.data(f"export ALERTSITE_USERNAME={package.USERNAME}")
        console.data(f"export ALERTSITE_PASSWORD={package.PASSWORD}")
        console.note("The sandbox serves until Ctrl-C; paste the lines above into another shell.")

    with starting_sandbox("Choose another --port, --db or --request-log."):
        package.serve(options, announce)
    return ExitCode.OK
