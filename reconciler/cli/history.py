"""The command that shows what runs have done."""

from __future__ import annotations

import click

from reconciler.cli import completions, console, options, runtime, selection
from reconciler.errors import ConfigurationError, ExitCode, InvalidManifestsError, UsageError
from reconciler.render.history import history_text, run_text
from reconciler.schema import installed_schemas
from reconciler.usecases.history import check_is_known, read_run, read_runs
from reconciler.usecases.load import load


@click.command(
    epilog="Example: reconciler history email-smtp/prod-relay.port; or: reconciler history show "
    "20260101T120000Z-0a1b2c3d"
)
@selection.many
@click.argument(
    "asked",
    metavar="[ADDRESS[.FIELD] | show RUN]",
    nargs=-1,
    shell_complete=completions.history,
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show the last N runs.",
)
@options.state
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON on stdout.")
def history(asked: tuple[str, ...], limit: int, location: str | None, *, as_json: bool) -> int:
    """Show what runs have done: who, when and from which commit, newest first.

    With ADDRESS or ADDRESS.FIELD: the runs that changed it, and how. With show RUN: one run in
    full; RUN is its id or a prefix of it.
    """
    looking = runtime.begin_without_account(location)
    if looking.account:
        looking.known(None)  # which refuses the state of another account
    store = looking.store
    match asked:
        case ("show", run_id):
            run = read_run(store, run_id)
            if as_json:
                console.document({"runs": [run.to_json()]})
            else:
                text = run_text(run, colour=console.has_colour())
                if not console.page(text):
                    console.data(text)
            return ExitCode.OK
        case ():
            address = ""
        case (address,) if address != "show":
            pass
        case _:
            raise UsageError(
                f"history does not accept {' '.join(asked)}",
                "Use reconciler history ADDRESS, or reconciler history show RUN.",
            )
    runs, errors = read_runs(store, address, limit)
    if address and not runs and not errors:  # it may be a typing error
        schemas = installed_schemas()
        try:
            desired = load(options.sources(*runtime.account().manifests), schemas).desired
        except InvalidManifestsError:  # any of them may have the address
            pass
        except ConfigurationError:  # there are none
            check_is_known(store, address, (), schemas.kinds)
        else:
            check_is_known(store, address, desired, schemas.kinds)
    if as_json:
        console.document({"runs": [run.to_json() for run in runs]})
    elif not runs and not errors:
        console.say(f"{store.location}: no runs{f' of {address}' if address else ''} yet.")
    elif runs:
        colour = console.has_colour()
        console.data(history_text(runs, whole=bool(address), colour=colour))
    codes = [console.fail(error) for error in errors]
    return codes[0] if codes else ExitCode.OK
