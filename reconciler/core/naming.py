"""What manifests for existing monitors are called, where they go, and what they have in common.

Rule: no I/O, clock or environment; the same account gives the same names.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.inheritance import INHERIT
from reconciler.core.lint.servers import registered
from reconciler.core.model import secret_refs
from reconciler.core.targets import is_id
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import JSON, Kind


MAX_NAME = 128
LAYOUT = "{kind}/{name}.yaml"
OTHER = "other"
"""The folder of what has no domain, or not that property."""
_PLACEHOLDERS = ("kind", "name", "id", "domain", "name_prefix")
_PROPERTY = re.compile("property:.+")
_HOST = re.compile("[a-z0-9-]+(?:[.][a-z0-9-]+)+")
_PLACEHOLDER, _BRACE = re.compile("{([^{}]*)}"), re.compile("[{}]")
_LAYOUT_HINT = f"A layout is a path below the folder, such as {LAYOUT} or {{kind}}.yaml."
_OWN = frozenset(("name", "hostname", "ipv4", "smtp_hostname", "pop3_hostname", "email"))
"""Fields that say what a monitor watches: no default could be meant for a new one."""
_FEWEST, _SHARE = 5, 0.8
NOT_INHERITED: Mapping[str, JSON] = {INHERIT: False}
"""What a manifest says of a field whose default does not count for it."""
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
    """Values for all manifests.

    Attributes:
        kinds: what they are for; empty for all.
    """

    kinds: tuple[str, ...]
    spec: Mapping[str, JSON]


def slug(display: str, number: int) -> str:
    """A manifest's name from a monitor's display name, or else from its id."""
    latin = _latin(display)
    name = _plain(display)[: MAX_NAME + 1].strip("-")[:MAX_NAME].strip("-")
    is_lost = any(char.isalpha() and not char.isascii() for char in latin)
    has_letter = any(char.isalpha() for char in name)
    return name if name and (has_letter or not is_lost) else f"monitor-{number}"


def _latin(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(char for char in plain if char.isascii() or not unicodedata.combining(char))


def _plain(text: str) -> str:
    """The text in lower-case Latin letters and digits, with dashes between them."""
    return re.sub("[^a-z0-9]+", "-", _latin(text))


def free_name(wanted: str, kind: str, taken: Container[str]) -> str:
    """The wanted name, or the first of `name-2`, `name-3`, … whose address is not taken."""
    names = (wanted[: MAX_NAME - len(end)].rstrip("-") + end for end in _endings("-"))
    return next(name for name in names if f"{kind}/{name}" not in taken)


def free_path(wanted: str, is_taken: Callable[[str], bool]) -> str:
    """The wanted path, or the first of `name-2.yaml`, `name-3.yaml`, … that is not taken."""
    stem, dot, end = wanted.rpartition(".")
    paths = (f"{stem}{number}{dot}{end}" for number in _endings("-"))
    return next(path for path in paths if not is_taken(path))


def _endings(mark: str) -> Iterator[str]:
    """What tells apart what would be called alike: nothing at first, then numbers from 2."""
    yield ""
    yield from (f"{mark}{number}" for number in count(2))


class Facts(NamedTuple):
    """What of a monitor a layout can name.

    Attributes:
        kind: its kind.
        name: that of its manifest.
        display: its display name.
        host: the server or mailbox that it watches, as AlertSite has it.
        properties: the values of its custom properties, by their names.
    """

    kind: str
    name: str
    id: int
    display: str
    host: str
    properties: Mapping[str, str]


class Layout(NamedTuple):
    """Where manifests go: by the first pattern that means the monitor.

    Attributes:
        rules: ids, or globs over names, each with the pattern of a path.
    """

    rules: tuple[tuple[str, str], ...]

    def path(self, facts: Facts) -> str:
        """The path of a monitor's manifest, below the folder for all."""
        found = (layout for target, layout in self.rules if means(facts, target))
        return _filled(next(found, LAYOUT), facts)


def means(facts: Facts, target: str) -> bool:
    """Whether an id, or a glob over the name, the display name or the address, means a monitor."""
    if is_id(target):
        return int(target) == facts.id
    texts = (facts.name, facts.display, f"{facts.kind}/{facts.name}")
    return any(fnmatchcase(text.casefold(), target.casefold()) for text in texts)


def layout_of(pattern: str) -> Layout:
    """The layout by one pattern for all monitors.

    Raises:
        UsageError: it is no pattern of paths.
    """
    check_layout(pattern)
    return Layout((("*", pattern),))


