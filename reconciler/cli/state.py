"""The commands that look at the state and repair it."""

from __future__ import annotations

from contextlib import ExitStack

import click

from reconciler import durable
from reconciler.cli import completions, config, console, options, runtime, selection
from reconciler.core.printable import json_lines
from reconciler.core.state import StateDelta, from_text, pending_to_json, record_to_json, to_text
from reconciler.core.targets import with_addresses
from reconciler.errors import ConfigurationError, ExitCode, StateError, UsageError
from reconciler.render.text import quantity
from reconciler.state_session import replace, take_over
from reconciler.state_store import break_lock, current


@click.group(epilog="Example: reconciler state list --state git:origin")
def state() -> None:
    """Inspect and repair the state."""


@state.command("list", epilog="Example: reconciler state list")
@selection.one
@options.state
def list_(location: str | None) -> int:
    """List the records: address, id, and when which run applied it.

    Creates whose outcome is not known are listed after them.
    """
    run = runtime.begin_without_account(location)
    known = run.known(None)
    if not known.saved.serial:
        console.say(f"{run.store.location}: there is no state yet.")
    for address, record in sorted(known.state.records.items()):
        console.data(f"{address}  id {record.id}  applied {record.applied_at}  run {record.run}")
    for address, pending in sorted(known.state.pending_creates.items()):
        was = pending.replaces
        instead = "" if was is None else f" in place of missing monitor {was.id}"
        console.data(
            f"{address}  being created as {pending.body.get('name')!r}{instead} since "
            f"{pending.at}, outcome unknown  run {pending.run}"
        )
    return ExitCode.OK


@state.command(epilog="Example: reconciler state show email-smtp/prod-relay")
@selection.one
@click.argument("address", shell_complete=completions.addresses)
@options.state
def show(address: str, location: str | None) -> int:
    """Show one record, or a create whose outcome is not known, as JSON.

    You can use the id of the monitor instead of ADDRESS.
    """
    run = runtime.begin_without_account(location)
    known = run.known(None).state
    (found,) = with_addresses((address,), (), known.all_records)
    if found in known.records:
        console.document(record_to_json(known.records[found]))
    elif found in known.pending_creates:
        console.document(pending_to_json(known.pending_creates[found]))
    else:
        raise _no_record(run, address)
    return ExitCode.OK


@state.command("rm", epilog="Example: reconciler state rm email-smtp/prod-relay")
@selection.one
@click.argument(
    "addresses",
    metavar="ADDRESS...",
    nargs=-1,
    required=True,
    shell_complete=completions.addresses,
)
@options.state
@options.lock_timeout
def remove(addresses: tuple[str, ...], location: str | None, lock_timeout: float) -> int:
    """Forget records; AlertSite and the manifests stay as they are.

    You can use the id of a monitor instead of its address.
    """
    run = runtime.begin_without_account(location)
    with (
        console.writing() as writes,
        runtime.locked(run, "state rm", lock_timeout) as cancellation,
    ):
        known = run.known(None)
        addresses = with_addresses(addresses, (), known.state.all_records)
        for address in addresses:
            if address not in known.state.records and address not in known.state.pending_creates:
                raise _no_record(run, address)
        nothing = dict.fromkeys(addresses)
        with writes.one(run.store.location):
            recorder = run.recorder(known, "state rm", cancellation, console.reporter())
            recorder.finish(StateDelta(nothing, nothing))
        console.note(f"Forgot {', '.join(addresses)}.")
    return ExitCode.OK


