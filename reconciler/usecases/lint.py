"""What lint finds in the manifests of a workspace, where it stands, and what comments disable."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from reconciler.core.lint.alone import of_one
from reconciler.core.lint.baseline import KnownFinding, Linted
from reconciler.core.lint.codes import BAD_COMMENT, CODES
from reconciler.core.lint.together import of_all, unnamed_fields
from reconciler.core.nearest import did_you_mean
from reconciler.errors import Diagnostic, Position
from reconciler.manifests import Locator
from reconciler.manifests.directives import comments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.core.lint.codes import Policy
    from reconciler.core.state import Record
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
    desired, locator = fleet.desired, Locator()
    origins = (
        origin
        for item in desired
        for origin in (item.origin, *item.inherited.values(), *item.overridden.values())
    )
    told = {path: comments(path) for path in {origin.path for origin in origins}}
    found: dict[Diagnostic, set[KnownFinding]] = {}
    if (severity := policy.severity(BAD_COMMENT)) is not None:
        for path, directives in told.items():
            for comment in directives:
                place = Position(path, comment.line, comment.column)
                for message in _faults(comment):
                    found[Diagnostic(place, BAD_COMMENT, message, severity)] = set()
    own = (finding for item in desired for finding in of_one(item))
    for finding in (*own, *of_all(desired), *unnamed_fields(desired, records)):
        severity = policy.severity(finding.code)
        if severity is None:
            continue
        item, pointer = fleet.by_address[finding.address], finding.pointer
        origin = item.place(str(pointer[1]))  # the manifest, or the Defaults that it comes from
        place = locator.position(origin, pointer)
        places = (
            place,
            locator.position(origin, pointer, of_key=True),
            *(locator.position(item.origin, (key,), of_key=True) for key in _WHOLE),
        )
        disabled = {
            code
            for here in places
            for comment in told[here.path]
            if comment.line == here.line
            for code in _codes(comment)
        }
        if finding.code not in disabled:
            entry = KnownFinding(finding.address, finding.code, ".".join(map(str, pointer)))
            found.setdefault(finding.at(place, severity), set()).add(entry)
    return tuple(Linted(finding, frozenset(found[finding])) for finding in sorted(found))


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
