"""Moving manifests so that they say the same afterwards.

What a manifest gets from defaults depends on its folder. So before a file is moved, each value that
the move would change is written into the manifest: a default that it would lose, and
`{inherit: false}` where it would get one. Until the files are moved, these edits change nothing
either, since they say what counts already; a run that is killed in between leaves the same fleet.

Rule: it is worked out and checked before anything is written, and no file is ever overwritten.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler import durable, manifests
from reconciler.core.assignments import LIFECYCLE, SPEC
from reconciler.core.inheritance import INHERIT
from reconciler.core.model import canonical
from reconciler.core.variables import escaped
from reconciler.errors import ConfigurationError, Diagnostic, InvalidManifestsError, UsageError
from reconciler.manifests.editor import set_fields
from reconciler.manifests.edits import FieldEdit, NotEditableError
from reconciler.manifests.formatter import still_tidy
from reconciler.usecases import defaults
from reconciler.usecases.fmt import Ordering
from reconciler.usecases.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from reconciler.core.model import JSON, Desired
    from reconciler.schema import Schemas
    from reconciler.usecases.load import Fleet, Sources


_FILES = (".yaml", ".yml")
_SWITCH = "enabled"
"""The field that `lifecycle.until` is about."""
_SCHEMA = re.compile(rb"^(# yaml-language-server: \$schema=)(\.\.?/[^\s#]+)", re.MULTILINE)


class Step(NamedTuple):
    """A file or folder, and where it goes."""

    source: str
    target: str

    def of(self, path: str) -> str | None:
        """Where a file goes that is the source or below it; None if it is neither."""
        if path == self.source:
            return self.target
        prefix = f"{self.source}/"
        return f"{self.target}/{path.removeprefix(prefix)}" if path.startswith(prefix) else None


class Kept(NamedTuple):
    """A field that the manifest names from now on, so that it stays as it is.

    Attributes:
        value: what is written.
        before: the default that it had so far; empty if it had none.
        section: where the manifest names it.
    """

    desired: Desired
    field: str
    value: JSON
    before: str
    section: str = SPEC


class Move(NamedTuple):
    """What is to be done.

    Attributes:
        files: where each manifest file goes.
        kept: the fields that are written.
        edits: what files are to hold before they are moved, by their old path, and what they hold.
        skipped: sources that are missing, while there is something where they would go.
    """

    steps: tuple[Step, ...]
    files: Mapping[str, str]
    kept: tuple[Kept, ...]
    edits: Mapping[str, tuple[bytes, bytes]]
    skipped: tuple[Step, ...] = ()


def find_move(moved: Sequence[str], target: str, sources: Sources, schemas: Schemas) -> Move:
    """What moves files or folders of a fleet, and keeps what their manifests say; writes nothing.

    Args:
        moved: files and folders of the account's own folder; shared ones are of others too.
        target: a folder that there is or that ends with a slash, for all of them; or else the new
            name of the one.
        sources: what the fleet is loaded from.
        schemas: what they must fit.

    Raises:
        UsageError: it cannot be moved there.
        ConfigurationError: something would be overwritten, or a file cannot be edited.
        InvalidManifestsError: the manifests have findings.
        InvalidEditsError: they would have some.
    """
    folders = sources.folders
    fleet = load(sources, schemas)
    _check_addresses(moved, fleet)
    steps, skipped = _steps(moved, target, os.path.normpath(folders[-1]))
    found = manifests.find(folders, may_be_empty=True).files
    files = {path: new for path in found for step in steps if (new := step.of(path)) is not None}
    read = dict.fromkeys((*found, *defaults.above(folders)))
    _check_links(read, steps)
    original: dict[str, bytes] = {}
    new_defaults = defaults.Defaults(schemas)
    for path in read:
        data = manifests.read(path)
        if isinstance(data, Diagnostic):
            raise InvalidManifestsError((data,))
        original[path] = data
        new = files.get(path, path)
        if defaults.is_defaults(new):
            new_defaults.take_in(new, data, sources.variables)
    kept = tuple(
        item
        for desired in fleet.desired
        if not desired.layer
        for item in _kept(desired, new_defaults, files)
    )
    edited = _edited(kept, original, files, Ordering(schemas))
    after: dict[str, bytes | None] = dict.fromkeys(files)
    after |= {files.get(path, path): edited.get(path, original[path]) for path in (*files, *edited)}
    _check_same(fleet, load(sources, schemas, edited=after))
    edits = {path: (original[path], edited[path]) for path in edited}
    return Move(steps, files, kept, edits, skipped)


def move(move: Move, noting: Callable[[str], AbstractContextManager[None]]) -> None:
    """Writes the edits, then moves the files; each within what `noting` gives for its path.

    A file of defaults that moves with others is copied before them and removed after them: until
    all are moved, it counts for those that have not moved and for those that have.

    Raises:
        ConfigurationError: a file cannot be written or moved; those before it are.
    """
    for path, (original, data) in move.edits.items():
        with noting(path):
            manifests.write(path, data, original)
    there = [step for step in move.steps if _is_copied(step)]
    copied = [
        step
        for step in move.steps
        if len(move.steps) > 1 and defaults.is_defaults(step.source) and step not in there
    ]
    shared = there + copied
    moved = (step for step in move.steps if step not in shared)
    acts: list[tuple[Step, Callable[[], None]]] = [
        *((step, partial(durable.copy, Path(step.source), Path(step.target))) for step in copied),
        *((step, partial(durable.move, Path(step.source), Path(step.target))) for step in moved),
        *((step, partial(durable.remove, Path(step.source))) for step in shared),
    ]
    for step, act in acts:
        try:
            with noting(step.target):
                act()
        except OSError as error:
            raise ConfigurationError(
                f"cannot move {step.source} to {step.target}: {error.strerror or error}",
                "Files that are already moved stay there, and the plan is the same. Remove the "
                "cause, then move the rest.",
            ) from error


def _is_copied(step: Step) -> bool:
    """Whether a move that was killed has copied these defaults already."""
    is_there = defaults.is_defaults(step.source) and Path(step.target).is_file()
    return is_there and Path(step.source).read_bytes() == Path(step.target).read_bytes()


def _check_addresses(given: Sequence[str], fleet: Fleet) -> None:
    """Stops at an address, which has no path of its own.

    Raises:
        UsageError: naming the file of its manifest.
    """
    for path in given:
        address = "/".join(Path(path).parts[-2:])  # wherever it was given
        if address in fleet.by_address and not os.path.lexists(path):
            file = fleet.by_address[address].origin.path
            raise UsageError(
                f"{address} is an address, and mv moves files: its manifest is in {file}",
                "Name that file. To rename the monitor in Git, change metadata.name and add the "
                "old one to metadata.previously.",
            )


def _steps(
    sources: Sequence[str], target: str, root: str
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Where each source goes, and those that are there already.

    Raises:
        UsageError: it cannot go there.
        ConfigurationError: there is something already.
    """
    new = os.path.normpath(target)
    is_folder = target.endswith("/") or Path(target).is_dir() or len(sources) > 1
    steps: list[Step] = []
    skipped: list[Step] = []
    for given in sources:
        source = os.path.normpath(given)
        step = Step(source, str(Path(new, Path(source).name)) if is_folder else new)
        if not os.path.lexists(source):
            if len(sources) > 1 and os.path.lexists(step.target):
                skipped.append(step)  # a run that was killed has moved it, or it is misspelled
                continue
            raise UsageError(
                f"{given}: there is no such file or folder", "Use a file or folder that exists."
            )
        _check(step, root, is_file=not Path(source).is_dir())
        steps.append(step)
    if not steps:
        raise UsageError(f"all of them are already in {target}", "Name the files to move.")
    if len({step.target for step in steps}) < len(steps):
        raise UsageError("two of them have the same name", "Move them one at a time.")
    for step in steps:
        if any(other.source.startswith(f"{step.source}/") for other in steps):
            raise UsageError(f"{step.source} contains another of them", "Name only the folder.")
    return tuple(steps), tuple(skipped)


