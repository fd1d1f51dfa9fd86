"""What lint found when a project began to use it, so that only what is new counts.

Rule: pure. A finding is known by its manifest, its code and its field: neither a line that moves
nor another wording of the message makes it new. A comment of a file is never known; it is fixed
where it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from reconciler.core.model import JSON
    from reconciler.errors import Diagnostic


class KnownFinding(NamedTuple):
    """What a finding is known by.

    Attributes:
        field: the keys that lead to it, with dots between them.
    """

    address: str
    code: str
    field: str


class Linted(NamedTuple):
    """One finding, and what it is known by.

    Attributes:
        entries: several if a value of a Defaults document is wrong in several manifests; none if
            it can never be known.
    """

    finding: Diagnostic
    entries: frozenset[KnownFinding]


class Judged(NamedTuple):
    """What lint found, against a baseline.

    Attributes:
        new: what the baseline does not know.
        known: how many findings it knows.
        gone: what it knows and lint does not find any more, sorted.
    """

    new: tuple[Diagnostic, ...]
    known: int
    gone: tuple[KnownFinding, ...]


def judge(
    linted: Iterable[Linted],
    baseline: Collection[KnownFinding],
    only: Collection[str] | None = None,
) -> Judged:
    """What of the findings is new.

    Args:
        linted: the findings.
        baseline: what is known.
        only: the addresses that were looked at; None if that was all there are.
    """
    found: set[KnownFinding] = set()
    new: list[Diagnostic] = []
    known = 0
    for item in linted:
        found |= item.entries
        if item.entries and all(entry in baseline for entry in item.entries):
            known += 1
        else:
            new.append(item.finding)
    gone = {entry for entry in baseline if only is None or entry.address in only} - found
    return Judged(tuple(new), known, tuple(sorted(gone)))


def updated(
    linted: Iterable[Linted],
    baseline: Collection[KnownFinding],
    only: Collection[str] | None = None,
) -> frozenset[KnownFinding]:
    """The baseline that knows these findings, and what it knew of manifests not looked at."""
    others = () if only is None else (entry for entry in baseline if entry.address not in only)
    return frozenset(others).union(*(item.entries for item in linted))


def to_json(baseline: Iterable[KnownFinding]) -> dict[str, JSON]:
    """The baseline as `schemas/lint-baseline.schema.json` describes it."""
    return {"format_version": "1.0", "findings": [entry._asdict() for entry in sorted(baseline)]}


def from_json(data: Mapping[str, JSON]) -> frozenset[KnownFinding]:
    """What `to_json` gave; `data` must fit the schema."""
    return frozenset(KnownFinding(**item) for item in data["findings"])
