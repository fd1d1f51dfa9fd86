"""The texts of new manifest files."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from reconciler.manifest.text import document
from reconciler.schema import DEFAULTS
from reconciler.workflow import defaults
from reconciler.workflow.drafting import head
from reconciler.workflow.tidying import Ordering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.importing import Draft, Shared
    from reconciler.schema import Schemas

_SCHEMAS = "schemas"
"""The folder with the schemas, seen from the current one, for editors."""


def compose(
    drafts: Sequence[Draft], shared: Sequence[Shared], folder: str, schemas: Schemas
) -> dict[str, str]:
    """The files below the folder, by path, those with defaults first.

    Were the writing of them to end half-way, no manifest would lack its defaults.
    """
    ordering = Ordering(schemas)
    documents: dict[str, list[tuple[str, str]]] = {}
    for item in shared:
        path = os.path.join(item.folder, defaults.NAMES[0])  # noqa: PTH118 - a text, as all paths
        values = {"apiVersion": "reconciler/v1", "kind": DEFAULTS}
        applies = {"appliesTo": list(item.kinds)} if item.kinds else {}
        spec = {"spec": ordering.sorted(DEFAULTS, item.spec)}
        text = document({**values, **applies, **spec})
        documents.setdefault(path, []).append((DEFAULTS, text))
    for draft in drafts:
        value = {**head(draft.kind, draft.name, draft.id), "spec": draft.spec}
        extra = {"extra": draft.extra} if draft.extra else {}
        text = document({**value, **extra}) + _to_do(draft.held_back)
        documents.setdefault(draft.path, []).append((draft.kind, text))
    return {path: _text(folder, path, items) for path, items in documents.items()}


def _to_do(held_back: Sequence[str]) -> str:
    """A comment that names fields; in ASCII, where no character can end it."""
    if not held_back:
        return ""
    names = ", ".join(json.dumps(name)[1:-1] for name in held_back)
    return f"# to do: AlertSite has texts in {names}, which may be secrets\n"


def _text(folder: str, path: str, documents: Sequence[tuple[str, str]]) -> str:
    texts = "---\n".join(text for _, text in documents)
    kinds = {kind for kind, _ in documents}
    if len(kinds) > 1:
        return texts  # there is one such line for a whole file
    where = os.path.relpath(_SCHEMAS, os.path.dirname(os.path.join(folder, path)))  # noqa: PTH118, PTH120
    name = f"{kinds.pop().lower()}.schema.json"
    return f"# yaml-language-server: $schema={where}/{name}\n{texts}"