def _check(step: Step, root: str, *, is_file: bool) -> None:
    if step.source == root:
        raise UsageError(
            f"{root} is the folder of all manifests, and mv moves only what is in it",
            "Rename it with git mv, then name it with --manifests DIR, or with manifests of the "
            "account in reconciler.toml.",
        )
    for path in step:
        if not path.startswith(f"{root}/"):
            raise UsageError(
                f"{path} is not below {root}, the manifest folder",
                "Monitors moved out of it would lose their manifests. Use another folder with "
                "--manifests DIR.",
            )
    if step.target == step.source:
        raise UsageError(
            f"{step.source} is already in {Path(step.source).parent}", "Use another target."
        )
    if step.target.startswith(f"{step.source}/"):
        raise UsageError(f"{step.source} cannot be moved into itself", "Use another target.")
    if any(part.startswith(".") for part in Path(step.target).relative_to(root).parts):
        raise UsageError(f"{step.target} is hidden, so it would not be read", "Use another name.")
    if is_file and not step.target.endswith(_FILES):
        raise UsageError(
            f"{step.target} is not named *.yaml", "Only files with these names are read."
        )
    if os.path.lexists(step.target) and not _is_copied(step):
        raise ConfigurationError(
            f"{step.target} already exists, and mv does not overwrite files",
            "Use another name, or move that file first.",
        )


