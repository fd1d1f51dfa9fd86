"""What an account describes, read for another account that has the same login.

Rule: it is read as it is. What is wrong there is a finding of that account, and may be mended
meanwhile; it neither stops this one nor hides the rest. So nothing is checked against a schema.
What cannot be read might describe anything: then nothing may be retired here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler import manifests
from reconciler.core.model import match_key
from reconciler.core.siblings import Claim, Claims
from reconciler.core.variables import fill
from reconciler.errors import Diagnostic
from reconciler.schema import DEFAULTS, OVERRIDE
from reconciler.usecases.defaults import is_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.core.model import JSON
    from reconciler.core.state import Record
    from reconciler.usecases.load import Sources


def read_claims(sources: Sources, records: Callable[[], Mapping[str, Record] | None]) -> Claims:
    """What an account describes.

    Args:
        sources: what its fleet is loaded from.
        records: gives its records, None if nobody knows them; asked only if a manifest names no id.

    Raises:
        ConfigurationError: a folder cannot be read.
    """
    documents, wrong = _documents(sources)
    ids: dict[int, Claim] = {}
    files: dict[str, Claim] = {}
    loose: list[tuple[dict[str, JSON], Claim]] = []
    resolve = manifests.Resolving()
    for document in documents:
        value = document.value
        if value["kind"] == OVERRIDE:
            continue
        address = next(_addresses(value))
        claim = Claim(sources.account, address, document.origin)
        files.setdefault(resolve(document.path), claim)
        number = _id(value["metadata"], sources.account)
        if number is None:
            loose.append((value, claim))
        else:
            ids.setdefault(number, claim)
    overridden = {
        value["address"]: name
        for value in (document.value for document in documents)
        if value["kind"] == OVERRIDE and (name := _name(value, sources)) is not None
    }
    names: dict[tuple[str, str], Claim] = {}
    addresses: dict[str, Claim] = {}
    known = records() if loose else {}
    for value, claim in loose:
        own = [*_addresses(value)]
        record = next((known[address] for address in own if known and address in known), None)
        if record is not None:
            ids.setdefault(record.id, claim)
            continue
        found = claim._replace(is_unbound=known is not None)
        for address in own:
            addresses.setdefault(address, found)
        name = overridden.get(claim.address) or _name(value, sources)
        if name is not None:
            names.setdefault(match_key(value["kind"], name), found)
    unread = (sources.account, wrong) if wrong else ()
    return Claims(ids, names, addresses, files, unread)


def _name(value: Mapping[str, JSON], sources: Sources) -> str | None:
    """The display name that a document gives a monitor, if it does."""
    match fill(value, sources.variables).value:
        case {"spec": {"name": str(name)}}:
            return name
    return None


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
    """Manifests and Overrides of an account, valid or not; and what cannot be read, if anything."""
    parser = manifests.Parser()
    found: list[manifests.Document] = []
    folders = [folder for folder in sources.folders if os.path.lexists(folder)]
    wrong = [f"{path} is missing" for path in sources.folders if path not in folders]
    for path in manifests.find(folders, may_be_empty=True).files:
        if is_defaults(path):
            continue
        data = manifests.read(path)
        if isinstance(data, Diagnostic):
            wrong.append(f"{path} cannot be read")
            continue
        documents, findings = parser.parse(path, data)
        found += filter(_is_described, documents)
        if findings or not documents:
            wrong.append(f"{path} has errors")
    return found, next(iter(wrong), "")


def _is_described(document: manifests.Document) -> bool:
    """Whether a document says something of a monitor."""
    match document.value:
        case {"kind": str(kind), "address": str()}:
            return kind == OVERRIDE
        case {"kind": str(kind), "metadata": dict()}:
            return kind not in {DEFAULTS, OVERRIDE}
    return False
