"""What became of a command in several accounts: as a table, and as one Markdown document."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from reconciler.core.accounts import ALL
from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.rollup import PartStatus
from reconciler.render.reports import TALLIED
from reconciler.render.text import duration, paint, quantity
from reconciler.render.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.core.rollup import PartResult, RollUp


_SYMBOLS = {PartStatus.DONE: "+", PartStatus.CHANGES: "~"}
_COUNTED = {"not-started": "not started", "changes": "with changes"}
"""What a number of accounts is called, where that is not the word of one."""
_LIMIT = 64_000
"""Bytes that a comment takes, with room for what is around it."""


def heading(part: PartResult) -> Lines:
    """What stands above the part of one account."""
    return joined(["", f"Account {part.account}"])


def rollup_text(rollup: RollUp, *, colour: bool = False) -> Lines:
    """A line for each account, the failed ones first, and how many have which status."""
    rows = [*_rows(rollup)]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    lines = [""]
    for part, row in zip_longest((None, *rollup.by_urgency), rows):
        name, status, *cells, more = row
        first, second, *others = widths
        shown = f"{status:<{second}}"
        if part is not None:
            symbol = "!" if _over(rollup, part) else _SYMBOLS.get(part.status, "!")
            shown = paint(shown, symbol, colour=colour)
        numbers = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, others, strict=True))
        lines.append(f"{name:<{first}}  {shown}  {numbers}  {printable(more)}".rstrip())
    lines += _totals(rollup)
    if any(_refused(rollup)):
        lines[-1] = paint(lines[-1], "!", colour=colour)
    return joined(lines, colour=colour)


def rollup_markdown(rollup: RollUp, limit: int = _LIMIT) -> Lines:
    """The table, and under it what each account shows, as much as there is room for.

    How long it took is not in it, so that the same outcome is the same text.
    """
    head, *rows = ([*cells, more] for *cells, _, more in _rows(rollup))
    total, *more = _totals(rollup)
    lines = [f"**{total}**", ""]
    if any(_refused(rollup)):
        more[-1] = f"**{more[-1]}**"
    for line in more:
        lines += [line, ""]
    lines += [_row(head), f"|{' --- |' * len(head)}", *map(_row, rows)]
    room = limit - _size(lines)
    left_out = 0
    for part in rollup.by_urgency:
        if not part.text.strip():
            continue
        over = _over(rollup, part)
        title = [f"{part.account}: {_word(rollup, part.status)}"]
        if rollup.operation == "plan" and part.losses:
            title.append(_lose(part.losses))
        title += [over] if over else []
        tag = "details open" if over else "details"
        section = ["", f"<{tag}><summary>{', '.join(title)}</summary>", "", *_lines(part.text)]
        section += ["", "</details>"]
        if _size(section) > room:
            left_out += 1
            continue
        room -= _size(section)
        lines += section
    if left_out:
        are = quantity(left_out, "account is", "accounts are")
        lines += ["", f"Too long to show all: {are} left out."]
    return joined(lines)


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def rollup_sections(rollup: RollUp) -> Lines:
    """What each account shows, one after the other, and the table."""
    lines = [
        line
        for part in rollup.parts
        if part.text
        for line in (*heading(part).split("\n"), *_lines(part.text))
    ]
    return joined([*lines, *rollup_text(rollup).split("\n")])


def part_text(text: str) -> Lines:
    """What a part has printed, wherever that was: each line safe to print."""
    return joined(_lines(text))


def _lines(text: str) -> Sequence[str]:
    return text.rstrip("\n").split("\n")


def _rows(rollup: RollUp) -> Iterator[list[str]]:
    """The cells of the table, with its heading; columns that nobody fills are left out.

    Of numbers there is a last row, with what all accounts have together.
    """
    actions = tuple(Action) if rollup.changes else ()
    loses = rollup.operation == "plan" and rollup.losses > 0
    tallied = [name for name in (*TALLIED, "silenced", "credits") if name in rollup.tally]

    def numbers(of: PartResult | RollUp) -> Iterator[str]:
        yield from (str(of.changes.get(action.value, "-")) for action in actions)
        if loses:
            yield str(of.losses) if of.changes else "-"
        yield from (
            f"{of.tally[name]:,.{1 if name == 'credits' else 0}f}" if name in of.tally else "-"
            for name in tallied
        )

    heads = [VERBS[action].word for action in actions]
    heads += ["lost monitoring"] if loses else []
    heads += [f"{name}/day" if name == "credits" else name for name in tallied]
    yield ["account", "status", *heads, "time", ""]
    for item in rollup.by_urgency:
        took = "-" if item.exit_code is None else duration(item.seconds)
        told = (item.message.split("\n")[0], item.note, _over(rollup, item))
        more = "; ".join(filter(None, told))
        if item.part:
            more = f"{more} ({item.part})" if more else item.part
        yield [item.account, _word(rollup, item.status), *numbers(item), took, more]
    if heads and len(rollup.parts) > 1:
        yield [ALL, "", *numbers(rollup), "", ""]


def _word(rollup: RollUp, status: PartStatus) -> str:
    """A status for people: what is only planned must not look as if it were done."""
    return "planned" if rollup.operation == "plan" and status is PartStatus.DONE else status.value


def _row(cells: Sequence[str]) -> str:
    """A row of a table; a cell from outside is code, so that it can be nothing else."""
    *cells, last = cells
    code = last.replace("`", "'").replace("|", "/")
    return f"| {' | '.join([*cells, f'`{code}`' if code else ''])} |"


def _over(rollup: RollUp, part: PartResult) -> str:
    """That apply refuses the plan of an account for what it loses; empty if it does not."""
    if rollup.operation != "plan" or not part.is_over:
        return ""
    if part.is_above_ceiling:
        return f"over the hard limit of {part.ceiling:,} (RECONCILER_BUDGET): apply refuses it"
    return f"over the budget of {part.limit:,}: apply refuses it"


def _totals(rollup: RollUp) -> Iterator[str]:
    """How many accounts have which status; of plans also what a single one says at its end."""
    words = ", ".join(
        f"{number} {_COUNTED.get(word, word)}"
        for name, number in rollup.counts.items()
        for word in [_word(rollup, PartStatus(name))]
    )
    yield f"{quantity(len(rollup.parts), 'account')}: {words}."
    if rollup.operation == "drift" and all(part.is_in_table for part in rollup.parts):
        yield "No drift."
    if rollup.operation != "plan" or not rollup.changes:
        return
    if any(rollup.changes.values()) or not all(part.is_good for part in rollup.parts):
        counts = (f"{rollup.changes.get(it.value, 0):,} to {VERBS[it].word}" for it in Action)
        yield f"Plan: {', '.join(counts)}."
    else:
        yield "No changes."
    if rollup.losses:
        yield "; ".join([f"Coverage: {_lose(rollup.losses)}", *_refused(rollup)])


def _lose(monitors: int) -> str:
    return f"{quantity(monitors, 'monitor loses', 'monitors lose')} monitoring"


def _refused(rollup: RollUp) -> Iterator[str]:
    """What apply refuses for what plans lose, and what allows it."""
    if rollup.operation != "plan":
        return
    allowed = f"without --allow-loss {rollup.losses}"
    if rollup.is_above_ceiling:
        limit = f"the hard limit of {rollup.ceiling:,} (RECONCILER_BUDGET) for all accounts"
        yield f"over {limit}: apply refuses all of them, and no option allows it"
    elif rollup.is_over:
        limit = f"the budget of {rollup.limit:,} for all accounts"
        yield f"over {limit}: apply refuses all of them {allowed}"
    above = sum(part.is_above_ceiling for part in rollup.parts)
    over = sum(part.is_over for part in rollup.parts) - above
    for count, limit, unless in (
        (over, "budget", f" {allowed}"),
        (above, "hard limit (RECONCILER_BUDGET)", ", and no option allows it"),
    ):
        if count:
            its, it = ("its", "it") if count == 1 else ("their", "them")
            who = quantity(count, "account is", "accounts are")
            yield f"{who} over {its} {limit}: apply refuses {it}{unless}"
