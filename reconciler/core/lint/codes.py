"""The codes of lint. Rule: every code has one severity, unless a project gives it another."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping


class Code(NamedTuple):
    """How severe the findings of one code are, and what they are about."""

    severity: Severity
    meaning: str


BAD_COMMENT = "bad-comment"
EXPIRED_IGNORE = "expired-ignore"
EXPIRED_MAINTENANCE = "expired-maintenance"
UNKNOWN_SCHEME = "unknown-scheme"
UNUSED_UNTIL = "unused-until"
UNASKED = frozenset({EXPIRED_IGNORE, EXPIRED_MAINTENANCE, UNKNOWN_SCHEME, UNUSED_UNTIL})
"""Warnings that are given without lint, and that no comment disables."""
_MEANINGS = {
    Severity.ERROR: {
        "wrong-port": "The port belongs to a different mail protocol than the kind.",
        "wrong-scheme": "The scheme of a host name belongs to a different protocol than the kind.",
        "other-address": "The host name is an IP address that differs from ipv4.",
    },
    Severity.WARNING: {
        "tls-port": "A scheme with TLS has a port without TLS, or the reverse.",
        "two-ports": "The port in hostname differs from port.",
        "no-address": "resolve_dns is false, and ipv4 is not set.",
        "home-location": "home_location is not one of locations.",
        "location-count": "monitor_location_count is greater than the number of locations.",
        "rotation-mode": "rotate_locations is true in Primary mode, which does not rotate.",
        "short-interval": "The interval is shorter than the timeout, so runs can overlap.",
        "same-check": "Several monitors of one kind check the same host and port.",
        "shared-mailbox": (
            "Several round trips use one mailbox, and each deletes the mail of the others."
        ),
        "unnamed-field": (
            "With --state: a field was applied and is no longer in a manifest or default."
        ),
        BAD_COMMENT: (
            "A reconciler comment names no code, or is in a place where it has no effect."
        ),
    },
    Severity.INFO: {
        "smtp-only": "A domain has a monitor for sending mail, but none for fetching it.",
        "disabled": "enabled is false: the monitor does not run.",
        "silenced": "notify_on_error is false: the monitor sends no alerts.",
    },
}
CODES: Mapping[str, Code] = {
    code: Code(severity, meaning)
    for severity, meanings in _MEANINGS.items()
    for code, meaning in meanings.items()
}
"""What lint may say; any other code that is not `UNASKED` is that of an invalid manifest."""
OFF = "off"


class Policy(NamedTuple):
    """How severe the codes are in one project.

    Attributes:
        severities: patterns of codes, each with a severity or `off`; the last that matches counts.
    """

    severities: tuple[tuple[str, str], ...] = ()

    def severity(self, code: str) -> Severity | None:
        """How severe that code is; None if nothing is said of it."""
        found = CODES[code].severity.value
        for pattern, wanted in self.severities:
            if fnmatchcase(code, pattern):
                found = wanted
        return None if found == OFF else Severity(found)

    def meaningless(self) -> tuple[str, ...]:
        """The patterns that match no code."""
        return tuple(
            pattern
            for pattern, _ in self.severities
            if not any(fnmatchcase(code, pattern) for code in CODES)
        )
