"""What became of a command in several accounts: as a table, and as one Markdown document."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from reconciler.core.accounts import ALL
from reconciler.core.plan import Action
from reconciler.core.printable import Lines, joined, printable
from reconciler.core.rollup import PartStatus
from reconciler.render.reports import TALLIED
from reconciler.render.text import duration, paint
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
            shown = paint(shown, _SYMBOLS.get(part.status, "!"), colour=colour)
        numbers = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, others, strict=True))
        lines.append(f"{name:<{first}}  {shown}  {numbers}  {printable(more)}".rstrip())
    lines.append(_total(rollup))
    return joined(lines, colour=colour)


def rollup_markdown(rollup: RollUp, limit: int = _LIMIT) -> Lines:
    """The table, and under it what each account shows, as much as there is room for.

    How long it took is not in it, so that the same outcome is the same text.
    """
    head, *rows = ([*cells, more] for *cells, _, more in _rows(rollup))
    lines = [f"**{_total(rollup)}**", ""]
    lines += [_row(head), f"|{' --- |' * len(head)}", *map(_row, rows)]
    room = limit - _size(lines)
    left_out = 0
    for part in rollup.by_urgency:
        if not part.text.strip():
            continue
        title = f"{part.account}: {_word(rollup, part.status)}"
        section = ["", f"<details><summary>{title}</summary>", "", *_lines(part.text)]
        section += ["", "</details>"]
        if _size(section) > room:
            left_out += 1
            continue
        room -= _size(section)
        lines += section
    if left_out:
        noun = "account is" if left_out == 1 else "accounts are"
        lines += ["", f"Too long to show all: {left_out} {noun} left out."]
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
    tallied = (*TALLIED, "credits") if rollup.tally else ()

    def numbers(of: PartResult | RollUp) -> Iterator[str]:
        yield from (str(of.changes.get(action.value, "-")) for action in actions)
        yield from (
            f"{of.tally[name]:,.{1 if name == 'credits' else 0}f}" if name in of.tally else "-"
            for name in tallied
        )

    heads = [VERBS[action].word for action in actions]
    heads += [f"{name}/day" if name == "credits" else name for name in tallied]
    yield ["account", "status", *heads, "time", ""]
    for item in rollup.by_urgency:
        took = "-" if item.exit_code is None else duration(item.seconds)
        more = item.message.split("\n")[0]
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


def _total(rollup: RollUp) -> str:
    count = len(rollup.parts)
    noun = "account" if count == 1 else "accounts"
    words = ", ".join(
        f"{number} {_COUNTED.get(word, word)}"
        for name, number in rollup.counts.items()
        for word in [_word(rollup, PartStatus(name))]
    )
    return f"{count} {noun}: {words}."
