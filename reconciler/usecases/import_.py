"""From the monitors of an account to manifests that describe them.

Rule: AlertSite is only read, and no file is overwritten. What was written is loaded and planned
like any other manifest. The records are written here: what was seen is what a manifest says.

What monitors share is in one file in the root, since equal defaults in each folder have to be kept
equal by hand. Where manifests are already nothing is shared, as they would get it too.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler import durable, manifests
from reconciler.core import naming
from reconciler.core.inventory import match_key_of, number_of
from reconciler.core.model import canonical, match_key
from reconciler.core.naming import Draft, Facts, Layout, Shared
from reconciler.core.plan import Action
from reconciler.core.planner import decide
from reconciler.core.state import UNTRACKED
from reconciler.errors import ConfigurationError, Diagnostic, RefusedError, UsageError
from reconciler.usecases import defaults
from reconciler.usecases.draft import Content, Drafting, canonical_of, comments_of, compose
from reconciler.usecases.load import Fleet, Sources, load, load_fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from reconciler.core.model import JSON, Account, Desired, Live
    from reconciler.core.plan import Plan
    from reconciler.core.redactor import Redactor
    from reconciler.core.state import Record, State
    from reconciler.schema import Schemas


_MOST_LISTED = 10
_MAPPING = (
    "A mapping file is YAML: ids, or globs over names, each with the path of its manifests, such "
    "as 'mail-4*': mail/{name}.yaml or '123456': edge.yaml; the first match applies."
)


class ImportOptions(NamedTuple):
    """How an import was asked for.

    Attributes:
        folder: where the files go.
        sources: what the fleet is loaded from that they will be part of; the last of its folders is
            theirs in the end.
        layout: where each goes below the folder.
        merge: whether to add what no manifest describes yet.
        lift: whether what manifests have in common becomes defaults.
        write_unknown: whether texts in fields that the schemas do not know are written.
        targets: ids and globs over names of the monitors that are meant; none for all.
        has_ids: whether manifests name the ids of their monitors.
    """

    folder: str
    sources: Sources
    layout: Layout
    merge: bool
    lift: bool
    write_unknown: bool = False
    targets: tuple[str, ...] = ()
    has_ids: bool = True


class ImportNote(NamedTuple):
    """Something that somebody has to look at; `field` is empty for a whole monitor."""

    subject: str
    field: str
    text: str


class Imported(NamedTuple):
    """What is to be written.

    Attributes:
        texts: by path below the folder.
        shared: what became defaults.
        secrets: the variables that secrets have to be in.
        left_out: fields that no manifest can say.
        skipped: monitors that get no manifest.
        unknown: the manifests that have each field that the schemas do not know.
        held_back: those that do not have such a field, as its text may be a secret.
        known: monitors that manifests describe already.
        elsewhere: by account, monitors that those of others with the same login describe.
        is_unshared: nothing became a default, since manifests that are there would get it too.
    """

    drafts: tuple[Draft, ...]
    texts: Mapping[str, str]
    shared: tuple[Shared, ...]
    secrets: tuple[ImportNote, ...]
    left_out: tuple[ImportNote, ...]
    skipped: tuple[ImportNote, ...]
    unknown: Mapping[str, Sequence[str]]
    held_back: Mapping[str, Sequence[str]]
    known: int
    elsewhere: Mapping[str, int] = {}
    is_unshared: bool = False


def draft(
    live: Sequence[Live],
    schemas: Schemas,
    state: State,
    terms: ImportOptions,
    redactor: Redactor,
) -> Imported:
    """The manifests for the monitors of an account; writes nothing.

    Raises:
        UsageError: no email monitor is meant by a target.
        RefusedError: a file or a manifest is there already, and nothing is to be merged.
        InvalidManifestsError: manifests that are there already have findings.
    """
    before = _Before.read(terms, schemas, state)
    records = state.records
    free = {item.id: name for name, item in records.items() if name not in before.addresses}
    secret = {record.id: tuple(record.secrets) for record in records.values()}
    taken = before.addresses | records.keys()
    drafting = Drafting(schemas, redactor, write_unknown=terms.write_unknown)
    drafted: list[tuple[Draft, Content]] = []
    given: set[str] = set()
    overlap: list[Desired] = []
    elsewhere: dict[str, int] = {}
    skipped: list[ImportNote] = []
    unmet = set(terms.targets)
    for monitor in sorted(live, key=lambda each: each.id):
        kind = schemas.kinds.get(monitor.type or "")
        if kind is None:
            is_meant = not terms.targets or str(monitor.id) in terms.targets
            if monitor.type is None and is_meant:
                unmet.discard(str(monitor.id))
                skipped.append(_skipped(monitor, "AlertSite does not return its type"))
            continue
        recorded, _, name = free.get(monitor.id, "").partition("/")
        if recorded != kind.name:
            wanted = naming.slug(str(monitor.fields.get("name") or ""), monitor.id)
            name = naming.free_name(wanted, kind.name, taken)
        facts = facts_of(monitor, kind.name, name)
        targets = [target for target in terms.targets if naming.means(facts, target)]
        unmet.difference_update(targets)
        if terms.targets and not targets:
            continue
        if monitor.id in before.described:
            overlap.append(before.described[monitor.id])
            continue
        key, others = match_key(kind.name, monitor.fields.get("name")), terms.sources.others
        if claim := others.ids.get(monitor.id) or others.names.get(key):
            elsewhere[claim.account] = elsewhere.get(claim.account, 0) + 1
            continue
        if (like := before.loose.get(key)) is not None:
            other = f"{like.address} ({like.origin})"
            reason = f"{other} looks like it but has no id; bind it with apply --adopt"
            skipped.append(_skipped(monitor, reason))
            continue
        path = terms.layout.path(facts)
        inherited, is_certain = before.inherited(path, kind.name)
        given.update(inherited)
        hidden = secret.get(monitor.id, ())
        found = drafting.content(kind, name, monitor, inherited, is_certain, hidden)
        if found.fault:
            skipped.append(_skipped(monitor, found.fault))
            continue
        made = Draft(kind.name, name, monitor.id, path, found.spec, found.extra, found.held_back)
        taken.add(made.address)
        drafted.append((made, found))
    if unmet:  # a target that matches nothing may be a typing error
        raise UsageError(
            f"{', '.join(sorted(unmet))}: no email monitor has this id or name",
            "A target is an id, or a glob over names. To see all, run: reconciler list --live",
        )
    # What is shared with other accounts is always skipped.
    ours = [item for item in overlap if not terms.sources.shared(item.origin.path)]
    if ours and not terms.merge:
        first = f"{ours[0].address} ({ours[0].origin})"
        raise RefusedError(
            f"1 of the monitors already has a manifest: {first}"
            if len(ours) == 1
            else f"{len(ours):,} of the monitors already have manifests, such as {first}",
            "Add manifests for the others with --merge, or write to another folder with --into.",
        )
    drafts = tuple(made for made, _ in drafted)
    imported = Imported(
        drafts=drafts,
        texts={},
        shared=(),
        secrets=tuple(
            ImportNote(made.address, ".".join(map(str, item.path)), item.variable)
            for made, found in drafted
            for item in found.secrets
        ),
        left_out=tuple(
            ImportNote(made.address, field, reason)
            for made, found in drafted
            for field, reason in sorted(found.left_out.items())
        ),
        skipped=tuple(skipped),
        unknown=_by_field((made.address, found.plain_extra) for made, found in drafted),
        held_back=_by_field((made.address, found.held_back) for made, found in drafted),
        known=len(overlap),
        elsewhere=dict(sorted(elsewhere.items())),
    )
    comments = comments_of(drafts, live, schemas, redactor)
    return _composed(imported, comments, schemas, terms, before, given)


def _skipped(monitor: Live, reason: str) -> ImportNote:
    name = canonical_of(monitor.fields.get("name"))
    return ImportNote(f"monitor {monitor.id} ({monitor.type}, {name})", "", reason)


def _by_field(fields: Iterable[tuple[str, Iterable[str]]]) -> dict[str, list[str]]:
    """The addresses of the manifests that have each field, by those that each of them has."""
    found: dict[str, list[str]] = {}
    for address, names in fields:
        for name in names:
            found.setdefault(name, []).append(address)
    return dict(sorted(found.items()))


def _composed(
    imported: Imported,
    comments: Mapping[tuple[str, str], str],
    schemas: Schemas,
    terms: ImportOptions,
    before: _Before,
    given: Container[str],
) -> Imported:
    """What is imported, with the texts of its files, and with what became defaults.

    Args:
        imported: the drafts, and what is to be said of them.
        comments: what stands behind values, see `comments_of`.
        schemas: of all kinds.
        terms: how the import was asked for.
        before: what was there before.
        given: the fields that manifests get from defaults that were there before.

    Raises:
        RefusedError: a file is there already.
    """
    drafts, shared = list(imported.drafts), list[Shared]()
    if terms.merge:  # then each goes into a file that is not there yet
        free = {
            path: naming.free_path(path, before.holds) for path in {item.path for item in drafts}
        }
        drafts = [item._replace(path=free[item.path]) for item in drafts]
    # Manifests that were there before must not get anything, nor may those that are shared.
    is_new = not any(
        not each.is_empty or any(terms.sources.shared(item.origin.path) for item in each.fleet)
        for each in before.places
    )
    if terms.lift and is_new:
        drafts, shared = naming.lifted(drafts, schemas.kinds, given)
    texts = compose(drafts, shared, terms.folder, schemas, comments, has_ids=terms.has_ids)
    if there := [path for path in texts if before.holds(path)]:
        there = [os.path.join(terms.folder, path) for path in there]  # noqa: PTH118 - text
        raise RefusedError(
            f"import does not overwrite existing files: {_listed(there)}",
            "Add manifests for new monitors with --merge, or write to another folder with --into.",
        )
    is_unshared = terms.lift and not is_new and len(drafts) > 1
    return imported._replace(
        drafts=tuple(drafts), texts=texts, shared=tuple(shared), is_unshared=is_unshared
    )


def read_layout(text: str) -> Layout:
    """The layout that a pattern of paths is, or that is in the mapping file `@FILE`.

    Raises:
        UsageError: it is no pattern, or the file maps to something else.
    """
    if not text.startswith("@"):
        return naming.layout_of(text)
    path = text[1:]
    data = manifests.read(path)
    if isinstance(data, Diagnostic):
        raise UsageError(f"--layout {text}: {data.message}", _MAPPING)
    documents, findings = manifests.Parser().parse(path, data)
    value = documents[0].value if len(documents) == 1 and not findings else None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        reason = f" ({findings[0]})" if findings else ""
        raise UsageError(
            f"--layout {text}: it is not a mapping of strings to strings{reason}", _MAPPING
        )
    for pattern in value.values():
        naming.check_layout(pattern)
    return Layout(tuple((str(target), pattern) for target, pattern in value.items()))


def write(
    imported: Imported,
    folder: str,
    noting: Callable[[str], AbstractContextManager[None]],
) -> None:
    """Writes the files, none of which is there, each within what `noting` gives for its path.

    Defaults come first, so a manifest never lacks what it was written without.

    Raises:
        ConfigurationError: they cannot be written; it says which are there all the same.
    """
    placed: list[str] = []

    @contextmanager
    def placing(path: Path) -> Iterator[None]:
        with noting(str(path)):
            yield
        placed.append(str(path))

    files = {path: text.encode() for path, text in imported.texts.items()}
    try:
        durable.create_all(Path(folder), files, placing)
    except OSError as error:
        where = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        listed = f": {_listed(placed)}" if placed else ""
        raise ConfigurationError(
            f"cannot write manifests below {folder}: {error.strerror or error}{where}; "
            f"{len(placed):,} of {len(files):,} files were written{listed}",
            "Free some space or fix the permissions, then run the same command again"
            + (" with --merge: it adds the others." if placed else "."),
        ) from error


class Checked(NamedTuple):
    """What a plan says of manifests that were just written.

    Attributes:
        plan: only the imported ones are in it.
        others: how many manifests that were there before differ from AlertSite.
        loose: those that were there before and have no monitor there.
        fleet: what is in the folder by now.
        records: what the state is to say of the imported ones that it did not know.
        strangers: the ids of the monitors that no manifest describes.
    """

    plan: Plan
    others: int
    loose: tuple[Desired, ...]
    fleet: Fleet
    records: Mapping[str, Record]
    strangers: tuple[int, ...]


def check(
    imported: Imported,
    live: Sequence[Live],
    account: Account,
    schemas: Schemas,
    state: State,
    sources: Sources,
    made: Record,
) -> Checked:
    """The plan for the manifests in the folder.

    Args:
        imported: what was written.
        live: what AlertSite has.
        account: whose that is.
        schemas: of all kinds.
        state: what was known before.
        sources: what the fleet is loaded from that the manifests are part of.
        made: what is the same in all new records: the run, and the time. Whether AlertSite has
            their secrets nobody knows.

    Raises:
        InvalidManifestsError: what was written has findings.
    """
    fleet = load(_ending_in(sources.folders[-1], sources), schemas)
    described = fleet.by_address
    bound = {
        item.address: made._replace(
            id=item.id, secrets=dict.fromkeys(described[item.address].secrets, UNTRACKED)
        )
        for item in imported.drafts
    }
    bound = {name: state.records.get(name, record) for name, record in bound.items()}
    known = {**state.records, **bound}
    plan = decide(account, fleet.desired, known, live, schemas.kinds)
    ours = bound.keys()
    strangers = tuple(item.id for item in plan.unmanaged_monitors)
    # AlertSite has what the new manifests say, except for what the plan would change.
    differing = {item.address: item.body for item in plan.changes}
    records: dict[str, Record] = {}
    for item in fleet.desired:
        address = item.address
        if address in ours and address not in state.records:
            unlike = differing.get(address, {})
            seen = {name: value for name, value in item.fields.items() if name not in unlike}
            records[address] = bound[address]._replace(fields=seen)
    all_moved = {item.address for item in plan.changes}
    all_moved |= {item.address for item in plan.refusals}
    created = {item.address for item in plan.changes if item.action is Action.CREATE}
    loose = tuple(item for item in fleet.desired if item.address in created - ours)
    others = len(all_moved - ours - created)
    changes = tuple(item for item in plan.changes if item.address in ours)
    refusals = tuple(item for item in plan.refusals if item.address in ours)
    unchanged = len(ours - all_moved)
    plan = plan._replace(changes=changes, refusals=refusals, notes=(), unchanged=unchanged)
    return Checked(plan, others, loose, fleet, records, strangers)


def _listed(paths: Sequence[str]) -> str:
    """The first of the paths, and how many more there are."""
    rest = len(paths) - _MOST_LISTED
    return ", ".join(paths[:_MOST_LISTED]) + (f" and {rest:,} more" if rest > 0 else "")


def facts_of(live: Live, kind: str, name: str) -> Facts:
    """What a layout and a target may name of a monitor."""
    hosts = (live.fields.get(field) for field in ("hostname", "smtp_hostname", "email"))
    properties = live.fields.get("custom_properties")
    return Facts(
        kind,
        name,
        live.id,
        display=str(live.fields.get("name") or ""),
        host=next((host for host in hosts if isinstance(host, str) and host), ""),
        properties={
            str(item["name"]): str(item.get("value") or "")
            for item in (properties if isinstance(properties, list) else ())
            if isinstance(item, dict) and "name" in item
        },
    )


def _ending_in(folder: str, sources: Sources) -> Sources:
    """What a fleet is loaded from with a folder, which may be missing, in place of the own one."""
    shared = sources.folders[:-1]
    return sources._replace(folders=(*shared, folder) if os.path.lexists(folder) else shared)


def _above(folder: str) -> list[str]:
    """The folders above one that are below the working folder, the nearest first."""
    here, found = Path.cwd(), list[str]()
    for parent in Path(os.path.normpath(folder)).parents:
        if (
            parent == Path()
            or parent.resolve() == here
            or not parent.resolve().is_relative_to(here)
        ):
            break
        found.append(str(parent))
    return found


class _Presence:
    """The manifests and defaults of a folder, which need not exist.

    Attributes:
        fleet: the manifests.
        is_empty: whether there is no file in the folder or below it.
    """

    def __init__(self, folder: str, schemas: Schemas, sources: Sources | None = None) -> None:
        """Reads the folder; or what else the fleet that it is part of is loaded from.

        Raises:
            InvalidManifestsError: manifests have findings.
        """
        self._folder = os.path.normpath(folder)
        files: list[str] = []
        self.fleet: tuple[Desired, ...] = ()
        if os.path.lexists(self._folder):
            files = manifests.find([self._folder], may_be_empty=True).files
        if files and sources is None:
            self.fleet = load_fleet([self._folder], schemas, may_be_empty=True).desired
        if sources is not None:
            self.fleet = load(sources, schemas, may_be_empty=True).desired
        self.is_empty = not files
        self._defaults = defaults.Defaults(schemas)
        for path in {*defaults.above([self._folder]), *filter(defaults.is_defaults, files)}:
            data = manifests.read(path)
            if not isinstance(data, Diagnostic):
                self._defaults.take_in(path, data, sources.variables if sources else {})

    def inherited(self, path: str, kind: str) -> Mapping[str, JSON]:
        """What a manifest of that kind at a path below the folder gets from defaults."""
        return self._defaults.of(str(Path(self._folder, path)), kind).values

    def holds(self, path: str) -> bool:
        """Whether there is something at a path below the folder."""
        return os.path.lexists(Path(self._folder, path))


class _Before(NamedTuple):
    """What manifests and files there are before an import.

    Attributes:
        places: the folders where new files will be: the one that they are written to and, for
            `--merge`, that of the manifests, where those that are staged are moved later.
        addresses: those of all manifests there, and of those in folders above.
        described: the manifests that are bound to a monitor, by its id.
        loose: the others, by the key of a monitor that they would match.
    """

    places: Sequence[_Presence]
    addresses: set[str]
    described: Mapping[int, Desired]
    loose: Mapping[tuple[str, str], Desired]

    @classmethod
    def read(cls, terms: ImportOptions, schemas: Schemas, state: State) -> _Before:
        """Reads it.

        Raises:
            InvalidManifestsError: manifests have findings.
        """
        own = terms.sources.folders[-1]
        folders = {terms.folder, own} if terms.merge else {terms.folder}
        sources = terms.sources if terms.sources != Sources((own,)) else None
        places = [
            _Presence(folder, schemas, sources and _ending_in(folder, sources))
            for folder in sorted(folders)
        ]
        # What stands in a folder above is read from there too, and so are the new files.
        # Those above the folders of one of several accounts hold the manifests of others.
        around = [_Presence(folder, schemas) for folder in _above(terms.folder) if sources is None]
        known = [item for each in (*places, *around) for item in each.fleet]
        described: dict[int, Desired] = {}
        loose: dict[tuple[str, str], Desired] = {}
        for item in known:
            number = number_of(item, state.records.get(item.address))
            if number is None:
                loose[match_key_of(item)] = item
            else:
                described[number] = item
        return cls(places, {item.address for item in known}, described, loose)

    def inherited(self, path: str, kind: str) -> tuple[Mapping[str, JSON], set[str]]:
        """What a new manifest gets from defaults, and which fields of that in every place.

        What is staged has to be whole where it is now, too.
        """
        found = [each.inherited(path, kind) for each in self.places]
        inherited = {field: value for values in found for field, value in values.items()}
        is_certain = {
            field
            for field, value in inherited.items()
            if all(canonical(values.get(field)) == canonical(value) for values in found)
        }
        return inherited, is_certain

    def holds(self, path: str) -> bool:
        """Whether there is something at a path below one of the places."""
        return any(each.holds(path) for each in self.places)
