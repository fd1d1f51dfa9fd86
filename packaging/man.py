"""Writes the man pages from the help of the commands: python packaging/man.py FOLDER."""

from __future__ import annotations

import re
import sys
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli import reconciler

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "reconciler"
_VERBATIM = "\b"
"""Click's mark at the head of a paragraph that is not to be rewrapped."""


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    root = click.Context(reconciler, info_name=_NAME, max_content_width=100)
    return {
        f"{context.command_path.replace(' ', '-')}.1": _page(context) for context in _contexts(root)
    }


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """A context for the command and for each one below it."""
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and below.name == name:  # another word for a command has no page
                yield from _contexts(click.Context(below, info_name=name, parent=context))


def _page(context: click.Context) -> str:
    command = context.command
    name = context.command_path.replace(" ", "-")
    summary = command.get_short_help_str(limit=200).rstrip(".")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH "{name.upper()}" "1" "" "{_NAME} {__version__}" "Manual of {_NAME}"',
        ".SH NAME",
        f"{_escaped(name)} \\- {_escaped(summary)}",
        ".SH SYNOPSIS",
        f"\\fB{_escaped(context.command_path)}\\fR {_escaped(usage)}",
        ".SH DESCRIPTION",
        *_text(command.help or ""),
        ".SH OPTIONS",
    ]
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[1]:
            option, text = record
            lines += [".TP", f"\\fB{_escaped(option)}\\fR", _escaped(text)]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for below in _contexts(context):
            if below.parent is context:
                text = below.command.get_short_help_str(limit=200)
                lines += [".TP", f"\\fB{_escaped(below.command.name or '')}\\fR", _escaped(text)]
    if command.epilog:
        lines += [".SH EXAMPLES", *_text(command.epilog)]
    if context.parent is not None:
        above = context.parent.command_path.replace(" ", "-")
        lines += [".SH SEE ALSO", f"\\fB{_escaped(above)}\\fR(1)"]
    return "\n".join(lines) + "\n"


def _text(text: str) -> Iterator[str]:
    """Paragraphs; those that begin with click's mark keep their lines."""
    for paragraph in re.split(r"\n[ \t]*\n", cleandoc(text)):
        yield ".PP"
        if paragraph.startswith(_VERBATIM):
            lines = paragraph.removeprefix(_VERBATIM).strip("\n").splitlines()
            yield from (".nf", *map(_escaped, lines), ".fi")
        else:
            yield _escaped(" ".join(paragraph.split()))


def _escaped(text: str) -> str:
    """Text that roff prints as it stands."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def main() -> None:
    """Writes all pages into the folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
