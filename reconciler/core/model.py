"""The values that everything else is about, and what makes two of them the same.

Rule: immutable, no I/O. How a field behaves on the wire is read from its JSON Schema property, so
that a new kind needs one new schema and no code:

- `type`: numbers and switches are read from text too.
- `readOnly`: dropped from live, refused in a manifest. `writeOnly`: AlertSite does not show it.
- `additionalProperties: false`: of an element only the keys that a manifest may write are compared.
- `x-set-key`: a list is a set, by that key. `x-member-of`: the field names one element of that set.
- `x-send-with`: what must accompany it, with live's value if no manifest names it.
- `x-names`, of a `readOnly` member: the id that it names.
- `x-whitespace: ignore`: compared without any.
- `x-text`: the normal form of a text. `trimmed` is for line ends and what is around it, `host` also
  for the case of scheme and host, `mailbox` also for that of the domain.
- `x-coverage`: what losing it costs: `none`, or a cause and when it is one, as in `disabled when
  false` (`safety`).

Others are checked where manifests are (`schema`): `x-required`, `patternErrorMessage` (a `pattern`
in words), `x-unit` and `x-longer-than` (one duration against another).

Normal forms. AlertSite spells one value in several ways: `587` and `"587"`, `true` and `"y"`,
`MX.example.com` and `mx.example.com`, a text with and without its last line end. A field's normal
form is the same for all of them. Three things must stay true of each: it is idempotent, since what
a record or a manifest holds may be normal already; it takes two values together only where they
mean the same to AlertSite; and what it does not understand it leaves as it is, so that nonsense
differs from every value instead of passing for one.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


JSON: TypeAlias = Any
"""A JSON value as `json.loads` gives it. What is null or empty means "unset"."""

DEFAULT_ACCOUNT = "default"
"""The name of the account where there is only one."""
SECRET_REF = "secretRef"
"""The only key of a mapping that stands for a secret."""
_MOST_KNOWN = 10_000
_DIGITS = re.compile(r"\s*[-+]?[0-9]{1,18}\s*")
_SWITCHES = {
    **dict.fromkeys(("true", "y", "yes", "1"), True),
    **dict.fromkeys(("false", "n", "no", "0"), False),
}
_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def canonical(value: JSON) -> str:
    """The text that two normalised values share exactly when they are the same value."""
    return _encode(value)


def match_key(kind: str, name: JSON) -> tuple[str, str]:
    """What a monitor that is not bound by an id is recognised by: its kind and display name.

    Whether AlertSite keeps a name as it was sent is not documented, so spellings that differ only
    in what servers change (white space, case, forms of one character, `&amp;`) are the same name.
    """
    return kind, folded(name)


def folded(name: JSON) -> str:
    """The text that two spellings of one display name share."""
    if not isinstance(name, str):
        return canonical(name)
    if not name.isascii() or "&" in name:
        from html import unescape  # rare
        from unicodedata import normalize  # rare

        name = normalize("NFKC", unescape(name))
    return " ".join(name.split()).casefold()


class Account(NamedTuple):
    """An AlertSite login, by the name that it has here; the URL alone tells none from another."""

    name: str
    url: str

    def __str__(self) -> str:
        return self.url if self.name == DEFAULT_ACCOUNT else f"{self.name} ({self.url})"

    @property
    def settings(self) -> str:
        """What messages call the settings that say which login it is."""
        if self.name == DEFAULT_ACCOUNT:
            return "ALERTSITE_URL, the credentials"
        return f"the url and the login of the account {self.name},"


class Field(NamedTuple):
    """How one top-level field of a kind behaves on the wire.

    Attributes:
        normalise: gives every spelling of one value the same form.
        text: the canonical text of the normalised value; two values are the same exactly when their
            texts are, which keeps `true` and `1` apart as `==` does not.
        member_of: the set of which it names one element by its key; None if it names none.
        coverage: what monitoring is lost by when the field moves the wrong way; None if none is.
        is_shown: whether AlertSite shows its value to those who may see the monitor.
        names: of the members of its elements that are ids, the member that names each.
        is_read_only: whether AlertSite sets it, and no manifest may.
        unset: the value that a manifest may write to say that it has none; nothing where there is
            no such value.
    """

    name: str
    normalise: Callable[[JSON], JSON]
    text: Callable[[JSON], str]
    set_key: str | None
    send_with: tuple[str, ...]
    coverage: str | None = None
    member_of: str | None = None
    is_shown: bool = True
    names: Mapping[str, str] = {}
    is_read_only: bool = False
    unset: tuple[JSON, ...] = ()

    def is_same(self, one: JSON, other: JSON) -> bool:
        """Whether two values of the field mean the same to AlertSite."""
        return self.text(one) == self.text(other)


def _hides_nothing(_name: str) -> None:
    """Of a kind without a schema nobody knows what the names mean."""


class Kind(NamedTuple):
    """One of AlertSite's email monitor types, as its schema describes it.

    Attributes:
        hides: whether a key, at whatever depth, looks like the name of a secret.
    """

    name: str
    fields: Mapping[str, Field]
    hides: Callable[[str], object] = _hides_nothing

    @classmethod
    def from_schema(cls, schema: Mapping[str, JSON]) -> Kind:
        """The kind that a manifest schema describes (`kind` const, `spec` properties)."""
        name = schema["properties"]["kind"]["const"]
        properties = schema["properties"]["spec"]["properties"]
        fields = {key: _field(key, value) for key, value in properties.items()}
        extra = schema.get("$defs", {}).get("extraFields", {}).get("patternProperties", {})
        return cls(name, fields, re.compile("|".join(extra)).search if extra else _hides_nothing)

    def field(self, name: str) -> Field:
        """The field of that name; one from `extra` is compared as it is written."""
        return self.fields.get(name) or Field(name, _plain, _text(_plain), None, ())


def kind_of(address: str, kinds: Mapping[str, Kind]) -> Kind:
    """The kind in an address; if it is not among these, one of which no field is known."""
    name = address.partition("/")[0]
    return kinds.get(name) or Kind(name, {})


class Origin(NamedTuple):
    """Where a manifest stands.

    Attributes:
        path: the file, as it was found below the manifests folder.
        document: its number in the file, from 0.
        line: its first line, from 1.
    """

    path: str
    document: int
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Appended(NamedTuple):
    """A list that is a default with elements behind it.

    Attributes:
        origin: the Defaults document that the default comes from.
        inherited: how many elements the default has.
        indices: of the others, which of the elements behind it each one is.
    """

    origin: Origin
    inherited: int
    indices: tuple[int, ...]


class SecretRef(NamedTuple):
    """Where a secret is stored: `{secretRef: {env: NAME}}` has the scheme `env`."""

    scheme: str
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"


def secret_refs(value: JSON, path: tuple[str | int, ...] = ()) -> Iterator[Found]:
    """Every secretRef in a value, with the keys and indices that lead to it."""
    if isinstance(value, dict):
        if SECRET_REF in value:
            ((scheme, name),) = value[SECRET_REF].items()
            yield Found(path, SecretRef(scheme, name))
            return
        for key, item in value.items():
            yield from secret_refs(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from secret_refs(item, (*path, index))


class Found(NamedTuple):
    """A secretRef and where it stands in a value."""

    path: tuple[str | int, ...]
    ref: SecretRef


def scalars_in(value: JSON) -> Iterator[JSON]:
    """Every value in a value that holds no others, at any depth."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from scalars_in(item)
    else:
        yield value


