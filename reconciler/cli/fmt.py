"""The command that puts the keys of manifests in order."""

from __future__ import annotations

from pathlib import Path, PurePath

import click

from reconciler import manifests, render
from reconciler.cli import console, options, runtime
from reconciler.errors import ExitCode
from reconciler.render.edits import edits_text
from reconciler.render.text import quantity
from reconciler.schema import installed_schemas
from reconciler.usecases.fmt import find_findings, format_files


@click.command(epilog="Example: reconciler fmt --check --diff monitors/mail-core")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=options.FromHere())
@click.option("--check", is_flag=True, help="Write nothing; exit with 3 if a file would change.")
@click.option("--diff", is_flag=True, help="Show what changes.")
def fmt(paths: tuple[str, ...], *, check: bool, diff: bool) -> int:
    """Put the keys of manifests in the order of their schemas.

    Comments move with their key; nothing else changes. Files with findings are skipped. Every PATH
    is a file or folder; the default is the folders of all accounts: monitors, unless
    reconciler.toml names others.
    """
    schemas = installed_schemas()
    given = paths
    if not given:  # the folders of all accounts, without those inside of another
        named = {folder for account in runtime.accounts().all for folder in account.manifests}
        there = {folder for folder in named if Path(folder).is_dir()} or named
        outer = (it for it in there if there.isdisjoint(map(str, PurePath(it).parents)))
        given = tuple(sorted(outer))
    findings = find_findings(given, schemas)
    total = changed = 0
    with console.writing() as writes:
        for file in format_files(given, schemas, findings):
            total += 1
            for line in file.left:
                console.say(
                    f"{file.path}:{line}: not reordered: its order cannot be changed safely."
                )
            if not file.is_changed:
                continue
            if not check:
                with writes.one(file.path):
                    manifests.write(file.path, file.data, file.original)
            changed += 1
            console.data(file.path)
            if diff:
                colour = console.has_colour()
                console.data(edits_text(file.path, file.original, file.data, colour=colour))
        if findings:
            console.say(render.findings_text(findings))
            console.say("Files with findings were not changed.")
        verb = "would change" if check else "changed"
        console.note(f"{changed:,} of {quantity(total, 'file')} {verb}.")
    return ExitCode.INVALID if findings or (check and changed) else ExitCode.OK
