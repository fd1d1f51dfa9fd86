"""The command that shows a saved plan."""

from __future__ import annotations

import click

from reconciler.cli import console, options, plan_file
from reconciler.core import saved_plan
from reconciler.errors import ExitCode


@click.command(epilog="Example: reconciler show plan.json --show-requests")
@click.argument("file", metavar="FILE")
@options.show_requests
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON on stdout.")
def show(file: str, *, show_requests: bool, as_json: bool) -> int:
    """Show a plan that plan --out has written; needs no network."""
    saved = plan_file.read(file)
    console.say(f"Account: {saved.plan.account}")
    if as_json:
        console.document(saved_plan.to_json(saved))
    else:
        options.print_plan(saved.plan, as_json=False, show_requests=show_requests)
    return ExitCode.OK
