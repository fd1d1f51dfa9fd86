"""The command that makes the changes, after showing them and asking."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from reconciler.cli import options, output
from reconciler.errors import RefusedError

if TYPE_CHECKING:
    import threading
    from types import FrameType

    from reconciler.plan import Plan
    from reconciler.result import Result

_SETTLE = (1.0, 3.0)
_STOPPING = b"\nStopping: requests in flight are finished, nothing new is started.\n"


@click.command(epilog="Example: reconciler apply --auto-approve --parallelism 8")
@options.manifests
@options.target
@options.show_requests
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
@click.option("--auto-approve", is_flag=True, help="Apply without asking.")
@click.option(
    "--parallelism",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many requests may be in flight at once.",
)
@click.option("--fail-fast", is_flag=True, help="Start nothing new after the first failure.")
def apply(
    manifests: str,
    targets: tuple[str, ...],
    *,
    show_requests: bool,
    as_json: bool,
    auto_approve: bool,
    parallelism: int,
    fail_fast: bool,
) -> int:
    """Change AlertSite to what the manifests say, after showing the plan and asking."""
    from reconciler import workflow  # noqa: PLC0415
    from reconciler.cli.connection import connect  # noqa: PLC0415

    schemas, fleet = options.load(manifests)
    with connect(schemas, output.say, parallelism=parallelism) as connection:
        writer = connection.writer()

        def replan() -> Plan:
            return workflow.plan_workspace(fleet, writer, schemas, targets)

        found = replan()
        options.print_plan(found, as_json=False, show_requests=show_requests, to_stderr=as_json)
        workflow.refuse_refusals(found)
        if found.changes and not auto_approve:
            _ask()
            workflow.refuse_stale(found, replan())
        gc.freeze()
        gc.enable()  # requests leave garbage behind, and there may be thousands
        _stop_on_signals(connection.stop)
        with output.progress(len(found.changes)) as progress:
            execution = workflow.Execution(
                parallelism, fail_fast, connection.stop, progress, _SETTLE
            )
            result = workflow.apply_plan(found, writer, replan, execution)
    _print_result(result, as_json=as_json)
    return result.exit_code


def _print_result(result: Result, *, as_json: bool) -> None:
    from reconciler import render  # noqa: PLC0415

    if as_json:
        output.data(render.as_json(result.to_json()))
    else:
        output.data(render.result_text(result, colour=output.has_colour(sys.stdout)))


def _ask() -> None:
    """Asks for approval.

    Raises:
        RefusedError: the answer is not "yes", or there is no terminal to ask.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise RefusedError(
            "nothing is applied without approval, and there is no terminal to ask",
            "Read the plan above, then run the same command with --auto-approve.",
        )
    answer = click.prompt('Apply these changes? Only "yes" is accepted', err=True)
    if answer != "yes":
        raise RefusedError("not approved, so nothing is applied")


def _stop_on_signals(stop: threading.Event) -> None:
    """Turns SIGINT and SIGTERM, from here to the end, into a request to stop in good order.

    A second signal changes nothing: a pipeline that cancels a job sends both, and the report on
    what was done must survive them.
    """

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            # Not by `output`: the signal may have come in the middle of its printing.
            with suppress(OSError):
                os.write(sys.stderr.fileno(), _STOPPING)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
