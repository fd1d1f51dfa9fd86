"""Findings as text, JSON and workflow commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.render.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.errors import Diagnostic
    from reconciler.model import JSON


def findings_text(findings: Iterable[Diagnostic]) -> str:
    """One finding a line: `path:line:col: code: message`."""
    return "\n".join(printable(str(finding)) for finding in findings)


def findings_github(findings: Iterable[Diagnostic]) -> str:
    """One workflow command a line, which GitHub shows at the place in the pull request."""
    return "\n".join(
        f"::error file={_escape_property(finding.position.path)},line={finding.position.line},"
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
                "code": finding.code,
                "message": finding.message,
            }
            for finding in findings
        ],
    }


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
