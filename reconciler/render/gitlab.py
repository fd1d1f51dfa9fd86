"""What GitLab's widgets take: the code quality report and the Terraform report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.printable import printable
from reconciler.errors import Severity
from reconciler.render.findings import identified
from reconciler.render.text import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.plan import Plan
    from reconciler.core.printable import Lines
    from reconciler.errors import Diagnostic
    from reconciler.render.view import View

_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.INFO: "info"}


def plan_gitlab_terraform(plan: Plan, _view: View) -> Lines:
    """The numbers that the merge request shows."""
    return as_json(plan.counts)


def findings_gitlab_codequality(findings: Iterable[Diagnostic], view: View) -> Lines:
    """One entry for each finding; GitLab tells by the fingerprint what is new in a merge request.

    One entry that is not valid would cost all after it, so each has all that is required.
    """
    return as_json(
        [
            {
                "description": printable(finding.message) or finding.code,
                "check_name": finding.code,
                "fingerprint": digest.partition(":")[2],
                "severity": _SEVERITIES[finding.severity],
                "location": {"path": path, "lines": {"begin": finding.position.line}},
            }
            for finding, path, digest in identified(findings, view)
        ]
    )
