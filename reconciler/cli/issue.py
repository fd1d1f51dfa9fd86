"""The command that keeps an issue open while there is drift."""

from __future__ import annotations

import click

from reconciler.cli import console, json_file, options, pipeline
from reconciler.errors import ConfigurationError, ExitCode, NotAllowedError
from reconciler.schema import problem_of

_LARGEST = 64 * 2**20


@click.command(epilog="Example: reconciler issue drift.json --platform github --file drift.md")
@click.argument("drift_path", metavar="DRIFT", type=options.FromHere())
@pipeline.platform
@click.option(
    "--file",
    "text_path",
    metavar="FILE",
    type=options.FromHere(),
    required=True,
    help="Markdown of the issue, from drift --format markdown=FILE; - is stdin.",
)
@click.option(
    "--title",
    default="AlertSite has drifted from the manifests",
    show_default=True,
    help="Title of a new issue.",
)
def issue(drift_path: str, platform: str, text_path: str, title: str) -> int:
    """Keep one issue with the label monitoring:drift open while there is drift.

    DRIFT is the output of drift --format json=FILE. The issue is opened when there is drift,
    updated when the drift changes, and closed when it is gone. A comment reports new drift, so
    people are notified of new drift only.

    It needs the variables of a pipeline, and GITHUB_TOKEN, or GITLAB_TOKEN: a
    project access token with the role Reporter and the scope api.
    """
    from reconciler.usecases import review

    hint = "Name a file written by drift --format json=FILE."
    drift = json_file.read(drift_path, hint, most=_LARGEST)
    if problem := problem_of("drift", drift):
        raise ConfigurationError(f"{drift_path} is not a drift result: {problem}", hint)
    text = pipeline.read_text(text_path)
    try:
        with pipeline.connect(platform) as place:
            done = review.issue(place, text, drift, title)
    except NotAllowedError as error:
        where = pipeline.summarise(text)
        console.say(f"Warning: cannot write an issue here: {error}. The text {where}.")
        return ExitCode.OK
    console.note(f"The drift issue is {done.value}.")
    return ExitCode.OK
