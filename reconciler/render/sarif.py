"""Findings as SARIF 2.1.0 (OASIS), with what GitHub's code scanning asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler import __version__
from reconciler.core.lint.codes import CODES
from reconciler.core.printable import printable
from reconciler.errors import Severity
from reconciler.render.findings import identified
from reconciler.render.text import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.core.model import JSON
    from reconciler.core.printable import Lines
    from reconciler.errors import Diagnostic
    from reconciler.render.view import View

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_MOST = 25_000
"""GitHub refuses a run with more results."""


def findings_sarif(findings: Sequence[Diagnostic], view: View) -> Lines:
    """A log of one run with one result for each finding."""
    shown = findings[:_MOST]
    rules = sorted({finding.code for finding in shown})
    left = len(findings) - len(shown)
    notes = [{"level": "warning", "message": {"text": f"{left:,} findings are left out."}}]
    driver = {
        "name": "reconciler",
        "semanticVersion": __version__,
        "rules": [_rule(code, shown) for code in rules],
    }
    invocation = {"executionSuccessful": True, "toolExecutionNotifications": notes if left else []}
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": [_result(*item, rules) for item in identified(shown, view)],
        "columnKind": "unicodeCodePoints",
    }
    return as_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: str, findings: Sequence[Diagnostic]) -> dict[str, JSON]:
    words = code.replace("-", " ")
    meaning = CODES[code].meaning if code in CODES else f"A manifest is not valid: {words}."
    level = next(item.severity for item in findings if item.code == code)
    return {
        "id": code,
        "name": words.title().replace(" ", ""),
        "shortDescription": {"text": meaning},
        "fullDescription": {"text": meaning},
        "help": {"text": f"{meaning} To list all codes, run: reconciler explain lint"},
        "defaultConfiguration": {"level": _LEVELS[level]},
        "properties": {"tags": ["monitoring"], "precision": "high"},
    }


def _result(finding: Diagnostic, path: str, digest: str, rules: Sequence[str]) -> dict[str, JSON]:
    _, line, column = finding.position
    place = {
        "artifactLocation": _location(path),
        "region": {"startLine": line, "startColumn": column},
    }
    return {
        "ruleId": finding.code,
        "ruleIndex": rules.index(finding.code),
        "level": _LEVELS[finding.severity],
        "message": {"text": _text(finding.message) or finding.code},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"reconciler/v1": digest},
    }


def _text(message: str) -> str:
    """The message as a message string, in which brackets make links and braces placeholders."""
    text = printable(message).replace("{", "{{").replace("}", "}}")
    return re.sub(r"[\\\[\]]", r"\\\g<0>", text)


def _location(path: str) -> dict[str, JSON]:
    """A path as a URI: below the root of the repository, if it is there."""
    if path.startswith("/"):
        return {"uri": f"file://{quote(path)}"}
    return {"uri": quote(path), "uriBaseId": "%SRCROOT%"}
