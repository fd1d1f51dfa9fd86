"""Why something could not be sent, as far as the logs of libraries tell.

They may quote a URL, which can hold a secret. So only words that cannot be part of one are taken.
"""

from __future__ import annotations

import re

_REASONS = (
    (re.compile(r"\[Errno -?[0-9]+\] ([A-Za-z ]+)"), "{}"),
    (re.compile(r"(certificate verify failed)"), "{}"),
    (re.compile(r"\b(?:code: |error=)([1-5][0-9]{2})\b"), "HTTP status {}"),
    (re.compile(r"^Transient error ([A-Za-z ]+) encountered "), "{}"),
    (re.compile(r"\b([Tt]imed out|[Tt]imeout)\b"), "no response in time"),
    (re.compile(r"\b([Cc]onnection error)\b"), "it cannot be reached"),
)


def reason_in(text: str) -> str:
    """The reason that a line of a log gives; empty if it gives none that is known."""
    found = ((pattern.search(text), words) for pattern, words in _REASONS)
    return next((words.format(match[1].strip()) for match, words in found if match), "")


def behind_colon(reason: str) -> str:
    """A reason as it stands behind what failed; nothing if there is none."""
    return f": {reason}" if reason else ""
