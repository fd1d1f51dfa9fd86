"""The command that tells why a monitor, or one of its fields, is as it is."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli import keeping, options, output, settings
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.why import Why
    from reconciler.workflow import Workspace


@click.command(epilog="Example: reconciler why email-smtp/prod-relay.port")
@click.argument("asked", metavar="ADDRESS[.FIELD]")
@options.manifests
@options.state
@click.option("--offline", is_flag=True, help="Compare with the state; ask AlertSite nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON on stdout.")
def why(asked: str, manifests: str, location: str | None, *, offline: bool, as_json: bool) -> int:
    """Tell where a value comes from, what was last applied, what is live and what would happen.

    Without FIELD it tells of the monitor and of every field that its manifest names. It only reads,
    and shows no secret.
    """
    from reconciler import render, workflow  # noqa: PLC0415

    schemas, fleet = options.load(manifests, may_be_empty=True)
    run = keeping.begin(location, embedded=settings.is_silent(os.environ))
    workspace = workflow.Workspace(fleet, schemas, run.vault())
    found = _offline(workspace, asked, run) if offline else _online(workspace, asked, run)
    if as_json:
        output.document(found.to_json())
        return ExitCode.OK
    record = found.subject.record
    text = render.why_text(
        found,
        age=keeping.age(record.applied_at) if record else "",
        only="." in asked,
        colour=output.has_colour(sys.stdout),
    )
    output.data(text)
    return ExitCode.OK


def _online(workspace: Workspace, asked: str, run: keeping.Run) -> Why:
    from reconciler.cli.connection import connect  # noqa: PLC0415
    from reconciler.workflow.why import why as ask  # noqa: PLC0415

    with connect(workspace.schemas, output.say, limits=run.limits) as connection:
        state = run.known(connection.account).state
        return ask(workspace, asked, state, connection.reader(), run.store.location)


def _offline(workspace: Workspace, asked: str, run: keeping.Run) -> Why:
    from reconciler.workflow.why import why as ask  # noqa: PLC0415

    return ask(workspace, asked, run.known(None).state, None, run.store.location)
