"""The command that explains kinds, fields and codes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from reconciler.cli import config, console, selection
from reconciler.cli.runtime import connect
from reconciler.core import fields
from reconciler.core.fields import described
from reconciler.core.lint import CODES
from reconciler.core.names import find_members
from reconciler.errors import ExitCode, UsageError
from reconciler.render.fields import (
    code_text,
    codes_text,
    field_text,
    kind_text,
    member_text,
    members_text,
)
from reconciler.schema import did_you_mean, installed_schemas

if TYPE_CHECKING:
    from reconciler.core.printable import Lines

_LINT = "lint"
_MEMBERS = {"location": "locations", "property": "custom_properties"}
"""What ids can be explained of, and the field that has them."""


def _completed(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    names = [_LINT, *_MEMBERS]
    for kind, schema in installed_schemas().documents.items():
        names.append(kind)
        if incomplete.startswith(f"{kind}."):
            found = described(schema)
            names += [f"{kind}.{field.name.removeprefix('spec.')}" for field in found]
    return [name for name in names if name.startswith(incomplete)]


@click.command(epilog="Example: reconciler explain email-smtp.home_location")
@selection.one
@click.argument("name", metavar="KIND[.FIELD]", shell_complete=_completed)
@click.argument("number", metavar="[ID]", required=False, type=click.IntRange(1))
def explain(name: str, number: int | None) -> int:
    """Explain a kind, or one of its fields, as its schema describes it.

    A field is named as in spec, or with its section: email-smtp.port, email-smtp.locations.id,
    email-smtp.metadata.id. explain lint lists the codes of validate --lint.

    explain location 30 and explain property 120 ask AlertSite what its monitors say about that id;
    without ID, about all ids.
    """
    if name in _MEMBERS:
        console.data(_members(name, number))
        return ExitCode.OK
    if number is not None:
        raise UsageError(
            f"{name} has no ids",
            "Only locations and properties have ids, such as: reconciler explain location 30",
        )
    kind, _, field = name.partition(".")
    console.data(_codes(field) if kind == _LINT else _kind(kind, field))
    return ExitCode.OK


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


def _codes(name: str) -> str:
    if not name:
        return codes_text()
    if name not in CODES:
        advice = did_you_mean(name, CODES)
        raise UsageError(
            f"lint has no code {name}{advice}", "To list all codes, run: reconciler explain lint"
        )
    return code_text(name)


def _kind(kind: str, name: str) -> str:
    documents = installed_schemas().documents
    if kind not in documents:
        longer = [one for one in documents if kind and kind.lower() in one]
        advice = did_you_mean(longer[0] if longer else kind, documents)
        kinds = ", ".join(documents)
        raise UsageError(f"there is no kind {kind or '(empty)'}{advice}", f"The kinds are {kinds}.")
    found = fields.described(documents[kind])
    if not name:
        return kind_text(documents[kind], found)
    field = fields.find(found, name)
    if field is None:
        known = [one.name.removeprefix("spec.").replace(fields.ELEMENT, "") for one in found]
        advice = did_you_mean(name, known)
        raise UsageError(
            f"{kind} has no field {name}{advice}",
            f"To list its fields, run: reconciler explain {kind}. Fields that are not in the "
            "schema go under extra.",
        )
    return field_text(kind, field)
