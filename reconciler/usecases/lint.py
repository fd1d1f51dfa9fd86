"""What lint finds in the manifests of a workspace, where it stands, and what comments disable."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from reconciler.core.lint.alone import of_one
from reconciler.core.lint.baseline import KnownFinding, Linted
from reconciler.core.lint.codes import BAD_COMMENT, CODES
from reconciler.core.lint.together import of_all, unnamed_fields
from reconciler.errors import Diagnostic, Position
from reconciler.manifests import Locator
from reconciler.manifests.directives import comments
from reconciler.schema import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.lint.codes import Policy
    from reconciler.core.model import Desired
    from reconciler.core.state import Record
    from reconciler.errors import Problem
    from reconciler.manifests.directives import Directive
    from reconciler.usecases.load import Fleet


_DISABLE = re.compile(r"disable=[ ]*([A-Za-z0-9_-]+(?:[ ]*,[ ]*[A-Za-z0-9_-]+)*)(?:[ ].*)?")
_EXAMPLE = "# reconciler: disable=silenced"
_WHOLE = ("kind", "metadata")
"""On the line of one of these keys, a comment counts for the whole manifest."""


def lint_fleet(
    fleet: Fleet, policy: Policy, records: Mapping[str, Record] = MappingProxyType({})
) -> tuple[Linted, ...]:
    """What looks wrong in valid manifests and no comment disables, sorted by place.

    A comment `# reconciler: disable=CODE` counts for the value on its line; on the line of `kind:`
    or `metadata:` for the whole manifest. What was applied before is in the records.
    """
    linting = _Linting(fleet, policy, records)
    found: dict[Diagnostic, set[KnownFinding]] = {item: set() for item in linting.bad_comments()}
    for finding, entry in linting.findings():
        found.setdefault(finding, set()).add(entry)
    return tuple(Linted(finding, frozenset(found[finding])) for finding in sorted(found))


class _Linting:
    """One look at a fleet, with the comments of its files."""

    def __init__(self, fleet: Fleet, policy: Policy, records: Mapping[str, Record]) -> None:
        self._fleet = fleet
        self._records = records
        self._policy = policy
        self._locator = Locator()
        origins = (
            origin
            for item in fleet.desired
            for origin in (item.origin, *item.inherited.values(), *item.overridden.values())
        )
        self._comments = {path: comments(path) for path in {origin.path for origin in origins}}

    def findings(self) -> Iterator[tuple[Diagnostic, KnownFinding]]:
        desired = self._fleet.desired
        own = (finding for item in desired for finding in of_one(item))
        for finding in (*own, *of_all(desired), *unnamed_fields(desired, self._records)):
            item = self._fleet.by_address[finding.address]
            severity = self._policy.severity(finding.code)
            if severity is not None and finding.code not in self._disabled(item, finding):
                place = self._place(item, finding)
                entry = KnownFinding(
                    finding.address, finding.code, ".".join(map(str, finding.pointer))
                )
                yield finding.at(place, severity), entry

    def bad_comments(self) -> Iterator[Diagnostic]:
        severity = self._policy.severity(BAD_COMMENT)
        if severity is None:
            return
        for path, found in self._comments.items():
            for comment in found:
                place = Position(path, comment.line, comment.column)
                for message in _faults(comment):
                    yield Diagnostic(place, BAD_COMMENT, message, severity)

    def _disabled(self, item: Desired, finding: Problem) -> set[str]:
        """The codes that comments disable for this finding."""
        places = [
            self._place(item, finding),
            self._place(item, finding, of_key=True),
            *(self._locator.position(item.origin, (it,), of_key=True) for it in _WHOLE),
        ]
        return {
            code
            for place in places
            for comment in self._comments[place.path]
            if comment.line == place.line
            for code in _codes(comment)
        }

    def _place(self, item: Desired, finding: Problem, *, of_key: bool = False) -> Position:
        """Where the field stands: in the manifest, or in the Defaults that it comes from."""
        origin = item.place(str(finding.pointer[1]))
        return self._locator.position(origin, finding.pointer, of_key=of_key)


def _codes(comment: Directive) -> list[str]:
    """The codes that a comment names; none if it is of another form."""
    found = _DISABLE.fullmatch(comment.text)
    return re.split("[ ]*,[ ]*", found[1]) if found else []


def _faults(comment: Directive) -> Iterator[str]:
    codes = _codes(comment)
    if not codes:
        yield f"this comment is not valid; write {_EXAMPLE}"
    for code in codes:
        if code not in CODES:
            advice = did_you_mean(code, CODES) or "; reconciler explain lint lists the codes"
            yield f"{code} is not a code that can be disabled{advice}"
    if codes and comment.is_alone:
        yield "a comment on its own line disables nothing; write it after a value, or after kind"
