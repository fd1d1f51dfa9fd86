"""Which manifests and monitors a command is about: the one grammar of targets.

A target is an address, the id of a monitor, a glob over addresses, `label=value`, or the path of a
file or folder with manifests. `!` before it leaves out what it means. A selection is what one of
the others means, all if there are no others, without what is left out.

Rule: pure. A path is compared with where a manifest was found; names of manifests have no dot, so
that no address can be taken for a file. A monitor without a manifest has an address, and no more.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from posixpath import normpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.core.model import Desired
    from reconciler.core.state import Record


NOT = "!"
GRAMMAR = "an address (email-smtp/prod-relay), an id, a glob, label=value or a path"
"""What a target is, for messages."""
_FILES = (".yaml", ".yml")


def is_target(desired: Desired, targets: Sequence[str]) -> bool:
    """Whether the manifest is meant; without targets all are."""
    return is_selected(targets, lambda target: matches(desired, target))


def is_target_address(address: str, targets: Sequence[str]) -> bool:
    """Whether what has the address, and perhaps no manifest, is meant; without targets all is."""
    return is_selected(targets, lambda target: fnmatchcase(address, target))


def is_selected(targets: Sequence[str], means: Callable[[str], bool]) -> bool:
    """Whether targets select something, each of which means it or not, whatever is before it."""
    if not targets:
        return True
    wanted = [target for target in targets if not target.startswith(NOT)]
    if wanted and not any(map(means, wanted)):
        return False
    return not any(means(bare(target)) for target in targets if target.startswith(NOT))


def matches(desired: Desired, target: str) -> bool:
    """Whether a target means that manifest, whether it takes it or leaves it out."""
    target = bare(target)
    label, equals, value = target.partition("=")
    if equals:
        return desired.labels.get(label) == value
    return fnmatchcase(desired.address, target) or is_in(desired.origin.path, target)


def means_more(desired: Desired, target: str) -> bool:
    """Whether a target leaves the manifest out by what a monitor without one cannot have."""
    name = bare(target)
    is_excluding = name != target
    return is_excluding and not fnmatchcase(desired.address, name) and matches(desired, name)


def is_in(path: str, target: str) -> bool:
    """Whether a file is the one that a target names, or in the folder that it names."""
    if path.endswith(_FILES) and target.endswith(_FILES):
        found, wanted = normpath(path), normpath(target)
        return found == wanted or fnmatchcase(found, wanted)
    return bool(target) and normpath(path).startswith(f"{normpath(target)}/")


def bare(target: str) -> str:
    """A target without the mark that it leaves out."""
    return target.removeprefix(NOT)


def with_addresses(
    targets: Sequence[str], desired: Iterable[Desired], records: Mapping[str, Record]
) -> tuple[str, ...]:
    """The targets; in place of an id, the address that is bound to that monitor.

    A manifest's word counts more than a record. An id that nothing is bound to stays what it is,
    and so matches nothing.
    """
    if not any(is_id(bare(target)) for target in targets):
        return tuple(targets)
    bound = {str(record.id): address for address, record in records.items()}
    bound |= {str(item.id): item.address for item in desired if item.id is not None}
    marks = {f"{NOT}{number}": f"{NOT}{address}" for number, address in bound.items()}
    return tuple((bound | marks).get(target, target) for target in targets)


def is_id(target: str) -> bool:
    """Whether a target is the id of a monitor; no address is."""
    return target.isascii() and target.isdigit()
