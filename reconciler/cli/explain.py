"""The command that explains kinds, fields and codes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from reconciler.cli import config, console, selection
from reconciler.cli.runtime import connect
from reconciler.core import fields
from reconciler.core.fields import described
from reconciler.core.lint.codes import CODES
from reconciler.core.names import find_members
from reconciler.core.nearest import did_you_mean
from reconciler.core.targets import is_id
from reconciler.errors import ExitCode, UsageError
from reconciler.render.fields import (
    code_text,
    codes_text,
    field_text,
    kind_text,
    member_text,
    members_text,
    subjects_text,
)
from reconciler.schema import installed_schemas

if TYPE_CHECKING:
    from reconciler.core.fields import Described
    from reconciler.core.printable import Lines

_LINT = "lint"
_DIGITS = 18
"""No id has more."""
_MEMBERS = {"location": "locations", "property": "custom_properties"}
"""What ids can be explained of, and the field that has them."""


def _completed(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    names = [_LINT, *_MEMBERS, *CODES]
    for kind, schema in installed_schemas().documents.items():
        names.append(kind)
        if incomplete.startswith(f"{kind}."):
            found = described(schema)
            names += [f"{kind}.{field.name.removeprefix('spec.')}" for field in found]
    return [name for name in names if name.startswith(incomplete)]


def _id(text: str) -> int:
    """The id of a location or a property; a type of click, which shows its name.

    Raises:
        BadParameter: it is none.
    """
    if not is_id(text) or len(text) > _DIGITS:
        raise click.BadParameter(f"{text!r} is not an id; write a number, such as 20")
    return int(text)


@click.command(epilog="Example: reconciler explain email-smtp.home_location")
@selection.one
@click.argument("name", metavar="[NAME]", required=False, shell_complete=_completed)
@click.argument("number", metavar="[ID]", required=False, type=_id)
def explain(name: str | None, number: int | None) -> int:
    """Explain a kind, a field or a lint code; without NAME, list what can be explained.

    A field is named as in spec, or with its section, of one kind or of all: email-smtp.port,
    email-smtp.metadata.id, locations.id, interval. explain lint lists the codes of validate
    --lint.

    explain location 20 and explain property 228 ask AlertSite what its monitors say about that id;
    without ID, about all ids.
    """
    if name is None:
        console.data(subjects_text(installed_schemas().documents))
        return ExitCode.OK
    if name in _MEMBERS:
        console.data(_members(name, number))
        return ExitCode.OK
    if number is not None:
        raise UsageError(
            f"{name} has no ids",
            "Only locations and properties have ids, such as: reconciler explain location 20",
        )
    console.data(_explained(name))
    return ExitCode.OK


def _explained(name: str) -> Lines:
    """What the schemas, or lint, say of a name.

    Raises:
        UsageError: it names nothing.
    """
    documents = installed_schemas().documents
    kind, dot, field = name.partition(".")
    if name == _LINT:
        return codes_text()
    if kind == _LINT or name in CODES:
        code = name.removeprefix(f"{_LINT}.")
        if code in CODES:
            return code_text(code)
        raise UsageError(
            f"lint has no code {code or '(empty)'}{did_you_mean(code, CODES)}",
            "To list all codes, run: reconciler explain lint",
        )
    found = {one: described(document) for one, document in documents.items()}
    if kind in documents:
        if not field:
            return kind_text(documents[kind], found[kind])
        if of_kind := fields.find(found[kind], field):
            return field_text({kind: of_kind})
        raise UsageError(
            f"{kind} has no field {field}{did_you_mean(field, _names(found[kind]))}",
            f"To list its fields, run: reconciler explain {kind}. Fields that are not in the "
            "schema go under extra.",
        )
    of_all = {one: item for one in found if (item := fields.find(found[one], name))}
    if of_all:
        return field_text(of_all)
    longer = [one for one in documents if kind and kind.lower() in one]
    known = (
        documents
        if dot
        else [*documents, *CODES, *(it for one in found for it in _names(found[one]))]
    )
    advice = did_you_mean(longer[0] if longer else kind, known)
    what = f"kind {kind or '(empty)'}" if dot else f"kind, field or lint code {name or '(empty)'}"
    raise UsageError(
        f"there is no {what}{advice}",
        f"The kinds are {', '.join(documents)}. To list what can be explained, run: reconciler "
        "explain",
    )


def _members(noun: str, number: int | None) -> Lines:
    """What the monitors of the account tell of locations or properties."""
    schemas = installed_schemas()
    limits = config.read_state(os.environ, config.PROJECT).limits
    with connect(schemas, limits=limits) as connection:
        live = connection.reader().list_monitors(schemas.kinds)
    found = find_members(_MEMBERS[noun], live)
    if number is None:
        return members_text(found)
    for member in found:
        if member.id == number:
            return member_text(noun, member)
    raise UsageError(
        f"no monitor of the account has the {noun} {number}, so AlertSite returns nothing about it",
        f"To list those that monitors have, run: reconciler explain {noun}",
    )


def _names(found: tuple[Described, ...]) -> list[str]:
    """The fields, as they are named in spec."""
    return [item.name.removeprefix("spec.").replace(fields.ELEMENT, "") for item in found]
