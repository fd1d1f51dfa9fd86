"""The safety budget: who loses monitoring by a plan, how much of that is allowed, and the refusal.

Rule: pure functions of a plan's parts, the state and the settings; no I/O, clock or environment.

**What counts** is said by `x-coverage` in the schemas, for every field that a manifest can write:
`none`, or a cause and when it is one, as in `disabled when false`. Words for "when" are the keys of
`_WHEN`. Every change of a field is judged by AlertSite's value and the one that it is to have: who
moved, and why, does not matter, since what is lost is lost. A value that AlertSite does not show is
taken for a better one, as the account's defaults may be. Fields that no schema knows (`extra`)
count if they look like a switch; see `_is_switched_off`. Or if they are another spelling of one
that a schema knows: nobody knows whether AlertSite takes `Hostname` for `hostname`. A monitor
counts once, however much it loses.

**Whom the share is of.** Of the monitors that are there and have a manifest, and of those that are
lost. Neither orphans that stay, nor manifests whose monitor is still to be made, make the fleet
larger than what can be lost; nor does a change of kind, which has one of each. Nor do monitors that
this very plan binds, since a commit would so bring its own permission; unless the state knows none
at all.

**How much is allowed** is the smallest of three budgets, and one monitor may always be lost unless
a number is zero. The project's own; the one that the last apply was held to, so that a raised limit
does not count for the change that it came with; and a ceiling that the environment sets, which
nothing in the repository can raise, not even `--allow-loss`. What earlier runs took away within 24
hours counts too: many small runs are held to what one large run is.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize

from reconciler.core.cost import COST_FIELDS, credits_per_day, number, per_day, regions_of
from reconciler.core.model import SECRET_REF, boolean, mappings_in
from reconciler.core.plan import (
    Action,
    BudgetLimits,
    Coverage,
    Loss,
    Measurements,
    NoteCode,
    Reason,
)
from reconciler.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.diff import FieldChange
    from reconciler.core.inventory import Inventory
    from reconciler.core.model import JSON, Desired, Kind, Live
    from reconciler.core.plan import Change, Note
    from reconciler.core.state import Lost, Record, State


NONE = "none"
_SCALE = 4
"""So many times longer or shorter a timeout is another one than anybody needs from day to day."""
_SHORT, _LONG = 5, 300
"""Seconds. A timeout beyond them makes a check that can hardly succeed, or hardly fail: so many
small steps do not lead where one large step must not."""
_NAMED = 10
"""So many monitors are named by a refusal; the plan above it names all."""


HARD_LIMIT = (
    "RECONCILER_BUDGET is a hard limit that no flag overrides: apply changes that lose "
    "fewer monitors within 24 hours, or ask the owner of RECONCILER_BUDGET to raise it."
)


class Budget(NamedTuple):
    """How many monitors may lose monitoring within 24 hours.

    Attributes:
        monitors: at most so many.
        percent: and at most this share of the fleet, but one of a fleet however small.
    """

    monitors: int = 10
    percent: int = 30

    def limit(self, managed: int) -> int:
        """How many that is for a fleet of that size."""
        share = max(1, managed * self.percent // 100) if self.percent else 0
        return min(self.monitors, share)


def budget_together(own: Iterable[Budget]) -> Budget:
    """How many monitors accounts may lose together, if no setting says that.

    As many as one account, or as the most generous of their own budgets would allow of all.
    """
    return Budget(*map(max, Budget(), *own))


class Budgets(NamedTuple):
    """The budgets that are set outside of the state.

    Attributes:
        configured: the project's.
        ceiling: what no file of the project can raise; None if it is not set.
    """

    configured: Budget = Budget()
    ceiling: Budget | None = None


class Terms(NamedTuple):
    """All that a plan's losses are held against.

    Attributes:
        last_apply: what the last apply was held to; None if the state does not say.
        recent: what was lost within 24 hours.
    """

    budgets: Budgets = Budgets()
    last_apply: Budget | None = None
    recent: tuple[Lost, ...] = ()

    def allowance(self, managed: int) -> BudgetLimits:
        """How many that allows of a fleet of that size."""
        ceiling = self.budgets.ceiling
        return BudgetLimits(
            self.budgets.configured.limit(managed),
            None if self.last_apply is None else self.last_apply.limit(managed),
            None if ceiling is None else ceiling.limit(managed),
        )


def terms(budgets: Budgets, state: State, since: str) -> Terms:
    """What losses are held against; `since` is 24 hours ago, RFC 3339 UTC."""
    last = Budget(**state.budget) if state.budget else None
    recent = [item for item in state.losses.values() if item.at > since]
    return Terms(budgets, last, tuple(sorted(recent, key=lambda item: (item.address, item.id))))


def next_budget(coverage: Coverage, configured: Budget, last: Mapping[str, int]) -> Budget:
    """The budget that the next apply is held to, beside the one that is set then.

    A raised limit counts from the apply after one that did not need it.
    """
    before = coverage.allowance.last_apply
    if before is None or not coverage.losses or coverage.total <= before:
        return configured
    return Budget(*map(min, configured, Budget(**last)))


# Who loses monitoring


def coverage(
    changes: Iterable[Change],
    notes: Iterable[Note],
    targeted: Iterable[Desired],
    inventory: Inventory,
    terms: Terms,
) -> Coverage:
    """What a plan does to monitoring; `targeted` are its manifests but those that are refused."""
    losses: dict[str, Loss] = {}
    measured = Measurements()
    changes = tuple(changes)
    regions = regions_of(inventory.by_id.values()) if changes else {}
    for change in changes:
        manifest = inventory.by_address.get(change.address)
        live = inventory.by_id.get(change.id) if change.id is not None else None
        loss = _of_change(change, manifest, live, inventory.records.get(change.address))
        if loss is not None:
            losses[change.address] = loss
        measured = _added(measured, change, live, regions)
    for loss in (*_of_releases(notes, inventory), *_of_ignoring(targeted, inventory)):
        if one := losses.get(loss.address):
            together = tuple(sorted({*one.causes, *loss.causes}))
            fields = dict(sorted({**one.fields, **loss.fields}.items()))
            losses[loss.address] = one._replace(causes=together, fields=fields)
        else:
            losses[loss.address] = loss
    lost = {item.id for item in losses.values()} | {item.id for item in terms.recent}
    fleet = inventory.claimed.keys() & inventory.by_id.keys()
    if known := {record.id for record in inventory.records.values()}:
        fleet &= known
    managed = len(fleet | lost)
    return Coverage(
        managed,
        tuple(losses[address] for address in sorted(losses)),
        measured,
        terms.recent,
        terms.allowance(managed),
    )


def _of_change(
    change: Change, manifest: Desired | None, live: Live | None, record: Record | None
) -> Loss | None:
    labels = manifest.labels if manifest else {}
    if change.action is Action.CREATE:
        if change.reason is not Reason.DELETED_OUTSIDE or record is None:
            return None
        return Loss(change.address, record.id, ("vanished",), {}, labels)
    assert change.id is not None
    if change.action is Action.DELETE:
        return Loss(change.address, change.id, ("deleted",), {}, labels)
    if manifest is None:  # a monitor without manifest is only ever changed to retire it
        return Loss(change.address, change.id, ("disabled",), {"enabled": "disabled"})
    has = live.fields if live else {}
    found = causes(manifest.kind, change.fields, has, {**has, **change.body})
    return _loss(change.address, change.id, found, labels) if found else None


def _of_releases(notes: Iterable[Note], inventory: Inventory) -> Iterator[Loss]:
    """Fields that manifests no longer name, and that stay worse than they were known to be."""
    for note in notes:
        if note.code is not NoteCode.RELEASED or note.field is None or note.id is None:
            continue
        if note.name == "worse":  # it has counted when it was left
            continue
        manifest = inventory.by_address[note.address]
        record = inventory.records[note.address]
        has = inventory.by_id[note.id].fields.get(note.field)
        prior = record.prior.get(note.field)
        was = record.fields.get(note.field) if prior is None else prior.value
        if is_left_worse(manifest.kind, note.field, was, has):
            yield _loss(note.address, note.id, {note.field: "released"}, manifest.labels)


def _of_ignoring(targeted: Iterable[Desired], inventory: Inventory) -> Iterator[Loss]:
    """Fields that cost when they move, and that nobody looks at from now on, or for longer."""
    for manifest in targeted:
        record = inventory.records.get(manifest.address)
        if record is None or not manifest.lifecycle.ignore:
            continue
        found = {
            item.field: "ignored"
            for item in manifest.lifecycle.ignore
            if item.until > record.ignore.get(item.field, "") and _costs(manifest.kind, item.field)
        }
        if found and record.id in inventory.by_id:
            yield _loss(manifest.address, record.id, found, manifest.labels)


def _loss(address: str, number: int, fields: Mapping[str, str], labels: Mapping[str, str]) -> Loss:
    return Loss(address, number, tuple(sorted(set(fields.values()))), dict(fields), labels)


def causes(
    kind: Kind,
    fields: Iterable[FieldChange],
    has: Mapping[str, JSON],
    becomes: Mapping[str, JSON],
) -> dict[str, str]:
    """By field, how monitoring is lost by these changes of a monitor.

    `has` are all of its fields before them, `becomes` those after. One that is measured no
    less often than before is not thinned.
    """
    found: dict[str, str] = {}
    for item in fields:
        if item.sent_with is not None:
            continue
        rule = _rule(kind, item.field)
        if rule is None and _is_switched_off(item.field, item.before, item.after):
            found[item.field] = "switched-off"
            continue
        cause, _, when = (rule or _respelt(kind, item.field)).partition(" when ")
        if cause != NONE and _WHEN[when](item.before, item.after):
            found[item.field] = cause
    if "thinned" in found.values():
        was, will = per_day(has), per_day(becomes)
        if was is not None and will is not None and will >= was:
            found = {name: cause for name, cause in found.items() if cause != "thinned"}
    return found


def _rule(kind: Kind, name: str) -> str | None:
    """What the schema says of a field; None if it does not know the field."""
    field = kind.fields.get(name)
    return None if field is None else field.coverage


def _respelt(kind: Kind, name: str) -> str:
    """What the schema says of the field that an unknown one is another spelling of."""
    plain = _plain(name)
    rules = (field.coverage for known, field in kind.fields.items() if _plain(known) == plain)
    return next((rule for rule in rules if rule is not None), NONE)


def _plain(name: str) -> str:
    """What is the same of a name in each style: `HostName`, `host-name`, `host_name`."""
    return "".join(filter(str.isalnum, normalize("NFKC", name).casefold()))


def _costs(kind: Kind, name: str) -> bool:
    rule = _rule(kind, name)
    if rule is None and (_STOPS.search(name) or _GOES.search(name)):
        return True
    return (rule or _respelt(kind, name)) != NONE


def is_left_worse(kind: Kind, name: str, was: JSON, has: JSON) -> bool:
    """Whether a field that is no longer managed is worse for coverage than it was."""
    rule = _rule(kind, name)
    if rule is None and _is_switched_off(name, None, has):
        return True
    cause, _, when = (rule or _respelt(kind, name)).partition(" when ")
    if cause == NONE:
        return False
    field = kind.field(name)
    before, after = field.normalise(was), field.normalise(has)
    if when in {"false", "true"}:  # it is off, whoever turned it off
        return bool(_WHEN[when](None, after))
    return before is not None and not field.is_same(was, has) and _WHEN[when](before, after)


def _is_less(before: JSON, after: JSON) -> bool:
    was, will = number(before), number(after)
    return was is None or will is None or will < was


def _is_scaled(before: JSON, after: JSON) -> bool:
    was, will = number(before), number(after)
    if was is None or will is None or will > was * _SCALE or will * _SCALE < was:
        return True
    return will > max(was, _LONG) or will < min(was, _SHORT)


def _has_fewer(before: JSON, after: JSON) -> bool:
    was = _ids(before)
    return not was or bool(was - _ids(after))


_WHEN: Mapping[str, Callable[[JSON, JSON], bool]] = {
    "false": lambda before, after: after is False and before is not False,
    "true": lambda before, after: after is True and before is not True,
    "more": lambda before, after: _is_less(after, before),
    "less": _is_less,
    "fewer": _has_fewer,
    "other": lambda _before, _after: True,
    "scaled": _is_scaled,
}
"""When a change of a field costs: what it becomes, or how it moves, from what AlertSite has."""


# Fields that no schema knows

_STOPS = re.compile(
    "disabl|inactiv|paus|suspend|mute|muting|silen|snooz|mainten|stop|blackout|block|archiv|delet"
    "|skip|(?<!thres)hold|freez|frozen|downtime|sleep|exclud|ignor|suppress|off$|offline|standby"
    "|dormant|decommission|quiet",
    re.IGNORECASE,
)
"""Names of switches that stop a monitor, or its alerts, when they are on."""
_GOES = re.compile(
    "enabl|(?<!inter)activ|alert|notif|monitor(ing|ed)|running|^on$|status$|^state$", re.IGNORECASE
)
"""Names of switches without which a monitor, or its alerts, stop."""
_STILL = frozenset(
    {"off", "disabled", "inactive", "paused", "suspended", "stopped", "muted", "silenced"}
    | {"maintenance", "archived", "deleted", "offline", "standby", "dormant", "idle", "retired"}
)
"""What a status says of a monitor that does not run."""


def _is_switched_off(name: str, before: JSON, after: JSON) -> bool:
    """Whether the value of an unknown field looks as if it switched a monitor, or a part, off."""
    if isinstance(after, dict) and SECRET_REF in after:  # nobody can see what it holds
        return bool(_STOPS.search(name) or _GOES.search(name))
    # A part that is left out may be gone: nobody knows whether AlertSite keeps it.
    if isinstance(after, dict) and after and not _STOPS.search(name):
        was = before if isinstance(before, dict) else {}
        return any(_is_switched_off(key, was.get(key), after.get(key)) for key in {**was, **after})
    if isinstance(after, list) and after and not _STOPS.search(name):
        known = before if isinstance(before, list) else []
        return any(_is_switched_off(name, *pair) for pair in zip_longest(known, after))
    if before == after and type(before) is type(after):
        return False
    if _STOPS.search(name):
        return not _is_off(after)
    if isinstance(after, str) and after.strip().lower() in _STILL:
        return True
    is_unset = after is None or after in ("", [], {})
    return bool(_GOES.search(name)) and _is_off(after) and not (before is None and is_unset)


def _is_off(value: JSON) -> bool:
    if isinstance(value, str) and value.strip().lower() in {"off", "none", "never"}:
        return True
    return not value or boolean(value) is False


# Measurements


def _added(
    total: Measurements, change: Change, live: Live | None, regions: Mapping[int, int]
) -> Measurements:
    """The total with the change; one whose cost cannot be known is counted as unknown."""
    has = live.fields if live else {}
    becomes = {} if change.action is Action.DELETE else {**has, **change.body}
    was = per_day(has) if live else 0
    will = 0 if change.action is Action.DELETE else per_day(becomes)
    if was is None or will is None:
        may_differ = change.action is not Action.UPDATE or not COST_FIELDS.isdisjoint(change.body)
        return total._replace(unknown=total.unknown + may_differ)
    return Measurements(
        total.before + was,
        total.after + will,
        total.credits_before + (credits_per_day(has, regions) or 0),
        total.credits_after + (credits_per_day(becomes, regions) or 0),
        total.unknown,
    )


def _ids(value: JSON) -> set[int | None]:
    return {number(item.get("id")) for item in mappings_in(value)}


# How much is allowed

ALLOW_EMPTY = "--allow-empty"


def emptiness(described: int, recorded: int) -> str:
    """Why a fleet without manifests is refused; empty if it has some, or never had."""
    if described or not recorded:
        return ""
    monitors = "1 monitor" if recorded == 1 else f"{recorded:,} monitors"
    return f"there are no manifests, but the state has {monitors}"


def refuse_unsafe(
    coverage: Coverage,
    *,
    described: int,
    recorded: int,
    allow_loss: int | None = None,
    allow_empty: bool = False,
) -> None:
    """Stops before anything is sent if a plan loses too much.

    Args:
        coverage: what the plan does.
        described: how many manifests there are.
        recorded: how many monitors the state knows.
        allow_loss: how many monitors may lose monitoring in this run instead; None: as the budget.
        allow_empty: whether a fleet without manifests is meant.

    Raises:
        RefusedError: naming every guard, who would lose what, and what lifts the guard.
    """
    reasons: list[str] = []
    flags: list[str] = []
    hints: list[str] = []
    if not allow_empty and (reason := emptiness(described, recorded)):
        reasons.append(reason)
        flags.append(ALLOW_EMPTY)
    allowance, count = coverage.allowance, len(coverage.losses)
    if allow_loss is None:
        limit, counted = allowance.limit, coverage.total
    else:
        limit, counted = allow_loss, count
    is_above = coverage.is_above_ceiling
    is_too_much = is_above or (count > 0 and counted > limit)
    if is_too_much:
        what = f"the budget is {allowance.ceiling if is_above else limit:,}"
        if allow_loss is not None and not is_above:  # the plan names the budget
            what = f"--allow-loss allows {limit:,}, beside a budget of {allowance.limit:,}"
        counts = ", ".join(f"{count:,} {cause}" for cause, count in coverage.by_cause().items())
        have = coverage.others_have
        recent = f", {have} lost some in the last 24 hours" if have else ""
        reasons.append(
            f"{count:,} of {coverage.managed:,} monitors would lose monitoring ({counts}){recent}, "
            f"and {what}"
        )
        if is_above:
            hints.append(HARD_LIMIT)
        else:
            flags.append(f"--allow-loss {count}")
        if allow_loss is None and allowance.last_apply == limit < allowance.configured:
            reasons.append(
                f"reconciler.toml now allows {allowance.configured:,}, but a raised limit takes "
                "effect only after an apply that does not need it"
            )
    if not reasons:
        return
    if flags:
        hints.insert(0, f"If this is intended, allow it for this run with {' '.join(flags)}.")
    who = f". Affected: {_named(coverage.losses)}" if is_too_much else ""
    raise RefusedError(f"{'; '.join(reasons)}: nothing is applied{who}", " ".join(hints))


def _named(losses: Sequence[Loss]) -> str:
    names = [f"{loss.address} ({', '.join(loss.causes)})" for loss in losses[:_NAMED]]
    if len(losses) > _NAMED:
        names.append(f"and {len(losses) - _NAMED:,} more (--detail full lists them)")
    return ", ".join(names)
