"""Whether a document that the tool wrote is what its format's schema describes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.schema.schemas import schema_folder

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

    from reconciler.core.model import JSON

_LONGEST = 200


def problem_of(name: str, value: JSON) -> str:
    """The first way in which a value does not fit `schemas/NAME.schema.json`; empty if it fits."""
    from jsonschema_rs import Draft202012Validator  # 25 ms

    schema = json.loads((schema_folder() / f"{name}.schema.json").read_bytes())
    for error in Draft202012Validator(schema).iter_errors(value):
        text = _in_words(error)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return ""


def _in_words(error: ValidationError) -> str:
    """What is wrong and where; the values themselves may be long, and tell a person little."""
    kind = error.kind.as_dict()
    path = "/".join(map(str, error.instance_path))
    below = f"{path}/" if path else ""
    match error.kind.name:
        case "required":
            return f"{below}{kind['property']} is missing"
        case "additionalProperties":
            return f"{below}{kind['unexpected'][0]} is not a key of this format"
        case "type":
            return f"{path or 'the document'} must be of the type {' or '.join(kind['types'])}"
    return f"{path or 'the document'}: {error.message}"
