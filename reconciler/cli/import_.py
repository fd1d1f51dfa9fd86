"""The command that writes manifests for the monitors that an account has."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import baseline, config, console, formats, options, runtime, selection
from reconciler.cli.runtime import connect
from reconciler.core.grouping import FOLDED_ABOVE
from reconciler.core.naming import LAYOUT
from reconciler.core.plan import counted
from reconciler.core.state import Record, StateDelta
from reconciler.errors import ConfigurationError, ExitCode, InvalidManifestsError, UsageError
from reconciler.render.plans import counts_text
from reconciler.render.text import quantity, some
from reconciler.render.view import View
from reconciler.schema import installed_schemas
from reconciler.usecases import import_ as importing
from reconciler.usecases.lint import lint_fleet
from reconciler.usecases.load import load
from reconciler.usecases.plan import observe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.cli.console import Writes
    from reconciler.cli.runtime import Connection
    from reconciler.core.plan import Plan
    from reconciler.schema import Schemas
    from reconciler.usecases.import_ import Imported, ImportNote, ImportOptions
    from reconciler.usecases.load import Fleet


@click.command(
    "import",
    epilog="Example: reconciler import --layout '{domain}/{name}.yaml'; or: reconciler import "
    "123456 'mail-4*'",
)
@selection.many
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@options.manifests
@options.state
@options.lock_timeout
@click.option(
    "--layout",
    default=LAYOUT,
    show_default=True,
    metavar="PATTERN",
    help="Path of the files, with {kind}, {name}, {id}, {domain} of the server, {name_prefix} (the "
    "name up to its first dash) and {property:NAME}. Without {name} and {id} a file holds several "
    "manifests. @FILE is YAML that maps ids and globs over names to such paths.",
)
@click.option(
    "--into",
    metavar="DIR",
    type=options.FromHere(),
    help="Write to another folder than that of --manifests, for review.",
)
@click.option(
    "--merge",
    is_flag=True,
    help="Add manifests for monitors that have none, and keep the existing manifests.",
)
@click.option(
    "--no-defaults",
    is_flag=True,
    help="Write every value into every manifest, and no _defaults.yaml.",
)
@click.option(
    "--no-ids",
    is_flag=True,
    help="Write no metadata.id: only the state binds each manifest to its monitor.",
)
@options.unknown
def import_(
    targets: tuple[str, ...],
    manifests: str,
    location: str | None,
    lock_timeout: float,
    layout: str,
    into: str | None,
    unknown: str,
    *,
    merge: bool,
    no_defaults: bool,
    no_ids: bool,
) -> int:
    """Write manifests for the email monitors that AlertSite has.

    TARGET is the id of a monitor, or a glob over names; the default is all monitors. Never writes
    to AlertSite, and overwrites no file. Values that most monitors share go into _defaults.yaml,
    and the state gets a record of each monitor. No secrets are written; the output lists the
    variables that you need for them. Then the new manifests are planned. Exits with 7 if that plan
    has changes or a monitor got no manifest, and lists both.
    """
    if no_ids and into:
        raise UsageError(
            "--no-ids and --into cannot be used together",
            "Staged manifests are not in the state yet, so without ids nothing would bind them to "
            "their monitors.",
        )
    if layout.startswith("@"):
        layout = f"@{config.from_root(layout[1:], runtime.here())}"
    sources = options.sources(manifests)
    if into is None and not os.path.lexists(sources.folders[-1]):
        _check_is_root()
    if into is None and sources.why_no_own:
        raise ConfigurationError(
            f"the account {sources.account} has no folder of its own", f"{sources.why_no_own}."
        )
    terms = importing.ImportOptions(
        into or sources.folders[-1],  # those before it are shared with other accounts
        sources,
        importing.read_layout(layout),
        merge or bool(targets),
        not no_defaults,
        unknown == "write",
        targets,
        has_ids=not no_ids,
    )
    schemas = installed_schemas()
    run = runtime.begin(location)
    with ExitStack() as stack:
        connection = stack.enter_context(connect(schemas, limits=run.limits))
        if into is None:  # else nothing is written but files that nobody else knows
            stack.enter_context(runtime.locked(run, "import", lock_timeout, connection))
        return _import(terms, schemas, run, connection, into)


def _check_is_root() -> None:
    """Stops in the folder that a repository is in, where nobody would look for manifests.

    Raises:
        ConfigurationError: naming the repository.
    """
    below = sorted(Path().glob(f"*/{config.PROJECT}"))
    if below and not Path(config.PROJECT).exists():
        folder = below[0].parent
        raise ConfigurationError(
            f"this folder is not a repository of manifests, but {folder} is",
            f"Change to {folder}, or pass -C {folder}. To make this folder a repository too, run: "
            "reconciler init .",
        )


def _import(
    terms: ImportOptions,
    schemas: Schemas,
    run: runtime.Run,
    connection: Connection,
    into: str | None,
) -> int:
    """One import, under the lock if it writes the state."""
    known = run.known(connection.account)
    state, folder = known.state, terms.folder
    console.say("Reading the account's monitors.")
    live = observe(connection.reader(), schemas.kinds, state).live
    with suppress(ConfigurationError, InvalidManifestsError):  # there need not be any valid ones
        fleet = load(terms.sources, schemas, may_be_empty=True)
        # No new manifest may repeat a secret of those that are there.
        run.vault().learn(fleet.desired)
    found = importing.draft(live, schemas, state, terms, runtime.redactor())
    with console.writing() as writes:
        importing.write(found, folder, writes.one)
        for line in _report(found, folder):
            console.data(line)
        code = ExitCode.PARTIAL if found.skipped else ExitCode.OK
        if not found.drafts and (into or not found.known):
            return code
        made = Record(0, {}, {}, runtime.now(), run.id)
        # What is staged stands in for the account's own folder.
        sources = terms.sources._replace(folders=(*terms.sources.folders[:-1], folder))
        checked = importing.check(found, live, connection.account, schemas, state, sources, made)
        if found.drafts:
            if into is None:
                _know_findings(found, checked.fleet, writes)
                reporter = console.reporter()
                recorder = run.recorder(known, "import", connection.cancellation, reporter)
                # The first apply is held to what is set now, and not to what its commit sets.
                budget = state.budget or runtime.budgets().configured._asdict()
                recorder.finish(
                    StateDelta(checked.records, unmanaged=checked.strangers, budget=budget)
                )
            code = _show_plan(checked.plan, into) or code
        if checked.others:
            differ = ("existing manifest differs", "existing manifests differ")
            others = quantity(checked.others, *differ)
            console.data(f"{others} from AlertSite. To see how, run: reconciler plan")
        if checked.loose:
            loose = quantity(len(checked.loose), "existing manifest has", "existing manifests have")
            paths = some([item.origin.path for item in checked.loose])
            console.data(f"{loose} no monitor in AlertSite: {paths}")
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
        f"{linting.file}: {quantity(len(entries), 'existing lint finding')}; "
        "validate --lint fails only on new ones."
    )


def _report(found: Imported, folder: str) -> Iterator[str]:
    """What was written, and what is left to do."""
    paths = [Path(folder, path) for path in found.texts]
    if len(paths) > FOLDED_ABOVE:
        folders = counted(str(path.parent) for path in paths)
        yield f"wrote  {quantity(len(paths), 'file')}: {counts_text(folders)}"
    else:
        yield from (f"wrote  {path}" for path in paths)
    if found.known:
        yield f"{quantity(found.known, 'monitor')} already in manifests: not changed."
    for account, count in found.elsewhere.items():
        yield (
            f"{quantity(count, 'monitor')} already in manifests of the account {account}, which "
            "has the same login: not imported."
        )
    if found.drafts:
        count = len(found.texts) - bool(found.shared)
        total = quantity(len(found.drafts), "monitor")
        yield f"Imported {total} into {quantity(count, 'file')} below {folder}."
        if found.is_unshared:
            yield (
                "No defaults were written: they would also apply to the manifests that already "
                "exist. Only an import that finds none writes defaults."
            )
        for item in found.shared:
            path = Path(folder, "_defaults.yaml")
            kinds = f" ({', '.join(item.kinds)})" if item.kinds else ""
            yield f"Shared values in {path}{kinds}: {', '.join(item.spec)}"
    else:
        yield "Nothing to import."
    to_do: dict[str, Iterable[str]] = {
        "fields that are not in the schemas are under extra; remove those that AlertSite sets": (
            f"{field}: {some(names)}" for field, names in found.unknown.items()
        ),
        "these strings may be secrets and were not written; comments mark the places. Write "
        "secretRefs there, or delete the new files and run import --unknown write": (
            f"{field}: {some(names)}" for field, names in found.held_back.items()
        ),
        "left out because a manifest cannot express it": _lines(found.left_out),
        "no manifest was written for these": _lines(found.skipped),
        "set these variables, or write other secretRefs": (
            f"{told.text}: {told.subject} {told.field}" for told in found.secrets
        ),
    }
    for title, lines in to_do.items():
        if items := [f"  - {line}" for line in lines]:
            yield f"To do: {title}"
            yield from items


def _lines(notes: Sequence[ImportNote]) -> Iterator[str]:
    """The notes; of many, those that say the same are one."""
    alike: dict[tuple[str, str] | int, list[ImportNote]] = {}
    for place, note in enumerate(notes):
        key = (note.field, note.text) if len(notes) > FOLDED_ABOVE else place
        alike.setdefault(key, []).append(note)
    for group in alike.values():
        who = some([note.subject for note in group])
        field = f" {group[0].field}" if group[0].field else ""
        yield f"{who}{field}: {group[0].text}"


def _show_plan(plan: Plan, into: str | None) -> ExitCode:
    """Says what the plan is, and that nothing is managed yet where it only was staged."""
    unchanged = f"{plan.unchanged:,} unchanged"
    if plan.changes or plan.refusals:
        formats.print_plan(plan, View())
        console.data(f"Plan after import: changes, as shown above. {unchanged}.")
        return ExitCode.PARTIAL
    console.data(f"Plan after import: no changes. {unchanged}.")
    if into is not None:
        console.say("Nothing is managed yet: move the new files into the manifest folder first.")
    return ExitCode.OK
