"""Findings as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.lint import CODES, EXPIRED_IGNORE
from reconciler.core.printable import Lines, joined

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model import JSON
    from reconciler.errors import Diagnostic


def findings_text(findings: Iterable[Diagnostic]) -> Lines:
    """One finding a line: `path:line:col: code: message`.

    The severity stands before the code, but for the errors of invalid manifests.
    """
    return joined(map(finding_line, findings))


def finding_line(finding: Diagnostic) -> str:
    """One finding as one line."""
    if finding.code not in CODES and finding.code != EXPIRED_IGNORE:
        return str(finding)
    return f"{finding.position}: {finding.severity}: {finding.code}: {finding.message}"


def findings_json(findings: Iterable[Diagnostic]) -> dict[str, JSON]:
    """The findings as `schemas/findings.schema.json` describes them."""
    return {
        "format_version": "1.0",
        "findings": [
            {
                "path": finding.position.path,
                "line": finding.position.line,
                "column": finding.position.column,
                "severity": finding.severity.value,
                "code": finding.code,
                "message": finding.message,
            }
            for finding in findings
        ],
    }
