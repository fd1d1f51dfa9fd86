"""What can be told of manifests only by looking at others, or at what was applied before."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from reconciler.core.lint.servers import SMTP, registered, servers, value
from reconciler.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import Desired
    from reconciler.core.state import Record


_MOST_NAMED = 3
_Key = TypeVar("_Key", bound="Hashable")


def of_all(fleet: Sequence[Desired]) -> Iterator[Problem]:
    """What looks wrong only beside other manifests."""
    for duplicates in _grouped(fleet, _check):
        for item, others in duplicates:
            message = f"checks the same host and port as {others}; keep one of them"
            yield Problem(("spec", "hostname"), "same-check", message, address=item.address)
    for duplicates in _grouped(fleet, _mailbox):
        for item, others in duplicates:
            message = (
                f"uses the same mailbox as {others}, and AlertSite deletes the mail it finds; give "
                "each its own"
            )
            yield Problem(("spec", "email"), "shared-mailbox", message, address=item.address)
    yield from _smtp_only(fleet)


def _check(item: Desired) -> tuple[str, ...] | None:
    """What an IMAP, POP or SMTP monitor checks; a round trip is known by its mailbox."""
    found = [server for server in servers(item) if server.field == "hostname"]
    if not found:
        return None
    # Monitors that are each pinned to one machine behind a name check different things.
    pinned = value(item, "ipv4") if value(item, "resolve_dns") is False else None
    return item.kind.name, found[0].host, str(found[0].likely_port), pinned or ""


def _mailbox(item: Desired) -> str | None:
    email = value(item, "email")
    return email.lower() if isinstance(email, str) else None


def _grouped(
    fleet: Sequence[Desired], key: Callable[[Desired], _Key | None]
) -> Iterator[list[tuple[Desired, str]]]:
    """Manifests with the same key, where there are several, each with the names of the others."""
    groups: dict[_Key, list[Desired]] = {}
    for item in fleet:
        found = key(item)
        if found is not None:
            groups.setdefault(found, []).append(item)
    for group in groups.values():
        if len(group) > 1:
            yield [(item, _named(group, item)) for item in group]


def _named(group: Sequence[Desired], item: Desired) -> str:
    """The others of a group, or the first of them."""
    others = [other.address for other in group if other is not item]
    if len(others) > _MOST_NAMED:
        others[_MOST_NAMED:] = [f"{len(others) - _MOST_NAMED:,} more"]
    return ", ".join(others)


def unnamed_fields(desired: Iterable[Desired], records: Mapping[str, Record]) -> Iterator[Problem]:
    """The fields that were applied and that neither a manifest nor a default names any more.

    One that a manifest refuses by `{inherit: false}` is meant to be let go.
    """
    for item in desired:
        record = records.get(item.address)
        if record is None:
            continue
        named = {*item.fields, *item.secrets, *item.refused}
        for field in sorted({*record.fields, *record.secrets} - named):
            message = (
                f"{field} was applied, but neither the manifest nor a default sets it now; set it, "
                "or run apply to release it"
            )
            yield Problem(item.pointer(field), "unnamed-field", message, address=item.address)


def _smtp_only(fleet: Sequence[Desired]) -> Iterator[Problem]:
    """Said once for each domain, at its first monitor."""
    sent: dict[str, list[Desired]] = {}
    fetched: set[str] = set()
    for item in sorted(fleet, key=lambda item: item.address):
        found = list(servers(item))
        if [server.protocol for server in found] == [SMTP]:
            sent.setdefault(registered(found[0].host), []).append(item)
            continue
        fetched.update(registered(server.host) for server in found)
        fetched.add(registered((_mailbox(item) or "").partition("@")[2]))
    for name, group in sent.items():
        if name and name not in fetched:
            message = (
                f"{name} is checked by SMTP only; an email-imap, email-pop or email-round-trip "
                "monitor would notice when mail cannot be fetched"
            )
            yield Problem(("spec", "hostname"), "smtp-only", message, address=group[0].address)
