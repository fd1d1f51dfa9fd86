"""Values that manifests get from `_defaults.yaml` files of their folder and those above.

Rule: the nearest folder wins, for each top-level field of `spec`; nothing is merged deeper.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import Diagnostic
from reconciler.model import Origin
from reconciler.schema import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.manifest import Document, Locator
    from reconciler.model import JSON
    from reconciler.schema import Schemas

NAMES = ("_defaults.yaml", "_defaults.yml")
"""Files that hold Defaults documents, and nothing else."""


class Inherited(NamedTuple):
    """What the manifests of one kind in one folder get.

    Attributes:
        values: by field.
        origins: the Defaults document that each comes from.
    """

    values: Mapping[str, JSON]
    origins: Mapping[str, Origin]


NOTHING = Inherited({}, {})


def is_defaults(path: str) -> bool:
    """Whether a file is for Defaults documents, by its name."""
    return os.path.basename(path) in NAMES  # noqa: PTH119 - paths are texts here, thousands of them


def above(paths: Sequence[str]) -> list[str]:
    """The defaults files in the folders above the paths, up to the current folder or a clone's."""
    found = []
    for given in paths:
        path = os.path.normpath(given)
        while (parent := os.path.dirname(path)) != path:  # noqa: PTH120
            if (
                path in {"", "."}
                or Path(path).resolve() == Path.cwd()
                or Path(path, ".git").exists()
            ):
                break
            found += [os.path.join(parent, name) for name in NAMES]  # noqa: PTH118
            path = parent
    return [path for path in dict.fromkeys(found) if os.path.lexists(path)]


class Defaults:
    """All Defaults documents of a workspace."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._given: dict[tuple[str, str], dict[str, tuple[JSON, Origin]]] = {}
        self._known: dict[tuple[str, str], Inherited] = {}

    def add(self, document: Document, locator: Locator) -> Iterator[Diagnostic]:
        """Takes in a document of a defaults file; yields what is wrong with it."""

        def finding(pointer: tuple[str | int, ...], code: str, message: str) -> Diagnostic:
            place = locator.position(document.path, document.number, pointer, of_key=True)
            return Diagnostic(place, code, message)

        value = document.value
        if not isinstance(value, dict) or value.get("kind") != DEFAULTS:
            yield finding(
                ("kind",), "not-defaults", f"only documents of the kind {DEFAULTS} belong here"
            )
            return
        is_valid = True
        for problem in self._schemas.explain_defaults(value):
            is_valid = False
            place = locator.position(
                document.path, document.number, problem.pointer, of_key=problem.of_key
            )
            yield Diagnostic(place, problem.code, problem.message)
        if not is_valid:
            return
        folder = os.path.dirname(document.path)  # noqa: PTH120
        origin = Origin(document.path, document.number, document.line)
        for kind in value.get("appliesTo", self._schemas.kinds):
            given = self._given.setdefault((folder, kind), {})
            for field, default in value["spec"].items():
                if field not in self._schemas.kinds[kind].fields:
                    continue
                _, first = given.setdefault(field, (default, origin))
                if first is not origin:
                    yield finding(
                        ("spec", field),
                        "duplicate-default",
                        f"{field} of {kind} has a default in this folder already, at {first}",
                    )

    def __bool__(self) -> bool:
        return bool(self._given)

    def of(self, path: str, kind: str) -> Inherited:
        """What a manifest of that kind in that file gets."""
        folder = os.path.dirname(path)  # noqa: PTH120
        found = self._known.get((folder, kind))
        if found is None:
            found = self._known[folder, kind] = self._look_up(folder, kind)
        return found

    def _look_up(self, folder: str, kind: str) -> Inherited:
        merged: dict[str, tuple[JSON, Origin]] = {}
        while True:
            merged = {**self._given.get((folder, kind), {}), **merged}
            parent = os.path.dirname(folder)  # noqa: PTH120
            if parent == folder:
                break
            folder = parent
        return Inherited(
            {field: value for field, (value, _) in merged.items()},
            {field: origin for field, (_, origin) in merged.items()},
        )
