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
from reconciler.usecases.draft import Drafting, canonical_of, comments_of, compose
from reconciler.usecases.load import Fleet, Sources, load, load_fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
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
    drafts = _Drafts(schemas, state, terms, redactor)
    for monitor in sorted(live, key=lambda each: each.id):
        drafts.take(monitor)
    return drafts.imported(live, redactor)


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
    # What was just written was seen, but for what differs.
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
            files = manifests.find([self._folder], may_be_empty=True)
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


class _Drafts:
    """What has been drafted so far."""

    def __init__(
        self, schemas: Schemas, state: State, terms: ImportOptions, redactor: Redactor
    ) -> None:
        self._schemas = schemas
        self._terms = terms
        # What is staged to be merged is moved to the folder of the manifests later.
        own = terms.sources.folders[-1]
        folders = {terms.folder, own} if terms.merge else {terms.folder}
        sources = terms.sources if terms.sources != Sources((own,)) else None
        self._present = [
            _Presence(folder, schemas, sources and _ending_in(folder, sources))
            for folder in sorted(folders)
        ]
        # What stands in a folder above is read from there too, and so are the new files.
        # Those above the folders of one of several accounts hold the manifests of others.
        around = [_Presence(folder, schemas) for folder in _above(terms.folder) if sources is None]
        known = [item for present in (*self._present, *around) for item in present.fleet]
        self._described: dict[int, Desired] = {}
        self._loose: dict[tuple[str, str], Desired] = {}  # bound to nothing
        for item in known:
            number = number_of(item, state.records.get(item.address))
            if number is None:
                self._loose[match_key_of(item)] = item
            else:
                self._described[number] = item
        addresses = {item.address for item in known}
        self._named = {
            record.id: address
            for address, record in state.records.items()
            if address not in addresses
        }
        self._secret = {record.id: tuple(record.secrets) for record in state.records.values()}
        self._taken = addresses | state.records.keys()
        self._drafting = Drafting(schemas, redactor, write_unknown=terms.write_unknown)
        self._drafts: list[Draft] = []
        self._overlap: list[int] = []
        self._elsewhere: dict[str, int] = {}
        self._unmet = set(terms.targets)
        self._given: set[str] = set()
        self._secrets: list[ImportNote] = []
        self._left_out: list[ImportNote] = []
        self._skipped: list[ImportNote] = []
        self._unknown: dict[str, list[str]] = {}
        self._held_back: dict[str, list[str]] = {}

    def take(self, live: Live) -> None:
        """Takes in one monitor."""
        kind = self._schemas.kinds.get(live.type or "")
        if kind is None:
            is_meant = not self._terms.targets or str(live.id) in self._terms.targets
            if live.type is None and is_meant:
                self._unmet.discard(str(live.id))
                self._skip(live, "AlertSite does not return its type")
            return
        recorded, _, name = self._named.get(live.id, "").partition("/")  # as the state has it
        if recorded != kind.name:
            wanted = naming.slug(str(live.fields.get("name") or ""), live.id)
            name = naming.free_name(wanted, kind.name, self._taken)
        facts = facts_of(live, kind.name, name)
        targets = [target for target in self._terms.targets if naming.means(facts, target)]
        self._unmet.difference_update(targets)
        if self._terms.targets and not targets:
            return
        if live.id in self._described:
            self._overlap.append(live.id)
            return
        key, others = match_key(kind.name, live.fields.get("name")), self._terms.sources.others
        if claim := others.ids.get(live.id) or others.names.get(key):
            self._elsewhere[claim.account] = self._elsewhere.get(claim.account, 0) + 1
            return
        loose = self._loose.get(key)
        if loose is not None:
            other = f"{loose.address} ({loose.origin})"
            self._skip(live, f"{other} looks like it but has no id; bind it with apply --adopt")
            return
        path = self._terms.layout.path(facts)
        places = [present.inherited(path, kind.name) for present in self._present]
        inherited = {field: value for given in places for field, value in given.items()}
        # What is staged has to be whole where it is now, too.
        is_certain = {
            field
            for field, value in inherited.items()
            if all(canonical(given.get(field)) == canonical(value) for given in places)
        }
        self._given.update(inherited)
        secret = self._secret.get(live.id, ())
        found = self._drafting.content(kind, name, live, inherited, is_certain, secret)
        if found.fault:
            self._skip(live, found.fault)
            return
        made = Draft(kind.name, name, live.id, path, found.spec, found.extra, found.held_back)
        self._taken.add(made.address)
        self._drafts.append(made)
        self._left_out += [
            ImportNote(made.address, *item) for item in sorted(found.left_out.items())
        ]
        self._secrets += [
            ImportNote(made.address, ".".join(map(str, item.path)), item.variable)
            for item in found.secrets
        ]
        for field in found.extra.keys() - {item.path[0] for item in found.secrets}:
            self._unknown.setdefault(field, []).append(made.address)
        for field in found.held_back:
            self._held_back.setdefault(field, []).append(made.address)

    def imported(self, live: Sequence[Live], redactor: Redactor) -> Imported:
        """All of it.

        Raises:
            UsageError: no email monitor is meant by a target.
            RefusedError: something is there already, and nothing is to be merged.
        """
        if self._unmet:  # one that means nothing may be a typing error
            raise UsageError(
                f"{', '.join(sorted(self._unmet))}: no email monitor has this id or name",
                "A target is an id, or a glob over names. To see all, run: reconciler list --live",
            )
        known = (self._described[number] for number in self._overlap)
        own = [item for item in known if not self._is_shared(item)]
        if own and not self._terms.merge:
            first, count = own[0], len(own)
            raise RefusedError(
                f"1 of the monitors already has a manifest: {first.address} ({first.origin})"
                if count == 1
                else f"{count:,} of the monitors already have manifests, such as {first.address} "
                f"({first.origin})",
                "Add manifests for the others with --merge, or write to another folder with "
                "--into.",
            )
        drafts, shared = self._drafts, list[Shared]()
        if self._terms.merge:  # then each goes into a file that is not there yet
            paths = {item.path for item in drafts}
            free = {path: naming.free_path(path, self._holds) for path in paths}
            drafts = [item._replace(path=free[item.path]) for item in drafts]
        comments = comments_of(drafts, live, self._schemas, redactor)
        # Manifests that were there before must not get anything, nor may those that are shared.
        is_new = all(
            present.is_empty and not any(map(self._is_shared, present.fleet))
            for present in self._present
        )
        if self._terms.lift and is_new:
            drafts, shared = naming.lifted(drafts, self._schemas.kinds, self._given)
        texts = compose(
            drafts,
            shared,
            self._terms.folder,
            self._schemas,
            comments,
            has_ids=self._terms.has_ids,
        )
        if there := [path for path in texts if self._holds(path)]:
            there = [os.path.join(self._terms.folder, path) for path in there]  # noqa: PTH118 - text
            raise RefusedError(
                f"import does not overwrite existing files: {_listed(there)}",
                "Add manifests for new monitors with --merge, or write to another folder with "
                "--into.",
            )
        return Imported(
            drafts=tuple(drafts),
            texts=texts,
            shared=tuple(shared),
            secrets=tuple(self._secrets),
            left_out=tuple(self._left_out),
            skipped=tuple(self._skipped),
            unknown=dict(sorted(self._unknown.items())),
            held_back=dict(sorted(self._held_back.items())),
            known=len(self._overlap),
            elsewhere=dict(sorted(self._elsewhere.items())),
            is_unshared=self._terms.lift and not is_new and len(drafts) > 1,
        )

    def _skip(self, live: Live, reason: str) -> None:
        name = canonical_of(live.fields.get("name"))
        self._skipped.append(ImportNote(f"monitor {live.id} ({live.type}, {name})", "", reason))

    def _is_shared(self, manifest: Desired) -> bool:
        """Whether other accounts use the manifest too; what it describes is always skipped."""
        return bool(self._terms.sources.shared(manifest.origin.path))

    def _holds(self, path: str) -> bool:
        return any(present.holds(path) for present in self._present)
