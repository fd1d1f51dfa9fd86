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
    from reconciler.cli.signals import Signals
    from reconciler.core.drift import Drift
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
        found = _found(location, targets, manifests, told, unmanaged=unmanaged)
        told.tell(DriftFound(found, is_whole=not targets))
        made = provenance.of_run(outputs, told.run, runtime.now())
        outputs.put(found, found.to_json, View(made=made))
        return told.end(ExitCode.CHANGES if found.is_something else ExitCode.OK)


def _found(
    location: str | None,
    targets: tuple[str, ...],
    manifests: str,
    told: Signals,
    *,
    unmanaged: bool,
) -> Drift:
    schemas = installed_schemas()
    run = runtime.begin(location, run=told.run)
    with connect(schemas, limits=run.limits, reporter=told.reporter) as connection:
        known = run.known(connection.account)
        if not known.saved.serial and not known.state.records:
            raise StateError(
                f"{run.store.location}: there is no state to compare with",
                "Check --state, or run apply once to create it.",
            )
        before = known.state.unmanaged
        if unmanaged and before is None:
            raise StateError(
                f"{run.store.location}: the state does not list the monitors that had no manifest",
                "Run apply once to save them, or list all with: reconciler list --unmanaged",
            )
        targets = _by_address(targets, manifests, known.state.all_records)
        live = observe(connection.reader(), schemas.kinds, known.state).live
    today = runtime.now()[:10]
    kinds = schemas.kinds
    records = records_of(known.state, live, kinds)
    found = find_drift(connection.account, records, live, kinds, targets, today)
    if not unmanaged or before is None:
        return found
    before = (*before, *runtime.others().ids)
    return found._replace(unmanaged=find_unmanaged(records, live, kinds, before))


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
