"""The command that shows what would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import (
    console,
    formats,
    options,
    provenance,
    runtime,
    selection,
    signals,
    spread,
)
from reconciler.core.generation import ALLOW_OLDER, Generation, age
from reconciler.core.options import PlanOptions
from reconciler.core.safety import ALLOW_EMPTY, emptiness
from reconciler.errors import ExitCode, UsageError
from reconciler.render.view import View
from reconciler.usecases import plan as planning

if TYPE_CHECKING:
    from reconciler.cli.formats import Outputs
    from reconciler.core.grouping import Detail


_WHY = "A plan to apply must be made from AlertSite."


@click.command(epilog="Example: reconciler plan --target 'email-smtp/*' --show-requests")
@selection.many
@spread.shard
@spread.executor
@options.planning
@options.state
@options.events
@options.metrics
@click.option(
    "--offline", is_flag=True, help="Compare with the state, without contacting AlertSite."
)
@click.option(
    "--out",
    metavar="FILE",
    type=options.FromHere(),
    help="Save the plan, for apply FILE and show FILE.",
)
@formats.option(formats.Subject.PLAN)
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit with 2 when there are changes, as Terraform does.",
)
def plan(
    manifests: str,
    targets: tuple[str, ...],
    keep: tuple[str, ...],
    location: str | None,
    out: str | None,
    outputs: Outputs,
    events: str | None,
    metrics: str | None,
    detail: Detail | None,
    *,
    show_requests: bool,
    no_pager: bool,
    adopt: bool,
    write_secrets: bool,
    prune: bool | None,
    edits_only: bool,
    offline: bool,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would change; never writes to AlertSite or the state (alias: diff)."""
    if offline and out:
        raise UsageError("--offline and --out cannot be used together", _WHY)
    if out is not None:
        from reconciler.cli import plan_file  # 4 ms

        plan_file.check(out)
    with signals.emitting("plan", events, metrics) as told:
        schemas, fleet = options.load(manifests, may_be_empty=True)
        rules = PlanOptions(targets, adopt, write_secrets, runtime.prunes(asked=prune), keep)
        begin = runtime.begin_without_account if offline else runtime.begin
        run = begin(location, run=told.run)
        workspace = planning.Workspace(fleet, schemas, run.vault(), rules, runtime.budgets())
        if offline:
            state = run.known(None).state
            now = runtime.clock().now()
            found = planning.plan_offline(workspace, state, run.store.location, now)
            told.planned(found)
            (console.data if outputs.is_text else console.say)(
                f"Offline: compared with the state saved {runtime.age(state.saved_at)} "
                f"({state.saved_at}, serial {state.serial}); AlertSite was not read."
            )
        else:
            with run.reading(schemas, told.reporter) as (state, reader):
                now = runtime.clock().now()
                seen = planning.look(workspace, reader, state, now=now)
                found = seen.plan
                told.planned(found, schemas.kinds, seen.live)
        found = options.only_edits(found, schemas, asked=edits_only)
        made = provenance.of_plan(outputs, rules, run.id, runtime.now(), manifests, location, out)
        view = View(show_requests=show_requests, detail=detail, pages=not no_pager, made=made)
        if empty := emptiness(len(fleet.desired), len(state.records)):
            console.say(
                f"Warning: {fleet.where}: {empty}. Check the folder; apply refuses this without "
                f"{ALLOW_EMPTY}."
            )
        outputs.put(found, found.to_json, view)
        generation = Generation()
        if out is not None or state.generation.commit:
            from reconciler.usecases import checkout  # 4 ms, and 8 to ask git

            generation = checkout.read_generation(manifests, console.reporter())
            last = state.generation
            if old := age(generation, last, checkout.find_relation(manifests, generation, last)):
                console.say(f"Warning: {old}: apply refuses this without {ALLOW_OLDER}.")
        if out is not None:
            from reconciler.cli import plan_file

            with console.writing() as writes, writes.one(out):
                plan_file.write(out, found, workspace, state, run.id, generation)
        planning.refuse_refusals(found)
        is_changed = detailed_exitcode and found.is_something
        return told.end(ExitCode.CHANGES if is_changed else ExitCode.OK)
