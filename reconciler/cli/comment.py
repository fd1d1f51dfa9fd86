"""The command that shows a plan in a review request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import console, formats, options, pipeline, plan_file
from reconciler.core.accounts import ALL
from reconciler.core.model import DEFAULT_ACCOUNT
from reconciler.core.review import Behavior
from reconciler.core.rollup import PartResult, RollUp
from reconciler.errors import ExitCode, NotAllowedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.core.plan import Plan


@click.command(epilog="Example: reconciler comment plan.json --platform github --file plan.md")
@click.argument("plan_paths", metavar="[PLAN]...", nargs=-1, type=options.FromHere())
@pipeline.platform
@click.option(
    "--file",
    "text_path",
    metavar="FILE",
    type=options.FromHere(),
    help="Markdown to post, from plan --format markdown=FILE; - is stdin. By default, renders "
    "PLAN.",
)
@pipeline.request
@click.option(
    "--behavior",
    type=click.Choice([item.value for item in Behavior]),
    default=Behavior.UPDATE.value,
    show_default=True,
    help="What to do with the comment of an earlier run.",
)
@click.option(
    "--account",
    metavar="NAME",
    help="The account of the comment, if one request has several comments. Default: the account "
    "of PLAN; several plans share one comment.",
)
def comment(
    plan_paths: tuple[str, ...],
    platform: str,
    text_path: str | None,
    request: int | None,
    behavior: str,
    account: str | None,
) -> int:
    """Post a plan as a comment on the pull or merge request of this pipeline.

    The comment of an earlier run is updated if the plan has changed. With PLAN, from plan --out,
    the labels monitoring:changes, monitoring:destroy and monitoring:loss are set and removed, too.
    If the token cannot write, as in the pipeline of a fork, the text goes to the job summary.

    It needs the variables of a pipeline, and GITHUB_TOKEN, or GITLAB_TOKEN: a project
    access token with the role Reporter and the scope api.
    """
    from reconciler.usecases import review

    if not plan_paths and text_path is None:
        raise UsageError("there is nothing to post", "Specify PLAN, --file, or both.")
    plans = [plan_file.read(path).plan for path in plan_paths]
    text = pipeline.read_text(text_path) if text_path else _rendered(plans)
    match plans:
        case ():
            usual = DEFAULT_ACCOUNT
        case (plan,):
            usual = plan.account.name
        case _:
            usual = ALL
    number = pipeline.number_of_request(platform, request)
    try:
        with pipeline.connect(platform, number) as place:
            done = review.comment(place, text, account or usual, Behavior(behavior), plans)
    except NotAllowedError as error:
        where = pipeline.summarise(text)
        console.say(f"Warning: cannot write a comment here: {error}. The text {where}.")
        return ExitCode.OK
    console.note(f"The comment on request {number} is {done.done.value}.")
    for label in done.labels.gained:
        console.note(f"Label added: {label}")
    for label in done.labels.lost:
        console.note(f"Label removed: {label}")
    if done.not_allowed:
        console.say(f"Warning: cannot set labels here: {done.not_allowed}.")
    return ExitCode.OK


def _rendered(plans: Sequence[Plan]) -> str:
    from reconciler.render.view import View

    show = formats.renderer("markdown", formats.Subject.PLAN)
    if len(plans) == 1:
        return show(plans[0], View())
    from reconciler.render.rollups import rollup_markdown  # only for several accounts

    room = View(limit=View().limit // len(plans))
    parts = [
        PartResult(plan.account.name, "plan", int(ExitCode.OK), text=show(plan, room)).showing(plan)
        for plan in plans
    ]
    return rollup_markdown(RollUp("plan", tuple(parts)))
