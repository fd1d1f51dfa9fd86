"""What several commands share: their options, and how they load and show."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli import output

if TYPE_CHECKING:
    from reconciler.plan import Plan
    from reconciler.schema import Schemas
    from reconciler.workflow import Fleet

manifests = click.option(
    "--manifests",
    default="monitors",
    metavar="DIR",
    show_default=True,
    help="Folder that holds the manifests.",
)
target = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="Only manifests that match: an address (email-smtp/prod-relay), a glob over addresses "
    "or label=value. May be repeated.",
)
show_requests = click.option(
    "--show-requests", is_flag=True, help="Show method, path and body of every request."
)


def load(*paths: str) -> tuple[Schemas, Fleet]:
    """The schemas and the manifests below the paths.

    Raises:
        ReconcilerError: there are none, or they have findings.
    """
    from reconciler import workflow  # noqa: PLC0415
    from reconciler.schema import Schemas  # noqa: PLC0415

    schemas = Schemas()
    return schemas, workflow.load_fleet(paths, schemas)


def print_plan(plan: Plan, *, as_json: bool, show_requests: bool, to_stderr: bool = False) -> None:
    """Prints a plan as text or JSON; to stderr when stdout is for other data."""
    from reconciler import render  # noqa: PLC0415

    if as_json:
        output.data(render.as_json(plan.to_json()))
        return
    stream = sys.stderr if to_stderr else sys.stdout
    text = render.plan_text(plan, colour=output.has_colour(stream), show_requests=show_requests)
    (output.say if to_stderr else output.data)(text)
