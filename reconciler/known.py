"""What a store knows of an account: the saved state, and what journals of killed runs add.

Rule: reading writes nothing; what cannot be read is refused by name, and never begun anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler import state as records
from reconciler.errors import StateError
from reconciler.model import DEFAULT_ACCOUNT, Account
from reconciler.state import Recovery, State
from reconciler.store import Cell, found_journals, read_journal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reconciler.model import JSON
    from reconciler.store import Store


class Known(NamedTuple):
    """What a store knows of an account.

    Attributes:
        state: the state with what journals add.
        saved: the state as it was saved; serial 0 if it never was.
        version: of the saved state in the store; None if there is none.
        recovery: what journals of runs that did not end add.
        journals: their files.
    """

    state: State
    saved: State
    version: str | None
    recovery: Recovery
    journals: tuple[Path, ...]


def read_known(store: Store, account: Account | None, lineage: str) -> Known:
    """What the store knows; writes nothing.

    Args:
        store: where the state is kept.
        account: whose state it must be; None takes any.
        lineage: that of a new state, if there is none yet.

    Raises:
        StateError: the state is unreadable, corrupt, newer, or that of another account.
    """
    held = store.read(Cell.STATE)
    paths = tuple(found_journals(store))
    journals = [(path, read_journal(path)) for path in paths]
    if held is None:
        heads: list[JSON] = [lines[0] for _, lines in journals if lines]
        head = heads[0] if heads and isinstance(heads[0], dict) else {}
        fresh = State(str(head.get("lineage", lineage)), account or _account(head.get("account")))
        saved, version = fresh, None
    else:
        saved, version = parsed(store, held.data), held.version
    if account is not None and saved.account != account:
        raise StateError(
            f"{store.location} is the state of {saved.account}, and this run is with {account}",
            "Name another state with --state: each account has its own.",
        )
    recovery = _recovered(saved, journals)
    return Known(recovery.transition.of(saved), saved, version, recovery, paths)


def _account(found: JSON) -> Account:
    """The account that a journal names; one without any for a journal that is refused anyway."""
    return Account(**found) if isinstance(found, dict) else Account(DEFAULT_ACCOUNT, "")


def parsed(store: Store, data: bytes) -> State:
    """The state in the bytes of a store.

    Raises:
        StateError: it is corrupt or newer; the message says where, and where a backup is.
    """
    try:
        return records.from_text(data)
    except StateError as error:
        raise StateError(
            f"{store.location}: {error}", error.hint or f"Nothing was changed; {store.backup()}"
        ) from error


def _recovered(saved: State, journals: Iterable[tuple[Path, list[JSON]]]) -> Recovery:
    for path, lines in journals:
        try:
            records.recover(saved, [lines])
        except (StateError, KeyError, TypeError, AttributeError) as error:
            what = str(error) if isinstance(error, StateError) else "it is corrupt"
            raise StateError(
                f"the journal {path} cannot be used: {what}",
                "If the run that wrote it needs no finishing, remove the file.",
            ) from error
    return records.recover(saved, [lines for _, lines in journals])


def replace(store: Store, new: State, message: str) -> int:
    """Puts a state in the place of the one that is kept; returns its serial.

    Raises:
        StateError: the one that is kept is of another lineage or account, or newer; or a run that
            did not end has left a journal.
    """
    if journals := found_journals(store):
        raise StateError(
            f"the journal {journals[0]} has outcomes that would come back after the push",
            "Run apply first, which takes them in; or remove the file if they are not wanted.",
        )
    held = store.read(Cell.STATE)
    serial = new.serial
    if held is not None:
        kept = parsed(store, held.data)
        for what in ("lineage", "account"):
            if getattr(kept, what) != getattr(new, what):
                raise StateError(
                    f"{store.location} is of the {what} {getattr(kept, what)}, and the file of "
                    f"{getattr(new, what)}",
                    "Push it to another location, or remove the state that is there first.",
                )
        if kept.serial > new.serial:
            raise StateError(
                f"{store.location} has serial {kept.serial}, and the file {new.serial}",
                "Pull the state again and repeat the change on that.",
            )
        serial = kept.serial + 1
    data = records.to_text(new._replace(serial=max(1, serial))).encode("utf-8", "surrogatepass")
    store.write(Cell.STATE, data, held and held.version, message)
    return max(1, serial)
