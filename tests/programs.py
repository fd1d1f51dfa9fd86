"""Programs of others that look at what the project ships."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOOLS = Path(sys.executable).parent


def check(folder: Path, program: str | Path, *arguments: str) -> None:
    """Fails, with what it printed, unless the program finds nothing in the folder."""
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def beside_us(command: Sequence[str | Path], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server that does not outlive this process, not even if that is killed.

    It is killed as soon as nobody holds the other end of the pipe any more: a server that is asked
    to end may write its logs for minutes.
    """
    shell = ["sh", "-c", '"$@" & read -r _; kill -9 $!; wait', "sh", *command]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, **how) as process:
        yield process  # the block's end closes the pipe
