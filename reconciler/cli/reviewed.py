"""The command that gets the plan that was reviewed before a merge."""

from __future__ import annotations

import os
from pathlib import Path

import click

from reconciler import durable
from reconciler.cli import console, options, pipeline, plan_file, selection
from reconciler.core import saved_plan
from reconciler.errors import ConfigurationError, ExitCode, NotAllowedError, RefusedError


@click.command(epilog="Example: reconciler reviewed --platform github --out plan.json")
@selection.one
@pipeline.platform
@options.manifests
@click.option(
    "--out",
    metavar="FILE",
    default="plan.json",
    type=options.FromHere(),
    show_default=True,
    help="Where to write the plan.",
)
@click.option(
    "--commit", metavar="SHA", help="The merge commit. Default: the commit of the pipeline."
)
def reviewed(platform: str, manifests: str, out: str, commit: str | None) -> int:
    """Fetch the plan that was reviewed with the request that this commit merged.

    FILE is written only if that plan was made from the manifests in this checkout. Otherwise
    the command says why there is no plan, and apply without FILE makes a new one. A plan from a
    fork is never used.

    It needs the variables of a pipeline, and GITHUB_TOKEN with actions: read, or
    GITLAB_TOKEN: a project access token with the role Reporter and the scope api.
    """
    sha = commit or os.environ.get("GITHUB_SHA" if platform == "github" else "CI_COMMIT_SHA", "")
    if not sha:
        raise ConfigurationError(
            "the commit is not known", "Specify the merge commit with --commit."
        )
    try:  # one that is here already was not reviewed with this merge
        Path(out).unlink(missing_ok=True)
    except OSError as error:
        raise plan_file.unwritable(out, error) from error
    try:
        with pipeline.connect(platform) as place:
            data = place.reviewed(sha, plan_file.NAME)
    except NotAllowedError as error:
        console.say(f"Warning: cannot read the reviewed plan here: {error}.")
        return _plan_again("it cannot be read")
    if data is None:
        return _plan_again("no request merged by this commit has one")
    _, fleet = options.load(manifests, may_be_empty=True)
    try:
        durable.replace(Path(out), data)
    except OSError as error:
        raise plan_file.unwritable(out, error) from error
    try:
        basis = plan_file.read(out).basis
    except (ConfigurationError, RefusedError) as error:
        Path(out).unlink()
        return _plan_again(str(error))
    if basis.manifests != saved_plan.fleet_digest(fleet.desired):
        Path(out).unlink()
        return _plan_again("it was made from other manifests than those here")
    console.note(f"Reviewed plan {plan_file.to_apply(out)}")
    return ExitCode.OK


def _plan_again(reason: str) -> ExitCode:
    console.say(
        f"There is no reviewed plan: {reason}. To plan again and apply, run: reconciler apply"
    )
    return ExitCode.OK
