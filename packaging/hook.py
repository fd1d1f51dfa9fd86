"""Adds the man pages to a wheel, where they have been written: they need the tool itself."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPages(BuildHookInterface):
    """Puts each page where pipx, uv and man look for it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatch before it builds the wheel."""
        del version
        for page in sorted(Path(self.root, "build", "man").glob("*.1")):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"
