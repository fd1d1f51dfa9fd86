"""The command that tells how an account is."""

from __future__ import annotations

import click

from reconciler.cli import console, options, runtime, selection
from reconciler.core.options import PlanOptions
from reconciler.core.overview import Holder
from reconciler.errors import ExitCode
from reconciler.render.overviews import overview_text
from reconciler.state_store import current
from reconciler.usecases.plan import Workspace
from reconciler.usecases.status import find_status


@click.command(epilog="Example: reconciler status --state git:origin")
@selection.many
@options.manifests
@options.state
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON on stdout.")
def status(manifests: str, location: str | None, *, as_json: bool) -> int:
    """Summarize the account in ten lines: monitors, plan, drift, coverage, cost, last run, lock.

    Never writes, and needs no secrets: changed secrets are not counted. Several accounts are shown
    as a table with a line for each.
    """
    schemas, fleet = options.load(manifests, may_be_empty=True)
    run = runtime.begin(location)
    rules = PlanOptions(prune=runtime.prunes(asked=None))
    workspace = Workspace(fleet, schemas, run.vault(), rules)
    with run.reading(schemas) as (state, reader):
        lease = current(run.store)
        holder = lease and Holder(
            lease.id, lease.holder, lease.host, lease.operation, lease.acquired_at
        )
        today = runtime.now()[:10]
        found = find_status(workspace, state, reader, today, run.store.location, holder)
    part = runtime.part()
    if part is not None:
        part.keep(found)
    if as_json:
        console.document(found.to_json())
        return ExitCode.OK
    age, colour = runtime.age(state.saved_at), console.has_colour()
    console.data(overview_text(found, age=age, colour=colour))
    return ExitCode.OK
