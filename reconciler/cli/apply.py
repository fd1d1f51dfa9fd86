"""The command that makes the changes, after showing them and asking."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from reconciler import render
from reconciler.cli import (
    config,
    console,
    formats,
    options,
    plan_file,
    provenance,
    runtime,
    selection,
    signals,
    spread,
)
from reconciler.cli.runtime import connect
from reconciler.cli.stopping import Stopping
from reconciler.core import safety, saved_plan, undo
from reconciler.core.events import OutcomeKnown
from reconciler.core.generation import check
from reconciler.core.options import PlanOptions
from reconciler.errors import (
    ConfigurationError,
    ExitCode,
    LockedError,
    ReconcilerError,
    RefusedError,
    UsageError,
)
from reconciler.render.text import quantity
from reconciler.render.view import View
from reconciler.schema import installed_schemas
from reconciler.usecases import plan as planning
from reconciler.usecases.apply import Execution, apply_plan
from reconciler.usecases.checkout import find_relation, read_generation
from reconciler.usecases.history import read_run
from reconciler.usecases.plan import Workspace
from reconciler.usecases.undo import look_back, undo_workspace, what_manifests_say
from reconciler.usecases.write_ids import write_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.cli.formats import Outputs
    from reconciler.cli.runtime import Connection
    from reconciler.cli.signals import Signals
    from reconciler.core.grouping import Detail
    from reconciler.core.plan import Plan
    from reconciler.core.result import Outcome
    from reconciler.core.saved_plan import PlanInputs, SavedPlan
    from reconciler.core.state import State
    from reconciler.state_session import Known
    from reconciler.usecases.apply import Applied
    from reconciler.usecases.plan import Planned
    from reconciler.usecases.undo import UndoWorkspace


class ApplyOptions(NamedTuple):
    """How this apply was asked for, by options of these names.

    Attributes:
        lock_timeout: seconds to wait for the lock.
        edits_only: whether what AlertSite has changed by itself stays.
        write_ids: whether ids are written into manifests.
    """

    parallelism: int
    fail_fast: bool
    auto_approve: bool
    show_requests: bool
    detail: Detail | None
    no_pager: bool
    outputs: Outputs
    allow_loss: int | None
    lock_timeout: float
    all_or_nothing: bool = False
    allow_empty: bool = False
    allow_older: bool = False
    allow_different_manifests: bool = False
    edits_only: bool = False
    write_ids: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ApplyOptions:
        """What the options of a command say, by their names."""
        return cls(**given)


class TakingBack(NamedTuple):
    """Which run is taken back.

    Attributes:
        run: its id.
        targets: to which of its addresses that is limited; none for all.
    """

    run: str
    targets: Sequence[str] = ()


@click.command(
    epilog="Example: reconciler apply --auto-approve --parallelism 8; or: reconciler apply p.json"
)
@selection.many
@spread.shard
@spread.executor
@click.argument("file", required=False, metavar="[FILE]", type=options.FromHere())
@options.planning
@options.allow_loss
@click.option(
    "--allow-empty", is_flag=True, help="In this run, allow a fleet without any manifest."
)
@click.option(
    "--allow-older",
    is_flag=True,
    help="In this run, allow a commit that is older than that of the last apply.",
)
@click.option(
    "--allow-different-manifests",
    is_flag=True,
    help="With FILE: if the plan was made from other manifests, apply the changes that both ask "
    "for.",
)
@click.option(
    "--write-ids",
    is_flag=True,
    help="Write the ids of new and adopted monitors into their manifests, as metadata.id.",
)
@options.state
@options.lock_timeout
@options.events
@options.metrics
@options.notify
@formats.option(formats.Subject.RESULT)
@click.option("--auto-approve", is_flag=True, help="Apply without asking.")
@options.parallelism
@options.fail_fast
@click.option(
    "--all-or-nothing",
    is_flag=True,
    help="With FILE: apply nothing if any monitor has changed since the plan.",
)
def apply(
    file: str | None,
    manifests: str,
    targets: tuple[str, ...],
    keep: tuple[str, ...],
    location: str | None,
    events: str | None,
    metrics: str | None,
    notify: tuple[str, ...],
    *,
    adopt: bool,
    write_secrets: bool,
    prune: bool | None,
    **how: object,
) -> int:
    """Change AlertSite to match the manifests, after showing the plan and asking.

    With FILE, a plan from plan --out, apply exactly that plan without asking. Monitors that have
    changed since the plan are refused and listed.
    """
    rules = PlanOptions(targets, adopt, write_secrets, keep=keep)
    asked = ApplyOptions.of(how)
    saved = takes_back = None
    with signals.emitting("apply", events, metrics, notify) as told:
        if file is None:
            for is_given, flag in (
                (asked.all_or_nothing, "--all-or-nothing"),
                (asked.allow_different_manifests, "--allow-different-manifests"),
            ):
                if is_given:
                    raise UsageError(f"{flag} needs FILE, a plan written by plan --out")
            rules = rules._replace(prune=runtime.prunes(asked=prune))
        else:
            if prune is not None or asked.edits_only or rules != PlanOptions():
                raise UsageError(
                    "--target, --adopt, --write-secrets, --prune, --keep and --edits-only have no "
                    "effect on a saved plan",
                    "Use them with plan --out.",
                )
            saved = plan_file.read(file)
            rules = saved.basis.options
            if saved.basis.undoes:
                takes_back = TakingBack(saved.basis.undoes, saved.basis.targets)
        try:
            schemas, fleet = options.load(manifests, may_be_empty=True)
        except ReconcilerError:
            if takes_back is None:  # which says so when it has ended
                raise
            schemas, fleet = installed_schemas(), options.nothing(manifests)
        run = runtime.begin(location, run=told.run)
        workspace = Workspace(fleet, schemas, run.vault(), rules, runtime.budgets())
        return carry_out(workspace, run, saved, asked, told, manifests, takes_back)


def carry_out(
    workspace: Workspace,
    run: runtime.Run,
    saved: SavedPlan | None,
    asked: ApplyOptions,
    told: Signals,
    manifests: str,
    takes_back: TakingBack | None,
) -> int:
    """One apply or undo from its lock to its last line; returns the exit code.

    Args:
        workspace: what is to be planned; of an undo, all but its manifests.
        run: the run.
        saved: the saved plan that is applied; None if a plan is made.
        asked: how it was asked for.
        told: what is told of all that happens.
        manifests: their folder.
        takes_back: the run that is taken back; None for an apply of manifests.
    """
    began = runtime.clock().monotonic()
    operation = "undo" if takes_back else "apply"
    with (
        connect(
            workspace.schemas,
            parallelism=asked.parallelism,
            limits=run.limits,
            reporter=told.reporter,
        ) as connection,
        runtime.locked(run, operation, asked.lock_timeout, connection, told.reporter),
    ):
        applied = _apply(workspace, run, connection, saved, asked, told, manifests, takes_back)
    for outcome in applied.result.outcomes:
        told.tell(OutcomeKnown(outcome, is_confirmed=True))
    unwritten = None
    try:
        made = provenance.of_run(applied.result.run, "")
        asked.outputs.put(applied.result, applied.result.to_json, View(made=made))
    except ConfigurationError as error:  # a file cannot be written; what follows matters too
        unwritten = error
    if asked.write_ids:
        for line in write_ids(workspace, applied.bound):
            console.say(line)
    if applied.is_kept or runtime.part() is None:  # hundreds may have had nothing to do
        seconds = runtime.clock().monotonic() - began
        given = click.get_current_context().params.get("location") or ""
        state = config.location_to_here(given, runtime.here())
        undo = (run.account, state) if applied.can_undo else None
        line = render.run_line(run.id, seconds, undo)
        console.note(line)
    if unwritten is not None:
        console.fail(unwritten)
    if applied.state_error is not None:
        raise applied.state_error
    code = ExitCode.OK if unwritten is None else unwritten.exit_code
    return told.end(applied.result.exit_code or code)


def _apply(
    workspace: Workspace,
    run: runtime.Run,
    connection: Connection,
    saved: SavedPlan | None,
    asked: ApplyOptions,
    told: Signals,
    manifests: str,
    takes_back: TakingBack | None,
) -> Applied:
    """One apply or undo, under the lock.

    Raises:
        LockedError: the lock was lost, so another run may be at work by now.
        RefusedError: the plan holds a refusal, loses too much, or is not the one that was approved;
            or the commit of the manifests is older than that of the last apply.
    """
    writer = connection.writer()
    known = run.known(connection.account)
    clock, part = runtime.clock(), runtime.part()
    approved = part.approved if part is not None else ""
    generation = read_generation(manifests, console.reporter())
    back = None
    if takes_back is not None:
        back = take_back(workspace, run, known.state, takes_back)
        workspace = back.workspace
    else:
        if saved is not None and not generation.commit:  # the plan has that of its own
            generation = saved.basis.generation
        last = known.state.generation
        relation = find_relation(manifests, generation, last)
        if said := check(generation, last, relation, allow_older=asked.allow_older):
            console.say(said)
    # Whoever sent a create that had no answer is over, since this run has the lock.
    grace = planning.Grace(clock, run.grace, connection.cancellation, console.reporter())

    def look() -> Planned:
        if back is not None:
            found = look_back(back, writer, known.state, grace, clock.now())
        else:
            found = planning.look(workspace, writer, known.state, grace, clock.now())
        if reason := connection.cancellation.reason:
            raise LockedError(reason, "Nothing was sent. Run the same command again.")
        return found

    first = look()
    plan = first.plan
    moved: tuple[Outcome, ...] = ()
    if saved is not None:
        # What it sends must be at hand, or it could not be told from what was sent already.
        planning.require_secrets(saved.plan, workspace)
        basis = plan_file.basis(workspace, known.state, run.id, generation)
        plan, moved = _of_saved(saved, basis, workspace, first, known, asked)
    plan = options.only_edits(plan, workspace.schemas, asked=asked.edits_only)
    told.planned(plan, workspace.schemas.kinds, first.live)
    is_something = plan.is_something or bool(back and plan.bindings)
    asks = is_something and saved is None and not asked.auto_approve and not approved
    is_paged = False
    if plan.refusals or ((plan.is_something or not moved) and not approved):
        pages = asks and not asked.no_pager
        view = View(show_requests=asked.show_requests, detail=asked.detail, pages=pages)
        is_paged = formats.print_plan(plan, view, to_stderr=not asked.outputs.is_text)
    whole = plan
    if back is not None:
        plan, refused = undo.parted(whole, back.undoing.record)
        moved = tuple(sorted((*moved, *refused), key=lambda item: item.change.address))
        refuse_nothing_left(plan, refused)
    planning.refuse_refusals(plan)
    if part is not None and approved:
        planning.refuse_other(plan, approved, part.digests)
    planning.require_secrets(plan, workspace)
    safety.refuse_unsafe(
        plan.coverage,
        described=len(workspace.fleet.desired),
        recorded=len(known.state.records),
        allow_loss=asked.allow_loss,
        allow_empty=asked.allow_empty or bool(workspace.undoes),
    )
    if asks:
        if is_paged:  # then nothing of it is on the terminal any more
            console.data(render.summary_text(plan, colour=console.has_colour(sys.stdout)))
        console.approve("Apply these changes?")
        first = look()
        again = options.only_edits(first.plan, workspace.schemas, asked=asked.edits_only)
        planning.refuse_stale(whole, again)
    used = saved.basis.id if saved is not None and not moved else None
    undoes = takes_back.run if takes_back is not None else ""
    about = run.about("undo" if undoes else "apply", generation, plan, undoes)
    with _executing(len(plan.changes), connection, run, asked, told) as execution:
        recorder = run.recorder(known, about.operation, execution.cancellation, execution.reporter)
        applied = apply_plan(plan, first, workspace, writer, recorder, execution, about, used)
    if back is not None:
        say_what_is_left(plan, back, known.state, run, manifests)
    return applied._replace(result=applied.result.with_moved(moved))


@contextmanager
def _executing(
    count: int, connection: Connection, run: runtime.Run, asked: ApplyOptions, told: Signals
) -> Iterator[Execution]:
    """How so many changes are made: with their progress shown, until a signal stops the run."""
    gc.enable()  # requests leave garbage behind, and there may be thousands
    clock = runtime.clock()
    if runtime.part() is None:  # else whoever started the parts is told of signals for all
        gc.freeze()
        stopping = Stopping(clock)
        stopping.add(connection.cancellation, connection.session.cut)
        stopping.listen()
    with console.progress(count, clock.monotonic) as shown:

        def progress(outcome: Outcome) -> None:
            told.tell(OutcomeKnown(outcome, is_confirmed=False))
            shown.progress(outcome)

        yield Execution(
            parallelism=asked.parallelism,
            fail_fast=asked.fail_fast,
            cancellation=connection.cancellation,
            reporter=told.reporter._replace(progress=progress),
            clock=clock,
            grace=run.grace,
        )


def _of_saved(
    saved: SavedPlan,
    basis: PlanInputs,
    workspace: Workspace,
    first: Planned,
    known: Known,
    asked: ApplyOptions,
) -> tuple[Plan, tuple[Outcome, ...]]:
    """What is left of a saved plan here and now, and what of it has moved.

    Raises:
        RefusedError: it was made from something else, was applied already, or something moved and
            it is all or nothing.
    """
    allow = asked.allow_different_manifests
    if said := saved_plan.refuse_foreign(saved, basis, known.state.account, allow_different=allow):
        console.say(said)
    others = None if saved.basis.manifests == basis.manifests else workspace.fleet.desired
    review = saved_plan.review(
        saved.plan,
        first.plan,
        first.by_id,
        workspace.schemas.kinds,
        tracks=workspace.vault.tracks,
        others=others,
    )
    if review.done:
        done = quantity(review.done, "change of the plan was", "changes of the plan were")
        console.say(f"{done} already made.")
    if review.moved and asked.all_or_nothing:
        console.say(render.outcomes_text(review.moved, colour=console.has_colour(sys.stderr)))
        raise RefusedError(
            "AlertSite has changed since the plan was made, as shown above; nothing is applied",
            "Make a new plan, or apply the rest without --all-or-nothing.",
        )
    if review.plan.changes and saved.basis.id in known.state.applied_plans:
        raise RefusedError(
            "this plan was already applied completely, and a plan can be used only once; AlertSite "
            "has changed since",
            "Make a new plan: reconciler plan --out FILE",
        )
    return review.plan, review.moved


def take_back(
    workspace: Workspace, run: runtime.Run, state: State, asked: TakingBack
) -> UndoWorkspace:
    """The workspace that takes the run back; says which run that is, and what stays."""
    record = read_run(run.store, asked.run)
    found = undo_workspace(workspace, record, state, asked.targets)
    who = f" of {record.about.actor}" if record.about.actor else ""
    console.say(f"Undo of {record.about.operation} {record.id}{who}, {record.about.began}.")
    return found


def refuse_nothing_left(plan: Plan, moved: Sequence[Outcome]) -> None:
    """Stops if all that could be taken back is refused.

    Raises:
        RefusedError: naming how much that is.
    """
    if moved and not plan.changes and not plan.bindings:
        what = quantity(len(moved), "monitor is", "monitors are")
        raise RefusedError(f"{what} refused; there is nothing else to undo")


def say_what_is_left(
    plan: Plan, found: UndoWorkspace, state: State, run: runtime.Run, manifests: str
) -> None:
    """Says what an undo does not do; the state is that before it."""
    for line in found.undoing.left:
        console.say(line)
    if said := what_manifests_say(plan, found, state.records, run.store, manifests):
        console.say(said)
