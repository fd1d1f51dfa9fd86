"""What the manifest of one existing monitor says, as values and as text.

Rule: what a manifest cannot say is left out with the reason, never bent. Fields that AlertSite
sets itself, unset ones and documented defaults are left to AlertSite; no value that looks like a
secret is taken over, and no text of a field that the schema does not know, unless that is asked
for: `dsn`, `auth` or `pw` may hold one too, and a manifest is in Git.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.json_text import is_deeper
from reconciler.core.mask import passwords_in
from reconciler.core.model import SECRET_REF, canonical, secret_refs
from reconciler.core.names import find_names, uses_of
from reconciler.core.naming import NOT_INHERITED, variable
from reconciler.core.printable import printable
from reconciler.core.variables import escaped
from reconciler.manifests.edits import ABSENT
from reconciler.manifests.writer import DEEPEST, NotWritableError, check, document
from reconciler.schema import API_VERSION, DEFAULTS
from reconciler.usecases import defaults
from reconciler.usecases.fmt import Ordering

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import JSON, Field, Kind, Live
    from reconciler.core.naming import Draft, Shared
    from reconciler.core.redactor import Redactor
    from reconciler.schema import Schemas


Pointer = tuple[str, str]
"""A section of a manifest, `spec` or `extra`, and a field of it."""


class Fit(NamedTuple):
    """What of some fields fits into a manifest.

    Attributes:
        values: those that do; `ABSENT` for one that is to be left out.
        reasons: why the others do not.
        fault: why there is no valid manifest at all; empty if there is one.
    """

    values: Mapping[Pointer, JSON]
    reasons: Mapping[Pointer, str]
    fault: str = ""


def written(field: Field, value: JSON) -> list[JSON]:
    """The ways in which a manifest can write a value of AlertSite's; none if it is unset.

    The best first: a text as it is spelled, since what is ignored when it is compared is not for
    us to remove; then, should that not fit into a manifest, its normal form.
    """
    normalised = field.normalise(value)
    if normalised is None:
        return []
    if isinstance(normalised, str) and value != normalised:
        return [value, normalised]
    return [normalised]


def fit(
    schemas: Schemas, base: Mapping[str, JSON], wanted: Mapping[Pointer, Sequence[JSON]]
) -> Fit:
    """As many of the wanted fields as the schema accepts in a manifest.

    Args:
        schemas: what it must fit.
        base: the manifest without them.
        wanted: for each field the values that would do, the best first.
    """
    left = {pointer: list(values) for pointer, values in wanted.items()}
    reasons: dict[Pointer, str] = {}
    while True:
        value = {**base}
        for (section, field), values in left.items():
            own = {**value.get(section, {}), field: values[0]}
            value[section] = {name: item for name, item in own.items() if item is not ABSENT}
        if schemas.accept(value):
            return Fit({pointer: values[0] for pointer, values in left.items()}, reasons)
        problems = list(schemas.explain(value))
        refused: dict[Pointer, str] = {}
        for problem in problems:
            part, name = (*map(str, problem.pointer[:2]), "", "")[:2]
            if (part, name) in left:
                refused.setdefault((part, name), problem.message)
        # Problems that are about none of them may come from the last, unless a key is missing.
        if not refused and left and all(problem.code != "missing-key" for problem in problems):
            refused[list(left)[-1]] = problems[0].message
        if not refused:
            return Fit({}, reasons, problems[0].message)
        for pointer, message in refused.items():
            left[pointer].pop(0)
            if not left[pointer]:
                del left[pointer]
                reasons[pointer] = message


_LITERAL = re.compile(r"\bDefault: (true|false|[0-9]+)\. ")
"""How a schema's description gives a default that the vendor documents as a value."""
_LIKE_A_SECRET = "its name looks like a secret, but its value does not; add it by hand"


class Secret(NamedTuple):
    """A secret that a manifest refers to, and the variable that it has to be in."""

    path: tuple[str | int, ...]
    variable: str

    @property
    def reference(self) -> JSON:
        """What stands in the manifest."""
        return {SECRET_REF: {"env": self.variable}}


