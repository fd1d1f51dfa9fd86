"""Findings as text, JSON and workflow commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.render.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.errors import Diagnostic
    from reconciler.model import JSON

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
"""What GitHub calls each severity."""


def findings_text(findings: Iterable[Diagnostic]) -> str:
    """One finding a line: `path:line:col: code: message`.

    The severity stands before the code, but for the errors of invalid manifests.
    """
    return "\n".join(printable(_line(finding)) for finding in findings)


def _line(finding: Diagnostic) -> str:
    from reconciler.lint import CODES, EXPIRED_IGNORE  # noqa: PLC0415 - no plan needs it

    if finding.code not in CODES and finding.code != EXPIRED_IGNORE:
        return str(finding)
    return f"{finding.position}: {_severity(finding)}: {finding.code}: {finding.message}"


def findings_github(findings: Iterable[Diagnostic]) -> str:
    """One workflow command a line, which GitHub shows at the place in the pull request."""
    return "\n".join(
        f"::{_COMMANDS[_severity(finding)]} "
        f"file={_escape_property(finding.position.path)},line={finding.position.line},"
        f"col={finding.position.column},title={finding.code}::{_escape_data(finding.message)}"
        for finding in findings
    )


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
    from reconciler.lint import severity  # noqa: PLC0415 - no plan needs it

    return severity(finding.code).value


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
