"""Values that manifests get from `_defaults.yaml` files of their folder and those above.

Rule: the nearest folder wins, for each top-level field of `spec`; nothing is merged deeper. A
nearer file may say that a field is not inherited, or add elements to a list
(`core/inheritance.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.inheritance import (
    APPEND,
    combined,
    elements_of,
    is_not_inherited,
    marks_of,
)
from reconciler.core.variables import fill
from reconciler.errors import Problem
from reconciler.manifests import Parser
from reconciler.schema import DEFAULTS
from reconciler.usecases.overrides import Given

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import JSON, Appended, Origin
    from reconciler.manifests import Document
    from reconciler.schema import Schemas


NAMES = ("_defaults.yaml", "_defaults.yml")
"""Files that hold Defaults documents, and nothing else."""


class Inherited(NamedTuple):
    """What the manifests of one kind in one folder get.

    Attributes:
        values: by field.
        origins: the Defaults document that each comes from.
        appended: the fields that the manifest adds elements to.
        refused: the fields that the manifest does not want, and where each would come from.
        overridden: the Override that each field comes from which one says.
        overruled: the fields that the manifest names itself, and where each would come from.
    """

    values: Mapping[str, JSON]
    origins: Mapping[str, Origin]
    appended: Mapping[str, Appended] = {}
    refused: Mapping[str, Origin] = {}
    overridden: Mapping[str, Origin] = {}
    overruled: Mapping[str, Origin] = {}

    def place(self, field: str) -> Origin | None:
        """The document that the value comes from, if it is not the manifest."""
        return self.overridden.get(field) or self.origins.get(field)


NOTHING = Inherited({}, {})


def is_defaults(path: str) -> bool:
    """Whether a file is for Defaults documents, by its name."""
    return os.path.basename(path) in NAMES


def above(paths: Sequence[str]) -> list[str]:
    """The defaults files in the folders above the paths, up to the current folder or a clone's."""
    found: list[str] = []
    for path in map(os.path.normpath, paths):
        below = path
        for folder in _folders(path):
            if Path(below).resolve() == Path.cwd() or Path(below, ".git").exists():
                break
            found += [os.path.join(folder, name) for name in NAMES]
            below = folder
    return [path for path in dict.fromkeys(found) if os.path.lexists(path)]


def _folders(path: str) -> Iterator[str]:
    """The folder that a path is in and those above it, the nearest first.

    Above `..` a path says nothing more: what follows would be the current folder.
    """
    # Paths are texts here, thousands of them.
    while os.path.basename(path) not in {".", ".."}:
        parent = os.path.dirname(path)
        if parent == path:
            return
        yield parent
        path = parent


class Defaults:
    """All Defaults documents of a workspace.

    Attributes:
        untils: until when what is off by a document is meant to be, by its path and number.
    """

    def __init__(self, schemas: Schemas) -> None:
        self.untils: dict[tuple[str, int], str] = {}
        self._schemas = schemas
        self._given: dict[tuple[str, str], dict[str, tuple[JSON, Origin]]] = {}
        self._known: dict[tuple[str, str], Inherited] = {}
        self._spoilt: set[str] = set()

    def take_in(self, path: str, data: bytes, variables: Mapping[str, JSON]) -> None:
        """Takes in what is valid of the documents of a defaults file."""
        for document in Parser().parse(path, data)[0]:
            list(self.add(document._replace(value=fill(document.value, variables).value)))

    def add(self, document: Document) -> Iterator[Problem]:
        """Takes in a document of a defaults file; yields what is wrong with it."""
        value = document.value
        if not isinstance(value, dict) or value.get("kind") != DEFAULTS:
            message = f"only documents of the kind {DEFAULTS} are allowed here"
            yield Problem(("kind",), "not-defaults", message)
            return
        # The schema knows values only, and not what is said of others.
        said = value.get("spec")
        spec = said if isinstance(said, dict) else {}
        marks = marks_of(spec)
        lists = {name: found for name in marks if (found := elements_of(marks[name])) is not None}
        values = {name: lists.get(name, item) for name, item in spec.items()}
        values = {name: item for name, item in values.items() if not is_not_inherited(item)}
        whole = {**value, "spec": values} if marks else value
        is_valid = True
        for problem in self._schemas.explain_other(DEFAULTS, whole):
            pointer = problem.pointer
            if marks and not values and pointer == ("spec",):
                continue  # it only says that no field has a value
            is_valid = False
            if pointer[1:] and pointer[1] in lists:
                pointer = (*pointer[:2], APPEND, *pointer[2:])
            yield problem._replace(pointer=pointer)
        if not is_valid:
            return
        origin = document.origin
        if until := value.get("lifecycle", {}).get("until"):
            self.untils[origin.path, origin.document] = until
        folder = os.path.dirname(origin.path)
        wanted = value.get("appliesTo", self._schemas.kinds)
        for field, default in value["spec"].items():
            pointer = ("spec", field)
            kinds = [kind for kind in wanted if field in self._schemas.kinds[kind].fields]
            if not kinds:
                message = f"no kind that this applies to has the field {field}"
                yield Problem(pointer, "unknown-key", message, of_key=True)
            taken = {}
            for kind in kinds:
                given = self._given.setdefault((folder, kind), {})
                _, first = given.setdefault(field, (default, origin))
                if first is not origin:
                    taken[kind] = first
            if taken:
                message = (
                    f"{field} of {', '.join(taken)} already has a default in this folder, at "
                    f"{next(iter(taken.values()))}"
                )
                yield Problem(pointer, "duplicate-default", message, of_key=True)

    def spoil(self, path: str) -> None:
        """Notes that a defaults file has findings, so that what it would give is not known."""
        self._spoilt.add(os.path.dirname(path))

    def may_give_more(self, path: str) -> bool:
        """Whether a manifest in that file would get more, were it not for such findings."""
        return bool(self._spoilt) and not self._spoilt.isdisjoint(_folders(path))

    def elsewhere(self, field: str, kind: str) -> Origin | None:
        """A default for the field that counts in another folder."""
        found = (
            given[field][1]
            for (_, name), given in self._given.items()
            if name == kind and field in given
        )
        return min(found, key=str, default=None)

    def __bool__(self) -> bool:
        return bool(self._given)

    def of(self, path: str, kind: str) -> Inherited:
        """What a manifest of that kind in that file gets."""
        place = (os.path.dirname(path), kind)
        if place in self._known:
            return self._known[place]
        values: dict[str, JSON] = {}
        origins: dict[str, Origin] = {}
        for folder in reversed(list(_folders(path))):
            for field, (value, origin) in self._given.get((folder, kind), {}).items():
                if is_not_inherited(value):
                    values.pop(field, None)
                    origins.pop(field, None)
                    continue
                elements = elements_of(value)
                known = values.get(field, [])
                values[field] = value if elements is None else combined(known, elements)
                origins[field] = origin
        return self._known.setdefault(place, Inherited(values, origins))

    def over(self, path: str, kind: str, folders: Iterable[str]) -> Iterator[Given]:
        """What defaults of later layers say of a manifest of an earlier one, the nearest last.

        Those of folders that the manifest is below itself count as its own defaults already.
        """
        known = set(_folders(path))
        for layer in map(os.path.normpath, folders):
            for folder in reversed((layer, *_folders(layer))):
                if folder not in known:
                    for field, (value, origin) in self._given.get((folder, kind), {}).items():
                        yield Given("spec", field, value, origin, is_override=False)
