"""What manifests for existing monitors are called, where they go, and what they have in common.

Rule: no I/O, clock or environment; the same account gives the same names.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import JSON, Kind


MAX_NAME = 128
LAYOUT = "{kind}/{name}.yaml"
_PLACEHOLDERS = ("kind", "name", "id")
_PLACEHOLDER, _BRACE = re.compile("{([^{}]*)}"), re.compile("[{}]")
_LAYOUT_HINT = f"A layout is a path below the folder, such as {LAYOUT} or {{kind}}.yaml."
_OWN = frozenset(("name", "hostname", "ipv4", "smtp_hostname", "pop3_hostname", "email"))
"""Fields that say what a monitor watches: no default could be meant for a new one."""
_FEWEST, _SHARE = 5, 0.8
_LETTERS = str.maketrans("đðħ\u0131łøŧ", "ddhilot", "") | {
    ord("œ"): "oe",
    ord("æ"): "ae",
    ord("þ"): "th",
}
"""Latin letters that Unicode does not take apart."""


class Draft(NamedTuple):
    """A manifest that is to be written.

    Attributes:
        path: where, below the folder for all of them.
        spec: what it names itself.
        held_back: fields whose texts may be secrets, so that it only mentions them.
    """

    kind: str
    name: str
    id: int
    path: str
    spec: Mapping[str, JSON]
    extra: Mapping[str, JSON]
    held_back: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """`kind/name`."""
        return f"{self.kind}/{self.name}"


class Shared(NamedTuple):
    """Values for the manifests of one folder.

    Attributes:
        kinds: what they are for; empty for all.
    """

    folder: str
    kinds: tuple[str, ...]
    spec: Mapping[str, JSON]


def slug(display: str, number: int) -> str:
    """A manifest's name from a monitor's display name, or else from its id."""
    folded = display.casefold().translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", folded)
    latin = "".join(char for char in plain if char.isascii() or not unicodedata.combining(char))
    name = re.sub("[^a-z0-9]+", "-", latin)[: MAX_NAME + 1].strip("-")[:MAX_NAME].strip("-")
    is_lost = any(char.isalpha() and not char.isascii() for char in latin)
    has_letter = any(char.isalpha() for char in name)
    return name if name and (has_letter or not is_lost) else f"monitor-{number}"


def free_name(wanted: str, kind: str, taken: Container[str]) -> str:
    """The wanted name, or the first of `name-2`, `name-3`, … whose address is not taken."""
    name, count = wanted, 1
    while f"{kind}/{name}" in taken:
        count += 1
        end = f"-{count}"
        name = wanted[: MAX_NAME - len(end)].rstrip("-") + end
    return name


def free_path(wanted: str, is_taken: Callable[[str], bool]) -> str:
    """The wanted path, or the first of `name-2.yaml`, `name-3.yaml`, … that is not taken."""
    stem, dot, end = wanted.rpartition(".")
    path, count = wanted, 1
    while is_taken(path):
        count += 1
        path = f"{stem}-{count}{dot}{end}"
    return path


def check_layout(layout: str) -> None:
    """Stops if a layout is no pattern of paths.

    Raises:
        UsageError: it is not.
    """
    plain = layout.replace("{{", "").replace("}}", "")  # which stand for braces
    if not set(_PLACEHOLDER.findall(plain)) <= set(_PLACEHOLDERS) or _BRACE.search(
        _PLACEHOLDER.sub("", plain)
    ):
        known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
        raise UsageError(f"--layout {layout}: the placeholders are {known}", _LAYOUT_HINT)
    path = layout.format(kind="kind", name="name", id=1)
    steps = path.split("/")
    if any(step.startswith((".", "_defaults.")) or not step for step in steps) or "\\" in path:
        raise UsageError(
            f"--layout {layout}: it must lead to files below the folder, which are not hidden",
            _LAYOUT_HINT,
        )
    if not path.endswith((".yaml", ".yml")):
        raise UsageError(f"--layout {layout}: manifests end in .yaml or .yml", _LAYOUT_HINT)


def variable(draft_kind: str, name: str, path: Iterable[str | int], taken: Container[str]) -> str:
    """The environment variable that a secret of a monitor is to be in."""
    words = "_".join([draft_kind, name, *map(str, path)])
    base = wanted = re.sub("[^A-Z0-9]+", "_", words.upper()).strip("_")
    count = 1
    while wanted in taken:
        count += 1
        wanted = f"{base}_{count}"
    return wanted


def lifted(
    drafts: Sequence[Draft], kinds: Mapping[str, Kind], closed: Container[str]
) -> tuple[list[Draft], list[Shared]]:
    """The drafts without what nearly all of their kind in their folder say, and that.

    A value is shared if at least five and 80 % of them have it, and all have some value: one that
    is not set would get it otherwise.

    Args:
        drafts: all of them.
        kinds: by name.
        closed: folders whose manifests were there before and must not get anything.
    """
    groups: dict[tuple[str, str], list[Draft]] = {}
    for draft in drafts:
        groups.setdefault((folder_of(draft.path), draft.kind), []).append(draft)
    common = {
        key: dict(_common(group, kinds[key[1]]))
        for key, group in groups.items()
        if key[0] not in closed
    }
    kept = [
        draft._replace(spec=_without(draft, common[key], kinds[draft.kind]))
        if (key := (folder_of(draft.path), draft.kind)) in common
        else draft
        for draft in drafts
    ]
    return kept, list(_shared(common, groups.keys()))


def folder_of(path: str) -> str:
    """The folder of a path below another folder; empty for that folder itself."""
    return path.rpartition("/")[0]


def _common(group: Sequence[Draft], kind: Kind) -> Iterator[tuple[str, JSON]]:
    for name, field in kind.fields.items():
        if name in _OWN or not all(name in draft.spec for draft in group):
            continue
        values = {field.text(draft.spec[name]): draft.spec[name] for draft in reversed(group)}
        counts = Counter(field.text(draft.spec[name]) for draft in group)
        text, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
        if count >= max(_FEWEST, _SHARE * len(group)):
            yield name, values[text]


def _without(draft: Draft, common: Mapping[str, JSON], kind: Kind) -> dict[str, JSON]:
    return {
        name: value
        for name, value in draft.spec.items()
        if name not in common or kind.field(name).text(value) != kind.field(name).text(common[name])
    }


def _shared(
    common: Mapping[tuple[str, str], Mapping[str, JSON]], groups: Iterable[tuple[str, str]]
) -> Iterator[Shared]:
    by_folder: dict[str, list[str]] = {}
    for folder, kind in groups:
        by_folder.setdefault(folder, []).append(kind)
    for folder, kinds in sorted(by_folder.items()):
        found: list[Shared] = []
        for kind in sorted(kinds):
            spec = common.get((folder, kind))
            if not spec:
                continue
            same = next((index for index, item in enumerate(found) if item.spec == spec), None)
            if same is None:
                found.append(Shared(folder, (kind,), spec))
            else:
                found[same] = found[same]._replace(kinds=(*found[same].kinds, kind))
        for item in found:
            yield item if len(kinds) > 1 else item._replace(kinds=())
