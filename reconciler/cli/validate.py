"""The command that checks manifests without a network."""

from __future__ import annotations

import click

from reconciler.cli import options, output
from reconciler.errors import ExitCode, InvalidManifestsError


@click.command(epilog="Example: reconciler validate monitors/mail-core --format github")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How to print the findings.",
)
def validate(paths: tuple[str, ...], form: str) -> int:
    """Check manifests against their schemas; needs no network.

    Every PATH is a file or folder; without one, the folder monitors is checked.
    """
    from reconciler import render  # noqa: PLC0415

    try:
        _, fleet = options.load(*(paths or ("monitors",)))
    except InvalidManifestsError as error:
        match form:
            case "json":
                output.data(render.as_json(render.findings_json(error.findings)))
            case "github":
                output.data(render.findings_github(error.findings))
            case _:
                output.data(render.findings_text(error.findings))
        output.say(f"{error}.")
        return error.exit_code
    if form == "json":
        output.data(render.as_json(render.findings_json(())))
    output.say(f"Valid: {_count(len(fleet.desired), 'manifest')} in {_count(fleet.files, 'file')}.")
    return ExitCode.OK


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
