"""Entry point of the console script and of `python -m reconciler`."""

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

_MOMENT = 0.01
"""Seconds until a lost interrupt comes again."""


def main() -> None:
    """Runs the command line and leaves with its code.

    Nearly all that a run loads, modules and manifests alike, stays to its end: looking for garbage
    in it would take a tenth of the start and of a large plan. Commands that leave garbage behind
    enable the collector again.

    It leaves at once: everything is closed and printed by then, and taking a large fleet apart,
    value by value, would be a tenth of a run.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # `run` is not there yet to say goodbye
    signal.signal(signal.SIGALRM, _deliver)
    sys.unraisablehook = _interrupt_again
    gc.disable()
    from reconciler.cli import run  # after that

    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # one more, while an earlier one was dealt with
        code = 130
    os._exit(code)


def _interrupt_again(lost: "UnraisableHookArgs") -> None:
    """Repeats, a moment later, an interrupt that Python has lost.

    Python prints and forgets an exception that is raised where nobody could catch it, as in the
    callback of a weak reference, and each import has one. A server that was told to stop would
    then go on for ever. It comes again as SIGTERM, to whoever handles that by then.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _MOMENT)
    else:
        sys.__unraisablehook__(lost)


def _deliver(_alarm: int, frame: "FrameType | None") -> None:
    """Sends the lost interrupt as SIGTERM; later, while `_interrupt_again` has not returned.

    What is raised in the hook is lost for good, and the system may keep it waiting for a moment.
    """
    while frame is not None:
        if frame.f_code is _interrupt_again.__code__:
            signal.setitimer(signal.ITIMER_REAL, _MOMENT)
            return
        frame = frame.f_back
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
