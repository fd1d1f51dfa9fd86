"""Printing: data to stdout, talk to stderr, colour only where a person reads it; no secret."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, suppress
from io import TextIOBase
from typing import TYPE_CHECKING

import click

from reconciler.context import Reporter
from reconciler.core.printable import Lines, printable
from reconciler.errors import (
    ConfigurationError,
    InterruptedRunError,
    InvalidEditsError,
    InvalidManifestsError,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from reconciler.core.model import JSON
    from reconciler.core.redactor import Redactor
    from reconciler.core.result import Outcome
    from reconciler.errors import ExitCode, ReconcilerError


_ASCII = frozenset({"ascii", "us-ascii", "ansi_x3.4-1968", "646"})
_MOST = 5
"""So many names of what was written are said."""
_CLEAR = "\r\x1b[K"
"""Takes the line away that the cursor is in (ECMA-48, erase in line)."""
_OFTEN, _SELDOM = 0.1, 10.0
"""Seconds between two lines that say how far a run is: on a terminal, and elsewhere."""
_EVERY = 100
"""Elsewhere there is one for so many changes, too; fewer monitors are read at once."""


class Captured:
    """What one part of a command prints, while others print at the same time.

    Args:
        redactor: takes the secrets out that the part knows.

    Attributes:
        is_json: whether what it prints is a JSON document.
    """

    def __init__(self, redactor: Redactor) -> None:
        self.is_json = False
        self._redactor = redactor
        self._texts: dict[str, list[str]] = {"progress": [], "stdout": [], "stderr": []}

    def take(self, name: str, text: str, *, is_json: bool = False) -> None:
        """Takes what is printed to a stream of that name."""
        self.is_json = self.is_json or is_json
        clean = (
            self._redactor.document(text, is_shown=True) if is_json else self._redactor.text(text)
        )
        if name == "stdout" and not self._texts["stdout"]:  # so what was said so far is progress
            self._texts["progress"], self._texts["stderr"] = self._texts["stderr"], []
        self._texts[name].append(clean)

    def text(self, *names: str) -> str:
        """What was captured under these names: `stdout`, `stderr` and `progress`.

        The progress is what was on stderr before the first text on stdout. Of a part that prints
        nothing to stdout, nothing is progress.
        """
        return "".join(text for name in names for text in self._texts[name])


class _Thread(threading.local):
    """What is different in each thread: where what it prints goes; None for the streams."""

    captured: Captured | None = None


_HERE = _Thread()
_PREPARING = threading.Lock()


class _Redacted(TextIOBase):
    """A stream that known secrets do not pass, whoever writes to it.

    It has no `buffer`: nobody gets around it. It may end in a line that says how far the run is;
    whatever is written next takes the place of that.

    Attributes:
        is_quiet: only what must be read is said.
        is_plain: it takes no colour.
    """

    is_quiet = is_plain = False

    def __init__(self, stream: TextIO, redactor: Redactor, name: str) -> None:
        self._name = name
        self._stream = stream
        self._redactor = redactor
        self._has_status = False

    def write(self, text: str | bytes) -> int:
        if isinstance(text, bytes):  # as click writes what completes a shell's words
            text = text.decode()
        if (captured := _HERE.captured) is not None:
            captured.take(self._name, text)
            return len(text)
        self.clear_status()
        self._stream.write(self._redactor.text(text))
        return len(text)

    def write_status(self, text: str) -> None:
        """Shows a line that says how far the run is, in place of the one before."""
        self._has_status = True
        self._stream.write(f"{_CLEAR}{self._redactor.text(text)}")
        self._stream.flush()

    def clear_status(self) -> None:
        """Takes that line away."""
        if self._has_status and _HERE.captured is None:
            self._has_status = False
            self._stream.write(_CLEAR)
            self._stream.flush()

    def redacted(self, text: str) -> str:
        """The text as it would be written."""
        return self._redactor.text(text)

    def write_document(self, text: str) -> None:
        """Writes a JSON document, which stays one."""
        if (captured := _HERE.captured) is not None:
            captured.take(self._name, text, is_json=True)
            return
        self._stream.write(self._redactor.document(text, is_shown=True))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return _HERE.captured is None and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors


@contextmanager
def redacted(redactor: Redactor) -> Iterator[None]:
    """Takes known secrets out of all that goes to stdout and stderr, tracebacks included.

    It also gives both streams something to print to, and lets them print what the locale cannot.
    """
    before = _redact(redactor)
    try:
        yield
    finally:
        _clear_status()
        for name, stream in before.items():
            if isinstance(getattr(sys, name), _Redacted):  # else it is discarded, and stays so
                setattr(sys, name, stream)


def _redact(redactor: Redactor) -> dict[str, TextIO]:
    """Puts redacted streams in the place of stdout and stderr; returns those."""
    before = {}
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as in `2>&-`
            _discard(name)
        before[name] = stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            # ASCII is what a system without a locale says, and its readers take UTF-8.
            is_ascii = stream.encoding.lower() in _ASCII
            encoding = "utf-8" if is_ascii else stream.encoding
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
        setattr(sys, name, _Redacted(stream, redactor, name))
    return before


def prepare(redactor: Redactor) -> None:
    """Lets the streams of this process be captured, whoever has made them.

    A worker's stay so to its end: other threads of it may be at work, and it prints nothing else.
    """
    with _PREPARING:
        if not isinstance(sys.stdout, _Redacted):
            _redact(redactor)


@contextmanager
def capturing(captured: Captured) -> Iterator[None]:
    """Lets what the body prints, in this thread, go where it is kept."""
    before, _HERE.captured = _HERE.captured, captured
    try:
        yield
    finally:
        _HERE.captured = before


def data(text: str, *, is_json: bool = False) -> None:
    """Prints to stdout: `Lines` as they are, any other text as one line."""
    _print(text, "stdout", is_json=is_json)


def say(text: str) -> None:
    """Prints to stderr: `Lines` as they are, any other text as one line."""
    _print(text, "stderr")


def note(text: str) -> None:
    """Says what may be left unread: `--quiet` leaves it out."""
    if not is_quiet():
        say(text)


def is_quiet() -> bool:
    """Whether `--quiet` was given."""
    return isinstance(sys.stderr, _Redacted) and sys.stderr.is_quiet


def quieten() -> None:
    """From now on says only what must be read."""
    if isinstance(sys.stderr, _Redacted):
        sys.stderr.is_quiet = True


def forbid_colour() -> None:
    """From now on prints nothing in colour."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Redacted):
            stream.is_plain = True


