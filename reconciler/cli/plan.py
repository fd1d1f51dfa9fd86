"""The command that shows what would change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from reconciler.cli import keeping, options, output, settings
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.plan import Plan
    from reconciler.state import State
    from reconciler.workflow import Workspace


_WHY = "A plan that is to be applied is made from AlertSite."


@click.command(epilog="Example: reconciler plan --target 'email-smtp/*' --show-requests")
@options.manifests
@options.target
@options.show_requests
@options.adopt
@options.write_secrets
@options.prune
@options.keep
@options.state
@click.option("--offline", is_flag=True, help="Compare with the state; ask AlertSite nothing.")
@click.option("--out", metavar="FILE", help="Write the plan down, for apply FILE and show FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON on stdout.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes, as Terraform."
)
def plan(
    manifests: str,
    targets: tuple[str, ...],
    keep: tuple[str, ...],
    location: str | None,
    out: str | None,
    *,
    show_requests: bool,
    adopt: bool,
    write_secrets: bool,
    prune: bool,
    offline: bool,
    as_json: bool,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would change; never writes to AlertSite or the state (alias: diff)."""
    from reconciler import workflow  # noqa: PLC0415
    from reconciler.rules import Rules  # noqa: PLC0415

    if offline and out:
        raise UsageError("--offline and --out exclude each other", _WHY)
    schemas, fleet = options.load(manifests, may_be_empty=True)
    rules = Rules(targets, adopt, write_secrets, prune, keep)
    run = _begin(location, offline=offline)
    workspace = workflow.Workspace(fleet, schemas, run.vault(), rules, keeping.budgets())
    found, state = _offline(workspace, run, as_json=as_json) if offline else _online(workspace, run)
    options.print_plan(found, as_json=as_json, show_requests=show_requests)
    if out is not None:
        from reconciler.cli import plan_file  # noqa: PLC0415

        with output.writing() as writes, writes.one(out):
            plan_file.write(out, found, workspace, state, run.id, manifests)
    workflow.refuse_refusals(found)
    return ExitCode.CHANGES if detailed_exitcode and found.is_something else ExitCode.OK


def _begin(location: str | None, *, offline: bool) -> keeping.Run:
    if offline:
        return keeping.begin_without_account(location)
    return keeping.begin(location, embedded=settings.is_silent(os.environ))


def _online(workspace: Workspace, run: keeping.Run) -> tuple[Plan, State]:
    from reconciler import workflow  # noqa: PLC0415
    from reconciler.cli.connection import connect  # noqa: PLC0415

    with connect(workspace.schemas, output.say, limits=run.limits) as connection:
        state = run.known(connection.account).state
        now = keeping.clock().now()
        return workflow.look(workspace, connection.reader(), state, now=now).plan, state


def _offline(workspace: Workspace, run: keeping.Run, *, as_json: bool) -> tuple[Plan, State]:
    from reconciler import workflow  # noqa: PLC0415

    state = run.known(None).state
    now = keeping.clock().now()
    found = workflow.plan_offline(workspace, state, run.store.location, now)
    (output.say if as_json else output.data)(
        f"Offline: compared with the state that was saved {keeping.age(state.saved_at)} "
        f"({state.saved_at}, serial {state.serial}); AlertSite was not asked."
    )
    return found, state
