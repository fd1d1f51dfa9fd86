"""The command that takes a run back."""

from __future__ import annotations

import click

from reconciler.cli import (
    completions,
    console,
    formats,
    options,
    plan_file,
    runtime,
    selection,
    signals,
)
from reconciler.cli.apply import (
    ApplyOptions,
    TakingBack,
    carry_out,
    refuse_nothing_left,
    say_what_is_left,
    take_back,
)
from reconciler.core import undo as core
from reconciler.errors import ExitCode
from reconciler.render.view import View
from reconciler.schema import installed_schemas
from reconciler.usecases.checkout import read_generation
from reconciler.usecases.history import LAST, last_run, read_run
from reconciler.usecases.plan import Workspace
from reconciler.usecases.undo import look_back


@click.command(
    epilog="Example: reconciler undo last; or: reconciler undo 20260101T120000Z-0a1b2c3d --target "
    "'email-smtp/*'"
)
@selection.one
@click.argument(
    "run_id", metavar="RUN", required=False, default="", shell_complete=completions.runs_to_undo
)
@options.manifests
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="Only undo changes to this address, or to addresses that this glob matches. May be "
    "repeated.",
)
@options.show_requests
@options.detail
@options.no_pager
@options.allow_loss
@options.state
@options.lock_timeout
@options.events
@options.metrics
@options.notify
@formats.option(formats.Subject.RESULT)
@click.option(
    "--out",
    metavar="FILE",
    type=options.FromHere(),
    help="Save the plan for apply FILE; change nothing.",
)
@click.option("--auto-approve", is_flag=True, help="Undo without asking.")
@options.parallelism
@options.fail_fast
def undo(
    run_id: str,
    manifests: str,
    targets: tuple[str, ...],
    location: str | None,
    events: str | None,
    metrics: str | None,
    notify: tuple[str, ...],
    out: str | None,
    **given: object,
) -> int:
    """Undo a run, after showing the plan and asking.

    Restore every field that the run changed, retire the monitors that it created, and recreate
    those that it deleted. Monitors that have changed since are refused and listed. RUN is the id of
    the run or a prefix of it; reconciler history lists the runs. RUN can also be last: the last run
    that changed something, is not an undo, and has not been undone.
    """
    if out is not None:
        plan_file.check(out)
    with signals.emitting("undo", events, metrics, notify) as told:
        schemas = installed_schemas()
        run = runtime.begin(location, run=told.run)
        fleet = options.nothing(manifests)
        workspace = Workspace(fleet, schemas, run.vault(), budgets=runtime.budgets())
        record = last_run(run.store) if run_id == LAST else read_run(run.store, run_id)
        asked = TakingBack(record.id, targets)
        how = ApplyOptions.of(given)
        if out is None:
            return carry_out(workspace, run, None, how, told, manifests, asked)
        with run.reading(schemas, told.reporter) as (state, reader):
            back = take_back(workspace, run, state, asked)
            now = runtime.clock().now()
            found = look_back(back, reader, state, now=now)
            told.planned(found.plan, schemas.kinds, found.live)
        view = View(show_requests=how.show_requests, detail=how.detail, pages=not how.no_pager)
        formats.print_plan(found.plan, view)
        plan, moved = core.parted(found.plan, back.undoing.record)
        refuse_nothing_left(plan, moved)
        with console.writing() as writes, writes.one(out):
            generation = read_generation(manifests, console.reporter())
            plan_file.write(out, plan, back.workspace, state, run.id, generation, targets)
        say_what_is_left(plan, back, state, run, manifests)
        return told.end(ExitCode.OK)
