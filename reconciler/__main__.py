"""Entry point of the console script and of `python -m reconciler`."""

import os
import sys

from reconciler.cli import run


def main() -> None:
    """Runs the command line and leaves with its code.

    It leaves at once: everything is closed and printed by then, and taking a large fleet apart,
    value by value, would be a tenth of a run.
    """
    os._exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
