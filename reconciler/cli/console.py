"""Printing: data to stdout, talk to stderr, colour only where a person reads it; no secret."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from io import TextIOBase
from typing import TYPE_CHECKING

import click

from reconciler.core.printable import Lines, printable
from reconciler.errors import ConfigurationError, InterruptedRunError, InvalidManifestsError

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


class _Redacted(TextIOBase):
    """A stream that known secrets do not pass, whoever writes to it.

    It has no `buffer`: nobody gets around it.
    """

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def write(self, text: str | bytes) -> int:
        if isinstance(text, bytes):  # as click writes what completes a shell's words
            text = text.decode()
        self._stream.write(self._redactor.text(text))
        return len(text)

    def write_document(self, text: str) -> None:
        """Writes a JSON document, which stays one."""
        self._stream.write(self._redactor.document(text, is_shown=True))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

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
        setattr(sys, name, _Redacted(stream, redactor))
    try:
        yield
    finally:
        for name, stream in before.items():
            if isinstance(getattr(sys, name), _Redacted):  # else it is discarded, and stays so
                setattr(sys, name, stream)


def data(text: str, *, is_json: bool = False) -> None:
    """Prints to stdout: `Lines` as they are, any other text as one line."""
    _print(text, "stdout", is_json=is_json)


def say(text: str) -> None:
    """Prints to stderr: `Lines` as they are, any other text as one line."""
    _print(text, "stderr")


def document(value: JSON) -> None:
    """Prints a JSON value to stdout."""
    from reconciler.render import as_json  # not needed for --version and --help

    data(as_json(value), is_json=True)


def _print(text: str, name: str, *, is_json: bool = False) -> None:
    if not isinstance(text, Lines):
        text = printable(text)
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
                f"cannot print to stdout: {error.strerror}", "Send the output somewhere else."
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
            parts.append(f"Perhaps written: {self._under_way}.")
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


def has_colour(stream: TextIO) -> bool:
    """Whether the stream is a terminal and NO_COLOR (no-color.org) is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def fail(error: ReconcilerError) -> ExitCode:
    """Prints a failure with its next step and returns its exit code."""
    from reconciler import render  # not needed for --version and --help

    if isinstance(error, InvalidManifestsError):
        say(render.findings_text(error.findings))
    say(render.error_text(error, colour=has_colour(sys.stderr)))
    return error.exit_code


@contextmanager
def progress(total: int) -> Iterator[Callable[[Outcome], None]]:
    """Shows what was started as it ends: a bar on a terminal, a line for each elsewhere."""
    from reconciler import render
    from reconciler.core.result import Status

    if sys.stderr.isatty() and total:
        with click.progressbar(length=total, label="Applying", file=sys.stderr) as bar:

            def advance(outcome: Outcome) -> None:
                with suppress(OSError):  # a terminal that has gone does not end a run half-way
                    bar.update(outcome.status is not Status.NOT_STARTED)

            yield advance
        return
    shown = 0

    def show(outcome: Outcome) -> None:
        nonlocal shown
        if outcome.status is not Status.NOT_STARTED:
            shown += 1
            say(render.outcome_line(outcome, shown, total))

    yield show