def mappings_in(value: JSON) -> Iterator[Mapping[str, JSON]]:
    """The mappings in a list; in place of either AlertSite may show anything."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


class Ignored(NamedTuple):
    """A field that is not compared for a time.

    Attributes:
        until: the last such day, as YYYY-MM-DD.
    """

    field: str
    reason: str
    until: str


class Lifecycle(NamedTuple):
    """How a monitor is treated beyond its fields.

    Attributes:
        protect: deleting it is refused.
        retire: `delete` or `disable`, when it has no manifest any more.
        release: what becomes of a field that leaves the manifest: `restore` brings back what it was
            before Git first changed it, `keep` leaves it as it is.
        until: the last day on which `enabled: false` is meant, as YYYY-MM-DD; empty for ever.
    """

    protect: bool = False
    retire: str = "delete"
    ignore: tuple[Ignored, ...] = ()
    release: str = "restore"
    until: str = ""


class Undo(NamedTuple):
    """What taking a run back does to the record of a monitor, beside its fields.

    Attributes:
        forgets: the fields that the run was the first to name.
        is_unbound: whether the run bound the address, so that it is bound to nothing again.
    """

    forgets: frozenset[str]
    is_unbound: bool


class Desired(NamedTuple):
    """What one manifest says.

    Attributes:
        id: the AlertSite monitor it is bound to; None while it names none.
        fields: `spec` and `extra` together, as written: what is written is what is sent.
        secrets: the fields of both that hold a secretRef, at any depth; they are never compared
            with live, and sent with the secrets in place of the references.
        inherited: the fields whose value is a default, and the Defaults document that each comes
            from. The manifest does not name them itself, unless it is one of an earlier layer.
        appended: the lists of defaults that the manifest only adds elements to.
        refused: the fields that would have a value, were it not for `{inherit: false}`, and the
            document that gives it.
        overruled: the fields of `spec` that it names itself, over a default in that document.
        previously: names that it had before.
        overridden: the fields whose value an Override says, and that document.
        override_at: the Override of the account's own folder that names it, the last one.
        variables: the variables in its values, by field; of others by section too, as in
            `labels.team`.
        layer: the shared folder that it stands in; empty if that is the account's own.
        id_at: the keys that lead to its id, or to where it is to be written.
        undo: None for a manifest. What takes a run back names only what that run changed: of all
            else the record stays as it is, and nothing is released.
    """

    kind: Kind
    name: str
    id: int | None
    labels: Mapping[str, str]
    fields: Mapping[str, JSON]
    origin: Origin
    secrets: Mapping[str, JSON] = {}
    inherited: Mapping[str, Origin] = {}
    lifecycle: Lifecycle = Lifecycle()
    previously: tuple[str, ...] = ()
    undo: Undo | None = None
    appended: Mapping[str, Appended] = {}
    refused: Mapping[str, Origin] = {}
    overridden: Mapping[str, Origin] = {}
    override_at: Origin | None = None
    variables: Mapping[str, tuple[str, ...]] = {}
    layer: str = ""
    id_at: tuple[str, ...] = ("metadata", "id")
    overruled: Mapping[str, Origin] = {}

    def place(self, field: str) -> Origin:
        """The document that the value of a field comes from."""
        return self.overridden.get(field) or self.inherited.get(field) or self.origin

    @property
    def former(self) -> tuple[str, ...]:
        """The addresses that it had before."""
        return tuple(f"{self.kind.name}/{name}" for name in self.previously)

    def pointer(self, field: str) -> tuple[str, str]:
        """The keys that lead to a field: the schema knows it, or it is under `extra`."""
        return ("spec" if field in self.kind.fields else "extra", field)

    @property
    def address(self) -> str:
        """`kind/name`: the stable identity in Git."""
        return f"{self.kind.name}/{self.name}"


class Live(NamedTuple):
    """What AlertSite returned for one monitor.

    Attributes:
        type: AlertSite's monitor type; None if the answer does not say (it is not documented to).
        fields: the whole answer; a field is normalised when it is compared.
    """

    id: int
    type: str | None
    fields: Mapping[str, JSON]


class Unmanaged(NamedTuple):
    """A monitor that is not ours, as people know it.

    Attributes:
        type: AlertSite's monitor type; None if the answer does not say.
        name: its display name; empty if it has none.
    """

    id: int
    type: str | None
    name: str

    @classmethod
    def of(cls, live: Live) -> Unmanaged:
        """What is told of a monitor."""
        name = live.fields.get("name")
        return cls(live.id, live.type, name if isinstance(name, str) else "")


class Observation(NamedTuple):
    """What AlertSite has: one complete, checked reading.

    Attributes:
        live: every monitor of the list, and those that were read by id.
        unlisted: ids that the list leaves out and `GET /monitors/{id}` has.
    """

    live: tuple[Live, ...]
    unlisted: frozenset[int] = frozenset()


def _field(name: str, schema: Mapping[str, JSON]) -> Field:
    normalise = _normaliser(schema)
    members = schema.get("items", {}).get("properties", {})
    return Field(
        name,
        normalise,
        _text(normalise),
        schema.get("x-set-key"),
        tuple(schema.get("x-send-with", ())),
        schema.get("x-coverage"),
        schema.get("x-member-of"),
        not schema.get("writeOnly"),
        {item["x-names"]: key for key, item in members.items() if "x-names" in item},
        schema.get("readOnly") is True,
        _unset(schema),
    )


def _unset(schema: Mapping[str, JSON]) -> tuple[JSON, ...]:
    """What says in a manifest, and in a PATCH, that a field has no value."""
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else types
    if "null" in types:
        return (None,)
    if "string" in types and not schema.get("minLength"):
        return ("",) if re.search(schema.get("pattern", ""), "") else ()
    return ([],) if "array" in types and not schema.get("minItems") else ()


def _text(normalise: Callable[[JSON], JSON]) -> Callable[[JSON], str]:
    """The canonical text of a value, found once for each way in which the value is spelled.

    The same few sets of locations stand in thousands of monitors; working each out again would be
    two thirds of the time that deciding takes.
    """
    known: dict[str, str] = {}

    def text(value: JSON) -> str:
        spelling = repr(value)
        found = known.get(spelling)
        if found is None:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            found = known[spelling] = canonical(normalise(value))
        return found

    return text


def _normaliser(schema: Mapping[str, JSON]) -> Callable[[JSON], JSON]:
    """The function that gives every spelling of one value the same form."""
    if schema.get("x-whitespace") == "ignore":
        return _without_whitespace
    if "x-text" in schema:
        return _TEXTS[schema["x-text"]]
    match schema.get("type"):
        case "integer":
            return _integer
        case "boolean":
            return boolean
        case "array":
            return _array(_normaliser(schema["items"]), schema.get("x-set-key"))
        case "object":
            is_closed = schema.get("additionalProperties") is False
            return _object(schema["properties"], is_closed=is_closed)
        case _:
            return _plain


def boolean(value: JSON) -> JSON:
    """The normal form of a switch: AlertSite's older API says "y" and "n" of the same ones."""
    if value.__class__ is bool:
        return value
    if isinstance(value, str):
        text = value.strip().lower()
        return _SWITCHES.get(text, value if text else None)
    if isinstance(value, int | float) and value in {0, 1}:
        return value == 1
    return _plain(value)


