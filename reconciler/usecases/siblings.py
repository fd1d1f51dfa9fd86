"""What an account describes, read for another account that has the same login.

Rule: it is read as it is. What is wrong there is a finding of that account, and may be mended
meanwhile; it neither stops this one nor hides the rest. So nothing is checked against a schema, and
a file that cannot be read describes nothing.
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
    files: dict[str, Claim]


def read_claims(sources: Sources, records: Callable[[], Mapping[str, Record]]) -> AccountClaims:
    """What an account describes.

    Args:
        sources: what its fleet is loaded from.
        records: gives its records; asked only if a manifest names no id.

    Raises:
        ConfigurationError: a folder cannot be read.
    """
    ids: dict[int, Claim] = {}
    loose: list[tuple[dict[str, JSON], Claim]] = []
    files: dict[str, Claim] = {}
    resolve = manifests.Resolving()
    for document in _documents(sources):
        value = document.value
        metadata = value["metadata"]
        claim = Claim(sources.account, f"{value['kind']}/{metadata.get('name')}", document.origin)
        files.setdefault(resolve(document.path), claim)
        number = _id(metadata, sources.account)
        if number is None:
            loose.append((value, claim))
        else:
            ids.setdefault(number, claim)
    names: dict[tuple[str, str], Claim] = {}
    known = records() if loose else {}
    for value, claim in loose:
        record = next((known[it] for it in _addresses(value) if it in known), None)
        if record is not None:
            ids.setdefault(record.id, claim)
            continue
        match fill(value, sources.variables).value:
            case {"spec": {"name": str(name)}}:
                names.setdefault(match_key(value["kind"], name), claim)
    return AccountClaims(ids, names, files)


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


def _documents(sources: Sources) -> Iterator[manifests.Document]:
    """The documents that describe a monitor, valid or not."""
    parser = manifests.Parser()
    folders = [folder for folder in sources.folders if os.path.lexists(folder)]
    for path in manifests.find(folders, may_be_empty=True):
        data = b"" if is_defaults(path) else manifests.read(path)
        if isinstance(data, Diagnostic):
            continue
        for document in parser.parse(path, data)[0]:
            match document.value:
                case {"kind": str(kind), "metadata": dict()} if kind not in {DEFAULTS, OVERRIDE}:
                    yield document
