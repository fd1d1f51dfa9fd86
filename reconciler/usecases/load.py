"""Reading the manifests of a workspace, with every finding at once.

Defaults are merged before validation, so a manifest is valid or not as a whole.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from reconciler import manifests
from reconciler.core.inheritance import (
    APPEND,
    combined,
    elements_of,
    is_not_inherited,
    marks_of,
    new_indices,
)
from reconciler.core.lint import EXPIRED_MAINTENANCE, UNUSED_UNTIL
from reconciler.core.model import (
    DEFAULT_ACCOUNT,
    SECRET_REF,
    Appended,
    Desired,
    Ignored,
    Lifecycle,
    Origin,
    secret_refs,
)
from reconciler.errors import Diagnostic, InvalidManifestsError, Position, Severity
from reconciler.schema import DEFAULTS
from reconciler.usecases import defaults
from reconciler.usecases.defaults import Inherited

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.core.diff import FieldChange
    from reconciler.core.model import JSON, Field, Kind
    from reconciler.core.plan import Plan
    from reconciler.core.redactor import Redactor
    from reconciler.errors import Problem
    from reconciler.schema import Schemas
    from reconciler.secrets import SecretRules, Vault


class Sources(NamedTuple):
    """What the fleet of one account is loaded from.

    Attributes:
        folders: layers of manifests: the shared ones first, then the account's own. What a later
            one says counts more.
        variables: what `${name}` stands for.
        account: whose id of `metadata.ids` counts.
    """

    folders: Sequence[str]
    variables: Mapping[str, JSON] = MappingProxyType({})
    account: str = DEFAULT_ACCOUNT


class Fleet(NamedTuple):
    """Every manifest of a workspace, valid, with unique addresses and ids.

    Attributes:
        by_address: the manifests.
        files: how many files they stand in.
        where: the files and folders that were named, for messages.
        warnings: what is to be said of manifests that are valid, sorted.
        sources: what it was loaded from.
    """

    by_address: Mapping[str, Desired]
    files: int
    where: str
    warnings: tuple[Diagnostic, ...] = ()
    sources: Sources = Sources(())

    @property
    def desired(self) -> tuple[Desired, ...]:
        """The manifests, in the order of their files."""
        return tuple(self.by_address.values())


def load(
    folders: Sequence[str],
    schemas: Schemas,
    today: str = "",
    rules: SecretRules | None = None,
    *,
    variables: Mapping[str, JSON] = MappingProxyType({}),
    account: str = DEFAULT_ACCOUNT,
    may_be_empty: bool = False,
    edited: Mapping[str, bytes | None] = MappingProxyType({}),
) -> Fleet:
    """Finds, reads and checks what the fleet of one account is loaded from.

    Args:
        folders: layers of manifests: the shared ones first, the account's own last.
        schemas: what manifests must fit.
        today: the day, as YYYY-MM-DD; what was to be ignored until an earlier one is not ignored
            any more, with a warning.
        rules: which secrets the manifests may name; None where none is going to be resolved, and
            what they name does not matter.
        variables: what `${name}` in a value stands for.
        account: whose id of `metadata.ids` counts.
        may_be_empty: whether folders without manifests are a fleet too.
        edited: files as they would be, and None for one that would be gone.

    Raises:
        ConfigurationError: there are no manifests to read.
        InvalidManifestsError: with every finding of all files.
    """
    return load_fleet(folders, schemas, today, rules, may_be_empty=may_be_empty, edited=edited)


def load_fleet(
    paths: Sequence[str],
    schemas: Schemas,
    today: str = "",
    rules: SecretRules | None = None,
    *,
    may_be_empty: bool = False,
    edited: Mapping[str, bytes | None] = MappingProxyType({}),
) -> Fleet:
    """Finds, reads and checks the manifests.

    Args:
        paths: files and folders.
        schemas: what manifests must fit.
        today: the day, as YYYY-MM-DD; what was to be ignored until an earlier one is not ignored
            any more, with a warning.
        rules: which secrets the manifests may name; None where none is going to be resolved, and
            what they name does not matter.
        may_be_empty: whether a folder without manifests is a fleet too.
        edited: files as they would be, and None for one that would be gone.

    Raises:
        ConfigurationError: there are no manifests to read.
        InvalidManifestsError: with every finding of all files.
    """
    loading = _Loading(schemas, today, rules, edited)
    files = manifests.find(paths, may_be_empty=may_be_empty)
    above = defaults.above(paths)
    if edited:
        left = {path: None for path in (*files, *edited) if edited.get(path, b"") is not None}
        files = sorted(path for path in left if path not in above)
        above = [path for path in above if path in left or path not in edited]
    for path in sorted({*above, *filter(defaults.is_defaults, files)}):
        loading.read_defaults(path)
    described = [path for path in files if not defaults.is_defaults(path)]
    for path in described:
        loading.read(path)
    loading.findings += _duplicates(loading.desired, loading.locator)
    if loading.findings:
        raise InvalidManifestsError(tuple(sorted(set(loading.findings))))
    where, warnings = ", ".join(paths), tuple(sorted(loading.warnings))
    by_address = {item.address: item for item in loading.desired}
    return Fleet(by_address, len(described), where, warnings)


class _Loading:
    """What has been read so far."""

    def __init__(
        self,
        schemas: Schemas,
        today: str,
        rules: SecretRules | None,
        edited: Mapping[str, bytes | None],
    ) -> None:
        self.desired: list[Desired] = []
        self.findings: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self.locator = manifests.Locator(edited)
        self._edited = edited
        self._schemas = schemas
        self._today = today
        self._rules = rules
        self._parser = manifests.Parser()
        self._defaults = defaults.Defaults(schemas)

    def read_defaults(self, path: str) -> None:
        before = len(self.findings)
        documents, faults = self._documents(path)
        known = {fault.position for fault in faults}
        for document in documents:
            found = self._defaults.add(document, self.locator)
            self.findings += [item for item in found if item.position not in known]
            value = document.value
            if len(self.findings) == before and "lifecycle" in value:
                origin = Origin(document.path, document.number, document.line)
                self._check_until(value["lifecycle"].get("until", ""), origin, value["spec"])
        if len(self.findings) > before:
            self._defaults.spoil(path)

    def read(self, path: str) -> None:
        documents, faults = self._documents(path)
        for document in documents:
            inherited = self._inherited(document)
            if marks := _marks_of(document):
                inherited = self._marked(document, inherited, marks)
            if inherited.values or marks:
                value = document.value
                own = {name: item for name, item in value["spec"].items() if name not in marks}
                spec = {**inherited.values, **own}
                document = document._replace(value={**value, "spec": spec})  # noqa: PLW2901
            if kind := self._schemas.accept(document.value):
                desired = _desired(kind, document, inherited)
                if desired.lifecycle.ignore:
                    desired = self._still_ignoring(desired)
                if desired.lifecycle.until:
                    self._check_until(desired.lifecycle.until, desired.origin, desired.fields)
                if self._rules is not None and desired.secrets:
                    self.findings += _refused_secrets(desired, self._rules, self.locator)
                self.desired.append(desired)
            else:
                known = {fault.position for fault in faults}
                explained = self._explain(document, inherited)
                self.findings += [item for item in explained if item.position not in known]

    def _documents(self, path: str) -> tuple[list[manifests.Document], list[Diagnostic]]:
        edited = self._edited.get(path)
        data = manifests.read(path) if edited is None else edited
        if isinstance(data, Diagnostic):
            self.findings.append(data)
            return [], []
        documents, faults = self._parser.parse(path, data)
        self.findings += faults
        return documents, faults

    def _inherited(self, document: manifests.Document) -> Inherited:
        """What the document gets from defaults, without what it names itself."""
        value = document.value
        if not self._defaults or not isinstance(value, dict):
            return defaults.NOTHING
        kind, spec = value.get("kind"), value.get("spec")
        if not isinstance(kind, str) or not isinstance(spec, dict):
            return defaults.NOTHING
        found = self._defaults.of(document.path, kind)
        extra = value.get("extra")
        named = {*spec, *(extra if isinstance(extra, dict) else ())}
        if named.isdisjoint(found.values):
            return found
        origins = {field: item for field, item in found.origins.items() if field not in named}
        return Inherited({field: found.values[field] for field in origins}, origins)

    def _marked(
        self, document: manifests.Document, inherited: Inherited, marks: Mapping[str, JSON]
    ) -> Inherited:
        """What the document gets, with what it says of defaults itself; notes what is wrong."""
        kind = document.value["kind"]
        given = self._defaults.of(document.path, kind)
        fields = self._schemas.kinds[kind].fields if kind in self._schemas.kinds else {}
        values = dict(inherited.values)
        appended: dict[str, Appended] = {}
        refused: dict[str, Origin] = {}
        for field, mark in marks.items():
            known, elements = fields.get(field), elements_of(mark)
            origin = given.origins.get(field)
            if known is None:
                values[field] = mark  # which the schema explains
            elif is_not_inherited(mark):
                refused |= {field: origin} if origin else {}
            elif elements is None or known.set_key is None:
                values |= {field: given.values[field]} if origin else {}
                self.findings.append(self._bad_mark(document, known, mark))
            elif origin is None:
                values[field] = elements
                here = Origin(document.path, document.number, document.line)
                appended[field] = Appended(here, 0, tuple(range(len(elements))))
                if not self._defaults.may_give_more(document.path):
                    self.findings.append(self._nothing_to_append_to(document, field))
            else:
                default = given.values[field]
                values[field] = combined(default, elements)
                appended[field] = Appended(origin, len(default), new_indices(default, elements))
        return Inherited(values, inherited.origins, appended, refused)

    def _bad_mark(self, document: manifests.Document, field: Field, mark: JSON) -> Diagnostic:
        place = self.locator.position(document.path, document.number, ("spec", field.name))
        if APPEND not in mark:
            message = f"spec.{field.name} can only say {{inherit: false}}: no default counts"
        elif field.set_key is None:
            message = f"spec.{field.name} is no list, so that nothing can be appended to it"
        else:
            message = f"spec.{field.name} can only append a list: {{append: [...]}}, and no more"
        return Diagnostic(place, "inherit", message)

    def _nothing_to_append_to(self, document: manifests.Document, field: str) -> Diagnostic:
        place = self.locator.position(
            document.path, document.number, ("spec", field, APPEND), of_key=True
        )
        message = f"no default gives spec.{field} here, so write the whole list, without append"
        return Diagnostic(place, "nothing-to-append-to", message)

    def _explain(self, document: manifests.Document, inherited: Inherited) -> Iterator[Diagnostic]:
        value = document.value
        if isinstance(value, dict) and value.get("kind") == DEFAULTS:
            message = f"{DEFAULTS} belong in a file named {defaults.NAMES[0]}"
            place = self.locator.position(document.path, document.number, ("kind",))
            yield Diagnostic(place, "misplaced-defaults", message)
            return
        is_lacking = self._defaults.may_give_more(document.path)
        for found in self._schemas.explain(value):
            problem = self._with_default(found, value, inherited)
            if is_lacking and problem.code == "missing-key" and problem.pointer == ("spec",):
                continue  # one fault in a defaults file would be shown for each manifest
            path, number, pointer = document.path, document.number, problem.pointer
            origin = _default_at(pointer, inherited)
            if origin is not None and problem.other and not _default_at(problem.other, inherited):
                pointer = problem.other  # of the two, the one that the manifest names itself
            elif origin is not None:
                path, number = origin.path, origin.document
            else:
                pointer = _as_appended(pointer, inherited)
            position = self.locator.position(path, number, pointer, of_key=problem.of_key)
            yield problem.at(position)

    def _with_default(self, problem: Problem, value: JSON, inherited: Inherited) -> Problem:
        """The problem; of a key that a default gives in another folder, with that."""
        if problem.code != "missing-key" or problem.pointer != ("spec",):
            return problem
        field = problem.message.rpartition(".")[2]
        origin = self._defaults.elsewhere(field, value["kind"])
        if origin is None or field in inherited.refused:
            return problem
        advice = f"; the default at {origin} does not count here, where reconciler mv would keep it"
        return problem._replace(message=problem.message + advice)

    def _check_until(self, until: str, origin: Origin, fields: Mapping[str, JSON]) -> None:
        """Notes a maintenance that should be over, or that is none any more."""
        if fields.get("enabled") is not False:
            code = UNUSED_UNTIL
            message = "until says how long enabled: false is meant, which it is not; remove it"
        elif until and until < self._today:
            code = EXPIRED_MAINTENANCE
            message = (
                f"what is described here was to be off until {until}, and still is; remove "
                "enabled: false, or give it a later day"
            )
        else:
            return
        place = self.locator.position(origin.path, origin.document, ("lifecycle", "until"))
        self.warnings.append(Diagnostic(place, code, message, Severity.WARNING))

    def _still_ignoring(self, desired: Desired) -> Desired:
        """The manifest without what it ignored until a day that is past; notes what is wrong."""
        origin = desired.origin
        ignore = []
        for index, item in enumerate(desired.lifecycle.ignore):
            pointer = ("lifecycle", "ignore", index)
            is_named = item.field in desired.fields or item.field in desired.secrets
            if not is_named and not self._defaults.may_give_more(origin.path):
                place = self.locator.position(origin.path, origin.document, (*pointer, "field"))
                message = f"the manifest names no field {item.field}; remove it here"
                self.findings.append(Diagnostic(place, "ignored-field", message))
            if item.until >= self._today:
                ignore.append(item)
            else:
                place = self.locator.position(origin.path, origin.document, (*pointer, "until"))
                message = (
                    f"{item.field} is compared again, as it was to be ignored until {item.until} "
                    f"({item.reason}); remove this, or give it a later day"
                )
                warning = Diagnostic(place, "expired-ignore", message, Severity.WARNING)
                self.warnings.append(warning)
        return desired._replace(lifecycle=desired.lifecycle._replace(ignore=tuple(ignore)))


def _default_at(pointer: tuple[str | int, ...], inherited: Inherited) -> Origin | None:
    """The Defaults document that the value there comes from, if it comes from one."""
    if pointer[:1] != ("spec",) or not pointer[1:]:
        return None
    appended = inherited.appended.get(str(pointer[1]))
    if appended is not None:
        _, _, index, *_ = (*pointer, appended.inherited)
        is_given = isinstance(index, int) and index < appended.inherited
        return appended.origin if is_given else None
    return inherited.origins.get(str(pointer[1]))


def _as_appended(pointer: tuple[str | int, ...], inherited: Inherited) -> tuple[str | int, ...]:
    """Where an element that the manifest adds to a default stands in the manifest."""
    match pointer:
        case ("spec", str(field), int(index), *rest) if field in inherited.appended:
            appended = inherited.appended[field]
            own = appended.indices[index - appended.inherited]
            return ("spec", field, APPEND, own, *rest)
        case _:
            return pointer


def _marks_of(document: manifests.Document) -> dict[str, JSON]:
    """The fields of a document that say something about a default."""
    value = document.value
    spec = value.get("spec") if isinstance(value, dict) else None
    if not isinstance(spec, dict) or not isinstance(value.get("kind"), str):
        return {}
    return marks_of(spec)


def require_secrets(wanted: Iterable[tuple[Desired, str]], vault: Vault) -> None:
    """Stops if a secret that would be used is not available.

    Raises:
        InvalidManifestsError: with a finding for each of them, at its place in the manifest.
    """
    locator = manifests.Locator()
    findings = []
    for desired, field in wanted:
        for found in secret_refs(desired.secrets[field]):
            if failure := vault.failure(found.ref):
                place = _secret_place(locator, desired, field, found.path)
                findings.append(Diagnostic(place, "missing-secret", failure))
    if findings:
        raise InvalidManifestsError(tuple(sorted(set(findings))))


def _refused_secrets(
    desired: Desired, rules: SecretRules, locator: manifests.Locator
) -> Iterator[Diagnostic]:
    """A finding for each secret that must not be resolved, or not go where it stands."""
    for field, value in desired.secrets.items():
        is_shown = rules.shows(desired, field)
        for found in secret_refs(value):
            place = _secret_place(locator, desired, field, found.path)
            if refusal := rules.refusal(found.ref):
                yield Diagnostic(place, "refused-secret", refusal)
            if is_shown:
                message = (
                    f"spec.{field} is shown by AlertSite to all who may see the monitor, so it "
                    "holds no secret; if this is intended, name it as one of fields under "
                    "[secrets] "
                    "in reconciler.toml"
                )
                yield Diagnostic(place, "shown-secret", message)


def without_secrets(plan: Plan, fleet: Iterable[Desired], vault: Vault) -> Plan:
    """The plan without known secrets that AlertSite shows in other fields.

    So nothing that is made of a plan holds one: its JSON, a saved plan, what is pending in a state.

    Raises:
        InvalidManifestsError: a manifest has one in the clear; with a finding for each.
    """
    if not plan.changes and not plan.unmanaged_monitors:
        return plan
    fleet = tuple(fleet)
    vault.learn(value for item in fleet for value in item.secrets.values())
    redactor = vault.redactor
    if redactor.holds("\n".join(item.name for item in plan.unmanaged_monitors)):
        cleaned = (item._replace(name=redactor.text(item.name)) for item in plan.unmanaged_monitors)
        plan = plan._replace(unmanaged_monitors=tuple(cleaned))
    texts = (
        repr((item.body, [(it.before, it.applied) for it in item.fields])) for item in plan.changes
    )
    if not redactor.holds("\n".join(texts)):
        return plan
    desired = {item.address: item for item in fleet}
    locator = manifests.Locator()
    findings = [
        Diagnostic(
            _field_place(locator, desired[change.address], field),
            "plain-secret",
            "the value is or contains a known secret in plain text: write a secretRef",
        )
        for change in plan.changes
        if change.address in desired
        for field, value in change.body.items()
        if field in desired[change.address].fields and redactor.holds(repr(value))
    ]
    if findings:
        raise InvalidManifestsError(tuple(sorted(set(findings))))
    return plan._replace(
        changes=tuple(
            change._replace(fields=tuple(_redacted(field, redactor) for field in change.fields))
            for change in plan.changes
        )
    )


def _redacted(field: FieldChange, redactor: Redactor) -> FieldChange:
    leaves = tuple(leaf._replace(before=redactor.value(leaf.before)) for leaf in field.leaves)
    before, applied = redactor.value(field.before), redactor.value(field.applied)
    return field._replace(before=before, applied=applied, leaves=leaves)


def _field_place(locator: manifests.Locator, desired: Desired, field: str) -> Position:
    section = "spec" if field in desired.kind.fields else "extra"
    origin = desired.inherited.get(field, desired.origin)
    return locator.position(origin.path, origin.document, (section, field), of_key=True)


def _secret_place(
    locator: manifests.Locator, desired: Desired, field: str, path: tuple[str | int, ...]
) -> Position:
    """Where a secretRef stands: its field is under `spec`, or else under `extra`."""
    section = "spec" if field in desired.kind.fields else "extra"
    origin = desired.inherited.get(field, desired.origin)
    return locator.position(origin.path, origin.document, (section, field, *path, SECRET_REF))


def _desired(kind: Kind, document: manifests.Document, inherited: Inherited) -> Desired:
    value = document.value
    metadata = value["metadata"]
    fields = value["spec"] | value["extra"] if "extra" in value else value["spec"]
    secrets = _secrets(fields) if "extra" in value or dict in map(type, fields.values()) else {}
    return Desired(
        kind=kind,
        name=metadata["name"],
        id=int(metadata["id"]) if "id" in metadata else None,  # JSON Schema takes 7.0 for one
        labels=metadata.get("labels", {}),
        fields=_without(fields, secrets) if secrets else fields,
        origin=Origin(document.path, document.number, document.line),
        secrets=secrets,
        inherited=inherited.origins,
        lifecycle=_lifecycle(value["lifecycle"]) if "lifecycle" in value else _USUAL,
        previously=tuple(metadata.get("previously", ())),
        appended=inherited.appended,
        refused=inherited.refused,
    )


_USUAL = Lifecycle()


def _lifecycle(value: JSON) -> Lifecycle:
    ignore = tuple(Ignored(**item) for item in value.get("ignore", ()))
    protect, retire = value.get("protect", False), value.get("retire", "delete")
    release, until = value.get("release", "restore"), value.get("until", "")
    return Lifecycle(protect, retire, ignore, release, until)


def _secrets(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    """The fields that hold a secretRef."""
    return {name: value for name, value in fields.items() if next(secret_refs(value), None)}


def _without(fields: Mapping[str, JSON], secrets: Mapping[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in fields.items() if name not in secrets}


def _duplicates(desired: Sequence[Desired], locator: manifests.Locator) -> Iterator[Diagnostic]:
    def position(item: Desired, key: str) -> Position:
        return locator.position(item.origin.path, item.origin.document, ("metadata", key))

    addresses: dict[str, Desired] = {}
    ids: dict[int, Desired] = {}
    for item in desired:
        first = addresses.setdefault(item.address, item)
        if first is not item:
            other = position(first, "name")
            message = f"{item.address} is already described at {other}; give one another name"
            yield Diagnostic(position(item, "name"), "duplicate-address", message)
        if item.id is None:
            continue
        first = ids.setdefault(item.id, item)
        if first is not item:
            other = position(first, "id")
            message = f"monitor {item.id} is already bound by {first.address} at {other}"
            yield Diagnostic(position(item, "id"), "duplicate-id", message)
