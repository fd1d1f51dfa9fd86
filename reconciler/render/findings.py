"""Findings as text, JSON and workflow commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.lint import CODES, EXPIRED_IGNORE, severity
from reconciler.core.printable import Lines, joined, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model import JSON
    from reconciler.errors import Diagnostic
    from reconciler.render.view import View

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
"""What GitHub calls each severity."""


def findings_text(findings: Iterable[Diagnostic]) -> Lines:
    """One finding a line: `path:line:col: code: message`.

    The severity stands before the code, but for the errors of invalid manifests.
    """
    return joined(map(_line, findings))


def _line(finding: Diagnostic) -> str:

    if finding.code not in CODES and finding.code != EXPIRED_IGNORE:
        return str(finding)
    return f"{finding.position}: {_severity(finding)}: {finding.code}: {finding.message}"


def findings_github(findings: Iterable[Diagnostic], _view: View) -> Lines:
    """One workflow command a line, which GitHub shows at the place in the pull request."""
    commands = (
        f"::{_COMMANDS[_severity(finding)]} "
        f"file={_escape_property(finding.position.path)},line={finding.position.line},"
        f"col={finding.position.column},title={finding.code}::{_escape_data(finding.message)}"
        for finding in findings
    )
    return Lines("\n".join(commands))  # the one text whose lines are meant to be commands


def findings_json(findings: Iterable[Diagnostic]) -> dict[str, JSON]:
    """The findings as `schemas/findings.schema.json` describes them."""
    return {
        "format_version": "1.0",
        "findings": [
            {
                "path": finding.position.path,
                "line": finding.position.line,
                "column": finding.position.column,
                "severity": _severity(finding),
                "code": finding.code,
                "message": finding.message,
            }
            for finding in findings
        ],
    }


def _severity(finding: Diagnostic) -> str:

    return severity(finding.code).value


def _escape_data(text: str) -> str:
    """The text as the data of a command.

    GitHub would turn `%0A` and the like back into controls, so there are none left to escape.
    """
    return printable(text).replace("%", "%25")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
