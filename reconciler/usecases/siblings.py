"""What an account describes, read for another account that has the same login.

Rule: it is read as it is. What is wrong there is a finding of that account, and may be mended
meanwhile; it neither stops this one nor hides the rest. So nothing is checked against a schema.
What cannot be read might describe anything: then nothing may be retired here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from reconciler import manifests
from reconciler.core.model import match_key
from reconciler.core.siblings import Claim
from reconciler.core.variables import fill
from reconciler.errors import Diagnostic
from reconciler.schema import DEFAULTS, OVERRIDE
from reconciler.usecases.defaults import is_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.core.model import JSON
    from reconciler.core.state import Record
    from reconciler.usecases.load import Sources


class AccountClaims(NamedTuple):
    """What one account describes; see `Claims`."""

    ids: dict[int, Claim]
    names: dict[tuple[str, str], Claim]
    addresses: dict[str, Claim]
    files: dict[str, Claim]
    unread: str


def read_claims(
    sources: Sources, records: Callable[[], Mapping[str, Record] | None]
) -> AccountClaims:
    """What an account describes.

    Args:
        sources: what its fleet is loaded from.
        records: gives its records, None if nobody knows them; asked only if a manifest names no id.

    Raises:
        ConfigurationError: a folder cannot be read.
    """
    ids: dict[int, Claim] = {}
    loose: list[tuple[dict[str, JSON], Claim]] = []
    files: dict[str, Claim] = {}
    given: dict[str, JSON] = {}
    resolve = manifests.Resolving()
    documents, unread = _documents(sources)
    for document in documents:
        value = document.value
        match value:
            case {"kind": kind, "address": str(address), "spec": {"name": str(name)}} if (
                kind == OVERRIDE
            ):
                given[address] = name
            case {"kind": str(kind), "metadata": dict(metadata)} if kind not in {
                DEFAULTS,
                OVERRIDE,
            }:
                claim = Claim(sources.account, f"{kind}/{metadata.get('name')}", document.origin)
                files.setdefault(resolve(document.path), claim)
                number = _id(metadata, sources.account)
                if number is None:
                    loose.append((value, claim))
                else:
                    ids.setdefault(number, claim)
    names: dict[tuple[str, str], Claim] = {}
    addresses: dict[str, Claim] = {}
    known = records() if loose else {}
    for value, claim in loose:
        record = next((known[it] for it in _addresses(value) if known and it in known), None)
        if record is not None:
            ids.setdefault(record.id, claim)
            continue
        found = claim._replace(is_unbound=known is not None)
        addresses |= {address: found for address in _addresses(value) if address not in addresses}
        match fill(value, sources.variables).value:
            case {"spec": {"name": str(name)}}:
                name = given.get(claim.address, name)
                names.setdefault(match_key(value["kind"], name), found)
    return AccountClaims(ids, names, addresses, files, unread)


def _id(metadata: Mapping[str, JSON], account: str) -> int | None:
    """The monitor that a manifest names, if it names one."""
    ids = metadata.get("ids")
    number = metadata.get("id", ids.get(account) if isinstance(ids, dict) else None)
    is_number = type(number) is int or (type(number) is float and number.is_integer())
    return int(number) if is_number else None


def _addresses(value: Mapping[str, JSON]) -> Iterator[str]:
    """The addresses under which a state may know a manifest: its own, then former ones."""
    kind, metadata = value["kind"], value["metadata"]
    former = metadata.get("previously")
    for name in (metadata.get("name"), *(former if isinstance(former, list) else ())):
        yield f"{kind}/{name}"


def _documents(sources: Sources) -> tuple[list[manifests.Document], str]:
    """The documents of an account, valid or not; and what cannot be read, if anything."""
    parser = manifests.Parser()
    found: list[manifests.Document] = []
    wrong = [f"{path} is missing" for path in sources.folders if not os.path.lexists(path)]
    folders = [folder for folder in sources.folders if os.path.lexists(folder)]
    for path in manifests.find(folders, may_be_empty=True):
        data = b"" if is_defaults(path) else manifests.read(path)
        if isinstance(data, Diagnostic):
            wrong.append(f"{path} cannot be read")
            continue
        documents, findings = parser.parse(path, data)
        found += documents
        if findings:
            wrong.append(f"{path} has errors")
    return found, f"{wrong[0]}, a manifest of the account {sources.account}" if wrong else ""
