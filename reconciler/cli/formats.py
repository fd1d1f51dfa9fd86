"""In which formats a command shows its value, and where to: `--format NAME[=FILE]`.

A format is a line of `_FORMATS`. Its renderers are pure functions of the room `render`, named by
what they show and how: `plan_markdown(plan, view)`. They are imported when they are asked for.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from reconciler import durable, render
from reconciler.cli import config, console, runtime
from reconciler.core.accounts import PLACEHOLDER, placed
from reconciler.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reconciler.core.model import JSON
    from reconciler.core.plan import Plan
    from reconciler.render import Lines
    from reconciler.render.view import View


_SUMMARY = 1024 * 1024 - 1024
"""Bytes of all summaries of one step that GitHub takes, with room for what is around them."""


class Subject(StrEnum):
    """What a command shows."""

    PLAN = "plan"
    DRIFT = "drift"
    RESULT = "result"
    FINDINGS = "findings"
    REPORT = "report"


class Format(NamedTuple):
    """One format.

    Attributes:
        subjects: what it can show.
        module: of `render`, that has its renderers; those of text and JSON are called here.
        is_json: whether what they give is a JSON document.
    """

    subjects: tuple[Subject, ...]
    module: str = ""
    is_json: bool = False


_RUN = (Subject.PLAN, Subject.DRIFT, Subject.RESULT, Subject.FINDINGS)
_FORMATS = {
    "text": Format(tuple(Subject)),
    "json": Format(tuple(Subject), is_json=True),
    "markdown": Format(_RUN, "markdown"),
    "html": Format((Subject.PLAN, Subject.DRIFT, Subject.RESULT, Subject.REPORT), "html"),
    "github": Format(_RUN, "github"),
    "gitlab-codequality": Format((Subject.FINDINGS,), "gitlab", is_json=True),
    "gitlab-terraform": Format((Subject.PLAN,), "gitlab", is_json=True),
    "junit": Format(_RUN, "junit"),
    "sarif": Format((Subject.FINDINGS,), "sarif", is_json=True),
}


_TEXT = {
    Subject.PLAN: ("colour", "show_requests", "detail"),
    Subject.FINDINGS: (),
    Subject.DRIFT: ("colour",),
    Subject.RESULT: ("colour",),
    Subject.REPORT: ("colour",),
}
"""The parts of a `View` that the text of each subject depends on."""


class Output(NamedTuple):
    """One format that was asked for.

    Attributes:
        file: where it goes; empty for stdout.
        is_shared: whether it goes into one file with what other accounts have.
    """

    name: str
    file: str = ""
    is_shared: bool = False

    @property
    def format(self) -> Format:
        """What the format can do."""
        return _FORMATS[self.name]


class Outputs(NamedTuple):
    """What a command was asked to show its value as.

    Attributes:
        subject: what the value is.
        stdout: what goes to stdout: text, unless another format was asked for.
        files: what goes to files.
    """

    subject: Subject
    stdout: Output
    files: tuple[Output, ...]

    @property
    def is_text(self) -> bool:
        """Whether a person reads stdout, so that talk may go there too."""
        return self.stdout.name == "text"

    def has(self, name: str) -> bool:
        """Whether the format of that name was asked for."""
        return any(output.name == name for output in (self.stdout, *self.files))

    def put(self, value: object, document: Callable[[], JSON], view: View) -> None:
        """Prints the value, and writes the files, each whole or not at all.

        Args:
            value: what is shown.
            document: gives it as JSON.
            view: how it is shown.

        Raises:
            ConfigurationError: a file cannot be written; all others are.
        """
        part = runtime.part()
        if part is not None:
            part.keep(value)
        here = str(Path.cwd())
        roots = (os.environ.get(name, "") for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"))
        root = next((it for it in roots if it and Path(here).is_relative_to(it)), here)
        view = view._replace(folder=here, root=root)
        coloured = view._replace(colour=console.has_colour(sys.stdout))
        text = self._rendered(self.stdout, value, document, coloured)
        if text and not (view.pages and self.is_text and console.page(text)):
            console.data(text, is_json=self.stdout.format.is_json)
        failures: list[str] = []
        hint = "Name another file with --format."
        with console.writing() as writes:
            for output in self.files:
                text = self._rendered(output, value, document, view)
                if part is not None and output.is_shared:
                    part.put(output.name, text)
                    continue
                redactor = runtime.redactor()
                is_json = output.format.is_json
                clean = redactor.document(text, is_shown=True) if is_json else redactor.text(text)
                try:
                    with writes.one(output.file):
                        durable.replace(Path(output.file), f"{clean}\n".encode())
                except OSError as error:
                    failures.append(f"{output.file} cannot be written: {error.strerror}")
        if self.has("github") and os.environ.get("GITHUB_ACTIONS") == "true":
            unwritten = [*self._for_github(value, view)]
            if unwritten and not failures:
                hint = "Correct these variables, or unset them outside of GitHub Actions."
            failures += unwritten
        if failures:
            raise ConfigurationError("; ".join(failures), hint)

    def _rendered(
        self, output: Output, value: object, document: Callable[[], JSON], view: View
    ) -> Lines:
        if output.name == "json":
            return render.as_json(document())
        if output.name == "text":
            return _text(self.subject, value, view)
        return renderer(output.name, self.subject)(value, view._replace(whole=self._whole(output)))

    def _for_github(self, value: object, view: View) -> Iterator[str]:
        """Writes the summary of the job and the outputs of the step; yields what it cannot."""
        github = import_module("reconciler.render.github")
        outputs: dict[str, str | int] = getattr(github, f"{self.subject.value}_outputs")(value)
        if self.files:
            outputs["report"] = self.files[0].file
        yield from _append("GITHUB_OUTPUT", github.outputs_text(outputs))
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            used = Path(summary).stat().st_size if Path(summary).exists() else 0
            limited = view._replace(limit=_SUMMARY - used, whole=self._whole(None))
            text = renderer("markdown", self.subject)(value, limited)
            if len(text.encode()) <= _SUMMARY - used:
                yield from _append("GITHUB_STEP_SUMMARY", text)
            else:
                console.say("The summary of this step is full; nothing was added to it.")

    def _whole(self, output: Output | None) -> str:
        """Where all of it is, for a format that cuts."""
        for other in self.files:
            if other.name in {"html", "text", "json"} and other != output:
                return other.file
        return ""


def _append(variable: str, text: str) -> Iterator[str]:
    """Adds lines to the file that a variable of Actions names; yields why it cannot."""
    path = os.environ.get(variable)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{runtime.redactor().text(text)}\n")
    except OSError as error:
        yield f"{path}, which {variable} names, cannot be written: {error.strerror}"


def renderer(name: str, subject: Subject) -> Callable[[Any, View], Lines]:
    """What shows the subject in a format other than text and JSON."""
    module = import_module(f"reconciler.render.{_FORMATS[name].module}")
    found: Callable[[Any, View], Lines] = getattr(
        module, f"{subject.value}_{name.replace('-', '_')}"
    )
    return found


def formats(subject: Subject) -> tuple[str, ...]:
    """The names of the formats that can show the subject."""
    return tuple(name for name, found in _FORMATS.items() if subject in found.subjects)


def option(subject: Subject) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Gives a command `--format` and `--json`, and the parameter `outputs` in their place."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @click.option(
            "-o",
            "--format",
            "formats",
            multiple=True,
            metavar="NAME[=FILE]",
            help=f"Output format: {', '.join(formats(subject))}. With FILE, write it there and "
            f"text to stdout. May be repeated.",
        )
        @click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
        @wraps(command)
        def with_outputs(
            *arguments: object, formats: tuple[str, ...], as_json: bool, **given: object
        ) -> int:
            asked = (*formats, "json") if as_json else formats
            return command(*arguments, outputs=_outputs(subject, asked), **given)

        return with_outputs

    return decorate


def _outputs(subject: Subject, asked: Iterable[str]) -> Outputs:
    """What the flags ask for.

    Raises:
        UsageError: there is no such format, or this command has it not, or two go to one place.
    """
    outputs = tuple(dict.fromkeys(_output(subject, text) for text in asked))
    places = [output.file and Path(output.file).resolve() for output in outputs]
    for output, place in zip(outputs, places, strict=True):
        if places.count(place) > 1:
            where = output.file or "stdout"
            raise UsageError(
                f"two formats write to {where}", "Give each its own file: --format NAME=FILE"
            )
    stdout = next((output for output in outputs if not output.file), Output("text"))
    return Outputs(subject, stdout, tuple(output for output in outputs if output.file))


def _output(subject: Subject, text: str) -> Output:
    name, separator, file = text.partition("=")
    if name not in formats(subject):
        if name in _FORMATS:
            reason = f"this command does not support the format {name}"
        else:
            reason = f"there is no format {name or '(empty)'}"
        raise UsageError(
            f"--format {text}: {reason}",
            f"Formats of this command: {', '.join(formats(subject))}.",
        )
    if not separator:
        return Output(name)
    if file == "-":
        raise UsageError(
            f"--format {text}: - is not the name of a file", f"To write to stdout: --format {name}"
        )
    file = config.from_root(file, runtime.here())
    is_shared = PLACEHOLDER not in file
    if not is_shared:
        file = placed(file, runtime.account().name)
    path = Path(file)
    if not file or path.is_dir() or not path.parent.is_dir():
        reason = f"there is no folder {path.parent}" if file else "it names no file"
        if path.is_dir() and file:
            reason = f"{file} is a folder"
        raise UsageError(f"--format {text}: {reason}", "Use a file in a folder that exists.")
    return Output(name, file, is_shared)


def print_plan(plan: Plan, view: View, *, to_stderr: bool = False) -> bool:
    """Prints a plan as text; to stderr when stdout is for other data.

    Returns:
        Whether it went to a pager, so that nothing of it is left on the terminal.
    """
    colour = console.has_colour(sys.stderr if to_stderr else sys.stdout)
    text = _text(Subject.PLAN, plan, view._replace(colour=colour))
    if view.pages and not to_stderr and console.page(text):
        return True
    (console.say if to_stderr else console.data)(text)
    return False


def _text(subject: Subject, value: object, view: View) -> Lines:
    show: Callable[..., Lines] = getattr(render, f"{subject.value}_text")
    how = {name: getattr(view, name) for name in _TEXT[subject]}
    return show(value, **how)