def _plain(value: JSON) -> JSON:
    """The value with what is empty as None and whole floats as integers, at any depth."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value] or None
    if isinstance(value, dict):
        members = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in members.items() if item is not None} or None
    return None if value == "" else value


def _integer(value: JSON) -> JSON:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return _plain(value)


def _of_text(form: Callable[[str], str]) -> Callable[[JSON], JSON]:
    """The normal form of a text; of anything else, and of an empty one, as of any value."""
    return lambda value: (form(value) or None) if isinstance(value, str) else _plain(value)


def _trimmed(text: str) -> str:
    """A text as it is left by whoever trims it and has line ends of their own."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip()


def _host(text: str) -> str:
    """A host, or a URL of one: its scheme and its host have no case, all else has."""
    scheme, slashes, rest = text.strip().partition("://")
    if not slashes:
        scheme, rest = "", scheme
    server, slash, path = rest.partition("/")
    login, at, host = server.rpartition("@")
    return f"{scheme.lower()}{slashes}{login}{at}{host.lower()}{slash}{path}"


def _mailbox(text: str) -> str:
    """A mail address: its domain has no case, its local part may have (RFC 5321, 2.4)."""
    local, at, domain = text.strip().rpartition("@")
    return f"{local}{at}{domain.lower() if at else domain}"