def check_layout(layout: str) -> None:
    """Stops if a layout is no pattern of paths.

    Raises:
        UsageError: it is not.
    """
    plain = layout.replace("{{", "").replace("}}", "")  # which stand for braces
    known = all(
        name in _PLACEHOLDERS or _PROPERTY.fullmatch(name) for name in _PLACEHOLDER.findall(plain)
    )
    if not known or _BRACE.search(_PLACEHOLDER.sub("", plain)):
        names = ", ".join(f"{{{name}}}" for name in (*_PLACEHOLDERS, "property:NAME"))
        raise UsageError(f"--layout {layout}: the placeholders are {names}", _LAYOUT_HINT)
    path = _filled(layout, Facts("kind", "name", 1, "", "", {}))
    steps = path.split("/")
    if any(step.startswith((".", "_defaults.")) or not step for step in steps) or "\\" in path:
        raise UsageError(
            f"--layout {layout}: it must be a path of visible files below the folder",
            _LAYOUT_HINT,
        )
    if not path.endswith((".yaml", ".yml")):
        raise UsageError(f"--layout {layout}: manifests end in .yaml or .yml", _LAYOUT_HINT)


def _filled(layout: str, facts: Facts) -> str:
    """The pattern with what a monitor has; `{{` and `}}` stand for braces."""
    values = {
        "kind": facts.kind,
        "name": facts.name,
        "id": str(facts.id),
        "name_prefix": facts.name.partition("-")[0],
        "domain": domain(facts.host),
    }

    def value(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        if found[1] in values:
            return values[found[1]]
        text = facts.properties.get(found[1].removeprefix("property:"), "")
        return _plain(text)[:MAX_NAME].strip("-") or OTHER

    return re.sub("{{|}}|{([^{}]*)}", value, layout)


def domain(host: str) -> str:
    """The domain that a server or a mailbox belongs to, such as `example.com`."""
    bare = re.sub("^[a-z0-9+.-]*://", "", host.strip().casefold()).rpartition("@")[2]
    bare = re.split("[/?#]", bare)[0]
    bare = re.sub(":[0-9]*$", "", bare).rstrip(".")
    found = registered(bare)
    is_name = _HOST.fullmatch(found) and not found.rpartition(".")[2].isdigit()
    return found if is_name else OTHER


def variable(draft_kind: str, name: str, path: Iterable[str | int], taken: Container[str]) -> str:
    """The environment variable that a secret of a monitor is to be in."""
    words = "_".join([draft_kind, name, *map(str, path)])
    base = re.sub("[^A-Z0-9]+", "_", words.upper()).strip("_")
    return next(name for end in _endings("_") if (name := f"{base}{end}") not in taken)


def lifted(
    drafts: Sequence[Draft], kinds: Mapping[str, Kind], given: Container[str] = ()
) -> tuple[list[Draft], list[Shared]]:
    """The drafts without what nearly all say, and that: defaults for all folders.

    A value is shared by the kinds of which 80 % have it, if those are five or more together. Those
    that leave the field to AlertSite say that they do not inherit it. Fields that are `given` have
    defaults already, which stay as they are.
    """
    groups: dict[str, list[Draft]] = {}
    for draft in drafts:
        groups.setdefault(draft.kind, []).append(draft)
    having: dict[tuple[str, str], list[_Common]] = {}
    for name, group in sorted(groups.items()):
        for item in _common(group, kinds[name]):
            if item.field not in given:
                having.setdefault((item.field, item.text), []).append(item)
    common: dict[str, dict[str, JSON]] = {name: {} for name in groups}
    specs: dict[tuple[str, ...], dict[str, JSON]] = {}
    for (field, _), items in having.items():
        if sum(item.times for item in items) < _FEWEST:
            continue
        value = items[0].value  # of several spellings
        names = [item.kind for item in items]
        for name in names:
            common[name][field] = value
        knowing = [name for name in sorted(groups) if field in kinds[name].fields]
        specs.setdefault(() if names == knowing else tuple(names), {})[field] = value
    kept = []
    for draft in drafts:
        kind, shared = kinds[draft.kind], common[draft.kind]
        own = {
            name: value
            for name, value in draft.spec.items()
            if name not in shared or not kind.field(name).is_same(value, shared[name])
        }
        left = [name for name in kind.fields if name in shared and name not in draft.spec]
        spec = own | {name: dict(NOT_INHERITED) for name in left}
        kept.append(draft._replace(spec=spec))
    return kept, [Shared(applies_to, spec) for applies_to, spec in sorted(specs.items())]


class _Common(NamedTuple):
    """A value that nearly all manifests of a kind say; `text` is the same for all its spellings."""

    kind: str
    field: str
    text: str
    value: JSON
    times: int


def _common(group: Sequence[Draft], kind: Kind) -> Iterator[_Common]:
    """What nearly all manifests of a kind say; no default is a secret, which is one monitor's."""
    for name, field in kind.fields.items():
        having = [draft.spec[name] for draft in group if name in draft.spec]
        if name in _OWN or not having or any(next(secret_refs(it), None) for it in having):
            continue
        values = {field.text(value): value for value in reversed(having)}
        counts = Counter(map(field.text, having))
        text, times = min(counts.items(), key=lambda item: (-item[1], item[0]))
        if times >= _SHARE * len(group):
            yield _Common(kind.name, name, text, values[text], times)
