"""What a watcher has seen of each account, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.printable import Lines, joined, printable

if TYPE_CHECKING:
    from reconciler.core.watch import Round, Seen


def round_text(found: Round) -> Lines:
    """A line for each account, and one before them if the manifests are in doubt."""
    lines = [f"{found.at} {printable(found.problem)}; nothing is applied"] if found.problem else []
    return joined(
        [*lines, *(f"{item.at} {item.account}: {seen_text(item)}" for item in found.seen)]
    )


def seen_text(seen: Seen) -> str:
    """How an account is, in a phrase."""
    counts = (
        (seen.applied, "applied"),
        (seen.drifted, "drifted"),
        (seen.edits, "to apply"),
        (seen.losses, f"lose monitoring{' (over the budget)' if seen.is_over else ''}"),
        (seen.held, "held"),
        (seen.refused, "refused"),
    )
    words = [f"{number} {name}" for number, name in counts if number]
    if seen.message:
        reason = printable(seen.message.split("\n")[0])
        words.insert(0, f"failed with {seen.exit_code}: {reason}")
    if seen.is_seen:
        words.append(f"{seen.unchanged} unchanged")
    return ", ".join(words)