def _check_links(paths: Iterable[str], steps: Sequence[Step]) -> None:
    """Stops if a link would lead somewhere else: a manifest or a default would be lost with it.

    Raises:
        ConfigurationError: naming the first one.
    """

    def moved(path: str) -> str:
        return next((new for step in steps if (new := step.of(path)) is not None), path)

    for path in paths:
        if not os.path.islink(path):  # noqa: PTH114 - texts, thousands of them
            continue
        target = os.readlink(path)  # noqa: PTH115 - which is not a path from here
        old, new = (
            os.path.relpath(Path(folder, target))
            for folder in (Path(path).parent, Path(moved(path)).parent)
        )
        if moved(old) != new:
            raise ConfigurationError(
                f"{path} is a link to {target}, and would point somewhere else",
                "Nothing was moved. Replace the link with a file, or move it by hand.",
            )


def _kept(desired: Desired, after: defaults.Defaults, files: Mapping[str, str]) -> Iterator[Kept]:
    """The fields that the manifest has to name, for them to stay as they are.

    `after` are all defaults where they will be.
    """
    path = desired.origin.path
    inherited = after.of(files.get(path, path), desired.kind.name)
    given = inherited.values
    fields = {**desired.fields, **desired.secrets}
    named = {
        field
        for field in desired.inherited
        if field not in given or canonical(given[field]) != canonical(fields[field])
    }
    for field, origin in desired.inherited.items():
        if field in named:
            yield Kept(desired, field, fields[field], str(origin))
    for field, appended in desired.appended.items():
        known = fields[field][: appended.inherited]
        if canonical(given.get(field)) != canonical(known):
            yield Kept(desired, field, fields[field], str(appended.origin))
    for field in given:
        if field not in fields and field not in desired.refused:
            yield Kept(desired, field, {INHERIT: False}, "")
    old, new = desired.inherited.get(_SWITCH), inherited.origins.get(_SWITCH)
    wanted = now = None
    if old is not None:
        wanted = after.untils.get((files.get(old.path, old.path), old.document))
    if new is not None and _SWITCH not in named:
        now = after.untils.get((new.path, new.document))
    if wanted and wanted != now and not desired.lifecycle.until:
        yield Kept(desired, "until", wanted, str(old), LIFECYCLE)


def _edited(
    kept: Sequence[Kept],
    original: Mapping[str, bytes],
    moved: Mapping[str, str],
    ordering: Ordering,
) -> dict[str, bytes]:
    """What files are to hold that change, by their old path.

    Raises:
        ConfigurationError: one cannot be edited.
    """
    wanted: dict[str, dict[int, dict[tuple[str, str], FieldEdit]]] = {}
    for item in kept:
        origin = item.desired.origin
        edits = wanted.setdefault(origin.path, {}).setdefault(origin.document, {})
        edits[item.section, item.field] = FieldEdit(escaped(item.value))
    edited: dict[str, bytes] = {}
    for path in dict.fromkeys((*wanted, *moved)):
        data = _with_schema(original[path], path, moved.get(path, path))
        try:
            if path in wanted:
                data = still_tidy(data, set_fields(data, wanted[path]), ordering.of)
        except NotEditableError as error:
            raise ConfigurationError(
                f"{path}: cannot write the values that the move would change: {error}",
                "Nothing was moved. Write the values by hand, then run the same command again.",
            ) from error
        if data != original[path]:
            edited[path] = data
    return edited


def _with_schema(data: bytes, old: str, new: str) -> bytes:
    """The file whose comment for editors still leads to the same schema."""
    folder, other = Path(old).parent, Path(new).parent
    if folder == other:
        return data

    def led(found: re.Match[bytes]) -> bytes:
        schema = os.path.normpath(folder / found[2].decode())
        return found[1] + os.path.relpath(schema, other).encode()

    return _SCHEMA.sub(led, data)


def _check_same(before: Fleet, after: Fleet) -> None:
    """Stops should a manifest say something else afterwards.

    Raises:
        ConfigurationError: naming the first one.
    """

    def said(desired: Desired) -> str:
        return canonical([desired.id, {**desired.fields}, {**desired.secrets}])

    for old in before.desired:
        new = after.by_address.get(old.address)
        if new is None or said(old) != said(new):
            raise ConfigurationError(
                f"{old.origin}: the move would change the values of {old.address}",
                "Nothing was moved. Several accounts use this manifest, so the values of one "
                "account cannot be written there: write them into an Override first."
                if old.layer
                else "Nothing was moved. This is a bug; please report it.",
            )
