"""What became of a command in each of several accounts, and of all of them together.

Rule: values and pure functions. What happens in one account stays there: it has an exit code of its
own, and the others have theirs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from reconciler.core import json_text
from reconciler.core.overview import Overview
from reconciler.core.plan import Plan, others_have
from reconciler.core.report import Report
from reconciler.core.result import Result
from reconciler.core.safety import HARD_LIMIT
from reconciler.errors import ExitCode, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.core.accounts import Shard
    from reconciler.core.model import JSON
    from reconciler.core.safety import Budget


_Number = TypeVar("_Number", int, float)
_NAMED = 10
"""So many accounts are named by a refusal; the plans above it name all."""
_DIGITS = 6
"""Behind the point, as a report has them."""

FORMAT_VERSION = "1.3"
"""Of the JSON: the minor number grows with additions, the major with anything else."""


class PartStatus(StrEnum):
    """What became of one account; in this order a person wants to read of them."""

    FAILED = "failed"
    PARTIAL = "partial"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    NOT_STARTED = "not-started"
    CHANGES = "changes"
    DONE = "done"


_STATUSES = {
    ExitCode.OK: PartStatus.DONE,
    ExitCode.CHANGES: PartStatus.CHANGES,
    ExitCode.REFUSED: PartStatus.REFUSED,
    ExitCode.PARTIAL: PartStatus.PARTIAL,
    ExitCode.INTERRUPTED: PartStatus.INTERRUPTED,
}
_ORDER = list(PartStatus)
_GOOD = (ExitCode.OK, ExitCode.CHANGES)


class PartResult(NamedTuple):
    """What became of a command in one account.

    Attributes:
        operation: the name of the command.
        exit_code: that of the command for this account alone; None if it was not started.
        message: why it is not done; empty if it is.
        seconds: how long it took.
        changes: by action; planned ones of a plan, those that are done of an apply.
        tally: what a report counts, by the fields of its `Tally`, or a status; nothing of another
            command.
        note: what a status says beside its numbers.
        plan: the digest of the plan that was made; empty if none was.
        digests: of the parts of that plan.
        asks: whether there is anything to be approved in it.
        losses: how many monitors lose monitoring by that plan.
        lost: with those that have lost some within 24 hours.
        managed: how many there are.
        limit: how many of them may, by the budget of the account; None of what is no plan.
        ceiling: how many may whatever options say; None if nothing limits that.
        progress: what the command says for this account alone before it prints anything.
        text: what it prints.
        is_json: whether that is a JSON document.
        talk: what it says after that.
        formats: what it shows in formats that are combined into one file, by their names.
        part: the file that holds this; empty if none does.
    """

    account: str
    operation: str
    exit_code: int | None
    message: str = ""
    seconds: float = 0.0
    changes: Mapping[str, int] = {}
    tally: Mapping[str, float] = {}
    note: str = ""
    plan: str = ""
    digests: tuple[str, ...] = ()
    asks: bool = False
    losses: int = 0
    lost: int = 0
    managed: int = 0
    limit: int | None = None
    ceiling: int | None = None
    progress: str = ""
    text: str = ""
    is_json: bool = False
    talk: str = ""
    formats: Mapping[str, str] = {}
    part: str = ""

    @property
    def status(self) -> PartStatus:
        """What became of it, in a word."""
        if self.exit_code is None:
            return PartStatus.NOT_STARTED
        return _STATUSES.get(ExitCode(self.exit_code), PartStatus.FAILED)

    @property
    def is_good(self) -> bool:
        """Whether all went as it was asked for."""
        return self.exit_code in _GOOD

    @property
    def is_above_ceiling(self) -> bool:
        """Whether it is a plan that apply refuses for what it loses, whatever options say."""
        return bool(self.losses) and self.ceiling is not None and self.lost > self.ceiling

    @property
    def is_over(self) -> bool:
        """Whether it is a plan that apply refuses for what it loses, unless an option allows it."""
        return bool(self.losses) and self.limit is not None and self.lost > self.limit

    @property
    def is_in_table(self) -> bool:
        """Whether its line in the roll-up is enough, so that its own text is not printed."""
        match self.operation:
            case "status":
                return self.is_good
            case "drift":
                return self.exit_code == ExitCode.OK
            case "plan" | "apply":
                return self.is_good and not self.asks and not any(self.changes.values())
        return False

    def showing(self, value: object) -> PartResult:
        """The result with the numbers of what the command has shown."""
        match value:
            case Plan():
                return self._replace(
                    changes=value.counts,
                    plan=value.digest,
                    digests=value.digests,
                    asks=value.is_something,
                    losses=len(value.coverage.losses),
                    lost=value.coverage.total,
                    managed=value.coverage.managed,
                    limit=value.coverage.allowance.limit,
                    ceiling=value.coverage.allowance.ceiling,
                )
            case Result():
                return self._replace(changes=value.counts)
            case Report():
                return self._replace(tally=value.total._asdict())
            case Overview():
                return self._replace(changes=value.plan.counts, tally=value.tally, note=value.note)
        return self

    def in_format(self, name: str) -> PartResult:
        """The result with what was shown in a format; nothing of what was shown in others only."""
        if name not in self.formats and name == ("json" if self.is_json else "text"):
            return self
        text = self.formats.get(name, "")
        return self._replace(text=text, is_json=bool(text) and name == "json")

    def to_json(self) -> dict[str, JSON]:
        """The result as a file keeps it."""
        return {"format_version": FORMAT_VERSION, **self._asdict()}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> PartResult:
        """What `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it gave something else, or is of another major version.
        """
        major, _, _ = FORMAT_VERSION.partition(".")
        if str(data["format_version"]).partition(".")[0] != major:
            raise ValueError(data["format_version"])
        # Files of 1.0 to 1.2 do not have all of these.
        data = {"tally": {}, "note": "", "limit": None, "ceiling": None, **data}
        found = json_text.decoded(_EXAMPLE, {name: data[name] for name in cls._fields})
        if found.exit_code is not None:
            ExitCode(found.exit_code)
        if found.is_json:
            json_text.read(found.text.encode())
        return found

    def shown(self) -> dict[str, JSON]:
        """The line of the roll-up, as `schemas/rollup.schema.json` describes it."""
        found: dict[str, JSON] = {
            "account": self.account,
            "status": self.status.value,
            "exit_code": self.exit_code,
            "message": self.message,
            "changes": self.changes,
            "tally": self.tally,
            "losses": self.losses,
            "budget": self.limit,
            "over_budget": self.is_over,
            "plan": self.plan or None,
            "seconds": round(self.seconds, 3),
            "part": self.part or None,
        }
        return found | ({"value": json_text.read(self.text.encode())} if self.is_json else {})


_EXAMPLE = PartResult(
    "",
    "",
    None,
    changes={"": 0},
    tally={"": 0.0},
    digests=("",),
    limit=0,
    ceiling=0,
    formats={"": ""},
)


def exit_code_of_all(codes: Iterable[int | None]) -> ExitCode:
    """The exit code of several accounts by theirs, where None is one that was not started.

    It is 130 if one was interrupted; else the code that all have; 7 if some are good and others
    not. Of accounts without a fault 2 counts more than 0: there are changes.
    """
    found = set(codes)
    if ExitCode.INTERRUPTED in found:
        return ExitCode.INTERRUPTED
    if found <= set(_GOOD):
        return ExitCode.CHANGES if ExitCode.CHANGES in found else ExitCode.OK
    (first, *others) = found
    if others or first is None:
        return ExitCode.PARTIAL
    return ExitCode(first)


class RollUp(NamedTuple):
    """What became of a command in all accounts that it was about.

    Attributes:
        interrupted: a person or the system wanted it to end.
        limit: how many monitors may lose monitoring together by plans; None if that is not known,
            or not limited.
        ceiling: how many may whatever options say; None if that is not known, or not limited.
    """

    operation: str
    parts: tuple[PartResult, ...]
    interrupted: bool = False
    limit: int | None = None
    ceiling: int | None = None

    def in_format(self, name: str) -> RollUp:
        """The roll-up with what each part has shown in a format, on stdout or beside that."""
        return self._replace(parts=tuple(item.in_format(name) for item in self.parts))

    @property
    def by_urgency(self) -> tuple[PartResult, ...]:
        """All of them, the failed ones first, then those over their budget, and by name."""
        return tuple(
            sorted(
                self.parts,
                key=lambda item: (_ORDER.index(item.status), not item.is_over, item.account),
            )
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many accounts have which status."""
        found = [item.status for item in self.parts]
        return {status.value: found.count(status) for status in PartStatus if status in found}

    @property
    def changes(self) -> dict[str, int]:
        """Those of all accounts together, by action."""
        return _summed(item.changes for item in self.parts)

    @property
    def losses(self) -> int:
        """How many monitors lose monitoring by the plans of all accounts."""
        return sum(item.losses for item in self.parts)

    @property
    def is_over(self) -> bool:
        """Whether apply refuses all of the plans for what they lose together.

        Those that it refuses alone do not count; see `refuse_unsafe`.
        """
        return self._loses_more_than(self.limit) or self.is_above_ceiling

    @property
    def is_above_ceiling(self) -> bool:
        """Whether apply refuses all of the plans for what they lose, whatever options say."""
        return self._loses_more_than(self.ceiling)

    def _loses_more_than(self, limit: int | None) -> bool:
        counted = [item for item in self.parts if item.is_good and not item.is_over]
        lost = sum(item.lost for item in counted) if any(it.losses for it in counted) else 0
        return limit is not None and lost > limit

    @property
    def tally(self) -> dict[str, float]:
        """What the reports of all accounts count together."""
        return _summed(item.tally for item in self.parts)

    @property
    def exit_code(self) -> ExitCode:
        """130 if interrupted, else as `exit_code_of_all` says."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return exit_code_of_all(item.exit_code for item in self.parts)

    def to_json(self) -> dict[str, JSON]:
        """The roll-up as `schemas/rollup.schema.json` describes it."""
        return {
            "format_version": FORMAT_VERSION,
            "operation": self.operation,
            "interrupted": self.interrupted,
            "exit_code": int(self.exit_code),
            "summary": self.counts,
            "changes": self.changes,
            "losses": self.losses,
            "budget": min(
                (it for it in (self.limit, self.ceiling) if it is not None), default=None
            ),
            "over_budget": self.is_over,
            "tally": self.tally,
            "accounts": [item.shown() for item in self.by_urgency],
        }


def _summed(counts: Iterable[Mapping[str, _Number]]) -> dict[str, _Number]:
    found: dict[str, _Number] = {}
    for names in counts:
        for name, number in names.items():
            found[name] = round(found.get(name, 0) + number, _DIGITS)
    return found


def limit_together(
    parts: Sequence[PartResult], budget: Budget | None, shard: Shard | None = None
) -> int | None:
    """How many monitors these plans may lose together; None for no limit beside their own.

    Args:
        parts: the plans, and what is done of the same run.
        budget: of all accounts; None if they have none together.
        shard: which part of the accounts these are; None if they are all.
    """
    if budget is None:
        return None
    managed = sum(item.managed for item in parts)
    return shard.limit(budget, managed) if shard else budget.limit(managed)


def refuse_unsafe(
    parts: Sequence[PartResult],
    budget: Budget | None,
    allow_loss: int | None,
    shard: Shard | None = None,
    before: Sequence[PartResult] = (),
    ceiling: Budget | None = None,
) -> None:
    """Stops before anything is sent if the plans together lose too much.

    A plan that is over the budget of its own account loses nothing: its apply is refused, and that
    is no reason not to apply the others.

    Args:
        parts: the plans.
        budget: how much all accounts together may lose; None for no limit beside their own.
        allow_loss: how many monitors may lose monitoring in this run instead, budget or not.
        shard: which part of the accounts these are; None if they are all.
        before: what an earlier attempt at the same run has done; it is not done again, but counts.
        ceiling: how much all accounts together may lose whatever options say; None for no limit.

    Raises:
        RefusedError: naming the accounts, and what lifts the guard.
    """
    everything = (*parts, *before)
    count = sum(item.losses for item in everything)
    alone = [it.is_over if allow_loss is None else it.is_above_ceiling for it in parts]
    together = [item for item, is_alone in zip(parts, alone, strict=True) if not is_alone]
    losing = (*together, *before)
    counted = sum(item.lost for item in losing)
    share = f"shard {shard}'s part of " if shard else ""
    hint = f"If this is intended, allow it for this run with --allow-loss {count}."
    limit = limit_together(everything, ceiling, shard)
    if limit is not None and counted > limit:
        what, hint = f"{share}RECONCILER_BUDGET", HARD_LIMIT
    elif allow_loss is None:
        limit = limit_together(everything, budget, shard)
        what = f"{share}the budget under [fleet]"
    else:
        together, losing = [*parts], everything
        counted, limit, what = count, allow_loss, "--allow-loss"
    if limit is None or counted <= limit or not any(item.losses for item in together):
        return
    where = [f"{item.account} {item.losses}" for item in losing if item.losses]
    more = f" and {len(where) - _NAMED} more" if len(where) > _NAMED else ""
    lost, managed = sum(it.losses for it in losing), sum(it.managed for it in everything)
    have = others_have(counted - lost)
    recent = f", {have} lost some in the last 24 hours" if have else ""
    raise RefusedError(
        f"{lost} of {managed} monitors in all accounts would lose monitoring "
        f"({', '.join(where[:_NAMED])}{more}){recent}, and {what} is {limit}: nothing is applied",
        hint,
    )
