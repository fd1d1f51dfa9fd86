"""Reading the manifests of a workspace, with every finding at once.

Defaults are merged before validation, so a manifest is valid or not as a whole.
"""

from __future__ import annotations

import os
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from reconciler import manifests
from reconciler.core.inheritance import (
    APPEND,
    combined,
    elements_of,
    is_not_inherited,
    marks_of,
    new_indices,
)
from reconciler.core.lint.codes import EXPIRED_MAINTENANCE, UNUSED_UNTIL
from reconciler.core.mask import passwords_in
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
from reconciler.core.nearest import did_you_mean
from reconciler.core.siblings import NOBODY
from reconciler.core.variables import UNDEFINED, fill
from reconciler.errors import (
    Diagnostic,
    InvalidEditsError,
    InvalidManifestsError,
    Position,
    Problem,
    Severity,
)
from reconciler.schema import DEFAULTS, OVERRIDE
from reconciler.secrets import unknown_scheme
from reconciler.usecases import defaults, overrides
from reconciler.usecases.defaults import Inherited

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from reconciler.core.model import JSON, Field, Kind
    from reconciler.core.siblings import Claims
    from reconciler.schema import Schemas
    from reconciler.secrets import SecretRules

    Uses: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]


_ESCAPED = re.compile(rb"\\(?:x|u00|U000000)(?:24|7[bB])|\$\\\r?\n")
"""What a text between double quotes may have in place of a `${` that it means."""


class Sources(NamedTuple):
    """What the fleet of one account is loaded from.

    Attributes:
        folders: layers of manifests: the shared ones first, then the account's own. What a later
            one says counts more.
        variables: what `${name}` stands for.
        account: whose id of `metadata.ids` counts.
        accounts: the names that ids may be of; none if any may be meant.
        others: what other accounts with the same login describe.
        twin: another account that has the same folders, so that none is this one's own.
    """

    folders: Sequence[str]
    variables: Mapping[str, JSON] = MappingProxyType({})
    account: str = DEFAULT_ACCOUNT
    accounts: Collection[str] = ()
    others: Claims = NOBODY
    twin: str = ""

    def layer(self, path: str) -> int:
        """Which of the folders a file is in, the last if it is in several; 0 if in none."""
        for index in range(len(self.folders) - 1, 0, -1):
            if path.startswith(f"{os.path.normpath(self.folders[index])}/"):
                return index
        return 0

    def shared(self, path: str) -> str:
        """The shared folder that a file is in; empty if it is in the account's own."""
        index = self.layer(path)
        return os.path.normpath(self.folders[index]) if index < len(self.folders) - 1 else ""

    @property
    def why_no_own(self) -> str:
        """Why nothing can be written for this account alone; empty if it can."""
        return self.twin and (
            f"the account {self.twin} has the same manifests; end the list of {self.account} in "
            "reconciler.toml with a folder of its own, or edit them by hand for both"
        )


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
    sources: Sources,
    schemas: Schemas,
    today: str = "",
    rules: SecretRules | None = None,
    *,
    may_be_empty: bool = False,
    edited: Mapping[str, bytes | None] = MappingProxyType({}),
) -> Fleet:
    """Finds, reads and checks what the fleet of one account is loaded from.

    Args:
        sources: where the manifests are, and for which account.
        schemas: what manifests must fit.
        today: the day, as YYYY-MM-DD; what was to be ignored until an earlier one is not ignored
            any more, with a warning.
        rules: which secrets the manifests may name; None where none is going to be resolved, and
            what they name does not matter.
        may_be_empty: whether folders without manifests are a fleet too.
        edited: files as they would be, and None for one that would be gone.

    Raises:
        ConfigurationError: there are no manifests to read.
        InvalidManifestsError: with every finding of all files.
        InvalidEditsError: the same, of files as they would be.
    """
    loading = _Loading(schemas, today, rules, edited, sources)
    return loading.fleet(sources.folders, may_be_empty=may_be_empty)


