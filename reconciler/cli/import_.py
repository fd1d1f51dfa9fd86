"""The command that writes manifests for the monitors that an account has."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from reconciler import usecases
from reconciler.cli import baseline, config, console, options, runtime
from reconciler.cli.runtime import connect
from reconciler.core.naming import LAYOUT, check_layout
from reconciler.errors import ConfigurationError, ExitCode, InvalidManifestsError
from reconciler.render.view import View
from reconciler.schema import installed_schemas
from reconciler.usecases import import_ as importing
from reconciler.usecases import load_fleet
from reconciler.usecases.lint import lint_fleet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.cli.console import Writes
    from reconciler.core.plan import Plan
    from reconciler.usecases import Fleet
    from reconciler.usecases.import_ import Imported, ImportNote


@click.command(
    "import",
    epilog="Example: reconciler import --into staged --layout '{kind}.yaml'; or: reconciler import "
    "--merge",
)
@options.manifests
@options.state
@click.option(
    "--layout",
    default=LAYOUT,
    show_default=True,
    metavar="PATTERN",
    help="Path of the files, with {kind}, {name} and {id}. Without the last two a file holds "
    "several manifests.",
)
@click.option(
    "--into", metavar="DIR", help="Write to another folder than that of --manifests, for review."
)
@click.option(
    "--merge",
    is_flag=True,
    help="Add manifests for monitors that none describes yet, beside those that are there.",
)
@click.option(
    "--no-defaults",
    is_flag=True,
    help="Write every value into every manifest, and nothing that they share into _defaults.yaml.",
)
@options.unknown
def import_(
    manifests: str,
    location: str | None,
    layout: str,
    into: str | None,
    unknown: str,
    *,
    merge: bool,
    no_defaults: bool,
) -> int:
    """Write manifests for the email monitors that AlertSite has.

    AlertSite is only read, and no file is overwritten. No secret is written: a list at the end says
    which variables they have to be in. The manifests that were written are planned at once, against
    what was read. Exits with 7 if that plan is not empty or a monitor got no manifest; both are
    listed.
    """
    check_layout(layout)
    folder = into or manifests
    terms = importing.ImportOptions(
        folder, manifests, layout, merge, not no_defaults, unknown == "write"
    )
    schemas = installed_schemas()
    run = runtime.begin(location, embedded=config.is_silent(os.environ))
    with connect(schemas, limits=run.limits) as connection:
        state = run.known(connection.account).state
        live = usecases.observe(connection.reader(), schemas.kinds, state).live
    with suppress(ConfigurationError, InvalidManifestsError):  # there need not be any valid ones
        fleet = load_fleet((manifests,), schemas, may_be_empty=True)
        # No new manifest may repeat a secret of those that are there.
        run.vault().learn(value for item in fleet.desired for value in item.secrets.values())
    found = importing.draft(live, schemas, state, terms, runtime.redactor())
    with console.writing() as writes:
        importing.write(found, folder, writes.one)
        for line in _report(found, folder):
            console.data(line)
        code = ExitCode.PARTIAL if found.skipped else ExitCode.OK
        if not found.drafts and (into or not found.known):
            return code
        checked = importing.check(found, live, connection.account, schemas, state, folder)
        if found.drafts:
            if into is None:
                _know_findings(found, checked.fleet, writes)
            code = _show_plan(checked.plan, into) or code
        if checked.others:
            was, differs = ("was", "differs") if checked.others == 1 else ("were", "differ")
            console.data(
                f"{_count(checked.others, 'manifest')} that {was} there before {differs} from "
                "AlertSite: reconciler plan shows how."
            )
        return code


def _know_findings(found: Imported, fleet: Fleet, writes: Writes) -> None:
    """Adds what lint finds in the new manifests to the baseline, so that only what is new fails.

    An account that was made by hand has such findings, and none of them is news.
    """
    ours = {item.address for item in found.drafts}
    linting = baseline.read()
    entries = {
        entry
        for item in lint_fleet(fleet, linting.policy)
        for entry in item.entries
        if entry.address in ours
    }
    if entries <= linting.baseline:
        return
    with writes.one(linting.file):
        baseline.write(linting.file, linting.baseline | entries)
    console.data(
        f"{linting.file}: {_count(len(entries), 'finding')} of lint that the account has today; "
        "validate --lint fails only on new ones."
    )


def _report(found: Imported, folder: str) -> Iterator[str]:
    yield from _totals(found, folder)
    yield from _list(
        "fields that the schemas do not know are under extra; take out those that AlertSite sets",
        (f"{field}: {_count(count, 'manifest')}" for field, count in found.unknown.items()),
    )
    yield from _list(
        "these texts may be secrets and were not written; a comment marks each manifest. Write "
        "secretRefs there, or delete the new files and run import --unknown write",
        (f"{field}: {_count(count, 'manifest')}" for field, count in found.held_back.items()),
    )
    yield from _list("left out, as no manifest can say it", map(_line, found.left_out))
    yield from _list("no manifest was written for these", map(_line, found.skipped))
    yield from _list(
        "set these variables, or write other secretRefs",
        (f"{told.text}: {told.subject} {told.field}" for told in found.secrets),
    )


def _totals(found: Imported, folder: str) -> Iterator[str]:
    if found.known:
        yield f"{_count(found.known, 'monitor')} with a manifest already: left as they are."
    if not found.drafts:
        yield "Nothing to import."
        return
    count = len(found.texts) - len({item.folder for item in found.shared})
    total = _count(len(found.drafts), "monitor")
    yield f"Imported {total} into {_count(count, 'file')} below {folder}."
    for item in found.shared:
        path = os.path.join(folder, item.folder, "_defaults.yaml")  # noqa: PTH118
        kinds = f" ({', '.join(item.kinds)})" if item.kinds else ""
        yield f"What they share is in {path}{kinds}: {', '.join(item.spec)}"


def _line(note: ImportNote) -> str:
    field = f" {note.field}" if note.field else ""
    return f"{note.subject}{field}: {note.text}"


def _list(title: str, lines: Iterable[str]) -> Iterator[str]:
    items = [f"  - {line}" for line in lines]
    if items:
        yield f"To do: {title}"
        yield from items


def _show_plan(plan: Plan, into: str | None) -> ExitCode:
    """Says what the plan is, and that nothing is managed yet where it only was staged."""
    unchanged = f"{plan.unchanged:,} unchanged"
    if plan.changes or plan.refusals:
        options.print_plan(plan, View())
        console.data(f"Plan after import: not empty, as shown above. {unchanged}.")
        return ExitCode.PARTIAL
    console.data(f"Plan after import: no changes. {unchanged}.")
    if into is not None:
        console.say("None of it is managed until you move it into the folder of the manifests.")
    return ExitCode.OK


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