@state.command(epilog="Example: reconciler state unlock 20260101T120000Z-0a1b2c3d")
@selection.one
@click.argument("run_id", metavar="[RUN]", required=False)
@options.state
def unlock(run_id: str | None, location: str | None) -> int:
    """Break the lock of a run that is certainly dead.

    Without RUN, say who holds it.
    """
    run = runtime.begin_without_account(location)
    if run_id is None:
        lease = current(run.store)
        if lease is None:
            console.say(f"{run.store.location} is not locked.")
        else:
            console.data(
                f"{lease.id}  held by {lease.holder} on {lease.host} for {lease.operation}"
                f"{lease.whose} since {lease.acquired_at}, renewed {lease.renewals} times so far"
            )
        return ExitCode.OK
    with console.writing() as writes:
        with writes.one(f"the lock of {run.store.location}"):
            was_locked = break_lock(run.store, run_id)
        if was_locked:
            console.note(f"Removed the lock of run {run_id}.")
        else:
            console.say(f"{run.store.location} is not locked.")
    return ExitCode.OK


@state.command(epilog="Example: reconciler state pull > state.json")
@selection.one
@options.state
def pull(location: str | None) -> int:
    """Print the state as JSON, with what journals of killed runs add."""
    run = runtime.begin_without_account(location)
    known = run.known(None)
    if not known.saved.serial and not known.state.records:
        raise StateError(f"{run.store.location}: there is no state yet", "Run apply once.")
    console.data(json_lines(to_text(known.state).rstrip("\n")), is_json=True)
    return ExitCode.OK


@state.command(epilog="Example: reconciler state push state.json --state git:origin")
@selection.one
@click.argument("file", metavar="FILE", type=options.FromHere())
@options.state
@options.lock_timeout
@click.option(
    "--allow-older",
    is_flag=True,
    help="Go back to FILE although the stored state is newer or cannot be read: records of what "
    "was applied since are lost.",
)
def push(file: str, location: str | None, lock_timeout: float, *, allow_older: bool) -> int:
    """Replace the stored state with the one in FILE.

    A state that is stored must be of the same lineage, and not newer.
    """
    try:
        new = from_text(durable.read_any(file))
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error.strerror}", "Use a file that state pull has printed."
        ) from error
    except StateError as error:
        raise StateError(f"{file}: {error}", error.hint) from error
    run = runtime.begin_without_account(location)
    with console.writing() as writes, runtime.locked(run, "state push", lock_timeout):
        with writes.one(run.store.location):
            records = quantity(len(new.records), "record")
            message = f"state push {run.id}: {records}"
            serial = replace(run.store, new, message, allow_older=allow_older)
        console.note(f"{run.store.location} has serial {serial} with {records}.")
    return ExitCode.OK


@state.command(
    epilog="Example: reconciler state migrate acme-prod --from git:origin#refs/reconciler/state"
)
@click.argument("account", metavar="ACCOUNT")
@click.option(
    "--from",
    "source",
    default="file:.reconciler/state.json",
    metavar="LOCATION",
    type=options.FromHere(config.location_from_root),
    show_default=True,
    help="Where the state was stored until now.",
)
@options.state
@options.lock_timeout
def migrate(account: str, source: str, location: str | None, lock_timeout: float) -> int:
    """Take over the state of a single account for ACCOUNT.

    ACCOUNT is a name in reconciler.toml. Records and runs are copied to where its state is kept,
    under that name. The old state stays where it is, unless that is the same place.
    """
    selection.choose(account)
    run = runtime.begin_without_account(location)
    old = runtime.begin_at(source, run)
    with ExitStack() as stack:
        writes = stack.enter_context(console.writing())
        stack.enter_context(runtime.locked(old, "state migrate", lock_timeout))
        if old.store.location != run.store.location:
            stack.enter_context(runtime.locked(run, "state migrate", lock_timeout))
        with writes.one(run.store.location):
            moved = take_over(old.store, run.store, runtime.account().name, runtime.url(), run.id)
        records = quantity(len(moved.records), "record")
        console.say(f"{run.store.location} is the state of {moved.account}, with {records}.")
    return ExitCode.OK


def _no_record(run: runtime.Run, address: str) -> UsageError:
    return UsageError(
        f"{run.store.location} has no record of {address}",
        "To list all, run: reconciler state list",
    )
