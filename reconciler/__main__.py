"""Entry point of the console script and of `python -m reconciler`."""

import sys

from reconciler.cli import run


def main() -> None:
    """Runs the command line and exits with its code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
