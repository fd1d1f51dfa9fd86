"""What stands in a folder before manifests are added to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import manifests
from reconciler.core.inventory import match_key_of
from reconciler.errors import Diagnostic
from reconciler.usecases import defaults
from reconciler.usecases.load import load, load_fleet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model import JSON, Desired
    from reconciler.core.state import State
    from reconciler.schema import Schemas
    from reconciler.usecases.load import Sources


def above(folder: str) -> list[str]:
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


class Presence:
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
        return self._defaults.of(self._full(path), kind).values

    def holds(self, path: str) -> bool:
        """Whether there is something at a path below the folder."""
        return os.path.lexists(self._full(path))

    def bound(self, state: State) -> dict[int, Desired]:
        """The manifests by the id that they or their records name."""
        records = state.records
        return {
            records[item.address].id if item.id is None else item.id: item
            for item in self.fleet
            if item.id is not None or item.address in records
        }

    def loose(self, state: State) -> dict[tuple[str, str], Desired]:
        """The manifests that are bound to nothing, by kind and display name."""
        return {
            match_key_of(item): item
            for item in self.fleet
            if item.id is None and item.address not in state.records
        }

    def _full(self, path: str) -> str:
        return str(Path(self._folder, path))