def load_fleet(
    paths: Sequence[str],
    schemas: Schemas,
    today: str = "",
    rules: SecretRules | None = None,
    *,
    may_be_empty: bool = False,
) -> Fleet:
    """As `load`, of files and folders that are one layer, without variables."""
    loading = _Loading(schemas, today, rules, {}, Sources(()))
    return loading.fleet(paths, may_be_empty=may_be_empty)


_NO_MANIFESTS = (
    "Put the manifests of the account {account} there, or set its folders with manifests in "
    "reconciler.toml. To write manifests for its monitors, run: reconciler import -a {account}"
)


_NO_DOCUMENT = "the file is empty, or has only comments; restore its content, or delete the file"
_PASSWORD = (
    "the URL contains a password, which must not be in a manifest; remove it, or write a secretRef "
    "in place of the whole value"
)
_OVERLOOKED = "only *.yaml and *.yml files are read; rename it, or move it to another folder"


class _Loading:
    """What has been read so far."""

    def __init__(
        self,
        schemas: Schemas,
        today: str,
        rules: SecretRules | None,
        edited: Mapping[str, bytes | None],
        sources: Sources,
    ) -> None:
        self.desired: list[Desired] = []
        self.findings: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self._schemes: dict[str, str] = {}
        self.locator = manifests.Locator(edited)
        self._edited = edited
        self._sources = sources
        self._faulty: set[Position] = set()
        self._uses: dict[tuple[str, int], Uses] = {}
        self._schemas = schemas
        self._today = today
        self._rules = rules
        self._parser = manifests.Parser()
        self._defaults = defaults.Defaults(schemas)
        self._overrides = overrides.Overrides(schemas)

    def fleet(self, paths: Sequence[str], *, may_be_empty: bool) -> Fleet:
        """What the files at and below the paths describe."""
        account = self._sources.account
        hint = "" if account == DEFAULT_ACCOUNT else _NO_MANIFESTS.format(account=account)
        files, overlooked = manifests.find(paths, may_be_empty=may_be_empty, hint=hint)
        above = defaults.above(paths)
        if edited := self._edited:
            left = {path: None for path in (*files, *edited) if edited.get(path, b"") is not None}
            files = sorted(path for path in left if path not in above)
            above = [path for path in above if path in left or path not in edited]
        for path in sorted({*above, *filter(defaults.is_defaults, files)}):
            before = len(self.findings)
            for document in self._documents(path):
                self._check_other(document, self._defaults.add(document))
            if len(self.findings) > before:
                self._defaults.spoil(path)
        described = [path for path in files if not defaults.is_defaults(path)]
        found: list[manifests.Document] = []
        for path in described:
            for document in self._documents(path):
                value = document.value
                if isinstance(value, dict) and value.get("kind") == OVERRIDE:
                    layer = self._sources.layer(path)
                    self._check_other(document, self._overrides.add(document, layer))
                else:
                    found.append(document)
        for document in found:
            self._take(document)
        if self._overrides and not self._faulty:
            layers: dict[str, int] = {}
            for document in found:
                if address := _address(document):
                    layer = self._sources.layer(document.path)
                    layers[address] = min(layer, layers.get(address, layer))
            self.findings += self._overrides.unused(layers, self.locator)
        self.findings += _duplicates(self.desired, self.locator)
        if self._sources.others is not NOBODY:
            self.findings += _claimed(self.desired, self.locator, self._sources.others)
        if self.findings:
            error = InvalidEditsError if edited else InvalidManifestsError
            raise error(tuple(sorted(set(self.findings))))
        by_address = {item.address: item for item in self.desired}
        for path in overlooked:
            place = Position(path, 1, 1)
            self.warnings.append(Diagnostic(place, "file-name", _OVERLOOKED, Severity.WARNING))
        where, warnings = ", ".join(paths), tuple(sorted(self.warnings))
        return Fleet(by_address, len(described), where, warnings, self._sources)

    def _check_other(self, document: manifests.Document, problems: Iterable[Problem]) -> None:
        """Notes what is wrong with a document that gives values to manifests."""
        found = [self._placed(problem, document.origin) for problem in problems]
        self.findings += [item for item in found if item.position not in self._faulty]
        if not found and "lifecycle" in document.value:
            until = document.value["lifecycle"].get("until", "")
            self._check_until(until, document.origin, document.value.get("spec", {}))

    def _placed(
        self, problem: Problem, origin: Origin, severity: Severity = Severity.ERROR
    ) -> Diagnostic:
        """The finding, at its place in a document."""
        place = self.locator.position(origin, problem.pointer, of_key=problem.of_key)
        return problem.at(place, severity)

    def _take(self, document: manifests.Document) -> None:
        document, inherited = self._with_defaults(document)
        if len(self._sources.folders) > 1 or self._overrides:
            document, inherited = self._layered(document, inherited)
        kind = self._schemas.accept(document.value)
        if kind is None:
            explained = self._explain(document, inherited)
            self.findings += [item for item in explained if item.position not in self._faulty]
            return
        desired = self._desired(kind, document, inherited)
        if desired.lifecycle.ignore:
            desired = self._still_ignoring(desired)
        if desired.lifecycle.until:
            self._check_until(desired.lifecycle.until, desired.origin, desired.fields)
        if self._rules is not None and desired.secrets:
            self._check_secrets(desired, self._rules)
        self.desired.append(desired)

    def _documents(self, path: str) -> list[manifests.Document]:
        """The documents of a file, with values in place of variables; notes what is wrong."""
        edited = self._edited.get(path)
        data = manifests.read(path) if edited is None else edited
        if isinstance(data, Diagnostic):
            self.findings.append(data)
            self._faulty.add(data.position)
            return []
        documents, faults = self._parser.parse(path, data)
        if not documents and not faults:
            faults = [Diagnostic(Position(path, 1, 1), "no-document", _NO_DOCUMENT)]
        if b"${" in data or (b"\\" in data and _ESCAPED.search(data)):
            documents = [self._filled(document, faults) for document in documents]
        if b"@" in data or b"${" in data or b"\\" in data:
            for document in documents:
                problems = (
                    Problem(path, "plain-secret", _PASSWORD)
                    for path in passwords_in(document.value)
                )
                faults += [self._placed(problem, document.origin) for problem in problems]
        if faults:
            self.findings += faults
            self._faulty.update(fault.position for fault in faults)
        return documents

    def _filled(self, document: manifests.Document, faults: list[Diagnostic]) -> manifests.Document:
        """The document with values in place of its variables; adds what is wrong with those."""
        filled = fill(document.value, self._sources.variables)
        if filled.uses:
            self._uses[document.path, document.number] = filled.uses
        for fault in filled.faults:
            message, is_secret = fault.message, self._is_secret(fault.pointer)
            if is_secret and fault.code != UNDEFINED:
                continue  # what it quotes may be the secret; that there is one, the schema says
            if fault.code == UNDEFINED:
                name, advice = self._sources.account, ""
                if not is_secret:  # which does not belong there either
                    whose = "" if name == DEFAULT_ACCOUNT else f" of the account {name}, or"
                    advice = f"; define it under vars{whose} of [defaults] in reconciler.toml"
                message += did_you_mean(fault.name, sorted(self._sources.variables)) or advice
            problem = Problem(fault.pointer, fault.code, message)
            faults.append(self._placed(problem, document.origin))
        return document._replace(value=filled.value)

    def _is_secret(self, pointer: tuple[str | int, ...]) -> bool:
        """Whether a value stands where only a secretRef may."""
        section, *steps = pointer
        names = [step for step in steps if isinstance(step, str)]
        kinds = self._schemas.kinds.values()
        is_named = any(kind.hides(name) for kind in kinds for name in names)
        return section == "extra" and SECRET_REF not in names and is_named

    def _layered(
        self, document: manifests.Document, inherited: Inherited
    ) -> tuple[manifests.Document, Inherited]:
        """The document with what later layers and Overrides say of it, and where that stands."""
        address, value = _address(document), document.value
        if not address or not isinstance(value.get("spec"), dict):
            return document, inherited
        sections = {name: dict(value.get(name) or {}) for name in overrides.SECTIONS}
        origins, overridden = dict(inherited.origins), dict[str, Origin]()
        appended, refused = dict(inherited.appended), dict(inherited.refused)
        layer = self._sources.layer(document.path)
        later = self._sources.folders[layer + 1 :]
        for given in (
            *self._defaults.over(document.path, value["kind"], later),
            *self._overrides.of(address, layer),
        ):
            fields, field = sections[given.section], given.field
            known = fields.get(field)
            elements = elements_of(given.value)
            before = overridden.get(field) or origins.get(field)
            is_refused = is_not_inherited(given.value)
            if is_refused and not given.is_override and field not in origins:
                continue  # what a manifest says itself is no default
            for places in (origins, overridden, appended, refused):
                places.pop(field, None)
            if is_refused:
                if fields.pop(field, None) is not None:
                    refused[field] = before or document.origin
                continue
            fields[field] = given.value if elements is None else elements
            if elements is not None and isinstance(known, list):
                fields[field] = combined(known, elements)
            elif elements is not None and given.is_override:
                pointer = (given.section, field, APPEND)
                message = f"{given.section}.{field} has no list here; write it without append"
                problem = Problem(pointer, "nothing-to-append-to", message, of_key=True)
                self.findings.append(self._placed(problem, given.origin))
            places = overridden if given.is_override else origins
            places[field] = given.origin
        kept = {name: fields for name, fields in sections.items() if fields or name in value}
        document = document._replace(value={**value, **kept})
        return document, inherited._replace(
            origins=origins, appended=appended, refused=refused, overridden=overridden
        )

    def _desired(self, kind: Kind, document: manifests.Document, inherited: Inherited) -> Desired:
        """What a valid document describes; notes what is wrong with its ids."""
        value, sources = document.value, self._sources
        metadata = value["metadata"]
        fields = value["spec"] | value["extra"] if "extra" in value else value["spec"]
        secrets: dict[str, JSON] = {}
        if "extra" in value or dict in map(type, fields.values()):  # in spec, one is a whole value
            secrets = {name: item for name, item in fields.items() if next(secret_refs(item), None)}
        if secrets:
            fields = {name: item for name, item in fields.items() if name not in secrets}
        shared = sources.shared(document.path) if len(sources.folders) > 1 else ""
        override_at = None
        if self._overrides:
            own = max(len(sources.folders) - 1, 0)
            override_at = self._overrides.last(_address(document), own)
        desired = Desired(
            kind=kind,
            name=metadata["name"],
            id=int(metadata["id"]) if "id" in metadata else None,  # JSON Schema takes 7.0 for one
            labels=metadata.get("labels", {}),
            fields=fields,
            origin=document.origin,
            secrets=secrets,
            inherited=inherited.origins,
            lifecycle=_lifecycle(value["lifecycle"]) if "lifecycle" in value else Lifecycle(),
            previously=tuple(metadata.get("previously", ())),
            appended=inherited.appended,
            refused=inherited.refused,
            overridden=inherited.overridden,
            override_at=override_at,
            variables=self._variables_of(document, inherited) if self._uses else {},
            layer=shared,
            overruled=inherited.overruled,
        )
        problems = []
        for name in metadata.get("ids", ()) if sources.accounts else ():
            if name not in sources.accounts:  # else a slip of the pen would make a second monitor
                advice = did_you_mean(name, sorted(sources.accounts)) or "; remove its id"
                message = (
                    f"metadata.ids names {name}, but the settings have no such account{advice}"
                )
                pointer = ("metadata", "ids", name)
                problems.append(Problem(pointer, "unknown-account", message, of_key=True))
        if "ids" in metadata and "id" not in metadata:
            number = metadata["ids"].get(sources.account)
            pointer = ("metadata", "ids", sources.account)
            desired = desired._replace(id=None if number is None else int(number), id_at=pointer)
        elif "ids" in metadata:
            message = "metadata.ids has the id of each account; remove metadata.id"
            problems.append(Problem(("metadata", "id"), "two-ids", message))
        elif shared and "id" in metadata and sources.account != DEFAULT_ACCOUNT:
            message = (
                "an id belongs to one account, but several use this manifest; write ids: "
                f"{{{sources.account}: {desired.id}}}"
            )
            problems.append(Problem(("metadata", "id"), "shared-id", message))
        self.findings += [self._placed(problem, document.origin) for problem in problems]
        return desired

    def _variables_of(
        self, document: manifests.Document, inherited: Inherited
    ) -> dict[str, tuple[str, ...]]:
        """The variables in the values of its fields."""
        here = document.origin
        found: dict[str, tuple[str, ...]] = {}
        for section in overrides.SECTIONS:
            for field in document.value.get(section, ()):
                added = inherited.appended.get(field)
                places = (added.origin, here) if added else (inherited.place(field) or here,)
                names = [name for place in places for name in self._names(place, section, field)]
                if names:
                    found[field] = tuple(dict.fromkeys(names))
        for (section, field), used in self._uses.get((here.path, here.document), {}).items():
            if section not in overrides.SECTIONS:
                found[f"{section}.{field}"] = used
        return found

    def _names(self, origin: Origin, section: str, field: str) -> tuple[str, ...]:
        """The variables in a value, where it stands."""
        return self._uses.get((origin.path, origin.document), {}).get((section, field), ())

    def _with_defaults(self, document: manifests.Document) -> tuple[manifests.Document, Inherited]:
        """The document with what it gets from defaults, as far as it does not name that itself.

        Notes what is wrong with what it says of them.
        """
        value = document.value
        kind, spec = (value.get("kind"), value.get("spec")) if isinstance(value, dict) else ("", "")
        if not isinstance(kind, str) or not isinstance(spec, dict):
            return document, defaults.NOTHING
        marks = marks_of(spec)
        if not marks and not self._defaults:
            return document, defaults.NOTHING
        given = self._defaults.of(document.path, kind)
        extra = value.get("extra")
        named = {*spec, *(extra if isinstance(extra, dict) else ())}
        origins = {field: item for field, item in given.origins.items() if field not in named}
        values = {field: given.values[field] for field in origins}
        overruled = {
            field: item
            for field, item in given.origins.items()
            if field in spec and field not in marks
        }
        appended: dict[str, Appended] = {}
        refused: dict[str, Origin] = {}
        fields = self._schemas.kinds[kind].fields if kind in self._schemas.kinds else {}
        for field, mark in marks.items():
            known, elements = fields.get(field), elements_of(mark)
            origin, problem = given.origins.get(field), None
            if known is None:
                values[field] = mark  # which the schema explains
            elif is_not_inherited(mark):
                refused |= {field: origin} if origin else {}
            elif elements is None or known.set_key is None:
                values |= {field: given.values[field]} if origin else {}
                problem = _bad_mark(known, mark)
            elif origin is not None:
                default = given.values[field]
                values[field] = combined(default, elements)
                appended[field] = Appended(origin, len(default), new_indices(default, elements))
            else:
                values[field] = elements
                appended[field] = Appended(document.origin, 0, tuple(range(len(elements))))
                if not self._defaults.may_give_more(document.path):
                    pointer, code = ("spec", field, APPEND), "nothing-to-append-to"
                    message = (
                        f"no default sets spec.{field} here; write the whole list, without append"
                    )
                    problem = Problem(pointer, code, message, of_key=True)
            if problem is not None:
                self.findings.append(self._placed(problem, document.origin))
        if values or marks:
            own = {name: item for name, item in spec.items() if name not in marks}
            document = document._replace(value={**value, "spec": {**values, **own}})
        return document, Inherited(values, origins, appended, refused, overruled=overruled)

    def _explain(self, document: manifests.Document, inherited: Inherited) -> Iterator[Diagnostic]:
        value = document.value
        if isinstance(value, dict) and value.get("kind") == DEFAULTS:
            message = f"{DEFAULTS} belong in a file named {defaults.NAMES[0]}"
            yield self._placed(Problem(("kind",), "misplaced-defaults", message), document.origin)
            return
        is_lacking = self._defaults.may_give_more(document.path)
        for problem in self._schemas.explain(value):
            place, pointer, message = document.origin, problem.pointer, problem.message
            if problem.code == "missing-key" and pointer == ("spec",):
                field = message.rpartition(".")[2]
                elsewhere = self._defaults.elsewhere(field, value["kind"])
                if is_lacking:
                    continue  # one fault in a defaults file would be shown for each manifest
                if elsewhere is not None and field not in inherited.refused:
                    message += (
                        f"; the default at {elsewhere} does not apply here. To move a manifest and "
                        "keep its values, use reconciler mv"
                    )
            origin = _default_at(pointer, inherited)
            if origin is not None and problem.other and not _default_at(problem.other, inherited):
                pointer = problem.other  # of the two, the one that the manifest names itself
            elif origin is not None:
                place = origin
            else:
                pointer = _as_appended(pointer, inherited)
            section, name, *_ = (*problem.pointer, "", "")
            if names := self._names(place, str(section), str(name)):
                message += f" (from ${{{'}, ${'.join(names)}}})"
            yield self._placed(problem._replace(message=message, pointer=pointer), place)

    def _check_until(self, until: str, origin: Origin, fields: Mapping[str, JSON]) -> None:
        """Notes a maintenance that should be over, or that is none any more."""
        if fields.get("enabled") is not False:
            code = UNUSED_UNTIL
            message = "until has no effect without enabled: false; remove it"
        elif until and until < self._today:
            code = EXPIRED_MAINTENANCE
            message = (
                f"maintenance until {until} is over, but the monitor is still disabled; remove "
                "enabled: false, or set a later day"
            )
        else:
            return
        problem = Problem(("lifecycle", "until"), code, message)
        self.warnings.append(self._placed(problem, origin, Severity.WARNING))

    def _still_ignoring(self, desired: Desired) -> Desired:
        """The manifest without what it ignored until a day that is past; notes what is wrong."""
        origin = desired.origin
        ignore = []
        for index, item in enumerate(desired.lifecycle.ignore):
            pointer = ("lifecycle", "ignore", index)
            is_named = item.field in desired.fields or item.field in desired.secrets
            if not is_named and not self._defaults.may_give_more(origin.path):
                message = f"the manifest does not set {item.field}; remove it here"
                problem = Problem((*pointer, "field"), "ignored-field", message)
                self.findings.append(self._placed(problem, origin))
            if item.until >= self._today:
                ignore.append(item)
            else:
                message = (
                    f"{item.field} is compared again, as it was ignored only until {item.until} "
                    f"({item.reason}); remove this, or set a later day"
                )
                problem = Problem((*pointer, "until"), "expired-ignore", message)
                self.warnings.append(self._placed(problem, origin, Severity.WARNING))
        return desired._replace(lifecycle=desired.lifecycle._replace(ignore=tuple(ignore)))

    def _check_secrets(self, desired: Desired, rules: SecretRules) -> None:
        """Notes each secretRef that must not be resolved, or whose field AlertSite shows to others.

        If there is none, it warns of those that nothing here can look up: a typing error, perhaps.
        """
        refused: list[Diagnostic] = []
        unknown: list[Diagnostic] = []
        for field, value in desired.secrets.items():
            is_shown = rules.shows(desired, field)
            for path, ref in secret_refs(value):
                refusal, scheme = rules.refusal(ref), ref.scheme
                if scheme not in self._schemes:
                    self._schemes[scheme] = unknown_scheme(scheme)
                warning = self._schemes[scheme]
                if not (refusal or is_shown or warning):
                    continue
                place = self.locator.of_field(desired, field, *path, SECRET_REF)
                if refusal:
                    refused.append(Diagnostic(place, "refused-secret", refusal))
                if is_shown:
                    message = (
                        f"AlertSite shows spec.{field} to everyone who can see the monitor, so it "
                        "cannot be a secret; if this is intended, add it to fields under [secrets] "
                        "in reconciler.toml"
                    )
                    refused.append(Diagnostic(place, "shown-secret", message))
                if warning:
                    unknown.append(Diagnostic(place, "unknown-scheme", warning, Severity.WARNING))
        self.findings += refused
        self.warnings += () if refused else unknown


