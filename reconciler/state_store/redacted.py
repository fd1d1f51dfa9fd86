"""A store that known secrets do not get into, whatever place it keeps the state in.

Rule: what is written stays the JSON document that it is. What the state says of a field that holds
a secret is decided before (`state.without_secrets`); this is the second line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.core.redactor import Redactor
    from reconciler.state_store.port import Held, Key, RunFile, Store


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
        text = self._redactor.document(data.decode("utf-8", "surrogatepass"))
        return text.encode("utf-8", "surrogatepass")
