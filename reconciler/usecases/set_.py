"""Setting fields of many manifests at once.

Rule: AlertSite is not asked, and nothing is written unless all manifests are valid afterwards. Only
what differs from what counts already is written: a value that a default gives stays a default.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from reconciler import manifests
from reconciler.core.assignments import (
    EXTRA,
    LABELS,
    LIFECYCLE,
    SPEC,
    Assignment,
    BadAssignmentError,
    changed_list,
    value_of,
)
from reconciler.core.edit_report import EditedField
from reconciler.core.inheritance import APPEND, appendix, is_not_inherited
from reconciler.core.model import Lifecycle, canonical
from reconciler.core.nearest import did_you_mean
from reconciler.core.targets import GRAMMAR, bare, is_target, matches, with_addresses
from reconciler.core.variables import names_in
from reconciler.errors import ConfigurationError, Diagnostic, InvalidManifestsError, UsageError
from reconciler.manifests.edits import ABSENT, FieldEdit, NotEditableError
from reconciler.usecases.fmt import Ordering
from reconciler.usecases.layers import Spot, edited, spot_of, why_varies
from reconciler.usecases.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.core.model import JSON, Desired
    from reconciler.schema import Schemas
    from reconciler.secrets import SecretRules
    from reconciler.usecases.load import Fleet, Sources


class Edited(NamedTuple):
    """A file, and what it is to hold."""

    path: str
    original: bytes | None
    data: bytes


def write(file: Edited) -> None:
    """Writes a file, or removes one that is to hold nothing any more.

    Raises:
        ConfigurationError: it cannot be written, or has changed meanwhile.
    """
    if file.data or file.original is None:
        manifests.write(file.path, file.data, file.original)
    else:
        manifests.remove(file.path, file.original)


class Setting(NamedTuple):
    """What is to be written.

    Attributes:
        meant: how many manifests the targets mean.
        changed: how many of them are edited.
        fields: what is edited.
    """

    files: tuple[Edited, ...]
    meant: int
    changed: int
    fields: tuple[EditedField, ...]


class Asked(NamedTuple):
    """What is asked for.

    Attributes:
        targets: which manifests are meant; see `core/targets.py`.
        unset: fields that the manifests are to name no more.
    """

    targets: Sequence[str]
    assignments: Sequence[Assignment]
    unset: Sequence[str] = ()


def find_setting(
    sources: Sources,
    schemas: Schemas,
    wanted: Asked,
    today: str = "",
    rules: SecretRules | None = None,
) -> Setting:
    """The files with the fields set; writes nothing.

    Args:
        sources: what the fleet is loaded from.
        schemas: what they must fit.
        wanted: what is asked for.
        today: the day, as YYYY-MM-DD.
        rules: which secrets the manifests may name afterwards; None for any.

    Raises:
        UsageError: a target means nothing, or a value is none of its field.
        ConfigurationError: a file cannot be edited.
        InvalidManifestsError: the manifests have findings.
        InvalidEditsError: they would have some.
    """
    fleet = load(sources, schemas, today)
    chosen = _chosen(fleet, wanted.targets)
    edits: dict[str, dict[Spot, dict[tuple[str, str], FieldEdit]]] = {}
    told: list[EditedField] = []
    changed = 0
    for desired in chosen:
        try:
            found = dict(_edits(desired, schemas, wanted))
            spots = {pointer: _spot(desired, pointer, found[pointer], sources) for pointer in found}
        except BadAssignmentError as error:
            hint = (
                f"To list the fields and their types, run: reconciler explain {desired.kind.name}"
            )
            raise UsageError(str(error), hint) from error
        changed += bool(found)
        for pointer, edit in found.items():
            spot = spots[pointer]
            fields = edits.setdefault(spot.path, {}).setdefault(spot._replace(is_said=False), {})
            fields[pointer] = edit
            item = EditedField(spot.address, spot.path, ".".join(pointer), edit.value)
            is_removed = edit.value is ABSENT
            told.append(item._replace(value=None, is_removed=True) if is_removed else item)
    ordering = Ordering(schemas)
    files: list[Edited] = []
    for path in sorted(edits):
        original = manifests.read(path) if os.path.lexists(path) else None
        if isinstance(original, Diagnostic):
            raise InvalidManifestsError((original,))
        try:
            data = edited(original, edits[path], ordering.of)
        except NotEditableError as error:
            raise ConfigurationError(
                f"{path} cannot be edited: {error}",
                "Nothing was written. Edit this file by hand, then run the same command again.",
            ) from error
        if data != original:
            files.append(Edited(path, original, data))
    after = {file.path: file.data or None for file in files}
    load(sources, schemas, today, rules, edited=after)
    if not files:
        return Setting((), len(chosen), 0, ())
    return Setting(tuple(files), len(chosen), changed, tuple(told))


def _chosen(fleet: Fleet, targets: Sequence[str]) -> tuple[Desired, ...]:
    """The manifests that are meant.

    Raises:
        UsageError: a target means nothing.
    """
    named = with_addresses(targets, fleet.desired, {})
    for target in named:
        if not any(matches(item, target) for item in fleet.desired):
            name = bare(target)
            known = sorted(fleet.by_address)
            raise UsageError(
                f"the target {name} matches no manifest{did_you_mean(name, known)}",
                f"A target is {GRAMMAR}. NAME=VALUE is a label, unless NAME is a field of a kind.",
            )
    return tuple(item for item in fleet.desired if is_target(item, named))


def _edits(
    desired: Desired, schemas: Schemas, wanted: Asked
) -> Iterator[tuple[tuple[str, str], FieldEdit]]:
    labels = dict(desired.labels)
    for name in wanted.unset:
        section, _, field = name.rpartition(".")
        if section == LABELS:
            labels.pop(field, None)
        else:
            yield from _unset(desired, section or SPEC, field)
    for asked in wanted.assignments:
        if asked.sign and asked.section != SPEC:
            raise BadAssignmentError(f"{asked}: += works only with lists of spec")
        if asked.section == LABELS:
            labels[asked.field] = asked.text
        elif asked.section == SPEC:
            yield from _of_spec(desired, schemas, asked)
        else:
            schema = _schema(schemas, desired, asked)
            value = value_of(asked, schema, _read)
            if canonical(value) != canonical(_now(desired, asked.section, asked.field)):
                yield (asked.section, asked.field), FieldEdit(value)
    if labels != desired.labels:
        yield ("metadata", LABELS), FieldEdit(labels or ABSENT)


def _unset(
    desired: Desired, section: str, field: str
) -> Iterator[tuple[tuple[str, str], FieldEdit]]:
    """The edit that removes a field, if the manifest names it."""
    if section in {EXTRA, LIFECYCLE}:
        bare = desired._replace(fields={}, secrets={}, lifecycle=Lifecycle())
        is_named = _now(desired, section, field) != _now(bare, section, field)
    elif section == SPEC and field in desired.kind.fields:
        is_left_out = bool(desired.layer) and field in desired.refused
        is_named = field not in desired.inherited and not is_left_out
    else:
        raise BadAssignmentError(f"{desired.kind.name} has no field {field} in {section}")
    if is_named:
        yield (section, field), FieldEdit(ABSENT)


def _now(desired: Desired, section: str, field: str) -> JSON:
    """What the manifest says in a section other than spec."""
    if section == EXTRA:
        return desired.secrets.get(field, desired.fields.get(field))
    return desired.lifecycle._asdict().get(field)


def _of_spec(
    desired: Desired, schemas: Schemas, asked: Assignment
) -> Iterator[tuple[tuple[str, str], FieldEdit]]:
    field = asked.field
    if field not in desired.kind.fields:
        raise BadAssignmentError(
            f"{desired.address}: {desired.kind.name} has no field {field}"
            f"{did_you_mean(field, desired.kind.fields)}"
        )
    value = value_of(asked, _schema(schemas, desired, asked), _read)
    key = desired.kind.fields[field].set_key
    pointer = (SPEC, field)
    now = desired.secrets.get(field, desired.fields.get(field))
    if asked.sign:
        if key is None:
            raise BadAssignmentError(f"{asked}: {field} is not a list; write {field}=VALUE")
        if now is None:
            raise BadAssignmentError(
                f"{asked}: {desired.address} does not set {field}, so this would replace "
                f"what AlertSite has; write {field}=VALUE with all of them"
            )
        value = changed_list(asked, now, value, key)
    if is_not_inherited(value):
        if field in desired.fields or field in desired.secrets:
            yield pointer, FieldEdit(value)
    elif canonical(value) != canonical(now):
        yield pointer, FieldEdit(_said(desired, field, value, asked), key)


def _said(desired: Desired, field: str, value: JSON, asked: Assignment) -> JSON:
    """How the manifest says it: what is added to a default goes on following the default."""
    if not asked.sign or desired.layer or field in desired.overridden:
        return value
    if appended := desired.appended.get(field):
        default = desired.fields[field][: appended.inherited]
    elif field in desired.inherited:
        default = desired.fields[field]
    else:
        return value
    if canonical(default) == canonical(value):
        return ABSENT
    added = appendix(default, value)
    return {APPEND: added} if added else value


def _schema(schemas: Schemas, desired: Desired, asked: Assignment) -> Mapping[str, JSON]:
    """The schema of a field; nothing where there is none."""
    sections = schemas.documents[desired.kind.name]["properties"]
    found: Mapping[str, JSON] = sections[asked.section].get("properties", {}).get(asked.field, {})
    return {} if asked.section == EXTRA else found


def _read(text: str) -> JSON:
    documents, findings = manifests.Parser().parse("", text.encode())
    if findings or len(documents) != 1:
        raise BadAssignmentError(f"{text} is not YAML")
    return documents[0].value


def _spot(desired: Desired, pointer: tuple[str, str], edit: FieldEdit, sources: Sources) -> Spot:
    """Where a field is written.

    Raises:
        BadAssignmentError: it is nothing that an account can say alone, or a variable stands there.
    """
    if reason := sources.why_no_own:
        raise BadAssignmentError(reason)
    section, field = pointer
    names = [field]
    if section in {SPEC, EXTRA}:
        spot = spot_of(desired, field, sources)
    elif desired.layer:
        raise BadAssignmentError(
            f"{desired.address} is shared in {desired.layer}, and an account cannot override its "
            f"{section}; edit the shared manifest, or use a variable there"
        )
    else:
        path, document, _ = desired.origin
        spot = Spot(path, document, desired.address, is_override=False, is_said=True)
        prefix = f"{LIFECYCLE}.{field}" if section == LIFECYCLE else f"{LABELS}."
        names = [name for name in desired.variables if name.startswith(prefix)]
    if edit.value is not ABSENT and next(names_in(edit.value), None) is not None:
        return spot  # another variable is what is asked for
    for name in names:
        if reason := why_varies(desired, name, spot):
            raise BadAssignmentError(f"{desired.address}: {name} is not set: {reason}")
    return spot