_TEXTS: Mapping[str, Callable[[JSON], JSON]] = {
    "trimmed": _of_text(_trimmed),
    "host": _of_text(_host),
    "mailbox": _of_text(_mailbox),
}
"""What `x-text` can say of a text."""
_without_whitespace = _of_text(lambda text: "".join(text.split()))


def _array(item: Callable[[JSON], JSON], set_key: str | None) -> Callable[[JSON], JSON]:
    def normalise(value: JSON) -> JSON:
        if value.__class__ is not list:
            return _plain(value)
        items = [item(element) for element in value]
        if set_key is not None and len(items) > 1:
            _sort(items, set_key)
        return items or None

    return normalise


def _sort(items: list[JSON], set_key: str) -> None:
    """Sorts a set by its key, or by its text if an element lacks the key or shares it."""
    try:
        items.sort(key=itemgetter(set_key))
        is_unique = all(one[set_key] != other[set_key] for one, other in pairwise(items))
    except (KeyError, TypeError):
        is_unique = False
    if not is_unique:
        items.sort(key=canonical)


def elements_by_key(items: Sequence[JSON], set_key: str | None) -> dict[int | str, JSON] | None:
    """The elements of a set by what tells them apart; None where nothing does.

    AlertSite may show anything: elements without a key, two with the same, or a key that is a list.
    """
    if set_key is None:
        return None
    if not all(isinstance(item, dict) and type(item.get(set_key)) in {int, str} for item in items):
        return None
    found = {item[set_key]: item for item in items}
    return found if len(found) == len(items) else None


def _object(
    properties: Mapping[str, Mapping[str, JSON]], *, is_closed: bool
) -> Callable[[JSON], JSON]:
    """Of a closed mapping only what a manifest may write counts: AlertSite may add other keys."""
    other = None if is_closed else _plain
    members = {
        name: None if schema.get("readOnly") else _normaliser(schema)
        for name, schema in properties.items()
    }

    def normalise(value: JSON) -> JSON:
        if value.__class__ is not dict:
            return _plain(value)
        result = {}
        for name, item in value.items():
            member = members.get(name, other)
            if member is not None:
                kept = item if item.__class__ is int and member is _integer else member(item)
                if kept is not None:
                    result[name] = kept
        return result or None

    return normalise
