"""The command that shows what would change."""

from __future__ import annotations

import click

from reconciler.cli import options, output
from reconciler.errors import ExitCode


@click.command(epilog="Example: reconciler plan --target 'email-smtp/*' --show-requests")
@options.manifests
@options.target
@options.show_requests
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON on stdout.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes, as Terraform."
)
def plan(
    manifests: str,
    targets: tuple[str, ...],
    *,
    show_requests: bool,
    as_json: bool,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would change; never writes (alias: diff)."""
    from reconciler import workflow  # noqa: PLC0415
    from reconciler.cli.connection import connect  # noqa: PLC0415

    schemas, fleet = options.load(manifests)
    with connect(schemas, output.say) as connection:
        found = workflow.plan_workspace(fleet, connection.reader(), schemas, targets)
    options.print_plan(found, as_json=as_json, show_requests=show_requests)
    workflow.refuse_refusals(found)
    return ExitCode.CHANGES if detailed_exitcode and found.changes else ExitCode.OK
