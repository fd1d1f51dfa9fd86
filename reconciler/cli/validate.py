"""The command that checks manifests without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler import render
from reconciler.cli import console, formats, options
from reconciler.errors import ExitCode, InvalidManifestsError, Severity, UsageError
from reconciler.render.view import View
from reconciler.usecases.lint import lint_fleet

if TYPE_CHECKING:
    from reconciler.cli.formats import Outputs
    from reconciler.errors import Diagnostic
    from reconciler.usecases import Fleet


@click.command(epilog="Example: reconciler validate monitors/mail-core --format github")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--lint",
    is_flag=True,
    help="Say what is valid and looks wrong too, such as port 995 for IMAP. "
    "reconciler explain lint lists the codes, and how a comment disables one.",
)
@click.option("--strict", is_flag=True, help="With --lint: exit with 3 on any finding.")
@formats.option(formats.Subject.FINDINGS)
def validate(paths: tuple[str, ...], outputs: Outputs, *, lint: bool, strict: bool) -> int:
    """Check manifests against their schemas; needs no network.

    Every PATH is a file or folder; without one, the folder monitors is checked. With --lint, errors
    end the run with 3 as those of a schema do; warnings and infos are printed.
    """
    if strict and not lint:
        raise UsageError("--strict is about the findings of --lint", "Give both.")
    try:
        _, fleet = options.load_quietly(*(paths or ("monitors",)))
    except InvalidManifestsError as error:
        _put(error.findings, outputs)
        console.say(f"{error}.")
        return error.exit_code
    findings = tuple(sorted((*fleet.warnings, *(_lint(fleet) if lint else ()))))
    _put(findings, outputs)
    console.say(
        f"Valid: {_count(len(fleet.desired), 'manifest')} in {_count(fleet.files, 'file')}."
    )
    return _judge(findings, strict=strict) if lint else ExitCode.OK


def _lint(fleet: Fleet) -> tuple[Diagnostic, ...]:

    return lint_fleet(fleet)


def _judge(findings: tuple[Diagnostic, ...], *, strict: bool) -> ExitCode:
    """Says how many findings there are, and whether they are too many."""
    found = [finding.severity for finding in findings]
    numbers = [_count(found.count(one), one) for one in Severity if one in found]
    console.say(f"Lint: {', '.join(numbers) or 'no findings'}.")
    is_bad = Severity.ERROR in found or (strict and findings)
    return ExitCode.INVALID if is_bad else ExitCode.OK


def _put(findings: tuple[Diagnostic, ...], outputs: Outputs) -> None:
    outputs.put(findings, lambda: render.findings_json(findings), View())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
