"""The commands: each wires a use case of `workflow` to the outside and prints what it returns."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from reconciler.cli import output
from reconciler.errors import ExitCode, InvalidManifestsError, RefusedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from types import FrameType

    from reconciler.plan import Plan
    from reconciler.result import Result
    from reconciler.schema import Schemas
    from reconciler.workflow import Fleet

_SETTLE = (1.0, 3.0)

_manifests = click.option(
    "--manifests",
    default="monitors",
    metavar="DIR",
    show_default=True,
    help="Folder that holds the manifests.",
)
_target = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="Only manifests that match: an address (email-smtp/prod-relay), a glob over addresses "
    "or label=value. May be repeated.",
)
_show_requests = click.option(
    "--show-requests", is_flag=True, help="Show method, path and body of every request."
)


@click.command(epilog="Example: reconciler plan --target 'email-smtp/*' --show-requests")
@_manifests
@_target
@_show_requests
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON on stdout.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes, as Terraform."
)
def plan(
    manifests: str,
    targets: tuple[str, ...],
    *,
    show_requests: bool,
    as_json: bool,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would change; never writes (alias: diff)."""
    from reconciler import workflow  # noqa: PLC0415
    from reconciler.cli.connection import connect  # noqa: PLC0415

    schemas, fleet = _load(manifests)
    with connect(schemas, output.say) as connection:
        found = workflow.plan_workspace(fleet, connection.reader(), schemas, targets)
    _print_plan(found, as_json=as_json, show_requests=show_requests)
    workflow.refuse_refusals(found)
    return ExitCode.CHANGES if detailed_exitcode and found.changes else ExitCode.OK


@click.command(epilog="Example: reconciler apply --auto-approve --parallelism 8")
@_manifests
@_target
@_show_requests
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

    schemas, fleet = _load(manifests)
    with connect(schemas, output.say, parallelism=parallelism) as connection:
        writer = connection.writer()

        def replan() -> Plan:
            return workflow.plan_workspace(fleet, writer, schemas, targets)

        found = replan()
        _print_plan(found, as_json=False, show_requests=show_requests, to_stderr=as_json)
        workflow.refuse_refusals(found)
        if found.changes and not auto_approve:
            _ask()
            workflow.refuse_stale(found, replan())
        with output.progress(len(found.changes)) as progress, _stopping(connection.stop):
            execution = workflow.Execution(
                parallelism, fail_fast, connection.stop, progress, _SETTLE
            )
            result = workflow.apply_plan(found, writer, replan, execution)
    _print_result(result, as_json=as_json)
    return result.exit_code


@click.command(epilog="Example: reconciler validate monitors/mail-core --format github")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How to print the findings.",
)
def validate(paths: tuple[str, ...], form: str) -> int:
    """Check manifests against their schemas; needs no network.

    Every PATH is a file or folder; without one, the folder monitors is checked.
    """
    from reconciler import render, workflow  # noqa: PLC0415
    from reconciler.schema import Schemas  # noqa: PLC0415

    try:
        fleet = workflow.load_fleet(paths or ("monitors",), Schemas())
    except InvalidManifestsError as error:
        match form:
            case "json":
                output.data(render.as_json(render.findings_json(error.findings)))
            case "github":
                output.data(render.findings_github(error.findings))
            case _:
                output.data(render.findings_text(error.findings))
        output.say(f"{error}.")
        return error.exit_code
    if form == "json":
        output.data(render.as_json(render.findings_json(())))
    output.say(f"Valid: {_count(len(fleet.desired), 'manifest')} in {_count(fleet.files, 'file')}.")
    return ExitCode.OK


def _load(manifests: str) -> tuple[Schemas, Fleet]:
    from reconciler import workflow  # noqa: PLC0415
    from reconciler.schema import Schemas  # noqa: PLC0415

    schemas = Schemas()
    return schemas, workflow.load_fleet((manifests,), schemas)


def _print_plan(plan: Plan, *, as_json: bool, show_requests: bool, to_stderr: bool = False) -> None:
    from reconciler import render  # noqa: PLC0415

    if as_json:
        output.data(render.as_json(plan.to_json()))
        return
    stream = sys.stderr if to_stderr else sys.stdout
    text = render.plan_text(plan, colour=output.has_colour(stream), show_requests=show_requests)
    (output.say if to_stderr else output.data)(text)


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
    if not sys.stdin.isatty():
        raise RefusedError(
            "nothing is applied without approval, and there is no terminal to ask",
            "Read the plan above, then run the same command with --auto-approve.",
        )
    answer = click.prompt('Apply these changes? Only "yes" is accepted', err=True)
    if answer != "yes":
        raise RefusedError("not approved, so nothing is applied")


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Turns SIGINT and SIGTERM into a request to stop after what is in flight."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            output.say("\nStopping: requests in flight are finished, nothing new is started.")

    signals = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, handle) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
