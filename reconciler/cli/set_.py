"""The command that sets fields of many manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import console, options, runtime, selection
from reconciler.core.assignments import SPEC, assignment
from reconciler.core.edit_report import EditReport
from reconciler.core.nearest import did_you_mean
from reconciler.errors import ExitCode, UsageError
from reconciler.render.edits import folded_edits_text
from reconciler.render.text import quantity
from reconciler.schema import installed_schemas
from reconciler.usecases.set_ import Asked, find_setting, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.schema import Schemas


@click.command(
    "set",
    epilog="Example: reconciler set team=mail interval=5; or: reconciler set monitors/emea/ "
    "locations+=30,40; or: reconciler set email-imap/inbox enabled=false "
    "lifecycle.until=2026-12-24",
)
@selection.one
@click.argument("arguments", nargs=-1, metavar="TARGET... FIELD=VALUE...")
@options.exclude
@click.option(
    "--unset",
    multiple=True,
    metavar="FIELD",
    help="Remove a field from the manifests. May be repeated.",
)
@options.manifests
@click.option("--auto-approve", is_flag=True, help="Write without asking.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the edits as JSON on stdout, and write only with --auto-approve.",
)
def set_(
    arguments: tuple[str, ...],
    targets: tuple[str, ...],
    unset: tuple[str, ...],
    manifests: str,
    *,
    auto_approve: bool,
    as_json: bool,
) -> int:
    """Set fields of many manifests, after showing the edits and asking.

    Every TARGET is an address, an id, a glob over addresses, label=value, or a file or folder; a
    leading ! excludes. FIELD is a field of spec, or starts with extra., lifecycle. or labels. Write
    a list of ids as 10,20; += adds to a list, and -= removes from it. With +=, a list from a
    default keeps following the default. A VALUE that begins with { or [ is YAML.

    Comments, order and quotes do not change. If an edit causes a finding, nothing is written.
    """
    schemas = installed_schemas()
    wanted = _wanted(arguments, targets, unset, schemas)
    sources, rules = options.sources(manifests), runtime.secret_rules()
    found = find_setting(sources, schemas, wanted, runtime.now()[:10], rules)
    if not as_json:
        files = [(file.path, file.original or b"", file.data) for file in found.files]
        text = folded_edits_text(files, colour=console.has_colour())
        if text and (auto_approve or not console.page(text)):
            console.data(text)
        meant = quantity(found.meant, "manifest")
        if found.files:
            count = quantity(len(files), "file")
            console.data(f"{found.changed:,} of {meant} to change, in {count}.")
        else:
            console.data(f"Nothing to set in {meant}: they already have these values.")
        if found.files and not auto_approve:
            console.ask_to_write()
    is_written = bool(found.files) and (auto_approve or not as_json)
    if is_written:
        with console.writing() as writes:
            for file in found.files:
                with writes.one(file.path):
                    write(file)
    if as_json:
        console.document(EditReport({}, found.fields, is_written).to_json())
    elif is_written:
        console.say("Review the edits, then commit them; reconciler plan shows what they change.")
    return ExitCode.OK


def _wanted(
    arguments: Sequence[str], left_out: Sequence[str], unset: Sequence[str], schemas: Schemas
) -> Asked:
    """What is asked for.

    Raises:
        UsageError: nothing is, or to set and to unset one field.
    """
    fields = sorted({name for kind in schemas.kinds.values() for name in kind.fields})
    read = {argument: assignment(argument, fields) for argument in arguments}
    given = (options.from_here(text) for text, found in read.items() if found is None)
    targets = [*given, *left_out]
    assignments = [found for found in read.values() if found is not None]
    if not targets:
        raise UsageError(
            "no target is given", "Name the manifests to change; '*' selects all of them."
        )
    if not assignments and not unset:
        names = [target.partition("=")[0] for target in targets if "=" in target]
        meant = "".join(
            f": {name} is not a field, so it is taken for a label{did_you_mean(name, fields)}"
            for name in names[:1]
        )
        raise UsageError(
            f"nothing is set{meant}",
            "Write FIELD=VALUE, such as interval=5. To list the fields of a kind, run: reconciler "
            "explain KIND",
        )
    removed = {name.removeprefix(f"{SPEC}.") for name in unset}
    if both := sorted(removed.intersection(found.name for found in assignments)):
        raise UsageError(f"{both[0]} is both set and unset", "Leave one of them out.")
    return Asked(targets, assignments, unset)
