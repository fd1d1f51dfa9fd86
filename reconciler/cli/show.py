"""The command that shows a saved plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import console, formats, options, plan_file
from reconciler.core import saved_plan
from reconciler.errors import ExitCode
from reconciler.render.view import View

if TYPE_CHECKING:
    from reconciler.cli.formats import Outputs


@click.command(epilog="Example: reconciler show plan.json --show-requests")
@click.argument("file", metavar="FILE")
@options.show_requests
@formats.option(formats.Subject.PLAN)
def show(file: str, outputs: Outputs, *, show_requests: bool) -> int:
    """Show a plan that plan --out has written; needs no network."""
    saved = plan_file.read(file)
    console.say(f"Account: {saved.plan.account}")
    view = View(show_requests=show_requests)
    outputs.put(saved.plan, lambda: saved_plan.to_json(saved), view)
    return ExitCode.OK
