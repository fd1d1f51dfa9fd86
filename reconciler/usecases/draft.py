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
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.json_text import is_deeper
from reconciler.core.model import SECRET_REF, canonical, secret_refs
from reconciler.core.names import find_names, uses_of
from reconciler.core.naming import NOT_INHERITED, variable
from reconciler.core.printable import printable
from reconciler.core.variables import escaped
from reconciler.manifests.edits import ABSENT
from reconciler.manifests.writer import DEEPEST, NotWritableError, check, document
from reconciler.schema import DEFAULTS
from reconciler.usecases import defaults
from reconciler.usecases.fmt import Ordering

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import JSON, Field, Kind, Live
    from reconciler.core.naming import Draft, Shared
    from reconciler.core.redactor import Redactor
    from reconciler.errors import Problem
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
        value = _with(base, {pointer: values[0] for pointer, values in left.items()})
        if schemas.accept(value):
            return Fit({pointer: values[0] for pointer, values in left.items()}, reasons)
        problems = list(schemas.explain(value))
        refused = _refused(problems, left)
        if not refused:
            return Fit({}, reasons, problems[0].message)
        for pointer, message in refused.items():
            left[pointer].pop(0)
            if not left[pointer]:
                del left[pointer]
                reasons[pointer] = message


def _refused(problems: Sequence[Problem], left: Mapping[Pointer, JSON]) -> dict[Pointer, str]:
    """The fields that the problems are about, with the first message about each.

    A problem that is about none of them, but not for want of one, may come from the last.
    """
    found: dict[Pointer, str] = {}
    for problem in problems:
        section, field = (*problem.pointer[:2], "", "")[:2]
        if (str(section), str(field)) in left:
            found.setdefault((str(section), str(field)), problem.message)
    if not found and left and all(problem.code != "missing-key" for problem in problems):
        found[list(left)[-1]] = problems[0].message
    return found


def _with(base: Mapping[str, JSON], values: Mapping[Pointer, JSON]) -> dict[str, JSON]:
    result = {**base}
    for (section, field), value in values.items():
        fields = {**result.get(section, {}), field: value}
        result[section] = {name: item for name, item in fields.items() if item is not ABSENT}
    return result


_LITERAL = re.compile(r"\bDefault: (true|false|[0-9]+)\. ")
"""How a schema's description gives a default that the vendor documents as a value."""
_LIKE_A_SECRET = "its name looks like a secret, but its value does not; add it by hand"

_VariableFor = Callable[[tuple[str | int, ...]], str]
"""Gives the variable for the secret at a path."""


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
        draft = _Draft(
            self._known[kind.name], kind, live, lambda path: self._variable(kind, name, path)
        )
        draft.want_secrets(secret)
        draft.leave_out_known(self._redactor)
        draft.want_spec(inherited)
        draft.want_extra(write_unknown=self._write_unknown)
        draft.drop_unwritable()
        found = fit(self._schemas, head(kind.name, name, live.id), draft.wanted)
        reasons = draft.left_out | {field: text for (_, field), text in found.reasons.items()}
        parts: dict[str, dict[str, JSON]] = {"spec": {}, "extra": {}}
        for (part, field), value in found.values.items():
            parts[part][field] = value
        fault = found.fault
        if fault:
            fault = "; ".join(
                (f"AlertSite does not have what a manifest needs: {fault}", *reasons.values())
            )
        parts["spec"] = _beside_defaults(kind, parts["spec"], inherited, is_certain)
        kept = {**parts["spec"], **parts["extra"]}
        secrets = tuple(item for item in draft.secrets if item.path[0] in kept)
        held_back = tuple(draft.held_back)
        return Content(parts["spec"], parts["extra"], secrets, reasons, held_back, fault)

    def _variable(self, kind: Kind, name: str, path: tuple[str | int, ...]) -> str:
        found = variable(kind.name, name, path, self._variables)
        self._variables.add(found)
        return found