class Content(NamedTuple):
    """What a manifest says of a monitor.

    Attributes:
        left_out: for each field that it cannot say the reason.
        held_back: fields that the schema does not know, with texts that may be secrets.
        fault: why there is no valid manifest; empty if there is one.
    """

    spec: Mapping[str, JSON]
    extra: Mapping[str, JSON]
    secrets: tuple[Secret, ...]
    left_out: Mapping[str, str]
    held_back: tuple[str, ...] = ()
    fault: str = ""

    @property
    def plain_extra(self) -> Collection[str]:
        """The fields that the schema does not know, but for those that hold a secret."""
        return self.extra.keys() - {item.path[0] for item in self.secrets}


class Drafting:
    """Drafts manifests; remembers which variables are taken.

    Args:
        schemas: of all kinds.
        redactor: what knows the secrets of this run.
        write_unknown: whether texts that the schema does not know are written.
    """

    def __init__(self, schemas: Schemas, redactor: Redactor, *, write_unknown: bool) -> None:
        self._schemas = schemas
        self._redactor = redactor
        self._write_unknown = write_unknown
        self._known = {name: _Known.of(schema) for name, schema in schemas.documents.items()}
        self._variables: set[str] = set()

    def content(
        self,
        kind: Kind,
        name: str,
        live: Live,
        inherited: Mapping[str, JSON],
        is_certain: Collection[str],
        secret: Collection[str],
    ) -> Content:
        """What the manifest of that name says of a monitor.

        Args:
            kind: the monitor's.
            name: the manifest's.
            live: the monitor.
            inherited: what the manifest gets from defaults if it does not name it.
            is_certain: the fields of those that it gets wherever its file may stand.
            secret: fields of which it is known that they hold a secret.
        """
        wanted: dict[Pointer, list[JSON]] = {}
        left_out: dict[str, str] = {}
        secrets: list[Secret] = []
        held_back: list[str] = []
        fields = {**live.fields}
        for field, value in live.fields.items():
            if is_deeper(value, DEEPEST):
                left_out[field] = "it is nested too deeply"
                del fields[field]
        for field in sorted(secret):  # whatever they are called
            if fields.pop(field, None) is not None:
                found = Secret((field,), self._variable(kind, name, (field,)))
                wanted["spec" if field in kind.fields else "extra", field] = [found.reference]
                secrets.append(found)
        for field, value in [*fields.items()]:
            if self._redactor.holds(json.dumps([field, value])):
                left_out[field] = "it contains a secret of this run in plain text"
                del fields[field]
            elif any(passwords_in(value, (field,))):
                left_out[field] = "it contains the password of a URL"
                del fields[field]
        for field, values in self._known[kind.name].to_name(kind, fields, inherited):
            wanted.setdefault(("spec", field), values)
        for field in sorted(fields.keys() - kind.fields.keys()):
            protecting = _Protecting(kind, lambda path: self._variable(kind, name, path))
            value = protecting.value((field,), fields[field])
            if protecting.is_bent:
                left_out[field] = _LIKE_A_SECRET
            elif not self._write_unknown and _has_text(value):
                held_back.append(field)
            elif kind.field(field).normalise(value) is not None:
                wanted["extra", field] = [value]
                secrets += protecting.secrets
        for pointer, values in [*wanted.items()]:
            try:
                check(pointer[1], values[0])
            except NotWritableError as error:
                left_out[pointer[1]] = str(error)
                del wanted[pointer]
        fitting = fit(self._schemas, head(kind.name, name, live.id), wanted)
        left_out |= {field: text for (_, field), text in fitting.reasons.items()}
        parts: dict[str, dict[str, JSON]] = {"spec": {}, "extra": {}}
        for (part, field), value in fitting.values.items():
            parts[part][field] = value
        fault = fitting.fault
        if fault:
            fault = "; ".join(
                (f"AlertSite does not have what a manifest needs: {fault}", *left_out.values())
            )
        spec, extra = _beside_defaults(kind, parts["spec"], inherited, is_certain), parts["extra"]
        kept = tuple(item for item in secrets if item.path[0] in spec or item.path[0] in extra)
        return Content(spec, extra, kept, left_out, tuple(held_back), fault)

    def _variable(self, kind: Kind, name: str, path: tuple[str | int, ...]) -> str:
        found = variable(kind.name, name, path, self._variables)
        self._variables.add(found)
        return found


