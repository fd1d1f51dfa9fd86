"""Reads what runs have done from the store of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import kind_of
from reconciler.core.nearest import did_you_mean
from reconciler.core.undo import is_undone
from reconciler.errors import RefusedError, StateError, UsageError
from reconciler.render.history import last_runs_text
from reconciler.state_session import read_known, stored_run
from reconciler.state_store import current, is_dead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.model import Desired, Kind
    from reconciler.core.run_record import RunRecord
    from reconciler.state_store import Store


LAST = "last"
"""What stands for the id of the run that `last_run` finds."""
_NAMED = 3


class Runs(NamedTuple):
    """Some of the runs, newest first.

    Attributes:
        errors: why records between them cannot be used: they are corrupt, or of a newer format.
    """

    found: tuple[RunRecord, ...]
    errors: tuple[StateError, ...]


def read_runs(store: Store, asked: str, limit: int) -> Runs:
    """The last runs.

    Args:
        store: where the state is kept.
        asked: an address, or `ADDRESS.FIELD`; empty for all runs.
        limit: how many at most.

    Raises:
        StateError: they cannot be read.
        UsageError: `asked` is no address.
    """
    address, field = _parted(asked)
    found: list[RunRecord] = []
    errors: list[StateError] = []
    for run in _runs(store, errors):
        part = run.touching(address, field) if address else run
        if part is not None:
            found.append(part)
        if len(found) == limit:
            break
    return Runs(tuple(found), tuple(errors))


def check_is_known(
    store: Store, asked: str, desired: Iterable[Desired], kinds: Mapping[str, Kind]
) -> None:
    """Stops if nothing has ever had the address, or its kind and monitor do not have the field.

    Args:
        store: where the state is kept.
        asked: an address, or `ADDRESS.FIELD`.
        desired: the manifests.
        kinds: all of them, by name.

    Raises:
        StateError: the state or its runs cannot be read.
        UsageError: naming what is like it.
    """
    address, field = _parted(asked)
    state = read_known(store, None, "").state
    known: dict[str, set[str]] = {item: set() for item in state.pending_creates}
    for name, record in state.all_records.items():
        known.setdefault(name, set()).update(record.fields, record.secrets)
    for item in desired:
        known.setdefault(item.address, set()).update(item.fields, item.secrets)
        for former in item.former:
            known.setdefault(former, set())
    for run in _runs(store, []):
        for change in run.changes:
            fields = (each.field for each in change.fields)
            known.setdefault(change.address, set()).update(fields)
        for binding in run.bindings:
            known.setdefault(binding.address, set())
    if address not in known:
        raise UsageError(
            f"neither a run nor the state nor a manifest has {address}"
            f"{did_you_mean(address, sorted(known))}",
            "Use kind/name, as shown by reconciler history or reconciler plan.",
        )
    kind = kind_of(address, kinds)
    of_address = {*kind.fields, *known[address]}
    if field is not None and field not in of_address:
        raise UsageError(
            f"{address} has no field {field}{did_you_mean(field, sorted(of_address))}",
            f"To list all fields, run: reconciler explain {kind.name}",
        )


def read_run(store: Store, run: str) -> RunRecord:
    """One run, by its id or by how its id begins, if only one does.

    Raises:
        StateError: it cannot be read.
        UsageError: there is no such run, or several. The hint names the last ones.
    """
    if not run:
        raise UsageError("the id of a run is missing", _hint(store))
    found = [id_ for id_ in store.runs() if id_.startswith(run)]
    if run in found:
        found = [run]
    if len(found) > 1:
        raise UsageError(f"{len(found):,} runs start with {run}", "Use more of the id.")
    data = store.run(found[0]) if found else None
    if data is None:
        raise UsageError(f"{store.location} has no run {run}", _hint(store))
    return _parsed(store, found[0], data)


def last_run(store: Store) -> RunRecord:
    """The last run that changed something, is no undo, and has not been undone.

    Raises:
        RefusedError: a run has not ended, so that there is no record of it.
        StateError: a record cannot be used, and that run may be the one.
        UsageError: there is no such run.
    """
    kept = store.runs()
    lease = current(store)
    if lease is not None and not is_dead(lease):
        raise RefusedError(
            f"{lease} has not ended, so the last run is not known",
            "Wait until it ends, or name another run to undo. If you are certain that it is dead, "
            f"run: {lease.unlock}",
        )
    for item in read_known(store, None, "").killed:
        if item.record.id not in kept:
            undone = item.record.about.undoes
            again = f"undo {undone}" if undone else "apply"
            message, hint = "has not ended", f"It was killed: run reconciler {again} to complete it"
            if item.record.ended:
                message, hint = "has ended, but it is not saved", "Run reconciler apply to save it"
            raise RefusedError(
                f"run {item.record.id} {message}, so the last run is not known",
                f"{hint}, or name another run to undo.",
            )
    undos: dict[str, list[RunRecord]] = {}
    errors: list[StateError] = []
    seen: list[RunRecord] = []
    for run in _runs(store, errors):
        if errors:
            break
        seen.append(run)
        if is_undone(run, undos.get(run.id, ())):
            continue
        if not run.about.undoes:
            return run
        undos.setdefault(run.about.undoes, []).append(run)
    if errors:
        raise errors[0]
    hint = last_runs_text(tuple(seen[:_NAMED]))
    raise UsageError(f"{store.location} has no run to undo", hint)


def _hint(store: Store) -> str:
    found, _ = read_runs(store, "", _NAMED)
    return last_runs_text(found)


def run_before(store: Store, run: str) -> RunRecord | None:
    """The last apply before a run; None if there is none.

    Raises:
        StateError: it cannot be read.
    """
    ids = store.runs()
    for id_ in ids[ids.index(run) + 1 :] if run in ids else ():
        data = store.run(id_)
        found = _parsed(store, id_, data) if data is not None else None
        if found is not None and not found.about.undoes:
            return found
    return None


def _runs(store: Store, errors: list[StateError]) -> Iterator[RunRecord]:
    for run in store.runs():
        data = store.run(run)
        if data is None:
            continue  # another run may remove old ones meanwhile
        try:
            found = _parsed(store, run, data)
        except StateError as error:
            errors.append(error)
        else:
            yield found


def _parsed(store: Store, run: str, data: bytes) -> RunRecord:
    try:
        return stored_run(data)
    except StateError as error:
        raise StateError(f"{store.location}: run {run}: {error}", error.hint) from error


def _parted(asked: str) -> tuple[str, str | None]:
    """Address and field of `ADDRESS.FIELD`; names of manifests have no dots."""
    if not asked:
        return "", None
    address, dot, field = asked.partition(".")
    if "/" not in address or (dot and not field):
        raise UsageError(
            f"{asked} is not an address",
            "Write kind/name, such as email-smtp/prod-relay, or add a field: "
            "email-smtp/prod-relay.port",
        )
    return address, field.removeprefix("spec.").removeprefix("extra.") if dot else None
