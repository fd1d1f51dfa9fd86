"""The command that shows what AlertSite changed since the last apply."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from reconciler import usecases
from reconciler.cli import config, formats, options, provenance, runtime, signals
from reconciler.cli.runtime import connect
from reconciler.core.drift import find_drift, find_unmanaged
from reconciler.core.events import DriftFound
from reconciler.core.options import with_addresses
from reconciler.errors import ExitCode, StateError, UsageError
from reconciler.render.view import View
from reconciler.schema import installed_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.cli.formats import Outputs
    from reconciler.cli.signals import Signals
    from reconciler.core.drift import Drift
    from reconciler.core.state import Record


@click.command(epilog="Example: reconciler drift --state git:origin --json")
@options.state
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="Only monitors that match: an address, an id or a glob over addresses. May be repeated.",
)
@click.option(
    "--unmanaged",
    is_flag=True,
    help="Also look for monitors that somebody has made by hand since the last apply.",
)
@options.events
@options.metrics
@options.notify
@formats.option(formats.Subject.DRIFT)
def drift(
    location: str | None,
    targets: tuple[str, ...],
    events: str | None,
    metrics: str | None,
    notify: tuple[str, ...],
    outputs: Outputs,
    *,
    unmanaged: bool,
) -> int:
    """Show what AlertSite did since the last apply; never writes, exits with 2 if there is any.

    It compares AlertSite with the state and needs no manifests; what lifecycle.ignore named at the
    last apply is left out until its day.
    """
    with signals.emitting(signals.Wanted(events, metrics, notify), "drift") as told:
        found = _found(location, targets, told, unmanaged=unmanaged)
        told.tell(DriftFound(found, is_whole=not targets))
        made = provenance.of_run(outputs, told.run, runtime.now())
        outputs.put(found, found.to_json, View(made=made))
        return told.end(ExitCode.CHANGES if found.is_something else ExitCode.OK)


def _found(
    location: str | None, targets: tuple[str, ...], told: Signals, *, unmanaged: bool
) -> Drift:
    schemas = installed_schemas()
    run = runtime.begin(location, embedded=config.is_silent(os.environ), run=told.run)
    with connect(schemas, limits=run.limits, reporter=told.reporter) as connection:
        known = run.known(connection.account)
        if not known.saved.serial and not known.state.records:
            raise StateError(
                f"{run.store.location}: there is no state to compare with",
                "Check --state; or run apply once, which makes it.",
            )
        before = known.state.unmanaged
        if unmanaged and before is None:
            raise StateError(
                f"{run.store.location}: the state does not say which monitors were there without a "
                "manifest",
                "Run apply once, which notes them; or list all: reconciler list --unmanaged",
            )
        targets = with_addresses(targets, (), known.state.records)
        _check_targets(targets, known.state.records)
        live = usecases.observe(connection.reader(), schemas.kinds, known.state).live
    today = runtime.now()[:10]
    records, kinds = known.state.records, schemas.kinds
    found = find_drift(connection.account, records, live, kinds, targets, today)
    if not unmanaged or before is None:
        return found
    return found._replace(unmanaged=find_unmanaged(records, live, kinds, before))


def _check_targets(targets: Iterable[str], records: Mapping[str, Record]) -> None:
    """Stops if a target means nothing: a job that looks at nothing would never tell.

    Raises:
        UsageError: it matches no record.
    """
    for target in targets:
        if not any(fnmatchcase(address, target) for address in records):
            raise UsageError(
                f"--target {target} matches no record",
                "Here a target is an address such as email-smtp/prod-relay or a glob; "
                "reconciler state list shows all.",
            )