def _beside_defaults(
    kind: Kind,
    spec: Mapping[str, JSON],
    inherited: Mapping[str, JSON],
    is_certain: Collection[str],
) -> dict[str, JSON]:
    """What a manifest says itself where it inherits values: what is the same it need not say."""
    own = {
        field: value
        for field, value in spec.items()
        if field not in is_certain
        or kind.field(field).text(value) != kind.field(field).text(inherited[field])
    }
    others = (field for field in inherited if field not in spec)
    return own | {
        field: inherited[field] if is_secret else dict(NOT_INHERITED)
        for field in others
        if not (is_secret := bool(next(secret_refs(inherited[field]), None)))
        or field not in is_certain
    }


def head(kind: str, name: str, number: int | None) -> dict[str, JSON]:
    """A manifest without its fields, and without an id if there is none to be in it."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name} if number is None else {"name": name, "id": number},
        "spec": {},
    }


def _has_text(value: JSON) -> bool:
    """Whether a text stands in the value that is no secretRef."""
    if isinstance(value, dict):
        return SECRET_REF not in value and any(map(_has_text, value.values()))
    if isinstance(value, list):
        return any(map(_has_text, value))
    return isinstance(value, str) and value != ""


def canonical_of(value: JSON) -> str:
    """The canonical text of a value, or nothing if JSON has none for it."""
    try:
        return canonical(value)
    except ValueError:
        return ""


class _Known(NamedTuple):
    """What a schema says of the fields of a kind.

    Attributes:
        defaults: for each that a manifest may set, the canonical text of its documented default,
            or None.
        empty: those that a manifest must name, if only with an empty text.
    """

    defaults: Mapping[str, str | None]
    empty: frozenset[str]

    @classmethod
    def of(cls, schema: Mapping[str, JSON]) -> _Known:
        spec = schema["properties"]["spec"]
        defaults: dict[str, str | None] = {}
        for name, item in spec["properties"].items():
            if not item.get("readOnly"):
                found = _LITERAL.search(item["description"])
                defaults[name] = canonical(json.loads(found[1])) if found else None
        patterns = {name: spec["properties"][name].get("pattern") for name in spec["required"]}
        empty = (name for name, item in patterns.items() if item and re.search(item, ""))
        return cls(defaults, frozenset(empty))

    def to_name(
        self, kind: Kind, fields: Mapping[str, JSON], inherited: Mapping[str, JSON]
    ) -> Iterator[tuple[str, list[JSON]]]:
        """The fields that a manifest has to name, each with the ways to write its value."""
        for field, default in self.defaults.items():
            if next(secret_refs(inherited.get(field)), None):
                continue  # what AlertSite shows of it is a secret
            values = written(kind.field(field), fields.get(field))
            if not values and field in self.empty:
                yield field, [""]
            elif values and (field in inherited or canonical_of(values[-1]) != default):
                yield field, values


class _Protecting:
    """Puts references in place of secrets.

    Attributes:
        is_bent: whether something was left out that is no secret and looks like one.
    """

    def __init__(self, kind: Kind, variable_for: Callable[[tuple[str | int, ...]], str]) -> None:
        self.secrets: list[Secret] = []
        self.is_bent = False
        self._hides = kind.hides
        self._variable_for = variable_for

    def value(self, path: tuple[str | int, ...], value: JSON) -> JSON:
        """The value at a path as a manifest may hold it."""
        if isinstance(path[-1], str) and self._hides(path[-1]):
            if value in (None, "", [], {}):
                return None
            if isinstance(value, bool | list | dict | float):
                self.is_bent = True
                return None
            found = Secret(path, self._variable_for(path))
            self.secrets.append(found)
            return found.reference
        if isinstance(value, list):
            return [self.value((*path, place), item) for place, item in enumerate(value)]
        if isinstance(value, dict):
            held = {name: self.value((*path, name), item) for name, item in value.items()}
            return {
                name: item
                for name, item in held.items()
                if item is not None or (value[name] is None and not self._hides(name))
            }
        return value


_SCHEMAS = "schemas"
"""The folder with the schemas, seen from the current one, for editors."""


def compose(
    drafts: Sequence[Draft],
    shared: Sequence[Shared],
    folder: str,
    schemas: Schemas,
    comments: Mapping[tuple[str, str], str] = {},
    *,
    has_ids: bool = True,
) -> dict[str, str]:
    """The files below the folder, by path, those with defaults first.

    Were the writing of them to end half-way, no manifest would lack its defaults.

    Args:
        drafts: the manifests.
        shared: their defaults.
        folder: where the files go.
        schemas: of all kinds.
        comments: what stands behind a field with that canonical value.
        has_ids: whether the manifests name the ids of their monitors.
    """
    ordering = Ordering(schemas)
    documents: dict[str, list[tuple[str, str]]] = {}

    def text_of(value: dict[str, JSON]) -> str:
        spec = value["spec"]
        told = {field: comments.get((field, canonical(item)), "") for field, item in spec.items()}
        said = {
            name: escaped(item) if name in {"spec", "extra"} else item
            for name, item in value.items()
        }
        return document(said, told)

    for item in shared:
        values = {"apiVersion": API_VERSION, "kind": DEFAULTS}
        applies = {"appliesTo": list(item.kinds)} if item.kinds else {}
        spec = {"spec": ordering.sorted(DEFAULTS, item.spec)}
        text = text_of({**values, **applies, **spec})
        documents.setdefault(defaults.NAMES[0], []).append((DEFAULTS, text))
    for draft in drafts:
        spec = ordering.sorted(draft.kind, draft.spec)
        number = draft.id if has_ids else None
        value = {**head(draft.kind, draft.name, number), "spec": spec}
        extra = {"extra": draft.extra} if draft.extra else {}
        text = text_of({**value, **extra})
        if draft.held_back:  # in ASCII, where no character can end the comment
            names = ", ".join(json.dumps(name)[1:-1] for name in draft.held_back)
            text += f"# to do: AlertSite has strings in {names} that may be secrets\n"
        documents.setdefault(draft.path, []).append((draft.kind, text))
    return {path: _text(folder, path, items) for path, items in documents.items()}


_NAME = re.compile(r"\w[\w .()/&'+-]{0,59}")
"""A name that can stand in a comment and be nothing else there: no directive has all of it."""


def comments_of(
    drafts: Iterable[Draft], live: Sequence[Live], schemas: Schemas, redactor: Redactor
) -> dict[tuple[str, str], str]:
    """What AlertSite calls the ids in a field, by field and canonical value."""
    values = {
        (draft.kind, field, canonical(value)): value
        for draft in drafts
        for field, value in draft.spec.items()
        if schemas.kinds[draft.kind].field(field).names
        or schemas.kinds[draft.kind].field(field).member_of
    }
    uses = [
        use
        for (kind, field, _), value in values.items()
        for use in uses_of(schemas.kinds[kind], field, [value])
    ]
    names = {(item.field, item.key, item.id): item.name for item in find_names(uses, live)}
    found: dict[tuple[str, str], str] = {}
    for (kind, field, text), value in values.items():
        told = [
            names.get((use.field, use.key, use.id), "")
            for use in uses_of(schemas.kinds[kind], field, [value])
        ]
        comment = printable(", ".join(told))
        if told and all(map(_NAME.fullmatch, told)) and not redactor.holds(comment):
            found[field, text] = comment
    return found


def _text(folder: str, path: str, documents: Sequence[tuple[str, str]]) -> str:
    """The text of a file, with a line for editors if nothing else says which schema it is of.

    In a folder with the name of a kind the settings that `init` writes say it for all files.
    """
    texts = "---\n".join(text for _, text in documents)
    kinds = {kind for kind, _ in documents}
    if len(kinds) > 1:
        return texts  # there is one such line for a whole file
    (kind,) = kinds
    if kind in path.split("/")[:-1]:
        return texts
    where = os.path.relpath(_SCHEMAS, os.path.dirname(os.path.join(folder, path)))
    return f"# yaml-language-server: $schema={where}/{kind.lower()}.schema.json\n{texts}"