def document(value: JSON) -> None:
    """Prints a JSON value to stdout."""
    from reconciler.render import as_json  # not needed for --version and --help

    data(as_json(value), is_json=True)


def _print(text: str, name: str, *, is_json: bool = False) -> None:
    if not isinstance(text, Lines):
        text = printable(text)
    _clear_status()
    stream = getattr(sys, name)
    try:
        if is_json and isinstance(stream, _Redacted):
            stream.write_document(f"{text}\n")
            stream.flush()
        else:
            click.echo(text, file=stream, color=True)
    except BrokenPipeError:
        # Its reader, such as `head`, has gone. That must not stop a run half-way, so the rest is
        # printed to nobody; what became of the run is in the exit code.
        _discard(name)
    except OSError as error:
        _discard(name)
        if name == "stdout":
            raise ConfigurationError(
                f"cannot print to stdout: {error.strerror}", "Redirect the output somewhere else."
            ) from error


def _discard(name: str) -> None:
    setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - to the end; 6 ms


class Writes:
    """What a command has written so far, in case that it is interrupted."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._under_way = ""

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """Notes that the body writes what has that name; if it fails, it has not."""
        self._under_way = name
        try:
            yield
        except Exception:
            self._under_way = ""
            raise
        self._done.append(name)
        self._under_way = ""

    def __str__(self) -> str:
        done, rest = self._done[:_MOST], len(self._done) - _MOST
        more = f" and {rest:,} more" if rest > 0 else ""
        parts = [f"Written: {', '.join(done)}{more}."] if done else []
        if self._under_way and self._under_way not in self._done:
            parts.append(f"Possibly written: {self._under_way}.")
        return " ".join(parts)


@contextmanager
def writing() -> Iterator[Writes]:
    """Lets an interruption of the body say what was written by then.

    Raises:
        InterruptedRunError: the body was interrupted after it had begun to write.
    """
    writes = Writes()
    try:
        yield writes
    except (KeyboardInterrupt, click.Abort) as interrupt:
        if found := str(writes):
            raise InterruptedRunError(f"{found} AlertSite was not changed.") from interrupt
        raise


def has_colour(stream: TextIO | None = None) -> bool:
    """Whether the stream, by default stdout, is a terminal, or CLICOLOR_FORCE is set.

    That is the variable of bixense.com/clicolors; `--no-color` and NO_COLOR (no-color.org) come
    before both.
    """
    stream = sys.stdout if stream is None else stream
    if isinstance(stream, _Redacted) and stream.is_plain:
        return False
    if os.environ.get("NO_COLOR"):
        return False
    return stream.isatty() or os.environ.get("CLICOLOR_FORCE", "0") not in {"", "0"}


_WRITTEN = "written"


def ask_to_write() -> None:
    """Asks whether the edits that were shown are to be written; raises as `approve` does."""
    approve("Write these edits?", shown="edits", done=_WRITTEN)


def approve(question: str, *, shown: str = "plan", done: str = "applied") -> None:
    """Asks for approval of what was shown, without which nothing is done.

    Raises:
        RefusedError: the answer is not "yes", or there is no terminal to ask.
        InterruptedRunError: there is no answer, and it was about edits.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise RefusedError(
            f"nothing was {done}: approval is required, and there is no terminal to ask",
            f"Review the {shown} above, then run the same command with --auto-approve.",
        )
    try:
        answer = click.prompt(f'{question} Only "yes" is accepted', err=True)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        if done == _WRITTEN:
            raise InterruptedRunError(f"Nothing was {done}.") from interrupt
        raise
    if answer != "yes":
        raise RefusedError(f"not approved; nothing was {done}")


