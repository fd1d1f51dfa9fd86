"""What can be told of manifests by what was applied before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.model import Desired
    from reconciler.core.state import Record


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
