"""Monitors in SQLite. Rule: the only module that speaks SQL; one connection, one user at a time.

Each monitor is kept as JSON text. Where `is_plain` says that nothing in it could have to be hidden,
that is what GET answers, so that a list is such texts joined: parsing and printing ten thousand
monitors would take most of a second.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from reconciler.sandbox.monitors import SecretFields

_BEFORE_FIRST_ID: Final = 100_000  # ids of six digits, as in the vendor's samples
_MAX_ID: Final = 2**63 - 1
_VERSIONS: Final = (  # what makes each out of the one before it
    (
        # AUTOINCREMENT: the id of a deleted monitor is never given out again.
        "CREATE TABLE monitor (id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT, json TEXT)",
        f"INSERT INTO sqlite_sequence (name, seq) VALUES ('monitor', {_BEFORE_FIRST_ID})",  # noqa: S608
    ),
    ("ALTER TABLE monitor ADD COLUMN is_plain INTEGER DEFAULT 0",),
    ("ALTER TABLE monitor ADD COLUMN account TEXT DEFAULT ''",),
)
_WANTED: Final = "account = ?2 AND (?1 IS NULL OR type IN (SELECT value FROM json_each(?1)))"
_ROWS: Final = f"SELECT json, is_plain FROM monitor WHERE {_WANTED}"  # noqa: S608
_PAGE: Final = f"{_ROWS} ORDER BY id LIMIT ?3 OFFSET ?4"
_COUNT: Final = f"SELECT count(*) FROM monitor WHERE {_WANTED}"  # noqa: S608
_ADD: Final = "INSERT INTO monitor (type) VALUES ('')"
_ADD_NEXT: Final = (
    "INSERT INTO monitor (id, type) "  # noqa: S608
    f"SELECT max(ifnull(max(id), 0), {_BEFORE_FIRST_ID}) + 1, '' FROM monitor"
)
_NO_LIMIT: Final = -1
_BEGIN: Final = "BEGIN IMMEDIATE"


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list: the JSON texts in it, and how many monitors match in all."""

    texts: Sequence[bytes]
    count: int


class Database:
    """The monitors of one account.

    Attributes:
        account: which one; empty for the first.

    Whoever opens it closes it. It may be handed from one thread to another, but not shared.
    """

    def __init__(
        self, database: Path | None, seed: Sequence[Mapping[str, Any]], secrets: SecretFields
    ) -> None:
        self._secrets = secrets
        self.account = ""
        self._connection = sqlite3.connect(
            ":memory:" if database is None else database,
            isolation_level=None,  # transactions are begun below, and end as `with` does
            check_same_thread=False,  # opened by the starting thread, so that it gets the error
        )
        try:
            self._connection.text_factory = bytes
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._create(seed)
        except BaseException:
            self.close()
            raise

    def of(self, account: str) -> Self:
        """The monitors of another account, in the same file; it ends with this one."""
        found = copy(self)
        found.account = account
        return found

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()

    def page(self, types: Sequence[str] | None, limit: int | None, offset: int) -> Page:
        """The monitors of these types, in the order of their ids."""
        wanted = (None if types is None else json.dumps(types), self.account)
        window = (_NO_LIMIT if limit is None else limit, offset)
        rows = self._connection.execute(_PAGE, (*wanted, *window))
        texts = [text if is_plain else self._secrets.shown(text) for text, is_plain in rows]
        if limit is None and not offset:
            return Page(texts, len(texts))
        (count,) = self._connection.execute(_COUNT, wanted).fetchone()
        return Page(texts, count)

    def find(self, number: int) -> bytes | None:
        """The JSON text of one monitor, as GET shows it."""
        text = self._text("SELECT json FROM monitor WHERE id = ? AND account = ?", number)
        return None if text is None else self._secrets.shown(text)

    def add(self, monitor: Mapping[str, Any], *, reuses_ids: bool = False) -> int:
        """Stores a monitor that has no id yet; the id it got.

        With `reuses_ids` it is the highest there is and one: that of a monitor that was deleted, if
        that was the last one.
        """
        with self._connection:
            self._connection.execute(_BEGIN)
            row = self._connection.execute(_ADD_NEXT if reuses_ids else _ADD)
            number = row.lastrowid
            assert number is not None
            self._put({**monitor, "id": number})
        return number

    def edit(
        self, kind: str, number: int, change: Callable[[dict[str, Any]], Mapping[str, Any]]
    ) -> bool:
        """Replaces a monitor by what `change` makes of it; False if there is none of this kind."""
        with self._connection:
            self._connection.execute(_BEGIN)
            query = "SELECT json FROM monitor WHERE id = ? AND account = ? AND type = ?"
            text = self._text(query, number, kind)
            if text is None:
                return False
            self._put(change(json.loads(text)))
        return True

    def remove(self, number: int) -> bool:
        """Deletes a monitor; False if there is none."""
        if number > _MAX_ID:
            return False
        query = "DELETE FROM monitor WHERE id = ? AND account = ?"
        deleted = self._connection.execute(query, (number, self.account))
        return deleted.rowcount > 0

    def _create(self, seed: Sequence[Mapping[str, Any]]) -> None:
        with self._connection:
            self._connection.execute(_BEGIN)
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            for number, statements in enumerate(_VERSIONS[version:], version + 1):
                for statement in statements:
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {number}")
            for monitor in () if version else seed:
                self._put(monitor)

    def _put(self, monitor: Mapping[str, Any]) -> None:
        text = json.dumps(monitor, sort_keys=True, separators=(",", ":"))
        is_plain = not self._secrets.are_in(monitor)
        self._connection.execute(
            "INSERT OR REPLACE INTO monitor (id, type, json, is_plain, account) "
            "VALUES (?, ?, ?, ?, ?)",
            (monitor["id"], monitor["type"], text, is_plain, self.account),
        )

    def _text(self, query: str, number: int, *others: str) -> bytes | None:
        if number > _MAX_ID:
            return None
        row: tuple[bytes] | None = self._connection.execute(
            query, (number, self.account, *others)
        ).fetchone()
        return None if row is None else row[0]
