"""The command that checks what a run needs."""

from __future__ import annotations

import sys

import click

from reconciler.cli import options, output
from reconciler.errors import ExitCode


@click.command(epilog="Example: reconciler doctor --state git:origin")
@options.manifests
@options.state
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON on stdout.")
def doctor(manifests: str, location: str | None, *, as_json: bool) -> int:
    """Check, one by one, all that a run needs; changes nothing.

    It logs in once and reads the list of monitors once. Without credentials it checks the embedded
    sandbox. The exit code is that of the first check that failed.
    """
    from reconciler.cli.checks import Checkup  # noqa: PLC0415
    from reconciler.render.checks import Status, check_text, checks_json  # noqa: PLC0415

    done = []
    for check in Checkup(manifests, location).checks():
        done.append(check)
        if not as_json:
            output.data(check_text(check, colour=output.has_colour(sys.stdout)))
    if as_json:
        output.document(checks_json(done))
    failed = [check for check in done if check.status is Status.FAIL]
    warned = sum(check.status is Status.WARN for check in done)
    output.say(f"{len(done)} checks: {len(failed)} failed, {warned} to look at.")
    return failed[0].exit_code if failed else ExitCode.OK