def fail(error: ReconcilerError) -> ExitCode:
    """Prints a failure with its next step and returns its exit code."""
    from reconciler import render  # not needed for --version and --help

    if isinstance(error, InvalidEditsError):
        say(render.edits_findings_text(error.findings))
    elif isinstance(error, InvalidManifestsError):
        say(render.findings_text(error.findings))
    say(render.error_text(error, colour=has_colour(sys.stderr)))
    return error.exit_code


def reporter() -> Reporter:
    """Tells a person, from any thread, and shows no progress."""
    return Reporter(bound(say))


def bound(tell: Callable[[str], None]) -> Callable[[str], None]:
    """The function, which tells from any thread where it would tell from this one."""
    captured = _HERE.captured
    if captured is None:
        return tell

    def tell_there(text: str) -> None:
        with capturing(captured):
            tell(text)

    return tell_there


def page(text: Lines) -> bool:
    """Shows lines in the pager of whoever sits there, if they do not fit on the terminal.

    Returns:
        Whether it did; a pipeline, a pipe and a terminal that cannot do more have no pager.
    """
    stream, keys = sys.stdout, sys.stdin
    if not isinstance(stream, _Redacted) or not _is_watched(stream):
        return False
    if keys is None or not keys.isatty() or os.environ.get("PAGER") == "":
        return False
    from shutil import get_terminal_size  # only for people

    width, height = get_terminal_size()
    lines = click.unstyle(text).split("\n")
    if sum(1 + max(0, len(line) - 1) // width for line in lines) < height:
        return False
    _clear_status()
    try:
        click.echo_via_pager(stream.redacted(text))
    except OSError as error:
        say(f"Cannot start the pager: {error.strerror or error}")
        return False
    return True


def _is_watched(stream: TextIO | _Redacted) -> bool:
    """Whether somebody sees the stream, on a terminal that can take a line away again."""
    from reconciler.cli.config import NO  # not needed for --version and --help

    is_pipeline = os.environ.get("CI", "") not in NO
    return stream.isatty() and not is_pipeline and os.environ.get("TERM") != "dumb"


def _show_status(text: str) -> None:
    """Shows on stderr how far the run is; what is printed next takes the place of that."""
    stream = sys.stderr
    if isinstance(stream, _Redacted) and not stream.is_quiet:
        from shutil import get_terminal_size  # only for people

        with suppress(OSError):  # a terminal that has gone does not end a run half-way
            stream.write_status(printable(text)[: get_terminal_size().columns - 1])


def _clear_status() -> None:
    if isinstance(sys.stderr, _Redacted):
        with suppress(OSError):
            sys.stderr.clear_status()


def reading(monotonic: Callable[[], float]) -> Callable[[int], None]:
    """Shows how many monitors are read by now, as it is told: seldom, unless somebody sees it."""
    is_watched = _is_watched(sys.stderr)
    last, said = monotonic(), bound(note)

    def show(count: int) -> None:
        nonlocal last
        now = monotonic()
        if count < _EVERY or now - last < (_OFTEN if is_watched else _SELDOM):
            return
        last = now
        line = f"Reading: {count:,} monitors so far"
        (_show_status if is_watched else said)(line)

    return show


@contextmanager
def progress(total: int, monotonic: Callable[[], float]) -> Iterator[Reporter]:
    """Shows what was started as it ends.

    On a terminal that is one line that changes, elsewhere a line now and then, or for each if there
    are few. What failed has a line of its own, at once.
    """
    from reconciler import render
    from reconciler.core.grouping import FOLDED_ABOVE
    from reconciler.core.result import Status

    is_watched = _is_watched(sys.stderr)
    began = last = monotonic()
    shown = failed = 0

    def show(outcome: Outcome) -> None:
        nonlocal shown, failed, last
        if outcome.status is Status.NOT_STARTED:
            return
        shown += 1
        is_failure = outcome.status is not Status.DONE
        failed += is_failure
        now = monotonic()
        line = render.progress_line(outcome, shown, total, failed, now - began)
        if is_failure or (total <= FOLDED_ABOVE and not is_watched):
            (say if is_failure else note)(render.outcome_line(outcome, shown, total))
        elif not is_watched and (shown % _EVERY == 0 or now - last >= _SELDOM):
            last = now
            note(line)
        if is_watched and (now - last >= _OFTEN or shown in {1, total}):
            last = now
            _show_status(line)

    try:
        yield Reporter(say, show)
    finally:
        _clear_status()
