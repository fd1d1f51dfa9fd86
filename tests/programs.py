"""Programs of others that look at what the project ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOLS = Path(sys.executable).parent


def check(folder: Path, program: str | Path, *arguments: str) -> None:
    """Fails, with what it printed, unless the program finds nothing in the folder."""
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
