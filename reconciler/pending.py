"""Which monitors pending creates have made.

A create has no key of its own: if its answer is lost, nobody knows whether the monitor was made, or
will be. So before the first request of a run, the state takes down what each create would send, and
which ids AlertSite had. Afterwards a monitor is taken for what a pending create made only if

- its id was not there before, and nothing is bound to it;
- it is of the kind, and its name is the one that was sent, in any spelling (`model.folded`); or,
  where no other monitor has it, the name's beginning: servers may cut long names;
- it watches what was sent (`TARGETS`), as far as AlertSite shows that;
- it is the only such monitor, and no other pending create could have made it.

It is bound only while a manifest asks for it. That it is not there yet proves nothing until the
grace is over, which is longer than an answer may keep us waiting; only then is the create as good
as never sent. Whoever waits measures the grace by his own clock, from when the other run was
certainly over: nobody else's clock is trusted.

Rule: values and a pure function; no I/O, clock or environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.model import Kind, folded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from reconciler.model import Live
    from reconciler.state import PendingCreate, State

TARGETS = ("hostname", "smtp_hostname", "pop3_hostname", "email")
"""The fields that say what a monitor watches."""
_SHORTEST_CUT = 16


class Resolution(NamedTuple):
    """What became of pending creates, as far as one observation tells.

    Attributes:
        found: by address, the monitor that the create made; a manifest asks for it.
        leftover: the same where no manifest asks for it any more.
        ambiguous: by address, the monitors any of which it may have made.
        missing: those of which nothing is seen.
    """

    found: Mapping[str, int]
    leftover: Mapping[str, int]
    ambiguous: Mapping[str, tuple[int, ...]]
    missing: tuple[str, ...]


def resolve_pending_creates(
    state: State,
    live: Iterable[Live],
    kinds: Mapping[str, Kind],
    named: Collection[int],
    asked: Collection[str],
) -> Resolution:
    """What became of the pending creates of a state.

    Args:
        state: with its pending creates.
        live: every monitor that AlertSite was seen to have.
        kinds: the kinds, by name.
        named: ids that manifests name.
        asked: the addresses of the manifests that are bound to nothing.
    """
    if not state.pending_creates:
        return Resolution({}, {}, {}, ())
    bound = {record.id for record in state.records.values()}.union(named)
    free = [monitor for monitor in live if monitor.id not in bound]
    exact: dict[str, set[int]] = {}
    cut: dict[str, set[int]] = {}
    for address, pending in state.pending_creates.items():
        name = address.partition("/")[0]
        kind = kinds.get(name) or Kind(name, {})
        before = set(state.ids_before.get(pending.run, ()))
        new = [item for item in free if item.id not in before and _could_be(item, pending, kind)]
        wanted = folded(pending.body.get("name"))
        exact[address] = {item.id for item in new if folded(item.fields.get("name")) == wanted}
        cut[address] = {item.id for item in new if _is_cut(item, wanted)}
    taken = {number for ids in exact.values() for number in ids}
    candidates = {address: ids or cut[address] - taken for address, ids in exact.items()}
    exactly_one = {address: ids for address, ids in candidates.items() if len(ids) == 1}
    claims = [number for ids in candidates.values() for number in ids]
    made = {
        address: number
        for address, ids in exactly_one.items()
        for number in ids
        if claims.count(number) == 1
    }
    return Resolution(
        found={address: number for address, number in made.items() if address in asked},
        leftover={address: number for address, number in made.items() if address not in asked},
        ambiguous={
            address: tuple(sorted(ids))
            for address, ids in candidates.items()
            if ids and address not in made
        },
        missing=tuple(sorted(address for address, ids in candidates.items() if not ids)),
    )


def _could_be(monitor: Live, pending: PendingCreate, kind: Kind) -> bool:
    """Whether the monitor is of the kind and watches what was sent."""
    if monitor.type not in {kind.name, None}:
        return False
    for name in TARGETS:
        field, has = kind.field(name), monitor.fields.get(name)
        is_shown = name in pending.body and field.normalise(has) is not None
        if is_shown and field.text(has) != field.text(pending.body[name]):
            return False
    return True


def _is_cut(monitor: Live, wanted: str) -> bool:
    """Whether the monitor's name is the beginning of the one that was sent."""
    has = folded(monitor.fields.get("name"))
    return len(has) >= _SHORTEST_CUT and wanted.startswith(has)
