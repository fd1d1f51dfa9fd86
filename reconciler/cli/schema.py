"""The command that prints the schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import console
from reconciler.core.nearest import did_you_mean
from reconciler.core.printable import Lines, joined
from reconciler.errors import ConfigurationError, ExitCode, UsageError
from reconciler.schema import schema_folder

if TYPE_CHECKING:
    from pathlib import Path

_ENDING = ".schema.json"


def _completed(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _files() if name.startswith(incomplete)]


@click.command(epilog="Example: reconciler schema email-smtp > schemas/email-smtp.schema.json")
@click.argument("kind", metavar="[KIND]", required=False, shell_complete=_completed)
def schema(kind: str | None) -> int:
    """Print the JSON Schema of a kind, or of a format that reconciler prints or stores.

    Without KIND, list their names.
    """
    files = _files()
    if kind is None:
        console.data(joined(files))
        return ExitCode.OK
    if kind not in files:
        advice = did_you_mean(kind, files)
        raise UsageError(
            f"there is no schema {kind}{advice}", "To list all, run: reconciler schema"
        )
    console.data(Lines(files[kind].read_text(encoding="utf-8").rstrip("\n")))
    return ExitCode.OK


def _files() -> dict[str, Path]:
    """The schemas of this installation, by name."""
    folder = schema_folder()
    found = {path.name.removesuffix(_ENDING): path for path in sorted(folder.glob(f"*{_ENDING}"))}
    if not found:
        raise ConfigurationError(f"there are no schemas in {folder}", "Install reconciler again.")
    return found
