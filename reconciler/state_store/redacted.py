"""A store that known secrets do not get into, whatever place it keeps the state in.

Rule: what is written stays the JSON document that it is. What the state says of a field that holds
a secret is decided before (`state.without_secrets`); this is the second line. It is for what others
say: values of fields, and texts. An address, a name or a word of the format may be the same as a
weak password, or as the user of a URL. It stays: a record under another address would be lost, and
its monitor be created again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.core.model import JSON
    from reconciler.core.redactor import Redactor
    from reconciler.state_store.port import Held, Key, RunFile, Store

_BY_FIELD = frozenset({"fields", "unseen", "left", "body"})
"""What has a value for each field."""
_SAID = frozenset({"value", "sent", "before", "after", "message", "actor", "pipeline"})
"""What is a value of a field, or a text of others; in `bindings` there are addresses."""


class RedactedStore:
    """Writes to another store what is left without secrets."""

    def __init__(self, store: Store, redactor: Redactor) -> None:
        self.location = store.location
        self.journals = store.journals
        self.journal_prefix = store.journal_prefix
        self._store = store
        self._redactor = redactor

    def read(self, key: Key) -> Held | None:
        """See `Store`."""
        return self._store.read(key)

    def write(
        self,
        key: Key,
        data: bytes,
        expected: str | None,
        message: str,
        run: RunFile | None = None,
    ) -> str:
        """See `Store`."""
        cleaned = self._cleaned(data)
        if run is not None:
            author = self._redactor.text(run.author)
            run = run._replace(data=self._cleaned(run.data), author=author)
        return self._store.write(key, cleaned, expected, self._redactor.text(message), run)

    def runs(self) -> tuple[str, ...]:
        """See `Store`."""
        return self._store.runs()

    def run(self, run: str) -> bytes | None:
        """See `Store`."""
        return self._store.run(run)

    def trim(self, most: int) -> None:
        """See `Store`."""
        self._store.trim(most)

    def backup(self) -> str:
        """See `Store`."""
        return self._store.backup()

    def _cleaned(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogatepass")
        if not self._redactor.holds(text):
            return data
        cleaned = without_secrets(json.loads(text), self._redactor)
        return f"{json.dumps(cleaned, indent=1)}\n".encode("ascii")


def without_secrets(document: JSON, redactor: Redactor) -> JSON:
    """A JSON document that is kept, with a placeholder for each secret in what others say."""
    if isinstance(document, list):
        return [without_secrets(item, redactor) for item in document]
    if not isinstance(document, dict):
        return document
    found = {}
    for key, item in document.items():
        if key in _SAID:
            found[key] = redactor.value(item)
        elif key in _BY_FIELD and isinstance(item, dict):
            found[key] = {field: redactor.value(value) for field, value in item.items()}
        elif key == "prior" and isinstance(item, dict):
            found[key] = {field: without_secrets(was, redactor) for field, was in item.items()}
        else:
            found[key] = item if key == "bindings" else without_secrets(item, redactor)
    return found
