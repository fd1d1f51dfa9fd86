"""The command that shows what AlertSite changed since the last apply."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from reconciler.cli import formats, options, provenance, runtime, selection, signals, spread
from reconciler.cli.runtime import connect
from reconciler.core.drift import find_drift, find_unmanaged
from reconciler.core.events import DriftFound
from reconciler.core.pending import records_of
from reconciler.core.targets import GRAMMAR, NOT, bare, matches, with_addresses
from reconciler.errors import ExitCode, StateError, UsageError
from reconciler.render.view import View
from reconciler.schema import installed_schemas
from reconciler.usecases.plan import observe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.cli.formats import Outputs
    from reconciler.core.state import Record
    from reconciler.usecases.load import Fleet


@click.command(epilog="Example: reconciler drift --state git:origin --json")
@selection.many
@spread.shard
@options.state
@options.target
@options.manifests
@click.option(
    "--unmanaged",
    is_flag=True,
    help="Also report monitors that were created by hand since the last apply.",
)
@options.events
@options.metrics
@options.notify
@formats.option(formats.Subject.DRIFT)
def drift(
    location: str | None,
    targets: tuple[str, ...],
    manifests: str,
    events: str | None,
    metrics: str | None,
    notify: tuple[str, ...],
    outputs: Outputs,
    *,
    unmanaged: bool,
) -> int:
    """Show what changed in AlertSite since the last apply; exits with 2 if anything did.

    It compares AlertSite with the state, and reads manifests only for a target that is a label or
    a path. Fields that lifecycle.ignore named at the last apply are skipped until their day.
    """
    with signals.emitting("drift", events, metrics, notify) as told:
        schemas = installed_schemas()
        kinds = schemas.kinds
        run = runtime.begin(location, run=told.run)
        is_whole = not targets
        with connect(schemas, limits=run.limits, reporter=told.reporter) as connection:
            known = run.known(connection.account)
            state, place = known.state, run.store.location
            if not known.saved.serial and not state.records:
                raise StateError(
                    f"{place}: there is no state to compare with",
                    "Check --state, or run apply once to create it.",
                )
            if unmanaged and state.unmanaged is None:
                raise StateError(
                    f"{place}: the state does not list the monitors that had no manifest",
                    "Run apply once to save them, or list all with: reconciler list --unmanaged",
                )
            targets = _by_address(targets, manifests, state.all_records)
            live = observe(connection.reader(), kinds, state).live
        records = records_of(state, live, kinds)
        today = runtime.now()[:10]
        found = find_drift(connection.account, records, live, kinds, targets, today)
        if unmanaged and state.unmanaged is not None:
            before = (*state.unmanaged, *runtime.others().ids)
            found = found._replace(unmanaged=find_unmanaged(records, live, kinds, before))
        told.tell(DriftFound(found, is_whole=is_whole))
        made = provenance.of_run(told.run, runtime.now())
        outputs.put(found, found.to_json, View(made=made))
        return told.end(ExitCode.CHANGES if found.is_something else ExitCode.OK)


def _by_address(
    targets: Iterable[str], manifests: str, records: Mapping[str, Record]
) -> tuple[str, ...]:
    """The targets, as addresses and globs over them.

    Raises:
        UsageError: one means nothing: a job that looks at nothing would never tell.
    """
    found: list[str] = []
    fleet: Fleet | None = None
    for target in with_addresses(tuple(targets), (), records):
        name = bare(target)
        if any(fnmatchcase(address, name) for address in records):
            found.append(target)
            continue
        if fleet is None and os.path.lexists(manifests):
            _, fleet = options.load_quietly(manifests)
        meant = [item.address for item in fleet.desired if matches(item, name)] if fleet else []
        known = [address for address in meant if address in records]
        if not known:
            raise UsageError(
                f"--target {name} matches no record",
                f"A target is {GRAMMAR}. To see all records, run: reconciler state list",
            )
        found += [f"{NOT}{address}" if target != name else address for address in known]
    return tuple(found)