def _address(document: manifests.Document) -> str:
    """The address of a document that has one, valid or not; else nothing."""
    value = document.value
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or not isinstance(value.get("kind"), str):
        return ""
    return f"{value['kind']}/{metadata.get('name')}"


def _default_at(pointer: tuple[str | int, ...], inherited: Inherited) -> Origin | None:
    """The Defaults document or Override that the value there comes from, if it does from one."""
    if pointer[:1] not in {("spec",), ("extra",)} or not pointer[1:]:
        return None
    if overridden := inherited.overridden.get(str(pointer[1])):
        return overridden
    appended = inherited.appended.get(str(pointer[1]))
    if appended is not None:
        _, _, index, *_ = (*pointer, appended.inherited)
        is_given = isinstance(index, int) and index < appended.inherited
        return appended.origin if is_given else None
    return inherited.origins.get(str(pointer[1]))


def _bad_mark(field: Field, mark: JSON) -> Problem:
    """What is wrong with something that a manifest says of a default, which makes no sense."""
    if APPEND not in mark:
        message = f"spec.{field.name} can only be {{inherit: false}}: no default applies"
    elif field.set_key is None:
        message = f"spec.{field.name} is not a list; append works only with lists"
    else:
        message = f"spec.{field.name} can only append a list: {{append: [...]}}, and no more"
    return Problem(("spec", field.name), "inherit", message)


