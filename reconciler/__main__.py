"""Entry point of the console script and of `python -m reconciler`."""

import gc
import os
import sys


def main() -> None:
    """Runs the command line and leaves with its code.

    Nearly all that a run loads, modules and manifests alike, stays to its end: looking for garbage
    in it would take a tenth of the start and of a large plan. Commands that leave garbage behind
    enable the collector again.

    It leaves at once: everything is closed and printed by then, and taking a large fleet apart,
    value by value, would be a tenth of a run.
    """
    gc.disable()
    from reconciler.cli import run  # noqa: PLC0415 - after that

    os._exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