class _Draft:
    """What is wanted in the manifest of one monitor so far."""

    def __init__(self, known: _Known, kind: Kind, live: Live, variable_for: _VariableFor) -> None:
        self.wanted: dict[Pointer, list[JSON]] = {}
        self.left_out: dict[str, str] = {}
        self.secrets: list[Secret] = []
        self.held_back: list[str] = []
        self._known = known
        self._kind = kind
        self._variable_for = variable_for
        self._live = {
            name: value for name, value in live.fields.items() if not is_deeper(value, DEEPEST)
        }
        for field in live.fields.keys() - self._live.keys():
            self.left_out[field] = "it is nested too deeply"

    def want_secrets(self, fields: Iterable[str]) -> None:
        """Takes in fields that hold a secret whatever they are called."""
        for field in sorted(fields):
            if self._live.pop(field, None) is not None:
                secret = Secret((field,), self._variable_for((field,)))
                part = "spec" if field in self._kind.fields else "extra"
                self.wanted[part, field] = [secret.reference]
                self.secrets.append(secret)

    def leave_out_known(self, redactor: Redactor) -> None:
        """Takes out fields that hold a secret of this run, such as its password, in the clear."""
        for field, value in [*self._live.items()]:
            if redactor.holds(json.dumps([field, value])):
                del self._live[field]
                self.left_out[field] = "it contains a secret of this run in plain text"

    def want_spec(self, inherited: Mapping[str, JSON]) -> None:
        """Takes in the fields that the schema knows."""
        for field, default in self._known.defaults.items():
            if ("spec", field) in self.wanted:
                continue
            values = written(self._kind.field(field), self._live.get(field))
            if next(secret_refs(inherited.get(field)), None):
                continue  # what AlertSite shows of it is a secret
            if not values and field in self._known.empty:
                self.wanted["spec", field] = [""]
            elif values and (field in inherited or canonical_of(values[-1]) != default):
                self.wanted["spec", field] = values

    def want_extra(self, *, write_unknown: bool) -> None:
        """Takes in the others; what holds a text only if that is asked for."""
        for field in sorted(self._live.keys() - self._kind.fields.keys()):
            protecting = _Protecting(self._known.is_secret, self._variable_for)
            value = protecting.value((field,), self._live[field])
            if protecting.is_bent:
                self.left_out[field] = _LIKE_A_SECRET
            elif not write_unknown and _has_text(value):
                self.held_back.append(field)
            elif self._kind.field(field).normalise(value) is not None:
                self.wanted["extra", field] = [value]
                self.secrets += protecting.secrets

    def drop_unwritable(self) -> None:
        """Takes out what YAML cannot hold."""
        for pointer, values in [*self.wanted.items()]:
            try:
                check(pointer[1], values[0])
            except NotWritableError as error:
                self.left_out[pointer[1]] = str(error)
                del self.wanted[pointer]


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
        "apiVersion": "reconciler/v1",
        "kind": kind,
        "metadata": {"name": name} if number is None else {"name": name, "id": number},
        "spec": {},
    }


def _has_text(value: JSON) -> bool:
    """Whether a text stands in the value that is no secretRef."""
    if isinstance(value, dict):
        return SECRET_REF not in value and any(map(_has_text, value.values()))
    return (
        any(map(_has_text, value))
        if isinstance(value, list)
        else (isinstance(value, str) and value != "")
    )


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
        is_secret: whether a name looks like that of a secret.
    """

    defaults: Mapping[str, str | None]
    empty: frozenset[str]
    is_secret: Callable[[str], bool]

    @classmethod
    def of(cls, schema: Mapping[str, JSON]) -> _Known:
        spec = schema["properties"]["spec"]
        fields = spec["properties"]
        patterns = [
            re.compile(each) for each in schema["$defs"]["extraFields"]["patternProperties"]
        ]
        return cls(
            {name: _default(item) for name, item in fields.items() if not item.get("readOnly")},
            frozenset(name for name in spec["required"] if _may_be_empty(fields[name])),
            lambda name: any(pattern.search(name) for pattern in patterns),
        )


def _may_be_empty(schema: Mapping[str, JSON]) -> bool:
    return "pattern" in schema and re.search(schema["pattern"], "") is not None


def _default(schema: Mapping[str, JSON]) -> str | None:
    found = _LITERAL.search(schema["description"])
    return canonical(json.loads(found.group(1))) if found else None


class _Protecting:
    """Puts references in place of secrets.

    Attributes:
        is_bent: whether something was left out that is no secret and looks like one.
    """

    def __init__(
        self,
        is_secret: Callable[[str], bool],
        variable_for: _VariableFor,
    ) -> None:
        self.secrets: list[Secret] = []
        self.is_bent = False
        self._is_secret = is_secret
        self._variable_for = variable_for

    def value(self, path: tuple[str | int, ...], value: JSON) -> JSON:
        """The value at a path as a manifest may hold it."""
        if isinstance(path[-1], str) and self._is_secret(path[-1]):
            return self._reference(path, value)
        if isinstance(value, list):
            return [self.value((*path, place), item) for place, item in enumerate(value)]
        if isinstance(value, dict):
            return dict(self._members(path, value))
        return value

    def _members(
        self, path: tuple[str | int, ...], value: Mapping[str, JSON]
    ) -> Iterator[tuple[str, JSON]]:
        for name, item in value.items():
            held = self.value((*path, name), item)
            if held is not None or (item is None and not self._is_secret(name)):
                yield name, held

    def _reference(self, path: tuple[str | int, ...], value: JSON) -> JSON:
        if value in (None, "", [], {}):
            return None
        if isinstance(value, bool | list | dict | float):
            self.is_bent = True
            return None
        found = Secret(path, self._variable_for(path))
        self.secrets.append(found)
        return found.reference


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
        values = {"apiVersion": "reconciler/v1", "kind": DEFAULTS}
        applies = {"appliesTo": list(item.kinds)} if item.kinds else {}
        spec = {"spec": ordering.sorted(DEFAULTS, item.spec)}
        text = text_of({**values, **applies, **spec})
        documents.setdefault(defaults.NAMES[0], []).append((DEFAULTS, text))
    for draft in drafts:
        spec = ordering.sorted(draft.kind, draft.spec)
        number = draft.id if has_ids else None
        value = {**head(draft.kind, draft.name, number), "spec": spec}
        extra = {"extra": draft.extra} if draft.extra else {}
        text = text_of({**value, **extra}) + _to_do(draft.held_back)
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


def _to_do(held_back: Sequence[str]) -> str:
    """A comment that names fields; in ASCII, where no character can end it."""
    if not held_back:
        return ""
    names = ", ".join(json.dumps(name)[1:-1] for name in held_back)
    return f"# to do: AlertSite has strings in {names} that may be secrets\n"


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
