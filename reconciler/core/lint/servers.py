"""The mail servers that a manifest names. Ports and schemes are those of RFC 8314 and RFC 6409."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model import JSON, Desired


class Protocol(NamedTuple):
    """A mail protocol.

    Attributes:
        plain: ports on which it begins without TLS; the standard port first.
        tls: the port on which it begins with TLS.
        plain_schemes: schemes of host names without TLS.
        tls_schemes: and with TLS.
    """

    name: str
    plain: tuple[int, ...]
    tls: int
    plain_schemes: tuple[str, ...]
    tls_schemes: tuple[str, ...]

    @property
    def ports(self) -> str:
        """What to use, as the end of a message."""
        return f"{' or '.join(map(str, self.plain))}, or {self.tls} with TLS"


SMTP = Protocol("SMTP", (25, 587), 465, ("smtp",), ("smtps",))
IMAP = Protocol("IMAP", (143,), 993, ("imap",), ("imaps",))
POP = Protocol("POP", (110,), 995, ("pop3", "pop"), ("pop3s", "pops"))
_ALL = (SMTP, IMAP, POP)
OWNERS = {port: protocol for protocol in _ALL for port in (*protocol.plain, protocol.tls)}
"""The protocol that each port belongs to."""
SCHEMES = {
    scheme: protocol.name
    for protocol in _ALL
    for scheme in (*protocol.plain_schemes, *protocol.tls_schemes)
} | {"http": "HTTP", "https": "HTTP", "ftp": "FTP", "ftps": "FTP"}
"""What is spoken by each scheme; nothing can be said of a scheme that is not here."""

_SPOKEN = {
    ("email-imap", "hostname"): IMAP,
    ("email-pop", "hostname"): POP,
    ("email-smtp", "hostname"): SMTP,
    ("email-round-trip", "smtp_hostname"): SMTP,
    ("email-round-trip", "pop3_hostname"): POP,
}
"""What is spoken with the host in a field; a kind that is not here names no server."""
_HOST = re.compile(
    r"(?:([a-z][a-z0-9+.-]*)://)?(\[[^\]]*\]|[^:/]*)(?::([0-9]{1,5}))?(?:/.*)?", re.IGNORECASE
)
_IPV4 = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
_SECOND_LEVEL = frozenset(("ac", "co", "com", "edu", "go", "gov", "ne", "net", "nhs", "or", "org"))
_COUNTRY = 2


class Server(NamedTuple):
    """A host that a monitor talks to.

    Attributes:
        field: where it stands in the manifest.
        scheme: empty if there is none.
        host: in lower case.
        own_port: the port in the field itself, as in smtps://HOST:465.
        port: the field port of the manifest; no kind has it beside several hosts.
    """

    field: str
    protocol: Protocol
    scheme: str
    host: str
    own_port: int | None
    port: int | None

    @property
    def is_tls(self) -> bool:
        """Whether its scheme says that the conversation begins with TLS."""
        return self.scheme in self.protocol.tls_schemes

    @property
    def likely_port(self) -> int:
        """The port that is likely checked: which one is the default is not documented."""
        standard = self.protocol.tls if self.is_tls else self.protocol.plain[0]
        return self.port or self.own_port or standard


def servers(item: Desired) -> Iterator[Server]:
    """The servers that a manifest names; those in a secret are not known."""
    for (kind, field), protocol in _SPOKEN.items():
        text = value(item, field) if kind == item.kind.name else None
        found = _HOST.fullmatch(text) if isinstance(text, str) else None
        if found and found[2]:
            host = found[2].lower().rstrip(".")
            own_port = int(found[3]) if found[3] else None
            scheme = (found[1] or "").lower()
            yield Server(field, protocol, scheme, host, own_port, value(item, "port"))


def value(item: Desired, field: str) -> JSON:
    """What a manifest says of a field that its schema knows, normalised; None if nothing."""
    known = item.kind.fields.get(field)
    return None if known is None else known.normalise(item.fields.get(field))


def is_address(host: str) -> bool:
    """Whether a host is an IPv4 address."""
    return _IPV4.fullmatch(host) is not None


def registered(host: str) -> str:
    """The registered domain of a host, as far as its name tells; empty for an address.

    Which names are registered below which is in a list that changes every week; the few second
    levels that countries share are enough for advice.
    """
    labels = host.split(".")
    if len(labels) == 1 or is_address(host) or host.startswith("["):
        return ""
    is_shared = len(labels[-1]) == _COUNTRY and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3:] if is_shared else labels[-2:])
