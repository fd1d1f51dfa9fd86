"""The command that shows a saved plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import console, formats, options, plan_file, provenance
from reconciler.core import saved_plan
from reconciler.errors import ExitCode
from reconciler.render.view import View

if TYPE_CHECKING:
    from reconciler.cli.formats import Outputs
    from reconciler.core.grouping import Detail


@click.command(epilog="Example: reconciler show plan.json --show-requests")
@click.argument("file", metavar="FILE", type=options.FromHere())
@options.show_requests
@options.detail
@options.no_pager
@formats.option(formats.Subject.PLAN)
def show(
    file: str, outputs: Outputs, detail: Detail | None, *, show_requests: bool, no_pager: bool
) -> int:
    """Show a plan from plan --out; needs no network."""
    saved = plan_file.read(file)
    console.note(f"Account: {saved.plan.account}")
    made = provenance.of_saved(saved.basis, file)
    view = View(show_requests=show_requests, detail=detail, pages=not no_pager, made=made)
    outputs.put(saved.plan, lambda: saved_plan.to_json(saved), view)
    return ExitCode.OK