def _as_appended(pointer: tuple[str | int, ...], inherited: Inherited) -> tuple[str | int, ...]:
    """Where an element that the manifest adds to a default stands in the manifest."""
    match pointer:
        case ("spec", str(field), int(index), *rest) if field in inherited.appended:
            appended = inherited.appended[field]
            own = appended.indices[index - appended.inherited]
            return ("spec", field, APPEND, own, *rest)
        case _:
            return pointer


def _lifecycle(value: JSON) -> Lifecycle:
    ignore = tuple(Ignored(**item) for item in value.get("ignore", ()))
    return Lifecycle(**{**value, "ignore": ignore})


def _duplicates(desired: Sequence[Desired], locator: manifests.Locator) -> Iterator[Diagnostic]:
    def position(item: Desired, key: str) -> Position:
        pointer = item.id_at if key == "id" else ("metadata", key)
        return locator.position(item.origin, pointer)

    addresses: dict[str, Desired] = {}
    ids: dict[int, Desired] = {}
    for item in desired:
        first = addresses.setdefault(item.address, item)
        if first is not item:
            other = position(first, "name")
            message = f"{item.address} is already described at {other}; rename one of them"
            yield Diagnostic(position(item, "name"), "duplicate-address", message)
        if item.id is None:
            continue
        first = ids.setdefault(item.id, item)
        if first is not item:
            other = position(first, "id")
            message = f"monitor {item.id} is already bound by {first.address} at {other}"
            yield Diagnostic(position(item, "id"), "duplicate-id", message)


def _claimed(
    desired: Iterable[Desired], locator: manifests.Locator, others: Claims
) -> Iterator[Diagnostic]:
    """A finding for each manifest whose monitor another account with the same login has."""
    resolve = manifests.Resolving()
    for path in sorted({item.origin.path for item in desired}):
        if claim := others.files.get(resolve(path)):
            message = (
                f"this file is also a manifest of the account {claim.account} "
                f"({claim.origin.path}), which has the same login; give each account its own file"
            )
            yield Diagnostic(Position(path, 1, 1), "shared-file", message)
    for item in desired:
        claim = None if item.id is None else others.ids.get(item.id)
        if claim is not None:
            message = (
                f"monitor {item.id} is also bound by {claim}, and both accounts have the same "
                "login; remove one of the two manifests"
            )
            place = locator.position(item.origin, item.id_at)
            yield Diagnostic(place, "duplicate-id", message)
