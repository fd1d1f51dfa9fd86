"""Findings as text and JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from reconciler.core.lint.codes import CODES, UNASKED
from reconciler.core.plan import fingerprint
from reconciler.core.printable import Lines, joined, printable
from reconciler.render.view import in_repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.model import JSON
    from reconciler.errors import Diagnostic
    from reconciler.render.view import View


_MANY = 10
"""More findings of one code of lint are shown together: as a number, and the first of them."""
_FIRST = 3


def findings_text(findings: Sequence[Diagnostic]) -> Lines:
    """One finding a line: `path:line:col: code: message`; many of one code of lint together.

    The severity stands before the code, but for the errors of invalid manifests.
    """
    counts = Counter(finding.code for finding in findings)
    many = {code for code, count in counts.items() if count > _MANY and code in CODES}
    lines = [finding_line(finding) for finding in findings if finding.code not in many]
    for code in sorted(many, key=lambda code: (-counts[code], code)):
        some = [finding for finding in findings if finding.code == code]
        lines.append(f"{some[0].severity}: {code}: {len(some):,} findings, such as")
        lines += [f"  {finding.position}: {finding.message}" for finding in some[:_FIRST]]
        lines.append(f"  and {len(some) - _FIRST:,} more (--format json lists them)")
    return joined(lines)


def edits_findings_text(findings: Iterable[Diagnostic]) -> Lines:
    """What edits would cause, a line each; without the places, as no file is like that."""
    return joined(dict.fromkeys(f"{it.position.path}: {it.code}: {it.message}" for it in findings))


def finding_line(finding: Diagnostic) -> str:
    """One finding as one line."""
    if finding.code not in CODES and finding.code not in UNASKED:
        return str(finding)
    return f"{finding.position}: {finding.severity}: {finding.code}: {finding.message}"


def identified(findings: Iterable[Diagnostic], view: View) -> Iterator[tuple[Diagnostic, str, str]]:
    """Each finding with its path in the repository, and a fingerprint that tells it from others.

    A line that moves is no new finding, so the fingerprint has none; of several that are alike, the
    second and later ones have a number.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    for finding in findings:
        path = printable(in_repository(finding.position.path, view))
        same = (path, finding.code, finding.message)
        seen[same] += 1
        yield finding, path, fingerprint([*same, seen[same]])


def findings_json(findings: Iterable[Diagnostic]) -> dict[str, JSON]:
    """The findings as `schemas/findings.schema.json` describes them."""
    found = []
    for position, code, message, severity in findings:
        said = {"severity": severity.value, "code": code, "message": message}
        found.append(position._asdict() | said)
    return {"format_version": "1.0", "findings": found}
