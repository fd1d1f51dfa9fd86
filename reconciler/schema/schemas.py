"""The manifest schemas, and whether a document fits the one of its kind."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.model import JSON, Kind
from reconciler.core.nearest import did_you_mean
from reconciler.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

API_VERSION = "reconciler/v1"
DEFAULTS = "Defaults"
"""The kind of a document with values for manifests."""
OVERRIDE = "Override"
"""The kind of a document with the fields of one manifest that differ."""
_SECONDS = {"minutes": 60, "seconds": 1}
_NUMBERS = (int, float)  # JSON Schema takes 5.0 for an integer; true is none


class Schemas:
    """The manifest schemas, by kind; a kind is a schema file whose `kind` is a constant.

    In a file, `required` names the fields that only a manifest can give, and `x-required` those
    that a default may give too: an editor sees the manifest without its defaults. Here, where they
    are merged, both are required.

    Attributes:
        documents: the schemas of manifests.
        others: those of the documents that hold values for manifests, Defaults and Override.
    """

    def __init__(self, folder: Path) -> None:
        schemas: dict[JSON, dict[str, JSON]] = {}
        for path in sorted(folder.glob("*.schema.json")):
            schema = json.loads(path.read_bytes())
            if kind := schema["properties"].get("kind", {}).get("const"):
                schemas[kind] = _without_marks(schema) if "spec" in schema["properties"] else schema
        self.documents = {
            kind: schema for kind, schema in schemas.items() if "metadata" in schema["properties"]
        }
        for schema in self.documents.values():
            spec = schema["properties"]["spec"]
            spec["required"] = [*dict.fromkeys(spec["required"] + spec.get("x-required", []))]
        self.others = {
            kind: schema for kind, schema in schemas.items() if kind not in self.documents
        }
        self._schemas = dict(schemas)
        if OVERRIDE in schemas:  # whose fields are judged in the manifest that they become part of
            sections = {name: {"type": "object"} for name in ("spec", "extra")}
            properties = schemas[OVERRIDE]["properties"] | sections
            self._schemas[OVERRIDE] = {**schemas[OVERRIDE], "properties": properties}
        self.kinds = {name: Kind.from_schema(schema) for name, schema in self.documents.items()}
        self._orders = {name: _orders(schema) for name, schema in self.documents.items()}
        self._compiled: dict[str, Callable[[JSON], bool]] = {}

    def accept(self, value: JSON) -> Kind | None:
        """The kind of a valid manifest; None for anything else, which `explain` explains."""
        try:
            name = value["kind"]
            orders = self._orders[name]
        except (KeyError, TypeError):
            return None
        if not self._accepts(name, value):
            return None
        for order in orders:
            if order.broken(value):
                return None
        return self.kinds[name]

    def explain(self, value: JSON) -> Iterator[Problem]:
        """Why `accept` does not accept the value: at least one problem."""
        if not isinstance(value, dict):
            yield Problem((), "type", "a manifest is a mapping that starts with apiVersion")
            return
        name = value.get("kind")
        if not isinstance(name, str) or name not in self.documents:
            kinds = ", ".join(sorted(self.documents))
            if "kind" not in value:
                yield Problem((), "missing-key", f"missing key kind: one of {kinds}")
            else:
                hint = did_you_mean(name, self.documents) or f"; the kinds are {kinds}"
                yield Problem(("kind",), "unknown-kind", f"unknown kind {name}{hint}")
            if "apiVersion" not in value:
                yield Problem((), "missing-key", f"missing key apiVersion: {API_VERSION}")
            elif value["apiVersion"] != API_VERSION:
                message = f"apiVersion must be {API_VERSION}"
                yield Problem(("apiVersion",), "api-version", message)
            return
        from reconciler.schema.explanation import problems  # 130 ms

        found = [self._of_other_kinds(name, it) for it in problems(self.documents[name], value)]
        found += [order.problem(value) for order in self._orders[name] if order.broken(value)]
        if not found and self.accept(value) is None:
            # The two validators disagree. That is a bug, but nothing may be dropped without a word.
            found = [Problem((), "invalid", f"this does not match the schema of {name}")]
        yield from found

    def explain_other(self, kind: str, value: JSON) -> Iterator[Problem]:
        """Why a document of one of the `others` does not fit its schema; nothing if it does.

        What the fields of an Override hold is judged in the manifest that they become part of.
        """
        if not self._accepts(kind, value):
            from reconciler.schema.explanation import problems  # 130 ms

            yield from problems(self._schemas[kind], value)

    def _accepts(self, kind: str, value: JSON) -> bool:
        accepts = self._compiled.get(kind)
        if accepts is None:
            from jsonschema_rs import Draft202012Validator  # 25 ms, and 1 ms for each schema

            accepts = self._compiled[kind] = Draft202012Validator(self._schemas[kind]).is_valid
        return accepts(value)

    def _of_other_kinds(self, name: str, problem: Problem) -> Problem:
        """The problem; that of an unknown key tells which kinds have such a field."""
        match problem.code, problem.pointer:
            case "unknown-key", ("spec", str(key)):
                having = [other for other, kind in self.kinds.items() if key in kind.fields]
            case _:
                return problem
        if not having:
            return problem
        message = f"unknown key spec.{key}: it is a field of {' and '.join(having)}, not of {name}"
        return problem._replace(message=message)


class _Order(NamedTuple):
    """One duration that must be longer than another (`x-longer-than`, in `x-unit`s)."""

    longer: str
    shorter: str
    longer_unit: str
    shorter_unit: str

    def broken(self, value: Mapping[str, JSON]) -> bool:
        spec = value.get("spec")
        if not isinstance(spec, dict):
            return False
        longer: JSON = spec.get(self.longer)
        shorter: JSON = spec.get(self.shorter)
        if type(longer) not in _NUMBERS or type(shorter) not in _NUMBERS:
            return False
        return bool(longer * _SECONDS[self.longer_unit] <= shorter * _SECONDS[self.shorter_unit])

    def problem(self, value: Mapping[str, JSON]) -> Problem:
        longer, shorter = value["spec"][self.longer], value["spec"][self.shorter]
        message = (
            f"{self.longer} ({longer} {self.longer_unit}) must be longer than "
            f"{self.shorter} ({shorter} {self.shorter_unit})"
        )
        other = ("spec", self.shorter)
        return Problem(("spec", self.longer), "too-short", message, other=other)


@cache
def installed_schemas() -> Schemas:
    """The schemas that come with the tool; read and compiled once in a process."""
    return Schemas(schema_folder())


def schema_folder() -> Path:
    """Where the schemas are: in the wheel inside the package, in a checkout beside it."""
    package = Path(__file__).parents[1]
    packaged = package / "schemas"
    return packaged if packaged.is_dir() else package.parent / "schemas"


def _without_marks(schema: dict[str, JSON]) -> dict[str, JSON]:
    """The schema of a manifest, or of a value in one, once defaults and variables are in place.

    For editors, the schema of a value also takes what may stand in its place: what is said about
    its default (see `core/inheritance.py`), and a variable. Each is a condition, whose `else` is
    the schema of the value itself. They are no list of alternatives, since an editor would name the
    wrong one of those.
    """
    while "else" in schema:
        rest = {key: value for key, value in schema.items() if key not in {"if", "then", "else"}}
        schema = {**rest, **schema["else"]}
    if "properties" in schema:
        fields = {name: _without_marks(field) for name, field in schema["properties"].items()}
        schema = {**schema, "properties": fields}
    if "properties" in schema.get("items", {}):
        schema = {**schema, "items": _without_marks(schema["items"])}
    return schema


def _orders(schema: Mapping[str, JSON]) -> tuple[_Order, ...]:
    fields = schema["properties"]["spec"]["properties"]
    return tuple(
        _Order(name, other, field["x-unit"], fields[other]["x-unit"])
        for name, field in fields.items()
        if (other := field.get("x-longer-than"))
    )
