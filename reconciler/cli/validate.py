"""The command that checks manifests without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler import render
from reconciler.cli import baseline, config, console, formats, options, runtime, selection
from reconciler.core.lint.baseline import judge, updated
from reconciler.errors import ExitCode, InvalidManifestsError, Severity, UsageError
from reconciler.render.text import quantity
from reconciler.render.view import View
from reconciler.usecases.lint import lint_fleet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.cli.formats import Outputs
    from reconciler.core.lint.baseline import Judged
    from reconciler.core.state import Record
    from reconciler.errors import Diagnostic


@click.command(epilog="Example: reconciler validate monitors/mail-core --format github")
@selection.many
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=options.FromHere())
@click.option(
    "--lint",
    is_flag=True,
    help="Also report what is valid but looks wrong, such as port 995 for IMAP. "
    "reconciler explain lint lists the codes, and says how a comment disables one.",
)
@click.option("--strict", is_flag=True, help="With --lint: exit with 3 on any finding.")
@click.option(
    "--update-baseline",
    is_flag=True,
    help="Lint, and write the findings into the baseline: from then on, only new ones count.",
)
@click.option(
    "--state",
    "location",
    metavar="LOCATION",
    type=options.FromHere(config.location_from_root),
    help="With --lint: also report fields that were applied, according to the state at LOCATION, "
    "but are no longer in a manifest.",
)
@formats.option(formats.Subject.FINDINGS)
def validate(
    paths: tuple[str, ...],
    location: str | None,
    outputs: Outputs,
    *,
    lint: bool,
    strict: bool,
    update_baseline: bool,
) -> int:
    """Check manifests against their schemas; needs no network.

    Every PATH is a file or folder; the default is the folder monitors. With --lint, errors end the
    run with 3, like those of a schema; warnings and infos are printed. Findings in the baseline
    (lint-baseline.json, or baseline in [lint] of reconciler.toml) are only counted.
    """
    if strict and not lint:
        raise UsageError("--strict needs --lint", "Use both.")
    try:
        _, fleet = options.load_quietly(*(paths or runtime.account().manifests))
    except InvalidManifestsError as error:
        _put(error.findings, outputs)
        console.say(f"{error}.")
        return error.exit_code
    valid = f"Valid: {quantity(len(fleet.desired), 'manifest')} in {quantity(fleet.files, 'file')}."
    if not lint and not update_baseline:
        _put(fleet.warnings, outputs)
        console.note(valid)
        return ExitCode.OK
    is_part = paths or runtime.accounts().are_named
    only = {item.address for item in fleet.desired} if is_part else None
    linting = baseline.read()
    file, known = linting.file, linting.baseline
    records: Mapping[str, Record] = {}
    if location is not None:
        run = runtime.begin(location, embedded=False)
        state = run.known(None).state
        if not state.serial:
            console.say(f"{run.store.location}: there is no state yet to compare with.")
        records = state.records
    linted = lint_fleet(fleet, linting.policy, records)
    if update_baseline:
        before, known = known, updated(linted, known, only)
        if before == known:
            console.note(f"{file}: nothing to update.")
        else:
            with console.writing() as writes, writes.one(file):
                baseline.write(file, known)
            changes = f"{len(known - before):,} added, {len(before - known):,} removed"
            console.note(f"{file}: {quantity(len(known), 'finding')} ({changes}).")
    judged = judge(linted, known, only)
    findings = tuple(sorted((*fleet.warnings, *judged.new)))
    _put(findings, outputs)
    console.note(valid)
    _say_counts(judged, findings, file)
    is_bad = (strict and findings) or any(it.severity is Severity.ERROR for it in findings)
    return ExitCode.INVALID if is_bad else ExitCode.OK


def _say_counts(judged: Judged, findings: Sequence[Diagnostic], file: str) -> None:
    """Says how many findings there are, and which of the known ones are gone."""
    found = [finding.severity for finding in findings]
    known = f" {quantity(judged.known, 'known finding')} in {file}." if judged.known else ""
    new = "new " if known else ""
    numbers = [quantity(found.count(one), f"{new}{one}") for one in Severity if one in found]
    told = ", ".join(numbers) or f"no {new}findings"
    console.note(f"Lint: {told}.{known}")
    if judged.gone:
        gone = quantity(len(judged.gone), f"finding of {file} is", f"findings of {file} are")
        first = judged.gone[0]
        console.say(
            f"{gone} gone, such as {first.address} {first.code}. To remove them, run: reconciler "
            "validate --update-baseline"
        )


def _put(findings: tuple[Diagnostic, ...], outputs: Outputs) -> None:
    outputs.put(findings, lambda: render.findings_json(findings), View())
