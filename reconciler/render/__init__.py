"""Plans, results, drift and findings as text and JSON.

Rule: values in, text out; no I/O. The same value gives the same bytes. Colour only repeats what the
words and symbols say.
"""

from reconciler.core.printable import Lines, joined, json_lines, printable
from reconciler.render.drifts import drift_text
from reconciler.render.findings import edits_findings_text, findings_json, findings_text
from reconciler.render.plans import plan_text, summary_text
from reconciler.render.reports import report_text
from reconciler.render.results import (
    outcome_line,
    outcomes_text,
    progress_line,
    result_text,
    run_line,
)
from reconciler.render.text import ago, as_json, error_text
from reconciler.render.whys import why_text

__all__ = [
    "Lines",
    "ago",
    "as_json",
    "drift_text",
    "edits_findings_text",
    "error_text",
    "findings_json",
    "findings_text",
    "joined",
    "json_lines",
    "outcome_line",
    "outcomes_text",
    "plan_text",
    "printable",
    "progress_line",
    "report_text",
    "result_text",
    "run_line",
    "summary_text",
    "why_text",
]
