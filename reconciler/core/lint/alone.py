"""What can be told of one manifest without the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.lint.servers import OWNERS, SCHEMES, is_address, servers, value
from reconciler.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.core.lint.servers import Server
    from reconciler.core.model import Desired


_Fault = tuple[str, str, str]
"""A field, a code and a message."""


def of_one(item: Desired) -> Iterator[Problem]:
    """What looks wrong in one manifest."""
    for rule in _RULES:
        for field, code, message in rule(item):
            yield Problem(("spec", field), code, message, address=item.address)


def _connections(item: Desired) -> Iterator[_Fault]:
    for server in servers(item):
        protocol = server.protocol
        spoken = SCHEMES.get(server.scheme, protocol.name)
        if spoken != protocol.name:
            message = (
                f"{server.scheme}:// is for {spoken}, but {item.kind.name} uses {protocol.name} "
                f"with this host; write {protocol.tls_schemes[0]}://, or the host alone"
            )
            yield server.field, "wrong-scheme", message
        if server.own_port is not None:
            yield from _port(item, server, server.field, server.own_port)
        if server.port is not None and server.port != server.own_port:
            yield from _port(item, server, "port", server.port)
        if None not in {server.own_port, server.port} and server.own_port != server.port:
            message = (
                f"{server.field} has port {server.own_port}, but port is {server.port}; write only "
                "one of them"
            )
            yield "port", "two-ports", message


def _port(item: Desired, server: Server, field: str, port: int) -> Iterator[_Fault]:
    protocol = server.protocol
    owner = OWNERS.get(port, protocol)
    if owner is not protocol:
        message = (
            f"port {port} is for {owner.name}, but {item.kind.name} uses {protocol.name} with this "
            f"host; use {protocol.ports}"
        )
        yield field, "wrong-port", message
    elif server.is_tls and port in protocol.plain:
        message = (
            f"{server.scheme}:// starts with TLS, but port {port} without; use port "
            f"{protocol.tls}, or remove the scheme"
        )
        yield field, "tls-port", message
    elif server.scheme in protocol.plain_schemes and port == protocol.tls:
        message = (
            f"port {port} starts with TLS, but {server.scheme}:// without; write "
            f"{protocol.tls_schemes[0]}://"
        )
        yield field, "tls-port", message


def _addresses(item: Desired) -> Iterator[_Fault]:
    ipv4 = value(item, "ipv4")
    for server in servers(item):
        if is_address(server.host) and ipv4 is not None and server.host != ipv4:
            message = f"{server.field} is {server.host}, but ipv4 is {ipv4}; make them the same"
            yield "ipv4", "other-address", message
    is_set = ipv4 is not None or "ipv4" in item.secrets
    if value(item, "resolve_dns") is False and not is_set:
        message = (
            "resolve_dns is false, so AlertSite uses ipv4, which the manifest does not set; set it"
        )
        yield "resolve_dns", "no-address", message


def _locations(item: Desired) -> Iterator[_Fault]:
    locations = [location["id"] for location in value(item, "locations") or ()]
    home, count = value(item, "home_location"), value(item, "monitor_location_count")
    if locations and home is not None and home not in locations:
        listed = ", ".join(map(str, locations))
        message = (
            f"home_location {home} is not one of locations ({listed}); add it, or use one of them"
        )
        yield "home_location", "home-location", message
    if locations and count is not None and count > len(locations):
        message = f"a run cannot use {count} of {len(locations):,} locations; use a smaller number"
        yield "monitor_location_count", "location-count", message
    mode = str(value(item, "mode")).strip().lower()
    if mode == "primary" and value(item, "rotate_locations") is True:
        message = "the mode Primary does not rotate; use another mode, or set this to false"
        yield "rotate_locations", "rotation-mode", message


def _times(item: Desired) -> Iterator[_Fault]:
    interval, timeout = value(item, "interval"), value(item, "timeout")
    if interval is not None and timeout is not None and interval * 60 < timeout:
        message = (
            f"the interval ({interval} minutes) is shorter than the timeout ({timeout} seconds), "
            "so runs can overlap; use a longer interval"
        )
        yield "interval", "short-interval", message


def _switches(item: Desired) -> Iterator[_Fault]:
    if value(item, "enabled") is False:
        yield "enabled", "disabled", "the monitor does not run while this is false"
    if value(item, "notify_on_error") is False:
        yield "notify_on_error", "silenced", "the monitor sends no alerts while this is false"


_RULES: tuple[Callable[[Desired], Iterator[_Fault]], ...] = (
    _connections,
    _addresses,
    _locations,
    _times,
    _switches,
)
