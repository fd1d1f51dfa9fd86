"""The codes of lint. Rule: every code has one severity, unless a project gives it another."""

from __future__ import annotations

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
CODES: Mapping[str, Code] = {
    "wrong-port": Code(
        Severity.ERROR, "The port belongs to another mail protocol than the kind speaks."
    ),
    "wrong-scheme": Code(
        Severity.ERROR,
        "The scheme of a host name is that of a protocol that the kind does not speak.",
    ),
    "other-address": Code(
        Severity.ERROR, "The host name is an IP address, and ipv4 is another one."
    ),
    "tls-port": Code(
        Severity.WARNING, "A scheme with TLS has a port without it, or the other way round."
    ),
    "two-ports": Code(Severity.WARNING, "hostname holds a port, and port is another one."),
    "no-address": Code(
        Severity.WARNING, "resolve_dns is false, and there is no ipv4 to use instead."
    ),
    "home-location": Code(Severity.WARNING, "home_location is not one of locations."),
    "location-count": Code(
        Severity.WARNING, "monitor_location_count is more than the number of locations."
    ),
    "rotation-mode": Code(
        Severity.WARNING, "rotate_locations is true in Primary mode, which does not rotate."
    ),
    "short-interval": Code(
        Severity.WARNING, "The interval is shorter than the timeout, so runs can overlap."
    ),
    "same-check": Code(
        Severity.WARNING, "Several monitors of one kind check the same host and port."
    ),
    "shared-mailbox": Code(
        Severity.WARNING, "Several round trips use one mailbox, and each deletes what it finds."
    ),
    "unnamed-field": Code(
        Severity.WARNING,
        "With --state: a field was applied, and no manifest or default names it any more.",
    ),
    BAD_COMMENT: Code(
        Severity.WARNING,
        "A comment for reconciler that names no code, or is where none counts.",
    ),
    "smtp-only": Code(
        Severity.INFO, "A domain's mail is watched where it is sent, and not where it is fetched."
    ),
    "disabled": Code(Severity.INFO, "enabled is false: the monitor does not run."),
    "silenced": Code(Severity.INFO, "notify_on_error is false: nobody is told of a failure."),
}
"""What lint may say; any other code that is not `UNASKED` is that of an invalid manifest."""
